// SPDX-License-Identifier: MIT
/* Do the access sequences of the known I/OAT drivers work, from probe to teardown? */
#include <sched.h>

#include "tests/unit/devices/ioat_rig.h"

#define SPINS 10000000u

/* Until (load & mask) == want; the budget is only there to fail and not to hang. */
static uint64_t poll_reg(struct rig *r, unsigned off, unsigned size, uint64_t mask, uint64_t want)
{
	uint64_t val = 0;

	for (unsigned i = 0; i < SPINS; i++) {
		val = fake_load(r->dev, off, size);
		if ((val & mask) == want)
			return val;
		sched_yield();
	}
	fail_msg("register 0x%x stays 0x%llx", off, (unsigned long long)val);
	return val;
}

static void poll_word(_Atomic uint64_t *p, uint64_t want)
{
	for (unsigned i = 0; i < SPINS; i++) {
		if (atomic_load_explicit(p, memory_order_acquire) == want)
			return;
		sched_yield();
	}
	fail_msg("the completion word stays 0x%llx", (unsigned long long)*p);
}

static void wait_irqs(struct rig *r, unsigned want)
{
	for (unsigned i = 0; i < SPINS && atomic_load(&r->dev->irqs) < want; i++)
		sched_yield();
	assert_int_equal(atomic_load(&r->dev->irqs), want);
}

/* Linux: interrupt driven, halves of 64-bit registers, a null descriptor first. */

static void linux_reset(struct rig *r)
{
	uint64_t s = fake_load(r->dev, R_CHANSTS, 8) & 7;

	if (s == ST_ACTIVE || s == ST_IDLE) {
		cmd(r, CMD_SUSPEND);
		for (unsigned i = 0; i < SPINS && (s == ST_ACTIVE || s == ST_IDLE); i++)
			s = fake_load(r->dev, R_CHANSTS, 8) & 7;
		assert_true(s == ST_SUSPENDED || s == ST_HALTED);
	}
	fake_store(r->dev, R_CHANERR, 4, fake_load(r->dev, R_CHANERR, 4));
	fake_cfg_store(r->dev, 0x180, fake_cfg_load(r->dev, 0x180));
	cmd(r, CMD_RESET);
	poll_reg(r, R_CHANCMD, 1, CMD_RESET, 0);
}

static void linux_alloc(struct rig *r)
{
	unsigned polls;

	fake_store(r->dev, R_CHANCTRL, 2, 0x1d);
	fake_store(r->dev, R_CHANCMP, 4, (uint32_t)COMP);
	fake_store(r->dev, R_CHANCMP + 4, 4, COMP >> 32);
	for (unsigned i = 0; i < RING_LEN; i++)
		rig_desc(r, i, 0, 0, 0, 0);
	fake_store(r->dev, R_CHAINADDR, 4, (uint32_t)at(0));
	fake_store(r->dev, R_CHAINADDR + 4, 4, at(0) >> 32);
	rig_desc(r, 0, CTL_NULL | CTL_INT | CTL_COMP, 0, 0, 1);
	kick(r, 1);
	for (polls = 0; polls < 20; polls++)
		if ((sts(r) & 7) <= ST_IDLE)
			break;
	assert_true(polls < 20);
}

static void driver__linux__self_test_and_teardown(void **state)
{
	struct rig *r = *state;

	assert_true(fake_load(r->dev, R_CBVER, 1) >= 0x30);
	assert_int_equal(fake_load(r->dev, R_DMACAP, 4), 0x41);
	assert_int_equal(fake_load(r->dev, R_CHANCNT, 1), 1);
	assert_int_equal(fake_load(r->dev, R_XFERCAP, 1) & 0x1f, 20);
	linux_reset(r);
	fake_store(r->dev, R_INTRCTRL, 1, 9);

	for (unsigned round = 0; round < 2; round++) {
		linux_alloc(r);
		wait_irqs(r, 1);
		fake_store(r->dev, R_CHANCTRL, 2, 0x1d);
		poll_word(r->comp, at(0) | ST_IDLE);
		rig_desc(r, 1, CTL_INT | CTL_COMP, DST, SRC, 2000);
		kick(r, 2);
		wait_irqs(r, 2);
		poll_word(r->comp, at(1) | ST_IDLE);
		fake_store(r->dev, R_CHANCTRL, 2, 0x1d);
		assert_memory_equal(r->dst, r->src, 2000);
		linux_reset(r);
		assert_int_equal(sts(r), ST_HALTED);
		atomic_store(&r->dev->irqs, 0);
		*r->comp = 0;
	}
	fake_store(r->dev, R_DCACTRL, 4, 0xffffffff);
	assert_int_equal(fake_load(r->dev, R_DCACTRL, 4), 0xffffffff);
}

/* What the clean-up path does when the word in memory says HALTED. */
static void driver__linux__error_is_recovered(void **state)
{
	struct rig *r = *state;

	linux_reset(r);
	fake_store(r->dev, R_INTRCTRL, 1, 9);
	linux_alloc(r);
	wait_irqs(r, 1);
	fake_store(r->dev, R_CHANCTRL, 2, 0x1d);
	rig_desc(r, 1, CTL_COMP, DST, SRC, 64);
	rig_desc(r, 2, CTL_COMP, DST, 0xbad000, 64);
	rig_desc(r, 3, CTL_COMP, DST + 64, SRC, 64);
	kick(r, 4);
	wait_irqs(r, 2);
	poll_word(r->comp, at(1) | ST_HALTED);
	assert_int_equal(err(r), 0x100);
	linux_reset(r);
	assert_int_equal(err(r), 0);
	fake_store(r->dev, R_CHANCTRL, 2, 0x1d);
	fake_store(r->dev, R_CHANCMP, 8, COMP);
	fake_store(r->dev, R_CHAINADDR, 8, at(3));
	kick(r, 1);
	poll_word(r->comp, at(3) | ST_IDLE);
	assert_memory_equal(r->dst + 64, r->src, 64);
}

/* The kernel's VFIO selftest: CHANSTS is polled, no completion address, everything restarted. */

static void selftest_init(struct rig *r)
{
	fake_cfg_store(r->dev, 0x180, fake_cfg_load(r->dev, 0x180));
	fake_cfg_store(r->dev, 0x180, fake_cfg_load(r->dev, 0x148));
	fake_store(r->dev, R_CHANERR, 4, fake_load(r->dev, R_CHANERR, 4));
	cmd(r, CMD_RESET);
	poll_reg(r, R_CHANCMD, 1, CMD_RESET, 0);
	assert_int_equal(sts(r) & 7, ST_HALTED);
	fake_store(r->dev, R_INTRCTRL, 1, 8);
}

/* Returns 0, or -1 after the recovery that follows an error. */
static int selftest_copy(struct rig *r, uint16_t count, uint32_t ctl, uint64_t dst, uint64_t src,
			 uint32_t size)
{
	uint64_t s;

	rig_desc(r, 0, ctl, dst, src, size)->next = at(0);
	fake_store(r->dev, R_CHAINADDR, 8, at(0));
	fake_store(r->dev, R_CHANCTRL, 2, 9);
	kick(r, count);
	do {
		sched_yield();
		s = sts(r) & 7;
	} while (s != ST_IDLE && s != ST_HALTED);
	if (s == ST_HALTED) {
		selftest_init(r);
		return -1;
	}
	cmd(r, CMD_SUSPEND);
	while ((sts(r) & 7) != ST_SUSPENDED)
		sched_yield();
	return 0;
}

static void driver__selftest__copies_storm_msi_error(void **state)
{
	struct rig *r = *state;

	assert_int_equal(fake_load(r->dev, R_CBVER, 1), 0x33);
	selftest_init(r);
	for (unsigned i = 0; i < 200; i++) {
		r->src[0] = (unsigned char)i;
		assert_int_equal(selftest_copy(r, 1, 0, DST, SRC, 4096), 0);
		assert_memory_equal(r->dst, r->src, 4096);
		assert_int_equal(atomic_load(&r->dev->irqs), 0);
	}
	assert_int_equal(selftest_copy(r, 65535, 0, DST, SRC, 64), 0);
	for (unsigned i = 1; i <= 200; i++) {
		assert_int_equal(selftest_copy(r, 1, CTL_INT, DST, SRC, 64), 0);
		assert_int_equal(atomic_load(&r->dev->irqs), i); /* at once: it was sent before */
	}
	assert_int_equal(selftest_copy(r, 1, 0, DST, 0xbad000, 64), -1);
	assert_int_equal(selftest_copy(r, 1, 0, 0xbad000, SRC, 64), -1);
	assert_int_equal(atomic_load(&r->dev->irqs), 200);
	assert_int_equal(selftest_copy(r, 1, 0, DST, SRC, 64), 0);
}

/* DPDK: polls the word in memory; probe issues SUSPEND blindly; recovery does not wait. */

static void dpdk_probe(struct rig *r)
{
	assert_int_equal(fake_load(r->dev, R_CHANCNT, 1), 1);
	if (fake_load(r->dev, R_CHANCTRL, 2) & 0x100)
		fake_store(r->dev, R_CHANCTRL, 2, 0);
	fake_store(r->dev, R_CHANERR, 4, fake_load(r->dev, R_CHANERR, 4));
	cmd(r, CMD_SUSPEND);
	cmd(r, CMD_RESET);
	for (unsigned i = 0; fake_load(r->dev, R_CHANCMD, 1) & CMD_RESET; i++) {
		fake_store(r->dev, R_CHAINADDR, 8, 0);
		sched_yield();
		assert_true(i < SPINS);
	}
	assert_int_equal(err(r), 0);
}

/* True when it had to recover. */
static bool dpdk_start(struct rig *r)
{
	fake_store(r->dev, R_CHAINADDR, 8, at(0));
	fake_store(r->dev, R_CHANCMP, 8, COMP);
	fake_store(r->dev, R_CHANCTRL, 2, 0x0c);
	if ((sts(r) & 7) != ST_HALTED)
		return false;
	fake_store(r->dev, R_CHANERR, 4, fake_load(r->dev, R_CHANERR, 4));
	cmd(r, CMD_RESET);
	fake_store(r->dev, R_CHAINADDR, 8, at(0));
	fake_store(r->dev, R_CHANCMP, 8, COMP);
	fake_store(r->dev, R_CHANCTRL, 2, 0x0c);
	kick(r, 0);
	assert_int_equal(sts(r), ST_ARMED); /* 64 bits are compared */
	return true;
}

static void dpdk_stop(struct rig *r)
{
	uint64_t s = sts(r) & 7;

	cmd(r, s <= ST_IDLE ? CMD_SUSPEND : CMD_RESET);
	for (unsigned i = 0; i < SPINS; i++) {
		s = sts(r) & 7;
		if (s == ST_SUSPENDED || s == ST_HALTED)
			return;
	}
	fail();
}

static void driver__dpdk__ring_errors_restart(void **state)
{
	struct rig *r = *state;
	uint16_t head = 0;

	for (unsigned i = 0; i < RING_LEN; i++)
		rig_desc(r, i, 0, 0, 0, 0);
	dpdk_probe(r);
	assert_false(dpdk_start(r));
	dpdk_stop(r); /* no job yet: ARMED, so RESET */
	assert_int_equal(sts(r), ST_HALTED);
	assert_false(dpdk_start(r));

	for (unsigned i = 0; i < 3000; i += 32) {
		for (unsigned k = i; k < i + 32; k++)
			rig_desc(r, k, k % 8 ? 0 : CTL_FENCE, DST + 64 * k, SRC + 64 * k, 64);
		r->ring[i + 31].ctl |= CTL_COMP;
		head = (uint16_t)(head + 32);
		kick(r, head);
		for (unsigned n = 0; (*r->comp & ~63ull) != at(i + 31); n++) {
			sched_yield();
			assert_true(n < SPINS);
		}
	}
	assert_memory_equal(r->dst, r->src, 64 * 3000);

	/* A failure in a batch: the word points at the last good one; recovery; go on after it. */
	for (unsigned k = 0; k < 8; k++)
		rig_desc(r, k, CTL_COMP, DST, k == 4 ? 0 : SRC, 64);
	dpdk_stop(r);
	assert_false(dpdk_start(r));
	kick(r, 8);
	poll_word(r->comp, at(3) | ST_HALTED);
	poll_reg(r, R_CHANSTS, 8, 7, ST_HALTED);
	assert_int_equal(err(r), 0x100);
	fake_store(r->dev, R_CHANERR, 4, err(r));
	cmd(r, CMD_RESET);
	fake_store(r->dev, R_CHAINADDR, 8, at(5));
	fake_store(r->dev, R_CHANCMP, 8, COMP);
	fake_store(r->dev, R_CHANCTRL, 2, 0x0c);
	kick(r, 0);
	assert_int_equal(sts(r), ST_ARMED);
	kick(r, 3);
	poll_word(r->comp, at(7) | ST_IDLE);
	dpdk_stop(r);
}

/* SPDK: null descriptor, then polls the word, whose address must be one of its ring's. */
static void driver__spdk__copies_and_fills(void **state)
{
	struct rig *r = *state;
	uint64_t s;

	assert_true(fake_load(r->dev, R_CBVER, 1) >= 0x30);
	assert_true(fake_load(r->dev, R_DMACAP, 4) & 0x40);
	assert_in_range(fake_load(r->dev, R_XFERCAP, 1), 12, 20);
	s = sts(r) & 7;
	assert_int_equal(s, ST_HALTED); /* else it would suspend first */
	fake_store(r->dev, R_CHANERR, 4, fake_load(r->dev, R_CHANERR, 4));
	cmd(r, CMD_RESET);
	poll_reg(r, R_CHANCMD, 1, CMD_RESET, 0);
	fake_store(r->dev, R_CHANCTRL, 2, 8);
	for (unsigned i = 0; i < RING_LEN; i++)
		rig_desc(r, i, 0, 0, 0, 0);
	fake_store(r->dev, R_CHANCMP, 8, COMP);
	fake_store(r->dev, R_CHAINADDR, 8, at(0));
	rig_desc(r, 0, CTL_NULL | CTL_COMP, 0, 0, 8);
	kick(r, 1);
	poll_reg(r, R_CHANSTS, 8, 7, ST_IDLE);
	assert_int_equal(*r->comp, at(0) | ST_IDLE);

	for (unsigned head = 1; head < 2000;) {
		unsigned batch = 1 + head % 7, last = head + batch - 1;

		for (unsigned i = head; i <= last; i++)
			rig_desc(r, i, i % 2 ? CTL_FILL : 0, DST + 64 * i,
				 i % 2 ? 0x0101010101010101ull * (i & 0xff) : SRC + 64 * i, 64);
		r->ring[last].ctl |= CTL_COMP; /* just before the doorbell */
		kick(r, (uint16_t)(last + 1));
		for (unsigned n = 0; (*r->comp & ~7ull) != at(last); n++) {
			sched_yield();
			assert_true(n < SPINS);
		}
		for (unsigned i = head; i <= last; i++)
			if (i % 2)
				assert_int_equal(r->dst[64 * i + 63], i & 0xff);
			else
				assert_memory_equal(r->dst + 64 * i, r->src + 64 * i, 64);
		head = last + 1;
	}
	assert_int_equal(atomic_load(&r->dev->irqs), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_thread_rig(driver__linux__self_test_and_teardown),
		in_thread_rig(driver__linux__error_is_recovered),
		in_thread_rig(driver__selftest__copies_storm_msi_error),
		in_thread_rig(driver__dpdk__ring_errors_restart),
		in_thread_rig(driver__spdk__copies_and_fills),
	};

	return cmocka_run_group_tests_name("ioat_drivers", tests, NULL, NULL);
}
