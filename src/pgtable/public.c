// SPDX-License-Identifier: MIT
/* <uiommufd/pgtable.h>: the tables for programs that want nothing else of us. */
#include <uiommufd/pgtable.h>

#include <errno.h>
#include <string.h>

#include "base/pool.h"
#include "base/why.h"
#include "pgtable/pt.h"

_Static_assert(UIOMMUFD_PGTABLE_READ == PT_READ && UIOMMUFD_PGTABLE_WRITE == PT_WRITE &&
		       UIOMMUFD_PGTABLE_MMIO == PT_MMIO && UIOMMUFD_PGTABLE_SNOOP == PT_SNOOP &&
		       UIOMMUFD_PGTABLE_SMALL == PT_SMALL,
	       "permissions are handed through");
_Static_assert(UIOMMUFD_PGTABLE_FORCE_SNOOP == PT_FORCE_SNOOP &&
		       UIOMMUFD_PGTABLE_FORCE_WRITABLE == PT_FORCE_WRITABLE,
	       "features are handed through");

struct uiommufd_pgtable {
	struct pt pt;
	struct pt_ops ops;
	void (*invalidate)(void *arg, uint64_t first, uint64_t last, uint64_t tables);
	void *arg;
};

API const char *uiommufd_pgtable_format(unsigned i)
{
	const struct pt_format *f = pt_format_at(i);

	return f ? f->name : NULL;
}

/* Copies what the caller knows of the options; the rest is 0. */
static int read_options(const struct uiommufd_pgtable_options *from,
			struct uiommufd_pgtable_options *o)
{
	size_t size = from->size;

	if (size < sizeof(*o))
		return refuse(EINVAL, "options of %zu bytes, at least %zu are needed", size,
			      sizeof(*o));
	for (size_t i = sizeof(*o); i < size; i++) {
		if (((const char *)from)[i])
			return refuse(EINVAL, "option byte %zu is not known to this version", i);
	}
	memcpy(o, from, sizeof(*o));
	if (!o->format || !o->alloc || !o->free || !o->to_pointer)
		return refuse(EINVAL, "format, alloc, free and to_pointer are needed");
	if (o->features & ~(PT_FORCE_SNOOP | PT_FORCE_WRITABLE))
		return refuse(EINVAL, "features 0x%x are not known to this version", o->features);
	return 0;
}

API int uiommufd_pgtable_create(const struct uiommufd_pgtable_options *options,
				struct uiommufd_pgtable **out)
{
	struct uiommufd_pgtable_options o;
	struct pt_config c = { 0 };
	struct uiommufd_pgtable *p;
	int rc = read_options(options, &o);

	if (rc)
		return rc;
	p = mem_zalloc(sizeof(*p));
	if (!p)
		return refuse(ENOMEM, "no memory for a page table");
	p->ops = (struct pt_ops){ o.alloc, o.free, o.to_pointer };
	p->invalidate = o.invalidate;
	p->arg = o.arg;
	c.format = o.format;
	c.levels = o.levels;
	c.granule_lg2 = o.granule_lg2;
	c.iova_bits = o.iova_bits;
	c.oa_bits = o.output_bits;
	c.pgsizes = o.page_sizes;
	c.first = o.first;
	c.last = o.last;
	c.features = o.features;
	c.ops = &p->ops;
	c.ops_arg = o.arg;
	rc = pt_init(&p->pt, &c);
	if (rc) {
		mem_free(p);
		return rc;
	}
	*out = p;
	return 0;
}

API void uiommufd_pgtable_destroy(struct uiommufd_pgtable *table)
{
	if (!table)
		return;
	pt_destroy(&table->pt);
	mem_free(table);
}

API uint64_t uiommufd_pgtable_root(const struct uiommufd_pgtable *table)
{
	return pt_root(&table->pt);
}

API unsigned uiommufd_pgtable_levels(const struct uiommufd_pgtable *table)
{
	return pt_levels(&table->pt);
}

API uint64_t uiommufd_pgtable_page_sizes(const struct uiommufd_pgtable *table)
{
	return table->pt.pgsizes;
}

/* Invalidates what the call touched, then frees what it took out. */
static void settle(struct uiommufd_pgtable *table, struct pt_gather *g)
{
	if (g->first > g->last)
		return;
	if (table->invalidate)
		table->invalidate(table->arg, g->first, g->last, g->ntables);
	pt_gather_free(&table->pt, g);
}

API int uiommufd_pgtable_map(struct uiommufd_pgtable *table, uint64_t iova, uint64_t output,
			     uint64_t length, uint32_t prot)
{
	struct pt_gather g;
	int rc;

	pt_gather_init(&g);
	rc = pt_map(&table->pt, iova, output, length, prot, &g);
	settle(table, &g);
	return rc;
}

API uint64_t uiommufd_pgtable_unmap(struct uiommufd_pgtable *table, uint64_t iova, uint64_t length)
{
	struct pt_gather g;
	uint64_t n;

	pt_gather_init(&g);
	n = pt_unmap(&table->pt, iova, length, &g);
	settle(table, &g);
	return n;
}

API int uiommufd_pgtable_walk(const struct uiommufd_pgtable *table, uint64_t iova,
			      struct uiommufd_pgtable_translation *out)
{
	struct pt_walk_result r;
	int rc = pt_walk(&table->pt, iova, &r);

	out->entry = r.entry;
	out->level = r.level;
	if (rc)
		return rc;
	out->output = r.pa;
	out->prot = r.prot;
	out->page_size_lg2 = r.size_lg2;
	out->reserved[0] = out->reserved[1] = 0;
	return 0;
}

struct page_visit {
	int (*fn)(void *arg, const struct uiommufd_pgtable_page *page);
	void *arg;
};

static int visit_leaf(void *arg, const struct pt_leaf *leaf)
{
	const struct page_visit *v = arg;
	struct uiommufd_pgtable_page page = { .iova = leaf->iova,
					      .output = leaf->pa,
					      .prot = leaf->prot,
					      .page_size_lg2 = leaf->size_lg2,
					      .level = (uint8_t)leaf->level };

	return v->fn(v->arg, &page);
}

API int uiommufd_pgtable_for_each(const struct uiommufd_pgtable *table, uint64_t first,
				  uint64_t last,
				  int (*fn)(void *arg, const struct uiommufd_pgtable_page *page),
				  void *arg)
{
	struct page_visit v = { fn, arg };

	return pt_for_each_leaf(&table->pt, first, last, visit_leaf, &v);
}

API long uiommufd_pgtable_check(const struct uiommufd_pgtable *table,
				void (*report)(void *arg, const char *problem), void *arg)
{
	return pt_lint(&table->pt, report, arg);
}
