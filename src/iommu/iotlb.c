// SPDX-License-Identifier: MIT
/* Where does a thread's IOTLB come from, and when does it go? */
#include "iommu/iotlb.h"

#include <sys/mman.h>

#include "base/fault.h"
#include "base/sys.h"
#include "mem/fence.h"

/* A mapping of its own: zero pages cost nothing until they are used, and nobody else's lines. */
struct iotlb *iotlb_new(void)
{
	void *p;

	if (fault_point() || sys_mmap(NULL, sizeof(struct iotlb), PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, &p))
		return NULL;
	return p;
}

void iotlb_free(void *t)
{
	sys_munmap(t, sizeof(struct iotlb));
}

void iotlb_setup(void)
{
	fence_set_cache_free(iotlb_free);
}
