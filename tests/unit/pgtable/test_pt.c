// SPDX-License-Identifier: MIT
/* Do map, unmap and walk of VT-d second-stage tables keep their contract? */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/bits.h"
#include "base/fault.h"
#include "base/why.h"
#include "pgtable/pt.h"
#include "table_arena.h"

#define RW (PT_READ | PT_WRITE)

struct fixture {
	struct table_arena arena;
	struct pt pt;
	struct pt_gather g;
};

static struct fixture *fixture(const struct pt_config *more)
{
	static struct fixture f;
	struct pt_config c;

	table_arena_init(&f.arena);
	c = table_arena_config(&f.arena, more->levels, true);
	c.iova_bits = more->iova_bits;
	c.oa_bits = more->oa_bits;
	c.pgsizes = more->pgsizes;
	c.first = more->first;
	c.last = more->last;
	c.features = more->features;
	assert_int_equal(pt_init(&f.pt, &c), 0);
	pt_gather_init(&f.g);
	return &f;
}

static struct fixture *plain(void)
{
	return fixture(&(struct pt_config){ .levels = 4 });
}

static void finish(struct fixture *f)
{
	pt_gather_free(&f->pt, &f->g);
	assert_int_equal(pt_check(&f->pt), 0);
	pt_destroy(&f->pt);
	assert_int_equal(f->arena.out, 0);
	assert_int_equal(f->arena.dirty, 0);
	table_arena_finish(&f->arena);
}

static int map(struct fixture *f, uint64_t iova, uint64_t pa, uint64_t len, unsigned prot)
{
	return pt_map(&f->pt, iova, pa, len, prot, &f->g);
}

static void map_ok(struct fixture *f, uint64_t iova, uint64_t pa, uint64_t len, unsigned prot)
{
	assert_int_equal(map(f, iova, pa, len, prot), 0);
}

static uint64_t word(struct fixture *f, uint64_t table, unsigned i)
{
	return table_arena_word(&f->arena, table, i);
}

static void expect_pa(struct fixture *f, uint64_t iova, uint64_t pa, unsigned prot, unsigned lg2)
{
	struct pt_walk_result r;

	assert_int_equal(pt_walk(&f->pt, iova, &r), 0);
	assert_int_equal(r.pa, pa);
	assert_int_equal(r.prot, prot);
	assert_int_equal(r.size_lg2, lg2);
	assert_int_equal(r.why, PT_OK);
}

static void expect_hole(struct fixture *f, uint64_t iova)
{
	struct pt_walk_result r;

	assert_int_equal(pt_walk(&f->pt, iova, &r), -ENOENT);
	assert_int_equal(r.why, PT_NOT_PRESENT);
}

/* @call fails with @err, says why, and leaves table memory and gather list as they were. */
#define refused(f, call, err)                                         \
	do {                                                          \
		uint64_t sum_ = table_arena_sum(&(f)->arena);         \
		why_clear();                                          \
		assert_int_equal((call), -(err));                     \
		assert_true(why_last()[0]);                           \
		assert_int_equal(table_arena_sum(&(f)->arena), sum_); \
		assert_int_equal((f)->g.ntables, 0);                  \
		assert_true((f)->g.first > (f)->g.last);              \
	} while (0)

/* ---- bytes ---- */

static void pt_map__published_vector__same_bytes(void **state)
{
	static const struct {
		uint64_t table;
		unsigned index;
		uint64_t value;
	} items[] = {
		{ 0x1000000, 0, 0x1001003 },   { 0x1000000, 1, 0x1005003 },
		{ 0x1001000, 0, 0x1002003 },   { 0x1001000, 1, 0x1004003 },
		{ 0x1002000, 145, 0x1003003 }, { 0x1003000, 325, 0xabcde003 },
		{ 0x1004000, 0, 0x80000881 },  { 0x1005000, 0, 0x40000083 },
	};
	struct fixture *f = plain();
	size_t found = 0, nonzero = 0;

	(void)state;
	map_ok(f, 0x12345000, 0xabcde000, 0x1000, RW);
	map_ok(f, 0x40000000, 0x80000000, 2 * MIB, PT_READ | PT_SNOOP);
	map_ok(f, 0x8000000000, 0x40000000, GIB, RW);
	assert_int_equal(pt_root(&f->pt), 0x1000000);
	assert_int_equal(f->arena.used, 6 * 4096);
	for (size_t i = 0; i < ARRAY_LEN(items); i++)
		found += word(f, items[i].table, items[i].index) == items[i].value;
	for (size_t i = 0; i < f->arena.used / 8; i++)
		nonzero += word(f, 0x1000000, (unsigned)i) != 0;
	assert_int_equal(found, ARRAY_LEN(items));
	assert_int_equal(nonzero, ARRAY_LEN(items));
	finish(f);
}

static void pt_map__force_snoop__bit_11_in_leaves_only(void **state)
{
	struct fixture *f = fixture(&(struct pt_config){ .levels = 3, .features = PT_FORCE_SNOOP });

	(void)state;
	map_ok(f, 0x1000, 0x5000, 0x1000, PT_WRITE);
	assert_int_equal(word(f, 0x1000000, 0), 0x1001003);
	assert_int_equal(word(f, 0x1001000, 0), 0x1002003);
	assert_int_equal(word(f, 0x1002000, 1), 0x5802);
	expect_pa(f, 0x1234, 0x5234, PT_WRITE, 12);
	finish(f);
}

static void pt_map__mixed_alignment__rises_and_falls(void **state)
{
	struct fixture *f = plain();
	struct pt_stats s;

	(void)state;
	/* 4K up to 2M, 2M up to 1G, 1G, and down again */
	map_ok(f, GIB - 2 * MIB - 0x1000, 5 * GIB - 2 * MIB - 0x1000, GIB + 4 * MIB + 0x2000, RW);
	pt_stats_get(&f->pt, &s);
	assert_int_equal(s.leaves[12], 2);
	assert_int_equal(s.leaves[21], 2);
	assert_int_equal(s.leaves[30], 1);
	assert_int_equal(s.bytes, GIB + 4 * MIB + 0x2000);
	expect_pa(f, GIB - 2 * MIB - 1, 5 * GIB - 2 * MIB - 1, RW, 12);
	expect_pa(f, GIB - 1, 5 * GIB - 1, RW, 21);
	expect_pa(f, GIB, 5 * GIB, RW, 30);
	expect_pa(f, 2 * GIB + 2 * MIB + 0xfff, 6 * GIB + 2 * MIB + 0xfff, RW, 12);
	expect_hole(f, 2 * GIB + 2 * MIB + 0x1000);
	expect_hole(f, GIB - 2 * MIB - 0x1001);
	finish(f);
}

static void pt_map__output_misaligned__small_pages(void **state)
{
	struct fixture *f = plain();
	struct pt_stats s;

	(void)state;
	map_ok(f, 0, 0x1000, 4 * MIB, RW);
	pt_stats_get(&f->pt, &s);
	assert_int_equal(s.leaves[12], 1024);
	assert_int_equal(s.leaves[21], 0);
	assert_int_equal(s.tables[0], 2);
	finish(f);
}

static void pt_map__small_asked__granule_only(void **state)
{
	struct fixture *f = plain();
	struct pt_stats s;

	(void)state;
	map_ok(f, 0, 0, 2 * MIB, RW | PT_SMALL);
	map_ok(f, 2 * MIB, 2 * MIB, 2 * MIB, RW);
	pt_stats_get(&f->pt, &s);
	assert_int_equal(s.leaves[12], 512);
	assert_int_equal(s.leaves[21], 1);
	assert_int_equal(word(f, 0x1003000, 511), 0x1ff003);
	finish(f);
}

static void pt_init__no_1g_pages__not_used(void **state)
{
	struct fixture *f = fixture(&(struct pt_config){ .pgsizes = 0x201000 });
	struct pt_stats s;

	(void)state;
	assert_int_equal(pt_levels(&f->pt), 4);
	map_ok(f, 0, 0, GIB, RW);
	pt_stats_get(&f->pt, &s);
	assert_int_equal(s.leaves[30], 0);
	assert_int_equal(s.leaves[21], 512);
	finish(f);
}

/* ---- refusals ---- */

static void pt_map__bad_arguments__einval_no_byte_changed(void **state)
{
	struct fixture *f = fixture(&(struct pt_config){ .levels = 4, .oa_bits = 40 });

	(void)state;
	map_ok(f, 0x5000, 0x5000, 0x1000, RW);
	refused(f, map(f, 0x1000, 0x1000, 0, RW), EINVAL);
	refused(f, map(f, 0x1800, 0x1000, 0x1000, RW), EINVAL);
	refused(f, map(f, 0x1000, 0x1800, 0x1000, RW), EINVAL);
	refused(f, map(f, 0x1000, 0x1000, 0x1800, RW), EINVAL);
	refused(f, map(f, 0x1000, 0x1000, 0x1000, 0), EINVAL);
	refused(f, map(f, 0x1000, 0x1000, 0x1000, PT_MMIO), EINVAL);
	refused(f, map(f, 0x1000, 0x1000, 0x1000, RW | 1u << 9), EINVAL);
	refused(f, map(f, 0x1000, 1ull << 40, 0x1000, RW), EINVAL);
	refused(f, map(f, 0x1000, (1ull << 40) - 0x1000, 0x2000, RW), EINVAL);
	refused(f, map(f, 1ull << 48, 0, 0x1000, RW), EINVAL);
	refused(f, map(f, (1ull << 48) - 0x1000, 0, 0x2000, RW), EINVAL);
	refused(f, map(f, -0x1000ull, 0, 0x2000, RW), EINVAL);
	assert_non_null(strstr(why_last(), "2^64"));
	finish(f);
}

static void pt_map__aperture_edges__inside_only(void **state)
{
	struct fixture *f =
		fixture(&(struct pt_config){ .levels = 3, .first = 0x10000, .last = 0x1ffff });

	(void)state;
	refused(f, map(f, 0xf000, 0, 0x1000, RW), EINVAL);
	refused(f, map(f, 0xf000, 0, 0x2000, RW), EINVAL);
	refused(f, map(f, 0x1f000, 0, 0x2000, RW), EINVAL);
	refused(f, map(f, 0x20000, 0, 0x1000, RW), EINVAL);
	map_ok(f, 0x10000, 0, 0x10000, RW);
	expect_pa(f, 0x10000, 0, RW, 12);
	expect_pa(f, 0x1ffff, 0xffff, RW, 12);
	finish(f);
}

static void pt_map__last_page_of_each_width__translated(void **state)
{
	(void)state;
	for (unsigned levels = 3; levels <= 5; levels++) {
		struct fixture *f = fixture(&(struct pt_config){ .levels = levels });
		uint64_t last = UINT64_MAX >> (64 - 12 - 9 * levels);
		struct pt_walk_result r;

		map_ok(f, last & ~0xfffull, 0xffffffffff000, 0x1000, RW);
		expect_pa(f, last, 0xfffffffffffff, RW, 12);
		assert_int_equal(f->arena.out, levels);
		assert_int_equal(pt_walk(&f->pt, last + 1, &r), -ERANGE);
		assert_int_equal(r.why, PT_BEYOND_WIDTH);
		assert_int_equal(pt_walk(&f->pt, UINT64_MAX, &r), -ERANGE);
		assert_int_equal(pt_unmap(&f->pt, 0, last, &f->g), 0x1000);
		expect_hole(f, last);
		finish(f);
	}
}

static void pt_map__narrow_hardware__limit_kept(void **state)
{
	struct fixture *f = fixture(&(struct pt_config){ .levels = 4, .iova_bits = 39 });

	(void)state;
	refused(f, map(f, 1ull << 39, 0, 0x1000, RW), EINVAL);
	map_ok(f, (1ull << 39) - 0x1000, 0, 0x1000, RW);
	expect_pa(f, (1ull << 39) - 1, 0xfff, RW, 12);
	assert_int_equal(pt_unmap(&f->pt, 0, 1ull << 39, &f->g), 0x1000);
	assert_int_equal(f->g.ntables, 3);
	finish(f);
}

static void pt_map__read_only_under_force_writable__einval(void **state)
{
	struct fixture *f = fixture(&(struct pt_config){ .features = PT_FORCE_WRITABLE });

	(void)state;
	refused(f, map(f, 0, 0, 0x1000, PT_READ), EINVAL);
	map_ok(f, 0, 0, 0x1000, PT_WRITE);
	finish(f);
}

static void pt_map__something_there__eexist_no_byte_changed(void **state)
{
	struct fixture *f = plain();

	(void)state;
	map_ok(f, 0x400000, 0x400000, 0x1000, RW);
	map_ok(f, GIB, GIB, 2 * MIB, RW);
	map_ok(f, 4 * GIB, 4 * GIB, GIB, RW);
	refused(f, map(f, 0x400000, 0, 0x1000, RW), EEXIST);
	refused(f, map(f, 0x200000, 0x1000, 0x201000, RW), EEXIST); /* the last of 513 */
	refused(f, map(f, 0x400000, 0, 2 * MIB, RW), EEXIST); /* a large page over a small one */
	refused(f, map(f, 0, 0, GIB, RW), EEXIST);
	refused(f, map(f, GIB + 0x1000, 0, 0x1000, RW), EEXIST);
	refused(f, map(f, 0, 0x1000, GIB + 0x1000, RW), EEXIST);
	refused(f, map(f, 4 * GIB + 2 * MIB, 0, 2 * MIB, RW), EEXIST);
	refused(f, map(f, 4 * GIB - 0x1000, 0, 0x2000, RW), EEXIST);
	finish(f);
}

static void pt_map__allocation_fails__enomem_no_byte_changed(void **state)
{
	/* small pages on both sides of 512 GiB: a level-2, two level-1 and five level-0 tables more
	 */
	const uint64_t iova = 512 * GIB - 4 * MIB - 0x1000, pa = 0x3000, len = 8 * MIB;

	(void)state;
	for (unsigned persistent = 0; persistent < 2; persistent++) {
		struct fixture *f = plain();
		bool fired = true;
		unsigned n;

		map_ok(f, 0x1000, 0x1000, 0x1000, RW);
		for (n = 1; fired; n++) {
			uint64_t sum = table_arena_sum(&f->arena);
			int rc;

			fault_arm(n, persistent);
			rc = map(f, iova, pa, len, RW);
			fault_disarm(&fired);
			assert_int_equal(rc, fired ? -ENOMEM : 0);
			if (fired)
				assert_int_equal(table_arena_sum(&f->arena), sum);
			assert_int_equal(f->g.ntables, 0);
		}
		assert_int_equal(n - 2, 8); /* every one of them */
		expect_pa(f, 512 * GIB, pa + 4 * MIB + 0x1000, RW, 12);
		finish(f);
	}
}

static void pt_init__bad_parameters__refused(void **state)
{
	struct table_arena a;
	struct pt t;
	struct pt_config c;

	(void)state;
	table_arena_init(&a);
	c = table_arena_config(&a, 2, true);
	assert_int_equal(pt_init(&t, &c), -EINVAL);
	c.levels = 6;
	assert_int_equal(pt_init(&t, &c), -EINVAL);
	c.levels = 4;
	c.iova_bits = 49;
	assert_int_equal(pt_init(&t, &c), -EINVAL);
	c.iova_bits = 0;
	c.oa_bits = 53;
	assert_int_equal(pt_init(&t, &c), -EINVAL);
	c.oa_bits = 0;
	c.granule_lg2 = 16;
	assert_int_equal(pt_init(&t, &c), -EINVAL);
	c.granule_lg2 = 12;
	c.pgsizes = 0x200000;
	assert_int_equal(pt_init(&t, &c), -EINVAL);
	c.pgsizes = 0;
	c.first = 1;
	assert_int_equal(pt_init(&t, &c), -EINVAL);
	c.first = 0;
	c.format = "none";
	assert_int_equal(pt_init(&t, &c), -ENOENT);
	c.format = "vtd";
	fault_arm(1, false);
	assert_int_equal(pt_init(&t, &c), -ENOMEM);
	fault_disarm(NULL);
	assert_int_equal(a.out, 0);
	table_arena_finish(&a);
}

/* ---- large pages over empty tables ---- */

static void pt_map__large_over_empty_tables__tables_gathered(void **state)
{
	struct fixture *f = plain();

	(void)state;
	map_ok(f, 0x1000, 0x1000, 0x1000, RW);
	map_ok(f, 4 * MIB, 0x1000, 0x1000, RW);
	assert_int_equal(pt_unmap(&f->pt, 0x1000, 0x1000, &f->g), 0x1000);
	assert_int_equal(pt_unmap(&f->pt, 4 * MIB, 0x1000, &f->g), 0x1000);
	pt_gather_init(&f->g);
	assert_int_equal(f->arena.out, 5);
	map_ok(f, 0, 0, GIB, RW); /* over one level-1 table and two of level 0 */
	assert_int_equal(f->g.ntables, 3);
	assert_int_equal(f->g.first, 0);
	assert_int_equal(f->g.last, GIB - 1);
	expect_pa(f, GIB - 1, GIB - 1, RW, 30);
	pt_gather_free(&f->pt, &f->g);
	assert_int_equal(f->arena.out, 2);
	finish(f);
}

/* ---- unmap ---- */

static void pt_unmap__part_of_table__table_stays(void **state)
{
	struct fixture *f = plain();

	(void)state;
	map_ok(f, 0, 0x1000, 2 * MIB, RW);
	assert_int_equal(pt_unmap(&f->pt, 0x1000, 2 * MIB - 0x1000, &f->g), 2 * MIB - 0x1000);
	assert_int_equal(f->g.ntables, 0);
	assert_int_equal(f->g.first, 0x1000);
	assert_int_equal(f->g.last, 2 * MIB - 1);
	assert_int_equal(f->g.levels, 1);
	expect_pa(f, 0, 0x1000, RW, 12);
	expect_hole(f, 0x1000);
	finish(f);
}

static void pt_unmap__whole_span__tables_gathered_and_hidden(void **state)
{
	struct fixture *f = plain();

	(void)state;
	map_ok(f, GIB, 0x1000, GIB, RW);
	assert_int_equal(f->arena.out, 3 + 512);
	assert_int_equal(pt_unmap(&f->pt, GIB, GIB, &f->g), GIB);
	assert_int_equal(f->g.ntables, 513);
	/* nothing is given back before the fence, and readers find nothing */
	assert_int_equal(f->arena.out, 3 + 512);
	expect_hole(f, GIB);
	pt_gather_free(&f->pt, &f->g);
	assert_int_equal(f->arena.out, 2);
	assert_true(f->g.first > f->g.last);
	finish(f);
}

static void pt_unmap__reader_still_in_gathered_table__finds_nothing(void **state)
{
	struct fixture *f = plain();
	uint64_t *table;

	(void)state;
	map_ok(f, 0, 0x1000, 4 * MIB, RW);
	table = table_arena_ptr(&f->arena, word(f, 0x1002000, 1) & ~0xfffull);
	assert_int_equal(pt_unmap(&f->pt, 0, 4 * MIB, &f->g), 4 * MIB);
	for (unsigned i = 0; i < 512; i++)
		assert_int_equal(table[i] & 3, 0);
	finish(f);
}

static void pt_unmap__end_inside_large_page__goes_whole(void **state)
{
	struct fixture *f = plain();

	(void)state;
	map_ok(f, 0, 0, 4 * MIB, RW);
	assert_int_equal(pt_unmap(&f->pt, 0, 2 * MIB + 0x1000, &f->g), 4 * MIB);
	assert_int_equal(f->g.last, 4 * MIB - 1);
	assert_int_equal(f->g.levels, 2);
	expect_hole(f, 4 * MIB - 1);
	finish(f);
}

static void pt_unmap__begins_inside_large_page__stays(void **state)
{
	struct fixture *f = plain();

	(void)state;
	map_ok(f, 0, 0, 2 * MIB, RW);
	map_ok(f, 2 * MIB, 0x1000, 0x2000, RW);
	assert_int_equal(pt_unmap(&f->pt, MIB, 2 * MIB, &f->g), 0x2000);
	expect_pa(f, MIB, MIB, RW, 21);
	expect_hole(f, 2 * MIB);
	assert_int_equal(pt_unmap(&f->pt, MIB, 0x1000, &f->g), 0);
	expect_pa(f, MIB, MIB, RW, 21);
	finish(f);
}

static void pt_unmap__holes_and_nothing__counted_right(void **state)
{
	struct fixture *f = plain();

	(void)state;
	assert_int_equal(pt_unmap(&f->pt, 0, 1ull << 48, &f->g), 0);
	assert_true(f->g.first > f->g.last);
	map_ok(f, 0x3000, 0, 0x1000, RW);
	map_ok(f, 7 * GIB, 0, 2 * MIB, RW);
	map_ok(f, 600 * GIB, 0, GIB, RW);
	assert_int_equal(pt_unmap(&f->pt, 0, 0, &f->g), 0);
	assert_int_equal(pt_unmap(&f->pt, 1ull << 48, 0x1000, &f->g), 0);
	assert_int_equal(pt_unmap(&f->pt, 0, 1ull << 48, &f->g), GIB + 2 * MIB + 0x1000);
	assert_int_equal(f->g.levels, 7);
	assert_int_equal(f->g.ntables, 5);
	pt_gather_free(&f->pt, &f->g);
	assert_int_equal(f->arena.out, 1);
	finish(f);
}

static void pt_unmap__more_than_the_table_decodes__clipped(void **state)
{
	struct fixture *f = fixture(&(struct pt_config){ .levels = 3 });
	const uint64_t end = 1ull << 39;

	(void)state;
	map_ok(f, end - 0x2000, 0, 0x2000, RW);
	assert_int_equal(pt_unmap(&f->pt, end - 0x1000, UINT64_MAX, &f->g), 0x1000);
	assert_int_equal(f->g.last, end - 1);
	map_ok(f, end - 0x1000, 0, 0x1000, RW);
	assert_int_equal(pt_unmap(&f->pt, 0, UINT64_MAX, &f->g), 0x2000);
	assert_int_equal(f->g.first, 0);
	assert_int_equal(f->g.last, end - 1);
	expect_hole(f, end - 1);
	finish(f);
}

static void pt_unmap__unaligned_start__rounded_inwards(void **state)
{
	struct fixture *f = plain();

	(void)state;
	map_ok(f, 0, 0x10000, 0x4000, RW);
	assert_int_equal(pt_unmap(&f->pt, 0x800, 0x100, &f->g), 0);
	assert_int_equal(pt_unmap(&f->pt, 0x800, 0x1000, &f->g), 0x1000);
	expect_pa(f, 0x800, 0x10800, RW, 12);
	expect_hole(f, 0x1000);
	expect_pa(f, 0x2000, 0x12000, RW, 12);
	finish(f);
}

/* ---- walk, visit, lint ---- */

static void pt_walk__permissions__and_of_all_levels(void **state)
{
	struct fixture *f = plain();
	uint64_t *pde;

	(void)state;
	map_ok(f, 0, 0, 0x1000, PT_READ);
	map_ok(f, 0x1000, 0, 0x1000, PT_WRITE);
	map_ok(f, 0x2000, 0, 0x1000, RW | PT_MMIO);
	expect_pa(f, 0, 0, PT_READ, 12);
	expect_pa(f, 0x1000, 0, PT_WRITE, 12);
	expect_pa(f, 0x2fff, 0xfff, RW, 12);
	pde = table_arena_ptr(&f->arena, 0x1001000);
	*pde &= ~2ull;
	expect_pa(f, 0, 0, PT_READ, 12);
	expect_pa(f, 0x1000, 0, 0, 12);
	expect_pa(f, 0x2000, 0, PT_READ, 12);
	*pde |= 2;
	finish(f);
}

/* One wrong bit at a time. */
static void pt_walk__reserved_bit__ebadmsg_and_lint_finds_it(void **state)
{
	static const struct {
		uint64_t table;
		unsigned index;
		uint64_t bits;
		unsigned level;
	} wrong[] = {
		{ 0x1000000, 0, 1ull << 7, 3 },  { 0x1000000, 0, 1ull << 51, 3 },
		{ 0x1001000, 0, 1ull << 11, 2 }, { 0x1002000, 1, 1ull << 12, 1 },
		{ 0x1002000, 1, 1ull << 20, 1 }, { 0x1002000, 1, 1ull << 62, 1 },
		{ 0x1003000, 2, 1ull << 46, 0 }, { 0x1003000, 2, 1ull << 62, 0 },
		{ 0x1002000, 0, 1ull << 62, 1 },
	};
	struct fixture *f = fixture(&(struct pt_config){ .levels = 4, .oa_bits = 46 });

	(void)state;
	map_ok(f, 0x2000, 0, 0x1000, RW);
	map_ok(f, 2 * MIB, 0, 2 * MIB, RW);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		uint64_t *e = table_arena_ptr(&f->arena, wrong[i].table);
		uint64_t iova = wrong[i].level == 1 && wrong[i].index ? 2 * MIB : 0x2000;
		struct pt_walk_result r;

		e[wrong[i].index] |= wrong[i].bits;
		assert_int_equal(pt_walk(&f->pt, iova, &r), -EBADMSG);
		assert_int_equal(r.why, PT_RESERVED_BITS);
		assert_int_equal(r.level, wrong[i].level);
		assert_ptr_equal(r.item, &e[wrong[i].index]);
		assert_int_equal(r.entry, e[wrong[i].index]);
		assert_int_equal(pt_check(&f->pt), -EUCLEAN);
		e[wrong[i].index] &= ~wrong[i].bits;
	}
	finish(f);
}

/* Bits that hardware ignores or uses for itself. */
static void pt_walk__ignored_bits__translated(void **state)
{
	struct fixture *f = plain();
	uint64_t *pte;

	(void)state;
	map_ok(f, 0, 0x7000, 0x1000, RW);
	pte = table_arena_ptr(&f->arena, 0x1003000);
	*pte |= 0xbff000000000077cull | 1 << 7;
	expect_pa(f, 0x123, 0x7123, RW, 12);
	*pte &= ~(0xbff000000000077cull | 1 << 7);
	finish(f);
}

static void pt_lint__damage__each_kind_found(void **state)
{
	struct fixture *f = plain();
	uint64_t *root, *pte, was;

	(void)state;
	map_ok(f, 0, 0x7000, 0x1000, RW);
	root = table_arena_ptr(&f->arena, 0x1000000);
	pte = table_arena_ptr(&f->arena, 0x1003000);
	assert_int_equal(pt_lint(&f->pt, NULL, NULL), 0);
	pte[5] = 0x1234000; /* junk */
	assert_int_equal(pt_check(&f->pt), -EUCLEAN);
	assert_non_null(strstr(why_last(), "0x1003000[5]"));
	pte[5] = 0;
	root[9] = root[0]; /* a table reached twice */
	assert_int_equal(pt_check(&f->pt), -EUCLEAN);
	assert_non_null(strstr(why_last(), "twice"));
	root[9] = 0;
	was = root[0]; /* tables that cannot be reached */
	root[0] = 0;
	assert_int_equal(pt_check(&f->pt), -EUCLEAN);
	assert_non_null(strstr(why_last(), "4 tables were allocated and 1"));
	root[0] = was;
	fault_arm(1, false);
	assert_int_equal(pt_check(&f->pt), -ENOMEM);
	fault_disarm(NULL);
	finish(f);
}

static void pt_walk__pointer_out_of_memory__ebadmsg(void **state)
{
	struct table_arena a;
	struct pt_config c;
	struct pt_gather g;
	struct pt_walk_result r;
	struct pt t, view;
	uint64_t *root;

	(void)state;
	table_arena_init(&a);
	c = table_arena_config(&a, 4, false);
	assert_int_equal(pt_init(&t, &c), 0);
	pt_gather_init(&g);
	assert_int_equal(pt_map(&t, 0, 0, 0x1000, RW, &g), 0);
	c.borrow = true;
	c.root = 0x2000;
	assert_int_equal(pt_init(&view, &c), -EFAULT);
	c.root = pt_root(&t);
	assert_int_equal(pt_init(&view, &c), 0);
	assert_int_equal(pt_walk(&view, 0x10, &r), 0);
	assert_int_equal(r.pa, 0x10);
	root = table_arena_ptr(&a, pt_root(&t));
	root[1] = 0x99999003;
	assert_int_equal(pt_walk(&view, 512 * GIB, &r), -EBADMSG);
	assert_int_equal(r.why, PT_POINTS_NOWHERE);
	assert_int_equal(pt_check(&view), -EUCLEAN);
	root[1] = 0;
	pt_destroy(&view);
	pt_destroy(&t);
	assert_int_equal(a.out, 0);
	table_arena_finish(&a);
}

static int count_leaf(void *arg, const struct pt_leaf *leaf)
{
	uint64_t *sum = arg;

	sum[0]++;
	sum[1] += 1ull << leaf->size_lg2;
	assert_int_equal(leaf->pa - leaf->iova, 8 * GIB);
	return sum[0] == sum[2] ? 77 : 0;
}

static void pt_for_each_leaf__range__only_what_meets_it(void **state)
{
	struct fixture *f = plain();
	uint64_t sum[3] = { 0 };

	(void)state;
	map_ok(f, 0x1000, 8 * GIB + 0x1000, 4 * MIB - 0x1000, RW);
	assert_int_equal(pt_for_each_leaf(&f->pt, 0, UINT64_MAX, count_leaf, sum), 0);
	assert_int_equal(sum[0], 512);
	assert_int_equal(sum[1], 4 * MIB - 0x1000);
	sum[0] = sum[1] = 0;
	assert_int_equal(pt_for_each_leaf(&f->pt, 2 * MIB - 1, 2 * MIB + 5, count_leaf, sum), 0);
	assert_int_equal(sum[0], 2);
	sum[0] = 0;
	sum[2] = 3;
	assert_int_equal(pt_for_each_leaf(&f->pt, 0, UINT64_MAX, count_leaf, sum), 77);
	assert_int_equal(sum[0], 3);
	finish(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pt_map__published_vector__same_bytes),
		cmocka_unit_test(pt_map__force_snoop__bit_11_in_leaves_only),
		cmocka_unit_test(pt_map__mixed_alignment__rises_and_falls),
		cmocka_unit_test(pt_map__output_misaligned__small_pages),
		cmocka_unit_test(pt_map__small_asked__granule_only),
		cmocka_unit_test(pt_init__no_1g_pages__not_used),
		cmocka_unit_test(pt_map__bad_arguments__einval_no_byte_changed),
		cmocka_unit_test(pt_map__aperture_edges__inside_only),
		cmocka_unit_test(pt_map__last_page_of_each_width__translated),
		cmocka_unit_test(pt_map__narrow_hardware__limit_kept),
		cmocka_unit_test(pt_map__read_only_under_force_writable__einval),
		cmocka_unit_test(pt_map__something_there__eexist_no_byte_changed),
		cmocka_unit_test(pt_map__allocation_fails__enomem_no_byte_changed),
		cmocka_unit_test(pt_init__bad_parameters__refused),
		cmocka_unit_test(pt_map__large_over_empty_tables__tables_gathered),
		cmocka_unit_test(pt_unmap__part_of_table__table_stays),
		cmocka_unit_test(pt_unmap__whole_span__tables_gathered_and_hidden),
		cmocka_unit_test(pt_unmap__reader_still_in_gathered_table__finds_nothing),
		cmocka_unit_test(pt_unmap__end_inside_large_page__goes_whole),
		cmocka_unit_test(pt_unmap__begins_inside_large_page__stays),
		cmocka_unit_test(pt_unmap__holes_and_nothing__counted_right),
		cmocka_unit_test(pt_unmap__more_than_the_table_decodes__clipped),
		cmocka_unit_test(pt_unmap__unaligned_start__rounded_inwards),
		cmocka_unit_test(pt_walk__permissions__and_of_all_levels),
		cmocka_unit_test(pt_walk__reserved_bit__ebadmsg_and_lint_finds_it),
		cmocka_unit_test(pt_walk__ignored_bits__translated),
		cmocka_unit_test(pt_lint__damage__each_kind_found),
		cmocka_unit_test(pt_walk__pointer_out_of_memory__ebadmsg),
		cmocka_unit_test(pt_for_each_leaf__range__only_what_meets_it),
	};

	return cmocka_run_group_tests_name("pt", tests, NULL, NULL);
}
