// SPDX-License-Identifier: MIT
/* What does the IOMMU know of one device? */
#include "iommu/device.h"

#include <string.h>

#include "mem/fence.h"

static const _Atomic bool always_on = true;

void iommu_device_init(struct iommu_device *d, struct iommu_group *g, const char *name,
		       uint32_t segment, uint16_t rid)
{
	memset(d, 0, sizeof(*d));
	d->group = g;
	d->iommu = g->iommu;
	strncpy(d->name, name, sizeof(d->name) - 1);
	d->segment = segment;
	d->rid = rid;
	d->irq_isolated = g->iommu->kind->irq_isolated;
	d->coherent = g->iommu->kind->cache_coherent;
	d->dma_gate = &always_on;
	mtx_lock(&g->lock);
	(void)BUG_ON(g->owner);
	list_add_tail(&g->devices, &d->in_group);
	mtx_unlock(&g->lock);
}

void iommu_device_finish(struct iommu_device *d)
{
	mtx_lock(&d->group->lock);
	(void)BUG_ON(atomic_load(&d->rid_xlat.tag));
	list_del(&d->in_group);
	mtx_unlock(&d->group->lock);
}

bool iommu_device_resv(const struct iommu_device *d, size_t i, struct iommu_resv *out)
{
	const struct iommu_kind *kind = d->iommu->kind;

	if (i < kind->n_resv)
		*out = kind->resv[i];
	else if (i - kind->n_resv < d->n_resv)
		*out = d->resv[i - kind->n_resv];
	else
		return false;
	return true;
}

void iommu_device_stop_dma(struct iommu_device *d)
{
	atomic_store(&d->dma_stopped, true);
	/*
	 * All sections, not only those under the device's present tag: one that an attach running
	 * just now has moved away from may go on still. Sections are short.
	 */
	fence_wait_all();
}

void iommu_device_allow_dma(struct iommu_device *d)
{
	atomic_store(&d->dma_stopped, false);
}
