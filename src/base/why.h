/* SPDX-License-Identifier: MIT */
/*
 * Why a call was refused, in words.
 *
 * Every refusal is made with refuse(): it stores one sentence, without a final full stop, for
 * this thread and returns the negative errno. The front end shows it (--explain) or hands it out
 * (uiommufd_last_reason()). Only the failing path pays. Name the number that is wrong and the
 * limit it broke: "iova 0x1800 is not a multiple of the ioas's alignment 0x1000".
 */
#ifndef BASE_WHY_H
#define BASE_WHY_H

#include "base/compiler.h"

#define WHY_MAX 320

/* Stores the reason of this thread and returns -@err. */
int refuse(int err, const char *fmt, ...) PRINTF(2, 3) COLD;

/* Appends ", "-separated context to the stored reason (who asked, on which object); returns @rc. */
int why_add(int rc, const char *fmt, ...) PRINTF(2, 3) COLD;

/* The last reason of this thread, "" when none. Valid until the thread's next refusal. */
const char *why_last(void);
void why_clear(void);

#endif
