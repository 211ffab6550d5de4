// SPDX-License-Identifier: MIT
/*
 * Relocation: pinned pages whose address the client is about to take away.
 *
 *   mark     every pinned page of the range becomes busy: lookups answer nothing
 *   prepare  hidden memory is allocated for all of them; the last step that can fail
 *   fence    nobody who looked up the old address still uses it
 *   move     the bytes: small runs are copied, large ones moved by the kernel (DONTUNMAP)
 *   commit   frames get their new host address, or go if they were unpinned meanwhile
 *
 * Which map has a page pinned does not matter for the bytes: all maps of the process share one
 * hidden page. The registry of maps is walked without a lock (walkers), since every munmap of the
 * client asks.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/fault.h"
#include "base/pool.h"
#include "base/sys.h"
#include "base/why.h"
#include "mem/fence.h"
#include "mem/guard.h"
#include "mem/mm.h"
#include "mem/physmap_priv.h"
#include "mem/vma.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

#define COPY_MAX (64 * KIB) /* below this copying is cheaper than moving (5 us and two flushes) */
#define NAP_NS   100000

/* Consecutive pages that are moved together. */
struct run {
	struct run *next;
	uint64_t va;
	size_t npages;
	struct hidden *hidden;
};

struct runs {
	struct run *first, *tail;
};

static struct mtx lock = MTX_INIT(LOCK_RELOCATE); /* one relocation at a time; registry */
static _Atomic(struct physmap *) maps;
static _Atomic uint32_t walkers; /* threads that may look at any map */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void before_fork(void)
{
	mtx_lock(&lock);
}

static void after_fork(void)
{
	mtx_unlock(&lock);
}

/* A child's mappings are its own; the maps it inherited are the parent's. */
static void after_fork_child(void)
{
	atomic_store(&maps, NULL);
	atomic_store(&walkers, 0);
	hidden_after_fork_child();
	mtx_unlock(&lock);
}

static void init_once(void)
{
	pthread_atfork(before_fork, after_fork, after_fork_child);
}

int registry_add(struct physmap *pm)
{
	pthread_once(&once, init_once);
	mtx_lock(&lock);
	pm->next = atomic_load(&maps);
	atomic_store(&maps, pm);
	mtx_unlock(&lock);
	return 0;
}

void registry_remove(struct physmap *pm)
{
	struct timespec nap = { .tv_nsec = NAP_NS };
	struct physmap *p;

	mtx_lock(&lock);
	p = atomic_load(&maps);
	if (p == pm)
		atomic_store(&maps, pm->next);
	for (; p; p = p->next)
		if (p->next == pm)
			p->next = pm->next;
	mtx_unlock(&lock);
	/* Pairs with the increment in vma_unmapping(). */
	while (atomic_load(&walkers))
		sys_call(SYS_nanosleep, (long)&nap, 0, 0, 0, 0, 0);
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
	r = mem_alloc(sizeof(*r));
	if (!r)
		return refuse(ENOMEM, "no memory to move pinned pages at %#llx",
			      (unsigned long long)va);
	*r = (struct run){ .next = *link, .va = va, .npages = 1 };
	*link = r;
	if (!r->next)
		runs->tail = r;
	return 0;
}

/* Where the frame that has its bytes at page @p of @r is counted: an alias, or the page itself. */
static struct region *frame_of(struct physmap *pm, struct region *r, uint32_t p, uint32_t *fp)
{
	uint64_t alias = alias_at(r, p);

	*fp = alias ? page_in_region(alias) : p;
	return alias ? region_at(pm, alias) : r;
}

static int mark_page(struct physmap *pm, struct region *r, uint32_t p, struct runs *runs)
{
	uint64_t va = r->base + ((uint64_t)p << PAGE_LG2);
	uint32_t fp;
	struct region *fr = frame_of(pm, r, p, &fp);
	int rc;

	if (fr == r &&
	    (r->kind != REGION_PRIVATE || pa_in_hole(va) || host_of(r, p) || !pins_of(r, p)))
		return 0;
	rc = host_ensure(fr, fp, 1);
	if (!rc)
		rc = hid_ensure(fr, fp, 1);
	if (!rc)
		rc = runs_add(runs, va);
	if (rc)
		return rc;
	host_set(fr, fp, HOST_BUSY);
	if (fr == r)
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

	mtx_lock(&pm->lock);
	while (va <= last && !rc) {
		struct region *r = region_at(pm, va);
		uint64_t end = va | (r ? 2 * MIB - 1 : GIB - 1);

		if (end > last)
			end = last;
		if (r)
			rc = fn(pm, r, page_in_region(va), page_in_region(end) + 1, runs);
		va = end + 1;
	}
	mtx_unlock(&pm->lock);
	return rc;
}

/* The frame is not busy any more and has no pin left: it goes. */
static void release_frame(struct physmap *pm, struct region *fr, uint32_t fp, uint64_t va)
{
	host_set(fr, fp, 0);
	if (fr->kind == REGION_ALIAS) {
		alias_unbind(pm, va);
		alias_free(pm, fr, 1);
	} else {
		atomic_fetch_sub(&fr->head.odd, 1);
	}
}

static int unmark_chunk(struct physmap *pm, struct region *r, uint32_t p, uint32_t end,
			struct runs *runs)
{
	(void)runs;
	for (; p < end; p++) {
		uint64_t va = r->base + ((uint64_t)p << PAGE_LG2);
		uint32_t fp;
		struct region *fr = frame_of(pm, r, p, &fp);

		if (host_of(fr, fp) != HOST_BUSY)
			continue;
		if (fr == r || !pins_of(fr, fp)) /* in its place, where no host address is kept */
			release_frame(pm, fr, fp, va);
		else
			host_set(fr, fp, (uintptr_t)va);
	}
	return 0;
}

static void commit_run(struct physmap *pm, const struct run *run)
{
	uintptr_t host = (uintptr_t)hidden_base(run->hidden);

	mtx_lock(&pm->lock);
	hidden_refs_begin();
	for (size_t i = 0; i < run->npages; i++, host += PAGE_SIZE) {
		uint64_t va = run->va + ((uint64_t)i << PAGE_LG2);
		struct region *r = region_at(pm, va), *fr;
		uint32_t fp;

		if (!r)
			continue;
		fr = frame_of(pm, r, page_in_region(va), &fp);
		if (host_of(fr, fp) != HOST_BUSY)
			continue;
		if (!pins_of(fr, fp)) {
			release_frame(pm, fr, fp, va);
			continue;
		}
		hidden_ref_page(run->hidden, host);
		fr->hids[fp / CHUNK_PAGES]->hid[fp % CHUNK_PAGES] = run->hidden;
		host_set(fr, fp, host);
		pm->moved_pages++;
		if (fr != r)
			alias_unbind(pm, va);
	}
	hidden_refs_end();
	mtx_unlock(&pm->lock);
}

static bool move_pages(char *to, uint64_t va, size_t len)
{
	void *out;

	if (fault_point() || sys_mremap((void *)(uintptr_t)va, len, len,
					MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to, &out))
		return false;
	sys_mprotect(to, len, PROT_READ | PROT_WRITE);
	sys_madvise(to, len, MADV_DONTFORK);
	return true;
}

/*
 * Copies where it can. Pages that cannot be read (PROT_NONE) may still have bytes: the kernel moves
 * them whatever their protection. Where nothing is, DMA faults from now on.
 */
static void copy_pages(char *to, uint64_t va, size_t len)
{
	if (!guard_copy(to, (const void *)(uintptr_t)va, len))
		return;
	for (size_t at = 0; at < len; at += PAGE_SIZE)
		if (guard_copy(to + at, (const void *)(uintptr_t)(va + at), PAGE_SIZE) &&
		    !move_pages(to + at, va + at, PAGE_SIZE))
			sys_mprotect(to + at, PAGE_SIZE, PROT_NONE);
}

/* A move cannot span mappings, so the run is taken apart at their edges. */
static void move_run(const struct run *run)
{
	uint64_t va = run->va, end = va + ((uint64_t)run->npages << PAGE_LG2);
	char *base = hidden_base(run->hidden);

	while (va < end) {
		uint64_t piece = end;
		struct vma_seg seg;

		if (end - va >= COPY_MAX && !vma_query(va, false, &seg) && seg.last < end)
			piece = seg.last + 1;
		if (piece - va < COPY_MAX || !move_pages(base + (va - run->va), va, piece - va))
			copy_pages(base + (va - run->va), va, piece - va);
		va = piece;
	}
}

static int prepare(struct runs *runs)
{
	for (struct run *r = runs->first; r; r = r->next) {
		r->hidden = hidden_create(r->va, r->npages);
		if (!r->hidden)
			return refuse(ENOMEM, "no memory to keep %zu pinned pages at %#llx alive",
				      r->npages, (unsigned long long)r->va);
	}
	return 0;
}

static void runs_free(struct runs *runs)
{
	for (struct run *r = runs->first, *next; r; r = next) {
		next = r->next;
		if (r->hidden)
			hidden_put(r->hidden);
		mem_free(r);
	}
}

static int relocate_locked(uint64_t va, uint64_t last)
{
	struct physmap *first = atomic_load(&maps);
	struct runs runs = { NULL, NULL };
	int rc = 0;

	for (struct physmap *pm = first; pm && !rc; pm = pm->next)
		rc = each_chunk(pm, va, last, mark_chunk, &runs);
	if (!rc && !runs.first)
		return 0;
	if (!rc)
		rc = prepare(&runs);
	if (!rc) {
		fence_wait_all();
		for (struct run *r = runs.first; r; r = r->next) {
			move_run(r);
			for (struct physmap *pm = first; pm; pm = pm->next)
				commit_run(pm, r);
		}
	} else {
		for (struct physmap *pm = first; pm; pm = pm->next)
			each_chunk(pm, va, last, unmark_chunk, NULL);
	}
	for (struct physmap *pm = first; pm; pm = pm->next)
		frames_wake(pm);
	runs_free(&runs);
	return rc;
}

static int relocate(uint64_t va, uint64_t last)
{
	uint64_t saved;
	int rc;

	signals_hold(&saved);
	mtx_lock(&lock);
	rc = relocate_locked(va, last);
	mtx_unlock(&lock);
	signals_release(&saved);
	return rc;
}

/* Whole pages of [va, va + len) below the identity window's end; false: there are none. */
static bool page_range(uint64_t *va, uint64_t len, uint64_t *last)
{
	*va = align_down(*va, PAGE_SIZE);
	if (!len || *va >= PHYS_IDENTITY_END)
		return false;
	*last = (*va + min_u64(len, PHYS_IDENTITY_END - *va) - 1) | PAGE_MASK;
	return true;
}

/* While a walker, maps stay. False at once when there is none. */
static bool walk_begin(void)
{
	if (!atomic_load_explicit(&maps, memory_order_relaxed))
		return false;
	atomic_fetch_add(&walkers, 1);
	return true;
}

static void walk_end(void)
{
	atomic_fetch_sub(&walkers, 1);
}

static bool any_may_move(uint64_t va, uint64_t last)
{
	for (struct physmap *pm = atomic_load(&maps); pm; pm = pm->next)
		if (may_move(pm, va, last))
			return true;
	return false;
}

static int move_away(uint64_t va, uint64_t last)
{
	int rc = 0;

	if (!walk_begin())
		return 0;
	if (unlikely(any_may_move(va, last)))
		rc = relocate(va, last);
	walk_end();
	return rc;
}

int vma_unmapping(uint64_t va, uint64_t len)
{
	uint64_t last;
	int rc;

	if (!page_range(&va, len, &last))
		return 0;
	rc = move_away(va, last);
	if (!rc)
		vma_forget(va, last);
	return rc;
}

int vma_discarding(uint64_t va, uint64_t len)
{
	uint64_t last;

	return page_range(&va, len, &last) ? move_away(va, last) : 0;
}

bool vma_pinned(uint64_t va, uint64_t len)
{
	uint64_t last;
	bool found;

	if (!page_range(&va, len, &last) || !walk_begin())
		return false;
	found = any_may_move(va, last);
	walk_end();
	return found;
}
