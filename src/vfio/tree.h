/* SPDX-License-Identifier: MIT */
/* Writing a tree of plain files: names are formatted, directories on the way are made. */
#ifndef VFIO_TREE_H
#define VFIO_TREE_H

#include "base/compiler.h"

#define TREE_PATH 512

/*
 * One tree under construction. The first failure is kept in rc and makes all later calls do
 * nothing, so that a caller checks once, at the end.
 */
struct tree {
	const char *root;
	int rc;
	char dir[TREE_PATH]; /* "" or "/sys/...": names below are relative to it */
};

/* Later names are in this directory, which is made. */
void tree_dir(struct tree *t, const char *fmt, ...) PRINTF(2, 3);
/* A directory below the current one. */
void tree_mkdir(struct tree *t, const char *name);
/* A file with this text. */
void tree_text(struct tree *t, const char *name, const char *fmt, ...) PRINTF(3, 4);
/* A file of @len bytes at @data; with NULL data: @len bytes of hole. */
void tree_bytes(struct tree *t, const char *name, const void *data, uint64_t len);
/*
 * A link @name in the current directory to @target, an absolute name inside the tree; written
 * relative, so that it also resolves where the tree lies.
 */
void tree_link(struct tree *t, const char *name, const char *fmt, ...) PRINTF(3, 4);

#endif
