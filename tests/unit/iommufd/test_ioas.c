// SPDX-License-Identifier: MIT
/* IOAS_ALLOC, IOVA_RANGES, MAP and UNMAP without devices: arguments and their limits. */
#include "kit.h"

#define P PAGE_SIZE

static void alloc__flags__eopnotsupp(void **state)
{
	struct iommu_ioas_alloc c = { .size = sizeof(c), .flags = 1 };

	expect_rc(kit_ioctl(*state, IOMMU_IOAS_ALLOC, &c), -EOPNOTSUPP);
	assert_int_equal(kit_next_id(*state), 1);
}

static void ranges__empty_ioas__everything(void **state)
{
	struct kit *k = *state;
	struct iommu_iova_range r[3] = { { 7, 7 }, { 8, 8 }, { 9, 9 } };
	uint32_t ioas = kit_ioas(k);
	uint64_t align;

	assert_int_equal(kit_ranges(k, ioas, r, 3, &align), 1);
	assert_int_equal(r[0].start, 0);
	assert_true(r[0].last == MAX);
	assert_int_equal(r[1].start, 8); /* the rest of the array is untouched */
	assert_int_equal(r[2].last, 9);
	assert_int_equal(align, 1);
}

static void ranges__bad_arguments__in_order(void **state)
{
	struct kit *k = *state;
	struct iommu_ioas_iova_ranges c = { .size = sizeof(c), .ioas_id = 5, .__reserved = 1 };

	expect_rc(kit_ioctl(k, IOMMU_IOAS_IOVA_RANGES, &c), -EOPNOTSUPP);
	c.__reserved = 0;
	expect_rc(kit_ioctl(k, IOMMU_IOAS_IOVA_RANGES, &c), -ENOENT);
	c.ioas_id = kit_ioas(k);
	expect_rc(kit_ioctl(k, IOMMU_IOAS_IOVA_RANGES, &c), -EMSGSIZE);
	assert_int_equal(c.num_iovas, 1);
	assert_int_equal(c.out_iova_alignment, 1);
	c.out_iova_alignment = 55;
	expect_rc(kit_ioctl(k, IOMMU_IOAS_IOVA_RANGES, &c), -EFAULT); /* room for one, no array */
	assert_int_equal(c.num_iovas, 1);
	assert_int_equal(c.out_iova_alignment, 55);
}

static void ranges__areas__do_not_matter(void **state)
{
	struct kit *k = *state;
	struct iommu_iova_range r[2];
	uint32_t ioas = kit_ioas(k);

	expect_rc(kit_map_at(k, ioas, 0x10000, NULL, P), 0);
	assert_int_equal(kit_ranges(k, ioas, r, 2, NULL), 1);
}

struct map_case {
	uint32_t flags;
	uint64_t va, len, iova;
	int want;
};

static void map__arguments__in_order(void **state)
{
	static const struct map_case cases[] = {
		{ 0x8 | RW, P, P, 0, -EOPNOTSUPP },
		{ 0x80000000u | RW, P, P, 0, -EOPNOTSUPP },
		{ FIXED, P, P, 0, -EINVAL },
		{ 0, P, P, 0, -EINVAL },
		{ RW, P, P, MAX, -EOVERFLOW },
		{ RW, P, MAX, 0, -EOVERFLOW },
		{ FIXED, P, P, MAX, -EOVERFLOW }, /* before the permissions */
		{ RW, P, 0, 0, -EINVAL },
		{ FIXED | RW, P, 0, 0, -EINVAL },
		{ RW, MAX, 2, 0, -EOVERFLOW },
		{ RW, MAX - P + 1, P, 0, -EOVERFLOW }, /* ends at 2^64 */
		{ RW, P, MAX - 1, 0, -EOVERFLOW },
		{ FIXED | RW, 0, MAX - 1, 0, -EINVAL },
		{ FIXED | RW, 0, MAX - P + 1, 0, -EINVAL },
		{ FIXED | RW, P, P, MAX - 1, -EOVERFLOW },
		{ FIXED | RW, P, P, MAX - P + 2, -EOVERFLOW },
		{ RW, 0, 1ull << 63, 0, -EOVERFLOW }, /* too long to choose for */
		{ RW, 0, MAX / 2, 0, -EOVERFLOW },
	};
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t iova = cases[i].iova;

		expect_rc(kit_map(k, ioas, cases[i].flags, (void *)(uintptr_t)cases[i].va,
				  cases[i].len, &iova),
			  cases[i].want);
		assert_true(iova == cases[i].iova);
	}
	assert_int_equal(kit_areas(k, ioas), 0);
}

static void map__reserved_field__eopnotsupp(void **state)
{
	struct kit *k = *state;
	struct iommu_ioas_map c = {
		.size = sizeof(c), .flags = RW, .ioas_id = kit_ioas(k), .__reserved = 1, .length = P
	};

	expect_rc(kit_ioctl(k, IOMMU_IOAS_MAP, &c), -EOPNOTSUPP);
}

static void map__bad_id__before_length(void **state)
{
	uint64_t iova = 0;

	expect_rc(kit_map(*state, 3, RW, NULL, 0, &iova), -ENOENT);
	expect_rc(kit_unmap(*state, 3, 0, 0, NULL), -ENOENT);
}

static void map__fixed_at_the_edges__accepted(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	uint64_t n;

	expect_rc(kit_map_at(k, ioas, 0, NULL, P), 0);
	expect_rc(kit_map_at(k, ioas, MAX - P + 1, NULL, P), 0); /* last byte of all */
	expect_rc(kit_map_at(k, ioas, MAX - P, NULL, 1), 0);
	expect_rc(kit_map_at(k, ioas, MAX - P, NULL, 1), -EEXIST);
	expect_rc(kit_map_at(k, ioas, MAX - 1, NULL, 1), -EEXIST);
	assert_int_equal(kit_areas(k, ioas), 3);
	kit_check(k, 0);
	expect_rc(kit_unmap(k, ioas, MAX - P + 1, P, &n), 0);
	assert_int_equal(n, P);
	expect_rc(kit_unmap(k, ioas, 0, MAX, &n), 0);
	assert_int_equal(n, P + 1);
	/* All of it but a page, and then nothing fits any more. */
	expect_rc(kit_map_at(k, ioas, 0, NULL, MAX - P), 0);
	expect_rc(kit_map_at(k, ioas, MAX - P, NULL, 1), 0);
	expect_rc(kit_unmap(k, ioas, 0, MAX - P, &n), 0);
	assert_true(n == MAX - P);
	kit_check(k, 0);
}

static void map__no_device__any_memory_and_alignment(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);

	expect_rc(kit_map_at(k, ioas, 1, (void *)0x12345, 1), 0);
	expect_rc(kit_map_at(k, ioas, 2, (void *)0xdead0000beef, 12345), 0);
	kit_check(k, 0);
}

static void map__overlap__eexist(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);

	expect_rc(kit_map_at(k, ioas, 0x10000, NULL, 0x3000), 0);
	expect_rc(kit_map_at(k, ioas, 0x12fff, NULL, 1), -EEXIST);
	expect_rc(kit_map_at(k, ioas, 0xf000, NULL, 0x1001), -EEXIST);
	expect_rc(kit_map_at(k, ioas, 0x11000, NULL, 1), -EEXIST);
	expect_rc(kit_map_at(k, ioas, 0, NULL, 0x100000), -EEXIST);
	assert_non_null(strstr(why_last(), "0x10000-0x12fff"));
	expect_rc(kit_map_at(k, ioas, 0x13000, NULL, P), 0);
	expect_rc(kit_map_at(k, ioas, 0xf000, NULL, P), 0);
	assert_int_equal(kit_areas(k, ioas), 3);
}

static void unmap__arguments__in_order(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	uint64_t n = 5;

	expect_rc(kit_unmap(k, ioas, 0, MAX, &n), 0);
	assert_int_equal(n, 0);
	expect_rc(kit_unmap(k, ioas, 0, MAX - 1, NULL), -ENOENT);
	expect_rc(kit_unmap(k, ioas, 0x1000, 1, NULL), -ENOENT);
	expect_rc(kit_unmap(k, ioas, 0x1000, 0, NULL), -EINVAL);
	expect_rc(kit_unmap(k, ioas, 0, 0, NULL), -EINVAL);
	expect_rc(kit_unmap(k, ioas, 1, MAX, NULL), -EOVERFLOW);
	expect_rc(kit_unmap(k, ioas, MAX, 1, NULL), -EOVERFLOW);
	expect_rc(kit_unmap(k, ioas, MAX, 0, NULL), -EOVERFLOW);
	expect_rc(kit_unmap(k, ioas, 0x1000, MAX - 1, NULL), -EOVERFLOW);
	expect_rc(kit_unmap(k, ioas, 2, MAX - 1, NULL), -ENOENT); /* ends at the last byte */
	expect_rc(kit_unmap(k, ioas, MAX - 1, 3, NULL), -EOVERFLOW);
}

static void unmap__whole_areas__and_gaps(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	uint64_t n;

	for (uint64_t at = 0x10000; at < 0x50000; at += 0x10000)
		expect_rc(kit_map_at(k, ioas, at, NULL, 0x2000), 0);
	expect_rc(kit_unmap(k, ioas, 0x10000, 0x2000, &n), 0);
	assert_int_equal(n, 0x2000);
	expect_rc(kit_unmap(k, ioas, 0x10000, 0x2000, NULL), -ENOENT);
	expect_rc(kit_unmap(k, ioas, 0x1ffff, 0x10003, NULL), -ENOENT); /* the third sticks out */
	assert_int_equal(kit_areas(k, ioas), 2); /* the second is gone all the same */
	expect_rc(kit_unmap(k, ioas, 1, 0x4ffff, &n), 0);
	assert_int_equal(n, 0x4000);
	assert_int_equal(kit_areas(k, ioas), 0);
	kit_check(k, 0);
}

static void unmap__part_of_an_area__enoent(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	uint64_t n;

	expect_rc(kit_map_at(k, ioas, 0x10000, NULL, 0x2000), 0);
	expect_rc(kit_map_at(k, ioas, 0x20000, NULL, 0x2000), 0);
	expect_rc(kit_unmap(k, ioas, 0x10000, 0x1000, NULL), -ENOENT);
	expect_rc(kit_unmap(k, ioas, 0x11000, 0x1000, NULL), -ENOENT);
	expect_rc(kit_unmap(k, ioas, 0x10000, 0x1fff, NULL), -ENOENT);
	expect_rc(kit_unmap(k, ioas, 0x10001, 0x20000, NULL), -ENOENT); /* both stay */
	assert_int_equal(kit_areas(k, ioas), 2);
	expect_rc(kit_unmap(k, ioas, 0x10000, 0x11fff, NULL), -ENOENT);
	assert_int_equal(kit_areas(k, ioas), 1);
	expect_rc(kit_unmap(k, ioas, 0x20000, 0x2000, &n), 0);
}

static void map__same_memory_twice__two_areas(void **state)
{
	struct kit *k = *state;
	uint32_t a = kit_ioas(k), b = kit_ioas(k);
	char *p = kit_buf(k, P, P);
	uint64_t n;

	expect_rc(kit_map_at(k, a, 0, p, P), 0);
	expect_rc(kit_map_at(k, b, 0, p, P), 0);
	expect_rc(kit_unmap(k, a, 0, P, &n), 0);
	assert_int_equal(kit_areas(k, a), 0);
	assert_int_equal(kit_areas(k, b), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(alloc__flags__eopnotsupp),
		KIT_TEST(ranges__empty_ioas__everything),
		KIT_TEST(ranges__bad_arguments__in_order),
		KIT_TEST(ranges__areas__do_not_matter),
		KIT_TEST(map__arguments__in_order),
		KIT_TEST(map__reserved_field__eopnotsupp),
		KIT_TEST(map__bad_id__before_length),
		KIT_TEST(map__fixed_at_the_edges__accepted),
		KIT_TEST(map__no_device__any_memory_and_alignment),
		KIT_TEST(map__overlap__eexist),
		KIT_TEST(unmap__arguments__in_order),
		KIT_TEST(unmap__whole_areas__and_gaps),
		KIT_TEST(unmap__part_of_an_area__enoent),
		KIT_TEST(map__same_memory_twice__two_areas),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
