// SPDX-License-Identifier: MIT
/*
 * Access to pinned pages that the client's own protection forbids.
 *
 * A device does not care for the protection of the processor's mapping: pages that were pinned and
 * made PROT_NONE or read-only later stay good for DMA. The kernel ignores it, too, for whoever goes
 * through /proc/self/mem.
 */
#include <errno.h>

#include "base/sys.h"
#include "base/why.h"
#include "mem/physmap_priv.h"
#include "mem/procself.h"

/* Part of a page, at a host address. */
static int force_part(uintptr_t host, char *buf, size_t n, bool write)
{
	for (unsigned attempt = 0; attempt < 2; attempt++) {
		int fd = procself_fd(PROCSELF_MEM);
		long got;

		if (fd < 0)
			return -EFAULT;
		got = write ? sys_pwrite(fd, buf, n, host) : sys_pread(fd, buf, n, host);
		if (got == (long)n)
			return 0;
		if (got == -EIO || got == -EFAULT) /* nothing is there */
			return -EFAULT;
		procself_drop(PROCSELF_MEM, fd);
	}
	return -EFAULT;
}

int physmap_force(struct physmap *pm, uint64_t pa, void *buf, size_t len, bool write)
{
	char *p = buf;

	while (len) {
		size_t n = (size_t)min_u64(len, PAGE_SIZE - (pa & PAGE_MASK));
		void *host = physmap_pins(pm, pa) ? physmap_ptr(pm, pa, &n) : NULL;

		if (!host || force_part((uintptr_t)host, p, n, write))
			return -EFAULT;
		pa += n;
		p += n;
		len -= n;
	}
	return 0;
}
