// SPDX-License-Identifier: MIT
/*
 * What can a client set on a context, and on an IOAS, that is not an object?
 *
 * The options of IOMMU_OPTION, and the IOAS that stands for a VFIO container. Source:
 * docs/abi/option.md, docs/abi/vfio_ioas.md.
 */
#include <errno.h>
#include <linux/capability.h>

#include "base/why.h"
#include "iommufd/ioas.h"
#include "iommufd/ioctl.h"

typedef unsigned long long ull;

static bool has_objects(struct iommufd_ctx *ctx)
{
	bool any;

	mtx_lock(&ctx->objects.lock);
	any = idmap_next(&ctx->objects.ids, 0);
	mtx_unlock(&ctx->objects.lock);
	return any;
}

static int set_rlimit_mode(struct iommufd_ctx *ctx, uint64_t val)
{
	if (!account_capable(CAP_SYS_RESOURCE))
		return refuse(EPERM, "RLIMIT_MODE needs CAP_SYS_RESOURCE");
	if (has_objects(ctx))
		return refuse(EBUSY, "RLIMIT_MODE can be set only while the context is empty");
	if (val > 1)
		return refuse(EINVAL, "RLIMIT_MODE is 0 or 1, not 0x%llx", (ull)val);
	atomic_store_explicit(&ctx->account_mode, val ? ACCOUNT_MM : ACCOUNT_USER,
			      memory_order_relaxed);
	return 0;
}

static int rlimit_mode(struct ucmd *u, struct iommu_option *cmd)
{
	if (cmd->object_id)
		return refuse(EOPNOTSUPP, "RLIMIT_MODE is of the context, not of object %u",
			      cmd->object_id);
	switch (cmd->op) {
	case IOMMU_OPTION_OP_GET:
		cmd->val64 = atomic_load_explicit(&u->ctx->account_mode, memory_order_relaxed) ==
			     ACCOUNT_MM;
		return 0;
	case IOMMU_OPTION_OP_SET:
		return set_rlimit_mode(u->ctx, cmd->val64);
	default:
		return refuse(EOPNOTSUPP, "OPTION has no operation %u", cmd->op);
	}
}

static int huge_pages_op(struct iopt *t, struct iommu_option *cmd)
{
	switch (cmd->op) {
	case IOMMU_OPTION_OP_GET:
		cmd->val64 = !iopt_large_off(t);
		return 0;
	case IOMMU_OPTION_OP_SET:
		if (cmd->val64 > 1)
			return refuse(EINVAL, "HUGE_PAGES is 0 or 1, not 0x%llx", (ull)cmd->val64);
		return iopt_set_large(t, cmd->val64);
	default:
		return refuse(EOPNOTSUPP, "OPTION has no operation %u", cmd->op);
	}
}

static int huge_pages(struct ucmd *u, struct iommu_option *cmd)
{
	struct ioas *ioas;
	int rc = ioas_get(u->ctx, cmd->object_id, &ioas);

	if (rc)
		return rc;
	rc = huge_pages_op(&ioas->iopt, cmd);
	object_put(&ioas->obj);
	return rc ? why_add(rc, "ioas %u", cmd->object_id) : 0;
}

int ioctl_option(struct ucmd *u)
{
	struct iommu_option *cmd = u->cmd;
	int rc;

	if (cmd->__reserved)
		return refuse(EOPNOTSUPP, "OPTION: the reserved field is 0x%x", cmd->__reserved);
	switch (cmd->option_id) {
	case IOMMU_OPTION_RLIMIT_MODE:
		rc = rlimit_mode(u, cmd);
		break;
	case IOMMU_OPTION_HUGE_PAGES:
		rc = huge_pages(u, cmd);
		break;
	default:
		return refuse(EOPNOTSUPP, "there is no option %u", cmd->option_id);
	}
	if (rc)
		return rc;
	/* These bytes alone are written back. */
	return client_write(u->ctx, u->arg + offsetof(struct iommu_option, val64), &cmd->val64,
			    sizeof(cmd->val64), "OPTION value");
}

static int get_vfio_ioas(struct ucmd *u, struct iommu_vfio_ioas *cmd)
{
	struct iommufd_ctx *ctx = u->ctx;

	mtx_lock(&ctx->objects.lock);
	cmd->ioas_id = ctx->vfio_ioas;
	mtx_unlock(&ctx->objects.lock);
	if (!cmd->ioas_id)
		return refuse(ENODEV, "no ioas stands for the VFIO container");
	return client_write(ctx, u->arg, cmd, sizeof(*cmd), "VFIO_IOAS");
}

static void bind_vfio_ioas(struct iommufd_ctx *ctx, uint32_t id)
{
	mtx_lock(&ctx->objects.lock);
	ctx->vfio_ioas = id;
	mtx_unlock(&ctx->objects.lock);
}

int ioctl_vfio_ioas(struct ucmd *u)
{
	struct iommu_vfio_ioas *cmd = u->cmd;
	struct ioas *ioas;
	int rc;

	if (cmd->__reserved)
		return refuse(EOPNOTSUPP, "VFIO_IOAS: the reserved field is 0x%x", cmd->__reserved);
	switch (cmd->op) {
	case IOMMU_VFIO_IOAS_GET:
		return get_vfio_ioas(u, cmd);
	case IOMMU_VFIO_IOAS_SET:
		rc = ioas_get(u->ctx, cmd->ioas_id, &ioas);
		if (rc)
			return rc;
		bind_vfio_ioas(u->ctx, cmd->ioas_id); /* we are inside: it is not being destroyed */
		object_put(&ioas->obj);
		return 0;
	case IOMMU_VFIO_IOAS_CLEAR:
		bind_vfio_ioas(u->ctx, 0);
		return 0;
	default:
		return refuse(EOPNOTSUPP, "VFIO_IOAS has no operation %u", cmd->op);
	}
}
