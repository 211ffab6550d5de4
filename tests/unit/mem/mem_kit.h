/* SPDX-License-Identifier: MIT */
/* What the tests of memory share: a map with an address space, pins by the page, fault sweeps. */
#ifndef TESTS_MEM_KIT_H
#define TESTS_MEM_KIT_H

#include "base/bits.h"
#include "mem/mm.h"

#define RUNS_MAX 4096u

/* What one mm_pin() gave. */
struct pinned {
	struct phys_run runs[RUNS_MAX];
	unsigned n;
};

struct kit {
	struct physmap *pm;
	struct mm *mm;
};

/* Also takes the signals back from the test framework: call it in the test, not in its setup. */
void kit_begin(struct kit *k);
void kit_begin_opts(struct kit *k, const struct physmap_opts *opts);
void kit_end(struct kit *k); /* nothing is pinned: asserts that and the invariants */

/* Pins all of it in as many calls as it takes; 0, or the error with nothing pinned. */
int kit_pin(struct kit *k, const void *va, uint64_t npages, unsigned flags, struct pinned *out);
void kit_unpin(struct kit *k, const struct pinned *p);
uint64_t kit_pages(const struct pinned *p);
uint64_t kit_pa(const struct pinned *p, uint64_t page); /* output address of the page'th page */

/* DMA as a device would do it: sections, settling, guarded copies. 0 or -EFAULT. */
int kit_dma_read(struct kit *k, uint64_t pa, void *buf, size_t len);
int kit_dma_write(struct kit *k, uint64_t pa, const void *buf, size_t len);

/* Fresh private memory, page aligned; unmapped with kit_unmap() as a client would do it. */
void *kit_map(size_t npages);
void kit_unmap(void *p, size_t npages); /* vma_unmapping(), then munmap() */

/*
 * Calls @fn failing the 1st, 2nd ... fault point, once and persistently, until it passes without
 * a fault. @fn returns its error; after a failure @check must find everything as before.
 */
void kit_sweep(int (*fn)(void *arg), void (*check)(void *arg, int rc), void *arg);

#endif
