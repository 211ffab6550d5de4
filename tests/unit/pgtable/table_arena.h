/* SPDX-License-Identifier: MIT */
/*
 * Table memory for tests: a window of its own, whose bytes can be compared before and after.
 *
 * Addresses begin at ARENA_BASE, lowest first; tables given back are used again, last first. Every
 * table that comes back must be zero.
 */
#ifndef TEST_TABLE_ARENA_H
#define TEST_TABLE_ARENA_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "pgtable/pt.h"

#define ARENA_BASE 0x1000000ull
#define ARENA_SIZE (64ull << 20)

struct table_arena {
	char *mem;
	size_t used;     /* bytes ever handed out */
	size_t out;      /* tables handed out now */
	size_t dirty;    /* tables that came back with something in them */
	uint64_t *spare; /* addresses given back */
	size_t nspare;
	size_t table_bytes; /* size of the tables that are used again */
	pthread_mutex_t lock;
};

static inline void *table_arena_alloc(void *arg, size_t size, uint64_t *addr)
{
	struct table_arena *a = arg;
	void *p = NULL;

	pthread_mutex_lock(&a->lock);
	a->used = (a->used + size - 1) & ~(size - 1);
	if (a->nspare && size == a->table_bytes) {
		*addr = a->spare[--a->nspare];
		p = a->mem + (*addr - ARENA_BASE);
	} else if (a->used + size <= ARENA_SIZE) {
		*addr = ARENA_BASE + a->used;
		p = a->mem + a->used;
		a->used += size;
	}
	a->out += p != NULL;
	pthread_mutex_unlock(&a->lock);
	return p;
}

static inline void table_arena_free(void *arg, void *ptr, uint64_t addr, size_t size)
{
	static const char zero[16384];
	struct table_arena *a = arg;

	pthread_mutex_lock(&a->lock);
	a->dirty += memcmp(ptr, zero, size) != 0;
	if (size == a->table_bytes)
		a->spare[a->nspare++] = addr;
	a->out--;
	pthread_mutex_unlock(&a->lock);
}

static inline void *table_arena_ptr(void *arg, uint64_t addr)
{
	struct table_arena *a = arg;

	return addr >= ARENA_BASE && addr < ARENA_BASE + a->used ? a->mem + (addr - ARENA_BASE)
								 : NULL;
}

static const struct pt_ops table_arena_ops = { table_arena_alloc, table_arena_free,
					       table_arena_ptr };

static inline void table_arena_init(struct table_arena *a)
{
	*a = (struct table_arena){ .lock = PTHREAD_MUTEX_INITIALIZER, .table_bytes = 4096 };
	a->mem = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	a->spare = calloc(ARENA_SIZE / 4096, sizeof(*a->spare));
	if (a->mem == MAP_FAILED || !a->spare)
		abort();
}

static inline void table_arena_finish(struct table_arena *a)
{
	munmap(a->mem, ARENA_SIZE);
	free(a->spare);
}

/* A number for all bytes of table memory: equal bytes, equal number. */
static inline uint64_t table_arena_sum(const struct table_arena *a)
{
	const uint64_t *w = (const uint64_t *)(const void *)a->mem;
	uint64_t sum = a->out;

	for (size_t i = 0; i < a->used / 8; i++) {
		if (w[i])
			sum += (w[i] ^ i << 40) * 0x9e3779b97f4a7c15ull ^ w[i] >> 31;
	}
	return sum;
}

static inline uint64_t table_arena_word(const struct table_arena *a, uint64_t table, unsigned i)
{
	return ((const uint64_t *)(const void *)(a->mem + (table - ARENA_BASE)))[i];
}

static inline struct pt_config table_arena_config(struct table_arena *a, unsigned levels,
						  bool biased)
{
	return (struct pt_config){ .format = "vtd",
				   .levels = levels,
				   .ops = &table_arena_ops,
				   .ops_arg = a,
				   .biased = biased,
				   .ptr_bias = (uint64_t)(uintptr_t)a->mem - ARENA_BASE };
}

#endif
