// SPDX-License-Identifier: MIT
/*
 * Where are the pages that accesses have pinned?
 *
 * Invariants
 *  P1  runs ascend, the first begins at node.start, each has at least one page, and no run goes
 *      on where its predecessor ends in output memory too
 *  P2  ranges that overlap agree about the pages that both have
 *  P3  no two ranges are equal; each has users
 *
 * Why runs per range and not a cell per page. A range that is dropped takes its memory along at
 * once, nothing is looked up page by page, and memory that is consecutive (the usual case) costs
 * one run, however large. What it takes is at most twice what the consumer's own list of addresses
 * does.
 */
#include "iommufd/store.h"

#include <errno.h>
#include <string.h>

#include "base/pool.h"
#include "base/why.h"

#define FIRST_RUNS 1u

static struct store_range *alloc_range(unsigned cap)
{
	struct store_range *r = mem_alloc(sizeof(*r) + cap * sizeof(r->run[0]));

	if (likely(r != NULL))
		r->cap = cap;
	return r;
}

struct store_range *store_range_new(uint64_t first, uint64_t last)
{
	struct store_range *r = alloc_range(FIRST_RUNS);

	if (unlikely(!r))
		return NULL;
	r->node.start = first;
	r->node.last = last;
	r->users = 1;
	r->nruns = 0;
	return r;
}

void store_range_free(struct store_range *r)
{
	mem_free(r);
}

static int grow(struct store_range **at, unsigned want)
{
	struct store_range *old = *at, *r;
	unsigned cap = 2 * old->cap;

	if (likely(want <= old->cap))
		return 0;
	r = alloc_range(cap > want ? cap : want);
	if (!r)
		return refuse(ENOMEM, "no memory for %u runs of pinned pages", want);
	r->node.start = old->node.start;
	r->node.last = old->node.last;
	r->users = old->users;
	r->nruns = old->nruns;
	memcpy(r->run, old->run, old->nruns * sizeof(r->run[0]));
	store_range_free(old);
	*at = r;
	return 0;
}

int store_append(struct store_range **at, const struct batch *b)
{
	struct store_range *r;
	uint64_t idx = b->first;
	int rc = grow(at, (*at)->nruns + b->n);

	if (unlikely(rc))
		return rc;
	r = *at;
	for (unsigned i = 0; i < b->n; idx += b->run[i].npages, i++) {
		const struct store_run *prev = r->nruns ? &r->run[r->nruns - 1] : NULL;

		if (prev && prev->pa + (idx - prev->idx) * PAGE_SIZE == b->run[i].pa)
			continue; /* goes on from the batch before */
		r->run[r->nruns++] = (struct store_run){ .idx = idx, .pa = b->run[i].pa };
	}
	return 0;
}

struct store_range *store_find(const struct itree *ranges, uint64_t first, uint64_t last)
{
	itree_for_each(n, ranges, first, first)
		if (n->start == first && n->last == last)
			return container_of(n, struct store_range, node);
	return NULL;
}

/* Last index of run @i. */
static uint64_t run_last(const struct store_range *r, unsigned i)
{
	return i + 1 < r->nruns ? r->run[i + 1].idx - 1 : r->node.last;
}

/* The run that has page @idx. */
static unsigned find_run(const struct store_range *r, uint64_t idx)
{
	unsigned lo = 0, hi = r->nruns - 1;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo + 1) / 2;

		if (r->run[mid].idx <= idx)
			lo = mid;
		else
			hi = mid - 1;
	}
	return lo;
}

static uint64_t pa_of(const struct store_range *r, unsigned i, uint64_t idx)
{
	return r->run[i].pa + (idx - r->run[i].idx) * PAGE_SIZE;
}

void store_read(const struct store_range *r, uint64_t idx, uint64_t last, struct batch *b)
{
	for (unsigned i = find_run(r, idx); idx <= last; i++) {
		uint64_t end = min_u64(last, run_last(r, i));

		if (!batch_add(b, pa_of(r, i, idx), end - idx + 1))
			return;
		idx = end + 1;
	}
}

void store_list(const struct store_range *r, uint64_t *out)
{
	for (unsigned i = 0; i < r->nruns; i++) {
		uint64_t n = run_last(r, i) - r->run[i].idx + 1, pa = r->run[i].pa;

		for (uint64_t k = 0; k < n; k++)
			*out++ = pa + k * PAGE_SIZE;
	}
}

static void check_range(const struct store_range *r)
{
	(void)BUG_ON(!r->users || !r->nruns || r->nruns > r->cap);
	(void)BUG_ON(r->run[0].idx != r->node.start || run_last(r, r->nruns - 1) != r->node.last);
	for (unsigned i = 1; i < r->nruns; i++) {
		(void)BUG_ON(r->run[i].idx <= r->run[i - 1].idx); /* P1 */
		(void)BUG_ON(r->run[i].pa == pa_of(r, i - 1, r->run[i].idx));
	}
}

void store_check(const struct itree *ranges)
{
	itree_for_each(n, ranges, 0, UINT64_MAX) {
		const struct store_range *r = container_of(n, struct store_range, node);

		check_range(r);
		itree_for_each(m, ranges, n->start, n->last) {
			const struct store_range *s = container_of(m, struct store_range, node);
			uint64_t at = max_u64(n->start, m->start);
			uint64_t end = min_u64(n->last, m->last);

			if (m == n)
				continue;
			(void)BUG_ON(m->start == n->start && m->last == n->last); /* P3 */
			(void)BUG_ON(pa_of(r, find_run(r, at), at) !=
				     pa_of(s, find_run(s, at), at));
			(void)BUG_ON(pa_of(r, find_run(r, end), end) !=
				     pa_of(s, find_run(s, end), end)); /* P2 */
		}
	}
}
