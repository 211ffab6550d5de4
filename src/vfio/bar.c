// SPDX-License-Identifier: MIT
/*
 * BAR contents: which byte of a BAR is the model's, which is shared memory, and which is the
 * engine's (the MSI-X table and its pending bits).
 *
 * The table belongs to the host: it reads all ones and swallows writes. No vector is ever left
 * pending, so the PBA reads 0. Everything else is the model's, or in poll mode memory that the
 * model looks at. Source: docs/abi/vfio_regions.md "BARs".
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bits.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/sys.h"
#include "base/why.h"
#include "mem/guard.h"
#include "vfio/pci.h"

static uint64_t table_len(const struct uiommufd_device_desc *d)
{
	return (uint64_t)d->msix_vectors * PCI_MSIX_ENTRY_SIZE;
}

static uint64_t pba_len(const struct uiommufd_device_desc *d)
{
	return (d->msix_vectors + 63u) / 64u * 8u;
}

bool bar_meets_table(const struct vfio_pci *dev, unsigned bar, uint64_t off, uint64_t len)
{
	const struct uiommufd_device_desc *d = &dev->fn->desc;

	return d->msix_vectors && bar == d->msix_bar && len &&
	       ranges_meet(off, off + (len - 1), d->msix_table, d->msix_table + (table_len(d) - 1));
}

static bool in_pba(const struct vfio_pci *dev, unsigned bar, uint64_t off)
{
	const struct uiommufd_device_desc *d = &dev->fn->desc;

	return d->msix_vectors && bar == d->msix_bar && off >= d->msix_pba &&
	       off - d->msix_pba < pba_len(d);
}

bool bar_mappable(const struct vfio_pci *dev, unsigned bar)
{
	const struct uiommufd_bar *b = &dev->fn->desc.bar[bar];

	return b->size >= PAGE_SIZE && dev->fn->bar_mode[bar] != UIOMMUFD_BAR_TRAP;
}

static uint64_t all_ones(unsigned size)
{
	return size == 8 ? UINT64_MAX : (1ull << (size * 8)) - 1;
}

static uint64_t mem_load(const void *p, unsigned size)
{
	switch (size) {
	case 1:
		return __atomic_load_n((const uint8_t *)p, __ATOMIC_ACQUIRE);
	case 2:
		return __atomic_load_n((const uint16_t *)p, __ATOMIC_ACQUIRE);
	case 4:
		return __atomic_load_n((const uint32_t *)p, __ATOMIC_ACQUIRE);
	default:
		return __atomic_load_n((const uint64_t *)p, __ATOMIC_ACQUIRE);
	}
}

static void mem_store(void *p, unsigned size, uint64_t val)
{
	switch (size) {
	case 1:
		__atomic_store_n((uint8_t *)p, (uint8_t)val, __ATOMIC_RELEASE);
		break;
	case 2:
		__atomic_store_n((uint16_t *)p, (uint16_t)val, __ATOMIC_RELEASE);
		break;
	case 4:
		__atomic_store_n((uint32_t *)p, (uint32_t)val, __ATOMIC_RELEASE);
		break;
	default:
		__atomic_store_n((uint64_t *)p, val, __ATOMIC_RELEASE);
		break;
	}
}

uint64_t bar_load(struct vfio_pci *dev, unsigned bar, uint64_t off, unsigned size)
{
	if (bar_meets_table(dev, bar, off, size))
		return all_ones(size);
	if (in_pba(dev, bar, off))
		return 0;
	if (dev->bar_mem[bar])
		return mem_load((const char *)dev->bar_mem[bar] + off, size);
	return function_bar_read(dev->fn, bar, off, size) & all_ones(size);
}

static void tell_changed(void *arg, unsigned bar)
{
	struct vfio_pci *dev = arg;
	struct uiommufd_device *fn = dev->fn;

	if (!fn->ops->bar_changed)
		return;
	uiommufd_device_lock(fn);
	fn->ops->bar_changed(fn->state, bar);
	uiommufd_device_unlock(fn);
}

void bar_store(struct vfio_pci *dev, unsigned bar, uint64_t off, unsigned size, uint64_t val)
{
	if (bar_meets_table(dev, bar, off, size) || in_pba(dev, bar, off))
		return;
	if (!dev->bar_mem[bar]) {
		function_bar_write(dev->fn, bar, off, size, val & all_ones(size));
		return;
	}
	mem_store((char *)dev->bar_mem[bar] + off, size, val);
	tell_changed(dev, bar);
}

/* The largest naturally aligned unit at @pos that stays below @left and out of half-table units. */
static unsigned unit(const struct vfio_pci *dev, unsigned bar, uint64_t pos, size_t left)
{
	unsigned size = 8;

	while (size > 1 && (size > left || (pos & (size - 1)) ||
			    (bar_meets_table(dev, bar, pos, size) &&
			     !(bar_meets_table(dev, bar, pos, 1) &&
			       bar_meets_table(dev, bar, pos + size - 1, 1)))))
		size >>= 1;
	return size;
}

static int check_access(struct vfio_pci *dev, unsigned bar, uint64_t pos, size_t *n)
{
	uint64_t len = dev->fn->desc.bar[bar].size;

	if (pos >= len)
		return refuse(EINVAL, "offset %#llx is beyond BAR %u of %#llx bytes",
			      (unsigned long long)pos, bar, (unsigned long long)len);
	if (*n > len - pos)
		*n = (size_t)(len - pos);
	if (!atomic_load(&dev->mem_rw))
		return refuse(EIO, "memory decode of the function is off or it is not in D0");
	return 0;
}

ssize_t bar_read(struct vfio_pci *dev, unsigned bar, uintptr_t buf, size_t n, uint64_t pos)
{
	size_t done = 0;
	int rc = check_access(dev, bar, pos, &n);

	if (rc)
		return rc;
	while (done < n) {
		unsigned size = unit(dev, bar, pos + done, n - done);
		uint64_t val = bar_load(dev, bar, pos + done, size);

		rc = arg_out(buf + done, &val, size); /* little-endian host */
		if (rc)
			return done ? (ssize_t)done : rc;
		done += size;
	}
	return (ssize_t)done;
}

ssize_t bar_write(struct vfio_pci *dev, unsigned bar, uintptr_t buf, size_t n, uint64_t pos)
{
	size_t done = 0;
	int rc = check_access(dev, bar, pos, &n);

	if (rc)
		return rc;
	while (done < n) {
		unsigned size = unit(dev, bar, pos + done, n - done);
		uint64_t val = 0;

		rc = arg_in(&val, buf + done, size);
		if (rc)
			return done ? (ssize_t)done : rc;
		bar_store(dev, bar, pos + done, size, val);
		done += size;
	}
	return (ssize_t)done;
}

bool vfio_pci_mem_on(struct vfio_pci *dev)
{
	return atomic_load(&dev->mem_map);
}

bool vfio_pci_mmio(struct vfio_pci *dev, uint64_t off, unsigned size, bool write, uint64_t *val)
{
	unsigned bar = (unsigned)(off >> REGION_SHIFT);
	uint64_t pos = off & REGION_MASK;

	if (bar >= UIOMMUFD_BARS || pos >= dev->fn->desc.bar[bar].size ||
	    !atomic_load(&dev->mem_map))
		return false;
	if (write)
		bar_store(dev, bar, pos, size, *val);
	else
		*val = bar_load(dev, bar, pos, size);
	return true;
}

int bar_init(struct vfio_pci *dev)
{
	int rc;

	dev->memfd = sys_memfd("uiommufd-vfio", MFD_CLOEXEC);
	if (dev->memfd >= 0)
		dev->memfd = fd_hide(dev->memfd);
	if (dev->memfd < 0)
		return refuse(-dev->memfd, "the memory file of %s cannot be made",
			      dev->fn->idev.name);
	rc = fault_point() ? -ENOMEM : sys_ftruncate(dev->memfd, 7ull << REGION_SHIFT);
	if (rc)
		goto err_finish;
	for (unsigned i = 0; i < UIOMMUFD_BARS; i++) {
		uint64_t size = dev->fn->desc.bar[i].size;

		if (!size || dev->fn->bar_mode[i] != UIOMMUFD_BAR_POLL)
			continue;
		rc = fault_point()
			     ? -ENOMEM
			     : sys_mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED,
					dev->memfd, (uint64_t)i << REGION_SHIFT, &dev->bar_mem[i]);
		if (rc)
			goto err_finish;
	}
	return 0;
err_finish:
	bar_finish(dev);
	return refuse(-rc, "the BAR memory of %s cannot be made", dev->fn->idev.name);
}

void bar_finish(struct vfio_pci *dev)
{
	for (unsigned i = 0; i < UIOMMUFD_BARS; i++)
		if (dev->bar_mem[i]) {
			sys_munmap(dev->bar_mem[i], (size_t)dev->fn->desc.bar[i].size);
			dev->bar_mem[i] = NULL;
		}
	fd_close_hidden(dev->memfd);
	dev->memfd = -1;
}

void bar_wipe(struct vfio_pci *dev)
{
	for (unsigned i = 0; i < UIOMMUFD_BARS; i++)
		if (dev->bar_mem[i])
			sys_madvise(dev->bar_mem[i], (size_t)dev->fn->desc.bar[i].size,
				    MADV_REMOVE);
}

int bar_watch(struct vfio_pci *dev, unsigned bar)
{
	int rc;

	if (!dev->bar_mem[bar])
		return 0;
	rc = watch_start(&dev->watch);
	return rc ? rc
		  : watch_memory(&dev->watch, dev->bar_mem[bar],
				 (size_t)dev->fn->desc.bar[bar].size, bar, tell_changed);
}
