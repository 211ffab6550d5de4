/* SPDX-License-Identifier: MIT */
/*
 * Guarded access to memory that may not be there.
 *
 * Every access of the engine to client memory (ioctl arguments, pinned pages, descriptors) goes
 * through these. A SIGSEGV or SIGBUS inside them is turned into -EFAULT by a fix-up on the
 * faulting instruction; elsewhere the signal is handed on (sigchain.h). They touch neither errno
 * nor any lock and are safe inside a DMA section and in a signal handler.
 *
 * guard_init() must have run in the process (the handler is installed once).
 */
#ifndef MEM_GUARD_H
#define MEM_GUARD_H

#include "base/compiler.h"

/*
 * Installs the process-wide handler; thread-safe. Without a preload, whoever replaces the handler
 * of SIGSEGV or SIGBUS later (a test framework does, around every test) must call this again.
 */
int guard_init(void);

/* Copies @n bytes; 0, or -EFAULT with a prefix of @dst possibly written. */
int guard_copy(void *dst, const void *src, size_t n);

/* Sets @n bytes / repeats an 8-byte pattern from its byte 0; 0 or -EFAULT. */
int guard_fill(void *dst, uint64_t pattern, size_t n);

/* Checks that each of @npages pages from @va can be read, or written (without changing it). */
int guard_touch(const void *va, size_t npages, bool write);

/* How many of the pages, from the first on, can be read or written; @npages when all can. */
size_t guard_touch_count(const void *va, size_t npages, bool write);

/* Where a fault at @pc continues; 0: not an instruction of ours (for the signal handler). */
uintptr_t guard_fixup(uintptr_t pc);

/* One aligned single-copy-atomic access of 1, 2, 4 or 8 bytes; release store, acquire load. */
int guard_store(void *dst, uint64_t val, unsigned size);
int guard_load(const void *src, uint64_t *val, unsigned size);

/* Atomic 8-byte compare and exchange; *@old is what was there. 0 or -EFAULT. */
int guard_cmpxchg64(void *dst, uint64_t *old, uint64_t val);

#endif
