/* SPDX-License-Identifier: MIT */
/*
 * System calls of the engine's own.
 *
 * Results are the kernel's: a value, or -errno. errno is never touched and no libc symbol is
 * called, so these work inside the preload (whose own mmap, close, ... stand in front of libc's),
 * in a signal handler and in a fork child. Sanitizer builds go through libc instead, because the
 * sanitizers must see mappings come and go.
 */
#ifndef BASE_SYS_H
#define BASE_SYS_H

#include <sys/types.h>

#include "base/compiler.h"

/* The raw call. Number and arguments as syscall(2) has them. */
long sys_call(long nr, long a, long b, long c, long d, long e, long f);

/*
 * On failure returns MAP_FAILED-free NULL-or-error: 0 and *out, or -errno with *out untouched.
 * Without an address (sys_mmap), and for a second view of a mapping (sys_mremap with @old_len 0),
 * the place is one that the client has not just given up.
 */
int sys_mmap(void *addr, size_t len, int prot, int flags, int fd, uint64_t off, void **out);
int sys_munmap(void *addr, size_t len);
int sys_mprotect(void *addr, size_t len, int prot);
int sys_mremap(void *old, size_t old_len, size_t new_len, int flags, void *new_addr, void **out);
int sys_madvise(void *addr, size_t len, int advice);
int sys_open(const char *path, int flags, int mode);
int sys_close(int fd);
long sys_read(int fd, void *buf, size_t n);
long sys_write(int fd, const void *buf, size_t n);
long sys_pread(int fd, void *buf, size_t n, uint64_t off);
long sys_pwrite(int fd, const void *buf, size_t n, uint64_t off);
int sys_memfd(const char *name, unsigned flags);
int sys_ftruncate(int fd, uint64_t len);
int sys_fcntl(int fd, int cmd, long arg);
int sys_gettid(void);

#endif
