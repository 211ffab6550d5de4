// SPDX-License-Identifier: MIT
/* What belongs together: who makes a machine and takes it apart? */
#include "iommu/machine.h"

#include <errno.h>

#include "base/pool.h"
#include "base/why.h"
#include "iommu/function.h"
#include "iommu/iotlb.h"
#include "mem/guard.h"

int machine_create(const struct machine_opts *opts, struct machine **out)
{
	struct iommu iommu = { .kind = opts->kind };
	struct machine *m;
	int rc = 0;

	if (opts->iommu)
		rc = iommu_configure(&iommu, opts->iommu);
	else if (!opts->kind)
		rc = refuse(EINVAL, "a machine needs a kind of IOMMU");
	if (rc)
		return rc;
	iotlb_setup();
	rc = function_setup();
	if (!rc)
		rc = guard_init();
	if (rc)
		return rc;
	m = mem_zalloc(sizeof(*m));
	if (!m)
		return refuse(ENOMEM, "no memory for a machine");
	rc = physmap_create(&opts->phys, &m->pm);
	if (rc)
		goto err_free;
	rc = mm_get_self(m->pm, &m->self);
	if (rc)
		goto err_physmap;
	iommu_fault_log_init(&m->faults);
	m->iommu = iommu;
	m->iommu.pm = m->pm;
	m->iommu.faults = &m->faults;
	mtx_init(&m->lock, LOCK_MACHINE);
	list_init(&m->functions);
	list_init(&m->groups);
	*out = m;
	return 0;

err_physmap:
	physmap_destroy(m->pm);
err_free:
	mem_free(m);
	return rc;
}

void machine_destroy(struct machine *m)
{
	if (!m)
		return;
	while (!list_empty(&m->functions))
		function_destroy(list_entry(m->functions.prev, struct uiommufd_device, in_machine));
	list_for_each_safe(l, next, &m->groups)
		iommu_group_destroy(list_entry(l, struct iommu_group, in_machine));
	mm_put(m->self);
	physmap_destroy(m->pm);
	mem_free(m);
}

static struct iommu_group *find_group(struct machine *m, int id)
{
	list_for_each(l, &m->groups) {
		struct iommu_group *g = list_entry(l, struct iommu_group, in_machine);

		if (g->id == id)
			return g;
	}
	return NULL;
}

int machine_group(struct machine *m, int id, struct iommu_group **out)
{
	struct iommu_group *g = NULL;
	int rc = 0;

	mtx_lock(&m->lock);
	if (id >= 0)
		g = find_group(m, id);
	else
		for (id = 0; find_group(m, id);)
			id++;
	if (!g) {
		rc = iommu_group_create(&m->iommu, id, &g);
		if (!rc)
			list_add_tail(&m->groups, &g->in_machine);
	}
	mtx_unlock(&m->lock);
	if (!rc)
		*out = g;
	return rc;
}

void machine_check(struct machine *m)
{
	unsigned n = 0;

	mtx_lock(&m->lock);
	list_for_each(l, &m->functions) {
		const struct uiommufd_device *f = list_entry(l, struct uiommufd_device, in_machine);

		(void)BUG_ON(f->machine != m || f->index >= m->n_functions);
		n++;
	}
	(void)BUG_ON(n > m->n_functions);
	list_for_each(l, &m->groups)
		iommu_group_check(list_entry(l, struct iommu_group, in_machine));
	mtx_unlock(&m->lock);
	physmap_check(m->pm);
}
