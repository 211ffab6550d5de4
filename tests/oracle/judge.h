/* SPDX-License-Identifier: MIT */
/* Does the hardware do with our tables what the layout says? */
#ifndef ORACLE_JUDGE_H
#define ORACLE_JUDGE_H

#include <stdbool.h>

#include "layout.h"
#include "rig.h"

struct tally {
	unsigned long mapped; /* accesses every byte of which had to arrive */
	unsigned long holes;  /* accesses that had to fault, at least in part */
	unsigned long unseen; /* left out: the output address is not memory of the rig */
	unsigned long mismatches;
	bool quiet; /* count mismatches, describe none */
};

/**
 * judge() - make @n accesses through the attached table and compare
 *
 * Every range is entered at its first, last and a random byte, across both edges, just outside, and
 * at addresses that differ in one bit; then come random holes, the end of the address space, and
 * more of the same. Reads must return the nonce that was put at the output address; writes must
 * bring theirs there; whatever may not pass must leave a fault record with the right page,
 * direction, reason and source, and change nothing.
 *
 * Return: 0, whatever was found (it is in @t); -errno when QEMU stopped answering
 */
int judge(struct rig *r, const struct layout *l, struct rng *rng, unsigned long n, struct tally *t);

#endif
