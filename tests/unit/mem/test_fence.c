// SPDX-License-Identifier: MIT
/* DMA fence: slots come and go with threads, a wait ends when the sections of its tag did. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fault.h"
#include "mem/fence.h"

static _Atomic int stage, freed;

static void nap(long us)
{
	struct timespec ts = { .tv_nsec = us * 1000 };

	nanosleep(&ts, NULL);
}

static void fence_tag_new__many__all_differ(void **state)
{
	uint32_t last = fence_tag_new();

	(void)state;
	assert_int_not_equal(last, 0);
	for (int i = 0; i < 1000; i++) {
		uint32_t tag = fence_tag_new();

		assert_true(tag > last);
		last = tag;
	}
}

static void *use_slot(void *arg)
{
	struct fence_slot *s = fence_slot();

	if (s != fence_slot())
		return NULL;
	fence_enter(s, 9);
	fence_exit(s);
	s->cache = arg;
	return s;
}

static void on_cache(void *cache)
{
	atomic_fetch_add((_Atomic int *)cache, 1);
}

static void fence_slot__thread_ends__slot_is_used_again_and_cache_freed(void **state)
{
	void *first = NULL;

	(void)state;
	fence_set_cache_free(on_cache);
	assert_non_null(fence_slot());
	for (int i = 0; i < 50; i++) {
		pthread_t t;
		void *slot;

		assert_int_equal(pthread_create(&t, NULL, use_slot, &freed), 0);
		pthread_join(t, &slot);
		assert_non_null(slot);
		assert_ptr_not_equal(slot, fence_slot());
		if (!first)
			first = slot;
		assert_ptr_equal(slot, first);
	}
	assert_int_equal(freed, 50);
	fence_set_cache_free(NULL);
}

struct holder {
	pthread_t thread;
	uint32_t tag;
	_Atomic int inside, leave;
};

static void *hold(void *arg)
{
	struct holder *h = arg;
	struct fence_slot *s = fence_slot();

	fence_enter(s, h->tag);
	atomic_store(&h->inside, 1);
	while (!atomic_load(&h->leave))
		nap(100);
	atomic_store(&stage, 1);
	fence_exit(s);
	/* Sections that come later do not hold a wait up. */
	while (atomic_load(&h->leave) < 2) {
		fence_enter(s, h->tag);
		fence_exit(s);
	}
	return NULL;
}

static void *let_go_later(void *arg)
{
	nap(20000);
	atomic_store(&((struct holder *)arg)->leave, 1);
	return NULL;
}

static void wait_case(uint32_t tag, bool all, bool waits)
{
	struct holder h = { .tag = 5000 };
	pthread_t t;

	atomic_store(&stage, 0);
	pthread_create(&h.thread, NULL, hold, &h);
	while (!atomic_load(&h.inside))
		nap(100);
	pthread_create(&t, NULL, let_go_later, &h);
	if (all)
		fence_wait_all();
	else
		fence_wait(tag);
	if (waits)
		assert_int_equal(atomic_load(&stage), 1);
	else
		assert_int_equal(atomic_load(&stage), 0);
	pthread_join(t, NULL);
	atomic_store(&h.leave, 2);
	pthread_join(h.thread, NULL);
}

static void fence_wait__section_of_the_tag__waits_for_it_only(void **state)
{
	(void)state;
	wait_case(5000, false, true);
	wait_case(5001, false, false);
	wait_case(0, true, true);
}

static void fence_wait__own_section__does_not_wait_for_itself(void **state)
{
	struct fence_slot *s = fence_slot();

	(void)state;
	fence_enter(s, 3);
	fence_wait(3);
	fence_wait_all();
	fence_exit(s);
}

static void fence_slot__no_memory__null_then_works(void **state)
{
	(void)state;
	/* The page of slots is not used up: a claim needs none. */
	fault_arm(1, true);
	assert_non_null(fence_slot_claim());
	fault_disarm(NULL);
}

static void fence__fork_child__others_sections_are_gone(void **state)
{
	struct holder h = { .tag = 77 };
	int status;
	pid_t pid;

	(void)state;
	pthread_create(&h.thread, NULL, hold, &h);
	while (!atomic_load(&h.inside))
		nap(100);
	pid = fork();
	if (!pid) {
		alarm(5);
		fence_wait(77);
		fence_wait_all();
		_exit(fence_slot() ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	atomic_store(&h.leave, 2);
	pthread_join(h.thread, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fence_tag_new__many__all_differ),
		cmocka_unit_test(fence_slot__thread_ends__slot_is_used_again_and_cache_freed),
		cmocka_unit_test(fence_wait__section_of_the_tag__waits_for_it_only),
		cmocka_unit_test(fence_wait__own_section__does_not_wait_for_itself),
		cmocka_unit_test(fence_slot__no_memory__null_then_works),
		cmocka_unit_test(fence__fork_child__others_sections_are_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
