// SPDX-License-Identifier: MIT
/*
 * When does a model's run() run?
 *
 * One word holds the state, so that "kicked, and nobody holds" is decided in one step:
 *   KICKED  run() is wanted          set by kick, cleared by the thread as it sets RUN
 *   RUN     run() is under way       set and cleared by the thread
 *   HOLD    a reset is under way     set by hold, cleared by release; RUN is not set meanwhile
 *   QUIT    the thread is to end     set by destroy
 *   SLEEP   the thread sleeps        set by the thread; whoever clears another's wish wakes it
 * All sleep on that word.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/bits.h"
#include "base/fault.h"
#include "base/pool.h"
#include "base/sys.h"
#include "base/why.h"
#include "iommu/function.h"

#define KICKED 1u
#define RUN    2u
#define HOLD   4u
#define QUIT   8u
#define SLEEP  16u

#define SPINS  200 /* about 10 us: a client that submits again at once finds the thread awake */
#define STACK  (512 * KIB)

struct function_thread {
	struct uiommufd_device *f; /* immutable */
	_Atomic uint32_t word;
	_Atomic bool started;
	_Atomic uint32_t forks; /* value of the counter below that this state belongs to */
	pthread_t id;           /* started */
};

/* Counts forks in the line of this process: a child sees that its threads are gone. */
static _Atomic uint32_t forks;

static void in_child(void)
{
	atomic_fetch_add_explicit(&forks, 1, memory_order_relaxed);
}

int function_setup(void)
{
	static struct mtx lock = MTX_INIT(LOCK_NONE);
	static bool done;
	int rc = 0;

	mtx_lock(&lock);
	if (!done && (fault_point() || pthread_atfork(NULL, NULL, in_child)))
		rc = refuse(ENOMEM, "no memory for a fork handler");
	else
		done = true;
	mtx_unlock(&lock);
	return rc;
}

/* In a fork child, which has one thread: what the parent's threads were at is over. */
static void revive(struct function_thread *t)
{
	uint32_t now = atomic_load_explicit(&forks, memory_order_relaxed);

	if (likely(atomic_load_explicit(&t->forks, memory_order_relaxed) == now))
		return;
	atomic_store(&t->word, 0);
	atomic_store(&t->started, false);
	atomic_store(&t->forks, now);
}

static void name_thread(const struct uiommufd_device *f)
{
	char name[16];

	snprintf(name, sizeof(name), "uiommufd-%u", f->index);
	sys_call(SYS_prctl, PR_SET_NAME, (long)name, 0, 0, 0, 0);
}

static void sleep_until_changed(struct function_thread *t, uint32_t w)
{
	for (int i = 0; i < SPINS; i++) {
		cpu_relax();
		if (atomic_load_explicit(&t->word, memory_order_relaxed) != w)
			return;
	}
	if (atomic_compare_exchange_strong(&t->word, &w, w | SLEEP)) {
		futex_wait(&t->word, w | SLEEP);
		atomic_fetch_and(&t->word, ~SLEEP);
	}
}

static void *thread_main(void *arg)
{
	struct function_thread *t = arg;

	name_thread(t->f);
	for (;;) {
		uint32_t w = atomic_load(&t->word);

		if (w & QUIT)
			return NULL;
		if (!(w & KICKED) || (w & HOLD)) {
			sleep_until_changed(t, w);
			continue;
		}
		if (!atomic_compare_exchange_strong(&t->word, &w, (w & ~KICKED) | RUN))
			continue;
		t->f->ops->run(t->f->state);
		if (atomic_fetch_and(&t->word, ~RUN) & HOLD)
			futex_wake(&t->word, INT_MAX);
	}
}

/*
 * Starts the thread with every signal blocked that is not its own doing. 32 and 33 stay open: the
 * C library stops all threads with them to change ids. A failure leaves the kick for the next.
 */
static void start(struct function_thread *t)
{
	uint64_t own = 1ull << (SIGSEGV - 1) | 1ull << (SIGBUS - 1) | 1ull << (SIGFPE - 1) |
		       1ull << (SIGILL - 1) | 1ull << (SIGTRAP - 1) | 1ull << 31 | 1ull << 32;
	uint64_t block = ~own, saved;
	pthread_attr_t attr;
	bool no = false;

	if (!atomic_compare_exchange_strong(&t->started, &no, true))
		return;
	if (fault_point() || pthread_attr_init(&attr)) {
		atomic_store(&t->started, false);
		return;
	}
	pthread_attr_setstacksize(&attr, STACK);
	sys_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&block, (long)&saved, sizeof(saved), 0, 0);
	if (pthread_create(&t->id, &attr, thread_main, t))
		atomic_store(&t->started, false);
	sys_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&saved, 0, sizeof(saved), 0, 0);
	pthread_attr_destroy(&attr);
}

int function_thread_create(struct uiommufd_device *f, struct function_thread **out)
{
	struct function_thread *t = mem_zalloc(sizeof(*t));

	if (!t)
		return refuse(ENOMEM, "no memory for the thread of %s", f->idev.name);
	t->f = f;
	atomic_store(&t->forks, atomic_load(&forks));
	*out = t;
	return 0;
}

void function_thread_destroy(struct function_thread *t)
{
	if (!t)
		return;
	revive(t);
	atomic_fetch_or(&t->word, QUIT);
	futex_wake(&t->word, INT_MAX);
	if (atomic_load(&t->started))
		pthread_join(t->id, NULL);
	mem_free(t);
}

void function_thread_kick(struct function_thread *t)
{
	if (!t->f->ops->run)
		return;
	revive(t);
	if (atomic_fetch_or(&t->word, KICKED) & SLEEP)
		futex_wake(&t->word, INT_MAX);
	if (unlikely(!atomic_load_explicit(&t->started, memory_order_relaxed)))
		start(t);
}

void function_thread_hold(struct function_thread *t)
{
	uint32_t w;

	revive(t);
	w = atomic_load(&t->word);
	for (;;) {
		if (w & HOLD) {
			futex_wait(&t->word, w);
			w = atomic_load(&t->word);
		} else if (atomic_compare_exchange_weak(&t->word, &w, w | HOLD)) {
			return;
		}
	}
}

void function_thread_wait(struct function_thread *t)
{
	for (uint32_t w; (w = atomic_load(&t->word)) & RUN;)
		futex_wait(&t->word, w);
}

void function_thread_forget(struct function_thread *t)
{
	atomic_fetch_and(&t->word, ~KICKED);
}

void function_thread_release(struct function_thread *t)
{
	atomic_fetch_and(&t->word, ~HOLD);
	futex_wake(&t->word, INT_MAX);
}
