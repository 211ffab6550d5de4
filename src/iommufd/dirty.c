// SPDX-License-Identifier: MIT
/*
 * What did devices write through a page table, and how does the client learn of it?
 *
 * The range is done in chunks that no entry of the table crosses, so that whoever asks for a whole
 * entry has it reported and cleared in one step. Of each chunk the dirty state is taken into
 * memory of ours with the IOVA lock held, and goes to the client when no lock is held any more.
 * What is taken is clean, hence lost if it could not be delivered: so the client's memory is
 * written to (without a change) before. Where that fails nothing is taken.
 *
 * Once the arguments are found right the answer is 0, whatever happens: that is the ABI. Source:
 * docs/abi/hwpt_get_dirty_bitmap.md.
 */
#include <errno.h>

#include "base/fault.h"
#include "base/why.h"
#include "iommufd/hwpt.h"
#include "iommufd/ioctl.h"
#include "mem/guard.h"

typedef unsigned long long ull;

#define WINDOW_BYTES 512u

/* A piece of the client's bitmap: bits to be added, not delivered yet. */
struct window {
	struct iommufd_ctx *ctx;
	uint64_t iova;     /* of bit 0 of the whole bitmap */
	unsigned bit_lg2;  /* bytes of IOVA per bit */
	uint64_t data;     /* client address of byte 0 */
	uint64_t first, n; /* bytes that have bits: n of them from number first on */
	int rc;            /* what went wrong first */
	uint8_t bits[WINDOW_BYTES];
};

/* Dirty state of one chunk, a bit for each of the smallest pages of the table. */
struct chunk {
	uint64_t start, last;
	unsigned page_lg2;
	uint64_t *words;
};

static int window_flush(struct window *w)
{
	uint8_t now[WINDOW_BYTES];
	uint64_t at = w->data + w->first;

	if (!w->n)
		return 0;
	/* Not through client_read(): no fault point may lose what is taken already. */
	if (guard_copy(now, (const void *)(uintptr_t)at, w->n))
		return refuse(EFAULT, "the bitmap at 0x%llx is gone", (ull)at);
	for (uint64_t i = 0; i < w->n; i++)
		now[i] |= w->bits[i];
	if (guard_copy((void *)(uintptr_t)at, now, w->n))
		return refuse(EFAULT, "the bitmap at 0x%llx is gone", (ull)at);
	w->n = 0;
	return 0;
}

static void set_bits(struct window *w, uint64_t from, uint64_t to) /* within the window */
{
	for (; from <= to && from % 8; from++)
		w->bits[from / 8 - w->first] |= (uint8_t)(1u << from % 8);
	for (; to >= 7 && from <= to - 7; from += 8)
		w->bits[from / 8 - w->first] = 0xff;
	for (; from <= to; from++)
		w->bits[from / 8 - w->first] |= (uint8_t)(1u << from % 8);
}

/* Adds the bits of [start, last] (IOVA), which lies above what was added before. */
static int window_add(struct window *w, uint64_t start, uint64_t last)
{
	uint64_t from = (start - w->iova) >> w->bit_lg2, to = (last - w->iova) >> w->bit_lg2;

	while (from <= to) {
		uint64_t end;
		int rc;

		if (w->n && from / 8 >= w->first + WINDOW_BYTES) {
			rc = window_flush(w);
			if (rc)
				return rc;
		}
		if (!w->n)
			w->first = from / 8;
		end = min_u64(to, (w->first + WINDOW_BYTES) * 8 - 1);
		while (w->first + w->n <= end / 8)
			w->bits[w->n++] = 0;
		set_bits(w, from, end);
		from = end + 1;
	}
	return 0;
}

static void take_range(void *arg, uint64_t start, uint64_t last)
{
	struct chunk *c = arg;
	uint64_t from = (start - c->start) >> c->page_lg2;
	uint64_t to = (last - c->start) >> c->page_lg2;

	for (; from <= to && from % 64; from++)
		c->words[from / 64] |= 1ull << from % 64;
	for (; to >= 63 && from <= to - 63; from += 64)
		c->words[from / 64] = UINT64_MAX;
	for (; from <= to; from++)
		c->words[from / 64] |= 1ull << from % 64;
}

/* How far [start, last] is mapped without a gap; false: not even at @start. */
static bool mapped_until_locked(struct iopt *t, uint64_t start, uint64_t last, uint64_t *until)
{
	uint64_t at = start;
	struct imap_entry e;

	imap_for_each(&e, &t->areas, start, last) {
		if (e.start > at || !area_pages(e.value))
			break;
		*until = min_u64(e.last, last);
		if (e.last >= last)
			return true;
		at = e.last + 1;
	}
	return at != start;
}

static bool mapped_until(struct iopt *t, uint64_t start, uint64_t last, uint64_t *until)
{
	bool any;

	rwl_rdlock(&t->iova_lock);
	any = mapped_until_locked(t, start, last, until);
	rwl_rdunlock(&t->iova_lock);
	return any;
}

/* The client's bytes for the chunk can be written. */
static int check_bitmap(const struct window *w, const struct chunk *c)
{
	uint64_t from = w->data + (((c->start - w->iova) >> w->bit_lg2) / 8);
	uint64_t to = w->data + (((c->last - w->iova) >> w->bit_lg2) / 8);
	uint64_t page = align_down(from, PAGE_SIZE);

	if (fault_point() || from < w->data || to < w->data ||
	    guard_touch((const void *)(uintptr_t)page, (to - page) / PAGE_SIZE + 1, true))
		return refuse(EFAULT, "the bitmap at 0x%llx-0x%llx cannot be written", (ull)from,
			      (ull)to);
	return 0;
}

/* Takes the state of what is still mapped of the chunk. */
static int take_chunk(const struct hwpt *h, struct chunk *c, unsigned flags)
{
	struct iopt *t = &h->ioas->iopt;
	uint64_t nbits = ((c->last - c->start) >> c->page_lg2) + 1;
	uint64_t until = c->last;
	int rc = 0;

	for (uint64_t i = 0; i <= (nbits - 1) / 64; i++)
		c->words[i] = 0;
	rwl_rdlock(&t->iova_lock);
	if (mapped_until_locked(t, c->start, c->last, &until))
		rc = iommu_domain_read_dirty(h->dom, c->start, until - c->start + 1, flags,
					     take_range, c);
	rwl_rdunlock(&t->iova_lock);
	return rc;
}

static int deliver_chunk(struct window *w, const struct chunk *c)
{
	uint64_t nbits = ((c->last - c->start) >> c->page_lg2) + 1;
	uint64_t from, to;
	int rc;

	for (uint64_t i = 0; i < nbits; i = to) {
		uint64_t word = c->words[i / 64] >> i % 64;

		if (!word) {
			to = (i / 64 + 1) * 64;
			continue;
		}
		from = i + lowest_bit(word);
		for (to = from; to < nbits && (c->words[to / 64] >> to % 64 & 1); to++)
			if (!(to % 64) && nbits - to >= 64 && c->words[to / 64] == UINT64_MAX)
				to += 63;
		rc = window_add(w, c->start + (from << c->page_lg2),
				c->start + ((to << c->page_lg2) - 1));
		if (rc)
			return rc;
	}
	return window_flush(w);
}

/* Walks the range; ends where the mapping does, or where something fails. */
static int report(const struct hwpt *h, struct window *w, uint64_t last, unsigned flags)
{
	const struct iommu_domain *dom = h->dom;
	uint64_t size = max_u64(1ull << highest_bit(dom->pgsizes), 128 * MIB);
	struct chunk c = { .start = w->iova, .page_lg2 = lowest_bit(dom->pgsizes) };
	uint64_t until;
	int rc = 0;

	c.words = mem_alloc((size >> c.page_lg2) / 8);
	if (!c.words)
		return refuse(ENOMEM, "no memory for the dirty state of 0x%llx bytes", (ull)size);
	while (!rc) {
		c.last = min_u64(last, c.start | (size - 1));
		if (!mapped_until(&h->ioas->iopt, c.start, c.last, &until))
			break;
		c.last = until;
		rc = check_bitmap(w, &c);
		if (!rc)
			rc = take_chunk(h, &c, flags);
		if (!rc)
			rc = deliver_chunk(w, &c);
		if (c.last >= last)
			break;
		c.start = c.last + 1;
	}
	mem_free(c.words);
	return rc;
}

static int check_range(const struct hwpt *h, const struct iommu_hwpt_get_dirty_bitmap *cmd)
{
	struct iopt *t = &h->ioas->iopt;
	uint64_t edges = cmd->iova | cmd->length, align;

	if (!cmd->length)
		return refuse(EINVAL, "GET_DIRTY_BITMAP: length is zero");
	if (cmd->iova + (cmd->length - 1) < cmd->iova)
		return refuse(EOVERFLOW, "GET_DIRTY_BITMAP: iova 0x%llx + length 0x%llx wraps",
			      (ull)cmd->iova, (ull)cmd->length);
	rwl_rdlock(&t->iova_lock);
	align = t->alignment;
	rwl_rdunlock(&t->iova_lock);
	if (edges & (align - 1))
		return refuse(
			EINVAL,
			"iova 0x%llx or length 0x%llx is not a multiple of the alignment 0x%llx",
			(ull)cmd->iova, (ull)cmd->length, (ull)align);
	if (!cmd->page_size)
		return refuse(EINVAL, "GET_DIRTY_BITMAP: page_size is zero");
	if ((cmd->iova | (cmd->iova + cmd->length)) & (cmd->page_size - 1))
		return refuse(EINVAL,
			      "iova 0x%llx or length 0x%llx is not a multiple of page_size 0x%llx",
			      (ull)cmd->iova, (ull)cmd->length, (ull)cmd->page_size);
	return 0;
}

static int refuse_not_dirty(const struct hwpt *h)
{
	return refuse(EOPNOTSUPP, "hwpt %u was made without dirty tracking", h->obj.id);
}

static int get_hwpt(struct iommufd_ctx *ctx, uint32_t id, struct hwpt **out)
{
	struct object *o;
	int rc = object_get(ctx, id, OBJECT_HWPT_PAGING, &o);

	if (!rc)
		*out = container_of(o, struct hwpt, obj);
	return rc;
}

int ioctl_hwpt_get_dirty_bitmap(struct ucmd *u)
{
	const struct iommu_hwpt_get_dirty_bitmap *cmd = u->cmd;
	struct window w = { .ctx = u->ctx, .iova = cmd->iova, .data = cmd->data };
	unsigned flags = 0;
	struct hwpt *h;
	int rc;

	if ((cmd->flags & ~(uint32_t)IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR) || cmd->__reserved)
		return refuse(EOPNOTSUPP, "GET_DIRTY_BITMAP: flags 0x%x, reserved field 0x%x",
			      cmd->flags, cmd->__reserved);
	rc = get_hwpt(u->ctx, cmd->hwpt_id, &h);
	if (rc)
		return rc;
	rc = check_range(h, cmd);
	if (!rc && !h->dom->dirty)
		rc = refuse_not_dirty(h);
	if (rc)
		goto out;
	w.bit_lg2 = lowest_bit(cmd->page_size);
	if (cmd->flags & IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR)
		flags |= IOMMU_DIRTY_NO_CLEAR;
	rc = report(h, &w, cmd->iova + (cmd->length - 1), flags);
	if (rc != -ENOMEM)
		rc = 0;
out:
	object_put(&h->obj);
	return rc;
}

static void forget(void *arg, uint64_t start, uint64_t last)
{
	(void)arg, (void)start, (void)last;
}

/* Makes every mapping clean and lets DMA say from now on what it writes. */
static int start_tracking(const struct hwpt *h)
{
	struct iopt *t = &h->ioas->iopt;
	struct imap_entry e;
	int rc = 0;

	rwl_rdlock(&t->iova_lock);
	imap_for_each(&e, &t->areas, 0, UINT64_MAX) {
		const struct area *a = e.value;

		if (!area_pages(a))
			continue;
		rc = iommu_domain_read_dirty(h->dom, a->start, area_len(a), IOMMU_DIRTY_NO_SYNC,
					     forget, NULL);
		if (rc)
			break;
	}
	if (!rc)
		rc = iommu_domain_set_dirty_tracking(h->dom, true); /* synchronises */
	rwl_rdunlock(&t->iova_lock);
	return rc;
}

int ioctl_hwpt_set_dirty_tracking(struct ucmd *u)
{
	const struct iommu_hwpt_set_dirty_tracking *cmd = u->cmd;
	struct hwpt *h;
	int rc;

	if (cmd->flags & ~(uint32_t)IOMMU_HWPT_DIRTY_TRACKING_ENABLE)
		return refuse(EOPNOTSUPP, "SET_DIRTY_TRACKING: flags 0x%x", cmd->flags);
	rc = get_hwpt(u->ctx, cmd->hwpt_id, &h);
	if (rc)
		return rc;
	if (!h->dom->dirty)
		rc = refuse_not_dirty(h);
	else if (cmd->flags & IOMMU_HWPT_DIRTY_TRACKING_ENABLE)
		rc = start_tracking(h);
	else
		rc = iommu_domain_set_dirty_tracking(h->dom, false);
	object_put(&h->obj);
	return rc;
}
