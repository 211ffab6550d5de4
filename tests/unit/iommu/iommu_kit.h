/* SPDX-License-Identifier: MIT */
/* What do the tests of this layer share? One machine, one device, memory, and a toy model. */
#ifndef TESTS_IOMMU_KIT_H
#define TESTS_IOMMU_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bits.h"
#include "base/fault.h"
#include "base/pool.h"
#include "base/why.h"
#include "iommu/function.h"

#define KIT_RUNS 64

struct kit {
	struct machine *m;
	struct iommu_group *g;
	struct iommu_device dev;
	struct iommu_domain *dom; /* attached */
	struct phys_run runs[KIT_RUNS];
	unsigned nruns;
	struct {
		void *p;
		size_t len;
	} bufs[KIT_RUNS];
	unsigned nbufs;
};

/* cmocka set-up and tear-down; *state is the kit. All pins and buffers go with it. */
int kit_setup(void **state);
/* The same behind an IOMMU "KIND,KEY=VALUE...", with a domain of these ABI flags. */
int kit_setup_as(void **state, const char *iommu, uint32_t flags);
int kit_teardown(void **state);

/*
 * cmocka puts its own SIGSEGV and SIGBUS handlers in front for each test. main() calls guard_save()
 * first, and a test whose DMA meets missing memory guard_restore().
 */
void guard_save(void);
void guard_restore(void);

/* Anonymous memory at an address that is a multiple of @align, filled with a pattern. */
char *kit_buf(struct kit *k, size_t len, size_t align);
/* Pins and maps [p, p + len) at @iova. */
void kit_map_in(struct kit *k, struct iommu_domain *dom, uint64_t iova, void *p, size_t len,
		unsigned prot, bool small);
void kit_map(struct kit *k, uint64_t iova, void *p, size_t len, unsigned prot);
void kit_unmap(struct kit *k, struct iommu_domain *dom, uint64_t iova, size_t len);
struct iommu_domain *kit_domain(struct kit *k);

/* The newest fault record. */
void kit_last_fault(struct kit *k, struct iommu_fault *f);

/* Expects the newest record to be this, and the DMA's result -EFAULT. */
#define expect_fault(k, rc, want_iova, want_reason)       \
	do {                                              \
		struct iommu_fault f_;                    \
		assert_int_equal(rc, -EFAULT);            \
		kit_last_fault(k, &f_);                   \
		assert_int_equal(f_.reason, want_reason); \
		assert_int_equal(f_.iova, want_iova);     \
	} while (0)

/*
 * The toy: BAR 0 holds eight 64-bit registers, memory that bar_write stores to. Writing register 0
 * kicks; run() then writes a count to IOVA register 1 until it is stopped or register 2 times.
 */
struct toy {
	struct uiommufd_device *dev;
	uint64_t reg[8];
	_Atomic bool stopping;
	_Atomic unsigned runs, resets, stops, alive;
	_Atomic uint64_t writes;
	_Atomic int last_rc;
	_Atomic unsigned in_run;
	_Atomic bool overlapped; /* two run() at once: never */
};

extern const struct uiommufd_device_ops toy_ops;

/* A function with the toy in group of its own, claimed and attached to the kit's domain. */
struct uiommufd_device *kit_toy(struct kit *k);
void kit_toy_release(struct kit *k, struct uiommufd_device *f);

/* Replays @call (int, 0 or -errno) failing each of its fault points, once and persistently. */
#define fault_sweep(call, undo)                                                  \
	do {                                                                     \
		for (int persistent_ = 0; persistent_ < 2; persistent_++) {      \
			bool fired_ = true;                                      \
			for (unsigned n_ = 1; fired_; n_++) {                    \
				int rc_;                                         \
				fault_arm(n_, persistent_);                      \
				rc_ = (call);                                    \
				fault_disarm(&fired_);                           \
				assert_true(n_ < 1000);                          \
				if (!rc_) {                                      \
					undo;                                    \
				} else {                                         \
					assert_true(fired_);                     \
					assert_int_equal(rc_, -ENOMEM);          \
					assert_string_not_equal(why_last(), ""); \
				}                                                \
			}                                                        \
		}                                                                \
	} while (0)

#endif
