// SPDX-License-Identifier: MIT
/*
 * How does a device's access reach memory?
 *
 * In sections of at most FENCE_SECTION_MAX bytes. A section translates (IOTLB, else a walk of the
 * table bytes), checks permissions, looks the host address up and copies through the guarded
 * routine; between sections an invalidation, a detach or a relocation may get through.
 *
 * Which translation is in force (iommu_translation)
 *   reader  t = tag (0: blocked); fence_enter(t); tag != t: leave, again;
 *           d = domain; d->tag != t: leave, again; use d; fence_exit.
 *   attach  domain = new; tag = new's; fence_wait(old tag).
 *   detach  tag = 0; fence_wait(old tag); domain = NULL.
 * A reader that saw t after it had announced t is waited for by whoever changes the tag. What it
 * then finds in domain is the domain of t, or the next one, which cannot be gone: its detach
 * comes after the attach that waits for this very reader. In the same way the stop flag and the
 * bus-master gate are looked at inside the section, and iommu_device_stop_dma() waits.
 */
#include <errno.h>

#include "base/bits.h"
#include "base/why.h"
#include "iommu/device.h"
#include "iommu/fault.h"
#include "iommu/iotlb.h"
#include "mem/fence.h"
#include "mem/guard.h"

enum dma_op { DMA_READ, DMA_WRITE, DMA_FILL, DMA_STORE, DMA_LOAD };

/* Why a section ended early, beyond -errno of the request as a whole. */
enum dma_end {
	END_OK,
	END_STOPPED, /* dma_stopped */
	END_GATED,   /* bus mastering off */
	END_MISS,    /* translation fault: miss says which */
	END_MOVING,  /* the frame at miss.pa is being moved, or there is none */
	END_GUARD,   /* the memory at miss.pa could not be accessed */
};

/* One request of one thread. */
struct dma_ctx {
	struct iommu_device *dev;
	struct fence_slot *slot;
	struct physmap *pm;
	struct iotlb *tlb; /* or NULL */
	/* Of the present section: */
	struct iommu_domain *dom;
	uint32_t tag; /* dom's, for when it is over */
	uint64_t gen;
	/* Of a copy that failed: */
	struct dma_miss miss;
	bool careful; /* no step across a page end, to find the page that fails */
};

static inline int ctx_init(struct dma_ctx *c, struct iommu_device *d)
{
	c->dev = d;
	c->pm = d->iommu->pm;
	c->careful = false;
	c->slot = fence_slot();
	if (unlikely(!c->slot))
		return refuse(ENOMEM, "no memory for the first DMA of a thread");
	if (unlikely(!c->slot->cache))
		c->slot->cache = iotlb_new();
	c->tlb = c->slot->cache;
	return 0;
}

static COLD enum dma_end blocked(struct dma_ctx *c)
{
	if (atomic_load(&c->dev->dma_stopped))
		return END_STOPPED;
	if (!atomic_load(c->dev->dma_gate))
		return END_GATED;
	c->miss = (struct dma_miss){ .reason = IOMMU_FAULT_BLOCKED, .level = -1 };
	return END_MISS;
}

/* Begins a section under @tag. NULL: that translation is not in force, or no DMA is allowed. */
static ALWAYS_INLINE struct iommu_domain *section_try(struct iommu_device *d, struct fence_slot *s,
						      uint32_t tag)
{
	struct iommu_translation *x = &d->rid_xlat;

	fence_enter(s, tag);
	if (likely(atomic_load(&x->tag) == tag)) {
		struct iommu_domain *dom = atomic_load(&x->domain);

		if (likely(dom->tag == tag && !atomic_load(&d->dma_stopped) &&
			   atomic_load(d->dma_gate)))
			return dom;
	}
	fence_exit(s);
	return NULL;
}

static enum dma_end section_enter(struct dma_ctx *c)
{
	do {
		c->tag = atomic_load_explicit(&c->dev->rid_xlat.tag, memory_order_acquire);
		if (unlikely(!c->tag))
			return blocked(c);
		c->dom = section_try(c->dev, c->slot, c->tag);
		if (unlikely(!c->dom)) {
			if (atomic_load(&c->dev->dma_stopped))
				return END_STOPPED;
			if (!atomic_load(c->dev->dma_gate))
				return END_GATED;
		}
	} while (unlikely(!c->dom));
	c->gen = atomic_load(&c->dom->gen);
	return END_OK;
}

static ALWAYS_INLINE uint64_t to_end(uint64_t at, unsigned size_lg2)
{
	uint64_t size = 1ull << size_lg2;

	return size - (at & (size - 1));
}

static COLD void walk_failed(struct dma_ctx *c, const struct pt_walk_result *r)
{
	static const enum iommu_fault_reason reasons[] = {
		[PT_BEYOND_WIDTH] = IOMMU_FAULT_ADDRESS,
		[PT_NOT_PRESENT] = IOMMU_FAULT_NOT_MAPPED,
		[PT_RESERVED_BITS] = IOMMU_FAULT_RESERVED,
		[PT_POINTS_NOWHERE] = IOMMU_FAULT_RESERVED,
	};

	c->miss.reason = reasons[r->why];
	c->miss.entry = r->entry;
	c->miss.level = r->why == PT_BEYOND_WIDTH ? -1 : r->level;
}

static COLD bool no_permission(struct dma_ctx *c, unsigned prot)
{
	c->miss = (struct dma_miss){
		.reason = IOMMU_FAULT_PERMISSION,
		.tag = c->tag,
		.level = -1,
		.prot = prot,
	};
	return false;
}

/* A walk of the real bytes; fills the IOTLB. */
static NOINLINE bool translate_miss(struct dma_ctx *c, uint64_t iova, unsigned need, uint64_t *pa,
				    uint64_t *avail)
{
	const struct iommu_domain *dom = c->dom;
	struct pt_walk_result r;
	unsigned lg2;
	uint64_t size;

	if (unlikely(iova >= dom->irq_start && iova <= dom->irq_last)) {
		/* Never translated: writes are interrupt requests, and nothing can be read. */
		c->miss = (struct dma_miss){ .tag = c->tag, .level = -1 };
		c->miss.reason = need & IOMMU_WRITE ? IOMMU_FAULT_BAD_IRQ : IOMMU_FAULT_NOT_MAPPED;
		return false;
	}
	if (unlikely(pt_walk(&dom->pt, iova, &r))) {
		c->miss = (struct dma_miss){ .tag = c->tag };
		walk_failed(c, &r);
		return false;
	}
	if (unlikely((r.prot & need) != need))
		return no_permission(c, r.prot);
	lg2 = r.size_lg2;
	size = 1ull << lg2;
	/* A leaf that covers the interrupt window counts page by page, so as not to reach into it.
	 */
	if (unlikely(lg2 > PAGE_LG2 && ranges_meet(iova & ~(size - 1), iova | (size - 1),
						   dom->irq_start, dom->irq_last)))
		lg2 = PAGE_LG2;
	*pa = r.pa;
	*avail = to_end(iova, lg2);
	if (c->tlb && lg2 >= PAGE_LG2)
		iotlb_fill(c->tlb, c->tag, c->gen, iova, r.pa, lg2, r.prot);
	return true;
}

/* False: c->miss says why. *@avail: bytes to the end of the translation. */
static ALWAYS_INLINE bool translate(struct dma_ctx *c, uint64_t iova, unsigned need, uint64_t *pa,
				    uint64_t *avail)
{
	const struct iotlb_entry *e = NULL;

	if (likely(c->tlb != NULL))
		e = iotlb_find(c->tlb, c->tag, c->gen, iova);
	if (unlikely(!e))
		return translate_miss(c, iova, need, pa, avail);
	if (unlikely((e->prot & need) != need))
		return no_permission(c, e->prot);
	*pa = e->pa +
	      (iova & (e->size_lg2 >= IOTLB_CHUNK_LG2 ? (1ull << IOTLB_CHUNK_LG2) - 1 : PAGE_MASK));
	*avail = to_end(iova, e->size_lg2);
	return true;
}

/* Adds what follows @iova in output memory too, up to *@avail >= @want or a gap. */
static NOINLINE void extend(struct dma_ctx *c, uint64_t iova, unsigned need, uint64_t pa,
			    uint64_t *avail, uint64_t want)
{
	while (*avail < want) {
		uint64_t pa2, n;

		/* The miss, if any, is told when the transfer gets there. */
		if (!translate(c, iova + *avail, need, &pa2, &n) || pa2 != pa + *avail)
			return;
		*avail += n;
	}
}

/*
 * Host address of @iova, inside a section. *@len: in: bytes wanted; out: bytes to be had there.
 * NULL: *@end says why.
 */
static ALWAYS_INLINE void *resolve(struct dma_ctx *c, uint64_t iova, unsigned need, uint64_t *len,
				   enum dma_end *end)
{
	uint64_t pa, avail;
	size_t n;
	void *p;

	if (unlikely(!translate(c, iova, need, &pa, &avail))) {
		*end = END_MISS;
		return NULL;
	}
	if (avail < *len)
		extend(c, iova, need, pa, &avail, *len);
	n = min_u64(*len, avail);
	if (unlikely(c->careful))
		n = min_u64(n, to_end(iova, PAGE_LG2));
	p = physmap_ptr(c->pm, pa, &n);
	c->miss.pa = pa;
	if (unlikely(!p))
		*end = END_MOVING;
	*len = n;
	return p;
}

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
				if (unlikely(move_chunk(op, p, buf, val, done, n))) {
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
		uint64_t n = limit - *done;
		const void *from;
		void *to;

		*at_dst = false;
		from = resolve(c, src + *done, IOMMU_READ, &n, &end);
		if (unlikely(!from))
			break;
		*at_dst = true;
		to = resolve(c, dst + *done, IOMMU_WRITE, &n, &end);
		if (unlikely(!to))
			break;
		*step = n;
		if (unlikely(guard_copy(to, from, n))) {
			*at_dst = !source_gone(from, n);
			end = END_GUARD;
			break;
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
