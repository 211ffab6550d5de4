// SPDX-License-Identifier: MIT
/*
 * What do MAP, UNMAP and pins of accesses cost, from dispatch to the page table and back?
 *
 * bench_iommufd [--json] [PREFIX]: runs the benches whose name begins with PREFIX. Calls go
 * straight to iommufd_ctx_ioctl(), with a device on a VT-d attached where the name says so. Each
 * figure is the median over rounds of the mean time per operation of a round, in nanoseconds
 * unless the name says otherwise. Build with -Dbuildtype=release: others check lock ranks.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "abi/iommufd.h"
#include "iommufd/ioas.h"
#include "mem/mm.h"

#define ROUNDS 15u
#define BATCH  20000u
#define MANY   1000000u
#define SOME   100000u
#define GAP    (2 * PAGE_SIZE) /* from one area to the next */
#define FAR    (4 * GIB)       /* beyond the interrupt window */

static bool json;
static const char *prefix = "";

struct world {
	struct machine *m;
	struct iommufd_ctx *ctx;
	struct iommu_device dev;
	struct iommufd_device *idev;
	uint32_t ioas;
	char *mem; /* 1 GiB, present */
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void must(long rc, const char *what)
{
	if (!rc)
		return;
	fprintf(stderr, "bench_iommufd: %s: %ld\n", what, rc);
	exit(1);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void report(const char *name, double value)
{
	if (json)
		printf("{\"bench\":\"%s\",\"value\":%.2f}\n", name, value);
	else
		printf("%-36s %12.2f\n", name, value);
	fflush(stdout);
}

static void report_median(const char *name, double *rounds)
{
	qsort(rounds, ROUNDS, sizeof(*rounds), by_value);
	report(name, rounds[ROUNDS / 2]);
}

static uint64_t map(struct world *w, uint32_t flags, uint64_t iova, const char *va, uint64_t len)
{
	struct iommu_ioas_map c = {
		.size = sizeof(c),
		.flags = flags | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE,
		.ioas_id = w->ioas,
		.user_va = (uintptr_t)va,
		.length = len,
		.iova = iova,
	};

	must(iommufd_ctx_ioctl(w->ctx, IOMMU_IOAS_MAP, (uintptr_t)&c), "map");
	return c.iova;
}

static void map_at(struct world *w, uint64_t iova, const char *va, uint64_t len)
{
	map(w, IOMMU_IOAS_MAP_FIXED_IOVA, iova, va, len);
}

static void unmap(struct world *w, uint64_t iova, uint64_t len)
{
	struct iommu_ioas_unmap c = {
		.size = sizeof(c), .ioas_id = w->ioas, .iova = iova, .length = len
	};

	must(iommufd_ctx_ioctl(w->ctx, IOMMU_IOAS_UNMAP, (uintptr_t)&c), "unmap");
}

static void new_ioas(struct world *w)
{
	struct iommu_ioas_alloc c = { .size = sizeof(c) };

	must(iommufd_ctx_ioctl(w->ctx, IOMMU_IOAS_ALLOC, (uintptr_t)&c), "ioas_alloc");
	w->ioas = c.out_ioas_id;
}

static void drop_ioas(struct world *w)
{
	struct iommu_destroy c = { .size = sizeof(c), .id = w->ioas };

	must(iommufd_ctx_ioctl(w->ctx, IOMMU_DESTROY, (uintptr_t)&c), "destroy");
}

static void attach(struct world *w)
{
	uint32_t id = w->ioas;

	must(iommufd_device_attach(w->idev, &id), "attach");
}

static void lookup(struct world *w)
{
	struct iommu_iova_range r[8];
	struct iommu_ioas_iova_ranges c = {
		.size = sizeof(c), .ioas_id = w->ioas, .num_iovas = 8, .allowed_iovas = (uintptr_t)r
	};

	must(iommufd_ctx_ioctl(w->ctx, IOMMU_IOAS_IOVA_RANGES, (uintptr_t)&c), "iova_ranges");
}

static void bench_ranges(struct world *w)
{
	double rounds[ROUNDS];

	for (unsigned r = 0; r < ROUNDS; r++) {
		uint64_t t = now_ns();

		for (unsigned i = 0; i < BATCH; i++)
			lookup(w);
		rounds[r] = (double)(now_ns() - t) / BATCH;
	}
	report_median("iova_ranges", rounds);
}

static void bench_pair(struct world *w, const char *name)
{
	double rounds[ROUNDS];

	for (unsigned r = 0; r < ROUNDS; r++) {
		uint64_t t = now_ns();

		for (unsigned i = 0; i < BATCH; i++) {
			map_at(w, 0x100000, w->mem, PAGE_SIZE);
			unmap(w, 0x100000, PAGE_SIZE);
		}
		rounds[r] = (double)(now_ns() - t) / BATCH;
	}
	report_median(name, rounds);
}

/* Maps first, unmaps then: what each costs by itself, and memory. */
static void bench_separate(struct world *w, const char *tag)
{
	double maps[ROUNDS], unmaps[ROUNDS];
	char name[64];

	for (unsigned r = 0; r < ROUNDS; r++) {
		uint64_t t = now_ns();

		for (uint64_t i = 0; i < BATCH; i++)
			map_at(w, i * GAP, w->mem + i * PAGE_SIZE, PAGE_SIZE);
		maps[r] = (double)(now_ns() - t) / BATCH;
		t = now_ns();
		for (uint64_t i = 0; i < BATCH; i++)
			unmap(w, i * GAP, PAGE_SIZE);
		unmaps[r] = (double)(now_ns() - t) / BATCH;
	}
	snprintf(name, sizeof(name), "map_4k_%s", tag);
	report_median(name, maps);
	snprintf(name, sizeof(name), "unmap_4k_%s", tag);
	report_median(name, unmaps);
}

static void bench_among_many(struct world *w, const char *name)
{
	double rounds[ROUNDS];
	uint64_t x = 1;

	for (unsigned r = 0; r < ROUNDS; r++) {
		uint64_t t = now_ns();

		for (unsigned i = 0; i < BATCH; i++) {
			uint64_t iova;

			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			iova = FAR + x % MANY * GAP + PAGE_SIZE; /* between two areas */
			map_at(w, iova, w->mem, PAGE_SIZE);
			unmap(w, iova, PAGE_SIZE);
		}
		rounds[r] = (double)(now_ns() - t) / BATCH;
	}
	report_median(name, rounds);
}

static void report_bytes(struct world *w)
{
	struct ioas *ioas;

	must(ioas_get(w->ctx, w->ioas, &ioas), "ioas_get");
	report("bytes_per_area",
	       (double)(w->ctx->blocks.bytes + imap_bytes(&ioas->iopt.areas)) / MANY);
	object_put(&ioas->obj);
}

static void bench_many(struct world *w)
{
	uint64_t t;

	new_ioas(w);
	attach(w);
	t = now_ns();
	for (uint64_t i = 0; i < MANY; i++)
		map_at(w, FAR + i * GAP, w->mem + i % 262144 * PAGE_SIZE, PAGE_SIZE);
	report("map_1m_areas_each", (double)(now_ns() - t) / MANY);
	report_bytes(w);
	bench_among_many(w, "map_unmap_4k_vtd_among_1m");
	t = now_ns();
	unmap(w, 0, UINT64_MAX);
	report("unmap_1m_areas_each", (double)(now_ns() - t) / MANY);
	iommufd_device_detach(w->idev);
	drop_ioas(w);
}

static void bench_large(struct world *w)
{
	double maps[ROUNDS], unmaps[ROUNDS];

	for (unsigned r = 0; r < ROUNDS; r++) {
		uint64_t t = now_ns();

		map_at(w, 0x40000000, w->mem, GIB);
		maps[r] = (double)(now_ns() - t) / 1000;
		t = now_ns();
		unmap(w, 0x40000000, GIB);
		unmaps[r] = (double)(now_ns() - t) / 1000;
	}
	report_median("map_1g_vtd_us", maps);
	report_median("unmap_1g_vtd_us", unmaps);
	for (unsigned r = 0; r < ROUNDS; r++) {
		uint64_t t = now_ns();

		map_at(w, 0x40001000, w->mem, GIB); /* 4 KiB entries only */
		maps[r] = (double)(now_ns() - t) / 1000;
		t = now_ns();
		unmap(w, 0x40001000, GIB);
		unmaps[r] = (double)(now_ns() - t) / 1000;
	}
	report_median("map_1g_vtd_4k_entries_us", maps);
	report_median("unmap_1g_vtd_4k_entries_us", unmaps);
}

/* Automatic placement among areas that leave gaps too small, and one that fits at the end. */
static void bench_auto(struct world *w)
{
	double rounds[ROUNDS];

	new_ioas(w);
	attach(w);
	for (uint64_t i = 1; i <= SOME; i++)
		map_at(w, i * GAP, w->mem + i * PAGE_SIZE, PAGE_SIZE);
	for (unsigned r = 0; r < ROUNDS; r++) {
		uint64_t t = now_ns();

		for (unsigned i = 0; i < BATCH; i++)
			unmap(w, map(w, 0, 0, w->mem, 2 * PAGE_SIZE), 2 * PAGE_SIZE);
		rounds[r] = (double)(now_ns() - t) / BATCH;
	}
	report_median("map_auto_8k_among_100k_and_unmap", rounds);
	unmap(w, 0, UINT64_MAX);
	iommufd_device_detach(w->idev);
	drop_ioas(w);
}

static void bench_attach(struct world *w)
{
	double rounds[ROUNDS];

	for (unsigned r = 0; r < ROUNDS; r++) {
		uint64_t t = now_ns();

		for (unsigned i = 0; i < 200; i++) {
			attach(w);
			iommufd_device_detach(w->idev);
		}
		rounds[r] = (double)(now_ns() - t) / 200;
	}
	report_median("attach_and_detach_empty", rounds);
}

static void no_unmap(void *data, uint64_t iova, uint64_t length)
{
	(void)data;
	(void)iova;
	(void)length;
}

static void bench_pin(struct iommufd_access *a, const char *name, uint64_t iova, uint64_t len,
		      unsigned count)
{
	static uint64_t pa[MIB / PAGE_SIZE];
	double rounds[ROUNDS];

	for (unsigned r = 0; r < ROUNDS; r++) {
		uint64_t t = now_ns();

		for (unsigned i = 0; i < count; i++) {
			must(iommufd_access_pin_pages(a, iova, len, pa, IOMMUFD_ACCESS_WRITE),
			     "pin");
			iommufd_access_unpin_pages(a, iova, len);
		}
		rounds[r] = (double)(now_ns() - t) / count;
	}
	report_median(name, rounds);
}

static void bench_rw(struct iommufd_access *a, const char *name, unsigned flags)
{
	static char buf[PAGE_SIZE];
	double rounds[ROUNDS];

	for (unsigned r = 0; r < ROUNDS; r++) {
		uint64_t t = now_ns();

		for (unsigned i = 0; i < BATCH; i++)
			must(iommufd_access_rw(a, 0x40000800, buf, sizeof(buf), flags), "rw");
		rounds[r] = (double)(now_ns() - t) / BATCH;
	}
	report_median(name, rounds);
}

/* One more page while every other one is pinned, each by itself. */
static void bench_pin_among_many(struct iommufd_access *a)
{
	uint64_t pa, t = now_ns();

	for (uint64_t i = 0; i < SOME; i++)
		must(iommufd_access_pin_pages(a, 0x40000000 + i * GAP, PAGE_SIZE, &pa, 0), "pin");
	report("access_pin_100k_pages_each", (double)(now_ns() - t) / SOME);
	bench_pin(a, "access_pin_unpin_4k_among_100k", 0x40001000 + SOME / 2 * GAP, PAGE_SIZE,
		  BATCH);
	t = now_ns();
	for (uint64_t i = 0; i < SOME; i++)
		iommufd_access_unpin_pages(a, 0x40000000 + i * GAP, PAGE_SIZE);
	report("access_unpin_100k_pages_each", (double)(now_ns() - t) / SOME);
}

/* Without a domain, so that memory is really pinned; then from the store, then from a domain. */
static void bench_access(struct world *w)
{
	static const struct iommufd_access_ops ops = { true, no_unmap };
	static uint64_t pa[MIB / PAGE_SIZE];
	struct iommufd_access *a;
	uint32_t id;

	must(iommufd_access_create(w->ctx, &ops, NULL, &a, &id), "access");
	new_ioas(w);
	map_at(w, 0x40000000, w->mem, GIB);
	must(iommufd_access_attach(a, w->ioas), "attach");
	bench_pin(a, "access_pin_unpin_4k", 0x40003000, PAGE_SIZE, BATCH);
	bench_pin(a, "access_pin_unpin_1m", 0x40100000, MIB, BATCH / 10);
	bench_pin_among_many(a);
	bench_rw(a, "access_rw_4k", 0);
	bench_rw(a, "access_rw_4k_slow", IOMMUFD_ACCESS_SLOW);
	must(iommufd_access_pin_pages(a, 0x40003000, PAGE_SIZE, pa, 0), "pin");
	bench_pin(a, "access_pin_unpin_4k_again", 0x40003000, PAGE_SIZE, BATCH);
	iommufd_access_unpin_pages(a, 0x40003000, PAGE_SIZE);
	attach(w);
	bench_pin(a, "access_pin_unpin_4k_vtd", 0x40003000, PAGE_SIZE, BATCH);
	bench_pin(a, "access_pin_unpin_1m_vtd", 0x40100000, MIB, BATCH / 10);
	iommufd_device_detach(w->idev);
	iommufd_access_destroy(a);
	drop_ioas(w);
}

static bool wanted(const char *name)
{
	return !strncmp(name, prefix, strlen(prefix));
}

static void run(struct world *w)
{
	new_ioas(w);
	if (wanted("ranges"))
		bench_ranges(w);
	if (wanted("none")) {
		bench_pair(w, "map_unmap_4k_no_domain");
		bench_separate(w, "no_domain");
	}
	if (wanted("attach"))
		bench_attach(w);
	attach(w);
	if (wanted("pair"))
		bench_pair(w, "map_unmap_4k_vtd");
	if (wanted("separate"))
		bench_separate(w, "vtd");
	if (wanted("large"))
		bench_large(w);
	iommufd_device_detach(w->idev);
	drop_ioas(w);
	if (wanted("access"))
		bench_access(w);
	if (wanted("auto"))
		bench_auto(w);
	if (wanted("many"))
		bench_many(w);
}

int main(int argc, char **argv)
{
	const struct machine_opts opts = { .kind = iommu_kind_find("vtd") };
	struct iommu_group *g;
	struct world w = { 0 };
	uint32_t id;
	char *p;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json"))
			json = true;
		else
			prefix = argv[i];
	}
	p = mmap(NULL, 2 * GIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return 77;
	w.mem = (char *)(((uintptr_t)p + GIB - 1) & ~(GIB - 1));
	madvise(w.mem, GIB, MADV_HUGEPAGE);
	memset(w.mem, 1, GIB);
	must(machine_create(&opts, &w.m), "machine");
	must(vma_tracking_start(), "tracking"); /* as under the preload: no call asks the kernel */
	must(machine_group(w.m, -1, &g), "group");
	iommu_device_init(&w.dev, g, "0000:01:00.0", 0, 0x100);
	must(iommufd_ctx_create(w.m, &w.ctx), "ctx");
	must(iommufd_device_bind(w.ctx, &w.dev, &w.idev, &id), "bind");
	run(&w);
	iommufd_device_unbind(w.idev);
	iommufd_ctx_put(w.ctx);
	iommu_device_finish(&w.dev);
	machine_destroy(w.m);
	munmap(p, 2 * GIB);
	return 0;
}
