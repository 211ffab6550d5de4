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

/* Bases are multiples of 1 GiB below 2^48, all different; 0: the default window. */
struct physmap_opts {
	uint64_t alias_base, file_base, table_base, bar_base;
};

/* A run of consecutive output pages. */
struct phys_run {
	uint64_t pa;     /* bytes, page aligned */
	uint64_t npages; /* > 0 */
};

struct physmap;

/* NULL @opts: defaults. -EINVAL bad window; -ENOMEM. */
int physmap_create(const struct physmap_opts *opts, struct physmap **out);
void physmap_destroy(struct physmap *pm); /* nothing is pinned any more; NULL is fine */

/* What physmap_ptr() reads; the rest of both is private (physmap_priv.h). */
struct phys_region_head {
	_Atomic uint32_t odd; /* pages whose host address must be looked up */
};

struct phys_head {
	_Atomic(struct phys_region_head *) *dir; /* one per GiB of output addresses */
};

#define PHYS_END (1ull << 48)

void *physmap_ptr_odd(struct physmap *pm, uint64_t pa, size_t *len);

/*
 * physmap_ptr() - host address of an output address
 * @len: in: bytes wanted (> 0); out: bytes that are contiguous in host memory from there (<= in)
 *
 * Valid only inside the DMA section in which it was called, never kept. NULL: no frame there, or
 * the frame is being moved (leave the section, call physmap_settle(), try again). Below 2^47 the
 * answer for memory that is not pinned is its own address: a guarded access decides.
 */
static inline void *physmap_ptr(struct physmap *pm, uint64_t pa, size_t *len)
{
	struct phys_region_head *r;

	if (unlikely(pa >= PHYS_IDENTITY_END))
		return physmap_ptr_odd(pm, pa, len);
	/* Pairs with the release in region_get(); a section orders it against relocation. */
	r = atomic_load_explicit(&((struct phys_head *)pm)->dir[pa >> 30], memory_order_acquire);
	if (unlikely(r && atomic_load_explicit(&r->odd, memory_order_acquire)))
		return physmap_ptr_odd(pm, pa, len);
	if (unlikely(*len > GIB - (pa & (GIB - 1))))
		*len = (size_t)(GIB - (pa & (GIB - 1)));
	return (void *)(uintptr_t)pa;
}

/* Outside a section: waits until @pa is not being moved. False: there is no frame at @pa. */
bool physmap_settle(struct physmap *pm, uint64_t pa);

/*
 * physmap_force() - read or write frames past the protection of the client's mapping
 *
 * For DMA whose guarded access failed although the frames are pinned: the client may have called
 * mprotect() since. About 1.5 us a page. Inside the section of the failed access, or another.
 *
 * Return: 0; -EFAULT a page is not pinned, gone, or busy, or the kernel refuses; part may be done
 */
int physmap_force(struct physmap *pm, uint64_t pa, void *buf, size_t len, bool write);

/* Drops one pin of every page of @run; @dirty: a device may have written it. Cannot fail. */
void physmap_unpin(struct physmap *pm, const struct phys_run *run, bool dirty);

/* Pins of the page at @pa now (tests, the mock's reference check). */
uint32_t physmap_pins(struct physmap *pm, uint64_t pa);

/* Page-table memory: zeroed, naturally aligned, @size a power of two from 4 KiB to 64 KiB. */
int tables_alloc(struct physmap *pm, size_t size, void **ptr, uint64_t *pa);
void tables_free(struct physmap *pm, void *ptr, uint64_t pa, size_t size);
/* Host address of table memory is PA + this, for the whole window (an add, no lookup). */
uint64_t tables_bias(struct physmap *pm);
/* Every address that table memory ever has is in [*first, *last]. */
void tables_window(struct physmap *pm, uint64_t *first, uint64_t *last);
/* The window in use: [*base, *base + *len), contiguous in host memory (dumps, oracles). */
void tables_extent(struct physmap *pm, uint64_t *base, uint64_t *len);

/* Totals for reports and tests. */
struct physmap_stats {
	uint64_t pinned_pages, moved_pages, alias_pages, file_pages, table_bytes;
};
void physmap_stats(struct physmap *pm, struct physmap_stats *out);
void physmap_check(struct physmap *pm); /* asserts the invariants */

#endif
