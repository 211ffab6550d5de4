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
 * It may run where the client's allocator is at work, or was interrupted by a signal: nothing here
 * calls it. If the engine itself was interrupted, with the map's lock held, the move is refused.
 *
 * Which map has a page pinned does not matter for the bytes: all maps of the process share one
 * hidden page.
 */
#include "mem/reloc.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/fault.h"
#include "base/sys.h"
#include "base/why.h"
#include "mem/fence.h"
#include "mem/guard.h"
#include "mem/mm.h"
#include "mem/vma.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

#define COPY_MAX (64 * KIB) /* below this copying is cheaper than moving (5 us and two flushes) */

static void commit_run(struct physmap *pm, const struct run *run)
{
	uintptr_t host = (uintptr_t)hidden_base(run->hidden);

	physmap_lock(pm);
	hidden_refs_begin();
	for (size_t i = 0; i < run->npages; i++, host += PAGE_SIZE) {
		uint64_t va = run->va + ((uint64_t)i << PAGE_LG2);
		struct region *r = region_at(pm, va), *fr;
		bool aliased;
		uint32_t fp;

		if (!r)
			continue;
		fr = frame_of(pm, r, page_in_region(va), &fp, &aliased);
		if (!frame_marked(fr, fp, aliased))
			continue;
		if (!pins_of(fr, fp)) {
			frame_release(pm, fr, fp, va, aliased);
			continue;
		}
		hidden_ref_page(run->hidden, host);
		fr->hids[fp / CHUNK_PAGES]->hid[fp % CHUNK_PAGES] = run->hidden;
		host_set(fr, fp, host);
		pm->moved_pages++;
		if (aliased)
			alias_unbind(pm, va);
	}
	hidden_refs_end();
	physmap_unlock(pm);
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

int reloc_away(uint64_t va, uint64_t last)
{
	struct runs runs = { NULL, NULL };
	int rc = marks_set(va, last, &runs);

	if (!rc)
		rc = prepare(&runs);
	if (!rc && runs.first) {
		fence_wait_all();
		for (struct run *r = runs.first; r; r = r->next) {
			move_run(r);
			for (struct physmap *pm = maps_first(); pm; pm = pm->next)
				commit_run(pm, r);
		}
	}
	if (rc)
		marks_clear(va, last);
	runs_free(&runs);
	return rc;
}

static int relocate(uint64_t va, uint64_t last)
{
	uint64_t saved;
	int rc;

	reloc_begin(&saved);
	rc = reloc_away(va, last);
	reloc_end(&saved);
	return rc;
}

int refuse_inside(uint64_t va)
{
	return refuse(ENOMEM, "pinned memory at %#llx from a signal handler inside the engine",
		      (unsigned long long)va);
}

static int move_away(uint64_t va, uint64_t last)
{
	int rc = 0;

	if (!maps_walk_begin())
		return 0;
	if (unlikely(marks_needed(va, last)))
		rc = physmap_inside ? refuse_inside(va) : relocate(va, last);
	maps_walk_end();
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

	if (!page_range(&va, len, &last) || !maps_walk_begin())
		return false;
	found = marks_present(va, last);
	maps_walk_end();
	return found;
}
