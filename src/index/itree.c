// SPDX-License-Identifier: MIT
/*
 * Intrusive interval tree: how does an AVL tree by start keep the greatest last of each subtree?
 *
 * I1 in-order, starts do not descend (equal ones in any order).
 * I2 the heights of two siblings differ by at most one; height is one more than the greater.
 * I3 max is the greatest last in the subtree.
 * I4 a child's parent link points back.
 */
#include "index/itree.h"

#include "base/bits.h"

static uint32_t height(const struct itree_node *n)
{
	return n ? n->height : 0;
}

/* I2 and I3 of @n from its children. */
static void refresh(struct itree_node *n)
{
	uint32_t l = height(n->left), r = height(n->right);
	uint64_t max = n->last;

	if (n->left)
		max = max_u64(max, n->left->max);
	if (n->right)
		max = max_u64(max, n->right->max);
	n->height = (l > r ? l : r) + 1;
	n->max = max;
}

/* @new takes @old's place below @parent (NULL: as the root). */
static void replace(struct itree *tree, struct itree_node *parent, struct itree_node *old,
		    struct itree_node *new)
{
	if (!parent)
		tree->root = new;
	else if (parent->left == old)
		parent->left = new;
	else
		parent->right = new;
	if (new)
		new->parent = parent;
}

/* Lifts @n's right child over @n; returns it. */
static struct itree_node *rotate_left(struct itree *tree, struct itree_node *n)
{
	struct itree_node *up = n->right;

	replace(tree, n->parent, n, up);
	n->right = up->left;
	if (n->right)
		n->right->parent = n;
	up->left = n;
	n->parent = up;
	refresh(n);
	refresh(up);
	return up;
}

static struct itree_node *rotate_right(struct itree *tree, struct itree_node *n)
{
	struct itree_node *up = n->left;

	replace(tree, n->parent, n, up);
	n->left = up->right;
	if (n->left)
		n->left->parent = n;
	up->right = n;
	n->parent = up;
	refresh(n);
	refresh(up);
	return up;
}

/* Restores I2 at @n, whose subtrees differ by at most two; returns the subtree's new root. */
static struct itree_node *balance(struct itree *tree, struct itree_node *n)
{
	if (height(n->left) > height(n->right) + 1) {
		if (height(n->left->left) < height(n->left->right))
			rotate_left(tree, n->left);
		return rotate_right(tree, n);
	}
	if (height(n->right) > height(n->left) + 1) {
		if (height(n->right->right) < height(n->right->left))
			rotate_right(tree, n->right);
		return rotate_left(tree, n);
	}
	return n;
}

/* Restores I2 and I3 from @n upwards, as far as something changes. */
static void retrace(struct itree *tree, struct itree_node *n)
{
	while (n) {
		uint32_t h = n->height;
		uint64_t max = n->max;

		refresh(n);
		n = balance(tree, n);
		if (n->height == h && n->max == max)
			return;
		n = n->parent;
	}
}

void itree_insert(struct itree *tree, struct itree_node *node)
{
	struct itree_node **link = &tree->root, *parent = NULL;

	while (*link) {
		parent = *link;
		link = node->start < parent->start ? &parent->left : &parent->right;
	}
	node->left = node->right = NULL;
	node->parent = parent;
	node->max = node->last;
	node->height = 1;
	*link = node;
	retrace(tree, parent);
}

void itree_remove(struct itree *tree, struct itree_node *node)
{
	struct itree_node *heir, *from;

	if (!node->left || !node->right) {
		replace(tree, node->parent, node, node->left ? node->left : node->right);
		retrace(tree, node->parent);
		return;
	}
	/* Two children: the next node in order, which has no left child, moves into the place. */
	for (heir = node->right; heir->left;)
		heir = heir->left;
	from = heir->parent;
	if (from == node) {
		from = heir;
	} else {
		replace(tree, from, heir, heir->right);
		heir->right = node->right;
		heir->right->parent = heir;
	}
	replace(tree, node->parent, node, heir);
	heir->left = node->left;
	heir->left->parent = heir;
	/* What was in this place before, so that retrace() sees whether its parents must change. */
	heir->height = node->height;
	heir->max = node->max;
	if (from != heir)
		retrace(tree, from);
	retrace(tree, heir);
}

/* The first node in order below @n that meets [start, last]. Needs @n->max >= @start. */
static struct itree_node *first_below(struct itree_node *n, uint64_t start, uint64_t last)
{
	for (;;) {
		/*
		 * Some node on the left ends late enough. Take the first that does: should it begin
		 * beyond last, so does all that follows.
		 */
		if (n->left && n->left->max >= start) {
			n = n->left;
			continue;
		}
		if (n->start > last)
			return NULL;
		if (n->last >= start)
			return n;
		n = n->right; /* exists: something here has the max, and it is not n or left */
	}
}

struct itree_node *itree_first(const struct itree *tree, uint64_t start, uint64_t last)
{
	if (!tree->root || tree->root->max < start)
		return NULL;
	return first_below(tree->root, start, last);
}

struct itree_node *itree_next(const struct itree_node *node, uint64_t start, uint64_t last)
{
	const struct itree_node *n = node;

	if (n->right && n->right->max >= start)
		return first_below(n->right, start, last);
	for (;;) {
		const struct itree_node *child = n;

		n = n->parent;
		if (!n)
			return NULL;
		if (n->left != child)
			continue;
		if (n->start > last)
			return NULL;
		if (n->last >= start)
			return (struct itree_node *)n;
		if (n->right && n->right->max >= start)
			return first_below(n->right, start, last);
	}
}

static void check_below(const struct itree_node *n)
{
	uint32_t l = height(n->left), r = height(n->right);
	uint64_t max = n->last;

	(void)BUG_ON(n->start > n->last);
	(void)BUG_ON(l > r + 1 || r > l + 1);           /* I2 */
	(void)BUG_ON(n->height != (l > r ? l : r) + 1); /* I2 */
	if (n->left) {
		(void)BUG_ON(n->left->parent != n); /* I4 */
		check_below(n->left);
		max = max_u64(max, n->left->max);
	}
	if (n->right) {
		(void)BUG_ON(n->right->parent != n); /* I4 */
		check_below(n->right);
		max = max_u64(max, n->right->max);
	}
	(void)BUG_ON(n->max != max); /* I3 */
}

void itree_check(const struct itree *tree)
{
	const struct itree_node *prev = NULL;

	if (!tree->root)
		return;
	(void)BUG_ON(tree->root->parent);
	check_below(tree->root);
	itree_for_each(n, tree, 0, UINT64_MAX) {
		(void)BUG_ON(prev && prev->start > n->start); /* I1 */
		prev = n;
	}
}
