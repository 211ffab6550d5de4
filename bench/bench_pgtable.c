// SPDX-License-Identifier: MIT
/*
 * What do page-table calls cost, in nanoseconds?
 *
 *	bench_pgtable [--json]
 *
 * Every figure is the best of several rounds on warm tables (the median of rounds is printed too,
 * as the machine may be busy), divided by the number of calls, or of pages where it says "per".
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/bits.h"
#include "pgtable/pt.h"
#include "pgtable/pt_fast.h"

#define ROUNDS     31u
#define ARENA      (64ull << 20)
#define ARENA_BASE 0x1000000ull

struct arena {
	char *mem;
	size_t used;
	uint64_t spare; /* linked through the first word */
};

static void *arena_alloc(void *arg, size_t size, uint64_t *addr)
{
	struct arena *a = arg;
	char *p;

	if (a->spare) {
		*addr = a->spare;
		p = a->mem + (a->spare - ARENA_BASE);
		a->spare = *(uint64_t *)(void *)p;
		*(uint64_t *)(void *)p = 0;
		return p;
	}
	if (a->used + size > ARENA)
		return NULL;
	*addr = ARENA_BASE + a->used;
	a->used += size;
	return a->mem + (*addr - ARENA_BASE);
}

static void arena_free(void *arg, void *ptr, uint64_t addr, size_t size)
{
	struct arena *a = arg;

	(void)size;
	*(uint64_t *)ptr = a->spare;
	a->spare = addr;
}

static const struct pt_ops ops = { arena_alloc, arena_free, NULL };

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

struct bench {
	struct pt pt;
	struct pt_gather g;
	uint64_t len;   /* of one call */
	uint64_t calls; /* in one round */
	uint64_t stride;
	unsigned prot;
	uint64_t sink;
};

/* @calls maps or unmaps side by side; returns the time. */
static uint64_t map_all(struct bench *b)
{
	uint64_t t = now();

	for (uint64_t i = 0; i < b->calls; i++) {
		uint64_t at = i * b->stride;

		if (pt_map(&b->pt, at, at + 256 * GIB, b->len, b->prot, &b->g))
			exit(1);
	}
	return now() - t;
}

static uint64_t unmap_all(struct bench *b)
{
	uint64_t t = now();

	for (uint64_t i = 0; i < b->calls; i++) {
		if (pt_unmap(&b->pt, i * b->stride, b->len, &b->g) != b->len)
			exit(1);
	}
	return now() - t;
}

/* The next address depends on the last answer, so that calls do not overlap. */
static uint64_t walk_all(struct bench *b)
{
	uint64_t t = now(), at = 0;

	for (uint64_t i = 0; i < b->calls; i++) {
		struct pt_walk_result r;

		if (pt_walk(&b->pt, (i * b->stride) ^ at, &r))
			exit(1);
		at = r.pa >> 63;
	}
	b->sink += at;
	return now() - t;
}

static uint64_t walk_inline(struct bench *b)
{
	uint64_t t = now(), at = 0;

	for (uint64_t i = 0; i < b->calls; i++) {
		struct pt_walk_result r;

		if (pt_walk_fast(&b->pt, (i * b->stride) ^ at, &r))
			exit(1);
		at = r.pa >> 63;
	}
	b->sink += at;
	return now() - t;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

struct result {
	char name[48];
	double best, median;
};

static struct result results[64];
static unsigned nresults;

static void report(const char *name, double *ns)
{
	struct result *r = &results[nresults++];

	qsort(ns, ROUNDS, sizeof(*ns), by_value);
	snprintf(r->name, sizeof(r->name), "%s", name);
	r->best = ns[0];
	r->median = ns[ROUNDS / 2];
}

static void bench_start(struct bench *b, struct arena *a)
{
	struct pt_config c = { .format = "vtd", .levels = 4, .ops = &ops, .ops_arg = a };

	c.biased = true;
	c.ptr_bias = (uint64_t)(uintptr_t)a->mem - ARENA_BASE;
	if (pt_init(&b->pt, &c))
		exit(1);
	pt_gather_init(&b->g);
}

/*
 * Maps, walks and unmaps @calls ranges of @len bytes; @per: by how many pages a call is divided.
 * Tables that a range covers whole come and go with it; others stay from the first round on.
 */
static void pair(struct arena *a, const char *name, uint64_t len, uint64_t stride, uint64_t calls,
		 uint64_t per, bool walk)
{
	double map[ROUNDS], unmap[ROUNDS], w[ROUNDS], wi[ROUNDS];
	double n = (double)(calls * per);
	char text[64];
	struct bench b = { .len = len, .stride = stride, .calls = calls };

	/* several pages counted one by one are small ones */
	b.prot = PT_READ | PT_WRITE | (per > 1 ? PT_SMALL : 0);
	bench_start(&b, a);
	map_all(&b);
	unmap_all(&b);
	pt_gather_free(&b.pt, &b.g);
	for (unsigned r = 0; r < ROUNDS; r++) {
		map[r] = (double)map_all(&b) / n;
		if (walk) {
			w[r] = (double)walk_all(&b) / (double)calls;
			wi[r] = (double)walk_inline(&b) / (double)calls;
		}
		unmap[r] = (double)unmap_all(&b) / n;
		pt_gather_free(&b.pt, &b.g);
	}
	snprintf(text, sizeof(text), "map %s", name);
	report(text, map);
	snprintf(text, sizeof(text), "unmap %s", name);
	report(text, unmap);
	if (walk) {
		snprintf(text, sizeof(text), "walk %s", name);
		report(text, w);
		snprintf(text, sizeof(text), "walk inline %s", name);
		report(text, wi);
	}
	pt_destroy(&b.pt);
}

#define SCAN_GIB 1u

static void count_dirty(void *arg, uint64_t first, uint64_t last)
{
	*(uint64_t *)arg += last - first + 1;
}

/* Every @step-th page of the GiB is written to. */
static void make_dirty(struct bench *b, uint64_t step)
{
	for (uint64_t at = 0; at < SCAN_GIB * GIB; at += step * PAGE_SIZE) {
		struct pt_walk_result r;

		if (pt_walk(&b->pt, at, &r) || !pt_access(&b->pt, at, true, &r))
			exit(1);
	}
}

/* One read of 1 GiB of 4 KiB entries, in microseconds; @step 0: all clean. */
static void dirty(struct arena *a, const char *name, uint64_t step, unsigned flags)
{
	struct bench b = { .len = SCAN_GIB * GIB };
	uint64_t want = step ? (b.len / PAGE_SIZE + step - 1) / step * PAGE_SIZE : 0;
	double us[ROUNDS];

	bench_start(&b, a);
	if (pt_map(&b.pt, 0, 256 * GIB, b.len, PT_READ | PT_WRITE | PT_SMALL, &b.g))
		exit(1);
	make_dirty(&b, 1); /* the accessed bits stay */
	b.sink = pt_dirty_read(&b.pt, 0, b.len, 0, count_dirty, &b.sink);
	for (unsigned r = 0; r < ROUNDS; r++) {
		uint64_t t, found = 0;

		if (step)
			make_dirty(&b, step);
		t = now();
		pt_dirty_read(&b.pt, 0, b.len, flags, count_dirty, &found);
		us[r] = (double)(now() - t) / 1000;
		if (found != want)
			exit(1);
	}
	report(name, us);
	pt_unmap(&b.pt, 0, b.len, &b.g);
	pt_gather_free(&b.pt, &b.g);
	pt_destroy(&b.pt);
}

/* The first write to each page: walk and mark; the second. */
static void mark(struct arena *a)
{
	struct bench b = { .len = SCAN_GIB * GIB };
	const double n = (double)(b.len / PAGE_SIZE);
	double ns[ROUNDS], again[ROUNDS];

	bench_start(&b, a);
	if (pt_map(&b.pt, 0, 256 * GIB, b.len, PT_READ | PT_WRITE | PT_SMALL, &b.g))
		exit(1);
	make_dirty(&b, 1);
	for (unsigned r = 0; r < ROUNDS; r++) {
		uint64_t t, t2;

		pt_dirty_read(&b.pt, 0, b.len, 0, count_dirty, &b.sink);
		t = now();
		make_dirty(&b, 1);
		t2 = now();
		make_dirty(&b, 1);
		ns[r] = (double)(t2 - t) / n;
		again[r] = (double)(now() - t2) / n;
	}
	report("walk and set D, 4K", ns);
	report("walk, D is set, 4K", again);
	pt_unmap(&b.pt, 0, b.len, &b.g);
	pt_gather_free(&b.pt, &b.g);
	pt_destroy(&b.pt);
}

static void print(bool json)
{
	if (json)
		fputs("{\"unit\":\"ns\",\"results\":[", stdout);
	else
		printf("%-40s %8s %8s   (ns)\n", "", "best", "median");
	for (unsigned i = 0; i < nresults; i++) {
		if (json)
			printf("%s{\"name\":\"%s\",\"best\":%.2f,\"median\":%.2f}", i ? "," : "",
			       results[i].name, results[i].best, results[i].median);
		else
			printf("%-40s %8.2f %8.2f\n", results[i].name, results[i].best,
			       results[i].median);
	}
	if (json)
		puts("]}");
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' },
						 { "help", no_argument, NULL, 'h' },
						 { NULL, 0, NULL, 0 } };
	struct arena a = { 0 };
	bool json = false;
	int opt;

	while ((opt = getopt_long(argc, argv, "jh", options, NULL)) != -1) {
		if (opt != 'j') {
			puts("Usage: bench_pgtable [--json]\nCosts of page-table calls in ns.");
			return opt == 'h' ? 0 : 2;
		}
		json = true;
	}
	a.mem = mmap(NULL, ARENA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (a.mem == MAP_FAILED)
		return 1;
	pair(&a, "4K", 0x1000, 0x1000, 4096, 1, true);
	pair(&a, "4K, one per 2M", 0x1000, 2 * MIB, 256, 1, true);
	pair(&a, "2 x 4K", 0x2000, 0x2000, 2048, 1, false);
	pair(&a, "2M", 2 * MIB, 2 * MIB, 2048, 1, true);
	pair(&a, "1G", GIB, GIB, 128, 1, true);
	pair(&a, "511 x 4K, per 4K", 511 * 0x1000, 2 * MIB, 64, 511, false);
	pair(&a, "512 x 4K and their table, per 4K", 2 * MIB, 2 * MIB, 64, 512, false);
	pair(&a, "256 x 4K", 256 * 0x1000, MIB, 128, 1, false);
	pair(&a, "256 x 2M", 512 * MIB, GIB, 8, 1, false);
	pair(&a, "mixed 4K/2M/1G, 2G + 4M + 8K", 2 * GIB + 4 * MIB + 0x2000, 4 * GIB, 16, 1, false);
	mark(&a);
	dirty(&a, "read dirty 1G of 4K: clean, us", 0, 0);
	dirty(&a, "read dirty 1G of 4K: all, us", 1, 0);
	dirty(&a, "read dirty 1G of 4K: all, no clear, us", 1, PT_DIRTY_NO_CLEAR);
	dirty(&a, "read dirty 1G of 4K: every 2nd, us", 2, 0);
	dirty(&a, "read dirty 1G of 4K: every 61st, us", 61, 0);
	print(json);
	return 0;
}
