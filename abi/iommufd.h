/* SPDX-License-Identifier: MIT */
/*
 * What crosses the boundary of /dev/iommu: the numbers, structs and flags of Linux 7.3's iommufd.
 *
 * The names are Linux's, so that code and documentation for one read for the other; therefore no
 * translation unit can include both this file and <linux/iommufd.h>. Fields named out_* are
 * written by the callee. All IOVA ranges are inclusive. What each command does, and in which order
 * it refuses, is in docs/abi/.
 */
#ifndef ABI_IOMMUFD_H
#define ABI_IOMMUFD_H

#ifdef _IOMMUFD_H
#error "abi/iommufd.h declares what <linux/iommufd.h> declares: include one of them"
#endif

#include "abi/layout.h"

/*
 * Command numbers. A command carries neither direction nor size: it is the type byte and the
 * number, nothing else. The size of the struct is its first word.
 */
#define IOMMUFD_TYPE     (';')
#define ABI_IOMMU_CMD(n) (0x3b00u | (n))

enum {
	IOMMUFD_CMD_BASE = 0x80,
	IOMMUFD_CMD_DESTROY = 0x80,
	IOMMUFD_CMD_IOAS_ALLOC = 0x81,
	IOMMUFD_CMD_IOAS_ALLOW_IOVAS = 0x82,
	IOMMUFD_CMD_IOAS_COPY = 0x83,
	IOMMUFD_CMD_IOAS_IOVA_RANGES = 0x84,
	IOMMUFD_CMD_IOAS_MAP = 0x85,
	IOMMUFD_CMD_IOAS_UNMAP = 0x86,
	IOMMUFD_CMD_OPTION = 0x87,
	IOMMUFD_CMD_VFIO_IOAS = 0x88,
	IOMMUFD_CMD_HWPT_ALLOC = 0x89,
	IOMMUFD_CMD_GET_HW_INFO = 0x8a,
	IOMMUFD_CMD_HWPT_SET_DIRTY_TRACKING = 0x8b,
	IOMMUFD_CMD_HWPT_GET_DIRTY_BITMAP = 0x8c,
	IOMMUFD_CMD_HWPT_INVALIDATE = 0x8d,
	IOMMUFD_CMD_FAULT_QUEUE_ALLOC = 0x8e,
	IOMMUFD_CMD_IOAS_MAP_FILE = 0x8f,
	IOMMUFD_CMD_VIOMMU_ALLOC = 0x90,
	IOMMUFD_CMD_VDEVICE_ALLOC = 0x91,
	IOMMUFD_CMD_IOAS_CHANGE_PROCESS = 0x92,
	IOMMUFD_CMD_VEVENTQ_ALLOC = 0x93,
	IOMMUFD_CMD_HW_QUEUE_ALLOC = 0x94,
	IOMMUFD_CMD_IOAS_NOIOMMU_GET_PA = 0x95,
};

#define IOMMU_DESTROY                 ABI_IOMMU_CMD(0x80)
#define IOMMU_IOAS_ALLOC              ABI_IOMMU_CMD(0x81)
#define IOMMU_IOAS_ALLOW_IOVAS        ABI_IOMMU_CMD(0x82)
#define IOMMU_IOAS_COPY               ABI_IOMMU_CMD(0x83)
#define IOMMU_IOAS_IOVA_RANGES        ABI_IOMMU_CMD(0x84)
#define IOMMU_IOAS_MAP                ABI_IOMMU_CMD(0x85)
#define IOMMU_IOAS_UNMAP              ABI_IOMMU_CMD(0x86)
#define IOMMU_OPTION                  ABI_IOMMU_CMD(0x87)
#define IOMMU_VFIO_IOAS               ABI_IOMMU_CMD(0x88)
#define IOMMU_HWPT_ALLOC              ABI_IOMMU_CMD(0x89)
#define IOMMU_GET_HW_INFO             ABI_IOMMU_CMD(0x8a)
#define IOMMU_HWPT_SET_DIRTY_TRACKING ABI_IOMMU_CMD(0x8b)
#define IOMMU_HWPT_GET_DIRTY_BITMAP   ABI_IOMMU_CMD(0x8c)
#define IOMMU_HWPT_INVALIDATE         ABI_IOMMU_CMD(0x8d)
#define IOMMU_FAULT_QUEUE_ALLOC       ABI_IOMMU_CMD(0x8e)
#define IOMMU_IOAS_MAP_FILE           ABI_IOMMU_CMD(0x8f)
#define IOMMU_VIOMMU_ALLOC            ABI_IOMMU_CMD(0x90)
#define IOMMU_VDEVICE_ALLOC           ABI_IOMMU_CMD(0x91)
#define IOMMU_IOAS_CHANGE_PROCESS     ABI_IOMMU_CMD(0x92)
#define IOMMU_VEVENTQ_ALLOC           ABI_IOMMU_CMD(0x93)
#define IOMMU_HW_QUEUE_ALLOC          ABI_IOMMU_CMD(0x94)
#define IOMMU_IOAS_NOIOMMU_GET_PA     ABI_IOMMU_CMD(0x95)

/* ---- objects and address spaces ------------------------------------------------------------ */

struct iommu_destroy {
	uint32_t size;
	uint32_t id;
};
ABI_SIZE(iommu_destroy, 8);
ABI_FIELD(iommu_destroy, size, 0, 4);
ABI_FIELD(iommu_destroy, id, 4, 4);

struct iommu_ioas_alloc {
	uint32_t size;
	uint32_t flags; /* 0 */
	uint32_t out_ioas_id;
};
ABI_SIZE(iommu_ioas_alloc, 12);
ABI_FIELD(iommu_ioas_alloc, size, 0, 4);
ABI_FIELD(iommu_ioas_alloc, flags, 4, 4);
ABI_FIELD(iommu_ioas_alloc, out_ioas_id, 8, 4);

struct iommu_iova_range {
	uint64_t start;
	uint64_t last; /* inclusive */
};
ABI_SIZE(iommu_iova_range, 16);
ABI_FIELD(iommu_iova_range, start, 0, 8);
ABI_FIELD(iommu_iova_range, last, 8, 8);

struct iommu_ioas_iova_ranges {
	uint32_t size;
	uint32_t ioas_id;
	uint32_t num_iovas; /* in: capacity of the array; out: how many ranges there are */
	uint32_t __reserved;
	uint64_t allowed_iovas; /* pointer to struct iommu_iova_range[num_iovas], written */
	uint64_t out_iova_alignment;
};
ABI_SIZE(iommu_ioas_iova_ranges, 32);
ABI_FIELD(iommu_ioas_iova_ranges, size, 0, 4);
ABI_FIELD(iommu_ioas_iova_ranges, ioas_id, 4, 4);
ABI_FIELD(iommu_ioas_iova_ranges, num_iovas, 8, 4);
ABI_FIELD(iommu_ioas_iova_ranges, __reserved, 12, 4);
ABI_FIELD(iommu_ioas_iova_ranges, allowed_iovas, 16, 8);
ABI_FIELD(iommu_ioas_iova_ranges, out_iova_alignment, 24, 8);

struct iommu_ioas_allow_iovas {
	uint32_t size;
	uint32_t ioas_id;
	uint32_t num_iovas;
	uint32_t __reserved;
	uint64_t allowed_iovas; /* pointer to struct iommu_iova_range[num_iovas], read */
};
ABI_SIZE(iommu_ioas_allow_iovas, 24);
ABI_FIELD(iommu_ioas_allow_iovas, size, 0, 4);
ABI_FIELD(iommu_ioas_allow_iovas, ioas_id, 4, 4);
ABI_FIELD(iommu_ioas_allow_iovas, num_iovas, 8, 4);
ABI_FIELD(iommu_ioas_allow_iovas, __reserved, 12, 4);
ABI_FIELD(iommu_ioas_allow_iovas, allowed_iovas, 16, 8);

/* Of IOAS_MAP, IOAS_MAP_FILE and IOAS_COPY. */
enum iommufd_ioas_map_flags {
	IOMMU_IOAS_MAP_FIXED_IOVA = 1 << 0, /* the caller chooses the IOVA */
	IOMMU_IOAS_MAP_WRITEABLE = 1 << 1,
	IOMMU_IOAS_MAP_READABLE = 1 << 2,
};

struct iommu_ioas_map {
	uint32_t size;
	uint32_t flags;
	uint32_t ioas_id;
	uint32_t __reserved;
	uint64_t user_va;
	uint64_t length;
	uint64_t iova; /* in with FIXED_IOVA, out always */
};
ABI_SIZE(iommu_ioas_map, 40);
ABI_FIELD(iommu_ioas_map, size, 0, 4);
ABI_FIELD(iommu_ioas_map, flags, 4, 4);
ABI_FIELD(iommu_ioas_map, ioas_id, 8, 4);
ABI_FIELD(iommu_ioas_map, __reserved, 12, 4);
ABI_FIELD(iommu_ioas_map, user_va, 16, 8);
ABI_FIELD(iommu_ioas_map, length, 24, 8);
ABI_FIELD(iommu_ioas_map, iova, 32, 8);

struct iommu_ioas_map_file {
	uint32_t size;
	uint32_t flags;
	uint32_t ioas_id;
	int32_t fd;
	uint64_t start; /* offset in the file, bytes */
	uint64_t length;
	uint64_t iova; /* in with FIXED_IOVA, out always */
};
ABI_SIZE(iommu_ioas_map_file, 40);
ABI_FIELD(iommu_ioas_map_file, size, 0, 4);
ABI_FIELD(iommu_ioas_map_file, flags, 4, 4);
ABI_FIELD(iommu_ioas_map_file, ioas_id, 8, 4);
ABI_FIELD(iommu_ioas_map_file, fd, 12, 4);
ABI_FIELD(iommu_ioas_map_file, start, 16, 8);
ABI_FIELD(iommu_ioas_map_file, length, 24, 8);
ABI_FIELD(iommu_ioas_map_file, iova, 32, 8);

struct iommu_ioas_copy {
	uint32_t size;
	uint32_t flags;
	uint32_t dst_ioas_id;
	uint32_t src_ioas_id;
	uint64_t length;
	uint64_t dst_iova; /* in with FIXED_IOVA, out always */
	uint64_t src_iova;
};
ABI_SIZE(iommu_ioas_copy, 40);
ABI_FIELD(iommu_ioas_copy, size, 0, 4);
ABI_FIELD(iommu_ioas_copy, flags, 4, 4);
ABI_FIELD(iommu_ioas_copy, dst_ioas_id, 8, 4);
ABI_FIELD(iommu_ioas_copy, src_ioas_id, 12, 4);
ABI_FIELD(iommu_ioas_copy, length, 16, 8);
ABI_FIELD(iommu_ioas_copy, dst_iova, 24, 8);
ABI_FIELD(iommu_ioas_copy, src_iova, 32, 8);

struct iommu_ioas_unmap {
	uint32_t size;
	uint32_t ioas_id;
	uint64_t iova;
	uint64_t length; /* out: bytes unmapped */
};
ABI_SIZE(iommu_ioas_unmap, 24);
ABI_FIELD(iommu_ioas_unmap, size, 0, 4);
ABI_FIELD(iommu_ioas_unmap, ioas_id, 4, 4);
ABI_FIELD(iommu_ioas_unmap, iova, 8, 8);
ABI_FIELD(iommu_ioas_unmap, length, 16, 8);

struct iommu_ioas_change_process {
	uint32_t size;
	uint32_t __reserved;
};
ABI_SIZE(iommu_ioas_change_process, 8);
ABI_FIELD(iommu_ioas_change_process, size, 0, 4);
ABI_FIELD(iommu_ioas_change_process, __reserved, 4, 4);

struct iommu_ioas_noiommu_get_pa {
	uint32_t size;
	uint32_t flags; /* 0 */
	uint32_t ioas_id;
	uint32_t __reserved;
	uint64_t iova;
	uint64_t length; /* in: limit; out: contiguous bytes */
	uint64_t out_phys;
};
ABI_SIZE(iommu_ioas_noiommu_get_pa, 40);
ABI_FIELD(iommu_ioas_noiommu_get_pa, size, 0, 4);
ABI_FIELD(iommu_ioas_noiommu_get_pa, flags, 4, 4);
ABI_FIELD(iommu_ioas_noiommu_get_pa, ioas_id, 8, 4);
ABI_FIELD(iommu_ioas_noiommu_get_pa, __reserved, 12, 4);
ABI_FIELD(iommu_ioas_noiommu_get_pa, iova, 16, 8);
ABI_FIELD(iommu_ioas_noiommu_get_pa, length, 24, 8);
ABI_FIELD(iommu_ioas_noiommu_get_pa, out_phys, 32, 8);

enum iommufd_option {
	IOMMU_OPTION_RLIMIT_MODE = 0, /* whose memory-lock limit is charged: 0 user, 1 process */
	IOMMU_OPTION_HUGE_PAGES = 1,
};

enum iommufd_option_ops {
	IOMMU_OPTION_OP_SET = 0,
	IOMMU_OPTION_OP_GET = 1,
};

struct iommu_option {
	uint32_t size;
	uint32_t option_id;
	uint16_t op;
	uint16_t __reserved;
	uint32_t object_id;
	uint64_t val64; /* the only field that is written back */
};
ABI_SIZE(iommu_option, 24);
ABI_FIELD(iommu_option, size, 0, 4);
ABI_FIELD(iommu_option, option_id, 4, 4);
ABI_FIELD(iommu_option, op, 8, 2);
ABI_FIELD(iommu_option, __reserved, 10, 2);
ABI_FIELD(iommu_option, object_id, 12, 4);
ABI_FIELD(iommu_option, val64, 16, 8);

enum iommufd_vfio_ioas_op {
	IOMMU_VFIO_IOAS_GET = 0,
	IOMMU_VFIO_IOAS_SET = 1,
	IOMMU_VFIO_IOAS_CLEAR = 2,
};

struct iommu_vfio_ioas {
	uint32_t size;
	uint32_t ioas_id;
	uint16_t op;
	uint16_t __reserved;
};
ABI_SIZE(iommu_vfio_ioas, 12);
ABI_FIELD(iommu_vfio_ioas, size, 0, 4);
ABI_FIELD(iommu_vfio_ioas, ioas_id, 4, 4);
ABI_FIELD(iommu_vfio_ioas, op, 8, 2);
ABI_FIELD(iommu_vfio_ioas, __reserved, 10, 2);

/* ---- page tables ---------------------------------------------------------------------------- */

enum iommufd_hwpt_alloc_flags {
	IOMMU_HWPT_ALLOC_NEST_PARENT = 1 << 0,
	IOMMU_HWPT_ALLOC_DIRTY_TRACKING = 1 << 1,
	IOMMU_HWPT_FAULT_ID_VALID = 1 << 2,
	IOMMU_HWPT_ALLOC_PASID = 1 << 3,
};

enum iommu_hwpt_vtd_s1_flags {
	IOMMU_VTD_S1_SRE = 1 << 0,  /* supervisor requests */
	IOMMU_VTD_S1_EAFE = 1 << 1, /* extended accessed flag */
	IOMMU_VTD_S1_WPE = 1 << 2,  /* write protection also for supervisor requests */
};

struct iommu_hwpt_vtd_s1 {
	uint64_t flags;
	uint64_t pgtbl_addr; /* guest-physical root of the first stage */
	uint32_t addr_width;
	uint32_t __reserved;
};
ABI_SIZE(iommu_hwpt_vtd_s1, 24);
ABI_FIELD(iommu_hwpt_vtd_s1, flags, 0, 8);
ABI_FIELD(iommu_hwpt_vtd_s1, pgtbl_addr, 8, 8);
ABI_FIELD(iommu_hwpt_vtd_s1, addr_width, 16, 4);
ABI_FIELD(iommu_hwpt_vtd_s1, __reserved, 20, 4);

struct iommu_hwpt_arm_smmuv3 {
	uint64_t ste[2]; /* little-endian words of a stream table entry */
};
ABI_SIZE(iommu_hwpt_arm_smmuv3, 16);
ABI_FIELD(iommu_hwpt_arm_smmuv3, ste, 0, 16);

struct iommu_hwpt_amd_guest {
	uint64_t dte[4]; /* a device table entry */
};
ABI_SIZE(iommu_hwpt_amd_guest, 32);
ABI_FIELD(iommu_hwpt_amd_guest, dte, 0, 32);

enum iommu_hwpt_data_type {
	IOMMU_HWPT_DATA_NONE = 0,
	IOMMU_HWPT_DATA_VTD_S1 = 1,
	IOMMU_HWPT_DATA_ARM_SMMUV3 = 2,
	IOMMU_HWPT_DATA_AMD_GUEST = 3,
};

struct iommu_hwpt_alloc {
	uint32_t size;
	uint32_t flags;
	uint32_t dev_id;
	uint32_t pt_id; /* an IOAS, a nest parent or a vIOMMU */
	uint32_t out_hwpt_id;
	uint32_t __reserved;
	uint32_t data_type;
	uint32_t data_len;
	uint64_t data_uptr;
	uint32_t fault_id; /* with FAULT_ID_VALID */
	uint32_t __reserved2;
};
ABI_SIZE(iommu_hwpt_alloc, 48);
ABI_FIELD(iommu_hwpt_alloc, size, 0, 4);
ABI_FIELD(iommu_hwpt_alloc, flags, 4, 4);
ABI_FIELD(iommu_hwpt_alloc, dev_id, 8, 4);
ABI_FIELD(iommu_hwpt_alloc, pt_id, 12, 4);
ABI_FIELD(iommu_hwpt_alloc, out_hwpt_id, 16, 4);
ABI_FIELD(iommu_hwpt_alloc, __reserved, 20, 4);
ABI_FIELD(iommu_hwpt_alloc, data_type, 24, 4);
ABI_FIELD(iommu_hwpt_alloc, data_len, 28, 4);
ABI_FIELD(iommu_hwpt_alloc, data_uptr, 32, 8);
ABI_FIELD(iommu_hwpt_alloc, fault_id, 40, 4);
ABI_FIELD(iommu_hwpt_alloc, __reserved2, 44, 4);

enum iommufd_hwpt_set_dirty_tracking_flags {
	IOMMU_HWPT_DIRTY_TRACKING_ENABLE = 1,
};

struct iommu_hwpt_set_dirty_tracking {
	uint32_t size;
	uint32_t flags;
	uint32_t hwpt_id;
	uint32_t __reserved;
};
ABI_SIZE(iommu_hwpt_set_dirty_tracking, 16);
ABI_FIELD(iommu_hwpt_set_dirty_tracking, size, 0, 4);
ABI_FIELD(iommu_hwpt_set_dirty_tracking, flags, 4, 4);
ABI_FIELD(iommu_hwpt_set_dirty_tracking, hwpt_id, 8, 4);
ABI_FIELD(iommu_hwpt_set_dirty_tracking, __reserved, 12, 4);

enum iommufd_hwpt_get_dirty_bitmap_flags {
	IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR = 1,
};

struct iommu_hwpt_get_dirty_bitmap {
	uint32_t size;
	uint32_t hwpt_id;
	uint32_t flags;
	uint32_t __reserved;
	uint64_t iova;
	uint64_t length;
	uint64_t page_size; /* bytes of IOVA per bit */
	uint64_t data;      /* pointer to the bitmap */
};
ABI_SIZE(iommu_hwpt_get_dirty_bitmap, 48);
ABI_FIELD(iommu_hwpt_get_dirty_bitmap, size, 0, 4);
ABI_FIELD(iommu_hwpt_get_dirty_bitmap, hwpt_id, 4, 4);
ABI_FIELD(iommu_hwpt_get_dirty_bitmap, flags, 8, 4);
ABI_FIELD(iommu_hwpt_get_dirty_bitmap, __reserved, 12, 4);
ABI_FIELD(iommu_hwpt_get_dirty_bitmap, iova, 16, 8);
ABI_FIELD(iommu_hwpt_get_dirty_bitmap, length, 24, 8);
ABI_FIELD(iommu_hwpt_get_dirty_bitmap, page_size, 32, 8);
ABI_FIELD(iommu_hwpt_get_dirty_bitmap, data, 40, 8);

enum iommu_hwpt_invalidate_data_type {
	IOMMU_HWPT_INVALIDATE_DATA_VTD_S1 = 0,
	IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3 = 1,
};

enum iommu_hwpt_vtd_s1_invalidate_flags {
	IOMMU_VTD_INV_FLAGS_LEAF = 1 << 0,
};

struct iommu_hwpt_vtd_s1_invalidate {
	uint64_t addr;
	uint64_t npages;
	uint32_t flags;
	uint32_t __reserved;
};
ABI_SIZE(iommu_hwpt_vtd_s1_invalidate, 24);
ABI_FIELD(iommu_hwpt_vtd_s1_invalidate, addr, 0, 8);
ABI_FIELD(iommu_hwpt_vtd_s1_invalidate, npages, 8, 8);
ABI_FIELD(iommu_hwpt_vtd_s1_invalidate, flags, 16, 4);
ABI_FIELD(iommu_hwpt_vtd_s1_invalidate, __reserved, 20, 4);

struct iommu_viommu_arm_smmuv3_invalidate {
	uint64_t cmd[2]; /* little-endian words of a command queue entry */
};
ABI_SIZE(iommu_viommu_arm_smmuv3_invalidate, 16);
ABI_FIELD(iommu_viommu_arm_smmuv3_invalidate, cmd, 0, 16);

struct iommu_hwpt_invalidate {
	uint32_t size;
	uint32_t hwpt_id;   /* a nested page table or a vIOMMU */
	uint64_t data_uptr; /* pointer to entry_num entries of entry_len bytes */
	uint32_t data_type;
	uint32_t entry_len;
	uint32_t entry_num; /* out: entries done */
	uint32_t __reserved;
};
ABI_SIZE(iommu_hwpt_invalidate, 32);
ABI_FIELD(iommu_hwpt_invalidate, size, 0, 4);
ABI_FIELD(iommu_hwpt_invalidate, hwpt_id, 4, 4);
ABI_FIELD(iommu_hwpt_invalidate, data_uptr, 8, 8);
ABI_FIELD(iommu_hwpt_invalidate, data_type, 16, 4);
ABI_FIELD(iommu_hwpt_invalidate, entry_len, 20, 4);
ABI_FIELD(iommu_hwpt_invalidate, entry_num, 24, 4);
ABI_FIELD(iommu_hwpt_invalidate, __reserved, 28, 4);

/* ---- what the hardware can do --------------------------------------------------------------- */

enum iommu_hw_info_vtd_flags {
	IOMMU_HW_INFO_VTD_ERRATA_772415_SPR17 = 1 << 0,
};

struct iommu_hw_info_vtd {
	uint32_t flags;
	uint32_t __reserved;
	uint64_t cap_reg;
	uint64_t ecap_reg;
};
ABI_SIZE(iommu_hw_info_vtd, 24);
ABI_FIELD(iommu_hw_info_vtd, flags, 0, 4);
ABI_FIELD(iommu_hw_info_vtd, __reserved, 4, 4);
ABI_FIELD(iommu_hw_info_vtd, cap_reg, 8, 8);
ABI_FIELD(iommu_hw_info_vtd, ecap_reg, 16, 8);

enum iommu_hw_info_arm_smmuv3_flags {
	IOMMU_HW_INFO_ARM_SMMUV3_ERRATA_REPEAT_TLBI_CFGI = 1 << 0,
};

struct iommu_hw_info_arm_smmuv3 {
	uint32_t flags;
	uint32_t __reserved;
	uint32_t idr[6];
	uint32_t iidr;
	uint32_t aidr;
};
ABI_SIZE(iommu_hw_info_arm_smmuv3, 40);
ABI_FIELD(iommu_hw_info_arm_smmuv3, flags, 0, 4);
ABI_FIELD(iommu_hw_info_arm_smmuv3, __reserved, 4, 4);
ABI_FIELD(iommu_hw_info_arm_smmuv3, idr, 8, 24);
ABI_FIELD(iommu_hw_info_arm_smmuv3, iidr, 32, 4);
ABI_FIELD(iommu_hw_info_arm_smmuv3, aidr, 36, 4);

struct iommu_hw_info_tegra241_cmdqv {
	uint32_t flags;
	uint8_t version;
	uint8_t log2vcmdqs;
	uint8_t log2vsids;
	uint8_t __reserved;
};
ABI_SIZE(iommu_hw_info_tegra241_cmdqv, 8);
ABI_FIELD(iommu_hw_info_tegra241_cmdqv, flags, 0, 4);
ABI_FIELD(iommu_hw_info_tegra241_cmdqv, version, 4, 1);
ABI_FIELD(iommu_hw_info_tegra241_cmdqv, log2vcmdqs, 5, 1);
ABI_FIELD(iommu_hw_info_tegra241_cmdqv, log2vsids, 6, 1);
ABI_FIELD(iommu_hw_info_tegra241_cmdqv, __reserved, 7, 1);

struct iommu_hw_info_amd {
	uint64_t efr;
	uint64_t efr2;
};
ABI_SIZE(iommu_hw_info_amd, 16);
ABI_FIELD(iommu_hw_info_amd, efr, 0, 8);
ABI_FIELD(iommu_hw_info_amd, efr2, 8, 8);

enum iommu_hw_info_type {
	IOMMU_HW_INFO_TYPE_NONE = 0,
	IOMMU_HW_INFO_TYPE_DEFAULT = 0,
	IOMMU_HW_INFO_TYPE_INTEL_VTD = 1,
	IOMMU_HW_INFO_TYPE_ARM_SMMUV3 = 2,
	IOMMU_HW_INFO_TYPE_TEGRA241_CMDQV = 3,
	IOMMU_HW_INFO_TYPE_AMD = 4,
};

enum iommufd_hw_capabilities {
	IOMMU_HW_CAP_DIRTY_TRACKING = 1 << 0,
	IOMMU_HW_CAP_PCI_PASID_EXEC = 1 << 1,
	IOMMU_HW_CAP_PCI_PASID_PRIV = 1 << 2,
	IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED = 1 << 3,
};

enum iommufd_hw_info_flags {
	IOMMU_HW_INFO_FLAG_INPUT_TYPE = 1 << 0,
};

struct iommu_hw_info {
	uint32_t size;
	uint32_t flags;
	uint32_t dev_id;
	uint32_t data_len; /* out: bytes there are */
	uint64_t data_uptr;
	union {
		uint32_t in_data_type; /* with INPUT_TYPE */
		uint32_t out_data_type;
	};
	uint8_t out_max_pasid_log2;
	uint8_t __reserved[3];
	uint64_t out_capabilities;
};
ABI_SIZE(iommu_hw_info, 40);
ABI_FIELD(iommu_hw_info, size, 0, 4);
ABI_FIELD(iommu_hw_info, flags, 4, 4);
ABI_FIELD(iommu_hw_info, dev_id, 8, 4);
ABI_FIELD(iommu_hw_info, data_len, 12, 4);
ABI_FIELD(iommu_hw_info, data_uptr, 16, 8);
ABI_FIELD(iommu_hw_info, in_data_type, 24, 4);
ABI_FIELD(iommu_hw_info, out_data_type, 24, 4);
ABI_FIELD(iommu_hw_info, out_max_pasid_log2, 28, 1);
ABI_FIELD(iommu_hw_info, __reserved, 29, 3);
ABI_FIELD(iommu_hw_info, out_capabilities, 32, 8);

/* ---- page requests -------------------------------------------------------------------------- */

enum iommu_hwpt_pgfault_flags {
	IOMMU_PGFAULT_FLAGS_PASID_VALID = 1 << 0,
	IOMMU_PGFAULT_FLAGS_LAST_PAGE = 1 << 1,
};

enum iommu_hwpt_pgfault_perm {
	IOMMU_PGFAULT_PERM_READ = 1 << 0,
	IOMMU_PGFAULT_PERM_WRITE = 1 << 1,
	IOMMU_PGFAULT_PERM_EXEC = 1 << 2,
	IOMMU_PGFAULT_PERM_PRIV = 1 << 3,
};

/* One record of a read from a fault queue. */
struct iommu_hwpt_pgfault {
	uint32_t flags;
	uint32_t dev_id;
	uint32_t pasid;
	uint32_t grpid;
	uint32_t perm;
	uint32_t __reserved;
	uint64_t addr;
	uint32_t length;
	uint32_t cookie; /* the same in every record of a group */
};
ABI_SIZE(iommu_hwpt_pgfault, 40);
ABI_FIELD(iommu_hwpt_pgfault, flags, 0, 4);
ABI_FIELD(iommu_hwpt_pgfault, dev_id, 4, 4);
ABI_FIELD(iommu_hwpt_pgfault, pasid, 8, 4);
ABI_FIELD(iommu_hwpt_pgfault, grpid, 12, 4);
ABI_FIELD(iommu_hwpt_pgfault, perm, 16, 4);
ABI_FIELD(iommu_hwpt_pgfault, __reserved, 20, 4);
ABI_FIELD(iommu_hwpt_pgfault, addr, 24, 8);
ABI_FIELD(iommu_hwpt_pgfault, length, 32, 4);
ABI_FIELD(iommu_hwpt_pgfault, cookie, 36, 4);

enum iommufd_page_response_code {
	IOMMUFD_PAGE_RESP_SUCCESS = 0,
	IOMMUFD_PAGE_RESP_INVALID = 1,
};

/* One record of a write to a fault queue. */
struct iommu_hwpt_page_response {
	uint32_t cookie;
	uint32_t code;
};
ABI_SIZE(iommu_hwpt_page_response, 8);
ABI_FIELD(iommu_hwpt_page_response, cookie, 0, 4);
ABI_FIELD(iommu_hwpt_page_response, code, 4, 4);

struct iommu_fault_alloc {
	uint32_t size;
	uint32_t flags; /* 0 */
	uint32_t out_fault_id;
	uint32_t out_fault_fd;
};
ABI_SIZE(iommu_fault_alloc, 16);
ABI_FIELD(iommu_fault_alloc, size, 0, 4);
ABI_FIELD(iommu_fault_alloc, flags, 4, 4);
ABI_FIELD(iommu_fault_alloc, out_fault_id, 8, 4);
ABI_FIELD(iommu_fault_alloc, out_fault_fd, 12, 4);

/* ---- virtual IOMMUs ------------------------------------------------------------------------- */

enum iommu_viommu_type {
	IOMMU_VIOMMU_TYPE_DEFAULT = 0,
	IOMMU_VIOMMU_TYPE_ARM_SMMUV3 = 1,
	IOMMU_VIOMMU_TYPE_TEGRA241_CMDQV = 2,
};

struct iommu_viommu_tegra241_cmdqv {
	uint64_t out_vintf_mmap_offset;
	uint64_t out_vintf_mmap_length;
};
ABI_SIZE(iommu_viommu_tegra241_cmdqv, 16);
ABI_FIELD(iommu_viommu_tegra241_cmdqv, out_vintf_mmap_offset, 0, 8);
ABI_FIELD(iommu_viommu_tegra241_cmdqv, out_vintf_mmap_length, 8, 8);

struct iommu_viommu_alloc {
	uint32_t size;
	uint32_t flags; /* 0 */
	uint32_t type;
	uint32_t dev_id;
	uint32_t hwpt_id; /* the nest parent */
	uint32_t out_viommu_id;
	uint32_t data_len;
	uint32_t __reserved;
	uint64_t data_uptr;
};
ABI_SIZE(iommu_viommu_alloc, 40);
ABI_FIELD(iommu_viommu_alloc, size, 0, 4);
ABI_FIELD(iommu_viommu_alloc, flags, 4, 4);
ABI_FIELD(iommu_viommu_alloc, type, 8, 4);
ABI_FIELD(iommu_viommu_alloc, dev_id, 12, 4);
ABI_FIELD(iommu_viommu_alloc, hwpt_id, 16, 4);
ABI_FIELD(iommu_viommu_alloc, out_viommu_id, 20, 4);
ABI_FIELD(iommu_viommu_alloc, data_len, 24, 4);
ABI_FIELD(iommu_viommu_alloc, __reserved, 28, 4);
ABI_FIELD(iommu_viommu_alloc, data_uptr, 32, 8);

struct iommu_vdevice_alloc {
	uint32_t size;
	uint32_t viommu_id;
	uint32_t dev_id;
	uint32_t out_vdevice_id;
	uint64_t virt_id;
};
ABI_SIZE(iommu_vdevice_alloc, 24);
ABI_FIELD(iommu_vdevice_alloc, size, 0, 4);
ABI_FIELD(iommu_vdevice_alloc, viommu_id, 4, 4);
ABI_FIELD(iommu_vdevice_alloc, dev_id, 8, 4);
ABI_FIELD(iommu_vdevice_alloc, out_vdevice_id, 12, 4);
ABI_FIELD(iommu_vdevice_alloc, virt_id, 16, 8);

enum iommu_veventq_flag {
	IOMMU_VEVENTQ_FLAG_LOST_EVENTS = 1u << 0,
};

/* Begins every entry of a read from an event queue. */
struct iommufd_vevent_header {
	uint32_t flags;
	uint32_t sequence;
};
ABI_SIZE(iommufd_vevent_header, 8);
ABI_FIELD(iommufd_vevent_header, flags, 0, 4);
ABI_FIELD(iommufd_vevent_header, sequence, 4, 4);

enum iommu_veventq_type {
	IOMMU_VEVENTQ_TYPE_DEFAULT = 0,
	IOMMU_VEVENTQ_TYPE_ARM_SMMUV3 = 1,
	IOMMU_VEVENTQ_TYPE_TEGRA241_CMDQV = 2,
};

struct iommu_vevent_arm_smmuv3 {
	uint64_t evt[4]; /* little-endian words of an event record */
};
ABI_SIZE(iommu_vevent_arm_smmuv3, 32);
ABI_FIELD(iommu_vevent_arm_smmuv3, evt, 0, 32);

struct iommu_vevent_tegra241_cmdqv {
	uint64_t lvcmdq_err_map[2]; /* little-endian */
};
ABI_SIZE(iommu_vevent_tegra241_cmdqv, 16);
ABI_FIELD(iommu_vevent_tegra241_cmdqv, lvcmdq_err_map, 0, 16);

struct iommu_veventq_alloc {
	uint32_t size;
	uint32_t flags; /* 0 */
	uint32_t viommu_id;
	uint32_t type;
	uint32_t veventq_depth;
	uint32_t out_veventq_id;
	uint32_t out_veventq_fd;
	uint32_t __reserved;
};
ABI_SIZE(iommu_veventq_alloc, 32);
ABI_FIELD(iommu_veventq_alloc, size, 0, 4);
ABI_FIELD(iommu_veventq_alloc, flags, 4, 4);
ABI_FIELD(iommu_veventq_alloc, viommu_id, 8, 4);
ABI_FIELD(iommu_veventq_alloc, type, 12, 4);
ABI_FIELD(iommu_veventq_alloc, veventq_depth, 16, 4);
ABI_FIELD(iommu_veventq_alloc, out_veventq_id, 20, 4);
ABI_FIELD(iommu_veventq_alloc, out_veventq_fd, 24, 4);
ABI_FIELD(iommu_veventq_alloc, __reserved, 28, 4);

enum iommu_hw_queue_type {
	IOMMU_HW_QUEUE_TYPE_DEFAULT = 0,
	IOMMU_HW_QUEUE_TYPE_TEGRA241_CMDQV = 1,
};

struct iommu_hw_queue_alloc {
	uint32_t size;
	uint32_t flags; /* 0 */
	uint32_t viommu_id;
	uint32_t type;
	uint32_t index;
	uint32_t out_hw_queue_id;
	uint64_t nesting_parent_iova;
	uint64_t length;
};
ABI_SIZE(iommu_hw_queue_alloc, 40);
ABI_FIELD(iommu_hw_queue_alloc, size, 0, 4);
ABI_FIELD(iommu_hw_queue_alloc, flags, 4, 4);
ABI_FIELD(iommu_hw_queue_alloc, viommu_id, 8, 4);
ABI_FIELD(iommu_hw_queue_alloc, type, 12, 4);
ABI_FIELD(iommu_hw_queue_alloc, index, 16, 4);
ABI_FIELD(iommu_hw_queue_alloc, out_hw_queue_id, 20, 4);
ABI_FIELD(iommu_hw_queue_alloc, nesting_parent_iova, 24, 8);
ABI_FIELD(iommu_hw_queue_alloc, length, 32, 8);

#endif
