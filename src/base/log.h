/* SPDX-License-Identifier: MIT */
/*
 * Log: lines for whoever embeds us. The library prints nothing by itself; without a sink a line
 * is dropped. Never call it under a lock ranked inner to LOCK_IOVA.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/compiler.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

typedef void (*log_sink_fn)(void *arg, enum log_level level, const char *line);

void log_set_sink(log_sink_fn fn, void *arg);
void log_line(enum log_level level, const char *fmt, ...) PRINTF(2, 3);

#endif
