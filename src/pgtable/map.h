/* SPDX-License-Identifier: MIT */
/*
 * How is a range written into a table, for every format?
 *
 * In two passes over the same sequence of runs. The first changes nothing: it finds out whether
 * every item is free and how many tables are missing. Then those tables are allocated. The second
 * pass writes and cannot fail, so a refused map leaves not a byte behind. What the first pass saw
 * still holds in the second: leaves in the range are ours alone, and a table on the path cannot
 * go, because only a call whose range covers its whole span may take it out. It may have been
 * installed meanwhile by a neighbour; then a spare one is left over.
 */
#ifndef PGTABLE_MAP_H
#define PGTABLE_MAP_H

#include <errno.h>

#include "base/why.h"
#include "pgtable/fmt.h"

/* Where a pass is, level by level. NULL in tab: there is no such table yet (first pass only). */
struct pt_cursor {
	_Atomic uint64_t *tab[PT_MAX_LEVELS];
	uint64_t va; /* tab[low..top] are on the path of this address */
	unsigned low, top;
	uint64_t missing;      /* first pass: tables to allocate */
	struct pt_spare spare; /* second pass: where they are taken from */
};

/* Equal leaves next to each other. */
struct pt_run {
	uint64_t va, pa;
	uint64_t attrs;
	uint64_t n; /* leaves */
	unsigned level;
	unsigned size_lg2;
	unsigned items_lg2; /* items per leaf */
};

/* The largest page that can begin at @va and @pa within @len, log2. */
static ALWAYS_INLINE unsigned pt_best_size(uint64_t sizes, uint64_t va, uint64_t pa, uint64_t len)
{
	unsigned a = lowest_bit(va | pa | 1ull << highest_bit(len));

	return highest_bit(sizes & ((2ull << a) - 1));
}

/* How many of them there are before a larger page fits. */
static ALWAYS_INLINE uint64_t pt_run_length(uint64_t sizes, unsigned s, uint64_t va, uint64_t pa,
					    uint64_t len)
{
	uint64_t larger = sizes & ~((2ull << s) - 1);

	if (larger) {
		uint64_t size = 1ull << lowest_bit(larger);

		if (!((va ^ pa) & (size - 1)))
			len = min_u64(len, size - (va & (size - 1)));
	}
	return len >> s;
}

/*
 * Puts a new table behind @item, whose entry @was is empty; the release makes its zeroes visible
 * before the pointer. Who loses the race uses the winner's table and keeps his own as a spare.
 */
static ALWAYS_INLINE _Atomic uint64_t *pt_install(const struct pt_fmt *f, struct pt *t,
						  struct pt_cursor *c, _Atomic uint64_t *item,
						  uint64_t was, unsigned level)
{
	uint64_t addr, raw = fmt_swap(f, was);
	_Atomic uint64_t *table = pt_spare_take(t, &c->spare, &addr);

	if (atomic_compare_exchange_strong_explicit(item, &raw,
						    fmt_swap(f, f->make_table(t, addr, level)),
						    memory_order_acq_rel, memory_order_acquire))
		return table;
	pt_spare_put(&c->spare, table, addr);
	return pt_table_at(t, f->table_addr(t, fmt_swap(f, raw)));
}

/*
 * Moves the cursor to the table of @level that holds @va, which is behind the cursor. Goes up no
 * further than it must. -EEXIST: a leaf is in the way (first pass only).
 */
static ALWAYS_INLINE int pt_seek(const struct pt_fmt *f, struct pt *t, struct pt_cursor *c,
				 uint64_t va, unsigned level, bool commit)
{
	uint64_t diff = c->va ^ va;
	unsigned l = c->low;

	while (l < c->top && diff >> fmt_isz(f, t, l + 1))
		l++;
	if (l < level)
		l = level;
	for (; l > level; l--) {
		_Atomic uint64_t *item = c->tab[l];
		uint64_t e;

		if (!commit && !item) {
			c->tab[l - 1] = NULL;
			c->missing++;
			continue;
		}
		item += fmt_any_index(f, t, va, l, c->top);
		e = fmt_load(f, item);
		if (f->present(e)) {
			if (!commit && unlikely(!f->is_table(t, e, l)))
				return -EEXIST;
			c->tab[l - 1] = pt_table_at(t, f->table_addr(t, e));
		} else if (commit) {
			c->tab[l - 1] = pt_install(f, t, c, item, e, l);
		} else {
			c->tab[l - 1] = NULL;
			c->missing++;
		}
	}
	c->low = l;
	c->va = va;
	return 0;
}

/* @n items from @item: each is empty or points to a tree without leaves. */
static ALWAYS_INLINE int pt_run_check(const struct pt_fmt *f, const struct pt *t,
				      _Atomic uint64_t *item, uint64_t n, unsigned level)
{
	uint64_t any = 0;

	for (uint64_t i = 0; i < n; i++)
		any |= atomic_load_explicit(&item[i], memory_order_relaxed);
	if (likely(!any))
		return 0;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t e = fmt_load(f, &item[i]);

		if (f->present(e) && (!f->is_table(t, e, level) || !pt_tree_empty(t, e, level)))
			return -EEXIST;
	}
	return 0;
}

/* Writes @n leaves from @item on; what pt_run_check() found there is still so. */
static ALWAYS_INLINE void pt_run_write(const struct pt_fmt *f, struct pt *t, _Atomic uint64_t *item,
				       uint64_t n, const struct pt_run *r, struct pt_gather *g)
{
	unsigned per = f->contiguous ? 1u << r->items_lg2 : 1;
	uint64_t pa = r->pa;

	if (r->level > 0) {
		for (uint64_t i = 0; i < n * per; i++) {
			if (unlikely(f->present(fmt_load(f, &item[i])))) {
				pt_tree_gather(t, &item[i], r->level, g);
				pt_gather_range(g, fmt_iova(f, t, r->va),
						fmt_iova(f, t, r->va + (n << r->size_lg2) - 1));
			}
		}
	}
	for (uint64_t i = 0; i < n; i++, pa += 1ull << r->size_lg2) {
		for (unsigned j = 0; j < per; j++)
			fmt_store(f, item++, f->make_leaf(t, pa, r->attrs, j));
	}
}

static ALWAYS_INLINE int pt_map_pass(const struct pt_fmt *f, struct pt *t, struct pt_cursor *c,
				     uint64_t va, uint64_t pa, uint64_t len, unsigned prot,
				     struct pt_gather *g, bool commit)
{
	uint64_t sizes = prot & PT_SMALL ? 1ull << fmt_granule(f, t) : t->pgsizes;

	while (len) {
		unsigned s = pt_best_size(sizes, va, pa, len);
		struct pt_run r = { .size_lg2 = s, .level = fmt_level_of(f, t, s) };
		uint64_t left = pt_run_length(sizes, s, va, pa, len);

		len -= left << s;
		if (f->contiguous)
			r.items_lg2 = s - fmt_isz(f, t, r.level);
		if (commit)
			r.attrs = f->attrs(t, prot, r.level, s);
		while (left) {
			int rc = pt_seek(f, t, c, va, r.level, commit);
			_Atomic uint64_t *item = c->tab[r.level];
			unsigned idx = fmt_any_index(f, t, va, r.level, c->top);
			uint64_t room = fmt_items(f, t, r.level, c->top) - idx;

			r.va = va;
			r.pa = pa;
			r.n = min_u64(left, room >> r.items_lg2);
			if (commit)
				pt_run_write(f, t, item + idx, r.n, &r, g);
			else if (!rc && item)
				rc = pt_run_check(f, t, item + idx, r.n << r.items_lg2, r.level);
			if (!commit && unlikely(rc))
				return refuse(
					EEXIST,
					"iova 0x%llx..0x%llx meets something already mapped",
					(unsigned long long)fmt_iova(f, t, va),
					(unsigned long long)fmt_iova(f, t, va + ((r.n << s) - 1)));
			left -= r.n;
			va += r.n << s;
			pa += r.n << s;
		}
	}
	return 0;
}

static ALWAYS_INLINE void pt_cursor_start(struct pt_cursor *c, const struct pt *t, uint64_t va)
{
	uint64_t word = pt_top_word(t);

	c->top = c->low = pt_top_level(word);
	c->tab[c->top] = pt_table_at(t, pt_top_addr(word));
	c->va = va;
}

static ALWAYS_INLINE bool pt_map_valid(const struct pt_fmt *f, const struct pt *t, uint64_t iova,
				       uint64_t pa, uint64_t len, unsigned prot)
{
	uint64_t mask = (1ull << fmt_granule(f, t)) - 1, last = iova + (len - 1), va, va2;

	return !((iova | pa | len) & mask) && len && last >= iova && iova >= t->first &&
	       last <= t->last && pa <= t->oa_last && len - 1 <= t->oa_last - pa &&
	       (prot & (PT_READ | PT_WRITE)) && !(prot & ~PT_PROT_ALL) && f->prot_ok(t, prot) &&
	       fmt_va(f, t, iova, &va) && fmt_va(f, t, last, &va2) && va <= va2 &&
	       va2 - va == last - iova;
}

static ALWAYS_INLINE int pt_map_with(const struct pt_fmt *f, struct pt *t, uint64_t iova,
				     uint64_t pa, uint64_t len, unsigned prot, struct pt_gather *g)
{
	struct pt_cursor c;
	uint64_t va;
	int rc;

	if (unlikely(!pt_map_valid(f, t, iova, pa, len, prot)))
		return pt_map_refuse(t, iova, pa, len, prot);
	fmt_va(f, t, iova, &va);
	if (len >> fmt_granule(f, t) == 1) {
		_Atomic uint64_t *item = pt_small_item(f, t, va);

		if (likely(item && !f->present(fmt_load(f, item)))) {
			uint64_t attrs = f->attrs(t, prot, 0, fmt_granule(f, t));

			fmt_store(f, item, f->make_leaf(t, pa, attrs, 0));
			return 0;
		}
	}
	pt_cursor_start(&c, t, va);
	c.missing = 0;
	rc = pt_map_pass(f, t, &c, va, pa, len, prot, g, false);
	if (rc)
		return rc;
	c.spare = (struct pt_spare){ 0 };
	if (c.missing) {
		rc = pt_spare_fill(t, &c.spare, c.missing);
		if (rc)
			return rc;
	}
	pt_cursor_start(&c, t, va);
	pt_map_pass(f, t, &c, va, pa, len, prot, g, true);
	if (unlikely(c.spare.n))
		pt_spare_drain(t, &c.spare);
	return 0;
}

#endif
