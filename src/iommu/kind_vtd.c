// SPDX-License-Identifier: MIT
/*
 * What is Intel VT-d, as we offer it?
 *
 * A remapping unit with scalable mode and second-stage tables of 3, 4 or 5 levels, with accessed
 * and dirty bits, without PASID, nesting and device TLB. What it says of itself in CAP and ECAP is
 * what the rest of the layer does.
 * Source: Intel VT-d architecture specification rev 4.1, 11.4.2 (CAP), 11.4.3 (ECAP).
 *
 * Accessed and dirty bits exist in scalable mode alone and need coherent walks: ECAP.SSADS comes
 * with SMTS, SSTS and SMPWC. There is no first stage to nest (FSTS and NEST are 0). A parent of
 * nested tables is a second stage, as every domain here; units with erratum 772415 want it without
 * read-only leaves, and we claim the erratum as every driver does.
 *
 * Force snoop. ECAP.SC is set, so bit 11 of a leaf (SNP) is a valid bit here, and every domain is
 * made with it in all leaves: a device cannot turn snooping off, coherency is enforced. A unit
 * without snoop control treats the bit as reserved; give such a one (QEMU's by default) the
 * tables only with its snoop control turned on.
 */
#include <errno.h>
#include <string.h>

#include <uiommufd/device.h>

#include "abi/iommufd.h"
#include "base/bits.h"
#include "base/why.h"
#include "iommu/device.h"
#include "iommu/kinds.h"

#define LEVELS_MIN   3u
#define LEVELS_MAX   5u
#define LEVELS_USUAL 4u

#define CAP_ND       (6ull << 0) /* 2^16 domain ids */
/* That number of levels and no other; CAP.CM = CAP.RWBF = 0. */
#define CAP_SAGAW(levels) (1ull << (8 + (levels)-2))
#define CAP_MGAW(bits)    ((uint64_t)((bits)-1) << 16)
#define CAP_ZLR           (1ull << 22)    /* reads of no bytes from write-only pages */
#define CAP_FRO           (0x22ull << 24) /* fault records at 0x220 */
#define CAP_SSLPS         (3ull << 34)    /* 2M and 1G pages */
#define CAP_PSI           (1ull << 39)    /* invalidation of single pages */
#define CAP_NFR           (0ull << 40)    /* one fault record */
#define CAP_MAMV          (18ull << 48)   /* up to 1G in one invalidation */
#define CAP_DRAIN         (3ull << 54)    /* an invalidation waits for writes and reads */

#define ECAP_C            (1ull << 0) /* walks are coherent: nothing needs flushing */
#define ECAP_QI           (1ull << 1) /* queued invalidation, which IR needs */
#define ECAP_IR           (1ull << 3) /* interrupt remapping: what irq_isolated stands on */
#define ECAP_EIM          (1ull << 4)
#define ECAP_PT           (1ull << 6)   /* pass-through */
#define ECAP_SC           (1ull << 7)   /* snoop control */
#define ECAP_IRO          (0xfull << 8) /* IOTLB registers at 0xf0 */
#define ECAP_MHMV         (15ull << 20)
#define ECAP_SMTS         (1ull << 43) /* scalable mode */
#define ECAP_SSADS        (1ull << 45) /* accessed and dirty bits in the second stage */
#define ECAP_SSTS         (1ull << 46) /* second stage in scalable mode */
#define ECAP_SMPWC        (1ull << 48) /* coherent walks in scalable mode */

#define VTD_CAP           (CAP_ND | CAP_ZLR | CAP_FRO | CAP_SSLPS | CAP_PSI | CAP_NFR | CAP_MAMV | CAP_DRAIN)
#define VTD_ECAP                                                                            \
	(ECAP_C | ECAP_QI | ECAP_IR | ECAP_EIM | ECAP_PT | ECAP_SC | ECAP_IRO | ECAP_MHMV | \
	 ECAP_SMTS | ECAP_SSADS | ECAP_SSTS | ECAP_SMPWC)

#define VTD_FLAGS (IOMMU_HWPT_ALLOC_NEST_PARENT | IOMMU_HWPT_ALLOC_DIRTY_TRACKING)

static const struct iommu_resv vtd_resv[] = {
	{ 0xfee00000, 0xfeefffff, IOMMU_RESV_MSI },
};

static const struct uiommufd_option vtd_options[] = {
	{ "levels", "3|4|5", "of its page tables: 39, 48 or 57 bits of IOVA (default 4)" },
	{ NULL, NULL, NULL },
};

/* There is one option. */
static int vtd_configure(struct iommu *iommu, const char *key, const char *value)
{
	if (value[0] < '0' + (int)LEVELS_MIN || value[0] > '0' + (int)LEVELS_MAX || value[1])
		return refuse(EINVAL, "%s is '%s': VT-d has 3, 4 or 5", key, value);
	iommu->levels = (unsigned)(value[0] - '0');
	return 0;
}

static unsigned levels_of(const struct iommu *iommu)
{
	return iommu->levels ? iommu->levels : LEVELS_USUAL;
}

static unsigned bits_of(unsigned levels)
{
	return 12 + 9 * levels;
}

static void vtd_hw_info(const struct iommu_device *dev, struct iommu_hw_info_data *out)
{
	const unsigned levels = levels_of(dev->iommu);
	const struct iommu_hw_info_vtd info = {
		.flags = IOMMU_HW_INFO_VTD_ERRATA_772415_SPR17, /* every driver reports it */
		.cap_reg = VTD_CAP | CAP_SAGAW(levels) | CAP_MGAW(bits_of(levels)),
		.ecap_reg = VTD_ECAP,
	};

	memset(out, 0, sizeof(*out));
	out->type = IOMMU_HW_INFO_TYPE_INTEL_VTD;
	out->len = sizeof(info);
	memcpy(out->data, &info, sizeof(info));
}

static int vtd_domain_init(struct iommu_domain *dom, uint32_t flags)
{
	const unsigned levels = levels_of(dom->iommu);
	struct pt_config cfg = {
		.format = "vtd",
		.levels = levels,
		.iova_bits = bits_of(levels),
		.pgsizes = 4 * KIB | 2 * MIB | 1 * GIB,
		.features = PT_FORCE_SNOOP,
	};
	int rc;

	if (flags & ~(uint32_t)VTD_FLAGS)
		return refuse(EOPNOTSUPP,
			      "page table flags 0x%x: this VT-d has nest parents (0x1) and dirty "
			      "tracking (0x2), no PASID",
			      flags);
	if (flags & IOMMU_HWPT_ALLOC_NEST_PARENT)
		cfg.features |= PT_FORCE_WRITABLE;
	rc = domain_init_table(dom, &cfg);
	if (rc)
		return rc;
	dom->enforces_coherency = true;
	dom->dirty = flags & IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
	return 0;
}

const struct iommu_kind iommu_kind_vtd = {
	.name = "vtd",
	.summary = "Intel VT-d, second stage, pages of 4K, 2M and 1G, dirty tracking",
	.resv = vtd_resv,
	.n_resv = ARRAY_LEN(vtd_resv),
	.cache_coherent = true,
	.enforce_coherency = true,
	.irq_isolated = true,
	.dirty = true,
	.hw_info = vtd_hw_info,
	.domain_init = vtd_domain_init,
	.options = vtd_options,
	.configure = vtd_configure,
};
