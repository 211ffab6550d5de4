// SPDX-License-Identifier: MIT
/*
 * What are the bytes of a VT-d second-stage table, and where do they lie? (see image.h)
 *
 * Source: Intel VT-d architecture, second-stage paging entries.
 */
#include "image.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TABLE      4096u
#define ENTRY_RW   3ULL
#define ENTRY_PS   (1ULL << 7)
#define ENTRY_SNP  (1ULL << 11)
#define ENTRY_ADDR 0x000ffffffffff000ULL

static int alloc_words(struct image *img, size_t bytes)
{
	img->bytes = bytes;
	img->words = calloc(1, bytes ? bytes : 1);
	return img->words ? 0 : -ENOMEM;
}

void image_finish(struct image *img)
{
	free(img->words);
	img->words = NULL;
}

uint64_t *image_word(struct image *img, uint64_t pa)
{
	return img->words + (pa - img->base) / 8;
}

int image_golden(struct image *img)
{
	static const struct {
		uint64_t table;
		unsigned int index;
		uint64_t value;
	} items[] = {
		{ 0x1000000, 0, 0x1001003 },   { 0x1000000, 1, 0x1005003 },
		{ 0x1001000, 0, 0x1002003 },   { 0x1001000, 1, 0x1004003 },
		{ 0x1002000, 145, 0x1003003 }, { 0x1003000, 325, 0xabcde003 },
		{ 0x1004000, 0, 0x80000881 },  { 0x1005000, 0, 0x40000083 },
	};
	size_t i;
	int rc;

	*img = (struct image){ .base = 0x1000000, .root = 0x1000000, .levels = 4 };
	rc = alloc_words(img, 6 * TABLE);
	for (i = 0; !rc && i < sizeof(items) / sizeof(items[0]); i++)
		*image_word(img, items[i].table + items[i].index * 8) = items[i].value;
	return rc;
}

int image_load(struct image *img, const char *path)
{
	struct stat st;
	FILE *f = fopen(path, "rb");
	int rc = 0;

	if (!f || fstat(fileno(f), &st)) {
		rc = -errno;
		fprintf(stderr, "oracle: %s: %s\n", path, strerror(-rc));
	} else {
		rc = alloc_words(img, (size_t)st.st_size);
		if (!rc && fread(img->words, 1, img->bytes, f) != img->bytes)
			rc = -EIO;
	}
	if (f)
		fclose(f);
	return rc;
}

struct rebase {
	struct image *img;
	uint64_t to;
	uint8_t *seen; /* one byte per 4 KiB of the image */
};

static int rebase_table(struct rebase *rb, uint64_t pa, unsigned int level)
{
	struct image *img = rb->img;
	uint64_t off = pa - img->base;
	unsigned int i;

	if (pa < img->base || off >= img->bytes || img->bytes - off < TABLE || pa % TABLE) {
		fprintf(stderr, "oracle: a table at 0x%" PRIx64 " is not in the image\n", pa);
		return -EINVAL;
	}
	if (rb->seen[off / TABLE]++) {
		fprintf(stderr, "oracle: two pointers to the table at 0x%" PRIx64 "\n", pa);
		return -EINVAL;
	}
	for (i = 0; level > 0 && i < TABLE / 8; i++) {
		uint64_t *e = image_word(img, pa) + i;
		uint64_t next = *e & ENTRY_ADDR;
		int rc;

		if (!(*e & ENTRY_RW) || (*e & ENTRY_PS))
			continue;
		rc = rebase_table(rb, next, level - 1);
		if (rc)
			return rc;
		*e = (*e & ~ENTRY_ADDR) | (next - img->base + rb->to);
	}
	return 0;
}

int image_rebase(struct image *img, uint64_t base)
{
	struct rebase rb = { .img = img, .to = base };
	int rc;

	rb.seen = calloc(1, img->bytes / TABLE + 1);
	if (!rb.seen)
		return -ENOMEM;
	rc = rebase_table(&rb, img->root, img->levels - 1);
	free(rb.seen);
	if (!rc) {
		img->root = img->root - img->base + base;
		img->base = base;
	}
	return rc;
}

/* The number that follows "key": in one line of JSON, decimal or as a hexadecimal string. */
static int json_number(const char *json, const char *key, uint64_t *val)
{
	char quoted[32], *end;
	const char *p;

	snprintf(quoted, sizeof(quoted), "\"%s\"", key);
	p = strstr(json, quoted);
	if (!p)
		return -EIO;
	p += strlen(quoted);
	p += strspn(p, " \t:\"");
	*val = strtoull(p, &end, 0);
	return end == p ? -EIO : 0;
}

int image_from_tool(struct image *img, const char *tool, unsigned int levels, uint64_t base,
		    const char *script, const char *out)
{
	char *cmd, answer[4096];
	FILE *p = NULL;
	size_t n = 0;
	uint64_t bytes;
	int rc = -EIO;

	*img = (struct image){ .levels = levels };
	if (asprintf(&cmd,
		     "%s --format vtd --levels %u --base 0x%" PRIx64 " --script '%s' --out '%s'",
		     tool, levels, base, script, out) < 0)
		return -ENOMEM;
	p = popen(cmd, "r");
	if (p) {
		n = fread(answer, 1, sizeof(answer) - 1, p);
		answer[n] = 0;
		if (pclose(p) == 0)
			rc = 0;
	}
	if (!rc)
		rc = json_number(answer, "root", &img->root);
	if (!rc)
		rc = json_number(answer, "base", &img->base);
	if (!rc)
		rc = json_number(answer, "bytes", &bytes);
	if (!rc)
		rc = image_load(img, out);
	if (!rc && img->bytes != bytes)
		rc = -EIO;
	if (rc)
		fprintf(stderr, "oracle: failed: %s\n", cmd);
	free(cmd);
	return rc;
}
