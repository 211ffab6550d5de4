// SPDX-License-Identifier: MIT
/* What is in a table? Visiting, counting and examining it; nothing here is in a hurry. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/pool.h"
#include "base/why.h"
#include "pgtable/fmt.h"

typedef unsigned long long ull;

/* ---- visiting ---- */

struct visit {
	const struct pt *t;
	uint64_t first, last; /* va */
	unsigned top;
	pt_visit_fn fn;
	void *arg;
};

static int visit_table(const struct visit *v, uint64_t addr, unsigned level, uint64_t base);

static void describe(const struct visit *v, struct pt_node *n, uint64_t va)
{
	const struct pt *t = v->t;
	const struct pt_fmt *f = t->format->fmt;
	uint64_t size = 1ull << fmt_isz(f, t, n->level);

	n->kind = PT_NODE_JUNK;
	if (f->present(n->entry)) {
		n->prot = f->prot(t, n->entry, f->is_table(t, n->entry, n->level));
		if (f->malformed(t, n->entry, n->level)) {
			n->kind = PT_NODE_BAD;
			n->problem = "has reserved bits set";
		} else if (f->is_table(t, n->entry, n->level)) {
			n->kind = PT_NODE_TABLE;
			n->addr = f->table_addr(t, n->entry);
			if (!pt_table_at(t, n->addr)) {
				n->kind = PT_NODE_BAD;
				n->problem = "points outside the table memory";
			}
		} else {
			n->kind = PT_NODE_LEAF;
			n->size_lg2 = (uint8_t)f->leaf_lg2(t, n->entry, n->level);
			size = max_u64(size, 1ull << n->size_lg2);
			va = align_down(va, size);
			n->addr = f->leaf_pa(t, n->entry, n->level, va);
		}
	}
	n->iova = fmt_iova(f, t, va);
	n->last = n->iova + (size - 1);
}

static int visit_item(const struct visit *v, struct pt_node *n, uint64_t va, uint64_t *items)
{
	const struct pt_fmt *f = v->t->format->fmt;
	int rc;

	describe(v, n, va);
	if (n->kind == PT_NODE_LEAF && n->size_lg2 > fmt_isz(f, v->t, n->level)) {
		/* one entry of several items is shown once */
		unsigned isz = fmt_isz(f, v->t, n->level);

		*items =
			(1ull << (n->size_lg2 - isz)) - ((va & ((1ull << n->size_lg2) - 1)) >> isz);
	}
	rc = v->fn(v->arg, n);
	if (!rc && n->kind == PT_NODE_TABLE)
		rc = visit_table(v, n->addr, n->level - 1, va);
	return rc == PT_VISIT_SKIP ? 0 : rc;
}

static int visit_table(const struct visit *v, uint64_t addr, unsigned level, uint64_t base)
{
	const struct pt *t = v->t;
	const struct pt_fmt *f = t->format->fmt;
	unsigned isz = fmt_isz(f, t, level);
	uint64_t start = max_u64(base, v->first);
	uint64_t stop = min_u64(base | fmt_span_mask(f, t, level, v->top), v->last);
	_Atomic uint64_t *table = pt_table_at(t, addr);
	uint64_t i, n;

	if (start > stop)
		return 0;
	i = (start - base) >> isz;
	for (; i <= (stop - base) >> isz; i += n) {
		struct pt_node node = { .table = addr, .index = (uint32_t)i, .level = level };
		int rc;

		n = 1;
		node.entry = fmt_load(f, &table[i]);
		if (!node.entry)
			continue;
		rc = visit_item(v, &node, base + (i << isz), &n);
		if (rc)
			return rc;
	}
	return 0;
}

/* The part of [first, last] with the same sign, if there is any. */
static int visit_part(const struct pt *t, uint64_t first, uint64_t last, uint64_t low,
		      uint64_t high, pt_visit_fn fn, void *arg)
{
	uint64_t word = pt_top_word(t), mask = UINT64_MAX >> (64 - t->width);
	struct visit v = { .t = t, .top = pt_top_level(word), .fn = fn, .arg = arg };

	if (!ranges_meet(first, last, low, high))
		return 0;
	v.first = max_u64(first, low) & mask;
	v.last = min_u64(last, high) & mask;
	return visit_table(&v, pt_top_addr(word), v.top, 0);
}

int pt_visit(const struct pt *t, uint64_t first, uint64_t last, pt_visit_fn fn, void *arg)
{
	uint64_t mask = UINT64_MAX >> (64 - t->width);
	int rc;

	if (!t->format->fmt->sign_extend)
		return visit_part(t, first, last, 0, mask, fn, arg);
	rc = visit_part(t, first, last, 0, mask >> 1, fn, arg);
	return rc ? rc : visit_part(t, first, last, ~(mask >> 1), UINT64_MAX, fn, arg);
}

struct leaf_visit {
	pt_leaf_fn fn;
	void *arg;
};

static int leaf_node(void *arg, const struct pt_node *n)
{
	const struct leaf_visit *v = arg;
	struct pt_leaf leaf = { .iova = n->iova,
				.pa = n->addr,
				.prot = n->prot,
				.level = n->level,
				.size_lg2 = n->size_lg2 };

	return n->kind == PT_NODE_LEAF ? v->fn(v->arg, &leaf) : 0;
}

int pt_for_each_leaf(const struct pt *t, uint64_t first, uint64_t last, pt_leaf_fn fn, void *arg)
{
	struct leaf_visit v = { fn, arg };

	return pt_visit(t, first, last, leaf_node, &v);
}

/* ---- counting ---- */

struct count {
	const struct pt *t;
	struct pt_stats *s;
};

static int count_node(void *arg, const struct pt_node *n)
{
	struct count *c = arg;

	if (n->kind == PT_NODE_TABLE) {
		c->s->tables[n->level - 1]++;
		c->s->table_bytes += c->t->table_bytes;
	} else if (n->kind == PT_NODE_LEAF) {
		c->s->leaves[n->size_lg2]++;
		c->s->bytes += 1ull << n->size_lg2;
	}
	return 0;
}

void pt_stats_get(const struct pt *t, struct pt_stats *s)
{
	struct count c = { t, s };

	*s = (struct pt_stats){ .table_bytes = t->root_bytes };
	s->tables[pt_levels(t) - 1] = 1;
	pt_visit(t, 0, UINT64_MAX, count_node, &c);
}

/* ---- examining ---- */

/* Addresses of the tables met so far: open addressing, 0 is free, at most half full. */
struct seen {
	uint64_t *slot;
	size_t size, used;
};

struct lint {
	const struct pt *t;
	struct seen seen;
	pt_report_fn report;
	void *arg;
	long problems;
};

static uint64_t *seen_slot(uint64_t *slot, size_t size, uint64_t addr)
{
	size_t i = (size_t)((addr >> 6) * 0x9e3779b97f4a7c15ull >> 20) & (size - 1);

	while (slot[i] && slot[i] != addr)
		i = (i + 1) & (size - 1);
	return &slot[i];
}

/* 1: new; 0: was there; -ENOMEM. */
static int seen_add(struct seen *s, uint64_t addr)
{
	uint64_t *p;

	if (s->used * 2 >= s->size) {
		size_t size = s->size ? s->size * 2 : 64;
		uint64_t *slot = mem_zalloc(size * sizeof(*slot));

		if (!slot)
			return refuse(ENOMEM, "no memory to examine %zu page tables", s->used);
		for (size_t i = 0; i < s->size; i++) {
			if (s->slot[i])
				*seen_slot(slot, size, s->slot[i]) = s->slot[i];
		}
		mem_free(s->slot);
		s->slot = slot;
		s->size = size;
	}
	p = seen_slot(s->slot, s->size, addr);
	if (*p)
		return 0;
	*p = addr;
	s->used++;
	return 1;
}

static void lint_report(struct lint *l, const char *fmt, ...) PRINTF(2, 3);

static void lint_report(struct lint *l, const char *fmt, ...)
{
	char text[WHY_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	l->problems++;
	if (l->report)
		l->report(l->arg, text);
}

static int lint_node(void *arg, const struct pt_node *n)
{
	struct lint *l = arg;
	int rc;

	if (n->kind == PT_NODE_BAD || n->kind == PT_NODE_JUNK)
		lint_report(l, "table 0x%llx[%u] = 0x%llx (level %u, iova 0x%llx) %s",
			    (ull)n->table, n->index, (ull)n->entry, n->level, (ull)n->iova,
			    n->problem ? n->problem : "is not present, yet not zero");
	if (n->kind != PT_NODE_TABLE)
		return 0;
	rc = seen_add(&l->seen, n->addr);
	if (rc)
		return rc < 0 ? rc : 0;
	lint_report(l,
		    "table 0x%llx is reached twice, the second time through 0x%llx[%u] "
		    "(level %u, iova 0x%llx)",
		    (ull)n->addr, (ull)n->table, n->index, n->level, (ull)n->iova);
	return PT_VISIT_SKIP;
}

long pt_lint(const struct pt *t, pt_report_fn report, void *arg)
{
	struct lint l = { .t = t, .report = report, .arg = arg };
	uint64_t n = atomic_load_explicit(&t->ntables, memory_order_relaxed);
	int rc = seen_add(&l.seen, pt_root(t));

	if (rc >= 0)
		rc = pt_visit(t, 0, UINT64_MAX, lint_node, &l);
	if (rc >= 0 && !t->borrowed && l.seen.used != n)
		lint_report(&l, "%llu tables were allocated and %zu can be reached", (ull)n,
			    l.seen.used);
	mem_free(l.seen.slot);
	return rc < 0 ? rc : l.problems;
}

static void first_problem(void *arg, const char *problem)
{
	char *first = arg;

	if (!first[0])
		snprintf(first, WHY_MAX, "%s", problem);
}

int pt_check(const struct pt *t)
{
	char first[WHY_MAX] = "";
	long n = pt_lint(t, first_problem, first);

	if (n > 0)
		return refuse(EUCLEAN, "%s", first);
	return (int)n;
}
