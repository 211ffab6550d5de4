// SPDX-License-Identifier: MIT
/* IOMMU_IOAS_ALLOW_IOVAS. */
#include "conform.h"

static int allow(int fd, uint32_t ioas, const struct iommu_iova_range *r, uint32_t n)
{
	struct iommu_ioas_allow_iovas c = {
		.size = sizeof(c), .ioas_id = ioas, .num_iovas = n, .allowed_iovas = (uintptr_t)r
	};

	return ctx_ioctl(fd, IOMMU_IOAS_ALLOW_IOVAS, &c);
}

static uint64_t place(int fd, uint32_t ioas)
{
	uint64_t at = 0;

	REQUIRE(map(fd, ioas, RW, memory(PG), PG, &at), 0);
	REQUIRE(unmap(fd, ioas, at, PG, NULL), 0);
	return at;
}

static void arguments__in_order(void)
{
	static const struct iommu_iova_range keep = { 0x30000, 0x3ffff };
	static const struct iommu_iova_range one = { 5, 5 }, down = { 6, 5 };
	static const struct iommu_iova_range twice[] = { { 0, 0xfff }, { 0xfff, 0x1fff } };
	struct iommu_ioas_allow_iovas c = { .size = sizeof(c), .ioas_id = 99, .__reserved = 1 };
	int fd = ctx_open();
	uint32_t ioas = ioas_alloc(fd);

	CHECK(ctx_ioctl(fd, IOMMU_IOAS_ALLOW_IOVAS, &c), -EOPNOTSUPP);
	CHECK(allow(fd, ioas + 1, NULL, 0), -ENOENT);
	CHECK(allow(fd, ioas, &keep, 1), 0);
	CHECK(allow(fd, ioas, &one, 1), -EINVAL);
	CHECK(allow(fd, ioas, &down, 1), -EINVAL);
	CHECK(allow(fd, ioas, twice, 2), -EINVAL);
	CHECK(allow(fd, ioas, (void *)8, 1), -EFAULT);
	CHECK(place(fd, ioas), 0x30000);
	CHECK(allow(fd, ioas, (void *)8, 0), 0);
	CHECK(place(fd, ioas), 0x1000);
}

static void list__confines_what_is_chosen(void)
{
	static const struct iommu_iova_range r[] = { { 0x11000, 0x11fff }, { 0x10000, 0x10fff } };
	int fd = ctx_open();
	uint32_t ioas = ioas_alloc(fd);
	char *m = memory(2 * PG);
	uint64_t at = 0;

	REQUIRE(allow(fd, ioas, r, 1), 0);
	CHECK(map(fd, ioas, RW, m, 2 * PG, &at), -ENOSPC);
	REQUIRE(allow(fd, ioas, r, 2), 0);
	REQUIRE(map(fd, ioas, RW, m, 2 * PG, &at), 0);
	CHECK(at, 0x10000);
	CHECK(map_at(fd, ioas, 0x100000, m, PG), 0);
}

static void device__reserved__eaddrinuse(void)
{
	struct iommu_iova_range r[64], hole;
	uint32_t ioas, hwpt, id;
	int fd = ctx_open(), dev, n;

	ioas = hwpt = ioas_alloc(fd);
	dev = device_bind(fd, &id);
	REQUIRE(device_attach(dev, &hwpt), 0);
	n = ranges(fd, ioas, r, 64, NULL);
	REQUIRE(n > 0, true);
	if (r[n - 1].last == MAX)
		conform_skip("nothing is reserved at the end");
	hole = (struct iommu_iova_range){ r[n - 1].last + 1, MAX };
	CHECK(allow(fd, ioas, &hole, 1), -EADDRINUSE);
	REQUIRE(device_detach(dev), 0);
	CHECK(allow(fd, ioas, &hole, 1), 0);
	hwpt = ioas;
	CHECK(device_attach(dev, &hwpt), -EADDRINUSE);
	CHECK(allow(fd, ioas, NULL, 0), 0);
	CHECK(device_attach(dev, &hwpt), 0);
}

CONFORM({
	CASE(arguments__in_order),
	CASE(list__confines_what_is_chosen),
	CASE(device__reserved__eaddrinuse),
});
