// SPDX-License-Identifier: MIT
/* Does a pool hand out blocks that are apart, and take them back? */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/pool.h"

#define BLOCKS 3000u

static void pool_get__many__disjoint_and_aligned(void **state)
{
	const size_t sizes[] = { 1, 16, 24, 56, 192, 784, 3648 };

	(void)state;
	for (unsigned k = 0; k < ARRAY_LEN(sizes); k++) {
		size_t size = sizes[k];
		char **b = malloc(BLOCKS * sizeof(*b));
		struct pool p;

		pool_init(&p, size);
		assert_true(p.size >= size && p.size % 16 == 0);
		for (unsigned i = 0; i < BLOCKS; i++) {
			b[i] = pool_get(&p);
			assert_non_null(b[i]);
			assert_int_equal((uintptr_t)b[i] % 16, 0);
			memset(b[i], (int)(i % 251), size);
		}
		assert_int_equal(p.used, BLOCKS);
		assert_true(p.bytes >= BLOCKS * p.size);
		for (unsigned i = 0; i < BLOCKS; i++) {
			for (size_t at = 0; at < size; at++)
				assert_int_equal((unsigned char)b[i][at], i % 251);
			pool_put(&p, b[i]);
		}
		assert_int_equal(p.used, 0);
		pool_finish(&p);
		free(b);
	}
}

static void pool_get__after_put__no_new_memory(void **state)
{
	struct pool p;
	void *b[100];
	size_t bytes;

	(void)state;
	pool_init(&p, 64);
	for (unsigned i = 0; i < 100; i++)
		b[i] = pool_get(&p);
	bytes = p.bytes;
	for (unsigned round = 0; round < 100; round++) {
		for (unsigned i = 0; i < 100; i++)
			pool_put(&p, b[i]);
		for (unsigned i = 0; i < 100; i++)
			b[i] = pool_get(&p);
	}
	assert_int_equal(p.bytes, bytes);
	for (unsigned i = 0; i < 100; i++)
		pool_put(&p, b[i]);
	pool_finish(&p);
	assert_int_equal(p.bytes, 0);
}

static void pool_get__blocks_larger_than_the_first_chunk__fit(void **state)
{
	const size_t sizes[] = { 16384 - 64, 16384, 16400, 100000, 3 << 20 };

	(void)state;
	for (unsigned k = 0; k < ARRAY_LEN(sizes); k++) {
		struct pool p;
		char *a, *b;

		pool_init(&p, sizes[k]);
		a = pool_get(&p);
		b = pool_get(&p);
		assert_non_null(a);
		assert_non_null(b);
		memset(a, 1, sizes[k]);
		memset(b, 2, sizes[k]);
		assert_int_equal(a[sizes[k] - 1], 1);
		pool_put(&p, a);
		pool_put(&p, b);
		pool_finish(&p);
	}
}

static void pool_get__fault__null_and_goes_on(void **state)
{
	struct pool p;
	void *b;

	(void)state;
	pool_init(&p, 32);
	fault_arm(1, false);
	assert_null(pool_get(&p));
	assert_int_equal(p.used, 0);
	b = pool_get(&p);
	assert_non_null(b);
	fault_disarm(NULL);
	pool_put(&p, b);
	pool_finish(&p);
}

static void mem_alloc__fault__null(void **state)
{
	char *p;

	(void)state;
	fault_arm(1, true);
	assert_null(mem_alloc(10));
	assert_null(mem_zalloc(10));
	assert_int_equal(fault_disarm(NULL), 2);
	p = mem_zalloc(100);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(p[i], 0);
	mem_free(p);
	mem_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pool_get__many__disjoint_and_aligned),
		cmocka_unit_test(pool_get__after_put__no_new_memory),
		cmocka_unit_test(pool_get__blocks_larger_than_the_first_chunk__fit),
		cmocka_unit_test(pool_get__fault__null_and_goes_on),
		cmocka_unit_test(mem_alloc__fault__null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
