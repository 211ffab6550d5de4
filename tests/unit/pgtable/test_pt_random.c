// SPDX-License-Identifier: MIT
/*
 * Does a table do what the obvious model does, whatever the order of calls?
 *
 * PT_SEED and PT_OPS in the environment choose the sequence; the seed is printed on failure.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "../../model/pgtable_model.h"
#include "base/bits.h"
#include "base/why.h"
#include "fmt_odd.h"
#include "pgtable/fmt_vtdss.h"
#include "pgtable/pt.h"
#include "table_arena.h"

struct run {
	struct table_arena arena;
	struct pt pt;
	struct model m;
	uint64_t rng;
	uint64_t seed, op;
	uint64_t first, last; /* window */
	uint64_t granule, large, huge;
	uint8_t *dirty; /* of the entry that each granule is in */
	uint8_t *told;
	uint64_t end; /* of what was told of last, +1; 0: nothing */
};

static uint64_t rnd(struct run *r)
{
	r->rng ^= r->rng << 13;
	r->rng ^= r->rng >> 7;
	r->rng ^= r->rng << 17;
	return r->rng;
}

static uint64_t below(struct run *r, uint64_t n)
{
	return rnd(r) % n;
}

#define check(r, cond)                                                                      \
	do {                                                                                \
		if (!(cond)) {                                                              \
			fail_msg("seed %llu, call %llu: %s", (unsigned long long)(r)->seed, \
				 (unsigned long long)(r)->op, #cond);                       \
		}                                                                           \
	} while (0)

/* A place in the window, often at or next to a multiple of a large page. */
static uint64_t some_iova(struct run *r)
{
	uint64_t v = r->first + align_down(below(r, r->last - r->first + 1), r->granule);

	switch (below(r, 5)) {
	case 0:
		v = align_down(v, r->huge);
		break;
	case 1:
	case 2:
		v = align_down(v, r->large);
		break;
	case 3:
		v = align_down(v, r->large) - r->granule * below(r, 4);
		break;
	default:
		break;
	}
	return v < r->first || v > r->last ? r->first : v;
}

static uint64_t some_len(struct run *r, uint64_t iova)
{
	const uint64_t unit[] = { r->granule, r->granule, r->granule, r->large, r->large, r->huge };
	uint64_t len = unit[below(r, ARRAY_LEN(unit))] * (1 + below(r, 3));

	if (below(r, 3) == 0)
		len += r->granule * below(r, 600);
	return min_u64(len, r->last - iova + 1);
}

static void compare_at(struct run *r, uint64_t iova)
{
	const struct model_page *p = model_at(&r->m, iova);
	struct pt_walk_result w;
	int rc = pt_walk(&r->pt, iova, &w);

	if (!p->lg2) {
		check(r, rc == -ENOENT && w.why == PT_NOT_PRESENT);
		return;
	}
	check(r, rc == 0);
	check(r, w.pa == p->pa + (iova & (r->granule - 1)));
	check(r, w.prot == (p->prot & 3u));
	check(r, w.size_lg2 == p->lg2);
}

struct sum {
	struct run *r;
	uint64_t bytes;
};

static int compare_leaf(void *arg, const struct pt_leaf *leaf)
{
	struct sum *s = arg;
	const struct model_page *p = model_at(&s->r->m, leaf->iova);

	check(s->r, p->lg2 == leaf->size_lg2 && p->start == leaf->iova && p->pa == leaf->pa);
	check(s->r, (p->prot & 3u) == (leaf->prot & 3u));
	s->bytes += 1ull << leaf->size_lg2;
	return 0;
}

static void compare_all(struct run *r)
{
	struct sum s = { r, 0 };
	uint64_t bytes = 0;

	check(r, pt_check(&r->pt) == 0);
	pt_for_each_leaf(&r->pt, 0, UINT64_MAX, compare_leaf, &s);
	for (uint64_t i = 0; i < r->m.n; i++)
		bytes += r->m.page[i].lg2 ? r->granule : 0;
	check(r, s.bytes == bytes);
}

/* An entry is dirty from a write to it on, until it is read whole. */
static void model_dirty(struct run *r, uint64_t iova, bool dirty)
{
	const struct model_page *p = model_at(&r->m, iova);
	uint64_t i = (p->start - r->m.base) / r->granule;

	memset(r->dirty + i, dirty, (1ull << p->lg2) / r->granule);
}

/* What is not mapped is not dirty, and will not be when it is mapped. */
static void forget_unmapped(struct run *r, uint64_t iova, uint64_t len)
{
	uint64_t first = (iova - r->m.base) / r->granule;
	/* the last one may reach out of the range, by what the largest page has */
	uint64_t page = 1ull << min_u64(highest_bit(r->pt.pgsizes), 31);
	uint64_t n = min_u64((len + page) / r->granule, r->m.n - first);

	for (uint64_t i = first; i < first + n; i++)
		if (!r->m.page[i].lg2)
			r->dirty[i] = 0;
}

static void step_map(struct run *r)
{
	uint64_t iova = some_iova(r), len = some_len(r, iova);
	/* outputs that agree with the IOVA in their low bits, so that large pages form */
	uint64_t pa = (iova & ((1ull << 48) - 1)) + (4 + below(r, 3)) * GIB;
	unsigned prot = 1 + (unsigned)below(r, 3);
	bool small = below(r, 8) == 0;
	uint64_t sum;
	struct pt_gather g;
	int rc, want;

	if (below(r, 4) == 0)
		pa += r->granule * below(r, 1024);
	pt_gather_init(&g);
	want = model_map(&r->m, iova, pa, len, prot, small);
	sum = want ? table_arena_sum(&r->arena) : 0;
	rc = pt_map(&r->pt, iova, pa, len, prot | (small ? PT_SMALL : 0), &g);
	check(r, rc == want);
	if (want)
		check(r, table_arena_sum(&r->arena) == sum && !g.ntables);
	pt_gather_free(&r->pt, &g);
	compare_at(r, iova);
	compare_at(r, iova + len - 1);
}

static void step_unmap(struct run *r)
{
	uint64_t iova = some_iova(r), len = some_len(r, iova), n;
	struct pt_gather g;

	/* maps pile up, so unmaps take more at a time */
	len = below(r, 16) ? min_u64(len << below(r, 7), r->last - iova + 1) : r->last - iova + 1;
	pt_gather_init(&g);
	n = model_unmap(&r->m, iova, len);
	forget_unmapped(r, iova, len);
	check(r, pt_unmap(&r->pt, iova, len, &g) == n);
	check(r, !n || (g.first <= iova && g.last >= iova + len - 1));
	compare_at(r, iova);
	compare_at(r, iova + len - 1);
	pt_gather_free(&r->pt, &g);
}

static void step_access(struct run *r)
{
	for (unsigned n = 1 + (unsigned)below(r, 64); n--;) {
		uint64_t iova = some_iova(r) + below(r, r->granule);
		bool write = below(r, 2);
		struct pt_walk_result w, again;
		unsigned rights;

		if (pt_walk(&r->pt, iova, &w) || (write && !(w.prot & PT_WRITE)))
			continue;
		rights = pt_access(&r->pt, iova, write, &w);
		check(r, rights & PT_READ);
		check(r, !write || rights & PT_WRITE);
		check(r, pt_walk(&r->pt, iova, &again) == 0 && again.entry == w.entry);
		check(r, again.pa == w.pa && again.prot == w.prot && again.size_lg2 == w.size_lg2);
		if (write)
			model_dirty(r, iova, true);
	}
}

static void told(void *arg, uint64_t first, uint64_t last)
{
	struct run *r = arg;
	uint64_t i = (first - r->m.base) / r->granule;

	check(r, !r->end || first > r->end); /* in order, and joined */
	check(r, !(first & (r->granule - 1)) && !((last + 1) & (r->granule - 1)) && last >= first);
	r->end = last + 1;
	memset(r->told + i, 1, (last - first + 1) / r->granule);
}

static void step_dirty(struct run *r)
{
	uint64_t iova = some_iova(r), len = some_len(r, iova), bytes = 0, n;
	bool clear = below(r, 4), whole = below(r, 16) == 0;

	if (whole) {
		iova = r->first;
		len = r->last - r->first + 1;
	}
	r->end = 0;
	n = pt_dirty_read(&r->pt, iova, len, clear ? 0 : PT_DIRTY_NO_CLEAR, told, r);
	for (uint64_t at = iova; at < iova + len; at += r->granule) {
		uint64_t i = (at - r->m.base) / r->granule;
		const struct model_page *p = &r->m.page[i];

		bytes += r->dirty[i] ? r->granule : 0;
		check(r, r->told[i] == (r->dirty[i] != 0));
		r->told[i] = 0;
		if (clear && r->dirty[i] && p->start >= iova &&
		    p->start + (1ull << p->lg2) <= iova + len && at == p->start) {
			/* what is told of below stays to be compared */
			memset(r->dirty + i + 1, 2, (1ull << p->lg2) / r->granule - 1);
			r->dirty[i] = 0;
		} else if (r->dirty[i] == 2) {
			r->dirty[i] = 0;
		}
	}
	check(r, n == bytes);
}

static void play(struct run *r, const struct pt_format *format, struct pt_config *c, uint64_t base)
{
	const char *seed = getenv("PT_SEED"), *ops = getenv("PT_OPS");
	const uint64_t len = 2 * GIB + 16 * MIB;
	uint64_t n = ops ? strtoull(ops, NULL, 0) : BUILT_WITH_ASAN || BUILT_WITH_TSAN ? 500 : 1500;
	struct pt_gather g;

	r->seed = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL);
	assert_int_equal(pt_init_format(&r->pt, format, c), 0);
	r->granule = 1ull << pt_granule_lg2(&r->pt);
	assert_true(model_init(&r->m, base, len + 2 * GIB, pt_granule_lg2(&r->pt), r->pt.pgsizes));
	r->dirty = calloc(r->m.n, 1);
	r->told = calloc(r->m.n, 1);
	assert_true(r->dirty && r->told);
	r->first = base;
	r->last = base + len - 1;
	r->rng = r->seed * 0x9e3779b97f4a7c15ull | 1;
	for (r->op = 0; r->op < n; r->op++) {
		if (below(r, 5) < 3)
			step_map(r);
		else
			step_unmap(r);
		step_access(r);
		if (below(r, 4) == 0)
			step_dirty(r);
		for (unsigned i = 0; i < 8; i++)
			compare_at(r, r->first + below(r, len));
		if (r->op % 256 == 0)
			compare_all(r);
	}
	compare_all(r);
	pt_gather_init(&g);
	pt_unmap(&r->pt, r->first >> 63 ? -(1ull << (r->pt.width - 1)) : 0,
		 format->fmt->sign_extend ? 1ull << (r->pt.width - 1) : 1ull << r->pt.width, &g);
	pt_gather_free(&r->pt, &g);
	check(r, r->arena.out == 1);
	pt_destroy(&r->pt);
	check(r, r->arena.out == 0 && r->arena.dirty == 0);
	model_finish(&r->m);
	free(r->dirty);
	free(r->told);
	table_arena_finish(&r->arena);
}

static void sequence(unsigned levels, uint64_t base, bool biased, uint64_t sizes)
{
	struct run r = { .large = 2 * MIB, .huge = GIB };
	struct pt_config c;

	table_arena_init(&r.arena);
	c = table_arena_config(&r.arena, levels, biased);
	c.pgsizes = sizes;
	play(&r, pt_format_find("vtd"), &c, base);
}

static void odd_sequence(uint64_t base)
{
	struct run r = { .large = 32 * MIB, .huge = 512 * MIB };
	struct pt_config c;

	table_arena_init(&r.arena);
	r.arena.table_bytes = 16384;
	c = table_arena_config(&r.arena, 3, true);
	play(&r, &odd_format, &c, base);
}

#define ALL_SIZES (1ull << 12 | 1ull << 21 | 1ull << 30)

static void any_sequence__4_levels_across_512g__as_the_model(void **state)
{
	(void)state;
	sequence(4, 511 * GIB - 8 * MIB, true, ALL_SIZES);
}

static void any_sequence__3_levels_by_callback__as_the_model(void **state)
{
	(void)state;
	sequence(3, 0, false, ALL_SIZES);
}

static void any_sequence__5_levels_across_256t__as_the_model(void **state)
{
	(void)state;
	sequence(5, (1ull << 48) - GIB, true, ALL_SIZES);
}

static void any_sequence__without_1g_pages__as_the_model(void **state)
{
	(void)state;
	sequence(4, 7 * GIB, true, ALL_SIZES & ~(1ull << 30));
}

/* VT-d whose bit 10 says "clean": dirty bits of the other kind in a format of single items. */
static uint64_t inverse_attrs(const struct pt *t, unsigned prot, unsigned level, unsigned size_lg2)
{
	return vtdss_attrs(t, prot, level, size_lg2) | (prot & PT_WRITE ? 1ull << 10 : 0);
}

static const struct pt_fmt inverse_fmt = {
	.granule_lg2 = 12,
	.bits = 9,
	.present = vtdss_present,
	.is_table = vtdss_is_table,
	.table_addr = vtdss_table_addr,
	.prot = vtdss_prot,
	.leaf_lg2 = vtdss_leaf_lg2,
	.leaf_pa = vtdss_leaf_pa,
	.malformed = vtdss_malformed,
	.make_table = vtdss_make_table,
	.attrs = inverse_attrs,
	.make_leaf = vtdss_make_leaf,
	.prot_ok = vtdss_prot_ok,
	.dirty_mask = 1ull << 10 | VTDSS_W,
	.dirty = VTDSS_W,
	.dirty_flip = 1ull << 10,
};

static int inverse_map(struct pt *t, uint64_t iova, uint64_t pa, uint64_t len, unsigned prot,
		       struct pt_gather *g)
{
	return pt_map_with(&inverse_fmt, t, iova, pa, len, prot, g);
}

static uint64_t inverse_dirty(struct pt *t, uint64_t iova, uint64_t len, unsigned flags,
			      pt_dirty_fn fn, void *arg)
{
	return pt_dirty_with(&inverse_fmt, t, iova, len, flags, fn, arg);
}

static void any_sequence__clean_bit_of_single_items__as_the_model(void **state)
{
	struct run r = { .large = 2 * MIB, .huge = GIB };
	struct pt_format inverse = *pt_format_find("vtd");
	struct pt_config c;

	(void)state;
	inverse.fmt = &inverse_fmt;
	inverse.map = inverse_map;
	inverse.dirty = inverse_dirty;
	table_arena_init(&r.arena);
	c = table_arena_config(&r.arena, 4, true);
	play(&r, &inverse, &c, 0);
}

static void any_sequence__odd_format_lower_half__as_the_model(void **state)
{
	(void)state;
	odd_sequence(128 * GIB - GIB);
}

static void any_sequence__odd_format_upper_half__as_the_model(void **state)
{
	(void)state;
	odd_sequence(-(128 * GIB) - GIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_sequence__4_levels_across_512g__as_the_model),
		cmocka_unit_test(any_sequence__3_levels_by_callback__as_the_model),
		cmocka_unit_test(any_sequence__5_levels_across_256t__as_the_model),
		cmocka_unit_test(any_sequence__without_1g_pages__as_the_model),
		cmocka_unit_test(any_sequence__clean_bit_of_single_items__as_the_model),
		cmocka_unit_test(any_sequence__odd_format_lower_half__as_the_model),
		cmocka_unit_test(any_sequence__odd_format_upper_half__as_the_model),
	};

	return cmocka_run_group_tests_name("pt_random", tests, NULL, NULL);
}
