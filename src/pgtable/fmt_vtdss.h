/* SPDX-License-Identifier: MIT */
/*
 * Intel VT-d second stage: how its entries are laid out.
 *
 * Source: Intel Virtualization Technology for Directed I/O, second-stage paging entries. There is
 * no present bit: an entry is present when it allows something. The walk ANDs R and W over all
 * levels, so pointers allow both and the leaf decides. Kept zero: execute (2), the memory type
 * (6:3), transient mapping (62), and the software bits. Accessed and dirty (8, 9) are 0 in a new
 * entry and hardware's from then on; where the unit does not use them they are ignored.
 */
#ifndef PGTABLE_FMT_VTDSS_H
#define PGTABLE_FMT_VTDSS_H

#include "pgtable/fmt.h"

#define VTDSS_R    (1ull << 0)
#define VTDSS_W    (1ull << 1)
#define VTDSS_PS   (1ull << 7)
#define VTDSS_A    (1ull << 8)  /* accessed: leaf and pointer */
#define VTDSS_D    (1ull << 9)  /* dirty: leaf */
#define VTDSS_SNP  (1ull << 11) /* leaf: force snoop; pointer: reserved */
#define VTDSS_TM   (1ull << 62) /* needs a device TLB that takes the hint; ours has none */
#define VTDSS_ADDR 0x000ffffffffff000ull

static ALWAYS_INLINE bool vtdss_present(uint64_t e)
{
	return e & (VTDSS_R | VTDSS_W);
}

static ALWAYS_INLINE bool vtdss_is_table(const struct pt *t, uint64_t e, unsigned level)
{
	(void)t;
	return level > 0 && !(e & VTDSS_PS);
}

static ALWAYS_INLINE uint64_t vtdss_table_addr(const struct pt *t, uint64_t e)
{
	(void)t;
	return e & VTDSS_ADDR;
}

static ALWAYS_INLINE unsigned vtdss_prot(const struct pt *t, uint64_t e, bool table)
{
	unsigned prot = (unsigned)e & (PT_READ | PT_WRITE); /* the same two bits */

	(void)t;
	return !table && (e & VTDSS_SNP) ? prot | PT_SNOOP : prot;
}

static ALWAYS_INLINE unsigned vtdss_leaf_lg2(const struct pt *t, uint64_t e, unsigned level)
{
	(void)t;
	(void)e;
	return 12 + 9 * level;
}

static ALWAYS_INLINE uint64_t vtdss_leaf_pa(const struct pt *t, uint64_t e, unsigned level,
					    uint64_t va)
{
	uint64_t offset = (1ull << vtdss_leaf_lg2(t, e, level)) - 1;

	return (e & VTDSS_ADDR & ~offset) | (va & offset);
}

static ALWAYS_INLINE bool vtdss_malformed(const struct pt *t, uint64_t e, unsigned level)
{
	uint64_t rsvd = t->oa_rsvd | VTDSS_TM;

	if (vtdss_is_table(t, e, level))
		return e & (rsvd | VTDSS_SNP);
	if (level > 2)
		return true; /* no leaf of 512 GiB */
	return e & (rsvd | (((1ull << (12 + 9 * level)) - 1) & VTDSS_ADDR));
}

static ALWAYS_INLINE uint64_t vtdss_make_table(const struct pt *t, uint64_t addr, unsigned level)
{
	(void)t;
	(void)level;
	return addr | VTDSS_R | VTDSS_W;
}

static ALWAYS_INLINE uint64_t vtdss_attrs(const struct pt *t, unsigned prot, unsigned level,
					  unsigned size_lg2)
{
	(void)size_lg2;
	return (prot & (PT_READ | PT_WRITE)) | (level ? VTDSS_PS : 0) |
	       (t->features & PT_FORCE_SNOOP || prot & PT_SNOOP ? VTDSS_SNP : 0);
}

static ALWAYS_INLINE uint64_t vtdss_make_leaf(const struct pt *t, uint64_t pa, uint64_t attrs,
					      unsigned item)
{
	(void)t;
	(void)item;
	return pa | attrs;
}

static ALWAYS_INLINE bool vtdss_prot_ok(const struct pt *t, unsigned prot)
{
	return prot & PT_WRITE || !(t->features & PT_FORCE_WRITABLE);
}

static const struct pt_fmt vtdss_fmt = {
	.granule_lg2 = 12,
	.bits = 9,
	.present = vtdss_present,
	.is_table = vtdss_is_table,
	.table_addr = vtdss_table_addr,
	.prot = vtdss_prot,
	.leaf_lg2 = vtdss_leaf_lg2,
	.leaf_pa = vtdss_leaf_pa,
	.malformed = vtdss_malformed,
	.make_table = vtdss_make_table,
	.attrs = vtdss_attrs,
	.make_leaf = vtdss_make_leaf,
	.prot_ok = vtdss_prot_ok,
	.accessed = VTDSS_A,
	.table_accessed = VTDSS_A,
	.dirty_mask = VTDSS_D,
	.dirty = VTDSS_D,
	.dirty_flip = VTDSS_D,
};

#endif
