// SPDX-License-Identifier: MIT
/* What a process under the preload has: its config, its run folder, its machine. */
#include "front/preload/preload.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/sys.h"
#include "base/why.h"
#include "front/lib/rundir.h"
#include "mem/mm.h"
#include "mem/sigchain.h"

static struct {
	struct mtx lock; /* building */
	struct front *_Atomic front;
	_Atomic bool failed;
	bool root_made; /* by this process or the one it was forked from */
	_Atomic bool root_ready;
	_Atomic bool signals;       /* SIGSEGV and SIGBUS are ours: for the life of the process */
	_Atomic bool heap_is_glibc; /* free() behind ours is glibc's */
	struct config config;
	int lock_fd;
} state = { .lock = MTX_INIT(LOCK_NONE), .lock_fd = -1 };

void *next_symbol(const char *name)
{
	int saved = errno;
	void *p = dlsym(RTLD_NEXT, name);

	errno = saved;
	return p;
}

struct front *preload_front_now(void)
{
	return atomic_load_explicit(&state.front, memory_order_acquire);
}

const char *preload_root_now(void)
{
	return atomic_load_explicit(&state.root_ready, memory_order_acquire) ? state.config.root
									     : NULL;
}

const char *preload_root(void)
{
	const char *root = preload_root_now();
	int rc;

	if (likely(root))
		return root;
	if (atomic_load(&state.failed))
		return NULL;
	mtx_lock(&state.lock);
	if (!atomic_load(&state.root_ready)) {
		rc = rundir_create(&state.config);
		if (!rc) {
			state.root_made = true;
			state.lock_fd = rundir_hold(state.config.root);
			atomic_store_explicit(&state.root_ready, true, memory_order_release);
		} else {
			atomic_store(&state.failed, true);
		}
	}
	mtx_unlock(&state.lock);
	return preload_root_now();
}

bool preload_signals(void)
{
	return atomic_load_explicit(&state.signals, memory_order_relaxed);
}

bool preload_heap_is_glibc(void)
{
	return atomic_load_explicit(&state.heap_is_glibc, memory_order_relaxed);
}

/* No handler of the program may run with SIGSEGV or SIGBUS blocked: it may touch a BAR. */
static void unblock_in_handlers(void)
{
	struct sigaction act;

	for (int sig = 1; sig <= SIGRTMAX; sig++)
		if (sig != SIGKILL && sig != SIGSTOP && !sigchain_action(sig, NULL, &act) &&
		    act.sa_handler != SIG_DFL && act.sa_handler != SIG_IGN &&
		    (sigismember(&act.sa_mask, SIGSEGV) || sigismember(&act.sa_mask, SIGBUS)))
			sigchain_action(sig, &act, NULL);
}

static struct front *build(void)
{
	struct front *f = NULL;
	int rc;

	rc = sigchain_init();
	if (!rc) {
		unblock_in_handlers();
		atomic_store(&state.signals, true);
		rc = vma_tracking_start();
	}
	if (!rc)
		rc = front_create(&state.config, &f);
	if (rc) {
		explain_refusal("building the machine", -1, rc);
		errno = -rc;
		return NULL;
	}
	return f;
}

struct front *preload_front(void)
{
	struct front *f = preload_front_now();

	if (likely(f))
		return f;
	if (!preload_root()) {
		errno = ENODEV;
		return NULL;
	}
	mtx_lock(&state.lock);
	f = preload_front_now();
	if (!f) {
		f = build();
		atomic_store_explicit(&state.front, f, memory_order_release);
	}
	mtx_unlock(&state.lock);
	return f;
}

/* A child starts without a machine: its memory is another, and the parent's threads are not here.
 */
static void after_fork(void)
{
	mtx_init(&state.lock, LOCK_NONE);
	front_forked(preload_front_now());
	atomic_store(&state.front, NULL);
}

static int read_config(const char *spec)
{
	char text[8192];
	long n;
	int fd;

	if (spec[0] != '/')
		return config_parse(&state.config, spec);
	fd = sys_open(spec, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return refuse(-fd, "the config file %s cannot be opened", spec);
	n = sys_read(fd, text, sizeof(text) - 1);
	sys_close(fd);
	if (n < 0)
		return refuse((int)-n, "the config file %s cannot be read", spec);
	text[n] = 0;
	return config_parse(&state.config, text);
}

__attribute__((constructor)) static void start(void)
{
	const char *spec = getenv("UIOMMUFD");
	int saved = errno, rc;

	config_init(&state.config);
	rc = read_config(spec ? spec : "");
	if (!rc)
		rc = config_resolve(&state.config);
	if (rc) {
		explain_set(true);
		explain_refusal("reading the environment variable UIOMMUFD", -1, rc);
		atomic_store(&state.failed, true);
	}
	explain_set(state.config.explain);
	if (!rc && state.config.root[0]) {
		state.lock_fd = rundir_hold(state.config.root);
		atomic_store(&state.root_ready, state.lock_fd >= 0);
		atomic_store(&state.failed, state.lock_fd < 0);
	}
	pthread_atfork(NULL, NULL, after_fork);
	atomic_store(&state.heap_is_glibc,
		     dlsym(RTLD_NEXT, "free") == dlsym(RTLD_NEXT, "__libc_free"));
	errno = saved;
}

/* Whoever leaves last, of us and our forked children, removes the folder that we made. */
__attribute__((destructor)) static void end(void)
{
	char path[sizeof(state.config.root) + 8];
	int fd;

	if (!state.root_made)
		return;
	snprintf(path, sizeof(path), "%s/lock", state.config.root);
	fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0);
	fd_close_hidden(state.lock_fd);
	if (fd >= 0 && !sys_call(SYS_flock, fd, LOCK_EX | LOCK_NB, 0, 0, 0, 0))
		rundir_remove(state.config.root);
}
