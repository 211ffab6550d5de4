// SPDX-License-Identifier: MIT
/*
 * Files: which open file a descriptor names, and when a file dies.
 *
 * Invariants
 *  F1 file memory is type-stable: a struct file, once allocated, is only ever reused as one, so
 *     a reader that raced with its end may look at refs.
 *  F2 refs is 0 for a free file; otherwise 1 while alive, plus users, plus BAR mappings.
 *  F3 cache[fd] == f implies that the kernel's descriptor fd named f when the entry was made, and
 *     every hooked call that could change this has cleared it since. nfds counts these entries.
 *     A forked child has a copy; entries of its parent's files have no count there.
 *  F4 who clears the entry does so before the kernel's call and gives up the file only after it.
 */
#include "front/lib/edge.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "base/fault.h"
#include "base/fd.h"
#include "base/pool.h"
#include "base/sys.h"
#include "base/why.h"

#define CACHE_FDS       65536
#define PLACEHOLDER_LEN (16ull << 40)

static struct file *_Atomic cache[CACHE_FDS];
static struct mtx pool_lock = MTX_INIT(LOCK_POOL);
static struct list free_files = LIST_INIT(free_files);

static bool cached(int fd)
{
	return fd >= 0 && fd < CACHE_FDS;
}

bool file_maybe(int fd)
{
	return cached(fd) && atomic_load_explicit(&cache[fd], memory_order_relaxed);
}

static bool get_ref(struct file *f)
{
	uint32_t r = atomic_load_explicit(&f->refs, memory_order_relaxed);

	do {
		if (!r)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(&f->refs, &r, r + 1, memory_order_acquire,
							memory_order_relaxed));
	return true;
}

struct file *file_get(int fd)
{
	struct file *f;

	if (!cached(fd))
		return NULL;
	while ((f = atomic_load_explicit(&cache[fd], memory_order_acquire))) {
		if (!get_ref(f))
			return NULL;
		if (likely(atomic_load_explicit(&cache[fd], memory_order_relaxed) == f))
			return f;
		file_put(f); /* it died and lives again as another: look anew */
	}
	return NULL;
}

/* The last reference is gone: nobody can find the file any more. */
static COLD void destroy(struct file *f)
{
	struct front *front = f->front;

	if (f->kind == FILE_CTX)
		iommufd_ctx_put(f->ctx);
	else
		vfio_file_release(f->vfio);
	fd_close_hidden(f->probe);
	mtx_lock(&front->lock);
	if (f->kind == FILE_DEVICE && f->fdev->lock_owner == f) {
		fd_close_hidden(f->fdev->lock_fd);
		f->fdev->lock_fd = -1;
		f->fdev->lock_owner = NULL;
	}
	list_del(&f->in_front); /* last: an empty list says that the machine can go */
	mtx_unlock(&front->lock);
	mtx_lock(&pool_lock);
	list_add_tail(&free_files, &f->in_front);
	mtx_unlock(&pool_lock);
}

void file_put(struct file *f)
{
	if (unlikely(atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) == 1))
		destroy(f);
}

static int stat_fd(int fd, struct stat *st)
{
	return (int)sys_call(SYS_fstat, fd, (long)st, 0, 0, 0, 0);
}

static void cache_number(struct file *f, int fd) /* front.lock held */
{
	struct file *old;

	if (!cached(fd))
		return;
	old = atomic_exchange(&cache[fd], f);
	if (old == f)
		return;
	if (old && old->front == f->front && !--old->nfds)
		old->orphan = true; /* its last number was closed unseen: look who holds it */
	f->nfds++;
	f->orphan = false;
}

static COLD struct file *find_by_identity(struct front *front, int fd, const struct stat *st)
{
	struct file *found = NULL;

	mtx_lock(&front->lock);
	list_for_each(pos, &front->files) {
		struct file *f = list_entry(pos, struct file, in_front);

		if (f->dev == st->st_dev && f->ino == st->st_ino && get_ref(f)) {
			cache_number(f, fd);
			found = f;
			break;
		}
	}
	mtx_unlock(&front->lock);
	return found;
}

struct file *file_get_verified(struct front *front, int fd)
{
	struct file *f = file_get(fd);
	struct stat st;

	if ((!f && !front) || stat_fd(fd, &st)) {
		if (f)
			file_put(f);
		return NULL;
	}
	if (f) {
		if (f->dev == st.st_dev && f->ino == st.st_ino)
			return f;
		file_put(f);
	}
	return front && S_ISREG(st.st_mode) ? find_by_identity(front, fd, &st) : NULL;
}

int file_foreign(int fd)
{
	static const char ctx[] = "/memfd:iommu", dev[] = "/memfd:vfio";
	char path[40], name[64] = "";
	struct stat st;

	if (stat_fd(fd, &st) || !S_ISREG(st.st_mode) || st.st_nlink ||
	    (st.st_size && st.st_size != (off_t)PLACEHOLDER_LEN))
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	sys_call(SYS_readlinkat, AT_FDCWD, (long)path, (long)name, sizeof(name) - 1, 0, 0);
	if (strncmp(name, ctx, sizeof(ctx) - 1) && strncmp(name, dev, sizeof(dev) - 1))
		return 0;
	return refuse(ENODEV,
		      "descriptor %d was opened by another process: its machine is not ours, open "
		      "the device anew",
		      fd);
}

/*
 * The process whose memory this is: a vfork child has another number, a forked one has memory of
 * its own and tells us (files_forked).
 */
static _Atomic int owner;

static bool in_owner(void)
{
	int pid = (int)sys_call(SYS_getpid, 0, 0, 0, 0, 0, 0);
	int none = 0;

	return atomic_compare_exchange_strong(&owner, &none, pid) || none == pid;
}

struct file *file_close_begin(int fd)
{
	struct file *f;

	/* A vfork child shares our tables but not our descriptors. */
	if (likely(!file_maybe(fd)) || !in_owner())
		return NULL;
	f = file_get(fd);
	if (!f)
		return NULL;
	if (f->front->pid != atomic_load(&owner)) {
		/* The file of a parent: only the number matters, its counts are copies. */
		atomic_store(&cache[fd], NULL);
		return NULL;
	}
	mtx_lock(&f->front->lock);
	if (atomic_exchange(&cache[fd], NULL) == f)
		f->nfds--;
	mtx_unlock(&f->front->lock);
	return f;
}

void file_close_end(struct file *f, int fd, bool closed)
{
	struct front *front;
	bool dead = false, orphan = false;

	if (!f)
		return;
	front = f->front;
	mtx_lock(&front->lock);
	if (!closed) {
		cache_number(f, fd);
	} else if (!f->nfds && !f->orphan) {
		dead = !file_held(f);
		orphan = f->orphan = !dead;
	}
	mtx_unlock(&front->lock);
	if (dead)
		file_put(f);
	file_put(f);
	if (orphan)
		file_watch_orphans(front);
}

void file_duped(int oldfd, int newfd)
{
	struct file *f;

	if (likely(!file_maybe(oldfd)) || !in_owner())
		return;
	f = file_get(oldfd);
	if (!f)
		return;
	if (f->front->pid != atomic_load(&owner)) {
		if (cached(newfd))
			atomic_store(&cache[newfd], f);
	} else {
		mtx_lock(&f->front->lock);
		cache_number(f, newfd);
		mtx_unlock(&f->front->lock);
	}
	file_put(f);
}

static struct file *alloc_file(void)
{
	struct file *f = NULL;

	if (fault_point())
		return NULL;
	mtx_lock(&pool_lock);
	if (!list_empty(&free_files)) {
		f = list_entry(free_files.next, struct file, in_front);
		list_del(&f->in_front);
	}
	mtx_unlock(&pool_lock);
	if (!f)
		f = mem_zalloc(sizeof(*f));
	return f;
}

static void free_file(struct file *f)
{
	mtx_lock(&pool_lock);
	list_add_tail(&free_files, &f->in_front);
	mtx_unlock(&pool_lock);
}

/* The placeholder and our probe of it; the program's number in *@fd. */
static int make_placeholder(struct file *f, const char *name, uint64_t len, int flags, int *fd)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[40];
	struct stat st;
	int rc, probe;

	if (fault_point())
		return refuse(EMFILE, "no descriptor is left");
	rc = sys_memfd(name, flags & O_CLOEXEC ? MFD_CLOEXEC : 0);
	if (rc < 0)
		return refuse(-rc, "the placeholder descriptor could not be made");
	*fd = rc;
	/* Offsets of regions start at index << 40; an access beyond the end of a memfd is SIGBUS.
	 * A context has none: whoever reads it unseen by us (cat </dev/iommu) is soon done.
	 */
	rc = len ? sys_ftruncate(*fd, len) : 0;
	if (!rc)
		rc = stat_fd(*fd, &st);
	if (!rc)
		rc = sys_fcntl(*fd, F_OFD_SETLK, (long)&fl);
	if (rc)
		goto err_close;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", *fd);
	probe = fault_point() ? -EMFILE : sys_open(path, O_RDWR | O_CLOEXEC, 0);
	if (probe >= 0)
		probe = fd_hide(probe);
	rc = probe < 0 ? probe : 0;
	if (rc)
		goto err_close;
	f->probe = probe;
	f->dev = st.st_dev;
	f->ino = st.st_ino;
	return 0;
err_close:
	sys_close(*fd);
	return refuse(-rc, "the placeholder descriptor could not be set up");
}

static void publish(struct front *front, struct file *f, int fd)
{
	f->front = front;
	f->nfds = 0;
	f->orphan = false;
	atomic_store(&f->refs, 1);
	(void)in_owner(); /* noted before any vfork child can ask */
	mtx_lock(&front->lock);
	list_add_tail(&front->files, &f->in_front);
	cache_number(f, fd);
	mtx_unlock(&front->lock);
}

int file_open_ctx(struct front *front, int flags)
{
	struct file *f = alloc_file();
	int rc, fd;

	if (!f)
		return refuse(ENOMEM, "no memory for the file");
	file_reap(front);
	rc = iommufd_ctx_create(front->machine, &f->ctx);
	if (rc)
		goto err_file;
	rc = make_placeholder(f, "iommu", 0, flags, &fd);
	if (rc)
		goto err_ctx;
	f->kind = FILE_CTX;
	f->fdev = NULL;
	publish(front, f, fd);
	return fd;
err_ctx:
	iommufd_ctx_put(f->ctx);
err_file:
	free_file(f);
	return rc;
}

int file_open_device(struct front *front, unsigned index, int flags)
{
	struct file *f;
	char name[24];
	int rc, fd;

	if (index >= front->n_devs)
		return refuse(ENOENT, "there is no device vfio%u", index);
	f = alloc_file();
	if (!f)
		return refuse(ENOMEM, "no memory for the file");
	file_reap(front);
	rc = vfio_file_open(front->devs[index].pci, &f->vfio);
	if (rc)
		goto err_file;
	snprintf(name, sizeof(name), "vfio%u", index);
	rc = make_placeholder(f, name, PLACEHOLDER_LEN, flags, &fd);
	if (rc)
		goto err_vfio;
	f->kind = FILE_DEVICE;
	f->fdev = &front->devs[index];
	publish(front, f, fd);
	return fd;
err_vfio:
	vfio_file_release(f->vfio);
err_file:
	free_file(f);
	return rc;
}

const char *file_path(const struct file *f, char *buf, size_t len)
{
	if (f->kind == FILE_CTX)
		snprintf(buf, len, "/dev/iommu");
	else
		snprintf(buf, len, "/dev/vfio/devices/vfio%u", f->fdev->minor);
	return buf;
}

bool file_fix_stat(struct front *front, struct stat *st)
{
	bool found = false;

	if (!S_ISREG(st->st_mode))
		return false;
	mtx_lock(&front->lock);
	list_for_each(pos, &front->files) {
		struct file *f = list_entry(pos, struct file, in_front);

		if (f->dev != st->st_dev || f->ino != st->st_ino)
			continue;
		st->st_mode = S_IFCHR | (f->kind == FILE_CTX ? 0660 : 0600);
		st->st_nlink = 1;
		st->st_rdev = f->kind == FILE_CTX ? makedev(10, FRONT_IOMMU_MINOR)
						  : makedev(front->major, f->fdev->minor);
		st->st_size = 0;
		st->st_blocks = 0;
		found = true;
		break;
	}
	mtx_unlock(&front->lock);
	return found;
}

void files_forked(void)
{
	atomic_store(&owner, 0);
	mtx_init(&pool_lock, LOCK_POOL);
	list_init(&free_files); /* the list may have been in motion: let its files be */
}
