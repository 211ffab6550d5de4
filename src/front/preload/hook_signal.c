// SPDX-License-Identifier: MIT
/* Hooks: signal dispositions and masks. Ours stays in front for SIGSEGV and SIGBUS. */
#include "front/preload/preload.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "mem/sigchain.h"

static bool guarded(int sig)
{
	return (sig == SIGSEGV || sig == SIGBUS) && preload_signals();
}

/* Of other signals, the mask of the handler is ours to see: it may block neither of the two. */
API int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	struct sigaction stripped;

	if (guarded(sig))
		return (int)edge_ret(sigchain_action(sig, act, old));
	if (act && preload_signals()) {
		stripped = *act;
		sigchain_strip(&stripped.sa_mask);
		act = &stripped;
	}
	return NEXT(sigaction)(sig, act, old);
}

static sighandler_t set_handler(int sig, sighandler_t fn, int flags)
{
	struct sigaction act, old;

	memset(&act, 0, sizeof(act));
	act.sa_handler = fn;
	act.sa_flags = flags;
	sigemptyset(&act.sa_mask);
	if (sigaction(sig, &act, &old))
		return SIG_ERR;
	return old.sa_handler;
}

API sighandler_t signal(int sig, sighandler_t fn)
{
	return guarded(sig) ? set_handler(sig, fn, SA_RESTART) : NEXT(signal)(sig, fn);
}

sighandler_t bsd_signal(int sig, sighandler_t fn);

API sighandler_t bsd_signal(int sig, sighandler_t fn)
{
	return signal(sig, fn);
}

API sighandler_t sysv_signal(int sig, sighandler_t fn)
{
	return guarded(sig) ? set_handler(sig, fn, (int)(SA_RESETHAND | SA_NODEFER))
			    : NEXT(sysv_signal)(sig, fn);
}

API sighandler_t __sysv_signal(int sig, sighandler_t fn)
{
	return sysv_signal(sig, fn);
}

API sighandler_t ssignal(int sig, sighandler_t fn)
{
	return signal(sig, fn);
}

API int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	if (!preload_signals())
		return NEXT(pthread_sigmask)(how, set, old);
	return -sigchain_mask(how, set, old);
}

API int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	if (!preload_signals())
		return NEXT(sigprocmask)(how, set, old);
	return (int)edge_ret(sigchain_mask(how, set, old));
}
