/* SPDX-License-Identifier: MIT */
/*
 * What should every IOVA translate to?
 *
 * A list of ranges, searched one by one: slow, obvious, and sharing nothing with the page-table
 * code.
 */
#ifndef ORACLE_LAYOUT_H
#define ORACLE_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "rig.h"

enum { PERM_R = 1, PERM_W = 2 };

struct range {
	uint64_t start, last; /* IOVA, inclusive */
	uint64_t oa;          /* output address of start */
	unsigned int perm;
};

struct layout {
	uint64_t limit; /* first IOVA that the table cannot translate */
	struct range *r;
	size_t n, cap;
};

struct rng {
	uint64_t state;
};

uint64_t rng_next(struct rng *rng);
/** rng_below() - uniform in [0, n); n > 0 */
uint64_t rng_below(struct rng *rng, uint64_t n);

void layout_init(struct layout *l, unsigned int levels);
void layout_finish(struct layout *l);

/** layout_find() - the range that holds @iova, or NULL */
const struct range *layout_find(const struct layout *l, uint64_t iova);
/** layout_overlaps() - does anything in [start, last] translate? */
bool layout_overlaps(const struct layout *l, uint64_t start, uint64_t last);

/** layout_map() - add a range; nothing may be mapped there */
void layout_map(struct layout *l, uint64_t start, uint64_t last, uint64_t oa, unsigned int perm);
/** layout_unmap() - remove what is mapped in [start, last], cutting ranges where needed */
void layout_unmap(struct layout *l, uint64_t start, uint64_t last);

/**
 * layout_parse() - read lines "IOVA OA LEN r|w|rw" (numbers as in C; '#' begins a comment)
 *
 * Return: 0; -EINVAL at a line that makes no sense (reported on stderr)
 */
int layout_parse(struct layout *l, FILE *f);

/**
 * layout_random() - fill an empty layout with @nmaps mappings, writing the script that makes them
 * @oas:  where output addresses may lie
 *
 * Leaves of 4K, 2M and 1G with every permission, neighbours, both ends of the address space, and
 * unmaps. An unmap begins and ends where a leaf does.
 */
void layout_random(struct layout *l, struct rng *rng, FILE *script, unsigned int nmaps,
		   const struct rig_mem *oas, unsigned int noas);

/* Accesses that the interrupt window swallows are never translated. */
#define MSI_START 0xfee00000ULL
#define MSI_LAST  0xfeefffffULL

#endif
