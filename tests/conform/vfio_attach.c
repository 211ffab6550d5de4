// SPDX-License-Identifier: MIT
/* Attaching a VFIO device to page tables: what the iommufd side answers. */
#include "conform.h"

static void attach__ids(void)
{
	int fd = ctx_open(), dev;
	uint32_t ioas = ioas_alloc(fd), id, pt;

	dev = device_bind(fd, &id);
	pt = 0;
	CHECK(device_attach(dev, &pt), -ENOENT);
	pt = 1000;
	CHECK(device_attach(dev, &pt), -ENOENT);
	pt = id;
	CHECK(device_attach(dev, &pt), -EINVAL);
	CHECK(pt, id);
	pt = ioas;
	CHECK(device_attach(dev, &pt), 0);
	CHECK(pt != ioas, true);
}

/* A second attach of the file is a replace; with the current page table nothing happens. */
static void attach__again__replaces(void)
{
	struct iommu_iova_range r[64];
	int fd = ctx_open(), dev;
	uint32_t a = ioas_alloc(fd), b = ioas_alloc(fd), id, h1, h2, h3;

	dev = device_bind(fd, &id);
	h1 = a;
	REQUIRE(device_attach(dev, &h1), 0);
	h2 = a;
	CHECK(device_attach(dev, &h2), 0);
	CHECK(h2, h1);
	h2 = h1;
	CHECK(device_attach(dev, &h2), 0);
	CHECK(h2, h1);
	h3 = b;
	CHECK(device_attach(dev, &h3), 0);
	CHECK(h3 != h1, true);
	CHECK(destroy(fd, h1), -ENOENT);
	CHECK(destroy(fd, a), 0);
	CHECK(destroy(fd, b), -EBUSY);
	CHECK(ranges(fd, b, r, 64, NULL) >= 1, true);
	CHECK(device_detach(dev), 0);
	CHECK(device_detach(dev), 0);
	CHECK(destroy(fd, b), 0);
}

static void attach__area_in_the_way__eaddrinuse(void)
{
	struct iommu_iova_range r[64];
	int fd = ctx_open(), dev, n;
	uint32_t ioas = ioas_alloc(fd), id, pt = ioas;
	char *m = memory(PG);

	dev = device_bind(fd, &id);
	REQUIRE(device_attach(dev, &pt), 0);
	n = ranges(fd, ioas, r, 64, NULL);
	REQUIRE(device_detach(dev), 0);
	if (n < 1 || r[n - 1].last == MAX)
		conform_skip("the device reaches every IOVA");
	REQUIRE(map_at(fd, ioas, r[n - 1].last + 1, m, PG), 0);
	pt = ioas;
	CHECK(device_attach(dev, &pt), -EADDRINUSE);
	CHECK(pt, ioas);
	CHECK(ranges(fd, ioas, r, 64, NULL), 1);
	REQUIRE(unmap(fd, ioas, 0, MAX, NULL), 0);
	CHECK(device_attach(dev, &pt), 0);
}

CONFORM({
	CASE(attach__ids),
	CASE(attach__again__replaces),
	CASE(attach__area_in_the_way__eaddrinuse),
});
