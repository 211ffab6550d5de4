/* SPDX-License-Identifier: MIT */
/*
 * IO page tables: what does the rest of the engine see of them?
 *
 * A struct pt is one table in one hardware format. Its truth is its bytes in table memory: there
 * is no shadow of them, and anybody who is given the root and the memory translates the same.
 *
 * Who excludes whom
 *   pt_map, pt_unmap    the caller guarantees that no two of them run at once on overlapping
 *                       IOVA. On disjoint IOVA they need no lock at all, even inside one table.
 *   pt_dirty_read       as if it were a map or unmap of the range, but any number of them at once.
 *   pt_access           in a read-side section, with whatever else.
 *   pt_walk, pt_visit   never wait for anybody. A table that a map or unmap took out is on the
 *                       caller's gather list, and the caller frees it after the readers that
 *                       might still look at it are gone (the DMA fence).
 *   pt_init, pt_destroy alone.
 * Why this is enough: a table is installed by compare-and-swap, and taken out only by a call whose
 * range covers the table's whole span, so nobody else can be about to use it. A table that is
 * merely empty stays.
 */
#ifndef PGTABLE_PT_H
#define PGTABLE_PT_H

#include <stdatomic.h>

#include "base/compiler.h"
#include "pgtable/formats.h"

#define PT_MAX_LEVELS 6u

/* Permissions and kind of a mapping. At least one of PT_READ and PT_WRITE. */
#define PT_READ     (1u << 0)
#define PT_WRITE    (1u << 1)
#define PT_MMIO     (1u << 2) /* the output is a device's registers, not memory */
#define PT_SNOOP    (1u << 3) /* snooped whatever the device asks for, where the format has a bit */
#define PT_SMALL    (1u << 4) /* of one pt_map(): no page above the granule */
#define PT_PROT_ALL (PT_READ | PT_WRITE | PT_MMIO | PT_SNOOP | PT_SMALL)

/* Features of a table, fixed at pt_init() but for PT_FORCE_SNOOP (change it before the first map).
 */
#define PT_FORCE_SNOOP (1u << 0) /* every leaf as if mapped with PT_SNOOP */
#define PT_FORCE_WRITABLE \
	(1u << 1) /* refuse leaves without PT_WRITE (nested parents on some parts) */

/*
 * Table memory, given by the caller. A table has a pointer and an output address; the address is
 * what the entries hold. @size is a power of two and the alignment of both.
 */
struct pt_ops {
	/* Returns @size zeroed bytes and their address (below 2^52), NULL: out of memory. */
	void *(*alloc)(void *arg, size_t size, uint64_t *addr);
	/* Takes a table back, all zero again. */
	void (*free)(void *arg, void *ptr, uint64_t addr, size_t size);
	/* Pointer of a table; NULL only for an address that no alloc returned. Must be cheap. */
	void *(*to_ptr)(void *arg, uint64_t addr);
};

struct pt_config {
	const char *format;   /* name in the table of formats: "vtd" */
	unsigned levels;      /* 0: the format's usual number */
	unsigned granule_lg2; /* 0: the format's usual granule */
	unsigned iova_bits;   /* input width of the hardware, 0: all that the levels decode */
	unsigned oa_bits;     /* output width of the hardware, 0: all that the format holds */
	uint64_t pgsizes;     /* page sizes the hardware offers (bit n: 2^n bytes), 0: all */
	uint64_t first, last; /* aperture, both 0: everything the table decodes */
	unsigned features;
	const struct pt_ops *ops; /* borrowed for the table's life */
	void *ops_arg;
	bool biased;       /* pointer = address + ptr_bias, always; to_ptr is then not called */
	uint64_t ptr_bias; /* modulo 2^64 */
	bool borrow; /* use the table at @root instead of making one; never free or change it */
	uint64_t root;
};

struct pt {
	/*
	 * Address of the root table | index of its level (0 holds only leaves): one word, so that
	 * a reader without a lock always sees a matching pair.
	 */
	_Atomic uint64_t top;
	uint64_t ptr_bias;
	uint64_t oa_rsvd; /* address bits of an entry at or above the output width */
	uint64_t oa_last;
	uint64_t first, last; /* aperture of pt_map() */
	uint64_t pgsizes;     /* usable page sizes, bit n: 2^n bytes */
	uint32_t features;
	uint8_t id;          /* enum pt_format_id */
	uint8_t width;       /* IOVA bits decoded */
	uint8_t granule_lg2; /* of formats where it is a parameter of the table */
	uint8_t bits;        /* index bits per level, likewise */
	bool biased, borrowed;
	const struct pt_format *format;
	const struct pt_ops *ops;
	void *ops_arg;
	size_t root_bytes, table_bytes;
	_Atomic uint64_t ntables; /* allocated and not yet given back */
};

/*
 * What a map or unmap left to do. The caller invalidates [first, last] (with the paging-structure
 * caches when ntables is not 0), waits for the readers, then calls pt_gather_free().
 */
struct pt_gather {
	uint64_t first, last; /* IOVA touched; first > last: none */
	uint64_t tables;      /* address of the first table taken out, 0: none */
	uint64_t ntables;
	uint32_t levels; /* bit n: a leaf of level n was removed */
};

enum pt_why {
	PT_OK,
	PT_BEYOND_WIDTH,   /* the IOVA has bits that the table does not decode */
	PT_NOT_PRESENT,    /* an empty entry */
	PT_RESERVED_BITS,  /* an entry has a bit set that hardware wants 0 */
	PT_POINTS_NOWHERE, /* a pointer to something that is not table memory */
};

struct pt_walk_result {
	uint64_t pa;            /* of the byte at the IOVA asked for */
	uint64_t entry;         /* the leaf, or the entry that ended the walk */
	_Atomic uint64_t *item; /* where that entry is, NULL with PT_BEYOND_WIDTH */
	unsigned prot;          /* PT_READ | PT_WRITE, over all levels; may be 0 */
	uint8_t size_lg2;       /* bytes around the IOVA that the same entry translates */
	uint8_t level;          /* of @entry */
	uint8_t why;            /* enum pt_why */
};

/* One entry, as pt_visit() shows it. */
enum pt_node_kind { PT_NODE_TABLE, PT_NODE_LEAF, PT_NODE_BAD, PT_NODE_JUNK };

struct pt_node {
	enum pt_node_kind kind; /* JUNK: not present, yet not zero */
	uint64_t iova, last;    /* span of the entry */
	uint64_t table;         /* address of the table that holds it */
	uint64_t entry;
	uint64_t addr; /* LEAF: output address; TABLE: address of the table it points to */
	uint32_t index;
	unsigned level;
	unsigned prot;       /* of this entry alone */
	uint8_t size_lg2;    /* LEAF */
	const char *problem; /* BAD: what is wrong with it */
};

struct pt_leaf {
	uint64_t iova, pa;
	unsigned prot; /* of the leaf alone */
	unsigned level;
	uint8_t size_lg2;
};

struct pt_stats {
	uint64_t tables[PT_MAX_LEVELS]; /* by level, the root included */
	uint64_t leaves[64];            /* by log2 of their size */
	uint64_t bytes;                 /* mapped */
	uint64_t table_bytes;
};

#define PT_VISIT_SKIP 0x7fffffff /* of a table: go on behind it */
typedef int (*pt_visit_fn)(void *arg, const struct pt_node *node);
typedef int (*pt_leaf_fn)(void *arg, const struct pt_leaf *leaf);
typedef void (*pt_report_fn)(void *arg, const char *problem);

/**
 * pt_init() - make an empty table (or look at one that exists)
 *
 * Return: 0; -EINVAL a parameter that the format does not have; -ENOENT no format of that name;
 *         -ENOMEM no root table; -EFAULT @c->root is not table memory. On failure *@t is not
 *         usable and nothing is held.
 */
int pt_init(struct pt *t, const struct pt_config *c) MUST_CHECK;

/* The same for a format that is not in the table of formats; c->format is not looked at. */
int pt_init_format(struct pt *t, const struct pt_format *format,
		   const struct pt_config *c) MUST_CHECK;

/* Gives every table back. Nobody uses @t any more, and every gather list is freed. NULL is fine. */
void pt_destroy(struct pt *t);

/**
 * pt_map() - translate [iova, iova + len) to pa onwards
 * @iova, @pa, @len: bytes, multiples of the granule
 * @prot: PT_READ, PT_WRITE and the like
 * @g:    gathers tables that a larger page made needless
 *
 * Uses the largest pages that the alignments allow. The range must be empty; tables in it that
 * hold nothing may be replaced by a large page.
 *
 * Locks:  none; see the top of this file
 * Return: 0; -EINVAL unaligned, outside the aperture, beyond the output width, or a permission
 *         that the format cannot say; -EEXIST something is mapped there; -ENOMEM.
 *         On failure not a byte of table memory has changed, and @g neither.
 */
static inline int pt_map(struct pt *t, uint64_t iova, uint64_t pa, uint64_t len, unsigned prot,
			 struct pt_gather *g) MUST_CHECK;

/**
 * pt_unmap() - remove what [iova, iova + len) translates to
 * @g: gathers the range, and the tables whose whole span lies in it
 *
 * Cannot fail, allocates nothing. What the table does not decode of the range is ignored. Holes are
 * skipped. A leaf is never split: one that begins in the range goes as a whole, even if it ends
 * behind it (the result is then greater); one that begins before the range stays.
 *
 * Locks:  none; see the top of this file
 * Return: bytes unmapped
 */
static inline size_t pt_unmap(struct pt *t, uint64_t iova, uint64_t len, struct pt_gather *g);

/**
 * pt_walk() - what hardware makes of one IOVA
 *
 * Every bit that the format reserves is checked. Permissions are reported, not judged. The reason
 * is in @r->why: no sentence is stored, because a miss is on the way of every faulting DMA.
 *
 * Return: 0; -ENOENT nothing mapped; -ERANGE the IOVA is wider than the table; -EBADMSG a malformed
 *         entry. On failure only entry, item, level and why of *@r are set.
 */
static inline int pt_walk(const struct pt *t, uint64_t iova, struct pt_walk_result *r);

/**
 * pt_access() - set accessed and dirty bits for an access that goes through, as hardware does
 * @write: the access writes: its leaf becomes dirty
 * @r:     what pt_walk() has just found for @iova; the entry is kept up to date
 *
 * Writes nothing that is set already. Inside the read-side section of the walk.
 *
 * Return: the rights that further accesses may use without asking again: PT_READ, and PT_WRITE when
 *         the leaf is dirty. 0: an entry has changed since; walk again
 */
unsigned pt_access(const struct pt *t, uint64_t iova, bool write, struct pt_walk_result *r);

#define PT_DIRTY_NO_CLEAR (1u << 0)

/**
 * pt_dirty_read() - tell what was written in [iova, iova + len), and forget it
 * @flags: PT_DIRTY_NO_CLEAR: do not forget
 * @fn:    called in the order of IOVA with ranges of dirty entries, joined where they touch
 *
 * An entry is dirty as a whole. One that reaches out of the range is told of as far as the range
 * goes and stays dirty, for whoever asks for the rest. Holes, and what the table does not decode,
 * are skipped.
 *
 * A cleared bit is sure to be set again only after invalidation: until then a device may write
 * through what it remembers. Whoever clears therefore invalidates, and waits, before what was told
 * is used. Cannot fail, allocates nothing.
 *
 * Locks:  none; see the top of this file
 * Return: bytes told of
 */
static inline uint64_t pt_dirty_read(struct pt *t, uint64_t iova, uint64_t len, unsigned flags,
				     pt_dirty_fn fn, void *arg);

/* The words for @why, without a final full stop. */
const char *pt_why_text(enum pt_why why);

static inline void pt_gather_init(struct pt_gather *g)
{
	*g = (struct pt_gather){ .first = UINT64_MAX };
}

/* Frees the tables on the list, after the fence. Leaves @g as pt_gather_init() does. */
void pt_gather_free(struct pt *t, struct pt_gather *g);

static inline uint64_t pt_root(const struct pt *t)
{
	return atomic_load_explicit(&t->top, memory_order_acquire) & ~7ull;
}

static inline unsigned pt_levels(const struct pt *t)
{
	return (unsigned)(atomic_load_explicit(&t->top, memory_order_acquire) & 7) + 1;
}

/* Smallest page, log2. */
unsigned pt_granule_lg2(const struct pt *t);

/*
 * Calls @fn for every entry that is not zero and meets [first, last], tables before what is in
 * them, in IOVA order. A result of @fn other than 0 and PT_VISIT_SKIP ends it and is returned. The
 * table must not be changed in that range meanwhile, unless the caller is in a read-side section of
 * the fence.
 */
int pt_visit(const struct pt *t, uint64_t first, uint64_t last, pt_visit_fn fn, void *arg);

/* The same for the leaves alone. */
int pt_for_each_leaf(const struct pt *t, uint64_t first, uint64_t last, pt_leaf_fn fn, void *arg);

void pt_stats_get(const struct pt *t, struct pt_stats *s);

/**
 * pt_lint() - examine every byte of the table
 * @report: called with a sentence for each problem; may be NULL
 *
 * Reserved bits, entries that are neither empty nor present, pointers that lead nowhere, tables
 * that are reachable twice or not at all. Nobody changes the table meanwhile.
 *
 * Return: number of problems; -ENOMEM
 */
long pt_lint(const struct pt *t, pt_report_fn report, void *arg);

/* pt_lint() in one word: 0, -EUCLEAN with the first problem as the reason, -ENOMEM. */
int pt_check(const struct pt *t);

static inline int pt_map(struct pt *t, uint64_t iova, uint64_t pa, uint64_t len, unsigned prot,
			 struct pt_gather *g)
{
	return t->format->map(t, iova, pa, len, prot, g);
}

static inline size_t pt_unmap(struct pt *t, uint64_t iova, uint64_t len, struct pt_gather *g)
{
	return t->format->unmap(t, iova, len, g);
}

static inline int pt_walk(const struct pt *t, uint64_t iova, struct pt_walk_result *r)
{
	return t->format->walk(t, iova, r);
}

static inline uint64_t pt_dirty_read(struct pt *t, uint64_t iova, uint64_t len, unsigned flags,
				     pt_dirty_fn fn, void *arg)
{
	return t->format->dirty ? t->format->dirty(t, iova, len, flags, fn, arg) : 0;
}

#endif
