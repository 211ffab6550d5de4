// SPDX-License-Identifier: MIT
/*
 * Does QEMU's VT-d read the tables of a running machine as we mean them?
 *
 *	engine_tables ORACLE [SEED]
 *
 * Maps and unmaps memory of this process at random through the iommufd ioctls, with a device
 *attached; then hands the machine's raw table memory to the oracle, with the list of what was asked
 *for. Private memory has output address = virtual address, so the list owes nothing to the code
 *that wrote the tables.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "abi/iommufd.h"
#include "base/bits.h"
#include "iommu/machine.h"
#include "iommufd/iommufd.h"
#include "mem/guard.h"

#define AREAS 300
#define SPAN  (2 * GIB) /* source memory; never touched beyond a few pages */

static struct area {
	uint64_t iova, len, va;
	unsigned prot;
	bool live;
} areas[AREAS];

static uint64_t seed;

static uint64_t random_u64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void must(long rc, const char *what)
{
	if (rc >= 0)
		return;
	fprintf(stderr, "engine_tables: %s: %s\n", what, strerror((int)-rc));
	exit(1);
}

/* A length and an alignment for both addresses, so that every page size comes up. */
static void pick(struct area *a, uint64_t base)
{
	static const uint64_t unit[] = { PAGE_SIZE, PAGE_SIZE, 2 * MIB, 2 * MIB, GIB };
	uint64_t u = unit[random_u64() % 5], max = u == GIB ? 1 : 1 + random_u64() % 40;

	a->len = u * max + (random_u64() % 2 ? 0 : PAGE_SIZE * (random_u64() % 8));
	if (u == GIB)
		a->len = GIB;
	a->va = base + align_down(random_u64() % (SPAN - a->len + 1), u);
	a->iova = align_down(random_u64() >> 16, u);
	/* Half of them close together, so that tables are shared. */
	if (random_u64() % 2)
		a->iova = GIB + align_down(random_u64() % (16 * GIB), u);
	a->prot = 1 + (unsigned)(random_u64() % 3);
}

static void map_one(struct iommufd_ctx *ctx, uint32_t ioas, struct area *a)
{
	struct iommu_ioas_map m = { .size = sizeof(m),
				    .flags = IOMMU_IOAS_MAP_FIXED_IOVA |
					     (a->prot & 1 ? IOMMU_IOAS_MAP_READABLE : 0) |
					     (a->prot & 2 ? IOMMU_IOAS_MAP_WRITEABLE : 0),
				    .ioas_id = ioas,
				    .user_va = a->va,
				    .length = a->len,
				    .iova = a->iova };
	long rc = iommufd_ctx_ioctl(ctx, IOMMU_IOAS_MAP, (uintptr_t)&m);

	/* In the way of another one, beyond the aperture, in the interrupt window: not mapped. */
	if (rc != -EEXIST && rc != -EINVAL)
		must(rc, "IOMMU_IOAS_MAP");
	a->live = !rc;
}

static void unmap_one(struct iommufd_ctx *ctx, uint32_t ioas, struct area *a)
{
	struct iommu_ioas_unmap u = {
		.size = sizeof(u), .ioas_id = ioas, .iova = a->iova, .length = a->len
	};

	must(iommufd_ctx_ioctl(ctx, IOMMU_IOAS_UNMAP, (uintptr_t)&u), "IOMMU_IOAS_UNMAP");
	a->live = false;
}

static unsigned write_files(struct machine *m, const char *image, const char *expect)
{
	static const char *const prot[] = { "", "r", "w", "rw" };
	uint64_t base, len;
	unsigned n = 0;
	FILE *f;

	tables_extent(m->pm, &base, &len);
	f = fopen(image, "w");
	if (!f || fwrite((void *)(uintptr_t)(base + tables_bias(m->pm)), 1, len, f) != len ||
	    fclose(f))
		must(-errno, image);
	f = fopen(expect, "w");
	if (!f)
		must(-errno, expect);
	for (unsigned i = 0; i < AREAS; i++)
		if (areas[i].live && ++n)
			fprintf(f, "0x%llx 0x%llx 0x%llx %s\n", (unsigned long long)areas[i].iova,
				(unsigned long long)areas[i].va, (unsigned long long)areas[i].len,
				prot[areas[i].prot]);
	if (fclose(f))
		must(-errno, expect);
	return n;
}

int main(int argc, char **argv)
{
	struct machine_opts opts = { .kind = iommu_kind_find("vtd") };
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	char dir[] = "/tmp/engine-tables-XXXXXX", image[64], expect[64], cmd[1024];
	struct iommufd_device *idev;
	struct iommu_group *group;
	struct iommu_domain *dom;
	struct iommu_device dev;
	struct iommufd_ctx *ctx;
	struct machine *m;
	uint64_t base, len, first;
	uint32_t id, pt;
	char *mem;
	int rc;

	if (argc < 2)
		return 2;
	seed = first = argc > 2 ? strtoull(argv[2], NULL, 0)
				: (uint64_t)time(NULL) * 2654435761u | 1;
	mem = mmap(NULL, SPAN + GIB, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem == MAP_FAILED)
		must(-errno, "mmap");
	must(guard_init(), "guard_init");
	must(machine_create(&opts, &m), "machine_create");
	must(machine_group(m, 0, &group), "machine_group");
	iommu_device_init(&dev, group, "0000:01:00.0", 0, 0x100);
	must(iommufd_ctx_create(m, &ctx), "iommufd_ctx_create");
	must(iommufd_device_bind(ctx, &dev, &idev, &id), "bind");
	must(iommufd_ctx_ioctl(ctx, IOMMU_IOAS_ALLOC, (uintptr_t)&alloc), "IOMMU_IOAS_ALLOC");
	pt = alloc.out_ioas_id;
	must(iommufd_device_attach(idev, &pt), "attach");
	base = align_down((uintptr_t)mem + GIB - 1, GIB);
	for (unsigned i = 0; i < AREAS; i++) {
		pick(&areas[i], base);
		map_one(ctx, alloc.out_ioas_id, &areas[i]);
		if (i % 3 == 2 && areas[i / 2].live)
			unmap_one(ctx, alloc.out_ioas_id, &areas[i / 2]);
	}
	iommufd_ctx_check(ctx);
	if (!mkdtemp(dir))
		must(-errno, dir);
	snprintf(image, sizeof(image), "%s/image", dir);
	snprintf(expect, sizeof(expect), "%s/expect", dir);
	tables_extent(m->pm, &base, &len);
	dom = atomic_load(&dev.rid_xlat.domain);
	printf("# engine seed %llu: %u areas in %llu KiB of tables\n", (unsigned long long)first,
	       write_files(m, image, expect), (unsigned long long)len >> 10);
	fflush(stdout);
	snprintf(
		cmd, sizeof(cmd),
		"'%s' --image %s --expect %s --base 0x%llx --root 0x%llx --levels 4 --rebase 0x1000000 "
		"--accesses 3000 --seed %llu",
		argv[1], image, expect, (unsigned long long)base,
		(unsigned long long)pt_root(&dom->pt), (unsigned long long)first);
	rc = system(cmd);
	unlink(image);
	unlink(expect);
	rmdir(dir);
	iommufd_device_detach(idev);
	iommufd_device_unbind(idev);
	iommufd_ctx_put(ctx);
	return WIFEXITED(rc) ? WEXITSTATUS(rc) : 1;
}
