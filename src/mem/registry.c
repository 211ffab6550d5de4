// SPDX-License-Identifier: MIT
/*
 * The registry: all physical maps of the process, and who may move their frames.
 *
 * It is walked without a lock (walkers), since every munmap of the client asks.
 */
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/sys.h"
#include "mem/reloc.h"
#include "mem/vma.h"

#define NAP_NS 100000

static struct mtx lock = MTX_INIT(LOCK_RELOCATE); /* one mover at a time; the list */
static _Atomic(struct physmap *) maps;
static _Atomic uint32_t walkers; /* threads that may look at any map */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void before_fork(void)
{
	mtx_lock(&lock);
}

static void after_fork(void)
{
	mtx_unlock(&lock);
}

/* A child's mappings are its own; the maps it inherited are the parent's. */
static void after_fork_child(void)
{
	atomic_store(&maps, NULL);
	atomic_store(&walkers, 0);
	hidden_after_fork_child();
	mtx_unlock(&lock);
}

static void init_once(void)
{
	pthread_atfork(before_fork, after_fork, after_fork_child);
}

int registry_add(struct physmap *pm)
{
	pthread_once(&once, init_once);
	mtx_lock(&lock);
	pm->next = atomic_load(&maps);
	atomic_store(&maps, pm);
	mtx_unlock(&lock);
	return 0;
}

void registry_remove(struct physmap *pm)
{
	struct timespec nap = { .tv_nsec = NAP_NS };
	struct physmap *p;

	mtx_lock(&lock);
	p = atomic_load(&maps);
	if (p == pm)
		atomic_store(&maps, pm->next);
	for (; p; p = p->next)
		if (p->next == pm)
			p->next = pm->next;
	mtx_unlock(&lock);
	/* Pairs with the increment in maps_walk_begin(). */
	while (atomic_load(&walkers))
		sys_call(SYS_nanosleep, (long)&nap, 0, 0, 0, 0, 0);
}

struct physmap *maps_first(void)
{
	return atomic_load(&maps);
}

bool maps_walk_begin(void)
{
	if (!atomic_load_explicit(&maps, memory_order_relaxed))
		return false;
	atomic_fetch_add(&walkers, 1);
	return true;
}

void maps_walk_end(void)
{
	atomic_fetch_sub(&walkers, 1);
}

void reloc_begin(uint64_t *saved)
{
	signals_hold(saved);
	mtx_lock(&lock);
}

void reloc_end(const uint64_t *saved)
{
	for (struct physmap *pm = maps_first(); pm; pm = pm->next)
		frames_wake(pm);
	mtx_unlock(&lock);
	signals_release(saved);
}
