// SPDX-License-Identifier: MIT
/* Ioctl arguments of device files: how client memory is copied in and out. */
#include <errno.h>

#include "base/fault.h"
#include "base/why.h"
#include "mem/guard.h"
#include "vfio/pci.h"

int arg_in(void *dst, uintptr_t from, size_t n)
{
	if (fault_point() || guard_copy(dst, (const void *)from, n))
		return refuse(EFAULT, "%zu bytes at %#lx cannot be read", n, (unsigned long)from);
	return 0;
}

int arg_out(uintptr_t to, const void *src, size_t n)
{
	if (fault_point() || guard_copy((void *)to, src, n))
		return refuse(EFAULT, "%zu bytes at %#lx cannot be written", n, (unsigned long)to);
	return 0;
}

int arg_min(void *dst, uintptr_t arg, size_t min, const char *what)
{
	int rc = arg_in(dst, arg, min);
	uint32_t argsz;

	if (rc)
		return rc;
	argsz = *(const uint32_t *)dst;
	if (argsz < min)
		return refuse(EINVAL, "argsz %u of %s is below its minimum %zu", argsz, what, min);
	return 0;
}
