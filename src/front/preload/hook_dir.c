// SPDX-License-Identifier: MIT
/* Hooks: directories. */
#include "front/preload/preload.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <string.h>

API DIR *opendir(const char *path)
{
	struct path p;

	path_resolve(AT_FDCWD, path, &p);
	return NEXT(opendir)(p.name);
}

/* Our nodes are plain files in the picture: say character device where a type is given. */
static void fix_type(DIR *d, const char *name, unsigned char *type)
{
	if (*type == DT_REG && (!strncmp(name, "vfio", 4) || !strcmp(name, "iommu")) &&
	    path_in_picture(dirfd(d), NULL, "/dev"))
		*type = DT_CHR;
}

API struct dirent *readdir(DIR *d)
{
	struct dirent *e = NEXT(readdir)(d);

	if (e)
		fix_type(d, e->d_name, &e->d_type);
	return e;
}

API struct dirent64 *readdir64(DIR *d)
{
	struct dirent64 *e = NEXT(readdir64)(d);

	if (e)
		fix_type(d, e->d_name, &e->d_type);
	return e;
}

static void fix_list(struct dirent **list, int n, const struct path *p)
{
	const char *root = preload_root_now();
	size_t len;

	if (!root || p->kind == PATH_HOST)
		return;
	len = strlen(root);
	if (strncmp(p->name + len, "/dev", 4))
		return;
	for (int i = 0; i < n; i++)
		if (list[i]->d_type == DT_REG)
			list[i]->d_type = DT_CHR;
}

API int scandir(const char *path, struct dirent ***list, int (*filter)(const struct dirent *),
		int (*cmp)(const struct dirent **, const struct dirent **))
{
	struct path p;
	int n;

	path_resolve(AT_FDCWD, path, &p);
	n = NEXT(scandir)(p.name, list, filter, cmp);
	if (n > 0)
		fix_list(*list, n, &p);
	return n;
}

API int scandir64(const char *path, struct dirent64 ***list, int (*filter)(const struct dirent64 *),
		  int (*cmp)(const struct dirent64 **, const struct dirent64 **))
{
	struct path p;
	int n;

	path_resolve(AT_FDCWD, path, &p);
	n = NEXT(scandir64)(p.name, list, filter, cmp);
	if (n > 0)
		fix_list((struct dirent **)*list, n, &p);
	return n;
}

static void strip_all(char **names, size_t from, size_t n)
{
	for (size_t i = from; i < from + n; i++)
		if (names[i])
			path_strip(names[i]);
}

API int glob(const char *pattern, int flags, int (*errfn)(const char *, int), glob_t *g)
{
	size_t before = flags & GLOB_APPEND ? g->gl_pathc : 0;
	size_t offs = flags & GLOB_DOOFFS ? g->gl_offs : 0;
	struct path p;
	int rc;

	path_resolve(AT_FDCWD, pattern, &p);
	rc = NEXT(glob)(p.name, flags, errfn, g);
	if (!rc && p.kind != PATH_HOST)
		strip_all(g->gl_pathv, offs + before, g->gl_pathc - before);
	return rc;
}

API int glob64(const char *pattern, int flags, int (*errfn)(const char *, int), glob64_t *g)
{
	size_t before = flags & GLOB_APPEND ? g->gl_pathc : 0;
	size_t offs = flags & GLOB_DOOFFS ? g->gl_offs : 0;
	struct path p;
	int rc;

	path_resolve(AT_FDCWD, pattern, &p);
	rc = NEXT(glob64)(p.name, flags, errfn, g);
	if (!rc && p.kind != PATH_HOST)
		strip_all(g->gl_pathv, offs + before, g->gl_pathc - before);
	return rc;
}
