// SPDX-License-Identifier: MIT
/*
 * BAR mappings: which address range of the process is which part of a device, and what happens
 * on an access to one that is trapped.
 *
 * The table is a sorted array of disjoint ranges under one lock. The fault handler takes that
 * lock in the thread that faulted. The thread cannot be a holder: who holds it touches no trapped
 * mapping (all engine access to client memory is guarded and goes nowhere near a BAR; pread into
 * a trapped mapping is EFAULT) and keeps signals off, so that no handler of the program's runs.
 */
#include "front/lib/edge.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/bits.h"
#include "base/pool.h"
#include "base/sys.h"
#include "base/why.h"
#include "mem/sigchain.h"

struct barmap {
	uintptr_t start, last;
	uint64_t off;      /* file offset of start */
	struct file *file; /* referenced */
	int prot;
	bool trapped; /* inaccessible for good: each access is performed on the model */
	bool off_now; /* memory whose decode is off: inaccessible for now */
};

static struct mtx lock = MTX_INIT(LOCK_NONE);
static struct barmap *maps;
static size_t n_maps, cap_maps;
static _Atomic size_t any; /* n_maps, for a cheap look without the lock */
/* From the first entry's start to the last one's end: never less while an entry stays. */
static _Atomic uintptr_t hull_start, hull_last;

static void enter(uint64_t *mask)
{
	uint64_t all = ~(1ull << (SIGSEGV - 1) | 1ull << (SIGBUS - 1));

	sys_call(SYS_rt_sigprocmask, SIG_BLOCK, (long)&all, (long)mask, sizeof(all), 0, 0);
	mtx_lock(&lock);
}

static void leave(const uint64_t *mask)
{
	mtx_unlock(&lock);
	sys_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)mask, 0, sizeof(*mask), 0, 0);
}

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

static void note_hull(void)
{
	if (n_maps) {
		atomic_store(&hull_start, maps[0].start);
		atomic_store(&hull_last, maps[n_maps - 1].last);
	}
	atomic_store(&any, n_maps);
}

static void insert_at(size_t i, struct barmap m)
{
	memmove(&maps[i + 1], &maps[i], (n_maps - i) * sizeof(*maps));
	maps[i] = m;
	n_maps++;
	note_hull();
}

static void remove_at(size_t i)
{
	memmove(&maps[i], &maps[i + 1], (n_maps - i - 1) * sizeof(*maps));
	n_maps--;
	note_hull();
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
	uint64_t mask;
	int rc;

	enter(&mask);
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
	leave(&mask);
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

/* Some entry meets the range; far from all entries, not even the signal mask is touched. */
static bool meets(uintptr_t addr, uintptr_t last)
{
	uint64_t mask;
	bool found;
	size_t i;

	if (likely(last < atomic_load(&hull_start) || addr > atomic_load(&hull_last)))
		return false;
	enter(&mask);
	i = lower(addr);
	found = i < n_maps && maps[i].start <= last;
	leave(&mask);
	return found;
}

/* Takes one entry inside [addr, last] out of the table; NULL: there is none. */
static struct file *take_out(uintptr_t addr, uintptr_t last)
{
	struct file *f = NULL;
	uint64_t mask;
	size_t i;

	enter(&mask);
	i = lower(addr);
	if (i < n_maps && maps[i].start <= last && !reserve(2)) {
		i = cut(addr, last);
		f = maps[i].file;
		remove_at(i);
	}
	leave(&mask);
	return f;
}

bool barmap_before_unmap(uintptr_t addr, size_t len)
{
	uintptr_t last = addr + ((len + PAGE_MASK) & ~PAGE_MASK) - 1;
	struct file *f;

	if (likely(!atomic_load_explicit(&any, memory_order_relaxed)) || !len ||
	    (addr & PAGE_MASK) || !meets(addr, last))
		return false;
	/* A trapped mapping's file does not die of this: the kernel still has the mapping. */
	while ((f = take_out(addr, last)))
		file_put(f);
	return true;
}

bool barmap_meets(uintptr_t addr, size_t len)
{
	return unlikely(atomic_load_explicit(&any, memory_order_relaxed)) && len &&
	       meets(addr, addr + len - 1);
}

void barmap_moved(uintptr_t old, size_t old_len, uintptr_t to, size_t new_len)
{
	uintptr_t last = old + ((old_len + PAGE_MASK) & ~PAGE_MASK) - 1;
	uint64_t mask;

	if (new_len < old_len)
		barmap_before_unmap(old + ((new_len + PAGE_MASK) & ~PAGE_MASK), old_len - new_len);
	enter(&mask);
	while (to != old && !reserve(2)) {
		size_t i = lower(old);
		struct barmap m;

		if (i == n_maps || maps[i].start > last)
			break;
		m = maps[cut(old, last)];
		remove_at(lower(m.start));
		m.last += to - old;
		m.start += to - old;
		insert_at(lower(m.start), m);
		/* The new place may lie in the old range: go on behind what is done. */
		old = m.last - (to - old) + 1;
		to = m.last + 1;
		if (old > last)
			break;
	}
	leave(&mask);
}

void barmap_after_unmap(struct front *front)
{
	if (front)
		file_reap(front);
}

/* What the kernel is to allow on entry @m now. */
static int protection(const struct barmap *m)
{
	return m->trapped || m->off_now ? PROT_NONE : m->prot;
}

size_t barmap_protect(uintptr_t addr, size_t len, int prot)
{
	uintptr_t last = addr + ((len + PAGE_MASK) & ~PAGE_MASK) - 1;
	size_t covered = 0;
	uint64_t mask;

	if (likely(!atomic_load_explicit(&any, memory_order_relaxed)) || !len ||
	    (addr & PAGE_MASK) || !meets(addr, last))
		return 0;
	enter(&mask);
	if (!reserve(2)) {
		for (size_t i = cut(addr, last); i < n_maps && maps[i].last <= last; i++) {
			size_t n = maps[i].last - maps[i].start + 1;

			maps[i].prot = prot;
			sys_mprotect((void *)maps[i].start, n, protection(&maps[i]));
			covered += n;
		}
	}
	leave(&mask);
	return covered;
}

void barmap_access(struct vfio_pci *dev, unsigned bar, bool on)
{
	uint64_t mask;

	if (!atomic_load(&any))
		return;
	enter(&mask);
	for (size_t i = 0; i < n_maps; i++) {
		if (vfio_file_device(maps[i].file->vfio) != dev || maps[i].off >> 40 != bar)
			continue;
		maps[i].off_now = !on;
		sys_mprotect((void *)maps[i].start, maps[i].last - maps[i].start + 1,
			     protection(&maps[i]));
	}
	leave(&mask);
}

/* The entry at @addr, with a reference to its file. */
static bool find(uintptr_t addr, struct barmap *out)
{
	bool found = false;
	size_t i;

	mtx_lock(&lock);
	i = lower(addr);
	if (i < n_maps && maps[i].start <= addr) {
		*out = maps[i];
		atomic_fetch_add(&out->file->refs, 1);
		found = true;
	}
	mtx_unlock(&lock);
	return found;
}

static bool on_fault(siginfo_t *info, ucontext_t *uc)
{
	uintptr_t addr = (uintptr_t)info->si_addr;
	struct barmap m;
	int rc;

	if (!atomic_load_explicit(&any, memory_order_relaxed) || !find(addr, &m))
		return false;
	if (!m.trapped)
		rc = m.off_now ? refuse(EIO, "memory decode is off (command register)") : -EFAULT;
	else
		rc = mmio_emulate(uc, vfio_file_device(m.file->vfio), m.start, m.last - m.start + 1,
				  m.off, addr, m.prot);
	file_put(m.file);
	if (!rc)
		return true;
	explain_refusal("an access to a mapped BAR", -1, rc);
	if (rc == -EIO) {
		/* On Linux the mapping faults with SIGBUS then. */
		info->si_signo = SIGBUS;
		info->si_code = BUS_ADRERR;
	}
	return false;
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
