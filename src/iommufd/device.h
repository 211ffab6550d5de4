/* SPDX-License-Identifier: MIT */
/* Devices under a context, and the groups that translate together. */
#ifndef IOMMUFD_DEVICE_H
#define IOMMUFD_DEVICE_H

#include "base/list.h"
#include "iommufd/ctx.h"
#include "iommufd/hwpt.h"
#include "iommufd/iommufd.h"
#include "iommufd/object.h"

/* What one (group, PASID) is attached to. */
struct igroup_attach {
	struct hwpt *hwpt;   /* NULL: nothing */
	struct list devices; /* iommufd_device.in_attach */
};

/* One IOMMU group as this context sees it; there while a device of it is bound. */
struct igroup {
	struct list in_ctx;        /* guarded by ctx->objects.lock, like refs */
	unsigned refs;             /* bound devices */
	struct iommu_group *group; /* immutable */
	struct mtx lock;           /* LOCK_IGROUP: what follows */
	struct igroup_attach rid;  /* requests without a PASID */
};

struct iommufd_device {
	struct object obj;
	struct iommu_device *dev; /* immutable */
	struct igroup *igroup;    /* immutable */
	struct list in_attach;    /* guarded by igroup->lock */
	bool attached;            /* likewise */
};

/* Gives back group and memory; @obj is out of the table. */
void device_destroy(struct object *obj);
void device_check(struct iommufd_device *idev);
/* Asserts what ties groups, devices and HWPTs together; nothing else runs in the context. */
void groups_check(struct iommufd_ctx *ctx);

#endif
