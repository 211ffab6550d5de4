// SPDX-License-Identifier: MIT
/* Do calls that change names stay within the picture? The host may have devices of these names. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/time.h>
#include <unistd.h>

#include "rig.h"

#define SYSFS_TYPE 0x62656572
#define DEVFS_TYPE 0x01021994

static void fails(int rc, int err)
{
	assert_int_equal(rc, -1);
	assert_int_equal(errno, err);
}

static void statfs__sysfs_and_dev__their_types(void **state)
{
	struct statfs st;
	int fd;

	(void)state;
	assert_int_equal(statfs(PCI_DIR, &st), 0);
	assert_int_equal(st.f_type, SYSFS_TYPE);
	assert_int_equal(statfs(NODE, &st), 0);
	assert_int_equal(st.f_type, DEVFS_TYPE);
	fd = open(PCI_DIR "/vendor", O_RDONLY);
	assert_int_equal(fstatfs(fd, &st), 0);
	assert_int_equal(st.f_type, SYSFS_TYPE);
	close(fd);
	fd = open("/proc/self/status", O_RDONLY);
	assert_int_equal(fstatfs(fd, &st), 0);
	assert_int_equal(st.f_type, 0x9fa0);
	close(fd);
}

static void owner_mode_times__node__those_of_the_picture(void **state)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_NOW }, { .tv_nsec = UTIME_NOW } };

	(void)state;
	assert_int_equal(chmod("/dev/iommu", 0666), 0);
	assert_int_equal(chown(NODE, geteuid(), getegid()), 0);
	assert_int_equal(lchown(PCI_DIR, geteuid(), getegid()), 0);
	assert_int_equal(utimensat(AT_FDCWD, NODE, times, 0), 0);
	assert_int_equal(utimes("/dev/iommu", NULL), 0);
}

static void remove__sysfs_and_nodes__eperm(void **state)
{
	int dir = open("/dev/vfio/devices", O_RDONLY | O_DIRECTORY);

	(void)state;
	fails(unlink("/dev/iommu"), EPERM);
	fails(unlinkat(dir, "vfio0", 0), EPERM);
	fails(rmdir("/sys/bus/pci/devices"), EPERM);
	fails(remove(PCI_DIR), EPERM);
	fails(rename(NODE, "/tmp/uiommufd-test-tree"), EPERM);
	fails(unlink("/dev/vfio/devices/vfio99"), ENOENT);
	assert_int_equal(access(NODE, F_OK), 0);
	close(dir);
}

static void create__in_the_picture__eexist_or_eperm(void **state)
{
	(void)state;
	fails(mkdir("/dev/vfio", 0755), EEXIST);
	fails(mkdir("/sys/bus/pci/slots", 0755), EPERM);
	fails(symlink("x", "/dev/vfio/x"), EPERM);
	fails(mknod("/dev/iommu", S_IFREG | 0600, 0), EEXIST);
	fails(link("/proc/self/status", "/dev/vfio/status"), EPERM);
}

static void length__of_a_device__einval(void **state)
{
	int fd = open_iommu();

	(void)state;
	fails(truncate("/dev/iommu", 0), EINVAL);
	fails(ftruncate(fd, 0), EINVAL);
	assert_int_equal(truncate(PCI_DIR "/vendor", 0), 0);
	assert_int_equal(access(PCI_DIR "/vendor", R_OK), 0);
	close(fd);
}

static void inotify__node_directory__watched(void **state)
{
	int in = inotify_init1(IN_CLOEXEC);

	(void)state;
	assert_true(inotify_add_watch(in, "/dev/vfio/devices", IN_CREATE | IN_DELETE) > 0);
	close(in);
}

static void lstat__name_by_number__a_link(void **state)
{
	struct stat st;
	struct statx stx;

	(void)state;
	assert_int_equal(lstat("/dev/char/511:0", &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(
		statx(AT_FDCWD, "/dev/char/511:0", AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &stx),
		0);
	assert_true(S_ISLNK(stx.stx_mode));
	assert_int_equal(stat("/dev/char/511:0", &st), 0);
	assert_true(S_ISCHR(st.st_mode));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(statfs__sysfs_and_dev__their_types),
		cmocka_unit_test(owner_mode_times__node__those_of_the_picture),
		cmocka_unit_test(remove__sysfs_and_nodes__eperm),
		cmocka_unit_test(create__in_the_picture__eexist_or_eperm),
		cmocka_unit_test(length__of_a_device__einval),
		cmocka_unit_test(inotify__node_directory__watched),
		cmocka_unit_test(lstat__name_by_number__a_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
