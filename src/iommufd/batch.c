// SPDX-License-Identifier: MIT
/*
 * Which output pages stand behind these page indexes?
 *
 * Invariants
 *  B1  npages is the sum over the runs; each run has at least one page
 *  B2  no run goes on where its predecessor ends (they would be one)
 *  B3  n <= max <= BATCH_RUNS
 */
#include "iommufd/batch.h"

#include <string.h>

void batch_adopt(struct batch *b, unsigned n)
{
	struct phys_run *fresh = &b->run[b->n];

	for (unsigned i = 0; i < n; i++)
		b->npages += fresh[i].npages;
	if (n && b->n) {
		struct phys_run *last = fresh - 1;

		if (last->pa + last->npages * PAGE_SIZE == fresh->pa) {
			last->npages += fresh->npages;
			memmove(fresh, fresh + 1, (n - 1) * sizeof(*fresh));
			n--;
		}
	}
	b->n += n;
}

void batch_each(const struct batch *b, uint64_t first, uint64_t last, batch_fn fn, void *arg)
{
	uint64_t idx = b->first;

	for (unsigned i = 0; i < b->n && idx <= last; idx += b->run[i].npages, i++) {
		uint64_t end = idx + b->run[i].npages - 1;
		uint64_t from = max_u64(idx, first), to = min_u64(end, last);

		if (from > to)
			continue;
		fn(arg, &(struct phys_run){ .pa = b->run[i].pa + (from - idx) * PAGE_SIZE,
					    .npages = to - from + 1 });
	}
}

void batch_check(const struct batch *b)
{
	uint64_t sum = 0;

	(void)BUG_ON(b->n > b->max || b->max > BATCH_RUNS || !b->max); /* B3 */
	for (unsigned i = 0; i < b->n; i++) {
		(void)BUG_ON(!b->run[i].npages); /* B1 */
		(void)BUG_ON(i && b->run[i - 1].pa + b->run[i - 1].npages * PAGE_SIZE ==
					  b->run[i].pa); /* B2 */
		sum += b->run[i].npages;
	}
	(void)BUG_ON(sum != b->npages);
}
