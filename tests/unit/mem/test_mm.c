// SPDX-License-Identifier: MIT
/* Pinning private memory: output addresses, runs, and who gets EFAULT when. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/why.h"
#include "mem_kit.h"

static struct pinned a, b;

static void mm_pin__private_pages__output_address_is_address(void **state)
{
	struct kit k;
	char *p = kit_map(40);

	(void)state;
	kit_begin(&k);
	for (unsigned n = 1; n <= 40; n += 13) {
		assert_int_equal(kit_pin(&k, p, n, MM_PIN_WRITE, &a), 0);
		assert_int_equal(a.n, 1);
		assert_true(a.runs[0].pa == (uintptr_t)p);
		assert_int_equal(a.runs[0].npages, n);
		assert_int_equal(physmap_pins(k.pm, (uintptr_t)p), 1);
		assert_int_equal(physmap_pins(k.pm, (uintptr_t)p + n * PAGE_SIZE), 0);
		kit_unpin(&k, &a);
		assert_int_equal(physmap_pins(k.pm, (uintptr_t)p), 0);
	}
	kit_unmap(p, 40);
	kit_end(&k);
}

static void mm_pin__bad_range__efault_with_reason(void **state)
{
	struct kit k;

	(void)state;
	kit_begin(&k);
	assert_int_equal(kit_pin(&k, (void *)1, 1, 0, &a), -EFAULT);
	assert_int_equal(kit_pin(&k, NULL, 1, 0, &a), -EFAULT);
	assert_int_equal(kit_pin(&k, (void *)0x7ffffffff000ull, 2, 0, &a), -EFAULT);
	assert_int_equal(kit_pin(&k, (void *)0xfffffffffffff000ull, 1, 0, &a), -EFAULT);
	assert_int_equal(kit_pin(&k, (void *)0x800000000000ull, 1, 0, &a), -EFAULT);
	why_clear();
	assert_int_equal(kit_pin(&k, (void *)PAGE_SIZE, 1, 0, &a), -EFAULT);
	assert_non_null(strstr(why_last(), "0x1000"));
	kit_end(&k);
}

/* @n pages of which page @bad has protection @prot (-1: unmapped): pins go up to it. */
static void pins_up_to(struct kit *k, size_t n, size_t bad, int prot, unsigned flags, bool ok)
{
	char *p = kit_map(n);
	unsigned nruns = 0;
	long got;

	memset(p, 1, n << PAGE_LG2);
	if (prot < 0)
		munmap(p + (bad << PAGE_LG2), PAGE_SIZE);
	else
		mprotect(p + (bad << PAGE_LG2), PAGE_SIZE, prot);
	got = mm_pin(k->mm, (uintptr_t)p, n, flags, a.runs, RUNS_MAX, &nruns);
	if (ok || bad) {
		assert_int_equal(got, ok ? n : bad);
		a.n = nruns;
		assert_int_equal(kit_pages(&a), got);
		kit_unpin(k, &a);
	} else {
		assert_int_equal(got, -EFAULT);
		assert_int_equal(nruns, 0);
	}
	assert_int_equal(kit_pin(k, p, n, flags, &a), ok ? 0 : -EFAULT);
	if (ok)
		kit_unpin(k, &a);
	munmap(p, n << PAGE_LG2);
}

static void mm_pin__hole_or_wrong_protection__efault_from_there(void **state)
{
	static const size_t sizes[] = { 1, 5, 32, 33, 200, 1500 };
	struct kit k;

	(void)state;
	kit_begin(&k);
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		size_t n = sizes[i], at[] = { 0, n / 2, n - 1 };

		for (unsigned j = 0; j < 3; j++) {
			pins_up_to(&k, n, at[j], -1, 0, false);
			pins_up_to(&k, n, at[j], -1, MM_PIN_WRITE, false);
			pins_up_to(&k, n, at[j], PROT_NONE, 0, false);
			pins_up_to(&k, n, at[j], PROT_READ, MM_PIN_WRITE, false);
			pins_up_to(&k, n, at[j], PROT_READ, 0, true);
			pins_up_to(&k, n, at[j], PROT_READ | PROT_WRITE | PROT_EXEC, MM_PIN_WRITE,
				   true);
		}
	}
	kit_end(&k);
}

static void mm_pin__big_untouched_range__takes_no_memory(void **state)
{
	size_t n = GIB >> PAGE_LG2;
	unsigned char *p = mmap(NULL, 2 * GIB, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
		      vec = 1;
	struct kit k;

	(void)state;
	kit_begin(&k);
	assert_int_equal(kit_pin(&k, p, n, MM_PIN_WRITE, &a), 0);
	assert_int_equal(a.n, 1);
	mincore(p + GIB / 2, PAGE_SIZE, &vec);
	assert_int_equal(vec & 1, 0);
	/* The first DMA fills it. */
	assert_int_equal(kit_dma_write(&k, kit_pa(&a, 77), "hello", 6), 0);
	assert_string_equal((char *)p + 77 * PAGE_SIZE, "hello");
	kit_unpin(&k, &a);
	munmap(p, 2 * GIB);
	kit_end(&k);
}

static void mm_pin__private_file__populated_and_copied_on_write(void **state)
{
	int fd = memfd_create("private", 0);
	struct kit k;
	char *p, c;

	(void)state;
	kit_begin(&k);
	assert_int_equal(ftruncate(fd, 50 * PAGE_SIZE), 0);
	p = mmap(NULL, 64 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	assert_int_equal(kit_pin(&k, p, 50, MM_PIN_WRITE, &a), 0);
	assert_true(kit_pa(&a, 49) == (uintptr_t)p + 49 * PAGE_SIZE);
	assert_int_equal(kit_dma_write(&k, kit_pa(&a, 49), "x", 1), 0);
	assert_int_equal(p[49 * PAGE_SIZE], 'x');
	assert_int_equal(pread(fd, &c, 1, 49 * PAGE_SIZE), 1);
	assert_int_equal(c, 0);
	kit_unpin(&k, &a);
	/* Beyond the file's end there is nothing to pin. */
	assert_int_equal(kit_pin(&k, p, 51, 0, &a), -EFAULT);
	assert_int_equal(kit_pin(&k, p + 50 * PAGE_SIZE, 1, 0, &a), -EFAULT);
	munmap(p, 64 * PAGE_SIZE);
	close(fd);
	kit_end(&k);
}

static void physmap_force__protected_since_the_pin__works(void **state)
{
	static const int prots[] = { PROT_NONE, PROT_READ };
	char buf[12] = { 0 }, *p;
	struct kit k;

	(void)state;
	kit_begin(&k);
	for (unsigned i = 0; i < ARRAY_LEN(prots); i++) {
		p = kit_map(3);
		assert_int_equal(kit_pin(&k, p, 2, MM_PIN_WRITE, &a), 0);
		assert_int_equal(mprotect(p, 3 * PAGE_SIZE, prots[i]), 0);
		assert_int_equal(kit_dma_write(&k, kit_pa(&a, 0), "x", 1), -EFAULT);
		/* Over the edge of a page. */
		memcpy(buf, "over", 5);
		assert_int_equal(physmap_force(k.pm, kit_pa(&a, 1) - 2, buf, 5, true), 0);
		memset(buf, 0, sizeof(buf));
		assert_int_equal(physmap_force(k.pm, kit_pa(&a, 1) - 2, buf, 5, false), 0);
		assert_string_equal(buf, "over");
		/* Only what is pinned. */
		assert_int_equal(physmap_force(k.pm, (uintptr_t)p + 2 * PAGE_SIZE, buf, 1, true),
				 -EFAULT);
		assert_int_equal(
			physmap_force(k.pm, (uintptr_t)p + 2 * PAGE_SIZE - 1, buf, 2, false),
			-EFAULT);
		assert_int_equal(mprotect(p, 3 * PAGE_SIZE, PROT_READ | PROT_WRITE), 0);
		assert_string_equal(p + PAGE_SIZE - 2, "over");
		munmap(p, PAGE_SIZE); /* behind our back */
		assert_int_equal(physmap_force(k.pm, kit_pa(&a, 0), buf, 1, true), -EFAULT);
		assert_int_equal(physmap_force(k.pm, kit_pa(&a, 1), buf, 1, true), 0);
		kit_unpin(&k, &a);
		munmap(p, 3 * PAGE_SIZE);
	}
	kit_end(&k);
}

static void mm_pin__interrupt_hole__gets_aliases(void **state)
{
	char *want = (char *)(PHYS_HOLE_START - 2 * PAGE_SIZE);
	char *p = mmap(want, 6 * PAGE_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	struct kit k;

	(void)state;
	if (p != want) {
		print_message("# something else is at %p (a sanitizer's shadow?)\n", (void *)want);
		if (p != MAP_FAILED)
			munmap(p, 6 * PAGE_SIZE);
		skip();
	}
	kit_begin(&k);
	assert_int_equal(kit_pin(&k, p, 6, MM_PIN_WRITE, &a), 0);
	assert_int_equal(a.n, 2);
	assert_true(kit_pa(&a, 1) == (uintptr_t)p + PAGE_SIZE);
	assert_true(kit_pa(&a, 2) >= PHYS_IDENTITY_END);
	assert_true(kit_pa(&a, 5) == kit_pa(&a, 2) + 3 * PAGE_SIZE);
	assert_int_equal(kit_dma_write(&k, kit_pa(&a, 2) + 5, "hole", 5), 0);
	assert_string_equal(p + 2 * PAGE_SIZE + 5, "hole");
	/* A second pin of the same page is the same frame. */
	assert_int_equal(kit_pin(&k, p + 3 * PAGE_SIZE, 1, 0, &b), 0);
	assert_true(kit_pa(&b, 0) == kit_pa(&a, 3));
	physmap_check(k.pm);
	kit_unpin(&k, &a);
	assert_int_equal(physmap_pins(k.pm, kit_pa(&b, 0)), 1);
	kit_unpin(&k, &b);
	assert_false(physmap_settle(k.pm, PHYS_HOLE_START));
	munmap(p, 6 * PAGE_SIZE);
	kit_end(&k);
}

static void mm_pin__no_room_for_runs__stops_there(void **state)
{
	char *p = kit_map(8);
	unsigned n = 0;
	struct kit k;

	(void)state;
	kit_begin(&k);
	/* Pages 2 and 5 become aliases: five runs. */
	for (int i = 2; i <= 5; i += 3) {
		assert_int_equal(kit_pin(&k, p + i * (int)PAGE_SIZE, 1, 0, i == 2 ? &a : &b), 0);
		assert_int_equal(vma_unmapping((uintptr_t)p + i * (int)PAGE_SIZE, PAGE_SIZE), 0);
	}
	for (unsigned max = 1; max <= 5; max++) {
		static const long want[] = { 2, 3, 5, 6, 8 };
		struct phys_run runs[5];

		n = 0;
		assert_int_equal(mm_pin(k.mm, (uintptr_t)p, 8, MM_PIN_WRITE, runs, max, &n),
				 want[max - 1]);
		assert_int_equal(n, max);
		physmap_check(k.pm);
		for (unsigned i = 0; i < n; i++)
			physmap_unpin(k.pm, &runs[i], false);
	}
	kit_unpin(&k, &a);
	kit_unpin(&k, &b);
	kit_unmap(p, 8);
	kit_end(&k);
}

static void mm_copy__bad_memory__efault(void **state)
{
	char buf[32] = "abc", *p = kit_map(1);
	struct kit k;

	(void)state;
	kit_begin(&k);
	assert_int_equal(mm_copy_to(k.mm, (uintptr_t)p, buf, 4), 0);
	memset(buf, 0, 4);
	assert_int_equal(mm_copy_from(k.mm, buf, (uintptr_t)p, 4), 0);
	assert_string_equal(buf, "abc");
	assert_int_equal(mm_copy_from(k.mm, buf, 8, 4), -EFAULT);
	assert_int_equal(mm_copy_to(k.mm, 8, buf, 4), -EFAULT);
	assert_int_equal(mm_copy_from(k.mm, buf, UINT64_MAX - 1, 4), -EFAULT);
	kit_unmap(p, 1);
	kit_end(&k);
}

static void mm_get_self__twice__same(void **state)
{
	struct mm *again;
	struct kit k;

	(void)state;
	kit_begin(&k);
	assert_int_equal(mm_get_self(k.pm, &again), 0);
	assert_ptr_equal(again, k.mm);
	mm_put(again);
	mm_put(NULL);
	kit_end(&k);
}

struct sweep {
	struct kit k;
	char *p;
	size_t n;
};

static int sweep_pin(void *arg)
{
	struct sweep *s = arg;

	return kit_pin(&s->k, s->p, s->n, MM_PIN_WRITE, &a);
}

static void sweep_pin_check(void *arg, int rc)
{
	struct sweep *s = arg;
	struct physmap_stats st;

	physmap_check(s->k.pm);
	physmap_stats(s->k.pm, &st);
	if (rc) {
		assert_int_equal(rc, -ENOMEM);
		assert_int_equal(st.pinned_pages, 0);
		return;
	}
	assert_int_equal(st.pinned_pages, s->n);
	kit_unpin(&s->k, &a);
}

static int sweep_life(void *arg)
{
	struct kit k;
	int rc = physmap_create(NULL, &k.pm);

	(void)arg;
	if (rc)
		return rc;
	rc = mm_get_self(k.pm, &k.mm);
	if (rc) {
		physmap_destroy(k.pm);
		return rc;
	}
	kit_end(&k);
	return 0;
}

static void sweep_life_check(void *arg, int rc)
{
	(void)arg;
	assert_true(rc == 0 || rc == -ENOMEM);
}

static void mm_pin__every_fault_point__nothing_pinned(void **state)
{
	static const size_t sizes[] = { 1, 100, 3000 };
	struct sweep s;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		s.n = sizes[i];
		s.p = kit_map(s.n);
		kit_begin(&s.k);
		kit_sweep(sweep_pin, sweep_pin_check, &s);
		kit_end(&s.k);
		kit_unmap(s.p, s.n);
	}
	kit_sweep(sweep_life, sweep_life_check, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mm_pin__private_pages__output_address_is_address),
		cmocka_unit_test(mm_pin__bad_range__efault_with_reason),
		cmocka_unit_test(mm_pin__hole_or_wrong_protection__efault_from_there),
		cmocka_unit_test(mm_pin__big_untouched_range__takes_no_memory),
		cmocka_unit_test(mm_pin__private_file__populated_and_copied_on_write),
		cmocka_unit_test(physmap_force__protected_since_the_pin__works),
		cmocka_unit_test(mm_pin__interrupt_hole__gets_aliases),
		cmocka_unit_test(mm_pin__no_room_for_runs__stops_there),
		cmocka_unit_test(mm_copy__bad_memory__efault),
		cmocka_unit_test(mm_get_self__twice__same),
		cmocka_unit_test(mm_pin__every_fault_point__nothing_pinned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ||
	       /* The same with the record of shared ranges instead of questions. */
	       vma_tracking_start() || cmocka_run_group_tests(tests, NULL, NULL);
}
