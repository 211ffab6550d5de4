// SPDX-License-Identifier: MIT
/*
 * What is mapped where in one IOAS, and which domains mirror it?
 *
 * Invariants
 *  I1  areas do not overlap; the map's value is the area, whose start and last are the key
 *  I2  domains is dense and without repetition
 *  I3  with n_domains > 0 every live area has a storage domain, which is one of them, and each of
 *      them maps the whole area; with none no area has one
 *  I4  what iova.c says (V1, V2)
 *
 * Who excludes whom
 *  map, unmap         domains_lock shared; iova_lock for write while they change the map, and not
 *                     while they move pages: meanwhile the area's pages pointer is NULL, which
 *                     keeps everybody else off it (EBUSY, or a gap)
 *  add/remove domain  both for write, so they never meet a half-built area
 *  the pages pointer  a building area becomes live by a release store without iova_lock: whoever
 *                     looks sees either state, and both are true at that moment
 */
#include "iommufd/iopt.h"

#include <errno.h>
#include <stdio.h>

#include "base/fault.h"
#include "base/why.h"
#include "iommufd/access.h"
#include "iommufd/fill.h"

typedef unsigned long long ull;

void iopt_init(struct iopt *t, struct iommufd_ctx *ctx)
{
	t->ctx = ctx;
	rwl_init(&t->domains_lock, LOCK_DOMAINS);
	t->domains = NULL;
	t->n_domains = t->cap_domains = 0;
	rwl_init(&t->iova_lock, LOCK_IOVA);
	imap_init(&t->areas);
	itree_init(&t->reserved);
	itree_init(&t->allowed);
	list_init(&t->resv_nodes);
	t->alignment = 1;
	t->large_off = false;
	idmap_init(&t->accesses, sizeof(struct iommufd_access *), ACCESS_LIST_IDS);
	t->n_pinning = 0;
	atomic_init(&t->accesses_left, 0);
	t->cached = NULL;
	t->n_cached = 0;
}

/*
 * Blocks: a few free ones stay with the iopt, under its iova_lock, so that the usual pair of map
 * and unmap does not take the context's lock. Any block may go to any iopt's cache.
 */
struct area_block *iopt_block_get_locked(struct iopt *t)
{
	struct area_block *b = t->cached;

	if (likely(b != NULL)) {
		if (fault_point())
			return NULL;
		t->cached = *(struct area_block **)(void *)b;
		t->n_cached--;
		return b;
	}
	mtx_lock(&t->ctx->pool_lock);
	b = pool_get(&t->ctx->blocks);
	mtx_unlock(&t->ctx->pool_lock);
	return b;
}

void iopt_block_put_locked(struct iopt *t, struct area_block *b)
{
	if (likely(t->n_cached < IOPT_CACHED_BLOCKS)) {
		*(struct area_block **)(void *)b = t->cached;
		t->cached = b;
		t->n_cached++;
		return;
	}
	mtx_lock(&t->ctx->pool_lock);
	pool_put(&t->ctx->blocks, b);
	mtx_unlock(&t->ctx->pool_lock);
}

/* An area that is out of the map lets go of its pages, and of the block if that was all. */
static void drop_pages_locked(struct iopt *t, struct pages *p)
{
	if (!pages_put(p))
		return;
	pages_finish(p);
	iopt_block_put_locked(t, container_of(p, struct area_block, pages));
}

void iopt_drop_pages(struct iommufd_ctx *ctx, struct pages *p)
{
	if (!pages_put(p))
		return;
	pages_finish(p);
	mtx_lock(&ctx->pool_lock);
	pool_put(&ctx->blocks, container_of(p, struct area_block, pages));
	mtx_unlock(&ctx->pool_lock);
}

void iopt_finish(struct iopt *t)
{
	uint64_t bytes;

	(void)BUG_ON(iopt_unmap(t, 0, UINT64_MAX, &bytes));
	(void)BUG_ON(t->n_domains || !list_empty(&t->resv_nodes));
	mtx_lock(&t->ctx->pool_lock);
	for (struct area_block *b = t->cached, *next; b; b = next) {
		next = *(struct area_block **)(void *)b;
		pool_put(&t->ctx->blocks, b);
	}
	mtx_unlock(&t->ctx->pool_lock);
	imap_finish(&t->areas);
	(void)BUG_ON(t->accesses.count);
	idmap_finish(&t->accesses);
	iova_free_allowed(&t->allowed);
	mem_free(t->domains);
}

struct fill iopt_fill_of(const struct iopt *t)
{
	return (struct fill){
		.domains = t->domains,
		.n = t->n_domains,
		.small_pages = t->large_off,
		.batch_max = t->ctx->batch_max,
	};
}

static int refuse_mapped(const struct iopt *t, uint64_t start, uint64_t last)
{
	struct imap_entry e;

	if (!imap_first(&t->areas, start, last, &e))
		return 0;
	return refuse(EEXIST, "iova 0x%llx-0x%llx meets the mapping 0x%llx-0x%llx", (ull)start,
		      (ull)last, (ull)e.start, (ull)e.last);
}

int iopt_place_locked(struct iopt *t, const struct iopt_map *m, uint64_t *iova)
{
	int rc = iova_place_locked(t, m, iova);

	if (likely(!rc) && m->fixed)
		rc = refuse_mapped(t, *iova, *iova + (m->len - 1));
	return rc;
}

/* Puts a new area, without pages yet, into the map; the block's pages are not initialised. */
static int insert_locked(struct iopt *t, const struct iopt_map *m, uint16_t offset, uint64_t npages,
			 struct area_block **out)
{
	struct area_block *b;
	uint64_t iova;
	int rc;

	rc = iopt_place_locked(t, m, &iova);
	if (unlikely(rc))
		return rc;
	rc = iova_check_offset_locked(t, offset);
	if (unlikely(rc))
		return rc;
	b = iopt_block_get_locked(t);
	if (unlikely(!b))
		return refuse(ENOMEM, "no memory for a mapping");
	b->area.node.start = 0;
	b->area.node.last = npages - 1;
	b->area.start = iova;
	b->area.last = iova + (m->len - 1);
	atomic_init(&b->area.pages, NULL);
	b->area.storage = NULL;
	b->area.run_pa = AREA_NO_RUN;
	b->area.page_offset = offset;
	b->area.prot = m->prot;
	b->area.prevent_access = false;
	b->area.num_accesses = b->area.num_locks = 0;
	rc = imap_insert(&t->areas, b->area.start, b->area.last, &b->area);
	if (unlikely(rc)) {
		iopt_block_put_locked(t, b);
		return rc;
	}
	*out = b;
	return 0;
}

/* The file is opened when its range is found right, and examined only when its pages are read. */
static int measure_file(struct iopt *t, const struct iopt_map *m, uint16_t *offset,
			uint64_t *npages, struct mm_file **file)
{
	int rc = pages_measure_file(m->addr, m->len, offset, npages);

	return rc ? rc : mm_file_open(t->ctx->machine->pm, m->fd, file);
}

int iopt_map(struct iopt *t, struct iopt_map *m)
{
	struct area_block *b = NULL;
	struct mm_file *file = NULL;
	uint64_t npages, iova;
	uint16_t offset;
	int rc;

	if (unlikely(m->from_file))
		rc = measure_file(t, m, &offset, &npages, &file);
	else
		rc = pages_measure(m->addr, m->len, &offset, &npages);
	if (unlikely(rc))
		return rc;
	rwl_rdlock(&t->domains_lock);
	/* Among many mappings the entry is a cache miss: let it come while the area is made. */
	if (m->fixed && t->n_domains)
		iommu_domain_prefetch(t->domains[0], m->iova);
	rwl_wrlock(&t->iova_lock);
	rc = insert_locked(t, m, offset, npages, &b);
	rwl_wrunlock(&t->iova_lock);
	if (unlikely(rc)) {
		mm_file_close(file);
		goto out;
	}
	iova = b->area.start;
	if (unlikely(file != NULL))
		pages_init_file(&b->pages, t->ctx, file, m->addr, npages, m->prot & IOMMU_WRITE);
	else
		pages_init_user(&b->pages, t->ctx, m->addr, npages, m->prot & IOMMU_WRITE);
	if (t->n_domains) {
		struct fill f = iopt_fill_of(t);

		rc = fill_area(&f, &b->area, &b->pages);
	}
	if (likely(!rc)) {
		/* From here on anybody may unmap it. */
		atomic_store_explicit(&b->area.pages, &b->pages, memory_order_release);
		m->iova = iova;
	} else {
		rwl_wrlock(&t->iova_lock);
		imap_erase(&t->areas, iova);
		drop_pages_locked(t, &b->pages);
		rwl_wrunlock(&t->iova_lock);
	}
out:
	rwl_rdunlock(&t->domains_lock);
	return rc;
}

/* One step of iopt_unmap(): the area of @e, whose pages are @p. iova_lock is dropped meanwhile. */
static void remove_area(struct iopt *t, const struct imap_entry *e, struct pages *p)
{
	struct area *a = e->value;

	if (t->n_domains) {
		struct fill f = iopt_fill_of(t);

		atomic_store_explicit(&a->pages, NULL, memory_order_relaxed);
		rwl_wrunlock(&t->iova_lock);
		unfill_area(&f, a, p);
		rwl_wrlock(&t->iova_lock);
	}
	imap_erase(&t->areas, e->start);
	if (p != &container_of(a, struct area_block, area)->pages)
		iopt_block_put_locked(t, container_of(a, struct area_block, area));
	drop_pages_locked(t, p);
}

/* The area at @e is pinned: makes its accesses let go. iova_lock and domains_lock are dropped. */
static int evict_accesses(struct iopt *t, const struct imap_entry *e, unsigned round)
{
	struct area *a = e->value;

	a->prevent_access = true;
	rwl_wrunlock(&t->iova_lock);
	rwl_rdunlock(&t->domains_lock);
	access_notify_unmap(t, e->start, e->last);
	rwl_rdlock(&t->domains_lock);
	rwl_wrlock(&t->iova_lock);
	if (likely(round <= UNMAP_ROUNDS))
		return 0;
	return refuse(EDEADLOCK,
		      "the mapping 0x%llx-0x%llx is still pinned by an access after %u requests",
		      (ull)e->start, (ull)e->last, round);
}

/* May the area of @e, with pages @p, be removed by an UNMAP of [start, last]? */
static int check_removable(const struct imap_entry *e, const struct pages *p, uint64_t start,
			   uint64_t last)
{
	const struct area *a = e->value;

	if (unlikely(!p))
		return refuse(EBUSY, "the mapping 0x%llx-0x%llx is being made or removed",
			      (ull)e->start, (ull)e->last);
	if (unlikely(a->num_locks))
		return refuse(EBUSY, "the mapping 0x%llx-0x%llx is in use by a queue",
			      (ull)e->start, (ull)e->last);
	if (unlikely(e->start < start || e->last > last))
		return refuse(ENOENT,
			      "0x%llx-0x%llx covers only a part of the mapping 0x%llx-0x%llx",
			      (ull)start, (ull)last, (ull)e->start, (ull)e->last);
	return 0;
}

int iopt_unmap(struct iopt *t, uint64_t start, uint64_t last, uint64_t *bytes)
{
	unsigned rounds = 0;
	struct imap_entry e;
	int rc = 0;

	*bytes = 0;
	rwl_rdlock(&t->domains_lock);
	rwl_wrlock(&t->iova_lock);
	while (imap_first(&t->areas, start, last, &e)) {
		const struct area *a = e.value;
		struct pages *p = area_pages(a);

		rc = check_removable(&e, p, start, last);
		if (unlikely(rc))
			break;
		if (e.start != start)
			rounds = 0;
		if (unlikely(a->num_accesses)) {
			start = e.start; /* what appears below it meanwhile is not ours */
			rc = evict_accesses(t, &e, ++rounds);
			if (rc)
				break;
			continue;
		}
		remove_area(t, &e, p);
		*bytes += e.last - e.start + 1;
		if (e.last == last)
			break;
		start = e.last + 1;
	}
	rwl_wrunlock(&t->iova_lock);
	rwl_rdunlock(&t->domains_lock);
	return rc;
}

static const char *prot_text(unsigned prot)
{
	static const char *const text[] = { "none", "read", "write", "read and write" };

	return text[prot & (IOMMU_READ | IOMMU_WRITE)];
}

void iopt_describe(struct iopt *t, uint64_t iova, char *buf, size_t len)
{
	struct imap_entry e;
	const struct area *a;
	int n = 0;

	buf[0] = 0;
	rwl_rdlock(&t->iova_lock);
	if (imap_first(&t->areas, iova, iova, &e)) {
		a = e.value;
		snprintf(buf, len, "0x%llx-0x%llx is mapped for %s%s", (ull)a->start, (ull)a->last,
			 prot_text(a->prot), area_pages(a) ? "" : ", but not quite yet or no more");
		goto out;
	}
	if (imap_before(&t->areas, iova, &e)) {
		a = e.value;
		n = snprintf(buf, len, "the nearest mapping below is 0x%llx-0x%llx (%s)",
			     (ull)a->start, (ull)a->last, prot_text(a->prot));
	}
	if (n >= 0 && (size_t)n < len && imap_first(&t->areas, iova, UINT64_MAX, &e)) {
		a = e.value;
		snprintf(buf + n, len - (size_t)n, "%s above is 0x%llx-0x%llx (%s)",
			 n ? ", the nearest" : "the nearest mapping", (ull)a->start, (ull)a->last,
			 prot_text(a->prot));
	}
out:
	rwl_rdunlock(&t->iova_lock);
}

void iopt_for_each_area(struct iopt *t, void (*fn)(void *arg, const struct iommufd_area_info *a),
			void *arg)
{
	struct imap_entry e;

	rwl_rdlock(&t->iova_lock);
	imap_for_each(&e, &t->areas, 0, UINT64_MAX) {
		const struct area *a = e.value;
		const struct pages *p = area_pages(a);
		struct iommufd_area_info info = { a->start, a->last, 0, a->prot };

		if (!p)
			continue;
		if (p->source == PAGES_USER)
			info.va = p->base + a->node.start * PAGE_SIZE + a->page_offset;
		fn(arg, &info);
	}
	rwl_rdunlock(&t->iova_lock);
}

/* I3 for one area: each domain maps exactly what the storage domain has. */
static void check_area(const struct iopt *t, const struct area *a)
{
	bool known = !t->n_domains;

	if (BUG_ON(!a->storage != !t->n_domains))
		return;
	for (unsigned k = 0; k < t->n_domains; k++) {
		uint64_t pa, pa2, len, len2;

		known |= t->domains[k] == a->storage;
		for (uint64_t at = a->start;; at += min_u64(len, len2)) {
			if (BUG_ON(iommu_domain_iova_to_pa(t->domains[k], at, &pa, &len) ||
				   iommu_domain_iova_to_pa(a->storage, at, &pa2, &len2) ||
				   pa != pa2))
				return;
			if (a->last - at < min_u64(len, len2))
				break;
		}
	}
	(void)BUG_ON(!known);
}

void iopt_check(struct iopt *t)
{
	struct imap_entry e;

	rwl_wrlock(&t->domains_lock);
	rwl_wrlock(&t->iova_lock);
	iova_check_locked(t);
	for (unsigned i = 0; i < t->n_domains; i++)
		for (unsigned j = 0; j < i; j++)
			(void)BUG_ON(t->domains[i] == t->domains[j]); /* I2 */
	imap_for_each(&e, &t->areas, 0, UINT64_MAX) {
		struct area *a = e.value;
		struct pages *p = area_pages(a);

		(void)BUG_ON(a->start != e.start || a->last != e.last); /* I1 */
		if (!p)
			continue;
		area_check(a, p);
		check_area(t, a);
		pages_check(p);
	}
	rwl_wrunlock(&t->iova_lock);
	rwl_wrunlock(&t->domains_lock);
}
