/* SPDX-License-Identifier: MIT */
/*
 * Area: one mapped interval of IOVA, a slice of some pages. Source: docs/design/iommufd.md.
 */
#ifndef IOMMUFD_AREA_H
#define IOMMUFD_AREA_H

#include "iommu/iommu.h"
#include "iommufd/pages.h"

#define AREA_NO_RUN UINT64_MAX

struct area {
	/*
	 * The slice [node.start, node.last] of page indexes, immutable; the node is in
	 * pages->domains exactly while storage is set.
	 */
	struct itree_node node;
	uint64_t start, last; /* IOVA, immutable */
	/* NULL while the area is being built or torn down. Changed by whoever does that. */
	struct pages *_Atomic pages;
	/* A domain that holds its PFNs, or NULL. Guarded by the pages' lock. */
	struct iommu_domain *storage;
	/*
	 * While storage is set: output address of the first page if all of them are consecutive
	 * (then no table need be walked to read them back), else AREA_NO_RUN. Same lock.
	 */
	uint64_t run_pa;
	uint16_t page_offset; /* of the first byte in the first page, immutable */
	uint8_t prot;         /* IOMMU_READ | IOMMU_WRITE, immutable */
	/* An UNMAP has asked the accesses to let go: none may begin. For good; iova_lock (write).
	 */
	bool prevent_access;
	/* Pins made through this area, and those of them that forbid UNMAP. Guarded by the pages'
	 * lock, with iova_lock held too. */
	uint32_t num_accesses, num_locks;
};

/*
 * The block MAP allocates: the area, and the pages that this area was the first to slice. The
 * block lives as long as those pages (the area holds a reference on them).
 */
struct area_block {
	struct area area;
	struct pages pages;
};

static inline struct pages *area_pages(const struct area *a)
{
	return atomic_load_explicit(&a->pages, memory_order_acquire);
}

static inline uint64_t area_len(const struct area *a)
{
	return a->last - a->start + 1;
}

/* IOVA where page @idx of the slice begins (the first one: where the area does). */
static inline uint64_t area_iova(const struct area *a, uint64_t idx)
{
	if (idx == a->node.start)
		return a->start;
	return a->start - a->page_offset + (idx - a->node.start) * PAGE_SIZE;
}

/* IOVA of its last byte. */
static inline uint64_t area_iova_last(const struct area *a, uint64_t idx)
{
	if (idx == a->node.last)
		return a->last;
	return a->start - a->page_offset + (idx - a->node.start + 1) * PAGE_SIZE - 1;
}

/* Start, length and page offset are multiples of @align (a power of two up to PAGE_SIZE). */
static inline bool area_complies(const struct area *a, uint64_t align)
{
	return !((a->start | area_len(a) | a->page_offset) & (align - 1));
}

/* @a joins or leaves pages->domains; the caller holds the pages' lock or is alone. */
void area_set_storage_locked(struct area *a, struct pages *p, struct iommu_domain *dom,
			     uint64_t run_pa);
void area_clear_storage_locked(struct area *a, struct pages *p);

/*
 * area_read_domain() - PFNs of a slice from a domain that holds them (tier 2)
 * @idx, @last: page indexes within the area
 * @b:          appended to; the read stops before a run that does not fit, so what was read ends
 *              where the sequence of PFNs breaks, or at @last
 */
void area_read_domain(const struct area *a, struct iommu_domain *dom, uint64_t idx, uint64_t last,
		      struct batch *b);

void area_check(const struct area *a, const struct pages *p);

#endif
