// SPDX-License-Identifier: MIT
/*
 * What is a domain, and how do its tables change under running DMA?
 *
 * Order of an unmap: entries are cleared, the generation moves on (IOTLB entries of an older one
 * are dead), sections that may still use the old entries are waited for, then tables are freed
 * and, by the caller, pages unpinned. A section that begins later loads the new generation and
 * walks the new bytes: see the pairing in mem/fence.h.
 */
#include <errno.h>

#include "base/bits.h"
#include "base/pool.h"
#include "base/why.h"
#include "iommu/kinds.h"
#include "mem/fence.h"
#include "pgtable/pt_fast.h"

#define HISTORY_SEQ 0x3ffull /* addresses are multiples of 1 KiB at least */

static void *table_alloc(void *arg, size_t size, uint64_t *addr)
{
	void *p;

	return tables_alloc(arg, size, &p, addr) ? NULL : p;
}

static void table_free(void *arg, void *ptr, uint64_t addr, size_t size)
{
	tables_free(arg, ptr, addr, size);
}

static void *table_ptr(void *arg, uint64_t addr)
{
	return (void *)(uintptr_t)(addr + tables_bias(arg));
}

static const struct pt_ops table_ops = {
	.alloc = table_alloc,
	.free = table_free,
	.to_ptr = table_ptr,
};

int domain_init_table(struct iommu_domain *dom, struct pt_config *cfg)
{
	int rc;

	cfg->ops = &table_ops;
	cfg->ops_arg = dom->iommu->pm;
	cfg->biased = true;
	cfg->ptr_bias = tables_bias(dom->iommu->pm);
	tables_window(dom->iommu->pm, &dom->tables_first, &dom->tables_last);
	rc = pt_init(&dom->pt, cfg);
	if (rc)
		return rc;
	dom->aperture_start = dom->pt.first;
	dom->aperture_last = dom->pt.last;
	dom->pgsizes = dom->pt.pgsizes;
	return 0;
}

int iommu_domain_create(struct iommu *iommu, uint32_t flags, struct iommu_domain **out)
{
	struct iommu_domain *dom = mem_zalloc(sizeof(*dom));
	int rc;

	if (!dom)
		return refuse(ENOMEM, "no memory for a domain");
	dom->iommu = iommu;
	dom->flags = flags;
	dom->irq_start = 1;
	for (size_t i = 0; i < iommu->kind->n_resv; i++) {
		const struct iommu_resv *r = &iommu->kind->resv[i];

		if (r->type == IOMMU_RESV_MSI) {
			dom->irq_start = r->start;
			dom->irq_last = r->last;
		}
	}
	rc = iommu->kind->domain_init(dom, flags);
	if (rc) {
		mem_free(dom);
		return rc;
	}
	dom->tag = fence_tag_new();
	*out = dom;
	return 0;
}

void iommu_domain_destroy(struct iommu_domain *dom)
{
	if (!dom || BUG_ON(atomic_load(&dom->attached)))
		return;
	pt_destroy(&dom->pt);
	mem_free(dom);
}

int iommu_domain_map(struct iommu_domain *dom, uint64_t iova, uint64_t pa, uint64_t len,
		     unsigned prot, bool small_pages, struct pt_gather *g)
{
	/* Nothing to invalidate: "not present" is not cached (CAP.CM = 0). */
	return pt_map(&dom->pt, iova, pa, len, small_pages ? prot | PT_SMALL : prot, g);
}

static void history_add(struct domain_history *h, uint64_t start, uint64_t last)
{
	uint64_t n = atomic_load_explicit(&h->count, memory_order_relaxed);
	uint64_t seq = n & HISTORY_SEQ;
	unsigned i = (unsigned)(n % DOMAIN_HISTORY);

	atomic_store_explicit(&h->range[i].start, (start & ~HISTORY_SEQ) | seq,
			      memory_order_relaxed);
	atomic_store_explicit(&h->range[i].last, (last & ~HISTORY_SEQ) | seq, memory_order_relaxed);
	atomic_store_explicit(&h->count, n + 1, memory_order_relaxed);
}

bool domain_history(const struct iommu_domain *dom, uint64_t iova, uint64_t *start, uint64_t *last,
		    uint64_t *ago)
{
	const struct domain_history *h = &dom->history;
	uint64_t count = atomic_load_explicit(&h->count, memory_order_relaxed);

	for (uint64_t back = 0; back < DOMAIN_HISTORY && back < count; back++) {
		uint64_t n = count - 1 - back;
		unsigned i = (unsigned)(n % DOMAIN_HISTORY);
		uint64_t s = atomic_load_explicit(&h->range[i].start, memory_order_relaxed);
		uint64_t l = atomic_load_explicit(&h->range[i].last, memory_order_relaxed);

		if ((s & HISTORY_SEQ) != (n & HISTORY_SEQ) ||
		    (l & HISTORY_SEQ) != (n & HISTORY_SEQ))
			continue;
		s &= ~HISTORY_SEQ;
		l |= HISTORY_SEQ;
		if (iova < s || iova > l)
			continue;
		*start = s;
		*last = l;
		*ago = back;
		return true;
	}
	return false;
}

void iommu_domain_unmap(struct iommu_domain *dom, uint64_t iova, uint64_t len, struct pt_gather *g)
{
	size_t n = pt_unmap(&dom->pt, iova, len, g);

	(void)BUG_ON(n != len);
	history_add(&dom->history, iova, iova + len - 1);
}

void iommu_domain_sync(struct iommu_domain *dom, struct pt_gather *g)
{
	/* Pairs with the load of gen inside a section (dma.c). */
	atomic_fetch_add_explicit(&dom->gen, 1, memory_order_seq_cst);
	fence_wait(dom->tag);
	if (unlikely(g->tables))
		pt_gather_free(&dom->pt, g);
	else
		pt_gather_init(g);
}

void iommu_domain_prefetch(const struct iommu_domain *dom, uint64_t iova)
{
	pt_prefetch(&dom->pt, iova, dom->tables_first, dom->tables_last);
}

int iommu_domain_iova_to_pa(struct iommu_domain *dom, uint64_t iova, uint64_t *pa, uint64_t *len)
{
	struct pt_walk_result r;
	uint64_t size;

	if (pt_walk_fast(&dom->pt, iova, &r))
		return -ENOENT;
	size = 1ull << r.size_lg2;
	*pa = r.pa;
	*len = size - (iova & (size - 1));
	return 0;
}
