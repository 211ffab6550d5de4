// SPDX-License-Identifier: MIT
/* Pin counters: random ranges over several GiB, against one plain counter per page. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "mem_kit.h"

#define GIBS   3u
#define NPAGES (GIBS * (GIB >> PAGE_LG2))
#define SETS   40u

static uint16_t model[NPAGES]; /* pins of each page */

static uint64_t seed = 88172645463325252ull;

static uint64_t rnd(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

/* A length that is often at or next to a block's size. */
static uint64_t some_length(uint64_t max)
{
	static const uint64_t likely_ones[] = { 1,   15,   16,     17,     511,   512,
						513, 4096, 262143, 262144, 262145 };
	uint64_t n = rnd(3) ? likely_ones[rnd(ARRAY_LEN(likely_ones))] : rnd(2000) + 1;

	return n < max ? n : max;
}

static uint64_t some_start(void)
{
	static const uint64_t aligns[] = { 1, 1, 16, 512, 262144 };

	return align_down(rnd(NPAGES), aligns[rnd(ARRAY_LEN(aligns))]);
}

static void compare(struct kit *k, uint64_t base, uint64_t first, uint64_t n)
{
	for (uint64_t i = first ? first - 1 : 0; i < first + n + 1 && i < NPAGES; i++)
		assert_int_equal(physmap_pins(k->pm, base + (i << PAGE_LG2)), model[i]);
}

static void change(struct kit *k, uint64_t base, uint64_t first, uint64_t n, int delta)
{
	if (delta > 0) {
		struct phys_run runs[GIBS + 1];
		unsigned nruns;

		assert_int_equal(
			mm_pin(k->mm, base + (first << PAGE_LG2), n, 0, runs, GIBS + 1, &nruns), n);
		assert_int_equal(nruns, 1);
		assert_true(runs[0].pa == base + (first << PAGE_LG2) && runs[0].npages == n);
	} else {
		struct phys_run run = { base + (first << PAGE_LG2), n };

		physmap_unpin(k->pm, &run, false);
	}
	for (uint64_t i = first; i < first + n; i++)
		model[i] = (uint16_t)(model[i] + delta);
}

static void pin_and_unpin__random_ranges__as_the_model(void **state)
{
	struct {
		uint64_t first, n;
	} held[SETS];
	unsigned nheld = 0;
	uint64_t base;
	void *area;
	struct kit k;

	(void)state;
	kit_begin(&k);
	area = mmap(NULL, (GIBS + 1) * GIB, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(area, MAP_FAILED);
	base = align_down((uintptr_t)area + GIB - 1, GIB);
	for (int step = 0; step < 400; step++) {
		if (nheld < SETS && (!nheld || rnd(2))) {
			uint64_t first = some_start(), n = some_length(NPAGES - first);

			change(&k, base, first, n, 1);
			held[nheld].first = first;
			held[nheld++].n = n;
			compare(&k, base, first, n < 5000 ? n : 5000);
		} else {
			/* Unpin a held range in pieces that have nothing to do with how it was
			 * pinned. */
			unsigned i = (unsigned)rnd(nheld);
			uint64_t at = held[i].first, left = held[i].n;

			while (left) {
				uint64_t n = left > 3000 && rnd(2) ? left : some_length(left);

				change(&k, base, at, n, -1);
				compare(&k, base, at, n < 1000 ? n : 1000);
				at += n;
				left -= n;
			}
			held[i] = held[--nheld];
		}
	}
	compare(&k, base, 0, NPAGES);
	while (nheld--)
		change(&k, base, held[nheld].first, held[nheld].n, -1);
	compare(&k, base, 0, NPAGES);
	munmap(area, (GIBS + 1) * GIB);
	kit_end(&k);
}

static void physmap_pins__outside__zero(void **state)
{
	struct kit k;

	(void)state;
	kit_begin(&k);
	assert_int_equal(physmap_pins(k.pm, 0), 0);
	assert_int_equal(physmap_pins(k.pm, PHYS_END - 1), 0);
	assert_int_equal(physmap_pins(k.pm, UINT64_MAX), 0);
	assert_false(physmap_settle(k.pm, UINT64_MAX));
	assert_false(physmap_settle(k.pm, PAGE_SIZE));
	size_t len = 100;
	assert_null(physmap_ptr(k.pm, PHYS_END, &len));
	assert_null(physmap_ptr(k.pm, 0x800000000000ull, &len));
	assert_null(physmap_ptr(k.pm, PHYS_HOLE_START, &len));
	/* A lookup ends at the GiB's edge. */
	len = 2 * GIB;
	assert_ptr_equal(physmap_ptr(k.pm, 5 * GIB - 7, &len), (void *)(5 * GIB - 7));
	assert_int_equal(len, 7);
	kit_end(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pin_and_unpin__random_ranges__as_the_model),
		cmocka_unit_test(physmap_pins__outside__zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
