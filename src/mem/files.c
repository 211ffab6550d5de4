// SPDX-License-Identifier: MIT
/*
 * File window: frames of shared memory, by backing object and offset.
 *
 * An object (device, inode) gets whole regions of the window for slices of 1 GiB of its file, so
 * the alignment of offsets is preserved; slices that follow each other are kept together where
 * that is possible. The engine maps what is pinned once more for itself (an extent), so the
 * client's munmap does not matter. Extents and slices live until the object's last pin goes.
 *
 * I1  pinned == pages of the object's regions with a host address.
 * I2  an object exists while pinned > 0 or somebody holds a handle.
 * All of it is guarded by the map's lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/fault.h"
#include "base/pool.h"
#include "base/sys.h"
#include "base/why.h"
#include "mem/files.h"
#include "mem/vma.h"

static uint32_t window_regions(const struct physmap *pm)
{
	return (uint32_t)((pm->win[WIN_FILE].last - pm->win[WIN_FILE].base + 1) >> REGION_LG2);
}

int files_init(struct physmap *pm)
{
	pm->slices = mem_zalloc((window_regions(pm) + 63) / 64 * sizeof(pm->slices[0]));
	return pm->slices ? 0 : refuse(ENOMEM, "no memory for the file window");
}

static bool slice_used(const struct physmap *pm, uint64_t i)
{
	return pm->slices[i / 64] >> (i % 64) & 1;
}

static void slice_mark(struct physmap *pm, uint64_t first, uint64_t n, bool used)
{
	for (uint64_t i = first; i < first + n; i++)
		if (used)
			pm->slices[i / 64] |= 1ull << (i % 64);
		else
			pm->slices[i / 64] &= ~(1ull << (i % 64));
}

/* First free run of @n regions at or after @from, below @end; @end when there is none. */
static uint64_t slice_search(const struct physmap *pm, uint64_t n, uint64_t from, uint64_t end)
{
	uint64_t run = 0;

	for (uint64_t i = from; i < end; i++) {
		run = slice_used(pm, i) ? 0 : run + 1;
		if (run == n)
			return i + 1 - n;
	}
	return end;
}

static int slice_alloc(struct physmap *pm, uint64_t n, uint64_t *first)
{
	uint64_t end = window_regions(pm), at = end;

	if (n > end)
		return -ENOMEM;
	at = slice_search(pm, n, pm->slice_next, end);
	if (at == end)
		at = slice_search(pm, n, 0, end);
	if (at == end)
		return -ENOMEM;
	slice_mark(pm, at, n, true);
	pm->slice_next = (uint32_t)(at + n);
	*first = at;
	return 0;
}

static const struct slices *slices_find(const struct phys_file *f, uint64_t slice)
{
	for (const struct slices *s = f->slices; s; s = s->next)
		if (!s->retired && slice - s->first < s->n)
			return s;
	return NULL;
}

/*
 * Window addresses for the slices [first, first + n) around @slice that have none; only for
 * @slice where that many do not fit.
 */
static int slices_create(struct physmap *pm, struct phys_file *f, uint64_t slice, uint64_t first,
			 uint64_t n)
{
	struct slices *s = mem_alloc(sizeof(*s));
	uint64_t at, last = first + n - 1;

	if (!s)
		return refuse(ENOMEM, "no memory for a slice of a file");
	for (const struct slices *o = f->slices; o; o = o->next) {
		if (o->retired)
			continue;
		if (o->first + o->n <= slice && o->first + o->n > first)
			first = o->first + o->n;
		if (o->first > slice && o->first <= last)
			last = o->first - 1;
	}
	n = last - first + 1;
	if (slice_alloc(pm, n, &at)) {
		first = slice;
		n = 1;
		if (slice_alloc(pm, n, &at)) {
			mem_free(s);
			return refuse(ENOMEM, "the file window is full");
		}
	}
	*s = (struct slices){ .next = f->slices,
			      .first = first,
			      .n = n,
			      .pa = pm->win[WIN_FILE].base + (at << REGION_LG2) };
	f->slices = s;
	return 0;
}

/* The output address of file offset @off, page aligned. */
static int pa_of(struct physmap *pm, struct phys_file *f, const struct file_src *src, uint64_t off,
		 uint64_t *pa)
{
	const struct slices *s = slices_find(f, off >> SLICE_LG2);

	if (!s) {
		uint64_t first = src->off >> SLICE_LG2;
		uint64_t last = (src->off + src->len - 1) >> SLICE_LG2;
		int rc = slices_create(pm, f, off >> SLICE_LG2, first, last - first + 1);

		if (rc)
			return rc;
		s = slices_find(f, off >> SLICE_LG2);
	}
	*pa = s->pa + (off - (s->first << SLICE_LG2));
	return 0;
}

struct extent *extent_find(const struct phys_file *f, uint64_t off, bool write)
{
	struct extent *found = NULL;

	for (struct extent *e = f->extents; e; e = e->next)
		if (off - e->off < e->len) {
			if (e->writable || !write)
				return e;
			found = e;
		}
	return found;
}

/* A second mapping of what the client maps at @va. Writable where the file allows it. */
static int map_again(uint64_t va, uint64_t len, char **host, bool *writable)
{
	void *mem;
	int rc = fault_point()
			 ? -ENOMEM
			 : sys_mremap((void *)(uintptr_t)va, 0, len, MREMAP_MAYMOVE, NULL, &mem);

	if (rc)
		return rc;
	*writable = !sys_mprotect(mem, len, PROT_READ | PROT_WRITE);
	if (!*writable)
		sys_mprotect(mem, len, PROT_READ);
	*host = mem;
	return 0;
}

static int map_fd(int fd, uint64_t off, uint64_t len, char **host, bool *writable)
{
	void *mem;
	int rc = -ENOMEM;

	for (int w = 1; w >= 0 && !fault_point(); w--) {
		rc = sys_mmap(NULL, len, w ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd,
			      off, &mem);
		if (!rc) {
			*host = mem;
			*writable = w;
			break;
		}
		if (rc != -EACCES && rc != -EPERM)
			break;
	}
	return rc;
}

/*
 * hugetlbfs memory cannot be mapped again from a mapping. With CAP_CHECKPOINT_RESTORE (root has
 * it) the kernel hands out the file behind it.
 */
static int map_by_link(uint64_t va, uint64_t off, uint64_t len, char **host, bool *writable)
{
	char path[64];
	struct vma_seg seg;
	int fd, rc;

	if (vma_query(va, false, &seg))
		return -EFAULT;
	snprintf(path, sizeof(path), "/proc/self/map_files/%llx-%llx",
		 (unsigned long long)seg.start, (unsigned long long)seg.last + 1);
	fd = sys_open(path, O_RDWR | O_CLOEXEC, 0);
	if (fd < 0)
		fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return -EFAULT;
	rc = map_fd(fd, off, len, host, writable);
	sys_close(fd);
	return rc;
}

/* Maps as much of the slice around @off as @src has. -EFAULT: not memory that can be shared. */
static int extent_create(struct phys_file *f, const struct file_src *src, uint64_t off)
{
	uint64_t slice = align_down(off, 1ull << SLICE_LG2);
	uint64_t from = max_u64(slice, src->off);
	uint64_t to = min_u64(slice + (1ull << SLICE_LG2), src->off + src->len);
	struct extent *e = mem_alloc(sizeof(*e));
	int rc;

	if (!e)
		return refuse(ENOMEM, "no memory for a mapping of a file");
	if (src->fd >= 0) {
		rc = map_fd(src->fd, from, to - from, &e->host, &e->writable);
	} else {
		rc = map_again(src->va + (from - src->off), to - from, &e->host, &e->writable);
		if (rc && rc != -ENOMEM && from != off) { /* something else may stand there now */
			from = off;
			rc = map_again(src->va + (from - src->off), to - from, &e->host,
				       &e->writable);
		}
		if (rc && rc != -ENOMEM) {
			from = max_u64(slice, src->off);
			rc = map_by_link(src->va + (off - src->off), from, to - from, &e->host,
					 &e->writable);
		}
	}
	if (rc) {
		mem_free(e);
		return refuse(rc == -ENOMEM ? ENOMEM : EFAULT,
			      "offset %#llx of inode %llu cannot be mapped again, error %d",
			      (unsigned long long)off, (unsigned long long)f->ino, -rc);
	}
	sys_madvise(e->host, to - from, MADV_DONTFORK);
	e->off = from;
	e->len = to - from;
	e->next = f->extents;
	f->extents = e;
	f->mixed |= !e->writable;
	return 0;
}

/* Every page of [off, off + n pages) has an extent, writable if @write and possible. */
static int extents_ensure(struct phys_file *f, const struct file_src *src, uint64_t off, uint64_t n,
			  bool write)
{
	uint64_t end = off + (n << PAGE_LG2);

	while (off < end) {
		struct extent *e = extent_find(f, off, write);

		if (!e || (write && !e->writable)) {
			int rc = extent_create(f, src, off);

			if (rc && !e)
				return rc;
			e = extent_find(f, off, write);
		}
		off = e->off + e->len;
	}
	return 0;
}

static struct phys_file **chain_of(struct physmap *pm, uint64_t dev, uint64_t ino)
{
	return &pm->files[(ino * 0x9e3779b97f4a7c15ull + dev) >> 40 & (FILE_HASH - 1)];
}

struct phys_file *file_find(struct physmap *pm, uint64_t dev, uint64_t ino)
{
	struct phys_file *f = *chain_of(pm, dev, ino);

	while (f && (f->ino != ino || f->dev != dev))
		f = f->next;
	return f;
}

static struct phys_file *file_get(struct physmap *pm, uint64_t dev, uint64_t ino)
{
	struct phys_file **chain = chain_of(pm, dev, ino), *f = file_find(pm, dev, ino);

	if (f)
		return f;
	f = mem_zalloc(sizeof(*f));
	if (!f)
		return NULL;
	f->dev = dev;
	f->ino = ino;
	f->next = *chain;
	*chain = f;
	return f;
}

static void unmap_all(struct physmap *pm, struct phys_file *f)
{
	for (struct extent *e = f->extents, *next; e; e = next) {
		next = e->next;
		sys_munmap(e->host, e->len);
		mem_free(e);
	}
	for (struct slices *s = f->slices, *next; s; s = next) {
		next = s->next;
		slice_mark(pm, (s->pa - pm->win[WIN_FILE].base) >> REGION_LG2, s->n, false);
		mem_free(s);
	}
	f->extents = NULL;
	f->slices = NULL;
	f->mixed = false;
}

/* Frees what an object without pins need not keep. */
static void file_trim(struct physmap *pm, struct phys_file *f)
{
	struct phys_file **link = chain_of(pm, f->dev, f->ino);

	if (f->pinned)
		return;
	unmap_all(pm, f);
	if (f->handles)
		return;
	while (*link != f)
		link = &(*link)->next;
	*link = f->next;
	mem_free(f);
}

void files_dropped(struct physmap *pm, struct phys_file *f, uint64_t n)
{
	f->pinned -= n;
	pm->file_pages -= n;
	file_trim(pm, f);
}

/* Pins pages of one region, whose extents and host arrays exist. Cannot fail. */
static void pin_pages(struct physmap *pm, struct phys_file *f, struct region *r, uint32_t p,
		      uint32_t n, uint64_t off, bool write)
{
	struct extent *e = NULL;

	for (uint32_t i = 0; i < n; i++, off += PAGE_SIZE) {
		uintptr_t host = host_of(r, p + i);

		if (host_busy(host) || (host && !(write && f->mixed)))
			continue;
		if (!e || off - e->off >= e->len)
			e = extent_find(f, off, write);
		if (!host) {
			f->pinned++;
			pm->file_pages++;
		}
		if (!host || e->writable)
			host_set(r, p + i, (uintptr_t)e->host + (off - e->off));
	}
	pins_add(r, p, n, 1);
}

/* Pins what lies in one slice. Pages, 0 when the sink is full, or an error. */
static long pin_slice(struct physmap *pm, struct phys_file *f, const struct file_src *src,
		      uint64_t off, uint64_t n, bool write, struct run_sink *sink)
{
	struct region *r;
	uint64_t pa;
	uint32_t p, k;
	int rc;

	rc = pa_of(pm, f, src, off, &pa);
	if (rc)
		return rc;
	if (!sink_has_room(sink, pa))
		return 0;
	r = region_get(pm, pa);
	if (!r)
		return refuse(ENOMEM, "no memory to pin at file offset %#llx",
			      (unsigned long long)off);
	p = page_in_region(pa);
	k = (uint32_t)min_u64(n, REGION_PAGES - p);
	rc = host_ensure(pm, r, p, k);
	if (!rc)
		rc = extents_ensure(f, src, off, k, write);
	if (rc)
		return rc;
	r->file = f;
	pin_pages(pm, f, r, p, k, off, write);
	sink_add(sink, pa, k);
	return k;
}

long files_pin(struct physmap *pm, const struct file_src *src, uint64_t off, uint64_t n, bool write,
	       struct run_sink *sink)
{
	struct phys_file *f;
	uint64_t done = 0;
	long got = 1;

	physmap_lock(pm);
	f = file_get(pm, src->dev, src->ino);
	if (!f)
		got = refuse(ENOMEM, "no memory for a shared object");
	while (got > 0 && done < n) {
		got = pin_slice(pm, f, src, off + (done << PAGE_LG2), n - done, write, sink);
		if (got > 0)
			done += (uint64_t)got;
	}
	if (f)
		file_trim(pm, f);
	physmap_unlock(pm);
	return done ? (long)done : got;
}

int files_handle_get(struct physmap *pm, uint64_t dev, uint64_t ino, struct phys_file **out)
{
	struct phys_file *f;

	physmap_lock(pm);
	f = file_get(pm, dev, ino);
	if (f)
		f->handles++;
	physmap_unlock(pm);
	if (!f)
		return refuse(ENOMEM, "no memory for a shared object");
	*out = f;
	return 0;
}

void files_handle_put(struct physmap *pm, struct phys_file *f)
{
	physmap_lock(pm);
	f->handles--;
	file_trim(pm, f);
	physmap_unlock(pm);
}

void files_finish(struct physmap *pm)
{
	for (unsigned i = 0; i < FILE_HASH; i++)
		(void)BUG_ON(pm->files[i]);
	mem_free(pm->slices);
}
