// SPDX-License-Identifier: MIT
/*
 * Signal chain: who gets a SIGSEGV or SIGBUS.
 *
 * The client's actions are read by signal handlers, so they sit behind a sequence count: a writer
 * (one at a time, with every signal blocked) makes it odd, a reader starts over when it saw a
 * change.
 */
#include "mem/sigchain.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/lock.h"
#include "base/sys.h"
#include "base/why.h"
#include "mem/guard.h"

/* The kernel's struct sigaction; its signal set is one word. */
struct kact {
	void *handler;
	unsigned long flags;
	void *restorer;
	uint64_t mask;
};

#define KACT_RESTORER 0x04000000ul
#define LIBC_SIGNALS  (1ull << 31 | 1ull << 32) /* 32 and 33: libc's own, as libc treats them */
#define BIT(sig)      (1ull << ((sig)-1))
#define OURS          (BIT(SIGSEGV) | BIT(SIGBUS))
#define REGION_MAX    8
#define NEST_MAX      8 /* faults inside handlers of faults before the default strikes */
#define FRAME_MAGIC   0x5ca1ab1e0ddba11ull

struct client {
	_Atomic uint32_t seq; /* odd: being written */
	struct kact act;
};

/* One running client handler, on the stack that it runs on. */
struct frame {
	uint64_t magic;
	const struct frame *prev;
	unsigned depth;
};

static struct client clients[2]; /* SIGSEGV, SIGBUS */
static _Atomic uint32_t writing; /* spin lock of the writers */
static _Atomic bool ready;
static _Atomic(sigchain_region_fn) regions[REGION_MAX];

/* Initial-exec: a signal handler must not allocate. */
#define TLS _Thread_local __attribute__((tls_model("initial-exec")))
static TLS uint32_t wish;               /* bit 0 SIGSEGV, bit 1 SIGBUS: the client blocked it */
static TLS uint32_t pending;            /* came while blocked by wish */
static TLS const struct frame *running; /* innermost client handler; may be stale (longjmp) */

/* AddressSanitizer would move locals to a heap of its own, where addresses tell no order. */
#define REAL_STACK __attribute__((no_sanitize_address))

static unsigned index_of(int sig)
{
	return sig == SIGBUS;
}

static uint64_t word_of(const sigset_t *set)
{
	uint64_t w;

	memcpy(&w, set, sizeof(w));
	return w;
}

static long raw_action(int sig, const struct kact *act, struct kact *old)
{
	return sys_call(SYS_rt_sigaction, sig, (long)act, (long)old, sizeof(uint64_t), 0, 0);
}

static long raw_mask(int how, const uint64_t *set, uint64_t *old)
{
	return sys_call(SYS_rt_sigprocmask, how, (long)set, (long)old, sizeof(uint64_t), 0, 0);
}

static void raise_here(int sig)
{
	long pid = sys_call(SYS_getpid, 0, 0, 0, 0, 0, 0);

	sys_call(SYS_tgkill, pid, sys_gettid(), sig, 0, 0, 0);
}

static void write_begin(struct client *c, uint64_t *saved)
{
	uint64_t all = ~0ull;

	raw_mask(SIG_BLOCK, &all, saved);
	while (atomic_exchange_explicit(&writing, 1, memory_order_acquire))
		cpu_relax();
	atomic_fetch_add_explicit(&c->seq, 1, memory_order_acq_rel);
}

static void write_end(struct client *c, const uint64_t *saved)
{
	atomic_fetch_add_explicit(&c->seq, 1, memory_order_release);
	atomic_store_explicit(&writing, 0, memory_order_release);
	raw_mask(SIG_SETMASK, saved, NULL);
}

/* Acquire loads and release stores: the sequence count then needs no fence. */
static void copy_act(struct kact *to, const struct kact *from)
{
	__atomic_store_n(&to->handler, __atomic_load_n(&from->handler, __ATOMIC_ACQUIRE),
			 __ATOMIC_RELEASE);
	__atomic_store_n(&to->flags, __atomic_load_n(&from->flags, __ATOMIC_ACQUIRE),
			 __ATOMIC_RELEASE);
	__atomic_store_n(&to->restorer, __atomic_load_n(&from->restorer, __ATOMIC_ACQUIRE),
			 __ATOMIC_RELEASE);
	__atomic_store_n(&to->mask, __atomic_load_n(&from->mask, __ATOMIC_ACQUIRE),
			 __ATOMIC_RELEASE);
}

static struct kact client_read(struct client *c)
{
	struct kact a;
	uint32_t before;

	do {
		before = atomic_load_explicit(&c->seq, memory_order_acquire);
		copy_act(&a, &c->act);
	} while ((before & 1) || before != atomic_load_explicit(&c->seq, memory_order_relaxed));
	return a;
}

static void client_write(struct client *c, const struct kact *act)
{
	uint64_t saved;

	write_begin(c, &saved);
	copy_act(&c->act, act);
	write_end(c, &saved);
}

/* Dies by @sig as the kernel would: with its default action, at the faulting instruction. */
static void die(int sig, bool synchronous)
{
	struct kact dfl = { .handler = (void *)SIG_DFL };

	raw_action(sig, &dfl, NULL);
	if (!synchronous)
		raise_here(sig);
}

/*
 * The innermost client handler that is interrupted by this one, NULL when none. A handler that
 * left by siglongjmp never tells, so a record counts only while it stands intact above both the
 * interrupted code and us: a stale one on an alternate stack is exactly where we are now, or
 * below. @copy: what it says.
 */
static const struct frame *interrupted(const ucontext_t *uc, struct frame *copy)
{
	uintptr_t floor = (uintptr_t)__builtin_frame_address(0);

#if defined(__x86_64__)
	if ((uintptr_t)uc->uc_mcontext.gregs[REG_RSP] > floor)
		floor = (uintptr_t)uc->uc_mcontext.gregs[REG_RSP];
#else
	(void)uc;
#endif
	for (const struct frame *f = running; f; f = copy->prev) {
		if (guard_copy(copy, f, sizeof(*copy)) || copy->magic != FRAME_MAGIC)
			return NULL;
		if ((uintptr_t)f > floor)
			return f;
		if (copy->prev && copy->prev <= f) /* overwritten: the chain only goes up */
			return NULL;
	}
	return NULL;
}

REAL_STACK static void call_client(const struct kact *a, int sig, siginfo_t *si, ucontext_t *uc)
{
	struct frame f, copy;
	const struct frame *outer;
	uint64_t block = a->mask & ~(OURS | LIBC_SIGNALS), seen, wished;
	uint32_t wish_before = wish;

	outer = interrupted(uc, &copy); /* before f is filled: a stale record may lie just there */
	f = (struct frame){ .magic = FRAME_MAGIC,
			    .prev = outer,
			    .depth = outer ? copy.depth + 1 : 0 };
	if (f.depth >= NEST_MAX) {
		die(sig, si->si_code > 0);
		return;
	}
	running = &f;
	/* The mask that the handler sees and may change, with what the client believes blocked. */
	memcpy(&seen, &uc->uc_sigmask, sizeof(seen));
	wished = (wish & 1 ? BIT(SIGSEGV) : 0) | (wish & 2 ? BIT(SIGBUS) : 0);
	seen |= wished;
	memcpy(&uc->uc_sigmask, &seen, sizeof(seen));
	if (block)
		raw_mask(SIG_BLOCK, &block, NULL);
	if (a->flags & SA_SIGINFO)
		((void (*)(int, siginfo_t *, void *))a->handler)(sig, si, uc);
	else
		((void (*)(int))a->handler)(sig);
	memcpy(&seen, &uc->uc_sigmask, sizeof(seen));
	wish = wish_before;
	if ((seen & OURS) != wished)
		wish = (seen & BIT(SIGSEGV) ? 1u : 0) | (seen & BIT(SIGBUS) ? 2u : 0);
	seen &= ~OURS;
	memcpy(&uc->uc_sigmask, &seen, sizeof(seen));
	running = f.prev;
	/* Through a volatile: a compiler may not drop the store to a dying frame. */
	*(volatile uint64_t *)&f.magic = 0;
}

/* @repeats: returning to the instruction raises @sig again, so its default action needs no help. */
static void chain(int sig, siginfo_t *si, ucontext_t *uc, bool repeats)
{
	struct client *c = &clients[index_of(sig)];
	struct kact a = client_read(c);
	bool synchronous = si->si_code > 0; /* else somebody sent it */

	if (wish & (1u << index_of(sig))) {
		if (synchronous) /* Linux kills who faults with the signal blocked */
			die(sig, repeats);
		else
			pending |= 1u << index_of(sig);
		return;
	}
	if (a.handler == (void *)SIG_DFL || (a.handler == (void *)SIG_IGN && synchronous)) {
		die(sig, repeats);
		return;
	}
	if (a.handler == (void *)SIG_IGN)
		return;
	if (a.flags & SA_RESETHAND) {
		struct kact once = a;

		once.handler = (void *)SIG_DFL;
		client_write(c, &once);
	}
	call_client(&a, sig, si, uc);
}

static void on_fault(int sig, siginfo_t *si, void *arg)
{
	ucontext_t *uc = arg;

#if defined(__x86_64__)
	/* Only what the processor raised: a kill() that lands inside a copy is the client's. */
	if (si->si_code > 0) {
		uintptr_t go = guard_fixup((uintptr_t)uc->uc_mcontext.gregs[REG_RIP]);

		if (go) {
			uc->uc_mcontext.gregs[REG_RIP] = (greg_t)go;
			return;
		}
	}
#endif
	if (si->si_code > 0)
		for (unsigned i = 0; i < REGION_MAX; i++) {
			sigchain_region_fn fn =
				atomic_load_explicit(&regions[i], memory_order_acquire);

			if (!fn)
				break;
			if (fn(si, uc))
				return;
		}
	chain(si->si_signo, si, uc, si->si_code > 0 && si->si_signo == sig);
}

#if defined(__x86_64__)
extern const char guard_sigreturn[];
#endif

static int install(int sig, unsigned long extra, struct kact *old)
{
	struct kact a = {
		.handler = (void *)on_fault,
		.flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | extra,
	};

#if defined(__x86_64__)
	a.flags |= KACT_RESTORER;
	a.restorer = (void *)(uintptr_t)guard_sigreturn;
#endif
	return (int)raw_action(sig, &a, old);
}

/* Ours goes in front of whatever stands there now. */
static int take(int sig)
{
	const unsigned long need = SA_SIGINFO | SA_NODEFER;
	struct kact cur;
	int rc = (int)raw_action(sig, NULL, &cur);

	if (rc || (cur.handler == (void *)on_fault && (cur.flags & need) == need))
		return rc;
	/* Record first: from the moment ours is in, a fault is chained. */
	if (cur.handler != (void *)on_fault)
		client_write(&clients[index_of(sig)], &cur);
	return install(sig, cur.flags & SA_RESTART, NULL);
}

int sigchain_init(void)
{
	uint64_t ours = OURS, was = 0;
	int rc = take(SIGSEGV);

	if (!rc)
		rc = take(SIGBUS);
	if (rc)
		return refuse(-rc, "sigaction for SIGSEGV or SIGBUS failed with %d", -rc);
	raw_mask(SIG_UNBLOCK, &ours, &was);
	wish |= (was & BIT(SIGSEGV) ? 1u : 0) | (was & BIT(SIGBUS) ? 2u : 0);
	atomic_store_explicit(&ready, true, memory_order_release);
	return 0;
}

static void to_kernel(struct kact *k, const struct sigaction *act)
{
	memset(k, 0, sizeof(*k));
	k->handler = (void *)act->sa_handler;
	k->flags = (unsigned)act->sa_flags;
	k->mask = word_of(&act->sa_mask);
}

static void to_client(struct sigaction *old, const struct kact *k)
{
	memset(old, 0, sizeof(*old));
	old->sa_handler = (void (*)(int))k->handler;
	old->sa_flags = (int)(k->flags & ~KACT_RESTORER);
	memcpy(&old->sa_mask, &k->mask, sizeof(k->mask));
}

static int foreign_action(int sig, const struct sigaction *act, struct sigaction *old)
{
	struct kact k, was;
	long rc;

	if (act) {
		to_kernel(&k, act);
		k.mask &= ~OURS;
#if defined(__x86_64__)
		k.flags |= KACT_RESTORER;
		k.restorer = (void *)(uintptr_t)guard_sigreturn;
#endif
	}
	rc = raw_action(sig, act ? &k : NULL, &was);
	if (rc)
		return refuse((int)-rc, "signal %d cannot have that action", sig);
	if (old)
		to_client(old, &was);
	return 0;
}

int sigchain_action(int sig, const struct sigaction *act, struct sigaction *old)
{
	struct client *c;
	struct kact k, was;

	if (sig <= 0 || sig > 64 || (LIBC_SIGNALS & BIT(sig)))
		return refuse(EINVAL, "signal %d does not exist or is the C library's", sig);
	if (!(OURS & BIT(sig)))
		return foreign_action(sig, act, old);
	c = &clients[index_of(sig)];
	if (!atomic_load_explicit(&ready, memory_order_acquire)) {
		int rc = sigchain_init();

		if (rc)
			return rc;
	}
	was = client_read(c);
	if (act) {
		to_kernel(&k, act);
		client_write(c, &k);
		/* A system call that a sent signal interrupts restarts as the client asked. */
		install(sig, k.handler == (void *)SIG_IGN ? SA_RESTART : k.flags & SA_RESTART,
			NULL);
	}
	if (old)
		to_client(old, &was);
	return 0;
}

void sigchain_strip(sigset_t *set)
{
	uint64_t w = word_of(set) & ~OURS;

	memcpy(set, &w, sizeof(w));
}

int sigchain_mask(int how, const sigset_t *set, sigset_t *old)
{
	uint64_t was, w = set ? word_of(set) : 0;
	uint64_t real = w & ~(OURS | LIBC_SIGNALS);
	uint32_t bits = (w & BIT(SIGSEGV) ? 1u : 0) | (w & BIT(SIGBUS) ? 2u : 0), before = wish,
		 due;

	if (set && how != SIG_BLOCK && how != SIG_UNBLOCK && how != SIG_SETMASK)
		return refuse(EINVAL, "%d is no way to change a signal mask", how);
	raw_mask(set ? how : SIG_BLOCK, set ? &real : NULL, &was);
	if (set)
		wish = how == SIG_BLOCK     ? before | bits
		       : how == SIG_UNBLOCK ? before & ~bits
					    : bits;
	if (old) {
		was |= (before & 1 ? BIT(SIGSEGV) : 0) | (before & 2 ? BIT(SIGBUS) : 0);
		memset(old, 0, sizeof(*old));
		memcpy(old, &was, sizeof(was));
	}
	due = pending & ~wish;
	if (due) {
		pending &= ~due;
		if (due & 1)
			raise_here(SIGSEGV);
		if (due & 2)
			raise_here(SIGBUS);
	}
	return 0;
}

uint32_t sigchain_wish(void)
{
	return wish;
}

void sigchain_set_wish(uint32_t w)
{
	wish = w & 3;
}

int sigchain_add_region_handler(sigchain_region_fn fn)
{
	for (unsigned i = 0; i < REGION_MAX; i++) {
		sigchain_region_fn none = NULL;

		if (atomic_compare_exchange_strong(&regions[i], &none, fn))
			return 0;
	}
	return refuse(ENOSPC, "all %d handlers of faults are taken", REGION_MAX);
}
