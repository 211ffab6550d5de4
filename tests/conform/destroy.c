// SPDX-License-Identifier: MIT
/* IOMMU_DESTROY, and which ids there are. */
#include "conform.h"

static void never_issued__enoent(void)
{
	int fd = ctx_open();

	CHECK(destroy(fd, 0), -ENOENT);
	CHECK(destroy(fd, 1), -ENOENT);
	CHECK(destroy(fd, 0x7fffffff), -ENOENT);
	CHECK(destroy(fd, 0xffffffff), -ENOENT);
}

static void ids__lowest_free_first(void)
{
	int fd = ctx_open();

	CHECK(ioas_alloc(fd), 1);
	CHECK(ioas_alloc(fd), 2);
	CHECK(ioas_alloc(fd), 3);
	CHECK(destroy(fd, 2), 0);
	CHECK(ioas_alloc(fd), 2);
	CHECK(ioas_alloc(fd), 4);
}

static void ids__belong_to_one_context(void)
{
	int a = ctx_open(), b = ctx_open();
	uint32_t id = ioas_alloc(a);

	CHECK(destroy(b, id), -ENOENT);
	CHECK(destroy(a, id), 0);
}

static void twice__enoent(void)
{
	int fd = ctx_open();
	uint32_t id = ioas_alloc(fd);

	CHECK(destroy(fd, id), 0);
	CHECK(destroy(fd, id), -ENOENT);
}

static void ioas_with_areas__goes(void)
{
	char *m = memory(PG);
	int fd = ctx_open();
	uint32_t id = ioas_alloc(fd);

	for (uint64_t i = 0; i < 20; i++)
		CHECK(map_at(fd, id, i * 2 * PG, m, PG), 0);
	CHECK(destroy(fd, id), 0);
	CHECK(unmap(fd, id, 0, MAX, NULL), -ENOENT);
}

static void in_use_by_a_device__ebusy(void)
{
	int fd = ctx_open(), dev;
	uint32_t ioas = ioas_alloc(fd), hwpt = ioas, id;

	dev = device_bind(fd, &id);
	CHECK(destroy(fd, id), -EBUSY);
	REQUIRE(device_attach(dev, &hwpt), 0);
	CHECK(hwpt != ioas, true);
	CHECK(destroy(fd, ioas), -EBUSY);
	CHECK(destroy(fd, hwpt), -EBUSY);
	CHECK(destroy(fd, id), -EBUSY);
	REQUIRE(device_detach(dev), 0);
	CHECK(destroy(fd, hwpt), -ENOENT);
	CHECK(destroy(fd, id), -EBUSY);
	CHECK(destroy(fd, ioas), 0);
}

CONFORM({
	CASE(never_issued__enoent),
	CASE(ids__lowest_free_first),
	CASE(ids__belong_to_one_context),
	CASE(twice__enoent),
	CASE(ioas_with_areas__goes),
	CASE(in_use_by_a_device__ebusy),
});
