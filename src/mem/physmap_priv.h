/* SPDX-License-Identifier: MIT */
/*
 * Inside the physical map: regions, pin counters, host addresses. Only for src/mem/.
 *
 * Output addresses are cut into regions of 1 GiB, those into 512 chunks of 2 MiB. A region is
 * made when something in it is first pinned and lives as long as the map.
 *
 * Pins of a page = pins_1g + pins_2m[chunk] + c64k[] + c4k[], modulo 2^32: a range is counted at
 * the largest aligned blocks, pinned and unpinned independently of each other, so a single
 * counter may be "negative". Unpinning therefore never needs memory.
 *
 * I1  host[p] == 0: in a private region the page is at its own address (or is no frame); in a
 *     window there is no frame. HOST_BUSY, HOST_BUSY_AT: it is being moved. Else: the host address.
 * I2  odd >= 1 in every window region and in the one with PHYS_HOLE. In a private region it
 *     counts pages with host[p] != 0 plus addresses with an alias.
 * I3  In a window host[p] != 0 exactly while pins > 0. In a private region host[p] != 0 implies
 *     pins > 0.
 * I4  alias[va] = pa exactly while the frame pa is pinned and has its bytes at va != pa: a page
 *     of the alias window, or a private page that the client moved (mremap).
 * I5  hid[p] is the hidden block that host[p] points into, NULL when it points elsewhere.
 * I6  Pins of a page with host[p] != 0 grow only under the lock.
 * I3 to I5 hold whenever nobody is between the decrement and frames_dropped().
 *
 * Who may touch pins without the lock: anybody, in a private region with odd == 0 before and
 * after the add (relocation raises odd first and reads the pins then; one of both sees the other).
 */
#ifndef MEM_PHYSMAP_PRIV_H
#define MEM_PHYSMAP_PRIV_H

#include "base/bits.h"
#include "base/lock.h"
#include "base/pool.h"
#include "mem/physmap.h"

#define REGION_LG2    30u
#define REGION_PAGES  (1u << 18)
#define CHUNK_PAGES   512u
#define REGION_CHUNKS 512u
#define DIR_LEN       (1u << 18)
#define HOST_BUSY     ((uintptr_t)1) /* being moved from its own address */
#define HOST_BUSY_AT  ((uintptr_t)2) /* being moved from another address, by its alias */

enum region_kind { REGION_PRIVATE, REGION_ALIAS, REGION_FILE, REGION_OTHER };

struct hidden;
struct phys_file;

struct chunk_pins {
	_Atomic uint32_t c64k[CHUNK_PAGES / 16];
	_Atomic uint32_t c4k[CHUNK_PAGES];
};

struct chunk_host {
	_Atomic uintptr_t host[CHUNK_PAGES];
};

struct chunk_hid {
	struct hidden *hid[CHUNK_PAGES];
};

struct chunk_alias {
	uint64_t pa[CHUNK_PAGES];
};

struct region {
	struct phys_region_head head;
	_Atomic uint32_t pins_1g;
	enum region_kind kind; /* immutable */
	uint64_t base;         /* immutable: first output address */
	struct region *next;   /* immutable: of all regions of the map */

	/* Under the map's lock. */
	struct phys_file *file; /* REGION_FILE: whose slice it is */
	uint32_t used;          /* REGION_ALIAS: pages in use */
	uint32_t bump;          /* REGION_ALIAS: pages from here on are free */
	struct chunk_hid *hids[REGION_CHUNKS];
	struct chunk_alias *aliases[REGION_CHUNKS];

	_Atomic uint8_t fine[REGION_CHUNKS]; /* some c64k or c4k of the chunk was ever used */
	_Atomic uint32_t pins_2m[REGION_CHUNKS];
	_Atomic(struct chunk_host *) hosts[REGION_CHUNKS]; /* set under the lock, read by DMA */
	struct chunk_pins chunk[REGION_CHUNKS];
};

enum { WIN_ALIAS, WIN_FILE, WIN_TABLE, WIN_BAR, WIN_COUNT };

struct window {
	uint64_t base, last;
};

#define TABLE_CLASSES 5u /* 4, 8, 16, 32, 64 KiB */

struct tables {
	struct mtx lock;               /* LOCK_TABLE_MEM */
	char *host;                    /* immutable: reservation, aligned to 64 KiB */
	void *mem;                     /* immutable: what to unmap */
	size_t mem_len, cap;           /* immutable */
	size_t bump, committed, ready; /* handed out once; accessible; with memory behind it */
	size_t in_use;
	void *free[TABLE_CLASSES]; /* linked through their first word */
};

#define FILE_HASH 256u

struct physmap {
	struct phys_head head;
	struct physmap *next;             /* registry (reloc.c) */
	_Atomic(struct region *) regions; /* all of them, linked */
	struct window win[WIN_COUNT];     /* immutable */
	_Atomic uint32_t settled;         /* futex: a move ended */
	void *self_mm;                    /* mm.c: counted there */

	struct mtx lock;                   /* LOCK_PHYSMAP */
	struct pool chunks;                /* arrays of regions: hosts, hids, aliases */
	uint32_t alias_cur, alias_regions; /* index in the window; regions ever used */
	uint64_t held_va, held_len;        /* addresses where pins wait: frames are moved there */
	uint64_t moved_pages, alias_pages, file_pages;
	struct phys_file *files[FILE_HASH];
	uint64_t *slices;    /* bitmap of the file window's regions in use */
	uint32_t slice_next; /* where to look first */

	struct tables tables;
};

/* Where runs go; consecutive pages are merged. */
struct run_sink {
	struct phys_run *runs;
	unsigned max, n;
};

static inline bool sink_has_room(const struct run_sink *s, uint64_t pa)
{
	return s->n < s->max ||
	       (s->n && s->runs[s->n - 1].pa + (s->runs[s->n - 1].npages << PAGE_LG2) == pa);
}

static inline void sink_add(struct run_sink *s, uint64_t pa, uint64_t npages)
{
	if (s->n && s->runs[s->n - 1].pa + (s->runs[s->n - 1].npages << PAGE_LG2) == pa)
		s->runs[s->n - 1].npages += npages;
	else
		s->runs[s->n++] = (struct phys_run){ .pa = pa, .npages = npages };
}

/* The region of output address (or address) @pa < 2^48, NULL when it was never used. */
static inline struct region *region_at(const struct physmap *pm, uint64_t pa)
{
	return (struct region *)atomic_load_explicit(&pm->head.dir[pa >> REGION_LG2],
						     memory_order_acquire);
}

static inline uint32_t page_in_region(uint64_t pa)
{
	return (uint32_t)(pa >> PAGE_LG2) & (REGION_PAGES - 1);
}

/* @p: page of the region. */
static inline uintptr_t host_of(struct region *r, uint32_t p)
{
	struct chunk_host *c =
		atomic_load_explicit(&r->hosts[p / CHUNK_PAGES], memory_order_acquire);

	return c ? atomic_load_explicit(&c->host[p % CHUNK_PAGES], memory_order_acquire) : 0;
}

static inline bool host_busy(uintptr_t host)
{
	return host == HOST_BUSY || host == HOST_BUSY_AT;
}

static inline bool pa_in_hole(uint64_t pa)
{
	return pa - PHYS_HOLE_START <= PHYS_HOLE_LAST - PHYS_HOLE_START;
}

/*
 * Takes the map's lock. A signal handler of the client that interrupts us meanwhile may unmap what
 * is pinned: it must see that it cannot wait for its own thread.
 */
extern _Thread_local unsigned physmap_inside __attribute__((tls_model("initial-exec")));

static inline void physmap_lock(struct physmap *pm)
{
	physmap_inside++;
	atomic_signal_fence(memory_order_seq_cst);
	mtx_lock(&pm->lock);
}

static inline void physmap_unlock(struct physmap *pm)
{
	mtx_unlock(&pm->lock);
	atomic_signal_fence(memory_order_seq_cst);
	physmap_inside--;
}

/* region.c; host_ensure() and what follows under the map's lock. */
struct region *region_get(struct physmap *pm, uint64_t pa); /* NULL: no memory */
int host_ensure(struct physmap *pm, struct region *r, uint32_t first, uint32_t n);
int hid_ensure(struct physmap *pm, struct region *r, uint32_t first, uint32_t n);
int alias_ensure(struct physmap *pm, struct region *r, uint32_t first, uint32_t n);
/* The chunk's host array exists. */
void host_set(struct region *r, uint32_t p, uintptr_t host);

/* pins.c: counters of pages [first, first + n) of a region. */
void pins_add(struct region *r, uint32_t first, uint32_t n, uint32_t delta);
uint32_t pins_of(struct region *r, uint32_t p);
bool pins_any(struct region *r, uint32_t first, uint32_t n);
uint64_t pins_count_pages(struct region *r); /* pages with pins */

static inline void pins_add_one(struct region *r, uint32_t p, uint32_t delta)
{
	uint32_t c = p / CHUNK_PAGES;

	if (unlikely(!atomic_load_explicit(&r->fine[c], memory_order_relaxed)))
		atomic_store_explicit(&r->fine[c], 1, memory_order_seq_cst);
	atomic_fetch_add_explicit(&r->chunk[c].c4k[p % CHUNK_PAGES], delta, memory_order_seq_cst);
}

/* frames.c: private memory. */
/* Pins up to @n pages at @va (one region @r). Pages pinned (< @n: the sink is full) or -ENOMEM. */
long frames_pin(struct physmap *pm, struct region *r, uint64_t va, uint32_t n,
		struct run_sink *sink);
/* After pins of these pages went down in an odd region: lets go of frames without pins. */
void frames_dropped(struct physmap *pm, struct region *r, uint32_t first, uint32_t n);
/* Takes the last @npages out of @sink and unpins them. */
void frames_undo(struct physmap *pm, struct run_sink *sink, uint64_t npages);
void frames_wake(struct physmap *pm);

/* alias.c: output addresses for memory that cannot have its own. All under the map's lock. */
/* @n <= one region's pages at @va: *@r, *@first get that many consecutive free addresses. */
int alias_alloc(struct physmap *pm, uint64_t va, uint32_t n, struct region **r, uint32_t *first);
void alias_free(struct physmap *pm, struct region *r, uint32_t n);
/* The alias of an address, 0 when it has none; p: page of the region that the address is in. */
uint64_t alias_at(const struct region *r, uint32_t p);
/* Frame @pa is @va's from now on / no longer. alias_ensure() came before. */
void alias_bind(struct region *r, uint32_t p, uint64_t pa);
void alias_unbind(struct physmap *pm, uint64_t va);

/* hidden.c: memory that stands behind frames whose address the client took away. */
/* Readable and writable zeroes, aligned within 2 MiB as @va. NULL: no memory. One reference. */
struct hidden *hidden_create(uint64_t va, size_t npages);
char *hidden_base(struct hidden *h);
size_t hidden_npages(const struct hidden *h);
/* One more frame of a map has its bytes at @host; between begin and end only. */
void hidden_refs_begin(void);
void hidden_ref_page(struct hidden *h, uintptr_t host);
void hidden_refs_end(void);
void hidden_put_pages(struct hidden *h, uintptr_t host, size_t npages);
void hidden_after_fork_child(void);
void hidden_put(struct hidden *h); /* the creator's reference; the last one unmaps the block */

/* files.c: shared memory by backing object. */
struct file_src {
	uint64_t dev, ino;
	uint64_t off, len; /* the part of the file that can be mapped from here */
	uint64_t va;       /* @fd < 0: where the client maps @off */
	int fd;
};
/* Pages pinned (< @n: the sink is full, or a later page failed); -ENOMEM, -EFAULT. */
long files_pin(struct physmap *pm, const struct file_src *src, uint64_t off, uint64_t n, bool write,
	       struct run_sink *sink);
/* Locked: @n frames of @f lost their last pin. Frees what nobody needs. */
void files_dropped(struct physmap *pm, struct phys_file *f, uint64_t n);
int files_handle_get(struct physmap *pm, uint64_t dev, uint64_t ino, struct phys_file **out);
void files_handle_put(struct physmap *pm, struct phys_file *f);
int files_init(struct physmap *pm);
void files_finish(struct physmap *pm);

/* tables.c */
int tables_init(struct physmap *pm);
void tables_finish(struct physmap *pm);

/* registry.c */
int registry_add(struct physmap *pm);
void registry_remove(struct physmap *pm);

#endif
