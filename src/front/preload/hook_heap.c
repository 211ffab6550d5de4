// SPDX-License-Identifier: MIT
/*
 * Hooks: free and realloc.
 *
 * glibc maps large blocks and unmaps them in free() by itself, past our munmap(). A block that a
 * device has pinned must be told to the engine first. Which blocks those are stands in the word
 * before them (malloc/malloc.c of glibc, "IS_MMAPPED"), part of its ABI towards debuggers; it is
 * looked at only when free() is glibc's own.
 */
#include "front/preload/preload.h"

#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "mem/mm.h"

#define CHUNK_MAPPED 2u
#define CHUNK_FLAGS  7u

/* The mapping that a block of glibc's is; false: it comes from a heap. */
static bool mapped_block(const void *p, uintptr_t *start, size_t *len)
{
	const size_t *head = p;
	size_t before = head[-2], size = head[-1];

	if (!(size & CHUNK_MAPPED))
		return false;
	*start = (uintptr_t)(head - 2) - before;
	*len = before + (size & ~(size_t)CHUNK_FLAGS);
	return !(*start & PAGE_MASK) && !(*len & PAGE_MASK);
}

static bool is_pinned_block(const void *p, uintptr_t *start, size_t *len)
{
	return p && vma_tracking() && preload_heap_is_glibc() && mapped_block(p, start, len) &&
	       vma_pinned(*start, *len);
}

/* NULL while dlsym() itself frees what an earlier failure of its left: that stays. */
static __typeof__(&free) next_free(void)
{
	static _Thread_local bool resolving __attribute__((tls_model("initial-exec")));
	static __typeof__(&free) next;
	__typeof__(&free) p = __atomic_load_n(&next, __ATOMIC_RELAXED);

	if (unlikely(!p) && !resolving) {
		resolving = true;
		p = (__typeof__(&free))next_symbol("free");
		resolving = false;
		__atomic_store_n(&next, p, __ATOMIC_RELAXED);
	}
	return p;
}

API void free(void *p)
{
	__typeof__(&free) next = next_free();
	uintptr_t start;
	size_t len;

	/* No memory to move what is pinned: the block stays, rather than the device's page go. */
	if (unlikely(is_pinned_block(p, &start, &len)) && vma_unmapping(start, len))
		return;
	if (likely(next))
		next(p);
}

API void *realloc(void *p, size_t n)
{
	uintptr_t start;
	size_t len, old;
	void *q;

	if (likely(!is_pinned_block(p, &start, &len)))
		return NEXT(realloc)(p, n);
	if (!n) {
		free(p);
		return NULL;
	}
	q = malloc(n);
	if (!q)
		return NULL;
	old = malloc_usable_size(p);
	memcpy(q, p, old < n ? old : n);
	free(p);
	return q;
}

API void *reallocarray(void *p, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(p, bytes);
}
