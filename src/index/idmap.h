/* SPDX-License-Identifier: MIT */
/*
 * Ids: lowest free number first, from 1, and a slot of memory for each.
 *
 * Which ids are taken is a tree of bitmaps, 64 wide, so allocation costs O(log). Slots live in
 * chunks that never move and never go before idmap_finish(), not even when their id is freed: a
 * reader without a lock may still poke one (its owner puts counts and type there).
 *
 * Which calls exclude which: idmap_alloc(), _free(), _next(), _used() need the owner's lock.
 * idmap_slot() needs none: chunks are zeroed, then published with a release store that it
 * acquires.
 */
#ifndef INDEX_IDMAP_H
#define INDEX_IDMAP_H

#include <stdatomic.h>

#include "base/bits.h"

#define IDMAP_MAX    0x7fffffffu /* the greatest id there can be */
#define IDMAP_CHUNKS 26u
#define IDMAP_FIRST \
	64u /* ids in chunk 0 (id 0 is never given); each later chunk doubles the whole */
#define IDMAP_LEVELS 6u /* 64^5 < 2^31 <= 64^6 */

struct idmap {
	size_t slot_size; /* immutable, bytes */
	uint32_t max;     /* immutable, greatest id */
	_Atomic(char *) chunk[IDMAP_CHUNKS];
	/* guarded by the owner */
	uint32_t nchunks;
	uint32_t count;               /* ids taken */
	uint64_t *full[IDMAP_LEVELS]; /* bit: all below it are taken; level 0: the id is */
	uint64_t *some[IDMAP_LEVELS]; /* bit: one below it is taken; level 0 is full[0] */
	uint64_t *words;              /* the memory of all levels */
};

/* @slot_size: bytes per id, rounded up to 8. @max: greatest id, 1..IDMAP_MAX. */
void idmap_init(struct idmap *map, size_t slot_size, uint32_t max);

/* Every reader is gone. Frees the slots, whatever is in them. */
void idmap_finish(struct idmap *map);

/**
 * idmap_alloc() - take the lowest free id
 * @id: out
 *
 * The slot of an id that was never taken is zeroed; that of one that was keeps what was left.
 *
 * Return: 0; -ENOMEM or -EBUSY (every id up to max is taken), map unchanged
 */
int idmap_alloc(struct idmap *map, uint32_t *id);

/* @id is taken. Cannot fail. */
void idmap_free(struct idmap *map, uint32_t id);

bool idmap_used(const struct idmap *map, uint32_t id);

/* The lowest id taken that is greater than @id (0: the first of all); 0 when there is none. */
uint32_t idmap_next(const struct idmap *map, uint32_t id);

#define idmap_for_each(id, map) for (uint32_t id = idmap_next(map, 0); id; id = idmap_next(map, id))

/* Asserts that the levels agree with each other. O(ids), for tests. */
void idmap_check(const struct idmap *map);

/* The slot of @id, NULL when @id is 0 or beyond every id that was ever taken (roughly: the slots
 * come in chunks). Any thread, no lock, async-signal-safe. */
static inline void *idmap_slot(struct idmap *map, uint32_t id)
{
	unsigned c = id < IDMAP_FIRST ? 0 : highest_bit(id) - (lowest_bit(IDMAP_FIRST) - 1);
	uint32_t base = c ? IDMAP_FIRST << (c - 1) : 0;
	char *chunk;

	if (unlikely(!id || id > IDMAP_MAX))
		return NULL;
	chunk = atomic_load_explicit(&map->chunk[c], memory_order_acquire);
	return likely(chunk != NULL) ? chunk + (size_t)(id - base) * map->slot_size : NULL;
}

#endif
