// SPDX-License-Identifier: MIT
/*
 * How does a device's access reach memory?
 *
 * In sections of at most FENCE_SECTION_MAX bytes. A section translates (IOTLB, else a walk of the
 * table bytes), checks permissions, looks the host address up and copies through the guarded
 * routine; between sections an invalidation, a detach or a relocation may get through.
 */
#include <errno.h>

#include "base/bits.h"
#include "base/why.h"
#include "iommu/dma_section.h"
#include "mem/guard.h"

enum dma_op { DMA_READ, DMA_WRITE, DMA_FILL, DMA_STORE, DMA_LOAD };

static bool crosses_page(uint64_t iova, uint64_t len)
{
	return (iova & PAGE_MASK) + len > PAGE_SIZE;
}

/*
 * After a section that ended early: 0 to go on where the transfer stands, else the request's
 * result. @iova: the first byte not moved, @step: bytes that were to be moved at once.
 */
static COLD int settle(struct dma_ctx *c, uint32_t pasid, enum dma_end end, uint64_t iova,
		       uint64_t step, uint64_t left, bool write)
{
	switch (end) {
	case END_STOPPED:
		return refuse(ECANCELED, "%s is being stopped", c->dev->name);
	case END_GATED:
		return refuse(EPERM, "bus mastering of %s is off", c->dev->name);
	case END_MOVING:
		if (physmap_settle(c->pm, c->miss.pa))
			return 0;
		break;
	case END_GUARD:
		if (!c->careful && crosses_page(iova, step)) {
			c->careful = true;
			return 0;
		}
		break;
	default:
		return dma_fault_report(c->dev, pasid, iova, left, write, &c->miss);
	}
	c->miss.reason = IOMMU_FAULT_GONE;
	c->miss.tag = c->tag; /* not dom: it may be gone */
	c->miss.level = -1;
	return dma_fault_report(c->dev, pasid, iova, left, write, &c->miss);
}

/* What no translation can change. 0: go on. */
static COLD int refuse_request(struct iommu_device *d, uint32_t pasid, uint64_t iova, uint64_t len,
			       bool write)
{
	struct dma_miss miss = { .reason = IOMMU_FAULT_ADDRESS, .level = -1 };

	if (atomic_load(&d->dma_stopped))
		return refuse(ECANCELED, "%s is being stopped", d->name);
	if (!atomic_load(d->dma_gate))
		return refuse(EPERM, "bus mastering of %s is off", d->name);
	if (pasid)
		miss.reason = IOMMU_FAULT_PASID;
	return dma_fault_report(d, pasid, iova, len, write, &miss);
}

static ALWAYS_INLINE bool odd_request(uint32_t pasid, uint64_t iova, uint64_t len)
{
	return pasid || iova + (len - 1) < iova;
}

/* Byte @done of the transfer is byte 0 of a chunk: what the pattern looks like from there. */
static ALWAYS_INLINE uint64_t turn(uint64_t pattern, uint64_t done)
{
	unsigned bits = (unsigned)(done & 7) * 8;

	return bits ? pattern >> bits | pattern << (64 - bits) : pattern;
}

static ALWAYS_INLINE int move_chunk(enum dma_op op, void *p, char *buf, uint64_t *val,
				    uint64_t done, uint64_t n)
{
	switch (op) {
	case DMA_READ:
		return guard_copy(buf + done, p, n);
	case DMA_WRITE:
		return guard_copy(p, buf + done, n);
	case DMA_FILL:
		return guard_fill(p, turn(*val, done), n);
	case DMA_STORE:
		return guard_store(p, *val, (unsigned)n);
	case DMA_LOAD:
		return guard_load(p, val, (unsigned)n);
	}
	return 0;
}

/*
 * The client's protection is none of the device's business: a page that was pinned stays open to
 * DMA when the client calls mprotect() on it. Within one page, inside the section whose guarded
 * access failed. False: the page is gone indeed.
 */
static COLD bool force_chunk(enum dma_op op, struct dma_ctx *c, char *buf, uint64_t *val,
			     uint64_t done, uint64_t n)
{
	uint64_t pattern[PAGE_SIZE / 8];

	switch (op) {
	case DMA_READ:
	case DMA_WRITE:
		return !physmap_force(c->pm, c->miss.pa, buf + done, n, op == DMA_WRITE);
	case DMA_FILL:
		for (size_t i = 0; i < ARRAY_LEN(pattern); i++)
			pattern[i] = turn(*val, done);
		return !physmap_force(c->pm, c->miss.pa, pattern, n, true);
	case DMA_LOAD:
		*val = 0;
		/* fall through */
	case DMA_STORE:
		return !physmap_force(c->pm, c->miss.pa, val, n, op == DMA_STORE);
	}
	return false;
}

/*
 * What nearly every request is: all of it in one leaf that the IOTLB holds. False: not that, or
 * something is wrong; nothing has been done that doing it again would not do as well.
 */
static ALWAYS_INLINE bool transfer_hit(enum dma_op op, unsigned need, struct iommu_device *d,
				       uint64_t iova, char *buf, uint64_t *val, uint64_t len)
{
	uint32_t tag = atomic_load_explicit(&d->rid_xlat.tag, memory_order_acquire);
	struct fence_slot *slot = fence_self_slot;
	struct physmap *pm = d->iommu->pm;
	const struct iotlb_entry *e;
	const struct iommu_domain *dom;
	bool done = false;

	if (unlikely(!slot || !slot->cache || !tag || len > FENCE_SECTION_MAX))
		return false;
	dom = section_try(d, slot, tag);
	if (unlikely(!dom))
		return false;
	e = iotlb_find(slot->cache, tag, atomic_load(&dom->gen), iova);
	if (likely(e && (e->prot & need) == need && len <= to_end(iova, e->size_lg2))) {
		size_t n = len;
		void *p = physmap_ptr(pm, iotlb_pa(e, iova), &n);

		done = likely(p && n == len) && !move_chunk(op, p, buf, val, 0, len);
	}
	fence_exit(slot);
	return done;
}

/* Moves @len > 0 bytes between @iova and @buf or @val. */
static NOINLINE int transfer_any(enum dma_op op, struct iommu_device *d, uint32_t pasid,
				 uint64_t iova, char *buf, uint64_t *val, uint64_t len,
				 struct iommu_dma_stop *stop)
{
	const bool write = op == DMA_WRITE || op == DMA_FILL || op == DMA_STORE;
	const unsigned need = write ? IOMMU_WRITE : IOMMU_READ;
	uint64_t done = 0, n = 0;
	struct dma_ctx c;
	int rc = 0;

	if (unlikely(odd_request(pasid, iova, len)))
		rc = refuse_request(d, pasid, iova, len, write);
	else
		rc = ctx_init(&c, d);
	while (!rc && done < len) {
		uint64_t limit = min_u64(len - done, FENCE_SECTION_MAX) + done;
		enum dma_end end = section_enter(&c);

		if (likely(end == END_OK)) {
			do {
				void *p;

				n = limit - done;
				p = resolve(&c, iova + done, need, &n, &end);
				if (unlikely(!p))
					break;
				if (unlikely(move_chunk(op, p, buf, val, done, n)) &&
				    (crosses_page(iova + done, n) ||
				     !force_chunk(op, &c, buf, val, done, n))) {
					end = END_GUARD;
					break;
				}
				done += n;
			} while (done < limit);
			fence_exit(c.slot);
		}
		if (unlikely(end != END_OK))
			rc = settle(&c, pasid, end, iova + done, n, len - done, write);
	}
	if (unlikely(rc) && stop)
		*stop = (struct iommu_dma_stop){ iova + done, done, write };
	return rc;
}

static ALWAYS_INLINE int transfer(enum dma_op op, struct iommu_device *d, uint32_t pasid,
				  uint64_t iova, char *buf, uint64_t *val, uint64_t len,
				  struct iommu_dma_stop *stop)
{
	const bool write = op == DMA_WRITE || op == DMA_FILL || op == DMA_STORE;

	if (likely(!pasid &&
		   transfer_hit(op, write ? IOMMU_WRITE : IOMMU_READ, d, iova, buf, val, len)))
		return 0;
	return transfer_any(op, d, pasid, iova, buf, val, len, stop);
}

int iommu_dma_read(struct iommu_device *d, uint32_t pasid, uint64_t iova, void *buf, size_t len,
		   struct iommu_dma_stop *stop)
{
	return unlikely(!len) ? 0 : transfer(DMA_READ, d, pasid, iova, buf, NULL, len, stop);
}

int iommu_dma_write(struct iommu_device *d, uint32_t pasid, uint64_t iova, const void *buf,
		    size_t len, struct iommu_dma_stop *stop)
{
	if (unlikely(!len))
		return 0;
	return transfer(DMA_WRITE, d, pasid, iova, (char *)(uintptr_t)buf, NULL, len, stop);
}

int iommu_dma_fill(struct iommu_device *d, uint32_t pasid, uint64_t dst, uint64_t pattern,
		   uint64_t len, struct iommu_dma_stop *stop)
{
	return unlikely(!len) ? 0 : transfer(DMA_FILL, d, pasid, dst, NULL, &pattern, len, stop);
}

static COLD int refuse_access(uint64_t iova, unsigned size)
{
	return refuse(EINVAL, "an atomic access of %u bytes at 0x%llx: 1, 2, 4 or 8, aligned", size,
		      (unsigned long long)iova);
}

static ALWAYS_INLINE bool atomic_ok(uint64_t iova, unsigned size)
{
	return is_pow2(size) && size <= 8 && !(iova & (size - 1));
}

int iommu_dma_store(struct iommu_device *d, uint32_t pasid, uint64_t iova, uint64_t val,
		    unsigned size)
{
	if (unlikely(!atomic_ok(iova, size)))
		return refuse_access(iova, size);
	return transfer(DMA_STORE, d, pasid, iova, NULL, &val, size, NULL);
}

int iommu_dma_load(struct iommu_device *d, uint32_t pasid, uint64_t iova, uint64_t *val,
		   unsigned size)
{
	if (unlikely(!atomic_ok(iova, size)))
		return refuse_access(iova, size);
	return transfer(DMA_LOAD, d, pasid, iova, NULL, val, size, NULL);
}

/* Which side of a chunk failed in the guarded copy: the one that cannot be read or written. */
static COLD bool source_gone(const void *src, uint64_t len)
{
	uintptr_t first = (uintptr_t)src & ~PAGE_MASK;
	uintptr_t last = ((uintptr_t)src + len - 1) & ~PAGE_MASK;

	return guard_touch((const void *)first, ((last - first) >> PAGE_LG2) + 1, false) != 0;
}

/* As force_chunk(), from one page to another. *@at_dst: the side that is gone. */
static COLD bool force_copy(struct dma_ctx *c, uint64_t dst, uint64_t src, uint64_t n, bool *at_dst)
{
	char page[PAGE_SIZE];

	*at_dst = false;
	if (physmap_force(c->pm, src, page, n, false))
		return false;
	*at_dst = true;
	return !physmap_force(c->pm, dst, page, n, true);
}

/* One section of a copy. *@at_dst: the side that ended it. */
static ALWAYS_INLINE enum dma_end copy_section(struct dma_ctx *c, uint64_t dst, uint64_t src,
					       uint64_t limit, uint64_t *done, uint64_t *step,
					       bool *at_dst)
{
	enum dma_end end = section_enter(c);

	*at_dst = false;
	if (unlikely(end != END_OK))
		return end;
	while (*done < limit) {
		uint64_t n = limit - *done, from_pa;
		const void *from;
		void *to;

		*at_dst = false;
		from = resolve(c, src + *done, IOMMU_READ, &n, &end);
		if (unlikely(!from))
			break;
		from_pa = c->miss.pa;
		*at_dst = true;
		to = resolve(c, dst + *done, IOMMU_WRITE, &n, &end);
		if (unlikely(!to))
			break;
		*step = n;
		if (unlikely(guard_copy(to, from, n))) {
			bool one_page = !crosses_page(src + *done, n) &&
					!crosses_page(dst + *done, n);

			if (!one_page)
				*at_dst = !source_gone(from, n);
			if (!one_page || !force_copy(c, c->miss.pa, from_pa, n, at_dst)) {
				end = END_GUARD;
				break;
			}
		}
		*done += n;
	}
	fence_exit(c->slot);
	return end;
}

int iommu_dma_copy(struct iommu_device *d, uint32_t pasid, uint64_t dst, uint64_t src, uint64_t len,
		   struct iommu_dma_stop *stop)
{
	uint64_t done = 0, step = 0;
	bool at_dst = false;
	struct dma_ctx c;
	int rc;

	if (unlikely(!len))
		return 0;
	if (unlikely(odd_request(pasid, src, len)))
		rc = refuse_request(d, pasid, src, len, false);
	else if (unlikely((at_dst = odd_request(0, dst, len))))
		rc = refuse_request(d, 0, dst, len, true);
	else
		rc = ctx_init(&c, d);
	while (!rc && done < len) {
		uint64_t limit = min_u64(len - done, FENCE_SECTION_MAX) + done;
		enum dma_end end = copy_section(&c, dst, src, limit, &done, &step, &at_dst);

		if (unlikely(end != END_OK))
			rc = settle(&c, pasid, end, (at_dst ? dst : src) + done, step, len - done,
				    at_dst);
	}
	if (unlikely(rc) && stop)
		*stop = (struct iommu_dma_stop){ (at_dst ? dst : src) + done, done, at_dst };
	return rc;
}
