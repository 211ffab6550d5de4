/* SPDX-License-Identifier: MIT */
/*
 * What must a page-table format say about itself?
 *
 * A format is a `static const struct pt_fmt`: a few numbers and a few small functions on one entry.
 * The walkers (walk.h, map.h, unmap.h) are always_inline and take it as their first argument, so
 * that a format's map, unmap and walk fold to straight code: constants where it has constants, no
 * indirect call. Code that may take its time (inspect.c) uses the same description at run time.
 *
 * Words used here: a table has 2^bits *items*; a leaf *entry* fills one item, or 2^n items where
 * the format knows contiguous entries. Level 0 holds only leaves. `va` is the IOVA without its
 * sign extension, as the indices see it.
 */
#ifndef PGTABLE_FMT_H
#define PGTABLE_FMT_H

#include "base/bits.h"
#include "pgtable/pt.h"

struct pt_fmt {
	uint8_t granule_lg2; /* 0: a parameter of the table (t->granule_lg2) */
	uint8_t bits;        /* index bits per level, 0: t->bits. The root may have more or fewer */
	bool big_endian;     /* entries in memory */
	bool sign_extend;    /* the IOVA bits above the width repeat the highest bit decoded */
	bool contiguous;     /* one leaf may fill 2^n items */

	bool (*present)(uint64_t e);
	/* Of a present entry: */
	bool (*is_table)(const struct pt *t, uint64_t e, unsigned level);
	uint64_t (*table_addr)(const struct pt *t, uint64_t e);
	unsigned (*prot)(const struct pt *t, uint64_t e, bool table);
	/* Leaf: log2 of the bytes it translates, and the output address of @va in it. */
	unsigned (*leaf_lg2)(const struct pt *t, uint64_t e, unsigned level);
	uint64_t (*leaf_pa)(const struct pt *t, uint64_t e, unsigned level, uint64_t va);
	/* Some bit is set that hardware wants to be 0, or a combination is reserved. */
	bool (*malformed)(const struct pt *t, uint64_t e, unsigned level);

	/* Making entries. attrs() is asked once per run of equal leaves. */
	uint64_t (*make_table)(const struct pt *t, uint64_t addr, unsigned level);
	uint64_t (*attrs)(const struct pt *t, unsigned prot, unsigned level, unsigned size_lg2);
	uint64_t (*make_leaf)(const struct pt *t, uint64_t pa, uint64_t attrs, unsigned item);
	/* The format has an entry for @prot (which is not empty). */
	bool (*prot_ok)(const struct pt *t, unsigned prot);

	/*
	 * Bits that hardware sets on its own; all 0: none. An access sets @accessed in the leaf
	 * and @table_accessed in the pointers on the way. A leaf is dirty when (e & dirty_mask) ==
	 * dirty, which no entry that is not present may fulfil; @dirty_flip is the one bit of the
	 * mask in which a clean one differs, set or clear.
	 */
	uint64_t accessed, table_accessed;
	uint64_t dirty_mask, dirty, dirty_flip;
};

static ALWAYS_INLINE unsigned fmt_granule(const struct pt_fmt *f, const struct pt *t)
{
	return f->granule_lg2 ? f->granule_lg2 : t->granule_lg2;
}

static ALWAYS_INLINE unsigned fmt_bits(const struct pt_fmt *f, const struct pt *t)
{
	return f->bits ? f->bits : t->bits;
}

/* log2 of the bytes that one item of @level covers. */
static ALWAYS_INLINE unsigned fmt_isz(const struct pt_fmt *f, const struct pt *t, unsigned level)
{
	return fmt_granule(f, t) + fmt_bits(f, t) * level;
}

/* The level at which a leaf of 2^@size_lg2 bytes is. */
static ALWAYS_INLINE unsigned fmt_level_of(const struct pt_fmt *f, const struct pt *t,
					   unsigned size_lg2)
{
	return (size_lg2 - fmt_granule(f, t)) / fmt_bits(f, t);
}

/*
 * log2 of the bytes that a table of @level covers. The root takes what the table's width leaves to
 * it: fewer items than another table (a small root), or more (concatenated roots).
 */
static ALWAYS_INLINE unsigned fmt_span_lg2(const struct pt_fmt *f, const struct pt *t,
					   unsigned level, unsigned top)
{
	return level == top ? t->width : fmt_isz(f, t, level + 1);
}

/* Offset bits within such a table's span. */
static ALWAYS_INLINE uint64_t fmt_span_mask(const struct pt_fmt *f, const struct pt *t,
					    unsigned level, unsigned top)
{
	return UINT64_MAX >> (64 - fmt_span_lg2(f, t, level, top));
}

/* Index of @va in a table of @level below the root. */
static ALWAYS_INLINE unsigned fmt_index(const struct pt_fmt *f, const struct pt *t, uint64_t va,
					unsigned level)
{
	return (unsigned)(va >> fmt_isz(f, t, level)) & ((1u << fmt_bits(f, t)) - 1);
}

/* The same in the root: @va has no bits above the width, so there is nothing to mask. */
static ALWAYS_INLINE unsigned fmt_top_index(const struct pt_fmt *f, const struct pt *t, uint64_t va,
					    unsigned top)
{
	return (unsigned)(va >> fmt_isz(f, t, top));
}

static ALWAYS_INLINE unsigned fmt_any_index(const struct pt_fmt *f, const struct pt *t, uint64_t va,
					    unsigned level, unsigned top)
{
	return level == top ? fmt_top_index(f, t, va, top) : fmt_index(f, t, va, level);
}

static ALWAYS_INLINE uint64_t fmt_items(const struct pt_fmt *f, const struct pt *t, unsigned level,
					unsigned top)
{
	unsigned span = fmt_span_lg2(f, t, level, top), isz = fmt_isz(f, t, level);

	return span > isz ? 1ull << (span - isz) : 1;
}

/* False: the table does not decode this IOVA. *@va: what the indices are taken from. */
static ALWAYS_INLINE bool fmt_va(const struct pt_fmt *f, const struct pt *t, uint64_t iova,
				 uint64_t *va)
{
	uint64_t mask = UINT64_MAX >> (64 - t->width);

	*va = iova & mask;
	if (f->sign_extend) {
		uint64_t high = iova & ~(mask >> 1);

		return high == 0 || high == ~(mask >> 1);
	}
	return *va == iova;
}

/* The IOVA that @va is part of. */
static ALWAYS_INLINE uint64_t fmt_iova(const struct pt_fmt *f, const struct pt *t, uint64_t va)
{
	uint64_t mask = UINT64_MAX >> (64 - t->width);

	return f->sign_extend && va > mask >> 1 ? va | ~mask : va;
}

/* The last va that can be in one range with @va. */
static ALWAYS_INLINE uint64_t fmt_last_with(const struct pt_fmt *f, const struct pt *t, uint64_t va)
{
	uint64_t mask = UINT64_MAX >> (64 - t->width);

	return f->sign_extend && va <= mask >> 1 ? mask >> 1 : mask;
}

static ALWAYS_INLINE uint64_t fmt_swap(const struct pt_fmt *f, uint64_t e)
{
	return f->big_endian ? __builtin_bswap64(e) : e;
}

/*
 * Entries are read and written whole, as hardware does. The acquire pairs with the release that
 * published a table (its zeroes come first) or a leaf.
 */
static ALWAYS_INLINE uint64_t fmt_load(const struct pt_fmt *f, const _Atomic uint64_t *item)
{
	return fmt_swap(f, atomic_load_explicit(item, memory_order_acquire));
}

static ALWAYS_INLINE void fmt_store(const struct pt_fmt *f, _Atomic uint64_t *item, uint64_t e)
{
	atomic_store_explicit(item, fmt_swap(f, e), memory_order_release);
}

static ALWAYS_INLINE _Atomic uint64_t *pt_table_at(const struct pt *t, uint64_t addr)
{
	if (likely(t->biased))
		return (_Atomic uint64_t *)(uintptr_t)(addr + t->ptr_bias);
	return t->ops->to_ptr(t->ops_arg, addr);
}

/* Root address and level out of the word that holds both. */
static ALWAYS_INLINE uint64_t pt_top_addr(uint64_t word)
{
	return word & ~7ull;
}

static ALWAYS_INLINE unsigned pt_top_level(uint64_t word)
{
	return (unsigned)(word & 7);
}

static ALWAYS_INLINE uint64_t pt_top_word(const struct pt *t)
{
	return atomic_load_explicit(&t->top, memory_order_acquire);
}

/*
 * The level-0 item of @va: the short way for one granule. NULL when a table is missing on the way
 * or a leaf is met above.
 */
static ALWAYS_INLINE _Atomic uint64_t *pt_small_item(const struct pt_fmt *f, const struct pt *t,
						     uint64_t va)
{
	uint64_t word = pt_top_word(t);
	unsigned level = pt_top_level(word);
	_Atomic uint64_t *item = pt_table_at(t, pt_top_addr(word)) + fmt_top_index(f, t, va, level);

	for (; level > 0; level--) {
		uint64_t e = fmt_load(f, item);

		if (unlikely(!f->present(e) || !f->is_table(t, e, level)))
			return NULL;
		item = pt_table_at(t, f->table_addr(t, e)) + fmt_index(f, t, va, level - 1);
	}
	return item;
}

/* Tables that nobody sees yet, taken from the caller's allocator before anything is changed. */
struct pt_spare {
	uint64_t first, last; /* addresses; linked through the first word, 0 ends */
	uint64_t n;
};

int pt_spare_fill(struct pt *t, struct pt_spare *s, uint64_t n) MUST_CHECK;
_Atomic uint64_t *pt_spare_take(const struct pt *t, struct pt_spare *s, uint64_t *addr);
void pt_spare_put(struct pt_spare *s, _Atomic uint64_t *table, uint64_t addr);
void pt_spare_drain(struct pt *t, struct pt_spare *s);

/* Puts a table that no entry points to any more on the gather list, through its own words. */
void pt_gather_table(const struct pt *t, struct pt_gather *g, _Atomic uint64_t *table,
		     uint64_t addr);

/* @e, a pointer in an item of @level, leads to no leaf at all. */
bool pt_tree_empty(const struct pt *t, uint64_t e, unsigned level) COLD;

/* Clears @item, a pointer to such a tree, and gathers the tree's tables. */
void pt_tree_gather(const struct pt *t, _Atomic uint64_t *item, unsigned level,
		    struct pt_gather *g) COLD;

/* Says why a pt_map() with these arguments is refused; -EINVAL. */
int pt_map_refuse(const struct pt *t, uint64_t iova, uint64_t pa, uint64_t len, unsigned prot) COLD;

static ALWAYS_INLINE void pt_gather_range(struct pt_gather *g, uint64_t first, uint64_t last)
{
	if (first < g->first)
		g->first = first;
	if (last > g->last)
		g->last = last;
}

#endif
