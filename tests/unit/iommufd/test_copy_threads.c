// SPDX-License-Identifier: MIT
/*
 * Copies from what others map and unmap at the same moment, into an IOAS whose dirty state is read.
 *
 * A copy succeeds or finds a gap; what a device reads through it is what stood there; at the end
 * nothing is pinned.
 */
#include "kit.h"

#include <pthread.h>
#include <stdlib.h>

#define P      PAGE_SIZE
#define ROUNDS 2000u
#define SRC    0x10000ull

struct worker {
	struct kit *k;
	struct kit_dev *d;
	uint32_t src, dst, hwpt;
	char *p;
	unsigned nr, done;
	pthread_t thread;
};

#define MUST(cond)                                                                              \
	do {                                                                                    \
		if (!(cond)) {                                                                  \
			print_error("%s:%d: %s (%s)\n", __func__, __LINE__, #cond, why_last()); \
			abort();                                                                \
		}                                                                               \
	} while (0)

/* The source: two areas that come and go. */
static void *flicker(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		MUST(!kit_map_at(w->k, w->src, SRC, w->p, 2 * P));
		MUST(!kit_map_at(w->k, w->src, SRC + 2 * P, w->p + 2 * P, 2 * P));
		MUST(!kit_unmap(w->k, w->src, SRC, 4 * P, NULL));
		w->done++;
	}
	return NULL;
}

static void *copy_in(void *arg)
{
	struct worker *w = arg;
	uint64_t at = 0x1000000ull * (w->nr + 1);
	struct iommu_ioas_copy c = { .size = sizeof(c),
				     .flags = FIXED | RW,
				     .dst_ioas_id = w->dst,
				     .src_ioas_id = w->src,
				     .length = 2 * P,
				     .dst_iova = at,
				     .src_iova = SRC + P };

	for (unsigned i = 0; i < ROUNDS; i++) {
		int rc = kit_ioctl(w->k, IOMMU_IOAS_COPY, &c);
		unsigned char b = 0;

		MUST(!rc || rc == -ENOENT);
		if (rc)
			continue;
		MUST(!kit_dma_read(w->d, at + P, &b) && b == 3);
		MUST(!kit_dma_write(w->d, at + P + 1, 3));
		MUST(!kit_unmap(w->k, w->dst, at, 2 * P, NULL));
		w->done++;
	}
	return NULL;
}

static void *read_dirty(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t at = 0x1000000ull * (1 + i % 2), bits = 0;
		struct iommu_hwpt_get_dirty_bitmap g = { .size = sizeof(g),
							 .hwpt_id = w->hwpt,
							 .iova = at,
							 .length = 64 * P,
							 .page_size = P,
							 .data = (uintptr_t)&bits };
		struct iommu_hwpt_set_dirty_tracking s = { .size = sizeof(s),
							   .flags = i % 16 != 0,
							   .hwpt_id = w->hwpt };

		MUST(!kit_ioctl(w->k, IOMMU_HWPT_GET_DIRTY_BITMAP, &g));
		MUST(!(bits & ~2ull));
		if (!(i % 8))
			MUST(!kit_ioctl(w->k, IOMMU_HWPT_SET_DIRTY_TRACKING, &s));
		w->done++;
	}
	return NULL;
}

static void run(void **state, bool src_attached)
{
	void *(*const jobs[])(void *) = { copy_in, copy_in, flicker, read_dirty };
	struct worker w[ARRAY_LEN(jobs)];
	struct kit *k = *state;
	struct kit_dev *d = kit_device(k, -1), *d2 = kit_device(k, -1);
	uint32_t src = kit_ioas(k), dst = kit_ioas(k);
	struct iommu_hwpt_alloc c = { .size = sizeof(c),
				      .flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
				      .pt_id = dst };
	char *p = kit_buf(k, 4 * P, P);

	kit_bind(k, d);
	kit_bind(k, d2);
	c.dev_id = d->id;
	expect_rc(kit_ioctl(k, IOMMU_HWPT_ALLOC, &c), 0);
	kit_attach(d, c.out_hwpt_id);
	if (src_attached)
		kit_attach(d2, src);
	for (unsigned i = 0; i < ARRAY_LEN(jobs); i++) {
		w[i] = (struct worker){ k, d, src, dst, c.out_hwpt_id, p, i, 0, 0 };
		assert_int_equal(pthread_create(&w[i].thread, NULL, jobs[i], &w[i]), 0);
	}
	for (unsigned i = 0; i < ARRAY_LEN(jobs); i++)
		pthread_join(w[i].thread, NULL);
	assert_int_equal(w[2].done, ROUNDS);
	assert_int_equal(w[3].done, ROUNDS);
	kit_check(k, 0);
}

static void copy__source_comes_and_goes__slices_hold(void **state)
{
	run(state, false);
}

static void copy__pinned_source_comes_and_goes__slices_hold(void **state)
{
	run(state, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(copy__source_comes_and_goes__slices_hold),
		KIT_TEST(copy__pinned_source_comes_and_goes__slices_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
