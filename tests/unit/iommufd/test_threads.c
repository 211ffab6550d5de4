// SPDX-License-Identifier: MIT
/*
 * Many threads in one context: maps, unmaps, DMA, attach, replace and destroy at once.
 *
 * Nothing is asserted about who wins; each answer must be one that some order explains, what a
 * device reads must be what stood at that IOVA, and at the end nothing is left.
 */
#include "kit.h"

#include <pthread.h>
#include <stdlib.h>

#define P      PAGE_SIZE
#define ROUNDS 1500

struct worker {
	struct kit *k;
	struct kit_dev *d;
	uint32_t ioas, ioas2;
	char *p;
	unsigned nr;
	_Atomic bool *stop;
	unsigned done;
};

#define MUST(cond)                                                                              \
	do {                                                                                    \
		if (!(cond)) {                                                                  \
			print_error("%s:%d: %s (%s)\n", __func__, __LINE__, #cond, why_last()); \
			abort();                                                                \
		}                                                                               \
	} while (0)

static int raw_map(struct worker *w, uint32_t flags, uint64_t *iova, const void *va, uint64_t len)
{
	struct iommu_ioas_map c = { .size = sizeof(c),
				    .flags = flags,
				    .ioas_id = w->ioas,
				    .user_va = (uintptr_t)va,
				    .length = len,
				    .iova = *iova };
	int rc = kit_ioctl(w->k, IOMMU_IOAS_MAP, &c);

	*iova = c.iova;
	return rc;
}

static int raw_unmap(struct worker *w, uint64_t iova, uint64_t len)
{
	struct iommu_ioas_unmap c = {
		.size = sizeof(c), .ioas_id = w->ioas, .iova = iova, .length = len
	};

	return kit_ioctl(w->k, IOMMU_IOAS_UNMAP, &c);
}

/* Its own IOVA: everything works, and DMA sees the page while it is mapped. */
static void *own_range(void *arg)
{
	struct worker *w = arg;
	uint64_t base = 0x10000000ull * (w->nr + 1);

	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned page = i % 16;
		uint64_t iova = base + page * P;
		unsigned char c = 0;

		MUST(!raw_map(w, FIXED | RW, &iova, w->p + page * P, P));
		MUST(!kit_dma_read(w->d, iova, &c));
		MUST(c == 1 + page);
		MUST(!raw_unmap(w, iova, P));
		MUST(kit_dma_read(w->d, iova, &c) == -EFAULT);
	}
	return NULL;
}

/* The same IOVA for all: somebody maps it, somebody unmaps it. */
static void *shared_range(void *arg)
{
	struct worker *w = arg;

	while (!atomic_load(w->stop)) {
		uint64_t iova = 0x1000ull * (w->done++ % 8);
		int rc = raw_map(w, FIXED | RW, &iova, w->p, P);

		MUST(!rc || rc == -EEXIST);
		rc = raw_unmap(w, iova, P);
		MUST(!rc || rc == -ENOENT || rc == -EBUSY);
	}
	return NULL;
}

static void *automatic(void *arg)
{
	struct worker *w = arg;

	while (!atomic_load(w->stop)) {
		uint64_t iova[8];

		for (unsigned i = 0; i < 8; i++) {
			iova[i] = 0;
			MUST(!raw_map(w, RW, &iova[i], w->p, (1 + i) * P));
		}
		for (unsigned i = 0; i < 8; i++)
			MUST(!raw_unmap(w, iova[i], (1 + i) * P));
		w->done++;
	}
	return NULL;
}

static void *unmap_all(void *arg)
{
	struct worker *w = arg;

	while (!atomic_load(w->stop)) {
		int rc = raw_unmap(w, 0, MAX);

		MUST(!rc || rc == -EBUSY);
		w->done++;
	}
	return NULL;
}

static void *dma(void *arg)
{
	struct worker *w = arg;

	while (!atomic_load(w->stop)) {
		unsigned char c = 0;
		int rc = kit_dma_read(w->d, 0x1000ull * (w->done++ % 8), &c);

		MUST((!rc && c == 1) || rc == -EFAULT);
	}
	return NULL;
}

/* Attach and detach of the second device, back and forth between two IOASes. */
static void *attaches(void *arg)
{
	struct worker *w = arg;

	while (!atomic_load(w->stop)) {
		uint32_t id = w->ioas;

		MUST(!iommufd_device_attach(w->d->idev, &id));
		id = w->ioas2;
		MUST(!iommufd_device_replace(w->d->idev, &id));
		id = w->ioas;
		MUST(!iommufd_device_replace(w->d->idev, &id));
		iommufd_device_detach(w->d->idev);
		w->done++;
	}
	return NULL;
}

/* Pokes at ids that come and go. */
static void *destroys(void *arg)
{
	struct worker *w = arg;

	while (!atomic_load(w->stop)) {
		uint32_t id = 5 + w->done++ % 8;
		int rc = kit_destroy(w->k, id);

		MUST(!rc || rc == -ENOENT || rc == -EBUSY);
	}
	return NULL;
}

static void *queries(void *arg)
{
	struct worker *w = arg;

	while (!atomic_load(w->stop)) {
		struct iommu_iova_range r[8];
		struct iommu_hw_info info = { .size = sizeof(info), .dev_id = w->d->id };
		struct iommu_ioas_iova_ranges c = { .size = sizeof(c),
						    .ioas_id = w->ioas,
						    .num_iovas = 8,
						    .allowed_iovas = (uintptr_t)r };

		MUST(!kit_ioctl(w->k, IOMMU_IOAS_IOVA_RANGES, &c));
		MUST(c.num_iovas >= 1 && c.num_iovas <= 3);
		MUST(!kit_ioctl(w->k, IOMMU_GET_HW_INFO, &info));
		w->done++;
	}
	return NULL;
}

static struct worker base(void **state, bool attach, _Atomic bool *stop)
{
	struct worker w = { .k = *state, .stop = stop };

	w.d = kit_device(w.k, -1);
	w.ioas = kit_ioas(w.k);
	w.ioas2 = kit_ioas(w.k);
	kit_bind(w.k, w.d);
	if (attach)
		kit_attach(w.d, w.ioas);
	w.p = kit_buf(w.k, 16 * P, P);
	return w;
}

static void map__own_ranges__all_work(void **state)
{
	struct worker w[4];
	pthread_t t[4];

	w[0] = base(state, true, NULL);
	for (unsigned i = 1; i < 4; i++) {
		w[i] = w[0];
		w[i].nr = i;
	}
	for (unsigned i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, own_range, &w[i]);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	kit_check(w[0].k, 0);
	assert_int_equal(kit_areas(w[0].k, w[0].ioas), 0);
}

static void run_for(_Atomic bool *stop, pthread_t *t, unsigned n, unsigned ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	nanosleep(&ts, NULL);
	atomic_store(stop, true);
	for (unsigned i = 0; i < n; i++)
		pthread_join(t[i], NULL);
}

static void map__same_ranges_under_dma__no_stale_data(void **state)
{
	void *(*const fn[])(void *) = { shared_range, shared_range, unmap_all, dma, dma };
	_Atomic bool stop = false;
	struct worker w[5];
	pthread_t t[5];

	w[0] = base(state, true, &stop);
	for (unsigned i = 1; i < 5; i++)
		w[i] = w[0];
	for (unsigned i = 0; i < 5; i++)
		pthread_create(&t[i], NULL, fn[i], &w[i]);
	run_for(&stop, t, 5, 400);
	expect_rc(raw_unmap(&w[0], 0, MAX), 0);
	kit_check(w[0].k, 0);
}

static void map__while_devices_come_and_go__consistent(void **state)
{
	void *(*const fn[])(void *) = { automatic, automatic, attaches, destroys, queries };
	_Atomic bool stop = false;
	struct kit_dev *second;
	struct worker w[5];
	pthread_t t[5];

	w[0] = base(state, false, &stop);
	second = kit_device2(w[0].k);
	kit_bind(w[0].k, second); /* id 4; those of HWPTs are above */
	for (unsigned i = 1; i < 5; i++)
		w[i] = w[0];
	w[2].d = second;
	for (unsigned i = 0; i < 5; i++)
		pthread_create(&t[i], NULL, fn[i], &w[i]);
	run_for(&stop, t, 5, 400);
	kit_check(w[0].k, 0);
	assert_int_equal(kit_areas(w[0].k, w[0].ioas), 0);
	assert_true(w[2].done > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(map__own_ranges__all_work),
		KIT_TEST(map__same_ranges_under_dma__no_stale_data),
		KIT_TEST(map__while_devices_come_and_go__consistent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
