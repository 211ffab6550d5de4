// SPDX-License-Identifier: MIT
/* Hooks: extended attributes by name (what `ls -l` asks for). */
#include "front/preload/preload.h"

#include <fcntl.h>
#include <sys/xattr.h>

API ssize_t getxattr(const char *path, const char *name, void *val, size_t size)
{
	struct path p;

	path_resolve(AT_FDCWD, path, &p);
	return NEXT(getxattr)(p.name, name, val, size);
}

API ssize_t lgetxattr(const char *path, const char *name, void *val, size_t size)
{
	struct path p;

	path_resolve(AT_FDCWD, path, &p);
	return NEXT(lgetxattr)(p.name, name, val, size);
}

API ssize_t listxattr(const char *path, char *list, size_t size)
{
	struct path p;

	path_resolve(AT_FDCWD, path, &p);
	return NEXT(listxattr)(p.name, list, size);
}

API ssize_t llistxattr(const char *path, char *list, size_t size)
{
	struct path p;

	path_resolve(AT_FDCWD, path, &p);
	return NEXT(llistxattr)(p.name, list, size);
}
