// SPDX-License-Identifier: MIT
/* The file side of a PCI function: how it is attached to a device model and taken off. */
#include <errno.h>

#include "base/pool.h"
#include "base/why.h"
#include "vfio/pci.h"

static void op_irq(void *arg, unsigned vector)
{
	irq_raise(arg, vector);
}

static void op_intx(void *arg, bool level)
{
	intx_level(arg, level);
}

static bool op_msix_on(void *arg)
{
	return irq_msix_on(arg);
}

static void op_cfg_or(void *arg, unsigned off, uint32_t bits)
{
	cfg_or(arg, off, bits);
}

static void *op_bar_mem(void *arg, unsigned bar)
{
	struct vfio_pci *dev = arg;

	return bar < UIOMMUFD_BARS ? dev->bar_mem[bar] : NULL;
}

static const struct function_vfio_ops ops = {
	.irq = op_irq,
	.intx = op_intx,
	.msix_on = op_msix_on,
	.cfg_or = op_cfg_or,
	.bar_mem = op_bar_mem,
};

int vfio_pci_create(struct uiommufd_device *f, const struct vfio_host_ops *host, void *arg,
		    struct vfio_pci **out)
{
	struct vfio_pci *dev = mem_zalloc(sizeof(*dev));
	int rc;

	if (!dev)
		return refuse(ENOMEM, "no memory for the file side of %s", f->idev.name);
	dev->fn = f;
	dev->host = host;
	dev->host_arg = arg;
	dev->wakeup = EVENT_NONE;
	mtx_init(&dev->lock, LOCK_CDEV);
	list_init(&dev->ioevents);
	watch_init(&dev->watch, dev);
	irq_init(dev);
	rc = cfg_image_build(&f->desc, f->index, &dev->cfg.image);
	if (!rc)
		rc = bar_init(dev);
	if (rc) {
		mem_free(dev);
		return why_add(rc, "%s", f->idev.name);
	}
	cfg_init(dev);
	f->vfio = dev;
	f->vfio_ops = &ops;
	*out = dev;
	return 0;
}

void vfio_pci_destroy(struct vfio_pci *dev)
{
	if (!dev)
		return;
	(void)BUG_ON(dev->files || dev->owner);
	dev->fn->vfio_ops = NULL;
	dev->fn->vfio = NULL;
	bar_finish(dev);
	mem_free(dev);
}

int vfio_pci_memfd(struct vfio_pci *dev)
{
	return dev->memfd;
}

struct uiommufd_device *vfio_pci_function(struct vfio_pci *dev)
{
	return dev->fn;
}
