// SPDX-License-Identifier: MIT
/* Do accessed and dirty bits of VT-d second-stage tables come and go as hardware's do? */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/bits.h"
#include "pgtable/pt.h"
#include "table_arena.h"

#define RW (PT_READ | PT_WRITE)

struct fixture {
	struct table_arena arena;
	struct pt pt;
	struct pt_gather g;
	struct {
		uint64_t first, last;
	} told[64];
	unsigned n;
};

static struct fixture *fixture(unsigned levels)
{
	static struct fixture f;
	struct pt_config c;

	table_arena_init(&f.arena);
	c = table_arena_config(&f.arena, levels, true);
	assert_int_equal(pt_init(&f.pt, &c), 0);
	pt_gather_init(&f.g);
	f.n = 0;
	return &f;
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

static void map_ok(struct fixture *f, uint64_t iova, uint64_t pa, uint64_t len, unsigned prot)
{
	assert_int_equal(pt_map(&f->pt, iova, pa, len, prot, &f->g), 0);
}

static uint64_t word(struct fixture *f, uint64_t table, unsigned i)
{
	return table_arena_word(&f->arena, table, i);
}

static unsigned access_at(struct fixture *f, uint64_t iova, bool write)
{
	struct pt_walk_result r;
	unsigned rights;

	assert_int_equal(pt_walk(&f->pt, iova, &r), 0);
	rights = pt_access(&f->pt, iova, write, &r);
	assert_int_equal(atomic_load(r.item), r.entry);
	return rights;
}

static void told(void *arg, uint64_t first, uint64_t last)
{
	struct fixture *f = arg;

	assert_true(f->n < ARRAY_LEN(f->told));
	f->told[f->n].first = first;
	f->told[f->n++].last = last;
}

static uint64_t dirty_read(struct fixture *f, uint64_t iova, uint64_t len, unsigned flags)
{
	f->n = 0;
	return pt_dirty_read(&f->pt, iova, len, flags, told, f);
}

#define expect_told(f, i, want_first, len)                                   \
	do {                                                                 \
		assert_true((f)->n > (i));                                   \
		assert_int_equal((f)->told[i].first, want_first);            \
		assert_int_equal((f)->told[i].last, (want_first) + (len)-1); \
	} while (0)

struct item {
	uint64_t table;
	unsigned index;
	uint64_t value;
};

static void expect_items(struct fixture *f, const struct item *want, size_t n)
{
	size_t nonzero = 0;

	for (size_t i = 0; i < n; i++)
		assert_int_equal(word(f, want[i].table, want[i].index), want[i].value);
	for (size_t i = 0; i < f->arena.used / 8; i++)
		nonzero += word(f, 0x1000000, (unsigned)i) != 0;
	assert_int_equal(nonzero, n);
}

/* The published vector, after a write to its 4K page, a read of its 2M page; bits 8 and 9. */
static void pt_access__published_vector__bits_8_and_9(void **state)
{
	static const struct item accessed[] = {
		{ 0x1000000, 0, 0x1001103 },   { 0x1000000, 1, 0x1005003 },
		{ 0x1001000, 0, 0x1002103 },   { 0x1001000, 1, 0x1004103 },
		{ 0x1002000, 145, 0x1003103 }, { 0x1003000, 325, 0xabcde303 },
		{ 0x1004000, 0, 0x80000981 },  { 0x1005000, 0, 0x40000083 },
	};
	static const struct item read[] = {
		{ 0x1000000, 0, 0x1001103 },   { 0x1000000, 1, 0x1005103 },
		{ 0x1001000, 0, 0x1002103 },   { 0x1001000, 1, 0x1004103 },
		{ 0x1002000, 145, 0x1003103 }, { 0x1003000, 325, 0xabcde103 },
		{ 0x1004000, 0, 0x80000981 },  { 0x1005000, 0, 0x40000183 },
	};
	struct fixture *f = fixture(4);

	(void)state;
	map_ok(f, 0x12345000, 0xabcde000, 0x1000, RW);
	map_ok(f, 0x40000000, 0x80000000, 2 * MIB, PT_READ | PT_SNOOP);
	map_ok(f, 0x8000000000, 0x40000000, GIB, RW);
	assert_int_equal(access_at(f, 0x12345678, true), RW);
	assert_int_equal(access_at(f, 0x40000000, false), PT_READ);
	expect_items(f, accessed, ARRAY_LEN(accessed));
	assert_int_equal(access_at(f, 0x8000000000 + GIB - 1, true), RW);
	assert_int_equal(word(f, 0x1005000, 0), 0x40000383);
	assert_int_equal(dirty_read(f, 0, 1ull << 48, 0), GIB + 0x1000);
	expect_told(f, 0, 0x12345000ull, 0x1000);
	expect_told(f, 1, 0x8000000000ull, GIB);
	expect_items(f, read, ARRAY_LEN(read)); /* accessed stays */
	finish(f);
}

static void pt_access__levels__all_on_the_way(void **state)
{
	(void)state;
	for (unsigned levels = 3; levels <= 5; levels++) {
		struct fixture *f = fixture(levels);
		uint64_t iova = (1ull << (12 + 9 * levels)) - 0x1000;

		map_ok(f, iova, 0x5000, 0x1000, RW);
		assert_int_equal(access_at(f, iova, false), PT_READ);
		for (unsigned i = 0; i + 1 < levels; i++)
			assert_int_equal(word(f, 0x1000000 + i * 0x1000, 511) & 0x3ff, 0x103);
		assert_int_equal(word(f, 0x1000000 + (levels - 1) * 0x1000, 511), 0x5103);
		assert_int_equal(access_at(f, iova, true), RW);
		assert_int_equal(word(f, 0x1000000 + (levels - 1) * 0x1000, 511), 0x5303);
		finish(f);
	}
}

static void pt_access__bits_set_already__no_store(void **state)
{
	struct fixture *f = fixture(4);
	uint64_t sum;

	(void)state;
	map_ok(f, 0x1000, 0x5000, 0x1000, RW);
	access_at(f, 0x1000, true);
	sum = table_arena_sum(&f->arena);
	/* A store, even of the same, would fault. */
	assert_int_equal(mprotect(f->arena.mem, f->arena.used, PROT_READ), 0);
	assert_int_equal(access_at(f, 0x1000, true), RW);
	assert_int_equal(access_at(f, 0x1000, false), RW); /* a write need not ask again */
	assert_int_equal(mprotect(f->arena.mem, f->arena.used, PROT_READ | PROT_WRITE), 0);
	assert_int_equal(table_arena_sum(&f->arena), sum);
	finish(f);
}

/* Between walk and access the entry goes, or changes: nothing may come back to life. */
static void pt_access__entry_changed__zero_and_untouched(void **state)
{
	struct fixture *f = fixture(4);
	struct pt_walk_result r, r2;
	uint64_t sum;

	(void)state;
	map_ok(f, 0, 0x200000, 2 * MIB, RW | PT_SMALL);
	for (unsigned write = 0; write < 2; write++) {
		assert_int_equal(pt_walk(&f->pt, 0x3000, &r), 0);
		pt_unmap(&f->pt, 0x3000, 0x1000, &f->g);
		sum = table_arena_sum(&f->arena);
		assert_int_equal(pt_access(&f->pt, 0x3000, write, &r), 0);
		/* the tables above were used; the entry is as empty as it was */
		assert_int_equal(atomic_load(r.item), 0);
		assert_true(write == 0 || table_arena_sum(&f->arena) == sum);
		map_ok(f, 0x3000, 0x9000 + write * 0x1000, 0x1000, RW);
		assert_int_equal(pt_access(&f->pt, 0x3000, write, &r), 0);
		assert_int_equal(atomic_load(r.item), 0x9003 + write * 0x1000);
	}
	/* somebody else was first: walk again, then there is nothing to do */
	assert_int_equal(pt_walk(&f->pt, 0x4000, &r), 0);
	r2 = r;
	assert_int_equal(pt_access(&f->pt, 0x4000, true, &r2), RW);
	assert_int_equal(pt_access(&f->pt, 0x4000, true, &r), 0);
	assert_int_equal(access_at(f, 0x4000, true), RW);
	/* a table that is taken out, on the gather list */
	assert_int_equal(pt_walk(&f->pt, 0, &r), 0);
	assert_int_equal(pt_walk(&f->pt, 0x5000, &r2), 0);
	pt_unmap(&f->pt, 0, 2 * MIB, &f->g);
	assert_true(f->g.ntables > 0);
	sum = table_arena_sum(&f->arena);
	assert_int_equal(pt_access(&f->pt, 0, true, &r), 0);
	assert_int_equal(pt_access(&f->pt, 0x5000, true, &r2), 0);
	assert_int_equal(table_arena_sum(&f->arena), sum);
	finish(f);
}

static void pt_dirty_read__twice__clean_then(void **state)
{
	struct fixture *f = fixture(4);

	(void)state;
	map_ok(f, 0, 0x200000, 256 * 0x1000, RW | PT_SMALL);
	assert_int_equal(dirty_read(f, 0, MIB, 0), 0);
	for (unsigned i = 0; i < 256; i += 3)
		access_at(f, i * 0x1000, false);
	assert_int_equal(dirty_read(f, 0, MIB, 0), 0); /* a read is not a write */
	for (unsigned i = 10; i < 20; i++)
		access_at(f, i * 0x1000, true);
	access_at(f, 63 * 0x1000, true);
	access_at(f, 64 * 0x1000, true);
	for (unsigned again = 0; again < 3; again++) {
		unsigned flags = again < 2 ? PT_DIRTY_NO_CLEAR : 0;

		assert_int_equal(dirty_read(f, 0, MIB, flags), 12 * 0x1000);
		assert_int_equal(f->n, 2);
		expect_told(f, 0, 10 * 0x1000ull, 10 * 0x1000ull);
		expect_told(f, 1, 63 * 0x1000ull, 2 * 0x1000ull);
	}
	assert_int_equal(dirty_read(f, 0, MIB, 0), 0);
	assert_int_equal(f->n, 0);
	access_at(f, 11 * 0x1000, true);
	assert_int_equal(dirty_read(f, 0, MIB, 0), 0x1000);
	expect_told(f, 0, 11 * 0x1000ull, 0x1000);
	finish(f);
}

/* Small, large, huge pages and table ends make one range when they touch. */
static void pt_dirty_read__neighbours_of_any_size__one_range(void **state)
{
	struct fixture *f = fixture(4);
	const uint64_t at = GIB - 2 * MIB - 0x3000, len = 2 * GIB + 2 * MIB + 0x3000;

	(void)state;
	map_ok(f, at, at + 4 * GIB, len, RW);
	map_ok(f, 3 * GIB, 16 * GIB, 4 * MIB, RW | PT_SMALL);
	for (uint64_t i = at; i < at + len; i += i < GIB ? 0x1000 : GIB)
		access_at(f, i, true);
	access_at(f, 2 * GIB, true);
	for (uint64_t i = 0; i < 4 * MIB; i += 0x1000)
		access_at(f, 3 * GIB + i, true);
	assert_int_equal(dirty_read(f, 0, 1ull << 48, 0), len + 4 * MIB);
	assert_int_equal(f->n, 1);
	expect_told(f, 0, at, len + 4 * MIB);
	assert_int_equal(dirty_read(f, 0, 1ull << 48, 0), 0);
	finish(f);
}

static void pt_dirty_read__part_of_an_entry__told_and_kept(void **state)
{
	struct fixture *f = fixture(4);

	(void)state;
	map_ok(f, 2 * MIB, 8 * MIB, 2 * MIB, RW);
	map_ok(f, 4 * MIB, 32 * MIB, 0x3000, RW);
	access_at(f, 3 * MIB, true);
	access_at(f, 4 * MIB, true);
	/* the end of the large page and the page behind it */
	assert_int_equal(dirty_read(f, 4 * MIB - 0x1000, 0x2000, 0), 0x2000);
	assert_int_equal(f->n, 1);
	expect_told(f, 0, 4 * MIB - 0x1000, 0x2000);
	/* a part again, and all of it: the small page is clean, the large one is not until now */
	assert_int_equal(dirty_read(f, 3 * MIB, 0x1000, 0), 0x1000);
	expect_told(f, 0, 3 * MIB, 0x1000);
	assert_int_equal(dirty_read(f, 0, 8 * MIB, 0), 2 * MIB);
	expect_told(f, 0, 2 * MIB, 2 * MIB);
	assert_int_equal(dirty_read(f, 0, 8 * MIB, 0), 0);
	/* a range that cuts granules */
	access_at(f, 4 * MIB, true);
	access_at(f, 4 * MIB + 0x1000, true);
	access_at(f, 4 * MIB + 0x2000, true);
	assert_int_equal(dirty_read(f, 4 * MIB + 0x800, 0x2000, 0), 0x2000);
	assert_int_equal(f->n, 1);
	expect_told(f, 0, 4 * MIB + 0x800, 0x2000);
	assert_int_equal(dirty_read(f, 0, 8 * MIB, 0), 0x2000);
	assert_int_equal(f->n, 2);
	expect_told(f, 0, 4 * MIB, 0x1000);
	expect_told(f, 1, 4 * MIB + 0x2000, 0x1000);
	finish(f);
}

static void pt_dirty_read__nothing_there__no_call(void **state)
{
	static const struct {
		uint64_t iova, len;
	} ranges[] = {
		{ 0, 0 },
		{ 0, UINT64_MAX },
		{ 1ull << 48, 0x1000 },
		{ UINT64_MAX - 0xfff, 0x1000 },
		{ (1ull << 48) - 0x1000, 0x2000 },
		{ UINT64_MAX, UINT64_MAX },
	};
	struct fixture *f = fixture(4);

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(ranges); i++) {
		assert_int_equal(dirty_read(f, ranges[i].iova, ranges[i].len, 0), 0);
		assert_int_equal(f->n, 0);
	}
	map_ok(f, (1ull << 48) - 0x1000, 0x1000, 0x1000, RW);
	access_at(f, (1ull << 48) - 0x1000, true);
	/* what the table does not decode is left out */
	assert_int_equal(dirty_read(f, 0x1000, UINT64_MAX, PT_DIRTY_NO_CLEAR), 0x1000);
	expect_told(f, 0, (1ull << 48) - 0x1000, 0x1000);
	assert_int_equal(dirty_read(f, (1ull << 48) - 0x1000, 0x2000, 0), 0x1000);
	pt_unmap(&f->pt, 0, UINT64_MAX, &f->g); /* empty tables may be left */
	assert_int_equal(dirty_read(f, 0, 1ull << 48, 0), 0);
	finish(f);
}

/* Whoever restored the table may have set D alone. */
static void pt_dirty_read__dirty_but_not_accessed__cleared(void **state)
{
	struct fixture *f = fixture(4);
	struct pt_walk_result r;

	(void)state;
	map_ok(f, 0, 0x200000, 128 * 0x1000, RW | PT_SMALL);
	for (unsigned i = 0; i < 128; i++) {
		assert_int_equal(pt_walk(&f->pt, i * 0x1000, &r), 0);
		atomic_fetch_or(r.item, i % 2 ? 0x200 : 0x300);
	}
	assert_int_equal(dirty_read(f, 0, 128 * 0x1000, 0), 128 * 0x1000);
	for (unsigned i = 0; i < 128; i++) {
		assert_int_equal(pt_walk(&f->pt, i * 0x1000, &r), 0);
		assert_int_equal(r.entry & 0xfff, i % 2 ? 0x003 : 0x103);
	}
	finish(f);
}

/* Every number of dirty entries from both ends of a chunk, so that no edge is special. */
static void pt_dirty_read__runs_at_every_place__exact(void **state)
{
	struct fixture *f = fixture(3);

	(void)state;
	map_ok(f, 0, 0x200000, 200 * 0x1000, RW | PT_SMALL);
	for (unsigned first = 0; first < 200; first += 7) {
		for (unsigned last = first; last < 200; last += 5) {
			for (unsigned i = first; i <= last; i++)
				access_at(f, i * 0x1000, true);
			assert_int_equal(dirty_read(f, 0, 200 * 0x1000, 0),
					 (last - first + 1) * 0x1000);
			assert_int_equal(f->n, 1);
			expect_told(f, 0, first * 0x1000ull, (last - first + 1) * 0x1000ull);
		}
	}
	assert_int_equal(dirty_read(f, 0, 200 * 0x1000, 0), 0);
	finish(f);
}

/* Bits of an old mapping are not those of the next. */
static void pt_map__after_a_dirty_one__clean(void **state)
{
	struct fixture *f = fixture(4);

	(void)state;
	map_ok(f, 0, 0x200000, 2 * MIB, RW);
	access_at(f, 0, true);
	pt_unmap(&f->pt, 0, 2 * MIB, &f->g);
	map_ok(f, 0, 0x200000, 0x1000, RW);
	assert_int_equal(dirty_read(f, 0, GIB, 0), 0);
	access_at(f, 0, true);
	pt_unmap(&f->pt, 0, 0x1000, &f->g);
	map_ok(f, 0, 0x200000, 2 * MIB, RW); /* takes the accessed, empty table's place */
	assert_int_equal(dirty_read(f, 0, GIB, 0), 0);
	finish(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pt_access__published_vector__bits_8_and_9),
		cmocka_unit_test(pt_access__levels__all_on_the_way),
		cmocka_unit_test(pt_access__bits_set_already__no_store),
		cmocka_unit_test(pt_access__entry_changed__zero_and_untouched),
		cmocka_unit_test(pt_dirty_read__twice__clean_then),
		cmocka_unit_test(pt_dirty_read__neighbours_of_any_size__one_range),
		cmocka_unit_test(pt_dirty_read__part_of_an_entry__told_and_kept),
		cmocka_unit_test(pt_dirty_read__nothing_there__no_call),
		cmocka_unit_test(pt_dirty_read__dirty_but_not_accessed__cleared),
		cmocka_unit_test(pt_dirty_read__runs_at_every_place__exact),
		cmocka_unit_test(pt_map__after_a_dirty_one__clean),
	};

	return cmocka_run_group_tests_name("pt_dirty", tests, NULL, NULL);
}
