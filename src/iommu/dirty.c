// SPDX-License-Identifier: MIT
/*
 * How does a domain remember what its devices wrote?
 *
 * In the dirty bits of its table, and nowhere else. A write sets the bit of its entry on the way
 * through the table (domain_walk()); the IOTLB lets later writes pass without a walk only after
 * that. Reading clears bits, moves the generation on and waits for the fence. Then:
 *
 *   - a write whose section began before the wait is over when the call returns. Either it set the
 *     bit before we looked, or it used what an IOTLB remembered of the bit that we have just seen:
 *     its page is in this report. Or it set the bit after we looked: it is in the next one;
 *   - one whose section begins later finds its IOTLB entry dead, and sets the bit again.
 *
 * With two readers at once this holds for both reports together.
 */
#include <errno.h>

#include "base/why.h"
#include "iommu/walk.h"

int domain_walk_tracking(const struct iommu_domain *dom, uint64_t iova, unsigned need,
			 struct pt_walk_result *r, unsigned *cacheable)
{
	unsigned rights;

	do {
		int rc = pt_walk_fast(&dom->pt, iova, r);

		*cacheable = IOMMU_READ | IOMMU_WRITE;
		if (rc || (r->prot & need) != need)
			return rc;
		rights = pt_access(&dom->pt, iova, need & IOMMU_WRITE, r);
	} while (unlikely(!rights)); /* somebody else has changed an entry: that is progress */
	*cacheable = rights;
	return 0;
}

static int refuse_domain(const struct iommu_domain *dom)
{
	return refuse(EOPNOTSUPP, "the page table was made without dirty tracking (flags 0x%x)",
		      dom->flags);
}

int iommu_domain_set_dirty_tracking(struct iommu_domain *dom, bool on)
{
	struct pt_gather g;

	if (!dom->dirty)
		return refuse_domain(dom);
	pt_gather_init(&g);
	atomic_store_explicit(&dom->tracking, on, memory_order_release);
	/* What the IOTLB holds was filled under the other rule. */
	iommu_domain_sync(dom, &g);
	return 0;
}

int iommu_domain_read_dirty(struct iommu_domain *dom, uint64_t iova, uint64_t len, unsigned flags,
			    pt_dirty_fn record, void *arg)
{
	struct pt_gather g;
	uint64_t n;

	if (!dom->dirty)
		return refuse_domain(dom);
	n = pt_dirty_read(&dom->pt, iova, len, flags & IOMMU_DIRTY_NO_CLEAR ? PT_DIRTY_NO_CLEAR : 0,
			  record, arg);
	if (!n || flags & (IOMMU_DIRTY_NO_CLEAR | IOMMU_DIRTY_NO_SYNC))
		return 0; /* nothing to forget */
	pt_gather_init(&g);
	iommu_domain_sync(dom, &g);
	return 0;
}
