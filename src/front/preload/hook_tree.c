// SPDX-License-Identifier: MIT
/*
 * Hooks: what changes a name or asks for the file system below it.
 *
 * Without them these calls would go past our picture and meet the host's devices of the same
 * name. What Linux lets nobody change in sysfs stays as it is; owners, modes and times of the
 * picture's files are the run's own.
 */
#include "front/preload/preload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <utime.h>

#define SYSFS_TYPE 0x62656572
#define DEVFS_TYPE 0x01021994 /* devtmpfs says tmpfs */

/* ---- the file system ---- */

_Static_assert(sizeof(struct statfs) == sizeof(struct statfs64), "statfs64 differs from statfs");

static int statfs_at(const char *path, struct statfs *st,
		     int (*next)(const char *, struct statfs *))
{
	struct path p;
	int rc;

	path_resolve(AT_FDCWD, path, &p);
	rc = next(p.name, st);
	if (!rc && p.kind != PATH_HOST)
		st->f_type = path_in_picture(AT_FDCWD, p.name, "/dev") ? DEVFS_TYPE : SYSFS_TYPE;
	return rc;
}

static int statfs_fd(int fd, struct statfs *st, int (*next)(int, struct statfs *))
{
	int rc = next(fd, st);

	if (!rc && preload_root_now()) {
		if (path_in_picture(fd, NULL, "/dev"))
			st->f_type = DEVFS_TYPE;
		else if (path_in_picture(fd, NULL, "/sys"))
			st->f_type = SYSFS_TYPE;
	}
	return rc;
}

API int statfs(const char *path, struct statfs *st)
{
	return statfs_at(path, st, NEXT(statfs));
}

API int statfs64(const char *path, struct statfs64 *st)
{
	return statfs_at(path, (struct statfs *)st, NEXT(statfs));
}

API int fstatfs(int fd, struct statfs *st)
{
	return statfs_fd(fd, st, NEXT(fstatfs));
}

API int fstatfs64(int fd, struct statfs64 *st)
{
	return statfs_fd(fd, (struct statfs *)st, NEXT(fstatfs));
}

API int statvfs(const char *path, struct statvfs *st)
{
	struct path p;

	path_resolve(AT_FDCWD, path, &p);
	return NEXT(statvfs)(p.name, st);
}

API int statvfs64(const char *path, struct statvfs64 *st)
{
	struct path p;

	path_resolve(AT_FDCWD, path, &p);
	return NEXT(statvfs64)(p.name, st);
}

API int inotify_add_watch(int fd, const char *path, uint32_t mask)
{
	struct path p;

	path_resolve(AT_FDCWD, path, &p);
	return NEXT(inotify_add_watch)(fd, p.name, mask);
}

/* ---- owner, mode, times ---- */

API int fchmodat(int dirfd, const char *path, mode_t mode, int flags)
{
	struct path p;

	path_resolve(dirfd, path, &p);
	return NEXT(fchmodat)(p.dirfd, p.name, mode, flags);
}

API int chmod(const char *path, mode_t mode)
{
	return fchmodat(AT_FDCWD, path, mode, 0);
}

API int fchownat(int dirfd, const char *path, uid_t uid, gid_t gid, int flags)
{
	struct path p;

	path_resolve(dirfd, path, &p);
	return NEXT(fchownat)(p.dirfd, p.name, uid, gid, flags);
}

API int chown(const char *path, uid_t uid, gid_t gid)
{
	return fchownat(AT_FDCWD, path, uid, gid, 0);
}

API int lchown(const char *path, uid_t uid, gid_t gid)
{
	return fchownat(AT_FDCWD, path, uid, gid, AT_SYMLINK_NOFOLLOW);
}

API int utimensat(int dirfd, const char *path, const struct timespec times[2], int flags)
{
	struct path p;

	path_resolve(dirfd, path, &p);
	return NEXT(utimensat)(p.dirfd, p.name, times, flags);
}

API int utimes(const char *path, const struct timeval tv[2])
{
	struct path p;

	path_resolve(AT_FDCWD, path, &p);
	return NEXT(utimes)(p.name, tv);
}

API int lutimes(const char *path, const struct timeval tv[2])
{
	struct path p;

	path_resolve(AT_FDCWD, path, &p);
	return NEXT(lutimes)(p.name, tv);
}

API int utime(const char *path, const struct utimbuf *times)
{
	struct path p;

	path_resolve(AT_FDCWD, path, &p);
	return NEXT(utime)(p.name, times);
}

/* ---- lengths ---- */

/* Devices have none; the contents of sysfs are not kept in its files. */
static bool refuse_length(const struct path *p, int *rc)
{
	if (p->kind == PATH_HOST)
		return false;
	*rc = NEXT(faccessat)(AT_FDCWD, p->name, F_OK, 0);
	if (!*rc && p->kind >= PATH_IOMMU) {
		errno = EINVAL;
		*rc = -1;
	}
	return true;
}

API int truncate(const char *path, off_t len)
{
	struct path p;
	int rc;

	path_resolve(AT_FDCWD, path, &p);
	return refuse_length(&p, &rc) ? rc : NEXT(truncate)(path, len);
}

API int truncate64(const char *path, off64_t len)
{
	return truncate(path, len);
}

/* ---- what makes and removes names ---- */

/* In the picture: errno is set, and the call must not be made. */
static bool refuse_new(int dirfd, const char *path)
{
	struct path p;

	path_resolve(dirfd, path, &p);
	if (p.kind == PATH_HOST)
		return false;
	errno = NEXT(faccessat)(AT_FDCWD, p.name, F_OK, AT_SYMLINK_NOFOLLOW) ? EPERM : EEXIST;
	return true;
}

static bool refuse_gone(int dirfd, const char *path)
{
	struct path p;

	path_resolve(dirfd, path, &p);
	if (p.kind == PATH_HOST)
		return false;
	if (!NEXT(faccessat)(AT_FDCWD, p.name, F_OK, AT_SYMLINK_NOFOLLOW))
		errno = EPERM;
	return true;
}

API int unlinkat(int dirfd, const char *path, int flags)
{
	return refuse_gone(dirfd, path) ? -1 : NEXT(unlinkat)(dirfd, path, flags);
}

API int unlink(const char *path)
{
	return refuse_gone(AT_FDCWD, path) ? -1 : NEXT(unlink)(path);
}

API int rmdir(const char *path)
{
	return refuse_gone(AT_FDCWD, path) ? -1 : NEXT(rmdir)(path);
}

API int remove(const char *path)
{
	return refuse_gone(AT_FDCWD, path) ? -1 : NEXT(remove)(path);
}

API int mkdirat(int dirfd, const char *path, mode_t mode)
{
	return refuse_new(dirfd, path) ? -1 : NEXT(mkdirat)(dirfd, path, mode);
}

API int mkdir(const char *path, mode_t mode)
{
	return refuse_new(AT_FDCWD, path) ? -1 : NEXT(mkdir)(path, mode);
}

API int mknodat(int dirfd, const char *path, mode_t mode, dev_t dev)
{
	return refuse_new(dirfd, path) ? -1 : NEXT(mknodat)(dirfd, path, mode, dev);
}

API int mknod(const char *path, mode_t mode, dev_t dev)
{
	return refuse_new(AT_FDCWD, path) ? -1 : NEXT(mknod)(path, mode, dev);
}

API int mkfifo(const char *path, mode_t mode)
{
	return refuse_new(AT_FDCWD, path) ? -1 : NEXT(mkfifo)(path, mode);
}

API int symlinkat(const char *target, int dirfd, const char *path)
{
	return refuse_new(dirfd, path) ? -1 : NEXT(symlinkat)(target, dirfd, path);
}

API int symlink(const char *target, const char *path)
{
	return refuse_new(AT_FDCWD, path) ? -1 : NEXT(symlink)(target, path);
}

API int linkat(int fd1, const char *from, int fd2, const char *to, int flags)
{
	if (refuse_gone(fd1, from) || refuse_new(fd2, to))
		return -1;
	return NEXT(linkat)(fd1, from, fd2, to, flags);
}

API int link(const char *from, const char *to)
{
	return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

API int renameat2(int fd1, const char *from, int fd2, const char *to, unsigned flags)
{
	if (refuse_gone(fd1, from) || refuse_new(fd2, to))
		return -1;
	return NEXT(renameat2)(fd1, from, fd2, to, flags);
}

API int renameat(int fd1, const char *from, int fd2, const char *to)
{
	if (refuse_gone(fd1, from) || refuse_new(fd2, to))
		return -1;
	return NEXT(renameat)(fd1, from, fd2, to);
}

API int rename(const char *from, const char *to)
{
	if (refuse_gone(AT_FDCWD, from) || refuse_new(AT_FDCWD, to))
		return -1;
	return NEXT(rename)(from, to);
}
