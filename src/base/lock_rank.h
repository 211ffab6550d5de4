/* SPDX-License-Identifier: MIT */
/*
 * The lock order: a thread may take a lock only if its rank is greater than that of every lock
 * it holds. docs/locking.md says why.
 */
#ifndef BASE_LOCK_RANK_H
#define BASE_LOCK_RANK_H

enum lock_rank {
	LOCK_NONE = 0,    /* unchecked: leaf locks of tests and tools */
	LOCK_MACHINE,     /* machine: its lists of contexts, functions and files */
	LOCK_CDEV,        /* vfio device file: binding and attachment state */
	LOCK_ACCESS,      /* access: which IOAS it is attached to */
	LOCK_IOAS,        /* ioas: its list of hwpts */
	LOCK_IGROUP,      /* iommufd group: attach table */
	LOCK_CTX_IOAS,    /* context: publication of new IOASes */
	LOCK_IOMMU_GROUP, /* iommu group: owner, attached domain */
	LOCK_DOMAINS,     /* iopt: its domains (rw) */
	LOCK_IOVA,        /* iopt: areas, reserved, allowed, alignment (rw) */
	LOCK_PAGES,       /* pages: PFN store, interval sets, storage domain */
	LOCK_MODEL,       /* device model: registers */
	LOCK_VFIO_CFG,    /* vfio device: config space shadow, memory decode */
	LOCK_VFIO_IRQ,    /* vfio device: interrupt wiring */
	LOCK_DOMAIN,      /* iommu domain: attached devices, root growth */
	LOCK_RELOCATE,    /* process: one relocation at a time */
	LOCK_MM,          /* address space: VMA record */
	LOCK_PHYSMAP,     /* physical map: windows, aliases, slow paths */
	LOCK_HIDDEN,      /* hidden memory block: its references */
	LOCK_TABLE_MEM,   /* table arena: free lists */
	LOCK_POOL,        /* fixed-size pools */
	LOCK_OBJECTS,     /* object table: id allocation */
	LOCK_FAULT_LOG,   /* fault records */
	LOCK_FENCE,       /* DMA slots: claiming */
	LOCK_LOG,         /* log sink */
};

#endif
