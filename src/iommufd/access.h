/* SPDX-License-Identifier: MIT */
/*
 * Access: a consumer inside the process that pins memory of an IOAS, or copies to and from it.
 * The calls are in iommufd.h. Source: docs/design/iommufd.md.
 */
#ifndef IOMMUFD_ACCESS_H
#define IOMMUFD_ACCESS_H

#include "iommufd/ioas.h"

#define ACCESS_LIST_IDS 65536u /* list ids 0..65535 */
#define UNMAP_ROUNDS    100u   /* an UNMAP asks once, and this often again */

struct iommufd_access {
	struct object obj;
	/* Immutable. ops NULL: an internal one. It pins, is never told, and its pins lock areas. */
	const struct iommufd_access_ops *ops;
	void *data;
	uint32_t tag;            /* of the sections in which it copies */
	struct rwl lock;         /* LOCK_ACCESS: what follows; pins and copies hold it shared */
	struct ioas *ioas;       /* where pins and copies go, NULL: nowhere */
	struct ioas *ioas_unpin; /* where unpins go; differs while a transition lets go */
	uint32_t list_id;        /* in the list of ioas_unpin */
};

/* [iova, last] of an IOAS, segment by segment: one area each. */
struct access_walk {
	struct iopt *iopt;
	uint64_t at, last; /* not visited yet */
	struct imap_entry e;
	/* The present segment: */
	struct area *area;
	struct pages *pages;
	uint64_t off;        /* of its first byte, in its pages */
	uint64_t start, end; /* IOVA, inclusive */
	bool more;           /* it is not the last */
};

static inline bool access_pins(const struct iommufd_access *a)
{
	return !a->ops || a->ops->needs_pin_pages;
}

/* The range as [iova, *last]: -EINVAL no length; -EOVERFLOW. */
int access_range(uint64_t iova, uint64_t length, uint64_t *last);

/* iova_lock held. Each next is a segment, or -ENOENT where there is a gap. */
void access_walk_begin(struct access_walk *w, struct iopt *t, uint64_t iova, uint64_t last);
int access_walk_next(struct access_walk *w);
/* -EINVAL the area is being unmapped; -EPERM it may not be read (written). */
int access_walk_check(const struct access_walk *w, unsigned flags);

/*
 * Tells every access of @t, in the order of list ids, to let go of [start, last]. No lock is held.
 */
void access_notify_unmap(struct iopt *t, uint64_t start, uint64_t last);

/*
 * An access of the subsystem itself, attached for good to @ioas, which the caller holds. What it
 * pins cannot be unmapped (-EBUSY), and it is never told. It has an id, and no reference on the
 * context: whoever made it destroys it first. -ENOMEM, -EBUSY, -EADDRINUSE.
 */
int access_create_internal(struct ioas *ioas, struct iommufd_access **out);

/* Asserts its invariants. */
void access_check(struct iommufd_access *access);

#endif
