/* SPDX-License-Identifier: MIT */
/* An I/OAT function on the fake engine with memory to copy, for its tests. */
#ifndef TESTS_IOAT_RIG_H
#define TESTS_IOAT_RIG_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "devices/devices.h"
#include "tests/unit/devices/fake_engine.h"

/* Registers, spelled out here and not taken from the model. */
#define R_CHANCNT     0x00
#define R_XFERCAP     0x01
#define R_GENCTRL     0x02
#define R_INTRCTRL    0x03
#define R_ATTNSTATUS  0x04
#define R_CBVER       0x08
#define R_INTRDELAY   0x0c
#define R_CS_STATUS   0x0e
#define R_DMACAP      0x10
#define R_DCAOFFSET   0x14
#define R_CHANCTRL    0x80
#define R_DMA_COMP    0x82
#define R_CHANCMD     0x84
#define R_DMACOUNT    0x86
#define R_CHANSTS     0x88
#define R_CHAINADDR   0x90
#define R_CHANCMP     0x98
#define R_CDAR        0xa0
#define R_CHANERR     0xa8
#define R_CHANERRMSK  0xac
#define R_DCACTRL     0xb0

#define CMD_SUSPEND   0x04
#define CMD_ABORT     0x08
#define CMD_RESUME    0x10
#define CMD_RESET     0x20

#define ST_ACTIVE     0
#define ST_IDLE       1
#define ST_SUSPENDED  2
#define ST_HALTED     3
#define ST_ARMED      4

#define CTL_INT       0x01u
#define CTL_COMP      0x08u
#define CTL_FENCE     0x10u
#define CTL_NULL      0x20u
#define CTL_SRC_BREAK 0x40u
#define CTL_DST_BREAK 0x80u
#define CTL_FILL      (1u << 24)

/* IOVAs of the rig's memory. */
#define RING     0x100000ull
#define COMP     0x300000ull
#define SRC      0x1000000ull
#define DST      0x2000000ull

#define RING_LEN 4096u
#define BUF_LEN  (2u << 20)

struct desc {
	uint32_t size, ctl;
	uint64_t src, dst, next, src2, dst2, sw[2];
};

struct rig {
	struct uiommufd_device *dev;
	struct desc *ring;
	_Atomic uint64_t *comp;
	unsigned char *src, *dst;
};

static inline void *rig_alloc(size_t len)
{
	void *p = aligned_alloc(4096, len);

	assert_non_null(p);
	memset(p, 0, len);
	return p;
}

static inline struct rig *rig_new(enum fake_mode mode, const char *const argv[])
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->dev = fake_open(&ioat_model, argv, mode, NULL);
	assert_non_null(r->dev);
	r->ring = rig_alloc(RING_LEN * sizeof(struct desc));
	r->comp = rig_alloc(4096);
	r->src = rig_alloc(BUF_LEN);
	r->dst = rig_alloc(BUF_LEN);
	for (size_t i = 0; i < BUF_LEN; i++)
		r->src[i] = (unsigned char)(i * 7 + (i >> 8) + 1);
	fake_map(r->dev, RING, r->ring, RING_LEN * sizeof(struct desc), FAKE_READ);
	fake_map(r->dev, COMP, (void *)r->comp, 4096, FAKE_RW);
	fake_map(r->dev, SRC, r->src, BUF_LEN, FAKE_READ);
	fake_map(r->dev, DST, r->dst, BUF_LEN, FAKE_RW);
	return r;
}

static inline void rig_free(struct rig *r)
{
	fake_close(r->dev);
	free(r->ring);
	free((void *)r->comp);
	free(r->src);
	free(r->dst);
	free(r);
}

static inline int rig_setup(void **state)
{
	*state = rig_new(FAKE_INLINE, NULL);
	return 0;
}

static inline int rig_setup_manual(void **state)
{
	*state = rig_new(FAKE_MANUAL, NULL);
	return 0;
}

static inline int rig_setup_thread(void **state)
{
	*state = rig_new(FAKE_THREAD, NULL);
	return 0;
}

static inline int rig_teardown(void **state)
{
	rig_free(*state);
	return 0;
}

static inline uint64_t at(unsigned i)
{
	return RING + 64ull * i;
}

/* Descriptor @i, linked to the one after it. */
static inline struct desc *rig_desc(struct rig *r, unsigned i, uint32_t ctl, uint64_t dst,
				    uint64_t src, uint32_t size)
{
	r->ring[i] = (struct desc){
		.size = size,
		.ctl = ctl,
		.src = src,
		.dst = dst,
		.next = at((i + 1) % RING_LEN),
	};
	return &r->ring[i];
}

static inline uint64_t sts(struct rig *r)
{
	return fake_load(r->dev, R_CHANSTS, 8);
}

static inline uint32_t err(struct rig *r)
{
	return (uint32_t)fake_load(r->dev, R_CHANERR, 4);
}

static inline void cmd(struct rig *r, unsigned c)
{
	fake_store(r->dev, R_CHANCMD, 1, c);
}

/* Points the channel at descriptor 0. */
static inline void rig_arm(struct rig *r, uint16_t chanctrl)
{
	fake_store(r->dev, R_CHAINADDR, 8, at(0));
	fake_store(r->dev, R_CHANCMP, 8, COMP);
	fake_store(r->dev, R_CHANCTRL, 2, chanctrl);
}

static inline void kick(struct rig *r, uint16_t count)
{
	fake_store(r->dev, R_DMACOUNT, 2, count);
}

/* What the drivers do after an error. */
static inline void recover(struct rig *r)
{
	fake_store(r->dev, R_CHANERR, 4, err(r));
	fake_cfg_store(r->dev, 0x180, fake_cfg_load(r->dev, 0x180));
	cmd(r, CMD_RESET);
	assert_int_equal(fake_load(r->dev, R_CHANCMD, 1), 0);
}

#define in_rig(f)        cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
#define in_manual_rig(f) cmocka_unit_test_setup_teardown(f, rig_setup_manual, rig_teardown)
#define in_thread_rig(f) cmocka_unit_test_setup_teardown(f, rig_setup_thread, rig_teardown)

#endif
