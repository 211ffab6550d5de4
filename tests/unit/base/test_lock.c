// SPDX-License-Identifier: MIT
/* Do the locks exclude, wake up and check their ranks? */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/lock.h"

#define THREADS 4u
#define LOOPS   30000u

/* Runs @fn in a child; whether it died of SIGABRT. */
static bool aborts(void (*fn)(void))
{
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		const struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		if (!freopen("/dev/null", "w", stderr))
			_exit(1);
		signal(SIGABRT, SIG_DFL);
		fn();
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void run_threads(void *(*fn)(void *), void *arg)
{
	pthread_t t[THREADS];

	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, fn, arg), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
}

static void nap_ms(unsigned ms)
{
	struct timespec ts = { .tv_nsec = ms * 1000000l };

	nanosleep(&ts, NULL);
}

struct shared {
	struct mtx m;
	struct rwl l;
	uint64_t a, b; /* equal whenever the lock is free */
	_Atomic uint32_t readers, most_readers;
	_Atomic bool bad;
};

static void *count_mtx(void *arg)
{
	struct shared *s = arg;

	for (unsigned i = 0; i < LOOPS; i++) {
		if (i % 16 == 0) {
			while (!mtx_trylock(&s->m))
				cpu_relax();
		} else {
			mtx_lock(&s->m);
		}
		if (s->a != s->b)
			s->bad = true;
		s->a++;
		s->b++;
		mtx_unlock(&s->m);
	}
	return NULL;
}

static void mtx_lock__threads__one_at_a_time(void **state)
{
	struct shared s = { .m = MTX_INIT(LOCK_IOVA) };

	(void)state;
	run_threads(count_mtx, &s);
	assert_false(s.bad);
	assert_int_equal(s.a, THREADS * LOOPS);
	assert_int_equal(s.m.word, 0);
}

static void *hold_long(void *arg)
{
	struct shared *s = arg;

	for (unsigned i = 0; i < 20; i++) {
		mtx_lock(&s->m);
		s->a++;
		nap_ms(1); /* longer than anybody spins: the others sleep */
		mtx_unlock(&s->m);
	}
	return NULL;
}

static void mtx_unlock__sleepers__woken(void **state)
{
	struct shared s = { .m = MTX_INIT(LOCK_NONE) };

	(void)state;
	run_threads(hold_long, &s);
	assert_int_equal(s.a, THREADS * 20);
	assert_int_equal(s.m.word, 0);
}

static void mtx_trylock__held__false(void **state)
{
	struct mtx m;

	(void)state;
	mtx_init(&m, LOCK_PAGES);
	assert_true(mtx_trylock(&m));
	assert_false(mtx_trylock(&m));
	assert_int_equal(lock_rank_holds(LOCK_PAGES), LOCK_CHECK);
	lock_assert_held(&m);
	mtx_unlock(&m);
	assert_false(lock_rank_holds(LOCK_PAGES));
	assert_true(mtx_trylock(&m));
	mtx_unlock(&m);
}

static void *mix_rwl(void *arg)
{
	struct shared *s = arg;
	uint32_t x = (uint32_t)(uintptr_t)&x;

	for (unsigned i = 0; i < LOOPS; i++) {
		x = x * 1664525 + 1013904223;
		if (x >> 29 == 0) {
			rwl_wrlock(&s->l);
			if (s->readers || s->a != s->b)
				s->bad = true;
			s->a++;
			if (x >> 20 & 1)
				cpu_relax();
			s->b++;
			rwl_wrunlock(&s->l);
			continue;
		}
		rwl_rdlock(&s->l);
		s->readers++;
		if (s->a != s->b)
			s->bad = true;
		s->readers--;
		rwl_rdunlock(&s->l);
	}
	return NULL;
}

static void rwl__threads__writers_alone(void **state)
{
	struct shared s = { .l = RWL_INIT(LOCK_DOMAINS) };

	(void)state;
	run_threads(mix_rwl, &s);
	assert_false(s.bad);
	assert_int_equal(s.a, s.b);
	assert_int_equal(s.l.word & ~RWL_WAITING, 0);
}

static void *sleep_rwl(void *arg)
{
	struct shared *s = arg;

	for (unsigned i = 0; i < 15; i++) {
		rwl_wrlock(&s->l);
		s->a++;
		nap_ms(1);
		s->b++;
		rwl_wrunlock(&s->l);
		rwl_rdlock(&s->l);
		if (s->a != s->b)
			s->bad = true;
		nap_ms(1);
		rwl_rdunlock(&s->l);
	}
	return NULL;
}

static void rwl_unlock__sleepers_of_both_kinds__woken(void **state)
{
	struct shared s = { .l = RWL_INIT(LOCK_NONE) };

	(void)state;
	run_threads(sleep_rwl, &s);
	assert_false(s.bad);
	assert_int_equal(s.a, THREADS * 15);
}

static void *read_together(void *arg)
{
	struct shared *s = arg;

	rwl_rdlock(&s->l);
	s->readers++;
	/* All get in while all hold: or this never ends, and the test times out. */
	while (s->readers < THREADS)
		cpu_relax();
	rwl_rdunlock(&s->l);
	return NULL;
}

static void rwl_rdlock__readers__share(void **state)
{
	struct shared s = { .l = RWL_INIT(LOCK_NONE) };

	(void)state;
	run_threads(read_together, &s);
	assert_int_equal(s.readers, THREADS);
	assert_int_equal(s.l.word, 0);
}

static void *one_writer(void *arg)
{
	struct shared *s = arg;

	rwl_wrlock(&s->l);
	s->a = 1;
	rwl_wrunlock(&s->l);
	return NULL;
}

static void *one_reader(void *arg)
{
	struct shared *s = arg;

	rwl_rdlock(&s->l);
	s->b = s->a;
	rwl_rdunlock(&s->l);
	return NULL;
}

static void rwl_rdlock__writer_waits__reader_comes_after_it(void **state)
{
	struct shared s = { .l = RWL_INIT(LOCK_NONE) };
	pthread_t w, r;

	(void)state;
	rwl_rdlock(&s.l);
	pthread_create(&w, NULL, one_writer, &s);
	while (!(atomic_load(&s.l.word) & RWL_WAITING))
		nap_ms(1);
	pthread_create(&r, NULL, one_reader, &s);
	nap_ms(20);
	assert_int_equal(atomic_load(&s.l.word) & ~(RWL_WRITER | RWL_WAITING),
			 1); /* only we are in */
	rwl_rdunlock(&s.l);
	pthread_join(w, NULL);
	pthread_join(r, NULL);
	assert_int_equal(s.a, 1);
	assert_int_equal(s.l.word & ~RWL_WAITING, 0);
}

static void lock__contended__errno_untouched(void **state)
{
	struct shared s = { .m = MTX_INIT(LOCK_NONE) };
	_Atomic uint32_t word = 1;

	(void)state;
	errno = 4711;
	futex_wait(&word, 0);       /* EAGAIN */
	futex_wait_ms(&word, 1, 2); /* ETIMEDOUT */
	futex_wake(&word, 1);
	mtx_lock(&s.m);
	mtx_unlock(&s.m);
	assert_int_equal(errno, 4711);
}

static void lock_inverted(void)
{
	struct mtx outer = MTX_INIT(LOCK_IOVA), inner = MTX_INIT(LOCK_PAGES);

	mtx_lock(&inner);
	mtx_lock(&outer);
}

static void lock_inverted_rw(void)
{
	struct rwl outer = RWL_INIT(LOCK_IOVA);
	struct mtx inner = MTX_INIT(LOCK_PAGES);

	mtx_lock(&inner);
	rwl_rdlock(&outer);
}

static void lock_same_rank(void)
{
	struct mtx a = MTX_INIT(LOCK_IOVA), b = MTX_INIT(LOCK_IOVA);

	mtx_lock(&a);
	mtx_lock(&b);
}

static void lock_below_tried(void)
{
	struct mtx a = MTX_INIT(LOCK_PAGES), b = MTX_INIT(LOCK_IOVA);

	if (mtx_trylock(&a))
		mtx_lock(&b);
}

static void unlock_not_held(void)
{
	struct mtx a = MTX_INIT(LOCK_IOVA);

	mtx_unlock(&a);
}

static void assert_held_free(void)
{
	struct mtx a = MTX_INIT(LOCK_IOVA);

	lock_assert_held(&a);
}

static void lock__rank_broken__aborts_in_debug(void **state)
{
	(void)state;
	if (!LOCK_CHECK) {
		print_message("# ranks are checked in debug builds only (-Db_ndebug=false)\n");
		skip();
	}
	assert_true(aborts(lock_inverted));
	assert_true(aborts(lock_inverted_rw));
	assert_true(aborts(lock_same_rank));
	assert_true(aborts(lock_below_tried));
	assert_true(aborts(unlock_not_held));
	assert_true(aborts(assert_held_free));
}

static void lock__rank_kept__any_order_of_release(void **state)
{
	struct mtx a = MTX_INIT(LOCK_IOVA), b = MTX_INIT(LOCK_PAGES), c = MTX_INIT(LOCK_LOG);
	struct mtx free1 = MTX_INIT(LOCK_NONE), free2 = MTX_INIT(LOCK_NONE);

	(void)state;
	mtx_lock(&a);
	mtx_lock(&b);
	mtx_lock(&c);
	mtx_lock(&free1);
	mtx_lock(&free2);
	mtx_unlock(&b);
	assert_false(lock_rank_holds(LOCK_PAGES));
	assert_int_equal(lock_rank_holds(LOCK_IOVA), LOCK_CHECK);
	mtx_unlock(&free1);
	mtx_unlock(&c);
	mtx_lock(&b); /* above a again */
	mtx_unlock(&a);
	mtx_unlock(&b);
	mtx_unlock(&free2);
	/* A try may go against the order: it cannot wait. */
	mtx_lock(&b);
	assert_true(mtx_trylock(&a));
	mtx_unlock(&b);
	mtx_unlock(&a);
	for (unsigned r = LOCK_NONE; r <= LOCK_LOG; r++)
		assert_false(lock_rank_holds(r));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mtx_lock__threads__one_at_a_time),
		cmocka_unit_test(mtx_unlock__sleepers__woken),
		cmocka_unit_test(mtx_trylock__held__false),
		cmocka_unit_test(rwl__threads__writers_alone),
		cmocka_unit_test(rwl_unlock__sleepers_of_both_kinds__woken),
		cmocka_unit_test(rwl_rdlock__readers__share),
		cmocka_unit_test(rwl_rdlock__writer_waits__reader_comes_after_it),
		cmocka_unit_test(lock__contended__errno_untouched),
		cmocka_unit_test(lock__rank_broken__aborts_in_debug),
		cmocka_unit_test(lock__rank_kept__any_order_of_release),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
