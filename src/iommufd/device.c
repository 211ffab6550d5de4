// SPDX-License-Identifier: MIT
/*
 * Which devices are under this context, and what does each group translate through?
 *
 * Invariants, under the group record's lock
 *  E1  rid.hwpt is set exactly while rid.devices is not empty; then the IOMMU group is attached
 *      to its domain, else it is blocked
 *  E2  each attached device holds one dependency on the HWPT and one on itself, and its reserved
 *      regions (owner: the device) are in that HWPT's iopt
 *  E3  a bound device holds its driver's dependency on itself, a reference on the context, one on
 *      the group record, and one claim of the IOMMU group
 *
 * States: bound -attach-> attached -replace-> attached -detach-> bound -unbind-> gone. All devices
 * of a group that are attached are attached to the same HWPT.
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

/* Dependencies of an attachment, E2. */
static int take_refs(struct iommufd_device *idev, struct hwpt *h)
{
	int rc = object_ref(&h->obj);

	if (rc)
		return rc;
	rc = object_ref(&idev->obj);
	if (rc)
		object_unref(&h->obj);
	return rc;
}

static int attach_locked(struct iommufd_device *idev, struct hwpt *h)
{
	struct igroup *ig = idev->igroup;
	bool first = !ig->rid.hwpt;
	int rc;

	if (idev->attached)
		return refuse(EBUSY, "%s is attached to hwpt %u already", idev->dev->name,
			      ig->rid.hwpt->obj.id);
	if (!first && ig->rid.hwpt != h)
		return refuse(EINVAL, "group %d is attached to hwpt %u, %s cannot use another",
			      ig->group->id, ig->rid.hwpt->obj.id, idev->dev->name);
	rc = take_refs(idev, h);
	if (rc)
		return rc;
	rc = iopt_reserve_device(&h->ioas->iopt, idev->dev, idev);
	if (rc)
		goto err_refs;
	if (first) {
		rc = iommu_group_attach(ig->group, h->dom);
		if (rc)
			goto err_unreserve;
	}
	ig->rid.hwpt = h;
	list_add_tail(&ig->rid.devices, &idev->in_attach);
	idev->attached = true;
	return 0;

err_unreserve:
	iopt_unreserve(&h->ioas->iopt, idev);
err_refs:
	object_unref(&idev->obj);
	object_unref(&h->obj);
	return rc;
}

static int attach_hwpt(struct iommufd_device *idev, struct hwpt *h)
{
	int rc;

	mtx_lock(&idev->igroup->lock);
	rc = attach_locked(idev, h);
	mtx_unlock(&idev->igroup->lock);
	return rc;
}

/* The HWPT it was attached to, whose dependency the caller drops; NULL: it was not attached. */
static struct hwpt *detach_hwpt(struct iommufd_device *idev)
{
	struct igroup *ig = idev->igroup;
	struct hwpt *h = NULL;

	mtx_lock(&ig->lock);
	if (idev->attached) {
		h = ig->rid.hwpt;
		list_del(&idev->in_attach);
		idev->attached = false;
		if (list_empty(&ig->rid.devices)) {
			iommu_group_detach(ig->group);
			ig->rid.hwpt = NULL; /* E1 */
		}
		iopt_unreserve(&h->ioas->iopt, idev);
		object_unref(&idev->obj);
	}
	mtx_unlock(&ig->lock);
	return h;
}

void iommufd_device_detach(struct iommufd_device *idev)
{
	struct hwpt *h = detach_hwpt(idev);

	if (h)
		hwpt_put_device(h);
}

/* What a replace leaves behind, to be let go of when no lock is held any more. */
struct leftover {
	struct hwpt *hwpt; /* NULL: nothing */
	unsigned devices;
};

static void drop_leftover(const struct leftover *l)
{
	for (unsigned i = 1; i < l->devices; i++)
		object_unref(&l->hwpt->obj);
	if (l->hwpt)
		hwpt_put_device(l->hwpt);
}

/* The regions of every attached device of @ig move into @h's iopt; those in the old one stay. */
static int reserve_group(struct igroup *ig, struct hwpt *h)
{
	int rc = 0;

	list_for_each(l, &ig->rid.devices) {
		struct iommufd_device *d = list_entry(l, struct iommufd_device, in_attach);

		rc = iopt_reserve_device(&h->ioas->iopt, d->dev, d);
		if (rc)
			break;
	}
	return rc;
}

/* Also right for devices that have nothing there. */
static void unreserve_group(struct igroup *ig, struct hwpt *h)
{
	list_for_each(l, &ig->rid.devices)
		iopt_unreserve(&h->ioas->iopt, list_entry(l, struct iommufd_device, in_attach));
}

static int move_locked(struct igroup *ig, struct hwpt *h, struct leftover *left)
{
	struct hwpt *old = ig->rid.hwpt;
	bool other_ioas = h->ioas != old->ioas;
	unsigned n = 0;
	int rc = 0;

	list_for_each(l, &ig->rid.devices) {
		rc = object_ref(&h->obj);
		if (rc)
			goto err_unref;
		n++;
	}
	if (other_ioas)
		rc = reserve_group(ig, h);
	if (!rc)
		rc = iommu_group_attach(ig->group, h->dom);
	if (rc) {
		if (other_ioas)
			unreserve_group(ig, h);
		goto err_unref;
	}
	if (other_ioas)
		unreserve_group(ig, old);
	ig->rid.hwpt = h;
	*left = (struct leftover){ .hwpt = old, .devices = n };
	return 0;

err_unref:
	while (n--)
		object_unref(&h->obj);
	return rc;
}

static int replace_hwpt(struct iommufd_device *idev, struct hwpt *h, struct leftover *left)
{
	struct igroup *ig = idev->igroup;
	int rc = 0;

	mtx_lock(&ig->lock);
	if (!idev->attached)
		rc = refuse(EINVAL, "%s is not attached, there is nothing to replace",
			    idev->dev->name);
	else if (ig->rid.hwpt != h)
		rc = move_locked(ig, h, left);
	mtx_unlock(&ig->lock);
	return rc;
}

/* How a device comes to use an HWPT: by its first attach, or instead of another (@left is set). */
static int use_hwpt(struct iommufd_device *idev, struct hwpt *h, struct leftover *left)
{
	return left ? replace_hwpt(idev, h, left) : attach_hwpt(idev, h);
}

/* An HWPT of its own, when no automatic one fits. */
static int use_new_locked(struct iommufd_device *idev, struct ioas *ioas, struct leftover *left,
			  struct hwpt **out)
{
	struct hwpt *h;
	int rc;

	rc = hwpt_create_locked(ioas, idev->dev, 0, true, &h);
	if (rc)
		return rc;
	if (left) {
		/* Without a gap: the new translation is complete before it is used. */
		rc = hwpt_join_iopt_locked(h);
		if (!rc)
			rc = replace_hwpt(idev, h, left);
	} else {
		/* Its reserved regions stand against areas before its page table is filled. */
		rc = attach_hwpt(idev, h);
		if (!rc) {
			rc = hwpt_join_iopt_locked(h);
			if (rc && detach_hwpt(idev))
				object_unref(&h->obj);
		}
	}
	if (rc) {
		hwpt_abort_locked(h);
		return rc;
	}
	object_publish(&h->obj);
	*out = h;
	return 0;
}

/* The first automatic HWPT of @ioas that the device can use, else a new one. */
static int use_ioas(struct iommufd_device *idev, struct ioas *ioas, struct leftover *left,
		    struct hwpt **out)
{
	int rc = -EINVAL;

	mtx_lock(&ioas->lock);
	list_for_each(l, &ioas->hwpts) {
		struct hwpt *h = list_entry(l, struct hwpt, in_ioas);

		if (!h->is_auto || object_ref(&h->obj)) /* the client is destroying it */
			continue;
		rc = use_hwpt(idev, h, left);
		object_unref(&h->obj);
		*out = h;
		if (rc != -EINVAL)
			break;
	}
	if (rc == -EINVAL)
		rc = use_new_locked(idev, ioas, left, out);
	mtx_unlock(&ioas->lock);
	return rc;
}

/* @left NULL: attach. */
static int use_object(struct iommufd_device *idev, uint32_t *pt_id, struct leftover *left)
{
	struct hwpt *h = NULL;
	struct object *o;
	int rc;

	rc = object_get(idev->obj.ctx, *pt_id, OBJECT_ANY, &o);
	if (rc)
		return rc;
	switch (o->type) {
	case OBJECT_HWPT_PAGING:
		h = container_of(o, struct hwpt, obj);
		rc = use_hwpt(idev, h, left);
		break;
	case OBJECT_IOAS:
		rc = use_ioas(idev, container_of(o, struct ioas, obj), left, &h);
		break;
	default:
		rc = refuse(EINVAL, "a device cannot be attached to object %u, a %s", *pt_id,
			    object_type_name(o->type));
		break;
	}
	if (!rc)
		*pt_id = h->obj.id;
	object_put(o);
	return rc;
}

int iommufd_device_attach(struct iommufd_device *idev, uint32_t *pt_id)
{
	return use_object(idev, pt_id, NULL);
}

int iommufd_device_replace(struct iommufd_device *idev, uint32_t *pt_id)
{
	struct leftover left = { NULL, 0 };
	int rc = use_object(idev, pt_id, &left);

	drop_leftover(&left);
	return rc;
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
