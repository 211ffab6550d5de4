/* SPDX-License-Identifier: MIT */
/* What does a kind of IOMMU need from the rest of the layer? */
#ifndef IOMMU_KINDS_H
#define IOMMU_KINDS_H

#include "iommu/iommu.h"

extern const struct iommu_kind iommu_kind_vtd;

/*
 * Makes the page table of @dom as @cfg says, in the machine's table memory (ops and bias of @cfg
 * are filled here), and takes over aperture and page sizes. For domain_init() of a kind.
 * Errors of pt_init(); nothing is held then.
 */
int domain_init_table(struct iommu_domain *dom, struct pt_config *cfg);

#endif
