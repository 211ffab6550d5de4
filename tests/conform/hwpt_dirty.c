// SPDX-License-Identifier: MIT
/* IOMMU_HWPT_SET_DIRTY_TRACKING and IOMMU_HWPT_GET_DIRTY_BITMAP, as far as no device writes. */
#include "conform.h"

static int set(int fd, uint32_t hwpt, uint32_t flags)
{
	struct iommu_hwpt_set_dirty_tracking c = {
		.size = sizeof(c), .flags = flags, .hwpt_id = hwpt, .__reserved = 1
	};

	return ctx_ioctl(fd, IOMMU_HWPT_SET_DIRTY_TRACKING, &c);
}

static int get(int fd, uint32_t hwpt, uint32_t flags, uint64_t iova, uint64_t len, uint64_t page,
	       void *bits)
{
	struct iommu_hwpt_get_dirty_bitmap c = {
		.size = sizeof(c),
		.hwpt_id = hwpt,
		.flags = flags,
		.iova = iova,
		.length = len,
		.page_size = page,
		.data = (uintptr_t)bits,
	};

	return ctx_ioctl(fd, IOMMU_HWPT_GET_DIRTY_BITMAP, &c);
}

static uint32_t alloc(int fd, uint32_t flags, uint32_t dev, uint32_t ioas)
{
	struct iommu_hwpt_alloc c = {
		.size = sizeof(c), .flags = flags, .dev_id = dev, .pt_id = ioas
	};
	int rc = ctx_ioctl(fd, IOMMU_HWPT_ALLOC, &c);

	if (rc == -EOPNOTSUPP && flags)
		conform_skip("the IOMMU has no dirty tracking");
	REQUIRE(rc, 0);
	return c.out_hwpt_id;
}

static void arguments__in_order(void)
{
	int fd = ctx_open();
	uint32_t ioas = ioas_alloc(fd), id, plain, h;
	uint64_t bits = 0;

	device_bind(fd, &id);
	plain = alloc(fd, 0, id, ioas);
	CHECK(set(fd, 9999, 2), -EOPNOTSUPP);
	CHECK(set(fd, 9999, 1), -ENOENT);
	CHECK(set(fd, ioas, 1), -ENOENT);
	CHECK(set(fd, plain, 1), -EOPNOTSUPP);
	CHECK(get(fd, plain, 0, 0, PG, 0, &bits), -EINVAL);
	CHECK(get(fd, plain, 0, 0, PG, PG, &bits), -EOPNOTSUPP);
	h = alloc(fd, IOMMU_HWPT_ALLOC_DIRTY_TRACKING, id, ioas);
	CHECK(set(fd, h, 0), 0);
	CHECK(set(fd, h, 1), 0);
	CHECK(set(fd, h, 1), 0);
	CHECK(get(fd, 9999, 2, 0, 0, 0, &bits), -EOPNOTSUPP);
	CHECK(get(fd, 9999, 0, 0, 0, 0, &bits), -ENOENT);
	CHECK(get(fd, h, 0, 0, 0, 0, &bits), -EINVAL);
	CHECK(get(fd, h, 0, MAX - 5, PG, 0, &bits), -EOVERFLOW);
	CHECK(get(fd, h, 0, 100, PG, PG, &bits), -EINVAL);
	CHECK(get(fd, h, 0, 0, PG, 0, &bits), -EINVAL);
	CHECK(get(fd, h, 0, 0, 3 * PG, 2 * PG, &bits), -EINVAL);
	CHECK(bits, 0);
}

static void nothing_written__nothing_dirty(void)
{
	int fd = ctx_open(), n;
	uint32_t ioas = ioas_alloc(fd), id, h;
	struct iommu_iova_range r[64];
	uint64_t bits = 0x8000, at;

	device_bind(fd, &id);
	h = alloc(fd, IOMMU_HWPT_ALLOC_DIRTY_TRACKING, id, ioas);
	n = ranges(fd, ioas, r, 64, NULL);
	REQUIRE(n > 0, true);
	at = (r[n - 1].start + 2 * MIB2 - 1) & ~(MIB2 - 1);
	CHECK(get(fd, h, 0, at, 64 * PG, PG, NULL), 0); /* nothing is mapped */
	REQUIRE(map_at(fd, ioas, at, memory(64 * PG), 64 * PG), 0);
	CHECK(set(fd, h, 1), 0);
	CHECK(get(fd, h, 0, at, 64 * PG, PG, &bits), 0);
	CHECK(bits, 0x8000);
	CHECK(get(fd, h, IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR, at - PG, 8 * PG, PG, &bits), 0);
	CHECK(bits, 0x8000);
	CHECK(get(fd, h, 0, at, 64 * PG, PG, (void *)8), 0);
	CHECK(set(fd, h, 0), 0);
	CHECK(destroy(fd, h), 0);
}

CONFORM({
	CASE(arguments__in_order),
	CASE(nothing_written__nothing_dirty),
});
