// SPDX-License-Identifier: MIT
/* Hooks: stat and access. Nodes and open files of ours are character devices. */
#include "front/preload/preload.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* A number that came by a way we did not see is recognised by its inode. */
static void fix_own(struct stat *st)
{
	struct front *f = preload_front_now();

	if (unlikely(f != NULL) && S_ISREG(st->st_mode) && !st->st_nlink)
		file_fix_stat(f, st);
}

static NOINLINE int stat_slow(int dirfd, const char *path, struct stat *st, int flags)
{
	struct path p;
	int rc;

	path_resolve(dirfd, path, &p);
	rc = NEXT(fstatat)(p.dirfd, p.name, st, flags);
	if (rc)
		return rc;
	if (p.kind >= PATH_IOMMU)
		path_fix_stat(&p, st);
	else if (!(flags & AT_SYMLINK_NOFOLLOW) && path_proc_fd(dirfd, path) >= 0)
		fix_own(st);
	return 0;
}

static int stat_at(int dirfd, const char *path, struct stat *st, int flags)
{
	int rc;

	if (unlikely(!path_is_plain(dirfd, path)))
		return stat_slow(dirfd, path, st, flags);
	rc = NEXT(fstatat)(dirfd, path, st, flags);
	if (unlikely(flags & AT_EMPTY_PATH) && !rc && (!path || !path[0]))
		fix_own(st);
	return rc;
}

static int stat_fd(int fd, struct stat *st, int (*next)(int, struct stat *))
{
	int rc = next(fd, st);

	if (!rc)
		fix_own(st);
	return rc;
}

API int stat(const char *path, struct stat *st)
{
	return stat_at(AT_FDCWD, path, st, 0);
}

API int lstat(const char *path, struct stat *st)
{
	return stat_at(AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW);
}

API int fstatat(int dirfd, const char *path, struct stat *st, int flags)
{
	return stat_at(dirfd, path, st, flags);
}

API int fstat(int fd, struct stat *st)
{
	return stat_fd(fd, st, NEXT(fstat));
}

/* On 64-bit systems struct stat64 is struct stat. */
_Static_assert(sizeof(struct stat) == sizeof(struct stat64), "stat64 differs from stat");

API int stat64(const char *path, struct stat64 *st)
{
	return stat_at(AT_FDCWD, path, (struct stat *)st, 0);
}

API int lstat64(const char *path, struct stat64 *st)
{
	return stat_at(AT_FDCWD, path, (struct stat *)st, AT_SYMLINK_NOFOLLOW);
}

API int fstatat64(int dirfd, const char *path, struct stat64 *st, int flags)
{
	return stat_at(dirfd, path, (struct stat *)st, flags);
}

API int fstat64(int fd, struct stat64 *st)
{
	return stat_fd(fd, (struct stat *)st, NEXT(fstat));
}

/* What programs linked against glibc before 2.33 call. */
int __xstat(int ver, const char *path, struct stat *st);
int __lxstat(int ver, const char *path, struct stat *st);
int __fxstat(int ver, int fd, struct stat *st);
int __fxstatat(int ver, int dirfd, const char *path, struct stat *st, int flags);
int __xstat64(int ver, const char *path, struct stat64 *st);
int __lxstat64(int ver, const char *path, struct stat64 *st);
int __fxstat64(int ver, int fd, struct stat64 *st);
int __fxstatat64(int ver, int dirfd, const char *path, struct stat64 *st, int flags);

API int __xstat(int ver, const char *path, struct stat *st)
{
	(void)ver;
	return stat(path, st);
}

API int __lxstat(int ver, const char *path, struct stat *st)
{
	(void)ver;
	return lstat(path, st);
}

API int __fxstat(int ver, int fd, struct stat *st)
{
	(void)ver;
	return fstat(fd, st);
}

API int __fxstatat(int ver, int dirfd, const char *path, struct stat *st, int flags)
{
	(void)ver;
	return fstatat(dirfd, path, st, flags);
}

API int __xstat64(int ver, const char *path, struct stat64 *st)
{
	(void)ver;
	return stat64(path, st);
}

API int __lxstat64(int ver, const char *path, struct stat64 *st)
{
	(void)ver;
	return lstat64(path, st);
}

API int __fxstat64(int ver, int fd, struct stat64 *st)
{
	(void)ver;
	return fstat64(fd, st);
}

API int __fxstatat64(int ver, int dirfd, const char *path, struct stat64 *st, int flags)
{
	(void)ver;
	return fstatat64(dirfd, path, st, flags);
}

static void fix_statx(struct statx *stx, const struct stat *st)
{
	stx->stx_mode = (uint16_t)st->st_mode;
	stx->stx_rdev_major = major(st->st_rdev);
	stx->stx_rdev_minor = minor(st->st_rdev);
	stx->stx_nlink = 1;
	stx->stx_size = 0;
	stx->stx_blocks = 0;
}

/* The same for statx: of what it told, only what identifies the file is looked at. */
static void fix_own_statx(struct statx *stx)
{
	struct stat st = { 0 };

	st.st_mode = stx->stx_mode;
	st.st_dev = makedev(stx->stx_dev_major, stx->stx_dev_minor);
	st.st_ino = stx->stx_ino;
	fix_own(&st);
	if (S_ISCHR(st.st_mode))
		fix_statx(stx, &st);
}

static NOINLINE int statx_slow(int dirfd, const char *path, int flags, unsigned mask,
			       struct statx *stx)
{
	struct stat st = { 0 };
	struct path p;
	int rc;

	path_resolve(dirfd, path, &p);
	rc = NEXT(statx)(p.dirfd, p.name, flags, mask, stx);
	if (rc)
		return rc;
	st.st_mode = stx->stx_mode;
	if (p.kind >= PATH_IOMMU && !S_ISLNK(st.st_mode)) {
		path_fix_stat(&p, &st);
		fix_statx(stx, &st);
	} else if (!(flags & AT_SYMLINK_NOFOLLOW) && path_proc_fd(dirfd, path) >= 0) {
		fix_own_statx(stx);
	}
	return 0;
}

API int statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *stx)
{
	int rc;

	if (unlikely(!path_is_plain(dirfd, path)))
		return statx_slow(dirfd, path, flags, mask, stx);
	rc = NEXT(statx)(dirfd, path, flags, mask, stx);
	if (unlikely(flags & AT_EMPTY_PATH) && !rc && (!path || !path[0]))
		fix_own_statx(stx);
	return rc;
}

API int access(const char *path, int mode)
{
	struct path p;

	if (likely(path_is_plain(AT_FDCWD, path)))
		return NEXT(access)(path, mode);
	path_resolve(AT_FDCWD, path, &p);
	return NEXT(access)(p.name, mode);
}

API int faccessat(int dirfd, const char *path, int mode, int flags)
{
	struct path p;

	path_resolve(dirfd, path, &p);
	return NEXT(faccessat)(p.dirfd, p.name, mode, flags);
}

API int euidaccess(const char *path, int mode)
{
	struct path p;

	path_resolve(AT_FDCWD, path, &p);
	return NEXT(euidaccess)(p.name, mode);
}

API int eaccess(const char *path, int mode)
{
	return euidaccess(path, mode);
}
