// SPDX-License-Identifier: MIT
/* Hooks: links, absolute names, the current directory. */
#include "front/preload/preload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What /proc/self/fd/N shows for one of our files, cut to @size; -1 when it is not one. */
static ssize_t own_link(int dirfd, const char *path, char *buf, size_t size)
{
	int fd = path_proc_fd(dirfd, path);
	char name[64];
	struct file *f;
	size_t n;

	if (fd < 0 || !preload_front_now())
		return -1;
	f = file_get_verified(preload_front_now(), fd);
	if (!f)
		return -1;
	n = strlen(file_path(f, name, sizeof(name)));
	file_put(f);
	if (n > size)
		n = size;
	memcpy(buf, name, n);
	return (ssize_t)n;
}

static NOINLINE ssize_t link_slow(int dirfd, const char *path, char *buf, size_t size)
{
	struct path p;
	ssize_t n = own_link(dirfd, path, buf, size);

	if (n >= 0)
		return n;
	path_resolve(dirfd, path, &p);
	n = NEXT(readlinkat)(p.dirfd, p.name, buf, size);
	/* Absolute targets are names of /proc: links of the picture itself are relative. */
	return n > 0 ? (ssize_t)path_strip_n(buf, (size_t)n) : n;
}

static ssize_t link_at(int dirfd, const char *path, char *buf, size_t size)
{
	if (likely(path_is_plain(dirfd, path)))
		return NEXT(readlinkat)(dirfd, path, buf, size);
	return link_slow(dirfd, path, buf, size);
}

API ssize_t readlink(const char *path, char *buf, size_t size)
{
	return link_at(AT_FDCWD, path, buf, size);
}

API ssize_t readlinkat(int dirfd, const char *path, char *buf, size_t size)
{
	return link_at(dirfd, path, buf, size);
}

ssize_t __readlink_chk(const char *path, char *buf, size_t n, size_t size);
ssize_t __readlinkat_chk(int dirfd, const char *path, char *buf, size_t n, size_t size);
char *__realpath_chk(const char *path, char *out, size_t size);
char *__getcwd_chk(char *buf, size_t n, size_t size);

API ssize_t __readlink_chk(const char *path, char *buf, size_t n, size_t size)
{
	if (n > size)
		return NEXT(__readlink_chk)(path, buf, n, size);
	return readlink(path, buf, n);
}

API ssize_t __readlinkat_chk(int dirfd, const char *path, char *buf, size_t n, size_t size)
{
	if (n > size)
		return NEXT(__readlinkat_chk)(dirfd, path, buf, n, size);
	return readlinkat(dirfd, path, buf, n);
}

API char *realpath(const char *path, char *out)
{
	struct path p;
	char own[64];
	ssize_t n = own_link(AT_FDCWD, path, own, sizeof(own) - 1);
	char *r;

	if (n >= 0) {
		own[n] = 0;
		return out ? strcpy(out, own) : strdup(own);
	}
	path_resolve(AT_FDCWD, path, &p);
	r = NEXT(realpath)(p.name, out);
	if (r)
		path_strip(r);
	return r;
}

API char *__realpath_chk(const char *path, char *out, size_t size)
{
	if (size < PATH_MAX)
		return NEXT(__realpath_chk)(path, out, size);
	return realpath(path, out);
}

API char *canonicalize_file_name(const char *path)
{
	return realpath(path, NULL);
}

API int chdir(const char *path)
{
	struct path p;

	path_resolve(AT_FDCWD, path, &p);
	return NEXT(chdir)(p.name);
}

API char *getcwd(char *buf, size_t size)
{
	char *r = NEXT(getcwd)(buf, size);

	if (r)
		path_strip(r);
	return r;
}

API char *__getcwd_chk(char *buf, size_t n, size_t size)
{
	char *r = NEXT(__getcwd_chk)(buf, n, size);

	if (r)
		path_strip(r);
	return r;
}

API char *get_current_dir_name(void)
{
	char *r = NEXT(get_current_dir_name)();

	if (r)
		path_strip(r);
	return r;
}
