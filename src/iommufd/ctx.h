/* SPDX-License-Identifier: MIT */
/* A context: what one open of /dev/iommu holds, and the copies in and out of its client. */
#ifndef IOMMUFD_CTX_H
#define IOMMUFD_CTX_H

#include "base/list.h"
#include "base/pool.h"
#include "iommufd/iommufd.h"
#include "iommufd/object.h"
#include "mem/account.h"

struct iommufd_ctx {
	struct machine *machine; /* immutable, outlives the context */
	_Atomic uint32_t refs;   /* files and bound devices */
	unsigned batch_max;      /* runs per batch, BATCH_RUNS; tests make it smaller */
	_Atomic uint32_t
		account_mode; /* enum account_mode: ACCOUNT_MM when preset, else decided per map */
	struct object_table objects;
	struct list groups;   /* igroup.in_ctx; guarded by objects.lock */
	uint32_t vfio_ioas;   /* id that stands for a VFIO container, 0: none; same lock */
	struct rwl ioas_lock; /* LOCK_CTX_IOAS: publication of IOASes */

	struct mtx pool_lock; /* LOCK_POOL */
	struct pool blocks;   /* struct area_block, see area.h */
};

/* Client memory; 0 or -EFAULT with the reason. No lock is held. */
int client_read(struct iommufd_ctx *ctx, void *buf, uintptr_t from, size_t len, const char *what);
int client_write(struct iommufd_ctx *ctx, uintptr_t to, const void *buf, size_t len,
		 const char *what);
int client_zero(struct iommufd_ctx *ctx, uintptr_t to, size_t len, const char *what);

#endif
