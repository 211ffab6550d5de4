/* SPDX-License-Identifier: MIT */
/*
 * Memory for the engine: fixed-size pools for hot objects, and checked general allocation.
 *
 * A pool hands out equal blocks from chunks that it maps itself; get and put are a few loads. A
 * pool has no lock: its owner guards it. Blocks are not zeroed. All of them go with pool_finish().
 */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include "base/compiler.h"

struct pool {
	size_t size;       /* bytes per block, multiple of 16 */
	void *free;        /* linked through the first word */
	char *bump, *end;  /* untouched rest of the newest chunk */
	void *chunks;      /* linked through their first word */
	size_t used;       /* blocks handed out */
	size_t bytes;      /* memory mapped */
	size_t next_chunk; /* bytes of the next chunk */
};

void pool_init(struct pool *p, size_t size);
void pool_finish(struct pool *p); /* every block was put back */
void *pool_get_slow(struct pool *p);

/* NULL: out of memory (or a fault point). */
void *pool_get(struct pool *p);

static inline void pool_put(struct pool *p, void *block)
{
	*(void **)block = p->free;
	p->free = block;
	p->used--;
}

/* General allocation, with a fault point. NULL: out of memory. mem_zalloc clears. */
void *mem_alloc(size_t size);
void *mem_zalloc(size_t size);
void mem_free(void *p);

#endif
