// SPDX-License-Identifier: MIT
/* Pins: how often is a page pinned, counted at the largest block that fits. */
#include "mem/physmap_priv.h"

/* Relocation must not skip the fine counters once one is in use: set before the first add. */
static void mark_fine(struct region *r, uint32_t c)
{
	if (!atomic_load_explicit(&r->fine[c], memory_order_relaxed))
		atomic_store_explicit(&r->fine[c], 1, memory_order_seq_cst);
}

static void bump(_Atomic uint32_t *counter, uint32_t delta)
{
	atomic_fetch_add_explicit(counter, delta, memory_order_seq_cst);
}

void pins_add(struct region *r, uint32_t first, uint32_t n, uint32_t delta)
{
	while (n) {
		uint32_t c = first / CHUNK_PAGES, i = first % CHUNK_PAGES, step;

		if (!first && n == REGION_PAGES) {
			bump(&r->pins_1g, delta);
			return;
		}
		if (!i && n >= CHUNK_PAGES) {
			bump(&r->pins_2m[c], delta);
			step = CHUNK_PAGES;
		} else {
			mark_fine(r, c);
			step = !(i % 16) && n >= 16 ? 16 : 1;
			bump(step == 16 ? &r->chunk[c].c64k[i / 16] : &r->chunk[c].c4k[i], delta);
		}
		first += step;
		n -= step;
	}
}

static uint32_t coarse(struct region *r, uint32_t c)
{
	return atomic_load(&r->pins_1g) + atomic_load(&r->pins_2m[c]);
}

uint32_t pins_of(struct region *r, uint32_t p)
{
	uint32_t c = p / CHUNK_PAGES, i = p % CHUNK_PAGES, sum = coarse(r, c);

	if (atomic_load(&r->fine[c]))
		sum += atomic_load(&r->chunk[c].c64k[i / 16]) + atomic_load(&r->chunk[c].c4k[i]);
	return sum;
}

bool pins_any(struct region *r, uint32_t first, uint32_t n)
{
	uint32_t end = first + n;

	while (first < end) {
		uint32_t c = first / CHUNK_PAGES, next = (c + 1) * CHUNK_PAGES;
		uint32_t base = coarse(r, c);

		if (next > end)
			next = end;
		if (!atomic_load(&r->fine[c])) {
			if (base)
				return true;
			first = next;
			continue;
		}
		for (; first < next; first++) {
			uint32_t i = first % CHUNK_PAGES;

			if (base +
			    atomic_load_explicit(&r->chunk[c].c64k[i / 16], memory_order_relaxed) +
			    atomic_load_explicit(&r->chunk[c].c4k[i], memory_order_relaxed))
				return true;
		}
	}
	return false;
}

uint64_t pins_count_pages(struct region *r)
{
	uint64_t count = 0;

	for (uint32_t c = 0; c < REGION_CHUNKS; c++) {
		if (!atomic_load(&r->fine[c])) {
			count += coarse(r, c) ? CHUNK_PAGES : 0;
			continue;
		}
		for (uint32_t i = 0; i < CHUNK_PAGES; i++)
			count += pins_of(r, c * CHUNK_PAGES + i) != 0;
	}
	return count;
}
