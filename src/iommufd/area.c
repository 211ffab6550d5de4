// SPDX-License-Identifier: MIT
/*
 * Which pages stand behind an interval of IOVA, and where do its PFNs stand?
 *
 * Invariants
 *  A1  start <= last; the slice has exactly the pages that [page_offset, page_offset + length)
 *      touches
 *  A2  storage set: the node is in pages->domains, and storage is a domain of the area's iopt
 *      that maps the whole area
 *  A3  run_pa is not AREA_NO_RUN: page i of the slice is at run_pa + (i - first) * PAGE_SIZE
 *  A4  WRITE in prot only on writable pages
 *
 * States of the pages pointer
 *  building   NULL   iopt_map() put the area in place and is filling domains
 *  live       set    iopt_map() at its end
 *  going      NULL   iopt_unmap() until it takes the area out
 */
#include "iommufd/area.h"

void area_set_storage_locked(struct area *a, struct pages *p, struct iommu_domain *dom,
			     uint64_t run_pa)
{
	if (!a->storage)
		itree_insert(&p->domains, &a->node);
	a->storage = dom;
	a->run_pa = run_pa;
}

void area_clear_storage_locked(struct area *a, struct pages *p)
{
	if (a->storage)
		itree_remove(&p->domains, &a->node);
	a->storage = NULL;
	a->run_pa = AREA_NO_RUN;
}

void area_read_domain(const struct area *a, struct iommu_domain *dom, uint64_t idx, uint64_t last,
		      struct batch *b)
{
	if (likely(a->run_pa != AREA_NO_RUN)) {
		batch_add(b, a->run_pa + (idx - a->node.start) * PAGE_SIZE, last - idx + 1);
		return;
	}
	while (idx <= last) {
		uint64_t skip = idx == a->node.start ? a->page_offset : 0;
		uint64_t pa, len, n;

		if (BUG_ON(iommu_domain_iova_to_pa(dom, area_iova(a, idx), &pa, &len)))
			return;
		/* An entry smaller than a page still says which page it is. */
		n = max_u64((len + skip) / PAGE_SIZE, 1);
		n = min_u64(n, last - idx + 1);
		if (!batch_add(b, pa - skip, n))
			return;
		idx += n;
	}
}

void area_check(const struct area *a, const struct pages *p)
{
	uint64_t npages = (a->page_offset + (area_len(a) - 1)) / PAGE_SIZE + 1;

	(void)BUG_ON(a->start > a->last || a->page_offset >= PAGE_SIZE);
	(void)BUG_ON(a->node.last - a->node.start + 1 != npages); /* A1 */
	(void)BUG_ON(a->node.last >= p->npages);
	(void)BUG_ON(!a->storage && a->run_pa != AREA_NO_RUN); /* A3 */
	(void)BUG_ON((a->prot & IOMMU_WRITE) && !p->writable); /* A4 */
	(void)BUG_ON(!(a->prot & (IOMMU_READ | IOMMU_WRITE)));
}
