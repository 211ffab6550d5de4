// SPDX-License-Identifier: MIT
/* What do our own ABI headers say? The first of the two tables that test_abi.c compares. */
#include "abi/iommufd.h"
#include "abi/pci.h"
#include "abi/vfio.h"

#include "abi_table.h"

static const struct abi_item iommufd_items[] = {
#include "iommufd_all.h"
	{ NULL },
};
static const struct abi_item vfio_items[] = {
#include "vfio_all.h"
	{ NULL },
};
static const struct abi_item pci_items[] = {
#include "pci_all.h"
	{ NULL },
};

const struct abi_table abi_ours[ABI_NHEADERS] = {
	[ABI_IOMMUFD] = { "abi/iommufd.h", iommufd_items },
	[ABI_VFIO] = { "abi/vfio.h", vfio_items },
	[ABI_PCI] = { "abi/pci.h", pci_items },
};
