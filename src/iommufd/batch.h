/* SPDX-License-Identifier: MIT */
/*
 * Batch: a bounded list of runs of consecutive output pages, for consecutive page indexes.
 *
 * It lives on the stack of whoever moves pages between a source and domains, so that filling and
 * above all tearing down need no memory. What comes out does not depend on its size.
 */
#ifndef IOMMUFD_BATCH_H
#define IOMMUFD_BATCH_H

#include "base/compiler.h"
#include "mem/physmap.h"

#define BATCH_RUNS 64u

struct batch {
	uint64_t first;  /* index of the first page */
	uint64_t npages; /* in all runs */
	unsigned n, max; /* runs; how many there may be, 1..BATCH_RUNS */
	bool mmio;       /* all are device registers, or none */
	struct phys_run run[BATCH_RUNS];
};

static inline void batch_begin(struct batch *b, uint64_t first, unsigned max)
{
	b->first = first;
	b->npages = 0;
	b->n = 0;
	b->max = max;
	b->mmio = false;
}

/* Appends @npages from @pa, merged with the last run where that goes on; false: full. */
static inline bool batch_add(struct batch *b, uint64_t pa, uint64_t npages)
{
	struct phys_run *last = b->n ? &b->run[b->n - 1] : NULL;

	if (last && last->pa + last->npages * PAGE_SIZE == pa) {
		last->npages += npages;
	} else {
		if (b->n == b->max)
			return false;
		b->run[b->n++] = (struct phys_run){ .pa = pa, .npages = npages };
	}
	b->npages += npages;
	return true;
}

/*
 * Takes over @n runs that somebody wrote behind the last one; merges the first of them where it
 * goes on.
 */
void batch_adopt(struct batch *b, unsigned n);

/* Calls @fn with each piece of a run that covers indexes within [first, last], ascending. */
typedef void (*batch_fn)(void *arg, const struct phys_run *piece);
void batch_each(const struct batch *b, uint64_t first, uint64_t last, batch_fn fn, void *arg);

void batch_check(const struct batch *b);

#endif
