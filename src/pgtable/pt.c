// SPDX-License-Identifier: MIT
/* A table's life, and where its memory comes from and goes. */
#include "pgtable/pt.h"

#include <errno.h>
#include <string.h>

#include "base/fault.h"
#include "base/why.h"
#include "pgtable/fmt.h"

typedef unsigned long long ull;

static void *table_alloc(struct pt *t, size_t size, uint64_t *addr)
{
	void *p = fault_point() ? NULL : t->ops->alloc(t->ops_arg, size, addr);

	if (p)
		atomic_fetch_add_explicit(&t->ntables, 1, memory_order_relaxed);
	return p;
}

static void table_free(struct pt *t, void *p, uint64_t addr, size_t size)
{
	atomic_fetch_sub_explicit(&t->ntables, 1, memory_order_relaxed);
	t->ops->free(t->ops_arg, p, addr, size);
}

/* ---- spare tables: taken before a map changes anything ---- */

void pt_spare_put(struct pt_spare *s, _Atomic uint64_t *table, uint64_t addr)
{
	atomic_store_explicit(table, s->first, memory_order_relaxed);
	s->first = addr;
	if (!s->n++)
		s->last = addr;
}

/* The oldest first, so that tables lie in memory in the order in which the walk needs them. */
_Atomic uint64_t *pt_spare_take(const struct pt *t, struct pt_spare *s, uint64_t *addr)
{
	_Atomic uint64_t *table = pt_table_at(t, s->first);

	*addr = s->first;
	s->first = atomic_load_explicit(table, memory_order_relaxed);
	s->n--;
	atomic_store_explicit(table, 0, memory_order_relaxed);
	return table;
}

void pt_spare_drain(struct pt *t, struct pt_spare *s)
{
	while (s->n) {
		uint64_t addr;
		_Atomic uint64_t *table = pt_spare_take(t, s, &addr);

		table_free(t, (void *)table, addr, t->table_bytes);
	}
}

int pt_spare_fill(struct pt *t, struct pt_spare *s, uint64_t n)
{
	while (s->n < n) {
		uint64_t addr;
		void *p = table_alloc(t, t->table_bytes, &addr);

		if (!p) {
			uint64_t got = s->n;

			pt_spare_drain(t, s);
			return refuse(ENOMEM, "no memory for page table %llu of %llu",
				      (ull)(got + 1), (ull)n);
		}
		if (s->n++)
			atomic_store_explicit(pt_table_at(t, s->last), addr, memory_order_relaxed);
		else
			s->first = addr;
		s->last = addr;
	}
	return 0;
}

/* ---- tables taken out ---- */

/*
 * A reader that is still in the table must find nothing in it, so the list runs through entries
 * that are not present in any format: the address of the next table and the size of this one,
 * whose low six bits are 0.
 */
static void gather_link(struct pt_gather *g, _Atomic uint64_t *table, uint64_t addr, size_t size)
{
	atomic_store_explicit(&table[0], g->tables, memory_order_relaxed);
	atomic_store_explicit(&table[1], size, memory_order_relaxed);
	g->tables = addr;
	g->ntables++;
}

void pt_gather_table(const struct pt *t, struct pt_gather *g, _Atomic uint64_t *table,
		     uint64_t addr)
{
	gather_link(g, table, addr, t->table_bytes);
}

void pt_gather_free(struct pt *t, struct pt_gather *g)
{
	while (g->tables) {
		uint64_t addr = g->tables;
		_Atomic uint64_t *table = pt_table_at(t, addr);
		uint64_t size = atomic_load_explicit(&table[1], memory_order_relaxed);

		g->tables = atomic_load_explicit(&table[0], memory_order_relaxed);
		atomic_store_explicit(&table[0], 0, memory_order_relaxed);
		atomic_store_explicit(&table[1], 0, memory_order_relaxed);
		table_free(t, (void *)table, addr, size);
	}
	pt_gather_init(g);
}

bool pt_tree_empty(const struct pt *t, uint64_t e, unsigned level)
{
	const struct pt_fmt *f = t->format->fmt;
	_Atomic uint64_t *table = pt_table_at(t, f->table_addr(t, e));

	for (size_t i = 0; i < t->table_bytes / 8; i++) {
		uint64_t sub = fmt_load(f, &table[i]);

		if (f->present(sub) &&
		    (!f->is_table(t, sub, level - 1) || !pt_tree_empty(t, sub, level - 1)))
			return false;
	}
	return true;
}

void pt_tree_gather(const struct pt *t, _Atomic uint64_t *item, unsigned level, struct pt_gather *g)
{
	const struct pt_fmt *f = t->format->fmt;
	uint64_t addr = f->table_addr(t, fmt_load(f, item));
	_Atomic uint64_t *table = pt_table_at(t, addr);

	fmt_store(f, item, 0);
	for (size_t i = 0; i < t->table_bytes / 8; i++) {
		if (f->present(fmt_load(f, &table[i])))
			pt_tree_gather(t, &table[i], level - 1, g);
	}
	pt_gather_table(t, g, table, addr);
}

/* ---- life ---- */

static int check_config(const struct pt_format *fo, const struct pt_config *c, unsigned levels)
{
	if (levels < fo->min_levels || levels > fo->max_levels)
		return refuse(EINVAL, "%u levels: %s has %u to %u", levels, fo->title,
			      fo->min_levels, fo->max_levels);
	if (c->first > c->last)
		return refuse(EINVAL, "aperture 0x%llx..0x%llx is empty", (ull)c->first,
			      (ull)c->last);
	return 0;
}

/* A page of half the table or more is not offered, nor one that the output cannot hold. */
static int choose_sizes(struct pt *t, const struct pt_config *c)
{
	unsigned gran = pt_granule_lg2(t);

	t->pgsizes &= (1ull << (t->width - 1)) - 1;
	t->pgsizes &= t->oa_last;
	if (c->pgsizes)
		t->pgsizes &= c->pgsizes;
	if (!(t->pgsizes & 1ull << gran))
		return refuse(EINVAL, "page sizes 0x%llx do not contain the granule, 2^%u bytes",
			      (ull)c->pgsizes, gran);
	return 0;
}

static int choose_root(struct pt *t, const struct pt_config *c, unsigned levels)
{
	uint64_t addr = c->root;

	if (c->borrow) {
		if (addr & (min_u64(t->root_bytes, 4096) - 1) || addr > t->oa_last ||
		    (!c->biased && !c->ops->to_ptr(c->ops_arg, addr)))
			return refuse(EFAULT, "root 0x%llx is not a table", (ull)addr);
	} else if (!table_alloc(t, t->root_bytes, &addr)) {
		return refuse(ENOMEM, "no memory for a root table of %zu bytes", t->root_bytes);
	}
	atomic_store_explicit(&t->top, addr | (levels - 1), memory_order_release);
	return 0;
}

int pt_init_format(struct pt *t, const struct pt_format *fo, const struct pt_config *c)
{
	unsigned levels = c->levels ? c->levels : fo->usual_levels;
	int rc;

	*t = (struct pt){
		.ptr_bias = c->ptr_bias,
		.biased = c->biased,
		.borrowed = c->borrow,
		.features = c->features,
		.id = (uint8_t)fo->id,
		.format = fo,
		.ops = c->ops,
		.ops_arg = c->ops_arg,
	};
	rc = check_config(fo, c, levels);
	if (!rc)
		rc = fo->setup(t, c, levels);
	if (!rc)
		rc = choose_sizes(t, c);
	if (rc)
		return rc;
	t->first = c->first;
	t->last = c->last;
	if (!t->first && !t->last)
		t->last = fo->fmt->sign_extend ? UINT64_MAX : UINT64_MAX >> (64 - t->width);
	return choose_root(t, c, levels);
}

int pt_init(struct pt *t, const struct pt_config *c)
{
	const struct pt_format *fo = pt_format_find(c->format);

	if (!fo)
		return refuse(ENOENT, "no page-table format named \"%s\"", c->format);
	return pt_init_format(t, fo, c);
}

static void destroy_table(struct pt *t, uint64_t addr, unsigned level, size_t size)
{
	const struct pt_fmt *f = t->format->fmt;
	_Atomic uint64_t *table = pt_table_at(t, addr);

	for (size_t i = 0; level > 0 && i < size / 8; i++) {
		uint64_t e = fmt_load(f, &table[i]);

		if (f->present(e) && f->is_table(t, e, level))
			destroy_table(t, f->table_addr(t, e), level - 1, t->table_bytes);
	}
	memset((void *)table, 0, size);
	table_free(t, (void *)table, addr, size);
}

void pt_destroy(struct pt *t)
{
	uint64_t word;

	if (!t || !t->format)
		return;
	word = pt_top_word(t);
	if (!t->borrowed)
		destroy_table(t, pt_top_addr(word), pt_top_level(word), t->root_bytes);
	t->format = NULL;
}

unsigned pt_granule_lg2(const struct pt *t)
{
	return t->granule_lg2;
}

/* ---- words ---- */

int pt_map_refuse(const struct pt *t, uint64_t iova, uint64_t pa, uint64_t len, unsigned prot)
{
	const struct pt_fmt *f = t->format->fmt;
	uint64_t gran = 1ull << pt_granule_lg2(t), last = iova + (len - 1), va;

	if (!len)
		return refuse(EINVAL, "length 0");
	if (iova & (gran - 1))
		return refuse(EINVAL, "iova 0x%llx is not a multiple of the granule 0x%llx",
			      (ull)iova, (ull)gran);
	if (pa & (gran - 1))
		return refuse(EINVAL,
			      "output address 0x%llx is not a multiple of the granule 0x%llx",
			      (ull)pa, (ull)gran);
	if (len & (gran - 1))
		return refuse(EINVAL, "length 0x%llx is not a multiple of the granule 0x%llx",
			      (ull)len, (ull)gran);
	if (last < iova)
		return refuse(EINVAL, "iova 0x%llx and length 0x%llx go beyond 2^64", (ull)iova,
			      (ull)len);
	if (iova < t->first || last > t->last)
		return refuse(EINVAL, "iova 0x%llx..0x%llx is outside the aperture 0x%llx..0x%llx",
			      (ull)iova, (ull)last, (ull)t->first, (ull)t->last);
	if (!fmt_va(f, t, iova, &va) || !fmt_va(f, t, last, &va))
		return refuse(EINVAL, "iova 0x%llx..0x%llx needs more than the table's %u bits",
			      (ull)iova, (ull)last, t->width);
	if (pa > t->oa_last || len - 1 > t->oa_last - pa)
		return refuse(
			EINVAL,
			"output address 0x%llx with length 0x%llx is beyond 0x%llx, the highest",
			(ull)pa, (ull)len, (ull)t->oa_last);
	if (!(prot & (PT_READ | PT_WRITE)))
		return refuse(EINVAL, "a mapping must allow reading or writing, prot is 0x%x",
			      prot);
	if (prot & ~PT_PROT_ALL)
		return refuse(EINVAL, "unknown permission bits 0x%x", prot & ~PT_PROT_ALL);
	if (!f->prot_ok(t, prot))
		return refuse(EINVAL, "%s cannot hold a mapping with prot 0x%x here",
			      t->format->title, prot);
	return refuse(EINVAL, "iova 0x%llx..0x%llx crosses the hole in the middle", (ull)iova,
		      (ull)last);
}

const char *pt_why_text(enum pt_why why)
{
	switch (why) {
	case PT_OK:
		return "translated";
	case PT_BEYOND_WIDTH:
		return "the address has more bits than the table decodes";
	case PT_NOT_PRESENT:
		return "nothing is mapped there";
	case PT_RESERVED_BITS:
		return "an entry has reserved bits set";
	case PT_POINTS_NOWHERE:
		return "an entry points outside the table memory";
	}
	return "unknown";
}
