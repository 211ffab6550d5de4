// SPDX-License-Identifier: MIT
/* Are ids lowest first, and do slots stay where they are? */
#include "rng.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/fault.h"
#include "base/why.h"
#include "index/idmap.h"

static uint32_t alloc(struct idmap *map)
{
	uint32_t id = 0;

	assert_int_equal(idmap_alloc(map, &id), 0);
	return id;
}

static void idmap_alloc__fresh__ascending_from_one(void **state)
{
	struct idmap map;

	(void)state;
	idmap_init(&map, 16, IDMAP_MAX);
	assert_int_equal(idmap_next(&map, 0), 0);
	assert_false(idmap_used(&map, 0));
	assert_false(idmap_used(&map, 1));
	for (uint32_t i = 1; i <= 70000; i++)
		assert_int_equal(alloc(&map), i);
	idmap_check(&map);
	assert_int_equal(map.count, 70000);
	assert_false(idmap_used(&map, 0));
	assert_true(idmap_used(&map, 70000));
	assert_false(idmap_used(&map, 70001));
	idmap_finish(&map);
	assert_int_equal(alloc(&map), 1); /* as new */
	idmap_finish(&map);
}

static void idmap_free__hole__reused_lowest_first(void **state)
{
	struct idmap map;

	(void)state;
	idmap_init(&map, 8, IDMAP_MAX);
	for (unsigned i = 0; i < 5000; i++)
		alloc(&map);
	idmap_free(&map, 4096);
	idmap_free(&map, 63);
	idmap_free(&map, 64);
	idmap_free(&map, 5000);
	idmap_check(&map);
	assert_int_equal(alloc(&map), 63);
	assert_int_equal(alloc(&map), 64);
	assert_int_equal(alloc(&map), 4096);
	assert_int_equal(alloc(&map), 5000);
	assert_int_equal(alloc(&map), 5001);
	idmap_check(&map);
	idmap_finish(&map);
}

static void idmap_alloc__all_taken__ebusy(void **state)
{
	const uint32_t maxes[] = { 1, 62, 63, 64, 65, 127, 128, 1000 };

	(void)state;
	for (unsigned k = 0; k < ARRAY_LEN(maxes); k++) {
		struct idmap map;
		uint32_t id = 77;

		idmap_init(&map, 8, maxes[k]);
		for (uint32_t i = 1; i <= maxes[k]; i++)
			assert_int_equal(alloc(&map), i);
		why_clear();
		assert_int_equal(idmap_alloc(&map, &id), -EBUSY);
		assert_int_equal(id, 77);
		assert_int_equal(map.count, maxes[k]);
		assert_string_not_equal(why_last(), "");
		idmap_check(&map);
		idmap_free(&map, maxes[k]);
		assert_int_equal(alloc(&map), maxes[k]);
		idmap_finish(&map);
	}
}

static void idmap_slot__ids__zeroed_distinct_stable(void **state)
{
	struct idmap map;
	char *slot[3000];

	(void)state;
	idmap_init(&map, 20, IDMAP_MAX); /* becomes 24 */
	assert_null(idmap_slot(&map, 1));
	for (uint32_t i = 1; i < 3000; i++) {
		static const char zero[24];

		alloc(&map);
		slot[i] = idmap_slot(&map, i);
		assert_non_null(slot[i]);
		assert_memory_equal(slot[i], zero, 24);
		memset(slot[i], (int)(i % 255) + 1, 24);
	}
	assert_null(idmap_slot(&map, 0));
	assert_null(idmap_slot(&map, 5000));
	assert_null(idmap_slot(&map, IDMAP_MAX));
	assert_null(idmap_slot(&map, IDMAP_MAX + 1u));
	assert_null(idmap_slot(&map, UINT32_MAX));
	for (uint32_t i = 1; i < 3000; i += 2)
		idmap_free(&map, i);
	for (uint32_t i = 1; i < 3000; i++) {
		assert_ptr_equal(idmap_slot(&map, i), slot[i]);
		for (unsigned b = 0; b < 24; b++)
			assert_int_equal((unsigned char)slot[i][b], i % 255 + 1);
	}
	idmap_finish(&map);
	assert_null(idmap_slot(&map, 1));
}

#define IDS 9000u

static void idmap__random__as_bools(void **state)
{
	bool *taken = calloc(IDS + 1, sizeof(bool));
	struct idmap map;
	uint32_t count = 0;

	(void)state;
	rng_start("idmap");
	idmap_init(&map, 1, IDS);
	for (unsigned step = 0; step < 60000; step++) {
		uint32_t id = 1 + (uint32_t)rng_below(step % 20000 < 10000 ? IDS : 200), lowest = 1;
		uint32_t got = 0;

		/* Grows for a while, then shrinks for a while. */
		if (rng_below(10) < (step / 15000 % 2 ? 3 : 8) && count < IDS) {
			while (taken[lowest])
				lowest++;
			assert_int_equal(idmap_alloc(&map, &got), 0);
			assert_int_equal(got, lowest);
			taken[got] = true;
			count++;
		} else if (taken[id]) {
			idmap_free(&map, id);
			taken[id] = false;
			count--;
		}
		if (step % 8 == 0) {
			uint32_t from = (uint32_t)rng_below(IDS + 1), want = from + 1;

			while (want <= IDS && !taken[want])
				want++;
			assert_int_equal(idmap_next(&map, from), want <= IDS ? want : 0);
		}
		assert_int_equal(map.count, count);
		if (step % 512 == 0)
			idmap_check(&map);
	}
	idmap_for_each(id, &map)
	{
		assert_true(taken[id]);
		count--;
	}
	assert_int_equal(count, 0);
	idmap_finish(&map);
	free(taken);
}

static void idmap_next__beyond_the_end__none(void **state)
{
	struct idmap map;

	(void)state;
	idmap_init(&map, 8, IDMAP_MAX);
	alloc(&map);
	assert_int_equal(idmap_next(&map, 0), 1);
	assert_int_equal(idmap_next(&map, 1), 0);
	assert_int_equal(idmap_next(&map, 63), 0);
	assert_int_equal(idmap_next(&map, IDMAP_MAX), 0);
	assert_int_equal(idmap_next(&map, UINT32_MAX), 0);
	idmap_finish(&map);
}

static void idmap_alloc__each_fault__enomem_unchanged(void **state)
{
	struct idmap map;
	unsigned failed = 0;

	(void)state;
	idmap_init(&map, 8, IDMAP_MAX);
	for (uint32_t want = 1; want < 700; want++) {
		bool fired = true;

		for (unsigned nth = 1; fired; nth++) {
			uint32_t id = 0;
			int rc;

			fault_arm(nth, nth & 1);
			rc = idmap_alloc(&map, &id);
			fault_disarm(&fired);
			idmap_check(&map);
			if (fired) {
				failed++;
				assert_int_equal(rc, -ENOMEM);
				assert_int_equal(id, 0);
				assert_int_equal(map.count, want - 1);
			} else {
				assert_int_equal(rc, 0);
				assert_int_equal(id, want);
			}
		}
	}
	assert_int_equal(failed, 2 * 5); /* two allocations per chunk: 64, 128, 256, 512, 1024 */
	idmap_finish(&map);
}

struct reader {
	struct idmap *map;
	_Atomic uint32_t highest; /* id whose slot the writer has filled in */
	_Atomic bool stop;
	bool bad;
};

static void *read_slots(void *arg)
{
	struct reader *r = arg;
	uint64_t x = 1;

	while (!atomic_load(&r->stop)) {
		uint32_t top = atomic_load(&r->highest), id;
		_Atomic uint64_t *slot;
		uint64_t v;

		x = x * 6364136223846793005ull + 1442695040888963407ull;
		id = 1 + (uint32_t)(x >> 33) % (2 * top + 100);
		slot = idmap_slot(r->map, id);
		v = slot ? atomic_load_explicit(slot, memory_order_relaxed) : 0;
		if (id <= top ? v != id : v && v != id)
			r->bad = true;
	}
	return NULL;
}

static void idmap_slot__while_another_thread_allocates__own_or_zero(void **state)
{
	struct idmap map;
	struct reader r = { .map = &map };
	pthread_t thread;

	(void)state;
	idmap_init(&map, 8, IDMAP_MAX);
	assert_int_equal(pthread_create(&thread, NULL, read_slots, &r), 0);
	for (uint32_t i = 1; i < 200000; i++) {
		_Atomic uint64_t *slot = idmap_slot(&map, alloc(&map));

		atomic_store_explicit(slot, i, memory_order_relaxed);
		atomic_store(&r.highest, i);
	}
	atomic_store(&r.stop, true);
	pthread_join(thread, NULL);
	assert_false(r.bad);
	idmap_finish(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(idmap_alloc__fresh__ascending_from_one),
		cmocka_unit_test(idmap_free__hole__reused_lowest_first),
		cmocka_unit_test(idmap_alloc__all_taken__ebusy),
		cmocka_unit_test(idmap_slot__ids__zeroed_distinct_stable),
		cmocka_unit_test(idmap__random__as_bools),
		cmocka_unit_test(idmap_next__beyond_the_end__none),
		cmocka_unit_test(idmap_alloc__each_fault__enomem_unchanged),
		cmocka_unit_test(idmap_slot__while_another_thread_allocates__own_or_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
