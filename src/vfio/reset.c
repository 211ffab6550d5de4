// SPDX-License-Identifier: MIT
/*
 * Resets: of the function, and of the bus it sits on.
 *
 * A bus reset takes every function of the bus with it, so the client must own them all. A function
 * without a reset of its own is reset through its bus when it is alone there.
 * Source: docs/abi/vfio_device_pci_hot_reset.md.
 */
#include <errno.h>

#include "abi/vfio.h"
#include "base/pool.h"
#include "base/why.h"
#include "vfio/pci.h"

#define BUS_MAX 256 /* functions of one bus */

static bool same_bus(const struct iommu_device *a, const struct iommu_device *b)
{
	return a->segment == b->segment && a->rid >> 8 == b->rid >> 8;
}

/* The functions of @dev's bus, in order of index. They live as long as the machine. */
static unsigned bus_functions(struct vfio_pci *dev, struct uiommufd_device **out, unsigned max)
{
	struct machine *m = dev->fn->machine;
	unsigned n = 0;

	mtx_lock(&m->lock);
	list_for_each(pos, &m->functions) {
		struct uiommufd_device *fn = list_entry(pos, struct uiommufd_device, in_machine);

		if (n < max && same_bus(&fn->idev, &dev->fn->idev))
			out[n++] = fn;
	}
	mtx_unlock(&m->lock);
	return n;
}

bool dev_can_reset(struct vfio_pci *dev)
{
	struct uiommufd_device *two[2];

	return dev->fn->desc.flr || bus_functions(dev, two, 2) == 1;
}

void dev_reset_locked(struct vfio_pci *dev)
{
	lock_assert_held(&dev->lock);
	function_reset(dev->fn, UIOMMUFD_RESET_FUNCTION);
	intx_reset(dev);
	cfg_reset_locked(dev);
}

long dev_reset(struct vfio_pci *dev)
{
	if (!dev_can_reset(dev))
		return refuse(EINVAL, "%s has no function reset and shares its bus",
			      dev->fn->idev.name);
	mtx_lock(&dev->lock);
	dev_reset_locked(dev);
	mtx_unlock(&dev->lock);
	return 0;
}

/* The id of @fn in @ctx, OWNED through its group, or NOT_OWNED. */
static uint32_t devid_of(struct iommufd_ctx *ctx, struct uiommufd_device *fn)
{
	struct vfio_pci *other = fn->vfio;

	if (other && atomic_load(&other->bound_ctx) == ctx)
		return atomic_load(&other->bound_id);
	return iommufd_ctx_has_group(ctx, fn->idev.group) ? VFIO_PCI_DEVID_OWNED
							  : VFIO_PCI_DEVID_NOT_OWNED;
}

static void describe(struct vfio_pci *dev, struct uiommufd_device **fns, unsigned n,
		     struct vfio_pci_dependent_device *out, uint32_t *flags)
{
	struct iommufd_ctx *ctx = atomic_load(&dev->bound_ctx);

	*flags = VFIO_PCI_HOT_RESET_FLAG_DEV_ID | VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED;
	for (unsigned i = 0; i < n; i++) {
		out[i] = (struct vfio_pci_dependent_device){
			.devid = devid_of(ctx, fns[i]),
			.segment = (uint16_t)fns[i]->idev.segment,
			.bus = (uint8_t)(fns[i]->idev.rid >> 8),
			.devfn = (uint8_t)fns[i]->idev.rid,
		};
		if (out[i].devid == VFIO_PCI_DEVID_NOT_OWNED)
			*flags &= ~(uint32_t)VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED;
	}
}

/* Functions of the bus and what a client is told of them. */
struct bus_view {
	struct uiommufd_device *fn[BUS_MAX];
	struct vfio_pci_dependent_device dep[BUS_MAX];
	unsigned n;
	uint32_t flags;
};

static int bus_view(struct vfio_pci *dev, struct bus_view **out)
{
	struct bus_view *v = mem_alloc(sizeof(*v));

	if (!v)
		return refuse(ENOMEM, "no memory for the functions of a bus");
	v->n = bus_functions(dev, v->fn, BUS_MAX);
	describe(dev, v->fn, v->n, v->dep, &v->flags);
	*out = v;
	return 0;
}

long dev_hot_reset_info(struct vfio_pci *dev, uintptr_t arg)
{
	struct vfio_pci_hot_reset_info head;
	struct bus_view *v;
	size_t len;
	int rc = arg_min(&head, arg, sizeof(head), "vfio_pci_hot_reset_info");

	if (!rc)
		rc = bus_view(dev, &v);
	if (rc)
		return rc;
	len = v->n * sizeof(v->dep[0]);
	head.count = v->n;
	head.flags = 0;
	if (head.argsz < sizeof(head) + len) {
		rc = arg_out(arg, &head, sizeof(head));
		if (!rc)
			rc = refuse(ENOSPC, "argsz %u does not hold %u functions", head.argsz,
				    v->n);
	} else {
		head.flags = v->flags;
		rc = arg_out(arg, &head, sizeof(head));
		if (!rc)
			rc = arg_out(arg + sizeof(head), v->dep, len);
	}
	mem_free(v);
	return rc;
}

static void bus_reset(struct bus_view *v)
{
	for (unsigned i = 0; i < v->n; i++) {
		struct vfio_pci *dev = v->fn[i]->vfio;

		if (!dev)
			continue;
		mtx_lock(&dev->lock);
		dev_reset_locked(dev);
		mtx_unlock(&dev->lock);
	}
}

long dev_hot_reset(struct vfio_pci *dev, uintptr_t arg)
{
	struct vfio_pci_hot_reset head;
	struct bus_view *v;
	int rc = arg_min(&head, arg, sizeof(head), "vfio_pci_hot_reset");

	if (rc)
		return rc;
	if (head.flags)
		return refuse(EINVAL, "flags %#x has unknown bits", head.flags);
	if (head.count)
		return refuse(EINVAL, "%u group descriptors on a file opened without a group",
			      head.count);
	rc = bus_view(dev, &v);
	if (rc)
		return rc;
	if (v->flags & VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED)
		bus_reset(v);
	else
		rc = refuse(EINVAL, "a function of the bus belongs to another owner");
	mem_free(v);
	return rc;
}
