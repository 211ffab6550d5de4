// SPDX-License-Identifier: MIT
/* HWPT_ALLOC: page tables made for a client. */
#include "kit.h"

#define P PAGE_SIZE

static int alloc(struct kit *k, uint32_t flags, uint32_t dev, uint32_t pt, uint32_t *id)
{
	struct iommu_hwpt_alloc c = {
		.size = sizeof(c), .flags = flags, .dev_id = dev, .pt_id = pt, .__reserved2 = 77
	};
	int rc = kit_ioctl(k, IOMMU_HWPT_ALLOC, &c);

	if (!rc)
		*id = c.out_hwpt_id;
	else
		assert_string_not_equal(why_last(), "");
	return rc;
}

static void alloc__arguments__in_order(void **state)
{
	struct kit *k = *state;
	struct kit_dev *d = kit_device(k, -1);
	uint32_t ioas = kit_ioas(k), h, next;
	struct iommu_hwpt_alloc c = { .size = sizeof(c), .data_len = 8, .__reserved = 1 };

	kit_bind(k, d);
	next = kit_next_id(k);
	expect_rc(kit_ioctl(k, IOMMU_HWPT_ALLOC, &c), -EOPNOTSUPP);
	c.__reserved = 0;
	expect_rc(kit_ioctl(k, IOMMU_HWPT_ALLOC, &c), -EINVAL); /* bytes of no type */
	c.data_type = IOMMU_HWPT_DATA_VTD_S1;
	c.data_len = 0;
	expect_rc(kit_ioctl(k, IOMMU_HWPT_ALLOC, &c), -EINVAL); /* a type without bytes */
	c.data_len = 8;
	expect_rc(kit_ioctl(k, IOMMU_HWPT_ALLOC, &c), -ENOENT);
	c.dev_id = ioas;
	expect_rc(kit_ioctl(k, IOMMU_HWPT_ALLOC, &c), -ENOENT);
	c.dev_id = d->id;
	expect_rc(kit_ioctl(k, IOMMU_HWPT_ALLOC, &c), -EINVAL); /* no pt_id */
	c.pt_id = d->id;
	expect_rc(kit_ioctl(k, IOMMU_HWPT_ALLOC, &c), -EINVAL);
	c.pt_id = ioas;
	expect_rc(kit_ioctl(k, IOMMU_HWPT_ALLOC, &c), -EOPNOTSUPP); /* data */
	expect_rc(alloc(k, 0x10, d->id, ioas, &h), -EOPNOTSUPP);
	expect_rc(alloc(k, IOMMU_HWPT_ALLOC_PASID, d->id, ioas, &h), -EOPNOTSUPP);
	expect_rc(
		alloc(k, IOMMU_HWPT_ALLOC_NEST_PARENT | IOMMU_HWPT_FAULT_ID_VALID, d->id, ioas, &h),
		-EOPNOTSUPP);
	expect_rc(alloc(k, IOMMU_HWPT_FAULT_ID_VALID, d->id, ioas, &h), -ENOENT);
	assert_int_equal(kit_next_id(k), next);
	kit_check(k, 0);
	expect_rc(kit_destroy(k, ioas), 0); /* nothing holds it */
}

static void alloc__then_attach__stays_when_the_device_leaves(void **state)
{
	struct kit *k = *state;
	struct kit_dev *d = kit_device(k, -1);
	uint32_t ioas = kit_ioas(k), h = 0, p = 0, n;
	char *buf = kit_buf(k, 4 * P, P);
	unsigned char b;

	kit_bind(k, d);
	expect_rc(kit_map_at(k, ioas, 0x10000, buf, 4 * P), 0);
	kit_check(k, 0);
	expect_rc(alloc(k, 0, d->id, ioas, &h), 0);
	kit_check(k, 4); /* every area is there at once */
	expect_rc(kit_destroy(k, ioas), -EBUSY);
	assert_int_equal(kit_attach(d, h), h);
	expect_rc(kit_dma_read(d, 0x12000, &b), 0);
	assert_int_equal(b, 3);
	expect_rc(kit_destroy(k, h), -EBUSY);
	kit_detach(d);
	kit_check(k, 4);
	/* One for the client is never chosen for a device. */
	n = kit_attach(d, ioas);
	assert_int_not_equal(n, h);
	kit_check(k, 4);
	kit_detach(d);
	expect_rc(alloc(k, IOMMU_HWPT_ALLOC_NEST_PARENT, d->id, ioas, &p), 0);
	expect_rc(alloc(k, 0, d->id, p, &n), -EOPNOTSUPP); /* nothing nests */
	expect_rc(kit_destroy(k, h), 0);
	kit_check(k, 4);
	expect_rc(kit_destroy(k, p), 0);
	kit_check(k, 0);
	expect_rc(kit_destroy(k, ioas), 0);
}

static void alloc__against_areas__ioas_unchanged(void **state)
{
	struct kit *k = *state;
	struct kit_dev *d = kit_device(k, -1), *d2 = kit_device2(k);
	uint32_t ioas = kit_ioas(k), h;
	uint64_t align;
	struct iommu_iova_range r;
	char *buf = kit_buf(k, P, P);

	kit_bind(k, d);
	kit_bind(k, d2);
	expect_rc(kit_map_at(k, ioas, 0x10000, buf, P), 0);
	expect_rc(kit_map_at(k, ioas, 0x20000, (void *)(8 * P), P), 0);
	expect_rc(alloc(k, 0, d->id, ioas, &h), -EFAULT);
	assert_int_equal(kit_ranges(k, ioas, &r, 1, &align), 1);
	assert_int_equal(align, 1);
	kit_check(k, 0);
	expect_rc(kit_unmap(k, ioas, 0x20000, P, NULL), 0);
	expect_rc(kit_map_at(k, ioas, 1ull << 40, buf, P), 0);
	expect_rc(alloc(k, 0, d2->id, ioas, &h), -EADDRINUSE); /* 39 bits */
	expect_rc(alloc(k, 0, d->id, ioas, &h), 0);
	kit_check(k, 2);
	expect_rc(kit_destroy(k, h), 0);
	expect_rc(kit_map_at(k, ioas, 0x30000, buf, 100), 0);
	expect_rc(alloc(k, 0, d->id, ioas, &h), -EADDRINUSE);
	kit_check(k, 0);
}

static void alloc__short_struct__accepted(void **state)
{
	struct kit *k = *state;
	struct kit_dev *d = kit_device(k, -1);
	struct iommu_hwpt_alloc c = { .size = 24, .data_len = 5 };

	kit_bind(k, d);
	c.dev_id = d->id;
	c.pt_id = kit_ioas(k);
	expect_rc(kit_ioctl(k, IOMMU_HWPT_ALLOC, &c), 0); /* what is behind is not read */
	expect_rc(kit_destroy(k, c.out_hwpt_id), 0);
	c.size = 20;
	expect_rc(kit_ioctl(k, IOMMU_HWPT_ALLOC, &c), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(alloc__arguments__in_order),
		KIT_TEST(alloc__then_attach__stays_when_the_device_leaves),
		KIT_TEST(alloc__against_areas__ioas_unchanged),
		KIT_TEST(alloc__short_struct__accepted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
