// SPDX-License-Identifier: MIT
/* What may a device model call? The functions of <uiommufd/device.h>. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/why.h"
#include "iommu/function.h"

API void uiommufd_device_lock(struct uiommufd_device *dev)
{
	mtx_lock(&dev->lock);
}

API void uiommufd_device_unlock(struct uiommufd_device *dev)
{
	mtx_unlock(&dev->lock);
}

API void uiommufd_device_kick(struct uiommufd_device *dev)
{
	function_thread_kick(dev->thread);
}

/* A model that does DMA under its lock would deadlock with its own reset. */
static ALWAYS_INLINE void unlocked(void)
{
	if (LOCK_CHECK)
		(void)BUG_ON(lock_rank_holds(LOCK_MODEL));
}

API int uiommufd_dma_read(struct uiommufd_device *dev, uint32_t pasid, uint64_t iova, void *buf,
			  size_t len)
{
	unlocked();
	return iommu_dma_read(&dev->idev, pasid, iova, buf, len, NULL);
}

API int uiommufd_dma_write(struct uiommufd_device *dev, uint32_t pasid, uint64_t iova,
			   const void *buf, size_t len)
{
	unlocked();
	return iommu_dma_write(&dev->idev, pasid, iova, buf, len, NULL);
}

static int tell(int rc, const struct iommu_dma_stop *stop, struct uiommufd_dma_fault *fault)
{
	if (unlikely(rc) && fault)
		*fault = (struct uiommufd_dma_fault){
			.iova = stop->iova,
			.side = stop->at_dst ? UIOMMUFD_DMA_DST : UIOMMUFD_DMA_SRC,
			.done = stop->done,
		};
	return rc;
}

API int uiommufd_dma_copy(struct uiommufd_device *dev, uint32_t pasid, uint64_t dst, uint64_t src,
			  uint64_t len, struct uiommufd_dma_fault *fault)
{
	struct iommu_dma_stop stop;

	unlocked();
	return tell(iommu_dma_copy(&dev->idev, pasid, dst, src, len, &stop), &stop, fault);
}

API int uiommufd_dma_fill(struct uiommufd_device *dev, uint32_t pasid, uint64_t dst,
			  uint64_t pattern, uint64_t len, struct uiommufd_dma_fault *fault)
{
	struct iommu_dma_stop stop;

	unlocked();
	return tell(iommu_dma_fill(&dev->idev, pasid, dst, pattern, len, &stop), &stop, fault);
}

API int uiommufd_dma_store(struct uiommufd_device *dev, uint32_t pasid, uint64_t iova, uint64_t val,
			   unsigned size)
{
	unlocked();
	return iommu_dma_store(&dev->idev, pasid, iova, val, size);
}

API int uiommufd_dma_load(struct uiommufd_device *dev, uint32_t pasid, uint64_t iova, uint64_t *val,
			  unsigned size)
{
	unlocked();
	return iommu_dma_load(&dev->idev, pasid, iova, val, size);
}

API void uiommufd_device_irq(struct uiommufd_device *dev, unsigned vector)
{
	if (dev->vfio_ops)
		dev->vfio_ops->irq(dev->vfio, vector);
}

API void uiommufd_device_intx(struct uiommufd_device *dev, bool level)
{
	if (dev->vfio_ops)
		dev->vfio_ops->intx(dev->vfio, level);
}

API bool uiommufd_device_msix_on(struct uiommufd_device *dev)
{
	return dev->vfio_ops && dev->vfio_ops->msix_on(dev->vfio);
}

API void uiommufd_device_cfg_or(struct uiommufd_device *dev, unsigned off, uint32_t bits)
{
	if (dev->vfio_ops)
		dev->vfio_ops->cfg_or(dev->vfio, off, bits);
}

API void *uiommufd_device_bar(struct uiommufd_device *dev, unsigned bar)
{
	return dev->vfio_ops ? dev->vfio_ops->bar_mem(dev->vfio, bar) : NULL;
}

API int uiommufd_device_reason(int err, const char *fmt, ...)
{
	char text[WHY_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return refuse(err < 0 ? -err : err, "%s", text);
}
