// SPDX-License-Identifier: MIT
/*
 * Table memory: page tables at output addresses of their own window.
 *
 * One reservation of host addresses stands for the whole window, so that an address converts by
 * one addition. It becomes accessible in steps, and gets memory a little ahead of use: one call
 * for 16 pages is much cheaper than 16 faults.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fault.h"
#include "base/sys.h"
#include "base/why.h"
#include "mem/physmap_priv.h"

#define CAP_MAX     (256 * GIB)
#define CAP_MIN     (64 * MIB)
#define BLOCK_MAX   (64 * KIB)
#define COMMIT_STEP (32 * MIB)
#define READY_STEP  (64 * KIB)
#define HUGE_PAGE   (2 * MIB)

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

int tables_init(struct physmap *pm)
{
	struct tables *t = &pm->tables;
	size_t cap =
		(size_t)min_u64(CAP_MAX, pm->win[WIN_TABLE].last - pm->win[WIN_TABLE].base + 1);
	uint64_t host = 0;
	int rc;

	if (fault_point())
		return refuse(ENOMEM, "no addresses for the table window");
	/* RLIMIT_AS or a crowded address space: be content with less. */
	while ((rc = sys_mmap(NULL, cap + HUGE_PAGE, PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0, &t->mem)) &&
	       cap > CAP_MIN)
		cap /= 2;
	if (rc)
		return refuse(ENOMEM, "no %llu bytes of addresses for the table window",
			      (unsigned long long)cap);
	(void)align_up((uintptr_t)t->mem, HUGE_PAGE, &host);
	t->host = (char *)host;
	t->mem_len = cap + HUGE_PAGE;
	t->cap = cap;
	/* A machine with many tables walks them at random: spare it the TLB misses. */
	if (cap > HUGE_PAGE)
		sys_madvise(t->host + HUGE_PAGE, cap - HUGE_PAGE, MADV_HUGEPAGE);
	mtx_init(&t->lock, LOCK_TABLE_MEM);
	return 0;
}

void tables_finish(struct physmap *pm)
{
	(void)BUG_ON(pm->tables.in_use);
	sys_munmap(pm->tables.mem, pm->tables.mem_len);
}

static unsigned class_of(size_t size)
{
	return highest_bit(size) - PAGE_LG2;
}

/* Makes [0, end) accessible. */
static int commit(struct tables *t, size_t end)
{
	size_t to = t->committed;

	if (end > t->cap)
		return -ENOMEM;
	if (end > t->committed) {
		to = (size_t)min_u64(t->cap, align_down(end - 1, COMMIT_STEP) + COMMIT_STEP);
		if (sys_mprotect(t->host + t->committed, to - t->committed, PROT_READ | PROT_WRITE))
			return -ENOMEM;
		t->committed = to;
	}
	if (end > t->ready) {
		to = (size_t)min_u64(t->committed, align_down(end - 1, READY_STEP) + READY_STEP);
		/* Only a hint: where it fails, the first touch faults. */
		sys_madvise(t->host + t->ready, to - t->ready, MADV_POPULATE_WRITE);
		t->ready = to;
	}
	return 0;
}

/* Cuts a larger free block; the rest goes to the smaller lists. NULL: there is none. */
static void *split_larger(struct tables *t, unsigned class)
{
	for (unsigned c = class + 1; c < TABLE_CLASSES; c++) {
		char *block = t->free[c];

		if (!block)
			continue;
		t->free[c] = *(void **)block;
		while (c-- > class) {
			void *half = block + (PAGE_SIZE << c);

			*(void **)half = t->free[c];
			t->free[c] = half;
		}
		return block;
	}
	return NULL;
}

/* Fresh memory at its natural alignment; the gap becomes free blocks. */
static void *take_fresh(struct tables *t, size_t size)
{
	while (t->bump & (size - 1)) {
		size_t gap = t->bump & -t->bump; /* largest block that may start here */

		if (commit(t, t->bump + gap))
			return NULL;
		*(void **)(t->host + t->bump) = t->free[class_of(gap)];
		t->free[class_of(gap)] = t->host + t->bump;
		t->bump += gap;
	}
	if (commit(t, t->bump + size))
		return NULL;
	t->bump += size;
	return t->host + t->bump - size;
}

int tables_alloc(struct physmap *pm, size_t size, void **ptr, uint64_t *pa)
{
	struct tables *t = &pm->tables;
	unsigned class = class_of(size);
	bool recycled = true;
	char *block;

	if (BUG_ON(!is_pow2(size) || size < PAGE_SIZE || size > BLOCK_MAX))
		return refuse(EINVAL, "a table of %zu bytes", size);
	if (fault_point())
		return refuse(ENOMEM, "no memory for a table of %zu bytes", size);
	mtx_lock(&t->lock);
	block = t->free[class];
	if (block)
		t->free[class] = *(void **)block;
	else
		block = split_larger(t, class);
	if (!block) {
		block = take_fresh(t, size);
		recycled = false;
	}
	if (block)
		t->in_use += size;
	mtx_unlock(&t->lock);
	if (!block)
		return refuse(ENOMEM, "no memory for a table of %zu bytes, %zu are in use", size,
			      t->in_use);
	if (recycled)
		memset(block, 0, size);
	*ptr = block;
	*pa = pm->win[WIN_TABLE].base + (uint64_t)(block - t->host);
	return 0;
}

void tables_free(struct physmap *pm, void *ptr, uint64_t pa, size_t size)
{
	struct tables *t = &pm->tables;

	if (BUG_ON(pa - pm->win[WIN_TABLE].base != (uint64_t)((char *)ptr - t->host)))
		return;
	mtx_lock(&t->lock);
	*(void **)ptr = t->free[class_of(size)];
	t->free[class_of(size)] = ptr;
	t->in_use -= size;
	mtx_unlock(&t->lock);
}

uint64_t tables_bias(struct physmap *pm)
{
	return (uintptr_t)pm->tables.host - pm->win[WIN_TABLE].base;
}

void tables_window(struct physmap *pm, uint64_t *first, uint64_t *last)
{
	*first = pm->win[WIN_TABLE].base;
	*last = *first + (pm->tables.cap - 1);
}

void tables_extent(struct physmap *pm, uint64_t *base, uint64_t *len)
{
	mtx_lock(&pm->tables.lock);
	*base = pm->win[WIN_TABLE].base;
	*len = pm->tables.bump;
	mtx_unlock(&pm->tables.lock);
}
