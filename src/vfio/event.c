// SPDX-License-Identifier: MIT
/* Eventfds: how a descriptor of the client's is recognised, kept, signalled and consumed. */
#include "vfio/event.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "base/fd.h"
#include "base/sys.h"
#include "base/why.h"

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif

/*
 * Without /proc: an eventfd has no file type and takes a write of 0, which changes nothing. Other
 * anonymous files refuse it. The name is asked first because the write wakes a KVM irqfd.
 */
static bool accepts_zero(int fd)
{
	uint64_t zero = 0;
	struct stat st;
	long rc;

	memset(&st, 0, sizeof(st));
#ifdef SYS_newfstatat
	rc = sys_call(SYS_newfstatat, fd, (long)"", (long)&st, AT_EMPTY_PATH, 0, 0);
#else
	rc = -ENOSYS;
#endif
	return !rc && !(st.st_mode & S_IFMT) && sys_write(fd, &zero, sizeof(zero)) == sizeof(zero);
}

static bool is_eventfd(int fd)
{
	static const char want[] = "anon_inode:[eventfd]";
	char path[40], name[sizeof(want) + 1];
	long n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = sys_call(SYS_readlinkat, AT_FDCWD, (long)path, (long)name, (long)sizeof(name), 0, 0);
	if (n < 0)
		return accepts_zero(fd);
	return n == sizeof(want) - 1 && !memcmp(name, want, sizeof(want) - 1);
}

int event_get(int fd, struct event *out)
{
	int flags = sys_fcntl(fd, F_GETFL, 0);
	int kept;

	if (flags < 0)
		return refuse(EBADF, "descriptor %d is not open", fd);
	if (!is_eventfd(fd))
		return refuse(EINVAL, "descriptor %d is not an eventfd", fd);
	kept = fd_dup_hidden(fd);
	if (kept < 0)
		return refuse(-kept, "eventfd %d cannot be duplicated", fd);
	out->fd = kept;
	out->nonblock = flags & O_NONBLOCK;
	return 0;
}

void event_put(struct event *e)
{
	fd_close_hidden(e->fd);
	*e = EVENT_NONE;
}

static bool ready(int fd, short what)
{
	struct pollfd p = { .fd = fd, .events = what };
	struct timespec_now {
		long sec, nsec;
	} now = { 0, 0 };

	return sys_call(SYS_ppoll, (long)&p, 1, (long)&now, 0, 8, 0) == 1 && (p.revents & what);
}

void event_signal(const struct event *e)
{
	uint64_t one = 1;

	if (e->fd < 0 || (!e->nonblock && !ready(e->fd, POLLOUT)))
		return;
	sys_write(e->fd, &one, sizeof(one));
}

bool event_consume(const struct event *e)
{
	uint64_t count;
	struct iovec iov = { &count, sizeof(count) };
	long rc;

	if (e->fd < 0)
		return false;
	if (e->nonblock)
		return sys_read(e->fd, &count, sizeof(count)) == sizeof(count);
	rc = sys_call(SYS_preadv2, e->fd, (long)&iov, 1, -1, -1, RWF_NOWAIT);
	if (rc == -EOPNOTSUPP || rc == -ENOSYS)
		return ready(e->fd, POLLIN) &&
		       sys_read(e->fd, &count, sizeof(count)) == sizeof(count);
	return rc == sizeof(count);
}
