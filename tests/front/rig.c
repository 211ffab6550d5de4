// SPDX-License-Identifier: MIT
/* The client of the end-to-end tests: an I/OAT engine driven through iommufd and VFIO. */
#include "rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* From the start of BAR 0. */
enum {
	REG_INTRCTRL = 0x03,
	CH_CTRL = 0x80,
	CH_CMD = 0x84,
	CH_COUNT = 0x86,
	CH_CHAIN = 0x90,
	CH_COMPLETION = 0x98,
};

struct rig_desc {
	uint32_t size, control;
	uint64_t src, dst, next, unused[4];
};

#define RING_SLOTS 4096u

int open_iommu(void)
{
	int fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

int open_device(void)
{
	int fd = open(NODE, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

int try_bind(int dev, int iommu)
{
	struct vfio_device_bind_iommufd b = { .argsz = sizeof(b), .iommufd = iommu };

	return ioctl(dev, VFIO_DEVICE_BIND_IOMMUFD, &b) ? -errno : 0;
}

int try_alloc_ioas(int iommu, uint32_t *id)
{
	struct iommu_ioas_alloc a = { .size = sizeof(a) };

	if (ioctl(iommu, IOMMU_IOAS_ALLOC, &a))
		return -errno;
	*id = a.out_ioas_id;
	return 0;
}

uint32_t alloc_ioas(int iommu)
{
	uint32_t id = 0;

	assert_int_equal(try_alloc_ioas(iommu, &id), 0);
	assert_true(id);
	return id;
}

uint64_t map_dma(struct rig *r, void *va, size_t len)
{
	struct iommu_ioas_map m = {
		.size = sizeof(m),
		.flags = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE,
		.ioas_id = r->ioas,
		.user_va = (uintptr_t)va,
		.length = len,
	};

	assert_int_equal(ioctl(r->iommu, IOMMU_IOAS_MAP, &m), 0);
	return m.iova;
}

int unmap_dma(struct rig *r, uint64_t iova, size_t len)
{
	struct iommu_ioas_unmap u = {
		.size = sizeof(u), .ioas_id = r->ioas, .iova = iova, .length = len
	};

	return ioctl(r->iommu, IOMMU_IOAS_UNMAP, &u) ? -errno : 0;
}

uint16_t get_command(int dev)
{
	uint16_t v;

	assert_int_equal(pread(dev, &v, 2, CONFIG + 4), 2);
	return v;
}

void set_command(int dev, uint16_t bits)
{
	assert_int_equal(pwrite(dev, &bits, 2, CONFIG + 4), 2);
}

static void wire_interrupt(struct rig *r)
{
	union {
		struct vfio_irq_set set;
		char room[sizeof(struct vfio_irq_set) + sizeof(int32_t)];
	} u = { .set = { .argsz = sizeof(u.room),
			 .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			 .index = VFIO_PCI_MSIX_IRQ_INDEX,
			 .count = 1 } };

	r->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_true(r->event >= 0);
	memcpy(u.room + sizeof(u.set), &r->event, sizeof(int32_t));
	assert_int_equal(ioctl(r->dev, VFIO_DEVICE_SET_IRQS, &u.set), 0);
	r->bar[REG_INTRCTRL] = 0x09;
}

void rig_open(struct rig *r)
{
	struct vfio_device_attach_iommufd_pt at = { .argsz = sizeof(at) };
	size_t ring = RING_SLOTS * sizeof(struct rig_desc);

	memset(r, 0, sizeof(*r));
	r->iommu = open_iommu();
	r->dev = open_device();
	assert_int_equal(try_bind(r->dev, r->iommu), 0);
	r->ioas = alloc_ioas(r->iommu);
	at.pt_id = r->ioas;
	assert_int_equal(ioctl(r->dev, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &at), 0);
	set_command(r->dev, get_command(r->dev) | 6);
	r->bar = mmap(NULL, BAR_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, r->dev, BAR0);
	assert_ptr_not_equal(r->bar, MAP_FAILED);
	r->ring = mmap(NULL, ring, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(r->ring, MAP_FAILED);
	r->ring_iova = map_dma(r, r->ring, ring);
	r->slots = RING_SLOTS - 1;
	r->bar[CH_CMD] = 0x20;
	while (r->bar[CH_CMD] & 0x20)
		usleep(100);
	wire_interrupt(r);
}

void rig_close(struct rig *r)
{
	munmap((void *)(uintptr_t)r->bar, BAR_LEN);
	close(r->dev);
	close(r->iommu);
	close(r->event);
	munmap(r->ring, RING_SLOTS * sizeof(struct rig_desc));
}

static volatile uint64_t *completion(struct rig *r)
{
	return &r->ring[r->slots].src;
}

void copy_start(struct rig *r, uint64_t dst, uint64_t src, size_t len, size_t step)
{
	unsigned n = 0;

	for (size_t at = 0; at < len; n++) {
		struct rig_desc *d = &r->ring[n];

		assert_true(n < r->slots);
		memset(d, 0, sizeof(*d));
		d->size = (uint32_t)(len - at < step ? len - at : step);
		d->src = src + at;
		d->dst = dst + at;
		d->next = r->ring_iova + (n + 1) * sizeof(*d);
		at += d->size;
	}
	r->ring[n - 1].control = 9; /* interrupt and completion */
	*completion(r) = 0;
	*(volatile uint64_t *)(r->bar + CH_CHAIN) = r->ring_iova;
	*(volatile uint64_t *)(r->bar + CH_COMPLETION) =
		r->ring_iova + r->slots * sizeof(*r->ring) + offsetof(struct rig_desc, src);
	*(volatile uint16_t *)(r->bar + CH_CTRL) = 0x1d;
	*(volatile uint16_t *)(r->bar + CH_COUNT) = (uint16_t)n;
}

unsigned copy_wait(struct rig *r)
{
	struct pollfd p = { .fd = r->event, .events = POLLIN };
	unsigned status;
	uint64_t count;

	assert_int_equal(poll(&p, 1, 20000), 1);
	assert_int_equal(read(r->event, &count, 8), 8);
	status = *completion(r) & STATUS_MASK;
	if (status == 3) { /* ready for the next one */
		*(volatile uint32_t *)(r->bar + 0xa8) = *(volatile uint32_t *)(r->bar + 0xa8);
		r->bar[CH_CMD] = 0x20;
		while (r->bar[CH_CMD] & 0x20)
			usleep(100);
	}
	return status;
}

int in_child(void (*fn)(void *arg), void *arg)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		fn(arg);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

size_t count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}
