// SPDX-License-Identifier: MIT
/* Memory for the engine: pools and checked allocation. */
#include "base/pool.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bits.h"
#include "base/fault.h"
#include "base/sys.h"

#define CHUNK_FIRST (16 * KIB)
#define CHUNK_MAX   (2 * MIB)
#define CHUNK_HEAD  64 /* link and size; keeps blocks on cache lines */

struct chunk {
	struct chunk *next;
	size_t size;
};

void pool_init(struct pool *p, size_t size)
{
	memset(p, 0, sizeof(*p));
	p->size = (size + 15) & ~(size_t)15;
	p->next_chunk = CHUNK_FIRST;
}

void pool_finish(struct pool *p)
{
	(void)BUG_ON(p->used);
	for (struct chunk *c = p->chunks, *next; c; c = next) {
		next = c->next;
		sys_munmap(c, c->size);
	}
	memset(p, 0, sizeof(*p));
}

/*
 * Memory for a chunk. Chunks of the largest size are naturally aligned and ask for a huge page:
 * what is spread over millions of blocks would miss the TLB at each step otherwise.
 */
static void *map_chunk(size_t size)
{
	bool huge = size == CHUNK_MAX;
	uintptr_t start, end;
	uint64_t at = 0;
	void *mem;

	if (sys_mmap(NULL, huge ? 2 * size : size, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, &mem))
		return NULL;
	if (!huge)
		return mem;
	start = (uintptr_t)mem;
	end = start + 2 * size;
	(void)align_up(start, size, &at);
	if (at > start)
		sys_munmap(mem, at - start);
	if (at + size < end)
		sys_munmap((void *)(uintptr_t)(at + size), end - (at + size));
	sys_madvise((void *)(uintptr_t)at, size, MADV_HUGEPAGE);
	return (void *)(uintptr_t)at;
}

void *pool_get_slow(struct pool *p)
{
	struct chunk *c;
	void *mem;

	if ((size_t)(p->end - p->bump) < p->size) {
		while (p->next_chunk < CHUNK_HEAD + p->size)
			p->next_chunk *= 2;
		mem = map_chunk(p->next_chunk);
		if (!mem)
			return NULL;
		c = mem;
		c->next = p->chunks;
		c->size = p->next_chunk;
		p->chunks = c;
		p->bump = (char *)mem + CHUNK_HEAD;
		p->end = (char *)mem + p->next_chunk;
		p->bytes += p->next_chunk;
		if (p->next_chunk < CHUNK_MAX)
			p->next_chunk *= 2;
	}
	mem = p->bump;
	p->bump += p->size;
	p->used++;
	return mem;
}

void *pool_get(struct pool *p)
{
	void *b = p->free;

	if (fault_point())
		return NULL;
	if (unlikely(!b))
		return pool_get_slow(p);
	p->free = *(void **)b;
	p->used++;
	return b;
}

void *mem_alloc(size_t size)
{
	return fault_point() ? NULL : malloc(size);
}

void *mem_zalloc(size_t size)
{
	return fault_point() ? NULL : calloc(1, size);
}

void mem_free(void *p)
{
	free(p);
}
