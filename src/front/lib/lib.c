// SPDX-License-Identifier: MIT
/* The library API: a machine in the caller's process, driven by descriptor numbers. */
#include <uiommufd/uiommufd.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/pool.h"
#include "base/sys.h"
#include "base/why.h"
#include "front/lib/edge.h"

struct uiommufd_machine {
	struct front *front;
	void (*fault_fn)(void *arg, const struct uiommufd_fault *fault);
	void *fault_arg;
};

API int uiommufd_machine_create(const struct uiommufd_machine_options *options,
				struct uiommufd_machine **out)
{
	struct uiommufd_machine *m;
	struct config c;
	int rc = 0;

	why_clear();
	if (options && options->size < sizeof(*options))
		return refuse(EINVAL, "options.size is %zu, at least %zu expected", options->size,
			      sizeof(*options));
	config_init(&c);
	m = mem_zalloc(sizeof(*m));
	if (!m)
		return refuse(ENOMEM, "no memory for the machine");
	if (options && options->config)
		rc = config_parse(&c, options->config);
	if (!rc)
		rc = front_create(&c, &m->front);
	config_finish(&c);
	if (rc) {
		mem_free(m);
		return rc;
	}
	*out = m;
	return 0;
}

API int uiommufd_machine_destroy(struct uiommufd_machine *m)
{
	bool busy;

	if (!m)
		return 0;
	file_reap(m->front);
	mtx_lock(&m->front->lock);
	busy = !list_empty(&m->front->files);
	mtx_unlock(&m->front->lock);
	if (busy)
		return refuse(EBUSY, "a file of the machine is still open");
	front_destroy(m->front);
	mem_free(m);
	return 0;
}

API int uiommufd_open(struct uiommufd_machine *m, const char *path, int flags)
{
	static const char prefix[] = "/dev/vfio/devices/vfio";
	unsigned long index;
	char *end;

	why_clear();
	if (!strcmp(path, "/dev/iommu"))
		return file_open_ctx(m->front, flags);
	if (strncmp(path, prefix, sizeof(prefix) - 1))
		return refuse(ENOENT, "there is no %s on the machine", path);
	index = strtoul(path + sizeof(prefix) - 1, &end, 10);
	if (*end || end == path + sizeof(prefix) - 1 || index > UINT32_MAX)
		return refuse(ENOENT, "there is no %s on the machine", path);
	return file_open_device(m->front, (unsigned)index, flags);
}

/* The file behind @fd if it belongs to @m. */
static struct file *get(struct uiommufd_machine *m, int fd)
{
	struct file *f = file_get_verified(m->front, fd);

	why_clear();
	if (f && f->front != m->front) {
		file_put(f);
		f = NULL;
	}
	if (!f)
		refuse(EBADF, "descriptor %d is not a file of the machine", fd);
	return f;
}

API int uiommufd_close(struct uiommufd_machine *m, int fd)
{
	struct file *f = get(m, fd);
	int rc;

	if (!f)
		return -EBADF;
	file_put(f);
	f = file_close_begin(fd);
	rc = sys_close(fd);
	file_close_end(f, fd, true);
	return rc;
}

API long uiommufd_ioctl(struct uiommufd_machine *m, int fd, unsigned long request, void *arg)
{
	struct file *f = get(m, fd);
	long r;

	if (!f)
		return -EBADF;
	r = edge_ioctl(f, fd, request, (uintptr_t)arg);
	file_put(f);
	return r;
}

API ssize_t uiommufd_pread(struct uiommufd_machine *m, int fd, void *buf, size_t count,
			   off_t offset)
{
	struct file *f = get(m, fd);
	ssize_t r;

	if (!f)
		return -EBADF;
	r = edge_pread(f, buf, count, (uint64_t)offset);
	file_put(f);
	return r;
}

API ssize_t uiommufd_pwrite(struct uiommufd_machine *m, int fd, const void *buf, size_t count,
			    off_t offset)
{
	struct file *f = get(m, fd);
	ssize_t r;

	if (!f)
		return -EBADF;
	r = edge_pwrite(f, buf, count, (uint64_t)offset);
	file_put(f);
	return r;
}

API int uiommufd_mmap(struct uiommufd_machine *m, int fd, void *addr, size_t length, int prot,
		      int flags, off_t offset, void **out)
{
	struct file *f = get(m, fd);
	int rc;

	if (!f)
		return -EBADF;
	rc = edge_mmap(f, fd, addr, length, prot, flags, (uint64_t)offset, out);
	file_put(f);
	return rc;
}

API int uiommufd_munmap(struct uiommufd_machine *m, void *addr, size_t length)
{
	bool bar = barmap_before_unmap((uintptr_t)addr, length);
	int rc = sys_munmap(addr, length);

	if (bar)
		barmap_after_unmap(m->front);
	return rc;
}

API const char *uiommufd_last_reason(void)
{
	return why_last();
}

static void to_public(const struct iommu_fault *f, struct uiommufd_fault *out)
{
	memset(out, 0, sizeof(*out));
	out->sequence = f->seq;
	memcpy(out->device, f->device, sizeof(out->device));
	out->pasid = f->pasid;
	out->is_write = f->write;
	out->iova = f->iova;
	out->length = f->len;
	memcpy(out->text, f->text, sizeof(out->text));
}

API int uiommufd_next_fault(struct uiommufd_machine *m, uint64_t after, struct uiommufd_fault *out,
			    size_t out_size)
{
	struct iommu_fault_log *log = &m->front->machine->faults;
	struct iommu_fault rec;
	struct uiommufd_fault pub;
	uint64_t newest, seq;

	mtx_lock(&log->lock);
	newest = log->count;
	mtx_unlock(&log->lock);
	seq = newest > FAULT_LOG_SIZE ? max_u64(after + 1, newest - FAULT_LOG_SIZE + 1) : after + 1;
	for (; seq <= newest; seq++) {
		if (!iommu_fault_get(log, seq, &rec))
			continue;
		to_public(&rec, &pub);
		memcpy(out, &pub, out_size < sizeof(pub) ? out_size : sizeof(pub));
		return 1;
	}
	return 0;
}

static void on_fault(void *arg, const struct iommu_fault *f)
{
	struct uiommufd_machine *m = arg;
	struct iommu_fault_log *log = &m->front->machine->faults;
	void (*fn)(void *arg, const struct uiommufd_fault *fault);
	struct uiommufd_fault pub;

	/* The log has let go of its lock: both may have changed since it chose us. */
	mtx_lock(&log->lock);
	fn = m->fault_fn;
	arg = m->fault_arg;
	mtx_unlock(&log->lock);
	to_public(f, &pub);
	if (fn)
		fn(arg, &pub);
}

API void uiommufd_on_fault(struct uiommufd_machine *m,
			   void (*fn)(void *arg, const struct uiommufd_fault *fault), void *arg)
{
	struct iommu_fault_log *log = &m->front->machine->faults;

	mtx_lock(&log->lock);
	m->fault_fn = fn;
	m->fault_arg = arg;
	log->sink = fn ? on_fault : explain_fault;
	log->sink_arg = m;
	mtx_unlock(&log->lock);
}

API const char *uiommufd_version(void)
{
	return UIOMMUFD_VERSION;
}
