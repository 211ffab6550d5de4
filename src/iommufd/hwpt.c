// SPDX-License-Identifier: MIT
/*
 * When is an IO page table made, and when does it go?
 *
 * Invariants
 *  H1  in the IOAS's list from hwpt_create_locked() to its end, once
 *  H2  published: its domain is in the iopt
 *  H3  users = 1 + attached devices (no lookup in progress)
 *
 * Both "the last device has left" and "the client destroys it" are one compare-and-swap on the
 * same word (object.c), so only one of them ends it. The former is decided with the IOAS's lock
 * held, as is the choice of an automatic HWPT for a device, so that a dying one is never chosen.
 */
#include "iommufd/hwpt.h"

#include <errno.h>

#include "base/why.h"
#include "iommufd/device.h"
#include "iommufd/ioctl.h"

static void describe(void *owner, uint64_t iova, char *buf, size_t len)
{
	struct hwpt *h = owner;

	iopt_describe(&h->ioas->iopt, iova, buf, len);
}

static const struct iommu_domain_ops domain_ops = { .describe = describe };

int hwpt_create_locked(struct ioas *ioas, struct iommu_device *dev, uint32_t flags, bool is_auto,
		       struct hwpt **out)
{
	struct hwpt *h;
	int rc;

	lock_assert_held(&ioas->lock);
	h = mem_zalloc(sizeof(*h));
	if (!h)
		return refuse(ENOMEM, "no memory for an hwpt");
	rc = iommu_domain_create(dev->iommu, flags, &h->dom);
	if (rc)
		goto err_free;
	rc = object_ref(&ioas->obj);
	if (rc)
		goto err_domain;
	rc = object_reserve(ioas->obj.ctx, OBJECT_HWPT_PAGING, &h->obj);
	if (rc)
		goto err_unref;
	h->ioas = ioas;
	h->is_auto = is_auto;
	h->dom->ops = &domain_ops;
	h->dom->owner = h;
	list_add_tail(&ioas->hwpts, &h->in_ioas); /* H1 */
	*out = h;
	return 0;

err_unref:
	object_unref(&ioas->obj);
err_domain:
	iommu_domain_destroy(h->dom);
err_free:
	mem_free(h);
	return rc;
}

int hwpt_join_iopt_locked(struct hwpt *h)
{
	int rc;

	lock_assert_held(&h->ioas->lock);
	rc = iopt_add_domain(&h->ioas->iopt, h->dom);
	if (rc)
		return why_add(rc, "a page table joins ioas %u", h->ioas->obj.id);
	h->in_iopt = true;
	return 0;
}

static void leave_ioas_locked(struct hwpt *h)
{
	list_del(&h->in_ioas);
	if (h->in_iopt)
		iopt_remove_domain(&h->ioas->iopt, h->dom);
	h->in_iopt = false;
}

/* It is in no list, its id is gone, nothing translates through it. */
static void free_hwpt(struct hwpt *h)
{
	struct ioas *ioas = h->ioas;

	iommu_domain_destroy(h->dom);
	mem_free(h);
	object_unref(&ioas->obj);
}

void hwpt_abort_locked(struct hwpt *h)
{
	lock_assert_held(&h->ioas->lock);
	leave_ioas_locked(h);
	object_abort(&h->obj);
	free_hwpt(h);
}

void hwpt_destroy(struct object *obj)
{
	struct hwpt *h = container_of(obj, struct hwpt, obj);
	struct ioas *ioas = h->ioas;

	mtx_lock(&ioas->lock);
	leave_ioas_locked(h);
	mtx_unlock(&ioas->lock);
	free_hwpt(h);
}

void hwpt_put_device(struct hwpt *h)
{
	struct ioas *ioas = h->ioas;
	bool last;

	if (!h->is_auto) {
		object_unref(&h->obj);
		return;
	}
	mtx_lock(&ioas->lock);
	last = object_unref_last(&h->obj);
	if (last)
		leave_ioas_locked(h);
	mtx_unlock(&ioas->lock);
	if (last)
		free_hwpt(h);
}

void hwpt_check(struct hwpt *h)
{
	(void)BUG_ON(!h->in_iopt); /* H2 */
	(void)BUG_ON(h->dom->owner != h);
	(void)BUG_ON(object_users(&h->ioas->obj) < 2);
	(void)BUG_ON(pt_check(&h->dom->pt));
}

/* Fault queues are objects that cannot be made yet: an id of one is never valid. */
static int check_fault_queue(struct iommufd_ctx *ctx, const struct iommu_hwpt_alloc *cmd)
{
	struct object *o;
	int rc;

	if (!(cmd->flags & IOMMU_HWPT_FAULT_ID_VALID))
		return 0;
	rc = object_get(ctx, cmd->fault_id, OBJECT_FAULT, &o);
	if (rc)
		return rc;
	object_put(o);
	return refuse(EOPNOTSUPP, "page tables do not take fault queues");
}

static int alloc_paging(struct ioas *ioas, struct iommu_device *dev,
			const struct iommu_hwpt_alloc *cmd, struct hwpt **out)
{
	uint32_t flags = cmd->flags & ~(uint32_t)IOMMU_HWPT_FAULT_ID_VALID;
	struct hwpt *h;
	int rc;

	if ((cmd->flags & IOMMU_HWPT_FAULT_ID_VALID) && (flags & IOMMU_HWPT_ALLOC_NEST_PARENT))
		return refuse(EOPNOTSUPP, "a parent of nested page tables has no fault queue");
	if (cmd->data_len)
		return refuse(EOPNOTSUPP, "a page table of %s takes no data (type %u)",
			      dev->iommu->kind->name, cmd->data_type);
	mtx_lock(&ioas->lock);
	rc = hwpt_create_locked(ioas, dev, flags, false, &h);
	if (rc)
		goto out;
	rc = hwpt_join_iopt_locked(h);
	if (!rc)
		rc = check_fault_queue(ioas->obj.ctx, cmd);
	if (rc)
		hwpt_abort_locked(h);
	else
		*out = h;
out:
	mtx_unlock(&ioas->lock);
	return rc;
}

static int alloc_on(struct object *pt, struct iommu_device *dev, const struct iommu_hwpt_alloc *cmd,
		    struct hwpt **out)
{
	switch (pt->type) {
	case OBJECT_IOAS:
		return alloc_paging(container_of(pt, struct ioas, obj), dev, cmd, out);
	case OBJECT_HWPT_PAGING:
		return refuse(EOPNOTSUPP, "%s has no nested page tables", dev->iommu->kind->name);
	default:
		return refuse(EINVAL, "a page table cannot be based on object %u, a %s", pt->id,
			      object_type_name(pt->type));
	}
}

int ioctl_hwpt_alloc(struct ucmd *u)
{
	struct iommu_hwpt_alloc *cmd = u->cmd;
	struct object *o, *pt;
	struct hwpt *h = NULL;
	int rc;

	if (cmd->__reserved)
		return refuse(EOPNOTSUPP, "HWPT_ALLOC: the reserved field is 0x%x",
			      cmd->__reserved);
	if ((cmd->data_type == IOMMU_HWPT_DATA_NONE) != !cmd->data_len)
		return refuse(EINVAL, "HWPT_ALLOC: data of type %u has %u bytes", cmd->data_type,
			      cmd->data_len);
	rc = object_get(u->ctx, cmd->dev_id, OBJECT_DEVICE, &o);
	if (rc)
		return rc;
	rc = object_get(u->ctx, cmd->pt_id, OBJECT_ANY, &pt);
	if (rc) {
		rc = refuse(EINVAL, "there is no object %u to base a page table on", cmd->pt_id);
		goto out;
	}
	rc = alloc_on(pt, container_of(o, struct iommufd_device, obj)->dev, cmd, &h);
	object_put(pt);
	if (!rc) {
		cmd->out_hwpt_id = h->obj.id;
		u->new_obj = &h->obj;
	}
out:
	object_put(o);
	return rc;
}
