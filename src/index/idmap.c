// SPDX-License-Identifier: MIT
/*
 * Ids: which is the lowest free one, and where is its slot?
 *
 * I1 full[0] has a bit per id; that of 0 is set from the start, so 0 is never given.
 * I2 bit b of full[l] says that word b of full[l - 1] is all ones.
 * I3 bit b of some[l] says that word b of some[l - 1] is not 0; some[0] is full[0].
 * I4 the levels cover as many ids as the chunks, which double: 64, 128, 256 ... All six levels
 * exist always, the upper ones with one word at first, so growth only copies them.
 */
#include "index/idmap.h"

#include <errno.h>
#include <string.h>

#include "base/pool.h"
#include "base/why.h"
#include "index/bitmap.h"

/* Ids covered by @nchunks chunks. */
static uint64_t capacity(uint32_t nchunks)
{
	return nchunks ? (uint64_t)IDMAP_FIRST << (nchunks - 1) : 0;
}

void idmap_init(struct idmap *map, size_t slot_size, uint32_t max)
{
	memset(map, 0, sizeof(*map));
	map->slot_size = (slot_size + 7) & ~(size_t)7;
	map->max = max;
	for (unsigned c = 0; c < IDMAP_CHUNKS; c++)
		atomic_init(&map->chunk[c], NULL);
}

void idmap_finish(struct idmap *map)
{
	for (unsigned c = 0; c < IDMAP_CHUNKS; c++)
		mem_free(atomic_load_explicit(&map->chunk[c], memory_order_relaxed));
	mem_free(map->words);
	idmap_init(map, map->slot_size, map->max);
}

/* Words of @level when there are @nids ids. */
static size_t level_words(uint64_t nids, unsigned level)
{
	unsigned lg2 = 6 * (level + 1);

	return (size_t)((nids + (1ull << lg2) - 1) >> lg2);
}

/* Words of all levels: two of each but the lowest. */
static size_t total_words(uint64_t nids)
{
	size_t n = level_words(nids, 0);

	for (unsigned l = 1; l < IDMAP_LEVELS; l++)
		n += 2 * level_words(nids, l);
	return n;
}

/* Points full[] and some[] of @map into @words, laid out for @nids ids. */
static void lay_out(struct idmap *map, uint64_t *words, uint64_t nids)
{
	map->words = words;
	map->full[0] = map->some[0] = words;
	words += level_words(nids, 0);
	for (unsigned l = 1; l < IDMAP_LEVELS; l++) {
		map->full[l] = words;
		words += level_words(nids, l);
		map->some[l] = words;
		words += level_words(nids, l);
	}
}

static void mark(struct idmap *map, uint32_t id)
{
	uint32_t bit = id;

	for (unsigned l = 0; l < IDMAP_LEVELS; l++, bit /= 64) {
		bitmap_set(map->full[l], bit);
		if (map->full[l][bit / 64] != UINT64_MAX) /* I2 */
			break;
	}
	bit = id / 64;
	for (unsigned l = 1; l < IDMAP_LEVELS && !bitmap_test(map->some[l], bit); l++, bit /= 64)
		bitmap_set(map->some[l], bit); /* I3 */
}

/* One more chunk of slots, and bitmaps that cover it; 0 or -ENOMEM with nothing changed. */
static int grow(struct idmap *map)
{
	uint64_t had = capacity(map->nchunks), nids = capacity(map->nchunks + 1);
	struct idmap old = *map;
	uint64_t *words = mem_zalloc(total_words(nids) * sizeof(uint64_t));
	char *chunk = words ? mem_zalloc((size_t)(nids - had) * map->slot_size) : NULL;

	if (!chunk) {
		mem_free(words);
		return refuse(ENOMEM, "no memory for ids from %llu on", (unsigned long long)had);
	}
	lay_out(map, words, nids);
	for (unsigned l = 0; l < IDMAP_LEVELS && had; l++) {
		memcpy(map->full[l], old.full[l], level_words(had, l) * sizeof(uint64_t));
		memcpy(map->some[l], old.some[l], level_words(had, l) * sizeof(uint64_t));
	}
	mem_free(old.words);
	if (!had)
		mark(map, 0); /* I1 */
	/* Pairs with the acquire in idmap_slot(): who sees the chunk sees it zeroed. */
	atomic_store_explicit(&map->chunk[map->nchunks++], chunk, memory_order_release);
	return 0;
}

/* The lowest free id that the levels cover; else what they cover, that is the next. */
static uint64_t lowest_free(const struct idmap *map)
{
	uint64_t nids = capacity(map->nchunks), at = 0;

	if (!nids)
		return 0;
	for (unsigned l = IDMAP_LEVELS; l-- > 0;) {
		/* The word is not all ones: the bit above says so (I2), and the top has two bits.
		 */
		at = at * 64 + lowest_bit(~map->full[l][at]);
		if (l && at >= level_words(nids, l - 1))
			return nids;
	}
	return at;
}

int idmap_alloc(struct idmap *map, uint32_t *id)
{
	uint64_t free = lowest_free(map);
	int rc;

	if (free > map->max)
		return refuse(EBUSY, "all %u ids are taken", map->max);
	if (free == capacity(map->nchunks)) {
		rc = grow(map);
		if (rc)
			return rc;
		free += !free; /* I1 */
	}
	mark(map, (uint32_t)free);
	map->count++;
	*id = (uint32_t)free;
	return 0;
}

bool idmap_used(const struct idmap *map, uint32_t id)
{
	return id && id < capacity(map->nchunks) && bitmap_test(map->full[0], id);
}

void idmap_free(struct idmap *map, uint32_t id)
{
	uint32_t bit = id;

	if (BUG_ON(!idmap_used(map, id)))
		return;
	for (unsigned l = 0; l < IDMAP_LEVELS && bitmap_test(map->full[l], bit); l++, bit /= 64)
		bitmap_clear(map->full[l], bit); /* I2 */
	bit = id / 64;
	for (unsigned l = 1; l < IDMAP_LEVELS && !map->some[l - 1][bit]; l++, bit /= 64)
		bitmap_clear(map->some[l], bit); /* I3 */
	map->count--;
}

uint32_t idmap_next(const struct idmap *map, uint32_t id)
{
	uint64_t nids = capacity(map->nchunks), at = (uint64_t)id + 1;

	/* Up, until a word has a bit that is not below @at; then down to the lowest below it. */
	for (unsigned l = 0; l < IDMAP_LEVELS; l++, at = at / 64 + 1) {
		uint64_t word;

		if (at / 64 >= level_words(nids, l))
			return 0;
		word = map->some[l][at / 64] & ~0ull << (at % 64);
		if (!word)
			continue;
		at = at / 64 * 64 + lowest_bit(word);
		while (l-- > 0)
			at = at * 64 + lowest_bit(map->some[l][at]);
		return (uint32_t)at;
	}
	return 0;
}

void idmap_check(const struct idmap *map)
{
	uint64_t nids = capacity(map->nchunks), n = 0;

	for (unsigned c = 0; c < IDMAP_CHUNKS; c++) {
		bool there = atomic_load_explicit(&map->chunk[c], memory_order_relaxed);

		(void)BUG_ON(there != (c < map->nchunks)); /* I4 */
	}
	if (!nids)
		return;
	(void)BUG_ON(!bitmap_test(map->full[0], 0)); /* I1 */
	n = bitmap_count(map->full[0], 0, nids - 1);
	(void)BUG_ON(n != map->count + 1ull);
	for (unsigned l = 1; l < IDMAP_LEVELS; l++) {
		for (size_t w = 0; w < level_words(nids, l - 1); w++) {
			(void)BUG_ON(bitmap_test(map->full[l], w) !=
				     (map->full[l - 1][w] == UINT64_MAX)); /* I2 */
			(void)BUG_ON(bitmap_test(map->some[l], w) !=
				     (map->some[l - 1][w] != 0)); /* I3 */
		}
		n = level_words(nids, l - 1);
		(void)BUG_ON(bitmap_next_set(map->full[l], n, level_words(nids, l) * 64) !=
			     level_words(nids, l) * 64);
	}
}
