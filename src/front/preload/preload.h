/* SPDX-License-Identifier: MIT */
/*
 * The preload: libc calls of an unmodified program, answered by the engine where they concern
 * /dev/iommu, VFIO devices and their sysfs, and handed to libc otherwise.
 *
 * Rules for every hook: a call that is not ours takes no lock, allocates nothing and is as
 * async-signal-safe as libc's; errno is left alone on success; results are libc's (-1 and errno).
 */
#ifndef FRONT_PRELOAD_H
#define FRONT_PRELOAD_H

#include <limits.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/compiler.h"
#include "front/lib/edge.h"

/* The next definition of a libc function. NULL: libc has none; hook what every glibc has. */
void *next_symbol(const char *name);
#define NEXT(fn)                                                                \
	({                                                                      \
		static __typeof__(&fn) next_;                                   \
		__typeof__(&fn) p_ = __atomic_load_n(&next_, __ATOMIC_RELAXED); \
		if (unlikely(!p_)) {                                            \
			p_ = (__typeof__(&fn))next_symbol(#fn);                 \
			__atomic_store_n(&next_, p_, __ATOMIC_RELAXED);         \
		}                                                               \
		p_;                                                             \
	})

/* The machine of this process, built at first need. NULL: cannot be (errno, why_last()). */
struct front *preload_front(void);
/* The same when it exists already. */
struct front *preload_front_now(void);
/* The run folder with the sysfs picture, made at first need; NULL when it cannot be. */
const char *preload_root(void);
/* The same when it exists already. */
const char *preload_root_now(void);

/* SIGSEGV and SIGBUS of this process are ours (also in a forked child without a machine). */
bool preload_signals(void);
/* free() behind ours is glibc's, so its blocks look as glibc's do. */
bool preload_heap_is_glibc(void);

enum path_kind {
	PATH_HOST,   /* not ours: use the path as it came */
	PATH_SHADOW, /* in our picture: use the new path */
	PATH_IOMMU,  /* the node /dev/iommu (new path: its placeholder) */
	PATH_DEVICE, /* a node /dev/vfio/devices/vfioN (new path: its placeholder) */
};

struct path {
	enum path_kind kind;
	unsigned index;   /* PATH_DEVICE */
	const char *name; /* to hand to libc, with @dirfd */
	int dirfd;
	char buf[PATH_MAX];
};

/* At first sight no name of ours: nothing else need be asked. No system call, hardly any stack. */
bool path_is_plain(int dirfd, const char *path);
/* Where @path (relative to @dirfd) really is. Cheap for paths outside /sys, /dev and friends. */
void path_resolve(int dirfd, const char *path, struct path *out);
/* Takes the run folder off the front of a string that a call gave back; its new length. */
size_t path_strip(char *s);
size_t path_strip_n(char *s, size_t len); /* not NUL-terminated */
/* The number N of /proc/self/fd/N and its kin, or -1. */
int path_proc_fd(int dirfd, const char *path);
/* Makes a stat of a placeholder node a character device's. */
void path_fix_stat(const struct path *p, struct stat *st);
/* @name, or what is open as @fd when that is NULL, lies in @tree ("/dev", "/sys") of our picture.
 */
bool path_in_picture(int fd, const char *name, const char *tree);

#endif
