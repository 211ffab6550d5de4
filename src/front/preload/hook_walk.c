// SPDX-License-Identifier: MIT
/* Hooks: walks over trees. The program's function gets the host's names and our nodes' types. */
#include "front/preload/preload.h"

#include <fcntl.h>
#include <ftw.h>
#include <string.h>

/* The walk under way in this thread, when it is below a replaced tree. */
static _Thread_local struct {
	__nftw_func_t nftw;
	__ftw_func_t ftw;
} walk;

_Static_assert(sizeof(struct stat) == sizeof(struct stat64), "one function serves both");

/* The name without the run folder; @st may be that of a node. */
static const char *host_name(const char *path, const struct stat *st, struct stat *fixed)
{
	const char *name = path + strlen(preload_root_now());
	struct path p;

	*fixed = *st;
	path_resolve(AT_FDCWD, name, &p);
	path_fix_stat(&p, fixed);
	return name;
}

static int give_nftw(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	struct FTW here = *ftw;
	struct stat fixed;
	const char *name = host_name(path, st, &fixed);

	here.base -= (int)(name - path);
	return walk.nftw(name, &fixed, type, &here);
}

static int give_ftw(const char *path, const struct stat *st, int type)
{
	struct stat fixed;
	const char *name = host_name(path, st, &fixed);

	return walk.ftw(name, &fixed, type);
}

API int nftw(const char *path, __nftw_func_t fn, int fds, int flags)
{
	__nftw_func_t outer = walk.nftw;
	struct path p;
	int rc;

	path_resolve(AT_FDCWD, path, &p);
	if (p.kind == PATH_HOST)
		return NEXT(nftw)(path, fn, fds, flags);
	walk.nftw = fn;
	rc = NEXT(nftw)(p.name, give_nftw, fds, flags);
	walk.nftw = outer;
	return rc;
}

API int ftw(const char *path, __ftw_func_t fn, int fds)
{
	__ftw_func_t outer = walk.ftw;
	struct path p;
	int rc;

	path_resolve(AT_FDCWD, path, &p);
	if (p.kind == PATH_HOST)
		return NEXT(ftw)(path, fn, fds);
	walk.ftw = fn;
	rc = NEXT(ftw)(p.name, give_ftw, fds);
	walk.ftw = outer;
	return rc;
}

API int nftw64(const char *path, __nftw64_func_t fn, int fds, int flags)
{
	return nftw(path, (__nftw_func_t)fn, fds, flags);
}

API int ftw64(const char *path, __ftw64_func_t fn, int fds)
{
	return ftw(path, (__ftw_func_t)fn, fds);
}
