// SPDX-License-Identifier: MIT
/* Writing a tree of plain files: how its directories, files and links are made. */
#include "vfio/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/fault.h"
#include "base/sys.h"
#include "base/why.h"

static void fail(struct tree *t, int err, const char *what, const char *path)
{
	t->rc = refuse(err, "%s %s cannot be made", what, path);
}

static bool stop(struct tree *t, const char *what, const char *path)
{
	if (!t->rc && fault_point())
		fail(t, ENOMEM, what, path);
	return t->rc;
}

/* Root, current directory and @name; false when that is too long. */
static bool full(struct tree *t, const char *name, char *out, size_t size)
{
	int n = snprintf(out, size, "%s%s%s%s", t->root, t->dir, name[0] ? "/" : "", name);

	if (n >= 0 && (size_t)n < size)
		return true;
	fail(t, ENAMETOOLONG, "the name", name);
	return false;
}

static void make_dirs(struct tree *t, char *path)
{
	for (char *p = path + strlen(t->root) + 1; !t->rc; p++) {
		char was = *p;
		long rc;

		if (was && was != '/')
			continue;
		*p = 0;
		rc = sys_call(SYS_mkdirat, AT_FDCWD, (long)path, 0755, 0, 0, 0);
		if (rc && rc != -EEXIST)
			fail(t, (int)-rc, "directory", path);
		*p = was;
		if (!was)
			return;
	}
}

void tree_dir(struct tree *t, const char *fmt, ...)
{
	char path[TREE_PATH * 2];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->dir, sizeof(t->dir), fmt, ap);
	va_end(ap);
	if ((size_t)n >= sizeof(t->dir) && !t->rc)
		fail(t, ENAMETOOLONG, "directory", t->dir);
	if (!stop(t, "directory", t->dir) && full(t, "", path, sizeof(path)))
		make_dirs(t, path);
}

void tree_mkdir(struct tree *t, const char *name)
{
	char path[TREE_PATH * 2];

	if (!stop(t, "directory", name) && full(t, name, path, sizeof(path)))
		make_dirs(t, path);
}

static int create(struct tree *t, const char *name)
{
	char path[TREE_PATH * 2];
	int fd;

	if (stop(t, "file", name) || !full(t, name, path, sizeof(path)))
		return -1;
	fd = sys_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		fail(t, -fd, "file", path);
	return fd;
}

void tree_bytes(struct tree *t, const char *name, const void *data, uint64_t len)
{
	int fd = create(t, name);
	long rc;

	if (fd < 0)
		return;
	rc = data ? sys_write(fd, data, (size_t)len) : sys_ftruncate(fd, len);
	if (rc < 0 || (data && (uint64_t)rc != len))
		fail(t, rc < 0 ? (int)-rc : ENOSPC, "file", name);
	sys_close(fd);
}

void tree_text(struct tree *t, const char *name, const char *fmt, ...)
{
	char text[2048];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text)) {
		if (!t->rc)
			fail(t, EOVERFLOW, "the text of", name);
		return;
	}
	tree_bytes(t, name, text, (uint64_t)n);
}

/* "../../x" from the directory @from to @to, both absolute inside the tree. */
static bool relative(const char *from, const char *to, char *out, size_t size)
{
	size_t common = 0, n = 0;

	for (size_t i = 0;; i++) {
		bool end_from = !from[i] || from[i] == '/', end_to = !to[i] || to[i] == '/';

		if (end_from && end_to)
			common = i;
		if (!from[i] || !to[i] || from[i] != to[i])
			break;
	}
	for (const char *p = from + common; *p; p++)
		if (*p == '/') {
			if (n + 3 >= size)
				return false;
			memcpy(out + n, "../", 3);
			n += 3;
		}
	to += common + (to[common] == '/');
	if (n + strlen(to) + 1 > size)
		return false;
	memcpy(out + n, to, strlen(to) + 1);
	if (!*to && n)
		out[n - 1] = 0; /* an ancestor: no slash at the end */
	return true;
}

void tree_link(struct tree *t, const char *name, const char *fmt, ...)
{
	char target[TREE_PATH], rel[TREE_PATH], path[TREE_PATH * 2];
	va_list ap;
	long rc;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(target, sizeof(target), fmt, ap);
	va_end(ap);
	if (stop(t, "link", name) || !full(t, name, path, sizeof(path)))
		return;
	if ((size_t)n >= sizeof(target) || !relative(t->dir, target, rel, sizeof(rel))) {
		fail(t, ENAMETOOLONG, "link", name);
		return;
	}
	rc = sys_call(SYS_symlinkat, (long)rel, AT_FDCWD, (long)path, 0, 0, 0);
	if (rc && rc != -EEXIST)
		fail(t, (int)-rc, "link", path);
}
