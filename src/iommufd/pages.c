// SPDX-License-Identifier: MIT
/*
 * Which pages of a source are pinned, for whom, and who pays?
 *
 * Invariants, whenever the lock is free
 *  G1  page i is pinned exactly once iff it is in accesses or in domains
 *  G2  npinned is the number of those pages; charged == npinned
 *  G3  every node of domains is an area whose storage domain maps it; every node of accesses is
 *      a range of the store
 *  G4  at the end both trees are empty and npinned is 0
 *
 * Who needs the lock. A pages object is reached through an area in some iopt, under that iopt's
 * IOVA lock, and everything that keeps it longer takes a reference there. So whoever holds the
 * only reference and has its area's pages pointer at NULL (MAP while it fills, UNMAP while it
 * tears down) is alone: pages_lock() then takes nothing. The release of the pages pointer, or of
 * the reference that went before, pairs with the acquire of whoever comes next.
 */
#include "iommufd/pages.h"

#include <errno.h>
#include <linux/capability.h>

#include "base/why.h"
#include "index/span.h"
#include "iommufd/area.h"
#include "iommufd/ctx.h"
#include "iommufd/reader.h"
#include "iommufd/store.h"

int pages_measure(uint64_t addr, uint64_t len, uint16_t *offset, uint64_t *npages)
{
	if (unlikely(addr + len < addr))
		return refuse(EOVERFLOW, "address 0x%llx + length 0x%llx wraps",
			      (unsigned long long)addr, (unsigned long long)len);
	if (unlikely(!len || len > UINT64_MAX - PAGE_SIZE))
		return refuse(EINVAL, "length 0x%llx is %s", (unsigned long long)len,
			      len ? "too large" : "zero");
	*offset = (uint16_t)(addr & PAGE_MASK);
	*npages = (*offset + (len - 1)) / PAGE_SIZE + 1;
	return 0;
}

int pages_measure_file(uint64_t start, uint64_t len, uint16_t *offset, uint64_t *npages)
{
	if (!len)
		return refuse(EINVAL, "length is zero");
	if (start + (len - 1) < start)
		return refuse(EOVERFLOW, "offset 0x%llx + length 0x%llx wraps",
			      (unsigned long long)start, (unsigned long long)len);
	*offset = (uint16_t)(start & PAGE_MASK);
	*npages = (*offset + (len - 1)) / PAGE_SIZE + 1;
	return 0;
}

static enum account_mode mode_for(struct iommufd_ctx *ctx)
{
	if (account_capable(CAP_IPC_LOCK))
		return ACCOUNT_NONE;
	return atomic_load_explicit(&ctx->account_mode, memory_order_relaxed) == ACCOUNT_MM
		       ? ACCOUNT_MM
		       : ACCOUNT_USER;
}

static void init_pages(struct pages *p, struct iommufd_ctx *ctx, uint64_t addr, uint64_t npages,
		       bool writable)
{
	mtx_init(&p->lock, LOCK_PAGES);
	atomic_init(&p->refs, 1);
	p->account = (uint8_t)mode_for(ctx);
	p->writable = writable;
	p->npages = npages;
	p->base = align_down(addr, PAGE_SIZE);
	p->pm = ctx->machine->pm;
	p->npinned = 0;
	p->charged = 0;
	itree_init(&p->accesses);
	itree_init(&p->domains);
}

void pages_init_user(struct pages *p, struct iommufd_ctx *ctx, uint64_t addr, uint64_t npages,
		     bool writable)
{
	init_pages(p, ctx, addr, npages, writable);
	p->source = PAGES_USER;
	p->mm = ctx->machine->self;
}

void pages_init_file(struct pages *p, struct iommufd_ctx *ctx, struct mm_file *file, uint64_t start,
		     uint64_t npages, bool writable)
{
	init_pages(p, ctx, start, npages, writable);
	p->source = PAGES_FILE;
	p->file = file;
}

void pages_finish(struct pages *p)
{
	(void)BUG_ON(!itree_empty(&p->accesses) || !itree_empty(&p->domains)); /* G4 */
	(void)BUG_ON(p->npinned || p->charged);
	if (unlikely(p->source == PAGES_FILE))
		mm_file_close(p->file);
}

int pages_charge_locked(struct pages *p)
{
	int rc;

	if (p->npinned <= p->charged)
		return 0;
	rc = account_charge((enum account_mode)p->account, p->npinned - p->charged);
	if (rc)
		return rc;
	p->charged = p->npinned;
	return 0;
}

void pages_uncharge_locked(struct pages *p)
{
	if (p->charged <= p->npinned)
		return;
	account_uncharge((enum account_mode)p->account, p->charged - p->npinned);
	p->charged = p->npinned;
}

struct unpin {
	struct pages *p;
	bool dirty;
};

static void unpin_piece(void *arg, const struct phys_run *piece)
{
	struct unpin *u = arg;

	physmap_unpin(u->p->pm, piece, u->dirty);
	u->p->npinned -= piece->npages;
}

void pages_unpin_unused_locked(struct pages *p, const struct batch *b, bool dirty)
{
	struct unpin u = { .p = p, .dirty = dirty };
	struct span2 s;

	if (!b->npages)
		return;
	if (likely(itree_empty(&p->accesses) && itree_empty(&p->domains))) {
		for (unsigned i = 0; i < b->n; i++)
			unpin_piece(&u, &b->run[i]);
		return;
	}
	span2_for_each(&s, &p->accesses, &p->domains, b->first,
		       b->first + b->npages - 1) if (s.kind == SPAN_HOLE)
		batch_each(b, s.start, s.last, unpin_piece, &u);
}

/* Unpins those of [first, last] that nobody else holds; @r knows them and is in no tree. */
static void unpin_range(struct pages *p, const struct store_range *r, uint64_t first, uint64_t last,
			bool dirty)
{
	struct batch b;

	for (uint64_t idx = first; idx <= last; idx += b.npages) {
		batch_begin(&b, idx, BATCH_RUNS);
		store_read(r, idx, last, &b);
		pages_unpin_unused_locked(p, &b, dirty);
	}
}

/* Reads the PFNs of a range into it; on failure what that had pinned is unpinned again. */
static int read_range(struct pages *p, struct store_range **r, unsigned batch_max)
{
	uint64_t first = (*r)->node.start;
	struct reader rd;
	int rc;

	reader_init_locked(&rd, p, first, (*r)->node.last, batch_max);
	do {
		rc = reader_next_locked(&rd);
		if (unlikely(rc))
			break;
		rc = store_append(r, &rd.b);
		if (unlikely(rc)) {
			pages_unpin_unused_locked(p, &rd.b, false);
			break;
		}
	} while (rd.idx <= rd.last);
	if (unlikely(rc) && rd.b.first > first)
		unpin_range(p, *r, first, rd.b.first - 1, false);
	return rc;
}

int pages_pin_locked(struct pages *p, uint64_t first, uint64_t last, unsigned batch_max,
		     uint64_t *out)
{
	struct store_range *r = store_find(&p->accesses, first, last);
	int rc;

	if (r) {
		r->users++;
		store_list(r, out);
		return 0;
	}
	r = store_range_new(first, last);
	if (unlikely(!r))
		return refuse(ENOMEM, "no memory to keep %llu pinned pages",
			      (unsigned long long)(last - first + 1));
	rc = read_range(p, &r, batch_max);
	if (unlikely(rc))
		goto err_free;
	rc = pages_charge_locked(p);
	if (unlikely(rc)) {
		unpin_range(p, r, first, last, false);
		goto err_free;
	}
	itree_insert(&p->accesses, &r->node);
	store_list(r, out);
	return 0;
err_free:
	store_range_free(r);
	return rc;
}

bool pages_unpin_range_locked(struct pages *p, uint64_t first, uint64_t last)
{
	struct store_range *r = store_find(&p->accesses, first, last);

	if (unlikely(!r))
		return false;
	if (--r->users)
		return true;
	itree_remove(&p->accesses, &r->node);
	unpin_range(p, r, first, last, p->writable);
	pages_uncharge_locked(p);
	store_range_free(r);
	return true;
}

/* The runs of one batch are pinned. */
static void check_batch(const struct pages *p, const struct batch *b)
{
	batch_check(b);
	for (unsigned i = 0; i < b->n; i++) {
		uint64_t pa = b->run[i].pa, n = b->run[i].npages;

		(void)BUG_ON(!physmap_pins(p->pm, pa));
		(void)BUG_ON(!physmap_pins(p->pm, pa + (n - 1) * PAGE_SIZE));
	}
}

/* G1 for what an access pinned. */
static void check_range(const struct pages *p, const struct store_range *r)
{
	struct batch b;

	(void)BUG_ON(r->node.last >= p->npages);
	for (uint64_t idx = r->node.start; idx <= r->node.last; idx += b.npages) {
		batch_begin(&b, idx, BATCH_RUNS);
		store_read(r, idx, r->node.last, &b);
		if (BUG_ON(!b.npages))
			return;
		check_batch(p, &b);
	}
}

/* G1 for the part of the slice that a domain holds. */
static void check_pinned(struct pages *p, const struct area *a)
{
	for (uint64_t idx = a->node.start; idx <= a->node.last;) {
		struct batch b;

		batch_begin(&b, idx, BATCH_RUNS);
		area_read_domain(a, a->storage, idx, a->node.last, &b);
		if (BUG_ON(!b.npages))
			return;
		check_batch(p, &b);
		idx += b.npages;
	}
}

void pages_check(struct pages *p)
{
	uint64_t covered = 0;
	struct span2 s;

	mtx_lock(&p->lock);
	itree_check(&p->accesses);
	itree_check(&p->domains);
	store_check(&p->accesses);
	span2_for_each(&s, &p->accesses, &p->domains, 0, p->npages - 1) if (s.kind != SPAN_HOLE)
		covered += s.last - s.start + 1;
	(void)BUG_ON(p->npinned != covered); /* G2 */
	(void)BUG_ON(p->charged != p->npinned);
	(void)BUG_ON(!atomic_load(&p->refs));
	itree_for_each(n, &p->accesses, 0, UINT64_MAX)
		check_range(p, container_of(n, struct store_range, node));
	itree_for_each(n, &p->domains, 0, UINT64_MAX) {
		struct area *a = container_of(n, struct area, node);

		area_check(a, p);
		if (!BUG_ON(!a->storage)) /* G3 */
			check_pinned(p, a);
	}
	mtx_unlock(&p->lock);
}
