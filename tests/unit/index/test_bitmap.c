// SPDX-License-Identifier: MIT
/* Do the bitmap helpers agree with an array of bools? */
#include "rng.h"

#include <string.h>

#include "base/bits.h"
#include "index/bitmap.h"

#define BITS 321u

static void check_all(const uint64_t *map, const bool *model)
{
	uint64_t set = BITS, clear = BITS;

	for (unsigned i = BITS; i-- > 0;) {
		assert_int_equal(bitmap_test(map, i), model[i]);
		if (model[i])
			set = i;
		else
			clear = i;
		assert_int_equal(bitmap_next_set(map, i, BITS), set);
		assert_int_equal(bitmap_next_clear(map, i, BITS), clear);
	}
}

static void bitmap_words__sizes__rounded_up(void **state)
{
	(void)state;
	assert_int_equal(bitmap_words(0), 0);
	assert_int_equal(bitmap_words(1), 1);
	assert_int_equal(bitmap_words(64), 1);
	assert_int_equal(bitmap_words(65), 2);
}

static void bitmap_next__from_beyond_the_end__nbits(void **state)
{
	uint64_t map[2] = { ~0ull, ~0ull };

	(void)state;
	assert_int_equal(bitmap_next_set(map, 70, 70), 70);
	assert_int_equal(bitmap_next_set(map, 64, 64), 64);
	assert_int_equal(bitmap_next_set(map, 0, 0), 0);
	assert_int_equal(bitmap_next_clear(map, 0, 100), 100);
	map[1] = 0;
	assert_int_equal(bitmap_next_set(map, 64, 128), 128);
	/* A hit beyond nbits within the last word does not count. */
	map[1] = 1ull << 40;
	assert_int_equal(bitmap_next_set(map, 64, 100), 100);
}

static void bitmap__random__as_bools(void **state)
{
	uint64_t map[6] = { 0 };
	bool model[BITS] = { false };

	(void)state;
	rng_start("bitmap");
	for (unsigned step = 0; step < 3000; step++) {
		uint64_t start = rng_below(BITS), last = start + rng_below(BITS - start);
		bool all = true, any = false;
		uint64_t count = 0;

		for (uint64_t i = start; i <= last; i++) {
			all &= model[i];
			any |= model[i];
			count += model[i];
		}
		assert_int_equal(bitmap_all(map, start, last), all);
		assert_int_equal(bitmap_any(map, start, last), any);
		assert_int_equal(bitmap_count(map, start, last), count);
		switch (rng_below(5)) {
		case 0:
			bitmap_set_range(map, start, last);
			memset(model + start, true, last - start + 1);
			break;
		case 1:
			bitmap_clear_range(map, start, last);
			memset(model + start, false, last - start + 1);
			break;
		case 2:
			bitmap_set(map, start);
			model[start] = true;
			break;
		default:
			bitmap_clear(map, last);
			model[last] = false;
			break;
		}
		if (step % 8 == 0)
			check_all(map, model);
	}
	assert_int_equal(map[5] >> (BITS % 64), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bitmap_words__sizes__rounded_up),
		cmocka_unit_test(bitmap_next__from_beyond_the_end__nbits),
		cmocka_unit_test(bitmap__random__as_bools),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
