// SPDX-License-Identifier: MIT
/* Does the hardware do with our tables what the layout says? (see judge.h) */
#include "judge.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* VT-d fault reasons (Intel VT-d architecture, legacy mode fault conditions). */
#define REASON_BEYOND_WIDTH 4u
#define REASON_NO_WRITE     5u
#define REASON_NO_READ      6u

#define MAX_DESCRIBED       20

struct access {
	uint64_t iova;
	unsigned int len; /* 1..RIG_SLOT */
	bool write;
	bool hole;          /* some byte must not pass */
	bool denied;        /* one of those is mapped, but not for this direction */
	uint64_t hole_iova; /* the first such */
	struct {
		uint8_t *host; /* where the byte lies; NULL when nothing is mapped */
		bool ok;
	} byte[RIG_SLOT];
};

/* What the layout says about each byte. False when the rig could not see the effect. */
static bool expect(struct rig *r, const struct layout *l, struct access *a)
{
	unsigned int i;

	for (i = 0; i < a->len; i++) {
		uint64_t iova = a->iova + i;
		const struct range *m = layout_find(l, iova);

		a->byte[i].host = m ? rig_host(r, m->oa + (iova - m->start), 1) : NULL;
		a->byte[i].ok = m && (m->perm & (a->write ? PERM_W : PERM_R));
		if (a->byte[i].ok && !a->byte[i].host)
			return false;
		a->denied |= m && !a->byte[i].ok;
		if (!a->byte[i].ok && !a->hole) {
			a->hole = true;
			a->hole_iova = iova;
		}
	}
	return true;
}

/* The k-th interesting address of a range; wraps around, with fresh random parts each time. */
static uint64_t pick_near(const struct range *m, struct rng *rng, unsigned int k)
{
	uint64_t len = m->last - m->start + 1;
	uint64_t inside = m->start + (rng_below(rng, len) & ~(uint64_t)(RIG_SLOT - 1));

	switch (k % 10) {
	case 0:
		return m->start;
	case 1:
		return m->last - (RIG_SLOT - 1);
	case 2:
		return m->start - RIG_SLOT / 2;
	case 3:
		return m->last - (RIG_SLOT / 2 - 1);
	case 4:
		return m->start - RIG_SLOT;
	case 5:
		return m->last + 1;
	case 6:
		return inside ^ 1ULL << (12 + rng_below(rng, 36));
	case 7: {
		/* across a page border somewhere inside */
		uint64_t border = (inside | 0xfff) + 1;

		return border < m->last ? border - RIG_SLOT / 2 : inside;
	}
	default:
		return inside;
	}
}

static uint64_t pick_far(const struct layout *l, struct rng *rng, unsigned int k)
{
	uint64_t any = rng_next(rng) & ~(uint64_t)(RIG_SLOT - 1);

	switch (k % 6) {
	case 0:
		return l->limit - RIG_SLOT / 2;
	case 1:
		return l->limit | (any & (l->limit - 1));
	case 2:
		return any >> 1 | l->limit;
	case 3:
		return l->limit - RIG_SLOT;
	default:
		return any % l->limit;
	}
}

static struct access pick(const struct layout *l, struct rng *rng, unsigned long k)
{
	struct access a = { .len = RIG_SLOT };

	if (!l->n || rng_below(rng, 8) == 0)
		a.iova = pick_far(l, rng, (unsigned int)(k / 2));
	else
		a.iova = pick_near(&l->r[k / 20 % l->n], rng, (unsigned int)(k / 2 % 10));
	a.write = k & 1;
	if (rng_below(rng, 8) == 0) {
		unsigned int cut = (unsigned int)rng_below(rng, RIG_SLOT);

		a.len -= cut;
		if (rng_below(rng, 2))
			a.iova += cut;
	}
	return a;
}

static bool usable(const struct access *a)
{
	uint64_t last = a->iova + (a->len - 1);

	return last >= a->iova && (last < MSI_START || a->iova > MSI_LAST);
}

static void describe(struct tally *t, const struct layout *l, const struct access *a,
		     const char *what, const struct rig_fault *f)
{
	const struct range *m = layout_find(l, a->iova);

	if (t->mismatches++ >= MAX_DESCRIBED || t->quiet)
		return;
	printf("# mismatch: %s of %u bytes at iova 0x%" PRIx64 ": %s\n",
	       a->write ? "write" : "read", a->len, a->iova, what);
	if (m)
		printf("#   expected there: iova 0x%" PRIx64 "..0x%" PRIx64 " -> 0x%" PRIx64
		       " %s%s\n",
		       m->start, m->last, m->oa, m->perm & PERM_R ? "r" : "",
		       m->perm & PERM_W ? "w" : "");
	else
		printf("#   expected there: nothing\n");
	if (f && f->valid)
		printf("#   fault record: page 0x%" PRIx64 " reason %u %s source 0x%x\n", f->page,
		       f->reason, f->read ? "read" : "write", f->source);
}

static void check_fault(struct tally *t, const struct layout *l, const struct access *a,
			const struct rig_fault *f)
{
	unsigned int reason = a->write ? REASON_NO_WRITE : REASON_NO_READ;

	if (a->hole && a->hole_iova >= l->limit)
		reason = REASON_BEYOND_WIDTH;
	if (!a->hole && f->valid)
		describe(t, l, a, "faulted, but is mapped", f);
	else if (a->hole && !f->valid)
		describe(t, l, a, "passed, but must fault", f);
	else if (f->valid && (f->page != (a->hole_iova & ~0xfffULL) || f->read == a->write ||
			      f->reason != reason || f->source != RIG_SOURCE))
		describe(t, l, a, "the fault record is not the one expected", f);
}

/* Before a read, put a nonce where the bytes are; before a write, something else than what will
 * come. */
static void set_memory(const struct access *a, struct rng *rng)
{
	unsigned int i;

	for (i = 0; i < a->len; i++)
		if (a->byte[i].host)
			*a->byte[i].host = (uint8_t)rng_next(rng);
}

static void copy_memory(const struct access *a, uint8_t *to)
{
	unsigned int i;

	for (i = 0; i < a->len; i++)
		to[i] = a->byte[i].host ? *a->byte[i].host : 0;
}

/*
 * One access. @slot holds the device's bytes; a read changes it to what the device must hold now.
 * Two pages of one access may have the same output address, so memory is compared with a replay of
 * the write, byte by byte.
 */
static int run_access(struct rig *r, const struct layout *l, struct rng *rng, struct access *a,
		      unsigned int idx, uint8_t *slot, struct tally *t)
{
	uint8_t seen[RIG_SLOT], want[RIG_SLOT];
	struct rig_fault fault;
	unsigned int i;
	int rc;

	set_memory(a, rng);
	copy_memory(a, want);
	/* QEMU refuses from its cache without leaving a record; only a walk leaves one. */
	if (a->denied)
		rig_flush_later(r);
	rc = rig_dma(r, a->iova, idx, a->len, a->write, &fault);
	if (rc)
		return rc;
	copy_memory(a, seen);
	if (a->write) {
		/* a byte that aliases a later one shows the later value: replay in order, then look
		 */
		for (i = 0; i < a->len; i++)
			if (a->byte[i].ok)
				*a->byte[i].host = slot[i];
		copy_memory(a, want);
	}
	if (memcmp(seen, want, a->len))
		describe(t, l, a, "memory is not as it should be afterwards", &fault);
	if (!a->write)
		for (i = 0; i < a->len; i++)
			slot[i] = a->byte[i].ok ? *a->byte[i].host : 0;
	check_fault(t, l, a, &fault);
	if (a->hole)
		t->holes++;
	else
		t->mapped++;
	return 0;
}

static int run_batch(struct rig *r, const struct layout *l, struct rng *rng, struct access *a,
		     unsigned int n, struct tally *t)
{
	uint8_t want[RIG_SLOTS * RIG_SLOT], seen[RIG_SLOTS * RIG_SLOT];
	unsigned int i;
	int rc;

	for (i = 0; i < sizeof(want); i++)
		want[i] = (uint8_t)rng_next(rng);
	rc = rig_load_buffer(r, want);
	for (i = 0; !rc && i < n; i++)
		rc = run_access(r, l, rng, &a[i], i, want + i * RIG_SLOT, t);
	if (!rc)
		rc = rig_save_buffer(r, seen);
	for (i = 0; !rc && i < n; i++)
		if (memcmp(want + i * RIG_SLOT, seen + i * RIG_SLOT, RIG_SLOT))
			describe(t, l, &a[i], "the device holds other bytes than expected", NULL);
	return rc;
}

int judge(struct rig *r, const struct layout *l, struct rng *rng, unsigned long n, struct tally *t)
{
	struct access batch[RIG_SLOTS];
	unsigned long k = 0, unseen = 0;
	int rc = 0;

	while (!rc && n) {
		unsigned int have = 0;

		while (have < RIG_SLOTS && have < n && unseen < 100000) {
			struct access a = pick(l, rng, k++);

			if (!usable(&a))
				continue;
			if (expect(r, l, &a))
				batch[have++] = a;
			else
				unseen++;
		}
		if (!have)
			break;
		rc = run_batch(r, l, rng, batch, have, t);
		n -= have;
	}
	t->unseen += unseen;
	return rc;
}
