/* SPDX-License-Identifier: MIT */
/*
 * What crosses the boundary of /dev/vfio: the numbers, structs and flags of Linux 7.3's VFIO, for
 * devices, groups and containers.
 *
 * The names are Linux's; therefore no translation unit can include both this file and
 * <linux/vfio.h>. One number means different things on different kinds of file: 0x3b77 is "attach
 * page table" on a device and "create window" on a SPAPR container. Decide by the file first.
 */
#ifndef ABI_VFIO_H
#define ABI_VFIO_H

#ifdef VFIO_H
#error "abi/vfio.h declares what <linux/vfio.h> declares: include one of them"
#endif

#include "abi/layout.h"

/* Commands carry neither direction nor size: type byte and number, nothing else. */
#define VFIO_TYPE       (';')
#define VFIO_BASE       100
#define ABI_VFIO_CMD(n) (0x3b00u | (n))

/* On a container, and on an iommufd that stands in for one. */
#define VFIO_GET_API_VERSION   ABI_VFIO_CMD(0x64)
#define VFIO_CHECK_EXTENSION   ABI_VFIO_CMD(0x65)
#define VFIO_SET_IOMMU         ABI_VFIO_CMD(0x66)
#define VFIO_IOMMU_GET_INFO    ABI_VFIO_CMD(0x70)
#define VFIO_IOMMU_MAP_DMA     ABI_VFIO_CMD(0x71)
#define VFIO_IOMMU_UNMAP_DMA   ABI_VFIO_CMD(0x72)
#define VFIO_IOMMU_ENABLE      ABI_VFIO_CMD(0x73)
#define VFIO_IOMMU_DISABLE     ABI_VFIO_CMD(0x74)
#define VFIO_IOMMU_DIRTY_PAGES ABI_VFIO_CMD(0x75)

/* On a SPAPR container only. */
#define VFIO_IOMMU_SPAPR_TCE_GET_INFO      ABI_VFIO_CMD(0x70)
#define VFIO_IOMMU_SPAPR_REGISTER_MEMORY   ABI_VFIO_CMD(0x75)
#define VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY ABI_VFIO_CMD(0x76)
#define VFIO_IOMMU_SPAPR_TCE_CREATE        ABI_VFIO_CMD(0x77)
#define VFIO_IOMMU_SPAPR_TCE_REMOVE        ABI_VFIO_CMD(0x78)
#define VFIO_EEH_PE_OP                     ABI_VFIO_CMD(0x79)

/* On a group. */
#define VFIO_GROUP_GET_STATUS      ABI_VFIO_CMD(0x67)
#define VFIO_GROUP_SET_CONTAINER   ABI_VFIO_CMD(0x68)
#define VFIO_GROUP_UNSET_CONTAINER ABI_VFIO_CMD(0x69)
#define VFIO_GROUP_GET_DEVICE_FD   ABI_VFIO_CMD(0x6a)

/* On a device. */
#define VFIO_DEVICE_GET_INFO               ABI_VFIO_CMD(0x6b)
#define VFIO_DEVICE_GET_REGION_INFO        ABI_VFIO_CMD(0x6c)
#define VFIO_DEVICE_GET_IRQ_INFO           ABI_VFIO_CMD(0x6d)
#define VFIO_DEVICE_SET_IRQS               ABI_VFIO_CMD(0x6e)
#define VFIO_DEVICE_RESET                  ABI_VFIO_CMD(0x6f)
#define VFIO_DEVICE_GET_PCI_HOT_RESET_INFO ABI_VFIO_CMD(0x70)
#define VFIO_DEVICE_PCI_HOT_RESET          ABI_VFIO_CMD(0x71)
#define VFIO_DEVICE_QUERY_GFX_PLANE        ABI_VFIO_CMD(0x72)
#define VFIO_DEVICE_GET_GFX_DMABUF         ABI_VFIO_CMD(0x73)
#define VFIO_DEVICE_IOEVENTFD              ABI_VFIO_CMD(0x74)
#define VFIO_DEVICE_FEATURE                ABI_VFIO_CMD(0x75)
#define VFIO_DEVICE_BIND_IOMMUFD           ABI_VFIO_CMD(0x76)
#define VFIO_DEVICE_ATTACH_IOMMUFD_PT      ABI_VFIO_CMD(0x77)
#define VFIO_DEVICE_DETACH_IOMMUFD_PT      ABI_VFIO_CMD(0x78)

/* On the data descriptor of a migration. */
#define VFIO_MIG_GET_PRECOPY_INFO ABI_VFIO_CMD(0x79)

#define VFIO_API_VERSION          0

/* Of CHECK_EXTENSION and SET_IOMMU. */
#define VFIO_TYPE1_IOMMU                    1
#define VFIO_SPAPR_TCE_IOMMU                2
#define VFIO_TYPE1v2_IOMMU                  3
#define VFIO_DMA_CC_IOMMU                   4
#define VFIO_EEH                            5
#define __VFIO_RESERVED_TYPE1_NESTING_IOMMU 6
#define VFIO_SPAPR_TCE_v2_IOMMU             7
#define VFIO_NOIOMMU_IOMMU                  8
#define VFIO_UNMAP_ALL                      9
#define VFIO_UPDATE_VADDR                   10

/* Begins every capability in the chain behind an info struct. */
struct vfio_info_cap_header {
	uint16_t id;
	uint16_t version;
	uint32_t next; /* offset from the start of the info struct; 0 ends the chain */
};
ABI_SIZE(vfio_info_cap_header, 8);
ABI_FIELD(vfio_info_cap_header, id, 0, 2);
ABI_FIELD(vfio_info_cap_header, version, 2, 2);
ABI_FIELD(vfio_info_cap_header, next, 4, 4);

/* ---- groups ---------------------------------------------------------------------------------- */

#define VFIO_GROUP_FLAGS_VIABLE        (1 << 0)
#define VFIO_GROUP_FLAGS_CONTAINER_SET (1 << 1)

struct vfio_group_status {
	uint32_t argsz;
	uint32_t flags;
};
ABI_SIZE(vfio_group_status, 8);
ABI_FIELD(vfio_group_status, argsz, 0, 4);
ABI_FIELD(vfio_group_status, flags, 4, 4);

/* ---- devices: identity ----------------------------------------------------------------------- */

#define VFIO_DEVICE_FLAGS_RESET    (1 << 0)
#define VFIO_DEVICE_FLAGS_PCI      (1 << 1)
#define VFIO_DEVICE_FLAGS_PLATFORM (1 << 2)
#define VFIO_DEVICE_FLAGS_AMBA     (1 << 3)
#define VFIO_DEVICE_FLAGS_CCW      (1 << 4)
#define VFIO_DEVICE_FLAGS_AP       (1 << 5)
#define VFIO_DEVICE_FLAGS_FSL_MC   (1 << 6)
#define VFIO_DEVICE_FLAGS_CAPS     (1 << 7)
#define VFIO_DEVICE_FLAGS_CDX      (1 << 8)

struct vfio_device_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t num_regions;
	uint32_t num_irqs;
	uint32_t cap_offset;
	uint32_t pad;
};
ABI_SIZE(vfio_device_info, 24);
ABI_FIELD(vfio_device_info, argsz, 0, 4);
ABI_FIELD(vfio_device_info, flags, 4, 4);
ABI_FIELD(vfio_device_info, num_regions, 8, 4);
ABI_FIELD(vfio_device_info, num_irqs, 12, 4);
ABI_FIELD(vfio_device_info, cap_offset, 16, 4);
ABI_FIELD(vfio_device_info, pad, 20, 4);

/* What sysfs says of a mediated device. */
#define VFIO_DEVICE_API_PCI_STRING           "vfio-pci"
#define VFIO_DEVICE_API_PLATFORM_STRING      "vfio-platform"
#define VFIO_DEVICE_API_AMBA_STRING          "vfio-amba"
#define VFIO_DEVICE_API_CCW_STRING           "vfio-ccw"
#define VFIO_DEVICE_API_AP_STRING            "vfio-ap"

#define VFIO_DEVICE_INFO_CAP_ZPCI_BASE       1
#define VFIO_DEVICE_INFO_CAP_ZPCI_GROUP      2
#define VFIO_DEVICE_INFO_CAP_ZPCI_UTIL       3
#define VFIO_DEVICE_INFO_CAP_ZPCI_PFIP       4
#define VFIO_DEVICE_INFO_CAP_PCI_ATOMIC_COMP 5

#define VFIO_PCI_ATOMIC_COMP32               (1 << 0)
#define VFIO_PCI_ATOMIC_COMP64               (1 << 1)
#define VFIO_PCI_ATOMIC_COMP128              (1 << 2)

struct vfio_device_info_cap_pci_atomic_comp {
	struct vfio_info_cap_header header;
	uint32_t flags;
	uint32_t reserved;
};
ABI_SIZE(vfio_device_info_cap_pci_atomic_comp, 16);
ABI_FIELD(vfio_device_info_cap_pci_atomic_comp, header, 0, 8);
ABI_FIELD(vfio_device_info_cap_pci_atomic_comp, flags, 8, 4);
ABI_FIELD(vfio_device_info_cap_pci_atomic_comp, reserved, 12, 4);

/* ---- devices: regions ------------------------------------------------------------------------ */

#define VFIO_REGION_INFO_FLAG_READ  (1 << 0)
#define VFIO_REGION_INFO_FLAG_WRITE (1 << 1)
#define VFIO_REGION_INFO_FLAG_MMAP  (1 << 2)
#define VFIO_REGION_INFO_FLAG_CAPS  (1 << 3)

struct vfio_region_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t cap_offset;
	uint64_t size;
	uint64_t offset; /* where the region begins in the device file */
};
ABI_SIZE(vfio_region_info, 32);
ABI_FIELD(vfio_region_info, argsz, 0, 4);
ABI_FIELD(vfio_region_info, flags, 4, 4);
ABI_FIELD(vfio_region_info, index, 8, 4);
ABI_FIELD(vfio_region_info, cap_offset, 12, 4);
ABI_FIELD(vfio_region_info, size, 16, 8);
ABI_FIELD(vfio_region_info, offset, 24, 8);

#define VFIO_REGION_INFO_CAP_SPARSE_MMAP    1
#define VFIO_REGION_INFO_CAP_TYPE           2
#define VFIO_REGION_INFO_CAP_MSIX_MAPPABLE  3
#define VFIO_REGION_INFO_CAP_NVLINK2_SSATGT 4
#define VFIO_REGION_INFO_CAP_NVLINK2_LNKSPD 5

struct vfio_region_sparse_mmap_area {
	uint64_t offset;
	uint64_t size;
};
ABI_SIZE(vfio_region_sparse_mmap_area, 16);
ABI_FIELD(vfio_region_sparse_mmap_area, offset, 0, 8);
ABI_FIELD(vfio_region_sparse_mmap_area, size, 8, 8);

struct vfio_region_info_cap_sparse_mmap {
	struct vfio_info_cap_header header;
	uint32_t nr_areas;
	uint32_t reserved;
	struct vfio_region_sparse_mmap_area areas[];
};
ABI_SIZE(vfio_region_info_cap_sparse_mmap, 16);
ABI_FIELD(vfio_region_info_cap_sparse_mmap, header, 0, 8);
ABI_FIELD(vfio_region_info_cap_sparse_mmap, nr_areas, 8, 4);
ABI_FIELD(vfio_region_info_cap_sparse_mmap, reserved, 12, 4);
ABI_TAIL(vfio_region_info_cap_sparse_mmap, areas, 16);

struct vfio_region_info_cap_type {
	struct vfio_info_cap_header header;
	uint32_t type;
	uint32_t subtype;
};
ABI_SIZE(vfio_region_info_cap_type, 16);
ABI_FIELD(vfio_region_info_cap_type, header, 0, 8);
ABI_FIELD(vfio_region_info_cap_type, type, 8, 4);
ABI_FIELD(vfio_region_info_cap_type, subtype, 12, 4);

struct vfio_region_info_cap_nvlink2_ssatgt {
	struct vfio_info_cap_header header;
	uint64_t tgt;
};
ABI_SIZE(vfio_region_info_cap_nvlink2_ssatgt, 16);
ABI_FIELD(vfio_region_info_cap_nvlink2_ssatgt, header, 0, 8);
ABI_FIELD(vfio_region_info_cap_nvlink2_ssatgt, tgt, 8, 8);

struct vfio_region_info_cap_nvlink2_lnkspd {
	struct vfio_info_cap_header header;
	uint32_t link_speed;
	uint32_t __pad;
};
ABI_SIZE(vfio_region_info_cap_nvlink2_lnkspd, 16);
ABI_FIELD(vfio_region_info_cap_nvlink2_lnkspd, header, 0, 8);
ABI_FIELD(vfio_region_info_cap_nvlink2_lnkspd, link_speed, 8, 4);
ABI_FIELD(vfio_region_info_cap_nvlink2_lnkspd, __pad, 12, 4);

#define VFIO_REGION_TYPE_PCI_VENDOR_TYPE      (1u << 31)
#define VFIO_REGION_TYPE_PCI_VENDOR_MASK      0xffff
#define VFIO_REGION_TYPE_GFX                  1
#define VFIO_REGION_TYPE_CCW                  2
#define VFIO_REGION_TYPE_MIGRATION_DEPRECATED 3

/* Subtypes count anew under each type, so equal values are no mistake. */
#define VFIO_REGION_SUBTYPE_INTEL_IGD_OPREGION   1
#define VFIO_REGION_SUBTYPE_INTEL_IGD_HOST_CFG   2
#define VFIO_REGION_SUBTYPE_INTEL_IGD_LPC_CFG    3
#define VFIO_REGION_SUBTYPE_NVIDIA_NVLINK2_RAM   1
#define VFIO_REGION_SUBTYPE_IBM_NVLINK2_ATSD     1
#define VFIO_REGION_SUBTYPE_GFX_EDID             1
#define VFIO_REGION_SUBTYPE_CCW_ASYNC_CMD        1
#define VFIO_REGION_SUBTYPE_CCW_SCHIB            2
#define VFIO_REGION_SUBTYPE_CCW_CRW              3
#define VFIO_REGION_SUBTYPE_MIGRATION_DEPRECATED 1

#define VFIO_DEVICE_GFX_LINK_STATE_UP            1
#define VFIO_DEVICE_GFX_LINK_STATE_DOWN          2

struct vfio_region_gfx_edid {
	uint32_t edid_offset;
	uint32_t edid_max_size;
	uint32_t edid_size;
	uint32_t max_xres;
	uint32_t max_yres;
	uint32_t link_state;
};
ABI_SIZE(vfio_region_gfx_edid, 24);
ABI_FIELD(vfio_region_gfx_edid, edid_offset, 0, 4);
ABI_FIELD(vfio_region_gfx_edid, edid_max_size, 4, 4);
ABI_FIELD(vfio_region_gfx_edid, edid_size, 8, 4);
ABI_FIELD(vfio_region_gfx_edid, max_xres, 12, 4);
ABI_FIELD(vfio_region_gfx_edid, max_yres, 16, 4);
ABI_FIELD(vfio_region_gfx_edid, link_state, 20, 4);

/* The first migration interface, withdrawn: a region instead of a feature. */
#define VFIO_DEVICE_STATE_V1_STOP     0
#define VFIO_DEVICE_STATE_V1_RUNNING  (1 << 0)
#define VFIO_DEVICE_STATE_V1_SAVING   (1 << 1)
#define VFIO_DEVICE_STATE_V1_RESUMING (1 << 2)
#define VFIO_DEVICE_STATE_MASK        7

struct vfio_device_migration_info {
	uint32_t device_state;
	uint32_t reserved;
	uint64_t pending_bytes;
	uint64_t data_offset;
	uint64_t data_size;
};
ABI_SIZE(vfio_device_migration_info, 32);
ABI_FIELD(vfio_device_migration_info, device_state, 0, 4);
ABI_FIELD(vfio_device_migration_info, reserved, 4, 4);
ABI_FIELD(vfio_device_migration_info, pending_bytes, 8, 8);
ABI_FIELD(vfio_device_migration_info, data_offset, 16, 8);
ABI_FIELD(vfio_device_migration_info, data_size, 24, 8);

/* Regions of a PCI function; those a driver adds begin at VFIO_PCI_NUM_REGIONS. */
enum {
	VFIO_PCI_BAR0_REGION_INDEX = 0,
	VFIO_PCI_BAR1_REGION_INDEX = 1,
	VFIO_PCI_BAR2_REGION_INDEX = 2,
	VFIO_PCI_BAR3_REGION_INDEX = 3,
	VFIO_PCI_BAR4_REGION_INDEX = 4,
	VFIO_PCI_BAR5_REGION_INDEX = 5,
	VFIO_PCI_ROM_REGION_INDEX = 6,
	VFIO_PCI_CONFIG_REGION_INDEX = 7,
	VFIO_PCI_VGA_REGION_INDEX = 8,
	VFIO_PCI_NUM_REGIONS = 9,
};

enum {
	VFIO_CCW_CONFIG_REGION_INDEX = 0,
	VFIO_CCW_NUM_REGIONS = 1,
};

/* ---- devices: interrupts --------------------------------------------------------------------- */

#define VFIO_IRQ_INFO_EVENTFD    (1 << 0)
#define VFIO_IRQ_INFO_MASKABLE   (1 << 1)
#define VFIO_IRQ_INFO_AUTOMASKED (1 << 2)
#define VFIO_IRQ_INFO_NORESIZE   (1 << 3)

struct vfio_irq_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t count;
};
ABI_SIZE(vfio_irq_info, 16);
ABI_FIELD(vfio_irq_info, argsz, 0, 4);
ABI_FIELD(vfio_irq_info, flags, 4, 4);
ABI_FIELD(vfio_irq_info, index, 8, 4);
ABI_FIELD(vfio_irq_info, count, 12, 4);

#define VFIO_IRQ_SET_DATA_NONE        (1 << 0)
#define VFIO_IRQ_SET_DATA_BOOL        (1 << 1)
#define VFIO_IRQ_SET_DATA_EVENTFD     (1 << 2)
#define VFIO_IRQ_SET_ACTION_MASK      (1 << 3)
#define VFIO_IRQ_SET_ACTION_UNMASK    (1 << 4)
#define VFIO_IRQ_SET_ACTION_TRIGGER   (1 << 5)

#define VFIO_IRQ_SET_DATA_TYPE_MASK   0x07
#define VFIO_IRQ_SET_ACTION_TYPE_MASK 0x38

struct vfio_irq_set {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t start;
	uint32_t count;
	uint8_t data[]; /* per vector: nothing, a byte, or an int32_t descriptor */
};
ABI_SIZE(vfio_irq_set, 20);
ABI_FIELD(vfio_irq_set, argsz, 0, 4);
ABI_FIELD(vfio_irq_set, flags, 4, 4);
ABI_FIELD(vfio_irq_set, index, 8, 4);
ABI_FIELD(vfio_irq_set, start, 12, 4);
ABI_FIELD(vfio_irq_set, count, 16, 4);
ABI_TAIL(vfio_irq_set, data, 20);

enum {
	VFIO_PCI_INTX_IRQ_INDEX = 0,
	VFIO_PCI_MSI_IRQ_INDEX = 1,
	VFIO_PCI_MSIX_IRQ_INDEX = 2,
	VFIO_PCI_ERR_IRQ_INDEX = 3,
	VFIO_PCI_REQ_IRQ_INDEX = 4,
	VFIO_PCI_NUM_IRQS = 5,
};

enum {
	VFIO_CCW_IO_IRQ_INDEX = 0,
	VFIO_CCW_CRW_IRQ_INDEX = 1,
	VFIO_CCW_REQ_IRQ_INDEX = 2,
	VFIO_CCW_NUM_IRQS = 3,
};

enum {
	VFIO_AP_REQ_IRQ_INDEX = 0,
	VFIO_AP_CFG_CHG_IRQ_INDEX = 1,
	VFIO_AP_NUM_IRQS = 2,
};

/* ---- devices: hot reset, planes, ioeventfd --------------------------------------------------- */

#define VFIO_PCI_DEVID_OWNED     0
#define VFIO_PCI_DEVID_NOT_OWNED 0xffffffffu

struct vfio_pci_dependent_device {
	union {
		uint32_t group_id;
		uint32_t devid; /* with FLAG_DEV_ID */
	};
	uint16_t segment;
	uint8_t bus;
	uint8_t devfn;
};
ABI_SIZE(vfio_pci_dependent_device, 8);
ABI_FIELD(vfio_pci_dependent_device, group_id, 0, 4);
ABI_FIELD(vfio_pci_dependent_device, devid, 0, 4);
ABI_FIELD(vfio_pci_dependent_device, segment, 4, 2);
ABI_FIELD(vfio_pci_dependent_device, bus, 6, 1);
ABI_FIELD(vfio_pci_dependent_device, devfn, 7, 1);

#define VFIO_PCI_HOT_RESET_FLAG_DEV_ID       (1 << 0)
#define VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED (1 << 1)

struct vfio_pci_hot_reset_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t count;
	struct vfio_pci_dependent_device devices[];
};
ABI_SIZE(vfio_pci_hot_reset_info, 12);
ABI_FIELD(vfio_pci_hot_reset_info, argsz, 0, 4);
ABI_FIELD(vfio_pci_hot_reset_info, flags, 4, 4);
ABI_FIELD(vfio_pci_hot_reset_info, count, 8, 4);
ABI_TAIL(vfio_pci_hot_reset_info, devices, 12);

struct vfio_pci_hot_reset {
	uint32_t argsz;
	uint32_t flags; /* 0 */
	uint32_t count;
	int32_t group_fds[];
};
ABI_SIZE(vfio_pci_hot_reset, 12);
ABI_FIELD(vfio_pci_hot_reset, argsz, 0, 4);
ABI_FIELD(vfio_pci_hot_reset, flags, 4, 4);
ABI_FIELD(vfio_pci_hot_reset, count, 8, 4);
ABI_TAIL(vfio_pci_hot_reset, group_fds, 12);

#define VFIO_GFX_PLANE_TYPE_PROBE  (1 << 0)
#define VFIO_GFX_PLANE_TYPE_DMABUF (1 << 1)
#define VFIO_GFX_PLANE_TYPE_REGION (1 << 2)

struct vfio_device_gfx_plane_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t drm_plane_type;
	uint32_t drm_format;
	uint64_t drm_format_mod;
	uint32_t width;
	uint32_t height;
	uint32_t stride;
	uint32_t size;
	uint32_t x_pos;
	uint32_t y_pos;
	uint32_t x_hot;
	uint32_t y_hot;
	union {
		uint32_t region_index;
		uint32_t dmabuf_id;
	};
	uint32_t reserved;
};
ABI_SIZE(vfio_device_gfx_plane_info, 64);
ABI_FIELD(vfio_device_gfx_plane_info, argsz, 0, 4);
ABI_FIELD(vfio_device_gfx_plane_info, flags, 4, 4);
ABI_FIELD(vfio_device_gfx_plane_info, drm_plane_type, 8, 4);
ABI_FIELD(vfio_device_gfx_plane_info, drm_format, 12, 4);
ABI_FIELD(vfio_device_gfx_plane_info, drm_format_mod, 16, 8);
ABI_FIELD(vfio_device_gfx_plane_info, width, 24, 4);
ABI_FIELD(vfio_device_gfx_plane_info, height, 28, 4);
ABI_FIELD(vfio_device_gfx_plane_info, stride, 32, 4);
ABI_FIELD(vfio_device_gfx_plane_info, size, 36, 4);
ABI_FIELD(vfio_device_gfx_plane_info, x_pos, 40, 4);
ABI_FIELD(vfio_device_gfx_plane_info, y_pos, 44, 4);
ABI_FIELD(vfio_device_gfx_plane_info, x_hot, 48, 4);
ABI_FIELD(vfio_device_gfx_plane_info, y_hot, 52, 4);
ABI_FIELD(vfio_device_gfx_plane_info, region_index, 56, 4);
ABI_FIELD(vfio_device_gfx_plane_info, dmabuf_id, 56, 4);
ABI_FIELD(vfio_device_gfx_plane_info, reserved, 60, 4);

#define VFIO_DEVICE_IOEVENTFD_8         (1 << 0)
#define VFIO_DEVICE_IOEVENTFD_16        (1 << 1)
#define VFIO_DEVICE_IOEVENTFD_32        (1 << 2)
#define VFIO_DEVICE_IOEVENTFD_64        (1 << 3)
#define VFIO_DEVICE_IOEVENTFD_SIZE_MASK 0xf

struct vfio_device_ioeventfd {
	uint32_t argsz;
	uint32_t flags;
	uint64_t offset; /* in the device file */
	uint64_t data;
	int32_t fd; /* -1 removes */
	uint32_t reserved;
};
ABI_SIZE(vfio_device_ioeventfd, 32);
ABI_FIELD(vfio_device_ioeventfd, argsz, 0, 4);
ABI_FIELD(vfio_device_ioeventfd, flags, 4, 4);
ABI_FIELD(vfio_device_ioeventfd, offset, 8, 8);
ABI_FIELD(vfio_device_ioeventfd, data, 16, 8);
ABI_FIELD(vfio_device_ioeventfd, fd, 24, 4);
ABI_FIELD(vfio_device_ioeventfd, reserved, 28, 4);

/* ---- devices: iommufd ------------------------------------------------------------------------ */

#define VFIO_DEVICE_BIND_FLAG_TOKEN (1 << 0)

struct vfio_device_bind_iommufd {
	uint32_t argsz;
	uint32_t flags;
	int32_t iommufd;
	uint32_t out_devid;
	uint64_t token_uuid_ptr; /* with TOKEN: pointer to 16 bytes */
};
ABI_SIZE(vfio_device_bind_iommufd, 24);
ABI_FIELD(vfio_device_bind_iommufd, argsz, 0, 4);
ABI_FIELD(vfio_device_bind_iommufd, flags, 4, 4);
ABI_FIELD(vfio_device_bind_iommufd, iommufd, 8, 4);
ABI_FIELD(vfio_device_bind_iommufd, out_devid, 12, 4);
ABI_FIELD(vfio_device_bind_iommufd, token_uuid_ptr, 16, 8);

#define VFIO_DEVICE_ATTACH_PASID (1 << 0)

struct vfio_device_attach_iommufd_pt {
	uint32_t argsz;
	uint32_t flags;
	uint32_t pt_id; /* out: the page table, also when an IOAS was named */
	uint32_t pasid;
};
ABI_SIZE(vfio_device_attach_iommufd_pt, 16);
ABI_FIELD(vfio_device_attach_iommufd_pt, argsz, 0, 4);
ABI_FIELD(vfio_device_attach_iommufd_pt, flags, 4, 4);
ABI_FIELD(vfio_device_attach_iommufd_pt, pt_id, 8, 4);
ABI_FIELD(vfio_device_attach_iommufd_pt, pasid, 12, 4);

#define VFIO_DEVICE_DETACH_PASID (1 << 0)

struct vfio_device_detach_iommufd_pt {
	uint32_t argsz;
	uint32_t flags;
	uint32_t pasid;
};
ABI_SIZE(vfio_device_detach_iommufd_pt, 12);
ABI_FIELD(vfio_device_detach_iommufd_pt, argsz, 0, 4);
ABI_FIELD(vfio_device_detach_iommufd_pt, flags, 4, 4);
ABI_FIELD(vfio_device_detach_iommufd_pt, pasid, 8, 4);

/* ---- devices: features ----------------------------------------------------------------------- */

#define VFIO_DEVICE_FEATURE_MASK  0xffff
#define VFIO_DEVICE_FEATURE_GET   (1 << 16)
#define VFIO_DEVICE_FEATURE_SET   (1 << 17)
#define VFIO_DEVICE_FEATURE_PROBE (1 << 18)

struct vfio_device_feature {
	uint32_t argsz;
	uint32_t flags; /* the feature's number, and GET, SET or PROBE */
	uint8_t data[];
};
ABI_SIZE(vfio_device_feature, 8);
ABI_FIELD(vfio_device_feature, argsz, 0, 4);
ABI_FIELD(vfio_device_feature, flags, 4, 4);
ABI_TAIL(vfio_device_feature, data, 8);

#define VFIO_DEVICE_FEATURE_PCI_VF_TOKEN                0
#define VFIO_DEVICE_FEATURE_MIGRATION                   1
#define VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE            2
#define VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY             3
#define VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP 4
#define VFIO_DEVICE_FEATURE_LOW_POWER_EXIT              5
#define VFIO_DEVICE_FEATURE_DMA_LOGGING_START           6
#define VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP            7
#define VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT          8
#define VFIO_DEVICE_FEATURE_MIG_DATA_SIZE               9
#define VFIO_DEVICE_FEATURE_BUS_MASTER                  10
#define VFIO_DEVICE_FEATURE_DMA_BUF                     11
#define VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2          12
#define VFIO_DEVICE_FEATURE_ZPCI_ERROR                  13

#define VFIO_MIGRATION_STOP_COPY                        (1 << 0)
#define VFIO_MIGRATION_P2P                              (1 << 1)
#define VFIO_MIGRATION_PRE_COPY                         (1 << 2)

struct vfio_device_feature_migration {
	uint64_t flags;
};
ABI_SIZE(vfio_device_feature_migration, 8);
ABI_FIELD(vfio_device_feature_migration, flags, 0, 8);

enum vfio_device_mig_state {
	VFIO_DEVICE_STATE_ERROR = 0,
	VFIO_DEVICE_STATE_STOP = 1,
	VFIO_DEVICE_STATE_RUNNING = 2,
	VFIO_DEVICE_STATE_STOP_COPY = 3,
	VFIO_DEVICE_STATE_RESUMING = 4,
	VFIO_DEVICE_STATE_RUNNING_P2P = 5,
	VFIO_DEVICE_STATE_PRE_COPY = 6,
	VFIO_DEVICE_STATE_PRE_COPY_P2P = 7,
	VFIO_DEVICE_STATE_NR = 8,
};

struct vfio_device_feature_mig_state {
	uint32_t device_state;
	int32_t data_fd;
};
ABI_SIZE(vfio_device_feature_mig_state, 8);
ABI_FIELD(vfio_device_feature_mig_state, device_state, 0, 4);
ABI_FIELD(vfio_device_feature_mig_state, data_fd, 4, 4);

#define VFIO_PRECOPY_INFO_REINIT (1 << 0)

struct vfio_precopy_info {
	uint32_t argsz;
	uint32_t flags;
	uint64_t initial_bytes;
	uint64_t dirty_bytes;
};
ABI_SIZE(vfio_precopy_info, 24);
ABI_FIELD(vfio_precopy_info, argsz, 0, 4);
ABI_FIELD(vfio_precopy_info, flags, 4, 4);
ABI_FIELD(vfio_precopy_info, initial_bytes, 8, 8);
ABI_FIELD(vfio_precopy_info, dirty_bytes, 16, 8);

struct vfio_device_low_power_entry_with_wakeup {
	int32_t wakeup_eventfd;
	uint32_t reserved;
};
ABI_SIZE(vfio_device_low_power_entry_with_wakeup, 8);
ABI_FIELD(vfio_device_low_power_entry_with_wakeup, wakeup_eventfd, 0, 4);
ABI_FIELD(vfio_device_low_power_entry_with_wakeup, reserved, 4, 4);

struct vfio_device_feature_dma_logging_control {
	uint64_t page_size;
	uint32_t num_ranges;
	uint32_t __reserved;
	uint64_t ranges; /* pointer to num_ranges of the following */
};
ABI_SIZE(vfio_device_feature_dma_logging_control, 24);
ABI_FIELD(vfio_device_feature_dma_logging_control, page_size, 0, 8);
ABI_FIELD(vfio_device_feature_dma_logging_control, num_ranges, 8, 4);
ABI_FIELD(vfio_device_feature_dma_logging_control, __reserved, 12, 4);
ABI_FIELD(vfio_device_feature_dma_logging_control, ranges, 16, 8);

struct vfio_device_feature_dma_logging_range {
	uint64_t iova;
	uint64_t length;
};
ABI_SIZE(vfio_device_feature_dma_logging_range, 16);
ABI_FIELD(vfio_device_feature_dma_logging_range, iova, 0, 8);
ABI_FIELD(vfio_device_feature_dma_logging_range, length, 8, 8);

struct vfio_device_feature_dma_logging_report {
	uint64_t iova;
	uint64_t length;
	uint64_t page_size;
	uint64_t bitmap; /* pointer; bits are only ever set */
};
ABI_SIZE(vfio_device_feature_dma_logging_report, 32);
ABI_FIELD(vfio_device_feature_dma_logging_report, iova, 0, 8);
ABI_FIELD(vfio_device_feature_dma_logging_report, length, 8, 8);
ABI_FIELD(vfio_device_feature_dma_logging_report, page_size, 16, 8);
ABI_FIELD(vfio_device_feature_dma_logging_report, bitmap, 24, 8);

struct vfio_device_feature_mig_data_size {
	uint64_t stop_copy_length;
};
ABI_SIZE(vfio_device_feature_mig_data_size, 8);
ABI_FIELD(vfio_device_feature_mig_data_size, stop_copy_length, 0, 8);

#define VFIO_DEVICE_FEATURE_CLEAR_MASTER 0
#define VFIO_DEVICE_FEATURE_SET_MASTER   1

struct vfio_device_feature_bus_master {
	uint32_t op;
};
ABI_SIZE(vfio_device_feature_bus_master, 4);
ABI_FIELD(vfio_device_feature_bus_master, op, 0, 4);

struct vfio_region_dma_range {
	uint64_t offset;
	uint64_t length;
};
ABI_SIZE(vfio_region_dma_range, 16);
ABI_FIELD(vfio_region_dma_range, offset, 0, 8);
ABI_FIELD(vfio_region_dma_range, length, 8, 8);

struct vfio_device_feature_dma_buf {
	uint32_t region_index;
	uint32_t open_flags;
	uint32_t flags; /* 0 */
	uint32_t nr_ranges;
	struct vfio_region_dma_range dma_ranges[];
};
ABI_SIZE(vfio_device_feature_dma_buf, 16);
ABI_FIELD(vfio_device_feature_dma_buf, region_index, 0, 4);
ABI_FIELD(vfio_device_feature_dma_buf, open_flags, 4, 4);
ABI_FIELD(vfio_device_feature_dma_buf, flags, 8, 4);
ABI_FIELD(vfio_device_feature_dma_buf, nr_ranges, 12, 4);
ABI_TAIL(vfio_device_feature_dma_buf, dma_ranges, 16);

struct vfio_device_feature_zpci_err {
	uint64_t data;
};
ABI_SIZE(vfio_device_feature_zpci_err, 8);
ABI_FIELD(vfio_device_feature_zpci_err, data, 0, 8);

/* ---- containers: type 1 ---------------------------------------------------------------------- */

#define VFIO_IOMMU_INFO_PGSIZES (1 << 0)
#define VFIO_IOMMU_INFO_CAPS    (1 << 1)

struct vfio_iommu_type1_info {
	uint32_t argsz;
	uint32_t flags;
	uint64_t iova_pgsizes;
	uint32_t cap_offset;
	uint32_t pad;
};
ABI_SIZE(vfio_iommu_type1_info, 24);
ABI_FIELD(vfio_iommu_type1_info, argsz, 0, 4);
ABI_FIELD(vfio_iommu_type1_info, flags, 4, 4);
ABI_FIELD(vfio_iommu_type1_info, iova_pgsizes, 8, 8);
ABI_FIELD(vfio_iommu_type1_info, cap_offset, 16, 4);
ABI_FIELD(vfio_iommu_type1_info, pad, 20, 4);

#define VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE 1
#define VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION  2
#define VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL      3

struct vfio_iova_range {
	uint64_t start;
	uint64_t end; /* inclusive, for all its name */
};
ABI_SIZE(vfio_iova_range, 16);
ABI_FIELD(vfio_iova_range, start, 0, 8);
ABI_FIELD(vfio_iova_range, end, 8, 8);

struct vfio_iommu_type1_info_cap_iova_range {
	struct vfio_info_cap_header header;
	uint32_t nr_iovas;
	uint32_t reserved;
	struct vfio_iova_range iova_ranges[];
};
ABI_SIZE(vfio_iommu_type1_info_cap_iova_range, 16);
ABI_FIELD(vfio_iommu_type1_info_cap_iova_range, header, 0, 8);
ABI_FIELD(vfio_iommu_type1_info_cap_iova_range, nr_iovas, 8, 4);
ABI_FIELD(vfio_iommu_type1_info_cap_iova_range, reserved, 12, 4);
ABI_TAIL(vfio_iommu_type1_info_cap_iova_range, iova_ranges, 16);

struct vfio_iommu_type1_info_cap_migration {
	struct vfio_info_cap_header header;
	uint32_t flags;
	uint64_t pgsize_bitmap;
	uint64_t max_dirty_bitmap_size;
};
ABI_SIZE(vfio_iommu_type1_info_cap_migration, 32);
ABI_FIELD(vfio_iommu_type1_info_cap_migration, header, 0, 8);
ABI_FIELD(vfio_iommu_type1_info_cap_migration, flags, 8, 4);
ABI_FIELD(vfio_iommu_type1_info_cap_migration, pgsize_bitmap, 16, 8);
ABI_FIELD(vfio_iommu_type1_info_cap_migration, max_dirty_bitmap_size, 24, 8);

struct vfio_iommu_type1_info_dma_avail {
	struct vfio_info_cap_header header;
	uint32_t avail;
};
ABI_SIZE(vfio_iommu_type1_info_dma_avail, 12);
ABI_FIELD(vfio_iommu_type1_info_dma_avail, header, 0, 8);
ABI_FIELD(vfio_iommu_type1_info_dma_avail, avail, 8, 4);

#define VFIO_DMA_MAP_FLAG_READ  (1 << 0)
#define VFIO_DMA_MAP_FLAG_WRITE (1 << 1)
#define VFIO_DMA_MAP_FLAG_VADDR (1 << 2)

struct vfio_iommu_type1_dma_map {
	uint32_t argsz;
	uint32_t flags;
	uint64_t vaddr;
	uint64_t iova;
	uint64_t size;
};
ABI_SIZE(vfio_iommu_type1_dma_map, 32);
ABI_FIELD(vfio_iommu_type1_dma_map, argsz, 0, 4);
ABI_FIELD(vfio_iommu_type1_dma_map, flags, 4, 4);
ABI_FIELD(vfio_iommu_type1_dma_map, vaddr, 8, 8);
ABI_FIELD(vfio_iommu_type1_dma_map, iova, 16, 8);
ABI_FIELD(vfio_iommu_type1_dma_map, size, 24, 8);

struct vfio_bitmap {
	uint64_t pgsize;
	uint64_t size;  /* bytes of the bitmap */
	uint64_t *data; /* in the client's memory */
};
ABI_SIZE(vfio_bitmap, 24);
ABI_FIELD(vfio_bitmap, pgsize, 0, 8);
ABI_FIELD(vfio_bitmap, size, 8, 8);
ABI_FIELD(vfio_bitmap, data, 16, 8);

#define VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP (1 << 0)
#define VFIO_DMA_UNMAP_FLAG_ALL              (1 << 1)
#define VFIO_DMA_UNMAP_FLAG_VADDR            (1 << 2)

struct vfio_iommu_type1_dma_unmap {
	uint32_t argsz;
	uint32_t flags;
	uint64_t iova;
	uint64_t size;  /* out: bytes unmapped */
	uint8_t data[]; /* with GET_DIRTY_BITMAP: struct vfio_bitmap */
};
ABI_SIZE(vfio_iommu_type1_dma_unmap, 24);
ABI_FIELD(vfio_iommu_type1_dma_unmap, argsz, 0, 4);
ABI_FIELD(vfio_iommu_type1_dma_unmap, flags, 4, 4);
ABI_FIELD(vfio_iommu_type1_dma_unmap, iova, 8, 8);
ABI_FIELD(vfio_iommu_type1_dma_unmap, size, 16, 8);
ABI_TAIL(vfio_iommu_type1_dma_unmap, data, 24);

#define VFIO_IOMMU_DIRTY_PAGES_FLAG_START      (1 << 0)
#define VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP       (1 << 1)
#define VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP (1 << 2)

struct vfio_iommu_type1_dirty_bitmap {
	uint32_t argsz;
	uint32_t flags;
	uint8_t data[]; /* with GET_BITMAP: the following */
};
ABI_SIZE(vfio_iommu_type1_dirty_bitmap, 8);
ABI_FIELD(vfio_iommu_type1_dirty_bitmap, argsz, 0, 4);
ABI_FIELD(vfio_iommu_type1_dirty_bitmap, flags, 4, 4);
ABI_TAIL(vfio_iommu_type1_dirty_bitmap, data, 8);

struct vfio_iommu_type1_dirty_bitmap_get {
	uint64_t iova;
	uint64_t size;
	struct vfio_bitmap bitmap;
};
ABI_SIZE(vfio_iommu_type1_dirty_bitmap_get, 40);
ABI_FIELD(vfio_iommu_type1_dirty_bitmap_get, iova, 0, 8);
ABI_FIELD(vfio_iommu_type1_dirty_bitmap_get, size, 8, 8);
ABI_FIELD(vfio_iommu_type1_dirty_bitmap_get, bitmap, 16, 24);

/* ---- containers: SPAPR TCE ------------------------------------------------------------------- */

struct vfio_iommu_spapr_tce_ddw_info {
	uint64_t pgsizes;
	uint32_t max_dynamic_windows_supported;
	uint32_t levels;
};
ABI_SIZE(vfio_iommu_spapr_tce_ddw_info, 16);
ABI_FIELD(vfio_iommu_spapr_tce_ddw_info, pgsizes, 0, 8);
ABI_FIELD(vfio_iommu_spapr_tce_ddw_info, max_dynamic_windows_supported, 8, 4);
ABI_FIELD(vfio_iommu_spapr_tce_ddw_info, levels, 12, 4);

#define VFIO_IOMMU_SPAPR_INFO_DDW (1 << 0)

struct vfio_iommu_spapr_tce_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t dma32_window_start;
	uint32_t dma32_window_size;
	struct vfio_iommu_spapr_tce_ddw_info ddw;
};
ABI_SIZE(vfio_iommu_spapr_tce_info, 32);
ABI_FIELD(vfio_iommu_spapr_tce_info, argsz, 0, 4);
ABI_FIELD(vfio_iommu_spapr_tce_info, flags, 4, 4);
ABI_FIELD(vfio_iommu_spapr_tce_info, dma32_window_start, 8, 4);
ABI_FIELD(vfio_iommu_spapr_tce_info, dma32_window_size, 12, 4);
ABI_FIELD(vfio_iommu_spapr_tce_info, ddw, 16, 16);

struct vfio_eeh_pe_err {
	uint32_t type;
	uint32_t func;
	uint64_t addr;
	uint64_t mask;
};
ABI_SIZE(vfio_eeh_pe_err, 24);
ABI_FIELD(vfio_eeh_pe_err, type, 0, 4);
ABI_FIELD(vfio_eeh_pe_err, func, 4, 4);
ABI_FIELD(vfio_eeh_pe_err, addr, 8, 8);
ABI_FIELD(vfio_eeh_pe_err, mask, 16, 8);

struct vfio_eeh_pe_op {
	uint32_t argsz;
	uint32_t flags;
	uint32_t op;
	union {
		struct vfio_eeh_pe_err err;
	};
};
ABI_SIZE(vfio_eeh_pe_op, 40);
ABI_FIELD(vfio_eeh_pe_op, argsz, 0, 4);
ABI_FIELD(vfio_eeh_pe_op, flags, 4, 4);
ABI_FIELD(vfio_eeh_pe_op, op, 8, 4);
ABI_FIELD(vfio_eeh_pe_op, err, 16, 24);

#define VFIO_EEH_PE_DISABLE           0
#define VFIO_EEH_PE_ENABLE            1
#define VFIO_EEH_PE_UNFREEZE_IO       2
#define VFIO_EEH_PE_UNFREEZE_DMA      3
#define VFIO_EEH_PE_GET_STATE         4
#define VFIO_EEH_PE_RESET_DEACTIVATE  5
#define VFIO_EEH_PE_RESET_HOT         6
#define VFIO_EEH_PE_RESET_FUNDAMENTAL 7
#define VFIO_EEH_PE_CONFIGURE         8
#define VFIO_EEH_PE_INJECT_ERR        9

/* Answers of GET_STATE. */
#define VFIO_EEH_PE_STATE_NORMAL      0
#define VFIO_EEH_PE_STATE_RESET       1
#define VFIO_EEH_PE_STATE_STOPPED     2
#define VFIO_EEH_PE_STATE_STOPPED_DMA 4
#define VFIO_EEH_PE_STATE_UNAVAIL     5

struct vfio_iommu_spapr_register_memory {
	uint32_t argsz;
	uint32_t flags; /* 0 */
	uint64_t vaddr;
	uint64_t size;
};
ABI_SIZE(vfio_iommu_spapr_register_memory, 24);
ABI_FIELD(vfio_iommu_spapr_register_memory, argsz, 0, 4);
ABI_FIELD(vfio_iommu_spapr_register_memory, flags, 4, 4);
ABI_FIELD(vfio_iommu_spapr_register_memory, vaddr, 8, 8);
ABI_FIELD(vfio_iommu_spapr_register_memory, size, 16, 8);

struct vfio_iommu_spapr_tce_create {
	uint32_t argsz;
	uint32_t flags; /* 0 */
	uint32_t page_shift;
	uint32_t __resv1;
	uint64_t window_size;
	uint32_t levels;
	uint32_t __resv2;
	uint64_t start_addr; /* out */
};
ABI_SIZE(vfio_iommu_spapr_tce_create, 40);
ABI_FIELD(vfio_iommu_spapr_tce_create, argsz, 0, 4);
ABI_FIELD(vfio_iommu_spapr_tce_create, flags, 4, 4);
ABI_FIELD(vfio_iommu_spapr_tce_create, page_shift, 8, 4);
ABI_FIELD(vfio_iommu_spapr_tce_create, __resv1, 12, 4);
ABI_FIELD(vfio_iommu_spapr_tce_create, window_size, 16, 8);
ABI_FIELD(vfio_iommu_spapr_tce_create, levels, 24, 4);
ABI_FIELD(vfio_iommu_spapr_tce_create, __resv2, 28, 4);
ABI_FIELD(vfio_iommu_spapr_tce_create, start_addr, 32, 8);

struct vfio_iommu_spapr_tce_remove {
	uint32_t argsz;
	uint32_t flags; /* 0 */
	uint64_t start_addr;
};
ABI_SIZE(vfio_iommu_spapr_tce_remove, 16);
ABI_FIELD(vfio_iommu_spapr_tce_remove, argsz, 0, 4);
ABI_FIELD(vfio_iommu_spapr_tce_remove, flags, 4, 4);
ABI_FIELD(vfio_iommu_spapr_tce_remove, start_addr, 8, 8);

#endif
