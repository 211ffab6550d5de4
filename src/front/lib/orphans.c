// SPDX-License-Identifier: MIT
/*
 * Orphans: files without a number in this process that somebody may still hold (a child, a socket,
 * a mapping). The kernel tells nobody when that ends, so a thread asks, while there are any.
 */
#include "front/lib/edge.h"

#include <fcntl.h>
#include <sys/syscall.h>

#include "base/fault.h"
#include "base/sys.h"

bool file_held(struct file *f)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return sys_fcntl(f->probe, F_OFD_GETLK, (long)&fl) == 0 && fl.l_type != F_UNLCK;
}

/* An orphan that nobody holds any more; it is one no longer. */
static struct file *next_dead(struct front *front)
{
	struct file *dead = NULL;

	mtx_lock(&front->lock);
	list_for_each(pos, &front->files) {
		struct file *f = list_entry(pos, struct file, in_front);

		if (f->orphan && !file_held(f)) {
			f->orphan = false;
			dead = f;
			break;
		}
	}
	mtx_unlock(&front->lock);
	return dead;
}

void file_reap(struct front *front)
{
	struct file *dead;

	while ((dead = next_dead(front)))
		file_put(dead);
}

/* False, and entered as ended, when there is nothing left to look at. */
static bool still_needed(struct front *front)
{
	bool needed = false;

	mtx_lock(&front->lock);
	list_for_each(pos, &front->files)
		needed |= list_entry(pos, struct file, in_front)->orphan;
	needed = needed && !atomic_load(&front->leaving);
	front->reaper_runs = needed;
	mtx_unlock(&front->lock);
	return needed;
}

static void *reaper(void *arg)
{
	struct front *front = arg;
	unsigned ms = 2;

	do {
		futex_wait_ms(&front->leaving, 0, ms);
		if (ms < 100)
			ms *= 2;
		file_reap(front);
	} while (still_needed(front));
	return NULL;
}

/* The thread takes no signals of the program's. Without it, the next open or close looks. */
void file_watch_orphans(struct front *front)
{
	uint64_t all = ~0ull, old;

	sys_call(SYS_rt_sigprocmask, 0, (long)&all, (long)&old, 8, 0, 0);
	mtx_lock(&front->lock);
	if (!front->reaper_runs && !atomic_load(&front->leaving)) {
		if (front->reaper_made) /* it has said its last */
			pthread_join(front->reaper, NULL);
		front->reaper_made = !fault_point() &&
				     !pthread_create(&front->reaper, NULL, reaper, front);
		front->reaper_runs = front->reaper_made;
	}
	mtx_unlock(&front->lock);
	sys_call(SYS_rt_sigprocmask, 2, (long)&old, 0, 8, 0, 0);
}

void file_reaper_stop(struct front *front)
{
	bool made;

	mtx_lock(&front->lock);
	made = front->reaper_made && front->pid == (int)sys_call(SYS_getpid, 0, 0, 0, 0, 0, 0);
	front->reaper_made = false;
	atomic_store(&front->leaving, 1);
	mtx_unlock(&front->lock);
	futex_wake(&front->leaving, 1);
	if (made)
		pthread_join(front->reaper, NULL);
}
