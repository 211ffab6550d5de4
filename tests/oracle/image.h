/* SPDX-License-Identifier: MIT */
/* What are the bytes of a VT-d second-stage table, and where do they lie? */
#ifndef ORACLE_IMAGE_H
#define ORACLE_IMAGE_H

#include <stddef.h>
#include <stdint.h>

/* Raw table memory that begins at physical address base. */
struct image {
	uint64_t base, root;
	unsigned int levels;
	uint64_t *words;
	size_t bytes;
};

void image_finish(struct image *img);

/** image_golden() - the published three-mapping vector: 4K RW, 2M R with force snoop, 1G RW */
int image_golden(struct image *img);

/** image_load() - read a file of table memory; base, root and levels are the caller's to set */
int image_load(struct image *img, const char *path);

/** image_word() - the entry at a physical address, which lies in the image */
uint64_t *image_word(struct image *img, uint64_t pa);

/**
 * image_rebase() - rewrite every table pointer so that the image can lie at @base; leaves stay
 *
 * Return: 0; -EINVAL when a pointer leads out of the image or a table is reached twice (image
 * undefined)
 */
int image_rebase(struct image *img, uint64_t base);

/**
 * image_from_tool() - have @tool make the image of @script
 * @tool: words separated by spaces; "--format vtd --levels N --base PA --script F --out F" follow
 * @out:  file for the table memory
 *
 * Return: 0; -EIO when the tool fails or its answer makes no sense (reported on stderr)
 */
int image_from_tool(struct image *img, const char *tool, unsigned int levels, uint64_t base,
		    const char *script, const char *out);

#endif
