// SPDX-License-Identifier: MIT
/* Hooks: ioctl, and the life of descriptor numbers. */
#include "front/preload/preload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/sys.h"
#include "base/why.h"
#include "mem/guard.h"

#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE 2
#endif
#define IOCTL_TYPE_OURS 0x3b /* ';' */

/*
 * KVM wants to know which VFIO files a virtual machine uses. The host's KVM knows nothing of ours
 * and needs to know nothing: there is nothing of theirs that it would have to keep coherent.
 */
#define KVM_SET_DEVICE_ATTR 0x4018aee1u
#define KVM_DEV_VFIO_FILE   1u
#define KVM_DEV_VFIO_ADD    1u
#define KVM_DEV_VFIO_DEL    2u

struct kvm_attr {
	uint32_t flags, group;
	uint64_t attr, addr;
};

static COLD bool is_kvm_file(uintptr_t arg)
{
	struct kvm_attr a;
	struct file *f;
	int32_t fd;

	if (!preload_front_now() || guard_copy(&a, (void *)arg, sizeof(a)) ||
	    a.group != KVM_DEV_VFIO_FILE ||
	    (a.attr != KVM_DEV_VFIO_ADD && a.attr != KVM_DEV_VFIO_DEL) ||
	    guard_copy(&fd, (void *)(uintptr_t)a.addr, sizeof(fd)))
		return false;
	f = file_get_verified(preload_front_now(), fd);
	if (f)
		file_put(f);
	return f != NULL;
}

/* Found out about the number behind a call that the cache alone cannot place. */
struct found {
	struct file *f;
	int rc; /* -ENODEV: another process's */
};

static NOINLINE struct found examine(struct file *f, int fd)
{
	bool foreign_command = f != NULL;
	struct found r = { 0 };

	/* A foreign command on our number (isatty, FIONBIO): is it still ours? */
	if (f)
		file_put(f);
	r.f = file_get_verified(preload_front_now(), fd);
	if (!r.f && !foreign_command) {
		why_clear();
		r.rc = file_foreign(fd);
		if (r.rc)
			explain_refusal("ioctl", fd, r.rc);
	}
	return r;
}

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
	if (unlikely(!f != ((req >> 8 & 0xff) != IOCTL_TYPE_OURS))) {
		struct found found = examine(f, fd);

		if (found.rc)
			return (int)edge_ret(found.rc);
		f = found.f;
	}
	if (likely(!f)) {
		if (unlikely((uint32_t)req == KVM_SET_DEVICE_ATTR) && is_kvm_file(arg))
			return 0;
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

/* glibc closes the number of a stream by itself. */
API int fclose(FILE *s)
{
	int saved = errno, fd = fileno(s), rc;
	struct file *f;

	errno = saved; /* a stream over memory has no number */
	f = file_close_begin(fd);
	rc = NEXT(fclose)(s);
	if (f)
		file_close_end(f, fd, true);
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
	/* CLOEXEC only marks; what is wrong with the arguments, the kernel says. */
	if ((flags & ~CLOSE_RANGE_UNSHARE) || first > last)
		return NEXT(close_range)(first, last, flags);
	if ((flags & CLOSE_RANGE_UNSHARE) && unshare(CLONE_FILES))
		return -1;
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
