// SPDX-License-Identifier: MIT
/*
 * How does a consumer copy to and from what is mapped?
 *
 * Memory of this process is copied at its own address, as its owner would. Of what has no address
 * here the pages are read through the tiers, like a pin that lasts for one batch and is not
 * charged, and copied where they are.
 */
#include <errno.h>

#include "base/why.h"
#include "iommufd/access.h"
#include "iommufd/reader.h"
#include "mem/fence.h"
#include "mem/guard.h"

struct copy {
	struct physmap *pm;
	struct fence_slot *slot;
	uint32_t tag;
	bool write;
	char *buf;
	uint64_t left; /* bytes */
	uint64_t skip; /* bytes of the next page that are not wanted */
	int rc;
};

/* Up to one section's worth of bytes at @pa; how many, or 0: the frame moves, or cannot be used. */
static size_t copy_section(struct copy *c, uint64_t pa, uint64_t want)
{
	size_t n = min_u64(want, FENCE_SECTION_MAX);
	void *p;

	fence_enter(c->slot, c->tag);
	p = physmap_ptr(c->pm, pa, &n);
	if (likely(p != NULL)) {
		c->rc = c->write ? guard_copy(p, c->buf, n) : guard_copy(c->buf, p, n);
		if (unlikely(c->rc))
			c->rc = physmap_force(c->pm, pa, c->buf, n, c->write);
	}
	fence_exit(c->slot);
	if (likely(p && !c->rc))
		return n;
	if (c->rc || !physmap_settle(c->pm, pa))
		c->rc = refuse(EFAULT, "the page at 0x%llx cannot be %s", (unsigned long long)pa,
			       c->write ? "written" : "read");
	return 0;
}

static void copy_run(void *arg, const struct phys_run *run)
{
	struct copy *c = arg;
	uint64_t pa = run->pa + c->skip;
	uint64_t len = min_u64(run->npages * PAGE_SIZE - c->skip, c->left);

	c->skip = 0;
	while (len && !c->rc) {
		size_t n = copy_section(c, pa, len);

		pa += n;
		len -= n;
		c->buf += n;
		c->left -= n;
	}
}

static int copy_slow(const struct iommufd_access *access, const struct access_walk *w, char *buf,
		     bool write)
{
	struct pages *p = w->pages;
	struct copy c = {
		.pm = p->pm,
		.slot = fence_slot(),
		.tag = access->tag,
		.write = write,
		.buf = buf,
		.left = w->end - w->start + 1,
		.skip = w->off & PAGE_MASK,
	};
	struct reader r;
	int rc;

	if (!c.slot)
		return refuse(ENOMEM, "no memory for the first copy of a thread");
	mtx_lock(&p->lock);
	reader_init_locked(&r, p, w->off / PAGE_SIZE, (w->off + (w->end - w->start)) / PAGE_SIZE,
			   access->obj.ctx->batch_max);
	do {
		rc = reader_next_locked(&r);
		if (rc)
			break;
		batch_each(&r.b, r.b.first, r.b.first + (r.b.npages - 1), copy_run, &c);
		pages_unpin_unused_locked(p, &r.b, write);
		rc = c.rc;
	} while (!rc && r.idx <= r.last);
	mtx_unlock(&p->lock);
	return rc;
}

static int copy_segment(const struct iommufd_access *access, const struct access_walk *w, char *buf,
			unsigned flags)
{
	uint64_t len = w->end - w->start + 1, va = w->pages->base + w->off;
	bool write = flags & IOMMUFD_ACCESS_WRITE;

	if (w->pages->source != PAGES_USER || (flags & IOMMUFD_ACCESS_SLOW))
		return copy_slow(access, w, buf, write);
	if (write)
		return mm_copy_to(w->pages->mm, va, buf, len);
	return mm_copy_from(w->pages->mm, buf, va, len);
}

static int rw_range(struct iopt *t, const struct iommufd_access *access, uint64_t iova,
		    uint64_t last, char *buf, unsigned flags)
{
	struct access_walk w;
	int rc;

	access_walk_begin(&w, t, iova, last);
	do {
		rc = access_walk_next(&w);
		if (likely(!rc))
			rc = access_walk_check(&w, flags);
		if (likely(!rc))
			rc = copy_segment(access, &w, buf, flags);
		if (unlikely(rc))
			return rc;
		buf += w.end - w.start + 1;
	} while (w.more);
	return 0;
}

int iommufd_access_rw(struct iommufd_access *access, uint64_t iova, void *buf, uint64_t length,
		      unsigned flags)
{
	struct iopt *t;
	uint64_t last;
	int rc;

	rc = access_range(iova, length, &last);
	if (unlikely(rc))
		return rc;
	rwl_rdlock(&access->lock);
	if (likely(access->ioas != NULL)) {
		t = &access->ioas->iopt;
		rwl_rdlock(&t->iova_lock);
		rc = rw_range(t, access, iova, last, buf, flags);
		rwl_rdunlock(&t->iova_lock);
	} else {
		rc = refuse(ENOENT, "access %u is not attached", access->obj.id);
	}
	rwl_rdunlock(&access->lock);
	return rc;
}
