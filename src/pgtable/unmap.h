/* SPDX-License-Identifier: MIT */
/*
 * How does a range leave a table, for every format?
 *
 * One pass, table by table in the order of IOVA, up and down without going back to the root. It
 * stores zeroes and links tables, so there is nothing that could fail.
 */
#ifndef PGTABLE_UNMAP_H
#define PGTABLE_UNMAP_H

#include "pgtable/fmt.h"

struct pt_unmapping {
	_Atomic uint64_t *tab[PT_MAX_LEVELS];
	uint64_t first, last; /* va of the request */
	uint64_t va;          /* where we are, inside tab[level] */
	uint64_t bytes;
	uint64_t end; /* last byte removed */
	unsigned level, top;
	uint32_t levels;
};

/*
 * Clears the leaf at @item whose first byte is at @start, with all its items; or leaves it alone
 * when it began before the request. Returns how many items to go on by.
 */
static ALWAYS_INLINE uint64_t pt_clear_leaf(const struct pt_fmt *f, const struct pt *t,
					    struct pt_unmapping *u, _Atomic uint64_t *item,
					    uint64_t e, uint64_t item_va)
{
	unsigned s = f->contiguous ? f->leaf_lg2(t, e, u->level) : fmt_isz(f, t, u->level);
	unsigned per_lg2 = f->contiguous ? s - fmt_isz(f, t, u->level) : 0;
	uint64_t start = align_down(item_va, 1ull << s);
	uint64_t skip = (item_va - start) >> fmt_isz(f, t, u->level);

	if (unlikely(start < u->first))
		return (1ull << per_lg2) - skip;
	for (uint64_t j = 0; j < 1ull << per_lg2; j++)
		fmt_store(f, &item[j], 0);
	u->bytes += 1ull << s;
	u->end = start + ((1ull << s) - 1);
	u->levels |= 1u << u->level;
	return 1ull << per_lg2;
}

/*
 * Goes through the current table from u->va. True: met a pointer, tab[level - 1] is what it
 * points to and u->va is where to go on there. False: the table is done.
 */
static ALWAYS_INLINE bool pt_unmap_table(const struct pt_fmt *f, const struct pt *t,
					 struct pt_unmapping *u)
{
	unsigned isz = fmt_isz(f, t, u->level);
	uint64_t stop = min_u64(u->last, u->va | fmt_span_mask(f, t, u->level, u->top));
	uint64_t n = (stop >> isz) - (u->va >> isz) + 1, va = u->va, i = 0;
	_Atomic uint64_t *item = u->tab[u->level] + fmt_any_index(f, t, va, u->level, u->top);

	while (i < n) {
		uint64_t e = fmt_load(f, &item[i]), step = 1;

		if (f->present(e)) {
			if (u->level > 0 && f->is_table(t, e, u->level)) {
				u->tab[u->level - 1] = pt_table_at(t, f->table_addr(t, e));
				u->va = va;
				return true;
			}
			step = pt_clear_leaf(f, t, u, &item[i], e, align_down(va, 1ull << isz));
		}
		i += step;
		va = align_down(va, 1ull << isz) + (step << isz);
	}
	return false;
}

/* The same for tables of single items that hold only leaves. */
static ALWAYS_INLINE void pt_unmap_small(const struct pt_fmt *f, const struct pt *t,
					 struct pt_unmapping *u)
{
	unsigned isz = fmt_granule(f, t);
	uint64_t stop = min_u64(u->last, u->va | fmt_span_mask(f, t, 0, u->top));
	uint64_t n = (stop >> isz) - (u->va >> isz) + 1, removed = 0;
	_Atomic uint64_t *item = u->tab[0] + fmt_any_index(f, t, u->va, 0, u->top);

	for (uint64_t i = 0; i < n; i++) {
		removed += f->present(fmt_load(f, &item[i]));
		fmt_store(f, &item[i], 0);
	}
	u->bytes += removed << isz;
	u->end = stop | ((1ull << isz) - 1);
	u->levels |= removed != 0;
}

/*
 * From a table that is done to the next place in the request; tables that lie wholly in the
 * request are taken out on the way up. False: no place is left.
 */
static ALWAYS_INLINE bool pt_unmap_up(const struct pt_fmt *f, const struct pt *t,
				      struct pt_unmapping *u, struct pt_gather *g)
{
	while (u->level < u->top) {
		uint64_t mask = fmt_span_mask(f, t, u->level, u->top);
		uint64_t first = u->va & ~mask, last = u->va | mask;
		_Atomic uint64_t *table = u->tab[u->level];

		u->level++;
		if (first >= u->first && last <= u->last) {
			_Atomic uint64_t *item =
				u->tab[u->level] + fmt_any_index(f, t, first, u->level, u->top);
			uint64_t addr = f->table_addr(t, fmt_load(f, item));

			fmt_store(f, item, 0);
			pt_gather_table(t, g, table, addr);
		}
		u->va = last;
		if (last < u->last && last < (last | fmt_span_mask(f, t, u->level, u->top))) {
			u->va = last + 1;
			return true;
		}
	}
	return false;
}

static ALWAYS_INLINE size_t pt_unmap_with(const struct pt_fmt *f, struct pt *t, uint64_t iova,
					  uint64_t len, struct pt_gather *g)
{
	unsigned gran = fmt_granule(f, t);
	uint64_t mask = (1ull << gran) - 1, word;
	struct pt_unmapping u;

	u.bytes = u.end = 0;
	u.levels = 0;
	if (unlikely(!len || !fmt_va(f, t, iova, &u.first)))
		return 0;
	if (unlikely(iova + (len - 1) < iova || !fmt_va(f, t, iova + (len - 1), &u.last) ||
		     u.last < u.first))
		u.last = fmt_last_with(f, t, u.first);
	if (unlikely(u.first & mask)) { /* the leaf there began before the range */
		if ((u.first | mask) >= u.last)
			return 0;
		u.first = (u.first | mask) + 1;
	} else if (len >> gran == 1) {
		_Atomic uint64_t *item = pt_small_item(f, t, u.first);
		uint64_t e = item ? fmt_load(f, item) : 0;

		if (likely(f->present(e)) && (!f->contiguous || f->leaf_lg2(t, e, 0) == gran)) {
			fmt_store(f, item, 0);
			pt_gather_range(g, iova, iova + mask);
			g->levels |= 1;
			return 1ull << gran;
		}
	}
	word = pt_top_word(t);
	u.level = u.top = pt_top_level(word);
	u.tab[u.top] = pt_table_at(t, pt_top_addr(word));
	u.va = u.first;
	do {
		for (;;) {
			if (u.level == 0 && !f->contiguous) {
				pt_unmap_small(f, t, &u);
				break;
			}
			if (!pt_unmap_table(f, t, &u))
				break;
			u.level--;
		}
	} while (pt_unmap_up(f, t, &u, g));
	if (u.bytes || g->tables) {
		pt_gather_range(g, iova, fmt_iova(f, t, max_u64(u.last, u.end)));
		g->levels |= u.levels;
	}
	return u.bytes;
}

#endif
