// SPDX-License-Identifier: MIT
/*
 * What does each group of devices translate through?
 *
 * Invariants, under the group record's lock
 *  E1  rid.hwpt is set exactly while rid.devices is not empty; then the IOMMU group is attached
 *      to its domain, else it is blocked
 *  E2  each attached device holds one dependency on the HWPT and one on itself, and its reserved
 *      regions (owner: the device) are in that HWPT's iopt
 *
 * All devices of a group that are attached are attached to the same HWPT. Source:
 * docs/abi/vfio_device_attach_iommufd_pt.md.
 */
#include <errno.h>

#include "base/why.h"
#include "iommufd/device.h"

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
