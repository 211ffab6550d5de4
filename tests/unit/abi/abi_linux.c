// SPDX-License-Identifier: MIT
/* What do the installed Linux headers say? The second of the two tables that test_abi.c compares.
 */
#if __has_include(<linux/iommufd.h>)
#include <linux/iommufd.h>
#endif
#include <linux/pci_regs.h>
#include <linux/version.h>
#include <linux/vfio.h>

#include "abi_table.h"

static const struct abi_item iommufd_items[] = {
#include "iommufd_common.h"
	{ NULL },
};
static const struct abi_item vfio_items[] = {
#include "vfio_common.h"
	{ NULL },
};
static const struct abi_item pci_items[] = {
#include "pci_common.h"
	{ NULL },
};

static const char *const iommufd_unknown[] = {
#include "iommufd_unknown.h"
	NULL,
};
static const char *const vfio_unknown[] = {
#include "vfio_unknown.h"
	NULL,
};
static const char *const pci_unknown[] = {
#include "pci_unknown.h"
	NULL,
};

const struct abi_table abi_linux[ABI_NHEADERS] = {
	[ABI_IOMMUFD] = { "linux/iommufd.h", iommufd_items },
	[ABI_VFIO] = { "linux/vfio.h", vfio_items },
	[ABI_PCI] = { "linux/pci_regs.h", pci_items },
};

const char *const *const abi_unknown[ABI_NHEADERS] = {
	[ABI_IOMMUFD] = iommufd_unknown,
	[ABI_VFIO] = vfio_unknown,
	[ABI_PCI] = pci_unknown,
};

const unsigned abi_linux_version = LINUX_VERSION_CODE;
