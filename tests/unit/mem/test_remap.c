// SPDX-License-Identifier: MIT
/* mremap of pinned memory: frames keep their output address and go where the bytes go. */
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
#include "mem_kit.h"

static struct pinned a, b;

static void fill(char *p, size_t npages, unsigned seed)
{
	for (size_t i = 0; i < npages; i++)
		memset(p + i * PAGE_SIZE, (int)(seed + i * 3), PAGE_SIZE);
}

static void expect(struct kit *k, const struct pinned *p, size_t npages, unsigned seed)
{
	for (size_t i = 0; i < npages; i++) {
		unsigned char c[2];

		assert_int_equal(kit_dma_read(k, kit_pa(p, i) + i, &c, 1), 0);
		assert_int_equal(kit_dma_read(k, kit_pa(p, i) + PAGE_SIZE - 1, &c[1], 1), 0);
		assert_int_equal(c[0], (unsigned char)(seed + i * 3));
		assert_int_equal(c[1], c[0]);
	}
}

/* The device and the client see the same bytes, the client's at @p. */
static void together(struct kit *k, const struct pinned *pins, char *p, size_t npages)
{
	for (size_t i = 0; i < npages; i++) {
		char v = (char)(i + 100), c;

		assert_int_equal(kit_dma_write(k, kit_pa(pins, i), &v, 1), 0);
		assert_int_equal(p[i * PAGE_SIZE], v);
		p[i * PAGE_SIZE + 1] = (char)(v + 1);
		assert_int_equal(kit_dma_read(k, kit_pa(pins, i) + 1, &c, 1), 0);
		assert_int_equal(c, (char)(v + 1));
	}
}

/* Addresses that nobody else gets; @at: where, or anywhere. */
static char *reserve(char *at, size_t npages)
{
	return mmap(at, npages << PAGE_LG2, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | (at ? MAP_FIXED_NOREPLACE : 0), -1, 0);
}

static void vma_remap__move_and_back__frames_follow(void **state)
{
	static const size_t sizes[] = { 1, 20, 700 };
	struct kit k;
	uint64_t out;

	(void)state;
	kit_begin(&k);
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		size_t n = sizes[i], len = n << PAGE_LG2;
		char *p = kit_map(n), *q = reserve(NULL, n), *r = reserve(NULL, n);

		assert_int_equal(kit_pin(&k, p, n, MM_PIN_WRITE, &a), 0);
		assert_int_equal(vma_remap((uintptr_t)p, len, len, MREMAP_MAYMOVE | MREMAP_FIXED,
					   (uintptr_t)q, &out),
				 0);
		assert_true(out == (uintptr_t)q);
		assert_ptr_equal(reserve(p, n), p); /* for the way home */
		physmap_check(k.pm);
		together(&k, &a, q, n);
		/* Pins of the new address are pins of these frames. */
		assert_int_equal(kit_pin(&k, q, n, MM_PIN_WRITE, &b), 0);
		assert_true(kit_pa(&b, 0) == kit_pa(&a, 0) &&
			    kit_pa(&b, n - 1) == kit_pa(&a, n - 1));
		kit_unpin(&k, &b);
		/* Once more, then home. */
		assert_int_equal(vma_remap((uintptr_t)q, len, len, MREMAP_MAYMOVE | MREMAP_FIXED,
					   (uintptr_t)r, &out),
				 0);
		together(&k, &a, r, n);
		assert_int_equal(vma_remap((uintptr_t)r, len, len, MREMAP_MAYMOVE | MREMAP_FIXED,
					   (uintptr_t)p, &out),
				 0);
		together(&k, &a, p, n);
		physmap_check(k.pm);
		fill(p, n, i);
		kit_unmap(p, n);
		expect(&k, &a, n, i);
		kit_unpin(&k, &a);
	}
	kit_end(&k);
}

static void vma_remap__moved_then_old_address_reused__two_frames(void **state)
{
	size_t n = 6, len = n << PAGE_LG2;
	char *p = kit_map(n), *q;
	struct kit k;
	uint64_t out;

	(void)state;
	kit_begin(&k);
	assert_int_equal(kit_pin(&k, p, n, MM_PIN_WRITE, &a), 0);
	assert_int_equal(vma_remap((uintptr_t)p, len, 4 * len, MREMAP_MAYMOVE, 0, &out), 0);
	q = (char *)out;
	if (q == p) {
		print_message("# it grew in its place: there was room behind it\n");
		kit_unpin(&k, &a);
		kit_unmap(q, 4 * n);
		kit_end(&k);
		skip();
	}
	assert_ptr_equal(mmap(p, len, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 p);
	assert_int_equal(kit_pin(&k, p, n, MM_PIN_WRITE, &b), 0);
	assert_true(kit_pa(&b, 0) >= PHYS_IDENTITY_END);
	together(&k, &a, q, n);
	together(&k, &b, p, n);
	/* The moved frames are relocated from where they are, the new ones from where they are. */
	fill(q, n, 1);
	fill(p, n, 2);
	kit_unmap(q, 4 * n);
	expect(&k, &a, n, 1);
	together(&k, &b, p, n);
	fill(p, n, 2);
	kit_unmap(p, n);
	expect(&k, &a, n, 1);
	expect(&k, &b, n, 2);
	physmap_check(k.pm);
	kit_unpin(&k, &a);
	kit_unpin(&k, &b);
	kit_end(&k);
}

static void vma_remap__range_over_old_and_new_address__unmapped_at_once(void **state)
{
	size_t n = 4, len = n << PAGE_LG2;
	char *area = kit_map(3 * n);
	struct kit k;
	uint64_t out;

	(void)state;
	kit_begin(&k);
	for (int up = 0; up < 2; up++) {
		char *p = area + (up ? 0 : 2 * len), *q = area + (up ? 2 * len : 0);

		assert_int_equal(kit_pin(&k, p, n, MM_PIN_WRITE, &a), 0);
		assert_int_equal(vma_remap((uintptr_t)p, len, len, MREMAP_MAYMOVE | MREMAP_FIXED,
					   (uintptr_t)q, &out),
				 0);
		mmap(p, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		     0);
		assert_int_equal(kit_pin(&k, p, n, MM_PIN_WRITE, &b), 0);
		fill(q, n, 50);
		fill(p, n, 90);
		assert_int_equal(vma_unmapping((uintptr_t)area, 3 * len), 0);
		physmap_check(k.pm);
		expect(&k, &a, n, 50);
		expect(&k, &b, n, 90);
		kit_unpin(&k, &a);
		kit_unpin(&k, &b);
		mmap(area, 3 * len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		     -1, 0);
	}
	munmap(area, 3 * len);
	kit_end(&k);
}

static void vma_remap__shrink__tail_is_kept_for_the_device(void **state)
{
	size_t n = 30;
	char *p = kit_map(n);
	struct kit k;
	uint64_t out;

	(void)state;
	kit_begin(&k);
	fill(p, n, 7);
	assert_int_equal(kit_pin(&k, p, n, MM_PIN_WRITE, &a), 0);
	assert_int_equal(vma_remap((uintptr_t)p, n << PAGE_LG2, 10 << PAGE_LG2, 0, 0, &out), 0);
	assert_true(out == (uintptr_t)p);
	expect(&k, &a, n, 7);
	kit_unpin(&k, &a);
	kit_unmap(p, 10);
	kit_end(&k);
}

static void vma_remap__over_pinned_memory__that_is_kept_for_the_device(void **state)
{
	size_t n = 5, len = n << PAGE_LG2;
	char *p = kit_map(n), *q = kit_map(n);
	struct kit k;
	uint64_t out;

	(void)state;
	kit_begin(&k);
	fill(p, n, 1);
	fill(q, n, 2);
	assert_int_equal(kit_pin(&k, p, n, MM_PIN_WRITE, &a), 0);
	assert_int_equal(kit_pin(&k, q, n, MM_PIN_WRITE, &b), 0);
	assert_int_equal(vma_remap((uintptr_t)p, len, len, MREMAP_MAYMOVE | MREMAP_FIXED,
				   (uintptr_t)q, &out),
			 0);
	expect(&k, &a, n, 1);
	expect(&k, &b, n, 2);
	together(&k, &a, q, n);
	physmap_check(k.pm);
	kit_unpin(&k, &a);
	kit_unpin(&k, &b);
	kit_unmap(q, n);
	kit_end(&k);
}

static void vma_remap__bad_arguments__kernels_error_nothing_moves(void **state)
{
	size_t len = 4 << PAGE_LG2;
	char *p = kit_map(4);
	struct kit k;
	uint64_t out = 5;

	(void)state;
	kit_begin(&k);
	assert_int_equal(kit_pin(&k, p, 4, MM_PIN_WRITE, &a), 0);
	assert_int_equal(vma_remap((uintptr_t)p + 1, len, len, MREMAP_MAYMOVE, 0, &out), -EINVAL);
	assert_int_equal(vma_remap((uintptr_t)p, len, 0, MREMAP_MAYMOVE, 0, &out), -EINVAL);
	assert_int_equal(vma_remap((uintptr_t)p, len, len, MREMAP_FIXED, (uintptr_t)p, &out),
			 -EINVAL);
	assert_int_equal(vma_remap((uintptr_t)p, len, len, MREMAP_FIXED | MREMAP_MAYMOVE,
				   (uintptr_t)p + PAGE_SIZE, &out),
			 -EINVAL);
	assert_int_equal(vma_remap((uintptr_t)p, len, len, 0x100, 0, &out), -EINVAL);
	assert_int_equal(vma_remap((uintptr_t)p, UINT64_MAX, len, 0, 0, &out), -EINVAL);
	assert_int_equal(vma_remap(PAGE_SIZE, len, len, MREMAP_MAYMOVE, 0, &out), -EFAULT);
	assert_int_equal(out, 5);
	together(&k, &a, p, 4);
	physmap_check(k.pm);
	kit_unpin(&k, &a);
	kit_unmap(p, 4);
	kit_end(&k);
}

struct sweep {
	struct kit k;
	char *p;
	size_t n;
	uint64_t at;
};

static int sweep_move(void *arg)
{
	struct sweep *s = arg;
	size_t len = s->n << PAGE_LG2;

	return vma_remap((uintptr_t)s->p, len, 8 * len, MREMAP_MAYMOVE, 0, &s->at);
}

static void sweep_check(void *arg, int rc)
{
	struct sweep *s = arg;

	physmap_check(s->k.pm);
	if (rc) {
		assert_int_equal(rc, -ENOMEM);
		together(&s->k, &a, s->p, s->n);
		return;
	}
	together(&s->k, &a, (char *)s->at, s->n);
	kit_unpin(&s->k, &a);
	kit_unmap((char *)s->at, 8 * s->n);
	s->p = kit_map(s->n);
	assert_int_equal(kit_pin(&s->k, s->p, s->n, MM_PIN_WRITE, &a), 0);
}

static void vma_remap__every_fault_point__all_or_nothing(void **state)
{
	struct sweep s = { .n = 40 };

	(void)state;
	kit_begin(&s.k);
	s.p = kit_map(s.n);
	assert_int_equal(kit_pin(&s.k, s.p, s.n, MM_PIN_WRITE, &a), 0);
	kit_sweep(sweep_move, sweep_check, &s);
	kit_unpin(&s.k, &a);
	kit_unmap(s.p, s.n);
	kit_end(&s.k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vma_remap__move_and_back__frames_follow),
		cmocka_unit_test(vma_remap__moved_then_old_address_reused__two_frames),
		cmocka_unit_test(vma_remap__range_over_old_and_new_address__unmapped_at_once),
		cmocka_unit_test(vma_remap__shrink__tail_is_kept_for_the_device),
		cmocka_unit_test(vma_remap__over_pinned_memory__that_is_kept_for_the_device),
		cmocka_unit_test(vma_remap__bad_arguments__kernels_error_nothing_moves),
		cmocka_unit_test(vma_remap__every_fault_point__all_or_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
