/* SPDX-License-Identifier: MIT */
/*
 * PFN store: which page ranges accesses have pinned, and where those pages are (tier 1).
 *
 * One range for each distinct [first, last] that somebody pinned, with a count of users; ranges
 * may overlap. Each knows the output addresses of all its pages, as runs: so whatever an access
 * holds can be read back without a page table, and dropping a range needs no memory.
 * Source: docs/design/iommufd.md.
 */
#ifndef IOMMUFD_STORE_H
#define IOMMUFD_STORE_H

#include "index/itree.h"
#include "iommufd/batch.h"

/* Consecutive pages of a range, up to where the next run begins. */
struct store_run {
	uint64_t idx; /* page index of the first */
	uint64_t pa;
};

struct store_range {
	struct itree_node node; /* page indexes; in pages->accesses */
	uint64_t users;         /* > 0; guarded by the pages' lock */
	unsigned nruns, cap;    /* > 0 when built */
	struct store_run run[]; /* ascending, the first at node.start */
};

/* An empty range for [first, last], in no tree. NULL: no memory. */
struct store_range *store_range_new(uint64_t first, uint64_t last);
void store_range_free(struct store_range *r); /* NULL is fine */

/*
 * Appends what @b has, which begins where *@r ends. May move *@r, which is in no tree. -ENOMEM:
 * *@r is as it was.
 */
int store_append(struct store_range **r, const struct batch *b);

/* The range that is exactly [first, last], NULL when none. */
struct store_range *store_find(const struct itree *ranges, uint64_t first, uint64_t last);

/*
 * Appends the PFNs of [idx, last], within the range, to @b; ends before a run that does not fit,
 * so it may have appended less.
 */
void store_read(const struct store_range *r, uint64_t idx, uint64_t last, struct batch *b);

/* One output address for each page of the range. */
void store_list(const struct store_range *r, uint64_t *out);

/* Asserts the invariants of the ranges in the tree. */
void store_check(const struct itree *ranges);

#endif
