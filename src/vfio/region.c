// SPDX-License-Identifier: MIT
/* Reads, writes and mappings of a device file: which region an offset means, and what it allows. */
#include <errno.h>
#include <sys/mman.h>

#include "abi/vfio.h"
#include "base/bits.h"
#include "base/why.h"
#include "vfio/pci.h"

static int check_file(struct vfio_file *f, uint64_t off)
{
	if (!atomic_load(&f->bound))
		return refuse(EINVAL, "the device file is not bound to an iommufd");
	if (off >> REGION_SHIFT >= VFIO_PCI_NUM_REGIONS)
		return refuse(EINVAL, "offset %#llx is beyond the last region",
			      (unsigned long long)off);
	return 0;
}

static ssize_t absent(unsigned index)
{
	return refuse(EINVAL, "the function has no region %u", index);
}

ssize_t vfio_file_pread(struct vfio_file *f, uintptr_t buf, size_t n, uint64_t off)
{
	unsigned index = (unsigned)(off >> REGION_SHIFT);
	int rc = check_file(f, off);

	if (rc)
		return rc;
	if (!n)
		return 0;
	dev_wake(f->dev);
	if (index < UIOMMUFD_BARS)
		return bar_read(f->dev, index, buf, n, off & REGION_MASK);
	if (index == VFIO_PCI_CONFIG_REGION_INDEX)
		return cfg_read(f->dev, buf, n, off & REGION_MASK);
	return absent(index);
}

ssize_t vfio_file_pwrite(struct vfio_file *f, uintptr_t buf, size_t n, uint64_t off)
{
	unsigned index = (unsigned)(off >> REGION_SHIFT);
	int rc = check_file(f, off);

	if (rc)
		return rc;
	if (!n)
		return 0;
	dev_wake(f->dev);
	if (index < UIOMMUFD_BARS)
		return bar_write(f->dev, index, buf, n, off & REGION_MASK);
	if (index == VFIO_PCI_CONFIG_REGION_INDEX)
		return cfg_write(f->dev, buf, n, off & REGION_MASK);
	return absent(index);
}

static int check_map(struct vfio_pci *dev, size_t len, int flags, unsigned bar, uint64_t pos)
{
	int type = flags & MAP_TYPE;
	uint64_t end;

	if (type != MAP_SHARED && type != MAP_SHARED_VALIDATE)
		return refuse(EINVAL, "a device can only be mapped shared, flags %#x",
			      (unsigned)flags);
	if (bar >= UIOMMUFD_BARS)
		return refuse(EINVAL, "region %u cannot be mapped", bar);
	if (!dev->fn->desc.bar[bar].size || !bar_mappable(dev, bar))
		return refuse(EINVAL, "BAR %u cannot be mapped", bar);
	if (!len || (pos & PAGE_MASK) || !align_up(len, PAGE_SIZE, &end))
		return refuse(EINVAL, "length %#zx at %#llx is not whole pages", len,
			      (unsigned long long)pos);
	if (end > dev->fn->desc.bar[bar].size || pos > dev->fn->desc.bar[bar].size - end)
		return refuse(EINVAL, "%#zx bytes at %#llx are beyond BAR %u of %#llx bytes", len,
			      (unsigned long long)pos, bar,
			      (unsigned long long)dev->fn->desc.bar[bar].size);
	return 0;
}

int vfio_file_mmap(struct vfio_file *f, size_t len, int prot, int flags, uint64_t off,
		   enum vfio_map_how *how)
{
	unsigned bar = (unsigned)(off >> REGION_SHIFT);
	struct vfio_pci *dev = f->dev;
	int rc = check_file(f, off);

	(void)prot; /* any: also write-only */
	if (!rc)
		rc = check_map(dev, len, flags, bar, off & REGION_MASK);
	if (!rc)
		rc = bar_watch(dev, bar);
	if (rc)
		return rc;
	*how = dev->bar_mem[bar] ? VFIO_MAP_MEMORY : VFIO_MAP_FAULT;
	return 0;
}
