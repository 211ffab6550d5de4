// SPDX-License-Identifier: MIT
/*
 * Device files: /dev/vfio/devices/vfioN.
 *
 * States of a file:  unbound --BIND--> bound --last close--> gone. There is no way back.
 * States of a device: free, bound (by one file), attached (bound, and translated).
 *
 * Invariants
 *  C1. A device has at most one bound file, its owner.
 *  C2. idev and ctx are set exactly while there is an owner; attached implies an owner.
 *  C3. Without an owner no eventfd of a client is held, the watcher does not run, bus mastering
 *      is off and the model is stopped and reset.
 * Source: docs/abi/vfio_device_bind_iommufd.md.
 */
#include <errno.h>

#include "abi/vfio.h"
#include "base/pool.h"
#include "base/why.h"
#include "vfio/pci.h"

static void check_locked(struct vfio_pci *dev)
{
	bool bound = dev->owner;

	lock_assert_held(&dev->lock);
	(void)BUG_ON(bound != !!dev->idev || bound != !!dev->ctx);
	(void)BUG_ON(bound && !atomic_load(&dev->owner->bound)); /* C1 */
	(void)BUG_ON(dev->attached && !bound);                   /* C2 */
	(void)BUG_ON(!bound && (atomic_load(&dev->watch.running) || dev->n_ioevents ||
				atomic_load(&dev->irqs.type) != IRQ_TYPE_NONE ||
				event_set(&dev->irqs.err) || event_set(&dev->irqs.req) ||
				dev->low_power || atomic_load(&dev->fn->bus_master))); /* C3 */
}

int vfio_file_open(struct vfio_pci *dev, struct vfio_file **out)
{
	struct vfio_file *f = mem_zalloc(sizeof(*f));

	if (!f)
		return refuse(ENOMEM, "no memory for a device file");
	f->dev = dev;
	mtx_lock(&dev->lock);
	dev->files++;
	mtx_unlock(&dev->lock);
	*out = f;
	return 0;
}

struct vfio_pci *vfio_file_device(struct vfio_file *f)
{
	return f->dev;
}

/* ---- BIND ---- */

/* Bytes of the caller's struct that we do not know must be 0. */
static int check_tail(uintptr_t at, size_t len)
{
	uint8_t chunk[64];

	while (len) {
		size_t n = len < sizeof(chunk) ? len : sizeof(chunk);
		int rc = arg_in(chunk, at, n);

		if (rc)
			return rc;
		for (size_t i = 0; i < n; i++)
			if (chunk[i])
				return refuse(E2BIG, "byte %#x beyond the known struct", chunk[i]);
		at += n;
		len -= n;
	}
	return 0;
}

static int bind_args(uintptr_t arg, struct vfio_device_bind_iommufd *b)
{
	const size_t min = offsetof(struct vfio_device_bind_iommufd, token_uuid_ptr);
	uint32_t argsz;
	int rc = arg_in(&argsz, arg, sizeof(argsz));

	if (rc)
		return rc;
	if (argsz < min)
		return refuse(EINVAL, "argsz %u is below the minimum %zu", argsz, min);
	*b = (struct vfio_device_bind_iommufd){ 0 };
	if (argsz > sizeof(*b)) {
		rc = check_tail(arg + sizeof(*b), argsz - sizeof(*b));
		if (rc)
			return rc;
	}
	rc = arg_in(b, arg, argsz < sizeof(*b) ? argsz : sizeof(*b));
	if (rc)
		return rc;
	if (b->flags & ~(uint32_t)VFIO_DEVICE_BIND_FLAG_TOKEN)
		return refuse(EINVAL, "flags %#x has unknown bits", b->flags);
	if (b->iommufd < 0)
		return refuse(EINVAL, "iommufd %d is not a descriptor", b->iommufd);
	return 0;
}

/* Only functions of an SR-IOV pair have tokens. */
static int bind_token(const struct vfio_device_bind_iommufd *b)
{
	uint8_t uuid[16];
	int rc;

	if (!(b->flags & VFIO_DEVICE_BIND_FLAG_TOKEN))
		return 0;
	rc = arg_in(uuid, (uintptr_t)b->token_uuid_ptr, sizeof(uuid));
	return rc ? rc
		  : refuse(EINVAL, "the function is not part of an SR-IOV device, it has no token");
}

/* What the driver does when its device is opened: a fresh function. */
static void function_open_locked(struct vfio_pci *dev)
{
	bar_wipe(dev);
	function_reset(dev->fn, UIOMMUFD_RESET_FUNCTION);
	intx_reset(dev);
	cfg_open_locked(dev);
}

/*
 * The reverse. Order: nothing rings the model any more, it is stopped (function_reset() waits for
 * run() and for DMA in flight), its interrupts go nowhere.
 */
static void function_close_locked(struct vfio_pci *dev)
{
	cfg_quiet_locked(dev);
	ioevents_drop_locked(dev);
	watch_stop(&dev->watch);
	function_reset(dev->fn, UIOMMUFD_RESET_FUNCTION);
	irq_drop_locked(dev);
	low_power_end_locked(dev);
	cfg_open_locked(dev);
}

static int bind_locked(struct vfio_file *f, struct iommufd_ctx *ctx, uintptr_t arg)
{
	struct vfio_pci *dev = f->dev;
	struct iommufd_device *idev;
	uint32_t id;
	int rc;

	if (atomic_load(&f->bound))
		return refuse(EINVAL, "this file is bound already");
	if (dev->owner)
		return refuse(EINVAL, "another file has %s bound", dev->fn->idev.name);
	rc = iommufd_device_bind(ctx, &dev->fn->idev, &idev, &id);
	if (rc)
		return rc;
	function_open_locked(dev);
	rc = arg_out(arg + offsetof(struct vfio_device_bind_iommufd, out_devid), &id, sizeof(id));
	if (rc) {
		function_close_locked(dev);
		iommufd_device_unbind(idev);
		return rc;
	}
	dev->owner = f;
	dev->idev = idev;
	dev->ctx = ctx;
	atomic_store(&dev->bound_id, id);
	atomic_store(&dev->bound_ctx, ctx);
	atomic_store(&f->bound, true);
	return 0;
}

/* Up to the iommufd, in the order of Linux; *@ctx has a reference. */
static int check_bind(struct vfio_file *f, uintptr_t arg, struct iommufd_ctx **ctx)
{
	struct vfio_pci *dev = f->dev;
	struct vfio_device_bind_iommufd b;
	int rc = bind_args(arg, &b);

	if (rc)
		return rc;
	if (atomic_load(&f->bound))
		return refuse(EINVAL, "this file is bound already");
	rc = bind_token(&b);
	return rc ? rc : dev->host->ctx_from_fd(dev->host_arg, b.iommufd, ctx);
}

int vfio_file_check_bind(struct vfio_file *f, uintptr_t arg)
{
	struct iommufd_ctx *ctx;
	int rc = check_bind(f, arg, &ctx);

	if (!rc)
		iommufd_ctx_put(ctx);
	return rc;
}

static long file_bind(struct vfio_file *f, uintptr_t arg)
{
	struct vfio_pci *dev = f->dev;
	struct iommufd_ctx *ctx;
	int rc = check_bind(f, arg, &ctx);

	if (rc)
		return rc;
	mtx_lock(&dev->lock);
	rc = bind_locked(f, ctx, arg);
	check_locked(dev);
	mtx_unlock(&dev->lock);
	if (rc)
		iommufd_ctx_put(ctx);
	return rc;
}

void vfio_file_release(struct vfio_file *f)
{
	struct vfio_pci *dev = f->dev;
	struct iommufd_ctx *ctx = NULL;

	mtx_lock(&dev->lock);
	if (dev->owner == f) {
		function_close_locked(dev);
		if (dev->attached)
			iommufd_device_detach(dev->idev);
		atomic_store(&dev->bound_ctx, NULL);
		iommufd_device_unbind(dev->idev);
		ctx = dev->ctx;
		dev->attached = false;
		dev->idev = NULL;
		dev->ctx = NULL;
		dev->owner = NULL;
	}
	dev->files--;
	check_locked(dev);
	mtx_unlock(&dev->lock);
	/* Possibly its end, which takes outer locks. */
	if (ctx)
		iommufd_ctx_put(ctx);
	mem_free(f);
}

/* ---- ATTACH and DETACH ---- */

/*
 * @pasid is read with the flag only. Without one, and with PASID 0, the whole function is meant.
 */
static int pasid_arg(uintptr_t arg, uint32_t argsz, size_t off, uint32_t *pasid)
{
	if (argsz < off + sizeof(*pasid))
		return refuse(EINVAL, "argsz %u does not hold the PASID", argsz);
	return arg_in(pasid, arg + off, sizeof(*pasid));
}

static int attach_locked(struct vfio_pci *dev, uint32_t pt_id, uintptr_t out)
{
	int rc;

	rc = dev->attached ? iommufd_device_replace(dev->idev, &pt_id)
			   : iommufd_device_attach(dev->idev, &pt_id);
	if (rc)
		return rc;
	dev->attached = true;
	rc = arg_out(out, &pt_id, sizeof(pt_id));
	if (rc) {
		iommufd_device_detach(dev->idev);
		dev->attached = false;
	}
	return rc;
}

static long file_attach(struct vfio_pci *dev, uintptr_t arg)
{
	struct vfio_device_attach_iommufd_pt a = { 0 };
	int rc = arg_min(&a, arg, offsetof(struct vfio_device_attach_iommufd_pt, pasid),
			 "vfio_device_attach_iommufd_pt");

	if (rc)
		return rc;
	if (a.flags & ~(uint32_t)VFIO_DEVICE_ATTACH_PASID)
		return refuse(EINVAL, "flags %#x has unknown bits", a.flags);
	if (a.flags & VFIO_DEVICE_ATTACH_PASID) {
		rc = pasid_arg(arg, a.argsz, offsetof(struct vfio_device_attach_iommufd_pt, pasid),
			       &a.pasid);
		if (rc)
			return rc;
	}
	if (a.pasid)
		return refuse(EINVAL, "%s has no PASIDs, %u was asked for", dev->fn->idev.name,
			      a.pasid);
	mtx_lock(&dev->lock);
	rc = attach_locked(dev, a.pt_id,
			   arg + offsetof(struct vfio_device_attach_iommufd_pt, pt_id));
	check_locked(dev);
	mtx_unlock(&dev->lock);
	return rc;
}

static long file_detach(struct vfio_pci *dev, uintptr_t arg)
{
	struct vfio_device_detach_iommufd_pt d = { 0 };
	int rc = arg_min(&d, arg, offsetof(struct vfio_device_detach_iommufd_pt, pasid),
			 "vfio_device_detach_iommufd_pt");

	if (rc)
		return rc;
	if (d.flags & ~(uint32_t)VFIO_DEVICE_DETACH_PASID)
		return refuse(EINVAL, "flags %#x has unknown bits", d.flags);
	if (d.flags & VFIO_DEVICE_DETACH_PASID) {
		rc = pasid_arg(arg, d.argsz, offsetof(struct vfio_device_detach_iommufd_pt, pasid),
			       &d.pasid);
		if (rc)
			return rc;
	}
	if (d.pasid) /* nothing can be attached there */
		return 0;
	mtx_lock(&dev->lock);
	if (dev->attached)
		iommufd_device_detach(dev->idev);
	dev->attached = false;
	check_locked(dev);
	mtx_unlock(&dev->lock);
	return 0;
}

/* ---- dispatch ---- */

long vfio_file_ioctl(struct vfio_file *f, unsigned long cmd, uintptr_t arg)
{
	struct vfio_pci *dev = f->dev;
	uint32_t nr = (uint32_t)cmd; /* callers pass it as an int, sign and all */

	if (nr == VFIO_DEVICE_BIND_IOMMUFD)
		return file_bind(f, arg);
	if (!atomic_load(&f->bound))
		return refuse(EINVAL, "the device file is not bound to an iommufd");
	dev_wake(dev);
	switch (nr) {
	case VFIO_DEVICE_ATTACH_IOMMUFD_PT:
		return file_attach(dev, arg);
	case VFIO_DEVICE_DETACH_IOMMUFD_PT:
		return file_detach(dev, arg);
	case VFIO_DEVICE_FEATURE:
		return dev_feature(dev, arg);
	case VFIO_DEVICE_GET_REGION_INFO:
		return dev_get_region_info(dev, arg);
	case VFIO_DEVICE_GET_INFO:
		return dev_get_info(dev, arg);
	case VFIO_DEVICE_GET_IRQ_INFO:
		return irq_get_info(dev, arg);
	case VFIO_DEVICE_SET_IRQS:
		return irq_set(dev, arg);
	case VFIO_DEVICE_RESET:
		return dev_reset(dev);
	case VFIO_DEVICE_GET_PCI_HOT_RESET_INFO:
		return dev_hot_reset_info(dev, arg);
	case VFIO_DEVICE_PCI_HOT_RESET:
		return dev_hot_reset(dev, arg);
	case VFIO_DEVICE_IOEVENTFD:
		return dev_ioeventfd(dev, arg);
	default:
		return refuse(ENOTTY, "ioctl %#x is not one of a PCI device", nr);
	}
}
