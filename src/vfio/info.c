// SPDX-License-Identifier: MIT
/* What a device tells of itself: GET_INFO and GET_REGION_INFO. */
#include <errno.h>
#include <string.h>

#include "abi/vfio.h"
#include "base/why.h"
#include "vfio/pci.h"

long dev_get_info(struct vfio_pci *dev, uintptr_t arg)
{
	struct vfio_device_info info = { 0 };
	const size_t min = offsetof(struct vfio_device_info, cap_offset);
	uint32_t argsz;
	int rc = arg_min(&info, arg, min, "vfio_device_info");

	if (rc)
		return rc;
	argsz = info.argsz;
	info.flags = VFIO_DEVICE_FLAGS_PCI;
	if (dev_can_reset(dev))
		info.flags |= VFIO_DEVICE_FLAGS_RESET;
	info.num_regions = VFIO_PCI_NUM_REGIONS;
	info.num_irqs = VFIO_PCI_NUM_IRQS;
	/* No capability, so cap_offset is 0 and argsz stays. Nobody gets more than there is room.
	 */
	return arg_out(arg, &info, argsz < sizeof(info) ? argsz : sizeof(info));
}

/* The chain of one capability behind the struct, or the argsz it takes. */
static int add_mappable(struct vfio_region_info *info, uintptr_t arg)
{
	const struct vfio_info_cap_header cap = { .id = VFIO_REGION_INFO_CAP_MSIX_MAPPABLE,
						  .version = 1 };
	int rc;

	info->flags |= VFIO_REGION_INFO_FLAG_CAPS;
	if (info->argsz < sizeof(*info) + sizeof(cap)) {
		info->argsz = sizeof(*info) + sizeof(cap);
		info->cap_offset = 0;
		return 0;
	}
	rc = arg_out(arg + sizeof(*info), &cap, sizeof(cap));
	if (!rc)
		info->cap_offset = sizeof(*info);
	return rc;
}

static int bar_info(struct vfio_pci *dev, struct vfio_region_info *info, uintptr_t arg)
{
	const struct uiommufd_device_desc *d = &dev->fn->desc;

	info->size = d->bar[info->index].size;
	info->flags = 0;
	if (!info->size)
		return 0;
	info->flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	if (!bar_mappable(dev, info->index))
		return 0;
	info->flags |= VFIO_REGION_INFO_FLAG_MMAP;
	return d->msix_vectors && d->msix_bar == info->index ? add_mappable(info, arg) : 0;
}

long dev_get_region_info(struct vfio_pci *dev, uintptr_t arg)
{
	struct vfio_region_info info;
	int rc = arg_min(&info, arg, sizeof(info), "vfio_region_info");

	if (rc)
		return rc;
	if (info.index == VFIO_PCI_VGA_REGION_INDEX)
		return refuse(EINVAL, "the function has no legacy VGA ranges");
	if (info.index >= VFIO_PCI_NUM_REGIONS)
		return refuse(EINVAL, "region index %u is beyond %d", info.index,
			      VFIO_PCI_NUM_REGIONS - 1);
	info.offset = (uint64_t)info.index << REGION_SHIFT;
	if (info.index == VFIO_PCI_CONFIG_REGION_INDEX) {
		info.size = dev->cfg.image.size;
		info.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	} else if (info.index == VFIO_PCI_ROM_REGION_INDEX) {
		info.size = 0;
		info.flags = 0;
	} else {
		rc = bar_info(dev, &info, arg);
		if (rc)
			return rc;
	}
	return arg_out(arg, &info, sizeof(info));
}
