// SPDX-License-Identifier: MIT
/*
 * The physical map as a whole: windows, life, totals and the check of its invariants.
 * physmap_priv.h states the invariants; frames.c, files.c, tables.c and reloc.c keep them.
 */
#include "mem/physmap.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/fault.h"
#include "base/pool.h"
#include "base/sys.h"
#include "base/why.h"
#include "mem/physmap_priv.h"

_Thread_local unsigned physmap_inside __attribute__((tls_model("initial-exec")));

static const uint64_t default_base[WIN_COUNT] = { 0x800000000000, 0xa00000000000, 0xe00000000000,
						  0xf00000000000 };
static const uint64_t max_size[WIN_COUNT] = { 32 * TIB, 64 * TIB, 16 * TIB, 16 * TIB };

/* A window ends where the next one starts, at its own size, or at 2^48. */
static int windows_init(struct physmap *pm, const struct physmap_opts *o)
{
	uint64_t want[WIN_COUNT] = { 0 };

	if (o) {
		want[WIN_ALIAS] = o->alias_base;
		want[WIN_FILE] = o->file_base;
		want[WIN_TABLE] = o->table_base;
		want[WIN_BAR] = o->bar_base;
	}
	for (unsigned i = 0; i < WIN_COUNT; i++) {
		uint64_t base = want[i] ? want[i] : default_base[i];

		if (base & (GIB - 1) || base >= PHYS_END)
			return refuse(EINVAL, "window %#llx is not a multiple of 1 GiB below 2^48",
				      (unsigned long long)base);
		pm->win[i].base = base;
	}
	for (unsigned i = 0; i < WIN_COUNT; i++) {
		struct window *w = &pm->win[i];
		uint64_t end = min_u64(w->base + max_size[i], PHYS_END);

		for (unsigned j = 0; j < WIN_COUNT; j++) {
			if (j != i && pm->win[j].base == w->base)
				return refuse(EINVAL, "two windows at %#llx",
					      (unsigned long long)w->base);
			if (pm->win[j].base > w->base)
				end = min_u64(end, pm->win[j].base);
		}
		w->last = end - 1;
	}
	return 0;
}

static int dir_init(struct physmap *pm)
{
	void *mem;
	int rc = fault_point()
			 ? -ENOMEM
			 : sys_mmap(NULL, DIR_LEN * sizeof(pm->head.dir[0]), PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0, &mem);

	if (rc)
		return refuse(ENOMEM, "no memory for the physical map's directory");
	pm->head.dir = mem;
	return 0;
}

static void put_array(struct physmap *pm, void *array)
{
	if (array)
		pool_put(&pm->chunks, array);
}

static void free_region(struct physmap *pm, struct region *r)
{
	for (uint32_t c = 0; c < REGION_CHUNKS; c++) {
		put_array(pm, atomic_load(&r->hosts[c]));
		put_array(pm, r->hids[c]);
		put_array(pm, r->aliases[c]);
	}
	sys_munmap(r, sizeof(*r));
}

static void each_region(struct physmap *pm,
			void (*fn)(struct physmap *pm, struct region *r, void *), void *arg)
{
	struct region *next;

	for (struct region *r = atomic_load(&pm->regions); r; r = next) {
		next = r->next;
		fn(pm, r, arg);
	}
}

static void free_one(struct physmap *pm, struct region *r, void *arg)
{
	(void)arg;
	free_region(pm, r);
}

static void dir_finish(struct physmap *pm)
{
	each_region(pm, free_one, NULL);
	pool_finish(&pm->chunks);
	sys_munmap(pm->head.dir, DIR_LEN * sizeof(pm->head.dir[0]));
}

int physmap_create(const struct physmap_opts *opts, struct physmap **out)
{
	struct physmap *pm = mem_zalloc(sizeof(*pm));
	int rc;

	if (!pm)
		return refuse(ENOMEM, "no memory for a physical map");
	mtx_init(&pm->lock, LOCK_PHYSMAP);
	pool_init(&pm->chunks, sizeof(struct chunk_host));
	_Static_assert(sizeof(struct chunk_host) == sizeof(struct chunk_hid) &&
			       sizeof(struct chunk_host) == sizeof(struct chunk_alias),
		       "one pool for all arrays of a chunk");
	rc = windows_init(pm, opts);
	if (rc)
		goto err_free;
	rc = dir_init(pm);
	if (rc)
		goto err_free;
	/* I2: the region with the hole must never look plain. */
	if (!region_get(pm, PHYS_HOLE_START)) {
		rc = refuse(ENOMEM, "no memory for the physical map");
		goto err_dir;
	}
	rc = files_init(pm);
	if (rc)
		goto err_dir;
	rc = tables_init(pm);
	if (rc)
		goto err_files;
	rc = registry_add(pm);
	if (rc)
		goto err_tables;
	*out = pm;
	return 0;
err_tables:
	tables_finish(pm);
err_files:
	files_finish(pm);
err_dir:
	dir_finish(pm);
err_free:
	mem_free(pm);
	return rc;
}

void physmap_destroy(struct physmap *pm)
{
	if (!pm)
		return;
	(void)BUG_ON(pm->moved_pages || pm->alias_pages || pm->file_pages || pm->self_mm);
	registry_remove(pm);
	tables_finish(pm);
	files_finish(pm);
	dir_finish(pm);
	mem_free(pm);
}

static void add_pinned(struct physmap *pm, struct region *r, void *arg)
{
	struct physmap_stats *s = arg;

	(void)pm;
	s->pinned_pages += pins_count_pages(r);
}

void physmap_stats(struct physmap *pm, struct physmap_stats *out)
{
	struct physmap_stats s = { 0 };

	each_region(pm, add_pinned, &s);
	physmap_lock(pm);
	s.moved_pages = pm->moved_pages;
	s.alias_pages = pm->alias_pages;
	s.file_pages = pm->file_pages;
	physmap_unlock(pm);
	mtx_lock(&pm->tables.lock);
	s.table_bytes = pm->tables.in_use;
	mtx_unlock(&pm->tables.lock);
	*out = s;
}

/* What the check counts over all regions. */
struct census {
	uint64_t moved, alias, file;
};

static void check_page(struct physmap *pm, struct region *r, uint32_t p, struct census *all,
		       uint32_t *odd)
{
	uintptr_t host = host_of(r, p);
	uint32_t pins = pins_of(r, p);
	struct chunk_hid *hc = r->hids[p / CHUNK_PAGES];
	struct hidden *hid = hc ? hc->hid[p % CHUNK_PAGES] : NULL;
	uint64_t alias = alias_at(r, p), pa = r->base + ((uint64_t)p << PAGE_LG2);

	(void)BUG_ON((int32_t)pins < 0);
	(void)BUG_ON(host && !host_busy(host) && !pins);          /* I3 */
	(void)BUG_ON(r->kind != REGION_PRIVATE && pins && !host); /* I3 */
	(void)BUG_ON(hid && !host);                               /* I5 */
	(void)BUG_ON(hid && (host < (uintptr_t)hidden_base(hid) ||
			     host - (uintptr_t)hidden_base(hid) >= hidden_npages(hid) << PAGE_LG2));
	if (alias) { /* I4 */
		struct region *ar = region_at(pm, alias);

		(void)BUG_ON(ar->kind != REGION_ALIAS && ar->kind != REGION_PRIVATE);
		(void)BUG_ON(host_of(ar, page_in_region(alias)) != pa);
		++*odd;
	}
	if (r->kind != REGION_FILE && host && !host_busy(host) && !hid) /* I4, the other way */
		(void)BUG_ON(alias_at(region_at(pm, host), page_in_region(host)) != pa);
	if (r->kind == REGION_PRIVATE && host)
		++*odd;
	all->moved += hid != NULL;
	all->alias += r->kind == REGION_ALIAS && host;
	all->file += r->kind == REGION_FILE && host;
}

static void check_region(struct physmap *pm, struct region *r, void *arg)
{
	uint32_t odd = r->kind != REGION_PRIVATE || r->base == align_down(PHYS_HOLE_START, GIB);

	for (uint32_t p = 0; p < REGION_PAGES; p++) {
		uint32_t c = p / CHUNK_PAGES;

		/* An untouched chunk: nothing to see, and its counters have no memory yet. */
		if (!(p % CHUNK_PAGES) && !atomic_load(&r->fine[c]) && !atomic_load(&r->hosts[c]) &&
		    !r->aliases[c]) {
			(void)BUG_ON((int32_t)pins_of(r, p) < 0);
			p += CHUNK_PAGES - 1;
			continue;
		}
		check_page(pm, r, p, arg, &odd);
	}
	(void)BUG_ON(odd != atomic_load(&r->head.odd)); /* I2 */
}

void physmap_check(struct physmap *pm)
{
	struct census all = { 0 };

	physmap_lock(pm);
	each_region(pm, check_region, &all);
	(void)BUG_ON(all.moved != pm->moved_pages);
	(void)BUG_ON(all.alias != pm->alias_pages);
	(void)BUG_ON(all.file != pm->file_pages);
	physmap_unlock(pm);
}
