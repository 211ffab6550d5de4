// SPDX-License-Identifier: MIT
/* Marks: which frames have their bytes in a range of addresses, and are busy being moved. */
#include <errno.h>

#include "base/pool.h"
#include "base/why.h"
#include "mem/reloc.h"

bool page_range(uint64_t *va, uint64_t len, uint64_t *last)
{
	*va = align_down(*va, PAGE_SIZE);
	if (!len || *va >= PHYS_IDENTITY_END)
		return false;
	*last = (*va + min_u64(len, PHYS_IDENTITY_END - *va) - 1) | PAGE_MASK;
	return true;
}

/* True when some page of [va, last] may have to move. */
static bool may_move(struct physmap *pm, uint64_t va, uint64_t last)
{
	while (va <= last) {
		struct region *r = region_at(pm, va);
		uint64_t end = va | (GIB - 1);

		if (end > last)
			end = last;
		if (r) {
			if (r->kind == REGION_PRIVATE &&
			    pins_any(r, page_in_region(va), (uint32_t)((end - va) >> PAGE_LG2) + 1))
				return true;
			/* Aliases are under the lock; look there only if there may be some. */
			if (atomic_load(&r->head.odd))
				return true;
		}
		va = end + 1;
	}
	return false;
}

bool marks_needed(uint64_t va, uint64_t last)
{
	for (struct physmap *pm = maps_first(); pm; pm = pm->next)
		if (may_move(pm, va, last))
			return true;
	return false;
}

/* Runs come from here, not from the client's allocator; guarded by who is the mover. */
static struct pool run_pool;

/* Adds the page to the runs, which stay ascending and disjoint. */
static int runs_add(struct runs *runs, uint64_t va)
{
	struct run **link = &runs->first, *r = runs->tail;

	if (r && va >= r->va) {
		uint64_t end = r->va + ((uint64_t)r->npages << PAGE_LG2);

		if (va < end)
			return 0;
		if (va == end) {
			r->npages++;
			return 0;
		}
		link = &r->next;
	} else { /* only with several maps */
		for (; *link && (*link)->va <= va; link = &(*link)->next)
			if (va < (*link)->va + ((uint64_t)(*link)->npages << PAGE_LG2))
				return 0;
	}
	if (!run_pool.size)
		pool_init(&run_pool, sizeof(*r));
	r = pool_get(&run_pool);
	if (!r)
		return refuse(ENOMEM, "no memory to move pinned pages at %#llx",
			      (unsigned long long)va);
	*r = (struct run){ .next = *link, .va = va, .npages = 1 };
	*link = r;
	if (!r->next)
		runs->tail = r;
	return 0;
}

struct region *frame_of(struct physmap *pm, struct region *r, uint32_t p, uint32_t *fp,
			bool *aliased)
{
	uint64_t alias = alias_at(r, p);

	*aliased = alias != 0;
	*fp = alias ? page_in_region(alias) : p;
	return alias ? region_at(pm, alias) : r;
}

bool frame_marked(struct region *fr, uint32_t fp, bool aliased)
{
	return host_of(fr, fp) == (aliased ? HOST_BUSY_AT : HOST_BUSY);
}

/* The page is a frame in its own place. */
static bool movable(struct region *r, uint32_t p)
{
	return r->kind == REGION_PRIVATE && !pa_in_hole(r->base + ((uint64_t)p << PAGE_LG2)) &&
	       !host_of(r, p) && pins_of(r, p);
}

static int mark_page(struct physmap *pm, struct region *r, uint32_t p, struct runs *runs)
{
	uint64_t va = r->base + ((uint64_t)p << PAGE_LG2);
	bool aliased;
	uint32_t fp;
	struct region *fr = frame_of(pm, r, p, &fp, &aliased);
	int rc;

	if (!aliased && !movable(r, p))
		return 0;
	rc = host_ensure(pm, fr, fp, 1);
	if (!rc)
		rc = hid_ensure(pm, fr, fp, 1);
	if (!rc)
		rc = runs_add(runs, va);
	if (rc)
		return rc;
	host_set(fr, fp, aliased ? HOST_BUSY_AT : HOST_BUSY);
	if (!aliased)
		atomic_fetch_add(&r->head.odd, 1);
	return 0;
}

/* Marks the pages [p, end) of one chunk. */
static int mark_chunk(struct physmap *pm, struct region *r, uint32_t p, uint32_t end,
		      struct runs *runs)
{
	int rc = 0;

	if (!r->aliases[p / CHUNK_PAGES] && !pins_any(r, p, end - p))
		return 0;
	/* From here on pins go through the lock; those before it are seen. See frames_pin(). */
	atomic_fetch_add(&r->head.odd, 1);
	for (; p < end && !rc; p++)
		rc = mark_page(pm, r, p, runs);
	atomic_fetch_sub(&r->head.odd, 1);
	return rc;
}

/* Calls @fn for each chunk's part of [va, last] in an existing region, under the map's lock. */
static int each_chunk(struct physmap *pm, uint64_t va, uint64_t last,
		      int (*fn)(struct physmap *pm, struct region *r, uint32_t p, uint32_t end,
				struct runs *runs),
		      struct runs *runs)
{
	int rc = 0;

	physmap_lock(pm);
	while (va <= last && !rc) {
		struct region *r = region_at(pm, va);
		uint64_t end = va | (r ? 2 * MIB - 1 : GIB - 1);

		if (end > last)
			end = last;
		if (r)
			rc = fn(pm, r, page_in_region(va), page_in_region(end) + 1, runs);
		va = end + 1;
	}
	physmap_unlock(pm);
	return rc;
}

void frame_release(struct physmap *pm, struct region *fr, uint32_t fp, uint64_t va, bool aliased)
{
	host_set(fr, fp, 0);
	if (aliased)
		alias_unbind(pm, va);
	if (fr->kind == REGION_ALIAS)
		alias_free(pm, fr, 1);
	else
		atomic_fetch_sub(&fr->head.odd, 1);
}

static int unmark_chunk(struct physmap *pm, struct region *r, uint32_t p, uint32_t end,
			struct runs *runs)
{
	(void)runs;
	for (; p < end; p++) {
		uint64_t va = r->base + ((uint64_t)p << PAGE_LG2);
		bool aliased;
		uint32_t fp;
		struct region *fr = frame_of(pm, r, p, &fp, &aliased);

		if (!frame_marked(fr, fp, aliased))
			continue;
		/* A frame in its place has no host address. */
		if (!aliased || !pins_of(fr, fp))
			frame_release(pm, fr, fp, va, aliased);
		else
			host_set(fr, fp, (uintptr_t)va);
	}
	return 0;
}

/* 1: a frame has its bytes there. */
static int find_chunk(struct physmap *pm, struct region *r, uint32_t p, uint32_t end,
		      struct runs *runs)
{
	(void)runs;
	if (!r->aliases[p / CHUNK_PAGES] && !pins_any(r, p, end - p))
		return 0;
	for (; p < end; p++) {
		bool aliased;
		uint32_t fp;
		struct region *fr = frame_of(pm, r, p, &fp, &aliased);

		if (aliased || movable(fr, fp))
			return 1;
	}
	return 0;
}

bool marks_present(uint64_t va, uint64_t last)
{
	for (struct physmap *pm = maps_first(); pm; pm = pm->next)
		if (may_move(pm, va, last) && each_chunk(pm, va, last, find_chunk, NULL))
			return true;
	return false;
}

int marks_set(uint64_t va, uint64_t last, struct runs *runs)
{
	int rc = 0;

	for (struct physmap *pm = maps_first(); pm && !rc; pm = pm->next)
		rc = each_chunk(pm, va, last, mark_chunk, runs);
	return rc;
}

void marks_clear(uint64_t va, uint64_t last)
{
	for (struct physmap *pm = maps_first(); pm; pm = pm->next)
		each_chunk(pm, va, last, unmark_chunk, NULL);
}

int marks_hold(uint64_t va, uint64_t last)
{
	for (struct physmap *pm = maps_first(); pm; pm = pm->next)
		for (uint64_t at = align_down(va, GIB); at <= last; at += GIB)
			if (!region_get(pm, at))
				return refuse(ENOMEM, "no memory to move pinned pages to %#llx",
					      (unsigned long long)va);
	for (struct physmap *pm = maps_first(); pm; pm = pm->next) {
		physmap_lock(pm);
		pm->held_va = va;
		pm->held_len = last - va + 1;
		/* From here on pins go through the lock, as in mark_chunk(). */
		for (uint64_t at = align_down(va, GIB); at <= last; at += GIB)
			atomic_fetch_add(&region_at(pm, at)->head.odd, 1);
		physmap_unlock(pm);
	}
	return 0;
}

void marks_unhold(uint64_t va, uint64_t last)
{
	for (struct physmap *pm = maps_first(); pm; pm = pm->next) {
		physmap_lock(pm);
		pm->held_len = 0;
		for (uint64_t at = align_down(va, GIB); at <= last; at += GIB)
			atomic_fetch_sub(&region_at(pm, at)->head.odd, 1);
		physmap_unlock(pm);
	}
}

void runs_free(struct runs *runs)
{
	for (struct run *r = runs->first, *next; r; r = next) {
		next = r->next;
		if (r->hidden)
			hidden_put(r->hidden);
		pool_put(&run_pool, r);
	}
}
