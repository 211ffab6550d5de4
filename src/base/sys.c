// SPDX-License-Identifier: MIT
/* System calls of the engine's own: how a call reaches the kernel without libc's errno. */
#include "base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bits.h"

#define VIA_LIBC (BUILT_WITH_TSAN || BUILT_WITH_ASAN)

long sys_call(long nr, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
	long ret;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
#else
	int saved = errno;
	long ret = syscall(nr, a, b, c, d, e, f);

	if (ret == -1)
		ret = -errno;
	errno = saved;
	return ret;
#endif
}

/* Sanitizer builds: call libc, keep errno. */
#define LIBC_CALL(expr)                   \
	({                                \
		int saved_ = errno;       \
		long ret_ = (long)(expr); \
		if (ret_ == -1)           \
			ret_ = -errno;    \
		errno = saved_;           \
		ret_;                     \
	})

/*
 * Where the engine's own mappings go. Left to itself, the kernel fills the highest hole that fits,
 * often one that the client has just made with munmap() and fills with MAP_FIXED next, over what
 * we put there. So they are asked for far below, at addresses that come again only after all
 * others. Merely asked for: where something stands, the kernel chooses.
 */
#define OWN_ROOM    (384 * GIB)
#define OWN_LARGEST (64 * GIB)
#define HUGE_PAGE   (2 * MIB)

static _Atomic uint64_t own_base, own_next; /* next: an offset from base */

static uint64_t find_own_base(void)
{
	long top = sys_call(SYS_mmap, 0, PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t base = 0, none = 0;

	if (top < 0 && top > -4096)
		return 0;
	sys_call(SYS_munmap, top, PAGE_SIZE, 0, 0, 0, 0);
	if ((uint64_t)top < 2 * OWN_ROOM)
		return 0;
	base = align_down((uint64_t)top - OWN_ROOM, HUGE_PAGE);
	return atomic_compare_exchange_strong(&own_base, &none, base) ? base : none;
}

/* An address to ask for; large mappings as huge pages of a file at @off want it. */
static void *own_place(size_t len, uint64_t off)
{
	uint64_t skew = len >= HUGE_PAGE ? off % HUGE_PAGE : 0;
	uint64_t align = len >= HUGE_PAGE ? HUGE_PAGE : PAGE_SIZE;
	uint64_t base = atomic_load_explicit(&own_base, memory_order_relaxed), next, at;

	if (VIA_LIBC || !len || len > OWN_LARGEST || (!base && !(base = find_own_base())))
		return NULL;
	next = atomic_load_explicit(&own_next, memory_order_relaxed);
	do {
		at = align_down(next + align - 1, align) + skew;
		if (at + len > OWN_ROOM)
			at = skew;
	} while (!atomic_compare_exchange_weak_explicit(
		&own_next, &next, align_down(at + len + PAGE_MASK, PAGE_SIZE), memory_order_relaxed,
		memory_order_relaxed));
	return (void *)(uintptr_t)(base + at);
}

int sys_mmap(void *addr, size_t len, int prot, int flags, int fd, uint64_t off, void **out)
{
	long r;

	if (!addr && !(flags & MAP_FIXED))
		addr = own_place(len, off);
	r = VIA_LIBC ? LIBC_CALL(mmap(addr, len, prot, flags, fd, (off_t)off))
		     : sys_call(SYS_mmap, (long)addr, (long)len, prot, flags, fd, (long)off);

	if (r < 0 && r > -4096)
		return (int)r;
	*out = (void *)r;
	return 0;
}

int sys_munmap(void *addr, size_t len)
{
	return (int)(VIA_LIBC ? LIBC_CALL(munmap(addr, len))
			      : sys_call(SYS_munmap, (long)addr, (long)len, 0, 0, 0, 0));
}

int sys_mprotect(void *addr, size_t len, int prot)
{
	return (int)sys_call(SYS_mprotect, (long)addr, (long)len, prot, 0, 0, 0);
}

int sys_mremap(void *old, size_t old_len, size_t new_len, int flags, void *new_addr, void **out)
{
	void *room = NULL;
	long r;

	/* A second view of a mapping is ours too: make room for it there. @old: for huge pages. */
	if (!old_len && !(flags & MREMAP_FIXED) &&
	    !sys_mmap(NULL, new_len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		      (uintptr_t)old, &room)) {
		flags |= MREMAP_FIXED;
		new_addr = room;
	}
	/* Always raw: glibc 2.36's wrapper refuses MREMAP_DONTUNMAP. */
	r = sys_call(SYS_mremap, (long)old, (long)old_len, (long)new_len, flags, (long)new_addr, 0);
	if (r < 0 && r > -4096) {
		if (room)
			sys_munmap(room, new_len);
		return (int)r;
	}
	*out = (void *)r;
	return 0;
}

int sys_madvise(void *addr, size_t len, int advice)
{
	return (int)sys_call(SYS_madvise, (long)addr, (long)len, advice, 0, 0, 0);
}

int sys_open(const char *path, int flags, int mode)
{
	return (int)sys_call(SYS_openat, AT_FDCWD, (long)path, flags, mode, 0, 0);
}

int sys_close(int fd)
{
	return (int)sys_call(SYS_close, fd, 0, 0, 0, 0, 0);
}

long sys_read(int fd, void *buf, size_t n)
{
	return sys_call(SYS_read, fd, (long)buf, (long)n, 0, 0, 0);
}

long sys_write(int fd, const void *buf, size_t n)
{
	return sys_call(SYS_write, fd, (long)buf, (long)n, 0, 0, 0);
}

long sys_pread(int fd, void *buf, size_t n, uint64_t off)
{
	return sys_call(SYS_pread64, fd, (long)buf, (long)n, (long)off, 0, 0);
}

long sys_pwrite(int fd, const void *buf, size_t n, uint64_t off)
{
	return sys_call(SYS_pwrite64, fd, (long)buf, (long)n, (long)off, 0, 0);
}

int sys_memfd(const char *name, unsigned flags)
{
	return (int)sys_call(SYS_memfd_create, (long)name, flags, 0, 0, 0, 0);
}

int sys_ftruncate(int fd, uint64_t len)
{
	return (int)sys_call(SYS_ftruncate, fd, (long)len, 0, 0, 0, 0);
}

int sys_fcntl(int fd, int cmd, long arg)
{
	return (int)sys_call(SYS_fcntl, fd, cmd, arg, 0, 0, 0);
}

int sys_gettid(void)
{
	return (int)sys_call(SYS_gettid, 0, 0, 0, 0, 0, 0);
}
