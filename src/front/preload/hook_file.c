// SPDX-License-Identifier: MIT
/* Hooks: what takes bytes out of open files. Pages that a device has pinned stay the device's. */
#include "front/preload/preload.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#include "base/sys.h"
#include "mem/mm.h"

/*
 * [off, off + len) of the file is about to go. False: errno is set and the call must not be made.
 * What the kernel will refuse is not told: the device and the program must go on sharing it.
 */
static bool shrinking(int fd, uint64_t off, uint64_t len, int forbidden)
{
	int mode, seals, rc;

	if (likely(!vma_tracking()))
		return true;
	mode = sys_fcntl(fd, F_GETFL, 0);
	seals = sys_fcntl(fd, F_GET_SEALS, 0);
	if (mode < 0 || (mode & O_ACCMODE) == O_RDONLY || (seals > 0 && seals & forbidden))
		return true;
	rc = mm_file_shrinking(fd, off, len);
	if (likely(!rc))
		return true;
	errno = -rc;
	return false;
}

API int ftruncate(int fd, off_t len)
{
	struct file *f = unlikely(file_maybe(fd)) ? file_get_verified(preload_front_now(), fd)
						  : NULL;

	if (unlikely(f)) {
		file_put(f);
		errno = EINVAL;
		return -1;
	}
	if (len >= 0 && !shrinking(fd, (uint64_t)len, UINT64_MAX, F_SEAL_SHRINK))
		return -1;
	return NEXT(ftruncate)(fd, len);
}

API int ftruncate64(int fd, off64_t len)
{
	return ftruncate(fd, len);
}

API int fallocate(int fd, int mode, off_t off, off_t len)
{
	/* Zeroes written in place would be the same memory; only holes take pages away. */
	if (mode & FALLOC_FL_PUNCH_HOLE && off >= 0 && len > 0 &&
	    !shrinking(fd, (uint64_t)off, (uint64_t)len, F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
		return -1;
	return NEXT(fallocate)(fd, mode, off, len);
}

API int fallocate64(int fd, int mode, off64_t off, off64_t len)
{
	return fallocate(fd, mode, off, len);
}
