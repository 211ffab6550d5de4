// SPDX-License-Identifier: MIT
/* Does the I/OAT model work on the real engine: its thread, its IOMMU, its faults and resets? */
#include <errno.h>
#include <sched.h>
#include <time.h>

#include "devices/devices.h"
#include "tests/unit/iommu/iommu_kit.h"

#define RW          (IOMMU_READ | IOMMU_WRITE)
#define RING        0x100000ull
#define COMP        0x300000ull
#define SRC         0x1000000ull
#define DST         0x2000000ull
#define BUF         (2 * MIB)
#define R_CHANCTRL  0x80
#define R_CHANCMD   0x84
#define R_DMACOUNT  0x86
#define R_CHANSTS   0x88
#define R_CHAINADDR 0x90
#define R_CHANCMP   0x98
#define R_CHANERR   0xa8

struct desc {
	uint32_t size, ctl;
	uint64_t src, dst, next, rest[4];
};

struct rig {
	struct kit *k;
	struct uiommufd_device *f;
	struct desc *ring;
	_Atomic uint64_t *comp;
	unsigned char *src, *dst;
	_Atomic unsigned irqs;
	_Atomic uint32_t chanerr_int;
};

static char owner;

static void on_irq(void *arg, unsigned vector)
{
	struct rig *r = arg;

	assert_int_equal(vector, 0);
	atomic_fetch_add(&r->irqs, 1);
}

static void on_intx(void *arg, bool level)
{
	(void)arg;
	(void)level;
}

static bool on_msix(void *arg)
{
	(void)arg;
	return true;
}

static void on_cfg_or(void *arg, unsigned off, uint32_t bits)
{
	struct rig *r = arg;

	if (off == 0x180)
		atomic_fetch_or(&r->chanerr_int, bits);
}

static void *on_bar_mem(void *arg, unsigned bar)
{
	(void)arg;
	(void)bar;
	return NULL;
}

static const struct function_vfio_ops wires = {
	.irq = on_irq,
	.intx = on_intx,
	.msix_on = on_msix,
	.cfg_or = on_cfg_or,
	.bar_mem = on_bar_mem,
};

static int setup(void **state)
{
	const struct function_spec spec = { .ops = &ioat_model, .group = -1 };
	struct rig *r = mem_zalloc(sizeof(*r));
	void *k = NULL;

	assert_non_null(r);
	kit_setup(&k);
	r->k = k;
	assert_int_equal(function_create(r->k->m, &spec, &r->f), 0);
	r->f->vfio = r;
	r->f->vfio_ops = &wires;
	function_set_bus_master(r->f, true);
	assert_int_equal(iommu_group_claim(r->f->idev.group, &owner), 0);
	assert_int_equal(iommu_group_attach(r->f->idev.group, r->k->dom), 0);
	r->ring = (void *)kit_buf(r->k, 64 * KIB, PAGE_SIZE);
	r->comp = (void *)kit_buf(r->k, PAGE_SIZE, PAGE_SIZE);
	r->src = (void *)kit_buf(r->k, BUF, PAGE_SIZE);
	r->dst = (void *)kit_buf(r->k, BUF, PAGE_SIZE);
	memset(r->ring, 0, 64 * KIB);
	memset((void *)r->comp, 0, PAGE_SIZE);
	memset(r->dst, 0, BUF);
	kit_map(r->k, RING, r->ring, 64 * KIB, IOMMU_READ);
	kit_map(r->k, COMP, (void *)r->comp, PAGE_SIZE, RW);
	kit_map(r->k, SRC, r->src, BUF, IOMMU_READ);
	kit_map(r->k, DST, r->dst, BUF, RW);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;
	void *k = r->k;

	function_reset(r->f, UIOMMUFD_RESET_FUNCTION);
	iommu_group_detach(r->f->idev.group);
	iommu_group_release(r->f->idev.group, &owner);
	kit_teardown(&k);
	mem_free(r);
	return 0;
}

static uint64_t at(unsigned i)
{
	return RING + 64ull * i;
}

static struct desc *put(struct rig *r, unsigned i, uint32_t ctl, uint64_t dst, uint64_t src,
			uint32_t size)
{
	r->ring[i] = (struct desc){ size, ctl, src, dst, at((i + 1) % 1024), { 0 } };
	return &r->ring[i];
}

static uint64_t sts(struct rig *r)
{
	return function_bar_read(r->f, 0, R_CHANSTS, 8);
}

static void store(struct rig *r, unsigned off, unsigned size, uint64_t val)
{
	function_bar_write(r->f, 0, off, size, val);
}

static void arm(struct rig *r)
{
	store(r, R_CHAINADDR, 8, at(0));
	store(r, R_CHANCMP, 8, COMP);
	store(r, R_CHANCTRL, 2, 0x1d);
}

static uint64_t wait_done(struct rig *r)
{
	uint64_t s;

	while (((s = sts(r)) & 7) == 0)
		sched_yield();
	return s;
}

static void recover(struct rig *r)
{
	store(r, R_CHANERR, 4, ~0u);
	store(r, R_CHANCMD, 1, 0x20);
	while (function_bar_read(r->f, 0, R_CHANCMD, 1))
		sched_yield();
}

static void copy__mapped__data_word_interrupt(void **state)
{
	struct rig *r = *state;

	put(r, 0, 0x09, DST + 17, SRC + 5, 1 * MIB);
	arm(r);
	store(r, R_DMACOUNT, 2, 1);
	assert_int_equal(wait_done(r), at(0) | 1);
	assert_int_equal(*r->comp, at(0) | 1);
	assert_memory_equal(r->dst + 17, r->src + 5, 1 * MIB);
	for (unsigned i = 0; !atomic_load(&r->irqs) && i < 1000000; i++)
		sched_yield();
	assert_int_equal(r->irqs, 1);
}

static void copy__across_two_mappings_of_other_memory__exact(void **state)
{
	struct rig *r = *state;
	char *a = kit_buf(r->k, PAGE_SIZE, PAGE_SIZE), *b = kit_buf(r->k, PAGE_SIZE, PAGE_SIZE);

	kit_map(r->k, 0x5000000, b, PAGE_SIZE, RW);
	kit_map(r->k, 0x5001000, a, PAGE_SIZE, RW);
	put(r, 0, 0, 0x5000800, SRC, 4096);
	put(r, 1, 0, DST, 0x5000800, 4096);
	arm(r);
	store(r, R_DMACOUNT, 2, 2);
	assert_int_equal(wait_done(r), at(1) | 1);
	assert_memory_equal(b + 0x800, r->src, 0x800);
	assert_memory_equal(a, r->src + 0x800, 0x800);
	assert_memory_equal(r->dst, r->src, 4096);
}

static void fault__each_access__recorded_and_one_bit(void **state)
{
	static const struct {
		uint64_t chain, dst, src, cmp, iova;
		uint32_t err, ctl;
		enum iommu_fault_reason reason;
	} c[] = {
		{ RING, DST, 0xbad000, COMP, 0xbad000, 0x100, 0, IOMMU_FAULT_NOT_MAPPED },
		{ RING, 0xbad000, SRC, COMP, 0xbad000, 0x200, 0, IOMMU_FAULT_NOT_MAPPED },
		{ RING, SRC, DST, COMP, SRC, 0x200, 0, IOMMU_FAULT_PERMISSION },
		{ RING, DST + BUF - 100, SRC, COMP, DST + BUF, 0x200, 0, IOMMU_FAULT_NOT_MAPPED },
		{ 0xbad000, DST, SRC, COMP, 0xbad000, 0x10, 0, IOMMU_FAULT_NOT_MAPPED },
		{ RING, DST, SRC, 0xbad000, 0xbad000, 0x1000, 8, IOMMU_FAULT_NOT_MAPPED },
		{ RING, DST, ~0ull - 100, COMP, ~0ull - 100, 0x100, 0, IOMMU_FAULT_ADDRESS },
	};
	struct rig *r = *state;

	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		struct iommu_fault f;

		*r->comp = 0;
		atomic_store(&r->chanerr_int, 0);
		put(r, 0, c[i].ctl, c[i].dst, c[i].src, 4096);
		arm(r);
		store(r, R_CHAINADDR, 8, c[i].chain);
		store(r, R_CHANCMP, 8, c[i].cmp);
		store(r, R_DMACOUNT, 2, 1);
		assert_int_equal(wait_done(r), 3);
		assert_int_equal(function_bar_read(r->f, 0, R_CHANERR, 4), c[i].err);
		assert_int_equal(r->chanerr_int, c[i].err);
		if (c[i].cmp == COMP)
			assert_int_equal(*r->comp, 3);
		kit_last_fault(r->k, &f);
		assert_int_equal(f.iova, c[i].iova);
		assert_int_equal(f.reason, c[i].reason);
		recover(r);
	}
}

static void bus_master__off__moves_nothing(void **state)
{
	struct rig *r = *state;

	put(r, 0, 0, DST, SRC, 64);
	function_set_bus_master(r->f, false);
	arm(r);
	store(r, R_DMACOUNT, 2, 1);
	assert_int_equal(wait_done(r), 3);
	assert_int_equal(r->dst[1], 0);
	function_set_bus_master(r->f, true);
	recover(r);
	arm(r);
	store(r, R_DMACOUNT, 2, 1);
	assert_int_equal(wait_done(r), at(0) | 1);
}

static void unmap__during_a_copy__fault_or_done(void **state)
{
	struct rig *r = *state;
	unsigned char *p = (void *)kit_buf(r->k, 1 * MIB, PAGE_SIZE);
	unsigned halted = 0;

	for (unsigned i = 0; i < 50; i++) {
		uint64_t s;

		/* One pin is enough: it stays until the teardown. */
		if (!i)
			kit_map(r->k, 0x8000000, p, 1 * MIB, RW);
		put(r, 0, 0, 0x8000000, SRC, 1 * MIB);
		arm(r);
		store(r, R_DMACOUNT, 2, 1);
		if (i % 2)
			sched_yield();
		if (i == 49) {
			kit_unmap(r->k, r->k->dom, 0x8000000, 1 * MIB);
			memset(p, 0x5a, 1 * MIB); /* ours again */
		}
		s = wait_done(r) & 7;
		assert_true(s == 1 || s == 3);
		halted += s == 3;
		assert_int_equal(function_bar_read(r->f, 0, R_CHANERR, 4), s == 3 ? 0x200 : 0);
		recover(r);
	}
	assert_true(halted <= 1);
	for (size_t i = 0; i < 1 * MIB; i += 512)
		assert_int_equal(p[i], 0x5a);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void reset__during_a_storm__prompt_and_complete(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < 40; i++) {
		double t;

		put(r, 0, 0x08, DST, SRC, 1 * MIB)->next = at(0);
		arm(r);
		store(r, R_DMACOUNT, 2, 65535); /* 64 GiB */
		sched_yield();
		t = seconds();
		if (i % 2) {
			function_reset(r->f, UIOMMUFD_RESET_FUNCTION);
		} else {
			store(r, R_CHANCMD, 1, 0x20);
			assert_int_equal(sts(r), 3);
			while (function_bar_read(r->f, 0, R_CHANCMD, 1))
				sched_yield();
		}
		assert_true(seconds() - t < 1.0);
		assert_int_equal(sts(r), 3);
		*r->comp = 0;
		sched_yield();
		assert_int_equal(*r->comp, 0);
	}
}

static void litmus__completion_word__after_the_data(void **state)
{
	struct rig *r = *state;
	_Atomic uint64_t *src = (void *)r->src, *dst = (void *)(r->dst + 128 * KIB);

	for (unsigned i = 0; i < 1024; i++)
		put(r, i, 8, DST + 128 * KIB, SRC, 8);
	arm(r);
	for (unsigned i = 0; i < 20000; i++) {
		atomic_store(src, i);
		store(r, R_DMACOUNT, 2, (uint16_t)(i + 1));
		for (unsigned n = 0;
		     (atomic_load_explicit(r->comp, memory_order_acquire) & ~7ull) != at(i % 1024);
		     n++)
			if (n % 1024 == 1023)
				sched_yield();
		assert_int_equal(atomic_load_explicit(dst, memory_order_relaxed), i);
	}
}

static void suspend__same_chain_again__1000_times(void **state)
{
	struct rig *r = *state;

	put(r, 0, 0x01, DST, SRC, 64)->next = at(0);
	for (unsigned i = 1; i <= 1000; i++) {
		r->src[0] = (unsigned char)i;
		store(r, R_CHAINADDR, 8, at(0));
		store(r, R_CHANCTRL, 2, 9);
		store(r, R_DMACOUNT, 2, 1);
		assert_int_equal(wait_done(r), at(0) | 1);
		store(r, R_CHANCMD, 1, 4);
		while ((sts(r) & 7) != 2)
			sched_yield();
		assert_int_equal(r->dst[0], (unsigned char)i);
		assert_int_equal(atomic_load(&r->irqs), i); /* exactly one each, sent by now */
	}
}

#define t(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(copy__mapped__data_word_interrupt),
		t(copy__across_two_mappings_of_other_memory__exact),
		t(fault__each_access__recorded_and_one_bit),
		t(bus_master__off__moves_nothing),
		t(unmap__during_a_copy__fault_or_done),
		t(reset__during_a_storm__prompt_and_complete),
		t(litmus__completion_word__after_the_data),
		t(suspend__same_chain_again__1000_times),
	};

	guard_save();
	return cmocka_run_group_tests_name("ioat_engine", tests, NULL, NULL);
}
