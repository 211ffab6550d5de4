// SPDX-License-Identifier: MIT
/*
 * May threads work in one table without a lock, as long as their ranges are disjoint? And does
 * hardware's marking of entries go with that?
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

/* ---- dirty bits: accessors mark, a reader tells and forgets, a mapper changes neighbours ---- */

#define PAGES 300u

struct marks {
	struct table_arena arena;
	struct pt pt;
	_Atomic uint64_t round;        /* number of the read that is under way or comes next */
	_Atomic uint64_t wrote[PAGES]; /* the highest round in which a write began */
	uint64_t reported[PAGES];      /* the last read that told of it */
	_Atomic uint64_t bad;
	_Atomic bool stop;
};

static void *marker(void *arg)
{
	struct marks *m = arg;
	uint64_t x = 88172645463325252ull ^ (uintptr_t)&x;

	while (!atomic_load_explicit(&m->stop, memory_order_relaxed)) {
		uint64_t page, round, was;
		struct pt_walk_result r;
		unsigned rights;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		page = x % PAGES;
		round = atomic_load(&m->round);
		do {
			if (pt_walk(&m->pt, page * 0x1000, &r))
				break;
			rights = pt_access(&m->pt, page * 0x1000, true, &r);
		} while (!rights);
		atomic_fetch_add(&m->bad, r.why != PT_OK || r.pa != PA_DELTA + page * 0x1000);
		was = atomic_load(&m->wrote[page]);
		while (was < round && !atomic_compare_exchange_weak(&m->wrote[page], &was, round))
			;
	}
	return NULL;
}

static void *neighbour(void *arg)
{
	struct marks *m = arg;

	while (!atomic_load_explicit(&m->stop, memory_order_relaxed)) {
		const uint64_t at = PAGES * 0x1000;
		struct pt_gather g;

		pt_gather_init(&g);
		if (pt_map(&m->pt, at, at + PA_DELTA, 0x3000, PT_READ | PT_WRITE, &g))
			atomic_fetch_add(&m->bad, 1);
		atomic_fetch_add(&m->bad, pt_unmap(&m->pt, at, 0x3000, &g) != 0x3000);
	}
	return NULL;
}

static void note(void *arg, uint64_t first, uint64_t last)
{
	struct marks *m = arg;

	for (uint64_t i = first >> 12; i <= last >> 12; i++)
		m->reported[i] = atomic_load(&m->round);
}

static void one_read(struct marks *m)
{
	pt_dirty_read(&m->pt, 0, PAGES * 0x1000, 0, note, m);
	atomic_fetch_add(&m->round, 1);
}

/* No IOTLB here: each write asks the table, so each is told of by a read that ends after it. */
static void pt_dirty_read__writers_in_threads__nothing_lost(void **state)
{
	static struct marks m;
	pthread_t id[3];
	struct pt_config c;
	struct pt_gather g;

	(void)state;
	m = (struct marks){ .round = 1 };
	table_arena_init(&m.arena);
	c = table_arena_config(&m.arena, 4, true);
	assert_int_equal(pt_init(&m.pt, &c), 0);
	pt_gather_init(&g);
	assert_int_equal(
		pt_map(&m.pt, 0, PA_DELTA, PAGES * 0x1000, PT_READ | PT_WRITE | PT_SMALL, &g), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&id[i], NULL, i < 2 ? marker : neighbour, &m), 0);
	for (unsigned i = 0; i < (BUILT_WITH_TSAN ? 2000 : 20000); i++)
		one_read(&m);
	atomic_store(&m.stop, true);
	for (unsigned i = 0; i < 3; i++)
		pthread_join(id[i], NULL);
	one_read(&m);
	assert_int_equal(atomic_load(&m.bad), 0);
	for (unsigned i = 0; i < PAGES; i++)
		assert_true(m.reported[i] >= atomic_load(&m.wrote[i]));
	assert_int_equal(pt_check(&m.pt), 0);
	pt_unmap(&m.pt, 0, GIB, &g);
	pt_gather_free(&m.pt, &g);
	pt_destroy(&m.pt);
	assert_int_equal(m.arena.dirty, 0);
	table_arena_finish(&m.arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pt__disjoint_ranges_in_threads__no_lock_needed),
		cmocka_unit_test(pt_map__same_tables_missing__one_installs),
		cmocka_unit_test(pt_dirty_read__writers_in_threads__nothing_lost),
	};

	return cmocka_run_group_tests_name("pt_threads", tests, NULL, NULL);
}
