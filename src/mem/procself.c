// SPDX-License-Identifier: MIT
/* Files of /proc/self: which descriptors are open in this process. */
#include "mem/procself.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/fault.h"
#include "base/fd.h"
#include "base/sys.h"

static const struct {
	const char *path;
	int flags;
} files[PROCSELF_COUNT] = {
	[PROCSELF_MAPS] = { "/proc/self/maps", O_RDONLY | O_CLOEXEC },
	[PROCSELF_MEM] = { "/proc/self/mem", O_RDWR | O_CLOEXEC },
};

static _Atomic int kept[PROCSELF_COUNT] = { -1, -1 };
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void on_fork_child(void)
{
	for (unsigned i = 0; i < PROCSELF_COUNT; i++)
		fd_close_hidden(atomic_exchange(&kept[i], -1));
}

static void init_once(void)
{
	pthread_atfork(NULL, NULL, on_fork_child);
}

int procself_open(enum procself which)
{
	return fault_point() ? -ENOMEM : sys_open(files[which].path, files[which].flags, 0);
}

int procself_fd(enum procself which)
{
	int fd = atomic_load_explicit(&kept[which], memory_order_acquire), none = -1;

	if (likely(fd >= 0))
		return fd;
	pthread_once(&once, init_once);
	fd = procself_open(which);
	if (fd >= 0)
		fd = fd_hide(fd);
	if (fd >= 0 && !atomic_compare_exchange_strong(&kept[which], &none, fd)) {
		fd_close_hidden(fd);
		fd = none;
	}
	return fd;
}

void procself_drop(enum procself which, int fd)
{
	atomic_compare_exchange_strong(&kept[which], &fd, -1);
}
