// SPDX-License-Identifier: MIT
/*
 * What do the containers and the base layer cost?
 *
 * bench_index [--json] [PREFIX]: runs the benches whose name begins with PREFIX. Each figure is the
 * median over rounds of the mean time per operation of a round, in nanoseconds unless the name
 * says bytes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bits.h"
#include "base/fault.h"
#include "base/lock.h"
#include "base/pool.h"
#include "index/idmap.h"
#include "index/imap.h"
#include "index/itree.h"
#include "index/span.h"

#define ROUNDS 15u
#define BATCH  20000u

static bool json;
static const char *prefix = "";
static uint64_t state = 88172645463325252ull;
static volatile uint64_t sink;

static uint64_t rng(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void report(const char *name, const char *unit, double value)
{
	if (strncmp(name, prefix, strlen(prefix)))
		return;
	if (json)
		printf("{\"bench\":\"%s\",\"%s\":%.2f}\n", name, unit, value);
	else
		printf("%-44s %10.2f %s\n", name, value, unit);
	fflush(stdout);
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void measure(const char *name, void (*batch)(void *arg, unsigned n), void *arg, unsigned n)
{
	double t[ROUNDS];

	if (strncmp(name, prefix, strlen(prefix)))
		return;
	for (unsigned r = 0; r < ROUNDS; r++) {
		double from = now();

		batch(arg, n);
		t[r] = (now() - from) / n;
	}
	qsort(t, ROUNDS, sizeof(t[0]), by_value);
	report(name, "ns", t[ROUNDS / 2]);
}

/*
 * A million areas of a page, at random page addresses below 2^40. Where area i lies is computed,
 * not looked up, so that the bench's own cache misses are not measured.
 */
#define MILLION 1000000u
#define SPOTS   (1u << 28)

struct big {
	struct imap map;
	uint32_t lowest; /* areas lowest .. lowest + MILLION - 1 are in */
};

/* A bijection of 28 bits. */
static uint64_t spot(uint32_t i)
{
	i = (i ^ i >> 14) * 0x2c1b3c6d & (SPOTS - 1);
	i = (i ^ i >> 13) * 0x297a2d39 & (SPOTS - 1);
	i = (i ^ i >> 15) * 0x1b873593 & (SPOTS - 1);
	return (uint64_t)(i ^ i >> 14) << PAGE_LG2;
}

static uint64_t random_spot(const struct big *b)
{
	return spot((b->lowest + (uint32_t)(rng() % MILLION)) % SPOTS);
}

static void big_fill(struct big *b)
{
	double from = now();

	imap_init(&b->map);
	b->lowest = 0;
	for (uint32_t i = 0; i < MILLION; i++)
		if (imap_insert(&b->map, spot(i), spot(i) + PAGE_MASK, b))
			exit(1);
	report("imap_fill_random_1m", "ns", (now() - from) / MILLION);
	report("imap_bytes_per_interval_random_1m", "bytes", (double)imap_bytes(&b->map) / MILLION);
}

static void big_find(void *arg, unsigned n)
{
	struct big *b = arg;
	struct imap_entry e;

	while (n--)
		sink += imap_find(&b->map, random_spot(b) + 5, &e);
}

/* Takes a random interval out and puts it back. */
static void big_erase_insert(void *arg, unsigned n)
{
	struct big *b = arg;

	while (n--) {
		uint64_t at = random_spot(b);

		imap_erase(&b->map, at);
		if (imap_insert(&b->map, at, at + PAGE_MASK, b))
			exit(1);
	}
}

/* Adds an interval at a random free place and takes it out again. */
static void big_insert_erase(void *arg, unsigned n)
{
	struct big *b = arg;

	while (n--) {
		uint64_t at = 1ull << 40 | (rng() >> 36) << PAGE_LG2;

		if (imap_insert(&b->map, at, at + PAGE_MASK, b))
			exit(1);
		imap_erase(&b->map, at);
	}
}

/* An interval goes, one at another random place comes. */
static void big_replace(void *arg, unsigned n)
{
	struct big *b = arg;

	while (n--) {
		uint64_t at = spot((b->lowest + MILLION) % SPOTS);

		imap_erase(&b->map, spot(b->lowest));
		b->lowest = (b->lowest + 1) % SPOTS;
		if (imap_insert(&b->map, at, at + PAGE_MASK, b))
			exit(1);
	}
}

static void big_walk(void *arg, unsigned n)
{
	struct big *b = arg;
	struct imap_entry e;

	imap_for_each(&e, &b->map, random_spot(b) / 2, UINT64_MAX) {
		sink += e.start;
		if (!--n)
			break;
	}
}

static void place(struct imap *map, uint64_t align, uint64_t off, uint64_t len, bool keep)
{
	struct imap_gap_req req = { .lo = PAGE_SIZE,
				    .hi = UINT64_MAX - PAGE_SIZE,
				    .len = len,
				    .align = align,
				    .off = off };
	uint64_t p;

	if (!imap_find_gap(map, &req, &p))
		exit(1);
	sink += p;
	if (keep && imap_insert(map, p, p + len - 1, map))
		exit(1);
}

static void big_gap(void *arg, unsigned n)
{
	struct big *b = arg;

	while (n--)
		place(&b->map, 1ull << (12 + rng() % 10), 0, (1 + rng() % 64) * PAGE_SIZE, false);
}

static void bench_big(void)
{
	struct big b;
	double from;

	big_fill(&b);
	/* No search has been made so far: every bound is as the insertions left it. */
	from = now();
	place(&b.map, 2 * MIB, 0, 256 * MIB, false);
	report("imap_find_gap_first_after_fill_1m", "ns", now() - from);
	measure("imap_find_random_1m", big_find, &b, BATCH);
	measure("imap_erase_insert_random_1m", big_erase_insert, &b, BATCH);
	measure("imap_insert_erase_end_1m", big_insert_erase, &b, BATCH);
	measure("imap_next_1m", big_walk, &b, BATCH);
	measure("imap_find_gap_mixed_1m", big_gap, &b, BATCH);
	measure("imap_replace_random_1m", big_replace, &b, BATCH);
	report("imap_bytes_per_interval_replaced_1m", "bytes",
	       (double)imap_bytes(&b.map) / MILLION);
	from = now();
	for (unsigned i = 0; i < MILLION; i++)
		imap_erase(&b.map, spot((b.lowest + i) % SPOTS));
	report("imap_drain_random_1m", "ns", (now() - from) / MILLION);
	imap_finish(&b.map);
}

static void packed_find(void *arg, unsigned n)
{
	while (n--)
		place(arg, PAGE_SIZE, 0, PAGE_SIZE, false);
}

static void packed_find_2m(void *arg, unsigned n)
{
	while (n--)
		place(arg, 2 * MIB, 0, 16 * MIB, false);
}

static void packed_find_off(void *arg, unsigned n)
{
	while (n--)
		place(arg, 0x800, 0x800, PAGE_SIZE, false);
}

/* A random area goes; an automatic placement finds its place again. */
static void packed_cycle(void *arg, unsigned n)
{
	struct imap *map = arg;

	while (n--) {
		imap_erase(map, (1 + rng() % 100000) * PAGE_SIZE);
		place(map, PAGE_SIZE, 0, PAGE_SIZE, true);
	}
}

/* The same where every other area is missing and the request needs two pages. */
static void sparse_find(void *arg, unsigned n)
{
	while (n--)
		place(arg, PAGE_SIZE, 0, 2 * PAGE_SIZE, false);
}

static void bench_packed(void)
{
	struct imap map;
	double from;

	imap_init(&map);
	from = now();
	for (unsigned i = 0; i < 100000; i++)
		place(&map, PAGE_SIZE, 0, PAGE_SIZE, true);
	report("imap_place_and_insert_100k", "ns", (now() - from) / 100000);
	report("imap_bytes_per_interval_ascending_100k", "bytes",
	       (double)imap_bytes(&map) / 100000);
	measure("imap_find_gap_packed_100k", packed_find, &map, BATCH);
	measure("imap_find_gap_packed_2m_100k", packed_find_2m, &map, BATCH);
	measure("imap_find_gap_packed_subpage_100k", packed_find_off, &map, BATCH);
	measure("imap_erase_place_insert_100k", packed_cycle, &map, BATCH);
	for (uint64_t i = 2; i < 100000; i += 2)
		imap_erase(&map, i * PAGE_SIZE);
	from = now();
	place(&map, PAGE_SIZE, 0, 2 * PAGE_SIZE, false);
	report("imap_find_gap_first_holes_50k", "ns", now() - from);
	measure("imap_find_gap_holes_50k", sparse_find, &map, BATCH);
	imap_finish(&map);
}

#define NODES 100000u

struct forest {
	struct itree tree;
	struct itree_node *node;
};

static void itree_cycle(void *arg, unsigned n)
{
	struct forest *f = arg;

	while (n--) {
		struct itree_node *node = &f->node[rng() % NODES];

		itree_remove(&f->tree, node);
		itree_insert(&f->tree, node);
	}
}

static void itree_lookup(void *arg, unsigned n)
{
	struct forest *f = arg;

	while (n--) {
		uint64_t at = f->node[rng() % NODES].start + 1;

		sink += itree_first(&f->tree, at, at)->start;
	}
}

static void span_walk(void *arg, unsigned n)
{
	struct forest *f = arg;
	struct span s;

	span_for_each(&s, &f->tree, f->node[rng() % NODES].start / 2, UINT64_MAX) {
		sink += s.start;
		if (!--n)
			break;
	}
}

static void bench_itree(void)
{
	struct forest f = { .node = calloc(NODES, sizeof(*f.node)) };

	for (unsigned i = 0; i < NODES; i++) {
		f.node[i].start = (rng() >> 34) << PAGE_LG2;
		f.node[i].last = f.node[i].start + PAGE_MASK;
		itree_insert(&f.tree, &f.node[i]);
	}
	measure("itree_remove_insert_100k", itree_cycle, &f, BATCH);
	measure("itree_first_100k", itree_lookup, &f, BATCH);
	measure("span_next_100k", span_walk, &f, BATCH);
	free(f.node);
}

static void ids_cycle(void *arg, unsigned n)
{
	struct idmap *map = arg;
	uint32_t id;

	while (n--) {
		idmap_free(map, 1 + (uint32_t)(rng() % 100000));
		if (idmap_alloc(map, &id))
			exit(1);
	}
}

static void ids_slot(void *arg, unsigned n)
{
	struct idmap *map = arg;

	while (n--)
		sink += (uintptr_t)idmap_slot(map, 1 + (uint32_t)(rng() % 100000));
}

static void bench_idmap(void)
{
	struct idmap map;
	uint32_t id;

	idmap_init(&map, 64, IDMAP_MAX);
	for (unsigned i = 0; i < 100000; i++)
		if (idmap_alloc(&map, &id))
			exit(1);
	measure("idmap_free_alloc_100k", ids_cycle, &map, BATCH);
	measure("idmap_slot_100k", ids_slot, &map, BATCH);
	idmap_finish(&map);
}

static void mtx_pairs(void *arg, unsigned n)
{
	while (n--) {
		mtx_lock(arg);
		mtx_unlock(arg);
	}
}

static void rd_pairs(void *arg, unsigned n)
{
	while (n--) {
		rwl_rdlock(arg);
		rwl_rdunlock(arg);
	}
}

static void wr_pairs(void *arg, unsigned n)
{
	while (n--) {
		rwl_wrlock(arg);
		rwl_wrunlock(arg);
	}
}

static void pool_pairs(void *arg, unsigned n)
{
	while (n--) {
		void *p = pool_get(arg);

		if (!p)
			exit(1);
		pool_put(arg, p);
	}
}

static void malloc_pairs(void *arg, unsigned n)
{
	(void)arg;
	while (n--) {
		void *p = mem_alloc(192);

		sink += (uintptr_t)p;
		mem_free(p);
	}
}

static void fault_points(void *arg, unsigned n)
{
	(void)arg;
	while (n--)
		sink += fault_point();
}

static void bench_base(void)
{
	struct mtx m = MTX_INIT(LOCK_NONE);
	struct rwl l = RWL_INIT(LOCK_NONE);
	struct pool pool;

	pool_init(&pool, 192);
	measure("mtx_pair", mtx_pairs, &m, BATCH);
	measure("rwl_read_pair", rd_pairs, &l, BATCH);
	measure("rwl_write_pair", wr_pairs, &l, BATCH);
	measure("pool_pair_192", pool_pairs, &pool, BATCH);
	measure("mem_pair_192", malloc_pairs, NULL, BATCH);
	measure("fault_point", fault_points, NULL, BATCH);
	pool_finish(&pool);
}

static bool wanted(const char *group)
{
	size_t n = strlen(prefix), g = strlen(group);

	return !strncmp(prefix, group, n < g ? n : g);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json"))
			json = true;
		else
			prefix = argv[i];
	}
	bench_base();
	if (wanted("itree") || wanted("span"))
		bench_itree();
	if (wanted("idmap"))
		bench_idmap();
	if (wanted("imap")) {
		bench_packed();
		bench_big();
	}
	return 0;
}
