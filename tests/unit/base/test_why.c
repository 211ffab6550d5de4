// SPDX-License-Identifier: MIT
/* Is the reason of a refusal kept, per thread and within its bounds? */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/why.h"

static void refuse__reason__kept_and_errno_negated(void **state)
{
	(void)state;
	errno = 4711;
	assert_int_equal(refuse(EINVAL, "iova 0x%x is odd", 0x1801), -EINVAL);
	assert_string_equal(why_last(), "iova 0x1801 is odd");
	assert_int_equal(errno, 4711);
	assert_int_equal(refuse(ENOENT, "second"), -ENOENT);
	assert_string_equal(why_last(), "second");
	why_clear();
	assert_string_equal(why_last(), "");
}

static void why_add__context__appended(void **state)
{
	(void)state;
	refuse(EBUSY, "area is locked");
	assert_int_equal(why_add(-EBUSY, "asked by access %d", 7), -EBUSY);
	assert_string_equal(why_last(), "area is locked, asked by access 7");
	why_clear();
	assert_int_equal(why_add(-EIO, "alone"), -EIO);
	assert_string_equal(why_last(), "alone");
}

static void refuse__too_long__cut(void **state)
{
	char longer[2 * WHY_MAX];

	(void)state;
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = 0;
	refuse(EINVAL, "%s", longer);
	assert_int_equal(strlen(why_last()), WHY_MAX - 1);
	why_add(-EINVAL, "more");
	assert_int_equal(strlen(why_last()), WHY_MAX - 1);
	for (size_t n = WHY_MAX - 8; n < WHY_MAX; n++) {
		longer[n] = 0;
		refuse(EINVAL, "%s", longer);
		why_add(-EINVAL, "more");
		assert_true(strlen(why_last()) < WHY_MAX);
		assert_true(strlen(why_last()) >= n);
		longer[n] = 'x';
	}
}

static void *other_thread(void *arg)
{
	bool *ok = arg;

	*ok = why_last()[0] == 0;
	refuse(EIO, "other");
	return NULL;
}

static void refuse__other_thread__its_own(void **state)
{
	bool ok = false;
	pthread_t t;

	(void)state;
	refuse(EINVAL, "mine");
	assert_int_equal(pthread_create(&t, NULL, other_thread, &ok), 0);
	pthread_join(t, NULL);
	assert_true(ok);
	assert_string_equal(why_last(), "mine");
}

struct seen {
	unsigned lines;
	enum log_level level;
	char line[64];
};

static void keep_line(void *arg, enum log_level level, const char *line)
{
	struct seen *s = arg;

	s->lines++;
	s->level = level;
	strncpy(s->line, line, sizeof(s->line) - 1);
}

static void log_line__sink__gets_it(void **state)
{
	struct seen s = { 0 };

	(void)state;
	log_line(LOG_ERROR, "nobody listens");
	log_set_sink(keep_line, &s);
	log_line(LOG_WARN, "pin %d of %s", 3, "vfio0");
	assert_int_equal(s.lines, 1);
	assert_int_equal(s.level, LOG_WARN);
	assert_string_equal(s.line, "pin 3 of vfio0");
	log_set_sink(NULL, NULL);
	log_line(LOG_WARN, "again nobody");
	assert_int_equal(s.lines, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuse__reason__kept_and_errno_negated),
		cmocka_unit_test(why_add__context__appended),
		cmocka_unit_test(refuse__too_long__cut),
		cmocka_unit_test(refuse__other_thread__its_own),
		cmocka_unit_test(log_line__sink__gets_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
