// SPDX-License-Identifier: MIT
/* IOAS_COPY: arguments, slices, and who holds the pages when. */
#include "kit.h"

#include <sys/mman.h>

#define P PAGE_SIZE

struct copy {
	uint32_t flags, dst, src;
	uint64_t len, to, from;
};

static int copy(struct kit *k, struct copy *c)
{
	struct iommu_ioas_copy cmd = {
		.size = sizeof(cmd),
		.flags = c->flags,
		.dst_ioas_id = c->dst,
		.src_ioas_id = c->src,
		.length = c->len,
		.dst_iova = c->to,
		.src_iova = c->from,
	};
	int rc = kit_ioctl(k, IOMMU_IOAS_COPY, &cmd);

	c->to = cmd.dst_iova;
	return rc;
}

static int copy_at(struct kit *k, uint32_t dst, uint64_t to, uint32_t src, uint64_t from,
		   uint64_t len)
{
	struct copy c = { FIXED | RW, dst, src, len, to, from };

	return copy(k, &c);
}

static void copy__arguments__in_order(void **state)
{
	struct kit *k = *state;
	uint32_t s = kit_ioas(k), d = kit_ioas(k), none = d + 7;
	const struct {
		struct copy c;
		int want;
	} cases[] = {
		{ { 0x8 | RW, none, none, MAX, 0, 0 }, -EOPNOTSUPP },
		{ { RD, none, none, MAX, 0, 0 }, -EOVERFLOW },
		{ { FIXED, none, none, P, MAX, 0 }, -EOVERFLOW },
		{ { 0, none, none, P, 0, MAX }, -EOVERFLOW },
		{ { FIXED, none, none, 0, 0, 0 }, -EINVAL },
		{ { RD, d, none, 0, 0, 0 }, -ENOENT },
		{ { RD, none, s, 0, 0, 0 }, -EINVAL },
		{ { RD, none, s, P, 0, MAX - 5 }, -EOVERFLOW },
		{ { RD, none, s, P, 0, 0x20000 }, -ENOENT },
		{ { RD, none, s, P, 0, 0x10000 }, -ENOENT }, /* the destination */
		{ { RD, d, s, P + 1, 0, 0x10000 }, -ENOENT },
		{ { RD, d, s, P, 0, 0xffff }, -ENOENT },
		{ { RD, d, s, 0x20000 + P, 0, 0x10000 }, -ENOENT }, /* a hole */
	};

	expect_rc(kit_map_at(k, s, 0x10000, NULL, P), 0);
	expect_rc(kit_map_at(k, s, 0x30000, NULL, P), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct copy c = cases[i].c;

		expect_rc(copy(k, &c), cases[i].want);
		assert_string_not_equal(why_last(), "");
	}
	assert_int_equal(kit_areas(k, d), 0);
	kit_check(k, 0);
}

static void copy__several_areas__one_for_each(void **state)
{
	struct kit *k = *state;
	struct kit_dev *dev = kit_device(k, -1);
	uint32_t s = kit_ioas(k), d = kit_ioas(k);
	char *p = kit_buf(k, 8 * P, P);
	unsigned char b;

	kit_bind(k, dev);
	kit_attach(dev, d);
	expect_rc(kit_map_at(k, s, 0x10000, p, 2 * P), 0);
	expect_rc(kit_map_at(k, s, 0x12000, p + 4 * P, P), 0);
	expect_rc(kit_map_at(k, s, 0x13000, p + 6 * P, 2 * P), 0);
	expect_rc(copy_at(k, d, 0x100000, s, 0x11000, 3 * P), 0);
	assert_int_equal(kit_areas(k, d), 3);
	kit_check(k, 3);
	for (unsigned i = 0; i < 3; i++) {
		expect_rc(kit_dma_read(dev, 0x100000 + i * P, &b), 0);
		assert_int_equal(b, 2 + (i ? 1 + 2 * i : 0)); /* pages 1, 4, 6 */
	}
	expect_rc(kit_unmap(k, d, 0x100000, P, NULL), 0);
	kit_check(k, 2);
	/* The source goes; what was copied stays. */
	expect_rc(kit_destroy(k, s), 0);
	kit_check(k, 2);
	expect_rc(kit_dma_read(dev, 0x102000, &b), 0);
	assert_int_equal(b, 7);
	expect_rc(kit_unmap(k, d, 0, MAX, NULL), 0);
	kit_check(k, 0);
}

static void copy__pinned_already__pinned_and_charged_once(void **state)
{
	struct kit *k = *state;
	struct kit_dev *d1 = kit_device(k, -1), *d2 = kit_device2(k);
	uint32_t s = kit_ioas(k), d = kit_ioas(k);
	char *p = kit_buf(k, 4 * MIB, 2 * MIB);
	unsigned char b;

	kit_bind(k, d1);
	kit_bind(k, d2);
	kit_attach(d1, s);
	kit_attach(d2, d);
	expect_rc(kit_map_at(k, s, 4 * MIB, p, 4 * MIB), 0);
	kit_check(k, 1024);
	expect_rc(copy_at(k, d, 0x7000000, s, 4 * MIB, 4 * MIB), 0);
	kit_check(k, 1024);
	/* Part of it again, in the same IOAS. */
	expect_rc(copy_at(k, s, 0x10000000, s, 4 * MIB + 5 * P, 7 * P), 0);
	expect_rc(copy_at(k, s, 0x10000000 + P, s, 4 * MIB, P), -EEXIST);
	kit_check(k, 1024);
	expect_rc(kit_unmap(k, s, 4 * MIB, 4 * MIB, NULL), 0);
	kit_check(k, 1024);
	expect_rc(kit_dma_read(d2, 0x7000000 + 6 * P, &b), 0);
	assert_int_equal(b, 7);
	expect_rc(kit_unmap(k, d, 0x7000000, 4 * MIB, NULL), 0);
	kit_check(k, 7);
	expect_rc(kit_dma_read(d1, 0x10000000 + P, &b), 0);
	assert_int_equal(b, 7);
	expect_rc(kit_unmap(k, s, 0, MAX, NULL), 0);
	kit_check(k, 0);
}

static void copy__write__needs_writable_pages(void **state)
{
	struct kit *k = *state;
	uint32_t s = kit_ioas(k), d = kit_ioas(k);
	char *p = kit_buf(k, P, P);
	struct copy c = { FIXED | RW, d, s, P, 0x1000, 0x1000 };
	uint64_t at = 0x1000;

	expect_rc(kit_map(k, s, FIXED | RD, p, P, &at), 0);
	expect_rc(copy(k, &c), -EPERM);
	c.flags = FIXED | RD;
	expect_rc(copy(k, &c), 0);
	/* Writable pages copied for reading can be copied for writing again. */
	expect_rc(kit_map_at(k, s, 0x2000, p, P), 0);
	c.to = c.from = 0x2000;
	expect_rc(copy(k, &c), 0);
	expect_rc(copy_at(k, d, 0x3000, d, 0x2000, P), 0);
	assert_int_equal(kit_areas(k, d), 3);
	kit_check(k, 0);
}

static void copy__odd_offsets__without_domain(void **state)
{
	struct kit *k = *state;
	uint32_t s = kit_ioas(k), d = kit_ioas(k);
	char *p = kit_buf(k, 4 * P, P);
	struct copy c = { RW, d, s, P, 0, 0x10000 + 3 * P };

	expect_rc(kit_map_at(k, s, 0x10000, p + 100, 2 * P), 0);
	expect_rc(copy_at(k, d, 0x777, s, 0x10000 + 5, P), 0);
	kit_check(k, 0);
	expect_rc(kit_map_at(k, s, 0x10000 + 2 * P, p, 0x1800), 0);
	/* A device wants pages: the source does, the odd copy does not comply. */
	struct kit_dev *dev = kit_device(k, -1);
	uint32_t pt = d;

	kit_bind(k, dev);
	expect_rc(iommufd_device_attach(dev->idev, &pt), -EADDRINUSE);
	expect_rc(kit_unmap(k, d, 0, MAX, NULL), 0);
	kit_attach(dev, d);
	expect_rc(copy_at(k, d, 0x5000, s, 0x10000, P), -EINVAL); /* offset 100 */
	expect_rc(copy_at(k, d, 0x5000, s, 0x10000 + 2 * P, 0x1800), -EINVAL);
	expect_rc(copy_at(k, d, 0x5000, s, 0x10000 + 2 * P, P), 0);
	kit_check(k, 1);
	c.len = 0x800;
	expect_rc(copy(k, &c), -EINVAL);
	/* Two halves add up to a page, but each is one entry. */
	expect_rc(kit_map_at(k, s, 0x40000, p, 0x800), 0);
	expect_rc(kit_map_at(k, s, 0x40800, p + P, 0x800), 0);
	expect_rc(copy_at(k, d, 0x9000, s, 0x40000, P), -EINVAL);
	kit_check(k, 1);
}

static void copy__automatic__placed_by_the_address(void **state)
{
	struct kit *k = *state;
	uint32_t s = kit_ioas(k), d = kit_ioas(k);
	char *p = kit_buf(k, 2 * MIB, 2 * MIB);
	struct copy c = { RW, d, s, 4 * P, 0, 0x10000 + 2 * P };

	expect_rc(kit_map_at(k, s, 0x10000, p, 2 * MIB), 0);
	expect_rc(copy(k, &c), 0);
	assert_int_equal(c.to, 2 * P); /* not the source's IOVA: the lowest bit of p + 2 pages */
	c.to = 0;
	c.from = 0x10000 + 0x800;
	c.len = P;
	expect_rc(copy(k, &c), 0);
	assert_int_equal(c.to, 0x6800);
	kit_check(k, 0);
}

static void copy__last_byte_of_all__accepted(void **state)
{
	struct kit *k = *state;
	uint32_t s = kit_ioas(k), d = kit_ioas(k);

	expect_rc(kit_map_at(k, s, MAX - P + 1, NULL, P), 0);
	expect_rc(kit_map_at(k, s, MAX - 2 * P + 1, NULL, P), 0);
	expect_rc(copy_at(k, d, MAX - 2 * P + 1, s, MAX - 2 * P + 1, 2 * P), 0);
	assert_int_equal(kit_areas(k, d), 2);
	expect_rc(copy_at(k, d, MAX - 2 * P + 2, s, MAX - 2 * P + 1, 2 * P), -EOVERFLOW);
	kit_check(k, 0);
}

static void copy__second_slice_unreadable__undone(void **state)
{
	struct kit *k = *state;
	struct kit_dev *dev = kit_device(k, -1);
	uint32_t s = kit_ioas(k), d = kit_ioas(k);
	char *p = kit_buf(k, 2 * P, P);

	kit_bind(k, dev);
	kit_attach(dev, d);
	expect_rc(kit_map_at(k, s, 0x10000, p, 2 * P), 0);
	expect_rc(kit_map_at(k, s, 0x12000, (void *)(8 * P), P), 0);
	expect_rc(copy_at(k, d, 0x100000, s, 0x10000, 3 * P), -EFAULT);
	assert_int_equal(kit_areas(k, d), 0);
	kit_check(k, 0);
	expect_rc(copy_at(k, d, 0x100000, s, 0x10000, 2 * P), 0);
	kit_check(k, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(copy__arguments__in_order),
		KIT_TEST(copy__several_areas__one_for_each),
		KIT_TEST(copy__pinned_already__pinned_and_charged_once),
		KIT_TEST(copy__write__needs_writable_pages),
		KIT_TEST(copy__odd_offsets__without_domain),
		KIT_TEST(copy__automatic__placed_by_the_address),
		KIT_TEST(copy__last_byte_of_all__accepted),
		KIT_TEST(copy__second_slice_unreadable__undone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
