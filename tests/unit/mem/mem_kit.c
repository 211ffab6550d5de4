// SPDX-License-Identifier: MIT
/* What the tests of memory share. */
#include "mem_kit.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/fault.h"
#include "mem/fence.h"
#include "mem/guard.h"

void kit_begin_opts(struct kit *k, const struct physmap_opts *opts)
{
	assert_int_equal(physmap_create(opts, &k->pm), 0);
	assert_int_equal(mm_get_self(k->pm, &k->mm), 0);
}

void kit_begin(struct kit *k)
{
	kit_begin_opts(k, NULL);
}

void kit_end(struct kit *k)
{
	struct physmap_stats s;

	physmap_check(k->pm);
	physmap_stats(k->pm, &s);
	assert_int_equal(s.pinned_pages, 0);
	assert_int_equal(s.moved_pages, 0);
	assert_int_equal(s.alias_pages, 0);
	assert_int_equal(s.file_pages, 0);
	mm_put(k->mm);
	physmap_destroy(k->pm);
}

int kit_pin(struct kit *k, const void *va, uint64_t npages, unsigned flags, struct pinned *out)
{
	uint64_t done = 0;

	out->n = 0;
	while (done < npages) {
		unsigned n = 0;
		long got = mm_pin(k->mm, (uintptr_t)va + (done << PAGE_LG2), npages - done, flags,
				  out->runs + out->n, RUNS_MAX - out->n, &n);

		if (got <= 0) {
			kit_unpin(k, out);
			out->n = 0;
			return (int)got;
		}
		out->n += n;
		done += (uint64_t)got;
	}
	return 0;
}

void kit_unpin(struct kit *k, const struct pinned *p)
{
	for (unsigned i = 0; i < p->n; i++)
		physmap_unpin(k->pm, &p->runs[i], true);
}

uint64_t kit_pages(const struct pinned *p)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < p->n; i++)
		n += p->runs[i].npages;
	return n;
}

uint64_t kit_pa(const struct pinned *p, uint64_t page)
{
	for (unsigned i = 0; i < p->n; i++) {
		if (page < p->runs[i].npages)
			return p->runs[i].pa + (page << PAGE_LG2);
		page -= p->runs[i].npages;
	}
	fail_msg("page beyond what is pinned");
	return 0;
}

static int dma(struct kit *k, uint64_t pa, void *buf, size_t len, bool write)
{
	struct fence_slot *s = fence_slot();
	int rc = 0;

	assert_non_null(s);
	while (len && !rc) {
		size_t n = len < FENCE_SECTION_MAX ? len : FENCE_SECTION_MAX;
		char *host;

		fence_enter(s, 1);
		host = physmap_ptr(k->pm, pa, &n);
		if (host)
			rc = write ? guard_copy(host, buf, n) : guard_copy(buf, host, n);
		fence_exit(s);
		if (!host) {
			if (!physmap_settle(k->pm, pa))
				return -EFAULT;
			continue;
		}
		pa += n;
		buf = (char *)buf + n;
		len -= n;
	}
	return rc;
}

int kit_dma_read(struct kit *k, uint64_t pa, void *buf, size_t len)
{
	return dma(k, pa, buf, len, false);
}

int kit_dma_write(struct kit *k, uint64_t pa, const void *buf, size_t len)
{
	return dma(k, pa, (void *)(uintptr_t)buf, len, true);
}

void *kit_map(size_t npages)
{
	void *p = mmap(NULL, npages << PAGE_LG2, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

void kit_unmap(void *p, size_t npages)
{
	assert_int_equal(vma_unmapping((uintptr_t)p, npages << PAGE_LG2), 0);
	assert_int_equal(munmap(p, npages << PAGE_LG2), 0);
}

void kit_sweep(int (*fn)(void *arg), void (*check)(void *arg, int rc), void *arg)
{
	for (int persistent = 0; persistent < 2; persistent++) {
		bool fired = true;

		for (unsigned nth = 1; fired; nth++) {
			int rc;

			assert_in_range(nth, 1, 500);
			fault_arm(nth, persistent);
			rc = fn(arg);
			fault_disarm(&fired);
			if (!fired)
				assert_int_equal(rc, 0);
			check(arg, rc);
		}
	}
}
