// SPDX-License-Identifier: MIT
/*
 * Asking the kernel what is mapped at an address.
 *
 * PROCMAP_QUERY (Linux 6.11) answers one question in 0.7 us. Before that, and when it cannot be
 * had, the text of /proc/self/maps is read up to the answer (80 us and more).
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "base/bits.h"
#include "base/fault.h"
#include "base/sys.h"
#include "base/why.h"
#include "mem/procself.h"
#include "mem/vma.h"

/* UAPI linux/fs.h of 6.11 and later; the headers at hand may be older. */
struct query {
	uint64_t size, flags, addr;
	uint64_t vma_start, vma_end, vma_flags, vma_page_size, vma_offset, inode;
	uint32_t dev_major, dev_minor, name_size, build_id_size;
	uint64_t name_addr, build_id_addr;
};
_Static_assert(sizeof(struct query) == 104, "PROCMAP_QUERY's argument");

#define QUERY_IOCTL   _IOWR('f', 17, struct query)
#define QUERY_READ    0x01u
#define QUERY_WRITE   0x02u
#define QUERY_SHARED  0x08u
#define QUERY_OR_NEXT 0x10u

#define FD_HIGH       1000 /* out of the way of clients that count on low numbers */
#define TEXT_BUF      4096
#define LINE_HEAD     128 /* bytes of a line that hold everything but the name */

static _Atomic bool no_query; /* the kernel has no PROCMAP_QUERY */

static void fill(struct vma_seg *out, const struct query *q)
{
	bool shared = q->vma_flags & QUERY_SHARED;

	*out = (struct vma_seg){
		.start = q->vma_start,
		.last = q->vma_end - 1,
		.kind = shared ? VMA_SHARED : VMA_PRIVATE,
		.huge = q->vma_page_size > PAGE_SIZE,
		.prot = (q->vma_flags & QUERY_READ ? VMA_READ : 0) |
			(q->vma_flags & QUERY_WRITE ? VMA_WRITE : 0),
		.file = q->inode != 0,
		.dev = makedev(q->dev_major, q->dev_minor),
		.ino = q->inode,
		.off = q->vma_offset,
	};
}

/* 0, -ENOENT, or -ENOTTY: ask the text. */
static int query_ioctl(uint64_t va, bool next, struct vma_seg *out)
{
	struct query q;
	long rc = -ENOTTY;

	if (atomic_load_explicit(&no_query, memory_order_relaxed) || fault_point())
		return -ENOTTY;
	/* Twice: the client may have closed our descriptor, or put another file in its place. */
	for (unsigned attempt = 0; attempt < 2; attempt++) {
		int fd = procself_fd(PROCSELF_MAPS);

		if (fd < 0)
			return -ENOTTY;
		q = (struct query){ .size = sizeof(q),
				    .flags = next ? QUERY_OR_NEXT : 0,
				    .addr = va };
		rc = sys_call(SYS_ioctl, fd, (long)QUERY_IOCTL, (long)&q, 0, 0, 0);
		if (!rc) {
			fill(out, &q);
			return 0;
		}
		if (rc == -ENOENT)
			return -ENOENT;
		procself_drop(PROCSELF_MAPS, fd);
	}
	if (rc == -ENOTTY)
		atomic_store_explicit(&no_query, true, memory_order_relaxed);
	return -ENOTTY;
}

static const char *hex(const char *p, uint64_t *out)
{
	uint64_t v = 0;

	for (;; p++) {
		if (*p >= '0' && *p <= '9')
			v = v * 16 + (uint64_t)(*p - '0');
		else if (*p >= 'a' && *p <= 'f')
			v = v * 16 + (uint64_t)(*p - 'a' + 10);
		else
			break;
	}
	*out = v;
	return *p ? p + 1 : p;
}

/* "start-end rwxp offset major:minor inode ..." */
static void parse_line(const char *line, struct vma_seg *out)
{
	uint64_t end, off, major, minor, ino = 0;
	const char *p = hex(line, &out->start), *prot;

	p = prot = hex(p, &end);
	p = hex(p + 5, &off);
	p = hex(p, &major);
	p = hex(p, &minor);
	for (; *p >= '0' && *p <= '9'; p++)
		ino = ino * 10 + (uint64_t)(*p - '0');
	out->last = end - 1;
	out->kind = prot[3] == 's' ? VMA_SHARED : VMA_PRIVATE;
	out->prot = (prot[0] == 'r' ? VMA_READ : 0) | (prot[1] == 'w' ? VMA_WRITE : 0);
	out->huge = false; /* the text does not say */
	out->file = ino != 0;
	out->dev = makedev((unsigned)major, (unsigned)minor);
	out->ino = ino;
	out->off = off;
}

/* Streams the text through a small buffer: a preload must not allocate here. */
static int query_text(uint64_t va, bool next, struct vma_seg *out)
{
	char buf[TEXT_BUF], line[LINE_HEAD];
	size_t len = 0;
	long got;
	int fd = procself_open(PROCSELF_MAPS), rc = -ENOENT;

	if (fd < 0)
		return refuse(-fd, "/proc/self/maps cannot be opened, error %d", -fd);
	while (rc == -ENOENT && (got = sys_read(fd, buf, sizeof(buf))) > 0) {
		for (long i = 0; i < got && rc == -ENOENT; i++) {
			if (buf[i] != '\n') {
				if (len < sizeof(line) - 1)
					line[len++] = buf[i];
				continue;
			}
			line[len] = 0;
			len = 0;
			parse_line(line, out);
			if (out->last < va)
				continue;
			rc = out->start <= va || next ? 0 : -ESRCH;
		}
	}
	sys_close(fd);
	return rc == -ESRCH ? -ENOENT : rc;
}

int vma_query(uint64_t va, bool next, struct vma_seg *out)
{
	struct vma_seg seg;
	int rc = query_ioctl(va, next, &seg);

	if (rc == -ENOTTY)
		rc = query_text(va, next, &seg);
	if (!rc)
		*out = seg;
	return rc;
}
