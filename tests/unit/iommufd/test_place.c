// SPDX-License-Identifier: MIT
/*
 * Automatic IOVA: is the choice the documented one?
 *
 * The model keeps a flat list of intervals and follows the rule step by step, as slow as it likes.
 */
#include "kit.h"

#include <stdlib.h>

#include "iommufd/ioas.h"

#define P   PAGE_SIZE
#define CAP (2 * MIB)
#define B   0x7f0000000000ull /* an address with 2 MiB alignment and more */

struct fixture_case {
	uint64_t addr, len, want;
};

/* Worked values of the documentation, each in an empty IOAS. */
static void choose__worked_values(void **state)
{
	static const struct fixture_case cases[] = {
		{ B, P, P },           { B, 5 * P, 0x8000 },
		{ B + P, 2 * MIB, P }, { B, 2 * MIB, 2 * MIB },
		{ B, GIB, 2 * MIB },   { B + 0x800, P, 0x1800 },
		{ 0, 0x3000, 0x4000 }, { B, 1, P },
		{ B + 1, 1, P | 1 },
	};
	struct kit *k = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint32_t ioas = kit_ioas(k);
		uint64_t iova = 5; /* ignored */

		expect_rc(
			kit_map(k, ioas, RW, (void *)(uintptr_t)cases[i].addr, cases[i].len, &iova),
			0);
		assert_true(iova == cases[i].want);
		expect_rc(kit_destroy(k, ioas), 0);
	}
}

static void choose__again_and_after_unmap__lowest_first(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	uint64_t iova;

	for (uint64_t i = 1; i <= 20; i++) {
		iova = 0;
		expect_rc(kit_map(k, ioas, RW, (void *)B, P, &iova), 0);
		assert_int_equal(iova, i * P);
	}
	expect_rc(kit_unmap(k, ioas, 7 * P, P, &iova), 0);
	expect_rc(kit_map(k, ioas, RW, (void *)B, P, &iova), 0);
	assert_int_equal(iova, 7 * P);
	expect_rc(kit_map(k, ioas, RW, (void *)B, 2 * P, &iova), 0);
	assert_int_equal(iova, 22 * P);
}

static void choose__no_room__enospc(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	uint64_t iova = 0;

	/* A hole of exactly two pages, and none else in the window. */
	expect_rc(kit_map_at(k, ioas, 0, NULL, 0x10000), 0);
	expect_rc(kit_map_at(k, ioas, 0x12000, NULL, MAX - P - 0x12000), 0);
	expect_rc(kit_map_at(k, ioas, MAX - P, NULL, 1), 0);
	expect_rc(kit_map(k, ioas, RW, (void *)B, 2 * P + 1, &iova), -ENOSPC);
	expect_rc(kit_map(k, ioas, RW, (void *)B, 2 * P, &iova), 0);
	assert_int_equal(iova, 0x10000);
	expect_rc(kit_map(k, ioas, RW, (void *)B, 1, &iova), -ENOSPC);
	/* The last byte of a gap is never used, even for one byte. */
	expect_rc(kit_unmap(k, ioas, 0x10000, 2 * P, &iova), 0);
	expect_rc(kit_map_at(k, ioas, 0x10001, NULL, 0x1fff), 0);
	expect_rc(kit_map(k, ioas, RW, (void *)B, 1, &iova), -ENOSPC);
	kit_check(k, 0);
}

/* ---- the model ------------------------------------------------------------------------------ */

#define MODEL_MAX 400

struct range {
	uint64_t start, last;
};

struct model {
	struct range area[MODEL_MAX], resv[8], allow[8];
	unsigned n, nresv, nallow;
	uint64_t align;
};

static int by_start(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static bool model_place(uint64_t lo, uint64_t hi, uint64_t align, uint64_t off, uint64_t len,
			uint64_t *p)
{
	if (lo > MAX - (align - 1))
		return false;
	*p = ((lo + align - 1) & ~(align - 1)) | off;
	return *p < hi && hi - *p >= len - 1;
}

/* Gaps of areas and reserved in [s, e] by walking a sorted list of both. */
static bool model_run(const struct model *m, uint64_t s, uint64_t e, uint64_t align, uint64_t off,
		      uint64_t len, uint64_t *out)
{
	struct range all[MODEL_MAX + 8];
	unsigned n = 0;
	uint64_t at;

	if (!model_place(s, e, align, off, len, &at))
		return false;
	for (unsigned i = 0; i < m->n; i++)
		all[n++] = m->area[i];
	for (unsigned i = 0; i < m->nresv; i++)
		all[n++] = m->resv[i];
	qsort(all, n, sizeof(all[0]), by_start);
	for (unsigned i = 0; i < n; i++) {
		if (all[i].last < at)
			continue;
		if (all[i].start > e)
			break;
		if (all[i].start > at && model_place(at, all[i].start - 1, align, off, len, out))
			return true;
		if (all[i].last == MAX)
			return false;
		at = all[i].last + 1;
	}
	return at <= e && model_place(at, e, align, off, len, out);
}

static int model_choose(const struct model *m, uint64_t addr, uint64_t len, uint64_t *out)
{
	uint64_t align = 1, off = addr % P;

	if (len % m->align || !len)
		return -EINVAL;
	if (len >= MAX / 2)
		return -EOVERFLOW;
	while (align < len)
		align *= 2;
	if (addr && (addr & -addr) < align)
		align = addr & -addr;
	if (align > CAP)
		align = CAP;
	if (align < m->align)
		return -EINVAL;
	if (!m->nallow && model_run(m, P, MAX - P, align, off, len, out))
		return 0;
	for (unsigned i = 0; i < m->nallow; i++) {
		uint64_t s = max_u64(m->allow[i].start, P), e = m->allow[i].last;

		/* ranges that touch are one run */
		while (i + 1 < m->nallow && m->allow[i + 1].start == e + 1)
			e = m->allow[++i].last;
		e = min_u64(e, MAX - P);
		if (s <= e && model_run(m, s, e, align, off, len, out))
			return 0;
	}
	return -ENOSPC;
}

static uint64_t seed = 1;

static uint64_t rnd(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

static void model_remove(struct model *m, unsigned i)
{
	m->area[i] = m->area[--m->n];
}

static void one_step(struct kit *k, struct model *m, uint32_t ioas)
{
	uint64_t len, addr, iova = 0, want = 0;
	int rc, got;

	if (m->n == MODEL_MAX || (m->n && rnd(5) < 2)) {
		unsigned i = (unsigned)rnd(m->n);
		struct range r = m->area[i];

		expect_rc(kit_unmap(k, ioas, r.start, r.last - r.start + 1, &len), 0);
		assert_int_equal(len, r.last - r.start + 1);
		model_remove(m, i);
		return;
	}
	len = (1 + rnd(16)) << rnd(14);
	if (rnd(2))
		len = (len + P - 1) & ~(P - 1);
	addr = rnd(8) ? B + (rnd(64) << rnd(22)) : 0;
	rc = model_choose(m, addr, len, &want);
	got = kit_map(k, ioas, RW, (void *)(uintptr_t)addr, len, &iova);
	assert_int_equal(got, rc);
	if (rc)
		return;
	assert_true(iova == want);
	m->area[m->n++] = (struct range){ iova, iova + len - 1 };
}

/* Reserved and allowed as a client's device and ALLOW_IOVAS would make them. */
static void put_reserved(struct iopt *t, struct model *m, uint64_t start, uint64_t last)
{
	rwl_wrlock(&t->iova_lock);
	expect_rc(iova_reserve_locked(t,
				      &(struct resv_node){
					      .node = { .start = start, .last = last },
					      .owner = m,
					      .what = "a test's",
					      .who = "",
				      }),
		  0);
	rwl_wrunlock(&t->iova_lock);
	m->resv[m->nresv++] = (struct range){ start, last };
}

static void random_steps(struct kit *k, bool reserved, bool allowed)
{
	uint32_t ioas = kit_ioas(k);
	struct itree_node nodes[3];
	struct model *m = mem_zalloc(sizeof(*m));
	struct ioas *io;
	struct iopt *t;

	assert_non_null(m);
	m->align = 1;
	expect_rc(ioas_get(k->ctx, ioas, &io), 0);
	t = &io->iopt;
	if (reserved) {
		put_reserved(t, m, 0x3000, 0x4fff);
		put_reserved(t, m, 0x4000, 0x7fff); /* overlaps */
		put_reserved(t, m, 0x8000, 0x80ff); /* adjoins, ends within a page */
		put_reserved(t, m, 0x210000, 0x2fffff);
		put_reserved(t, m, 0x4000000, MAX);
	}
	if (allowed) {
		static const struct range r[] = { { 0x9000, 0x1ffff },
						  { 0x20000, 0x20fff },
						  { 0x400000, 0x13fffff } };

		for (size_t i = 0; i < ARRAY_LEN(r); i++) {
			nodes[i].start = r[i].start;
			nodes[i].last = r[i].last;
			itree_insert(&t->allowed, &nodes[i]);
			m->allow[m->nallow++] = r[i];
		}
	}
	for (unsigned i = 0; i < 3000; i++) {
		one_step(k, m, ioas);
		if (i % 500 == 0)
			iommufd_ctx_check(k->ctx);
	}
	assert_int_equal(kit_areas(k, ioas), m->n);
	iommufd_ctx_check(k->ctx);
	if (allowed)
		for (size_t i = 0; i < ARRAY_LEN(nodes); i++)
			itree_remove(&t->allowed, &nodes[i]);
	iopt_unreserve(t, m);
	object_put(&io->obj);
	mem_free(m);
}

static void choose__random__as_the_model(void **state)
{
	random_steps(*state, false, false);
}

static void choose__random_with_reserved__as_the_model(void **state)
{
	random_steps(*state, true, false);
}

static void choose__random_with_allowed__as_the_model(void **state)
{
	random_steps(*state, true, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(choose__worked_values),
		KIT_TEST(choose__again_and_after_unmap__lowest_first),
		KIT_TEST(choose__no_room__enospc),
		KIT_TEST(choose__random__as_the_model),
		KIT_TEST(choose__random_with_reserved__as_the_model),
		KIT_TEST(choose__random_with_allowed__as_the_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
