/* SPDX-License-Identifier: MIT */
/*
 * What do the tests of this layer share? A machine with two kinds of IOMMU, a context, memory, and
 * the ioctls as functions that return 0 or -errno.
 */
#ifndef TESTS_IOMMUFD_KIT_H
#define TESTS_IOMMUFD_KIT_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "abi/iommufd.h"
#include "base/bits.h"
#include "base/fault.h"
#include "base/pool.h"
#include "base/why.h"
#include "iommufd/ctx.h"
#include "iommufd/iommufd.h"
#include "mem/account.h"

#define KIT_DEVICES 6
#define KIT_BUFS    32
#define MAX         UINT64_MAX

#define FIXED       IOMMU_IOAS_MAP_FIXED_IOVA
#define RD          IOMMU_IOAS_MAP_READABLE
#define WR          IOMMU_IOAS_MAP_WRITEABLE
#define RW          (RD | WR)

struct kit_dev {
	struct iommu_device dev;
	struct iommufd_device *idev; /* bound */
	uint32_t id;
	bool attached;
};

struct kit {
	struct machine *m;
	struct iommu iommu2; /* behind it: kind2 */
	struct iommu_kind kind2;
	struct iommufd_ctx *ctx;
	struct kit_dev d[KIT_DEVICES];
	unsigned ndevs;
	struct iommu_group *groups2[KIT_DEVICES]; /* of iommu2 */
	unsigned ngroups2;
	struct {
		void *p;
		size_t len;
	} bufs[KIT_BUFS];
	unsigned nbufs;
	uint64_t pinned; /* account_pinned() at the start */
	void (*test)(void **state);
};

/*
 * One test of a table. cmocka puts its own handlers of SIGSEGV in front of ours before each, so
 * the test proper runs through kit_run().
 */
#define KIT_TEST(f)                                             \
	{                                                       \
#f, kit_run, kit_setup, kit_teardown, (void *)f \
	}
void kit_run(void **state);

/* cmocka set-up and tear-down. Tear-down detaches and unbinds, closes, and finds nothing left. */
int kit_setup(void **state);
int kit_teardown(void **state);

/*
 * A device: not bound yet. @group: number, < 0: one of its own. kit_device2(): behind iommu2, whose
 * domains are 39 bits wide and have 4 KiB pages only; it fits no page table of the first kind.
 */
struct kit_dev *kit_device(struct kit *k, int group);
struct kit_dev *kit_device2(struct kit *k);
void kit_bind(struct kit *k, struct kit_dev *d);
/* Returns what it is attached to. */
uint32_t kit_attach(struct kit_dev *d, uint32_t pt_id);
void kit_detach(struct kit_dev *d);
void kit_unbind(struct kit_dev *d);

/* Anonymous memory, a multiple of @align, page i filled with bytes 1 + i % 250. */
char *kit_buf(struct kit *k, size_t len, size_t align);

/* The context's state is consistent, and so are pins and charges: @pages of them now. */
void kit_check(struct kit *k, uint64_t pages);

/* ioctls */
uint32_t kit_ioas(struct kit *k);
int kit_ioctl(struct kit *k, unsigned long cmd, void *arg);
int kit_destroy(struct kit *k, uint32_t id);
int kit_map(struct kit *k, uint32_t ioas, uint32_t flags, const void *va, uint64_t len,
	    uint64_t *iova);
int kit_map_at(struct kit *k, uint32_t ioas, uint64_t iova, const void *va, uint64_t len);
int kit_unmap(struct kit *k, uint32_t ioas, uint64_t iova, uint64_t len, uint64_t *bytes);
unsigned kit_areas(struct kit *k, uint32_t ioas);
/* Ranges of the IOAS; how many. */
unsigned kit_ranges(struct kit *k, uint32_t ioas, struct iommu_iova_range *out, unsigned max,
		    uint64_t *align);

/* The id that the next object gets. */
uint32_t kit_next_id(struct kit *k);

/* Device reads and writes of one byte; 0 or -errno. */
int kit_dma_read(struct kit_dev *d, uint64_t iova, unsigned char *byte);
int kit_dma_write(struct kit_dev *d, uint64_t iova, unsigned char byte);

#define expect_rc(call, want)                                                           \
	do {                                                                            \
		long rc_ = (call);                                                      \
		if (rc_ != (want))                                                      \
			print_message("%s: %ld, reason: %s\n", #call, rc_, why_last()); \
		assert_int_equal(rc_, want);                                            \
	} while (0)

#endif
