// SPDX-License-Identifier: MIT
/*
 * Is a write ever lost between DMA that sets dirty bits and somebody who reads and clears them?
 *
 * The somebody does what a live migration does: copy everything once, then, again and again, what
 * was reported since. When the devices have stopped, one more read must make the copy equal to
 * memory; a single write that no report told of leaves it different. For ThreadSanitizer as much
 * as for itself.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "abi/iommufd.h"
#include "iommu_kit.h"

#define RW          (IOMMU_READ | IOMMU_WRITE)
#define WRITERS     3
#define SLOW        (BUILT_WITH_TSAN || BUILT_WITH_ASAN)

#define LARGE_EVERY 16u /* rounds: much to copy, little to learn */

#define SMALL_AT    (16 * MIB) /* 4 KiB pages */
#define SMALL_LEN   (192 * PAGE_SIZE)
#define LARGE_AT    (32 * MIB) /* a 2 MiB page, written at its end alone */
#define LARGE_LEN   (2 * MIB)
#define OTHER_AT    (SMALL_AT + SMALL_LEN) /* in the same tables: comes and goes */
#define OTHER_LEN   (4 * PAGE_SIZE)

struct migration {
	struct kit *k;
	char *small, *large;           /* the memory */
	char *small_copy, *large_copy; /* what has arrived */
	pthread_mutex_t copying;
	_Atomic bool quit;
	_Atomic uint64_t done, odd, reads, told;
};

/* Memory that devices write to meanwhile: word by word, and none of it twice. */
static void copy_words(char *to, const char *from, uint64_t len)
{
	for (uint64_t i = 0; i < len; i += 8)
		*(volatile uint64_t *)(void *)(to + i) =
			*(const volatile uint64_t *)(const void *)(from + i);
}

/* One at a time, or an older value could overtake a newer one. */
static void copy_range(struct migration *m, uint64_t first, uint64_t len)
{
	pthread_mutex_lock(&m->copying);
	if (first >= LARGE_AT)
		copy_words(m->large_copy + (first - LARGE_AT), m->large + (first - LARGE_AT), len);
	else
		copy_words(m->small_copy + (first - SMALL_AT), m->small + (first - SMALL_AT), len);
	pthread_mutex_unlock(&m->copying);
}

static void *writer(void *arg)
{
	struct migration *m = arg;
	uint64_t x = 88172645463325252ull ^ (uintptr_t)&x, n = 0;
	static const char chunk[3 * 4096] = { 1 };

	while (!atomic_load_explicit(&m->quit, memory_order_relaxed)) {
		struct iommu_device *d = &m->k->dev;
		uint64_t at, v;
		int rc;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		at = SMALL_AT + x % (SMALL_LEN - sizeof(chunk));
		switch (x >> 32 & 15) {
		case 0:
			rc = iommu_dma_write(d, 0, at, &chunk[x >> 40 & 63], 5000, NULL);
			break;
		case 1:
			rc = iommu_dma_copy(d, 0, at, SMALL_AT + (x >> 40) % (SMALL_LEN - 9000),
					    9000, NULL);
			break;
		case 2:
			rc = iommu_dma_load(d, 0, at & ~7ull, &v, 8);
			break;
		case 3:
			rc = iommu_dma_store(d, 0, LARGE_AT + LARGE_LEN - 8 - (x >> 40 & 0xfff8), x,
					     8);
			break;
		case 4: /* may be gone */
			rc = iommu_dma_store(d, 0, OTHER_AT + (x >> 40) % (OTHER_LEN / 8) * 8, x,
					     8);
			rc = rc == -EFAULT ? 0 : rc;
			break;
		default:
			rc = iommu_dma_store(d, 0, at & ~7ull, ++n, 8);
			break;
		}
		atomic_fetch_add_explicit(&m->odd, rc != 0, memory_order_relaxed);
		atomic_fetch_add_explicit(&m->done, 1, memory_order_relaxed);
	}
	return NULL;
}

#define TOLD_MAX 512

struct told {
	struct {
		uint64_t first, len;
	} range[TOLD_MAX];
	unsigned n;
};

static void record(void *arg, uint64_t first, uint64_t last)
{
	struct told *t = arg;

	t->range[t->n].first = first;
	t->range[t->n++].len = last - first + 1;
}

/* What was reported is copied after the call, as the ioctl's caller would. */
static void read_and_copy(struct migration *m, uint64_t iova, uint64_t len)
{
	struct told t = { .n = 0 };

	if (iommu_domain_read_dirty(m->k->dom, iova, len, 0, record, &t))
		atomic_fetch_add(&m->odd, 1);
	for (unsigned i = 0; i < t.n; i++)
		copy_range(m, t.range[i].first, t.range[i].len);
	atomic_fetch_add_explicit(&m->told, t.n, memory_order_relaxed);
	atomic_fetch_add_explicit(&m->reads, 1, memory_order_relaxed);
}

static void read_all(struct migration *m)
{
	read_and_copy(m, SMALL_AT, SMALL_LEN);
	read_and_copy(m, LARGE_AT, LARGE_LEN);
}

static void *second_reader(void *arg)
{
	struct migration *m = arg;

	for (unsigned i = 0; !atomic_load_explicit(&m->quit, memory_order_relaxed); i++) {
		read_and_copy(m, SMALL_AT + SMALL_LEN / 4, SMALL_LEN / 2);
		if (i % LARGE_EVERY == 0)
			read_and_copy(m, LARGE_AT, LARGE_LEN);
		sched_yield();
	}
	return NULL;
}

/* Unmaps next to the writers, and under those that go there. */
static void *mapper(void *arg)
{
	struct migration *m = arg;
	uint64_t pa = m->k->runs[0].pa;

	while (!atomic_load_explicit(&m->quit, memory_order_relaxed)) {
		struct pt_gather g;

		pt_gather_init(&g);
		if (iommu_domain_map(m->k->dom, OTHER_AT, pa, OTHER_LEN, RW, false, &g))
			atomic_fetch_add(&m->odd, 1);
		sched_yield();
		iommu_domain_unmap(m->k->dom, OTHER_AT, OTHER_LEN, &g);
		iommu_domain_sync(m->k->dom, &g);
	}
	return NULL;
}

static int setup(void **state)
{
	return kit_setup_as(state, "vtd", IOMMU_HWPT_ALLOC_DIRTY_TRACKING);
}

static void migration_init(struct migration *m, struct kit *k)
{
	char *other = kit_buf(k, OTHER_LEN, OTHER_LEN);

	memset(m, 0, sizeof(*m));
	pthread_mutex_init(&m->copying, NULL);
	m->k = k;
	/* runs[0], whose pages come and go */
	kit_map_in(k, k->dom, OTHER_AT, other, OTHER_LEN, RW, true);
	assert_int_equal(k->runs[0].npages, OTHER_LEN / PAGE_SIZE);
	kit_unmap(k, k->dom, OTHER_AT, OTHER_LEN);
	m->small = kit_buf(k, SMALL_LEN, PAGE_SIZE);
	m->large = kit_buf(k, LARGE_LEN, LARGE_LEN);
	m->small_copy = kit_buf(k, SMALL_LEN, PAGE_SIZE);
	m->large_copy = kit_buf(k, LARGE_LEN, PAGE_SIZE);
	kit_map_in(k, k->dom, SMALL_AT, m->small, SMALL_LEN, RW, true);
	kit_map_in(k, k->dom, LARGE_AT, m->large, LARGE_LEN, RW, false);
}

static void migrate(struct kit *k, bool two_readers, bool unmaps, unsigned rounds)
{
	static struct migration m;
	pthread_t id[WRITERS + 2];
	unsigned n = 0;

	migration_init(&m, k);
	for (; n < WRITERS; n++)
		assert_int_equal(pthread_create(&id[n], NULL, writer, &m), 0);
	if (two_readers)
		assert_int_equal(pthread_create(&id[n++], NULL, second_reader, &m), 0);
	if (unmaps)
		assert_int_equal(pthread_create(&id[n++], NULL, mapper, &m), 0);
	/* Off and on again in between: from each start on, all that is written is told of. */
	for (unsigned start = 0; start < 2; start++) {
		assert_int_equal(iommu_domain_set_dirty_tracking(k->dom, false), 0);
		sched_yield();
		assert_int_equal(iommu_domain_set_dirty_tracking(k->dom, true), 0);
		copy_range(&m, SMALL_AT, SMALL_LEN);
		copy_range(&m, LARGE_AT, LARGE_LEN);
		for (unsigned i = 0; i < rounds; i++) {
			uint64_t before = m.done;

			read_and_copy(&m, SMALL_AT, SMALL_LEN);
			if (i % LARGE_EVERY == 0)
				read_and_copy(&m, LARGE_AT, LARGE_LEN);
			for (int j = 0; m.done == before && j < 100; j++)
				sched_yield();
		}
	}
	m.quit = true;
	for (unsigned i = 0; i < n; i++)
		pthread_join(id[i], NULL);
	read_all(&m);
	assert_int_equal(m.odd, 0);
	assert_true(m.told > 0);
	for (uint64_t i = 0; i < SMALL_LEN; i += PAGE_SIZE)
		if (memcmp(m.small_copy + i, m.small + i, PAGE_SIZE))
			fail_msg("page %u was written and not told of", (unsigned)(i / PAGE_SIZE));
	assert_memory_equal(m.large_copy, m.large, LARGE_LEN);
	m.told = 0;
	read_all(&m);
	assert_int_equal(m.told, 0);
	assert_int_equal(pt_check(&k->dom->pt), 0);
}

static void read_dirty__writers_run__copy_is_equal(void **state)
{
	migrate(*state, false, false, SLOW ? 100 : 400);
}

static void read_dirty__two_readers__copy_is_equal(void **state)
{
	migrate(*state, true, false, SLOW ? 60 : 250);
}

/* Nothing comes back to life in a table that is unmapped under the marking. */
static void read_dirty__neighbours_unmapped__tables_sound(void **state)
{
	migrate(*state, true, true, SLOW ? 60 : 250);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(read_dirty__writers_run__copy_is_equal),
		T(read_dirty__two_readers__copy_is_equal),
		T(read_dirty__neighbours_unmapped__tables_sound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
