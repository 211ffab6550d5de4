// SPDX-License-Identifier: MIT
/*
 * Which domains mirror the areas, and with which pages?
 *
 * Everything here holds both locks for write, so that no area is half-built meanwhile. Invariants:
 * iopt.c, I2 and I3.
 */
#include <errno.h>

#include "base/why.h"
#include "iommufd/fill.h"
#include "iommufd/iopt.h"

typedef unsigned long long ull;

static int grow_domains(struct iopt *t)
{
	unsigned cap = t->cap_domains ? 2 * t->cap_domains : 4;
	struct iommu_domain **d;

	if (t->n_domains < t->cap_domains)
		return 0;
	d = mem_alloc(cap * sizeof(*d));
	if (!d)
		return refuse(ENOMEM, "no memory for one more domain");
	for (unsigned i = 0; i < t->n_domains; i++)
		d[i] = t->domains[i];
	mem_free(t->domains);
	t->domains = d;
	t->cap_domains = cap;
	return 0;
}

static int reserve_aperture(struct iopt *t, struct iommu_domain *dom)
{
	struct resv_node r = { .owner = dom, .what = "out of reach of a page table", .who = "" };
	int rc = 0;

	if (dom->aperture_start) {
		r.node.last = dom->aperture_start - 1;
		rc = iova_reserve_locked(t, &r);
	}
	if (!rc && dom->aperture_last != UINT64_MAX) {
		r.node.start = dom->aperture_last + 1;
		r.node.last = UINT64_MAX;
		rc = iova_reserve_locked(t, &r);
	}
	if (rc)
		iova_unreserve_locked(t, dom);
	return rc;
}

/* Installs every live area in @dom, which is not in the array; all or nothing. */
static int fill_domain(struct iopt *t, struct iommu_domain *dom)
{
	struct fill rest = iopt_fill_of(t), f = rest;
	struct iommu_domain *one[] = { dom };
	struct imap_entry e;
	uint64_t done = 0;
	int rc = 0;

	f.domains = one;
	f.n = 1;
	imap_for_each(&e, &t->areas, 0, UINT64_MAX) {
		struct pages *p = area_pages(e.value);

		if (!p)
			continue;
		rc = fill_more(&f, e.value, p);
		if (rc) {
			done = e.start;
			break;
		}
	}
	if (!rc || !done)
		return rc;
	imap_for_each(&e, &t->areas, 0, done - 1) {
		struct pages *p = area_pages(e.value);

		if (p)
			unfill_domain(&rest, e.value, p, dom);
	}
	return rc;
}

int iopt_add_domain(struct iopt *t, struct iommu_domain *dom)
{
	uint64_t align = iova_domain_alignment(dom);
	int rc = 0;

	rwl_wrlock(&t->domains_lock);
	rwl_wrlock(&t->iova_lock);
	for (unsigned i = 0; i < t->n_domains; i++)
		if (BUG_ON(t->domains[i] == dom))
			rc = refuse(EEXIST, "the ioas has this domain already");
	if (!rc && align > PAGE_SIZE)
		rc = refuse(EINVAL, "the smallest page of the domain is 0x%llx", (ull)align);
	if (!rc && align > t->alignment)
		rc = iova_check_areas_locked(t, align);
	if (!rc)
		rc = grow_domains(t);
	if (!rc)
		rc = reserve_aperture(t, dom);
	if (rc)
		goto out;
	rc = fill_domain(t, dom);
	if (rc) {
		iova_unreserve_locked(t, dom);
		goto out;
	}
	t->domains[t->n_domains++] = dom;
	t->alignment = max_u64(align, t->alignment);
out:
	rwl_wrunlock(&t->iova_lock);
	rwl_wrunlock(&t->domains_lock);
	return rc;
}

void iopt_remove_domain(struct iopt *t, struct iommu_domain *dom)
{
	struct imap_entry e;
	struct fill rest;
	unsigned i;

	rwl_wrlock(&t->domains_lock);
	rwl_wrlock(&t->iova_lock);
	for (i = 0; i < t->n_domains && t->domains[i] != dom; i++)
		;
	if (BUG_ON(i == t->n_domains))
		goto out;
	t->domains[i] = t->domains[--t->n_domains];
	rest = iopt_fill_of(t);
	imap_for_each(&e, &t->areas, 0, UINT64_MAX) {
		struct pages *p = area_pages(e.value);

		if (p)
			unfill_domain(&rest, e.value, p, dom);
	}
	iova_unreserve_locked(t, dom);
	t->alignment = iova_alignment_locked(t);
out:
	rwl_wrunlock(&t->iova_lock);
	rwl_wrunlock(&t->domains_lock);
}

bool iopt_large_off(struct iopt *t)
{
	bool off;

	rwl_rdlock(&t->iova_lock);
	off = t->large_off;
	rwl_rdunlock(&t->iova_lock);
	return off;
}

int iopt_set_large(struct iopt *t, bool on)
{
	uint64_t align;
	int rc = 0;

	rwl_wrlock(&t->domains_lock);
	rwl_wrlock(&t->iova_lock);
	if (on != t->large_off)
		goto out; /* so it is already */
	if (!on && t->n_domains && !imap_empty(&t->areas)) {
		rc = refuse(EINVAL, "large pages may be in use: there are mappings and %u domains",
			    t->n_domains);
		goto out;
	}
	t->large_off = !on;
	align = iova_alignment_locked(t);
	if (align > t->alignment)
		rc = iova_check_areas_locked(t, align);
	if (rc)
		t->large_off = on;
	else
		t->alignment = align;
out:
	rwl_wrunlock(&t->iova_lock);
	rwl_wrunlock(&t->domains_lock);
	return rc;
}
