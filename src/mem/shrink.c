// SPDX-License-Identifier: MIT
/*
 * Truncation under a pin: pages that the client cuts off a file stay the device's.
 *
 * The steps are those of relocation (reloc.c), with the object's pages in place of addresses: mark
 * busy, fence, copy to hidden memory, commit. Afterwards those frames belong to no page of the
 * file, so their slices are retired: should the file grow again, its pages get other addresses.
 */
#include <errno.h>
#include <linux/stat.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "base/pool.h"
#include "base/sys.h"
#include "base/why.h"
#include "mem/fence.h"
#include "mem/files.h"
#include "mem/guard.h"
#include "mem/mm.h"
#include "mem/reloc.h"

#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif

/* What is cut off an object. */
struct cut {
	uint64_t dev, ino;
	uint64_t first, last; /* pages of the file */
};

/* Consecutive frames of one region that lose their file. */
struct orphans {
	struct orphans *next;
	struct physmap *pm;
	struct phys_file *file;
	struct slices *slices;
	struct region *r;
	uint32_t p, n;
	uint64_t off; /* of the first in the file, bytes */
	struct hidden *hidden;
};

/* A frame with its bytes in the file. */
static bool has_file(struct region *r, uint32_t p)
{
	struct chunk_hid *hc = r->hids[p / CHUNK_PAGES];

	return host_of(r, p) && !(hc && hc->hid[p % CHUNK_PAGES]);
}

static int orphan_run(struct orphans **list, const struct orphans *what)
{
	struct orphans *o = mem_alloc(sizeof(*o));
	int rc;

	if (!o)
		return refuse(ENOMEM, "no memory to keep %u pinned pages of a file", what->n);
	*o = *what;
	o->hidden = NULL;
	rc = hid_ensure(o->pm, o->r, o->p, o->n);
	if (!rc) {
		o->hidden = hidden_create(0, o->n);
		if (!o->hidden)
			rc = refuse(ENOMEM, "no memory to keep %u pinned pages of a file", o->n);
	}
	if (rc) {
		mem_free(o);
		return rc;
	}
	for (uint32_t i = 0; i < o->n; i++)
		host_set(o->r, o->p + i, HOST_BUSY);
	o->next = *list;
	*list = o;
	return 0;
}

/* Marks the frames of one slice; @what: its map, file, slices and region. */
static int orphan_slice(struct orphans *what, uint64_t slice, const struct cut *cut,
			struct orphans **list)
{
	uint64_t base = slice << (SLICE_LG2 - PAGE_LG2);
	uint32_t p = cut->first > base ? (uint32_t)(cut->first - base) : 0;
	uint32_t last = (uint32_t)min_u64(cut->last - base, REGION_PAGES - 1);
	int rc = 0;

	for (; p <= last && !rc; p++) {
		if (!atomic_load_explicit(&what->r->hosts[p / CHUNK_PAGES], memory_order_relaxed)) {
			p |= CHUNK_PAGES - 1;
			continue;
		}
		if (!has_file(what->r, p))
			continue;
		for (what->n = 1; p + what->n <= last; what->n++) {
			uint32_t q = p + what->n;

			/* A chunk without host addresses ends the run, too: host_of() is 0. */
			if (!has_file(what->r, q))
				break;
		}
		what->p = p;
		what->off = (base + p) << PAGE_LG2;
		rc = orphan_run(list, what);
		p += what->n;
	}
	return rc;
}

static int orphan_file(struct physmap *pm, const struct cut *cut, struct orphans **list)
{
	struct phys_file *f;
	int rc = 0;

	physmap_lock(pm);
	f = file_find(pm, cut->dev, cut->ino);
	for (struct slices *s = f ? f->slices : NULL; s && !rc; s = s->next) {
		uint64_t from = max_u64(s->first, cut->first >> (SLICE_LG2 - PAGE_LG2));
		uint64_t to = min_u64(s->first + s->n - 1, cut->last >> (SLICE_LG2 - PAGE_LG2));

		/* Retired ones too: frames that no cut has met yet have their bytes in the file. */
		for (uint64_t i = from; i <= to && !rc; i++) {
			struct orphans what = { .pm = pm, .file = f, .slices = s };

			what.r = region_at(pm, s->pa + ((i - s->first) << SLICE_LG2));
			if (what.r)
				rc = orphan_slice(&what, i, cut, list);
		}
	}
	physmap_unlock(pm);
	return rc;
}

/* Where the file's page at @off is mapped by us; its extent stays while a frame is busy. */
static uintptr_t mapped_at(const struct orphans *o, uint64_t off)
{
	struct extent *e;
	uintptr_t host;

	physmap_lock(o->pm);
	e = extent_find(o->file, off, true);
	host = e ? (uintptr_t)e->host + (off - e->off) : 0;
	physmap_unlock(o->pm);
	return host;
}

/*
 * Where the page of @o at @off goes, and in whose memory: with the first run of the list that has
 * it. There are several where maps share a file, or slices were retired; they stay one memory.
 */
static uintptr_t keeps(const struct orphans *list, const struct orphans *o, uint64_t off,
		       struct hidden **whose)
{
	while (list != o && off - list->off >= (uint64_t)list->n << PAGE_LG2)
		list = list->next;
	*whose = list->hidden;
	return (uintptr_t)hidden_base(list->hidden) + (off - list->off);
}

static void copy_orphans(const struct orphans *list, const struct orphans *o)
{
	for (uint32_t i = 0; i < o->n; i++) {
		uint64_t off = o->off + ((uint64_t)i << PAGE_LG2);
		struct hidden *whose;
		void *to = (void *)keeps(list, o, off, &whose);

		if (whose == o->hidden &&
		    guard_copy(to, (const void *)mapped_at(o, off), PAGE_SIZE))
			sys_mprotect(to, PAGE_SIZE, PROT_NONE);
	}
}

static void commit(const struct orphans *list, const struct orphans *o)
{
	uint64_t gone = 0, off = o->off;

	physmap_lock(o->pm);
	o->slices->retired = true;
	hidden_refs_begin();
	for (uint32_t p = o->p; p < o->p + o->n; p++, off += PAGE_SIZE) {
		struct hidden *whose;
		uintptr_t host = keeps(list, o, off, &whose);

		if (!pins_of(o->r, p)) {
			host_set(o->r, p, 0);
			gone++;
			continue;
		}
		hidden_ref_page(whose, host);
		o->r->hids[p / CHUNK_PAGES]->hid[p % CHUNK_PAGES] = whose;
		host_set(o->r, p, host);
		o->pm->moved_pages++;
	}
	hidden_refs_end();
	if (gone)
		files_dropped(o->pm, o->file, gone);
	physmap_unlock(o->pm);
}

/* Nothing happens to the file: frames have their bytes there again. */
static void undo(const struct orphans *o)
{
	uint64_t gone = 0;

	for (uint32_t i = 0; i < o->n; i++) {
		uintptr_t host = mapped_at(o, o->off + ((uint64_t)i << PAGE_LG2));

		physmap_lock(o->pm);
		if (!pins_of(o->r, o->p + i)) {
			host = 0;
			gone++;
		}
		host_set(o->r, o->p + i, host);
		physmap_unlock(o->pm);
	}
	if (gone) {
		physmap_lock(o->pm);
		files_dropped(o->pm, o->file, gone);
		physmap_unlock(o->pm);
	}
}

static int shrink(const struct cut *cut)
{
	struct orphans *list = NULL, *next;
	uint64_t saved;
	int rc = 0;

	reloc_begin(&saved);
	for (struct physmap *pm = maps_first(); pm && !rc; pm = pm->next)
		rc = orphan_file(pm, cut, &list);
	if (list && !rc)
		fence_wait_all();
	for (struct orphans *o = list; o; o = o->next) {
		if (rc) {
			undo(o);
		} else {
			copy_orphans(list, o);
			commit(list, o);
		}
	}
	for (struct orphans *o = list; o; o = next) {
		next = o->next;
		hidden_put(o->hidden);
		mem_free(o);
	}
	reloc_end(&saved);
	return rc;
}

static bool pinned_anywhere(const struct cut *cut)
{
	bool found = false;

	for (struct physmap *pm = maps_first(); pm && !found; pm = pm->next) {
		struct phys_file *f;

		physmap_lock(pm);
		f = file_find(pm, cut->dev, cut->ino);
		found = f && f->pinned;
		physmap_unlock(pm);
	}
	return found;
}

int mm_file_shrinking(int fd, uint64_t off, uint64_t len)
{
	struct cut cut;
	struct statx st;
	int rc = 0;

	if (!len || !maps_walk_begin())
		return 0;
	if (!sys_call(SYS_statx, fd, (long)"", AT_EMPTY_PATH, STATX_INO, (long)&st, 0)) {
		cut.dev = makedev(st.stx_dev_major, st.stx_dev_minor);
		cut.ino = st.stx_ino;
		/* A page that is cut in the middle stays: the kernel clears its rest. */
		cut.first = off / PAGE_SIZE + (off % PAGE_SIZE != 0);
		cut.last = (len > UINT64_MAX - off ? UINT64_MAX : off + len) / PAGE_SIZE;
		if (cut.last > cut.first && pinned_anywhere(&cut)) {
			cut.last--;
			rc = shrink(&cut);
		}
	}
	maps_walk_end();
	return rc;
}
