// SPDX-License-Identifier: MIT
/*
 * Where does the PFN of a page come from?
 *
 * Source: docs/design/iommufd.md. Spans are maximal pieces of the range that are in the
 * accesses' set, else in the domains' set, else in neither.
 */
#include "iommufd/reader.h"

#include <errno.h>

#include "base/fault.h"
#include "base/why.h"
#include "iommufd/area.h"
#include "iommufd/store.h"

void reader_init_locked(struct reader *r, struct pages *p, uint64_t first, uint64_t last,
			unsigned max_runs)
{
	r->pages = p;
	r->idx = first;
	r->last = last;
	r->b.max = max_runs;
	/* What the reader pins itself is in neither set, so this holds to its end. */
	r->source_only = itree_empty(&p->accesses) && itree_empty(&p->domains);
	if (!r->source_only)
		span2_first(&r->span, &p->accesses, &p->domains, first, last);
}

/* Tier 3. */
static int read_source(struct reader *r, uint64_t last)
{
	struct pages *p = r->pages;
	struct batch *b = &r->b;

	while (r->idx <= last && b->n < b->max) {
		unsigned n = 0;
		unsigned flags = p->writable ? MM_PIN_WRITE : 0;
		uint64_t at = p->base + r->idx * PAGE_SIZE, want = last - r->idx + 1;
		struct phys_run *run = &b->run[b->n];
		long got;

		if (likely(p->source == PAGES_USER))
			got = mm_pin(p->mm, at, want, flags, run, b->max - b->n, &n);
		else
			got = mm_file_pin(p->file, at, want, flags, run, b->max - b->n, &n);

		if (unlikely(got < 0))
			return why_add((int)got, "page %llu of %llu at 0x%llx",
				       (unsigned long long)r->idx, (unsigned long long)p->npages,
				       (unsigned long long)p->base);
		p->npinned += (uint64_t)got;
		batch_adopt(b, n);
		r->idx += (uint64_t)got;
	}
	return 0;
}

/* Tier 1: any range over the index. */
static void read_store(struct reader *r, uint64_t last)
{
	while (r->idx <= last) {
		struct itree_node *n = itree_first(&r->pages->accesses, r->idx, r->idx);
		uint64_t before = r->b.npages;

		if (BUG_ON(!n))
			return;
		store_read(container_of(n, struct store_range, node), r->idx,
			   min_u64(last, n->last), &r->b);
		if (r->b.npages == before)
			return; /* full */
		r->idx += r->b.npages - before;
	}
}

/* Tier 2: any area that some domain holds, over the index. */
static void read_domain(struct reader *r, uint64_t last)
{
	while (r->idx <= last) {
		struct itree_node *n = itree_first(&r->pages->domains, r->idx, r->idx);
		struct area *a = container_of(n, struct area, node);
		uint64_t before = r->b.npages;

		if (BUG_ON(!n))
			return;
		area_read_domain(a, a->storage, r->idx, min_u64(last, n->last), &r->b);
		if (r->b.npages == before)
			return; /* full */
		r->idx += r->b.npages - before;
	}
}

int reader_next_locked(struct reader *r)
{
	int rc = 0;

	batch_begin(&r->b, r->idx, r->b.max);
	if (likely(r->source_only)) {
		rc = read_source(r, r->last);
	} else {
		while (!rc && r->idx <= r->last) {
			uint64_t at = r->idx;

			while (r->span.last < r->idx)
				span2_next(&r->span);
			if (r->span.kind == SPAN_HOLE)
				rc = read_source(r, r->span.last);
			else if (r->span.kind == SPAN_A)
				read_store(r, r->span.last);
			else
				read_domain(r, r->span.last);
			if (r->idx == at)
				break; /* full */
		}
	}
	if (unlikely(rc)) {
		pages_unpin_unused_locked(r->pages, &r->b, false);
		batch_begin(&r->b, r->b.first, r->b.max);
	}
	return rc;
}
