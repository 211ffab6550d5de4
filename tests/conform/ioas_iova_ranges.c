// SPDX-License-Identifier: MIT
/* IOMMU_IOAS_IOVA_RANGES. */
#include "conform.h"

static void arguments__in_order(void)
{
	struct iommu_ioas_iova_ranges c = { .size = sizeof(c), .ioas_id = 9, .__reserved = 1 };
	int fd = ctx_open();

	CHECK(ctx_ioctl(fd, IOMMU_IOAS_IOVA_RANGES, &c), -EOPNOTSUPP);
	c.__reserved = 0;
	CHECK(ctx_ioctl(fd, IOMMU_IOAS_IOVA_RANGES, &c), -ENOENT);
	c.ioas_id = ioas_alloc(fd);
	c.num_iovas = 1;
	CHECK(ctx_ioctl(fd, IOMMU_IOAS_IOVA_RANGES, &c), -EFAULT);
	c.num_iovas = 0;
	CHECK(ctx_ioctl(fd, IOMMU_IOAS_IOVA_RANGES, &c), -EMSGSIZE);
	CHECK(c.num_iovas, 1);
	CHECK(c.out_iova_alignment, 1);
}

static void areas__do_not_matter(void)
{
	struct iommu_iova_range r[3];
	char *m = memory(PG);
	int fd = ctx_open();
	uint32_t ioas = ioas_alloc(fd);

	REQUIRE(map_at(fd, ioas, 0x10000, m, PG), 0);
	CHECK(ranges(fd, ioas, r, 3, NULL), 1);
}

/* What every device behind any IOMMU keeps to, and that it goes with the device. */
static void device__ranges_come_and_go(void)
{
	struct iommu_iova_range r[64], one = { 1, 1 };
	struct iommu_ioas_iova_ranges c = { .size = sizeof(c),
					    .num_iovas = 1,
					    .allowed_iovas = (uintptr_t)&one };
	int fd = ctx_open(), dev, n;
	uint32_t ioas = ioas_alloc(fd), hwpt = ioas, id;
	uint64_t align = 0;

	dev = device_bind(fd, &id);
	CHECK(ranges(fd, ioas, r, 64, &align), 1);
	CHECK(align, 1);
	REQUIRE(device_attach(dev, &hwpt), 0);
	n = ranges(fd, ioas, r, 64, &align);
	REQUIRE(n > 0 && n <= 64, true);
	CHECK(align && align <= PG && !(align & (align - 1)), true);
	for (int i = 0; i < n; i++) {
		CHECK(r[i].start < r[i].last, true);
		CHECK(i == 0 || r[i - 1].last + 1 < r[i].start, true);
	}
	if (n > 1) {
		c.ioas_id = ioas;
		CHECK(ctx_ioctl(fd, IOMMU_IOAS_IOVA_RANGES, &c), -EMSGSIZE);
		CHECK(c.num_iovas, n);
		CHECK(one.start == r[0].start && one.last == r[0].last, true);
		CHECK(c.out_iova_alignment, align);
	}
	REQUIRE(device_detach(dev), 0);
	CHECK(ranges(fd, ioas, r, 64, &align), 1);
	CHECK(align, 1);
}

CONFORM({
	CASE(arguments__in_order),
	CASE(areas__do_not_matter),
	CASE(device__ranges_come_and_go),
});
