// SPDX-License-Identifier: MIT
/*
 * Whose memory limit do the mappings of a context count for?
 *
 * Of the process that made them. All calls on a context are made by one process here (those of a
 * forked child are handed to it), so there is never anybody else to hand them to, and what is
 * left of the call is its checks. Source: docs/abi/ioas_change_process.md.
 */
#include <errno.h>

#include "base/why.h"
#include "iommufd/ioas.h"
#include "iommufd/ioctl.h"

typedef unsigned long long ull;

static int check_areas(struct ioas *ioas)
{
	struct iopt *t = &ioas->iopt;
	struct imap_entry e;
	int rc = 0;

	rwl_wrlock(&t->iova_lock);
	imap_for_each(&e, &t->areas, 0, UINT64_MAX) {
		const struct pages *p = area_pages(e.value);

		if (!p)
			rc = refuse(EBUSY, "the mapping 0x%llx-0x%llx is being made or removed",
				    (ull)e.start, (ull)e.last);
		else if (p->source != PAGES_FILE)
			rc = refuse(
				EINVAL,
				"the mapping 0x%llx-0x%llx is memory of a process, not of a file",
				(ull)e.start, (ull)e.last);
		if (rc)
			break;
	}
	rwl_wrunlock(&t->iova_lock);
	return rc;
}

int ioctl_ioas_change_process(struct ucmd *u)
{
	const struct iommu_ioas_change_process *cmd = u->cmd;
	uint32_t id = 0;
	int rc = 0;

	if (cmd->__reserved)
		return refuse(EOPNOTSUPP, "CHANGE_PROCESS: the reserved field is 0x%x",
			      cmd->__reserved);
	while (!rc && (id = iommufd_next_ioas(u->ctx, id))) {
		struct ioas *ioas;

		if (ioas_get(u->ctx, id, &ioas))
			continue; /* destroyed since */
		rc = check_areas(ioas);
		object_put(&ioas->obj);
		if (rc)
			why_add(rc, "ioas %u", id);
	}
	return rc;
}
