/* SPDX-License-Identifier: MIT */
/*
 * Devices and groups as the IOMMU sees them: who owns a group's DMA, what it is attached to.
 *
 * A group is the unit of ownership and of translation. States: host (default domain) -> owned
 * (blocked) -> attached. While a group is owned and not attached all its DMA faults.
 */
#ifndef IOMMU_DEVICE_H
#define IOMMU_DEVICE_H

#include "iommu/iommu.h"

/* The translation in force for requests of a device without PASID. See dma.c for the protocol. */
struct iommu_translation {
	_Atomic uint32_t tag; /* 0: blocked */
	struct iommu_domain *_Atomic domain;
};

struct iommu_group {
	int id;
	struct iommu *iommu;
	struct list in_machine; /* machine.groups; guarded by its lock */
	struct list devices;    /* iommu_device.in_group; fixed once the machine runs */
	struct mtx lock;        /* LOCK_IOMMU_GROUP: guards what follows */
	const void *owner;      /* NULL: the host */
	unsigned owner_count;
	struct iommu_domain *domain; /* attached, or NULL */
};

struct iommu_device {
	struct list in_group;
	struct iommu_group *group;
	struct iommu *iommu;
	char name[32];    /* "0000:01:00.0" */
	uint32_t segment; /* PCI address */
	uint16_t rid;     /* bus << 8 | devfn */
	bool irq_isolated, coherent;
	const struct iommu_resv *resv; /* beyond the kind's */
	size_t n_resv;
	struct iommu_translation rid_xlat;
	_Atomic bool dma_stopped;     /* reset, close: requests end with -ECANCELED */
	const _Atomic bool *dma_gate; /* false there: requests end with -EPERM (bus mastering) */
};

int iommu_group_create(struct iommu *iommu, int id, struct iommu_group **out);
void iommu_group_destroy(struct iommu_group *g); /* no device is left in it; NULL is fine */

/*
 * Joins @d to @g, while nobody owns @g. Bus mastering counts as on until dma_gate is set to
 * something else. finish: no DMA of it runs, the group is with the host or has other devices.
 */
void iommu_device_init(struct iommu_device *d, struct iommu_group *g, const char *name,
		       uint32_t segment, uint16_t rid);
void iommu_device_finish(struct iommu_device *d);

/*
 * Claims DMA of the group for @owner; counted per call by the same owner. Blocks its DMA.
 * -EPERM another owner; -EINVAL a device of the group needs a DIRECT region.
 */
int iommu_group_claim(struct iommu_group *g, const void *owner);
void iommu_group_release(struct iommu_group *g, const void *owner); /* the last one: to the host */

/*
 * Attaches all devices of the group, or moves them, without a gap: each access uses the old or
 * the new domain, and none the old one when it returns. -EINVAL other IOMMU kind, or the group is
 * the host's; -ENOMEM. On failure the old translation stays.
 */
int iommu_group_attach(struct iommu_group *g, struct iommu_domain *dom);
/*
 * Back to blocked; no access through the old domain runs any more when it returns, and nobody
 * describes its addresses. Nothing attached: nothing happens.
 */
void iommu_group_detach(struct iommu_group *g);

void iommu_group_check(struct iommu_group *g); /* asserts the invariants of group.c */

/*
 * No DMA of @d runs when it returns, and later requests end with -ECANCELED (stop) or are done
 * again (go on). Not from inside a section.
 */
void iommu_device_stop_dma(struct iommu_device *d);
void iommu_device_allow_dma(struct iommu_device *d);

/* Enumerates reserved regions of the device: the kind's, then its own. False at the end. */
bool iommu_device_resv(const struct iommu_device *d, size_t i, struct iommu_resv *out);

/*
 * DMA through the device's translation. Faults are recorded (fault.h).
 *
 * No lock ranked at or above LOCK_IOMMU_GROUP may be held. Where a transfer stops is in *@stop
 * (may be NULL), set on every failure.
 *
 * Return: 0; -EFAULT translation fault; -EPERM bus mastering is off; -ECANCELED the device is
 *         being stopped; -ENOMEM no memory for this thread's first DMA; store and load -EINVAL
 *         size not 1, 2, 4, 8, or @iova not a multiple of it.
 */
struct iommu_dma_stop {
	uint64_t iova; /* that could not be translated */
	uint64_t done; /* bytes moved before */
	bool at_dst;
};

int iommu_dma_read(struct iommu_device *d, uint32_t pasid, uint64_t iova, void *buf, size_t len,
		   struct iommu_dma_stop *stop);
int iommu_dma_write(struct iommu_device *d, uint32_t pasid, uint64_t iova, const void *buf,
		    size_t len, struct iommu_dma_stop *stop);
int iommu_dma_copy(struct iommu_device *d, uint32_t pasid, uint64_t dst, uint64_t src, uint64_t len,
		   struct iommu_dma_stop *stop);
int iommu_dma_fill(struct iommu_device *d, uint32_t pasid, uint64_t dst, uint64_t pattern,
		   uint64_t len, struct iommu_dma_stop *stop);
int iommu_dma_store(struct iommu_device *d, uint32_t pasid, uint64_t iova, uint64_t val,
		    unsigned size);
int iommu_dma_load(struct iommu_device *d, uint32_t pasid, uint64_t iova, uint64_t *val,
		   unsigned size);

#endif
