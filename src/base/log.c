// SPDX-License-Identifier: MIT
/* Log: one sink for the process, and our own mistakes. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/lock.h"

static struct mtx lock = MTX_INIT(LOCK_LOG);
static log_sink_fn sink;
static void *sink_arg;

void log_set_sink(log_sink_fn fn, void *arg)
{
	mtx_lock(&lock);
	sink = fn;
	sink_arg = arg;
	mtx_unlock(&lock);
}

void log_line(enum log_level level, const char *fmt, ...)
{
	char line[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	mtx_lock(&lock);
	if (sink)
		sink(sink_arg, level, line);
	mtx_unlock(&lock);
}

bool bug_at(const char *file, int line, const char *what)
{
#ifndef NDEBUG
	fprintf(stderr, "uiommufd: bug at %s:%d: %s\n", file, line, what);
	abort();
#else
	log_line(LOG_ERROR, "bug at %s:%d: %s", file, line, what);
	return true;
#endif
}
