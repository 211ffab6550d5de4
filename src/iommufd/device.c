// SPDX-License-Identifier: MIT
/*
 * Which devices are bound to this context, and which groups are that?
 *
 * Invariants
 *  E1, E2  see attach.c
 *  E3  a bound device holds its driver's dependency on itself, a reference on the context, one on
 *      the group record, and one claim of the IOMMU group
 *
 * States: bound -attach-> attached -replace-> attached -detach-> bound -unbind-> gone.
 */
#include "iommufd/device.h"

#include <errno.h>

#include "base/log.h"
#include "base/why.h"

static struct igroup *find_group_locked(struct iommufd_ctx *ctx, const struct iommu_group *group)
{
	lock_assert_held(&ctx->objects.lock);
	list_for_each(l, &ctx->groups) {
		struct igroup *ig = list_entry(l, struct igroup, in_ctx);

		if (ig->group == group)
			return ig;
	}
	return NULL;
}

static int igroup_get(struct iommufd_ctx *ctx, struct iommu_group *group, struct igroup **out)
{
	struct igroup *fresh, *ig;

	fresh = mem_zalloc(sizeof(*fresh));
	if (!fresh)
		return refuse(ENOMEM, "no memory for the record of group %d", group->id);
	fresh->group = group;
	mtx_init(&fresh->lock, LOCK_IGROUP);
	list_init(&fresh->rid.devices);

	mtx_lock(&ctx->objects.lock);
	ig = find_group_locked(ctx, group);
	if (!ig) {
		list_add_tail(&ctx->groups, &fresh->in_ctx);
		ig = fresh;
		fresh = NULL;
	}
	ig->refs++;
	mtx_unlock(&ctx->objects.lock);
	mem_free(fresh);
	*out = ig;
	return 0;
}

static void igroup_put(struct iommufd_ctx *ctx, struct igroup *ig)
{
	bool last;

	mtx_lock(&ctx->objects.lock);
	last = !--ig->refs;
	if (last)
		list_del(&ig->in_ctx);
	mtx_unlock(&ctx->objects.lock);
	if (last)
		mem_free(ig);
}

bool iommufd_ctx_has_group(struct iommufd_ctx *ctx, struct iommu_group *group)
{
	bool there;

	if (!ctx || !group)
		return false;
	mtx_lock(&ctx->objects.lock);
	there = find_group_locked(ctx, group) != NULL;
	mtx_unlock(&ctx->objects.lock);
	return there;
}

/* A device could forge interrupts of others unless they are remapped. */
static int check_irq_isolation(struct machine *m, struct iommu_group *group)
{
	if (m->unsafe_interrupts)
		return 0;
	list_for_each(l, &group->devices) {
		const struct iommu_device *d = list_entry(l, struct iommu_device, in_group);

		if (!d->irq_isolated)
			return refuse(
				EPERM,
				"interrupts of %s in group %d are not isolated (unsafe interrupts are not allowed)",
				d->name, group->id);
	}
	return 0;
}

/* Steps of a bind from the group on; the object is reserved. */
static int claim_device(struct iommufd_ctx *ctx, struct iommufd_device *idev)
{
	struct iommu_device *dev = idev->dev;
	int rc;

	if (!dev->coherent)
		return refuse(EINVAL, "DMA of %s is not coherent with CPU caches", dev->name);
	if (!dev->group)
		return refuse(ENODEV, "%s is in no IOMMU group", dev->name);
	rc = igroup_get(ctx, dev->group, &idev->igroup);
	if (rc)
		return rc;
	rc = check_irq_isolation(ctx->machine, dev->group);
	if (!rc)
		rc = iommu_group_claim(dev->group, ctx);
	if (rc)
		igroup_put(ctx, idev->igroup);
	return rc;
}

int iommufd_device_bind(struct iommufd_ctx *ctx, struct iommu_device *dev,
			struct iommufd_device **out, uint32_t *id)
{
	struct iommufd_device *idev;
	int rc;

	idev = mem_zalloc(sizeof(*idev));
	if (!idev)
		return refuse(ENOMEM, "no memory to bind %s", dev->name);
	rc = object_reserve(ctx, OBJECT_DEVICE, &idev->obj);
	if (rc)
		goto err_free;
	idev->dev = dev;
	list_init(&idev->in_attach);
	rc = claim_device(ctx, idev);
	if (rc)
		goto err_abort;
	(void)BUG_ON(object_ref(&idev->obj)); /* E3: nobody else knows it yet */
	iommufd_ctx_get(ctx);
	*out = idev;
	*id = idev->obj.id;
	object_publish(&idev->obj);
	return 0;

err_abort:
	object_abort(&idev->obj);
err_free:
	mem_free(idev);
	return rc;
}

void device_destroy(struct object *obj)
{
	struct iommufd_device *idev = container_of(obj, struct iommufd_device, obj);

	(void)BUG_ON(idev->attached);
	iommu_group_release(idev->dev->group, obj->ctx);
	igroup_put(obj->ctx, idev->igroup);
	mem_free(idev);
}

void iommufd_device_unbind(struct iommufd_device *idev)
{
	struct iommufd_ctx *ctx = idev->obj.ctx;

	if (BUG_ON(idev->attached))
		iommufd_device_detach(idev);
	if (BUG_ON(object_remove(&idev->obj))) {
		/* It stays, as nobody's, until the context closes. */
		log_line(LOG_ERROR, "device %u is unbound while in use", idev->obj.id);
		object_unref(&idev->obj);
	} else {
		device_destroy(&idev->obj);
	}
	iommufd_ctx_put(ctx);
}

struct iommufd_ctx *iommufd_device_to_ictx(struct iommufd_device *idev)
{
	return idev->obj.ctx;
}

uint32_t iommufd_device_to_id(struct iommufd_device *idev)
{
	return idev->obj.id;
}

void device_check(struct iommufd_device *idev)
{
	struct igroup *ig = idev->igroup;
	bool found = false;

	mtx_lock(&ig->lock);
	list_for_each(l, &ig->rid.devices)
		found |= l == &idev->in_attach;
	(void)BUG_ON(found != idev->attached);
	/* Base, driver, attachment, and the lookup of whoever checks. */
	(void)BUG_ON(object_users(&idev->obj) < 2u + idev->attached);
	(void)BUG_ON(!ig->rid.hwpt != list_empty(&ig->rid.devices)); /* E1 */
	(void)BUG_ON(ig->group->owner != idev->obj.ctx);
	(void)BUG_ON(ig->group->domain != (ig->rid.hwpt ? ig->rid.hwpt->dom : NULL));
	mtx_unlock(&ig->lock);
}

/* Attached devices of @h in all groups. */
static unsigned count_attached(struct iommufd_ctx *ctx, const struct hwpt *h)
{
	unsigned n = 0;

	list_for_each(l, &ctx->groups) {
		struct igroup *ig = list_entry(l, struct igroup, in_ctx);

		if (ig->rid.hwpt == h)
			list_for_each(d, &ig->rid.devices)
				n++;
	}
	return n;
}

void groups_check(struct iommufd_ctx *ctx)
{
	uint32_t id = 0;
	struct object *o;

	while ((id = object_next(&ctx->objects, OBJECT_HWPT_PAGING, id))) {
		if (object_get(ctx, id, OBJECT_HWPT_PAGING, &o))
			continue;
		/* H3, with our own lookup */
		(void)BUG_ON(object_users(o) !=
			     2 + count_attached(ctx, container_of(o, struct hwpt, obj)));
		object_put(o);
	}
}
