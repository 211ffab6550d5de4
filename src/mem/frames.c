// SPDX-License-Identifier: MIT
/*
 * Frames of private memory: which output address a page gets when it is pinned, and what happens
 * to a frame when its last pin goes.
 *
 * A page at @va is, in this order: a frame in the alias window that still has its bytes at @va;
 * its own address, if no frame that was moved away lives there and the address is legal; else a
 * new alias.
 */
#include <errno.h>

#include "base/fault.h"
#include "base/why.h"
#include "mem/physmap_priv.h"

#define WAIT_MS 10

enum page_class { PAGE_IDENTITY, PAGE_ALIASED, PAGE_NEEDS_ALIAS, PAGE_BUSY };

static enum page_class classify(struct physmap *pm, struct region *r, uint32_t p, uint64_t *pa)
{
	uint64_t own = r->base + ((uint64_t)p << PAGE_LG2), alias = alias_at(r, p);
	uintptr_t host;

	*pa = own;
	if (alias) {
		*pa = alias;
		host = host_of(region_at(pm, alias), page_in_region(alias));
		return host_busy(host) ? PAGE_BUSY : PAGE_ALIASED;
	}
	if (r->kind != REGION_PRIVATE || pa_in_hole(own))
		return PAGE_NEEDS_ALIAS;
	host = host_of(r, p);
	if (host_busy(host))
		return PAGE_BUSY;
	return host ? PAGE_NEEDS_ALIAS : PAGE_IDENTITY;
}

/* How many pages from @p on, at most @max, are of one class and consecutive; >= 1. */
static uint32_t stretch(struct physmap *pm, struct region *r, uint32_t p, uint32_t max,
			enum page_class *class, uint64_t *pa)
{
	uint32_t n = 1;

	*class = classify(pm, r, p, pa);
	for (; n < max; n++) {
		uint64_t next_pa;
		enum page_class next = classify(pm, r, p + n, &next_pa);

		if (next != *class ||
		    (next == PAGE_ALIASED && next_pa != *pa + ((uint64_t)n << PAGE_LG2)))
			break;
		/* An alias run must not leave its region. */
		if (next == PAGE_ALIASED && !page_in_region(next_pa))
			break;
	}
	return n;
}

/* New frames in the alias window for @n pages of @r from @p on. */
static int pin_new_alias(struct physmap *pm, struct region *r, uint32_t p, uint32_t n, uint64_t *pa)
{
	uint64_t va = r->base + ((uint64_t)p << PAGE_LG2);
	struct region *ar;
	uint32_t first;
	int rc;

	rc = alias_ensure(pm, r, p, n);
	if (!rc)
		rc = alias_alloc(pm, va, n, &ar, &first);
	if (rc)
		return rc;
	*pa = ar->base + ((uint64_t)first << PAGE_LG2);
	for (uint32_t i = 0; i < n; i++) {
		host_set(ar, first + i, (uintptr_t)(va + ((uint64_t)i << PAGE_LG2)));
		alias_bind(r, p + i, *pa + ((uint64_t)i << PAGE_LG2));
	}
	pins_add(ar, first, n, 1);
	return 0;
}

/* How many of the @max pages from @va on may be pinned now (marks_hold()). */
static uint32_t not_held(const struct physmap *pm, uint64_t va, uint32_t max)
{
	if (likely(!pm->held_len))
		return max;
	if (va - pm->held_va < pm->held_len)
		return 0;
	return pm->held_va > va ? (uint32_t)min_u64(max, (pm->held_va - va) >> PAGE_LG2) : max;
}

/* One stretch. Pages pinned; 0: no room in the sink; -ENOMEM; -EAGAIN: being moved. */
static long pin_stretch(struct physmap *pm, struct region *r, uint32_t p, uint32_t max,
			struct run_sink *sink)
{
	enum page_class class;
	struct region *pr;
	uint64_t pa;
	uint32_t n;

	max = not_held(pm, r->base + ((uint64_t)p << PAGE_LG2), max);
	if (!max)
		return -EAGAIN;
	n = stretch(pm, r, p, max, &class, &pa);
	if (class == PAGE_BUSY)
		return -EAGAIN;
	if (class == PAGE_NEEDS_ALIAS) {
		int rc;

		if (!sink_has_room(sink, PHYS_END)) /* the address is not known yet */
			return 0;
		rc = pin_new_alias(pm, r, p, n, &pa);
		if (rc)
			return rc;
		sink_add(sink, pa, n);
		return n;
	}
	if (!sink_has_room(sink, pa))
		return 0;
	pr = class == PAGE_IDENTITY ? r : region_at(pm, pa);
	pins_add(pr, page_in_region(pa), n, 1);
	sink_add(sink, pa, n);
	return n;
}

static long pin_odd(struct physmap *pm, struct region *r, uint32_t p, uint32_t n,
		    struct run_sink *sink)
{
	uint32_t done = 0;
	long got = 1;

	physmap_lock(pm);
	while (done < n && got) {
		uint32_t word = atomic_load_explicit(&pm->settled, memory_order_acquire);

		got = pin_stretch(pm, r, p + done, n - done, sink);
		if (got == -EAGAIN) {
			physmap_unlock(pm);
			futex_wait_ms(&pm->settled, word, WAIT_MS);
			physmap_lock(pm);
			continue;
		}
		if (got < 0)
			break;
		done += (uint32_t)got;
	}
	physmap_unlock(pm);
	return done ? (long)done : got;
}

long frames_pin(struct physmap *pm, struct region *r, uint64_t va, uint32_t n,
		struct run_sink *sink)
{
	uint32_t p = page_in_region(va);

	if (!atomic_load_explicit(&r->head.odd, memory_order_relaxed)) {
		if (!sink_has_room(sink, va))
			return 0;
		pins_add(r, p, n, 1);
		/* Pairs with relocation, which raises odd and then reads the pins. */
		if (likely(!atomic_load_explicit(&r->head.odd, memory_order_seq_cst))) {
			sink_add(sink, va, n);
			return n;
		}
		pins_add(r, p, n, UINT32_MAX);
		frames_dropped(pm, r, p, n);
	}
	return pin_odd(pm, r, p, n, sink);
}

/* Hidden pages that lost their frame, collected so that one call gives them back. */
struct hidden_run {
	struct hidden *h;
	uintptr_t host;
	size_t n;
};

static void hidden_run_flush(struct hidden_run *run)
{
	if (run->h)
		hidden_put_pages(run->h, run->host, run->n);
	run->h = NULL;
}

static void hidden_run_add(struct hidden_run *run, struct hidden *h, uintptr_t host)
{
	if (run->h == h && run->host + (run->n << PAGE_LG2) == host) {
		run->n++;
		return;
	}
	hidden_run_flush(run);
	*run = (struct hidden_run){ .h = h, .host = host, .n = 1 };
}

/* The frame at page @p of @r has no pin. */
static void drop_frame(struct physmap *pm, struct region *r, uint32_t p, uintptr_t host,
		       struct hidden_run *run)
{
	struct chunk_hid *hc = r->hids[p / CHUNK_PAGES];
	struct hidden *h = hc ? hc->hid[p % CHUNK_PAGES] : NULL;

	if (h) {
		hc->hid[p % CHUNK_PAGES] = NULL;
		hidden_run_add(run, h, host);
		pm->moved_pages--;
	} else if (r->kind != REGION_FILE) {
		alias_unbind(pm, host);
	}
	host_set(r, p, 0);
	if (r->kind == REGION_PRIVATE)
		atomic_fetch_sub(&r->head.odd, 1);
	else if (r->kind == REGION_ALIAS)
		alias_free(pm, r, 1);
}

void frames_dropped(struct physmap *pm, struct region *r, uint32_t first, uint32_t n)
{
	struct hidden_run run = { NULL };
	uint64_t file_pages = 0;

	physmap_lock(pm);
	for (uint32_t p = first, end = first + n; p < end; p++) {
		uintptr_t host;

		if (!atomic_load_explicit(&r->hosts[p / CHUNK_PAGES], memory_order_relaxed)) {
			p |= CHUNK_PAGES - 1;
			continue;
		}
		host = host_of(r, p);
		/* A frame that is being moved is looked after by who moves it. */
		if (!host || host_busy(host) || pins_of(r, p))
			continue;
		drop_frame(pm, r, p, host, &run);
		file_pages += r->kind == REGION_FILE;
	}
	hidden_run_flush(&run);
	if (file_pages)
		files_dropped(pm, r->file, file_pages);
	physmap_unlock(pm);
}

void frames_wake(struct physmap *pm)
{
	atomic_fetch_add_explicit(&pm->settled, 1, memory_order_release);
	futex_wake(&pm->settled, INT32_MAX);
}

/* The host address of a page of @r as DMA sees it: 0 no frame, HOST_BUSY. */
static uintptr_t effective(struct region *r, uint32_t p)
{
	uintptr_t host = host_of(r, p);
	uint64_t pa = r->base + ((uint64_t)p << PAGE_LG2);

	if (host || r->kind != REGION_PRIVATE || pa_in_hole(pa))
		return host;
	return (uintptr_t)pa;
}

void *physmap_ptr_odd(struct physmap *pm, uint64_t pa, size_t *len)
{
	struct region *r = pa < PHYS_END ? region_at(pm, pa) : NULL;
	uint32_t p = page_in_region(pa);
	size_t got = PAGE_SIZE - (pa & PAGE_MASK);
	uintptr_t host, next;

	if (!r)
		return NULL;
	host = effective(r, p);
	if (!host || host_busy(host))
		return NULL;
	for (next = host + PAGE_SIZE; got < *len && ++p < REGION_PAGES; next += PAGE_SIZE) {
		if (effective(r, p) != next)
			break;
		got += PAGE_SIZE;
	}
	if (*len > got)
		*len = got;
	return (void *)(host + (pa & PAGE_MASK));
}

bool physmap_settle(struct physmap *pm, uint64_t pa)
{
	struct region *r = pa < PHYS_END ? region_at(pm, pa) : NULL;
	uint32_t p = page_in_region(pa);

	if (!r)
		return false;
	for (;;) {
		uint32_t word = atomic_load_explicit(&pm->settled, memory_order_acquire);
		uintptr_t host = host_of(r, p);

		if (!host_busy(host))
			return host || (r->kind == REGION_PRIVATE && pins_of(r, p));
		futex_wait_ms(&pm->settled, word, WAIT_MS);
	}
}

void physmap_unpin(struct physmap *pm, const struct phys_run *run, bool dirty)
{
	uint64_t pa = run->pa, left = run->npages;

	(void)dirty; /* the kernel tracks what was written: DMA goes through its mappings */
	while (left) {
		struct region *r = region_at(pm, pa);
		uint32_t p = page_in_region(pa);
		uint32_t n = (uint32_t)min_u64(left, REGION_PAGES - p);

		if (BUG_ON(!r))
			return;
		if (n == 1)
			pins_add_one(r, p, UINT32_MAX);
		else
			pins_add(r, p, n, UINT32_MAX);
		if (unlikely(atomic_load_explicit(&r->head.odd, memory_order_seq_cst)))
			frames_dropped(pm, r, p, n);
		pa += (uint64_t)n << PAGE_LG2;
		left -= n;
	}
}

void frames_undo(struct physmap *pm, struct run_sink *sink, uint64_t npages)
{
	while (npages) {
		struct phys_run *last = &sink->runs[sink->n - 1], tail;

		tail.npages = min_u64(npages, last->npages);
		last->npages -= tail.npages;
		tail.pa = last->pa + (last->npages << PAGE_LG2);
		if (!last->npages)
			sink->n--;
		npages -= tail.npages;
		physmap_unpin(pm, &tail, false);
	}
}

uint32_t physmap_pins(struct physmap *pm, uint64_t pa)
{
	struct region *r = pa < PHYS_END ? region_at(pm, pa) : NULL;

	return r ? pins_of(r, page_in_region(pa)) : 0;
}
