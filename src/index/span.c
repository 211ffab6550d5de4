// SPDX-License-Identifier: MIT
/* Spans: how is a range cut where the nodes of one tree, or of two, begin and end? */
#include "index/span.h"

#include "base/bits.h"

/* The span at @pos, from the nodes from s->next on. None of those before it reaches @pos. */
static void span_at(struct span *s, uint64_t pos)
{
	s->start = pos;
	s->used = s->next && s->next->start <= pos;
	if (!s->used) {
		s->last = s->next ? s->next->start - 1 : s->limit;
		return;
	}
	s->last = pos;
	/* Swallow what overlaps or adjoins. s->last + 1 does not wrap: it is below the limit. */
	while (s->next && s->last < s->limit && s->next->start <= s->last + 1) {
		s->last = max_u64(s->last, min_u64(s->next->last, s->limit));
		s->next = itree_next(s->next, pos, s->limit);
	}
	/* At the limit the nodes that are left do not matter any more. */
}

void span_first(struct span *s, const struct itree *tree, uint64_t start, uint64_t last)
{
	s->limit = last;
	s->tree = tree;
	s->done = false;
	s->next = itree_first(tree, start, last);
	span_at(s, start);
}

void span_next(struct span *s)
{
	if (s->last >= s->limit)
		s->done = true;
	else
		span_at(s, s->last + 1);
}

void span_refresh(struct span *s)
{
	s->next = s->last >= s->limit ? NULL : itree_first(s->tree, s->last + 1, s->limit);
}

/* The span at @pos, which both s->a and s->b contain. */
static void span2_at(struct span2 *s, uint64_t pos)
{
	s->start = pos;
	if (s->a.used) {
		s->kind = SPAN_A;
		s->last = s->a.last;
		return;
	}
	s->kind = s->b.used ? SPAN_B : SPAN_HOLE;
	s->last = min_u64(s->a.last, s->b.last);
}

void span2_first(struct span2 *s, const struct itree *a, const struct itree *b, uint64_t start,
		 uint64_t last)
{
	s->limit = last;
	s->done = false;
	span_first(&s->a, a, start, last);
	span_first(&s->b, b, start, last);
	span2_at(s, start);
}

void span2_next(struct span2 *s)
{
	if (s->last >= s->limit) {
		s->done = true;
		return;
	}
	while (s->a.last <= s->last)
		span_next(&s->a);
	while (s->b.last <= s->last)
		span_next(&s->b);
	span2_at(s, s->last + 1);
}

void span2_refresh(struct span2 *s)
{
	if (s->last >= s->limit)
		return;
	/* Both begin anew behind the current span; make them end at it until span2_next(). */
	s->a.last = s->b.last = s->last;
	span_refresh(&s->a);
	span_refresh(&s->b);
}

bool span_covered(const struct itree *tree, uint64_t start, uint64_t last)
{
	struct span s;

	span_first(&s, tree, start, last);
	return s.used && s.last == last;
}
