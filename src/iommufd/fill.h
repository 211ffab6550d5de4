/* SPDX-License-Identifier: MIT */
/*
 * Fill: PFNs from the reader into domains, and out of them again.
 *
 * Order of a removal, always: clear the entries in every domain, wait until no DMA uses them,
 * unpin, and only then let go of the memory.
 */
#ifndef IOMMUFD_FILL_H
#define IOMMUFD_FILL_H

#include "iommufd/area.h"

/* The domains that an area goes into, and how. */
struct fill {
	struct iommu_domain *const *domains;
	unsigned n;
	bool small_pages;   /* one entry per page */
	unsigned batch_max; /* runs per batch */
};

/**
 * fill_area() - install an area in all of @f->domains, at least one
 * @a: its storage is not set: domains[0] becomes it, and @a joins the pages' domains
 * @p: its pages
 *
 * Reads through the tiers, installs batch by batch in every domain, then charges.
 *
 * Locks:  the iopt's domains do not change; takes the pages' lock
 * Return: 0; -EFAULT, -ENOMEM of pinning, -ENOMEM of the limit, errors of the domain's map. Then
 *         nothing is installed, pinned or charged on behalf of @a.
 */
int fill_area(const struct fill *f, struct area *a, struct pages *p);

/* Installs an area that has a storage domain in one more. Errors and locks as fill_area(). */
int fill_more(const struct fill *f, struct area *a, struct pages *p);

/* Takes the area out of all of @f->domains, which are all that hold it. Cannot fail. */
void unfill_area(const struct fill *f, struct area *a, struct pages *p);

/*
 * Takes the area out of @dom, which is no longer in @f->domains: those that stay. With none of
 * them left the pages are unpinned as in unfill_area(). Cannot fail.
 */
void unfill_domain(const struct fill *f, struct area *a, struct pages *p, struct iommu_domain *dom);

#endif
