// SPDX-License-Identifier: MIT
/*
 * Paths: which names of the host are replaced by our picture, and back.
 *
 * The picture is a tree of plain files and symbolic links in the run folder, laid out like the
 * host's (<root>/sys/..., <root>/dev/...). A name is followed component by component until it
 * enters a replaced prefix; the rest is left for the kernel to resolve inside the tree, so links
 * and ".." behave as they do in the real sysfs.
 */
#include "front/preload/preload.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "base/sys.h"

/* Replaced trees. A '*' at the end stands for any rest of the component. */
static const char *const replaced[] = {
	"/dev/iommu",
	"/dev/vfio",
	"/dev/char/511:*",
	"/sys/bus/pci",
	"/sys/devices/pci*",
	"/sys/kernel/iommu_groups",
	"/sys/class/vfio",
	"/sys/class/vfio-dev",
	"/sys/class/iommu",
	"/sys/module/vfio*",
	"/sys/module/iommufd",
	"/sys/devices/virtual/vfio-dev",
	"/sys/devices/virtual/iommu",
	"/sys/devices/virtual/vfio",
};

/* First components of relative names that may lead into a replaced tree. */
static bool may_enter(const char *path)
{
	static const char *const first[] = { "dev",    "sys",          "bus",     "class",
					     "kernel", "devices",      "module",  "vfio",
					     "iommu",  "pci",          "virtual", "char",
					     "511:",   "iommu_groups", "..",      "." };

	for (size_t i = 0; i < ARRAY_LEN(first); i++)
		if (!strncmp(path, first[i], strlen(first[i])))
			return true;
	return false;
}

/* The whole of @abs lies in a replaced tree. */
static bool is_replaced(const char *abs)
{
	for (size_t i = 0; i < ARRAY_LEN(replaced); i++) {
		size_t n = strlen(replaced[i]);

		if (replaced[i][n - 1] == '*') {
			if (!strncmp(abs, replaced[i], n - 1))
				return true;
		} else if (!strncmp(abs, replaced[i], n) && (!abs[n] || abs[n] == '/')) {
			return true;
		}
	}
	return false;
}

/*
 * Appends the components of @path to @abs (of @size). In sysfs only until it enters a replaced
 * tree, and then the rest as it is, because what ".." means there depends on links. False: it
 * does not lead into one (or is too long).
 */
static bool follow(char *abs, size_t size, const char *path)
{
	size_t n = strlen(abs), k;

	for (; *path; path += k) {
		path += strspn(path, "/");
		k = strcspn(path, "/");
		if (!k || (k == 1 && path[0] == '.'))
			continue;
		if (k == 2 && path[0] == '.' && path[1] == '.') {
			while (n && abs[--n] != '/')
				;
			abs[n] = 0;
			continue;
		}
		if (n + 1 + k + 2 > size)
			return false;
		abs[n++] = '/';
		memcpy(abs + n, path, k);
		n += k;
		abs[n] = 0;
		if (strncmp(abs, "/dev", 4) && is_replaced(abs)) {
			path += k;
			if (n + strlen(path) + 1 > size)
				return false;
			memcpy(abs + n, path, strlen(path) + 1);
			return true;
		}
	}
	if (!is_replaced(abs))
		return false;
	if (path[-1] == '/') /* only a directory will do */
		memcpy(abs + n, "/", 2);
	return true;
}

static long dir_of(int dirfd, char *buf, size_t size)
{
	char link[40];
	long n;

	if (dirfd == AT_FDCWD) {
		n = sys_call(SYS_getcwd, (long)buf, (long)size, 0, 0, 0, 0);
		return n > 0 ? n - 1 : n;
	}
	snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd);
	n = sys_call(SYS_readlinkat, AT_FDCWD, (long)link, (long)buf, (long)size - 1, 0, 0);
	if (n > 0)
		buf[n] = 0;
	return n;
}

size_t path_strip_n(char *s, size_t len)
{
	const char *root = preload_root_now();
	size_t n;

	if (!root)
		return len;
	n = strlen(root);
	if (len > n && !memcmp(s, root, n) && s[n] == '/') {
		memmove(s, s + n, len - n);
		return len - n;
	}
	return len;
}

size_t path_strip(char *s)
{
	size_t n = path_strip_n(s, strlen(s));

	s[n] = 0;
	return n;
}

/* What the node at the host's name @abs is. */
static enum path_kind classify(const char *abs, unsigned *index)
{
	static const char devices[] = "/dev/vfio/devices/vfio", by_number[] = "/dev/char/511:";
	const char *num = NULL;

	if (!strcmp(abs, "/dev/iommu"))
		return PATH_IOMMU;
	if (!strncmp(abs, devices, sizeof(devices) - 1))
		num = abs + sizeof(devices) - 1;
	else if (!strncmp(abs, by_number, sizeof(by_number) - 1))
		num = abs + sizeof(by_number) - 1;
	if (!num || !isdigit((unsigned char)*num) || num[strspn(num, "0123456789")])
		return PATH_SHADOW;
	*index = (unsigned)strtoul(num, NULL, 10);
	return PATH_DEVICE;
}

bool path_is_plain(int dirfd, const char *path)
{
	if (!path)
		return true;
	/* A name below the root is followed only where the prefixes that concern us can begin. */
	if (path[0] == '/')
		return path[1] != '/' && path[1] != '.' && strncmp(path, "/sys", 4) != 0 &&
		       strncmp(path, "/dev", 4) != 0 && strncmp(path, "/proc", 5) != 0;
	return !path[0] ||
	       (!may_enter(path) && !(dirfd != AT_FDCWD && isdigit((unsigned char)*path)));
}

void path_resolve(int dirfd, const char *path, struct path *out)
{
	char abs[PATH_MAX];
	const char *root;
	size_t len;
	int n;

	out->kind = PATH_HOST;
	out->name = path;
	out->dirfd = dirfd;
	if (path_is_plain(dirfd, path) || !strncmp(path, "/proc", 5))
		return;
	abs[0] = 0;
	if (path[0] != '/') {
		if (!may_enter(path) || dir_of(dirfd, abs, sizeof(abs)) <= 0)
			return;
		len = path_strip(abs);
		if (len && abs[len - 1] == '/') /* the root itself */
			abs[len - 1] = 0;
	}
	if (!follow(abs, sizeof(abs), path))
		return;
	root = preload_root();
	if (!root)
		return;
	n = snprintf(out->buf, sizeof(out->buf), "%s%s", root, abs);
	if (n < 0 || (size_t)n >= sizeof(out->buf))
		return;
	out->kind = classify(abs, &out->index);
	out->name = out->buf;
	out->dirfd = AT_FDCWD;
}

int path_proc_fd(int dirfd, const char *path)
{
	static const char self[] = "/proc/self/fd/", dev[] = "/dev/fd/";
	const char *num = NULL;
	char dir[64];

	if (!path)
		return -1;
	if (!strncmp(path, self, sizeof(self) - 1)) {
		num = path + sizeof(self) - 1;
	} else if (!strncmp(path, dev, sizeof(dev) - 1)) {
		num = path + sizeof(dev) - 1;
	} else if (!strncmp(path, "/proc/", 6)) {
		char *end;
		unsigned long pid = strtoul(path + 6, &end, 10);

		if (end == path + 6 || strncmp(end, "/fd/", 4) ||
		    (long)pid != sys_call(SYS_getpid, 0, 0, 0, 0, 0, 0))
			return -1;
		num = end + 4;
	} else if (isdigit((unsigned char)path[0]) && dirfd != AT_FDCWD) {
		/* readlinkat() in a directory opened on /proc/self/fd. */
		long n = dir_of(dirfd, dir, sizeof(dir));

		if (n > 6 && !strncmp(dir, "/proc/", 6) && !strcmp(dir + n - 3, "/fd"))
			num = path;
	}
	if (!num || !*num || num[strspn(num, "0123456789")])
		return -1;
	return atoi(num);
}

void path_fix_stat(const struct path *p, struct stat *st)
{
	/* The names by number are links to the nodes. */
	if ((p->kind != PATH_IOMMU && p->kind != PATH_DEVICE) || S_ISLNK(st->st_mode))
		return;
	st->st_mode = S_IFCHR | (p->kind == PATH_IOMMU ? 0660 : 0600);
	st->st_rdev = p->kind == PATH_IOMMU ? makedev(10, FRONT_IOMMU_MINOR)
					    : makedev(FRONT_MAJOR, p->index);
	st->st_size = 0;
	st->st_blocks = 0;
}

bool path_in_picture(int fd, const char *name, const char *tree)
{
	const char *root = preload_root_now();
	char dir[PATH_MAX];
	size_t n, k = strlen(tree);

	if (!root || (!name && dir_of(fd, dir, sizeof(dir)) <= 0))
		return false;
	name = name ? name : dir;
	n = strlen(root);
	return !strncmp(name, root, n) && !strncmp(name + n, tree, k) &&
	       (!name[n + k] || name[n + k] == '/');
}
