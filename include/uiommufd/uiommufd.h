/* SPDX-License-Identifier: MIT */
/*
 * <uiommufd/uiommufd.h>: a machine with IOMMUs and VFIO devices inside your process.
 *
 * Open /dev/iommu and /dev/vfio/devices/vfioN of the machine with uiommufd_open() and use them
 * with the calls below exactly as you would use the kernel's with ioctl(2), pread(2), mmap(2):
 * structs, numbers and error numbers are those of <linux/iommufd.h> and <linux/vfio.h> of
 * Linux 7.3. (Debian 12's linux-libc-dev has no iommufd.h; abi/iommufd.h of our source tree serves
 * as well.)
 *
 * Every call returns >= 0, or a negative errno; errno itself is not touched. All are thread-safe.
 * Memory that you map for DMA with IOMMU_IOAS_MAP must be unmapped with IOMMU_IOAS_UNMAP before
 * you unmap or free it (with the preload library there is no such rule); breaking it gives the
 * device a fault, not your program a crash.
 *
 * Signals. From the first machine on, handlers of ours for SIGSEGV and SIGBUS stand in front of
 * yours: they perform the accesses to mapped BARs and let the library survive bad pointers. Install
 * your own before; one that you install later, or blocking the two, breaks both.
 *
 * A forked child cannot use its parent's machine; it may create its own.
 */
#ifndef UIOMMUFD_UIOMMUFD_H
#define UIOMMUFD_UIOMMUFD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct uiommufd_machine;

struct uiommufd_machine_options {
	size_t size; /* sizeof(struct uiommufd_machine_options) */
	/*
	 * What to build, as on the command line: "iommu=vtd;device=ioat,addr=0000:01:00.0;
	 * device=ioat;privilege=root". NULL: a VT-d IOMMU with one I/OAT device.
	 */
	const char *config;
};

/* -EINVAL: the config is wrong (uiommufd_last_reason() says where); -ENOMEM. */
int uiommufd_machine_create(const struct uiommufd_machine_options *options,
			    struct uiommufd_machine **out);
/* Every descriptor of the machine must be closed; -EBUSY otherwise and nothing happens. */
int uiommufd_machine_destroy(struct uiommufd_machine *machine);

/*
 * @path: "/dev/iommu" or "/dev/vfio/devices/vfio<N>"; @flags as open(2), O_CLOEXEC counts.
 * Returns a real descriptor: it can be polled, dup'ed and passed on; close it with
 * uiommufd_close() (close(2) works only under the preload).
 */
int uiommufd_open(struct uiommufd_machine *machine, const char *path, int flags);
int uiommufd_close(struct uiommufd_machine *machine, int fd);

/* -EBADF: @fd is not a file of the machine. Otherwise as the kernel's call. */
long uiommufd_ioctl(struct uiommufd_machine *machine, int fd, unsigned long request, void *arg);
ssize_t uiommufd_pread(struct uiommufd_machine *machine, int fd, void *buf, size_t count,
		       off_t offset);
ssize_t uiommufd_pwrite(struct uiommufd_machine *machine, int fd, const void *buf, size_t count,
			off_t offset);
/* A mapped BAR keeps its file open. It goes with uiommufd_munmap(), not with munmap(2). */
int uiommufd_mmap(struct uiommufd_machine *machine, int fd, void *addr, size_t length, int prot,
		  int flags, off_t offset, void **out);
int uiommufd_munmap(struct uiommufd_machine *machine, void *addr, size_t length);

/* Why the last refused call of this thread was refused, in words; "" when none was. */
const char *uiommufd_last_reason(void);

/* A DMA request that could not be translated. */
struct uiommufd_fault {
	uint64_t sequence; /* counts from 1 */
	char device[32];   /* "0000:01:00.0" */
	uint32_t pasid;
	int is_write;
	uint64_t iova, length;
	char text[400]; /* the reason, the nearest mapping, what was last there */
};

/* The oldest record after number @after (0: the oldest kept). 1: there is one, 0: none. */
int uiommufd_next_fault(struct uiommufd_machine *machine, uint64_t after,
			struct uiommufd_fault *out, size_t out_size);

/* Called for every record, in the thread of the device, with no lock held. NULL: nobody. */
void uiommufd_on_fault(struct uiommufd_machine *machine,
		       void (*fn)(void *arg, const struct uiommufd_fault *fault), void *arg);

/* The library's version, "0.1.0". */
const char *uiommufd_version(void);

#ifdef __cplusplus
}
#endif
#endif
