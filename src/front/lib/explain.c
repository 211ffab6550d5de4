// SPDX-License-Identifier: MIT
/* Explain: refused calls and DMA faults in words on standard error. */
#include "front/lib/edge.h"

#include <stdio.h>
#include <string.h>

#include "abi/iommufd.h"
#include "abi/vfio.h"
#include "base/sys.h"
#include "base/why.h"

static _Atomic bool on;

void explain_set(bool v)
{
	atomic_store(&on, v);
}

#define NAME(n)       \
	{             \
		n, #n \
	}

static const struct cmd_name {
	unsigned long cmd;
	const char *name;
} ctx_names[] = {
	NAME(IOMMU_DESTROY),
	NAME(IOMMU_IOAS_ALLOC),
	NAME(IOMMU_IOAS_ALLOW_IOVAS),
	NAME(IOMMU_IOAS_COPY),
	NAME(IOMMU_IOAS_IOVA_RANGES),
	NAME(IOMMU_IOAS_MAP),
	NAME(IOMMU_IOAS_UNMAP),
	NAME(IOMMU_OPTION),
	NAME(IOMMU_VFIO_IOAS),
	NAME(IOMMU_HWPT_ALLOC),
	NAME(IOMMU_GET_HW_INFO),
	NAME(IOMMU_HWPT_SET_DIRTY_TRACKING),
	NAME(IOMMU_HWPT_GET_DIRTY_BITMAP),
	NAME(IOMMU_HWPT_INVALIDATE),
	NAME(IOMMU_FAULT_QUEUE_ALLOC),
	NAME(IOMMU_IOAS_MAP_FILE),
	NAME(IOMMU_VIOMMU_ALLOC),
	NAME(IOMMU_VDEVICE_ALLOC),
	NAME(IOMMU_IOAS_CHANGE_PROCESS),
	NAME(IOMMU_VEVENTQ_ALLOC),
	NAME(IOMMU_HW_QUEUE_ALLOC),
}, device_names[] = {
	NAME(VFIO_DEVICE_GET_INFO),
	NAME(VFIO_DEVICE_GET_REGION_INFO),
	NAME(VFIO_DEVICE_GET_IRQ_INFO),
	NAME(VFIO_DEVICE_SET_IRQS),
	NAME(VFIO_DEVICE_RESET),
	NAME(VFIO_DEVICE_GET_PCI_HOT_RESET_INFO),
	NAME(VFIO_DEVICE_PCI_HOT_RESET),
	NAME(VFIO_DEVICE_IOEVENTFD),
	NAME(VFIO_DEVICE_FEATURE),
	NAME(VFIO_DEVICE_BIND_IOMMUFD),
	NAME(VFIO_DEVICE_ATTACH_IOMMUFD_PT),
	NAME(VFIO_DEVICE_DETACH_IOMMUFD_PT),
};

const char *edge_cmd_name(enum file_kind kind, unsigned long cmd)
{
	const struct cmd_name *t = kind == FILE_CTX ? ctx_names : device_names;
	size_t n = kind == FILE_CTX ? ARRAY_LEN(ctx_names) : ARRAY_LEN(device_names);

	for (size_t i = 0; i < n; i++)
		if (t[i].cmd == cmd)
			return t[i].name;
	return NULL;
}

/* One write, so that lines of several threads do not mix. */
static void say(const char *line, int n, size_t size)
{
	if (n > 0)
		sys_write(2, line, (size_t)n < size ? (size_t)n : size - 1);
}

void explain_refusal(const char *what, int fd, int err)
{
	char line[WHY_MAX + 160];
	const char *why = why_last();

	if (!atomic_load_explicit(&on, memory_order_relaxed))
		return;
	say(line,
	    snprintf(line, sizeof(line), "uiommufd: %s on descriptor %d: %s: %s\n", what, fd,
		     strerrorname_np(-err) ? strerrorname_np(-err) : "error",
		     why[0] ? why : "no reason was recorded"),
	    sizeof(line));
}

void explain_fault(void *arg, const struct iommu_fault *f)
{
	char line[sizeof(f->text) + 200];

	(void)arg;
	if (!atomic_load_explicit(&on, memory_order_relaxed))
		return;
	say(line,
	    snprintf(line, sizeof(line), "uiommufd: DMA fault %llu: %s\n",
		     (unsigned long long)f->seq, f->text),
	    sizeof(line));
}
