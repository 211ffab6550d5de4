// SPDX-License-Identifier: MIT
/* IOMMU_IOAS_ALLOC. */
#include "conform.h"

static void flags__eopnotsupp(void)
{
	int fd = ctx_open();

	for (unsigned bit = 0; bit < 32; bit++) {
		struct iommu_ioas_alloc c = { .size = sizeof(c), .flags = 1u << bit };

		CHECK(ctx_ioctl(fd, IOMMU_IOAS_ALLOC, &c), -EOPNOTSUPP);
		CHECK(c.out_ioas_id, 0);
	}
	CHECK(ioas_alloc(fd), 1);
}

static void fresh__everything_usable(void)
{
	struct iommu_iova_range r[2] = { { 5, 5 }, { 6, 6 } };
	int fd = ctx_open();
	uint64_t align = 0;

	CHECK(ranges(fd, ioas_alloc(fd), r, 2, &align), 1);
	CHECK(r[0].start, 0);
	CHECK(r[0].last == MAX, true);
	CHECK(r[1].start, 6);
	CHECK(align, 1);
}

CONFORM({
	CASE(flags__eopnotsupp),
	CASE(fresh__everything_usable),
});
