// SPDX-License-Identifier: MIT
/*
 * May threads work in one table without a lock, as long as their ranges are disjoint?
 *
 * A program of its own, so that it can run in a ThreadSanitizer build. Mappers own slices of a
 * window that share tables at every level; readers walk all of it all the time. Tables are given
 * back only after every reader left the walk it was in, and are used again at once, so a reader
 * in a freed table would see another thread's mappings.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/bits.h"
#include "base/why.h"
#include "pgtable/pt.h"
#include "table_arena.h"

#define MAPPERS  3u
#define READERS  2u
#define SLICE    (3 * 0x1000ull) /* neighbours are in one level-0 table */
#define WINDOW   (8 * MIB)
#define BIG      (16 * GIB) /* mapper i owns [BIG + i * GIB, + GIB) as well */
#define PA_DELTA (1ull << 40)

struct shared {
	struct table_arena arena;
	struct pt pt;
	_Atomic uint64_t walking[READERS]; /* odd: in a walk */
	_Atomic bool stop;
	_Atomic uint64_t mistakes, hits, freed;
	unsigned rounds;
};

struct worker {
	struct shared *s;
	unsigned i;
	pthread_t thread;
};

/* After it returns, no walk that began before is still running. */
static void fence(struct shared *s)
{
	for (unsigned i = 0; i < READERS; i++) {
		uint64_t was = atomic_load(&s->walking[i]);

		while (was & 1 && atomic_load(&s->walking[i]) == was)
			sched_yield();
	}
}

static void release(struct shared *s, struct pt_gather *g)
{
	if (g->ntables) {
		atomic_fetch_add(&s->freed, g->ntables);
		fence(s);
	}
	pt_gather_free(&s->pt, g);
}

static void expect(struct shared *s, bool ok)
{
	if (!ok)
		atomic_fetch_add(&s->mistakes, 1);
}

/* The thread's slices of the window: every MAPPERS-th. */
static void slices(struct worker *w, bool map)
{
	struct shared *s = w->s;

	for (uint64_t at = w->i * SLICE; at + SLICE <= WINDOW; at += MAPPERS * SLICE) {
		struct pt_gather g;

		pt_gather_init(&g);
		if (map)
			expect(s, !pt_map(&s->pt, at, at + PA_DELTA, SLICE, PT_READ, &g));
		else
			expect(s, pt_unmap(&s->pt, at, SLICE, &g) == SLICE);
		release(s, &g);
	}
}

/* A range of its own: tables come and go, large pages replace empty tables. */
static void own_range(struct worker *w, unsigned round)
{
	struct shared *s = w->s;
	uint64_t at = BIG + w->i * GIB, len = round % 3 ? 6 * MIB : GIB;
	struct pt_gather g;

	pt_gather_init(&g);
	expect(s, !pt_map(&s->pt, at + 0x1000, at + 0x1000 + PA_DELTA, 4 * MIB, PT_READ, &g));
	expect(s, pt_unmap(&s->pt, at + 0x1000, 4 * MIB, &g) == 4 * MIB);
	release(s, &g);
	expect(s, !pt_map(&s->pt, at, at + PA_DELTA, len, PT_READ, &g));
	release(s, &g);
	expect(s, pt_unmap(&s->pt, at, GIB, &g) == len);
	release(s, &g);
}

static void *mapper(void *arg)
{
	struct worker *w = arg;

	for (unsigned r = 0; r < w->s->rounds; r++) {
		slices(w, true);
		own_range(w, r);
		slices(w, false);
	}
	return NULL;
}

static void *reader(void *arg)
{
	struct worker *w = arg;
	struct shared *s = w->s;
	uint64_t x = 88172645463325252ull + w->i, seq = 0;

	while (!atomic_load_explicit(&s->stop, memory_order_relaxed)) {
		struct pt_walk_result r;
		uint64_t iova;
		int rc;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		iova = x & 1 ? (x >> 1) % WINDOW : BIG + (x >> 1) % (MAPPERS * GIB);
		atomic_store(&s->walking[w->i], ++seq);
		rc = pt_walk(&s->pt, iova, &r);
		atomic_store(&s->walking[w->i], ++seq);
		expect(s, rc == -ENOENT || (!rc && r.pa == iova + PA_DELTA && r.prot == PT_READ));
		atomic_fetch_add_explicit(&s->hits, !rc, memory_order_relaxed);
	}
	return NULL;
}

static void pt__disjoint_ranges_in_threads__no_lock_needed(void **state)
{
	const char *rounds = getenv("PT_ROUNDS");
	struct worker m[MAPPERS], rd[READERS];
	struct pt_config c;
	struct shared s = { .rounds = rounds            ? (unsigned)atoi(rounds)
				      : BUILT_WITH_TSAN ? 100
							: 600 };

	(void)state;
	table_arena_init(&s.arena);
	c = table_arena_config(&s.arena, 4, true);
	assert_int_equal(pt_init(&s.pt, &c), 0);
	for (unsigned i = 0; i < READERS; i++) {
		rd[i] = (struct worker){ .s = &s, .i = i };
		assert_int_equal(pthread_create(&rd[i].thread, NULL, reader, &rd[i]), 0);
	}
	for (unsigned i = 0; i < MAPPERS; i++) {
		m[i] = (struct worker){ .s = &s, .i = i };
		assert_int_equal(pthread_create(&m[i].thread, NULL, mapper, &m[i]), 0);
	}
	for (unsigned i = 0; i < MAPPERS; i++)
		pthread_join(m[i].thread, NULL);
	atomic_store(&s.stop, true);
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(rd[i].thread, NULL);
	assert_int_equal(atomic_load(&s.mistakes), 0);
	assert_true(atomic_load(&s.hits) > 0);
	assert_true(atomic_load(&s.freed) > 0);
	assert_int_equal(pt_check(&s.pt), 0);
	pt_destroy(&s.pt);
	assert_int_equal(s.arena.out, 0);
	assert_int_equal(s.arena.dirty, 0);
	table_arena_finish(&s.arena);
}

/* Many threads need the same missing tables at the same moment: one wins, nothing is lost. */
struct race {
	struct shared *s;
	unsigned i;
	pthread_t thread;
	pthread_barrier_t *start;
};

static void *racer(void *arg)
{
	struct race *r = arg;

	for (unsigned round = 0; round < r->s->rounds; round++) {
		uint64_t at = round * 512 * GIB + r->i * 0x1000;
		struct pt_gather g;

		pt_gather_init(&g);
		pthread_barrier_wait(r->start);
		expect(r->s, !pt_map(&r->s->pt, at, at, 0x1000, PT_WRITE, &g));
		expect(r->s, !g.ntables);
	}
	return NULL;
}

static void pt_map__same_tables_missing__one_installs(void **state)
{
	struct shared s = { .rounds = 200 };
	struct pt_config c;
	struct race r[3];
	pthread_barrier_t start;
	struct pt_stats st;

	(void)state;
	table_arena_init(&s.arena);
	c = table_arena_config(&s.arena, 4, true);
	assert_int_equal(pt_init(&s.pt, &c), 0);
	pthread_barrier_init(&start, NULL, ARRAY_LEN(r));
	for (unsigned i = 0; i < ARRAY_LEN(r); i++) {
		r[i] = (struct race){ .s = &s, .i = i, .start = &start };
		assert_int_equal(pthread_create(&r[i].thread, NULL, racer, &r[i]), 0);
	}
	for (unsigned i = 0; i < ARRAY_LEN(r); i++)
		pthread_join(r[i].thread, NULL);
	pthread_barrier_destroy(&start);
	assert_int_equal(atomic_load(&s.mistakes), 0);
	pt_stats_get(&s.pt, &st);
	assert_int_equal(st.leaves[12], s.rounds * ARRAY_LEN(r));
	assert_int_equal(st.tables[0], s.rounds);
	assert_int_equal(s.arena.out, 1 + 3 * s.rounds);
	assert_int_equal(pt_check(&s.pt), 0);
	pt_destroy(&s.pt);
	assert_int_equal(s.arena.dirty, 0);
	table_arena_finish(&s.arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pt__disjoint_ranges_in_threads__no_lock_needed),
		cmocka_unit_test(pt_map__same_tables_missing__one_installs),
	};

	return cmocka_run_group_tests_name("pt_threads", tests, NULL, NULL);
}
