/* SPDX-License-Identifier: MIT */
/*
 * The test command of iommufd: how a test program makes mock devices, pins, dirties and faults.
 *
 * This interface is not part of the headers that Linux publishes.
 * It is answered only when a machine was made with it (`--test-abi`).
 */
#ifndef ABI_TEST_H
#define ABI_TEST_H

#include "abi/layout.h"

#define IOMMUFD_CMD_TEST   0xa0
#define IOMMU_TEST_CMD     0x3ba0u
#define IOMMU_TEST_CMD_MIN 68 /* smallest accepted size: the end of `last` */

enum {
	IOMMU_TEST_OP_ADD_RESERVED = 1,
	IOMMU_TEST_OP_MOCK_DOMAIN = 2,
	IOMMU_TEST_OP_MD_CHECK_MAP = 3,
	IOMMU_TEST_OP_MD_CHECK_REFS = 4,
	IOMMU_TEST_OP_CREATE_ACCESS = 5,
	IOMMU_TEST_OP_DESTROY_ACCESS_PAGES = 6,
	IOMMU_TEST_OP_ACCESS_PAGES = 7,
	IOMMU_TEST_OP_ACCESS_RW = 8,
	IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT = 9,
	IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE = 10,
	IOMMU_TEST_OP_ACCESS_REPLACE_IOAS = 11,
	IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS = 12,
	IOMMU_TEST_OP_DIRTY = 13,
	IOMMU_TEST_OP_MD_CHECK_IOTLB = 14,
	IOMMU_TEST_OP_TRIGGER_IOPF = 15,
	IOMMU_TEST_OP_DEV_CHECK_CACHE = 16,
	IOMMU_TEST_OP_TRIGGER_VEVENT = 17,
	IOMMU_TEST_OP_PASID_ATTACH = 18,
	IOMMU_TEST_OP_PASID_REPLACE = 19,
	IOMMU_TEST_OP_PASID_DETACH = 20,
	IOMMU_TEST_OP_PASID_CHECK_HWPT = 21,
	IOMMU_TEST_OP_DMABUF_GET = 22,
	IOMMU_TEST_OP_DMABUF_REVOKE = 23,
};

/* The mock page table. */
#define MOCK_PAGE_SIZE      2048u
#define MOCK_HUGE_PAGE_SIZE (512u * MOCK_PAGE_SIZE)
#define MOCK_APERTURE_START 0x01000000u
#define MOCK_APERTURE_LAST  0x7fffffffu

enum {
	MOCK_IOMMUPT_DEFAULT = 0,
	MOCK_IOMMUPT_HUGE = 1,
};

/* Flags of ACCESS_PAGES; SYZ also of ACCESS_RW and IOAS_COPY. */
#define MOCK_FLAGS_ACCESS_WRITE (1u << 0)
#define MOCK_FLAGS_ACCESS_SYZ   (1u << 16)

/* Flags of ACCESS_RW. Bit 1 is unused. */
#define MOCK_ACCESS_RW_WRITE     (1u << 0)
#define MOCK_ACCESS_RW_SLOW_PATH (1u << 2)

/* Flags of CREATE_ACCESS. */
#define MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES (1u << 0)

/* Flags of MOCK_DOMAIN_FLAGS. Bit 1 is refused. */
#define MOCK_FLAGS_DEVICE_NO_DIRTY      (1u << 0)
#define MOCK_FLAGS_DEVICE_PASID         (1u << 2)

#define MOCK_NESTED_DOMAIN_IOTLB_NUM    4
#define MOCK_NESTED_DOMAIN_IOTLB_ID_MAX 3
#define MOCK_DEV_CACHE_NUM              4
#define MOCK_DEV_CACHE_ID_MAX           3
#define MOCK_PASID_WIDTH                20

#define IOMMU_TEST_PASID_RESERVED       1024u /* the PASID whose operations fail by script */
#define IOMMU_TEST_HW_QUEUE_MAX         2
#define IOMMU_TEST_TEMP_MEMORY_LIMIT    65536u /* until SET_TEMP_MEMORY_LIMIT says otherwise */

/* Types of driver data. */
#define IOMMU_HW_INFO_TYPE_SELFTEST                   0xfeedbeefu
#define IOMMU_HW_INFO_SELFTEST_REGVAL                 0xdeadbeefu
#define IOMMU_HWPT_DATA_SELFTEST                      0xdeadu
#define IOMMU_TEST_IOTLB_DEFAULT                      0x0badbeefu
#define IOMMU_TEST_DEV_CACHE_DEFAULT                  0x00baddadu
#define IOMMU_HWPT_INVALIDATE_DATA_SELFTEST           0xdeadbeefu
#define IOMMU_HWPT_INVALIDATE_DATA_SELFTEST_INVALID   0x0dadbeefu
#define IOMMU_VIOMMU_TYPE_SELFTEST                    0xdeadbeefu
#define IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST         0xdeadbeefu
#define IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST_INVALID 0x0dadbeefu
#define IOMMU_VEVENTQ_TYPE_SELFTEST                   0xbeefbeefu
#define IOMMU_HW_QUEUE_TYPE_SELFTEST                  0xdeadbeefu
#define IOMMU_TEST_INVALIDATE_FLAG_ALL                (1u << 0)

struct iommu_test_cmd {
	uint32_t size;
	uint32_t op;
	uint32_t id; /* an object or an access descriptor, by operation */
	uint32_t __reserved;
	union {
		struct {
			uint64_t start;
			uint64_t length;
		} add_reserved;
		struct {
			uint32_t out_stdev_id;
			uint32_t out_hwpt_id;
			uint32_t out_idev_id;
		} mock_domain;
		struct {
			uint32_t out_stdev_id;
			uint32_t out_hwpt_id;
			uint32_t out_idev_id;
			uint32_t dev_flags;
		} mock_domain_flags;
		struct {
			uint32_t pt_id; /* in and out */
		} mock_domain_replace;
		struct {
			uint64_t iova;
			uint64_t length;
			uint64_t uptr;
		} check_map;
		struct {
			uint64_t length;
			uint64_t uptr;
			uint32_t refs;
		} check_refs;
		struct {
			uint32_t out_access_fd;
			uint32_t flags;
		} create_access;
		struct {
			uint32_t access_pages_id;
		} destroy_access_pages;
		struct {
			uint32_t flags;
			uint32_t out_access_pages_id;
			uint64_t iova;
			uint64_t length;
			uint64_t uptr;
		} access_pages;
		struct {
			uint64_t iova;
			uint64_t length;
			uint64_t uptr;
			uint32_t flags;
		} access_rw;
		struct {
			uint32_t limit;
		} memory_limit;
		struct {
			uint32_t ioas_id;
		} access_replace_ioas;
		struct {
			uint32_t flags;
			uint64_t iova;
			uint64_t length;
			uint64_t page_size;
			uint64_t uptr;
			uint64_t out_nr_dirty;
		} dirty;
		struct {
			uint32_t id;
			uint32_t iotlb;
		} check_iotlb;
		struct {
			uint32_t dev_id;
			uint32_t pasid;
			uint32_t grpid;
			uint32_t perm;
			uint64_t addr;
		} trigger_iopf;
		struct {
			uint32_t id;
			uint32_t cache;
		} check_dev_cache;
		struct {
			uint32_t dev_id;
		} trigger_vevent;
		struct {
			uint32_t pasid;
			uint32_t pt_id; /* in and out */
		} pasid_attach;
		struct {
			uint32_t pasid;
			uint32_t pt_id; /* in and out */
		} pasid_replace;
		struct {
			uint32_t pasid;
		} pasid_detach;
		struct {
			uint32_t pasid;
			uint32_t hwpt_id;
		} pasid_check;
		struct {
			uint32_t length;
			uint32_t open_flags;
		} dmabuf_get;
		struct {
			int32_t dmabuf_fd;
			uint32_t revoked;
		} dmabuf_revoke;
	};
	uint32_t last;
};
ABI_SIZE(iommu_test_cmd, 72);
ABI_FIELD(iommu_test_cmd, size, 0, 4);
ABI_FIELD(iommu_test_cmd, op, 4, 4);
ABI_FIELD(iommu_test_cmd, id, 8, 4);
ABI_FIELD(iommu_test_cmd, __reserved, 12, 4);
ABI_FIELD(iommu_test_cmd, add_reserved.start, 16, 8);
ABI_FIELD(iommu_test_cmd, add_reserved.length, 24, 8);
ABI_FIELD(iommu_test_cmd, mock_domain.out_stdev_id, 16, 4);
ABI_FIELD(iommu_test_cmd, mock_domain.out_hwpt_id, 20, 4);
ABI_FIELD(iommu_test_cmd, mock_domain.out_idev_id, 24, 4);
ABI_FIELD(iommu_test_cmd, mock_domain_flags.out_stdev_id, 16, 4);
ABI_FIELD(iommu_test_cmd, mock_domain_flags.out_hwpt_id, 20, 4);
ABI_FIELD(iommu_test_cmd, mock_domain_flags.out_idev_id, 24, 4);
ABI_FIELD(iommu_test_cmd, mock_domain_flags.dev_flags, 28, 4);
ABI_FIELD(iommu_test_cmd, mock_domain_replace.pt_id, 16, 4);
ABI_FIELD(iommu_test_cmd, check_map.iova, 16, 8);
ABI_FIELD(iommu_test_cmd, check_map.length, 24, 8);
ABI_FIELD(iommu_test_cmd, check_map.uptr, 32, 8);
ABI_FIELD(iommu_test_cmd, check_refs.length, 16, 8);
ABI_FIELD(iommu_test_cmd, check_refs.uptr, 24, 8);
ABI_FIELD(iommu_test_cmd, check_refs.refs, 32, 4);
ABI_FIELD(iommu_test_cmd, create_access.out_access_fd, 16, 4);
ABI_FIELD(iommu_test_cmd, create_access.flags, 20, 4);
ABI_FIELD(iommu_test_cmd, destroy_access_pages.access_pages_id, 16, 4);
ABI_FIELD(iommu_test_cmd, access_pages.flags, 16, 4);
ABI_FIELD(iommu_test_cmd, access_pages.out_access_pages_id, 20, 4);
ABI_FIELD(iommu_test_cmd, access_pages.iova, 24, 8);
ABI_FIELD(iommu_test_cmd, access_pages.length, 32, 8);
ABI_FIELD(iommu_test_cmd, access_pages.uptr, 40, 8);
ABI_FIELD(iommu_test_cmd, access_rw.iova, 16, 8);
ABI_FIELD(iommu_test_cmd, access_rw.length, 24, 8);
ABI_FIELD(iommu_test_cmd, access_rw.uptr, 32, 8);
ABI_FIELD(iommu_test_cmd, access_rw.flags, 40, 4);
ABI_FIELD(iommu_test_cmd, memory_limit.limit, 16, 4);
ABI_FIELD(iommu_test_cmd, access_replace_ioas.ioas_id, 16, 4);
ABI_FIELD(iommu_test_cmd, dirty.flags, 16, 4);
ABI_FIELD(iommu_test_cmd, dirty.iova, 24, 8);
ABI_FIELD(iommu_test_cmd, dirty.length, 32, 8);
ABI_FIELD(iommu_test_cmd, dirty.page_size, 40, 8);
ABI_FIELD(iommu_test_cmd, dirty.uptr, 48, 8);
ABI_FIELD(iommu_test_cmd, dirty.out_nr_dirty, 56, 8);
ABI_FIELD(iommu_test_cmd, check_iotlb.id, 16, 4);
ABI_FIELD(iommu_test_cmd, check_iotlb.iotlb, 20, 4);
ABI_FIELD(iommu_test_cmd, trigger_iopf.dev_id, 16, 4);
ABI_FIELD(iommu_test_cmd, trigger_iopf.pasid, 20, 4);
ABI_FIELD(iommu_test_cmd, trigger_iopf.grpid, 24, 4);
ABI_FIELD(iommu_test_cmd, trigger_iopf.perm, 28, 4);
ABI_FIELD(iommu_test_cmd, trigger_iopf.addr, 32, 8);
ABI_FIELD(iommu_test_cmd, check_dev_cache.id, 16, 4);
ABI_FIELD(iommu_test_cmd, check_dev_cache.cache, 20, 4);
ABI_FIELD(iommu_test_cmd, trigger_vevent.dev_id, 16, 4);
ABI_FIELD(iommu_test_cmd, pasid_attach.pasid, 16, 4);
ABI_FIELD(iommu_test_cmd, pasid_attach.pt_id, 20, 4);
ABI_FIELD(iommu_test_cmd, pasid_replace.pasid, 16, 4);
ABI_FIELD(iommu_test_cmd, pasid_replace.pt_id, 20, 4);
ABI_FIELD(iommu_test_cmd, pasid_detach.pasid, 16, 4);
ABI_FIELD(iommu_test_cmd, pasid_check.pasid, 16, 4);
ABI_FIELD(iommu_test_cmd, pasid_check.hwpt_id, 20, 4);
ABI_FIELD(iommu_test_cmd, dmabuf_get.length, 16, 4);
ABI_FIELD(iommu_test_cmd, dmabuf_get.open_flags, 20, 4);
ABI_FIELD(iommu_test_cmd, dmabuf_revoke.dmabuf_fd, 16, 4);
ABI_FIELD(iommu_test_cmd, dmabuf_revoke.revoked, 20, 4);
ABI_FIELD(iommu_test_cmd, last, 64, 4);

struct iommu_test_hw_info {
	uint32_t flags;
	uint32_t test_reg;
};
ABI_SIZE(iommu_test_hw_info, 8);
ABI_FIELD(iommu_test_hw_info, flags, 0, 4);
ABI_FIELD(iommu_test_hw_info, test_reg, 4, 4);

struct iommu_hwpt_selftest {
	uint32_t iotlb;
	uint32_t pagetable_type;
};
ABI_SIZE(iommu_hwpt_selftest, 8);
ABI_FIELD(iommu_hwpt_selftest, iotlb, 0, 4);
ABI_FIELD(iommu_hwpt_selftest, pagetable_type, 4, 4);

struct iommu_hwpt_invalidate_selftest {
	uint32_t flags;
	uint32_t iotlb_id;
};
ABI_SIZE(iommu_hwpt_invalidate_selftest, 8);
ABI_FIELD(iommu_hwpt_invalidate_selftest, flags, 0, 4);
ABI_FIELD(iommu_hwpt_invalidate_selftest, iotlb_id, 4, 4);

struct iommu_viommu_selftest {
	uint32_t in_data;
	uint32_t out_data;
	uint64_t out_mmap_offset;
	uint64_t out_mmap_length;
};
ABI_SIZE(iommu_viommu_selftest, 24);
ABI_FIELD(iommu_viommu_selftest, in_data, 0, 4);
ABI_FIELD(iommu_viommu_selftest, out_data, 4, 4);
ABI_FIELD(iommu_viommu_selftest, out_mmap_offset, 8, 8);
ABI_FIELD(iommu_viommu_selftest, out_mmap_length, 16, 8);

struct iommu_viommu_invalidate_selftest {
	uint32_t flags;
	uint32_t vdev_id;
	uint32_t cache_id;
};
ABI_SIZE(iommu_viommu_invalidate_selftest, 12);
ABI_FIELD(iommu_viommu_invalidate_selftest, flags, 0, 4);
ABI_FIELD(iommu_viommu_invalidate_selftest, vdev_id, 4, 4);
ABI_FIELD(iommu_viommu_invalidate_selftest, cache_id, 8, 4);

struct iommu_viommu_event_selftest {
	uint32_t virt_id;
};
ABI_SIZE(iommu_viommu_event_selftest, 4);
ABI_FIELD(iommu_viommu_event_selftest, virt_id, 0, 4);

#endif
