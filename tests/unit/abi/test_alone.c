// SPDX-License-Identifier: MIT
/*
 * Do all ABI headers live together in one translation unit?
 *
 * That this program links is the test; built again as C++ under another name.
 */
#include "abi/vfio.h"
#include "abi/test.h"
#include "abi/pci.h"
#include "abi/iommufd.h"

extern const int abi_alone_iommufd, abi_alone_layout, abi_alone_pci, abi_alone_test, abi_alone_vfio;

int main(void)
{
	int n = abi_alone_iommufd + abi_alone_layout + abi_alone_pci + abi_alone_test +
		abi_alone_vfio;

	return n == 5 && sizeof(struct iommu_test_cmd) == 72 ? 0 : 1;
}
