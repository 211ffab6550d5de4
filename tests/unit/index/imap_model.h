/* SPDX-License-Identifier: MIT */
/* A slow, obvious interval map: a sorted array. What should an imap hold and answer? */
#ifndef TESTS_UNIT_INDEX_IMAP_MODEL_H
#define TESTS_UNIT_INDEX_IMAP_MODEL_H

#include "rng.h"

#include <string.h>

#include "index/imap.h"

#define MODEL_MAX 30000u

struct model {
	unsigned n;
	struct {
		uint64_t start, last;
		void *value;
	} e[MODEL_MAX];
};

/* The first entry that ends at or above @at. */
static inline unsigned model_at(const struct model *m, uint64_t at)
{
	unsigned lo = 0, hi = m->n;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (m->e[mid].last < at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static inline bool model_meets(const struct model *m, uint64_t start, uint64_t last)
{
	unsigned i = model_at(m, start);

	return i < m->n && m->e[i].start <= last;
}

static inline void model_insert(struct model *m, uint64_t start, uint64_t last, void *value)
{
	unsigned i = model_at(m, start);

	assert_true(m->n < MODEL_MAX);
	memmove(&m->e[i + 1], &m->e[i], (m->n++ - i) * sizeof(m->e[0]));
	m->e[i].start = start;
	m->e[i].last = last;
	m->e[i].value = value;
}

static inline void model_erase(struct model *m, unsigned i)
{
	memmove(&m->e[i], &m->e[i + 1], (--m->n - i) * sizeof(m->e[0]));
}

/* The map holds what the model holds, in order. */
static inline void model_compare(const struct model *m, const struct imap *map)
{
	struct imap_entry e;
	unsigned i = 0;

	assert_int_equal(map->count, m->n);
	imap_for_each(&e, map, 0, UINT64_MAX) {
		assert_true(i < m->n);
		assert_true(e.start == m->e[i].start && e.last == m->e[i].last &&
			    e.value == m->e[i].value);
		i++;
	}
	assert_int_equal(i, m->n);
}

/* One gap by the rule of struct imap_gap_req, word for word. */
static inline bool model_place(const struct imap_gap_req *r, uint64_t g0, uint64_t g1,
			       uint64_t *out)
{
	uint64_t p;

	if (g0 < r->lo)
		g0 = r->lo;
	if (g1 > r->hi)
		g1 = r->hi;
	if (g0 > g1)
		return false;
	p = g0 % r->align ? g0 - g0 % r->align + r->align : g0;
	if (p < g0)
		return false;
	p |= r->off;
	if (p >= g1 || g1 - p < r->len - 1)
		return false;
	*out = p;
	return true;
}

static inline bool model_find_gap(const struct model *m, const struct imap_gap_req *r,
				  uint64_t *out)
{
	uint64_t g0 = 0;

	for (unsigned i = 0; i < m->n; i++) {
		if (m->e[i].start > g0 && model_place(r, g0, m->e[i].start - 1, out))
			return true;
		if (m->e[i].last == UINT64_MAX)
			return false;
		g0 = m->e[i].last + 1;
	}
	return model_place(r, g0, UINT64_MAX, out);
}

#endif
