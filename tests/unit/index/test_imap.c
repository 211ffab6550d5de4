// SPDX-License-Identifier: MIT
/* Does the interval map hold, find and walk what a sorted array does? */
#include "imap_model.h"

#include <errno.h>

#include "base/bits.h"
#include "base/fault.h"
#include "base/why.h"

static int cookie[64];

static void assert_entry(const struct imap_entry *e, uint64_t start, uint64_t last, void *value)
{
	assert_int_equal(e->start, start);
	assert_int_equal(e->last, last);
	assert_ptr_equal(e->value, value);
}

static void imap__empty__finds_nothing(void **state)
{
	struct imap map;
	struct imap_entry e;

	(void)state;
	imap_init(&map);
	assert_true(imap_empty(&map));
	assert_false(imap_find(&map, 0, &e));
	assert_false(imap_first(&map, 0, UINT64_MAX, &e));
	assert_false(imap_before(&map, UINT64_MAX, &e));
	assert_null(imap_erase(&map, 0));
	assert_false(imap_set_value(&map, 0, NULL));
	assert_int_equal(imap_bytes(&map), 0);
	imap_check(&map);
	imap_finish(&map);
}

static void imap__ends_of_the_space__found(void **state)
{
	struct imap map;
	struct imap_entry e;

	(void)state;
	imap_init(&map);
	assert_int_equal(imap_insert(&map, UINT64_MAX, UINT64_MAX, &cookie[2]), 0);
	assert_int_equal(imap_insert(&map, 0, 0, &cookie[0]), 0);
	imap_check(&map);
	assert_true(imap_find(&map, 0, &e));
	assert_entry(&e, 0, 0, &cookie[0]);
	assert_true(imap_find(&map, UINT64_MAX, &e));
	assert_entry(&e, UINT64_MAX, UINT64_MAX, &cookie[2]);
	assert_false(imap_find(&map, 1, &e));
	assert_false(imap_find(&map, UINT64_MAX - 1, &e));
	assert_false(imap_first(&map, 1, UINT64_MAX - 1, &e));
	assert_true(imap_before(&map, UINT64_MAX, &e));
	assert_entry(&e, 0, 0, &cookie[0]);
	assert_false(imap_before(&map, 0, &e));
	assert_int_equal(imap_insert(&map, 1, UINT64_MAX - 1, &cookie[1]), 0);
	imap_check(&map);
	assert_true(imap_find(&map, UINT64_MAX - 1, &e));
	assert_entry(&e, 1, UINT64_MAX - 1, &cookie[1]);
	assert_true(imap_next(&map, UINT64_MAX, &e));
	assert_entry(&e, UINT64_MAX, UINT64_MAX, &cookie[2]);
	assert_false(imap_next(&map, UINT64_MAX, &e));
	assert_ptr_equal(imap_erase(&map, UINT64_MAX), &cookie[2]);
	assert_ptr_equal(imap_erase(&map, 0), &cookie[0]);
	assert_null(imap_erase(&map, 2)); /* within, but not the start */
	assert_ptr_equal(imap_erase(&map, 1), &cookie[1]);
	assert_true(imap_empty(&map));
	imap_check(&map);
	imap_finish(&map);
}

static void imap_insert__whole_space__one_entry(void **state)
{
	struct imap_gap_req req = { .hi = UINT64_MAX, .len = 1, .align = 1 };
	struct imap_entry e;
	struct imap map;
	uint64_t p;

	(void)state;
	imap_init(&map);
	assert_int_equal(imap_insert(&map, 0, UINT64_MAX, &cookie[0]), 0);
	assert_true(imap_find(&map, 1ull << 63, &e));
	assert_entry(&e, 0, UINT64_MAX, &cookie[0]);
	assert_false(imap_find_gap(&map, &req, &p));
	imap_finish(&map);
}

static void imap_set_value__start__replaced(void **state)
{
	struct imap_entry e;
	struct imap map;

	(void)state;
	imap_init(&map);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(imap_insert(&map, i * 10, i * 10 + 4, &cookie[0]), 0);
	assert_true(imap_set_value(&map, 5550, &cookie[1]));
	assert_false(imap_set_value(&map, 5551, &cookie[2]));
	assert_false(imap_set_value(&map, 5555, &cookie[2]));
	assert_true(imap_find(&map, 5554, &e));
	assert_entry(&e, 5550, 5554, &cookie[1]);
	imap_finish(&map);
}

static void imap_next__map_changed__goes_on_behind(void **state)
{
	struct imap_entry e;
	struct imap map;
	unsigned seen = 0;

	(void)state;
	imap_init(&map);
	for (unsigned i = 0; i < 2000; i++)
		assert_int_equal(imap_insert(&map, i * 10, i * 10 + 4, &cookie[i % 64]), 0);
	imap_for_each(&e, &map, 0, UINT64_MAX) {
		assert_int_equal(e.start, seen * 10);
		assert_ptr_equal(imap_erase(&map, e.start), &cookie[seen % 64]);
		seen++;
	}
	assert_int_equal(seen, 2000);
	assert_true(imap_empty(&map));
	assert_false(imap_next(&map, UINT64_MAX, &e));
	imap_check(&map);
	imap_finish(&map);
}

/* Where the random intervals of a run lie. */
struct universe {
	uint64_t base, span; /* [base, base + span - 1] */
	uint64_t unit, longest;
};

static const struct universe universes[] = {
	{ 0, 6000, 1, 3 },
	{ 0ull - 6000, 6000, 1, 4 },
	{ 0, 3000 * PAGE_SIZE, PAGE_SIZE, 2 },
	{ 0ull - 9000 * PAGE_SIZE, 9000 * PAGE_SIZE, PAGE_SIZE, 600 },
	{ 0, 1ull << 63, 1, 1ull << 50 },
};

static void random_interval(const struct universe *u, uint64_t *start, uint64_t *last)
{
	uint64_t at = rng_below(u->span / u->unit) * u->unit;
	uint64_t len = (1 + rng_below(u->longest)) * u->unit;

	*start = u->base + at;
	*last = u->base + (u->span - at < len ? u->span : at + len) - 1;
}

static void compare_lookups(const struct model *m, const struct imap *map, uint64_t start,
			    uint64_t last)
{
	unsigned i = model_at(m, start), n = 0;
	struct imap_entry e;

	assert_int_equal(imap_find(map, start, &e), i < m->n && m->e[i].start <= start);
	if (i < m->n && m->e[i].start <= start)
		assert_entry(&e, m->e[i].start, m->e[i].last, m->e[i].value);
	imap_for_each(&e, map, start, last) {
		assert_true(i < m->n && m->e[i].start <= last);
		assert_entry(&e, m->e[i].start, m->e[i].last, m->e[i].value);
		i++;
		if (++n == 50)
			break;
	}
	assert_true(n == 50 || i == m->n || m->e[i].start > last);
	i = model_at(m, start);
	if (i < m->n && m->e[i].start < start)
		i++;
	assert_int_equal(imap_before(map, start, &e), i > 0);
	if (i)
		assert_entry(&e, m->e[i - 1].start, m->e[i - 1].last, m->e[i - 1].value);
}

static void step(struct model *m, struct imap *map, const struct universe *u, bool growing)
{
	void *value = &cookie[rng_below(64)];
	uint64_t start, last;
	unsigned i;

	random_interval(u, &start, &last);
	if (rng_below(10) < (growing ? 8 : 2)) {
		if (model_meets(m, start, last) || m->n == MODEL_MAX)
			return;
		assert_int_equal(imap_insert(map, start, last, value), 0);
		model_insert(m, start, last, value);
	} else if (m->n) {
		i = model_at(m, start);
		i -= i == m->n;
		assert_ptr_equal(imap_erase(map, m->e[i].start), m->e[i].value);
		assert_null(imap_erase(map, m->e[i].start));
		model_erase(m, i);
	}
}

static void imap__random__as_a_sorted_array(void **state)
{
	struct model *m = calloc(1, sizeof(*m));

	(void)state;
	rng_start("imap");
	for (unsigned k = 0; k < ARRAY_LEN(universes); k++) {
		const struct universe *u = &universes[k];
		struct imap map;

		imap_init(&map);
		m->n = 0;
		for (unsigned i = 0; i < 40000; i++) {
			uint64_t start, last;

			step(m, &map, u, i / 8000 % 2 == 0);
			random_interval(u, &start, &last);
			if (i % 4 == 0)
				compare_lookups(m, &map, start, last);
			if (i % 256 == 0) {
				imap_check(&map);
				model_compare(m, &map);
			}
		}
		while (m->n) {
			unsigned i = (unsigned)rng_below(m->n);

			assert_ptr_equal(imap_erase(&map, m->e[i].start), m->e[i].value);
			model_erase(m, i);
			if (m->n % 64 == 0)
				imap_check(&map);
		}
		imap_check(&map);
		assert_int_equal(map.leaves.used, !!map.spare_leaf);
		assert_int_equal(map.inners.used, map.nspare_inners);
		imap_finish(&map);
	}
	free(m);
}

/* The order in which 30,000 adjoining intervals come and go. */
static unsigned order(unsigned kind, unsigned i, unsigned n)
{
	switch (kind) {
	case 0:
		return i;
	case 1:
		return n - 1 - i;
	case 2: /* from both ends */
		return i & 1 ? n - 1 - i / 2 : i / 2;
	case 3: /* from the middle */
		return i & 1 ? n / 2 - 1 - i / 2 : n / 2 + i / 2;
	default: /* scattered: 7919 is prime to n */
		return (unsigned)((uint64_t)i * 7919 % n);
	}
}

static void imap__orders_of_filling_and_draining__checked(void **state)
{
	const unsigned n = 30000;

	(void)state;
	for (unsigned k = 0; k < 25; k++) {
		struct imap_entry e;
		struct imap map;
		unsigned at = 0;

		imap_init(&map);
		for (unsigned i = 0; i < n; i++) {
			uint64_t x = order(k / 5, i, n) * 16ull;

			assert_int_equal(imap_insert(&map, x, x + 15, &cookie[x % 64]), 0);
		}
		imap_check(&map);
		imap_for_each(&e, &map, 0, UINT64_MAX)
			assert_int_equal(e.start, at++ * 16ull);
		assert_int_equal(at, n);
		/* Nodes are at least half full on average, whatever the order. */
		assert_true(map.leaves.used <= n / 15 + 1);
		for (unsigned i = 0; i < n; i++) {
			uint64_t x = order(k % 5, i, n) * 16ull;

			assert_ptr_equal(imap_erase(&map, x), &cookie[x % 64]);
			if (i % 3000 == 0)
				imap_check(&map);
		}
		assert_true(imap_empty(&map));
		imap_check(&map);
		imap_finish(&map);
	}
}

static void imap_erase__all_but_few__nodes_are_given_back(void **state)
{
	struct imap map;

	(void)state;
	imap_init(&map);
	for (uint64_t i = 0; i < 30000; i++)
		assert_int_equal(imap_insert(&map, i * 2, i * 2, &cookie[0]), 0);
	for (uint64_t i = 0; i < 30000; i++)
		if (i % 30)
			assert_ptr_equal(imap_erase(&map, i * 2), &cookie[0]);
	imap_check(&map);
	assert_int_equal(map.count, 1000);
	assert_true(map.leaves.used <= 1000 / 7);
	assert_true(map.height <= 2);
	imap_finish(&map);
}

static void imap_insert__each_fault__enomem_unchanged(void **state)
{
	struct model *m = calloc(1, sizeof(*m));
	struct imap map;
	unsigned failed = 0;

	(void)state;
	rng_start("imap faults");
	imap_init(&map);
	while (m->n < 3000) {
		uint64_t start = rng_below(1000000) * 4, last = start + rng_below(4);
		bool fired = true;

		if (model_meets(m, start, last))
			continue;
		for (unsigned nth = 1; fired; nth++) {
			int rc;

			why_clear();
			fault_arm(nth, nth & 1);
			rc = imap_insert(&map, start, last, &cookie[1]);
			fault_disarm(&fired);
			if (!fired) {
				assert_int_equal(rc, 0);
				break;
			}
			failed++;
			assert_int_equal(rc, -ENOMEM);
			assert_string_not_equal(why_last(), "");
			imap_check(&map);
			model_compare(m, &map);
		}
		model_insert(m, start, last, &cookie[1]);
	}
	imap_check(&map);
	model_compare(m, &map);
	assert_true(failed > 100);
	imap_finish(&map);
	free(m);
}

static void imap_reserve__then_insert__cannot_fail(void **state)
{
	struct model *m = calloc(1, sizeof(*m));
	struct imap map;

	(void)state;
	rng_start("imap reserve");
	imap_init(&map);
	while (m->n < 20000) {
		uint64_t start = rng_below(1000000);
		bool fired = true;

		if (model_meets(m, start, start))
			continue;
		for (unsigned nth = 1; fired; nth++) {
			int rc;

			fault_arm(nth, false);
			rc = imap_reserve(&map);
			fault_disarm(&fired);
			assert_int_equal(rc, fired ? -ENOMEM : 0);
		}
		if (m->n > 100 && rng_below(2)) {
			unsigned i = (unsigned)rng_below(m->n);

			imap_erase(&map, m->e[i].start);
			model_erase(m, i);
		}
		fault_arm(1, true);
		assert_int_equal(imap_insert(&map, start, start, &cookie[1]), 0);
		assert_int_equal(fault_disarm(NULL), 0);
		model_insert(m, start, start, &cookie[1]);
	}
	imap_check(&map);
	model_compare(m, &map);
	imap_finish(&map);
	free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(imap__empty__finds_nothing),
		cmocka_unit_test(imap__ends_of_the_space__found),
		cmocka_unit_test(imap_insert__whole_space__one_entry),
		cmocka_unit_test(imap_set_value__start__replaced),
		cmocka_unit_test(imap_next__map_changed__goes_on_behind),
		cmocka_unit_test(imap__random__as_a_sorted_array),
		cmocka_unit_test(imap__orders_of_filling_and_draining__checked),
		cmocka_unit_test(imap_erase__all_but_few__nodes_are_given_back),
		cmocka_unit_test(imap_insert__each_fault__enomem_unchanged),
		cmocka_unit_test(imap_reserve__then_insert__cannot_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
