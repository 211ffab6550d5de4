/* SPDX-License-Identifier: MIT */
/* One call of an iommufd ioctl, between dispatch and its handler. */
#ifndef IOMMUFD_IOCTL_H
#define IOMMUFD_IOCTL_H

#include "abi/iommufd.h"
#include "iommufd/ctx.h"

struct ucmd {
	struct iommufd_ctx *ctx;
	uintptr_t arg;          /* client address of the struct */
	uint32_t user_size;     /* bytes the client has there */
	void *cmd;              /* our copy, full size */
	struct object *new_obj; /* set by the handler: published or ended after the copy-out */
};

/* Handlers, one for each command; 0 or -errno. Their order of checks is the ABI's. */
int ioctl_destroy(struct ucmd *u);
int ioctl_ioas_alloc(struct ucmd *u);
int ioctl_ioas_iova_ranges(struct ucmd *u);
int ioctl_ioas_map(struct ucmd *u);
int ioctl_ioas_unmap(struct ucmd *u);
int ioctl_ioas_allow_iovas(struct ucmd *u);
int ioctl_ioas_copy(struct ucmd *u);
int ioctl_ioas_map_file(struct ucmd *u);
int ioctl_hwpt_alloc(struct ucmd *u);
int ioctl_hwpt_set_dirty_tracking(struct ucmd *u);
int ioctl_hwpt_get_dirty_bitmap(struct ucmd *u);
int ioctl_ioas_change_process(struct ucmd *u);
int ioctl_option(struct ucmd *u);
int ioctl_vfio_ioas(struct ucmd *u);
int ioctl_get_hw_info(struct ucmd *u);

#endif
