// SPDX-License-Identifier: MIT
/*
 * INTx: a level-triggered line signalled through an eventfd.
 *
 * The line is up while the model drives it (level), or for one signal after a one-shot raise
 * (pulse). A signal masks the line; the client unmasks it, by SET_IRQS or through the resample
 * eventfd, and if the line is still up it is signalled again. COMMAND.INTX_DISABLE masks it too.
 * Source: docs/abi/vfio_device_set_irqs.md.
 */
#include <errno.h>

#include "abi/vfio.h"
#include "base/why.h"
#include "vfio/pci.h"

static bool intx_on(struct vfio_pci *dev)
{
	return atomic_load(&dev->irqs.type) == VFIO_PCI_INTX_IRQ_INDEX;
}

/* Signals when the line is up and nothing masks it. irqs.lock is held. */
static void evaluate(struct vfio_pci *dev)
{
	struct vfio_irqs *q = &dev->irqs;

	lock_assert_held(&q->lock);
	if (!intx_on(dev) || q->masked || q->disabled || !event_set(&q->intx))
		return;
	if (!q->pulse && !atomic_load(&q->level))
		return;
	q->pulse = false;
	q->masked = true;
	event_signal(&q->intx);
}

void intx_level(struct vfio_pci *dev, bool level)
{
	struct vfio_irqs *q = &dev->irqs;

	mtx_lock(&q->lock);
	atomic_store(&q->level, level);
	evaluate(dev);
	mtx_unlock(&q->lock);
}

void intx_raise(struct vfio_pci *dev)
{
	struct vfio_irqs *q = &dev->irqs;

	mtx_lock(&q->lock);
	if (intx_on(dev)) {
		q->pulse = true;
		evaluate(dev);
	}
	mtx_unlock(&q->lock);
}

void intx_disable(struct vfio_pci *dev, bool disabled)
{
	struct vfio_irqs *q = &dev->irqs;

	mtx_lock(&q->lock);
	q->disabled = disabled;
	evaluate(dev);
	mtx_unlock(&q->lock);
}

/* A function in reset does not drive the line. */
void intx_reset(struct vfio_pci *dev)
{
	struct vfio_irqs *q = &dev->irqs;

	mtx_lock(&q->lock);
	q->pulse = false;
	atomic_store(&q->level, false);
	mtx_unlock(&q->lock);
}

static void set_masked(struct vfio_pci *dev, bool masked)
{
	struct vfio_irqs *q = &dev->irqs;

	mtx_lock(&q->lock);
	q->masked = masked;
	evaluate(dev);
	mtx_unlock(&q->lock);
}

static void resampled(struct watch_src *s)
{
	struct vfio_pci *dev = container_of(s, struct vfio_pci, irqs.resample_src);
	struct event e = { .fd = atomic_load(&s->fd) };

	/* watch_del() sets the number to -1 first, then waits for us. */
	if (event_consume(&e))
		set_masked(dev, false);
}

static void resample_drop_locked(struct vfio_pci *dev)
{
	struct vfio_irqs *q = &dev->irqs;

	watch_del(&dev->watch, &q->resample_src);
	event_put(&q->resample);
}

void intx_drop_locked(struct vfio_pci *dev)
{
	struct vfio_irqs *q = &dev->irqs;
	struct event old;

	lock_assert_held(&dev->lock);
	if (!intx_on(dev))
		return;
	resample_drop_locked(dev);
	mtx_lock(&q->lock);
	atomic_store(&q->type, IRQ_TYPE_NONE);
	old = q->intx;
	q->intx = EVENT_NONE;
	q->pulse = q->masked = false;
	mtx_unlock(&q->lock);
	event_put(&old);
}

/* Activates INTx, or swaps the trigger of an active one and keeps its mask. */
static int set_trigger(struct vfio_pci *dev, int fd)
{
	struct vfio_irqs *q = &dev->irqs;
	struct event e = EVENT_NONE, old;
	int rc = fd < 0 ? 0 : event_get(fd, &e);

	if (rc)
		return rc;
	mtx_lock(&q->lock);
	old = q->intx;
	q->intx = e;
	if (!intx_on(dev)) {
		q->masked = q->pulse = false;
		atomic_store(&q->type, VFIO_PCI_INTX_IRQ_INDEX);
	}
	evaluate(dev);
	mtx_unlock(&q->lock);
	event_put(&old);
	return 0;
}

static int set_resample(struct vfio_pci *dev, int fd)
{
	struct vfio_irqs *q = &dev->irqs;
	struct event e;
	int rc;

	if (fd < 0) {
		resample_drop_locked(dev);
		return 0;
	}
	rc = event_get(fd, &e);
	if (rc)
		return rc;
	if (event_set(&q->resample)) {
		event_put(&e);
		return refuse(EBUSY, "INTx has a resample eventfd already");
	}
	rc = watch_start(&dev->watch);
	if (!rc) {
		q->resample_src.fn = resampled;
		rc = watch_add(&dev->watch, &q->resample_src, e.fd);
	}
	if (rc) {
		event_put(&e);
		return rc;
	}
	q->resample = e;
	/* What was signalled before counts, and at once. */
	if (event_consume(&e))
		set_masked(dev, false);
	return 0;
}

static int check_single(struct vfio_pci *dev, const struct irq_req *r)
{
	if (r->start || r->count != 1)
		return refuse(EINVAL, "INTx has one vector: start %u, count %u", r->start,
			      r->count);
	if (!intx_on(dev))
		return refuse(EINVAL, "INTx is not active");
	return 0;
}

static long trigger(struct vfio_pci *dev, const struct irq_req *r)
{
	int type = atomic_load(&dev->irqs.type);
	int rc;

	if (type == VFIO_PCI_INTX_IRQ_INDEX && !r->count && r->type == VFIO_IRQ_SET_DATA_NONE) {
		intx_drop_locked(dev);
		return 0;
	}
	if (type != VFIO_PCI_INTX_IRQ_INDEX && type != IRQ_TYPE_NONE)
		return refuse(EINVAL, "interrupt index %d is active, INTx cannot be", type);
	if (r->type == VFIO_IRQ_SET_DATA_EVENTFD && !r->start && r->count == 1)
		return set_trigger(dev, *(const int32_t *)r->data);
	rc = check_single(dev, r);
	if (rc)
		return rc;
	if (irq_req_on(r, 0)) {
		mtx_lock(&dev->irqs.lock);
		if (!dev->irqs.disabled)
			event_signal(&dev->irqs.intx);
		mtx_unlock(&dev->irqs.lock);
	}
	return 0;
}

long intx_set_locked(struct vfio_pci *dev, const struct irq_req *r)
{
	int rc;

	if (r->action == VFIO_IRQ_SET_ACTION_TRIGGER)
		return trigger(dev, r);
	rc = check_single(dev, r);
	if (rc)
		return rc;
	if (r->type != VFIO_IRQ_SET_DATA_EVENTFD) {
		if (irq_req_on(r, 0))
			set_masked(dev, r->action == VFIO_IRQ_SET_ACTION_MASK);
		return 0;
	}
	if (r->action == VFIO_IRQ_SET_ACTION_MASK)
		return refuse(ENOTTY, "INTx cannot be masked by an eventfd");
	return set_resample(dev, *(const int32_t *)r->data);
}
