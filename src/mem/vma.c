// SPDX-License-Identifier: MIT
/*
 * The record of special ranges: which parts of this process's memory are shared or a device's.
 *
 * A sorted array behind a sequence count. Readers take no lock: they read, and start over when a
 * writer was at work; an array that was outgrown is kept, since a reader may still be in it (the
 * sum of all old ones is less than the newest). Writers hold the lock with signals off, because a
 * client may map memory in a signal handler.
 *
 * I1  entries are disjoint and ascending.
 * I2  at least SPARE entries are free, unless growing failed; if an entry cannot be stored then,
 *     tracking ends: from there on what the record does not know is asked of the kernel.
 */
#include "mem/vma.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/bits.h"
#include "base/fault.h"
#include "base/lock.h"
#include "base/sys.h"
#include "base/why.h"
#include "mem/mm.h"

#define FIRST_CAP 64u
#define SPARE     4u

struct entry {
	_Atomic uint64_t start, last, dev, ino, off;
	_Atomic uint32_t kind;
};

struct table {
	size_t cap;
	struct entry ent[];
};

static struct mtx lock = MTX_INIT(LOCK_MM);
static _Atomic uint32_t seq; /* odd: being changed */
static _Atomic(struct table *) table;
static _Atomic uint32_t count;
static _Atomic bool tracking;
static pthread_once_t once = PTHREAD_ONCE_INIT;

void signals_hold(uint64_t *saved)
{
	uint64_t all = ~(1ull << (SIGSEGV - 1) | 1ull << (SIGBUS - 1));

	sys_call(SYS_rt_sigprocmask, SIG_BLOCK, (long)&all, (long)saved, sizeof(all), 0, 0);
}

void signals_release(const uint64_t *saved)
{
	sys_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)saved, 0, sizeof(*saved), 0, 0);
}

static void before_fork(void)
{
	mtx_lock(&lock);
}

static void after_fork(void)
{
	mtx_unlock(&lock);
}

static void init_once(void)
{
	pthread_atfork(before_fork, after_fork, after_fork);
}

/* Acquire on every load, release on every store: the sequence count then needs no fence. */
#define GET(field)    atomic_load_explicit(&(field), memory_order_acquire)
#define PUT(field, v) atomic_store_explicit(&(field), (v), memory_order_release)

static void read_entry(struct entry *e, struct vma_seg *out)
{
	*out = (struct vma_seg){
		.start = GET(e->start),
		.last = GET(e->last),
		.kind = GET(e->kind),
		.dev = GET(e->dev),
		.ino = GET(e->ino),
		.off = GET(e->off),
		.file = true,
	};
}

static void write_entry(struct entry *e, const struct vma_seg *s)
{
	PUT(e->start, s->start);
	PUT(e->last, s->last);
	PUT(e->kind, (uint32_t)s->kind);
	PUT(e->dev, s->dev);
	PUT(e->ino, s->ino);
	PUT(e->off, s->off);
}

/* Index of the first entry that ends at or after @va. */
static uint32_t lower_bound(struct table *t, uint32_t n, uint64_t va)
{
	uint32_t lo = 0;

	while (lo < n) {
		uint32_t mid = lo + (n - lo) / 2;

		if (GET(t->ent[mid].last) < va)
			lo = mid + 1;
		else
			n = mid;
	}
	return lo;
}

bool vma_special(uint64_t va, uint64_t last, struct vma_seg *out)
{
	for (;;) {
		uint32_t before = atomic_load_explicit(&seq, memory_order_acquire), n, i;
		struct table *t;
		bool found = false;

		if (unlikely(before & 1)) { /* the writer may have lost its processor: sleep */
			uint64_t saved;

			signals_hold(&saved);
			mtx_lock(&lock);
			mtx_unlock(&lock);
			signals_release(&saved);
			continue;
		}
		n = GET(count);
		if (n) {
			t = GET(table);
			i = lower_bound(t, n, va);
			if (i < n && GET(t->ent[i].start) <= last) {
				found = true;
				if (out)
					read_entry(&t->ent[i], out);
			}
		}
		if (likely(atomic_load_explicit(&seq, memory_order_relaxed) == before))
			return found;
	}
}

static void write_begin(void)
{
	atomic_fetch_add_explicit(&seq, 1, memory_order_acq_rel);
}

static void write_end(void)
{
	atomic_fetch_add_explicit(&seq, 1, memory_order_release);
}

/* Makes room for SPARE more entries, if it can. */
static void grow(void)
{
	struct table *t = GET(table), *bigger;
	uint32_t n = GET(count);
	size_t cap = t ? t->cap * 2 : FIRST_CAP;
	void *mem;

	if (t && n + SPARE <= t->cap)
		return;
	/* Mapped, not allocated: this runs inside the client's allocator's own mmap. */
	if (fault_point() ||
	    sys_mmap(NULL, sizeof(*t) + cap * sizeof(t->ent[0]), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, &mem))
		return;
	bigger = mem;
	bigger->cap = cap;
	for (uint32_t i = 0; i < n; i++) {
		struct vma_seg s;

		read_entry(&t->ent[i], &s);
		write_entry(&bigger->ent[i], &s);
	}
	PUT(table, bigger);
}

static void move_entries(struct table *t, uint32_t from, uint32_t to, uint32_t n)
{
	struct vma_seg s;

	for (uint32_t k = 0; k < n; k++) {
		uint32_t i = to > from ? n - 1 - k : k;

		read_entry(&t->ent[from + i], &s);
		write_entry(&t->ent[to + i], &s);
	}
}

/* False: there is no room (I2). */
static bool insert_at(uint32_t i, const struct vma_seg *s)
{
	struct table *t = GET(table);
	uint32_t n = GET(count);

	if (!t || n == t->cap)
		return false;
	move_entries(t, i, i + 1, n - i);
	write_entry(&t->ent[i], s);
	PUT(count, n + 1);
	return true;
}

static void tail_from(struct vma_seg *s, uint64_t start)
{
	s->off += start - s->start;
	s->start = start;
}

/* Takes [va, last] out of every entry. False: a cut needed an entry that there is no room for. */
static bool remove_locked(uint64_t va, uint64_t last)
{
	struct table *t = GET(table);
	uint32_t n = GET(count), i, end;

	if (!n)
		return true;
	i = lower_bound(t, n, va);
	if (i < n && GET(t->ent[i].start) < va) {
		struct vma_seg s;

		read_entry(&t->ent[i], &s);
		PUT(t->ent[i].last, va - 1);
		i++;
		if (s.last > last) {
			tail_from(&s, last + 1);
			return insert_at(i, &s);
		}
	}
	for (end = i; end < n && GET(t->ent[end].last) <= last; end++)
		;
	move_entries(t, end, i, n - end);
	n -= end - i;
	PUT(count, n);
	if (i < n && GET(t->ent[i].start) <= last) {
		struct vma_seg s;

		read_entry(&t->ent[i], &s);
		tail_from(&s, last + 1);
		write_entry(&t->ent[i], &s);
	}
	return true;
}

/* Replaces what the record says about [va, last] by @add (NULL: nothing special). */
static void change(uint64_t va, uint64_t last, const struct vma_seg *add)
{
	uint64_t saved;
	bool ok;

	if (!add && !vma_special(va, last, NULL))
		return;
	pthread_once(&once, init_once);
	signals_hold(&saved);
	mtx_lock(&lock);
	grow();
	write_begin();
	ok = remove_locked(va, last);
	if (ok && add)
		ok = insert_at(lower_bound(GET(table), GET(count), add->start), add);
	if (!ok)
		atomic_store(&tracking, false);
	write_end();
	mtx_unlock(&lock);
	signals_release(&saved);
}

void vma_forget(uint64_t va, uint64_t last)
{
	change(va, last, NULL);
}

bool vma_tracking(void)
{
	return atomic_load_explicit(&tracking, memory_order_acquire);
}

/* Learns from the kernel what stands at [va, last] now. */
static int rescan(uint64_t va, uint64_t last)
{
	uint64_t at = va;
	struct vma_seg s;
	int rc;

	while (!(rc = vma_query(at, true, &s)) && s.start <= last) {
		if (s.start > at) /* a hole */
			vma_forget(at, s.start - 1);
		if (s.start < at)
			tail_from(&s, at);
		if (s.last > last)
			s.last = last;
		change(s.start, s.last, s.kind == VMA_PRIVATE ? NULL : &s);
		if (s.last >= last)
			return 0;
		at = s.last + 1;
	}
	if (rc && rc != -ENOENT)
		return rc;
	vma_forget(at, last);
	return 0;
}

void vma_rescan(uint64_t va, uint64_t len)
{
	if (len && rescan(va, va + len - 1))
		atomic_store(&tracking, false);
}

int vma_tracking_start(void)
{
	int rc;

	if (vma_tracking())
		return 0;
	/* Before any map's fork handlers, which run before ours then: theirs is the outer lock. */
	pthread_once(&once, init_once);
	/* On first, so that a mapping made meanwhile by another thread is reported, not lost. */
	atomic_store(&tracking, true);
	rc = rescan(0, PHYS_IDENTITY_END - 1);
	if (rc)
		atomic_store(&tracking, false);
	if (rc)
		return refuse(-rc, "the process's mappings cannot be read, error %d", -rc);
	return vma_tracking() ? 0 : refuse(ENOMEM, "no memory for the record of shared mappings");
}

void vma_mapped(uint64_t va, uint64_t len, int prot, int flags, int fd, uint64_t off)
{
	(void)prot;
	(void)fd;
	(void)off;
	if (!len)
		return;
	if ((flags & MAP_TYPE) == MAP_PRIVATE)
		vma_forget(va, va + len - 1);
	else /* only the kernel knows the object behind shared anonymous memory */
		vma_rescan(va, (len + PAGE_MASK) & ~PAGE_MASK);
}

void vma_mapped_device(uint64_t va, uint64_t len)
{
	struct vma_seg s = { .start = va, .last = va + len - 1, .kind = VMA_DEVICE };

	if (len)
		change(s.start, s.last, &s);
}
