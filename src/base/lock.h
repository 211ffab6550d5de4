/* SPDX-License-Identifier: MIT */
/*
 * Mutex and reader-writer lock on futexes.
 *
 * Why our own: an uncontended pair costs one locked instruction and one exchange, neither calls
 * libc (a preload's locks are taken under any interposed call), and a rank can be attached.
 * With LOCK_CHECK each thread keeps the ranks it holds and an inversion is a BUG.
 *
 * Neither lock is recursive or async-signal-safe. A writer waiting stops new readers.
 */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include <stdatomic.h>

#include "base/compiler.h"
#include "base/lock_rank.h"

#ifndef NDEBUG
#define LOCK_CHECK 1
#else
#define LOCK_CHECK 0
#endif

struct mtx {
	_Atomic uint32_t word; /* 0 free, 1 held, 2 held and somebody may sleep */
	uint32_t rank;
};

struct rwl {
	_Atomic uint32_t word; /* RWL_WRITER | RWL_WAITING | number of readers */
	uint32_t rank;
};

#define RWL_WRITER  0x80000000u
#define RWL_WAITING 0x40000000u

void lock_rank_push(uint32_t rank);
void lock_rank_push_any(uint32_t rank); /* where waiting, hence a deadlock, cannot be */
void lock_rank_pop(uint32_t rank);
bool lock_rank_holds(uint32_t rank);

void mtx_lock_slow(struct mtx *m);
void mtx_wake(struct mtx *m);
void rwl_rdlock_slow(struct rwl *l);
void rwl_wrlock_slow(struct rwl *l);
void rwl_wake(struct rwl *l);

#define MTX_INIT(r)    \
	{              \
		0, (r) \
	}
#define RWL_INIT(r)    \
	{              \
		0, (r) \
	}

static inline void mtx_init(struct mtx *m, enum lock_rank rank)
{
	atomic_init(&m->word, 0);
	m->rank = (uint32_t)rank;
}

static inline void rwl_init(struct rwl *l, enum lock_rank rank)
{
	atomic_init(&l->word, 0);
	l->rank = (uint32_t)rank;
}

static inline void mtx_lock(struct mtx *m)
{
	uint32_t zero = 0;

	if (LOCK_CHECK)
		lock_rank_push(m->rank);
	if (unlikely(!atomic_compare_exchange_strong_explicit(
		    &m->word, &zero, 1, memory_order_acquire, memory_order_relaxed)))
		mtx_lock_slow(m);
}

static inline bool mtx_trylock(struct mtx *m)
{
	uint32_t zero = 0;

	if (!atomic_compare_exchange_strong_explicit(&m->word, &zero, 1, memory_order_acquire,
						     memory_order_relaxed))
		return false;
	if (LOCK_CHECK)
		lock_rank_push_any(m->rank);
	return true;
}

static inline void mtx_unlock(struct mtx *m)
{
	if (unlikely(atomic_exchange_explicit(&m->word, 0, memory_order_release) == 2))
		mtx_wake(m);
	if (LOCK_CHECK)
		lock_rank_pop(m->rank);
}

static inline void rwl_rdlock(struct rwl *l)
{
	uint32_t w = atomic_load_explicit(&l->word, memory_order_relaxed);

	if (LOCK_CHECK)
		lock_rank_push(l->rank);
	if (unlikely((w & (RWL_WRITER | RWL_WAITING)) ||
		     !atomic_compare_exchange_strong_explicit(
			     &l->word, &w, w + 1, memory_order_acquire, memory_order_relaxed)))
		rwl_rdlock_slow(l);
}

static inline void rwl_rdunlock(struct rwl *l)
{
	uint32_t w = atomic_fetch_sub_explicit(&l->word, 1, memory_order_release);

	if (unlikely(w == (RWL_WAITING | 1)))
		rwl_wake(l);
	if (LOCK_CHECK)
		lock_rank_pop(l->rank);
}

static inline void rwl_wrlock(struct rwl *l)
{
	uint32_t zero = 0;

	if (LOCK_CHECK)
		lock_rank_push(l->rank);
	if (unlikely(!atomic_compare_exchange_strong_explicit(
		    &l->word, &zero, RWL_WRITER, memory_order_acquire, memory_order_relaxed)))
		rwl_wrlock_slow(l);
}

static inline void rwl_wrunlock(struct rwl *l)
{
	if (unlikely(atomic_exchange_explicit(&l->word, 0, memory_order_release) & RWL_WAITING))
		rwl_wake(l);
	if (LOCK_CHECK)
		lock_rank_pop(l->rank);
}

/* The lock is held by somebody; debug builds: of a rank that this thread holds. */
#define lock_assert_held(l) \
	((void)(LOCK_CHECK && BUG_ON(!atomic_load_explicit(&(l)->word, memory_order_relaxed))))

/* Sleeps while *@word == @val; may return early. Wakes at most @n sleepers on @word. */
void futex_wait(_Atomic uint32_t *word, uint32_t val);
void futex_wait_ms(_Atomic uint32_t *word, uint32_t val, unsigned ms);
void futex_wake(_Atomic uint32_t *word, int n);

static inline void cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

#endif
