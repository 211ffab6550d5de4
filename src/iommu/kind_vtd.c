// SPDX-License-Identifier: MIT
/*
 * What is Intel VT-d, as we offer it?
 *
 * A legacy-mode remapping unit: second-stage tables of 4 levels, no PASID, no nesting, no device
 * TLB, no dirty bits. What it says of itself in CAP and ECAP is what the rest of the layer does.
 * Source: Intel VT-d architecture specification rev 4.1, 11.4.2 (CAP), 11.4.3 (ECAP).
 *
 * Force snoop. ECAP.SC is set, so bit 11 of a leaf (SNP) is a valid bit here, and every domain is
 * made with it in all leaves: a device cannot turn snooping off, coherency is enforced. A unit
 * without snoop control treats the bit as reserved; give such a one (QEMU's by default) the
 * tables only with its snoop control turned on.
 */
#include <errno.h>
#include <string.h>

#include "abi/iommufd.h"
#include "base/bits.h"
#include "base/why.h"
#include "iommu/kinds.h"

#define GUEST_BITS 48u

#define CAP_ND     (6ull << 0)       /* 2^16 domain ids */
#define CAP_SAGAW  (1ull << (8 + 2)) /* 4 levels; CAP.CM = CAP.RWBF = 0 */
#define CAP_MGAW   ((uint64_t)(GUEST_BITS - 1) << 16)
#define CAP_ZLR    (1ull << 22)    /* reads of no bytes from write-only pages */
#define CAP_FRO    (0x22ull << 24) /* fault records at 0x220 */
#define CAP_SSLPS  (3ull << 34)    /* 2M and 1G pages */
#define CAP_PSI    (1ull << 39)    /* invalidation of single pages */
#define CAP_NFR    (0ull << 40)    /* one fault record */
#define CAP_MAMV   (18ull << 48)   /* up to 1G in one invalidation */
#define CAP_DRAIN  (3ull << 54)    /* an invalidation waits for writes and reads */

#define ECAP_C     (1ull << 0) /* walks are coherent: nothing needs flushing */
#define ECAP_QI    (1ull << 1) /* queued invalidation, which IR needs */
#define ECAP_IR    (1ull << 3) /* interrupt remapping: what irq_isolated stands on */
#define ECAP_EIM   (1ull << 4)
#define ECAP_PT    (1ull << 6)   /* pass-through */
#define ECAP_SC    (1ull << 7)   /* snoop control */
#define ECAP_IRO   (0xfull << 8) /* IOTLB registers at 0xf0 */
#define ECAP_MHMV  (15ull << 20)

#define VTD_CAP                                                                              \
	(CAP_ND | CAP_SAGAW | CAP_MGAW | CAP_ZLR | CAP_FRO | CAP_SSLPS | CAP_PSI | CAP_NFR | \
	 CAP_MAMV | CAP_DRAIN)
#define VTD_ECAP (ECAP_C | ECAP_QI | ECAP_IR | ECAP_EIM | ECAP_PT | ECAP_SC | ECAP_IRO | ECAP_MHMV)

static const struct iommu_resv vtd_resv[] = {
	{ 0xfee00000, 0xfeefffff, IOMMU_RESV_MSI },
};

static void vtd_hw_info(const struct iommu_device *dev, struct iommu_hw_info_data *out)
{
	const struct iommu_hw_info_vtd info = {
		.flags = IOMMU_HW_INFO_VTD_ERRATA_772415_SPR17, /* every driver reports it */
		.cap_reg = VTD_CAP,
		.ecap_reg = VTD_ECAP,
	};

	(void)dev;
	memset(out, 0, sizeof(*out));
	out->type = IOMMU_HW_INFO_TYPE_INTEL_VTD;
	out->len = sizeof(info);
	memcpy(out->data, &info, sizeof(info));
}

static int vtd_domain_init(struct iommu_domain *dom, uint32_t flags)
{
	struct pt_config cfg = {
		.format = "vtd",
		.levels = 4,
		.iova_bits = GUEST_BITS,
		.pgsizes = 4 * KIB | 2 * MIB | 1 * GIB,
		.features = PT_FORCE_SNOOP,
	};
	int rc;

	if (flags)
		return refuse(EOPNOTSUPP,
			      "domain flags 0x%x: this VT-d has no nesting, dirty bits or PASID",
			      flags);
	rc = domain_init_table(dom, &cfg);
	if (!rc)
		dom->enforces_coherency = true;
	return rc;
}

const struct iommu_kind iommu_kind_vtd = {
	.name = "vtd",
	.summary = "Intel VT-d, second stage, 48 bits, pages of 4K, 2M and 1G",
	.resv = vtd_resv,
	.n_resv = ARRAY_LEN(vtd_resv),
	.cache_coherent = true,
	.enforce_coherency = true,
	.irq_isolated = true,
	.hw_info = vtd_hw_info,
	.domain_init = vtd_domain_init,
};
