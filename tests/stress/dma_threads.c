// SPDX-License-Identifier: MIT
/*
 * Does DMA that runs in other threads ever use what has been taken away from it?
 *
 * Each case has threads that do DMA as fast as they can while this one attaches, detaches, unmaps
 * or resets, and after each such call looks whether bytes that no access may reach any more still
 * change. For ThreadSanitizer as much as for itself.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "iommu_kit.h"

#define RW      (IOMMU_READ | IOMMU_WRITE)
#define THREADS 3
#define SLOW    (BUILT_WITH_TSAN || BUILT_WITH_ASAN)

struct writers {
	struct kit *k;
	pthread_t id[THREADS];
	_Atomic bool quit;
	_Atomic uint64_t done, faults, odd;
	uint64_t iova, span;
};

static void *writer(void *arg)
{
	struct writers *w = arg;
	char chunk[3 * 4096];
	uint64_t n = 0;

	memset(chunk, 0x5a, sizeof(chunk));
	while (!atomic_load_explicit(&w->quit, memory_order_relaxed)) {
		uint64_t at = w->iova + n * 8 % w->span;
		int rc;

		n++;
		if (n % 64 == 0)
			rc = iommu_dma_write(&w->k->dev, 0, w->iova, chunk,
					     min_u64(sizeof(chunk), w->span), NULL);
		else if (n % 64 == 32)
			rc = iommu_dma_copy(&w->k->dev, 0, w->iova, w->iova + w->span / 2,
					    w->span / 2, NULL);
		else
			rc = iommu_dma_store(&w->k->dev, 0, at, n, 8);
		if (rc) {
			w->odd += rc != -EFAULT;
			w->faults++;
			sched_yield();
		} else {
			w->done++;
		}
	}
	return NULL;
}

static void writers_start(struct writers *w, struct kit *k, uint64_t iova, uint64_t span)
{
	memset(w, 0, sizeof(*w));
	w->k = k;
	w->iova = iova;
	w->span = span;
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&w->id[i], NULL, writer, w), 0);
}

static void writers_stop(struct writers *w)
{
	w->quit = true;
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(w->id[i], NULL);
	assert_true(w->done > 0);
	assert_true(w->faults > 0);
	assert_int_equal(w->odd, 0);
}

/* Waits until DMA got through again, so that a round tests something. */
static void wait_done(struct writers *w)
{
	uint64_t before = w->done;

	for (int i = 0; w->done < before + 3 && i < 10000; i++)
		sched_yield();
}

/* Marks every word; a little later none may be anything else. */
static void mark(char *p, size_t len)
{
	for (size_t i = 0; i < len; i += 8)
		atomic_store_explicit((_Atomic uint64_t *)(void *)(p + i), 0xfeedull,
				      memory_order_relaxed);
}

static void assert_marked(char *p, size_t len)
{
	for (size_t i = 0; i < len; i += 8)
		if (atomic_load_explicit((_Atomic uint64_t *)(void *)(p + i),
					 memory_order_relaxed) != 0xfeedull)
			fail_msg("byte 0x%zx was written after the fence", i);
}

static void group_detach__dma_runs__nothing_written_after(void **state)
{
	struct kit *k = *state;
	size_t len = 8 * PAGE_SIZE;
	char *a = kit_buf(k, len, PAGE_SIZE), *b = kit_buf(k, len, PAGE_SIZE);
	struct iommu_domain *dom = kit_domain(k);
	struct writers w;

	kit_map(k, 0x10000, a, len, RW);
	kit_map_in(k, dom, 0x10000, b, len, RW, false);
	writers_start(&w, k, 0x10000, len);
	for (unsigned i = 0; i < (SLOW ? 100 : 150); i++) {
		wait_done(&w);
		assert_int_equal(iommu_group_attach(k->g, dom), 0);
		mark(a, len);
		wait_done(&w);
		assert_marked(a, len);
		assert_int_equal(iommu_group_attach(k->g, k->dom), 0);
		mark(b, len);
		wait_done(&w);
		assert_marked(b, len);
		iommu_group_detach(k->g);
		mark(a, len);
		for (int j = 0; j < 5; j++)
			sched_yield();
		assert_marked(a, len);
		assert_int_equal(iommu_group_attach(k->g, k->dom), 0);
	}
	iommu_group_detach(k->g);
	for (int j = 0; j < 5; j++)
		sched_yield();
	writers_stop(&w);
	iommu_domain_destroy(dom);
}

static void domain_destroy__dma_runs__tables_unused(void **state)
{
	struct kit *k = *state;
	char *a = kit_buf(k, 4 * PAGE_SIZE, PAGE_SIZE);
	struct phys_run run;
	struct writers w;
	unsigned n;

	assert_int_equal(mm_pin(k->m->self, (uintptr_t)a, 4, MM_PIN_WRITE, &run, 1, &n), 4);
	k->runs[k->nruns++] = run;
	iommu_group_detach(k->g);
	writers_start(&w, k, 3 * GIB, 4 * PAGE_SIZE);
	for (unsigned i = 0; i < (SLOW ? 100 : 150); i++) {
		struct iommu_domain *dom = kit_domain(k);
		struct pt_gather g;

		pt_gather_init(&g);
		assert_int_equal(
			iommu_domain_map(dom, 3 * GIB, run.pa, 4 * PAGE_SIZE, RW, false, &g), 0);
		assert_int_equal(iommu_group_attach(k->g, dom), 0);
		wait_done(&w);
		iommu_group_detach(k->g);
		iommu_domain_destroy(dom);
	}
	writers_stop(&w);
}

static void domain_sync__dma_runs__pages_and_tables_free(void **state)
{
	struct kit *k = *state;
	size_t len = 2 * MIB;
	char *a = kit_buf(k, len, 2 * MIB);
	struct phys_run run;
	struct writers w;
	unsigned n;

	assert_int_equal(
		mm_pin(k->m->self, (uintptr_t)a, len >> PAGE_LG2, MM_PIN_WRITE, &run, 1, &n),
		len >> PAGE_LG2);
	k->runs[k->nruns++] = run;
	writers_start(&w, k, GIB, 16 * PAGE_SIZE);
	for (unsigned i = 0; i < (SLOW ? 100 : 150); i++) {
		struct pt_gather g;

		/* By turns one large leaf in place of a table, and a table in place of a leaf. */
		pt_gather_init(&g);
		assert_int_equal(iommu_domain_map(k->dom, GIB, run.pa, len, RW, i & 1, &g), 0);
		iommu_domain_sync(k->dom, &g);
		wait_done(&w);
		iommu_domain_unmap(k->dom, GIB, len, &g);
		iommu_domain_sync(k->dom, &g);
		mark(a, 16 * PAGE_SIZE);
		for (int j = 0; j < 5; j++)
			sched_yield();
		assert_marked(a, 16 * PAGE_SIZE);
	}
	writers_stop(&w);
}

/* The client's munmap of pinned memory: the device keeps its bytes, whoever gets the address. */
static void relocation__dma_runs__new_owner_of_address_untouched(void **state)
{
	struct kit *k = *state;
	struct writers w;

	writers_start(&w, k, GIB, 16 * PAGE_SIZE);
	for (unsigned i = 0; i < (SLOW ? 20 : 60); i++) {
		size_t len = i & 1 ? 4 * MIB : 16 * PAGE_SIZE; /* moved, copied */
		char *a =
			mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		uint64_t faults, v = 0;
		struct phys_run run;
		struct pt_gather g;
		unsigned n;

		assert_ptr_not_equal(a, MAP_FAILED);
		memset(a, 0x33, len);
		assert_int_equal(mm_pin(k->m->self, (uintptr_t)a, len >> PAGE_LG2, MM_PIN_WRITE,
					&run, 1, &n),
				 len >> PAGE_LG2);
		pt_gather_init(&g);
		assert_int_equal(iommu_domain_map(k->dom, GIB, run.pa, len, RW, false, &g), 0);
		iommu_domain_sync(k->dom, &g);
		wait_done(&w);
		faults = w.faults;
		assert_int_equal(vma_unmapping((uintptr_t)a, len), 0);
		assert_ptr_equal(mmap(a, len, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
				 a);
		mark(a, 16 * PAGE_SIZE);
		wait_done(&w);
		assert_marked(a, 16 * PAGE_SIZE);
		/* One that found no mapping before the map above may have been counted since. */
		assert_true(w.faults <= faults + THREADS);
		if (len > 16 * PAGE_SIZE) {
			assert_int_equal(iommu_dma_load(&k->dev, 0, GIB + len - 8, &v, 8), 0);
			assert_int_equal(v, 0x3333333333333333ull);
		}
		iommu_domain_unmap(k->dom, GIB, len, &g);
		iommu_domain_sync(k->dom, &g);
		physmap_unpin(k->m->pm, &run, true);
		munmap(a, len);
	}
	writers_stop(&w);
}

struct book {
	char *text; /* freed as soon as no domain refers to it */
};

static void describe(void *owner, uint64_t iova, char *buf, size_t len)
{
	struct book *b = owner;

	(void)iova;
	snprintf(buf, len, "%s", b->text);
}

static void fault_report__domain_goes__owner_outlives_it(void **state)
{
	static const struct iommu_domain_ops ops = { .describe = describe };
	struct kit *k = *state;
	char *a = kit_buf(k, PAGE_SIZE, PAGE_SIZE);
	struct phys_run run;
	struct writers w;
	unsigned n;

	assert_int_equal(mm_pin(k->m->self, (uintptr_t)a, 1, MM_PIN_WRITE, &run, 1, &n), 1);
	k->runs[k->nruns++] = run;
	writers_start(&w, k, 0x1000, 2 * PAGE_SIZE); /* the second page is never mapped */
	for (unsigned i = 0; i < (SLOW ? 200 : 400); i++) {
		struct iommu_domain *dom = kit_domain(k);
		struct book *b = mem_alloc(sizeof(*b));
		struct pt_gather g;

		b->text = strdup("a mapping far away");
		dom->ops = &ops;
		dom->owner = b;
		pt_gather_init(&g);
		assert_int_equal(iommu_domain_map(dom, 0x1000, run.pa, PAGE_SIZE, RW, false, &g),
				 0);
		assert_int_equal(iommu_group_attach(k->g, dom), 0);
		wait_done(&w);
		iommu_group_detach(k->g);
		free(b->text);
		mem_free(b);
		iommu_domain_destroy(dom);
	}
	writers_stop(&w);
}

static void function_reset__dma_runs__nothing_written_after(void **state)
{
	struct kit *k = *state;
	char *p = kit_buf(k, PAGE_SIZE, PAGE_SIZE);
	struct uiommufd_device *f = kit_toy(k);
	struct toy *t = f->state;

	kit_map(k, 0x4000, p, PAGE_SIZE, RW);
	for (unsigned i = 0; i < (SLOW ? 100 : 150); i++) {
		uint64_t before = t->writes;

		function_bar_write(f, 0, 8, 8, 0x4000);
		function_bar_write(f, 0, 16, 8, UINT64_MAX);
		function_bar_write(f, 0, 0, 8, 1);
		for (int j = 0; t->writes < before + 3 && j < 100000; j++)
			sched_yield();
		function_reset(f, UIOMMUFD_RESET_FUNCTION);
		mark(p, 8);
		for (int j = 0; j < 5; j++)
			sched_yield();
		assert_marked(p, 8);
		assert_int_equal(t->in_run, 0);
	}
	assert_true(t->runs > 0);
	kit_toy_release(k, f);
}

static void *resetter(void *arg)
{
	for (int i = 0; i < 50; i++)
		function_reset(arg, UIOMMUFD_RESET_FUNCTION);
	return NULL;
}

static void *kicker(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		function_bar_write(arg, 0, 16, 8, 2);
		function_bar_write(arg, 0, 0, 8, 1);
	}
	return NULL;
}

static void function_reset__several_at_once__one_by_one(void **state)
{
	struct kit *k = *state;
	char *p = kit_buf(k, PAGE_SIZE, PAGE_SIZE);
	struct uiommufd_device *f = kit_toy(k);
	struct toy *t = f->state;
	pthread_t id[4];

	kit_map(k, 0, p, PAGE_SIZE, RW);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&id[i], NULL, i & 1 ? resetter : kicker, f), 0);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(id[i], NULL);
	assert_int_equal(t->resets, 1 + 2 * 50);
	function_reset(f, UIOMMUFD_RESET_FUNCTION);
	assert_int_equal(t->in_run, 0);
	kit_toy_release(k, f);
}

#define T(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(group_detach__dma_runs__nothing_written_after),
		T(domain_destroy__dma_runs__tables_unused),
		T(domain_sync__dma_runs__pages_and_tables_free),
		T(relocation__dma_runs__new_owner_of_address_untouched),
		T(fault_report__domain_goes__owner_outlives_it),
		T(function_reset__dma_runs__nothing_written_after),
		T(function_reset__several_at_once__one_by_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
