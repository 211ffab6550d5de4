// SPDX-License-Identifier: MIT
/* What if the IOTLB does not know? The slower half of a section's translation. */
#include "iommu/dma_section.h"
#include "iommu/walk.h"

enum dma_end dma_blocked(struct dma_ctx *c)
{
	if (atomic_load(&c->dev->dma_stopped))
		return END_STOPPED;
	if (!atomic_load(c->dev->dma_gate))
		return END_GATED;
	c->miss = (struct dma_miss){ .reason = IOMMU_FAULT_BLOCKED, .level = -1 };
	return END_MISS;
}

static COLD void walk_failed(struct dma_ctx *c, const struct pt_walk_result *r)
{
	static const enum iommu_fault_reason reasons[] = {
		[PT_BEYOND_WIDTH] = IOMMU_FAULT_ADDRESS,
		[PT_NOT_PRESENT] = IOMMU_FAULT_NOT_MAPPED,
		[PT_RESERVED_BITS] = IOMMU_FAULT_RESERVED,
		[PT_POINTS_NOWHERE] = IOMMU_FAULT_RESERVED,
	};

	c->miss.reason = reasons[r->why];
	c->miss.entry = r->entry;
	c->miss.level = r->why == PT_BEYOND_WIDTH ? -1 : r->level;
}

static COLD bool no_permission(struct dma_ctx *c, unsigned prot)
{
	c->miss = (struct dma_miss){
		.reason = IOMMU_FAULT_PERMISSION,
		.tag = c->tag,
		.level = -1,
		.prot = prot,
	};
	return false;
}

bool dma_translate_miss(struct dma_ctx *c, uint64_t iova, unsigned need, uint64_t *pa,
			uint64_t *avail)
{
	const struct iommu_domain *dom = c->dom;
	struct pt_walk_result r;
	unsigned lg2, cacheable;
	uint64_t size;

	if (unlikely(iova >= dom->irq_start && iova <= dom->irq_last)) {
		/* Never translated: writes are interrupt requests, and nothing can be read. */
		c->miss = (struct dma_miss){ .tag = c->tag, .level = -1 };
		c->miss.reason = need & IOMMU_WRITE ? IOMMU_FAULT_BAD_IRQ : IOMMU_FAULT_NOT_MAPPED;
		return false;
	}
	if (unlikely(domain_walk(dom, iova, need, &r, &cacheable))) {
		c->miss = (struct dma_miss){ .tag = c->tag };
		walk_failed(c, &r);
		return false;
	}
	if (unlikely((r.prot & need) != need))
		return no_permission(c, r.prot);
	lg2 = r.size_lg2;
	size = 1ull << lg2;
	/* A leaf that covers the interrupt window counts page by page, not to reach into it. */
	if (unlikely(lg2 > PAGE_LG2 && ranges_meet(iova & ~(size - 1), iova | (size - 1),
						   dom->irq_start, dom->irq_last)))
		lg2 = PAGE_LG2;
	*pa = r.pa;
	*avail = to_end(iova, lg2);
	if (c->tlb && lg2 >= PAGE_LG2)
		iotlb_fill(c->tlb, c->tag, c->gen, iova, r.pa, lg2, r.prot & cacheable);
	return true;
}

void dma_extend(struct dma_ctx *c, uint64_t iova, unsigned need, uint64_t pa, uint64_t *avail,
		uint64_t want)
{
	while (*avail < want) {
		uint64_t pa2, n;

		/* The miss, if any, is told when the transfer gets there. */
		if (!translate(c, iova + *avail, need, &pa2, &n) || pa2 != pa + *avail)
			return;
		*avail += n;
	}
}
