// SPDX-License-Identifier: MIT
/*
 * BAR mappings: which address range of the process is which part of a device, and what happens
 * on an access to one that is trapped.
 *
 * The table is a sorted array of disjoint ranges under one lock. The fault handler takes that
 * lock in the thread that faulted: nobody touches a trapped mapping while holding it, because all
 * engine access to client memory is guarded and goes nowhere near a BAR (I/O by pread into a
 * trapped mapping is EFAULT).
 */
#include "front/lib/edge.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bits.h"
#include "base/pool.h"
#include "base/why.h"
#include "mem/sigchain.h"

struct barmap {
	uintptr_t start, last;
	uint64_t off;      /* file offset of start */
	struct file *file; /* referenced */
	int prot;
	bool trapped;
};

static struct mtx lock = MTX_INIT(LOCK_NONE);
static struct barmap *maps;
static size_t n_maps, cap_maps;
static _Atomic size_t any; /* n_maps, for a cheap look without the lock */

static int reserve(size_t extra)
{
	struct barmap *bigger;
	size_t cap = cap_maps ? cap_maps * 2 : 16;

	if (n_maps + extra <= cap_maps)
		return 0;
	bigger = mem_alloc(cap * sizeof(*maps));
	if (!bigger)
		return refuse(ENOMEM, "no memory to record the mapping");
	if (n_maps)
		memcpy(bigger, maps, n_maps * sizeof(*maps));
	mem_free(maps);
	maps = bigger;
	cap_maps = cap;
	return 0;
}

static void insert_at(size_t i, struct barmap m)
{
	memmove(&maps[i + 1], &maps[i], (n_maps - i) * sizeof(*maps));
	maps[i] = m;
	n_maps++;
	atomic_store(&any, n_maps);
}

static void remove_at(size_t i)
{
	memmove(&maps[i], &maps[i + 1], (n_maps - i - 1) * sizeof(*maps));
	n_maps--;
	atomic_store(&any, n_maps);
}

/* First entry that ends at or after @addr. */
static size_t lower(uintptr_t addr)
{
	size_t lo = 0, hi = n_maps;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (maps[mid].last < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int barmap_add(struct file *f, uintptr_t addr, size_t len, int prot, uint64_t off, bool trapped)
{
	struct barmap m = {
		.start = addr,
		.last = addr + ((len + PAGE_MASK) & ~PAGE_MASK) - 1,
		.off = off,
		.file = f,
		.prot = prot,
		.trapped = trapped,
	};
	int rc;

	mtx_lock(&lock);
	rc = reserve(2); /* one spare, so that an unmap that splits an entry cannot fail */
	if (!rc) {
		atomic_fetch_add(&f->refs, 1);
		insert_at(lower(addr), m);
		rc = reserve(n_maps);
		if (rc) {
			remove_at(lower(addr));
			atomic_fetch_sub(&f->refs, 1);
		}
	}
	mtx_unlock(&lock);
	return rc;
}

/* Cuts entry @i so that an entry starts at @at; needs one spare place. */
static void split(size_t i, uintptr_t at)
{
	struct barmap right = maps[i];

	right.off += at - right.start;
	right.start = at;
	atomic_fetch_add(&right.file->refs, 1);
	maps[i].last = at - 1;
	insert_at(i + 1, right);
}

/* Makes entries start and end at the borders of [start, last]; index of the first one inside. */
static size_t cut(uintptr_t start, uintptr_t last)
{
	size_t i = lower(start), k;

	if (i < n_maps && maps[i].start < start) {
		split(i, start);
		i++;
	}
	k = lower(last);
	if (k < n_maps && maps[k].start <= last && maps[k].last > last)
		split(k, last + 1);
	return i;
}

bool barmap_before_unmap(uintptr_t addr, size_t len)
{
	uintptr_t last;
	bool found = false;
	size_t i;

	if (likely(!atomic_load_explicit(&any, memory_order_relaxed)) || !len)
		return false;
	last = addr + ((len + PAGE_MASK) & ~PAGE_MASK) - 1;
	mtx_lock(&lock);
	i = lower(addr);
	if (i < n_maps && maps[i].start <= last && !reserve(2)) {
		i = cut(addr, last);
		while (i < n_maps && maps[i].last <= last) {
			struct file *f = maps[i].file;

			remove_at(i);
			found = true;
			/* A file never dies here: the kernel still has the mapping. */
			mtx_unlock(&lock);
			file_put(f);
			mtx_lock(&lock);
			i = lower(addr);
		}
	}
	mtx_unlock(&lock);
	return found;
}

void barmap_after_unmap(struct front *front)
{
	if (front)
		file_reap(front);
}

bool barmap_protect(uintptr_t addr, size_t len, int prot)
{
	uintptr_t last;
	bool found = false;

	if (likely(!atomic_load_explicit(&any, memory_order_relaxed)) || !len)
		return false;
	last = addr + ((len + PAGE_MASK) & ~PAGE_MASK) - 1;
	mtx_lock(&lock);
	for (size_t i = lower(addr); i < n_maps && maps[i].start <= last; i++) {
		if (!maps[i].trapped)
			continue;
		found = true;
		if (reserve(2))
			break;
		i = cut(addr, last);
		for (; i < n_maps && maps[i].last <= last; i++)
			maps[i].prot = prot;
		break;
	}
	mtx_unlock(&lock);
	return found;
}

static bool on_fault(siginfo_t *info, ucontext_t *uc)
{
	uintptr_t addr = (uintptr_t)info->si_addr;
	struct barmap m = { 0 };
	size_t i;
	int rc;

	if (!atomic_load_explicit(&any, memory_order_relaxed))
		return false;
	mtx_lock(&lock);
	i = lower(addr);
	if (i < n_maps && maps[i].start <= addr && maps[i].trapped) {
		m = maps[i];
		atomic_fetch_add(&m.file->refs, 1);
	}
	mtx_unlock(&lock);
	if (!m.file)
		return false;
	rc = mmio_emulate(uc, vfio_file_device(m.file->vfio), m.start, m.last - m.start + 1, m.off,
			  addr, m.prot);
	file_put(m.file);
	if (rc == -EIO) {
		/* Memory decode is off: on Linux the mapping faults with SIGBUS. */
		info->si_signo = SIGBUS;
		info->si_code = BUS_ADRERR;
	}
	return !rc;
}

/* The parent's mappings are here too, but trapped ones lead to a machine that is not. */
void barmap_forked(void)
{
	mtx_init(&lock, LOCK_NONE);
	maps = NULL;
	n_maps = cap_maps = 0;
	atomic_store(&any, 0);
}

int barmap_init(void)
{
	static _Atomic uint32_t done;

	if (atomic_exchange(&done, 1))
		return 0;
	return sigchain_add_region_handler(on_fault);
}
