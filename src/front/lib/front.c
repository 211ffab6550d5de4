// SPDX-License-Identifier: MIT
/* The front: builds the machine of a config, and carries calls on files to it. */
#include "front/lib/edge.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "abi/vfio.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/pool.h"
#include "base/sys.h"
#include "base/why.h"
#include "mem/account.h"
#include "mem/guard.h"
#include "mem/mm.h"

static int ctx_from_fd(void *arg, int fd, struct iommufd_ctx **out)
{
	struct file *f = file_get_verified(arg, fd);

	if (!f) {
		if (sys_fcntl(fd, F_GETFD, 0) < 0)
			return refuse(EBADF, "descriptor %d is not open", fd);
		return refuse(EBADFD, "descriptor %d is not an iommufd", fd);
	}
	if (f->kind != FILE_CTX) {
		file_put(f);
		return refuse(EBADFD, "descriptor %d is a VFIO device, not an iommufd", fd);
	}
	iommufd_ctx_get(f->ctx);
	*out = f->ctx;
	file_put(f);
	return 0;
}

static void bar_access(void *arg, struct vfio_pci *dev, unsigned bar, bool on)
{
	(void)arg;
	barmap_access(dev, bar, on);
}

static const struct vfio_host_ops host_ops = {
	.ctx_from_fd = ctx_from_fd,
	.bar_access = bar_access,
};

static int build_device(struct front *f, unsigned i)
{
	struct uiommufd_device *fn;
	struct device_choice d;
	int rc = config_device(&f->config, i, &d);

	if (rc)
		return rc;
	rc = function_create(f->machine, &d.spec, &fn);
	if (rc)
		return rc;
	rc = vfio_pci_create(fn, &host_ops, f, &f->devs[i].pci);
	if (rc)
		return rc; /* the function goes with its machine */
	f->devs[i].minor = i;
	f->devs[i].lock_fd = -1;
	f->n_devs++;
	return 0;
}

static int copy_config(struct config *dst, const struct config *src)
{
	char text[8192];
	int n = config_print(src, text, sizeof(text));

	config_init(dst);
	if ((size_t)n >= sizeof(text))
		return refuse(EINVAL, "the config is longer than %zu bytes", sizeof(text));
	return config_parse(dst, text);
}

static int process_init(void)
{
	static _Atomic bool forks;
	int rc = guard_init();

	if (!rc)
		rc = barmap_init();
	if (!rc && !atomic_exchange(&forks, true)) {
		if (fault_point() || pthread_atfork(NULL, NULL, edge_forked)) {
			atomic_store(&forks, false);
			rc = refuse(ENOMEM, "no memory for a fork handler");
		}
	}
	return rc;
}

int front_create(const struct config *c, struct front **out)
{
	struct machine_opts opts = { 0 };
	struct front *f;
	int rc;

	rc = process_init();
	if (rc)
		return rc;
	f = mem_zalloc(sizeof(*f));
	if (!f)
		return refuse(ENOMEM, "no memory for the machine");
	mtx_init(&f->bind_lock, LOCK_NONE);
	mtx_init(&f->lock, LOCK_MACHINE);
	list_init(&f->files);
	f->pid = (int)sys_call(SYS_getpid, 0, 0, 0, 0, 0, 0);
	f->major = FRONT_MAJOR;
	rc = copy_config(&f->config, c);
	if (!rc)
		rc = config_resolve(&f->config);
	if (rc)
		goto err_config;
	account_set_privileged(!f->config.user_privilege);
	opts.iommu = f->config.iommu;
	rc = machine_create(&opts, &f->machine);
	if (rc)
		goto err_config;
	f->machine->faults.sink = explain_fault;
	f->devs = mem_zalloc(sizeof(*f->devs) * f->config.n_devices);
	rc = f->devs ? 0 : refuse(ENOMEM, "no memory for the devices");
	for (unsigned i = 0; !rc && i < f->config.n_devices; i++)
		rc = build_device(f, i);
	if (rc) {
		front_destroy(f);
		return rc;
	}
	*out = f;
	return 0;
err_config:
	config_finish(&f->config);
	mem_free(f);
	return rc;
}

void front_destroy(struct front *f)
{
	if (!f)
		return;
	file_reaper_stop(f);
	(void)BUG_ON(!list_empty(&f->files));
	for (unsigned i = 0; i < f->n_devs; i++)
		vfio_pci_destroy(f->devs[i].pci);
	mem_free(f->devs);
	machine_destroy(f->machine);
	config_finish(&f->config);
	mem_free(f);
}

/*
 * Two processes of a run may open a device; only one may bind it. A lock that this process has
 * already becomes @f's: its owner is about to end, or the engine will refuse @f.
 */
static int lock_address(struct file *f, struct file **before)
{
	struct front *front = f->front;
	const char *name = vfio_pci_function(f->fdev->pci)->idev.name;
	char path[sizeof(front->config.root) + 64];
	int fd, rc = 0;

	*before = NULL;
	if (!front->config.root[0])
		return 0;
	mtx_lock(&front->lock);
	if (f->fdev->lock_fd >= 0)
		goto out;
	snprintf(path, sizeof(path), "%s/lock-%s", front->config.root, name);
	fd = sys_open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0)
		fd = fd_hide(fd);
	if (fd < 0) {
		rc = refuse(-fd, "the lock of %s cannot be opened", name);
		goto out;
	}
	if (sys_call(SYS_flock, fd, LOCK_EX | LOCK_NB, 0, 0, 0, 0)) {
		fd_close_hidden(fd);
		rc = refuse(EINVAL, "another process of this run has %s bound", name);
		goto out;
	}
	f->fdev->lock_fd = fd;
out:
	if (!rc) {
		*before = f->fdev->lock_owner;
		f->fdev->lock_owner = f;
	}
	mtx_unlock(&front->lock);
	return rc;
}

/* @f is not bound after all. */
static void unlock_address(struct file *f, struct file *before)
{
	struct front_dev *d = f->fdev;
	bool alive = false;

	mtx_lock(&f->front->lock);
	list_for_each(pos, &f->front->files)
		alive |= list_entry(pos, struct file, in_front) == before;
	if (d->lock_owner == f) {
		d->lock_owner = alive ? before : NULL;
		if (!alive) {
			fd_close_hidden(d->lock_fd);
			d->lock_fd = -1;
		}
	}
	mtx_unlock(&f->front->lock);
}

static long bind_device(struct file *f, unsigned long cmd, uintptr_t arg)
{
	struct file *before;
	long r, bad;

	file_reap(f->front); /* a file of a child that is gone may hold the device */
	mtx_lock(&f->front->bind_lock);
	r = lock_address(f, &before);
	if (!r) {
		r = vfio_file_ioctl(f->vfio, cmd, arg);
		if (r < 0)
			unlock_address(f, before);
	} else {
		/* What is wrong with the call itself comes first. */
		bad = vfio_file_check_bind(f->vfio, arg);
		r = bad ? bad : r;
	}
	mtx_unlock(&f->front->bind_lock);
	return r;
}

static long wrong_process(const struct file *f, int fd)
{
	return refuse(
		ENODEV,
		"descriptor %d was opened by process %d: a forked child cannot use its parent's "
		"files, open them anew",
		fd, f->front->pid);
}

/* Zeroed by the fork handler; a compare instead of a system call on every ioctl. */
static _Atomic int edge_pid;

static int this_pid(void)
{
	int pid = atomic_load_explicit(&edge_pid, memory_order_relaxed);

	if (unlikely(!pid)) {
		pid = (int)sys_call(SYS_getpid, 0, 0, 0, 0, 0, 0);
		atomic_store_explicit(&edge_pid, pid, memory_order_relaxed);
	}
	return pid;
}

static COLD void report(struct file *f, int fd, unsigned long cmd, long r)
{
	const char *name = edge_cmd_name(f->kind, cmd);
	char what[80];

	if (name)
		snprintf(what, sizeof(what), "ioctl(%s)", name);
	else
		snprintf(what, sizeof(what), "ioctl(0x%lx)", cmd);
	explain_refusal(what, fd, (int)r);
}

static inline long ctx_ioctl(struct file *f, unsigned long cmd, uintptr_t arg)
{
	long r;

	if (likely(!f->front->config.picture))
		return iommufd_ctx_ioctl(f->ctx, cmd, arg);
	picture_before(f, cmd);
	r = iommufd_ctx_ioctl(f->ctx, cmd, arg);
	picture_note(f, cmd, r);
	return r;
}

long edge_ioctl(struct file *f, int fd, unsigned long cmd, uintptr_t arg)
{
	long r;

	why_clear();
	if (unlikely(f->front->pid != this_pid()))
		r = wrong_process(f, fd);
	else if (f->kind == FILE_CTX)
		r = ctx_ioctl(f, cmd, arg);
	else if (cmd == VFIO_DEVICE_BIND_IOMMUFD)
		r = bind_device(f, cmd, arg);
	else
		r = vfio_file_ioctl(f->vfio, cmd, arg);
	if (unlikely(r < 0))
		report(f, fd, cmd, r);
	return r;
}

ssize_t edge_pread(struct file *f, void *buf, size_t n, uint64_t off)
{
	ssize_t r;

	why_clear();
	if (f->kind != FILE_DEVICE)
		r = refuse(EINVAL, "an iommufd cannot be read");
	else if (f->front->pid != this_pid())
		r = wrong_process(f, -1);
	else
		r = vfio_file_pread(f->vfio, (uintptr_t)buf, n, off);
	if (r < 0)
		explain_refusal("read", -1, (int)r);
	return r;
}

ssize_t edge_pwrite(struct file *f, const void *buf, size_t n, uint64_t off)
{
	ssize_t r;

	why_clear();
	if (f->kind != FILE_DEVICE)
		r = refuse(EINVAL, "an iommufd cannot be written");
	else if (f->front->pid != this_pid())
		r = wrong_process(f, -1);
	else
		r = vfio_file_pwrite(f->vfio, (uintptr_t)buf, n, off);
	if (r < 0)
		explain_refusal("write", -1, (int)r);
	return r;
}

/* A new mapping of memory obeys memory decode; what changes meanwhile is told to it as well. */
static void settle_access(struct vfio_pci *dev, unsigned bar)
{
	while (!vfio_pci_mem_on(dev)) {
		barmap_access(dev, bar, false);
		if (!vfio_pci_mem_on(dev))
			break;
		barmap_access(dev, bar, true);
	}
}

static int map_region(struct file *f, int fd, void *addr, size_t len, int prot, int flags,
		      uint64_t off, void **out)
{
	enum vfio_map_how how;
	void *va;
	int rc;

	if (f->kind != FILE_DEVICE)
		return refuse(ENODEV, "an iommufd has no region to map");
	if (f->front->pid != this_pid())
		return (int)wrong_process(f, fd);
	rc = vfio_file_mmap(f->vfio, len, prot, flags, off, &how);
	if (rc)
		return rc;
	if (fault_point())
		return refuse(ENOMEM, "no memory for the mapping");
	/* The placeholder backs a trapped mapping, so that the mapping keeps the file alive. */
	if (how == VFIO_MAP_FAULT)
		rc = sys_mmap(addr, len, PROT_NONE, flags, fd, off, &va);
	else
		rc = sys_mmap(addr, len, prot, flags, vfio_pci_memfd(vfio_file_device(f->vfio)),
			      off, &va);
	if (rc)
		return refuse(-rc, "the kernel refused the mapping");
	rc = barmap_add(f, (uintptr_t)va, len, prot, off, how == VFIO_MAP_FAULT);
	if (rc) {
		sys_munmap(va, len);
		return rc;
	}
	if (how == VFIO_MAP_MEMORY)
		settle_access(vfio_file_device(f->vfio), (unsigned)(off >> 40));
	*out = va;
	return 0;
}

int edge_mmap(struct file *f, int fd, void *addr, size_t len, int prot, int flags, uint64_t off,
	      void **out)
{
	int rc;

	why_clear();
	rc = map_region(f, fd, addr, len, prot, flags, off, out);
	if (rc)
		explain_refusal("mmap", fd, rc);
	return rc;
}

void front_forked(struct front *f)
{
	/* Our copy of the descriptor would keep the lock when the parent lets the device go. */
	for (unsigned i = 0; f && i < f->n_devs; i++) {
		fd_close_hidden(f->devs[i].lock_fd);
		f->devs[i].lock_fd = -1;
	}
}

void edge_forked(void)
{
	atomic_store_explicit(&edge_pid, 0, memory_order_relaxed);
	files_forked();
	barmap_forked();
}

long edge_ret(long r)
{
	if (r >= 0)
		return r;
	errno = (int)-r;
	return -1;
}
