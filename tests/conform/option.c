// SPDX-License-Identifier: MIT
/* IOMMU_OPTION. */
#include "conform.h"

static int option(int fd, uint32_t id, uint16_t op, uint32_t object, uint64_t *val)
{
	struct iommu_option c = {
		.size = sizeof(c), .option_id = id, .op = op, .object_id = object, .val64 = *val
	};
	int rc = ctx_ioctl(fd, IOMMU_OPTION, &c);

	*val = c.val64;
	return rc;
}

static int set(int fd, uint32_t id, uint32_t object, uint64_t val)
{
	return option(fd, id, IOMMU_OPTION_OP_SET, object, &val);
}

static uint64_t get(int fd, uint32_t id, uint32_t object)
{
	uint64_t v = 77;

	CHECK(option(fd, id, IOMMU_OPTION_OP_GET, object, &v), 0);
	return v;
}

static void arguments__in_order(void)
{
	struct iommu_option c = { .size = sizeof(c), .op = 1, .__reserved = 1 };
	int fd = ctx_open();
	uint64_t v = 0;

	CHECK(ctx_ioctl(fd, IOMMU_OPTION, &c), -EOPNOTSUPP);
	CHECK(option(fd, 2, 1, 0, &v), -EOPNOTSUPP);
	CHECK(option(fd, IOMMU_OPTION_RLIMIT_MODE, 1, 1, &v), -EOPNOTSUPP);
	CHECK(option(fd, IOMMU_OPTION_RLIMIT_MODE, 2, 0, &v), -EOPNOTSUPP);
	CHECK(option(fd, IOMMU_OPTION_HUGE_PAGES, 9, 99, &v), -ENOENT);
	CHECK(option(fd, IOMMU_OPTION_HUGE_PAGES, 9, ioas_alloc(fd), &v), -EOPNOTSUPP);
}

static void rlimit_mode(void)
{
	int fd = ctx_open(), rc;

	CHECK(get(fd, IOMMU_OPTION_RLIMIT_MODE, 0), 0);
	rc = set(fd, IOMMU_OPTION_RLIMIT_MODE, 0, 1);
	if (rc == -EPERM)
		conform_skip("no CAP_SYS_RESOURCE");
	CHECK(rc, 0);
	CHECK(set(fd, IOMMU_OPTION_RLIMIT_MODE, 0, 2), -EINVAL);
	CHECK(get(fd, IOMMU_OPTION_RLIMIT_MODE, 0), 1);
	ioas_alloc(fd);
	CHECK(set(fd, IOMMU_OPTION_RLIMIT_MODE, 0, 2), -EBUSY);
	CHECK(get(fd, IOMMU_OPTION_RLIMIT_MODE, 0), 1);
}

static void huge_pages(void)
{
	struct iommu_iova_range r;
	int fd = ctx_open();
	uint32_t ioas = ioas_alloc(fd);
	uint64_t align = 0;

	REQUIRE(map_at(fd, ioas, 0x1000, memory(PG), 100), 0);
	CHECK(set(fd, IOMMU_OPTION_HUGE_PAGES, ioas, 0), -EADDRINUSE);
	CHECK(get(fd, IOMMU_OPTION_HUGE_PAGES, ioas), 1);
	CHECK(set(fd, IOMMU_OPTION_HUGE_PAGES, ioas, 2), -EINVAL);
	REQUIRE(unmap(fd, ioas, 0, MAX, NULL), 0);
	CHECK(set(fd, IOMMU_OPTION_HUGE_PAGES, ioas, 0), 0);
	CHECK(set(fd, IOMMU_OPTION_HUGE_PAGES, ioas, 0), 0);
	CHECK(get(fd, IOMMU_OPTION_HUGE_PAGES, ioas), 0);
	CHECK(ranges(fd, ioas, &r, 1, &align), 1);
	CHECK(align, PG);
	CHECK(set(fd, IOMMU_OPTION_HUGE_PAGES, ioas, 1), 0);
	CHECK(ranges(fd, ioas, &r, 1, &align), 1);
	CHECK(align, 1);
}

CONFORM({
	CASE(arguments__in_order),
	CASE(rlimit_mode),
	CASE(huge_pages),
});
