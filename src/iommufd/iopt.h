/* SPDX-License-Identifier: MIT */
/*
 * iopt: the IOVA map inside one IOAS: areas, what may not be mapped, and the domains that mirror
 * the areas. Source: docs/abi/ioas_map.md, docs/design/iommufd.md.
 */
#ifndef IOMMUFD_IOPT_H
#define IOMMUFD_IOPT_H

#include "base/list.h"
#include "index/idmap.h"
#include "index/imap.h"
#include "index/itree.h"
#include "iommufd/area.h"
#include "iommufd/ctx.h"
#include "iommufd/iommufd.h"

#define IOPT_CACHED_BLOCKS 32u

struct iopt {
	struct iommufd_ctx *ctx; /* immutable */

	struct rwl domains_lock;       /* LOCK_DOMAINS: shared for map and unmap */
	struct iommu_domain **domains; /* dense, 0..n_domains-1 */
	unsigned n_domains, cap_domains;

	struct rwl iova_lock;   /* LOCK_IOVA */
	struct imap areas;      /* value: struct area */
	struct itree reserved;  /* struct resv_node */
	struct itree allowed;   /* never to be reserved; automatic placement stays inside */
	struct list resv_nodes; /* struct resv_node.in_iopt */
	uint64_t alignment; /* power of two, 1..PAGE_SIZE; also changed only with domains_lock */
	bool large_off;     /* large pages disabled */
	/* Slots: struct iommufd_access *, list id + 1. Changed with domains_lock for write. */
	struct idmap accesses;
	unsigned n_pinning;             /* those that pin; also changed only with iova_lock */
	_Atomic uint32_t accesses_left; /* futex: how many have left the list so far */
	struct area_block *cached;      /* free blocks, linked through their first word */
	unsigned n_cached;
};

struct fill;

/* One interval that may not be mapped. */
struct resv_node {
	struct itree_node node;
	struct list in_iopt;
	const void *owner; /* a domain, a device */
	const char *what;  /* why, for reasons: "an interrupt window" */
	const char *who;   /* of which device, "" for a page table; lives as long as the owner */
};

/* What IOAS_MAP and IOAS_MAP_FILE ask for. */
struct iopt_map {
	uint64_t addr; /* user address of the first byte, or offset in the file */
	uint64_t len;  /* bytes */
	uint64_t iova; /* in with @fixed, out always */
	int fd;        /* with @from_file */
	bool fixed, from_file;
	uint8_t prot; /* IOMMU_READ | IOMMU_WRITE, at least one; WRITE: pages writable */
};

void iopt_init(struct iopt *t, struct iommufd_ctx *ctx);
/* Nobody uses it any more, no domain is left. Unmaps what is mapped. */
void iopt_finish(struct iopt *t);

/**
 * iopt_map() - map user memory of the calling process, or a file
 *
 * Return: 0 and @m->iova; -EOVERFLOW an address wraps; -EINVAL length, alignment, reserved IOVA,
 *         or the file is of no use; -EBADF, -EMFILE no such file; -EEXIST something is mapped
 * there; -ENOSPC no room (automatic); -EFAULT, -ENOMEM of pinning or the limit; errors of a
 * domain's map. On failure nothing has changed.
 */
int iopt_map(struct iopt *t, struct iopt_map *m);

/**
 * iopt_unmap() - remove the areas that lie wholly within [start, last], ascending
 * @bytes: length of what was removed, added up (also of what went before an error)
 *
 * Accesses that pinned an area are told to let go of it, without a lock held.
 *
 * Return: 0, also when there was nothing; -ENOENT an area sticks out; -EBUSY one is being built
 *         or torn down, or locked by an internal access; -EDEADLOCK an access does not let go:
 *         the area stays mapped, but refuses accesses from then on. Areas below that one are gone
 *         already.
 */
int iopt_unmap(struct iopt *t, uint64_t start, uint64_t last, uint64_t *bytes);

/**
 * iopt_add_domain() - make a domain mirror all areas
 *
 * Return: 0; -EEXIST it does already; -EINVAL its smallest page is too large; -EADDRINUSE areas
 *         or allowed ranges stand against its page size or aperture; -ENOMEM, -EFAULT, or the
 *         domain's error. On failure nothing has changed.
 */
int iopt_add_domain(struct iopt *t, struct iommu_domain *dom);
void iopt_remove_domain(struct iopt *t, struct iommu_domain *dom);

/*
 * Reserves all regions of @dev, with @owner as key. -EADDRINUSE an area or allowed range is in the
 * way; -EINVAL two kinds of MSI window; -ENOMEM. On failure none is reserved.
 */
int iopt_reserve_device(struct iopt *t, const struct iommu_device *dev, const void *owner);
void iopt_unreserve(struct iopt *t, const void *owner);

/*
 * Swaps @set, of nodes from mem_alloc(), for the allowed intervals; the caller frees what it gets
 * back. -EADDRINUSE one of them meets a reserved one: nothing is swapped.
 */
int iopt_set_allowed(struct iopt *t, struct itree *set);
void iova_free_allowed(struct itree *set);

/*
 * Whether entries above the host's page size may be made. Off: -EINVAL there are both domains and
 * areas; -EADDRINUSE an area is not aligned to pages. On failure nothing has changed.
 */
int iopt_set_large(struct iopt *t, bool on);
bool iopt_large_off(struct iopt *t);

/*
 * Gaps of the reserved set from *@from on, ascending: writes up to @max, returns how many there
 * were and sets *@from to continue, *@more to whether that makes sense.
 */
struct iommu_iova_range;
unsigned iopt_iova_ranges(struct iopt *t, uint64_t *from, bool *more, struct iommu_iova_range *out,
			  unsigned max, uint64_t *alignment);

/* Nearest areas around @iova, in words. */
void iopt_describe(struct iopt *t, uint64_t iova, char *buf, size_t len);

void iopt_for_each_area(struct iopt *t, void (*fn)(void *arg, const struct iommufd_area_info *a),
			void *arg);

/* Asserts every invariant. */
void iopt_check(struct iopt *t);

/* ---- what it takes to make an area (copy.c); iova_lock held for write ------------------------ */

/* NULL: out of memory. */
struct area_block *iopt_block_get_locked(struct iopt *t);
void iopt_block_put_locked(struct iopt *t, struct area_block *b);
/* iova_place_locked(), and -EEXIST. */
int iopt_place_locked(struct iopt *t, const struct iopt_map *m, uint64_t *iova);
/* All domains; they stand still as long as domains_lock is held. */
struct fill iopt_fill_of(const struct iopt *t);
/* Drops a reference on pages that is no area's. No lock is needed. */
void iopt_drop_pages(struct iommufd_ctx *ctx, struct pages *p);

/* ---- iova.c: which IOVA may be used; iova_lock held for write unless said otherwise ---------- */

/* @resv: start, last, owner and the words; copied. -EADDRINUSE; -ENOMEM. */
int iova_reserve_locked(struct iopt *t, const struct resv_node *resv);
void iova_unreserve_locked(struct iopt *t, const void *owner);

/* Chooses or checks where @m goes; errors of iopt_map() up to -ENOSPC, -EEXIST excepted. */
int iova_place_locked(struct iopt *t, const struct iopt_map *m, uint64_t *iova);

/* -EINVAL: the alignment asks for more than @offset, of the first byte in its page. */
int iova_check_offset_locked(const struct iopt *t, uint16_t offset);

/* Smallest page of a domain: what it asks of the alignment. */
uint64_t iova_domain_alignment(const struct iommu_domain *dom);
/* What @t->domains and the rest ask for, from scratch. */
uint64_t iova_alignment_locked(const struct iopt *t);
/* 0; -EADDRINUSE an area does not comply with @align. */
int iova_check_areas_locked(const struct iopt *t, uint64_t align);

/* Reserved and allowed do not meet, areas keep clear of reserved, alignment is right. */
void iova_check_locked(struct iopt *t);

#endif
