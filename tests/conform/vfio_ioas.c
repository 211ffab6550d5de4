// SPDX-License-Identifier: MIT
/* IOMMU_VFIO_IOAS. */
#include "conform.h"

static int vfio_ioas(int fd, uint16_t op, uint32_t *id)
{
	struct iommu_vfio_ioas c = { .size = sizeof(c), .ioas_id = *id, .op = op };
	int rc = ctx_ioctl(fd, IOMMU_VFIO_IOAS, &c);

	*id = c.ioas_id;
	return rc;
}

static void set_get_clear(void)
{
	struct iommu_vfio_ioas c = { .size = sizeof(c), .op = 2, .__reserved = 1 };
	int fd = ctx_open();
	uint32_t none = 0, a, id = 99;

	CHECK(ctx_ioctl(fd, IOMMU_VFIO_IOAS, &c), -EOPNOTSUPP);
	CHECK(vfio_ioas(fd, 3, &none), -EOPNOTSUPP);
	CHECK(vfio_ioas(fd, IOMMU_VFIO_IOAS_GET, &none), -ENODEV);
	CHECK(vfio_ioas(fd, IOMMU_VFIO_IOAS_CLEAR, &none), 0);
	CHECK(vfio_ioas(fd, IOMMU_VFIO_IOAS_SET, &id), -ENOENT);
	a = ioas_alloc(fd);
	CHECK(vfio_ioas(fd, IOMMU_VFIO_IOAS_SET, &a), 0);
	CHECK(vfio_ioas(fd, IOMMU_VFIO_IOAS_GET, &id), 0);
	CHECK(id, a);
	CHECK(vfio_ioas(fd, IOMMU_VFIO_IOAS_CLEAR, &none), 0);
	CHECK(vfio_ioas(fd, IOMMU_VFIO_IOAS_GET, &id), -ENODEV);
}

static void destroyed__binding_is_lost(void)
{
	int fd = ctx_open();
	uint32_t a = ioas_alloc(fd), id = 0;

	REQUIRE(vfio_ioas(fd, IOMMU_VFIO_IOAS_SET, &a), 0);
	CHECK(destroy(fd, a), 0);
	CHECK(vfio_ioas(fd, IOMMU_VFIO_IOAS_GET, &id), -ENODEV);
}

CONFORM({
	CASE(set_get_clear),
	CASE(destroyed__binding_is_lost),
});
