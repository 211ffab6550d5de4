/* SPDX-License-Identifier: MIT */
/*
 * VFIO as the front ends see it: device files and the sysfs picture.
 *
 * A vfio_file is one open of /dev/vfio/devices/vfioN. The front end finds the file behind a
 * descriptor, resolves descriptors in arguments through vfio_host_ops, and maps BARs as told.
 */
#ifndef VFIO_VFIO_H
#define VFIO_VFIO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "iommu/function.h"
#include "iommufd/iommufd.h"

struct vfio_pci;  /* one function's file side: config space, irqs, regions */
struct vfio_file; /* one open */

/* What the front end does for us. */
struct vfio_host_ops {
	/* The context behind descriptor @fd, with a reference; -EBADF not open, -EBADFD other. */
	int (*ctx_from_fd)(void *arg, int fd, struct iommufd_ctx **out);
	/*
	 * Memory decode of a BAR went off or on (or reset): client mappings of [off, off + len) of
	 * the device's file must fault, or may be used again. May be NULL (library user).
	 */
	void (*bar_access)(void *arg, struct vfio_pci *dev, unsigned bar, bool on);
};

/* Attaches the file side to a function; once, when the machine is built. */
int vfio_pci_create(struct uiommufd_device *f, const struct vfio_host_ops *ops, void *arg,
		    struct vfio_pci **out);
void vfio_pci_destroy(struct vfio_pci *dev); /* no file is open */
/* The memfd whose offset index << 40 is region index: backs poll-mode BARs. Borrowed. */
int vfio_pci_memfd(struct vfio_pci *dev);
struct uiommufd_device *vfio_pci_function(struct vfio_pci *dev);
/* Signals the REQ (give the device back) or ERR eventfd; false: the client has set none. */
bool vfio_pci_request(struct vfio_pci *dev);
bool vfio_pci_error(struct vfio_pci *dev);
/* MSI-X vectors beyond those enabled first are refused (IRQ info says NORESIZE). While unbound. */
void vfio_pci_fix_msix(struct vfio_pci *dev, bool fixed);

int vfio_file_open(struct vfio_pci *dev, struct vfio_file **out);
void vfio_file_release(struct vfio_file *f); /* last descriptor and mapping gone */
long vfio_file_ioctl(struct vfio_file *f, unsigned long cmd, uintptr_t arg);
/* What BIND would say before it looks whether somebody has the device; nothing changes. */
int vfio_file_check_bind(struct vfio_file *f, uintptr_t arg);
/* @buf is client memory. Bytes done, or -errno. */
ssize_t vfio_file_pread(struct vfio_file *f, uintptr_t buf, size_t n, uint64_t off);
ssize_t vfio_file_pwrite(struct vfio_file *f, uintptr_t buf, size_t n, uint64_t off);

/* How mmap(2) of the device is to be done. */
enum vfio_map_how {
	VFIO_MAP_MEMORY, /* map vfio_pci_memfd() at the same offset */
	VFIO_MAP_FAULT,  /* reserve inaccessible memory; faults come to vfio_file_mmio() */
};
/* Checks of mmap(2) in order; 0 and *@how, or -errno. @flags, @prot as mmap(2). */
int vfio_file_mmap(struct vfio_file *f, size_t len, int prot, int flags, uint64_t off,
		   enum vfio_map_how *how);
struct vfio_pci *vfio_file_device(struct vfio_file *f);

/*
 * BAR mappings can be accessed now; a new one that cannot must fault. Changes are told through
 * bar_access(), possibly while this is asked.
 */
bool vfio_pci_mem_on(struct vfio_pci *dev);

/*
 * One access to a fault-mode BAR at file offset @off. @size 1, 2, 4 or 8, aligned.
 * False: memory decode is off, the access is a SIGBUS.
 */
bool vfio_pci_mmio(struct vfio_pci *dev, uint64_t off, unsigned size, bool write, uint64_t *val);

/*
 * The sysfs picture (attributes, links, directories) of every function of a machine, as files
 * below @root ("<root>/sys/bus/pci/...", "<root>/dev/vfio/..."). Written once, by the launcher
 * or by the preload. Source: docs/abi/sysfs.md.
 */
struct sysfs_function {
	char name[32];
	int group;
	unsigned index, major, minor;
	const struct uiommufd_device_desc *desc;
	const struct iommu_kind *kind;
	const struct iommu *iommu; /* with its options; NULL: the kind's defaults */
};
int sysfs_write(const char *root, const struct sysfs_function *fn, size_t n);

#endif
