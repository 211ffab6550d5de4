// SPDX-License-Identifier: MIT
/*
 * What does the memory layer cost: guarded copies, pins, lookups, fences, relocation, tables?
 *
 * bench_mem [--json] [PREFIX]: runs the benches whose name begins with PREFIX. Each figure is the
 * median over rounds of the mean time per operation of a round, in nanoseconds unless the name
 * says otherwise. Build with -Dbuildtype=release: others check lock ranks.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/bits.h"
#include "mem/fence.h"
#include "mem/guard.h"
#include "mem/mm.h"

#define ROUNDS 15u

static bool json;
static const char *prefix = "";
static struct physmap *pm;
static struct mm *mm;
static char *mem;   /* 64 MiB, private, present */
static char *file;  /* 64 MiB, shared, present */
static char *empty; /* 1 GiB, private, untouched */

#define SIZE (64 * MIB)

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void bench(const char *name, void (*fn)(unsigned n), unsigned n, double per_op)
{
	double t[ROUNDS];

	if (strncmp(name, prefix, strlen(prefix)))
		return;
	fn(n / 10 + 1);
	for (unsigned r = 0; r < ROUNDS; r++) {
		double start = now();

		fn(n);
		t[r] = (now() - start) / n / per_op;
	}
	qsort(t, ROUNDS, sizeof(t[0]), compare);
	if (json)
		printf("{\"bench\":\"%s\",\"ns\":%.2f}\n", name, t[ROUNDS / 2]);
	else
		printf("%-40s %12.2f ns\n", name, t[ROUNDS / 2]);
	fflush(stdout);
}

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "bench_mem: %s failed\n", what);
		exit(1);
	}
}

static void copy_64(unsigned n)
{
	while (n--)
		guard_copy(mem + (n & 63) * 64, mem + 8192, 64);
}

static void copy_4096(unsigned n)
{
	while (n--)
		guard_copy(mem, mem + 8192, 4096);
}

static void memcpy_4096(unsigned n)
{
	while (n--) {
		memcpy(mem, mem + 8192, 4096);
		__asm__ volatile("" ::: "memory");
	}
}

static void copy_fault(unsigned n)
{
	char c;

	while (n--)
		guard_copy(&c, NULL, 1);
}

static void touch_write(unsigned n)
{
	while (n--)
		guard_touch(mem + (n & 31) * PAGE_SIZE, 1, true);
}

static void pin_unpin(const char *base, unsigned n, uint64_t npages, uint64_t span)
{
	struct phys_run run;
	unsigned nruns = 0;

	for (uint64_t at = 0; n--; at = (at + npages) % span) {
		must(mm_pin(mm, (uintptr_t)base + (at << PAGE_LG2), npages, MM_PIN_WRITE, &run, 1,
			    &nruns) == (long)npages,
		     "mm_pin");
		physmap_unpin(pm, &run, true);
	}
}

static void pin_4k(unsigned n)
{
	pin_unpin(mem, n, 1, 256);
}

static void pin_64k(unsigned n)
{
	pin_unpin(mem, n, 16, SIZE >> PAGE_LG2);
}

static void pin_64m(unsigned n)
{
	pin_unpin(mem, n, SIZE >> PAGE_LG2, SIZE >> PAGE_LG2);
}

static void pin_1g(unsigned n)
{
	pin_unpin(empty, n, GIB >> PAGE_LG2, GIB >> PAGE_LG2);
}

static void pin_file_4k(unsigned n)
{
	struct phys_run hold;
	unsigned nruns;

	must(mm_pin(mm, (uintptr_t)file, 1, MM_PIN_WRITE, &hold, 1, &nruns) == 1, "mm_pin");
	pin_unpin(file, n, 1, 256);
	physmap_unpin(pm, &hold, true);
}

static void pin_file_64m(unsigned n)
{
	pin_unpin(file, n, SIZE >> PAGE_LG2, SIZE >> PAGE_LG2);
}

static void fence_pair(unsigned n)
{
	struct fence_slot *s = fence_slot();

	while (n--) {
		fence_enter(s, 1);
		fence_exit(s);
	}
}

static void fence_idle(unsigned n)
{
	while (n--)
		fence_wait(1);
}

static void *volatile sink;

static void ptr_private(unsigned n)
{
	while (n--) {
		size_t len = 4096;

		sink = physmap_ptr(pm, (uintptr_t)mem + (n & 255) * PAGE_SIZE, &len);
	}
}

static struct phys_run file_run;

static void ptr_file(unsigned n)
{
	while (n--) {
		size_t len = 4096;

		sink = physmap_ptr(pm, file_run.pa + (n & 255) * PAGE_SIZE, &len);
	}
}

static void tables_pair(unsigned n)
{
	void *ptr;
	uint64_t pa;

	while (n--) {
		must(!tables_alloc(pm, 4096, &ptr, &pa), "tables_alloc");
		tables_free(pm, ptr, pa, 4096);
	}
}

static void unmapping_unpinned(unsigned n)
{
	while (n--)
		vma_unmapping((uintptr_t)mem + (n & 255) * PAGE_SIZE, 4096);
}

/* Pin, relocate, unpin. The range stays mapped, so the next round pins it anew. */
static void relocate(unsigned n, uint64_t npages)
{
	struct phys_run runs[4];
	unsigned nruns;

	while (n--) {
		must(mm_pin(mm, (uintptr_t)mem, npages, 0, runs, 4, &nruns) == (long)npages,
		     "mm_pin");
		must(!vma_unmapping((uintptr_t)mem, npages << PAGE_LG2), "vma_unmapping");
		while (nruns--)
			physmap_unpin(pm, &runs[nruns], false);
	}
}

static void relocate_4k(unsigned n)
{
	relocate(n, 1);
}

static void relocate_1m(unsigned n)
{
	relocate(n, 255);
}

static void set_up(void)
{
	int fd = memfd_create("bench", 0);
	unsigned nruns;

	must(!guard_init() && !physmap_create(NULL, &pm) && !mm_get_self(pm, &mm), "setup");
	must(!vma_tracking_start(), "vma_tracking_start");
	mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
		   -1, 0);
	empty = mmap((void *)(64 * GIB), GIB, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	must(fd >= 0 && !ftruncate(fd, SIZE), "memfd");
	file = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	must(mem != MAP_FAILED && file != MAP_FAILED && empty != MAP_FAILED, "mmap");
	vma_mapped((uintptr_t)file, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(mm_pin(mm, (uintptr_t)file, 256, 0, &file_run, 1, &nruns) == 256, "mm_pin");
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--json"))
			json = true;
		else
			prefix = argv[i];
	set_up();
	bench("guard_copy_64", copy_64, 2000000, 1);
	bench("guard_copy_4096", copy_4096, 500000, 1);
	bench("memcpy_4096", memcpy_4096, 500000, 1);
	bench("guard_copy_fault", copy_fault, 10000, 1);
	bench("guard_touch_write", touch_write, 2000000, 1);
	bench("pin_unpin_4k", pin_4k, 500000, 1);
	bench("pin_unpin_64k", pin_64k, 50000, 1);
	bench("pin_unpin_64m_per_4k", pin_64m, 200, SIZE >> PAGE_LG2);
	bench("pin_unpin_1g_untouched", pin_1g, 2000, 1);
	bench("pin_unpin_file_4k", pin_file_4k, 200000, 1);
	bench("pin_unpin_file_64m_per_4k", pin_file_64m, 5, SIZE >> PAGE_LG2);
	bench("fence_enter_exit", fence_pair, 2000000, 1);
	bench("fence_wait_idle", fence_idle, 500000, 1);
	bench("physmap_ptr_private", ptr_private, 2000000, 1);
	bench("physmap_ptr_file", ptr_file, 2000000, 1);
	bench("tables_alloc_free_4k", tables_pair, 500000, 1);
	bench("vma_unmapping_unpinned", unmapping_unpinned, 500000, 1);
	bench("relocate_4k", relocate_4k, 2000, 1);
	bench("relocate_1m", relocate_1m, 50, 1);
	return 0;
}
