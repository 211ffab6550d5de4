// SPDX-License-Identifier: MIT
/* Mapped BARs of an unmodified program: access, protection, memory decode, signals. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define REG_XFERCAP 1
#define REG_VERSION 8
#define CH_CHAIN    0x90
#define BAR_LAST    (BAR_LEN - 1)

/* A bound device with its BAR mapped and nothing else. */
struct mapped {
	int ctx, dev;
	volatile uint8_t *bar;
};

static void map_bar(struct mapped *m)
{
	m->ctx = open_iommu();
	m->dev = open_device();
	assert_int_equal(try_bind(m->dev, m->ctx), 0);
	set_command(m->dev, 6);
	m->bar = mmap(NULL, BAR_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, m->dev, BAR0);
	assert_ptr_not_equal(m->bar, MAP_FAILED);
}

static void unmap_bar(struct mapped *m)
{
	assert_int_equal(munmap((void *)(uintptr_t)m->bar, BAR_LEN), 0);
	close(m->dev);
	close(m->ctx);
}

static volatile uint64_t *reg64(struct mapped *m, unsigned off)
{
	return (volatile uint64_t *)(m->bar + off);
}

static sigjmp_buf out;
static volatile sig_atomic_t last_signal, last_code;
static void *volatile last_addr;

static void on_signal(int sig, siginfo_t *si, void *uc)
{
	(void)uc;
	last_signal = sig;
	last_code = si->si_code;
	last_addr = si->si_addr;
	siglongjmp(out, 1);
}

static void catch_signals(void)
{
	struct sigaction a = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };

	assert_int_equal(sigaction(SIGSEGV, &a, NULL), 0);
	assert_int_equal(sigaction(SIGBUS, &a, NULL), 0);
}

/* The signal that reading a byte there raises; 0 none. */
static int signal_of_read(volatile uint8_t *p)
{
	last_signal = 0;
	if (!sigsetjmp(out, 1))
		(void)*p;
	return last_signal;
}

static int signal_of_write(volatile uint8_t *p)
{
	last_signal = 0;
	if (!sigsetjmp(out, 1))
		*p = 0;
	return last_signal;
}

static void bar__c_code__reads_and_writes_the_model(void **state)
{
	struct mapped m;
	uint64_t v;

	(void)state;
	map_bar(&m);
	assert_int_equal(m.bar[0], 1);
	assert_int_equal(*(volatile uint16_t *)m.bar & 0xff, 1);
	*reg64(&m, CH_CHAIN) = 0x123456789abcdec0;
	assert_true(*reg64(&m, CH_CHAIN) == 0x123456789abcdec0);
	assert_int_equal(*(volatile uint32_t *)(m.bar + CH_CHAIN), 0x9abcdec0);
	*(volatile uint32_t *)(m.bar + CH_CHAIN + 4) |= 0x80000000;
	assert_int_equal(pread(m.dev, &v, 8, BAR0 + CH_CHAIN), 8);
	assert_true(v == 0x923456789abcdec0);
	unmap_bar(&m);
}

static void bar__memcpy_and_friends__work(void **state)
{
	struct mapped m;
	uint8_t a[256], b[256];

	(void)state;
	map_bar(&m);
	assert_int_equal(pread(m.dev, a, sizeof(a), BAR0), sizeof(a));
	for (size_t n = 1; n <= sizeof(b); n = n < 70 ? n + 1 : n + 31) {
		memset(b, 0xee, sizeof(b));
		memcpy(b, (const void *)(uintptr_t)m.bar, n);
		assert_memory_equal(a, b, n < 0x80 ? n : 0x80); /* beyond: reading has effects */
	}
	/* A page of nothing takes whatever is written. */
	memset((void *)(uintptr_t)(m.bar + 0x1000), 0xff, 1000);
	memcpy((void *)(uintptr_t)(m.bar + 0x1001), a, 131);
	memmove(b, (const void *)(uintptr_t)(m.bar + 0x1003), 200);
	unmap_bar(&m);
}

static void bar__system_call_on_mapping__efault(void **state)
{
	struct mapped m;
	int null = open("/dev/zero", O_RDONLY);

	(void)state;
	map_bar(&m);
	assert_int_equal(read(null, (void *)(uintptr_t)m.bar, 4), -1);
	assert_int_equal(errno, EFAULT);
	close(null);
	unmap_bar(&m);
}

static void bar__vectors__as_linux(void **state)
{
	uint8_t version = 0, caps[4];
	volatile int negative = -1; /* the compiler would warn of a constant */
	struct iovec v[2] = { { &version, 1 }, { caps, 2 } };
	struct iovec *bad = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct mapped m;

	(void)state;
	map_bar(&m);
	assert_int_equal(preadv(m.dev, v, 2, BAR0 + REG_VERSION), 3);
	assert_int_equal(version, 0x33);
	assert_int_equal(preadv(m.dev, v, 0, BAR0), 0);
	assert_int_equal(preadv(m.dev, v, negative, BAR0), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(pwritev(m.dev, bad, 1, BAR0), -1);
	assert_int_equal(errno, EFAULT);
	v[1].iov_len = SIZE_MAX;
	assert_int_equal(preadv(m.dev, v, 2, BAR0), -1);
	assert_int_equal(errno, EINVAL);
	munmap(bad, PAGE);
	unmap_bar(&m);
}

static void bar__map_for_dma__efault(void **state)
{
	struct mapped m;
	struct iommu_ioas_map map = { .size = sizeof(map), .flags = 6, .length = PAGE };
	struct vfio_device_attach_iommufd_pt at = { .argsz = sizeof(at) };

	(void)state;
	map_bar(&m);
	map.ioas_id = at.pt_id = alloc_ioas(m.ctx);
	map.user_va = (uintptr_t)m.bar;
	assert_int_equal(ioctl(m.dev, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &at), 0);
	assert_int_equal(ioctl(m.ctx, IOMMU_IOAS_MAP, &map), -1);
	assert_int_equal(errno, EFAULT);
	unmap_bar(&m);
}

static void bar__decode_off__sigbus_and_back(void **state)
{
	struct mapped m;
	uint32_t v;

	(void)state;
	catch_signals();
	map_bar(&m);
	set_command(m.dev, 4);
	assert_int_equal(signal_of_read(m.bar), SIGBUS);
	assert_int_equal(last_code, BUS_ADRERR);
	assert_ptr_equal(last_addr, m.bar);
	assert_int_equal(signal_of_write(m.bar + 0x1003), SIGBUS);
	assert_ptr_equal(last_addr, m.bar + 0x1003);
	assert_int_equal(pread(m.dev, &v, 4, BAR0), -1);
	assert_int_equal(errno, EIO);
	set_command(m.dev, 6);
	assert_int_equal(signal_of_read(m.bar), 0);
	assert_int_equal(m.bar[0], 1);
	unmap_bar(&m);
}

static void bar__protection__obeyed(void **state)
{
	struct mapped m;
	volatile uint8_t *ro;
	void *bar;

	(void)state;
	catch_signals();
	map_bar(&m);
	bar = (void *)(uintptr_t)m.bar;
	ro = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, m.dev, BAR0);
	assert_ptr_not_equal(ro, MAP_FAILED);
	assert_int_equal(signal_of_read(ro), 0);
	assert_int_equal(signal_of_write(ro), SIGSEGV);
	assert_int_equal(mprotect((char *)bar + PAGE, PAGE, PROT_READ), 0);
	assert_int_equal(signal_of_write(m.bar + 8), 0);
	assert_int_equal(signal_of_write(m.bar + PAGE), SIGSEGV);
	assert_int_equal(signal_of_read(m.bar + PAGE), 0);
	assert_int_equal(signal_of_write(m.bar + 2 * PAGE), 0);
	assert_int_equal(mprotect(bar, BAR_LEN, PROT_NONE), 0);
	assert_int_equal(signal_of_read(m.bar), SIGSEGV);
	assert_int_equal(mprotect(bar, BAR_LEN, PROT_READ | PROT_WRITE), 0);
	assert_int_equal(signal_of_write(m.bar + PAGE), 0);
	munmap((void *)(uintptr_t)ro, PAGE);
	assert_int_equal(signal_of_read(ro), SIGSEGV);
	unmap_bar(&m);
	assert_int_equal(signal_of_read(m.bar), SIGSEGV);
}

static void bar__fixed_over_reservation__as_qemu_does(void **state)
{
	struct mapped m;
	char *room = mmap(NULL, 4 * BAR_LEN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile uint8_t *at;

	(void)state;
	catch_signals();
	map_bar(&m);
	at = mmap(room + BAR_LEN, BAR_LEN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, m.dev,
		  BAR0);
	assert_ptr_equal(at, room + BAR_LEN);
	assert_int_equal(at[0], 1);
	assert_int_equal(at[REG_XFERCAP], m.bar[REG_XFERCAP]);
	/* A part of it becomes ordinary memory, the rest stays. */
	assert_ptr_equal(mmap(room + BAR_LEN + PAGE, PAGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 room + BAR_LEN + PAGE);
	at[PAGE] = 0x55;
	assert_int_equal(at[PAGE], 0x55);
	assert_int_equal(at[0], 1);
	assert_int_equal(signal_of_read(at + 2 * PAGE), 0);
	munmap(room, 4 * BAR_LEN);
	assert_int_equal(signal_of_read(at), SIGSEGV);
	assert_int_equal(m.bar[0], 1);
	unmap_bar(&m);
}

static void bar__mremap__moves_and_does_not_grow(void **state)
{
	struct mapped m;
	char *room = mmap(NULL, BAR_LEN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile uint8_t *old;
	void *p;

	(void)state;
	catch_signals();
	map_bar(&m);
	old = m.bar;
	p = mremap((void *)(uintptr_t)old, BAR_LEN, 2 * BAR_LEN, MREMAP_MAYMOVE);
	assert_ptr_equal(p, MAP_FAILED);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(old[0], 1);
	p = mremap((void *)(uintptr_t)(old + PAGE), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		   room);
	assert_ptr_equal(p, room);
	assert_int_equal(signal_of_read(old + PAGE), SIGSEGV);
	assert_int_equal(signal_of_read((uint8_t *)room), 0);
	assert_int_equal(old[0], 1);
	p = mremap((void *)(uintptr_t)old, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, room + PAGE);
	assert_ptr_equal(p, room + PAGE);
	assert_int_equal(room[PAGE], 1);
	assert_int_equal(signal_of_read(old), SIGSEGV);
	assert_int_equal(signal_of_read(old + 2 * PAGE), 0);
	munmap(room, BAR_LEN);
	assert_int_equal(signal_of_read((uint8_t *)room + PAGE), SIGSEGV);
	unmap_bar(&m);
}

static void bar__bad_mappings__errno(void **state)
{
	struct mapped m;

	(void)state;
	map_bar(&m);
#define REFUSED(len, prot, flags, off, err)                                                      \
	do {                                                                                     \
		assert_ptr_equal(mmap(NULL, len, prot, flags, m.dev, (off_t)(off)), MAP_FAILED); \
		assert_int_equal(errno, err);                                                    \
	} while (0)
	REFUSED(PAGE, PROT_READ, MAP_PRIVATE, BAR0, EINVAL);
	REFUSED(2 * BAR_LEN, PROT_READ, MAP_SHARED, BAR0, EINVAL);
	REFUSED(PAGE, PROT_READ, MAP_SHARED, BAR0 + BAR_LEN, EINVAL);
	REFUSED(PAGE, PROT_READ, MAP_SHARED, 1ull << 40, EINVAL);
	REFUSED(PAGE, PROT_READ, MAP_SHARED, CONFIG, EINVAL);
	REFUSED(0, PROT_READ, MAP_SHARED, BAR0, EINVAL);
	unmap_bar(&m);
}

static volatile unsigned chained;

static void skip_load(int sig, siginfo_t *si, void *arg)
{
	ucontext_t *uc = arg;

	(void)si;
	assert_int_equal(sig, SIGSEGV);
	chained++;
	uc->uc_mcontext.gregs[REG_RIP] += 2; /* movb (%rdi), %al */
}

static void signals__client_handler__gets_its_own_faults(void **state)
{
	struct sigaction a = { .sa_sigaction = skip_load, .sa_flags = SA_SIGINFO }, was;
	struct mapped m;
	uint8_t v;

	(void)state;
	chained = 0;
	map_bar(&m);
	assert_int_equal(sigaction(SIGSEGV, &a, NULL), 0);
	assert_int_equal(sigaction(SIGSEGV, NULL, &was), 0);
	assert_ptr_equal(was.sa_sigaction, skip_load);
	__asm__ volatile("movb (%%rdi), %%al" : "=a"(v) : "D"(16l), "a"(0x77));
	assert_int_equal(chained, 1);
	assert_int_equal(m.bar[0], 1); /* not offered to the client */
	assert_int_equal(chained, 1);
	assert_int_equal(signal(SIGSEGV, SIG_DFL) == (void *)skip_load, 1);
	assert_int_equal(m.bar[0], 1);
	unmap_bar(&m);
}

static void touch_blocked(int sig)
{
	(void)sig;
	chained = *(volatile uint8_t *)last_addr;
}

static void signals__everything_blocked__bar_still_works(void **state)
{
	struct sigaction a = { .sa_handler = touch_blocked };
	sigset_t all, now;
	struct mapped m;

	(void)state;
	sigfillset(&all);
	sigfillset(&a.sa_mask);
	assert_int_equal(sigaction(SIGUSR1, &a, NULL), 0); /* before there is a machine, or after */
	map_bar(&m);
	last_addr = (void *)(uintptr_t)m.bar;
	chained = 0;
	raise(SIGUSR1);
	assert_int_equal(chained, 1);
	assert_int_equal(pthread_sigmask(SIG_SETMASK, &all, NULL), 0);
	assert_int_equal(m.bar[0], 1);
	assert_int_equal(sigprocmask(SIG_BLOCK, NULL, &now), 0);
	assert_true(sigismember(&now, SIGSEGV) && sigismember(&now, SIGUSR1));
	sigemptyset(&all);
	assert_int_equal(pthread_sigmask(SIG_SETMASK, &all, NULL), 0);
	assert_int_equal(sigaction(SIGUSR1, &a, NULL), 0);
	chained = 0;
	raise(SIGUSR1);
	assert_int_equal(chained, 1);
	unmap_bar(&m);
}

static volatile uint8_t *ticking_bar;
static volatile sig_atomic_t ticks;

static void touch_on_tick(int sig)
{
	(void)sig;
	ticks = ticks + (ticking_bar[REG_VERSION] == 0x33);
}

/* A handler may come in the middle of any call that looks for BARs in a range. */
static void signals__handler_touches_bar_during_munmap__no_deadlock(void **state)
{
	const struct itimerval often = { .it_interval.tv_usec = 50, .it_value.tv_usec = 50 };
	const struct itimerval never = { 0 };
	struct sigaction act = { .sa_handler = touch_on_tick }, old;
	struct mapped m;
	uint8_t *pages;

	(void)state;
	map_bar(&m);
	ticking_bar = m.bar;
	pages = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(pages, MAP_FAILED);
	assert_int_equal(sigaction(SIGALRM, &act, &old), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
	for (unsigned i = 0; i < 300000 || ticks < 100; i++)
		assert_int_equal(mprotect(pages, PAGE, i & 1 ? PROT_READ : PROT_NONE), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
	assert_int_equal(sigaction(SIGALRM, &old, NULL), 0);
	munmap(pages, 4 * PAGE);
	unmap_bar(&m);
}

static void crash(void *arg)
{
	void *volatile wild = (void *)16;
	struct mapped m;

	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	map_bar(&m);
	if (arg) {
		set_command(m.dev, 4);
		*m.bar = 1;
	}
	*(volatile int *volatile)wild = 1;
}

static void signals__client_crashes__dies_of_it(void **state)
{
	int status = in_child(crash, NULL);

	(void)state;
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSEGV);
	status = in_child(crash, &status);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGBUS);
}

static void *hammer(void *arg)
{
	struct mapped *m = arg;

	for (int i = 0; i < 3000; i++)
		if (m->bar[0] != 1)
			return m;
	return NULL;
}

static void *remap(void *arg)
{
	struct mapped *m = arg;

	for (int i = 0; i < 500; i++) {
		void *p = mmap(NULL, BAR_LEN, PROT_READ, MAP_SHARED, m->dev, BAR0);

		if (p == MAP_FAILED || *(volatile uint8_t *)p != 1 || munmap(p, BAR_LEN))
			return m;
	}
	return NULL;
}

static void threads__access_while_others_map__right_values(void **state)
{
	pthread_t t[4];
	struct mapped m;
	void *bad;

	(void)state;
	map_bar(&m);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, i & 1 ? remap : hammer, &m);
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], &bad);
		assert_null(bad);
	}
	unmap_bar(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First: its handler is there before the machine. */
		cmocka_unit_test(signals__everything_blocked__bar_still_works),
		cmocka_unit_test(bar__c_code__reads_and_writes_the_model),
		cmocka_unit_test(bar__memcpy_and_friends__work),
		cmocka_unit_test(bar__system_call_on_mapping__efault),
		cmocka_unit_test(bar__vectors__as_linux),
		cmocka_unit_test(bar__map_for_dma__efault),
		cmocka_unit_test(bar__decode_off__sigbus_and_back),
		cmocka_unit_test(bar__protection__obeyed),
		cmocka_unit_test(bar__fixed_over_reservation__as_qemu_does),
		cmocka_unit_test(bar__mremap__moves_and_does_not_grow),
		cmocka_unit_test(bar__bad_mappings__errno),
		cmocka_unit_test(signals__client_handler__gets_its_own_faults),
		cmocka_unit_test(signals__handler_touches_bar_during_munmap__no_deadlock),
		cmocka_unit_test(signals__client_crashes__dies_of_it),
		cmocka_unit_test(threads__access_while_others_map__right_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
