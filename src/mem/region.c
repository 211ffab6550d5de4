// SPDX-License-Identifier: MIT
/* Regions: the physical map's bookkeeping for one GiB, made on demand. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fault.h"
#include "base/pool.h"
#include "base/sys.h"
#include "base/why.h"
#include "mem/physmap_priv.h"

static enum region_kind kind_of(const struct physmap *pm, uint64_t pa)
{
	static const enum region_kind kinds[WIN_COUNT] = { REGION_ALIAS, REGION_FILE, REGION_OTHER,
							   REGION_OTHER };

	for (unsigned i = 0; i < WIN_COUNT; i++)
		if (pa >= pm->win[i].base && pa <= pm->win[i].last)
			return kinds[i];
	return pa < PHYS_IDENTITY_END ? REGION_PRIVATE : REGION_OTHER;
}

struct region *region_get(struct physmap *pm, uint64_t pa)
{
	_Atomic(struct phys_region_head *) *slot = &pm->head.dir[pa >> REGION_LG2];
	struct phys_region_head *none = NULL;
	struct region *r = region_at(pm, pa);
	void *mem;

	if (likely(r))
		return r;
	/* Fresh memory is zero and takes real pages only where counters are used. */
	if (fault_point() || sys_mmap(NULL, sizeof(*r), PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0, &mem))
		return NULL;
	r = mem;
	r->base = align_down(pa, GIB);
	r->kind = kind_of(pm, pa);
	if (r->kind != REGION_PRIVATE || r->base == align_down(PHYS_HOLE_START, GIB))
		atomic_init(&r->head.odd, 1); /* I2 */
	if (!atomic_compare_exchange_strong_explicit(slot, &none, &r->head, memory_order_acq_rel,
						     memory_order_acquire)) {
		sys_munmap(mem, sizeof(*r));
		return (struct region *)none;
	}
	r->next = atomic_load(&pm->regions);
	while (!atomic_compare_exchange_weak(&pm->regions, &r->next, r))
		;
	return r;
}

static int no_memory(const char *what, const struct region *r)
{
	return refuse(ENOMEM, "no memory for the %s of output addresses from %#llx", what,
		      (unsigned long long)r->base);
}

/*
 * One array of a chunk, zeroed. Not the client's allocator: it may be just calling munmap(), which
 * brings us here, or be interrupted by a signal handler that does.
 */
static void *chunk_array(struct physmap *pm, size_t size)
{
	void *mem;

	lock_assert_held(&pm->lock);
	mem = pool_get(&pm->chunks);
	return mem ? memset(mem, 0, size) : NULL;
}

int host_ensure(struct physmap *pm, struct region *r, uint32_t first, uint32_t n)
{
	for (uint32_t c = first / CHUNK_PAGES; c <= (first + n - 1) / CHUNK_PAGES; c++) {
		struct chunk_host *h;

		if (atomic_load_explicit(&r->hosts[c], memory_order_relaxed))
			continue;
		h = chunk_array(pm, sizeof(*h));
		if (!h)
			return no_memory("host addresses", r);
		atomic_store_explicit(&r->hosts[c], h, memory_order_release);
	}
	return 0;
}

int hid_ensure(struct physmap *pm, struct region *r, uint32_t first, uint32_t n)
{
	for (uint32_t c = first / CHUNK_PAGES; c <= (first + n - 1) / CHUNK_PAGES; c++)
		if (!r->hids[c]) {
			r->hids[c] = chunk_array(pm, sizeof(*r->hids[c]));
			if (!r->hids[c])
				return no_memory("hidden memory", r);
		}
	return 0;
}

int alias_ensure(struct physmap *pm, struct region *r, uint32_t first, uint32_t n)
{
	for (uint32_t c = first / CHUNK_PAGES; c <= (first + n - 1) / CHUNK_PAGES; c++)
		if (!r->aliases[c]) {
			r->aliases[c] = chunk_array(pm, sizeof(*r->aliases[c]));
			if (!r->aliases[c])
				return no_memory("aliases", r);
		}
	return 0;
}

void host_set(struct region *r, uint32_t p, uintptr_t host)
{
	struct chunk_host *c =
		atomic_load_explicit(&r->hosts[p / CHUNK_PAGES], memory_order_relaxed);

	atomic_store_explicit(&c->host[p % CHUNK_PAGES], host, memory_order_release);
}
