/* SPDX-License-Identifier: MIT */
/*
 * What does the hardware make of one address in a domain? A walk of the table bytes that leaves
 * accessed and dirty bits behind, as one stage of a translation.
 */
#ifndef IOMMU_WALK_H
#define IOMMU_WALK_H

#include "iommu/iommu.h"
#include "pgtable/pt_fast.h"

/* The walk of a domain that tracks; see domain_walk(). */
int domain_walk_tracking(const struct iommu_domain *dom, uint64_t iova, unsigned need,
			 struct pt_walk_result *r, unsigned *cacheable);

/**
 * domain_walk() - translate one address, inside a section
 * @need:      IOMMU_READ, IOMMU_WRITE: what the access is about to do
 * @r:         as pt_walk(); it is for the caller to compare r->prot with @need
 * @cacheable: rights that an IOTLB may remember; IOMMU_WRITE is missing while a write would have
 *             to set the dirty bit first. Set on success
 *
 * While the domain tracks, an access that @r->prot allows sets accessed bits, and a write the
 * dirty bit: before it moves a byte, and in its own section, so that whoever clears the bit and
 * waits for the fence has either reported the write or will find the bit set again.
 *
 * Return: as pt_walk()
 */
static ALWAYS_INLINE int domain_walk(const struct iommu_domain *dom, uint64_t iova, unsigned need,
				     struct pt_walk_result *r, unsigned *cacheable)
{
	/* Switched before the generation moves on, so entries of this one agree with it. */
	if (unlikely(atomic_load_explicit(&dom->tracking, memory_order_acquire)))
		return domain_walk_tracking(dom, iova, need, r, cacheable);
	*cacheable = IOMMU_READ | IOMMU_WRITE;
	return pt_walk_fast(&dom->pt, iova, r);
}

#endif
