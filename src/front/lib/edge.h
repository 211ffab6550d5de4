/* SPDX-License-Identifier: MIT */
/*
 * The edge: where descriptors and paths of a program meet the engine. The library API and the
 * preload are both thin layers over it.
 *
 * A front is one machine with its files, built from a config. A file is an open context or device.
 * Each file has a placeholder: a real kernel descriptor (a memfd of its own, so its inode names
 * the file), which the program holds, dups, passes on and closes as it likes.
 *
 * How a file dies. The placeholder's open file description carries an OFD write lock. The edge
 * holds a second description of the same memfd and asks F_OFD_GETLK after a descriptor of the
 * file was closed here: no lock left means that the last descriptor and mapping are gone,
 * wherever they lived. If somebody still holds it and no number is left in this process, the
 * file is an orphan: a thread looks again until it dies.
 *
 * Locks: front.lock (LOCK_MACHINE) guards the list of files and numbers; lookups take none.
 */
#ifndef FRONT_EDGE_H
#define FRONT_EDGE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/list.h"
#include "base/lock.h"
#include "iommu/machine.h"
#include "iommufd/iommufd.h"
#include "vfio/vfio.h"

#define CONFIG_DEVICES_MAX 64

/* What to build, parsed from the command line or UIOMMUFD (config.c). */
struct config {
	char iommu[64]; /* "vtd", with its options after a comma */
	char *device[CONFIG_DEVICES_MAX];
	unsigned n_devices;
	bool user_privilege, explain, picture;
	char root[200]; /* run folder, "" when there is none */
};

void config_init(struct config *c);
void config_finish(struct config *c);
/* One "key=value" or "key": iommu, device, privilege, explain, picture, root. -EINVAL + reason. */
int config_set(struct config *c, const char *key, const char *val);
/* "iommu=vtd;device=ioat" or lines of the same. */
int config_parse(struct config *c, const char *text);
/* Checks names and options and fills in defaults (one ioat) without building anything. */
int config_resolve(struct config *c);
/* The config as config_parse() reads it; bytes needed, like snprintf. */
int config_print(const struct config *c, char *buf, size_t len);

/* One device of a config in detail: "ioat,addr=0000:02:00.0,group=3,bar0=trap". */
struct device_choice {
	struct function_spec spec;
	struct uiommufd_device_desc desc; /* the model's, before create() adjusts it */
	char *argv_store[16];
	char text[256]; /* what argv points into */
};
/* Parses device @i of @c (default address and group by its place). -EINVAL + reason. */
int config_device(const struct config *c, unsigned i, struct device_choice *out);

enum file_kind { FILE_NONE, FILE_CTX, FILE_DEVICE };

struct front_dev {
	struct vfio_pci *pci;
	unsigned minor;
	int lock_fd;             /* per-address lock in the run folder while a file is bound; -1 */
	struct file *lock_owner; /* the file whose end lets go of it; front.lock */
};

struct file {
	struct list in_front;
	struct front *front;
	enum file_kind kind;
	_Atomic uint32_t refs; /* users now + 1 while alive; type-stable memory */
	dev_t dev;             /* the placeholder's identity */
	ino_t ino;
	int probe;     /* our own description of the placeholder, hidden */
	unsigned nfds; /* numbers of this process that name it; front.lock */
	bool orphan;
	union {
		struct iommufd_ctx *ctx;
		struct vfio_file *vfio;
	};
	struct front_dev *fdev; /* device files */
	_Atomic bool mapped_since_picture;
};

struct front {
	struct config config;
	struct machine *machine;
	struct front_dev *devs;
	unsigned n_devs;
	unsigned major;       /* of the device nodes */
	int pid;              /* the process it was built in */
	struct mtx bind_lock; /* outermost: BINDs take turns */
	struct mtx lock;
	struct list files;
	bool reaper_runs;         /* it will look at every orphan again */
	bool reaper_made;         /* and must be joined */
	_Atomic uint32_t leaving; /* futex: the thread ends now */
	pthread_t reaper;
};

int front_create(const struct config *c, struct front **out);
void front_destroy(struct front *f);

/* Major number of our device nodes; context node is 10:FRONT_IOMMU_MINOR. */
#define FRONT_MAJOR       511u
#define FRONT_IOMMU_MINOR 125u

/*
 * Opens a context, or device @index, as a new descriptor. @flags: O_CLOEXEC counts. Returns the
 * descriptor (>= 0) or -errno.
 */
int file_open_ctx(struct front *f, int flags);
int file_open_device(struct front *f, unsigned index, int flags);

/*
 * file_get() - the file behind a number, with a reference (file_put)
 *
 * Trusts the cache of numbers. NULL: not ours as far as the cache knows.
 * Lock-free, async-signal-safe, no allocation.
 */
struct file *file_get(int fd);
void file_put(struct file *f);
/* The same, but asks the kernel what the number is (fstat) and corrects the cache. */
struct file *file_get_verified(struct front *front, int fd);
/*
 * For a number that is none of this process's: -ENODEV with a reason when it is a placeholder of
 * another one (inherited across exec, passed by a socket), 0 when it is not.
 */
int file_foreign(int fd);
/* True when the cache has an entry: one load; for hooks that must be cheap. */
bool file_maybe(int fd);

/*
 * Around close() of @fd, or dup2() onto it: begin before the kernel's call (forgets the number, so
 * that nobody finds the file under it while it may name something else), end after it (sees
 * whether the file died). begin answers NULL for numbers that are not ours and in a vfork child.
 */
struct file *file_close_begin(int fd);
void file_close_end(struct file *f, int fd, bool closed);
/* @newfd now names what @oldfd names (dup, dup2, F_DUPFD). */
void file_duped(int oldfd, int newfd);
/* Somewhere a descriptor or a mapping of the placeholder is left. */
bool file_held(struct file *f);
/* Looks at every orphan again now; has a thread do so until there is none. */
void file_reap(struct front *f);
void file_watch_orphans(struct front *f);
/* Ends the thread that looks at orphans; before the front goes. */
void file_reaper_stop(struct front *f);

/* stat(2) results as a character device's. False: the inode is not one of ours. */
bool file_fix_stat(struct front *f, struct stat *st);
/* What /proc/self/fd would show: "/dev/iommu", "/dev/vfio/devices/vfio0". */
const char *file_path(const struct file *f, char *buf, size_t len);

/* Calls on a file. Results as the engine's: >= 0 or -errno, reason in why_last(). */
long edge_ioctl(struct file *f, int fd, unsigned long cmd, uintptr_t arg);
ssize_t edge_pread(struct file *f, void *buf, size_t n, uint64_t off);
ssize_t edge_pwrite(struct file *f, const void *buf, size_t n, uint64_t off);
/* mmap of a device file; placeholder @fd. */
int edge_mmap(struct file *f, int fd, void *addr, size_t len, int prot, int flags, uint64_t off,
	      void **out);

/*
 * BAR mappings of this process (barmap.c). before_unmap: [addr, addr + len) is about to go; true
 * when an entry went with it, and then barmap_after_unmap() must follow the kernel's call.
 * protect: notes the protection of every BAR mapping in the range and applies what of it may be;
 * bytes that are BAR mappings. access: memory decode of a BAR went off or on.
 */
int barmap_add(struct file *f, uintptr_t addr, size_t len, int prot, uint64_t off, bool trapped);
bool barmap_before_unmap(uintptr_t addr, size_t len);
void barmap_after_unmap(struct front *front);
size_t barmap_protect(uintptr_t addr, size_t len, int prot);
bool barmap_meets(uintptr_t addr, size_t len);
/* mremap(2) was done: entries of [old, old + old_len) are at @to now. */
void barmap_moved(uintptr_t old, size_t old_len, uintptr_t to, size_t new_len);
void barmap_access(struct vfio_pci *dev, unsigned bar, bool on);
int barmap_init(void); /* the fault handler; once per process */

/*
 * Performs the memory access of the instruction at the signal's program counter on a BAR
 * (mmio.c): @base is the mapping's first address, @off the file offset there. 0: done, context
 * advanced; -EFAULT: cannot be done here (not a decodable access); -EIO: memory decode is off.
 */
int mmio_emulate(void *ucontext, struct vfio_pci *dev, uintptr_t base, size_t len, uint64_t off,
		 uintptr_t fault_addr, int prot);

/* Explain (explain.c): the reason of a refused call, to stderr or the user's sink. */
void explain_set(bool on);
void explain_refusal(const char *what, int fd, int err);
void explain_fault(void *arg, const struct iommu_fault *f);
/* Picture (picture.c): draws a context's IO address spaces before the first unmap after a map. */
void picture_before(struct file *f, unsigned long cmd);
void picture_note(struct file *f, unsigned long cmd, long result);

const char *edge_cmd_name(enum file_kind kind, unsigned long cmd);

/* In a forked child: the locks of the parent's devices are not ours to hold on to. NULL is fine. */
void front_forked(struct front *f);
/* In a forked child: locks and numbers of the parent's threads mean nothing here. */
void edge_forked(void);
void files_forked(void);
void barmap_forked(void);

/* -1/errno convention of libc. */
long edge_ret(long r);

#endif
