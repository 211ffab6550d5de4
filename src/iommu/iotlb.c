// SPDX-License-Identifier: MIT
/* Where does a thread's IOTLB come from, and when does it go? */
#include "iommu/iotlb.h"

#include "base/pool.h"
#include "mem/fence.h"

void iotlb_setup(void)
{
	fence_set_cache_free(mem_free);
}

struct iotlb *iotlb_new(void)
{
	return mem_zalloc(sizeof(struct iotlb));
}
