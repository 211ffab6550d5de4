// SPDX-License-Identifier: MIT
/* Hooks: the life of descriptor numbers, ioctl, read and write. */
#include "front/preload/preload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/sys.h"
#include "base/why.h"

#define IOCTL_TYPE_OURS 0x3b /* ';' */

API int ioctl(int fd, unsigned long req, ...)
{
	struct file *f;
	uintptr_t arg;
	va_list ap;
	long r;

	va_start(ap, req);
	arg = va_arg(ap, uintptr_t);
	va_end(ap);
	f = file_get(fd);
	if (likely(!f)) {
		if ((req >> 8 & 0xff) == IOCTL_TYPE_OURS)
			f = file_get_verified(preload_front_now(), fd);
		if (!f)
			return NEXT(ioctl)(fd, req, arg);
	}
	/* Numbers are 32 bits; a client that passes them as int has the sign extended. */
	r = edge_ioctl(f, fd, (uint32_t)req, arg);
	file_put(f);
	return (int)edge_ret(r);
}

API int close(int fd)
{
	struct file *f;
	int rc;

	if (unlikely(fd_is_ours(fd))) {
		errno = EBADF;
		return -1;
	}
	f = file_close_begin(fd);
	rc = NEXT(close)(fd);
	if (f)
		file_close_end(f, fd, true); /* Linux frees the number whatever close answers */
	return rc;
}

/* Closes [first, last] but for our own descriptors, run by run. */
static int close_runs(unsigned first, unsigned last, unsigned flags)
{
	unsigned limit = last < 65535 ? last : 65535;
	unsigned start = first;
	long rc = 0;

	for (unsigned fd = first; fd <= limit && !rc; fd++) {
		struct file *f;

		if (fd_is_ours((int)fd)) {
			if (fd > start)
				rc = sys_call(SYS_close_range, start, fd - 1, flags, 0, 0, 0);
			start = fd + 1;
			continue;
		}
		f = file_close_begin((int)fd);
		if (!f)
			continue;
		rc = sys_close((int)fd);
		file_close_end(f, (int)fd, true);
		rc = 0;
	}
	if (!rc && start <= last)
		rc = sys_call(SYS_close_range, start, last, flags, 0, 0, 0);
	return (int)edge_ret(rc);
}

API int close_range(unsigned first, unsigned last, int flags)
{
	if (flags ||
	    first > last) /* CLOEXEC only marks; what is wrong with the rest, the kernel says */
		return NEXT(close_range)(first, last, flags);
	return close_runs(first, last, 0);
}

API void closefrom(int first)
{
	close_runs(first < 0 ? 0 : (unsigned)first, ~0u, 0);
}

API int dup(int fd)
{
	int n = NEXT(dup)(fd);

	if (n >= 0)
		file_duped(fd, n);
	return n;
}

API int dup2(int fd, int newfd)
{
	struct file *gone;
	int n;

	if (unlikely(fd_is_ours(newfd))) {
		errno = EBADF;
		return -1;
	}
	if (fd == newfd)
		return NEXT(dup2)(fd, newfd);
	gone = file_close_begin(newfd);
	n = NEXT(dup2)(fd, newfd);
	if (n >= 0)
		file_duped(fd, newfd);
	file_close_end(gone, newfd, n >= 0);
	return n;
}

API int dup3(int fd, int newfd, int flags)
{
	struct file *gone;
	int n;

	if (unlikely(fd_is_ours(newfd))) {
		errno = EBADF;
		return -1;
	}
	gone = fd == newfd ? NULL : file_close_begin(newfd);
	n = NEXT(dup3)(fd, newfd, flags);
	if (n >= 0)
		file_duped(fd, newfd);
	file_close_end(gone, newfd, n >= 0);
	return n;
}

static int fcntl_any(int fd, int cmd, void *arg, int (*next)(int, int, ...))
{
	int n = next(fd, cmd, arg);

	if (n >= 0 && (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC))
		file_duped(fd, n);
	return n;
}

API int fcntl(int fd, int cmd, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	return fcntl_any(fd, cmd, arg, NEXT(fcntl));
}

API int fcntl64(int fd, int cmd, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	return fcntl_any(fd, cmd, arg, NEXT(fcntl64));
}

/* The file when @fd is one of ours: one load for all others. */
static struct file *ours(int fd)
{
	if (likely(!file_maybe(fd)))
		return NULL;
	return file_get_verified(preload_front_now(), fd);
}

API ssize_t pread(int fd, void *buf, size_t n, off_t off)
{
	struct file *f = ours(fd);
	ssize_t r;

	if (!f)
		return NEXT(pread)(fd, buf, n, off);
	r = edge_pread(f, buf, n, (uint64_t)off);
	file_put(f);
	return edge_ret(r);
}

API ssize_t pwrite(int fd, const void *buf, size_t n, off_t off)
{
	struct file *f = ours(fd);
	ssize_t r;

	if (!f)
		return NEXT(pwrite)(fd, buf, n, off);
	r = edge_pwrite(f, buf, n, (uint64_t)off);
	file_put(f);
	return edge_ret(r);
}

API ssize_t pread64(int fd, void *buf, size_t n, off64_t off)
{
	return pread(fd, buf, n, off);
}

API ssize_t pwrite64(int fd, const void *buf, size_t n, off64_t off)
{
	return pwrite(fd, buf, n, off);
}

ssize_t __pread_chk(int fd, void *buf, size_t n, off_t off, size_t size);
ssize_t __pread64_chk(int fd, void *buf, size_t n, off_t off, size_t size);
ssize_t __read_chk(int fd, void *buf, size_t n, size_t size);

API ssize_t __pread_chk(int fd, void *buf, size_t n, off_t off, size_t size)
{
	if (n > size || !file_maybe(fd))
		return NEXT(__pread_chk)(fd, buf, n, off, size);
	return pread(fd, buf, n, off);
}

API ssize_t __pread64_chk(int fd, void *buf, size_t n, off_t off, size_t size)
{
	if (n > size || !file_maybe(fd))
		return NEXT(__pread64_chk)(fd, buf, n, off, size);
	return pread(fd, buf, n, off);
}

/* read and write move the description's offset, which the placeholder keeps for us. */
static ssize_t at_offset(struct file *f, int fd, void *buf, size_t n, bool write)
{
	off_t off = lseek(fd, 0, SEEK_CUR);
	ssize_t r;

	if (off < 0)
		return -errno;
	r = write ? edge_pwrite(f, buf, n, (uint64_t)off) : edge_pread(f, buf, n, (uint64_t)off);
	if (r > 0)
		lseek(fd, off + r, SEEK_SET);
	return r;
}

API ssize_t read(int fd, void *buf, size_t n)
{
	struct file *f = ours(fd);
	ssize_t r;

	if (!f)
		return NEXT(read)(fd, buf, n);
	r = at_offset(f, fd, buf, n, false);
	file_put(f);
	return edge_ret(r);
}

API ssize_t __read_chk(int fd, void *buf, size_t n, size_t size)
{
	if (n > size || !file_maybe(fd))
		return NEXT(__read_chk)(fd, buf, n, size);
	return read(fd, buf, n);
}

API ssize_t write(int fd, const void *buf, size_t n)
{
	struct file *f = ours(fd);
	ssize_t r;

	if (!f)
		return NEXT(write)(fd, buf, n);
	r = at_offset(f, fd, (void *)(uintptr_t)buf, n, true);
	file_put(f);
	return edge_ret(r);
}

/* Segment by segment; an error after the first bytes is a short count. */
static ssize_t vectors(struct file *f, const struct iovec *iov, int cnt, uint64_t off, bool write)
{
	ssize_t done = 0;

	for (int i = 0; i < cnt; i++) {
		ssize_t r = write ? edge_pwrite(f, iov[i].iov_base, iov[i].iov_len, off)
				  : edge_pread(f, iov[i].iov_base, iov[i].iov_len, off);

		if (r < 0)
			return done ? done : r;
		done += r;
		off += (uint64_t)r;
		if ((size_t)r < iov[i].iov_len)
			break;
	}
	return done;
}

static ssize_t vectors_at(struct file *f, const struct iovec *iov, int cnt, off_t off, bool write)
{
	ssize_t r = vectors(f, iov, cnt, (uint64_t)off, write);

	file_put(f);
	return edge_ret(r);
}

static ssize_t vectors_here(struct file *f, int fd, const struct iovec *iov, int cnt, bool write)
{
	off_t off = lseek(fd, 0, SEEK_CUR);
	ssize_t r = vectors_at(f, iov, cnt, off, write);

	if (r > 0)
		lseek(fd, off + r, SEEK_SET);
	return r;
}

API ssize_t readv(int fd, const struct iovec *iov, int cnt)
{
	struct file *f = ours(fd);

	return f ? vectors_here(f, fd, iov, cnt, false) : NEXT(readv)(fd, iov, cnt);
}

API ssize_t writev(int fd, const struct iovec *iov, int cnt)
{
	struct file *f = ours(fd);

	return f ? vectors_here(f, fd, iov, cnt, true) : NEXT(writev)(fd, iov, cnt);
}

API ssize_t preadv(int fd, const struct iovec *iov, int cnt, off_t off)
{
	struct file *f = ours(fd);

	return f ? vectors_at(f, iov, cnt, off, false) : NEXT(preadv)(fd, iov, cnt, off);
}

API ssize_t pwritev(int fd, const struct iovec *iov, int cnt, off_t off)
{
	struct file *f = ours(fd);

	return f ? vectors_at(f, iov, cnt, off, true) : NEXT(pwritev)(fd, iov, cnt, off);
}

API ssize_t preadv64(int fd, const struct iovec *iov, int cnt, off64_t off)
{
	return preadv(fd, iov, cnt, off);
}

API ssize_t pwritev64(int fd, const struct iovec *iov, int cnt, off64_t off)
{
	return pwritev(fd, iov, cnt, off);
}

API ssize_t preadv2(int fd, const struct iovec *iov, int cnt, off_t off, int flags)
{
	struct file *f = ours(fd);

	if (!f)
		return NEXT(preadv2)(fd, iov, cnt, off, flags);
	return off == -1 ? vectors_here(f, fd, iov, cnt, false)
			 : vectors_at(f, iov, cnt, off, false);
}

API ssize_t pwritev2(int fd, const struct iovec *iov, int cnt, off_t off, int flags)
{
	struct file *f = ours(fd);

	if (!f)
		return NEXT(pwritev2)(fd, iov, cnt, off, flags);
	return off == -1 ? vectors_here(f, fd, iov, cnt, true) : vectors_at(f, iov, cnt, off, true);
}

API ssize_t preadv64v2(int fd, const struct iovec *iov, int cnt, off64_t off, int flags)
{
	return preadv2(fd, iov, cnt, off, flags);
}

API ssize_t pwritev64v2(int fd, const struct iovec *iov, int cnt, off64_t off, int flags)
{
	return pwritev2(fd, iov, cnt, off, flags);
}
