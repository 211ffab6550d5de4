// SPDX-License-Identifier: MIT
/* Relocation: what the device sees when the client takes the address of pinned memory away. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fault.h"
#include "mem/physmap_priv.h"
#include "mem_kit.h"

static struct pinned a, b, c;

static void fill(char *p, size_t npages, unsigned seed)
{
	for (size_t i = 0; i < npages; i++)
		for (size_t j = 0; j < PAGE_SIZE; j += 8) {
			uint64_t v = seed * 1000003ull + i * PAGE_SIZE + j;

			memcpy(p + i * PAGE_SIZE + j, &v, 8);
		}
}

/* The device reads what fill() wrote, page for page. */
static void expect(struct kit *k, const struct pinned *p, size_t first, size_t npages,
		   unsigned seed)
{
	static char want[PAGE_SIZE], got[PAGE_SIZE];

	for (size_t i = first; i < first + npages; i++) {
		for (size_t j = 0; j < PAGE_SIZE; j += 8) {
			uint64_t v = seed * 1000003ull + i * PAGE_SIZE + j;

			memcpy(want + j, &v, 8);
		}
		assert_int_equal(kit_dma_read(k, kit_pa(p, i), got, PAGE_SIZE), 0);
		assert_memory_equal(got, want, PAGE_SIZE);
	}
}

static uint64_t moved(struct kit *k)
{
	struct physmap_stats s;

	physmap_check(k->pm);
	physmap_stats(k->pm, &s);
	return s.moved_pages;
}

static void vma_unmapping__nothing_pinned__nothing_moves(void **state)
{
	struct kit k;
	char *p = kit_map(4);

	(void)state;
	kit_begin(&k);
	assert_int_equal(vma_unmapping((uintptr_t)p, 4 * PAGE_SIZE), 0);
	assert_int_equal(vma_unmapping((uintptr_t)p, 0), 0);
	assert_int_equal(vma_unmapping(0, UINT64_MAX), 0);
	assert_int_equal(vma_unmapping(UINT64_MAX - 5, 100), 0);
	assert_int_equal(moved(&k), 0);
	assert_false(vma_pinned((uintptr_t)p, 4 * PAGE_SIZE));
	munmap(p, 4 * PAGE_SIZE);
	kit_end(&k);
}

/* Small runs are copied, large ones moved. */
static void vma_unmapping__pinned__device_keeps_the_bytes(void **state)
{
	static const size_t sizes[] = { 1, 3, 255, 256, 700 };
	struct kit k;

	(void)state;
	kit_begin(&k);
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		size_t n = sizes[i];
		char *p = kit_map(n);

		fill(p, n, i);
		assert_int_equal(kit_pin(&k, p, n, MM_PIN_WRITE, &a), 0);
		assert_true(vma_pinned((uintptr_t)p, PAGE_SIZE));
		kit_unmap(p, n);
		assert_false(vma_pinned((uintptr_t)p, n * PAGE_SIZE)); /* elsewhere by now */
		assert_int_equal(moved(&k), n);
		expect(&k, &a, 0, n, i);
		assert_int_equal(kit_dma_write(&k, kit_pa(&a, n - 1) + 9, "later", 6), 0);
		kit_unpin(&k, &a);
		assert_int_equal(moved(&k), 0);
		assert_false(physmap_settle(k.pm, kit_pa(&a, 0)));
	}
	kit_end(&k);
}

static void vma_unmapping__part_of_what_is_pinned__the_rest_stays(void **state)
{
	char *p = kit_map(600);
	struct kit k;

	(void)state;
	kit_begin(&k);
	fill(p, 600, 5);
	assert_int_equal(kit_pin(&k, p, 600, MM_PIN_WRITE, &a), 0);
	kit_unmap(p + 10 * PAGE_SIZE, 400);
	assert_int_equal(moved(&k), 400);
	expect(&k, &a, 0, 600, 5);
	/* The pages around are the client's still. */
	memcpy(p + 9 * PAGE_SIZE, "client", 7);
	char buf[7];
	assert_int_equal(kit_dma_read(&k, kit_pa(&a, 9), buf, 7), 0);
	assert_string_equal(buf, "client");
	/* One lookup never crosses from a page in place to one that moved. */
	size_t len = 20 * PAGE_SIZE;
	assert_ptr_equal(physmap_ptr(k.pm, kit_pa(&a, 8), &len), p + 8 * PAGE_SIZE);
	assert_int_equal(len, 2 * PAGE_SIZE);
	kit_unmap(p, 600);
	assert_int_equal(moved(&k), 600);
	kit_unpin(&k, &a);
	kit_end(&k);
}

static void vma_unmapping__half_unpinned__only_pinned_pages_move(void **state)
{
	char *p = kit_map(64);
	struct kit k;

	(void)state;
	kit_begin(&k);
	fill(p, 64, 2);
	assert_int_equal(kit_pin(&k, p, 64, MM_PIN_WRITE, &a), 0);
	for (unsigned i = 0; i < 64; i += 2) {
		struct phys_run one = { (uintptr_t)p + i * PAGE_SIZE, 1 };

		physmap_unpin(k.pm, &one, false);
	}
	kit_unmap(p, 64);
	assert_int_equal(moved(&k), 32);
	for (unsigned i = 1; i < 64; i += 2) {
		struct phys_run one = { (uintptr_t)p + i * PAGE_SIZE, 1 };

		expect(&k, &a, i, 1, 2);
		physmap_unpin(k.pm, &one, false);
	}
	kit_end(&k);
}

static void map_fixed__over_pinned_pages__new_memory_has_another_address(void **state)
{
	size_t n = 8;
	char *p = kit_map(n);
	struct kit k;

	(void)state;
	kit_begin(&k);
	fill(p, n, 1);
	assert_int_equal(kit_pin(&k, p, n, MM_PIN_WRITE, &a), 0);
	/* Three generations of memory at one address, all pinned. */
	for (unsigned gen = 2; gen <= 3; gen++) {
		assert_int_equal(vma_unmapping((uintptr_t)p, n * PAGE_SIZE), 0);
		assert_ptr_equal(mmap(p, n * PAGE_SIZE, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
				 p);
		fill(p, n, gen);
		assert_int_equal(kit_pin(&k, p, n, MM_PIN_WRITE, gen == 2 ? &b : &c), 0);
		physmap_check(k.pm);
	}
	assert_int_equal(b.n, 1);
	assert_int_equal(c.n, 1);
	assert_true(kit_pa(&b, 0) != kit_pa(&a, 0) && kit_pa(&c, 0) != kit_pa(&b, 0));
	expect(&k, &a, 0, n, 1);
	expect(&k, &b, 0, n, 2);
	expect(&k, &c, 0, n, 3);
	/* The alias is the client's memory, not a copy. */
	assert_int_equal(kit_dma_write(&k, kit_pa(&c, 3), "dma", 4), 0);
	assert_string_equal(p + 3 * PAGE_SIZE, "dma");
	fill(p, n, 3);

	/* The first generation goes: its address is free, but this memory keeps its frames. */
	kit_unpin(&k, &a);
	assert_int_equal(kit_pin(&k, p, n, 0, &a), 0);
	assert_true(kit_pa(&a, 0) == kit_pa(&c, 0));
	kit_unpin(&k, &a);
	kit_unpin(&k, &c);
	/* Now it may have its own address. */
	assert_int_equal(kit_pin(&k, p, n, 0, &a), 0);
	assert_true(kit_pa(&a, 0) == (uintptr_t)p);
	kit_unpin(&k, &a);
	expect(&k, &b, 0, n, 2);
	kit_unpin(&k, &b);
	kit_unmap(p, n);
	kit_end(&k);
}

static void alias__large_range__alignment_is_kept(void **state)
{
	size_t len = 8 * MIB, n = len >> PAGE_LG2;
	char *area = mmap(NULL, 2 * len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *p;
	struct kit k;

	(void)state;
	kit_begin(&k);
	p = (char *)(((uintptr_t)area + len - 1) & -(uintptr_t)len);
	for (int gen = 0; gen < 2; gen++) {
		assert_int_equal(vma_unmapping((uintptr_t)p, len), 0);
		mmap(p, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		     0);
		assert_int_equal(kit_pin(&k, p, n, MM_PIN_WRITE, gen ? &b : &a), 0);
	}
	assert_int_equal(b.n, 1);
	assert_true(!(kit_pa(&b, 0) & (len - 1)));
	/* An odd start keeps its phase. */
	assert_int_equal(vma_unmapping((uintptr_t)p, len), 0);
	mmap(p, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	assert_int_equal(kit_pin(&k, p + 5 * PAGE_SIZE, 1000, MM_PIN_WRITE, &c), 0);
	assert_int_equal(c.n, 1);
	assert_int_equal(kit_pa(&c, 0) & (2 * MIB - 1), 5 * PAGE_SIZE);
	kit_unpin(&k, &a);
	kit_unpin(&k, &b);
	kit_unpin(&k, &c);
	kit_unmap(area, 2 * n);
	kit_end(&k);
}

static void vma_unmapping__unreadable_pages__bytes_are_kept_even_so(void **state)
{
	static const int prots[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_EXEC };
	static const size_t sizes[] = { 4, 400 };
	struct kit k;

	(void)state;
	kit_begin(&k);
	for (unsigned i = 0; i < ARRAY_LEN(prots); i++)
		for (unsigned j = 0; j < ARRAY_LEN(sizes); j++) {
			size_t n = sizes[j];
			char *p = kit_map(n);

			fill(p, n, 9);
			assert_int_equal(kit_pin(&k, p, n, MM_PIN_WRITE, &a), 0);
			mprotect(p + PAGE_SIZE, (n - 2) * PAGE_SIZE, prots[i]);
			kit_unmap(p, n);
			expect(&k, &a, 0, n, 9);
			assert_int_equal(kit_dma_write(&k, kit_pa(&a, n / 2), "w", 1), 0);
			kit_unpin(&k, &a);
		}
	kit_end(&k);
}

static void vma_discarding__then_dontneed__device_keeps_the_old_pages(void **state)
{
	static const size_t sizes[] = { 4, 400 };
	struct kit k;

	(void)state;
	kit_begin(&k);
	for (unsigned j = 0; j < ARRAY_LEN(sizes); j++) {
		size_t n = sizes[j];
		char *p = kit_map(n);

		fill(p, n, 9);
		assert_int_equal(kit_pin(&k, p, n, MM_PIN_WRITE, &a), 0);
		mprotect(p, PAGE_SIZE, PROT_NONE);
		assert_int_equal(vma_discarding((uintptr_t)p, n * PAGE_SIZE), 0);
		assert_int_equal(madvise(p, n * PAGE_SIZE, MADV_DONTNEED), 0);
		expect(&k, &a, 0, n, 9);
		mprotect(p, PAGE_SIZE, PROT_READ);
		assert_int_equal(p[0], 0);
		p[PAGE_SIZE] = 1; /* the protections are as they were */
		assert_int_equal(kit_pin(&k, p + PAGE_SIZE, n - 1, MM_PIN_WRITE, &b), 0);
		assert_true(kit_pa(&b, 0) != kit_pa(&a, 1));
		kit_unpin(&k, &a);
		kit_unpin(&k, &b);
		kit_unmap(p, n);
	}
	kit_end(&k);
}

static void vma_unmapping__hole_under_a_pin__dma_faults_there(void **state)
{
	char *p = kit_map(500), byte;
	struct kit k;

	(void)state;
	kit_begin(&k);
	fill(p, 500, 4);
	assert_int_equal(kit_pin(&k, p, 500, MM_PIN_WRITE, &a), 0);
	/* Behind our back: the page is lost, its neighbours are not. */
	munmap(p + 7 * PAGE_SIZE, PAGE_SIZE);
	assert_int_equal(kit_dma_read(&k, kit_pa(&a, 7), &byte, 1), -EFAULT);
	kit_unmap(p, 500);
	expect(&k, &a, 0, 7, 4);
	expect(&k, &a, 8, 492, 4);
	assert_int_equal(kit_dma_read(&k, kit_pa(&a, 7), &byte, 1), -EFAULT);
	kit_unpin(&k, &a);
	kit_end(&k);
}

static void vma_unmapping__untouched_gib__moves_without_filling(void **state)
{
	size_t n = GIB >> PAGE_LG2;
	char *p = mmap(NULL, GIB, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char buf[8];
	struct kit k;

	(void)state;
	kit_begin(&k);
	assert_int_equal(kit_pin(&k, p, n, MM_PIN_WRITE, &a), 0);
	memcpy(p + 12345 * PAGE_SIZE, "there", 6);
	kit_unmap(p, n);
	assert_int_equal(moved(&k), n);
	assert_int_equal(kit_dma_read(&k, kit_pa(&a, 12345), buf, 6), 0);
	assert_string_equal(buf, "there");
	kit_unpin(&k, &a);
	kit_end(&k);
}

static void unpin__of_a_moved_range__page_by_page_frees_it(void **state)
{
	char *p = kit_map(40);
	struct kit k;

	(void)state;
	kit_begin(&k);
	fill(p, 40, 6);
	assert_int_equal(kit_pin(&k, p, 40, MM_PIN_WRITE, &a), 0);
	assert_int_equal(kit_pin(&k, p + 8 * PAGE_SIZE, 16, 0, &b), 0); /* some twice */
	kit_unmap(p, 40);
	for (unsigned i = 0; i < 40; i++) {
		struct phys_run one = { kit_pa(&a, i), 1 };

		physmap_unpin(k.pm, &one, false);
		assert_int_equal(moved(&k), i < 8 ? 39 - i : i < 24 ? 32 : 32 - (i - 23));
	}
	expect(&k, &a, 8, 16, 6);
	kit_unpin(&k, &b);
	kit_end(&k);
}

static void vma_unmapping__two_maps__share_the_hidden_pages(void **state)
{
	char *p = kit_map(20);
	struct kit k, l;

	(void)state;
	kit_begin(&k);
	kit_begin(&l);
	fill(p, 20, 8);
	assert_int_equal(kit_pin(&k, p, 12, MM_PIN_WRITE, &a), 0);
	assert_int_equal(kit_pin(&l, p + 4 * PAGE_SIZE, 16, MM_PIN_WRITE, &b), 0);
	kit_unmap(p, 20);
	assert_int_equal(moved(&k), 12);
	assert_int_equal(moved(&l), 16);
	expect(&k, &a, 0, 12, 8);
	/* A device of one machine sees what a device of the other writes. */
	char buf[5];
	assert_int_equal(kit_dma_write(&k, kit_pa(&a, 5), "seen", 5), 0);
	assert_int_equal(kit_dma_read(&l, kit_pa(&b, 1), buf, 5), 0);
	assert_string_equal(buf, "seen");
	kit_unpin(&k, &a);
	assert_int_equal(kit_dma_read(&l, kit_pa(&b, 1), buf, 5), 0);
	assert_string_equal(buf, "seen");
	kit_unpin(&l, &b);
	kit_end(&k);
	kit_end(&l);
}

/* What a signal handler gets that interrupted this thread with the map's lock held. */
static void vma_unmapping__inside_the_engine__enomem(void **state)
{
	char *p = kit_map(4);
	uint64_t out;
	struct kit k;

	(void)state;
	kit_begin(&k);
	assert_int_equal(kit_pin(&k, p, 4, MM_PIN_WRITE, &a), 0);
	physmap_inside++;
	assert_int_equal(vma_unmapping((uintptr_t)p, 4 * PAGE_SIZE), -ENOMEM);
	assert_int_equal(
		vma_remap((uintptr_t)p, 4 * PAGE_SIZE, 8 * PAGE_SIZE, MREMAP_MAYMOVE, 0, &out),
		-ENOMEM);
	physmap_inside--;
	fill(p, 4, 5);
	expect(&k, &a, 0, 4, 5);
	kit_unpin(&k, &a);
	physmap_inside++;
	assert_int_equal(vma_unmapping((uintptr_t)p, 4 * PAGE_SIZE), 0); /* nothing to move */
	physmap_inside--;
	kit_unmap(p, 4);
	kit_end(&k);
}

static void windows__below_the_identity_end__that_memory_is_aliased(void **state)
{
	char *p = kit_map(4);
	struct physmap_opts opts = { .alias_base = align_down((uintptr_t)p, GIB) - 8 * GIB,
				     .bar_base = align_down((uintptr_t)p, GIB) };
	struct physmap *pm;
	struct kit k;

	(void)state;
	kit_begin_opts(&k, &opts);
	assert_int_equal(kit_pin(&k, p, 4, MM_PIN_WRITE, &a), 0);
	assert_true(kit_pa(&a, 0) >= opts.alias_base && kit_pa(&a, 0) < opts.bar_base);
	assert_int_equal(kit_dma_write(&k, kit_pa(&a, 3), "win", 4), 0);
	assert_string_equal(p + 3 * PAGE_SIZE, "win");
	kit_unmap(p, 4);
	assert_int_equal(kit_dma_write(&k, kit_pa(&a, 3), "won", 4), 0);
	kit_unpin(&k, &a);
	kit_end(&k);

	opts.alias_base = opts.bar_base;
	assert_int_equal(physmap_create(&opts, &pm), -EINVAL);
	opts.alias_base = PAGE_SIZE;
	assert_int_equal(physmap_create(&opts, &pm), -EINVAL);
	opts.alias_base = PHYS_END;
	assert_int_equal(physmap_create(&opts, &pm), -EINVAL);
	physmap_destroy(NULL);
}

struct sweep {
	struct kit k;
	size_t n;
	int gen;
	char *p;
};

static int sweep_unmapping(void *arg)
{
	struct sweep *s = arg;

	return vma_unmapping((uintptr_t)s->p, s->n * PAGE_SIZE);
}

/* After a failure everything is as before: the client's pages are the device's. */
static void sweep_check(void *arg, int rc)
{
	struct sweep *s = arg;

	if (rc) {
		assert_int_equal(rc, -ENOMEM);
		assert_int_equal(moved(&s->k), s->gen ? s->n : 0);
		memcpy(s->p, "same", 5);
		char buf[5];
		assert_int_equal(kit_dma_read(&s->k, kit_pa(&b, 0), buf, 5), 0);
		assert_string_equal(buf, "same");
		fill(s->p, s->n, 3);
		expect(&s->k, &b, 0, s->n, 3);
		return;
	}
	assert_int_equal(moved(&s->k), s->gen ? 2 * s->n : s->n);
	expect(&s->k, &b, 0, s->n, 3);
	kit_unpin(&s->k, &b);
	munmap(s->p, s->n * PAGE_SIZE);
	mmap(s->p, s->n * PAGE_SIZE, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	fill(s->p, s->n, 3);
	assert_int_equal(kit_pin(&s->k, s->p, s->n, MM_PIN_WRITE, &b), 0);
}

static void vma_unmapping__every_fault_point__all_or_nothing(void **state)
{
	static const size_t sizes[] = { 3, 300, 1100 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++)
		for (int gen = 0; gen < 2; gen++) {
			struct sweep s = { .n = sizes[i], .gen = gen, .p = kit_map(sizes[i]) };

			kit_begin(&s.k);
			if (gen) { /* the range stands for an alias already */
				assert_int_equal(kit_pin(&s.k, s.p, s.n, MM_PIN_WRITE, &a), 0);
				kit_unmap(s.p, s.n);
				mmap(s.p, s.n * PAGE_SIZE, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
			}
			fill(s.p, s.n, 3);
			assert_int_equal(kit_pin(&s.k, s.p, s.n, MM_PIN_WRITE, &b), 0);
			kit_sweep(sweep_unmapping, sweep_check, &s);
			kit_unpin(&s.k, &b);
			if (gen)
				kit_unpin(&s.k, &a);
			kit_unmap(s.p, s.n);
			kit_end(&s.k);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vma_unmapping__nothing_pinned__nothing_moves),
		cmocka_unit_test(vma_unmapping__pinned__device_keeps_the_bytes),
		cmocka_unit_test(vma_unmapping__part_of_what_is_pinned__the_rest_stays),
		cmocka_unit_test(vma_unmapping__half_unpinned__only_pinned_pages_move),
		cmocka_unit_test(map_fixed__over_pinned_pages__new_memory_has_another_address),
		cmocka_unit_test(alias__large_range__alignment_is_kept),
		cmocka_unit_test(vma_unmapping__unreadable_pages__bytes_are_kept_even_so),
		cmocka_unit_test(vma_discarding__then_dontneed__device_keeps_the_old_pages),
		cmocka_unit_test(vma_unmapping__hole_under_a_pin__dma_faults_there),
		cmocka_unit_test(vma_unmapping__untouched_gib__moves_without_filling),
		cmocka_unit_test(unpin__of_a_moved_range__page_by_page_frees_it),
		cmocka_unit_test(vma_unmapping__two_maps__share_the_hidden_pages),
		cmocka_unit_test(vma_unmapping__inside_the_engine__enomem),
		cmocka_unit_test(windows__below_the_identity_end__that_memory_is_aliased),
		cmocka_unit_test(vma_unmapping__every_fault_point__all_or_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
