// SPDX-License-Identifier: MIT
/* Hooks: mappings. The engine hears of every change before it happens. */
#include "front/preload/preload.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>

#include "mem/mm.h"

/* What stands in [addr, addr + len) is about to go. False: errno is set, do not go on. */
static bool leaving(uintptr_t addr, size_t len, bool *bar)
{
	int rc;

	*bar = barmap_before_unmap(addr, len);
	rc = vma_tracking() ? vma_unmapping(addr, len) : 0;
	if (likely(!rc))
		return true;
	errno = -rc;
	return false;
}

API void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	struct file *f = NULL;
	bool bar = false;
	void *va;

	if ((flags & MAP_FIXED) && preload_front_now() && !leaving((uintptr_t)addr, len, &bar))
		return MAP_FAILED;
	if (!(flags & MAP_ANONYMOUS) && fd >= 0 && unlikely(file_maybe(fd)))
		f = file_get_verified(preload_front_now(), fd);
	if (unlikely(f)) {
		int rc = edge_mmap(f, fd, addr, len, prot, flags, (uint64_t)off, &va);

		file_put(f);
		if (rc) {
			errno = -rc;
			va = MAP_FAILED;
		} else if (vma_tracking()) {
			vma_mapped_device((uintptr_t)va, len);
		}
	} else {
		va = NEXT(mmap)(addr, len, prot, flags, fd, off);
		if (va != MAP_FAILED && vma_tracking())
			vma_mapped((uintptr_t)va, len, prot, flags, fd, (uint64_t)off);
	}
	if (unlikely(bar))
		barmap_after_unmap(preload_front_now());
	return va;
}

API void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t off)
{
	return mmap(addr, len, prot, flags, fd, off);
}

API int munmap(void *addr, size_t len)
{
	bool bar = false;
	int rc;

	if (preload_front_now() && !leaving((uintptr_t)addr, len, &bar))
		return -1;
	rc = NEXT(munmap)(addr, len);
	if (unlikely(bar))
		barmap_after_unmap(preload_front_now());
	return rc;
}

API void *mremap(void *old, size_t old_len, size_t new_len, int flags, ...)
{
	void *new_addr = NULL;
	bool bar = false;
	va_list ap;
	void *va;

	if (flags & MREMAP_FIXED) {
		va_start(ap, flags);
		new_addr = va_arg(ap, void *);
		va_end(ap);
	}
	if (!preload_front_now() || !vma_tracking())
		return NEXT(mremap)(old, old_len, new_len, flags, new_addr);
	if (vma_pinned((uintptr_t)old, old_len)) {
		/* Growing in place and shrinking leave the pages where they are; a move would not.
		 */
		if (new_len < old_len &&
		    !leaving((uintptr_t)old + new_len, old_len - new_len, &bar))
			return MAP_FAILED;
		flags &= ~(MREMAP_MAYMOVE | MREMAP_FIXED);
	} else if ((flags & MREMAP_FIXED) && !leaving((uintptr_t)new_addr, new_len, &bar)) {
		return MAP_FAILED;
	}
	va = NEXT(mremap)(old, old_len, new_len, flags, new_addr);
	if (va != MAP_FAILED) {
		vma_rescan((uintptr_t)old, old_len);
		vma_rescan((uintptr_t)va, new_len);
	}
	return va;
}

API int mprotect(void *addr, size_t len, int prot)
{
	if (barmap_protect((uintptr_t)addr, len, prot))
		return 0;
	return NEXT(mprotect)(addr, len, prot);
}
