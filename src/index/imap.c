// SPDX-License-Identifier: MIT
/* Interval map: which entry is at, above or below an address? The invariants are in imap_node.h. */
#include "index/imap.h"

#include "index/imap_node.h"

/* Where an address belongs. */
struct spot {
	const struct imap_leaf *leaf;
	unsigned n; /* entries of the leaf that begin at or below the address */
	struct imap_end end;
};

/* The map is not empty. */
static inline struct spot locate(const struct imap *map, uint64_t at)
{
	const void *node = map->root;
	struct spot s = { 0 };

	for (unsigned level = 0; level < map->height; level++) {
		const struct imap_inner *in = node;
		unsigned i = inner_slot(in, at);

		s.end = child_end(in, i, s.end);
		node = in->child[i];
	}
	s.leaf = node;
	s.n = keys_le(s.leaf->start, &s.leaf->n, at);
	return s;
}

static inline void copy_out(const struct imap *map, const struct imap_leaf *leaf, unsigned slot,
			    struct imap_entry *out)
{
	out->start = leaf->start[slot];
	out->last = leaf->rec[slot].last;
	out->value = leaf->rec[slot].value;
	out->leaf = leaf;
	out->edits = map->edits;
	out->slot = slot;
}

/* The entry in @slot of the leaf of @s, or the first beyond the leaf; if it begins by @last. */
static bool take(const struct imap *map, struct spot *s, unsigned slot, uint64_t last,
		 struct imap_entry *out)
{
	if (slot >= s->leaf->n) {
		if (!s->end.set || s->end.start > last)
			return false;
		*s = locate(map, s->end.start);
		slot = s->n - 1; /* I2 */
	}
	if (s->leaf->start[slot] > last)
		return false;
	copy_out(map, s->leaf, slot, out);
	return true;
}

bool imap_find(const struct imap *map, uint64_t at, struct imap_entry *out)
{
	const void *node = map->root;
	const struct imap_leaf *leaf;
	unsigned n;

	if (!node)
		return false;
	for (unsigned level = 0; level < map->height; level++) {
		const struct imap_inner *in = node;

		node = in->child[inner_slot(in, at)];
	}
	leaf = node;
	n = keys_le(leaf->start, &leaf->n, at);
	if (!n || leaf->rec[n - 1].last < at)
		return false;
	copy_out(map, leaf, n - 1, out);
	return true;
}

bool imap_first(const struct imap *map, uint64_t start, uint64_t last, struct imap_entry *out)
{
	struct spot s;

	if (!map->root)
		return false;
	s = locate(map, start);
	if (s.n && s.leaf->rec[s.n - 1].last >= start) {
		copy_out(map, s.leaf, s.n - 1, out);
		return true;
	}
	return take(map, &s, s.n, last, out);
}

bool imap_next(const struct imap *map, uint64_t last, struct imap_entry *e)
{
	struct spot s;

	if (e->edits == map->edits && e->slot + 1 < e->leaf->n) {
		if (e->leaf->start[e->slot + 1] > last)
			return false;
		copy_out(map, e->leaf, e->slot + 1, e);
		return true;
	}
	if (!map->root)
		return false;
	s = locate(map, e->start);
	return take(map, &s, s.n, last, e);
}

bool imap_before(const struct imap *map, uint64_t at, struct imap_entry *out)
{
	struct spot s;

	if (!map->root || !at)
		return false;
	s = locate(map, at - 1);
	if (!s.n)
		return false;
	copy_out(map, s.leaf, s.n - 1, out);
	return true;
}

bool imap_set_value(struct imap *map, uint64_t start, void *value)
{
	struct imap_entry e;

	if (!imap_find(map, start, &e) || e.start != start)
		return false;
	((struct imap_leaf *)e.leaf)->rec[e.slot].value = value;
	return true;
}

size_t imap_bytes(const struct imap *map)
{
	return map->leaves.bytes + map->inners.bytes;
}

struct check {
	const struct imap *map;
	size_t leaves, inners, entries;
	bool any; /* @last is that of an entry before */
	uint64_t last;
};

static void check_leaf(struct check *c, const struct imap_leaf *leaf, struct imap_end end,
		       struct imap_room *exact)
{
	c->leaves++;
	c->entries += leaf->n;
	(void)BUG_ON(leaf->n == 0 || leaf->n > LEAF_MAX); /* I4 */
	for (unsigned i = 0; i < KEYS; i++) {
		if (i >= leaf->n) {
			(void)BUG_ON(leaf->start[i] != UINT64_MAX); /* I3 */
			continue;
		}
		(void)BUG_ON(leaf->start[i] > leaf->rec[i].last);  /* I1 */
		(void)BUG_ON(c->any && leaf->start[i] <= c->last); /* I1 */
		c->any = true;
		c->last = leaf->rec[i].last;
	}
	(void)BUG_ON(end.set && end.start <= c->last); /* I2 */
	imap_leaf_room(leaf, 0, leaf->n, end, exact);
}

/* Puts into @exact what the gaps below @node offer. */
static void check_node(struct check *c, const void *node, unsigned level, struct imap_end end,
		       struct imap_room *exact)
{
	const struct imap_inner *in = node;

	if (level == c->map->height) {
		check_leaf(c, node, end, exact);
		return;
	}
	c->inners++;
	(void)BUG_ON(in->n == 0 || in->n > INNER_MAX); /* I4 */
	(void)BUG_ON(level == 0 && in->n == 1);        /* I4 */
	for (unsigned i = in->n; i < KEYS; i++)
		(void)BUG_ON(in->key[i] != UINT64_MAX); /* I3 */
	for (unsigned i = 0; i < in->n; i++) {
		const struct imap_inner *child = in->child[i];
		const struct imap_leaf *leaf = in->child[i];
		struct imap_room below = { 0 }, held = { 0 };
		bool is_leaf = level + 1 == c->map->height;

		(void)BUG_ON(in->key[i] != (is_leaf ? leaf->start[0] : child->key[0])); /* I2 */
		check_node(c, child, level + 1, child_end(in, i, end), &below);
		held = below;
		if (!is_leaf)
			imap_inner_room(child, &held);
		for (unsigned k = 0; k < ROOM_CLASSES; k++) {
			(void)BUG_ON(in->room[i].r[k] < held.r[k]);                 /* I5 */
			(void)BUG_ON(k && in->room[i].r[k] > in->room[i].r[k - 1]); /* I6 */
		}
		room_max(exact, &below);
	}
}

void imap_check(const struct imap *map)
{
	struct check c = { .map = map };
	struct imap_room exact = { 0 };
	unsigned spares = 0;

	for (const struct imap_inner *in = map->spare_inners; in; in = in->child[0])
		spares++;
	(void)BUG_ON(spares != map->nspare_inners);
	(void)BUG_ON(map->height > HEIGHT_MAX);
	if (map->root)
		check_node(&c, map->root, 0, (struct imap_end){ 0 }, &exact);
	(void)BUG_ON(c.entries != map->count);
	(void)BUG_ON(c.leaves + !!map->spare_leaf != map->leaves.used);
	(void)BUG_ON(c.inners + spares != map->inners.used);
}
