/* SPDX-License-Identifier: MIT */
/*
 * <linux/iommufd.h> and <linux/vfio.h>, with what older installed headers lack.
 *
 * Debian 12's headers are those of Linux 6.1, older than iommufd and than VFIO's device files.
 * The structs below are the kernel's ABI; with newer headers nothing here is used.
 */
#ifndef EXAMPLES_UAPI_H
#define EXAMPLES_UAPI_H

#include <linux/types.h>
#include <linux/vfio.h>

#if __has_include(<linux/iommufd.h>)
#include <linux/iommufd.h>
#else

#define IOMMU_DESTROY             0x3b80
#define IOMMU_IOAS_ALLOC          0x3b81
#define IOMMU_IOAS_MAP            0x3b85
#define IOMMU_IOAS_UNMAP          0x3b86

#define IOMMU_IOAS_MAP_FIXED_IOVA 1
#define IOMMU_IOAS_MAP_WRITEABLE  2
#define IOMMU_IOAS_MAP_READABLE   4

struct iommu_ioas_alloc {
	__u32 size, flags, out_ioas_id;
};

struct iommu_ioas_map {
	__u32 size, flags, ioas_id, __reserved;
	__aligned_u64 user_va, length, iova;
};

struct iommu_ioas_unmap {
	__u32 size, ioas_id;
	__aligned_u64 iova, length;
};

#endif

#ifndef VFIO_DEVICE_BIND_IOMMUFD

#define VFIO_DEVICE_BIND_IOMMUFD      0x3b76
#define VFIO_DEVICE_ATTACH_IOMMUFD_PT 0x3b77

struct vfio_device_bind_iommufd {
	__u32 argsz, flags;
	__s32 iommufd;
	__u32 out_devid;
};

struct vfio_device_attach_iommufd_pt {
	__u32 argsz, flags, pt_id;
};

#endif
#endif
