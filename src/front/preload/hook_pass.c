// SPDX-License-Identifier: MIT
/* Hooks: descriptors that come through a socket. Those of ours are entered under their number. */
#include "front/preload/preload.h"

#include <string.h>
#include <sys/socket.h>

static void note_number(int fd)
{
	struct file *f = file_get_verified(preload_front_now(), fd);

	if (f)
		file_put(f);
}

static NOINLINE void note_rights(struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			note_number(fd);
		}
	}
}

API ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	ssize_t r = NEXT(recvmsg)(fd, m, flags);

	if (unlikely(r >= 0 && m->msg_controllen && preload_front_now()))
		note_rights(m);
	return r;
}

API int recvmmsg(int fd, struct mmsghdr *m, unsigned n, int flags, struct timespec *timeout)
{
	int r = NEXT(recvmmsg)(fd, m, n, flags, timeout);

	for (int i = 0; i < r && preload_front_now(); i++)
		if (m[i].msg_hdr.msg_controllen)
			note_rights(&m[i].msg_hdr);
	return r;
}
