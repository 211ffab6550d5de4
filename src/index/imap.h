/* SPDX-License-Identifier: MIT */
/*
 * Map from intervals [start, last] that do not overlap to pointers, for a million of them.
 *
 * A B+tree from memory pools of its own: a lookup touches one node per level (four levels at a
 * million), and a search for free room is logarithmic too, because every inner entry knows how
 * large a gap may be found below it. About 36 bytes per interval.
 *
 * The caller locks: imap_find(), _first(), _next(), _before() only read and may run together;
 * everything else, imap_find_gap() included (it tightens what it learnt), needs the map alone.
 */
#ifndef INDEX_IMAP_H
#define INDEX_IMAP_H

#include "base/compiler.h"
#include "base/pool.h"

struct imap_leaf;
struct imap_inner;

struct imap {
	void *root;         /* leaf when height is 0; NULL: empty */
	unsigned height;    /* levels of inner nodes */
	size_t count;       /* intervals */
	uint64_t edits;     /* insertions and erasures so far: tells an entry that it is stale */
	struct pool leaves; /* struct imap_leaf */
	struct pool inners; /* struct imap_inner */
	struct imap_leaf *spare_leaf; /* reserved nodes, so that a split cannot fail half-way */
	struct imap_inner *spare_inners;
	unsigned nspare_inners;
};

/* A copy of one interval; the last three say where it was found, so that imap_next() is cheap. */
struct imap_entry {
	uint64_t start, last;
	void *value;
	const struct imap_leaf *leaf;
	uint64_t edits;
	unsigned slot;
};

void imap_init(struct imap *map);

/* Drops whatever intervals are left (not what they point to) and all memory. */
void imap_finish(struct imap *map);

static inline bool imap_empty(const struct imap *map)
{
	return !map->count;
}

/**
 * imap_reserve() - make sure that the next imap_insert() cannot fail
 *
 * Holds for one insertion; erasures in between do no harm.
 *
 * Return: 0; -ENOMEM, map unchanged
 */
int imap_reserve(struct imap *map);

/**
 * imap_insert() - add an interval
 * @start: first address
 * @last:  last address, >= @start; [start, last] meets no interval of the map
 * @value: what the map gives back
 *
 * Return: 0; -ENOMEM, map unchanged; -EEXIST an overlap or -EINVAL @last < @start (both are bugs of
 *         the caller), map unchanged
 */
int imap_insert(struct imap *map, uint64_t start, uint64_t last, void *value);

/* Removes the interval that begins at @start; its value, NULL when there is none. Never fails for
 * want of memory, allocates nothing, and gives nodes back as they run empty. */
void *imap_erase(struct imap *map, uint64_t start);

/* Replaces the value of the interval that begins at @start; false when there is none. */
bool imap_set_value(struct imap *map, uint64_t start, void *value);

/* The interval that contains @at. */
bool imap_find(const struct imap *map, uint64_t at, struct imap_entry *out);

/* The lowest interval that meets [start, last]. */
bool imap_first(const struct imap *map, uint64_t start, uint64_t last, struct imap_entry *out);

/* Moves @e to the interval that follows it, if that begins at or below @last. The map may have
 * changed since @e was found, @e itself may be gone: what follows @e->start is meant. */
bool imap_next(const struct imap *map, uint64_t last, struct imap_entry *e);

/* The highest interval that begins below @at. */
bool imap_before(const struct imap *map, uint64_t at, struct imap_entry *out);

/* Visits what meets [first, end] upwards; @e is a struct imap_entry of the caller. The body may
 * insert and erase. */
#define imap_for_each(e, map, first, end) \
	for (bool more_ = imap_first(map, first, end, e); more_; more_ = imap_next(map, end, e))

/*
 * What imap_find_gap() looks for. A gap [g0, g1] is cut to [lo, hi]; then
 * p = roundup(g0, align) | off, and it fits when nothing wraps, p < g1 and g1 - p >= len - 1.
 */
struct imap_gap_req {
	uint64_t lo, hi; /* inclusive, lo <= hi */
	uint64_t len;    /* bytes, not 0 */
	uint64_t align;  /* power of two */
	uint64_t off;    /* below 4096; bits that are set in the answer */
};

/**
 * imap_find_gap() - lowest free place
 * @req: see there
 * @out: p of the lowest gap that fits
 *
 * Logarithmic, amortised over the insertions and erasures since, for alignments up to 2 MiB.
 * (Alignments below 4 KiB in a map whose gaps begin within pages, and larger alignments, may
 * look at gaps in vain.)
 *
 * Locks:  the map alone, as for an insertion
 * Return: whether there is one; @out is untouched when not
 */
bool imap_find_gap(struct imap *map, const struct imap_gap_req *req, uint64_t *out);

/* Bytes of memory that the map holds. */
size_t imap_bytes(const struct imap *map);

/* Asserts every invariant. O(n), for tests and fuzzers. */
void imap_check(const struct imap *map);

#endif
