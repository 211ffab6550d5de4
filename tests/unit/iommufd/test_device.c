// SPDX-License-Identifier: MIT
/* Bind, attach, replace, detach, and what a device says of its IOMMU. */
#include "kit.h"

#include "iommufd/object.h"

#define P         PAGE_SIZE
#define MSI_START 0xfee00000ull
#define MSI_LAST  0xfeefffffull
#define WIDTH     (1ull << 48)
#define WIDTH2    (1ull << 39)

static const struct iommu_resv direct = { 0x100000, 0x1fffff, IOMMU_RESV_DIRECT };
static const struct iommu_resv relaxable = { 0x100000, 0x1fffff, IOMMU_RESV_DIRECT_RELAXABLE };
static const struct iommu_resv reserved = { 0x200000, 0x2fffff, IOMMU_RESV_RESERVED };
static const struct iommu_resv overlapping = { 0x280000, 0x37ffff, IOMMU_RESV_RESERVED };
static const struct iommu_resv sw_msi = { 0x8000000, 0x80fffff, IOMMU_RESV_SW_MSI };

static void set_resv(struct kit_dev *d, const struct iommu_resv *r, size_t n)
{
	d->dev.resv = r;
	d->dev.n_resv = n;
}

static int bind(struct kit *k, struct kit_dev *d)
{
	return iommufd_device_bind(k->ctx, &d->dev, &d->idev, &d->id);
}

static int attach(struct kit_dev *d, uint32_t id)
{
	return iommufd_device_attach(d->idev, &id);
}

static int replace(struct kit_dev *d, uint32_t id, uint32_t *out)
{
	int rc = iommufd_device_replace(d->idev, &id);

	if (out)
		*out = id;
	return rc;
}

/* Nothing is left of a bind that failed. */
static void expect_bind_refused(struct kit *k, struct kit_dev *d, int want)
{
	uint32_t next = kit_next_id(k);

	expect_rc(bind(k, d), want);
	assert_null(d->idev);
	assert_int_equal(kit_next_id(k), next);
	assert_false(iommufd_ctx_has_group(k->ctx, d->dev.group));
	assert_null(d->dev.group->owner);
}

static void bind__incoherent__einval(void **state)
{
	struct kit_dev *d = kit_device(*state, -1);

	d->dev.coherent = false;
	expect_bind_refused(*state, d, -EINVAL);
}

static void bind__interrupts_not_isolated__eperm(void **state)
{
	struct kit *k = *state;
	struct kit_dev *d = kit_device(k, 3), *other = kit_device(k, 3);

	other->dev.irq_isolated = false; /* one is enough */
	expect_bind_refused(k, d, -EPERM);
	k->m->unsafe_interrupts = true;
	kit_bind(k, d);
}

static void bind__other_owner__eperm(void **state)
{
	struct kit *k = *state;
	struct kit_dev *d = kit_device(k, -1);
	struct iommufd_device *idev;
	struct iommufd_ctx *other;
	uint32_t id;

	expect_rc(iommufd_ctx_create(k->m, &other), 0);
	expect_rc(iommufd_device_bind(other, &d->dev, &idev, &id), 0);
	expect_rc(bind(k, d), -EPERM);
	assert_false(iommufd_ctx_has_group(k->ctx, d->dev.group));
	assert_true(iommufd_ctx_has_group(other, d->dev.group));
	assert_ptr_equal(iommufd_device_to_ictx(idev), other);
	assert_int_equal(iommufd_device_to_id(idev), id);
	iommufd_device_unbind(idev);
	iommufd_ctx_put(other);
	kit_bind(k, d);
}

static void bind__direct_region__einval(void **state)
{
	struct kit *k = *state;
	struct kit_dev *d = kit_device(k, -1);

	set_resv(d, &direct, 1);
	expect_bind_refused(k, d, -EINVAL);
	set_resv(d, &relaxable, 1);
	kit_bind(k, d);
}

static void bind__two_of_a_group__group_until_the_last(void **state)
{
	struct kit *k = *state;
	struct kit_dev *a = kit_device(k, 4), *b = kit_device(k, 4);

	kit_bind(k, a);
	kit_bind(k, b);
	assert_true(iommufd_ctx_has_group(k->ctx, a->dev.group));
	assert_false(iommufd_ctx_has_group(NULL, a->dev.group));
	assert_false(iommufd_ctx_has_group(k->ctx, NULL));
	kit_unbind(a);
	assert_true(iommufd_ctx_has_group(k->ctx, a->dev.group));
	assert_non_null(b->dev.group->owner);
	kit_unbind(b);
	assert_false(iommufd_ctx_has_group(k->ctx, a->dev.group));
	assert_null(b->dev.group->owner);
}

static void bind__before_attach__dma_is_blocked(void **state)
{
	struct kit *k = *state;
	struct kit_dev *d = kit_device(k, -1);
	unsigned char c;

	kit_bind(k, d);
	expect_rc(kit_dma_read(d, 0x1000, &c), -EFAULT);
}

static void attach__ioas__ranges_and_back(void **state)
{
	struct kit *k = *state;
	struct kit_dev *d = kit_device(k, -1);
	struct iommu_iova_range r[4];
	uint32_t ioas = kit_ioas(k), hwpt;
	uint64_t align;

	kit_bind(k, d);
	assert_int_equal(kit_ranges(k, ioas, r, 4, &align), 1); /* bind alone changes nothing */
	hwpt = kit_attach(d, ioas);
	assert_int_equal(hwpt, 3);
	assert_int_equal(kit_ranges(k, ioas, r, 4, &align), 2);
	assert_int_equal(align, P);
	assert_int_equal(r[0].start, 0);
	assert_int_equal(r[0].last, MSI_START - 1);
	assert_int_equal(r[1].start, MSI_LAST + 1);
	assert_int_equal(r[1].last, WIDTH - 1);
	kit_check(k, 0);
	kit_detach(d);
	assert_int_equal(kit_ranges(k, ioas, r, 4, &align), 1);
	assert_int_equal(align, 1);
	kit_check(k, 0);
}

static void ranges__short_array__count_and_prefix(void **state)
{
	struct kit *k = *state;
	struct kit_dev *d = kit_device(k, -1);
	struct iommu_iova_range r[2] = { { 1, 1 }, { 2, 2 } };
	struct iommu_ioas_iova_ranges c = { .size = sizeof(c),
					    .ioas_id = kit_ioas(k),
					    .num_iovas = 1,
					    .allowed_iovas = (uintptr_t)r };

	kit_bind(k, d);
	kit_attach(d, c.ioas_id);
	expect_rc(kit_ioctl(k, IOMMU_IOAS_IOVA_RANGES, &c), -EMSGSIZE);
	assert_int_equal(c.num_iovas, 2);
	assert_int_equal(c.out_iova_alignment, P);
	assert_int_equal(r[0].last, MSI_START - 1);
	assert_int_equal(r[1].start, 2);
}

static void ranges__more_than_one_step__all_of_them(void **state)
{
	enum { HOLES = 200 };
	struct kit *k = *state;
	struct kit_dev *d = kit_device(k, -1);
	static struct iommu_resv many[HOLES];
	static struct iommu_iova_range r[HOLES + 8];
	uint32_t ioas = kit_ioas(k);

	for (unsigned i = 0; i < HOLES; i++)
		many[i] = (struct iommu_resv){ 0x10000ull * (i + 1), 0x10000ull * (i + 1) + 0xfff,
					       IOMMU_RESV_RESERVED };
	set_resv(d, many, HOLES);
	kit_bind(k, d);
	kit_attach(d, ioas);
	assert_int_equal(kit_ranges(k, ioas, r, HOLES + 8, NULL), HOLES + 2);
	for (unsigned i = 1; i < HOLES; i++) {
		assert_int_equal(r[i].start, 0x10000ull * i + 0x1000);
		assert_int_equal(r[i].last, 0x10000ull * (i + 1) - 1);
	}
	kit_detach(d);
	kit_unbind(d);
}

static void ranges__everything_reserved__none(void **state)
{
	static const struct iommu_resv all[] = { { 0, MAX / 2, IOMMU_RESV_RESERVED },
						 { MAX / 2 + 1, MAX, IOMMU_RESV_RESERVED } };
	struct kit *k = *state;
	struct kit_dev *d = kit_device(k, -1);
	struct iommu_iova_range r[2];
	uint32_t ioas = kit_ioas(k);
	uint64_t iova = 0;

	set_resv(d, all, 2);
	kit_bind(k, d);
	kit_attach(d, ioas);
	assert_int_equal(kit_ranges(k, ioas, r, 2, NULL), 0);
	expect_rc(kit_map(k, ioas, RW, (void *)P, P, &iova), -ENOSPC);
}

static void attach__twice__ebusy(void **state)
{
	struct kit *k = *state;
	struct kit_dev *d = kit_device(k, -1);
	uint32_t ioas = kit_ioas(k), hwpt, next;

	kit_bind(k, d);
	hwpt = kit_attach(d, ioas);
	next = kit_next_id(k);
	expect_rc(attach(d, ioas), -EBUSY);
	expect_rc(attach(d, hwpt), -EBUSY);
	expect_rc(attach(d, kit_ioas(k)), -EBUSY);
	kit_check(k, 0);
	expect_rc(kit_destroy(k, next), 0);
	assert_int_equal(kit_next_id(k), next);
}

static void attach__compatible_devices__one_hwpt(void **state)
{
	struct kit *k = *state;
	struct kit_dev *a = kit_device(k, -1), *b = kit_device(k, -1), *c = kit_device2(k);
	uint32_t ioas = kit_ioas(k), hwpt, hwpt2;

	kit_bind(k, a);
	kit_bind(k, b);
	kit_bind(k, c);
	hwpt = kit_attach(a, ioas);
	assert_int_equal(kit_attach(b, ioas), hwpt);
	hwpt2 = kit_attach(c, ioas); /* another kind: a page table of its own */
	assert_int_not_equal(hwpt2, hwpt);
	kit_check(k, 0);
	kit_detach(a);
	expect_rc(kit_destroy(k, hwpt), -EBUSY);
	kit_detach(b);
	expect_rc(kit_destroy(k, hwpt), -ENOENT);
	expect_rc(kit_destroy(k, hwpt2), -EBUSY);
	kit_check(k, 0);
	kit_detach(c);
	expect_rc(kit_destroy(k, ioas), 0);
}

static void attach__foreign_hwpt__einval(void **state)
{
	struct kit *k = *state;
	struct kit_dev *a = kit_device(k, -1), *b = kit_device2(k);
	uint32_t hwpt;

	kit_bind(k, a);
	kit_bind(k, b);
	hwpt = kit_attach(a, kit_ioas(k));
	expect_rc(attach(b, hwpt), -EINVAL);
	kit_check(k, 0);
	assert_false(b->dev.group->domain);
}

static void attach__group__moves_together(void **state)
{
	struct kit *k = *state;
	struct kit_dev *a = kit_device(k, 7), *b = kit_device(k, 7);
	uint32_t i1 = kit_ioas(k), i2 = kit_ioas(k), hwpt;
	char *p = kit_buf(k, P, P);
	unsigned char c;

	kit_bind(k, a);
	kit_bind(k, b);
	hwpt = kit_attach(a, i1);
	expect_rc(kit_map_at(k, i1, 0x10000, p, P), 0);
	/* The group translates as a whole, also for the member that never attached. */
	expect_rc(kit_dma_read(b, 0x10000, &c), 0);
	expect_rc(attach(b, i2), -EINVAL);
	assert_int_equal(kit_attach(b, hwpt), hwpt);
	kit_check(k, 1);
	kit_detach(a);
	expect_rc(kit_dma_read(a, 0x10000, &c), 0);
	kit_detach(a); /* nothing happens */
	kit_detach(b);
	expect_rc(kit_dma_read(a, 0x10000, &c), -EFAULT);
	kit_check(k, 0);
}

static void attach__reserved_over_area__eaddrinuse(void **state)
{
	struct kit *k = *state;
	struct kit_dev *d = kit_device(k, -1);
	struct iommu_iova_range r[4];
	uint32_t ioas = kit_ioas(k), next;
	uint64_t n;

	set_resv(d, &reserved, 1);
	kit_bind(k, d);
	expect_rc(kit_map_at(k, ioas, 0x2ff000, (void *)P, P), 0);
	next = kit_next_id(k);
	expect_rc(attach(d, ioas), -EADDRINUSE);
	assert_int_equal(kit_ranges(k, ioas, r, 4, NULL), 1);
	assert_null(d->dev.group->domain);
	assert_int_equal(kit_next_id(k), next);
	kit_check(k, 0);
	/* Also above the width, which is found after the attach. */
	expect_rc(kit_unmap(k, ioas, 0, MAX, &n), 0);
	expect_rc(kit_map_at(k, ioas, WIDTH, (void *)P, P), 0);
	expect_rc(attach(d, ioas), -EADDRINUSE);
	assert_null(d->dev.group->domain);
	assert_int_equal(kit_ranges(k, ioas, r, 4, NULL), 1);
	assert_int_equal(kit_next_id(k), next);
	kit_check(k, 0);
	expect_rc(kit_unmap(k, ioas, 0, MAX, &n), 0);
	kit_attach(d, ioas);
}

static void attach__bogus_memory__efault(void **state)
{
	struct kit *k = *state;
	struct kit_dev *d = kit_device(k, -1);
	uint32_t ioas = kit_ioas(k);
	char *p = kit_buf(k, 3 * P, P);
	uint64_t n;

	kit_bind(k, d);
	expect_rc(kit_map_at(k, ioas, 0x10000, p, 3 * P), 0);
	expect_rc(kit_map_at(k, ioas, 0x20000, (void *)P, P), 0);
	expect_rc(kit_map_at(k, ioas, 0x30000, p, P), 0);
	expect_rc(attach(d, ioas), -EFAULT);
	assert_null(d->dev.group->domain);
	kit_check(k, 0);
	expect_rc(kit_unmap(k, ioas, 0x20000, P, &n), 0);
	kit_attach(d, ioas);
	kit_check(k, 4);
}

static void attach__odd_areas__eaddrinuse(void **state)
{
	static const struct {
		uint64_t iova, va, len;
	} odd[] = { { 0x10000, 0x800, 0x1000 }, { 0x10000, 0, 0x800 }, { 0x10800, 0, 0x1000 } };
	struct kit *k = *state;
	struct kit_dev *d = kit_device(k, -1);
	uint32_t ioas = kit_ioas(k);
	char *p = kit_buf(k, 2 * P, P);
	uint64_t n, align;
	struct iommu_iova_range r[2];

	kit_bind(k, d);
	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		expect_rc(kit_map_at(k, ioas, odd[i].iova, p + odd[i].va, odd[i].len), 0);
		expect_rc(attach(d, ioas), -EADDRINUSE);
		kit_ranges(k, ioas, r, 2, &align);
		assert_int_equal(align, 1);
		expect_rc(kit_unmap(k, ioas, 0, MAX, &n), 0);
	}
	kit_check(k, 0);
	kit_attach(d, ioas);
}

static int coarse_domain_init(struct iommu_domain *dom, uint32_t flags)
{
	int rc = iommu_kind_find("vtd")->domain_init(dom, flags);

	dom->pgsizes = 64 * KIB;
	return rc;
}

static void attach__pages_too_large__einval(void **state)
{
	struct kit *k = *state;
	struct kit_dev *d = kit_device2(k);

	k->kind2.domain_init = coarse_domain_init;
	kit_bind(k, d);
	expect_rc(attach(d, kit_ioas(k)), -EINVAL);
	assert_null(d->dev.group->domain);
	kit_check(k, 0);
}

static void resv__per_device__come_and_go_with_it(void **state)
{
	struct kit *k = *state;
	struct kit_dev *a = kit_device(k, 8), *b = kit_device(k, 8);
	struct iommu_iova_range r[6];
	uint32_t ioas = kit_ioas(k);

	set_resv(a, &reserved, 1);
	set_resv(b, &overlapping, 1);
	kit_bind(k, a);
	kit_bind(k, b);
	kit_attach(a, ioas);
	assert_int_equal(kit_ranges(k, ioas, r, 6, NULL), 3);
	assert_int_equal(r[1].start, 0x300000); /* b is in the group, but not attached */
	kit_attach(b, ioas);
	kit_ranges(k, ioas, r, 6, NULL);
	assert_int_equal(r[0].last, 0x1fffff);
	assert_int_equal(r[1].start, 0x380000);
	kit_detach(a);
	kit_ranges(k, ioas, r, 6, NULL);
	assert_int_equal(r[0].last, 0x27ffff);
	assert_int_equal(r[1].start, 0x380000);
	kit_detach(b);
	assert_int_equal(kit_ranges(k, ioas, r, 6, NULL), 1);
}

static void resv__types__as_documented(void **state)
{
	static const struct iommu_resv two_sw[] = {
		{ 0x8000000, 0x80fffff, IOMMU_RESV_SW_MSI },
		{ 0x9000000, 0x90fffff, IOMMU_RESV_SW_MSI },
	};
	struct kit *k = *state;
	struct kit_dev *a = kit_device(k, -1), *b = kit_device2(k);
	struct iommu_iova_range r[6];
	uint32_t ioas = kit_ioas(k);

	set_resv(a, &relaxable, 1);
	kit_bind(k, a);
	kit_attach(a, ioas);
	kit_ranges(k, ioas, r, 6, NULL);
	assert_int_equal(r[0].last, MSI_START - 1); /* no hole for the relaxable region */
	kit_detach(a);
	set_resv(a, &sw_msi, 1);
	expect_rc(attach(a, ioas), -EINVAL); /* beside the hardware window of the kind */

	k->kind2.n_resv = 0;
	kit_bind(k, b);
	set_resv(b, two_sw, 2);
	expect_rc(attach(b, ioas), -EINVAL);
	set_resv(b, &sw_msi, 1);
	kit_attach(b, ioas);
	assert_int_equal(kit_ranges(k, ioas, r, 6, NULL), 2);
	assert_int_equal(r[0].last, 0x7ffffff);
	assert_int_equal(r[1].start, 0x8100000);
	kit_check(k, 0);
}

static void replace__detached__einval(void **state)
{
	struct kit *k = *state;
	struct kit_dev *a = kit_device(k, 9), *b = kit_device(k, 9);
	uint32_t ioas = kit_ioas(k), hwpt;

	kit_bind(k, a);
	kit_bind(k, b);
	expect_rc(replace(a, ioas, NULL), -EINVAL);
	hwpt = kit_attach(a, ioas);
	expect_rc(replace(b, hwpt, NULL), -EINVAL); /* its group is, but it is not */
	expect_rc(replace(a, hwpt, NULL), 0);
	expect_rc(replace(a, ioas, &hwpt), 0);
	assert_int_not_equal(hwpt, ioas);
	expect_rc(replace(a, 99, NULL), -ENOENT);
	expect_rc(replace(a, a->id, NULL), -EINVAL);
	kit_check(k, 0);
}

static void replace__other_ioas__group_moves(void **state)
{
	struct kit *k = *state;
	struct kit_dev *a = kit_device(k, 9), *b = kit_device(k, 9);
	uint32_t i1 = kit_ioas(k), i2 = kit_ioas(k), h1, h2;
	struct iommu_iova_range r[6];
	char *p = kit_buf(k, 2 * P, P);
	unsigned char c;

	set_resv(a, &reserved, 1);
	set_resv(b, &overlapping, 1);
	kit_bind(k, a);
	kit_bind(k, b);
	h1 = kit_attach(a, i1);
	kit_attach(b, i1);
	expect_rc(kit_map_at(k, i1, 0x10000, p, P), 0);
	expect_rc(kit_map_at(k, i2, 0x10000, p + P, P), 0);
	expect_rc(replace(a, i2, &h2), 0);
	assert_int_not_equal(h2, h1);
	expect_rc(kit_destroy(k, h1), -ENOENT); /* the old automatic HWPT went */
	assert_int_equal(kit_ranges(k, i1, r, 6, NULL), 1);
	kit_ranges(k, i2, r, 6, NULL);
	assert_int_equal(r[0].last, 0x1fffff);
	assert_int_equal(r[1].start, 0x380000);
	expect_rc(kit_dma_read(b, 0x10000, &c), 0);
	assert_int_equal(c, 2);
	kit_check(k, 1); /* i1 has no domain any more, so its page is not pinned */
	kit_detach(b);
	kit_ranges(k, i2, r, 6, NULL);
	assert_int_equal(r[1].start, 0x300000);
	kit_detach(a);
	expect_rc(kit_destroy(k, i1), 0);
	expect_rc(kit_destroy(k, i2), 0);
	kit_check(k, 0);
}

static void replace__fails__nothing_changed(void **state)
{
	struct kit *k = *state;
	struct kit_dev *a = kit_device(k, -1), *b = kit_device2(k);
	uint32_t i1 = kit_ioas(k), i2 = kit_ioas(k), h1, h2, next;
	struct iommu_iova_range before[4], after[4];
	char *p = kit_buf(k, P, P);
	unsigned char c;
	uint64_t n;

	set_resv(a, &reserved, 1);
	kit_bind(k, a);
	kit_bind(k, b);
	h1 = kit_attach(a, i1);
	h2 = kit_attach(b, i2);
	expect_rc(kit_map_at(k, i1, 0x10000, p, P), 0);
	kit_ranges(k, i1, before, 4, NULL);
	next = kit_next_id(k);

	expect_rc(replace(a, h2, NULL), -EINVAL); /* another kind's page table */
	expect_rc(kit_map_at(k, i2, 0x200000, p, P), 0);
	expect_rc(replace(a, i2, NULL), -EADDRINUSE); /* its reserved region */
	expect_rc(kit_unmap(k, i2, 0x200000, P, &n), 0);
	kit_detach(b);
	expect_rc(kit_map_at(k, i2, 0x10000, (void *)P, P), 0);
	expect_rc(replace(a, i2, NULL), -EFAULT); /* an area that cannot be pinned */

	expect_rc(kit_dma_read(a, 0x10000, &c), 0);
	assert_int_equal(kit_ranges(k, i1, after, 4, NULL), 3);
	assert_memory_equal(before, after, 3 * sizeof(before[0]));
	assert_int_equal(kit_ranges(k, i2, after, 4, NULL), 1);
	expect_rc(kit_destroy(k, h1), -EBUSY);
	kit_check(k, 1);
	assert_true(kit_next_id(k) <= next);
}

static int get_info(struct kit *k, struct iommu_hw_info *c)
{
	c->size = sizeof(*c);
	return kit_ioctl(k, IOMMU_GET_HW_INFO, c);
}

static void hw_info__arguments__in_order(void **state)
{
	struct kit *k = *state;
	struct kit_dev *d = kit_device(k, -1);
	struct iommu_hw_info c = { .flags = 2, .dev_id = 77 };

	kit_bind(k, d);
	expect_rc(get_info(k, &c), -EOPNOTSUPP);
	c.flags = 0;
	for (unsigned i = 0; i < 3; i++) {
		c.__reserved[i] = 1;
		expect_rc(get_info(k, &c), -EOPNOTSUPP);
		c.__reserved[i] = 0;
	}
	expect_rc(get_info(k, &c), -ENOENT);
	c.dev_id = d->id;
	c.flags = IOMMU_HW_INFO_FLAG_INPUT_TYPE;
	c.in_data_type = IOMMU_HW_INFO_TYPE_ARM_SMMUV3;
	expect_rc(get_info(k, &c), -EOPNOTSUPP);
	c.in_data_type = IOMMU_HW_INFO_TYPE_INTEL_VTD;
	expect_rc(get_info(k, &c), 0);
	c.data_len = 1;
	c.data_uptr = 8;
	expect_rc(get_info(k, &c), -EFAULT);
	c.flags = 0;
	c.in_data_type = 0xabcdef; /* ignored without the flag */
	c.data_len = 0;
	expect_rc(get_info(k, &c), 0);
	assert_int_equal(c.out_data_type, IOMMU_HW_INFO_TYPE_INTEL_VTD);
}

static void hw_info__buffer__prefix_and_zeroed_tail(void **state)
{
	struct kit *k = *state;
	struct kit_dev *d = kit_device(k, -1);
	unsigned char buf[9000], part[8];
	struct iommu_hw_info c = { .data_len = sizeof(buf), .data_uptr = (uintptr_t)buf };

	kit_bind(k, d);
	c.dev_id = d->id;
	memset(buf, 0xee, sizeof(buf));
	expect_rc(get_info(k, &c), 0);
	assert_int_equal(c.data_len, sizeof(struct iommu_hw_info_vtd));
	assert_int_equal(c.out_capabilities,
			 IOMMU_HW_CAP_DIRTY_TRACKING | IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED);
	assert_int_equal(c.out_max_pasid_log2, 0);
	assert_int_not_equal(((struct iommu_hw_info_vtd *)(void *)buf)->cap_reg, 0);
	for (size_t i = sizeof(struct iommu_hw_info_vtd); i < sizeof(buf); i++)
		assert_int_equal(buf[i], 0);
	memset(part, 0xee, sizeof(part));
	c.data_len = 4;
	c.data_uptr = (uintptr_t)part;
	expect_rc(get_info(k, &c), 0);
	assert_int_equal(c.data_len, sizeof(struct iommu_hw_info_vtd));
	assert_memory_equal(part, buf, 4);
	assert_int_equal(part[4], 0xee);
}

static void hw_info__short_struct__tail_untouched(void **state)
{
	struct kit *k = *state;
	struct kit_dev *d = kit_device(k, -1);
	struct iommu_hw_info c = { .size = 32, .out_capabilities = 0x5555 };

	kit_bind(k, d);
	c.dev_id = d->id;
	expect_rc(kit_ioctl(k, IOMMU_GET_HW_INFO, &c), 0);
	assert_int_equal(c.out_capabilities, 0x5555);
}

static void hw_info__kind_says_nothing__type_none(void **state)
{
	struct kit *k = *state;
	struct kit_dev *d = kit_device2(k);
	unsigned char buf[8];
	struct iommu_hw_info c = { .flags = IOMMU_HW_INFO_FLAG_INPUT_TYPE,
				   .in_data_type = 3,
				   .data_len = sizeof(buf),
				   .data_uptr = (uintptr_t)buf };

	k->kind2.max_pasids = 1u << 20;
	k->kind2.dirty = k->kind2.ats = true;
	kit_bind(k, d);
	c.dev_id = d->id;
	memset(buf, 0xee, sizeof(buf));
	expect_rc(get_info(k, &c), 0);
	assert_int_equal(c.data_len, 0);
	assert_int_equal(c.out_data_type, IOMMU_HW_INFO_TYPE_NONE);
	assert_int_equal(c.out_max_pasid_log2, 20);
	assert_int_equal(c.out_capabilities, IOMMU_HW_CAP_DIRTY_TRACKING);
	for (size_t i = 0; i < sizeof(buf); i++)
		assert_int_equal(buf[i], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(bind__incoherent__einval),
		KIT_TEST(bind__interrupts_not_isolated__eperm),
		KIT_TEST(bind__other_owner__eperm),
		KIT_TEST(bind__direct_region__einval),
		KIT_TEST(bind__two_of_a_group__group_until_the_last),
		KIT_TEST(bind__before_attach__dma_is_blocked),
		KIT_TEST(attach__ioas__ranges_and_back),
		KIT_TEST(ranges__short_array__count_and_prefix),
		KIT_TEST(ranges__more_than_one_step__all_of_them),
		KIT_TEST(ranges__everything_reserved__none),
		KIT_TEST(attach__twice__ebusy),
		KIT_TEST(attach__compatible_devices__one_hwpt),
		KIT_TEST(attach__foreign_hwpt__einval),
		KIT_TEST(attach__group__moves_together),
		KIT_TEST(attach__reserved_over_area__eaddrinuse),
		KIT_TEST(attach__bogus_memory__efault),
		KIT_TEST(attach__odd_areas__eaddrinuse),
		KIT_TEST(attach__pages_too_large__einval),
		KIT_TEST(resv__per_device__come_and_go_with_it),
		KIT_TEST(resv__types__as_documented),
		KIT_TEST(replace__detached__einval),
		KIT_TEST(replace__other_ioas__group_moves),
		KIT_TEST(replace__fails__nothing_changed),
		KIT_TEST(hw_info__arguments__in_order),
		KIT_TEST(hw_info__buffer__prefix_and_zeroed_tail),
		KIT_TEST(hw_info__short_struct__tail_untouched),
		KIT_TEST(hw_info__kind_says_nothing__type_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
