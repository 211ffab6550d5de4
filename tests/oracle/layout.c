// SPDX-License-Identifier: MIT
/* What should every IOVA translate to? (see layout.h) */
#include "layout.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SZ_4K 0x1000ULL
#define SZ_2M 0x200000ULL
#define SZ_1G 0x40000000ULL

uint64_t rng_next(struct rng *rng)
{
	/* splitmix64 (public domain, Sebastiano Vigna) */
	uint64_t z = rng->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

uint64_t rng_below(struct rng *rng, uint64_t n)
{
	return rng_next(rng) % n;
}

void layout_init(struct layout *l, unsigned int levels)
{
	memset(l, 0, sizeof(*l));
	l->limit = 1ULL << (12 + 9 * levels);
}

void layout_finish(struct layout *l)
{
	free(l->r);
	l->r = NULL;
	l->n = l->cap = 0;
}

const struct range *layout_find(const struct layout *l, uint64_t iova)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (iova >= l->r[i].start && iova <= l->r[i].last)
			return &l->r[i];
	return NULL;
}

bool layout_overlaps(const struct layout *l, uint64_t start, uint64_t last)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (start <= l->r[i].last && last >= l->r[i].start)
			return true;
	return false;
}

void layout_map(struct layout *l, uint64_t start, uint64_t last, uint64_t oa, unsigned int perm)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 64;
		l->r = reallocarray(l->r, l->cap, sizeof(*l->r));
		if (!l->r)
			abort();
	}
	l->r[l->n++] = (struct range){ .start = start, .last = last, .oa = oa, .perm = perm };
}

void layout_unmap(struct layout *l, uint64_t start, uint64_t last)
{
	size_t i, n = l->n;

	for (i = 0; i < n;) {
		struct range r = l->r[i];

		if (start > r.last || last < r.start) {
			i++;
			continue;
		}
		l->r[i] = l->r[--n];
		l->r[n] = l->r[--l->n];
		if (r.start < start)
			layout_map(l, r.start, start - 1, r.oa, r.perm);
		if (r.last > last)
			layout_map(l, last + 1, r.last, r.oa + (last + 1 - r.start), r.perm);
	}
}

int layout_parse(struct layout *l, FILE *f)
{
	char line[256], perm[4];
	unsigned int nr = 0;

	while (fgets(line, sizeof(line), f)) {
		uint64_t iova, oa, len;
		unsigned int p = 0;

		nr++;
		line[strcspn(line, "#\n")] = 0;
		if (!line[strspn(line, " \t")])
			continue;
		if (sscanf(line, "%" SCNi64 " %" SCNi64 " %" SCNi64 " %3s", (int64_t *)&iova,
			   (int64_t *)&oa, (int64_t *)&len, perm) == 4) {
			p |= strchr(perm, 'r') ? PERM_R : 0;
			p |= strchr(perm, 'w') ? PERM_W : 0;
		}
		if (!p || !len || iova + (len - 1) < iova ||
		    layout_overlaps(l, iova, iova + (len - 1))) {
			fprintf(stderr, "oracle: line %u is no expectation: %s\n", nr, line);
			return -EINVAL;
		}
		layout_map(l, iova, iova + (len - 1), oa, p);
	}
	return 0;
}

/* ---- random layouts ---- */

struct shape {
	uint64_t align; /* IOVA and OA agree below this power of two, and no more is promised */
	uint64_t len;
	uint64_t before; /* bytes the mapping begins ahead of such a boundary */
};

static struct shape random_shape(struct rng *rng)
{
	struct shape s = { .align = SZ_4K };

	switch (rng_below(rng, 8)) {
	case 0 ... 2:
		s.len = SZ_4K * (1 + rng_below(rng, 4));
		break;
	case 3:
		s.len = SZ_4K * (1 + rng_below(rng, 1100));
		break;
	case 4 ... 6:
		s.align = SZ_2M;
		s.before = SZ_4K * (rng_below(rng, 2) ? rng_below(rng, 4) : 0);
		s.len = s.before + SZ_2M * (1 + rng_below(rng, 4)) + SZ_4K * rng_below(rng, 3);
		break;
	default:
		s.align = SZ_1G;
		s.before = rng_below(rng, 2) ? SZ_2M * rng_below(rng, 3) + SZ_4K * rng_below(rng, 3)
					     : 0;
		s.len = s.before + SZ_1G + (rng_below(rng, 2) ? SZ_2M + SZ_4K : 0);
		break;
	}
	return s;
}

static bool random_oa(struct rng *rng, const struct shape *s, const struct rig_mem *oas,
		      unsigned int noas, uint64_t *oa)
{
	const struct rig_mem *m = &oas[rng_below(rng, noas)];
	uint64_t room;

	if (m->len < s->align + s->len)
		m = &oas[noas - 1];
	if (m->len < s->align + s->len)
		return false;
	room = (m->len - s->len) / s->align;
	*oa = m->start + rng_below(rng, room) * s->align;
	*oa += s->before ? s->align - s->before : 0;
	return true;
}

/* Spread over every level's index, with both ends of the space and neighbours well represented. */
static uint64_t random_iova(struct rng *rng, const struct layout *l, const struct shape *s)
{
	uint64_t slots = l->limit / s->align;
	uint64_t iova;

	switch (rng_below(rng, 6)) {
	case 0:
		iova = 0;
		break;
	case 1:
		return (l->limit - s->len) & ~(SZ_4K - 1);
	case 2:
		if (l->n && s->align == SZ_4K)
			return l->r[rng_below(rng, l->n)].last + 1;
		/* fall through */
	case 3:
		iova = (1 + rng_below(rng, 64)) * s->align;
		break;
	default:
		iova = rng_below(rng, slots);
		iova >>= rng_below(rng, 10);
		iova *= s->align;
		break;
	}
	return s->before ? iova + s->align - s->before : iova;
}

static bool try_map(struct layout *l, struct rng *rng, FILE *script, const struct rig_mem *oas,
		    unsigned int noas)
{
	static const char *const names[] = { "", "r", "w", "rw" };
	static const unsigned int perms[] = { PERM_R, PERM_W, PERM_R | PERM_W, PERM_R | PERM_W };
	struct shape s = random_shape(rng);
	uint64_t iova = random_iova(rng, l, &s), last = iova + (s.len - 1), oa;
	unsigned int perm = perms[rng_below(rng, 4)];

	if (last < iova || last >= l->limit || layout_overlaps(l, iova, last))
		return false;
	if (iova <= MSI_LAST && last >= MSI_START)
		return false;
	if (!random_oa(rng, &s, oas, noas, &oa))
		return false;
	layout_map(l, iova, last, oa, perm);
	/* An s asks for the force-snoop bit, which must change nothing that can be seen here. */
	fprintf(script, "map 0x%" PRIx64 " 0x%" PRIx64 " 0x%" PRIx64 " %s%s\n", iova, oa, s.len,
		names[perm], rng_below(rng, 4) ? "" : "s");
	return true;
}

/* All of one range, or pages in its middle where only 4K leaves can be. */
static void random_unmap(struct layout *l, struct rng *rng, FILE *script)
{
	struct range r = l->r[rng_below(rng, l->n)];
	uint64_t start = r.start, last = r.last;

	if (((r.start ^ r.oa) & (SZ_2M - 1)) && rng_below(rng, 2)) {
		uint64_t pages = (r.last - r.start + 1) / SZ_4K;
		uint64_t first = rng_below(rng, pages);

		start = r.start + first * SZ_4K;
		last = start + SZ_4K * (1 + rng_below(rng, pages - first)) - 1;
	}
	layout_unmap(l, start, last);
	fprintf(script, "unmap 0x%" PRIx64 " 0x%" PRIx64 "\n", start, last - start + 1);
}

void layout_random(struct layout *l, struct rng *rng, FILE *script, unsigned int nmaps,
		   const struct rig_mem *oas, unsigned int noas)
{
	unsigned int tries;

	for (tries = 0; tries < nmaps * 20 && l->n < nmaps; tries++) {
		if (l->n > 4 && rng_below(rng, 5) == 0)
			random_unmap(l, rng, script);
		else
			try_map(l, rng, script, oas, noas);
	}
}
