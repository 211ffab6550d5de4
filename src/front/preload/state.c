// SPDX-License-Identifier: MIT
/* What a process under the preload has: its config, its run folder, its machine. */
#include "front/preload/preload.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
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

static struct {
	struct mtx lock; /* building */
	struct front *_Atomic front;
	_Atomic bool failed;
	bool root_made; /* by this process: it removes the folder at its end */
	_Atomic bool root_ready;
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
		rc = state.config.root[0] ? 0 : rundir_create(&state.config);
		if (!rc) {
			state.root_made = state.root_made || state.lock_fd < 0;
			atomic_store_explicit(&state.root_ready, true, memory_order_release);
		} else {
			atomic_store(&state.failed, true);
		}
	}
	mtx_unlock(&state.lock);
	return preload_root_now();
}

static struct front *build(void)
{
	struct front *f = NULL;
	int rc;

	rc = vma_tracking_start();
	if (!rc)
		rc = front_create(&state.config, &f);
	if (rc) {
		explain_refusal("building the machine", -1, rc);
		return NULL;
	}
	return f;
}

struct front *preload_front(void)
{
	struct front *f = preload_front_now();

	if (likely(f))
		return f;
	if (!preload_root())
		return NULL;
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
	atomic_store(&state.front, NULL);
	state.root_made = false;
	edge_forked();
}

/* The run folder must outlive us while we use it: hold its lock. */
static int hold_root(const char *root)
{
	char path[sizeof(state.config.root) + 8];
	int fd;

	snprintf(path, sizeof(path), "%s/lock", root);
	fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0);
	if (fd >= 0)
		fd = fd_hide(fd);
	if (fd < 0)
		return fd;
	sys_call(SYS_flock, fd, LOCK_SH, 0, 0, 0, 0);
	return fd;
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
		state.lock_fd = hold_root(state.config.root);
		atomic_store(&state.root_ready, state.lock_fd >= 0);
		atomic_store(&state.failed, state.lock_fd < 0);
	}
	pthread_atfork(NULL, NULL, after_fork);
	errno = saved;
}

__attribute__((destructor)) static void end(void)
{
	if (state.root_made && getpid() == rundir_owner())
		rundir_remove(state.config.root);
}
