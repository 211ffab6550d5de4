// SPDX-License-Identifier: MIT
/* Which kinds of IOMMU are there, and how is one chosen in words? */
#include "iommu/kinds.h"

#include <errno.h>
#include <string.h>

#include <uiommufd/device.h>

#include "base/why.h"

const struct iommu_kind *const iommu_kinds[] = {
	&iommu_kind_vtd,
	NULL,
};

static const struct iommu_kind *find(const char *name, size_t len)
{
	for (size_t i = 0; iommu_kinds[i]; i++)
		if (strlen(iommu_kinds[i]->name) == len && !memcmp(iommu_kinds[i]->name, name, len))
			return iommu_kinds[i];
	return NULL;
}

const struct iommu_kind *iommu_kind_find(const char *name)
{
	return find(name, strlen(name));
}

/* @item: "KEY=VALUE", ours to write to. */
static int take_option(struct iommu *iommu, char *item)
{
	const struct iommu_kind *k = iommu->kind;
	char *eq = strchr(item, '=');

	if (!eq)
		return refuse(EINVAL, "iommu option '%s' is not KEY=VALUE", item);
	*eq = 0;
	for (const struct uiommufd_option *o = k->options; o && o->key; o++)
		if (!strcmp(o->key, item))
			return k->configure(iommu, item, eq + 1);
	return refuse(EINVAL, "IOMMU kind %s has no option '%s' (try: uiommufd list)", k->name,
		      item);
}

int iommu_configure(struct iommu *iommu, const char *text)
{
	char item[64];
	int rc = 0;

	iommu->kind = find(text, strcspn(text, ","));
	iommu->levels = 0;
	if (!iommu->kind)
		return refuse(EINVAL, "there is no IOMMU kind '%.*s' (try: uiommufd list)",
			      (int)strcspn(text, ","), text);
	text += strcspn(text, ",");
	while (!rc && *text) {
		size_t len = strcspn(++text, ",");

		if (len >= sizeof(item))
			return refuse(EINVAL, "an iommu option of %zu characters, at most %zu fit",
				      len, sizeof(item) - 1);
		memcpy(item, text, len);
		item[len] = 0;
		text += len;
		rc = take_option(iommu, item);
	}
	return rc;
}
