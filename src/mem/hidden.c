// SPDX-License-Identifier: MIT
/*
 * Hidden memory: what stands behind frames whose address the client took away.
 *
 * One block per run of pages that was moved together. Several maps may refer to one page (each
 * machine had it pinned), so pages are counted; a page's memory goes back with its last reference
 * and the block's addresses with the last page.
 *
 * The record of a block stands behind it in the same mapping: the client's allocator may be just
 * calling munmap() (see reloc.c).
 */
#include <sys/mman.h>

#include "base/fault.h"
#include "base/sys.h"
#include "mem/physmap_priv.h"

#define HUGE_MIN (2 * MIB)

struct hidden {
	char *base;
	size_t npages, len; /* pages; bytes of the mapping, from base on */
	uint64_t live;      /* references: pages' and the creator's */
	uint16_t refs[];
};

/* For the whole process: a lock inside a block could not outlive the unlock that frees it. */
static struct mtx lock = MTX_INIT(LOCK_HIDDEN);

void hidden_after_fork_child(void)
{
	mtx_init(&lock, LOCK_HIDDEN);
}

/* Large blocks get the alignment of @va within 2 MiB, so that a move keeps huge pages whole. */
static int map_block(uint64_t va, size_t len, char **out)
{
	size_t extra = len >= HUGE_MIN ? HUGE_MIN : 0, head;
	void *mem;
	int rc = sys_mmap(NULL, len + extra, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0, &mem);

	if (rc)
		return rc;
	head = extra ? (size_t)((va - (uintptr_t)mem) & (HUGE_MIN - 1)) : 0;
	if (head)
		sys_munmap(mem, head);
	if (extra > head)
		sys_munmap((char *)mem + head + len, extra - head);
	*out = (char *)mem + head;
	return 0;
}

struct hidden *hidden_create(uint64_t va, size_t npages)
{
	size_t len = npages << PAGE_LG2, record = sizeof(struct hidden) + npages * sizeof(uint16_t);
	struct hidden *h;
	char *base;

	record = (record + PAGE_MASK) & ~PAGE_MASK;
	if (fault_point() || map_block(va, len + record, &base))
		return NULL;
	/* A fork child must not keep or copy what only devices see. */
	sys_madvise(base, len, MADV_DONTFORK);
	h = (struct hidden *)(void *)(base + len);
	h->base = base;
	h->npages = npages;
	h->len = len + record;
	h->live = 1;
	return h;
}

char *hidden_base(struct hidden *h)
{
	return h->base;
}

size_t hidden_npages(const struct hidden *h)
{
	return h->npages;
}

void hidden_refs_begin(void)
{
	mtx_lock(&lock);
}

void hidden_ref_page(struct hidden *h, uintptr_t host)
{
	lock_assert_held(&lock);
	h->refs[(host - (uintptr_t)h->base) >> PAGE_LG2]++;
	h->live++;
}

void hidden_refs_end(void)
{
	mtx_unlock(&lock);
}

static void destroy(struct hidden *h)
{
	sys_munmap(h->base, h->len);
}

/* Gives the memory of unreferenced pages of [first, first + n) back, in runs. */
static void release_pages(struct hidden *h, size_t first, size_t n)
{
	size_t end = first + n;

	while (first < end) {
		size_t run = first;

		while (run < end && !h->refs[run])
			run++;
		if (run > first)
			sys_madvise(h->base + (first << PAGE_LG2), (run - first) << PAGE_LG2,
				    MADV_DONTNEED);
		first = run + 1;
	}
}

void hidden_put_pages(struct hidden *h, uintptr_t host, size_t npages)
{
	size_t first = (host - (uintptr_t)h->base) >> PAGE_LG2;
	uint64_t live;

	mtx_lock(&lock);
	for (size_t i = 0; i < npages; i++)
		(void)BUG_ON(!h->refs[first + i]--);
	live = h->live -= npages;
	if (live)
		release_pages(h, first, npages);
	mtx_unlock(&lock);
	if (!live)
		destroy(h);
}

void hidden_put(struct hidden *h)
{
	uint64_t live;

	mtx_lock(&lock);
	live = --h->live;
	mtx_unlock(&lock);
	if (!live)
		destroy(h);
}
