// SPDX-License-Identifier: MIT
/* Do fault points fire where armed, and nowhere else? */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fault.h"

static bool step(void)
{
	return fault_point();
}

static void fault_point__unarmed__false(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++)
		assert_false(step());
	assert_int_equal(fault_armed, 0);
}

static void fault_arm__nth_once__only_that_one(void **state)
{
	bool fired = true;

	(void)state;
	fault_arm(3, false);
	assert_int_equal(fault_armed, 1);
	for (unsigned i = 1; i <= 6; i++)
		assert_int_equal(step(), i == 3);
	assert_string_equal(fault_last(), "step");
	assert_int_equal(fault_disarm(&fired), 6);
	assert_true(fired);
	assert_int_equal(fault_armed, 0);
	assert_false(step());
}

static void fault_arm__persistent__that_and_all_later(void **state)
{
	(void)state;
	fault_arm(3, true);
	for (unsigned i = 1; i <= 6; i++)
		assert_int_equal(step(), i >= 3);
	assert_int_equal(fault_disarm(NULL), 6);
}

static void fault_disarm__not_reached__not_fired(void **state)
{
	bool fired = true;

	(void)state;
	fault_arm(3, true);
	assert_null(fault_last());
	step();
	step();
	assert_int_equal(fault_disarm(&fired), 2);
	assert_false(fired);
	fault_disarm(&fired); /* twice is harmless */
	assert_int_equal(fault_armed, 0);
}

static void fault_arm__twice__starts_anew(void **state)
{
	(void)state;
	fault_arm(1, false);
	assert_true(step());
	fault_arm(2, false);
	assert_int_equal(fault_armed, 1);
	assert_false(step());
	assert_true(step());
	fault_disarm(NULL);
	assert_int_equal(fault_armed, 0);
}

static void *other_thread(void *arg)
{
	bool *hit = arg;

	for (unsigned i = 0; i < 100; i++)
		*hit |= step();
	return NULL;
}

static void fault_arm__other_thread__untouched(void **state)
{
	bool hit = false;
	pthread_t t;

	(void)state;
	fault_arm(1, true);
	assert_int_equal(pthread_create(&t, NULL, other_thread, &hit), 0);
	pthread_join(t, NULL);
	assert_false(hit);
	assert_true(step());
	assert_int_equal(fault_disarm(NULL), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fault_point__unarmed__false),
		cmocka_unit_test(fault_arm__nth_once__only_that_one),
		cmocka_unit_test(fault_arm__persistent__that_and_all_later),
		cmocka_unit_test(fault_disarm__not_reached__not_fired),
		cmocka_unit_test(fault_arm__twice__starts_anew),
		cmocka_unit_test(fault_arm__other_thread__untouched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
