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

#endif
