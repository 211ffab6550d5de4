/* SPDX-License-Identifier: MIT */
/*
 * The run folder: config, locks and the sysfs picture of one run, below XDG_RUNTIME_DIR or /tmp.
 * It lives until its last lock holder exits; nothing of ours is written anywhere else.
 */
#ifndef FRONT_RUNDIR_H
#define FRONT_RUNDIR_H

#include "front/lib/edge.h"

/*
 * Makes a folder for @c (resolved) and writes everything into it; its name into c->root. Also
 * removes folders beside it that nobody holds any more. On failure nothing is left. -errno with a
 * reason.
 */
int rundir_create(struct config *c);
/*
 * Holds the folder's lock for this process: it is not swept away while somebody does. A hidden
 * descriptor, or -errno.
 */
int rundir_hold(const char *root);
/* Removes the folder and everything in it. Refuses a path that does not look like one of ours. */
void rundir_remove(const char *root);

#endif
