/* SPDX-License-Identifier: MIT */
/* Power-of-two and range arithmetic that is safe up to 2^64 - 1. */
#ifndef BASE_BITS_H
#define BASE_BITS_H

#include "base/compiler.h"

#define PAGE_LG2  12u
#define PAGE_SIZE 4096ull
#define PAGE_MASK (PAGE_SIZE - 1)

#define KIB       (1ull << 10)
#define MIB       (1ull << 20)
#define GIB       (1ull << 30)
#define TIB       (1ull << 40)

static inline bool is_pow2(uint64_t v)
{
	return v && !(v & (v - 1));
}

static inline unsigned lowest_bit(uint64_t v) /* v != 0 */
{
	return (unsigned)__builtin_ctzll(v);
}

static inline unsigned highest_bit(uint64_t v) /* v != 0 */
{
	return 63u - (unsigned)__builtin_clzll(v);
}

static inline uint64_t align_down(uint64_t v, uint64_t a) /* a: power of two */
{
	return v & ~(a - 1);
}

/* Rounds @v up to a multiple of @a (a power of two); false when that is beyond 2^64 - 1. */
static inline bool align_up(uint64_t v, uint64_t a, uint64_t *out)
{
	if (v > UINT64_MAX - (a - 1))
		return false;
	*out = (v + (a - 1)) & ~(a - 1);
	return true;
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* [start, last] and [start2, last2] have a common point. */
static inline bool ranges_meet(uint64_t start, uint64_t last, uint64_t start2, uint64_t last2)
{
	return start <= last2 && start2 <= last;
}

#endif
