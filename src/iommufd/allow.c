// SPDX-License-Identifier: MIT
/*
 * Which IOVA does a client keep for its mappings?
 *
 * A list is built and checked on the side and then takes the place of the old one at once: until
 * then the old list is in force, and after any failure it still is.
 * Source: docs/abi/ioas_allow_iovas.md.
 */
#include <errno.h>

#include "base/why.h"
#include "iommufd/ioas.h"
#include "iommufd/ioctl.h"

typedef unsigned long long ull;

void iova_free_allowed(struct itree *set)
{
	struct itree_node *n;

	while ((n = itree_first(set, 0, UINT64_MAX))) {
		itree_remove(set, n);
		mem_free(n);
	}
}

int iopt_set_allowed(struct iopt *t, struct itree *set)
{
	int rc = 0;

	rwl_wrlock(&t->iova_lock);
	itree_for_each(n, set, 0, UINT64_MAX) {
		struct itree_node *r = itree_first(&t->reserved, n->start, n->last);

		if (!r)
			continue;
		rc = refuse(EADDRINUSE, "0x%llx-0x%llx meets the reserved 0x%llx-0x%llx, %s",
			    (ull)n->start, (ull)n->last, (ull)r->start, (ull)r->last,
			    container_of(r, struct resv_node, node)->what);
		break;
	}
	if (!rc) {
		struct itree old = t->allowed;

		t->allowed = *set;
		*set = old;
	}
	rwl_wrunlock(&t->iova_lock);
	return rc;
}

static int add_range(struct itree *set, const struct iommu_iova_range *r)
{
	struct itree_node *n;

	if (r->start >= r->last)
		return refuse(EINVAL, "0x%llx-0x%llx is not a range of two bytes or more",
			      (ull)r->start, (ull)r->last);
	n = itree_first(set, r->start, r->last);
	if (n)
		return refuse(EINVAL, "0x%llx-0x%llx meets 0x%llx-0x%llx of the same list",
			      (ull)r->start, (ull)r->last, (ull)n->start, (ull)n->last);
	n = mem_alloc(sizeof(*n));
	if (!n)
		return refuse(ENOMEM, "no memory for an allowed range");
	n->start = r->start;
	n->last = r->last;
	itree_insert(set, n);
	return 0;
}

/* Element by element: whatever is wrong first, in the order of the array, decides. */
static int read_list(struct ucmd *u, const struct iommu_ioas_allow_iovas *cmd, struct itree *set)
{
	uintptr_t from = cmd->allowed_iovas;
	struct iommu_iova_range r;
	int rc = 0;

	for (uint32_t i = 0; !rc && i < cmd->num_iovas; i++, from += sizeof(r)) {
		rc = client_read(u->ctx, &r, from, sizeof(r), "ALLOW_IOVAS array");
		if (!rc)
			rc = add_range(set, &r);
		if (rc)
			why_add(rc, "element %u of %u", i, cmd->num_iovas);
	}
	return rc;
}

int ioctl_ioas_allow_iovas(struct ucmd *u)
{
	const struct iommu_ioas_allow_iovas *cmd = u->cmd;
	struct itree set = ITREE_INIT;
	struct ioas *ioas;
	int rc;

	if (cmd->__reserved)
		return refuse(EOPNOTSUPP, "ALLOW_IOVAS: the reserved field is 0x%x",
			      cmd->__reserved);
	rc = ioas_get(u->ctx, cmd->ioas_id, &ioas);
	if (rc)
		return rc;
	rc = read_list(u, cmd, &set);
	if (!rc)
		rc = iopt_set_allowed(&ioas->iopt, &set);
	iova_free_allowed(&set);
	object_put(&ioas->obj);
	return rc ? why_add(rc, "ioas %u", cmd->ioas_id) : 0;
}
