// SPDX-License-Identifier: MIT
/* What does a conformance program need? */
#include "conform.h"

#define FILES_MAX 64

static jmp_buf next_case;
static unsigned failed_checks;
static const char *skipped;
static int files[FILES_MAX];
static unsigned nfiles;

bool conform_check(const char *file, int line, const char *expr, long long got, long long want)
{
	if (got == want)
		return true;
	printf("# %s:%d: %s is %lld (0x%llx), not %lld\n", file, line, expr, got, got, want);
	failed_checks++;
	return false;
}

void conform_end(void)
{
	longjmp(next_case, 1);
}

void conform_skip(const char *why)
{
	skipped = why;
	conform_end();
}

static int keep(int fd)
{
	if (fd >= 0 && nfiles < FILES_MAX)
		files[nfiles++] = fd;
	return fd;
}

int ctx_open(void)
{
	int fd = keep(open("/dev/iommu", O_RDWR | O_CLOEXEC));

	REQUIRE(fd >= 0, true);
	return fd;
}

int ctx_ioctl(int fd, unsigned long cmd, void *arg)
{
	int rc = ioctl(fd, cmd, arg);

	return rc < 0 ? -errno : rc;
}

uint32_t ioas_alloc(int fd)
{
	struct iommu_ioas_alloc c = { .size = sizeof(c) };

	REQUIRE(ctx_ioctl(fd, IOMMU_IOAS_ALLOC, &c), 0);
	return c.out_ioas_id;
}

int destroy(int fd, uint32_t id)
{
	struct iommu_destroy c = { .size = sizeof(c), .id = id };

	return ctx_ioctl(fd, IOMMU_DESTROY, &c);
}

int map(int fd, uint32_t ioas, uint32_t flags, const void *va, uint64_t len, uint64_t *iova)
{
	struct iommu_ioas_map c = {
		.size = sizeof(c),
		.flags = flags,
		.ioas_id = ioas,
		.user_va = (uintptr_t)va,
		.length = len,
		.iova = *iova,
	};
	int rc = ctx_ioctl(fd, IOMMU_IOAS_MAP, &c);

	*iova = c.iova;
	return rc;
}

int map_at(int fd, uint32_t ioas, uint64_t iova, const void *va, uint64_t len)
{
	return map(fd, ioas, FIXED | RW, va, len, &iova);
}

int unmap(int fd, uint32_t ioas, uint64_t iova, uint64_t len, uint64_t *bytes)
{
	struct iommu_ioas_unmap c = {
		.size = sizeof(c), .ioas_id = ioas, .iova = iova, .length = len
	};
	int rc = ctx_ioctl(fd, IOMMU_IOAS_UNMAP, &c);

	if (bytes)
		*bytes = c.length;
	return rc;
}

int ranges(int fd, uint32_t ioas, struct iommu_iova_range *r, uint32_t n, uint64_t *align)
{
	struct iommu_ioas_iova_ranges c = {
		.size = sizeof(c), .ioas_id = ioas, .num_iovas = n, .allowed_iovas = (uintptr_t)r
	};
	int rc = ctx_ioctl(fd, IOMMU_IOAS_IOVA_RANGES, &c);

	if (align)
		*align = c.out_iova_alignment;
	return rc ? rc : (int)c.num_iovas;
}

char *memory(size_t len)
{
	char *p =
		mmap(NULL, len + MIB2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED, true);
	p = (char *)(((uintptr_t)p + MIB2 - 1) & ~(uintptr_t)(MIB2 - 1));
	memset(p, 0x5a, len);
	return p;
}

char *edge_page(void)
{
	char *p = mmap(NULL, 2 * PG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED, true);
	REQUIRE(munmap(p + PG, PG), 0);
	return p;
}

static int open_device(void)
{
	DIR *d = opendir("/dev/vfio/devices");
	const struct dirent *e;
	char path[300];
	int fd = -1;

	if (!d)
		return -1;
	while (fd < 0 && (e = readdir(d))) {
		if (strncmp(e->d_name, "vfio", 4))
			continue;
		snprintf(path, sizeof(path), "/dev/vfio/devices/%s", e->d_name);
		fd = open(path, O_RDWR | O_CLOEXEC);
	}
	closedir(d);
	return keep(fd);
}

int device_bind(int ctx, uint32_t *id)
{
	struct vfio_device_bind_iommufd c = { .argsz = sizeof(c), .iommufd = ctx };
	int fd = open_device();

	if (fd < 0)
		conform_skip("no VFIO device");
	REQUIRE(ctx_ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, &c), 0);
	*id = c.out_devid;
	return fd;
}

int device_attach(int dev, uint32_t *pt_id)
{
	struct vfio_device_attach_iommufd_pt c = { .argsz = sizeof(c), .pt_id = *pt_id };
	int rc = ctx_ioctl(dev, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &c);

	if (!rc)
		*pt_id = c.pt_id;
	return rc;
}

int device_detach(int dev)
{
	struct vfio_device_detach_iommufd_pt c = { .argsz = sizeof(c) };

	return ctx_ioctl(dev, VFIO_DEVICE_DETACH_IOMMUFD_PT, &c);
}

/* Device files first: they were opened after the context they are bound to. */
static void close_files(void)
{
	while (nfiles)
		close(files[--nfiles]);
}

static bool run_case(const struct conform_case *c, size_t i)
{
	failed_checks = 0;
	skipped = NULL;
	if (!setjmp(next_case))
		c->fn();
	close_files();
	if (failed_checks)
		printf("not ok %zu - %s\n", i + 1, c->name);
	else
		printf("ok %zu - %s%s%s\n", i + 1, c->name, skipped ? " # SKIP " : "",
		       skipped ? skipped : "");
	return !failed_checks;
}

int main(int argc, char **argv)
{
	const char *only = argc > 1 ? argv[1] : "";
	bool good = true;
	int fd;

	setvbuf(stdout, NULL, _IOLBF, 0);
	fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		printf("1..0 # SKIP no /dev/iommu: %s\n", strerror(errno));
		return 77;
	}
	close(fd);
	printf("1..%zu\n", conform_ncases);
	for (size_t i = 0; i < conform_ncases; i++)
		if (!strncmp(conform_cases[i].name, only, strlen(only)))
			good &= run_case(&conform_cases[i], i);
	return good ? 0 : 1;
}
