/* SPDX-License-Identifier: MIT */
/*
 * Address spaces: where client memory comes from.
 *
 * mm_pin() turns virtual pages into frames of a physical map and counts a pin for each. It
 * decides EFAULT at the moment Linux would: up to 32 pages are touched through the guarded
 * routine, larger anonymous ranges are checked by one PROCMAP_QUERY per mapping (reading the maps
 * where the kernel has none), file mappings are populated.
 *
 * Which ranges are shared is known in one of two ways: with a preload, every mmap, munmap and
 * mremap of the client reports here (vma_*), after one reading of the maps; without, the kernel
 * is asked at each pin.
 */
#ifndef MEM_MM_H
#define MEM_MM_H

#include "mem/physmap.h"

#define MM_PIN_WRITE 1u /* the page will be written: EFAULT where it is not writable */

struct mm;

/* The calling process's address space as seen by @pm. Counted; the first get builds it. */
int mm_get_self(struct physmap *pm, struct mm **out);
void mm_put(struct mm *mm);

/*
 * mm_pin() - pin pages of an address space
 * @va:     first byte, page aligned
 * @npages: > 0, does not wrap
 * @runs:   filled with at most @max runs, consecutive pages merged (1 GiB alignment preserved)
 *
 * Return: pages pinned (> 0, < @npages only when @runs was full or a later page failed);
 *         -EFAULT first page not present or of the wrong protection; -ENOMEM. Nothing pinned then.
 */
long mm_pin(struct mm *mm, uint64_t va, uint64_t npages, unsigned flags, struct phys_run *runs,
	    unsigned max, unsigned *nruns);

/* Copies between client memory at @va and @buf without pinning; 0 or -EFAULT. */
int mm_copy_from(struct mm *mm, void *buf, uint64_t va, size_t len);
int mm_copy_to(struct mm *mm, uint64_t va, const void *buf, size_t len);

/*
 * Shared memory by descriptor (IOMMU_IOAS_MAP_FILE). The frames are the same as those of any
 * mapping of the file in the client. A handle keeps the file open; close drops it, what is pinned
 * stays until it is unpinned.
 *
 * mm_file_open(): -EBADF not open, or O_PATH; -ENOMEM, -EMFILE. Any file is accepted.
 * mm_file_pin(): as mm_pin(), from byte offset @off (page aligned). -EINVAL: not shmem or
 * hugetlbfs, or a page of the range is not wholly inside the file; -ENOMEM. Pages that the file
 * does not have yet are allocated.
 */
struct mm_file;
int mm_file_open(struct physmap *pm, int fd, struct mm_file **out);
void mm_file_close(struct mm_file *f); /* NULL is fine */
long mm_file_pin(struct mm_file *f, uint64_t off, uint64_t npages, unsigned flags,
		 struct phys_run *runs, unsigned max, unsigned *nruns);

/*
 * Called before the client cuts [off, off + len) out of a file (ftruncate to @off with @len
 * UINT64_MAX, punching a hole): frames there keep their bytes for the devices. An @fd that is not
 * open or no file: nothing happens. 0; -ENOMEM: nothing was changed and the call must fail.
 */
int mm_file_shrinking(int fd, uint64_t off, uint64_t len);

/*
 * The preload's reports. vma_tracking_start() reads the maps once and from then on trusts the
 * reports. Before the client's call: vma_unmapping(); after it succeeded: vma_mapped().
 * They hold signals off while they change anything and never call the client's allocator, so a
 * signal handler may map and unmap; pinned memory too, unless the signal came in the middle of a
 * call of the engine (-ENOMEM).
 */
int vma_tracking_start(void);
bool vma_tracking(void); /* false again when there was no memory for the record */

/*
 * Called before [va, va + len) is unmapped or mapped over (MAP_FIXED): moves every pinned frame
 * out of the way and forgets the range. Cheap (a few loads) when nothing there is pinned.
 * 0; -ENOMEM: nothing was changed and the client's call must fail. If the client's call fails
 * although this succeeded: vma_rescan().
 */
int vma_unmapping(uint64_t va, uint64_t len);

/*
 * Called before the client gives the contents of [va, va + len) up but keeps the mapping
 * (MADV_DONTNEED and the like): devices keep the old pages, later pins get other addresses. Errors
 * as vma_unmapping(). Shared memory keeps its pages and its addresses.
 */
int vma_discarding(uint64_t va, uint64_t len);

/* Some frame of private memory has its bytes in the range now. */
bool vma_pinned(uint64_t va, uint64_t len);

/*
 * vma_remap() - mremap(2) for the client, with pinned frames following their bytes
 * @new_addr: with MREMAP_FIXED
 * @out:      the new address
 *
 * Return: 0 or the kernel's error; -ENOMEM: the client's memory and its pins are as before
 */
int vma_remap(uint64_t old, uint64_t old_len, uint64_t new_len, int flags, uint64_t new_addr,
	      uint64_t *out);

/* A mapping now stands at [va, va + len) with these mmap(2) arguments. */
void vma_mapped(uint64_t va, uint64_t len, int prot, int flags, int fd, uint64_t off);

/* [va, va + len) is memory of a device (a BAR): pinning it is EFAULT. After vma_mapped(). */
void vma_mapped_device(uint64_t va, uint64_t len);

/*
 * Asks the kernel what stands at [va, va + len): after mremap or shmat, and after a client's call
 * failed. Marks of vma_mapped_device() in the range are lost.
 */
void vma_rescan(uint64_t va, uint64_t len);

#endif
