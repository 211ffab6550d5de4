/* SPDX-License-Identifier: MIT */
/*
 * What is mapped where: the record of special ranges, and questions to the kernel. For src/mem/.
 *
 * Special is what does not pin as private memory: shared mappings, and device memory. While
 * tracking is on an address without an entry is private (or nothing); else the kernel is asked.
 */
#ifndef MEM_VMA_H
#define MEM_VMA_H

#include "base/compiler.h"

enum vma_kind { VMA_PRIVATE, VMA_SHARED, VMA_DEVICE };

#define VMA_READ  1u
#define VMA_WRITE 2u

struct vma_seg {
	uint64_t start, last;
	enum vma_kind kind;
	unsigned prot;     /* VMA_READ | VMA_WRITE; 0 and meaningless from the record */
	bool huge;         /* hugetlbfs; false from the record and from the text */
	bool file;         /* backed by a file (also shared anonymous memory) */
	uint64_t dev, ino; /* VMA_SHARED: the backing object */
	uint64_t off;      /* of @start in it */
};

/* vmaquery.c */
/*
 * Asks the kernel which mapping covers @va, or (@next) the first one at or after it.
 * -ENOENT: none. -ENOMEM, -EMFILE ...: it could not be asked.
 */
int vma_query(uint64_t va, bool next, struct vma_seg *out);

/* vma.c */
/* The first special entry that meets [va, last]. Lock-free unless somebody changes the record. */
bool vma_special(uint64_t va, uint64_t last, struct vma_seg *out);
/* The record no longer tells about [va, last]. */
void vma_forget(uint64_t va, uint64_t last);

/* All signals but SIGSEGV and SIGBUS held off this thread: a handler may map and unmap too. */
void signals_hold(uint64_t *saved);
void signals_release(const uint64_t *saved);

#endif
