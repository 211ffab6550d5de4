// SPDX-License-Identifier: MIT
/*
 * What do iommufd calls cost a program?
 *
 *	uiommufd run -- bench_client [--json]
 *
 * A plain client: it measures through ioctl(2), on whatever /dev/iommu it finds, with one VFIO
 * device attached. Figures are medians of rounds, with the limit that each is held against.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "examples/uapi.h"

#define KIB        1024ul
#define MIB        (1024 * KIB)
#define GIB        (1024 * MIB)
#define ROUNDS     21
#define READ_WRITE (IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE)

static int iommu, device, json;
static uint32_t ioas;

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "bench_client: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void map_at(const void *va, size_t len, uint64_t iova)
{
	struct iommu_ioas_map m = { .size = sizeof(m),
				    .flags = READ_WRITE | IOMMU_IOAS_MAP_FIXED_IOVA,
				    .ioas_id = ioas,
				    .user_va = (uintptr_t)va,
				    .length = len,
				    .iova = iova };

	if (ioctl(iommu, IOMMU_IOAS_MAP, &m))
		die("IOMMU_IOAS_MAP");
}

static uint64_t map_anywhere(const void *va, size_t len)
{
	struct iommu_ioas_map m = { .size = sizeof(m),
				    .flags = READ_WRITE,
				    .ioas_id = ioas,
				    .user_va = (uintptr_t)va,
				    .length = len };

	if (ioctl(iommu, IOMMU_IOAS_MAP, &m))
		die("IOMMU_IOAS_MAP");
	return m.iova;
}

static void unmap(uint64_t iova, size_t len)
{
	struct iommu_ioas_unmap u = {
		.size = sizeof(u), .ioas_id = ioas, .iova = iova, .length = len
	};

	if (ioctl(iommu, IOMMU_IOAS_UNMAP, &u))
		die("IOMMU_IOAS_UNMAP");
}

static void *memory(size_t len, size_t align)
{
	char *p =
		mmap(NULL, len + align, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	p = (char *)(((uintptr_t)p + align - 1) & ~(align - 1));
	if (madvise(p, len, MADV_POPULATE_WRITE))
		memset(p, 1, len);
	return p;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void report(const char *name, double *v, int n, const char *unit, double limit)
{
	double mid;

	qsort(v, (size_t)n, sizeof(*v), by_value);
	mid = v[n / 2];
	if (json)
		printf("{\"bench\":\"%s\",\"median\":%.3f,\"min\":%.3f,\"max\":%.3f,\"unit\":\"%s\","
		       "\"limit\":%.3f,\"ratio\":%.3f}\n",
		       name, mid, v[0], v[n - 1], unit, limit, mid / limit);
	else
		printf("%-44s %10.1f %-4s  limit %10.1f  ratio %.2f  (%.1f-%.1f)\n", name, mid,
		       unit, limit, mid / limit, v[0], v[n - 1]);
	fflush(stdout);
}

static uint64_t random_u64(void)
{
	static uint64_t x = 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

/* One page, mapped and unmapped at @n given places in turn. */
static double pair(const char *page, const uint64_t *iova, unsigned n)
{
	uint64_t t = now();

	for (unsigned i = 0; i < n; i++) {
		map_at(page, 4096, iova[i]);
		unmap(iova[i], 4096);
	}
	return (double)(now() - t) / (double)n;
}

static void bench_pair(const char *name, const char *page, uint64_t base, uint64_t span,
		       double limit)
{
	enum { N = 20000 };
	static uint64_t iova[N];
	double v[ROUNDS];

	for (unsigned i = 0; i < N; i++)
		iova[i] = base + (span ? random_u64() % span * 8192 : 0);
	pair(page, iova, N);
	for (int r = 0; r < ROUNDS; r++)
		v[r] = pair(page, iova, N);
	report(name, v, ROUNDS, "ns", limit);
}

static long resident(void)
{
	long size = 0, rss = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f || fscanf(f, "%ld %ld", &size, &rss) != 2)
		die("/proc/self/statm");
	fclose(f);
	return rss * 4096;
}

/* A million areas of one page each, every second page of IOVA, so that there is room between. */
static void bench_million(const char *page)
{
	enum { N = 1000000 };
	uint64_t base = 64 * GIB;
	long before = resident();
	double v[1];

	for (uint64_t i = 0; i < N; i++)
		map_at(page, 4096, base + i * 8192);
	/* One table page holds 512 entries, of which we use every other. */
	v[0] = (double)(resident() - before - (long)(N / 256 * 4096)) / (double)N;
	bench_pair("map+unmap of 4 KiB among 1,000,000 areas", page, base + 4096, N - 1, 600);
	report("memory per area, beyond page tables", v, 1, "B", 300);
	for (uint64_t i = 0; i < N; i++)
		unmap(base + i * 8192, 4096);
}

static void bench_gib(void)
{
	char *p = memory(GIB, GIB);
	double m[ROUNDS], u[ROUNDS];

	for (int r = 0; r < ROUNDS; r++) {
		uint64_t t = now();

		map_at(p, GIB, 4 * GIB);
		m[r] = (double)(now() - t) / 1000;
		t = now();
		unmap(4 * GIB, GIB);
		u[r] = (double)(now() - t) / 1000;
	}
	report("map of 1 GiB of present memory", m, ROUNDS, "us", 100);
	report("unmap of 1 GiB", u, ROUNDS, "us", 6300);
	munmap(p, GIB);
}

static void bench_automatic(const char *page)
{
	enum { N = 100000, M = 1000 };
	static uint64_t iova[N + M];
	double v[ROUNDS];

	for (unsigned i = 0; i < N; i++)
		iova[i] = map_anywhere(page, 4096);
	for (int r = 0; r < ROUNDS; r++) {
		uint64_t t = now();

		for (unsigned i = N; i < N + M; i++)
			iova[i] = map_anywhere(page, 4096);
		v[r] = (double)(now() - t) / (double)M;
		for (unsigned i = N; i < N + M; i++)
			unmap(iova[i], 4096);
	}
	report("automatic IOVA among 100,000 packed areas", v, ROUNDS, "ns", 2000);
	for (unsigned i = 0; i < N; i++)
		unmap(iova[i], 4096);
}

static void set_up(void)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };
	struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach) };
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };

	iommu = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	device = open("/dev/vfio/devices/vfio0", O_RDWR | O_CLOEXEC);
	if (iommu < 0 || device < 0)
		die("opening /dev/iommu and /dev/vfio/devices/vfio0");
	bind.iommufd = iommu;
	if (ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, &bind) ||
	    ioctl(iommu, IOMMU_IOAS_ALLOC, &alloc))
		die("binding");
	attach.pt_id = ioas = alloc.out_ioas_id;
	if (ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach))
		die("attaching");
}

int main(int argc, char **argv)
{
	char *page;

	json = argc > 1 && !strcmp(argv[1], "--json");
	set_up();
	page = memory(4096, 4096);
	bench_pair("map+unmap of 4 KiB of present private memory", page, 16 * MIB, 0, 300);
	bench_automatic(page);
	bench_gib();
	bench_million(page);
	return 0;
}
