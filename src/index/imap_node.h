/* SPDX-License-Identifier: MIT */
/*
 * The nodes of an interval map: what lies where, and how a key finds its way down.
 *
 * I1 entries ascend and do not meet each other.
 * I2 key[i] of an inner node is exactly the start of the first entry below child[i].
 * I3 keys from n on are UINT64_MAX, so that a search need not look at n.
 * I4 only the root may be an empty node; the root is no inner node with one child.
 * I5 the gap behind an entry, up to the next entry or to 2^64 - 1, belongs to that entry and to the
 *    nodes above it. (That before the first entry belongs to nobody.) room[i] of an inner node is
 *    an upper bound of what the gaps below child[i] offer, class by class, and at least the bounds
 *    in child[i].
 * I6 within one room the classes do not ascend.
 *
 * Bounds: an insertion splits a gap, so what it leaves true stays true; only a new first entry adds
 * a gap. An erasure raises the bounds over the merged gap. Splitting a leaf and a search that
 * believed a bound in vain lower them to what is true.
 */
#ifndef INDEX_IMAP_NODE_H
#define INDEX_IMAP_NODE_H

#include "base/bits.h"
#include "index/imap.h"

#define LEAF_MAX   31u
#define INNER_MAX  32u
#define KEYS       32u
#define HEIGHT_MAX 16u

/*
 * What a gap [g0, g1] offers: g1 - p, where p is g0 rounded: down to a page, not at all, up to
 * 2^12, up to 2^13 ... 2^21. 0 when p is beyond g1; as no request needs less than 1, that is no
 * loss.
 */
#define ROOM_PAGE    0u
#define ROOM_RAW     1u
#define ROOM_ALIGNED 2u
#define ROOM_CLASSES 12u

struct imap_room {
	uint64_t r[ROOM_CLASSES];
};

struct imap_rec {
	uint64_t last;
	void *value;
};

struct imap_leaf {
	uint32_t n;
	uint64_t start[KEYS]; /* the last one is only there for keys_le() */
	uint64_t unused;      /* puts no record across two cache lines */
	struct imap_rec rec[LEAF_MAX];
} ALIGNED(CACHELINE);

struct imap_inner {
	uint32_t n;
	uint64_t key[KEYS];
	void *child[INNER_MAX];
	struct imap_room room[INNER_MAX] ALIGNED(32);
} ALIGNED(CACHELINE);

_Static_assert(sizeof(struct imap_leaf) == 12 * CACHELINE, "leaf grew");

/*
 * How many keys are <= @x. Three probes choose eight neighbours, which are counted without a
 * branch: on a cold node all cache lines are asked for at once.
 */
static inline unsigned keys_le(const uint64_t *key, const uint32_t *n, uint64_t x)
{
	unsigned c = 8u * ((key[7] <= x) + (key[15] <= x) + (key[23] <= x));
	const uint64_t *k = key + c;

	c += (unsigned)((k[0] <= x) + (k[1] <= x) + (k[2] <= x) + (k[3] <= x) + (k[4] <= x) +
			(k[5] <= x) + (k[6] <= x) + (k[7] <= x));
	return unlikely(x == UINT64_MAX) && c > *n ? *n : c; /* I3 */
}

/* Asks for all cache lines of [p, p + len) at once, rather than one after the other as needed. */
static inline void prefetch(const void *p, size_t len)
{
	for (size_t at = 0; at < len; at += CACHELINE)
		__builtin_prefetch((const char *)p + at);
	__builtin_prefetch((const char *)p + len - 1);
}

/* The child of @in that @x belongs to. */
static inline unsigned inner_slot(const struct imap_inner *in, uint64_t x)
{
	unsigned c = keys_le(in->key, &in->n, x);

	return c ? c - 1 : 0;
}

/* Where a node's last gap ends: before @start, when @set; else at 2^64 - 1. */
struct imap_end {
	bool set;
	uint64_t start; /* of the first entry beyond the node */
};

/* The end of child @i of @in, whose own is @end. */
static inline struct imap_end child_end(const struct imap_inner *in, unsigned i,
					struct imap_end end)
{
	return i + 1 < in->n ? (struct imap_end){ true, in->key[i + 1] } : end;
}

/* The gap behind entry @i of @leaf; false when there is none. */
static inline bool leaf_gap(const struct imap_leaf *leaf, unsigned i, struct imap_end end,
			    uint64_t *g0, uint64_t *g1)
{
	uint64_t next;

	if (i + 1 < leaf->n)
		next = leaf->start[i + 1];
	else if (end.set)
		next = end.start;
	else
		next = 0; /* 2^64 */
	*g0 = leaf->rec[i].last + 1;
	*g1 = next - 1;
	return *g0 != next;
}

/* Raises @room to what [g0, g1] offers. Keeps I6. */
static inline void room_raise(struct imap_room *room, uint64_t g0, uint64_t g1)
{
	uint64_t floor = g1 - align_down(g0, PAGE_SIZE);

	if (floor > room->r[ROOM_PAGE])
		room->r[ROOM_PAGE] = floor;
	/* From the strictest down, as long as the gap as a whole is more than what is known (I6).
	 */
	for (unsigned c = ROOM_CLASSES - 1; c >= ROOM_RAW && g1 - g0 > room->r[c]; c--) {
		uint64_t mask = c == ROOM_RAW ? 0 : (PAGE_SIZE << (c - ROOM_ALIGNED)) - 1;
		uint64_t up = (0 - g0) & mask; /* to the next multiple */

		if (up <= g1 - g0 && g1 - g0 - up > room->r[c])
			room->r[c] = g1 - g0 - up;
	}
}

/* What [g0, g1] offers. */
static inline void room_of(struct imap_room *room, uint64_t g0, uint64_t g1)
{
	uint64_t len = g1 - g0;

	room->r[ROOM_PAGE] = g1 - align_down(g0, PAGE_SIZE);
	room->r[ROOM_RAW] = len;
	for (unsigned c = ROOM_ALIGNED; c < ROOM_CLASSES; c++) {
		uint64_t up = (0 - g0) & ((PAGE_SIZE << (c - ROOM_ALIGNED)) - 1);

		room->r[c] = up <= len ? len - up : 0;
	}
}

/* Raises @room to @by; whether that changed it. */
static inline bool room_max(struct imap_room *room, const struct imap_room *by)
{
	uint64_t changed = 0;

	for (unsigned c = 0; c < ROOM_CLASSES; c++) {
		uint64_t was = room->r[c], now = max_u64(was, by->r[c]);

		changed |= was ^ now;
		room->r[c] = now;
	}
	return changed;
}

/* Raises @room to what entries [from, to) of @leaf offer. */
void imap_leaf_room(const struct imap_leaf *leaf, unsigned from, unsigned to, struct imap_end end,
		    struct imap_room *room);

/* Raises @room to the bounds in @in. */
void imap_inner_room(const struct imap_inner *in, struct imap_room *room);

#endif
