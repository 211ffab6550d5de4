// SPDX-License-Identifier: MIT
/* IOMMU_IOAS_MAP_FILE. */
#include "conform.h"

static int map_file(int fd, uint32_t ioas, uint32_t flags, int file, uint64_t start, uint64_t len,
		    uint64_t *iova)
{
	struct iommu_ioas_map_file c = {
		.size = sizeof(c),
		.flags = flags,
		.ioas_id = ioas,
		.fd = file,
		.start = start,
		.length = len,
		.iova = *iova,
	};
	int rc = ctx_ioctl(fd, IOMMU_IOAS_MAP_FILE, &c);

	*iova = c.iova;
	return rc;
}

static int memfd(uint64_t len)
{
	int file = memfd_create("conform", MFD_CLOEXEC);

	REQUIRE(file >= 0, true);
	REQUIRE(ftruncate(file, (off_t)len), 0);
	return file;
}

static void arguments__in_order(void)
{
	int fd = ctx_open(), file = memfd(4 * PG);
	uint32_t ioas = ioas_alloc(fd);
	uint64_t at = 0;

	CHECK(map_file(fd, ioas + 1, 8, -1, 0, MAX, &at), -EOPNOTSUPP);
	CHECK(map_file(fd, ioas + 1, FIXED, -1, 0, MAX, &at), -EOVERFLOW);
	CHECK(map_file(fd, ioas + 1, FIXED, -1, 0, 0, &at), -EINVAL);
	CHECK(map_file(fd, ioas + 1, RW, -1, 0, 0, &at), -ENOENT);
	CHECK(map_file(fd, ioas, RW, -1, 0, 0, &at), -EINVAL);
	CHECK(map_file(fd, ioas, RW, -1, MAX - 5, PG, &at), -EOVERFLOW);
	CHECK(map_file(fd, ioas, RW, -1, 0, PG, &at), -EBADF);
	CHECK(map_file(fd, ioas, RW, file, 0, 3 * PG, &at), 0);
	CHECK(at, 4 * PG);
	close(file);
	CHECK(unmap(fd, ioas, at, 3 * PG, NULL), 0);
}

static void device__file_is_looked_at(void)
{
	struct iommu_iova_range r[64];
	int fd = ctx_open(), file = memfd(4 * PG + 100), exe, dev, n;
	uint32_t ioas = ioas_alloc(fd), hwpt = ioas, id;
	uint64_t at;

	dev = device_bind(fd, &id);
	REQUIRE(device_attach(dev, &hwpt), 0);
	n = ranges(fd, ioas, r, 64, NULL);
	REQUIRE(n > 0, true);
	at = (r[n - 1].start + PG - 1) & ~(PG - 1);
	exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	REQUIRE(exe >= 0, true);
	CHECK(map_file(fd, ioas, FIXED | RD, exe, 0, PG, &at), -EINVAL);
	close(exe);
	CHECK(map_file(fd, ioas, FIXED | RW, file, 0, 5 * PG, &at), -EINVAL);
	CHECK(map_file(fd, ioas, FIXED | RW, file, 0, 4 * PG, &at), 0);
	close(file);
	CHECK(unmap(fd, ioas, at, 4 * PG, NULL), 0);
}

static void change_process__files_only(void)
{
	struct iommu_ioas_change_process c = { .size = sizeof(c), .__reserved = 1 };
	int fd = ctx_open(), file = memfd(PG);
	uint32_t ioas = ioas_alloc(fd);
	uint64_t at = 0x10000;

	CHECK(ctx_ioctl(fd, IOMMU_IOAS_CHANGE_PROCESS, &c), -EOPNOTSUPP);
	c.__reserved = 0;
	CHECK(ctx_ioctl(fd, IOMMU_IOAS_CHANGE_PROCESS, &c), 0);
	REQUIRE(map_file(fd, ioas, FIXED | RW, file, 0, PG, &at), 0);
	CHECK(ctx_ioctl(fd, IOMMU_IOAS_CHANGE_PROCESS, &c), 0);
	REQUIRE(map_at(fd, ioas, 0x20000, memory(PG), PG), 0);
	CHECK(ctx_ioctl(fd, IOMMU_IOAS_CHANGE_PROCESS, &c), -EINVAL);
	close(file);
}

CONFORM({
	CASE(arguments__in_order),
	CASE(device__file_is_looked_at),
	CASE(change_process__files_only),
});
