/* SPDX-License-Identifier: MIT */
/*
 * Intrusive tree of intervals [start, last] that may overlap and repeat.
 *
 * A balanced search tree by start in which every node knows the greatest last below it. The nodes
 * belong to the caller; nothing allocates, nothing fails, both ends reach 2^64 - 1. The owner of
 * the tree guards it; lookups do not write. Costs are O(log n).
 */
#ifndef INDEX_ITREE_H
#define INDEX_ITREE_H

#include "base/compiler.h"

struct itree_node {
	uint64_t start, last; /* set by the caller before itree_insert(), then constant */
	uint64_t max;         /* greatest last in this subtree */
	struct itree_node *left, *right, *parent;
	uint32_t height; /* of this subtree; a node without children has 1 */
};

struct itree {
	struct itree_node *root;
};

#define ITREE_INIT   \
	{            \
		NULL \
	}

static inline void itree_init(struct itree *tree)
{
	tree->root = NULL;
}

static inline bool itree_empty(const struct itree *tree)
{
	return !tree->root;
}

/* @node->start and ->last are set, start <= last. The node is in no tree. */
void itree_insert(struct itree *tree, struct itree_node *node);

/* @node is in @tree. Its start and last stay, its links become meaningless. */
void itree_remove(struct itree *tree, struct itree_node *node);

/* The node with the lowest start (any of several) that meets [start, last]; NULL when none. */
struct itree_node *itree_first(const struct itree *tree, uint64_t start, uint64_t last);

/* The node after @node in ascending start that meets [start, last]; NULL when none. */
struct itree_node *itree_next(const struct itree_node *node, uint64_t start, uint64_t last);

/* Visits what meets [start, last] by ascending start. The tree must not change meanwhile. */
#define itree_for_each(pos, tree, start, last)                             \
	for (struct itree_node *pos = itree_first(tree, start, last); pos; \
	     pos = itree_next(pos, start, last))

/* Asserts order, balance, links and maxima. O(n), for tests and fuzzers. */
void itree_check(const struct itree *tree);

#endif
