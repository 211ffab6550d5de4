// SPDX-License-Identifier: MIT
/*
 * How does a consumer pin what is mapped, and let go of it?
 *
 * Invariants
 *  N1  num_accesses of an area counts the pins made through it that have not been dropped; while
 *      it is not 0 the area stays in the map
 *  N2  num_locks counts those of internal accesses
 */
#include <errno.h>

#include "base/log.h"
#include "base/why.h"
#include "iommufd/access.h"

typedef unsigned long long ull;

static uint64_t first_page(const struct access_walk *w)
{
	return w->off / PAGE_SIZE;
}

static uint64_t last_page(const struct access_walk *w)
{
	return (w->off + (w->end - w->start)) / PAGE_SIZE;
}

/* The pages of consecutive segments must follow each other without a piece of a page between. */
static int check_pages(const struct access_walk *w)
{
	if (unlikely(w->off & PAGE_MASK))
		return refuse(EINVAL, "iova 0x%llx is 0x%llx bytes into a page", (ull)w->start,
			      (ull)(w->off & PAGE_MASK));
	if (unlikely(w->more && ((w->off + (w->end - w->start) + 1) & PAGE_MASK)))
		return refuse(EINVAL, "the mapping that ends at iova 0x%llx ends inside a page",
			      (ull)w->end);
	return 0;
}

static int pin_segment(const struct access_walk *w, const struct iommufd_access *access,
		       uint64_t *out)
{
	struct area *a = w->area;
	int rc;

	mtx_lock(&w->pages->lock);
	if (unlikely(a->num_accesses == UINT32_MAX))
		rc = refuse(EBUSY, "the mapping at iova 0x%llx has too many pins", (ull)w->start);
	else
		rc = pages_pin_locked(w->pages, first_page(w), last_page(w),
				      access->obj.ctx->batch_max, out);
	if (likely(!rc)) {
		a->num_accesses++;
		a->num_locks += !access->ops;
	}
	mtx_unlock(&w->pages->lock);
	return rc;
}

static bool unpin_segment(const struct access_walk *w, const struct iommufd_access *access)
{
	struct area *a = w->area;
	bool done = false;

	mtx_lock(&w->pages->lock);
	if (likely(a->num_accesses))
		done = pages_unpin_range_locked(w->pages, first_page(w), last_page(w));
	if (likely(done)) {
		a->num_accesses--;
		a->num_locks -= !access->ops;
	}
	mtx_unlock(&w->pages->lock);
	return done;
}

/* iova_lock held. False: not all of that was pinned. */
static bool unpin_range(struct iopt *t, const struct iommufd_access *access, uint64_t iova,
			uint64_t last)
{
	struct access_walk w;
	bool all = true;

	access_walk_begin(&w, t, iova, last);
	do {
		if (unlikely(access_walk_next(&w)))
			return false;
		all &= unpin_segment(&w, access);
	} while (w.more);
	return all;
}

static int pin_range(struct iopt *t, const struct iommufd_access *access, uint64_t iova,
		     uint64_t last, uint64_t *out, unsigned flags)
{
	struct access_walk w;
	int rc;

	access_walk_begin(&w, t, iova, last);
	do {
		uint64_t at = w.at;

		rc = access_walk_next(&w);
		if (likely(!rc))
			rc = access_walk_check(&w, flags);
		if (likely(!rc))
			rc = check_pages(&w);
		if (likely(!rc))
			rc = pin_segment(&w, access, out);
		if (unlikely(rc)) {
			if (at != iova)
				(void)BUG_ON(!unpin_range(t, access, iova, at - 1));
			return rc;
		}
		out += last_page(&w) - first_page(&w) + 1;
	} while (w.more);
	return 0;
}

int iommufd_access_pin_pages(struct iommufd_access *access, uint64_t iova, uint64_t length,
			     uint64_t *out, unsigned flags)
{
	struct iopt *t;
	uint64_t last;
	int rc;

	rc = access_range(iova, length, &last);
	if (unlikely(rc))
		return rc;
	if (unlikely(!access_pins(access)))
		return refuse(EINVAL, "access %u was not made to pin", access->obj.id);
	rwl_rdlock(&access->lock);
	if (likely(access->ioas != NULL)) {
		t = &access->ioas->iopt;
		rwl_rdlock(&t->iova_lock);
		rc = pin_range(t, access, iova, last, out, flags);
		rwl_rdunlock(&t->iova_lock);
	} else {
		rc = refuse(ENOENT, "access %u is not attached", access->obj.id);
	}
	rwl_rdunlock(&access->lock);
	return rc;
}

void iommufd_access_unpin_pages(struct iommufd_access *access, uint64_t iova, uint64_t length)
{
	uint64_t last;
	bool done = false;

	rwl_rdlock(&access->lock);
	if (likely(access->ioas_unpin && !access_range(iova, length, &last))) {
		struct iopt *t = &access->ioas_unpin->iopt;

		rwl_rdlock(&t->iova_lock);
		done = unpin_range(t, access, iova, last);
		rwl_rdunlock(&t->iova_lock);
	}
	rwl_rdunlock(&access->lock);
	if (unlikely(!done))
		log_line(LOG_WARN, "access %u unpins 0x%llx bytes at iova 0x%llx, never pinned",
			 access->obj.id, (ull)length, (ull)iova);
}
