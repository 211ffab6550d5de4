// SPDX-License-Identifier: MIT
/*
 * What do the ioctls on an IOAS check, and in which order?
 *
 * Invariants
 *  S1  users = 1 + the HWPTs of the list (no lookup in progress)
 *  S2  the domain of each HWPT of the list that is published is in the iopt
 */
#include "iommufd/ioas.h"

#include <errno.h>

#include "base/why.h"
#include "iommufd/hwpt.h"
#include "iommufd/ioctl.h"

typedef unsigned long long ull;

#define MAP_FLAGS      (IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_WRITEABLE | IOMMU_IOAS_MAP_READABLE)
#define RANGES_AT_ONCE 64u

int ioas_get(struct iommufd_ctx *ctx, uint32_t id, struct ioas **out)
{
	struct object *o;
	int rc = object_get(ctx, id, OBJECT_IOAS, &o);

	if (likely(!rc))
		*out = container_of(o, struct ioas, obj);
	return rc;
}

/* The binding of VFIO_IOAS goes with the object; its id is not free yet. */
static void forget_vfio(struct object *obj)
{
	mtx_lock(&obj->ctx->objects.lock);
	if (obj->ctx->vfio_ioas == obj->id)
		obj->ctx->vfio_ioas = 0;
	mtx_unlock(&obj->ctx->objects.lock);
}

void ioas_destroy(struct object *obj)
{
	struct ioas *ioas = container_of(obj, struct ioas, obj);

	(void)BUG_ON(!list_empty(&ioas->hwpts));
	forget_vfio(obj);
	iopt_finish(&ioas->iopt);
	mem_free(ioas);
}

void ioas_check(struct ioas *ioas)
{
	unsigned hwpts = 0;

	mtx_lock(&ioas->lock);
	list_for_each(l, &ioas->hwpts)
		hwpts++;
	(void)BUG_ON(ioas->iopt.n_domains != hwpts);        /* S2 */
	(void)BUG_ON(object_users(&ioas->obj) < 1 + hwpts); /* S1 */
	mtx_unlock(&ioas->lock);
	iopt_check(&ioas->iopt);
}

int ioctl_ioas_alloc(struct ucmd *u)
{
	struct iommu_ioas_alloc *cmd = u->cmd;
	struct ioas *ioas;
	int rc;

	if (cmd->flags)
		return refuse(EOPNOTSUPP, "IOAS_ALLOC has no flags (0x%x)", cmd->flags);
	ioas = mem_zalloc(sizeof(*ioas));
	if (!ioas)
		return refuse(ENOMEM, "no memory for an ioas");
	rc = object_reserve(u->ctx, OBJECT_IOAS, &ioas->obj);
	if (rc) {
		mem_free(ioas);
		return rc;
	}
	iopt_init(&ioas->iopt, u->ctx);
	mtx_init(&ioas->lock, LOCK_IOAS);
	list_init(&ioas->hwpts);
	cmd->out_ioas_id = ioas->obj.id;
	u->new_obj = &ioas->obj;
	return 0;
}

/*
 * User memory is not touched under a lock, so more ranges than fit on the stack are read in
 * several steps; each step by itself is a true picture.
 */
static int copy_ranges(struct ucmd *u, struct iopt *t, struct iommu_ioas_iova_ranges *cmd,
		       uint32_t *total)
{
	struct iommu_iova_range buf[RANGES_AT_ONCE];
	uint64_t from = 0;
	bool more = true;

	*total = 0;
	while (more) {
		unsigned n = iopt_iova_ranges(t, &from, &more, buf, RANGES_AT_ONCE,
					      &cmd->out_iova_alignment);
		uint64_t room = cmd->num_iovas > *total ? cmd->num_iovas - *total : 0;
		uint64_t fit = min_u64(n, room);

		if (fit && client_write(u->ctx, cmd->allowed_iovas + *total * sizeof(buf[0]), buf,
					fit * sizeof(buf[0]), "IOVA_RANGES array"))
			return -EFAULT;
		*total += n;
	}
	return 0;
}

int ioctl_ioas_iova_ranges(struct ucmd *u)
{
	struct iommu_ioas_iova_ranges *cmd = u->cmd;
	struct ioas *ioas;
	uint32_t total;
	int rc;

	if (cmd->__reserved)
		return refuse(EOPNOTSUPP, "IOVA_RANGES: the reserved field is 0x%x",
			      cmd->__reserved);
	rc = ioas_get(u->ctx, cmd->ioas_id, &ioas);
	if (rc)
		return rc;
	rc = copy_ranges(u, &ioas->iopt, cmd, &total);
	object_put(&ioas->obj);
	if (rc)
		return rc;
	if (total > cmd->num_iovas)
		rc = refuse(EMSGSIZE, "there are %u ranges, the array has room for %u", total,
			    cmd->num_iovas);
	cmd->num_iovas = total;
	return rc;
}

static uint8_t map_prot(uint32_t flags)
{
	unsigned prot = 0;

	if (flags & IOMMU_IOAS_MAP_READABLE)
		prot |= IOMMU_READ;
	if (flags & IOMMU_IOAS_MAP_WRITEABLE)
		prot |= IOMMU_WRITE;
	return (uint8_t)prot;
}

/* What IOAS_MAP and IOAS_MAP_FILE have in common, from the flags' permissions on. */
static int map_into(struct ucmd *u, const char *name, uint32_t id, uint32_t flags,
		    struct iopt_map *m)
{
	struct ioas *ioas;
	int rc;

	if (unlikely(m->iova == UINT64_MAX || m->len == UINT64_MAX))
		return refuse(EOVERFLOW, "%s: iova 0x%llx, length 0x%llx", name, (ull)m->iova,
			      (ull)m->len);
	m->fixed = flags & IOMMU_IOAS_MAP_FIXED_IOVA;
	m->prot = map_prot(flags);
	if (unlikely(!m->prot))
		return refuse(EINVAL, "%s: neither readable nor writeable", name);
	rc = ioas_get(u->ctx, id, &ioas);
	if (unlikely(rc))
		return rc;
	rc = iopt_map(&ioas->iopt, m);
	object_put(&ioas->obj);
	return unlikely(rc) ? why_add(rc, "ioas %u", id) : 0;
}

int ioctl_ioas_map(struct ucmd *u)
{
	struct iommu_ioas_map *cmd = u->cmd;
	struct iopt_map m = { .addr = cmd->user_va, .len = cmd->length, .iova = cmd->iova };
	int rc;

	if (unlikely((cmd->flags & ~(uint32_t)MAP_FLAGS) || cmd->__reserved))
		return refuse(EOPNOTSUPP, "IOAS_MAP: flags 0x%x, reserved field 0x%x", cmd->flags,
			      cmd->__reserved);
	rc = map_into(u, "IOAS_MAP", cmd->ioas_id, cmd->flags, &m);
	if (likely(!rc))
		cmd->iova = m.iova;
	return rc;
}

int ioctl_ioas_map_file(struct ucmd *u)
{
	struct iommu_ioas_map_file *cmd = u->cmd;
	struct iopt_map m = { .addr = cmd->start,
			      .len = cmd->length,
			      .iova = cmd->iova,
			      .fd = cmd->fd,
			      .from_file = true };
	int rc;

	if (cmd->flags & ~(uint32_t)MAP_FLAGS)
		return refuse(EOPNOTSUPP, "IOAS_MAP_FILE: flags 0x%x", cmd->flags);
	rc = map_into(u, "IOAS_MAP_FILE", cmd->ioas_id, cmd->flags, &m);
	if (!rc)
		cmd->iova = m.iova;
	return rc;
}

/* The range as the ABI has it; "everything" is iova 0 with length 2^64 - 1. */
static int unmap_range(struct ioas *ioas, const struct iommu_ioas_unmap *cmd, uint64_t *bytes)
{
	int rc;

	if (!cmd->iova && cmd->length == UINT64_MAX)
		return iopt_unmap(&ioas->iopt, 0, UINT64_MAX, bytes);
	if (unlikely(cmd->iova == UINT64_MAX || cmd->length == UINT64_MAX))
		return refuse(EOVERFLOW, "IOAS_UNMAP: iova 0x%llx, length 0x%llx", (ull)cmd->iova,
			      (ull)cmd->length);
	if (unlikely(!cmd->length))
		return refuse(EINVAL, "IOAS_UNMAP: length is zero");
	if (unlikely(cmd->iova + (cmd->length - 1) < cmd->iova))
		return refuse(EOVERFLOW, "IOAS_UNMAP: iova 0x%llx + length 0x%llx wraps",
			      (ull)cmd->iova, (ull)cmd->length);
	rc = iopt_unmap(&ioas->iopt, cmd->iova, cmd->iova + (cmd->length - 1), bytes);
	if (unlikely(!rc && !*bytes))
		return refuse(ENOENT, "nothing is mapped in 0x%llx-0x%llx", (ull)cmd->iova,
			      (ull)(cmd->iova + (cmd->length - 1)));
	return rc;
}

int ioctl_ioas_unmap(struct ucmd *u)
{
	struct iommu_ioas_unmap *cmd = u->cmd;
	struct ioas *ioas;
	uint64_t bytes;
	int rc;

	rc = ioas_get(u->ctx, cmd->ioas_id, &ioas);
	if (unlikely(rc))
		return rc;
	rc = unmap_range(ioas, cmd, &bytes);
	object_put(&ioas->obj);
	if (unlikely(rc))
		return why_add(rc, "ioas %u", cmd->ioas_id);
	cmd->length = bytes;
	return 0;
}

int iommufd_for_each_area(struct iommufd_ctx *ctx, uint32_t ioas_id,
			  void (*fn)(void *arg, const struct iommufd_area_info *a), void *arg)
{
	struct ioas *ioas;
	int rc = ioas_get(ctx, ioas_id, &ioas);

	if (rc)
		return rc;
	iopt_for_each_area(&ioas->iopt, fn, arg);
	object_put(&ioas->obj);
	return 0;
}

struct leaf_call {
	void (*fn)(void *arg, uint64_t iova, uint64_t pa, uint64_t len, unsigned prot);
	void *arg;
};

static int show_leaf(void *arg, const struct pt_leaf *leaf)
{
	struct leaf_call *c = arg;

	c->fn(c->arg, leaf->iova, leaf->pa, 1ull << leaf->size_lg2, leaf->prot);
	return 0;
}

int iommufd_for_each_leaf(struct iommufd_ctx *ctx, uint32_t ioas_id,
			  void (*fn)(void *arg, uint64_t iova, uint64_t pa, uint64_t len,
				     unsigned prot),
			  void *arg)
{
	struct leaf_call c = { .fn = fn, .arg = arg };
	struct ioas *ioas;
	int rc = ioas_get(ctx, ioas_id, &ioas);

	if (rc)
		return rc;
	/* For write: nothing maps or unmaps, so no table is freed under the walk. */
	rwl_wrlock(&ioas->iopt.domains_lock);
	if (ioas->iopt.n_domains)
		pt_for_each_leaf(&ioas->iopt.domains[0]->pt, 0, UINT64_MAX, show_leaf, &c);
	rwl_wrunlock(&ioas->iopt.domains_lock);
	object_put(&ioas->obj);
	return 0;
}
