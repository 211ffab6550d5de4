/* SPDX-License-Identifier: MIT */
/*
 * Files of /proc/self that are kept open. An open one keeps showing the process that opened it, so
 * a fork child gets its own; the client may close ours or put another file in its place, so who
 * finds it useless drops it and asks once more. For src/mem/.
 */
#ifndef MEM_PROCSELF_H
#define MEM_PROCSELF_H

enum procself { PROCSELF_MAPS, PROCSELF_MEM, PROCSELF_COUNT };

/* A fresh descriptor (to be closed), or -errno. */
int procself_open(enum procself which);
/* The descriptor that is kept, or -errno. */
int procself_fd(enum procself which);
/* @fd was of no use. */
void procself_drop(enum procself which, int fd);

#endif
