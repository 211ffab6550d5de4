// SPDX-License-Identifier: MIT
/*
 * Does a context stay right while everything happens in it at once?
 *
 * Mappers each have IOVA and memory of their own; what they map, the devices that are attached at
 * that moment must see, and after an unmap nobody. Meanwhile devices move between two IOASes,
 * other IOASes come and go, and DMA never stops. Each mapper knows what a right answer is, whatever
 * the others do. For ThreadSanitizer as much as for itself.
 *
 *	iommufd_threads [SECONDS]
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "kit.h"

#define P       PAGE_SIZE
#define MAPPERS 3u
#define PAGES   32u
#define WINDOW  0x10000000ull

struct world {
	struct kit *k;
	struct kit_dev *stays, *moves, *other; /* other: of another kind */
	uint32_t a, b;
	char *mem; /* MAPPERS * PAGES, each page stamped */
	_Atomic bool stop;
	_Atomic uint64_t maps, moved, dmas;
};

struct mapper {
	struct world *w;
	unsigned nr;
	uint64_t seed;
};

static double seconds = 1;

#define MUST(cond)                                                                              \
	do {                                                                                    \
		if (!(cond)) {                                                                  \
			print_error("%s:%d: %s (%s)\n", __func__, __LINE__, #cond, why_last()); \
			abort();                                                                \
		}                                                                               \
	} while (0)

static unsigned char stamp(uint64_t page)
{
	return (unsigned char)(1 + page % 250);
}

static uint64_t rnd(struct mapper *m, uint64_t below)
{
	m->seed ^= m->seed << 13;
	m->seed ^= m->seed >> 7;
	m->seed ^= m->seed << 17;
	return m->seed % below;
}

/* Through the device that stays, and through those that may be elsewhere just now. */
static void look(struct world *w, uint64_t iova, uint64_t page, bool mapped)
{
	unsigned char c = 0;
	int rc = kit_dma_read(w->stays, iova, &c);

	MUST(rc == (mapped ? 0 : -EFAULT));
	MUST(!mapped || c == stamp(page));
	rc = kit_dma_read(w->moves, iova, &c);
	MUST(rc == -EFAULT || (mapped && !rc && c == stamp(page)));
	rc = kit_dma_read(w->other, iova, &c);
	MUST(rc == -EFAULT || (mapped && !rc && c == stamp(page)));
}

static void *mapper(void *arg)
{
	struct mapper *m = arg;
	struct world *w = m->w;

	while (!atomic_load(&w->stop)) {
		uint64_t n = 1 + rnd(m, PAGES), first = rnd(m, PAGES - n + 1);
		uint64_t iova = WINDOW * (m->nr + 1) + rnd(m, 64) * P, at = rnd(m, n), bytes;
		uint64_t page = m->nr * PAGES + first;

		MUST(!kit_map_at(w->k, w->a, iova, w->mem + page * P, n * P));
		look(w, iova + at * P, page + at, true);
		MUST(!kit_unmap(w->k, w->a, iova, n * P, &bytes) && bytes == n * P);
		look(w, iova + at * P, page + at, false);
		atomic_fetch_add(&w->maps, 1);
	}
	return NULL;
}

/* Two devices come, go from one IOAS to the other and leave. */
static void *mover(void *arg)
{
	struct world *w = arg;
	struct kit_dev *d[2] = { w->moves, w->other };

	for (unsigned i = 0; !atomic_load(&w->stop); i++) {
		uint32_t id = w->a;

		MUST(!iommufd_device_attach(d[i % 2]->idev, &id));
		id = w->b;
		MUST(!iommufd_device_replace(d[i % 2]->idev, &id));
		id = w->a;
		MUST(!iommufd_device_replace(d[i % 2]->idev, &id));
		iommufd_device_detach(d[i % 2]->idev);
		atomic_fetch_add(&w->moved, 1);
	}
	return NULL;
}

/* IOASes that nobody else uses, full of mappings. */
static void *maker(void *arg)
{
	struct world *w = arg;

	while (!atomic_load(&w->stop)) {
		uint32_t id = kit_ioas(w->k);

		for (uint64_t i = 0; i < 40; i++)
			MUST(!kit_map_at(w->k, id, i * P, w->mem, P));
		MUST(!kit_destroy(w->k, id));
	}
	return NULL;
}

/* DMA all over the windows: right bytes or a fault, nothing else. */
static void *dma(void *arg)
{
	struct mapper *m = arg;
	struct world *w = m->w;

	while (!atomic_load(&w->stop)) {
		uint64_t nr = rnd(m, MAPPERS), iova = WINDOW * (nr + 1) + rnd(m, 96 * P);
		unsigned char c = 0;
		int rc = kit_dma_read(rnd(m, 2) ? w->stays : w->moves, iova, &c);

		MUST(rc == -EFAULT || (!rc && c));
		atomic_fetch_add(&w->dmas, 1);
	}
	return NULL;
}

/* Half of the memory is scattered in output memory. */
static void make_memory(struct world *w)
{
	uint64_t n = MAPPERS * PAGES;
	int fd = memfd_create("stress", 0);

	w->mem = kit_buf(w->k, n * P, P);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)(n * P)), 0);
	for (uint64_t i = 0; i < n; i += 2)
		assert_ptr_not_equal(mmap(w->mem + i * P, P, PROT_READ | PROT_WRITE,
					  MAP_SHARED | MAP_FIXED, fd, (off_t)(i * P)),
				     MAP_FAILED);
	for (uint64_t i = 0; i < n; i++)
		memset(w->mem + i * P, stamp(i), P);
	close(fd);
}

static void everything_at_once__each_answer_right(void **state)
{
	static struct world w;
	struct mapper m[MAPPERS + 1];
	pthread_t t[MAPPERS + 3];
	struct timespec ts = { .tv_sec = (time_t)seconds,
			       .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9) };

	w.k = *state;
	w.stays = kit_device(w.k, -1);
	w.moves = kit_device(w.k, -1);
	w.other = kit_device2(w.k);
	w.a = kit_ioas(w.k);
	w.b = kit_ioas(w.k);
	kit_bind(w.k, w.stays);
	kit_bind(w.k, w.moves);
	kit_bind(w.k, w.other);
	kit_attach(w.stays, w.a);
	make_memory(&w);
	w.k->ctx->batch_max = 4;

	for (unsigned i = 0; i <= MAPPERS; i++)
		m[i] = (struct mapper){ .w = &w, .nr = i, .seed = 77 + i };
	for (unsigned i = 0; i < MAPPERS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, mapper, &m[i]), 0);
	assert_int_equal(pthread_create(&t[MAPPERS], NULL, mover, &w), 0);
	assert_int_equal(pthread_create(&t[MAPPERS + 1], NULL, maker, &w), 0);
	assert_int_equal(pthread_create(&t[MAPPERS + 2], NULL, dma, &m[MAPPERS]), 0);
	nanosleep(&ts, NULL);
	atomic_store(&w.stop, true);
	for (unsigned i = 0; i < ARRAY_LEN(t); i++)
		pthread_join(t[i], NULL);
	print_message("%llu maps, %llu moves, %llu accesses\n", (unsigned long long)w.maps,
		      (unsigned long long)w.moved, (unsigned long long)w.dmas);
	assert_int_equal(kit_areas(w.k, w.a), 0);
	kit_check(w.k, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { KIT_TEST(everything_at_once__each_answer_right) };

	if (argc > 1)
		seconds = atof(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
