/* SPDX-License-Identifier: MIT */
/*
 * The iommufd subsystem as its neighbours see it: contexts, their ioctls, and the consumer API
 * by which a device driver (vfio) puts devices under a context.
 */
#ifndef IOMMUFD_IOMMUFD_H
#define IOMMUFD_IOMMUFD_H

#include <stddef.h>
#include <stdint.h>

#include "iommu/device.h"
#include "iommu/machine.h"

struct iommufd_ctx;
struct iommufd_device; /* a bound device: object type DEVICE */

/* One context, as open("/dev/iommu") makes it; the caller holds one reference. */
int iommufd_ctx_create(struct machine *m, struct iommufd_ctx **out);
void iommufd_ctx_get(struct iommufd_ctx *ctx);
/* The last reference closes it: every object goes, leaves first. */
void iommufd_ctx_put(struct iommufd_ctx *ctx);

/* ioctl() on the context; >= 0 or -errno, with the reason in why_last(). @arg: client memory. */
long iommufd_ctx_ioctl(struct iommufd_ctx *ctx, unsigned long cmd, uintptr_t arg);

/* Consumer API: names and errnos as docs/abi/vfio_device_bind_iommufd.md. */
int iommufd_device_bind(struct iommufd_ctx *ctx, struct iommu_device *dev,
			struct iommufd_device **out, uint32_t *id);
void iommufd_device_unbind(struct iommufd_device *idev); /* detached before */
/* *@pt_id: in IOAS, HWPT id; out the HWPT's. Attached already: -EBUSY (use replace). */
int iommufd_device_attach(struct iommufd_device *idev, uint32_t *pt_id);
int iommufd_device_replace(struct iommufd_device *idev, uint32_t *pt_id);
void iommufd_device_detach(struct iommufd_device *idev); /* no-op when not attached */
struct iommufd_ctx *iommufd_device_to_ictx(struct iommufd_device *idev);
uint32_t iommufd_device_to_id(struct iommufd_device *idev);
bool iommufd_ctx_has_group(struct iommufd_ctx *ctx, struct iommu_group *group);

/*
 * Accesses: consumers inside the process that pin memory of an IOAS, or copy to and from it.
 * What unmap() is told must not be pinned any more when it returns; no lock is held meanwhile, and
 * unpinning in it is what it is for. Attach, replace and detach are not for it.
 */
#define IOMMUFD_ACCESS_READ    0u
#define IOMMUFD_ACCESS_WRITE   1u
#define IOMMUFD_ACCESS_KTHREAD 2u /* a thread without client memory of its own */
#define IOMMUFD_ACCESS_SLOW    4u /* rw: page by page through the tiers (tests) */

struct iommufd_access; /* object type ACCESS */

struct iommufd_access_ops {
	bool needs_pin_pages; /* else it only copies */
	/* NULL only where nothing is pinned. [iova, iova + length); (0, 2^64 - 1): all. */
	void (*unmap)(void *data, uint64_t iova, uint64_t length);
};

/* Not attached yet. @ops outlives it. -EINVAL @ops pin but have no unmap(); -ENOMEM, -EBUSY. */
int iommufd_access_create(struct iommufd_ctx *ctx, const struct iommufd_access_ops *ops, void *data,
			  struct iommufd_access **out, uint32_t *id);
/* Detaches it; waits for callbacks that run, and none runs afterwards. No other call runs. */
void iommufd_access_destroy(struct iommufd_access *access);
/* -EINVAL attached; -ENOENT no such IOAS; -EBUSY; -ENOMEM; -EADDRINUSE unaligned mappings. */
int iommufd_access_attach(struct iommufd_access *access, uint32_t ioas_id);
/* -ENOENT also when not attached. All pins are gone; the same IOAS: nothing happens. */
int iommufd_access_replace(struct iommufd_access *access, uint32_t ioas_id);
void iommufd_access_detach(struct iommufd_access *access);
/*
 * @out: the output address of each page that [iova, iova + length) touches, valid until
 * iommufd_access_unpin_pages() with the same iova and length. -EINVAL no length, unaligned, or
 * being unmapped; -EOVERFLOW; -ENOENT not attached, or a gap; -EPERM; -EFAULT, -ENOMEM.
 */
int iommufd_access_pin_pages(struct iommufd_access *access, uint64_t iova, uint64_t length,
			     uint64_t *out, unsigned flags);
void iommufd_access_unpin_pages(struct iommufd_access *access, uint64_t iova, uint64_t length);
/* Copies; @buf is the engine's or the client's. Errors as pin_pages; may have copied a part. */
int iommufd_access_rw(struct iommufd_access *access, uint64_t iova, void *buf, uint64_t length,
		      unsigned flags);

/* For pictures and reports: calls @fn for each area of IOAS @id, ascending; -ENOENT. */
struct iommufd_area_info {
	uint64_t start, last;
	uintptr_t va; /* of the first byte; 0 when not user memory */
	unsigned prot;
};
int iommufd_for_each_area(struct iommufd_ctx *ctx, uint32_t ioas_id,
			  void (*fn)(void *arg, const struct iommufd_area_info *a), void *arg);
/* Calls @fn for each IOAS id and each leaf of its first domain (picture of the page sizes). */
int iommufd_for_each_leaf(struct iommufd_ctx *ctx, uint32_t ioas_id,
			  void (*fn)(void *arg, uint64_t iova, uint64_t pa, uint64_t len,
				     unsigned prot),
			  void *arg);
uint32_t iommufd_next_ioas(struct iommufd_ctx *ctx, uint32_t after); /* 0: no more */

/* Asserts every invariant of the context (style: <room>_check). */
void iommufd_ctx_check(struct iommufd_ctx *ctx);

#endif
