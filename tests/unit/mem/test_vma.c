// SPDX-License-Identifier: MIT
/* What is mapped where: the record against the kernel, and the kernel asked in both ways. */
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
#include "mem/vma.h"
#include "mem_kit.h"

static void same_seg(const struct vma_seg *a, const struct vma_seg *b)
{
	assert_true(a->start == b->start && a->last == b->last);
	assert_int_equal(a->kind, b->kind);
	assert_int_equal(a->prot, b->prot);
	assert_int_equal(a->file, b->file);
	assert_true(a->dev == b->dev && a->ino == b->ino);
	if (a->ino) /* an offset means something only in a file */
		assert_true(a->off == b->off);
}

/* The fault point before the question makes vma_query() read the text instead. */
static int query_text(uint64_t va, bool next, struct vma_seg *out)
{
	int rc;

	fault_arm(1, false);
	rc = vma_query(va, next, out);
	fault_disarm(NULL);
	return rc;
}

static void vma_query__all_of_the_process__text_agrees(void **state)
{
	struct vma_seg a, b;
	uint64_t at = 0;
	unsigned n = 0;

	(void)state;
	while (!vma_query(at, true, &a) && a.last < PHYS_IDENTITY_END) {
		assert_int_equal(query_text(at, true, &b), 0);
		same_seg(&a, &b);
		if (a.start > at) {
			assert_int_equal(vma_query(at, false, &b), -ENOENT);
			assert_int_equal(query_text(at, false, &b), -ENOENT);
		}
		at = a.last + 1;
		n++;
	}
	assert_in_range(n, 10, 10000);
	assert_int_equal(vma_query(PHYS_END, true, &a), -ENOENT);
}

static void vma_query__descriptor_taken_away__asks_again(void **state)
{
	static int here;
	struct vma_seg s;

	(void)state;
	assert_int_equal(vma_query((uintptr_t)&here, false, &s), 0);
	for (int fd = 3; fd < 1 << 16; fd++) /* as a program does that closes everything */
		close(fd);
	assert_int_equal(vma_query((uintptr_t)&here, false, &s), 0);
	assert_int_equal(s.prot, VMA_READ | VMA_WRITE);
}

#define PAGES 64u

/* What the model thinks of each page: 0 private, else 1 + page of the file. */
static unsigned model[PAGES];

static void check_record(uintptr_t base, const struct vma_seg *file)
{
	for (unsigned i = 0; i < PAGES; i++) {
		uint64_t va = base + i * PAGE_SIZE;
		struct vma_seg s;
		bool special = vma_special(va, va + PAGE_SIZE - 1, &s);

		assert_int_equal(special, model[i] != 0);
		if (!special)
			continue;
		assert_true(s.start <= va && s.last >= va + PAGE_SIZE - 1);
		assert_int_equal(s.kind, VMA_SHARED);
		assert_true(s.dev == file->dev && s.ino == file->ino);
		assert_true(s.off + (va - s.start) == (model[i] - 1) * PAGE_SIZE);
	}
}

static void map_at(char *p, unsigned n, int fd, unsigned first)
{
	int flags = MAP_FIXED | (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED);

	assert_int_equal(vma_unmapping((uintptr_t)p, n * PAGE_SIZE), 0);
	assert_ptr_equal(mmap(p, n * PAGE_SIZE, PROT_READ, flags, fd, (off_t)(first * PAGE_SIZE)),
			 p);
	vma_mapped((uintptr_t)p, n * PAGE_SIZE, PROT_READ, flags, fd, first * PAGE_SIZE);
}

static void vma_record__random_changes__as_the_model_and_the_kernel(void **state)
{
	int fd = memfd_create("vma", 0);
	char *base = mmap(NULL, PAGES * PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vma_seg file;

	(void)state;
	assert_int_equal(ftruncate(fd, 200 * PAGE_SIZE), 0);
	assert_int_equal(vma_tracking_start(), 0);
	assert_true(vma_tracking());
	srand(3);
	map_at(base, 1, fd, 0);
	assert_true(vma_special((uintptr_t)base, (uintptr_t)base, &file));
	map_at(base, 1, -1, 0);
	for (int step = 0; step < 2000; step++) {
		unsigned at = (unsigned)rand() % PAGES, n = 1 + (unsigned)rand() % 9;
		unsigned first = (unsigned)rand() % 100, what = (unsigned)rand() % 4;

		if (at + n > PAGES)
			n = PAGES - at;
		if (what == 3) { /* asking anew changes nothing */
			vma_rescan((uintptr_t)base + at * PAGE_SIZE, n * PAGE_SIZE);
		} else {
			map_at(base + at * PAGE_SIZE, n, what ? fd : -1, first);
			for (unsigned i = 0; i < n; i++)
				model[at + i] = what ? 1 + first + i : 0;
		}
		check_record((uintptr_t)base, &file);
	}
	assert_true(vma_tracking());
	assert_int_equal(vma_unmapping((uintptr_t)base, PAGES * PAGE_SIZE), 0);
	assert_false(vma_special((uintptr_t)base, (uintptr_t)base + PAGES * PAGE_SIZE - 1, NULL));
	munmap(base, PAGES * PAGE_SIZE);
	close(fd);
}

static void vma_record__no_memory_to_grow__tracking_ends_and_pins_stay_right(void **state)
{
	static struct pinned a;
	int fd = memfd_create("vma", 0);
	char *base = mmap(NULL, 2000 * PAGE_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kit k;

	(void)state;
	kit_begin(&k);
	assert_int_equal(ftruncate(fd, 2000 * PAGE_SIZE), 0);
	assert_int_equal(vma_tracking_start(), 0);
	fault_arm(1, true);
	for (unsigned i = 0; i < 2000; i += 2)
		map_at(base + i * PAGE_SIZE, 1, fd, i);
	fault_disarm(NULL);
	assert_false(vma_tracking());
	assert_int_equal(kit_pin(&k, base, 2000, 0, &a), 0);
	assert_int_equal(a.n, 2000);
	assert_true(kit_pa(&a, 1500) == kit_pa(&a, 0) + 1500 * PAGE_SIZE);
	assert_true(kit_pa(&a, 1501) == (uintptr_t)base + 1501 * PAGE_SIZE);
	kit_unpin(&k, &a);
	/* With memory it can begin again. */
	assert_int_equal(vma_tracking_start(), 0);
	assert_int_equal(kit_pin(&k, base, 2000, 0, &a), 0);
	assert_int_equal(a.n, 2000);
	kit_unpin(&k, &a);
	assert_int_equal(vma_unmapping((uintptr_t)base, 2000 * PAGE_SIZE), 0);
	munmap(base, 2000 * PAGE_SIZE);
	close(fd);
	kit_end(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vma_query__all_of_the_process__text_agrees),
		cmocka_unit_test(vma_query__descriptor_taken_away__asks_again),
		cmocka_unit_test(vma_record__random_changes__as_the_model_and_the_kernel),
		cmocka_unit_test(vma_record__no_memory_to_grow__tracking_ends_and_pins_stay_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
