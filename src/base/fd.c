// SPDX-License-Identifier: MIT
/* Descriptors of the engine's own: where they live and which they are. */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/fault.h"
#include "base/sys.h"

#define FD_MAX   65536u
#define FD_BELOW 256u /* ours start this far below the limit */

static _Atomic uint64_t ours[FD_MAX / 64];

static long lowest_hidden(void)
{
	struct rlimit rl = { .rlim_cur = 1024 };

	sys_call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)&rl, 0, 0);
	if (rl.rlim_cur > FD_MAX)
		rl.rlim_cur = FD_MAX;
	return rl.rlim_cur > 2 * FD_BELOW ? (long)(rl.rlim_cur - FD_BELOW) : (long)rl.rlim_cur / 2;
}

int fd_dup_hidden(int fd)
{
	int n;

	if (fault_point())
		return -EMFILE;
	n = sys_fcntl(fd, F_DUPFD_CLOEXEC, lowest_hidden());
	if (n == -EMFILE || n == -EINVAL)
		n = sys_fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (n >= 0 && (unsigned)n < FD_MAX)
		atomic_fetch_or(&ours[n / 64], 1ull << (n % 64));
	return n;
}

int fd_hide(int fd)
{
	int n = fd_dup_hidden(fd);

	sys_close(fd);
	return n;
}

void fd_close_hidden(int fd)
{
	if (fd < 0)
		return;
	if ((unsigned)fd < FD_MAX)
		atomic_fetch_and(&ours[fd / 64], ~(1ull << (fd % 64)));
	sys_close(fd);
}

bool fd_is_ours(int fd)
{
	return fd >= 0 && (unsigned)fd < FD_MAX &&
	       (atomic_load_explicit(&ours[fd / 64], memory_order_relaxed) >> (fd % 64) & 1);
}
