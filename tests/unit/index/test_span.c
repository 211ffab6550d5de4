// SPDX-License-Identifier: MIT
/* Do spans cut a range as a look at every single address would? */
#include "rng.h"

#include <string.h>

#include "base/bits.h"
#include "index/span.h"

static void put(struct itree *t, struct itree_node *n, uint64_t start, uint64_t last)
{
	n->start = start;
	n->last = last;
	itree_insert(t, n);
}

static void assert_span(const struct span *s, uint64_t start, uint64_t last, bool used)
{
	assert_false(s->done);
	assert_int_equal(s->start, start);
	assert_int_equal(s->last, last);
	assert_int_equal(s->used, used);
}

static void span__empty_tree__one_hole(void **state)
{
	struct itree t = ITREE_INIT;
	struct span s;

	(void)state;
	span_first(&s, &t, 0, UINT64_MAX);
	assert_span(&s, 0, UINT64_MAX, false);
	span_next(&s);
	assert_true(s.done);
	assert_false(span_covered(&t, 0, 0));
}

static void span__whole_space_used__one_span(void **state)
{
	struct itree t = ITREE_INIT;
	struct itree_node n;
	struct span s;

	(void)state;
	put(&t, &n, 0, UINT64_MAX);
	span_first(&s, &t, 0, UINT64_MAX);
	assert_span(&s, 0, UINT64_MAX, true);
	span_next(&s);
	assert_true(s.done);
	assert_true(span_covered(&t, 0, UINT64_MAX));
}

static void span__adjoining_and_overlapping__merged(void **state)
{
	struct itree t = ITREE_INIT;
	struct itree_node n[5];
	struct span s;

	(void)state;
	put(&t, &n[0], 10, 19);
	put(&t, &n[1], 20, 29); /* adjoins */
	put(&t, &n[2], 12, 15); /* within */
	put(&t, &n[3], 25, 40); /* overlaps */
	put(&t, &n[4], UINT64_MAX, UINT64_MAX);
	span_first(&s, &t, 0, UINT64_MAX);
	assert_span(&s, 0, 9, false);
	span_next(&s);
	assert_span(&s, 10, 40, true);
	span_next(&s);
	assert_span(&s, 41, UINT64_MAX - 1, false);
	span_next(&s);
	assert_span(&s, UINT64_MAX, UINT64_MAX, true);
	span_next(&s);
	assert_true(s.done);
	assert_true(span_covered(&t, 10, 40));
	assert_true(span_covered(&t, 39, 40));
	assert_false(span_covered(&t, 10, 41));
	assert_false(span_covered(&t, 9, 10));
}

static void span__range_within_a_node__clipped(void **state)
{
	struct itree t = ITREE_INIT;
	struct itree_node n;
	struct span s;

	(void)state;
	put(&t, &n, 10, 19);
	span_first(&s, &t, 12, 12);
	assert_span(&s, 12, 12, true);
	span_next(&s);
	assert_true(s.done);
	span_first(&s, &t, 15, 25);
	assert_span(&s, 15, 19, true);
	span_next(&s);
	assert_span(&s, 20, 25, false);
	span_next(&s);
	assert_true(s.done);
}

static void span_refresh__tree_changed_ahead__sees_it(void **state)
{
	struct itree t = ITREE_INIT;
	struct itree_node n[2];
	struct span s;

	(void)state;
	put(&t, &n[0], 50, 59);
	span_first(&s, &t, 0, 99);
	assert_span(&s, 0, 49, false);
	itree_remove(&t, &n[0]);
	put(&t, &n[1], 70, 79);
	span_refresh(&s);
	span_next(&s);
	assert_span(&s, 50, 69, false);
	span_next(&s);
	assert_span(&s, 70, 79, true);
	span_next(&s);
	assert_span(&s, 80, 99, false);
	span_refresh(&s);
	span_next(&s);
	assert_true(s.done);
}

static void span2_refresh__tree_changed_ahead__sees_it(void **state)
{
	struct itree a = ITREE_INIT, b = ITREE_INIT;
	struct itree_node n[3];
	struct span2 s;

	(void)state;
	put(&a, &n[0], 10, 19);
	put(&b, &n[1], 15, 29);
	span2_first(&s, &a, &b, 0, 99);
	assert_int_equal(s.kind, SPAN_HOLE);
	assert_int_equal(s.last, 9);
	itree_remove(&a, &n[0]);
	put(&b, &n[2], 10, 11);
	span2_refresh(&s);
	span2_next(&s);
	assert_int_equal(s.kind, SPAN_B);
	assert_int_equal(s.start, 10);
	assert_int_equal(s.last, 11);
	span2_next(&s);
	assert_int_equal(s.kind, SPAN_HOLE);
	assert_int_equal(s.last, 14);
	span2_next(&s);
	assert_int_equal(s.kind, SPAN_B);
	assert_int_equal(s.last, 29);
}

#define SPACE 120u
#define NODES 12u

struct model {
	struct itree t[2];
	struct itree_node node[2][NODES];
	bool covered[2][SPACE];
	uint64_t base;
};

static void fill(struct model *m, uint64_t base)
{
	memset(m, 0, sizeof(*m));
	m->base = base;
	for (unsigned w = 0; w < 2; w++) {
		unsigned n = (unsigned)rng_below(NODES + 1);

		for (unsigned i = 0; i < n; i++) {
			uint64_t start = rng_below(SPACE);
			uint64_t last =
				min_u64(SPACE - 1, start + rng_below(rng_below(9) ? 12 : 90));

			put(&m->t[w], &m->node[w][i], base + start, base + last);
			for (uint64_t at = start; at <= last; at++)
				m->covered[w][at] = true;
		}
	}
}

static unsigned kind_of(const struct model *m, uint64_t at)
{
	return m->covered[0][at - m->base]   ? SPAN_A
	       : m->covered[1][at - m->base] ? SPAN_B
					     : SPAN_HOLE;
}

static void compare(struct model *m, uint64_t start, uint64_t last)
{
	uint64_t at = start;
	struct span2 two;
	struct span one;

	span_for_each(&one, &m->t[0], start, last) {
		assert_int_equal(one.start, at);
		assert_true(one.last >= at && one.last <= last);
		for (; at != one.last; at++)
			assert_int_equal(m->covered[0][at - m->base], one.used);
		assert_int_equal(m->covered[0][at - m->base], one.used);
		if (at != last)
			assert_int_not_equal(m->covered[0][at + 1 - m->base], one.used);
		at++;
	}
	assert_int_equal(at, last + 1);
	at = start;
	span2_for_each(&two, &m->t[0], &m->t[1], start, last)
	{
		assert_int_equal(two.start, at);
		assert_true(two.last >= at && two.last <= last);
		for (; at != two.last; at++)
			assert_int_equal(kind_of(m, at), two.kind);
		assert_int_equal(kind_of(m, at), two.kind);
		if (at != last)
			assert_int_not_equal(kind_of(m, at + 1), two.kind);
		at++;
	}
	assert_int_equal(at, last + 1);
}

static void span__random__as_address_by_address(void **state)
{
	struct model *m = malloc(sizeof(*m));

	(void)state;
	rng_start("span");
	for (unsigned round = 0; round < 3000; round++) {
		fill(m, round % 3 == 0 ? 0 : round % 3 == 1 ? 0ull - SPACE : 1000);
		compare(m, m->base, m->base + SPACE - 1);
		for (unsigned i = 0; i < 5; i++) {
			uint64_t start = rng_below(SPACE), last = start + rng_below(SPACE - start);

			compare(m, m->base + start, m->base + last);
		}
	}
	free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(span__empty_tree__one_hole),
		cmocka_unit_test(span__whole_space_used__one_span),
		cmocka_unit_test(span__adjoining_and_overlapping__merged),
		cmocka_unit_test(span__range_within_a_node__clipped),
		cmocka_unit_test(span_refresh__tree_changed_ahead__sees_it),
		cmocka_unit_test(span2_refresh__tree_changed_ahead__sees_it),
		cmocka_unit_test(span__random__as_address_by_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
