/* SPDX-License-Identifier: MIT */
/*
 * SIGSEGV and SIGBUS: one handler of ours in front, the client's behind it.
 *
 * The kernel always has our handler for these two, and no thread ever blocks them in reality;
 * what the client asked for is remembered, reported back and obeyed when the signal is for it. A
 * preload sends the client's sigaction, signal and mask calls here. None of this touches errno.
 *
 * A fault is offered to: the guarded routines (by instruction), then the region handlers, then
 * the client's disposition as Linux would apply it.
 */
#ifndef MEM_SIGCHAIN_H
#define MEM_SIGCHAIN_H

#include <signal.h>
#include <ucontext.h>

#include "base/compiler.h"

/*
 * Puts our handlers in front of whatever stands there now, which becomes the client's action.
 * Thread-safe; to be called again where somebody may have replaced them (a program that embeds
 * the library without the preload). The kernel's error (never seen).
 */
int sigchain_init(void);

/*
 * sigchain_action() - sigaction(2) as the client means it, for any signal
 * @act: NULL to ask only; @old: NULL or where the client's previous action goes
 *
 * For SIGSEGV and SIGBUS only the record changes. For every other signal it is the system call,
 * with those two taken out of sa_mask.
 *
 * Return: 0; -EINVAL for a bad signal, SIGKILL, SIGSTOP or one that libc keeps for itself
 */
int sigchain_action(int sig, const struct sigaction *act, struct sigaction *old);

/* pthread_sigmask(3) as the client means it, for the calling thread. 0 or -EINVAL. */
int sigchain_mask(int how, const sigset_t *set, sigset_t *old);

/* Takes SIGSEGV and SIGBUS out of @set (for sigsuspend, ppoll, sa_mask and the like). */
void sigchain_strip(sigset_t *set);

/* What this thread wishes to block of the two: a new thread inherits it from its creator. */
uint32_t sigchain_wish(void);
void sigchain_set_wish(uint32_t wish);

/*
 * Adds a handler of faults in regions of ours (memory-mapped registers). It runs in the faulting
 * thread as a signal handler; true: the access was performed, @uc says where to go on. It stays
 * for the life of the process. It may turn si_signo from one of the two into the other (SIGSEGV on
 * a mapping that is a device's becomes SIGBUS) and answer false. -ENOSPC: all slots are taken.
 */
typedef bool (*sigchain_region_fn)(siginfo_t *si, ucontext_t *uc);
int sigchain_add_region_handler(sigchain_region_fn fn);

#endif
