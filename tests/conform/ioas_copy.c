// SPDX-License-Identifier: MIT
/* IOMMU_IOAS_COPY. */
#include "conform.h"

static int copy(int fd, uint32_t flags, uint32_t dst, uint64_t *to, uint32_t src, uint64_t from,
		uint64_t len)
{
	struct iommu_ioas_copy c = {
		.size = sizeof(c),
		.flags = flags,
		.dst_ioas_id = dst,
		.src_ioas_id = src,
		.length = len,
		.dst_iova = *to,
		.src_iova = from,
	};
	int rc = ctx_ioctl(fd, IOMMU_IOAS_COPY, &c);

	*to = c.dst_iova;
	return rc;
}

static int copy_at(int fd, uint32_t dst, uint64_t to, uint32_t src, uint64_t from, uint64_t len)
{
	return copy(fd, FIXED | RW, dst, &to, src, from, len);
}

static void arguments__in_order(void)
{
	int fd = ctx_open();
	uint32_t s = ioas_alloc(fd), d = ioas_alloc(fd), none = d + 1;
	uint64_t at = 0, max = MAX;

	REQUIRE(map_at(fd, s, 0x10000, memory(PG), PG), 0);
	CHECK(copy(fd, 8 | RW, none, &at, none, 0, MAX), -EOPNOTSUPP);
	CHECK(copy(fd, RD, none, &max, none, 0, PG), -EOVERFLOW);
	CHECK(copy(fd, FIXED, none, &at, none, 0, 0), -EINVAL);
	CHECK(copy(fd, RD, d, &at, none, 0, 0), -ENOENT);
	CHECK(copy(fd, RD, none, &at, s, 0, 0), -EINVAL);
	CHECK(copy(fd, RD, none, &at, s, MAX - 5, PG), -EOVERFLOW);
	CHECK(copy(fd, RD, none, &at, s, 0x20000, PG), -ENOENT);
	CHECK(copy(fd, RD, none, &at, s, 0x10000, PG), -ENOENT);
	CHECK(copy(fd, RD, d, &at, s, 0x10000, PG + 1), -ENOENT);
	CHECK(copy(fd, RD, d, &at, s, 0xffff, PG), -ENOENT);
	CHECK(unmap(fd, d, 0, MAX, &at), 0);
	CHECK(at, 0);
}

static void several_areas__one_for_each(void)
{
	int fd = ctx_open();
	uint32_t s = ioas_alloc(fd), d = ioas_alloc(fd);
	char *m = memory(8 * PG);
	uint64_t n;

	REQUIRE(map_at(fd, s, 0x10000, m, 2 * PG), 0);
	REQUIRE(map_at(fd, s, 0x12000, m + 4 * PG, 2 * PG), 0);
	CHECK(copy_at(fd, d, 0x100000, s, 0x11000, 2 * PG), 0);
	CHECK(copy_at(fd, d, 0x101000, s, 0x10000, PG), -EEXIST);
	CHECK(destroy(fd, s), 0);
	CHECK(unmap(fd, d, 0x100000, PG, &n), 0);
	CHECK(unmap(fd, d, 0x101000, PG, &n), 0);
}

static void write__needs_writable_memory(void)
{
	int fd = ctx_open();
	uint32_t s = ioas_alloc(fd), d = ioas_alloc(fd);
	char *m = memory(PG);
	uint64_t at = 0x1000;

	REQUIRE(map(fd, s, FIXED | RD, m, PG, &at), 0);
	CHECK(copy_at(fd, d, 0x1000, s, 0x1000, PG), -EPERM);
	CHECK(copy(fd, FIXED | RD, d, &at, s, 0x1000, PG), 0);
	REQUIRE(map_at(fd, s, 0x2000, m, PG), 0);
	at = 0x2000;
	CHECK(copy(fd, FIXED | RD, d, &at, s, 0x2000, PG), 0);
	CHECK(copy_at(fd, s, 0x3000, d, 0x2000, PG), 0);
}

static void place__by_the_address(void)
{
	int fd = ctx_open();
	uint32_t s = ioas_alloc(fd), d = ioas_alloc(fd);
	uint64_t at = 0;

	REQUIRE(map_at(fd, s, 0x10000, memory(MIB2), MIB2), 0);
	CHECK(copy(fd, RW, d, &at, s, 0x10000 + 3 * PG, 4 * PG), 0);
	CHECK(at, PG);
}

static void device__memory_is_pinned_once(void)
{
	struct iommu_iova_range r[64];
	int fd = ctx_open(), dev, n;
	uint32_t s = ioas_alloc(fd), d = ioas_alloc(fd), hwpt = d, id;
	char *m = memory(MIB2);
	uint64_t at;

	dev = device_bind(fd, &id);
	REQUIRE(device_attach(dev, &hwpt), 0);
	n = ranges(fd, d, r, 64, NULL);
	REQUIRE(n > 0, true);
	at = (r[n - 1].start + MIB2 - 1) & ~(MIB2 - 1);
	REQUIRE(map_at(fd, s, at, m, MIB2), 0);
	CHECK(copy_at(fd, d, at, s, at, MIB2), 0);
	CHECK(copy_at(fd, d, at + MIB2, d, at + PG, PG), 0);
	CHECK(copy_at(fd, d, at + 2 * MIB2, s, at + 100, PG), -EINVAL);
	CHECK(unmap(fd, s, at, MIB2, NULL), 0);
	CHECK(unmap(fd, d, at, MIB2, NULL), 0);
	CHECK(unmap(fd, d, at + MIB2, PG, NULL), 0);
}

CONFORM({
	CASE(arguments__in_order),
	CASE(several_areas__one_for_each),
	CASE(write__needs_writable_memory),
	CASE(place__by_the_address),
	CASE(device__memory_is_pinned_once),
});
