// SPDX-License-Identifier: MIT
/* Is the gap found the one that trying all of them in order finds? */
#include "imap_model.h"

#include "base/bits.h"

#define B (16ull << 20) /* a 2 MiB aligned buffer */

/* The search window of a mapping without a wish. */
static struct imap_gap_req request(uint64_t align, uint64_t off, uint64_t len)
{
	return (struct imap_gap_req){ .lo = PAGE_SIZE,
				      .hi = UINT64_MAX - PAGE_SIZE,
				      .len = len,
				      .align = align,
				      .off = off };
}

static void assert_gap(struct imap *map, struct imap_gap_req req, uint64_t want)
{
	uint64_t p = 0;

	assert_true(imap_find_gap(map, &req, &p));
	assert_int_equal(p, want);
}

static void assert_no_gap(struct imap *map, struct imap_gap_req req)
{
	uint64_t p = 77;

	assert_false(imap_find_gap(map, &req, &p));
	assert_int_equal(p, 77);
}

static void imap_find_gap__worked_values__as_the_abi_says(void **state)
{
	struct imap map;

	(void)state;
	imap_init(&map);
	assert_gap(&map, request(0x1000, 0, 0x1000), 0x1000);
	assert_gap(&map, request(0x8000, 0, 0x5000), 0x8000);
	assert_gap(&map, request(0x1000, 0, 0x200000), 0x1000);
	assert_gap(&map, request(0x200000, 0, 0x200000), 0x200000);
	assert_gap(&map, request(0x200000, 0, 0x40000000), 0x200000);
	assert_gap(&map, request(0x800, 0x800, 0x1000), 0x1800);
	assert_gap(&map, request(0x4000, 0, 0x3000), 0x4000);
	assert_gap(&map, request(1, 0, 1), 0x1000);
	assert_int_equal(imap_insert(&map, 0x1000, 0x1fff, &map), 0);
	assert_gap(&map, request(0x1000, 0, 0x1000), 0x2000);
	assert_int_equal(imap_insert(&map, 0x2000, 0x2fff, &map), 0);
	assert_gap(&map, request(0x1000, 0, 0x1000), 0x3000);
	imap_erase(&map, 0x1000);
	assert_gap(&map, request(0x1000, 0, 0x1000), 0x1000);
	assert_gap(&map, request(0x1000, 0, 0x1001), 0x3000);
	imap_finish(&map);
}

static void imap_find_gap__last_byte__never_used(void **state)
{
	struct imap map;

	(void)state;
	imap_init(&map);
	assert_int_equal(imap_insert(&map, 0, 0x10fffff, &map), 0);
	assert_int_equal(imap_insert(&map, 0x1100001, UINT64_MAX, &map), 0);
	/* One byte is free, but p would be its gap's last. */
	assert_no_gap(&map, request(1, 0, 1));
	imap_erase(&map, 0x1100001);
	assert_int_equal(imap_insert(&map, 0x1100002, UINT64_MAX, &map), 0);
	assert_gap(&map, request(1, 0, 1), 0x1100000);
	assert_gap(&map, request(1, 0, 2), 0x1100000);
	assert_no_gap(&map, request(1, 0, 3));
	assert_no_gap(&map, request(2, 1, 1));
	imap_finish(&map);
}

static void imap_find_gap__exact_fit_and_one_less__fits_and_not(void **state)
{
	struct imap map;

	(void)state;
	imap_init(&map);
	assert_int_equal(imap_insert(&map, 0, B - 1, &map), 0);
	assert_int_equal(imap_insert(&map, B + 0x5000, UINT64_MAX, &map), 0);
	assert_gap(&map, request(0x1000, 0, 0x5000), B);
	assert_no_gap(&map, request(0x1000, 0, 0x5001));
	assert_no_gap(&map, request(0x1000, 0x10, 0x5000));
	assert_gap(&map, request(0x1000, 0x10, 0x4ff0), B + 0x10);
	imap_finish(&map);
}

static void imap_find_gap__extreme_requests__no_wrap(void **state)
{
	struct imap_gap_req all = { .hi = UINT64_MAX, .align = 1, .len = UINT64_MAX };
	struct imap map;

	(void)state;
	imap_init(&map);
	assert_gap(&map, all, 0);
	all.off = 1;
	assert_gap(&map, all, 1);
	all.off = 2;
	assert_no_gap(&map, all);
	assert_int_equal(imap_insert(&map, 5, 6, &map), 0);
	assert_no_gap(&map, all);
	all.off = 0;
	all.len = UINT64_MAX - 6;
	assert_gap(&map, all, 7);
	all.len++;
	assert_no_gap(&map, all);
	all.len = 1;
	all.lo = UINT64_MAX;
	assert_no_gap(&map, all); /* p == g1 */
	all.lo = UINT64_MAX - 1;
	assert_gap(&map, all, UINT64_MAX - 1);
	all.align = 4096; /* rounding up wraps */
	assert_no_gap(&map, all);
	all.align = 1ull << 63;
	all.lo = 1;
	all.len = 1ull << 63;
	assert_gap(&map, all, 1ull << 63);
	all.len++;
	assert_no_gap(&map, all);
	imap_finish(&map);
}

/* Random runs of intervals with gaps of few pages, some of them not at a page boundary. */
struct shape {
	uint64_t unit;    /* bounds of intervals are multiples of it */
	uint64_t gap_max; /* units between two */
	uint64_t len_max;
	unsigned n;
	bool to_top; /* ends near 2^64 instead of beginning at 0 */
};

static const struct shape shapes[] = {
	{ PAGE_SIZE, 2, 3, 3000, false },      { PAGE_SIZE, 2, 3, 3000, true },
	{ PAGE_SIZE, 1500, 700, 2000, false }, { 1, 40, 40, 2500, false },
	{ 256, 30, 30, 2500, true },           { 512, 9000, 10, 800, false },
};

static void build(const struct shape *s, struct model *m, struct imap *map, uint64_t *lo,
		  uint64_t *hi)
{
	uint64_t at = 0, total = (s->gap_max + s->len_max + 2) * s->unit * s->n;
	unsigned *pick = malloc(s->n * sizeof(*pick));

	m->n = 0;
	*lo = s->to_top ? 0 - total : 0;
	*hi = *lo + total - 1;
	for (unsigned i = 0; i < s->n; i++) {
		uint64_t start = at + (rng_below(3) ? 0 : rng_below(s->gap_max + 1)) * s->unit;

		at = start + (1 + rng_below(s->len_max)) * s->unit;
		model_insert(m, *lo + start, *lo + at - 1, m);
		pick[i] = i;
	}
	for (unsigned i = s->n; i-- > 0;) {
		unsigned j = (unsigned)rng_below(i + 1u), k = pick[j];

		pick[j] = pick[i];
		assert_int_equal(imap_insert(map, m->e[k].start, m->e[k].last, m), 0);
	}
	free(pick);
	imap_check(map);
}

static struct imap_gap_req random_request(const struct shape *s, uint64_t lo, uint64_t hi)
{
	struct imap_gap_req r = { .lo = 0, .hi = UINT64_MAX };
	uint64_t span = hi - lo;

	if (rng_below(2)) {
		r.lo = lo + rng_below(span);
		r.hi = r.lo + rng_below(hi - r.lo + 1);
	} else if (rng_below(2)) {
		r.lo = lo;
		r.hi = hi;
	}
	r.len = 1 + rng_below(rng_below(2) ? 3 : s->gap_max + 1) * s->unit;
	if (rng_below(2))
		r.len -= rng_below(min_u64(r.len, 3));
	r.align = 1ull << rng_below(rng_below(4) ? 14 : 23);
	if (rng_below(3) == 0)
		r.off = rng_below(PAGE_SIZE);
	else if (rng_below(3) == 0)
		r.off = r.align < PAGE_SIZE ? r.align : 0x800;
	return r;
}

/* Both answers, which must be one; then what is free, or something else, changes. */
static void gap_step(const struct shape *s, struct model *m, struct imap *map, uint64_t lo,
		     uint64_t hi)
{
	struct imap_gap_req r = random_request(s, lo, hi);
	uint64_t got = 0, want = 0;
	bool found = model_find_gap(m, &r, &want);
	unsigned i;

	if (imap_find_gap(map, &r, &got) != found || got != want)
		fail_msg("lo %#llx hi %#llx len %#llx align %#llx off %#llx: %#llx, not %#llx",
			 (unsigned long long)r.lo, (unsigned long long)r.hi,
			 (unsigned long long)r.len, (unsigned long long)r.align,
			 (unsigned long long)r.off, (unsigned long long)got,
			 (unsigned long long)want);
	if (found && rng_below(3) == 0 && m->n < MODEL_MAX) {
		model_insert(m, got, got + r.len - 1, m);
		assert_int_equal(imap_insert(map, got, got + r.len - 1, m), 0);
	} else if (rng_below(3) == 0 && m->n) {
		i = (unsigned)rng_below(m->n);
		assert_ptr_equal(imap_erase(map, m->e[i].start), m->e[i].value);
		model_erase(m, i);
	}
}

static void imap_find_gap__random__as_trying_each(void **state)
{
	struct model *m = calloc(1, sizeof(*m));

	(void)state;
	rng_start("imap gaps");
	for (unsigned k = 0; k < ARRAY_LEN(shapes); k++) {
		struct imap map;
		uint64_t lo, hi;

		imap_init(&map);
		build(&shapes[k], m, &map, &lo, &hi);
		for (unsigned i = 0; i < 6000; i++) {
			gap_step(&shapes[k], m, &map, lo, hi);
			if (i % 128 == 0)
				imap_check(&map);
		}
		/* Down to nothing, so that nodes merge under the searches. */
		while (m->n) {
			unsigned i = (unsigned)rng_below(m->n);
			struct imap_gap_req r = random_request(&shapes[k], lo, hi);
			uint64_t got = 0, want = 0;

			imap_erase(&map, m->e[i].start);
			model_erase(m, i);
			if (m->n % 8)
				continue;
			assert_int_equal(imap_find_gap(&map, &r, &got),
					 model_find_gap(m, &r, &want));
			assert_int_equal(got, want);
			imap_check(&map);
		}
		imap_finish(&map);
	}
	free(m);
}

static void imap_find_gap__place_and_free__lowest_reused(void **state)
{
	struct imap map;

	(void)state;
	imap_init(&map);
	for (uint64_t i = 1; i <= 20000; i++) {
		struct imap_gap_req r = request(PAGE_SIZE, 0, PAGE_SIZE);
		uint64_t p;

		assert_true(imap_find_gap(&map, &r, &p));
		assert_int_equal(p, i * PAGE_SIZE);
		assert_int_equal(imap_insert(&map, p, p + PAGE_MASK, &map), 0);
	}
	imap_check(&map);
	imap_erase(&map, 15000 * PAGE_SIZE);
	imap_erase(&map, 7777 * PAGE_SIZE);
	imap_erase(&map, 7778 * PAGE_SIZE);
	assert_gap(&map, request(PAGE_SIZE, 0, PAGE_SIZE), 7777 * PAGE_SIZE);
	assert_gap(&map, request(2 * PAGE_SIZE, 0, PAGE_SIZE), 7778 * PAGE_SIZE);
	assert_gap(&map, request(PAGE_SIZE, 0, 2 * PAGE_SIZE), 7777 * PAGE_SIZE);
	assert_gap(&map, request(2 * PAGE_SIZE, 0, 2 * PAGE_SIZE), 20002 * PAGE_SIZE);
	assert_gap(&map, request(PAGE_SIZE, 0, 3 * PAGE_SIZE), 20001 * PAGE_SIZE);
	imap_check(&map);
	imap_finish(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(imap_find_gap__worked_values__as_the_abi_says),
		cmocka_unit_test(imap_find_gap__last_byte__never_used),
		cmocka_unit_test(imap_find_gap__exact_fit_and_one_less__fits_and_not),
		cmocka_unit_test(imap_find_gap__extreme_requests__no_wrap),
		cmocka_unit_test(imap_find_gap__random__as_trying_each),
		cmocka_unit_test(imap_find_gap__place_and_free__lowest_reused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
