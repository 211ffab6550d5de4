// SPDX-License-Identifier: MIT
/* IOMMU_IOAS_UNMAP. */
#include "conform.h"

static void arguments__in_order(void)
{
	int fd = ctx_open();
	uint32_t ioas = ioas_alloc(fd);
	uint64_t n = 5;

	CHECK(unmap(fd, ioas + 1, 0, 0, NULL), -ENOENT);
	CHECK(unmap(fd, ioas, 0, MAX, &n), 0);
	CHECK(n, 0);
	CHECK(unmap(fd, ioas, 0x1000, 0, NULL), -EINVAL);
	CHECK(unmap(fd, ioas, 1, MAX, NULL), -EOVERFLOW);
	CHECK(unmap(fd, ioas, MAX, 1, NULL), -EOVERFLOW);
	CHECK(unmap(fd, ioas, 0x1000, MAX - 1, NULL), -EOVERFLOW);
	CHECK(unmap(fd, ioas, 0, MAX - 1, NULL), -ENOENT);
	CHECK(unmap(fd, ioas, 0x1000, PG, &n), -ENOENT);
	CHECK(n, PG); /* nothing is written back */
}

static void whole_areas_and_gaps(void)
{
	int fd = ctx_open();
	uint32_t ioas = ioas_alloc(fd);
	char *m = memory(4 * PG);
	uint64_t n;

	REQUIRE(map_at(fd, ioas, 0x10000, m, PG), 0);
	REQUIRE(map_at(fd, ioas, 0x20000, m, 2 * PG), 0);
	CHECK(unmap(fd, ioas, 0xf123, 0x20000, &n), 0);
	CHECK(n, 3 * PG);
	CHECK(unmap(fd, ioas, 0x10000, PG, NULL), -ENOENT);
}

static void part_of_an_area__enoent(void)
{
	int fd = ctx_open();
	uint32_t ioas = ioas_alloc(fd);
	char *m = memory(4 * PG);
	uint64_t n;

	REQUIRE(map_at(fd, ioas, 0x10000, m, 2 * PG), 0);
	REQUIRE(map_at(fd, ioas, 0x20000, m, 2 * PG), 0);
	CHECK(unmap(fd, ioas, 0x10000, PG, NULL), -ENOENT);
	CHECK(unmap(fd, ioas, 0x11000, PG, NULL), -ENOENT);
	/* The lower one sticks out: nothing happens. */
	CHECK(unmap(fd, ioas, 0x11000, 0x11000, NULL), -ENOENT);
	CHECK(map_at(fd, ioas, 0x20000, m, PG), -EEXIST);
	/* The upper one does: the lower one is gone. */
	CHECK(unmap(fd, ioas, 0x10000, 0x11000, NULL), -ENOENT);
	CHECK(map_at(fd, ioas, 0x20000, m, PG), -EEXIST);
	CHECK(map_at(fd, ioas, 0x10000, m, PG), 0);
	CHECK(unmap(fd, ioas, 0, MAX, &n), 0);
	CHECK(n, 3 * PG);
}

static void device__iova_is_free_again(void)
{
	struct iommu_iova_range r[64];
	char *m = memory(MIB2);
	uint32_t ioas, hwpt, id;
	int fd = ctx_open(), dev, n;
	uint64_t at, bytes;

	ioas = hwpt = ioas_alloc(fd);
	dev = device_bind(fd, &id);
	REQUIRE(device_attach(dev, &hwpt), 0);
	n = ranges(fd, ioas, r, 64, NULL);
	REQUIRE(n > 0, true);
	at = (r[n - 1].start + MIB2 - 1) & ~(MIB2 - 1);
	for (int i = 0; i < 50; i++) {
		REQUIRE(map_at(fd, ioas, at, m, MIB2), 0);
		REQUIRE(unmap(fd, ioas, at, MIB2, &bytes), 0);
		CHECK(bytes, MIB2);
	}
	REQUIRE(map_at(fd, ioas, at, m, MIB2), 0);
	CHECK(unmap(fd, ioas, at, PG, NULL), -ENOENT);
	CHECK(unmap(fd, ioas, 0, MAX, &bytes), 0);
	CHECK(bytes, MIB2);
}

CONFORM({
	CASE(arguments__in_order),
	CASE(whole_areas_and_gaps),
	CASE(part_of_an_area__enoent),
	CASE(device__iova_is_free_again),
});
