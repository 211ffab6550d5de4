// SPDX-License-Identifier: MIT
/* Do range arithmetic and lists hold at their ends? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bits.h"
#include "base/list.h"

static void align_up__near_the_top__no_wrap(void **state)
{
	uint64_t out = 7;

	(void)state;
	assert_true(align_up(0, 4096, &out));
	assert_int_equal(out, 0);
	assert_true(align_up(1, 4096, &out));
	assert_int_equal(out, 4096);
	assert_true(align_up(0 - 4096ull, 4096, &out));
	assert_true(out == 0 - 4096ull);
	assert_false(align_up(0 - 4095ull, 4096, &out));
	assert_true(out == 0 - 4096ull);
	assert_true(align_up(UINT64_MAX, 1, &out));
	assert_true(out == UINT64_MAX);
	assert_true(align_up(1, 1ull << 63, &out));
	assert_true(out == 1ull << 63);
	assert_false(align_up((1ull << 63) + 1, 1ull << 63, &out));
}

static void bits__powers_and_ends__exact(void **state)
{
	(void)state;
	assert_false(is_pow2(0));
	assert_true(is_pow2(1));
	assert_true(is_pow2(1ull << 63));
	assert_false(is_pow2(3));
	assert_int_equal(lowest_bit(1ull << 63), 63);
	assert_int_equal(highest_bit(1), 0);
	assert_int_equal(highest_bit(UINT64_MAX), 63);
	assert_true(align_down(UINT64_MAX, 4096) == UINT64_MAX - 4095);
	assert_true(ranges_meet(0, UINT64_MAX, UINT64_MAX, UINT64_MAX));
	assert_true(ranges_meet(5, 9, 9, 20));
	assert_false(ranges_meet(5, 9, 10, 20));
	assert_false(ranges_meet(10, 20, 5, 9));
}

struct item {
	int n;
	struct list link;
};

static void list__add_delete_walk__in_order(void **state)
{
	struct list head = LIST_INIT(head);
	struct item it[4] = { { .n = 0 }, { .n = 1 }, { .n = 2 }, { .n = 3 } };
	int want = 0;

	(void)state;
	assert_true(list_empty(&head));
	list_add_tail(&head, &it[1].link);
	list_add_tail(&head, &it[2].link);
	list_add_head(&head, &it[0].link);
	list_add_tail(&head, &it[3].link);
	list_for_each(pos, &head)
		assert_int_equal(list_entry(pos, struct item, link)->n, want++);
	assert_int_equal(want, 4);
	list_for_each_safe(pos, tmp, &head)
		if (list_entry(pos, struct item, link)->n & 1)
			list_del(pos);
	list_del(&it[1].link); /* twice is harmless */
	want = 0;
	list_for_each(pos, &head) {
		assert_int_equal(list_entry(pos, struct item, link)->n, want);
		want += 2;
	}
	assert_int_equal(want, 4);
	list_del(&it[0].link);
	list_del(&it[2].link);
	assert_true(list_empty(&head));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(align_up__near_the_top__no_wrap),
		cmocka_unit_test(bits__powers_and_ends__exact),
		cmocka_unit_test(list__add_delete_walk__in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
