/* SPDX-License-Identifier: MIT */
/*
 * The IOTLB: which translations does a thread remember?
 *
 * Each thread that does DMA has its own, hung on its fence slot, so nothing is shared and nobody
 * else ever touches it. An entry is alive while its generation is the domain's, loaded inside the
 * section in which the entry is used; tags are never reused, so a dead domain's entries match
 * nothing. Absence is not cached. In a domain that tracks, an entry lacks the right to write until
 * its leaf is dirty, so that the write which has to set the bit goes to the table.
 *
 * Two direct-mapped parts: one entry per 4 KiB for small pages, one per 2 MiB for larger ones.
 * Either remembers the size of its leaf, so a transfer looks a large page up once.
 */
#ifndef IOMMU_IOTLB_H
#define IOMMU_IOTLB_H

#include "base/bits.h"
#include "iommu/iommu.h"

#define IOTLB_SMALL_LG2 9u
#define IOTLB_LARGE_LG2 7u
#define IOTLB_CHUNK_LG2 21u

struct iotlb_entry {
	uint64_t page; /* iova >> 12, or >> 21 in the large part */
	uint64_t gen;
	uint64_t pa;  /* of that page's first byte */
	uint32_t tag; /* 0: never used */
	uint8_t size_lg2;
	uint8_t prot;
};

struct iotlb {
	struct iotlb_entry small[1u << IOTLB_SMALL_LG2];
	struct iotlb_entry large[1u << IOTLB_LARGE_LG2];
};

/* Once per process and idempotent: has the IOTLB freed with its thread. */
void iotlb_setup(void);
struct iotlb *iotlb_new(void); /* NULL: no memory; DMA then walks each time */
void iotlb_free(void *t);

/*
 * Folds higher bits in, so that two buffers of equal alignment (source and destination of a copy)
 * do not evict each other page by page.
 */
static ALWAYS_INLINE unsigned iotlb_index(uint64_t page, uint32_t tag, unsigned lg2)
{
	return (unsigned)((page ^ page >> lg2 ^ page >> 2 * lg2) + tag) & ((1u << lg2) - 1);
}

static ALWAYS_INLINE bool iotlb_match(const struct iotlb_entry *e, uint64_t page, uint32_t tag,
				      uint64_t gen)
{
	return e->page == page && e->gen == gen && e->tag == tag;
}

static ALWAYS_INLINE const struct iotlb_entry *iotlb_find(const struct iotlb *t, uint32_t tag,
							  uint64_t gen, uint64_t iova)
{
	uint64_t page = iova >> PAGE_LG2;
	const struct iotlb_entry *e = &t->small[iotlb_index(page, tag, IOTLB_SMALL_LG2)];

	if (likely(iotlb_match(e, page, tag, gen)))
		return e;
	page = iova >> IOTLB_CHUNK_LG2;
	e = &t->large[iotlb_index(page, tag, IOTLB_LARGE_LG2)];
	return iotlb_match(e, page, tag, gen) ? e : NULL;
}

static ALWAYS_INLINE uint64_t iotlb_pa(const struct iotlb_entry *e, uint64_t iova)
{
	return e->pa +
	       (iova & (e->size_lg2 < IOTLB_CHUNK_LG2 ? PAGE_MASK : (1ull << IOTLB_CHUNK_LG2) - 1));
}

/* Remembers that @iova translates to @pa in a leaf of @size_lg2 (at least 12). */
static inline void iotlb_fill(struct iotlb *t, uint32_t tag, uint64_t gen, uint64_t iova,
			      uint64_t pa, unsigned size_lg2, unsigned prot)
{
	bool large = size_lg2 >= IOTLB_CHUNK_LG2;
	unsigned lg2 = large ? IOTLB_CHUNK_LG2 : PAGE_LG2;
	uint64_t page = iova >> lg2;
	struct iotlb_entry *e = large ? &t->large[iotlb_index(page, tag, IOTLB_LARGE_LG2)]
				      : &t->small[iotlb_index(page, tag, IOTLB_SMALL_LG2)];

	*e = (struct iotlb_entry){
		.page = page,
		.gen = gen,
		.pa = pa & ~((1ull << lg2) - 1),
		.tag = tag,
		.size_lg2 = (uint8_t)size_lg2,
		.prot = (uint8_t)prot,
	};
}

#endif
