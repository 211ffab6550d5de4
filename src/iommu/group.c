// SPDX-License-Identifier: MIT
/*
 * Who owns a group's DMA, and where does it go?
 *
 * Invariants, under the group's lock:
 *  I1  owner is NULL exactly when owner_count is 0
 *  I2  domain set: the group has an owner, and each device's translation is that domain
 *  I3  domain NULL: the tag of each device is 0 (blocked)
 *  I4  a domain counts one attachment for each group that has it
 *
 * States: host -claim-> owned -attach-> attached -detach-> owned -release-> host.
 */
#include <errno.h>

#include "base/fault.h"
#include "base/pool.h"
#include "base/why.h"
#include "iommu/device.h"
#include "mem/fence.h"

int iommu_group_create(struct iommu *iommu, int id, struct iommu_group **out)
{
	struct iommu_group *g = mem_zalloc(sizeof(*g));

	if (!g)
		return refuse(ENOMEM, "no memory for group %d", id);
	g->id = id;
	g->iommu = iommu;
	list_init(&g->in_machine);
	list_init(&g->devices);
	mtx_init(&g->lock, LOCK_IOMMU_GROUP);
	*out = g;
	return 0;
}

void iommu_group_destroy(struct iommu_group *g)
{
	if (!g || BUG_ON(!list_empty(&g->devices)) || BUG_ON(g->owner))
		return;
	mem_free(g);
}

static void check_locked(struct iommu_group *g)
{
	lock_assert_held(&g->lock);
	(void)BUG_ON(!g->owner != !g->owner_count);                                   /* I1 */
	(void)BUG_ON(g->domain && (!g->owner || !atomic_load(&g->domain->attached))); /* I2, I4 */
	list_for_each(l, &g->devices) {
		const struct iommu_device *d = list_entry(l, struct iommu_device, in_group);

		(void)BUG_ON(d->group != g);
		(void)BUG_ON(atomic_load(&d->rid_xlat.domain) != g->domain); /* I2 */
		(void)BUG_ON(atomic_load(&d->rid_xlat.tag) !=
			     (g->domain ? g->domain->tag : 0)); /* I2, I3 */
	}
}

static void unlock(struct iommu_group *g)
{
	if (LOCK_CHECK)
		check_locked(g);
	mtx_unlock(&g->lock);
}

void iommu_group_check(struct iommu_group *g)
{
	mtx_lock(&g->lock);
	check_locked(g);
	mtx_unlock(&g->lock);
}

static int refuse_direct(const struct iommu_group *g)
{
	list_for_each(l, &g->devices) {
		const struct iommu_device *d = list_entry(l, struct iommu_device, in_group);
		struct iommu_resv r;

		for (size_t i = 0; iommu_device_resv(d, i, &r); i++)
			if (r.type == IOMMU_RESV_DIRECT)
				return refuse(
					EINVAL,
					"%s in group %d needs 0x%llx-0x%llx mapped one to one",
					d->name, g->id, (unsigned long long)r.start,
					(unsigned long long)r.last);
	}
	return 0;
}

int iommu_group_claim(struct iommu_group *g, const void *owner)
{
	int rc = 0;

	mtx_lock(&g->lock);
	if (g->owner && g->owner != owner) {
		rc = refuse(EPERM, "group %d belongs to somebody else", g->id);
	} else if (!g->owner) {
		rc = refuse_direct(g);
		if (!rc)
			g->owner = owner;
	}
	if (!rc)
		g->owner_count++;
	unlock(g);
	return rc;
}

void iommu_group_release(struct iommu_group *g, const void *owner)
{
	mtx_lock(&g->lock);
	if (!BUG_ON(!g->owner_count || g->owner != owner) && !--g->owner_count) {
		(void)BUG_ON(g->domain);
		g->owner = NULL; /* I1 */
	}
	unlock(g);
}

int iommu_group_attach(struct iommu_group *g, struct iommu_domain *dom)
{
	struct iommu_domain *old;
	int rc = 0;

	mtx_lock(&g->lock);
	old = g->domain;
	if (dom->iommu->kind != g->iommu->kind)
		rc = refuse(EINVAL, "the domain is a %s's, group %d is behind a %s",
			    dom->iommu->kind->name, g->id, g->iommu->kind->name);
	else if (!g->owner)
		rc = refuse(EINVAL, "group %d belongs to the host", g->id);
	else if (fault_point())
		rc = refuse(ENOMEM, "no memory to attach group %d", g->id);
	if (rc || old == dom)
		goto out;
	atomic_fetch_add(&dom->attached, 1);
	list_for_each(l, &g->devices) {
		struct iommu_translation *x =
			&list_entry(l, struct iommu_device, in_group)->rid_xlat;

		/* Domain first: a reader that sees the new tag must find the new domain. */
		atomic_store(&x->domain, dom);
		atomic_store(&x->tag, dom->tag);
	}
	g->domain = dom;
	if (old) {
		fence_wait(old->tag);
		atomic_fetch_sub(&old->attached, 1);
	}
out:
	unlock(g);
	return rc;
}

void iommu_group_detach(struct iommu_group *g)
{
	struct iommu_domain *old;

	mtx_lock(&g->lock);
	old = g->domain;
	if (old) {
		list_for_each(l, &g->devices)
			atomic_store(&list_entry(l, struct iommu_device, in_group)->rid_xlat.tag,
				     0);
		fence_wait(old->tag);
		list_for_each(l, &g->devices)
			atomic_store(&list_entry(l, struct iommu_device, in_group)->rid_xlat.domain,
				     NULL);
		g->domain = NULL; /* I3 */
		atomic_fetch_sub(&old->attached, 1);
	}
	unlock(g);
}
