/* SPDX-License-Identifier: MIT */
/*
 * <uiommufd/pgtable.h>: IO page tables in hardware formats, alone.
 *
 * A table translates IO virtual addresses (IOVA) to output addresses. Its only truth is its bytes,
 * in memory that you give: an IOMMU, or a model of one, that gets the root address and that memory
 * translates exactly as uiommufd_pgtable_walk() does. Nothing else of the library is needed.
 *
 *	struct uiommufd_pgtable_options o = {
 *		.size = sizeof(o), .format = "vtd", .levels = 4,
 *		.alloc = my_alloc, .free = my_free, .to_pointer = my_pointer,
 *	};
 *	rc = uiommufd_pgtable_create(&o, &table);
 *	rc = uiommufd_pgtable_map(table, 0x100000, 0x80000000, 0x200000,
 *				  UIOMMUFD_PGTABLE_READ | UIOMMUFD_PGTABLE_WRITE);
 *
 * Calls return 0 or a negative errno; errno itself is not touched. uiommufd_last_reason() in
 * <uiommufd/uiommufd.h> says in words why a call was refused.
 *
 * Threads. Map and unmap may run at the same time in the same table as long as no two of them have
 * IOVA in common; the library takes no lock. Walks may run at any time. A table page that an unmap
 * takes out is freed when your invalidate callback has returned, so that callback must wait until
 * no walk that began before it is still running.
 */
#ifndef UIOMMUFD_PGTABLE_H
#define UIOMMUFD_PGTABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct uiommufd_pgtable;

/* Permissions. A mapping needs READ or WRITE. */
#define UIOMMUFD_PGTABLE_READ  (1u << 0)
#define UIOMMUFD_PGTABLE_WRITE (1u << 1)
#define UIOMMUFD_PGTABLE_MMIO  (1u << 2) /* the output is device registers, not memory */
#define UIOMMUFD_PGTABLE_SNOOP (1u << 3) /* force snooping, where the format has a bit for it */
#define UIOMMUFD_PGTABLE_SMALL (1u << 4) /* map only: use the smallest page size alone */

/* Features. */
#define UIOMMUFD_PGTABLE_FORCE_SNOOP    (1u << 0) /* SNOOP for every mapping */
#define UIOMMUFD_PGTABLE_FORCE_WRITABLE (1u << 1) /* refuse mappings without WRITE */

struct uiommufd_pgtable_options {
	size_t size;        /* sizeof(struct uiommufd_pgtable_options) */
	const char *format; /* one of uiommufd_pgtable_format(); "vtd": Intel VT-d second stage */
	/* 0 in the next five: what the format usually has, or all that it can. */
	unsigned levels;
	unsigned granule_lg2; /* log2 of the smallest page */
	unsigned iova_bits;   /* width of the IOVA that the hardware takes */
	unsigned output_bits; /* width of the addresses that it puts out */
	uint64_t page_sizes;  /* that it offers; bit n: 2^n bytes */
	uint64_t first, last; /* IOVA that may be mapped, both 0: all */
	uint32_t features;
	/*
	 * Memory for tables. alloc returns size zeroed bytes and the address by which entries refer
	 * to them (below 2^52), both multiples of size, or NULL. free takes them back, zeroed
	 * again. to_pointer finds the memory of an address that alloc gave.
	 */
	void *(*alloc)(void *arg, size_t size, uint64_t *address);
	void (*free)(void *arg, void *memory, uint64_t address, size_t size);
	void *(*to_pointer)(void *arg, uint64_t address);
	/*
	 * Called after entries in [first, last] were removed and before tables taken out are freed
	 * (@tables: how many): drop cached translations, and with tables > 0 cached pointers too.
	 * NULL: nothing caches.
	 */
	void (*invalidate)(void *arg, uint64_t first, uint64_t last, uint64_t tables);
	void *arg;
};

struct uiommufd_pgtable_translation {
	uint64_t output;       /* address of the byte asked for */
	uint64_t entry;        /* the last entry read, as the hardware sees it */
	uint32_t prot;         /* READ | WRITE, what all levels together allow; may be 0 */
	uint8_t page_size_lg2; /* of the page it is in */
	uint8_t level;         /* of entry; 0: the tables that hold only pages */
	uint8_t reserved[2];
};

struct uiommufd_pgtable_page {
	uint64_t iova, output;
	uint32_t prot;
	uint8_t page_size_lg2;
	uint8_t level;
	uint8_t reserved[2];
};

/* Name of the @i-th format, NULL behind the last. */
const char *uiommufd_pgtable_format(unsigned i);

/*
 * -EINVAL: a number that the format does not have, or a callback is missing; -ENOENT: no such
 * format; -ENOMEM. *@out is untouched then.
 */
int uiommufd_pgtable_create(const struct uiommufd_pgtable_options *options,
			    struct uiommufd_pgtable **out);

/* Frees every table without an invalidation. Nobody uses it any more. NULL is fine. */
void uiommufd_pgtable_destroy(struct uiommufd_pgtable *table);

/* What the hardware is told: address of the root table, and number of levels. */
uint64_t uiommufd_pgtable_root(const struct uiommufd_pgtable *table);
unsigned uiommufd_pgtable_levels(const struct uiommufd_pgtable *table);

/* Page sizes in use, bit n: 2^n bytes. */
uint64_t uiommufd_pgtable_page_sizes(const struct uiommufd_pgtable *table);

/*
 * Translates [iova, iova + length) to output onwards, with the largest pages that the alignments
 * allow. -EINVAL: not a multiple of the smallest page, outside the range allowed, beyond the output
 * width, or permissions that the format cannot say; -EEXIST: something is mapped there; -ENOMEM.
 * On failure no byte of table memory has changed.
 */
int uiommufd_pgtable_map(struct uiommufd_pgtable *table, uint64_t iova, uint64_t output,
			 uint64_t length, uint32_t prot);

/*
 * Removes what [iova, iova + length) translates to, calls invalidate, frees tables. Cannot fail.
 * Holes are skipped; a page is never split: one that begins in the range goes whole, one that
 * begins before it stays. Returns the bytes unmapped.
 */
uint64_t uiommufd_pgtable_unmap(struct uiommufd_pgtable *table, uint64_t iova, uint64_t length);

/*
 * Translates one IOVA as the hardware does; permissions are reported, not judged. -ENOENT: nothing
 * is mapped; -ERANGE: the IOVA is wider than the table; -EBADMSG: an entry has reserved bits set.
 * On failure only entry and level of *@out are set. No reason is stored: the errno says it all.
 */
int uiommufd_pgtable_walk(const struct uiommufd_pgtable *table, uint64_t iova,
			  struct uiommufd_pgtable_translation *out);

/*
 * Calls @fn for every page that meets [first, last], in order; a result other than 0 ends it and
 * is returned. Nobody changes that range meanwhile.
 */
int uiommufd_pgtable_for_each(const struct uiommufd_pgtable *table, uint64_t first, uint64_t last,
			      int (*fn)(void *arg, const struct uiommufd_pgtable_page *page),
			      void *arg);

/*
 * Examines every entry; @report (or NULL) gets a sentence for each problem: reserved bits, junk,
 * tables that are reached twice or not at all. Returns how many there are; -ENOMEM.
 */
long uiommufd_pgtable_check(const struct uiommufd_pgtable *table,
			    void (*report)(void *arg, const char *problem), void *arg);

#ifdef __cplusplus
}
#endif

#endif
