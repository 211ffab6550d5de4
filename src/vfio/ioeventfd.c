// SPDX-License-Identifier: MIT
/* IOEVENTFD: writes of a BAR that the watcher performs when the client signals an eventfd. */
#include <errno.h>

#include "abi/vfio.h"
#include "base/bits.h"
#include "base/pool.h"
#include "base/why.h"
#include "vfio/pci.h"

#define IOEVENTS_MAX 1000

struct ioevent {
	struct watch_src src;
	struct list in_dev;
	struct vfio_pci *dev;
	struct event event;
	unsigned bar, size;
	uint64_t pos, data; /* position in the BAR */
};

/* With memory decode off the signal is consumed and nothing is written. */
static void signalled(struct watch_src *s)
{
	struct ioevent *io = container_of(s, struct ioevent, src);

	if (event_consume(&io->event) && atomic_load(&io->dev->mem_rw))
		for (unsigned i = 0; i < io->size;) {
			unsigned size = io->size;

			/* No alignment is asked for, so split as a write through the file is. */
			while (size > io->size - i || ((io->pos + i) & (size - 1)))
				size >>= 1;
			bar_store(io->dev, io->bar, io->pos + i, size, io->data >> (8 * i));
			i += size;
		}
}

static struct ioevent *find(struct vfio_pci *dev, const struct ioevent *like)
{
	list_for_each(p, &dev->ioevents) {
		struct ioevent *io = list_entry(p, struct ioevent, in_dev);

		if (io->bar == like->bar && io->pos == like->pos && io->size == like->size &&
		    io->data == like->data)
			return io;
	}
	return NULL;
}

static void destroy_locked(struct ioevent *io)
{
	struct vfio_pci *dev = io->dev;

	watch_del(&dev->watch, &io->src);
	event_put(&io->event);
	list_del(&io->in_dev);
	dev->n_ioevents--;
	mem_free(io);
}

static int add_locked(struct vfio_pci *dev, const struct ioevent *like, int fd)
{
	struct ioevent *io;
	int rc;

	if (find(dev, like))
		return refuse(EEXIST, "this write has an eventfd already");
	if (dev->n_ioevents >= IOEVENTS_MAX)
		return refuse(ENOSPC, "%u ioeventfds are the most", dev->n_ioevents);
	io = mem_alloc(sizeof(*io));
	if (!io)
		return refuse(ENOMEM, "no memory for an ioeventfd");
	*io = *like;
	rc = event_get(fd, &io->event);
	if (rc)
		goto err_free;
	rc = watch_start(&dev->watch);
	if (!rc)
		rc = watch_add(&dev->watch, &io->src, io->event.fd);
	if (rc)
		goto err_put;
	list_add_tail(&dev->ioevents, &io->in_dev);
	dev->n_ioevents++;
	return 0;
err_put:
	event_put(&io->event);
err_free:
	mem_free(io);
	return rc;
}

static int check(struct vfio_pci *dev, const struct vfio_device_ioeventfd *a, struct ioevent *out)
{
	uint64_t index = a->offset >> REGION_SHIFT;

	if ((a->flags & ~(uint32_t)VFIO_DEVICE_IOEVENTFD_SIZE_MASK) || !is_pow2(a->flags))
		return refuse(EINVAL, "flags %#x does not name one size", a->flags);
	if (a->fd < -1)
		return refuse(EINVAL, "descriptor %d is neither one nor -1", a->fd);
	*out = (struct ioevent){ .src.fn = signalled, .dev = dev, .event = EVENT_NONE };
	out->size = a->flags; /* the flag of a size is the size */
	out->bar = (unsigned)index;
	out->pos = a->offset & REGION_MASK;
	out->data = a->data;
	atomic_init(&out->src.fd, -1);
	if (index >= UIOMMUFD_BARS)
		return refuse(EINVAL, "offset %#llx is not within a BAR",
			      (unsigned long long)a->offset);
	if (out->size > dev->fn->desc.bar[index].size ||
	    out->pos > dev->fn->desc.bar[index].size - out->size)
		return refuse(EINVAL, "%u bytes at %#llx are beyond BAR %u", out->size,
			      (unsigned long long)out->pos, out->bar);
	if (bar_meets_table(dev, out->bar, out->pos, out->size))
		return refuse(EINVAL, "offset %#llx is within the MSI-X table",
			      (unsigned long long)out->pos);
	return 0;
}

long dev_ioeventfd(struct vfio_pci *dev, uintptr_t arg)
{
	struct vfio_device_ioeventfd a = { 0 };
	struct ioevent like, *io;
	int rc = arg_min(&a, arg, offsetof(struct vfio_device_ioeventfd, reserved),
			 "vfio_device_ioeventfd");

	if (!rc)
		rc = check(dev, &a, &like);
	if (rc)
		return rc;
	mtx_lock(&dev->lock);
	if (a.fd >= 0) {
		rc = add_locked(dev, &like, a.fd);
	} else {
		io = find(dev, &like);
		if (io)
			destroy_locked(io);
		else
			rc = refuse(ENODEV, "this write has no eventfd");
	}
	mtx_unlock(&dev->lock);
	return rc;
}

void ioevents_drop_locked(struct vfio_pci *dev)
{
	list_for_each_safe(p, tmp, &dev->ioevents)
		destroy_locked(list_entry(p, struct ioevent, in_dev));
}
