// SPDX-License-Identifier: MIT
/* Hooks: read and write, in all their forms. */
#include "front/preload/preload.h"

#include <errno.h>
#include <limits.h>
#include <sys/uio.h>
#include <unistd.h>

#include "mem/guard.h"

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

/* The kernel reads all segments before it begins; a bad list is an error, not a crash. */
static int check_vectors(const struct iovec *iov, int cnt)
{
	struct iovec v;

	if (cnt < 0 || cnt > IOV_MAX)
		return -EINVAL;
	for (int i = 0; i < cnt; i++) {
		if (guard_copy(&v, &iov[i], sizeof(v)))
			return -EFAULT;
		if (v.iov_len > SSIZE_MAX)
			return -EINVAL;
	}
	return 0;
}

/* Segment by segment; an error after the first bytes is a short count. */
static ssize_t vectors(struct file *f, const struct iovec *iov, int cnt, uint64_t off, bool write)
{
	ssize_t done = 0, r = check_vectors(iov, cnt);
	struct iovec v;

	for (int i = 0; !r && i < cnt; i++) {
		if (guard_copy(&v, &iov[i], sizeof(v)))
			return done ? done : -EFAULT;
		r = write ? edge_pwrite(f, v.iov_base, v.iov_len, off)
			  : edge_pread(f, v.iov_base, v.iov_len, off);
		if (r < 0)
			break;
		done += r;
		off += (uint64_t)r;
		if ((size_t)r < v.iov_len)
			break;
		r = 0;
	}
	return done ? done : r;
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
