// SPDX-License-Identifier: MIT
/* Accounting: limits at the page, modes apart from each other, privilege. */
#include <errno.h>
#include <linux/capability.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fault.h"
#include "mem/account.h"

#define LIMIT 100u

static void set_limit(rlim_t pages)
{
	struct rlimit l;

	assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &l), 0);
	l.rlim_cur = pages == RLIM_INFINITY ? l.rlim_max : pages * 4096 + 4095;
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &l), 0);
}

static void account_charge__at_the_limit__exact(void **state)
{
	(void)state;
	set_limit(LIMIT);
	for (enum account_mode m = ACCOUNT_USER; m <= ACCOUNT_MM; m++) {
		assert_int_equal(account_charge(m, LIMIT + 1), -ENOMEM);
		assert_int_equal(account_charge(m, UINT64_MAX), -ENOMEM);
		assert_int_equal(account_locked(m), 0);
		assert_int_equal(account_charge(m, LIMIT - 1), 0);
		assert_int_equal(account_charge(m, 2), -ENOMEM);
		assert_int_equal(account_charge(m, 1), 0);
		assert_int_equal(account_charge(m, 1), -ENOMEM);
		assert_int_equal(account_charge(m, 0), 0);
		assert_int_equal(account_locked(m), LIMIT);
		assert_int_equal(account_pinned(), LIMIT);
		account_uncharge(m, LIMIT);
		assert_int_equal(account_locked(m), 0);
		assert_int_equal(account_pinned(), 0);
	}
}

static void account_charge__modes__separate_counters_one_statistic(void **state)
{
	(void)state;
	set_limit(LIMIT);
	assert_int_equal(account_charge(ACCOUNT_USER, LIMIT), 0);
	assert_int_equal(account_charge(ACCOUNT_MM, LIMIT), 0);
	assert_int_equal(account_charge(ACCOUNT_NONE, 5 * LIMIT), 0);
	assert_int_equal(account_locked(ACCOUNT_NONE), 0);
	assert_int_equal(account_pinned(), 7 * LIMIT);
	account_uncharge(ACCOUNT_NONE, 5 * LIMIT);
	account_uncharge(ACCOUNT_USER, LIMIT);
	account_uncharge(ACCOUNT_MM, LIMIT);
	assert_int_equal(account_pinned(), 0);
}

static void account_charge__lowered_limit__refuses_until_below(void **state)
{
	(void)state;
	set_limit(LIMIT);
	assert_int_equal(account_charge(ACCOUNT_MM, LIMIT), 0);
	set_limit(LIMIT / 2);
	assert_int_equal(account_charge(ACCOUNT_MM, 1), -ENOMEM);
	account_uncharge(ACCOUNT_MM, LIMIT / 2 + 1);
	assert_int_equal(account_charge(ACCOUNT_MM, 1), 0);
	account_uncharge(ACCOUNT_MM, LIMIT / 2);
	set_limit(RLIM_INFINITY);
}

static void account_charge__fault__enomem_nothing_charged(void **state)
{
	(void)state;
	fault_arm(1, false);
	assert_int_equal(account_charge(ACCOUNT_NONE, 1), -ENOMEM);
	fault_disarm(NULL);
	assert_int_equal(account_pinned(), 0);
}

static void account_capable__privileged_or_as_the_kernel_says(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	assert_true(account_capable(CAP_IPC_LOCK));
	pid = fork();
	if (!pid) {
		struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
		struct __user_cap_data_struct d[2] = { { 0 } };
		bool had;

		account_set_privileged(false);
		syscall(SYS_capget, &h, d);
		had = d[0].effective & (1u << CAP_IPC_LOCK);
		if (account_capable(CAP_IPC_LOCK) != had)
			_exit(1);
		d[0].effective = d[1].effective = 0;
		syscall(SYS_capset, &h, d);
		if (account_capable(CAP_IPC_LOCK) || account_capable(CAP_SYS_RESOURCE) ||
		    account_capable(-1) || account_capable(64))
			_exit(2);
		account_set_privileged(true);
		_exit(account_capable(CAP_SYS_RESOURCE) ? 0 : 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void *charge_often(void *arg)
{
	(void)arg;
	for (int i = 0; i < 20000; i++)
		if (!account_charge(ACCOUNT_USER, 3))
			account_uncharge(ACCOUNT_USER, 3);
	return NULL;
}

static void account_charge__many_threads__back_to_zero(void **state)
{
	pthread_t t[4];

	(void)state;
	set_limit(7);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, charge_often, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	set_limit(RLIM_INFINITY);
	assert_int_equal(account_pinned(), 0);
	assert_int_equal(account_locked(ACCOUNT_USER), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(account_charge__at_the_limit__exact),
		cmocka_unit_test(account_charge__modes__separate_counters_one_statistic),
		cmocka_unit_test(account_charge__lowered_limit__refuses_until_below),
		cmocka_unit_test(account_charge__fault__enomem_nothing_charged),
		cmocka_unit_test(account_capable__privileged_or_as_the_kernel_says),
		cmocka_unit_test(account_charge__many_threads__back_to_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
