// SPDX-License-Identifier: MIT
/* Hooks: opening files. */
#include "front/preload/preload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/why.h"

static int open_node(const struct path *p, int flags)
{
	struct front *f;
	int fd;

	if (flags & O_DIRECTORY || (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL)) {
		errno = flags & O_DIRECTORY ? ENOTDIR : EEXIST;
		return -1;
	}
	why_clear();
	f = preload_front();
	if (!f)
		return -1;
	fd = p->kind == PATH_IOMMU ? file_open_ctx(f, flags) : file_open_device(f, p->index, flags);
	if (fd < 0)
		explain_refusal(p->kind == PATH_IOMMU ? "open(/dev/iommu)"
						      : "open of a VFIO device",
				-1, fd);
	return (int)edge_ret(fd);
}

/*
 * Opening /proc/self/fd/N anew: for a device node that is another open of the device. -1 with
 * errno 0: N is not one of our files.
 */
static int open_again(int number, int flags)
{
	struct front *front = preload_front_now();
	struct file *f = file_get_verified(front, number);
	struct path p = { .kind = PATH_HOST };

	errno = 0;
	if (!f)
		return -1;
	if (front && f->front == front) {
		p.kind = f->kind == FILE_CTX ? PATH_IOMMU : PATH_DEVICE;
		p.index = f->fdev ? f->fdev->minor : 0;
	}
	file_put(f);
	return p.kind == PATH_HOST ? -1 : open_node(&p, flags);
}

static NOINLINE int open_slow(int dirfd, const char *path, int flags, mode_t mode)
{
	int saved = errno, number, fd;
	struct path p;

	if (preload_front_now() && !(flags & (O_PATH | O_NOFOLLOW))) {
		number = path_proc_fd(dirfd, path);
		fd = number >= 0 ? open_again(number, flags) : -1;
		if (fd >= 0 || (number >= 0 && errno))
			return fd;
		errno = saved;
	}
	path_resolve(dirfd, path, &p);
	if (unlikely(p.kind >= PATH_IOMMU && !(flags & O_PATH)))
		return open_node(&p, flags);
	return NEXT(openat)(p.dirfd, p.name, flags, mode);
}

static int open_any(int dirfd, const char *path, int flags, mode_t mode)
{
	if (likely(path_is_plain(dirfd, path)))
		return NEXT(openat)(dirfd, path, flags, mode);
	return open_slow(dirfd, path, flags, mode);
}

#define MODE_ARG(flags, last)                                           \
	({                                                              \
		mode_t m_ = 0;                                          \
		if ((flags) & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) { \
			va_list ap_;                                    \
			va_start(ap_, last);                            \
			m_ = va_arg(ap_, mode_t);                       \
			va_end(ap_);                                    \
		}                                                       \
		m_;                                                     \
	})

API int open(const char *path, int flags, ...)
{
	return open_any(AT_FDCWD, path, flags, MODE_ARG(flags, flags));
}

API int open64(const char *path, int flags, ...)
{
	return open_any(AT_FDCWD, path, flags | O_LARGEFILE, MODE_ARG(flags, flags));
}

API int openat(int dirfd, const char *path, int flags, ...)
{
	return open_any(dirfd, path, flags, MODE_ARG(flags, flags));
}

API int openat64(int dirfd, const char *path, int flags, ...)
{
	return open_any(dirfd, path, flags | O_LARGEFILE, MODE_ARG(flags, flags));
}

/* The fortified forms: without a mode, checked by the caller's compiler. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dirfd, const char *path, int flags);
int __openat64_2(int dirfd, const char *path, int flags);

API int __open_2(const char *path, int flags)
{
	return open_any(AT_FDCWD, path, flags, 0);
}

API int __open64_2(const char *path, int flags)
{
	return open_any(AT_FDCWD, path, flags | O_LARGEFILE, 0);
}

API int __openat_2(int dirfd, const char *path, int flags)
{
	return open_any(dirfd, path, flags, 0);
}

API int __openat64_2(int dirfd, const char *path, int flags)
{
	return open_any(dirfd, path, flags | O_LARGEFILE, 0);
}

API int creat(const char *path, mode_t mode)
{
	return open_any(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

API int creat64(const char *path, mode_t mode)
{
	return open_any(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

/* The open flags of an fopen mode; a node is never created nor truncated by it. */
static int mode_flags(const char *mode)
{
	int flags = mode[0] == 'r' ? O_RDONLY : O_WRONLY;

	for (; *mode; mode++) {
		if (*mode == '+')
			flags = O_RDWR;
		if (*mode == 'e')
			flags |= O_CLOEXEC;
	}
	return flags;
}

static FILE *fopen_node(const struct path *p, const char *mode)
{
	int fd = open_node(p, mode_flags(mode));
	FILE *s;

	if (fd < 0)
		return NULL;
	s = fdopen(fd, mode);
	if (!s)
		close(fd);
	return s;
}

API FILE *fopen(const char *path, const char *mode)
{
	struct path p;

	path_resolve(AT_FDCWD, path, &p);
	return p.kind >= PATH_IOMMU ? fopen_node(&p, mode) : NEXT(fopen)(p.name, mode);
}

API FILE *fopen64(const char *path, const char *mode)
{
	struct path p;

	path_resolve(AT_FDCWD, path, &p);
	return p.kind >= PATH_IOMMU ? fopen_node(&p, mode) : NEXT(fopen64)(p.name, mode);
}

API FILE *freopen(const char *path, const char *mode, FILE *s)
{
	struct path p;

	path_resolve(AT_FDCWD, path, &p);
	return NEXT(freopen)(p.name, mode, s);
}

API FILE *freopen64(const char *path, const char *mode, FILE *s)
{
	struct path p;

	path_resolve(AT_FDCWD, path, &p);
	return NEXT(freopen64)(p.name, mode, s);
}
