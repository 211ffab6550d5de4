/* SPDX-License-Identifier: MIT */
/*
 * A section of a DMA access: how does it begin, and how does it translate?
 *
 * Which translation is in force (iommu_translation)
 *   reader  t = tag (0: blocked); fence_enter(t); tag != t: leave, again;
 *           d = domain; d->tag != t: leave, again; use d; fence_exit.
 *   attach  domain = new; tag = new's; fence_wait(old tag).
 *   detach  tag = 0; fence_wait(old tag); domain = NULL.
 * A reader that saw t after it had announced t is waited for by whoever changes the tag. What it
 * then finds in domain is the domain of t, or the next one, which cannot be gone: its detach
 * comes after the attach that waits for this very reader. In the same way the stop flag and the
 * bus-master gate are looked at inside the section, and iommu_device_stop_dma() waits.
 */
#ifndef IOMMU_DMA_SECTION_H
#define IOMMU_DMA_SECTION_H

#include <errno.h>

#include "base/bits.h"
#include "base/why.h"
#include "iommu/device.h"
#include "iommu/fault.h"
#include "iommu/iotlb.h"
#include "mem/fence.h"

/* Why a section ended early, beyond -errno of the request as a whole. */
enum dma_end {
	END_OK,
	END_STOPPED, /* dma_stopped */
	END_GATED,   /* bus mastering off */
	END_MISS,    /* translation fault: miss says which */
	END_MOVING,  /* the frame at miss.pa is being moved, or there is none */
	END_GUARD,   /* the memory at miss.pa could not be accessed */
};

/* One request of one thread. */
struct dma_ctx {
	struct iommu_device *dev;
	struct fence_slot *slot;
	struct physmap *pm;
	struct iotlb *tlb; /* or NULL */
	/* Of the present section: */
	struct iommu_domain *dom;
	uint32_t tag; /* dom's, for when it is over */
	uint64_t gen;
	/* Of a copy that failed: */
	struct dma_miss miss;
	bool careful; /* no step across a page end, to find the page that fails */
};

/* Why no section begins under the translation there is. */
enum dma_end dma_blocked(struct dma_ctx *c) COLD;

/* A walk of the real bytes; fills the IOTLB. False: c->miss says why. */
bool dma_translate_miss(struct dma_ctx *c, uint64_t iova, unsigned need, uint64_t *pa,
			uint64_t *avail);

/* Adds what follows @iova in output memory too, up to *@avail >= @want or a gap. */
void dma_extend(struct dma_ctx *c, uint64_t iova, unsigned need, uint64_t pa, uint64_t *avail,
		uint64_t want);

static inline int ctx_init(struct dma_ctx *c, struct iommu_device *d)
{
	c->dev = d;
	c->pm = d->iommu->pm;
	c->careful = false;
	c->slot = fence_slot();
	if (unlikely(!c->slot))
		return refuse(ENOMEM, "no memory for the first DMA of a thread");
	if (unlikely(!c->slot->cache))
		c->slot->cache = iotlb_new();
	c->tlb = c->slot->cache;
	return 0;
}

/* Begins a section under @tag. NULL: that translation is not in force, or no DMA is allowed. */
static ALWAYS_INLINE struct iommu_domain *section_try(struct iommu_device *d, struct fence_slot *s,
						      uint32_t tag)
{
	struct iommu_translation *x = &d->rid_xlat;

	fence_enter(s, tag);
	if (likely(atomic_load(&x->tag) == tag)) {
		struct iommu_domain *dom = atomic_load(&x->domain);

		if (likely(dom->tag == tag && !atomic_load(&d->dma_stopped) &&
			   atomic_load(d->dma_gate)))
			return dom;
	}
	fence_exit(s);
	return NULL;
}

static inline enum dma_end section_enter(struct dma_ctx *c)
{
	do {
		c->tag = atomic_load_explicit(&c->dev->rid_xlat.tag, memory_order_acquire);
		if (unlikely(!c->tag))
			return dma_blocked(c);
		c->dom = section_try(c->dev, c->slot, c->tag);
		if (unlikely(!c->dom)) {
			if (atomic_load(&c->dev->dma_stopped))
				return END_STOPPED;
			if (!atomic_load(c->dev->dma_gate))
				return END_GATED;
		}
	} while (unlikely(!c->dom));
	c->gen = atomic_load(&c->dom->gen);
	return END_OK;
}

static ALWAYS_INLINE uint64_t to_end(uint64_t at, unsigned size_lg2)
{
	uint64_t size = 1ull << size_lg2;

	return size - (at & (size - 1));
}

/* False: c->miss says why. *@avail: bytes to the end of the translation. */
static ALWAYS_INLINE bool translate(struct dma_ctx *c, uint64_t iova, unsigned need, uint64_t *pa,
				    uint64_t *avail)
{
	const struct iotlb_entry *e = NULL;

	if (likely(c->tlb != NULL))
		e = iotlb_find(c->tlb, c->tag, c->gen, iova);
	/* Without the right, the table decides: it may be that the dirty bit comes first. */
	if (unlikely(!e || (e->prot & need) != need))
		return dma_translate_miss(c, iova, need, pa, avail);
	*pa = e->pa +
	      (iova & (e->size_lg2 >= IOTLB_CHUNK_LG2 ? (1ull << IOTLB_CHUNK_LG2) - 1 : PAGE_MASK));
	*avail = to_end(iova, e->size_lg2);
	return true;
}

/*
 * Host address of @iova, inside a section. *@len: in: bytes wanted; out: bytes to be had there.
 * NULL: *@end says why.
 */
static ALWAYS_INLINE void *resolve(struct dma_ctx *c, uint64_t iova, unsigned need, uint64_t *len,
				   enum dma_end *end)
{
	uint64_t pa, avail;
	size_t n;
	void *p;

	if (unlikely(!translate(c, iova, need, &pa, &avail))) {
		*end = END_MISS;
		return NULL;
	}
	if (avail < *len)
		dma_extend(c, iova, need, pa, &avail, *len);
	n = min_u64(*len, avail);
	if (unlikely(c->careful))
		n = min_u64(n, to_end(iova, PAGE_LG2));
	p = physmap_ptr(c->pm, pa, &n);
	c->miss.pa = pa;
	if (unlikely(!p))
		*end = END_MOVING;
	*len = n;
	return p;
}

#endif
