/* SPDX-License-Identifier: MIT */
/* What do the tests of device files share? A machine, a small model behind it, its files. */
#ifndef TESTS_VFIO_RIG_H
#define TESTS_VFIO_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "abi/iommufd.h"
#include "abi/vfio.h"
#include "base/fault.h"
#include "base/why.h"
#include "iommufd/iommufd.h"
#include "vfio/pci.h"

#define PROBE_BAR0  0x4000u
#define PROBE_TABLE 0x2000u
#define PROBE_PBA   0x3000u
#define PROBE_VECS  4u
#define PROBE_PM    0xe0u
#define PROBE_EXP   0x90u
#define PROBE_MSIX  0x80u
#define PROBE_REGS  0x1000u /* bytes of BAR 0 that the model keeps */
#define REG_KICK    0x10u   /* written: DMA write of 8 bytes to REG_IOVA, result to REG_RC */
#define REG_IOVA    0x18u
#define REG_RC      0x20u
#define REG_LOOP    0x28u /* non-zero: run() repeats the write until it is stopped */

/* The model. Options: "noflr", "nopin", "nomsix", "nopm", "noexp". */
struct probe {
	struct uiommufd_device *dev;
	uint8_t reg[PROBE_REGS];
	unsigned resets, changed, config_writes, commands;
	unsigned last_cfg_off, last_size;
	uint32_t last_cfg_val;
	uint64_t last_off, doorbell; /* doorbell: REG_KICK as bar_changed() saw it */
	bool master, memory;
	_Atomic bool stopping;
	_Atomic unsigned runs, writes, in_run, log_n;
	struct {
		uint64_t off, val;
		unsigned size;
	} log[32]; /* writes of BAR 0 */
};

extern const struct uiommufd_device_ops probe_ops;

struct rig {
	struct machine *m;
	struct iommufd_ctx *ctx[2];
	int ctx_fd[2]; /* real descriptors that the host callback takes for contexts */
	struct uiommufd_device *fn[2];
	struct vfio_pci *pci[2];
	struct vfio_file *f; /* bound to ctx 0, unless rig_bare() */
	uint32_t devid;
	struct {
		unsigned calls, bar;
		bool on;
	} access;
};

/* argv of the functions; NULL: absent. @addr: PCI addresses or "". */
struct rig_opts {
	const char *options[2][6];
	const char *addr[2];
	bool two;
	int group[2]; /* 0: own */
	unsigned bar0_mode;
};

void rig_main_init(void); /* first thing in main() */
void rig_signals(void);   /* our handlers instead of cmocka's */
struct rig *rig_new(const struct rig_opts *o);
void rig_free(struct rig *r);
struct probe *rig_probe(struct rig *r, unsigned i);
struct vfio_file *rig_open(struct rig *r, unsigned i);
long rig_bind(struct rig *r, struct vfio_file *f, unsigned ctx, uint32_t *id);
uint32_t rig_ioas(struct rig *r, unsigned ctx);
long rig_destroy(struct rig *r, unsigned ctx, uint32_t id);
long rig_attach(struct vfio_file *f, uint32_t *pt);
long rig_detach(struct vfio_file *f);
long rig_map(struct rig *r, unsigned ctx, uint32_t ioas, void *p, size_t len, uint64_t iova);
long rig_set_irqs(struct vfio_file *f, uint32_t flags, uint32_t index, uint32_t start,
		  uint32_t count, const void *data);
int rig_eventfd(unsigned initial);
/* Count of an eventfd, taken; 0 when nothing. */
uint64_t rig_take(int fd);
/* The same, waiting up to a second for it. */
uint64_t rig_wait(int fd);
uint32_t rig_cfg(struct vfio_file *f, unsigned off, unsigned size);
void rig_cfg_set(struct vfio_file *f, unsigned off, unsigned size, uint32_t val);
uint64_t rig_bar(struct vfio_file *f, unsigned bar, uint64_t off, unsigned size);
void rig_bar_set(struct vfio_file *f, unsigned bar, uint64_t off, unsigned size, uint64_t val);
unsigned rig_open_fds(void);
/* A page that can only be read, filled from @src. */
void *rig_readonly(const void *src, size_t n);

/* A bound function 0 with default options; for cmocka_unit_test_setup_teardown. */
int rig_setup(void **state);
int rig_teardown(void **state);

#define IO(f, cmd, arg) vfio_file_ioctl(f, cmd, (uintptr_t)(arg))
#define RIG_TEST(name)  cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

/* Expects a refusal with a reason. */
#define assert_refused(expr, err)                        \
	do {                                             \
		rig_signals();                           \
		why_clear();                             \
		assert_int_equal((long)(expr), -(err));  \
		assert_string_not_equal(why_last(), ""); \
	} while (0)

/*
 * Replays @call failing each of its fault points, once and persistently, until it succeeds without
 * one. After a failure @check holds; after a success @undo is done.
 */
#define SWEEP(call, check, undo)                                            \
	do {                                                                \
		for (int persistent_ = 0; persistent_ < 2; persistent_++) { \
			bool fired_ = true;                                 \
			for (unsigned n_ = 1; fired_; n_++) {               \
				long rc_;                                   \
				fault_arm(n_, persistent_);                 \
				rc_ = (call);                               \
				fault_disarm(&fired_);                      \
				assert_true(n_ < 2000);                     \
				if (rc_ < 0) {                              \
					assert_true(fired_);                \
					check;                              \
				} else {                                    \
					undo;                               \
				}                                           \
			}                                                   \
		}                                                           \
	} while (0)

#endif
