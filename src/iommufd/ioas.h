/* SPDX-License-Identifier: MIT */
/* IOAS: an IO address space as the client names it: an iopt, and the HWPTs that mirror it. */
#ifndef IOMMUFD_IOAS_H
#define IOMMUFD_IOAS_H

#include "iommufd/iopt.h"
#include "iommufd/object.h"

struct ioas {
	struct object obj;
	struct iopt iopt;
	struct mtx lock;   /* LOCK_IOAS: what follows; held from the making of an HWPT to its
			      publication */
	struct list hwpts; /* hwpt.in_ioas, in order of creation */
};

/* -ENOENT. The caller puts &(*out)->obj. */
int ioas_get(struct iommufd_ctx *ctx, uint32_t id, struct ioas **out);
void ioas_destroy(struct object *obj);
void ioas_check(struct ioas *ioas);

#endif
