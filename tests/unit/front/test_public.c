// SPDX-License-Identifier: MIT
/*
 * Does the library do what <uiommufd/uiommufd.h> says? Nothing but that header and the numbers of
 * the ABI: what a program of somebody else's has.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <uiommufd/uiommufd.h>

#include "abi/iommufd.h"
#include "abi/vfio.h"

#define CONFIG   (7ull << 40)
#define MEM_LEN  (1u << 21)
#define IOVA     0x100000ull
#define BAR_LEN  0x4000u
#define CHANCTRL 0x80u
#define CHANCMD  0x84u
#define DMACOUNT 0x86u
#define CHANSTS  0x88u
#define CHAIN    0x90u
#define CHANCMP  0x98u

struct descriptor {
	uint32_t size, ctl;
	uint64_t src, dst, next, rest[4];
};

struct rig {
	struct uiommufd_machine *m;
	int ctx, dev, event;
	uint32_t ioas;
	uint8_t *mem;
	bool mapped; /* through the BAR's mapping, not by pread and pwrite */
	volatile uint8_t *bar;
};

static void reg_write(struct rig *r, uint64_t off, uint64_t val, size_t n)
{
	if (!r->mapped)
		assert_int_equal(uiommufd_pwrite(r->m, r->dev, &val, n, (off_t)off), (int)n);
	else if (n == 1)
		r->bar[off] = (uint8_t)val;
	else if (n == 2)
		*(volatile uint16_t *)(r->bar + off) = (uint16_t)val;
	else
		*(volatile uint64_t *)(r->bar + off) = val;
}

static uint64_t reg_read(struct rig *r, uint64_t off, size_t n)
{
	uint64_t val = 0;

	if (r->mapped)
		return n == 1 ? r->bar[off] : *(volatile uint64_t *)(r->bar + off);
	assert_int_equal(uiommufd_pread(r->m, r->dev, &val, n, (off_t)off), (int)n);
	return val;
}

static void bind_and_attach(struct rig *r)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = r->ctx };
	struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach), .pt_id = r->ioas };
	uint16_t command = 6;

	assert_int_equal(uiommufd_ioctl(r->m, r->dev, VFIO_DEVICE_BIND_IOMMUFD, &bind), 0);
	assert_int_equal(uiommufd_ioctl(r->m, r->dev, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach), 0);
	assert_int_equal(uiommufd_pwrite(r->m, r->dev, &command, 2, (off_t)(CONFIG + 4)), 2);
}

static void wire(struct rig *r)
{
	uint32_t set[6] = { sizeof(set), VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			    VFIO_PCI_MSIX_IRQ_INDEX, 0, 1 };

	r->event = eventfd(0, EFD_CLOEXEC);
	set[5] = (uint32_t)r->event;
	assert_int_equal(uiommufd_ioctl(r->m, r->dev, VFIO_DEVICE_SET_IRQS, set), 0);
}

static void rig_open(struct rig *r, const char *config, bool mapped)
{
	struct uiommufd_machine_options o = { .size = sizeof(o), .config = config };
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct iommu_ioas_map map = { .size = sizeof(map),
				      .flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
					       IOMMU_IOAS_MAP_WRITEABLE,
				      .length = MEM_LEN,
				      .iova = IOVA };
	void *bar = NULL;

	memset(r, 0, sizeof(*r));
	assert_int_equal(uiommufd_machine_create(&o, &r->m), 0);
	r->ctx = uiommufd_open(r->m, "/dev/iommu", O_RDWR | O_CLOEXEC);
	r->dev = uiommufd_open(r->m, "/dev/vfio/devices/vfio0", O_RDWR | O_CLOEXEC);
	assert_true(r->ctx >= 0 && r->dev >= 0);
	assert_int_equal(uiommufd_ioctl(r->m, r->ctx, IOMMU_IOAS_ALLOC, &alloc), 0);
	r->ioas = alloc.out_ioas_id;
	r->mem = mmap(NULL, MEM_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(r->mem, MAP_FAILED);
	map.ioas_id = r->ioas;
	map.user_va = (uintptr_t)r->mem;
	assert_int_equal(uiommufd_ioctl(r->m, r->ctx, IOMMU_IOAS_MAP, &map), 0);
	bind_and_attach(r);
	wire(r);
	r->mapped = mapped;
	if (mapped)
		assert_int_equal(uiommufd_mmap(r->m, r->dev, NULL, BAR_LEN, PROT_READ | PROT_WRITE,
					       MAP_SHARED, 0, &bar),
				 0);
	r->bar = bar;
}

static void rig_close(struct rig *r)
{
	struct iommu_ioas_unmap unmap = { .size = sizeof(unmap), .length = UINT64_MAX };

	unmap.ioas_id = r->ioas;
	if (r->mapped)
		assert_int_equal(uiommufd_munmap(r->m, (void *)(uintptr_t)r->bar, BAR_LEN), 0);
	assert_int_equal(uiommufd_ioctl(r->m, r->ctx, IOMMU_IOAS_UNMAP, &unmap), 0);
	assert_int_equal(uiommufd_close(r->m, r->dev), 0);
	assert_int_equal(uiommufd_close(r->m, r->ctx), 0);
	assert_int_equal(uiommufd_machine_destroy(r->m), 0);
	munmap(r->mem, MEM_LEN);
	close(r->event);
}

/* One descriptor with completion and interrupt. The state that CHANSTS ends in. */
static unsigned copy(struct rig *r, uint64_t dst, uint64_t src, uint32_t len)
{
	struct descriptor *d = (void *)r->mem;
	struct pollfd p = { .fd = r->event, .events = POLLIN };

	*d = (struct descriptor){ .size = len, .ctl = 9, .src = src, .dst = dst, .next = IOVA };
	reg_write(r, CHANCMD, 0x20, 1);
	while (reg_read(r, CHANCMD, 1) & 0x20)
		;
	reg_write(r, CHANCMP, IOVA + 0x1000, 8);
	reg_write(r, CHAIN, IOVA, 8);
	reg_write(r, CHANCTRL, 0x1d, 2);
	reg_write(r, DMACOUNT, 1, 2);
	assert_int_equal(poll(&p, 1, 10000), 1);
	return (unsigned)(reg_read(r, CHANSTS, 8) & 7);
}

static void check_copy(const char *config, bool mapped)
{
	struct rig r;

	rig_open(&r, config, mapped);
	memset(r.mem + 0x10000, 'x', 100001);
	assert_int_equal(copy(&r, IOVA + 0x80003, IOVA + 0x10000, 100001), 1);
	assert_memory_equal(r.mem + 0x80003, r.mem + 0x10000, 100001);
	rig_close(&r);
}

static void dma__registers_by_pwrite__bytes_moved(void **state)
{
	(void)state;
	check_copy("device=ioat,bar0=trap", false);
}

static void dma__registers_by_mapping__bytes_moved(void **state)
{
	(void)state;
	check_copy(NULL, true);
}

static _Atomic unsigned told;

static void count_fault(void *arg, const struct uiommufd_fault *f)
{
	(void)f;
	atomic_fetch_add(&told, 1);
	*(_Atomic unsigned *)arg = 1;
}

static void fault__past_the_mapping__recorded_and_told(void **state)
{
	_Atomic unsigned mine = 0;
	struct uiommufd_fault f;
	struct rig r;

	(void)state;
	rig_open(&r, NULL, false);
	assert_int_equal(uiommufd_next_fault(r.m, 0, &f, sizeof(f)), 0);
	uiommufd_on_fault(r.m, count_fault, &mine);
	assert_int_equal(copy(&r, IOVA + MEM_LEN - 100, IOVA, 200), 3);
	assert_int_equal(mine, 1);
	assert_int_equal(uiommufd_next_fault(r.m, 0, &f, sizeof(f)), 1);
	assert_int_equal(f.sequence, 1);
	assert_int_equal(f.iova, IOVA + MEM_LEN);
	assert_int_equal(f.length, 100);
	assert_true(f.is_write);
	assert_string_equal(f.device, "0000:01:00.0");
	assert_non_null(strstr(f.text, "no mapping"));
	assert_int_equal(uiommufd_next_fault(r.m, 1, &f, sizeof(f)), 0);
	rig_close(&r);
}

struct toggler {
	struct rig *r;
	_Atomic unsigned seen, stop;
};

static void *toggle(void *arg)
{
	struct toggler *t = arg;

	while (!atomic_load(&t->stop)) {
		uiommufd_on_fault(t->r->m, count_fault, &t->seen);
		uiommufd_on_fault(t->r->m, NULL, NULL);
	}
	return NULL;
}

static void on_fault__removed_while_faults_come__not_called(void **state)
{
	struct toggler t = { 0 };
	pthread_t thread;
	struct rig r;
	uint64_t sink;

	(void)state;
	rig_open(&r, NULL, false);
	t.r = &r;
	assert_int_equal(pthread_create(&thread, NULL, toggle, &t), 0);
	for (unsigned i = 0; i < 2000; i++) {
		assert_int_equal(copy(&r, 0x80000000, IOVA, 8), 3);
		assert_int_equal(read(r.event, &sink, sizeof(sink)), (int)sizeof(sink));
	}
	atomic_store(&t.stop, 1);
	pthread_join(thread, NULL);
	rig_close(&r);
}

static void create__bad_config__einval_and_reason(void **state)
{
	struct uiommufd_machine_options o = { .size = sizeof(o), .config = "device=nothing" };
	struct uiommufd_machine *m = NULL;

	(void)state;
	errno = 77;
	assert_int_equal(uiommufd_machine_create(&o, &m), -EINVAL);
	assert_non_null(strstr(uiommufd_last_reason(), "nothing"));
	o.size = 1;
	assert_int_equal(uiommufd_machine_create(&o, &m), -EINVAL);
	assert_null(m);
	assert_int_equal(errno, 77);
}

static void open__no_such_path__enoent(void **state)
{
	struct uiommufd_machine *m;

	(void)state;
	assert_int_equal(uiommufd_machine_create(NULL, &m), 0);
	assert_int_equal(uiommufd_open(m, "/dev/vfio/devices/vfio1", O_RDWR), -ENOENT);
	assert_int_equal(uiommufd_open(m, "/dev/vfio/devices/vfio", O_RDWR), -ENOENT);
	assert_int_equal(uiommufd_open(m, "/etc/passwd", O_RDWR), -ENOENT);
	assert_int_equal(uiommufd_ioctl(m, 0, IOMMU_IOAS_ALLOC, NULL), -EBADF);
	assert_int_equal(uiommufd_machine_destroy(m), 0);
}

static void machines__two__know_nothing_of_each_other(void **state)
{
	struct rig a, b;

	(void)state;
	rig_open(&a, NULL, false);
	rig_open(&b, NULL, true);
	assert_int_equal(uiommufd_ioctl(a.m, b.ctx, IOMMU_IOAS_ALLOC, NULL), -EBADF);
	memset(a.mem + 0x10000, 'a', 4096);
	memset(b.mem + 0x10000, 'b', 4096);
	assert_int_equal(copy(&a, IOVA + 0x20000, IOVA + 0x10000, 4096), 1);
	assert_int_equal(copy(&b, IOVA + 0x20000, IOVA + 0x10000, 4096), 1);
	assert_int_equal(a.mem[0x20000], 'a');
	assert_int_equal(b.mem[0x20000], 'b');
	rig_close(&a);
	rig_close(&b);
}

static void destroy__file_open__ebusy(void **state)
{
	struct uiommufd_machine *m;
	int fd;

	(void)state;
	assert_int_equal(uiommufd_machine_create(NULL, &m), 0);
	fd = uiommufd_open(m, "/dev/iommu", O_RDWR);
	assert_int_equal(uiommufd_machine_destroy(m), -EBUSY);
	assert_int_equal(uiommufd_close(m, fd), 0);
	assert_int_equal(uiommufd_close(m, fd), -EBADF);
	assert_int_equal(uiommufd_machine_destroy(m), 0);
}

/* A copy that the library never heard of keeps the file, and a thread watches it. */
static void destroy__after_an_unseen_copy_went__nobody_watches_on(void **state)
{
	struct uiommufd_machine *m;
	int fd, copy_fd;

	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(uiommufd_machine_create(NULL, &m), 0);
		fd = uiommufd_open(m, "/dev/iommu", O_RDWR);
		copy_fd = dup(fd);
		assert_int_equal(uiommufd_close(m, fd), 0);
		assert_int_equal(uiommufd_machine_destroy(m), -EBUSY);
		close(copy_fd);
		usleep(i * 100);
		assert_int_equal(uiommufd_machine_destroy(m), 0);
	}
	usleep(200000); /* long enough for a watcher left behind to look */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(create__bad_config__einval_and_reason),
		cmocka_unit_test(open__no_such_path__enoent),
		cmocka_unit_test(dma__registers_by_pwrite__bytes_moved),
		cmocka_unit_test(dma__registers_by_mapping__bytes_moved),
		cmocka_unit_test(fault__past_the_mapping__recorded_and_told),
		cmocka_unit_test(on_fault__removed_while_faults_come__not_called),
		cmocka_unit_test(machines__two__know_nothing_of_each_other),
		cmocka_unit_test(destroy__file_open__ebusy),
		cmocka_unit_test(destroy__after_an_unseen_copy_went__nobody_watches_on),
	};

	return cmocka_run_group_tests_name("public", tests, NULL, NULL);
}
