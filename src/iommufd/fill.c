// SPDX-License-Identifier: MIT
/*
 * How do PFNs get into domains, and how is a half-done fill undone?
 *
 * Source: docs/design/iommufd.md. A batch goes into every domain before the next is read.
 * When domain k refuses a batch, the domains before k lose it again, its own pins are dropped,
 * and what earlier batches installed is removed everywhere; the last domain in the array tells
 * which pages those were.
 *
 * Where an unmap may be cut. Each run of a batch is one map call, which may have become one large
 * entry. So a range is unmapped either as a whole, or up to where the PFN sequence breaks, or up
 * to the end of a batch: no map call ever crosses one of those.
 */
#include "iommufd/fill.h"

#include "base/why.h"
#include "iommufd/reader.h"

/* IOVA of run @i of a batch within its area. */
struct piece {
	uint64_t iova, len, pa;
};

static struct piece piece_of(const struct area *a, uint64_t idx, const struct phys_run *run)
{
	uint64_t iova = area_iova(a, idx);

	return (struct piece){
		.iova = iova,
		.len = area_iova_last(a, idx + run->npages - 1) - iova + 1,
		.pa = run->pa + (idx == a->node.start ? a->page_offset : 0),
	};
}

/* Clears [first, last] (page indexes) in @dom; no DMA uses it any more when it returns. */
static void clear(struct iommu_domain *dom, const struct area *a, uint64_t first, uint64_t last)
{
	uint64_t iova = area_iova(a, first);
	struct pt_gather g;

	pt_gather_init(&g);
	iommu_domain_unmap(dom, iova, area_iova_last(a, last) - iova + 1, &g);
	iommu_domain_sync(dom, &g);
}

/* One batch into one domain: all of it or nothing. */
static int map_batch(const struct fill *f, struct iommu_domain *dom, const struct area *a,
		     const struct batch *b)
{
	unsigned prot = a->prot | (b->mmio ? IOMMU_MMIO : 0u);
	uint64_t idx = b->first;
	struct pt_gather g;
	int rc = 0;

	pt_gather_init(&g);
	for (unsigned i = 0; i < b->n; idx += b->run[i].npages, i++) {
		struct piece p = piece_of(a, idx, &b->run[i]);

		rc = iommu_domain_map(dom, p.iova, p.pa, p.len, prot, f->small_pages, &g);
		if (unlikely(rc))
			break;
	}
	if (unlikely(g.tables))
		iommu_domain_sync(dom, &g);
	if (unlikely(rc) && idx > b->first)
		clear(dom, a, b->first, idx - 1);
	return rc;
}

static int fill_batch(const struct fill *f, const struct area *a, const struct batch *b)
{
	for (unsigned k = 0; k < f->n; k++) {
		int rc = map_batch(f, f->domains[k], a, b);

		if (likely(!rc))
			continue;
		while (k--)
			clear(f->domains[k], a, b->first, b->first + b->npages - 1);
		return rc;
	}
	return 0;
}

/*
 * Clears [first, last] in @dom, which holds the PFNs, and unpins what nothing else holds. Needs no
 * memory: works in as many steps as there are batches in the range.
 */
static void clear_and_unpin(struct iommu_domain *dom, const struct area *a, struct pages *p,
			    uint64_t first, uint64_t last, unsigned batch_max)
{
	struct batch b;

	for (uint64_t idx = first; idx <= last; idx += b.npages) {
		batch_begin(&b, idx, batch_max);
		area_read_domain(a, dom, idx, last, &b);
		if (BUG_ON(!b.npages))
			return;
		clear(dom, a, idx, idx + b.npages - 1);
		pages_unpin_unused_locked(p, &b, p->writable);
	}
}

/* Undoes the batches before page @end in all of @f->domains. */
static void undo_until(const struct fill *f, const struct area *a, struct pages *p, uint64_t end)
{
	if (end == a->node.start)
		return;
	for (unsigned k = 0; k + 1 < f->n; k++)
		clear(f->domains[k], a, a->node.start, end - 1);
	clear_and_unpin(f->domains[f->n - 1], a, p, a->node.start, end - 1, f->batch_max);
}

/*
 * Everything but the bookkeeping of the area. *@run_pa: where its pages are if they turn out
 * consecutive.
 */
static int fill_locked(const struct fill *f, struct area *a, struct pages *p, uint64_t *run_pa)
{
	uint64_t next_pa = 0;
	struct reader r;
	int rc;

	*run_pa = AREA_NO_RUN;
	reader_init_locked(&r, p, a->node.start, a->node.last, f->batch_max);
	for (;;) {
		rc = reader_next_locked(&r);
		if (unlikely(rc) || !r.b.npages)
			break;
		rc = fill_batch(f, a, &r.b);
		if (unlikely(rc)) {
			pages_unpin_unused_locked(p, &r.b, false);
			break;
		}
		if (r.b.first == a->node.start && r.b.n == 1)
			*run_pa = r.b.run[0].pa;
		else if (r.b.n > 1 || r.b.run[0].pa != next_pa)
			*run_pa = AREA_NO_RUN;
		next_pa = r.b.run[0].pa + r.b.run[0].npages * PAGE_SIZE;
		if (r.idx > r.last)
			break;
	}
	if (unlikely(rc)) {
		undo_until(f, a, p, r.b.first);
		return rc;
	}
	rc = pages_charge_locked(p);
	if (unlikely(rc))
		undo_until(f, a, p, a->node.last + 1);
	return rc;
}

int fill_area(const struct fill *f, struct area *a, struct pages *p)
{
	bool locked = pages_lock(p);
	uint64_t run_pa;
	int rc;

	rc = fill_locked(f, a, p, &run_pa);
	if (likely(!rc))
		area_set_storage_locked(a, p, f->domains[0], run_pa);
	pages_unlock(p, locked);
	return rc;
}

int fill_more(const struct fill *f, struct area *a, struct pages *p)
{
	uint64_t run_pa;
	int rc;

	/* The area is live: others may come through it. */
	mtx_lock(&p->lock);
	rc = fill_locked(f, a, p, &run_pa);
	if (!rc && !a->storage)
		area_set_storage_locked(a, p, f->domains[0], run_pa);
	mtx_unlock(&p->lock);
	return rc;
}

void unfill_area(const struct fill *f, struct area *a, struct pages *p)
{
	bool locked = pages_lock(p);
	struct iommu_domain *storage = a->storage;

	for (unsigned k = 0; k < f->n; k++)
		if (f->domains[k] != storage)
			clear(f->domains[k], a, a->node.start, a->node.last);
	if (likely(storage)) {
		uint64_t run_pa = a->run_pa;

		area_clear_storage_locked(a, p);
		a->run_pa = run_pa; /* still true, and spares a walk */
		clear_and_unpin(storage, a, p, a->node.start, a->node.last, f->batch_max);
		a->run_pa = AREA_NO_RUN;
		pages_uncharge_locked(p);
	}
	pages_unlock(p, locked);
}

void unfill_domain(const struct fill *f, struct area *a, struct pages *p, struct iommu_domain *dom)
{
	mtx_lock(&p->lock);
	if (a->storage != dom) {
		clear(dom, a, a->node.start, a->node.last);
	} else if (f->n) {
		a->storage = f->domains[0]; /* the PFNs, and run_pa, are the same in each */
		clear(dom, a, a->node.start, a->node.last);
	} else {
		uint64_t run_pa = a->run_pa;

		area_clear_storage_locked(a, p);
		a->run_pa = run_pa;
		clear_and_unpin(dom, a, p, a->node.start, a->node.last, f->batch_max);
		a->run_pa = AREA_NO_RUN;
		pages_uncharge_locked(p);
	}
	mtx_unlock(&p->lock);
}
