/* SPDX-License-Identifier: MIT */
/*
 * Physical map: which output address stands for which byte, for one machine.
 *
 * Layout of output addresses (all below 2^48):
 *   [0, 2^47)        identity: private client memory at PA = VA, while it is where it was
 *   alias window     private memory whose identity address is taken (an older pinned frame that
 *                    has been moved away lives there still) or illegal (0xFEE00000-0xFEEFFFFF)
 *   file window      shared memory, by backing object (device, inode) and offset: two views of a
 *                    page are one frame
 *   table window     page tables (tables_alloc)
 *   BAR window       device memory
 * An address once handed out stays until the last pin goes.
 *
 * A frame is a page that is pinned at least once. Pins are counted hierarchically (1 GiB, 2 MiB,
 * 64 KiB, 4 KiB), so that pinning a range costs one atomic add per largest aligned block and the
 * common case (private memory still in its place) looks nothing up per page.
 */
#ifndef MEM_PHYSMAP_H
#define MEM_PHYSMAP_H

#include <stdatomic.h>

#include "base/bits.h"
#include "base/compiler.h"
#include "base/lock.h"

#define PHYS_IDENTITY_END (1ull << 47)
#define PHYS_HOLE_START   0xfee00000ull /* never an output address: interrupt window of x86 */
#define PHYS_HOLE_LAST    0xfeefffffull

struct physmap_opts {
	uint64_t alias_base, file_base, table_base, bar_base; /* 0: the default windows */
};

/* A run of consecutive output pages. */
struct phys_run {
	uint64_t pa;     /* bytes, page aligned */
	uint64_t npages; /* > 0 */
};

struct physmap;

int physmap_create(const struct physmap_opts *opts, struct physmap **out); /* NULL opts: defaults */
void physmap_destroy(struct physmap *pm); /* nothing is pinned any more */

/*
 * physmap_ptr() - host address of an output address
 * @len: in: bytes wanted (> 0); out: bytes that are contiguous in host memory from there (<= in)
 *
 * Valid only inside the DMA section in which it was called, never kept. NULL: no frame there, or
 * the frame is being moved (leave the section, call physmap_settle(), try again).
 */
void *physmap_ptr(struct physmap *pm, uint64_t pa, size_t *len);

/* Outside a section: waits until @pa is not being moved. False: there is no frame at @pa. */
bool physmap_settle(struct physmap *pm, uint64_t pa);

/* Drops one pin of every page of @run; @dirty: a device may have written it. Cannot fail. */
void physmap_unpin(struct physmap *pm, const struct phys_run *run, bool dirty);

/* Pins of the page at @pa now (tests, the mock's reference check). */
uint32_t physmap_pins(struct physmap *pm, uint64_t pa);

/* Page-table memory: zeroed, naturally aligned, @size a power of two from 4 KiB to 64 KiB. */
int tables_alloc(struct physmap *pm, size_t size, void **ptr, uint64_t *pa);
void tables_free(struct physmap *pm, void *ptr, uint64_t pa, size_t size);
/* Host address of table memory is PA + this, for the whole window (an add, no lookup). */
uint64_t tables_bias(struct physmap *pm);
/* The window in use: [*base, *base + *len), contiguous in host memory (dumps, oracles). */
void tables_extent(struct physmap *pm, uint64_t *base, uint64_t *len);

/* Totals for reports and tests. */
struct physmap_stats {
	uint64_t pinned_pages, moved_pages, alias_pages, file_pages, table_bytes;
};
void physmap_stats(struct physmap *pm, struct physmap_stats *out);
void physmap_check(struct physmap *pm); /* asserts the invariants */

#endif
