/* SPDX-License-Identifier: MIT */
/*
 * Pages: what areas slice. A linear array of whole pages with one source, and the record of which
 * of them are pinned and on whose behalf. Source: docs/design/iommufd.md.
 */
#ifndef IOMMUFD_PAGES_H
#define IOMMUFD_PAGES_H

#include <stdatomic.h>

#include "base/lock.h"
#include "index/itree.h"
#include "iommufd/batch.h"
#include "mem/account.h"
#include "mem/mm.h"

enum pages_source {
	PAGES_USER, /* memory of an address space */
	PAGES_FILE, /* of shared memory by descriptor */
};

struct pages {
	struct mtx lock;       /* LOCK_PAGES; see "Who needs the lock" in pages.c */
	_Atomic uint32_t refs; /* areas, and whoever is about to make one */
	uint8_t source;        /* enum pages_source, immutable like what follows */
	uint8_t account;       /* enum account_mode */
	bool writable;
	uint64_t npages;
	uint64_t base; /* address of page 0 in its source, a multiple of PAGE_SIZE */
	union {
		struct mm *mm;        /* PAGES_USER: borrowed from the machine */
		struct mm_file *file; /* PAGES_FILE: ours */
	};
	struct physmap *pm;

	/* guarded by lock */
	uint64_t npinned;      /* pages in accesses or domains */
	uint64_t charged;      /* == npinned whenever the lock is free */
	struct itree accesses; /* struct store_range: what accesses have pinned: tier 1 */
	struct itree domains;  /* area.node of each area that some domain holds: tier 2 */
};

struct area;
struct iommufd_ctx;

/*
 * Bounds of IOAS_MAP: pages from @base + @offset on. -EOVERFLOW the address wraps; -EINVAL no
 * length, or too much. *@offset gets the offset of the first byte in its page.
 */
int pages_measure(uint64_t addr, uint64_t len, uint16_t *offset, uint64_t *npages);

/* The same for IOAS_MAP_FILE, where the last byte alone must not wrap. */
int pages_measure_file(uint64_t start, uint64_t len, uint16_t *offset, uint64_t *npages);

/* Of a file from byte @start on; takes @file. Cannot fail. */
void pages_init_file(struct pages *p, struct iommufd_ctx *ctx, struct mm_file *file, uint64_t start,
		     uint64_t npages, bool writable);

/* User memory of the calling process, one reference. Cannot fail. */
void pages_init_user(struct pages *p, struct iommufd_ctx *ctx, uint64_t addr, uint64_t npages,
		     bool writable);
/* Nothing is pinned any more. */
void pages_finish(struct pages *p);

static inline void pages_get(struct pages *p)
{
	atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
}

/* True: it was the last reference, and the caller frees it. */
static inline bool pages_put(struct pages *p)
{
	/* The only holder need not tell anybody: nobody is left who could take one more. */
	if (atomic_load_explicit(&p->refs, memory_order_acquire) == 1)
		return true;
	return atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) == 1;
}

/* Locks @p unless nobody else can reach it; what it returns goes to pages_unlock(). */
static inline bool pages_lock(struct pages *p)
{
	if (atomic_load_explicit(&p->refs, memory_order_acquire) == 1)
		return false;
	mtx_lock(&p->lock);
	return true;
}

static inline void pages_unlock(struct pages *p, bool locked)
{
	if (locked)
		mtx_unlock(&p->lock);
}

/*
 * Accounts for what was pinned since the last call; -ENOMEM: over the limit, the caller unpins
 * it again. Uncharging cannot fail.
 */
int pages_charge_locked(struct pages *p);
void pages_uncharge_locked(struct pages *p);

/*
 * Unpins those pages of @b that neither an access nor a domain holds; @dirty: a device may have
 * written them. The pages are in no domain any more.
 */
void pages_unpin_unused_locked(struct pages *p, const struct batch *b, bool dirty);

/**
 * pages_pin_locked() - pin [first, last] (page indexes) for an access
 * @out: gets the output address of each page
 *
 * A range that is pinned already gets one more user; else its PFNs are read through the tiers,
 * kept, and what is newly pinned is charged.
 *
 * Return: 0; -EFAULT, -ENOMEM of pinning, -ENOMEM of the limit, -EINVAL of a file; then nothing is
 *         kept, pinned or charged
 */
int pages_pin_locked(struct pages *p, uint64_t first, uint64_t last, unsigned batch_max,
		     uint64_t *out);

/*
 * Drops one user of exactly [first, last]; with the last one goes what nobody else holds. False:
 * nobody pinned that. Needs no memory.
 */
bool pages_unpin_range_locked(struct pages *p, uint64_t first, uint64_t last);

/* Asserts every invariant; takes the lock. */
void pages_check(struct pages *p);

#endif
