// SPDX-License-Identifier: MIT
/*
 * Interval map: where is the lowest gap that a request fits into?
 *
 * The gaps are tried from the bottom, but whole subtrees are passed over whose bounds (I5 in
 * imap_node.h) say that none of theirs will do. A subtree that was entered in vain gets the bounds
 * that it deserves, so it is not entered in vain again until an erasure raises them: each vain
 * visit is paid for by the insertions that narrowed the gaps there.
 */
#include "index/imap.h"

#include <string.h>

#include "index/imap_node.h"

struct search {
	const struct imap_gap_req *req;
	/* A subtree is worth entering only if both of these classes offer enough. */
	unsigned class1, class2;
	uint64_t need1, need2;
	uint64_t found;
};

void imap_leaf_room(const struct imap_leaf *leaf, unsigned from, unsigned to, struct imap_end end,
		    struct imap_room *room)
{
	uint64_t g0, g1;

	for (unsigned i = from; i < to; i++)
		if (leaf_gap(leaf, i, end, &g0, &g1))
			room_raise(room, g0, g1);
}

void imap_inner_room(const struct imap_inner *in, struct imap_room *room)
{
	for (unsigned i = 0; i < in->n; i++)
		room_max(room, &in->room[i]);
}

/* The placement rule; see struct imap_gap_req. */
static bool place(struct search *s, uint64_t g0, uint64_t g1)
{
	const struct imap_gap_req *req = s->req;
	uint64_t p;

	g0 = max_u64(g0, req->lo);
	g1 = min_u64(g1, req->hi);
	if (g0 > g1 || !align_up(g0, req->align, &p))
		return false;
	p |= req->off;
	if (p >= g1 || g1 - p < req->len - 1)
		return false;
	s->found = p;
	return true;
}

/*
 * Which bounds to ask. Any fit needs p < g1, hence at least 1. From 4 KiB on, p is the rounded g0
 * plus off. Below, p may be anywhere from g0 on, but lies at least off above a page boundary that
 * is not below g0's page.
 */
static bool prepare(struct search *s)
{
	const struct imap_gap_req *req = s->req;
	uint64_t need = max_u64(req->len, 2) - 1;

	if (BUG_ON(!req->len || !is_pow2(req->align) || req->off > PAGE_MASK))
		return false;
	if (req->lo > req->hi || need > UINT64_MAX - req->off)
		return false;
	s->need1 = s->need2 = need + req->off;
	if (req->align < PAGE_SIZE) {
		s->class1 = ROOM_PAGE;
		s->class2 = ROOM_RAW;
		s->need2 = need;
		return true;
	}
	s->class1 = ROOM_ALIGNED + lowest_bit(req->align) - PAGE_LG2;
	if (s->class1 >= ROOM_CLASSES)
		s->class1 = ROOM_CLASSES - 1;
	s->class2 = s->class1;
	return true;
}

static bool search_leaf(struct search *s, const struct imap_leaf *leaf, struct imap_end end)
{
	unsigned i = keys_le(leaf->start, &leaf->n, s->req->lo);
	uint64_t g0, g1;

	for (i = i ? i - 1 : 0; i < leaf->n && leaf->start[i] <= s->req->hi; i++)
		if (leaf_gap(leaf, i, end, &g0, &g1) && place(s, g0, g1))
			return true;
	return false;
}

/* The first child of @in from @i on, below @to, whose bounds satisfy the search; else @to. */
static inline unsigned next_child(const struct search *s, const struct imap_inner *in, unsigned i,
				  unsigned to)
{
	uint64_t need1 = s->need1, need2 = s->need2;
	unsigned c1 = s->class1, c2 = s->class2;

	while (i < to && (in->room[i].r[c1] < need1 || in->room[i].r[c2] < need2))
		i++;
	return i;
}

/* Lowers class @c of @room, and with it all stricter ones (I6), to what is true of @in. */
static void tighten_class(struct imap_room *room, const struct imap_inner *in, unsigned c)
{
	uint64_t max = 0;

	for (unsigned i = 0; i < in->n; i++)
		max = max_u64(max, in->room[i].r[c]);
	for (; c < ROOM_CLASSES && room->r[c] > max; c++)
		room->r[c] = max;
}

/* Child @i of @in was entered in vain. */
static void tighten(const struct search *s, struct imap_inner *in, unsigned i, unsigned levels,
		    struct imap_end end)
{
	struct imap_room *room = &in->room[i];
	const struct imap_leaf *leaf = in->child[i];

	if (levels > 1) {
		/* Only what was asked: all classes of all children would cost more than the search.
		 */
		tighten_class(room, in->child[i], s->class1);
		if (s->class2 != s->class1)
			tighten_class(room, in->child[i], s->class2);
		return;
	}
	memset(room, 0, sizeof(*room));
	imap_leaf_room(leaf, 0, leaf->n, end, room);
}

/* @levels of inner nodes are above the leaves, @in among them. */
static bool search_inner(struct search *s, struct imap_inner *in, unsigned levels,
			 struct imap_end end)
{
	unsigned i = inner_slot(in, s->req->lo), to = keys_le(in->key, &in->n, s->req->hi);

	for (i = next_child(s, in, i, to); i < to; i = next_child(s, in, i + 1, to)) {
		struct imap_end e = child_end(in, i, end);

		if (levels > 1 ? search_inner(s, in->child[i], levels - 1, e)
			       : search_leaf(s, in->child[i], e))
			return true;
		tighten(s, in, i, levels, e);
	}
	return false;
}

bool imap_find_gap(struct imap *map, const struct imap_gap_req *req, uint64_t *out)
{
	const struct imap_end end = { 0 };
	struct search s = { .req = req };
	struct imap_inner *in = map->root;
	struct imap_leaf *leaf = map->root;
	uint64_t first;
	bool found;

	if (!prepare(&s))
		return false;
	if (!map->root) {
		found = place(&s, 0, UINT64_MAX);
	} else {
		first = map->height ? in->key[0] : leaf->start[0]; /* I2 */
		found = first && place(&s, 0, first - 1);
		if (!found)
			found = map->height ? search_inner(&s, in, map->height, end)
					    : search_leaf(&s, leaf, end);
	}
	if (found)
		*out = s.found;
	return found;
}
