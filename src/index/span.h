/* SPDX-License-Identifier: MIT */
/*
 * Spans: a range cut into maximal used and hole pieces by the nodes of an interval tree.
 *
 * Nodes that overlap or adjoin make one used span. With two trees the first takes precedence:
 * what both cover is SPAN_A. Spans come in ascending order, fill the range without a break, and
 * no two neighbours are of one kind. The iterator lives in the caller's memory; walking a range
 * costs O(log n + nodes met).
 *
 * The trees must not change below an iterator, except that span_refresh() (span2_refresh()) lets
 * it go on after a change.
 */
#ifndef INDEX_SPAN_H
#define INDEX_SPAN_H

#include "index/itree.h"

enum span_kind { SPAN_HOLE, SPAN_A, SPAN_B };

struct span {
	uint64_t start, last; /* the span, clipped to the range */
	bool used;            /* covered by nodes, or a hole */
	bool done;            /* past the end: the fields above mean nothing */
	/* private */
	uint64_t limit;
	const struct itree *tree;
	struct itree_node *next; /* first node that has not been looked at */
};

/* Begins with the span at @start; @start <= @last. */
void span_first(struct span *s, const struct itree *tree, uint64_t start, uint64_t last);

/* Goes to the following span, or sets done. */
void span_next(struct span *s);

/*
 * The tree has changed: forget what was read ahead. The current span stays; span_next() reads the
 * tree anew from its last + 1. (If the change was in what follows directly, the next span may then
 * be of the same kind.)
 */
void span_refresh(struct span *s);

#define span_for_each(s, tree, start, last) \
	for (span_first(s, tree, start, last); !(s)->done; span_next(s))

struct span2 {
	uint64_t start, last; /* the span, clipped to the range */
	enum span_kind kind;
	bool done;
	/* private */
	uint64_t limit;
	struct span a, b;
};

/* As span_first() with two trees; @a takes precedence. */
void span2_first(struct span2 *s, const struct itree *a, const struct itree *b, uint64_t start,
		 uint64_t last);
void span2_next(struct span2 *s);
void span2_refresh(struct span2 *s);

#define span2_for_each(s, a, b, start, last) \
	for (span2_first(s, a, b, start, last); !(s)->done; span2_next(s))

/* Every address of [start, last] is covered by some node. */
bool span_covered(const struct itree *tree, uint64_t start, uint64_t last);

#endif
