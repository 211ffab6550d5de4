// SPDX-License-Identifier: MIT
/* IOMMU_HWPT_ALLOC: page tables on an IOAS. */
#include "conform.h"

static int alloc(int fd, uint32_t flags, uint32_t dev, uint32_t pt, uint32_t *id)
{
	struct iommu_hwpt_alloc c = {
		.size = sizeof(c), .flags = flags, .dev_id = dev, .pt_id = pt, .__reserved2 = 1
	};
	int rc = ctx_ioctl(fd, IOMMU_HWPT_ALLOC, &c);

	*id = c.out_hwpt_id;
	return rc;
}

static void arguments__in_order(void)
{
	struct iommu_hwpt_alloc c = { .size = sizeof(c), .data_len = 8, .__reserved = 1 };
	int fd = ctx_open();
	uint32_t ioas = ioas_alloc(fd), id, h;

	device_bind(fd, &id);
	CHECK(ctx_ioctl(fd, IOMMU_HWPT_ALLOC, &c), -EOPNOTSUPP);
	c.__reserved = 0;
	CHECK(ctx_ioctl(fd, IOMMU_HWPT_ALLOC, &c), -EINVAL);
	c.data_type = 1;
	CHECK(ctx_ioctl(fd, IOMMU_HWPT_ALLOC, &c), -ENOENT);
	c.data_len = 0;
	CHECK(ctx_ioctl(fd, IOMMU_HWPT_ALLOC, &c), -EINVAL);
	CHECK(alloc(fd, 0, ioas, ioas, &h), -ENOENT);
	CHECK(alloc(fd, 0, id, 9999, &h), -EINVAL);
	CHECK(alloc(fd, 0, id, id, &h), -EINVAL);
	CHECK(alloc(fd, 0x10, id, ioas, &h), -EOPNOTSUPP);
	CHECK(alloc(fd, IOMMU_HWPT_ALLOC_NEST_PARENT | IOMMU_HWPT_FAULT_ID_VALID, id, ioas, &h),
	      -EOPNOTSUPP);
	CHECK(destroy(fd, ioas), 0);
}

static void manual__stays_and_is_never_chosen(void)
{
	int fd = ctx_open(), dev;
	uint32_t ioas = ioas_alloc(fd), id, h, pt;

	dev = device_bind(fd, &id);
	REQUIRE(alloc(fd, 0, id, ioas, &h), 0);
	CHECK(destroy(fd, ioas), -EBUSY);
	pt = h;
	REQUIRE(device_attach(dev, &pt), 0);
	CHECK(pt, h);
	CHECK(destroy(fd, h), -EBUSY);
	REQUIRE(device_detach(dev), 0);
	pt = ioas;
	REQUIRE(device_attach(dev, &pt), 0);
	CHECK(pt != h, true);
	REQUIRE(device_detach(dev), 0);
	CHECK(destroy(fd, pt), -ENOENT); /* gone with its device */
	CHECK(alloc(fd, IOMMU_HWPT_ALLOC_DIRTY_TRACKING, id, h, &pt), -EOPNOTSUPP);
	CHECK(destroy(fd, h), 0);
	CHECK(destroy(fd, ioas), 0);
}

static void unreadable_memory__efault(void)
{
	int fd = ctx_open();
	uint32_t ioas = ioas_alloc(fd), id, h;
	struct iommu_iova_range r;
	uint64_t align = 0;

	device_bind(fd, &id);
	REQUIRE(map_at(fd, ioas, 0x10000000, memory(PG), PG), 0);
	REQUIRE(map_at(fd, ioas, 0x20000000, (void *)(8 * PG), PG), 0);
	CHECK(alloc(fd, 0, id, ioas, &h), -EFAULT);
	CHECK(ranges(fd, ioas, &r, 1, &align), 1);
	CHECK(align, 1);
	CHECK(destroy(fd, ioas), 0);
}

CONFORM({
	CASE(arguments__in_order),
	CASE(manual__stays_and_is_never_chosen),
	CASE(unreadable_memory__efault),
});
