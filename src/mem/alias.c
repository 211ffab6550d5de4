// SPDX-License-Identifier: MIT
/*
 * Alias window: output addresses for private memory whose own address cannot be used.
 *
 * Addresses are given out upwards, region by region; a region whose last frame went starts anew.
 * A run keeps the alignment that its address has, up to the power of two that covers the run (and
 * at least 64 KiB), so that large IO pages form as they would at the own address.
 */
#include <errno.h>

#include "base/why.h"
#include "mem/physmap_priv.h"

#define PHASE_MIN 16u /* pages */

/* First fit behind @r's frames for @n pages with the phase of page @vp; false: full. */
static bool fits(const struct region *r, uint32_t vp, uint32_t n, uint32_t *first)
{
	uint64_t phase = PHASE_MIN, at;

	while (phase < n)
		phase *= 2;
	at = align_down(r->bump, phase) + (vp & (phase - 1));
	if (at < r->bump)
		at += phase;
	if (at + n > REGION_PAGES)
		return false;
	*first = (uint32_t)at;
	return true;
}

static uint64_t region_pa(const struct physmap *pm, uint32_t idx)
{
	return pm->win[WIN_ALIAS].base + ((uint64_t)idx << REGION_LG2);
}

/* Finds an empty region, an old one if there is any, and makes it the current one. */
static struct region *next_region(struct physmap *pm)
{
	uint64_t size = pm->win[WIN_ALIAS].last - pm->win[WIN_ALIAS].base + 1;
	struct region *r;

	for (uint32_t i = 0; i < pm->alias_regions; i++) {
		r = region_at(pm, region_pa(pm, i));
		if (r && !r->used) {
			r->bump = 0;
			pm->alias_cur = i;
			return r;
		}
	}
	if (pm->alias_regions >= size >> REGION_LG2)
		return NULL;
	r = region_get(pm, region_pa(pm, pm->alias_regions));
	if (r)
		pm->alias_cur = pm->alias_regions++;
	return r;
}

int alias_alloc(struct physmap *pm, uint64_t va, uint32_t n, struct region **out, uint32_t *first)
{
	struct region *r = pm->alias_regions ? region_at(pm, region_pa(pm, pm->alias_cur)) : NULL;

	if (!r || !fits(r, page_in_region(va), n, first)) {
		r = next_region(pm);
		/* An empty region takes any run: its phase is at most the region. */
		if (!r || BUG_ON(!fits(r, page_in_region(va), n, first)))
			return refuse(ENOMEM, "no output addresses left for %u pages at %#llx", n,
				      (unsigned long long)va);
	}
	if (host_ensure(pm, r, *first, n))
		return -ENOMEM;
	r->bump = *first + n;
	r->used += n;
	pm->alias_pages += n;
	*out = r;
	return 0;
}

void alias_free(struct physmap *pm, struct region *r, uint32_t n)
{
	r->used -= n;
	pm->alias_pages -= n;
}

uint64_t alias_at(const struct region *r, uint32_t p)
{
	const struct chunk_alias *a = r->aliases[p / CHUNK_PAGES];

	return a ? a->pa[p % CHUNK_PAGES] : 0;
}

void alias_bind(struct region *r, uint32_t p, uint64_t pa)
{
	atomic_fetch_add(&r->head.odd, 1);
	r->aliases[p / CHUNK_PAGES]->pa[p % CHUNK_PAGES] = pa;
}

void alias_unbind(struct physmap *pm, uint64_t va)
{
	struct region *r = region_at(pm, va);
	uint32_t p = page_in_region(va);

	(void)BUG_ON(!alias_at(r, p));
	r->aliases[p / CHUNK_PAGES]->pa[p % CHUNK_PAGES] = 0;
	atomic_fetch_sub(&r->head.odd, 1);
}
