// SPDX-License-Identifier: MIT
/* What is said about a request that could not be translated? */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/why.h"
#include "iommu/device.h"
#include "iommu/fault.h"

static void say(struct iommu_fault *f, const char *fmt, ...) PRINTF(2, 3);

static void say(struct iommu_fault *f, const char *fmt, ...)
{
	size_t n = strlen(f->text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->text + n, sizeof(f->text) - n, fmt, ap);
	va_end(ap);
}

static void say_reason(struct iommu_fault *f, const struct dma_miss *miss)
{
	say(f, ": %s", iommu_fault_reason_text(miss->reason));
	switch (miss->reason) {
	case IOMMU_FAULT_PERMISSION:
		say(f, " (%s)",
		    miss->prot & IOMMU_READ    ? "read-only"
		    : miss->prot & IOMMU_WRITE ? "write-only"
					       : "neither read nor write");
		break;
	case IOMMU_FAULT_RESERVED:
		say(f, " (level %d entry 0x%llx)", miss->level, (unsigned long long)miss->entry);
		break;
	case IOMMU_FAULT_NOT_MAPPED:
		if (miss->level > 0)
			say(f, " (level %d entry empty)", miss->level);
		else if (miss->level < 0)
			say(f, " (the interrupt window)");
		break;
	default:
		break;
	}
}

/* What is in the domain around there. Only of the domain that the request met. */
static void say_domain(struct iommu_fault *f, struct iommu_device *d, const struct dma_miss *miss)
{
	struct iommu_group *g = d->group;
	struct iommu_domain *dom;
	uint64_t start, last, ago;
	char near[160] = "";

	mtx_lock(&g->lock); /* keeps the domain and its owner */
	dom = g->domain;
	if (!dom || dom->tag != miss->tag) {
		say(f, "; its domain has been detached since");
		goto out;
	}
	if (miss->reason == IOMMU_FAULT_ADDRESS)
		say(f, "; the domain has 0x%llx-0x%llx", (unsigned long long)dom->aperture_start,
		    (unsigned long long)dom->aperture_last);
	if (dom->ops && dom->ops->describe)
		dom->ops->describe(dom->owner, f->iova, near, sizeof(near));
	if (near[0])
		say(f, "; %s", near);
	if (miss->reason == IOMMU_FAULT_NOT_MAPPED &&
	    domain_history(dom, f->iova, &start, &last, &ago))
		say(f, "; 0x%llx-0x%llx was unmapped there, %llu unmap%s ago",
		    (unsigned long long)start, (unsigned long long)last,
		    (unsigned long long)(ago + 1), ago ? "s" : "");
out:
	mtx_unlock(&g->lock);
}

int dma_fault_report(struct iommu_device *d, uint32_t pasid, uint64_t iova, uint64_t len,
		     bool write, const struct dma_miss *miss)
{
	struct iommu_fault f = {
		.pasid = pasid,
		.iova = iova,
		.len = len,
		.write = write,
		.reason = miss->reason,
	};

	memcpy(f.device, d->name, sizeof(f.device));
	say(&f, "%s", d->name);
	if (pasid)
		say(&f, " PASID %u", pasid);
	say(&f, ": DMA %s of 0x%llx bytes at IOVA 0x%llx", write ? "write" : "read",
	    (unsigned long long)len, (unsigned long long)iova);
	say_reason(&f, miss);
	if (miss->tag)
		say_domain(&f, d, miss);
	iommu_fault_record(d->iommu->faults, &f);
	return refuse(EFAULT, "%s", f.text);
}
