/* SPDX-License-Identifier: MIT */
/* The table of formats: which page-table formats are there, by name? */
#ifndef PGTABLE_FORMATS_H
#define PGTABLE_FORMATS_H

#include "base/compiler.h"

struct pt;
struct pt_config;
struct pt_gather;
struct pt_walk_result;
struct pt_fmt;

/* Told of [first, last], bytes of IOVA. */
typedef void (*pt_dirty_fn)(void *arg, uint64_t first, uint64_t last);

/* Formats whose walk pt_fast.h inlines have an id; others have 0. */
enum pt_format_id {
	PT_VTD = 1, /* Intel VT-d second stage */
};

struct pt_format {
	const char *name;
	const char *title; /* for people */
	enum pt_format_id id;
	uint8_t min_levels, max_levels, usual_levels;
	const struct pt_fmt *fmt; /* for code that may take its time */
	/*
	 * Fills the geometry (width, granule_lg2, bits, pgsizes, oa_*, root_bytes, table_bytes) of
	 * *@t from *@c, whose number of levels is already checked. 0 or -EINVAL.
	 */
	int (*setup)(struct pt *t, const struct pt_config *c, unsigned levels);
	int (*map)(struct pt *t, uint64_t iova, uint64_t pa, uint64_t len, unsigned prot,
		   struct pt_gather *g);
	size_t (*unmap)(struct pt *t, uint64_t iova, uint64_t len, struct pt_gather *g);
	int (*walk)(const struct pt *t, uint64_t iova, struct pt_walk_result *r);
	/* pt_dirty_read(); NULL: the format has no dirty bit. */
	uint64_t (*dirty)(struct pt *t, uint64_t iova, uint64_t len, unsigned flags, pt_dirty_fn fn,
			  void *arg);
};

/* NULL: no such format. */
const struct pt_format *pt_format_find(const char *name);

/* The @i-th format, NULL behind the last. */
const struct pt_format *pt_format_at(unsigned i);

#endif
