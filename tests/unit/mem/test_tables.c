// SPDX-License-Identifier: MIT
/* Table memory: zeroed, aligned, never handed out twice, one addition away from its address. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "mem_kit.h"

#define BLOCKS 3000u

static struct block {
	unsigned char *ptr;
	uint64_t pa;
	size_t size;
	unsigned char tag;
} blocks[BLOCKS];

static bool all(const unsigned char *p, size_t n, unsigned char c)
{
	return !n || (p[0] == c && !memcmp(p, p + 1, n - 1));
}

static void take(struct kit *k, struct block *b, size_t size, unsigned char tag)
{
	void *ptr;

	assert_int_equal(tables_alloc(k->pm, size, &ptr, &b->pa), 0);
	b->ptr = ptr;
	b->size = size;
	b->tag = tag;
	assert_int_equal(b->pa & (size - 1), 0);
	assert_int_equal((uintptr_t)ptr & (size - 1), 0);
	assert_true((uintptr_t)ptr == b->pa + tables_bias(k->pm));
	assert_true(all(b->ptr, size, 0));
	memset(b->ptr, tag, size);
}

static void give(struct kit *k, struct block *b)
{
	assert_true(all(b->ptr, b->size, b->tag));
	tables_free(k->pm, b->ptr, b->pa, b->size);
	b->ptr = NULL;
}

static void tables_alloc__random_sizes__disjoint_and_zero(void **state)
{
	struct physmap_stats s;
	struct kit k;
	uint64_t base, len, in_use = 0;

	(void)state;
	srand(7);
	kit_begin(&k);
	for (unsigned i = 0; i < 20000; i++) {
		struct block *b = &blocks[(unsigned)rand() % BLOCKS];

		if (b->ptr) {
			in_use -= b->size;
			give(&k, b);
		} else {
			take(&k, b, PAGE_SIZE << rand() % 5, (unsigned char)(1 + rand() % 255));
			in_use += b->size;
		}
	}
	physmap_stats(k.pm, &s);
	assert_int_equal(s.table_bytes, in_use);
	tables_extent(k.pm, &base, &len);
	for (unsigned i = 0; i < BLOCKS; i++)
		if (blocks[i].ptr) {
			assert_true(blocks[i].pa >= base &&
				    blocks[i].pa + blocks[i].size <= base + len);
			give(&k, &blocks[i]);
		}
	kit_end(&k);
}

static void tables_alloc__fault__enomem_and_nothing_lost(void **state)
{
	struct block b;
	struct kit k;
	uint64_t pa;
	void *ptr;

	(void)state;
	kit_begin(&k);
	fault_arm(1, false);
	assert_int_equal(tables_alloc(k.pm, PAGE_SIZE, &ptr, &pa), -ENOMEM);
	fault_disarm(NULL);
	take(&k, &b, PAGE_SIZE, 1);
	give(&k, &b);
	kit_end(&k);
}

static void tables_alloc__own_window__addresses_from_there(void **state)
{
	struct physmap_opts opts = { .table_base = 0xc00000000000 };
	struct block b;
	struct kit k;

	(void)state;
	kit_begin_opts(&k, &opts);
	take(&k, &b, PAGE_SIZE, 1);
	assert_true(b.pa == opts.table_base);
	give(&k, &b);
	kit_end(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_alloc__random_sizes__disjoint_and_zero),
		cmocka_unit_test(tables_alloc__fault__enomem_and_nothing_lost),
		cmocka_unit_test(tables_alloc__own_window__addresses_from_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
