/* SPDX-License-Identifier: MIT */
/*
 * IOMMU instances and their translation domains.
 *
 * An IOMMU kind (VT-d, ...) is a table of constants and a page-table format. A domain is one set
 * of IO page tables in table memory; its bytes are the only truth. iommufd maps and unmaps, the
 * DMA path reads. Source: docs/layers.md "Walks".
 */
#ifndef IOMMU_IOMMU_H
#define IOMMU_IOMMU_H

#include <stdatomic.h>

#include "base/list.h"
#include "base/lock.h"
#include "mem/physmap.h"
#include "pgtable/pt.h"

#define IOMMU_READ  1u /* same values as PT_READ, PT_WRITE, PT_MMIO */
#define IOMMU_WRITE 2u
#define IOMMU_MMIO  4u

enum iommu_resv_type { /* numbers as in the ABI's reference: Linux's order */
		       IOMMU_RESV_DIRECT,
		       IOMMU_RESV_DIRECT_RELAXABLE,
		       IOMMU_RESV_RESERVED,
		       IOMMU_RESV_MSI,
		       IOMMU_RESV_SW_MSI,
};

struct iommu_resv {
	uint64_t start, last;
	enum iommu_resv_type type;
};

struct iommu;
struct iommu_device;
struct iommu_domain;
struct iommu_fault_log;
struct uiommufd_option;

/* What GET_HW_INFO hands out. */
struct iommu_hw_info_data {
	uint32_t type, len;
	uint8_t data[64];
};

/* A kind of IOMMU. */
struct iommu_kind {
	const char *name, *summary;
	const struct iommu_resv *resv; /* windows that every device behind it has */
	size_t n_resv;
	bool cache_coherent, enforce_coherency, irq_isolated, dirty, ats;
	unsigned max_pasids; /* 0: none */
	void (*hw_info)(const struct iommu_device *dev, struct iommu_hw_info_data *out);
	/*
	 * Builds the page table of a paging domain: format, levels, features for ABI @flags.
	 * -EOPNOTSUPP flags that the kind does not have; -ENOMEM.
	 */
	int (*domain_init)(struct iommu_domain *dom, uint32_t flags);
	/* What can be chosen ("vtd,levels=3"): ends with a NULL key; NULL: nothing. */
	const struct uiommufd_option *options;
	/* Takes one of @options, or -EINVAL with a reason. */
	int (*configure)(struct iommu *iommu, const char *key, const char *value);
};

extern const struct iommu_kind *const iommu_kinds[];        /* NULL at the end */
const struct iommu_kind *iommu_kind_find(const char *name); /* NULL: no such kind */

/**
 * iommu_configure() - choose kind and options of an IOMMU
 * @iommu: its kind and options are set; the rest is left alone
 * @text:  "KIND[,KEY=VALUE]..."
 *
 * Return: 0; -EINVAL no such kind, option or value: the reason says which. Then *@iommu has kind
 *         and options that are not to be used
 */
int iommu_configure(struct iommu *iommu, const char *text);

struct iommu {
	const struct iommu_kind *kind;
	unsigned levels; /* option: of its page tables, 0: the kind's usual number */
	struct physmap *pm;
	struct iommu_fault_log *faults; /* where its faults go; NULL: nowhere */
	unsigned index;                 /* dmar0, dmar1, ... */
};

/* How whoever owns a domain explains an address in it (for fault reports). */
struct iommu_domain_ops {
	/*
	 * Writes the mapping nearest to @iova, in words, without a full stop; "" when there is
	 * none. Called outside DMA sections with only the group's lock held, so that neither domain
	 * nor owner goes away meanwhile; it may take locks ranked after LOCK_IOMMU_GROUP. What was
	 * last unmapped there is added by the caller (domain_history()).
	 */
	void (*describe)(void *owner, uint64_t iova, char *buf, size_t len);
};

#define DOMAIN_HISTORY 64u

/*
 * The last ranges unmapped, for fault reports. An entry is two words whose low bits, which
 * addresses leave free, hold the low bits of its number: a reader knows a torn entry by them.
 * No lock and no locked instruction: of two unmaps at the same moment one may be lost.
 */
struct domain_history {
	_Atomic uint64_t count;
	struct {
		_Atomic uint64_t start, last;
	} range[DOMAIN_HISTORY];
};

struct iommu_domain {
	struct iommu *iommu;
	uint32_t tag;         /* fence tag and IOTLB tag; unique in the process */
	uint32_t flags;       /* ABI flags it was made with */
	_Atomic uint64_t gen; /* IOTLB generation: entries of an older one are dead */
	bool enforces_coherency;
	bool dirty;            /* its entries have dirty bits */
	_Atomic bool tracking; /* and DMA sets them */
	struct pt pt;
	uint64_t aperture_start, aperture_last, pgsizes;
	uint64_t tables_first, tables_last; /* where table memory may lie */
	uint64_t irq_start,
		irq_last; /* the kind's MSI window: never translated; start > last: none */
	const struct iommu_domain_ops *ops;
	void *owner;
	_Atomic uint32_t attached; /* groups */
	struct domain_history history;
};

/*
 * An empty domain for devices behind @iommu; ops and owner may be set by the caller before the
 * first attach. -EOPNOTSUPP @flags (ABI: IOMMU_HWPT_ALLOC_*) that the kind does not have; -ENOMEM.
 */
int iommu_domain_create(struct iommu *iommu, uint32_t flags, struct iommu_domain **out);
/* No attachment is left; nothing need be unmapped. NULL is fine. */
void iommu_domain_destroy(struct iommu_domain *dom);

/*
 * All or nothing; errors of pt_map(). The caller holds the range (iopt). @small_pages: no page
 * above the granule. @g may gather tables (a large page replaced an empty one), so sync it too.
 */
int iommu_domain_map(struct iommu_domain *dom, uint64_t iova, uint64_t pa, uint64_t len,
		     unsigned prot, bool small_pages, struct pt_gather *g);
/*
 * Clears entries; nothing may be unpinned before iommu_domain_sync(). Exactly @len bytes: the range
 * is a union of ranges mapped, whole.
 */
void iommu_domain_unmap(struct iommu_domain *dom, uint64_t iova, uint64_t len, struct pt_gather *g);
/*
 * Generation on, wait for running sections, free the tables gathered. When it returns no DMA uses
 * what was unmapped before. Any locks may be held; not from inside a section.
 */
void iommu_domain_sync(struct iommu_domain *dom, struct pt_gather *g);

/**
 * iommu_domain_set_dirty_tracking() - let DMA set accessed and dirty bits, or no more
 *
 * Bits that are set stay. Idempotent. When it returns, every access acts by the new rule.
 *
 * Locks:  any; not from inside a section
 * Return: 0; -EOPNOTSUPP the domain was made without IOMMU_HWPT_ALLOC_DIRTY_TRACKING
 */
int iommu_domain_set_dirty_tracking(struct iommu_domain *dom, bool on);

#define IOMMU_DIRTY_NO_CLEAR (1u << 0) /* as in the ABI: they stay dirty */
#define IOMMU_DIRTY_NO_SYNC  (1u << 1) /* of a series of reads; iommu_domain_sync() ends it */

/**
 * iommu_domain_read_dirty() - what did devices write in [iova, iova + len)?
 * @record: told of ranges in the order of IOVA, within the request, joined where they touch
 *
 * An entry is dirty as a whole. One that reaches out of the request is told of as far as that goes
 * and stays dirty, for whoever asks for the rest. What is told of is clean afterwards; the IOTLB
 * has forgotten it, and the writes that were told of are over. A write meanwhile is told of now or
 * next time. Whether the domain tracks makes no difference. Allocates nothing.
 *
 * Locks:  any; the caller holds the range, shared with other readers. Not from inside a section
 * Return: 0; -EOPNOTSUPP as above
 */
int iommu_domain_read_dirty(struct iommu_domain *dom, uint64_t iova, uint64_t len, unsigned flags,
			    pt_dirty_fn record, void *arg);
/* A hint that @iova is about to be mapped or unmapped: takes no lock, changes nothing. */
void iommu_domain_prefetch(const struct iommu_domain *dom, uint64_t iova);
/*
 * 0, or -ENOENT. *@len: bytes from there to the end of the entry. The caller holds the range, or
 * knows otherwise that no table there is freed meanwhile.
 */
int iommu_domain_iova_to_pa(struct iommu_domain *dom, uint64_t iova, uint64_t *pa, uint64_t *len);

/* What was unmapped last at @iova: the range, and how many unmaps came after it. False: unknown. */
bool domain_history(const struct iommu_domain *dom, uint64_t iova, uint64_t *start, uint64_t *last,
		    uint64_t *ago);

#endif
