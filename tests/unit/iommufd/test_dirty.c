// SPDX-License-Identifier: MIT
/* HWPT_SET_DIRTY_TRACKING and HWPT_GET_DIRTY_BITMAP. */
#include "kit.h"

#include <sys/mman.h>

#define P        PAGE_SIZE
#define AT       0x10000000ull
#define NO_CLEAR IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR
#define DIRTY    IOMMU_HWPT_ALLOC_DIRTY_TRACKING

static int set(struct kit *k, uint32_t hwpt, uint32_t flags)
{
	struct iommu_hwpt_set_dirty_tracking c = {
		.size = sizeof(c), .flags = flags, .hwpt_id = hwpt, .__reserved = 1
	};

	return kit_ioctl(k, IOMMU_HWPT_SET_DIRTY_TRACKING, &c);
}

struct get {
	uint32_t hwpt, flags;
	uint64_t iova, len, page;
};

static int get(struct kit *k, struct get g, void *bits)
{
	struct iommu_hwpt_get_dirty_bitmap c = {
		.size = sizeof(c),
		.hwpt_id = g.hwpt,
		.flags = g.flags,
		.iova = g.iova,
		.length = g.len,
		.page_size = g.page,
		.data = (uintptr_t)bits,
	};

	return kit_ioctl(k, IOMMU_HWPT_GET_DIRTY_BITMAP, &c);
}

static uint64_t bits_of(struct kit *k, uint32_t hwpt, uint32_t flags, uint64_t iova, uint64_t n)
{
	uint64_t bits = 0;

	expect_rc(get(k, (struct get){ hwpt, flags, iova, n * P, P }, &bits), 0);
	return bits;
}

static uint32_t alloc(struct kit *k, uint32_t flags, uint32_t dev, uint32_t ioas)
{
	struct iommu_hwpt_alloc c = {
		.size = sizeof(c), .flags = flags, .dev_id = dev, .pt_id = ioas
	};

	expect_rc(kit_ioctl(k, IOMMU_HWPT_ALLOC, &c), 0);
	return c.out_hwpt_id;
}

struct scene {
	struct kit *k;
	struct kit_dev *d;
	uint32_t ioas, hwpt;
};

/* A device on a page table that tracks; entries of a page unless @large. */
static struct scene scene(void **state, bool large)
{
	struct scene s = { .k = *state };
	struct iommu_option c = { .size = sizeof(c),
				  .option_id = IOMMU_OPTION_HUGE_PAGES,
				  .val64 = large };

	s.d = kit_device(s.k, -1);
	s.ioas = kit_ioas(s.k);
	c.object_id = s.ioas;
	expect_rc(kit_ioctl(s.k, IOMMU_OPTION, &c), 0);
	kit_bind(s.k, s.d);
	s.hwpt = alloc(s.k, DIRTY, s.d->id, s.ioas);
	kit_attach(s.d, s.hwpt);
	return s;
}

static void touch(struct scene *s, uint64_t page)
{
	expect_rc(kit_dma_write(s->d, AT + page * P + 5, 1), 0);
}

static void set__arguments__in_order(void **state)
{
	struct scene s = scene(state, true);
	uint32_t plain = alloc(s.k, 0, s.d->id, s.ioas);

	expect_rc(set(s.k, 99, 2), -EOPNOTSUPP);
	expect_rc(set(s.k, 99, 1), -ENOENT);
	expect_rc(set(s.k, s.ioas, 1), -ENOENT);
	expect_rc(set(s.k, plain, 1), -EOPNOTSUPP);
	expect_rc(set(s.k, plain, 0), -EOPNOTSUPP);
	for (unsigned i = 0; i < 4; i++)
		expect_rc(set(s.k, s.hwpt, i / 2), 0);
	kit_check(s.k, 0);
}

static void get__arguments__in_order(void **state)
{
	struct scene s = scene(state, false);
	uint32_t plain = alloc(s.k, 0, s.d->id, s.ioas), h = s.hwpt;
	const struct {
		struct get g;
		int want;
	} cases[] = {
		{ { 99, 2, 0, 0, 0 }, -EOPNOTSUPP },
		{ { 99, 0, 0, 0, 0 }, -ENOENT },
		{ { s.ioas, 0, 0, 0, 0 }, -ENOENT },
		{ { h, 0, AT, 0, P }, -EINVAL },
		{ { h, 0, MAX - 5, 2 * P, 0 }, -EOVERFLOW },
		{ { h, 0, AT + 0x800, P, P }, -EINVAL },
		{ { h, 0, AT, P + 0x800, 0x800 }, -EINVAL },
		{ { h, 0, AT, P, 0 }, -EINVAL },
		{ { h, 0, AT, 3 * P, 2 * P }, -EINVAL },
		{ { plain, 0, AT, P, 0 }, -EINVAL },
		{ { plain, 0, AT, P, P }, -EOPNOTSUPP },
		{ { h, 0, AT, P, P }, 0 },
		{ { h, 0, MAX - P + 1, P, P }, 0 },
		{ { h, 0, 0, 1ull << 63, P }, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		expect_rc(get(s.k, cases[i].g, NULL), cases[i].want);
	kit_check(s.k, 0);
}

static void get__bits__relative_ored_cleared(void **state)
{
	struct scene s = scene(state, false);
	char *p = kit_buf(s.k, 64 * P, P);
	uint64_t bits = 1ull << 63;
	unsigned char b;

	expect_rc(kit_map_at(s.k, s.ioas, AT, p, 60 * P), 0);
	touch(&s, 1);
	assert_true(bits_of(s.k, s.hwpt, 0, AT, 60) == 0); /* nobody has asked for it yet */
	expect_rc(set(s.k, s.hwpt, 1), 0);
	touch(&s, 3);
	touch(&s, 4);
	touch(&s, 17);
	expect_rc(kit_dma_read(s.d, AT + 9 * P, &b), 0);
	assert_true(bits_of(s.k, s.hwpt, NO_CLEAR, AT, 60) == (0x18 | 1 << 17));
	assert_true(bits_of(s.k, s.hwpt, NO_CLEAR, AT + 3 * P, 20) == (3 | 1 << 14));
	assert_true(bits_of(s.k, s.hwpt, NO_CLEAR, AT + 4 * P, 10) == 1);
	expect_rc(get(s.k, (struct get){ s.hwpt, 0, AT, 10 * P, P }, &bits), 0);
	assert_true(bits == (1ull << 63 | 0x18));
	assert_true(bits_of(s.k, s.hwpt, 0, AT, 60) == 1 << 17); /* not asked for before */
	assert_true(bits_of(s.k, s.hwpt, 0, AT, 60) == 0);
	touch(&s, 3); /* the IOTLB has forgotten that it is dirty */
	assert_true(bits_of(s.k, s.hwpt, NO_CLEAR, AT, 60) == 8);
	expect_rc(set(s.k, s.hwpt, 1), 0);
	assert_true(bits_of(s.k, s.hwpt, 0, AT, 60) == 0);
	kit_check(s.k, 60);
}

static void get__gaps__end_the_walk(void **state)
{
	struct scene s = scene(state, false);
	char *p = kit_buf(s.k, 64 * P, P);

	expect_rc(set(s.k, s.hwpt, 1), 0);
	expect_rc(kit_map_at(s.k, s.ioas, AT, p, 2 * P), 0);
	expect_rc(kit_map_at(s.k, s.ioas, AT + 2 * P, p, 2 * P), 0);
	expect_rc(kit_map_at(s.k, s.ioas, AT + 5 * P, p, 2 * P), 0);
	for (unsigned i = 0; i < 7; i++)
		if (i != 4)
			touch(&s, i);
	assert_true(bits_of(s.k, s.hwpt, NO_CLEAR, AT - P, 9) == 0);
	assert_true(bits_of(s.k, s.hwpt, NO_CLEAR, AT, 8) == 0xf);
	assert_true(bits_of(s.k, s.hwpt, 0, AT + 3 * P, 8) == 1);
	assert_true(bits_of(s.k, s.hwpt, 0, AT + 5 * P, 2) == 3);
	assert_true(bits_of(s.k, s.hwpt, 0, AT, 8) == 7);
}

static void get__granule__larger_and_smaller(void **state)
{
	struct scene s = scene(state, false);
	char *p = kit_buf(s.k, 64 * P, P);
	uint8_t bits[600] = { 0 };

	expect_rc(set(s.k, s.hwpt, 1), 0);
	expect_rc(kit_map_at(s.k, s.ioas, AT, p, 64 * P), 0);
	touch(&s, 1);
	touch(&s, 7);
	expect_rc(get(s.k, (struct get){ s.hwpt, NO_CLEAR, AT, 64 * P, 4 * P }, bits), 0);
	assert_int_equal(bits[0], 3);
	assert_int_equal(bits[1], 0);
	bits[0] = 0;
	expect_rc(get(s.k, (struct get){ s.hwpt, NO_CLEAR, AT, 64 * P, 0x800 }, bits), 0);
	assert_int_equal(bits[0], 0xc);
	assert_int_equal(bits[1], 0xc0);
	bits[0] = bits[1] = 0;
	/* A bit for each byte, and a pointer to anywhere: 16 pages of 512 bytes of bitmap. */
	uint8_t *fine = (uint8_t *)kit_buf(s.k, 10 * P, P) + 13;

	memset(fine, 0, 8 * 512 + 1);
	expect_rc(get(s.k, (struct get){ s.hwpt, 0, AT, 8 * P, 1 }, fine), 0);
	for (unsigned i = 0; i <= 8 * 512; i++)
		assert_int_equal(fine[i], i / 512 == 1 || i / 512 == 7 ? 0xff : 0);
	assert_true(bits_of(s.k, s.hwpt, 0, AT, 64) == 0);
}

static void get__large_entry__all_its_bits(void **state)
{
	struct scene s = scene(state, true);
	char *p = kit_buf(s.k, 4 * MIB, 2 * MIB);
	uint8_t bits[130];

	expect_rc(set(s.k, s.hwpt, 1), 0);
	expect_rc(kit_map_at(s.k, s.ioas, AT, p, 4 * MIB), 0);
	touch(&s, 600); /* in the second entry */
	memset(bits, 0, sizeof(bits));
	/* Part of it: clipped, and it stays dirty for whoever asks for the rest. */
	expect_rc(get(s.k, (struct get){ s.hwpt, 0, AT + 500 * P, 16 * P, P }, bits), 0);
	assert_int_equal(bits[0], 0);
	assert_int_equal(bits[1], 0xf0);
	assert_int_equal(bits[2], 0);
	memset(bits, 0, sizeof(bits));
	expect_rc(get(s.k, (struct get){ s.hwpt, 0, AT, 4 * MIB, P }, bits + 1), 0);
	for (unsigned i = 0; i < 130; i++)
		assert_int_equal(bits[i], i >= 65 && i < 129 ? 0xff : 0);
	memset(bits, 0, sizeof(bits));
	expect_rc(get(s.k, (struct get){ s.hwpt, 0, AT, 4 * MIB, P }, bits), 0);
	for (unsigned i = 0; i < 130; i++)
		assert_int_equal(bits[i], 0);
}

static void get__bitmap_not_writable__nothing_is_lost(void **state)
{
	struct scene s = scene(state, false);
	char *p = kit_buf(s.k, 64 * P, P);
	uint64_t *ro = mmap(NULL, P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(ro, MAP_FAILED);
	expect_rc(set(s.k, s.hwpt, 1), 0);
	expect_rc(kit_map_at(s.k, s.ioas, AT, p, 64 * P), 0);
	touch(&s, 2);
	expect_rc(get(s.k, (struct get){ s.hwpt, 0, AT, 64 * P, P }, ro), 0);
	expect_rc(get(s.k, (struct get){ s.hwpt, 0, AT, 64 * P, P }, (void *)8), 0);
	expect_rc(get(s.k, (struct get){ s.hwpt, 0, AT, 64 * P, P }, (void *)(uintptr_t)(MAX - 3)),
		  0);
	assert_true(bits_of(s.k, s.hwpt, 0, AT, 64) == 4);
	munmap(ro, P);
}

static void get__fails_anywhere__dirty_or_reported(void **state)
{
	struct scene s = scene(state, false);
	char *p = kit_buf(s.k, 64 * P, P);
	bool fired = true;

	expect_rc(set(s.k, s.hwpt, 1), 0);
	expect_rc(kit_map_at(s.k, s.ioas, AT, p, 64 * P), 0);
	for (unsigned n = 1; fired; n++) {
		uint64_t bits = 0;
		int rc;

		assert_true(n < 20);
		touch(&s, 6);
		fault_arm(n, false);
		rc = get(s.k, (struct get){ s.hwpt, 0, AT, 64 * P, P }, &bits);
		fault_disarm(&fired);
		if (rc)
			assert_true(fired && (rc == -ENOMEM || rc == -EFAULT));
		if (bits != 1 << 6)
			assert_true(bits_of(s.k, s.hwpt, 0, AT, 64) == 1 << 6);
	}
	kit_check(s.k, 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(set__arguments__in_order),
		KIT_TEST(get__arguments__in_order),
		KIT_TEST(get__bits__relative_ored_cleared),
		KIT_TEST(get__gaps__end_the_walk),
		KIT_TEST(get__granule__larger_and_smaller),
		KIT_TEST(get__large_entry__all_its_bits),
		KIT_TEST(get__bitmap_not_writable__nothing_is_lost),
		KIT_TEST(get__fails_anywhere__dirty_or_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
