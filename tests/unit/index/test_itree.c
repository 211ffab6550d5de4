// SPDX-License-Identifier: MIT
/* Does the interval tree find what a plain list finds? */
#include "rng.h"

#include "index/itree.h"

#include "base/bits.h"

static struct itree_node node_of(uint64_t start, uint64_t last)
{
	return (struct itree_node){ .start = start, .last = last };
}

static void itree_first__empty__null(void **state)
{
	struct itree t = ITREE_INIT;

	(void)state;
	assert_true(itree_empty(&t));
	assert_null(itree_first(&t, 0, UINT64_MAX));
	itree_check(&t);
}

static void itree_first__bounds__touching_only(void **state)
{
	struct itree t = ITREE_INIT;
	struct itree_node n = node_of(10, 20);

	(void)state;
	itree_insert(&t, &n);
	assert_null(itree_first(&t, 0, 9));
	assert_ptr_equal(itree_first(&t, 0, 10), &n);
	assert_ptr_equal(itree_first(&t, 20, 20), &n);
	assert_null(itree_first(&t, 21, UINT64_MAX));
	assert_null(itree_next(&n, 0, UINT64_MAX));
	itree_remove(&t, &n);
	assert_true(itree_empty(&t));
}

static void itree_first__ends_of_the_space__found(void **state)
{
	struct itree t = ITREE_INIT;
	struct itree_node all = node_of(0, UINT64_MAX), top = node_of(UINT64_MAX, UINT64_MAX),
			  zero = node_of(0, 0);

	(void)state;
	itree_insert(&t, &top);
	itree_insert(&t, &zero);
	itree_check(&t);
	assert_ptr_equal(itree_first(&t, 0, UINT64_MAX), &zero);
	assert_ptr_equal(itree_next(&zero, 0, UINT64_MAX), &top);
	assert_ptr_equal(itree_first(&t, UINT64_MAX, UINT64_MAX), &top);
	assert_null(itree_first(&t, 1, UINT64_MAX - 1));
	itree_insert(&t, &all);
	itree_check(&t);
	assert_ptr_equal(itree_first(&t, 1, UINT64_MAX - 1), &all);
	assert_null(itree_next(&all, 1, UINT64_MAX - 1));
}

static void itree_insert__equal_intervals__all_visited_once(void **state)
{
	struct itree t = ITREE_INIT;
	struct itree_node n[20];
	unsigned seen = 0;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(n); i++) {
		n[i] = node_of(5, 5 + i % 3);
		itree_insert(&t, &n[i]);
		itree_check(&t);
	}
	itree_for_each(pos, &t, 5, 5)
		seen |= 1u << (pos - n);
	assert_int_equal(seen, (1u << ARRAY_LEN(n)) - 1);
	seen = 0;
	itree_for_each(pos, &t, 7, 9)
		seen++;
	assert_int_equal(seen, 6);
}

static void itree_insert__ascending__balanced(void **state)
{
	struct itree t = ITREE_INIT;
	struct itree_node *n = calloc(1000, sizeof(*n));

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		n[i] = node_of(i * 10, i * 10 + 9);
		itree_insert(&t, &n[i]);
	}
	itree_check(&t);
	assert_true(t.root->height <= 14); /* 1.44 log2(1000) */
	for (unsigned i = 0; i < 1000; i += 2)
		itree_remove(&t, &n[i]);
	itree_check(&t);
	assert_ptr_equal(itree_first(&t, 0, UINT64_MAX), &n[1]);
	free(n);
}

#define NODES 200u

struct model {
	struct itree tree;
	struct itree_node node[NODES];
	bool in[NODES];
};

/* Visits [start, last] and compares with the nodes that are in. */
static void compare(struct model *m, uint64_t start, uint64_t last)
{
	bool seen[NODES] = { false };
	uint64_t prev = 0;

	itree_for_each(pos, &m->tree, start, last) {
		assert_true(pos->start >= prev);
		prev = pos->start;
		assert_false(seen[pos - m->node]);
		seen[pos - m->node] = true;
	}
	for (unsigned i = 0; i < NODES; i++)
		assert_int_equal(seen[i], m->in[i] && ranges_meet(m->node[i].start, m->node[i].last,
								  start, last));
}

static void random_range(uint64_t span, uint64_t base, uint64_t *start, uint64_t *last)
{
	*start = rng_below(span);
	*last = *start + rng_below(rng_below(4) ? 10 : span);
	if (*last > span - 1 || rng_below(40) == 0)
		*last = span - 1;
	*start += base;
	*last += base;
}

static void itree__random__as_a_list(void **state)
{
	struct model *m = calloc(1, sizeof(*m));

	(void)state;
	rng_start("itree");
	for (unsigned round = 0; round < 6; round++) {
		uint64_t span = round % 3 == 0 ? 50 : 2000, base = round & 1 ? 0 - span : 0;

		for (unsigned step = 0; step < 3000; step++) {
			unsigned i = (unsigned)rng_below(NODES);
			uint64_t start, last;

			if (m->in[i]) {
				itree_remove(&m->tree, &m->node[i]);
			} else {
				random_range(span, base, &start, &last);
				m->node[i] = node_of(start, last);
				itree_insert(&m->tree, &m->node[i]);
			}
			m->in[i] = !m->in[i];
			itree_check(&m->tree);
			if (step % 4)
				continue;
			random_range(span, base, &start, &last);
			compare(m, start, last);
		}
		for (unsigned i = 0; i < NODES; i++) {
			if (m->in[i])
				itree_remove(&m->tree, &m->node[i]);
			m->in[i] = false;
			itree_check(&m->tree);
		}
		assert_true(itree_empty(&m->tree));
	}
	free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(itree_first__empty__null),
		cmocka_unit_test(itree_first__bounds__touching_only),
		cmocka_unit_test(itree_first__ends_of_the_space__found),
		cmocka_unit_test(itree_insert__equal_intervals__all_visited_once),
		cmocka_unit_test(itree_insert__ascending__balanced),
		cmocka_unit_test(itree__random__as_a_list),
	};

	_Static_assert(sizeof(struct itree_node) <= 56, "nodes are embedded by the million");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
