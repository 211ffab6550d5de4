// SPDX-License-Identifier: MIT
/*
 * Which IOVA may be used, and which does the allocator choose?
 *
 * Invariants
 *  V1  no area meets a reserved interval; no allowed interval does
 *  V2  alignment is the greatest of 1 (PAGE_SIZE with large pages disabled or an access that
 *      pins) and the smallest page of each domain; every area complies with the latter (a
 *      copy of several areas may leave odd boundaries inside, which only a domain refuses)
 *
 * The choice is deterministic, lowest first. Source: docs/abi/ioas_map.md "Choosing the IOVA".
 */
#include "iommufd/iopt.h"

#include <errno.h>

#include "abi/iommufd.h"
#include "base/why.h"
#include "index/span.h"
#include "iommufd/hwpt.h"

#define ALIGN_CAP    (2 * MIB) /* no use in aligning for pages larger than a host's huge page */
#define WINDOW_FIRST PAGE_SIZE /* page 0 and the top page are never chosen */
#define WINDOW_LAST  (UINT64_MAX - PAGE_SIZE)

typedef unsigned long long ull;

int iova_reserve_locked(struct iopt *t, const struct resv_node *resv)
{
	uint64_t start = resv->node.start, last = resv->node.last;
	struct resv_node *r;
	struct imap_entry e;
	struct itree_node *n;

	if (imap_first(&t->areas, start, last, &e))
		return refuse(EADDRINUSE, "iova 0x%llx-0x%llx, %s, has the mapping 0x%llx-0x%llx",
			      (ull)start, (ull)last, resv->what, (ull)e.start, (ull)e.last);
	n = itree_first(&t->allowed, start, last);
	if (n)
		return refuse(EADDRINUSE,
			      "iova 0x%llx-0x%llx, %s, has the allowed range 0x%llx-0x%llx",
			      (ull)start, (ull)last, resv->what, (ull)n->start, (ull)n->last);
	r = mem_alloc(sizeof(*r));
	if (!r)
		return refuse(ENOMEM, "no memory to reserve iova");
	*r = *resv;
	itree_insert(&t->reserved, &r->node);
	list_add_tail(&t->resv_nodes, &r->in_iopt);
	return 0;
}

void iova_unreserve_locked(struct iopt *t, const void *owner)
{
	list_for_each_safe(l, next, &t->resv_nodes) {
		struct resv_node *r = list_entry(l, struct resv_node, in_iopt);

		if (r->owner != owner)
			continue;
		itree_remove(&t->reserved, &r->node);
		list_del(l);
		mem_free(r);
	}
}

static int reserve_region(struct iopt *t, const struct iommu_device *dev,
			  const struct iommu_resv *r, const void *owner)
{
	bool msi = r->type == IOMMU_RESV_MSI || r->type == IOMMU_RESV_SW_MSI;

	return iova_reserve_locked(
		t, &(struct resv_node){
			   .node = { .start = r->start, .last = r->last },
			   .owner = owner,
			   .what = msi ? "an interrupt window" : "a reserved region",
			   .who = dev->name,
		   });
}

int iopt_reserve_device(struct iopt *t, const struct iommu_device *dev, const void *owner)
{
	unsigned msi = 0, sw_msi = 0;
	struct iommu_resv r;
	int rc = 0;

	rwl_wrlock(&t->iova_lock);
	for (size_t i = 0; !rc && iommu_device_resv(dev, i, &r); i++) {
		if (r.type == IOMMU_RESV_DIRECT_RELAXABLE)
			continue;
		msi += r.type == IOMMU_RESV_MSI;
		sw_msi += r.type == IOMMU_RESV_SW_MSI;
		if (sw_msi > 1 || (sw_msi && msi))
			rc = refuse(EINVAL, "%s has %u hardware and %u software MSI windows",
				    dev->name, msi, sw_msi);
		else
			rc = reserve_region(t, dev, &r, owner);
	}
	if (rc)
		iova_unreserve_locked(t, owner);
	rwl_wrunlock(&t->iova_lock);
	return rc ? why_add(rc, "for device %s", dev->name) : 0;
}

void iopt_unreserve(struct iopt *t, const void *owner)
{
	rwl_wrlock(&t->iova_lock);
	iova_unreserve_locked(t, owner);
	rwl_wrunlock(&t->iova_lock);
}

unsigned iopt_iova_ranges(struct iopt *t, uint64_t *from, bool *more, struct iommu_iova_range *out,
			  unsigned max, uint64_t *alignment)
{
	unsigned n = 0;
	struct span s;

	*more = false;
	rwl_rdlock(&t->iova_lock);
	*alignment = t->alignment;
	span_for_each(&s, &t->reserved, *from, UINT64_MAX) {
		if (s.used)
			continue;
		if (n == max) {
			*from = s.start;
			*more = true;
			break;
		}
		out[n].start = s.start;
		out[n++].last = s.last;
	}
	rwl_rdunlock(&t->iova_lock);
	return n;
}

/* First IOVA for @req in [lo, hi] if all of that is free. */
static bool place(const struct imap_gap_req *req, uint64_t lo, uint64_t hi, uint64_t *out)
{
	uint64_t p;

	if (!align_up(lo, req->align, &p))
		return false;
	p |= req->off;
	if (p >= hi || hi - p < req->len - 1)
		return false;
	*out = p;
	return true;
}

/* Lowest place in a run [lo, hi] of allowed IOVA, between what is reserved and mapped. */
static bool place_in_run(struct iopt *t, struct imap_gap_req *req, uint64_t lo, uint64_t hi,
			 uint64_t *out)
{
	struct span s;
	uint64_t p;

	if (!place(req, lo, hi, &lo))
		return false;
	if (itree_empty(&t->reserved)) {
		req->lo = lo;
		req->hi = hi;
		return imap_find_gap(&t->areas, req, out);
	}
	span_for_each(&s, &t->reserved, lo, hi) {
		if (s.used || !place(req, s.start, s.last, &p))
			continue;
		req->lo = s.start;
		req->hi = s.last;
		if (imap_find_gap(&t->areas, req, out))
			return true;
	}
	return false;
}

static uint64_t choose_alignment(uint64_t addr, uint64_t len)
{
	uint64_t a = is_pow2(len) ? len : 2ull << highest_bit(len);

	if (addr)
		a = min_u64(a, 1ull << lowest_bit(addr));
	return min_u64(a, ALIGN_CAP);
}

static int choose(struct iopt *t, const struct iopt_map *m, uint64_t *iova)
{
	struct imap_gap_req req = { .len = m->len, .off = m->addr & PAGE_MASK };
	struct span s;

	if (m->len >= UINT64_MAX / 2)
		return refuse(EOVERFLOW, "length 0x%llx is too large to choose an iova for",
			      (ull)m->len);
	req.align = choose_alignment(m->addr, m->len);
	if (req.align < t->alignment)
		return refuse(
			EINVAL,
			"address 0x%llx and length 0x%llx allow an alignment of 0x%llx, the ioas asks for 0x%llx",
			(ull)m->addr, (ull)m->len, (ull)req.align, (ull)t->alignment);
	if (likely(itree_empty(&t->allowed))) {
		if (place_in_run(t, &req, WINDOW_FIRST, WINDOW_LAST, iova))
			return 0;
	} else {
		span_for_each(&s, &t->allowed, WINDOW_FIRST, WINDOW_LAST)
			if (s.used && place_in_run(t, &req, s.start, s.last, iova))
				return 0;
	}
	return refuse(ENOSPC, "no free iova for 0x%llx bytes aligned to 0x%llx", (ull)m->len,
		      (ull)req.align);
}

static COLD int refuse_reserved(const struct iopt_map *m, const struct resv_node *r)
{
	return refuse(EINVAL, "iova 0x%llx-0x%llx meets 0x%llx-0x%llx, %s%s%s", (ull)m->iova,
		      (ull)(m->iova + (m->len - 1)), (ull)r->node.start, (ull)r->node.last, r->what,
		      *r->who ? " of " : "", r->who);
}

/* @what with value @v breaks the alignment. */
static COLD int refuse_unaligned(const struct iopt *t, const char *what, uint64_t v)
{
	for (unsigned i = 0; i < t->n_domains; i++) {
		const struct hwpt *h = t->domains[i]->owner;

		if (iova_domain_alignment(t->domains[i]) == t->alignment)
			return refuse(
				EINVAL,
				"%s 0x%llx is not a multiple of the ioas's alignment 0x%llx, raised by hwpt %u",
				what, (ull)v, (ull)t->alignment, h->obj.id);
	}
	return refuse(EINVAL, "%s 0x%llx is not a multiple of the ioas's alignment 0x%llx", what,
		      (ull)v, (ull)t->alignment);
}

int iova_check_offset_locked(const struct iopt *t, uint16_t offset)
{
	if (likely(!(offset & (t->alignment - 1))))
		return 0;
	return refuse_unaligned(t, "offset within the page", offset);
}

int iova_place_locked(struct iopt *t, const struct iopt_map *m, uint64_t *iova)
{
	struct itree_node *n;

	lock_assert_held(&t->iova_lock);
	if (unlikely(m->len & (t->alignment - 1)))
		return refuse_unaligned(t, "length", m->len);
	if (!m->fixed)
		return choose(t, m, iova);
	if (unlikely(m->iova & (t->alignment - 1)))
		return refuse_unaligned(t, "iova", m->iova);
	if (unlikely(m->iova + (m->len - 1) < m->iova))
		return refuse(EOVERFLOW, "iova 0x%llx + length 0x%llx wraps", (ull)m->iova,
			      (ull)m->len);
	n = itree_first(&t->reserved, m->iova, m->iova + (m->len - 1));
	if (unlikely(n != NULL))
		return refuse_reserved(m, container_of(n, struct resv_node, node));
	*iova = m->iova;
	return 0;
}

uint64_t iova_domain_alignment(const struct iommu_domain *dom)
{
	return 1ull << lowest_bit(dom->pgsizes);
}

uint64_t iova_alignment_locked(const struct iopt *t)
{
	uint64_t align = t->large_off || t->n_pinning ? PAGE_SIZE : 1;

	for (unsigned i = 0; i < t->n_domains; i++)
		align = max_u64(align, iova_domain_alignment(t->domains[i]));
	return align;
}

int iova_check_areas_locked(const struct iopt *t, uint64_t align)
{
	struct imap_entry e;

	imap_for_each(&e, &t->areas, 0, UINT64_MAX) {
		const struct area *a = e.value;

		if (!area_complies(a, align))
			return refuse(
				EADDRINUSE,
				"the mapping 0x%llx-0x%llx with page offset 0x%x does not comply with alignment 0x%llx",
				(ull)a->start, (ull)a->last, a->page_offset, (ull)align);
	}
	return 0;
}

void iova_check_locked(struct iopt *t)
{
	size_t nodes = 0;

	itree_check(&t->reserved);
	itree_check(&t->allowed);
	imap_check(&t->areas);
	list_for_each(l, &t->resv_nodes) {
		struct resv_node *r = list_entry(l, struct resv_node, in_iopt);
		struct imap_entry e;

		(void)BUG_ON(imap_first(&t->areas, r->node.start, r->node.last, &e)); /* V1 */
		(void)BUG_ON(itree_first(&t->allowed, r->node.start, r->node.last));
		nodes++;
	}
	itree_for_each(n, &t->reserved, 0, UINT64_MAX)
		nodes--;
	(void)BUG_ON(nodes);
	(void)BUG_ON(t->alignment != iova_alignment_locked(t)); /* V2 */
	for (unsigned i = 0; i < t->n_domains; i++)
		(void)BUG_ON(iova_check_areas_locked(t, iova_domain_alignment(t->domains[i])));
}
