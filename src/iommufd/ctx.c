// SPDX-License-Identifier: MIT
/*
 * What does one open of /dev/iommu hold, and when does it close?
 *
 * Invariants
 *  C1  refs = files (and calls in them) + bound devices + accesses; at 0 the context closes
 *  C2  at close no device is bound, hence no group record is left
 *  C3  at close all area blocks are back in the pool
 */
#include "iommufd/ctx.h"

#include <errno.h>

#include "base/why.h"
#include "iommufd/access.h"
#include "iommufd/area.h"
#include "iommufd/batch.h"
#include "iommufd/device.h"
#include "iommufd/hwpt.h"
#include "iommufd/ioas.h"
#include "mem/guard.h"

int iommufd_ctx_create(struct machine *m, struct iommufd_ctx **out)
{
	struct iommufd_ctx *ctx;
	int rc = guard_init();

	if (rc)
		return rc;
	ctx = mem_zalloc(sizeof(*ctx));
	if (!ctx)
		return refuse(ENOMEM, "no memory for an iommufd context");
	ctx->machine = m;
	atomic_init(&ctx->refs, 1);
	ctx->batch_max = BATCH_RUNS;
	object_table_init(&ctx->objects);
	list_init(&ctx->groups);
	rwl_init(&ctx->ioas_lock, LOCK_CTX_IOAS);
	mtx_init(&ctx->pool_lock, LOCK_POOL);
	pool_init(&ctx->blocks, sizeof(struct area_block));
	*out = ctx;
	return 0;
}

void iommufd_ctx_get(struct iommufd_ctx *ctx)
{
	atomic_fetch_add_explicit(&ctx->refs, 1, memory_order_relaxed);
}

void iommufd_ctx_put(struct iommufd_ctx *ctx)
{
	if (atomic_fetch_sub_explicit(&ctx->refs, 1, memory_order_acq_rel) != 1)
		return;
	object_table_finish(ctx);
	(void)BUG_ON(!list_empty(&ctx->groups)); /* C2 */
	pool_finish(&ctx->blocks);               /* C3 */
	mem_free(ctx);
}

static void check_object(struct iommufd_ctx *ctx, uint32_t id)
{
	struct object *o;

	if (object_get(ctx, id, OBJECT_ANY, &o))
		return;
	(void)BUG_ON(o->id != id || o->ctx != ctx);
	switch (o->type) {
	case OBJECT_IOAS:
		ioas_check(container_of(o, struct ioas, obj));
		break;
	case OBJECT_HWPT_PAGING:
		hwpt_check(container_of(o, struct hwpt, obj));
		break;
	case OBJECT_ACCESS:
		access_check(container_of(o, struct iommufd_access, obj));
		break;
	case OBJECT_DEVICE:
		device_check(container_of(o, struct iommufd_device, obj));
		break;
	default:
		break;
	}
	object_put(o);
}

void iommufd_ctx_check(struct iommufd_ctx *ctx)
{
	mtx_lock(&ctx->objects.lock);
	idmap_check(&ctx->objects.ids);
	mtx_unlock(&ctx->objects.lock);
	for (uint32_t id = object_next(&ctx->objects, OBJECT_ANY, 0); id;
	     id = object_next(&ctx->objects, OBJECT_ANY, id))
		check_object(ctx, id);
	groups_check(ctx);
}

uint32_t iommufd_next_ioas(struct iommufd_ctx *ctx, uint32_t after)
{
	return object_next(&ctx->objects, OBJECT_IOAS, after);
}
