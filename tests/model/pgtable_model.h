/* SPDX-License-Identifier: MIT */
/*
 * What should an IO page table do? The slow and obvious answer, for tests.
 *
 * One record per granule of a window, no tables, nothing clever. Each block is numbered after the
 * sentence of the contract that it is.
 */
#ifndef TEST_PGTABLE_MODEL_H
#define TEST_PGTABLE_MODEL_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

struct model_page {
	uint64_t pa;    /* of this granule */
	uint64_t start; /* IOVA at which the page it is in begins */
	uint8_t lg2;    /* of that page; 0: nothing is mapped */
	uint8_t prot;
};

struct model {
	uint64_t base; /* IOVA of the window */
	uint64_t n;    /* granules */
	unsigned granule_lg2;
	uint64_t sizes; /* bit n: pages of 2^n bytes exist */
	struct model_page *page;
};

static inline bool model_init(struct model *m, uint64_t base, uint64_t len, unsigned granule_lg2,
			      uint64_t sizes)
{
	*m = (struct model){ base, len >> granule_lg2, granule_lg2, sizes, NULL };
	m->page = calloc(m->n, sizeof(*m->page));
	return m->page;
}

static inline void model_finish(struct model *m)
{
	free(m->page);
}

static inline struct model_page *model_at(const struct model *m, uint64_t iova)
{
	return &m->page[(iova - m->base) >> m->granule_lg2];
}

static inline int model_map(struct model *m, uint64_t iova, uint64_t pa, uint64_t len,
			    unsigned prot, bool small)
{
	const uint64_t granule = 1ull << m->granule_lg2;

	/* 1. Nothing may be mapped in the range. */
	for (uint64_t i = 0; i < len; i += granule) {
		if (model_at(m, iova + i)->lg2)
			return -EEXIST;
	}
	/* 2. At each place, the largest page that is aligned on both sides and not too long. */
	while (len) {
		unsigned lg2 = 63;

		while (!(m->sizes >> lg2 & 1) || (iova | pa) & ((1ull << lg2) - 1) ||
		       1ull << lg2 > len || (small && lg2 > m->granule_lg2))
			lg2--;
		/* 3. Each of its granules translates to the corresponding one. */
		for (uint64_t i = 0; i < 1ull << lg2; i += granule)
			*model_at(m, iova + i) =
				(struct model_page){ pa + i, iova, (uint8_t)lg2, (uint8_t)prot };
		iova += 1ull << lg2;
		pa += 1ull << lg2;
		len -= 1ull << lg2;
	}
	return 0;
}

static inline uint64_t model_unmap(struct model *m, uint64_t iova, uint64_t len)
{
	const uint64_t granule = 1ull << m->granule_lg2;
	uint64_t bytes = 0;

	/* Every page that begins in the range goes, whole; one that begins before it stays. */
	for (uint64_t at = iova; at < iova + len; at += granule) {
		struct model_page *p = model_at(m, at);
		uint64_t start = p->start, size = 1ull << p->lg2;

		if (!p->lg2 || start < iova)
			continue;
		for (uint64_t i = 0; i < size; i += granule)
			*model_at(m, start + i) = (struct model_page){ 0 };
		bytes += size;
	}
	return bytes;
}

#endif
