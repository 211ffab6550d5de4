/* SPDX-License-Identifier: MIT */
/* HWPT: the IO page table of an IOAS for one kind of device, made for a client or by itself. */
#ifndef IOMMUFD_HWPT_H
#define IOMMUFD_HWPT_H

#include "iommufd/ioas.h"

struct hwpt {
	struct object obj;        /* OBJECT_HWPT_PAGING */
	struct ioas *ioas;        /* immutable, one dependency */
	struct iommu_domain *dom; /* immutable */
	bool is_auto;             /* immutable: goes with its last device */
	struct list in_ioas;      /* guarded by ioas->lock */
	bool in_iopt;             /* likewise: the domain mirrors the areas */
};

/*
 * A paging HWPT for @dev on @ioas: domain made, id reserved, in the IOAS's list, but neither in
 * the iopt nor published. -ENOMEM, -EBUSY, or the domain's error.
 */
int hwpt_create_locked(struct ioas *ioas, struct iommu_device *dev, uint32_t flags, bool is_auto,
		       struct hwpt **out);

/* Lets its domain mirror the areas; errors of iopt_add_domain(). */
int hwpt_join_iopt_locked(struct hwpt *h);

/* Ends one that was never published. */
void hwpt_abort_locked(struct hwpt *h);

/* A device lets go of @h: one dependency. An automatic one goes with its last. No lock is held. */
void hwpt_put_device(struct hwpt *h);

/* @obj is out of the table. Takes the IOAS's lock. */
void hwpt_destroy(struct object *obj);
void hwpt_check(struct hwpt *h);

#endif
