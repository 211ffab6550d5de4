// SPDX-License-Identifier: MIT
/*
 * What does a DMA access cost, and an invalidation?
 *
 * bench_dma [--json] [PREFIX]: runs the benches whose name begins with PREFIX. Each figure is the
 * median over rounds of the mean time per operation of a round, in nanoseconds unless the name
 * says otherwise. Build with -Dbuildtype=release: others check lock ranks.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "abi/iommufd.h"
#include "base/bits.h"
#include "iommu/machine.h"
#include "mem/guard.h"

#define ROUNDS     15u
#define BATCH      20000u
#define HOT        256u   /* pages that the IOTLB holds */
#define COLD_PAGES 32768u /* pages that it does not */
#define SPAN       (64 * KIB)

static bool json;
static const char *prefix = "";

struct bench {
	struct machine *m;
	struct iommu_group *g;
	struct iommu_device dev;
	struct iommu_domain *dom;
	struct phys_run run;
	char *mem;
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static bool wanted(const char *name)
{
	return !strncmp(name, prefix, strlen(prefix));
}

static void report(const char *name, const char *unit, double value)
{
	if (!wanted(name))
		return;
	if (json)
		printf("{\"bench\":\"%s\",\"%s\":%.2f}\n", name, unit, value);
	else
		printf("%-44s %10.2f %s\n", name, value, unit);
	fflush(stdout);
}

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void must(int rc, const char *what)
{
	if (!rc)
		return;
	fprintf(stderr, "bench_dma: %s: %s\n", what, strerror(-rc));
	exit(1);
}

/* Median over rounds of fn's time per call. */
static double measure(void (*fn)(struct bench *b, unsigned i), struct bench *b, unsigned batch)
{
	double t[ROUNDS];

	for (unsigned r = 0; r < ROUNDS; r++) {
		double start = now();

		for (unsigned i = 0; i < batch; i++)
			fn(b, i);
		t[r] = (now() - start) / batch;
	}
	qsort(t, ROUNDS, sizeof(t[0]), by_value);
	return t[ROUNDS / 2];
}

static uint64_t hot_iova(unsigned i)
{
	return (i * 7u % HOT) * PAGE_SIZE;
}

/* Visits pages in an order that no prefetcher likes and the IOTLB never holds. */
static uint64_t cold_iova(unsigned i)
{
	return GIB + (i * 40503u % COLD_PAGES) * PAGE_SIZE;
}

static char buf[SPAN] ALIGNED(64);
static char (*volatile plain)[SPAN] = &buf; /* keeps memcpy from being left out */

static void copy_64(struct bench *b, unsigned i)
{
	memcpy(*plain, b->mem + i % 64 * 64, 64);
	__asm__ volatile("" ::: "memory");
}

static void guarded_64(struct bench *b, unsigned i)
{
	guard_copy(*plain, b->mem + i % 64 * 64, 64);
}

static void hit_64(struct bench *b, unsigned i)
{
	iommu_dma_read(&b->dev, 0, hot_iova(i) + i % 64 * 64, buf, 64, NULL);
}

static void hit_load(struct bench *b, unsigned i)
{
	uint64_t v;

	iommu_dma_load(&b->dev, 0, hot_iova(i), &v, 8);
}

static void hit_store(struct bench *b, unsigned i)
{
	iommu_dma_store(&b->dev, 0, hot_iova(i), i, 8);
}

static void miss_load(struct bench *b, unsigned i)
{
	uint64_t v;

	iommu_dma_load(&b->dev, 0, cold_iova(i), &v, 8);
}

static void miss_64(struct bench *b, unsigned i)
{
	iommu_dma_read(&b->dev, 0, cold_iova(i), buf, 64, NULL);
}

static void memcpy_4k(struct bench *b, unsigned i)
{
	(void)i;
	memcpy(*plain, b->mem, PAGE_SIZE);
	__asm__ volatile("" ::: "memory");
}

static void read_4k(struct bench *b, unsigned i)
{
	(void)i;
	iommu_dma_read(&b->dev, 0, 0, buf, PAGE_SIZE, NULL);
}

static void memcpy_64k(struct bench *b, unsigned i)
{
	memcpy(*plain, b->mem + 2 * MIB + i % 8 * SPAN, SPAN);
	__asm__ volatile("" ::: "memory");
}

static void read_64k(struct bench *b, unsigned i)
{
	iommu_dma_read(&b->dev, 0, 2 * GIB + i % 8 * SPAN, buf, SPAN, NULL);
}

static void read_64k_large(struct bench *b, unsigned i)
{
	iommu_dma_read(&b->dev, 0, 3 * GIB + i % 8 * SPAN, buf, SPAN, NULL);
}

static void memcpy_64k_both(struct bench *b, unsigned i)
{
	memcpy(b->mem + MIB + i % 8 * SPAN, b->mem + 2 * MIB + i % 8 * SPAN, SPAN);
	__asm__ volatile("" ::: "memory");
}

static void copy_64k(struct bench *b, unsigned i)
{
	iommu_dma_copy(&b->dev, 0, 2 * GIB + 512 * MIB + i % 8 * SPAN, 2 * GIB + i % 8 * SPAN, SPAN,
		       NULL);
}

static void map_sync(struct bench *b, unsigned i)
{
	struct pt_gather g;
	uint64_t iova = 4 * GIB + i % 256 * PAGE_SIZE;

	pt_gather_init(&g);
	must(iommu_domain_map(b->dom, iova, b->run.pa, PAGE_SIZE, IOMMU_READ, false, &g), "map");
	iommu_domain_unmap(b->dom, iova, PAGE_SIZE, &g);
	iommu_domain_sync(b->dom, &g);
}

static void just_sync(struct bench *b, unsigned i)
{
	struct pt_gather g;

	(void)i;
	pt_gather_init(&g);
	iommu_domain_sync(b->dom, &g);
}

static void map(struct bench *b, uint64_t iova, uint64_t off, uint64_t len, bool small)
{
	struct pt_gather g;

	pt_gather_init(&g);
	must(iommu_domain_map(b->dom, iova, b->run.pa + off, len, IOMMU_READ | IOMMU_WRITE, small,
			      &g),
	     "map");
	iommu_domain_sync(b->dom, &g);
}

static struct machine *machine;

static void set_up(struct bench *b)
{
	const struct machine_opts opts = { .kind = iommu_kind_find("vtd") };
	uint64_t at;
	unsigned n;

	memset(b, 0, sizeof(*b));
	if (!machine)
		must(machine_create(&opts, &machine), "machine");
	b->m = machine;
	must(machine_group(b->m, -1, &b->g), "group");
	iommu_device_init(&b->dev, b->g, "bench", 0, 0);
	must(iommu_group_claim(b->g, b), "claim");
	must(iommu_domain_create(&b->m->iommu, 0, &b->dom), "domain");
	must(iommu_group_attach(b->g, b->dom), "attach");
	b->mem = mmap(NULL, 8 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	at = ((uint64_t)(uintptr_t)b->mem + 2 * MIB - 1) & ~(2 * MIB - 1);
	b->mem = (char *)(uintptr_t)at;
	memset(b->mem, 1, 4 * MIB);
	if (mm_pin(b->m->self, at, 4 * MIB >> PAGE_LG2, MM_PIN_WRITE, &b->run, 1, &n) !=
	    (long)(4 * MIB >> PAGE_LG2))
		must(-14, "pin");
	for (unsigned i = 0; i < HOT; i++)
		map(b, i * PAGE_SIZE, 0, PAGE_SIZE, false);
	for (unsigned i = 0; i < COLD_PAGES; i++) /* all one page: a miss of the IOTLB alone */
		map(b, GIB + i * PAGE_SIZE, 0, PAGE_SIZE, false);
	map(b, 2 * GIB, 2 * MIB, MIB, true);
	map(b, 2 * GIB + 512 * MIB, MIB, MIB, true);
	map(b, 3 * GIB, 2 * MIB, 2 * MIB, false);
	map(b, 4 * GIB + 256 * PAGE_SIZE, 0, PAGE_SIZE, false); /* its tables are there */
}

static void tear_down(struct bench *b)
{
	iommu_group_detach(b->g);
	iommu_group_release(b->g, b);
	iommu_device_finish(&b->dev);
	iommu_domain_destroy(b->dom);
	physmap_unpin(b->m->pm, &b->run, true);
}

struct pair {
	struct bench b;
	double ns;
	pthread_barrier_t *start;
};

static void *pair_thread(void *arg)
{
	struct pair *p = arg;
	double start;

	pthread_barrier_wait(p->start);
	start = now();
	for (unsigned i = 0; i < 20 * BATCH; i++)
		hit_load(&p->b, i);
	p->ns = (now() - start) / (20 * BATCH);
	return NULL;
}

/* Two devices with a domain each, a thread each: 2.0 is perfect. */
static void bench_scaling(void)
{
	static struct pair p[2];
	pthread_barrier_t start;
	double best = 0;

	if (!wanted("dma_two_threads"))
		return;
	pthread_barrier_init(&start, NULL, 2);
	for (unsigned i = 0; i < 2; i++) {
		set_up(&p[i].b);
		p[i].start = &start;
	}
	for (unsigned r = 0; r < 5; r++) {
		double one = measure(hit_load, &p[0].b, BATCH), x;
		pthread_t id[2];

		for (unsigned i = 0; i < 2; i++)
			pthread_create(&id[i], NULL, pair_thread, &p[i]);
		for (unsigned i = 0; i < 2; i++)
			pthread_join(id[i], NULL);
		x = one / p[0].ns + one / p[1].ns;
		best = x > best ? x : best;
	}
	report("dma_two_threads_two_domains", "times", best);
	for (unsigned i = 0; i < 2; i++)
		tear_down(&p[i].b);
	pthread_barrier_destroy(&start);
}

static double median(double *t)
{
	qsort(t, ROUNDS, sizeof(t[0]), by_value);
	return t[ROUNDS / 2];
}

/* 1 GiB of forced 4 KiB entries, in one call: all tables come and go with it. */
static void bench_small_entries(struct bench *b)
{
	const double n = (double)(GIB / PAGE_SIZE);
	double map_ns[ROUNDS], unmap_ns[ROUNDS];
	struct iommu_domain *dom;

	if (!wanted("iommu_map_1GiB") && !wanted("iommu_unmap_1GiB"))
		return;
	must(iommu_domain_create(&b->m->iommu, 0, &dom), "domain");
	for (unsigned r = 0; r < ROUNDS + 1; r++) {
		unsigned i = r ? r - 1 : 0; /* the first has the kernel clear memory */
		struct pt_gather g;
		double t, t2;

		pt_gather_init(&g);
		t = now();
		must(iommu_domain_map(dom, GIB, 64 * GIB, GIB, IOMMU_READ | IOMMU_WRITE, true, &g),
		     "map");
		t2 = now();
		map_ns[i] = (t2 - t) / n;
		iommu_domain_unmap(dom, GIB, GIB, &g);
		iommu_domain_sync(dom, &g);
		unmap_ns[i] = (now() - t2) / n;
	}
	report("iommu_map_1GiB_4KiB_entries", "ns each", median(map_ns));
	report("iommu_unmap_1GiB_4KiB_entries", "ns each", median(unmap_ns));
	iommu_domain_destroy(dom);
}

static void tally(void *arg, uint64_t first, uint64_t last)
{
	*(uint64_t *)arg += last - first + 1;
}

static uint64_t read_dirty(struct iommu_domain *dom, uint64_t iova, uint64_t len, unsigned flags)
{
	uint64_t found = 0;

	must(iommu_domain_read_dirty(dom, iova, len, flags, tally, &found), "read dirty");
	return found;
}

/* Reads, with invalidation, of 1 GiB of 4 KiB entries that are one and the same page. */
static void bench_dirty_read(struct bench *b, struct iommu_domain *dom)
{
	double clean[ROUNDS], all[ROUNDS], first[ROUNDS];
	const unsigned pages = GIB / PAGE_SIZE;

	if (!wanted("iommu_read_dirty") && !wanted("dma_tracked_first"))
		return;
	for (unsigned i = 0; i < pages; i++) {
		struct pt_gather g;

		pt_gather_init(&g);
		must(iommu_domain_map(dom, 4 * GIB + i * PAGE_SIZE, b->run.pa, PAGE_SIZE,
				      IOMMU_READ | IOMMU_WRITE, true, &g),
		     "map");
	}
	for (unsigned r = 0; r < ROUNDS + 1; r++) {
		unsigned at = r ? r - 1 : 0; /* the first marks the entries accessed */
		double t = now();

		for (unsigned i = 0; i < pages; i++)
			must(iommu_dma_store(&b->dev, 0, 4 * GIB + i * PAGE_SIZE, i, 8), "store");
		first[at] = (now() - t) / pages;
		t = now();
		if (read_dirty(dom, 4 * GIB, GIB, 0) != GIB)
			must(-5, "all dirty");
		all[at] = (now() - t) / 1000;
		t = now();
		if (read_dirty(dom, 4 * GIB, GIB, 0))
			must(-5, "clean");
		clean[at] = (now() - t) / 1000;
	}
	report("dma_tracked_first_store_8B", "ns", median(first));
	report("iommu_read_dirty_1GiB_all", "us", median(all));
	report("iommu_read_dirty_1GiB_clean", "us", median(clean));
}

/* The bench's device in a domain that tracks. */
static void bench_tracking(struct bench *b)
{
	struct iommu_domain *dom, *plain_dom = b->dom;

	must(iommu_domain_create(&b->m->iommu, IOMMU_HWPT_ALLOC_DIRTY_TRACKING, &dom), "domain");
	must(iommu_domain_set_dirty_tracking(dom, true), "tracking");
	must(iommu_group_attach(b->g, dom), "attach");
	b->dom = dom;
	for (unsigned i = 0; i < HOT; i++)
		map(b, i * PAGE_SIZE, 0, PAGE_SIZE, false);
	if (wanted("dma_tracked_hit_store_8B"))
		report("dma_tracked_hit_store_8B", "ns", measure(hit_store, b, BATCH));
	bench_dirty_read(b, dom);
	must(iommu_group_attach(b->g, plain_dom), "attach");
	b->dom = plain_dom;
	iommu_domain_destroy(dom);
}

static const struct {
	const char *name;
	void (*fn)(struct bench *b, unsigned i);
	unsigned batch;
} benches[] = {
	{ "dma_plain_memcpy_64B", copy_64, BATCH },
	{ "dma_guarded_copy_64B", guarded_64, BATCH },
	{ "dma_hit_read_64B", hit_64, BATCH },
	{ "dma_hit_load_8B", hit_load, BATCH },
	{ "dma_hit_store_8B", hit_store, BATCH },
	{ "dma_miss_load_8B", miss_load, BATCH },
	{ "dma_miss_read_64B", miss_64, BATCH },
	{ "dma_plain_memcpy_4KiB", memcpy_4k, BATCH },
	{ "dma_read_4KiB", read_4k, BATCH },
	{ "dma_sync", just_sync, BATCH },
	{ "dma_map_unmap_sync_4KiB", map_sync, BATCH },
};

/* Runs the two by turns, so that both meet the same neighbours on the machine. */
static void bench_ratio(struct bench *b, const char *name, void (*fn)(struct bench *, unsigned),
			void (*base)(struct bench *, unsigned))
{
	double best = 0;

	if (!wanted(name))
		return;
	for (unsigned r = 0; r < 5; r++) {
		double x = measure(base, b, 200) / measure(fn, b, 200);

		best = x > best ? x : best;
	}
	report(name, "percent_of_memcpy", 100 * best);
}

int main(int argc, char **argv)
{
	struct bench b;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json"))
			json = true;
		else
			prefix = argv[i];
	}
	set_up(&b);
	for (unsigned i = 0; i < ARRAY_LEN(benches); i++)
		if (wanted(benches[i].name))
			report(benches[i].name, "ns", measure(benches[i].fn, &b, benches[i].batch));
	bench_ratio(&b, "dma_read_64KiB_small_pages", read_64k, memcpy_64k);
	bench_ratio(&b, "dma_read_64KiB_large_page", read_64k_large, memcpy_64k);
	bench_ratio(&b, "dma_copy_64KiB_small_pages", copy_64k, memcpy_64k_both);
	bench_tracking(&b);
	bench_small_entries(&b);
	bench_scaling();
	tear_down(&b);
	machine_destroy(machine);
	return 0;
}
