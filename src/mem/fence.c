// SPDX-License-Identifier: MIT
/*
 * DMA fence: which threads are inside a section, and how to wait for them.
 *
 * Slots are never freed: a waiter walks the list without a lock. A slot goes back when its thread
 * ends and the next thread that starts DMA takes it. In a fork child only the calling thread
 * lives, so every other slot is free there.
 */
#include "mem/fence.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/bits.h"
#include "base/fault.h"
#include "base/lock.h"
#include "base/sys.h"

#define SPINS    300
#define SLEEP_NS 50000
#define SLOTS    (PAGE_SIZE / sizeof(struct fence_slot))

_Thread_local struct fence_slot *fence_self_slot __attribute__((tls_model("initial-exec")));

static struct fence_slot *_Atomic slots;       /* claimed at least once: what a waiter looks at */
static struct mtx lock = MTX_INIT(LOCK_FENCE); /* growing the list, and: */
static struct fence_slot *fresh;               /* never claimed yet */
static _Atomic uint32_t last_tag;
static void (*_Atomic cache_free)(void *cache);
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool key_ok;
#if BUILT_WITH_TSAN
static _Atomic uint32_t barrier;
#endif

static void full_barrier(void)
{
#if BUILT_WITH_TSAN /* which knows no fences; a locked instruction is one here */
	atomic_fetch_add_explicit(&barrier, 1, memory_order_seq_cst);
#else
	atomic_thread_fence(memory_order_seq_cst);
#endif
}

uint32_t fence_tag_new(void)
{
	uint32_t tag;

	do
		tag = atomic_fetch_add_explicit(&last_tag, 1, memory_order_relaxed) + 1;
	while (!tag);
	return tag;
}

void fence_set_cache_free(void (*fn)(void *cache))
{
	atomic_store_explicit(&cache_free, fn, memory_order_release);
}

static void slot_release(struct fence_slot *s)
{
	void (*fn)(void *) = atomic_load_explicit(&cache_free, memory_order_acquire);

	atomic_store_explicit(&s->word, 0, memory_order_release);
	if (s->cache && fn)
		fn(s->cache);
	s->cache = NULL;
	atomic_store_explicit(&s->used, 0, memory_order_release);
}

static void on_thread_exit(void *arg)
{
	fence_self_slot = NULL;
	slot_release(arg);
}

/* What a dead thread cached may be half written: it is left, not freed. */
static void on_fork_child(void)
{
	for (struct fence_slot *s = atomic_load(&slots); s; s = atomic_load(&s->next))
		if (s != fence_self_slot) {
			atomic_store(&s->word, 0);
			s->cache = NULL;
			atomic_store(&s->used, 0);
		}
	mtx_init(&lock, LOCK_FENCE);
}

static void init_once(void)
{
	key_ok = !pthread_key_create(&key, on_thread_exit);
	pthread_atfork(NULL, NULL, on_fork_child);
}

static struct fence_slot *take_free(void)
{
	for (struct fence_slot *s = atomic_load_explicit(&slots, memory_order_acquire); s;
	     s = atomic_load_explicit(&s->next, memory_order_acquire)) {
		uint32_t no = 0;

		if (!atomic_load_explicit(&s->used, memory_order_relaxed) &&
		    atomic_compare_exchange_strong(&s->used, &no, 1))
			return s;
	}
	return NULL;
}

static bool grow(void)
{
	struct fence_slot *page;
	void *mem;

	if (fault_point() || sys_mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, &mem))
		return false;
	page = mem;
	for (unsigned i = 0; i + 1 < SLOTS; i++)
		atomic_init(&page[i].next, &page[i + 1]);
	fresh = page;
	return true;
}

/* A slot that nobody had before joins the list: a waiter walks as many as there were threads. */
static struct fence_slot *take_fresh(void)
{
	struct fence_slot *s;

	if (!fresh && !grow())
		return NULL;
	s = fresh;
	fresh = atomic_load_explicit(&s->next, memory_order_relaxed);
	atomic_store_explicit(&s->used, 1, memory_order_relaxed);
	atomic_store_explicit(&s->next, atomic_load_explicit(&slots, memory_order_relaxed),
			      memory_order_relaxed);
	atomic_store_explicit(&slots, s, memory_order_release);
	return s;
}

struct fence_slot *fence_slot_claim(void)
{
	struct fence_slot *s;

	if (fence_self_slot)
		return fence_self_slot;
	pthread_once(&once, init_once);
	if (!key_ok)
		return NULL;
	s = take_free();
	if (!s) {
		mtx_lock(&lock);
		s = take_free();
		if (!s)
			s = take_fresh();
		mtx_unlock(&lock);
	}
	if (!s)
		return NULL;
	if (pthread_setspecific(key, s)) {
		slot_release(s);
		return NULL;
	}
	fence_self_slot = s;
	return s;
}

/* The pause grows from spinning to sleeping: a section's thread may have lost its processor. */
static void wait_for(struct fence_slot *s, uint64_t word)
{
	struct timespec ts = { .tv_nsec = SLEEP_NS };

	for (unsigned i = 0; atomic_load_explicit(&s->word, memory_order_acquire) == word; i++) {
		if (i < SPINS)
			cpu_relax();
		else if (i < SPINS + 4)
			sys_call(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
		else
			sys_call(SYS_nanosleep, (long)&ts, 0, 0, 0, 0, 0);
	}
}

/*
 * @any: whatever the tag. Our own slot is left out: a signal handler that interrupted this
 * thread's section would wait for itself.
 */
static void wait_slots(uint32_t tag, bool any)
{
	full_barrier(); /* pairs with the exchange in fence_enter() */
	for (struct fence_slot *s = atomic_load_explicit(&slots, memory_order_acquire); s;
	     s = atomic_load_explicit(&s->next, memory_order_acquire)) {
		uint64_t w = atomic_load_explicit(&s->word, memory_order_acquire);

		if (w && (any || (uint32_t)w == tag) && s != fence_self_slot)
			wait_for(s, w);
	}
}

void fence_wait(uint32_t tag)
{
	wait_slots(tag, false);
}

void fence_wait_all(void)
{
	wait_slots(0, true);
}
