/* SPDX-License-Identifier: MIT */
/*
 * Fault points: the one hook that tests have in production code.
 *
 * Every allocation and every step that can fail for a reason outside our control asks
 * fault_point() first and takes its failure path when it answers true. Unarmed it is one relaxed
 * load. Armed for this thread, the @nth point from now answers true (once), or it and all that
 * follow (persistent).
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include <stdatomic.h>

#include "base/compiler.h"

extern _Atomic uint32_t fault_armed; /* number of threads that have points armed */
bool fault_hit(const char *where);

#define fault_point() \
	(unlikely(atomic_load_explicit(&fault_armed, memory_order_relaxed)) && fault_hit(__func__))

/* Arms this thread: the @nth (from 1) point fails; every later one too when @persistent. */
void fault_arm(unsigned nth, bool persistent);

/* Disarms; returns how many points were passed since fault_arm(), *@fired whether one failed. */
unsigned fault_disarm(bool *fired);

/* Name of the function whose point failed last in this thread, NULL when none. */
const char *fault_last(void);

#endif
