/* SPDX-License-Identifier: MIT */
/*
 * Bits in an array of 64-bit words: single bits, inclusive ranges, next set or clear bit.
 *
 * Bit b is bit b % 64 of word b / 64. Nothing here is atomic; the owner of the words guards them.
 */
#ifndef INDEX_BITMAP_H
#define INDEX_BITMAP_H

#include "base/bits.h"

/* Words that hold @nbits bits. */
static inline size_t bitmap_words(uint64_t nbits)
{
	return (size_t)(nbits / 64 + (nbits % 64 != 0));
}

static inline void bitmap_set(uint64_t *map, uint64_t bit)
{
	map[bit / 64] |= 1ull << (bit % 64);
}

static inline void bitmap_clear(uint64_t *map, uint64_t bit)
{
	map[bit / 64] &= ~(1ull << (bit % 64));
}

static inline bool bitmap_test(const uint64_t *map, uint64_t bit)
{
	return map[bit / 64] >> (bit % 64) & 1;
}

/* The bits of word @w that [start, last] covers; the range meets the word. */
static inline uint64_t bitmap_word_mask(uint64_t w, uint64_t start, uint64_t last)
{
	uint64_t mask = ~0ull;

	if (w == start / 64)
		mask &= ~0ull << (start % 64);
	if (w == last / 64)
		mask &= ~0ull >> (63 - last % 64);
	return mask;
}

static inline void bitmap_set_range(uint64_t *map, uint64_t start, uint64_t last)
{
	for (uint64_t w = start / 64; w <= last / 64; w++)
		map[w] |= bitmap_word_mask(w, start, last);
}

static inline void bitmap_clear_range(uint64_t *map, uint64_t start, uint64_t last)
{
	for (uint64_t w = start / 64; w <= last / 64; w++)
		map[w] &= ~bitmap_word_mask(w, start, last);
}

/* Every bit of [start, last] is set. */
static inline bool bitmap_all(const uint64_t *map, uint64_t start, uint64_t last)
{
	for (uint64_t w = start / 64; w <= last / 64; w++)
		if (~map[w] & bitmap_word_mask(w, start, last))
			return false;
	return true;
}

/* Some bit of [start, last] is set. */
static inline bool bitmap_any(const uint64_t *map, uint64_t start, uint64_t last)
{
	for (uint64_t w = start / 64; w <= last / 64; w++)
		if (map[w] & bitmap_word_mask(w, start, last))
			return true;
	return false;
}

/* Set bits in [start, last]. */
static inline uint64_t bitmap_count(const uint64_t *map, uint64_t start, uint64_t last)
{
	uint64_t n = 0;

	for (uint64_t w = start / 64; w <= last / 64; w++)
		n += (uint64_t)__builtin_popcountll(map[w] & bitmap_word_mask(w, start, last));
	return n;
}

/* The lowest set (@flip ~0: clear) bit in [from, nbits), @nbits when there is none. */
static inline uint64_t bitmap_scan(const uint64_t *map, uint64_t from, uint64_t nbits,
				   uint64_t flip)
{
	for (uint64_t w = from / 64; from < nbits; from = ++w * 64) {
		uint64_t bits = (map[w] ^ flip) & ~0ull << (from % 64);

		if (bits)
			return min_u64(w * 64 + lowest_bit(bits), nbits);
	}
	return nbits;
}

static inline uint64_t bitmap_next_set(const uint64_t *map, uint64_t from, uint64_t nbits)
{
	return bitmap_scan(map, from, nbits, 0);
}

static inline uint64_t bitmap_next_clear(const uint64_t *map, uint64_t from, uint64_t nbits)
{
	return bitmap_scan(map, from, nbits, ~0ull);
}

#endif
