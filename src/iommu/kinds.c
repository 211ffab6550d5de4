// SPDX-License-Identifier: MIT
/* Which kinds of IOMMU are there? */
#include "iommu/kinds.h"

#include <string.h>

const struct iommu_kind *const iommu_kinds[] = {
	&iommu_kind_vtd,
	NULL,
};

const struct iommu_kind *iommu_kind_find(const char *name)
{
	for (size_t i = 0; iommu_kinds[i]; i++)
		if (!strcmp(iommu_kinds[i]->name, name))
			return iommu_kinds[i];
	return NULL;
}
