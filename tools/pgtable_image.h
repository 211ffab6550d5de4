/* SPDX-License-Identifier: MIT */
/* Table memory as one piece that can be written to a file and read back. */
#ifndef TOOLS_PGTABLE_IMAGE_H
#define TOOLS_PGTABLE_IMAGE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "pgtable/pt.h"

struct image {
	char *mem; /* what lies at base */
	uint64_t base;
	size_t bytes; /* used so far, or the length of the file */
	size_t room;
	uint64_t free_tables; /* given back, linked through their first word; 0: none */
};

/* Memory for tables from @base upwards. 0 or -errno; image_finish() in any case. */
int image_create(struct image *im, uint64_t base);
int image_load(struct image *im, uint64_t base, const char *path);
void image_finish(struct image *im);

/* Writes the memory in use to @path. 0 or -errno. Tables that were given back are not reused then.
 */
int image_save(struct image *im, const char *path);

extern const struct pt_ops image_ops; /* argument: the image */

/*
 * Performs a script on @t. Lines: `map IOVA OA LEN r|w|rw`, `unmap IOVA LEN`; blank lines and
 * comments from `#`. Numbers as C has them. An s behind the permission asks for forced snooping.
 * 0; 1 a line was refused; 2 a line that makes no sense. Both are explained on stderr.
 */
int image_script(struct pt *t, FILE *script, const char *name);

#endif
