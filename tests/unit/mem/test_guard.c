// SPDX-License-Identifier: MIT
/* Guarded access: every size and alignment at the edge of a mapping, both ways, in threads. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bits.h"
#include "mem/guard.h"

/* @n usable pages with an inaccessible one before and behind. */
static unsigned char *fenced_pages(size_t n)
{
	unsigned char *p =
		mmap(NULL, (n + 2) * PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	assert_int_equal(mprotect(p + PAGE_SIZE, n * PAGE_SIZE, PROT_READ | PROT_WRITE), 0);
	return p + PAGE_SIZE;
}

static void unfence(unsigned char *p, size_t n)
{
	munmap(p - PAGE_SIZE, (n + 2) * PAGE_SIZE);
}

static void guard_copy__every_size_and_alignment__copies_exactly(void **state)
{
	static unsigned char src[1400], dst[1400];
	static const size_t sizes[] = { 255, 256, 257, 511, 512, 513, 1023, 1100 };

	(void)state;
	assert_int_equal(guard_init(), 0);
	for (size_t i = 0; i < sizeof(src); i++)
		src[i] = (unsigned char)(i * 7 + 1);
	for (size_t k = 0; k < 150 + ARRAY_LEN(sizes); k++) {
		size_t n = k < 150 ? k : sizes[k - 150];

		for (size_t so = 0; so < 9; so++)
			for (size_t d = 0; d < 9; d++) {
				memset(dst, 0xee, sizeof(dst));
				assert_int_equal(guard_copy(dst + 32 + d, src + so, n), 0);
				assert_memory_equal(dst + 32 + d, src + so, n);
				assert_int_equal(dst[31 + d], 0xee);
				assert_int_equal(dst[32 + d + n], 0xee);
			}
	}
}

static void guard_copy__ends_at_the_edge__succeeds(void **state)
{
	unsigned char *p = fenced_pages(1), buf[700];

	(void)state;
	assert_int_equal(guard_init(), 0);
	memset(p, 0x5a, PAGE_SIZE);
	for (size_t n = 0; n <= sizeof(buf); n++) {
		memset(buf, 0, sizeof(buf));
		assert_int_equal(guard_copy(buf, p + PAGE_SIZE - n, n), 0);
		assert_int_equal(guard_copy(p + PAGE_SIZE - n, buf, n), 0);
		assert_int_equal(guard_copy(p, buf, n), 0);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(buf[i], 0x5a);
		memset(p, 0x5a, PAGE_SIZE);
	}
	unfence(p, 1);
}

static void guard_copy__crosses_the_edge__efault_and_nothing_outside(void **state)
{
	unsigned char *p = fenced_pages(1), buf[700];

	(void)state;
	assert_int_equal(guard_init(), 0);
	memset(p, 0x11, PAGE_SIZE);
	for (size_t n = 1; n < 600; n += n < 70 ? 1 : 37)
		for (size_t in = 0; in < n; in += n < 70 ? 1 : 13) {
			memset(buf, 0x77, sizeof(buf));
			/* The upper edge as source and as destination, then the lower. */
			assert_int_equal(guard_copy(buf, p + PAGE_SIZE - in, n), -EFAULT);
			assert_int_equal(guard_copy(p + PAGE_SIZE - in, buf, n), -EFAULT);
			assert_int_equal(guard_copy(buf, p - (n - in), n), -EFAULT);
			assert_int_equal(guard_copy(p - (n - in), buf, n), -EFAULT);
			assert_int_equal(buf[n], 0x77);
		}
	unfence(p, 1);
}

static void guard_copy__null_and_wild_pointers__efault(void **state)
{
	char buf[64];

	(void)state;
	assert_int_equal(guard_init(), 0);
	for (size_t n = 1; n <= 64; n *= 2) {
		assert_int_equal(guard_copy(buf, NULL, n), -EFAULT);
		assert_int_equal(guard_copy(NULL, buf, n), -EFAULT);
		/* Not canonical: a general protection fault without an address. */
		assert_int_equal(guard_copy(buf, (void *)0x8000000000000000ull, n), -EFAULT);
		assert_int_equal(guard_copy((void *)0xdead000000000000ull, buf, n), -EFAULT);
	}
	assert_int_equal(guard_copy(NULL, NULL, 0), 0);
}

static void guard_copy__read_only_destination__efault(void **state)
{
	unsigned char *p = fenced_pages(1), c = 1;

	(void)state;
	assert_int_equal(guard_init(), 0);
	mprotect(p, PAGE_SIZE, PROT_READ);
	assert_int_equal(guard_copy(p, &c, 1), -EFAULT);
	assert_int_equal(guard_copy(&c, p, 1), 0);
	assert_int_equal(c, 0);
	unfence(p, 1);
}

static void guard_copy__truncated_file__efault_by_sigbus(void **state)
{
	int fd = memfd_create("guard", 0);
	unsigned char *p, buf[16];

	(void)state;
	assert_int_equal(guard_init(), 0);
	assert_int_equal(ftruncate(fd, 2 * PAGE_SIZE), 0);
	p = mmap(NULL, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_int_equal(guard_copy(buf, p + PAGE_SIZE, 16), 0);
	assert_int_equal(ftruncate(fd, PAGE_SIZE), 0);
	assert_int_equal(guard_copy(buf, p + PAGE_SIZE, 16), -EFAULT);
	assert_int_equal(guard_copy(p + PAGE_SIZE - 8, buf, 16), -EFAULT);
	assert_int_equal(guard_touch(p, 2, false), -EFAULT);
	assert_int_equal(guard_touch_count(p, 2, true), 1);
	munmap(p, 2 * PAGE_SIZE);
	close(fd);
}

static void guard_fill__pattern_and_tail__starts_at_byte_0(void **state)
{
	static const uint64_t pattern = 0x8877665544332211ull;
	unsigned char *p = fenced_pages(1);

	(void)state;
	assert_int_equal(guard_init(), 0);
	for (size_t n = 0; n < 80; n++) {
		memset(p, 0, PAGE_SIZE);
		assert_int_equal(guard_fill(p + 3, pattern, n), 0);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(p[3 + i], (i % 8 + 1) * 0x11);
		assert_int_equal(p[3 + n], 0);
		assert_int_equal(guard_fill(p + PAGE_SIZE - n, pattern, n), 0);
		assert_int_equal(guard_fill(p + PAGE_SIZE - n, pattern, n + 1), -EFAULT);
	}
	unfence(p, 1);
}

static void guard_touch__hole_in_the_middle__counts_the_pages_before_it(void **state)
{
	unsigned char *p = fenced_pages(40);

	(void)state;
	assert_int_equal(guard_init(), 0);
	p[5] = 9;
	assert_int_equal(guard_touch(p, 40, true), 0);
	assert_int_equal(guard_touch(p, 0, true), 0);
	assert_int_equal(guard_touch(NULL, 0, true), 0);
	assert_int_equal(guard_touch(p, 41, false), -EFAULT);
	assert_int_equal(guard_touch_count(p, 41, true), 40);
	mprotect(p + 7 * PAGE_SIZE, PAGE_SIZE, PROT_READ);
	assert_int_equal(guard_touch_count(p, 40, true), 7);
	assert_int_equal(guard_touch_count(p, 40, false), 40);
	assert_int_equal(guard_touch_count(p - PAGE_SIZE, 2, false), 0);
	assert_int_equal(p[5], 9);
	unfence(p, 40);
}

static void guard_store_load_cmpxchg__each_size__value_or_efault(void **state)
{
	unsigned char *p = fenced_pages(1);
	uint64_t v, old;

	(void)state;
	assert_int_equal(guard_init(), 0);
	for (unsigned size = 1; size <= 8; size *= 2) {
		uint64_t mask = size == 8 ? ~0ull : (1ull << size * 8) - 1;

		memset(p, 0, 16);
		assert_int_equal(guard_store(p, 0xfedcba9876543210ull, size), 0);
		assert_int_equal(guard_load(p, &v, size), 0);
		assert_true(v == (0xfedcba9876543210ull & mask));
		assert_int_equal(p[size], 0);
		v = 77;
		assert_int_equal(guard_store(p + PAGE_SIZE, 1, size), -EFAULT);
		assert_int_equal(guard_load(p + PAGE_SIZE, &v, size), -EFAULT);
		assert_int_equal(v, 77);
	}
	memset(p, 0, 8);
	old = 0;
	assert_int_equal(guard_cmpxchg64(p, &old, 5), 0);
	assert_true(old == 0 && *(uint64_t *)(void *)p == 5);
	assert_int_equal(guard_cmpxchg64(p, &old, 6), 0);
	assert_true(old == 5 && *(uint64_t *)(void *)p == 5);
	assert_int_equal(guard_cmpxchg64(p + PAGE_SIZE, &old, 6), -EFAULT);
	unfence(p, 1);
}

static void *fault_often(void *arg)
{
	unsigned char *p = arg, buf[128];

	for (int i = 0; i < 3000; i++) {
		if (guard_copy(buf, p + PAGE_SIZE - 64, 65 + (size_t)i % 60) != -EFAULT)
			return p;
		if (guard_copy(buf, p + PAGE_SIZE - 64, 64))
			return p;
	}
	return NULL;
}

static void guard_copy__faults_in_many_threads__each_gets_its_own(void **state)
{
	unsigned char *p = fenced_pages(1);
	pthread_t t[4];
	void *what;

	(void)state;
	assert_int_equal(guard_init(), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, fault_often, p), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], &what);
		assert_null(what);
	}
	unfence(p, 1);
}

static unsigned char *edge;
static volatile int inner_rc, outer_seen;

static void on_usr1(int sig)
{
	char c;

	(void)sig;
	inner_rc = guard_copy(&c, edge + PAGE_SIZE, 1);
	outer_seen++;
}

static void guard_copy__inside_a_signal_handler__works(void **state)
{
	(void)state;
	if (BUILT_WITH_TSAN) {
		print_message("# ThreadSanitizer runs handlers with every signal blocked\n");
		skip();
	}
	assert_int_equal(guard_init(), 0);
	edge = fenced_pages(1);
	signal(SIGUSR1, on_usr1);
	raise(SIGUSR1);
	assert_int_equal(outer_seen, 1);
	assert_int_equal(inner_rc, -EFAULT);
	signal(SIGUSR1, SIG_DFL);
	unfence(edge, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(guard_copy__every_size_and_alignment__copies_exactly),
		cmocka_unit_test(guard_copy__ends_at_the_edge__succeeds),
		cmocka_unit_test(guard_copy__crosses_the_edge__efault_and_nothing_outside),
		cmocka_unit_test(guard_copy__null_and_wild_pointers__efault),
		cmocka_unit_test(guard_copy__read_only_destination__efault),
		cmocka_unit_test(guard_copy__truncated_file__efault_by_sigbus),
		cmocka_unit_test(guard_fill__pattern_and_tail__starts_at_byte_0),
		cmocka_unit_test(guard_touch__hole_in_the_middle__counts_the_pages_before_it),
		cmocka_unit_test(guard_store_load_cmpxchg__each_size__value_or_efault),
		cmocka_unit_test(guard_copy__faults_in_many_threads__each_gets_its_own),
		cmocka_unit_test(guard_copy__inside_a_signal_handler__works),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
