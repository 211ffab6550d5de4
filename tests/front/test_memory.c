// SPDX-License-Identifier: MIT
/*
 * Memory that a device has mapped and the program takes away: what the device wrote is right where
 * the program still looks, and nowhere else is a byte changed.
 */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define LEN (8ul << 20)

static struct rig rig;

static int set_up(void **state)
{
	(void)state;
	rig_open(&rig);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rig_close(&rig);
	return 0;
}

static uint8_t *anonymous(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static void fill(uint8_t *p, size_t len, uint64_t seed)
{
	for (size_t i = 0; i < len; i += 8) {
		uint64_t v = (i + seed) * 0x9e3779b97f4a7c15;

		memcpy(p + i, &v, 8);
	}
}

static bool all(const uint8_t *p, size_t len, uint8_t v)
{
	return p[0] == v && !memcmp(p, p + 1, len - 1);
}

/* Copies @src to a buffer of its own, which says what the device sees there. */
static void device_sees(uint64_t src, const uint8_t *want, size_t len)
{
	uint8_t *dst = anonymous(len);
	uint64_t dst_iova = map_dma(&rig, dst, len);

	copy_start(&rig, dst_iova, src, len, PAGE * 16);
	assert_int_equal(copy_wait(&rig), 1);
	assert_memory_equal(dst, want, len);
	assert_int_equal(unmap_dma(&rig, dst_iova, len), 0);
	munmap(dst, len);
}

static void munmap__pinned__device_keeps_it(void **state)
{
	uint8_t *src = anonymous(LEN), *want = anonymous(LEN), *again;
	uint64_t iova;

	(void)state;
	fill(src, LEN, 1);
	memcpy(want, src, LEN);
	iova = map_dma(&rig, src, LEN);
	assert_int_equal(munmap(src, LEN), 0);
	again = mmap(src, LEN, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	assert_ptr_equal(again, src);
	memset(again, 0xa5, LEN);
	device_sees(iova, want, LEN);
	/* And what the device writes there stays out of the new memory. */
	{
		uint64_t from = map_dma(&rig, want, LEN);

		copy_start(&rig, iova, from, LEN, PAGE);
		assert_int_equal(copy_wait(&rig), 1);
		assert_true(all(again, LEN, 0xa5));
		assert_int_equal(unmap_dma(&rig, from, LEN), 0);
	}
	/* The new memory can be mapped beside the old. */
	{
		uint64_t fresh = map_dma(&rig, again, LEN);

		device_sees(fresh, again, LEN);
		device_sees(iova, want, LEN);
		assert_int_equal(unmap_dma(&rig, fresh, LEN), 0);
	}
	assert_int_equal(unmap_dma(&rig, iova, LEN), 0);
	munmap(again, LEN);
	munmap(want, LEN);
}

static void map_fixed__over_pinned__device_keeps_it(void **state)
{
	uint8_t *src = anonymous(LEN), *want = anonymous(LEN);
	uint64_t iova;

	(void)state;
	fill(src, LEN, 2);
	memcpy(want, src, LEN);
	iova = map_dma(&rig, src, LEN);
	/* One page in the middle, then all of it. */
	assert_ptr_equal(mmap(src + 3 * PAGE, PAGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 src + 3 * PAGE);
	assert_true(all(src + 3 * PAGE, PAGE, 0));
	src[3 * PAGE] = 1;
	assert_memory_equal(src, want, 3 * PAGE);
	assert_memory_equal(src + 4 * PAGE, want + 4 * PAGE, LEN - 4 * PAGE);
	device_sees(iova, want, LEN);
	assert_ptr_equal(mmap(src, LEN, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 src);
	memset(src, 7, LEN);
	device_sees(iova, want, LEN);
	assert_true(all(src, LEN, 7));
	assert_int_equal(unmap_dma(&rig, iova, LEN), 0);
	munmap(src, LEN);
	munmap(want, LEN);
}

static uint8_t *_Atomic victim;
static volatile sig_atomic_t taken;

static void take_victim(int sig)
{
	uint8_t *p = atomic_exchange(&victim, NULL);

	(void)sig;
	if (p && munmap(p, 4 * PAGE))
		atomic_store(&victim, p); /* it came just within the engine */
	else
		taken += p != NULL;
}

/* A handler may unmap whatever it interrupts: the allocator, or an ioctl of the same thread. */
static void munmap__pinned_in_signal_handler__no_harm(void **state)
{
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	struct itimerspec often = { { 0, 200000 }, { 0, 200000 } };
	struct sigaction sa = { .sa_handler = take_victim, .sa_flags = SA_RESTART };
	uint8_t *other = anonymous(16 * PAGE);
	timer_t timer;

	(void)state;
	assert_int_equal(sigaction(SIGUSR1, &sa, NULL), 0);
	assert_int_equal(timer_create(CLOCK_MONOTONIC, &ev, &timer), 0);
	assert_int_equal(timer_settime(timer, 0, &often, NULL), 0);
	taken = 0;
	for (int round = 0; round < 1500; round++) {
		uint8_t *p = anonymous(4 * PAGE);
		uint64_t iova = map_dma(&rig, p, 4 * PAGE);

		atomic_store(&victim, p);
		for (size_t k = 0; k < 200 && atomic_load(&victim); k++) {
			uint64_t iova2 = map_dma(&rig, other, 16 * PAGE);

			assert_int_equal(unmap_dma(&rig, iova2, 16 * PAGE), 0);
			free(malloc(100 + k * 50));
		}
		p = atomic_exchange(&victim, NULL);
		if (p)
			munmap(p, 4 * PAGE);
		assert_int_equal(unmap_dma(&rig, iova, 4 * PAGE), 0);
	}
	timer_delete(timer);
	signal(SIGUSR1, SIG_DFL);
	assert_true(taken > 0);
	munmap(other, 16 * PAGE);
}

/* What the kernel refuses must take nothing away: neither bytes nor the device's way to them. */
static void map_and_unmap__refused__memory_untouched(void **state)
{
	uint8_t *mem = anonymous(LEN), *want = anonymous(LEN), *src = anonymous(LEN);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	uint64_t iova, src_iova;

	(void)state;
	fill(mem, LEN, 3);
	memcpy(want, mem, LEN);
	memset(src, 9, LEN);
	iova = map_dma(&rig, mem, LEN);
	src_iova = map_dma(&rig, src, LEN);
	errno = 0;
	assert_ptr_equal(mmap(mem, LEN, PROT_READ, MAP_PRIVATE | MAP_FIXED, -1, 0), MAP_FAILED);
	assert_int_equal(errno, EBADF);
	assert_ptr_equal(mmap(mem, LEN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, null, 0),
			 MAP_FAILED);
	assert_int_equal(errno, EACCES);
	assert_int_equal(munmap(mem, ~0ul & ~(PAGE - 1)), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(munmap(mem + 1, LEN), -1);
	assert_int_equal(errno, EINVAL);
	assert_memory_equal(mem, want, LEN);
	copy_start(&rig, iova, src_iova, LEN, PAGE * 16);
	assert_int_equal(copy_wait(&rig), 1);
	assert_true(all(mem, LEN, 9));
	assert_int_equal(unmap_dma(&rig, iova, LEN), 0);
	assert_int_equal(unmap_dma(&rig, src_iova, LEN), 0);
	close(null);
	munmap(mem, LEN);
	munmap(want, LEN);
	munmap(src, LEN);
}

static void free__pinned_block__device_keeps_it(void **state)
{
	uint8_t *src = NULL, *want = anonymous(LEN), *next;
	uint64_t iova;

	(void)state;
	/*
	 * A mapping for each block, whatever was freed before: a block in the heap stays the
	 * program's memory after free(), where glibc (MALLOC_PERTURB_) and the next owner write.
	 */
	assert_int_equal(mallopt(M_MMAP_THRESHOLD, 128 << 10), 1);
	mallopt(M_MMAP_THRESHOLD, 1 << 20); /* blocks of their own, whatever was freed before */
	assert_int_equal(posix_memalign((void **)&src, PAGE, LEN), 0);
	fill(src, LEN, 3);
	memcpy(want, src, LEN);
	iova = map_dma(&rig, src, LEN);
	free(src);
	next = malloc(LEN); /* most likely where the old one was */
	memset(next, 9, LEN);
	device_sees(iova, want, LEN);
	assert_true(all(next, LEN, 9));
	assert_int_equal(unmap_dma(&rig, iova, LEN), 0);
	/* A block that grows takes its bytes along; the device keeps the old place. */
	iova = map_dma(&rig, (uint8_t *)(((uintptr_t)next + PAGE) & ~(PAGE - 1)), LEN - 2 * PAGE);
	next = realloc(next, 4 * LEN);
	assert_true(all(next, LEN, 9));
	memset(next, 1, 4 * LEN);
	memset(want, 9, LEN);
	device_sees(iova, want, LEN - 2 * PAGE);
	assert_int_equal(unmap_dma(&rig, iova, LEN - 2 * PAGE), 0);
	free(next);
	munmap(want, LEN);
}

static void dontneed__pinned__zeros_here_and_bytes_there(void **state)
{
	uint8_t *src = anonymous(LEN), *want = anonymous(LEN);
	uint64_t iova;

	(void)state;
	fill(src, LEN, 4);
	memcpy(want, src, LEN);
	iova = map_dma(&rig, src, LEN);
	assert_int_equal(madvise(src + PAGE, PAGE, MADV_DONTNEED), 0);
	assert_int_equal(madvise(src + LEN / 2, LEN / 2, MADV_DONTNEED), 0);
	assert_true(all(src + PAGE, PAGE, 0));
	assert_true(all(src + LEN / 2, LEN / 2, 0));
	assert_memory_equal(src + 2 * PAGE, want + 2 * PAGE, LEN / 2 - 2 * PAGE);
	memset(src + LEN / 2, 5, LEN / 2);
	device_sees(iova, want, LEN);
	assert_int_equal(unmap_dma(&rig, iova, LEN), 0);
	munmap(src, LEN);
	munmap(want, LEN);
}

static void mremap__pinned__device_follows(void **state)
{
	uint8_t *src = anonymous(LEN), *want = anonymous(LEN), *p, *guard;
	uint64_t iova, from;

	(void)state;
	fill(src, LEN, 5);
	memcpy(want, src, LEN);
	iova = map_dma(&rig, src, LEN);
	p = mremap(src, LEN, LEN / 2, 0); /* shrinks */
	assert_ptr_equal(p, src);
	device_sees(iova, want, LEN);
	assert_memory_equal(p, want, LEN / 2);
	guard = mmap(src + LEN / 2, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		     0);
	p = mremap(src, LEN / 2, 4 * LEN, MREMAP_MAYMOVE);
	assert_ptr_not_equal(p, MAP_FAILED);
	assert_ptr_not_equal(p, src);
	assert_memory_equal(p, want, LEN / 2);
	device_sees(iova, want, LEN);
	/* The device writes to where the bytes are now. */
	fill(want, LEN, 55);
	from = map_dma(&rig, want, LEN);
	copy_start(&rig, iova, from, LEN, 16 * PAGE);
	assert_int_equal(copy_wait(&rig), 1);
	assert_memory_equal(p, want, LEN / 2);
	assert_int_equal(unmap_dma(&rig, from, LEN), 0);
	assert_int_equal(unmap_dma(&rig, iova, LEN), 0);
	munmap(p, 4 * LEN);
	munmap(guard, PAGE);
	munmap(want, LEN);
}

static void shared__unmapped_or_twice_mapped__one_memory(void **state)
{
	int fd = memfd_create("t", 0);
	uint8_t *a, *b, *src = anonymous(LEN);
	uint64_t to, from;

	(void)state;
	assert_int_equal(ftruncate(fd, LEN), 0);
	a = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	b = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	fill(src, LEN, 6);
	from = map_dma(&rig, src, LEN);
	to = map_dma(&rig, a, LEN);
	munmap(a, LEN);
	copy_start(&rig, to, from, LEN, 64 * PAGE);
	assert_int_equal(copy_wait(&rig), 1);
	assert_memory_equal(b, src, LEN);
	munmap(b, LEN);
	close(fd);
	device_sees(to, src, LEN);
	assert_int_equal(unmap_dma(&rig, to, LEN), 0);
	assert_int_equal(unmap_dma(&rig, from, LEN), 0);
	munmap(src, LEN);
}

/* Takes the destination away while the device writes it, in every way, and checks each byte. */
static void everything__while_dma_runs__no_wrong_byte(void **state)
{
	uint8_t *src = anonymous(LEN), *dst = anonymous(LEN);
	uint64_t from = map_dma(&rig, src, LEN);

	(void)state;
	for (unsigned round = 0; round < 24; round++) {
		size_t at = (round * 37 % 1000) * PAGE, len = LEN / 4;
		uint64_t to;

		fill(src, LEN, round);
		memset(dst, 0xcc, LEN);
		to = map_dma(&rig, dst, LEN);
		copy_start(&rig, to, from, LEN, round & 1 ? PAGE : 32 * PAGE);
		switch (round % 4) {
		case 0:
			assert_int_equal(munmap(dst + at, len), 0);
			assert_ptr_equal(mmap(dst + at, len, PROT_READ | PROT_WRITE,
					      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
					      0),
					 dst + at);
			break;
		case 1:
			assert_ptr_equal(mmap(dst + at, len, PROT_READ | PROT_WRITE,
					      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
					 dst + at);
			break;
		case 2:
			assert_int_equal(madvise(dst + at, len, MADV_DONTNEED), 0);
			break;
		default:
			for (size_t i = 0; i < len; i += 4 * PAGE)
				assert_int_equal(madvise(dst + at + i, PAGE, MADV_DONTNEED), 0);
		}
		if (round % 4 == 3) {
			assert_int_equal(copy_wait(&rig), 1);
			for (size_t i = 0; i < len; i += 4 * PAGE)
				assert_true(all(dst + at + i, PAGE, 0));
		} else {
			memset(dst + at, 0x3c, len);
			assert_int_equal(copy_wait(&rig), 1);
			assert_true(all(dst + at, len, 0x3c));
		}
		assert_memory_equal(dst, src, at);
		assert_memory_equal(dst + at + len, src + at + len, LEN - at - len);
		device_sees(to, src, LEN); /* all of it arrived where the device sees it */
		assert_int_equal(unmap_dma(&rig, to, LEN), 0);
	}
	assert_int_equal(unmap_dma(&rig, from, LEN), 0);
	munmap(src, LEN);
	munmap(dst, LEN);
}

static void unmapped_iova__dma__fault_not_crash(void **state)
{
	uint8_t *src = anonymous(LEN);
	uint64_t from = map_dma(&rig, src, LEN);

	(void)state;
	copy_start(&rig, from + LEN - PAGE, from, 2 * PAGE, 2 * PAGE);
	assert_int_equal(copy_wait(&rig), 3);
	copy_start(&rig, from + PAGE, from, PAGE, PAGE); /* goes on afterwards */
	assert_int_equal(copy_wait(&rig), 1);
	assert_int_equal(unmap_dma(&rig, from, LEN), 0);
	munmap(src, LEN);
}

static void heap__nothing_pinned__as_always(void **state)
{
	/* Large blocks come and go as they always did. */
	(void)state;
	for (int i = 0; i < 1000; i++) {
		void *p = malloc(200000 + (size_t)i * 100);

		memset(p, i, 1000);
		p = realloc(p, 400000);
		free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(munmap__pinned__device_keeps_it),
		cmocka_unit_test(map_fixed__over_pinned__device_keeps_it),
		cmocka_unit_test(map_and_unmap__refused__memory_untouched),
		cmocka_unit_test(munmap__pinned_in_signal_handler__no_harm),
		cmocka_unit_test(heap__nothing_pinned__as_always), /* before mallopt() */
		cmocka_unit_test(free__pinned_block__device_keeps_it),
		cmocka_unit_test(dontneed__pinned__zeros_here_and_bytes_there),
		cmocka_unit_test(mremap__pinned__device_follows),
		cmocka_unit_test(shared__unmapped_or_twice_mapped__one_memory),
		cmocka_unit_test(everything__while_dma_runs__no_wrong_byte),
		cmocka_unit_test(unmapped_iova__dma__fault_not_crash),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
