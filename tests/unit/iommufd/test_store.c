// SPDX-License-Identifier: MIT
/* The PFN store: runs of a range, looked up from anywhere, against an array of cells. */
#include "kit.h"

#include "iommufd/store.h"

#define P     PAGE_SIZE
#define CELLS 300u

static void append__batches_that_go_on__one_run(void **state)
{
	struct store_range *r = store_range_new(10, 19);
	struct batch b;
	uint64_t out[10];

	(void)state;
	assert_non_null(r);
	batch_begin(&b, 10, 8);
	assert_true(batch_add(&b, 0x100000, 4));
	expect_rc(store_append(&r, &b), 0);
	batch_begin(&b, 14, 8);
	assert_true(batch_add(&b, 0x104000, 3));
	assert_true(batch_add(&b, 0x200000, 3));
	expect_rc(store_append(&r, &b), 0);
	assert_int_equal(r->nruns, 2);
	assert_int_equal(r->run[1].idx, 17);
	store_list(r, out);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(out[i], i < 7 ? 0x100000 + i * P : 0x200000 + (i - 7) * P);
	store_range_free(r);
}

static void append__no_memory__range_as_it_was(void **state)
{
	struct store_range *r = store_range_new(0, 9), *before = r;
	struct batch b;
	bool fired;

	(void)state;
	assert_non_null(r);
	batch_begin(&b, 0, 8);
	assert_true(batch_add(&b, 0x100000, 1));
	expect_rc(store_append(&r, &b), 0);
	batch_begin(&b, 1, 8);
	assert_true(batch_add(&b, 0x300000, 1));
	assert_true(batch_add(&b, 0x500000, 1));
	fault_arm(1, false);
	expect_rc(store_append(&r, &b), -ENOMEM);
	fault_disarm(&fired);
	assert_true(fired);
	assert_ptr_equal(r, before);
	assert_int_equal(r->nruns, 1);
	expect_rc(store_append(&r, &b), 0);
	assert_int_equal(r->nruns, 3);
	store_range_free(r);
}

static void find__among_overlapping__the_exact_one(void **state)
{
	static const struct {
		uint64_t first, last;
	} s[] = { { 0, 9 }, { 2, 9 }, { 2, 5 }, { 2, 2 }, { 5, 20 }, { 0, UINT64_MAX - 1 } };
	struct store_range *r[ARRAY_LEN(s)];
	struct itree t;

	(void)state;
	itree_init(&t);
	for (unsigned i = 0; i < ARRAY_LEN(s); i++) {
		struct batch b;

		r[i] = store_range_new(s[i].first, s[i].last);
		assert_non_null(r[i]);
		batch_begin(&b, s[i].first, 8);
		assert_true(batch_add(&b, 0x100000 + s[i].first * P, s[i].last - s[i].first + 1));
		expect_rc(store_append(&r[i], &b), 0);
		assert_null(store_find(&t, s[i].first, s[i].last));
		itree_insert(&t, &r[i]->node);
	}
	for (unsigned i = 0; i < ARRAY_LEN(s); i++)
		assert_ptr_equal(store_find(&t, s[i].first, s[i].last), r[i]);
	assert_null(store_find(&t, 2, 8));
	assert_null(store_find(&t, 1, 9));
	store_check(&t);
	for (unsigned i = 0; i < ARRAY_LEN(s); i++) {
		itree_remove(&t, &r[i]->node);
		store_range_free(r[i]);
	}
}

static uint64_t seed = 0x9e3779b97f4a7c15ull;

static uint64_t rnd(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

static void read__random_pieces__as_the_cells(void **state)
{
	uint64_t cell[CELLS], out[CELLS];

	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		uint64_t first = rnd(1000), n = 1 + rnd(CELLS);
		struct store_range *r = store_range_new(first, first + n - 1);
		struct itree t;

		assert_non_null(r);
		itree_init(&t);
		for (uint64_t i = 0; i < n; i++)
			cell[i] = i && rnd(3) ? cell[i - 1] + P : rnd(1000) * 16 * P;
		for (uint64_t i = 0; i < n;) {
			struct batch b;

			batch_begin(&b, first + i, 1 + (unsigned)rnd(BATCH_RUNS));
			while (i < n && batch_add(&b, cell[i], 1))
				i++;
			expect_rc(store_append(&r, &b), 0);
		}
		itree_insert(&t, &r->node);
		store_check(&t);
		store_list(r, out);
		assert_memory_equal(out, cell, n * sizeof(cell[0]));
		for (unsigned k = 0; k < 20; k++) {
			uint64_t at = rnd(n), len = 1 + rnd(n - at), got = 0;
			struct batch b;

			batch_begin(&b, first + at, 1 + (unsigned)rnd(BATCH_RUNS));
			store_read(r, first + at, first + at + len - 1, &b);
			batch_check(&b);
			assert_true(b.npages > 0 && b.npages <= len);
			assert_true(b.npages == len || b.n == b.max);
			for (unsigned i = 0; i < b.n; i++)
				for (uint64_t j = 0; j < b.run[i].npages; j++)
					assert_int_equal(cell[at + got++], b.run[i].pa + j * P);
		}
		store_range_free(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(append__batches_that_go_on__one_run),
		cmocka_unit_test(append__no_memory__range_as_it_was),
		cmocka_unit_test(find__among_overlapping__the_exact_one),
		cmocka_unit_test(read__random_pieces__as_the_cells),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
