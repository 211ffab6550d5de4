// SPDX-License-Identifier: MIT
/* Hooks: mappings. The engine hears of every change before it happens. */
#include "front/preload/preload.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/shm.h>

#include "base/bits.h"
#include "base/sys.h"
#include "mem/mm.h"
#include "mem/vma.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

/* A range that a call would take away: told to the engine before, made good after a failure. */
struct leaving {
	uintptr_t addr;
	size_t len;
	bool told, bar;
};

/* False: errno is set and the call must not be made. What the kernel will refuse is not told. */
static bool leave_begin(struct leaving *l, uintptr_t addr, size_t len)
{
	int rc = 0;

	*l = (struct leaving){ .addr = addr, .len = len };
	if (!preload_front_now() || !len || (addr & PAGE_MASK) || len > PHYS_IDENTITY_END ||
	    addr > PHYS_IDENTITY_END - len)
		return true;
	l->bar = barmap_before_unmap(addr, len);
	l->told = vma_tracking();
	if (l->told)
		rc = vma_unmapping(addr, len);
	if (likely(!rc))
		return true;
	errno = -rc;
	return false;
}

static void leave_end(const struct leaving *l, bool done)
{
	if (unlikely(!done && l->told))
		vma_rescan(l->addr, l->len);
	if (unlikely(l->bar))
		barmap_after_unmap(preload_front_now());
}

static COLD void *map_device(struct file *f, int fd, void *addr, size_t len, int prot, int flags,
			     off_t off)
{
	void *va = MAP_FAILED;
	int rc = edge_mmap(f, fd, addr, len, prot, flags, (uint64_t)off, &va);

	file_put(f);
	if (rc) {
		errno = -rc;
		return MAP_FAILED;
	}
	if (vma_tracking()) {
		vma_mapped((uintptr_t)va, len, prot, flags, fd, (uint64_t)off);
		vma_mapped_device((uintptr_t)va, len);
	}
	return va;
}

/*
 * Over memory that a device has pinned: a refusal must leave that as it is. So the new mapping is
 * made elsewhere first, where only the kernel's answer counts, and then put in its place.
 */
static COLD void *map_over_pinned(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	void *va = MAP_FAILED, *aside;
	struct leaving l;
	int why;

	/* Among the engine's mappings: the kernel might choose a hole that is @addr itself. */
	why = -sys_mmap(NULL, len, prot, flags & ~MAP_FIXED, fd, (uint64_t)off, &aside);
	if (why) {
		errno = why;
		return MAP_FAILED;
	}
	if (leave_begin(&l, (uintptr_t)addr, len)) {
		va = NEXT(mremap)(aside, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, addr);
		why = errno;
		if (va != MAP_FAILED)
			vma_mapped((uintptr_t)va, len, prot, flags, fd, (uint64_t)off);
		leave_end(&l, va != MAP_FAILED);
		errno = why;
	}
	if (va == MAP_FAILED) {
		why = errno;
		sys_munmap(aside, len);
		errno = why;
	}
	return va;
}

API void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	struct leaving l = { 0 };
	struct file *f = NULL;
	void *va;

	if (!(flags & MAP_ANONYMOUS) && fd >= 0 && unlikely(file_maybe(fd)))
		f = file_get_verified(preload_front_now(), fd);
	if (unlikely((flags & MAP_FIXED) && !f && vma_tracking() &&
		     !((uintptr_t)addr & PAGE_MASK) && vma_pinned((uintptr_t)addr, len)))
		return map_over_pinned(addr, len, prot, flags, fd, off);
	if ((flags & MAP_FIXED) && !leave_begin(&l, (uintptr_t)addr, len)) {
		if (f)
			file_put(f);
		return MAP_FAILED;
	}
	if (unlikely(f)) {
		va = map_device(f, fd, addr, len, prot, flags, off);
	} else {
		va = NEXT(mmap)(addr, len, prot, flags, fd, off);
		if (va != MAP_FAILED && vma_tracking())
			vma_mapped((uintptr_t)va, len, prot, flags, fd, (uint64_t)off);
	}
	leave_end(&l, va != MAP_FAILED);
	return va;
}

API void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t off)
{
	return mmap(addr, len, prot, flags, fd, off);
}

API int munmap(void *addr, size_t len)
{
	struct leaving l;
	int rc;

	if (!leave_begin(&l, (uintptr_t)addr, len))
		return -1;
	rc = NEXT(munmap)(addr, len);
	leave_end(&l, !rc);
	return rc;
}

/* As on Linux, a BAR's mapping can move and shrink but not grow. */
static COLD void *remap_device(uintptr_t old, size_t old_len, size_t new_len, int flags,
			       void *new_addr)
{
	struct leaving l = { 0 };
	void *va;

	if (new_len > old_len) {
		errno = EFAULT;
		return MAP_FAILED;
	}
	if ((flags & MREMAP_FIXED) && !leave_begin(&l, (uintptr_t)new_addr, new_len))
		return MAP_FAILED;
	va = NEXT(mremap)((void *)old, old_len, new_len, flags, new_addr);
	if (va != MAP_FAILED) {
		barmap_moved(old, old_len, (uintptr_t)va, new_len);
		if (vma_tracking()) {
			vma_rescan(old, old_len);
			vma_mapped_device((uintptr_t)va, new_len);
		}
	}
	leave_end(&l, va != MAP_FAILED);
	barmap_after_unmap(preload_front_now());
	return va;
}

API void *mremap(void *old, size_t old_len, size_t new_len, int flags, ...)
{
	void *new_addr = NULL;
	uint64_t out;
	va_list ap;
	bool bar;
	int rc;

	if (flags & MREMAP_FIXED) {
		va_start(ap, flags);
		new_addr = va_arg(ap, void *);
		va_end(ap);
	}
	if (!preload_front_now() || !vma_tracking())
		return NEXT(mremap)(old, old_len, new_len, flags, new_addr);
	if (unlikely(barmap_meets((uintptr_t)old, old_len)))
		return remap_device((uintptr_t)old, old_len, new_len, flags, new_addr);
	bar = (flags & MREMAP_FIXED) && barmap_before_unmap((uintptr_t)new_addr, new_len);
	rc = vma_remap((uintptr_t)old, old_len, new_len, flags, (uintptr_t)new_addr, &out);
	if (unlikely(bar))
		barmap_after_unmap(preload_front_now());
	if (!rc)
		return (void *)(uintptr_t)out;
	errno = -rc;
	return MAP_FAILED;
}

API int mprotect(void *addr, size_t len, int prot)
{
	size_t covered = barmap_protect((uintptr_t)addr, len, prot);
	int rc;

	if (likely(!covered))
		return NEXT(mprotect)(addr, len, prot);
	if (covered >= len)
		return 0;
	rc = NEXT(mprotect)(addr, len, prot);
	barmap_protect((uintptr_t)addr, len, prot);
	return rc;
}

/* Advice that throws contents away; the device keeps what it has pinned, the program gets zeros. */
API int madvise(void *addr, size_t len, int advice)
{
	int rc;

	if (advice != MADV_DONTNEED && advice != MADV_FREE && advice != MADV_DONTNEED_LOCKED)
		return NEXT(madvise)(addr, len, advice);
	if (!vma_tracking() || !len || ((uintptr_t)addr & PAGE_MASK) ||
	    !vma_pinned((uintptr_t)addr, len))
		return NEXT(madvise)(addr, len, advice);
	if (advice == MADV_FREE) /* "may be freed": what is pinned is not */
		return 0;
	rc = vma_discarding((uintptr_t)addr, len);
	if (!rc)
		return NEXT(madvise)(addr, len, advice);
	errno = -rc;
	return -1;
}

API void *shmat(int id, const void *addr, int flags)
{
	void *va = NEXT(shmat)(id, addr, flags);
	struct shmid_ds ds;

	if (va != (void *)-1 && vma_tracking() && !shmctl(id, IPC_STAT, &ds))
		vma_rescan((uintptr_t)va, ds.shm_segsz);
	return va;
}

/* Shared memory is the engine's too, but what stands there next must not be taken for it. */
API int shmdt(const void *addr)
{
	struct leaving l = { 0 };
	struct vma_seg seg;
	int rc;

	if (vma_tracking() && !vma_query((uintptr_t)addr, false, &seg) &&
	    seg.start == (uintptr_t)addr && !leave_begin(&l, seg.start, seg.last - seg.start + 1))
		return -1;
	rc = NEXT(shmdt)(addr);
	leave_end(&l, !rc);
	return rc;
}
