/* SPDX-License-Identifier: MIT */
/*
 * A format that no hardware has, with everything at once that VT-d's has not: granule of 16 KiB,
 * big-endian entries, pages of every power of two (one entry in 2^n items), addresses whose upper
 * bits repeat the highest one, and a root smaller than the other tables. It shows that the walkers
 * are what they claim to be.
 *
 * Entry: 0 present, 1 table, 2 read, 3 write, 9:4 log2 of the page, 51:14 address; of a leaf: 10
 * clean (of one that can be written: set in a new one, cleared by a write), 11 accessed.
 * IOVA: 3 levels of 11 bits, but 4 in the root: 14 + 22 + 4 = 40 bits.
 */
#ifndef TEST_FMT_ODD_H
#define TEST_FMT_ODD_H

#include "pgtable/dirty.h"
#include "pgtable/formats.h"
#include "pgtable/map.h"
#include "pgtable/unmap.h"
#include "pgtable/walk.h"

#define ODD_ADDR  0x000fffffffffc000ull
#define ODD_CLEAN 0x400ull

static ALWAYS_INLINE bool odd_present(uint64_t e)
{
	return e & 1;
}

static ALWAYS_INLINE bool odd_is_table(const struct pt *t, uint64_t e, unsigned level)
{
	(void)t;
	(void)level;
	return e & 2;
}

/* The root is not aligned to 16 KiB, but nothing points to it. */
static ALWAYS_INLINE uint64_t odd_table_addr(const struct pt *t, uint64_t e)
{
	(void)t;
	return e & ODD_ADDR;
}

static ALWAYS_INLINE unsigned odd_prot(const struct pt *t, uint64_t e, bool table)
{
	(void)t;
	return table ? PT_READ | PT_WRITE : (unsigned)(e >> 2) & 3;
}

static ALWAYS_INLINE unsigned odd_leaf_lg2(const struct pt *t, uint64_t e, unsigned level)
{
	(void)t;
	(void)level;
	return (unsigned)(e >> 4) & 63;
}

static ALWAYS_INLINE uint64_t odd_leaf_pa(const struct pt *t, uint64_t e, unsigned level,
					  uint64_t va)
{
	return (e & ODD_ADDR) | (va & ((1ull << odd_leaf_lg2(t, e, level)) - 1));
}

static ALWAYS_INLINE bool odd_malformed(const struct pt *t, uint64_t e, unsigned level)
{
	unsigned s = odd_leaf_lg2(t, e, level);

	if (e & 2)
		return !level || s || e & ~(ODD_ADDR | 3);
	return e & ~(ODD_ADDR | 0xffd) || s < 14 + 11 * level || s >= 14 + 11 * (level + 1) ||
	       e & ODD_ADDR & ((1ull << s) - 1);
}

static ALWAYS_INLINE uint64_t odd_make_table(const struct pt *t, uint64_t addr, unsigned level)
{
	(void)t;
	(void)level;
	return addr | 3;
}

static ALWAYS_INLINE uint64_t odd_attrs(const struct pt *t, unsigned prot, unsigned level,
					unsigned size_lg2)
{
	(void)t;
	(void)level;
	return 1 | (prot & 3) << 2 | size_lg2 << 4 | (prot & PT_WRITE ? ODD_CLEAN : 0);
}

static ALWAYS_INLINE uint64_t odd_make_leaf(const struct pt *t, uint64_t pa, uint64_t attrs,
					    unsigned item)
{
	(void)t;
	(void)item;
	return pa | attrs;
}

static ALWAYS_INLINE bool odd_prot_ok(const struct pt *t, unsigned prot)
{
	(void)t;
	(void)prot;
	return true;
}

static const struct pt_fmt odd_fmt = {
	.granule_lg2 = 14,
	.bits = 11,
	.big_endian = true,
	.sign_extend = true,
	.contiguous = true,
	.present = odd_present,
	.is_table = odd_is_table,
	.table_addr = odd_table_addr,
	.prot = odd_prot,
	.leaf_lg2 = odd_leaf_lg2,
	.leaf_pa = odd_leaf_pa,
	.malformed = odd_malformed,
	.make_table = odd_make_table,
	.attrs = odd_attrs,
	.make_leaf = odd_make_leaf,
	.prot_ok = odd_prot_ok,
	.accessed = 0x800,
	.dirty_mask = ODD_CLEAN | 8 | 3,
	.dirty = 8 | 1,
	.dirty_flip = ODD_CLEAN,
};

static int odd_setup(struct pt *t, const struct pt_config *c, unsigned levels)
{
	(void)c;
	t->width = (uint8_t)(14 + 11 * (levels - 1) + 4);
	t->granule_lg2 = 14;
	t->bits = 11;
	t->pgsizes = UINT64_MAX << 14;
	t->oa_last = ODD_ADDR | 0x3fff;
	t->root_bytes = 8 * 16;
	t->table_bytes = 16384;
	return 0;
}

static int odd_map(struct pt *t, uint64_t iova, uint64_t pa, uint64_t len, unsigned prot,
		   struct pt_gather *g)
{
	return pt_map_with(&odd_fmt, t, iova, pa, len, prot, g);
}

static size_t odd_unmap(struct pt *t, uint64_t iova, uint64_t len, struct pt_gather *g)
{
	return pt_unmap_with(&odd_fmt, t, iova, len, g);
}

static int odd_walk(const struct pt *t, uint64_t iova, struct pt_walk_result *r)
{
	return pt_walk_with(&odd_fmt, t, iova, r);
}

static uint64_t odd_dirty(struct pt *t, uint64_t iova, uint64_t len, unsigned flags, pt_dirty_fn fn,
			  void *arg)
{
	return pt_dirty_with(&odd_fmt, t, iova, len, flags, fn, arg);
}

static const struct pt_format odd_format = {
	.name = "odd",
	.title = "a format for tests",
	.min_levels = 2,
	.max_levels = 3,
	.usual_levels = 3,
	.fmt = &odd_fmt,
	.setup = odd_setup,
	.map = odd_map,
	.unmap = odd_unmap,
	.walk = odd_walk,
	.dirty = odd_dirty,
};

#endif
