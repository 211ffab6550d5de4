// SPDX-License-Identifier: MIT
/*
 * Picture: the IO address space of a context as text, when it is at its fullest.
 *
 * Shown before the first unmap or destroy that follows a map, so that a program's own run draws
 * it without knowing.
 */
#include "front/lib/edge.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "abi/iommufd.h"
#include "base/bits.h"
#include "base/pool.h"
#include "base/sys.h"

#define SIZES     52
#define AREAS_MAX 24 /* lines; the rest is counted */

struct sheet {
	char text[12288];
	size_t n;
	struct iommufd_ctx *ctx;
	uint32_t ioas;
	unsigned n_areas;
	struct area_line {
		struct iommufd_area_info info;
		uint64_t count[SIZES]; /* IO pages by size */
	} area[AREAS_MAX];
};

static void put(struct sheet *s, const char *fmt, ...) PRINTF(2, 3);

static void put(struct sheet *s, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(s->text + s->n, sizeof(s->text) - s->n, fmt, ap);
	va_end(ap);
	if (n > 0)
		s->n = s->n + (size_t)n < sizeof(s->text) ? s->n + (size_t)n : sizeof(s->text) - 1;
}

static void put_size(struct sheet *s, uint64_t bytes, bool padded)
{
	static const char unit[] = "BKMGTPE";
	unsigned u = 0;

	while (bytes >= 1024 && !(bytes & 1023) && u + 1 < sizeof(unit) - 1) {
		bytes >>= 10;
		u++;
	}
	put(s, padded ? "%6llu %ciB" : "%llu%c", (unsigned long long)bytes, unit[u]);
}

static void note_area(void *arg, const struct iommufd_area_info *a)
{
	struct sheet *s = arg;

	if (s->n_areas < AREAS_MAX)
		s->area[s->n_areas].info = *a;
	s->n_areas++;
}

static void count_leaf(void *arg, uint64_t iova, uint64_t pa, uint64_t len, unsigned prot)
{
	struct sheet *s = arg;

	(void)pa;
	(void)prot;
	if (!is_pow2(len))
		return;
	for (unsigned i = 0; i < s->n_areas && i < AREAS_MAX; i++)
		if (iova >= s->area[i].info.start && iova <= s->area[i].info.last)
			s->area[i].count[lowest_bit(len) < SIZES ? lowest_bit(len) : SIZES - 1]++;
}

/* A bar of which every step is a factor of four. */
static void put_bar(struct sheet *s, uint64_t len)
{
	unsigned lg = highest_bit(len), n = lg < 12 ? 1 : (lg - 10) / 2;

	for (unsigned i = 0; i < 14; i++)
		put(s, "%s", i < n ? "#" : " ");
}

static void draw_area(struct sheet *s, const struct area_line *l)
{
	const struct iommufd_area_info *a = &l->info;
	bool any = false;

	put(s, "  %#014llx-%#014llx ", (unsigned long long)a->start, (unsigned long long)a->last);
	put_size(s, a->last - a->start + 1, true);
	put(s, " %c%c ", a->prot & IOMMU_READ ? 'r' : '-', a->prot & IOMMU_WRITE ? 'w' : '-');
	put_bar(s, a->last - a->start + 1);
	for (unsigned i = SIZES; i-- > 0;) {
		if (!l->count[i])
			continue;
		put(s, "%s%llu x ", any ? " + " : " ", (unsigned long long)l->count[i]);
		put_size(s, 1ull << i, false);
		any = true;
	}
	put(s, any ? "\n" : " in no IO page table\n");
}

static void draw_ioas(struct sheet *s)
{
	s->n_areas = 0;
	memset(s->area, 0, sizeof(s->area));
	put(s, "IOVA space of ioas %u                 size        right  (log scale)    IO pages\n",
	    s->ioas);
	iommufd_for_each_area(s->ctx, s->ioas, note_area, s);
	iommufd_for_each_leaf(s->ctx, s->ioas, count_leaf, s);
	for (unsigned i = 0; i < s->n_areas && i < AREAS_MAX; i++)
		draw_area(s, &s->area[i]);
	if (!s->n_areas)
		put(s, "  nothing is mapped\n");
	if (s->n_areas > AREAS_MAX)
		put(s, "  ... and %u more areas\n", s->n_areas - AREAS_MAX);
}

void picture_note(struct file *f, unsigned long cmd, long result)
{
	if (cmd == IOMMU_IOAS_MAP && result >= 0)
		atomic_store_explicit(&f->mapped_since_picture, true, memory_order_relaxed);
}

void picture_before(struct file *f, unsigned long cmd)
{
	struct sheet *s;

	if (cmd != IOMMU_IOAS_UNMAP && cmd != IOMMU_DESTROY)
		return;
	if (!atomic_exchange(&f->mapped_since_picture, false))
		return;
	s = mem_zalloc(sizeof(*s)); /* too large for a small thread's stack */
	if (!s)
		return;
	s->ctx = f->ctx;
	for (s->ioas = iommufd_next_ioas(f->ctx, 0); s->ioas;
	     s->ioas = iommufd_next_ioas(f->ctx, s->ioas))
		draw_ioas(s);
	sys_write(2, s->text, s->n);
	mem_free(s);
}
