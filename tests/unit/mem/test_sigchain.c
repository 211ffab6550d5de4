// SPDX-License-Identifier: MIT
/*
 * Signal chain: what a client sees of SIGSEGV and SIGBUS. Every case runs in a child, because
 * dispositions belong to the process and some cases end it.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bits.h"
#include "mem/guard.h"
#include "mem/sigchain.h"

/* Runs @fn in a child; its result is the exit status, negative: the signal that ended it. */
static int in_child(int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		alarm(20);
		if (guard_init())
			_exit(99);
		_exit(fn());
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static volatile char *bad; /* inaccessible page */
static sigjmp_buf back;
static volatile int seen, seen_code, nested;
static void *volatile seen_addr;

static volatile char *bad_page(void)
{
	return mmap(NULL, PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static bool guard_works(void)
{
	char c;

	return guard_copy(&c, (const void *)bad, 1) == -EFAULT;
}

static int set(int sig, void *handler, int flags)
{
	struct sigaction sa;

	memset(&sa, 0, sizeof(sa));
	if (flags & SA_SIGINFO)
		sa.sa_sigaction = (void (*)(int, siginfo_t *, void *))handler;
	else
		sa.sa_handler = (void (*)(int))handler;
	sa.sa_flags = flags;
	return sigchain_action(sig, &sa, NULL);
}

static void repair(int sig, siginfo_t *si, void *uc)
{
	(void)uc;
	seen += sig == SIGSEGV;
	seen_code = si->si_code;
	seen_addr = si->si_addr;
	mprotect((void *)bad, PAGE_SIZE, PROT_READ | PROT_WRITE);
}

static int client_handler_repairs(void)
{
	bad = bad_page();
	if (set(SIGSEGV, (void *)repair, SA_SIGINFO) || !guard_works() || seen)
		return 1;
	*bad = 1;
	return seen == 1 && seen_code == SEGV_ACCERR && seen_addr == (void *)bad ? 0 : 2;
}

static void jump(int sig)
{
	(void)sig;
	seen++;
	siglongjmp(back, 1);
}

/* A program that probes memory: every fault is left by siglongjmp, forever. */
static int handler_leaves_by_longjmp(void)
{
	bad = bad_page();
	set(SIGSEGV, (void *)jump, 0);
	for (volatile int i = 0; i < 50; i++) {
		if (!sigsetjmp(back, 1))
			*bad = 1;
		if (!guard_works())
			return 1;
	}
	return seen == 50 ? 0 : 2;
}

static int handler_leaves_by_longjmp_on_altstack(void)
{
	stack_t st = { .ss_sp = malloc(65536), .ss_size = 65536 };

	sigaltstack(&st, NULL);
	bad = bad_page();
	set(SIGSEGV, (void *)jump, SA_ONSTACK);
	for (volatile int i = 0; i < 50; i++) {
		if (!sigsetjmp(back, 1))
			*bad = 1;
		if (!guard_works())
			return 1;
	}
	return seen == 50 ? 0 : 2;
}

static int one_shot_handler(void)
{
	struct sigaction now;

	bad = bad_page();
	set(SIGSEGV, (void *)repair, SA_SIGINFO | SA_RESETHAND);
	*bad = 1;
	sigchain_action(SIGSEGV, NULL, &now);
	if (seen != 1 || now.sa_handler != SIG_DFL || !(now.sa_flags & SA_RESETHAND))
		return 1;
	bad = bad_page();
	if (!guard_works())
		return 2;
	*bad = 1; /* dies */
	return 3;
}

static int default_action(void)
{
	bad = bad_page();
	if (!guard_works())
		return 1;
	*bad = 1;
	return 2;
}

static int default_action_sigbus(void)
{
	int fd = memfd_create("x", 0);
	volatile char *p = mmap(NULL, PAGE_SIZE, PROT_READ, MAP_SHARED, fd, 0);

	return *p + 2;
}

static int ignored_fault_kills(void)
{
	bad = bad_page();
	set(SIGSEGV, (void *)SIG_IGN, 0);
	*bad = 1;
	return 1;
}

static int ignored_kill_is_ignored(void)
{
	bad = bad_page();
	set(SIGSEGV, (void *)SIG_IGN, 0);
	kill(getpid(), SIGSEGV);
	return guard_works() ? 0 : 1;
}

static int sent_signal_default(void)
{
	kill(getpid(), SIGBUS);
	sleep(1);
	return 1;
}

static void count(int sig)
{
	(void)sig;
	seen++;
}

static int sent_signal_handled(void)
{
	set(SIGBUS, (void *)count, 0);
	kill(getpid(), SIGBUS);
	return seen == 1 ? 0 : 1;
}

/* Blocked in the client's eyes: faults kill, sent signals wait, the guard goes on. */
static int blocked_then_unblocked(void)
{
	sigset_t s, old;

	bad = bad_page();
	set(SIGSEGV, (void *)count, 0);
	sigemptyset(&s);
	sigaddset(&s, SIGSEGV);
	sigaddset(&s, SIGUSR2);
	if (sigchain_mask(SIG_BLOCK, &s, &old) || sigismember(&old, SIGSEGV))
		return 1;
	pthread_sigmask(SIG_BLOCK, NULL, &old); /* the real one */
	if (sigismember(&old, SIGSEGV) || !sigismember(&old, SIGUSR2))
		return 2;
	sigchain_mask(SIG_BLOCK, NULL, &old);
	if (!sigismember(&old, SIGSEGV) || !sigismember(&old, SIGUSR2) || sigismember(&old, SIGBUS))
		return 3;
	kill(getpid(), SIGSEGV);
	if (seen || !guard_works())
		return 4;
	sigchain_mask(SIG_UNBLOCK, &s, NULL);
	return seen == 1 ? 0 : 5;
}

static int blocked_fault_kills(void)
{
	sigset_t s;

	bad = bad_page();
	set(SIGSEGV, (void *)count, 0);
	sigfillset(&s);
	sigchain_mask(SIG_SETMASK, &s, NULL);
	if (!guard_works())
		return 1;
	*bad = 1;
	return 2;
}

static void fault_again(int sig)
{
	(void)sig;
	nested++;
	if (nested > 100)
		_exit(77);
	*bad = 1;
}

static int handler_that_faults(void)
{
	bad = bad_page();
	set(SIGSEGV, (void *)fault_again, 0);
	*bad = 1;
	return 1;
}

static volatile int masked;

static void look_at_mask(int sig)
{
	sigset_t now;

	(void)sig;
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	masked = sigismember(&now, SIGUSR1) && !sigismember(&now, SIGSEGV);
	seen++;
	mprotect((void *)bad, PAGE_SIZE, PROT_READ | PROT_WRITE);
}

static int handler_mask_is_applied(void)
{
	struct sigaction sa = { .sa_handler = look_at_mask };
	sigset_t now;

	bad = bad_page();
	sigfillset(&sa.sa_mask);
	sigchain_action(SIGSEGV, &sa, NULL);
	*bad = 1;
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	return seen == 1 && masked && !sigismember(&now, SIGUSR1) ? 0 : 1;
}

/* A handler of another signal with everything in its mask must not block ours. */
static void guard_in_handler(int sig)
{
	(void)sig;
	seen = guard_works();
}

static int other_signals_handler(void)
{
	struct sigaction sa = { .sa_handler = guard_in_handler }, old;

	bad = bad_page();
	sigfillset(&sa.sa_mask);
	if (sigchain_action(SIGUSR1, &sa, NULL))
		return 1;
	raise(SIGUSR1);
	if (!seen || sigchain_action(SIGUSR1, NULL, &old) || old.sa_handler != guard_in_handler)
		return 2;
	return sigchain_action(SIGKILL, &sa, NULL) == -EINVAL &&
			       sigchain_action(0, &sa, NULL) == -EINVAL &&
			       sigchain_action(32, &sa, NULL) == -EINVAL &&
			       sigchain_action(65, NULL, NULL) == -EINVAL
		       ? 0
		       : 3;
}

static bool region_fix(siginfo_t *si, ucontext_t *uc)
{
	(void)uc;
	if (si->si_addr != (void *)bad)
		return false;
	nested++;
	mprotect((void *)bad, PAGE_SIZE, PROT_READ | PROT_WRITE);
	return true;
}

static int region_handler_first(void)
{
	set(SIGSEGV, (void *)repair, SA_SIGINFO);
	bad = bad_page();
	if (sigchain_add_region_handler(region_fix))
		return 1;
	*bad = 1;
	for (int i = 1; i < 8; i++)
		if (sigchain_add_region_handler(region_fix))
			return 2;
	return nested == 1 && !seen && sigchain_add_region_handler(region_fix) == -ENOSPC ? 0 : 3;
}

/* Somebody goes past us and replaces the handler: init puts ours in front of it again. */
static int taken_back(void)
{
	bad = bad_page();
	signal(SIGSEGV, count);
	if (guard_init() || !guard_works() || seen)
		return 1;
	kill(getpid(), SIGSEGV);
	return seen == 1 ? 0 : 2;
}

static int wish_is_inherited(void)
{
	sigchain_set_wish(1);
	return sigchain_wish() == 1 ? 0 : 1;
}

#define OK(fn, want)                                  \
	static void sigchain__##fn(void **state)      \
	{                                             \
		(void)state;                          \
		assert_int_equal(in_child(fn), want); \
	}
OK(client_handler_repairs, 0)
OK(handler_leaves_by_longjmp, 0)
OK(handler_leaves_by_longjmp_on_altstack, 0)
OK(one_shot_handler, -SIGSEGV)
OK(default_action, -SIGSEGV)
OK(default_action_sigbus, -SIGBUS)
OK(ignored_fault_kills, -SIGSEGV)
OK(ignored_kill_is_ignored, 0)
OK(sent_signal_default, -SIGBUS)
OK(sent_signal_handled, 0)
OK(blocked_then_unblocked, 0)
OK(blocked_fault_kills, -SIGSEGV)
OK(handler_that_faults, -SIGSEGV)
OK(handler_mask_is_applied, 0)
OK(other_signals_handler, 0)
OK(region_handler_first, 0)
OK(taken_back, 0)
OK(wish_is_inherited, 0)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sigchain__client_handler_repairs),
		cmocka_unit_test(sigchain__handler_leaves_by_longjmp),
		cmocka_unit_test(sigchain__handler_leaves_by_longjmp_on_altstack),
		cmocka_unit_test(sigchain__one_shot_handler),
		cmocka_unit_test(sigchain__default_action),
		cmocka_unit_test(sigchain__default_action_sigbus),
		cmocka_unit_test(sigchain__ignored_fault_kills),
		cmocka_unit_test(sigchain__ignored_kill_is_ignored),
		cmocka_unit_test(sigchain__sent_signal_default),
		cmocka_unit_test(sigchain__sent_signal_handled),
		cmocka_unit_test(sigchain__blocked_then_unblocked),
		cmocka_unit_test(sigchain__blocked_fault_kills),
		cmocka_unit_test(sigchain__handler_that_faults),
		cmocka_unit_test(sigchain__handler_mask_is_applied),
		cmocka_unit_test(sigchain__other_signals_handler),
		cmocka_unit_test(sigchain__region_handler_first),
		cmocka_unit_test(sigchain__taken_back),
		cmocka_unit_test(sigchain__wish_is_inherited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
