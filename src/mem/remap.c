// SPDX-License-Identifier: MIT
/*
 * mremap(2) of pinned memory: the frames go where the client moves their bytes.
 *
 * The call is made here, between marking the frames and giving them their new host address, so no
 * device ever looks at an address where the bytes are not. If the kernel would choose the new
 * address, it is reserved first, because bookkeeping for it must exist before the call.
 */
#include <errno.h>
#include <sys/mman.h>

#include "base/fault.h"
#include "base/sys.h"
#include "base/why.h"
#include "mem/fence.h"
#include "mem/mm.h"
#include "mem/reloc.h"
#include "mem/vma.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

struct remap {
	uint64_t old, old_len, new, new_len; /* bytes, whole pages */
	int flags;
};

static uint64_t moved_len(const struct remap *m)
{
	return min_u64(m->old_len, m->new_len);
}

/* Room for aliases of what is marked, at its new addresses. */
static int prepare(const struct remap *m, const struct runs *runs)
{
	int rc = 0;

	for (struct physmap *pm = maps_first(); pm; pm = pm->next) {
		physmap_lock(pm);
		for (struct run *r = runs->first; r && !rc; r = r->next)
			for (uint64_t i = 0; i < r->npages && !rc; i++) {
				uint64_t va = r->va + (i << PAGE_LG2) - m->old + m->new;
				struct region *nr = region_get(pm, va);

				rc = nr ? alias_ensure(pm, nr, page_in_region(va), 1)
					: refuse(ENOMEM, "no memory to follow mremap to %#llx",
						 (unsigned long long)va);
			}
		physmap_unlock(pm);
		if (rc)
			return rc;
	}
	return 0;
}

/* The bytes of the frame at @va are at @to now. */
static void follow_page(struct physmap *pm, uint64_t va, uint64_t to)
{
	struct region *r = region_at(pm, va), *fr, *nr;
	bool aliased;
	uint32_t fp;
	uint64_t pa;

	if (!r)
		return;
	fr = frame_of(pm, r, page_in_region(va), &fp, &aliased);
	if (!frame_marked(fr, fp, aliased))
		return;
	if (!pins_of(fr, fp)) {
		frame_release(pm, fr, fp, va, aliased);
		return;
	}
	pa = fr->base + ((uint64_t)fp << PAGE_LG2);
	if (aliased)
		alias_unbind(pm, va);
	if (pa == to) { /* home again */
		host_set(fr, fp, 0);
		atomic_fetch_sub(&fr->head.odd, 1);
		return;
	}
	nr = region_at(pm, to);
	alias_bind(nr, page_in_region(to), pa);
	host_set(fr, fp, (uintptr_t)to);
}

static void follow(const struct remap *m, const struct runs *runs)
{
	for (struct physmap *pm = maps_first(); pm; pm = pm->next) {
		physmap_lock(pm);
		for (struct run *r = runs->first; r; r = r->next)
			for (uint64_t i = 0; i < r->npages; i++) {
				uint64_t va = r->va + (i << PAGE_LG2);

				follow_page(pm, va, va - m->old + m->new);
			}
		physmap_unlock(pm);
	}
}

/* The move itself, to m->new, where no pin comes between, with frames following. */
static int move_held(const struct remap *m)
{
	uint64_t last = m->old + moved_len(m) - 1;
	struct runs runs = { NULL, NULL };
	void *out;
	int rc = marks_set(m->old, last, &runs);

	if (!rc)
		rc = prepare(m, &runs);
	if (!rc) {
		fence_wait_all();
		rc = fault_point() ? -ENOMEM
				   : sys_mremap((void *)m->old, m->old_len, m->new_len,
						m->flags | MREMAP_MAYMOVE | MREMAP_FIXED,
						(void *)m->new, &out);
		if (rc)
			refuse(-rc, "mremap of pinned memory at %#llx failed",
			       (unsigned long long)m->old);
	}
	if (rc)
		marks_clear(m->old, last);
	else
		follow(m, &runs);
	runs_free(&runs);
	return rc;
}

static int move(const struct remap *m)
{
	uint64_t last = m->new + moved_len(m) - 1, saved;
	int rc;

	reloc_begin(&saved);
	rc = marks_hold(m->new, last);
	if (!rc) {
		/* Whoever has pinned something there since vma_unmapping() keeps that. */
		rc = reloc_away(m->new, last);
		if (!rc)
			rc = move_held(m);
		marks_unhold(m->new, last);
	}
	reloc_end(&saved);
	return rc;
}

static int move_anywhere(struct remap *m)
{
	void *place;
	int rc = fault_point()
			 ? -ENOMEM
			 : sys_mmap(NULL, m->new_len, PROT_NONE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0, &place);

	if (rc)
		return refuse(-rc, "no %llu bytes of addresses for mremap",
			      (unsigned long long)m->new_len);
	m->new = (uintptr_t)place;
	/* A frame may stand for that address still, if the client unmapped it behind our back. */
	rc = vma_unmapping(m->new, m->new_len);
	if (!rc)
		rc = move(m);
	if (rc)
		sys_munmap(place, m->new_len);
	return rc;
}

static int remap_pinned(struct remap *m, uint64_t new_addr)
{
	void *out;
	int rc;

	if (unlikely(physmap_inside))
		return refuse_inside(m->old);
	if (!(m->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP))) {
		rc = sys_mremap((void *)m->old, m->old_len, m->new_len, 0, NULL, &out);
		if (!rc || !(m->flags & MREMAP_MAYMOVE)) {
			m->new = m->old;
			return rc;
		}
	}
	if (!(m->flags & MREMAP_FIXED))
		return move_anywhere(m);
	m->new = new_addr;
	rc = vma_unmapping(m->new, m->new_len);
	return rc ? rc : move(m);
}

/* The kernel would refuse it, whatever is pinned: nothing may be moved for it. */
static bool hopeless(const struct remap *m, uint64_t new_addr)
{
	if (m->flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP))
		return true;
	if ((m->flags & MREMAP_DONTUNMAP) &&
	    (!(m->flags & MREMAP_MAYMOVE) || m->old_len != m->new_len))
		return true;
	if (m->old & PAGE_MASK || !m->new_len || m->old >= PHYS_IDENTITY_END ||
	    m->old_len > PHYS_IDENTITY_END - m->old || m->new_len > PHYS_IDENTITY_END)
		return true;
	if (!(m->flags & MREMAP_FIXED))
		return false;
	return new_addr & PAGE_MASK || !(m->flags & MREMAP_MAYMOVE) ||
	       new_addr >= PHYS_IDENTITY_END || m->new_len > PHYS_IDENTITY_END - new_addr ||
	       ranges_meet(m->old, m->old + max_u64(m->old_len, 1) - 1, new_addr,
			   new_addr + m->new_len - 1);
}

static int plain(const struct remap *m, uint64_t new_addr, uint64_t *out)
{
	void *p;
	int rc = sys_mremap((void *)m->old, m->old_len, m->new_len, m->flags, (void *)new_addr, &p);

	if (!rc)
		*out = (uintptr_t)p;
	return rc;
}

int vma_remap(uint64_t old, uint64_t old_len, uint64_t new_len, int flags, uint64_t new_addr,
	      uint64_t *out)
{
	struct remap m = { .old = old, .flags = flags };
	int rc = 0;

	if (!align_up(old_len, PAGE_SIZE, &m.old_len) || !align_up(new_len, PAGE_SIZE, &m.new_len))
		return -EINVAL;
	if (hopeless(&m, new_addr))
		return plain(&m, new_addr, out);
	if (m.new_len < m.old_len)
		rc = vma_unmapping(old + m.new_len, m.old_len - m.new_len);
	if (rc)
		return rc;
	if (m.old_len && vma_pinned(old, moved_len(&m))) {
		rc = remap_pinned(&m, new_addr);
	} else {
		if (flags & MREMAP_FIXED)
			rc = vma_unmapping(new_addr, m.new_len);
		if (!rc)
			rc = plain(&m, new_addr, &m.new);
	}
	if (vma_tracking()) {
		vma_rescan(old, m.old_len);
		if (!rc)
			vma_rescan(m.new, m.new_len);
		else if (flags & MREMAP_FIXED)
			vma_rescan(new_addr, m.new_len);
	}
	if (!rc)
		*out = m.new;
	return rc;
}
