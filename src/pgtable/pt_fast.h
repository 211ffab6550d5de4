/* SPDX-License-Identifier: MIT */
/*
 * The walk of an IOTLB miss, inlined into the caller: which formats deserve that?
 *
 * A switch on the format costs less than an indirect call, and the compiler drops the results that
 * the caller does not look at.
 */
#ifndef PGTABLE_PT_FAST_H
#define PGTABLE_PT_FAST_H

#include "pgtable/fmt_vtdss.h"
#include "pgtable/pt.h"
#include "pgtable/walk.h"

/* As pt_walk(). */
static ALWAYS_INLINE int pt_walk_fast(const struct pt *t, uint64_t iova, struct pt_walk_result *r)
{
	switch (t->id) {
	case PT_VTD:
		return pt_walk_with(&vtdss_fmt, t, iova, r);
	default:
		return pt_walk(t, iova, r);
	}
}

/*
 * Brings the entry that a map or unmap of @iova will write near, and takes no part in anything: no
 * fence, so a table on the way may be freed and used anew meanwhile. It follows only pointers into
 * [first, last], where table memory lies that once used stays readable; entries of a
 * freed table are empty. A wrong guess costs a cache line.
 */
static ALWAYS_INLINE void pt_prefetch(const struct pt *t, uint64_t iova, uint64_t first,
				      uint64_t last)
{
	uint64_t top = atomic_load_explicit(&t->top, memory_order_acquire);
	unsigned level = top & 7;
	uint64_t table = top & ~7ull;

	if (BUILT_WITH_TSAN || t->id != PT_VTD || !t->biased || !table)
		return;
	for (;;) {
		unsigned idx = (unsigned)(iova >> (12 + 9 * level)) & 511;
		uint64_t *e = (uint64_t *)(uintptr_t)(table + t->ptr_bias) + idx, v;

		if (!level) {
			__builtin_prefetch(e, 1);
			return;
		}
		v = __atomic_load_n(e, __ATOMIC_RELAXED);
		table = v & 0x000ffffffffff000;
		if (!(v & 3) || table < first || table > last - 4095)
			return;
		level--;
	}
}

#endif
