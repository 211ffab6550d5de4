/* SPDX-License-Identifier: MIT */
/*
 * DMA fence: how an invalidation knows that no access through the old translation still runs.
 *
 * A thread that does DMA owns a slot. A section (at most 64 KiB of copying) is announced by one
 * sequentially consistent exchange of the slot's word and ended by a release store of 0. The
 * word holds the tag of the translation in use (never 0, never reused) and a count, so that a
 * waiter can tell a new section from the one it waits for. Invalidation: change the tables or
 * pointers, bump the generation (a locked instruction), then fence_wait(tag).
 *
 * Pairing: the exchange in fence_enter() with the full barrier in fence_wait(): either the
 * section sees the change, or the waiter sees the section.
 *
 * Inside a section: no blocking, no lock, no allocation, no callback.
 */
#ifndef MEM_FENCE_H
#define MEM_FENCE_H

#include <stdatomic.h>

#include "base/compiler.h"

#define FENCE_SECTION_MAX (64u << 10) /* bytes one section may move */

struct fence_slot {
	_Atomic uint64_t word; /* 0, or count << 32 | tag */
	uint32_t count;        /* owner only */
	_Atomic uint32_t used; /* claimed by a live thread */
	struct fence_slot *_Atomic next;
	void *cache; /* owner thread's: the IOTLB (iommu layer), freed with the slot */
} ALIGNED(CACHELINE);

extern _Thread_local struct fence_slot *fence_self_slot __attribute__((tls_model("initial-exec")));

/* A tag for a new translation domain; unique in the process. */
uint32_t fence_tag_new(void);

/* Claims a slot for this thread (released at thread exit). NULL: no memory. */
struct fence_slot *fence_slot_claim(void);

/* Called for every slot's @cache when its thread ends; set once by the iommu layer. */
void fence_set_cache_free(void (*fn)(void *cache));

static inline struct fence_slot *fence_slot(void)
{
	struct fence_slot *s = fence_self_slot;

	return likely(s) ? s : fence_slot_claim();
}

static inline void fence_enter(struct fence_slot *s, uint32_t tag)
{
	atomic_exchange_explicit(&s->word, (uint64_t)++s->count << 32 | tag, memory_order_seq_cst);
#if !defined(__x86_64__) /* where a locked instruction is the full barrier */
	atomic_thread_fence(memory_order_seq_cst);
#endif
}

static inline void fence_exit(struct fence_slot *s)
{
	atomic_store_explicit(&s->word, 0, memory_order_release);
}

/* Waits until every section that runs under @tag now has ended. Not from inside a section. */
void fence_wait(uint32_t tag);

/* The same for every section of the process (relocation). */
void fence_wait_all(void);

#endif
