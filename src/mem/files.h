/* SPDX-License-Identifier: MIT */
/* Inside the file window: objects, their slices of the window, their mappings. Only for src/mem/.
 */
#ifndef MEM_FILES_H
#define MEM_FILES_H

#include "mem/physmap_priv.h"

#define SLICE_LG2 REGION_LG2

struct extent {
	struct extent *next;
	uint64_t off, len; /* of the file */
	char *host;
	bool writable;
};

struct slices {
	struct slices *next;
	uint64_t first, n; /* slice numbers of the file */
	uint64_t pa;
	bool retired; /* pages were cut off the file under a pin: only for old frames */
};

struct phys_file {
	struct phys_file *next; /* in its hash chain */
	uint64_t dev, ino;
	uint32_t handles;
	uint64_t pinned;
	bool mixed; /* some extent is not writable */
	struct extent *extents;
	struct slices *slices;
};

/* All under the map's lock. */
struct phys_file *file_find(struct physmap *pm, uint64_t dev, uint64_t ino); /* NULL: unknown */
/* The mapping of a page of the file, a writable one rather than another if @write; or NULL. */
struct extent *extent_find(const struct phys_file *f, uint64_t off, bool write);

#endif
