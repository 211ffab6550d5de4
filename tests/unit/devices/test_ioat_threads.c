// SPDX-License-Identifier: MIT
/* Does the I/OAT model keep its promises while its thread and its clients really run at once? */
#include <sched.h>
#include <time.h>

#include "tests/unit/devices/ioat_rig.h"

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Lets the other thread run where there is one processor, and does not disturb where there are two.
 */
static void spin(unsigned *n)
{
	if (++*n % 1024 == 0)
		sched_yield();
}

/* The word of a descriptor is never seen before its data. */
static void litmus__completion_word__after_the_data(void **state)
{
	struct rig *r = *state;
	_Atomic uint64_t *src = (_Atomic uint64_t *)(void *)r->src;
	_Atomic uint64_t *dst = (_Atomic uint64_t *)(void *)(r->dst + 64 * 1024);
	unsigned n = 0;

	for (unsigned i = 0; i < RING_LEN; i++)
		rig_desc(r, i, CTL_COMP, DST + 64 * 1024, SRC, 8);
	rig_arm(r, 0);
	for (unsigned i = 0; i < 20000; i++) {
		atomic_store(src, i);
		kick(r, (uint16_t)(i + 1));
		while ((atomic_load_explicit(r->comp, memory_order_acquire) & ~7ull) !=
		       at(i % RING_LEN))
			spin(&n);
		assert_int_equal(atomic_load_explicit(dst, memory_order_relaxed), i);
	}
}

/* All descriptors at once: each word seen implies the data of all before it. */
static void litmus__stream__words_only_move_on(void **state)
{
	struct rig *r = *state;
	uint64_t seen = 0, from = 0;
	unsigned n = 0;

	for (unsigned i = 0; i < RING_LEN; i++) {
		r->src[i] = (unsigned char)(i | 1);
		rig_desc(r, i, CTL_COMP, DST + i, SRC + i, 1);
	}
	rig_arm(r, 0);
	kick(r, RING_LEN);
	while (seen != RING_LEN - 1) {
		uint64_t word = atomic_load_explicit(r->comp, memory_order_acquire);

		spin(&n);
		if (!word)
			continue;
		seen = ((word & ~63ull) - RING) / 64;
		assert_true(seen >= from);
		for (; from < seen; from++)
			assert_int_equal(r->dst[from], (unsigned char)(from | 1));
		assert_int_equal(word & 7, seen == RING_LEN - 1 ? ST_IDLE : ST_ACTIVE);
	}
}

static void chansts__right_after_the_kick__never_halted_or_old_idle(void **state)
{
	struct rig *r = *state;
	unsigned n = 0;

	rig_desc(r, 0, 0, DST, SRC, 64)->next = at(1);
	for (unsigned i = 1; i < RING_LEN; i++)
		rig_desc(r, i, 0, DST, SRC, 64);
	for (unsigned round = 0; round < 3; round++) {
		cmd(r, CMD_RESET);
		rig_arm(r, 0);
		for (unsigned i = 0; i < 1000; i++) {
			uint64_t s;

			kick(r, (uint16_t)(i + 1));
			s = sts(r);
			assert_true(s == ((i ? at(i - 1) : 0) | ST_ACTIVE) ||
				    s == (at(i) | ST_IDLE));
			while ((sts(r) & 7) == ST_ACTIVE)
				spin(&n);
		}
	}
}

/*
 * RESET at any moment of a long copy: the register state is that of a reset at once, and when
 * CHANCMD reads 0 no byte moves any more and no word and no interrupt comes.
 */
static void reset__races_a_long_copy__nothing_after_it_reads_0(void **state)
{
	struct rig *r = *state;
	struct timespec pause = { 0, 0 };

	for (unsigned i = 0; i < 300; i++) {
		rig_desc(r, 0, CTL_COMP | CTL_INT, DST, SRC, 1u << 20)->next = at(0);
		*r->comp = 0;
		rig_arm(r, 0x1d);
		kick(r, 3);
		pause.tv_nsec = (long)(i % 30) * 10000;
		nanosleep(&pause, NULL);
		cmd(r, CMD_RESET);
		assert_int_equal(sts(r), ST_HALTED);
		if (i % 2) {
			/* Not waiting: the next chain is in order behind the reset. */
			fake_store(r->dev, R_CHAINADDR, 8, at(1));
			assert_int_equal(sts(r), ST_ARMED);
			rig_desc(r, 1, CTL_NULL, 0, 0, 0);
			kick(r, 1);
			while ((sts(r) & 7) == ST_ACTIVE)
				sched_yield();
			assert_int_equal(sts(r), at(1) | ST_IDLE);
			assert_int_equal(fake_load(r->dev, R_CHANCMD, 1), 0);
		} else {
			unsigned ops, irqs;
			uint64_t word;

			while (fake_load(r->dev, R_CHANCMD, 1) & CMD_RESET)
				sched_yield();
			ops = atomic_load(&r->dev->dma_ops);
			irqs = atomic_load(&r->dev->irqs);
			word = atomic_load(r->comp);
			sched_yield();
			assert_int_equal(atomic_load(&r->dev->dma_ops), ops);
			assert_int_equal(atomic_load(&r->dev->irqs), irqs);
			assert_int_equal(atomic_load(r->comp), word);
			assert_int_equal(sts(r), ST_HALTED);
		}
		assert_int_equal(err(r), 0);
	}
}

/* A storm of copies of 1 MiB ends within a chunk. */
static void flr__during_a_storm__is_prompt(void **state)
{
	struct rig *r = *state;
	double t;

	for (unsigned i = 0; i < 20; i++) {
		rig_desc(r, 0, 0, DST, SRC, 1u << 20)->next = at(0);
		rig_arm(r, 0);
		kick(r, 65535);
		sched_yield();
		t = seconds();
		fake_flr(r->dev);
		assert_true(seconds() - t < 1.0); /* the storm is 64 GiB */
		assert_int_equal(sts(r), ST_HALTED);
		assert_int_equal(fake_load(r->dev, R_DMACOUNT, 2), 0);
	}
}

static void suspend_resume__at_any_moment__no_descriptor_lost_or_doubled(void **state)
{
	struct rig *r = *state;
	unsigned n = 0;

	for (unsigned i = 0; i < RING_LEN; i++)
		rig_desc(r, i, CTL_COMP, DST + 64 * i, SRC + 64 * i, 64);
	rig_arm(r, 0);
	kick(r, RING_LEN);
	do {
		uint64_t s, word;

		cmd(r, CMD_SUSPEND);
		while (((s = sts(r)) & 7) != ST_SUSPENDED)
			spin(&n);
		word = atomic_load(r->comp);
		assert_true((word & ~7ull) == (s & ~7ull));
		cmd(r, CMD_RESUME);
	} while (sts(r) != (at(RING_LEN - 1) | ST_IDLE));
	assert_memory_equal(r->dst, r->src, 64 * RING_LEN);
	assert_int_equal(r->dev->dma_ops, 3 * RING_LEN);
}

static void unmap__during_a_copy__fault_or_done_and_no_access_after(void **state)
{
	struct rig *r = *state;
	unsigned faults = 0;

	for (unsigned i = 0; i < 200; i++) {
		unsigned char *p = rig_alloc(1u << 20);
		uint64_t s;

		fake_map(r->dev, 0x8000000, p, 1u << 20, FAKE_RW);
		rig_desc(r, 0, 0, 0x8000000, SRC, 1u << 20);
		rig_arm(r, 0);
		kick(r, 1);
		if (i % 3)
			sched_yield();
		fake_unmap(r->dev, 0x8000000);
		free(p); /* the sanitizer sees what comes after */
		while ((s = sts(r) & 7) == ST_ACTIVE)
			sched_yield();
		assert_true(s == ST_IDLE || s == ST_HALTED);
		assert_int_equal(err(r), s == ST_HALTED ? 0x200 : 0);
		faults += s == ST_HALTED;
		recover(r);
	}
	assert_int_equal(r->dev->faults, faults);
}

/* Two clients store anything anywhere; the engine must neither hang nor break its own rules. */
struct chaos {
	struct rig *r;
	uint32_t seed;
	unsigned n;
};

static uint32_t next_random(uint32_t *s)
{
	*s = *s * 1664525u + 1013904223u;
	return *s >> 8;
}

static void *chaos(void *arg)
{
	static const uint8_t cmds[] = { 0x04, 0x08, 0x10, 0x20, 0x20, 0x24, 0x04, 0x10 };
	struct chaos *c = arg;
	struct rig *r = c->r;

	for (unsigned i = 0; i < c->n; i++) {
		uint32_t x = next_random(&c->seed);

		switch (x % 8) {
		case 0:
			fake_store(r->dev, R_CHANCMD, 1, cmds[x / 8 % 8]);
			break;
		case 1:
			fake_store(r->dev, R_CHAINADDR, 8, at(x / 8 % 64));
			break;
		case 2:
		case 3:
			fake_store(r->dev, R_DMACOUNT, 2, x / 8 % 32);
			break;
		case 4:
			fake_store(r->dev, R_CHANCMP, 8, COMP + 8 * (x / 8 % 16));
			break;
		case 5:
			fake_store(r->dev, R_CHANCTRL, 2, x / 8);
			break;
		case 6:
			fake_store(r->dev, R_CHANERR, 4, ~0u);
			break;
		default:
			(void)fake_load(r->dev, R_CHANSTS, 8);
			break;
		}
	}
	return NULL;
}

static void anything__two_clients__recovers_in_the_end(void **state)
{
	struct rig *r = *state;
	struct chaos c[2] = { { r, 1, 30000 }, { r, 2, 30000 } };
	pthread_t t[2];

	for (unsigned i = 0; i < RING_LEN; i++)
		rig_desc(r, i, CTL_COMP | (i % 3 ? 0 : CTL_INT), DST, i % 11 ? SRC : 0xbad000,
			 3000);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&t[i], NULL, chaos, &c[i]), 0);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	cmd(r, CMD_RESET);
	while (fake_load(r->dev, R_CHANCMD, 1))
		sched_yield();
	fake_store(r->dev, R_CHANERR, 4, ~0u);
	rig_desc(r, 0, CTL_COMP, DST, SRC, 64);
	rig_arm(r, 0);
	kick(r, 1);
	while ((sts(r) & 7) == ST_ACTIVE)
		sched_yield();
	assert_int_equal(sts(r), at(0) | ST_IDLE);
	assert_int_equal(err(r), 0);
	assert_int_equal(*r->comp, at(0) | ST_IDLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_thread_rig(litmus__completion_word__after_the_data),
		in_thread_rig(litmus__stream__words_only_move_on),
		in_thread_rig(chansts__right_after_the_kick__never_halted_or_old_idle),
		in_thread_rig(reset__races_a_long_copy__nothing_after_it_reads_0),
		in_thread_rig(flr__during_a_storm__is_prompt),
		in_thread_rig(suspend_resume__at_any_moment__no_descriptor_lost_or_doubled),
		in_thread_rig(unmap__during_a_copy__fault_or_done_and_no_access_after),
		in_thread_rig(anything__two_clients__recovers_in_the_end),
	};

	return cmocka_run_group_tests_name("ioat_threads", tests, NULL, NULL);
}
