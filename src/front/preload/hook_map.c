// SPDX-License-Identifier: MIT
/* Hooks: mappings. The engine hears of every change before it happens. */
#include "front/preload/preload.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/shm.h>

#include "base/bits.h"
#include "mem/mm.h"

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
	if (!preload_front_now() || !len || (addr & PAGE_MASK))
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

API void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	struct leaving l = { 0 };
	struct file *f = NULL;
	void *va;

	if ((flags & MAP_FIXED) && !leave_begin(&l, (uintptr_t)addr, len))
		return MAP_FAILED;
	if (!(flags & MAP_ANONYMOUS) && fd >= 0 && unlikely(file_maybe(fd)))
		f = file_get_verified(preload_front_now(), fd);
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

static uintptr_t align_up_page(uintptr_t v)
{
	return (v + PAGE_MASK) & ~PAGE_MASK;
}

/*
 * Growing in place and shrinking leave pinned pages where they are. A move takes their contents
 * along, so it cannot be told as a going away: pinned memory does not move.
 */
API void *mremap(void *old, size_t old_len, size_t new_len, int flags, ...)
{
	struct leaving tail = { 0 }, target = { 0 };
	void *new_addr = NULL, *va = MAP_FAILED;
	uintptr_t end, cut;
	va_list ap;

	if (flags & MREMAP_FIXED) {
		va_start(ap, flags);
		new_addr = va_arg(ap, void *);
		va_end(ap);
	}
	if (!preload_front_now() || !vma_tracking())
		return NEXT(mremap)(old, old_len, new_len, flags, new_addr);
	if (vma_pinned((uintptr_t)old, old_len))
		flags &= ~(MREMAP_MAYMOVE | MREMAP_FIXED);
	if ((flags & MREMAP_FIXED) && !leave_begin(&target, (uintptr_t)new_addr, new_len))
		return MAP_FAILED;
	end = align_up_page((uintptr_t)old + old_len);
	cut = align_up_page((uintptr_t)old + new_len);
	if (cut >= end || leave_begin(&tail, cut, end - cut))
		va = NEXT(mremap)(old, old_len, new_len, flags, new_addr);
	if (va != MAP_FAILED) {
		vma_rescan((uintptr_t)old, old_len);
		vma_rescan((uintptr_t)va, new_len);
	}
	leave_end(&tail, va != MAP_FAILED);
	leave_end(&target, va != MAP_FAILED);
	return va;
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
	struct leaving l = { 0 };
	int rc;

	if (!vma_tracking() || !len || ((uintptr_t)addr & PAGE_MASK) ||
	    !vma_pinned((uintptr_t)addr, len))
		return NEXT(madvise)(addr, len, advice);
	if (advice == MADV_FREE) /* "may be freed": what is pinned is not */
		return 0;
	if (advice == MADV_DONTNEED || advice == MADV_REMOVE ||
	    advice == 24 /* DONTNEED_LOCKED */) {
		if (!leave_begin(&l, (uintptr_t)addr, len))
			return -1;
		rc = NEXT(madvise)(addr, len, advice);
		vma_rescan((uintptr_t)addr, len);
		return rc;
	}
	return NEXT(madvise)(addr, len, advice);
}

API void *shmat(int id, const void *addr, int flags)
{
	void *va = NEXT(shmat)(id, addr, flags);
	struct shmid_ds ds;

	if (va != (void *)-1 && vma_tracking() && !shmctl(id, IPC_STAT, &ds))
		vma_rescan((uintptr_t)va, ds.shm_segsz);
	return va;
}
