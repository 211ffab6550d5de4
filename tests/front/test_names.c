// SPDX-License-Identifier: MIT
/* What a program under the preload sees of our nodes and our sysfs, by every call that takes a
 * name. */
#include "rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dirfd, const char *path, int flags);
int __openat64_2(int dirfd, const char *path, int flags);
ssize_t __readlink_chk(const char *path, char *buf, size_t n, size_t size);
char *__realpath_chk(const char *path, char *out, size_t size);
int __xstat(int ver, const char *path, struct stat *st);
int __fxstat(int ver, int fd, struct stat *st);

/* "511:0" of sysfs. */
static dev_t sysfs_dev(void)
{
	unsigned maj, min;
	FILE *f = fopen(PCI_DIR "/vfio-dev/vfio0/dev", "re");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%u:%u", &maj, &min), 2);
	fclose(f);
	return makedev(maj, min);
}

/* It is one of our contexts: it allocates; and closes. */
static void is_context(int fd)
{
	assert_true(fd >= 0);
	alloc_ioas(fd);
	assert_int_equal(close(fd), 0);
}

static void is_device(int fd)
{
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(S_ISCHR(st.st_mode));
	assert_int_equal(st.st_rdev, sysfs_dev());
	assert_int_equal(close(fd), 0);
}

static void open__every_form__opens(void **state)
{
	int dir = open("/dev", O_RDONLY | O_DIRECTORY), vfio, root;
	FILE *f;

	(void)state;
	is_context(open("/dev/iommu", O_RDWR));
	is_context(open64("/dev/iommu", O_RDWR | O_CLOEXEC));
	is_context(openat(AT_FDCWD, "/dev/iommu", O_RDWR));
	is_context(openat64(-1, "/dev//./iommu", O_RDWR));
	is_context(open("/dev/vfio/../iommu", O_RDWR));
	is_context(open("//dev/iommu", O_RDWR));
	is_context(openat(dir, "iommu", O_RDWR));
	is_context(openat(dir, "./iommu", O_RDWR));
	is_context(__open_2("/dev/iommu", O_RDWR));
	is_context(__open64_2("/dev/iommu", O_RDWR));
	is_context(__openat_2(dir, "iommu", O_RDWR));
	is_context(__openat64_2(dir, "../dev/iommu", O_RDWR));
	is_context(open("/dev/iommu", O_RDWR | O_CREAT, 0600));
	is_context(creat("/dev/iommu", 0600));
	is_device(open64(NODE, O_RDWR | O_CLOEXEC));
	is_device(openat(dir, "vfio/devices/vfio0", O_RDWR));
	is_device(open("/dev/char/511:0", O_RDWR));
	vfio = openat(dir, "vfio/devices", O_RDONLY | O_DIRECTORY);
	assert_true(vfio >= 0);
	is_device(openat(vfio, "vfio0", O_RDWR));
	is_context(openat(vfio, "../../iommu", O_RDWR));
	root = open("/", O_RDONLY | O_DIRECTORY);
	is_context(openat(root, "dev/iommu", O_RDWR));
	f = fopen("/dev/iommu", "r+e");
	assert_non_null(f);
	alloc_ioas(fileno(f));
	assert_int_equal(fclose(f), 0);
	close(root);
	close(vfio);
	close(dir);
}

static void open__that_must_fail__errno(void **state)
{
	(void)state;
	assert_int_equal(open("/dev/vfio/devices/vfio1", O_RDWR), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(open("/dev/vfio/devices/vfio", O_RDWR), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(open("/dev/iommu/x", O_RDWR), -1);
	assert_int_equal(errno, ENOTDIR);
	assert_int_equal(open("/dev/iommu/", O_RDWR), -1);
	assert_int_equal(errno, ENOTDIR);
	assert_int_equal(open("/dev/iommu", O_RDWR | O_DIRECTORY), -1);
	assert_int_equal(errno, ENOTDIR);
	assert_int_equal(open("/dev/iommu", O_RDWR | O_CREAT | O_EXCL, 0600), -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(open(PCI_DIR "/nothing", O_RDONLY), -1);
	assert_int_equal(errno, ENOENT);
	errno = 77;
	is_context(open("/dev/iommu", O_RDWR));
	assert_int_equal(errno, 77);
}

static void open__flags__cloexec_and_number(void **state)
{
	int lowest = dup(0), fd;

	(void)state;
	close(lowest);
	fd = open("/dev/iommu", O_RDWR);
	assert_int_equal(fd, lowest);
	assert_int_equal(fcntl(fd, F_GETFD), 0);
	close(fd);
	fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	assert_int_equal(fd, lowest);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
}

static void open__proc_self_fd__a_new_file(void **state)
{
	int fd = open_iommu(), again;
	uint32_t id = alloc_ioas(fd);
	struct iommu_destroy d = { .size = sizeof(d), .id = id };
	char name[40];

	(void)state;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	again = open(name, O_RDWR | O_CLOEXEC);
	assert_true(again >= 0);
	assert_int_equal(ioctl(again, IOMMU_DESTROY, &d), -1); /* another context */
	assert_int_equal(errno, ENOENT);
	close(fd);
	is_context(again);
}

static void stat__node__character_device(void **state)
{
	int fd = open_device(), dir = open("/dev/vfio", O_RDONLY | O_DIRECTORY);
	struct stat st, same;
	struct stat64 st64;
	struct statx stx;
	char name[40];

	(void)state;
	assert_int_equal(stat(NODE, &st), 0);
	assert_true(S_ISCHR(st.st_mode) && (st.st_mode & 0777) == 0600);
	assert_int_equal(st.st_rdev, sysfs_dev());
	assert_int_equal(lstat(NODE, &same), 0);
	assert_memory_equal(&st, &same, sizeof(st));
	assert_int_equal(fstatat(dir, "devices/vfio0", &same, 0), 0);
	assert_memory_equal(&st, &same, sizeof(st));
	assert_int_equal(__xstat(1, NODE, &same), 0);
	assert_memory_equal(&st, &same, sizeof(st));
	assert_int_equal(stat64(NODE, &st64), 0);
	assert_int_equal(st64.st_rdev, st.st_rdev);
	assert_int_equal(fstat(fd, &same), 0);
	assert_true(S_ISCHR(same.st_mode) && same.st_rdev == st.st_rdev && !same.st_size);
	assert_int_equal(fstat64(fd, &st64), 0);
	assert_true(S_ISCHR(st64.st_mode) && st64.st_rdev == st.st_rdev);
	assert_int_equal(__fxstat(1, fd, &same), 0);
	assert_true(S_ISCHR(same.st_mode));
	assert_int_equal(fstatat(fd, "", &same, AT_EMPTY_PATH), 0);
	assert_true(S_ISCHR(same.st_mode) && same.st_rdev == st.st_rdev);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	assert_int_equal(stat(name, &same), 0);
	assert_true(S_ISCHR(same.st_mode) && same.st_rdev == st.st_rdev);
	assert_int_equal(lstat(name, &same), 0);
	assert_true(S_ISLNK(same.st_mode));
	assert_int_equal(statx(AT_FDCWD, NODE, 0, STATX_ALL, &stx), 0);
	assert_true(S_ISCHR(stx.stx_mode));
	assert_int_equal(makedev(stx.stx_rdev_major, stx.stx_rdev_minor), st.st_rdev);
	assert_int_equal(statx(fd, "", AT_EMPTY_PATH, STATX_ALL, &stx), 0);
	assert_true(S_ISCHR(stx.stx_mode));
	assert_int_equal(makedev(stx.stx_rdev_major, stx.stx_rdev_minor), st.st_rdev);
	assert_int_equal(stat("/dev/iommu", &st), 0);
	assert_true(S_ISCHR(st.st_mode));
	assert_int_equal(major(st.st_rdev), 10);
	assert_int_equal(access(NODE, R_OK | W_OK), 0);
	assert_int_equal(faccessat(dir, "devices/vfio0", F_OK, 0), 0);
	assert_int_equal(access("/dev/vfio/devices/vfio7", F_OK), -1);
	assert_int_equal(getxattr(NODE, "user.nothing", name, sizeof(name)), -1);
	assert_int_equal(errno == ENODATA || errno == ENOTSUP, 1);
	close(dir);
	close(fd);
}

static void readlink__descriptor_and_sysfs__host_names(void **state)
{
	int fd = open_device(), ctx = open_iommu(), dir = open("/proc/self/fd", O_RDONLY);
	char name[64], buf[PATH_MAX], *p;
	ssize_t n;

	(void)state;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	n = readlink(name, buf, sizeof(buf));
	assert_int_equal(n, strlen(NODE));
	assert_memory_equal(buf, NODE, (size_t)n);
	n = __readlink_chk(name, buf, 5, sizeof(buf));
	assert_int_equal(n, 5);
	snprintf(name, sizeof(name), "%d", ctx);
	n = readlinkat(dir, name, buf, sizeof(buf));
	assert_int_equal(n, strlen("/dev/iommu"));
	assert_memory_equal(buf, "/dev/iommu", (size_t)n);
	snprintf(name, sizeof(name), "/proc/%d/fd/%d", (int)getpid(), ctx);
	p = realpath(name, NULL);
	assert_string_equal(p, "/dev/iommu");
	free(p);
	assert_ptr_equal(realpath(PCI_DIR, buf), buf);
	assert_string_equal(buf, "/sys/devices/pci0000:01/" PCI_NAME);
	assert_ptr_equal(__realpath_chk(PCI_DIR "/subsystem", buf, sizeof(buf)), buf);
	assert_string_equal(buf, "/sys/bus/pci");
	p = canonicalize_file_name(PCI_DIR "/iommu_group");
	assert_string_equal(p, "/sys/kernel/iommu_groups/0");
	free(p);
	n = readlink(PCI_DIR "/driver", buf, sizeof(buf));
	assert_true(n > 9 && !memcmp(buf + n - 9, "/vfio-pci", 9));
	close(dir);
	close(ctx);
	close(fd);
}

static void readdir__nodes_and_sysfs__types(void **state)
{
	struct dirent *e, **list;
	unsigned vfio = 0;
	int n, fd;
	DIR *d = opendir("/dev/vfio/devices");

	(void)state;
	assert_non_null(d);
	while ((e = readdir(d)))
		if (e->d_name[0] != '.') {
			assert_string_equal(e->d_name, "vfio0");
			assert_int_equal(e->d_type, DT_CHR);
			vfio++;
		}
	assert_int_equal(vfio, 1);
	closedir(d);
	fd = open(PCI_DIR "/vfio-dev", O_RDONLY | O_DIRECTORY);
	d = fdopendir(fd);
	assert_non_null(d);
	for (vfio = 0; (e = readdir(d));)
		if (e->d_name[0] != '.') {
			assert_string_equal(e->d_name, "vfio0");
			assert_int_equal(e->d_type, DT_DIR);
			vfio++;
		}
	assert_int_equal(vfio, 1);
	closedir(d);
	n = scandir("/dev/vfio/devices", &list, NULL, alphasort);
	assert_int_equal(n, 3);
	assert_string_equal(list[2]->d_name, "vfio0");
	assert_int_equal(list[2]->d_type, DT_CHR);
	while (n)
		free(list[--n]);
	free(list);
	n = scandir("/sys/bus/pci/devices", &list, NULL, alphasort);
	assert_int_equal(n, 3); /* the host's functions are not there */
	assert_string_equal(list[2]->d_name, PCI_NAME);
	assert_int_equal(list[2]->d_type, DT_LNK);
	while (n)
		free(list[--n]);
	free(list);
}

static unsigned walked, nodes;

static int on_walk(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	assert_int_equal(strncmp(path, "/dev/vfio", 9), 0);
	assert_ptr_equal(strrchr(path, '/') + 1, path + ftw->base);
	assert_true(type == FTW_F || type == FTW_D);
	walked++;
	if (S_ISCHR(st->st_mode))
		nodes++;
	return 0;
}

static void glob_and_nftw__below_ours__host_names(void **state)
{
	glob_t g;

	(void)state;
	assert_int_equal(glob("/sys/bus/pci/devices/*/vfio-dev/vfio*", 0, NULL, &g), 0);
	assert_int_equal(g.gl_pathc, 1);
	assert_string_equal(g.gl_pathv[0], PCI_DIR "/vfio-dev/vfio0");
	globfree(&g);
	assert_int_equal(glob("/dev/vfio/devices/*", 0, NULL, &g), 0);
	assert_int_equal(glob("/dev/iomm[u]", GLOB_APPEND, NULL, &g), GLOB_NOMATCH);
	assert_int_equal(g.gl_pathc, 1);
	assert_string_equal(g.gl_pathv[0], NODE);
	globfree(&g);
	assert_int_equal(nftw("/dev/vfio", on_walk, 8, FTW_PHYS), 0);
	assert_true(walked >= 3);
	assert_true(nodes >= 1);
}

static void chdir__into_ours__relative_names(void **state)
{
	char was[PATH_MAX], buf[PATH_MAX];
	unsigned v = 0;
	FILE *f;

	(void)state;
	assert_non_null(getcwd(was, sizeof(was)));
	assert_int_equal(chdir(PCI_DIR), 0);
	assert_non_null(getcwd(buf, sizeof(buf)));
	assert_string_equal(buf, "/sys/devices/pci0000:01/" PCI_NAME);
	f = fopen("vendor", "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%x", &v), 1);
	fclose(f);
	assert_int_equal(v, 0x8086);
	assert_int_equal(access("iommu_group/devices/" PCI_NAME "/device", R_OK), 0);
	assert_int_equal(access("../" PCI_NAME "/config", R_OK), 0);
	assert_int_equal(chdir("/dev/vfio/devices"), 0);
	is_device(open("vfio0", O_RDWR));
	is_device(open("./vfio0", O_RDWR));
	is_context(open("../../iommu", O_RDWR));
	assert_int_equal(chdir("/dev"), 0);
	is_context(open("iommu", O_RDWR));
	assert_int_equal(chdir(was), 0);
}

static void host_names__others__as_without_us(void **state)
{
	const char *volatile none = NULL;
	struct stat st;

	(void)state;
	assert_int_equal(stat("/dev/null", &st), 0);
	assert_true(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
	assert_int_equal(access("/sys/class/net", F_OK), 0);
	assert_int_equal(access("/proc/self/maps", R_OK), 0);
	assert_int_equal(stat("/nonexistent/iommu", &st), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(open(none, O_RDONLY), -1);
	assert_int_equal(errno, EFAULT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(open__every_form__opens),
		cmocka_unit_test(open__that_must_fail__errno),
		cmocka_unit_test(open__flags__cloexec_and_number),
		cmocka_unit_test(open__proc_self_fd__a_new_file),
		cmocka_unit_test(stat__node__character_device),
		cmocka_unit_test(readlink__descriptor_and_sysfs__host_names),
		cmocka_unit_test(readdir__nodes_and_sysfs__types),
		cmocka_unit_test(glob_and_nftw__below_ours__host_names),
		cmocka_unit_test(chdir__into_ours__relative_names),
		cmocka_unit_test(host_names__others__as_without_us),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
