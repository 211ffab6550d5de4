/* SPDX-License-Identifier: MIT */
/*
 * The watcher: one thread per function, started at first need, that waits on descriptors
 * (resample and ioeventfds) and looks at shared memory (poll-mode BARs).
 *
 * Shared memory tells nobody when it is written, so it is looked at: all the time for a short
 * while after a change, then ever more seldom, up to WATCH_CAP_NS (longer for large BARs, so that
 * an idle function stays below 1 % of a CPU). With nothing to look at the thread sleeps.
 */
#ifndef VFIO_WATCH_H
#define VFIO_WATCH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/lock.h"

#define WATCH_CAP_NS   1500000u    /* the longest sleep; a first doorbell waits 2 ms at most */
#define WATCH_FREE_LEN (64u << 10) /* bytes of BARs up to which the cap is that */
#define WATCH_MEM_MAX  6

struct watch;

struct watch_src {
	_Atomic int fd;                  /* < 0: not added */
	void (*fn)(struct watch_src *s); /* in the watcher; @fd is readable */
};

/* A piece of shared memory; @fn is told that it differs from what was there last. */
struct watch_mem {
	const void *mem;
	uint64_t *seen;
	size_t len; /* multiple of 8 */
	void (*fn)(void *arg, unsigned id);
	unsigned id;
};

struct watch {
	_Atomic uint32_t seq; /* odd: the thread is working on what it found */
	_Atomic uint32_t quit;
	_Atomic uint32_t waiting; /* threads that wait for seq to move on */
	_Atomic uint32_t adds;    /* counts watch_add(): carries what it wrote to the thread */
	_Atomic unsigned nmem;    /* grows only, while the thread runs */
	_Atomic bool running;
	int epoll, kick;
	long pid; /* of the process that has the thread */
	pthread_t thread;
	void *arg;
	struct watch_mem mem[WATCH_MEM_MAX];
	struct mtx lock; /* starting and adding; innermost but for the log */
};

void watch_init(struct watch *w, void *arg);
/* Starts the thread unless it runs. -ENOMEM, -EMFILE, -EAGAIN: it does not. */
int watch_start(struct watch *w);
/* Ends it; the sources are deleted. Safe when it does not run. Not from the watcher. */
void watch_stop(struct watch *w);

/* Calls s->fn whenever @fd is readable, until watch_del(). The thread runs. -ENOMEM, ... */
int watch_add(struct watch *w, struct watch_src *s, int fd);
/* When it returns s->fn does not run and will not. Not from the watcher. No-op when not added. */
void watch_del(struct watch *w, struct watch_src *s);

/* Watches memory from now on, once per @id, until watch_stop(). The thread runs. -ENOMEM */
int watch_memory(struct watch *w, const void *mem, size_t len, unsigned id,
		 void (*fn)(void *arg, unsigned id));

#endif
