// SPDX-License-Identifier: MIT
/* The run folder: making and removing it. */
#include "front/lib/rundir.h"

#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fd.h"
#include "base/pool.h"
#include "base/sys.h"
#include "base/why.h"

#define PREFIX    "uiommufd-"
#define BASE_MAX  100
#define STALE_AGE 60 /* seconds: time enough for whoever made a folder to lock it */

static int write_file(const char *root, const char *name, const char *text, size_t n)
{
	char path[300];
	int fd;
	long r;

	if (fault_point())
		return refuse(ENOSPC, "the run folder cannot be written");
	snprintf(path, sizeof(path), "%s/%s", root, name);
	fd = sys_open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return refuse(-fd, "%s cannot be made", path);
	r = sys_write(fd, text, n);
	sys_close(fd);
	if (r != (long)n)
		return refuse(r < 0 ? (int)-r : ENOSPC, "%s cannot be written", path);
	return 0;
}

static int write_picture(struct config *c)
{
	struct device_choice *d = mem_alloc(sizeof(*d) * c->n_devices);
	struct sysfs_function *fn = mem_zalloc(sizeof(*fn) * c->n_devices);
	struct iommu iommu = { 0 };
	bool taken[CONFIG_DEVICES_MAX] = { 0 };
	int rc = d && fn ? 0 : refuse(ENOMEM, "no memory for the sysfs picture");

	if (!rc)
		rc = iommu_configure(&iommu, c->iommu);
	for (unsigned i = 0; !rc && i < c->n_devices; i++) {
		rc = config_device(c, i, &d[i]);
		if (!rc && d[i].spec.group >= 0 && d[i].spec.group < CONFIG_DEVICES_MAX)
			taken[d[i].spec.group] = true;
	}
	/* Groups as the machine numbers them: the lowest that is free, in the order of devices. */
	for (unsigned i = 0; !rc && i < c->n_devices; i++) {
		int g = d[i].spec.group;

		for (int k = 0; g < 0 && k < CONFIG_DEVICES_MAX; k++)
			if (!taken[k]) {
				taken[k] = true;
				g = k;
			}
		memcpy(fn[i].name, d[i].spec.name, sizeof(fn[i].name));
		fn[i].group = g;
		fn[i].index = i;
		fn[i].major = FRONT_MAJOR;
		fn[i].minor = i;
		fn[i].desc = &d[i].desc;
		fn[i].kind = iommu.kind;
		fn[i].iommu = &iommu;
	}
	if (!rc)
		rc = sysfs_write(c->root, fn, c->n_devices);
	mem_free(d);
	mem_free(fn);
	return rc;
}

int rundir_hold(const char *root)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%.4090s/lock", root);
	fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0);
	if (fd >= 0)
		fd = fd_hide(fd);
	if (fd >= 0)
		sys_call(SYS_flock, fd, LOCK_SH, 0, 0, 0, 0);
	return fd;
}

static bool is_old(int fd)
{
	struct stat st;

	return !sys_call(SYS_fstat, fd, (long)&st, 0, 0, 0, 0) && st.st_uid == geteuid() &&
	       st.st_ctime + STALE_AGE < time(NULL);
}

/* Nobody holds it and nobody is about to; or its making was broken off before there was a lock. */
static bool is_stale(const char *root)
{
	int dir = sys_open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW, 0), fd;
	bool stale;

	if (dir < 0)
		return false;
	fd = (int)sys_call(SYS_openat, dir, (long)"lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0, 0,
			   0);
	if (fd >= 0)
		stale = is_old(fd) && !sys_call(SYS_flock, fd, LOCK_EX | LOCK_NB, 0, 0, 0, 0);
	else
		stale = fd == -ENOENT && is_old(dir);
	if (fd >= 0)
		sys_close(fd);
	sys_close(dir);
	return stale;
}

/* Removes what a killed process could not. */
static void sweep(const char *base)
{
	char path[PATH_MAX + 300];
	struct dirent *e;
	DIR *d = opendir(base);

	while (d && (e = readdir(d))) {
		if (strncmp(e->d_name, PREFIX, sizeof(PREFIX) - 1) ||
		    strlen(e->d_name) != sizeof(PREFIX) - 1 + 6)
			continue;
		snprintf(path, sizeof(path), "%s/%s", base, e->d_name);
		if (is_stale(path))
			rundir_remove(path);
	}
	if (d)
		closedir(d);
}

/* A new folder below @where. False: that is no place for one. */
static bool make_folder(struct config *c, const char *where)
{
	char base[PATH_MAX];

	/* Without links in it: names are compared with what /proc/self/fd says. */
	if (!where || !realpath(where, base) || strlen(base) > BASE_MAX)
		return false;
	sweep(base);
	snprintf(c->root, sizeof(c->root), "%s/" PREFIX "XXXXXX", base);
	if (mkdtemp(c->root))
		return true;
	c->root[0] = 0;
	return false;
}

int rundir_create(struct config *c)
{
	char text[8192];
	int rc, n;

	if (fault_point() ||
	    (!make_folder(c, getenv("XDG_RUNTIME_DIR")) && !make_folder(c, "/tmp")))
		return refuse(EACCES, "no run folder can be made in XDG_RUNTIME_DIR or /tmp");
	rc = write_file(c->root, "lock", "", 0); /* first: what is broken off can be swept */
	if (!rc)
		rc = write_picture(c);
	n = config_print(c, text, sizeof(text));
	if (!rc && (size_t)n >= sizeof(text))
		rc = refuse(EINVAL, "the config is longer than %zu bytes", sizeof(text));
	if (!rc)
		rc = write_file(c->root, "config", text, (size_t)n);
	if (rc) {
		rundir_remove(c->root);
		c->root[0] = 0;
	}
	return rc;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	return type == FTW_DP ? rmdir(path) : unlink(path);
}

void rundir_remove(const char *root)
{
	const char *last = strrchr(root, '/');

	if (last && !strncmp(last + 1, PREFIX, sizeof(PREFIX) - 1))
		nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
