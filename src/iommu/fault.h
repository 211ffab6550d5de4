/* SPDX-License-Identifier: MIT */
/* Translation faults: what an IOMMU's fault log would hold, plus a reason in words. */
#ifndef IOMMU_FAULT_H
#define IOMMU_FAULT_H

#include "base/compiler.h"
#include "base/lock.h"

enum iommu_fault_reason {
	IOMMU_FAULT_BLOCKED,    /* the device is not attached */
	IOMMU_FAULT_NOT_MAPPED, /* no entry */
	IOMMU_FAULT_PERMISSION, /* entry without the right */
	IOMMU_FAULT_ADDRESS,    /* beyond the address width */
	IOMMU_FAULT_BAD_IRQ,    /* DMA write into the interrupt window */
	IOMMU_FAULT_GONE,       /* the page behind the mapping has disappeared (truncated) */
	IOMMU_FAULT_RESERVED,   /* reserved bit in a table entry */
	IOMMU_FAULT_PASID,      /* PASID not set up */
};

struct iommu_fault {
	uint64_t seq; /* counts from 1 */
	char device[32];
	uint32_t pasid;
	uint64_t iova; /* first byte that could not be moved */
	uint64_t len;  /* bytes of the request from there on */
	bool write;
	enum iommu_fault_reason reason;
	char text[400]; /* reason, nearest mapping, what was last there */
};

#define FAULT_LOG_SIZE 64

struct iommu_fault_log {
	struct mtx lock; /* LOCK_FAULT_LOG */
	uint64_t count;
	struct iommu_fault rec[FAULT_LOG_SIZE]; /* the newest, rec[(seq - 1) % SIZE] */
	/* Told of each record, with no lock held (--explain, library users). */
	void (*sink)(void *arg, const struct iommu_fault *f); /* set under the lock */
	void *sink_arg;
};

void iommu_fault_log_init(struct iommu_fault_log *log);
/* Sets seq; @log may be NULL. Takes LOCK_FAULT_LOG, then calls the sink without it. */
void iommu_fault_record(struct iommu_fault_log *log, struct iommu_fault *f);
/* The record numbered @seq, false when it is gone or not there yet. */
bool iommu_fault_get(struct iommu_fault_log *log, uint64_t seq, struct iommu_fault *out);
/* In a few words, without a full stop: "no mapping". */
const char *iommu_fault_reason_text(enum iommu_fault_reason r);

struct iommu_device;

/* What a request ran into, as the walk saw it inside the section. */
struct dma_miss {
	enum iommu_fault_reason reason;
	uint32_t tag;   /* of the domain, 0: none */
	uint64_t entry; /* table entry that ended the walk, when level is not -1 */
	int level;
	unsigned prot; /* PERMISSION: what the entries allow */
	uint64_t pa;   /* GONE: the output address */
};

/*
 * Builds the report and records it; after the section, with no lock ranked from LOCK_IOMMU_GROUP
 * on held. Returns -EFAULT, with the text as this thread's reason.
 */
int dma_fault_report(struct iommu_device *d, uint32_t pasid, uint64_t iova, uint64_t len,
		     bool write, const struct dma_miss *miss);

#endif
