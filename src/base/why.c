// SPDX-License-Identifier: MIT
/* Why a call was refused: one sentence per thread. */
#include "base/why.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char reason[WHY_MAX];

int refuse(int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	return -err;
}

int why_add(int rc, const char *fmt, ...)
{
	size_t n = strlen(reason);
	va_list ap;

	if (n + 3 >= sizeof(reason))
		return rc;
	if (n) {
		memcpy(reason + n, ", ", 3);
		n += 2;
	}
	va_start(ap, fmt);
	vsnprintf(reason + n, sizeof(reason) - n, fmt, ap);
	va_end(ap);
	return rc;
}

const char *why_last(void)
{
	return reason;
}

void why_clear(void)
{
	reason[0] = 0;
}
