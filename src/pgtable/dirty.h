/* SPDX-License-Identifier: MIT */
/*
 * Which pages were written, and how does the table forget it, for every format?
 *
 * One pass over the range, up and down as unmap.h does. Tables of single items are looked at in
 * chunks, and those that nothing, or everything, was written to cost next to nothing.
 *
 * Nothing is lost, and no locked instruction is needed. Who else changes these words is
 * pt_access(), which only adds a bit that an entry lacks, and other readers. An entry that is
 * dirty and accessed lacks none. So a store of its clean form undoes nothing, unless another
 * reader has cleaned it and a write has made it dirty again in between. But whoever stores also
 * reports the entry, invalidates, and waits for the accesses that began before: that write was
 * over when it returned, and is part of what it reported.
 */
#ifndef PGTABLE_DIRTY_H
#define PGTABLE_DIRTY_H

#include "pgtable/fmt.h"

#define PT_DIRTY_CHUNK 64u

struct pt_dirty_scan {
	_Atomic uint64_t *tab[PT_MAX_LEVELS];
	uint64_t first, last; /* va of the request */
	uint64_t va;          /* where we are, inside tab[level] */
	uint64_t from, to;    /* dirty and not yet reported; from > to: nothing */
	uint64_t bytes;
	unsigned level, top;
	bool clear;
	pt_dirty_fn fn;
	void *arg;
};

static ALWAYS_INLINE bool fmt_dirty(const struct pt_fmt *f, uint64_t e)
{
	return (e & f->dirty_mask) == f->dirty;
}

static ALWAYS_INLINE void pt_dirty_flush(const struct pt_fmt *f, const struct pt *t,
					 struct pt_dirty_scan *s)
{
	if (s->from <= s->to)
		s->fn(s->arg, fmt_iova(f, t, s->from), fmt_iova(f, t, s->to));
}

/* Adds [first, last], cut to the request. Ranges come in order and do not meet. */
static ALWAYS_INLINE void pt_dirty_found(const struct pt_fmt *f, const struct pt *t,
					 struct pt_dirty_scan *s, uint64_t first, uint64_t last)
{
	first = max_u64(first, s->first);
	last = min_u64(last, s->last);
	s->bytes += last - first + 1;
	if (likely(s->from <= s->to && s->to == first - 1)) {
		s->to = last;
		return;
	}
	pt_dirty_flush(f, t, s);
	s->from = first;
	s->to = last;
}

/* For an entry that is reported; see the top for why a store will do. */
static ALWAYS_INLINE void pt_make_clean(const struct pt_fmt *f, _Atomic uint64_t *item)
{
	uint64_t e = fmt_load(f, item);

	if (likely((e & f->accessed) == f->accessed))
		fmt_store(f, item,
			  f->dirty & f->dirty_flip ? e & ~f->dirty_flip : e | f->dirty_flip);
	else if (f->dirty & f->dirty_flip)
		atomic_fetch_and_explicit(item, ~fmt_swap(f, f->dirty_flip), memory_order_acq_rel);
	else
		atomic_fetch_or_explicit(item, fmt_swap(f, f->dirty_flip), memory_order_acq_rel);
}

/* One of @n items is dirty. */
static ALWAYS_INLINE bool pt_dirty_any(const struct pt_fmt *f, const _Atomic uint64_t *item,
				       uint64_t n)
{
	const uint64_t mask = fmt_swap(f, f->dirty_mask), dirty = fmt_swap(f, f->dirty);
	uint64_t any = 0;

	if (f->dirty_mask == f->dirty && is_pow2(f->dirty)) {
		for (uint64_t i = 0; i < n; i++)
			any |= atomic_load_explicit(&item[i], memory_order_relaxed);
		return any & dirty;
	}
	for (uint64_t i = 0; i < n; i++)
		any |= (atomic_load_explicit(&item[i], memory_order_relaxed) & mask) == dirty;
	return any;
}

/* Bit i: item i is dirty. */
static ALWAYS_INLINE uint64_t pt_dirty_bits(const struct pt_fmt *f, const _Atomic uint64_t *item,
					    uint64_t n)
{
	const uint64_t mask = fmt_swap(f, f->dirty_mask), dirty = fmt_swap(f, f->dirty);
	uint64_t bits = 0;

	for (uint64_t i = 0; i < n; i++) {
		uint64_t e = atomic_load_explicit(&item[i], memory_order_relaxed);

		bits |= (uint64_t)((e & mask) == dirty) << i;
	}
	return bits;
}

/* Up to 64 items of which some are dirty; the first translates @va. */
static ALWAYS_INLINE void pt_dirty_chunk(const struct pt_fmt *f, const struct pt *t,
					 struct pt_dirty_scan *s, _Atomic uint64_t *item,
					 uint64_t va, uint64_t n)
{
	unsigned isz = fmt_granule(f, t);
	uint64_t bits = pt_dirty_bits(f, item, n), clear = s->clear ? bits : 0;

	/* a granule that the request cuts stays dirty */
	if (unlikely(va < s->first))
		clear &= ~1ull;
	if (unlikely(va + ((n << isz) - 1) > s->last))
		clear &= ~(1ull << (n - 1));
	for (; clear; clear &= clear - 1)
		pt_make_clean(f, item + lowest_bit(clear));
	while (bits) {
		unsigned i = lowest_bit(bits), to = 64;
		uint64_t from = bits >> i;

		if (~from)
			to = i + lowest_bit(~from);
		pt_dirty_found(f, t, s, va + ((uint64_t)i << isz), va + ((uint64_t)to << isz) - 1);
		bits = to < 64 ? bits >> to << to : 0;
	}
}

/* As many items as PT_DIRTY_CHUNK, all in the request. False: not all the same; nothing is done. */
static ALWAYS_INLINE bool pt_dirty_uniform(const struct pt_fmt *f, const struct pt *t,
					   struct pt_dirty_scan *s, _Atomic uint64_t *item,
					   uint64_t va)
{
	const uint64_t both = fmt_swap(f, f->dirty | f->accessed);
	uint64_t any = 0, all = UINT64_MAX;

	for (unsigned i = 0; i < PT_DIRTY_CHUNK; i++) {
		uint64_t e = atomic_load_explicit(&item[i], memory_order_relaxed);

		any |= e;
		all &= e;
	}
	if (!(any & fmt_swap(f, f->dirty)))
		return true;
	if ((all & both) != both)
		return false;
	pt_dirty_found(f, t, s, va, va + (((uint64_t)PT_DIRTY_CHUNK << fmt_granule(f, t)) - 1));
	for (unsigned i = 0; s->clear && i < PT_DIRTY_CHUNK; i++)
		fmt_store(f, &item[i], fmt_load(f, &item[i]) & ~f->dirty_flip);
	return true;
}

/* A table of single items that holds only leaves. */
static ALWAYS_INLINE void pt_dirty_small(const struct pt_fmt *f, const struct pt *t,
					 struct pt_dirty_scan *s)
{
	const bool one_bit = f->dirty_mask == f->dirty && f->dirty == f->dirty_flip;
	unsigned isz = fmt_granule(f, t);
	uint64_t stop = min_u64(s->last, s->va | fmt_span_mask(f, t, 0, s->top));
	uint64_t va = align_down(s->va, 1ull << isz), n = (stop >> isz) - (va >> isz) + 1, step;
	_Atomic uint64_t *item = s->tab[0] + fmt_any_index(f, t, va, 0, s->top);

	for (; n; n -= step, item += step, va += step << isz) {
		step = min_u64(n, PT_DIRTY_CHUNK);
		if (unlikely(step < PT_DIRTY_CHUNK || va < s->first ||
			     va + ((step << isz) - 1) > s->last)) {
			if (pt_dirty_any(f, item, step))
				pt_dirty_chunk(f, t, s, item, va, step);
		} else if (one_bit ? !pt_dirty_uniform(f, t, s, item, va)
				   : pt_dirty_any(f, item, PT_DIRTY_CHUNK)) {
			pt_dirty_chunk(f, t, s, item, va, PT_DIRTY_CHUNK);
		}
	}
}

/*
 * The leaf that @item, which translates @item_va, is part of. It is dirty when one of its items is:
 * hardware marks the one that it came by. Returns how many items to go on by.
 */
static ALWAYS_INLINE uint64_t pt_dirty_leaf(const struct pt_fmt *f, const struct pt *t,
					    struct pt_dirty_scan *s, _Atomic uint64_t *item,
					    uint64_t e, uint64_t item_va)
{
	unsigned size = f->contiguous ? f->leaf_lg2(t, e, s->level) : fmt_isz(f, t, s->level);
	unsigned per_lg2 = f->contiguous ? size - fmt_isz(f, t, s->level) : 0;
	uint64_t start = align_down(item_va, 1ull << size), last = start + ((1ull << size) - 1);
	uint64_t skip = (item_va - start) >> fmt_isz(f, t, s->level), n = 1ull << per_lg2;

	item -= skip;
	if (!pt_dirty_any(f, item, n))
		return n - skip;
	pt_dirty_found(f, t, s, start, last);
	if (!s->clear || start < s->first || last > s->last)
		return n - skip;
	for (uint64_t i = 0; i < n; i++) {
		e = fmt_load(f, &item[i]);
		if (fmt_dirty(f, e))
			pt_make_clean(f, &item[i]);
	}
	return n - skip;
}

/* As pt_unmap_table(): true, a pointer was met and s->va is where to go on behind it. */
static ALWAYS_INLINE bool pt_dirty_table(const struct pt_fmt *f, const struct pt *t,
					 struct pt_dirty_scan *s)
{
	unsigned isz = fmt_isz(f, t, s->level);
	uint64_t stop = min_u64(s->last, s->va | fmt_span_mask(f, t, s->level, s->top));
	uint64_t n = (stop >> isz) - (s->va >> isz) + 1, va = s->va, i = 0;
	_Atomic uint64_t *item = s->tab[s->level] + fmt_any_index(f, t, va, s->level, s->top);

	while (i < n) {
		uint64_t e = fmt_load(f, &item[i]), step = 1;

		if (f->present(e)) {
			if (s->level > 0 && f->is_table(t, e, s->level)) {
				s->tab[s->level - 1] = pt_table_at(t, f->table_addr(t, e));
				s->va = va;
				return true;
			}
			step = pt_dirty_leaf(f, t, s, &item[i], e, align_down(va, 1ull << isz));
		}
		i += step;
		va = align_down(va, 1ull << isz) + (step << isz);
	}
	return false;
}

/* From a table that is done to the next place. False: there is none. */
static ALWAYS_INLINE bool pt_dirty_up(const struct pt_fmt *f, const struct pt *t,
				      struct pt_dirty_scan *s)
{
	while (s->level < s->top) {
		uint64_t last = s->va | fmt_span_mask(f, t, s->level, s->top);

		s->level++;
		s->va = last;
		if (last < s->last && last < (last | fmt_span_mask(f, t, s->level, s->top))) {
			s->va = last + 1;
			return true;
		}
	}
	return false;
}

static ALWAYS_INLINE uint64_t pt_dirty_with(const struct pt_fmt *f, struct pt *t, uint64_t iova,
					    uint64_t len, unsigned flags, pt_dirty_fn fn, void *arg)
{
	struct pt_dirty_scan s;
	uint64_t word;

	if (unlikely(!len || !fmt_va(f, t, iova, &s.first)))
		return 0;
	if (unlikely(iova + (len - 1) < iova || !fmt_va(f, t, iova + (len - 1), &s.last) ||
		     s.last < s.first))
		s.last = fmt_last_with(f, t, s.first);
	s.va = s.first;
	s.from = 1;
	s.to = s.bytes = 0;
	s.clear = !(flags & PT_DIRTY_NO_CLEAR);
	s.fn = fn;
	s.arg = arg;
	word = pt_top_word(t);
	s.level = s.top = pt_top_level(word);
	s.tab[s.top] = pt_table_at(t, pt_top_addr(word));
	do {
		for (;;) {
			if (s.level == 0 && !f->contiguous) {
				pt_dirty_small(f, t, &s);
				break;
			}
			if (!pt_dirty_table(f, t, &s))
				break;
			s.level--;
		}
	} while (pt_dirty_up(f, t, &s));
	pt_dirty_flush(f, t, &s);
	return s.bytes;
}

#endif
