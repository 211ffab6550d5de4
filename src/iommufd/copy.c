// SPDX-License-Identifier: MIT
/*
 * How does what is mapped in one IOAS get into another?
 *
 * By slices: for each source area that the range meets, one new area over the same pages. A slice
 * keeps the pages alive by a reference, so the source may be unmapped, and its IOAS destroyed, from
 * the moment that it has been taken. Source and destination are never locked together, and may be
 * one. Source: docs/abi/ioas_copy.md.
 */
#include <errno.h>

#include "base/fault.h"
#include "base/why.h"
#include "iommufd/fill.h"
#include "iommufd/ioas.h"
#include "iommufd/ioctl.h"

typedef unsigned long long ull;

#define COPY_FLAGS (IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_WRITEABLE | IOMMU_IOAS_MAP_READABLE)

/* What one source area gives. */
struct slice {
	struct pages *pages;      /* one reference */
	uint64_t first, last;     /* page indexes */
	uint64_t len;             /* bytes */
	uint16_t offset;          /* of the first byte in the first page */
	struct area_block *block; /* the new area, once it is in the map */
};

struct slices {
	struct slice *s;
	size_t n;
};

/* The areas that fill [start, last] without a gap, counted. */
static int count_areas_locked(struct iopt *t, uint64_t start, uint64_t last, size_t *n)
{
	uint64_t at = start;
	struct imap_entry e;

	*n = 0;
	imap_for_each(&e, &t->areas, start, last) {
		if (e.start > at || !area_pages(e.value))
			break;
		++*n;
		if (e.last >= last)
			return 0;
		at = e.last + 1;
	}
	return refuse(ENOENT, "0x%llx-0x%llx is not mapped throughout: there is a gap at 0x%llx",
		      (ull)start, (ull)last, (ull)at);
}

static void take_slice(const struct area *a, uint64_t start, uint64_t last, struct slice *s)
{
	uint64_t from = max_u64(a->start, start), to = min_u64(a->last, last);
	uint64_t off = from - a->start + a->page_offset; /* in the area's first page */

	s->pages = area_pages(a);
	s->first = a->node.start + off / PAGE_SIZE;
	s->offset = (uint16_t)(off & PAGE_MASK);
	s->len = to - from + 1;
	s->last = s->first + (s->offset + (s->len - 1)) / PAGE_SIZE;
	s->block = NULL;
	pages_get(s->pages);
}

static int take_slices(struct iopt *t, uint64_t start, uint64_t last, struct slices *out)
{
	struct imap_entry e;
	size_t n, i = 0;
	int rc;

	rwl_rdlock(&t->iova_lock);
	rc = count_areas_locked(t, start, last, &n);
	if (rc)
		goto out;
	out->s = mem_alloc(n * sizeof(*out->s));
	if (!out->s) {
		rc = refuse(ENOMEM, "no memory to copy %zu mappings", n);
		goto out;
	}
	imap_for_each(&e, &t->areas, start, last)
		take_slice(e.value, start, last, &out->s[i++]);
	out->n = n;
out:
	rwl_rdunlock(&t->iova_lock);
	return rc;
}

/* Gives back what became no area of its own, with the pages that nobody else has. */
static void drop_slices(struct iommufd_ctx *ctx, struct slices *all)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->s[i].pages)
			iopt_drop_pages(ctx, all->s[i].pages);
	mem_free(all->s);
}

static int check_slices_locked(const struct iopt *t, const struct iopt_map *m,
			       const struct slices *all)
{
	for (size_t i = 0; i < all->n; i++) {
		const struct slice *s = &all->s[i];
		int rc;

		if ((m->prot & IOMMU_WRITE) && !s->pages->writable)
			return refuse(EPERM, "the memory was mapped for reading only");
		rc = iova_check_offset_locked(t, s->offset);
		if (rc)
			return rc;
	}
	return 0;
}

static int insert_slice_locked(struct iopt *t, const struct iopt_map *m, uint64_t iova,
			       struct slice *s)
{
	struct area_block *b = iopt_block_get_locked(t);
	int rc;

	if (!b)
		return refuse(ENOMEM, "no memory for a mapping");
	b->area = (struct area){
		.node = { .start = s->first, .last = s->last },
		.start = iova,
		.last = iova + (s->len - 1),
		.run_pa = AREA_NO_RUN,
		.page_offset = s->offset,
		.prot = m->prot,
	};
	rc = imap_insert(&t->areas, b->area.start, b->area.last, &b->area);
	if (rc) {
		iopt_block_put_locked(t, b);
		return rc;
	}
	s->block = b;
	return 0;
}

/* Takes the new areas, which have no pages yet and are in no domain, out of the map. */
static void remove_slices_locked(struct iopt *t, struct slices *all)
{
	for (size_t i = 0; i < all->n && all->s[i].block; i++) {
		imap_erase(&t->areas, all->s[i].block->area.start);
		iopt_block_put_locked(t, all->s[i].block);
		all->s[i].block = NULL;
	}
}

/* Reserves the IOVA: a row of areas without pages. */
static int insert_slices_locked(struct iopt *t, struct iopt_map *m, struct slices *all)
{
	uint64_t iova;
	int rc = iopt_place_locked(t, m, &iova);

	if (!rc)
		rc = check_slices_locked(t, m, all);
	if (rc)
		return rc;
	m->iova = iova;
	for (size_t i = 0; i < all->n; i++) {
		rc = insert_slice_locked(t, m, iova, &all->s[i]);
		if (rc) {
			remove_slices_locked(t, all);
			return rc;
		}
		iova += all->s[i].len; /* may wrap after the last one */
	}
	return 0;
}

static int fill_slices(struct iopt *t, struct slices *all)
{
	struct fill f = iopt_fill_of(t);

	if (!f.n)
		return 0;
	for (size_t i = 0; i < all->n; i++) {
		int rc = fill_area(&f, &all->s[i].block->area, all->s[i].pages);

		if (!rc)
			continue;
		while (i--)
			unfill_area(&f, &all->s[i].block->area, all->s[i].pages);
		return rc;
	}
	return 0;
}

/* Maps the slices in a row; @m: addr, len, iova, fixed and prot as for iopt_map(). */
static int map_slices(struct iopt *t, struct iopt_map *m, struct slices *all)
{
	int rc;

	rwl_rdlock(&t->domains_lock);
	rwl_wrlock(&t->iova_lock);
	rc = insert_slices_locked(t, m, all);
	rwl_wrunlock(&t->iova_lock);
	if (rc)
		goto out;
	rc = fill_slices(t, all);
	if (rc) {
		rwl_wrlock(&t->iova_lock);
		remove_slices_locked(t, all);
		rwl_wrunlock(&t->iova_lock);
		goto out;
	}
	for (size_t i = 0; i < all->n; i++) {
		struct slice *s = &all->s[i];
		struct pages *p = s->pages;

		s->pages = NULL; /* the reference is the area's; anybody may unmap it */
		atomic_store_explicit(&s->block->area.pages, p, memory_order_release);
	}
out:
	rwl_rdunlock(&t->domains_lock);
	return rc;
}

static int take_source(struct ucmd *u, const struct iommu_ioas_copy *cmd, struct slices *all)
{
	uint64_t last = cmd->src_iova + (cmd->length - 1);
	struct ioas *ioas;
	int rc = ioas_get(u->ctx, cmd->src_ioas_id, &ioas);

	if (rc)
		return rc;
	if (!cmd->length)
		rc = refuse(EINVAL, "IOAS_COPY: length is zero");
	else if (last < cmd->src_iova)
		rc = refuse(EOVERFLOW, "IOAS_COPY: iova 0x%llx + length 0x%llx wraps",
			    (ull)cmd->src_iova, (ull)cmd->length);
	else
		rc = take_slices(&ioas->iopt, cmd->src_iova, last, all);
	object_put(&ioas->obj);
	return rc ? why_add(rc, "source ioas %u", cmd->src_ioas_id) : 0;
}

static int check_arguments(const struct iommu_ioas_copy *cmd)
{
	if (cmd->flags & ~(uint32_t)COPY_FLAGS)
		return refuse(EOPNOTSUPP, "IOAS_COPY: flags 0x%x", cmd->flags);
	if (cmd->length == UINT64_MAX || cmd->src_iova == UINT64_MAX || cmd->dst_iova == UINT64_MAX)
		return refuse(EOVERFLOW, "IOAS_COPY: iova 0x%llx to 0x%llx, length 0x%llx",
			      (ull)cmd->src_iova, (ull)cmd->dst_iova, (ull)cmd->length);
	if (!(cmd->flags & (IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE)))
		return refuse(EINVAL, "IOAS_COPY: neither readable nor writeable");
	return 0;
}

int ioctl_ioas_copy(struct ucmd *u)
{
	struct iommu_ioas_copy *cmd = u->cmd;
	struct iopt_map m = { .len = cmd->length, .iova = cmd->dst_iova };
	struct slices all = { NULL, 0 };
	struct ioas *ioas;
	int rc = check_arguments(cmd);

	if (!rc)
		rc = take_source(u, cmd, &all);
	if (rc)
		return rc;
	m.addr = all.s[0].pages->base + all.s[0].first * PAGE_SIZE + all.s[0].offset;
	m.fixed = cmd->flags & IOMMU_IOAS_MAP_FIXED_IOVA;
	if (cmd->flags & IOMMU_IOAS_MAP_READABLE)
		m.prot |= IOMMU_READ;
	if (cmd->flags & IOMMU_IOAS_MAP_WRITEABLE)
		m.prot |= IOMMU_WRITE;
	rc = ioas_get(u->ctx, cmd->dst_ioas_id, &ioas);
	if (!rc) {
		rc = map_slices(&ioas->iopt, &m, &all);
		object_put(&ioas->obj);
	}
	drop_slices(u->ctx, &all);
	if (rc)
		return why_add(rc, "destination ioas %u", cmd->dst_ioas_id);
	cmd->dst_iova = m.iova;
	return 0;
}
