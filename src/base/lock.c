// SPDX-License-Identifier: MIT
/* Locks: the contended paths and the rank check. */
#include "base/lock.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/sys.h"

#define SPINS 100

void futex_wait(_Atomic uint32_t *word, uint32_t val)
{
	sys_call(SYS_futex, (long)word, FUTEX_WAIT_PRIVATE, val, 0, 0, 0);
}

void futex_wait_ms(_Atomic uint32_t *word, uint32_t val, unsigned ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	sys_call(SYS_futex, (long)word, FUTEX_WAIT_PRIVATE, val, (long)&ts, 0, 0);
}

void futex_wake(_Atomic uint32_t *word, int n)
{
	sys_call(SYS_futex, (long)word, FUTEX_WAKE_PRIVATE, n, 0, 0, 0);
}

void mtx_lock_slow(struct mtx *m)
{
	for (int i = 0; i < SPINS; i++) {
		uint32_t zero = 0;

		if (atomic_load_explicit(&m->word, memory_order_relaxed) == 0 &&
		    atomic_compare_exchange_weak_explicit(&m->word, &zero, 1, memory_order_acquire,
							  memory_order_relaxed))
			return;
		cpu_relax();
	}
	while (atomic_exchange_explicit(&m->word, 2, memory_order_acquire))
		futex_wait(&m->word, 2);
}

void mtx_wake(struct mtx *m)
{
	futex_wake(&m->word, 1);
}

void rwl_rdlock_slow(struct rwl *l)
{
	int spins = 0;

	for (;;) {
		uint32_t w = atomic_load_explicit(&l->word, memory_order_relaxed);

		if (!(w & (RWL_WRITER | RWL_WAITING))) {
			if (atomic_compare_exchange_weak_explicit(&l->word, &w, w + 1,
								  memory_order_acquire,
								  memory_order_relaxed))
				return;
			continue;
		}
		if (spins++ < SPINS) {
			cpu_relax();
			continue;
		}
		/* WAITING makes whoever lets go wake us; a waiting writer set it already. */
		if ((w & RWL_WAITING) || atomic_compare_exchange_weak_explicit(
						 &l->word, &w, w | RWL_WAITING,
						 memory_order_relaxed, memory_order_relaxed))
			futex_wait(&l->word, w | RWL_WAITING);
	}
}

void rwl_wrlock_slow(struct rwl *l)
{
	int spins = 0;

	for (;;) {
		uint32_t w = atomic_load_explicit(&l->word, memory_order_relaxed);

		if (!(w & ~RWL_WAITING)) {
			/* Keep WAITING: others may sleep still, our unlock wakes them all. */
			if (atomic_compare_exchange_weak_explicit(&l->word, &w, w | RWL_WRITER,
								  memory_order_acquire,
								  memory_order_relaxed))
				return;
			continue;
		}
		if (spins++ < SPINS) {
			cpu_relax();
			continue;
		}
		if ((w & RWL_WAITING) || atomic_compare_exchange_weak_explicit(
						 &l->word, &w, w | RWL_WAITING,
						 memory_order_relaxed, memory_order_relaxed))
			futex_wait(&l->word, w | RWL_WAITING);
	}
}

/*
 * Called with nobody inside. After the last reader WAITING is still set and nobody holds the
 * lock, so clear it: the sleepers contend anew and set it again if they must sleep again.
 */
void rwl_wake(struct rwl *l)
{
	atomic_fetch_and_explicit(&l->word, ~RWL_WAITING, memory_order_relaxed);
	futex_wake(&l->word, INT_MAX);
}

#define HELD_MAX 24

static _Thread_local struct {
	uint8_t n;
	uint8_t rank[HELD_MAX];
} held;

void lock_rank_push_any(uint32_t rank)
{
	if (!BUG_ON(held.n == HELD_MAX))
		held.rank[held.n++] = (uint8_t)rank;
}

void lock_rank_push(uint32_t rank)
{
	if (rank != LOCK_NONE)
		for (unsigned i = 0; i < held.n; i++)
			if (BUG_ON(held.rank[i] >= rank))
				break;
	lock_rank_push_any(rank);
}

void lock_rank_pop(uint32_t rank)
{
	for (unsigned i = held.n; i-- > 0;) {
		if (held.rank[i] != rank)
			continue;
		for (unsigned j = i + 1u; j < held.n; j++)
			held.rank[j - 1] = held.rank[j];
		held.n--;
		return;
	}
	(void)BUG_ON(rank != LOCK_NONE);
}

bool lock_rank_holds(uint32_t rank)
{
	for (unsigned i = 0; i < held.n; i++)
		if (held.rank[i] == rank)
			return true;
	return false;
}
