/* SPDX-License-Identifier: MIT */
/*
 * What does hardware make of one IOVA? The strict walk, for every format.
 *
 * Readers take no lock. The caller is in a read-side section of the fence, or knows otherwise that
 * no table on the way is freed.
 */
#ifndef PGTABLE_WALK_H
#define PGTABLE_WALK_H

#include <errno.h>

#include "pgtable/fmt.h"

static ALWAYS_INLINE int walk_end(struct pt_walk_result *r, int rc, enum pt_why why, uint64_t e,
				  _Atomic uint64_t *item, unsigned level)
{
	r->entry = e;
	r->item = item;
	r->level = (uint8_t)level;
	r->why = (uint8_t)why;
	return rc;
}

static ALWAYS_INLINE int pt_walk_with(const struct pt_fmt *f, const struct pt *t, uint64_t iova,
				      struct pt_walk_result *r)
{
	uint64_t word = pt_top_word(t), va, e;
	unsigned level = pt_top_level(word), prot = PT_READ | PT_WRITE;
	_Atomic uint64_t *table, *item;

	if (unlikely(!fmt_va(f, t, iova, &va)))
		return walk_end(r, -ERANGE, PT_BEYOND_WIDTH, 0, NULL, level);
	item = pt_table_at(t, pt_top_addr(word)) + fmt_top_index(f, t, va, level);
	for (;;) {
		e = fmt_load(f, item);
		if (unlikely(!f->present(e)))
			return walk_end(r, -ENOENT, PT_NOT_PRESENT, e, item, level);
		if (unlikely(f->malformed(t, e, level)))
			return walk_end(r, -EBADMSG, PT_RESERVED_BITS, e, item, level);
		if (!f->is_table(t, e, level))
			break;
		prot &= f->prot(t, e, true);
		table = pt_table_at(t, f->table_addr(t, e));
		if (!t->biased && unlikely(!table))
			return walk_end(r, -EBADMSG, PT_POINTS_NOWHERE, e, item, level);
		level--;
		item = table + fmt_index(f, t, va, level);
	}
	r->pa = f->leaf_pa(t, e, level, va);
	r->prot = prot & f->prot(t, e, false);
	r->size_lg2 = (uint8_t)f->leaf_lg2(t, e, level);
	return walk_end(r, 0, PT_OK, e, item, level);
}

#endif
