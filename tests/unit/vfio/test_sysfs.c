// SPDX-License-Identifier: MIT
/* The sysfs picture: what the clients that read sysfs look at. */
#include "rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];

static const char *at(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s%s", root, name);
	return path;
}

static const char *text(const char *name)
{
	static char buf[4097];
	FILE *f = fopen(at(name), "re");
	size_t n;

	assert_non_null(f);
	n = fread(buf, 1, sizeof(buf) - 1, f);
	buf[n] = 0;
	fclose(f);
	return buf;
}

/* The place a name resolves to, inside the tree. */
static const char *real(const char *name)
{
	static char path[PATH_MAX];

	assert_non_null(realpath(at(name), path));
	assert_int_equal(strncmp(path, root, strlen(root)), 0);
	return path + strlen(root);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void clear_tree(void)
{
	nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int setup(void **state)
{
	struct sysfs_function fn[2] = { { .group = 0, .index = 0, .major = 511, .minor = 0 },
					{ .group = 4, .index = 1, .major = 511, .minor = 1 } };

	(void)state;
	snprintf(root, sizeof(root), "/tmp/uiommufd-sysfs-XXXXXX");
	assert_non_null(mkdtemp(root));
	for (int i = 0; i < 2; i++) {
		snprintf(fn[i].name, sizeof(fn[i].name), "0000:0%d:00.0", i + 1);
		fn[i].desc = probe_ops.desc;
		fn[i].kind = iommu_kind_find("vtd");
	}
	assert_int_equal(sysfs_write(root, fn, 2), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	clear_tree();
	return 0;
}

#define D "/sys/bus/pci/devices/0000:01:00.0"

static void attributes__each__as_the_kernel_prints(void **state)
{
	(void)state;
	assert_string_equal(text(D "/vendor"), "0x1234\n");
	assert_string_equal(text(D "/device"), "0x5678\n");
	assert_string_equal(text(D "/subsystem_vendor"), "0x9abc\n");
	assert_string_equal(text(D "/class"), "0x088000\n");
	assert_string_equal(text(D "/revision"), "0x03\n");
	assert_string_equal(text(D "/numa_node"), "-1\n");
	assert_string_equal(text(D "/modalias"),
			    "pci:v00001234d00005678sv00009ABCsd0000DEF0bc08sc80i00\n");
	assert_non_null(strstr(text(D "/uevent"), "PCI_SLOT_NAME=0000:01:00.0\n"));
	assert_string_equal(text(D "/vfio-dev/vfio0/dev"), "511:0\n");
	assert_non_null(strstr(text(D "/vfio-dev/vfio0/uevent"), "DEVNAME=vfio/devices/vfio0\n"));
	assert_string_equal(text("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode"), "N\n");
	assert_string_equal(text("/sys/kernel/iommu_groups/0/type"), "DMA\n");
	assert_string_equal(text("/sys/kernel/iommu_groups/0/reserved_regions"),
			    "0x00000000fee00000 0x00000000feefffff msi\n");
	assert_true(strtoull(text(D "/iommu/intel-iommu/cap"), NULL, 16) != 0);
}

static void links__each__resolve_inside(void **state)
{
	(void)state;
	assert_string_equal(real(D), "/sys/devices/pci0000:01/0000:01:00.0");
	assert_string_equal(real(D "/subsystem"), "/sys/bus/pci");
	assert_string_equal(real(D "/driver"), "/sys/bus/pci/drivers/vfio-pci");
	assert_string_equal(real(D "/driver/module"), "/sys/module/vfio_pci");
	assert_string_equal(real(D "/driver/0000:02:00.0"), "/sys/devices/pci0000:02/0000:02:00.0");
	assert_string_equal(real(D "/iommu_group"), "/sys/kernel/iommu_groups/0");
	assert_string_equal(real("/sys/bus/pci/devices/0000:02:00.0/iommu_group"),
			    "/sys/kernel/iommu_groups/4");
	assert_string_equal(real(D "/iommu_group/devices/0000:01:00.0"),
			    "/sys/devices/pci0000:01/0000:01:00.0");
	assert_string_equal(real(D "/iommu"), "/sys/devices/virtual/iommu/dmar0");
	assert_string_equal(real("/sys/class/iommu/dmar0/devices/0000:02:00.0"),
			    "/sys/devices/pci0000:02/0000:02:00.0");
	assert_string_equal(real("/sys/class/vfio-dev/vfio1"),
			    "/sys/devices/pci0000:02/0000:02:00.0/vfio-dev/vfio1");
	assert_string_equal(real("/sys/class/vfio-dev/vfio1/device"),
			    "/sys/devices/pci0000:02/0000:02:00.0");
	assert_string_equal(real("/sys/class/vfio-dev/vfio1/subsystem"), "/sys/class/vfio-dev");
	assert_string_equal(real("/sys/class/vfio/4"), "/sys/devices/virtual/vfio/4");
	assert_string_equal(real("/dev/char/511:1"), "/dev/vfio/devices/vfio1");
	assert_string_equal(real("/dev/iommu"), "/dev/iommu");
}

static unsigned entries(const char *name)
{
	DIR *d = opendir(at(name));
	unsigned n = 0;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void directories__counted__exactly_ours(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(entries(D "/vfio-dev"), 1);
	assert_int_equal(entries("/sys/bus/pci/devices"), 2);
	assert_int_equal(entries("/sys/kernel/iommu_groups"), 2);
	assert_int_equal(entries("/dev/vfio/devices"), 2);
	assert_int_equal(lstat(at(D "/vfio-dev/vfio0"), &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(stat(at(D "/resource0"), &st), 0);
	assert_int_equal(st.st_size, PROBE_BAR0);
	assert_int_not_equal(stat(at(D "/resource1"), &st), 0);
}

static void resource__lines__agree_with_config(void **state)
{
	unsigned long long start[7], last[7], flags[7];
	uint8_t cfg[4096];
	uint64_t bar0;
	const char *p = text(D "/resource");
	int fd;

	(void)state;
	for (unsigned i = 0; i < 7; i++) {
		int n = 0;

		assert_int_equal(sscanf(p, "0x%16llx 0x%16llx 0x%16llx\n%n", &start[i], &last[i],
					&flags[i], &n),
				 3);
		p += n;
	}
	assert_int_equal(*p, 0);
	fd = open(at(D "/config"), O_RDONLY);
	assert_int_equal(read(fd, cfg, sizeof(cfg)), 4096);
	close(fd);
	memcpy(&bar0, cfg + 0x10, 8);
	assert_int_equal(bar0 & ~0xfull, start[0]);
	assert_int_equal(last[0] - start[0], PROBE_BAR0 - 1);
	assert_int_equal(flags[0], 0x140204);
	assert_int_equal(start[1] | last[1] | flags[1], 0);
	assert_int_equal(flags[2], 0x40200);
	assert_int_equal(start[6] | last[6] | flags[6], 0);
	assert_int_equal(start[0] % PROBE_BAR0, 0);
}

static void config__file__is_what_a_client_reads(void **state)
{
	struct rig *r = rig_new(NULL);
	uint8_t file[4096], live[4096];
	int fd = open(at(D "/config"), O_RDONLY);

	(void)state;
	assert_int_equal(read(fd, file, sizeof(file)), 4096);
	close(fd);
	r->f = rig_open(r, 0);
	assert_int_equal(rig_bind(r, r->f, 0, NULL), 0);
	assert_int_equal(vfio_file_pread(r->f, (uintptr_t)live, 4096, 7ull << 40), 4096);
	assert_memory_equal(file, live, 4096);
	rig_free(r);
}

static void write__each_fault__reported(void **state)
{
	struct sysfs_function fn = { .name = "0000:01:00.0", .major = 511 };

	(void)state;
	fn.desc = probe_ops.desc;
	fn.kind = iommu_kind_find("vtd");
	/* Every tenth is enough: they are all alike. */
	for (unsigned n = 1;; n += 10) {
		bool fired;
		int rc;

		why_clear();
		fault_arm(n, false);
		rc = sysfs_write(root, &fn, 1);
		fault_disarm(&fired);
		if (!fired) {
			assert_int_equal(rc, 0);
			break;
		}
		assert_int_equal(rc, -ENOMEM);
		assert_string_not_equal(why_last(), "");
	}
	snprintf(fn.name, sizeof(fn.name), "nonsense");
	assert_refused(sysfs_write(root, &fn, 1), EINVAL);
	snprintf(fn.name, sizeof(fn.name), "0000:01:00.0");
	assert_refused(sysfs_write("/proc/nowhere", &fn, 1), ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attributes__each__as_the_kernel_prints),
		cmocka_unit_test(links__each__resolve_inside),
		cmocka_unit_test(directories__counted__exactly_ours),
		cmocka_unit_test(resource__lines__agree_with_config),
		cmocka_unit_test(config__file__is_what_a_client_reads),
		cmocka_unit_test(write__each_fault__reported),
	};

	rig_main_init();
	return cmocka_run_group_tests(tests, setup, teardown);
}
