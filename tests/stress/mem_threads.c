// SPDX-License-Identifier: MIT
/*
 * The memory layer under threads: nobody sees freed or foreign bytes, nothing is lost.
 *
 * Also run under ThreadSanitizer. Faults and accesses inside the guarded routines are invisible to
 * it; what it judges are the counters, directories and records around them.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "mem/fence.h"
#include "mem/guard.h"
#include "mem_kit.h"

static _Atomic bool stop;

static void rest(long us)
{
	struct timespec ts = { .tv_nsec = us * 1000 };

	nanosleep(&ts, NULL);
}

/* Every case does its rounds or as many as fit into a second: the machine may be busy. */
static bool in_time(bool start)
{
	static struct timespec from;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (start)
		from = now;
	return (now.tv_sec - from.tv_sec) * 1000 + (now.tv_nsec - from.tv_nsec) / 1000000 < 1000;
}

static unsigned rnd(unsigned *seed, unsigned below)
{
	*seed = *seed * 1103515245u + 12345u;
	return (*seed >> 8) % below;
}

/* Litmus: a pointer is changed, the fence waited for, and the old target spoiled. */

#define LITMUS_TAG 7u

static _Atomic(_Atomic uint64_t *) litmus;

static void *litmus_reader(void *arg)
{
	struct fence_slot *s = fence_slot();
	uint64_t seen = 0;

	(void)arg;
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		_Atomic uint64_t *p;

		fence_enter(s, LITMUS_TAG);
		p = atomic_load_explicit(&litmus, memory_order_acquire);
		for (int i = 0; i < 3; i++)
			if (atomic_load_explicit(p, memory_order_relaxed) == 0xdead)
				seen++;
		fence_exit(s);
	}
	return (void *)(uintptr_t)seen;
}

static void fence_wait__pointer_changed__old_target_is_never_used(void **state)
{
	static _Atomic uint64_t cells[2];
	pthread_t t[2];

	(void)state;
	atomic_store(&stop, false);
	atomic_store(&litmus, &cells[0]);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&t[i], NULL, litmus_reader, NULL), 0);
	for (int i = 0; i < 4000 && in_time(!i); i++) {
		_Atomic uint64_t *old = &cells[i % 2], *new = &cells[(i + 1) % 2];

		atomic_store_explicit(new, (uint64_t)i, memory_order_relaxed);
		atomic_store_explicit(&litmus, new, memory_order_release);
		fence_wait(LITMUS_TAG);
		atomic_store_explicit(old, 0xdead, memory_order_relaxed);
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 2; i++) {
		void *seen;

		pthread_join(t[i], &seen);
		assert_null(seen);
	}
}

/* Devices write and read back while the client takes the addresses away again and again. */

#define PAGES 96u

struct device {
	struct kit *k;
	struct pinned *pins;
	unsigned id;
	uint64_t wrong;
};

static void *device(void *arg)
{
	struct device *d = arg;
	static _Thread_local uint64_t expect[PAGES];
	unsigned seed = d->id;
	uint64_t count = 0;

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		unsigned page = rnd(&seed, PAGES);
		uint64_t pa = kit_pa(d->pins, page) + d->id * 8, v = ~0ull;

		if (kit_dma_read(d->k, pa, &v, 8) || v != expect[page])
			d->wrong++;
		v = expect[page] = ++count << 8 | d->id;
		if (kit_dma_write(d->k, pa, &v, 8))
			d->wrong++;
	}
	return NULL;
}

/* The client's ways to take [at, at + n) of @p away; what stands there afterwards is garbage. */
static void take_away(char *p, char *scratch, unsigned at, unsigned n, unsigned how)
{
	size_t len = n * PAGE_SIZE;
	uint64_t out;

	p += at * PAGE_SIZE;
	scratch += at * PAGE_SIZE;
	if (how == 0) { /* moves it; what was there before goes */
		assert_int_equal(vma_remap((uintptr_t)p, len, len, MREMAP_MAYMOVE | MREMAP_FIXED,
					   (uintptr_t)scratch, &out),
				 0);
	} else if (how == 1) {
		assert_int_equal(vma_discarding((uintptr_t)p, len), 0);
		assert_int_equal(madvise(p, len, MADV_DONTNEED), 0);
		memset(p, 0xee, len);
		return;
	} else {
		assert_int_equal(vma_unmapping((uintptr_t)p, len), 0);
	}
	assert_ptr_not_equal(mmap(p, len, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			     MAP_FAILED);
	memset(p, 0xff, len);
}

static void relocation__devices_at_work__no_byte_is_lost(void **state)
{
	static struct pinned pins;
	struct device dev[2];
	pthread_t t[2];
	unsigned seed = 99;
	struct kit k;
	char *p, *scratch;

	(void)state;
	kit_begin(&k);
	for (int round = 0; round < 40 && in_time(!round); round++) {
		p = kit_map(PAGES);
		scratch = kit_map(PAGES);
		memset(p, 0, PAGES * PAGE_SIZE);
		assert_int_equal(kit_pin(&k, p, PAGES, MM_PIN_WRITE, &pins), 0);
		atomic_store(&stop, false);
		for (unsigned i = 0; i < 2; i++) {
			dev[i] = (struct device){ .k = &k, .pins = &pins, .id = i };
			assert_int_equal(pthread_create(&t[i], NULL, device, &dev[i]), 0);
		}
		for (int i = 0; i < 30; i++) {
			unsigned at = rnd(&seed, PAGES), n = 1 + rnd(&seed, PAGES - at);

			take_away(p, scratch, at, n, rnd(&seed, 3));
			if (rnd(&seed, 4) == 0)
				rest(200);
		}
		atomic_store(&stop, true);
		for (unsigned i = 0; i < 2; i++) {
			pthread_join(t[i], NULL);
			assert_int_equal(dev[i].wrong, 0);
		}
		physmap_check(k.pm);
		kit_unpin(&k, &pins);
		kit_unmap(p, PAGES);
		kit_unmap(scratch, PAGES);
	}
	kit_end(&k);
}

/* Pins and unpins race with relocation of the same pages. */

struct pinner {
	struct kit *k;
	char *area;
	unsigned id;
	uint64_t wrong;
	_Atomic uint64_t pinned;
};

static void *pinner(void *arg)
{
	struct pinner *w = arg;
	unsigned seed = w->id * 77 + 1;

	if (guard_init())
		w->wrong++;
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		unsigned at = rnd(&seed, PAGES), n = 1 + rnd(&seed, PAGES - at), nruns = 0;
		struct phys_run runs[PAGES];
		long got = mm_pin(w->k->mm, (uintptr_t)w->area + at * PAGE_SIZE, n,
				  rnd(&seed, 2) ? MM_PIN_WRITE : 0, runs, PAGES, &nruns);
		char c;

		if (got <= 0) {
			w->wrong += got != -EFAULT;
			continue;
		}
		w->pinned++;
		kit_dma_read(w->k, runs[0].pa, &c, 1);
		while (nruns--)
			physmap_unpin(w->k->pm, &runs[nruns], false);
	}
	return NULL;
}

static void relocation__pins_and_unpins_at_once__nothing_left_over(void **state)
{
	struct pinner w[2] = { 0 };
	pthread_t t[2];
	unsigned seed = 5;
	struct kit k;
	char *p = kit_map(PAGES);

	(void)state;
	kit_begin(&k);
	atomic_store(&stop, false);
	for (unsigned i = 0; i < 2; i++) {
		w[i].k = &k;
		w[i].area = p;
		w[i].id = i;
		assert_int_equal(pthread_create(&t[i], NULL, pinner, &w[i]), 0);
	}
	for (int i = 0; (i < 3000 && in_time(!i)) || !w[0].pinned || !w[1].pinned; i++) {
		unsigned at = rnd(&seed, PAGES), n = 1 + rnd(&seed, PAGES - at);

		assert_int_equal(vma_unmapping((uintptr_t)p + at * PAGE_SIZE, n * PAGE_SIZE), 0);
		assert_ptr_not_equal(mmap(p + at * PAGE_SIZE, n * PAGE_SIZE, PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
				     MAP_FAILED);
		if (i % 64 == 0)
			rest(100);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < 2; i++) {
		pthread_join(t[i], NULL);
		assert_int_equal(w[i].wrong, 0);
	}
	kit_unmap(p, PAGES);
	kit_end(&k);
}

/* The client moves pinned memory onto addresses that other threads are just pinning. */
static void mremap__onto_what_others_pin__nothing_left_over(void **state)
{
	struct pinner w[2] = { 0 };
	pthread_t t[2];
	unsigned seed = 9;
	struct kit k;
	char *p = kit_map(PAGES);

	(void)state;
	kit_begin(&k);
	atomic_store(&stop, false);
	for (unsigned i = 0; i < 2; i++) {
		w[i] = (struct pinner){ .k = &k, .area = p, .id = i };
		assert_int_equal(pthread_create(&t[i], NULL, pinner, &w[i]), 0);
	}
	for (int i = 0; in_time(!i) || !w[0].pinned || !w[1].pinned; i++) {
		unsigned n = 1 + rnd(&seed, 8), from = rnd(&seed, PAGES / 2 - n);
		unsigned to = PAGES / 2 + rnd(&seed, PAGES / 2 - n);
		struct phys_run run;
		unsigned nruns = 0;
		uint64_t out;

		if (i % 2) { /* and back: an address whose own frame is elsewhere needs an alias */
			unsigned swap = from;

			from = to;
			to = swap;
		}
		assert_true(mm_pin(k.mm, (uintptr_t)p + from * PAGE_SIZE, 1, 0, &run, 1, &nruns) ==
			    1);
		assert_int_equal(vma_remap((uintptr_t)p + from * PAGE_SIZE, n * PAGE_SIZE,
					   n * PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED,
					   (uintptr_t)p + to * PAGE_SIZE, &out),
				 0);
		assert_ptr_not_equal(mmap(p + from * PAGE_SIZE, n * PAGE_SIZE,
					  PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
				     MAP_FAILED);
		physmap_unpin(k.pm, &run, false);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < 2; i++) {
		pthread_join(t[i], NULL);
		assert_int_equal(w[i].wrong, 0);
	}
	kit_unmap(p, PAGES);
	kit_end(&k);
}

/* Shared memory: pins of one object from several threads, the last pin drops its mapping. */

static void *file_pinner(void *arg)
{
	struct pinner *w = arg;
	unsigned seed = w->id * 31 + 7;

	for (int i = 0; i < 1500; i++) {
		unsigned at = rnd(&seed, PAGES), n = 1 + rnd(&seed, PAGES - at), nruns = 0;
		struct phys_run run;
		uint64_t v = w->id + 1, back = 0;

		if (mm_pin(w->k->mm, (uintptr_t)w->area + at * PAGE_SIZE, n, MM_PIN_WRITE, &run, 1,
			   &nruns) != n ||
		    kit_dma_write(w->k, run.pa + w->id * 8, &v, 8) ||
		    kit_dma_read(w->k, run.pa + w->id * 8, &back, 8) || back != v) {
			w->wrong++;
			break;
		}
		physmap_unpin(w->k->pm, &run, true);
	}
	return NULL;
}

static void mm_pin__one_file_in_many_threads__pins_add_up(void **state)
{
	int fd = memfd_create("threads", 0);
	struct pinner w[3] = { 0 };
	pthread_t t[3];
	struct kit k;
	char *p;

	(void)state;
	kit_begin(&k);
	assert_int_equal(ftruncate(fd, PAGES * PAGE_SIZE), 0);
	p = mmap(NULL, PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	for (unsigned i = 0; i < 3; i++) {
		w[i].k = &k;
		w[i].area = p;
		w[i].id = i;
		assert_int_equal(pthread_create(&t[i], NULL, file_pinner, &w[i]), 0);
	}
	for (unsigned i = 0; i < 3; i++) {
		pthread_join(t[i], NULL);
		assert_int_equal(w[i].wrong, 0);
	}
	kit_unmap(p, PAGES);
	close(fd);
	kit_end(&k);
}

/* The record of shared ranges is read without a lock while others change it. */

static char *record_area;

static void *record_reader(void *arg)
{
	struct kit *k = arg;
	uintptr_t wrong = 0;
	unsigned seed = 3;

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		unsigned page = rnd(&seed, PAGES), nruns;
		struct phys_run run;
		/* Even pages are always private and never remapped. */
		uintptr_t va = (uintptr_t)record_area + (page & ~1u) * PAGE_SIZE;

		if (mm_pin(k->mm, va, 1, 0, &run, 1, &nruns) != 1 || run.pa != va)
			wrong++;
		else
			physmap_unpin(k->pm, &run, false);
	}
	return (void *)wrong;
}

static void vma_record__changed_while_read__private_pages_stay_private(void **state)
{
	int fd = memfd_create("record", 0);
	pthread_t t[2];
	unsigned seed = 11;
	struct kit k;
	void *wrong;

	(void)state;
	kit_begin(&k);
	assert_int_equal(vma_tracking_start(), 0);
	assert_int_equal(ftruncate(fd, PAGE_SIZE), 0);
	record_area = kit_map(PAGES);
	atomic_store(&stop, false);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&t[i], NULL, record_reader, &k), 0);
	for (int i = 0; i < 4000 && in_time(!i); i++) {
		char *p = record_area + (rnd(&seed, PAGES) | 1u) * PAGE_SIZE;
		int flags = MAP_FIXED | (rnd(&seed, 2) ? MAP_SHARED : MAP_PRIVATE);

		assert_int_equal(vma_unmapping((uintptr_t)p, PAGE_SIZE), 0);
		assert_ptr_equal(mmap(p, PAGE_SIZE, PROT_READ, flags, fd, 0), p);
		vma_mapped((uintptr_t)p, PAGE_SIZE, PROT_READ, flags, fd, 0);
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 2; i++) {
		pthread_join(t[i], &wrong);
		assert_null(wrong);
	}
	kit_unmap(record_area, PAGES);
	close(fd);
	kit_end(&k);
}

/* Maps come and go while others ask all of them. */

static void *come_and_go(void *arg)
{
	(void)arg;
	for (int i = 0; i < 150; i++) {
		struct physmap *pm;

		if (physmap_create(NULL, &pm))
			return &stop;
		physmap_destroy(pm);
	}
	atomic_store(&stop, true);
	return NULL;
}

static void physmap_destroy__while_others_unmap__waits_for_them(void **state)
{
	struct kit k;
	pthread_t t;
	void *what;

	(void)state;
	kit_begin(&k);
	atomic_store(&stop, false);
	assert_int_equal(pthread_create(&t, NULL, come_and_go, NULL), 0);
	while (!atomic_load(&stop)) {
		static struct pinned pins;
		char *p = kit_map(2);

		assert_int_equal(kit_pin(&k, p, 2, 0, &pins), 0);
		kit_unmap(p, 2);
		kit_unpin(&k, &pins);
	}
	pthread_join(t, &what);
	assert_null(what);
	kit_end(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fence_wait__pointer_changed__old_target_is_never_used),
		cmocka_unit_test(relocation__devices_at_work__no_byte_is_lost),
		cmocka_unit_test(relocation__pins_and_unpins_at_once__nothing_left_over),
		cmocka_unit_test(mremap__onto_what_others_pin__nothing_left_over),
		cmocka_unit_test(mm_pin__one_file_in_many_threads__pins_add_up),
		cmocka_unit_test(vma_record__changed_while_read__private_pages_stay_private),
		cmocka_unit_test(physmap_destroy__while_others_unmap__waits_for_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
