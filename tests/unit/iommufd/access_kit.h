/* SPDX-License-Identifier: MIT */
/* What do the tests of accesses share? A consumer that keeps count of what it is told. */
#ifndef TESTS_IOMMUFD_ACCESS_KIT_H
#define TESTS_IOMMUFD_ACCESS_KIT_H

#include "kit.h"

#include "iommufd/access.h"

#define P          PAGE_SIZE
#define HOLD_PINS  16
#define PIN_RD     IOMMUFD_ACCESS_READ
#define PIN_WR     IOMMUFD_ACCESS_WRITE
#define PAGES_MOST 64

struct holder {
	struct iommufd_access *a;
	uint32_t id;
	bool stubborn; /* does not let go */
	unsigned calls;
	uint64_t iova, length; /* of the last call */
	void (*also)(struct holder *h);
	int rc; /* for also() */
	uint32_t ioas;
	struct {
		uint64_t iova, length;
	} pin[HOLD_PINS];
	unsigned npins;
	uint64_t pa[PAGES_MOST];
};

static void holder_unmap(void *data, uint64_t iova, uint64_t length)
{
	struct holder *h = data;

	h->calls++;
	h->iova = iova;
	h->length = length;
	if (h->also)
		h->also(h);
	for (unsigned i = 0; !h->stubborn && i < h->npins;) {
		uint64_t at = h->pin[i].iova, len = h->pin[i].length;

		if (ranges_meet(iova, iova + (length - 1), at, at + (len - 1))) {
			iommufd_access_unpin_pages(h->a, at, len);
			h->pin[i] = h->pin[--h->npins];
		} else {
			i++;
		}
	}
}

static const struct iommufd_access_ops pin_ops = { true, holder_unmap };
static const struct iommufd_access_ops copy_ops = { false, holder_unmap };

static inline int holder_pin(struct holder *h, uint64_t iova, uint64_t length, unsigned flags)
{
	int rc = iommufd_access_pin_pages(h->a, iova, length, h->pa, flags);

	if (!rc) {
		assert_true(h->npins < HOLD_PINS);
		h->pin[h->npins].iova = iova;
		h->pin[h->npins++].length = length;
	} else {
		assert_string_not_equal(why_last(), "");
	}
	return rc;
}

static inline void holder_unpin(struct holder *h, uint64_t iova, uint64_t length)
{
	for (unsigned i = 0; i < h->npins; i++) {
		if (h->pin[i].iova != iova || h->pin[i].length != length)
			continue;
		iommufd_access_unpin_pages(h->a, iova, length);
		h->pin[i] = h->pin[--h->npins];
		return;
	}
	fail();
}

/* Attached to @ioas unless that is 0. */
static inline void holder_make(struct kit *k, struct holder *h,
			       const struct iommufd_access_ops *ops, uint32_t ioas)
{
	memset(h, 0, sizeof(*h));
	expect_rc(iommufd_access_create(k->ctx, ops, h, &h->a, &h->id), 0);
	if (ioas)
		expect_rc(iommufd_access_attach(h->a, ioas), 0);
	h->ioas = ioas;
}

static inline uint64_t ioas_alignment(struct kit *k, uint32_t ioas)
{
	struct iommu_iova_range r[8];
	uint64_t align = 0;

	kit_ranges(k, ioas, r, 8, &align);
	return align;
}

static inline int kit_copy(struct kit *k, uint32_t dst, uint64_t dst_iova, uint32_t src,
			   uint64_t src_iova, uint64_t len)
{
	struct iommu_ioas_copy c = { .size = sizeof(c),
				     .flags = FIXED | RW,
				     .dst_ioas_id = dst,
				     .src_ioas_id = src,
				     .length = len,
				     .dst_iova = dst_iova,
				     .src_iova = src_iova };

	return kit_ioctl(k, IOMMU_IOAS_COPY, &c);
}

#endif
