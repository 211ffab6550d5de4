// SPDX-License-Identifier: MIT
/* Which faults has the IOMMU logged? */
#include "iommu/fault.h"

#include <string.h>

#include "base/compiler.h"

static const char *const reason_text[] = {
	[IOMMU_FAULT_BLOCKED] = "the device is not attached to an IO address space",
	[IOMMU_FAULT_NOT_MAPPED] = "no mapping",
	[IOMMU_FAULT_PERMISSION] = "the mapping does not allow it",
	[IOMMU_FAULT_ADDRESS] = "beyond the address width",
	[IOMMU_FAULT_BAD_IRQ] = "not a valid interrupt request",
	[IOMMU_FAULT_GONE] = "the memory behind the mapping is gone (truncated?)",
	[IOMMU_FAULT_RESERVED] = "reserved bits in a table entry",
	[IOMMU_FAULT_PASID] = "the PASID is not set up",
};

void iommu_fault_log_init(struct iommu_fault_log *log)
{
	memset(log, 0, sizeof(*log));
	mtx_init(&log->lock, LOCK_FAULT_LOG);
}

void iommu_fault_record(struct iommu_fault_log *log, struct iommu_fault *f)
{
	void (*sink)(void *arg, const struct iommu_fault *f);
	void *arg;

	if (!log)
		return;
	mtx_lock(&log->lock);
	f->seq = ++log->count;
	log->rec[(f->seq - 1) % FAULT_LOG_SIZE] = *f;
	sink = log->sink;
	arg = log->sink_arg;
	mtx_unlock(&log->lock);
	if (sink)
		sink(arg, f);
}

bool iommu_fault_get(struct iommu_fault_log *log, uint64_t seq, struct iommu_fault *out)
{
	bool there;

	mtx_lock(&log->lock);
	there = seq && seq <= log->count && log->count - seq < FAULT_LOG_SIZE;
	if (there)
		*out = log->rec[(seq - 1) % FAULT_LOG_SIZE];
	mtx_unlock(&log->lock);
	return there;
}

const char *iommu_fault_reason_text(enum iommu_fault_reason r)
{
	return (unsigned)r < ARRAY_LEN(reason_text) ? reason_text[r] : "unknown reason";
}
