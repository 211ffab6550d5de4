// SPDX-License-Identifier: MIT
/*
 * Interrupt wiring: which eventfd each vector signals, and how SET_IRQS changes that.
 *
 * At most one of INTx and MSI-X is active. Source: docs/abi/vfio_device_set_irqs.md.
 */
#include <errno.h>
#include <string.h>

#include "abi/vfio.h"
#include "base/bits.h"
#include "base/pool.h"
#include "base/why.h"
#include "vfio/pci.h"

void irq_init(struct vfio_pci *dev)
{
	struct vfio_irqs *q = &dev->irqs;

	atomic_init(&q->type, IRQ_TYPE_NONE);
	atomic_init(&q->level, false);
	mtx_init(&q->lock, LOCK_VFIO_IRQ);
	q->intx = q->err = q->req = q->resample = EVENT_NONE;
	atomic_init(&q->resample_src.fd, -1);
}

unsigned irq_count(const struct vfio_pci *dev, unsigned index)
{
	switch (index) {
	case VFIO_PCI_INTX_IRQ_INDEX:
		return dev->fn->desc.interrupt_pin ? 1 : 0;
	case VFIO_PCI_MSIX_IRQ_INDEX:
		return dev->fn->desc.msix_vectors;
	case VFIO_PCI_ERR_IRQ_INDEX:
	case VFIO_PCI_REQ_IRQ_INDEX:
		return 1;
	default: /* no MSI */
		return 0;
	}
}

bool irq_msix_on(struct vfio_pci *dev)
{
	return atomic_load(&dev->irqs.type) == VFIO_PCI_MSIX_IRQ_INDEX;
}

void irq_raise(struct vfio_pci *dev, unsigned vector)
{
	struct vfio_irqs *q = &dev->irqs;

	if (!irq_msix_on(dev)) {
		if (vector == 0)
			intx_raise(dev);
		return;
	}
	mtx_lock(&q->lock);
	if (q->vec && vector < dev->fn->desc.msix_vectors)
		event_signal(&q->vec[vector]);
	mtx_unlock(&q->lock);
}

long irq_get_info(struct vfio_pci *dev, uintptr_t arg)
{
	struct vfio_irq_info info;
	int rc = arg_min(&info, arg, sizeof(info), "vfio_irq_info");

	if (rc)
		return rc;
	if (info.index >= VFIO_PCI_NUM_IRQS)
		return refuse(EINVAL, "interrupt index %u is beyond %d", info.index,
			      VFIO_PCI_NUM_IRQS - 1);
	info.flags = VFIO_IRQ_INFO_EVENTFD;
	if (info.index == VFIO_PCI_INTX_IRQ_INDEX)
		info.flags |= VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED;
	else if (info.index != VFIO_PCI_MSIX_IRQ_INDEX || dev->irqs.msix_fixed)
		info.flags |= VFIO_IRQ_INFO_NORESIZE;
	info.count = irq_count(dev, info.index);
	return arg_out(arg, &info, sizeof(info));
}

/* ---- MSI-X ---- */

static void vec_put(struct vfio_pci *dev, unsigned i)
{
	struct vfio_irqs *q = &dev->irqs;
	struct event old;

	mtx_lock(&q->lock);
	old = q->vec[i];
	q->vec[i] = EVENT_NONE;
	mtx_unlock(&q->lock);
	event_put(&old);
}

static int vec_set(struct vfio_pci *dev, unsigned i, int fd)
{
	struct vfio_irqs *q = &dev->irqs;
	struct event e = EVENT_NONE, old;
	int rc = fd < 0 ? 0 : event_get(fd, &e);

	if (rc)
		return rc;
	mtx_lock(&q->lock);
	old = q->vec[i];
	q->vec[i] = e;
	mtx_unlock(&q->lock);
	event_put(&old);
	return 0;
}

/* On failure every vector from @start up to the failing one is off. */
static int vecs_set(struct vfio_pci *dev, uint32_t start, uint32_t count, const int32_t *fds)
{
	for (uint32_t i = 0; i < count; i++) {
		int rc = vec_set(dev, start + i, fds[i]);

		if (!rc)
			continue;
		for (uint32_t j = 0; j <= i; j++)
			vec_put(dev, start + j);
		return why_add(rc, "vector %u", start + i);
	}
	return 0;
}

static void msix_drop_locked(struct vfio_pci *dev)
{
	struct vfio_irqs *q = &dev->irqs;
	struct event *vec = q->vec;

	mtx_lock(&q->lock);
	atomic_store(&q->type, IRQ_TYPE_NONE);
	q->vec = NULL;
	q->nvec = 0;
	mtx_unlock(&q->lock);
	for (unsigned i = 0; i < dev->fn->desc.msix_vectors; i++)
		event_put(&vec[i]);
	mem_free(vec);
}

static int msix_enable(struct vfio_pci *dev, const struct irq_req *r)
{
	unsigned n = dev->fn->desc.msix_vectors;
	struct vfio_irqs *q = &dev->irqs;
	struct event *vec;
	int rc;

	if (r->start + r->count == 0)
		return refuse(ERANGE, "MSI-X cannot be enabled with no vector");
	vec = mem_alloc(n * sizeof(*vec));
	if (!vec)
		return refuse(ENOMEM, "no memory for %u vectors", n);
	for (unsigned i = 0; i < n; i++)
		vec[i] = EVENT_NONE;
	mtx_lock(&q->lock);
	q->vec = vec;
	q->nvec = r->start + r->count;
	atomic_store(&q->type, VFIO_PCI_MSIX_IRQ_INDEX);
	mtx_unlock(&q->lock);
	rc = vecs_set(dev, r->start, r->count, r->data);
	if (rc)
		msix_drop_locked(dev);
	return rc;
}

static int msix_change(struct vfio_pci *dev, const struct irq_req *r)
{
	struct vfio_irqs *q = &dev->irqs;

	if (q->msix_fixed && r->start + r->count > q->nvec)
		return refuse(EINVAL, "vectors %u..%u are beyond the %u enabled first", r->start,
			      r->start + r->count - 1, q->nvec);
	return vecs_set(dev, r->start, r->count, r->data);
}

static long msix_set_locked(struct vfio_pci *dev, const struct irq_req *r)
{
	struct vfio_irqs *q = &dev->irqs;
	int type = atomic_load(&q->type);

	if (r->action != VFIO_IRQ_SET_ACTION_TRIGGER)
		return refuse(ENOTTY, "MSI-X vectors can only be triggered");
	if (type == VFIO_PCI_MSIX_IRQ_INDEX && !r->count && r->type == VFIO_IRQ_SET_DATA_NONE) {
		msix_drop_locked(dev);
		return 0;
	}
	if (type != VFIO_PCI_MSIX_IRQ_INDEX && type != IRQ_TYPE_NONE)
		return refuse(EINVAL, "interrupt index %d is active, MSI-X cannot be", type);
	if (r->type == VFIO_IRQ_SET_DATA_EVENTFD)
		return type == IRQ_TYPE_NONE ? msix_enable(dev, r) : msix_change(dev, r);
	if (type == IRQ_TYPE_NONE)
		return refuse(EINVAL, "MSI-X is not active");
	mtx_lock(&q->lock);
	for (uint32_t i = 0; i < r->count; i++)
		if (irq_req_on(r, i))
			event_signal(&q->vec[r->start + i]);
	mtx_unlock(&q->lock);
	return 0;
}

/* ---- ERR and REQ ---- */

static int single_replace(struct vfio_pci *dev, struct event *slot, int fd)
{
	struct event e = EVENT_NONE, old;
	int rc;

	if (fd < -1)
		return refuse(EINVAL, "descriptor %d is neither one nor -1", fd);
	rc = fd < 0 ? 0 : event_get(fd, &e);
	if (rc)
		return rc;
	mtx_lock(&dev->irqs.lock);
	old = *slot;
	*slot = e;
	mtx_unlock(&dev->irqs.lock);
	event_put(&old);
	return 0;
}

static long single_set_locked(struct vfio_pci *dev, const struct irq_req *r, struct event *slot)
{
	if (r->action != VFIO_IRQ_SET_ACTION_TRIGGER)
		return refuse(ENOTTY, "interrupt index %u can only be triggered", r->index);
	if (r->type == VFIO_IRQ_SET_DATA_NONE) {
		if (!event_set(slot))
			return refuse(EINVAL, "interrupt index %u has no eventfd", r->index);
		if (!r->count)
			return single_replace(dev, slot, -1);
		event_signal(slot);
		return 0;
	}
	if (!r->count)
		return refuse(EINVAL, "interrupt index %u needs a count of 1", r->index);
	if (r->type == VFIO_IRQ_SET_DATA_EVENTFD)
		return single_replace(dev, slot, *(const int32_t *)r->data);
	if (irq_req_on(r, 0))
		event_signal(slot);
	return 0;
}

/* ---- SET_IRQS ---- */

static int check_set(struct vfio_pci *dev, const struct vfio_irq_set *s, size_t *len)
{
	uint32_t type = s->flags & VFIO_IRQ_SET_DATA_TYPE_MASK;
	unsigned num;
	size_t size;

	if (s->flags & ~(uint32_t)(VFIO_IRQ_SET_DATA_TYPE_MASK | VFIO_IRQ_SET_ACTION_TYPE_MASK))
		return refuse(EINVAL, "flags %#x has unknown bits", s->flags);
	if (s->index >= VFIO_PCI_NUM_IRQS)
		return refuse(EINVAL, "interrupt index %u is beyond %d", s->index,
			      VFIO_PCI_NUM_IRQS - 1);
	num = irq_count(dev, s->index);
	if (s->count >= UINT32_MAX - s->start || s->start >= num || s->start + s->count > num)
		return refuse(EINVAL, "start %u, count %u of interrupt index %u with %u vectors",
			      s->start, s->count, s->index, num);
	if (!is_pow2(type))
		return refuse(EINVAL, "flags %#x does not name one kind of data", s->flags);
	size = type == VFIO_IRQ_SET_DATA_NONE ? 0 : type == VFIO_IRQ_SET_DATA_BOOL ? 1 : 4;
	if (s->argsz - sizeof(*s) < s->count * size)
		return refuse(EINVAL, "argsz %u does not hold the data of %u vectors", s->argsz,
			      s->count);
	*len = s->count * size;
	return 0;
}

static long dispatch_locked(struct vfio_pci *dev, const struct irq_req *r)
{
	if (!is_pow2(r->action))
		return refuse(ENOTTY, "flags name %s action", r->action ? "more than one" : "no");
	switch (r->index) {
	case VFIO_PCI_INTX_IRQ_INDEX:
		return intx_set_locked(dev, r);
	case VFIO_PCI_MSIX_IRQ_INDEX:
		return msix_set_locked(dev, r);
	case VFIO_PCI_ERR_IRQ_INDEX:
		return single_set_locked(dev, r, &dev->irqs.err);
	default:
		return single_set_locked(dev, r, &dev->irqs.req);
	}
}

long irq_set(struct vfio_pci *dev, uintptr_t arg)
{
	struct vfio_irq_set s;
	struct irq_req r;
	void *data = NULL;
	size_t len = 0;
	long rc = arg_min(&s, arg, sizeof(s), "vfio_irq_set");

	if (!rc)
		rc = check_set(dev, &s, &len);
	if (rc)
		return rc;
	if (len) {
		data = mem_alloc(len);
		if (!data)
			return refuse(ENOMEM, "no memory for the data of %u vectors", s.count);
		rc = arg_in(data, arg + sizeof(s), len);
	}
	r = (struct irq_req){
		.type = s.flags & VFIO_IRQ_SET_DATA_TYPE_MASK,
		.action = s.flags & VFIO_IRQ_SET_ACTION_TYPE_MASK,
		.index = s.index,
		.start = s.start,
		.count = s.count,
		.data = data,
	};
	if (!rc) {
		mtx_lock(&dev->lock);
		rc = dispatch_locked(dev, &r);
		mtx_unlock(&dev->lock);
	}
	mem_free(data);
	return rc;
}

void irq_drop_locked(struct vfio_pci *dev)
{
	struct vfio_irqs *q = &dev->irqs;

	intx_drop_locked(dev);
	if (irq_msix_on(dev))
		msix_drop_locked(dev);
	mtx_lock(&q->lock);
	event_put(&q->err);
	event_put(&q->req);
	q->pulse = false;
	atomic_store(&q->level, false);
	mtx_unlock(&q->lock);
}

static bool single_tell(struct vfio_pci *dev, struct event *slot)
{
	bool set;

	mtx_lock(&dev->irqs.lock);
	set = event_set(slot);
	event_signal(slot);
	mtx_unlock(&dev->irqs.lock);
	return set;
}

bool vfio_pci_request(struct vfio_pci *dev)
{
	return single_tell(dev, &dev->irqs.req);
}

bool vfio_pci_error(struct vfio_pci *dev)
{
	return single_tell(dev, &dev->irqs.err);
}

void vfio_pci_fix_msix(struct vfio_pci *dev, bool fixed)
{
	dev->irqs.msix_fixed = fixed;
}
