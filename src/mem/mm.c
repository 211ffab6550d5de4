// SPDX-License-Identifier: MIT
/*
 * Address spaces: is this memory there, of which kind is it, and what frames does it get.
 *
 * Private pages are pinned first and looked at afterwards: a relocation that comes between finds
 * the pin and takes the page along, and the look then decides.
 */
#include "mem/mm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "base/fault.h"
#include "base/fd.h"
#include "base/pool.h"
#include "base/sys.h"
#include "base/why.h"
#include "mem/guard.h"
#include "mem/physmap_priv.h"
#include "mem/vma.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif

#define TOUCH_MAX       32u /* pages that are looked at one by one */
#define TMPFS_MAGIC     0x01021994
#define HUGETLBFS_MAGIC 0x958458f6

struct mm {
	struct physmap *pm;
	uint32_t refs; /* under the map's lock */
};

struct mm_file {
	struct physmap *pm;
	struct phys_file *file;
	uint64_t dev, ino;
	int fd;
};

int mm_get_self(struct physmap *pm, struct mm **out)
{
	struct mm *mm;
	int rc = guard_init();

	if (rc)
		return rc;
	physmap_lock(pm);
	mm = pm->self_mm;
	if (!mm) {
		mm = mem_zalloc(sizeof(*mm));
		if (mm)
			mm->pm = pm;
		pm->self_mm = mm;
	}
	if (mm)
		mm->refs++;
	physmap_unlock(pm);
	if (!mm)
		return refuse(ENOMEM, "no memory for an address space");
	*out = mm;
	return 0;
}

void mm_put(struct mm *mm)
{
	struct physmap *pm;
	bool last;

	if (!mm)
		return;
	pm = mm->pm;
	physmap_lock(pm);
	last = !--mm->refs;
	if (last)
		pm->self_mm = NULL;
	physmap_unlock(pm);
	if (last)
		mem_free(mm);
}

/* How many pages from @p on have memory behind them now, having given it to those that had none. */
static uint64_t populate(void *p, uint64_t npages, bool write)
{
	if (npages > TOUCH_MAX && !fault_point() &&
	    !sys_madvise(p, npages << PAGE_LG2, write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ))
		return npages;
	return guard_touch_count(p, npages, write);
}

static int not_there(uint64_t va, bool write)
{
	return refuse(EFAULT, "no %s memory at %#llx", write ? "writable" : "readable",
		      (unsigned long long)va);
}

enum look { LOOK_TOUCH, LOOK_POPULATE, LOOK_DONE };

/* Private memory at @va, at most up to the end of its GiB. Pages, 0 (sink full), or an error. */
static long pin_private(struct physmap *pm, uint64_t va, uint64_t n, bool write, enum look look,
			struct run_sink *sink)
{
	struct region *r = region_at(pm, va);
	uint64_t ok;
	long got;

	/*
	 * Bookkeeping may need new mappings, and the kernel might put them just where the client
	 * has nothing: look before, too.
	 */
	if (look == LOOK_TOUCH && (!r || atomic_load(&r->head.odd))) {
		n = guard_touch_count((void *)(uintptr_t)va, (size_t)n, write);
		if (!n)
			return not_there(va, write);
	}
	r = region_get(pm, va);
	if (!r)
		return refuse(ENOMEM, "no memory to pin at %#llx", (unsigned long long)va);
	n = min_u64(n, REGION_PAGES - page_in_region(va));
	got = frames_pin(pm, r, va, (uint32_t)n, sink);
	if (got <= 0 || look == LOOK_DONE)
		return got;
	if (look == LOOK_TOUCH)
		ok = guard_touch_count((void *)(uintptr_t)va, (size_t)got, write);
	else
		ok = populate((void *)(uintptr_t)va, (uint64_t)got, write);
	if (unlikely(ok < (uint64_t)got)) {
		frames_undo(pm, sink, (uint64_t)got - ok);
		if (!ok)
			return not_there(va, write);
	}
	return (long)ok;
}

/*
 * The engine's own mapping of the last @n pages in @sink, frames of a file: gives them memory, so
 * that DMA does not wait for it. Pages from the first on that have it.
 */
static uint64_t populate_frames(struct physmap *pm, const struct run_sink *sink, uint64_t n)
{
	uint64_t skip = 0, ok = 0;
	unsigned i = sink->n;

	for (uint64_t seen = 0; seen < n; seen += sink->runs[i].npages) {
		i--;
		if (seen + sink->runs[i].npages > n)
			skip = seen + sink->runs[i].npages - n;
	}
	for (; i < sink->n; i++, skip = 0) {
		uint64_t at = skip;

		while (at < sink->runs[i].npages) {
			uint64_t pa = sink->runs[i].pa + (at << PAGE_LG2), k;
			size_t len = (sink->runs[i].npages - at) << PAGE_LG2;
			/* Not inside a section: frames of files are never moved. */
			void *host = physmap_ptr(pm, pa, &len);

			k = populate(host, len >> PAGE_LG2, false);
			ok += k;
			at += k;
			if (k < len >> PAGE_LG2)
				return ok;
		}
	}
	return ok;
}

/* What the kernel says about @va. -EFAULT: nothing, or not with this access; -ENOMEM. */
static int ask(uint64_t va, bool write, struct vma_seg *seg)
{
	unsigned need = VMA_READ | (write ? VMA_WRITE : 0);
	int rc = vma_query(va, false, seg);

	if (rc == -ENOENT || (!rc && (seg->prot & need) != need))
		return not_there(va, write);
	if (rc)
		return refuse(ENOMEM, "the process's mappings cannot be read, error %d", -rc);
	return 0;
}

static long pin_file_pages(struct physmap *pm, const struct file_src *src, uint64_t off, uint64_t n,
			   bool write, struct run_sink *sink)
{
	long got = files_pin(pm, src, off, n, write, sink);
	uint64_t ok;

	if (got <= 0)
		return got;
	ok = populate_frames(pm, sink, (uint64_t)got);
	if (ok < (uint64_t)got)
		frames_undo(pm, sink, (uint64_t)got - ok);
	return (long)ok;
}

/* Shared memory at @va, inside @seg. */
static long pin_shared(struct physmap *pm, uint64_t va, uint64_t n, bool write,
		       const struct vma_seg *seg, struct run_sink *sink)
{
	struct file_src src = { .dev = seg->dev,
				.ino = seg->ino,
				.off = seg->off,
				.len = seg->last - seg->start + 1,
				.va = seg->start,
				.fd = -1 };
	struct vma_seg now;
	long got;

	n = min_u64(n, (seg->last + 1 - va) >> PAGE_LG2);
	if (n > TOUCH_MAX) {
		int rc = ask(va, write, &now);

		if (rc)
			return rc;
		n = min_u64(n, (now.last + 1 - va) >> PAGE_LG2);
	} else {
		n = guard_touch_count((void *)(uintptr_t)va, n, write);
		if (!n)
			return not_there(va, write);
	}
	got = pin_file_pages(pm, &src, seg->off + (va - seg->start), n, write, sink);
	/* hugetlbfs memory that we may not map ourselves: its address has to be its identity. */
	if (got == -EFAULT && !vma_query(va, false, &now) && now.huge)
		return pin_private(pm, va, n, write, LOOK_DONE, sink);
	if (!got && sink->n < sink->max)
		return not_there(va, write);
	return got;
}

/* Private memory of more than TOUCH_MAX pages, or of a kind that must be asked for. */
static long pin_asked(struct physmap *pm, uint64_t va, uint64_t n, bool write,
		      struct run_sink *sink)
{
	struct vma_seg seg;
	int rc = ask(va, write, &seg);

	if (rc)
		return rc;
	n = min_u64(n, (seg.last + 1 - va) >> PAGE_LG2);
	if (seg.kind == VMA_SHARED && !vma_tracking())
		return pin_shared(pm, va, n, write, &seg, sink);
	return pin_private(pm, va, n, write,
			   n <= TOUCH_MAX ? LOOK_TOUCH
			   : seg.file     ? LOOK_POPULATE
					  : LOOK_DONE,
			   sink);
}

/* What begins at @va and is of one kind. Pages, 0 (sink full), or an error. */
static long pin_part(struct physmap *pm, uint64_t va, uint64_t n, bool write, struct run_sink *sink)
{
	struct vma_seg seg;

	if (vma_special(va, va + (n << PAGE_LG2) - 1, &seg)) {
		if (seg.start <= va) {
			if (seg.kind == VMA_DEVICE)
				return refuse(EFAULT, "%#llx is device memory",
					      (unsigned long long)va);
			return pin_shared(pm, va, n, write, &seg, sink);
		}
		n = (seg.start - va) >> PAGE_LG2;
	}
	if (likely(n <= TOUCH_MAX && vma_tracking()))
		return pin_private(pm, va, n, write, LOOK_TOUCH, sink);
	return pin_asked(pm, va, n, write, sink);
}

long mm_pin(struct mm *mm, uint64_t va, uint64_t npages, unsigned flags, struct phys_run *runs,
	    unsigned max, unsigned *nruns)
{
	struct run_sink sink = { .runs = runs, .max = max };
	bool write = flags & MM_PIN_WRITE;
	uint64_t done = 0;
	long got = 1;

	if (fault_point())
		return refuse(ENOMEM, "no memory to pin %llu pages", (unsigned long long)npages);
	if (unlikely(va & PAGE_MASK || va >= PHYS_IDENTITY_END ||
		     npages > (PHYS_IDENTITY_END - va) >> PAGE_LG2))
		return refuse(EFAULT, "%llu pages at %#llx are not in the address space",
			      (unsigned long long)npages, (unsigned long long)va);
	while (done < npages && got > 0) {
		got = pin_part(mm->pm, va + (done << PAGE_LG2), npages - done, write, &sink);
		if (got > 0)
			done += (uint64_t)got;
	}
	if (!done)
		return got;
	*nruns = sink.n;
	return (long)done;
}

int mm_copy_from(struct mm *mm, void *buf, uint64_t va, size_t len)
{
	(void)mm;
	if (fault_point() || guard_copy(buf, (const void *)(uintptr_t)va, len))
		return refuse(EFAULT, "%zu bytes at %#llx cannot be read", len,
			      (unsigned long long)va);
	return 0;
}

int mm_copy_to(struct mm *mm, uint64_t va, const void *buf, size_t len)
{
	(void)mm;
	if (fault_point() || guard_copy((void *)(uintptr_t)va, buf, len))
		return refuse(EFAULT, "%zu bytes at %#llx cannot be written", len,
			      (unsigned long long)va);
	return 0;
}

static int stat_fd(int fd, struct statx *st)
{
	return (int)sys_call(SYS_statx, fd, (long)"", AT_EMPTY_PATH,
			     STATX_TYPE | STATX_INO | STATX_SIZE, (long)st, 0);
}

int mm_file_open(struct physmap *pm, int fd, struct mm_file **out)
{
	int rc = sys_fcntl(fd, F_GETFL, 0);
	struct mm_file *f;
	struct statx st;

	if (rc < 0 || (rc & O_PATH))
		return refuse(EBADF, "file descriptor %d is not open", fd);
	f = mem_zalloc(sizeof(*f));
	if (!f)
		return refuse(ENOMEM, "no memory for a file");
	f->pm = pm;
	f->fd = fault_point() ? -EMFILE : fd_dup_hidden(fd);
	if (f->fd < 0) {
		rc = refuse(-f->fd, "file descriptor %d cannot be duplicated", fd);
		goto err_free;
	}
	rc = stat_fd(f->fd, &st);
	if (rc) {
		rc = refuse(-rc, "file descriptor %d cannot be examined", fd);
		goto err_close;
	}
	f->dev = makedev(st.stx_dev_major, st.stx_dev_minor);
	f->ino = st.stx_ino;
	rc = files_handle_get(pm, f->dev, f->ino, &f->file);
	if (rc)
		goto err_close;
	*out = f;
	return 0;
err_close:
	fd_close_hidden(f->fd);
err_free:
	mem_free(f);
	return rc;
}

void mm_file_close(struct mm_file *f)
{
	if (!f)
		return;
	files_handle_put(f->pm, f->file);
	fd_close_hidden(f->fd);
	mem_free(f);
}

long mm_file_pin(struct mm_file *f, uint64_t off, uint64_t npages, unsigned flags,
		 struct phys_run *runs, unsigned max, unsigned *nruns)
{
	struct run_sink sink = { .runs = runs, .max = max };
	struct file_src src = { .dev = f->dev, .ino = f->ino, .fd = f->fd };
	struct statfs fs;
	struct statx st;
	long got;

	if (fault_point())
		return refuse(ENOMEM, "no memory to pin %llu pages", (unsigned long long)npages);
	if (sys_call(SYS_fstatfs, f->fd, (long)&fs, 0, 0, 0, 0) || stat_fd(f->fd, &st) ||
	    ((uint32_t)fs.f_type != TMPFS_MAGIC && (uint32_t)fs.f_type != HUGETLBFS_MAGIC) ||
	    (st.stx_mode & 0170000) != 0100000)
		return refuse(EINVAL, "the file is neither shared memory nor on hugetlbfs");
	if (off & PAGE_MASK || off >> PAGE_LG2 > st.stx_size >> PAGE_LG2 ||
	    npages > (st.stx_size >> PAGE_LG2) - (off >> PAGE_LG2))
		return refuse(EINVAL,
			      "%llu pages at offset %#llx are not inside the file's %llu bytes",
			      (unsigned long long)npages, (unsigned long long)off,
			      (unsigned long long)st.stx_size);
	src.len = align_down(st.stx_size + PAGE_MASK, PAGE_SIZE);
	got = pin_file_pages(f->pm, &src, off, npages, flags & MM_PIN_WRITE, &sink);
	if (!got)
		return refuse(ENOMEM, "no memory for the file at offset %#llx",
			      (unsigned long long)off);
	if (got > 0)
		*nruns = sink.n;
	return got;
}
