// SPDX-License-Identifier: MIT
/* Page arithmetic of areas and batches, up to the last byte of all. */
#include "kit.h"

#include "iommufd/area.h"

#define P PAGE_SIZE

static struct area make_area(uint64_t start, uint64_t len, uint16_t offset, uint64_t first)
{
	struct area a = { .start = start, .last = start + (len - 1), .page_offset = offset };

	a.node.start = first;
	a.node.last = first + (offset + (len - 1)) / P;
	return a;
}

static void iova__whole_pages__one_after_the_other(void **state)
{
	struct area a = make_area(0x10000, 3 * P, 0, 7);

	(void)state;
	assert_int_equal(a.node.last, 9);
	for (uint64_t i = 0; i < 3; i++) {
		assert_int_equal(area_iova(&a, 7 + i), 0x10000 + i * P);
		assert_int_equal(area_iova_last(&a, 7 + i), 0x10000 + (i + 1) * P - 1);
	}
}

static void iova__sub_page_head_and_tail__clipped(void **state)
{
	/* 2 KiB of page 4, all of page 5, 2 KiB of page 6; the IOVA need not have that offset. */
	struct area a = make_area(0x20000, 2 * P, 2048, 4);

	(void)state;
	assert_int_equal(a.node.last, 6);
	assert_int_equal(area_iova(&a, 4), 0x20000);
	assert_int_equal(area_iova_last(&a, 4), 0x207ff);
	assert_int_equal(area_iova(&a, 5), 0x20800);
	assert_int_equal(area_iova_last(&a, 5), 0x217ff);
	assert_int_equal(area_iova(&a, 6), 0x21800);
	assert_int_equal(area_iova_last(&a, 6), 0x21fff);
	/* An area within one page is both. */
	a = make_area(0x30000, 100, 200, 0);
	assert_int_equal(a.node.last, 0);
	assert_int_equal(area_iova(&a, 0), 0x30000);
	assert_int_equal(area_iova_last(&a, 0), 0x30063);
}

static void iova__at_the_ends__does_not_wrap(void **state)
{
	struct area a = make_area(MAX - 2 * P + 1, 2 * P, 0, 0), b = make_area(0, P, 2048, 0);

	(void)state;
	assert_true(a.last == MAX);
	assert_true(area_iova_last(&a, 1) == MAX);
	assert_true(area_iova(&a, 1) == MAX - P + 1);
	assert_int_equal(area_iova(&b, 0), 0); /* its page begins below 0 */
	assert_int_equal(area_iova_last(&b, 0), 2047);
	assert_int_equal(area_iova(&b, 1), 2048);
}

static void complies__start_length_offset__all_three(void **state)
{
	struct area a = make_area(0x1000, P, 0, 0);

	(void)state;
	assert_true(area_complies(&a, P));
	a = make_area(0x1800, P, 0, 0);
	assert_false(area_complies(&a, P));
	assert_true(area_complies(&a, 2048));
	a = make_area(0x1000, 2048, 0, 0);
	assert_false(area_complies(&a, P));
	a = make_area(0x1000, P, 2048, 0);
	assert_false(area_complies(&a, P));
	a = make_area(1, 1, 1, 0);
	assert_true(area_complies(&a, 1));
	assert_false(area_complies(&a, 2));
}

static void measure__edges__as_documented(void **state)
{
	uint64_t pages = 0;
	uint16_t off = 0;

	(void)state;
	expect_rc(pages_measure(0x1fff, 2, &off, &pages), 0);
	assert_int_equal(off, 0xfff);
	assert_int_equal(pages, 2);
	expect_rc(pages_measure(0, MAX - P, &off, &pages), 0);
	assert_true(pages == (1ull << 52) - 1);
	expect_rc(pages_measure(P - 1, MAX - P, &off, &pages), 0); /* ends at 2^64 - 2 */
	assert_true(pages == 1ull << 52);
	expect_rc(pages_measure(P, MAX - P, &off, &pages), 0);
	expect_rc(pages_measure(P + 1, MAX - P, &off, &pages), -EOVERFLOW);
	expect_rc(pages_measure(0, MAX - P + 1, &off, &pages), -EINVAL);
	expect_rc(pages_measure(0, 0, &off, &pages), -EINVAL);
	expect_rc(pages_measure(MAX, 0, &off, &pages), -EINVAL);
	expect_rc(pages_measure(MAX, 1, &off, &pages), -EOVERFLOW);
}

static void batch_add__consecutive__merges(void **state)
{
	struct batch b;

	(void)state;
	batch_begin(&b, 10, 2);
	assert_true(batch_add(&b, 0x10000, 1));
	assert_true(batch_add(&b, 0x11000, 3));
	assert_int_equal(b.n, 1);
	assert_int_equal(b.run[0].npages, 4);
	assert_true(batch_add(&b, 0x10000, 1)); /* backwards is not consecutive */
	assert_false(batch_add(&b, 0x40000, 1));
	assert_int_equal(b.npages, 5);
	assert_true(batch_add(&b, 0x11000, 1)); /* full, but it goes on where the last run ends */
	assert_int_equal(b.npages, 6);
	batch_check(&b);
}

static void batch_adopt__first_goes_on__joined(void **state)
{
	struct batch b;

	(void)state;
	batch_begin(&b, 0, 8);
	assert_true(batch_add(&b, 0x10000, 2));
	b.run[1] = (struct phys_run){ 0x12000, 3 };
	b.run[2] = (struct phys_run){ 0x40000, 1 };
	batch_adopt(&b, 2);
	assert_int_equal(b.n, 2);
	assert_int_equal(b.run[0].npages, 5);
	assert_int_equal(b.run[1].pa, 0x40000);
	assert_int_equal(b.npages, 6);
	batch_adopt(&b, 0);
	assert_int_equal(b.n, 2);
	batch_check(&b);
}

struct pieces {
	struct phys_run run[8];
	unsigned n;
};

static void collect(void *arg, const struct phys_run *piece)
{
	struct pieces *p = arg;

	p->run[p->n++] = *piece;
}

static void batch_each__cut_to_the_range(void **state)
{
	struct pieces p = { .n = 0 };
	struct batch b;

	(void)state;
	batch_begin(&b, 100, 8);
	assert_true(batch_add(&b, 0x100000, 4)); /* 100..103 */
	assert_true(batch_add(&b, 0x200000, 1)); /* 104 */
	assert_true(batch_add(&b, 0x300000, 5)); /* 105..109 */
	batch_each(&b, 102, 106, collect, &p);
	assert_int_equal(p.n, 3);
	assert_int_equal(p.run[0].pa, 0x102000);
	assert_int_equal(p.run[0].npages, 2);
	assert_int_equal(p.run[1].pa, 0x200000);
	assert_int_equal(p.run[2].pa, 0x300000);
	assert_int_equal(p.run[2].npages, 2);
	p.n = 0;
	batch_each(&b, 0, 99, collect, &p);
	batch_each(&b, 110, UINT64_MAX, collect, &p);
	assert_int_equal(p.n, 0);
	batch_each(&b, 0, UINT64_MAX, collect, &p);
	assert_int_equal(p.n, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(iova__whole_pages__one_after_the_other),
		cmocka_unit_test(iova__sub_page_head_and_tail__clipped),
		cmocka_unit_test(iova__at_the_ends__does_not_wrap),
		cmocka_unit_test(complies__start_length_offset__all_three),
		cmocka_unit_test(measure__edges__as_documented),
		cmocka_unit_test(batch_add__consecutive__merges),
		cmocka_unit_test(batch_adopt__first_goes_on__joined),
		cmocka_unit_test(batch_each__cut_to_the_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
