// SPDX-License-Identifier: MIT
/*
 * Which consumers are attached to an IOAS, and who is told of an UNMAP?
 *
 * Invariants
 *  X1  ioas is ioas_unpin or NULL. Between transitions they are equal; an access with ioas_unpin
 *      has one dependency on it and is in its list under list_id
 *  X2  an access holds its driver's dependency on itself and, unless it is internal, a reference on
 *      the context
 *  X3  an access is on a list only while its slot is its own: object_free_id() comes last
 *
 * Transitions (change_ioas()) block pins first, join the new list, then let the consumer drop what
 * it pinned in the old IOAS, without the lock; unpins find the old one until that is done. The
 * access is held meanwhile, so destroying it waits.
 *
 * Who excludes whom: the list of an iopt changes under its domains_lock, for write. A notifier
 * finds the next access under it, shared, holds that, and calls it without any lock.
 */
#include "iommufd/access.h"

#include <errno.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/why.h"
#include "mem/fence.h"

#define GOING_WAIT_MS 50u /* per round of an UNMAP, for an access that is being destroyed */

static struct iommufd_access **list_slot(struct iopt *t, uint32_t list_id)
{
	return idmap_slot(&t->accesses, list_id + 1); /* id maps begin at 1 */
}

/* Alignment as an access that pins wants it; the list has it already. */
static int raise_alignment_locked(struct iopt *t)
{
	int rc = 0;

	t->n_pinning++;
	if (t->alignment < PAGE_SIZE)
		rc = iova_check_areas_locked(t, PAGE_SIZE);
	if (rc)
		t->n_pinning--;
	else
		t->alignment = iova_alignment_locked(t);
	return rc;
}

/* -EBUSY every list id is taken; -ENOMEM; -EADDRINUSE areas are not aligned. */
static int list_add(struct iopt *t, struct iommufd_access *access, uint32_t *list_id)
{
	uint32_t id;
	int rc;

	rwl_wrlock(&t->domains_lock);
	rwl_wrlock(&t->iova_lock);
	rc = fault_point() ? -ENOMEM : idmap_alloc(&t->accesses, &id);
	if (rc) {
		rc = refuse(-rc,
			    rc == -EBUSY ? "the ioas has %u accesses already"
					 : "no memory for one more than %u accesses",
			    t->accesses.count);
		goto out;
	}
	if (access_pins(access))
		rc = raise_alignment_locked(t);
	if (rc) {
		idmap_free(&t->accesses, id);
		goto out;
	}
	*list_id = id - 1;
	*list_slot(t, *list_id) = access;
out:
	rwl_wrunlock(&t->iova_lock);
	rwl_wrunlock(&t->domains_lock);
	return rc;
}

static void list_remove(struct iopt *t, const struct iommufd_access *access, uint32_t list_id)
{
	rwl_wrlock(&t->domains_lock);
	rwl_wrlock(&t->iova_lock);
	if (!BUG_ON(*list_slot(t, list_id) != access)) {
		*list_slot(t, list_id) = NULL;
		idmap_free(&t->accesses, list_id + 1);
		if (access_pins(access))
			t->n_pinning--;
		t->alignment = iova_alignment_locked(t);
	}
	rwl_wrunlock(&t->iova_lock);
	rwl_wrunlock(&t->domains_lock);
	atomic_fetch_add(&t->accesses_left, 1);
	futex_wake(&t->accesses_left, INT32_MAX);
}

/*
 * The access with the lowest id above *@id that may be told, held; NULL: no more. *@going: one
 * that is being destroyed was passed over; it lets go, but not for us.
 */
static struct iommufd_access *next_to_tell(struct iopt *t, uint32_t *id, bool *going)
{
	struct iommufd_access *found = NULL;

	rwl_rdlock(&t->domains_lock);
	while (!found && (*id = idmap_next(&t->accesses, *id))) {
		struct iommufd_access *a = *list_slot(t, *id - 1);

		if (!a->ops)
			continue;
		if (object_hold(&a->obj))
			found = a;
		else
			*going = true;
	}
	rwl_rdunlock(&t->domains_lock);
	return found;
}

void access_notify_unmap(struct iopt *t, uint64_t start, uint64_t last)
{
	uint32_t id = 0, left = atomic_load(&t->accesses_left);
	struct iommufd_access *a;
	bool going = false;

	while ((a = next_to_tell(t, &id, &going))) {
		if (a->ops->unmap)
			a->ops->unmap(a->data, start, last - start + 1);
		object_put(&a->obj);
	}
	/* Else all our rounds could pass before its thread runs again. */
	if (unlikely(going))
		futex_wait_ms(&t->accesses_left, left, GOING_WAIT_MS);
}

/*
 * Moves @access to @new (NULL: nowhere); its lock is held for write, and dropped while the
 * consumer lets go.
 */
static int change_ioas_locked(struct iommufd_access *access, struct ioas *new)
{
	struct ioas *old = access->ioas;
	uint32_t list_id = 0;
	int rc;

	if (old != access->ioas_unpin)
		return refuse(EBUSY, "access %u is being moved", access->obj.id);
	if (old == new)
		return 0;
	if (new) {
		rc = object_ref(&new->obj);
		if (rc)
			return rc;
		/* The old list id stays in the access until the old list has lost it. */
		rc = list_add(&new->iopt, access, &list_id);
		if (rc) {
			object_unref(&new->obj);
			return why_add(rc, "ioas %u", new->obj.id);
		}
	}
	access->ioas = NULL;
	if (old) {
		rwl_wrunlock(&access->lock);
		if (access->ops && access->ops->unmap)
			access->ops->unmap(access->data, 0, UINT64_MAX);
		rwl_wrlock(&access->lock);
		list_remove(&old->iopt, access, access->list_id);
		object_unref(&old->obj);
	}
	access->ioas = access->ioas_unpin = new;
	access->list_id = list_id;
	return 0;
}

/* @ops NULL: internal. */
static int make(struct iommufd_ctx *ctx, const struct iommufd_access_ops *ops, void *data,
		struct iommufd_access **out)
{
	struct iommufd_access *a = mem_zalloc(sizeof(*a));
	int rc;

	if (!a)
		return refuse(ENOMEM, "no memory for an access");
	rc = object_reserve(ctx, OBJECT_ACCESS, &a->obj);
	if (rc) {
		mem_free(a);
		return rc;
	}
	a->ops = ops;
	a->data = data;
	a->tag = fence_tag_new();
	rwl_init(&a->lock, LOCK_ACCESS);
	(void)BUG_ON(object_ref(&a->obj)); /* X2: the first one */
	if (ops)
		iommufd_ctx_get(ctx);
	*out = a;
	return 0;
}

int iommufd_access_create(struct iommufd_ctx *ctx, const struct iommufd_access_ops *ops, void *data,
			  struct iommufd_access **out, uint32_t *id)
{
	struct iommufd_access *a = NULL;
	int rc;

	if (ops->needs_pin_pages && !ops->unmap)
		return refuse(EINVAL, "an access that pins needs an unmap callback");
	rc = make(ctx, ops, data, &a);
	if (rc)
		return rc;
	*out = a;
	*id = a->obj.id;
	object_publish(&a->obj);
	return 0;
}

int access_create_internal(struct ioas *ioas, struct iommufd_access **out)
{
	struct iommufd_access *a = NULL;
	int rc = make(ioas->obj.ctx, NULL, NULL, &a);

	if (rc)
		return rc;
	object_publish(&a->obj);
	rwl_wrlock(&a->lock);
	rc = change_ioas_locked(a, ioas);
	rwl_wrunlock(&a->lock);
	if (rc)
		iommufd_access_destroy(a);
	else
		*out = a;
	return rc;
}

void iommufd_access_destroy(struct iommufd_access *a)
{
	struct iommufd_ctx *ctx = a->ops ? a->obj.ctx : NULL;
	int rc;

	/* From here on nobody tells it anything, and nobody is about to. */
	if (BUG_ON(object_retire(&a->obj))) /* something depends on it */
		return;
	rwl_wrlock(&a->lock);
	rc = change_ioas_locked(a, NULL);
	rwl_wrunlock(&a->lock);
	if (BUG_ON(rc))
		return;
	object_free_id(&a->obj); /* X3 */
	mem_free(a);
	if (ctx)
		iommufd_ctx_put(ctx);
}

enum how { ATTACH, REPLACE };

static int move_to(struct iommufd_access *a, uint32_t ioas_id, enum how how)
{
	struct ioas *ioas;
	int rc = 0;

	if (!object_hold(&a->obj))
		return refuse(ENOENT, "access %u is being destroyed", a->obj.id);
	rwl_wrlock(&a->lock);
	if (how == ATTACH && a->ioas_unpin)
		rc = refuse(EINVAL, "access %u is attached already", a->obj.id);
	else if (how == REPLACE && !a->ioas)
		rc = refuse(ENOENT, "access %u is not attached", a->obj.id);
	if (!rc)
		rc = ioas_get(a->obj.ctx, ioas_id, &ioas);
	if (!rc) {
		rc = change_ioas_locked(a, ioas);
		object_put(&ioas->obj);
	}
	rwl_wrunlock(&a->lock);
	object_put(&a->obj);
	return rc;
}

int iommufd_access_attach(struct iommufd_access *access, uint32_t ioas_id)
{
	return move_to(access, ioas_id, ATTACH);
}

int iommufd_access_replace(struct iommufd_access *access, uint32_t ioas_id)
{
	return move_to(access, ioas_id, REPLACE);
}

void iommufd_access_detach(struct iommufd_access *a)
{
	if (!object_hold(&a->obj))
		return;
	rwl_wrlock(&a->lock);
	if (!a->ioas)
		log_line(LOG_WARN, "access %u is detached without being attached", a->obj.id);
	else
		(void)change_ioas_locked(a, NULL); /* cannot fail: it is in no transition */
	rwl_wrunlock(&a->lock);
	object_put(&a->obj);
}

int access_range(uint64_t iova, uint64_t length, uint64_t *last)
{
	if (unlikely(!length))
		return refuse(EINVAL, "an access of no length");
	if (unlikely(iova + (length - 1) < iova))
		return refuse(EOVERFLOW, "iova 0x%llx + length 0x%llx wraps",
			      (unsigned long long)iova, (unsigned long long)length);
	*last = iova + (length - 1);
	return 0;
}

void access_walk_begin(struct access_walk *w, struct iopt *t, uint64_t iova, uint64_t last)
{
	w->iopt = t;
	w->at = iova;
	w->last = last;
	w->more = true;
	w->area = NULL;
}

int access_walk_next(struct access_walk *w)
{
	struct area *a;
	bool found;

	found = w->area ? imap_next(&w->iopt->areas, w->last, &w->e)
			: imap_first(&w->iopt->areas, w->at, w->at, &w->e);
	if (unlikely(!found || w->e.start > w->at))
		return refuse(ENOENT, "nothing is mapped at iova 0x%llx",
			      (unsigned long long)w->at);
	a = w->e.value;
	w->pages = area_pages(a);
	if (unlikely(!w->pages))
		return refuse(ENOENT, "the mapping at iova 0x%llx is being made or removed",
			      (unsigned long long)w->at);
	w->area = a;
	w->start = w->at;
	w->end = min_u64(w->last, a->last);
	w->off = a->node.start * PAGE_SIZE + a->page_offset + (w->start - a->start);
	w->more = w->end != w->last;
	w->at = w->end + 1; /* wraps only at the end */
	return 0;
}

int access_walk_check(const struct access_walk *w, unsigned flags)
{
	unsigned need = flags & IOMMUFD_ACCESS_WRITE ? IOMMU_WRITE : IOMMU_READ;

	if (unlikely(w->area->prevent_access))
		return refuse(EINVAL, "the mapping at iova 0x%llx is being unmapped",
			      (unsigned long long)w->start);
	if (unlikely(!(w->area->prot & need)))
		return refuse(EPERM, "the mapping at iova 0x%llx may not be %s",
			      (unsigned long long)w->start,
			      need == IOMMU_WRITE ? "written" : "read");
	return 0;
}

void access_check(struct iommufd_access *a)
{
	rwl_rdlock(&a->lock);
	(void)BUG_ON(a->ioas && a->ioas != a->ioas_unpin); /* X1 */
	if (a->ioas) {
		struct iopt *t = &a->ioas->iopt;

		rwl_rdlock(&t->domains_lock);
		(void)BUG_ON(*list_slot(t, a->list_id) != a);
		rwl_rdunlock(&t->domains_lock);
	}
	rwl_rdunlock(&a->lock);
}
