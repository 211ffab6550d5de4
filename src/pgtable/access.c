// SPDX-License-Identifier: MIT
/*
 * What does an access leave behind in the table? The accessed and dirty bits, set as hardware does.
 *
 * Each entry is replaced by compare-and-swap against what the walk has seen: a locked OR could
 * bring a bit back into an entry, or a table, that an unmap has taken away meanwhile.
 */
#include "base/bits.h"
#include "pgtable/fmt.h"

static bool replace(const struct pt_fmt *f, _Atomic uint64_t *item, uint64_t was, uint64_t e)
{
	uint64_t raw = fmt_swap(f, was);

	return atomic_compare_exchange_strong_explicit(item, &raw, fmt_swap(f, e),
						       memory_order_acq_rel, memory_order_acquire);
}

/* The entries above the leaf. They stay accessed, so this is done once for each. */
static COLD bool mark_tables(const struct pt_fmt *f, const struct pt *t, uint64_t iova,
			     unsigned leaf_level)
{
	uint64_t word = pt_top_word(t), va;
	unsigned top = pt_top_level(word), level = top;
	_Atomic uint64_t *table = pt_table_at(t, pt_top_addr(word));

	if (!fmt_va(f, t, iova, &va))
		return false;
	for (; level > leaf_level; level--) {
		_Atomic uint64_t *item = table + fmt_any_index(f, t, va, level, top);
		uint64_t e = fmt_load(f, item), want = e | f->table_accessed;

		if (!f->present(e) || !f->is_table(t, e, level) ||
		    (want != e && !replace(f, item, e, want)))
			return false;
		table = pt_table_at(t, f->table_addr(t, e));
	}
	return true;
}

unsigned pt_access(const struct pt *t, uint64_t iova, bool write, struct pt_walk_result *r)
{
	const struct pt_fmt *f = t->format->fmt;
	uint64_t e = r->entry, want = e | f->accessed;

	if (!f->dirty_mask)
		return PT_READ | PT_WRITE;
	/* An entry that one flip does not make dirty is one that hardware leaves as it is. */
	if (write && ((want ^ f->dirty_flip) & f->dirty_mask) == f->dirty)
		want ^= f->dirty_flip;
	if (want != e) {
		if ((e & f->accessed) != f->accessed && f->table_accessed &&
		    !mark_tables(f, t, iova, r->level))
			return 0;
		if (!replace(f, r->item, e, want))
			return 0;
		r->entry = want;
	}
	return (want & f->dirty_mask) == f->dirty ? PT_READ | PT_WRITE : PT_READ;
}
