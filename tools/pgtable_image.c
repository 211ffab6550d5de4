// SPDX-License-Identifier: MIT
/* How do page tables get into a file, and out of it? */
#include "pgtable_image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/why.h"

#define IMAGE_ROOM (1ull << 32)

typedef unsigned long long ull;

static void *image_alloc(void *arg, size_t size, uint64_t *addr)
{
	struct image *im = arg;
	size_t at = (im->bytes + (size - 1)) & ~(size - 1);

	if (size == 4096 && im->free_tables) {
		uint64_t *table = (uint64_t *)(im->mem + (im->free_tables - im->base));

		*addr = im->free_tables;
		im->free_tables = *table;
		*table = 0;
		return table;
	}
	if (at + size > im->room)
		return NULL;
	im->bytes = at + size;
	*addr = im->base + at;
	return im->mem + at;
}

static void image_free(void *arg, void *ptr, uint64_t addr, size_t size)
{
	struct image *im = arg;

	if (size != 4096)
		return;
	*(uint64_t *)ptr = im->free_tables;
	im->free_tables = addr;
}

/* NULL: not wholly inside the image. */
static void *image_ptr(void *arg, uint64_t addr)
{
	struct image *im = arg;

	if (addr < im->base || addr - im->base + 4096 > im->bytes || addr & 7)
		return NULL;
	return im->mem + (addr - im->base);
}

const struct pt_ops image_ops = { image_alloc, image_free, image_ptr };

int image_create(struct image *im, uint64_t base)
{
	void *p = mmap(NULL, IMAGE_ROOM, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	*im = (struct image){ .base = base };
	if (p == MAP_FAILED)
		return -errno;
	im->mem = p;
	im->room = IMAGE_ROOM;
	return 0;
}

int image_load(struct image *im, uint64_t base, const char *path)
{
	FILE *f = fopen(path, "rb");
	int rc;

	*im = (struct image){ .base = base };
	if (!f)
		return -errno;
	rc = image_create(im, base);
	if (!rc) {
		im->bytes = fread(im->mem, 1, im->room, f);
		if (ferror(f))
			rc = -EIO;
	}
	fclose(f);
	return rc;
}

void image_finish(struct image *im)
{
	if (im->mem)
		munmap(im->mem, im->room);
	im->mem = NULL;
}

/* A table that was given back is all zero in the file. */
static int save_bytes(struct image *im, FILE *f)
{
	while (im->free_tables) {
		uint64_t *table = (uint64_t *)(im->mem + (im->free_tables - im->base));

		im->free_tables = *table;
		*table = 0;
	}
	return fwrite(im->mem, 1, im->bytes, f) == im->bytes ? 0 : -EIO;
}

int image_save(struct image *im, const char *path)
{
	FILE *f = fopen(path, "wb");
	int rc;

	if (!f)
		return -errno;
	rc = save_bytes(im, f);
	if (fclose(f) && !rc)
		rc = -EIO;
	return rc;
}

/* ---- scripts ---- */

static int parse_prot(const char *s, unsigned *prot)
{
	*prot = 0;
	for (; *s; s++) {
		if (*s == 'r')
			*prot |= PT_READ;
		else if (*s == 'w')
			*prot |= PT_WRITE;
		else if (*s == 's')
			*prot |= PT_SNOOP;
		else
			return -EINVAL;
	}
	return 0;
}

static int parse_number(const char *s, uint64_t *n)
{
	char *end;

	errno = 0;
	*n = strtoull(s, &end, 0);
	return errno || end == s || *end || *s == '-' ? -EINVAL : 0;
}

static int run_map(struct pt *t, char **word)
{
	struct pt_gather g;
	uint64_t iova, oa, len;
	unsigned prot;
	int rc;

	if (parse_number(word[1], &iova) || parse_number(word[2], &oa) ||
	    parse_number(word[3], &len) || parse_prot(word[4], &prot))
		return 2;
	pt_gather_init(&g);
	rc = pt_map(t, iova, oa, len, prot, &g);
	pt_gather_free(t, &g);
	return rc ? 1 : 0;
}

static int run_unmap(struct pt *t, char **word)
{
	struct pt_gather g;
	uint64_t iova, len;
	size_t n;

	if (parse_number(word[1], &iova) || parse_number(word[2], &len))
		return 2;
	pt_gather_init(&g);
	n = pt_unmap(t, iova, len, &g);
	pt_gather_free(t, &g);
	if (n == len)
		return 0;
	refuse(EINVAL, "0x%llx bytes were mapped from there, not 0x%llx", (ull)n, (ull)len);
	return 1;
}

static int run_line(struct pt *t, char *line)
{
	char *word[6], *save = NULL;
	int n = 0;

	line[strcspn(line, "#\n")] = 0;
	for (char *w = strtok_r(line, " \t\r", &save); w && n < 6;
	     w = strtok_r(NULL, " \t\r", &save))
		word[n++] = w;
	if (!n)
		return 0;
	if (n == 5 && !strcmp(word[0], "map"))
		return run_map(t, word);
	if (n == 3 && !strcmp(word[0], "unmap"))
		return run_unmap(t, word);
	return 2;
}

int image_script(struct pt *t, FILE *script, const char *name)
{
	char line[256], copy[256];
	unsigned no = 0;
	int rc = 0;

	while (!rc && fgets(line, sizeof(line), script)) {
		no++;
		memcpy(copy, line, sizeof(line));
		rc = run_line(t, line);
		copy[strcspn(copy, "\n")] = 0;
		if (rc == 1)
			fprintf(stderr, "%s:%u: %s: %s\n", name, no, copy, why_last());
		else if (rc)
			fprintf(stderr,
				"%s:%u: \"%s\" is neither `map IOVA OA LEN r|w|rw` nor "
				"`unmap IOVA LEN`\n",
				name, no, copy);
	}
	return rc;
}
