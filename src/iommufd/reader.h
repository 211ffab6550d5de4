/* SPDX-License-Identifier: MIT */
/*
 * Reader: PFNs of a range of pages, batch by batch, each from the cheapest tier that has it:
 * pinned by an access, held by a domain, or pinned now from the source.
 */
#ifndef IOMMUFD_READER_H
#define IOMMUFD_READER_H

#include "index/span.h"
#include "iommufd/pages.h"

struct reader {
	struct pages *pages;
	uint64_t idx, last; /* not read yet; idx > last: none */
	bool source_only;   /* nothing is pinned so far */
	struct span2 span;  /* over accesses and domains, unless source_only */
	struct batch b;     /* what reader_next() read */
};

/* [first, last] are page indexes. The pages' lock is held (or nobody else can reach them). */
void reader_init_locked(struct reader *r, struct pages *p, uint64_t first, uint64_t last,
			unsigned max_runs);

/**
 * reader_next_locked() - read the next batch
 *
 * Pages that nothing held are pinned and counted in npinned; until the caller makes somebody hold
 * them, it must unpin them again when it gives up (pages_unpin_unused_locked()).
 *
 * Return: 0, and @r->b has the batch, with no pages at the end; errors of mm_pin(): what the
 *         batch had pinned so far is unpinned again, and the batch is empty
 */
int reader_next_locked(struct reader *r);

#endif
