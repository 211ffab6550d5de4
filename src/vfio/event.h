/* SPDX-License-Identifier: MIT */
/*
 * Eventfds of a client: kept by a descriptor of our own, signalled and consumed without blocking.
 */
#ifndef VFIO_EVENT_H
#define VFIO_EVENT_H

#include "base/compiler.h"

struct event {
	int fd;        /* ours; < 0: none */
	bool nonblock; /* O_NONBLOCK was set when we got it */
};

#define EVENT_NONE ((struct event){ .fd = -1 })

static inline bool event_set(const struct event *e)
{
	return e->fd >= 0;
}

/*
 * Duplicates the client's eventfd @fd.
 * Return: 0; -EBADF not open; -EINVAL not an eventfd; -EMFILE, -ENOMEM. @out untouched then.
 */
int event_get(int fd, struct event *out);
void event_put(struct event *e); /* none afterwards */

/* Adds 1. A full counter stays as it is: a device is never blocked by its client. */
void event_signal(const struct event *e);
/* Takes what has been signalled; false: nothing. */
bool event_consume(const struct event *e);

#endif
