// SPDX-License-Identifier: MIT
/* System calls of the engine's own: how a call reaches the kernel without libc's errno. */
#include "base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

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

int sys_mmap(void *addr, size_t len, int prot, int flags, int fd, uint64_t off, void **out)
{
	long r = VIA_LIBC ? LIBC_CALL(mmap(addr, len, prot, flags, fd, (off_t)off))
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
	/* Always raw: glibc 2.36's wrapper refuses MREMAP_DONTUNMAP. */
	long r = sys_call(SYS_mremap, (long)old, (long)old_len, (long)new_len, flags,
			  (long)new_addr, 0);

	if (r < 0 && r > -4096)
		return (int)r;
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
