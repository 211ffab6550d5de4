// SPDX-License-Identifier: MIT
/* ALLOW_IOVAS, OPTION and VFIO_IOAS: what a client can set that is not an object. */
#include "kit.h"

#include <sys/mman.h>

#define P PAGE_SIZE

static int allow(struct kit *k, uint32_t ioas, const struct iommu_iova_range *r, uint32_t n)
{
	struct iommu_ioas_allow_iovas c = {
		.size = sizeof(c), .ioas_id = ioas, .num_iovas = n, .allowed_iovas = (uintptr_t)r
	};

	return kit_ioctl(k, IOMMU_IOAS_ALLOW_IOVAS, &c);
}

/* Where a page goes now; it is unmapped again. */
static uint64_t place(struct kit *k, uint32_t ioas)
{
	uint64_t at = 0;

	expect_rc(kit_map(k, ioas, RW, kit_buf(k, P, P), P, &at), 0);
	expect_rc(kit_unmap(k, ioas, at, P, NULL), 0);
	return at;
}

static void allow__arguments__in_order(void **state)
{
	static const struct iommu_iova_range good = { 0x30000, 0x3ffff };
	static const struct iommu_iova_range bad[][2] = {
		{ { 5, 5 }, { 0x1000, 0x1fff } },
		{ { 0x1000, 0x1fff }, { 6, 5 } },
		{ { 0x1000, 0x1fff }, { 0x1fff, 0x2fff } },
		{ { 0x1000, 0x1fff }, { 0, MAX } },
	};
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	struct iommu_ioas_allow_iovas c = { .size = sizeof(c), .ioas_id = 9, .__reserved = 1 };

	expect_rc(kit_ioctl(k, IOMMU_IOAS_ALLOW_IOVAS, &c), -EOPNOTSUPP);
	c.__reserved = 0;
	expect_rc(kit_ioctl(k, IOMMU_IOAS_ALLOW_IOVAS, &c), -ENOENT);
	expect_rc(allow(k, ioas, &good, 1), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		expect_rc(allow(k, ioas, bad[i], 2), -EINVAL);
		assert_int_equal(place(k, ioas), 0x30000); /* the old list is in force */
	}
	expect_rc(allow(k, ioas, (void *)8, 1), -EFAULT);
	assert_non_null(strstr(why_last(), "element 0 of 1"));
	assert_int_equal(place(k, ioas), 0x30000);
	expect_rc(allow(k, ioas, (void *)8, 0), 0);
	assert_int_equal(place(k, ioas), 0x1000);
	kit_check(k, 0);
}

static void allow__first_bad_element__decides(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	struct iommu_iova_range *r;
	char *p = mmap(NULL, 2 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	munmap(p + P, P);
	r = (void *)(p + P - 2 * sizeof(*r));
	r[0] = (struct iommu_iova_range){ 0x1000, 0x1fff };
	r[1] = (struct iommu_iova_range){ 0x1000, 0x1001 };
	expect_rc(allow(k, ioas, r, 3), -EINVAL); /* the third cannot be read */
	r[1].start = 0;
	r[1].last = 0xfff;
	expect_rc(allow(k, ioas, r, 3), -EFAULT);
	expect_rc(allow(k, ioas, r, 2), 0);
	munmap(p, P);
	assert_int_equal(place(k, ioas), 0x1000); /* page 0 is never chosen */
}

static void allow__list__confines_automatic_placement(void **state)
{
	static const struct iommu_iova_range r[] = { { 0x11000, 0x11fff }, { 0x10000, 0x10fff } };
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	uint64_t at = 0;

	expect_rc(kit_map_at(k, ioas, 0x100000, NULL, P), 0);
	expect_rc(allow(k, ioas, r, 1), 0); /* mappings outside are not looked at */
	expect_rc(kit_map(k, ioas, RW, NULL, 2 * P, &at), -ENOSPC);
	expect_rc(allow(k, ioas, r, 2), 0);
	expect_rc(kit_map(k, ioas, RW, (void *)(2 * P), 2 * P, &at), 0);
	assert_int_equal(at, 0x10000);
	expect_rc(kit_map_at(k, ioas, 0x200000, NULL, P), 0);
}

static void allow__against_devices__eaddrinuse(void **state)
{
	static const struct iommu_iova_range msi = { 0xfee00000, 0xfee00fff };
	static const struct iommu_iova_range low = { 0x10000, 0x1ffff };
	struct kit *k = *state;
	struct kit_dev *d = kit_device(k, -1);
	uint32_t ioas = kit_ioas(k), pt = ioas;

	kit_bind(k, d);
	expect_rc(allow(k, ioas, &msi, 1), 0);
	expect_rc(iommufd_device_attach(d->idev, &pt), -EADDRINUSE);
	assert_null(d->dev.group->domain);
	expect_rc(allow(k, ioas, &low, 1), 0);
	kit_attach(d, ioas);
	expect_rc(allow(k, ioas, &msi, 1), -EADDRINUSE);
	assert_non_null(strstr(why_last(), "interrupt window"));
	assert_int_equal(place(k, ioas), 0x10000);
	kit_check(k, 0);
	kit_detach(d);
	kit_check(k, 0);
}

static int option(struct kit *k, uint32_t id, uint16_t op, uint32_t object, uint64_t *val)
{
	struct iommu_option c = {
		.size = sizeof(c), .option_id = id, .op = op, .object_id = object, .val64 = *val
	};
	int rc = kit_ioctl(k, IOMMU_OPTION, &c);

	*val = c.val64;
	return rc;
}

static int set(struct kit *k, uint32_t id, uint32_t object, uint64_t val)
{
	uint64_t v = val;
	int rc = option(k, id, IOMMU_OPTION_OP_SET, object, &v);

	assert_true(v == val);
	return rc;
}

static uint64_t get(struct kit *k, uint32_t id, uint32_t object)
{
	uint64_t v = 55;

	expect_rc(option(k, id, IOMMU_OPTION_OP_GET, object, &v), 0);
	return v;
}

static void option__arguments__in_order(void **state)
{
	struct kit *k = *state;
	struct iommu_option c = { .size = sizeof(c), .option_id = 2, .__reserved = 1 };
	uint64_t v = 0;

	expect_rc(kit_ioctl(k, IOMMU_OPTION, &c), -EOPNOTSUPP);
	c.__reserved = 0;
	expect_rc(kit_ioctl(k, IOMMU_OPTION, &c), -EOPNOTSUPP);
	expect_rc(option(k, IOMMU_OPTION_RLIMIT_MODE, 1, 1, &v), -EOPNOTSUPP);
	expect_rc(option(k, IOMMU_OPTION_RLIMIT_MODE, 2, 0, &v), -EOPNOTSUPP);
	expect_rc(option(k, IOMMU_OPTION_HUGE_PAGES, 9, 1, &v), -ENOENT);
	expect_rc(option(k, IOMMU_OPTION_HUGE_PAGES, 9, kit_ioas(k), &v), -EOPNOTSUPP);
}

static void rlimit_mode__context_in_use__ebusy(void **state)
{
	struct kit *k = *state;
	uint32_t ioas;

	assert_int_equal(get(k, IOMMU_OPTION_RLIMIT_MODE, 0), 0);
	expect_rc(set(k, IOMMU_OPTION_RLIMIT_MODE, 0, 2), -EINVAL);
	expect_rc(set(k, IOMMU_OPTION_RLIMIT_MODE, 0, 1), 0);
	ioas = kit_ioas(k);
	expect_rc(set(k, IOMMU_OPTION_RLIMIT_MODE, 0, 0), -EBUSY);
	expect_rc(set(k, IOMMU_OPTION_RLIMIT_MODE, 0, 2), -EBUSY);
	assert_int_equal(get(k, IOMMU_OPTION_RLIMIT_MODE, 0), 1);
	expect_rc(kit_destroy(k, ioas), 0);
	expect_rc(set(k, IOMMU_OPTION_RLIMIT_MODE, 0, 0), 0);
	assert_int_equal(get(k, IOMMU_OPTION_RLIMIT_MODE, 0), 0);
}

static void huge_pages__without_domain__alignment(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	uint64_t align;

	expect_rc(kit_map_at(k, ioas, 0x1000, NULL, 100), 0);
	expect_rc(set(k, IOMMU_OPTION_HUGE_PAGES, ioas, 0), -EADDRINUSE);
	assert_int_equal(get(k, IOMMU_OPTION_HUGE_PAGES, ioas), 1);
	expect_rc(set(k, IOMMU_OPTION_HUGE_PAGES, ioas, 2), -EINVAL);
	kit_check(k, 0);
	expect_rc(kit_unmap(k, ioas, 0, MAX, NULL), 0);
	expect_rc(kit_map_at(k, ioas, 0x1000, NULL, P), 0);
	expect_rc(set(k, IOMMU_OPTION_HUGE_PAGES, ioas, 0), 0);
	expect_rc(set(k, IOMMU_OPTION_HUGE_PAGES, ioas, 0), 0);
	assert_int_equal(get(k, IOMMU_OPTION_HUGE_PAGES, ioas), 0);
	kit_ranges(k, ioas, &(struct iommu_iova_range){ 0 }, 1, &align);
	assert_int_equal(align, P);
	expect_rc(kit_map_at(k, ioas, 0x4800, NULL, 0x800), -EINVAL);
	kit_check(k, 0);
	expect_rc(set(k, IOMMU_OPTION_HUGE_PAGES, ioas, 1), 0);
	expect_rc(set(k, IOMMU_OPTION_HUGE_PAGES, ioas, 1), 0);
	expect_rc(kit_map_at(k, ioas, 0x4800, NULL, 0x800), 0);
	kit_check(k, 0);
}

struct leaves {
	unsigned n;
	uint64_t largest;
};

static void see_leaf(void *arg, uint64_t iova, uint64_t pa, uint64_t len, unsigned prot)
{
	struct leaves *l = arg;

	(void)iova, (void)pa, (void)prot;
	l->n++;
	l->largest = max_u64(l->largest, len);
}

static void huge_pages__with_domain__entries_of_a_page(void **state)
{
	struct kit *k = *state;
	struct kit_dev *d = kit_device(k, -1);
	uint32_t ioas = kit_ioas(k);
	char *p = kit_buf(k, 2 * MIB, 2 * MIB);
	struct leaves l = { 0, 0 };

	kit_bind(k, d);
	kit_attach(d, ioas);
	expect_rc(kit_map_at(k, ioas, 2 * MIB, p, 2 * MIB), 0);
	expect_rc(iommufd_for_each_leaf(k->ctx, ioas, see_leaf, &l), 0);
	assert_int_equal(l.n, 1);
	expect_rc(set(k, IOMMU_OPTION_HUGE_PAGES, ioas, 0), -EINVAL);
	assert_int_equal(get(k, IOMMU_OPTION_HUGE_PAGES, ioas), 1);
	expect_rc(kit_unmap(k, ioas, 2 * MIB, 2 * MIB, NULL), 0);
	expect_rc(set(k, IOMMU_OPTION_HUGE_PAGES, ioas, 0), 0);
	expect_rc(kit_map_at(k, ioas, 2 * MIB, p, 2 * MIB), 0);
	expect_rc(set(k, IOMMU_OPTION_HUGE_PAGES, ioas, 0), 0); /* is so already */
	l = (struct leaves){ 0, 0 };
	expect_rc(iommufd_for_each_leaf(k->ctx, ioas, see_leaf, &l), 0);
	assert_int_equal(l.n, 512);
	assert_int_equal(l.largest, P);
	kit_check(k, 512);
	expect_rc(set(k, IOMMU_OPTION_HUGE_PAGES, ioas, 1), 0);
	expect_rc(kit_unmap(k, ioas, 2 * MIB, 2 * MIB, NULL), 0);
	kit_check(k, 0);
}

static int vfio_ioas(struct kit *k, uint16_t op, uint32_t *id)
{
	struct iommu_vfio_ioas c = { .size = sizeof(c), .ioas_id = *id, .op = op };
	int rc = kit_ioctl(k, IOMMU_VFIO_IOAS, &c);

	*id = c.ioas_id;
	return rc;
}

static void vfio_ioas__set_get_clear(void **state)
{
	struct kit *k = *state;
	struct iommu_vfio_ioas c = { .size = sizeof(c), .op = 3, .__reserved = 1 };
	uint32_t id = 7, a, b;

	expect_rc(kit_ioctl(k, IOMMU_VFIO_IOAS, &c), -EOPNOTSUPP);
	c.__reserved = 0;
	expect_rc(kit_ioctl(k, IOMMU_VFIO_IOAS, &c), -EOPNOTSUPP);
	expect_rc(vfio_ioas(k, IOMMU_VFIO_IOAS_GET, &id), -ENODEV);
	assert_int_equal(id, 7);
	expect_rc(vfio_ioas(k, IOMMU_VFIO_IOAS_SET, &id), -ENOENT);
	expect_rc(vfio_ioas(k, IOMMU_VFIO_IOAS_CLEAR, &id), 0);
	a = kit_ioas(k);
	b = kit_ioas(k);
	expect_rc(vfio_ioas(k, IOMMU_VFIO_IOAS_SET, &a), 0);
	expect_rc(vfio_ioas(k, IOMMU_VFIO_IOAS_SET, &b), 0);
	expect_rc(vfio_ioas(k, IOMMU_VFIO_IOAS_GET, &id), 0);
	assert_int_equal(id, b);
	expect_rc(kit_destroy(k, a), 0);
	expect_rc(vfio_ioas(k, IOMMU_VFIO_IOAS_GET, &id), 0);
	assert_int_equal(id, b);
	expect_rc(kit_destroy(k, b), 0);
	expect_rc(vfio_ioas(k, IOMMU_VFIO_IOAS_GET, &id), -ENODEV);
	a = kit_ioas(k); /* the id is back, the binding is not */
	expect_rc(vfio_ioas(k, IOMMU_VFIO_IOAS_GET, &id), -ENODEV);
	expect_rc(vfio_ioas(k, IOMMU_VFIO_IOAS_SET, &a), 0);
	expect_rc(vfio_ioas(k, IOMMU_VFIO_IOAS_CLEAR, &a), 0);
	expect_rc(vfio_ioas(k, IOMMU_VFIO_IOAS_GET, &id), -ENODEV);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(allow__arguments__in_order),
		KIT_TEST(allow__first_bad_element__decides),
		KIT_TEST(allow__list__confines_automatic_placement),
		KIT_TEST(allow__against_devices__eaddrinuse),
		KIT_TEST(option__arguments__in_order),
		KIT_TEST(rlimit_mode__context_in_use__ebusy),
		KIT_TEST(huge_pages__without_domain__alignment),
		KIT_TEST(huge_pages__with_domain__entries_of_a_page),
		KIT_TEST(vfio_ioas__set_get_clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
