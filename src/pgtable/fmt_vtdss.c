// SPDX-License-Identifier: MIT
/* Intel VT-d second stage: the walkers folded for it, and which geometries there are. */
#include "base/why.h"
#include "pgtable/dirty.h"
#include "pgtable/fmt_vtdss.h"
#include "pgtable/formats.h"
#include "pgtable/map.h"
#include "pgtable/unmap.h"
#include "pgtable/walk.h"

static int vtdss_map(struct pt *t, uint64_t iova, uint64_t pa, uint64_t len, unsigned prot,
		     struct pt_gather *g)
{
	return pt_map_with(&vtdss_fmt, t, iova, pa, len, prot, g);
}

static size_t vtdss_unmap(struct pt *t, uint64_t iova, uint64_t len, struct pt_gather *g)
{
	return pt_unmap_with(&vtdss_fmt, t, iova, len, g);
}

static int vtdss_walk(const struct pt *t, uint64_t iova, struct pt_walk_result *r)
{
	return pt_walk_with(&vtdss_fmt, t, iova, r);
}

static uint64_t vtdss_dirty(struct pt *t, uint64_t iova, uint64_t len, unsigned flags,
			    pt_dirty_fn fn, void *arg)
{
	return pt_dirty_with(&vtdss_fmt, t, iova, len, flags, fn, arg);
}

/*
 * 3, 4, 5 levels decode 39, 48, 57 bits (the AW code is levels - 2). Hardware may have fewer (its
 * MGAW): then the root is longer than what is used of it.
 */
static int vtdss_setup(struct pt *t, const struct pt_config *c, unsigned levels)
{
	unsigned bits = 12 + 9 * levels, oa = c->oa_bits ? c->oa_bits : 52;

	if (c->granule_lg2 && c->granule_lg2 != 12)
		return refuse(EINVAL, "granule 2^%u: VT-d has only 2^12", c->granule_lg2);
	if (c->iova_bits > bits || (c->iova_bits && c->iova_bits < 13))
		return refuse(EINVAL, "%u bits of IOVA: %u levels of VT-d decode 13 to %u",
			      c->iova_bits, levels, bits);
	if (oa < 13 || oa > 52)
		return refuse(EINVAL, "%u bits of output address: VT-d has 13 to 52", oa);
	t->width = (uint8_t)(c->iova_bits ? c->iova_bits : bits);
	t->granule_lg2 = 12;
	t->bits = 9;
	t->pgsizes = 1ull << 12 | 1ull << 21 | 1ull << 30;
	t->oa_last = (1ull << oa) - 1;
	t->oa_rsvd = VTDSS_ADDR & ~t->oa_last;
	t->root_bytes = t->table_bytes = 4096;
	return 0;
}

const struct pt_format pt_format_vtdss = {
	.name = "vtd",
	.title = "Intel VT-d second stage",
	.id = PT_VTD,
	.min_levels = 3,
	.max_levels = 5,
	.usual_levels = 4,
	.fmt = &vtdss_fmt,
	.setup = vtdss_setup,
	.map = vtdss_map,
	.unmap = vtdss_unmap,
	.walk = vtdss_walk,
	.dirty = vtdss_dirty,
};
