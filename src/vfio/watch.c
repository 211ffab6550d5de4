// SPDX-License-Identifier: MIT
/* The watcher: how one thread waits for descriptors and notices changes of shared memory. */
#include "vfio/watch.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/fault.h"
#include "base/fd.h"
#include "base/pool.h"
#include "base/sys.h"
#include "base/why.h"

#define BATCH    16
#define HOT_NS   50000u /* looking without a sleep after a change */
#define FIRST_NS 20000u /* the first sleep; doubled up to the cap */
#define SIGSET   8      /* bytes of the kernel's signal set */

struct nap {
	int64_t sec, nsec;
};

/* A fork child has our memory and not our thread. */
static bool lost_in_fork(const struct watch *w)
{
	return w->pid != sys_call(SYS_getpid, 0, 0, 0, 0, 0, 0);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Words, because the client stores while we look. True: something differs, and @seen is new. */
static bool mem_changed(struct watch_mem *m)
{
	const uint64_t *src = m->mem;
	bool changed = false;

	for (size_t i = 0; i < m->len / 8; i++) {
		uint64_t v = __atomic_load_n(&src[i], __ATOMIC_ACQUIRE);

		if (unlikely(v != m->seen[i])) {
			m->seen[i] = v;
			changed = true;
		}
	}
	return changed;
}

/* @seen is taken before the model looks: what is stored after that is found the next time. */
static bool look(struct watch *w)
{
	unsigned n = atomic_load_explicit(&w->nmem, memory_order_acquire);
	bool changed = false;

	for (unsigned i = 0; i < n; i++)
		if (mem_changed(&w->mem[i])) {
			changed = true;
			w->mem[i].fn(w->arg, w->mem[i].id);
		}
	return changed;
}

static uint64_t cap_ns(struct watch *w)
{
	unsigned n = atomic_load_explicit(&w->nmem, memory_order_acquire);
	uint64_t len = 0;

	for (unsigned i = 0; i < n; i++)
		len += w->mem[i].len;
	return len <= WATCH_FREE_LEN ? WATCH_CAP_NS : WATCH_CAP_NS * (len / WATCH_FREE_LEN);
}

static void drain(struct watch *w)
{
	struct epoll_event ev[BATCH];
	long n = sys_call(SYS_epoll_pwait, w->epoll, (long)ev, BATCH, 0, 0, SIGSET);

	/* Pairs with watch_add(): the kernel hands us the pointer, this what it points to. */
	atomic_load(&w->adds);
	for (long i = 0; i < n; i++) {
		struct watch_src *s = ev[i].data.ptr;
		uint64_t count;

		if (s)
			s->fn(s);
		else
			sys_read(w->kick, &count, sizeof(count));
	}
}

static void sleep_until_event(struct watch *w, uint64_t ns)
{
	struct pollfd p = { .fd = w->epoll, .events = POLLIN };
	struct nap nap = { 0, (int64_t)ns };

	nap.sec = nap.nsec / 1000000000;
	nap.nsec %= 1000000000;
	sys_call(SYS_ppoll, (long)&p, 1, ns == UINT64_MAX ? 0 : (long)&nap, 0, SIGSET, 0);
}

static void *watcher(void *arg)
{
	struct watch *w = arg;
	uint64_t hot_until = 0, ns = FIRST_NS;

	/* Sleeps of 20 us mean 20 us. */
	sys_call(SYS_prctl, PR_SET_TIMERSLACK, 1000, 0, 0, 0, 0);
	sys_call(SYS_prctl, PR_SET_NAME, (long)"uiommufd-watch", 0, 0, 0, 0);
	while (!atomic_load(&w->quit)) {
		bool changed;

		atomic_fetch_add(&w->seq, 1);
		drain(w);
		changed = look(w);
		atomic_fetch_add(&w->seq, 1);
		if (atomic_load(&w->waiting))
			futex_wake(&w->seq, INT_MAX);
		if (!atomic_load_explicit(&w->nmem, memory_order_relaxed)) {
			sleep_until_event(w, UINT64_MAX);
			continue;
		}
		if (changed) {
			hot_until = now_ns() + HOT_NS;
			ns = FIRST_NS;
		}
		if (hot_until && now_ns() < hot_until) {
			cpu_relax();
			continue;
		}
		hot_until = 0;
		sleep_until_event(w, ns);
		ns = ns * 2 < cap_ns(w) ? ns * 2 : cap_ns(w);
	}
	return NULL;
}

void watch_init(struct watch *w, void *arg)
{
	atomic_init(&w->seq, 0);
	atomic_init(&w->quit, 0);
	atomic_init(&w->waiting, 0);
	atomic_init(&w->adds, 0);
	atomic_init(&w->nmem, 0);
	atomic_init(&w->running, false);
	w->epoll = w->kick = -1;
	w->arg = arg;
	/* Taken under any lock of ours, holding none inside: unranked. */
	mtx_init(&w->lock, LOCK_NONE);
}

static void kick(struct watch *w)
{
	uint64_t one = 1;

	sys_write(w->kick, &one, sizeof(one));
}

/*
 * Client signals go to client threads. Faults stay open, since the guarded copy needs them, and 32
 * and 33, with which the C library changes ids in all threads.
 */
static int spawn(struct watch *w)
{
	uint64_t block, old;
	int rc;

	block = ~(1ull << (SIGSEGV - 1) | 1ull << (SIGBUS - 1) | 1ull << (SIGFPE - 1) |
		  1ull << (SIGILL - 1) | 1ull << (SIGTRAP - 1) | 3ull << 31);
	sys_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&block, (long)&old, SIGSET, 0, 0);
	rc = fault_point() ? EAGAIN : pthread_create(&w->thread, NULL, watcher, w);
	sys_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&old, 0, SIGSET, 0, 0);
	return rc ? refuse(rc, "the watcher thread cannot be started") : 0;
}

static void close_fds(struct watch *w)
{
	fd_close_hidden(w->epoll);
	fd_close_hidden(w->kick);
	w->epoll = w->kick = -1;
}

static int hide(long fd)
{
	return fd < 0 ? (int)fd : fd_hide((int)fd);
}

static int start_locked(struct watch *w)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };
	int rc;

	w->epoll = hide(sys_call(SYS_epoll_create1, EPOLL_CLOEXEC, 0, 0, 0, 0, 0));
	w->kick = hide(sys_call(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK, 0, 0, 0, 0));
	rc = w->epoll < 0 ? w->epoll : w->kick < 0 ? w->kick : 0;
	if (!rc)
		rc = (int)sys_call(SYS_epoll_ctl, w->epoll, EPOLL_CTL_ADD, w->kick, (long)&ev, 0,
				   0);
	if (rc) {
		close_fds(w);
		return refuse(-rc, "the watcher's descriptors cannot be made");
	}
	atomic_store(&w->quit, 0);
	w->pid = sys_call(SYS_getpid, 0, 0, 0, 0, 0, 0);
	rc = spawn(w);
	if (rc)
		close_fds(w);
	return rc;
}

int watch_start(struct watch *w)
{
	int rc = 0;

	if (atomic_load_explicit(&w->running, memory_order_acquire))
		return 0;
	mtx_lock(&w->lock);
	if (!atomic_load(&w->running)) {
		rc = start_locked(w);
		atomic_store(&w->running, !rc);
	}
	mtx_unlock(&w->lock);
	return rc;
}

void watch_stop(struct watch *w)
{
	unsigned n;

	if (!atomic_load(&w->running))
		return;
	atomic_store(&w->quit, 1);
	if (!lost_in_fork(w)) {
		kick(w);
		pthread_join(w->thread, NULL);
	}
	close_fds(w);
	n = atomic_load(&w->nmem);
	atomic_store(&w->nmem, 0);
	for (unsigned i = 0; i < n; i++)
		mem_free(w->mem[i].seen);
	atomic_store(&w->running, false);
}

int watch_add(struct watch *w, struct watch_src *s, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = s };
	int rc;

	atomic_store(&s->fd, fd);
	atomic_fetch_add(&w->adds, 1);
	rc = fault_point()
		     ? -ENOMEM
		     : (int)sys_call(SYS_epoll_ctl, w->epoll, EPOLL_CTL_ADD, fd, (long)&ev, 0, 0);
	if (rc) {
		atomic_store(&s->fd, -1);
		return refuse(-rc, "descriptor %d cannot be watched", fd);
	}
	return 0;
}

void watch_del(struct watch *w, struct watch_src *s)
{
	struct epoll_event ev = { .events = 0 };
	int fd = atomic_exchange(&s->fd, -1);
	uint32_t seq;

	if (fd < 0)
		return;
	sys_call(SYS_epoll_ctl, w->epoll, EPOLL_CTL_DEL, fd, (long)&ev, 0, 0);
	/* A batch fetched before that may hold @s still; one fetched from now on does not. */
	atomic_fetch_add(&w->waiting, 1);
	seq = atomic_load(&w->seq);
	while ((seq & 1) && !lost_in_fork(w) && atomic_load(&w->seq) == seq)
		futex_wait(&w->seq, seq);
	atomic_fetch_sub(&w->waiting, 1);
}

static int memory_locked(struct watch *w, const void *mem, size_t len, unsigned id,
			 void (*fn)(void *arg, unsigned id))
{
	unsigned n = atomic_load(&w->nmem);
	struct watch_mem *m = &w->mem[n];

	for (unsigned i = 0; i < n; i++)
		if (w->mem[i].id == id)
			return 0;
	if (BUG_ON(n == WATCH_MEM_MAX))
		return -ENOMEM;
	m->seen = mem_alloc(len);
	if (!m->seen)
		return refuse(ENOMEM, "no memory for what was seen of %zu bytes", len);
	for (size_t i = 0; i < len / 8; i++)
		m->seen[i] = __atomic_load_n((const uint64_t *)mem + i, __ATOMIC_ACQUIRE);
	m->mem = mem;
	m->len = len;
	m->id = id;
	m->fn = fn;
	atomic_store_explicit(&w->nmem, n + 1, memory_order_release);
	kick(w);
	return 0;
}

int watch_memory(struct watch *w, const void *mem, size_t len, unsigned id,
		 void (*fn)(void *arg, unsigned id))
{
	int rc;

	mtx_lock(&w->lock);
	rc = memory_locked(w, mem, len, id, fn);
	mtx_unlock(&w->lock);
	return rc;
}
