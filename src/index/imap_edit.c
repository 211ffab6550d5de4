// SPDX-License-Identifier: MIT
/*
 * Interval map: how do nodes split, fill up and merge as intervals come and go?
 *
 * A full leaf first gives entries to a neighbour with room to spare, which keeps leaves about four
 * fifths full in random order; the last leaf of all splits off an empty one, which keeps them full
 * in ascending order. A node that falls to a quarter merges with a neighbour if both fit with room
 * to spare. Only a split needs memory; it takes all its nodes before it changes anything.
 */
#include "index/imap.h"

#include <errno.h>
#include <string.h>

#include "base/why.h"
#include "index/imap_node.h"

#define LEAF_TAKES   26u /* a leaf with at most this takes entries in */
#define LEAF_MERGED  23u /* merging makes none that has more */
#define LEAF_SPARSE  7u  /* one with at most this seeks to merge */
#define INNER_MERGED 24u
#define INNER_SPARSE 8u

/* The way from the root down to a leaf. */
struct path {
	struct imap_inner *node[HEIGHT_MAX];
	unsigned idx[HEIGHT_MAX]; /* which child the way takes */
	struct imap_leaf *leaf;
	struct imap_end end;
};

static struct imap_leaf *take_leaf(struct imap *map)
{
	struct imap_leaf *leaf = map->spare_leaf;

	map->spare_leaf = NULL;
	leaf->n = 0;
	memset(leaf->start, 0xff, sizeof(leaf->start)); /* I3 */
	return leaf;
}

static struct imap_inner *take_inner(struct imap *map)
{
	struct imap_inner *in = map->spare_inners;

	map->spare_inners = in->child[0];
	map->nspare_inners--;
	in->n = 0;
	memset(in->key, 0xff, sizeof(in->key)); /* I3 */
	return in;
}

/* Has a leaf and @ninners inner nodes in reserve; 0 or -ENOMEM. */
static int reserve(struct imap *map, unsigned ninners)
{
	if (!map->spare_leaf)
		map->spare_leaf = pool_get(&map->leaves);
	if (!map->spare_leaf)
		goto err;
	while (map->nspare_inners < ninners) {
		struct imap_inner *in = pool_get(&map->inners);

		if (!in)
			goto err;
		in->child[0] = map->spare_inners;
		map->spare_inners = in;
		map->nspare_inners++;
	}
	return 0;
err:
	return refuse(ENOMEM, "no memory for a node of the map of %zu intervals", map->count);
}

static void descend(const struct imap *map, uint64_t at, struct path *p)
{
	void *node = map->root;

	p->end.set = false;
	for (unsigned l = 0; l < map->height; l++) {
		struct imap_inner *in = node;
		unsigned i = inner_slot(in, at);

		p->node[l] = in;
		p->idx[l] = i;
		p->end = child_end(in, i, p->end);
		node = in->child[i];
		/* The bounds above the leaf and all of the leaf: an edit needs most of them. */
		if (l + 1 == map->height) {
			prefetch(&in->room[i], sizeof(in->room[i]));
			prefetch(node, sizeof(struct imap_leaf));
		} else if (l + 2 == map->height) {
			prefetch(node, offsetof(struct imap_inner, room));
		}
	}
	p->leaf = node;
}

/* Raises the bounds from @level of @p upwards, as far as they do not know of @room. */
static void raise_path(const struct path *p, unsigned levels, const struct imap_room *room)
{
	while (levels-- > 0)
		if (!room_max(&p->node[levels]->room[p->idx[levels]], room))
			return;
}

/* The first start below child idx of node[level - 1] is now @first: keys above follow (I2). */
static void follow_first(const struct path *p, unsigned level, uint64_t first)
{
	while (level-- > 0) {
		p->node[level]->key[p->idx[level]] = first;
		if (p->idx[level])
			return;
	}
}

/* Moves @k entries from slot @from of @src to slot @to of @dst; both stay sorted and packed. */
static void leaf_move(struct imap_leaf *dst, unsigned to, struct imap_leaf *src, unsigned from,
		      unsigned k)
{
	memmove(dst->start + to + k, dst->start + to, (dst->n - to) * sizeof(dst->start[0]));
	memmove(dst->rec + to + k, dst->rec + to, (dst->n - to) * sizeof(dst->rec[0]));
	memcpy(dst->start + to, src->start + from, k * sizeof(dst->start[0]));
	memcpy(dst->rec + to, src->rec + from, k * sizeof(dst->rec[0]));
	dst->n += k;
	src->n -= k;
	memmove(src->start + from, src->start + from + k, (src->n - from) * sizeof(src->start[0]));
	memmove(src->rec + from, src->rec + from + k, (src->n - from) * sizeof(src->rec[0]));
	memset(src->start + src->n, 0xff, k * sizeof(src->start[0])); /* I3 */
}

static void leaf_insert(struct imap_leaf *leaf, unsigned slot, uint64_t start, struct imap_rec rec)
{
	unsigned n = leaf->n++ - slot;

	memmove(leaf->start + slot + 1, leaf->start + slot, n * sizeof(leaf->start[0]));
	memmove(leaf->rec + slot + 1, leaf->rec + slot, n * sizeof(leaf->rec[0]));
	leaf->start[slot] = start;
	leaf->rec[slot] = rec;
}

/* Moves @k children from slot @from of @src behind those of @dst. */
static void inner_move(struct imap_inner *dst, struct imap_inner *src, unsigned from, unsigned k)
{
	memcpy(dst->key + dst->n, src->key + from, k * sizeof(dst->key[0]));
	memcpy(dst->child + dst->n, src->child + from, k * sizeof(dst->child[0]));
	memcpy(dst->room + dst->n, src->room + from, k * sizeof(dst->room[0]));
	dst->n += k;
	src->n -= k;
	memmove(src->key + from, src->key + from + k, (src->n - from) * sizeof(src->key[0]));
	memmove(src->child + from, src->child + from + k, (src->n - from) * sizeof(src->child[0]));
	memmove(src->room + from, src->room + from + k, (src->n - from) * sizeof(src->room[0]));
	memset(src->key + src->n, 0xff, k * sizeof(src->key[0])); /* I3 */
}

static void inner_insert(struct imap_inner *in, unsigned i, uint64_t key, void *child,
			 const struct imap_room *room)
{
	unsigned n = in->n++ - i;

	memmove(in->key + i + 1, in->key + i, n * sizeof(in->key[0]));
	memmove(in->child + i + 1, in->child + i, n * sizeof(in->child[0]));
	memmove(in->room + i + 1, in->room + i, n * sizeof(in->room[0]));
	in->key[i] = key;
	in->child[i] = child;
	in->room[i] = *room;
}

static void inner_remove(struct imap_inner *in, unsigned i)
{
	unsigned n = --in->n - i;

	memmove(in->key + i, in->key + i + 1, n * sizeof(in->key[0]));
	memmove(in->child + i, in->child + i + 1, n * sizeof(in->child[0]));
	memmove(in->room + i, in->room + i + 1, n * sizeof(in->room[0]));
	in->key[in->n] = UINT64_MAX; /* I3 */
}

/* What a split leaves to be told to the level above. */
struct split {
	void *right; /* the new node */
	uint64_t key;
	struct imap_room lroom, rroom;
};

/* A full inner node makes room for @s->right behind child @i; @s becomes its own split. */
static void inner_split(struct imap *map, struct imap_inner *in, unsigned i, bool rightmost,
			struct split *s)
{
	struct imap_inner *right = take_inner(map);
	unsigned keep = rightmost && i + 1 == INNER_MAX ? INNER_MAX : INNER_MAX / 2;

	inner_move(right, in, keep, INNER_MAX - keep);
	if (i + 1 <= keep && keep < INNER_MAX)
		inner_insert(in, i + 1, s->key, s->right, &s->rroom);
	else
		inner_insert(right, i + 1 - keep, s->key, s->right, &s->rroom);
	memset(&s->lroom, 0, sizeof(s->lroom));
	memset(&s->rroom, 0, sizeof(s->rroom));
	imap_inner_room(in, &s->lroom);
	imap_inner_room(right, &s->rroom);
	s->right = right;
	s->key = right->key[0];
}

/* Hangs the right half of the leaf of @p into the tree. The nodes needed are reserved. */
static void attach(struct imap *map, const struct path *p, struct split *s)
{
	struct imap_inner *root;
	uint64_t first = p->leaf->start[0];

	for (unsigned l = map->height; l-- > 0;) {
		struct imap_inner *in = p->node[l];
		bool rightmost = true;

		in->room[p->idx[l]] = s->lroom;
		if (in->n < INNER_MAX) {
			inner_insert(in, p->idx[l] + 1, s->key, s->right, &s->rroom);
			return;
		}
		for (unsigned up = 0; up < l; up++)
			rightmost &= p->idx[up] + 1 == p->node[up]->n;
		inner_split(map, in, p->idx[l], rightmost, s);
		first = in->key[0];
	}
	root = take_inner(map);
	inner_insert(root, 0, first, map->root, &s->lroom);
	inner_insert(root, 1, s->key, s->right, &s->rroom);
	map->root = root;
	map->height++;
}

/* A full leaf hands entries to a neighbour below the same parent. Moves *@slot along with them. */
static bool leaf_shift(const struct imap *map, struct path *p, unsigned *slot)
{
	struct imap_leaf *leaf = p->leaf, *left, *right;
	struct imap_inner *in;
	unsigned i, k, was;

	if (!map->height)
		return false;
	in = p->node[map->height - 1];
	i = p->idx[map->height - 1];
	left = i ? in->child[i - 1] : NULL;
	right = i + 1 < in->n ? in->child[i + 1] : NULL;
	if (left && left->n <= LEAF_TAKES) {
		was = left->n;
		k = (leaf->n - was) / 2;
		leaf_move(left, was, leaf, 0, k);
		in->key[i] = leaf->start[0];
		imap_leaf_room(left, was, left->n, (struct imap_end){ true, in->key[i] },
			       &in->room[i - 1]);
		if (*slot <= k) { /* stays with its predecessor, whose bound covers it (I5) */
			p->leaf = left;
			*slot += was;
		} else {
			*slot -= k;
		}
		return true;
	}
	if (right && right->n <= LEAF_TAKES) {
		k = (leaf->n - right->n) / 2;
		leaf_move(right, 0, leaf, leaf->n - k, k);
		in->key[i + 1] = right->start[0];
		imap_leaf_room(right, 0, k, (struct imap_end){ 0 }, &in->room[i + 1]);
		if (*slot > leaf->n) {
			p->leaf = right;
			*slot -= leaf->n;
		}
		return true;
	}
	return false;
}

/* Splits a full leaf. Moves *@slot along; the new entry's predecessor is in the same leaf. */
static int leaf_split(struct imap *map, struct path *p, unsigned *slot)
{
	struct imap_leaf *leaf = p->leaf, *right;
	struct split s = { 0 };
	unsigned full = 0;
	int rc;

	while (full < map->height && p->node[map->height - 1 - full]->n == INNER_MAX)
		full++;
	if (BUG_ON(map->height == HEIGHT_MAX))
		return refuse(ENOMEM, "the map of %zu intervals is too high", map->count);
	rc = reserve(map, full + (full == map->height));
	if (rc)
		return rc;
	right = take_leaf(map);
	leaf_move(right, 0, leaf, LEAF_MAX / 2, LEAF_MAX - LEAF_MAX / 2);
	s.right = right;
	s.key = right->start[0];
	imap_leaf_room(leaf, 0, leaf->n, (struct imap_end){ true, s.key }, &s.lroom);
	imap_leaf_room(right, 0, right->n, p->end, &s.rroom);
	attach(map, p, &s);
	if (*slot > leaf->n) {
		p->leaf = right;
		*slot -= leaf->n;
	}
	return 0;
}

/* The new last entry of all begins a leaf of its own. */
static int leaf_append(struct imap *map, struct path *p, uint64_t start, struct imap_rec rec)
{
	struct split s = { .key = start };
	struct imap_leaf *right;
	int rc = reserve(map, map->height + 1);

	if (rc)
		return rc;
	right = take_leaf(map);
	leaf_insert(right, 0, start, rec);
	s.right = right;
	imap_leaf_room(p->leaf, 0, p->leaf->n, (struct imap_end){ true, start }, &s.lroom);
	imap_leaf_room(right, 0, 1, p->end, &s.rroom);
	attach(map, p, &s);
	return 0;
}

/* A new first entry of all: keys and, as its gap was nobody's before, bounds down to it. */
static void first_changed(const struct imap *map, const struct path *p)
{
	const void *node = map->root;
	struct imap_room room = { 0 };

	imap_leaf_room(p->leaf, 0, 1, p->end, &room);
	for (unsigned l = 0; l < map->height; l++) {
		struct imap_inner *in = (struct imap_inner *)node;

		in->key[0] = p->leaf->start[0];
		room_max(&in->room[0], &room);
		node = in->child[0];
	}
}

void imap_init(struct imap *map)
{
	memset(map, 0, sizeof(*map));
	pool_init(&map->leaves, sizeof(struct imap_leaf));
	pool_init(&map->inners, sizeof(struct imap_inner));
}

static void put_below(struct imap *map, void *node, unsigned levels)
{
	struct imap_inner *in = node;

	if (!levels) {
		pool_put(&map->leaves, node);
		return;
	}
	for (unsigned i = 0; i < in->n; i++)
		put_below(map, in->child[i], levels - 1);
	pool_put(&map->inners, in);
}

void imap_finish(struct imap *map)
{
	if (map->root)
		put_below(map, map->root, map->height);
	if (map->spare_leaf)
		pool_put(&map->leaves, map->spare_leaf);
	while (map->spare_inners)
		pool_put(&map->inners, take_inner(map));
	pool_finish(&map->leaves);
	pool_finish(&map->inners);
	imap_init(map);
}

int imap_reserve(struct imap *map)
{
	return reserve(map, map->height + 1);
}

int imap_insert(struct imap *map, uint64_t start, uint64_t last, void *value)
{
	struct imap_rec rec = { last, value };
	unsigned slot, at;
	struct path p;
	int rc;

	if (BUG_ON(start > last))
		return refuse(EINVAL, "interval 0x%llx-0x%llx ends before it begins",
			      (unsigned long long)start, (unsigned long long)last);
	if (!map->root) {
		rc = reserve(map, 0);
		if (rc)
			return rc;
		map->root = take_leaf(map);
	}
	descend(map, start, &p);
	at = slot = keys_le(p.leaf->start, &p.leaf->n, start);
	if (BUG_ON((slot && p.leaf->rec[slot - 1].last >= start) ||
		   (slot < p.leaf->n ? p.leaf->start[slot] <= last
				     : p.end.set && p.end.start <= last)))
		return refuse(EEXIST, "interval 0x%llx-0x%llx meets another",
			      (unsigned long long)start, (unsigned long long)last);
	if (p.leaf->n == LEAF_MAX && !leaf_shift(map, &p, &slot)) {
		bool append = slot == LEAF_MAX && !p.end.set;

		rc = append ? leaf_append(map, &p, start, rec) : leaf_split(map, &p, &slot);
		if (rc)
			return rc;
		if (append)
			goto done;
	}
	leaf_insert(p.leaf, slot, start, rec);
	if (!at)
		first_changed(map, &p);
done:
	map->count++;
	map->edits++;
	return 0;
}

/* The gap behind the predecessor of slot @i is about to swallow what is up to @g1. */
static void gap_grows(const struct imap *map, const struct path *p, unsigned i, uint64_t g1)
{
	unsigned l = map->height;
	struct imap_room room;
	struct path prev;
	void *node;

	if (i) {
		room_of(&room, p->leaf->rec[i - 1].last + 1, g1);
		raise_path(p, map->height, &room);
		return;
	}
	/* The predecessor is the last of the leaf before. */
	while (l > 0 && p->idx[l - 1] == 0)
		l--;
	if (!l)
		return; /* there is none: the gap is nobody's (I5) */
	memcpy(prev.node, p->node, l * sizeof(prev.node[0]));
	memcpy(prev.idx, p->idx, l * sizeof(prev.idx[0]));
	node = prev.node[l - 1]->child[--prev.idx[l - 1]];
	for (; l < map->height; l++) {
		prev.node[l] = node;
		prev.idx[l] = prev.node[l]->n - 1;
		node = prev.node[l]->child[prev.idx[l]];
	}
	prev.leaf = node;
	room_of(&room, prev.leaf->rec[prev.leaf->n - 1].last + 1, g1);
	raise_path(&prev, map->height, &room);
}

/* Puts child @i + 1 of @in into child @i if that leaves room to spare. */
static bool merge(struct imap *map, struct imap_inner *in, unsigned i, bool leaves)
{
	if (i + 1 >= in->n)
		return false;
	if (leaves) {
		struct imap_leaf *left = in->child[i], *right = in->child[i + 1];

		if (left->n + right->n > LEAF_MERGED)
			return false;
		leaf_move(left, left->n, right, 0, right->n);
		pool_put(&map->leaves, right);
	} else {
		struct imap_inner *left = in->child[i], *right = in->child[i + 1];

		if (left->n + right->n > INNER_MERGED)
			return false;
		inner_move(left, right, 0, right->n);
		pool_put(&map->inners, right);
	}
	room_max(&in->room[i], &in->room[i + 1]);
	inner_remove(in, i + 1);
	return true;
}

/* The leaf of @p has become sparse: it, and what becomes sparse by that, is merged or freed. */
static void give_back(struct imap *map, const struct path *p)
{
	void *node = p->leaf;
	unsigned n = p->leaf->n;
	struct imap_inner *in;

	for (unsigned l = map->height; l-- > 0;) {
		bool leaves = l + 1 == map->height;
		unsigned i = p->idx[l];

		in = p->node[l];
		if (!n) {
			pool_put(leaves ? &map->leaves : &map->inners, node);
			inner_remove(in, i);
			if (!i && in->n)
				follow_first(p, l, in->key[0]);
		} else if (!(i && merge(map, in, i - 1, leaves)) && !merge(map, in, i, leaves)) {
			break;
		}
		node = in;
		n = in->n;
		if (n > INNER_SPARSE)
			break;
	}
	while (map->height) {
		in = map->root;
		if (in->n != 1)
			return;
		map->root = in->child[0];
		map->height--;
		pool_put(&map->inners, in);
	}
}

void *imap_erase(struct imap *map, uint64_t start)
{
	struct imap_leaf *leaf;
	struct path p;
	unsigned i, n;
	uint64_t g1;
	void *value;

	if (!map->root)
		return NULL;
	descend(map, start, &p);
	leaf = p.leaf;
	i = keys_le(leaf->start, &leaf->n, start);
	if (!i || leaf->start[i - 1] != start)
		return NULL;
	i--;
	value = leaf->rec[i].value;
	g1 = i + 1 < leaf->n ? leaf->start[i + 1] - 1 : p.end.set ? p.end.start - 1 : UINT64_MAX;
	gap_grows(map, &p, i, g1);

	n = --leaf->n;
	memmove(leaf->start + i, leaf->start + i + 1, (n - i) * sizeof(leaf->start[0]));
	memmove(leaf->rec + i, leaf->rec + i + 1, (n - i) * sizeof(leaf->rec[0]));
	leaf->start[n] = UINT64_MAX; /* I3 */
	map->count--;
	map->edits++;
	if (!map->count) { /* I4: then the leaf is the root */
		pool_put(&map->leaves, leaf);
		map->root = NULL;
		return value;
	}
	if (!i && n)
		follow_first(&p, map->height, leaf->start[0]);
	if (n <= LEAF_SPARSE)
		give_back(map, &p);
	return value;
}
