// SPDX-License-Identifier: MIT
/* Device files: states, BIND, ATTACH, DETACH, close. */
#include "rig.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

static void ioctl__unbound__einval(void **state)
{
	struct rig *r = rig_new(NULL);
	struct vfio_file *f = rig_open(r, 0), *g = rig_open(r, 0);
	struct vfio_device_info info = { .argsz = sizeof(info) };
	enum vfio_map_how how;
	uint32_t pt = 1;
	char b[4];

	(void)state;
	for (struct vfio_file *x = f; x; x = x == f ? g : NULL) {
		assert_refused(IO(x, VFIO_DEVICE_GET_INFO, &info), EINVAL);
		assert_refused(IO(x, 0x3bff, NULL), EINVAL);
		assert_refused(IO(x, 0x5401, NULL), EINVAL);
		assert_refused(rig_attach(x, &pt), EINVAL);
		assert_refused(vfio_file_pread(x, (uintptr_t)b, 4, 7ull << 40), EINVAL);
		assert_refused(vfio_file_pread(x, (uintptr_t)b, 0, 7ull << 40), EINVAL);
		assert_refused(vfio_file_pwrite(x, (uintptr_t)b, 4, 7ull << 40), EINVAL);
		assert_refused(vfio_file_mmap(x, 4096, PROT_READ, MAP_SHARED, 0, &how), EINVAL);
	}
	assert_int_equal(info.flags, 0);
	vfio_file_release(f);
	assert_int_equal(rig_bind(r, g, 0, NULL), 0);
	assert_refused(IO(g, 0x3bff, NULL), ENOTTY);
	/* A sign-extended number is the same number. */
	assert_int_equal(IO(g, 0xffffffff00000000ul | VFIO_DEVICE_GET_INFO, &info), 0);
	vfio_file_release(g);
	rig_free(r);
}

static void bind__argsz_and_flags__checked_in_order(void **state)
{
	struct rig *r = rig_new(NULL);
	struct vfio_file *f = rig_open(r, 0);
	struct {
		struct vfio_device_bind_iommufd b;
		uint64_t more;
	} c = { { .argsz = 15, .flags = 2, .iommufd = r->ctx_fd[0] }, 1 };
	uint8_t uuid[16] = { 1 };

	(void)state;
	assert_refused(IO(f, VFIO_DEVICE_BIND_IOMMUFD, NULL), EFAULT);
	assert_refused(IO(f, VFIO_DEVICE_BIND_IOMMUFD, &c), EINVAL);
	c.b.argsz = 32;
	assert_refused(IO(f, VFIO_DEVICE_BIND_IOMMUFD, &c), E2BIG);
	c.more = 0;
	assert_refused(IO(f, VFIO_DEVICE_BIND_IOMMUFD, &c), EINVAL);
	c.b.flags = 0;
	c.b.iommufd = -1;
	assert_refused(IO(f, VFIO_DEVICE_BIND_IOMMUFD, &c), EINVAL);
	c.b.iommufd = -2;
	assert_refused(IO(f, VFIO_DEVICE_BIND_IOMMUFD, &c), EINVAL);
	c.b.iommufd = r->ctx_fd[0];
	c.b.flags = VFIO_DEVICE_BIND_FLAG_TOKEN;
	assert_refused(IO(f, VFIO_DEVICE_BIND_IOMMUFD, &c), EFAULT);
	c.b.token_uuid_ptr = (uintptr_t)uuid;
	assert_refused(IO(f, VFIO_DEVICE_BIND_IOMMUFD, &c), EINVAL);
	assert_null(r->pci[0]->owner);
	c.b.flags = 0;
	assert_int_equal(IO(f, VFIO_DEVICE_BIND_IOMMUFD, &c), 0);
	assert_int_not_equal(c.b.out_devid, 0);
	assert_ptr_equal(r->pci[0]->owner, f);
	vfio_file_release(f);
	f = rig_open(r, 0);
	c.b.argsz = 16;
	c.b.token_uuid_ptr = 1;
	assert_int_equal(IO(f, VFIO_DEVICE_BIND_IOMMUFD, &c), 0);
	vfio_file_release(f);
	rig_free(r);
}

static void bind__bad_iommufd__ebadf_or_ebadfd(void **state)
{
	struct rig *r = rig_new(NULL);
	struct vfio_file *f = rig_open(r, 0);
	struct vfio_device_bind_iommufd b = { .argsz = 16, .iommufd = 1023 };
	int e = rig_eventfd(0);

	(void)state;
	assert_refused(IO(f, VFIO_DEVICE_BIND_IOMMUFD, &b), EBADF);
	b.iommufd = e;
	assert_refused(IO(f, VFIO_DEVICE_BIND_IOMMUFD, &b), EBADFD);
	assert_null(r->pci[0]->owner);
	assert_int_equal(b.out_devid, 0);
	close(e);
	vfio_file_release(f);
	rig_free(r);
}

static void bind__bound_already__einval(void **state)
{
	struct rig *r = *state;
	struct vfio_file *g = rig_open(r, 0);

	assert_refused(rig_bind(r, r->f, 0, NULL), EINVAL);
	assert_refused(rig_bind(r, g, 0, NULL), EINVAL);
	assert_refused(rig_bind(r, g, 1, NULL), EINVAL);
	assert_ptr_equal(r->pci[0]->owner, r->f);
	vfio_file_release(r->f);
	r->f = NULL;
	assert_int_equal(rig_bind(r, g, 1, NULL), 0);
	r->f = g;
}

static void bind__readonly_output__undone(void **state)
{
	struct rig *r = rig_new(NULL);
	struct vfio_file *f = rig_open(r, 0);
	struct vfio_device_bind_iommufd b = { .argsz = 16, .iommufd = r->ctx_fd[0] };
	void *p = rig_readonly(&b, sizeof(b));
	uint32_t ioas = rig_ioas(r, 0), id;

	(void)state;
	assert_refused(IO(f, VFIO_DEVICE_BIND_IOMMUFD, p), EFAULT);
	assert_null(r->pci[0]->owner);
	assert_false(r->fn[0]->bus_master);
	assert_false(iommufd_ctx_has_group(r->ctx[0], r->fn[0]->idev.group));
	assert_int_equal(rig_bind(r, f, 0, &id), 0);
	assert_int_equal(id, ioas + 1);
	munmap(p, 4096);
	vfio_file_release(f);
	rig_free(r);
}

static void bind__function__reset_and_quiet(void **state)
{
	struct rig *r = *state;
	struct probe *p = rig_probe(r, 0);
	unsigned resets = p->resets;

	assert_false(p->master);
	assert_true(p->memory);
	rig_cfg_set(r->f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | 0x400);
	assert_true(p->master);
	assert_true(r->fn[0]->bus_master);
	rig_bar_set(r->f, 0, 0x100, 4, 77);
	vfio_file_release(r->f);
	assert_false(r->fn[0]->bus_master);
	assert_true(p->resets > resets);
	r->f = rig_open(r, 0);
	assert_int_equal(rig_bind(r, r->f, 0, &r->devid), 0);
	assert_int_equal(rig_cfg(r->f, PCI_COMMAND, 2), PCI_COMMAND_MEMORY);
	assert_int_equal(rig_bar(r->f, 0, 0x100, 4), 0);
}

static void close__bound__devid_gone(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_destroy(r, 0, r->devid), -EBUSY);
	vfio_file_release(r->f);
	r->f = NULL;
	assert_int_equal(rig_destroy(r, 0, r->devid), -ENOENT);
	assert_null(r->pci[0]->bound_ctx);
}

static void close__context_first__dma_goes_on(void **state)
{
	struct rig *r = *state;
	struct probe *p = rig_probe(r, 0);
	uint32_t pt = rig_ioas(r, 0);
	void *buf = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_int_equal(rig_map(r, 0, pt, buf, 4096, 0x10000), 0);
	assert_int_equal(rig_attach(r->f, &pt), 0);
	iommufd_ctx_put(r->ctx[0]);
	r->ctx[0] = NULL;
	rig_cfg_set(r->f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	rig_bar_set(r->f, 0, REG_IOVA, 8, 0x10008);
	rig_bar_set(r->f, 0, REG_KICK, 8, 1);
	for (int i = 0; i < 1000 && !rig_bar(r->f, 0, REG_RC, 8); i++)
		usleep(1000);
	assert_int_equal(rig_bar(r->f, 0, REG_RC, 8), 1);
	assert_int_equal(((uint64_t *)buf)[1], 0x1122334455667788);
	assert_int_equal(p->runs, 1);
	assert_int_equal(rig_detach(r->f), 0);
	vfio_file_release(r->f);
	r->f = NULL;
	munmap(buf, 4096);
}

static void close__model_running__stopped_when_it_returns(void **state)
{
	struct rig *r = *state;
	struct probe *p = rig_probe(r, 0);
	uint32_t pt = rig_ioas(r, 0);
	void *buf = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int e = rig_eventfd(0);
	unsigned writes;

	assert_int_equal(rig_map(r, 0, pt, buf, 4096, 0x10000), 0);
	assert_int_equal(rig_attach(r->f, &pt), 0);
	assert_int_equal(rig_set_irqs(r->f, 4 | 32, VFIO_PCI_MSIX_IRQ_INDEX, 0, 1, &e), 0);
	rig_cfg_set(r->f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	rig_bar_set(r->f, 0, REG_IOVA, 8, 0x10000);
	rig_bar_set(r->f, 0, REG_LOOP, 8, 1);
	rig_bar_set(r->f, 0, REG_KICK, 8, 1);
	while (p->writes < 100)
		usleep(100);
	vfio_file_release(r->f);
	r->f = NULL;
	writes = p->writes;
	assert_int_equal(p->in_run, 0);
	rig_take(e);
	memset(buf, 0, 4096);
	usleep(2000);
	assert_int_equal(p->writes, writes);
	assert_int_equal(*(uint64_t *)buf, 0);
	/* And a model that goes wild afterwards reaches nobody. */
	uiommufd_device_irq(r->fn[0], 0);
	assert_int_equal(rig_take(e), 0);
	assert_int_equal(uiommufd_dma_write(r->fn[0], 0, 0x10000, "x", 1), -EPERM);
	assert_int_equal(rig_destroy(r, 0, pt), -ENOENT);
	close(e);
	munmap(buf, 4096);
}

static void attach__arguments__checked(void **state)
{
	struct rig *r = *state;
	struct vfio_device_attach_iommufd_pt a = { .argsz = 11 };
	uint32_t ioas = rig_ioas(r, 0), pt;

	assert_refused(IO(r->f, VFIO_DEVICE_ATTACH_IOMMUFD_PT, NULL), EFAULT);
	assert_refused(IO(r->f, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &a), EINVAL);
	a.argsz = 12;
	a.flags = 2;
	assert_refused(IO(r->f, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &a), EINVAL);
	a.flags = VFIO_DEVICE_ATTACH_PASID;
	a.pt_id = ioas;
	assert_refused(IO(r->f, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &a), EINVAL);
	a.argsz = 16;
	a.pasid = 5;
	assert_refused(IO(r->f, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &a), EINVAL);
	pt = 0xffffffff;
	assert_refused(rig_attach(r->f, &pt), ENOENT);
	pt = 99;
	assert_refused(rig_attach(r->f, &pt), ENOENT);
	pt = r->devid;
	assert_refused(rig_attach(r->f, &pt), EINVAL);
	assert_false(r->pci[0]->attached);
	assert_int_equal(rig_destroy(r, 0, ioas), 0);
}

static void attach__ioas__auto_hwpt_lives_until_detach(void **state)
{
	struct rig *r = *state;
	uint32_t ioas = rig_ioas(r, 0), pt = ioas, again = ioas;

	assert_int_equal(rig_attach(r->f, &pt), 0);
	assert_int_not_equal(pt, ioas);
	assert_int_equal(rig_destroy(r, 0, ioas), -EBUSY);
	/* Attaching what is attached changes nothing. */
	assert_int_equal(rig_attach(r->f, &again), 0);
	assert_int_equal(again, pt);
	assert_int_equal(rig_attach(r->f, &again), 0);
	assert_int_equal(again, pt);
	assert_int_equal(rig_detach(r->f), 0);
	assert_int_equal(rig_destroy(r, 0, pt), -ENOENT);
	assert_int_equal(rig_destroy(r, 0, ioas), 0);
	assert_int_equal(rig_detach(r->f), 0);
}

static void attach__second__replaces(void **state)
{
	struct rig *r = *state;
	uint32_t a = rig_ioas(r, 0), b = rig_ioas(r, 0), pa = a, pb = b, bad = 99;

	assert_int_equal(rig_attach(r->f, &pa), 0);
	assert_int_equal(rig_attach(r->f, &pb), 0);
	assert_int_not_equal(pb, pa);
	assert_int_equal(rig_destroy(r, 0, a), 0);
	/* A failed one leaves what was there. */
	assert_refused(rig_attach(r->f, &bad), ENOENT);
	assert_true(r->pci[0]->attached);
	assert_int_equal(rig_destroy(r, 0, b), -EBUSY);
	assert_non_null(r->fn[0]->idev.group->domain);
}

static void attach__readonly_struct__detached_again(void **state)
{
	struct rig *r = *state;
	uint32_t ioas = rig_ioas(r, 0), pt = ioas;
	struct vfio_device_attach_iommufd_pt a = { .argsz = 12, .pt_id = ioas };
	void *p = rig_readonly(&a, sizeof(a));

	assert_refused(IO(r->f, VFIO_DEVICE_ATTACH_IOMMUFD_PT, p), EFAULT);
	assert_false(r->pci[0]->attached);
	assert_null(r->fn[0]->idev.group->domain);
	assert_int_equal(rig_destroy(r, 0, ioas), 0);
	pt = ioas = rig_ioas(r, 0);
	assert_int_equal(rig_attach(r->f, &pt), 0);
	munmap(p, 4096);
}

static void detach__arguments__checked(void **state)
{
	struct rig *r = *state;
	struct vfio_device_detach_iommufd_pt d = { .argsz = 7 };
	uint32_t pt = rig_ioas(r, 0);

	assert_refused(IO(r->f, VFIO_DEVICE_DETACH_IOMMUFD_PT, NULL), EFAULT);
	assert_refused(IO(r->f, VFIO_DEVICE_DETACH_IOMMUFD_PT, &d), EINVAL);
	assert_int_equal(rig_detach(r->f), 0);
	assert_int_equal(rig_attach(r->f, &pt), 0);
	d.argsz = 8;
	d.flags = 2;
	assert_refused(IO(r->f, VFIO_DEVICE_DETACH_IOMMUFD_PT, &d), EINVAL);
	d.flags = 1;
	assert_refused(IO(r->f, VFIO_DEVICE_DETACH_IOMMUFD_PT, &d), EINVAL);
	d.argsz = 12;
	d.pasid = 5;
	assert_int_equal(IO(r->f, VFIO_DEVICE_DETACH_IOMMUFD_PT, &d), 0);
	assert_true(r->pci[0]->attached);
	d.pasid = 0;
	assert_int_equal(IO(r->f, VFIO_DEVICE_DETACH_IOMMUFD_PT, &d), 0);
	assert_false(r->pci[0]->attached);
	assert_null(r->fn[0]->idev.group->domain);
}

static void dma__by_state__blocked_unless_attached_and_master(void **state)
{
	struct rig *r = *state;
	uint32_t ioas = rig_ioas(r, 0), pt = ioas;
	void *buf = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t val = 5;

	assert_int_equal(rig_map(r, 0, ioas, buf, 4096, 0x10000), 0);
	assert_int_equal(rig_attach(r->f, &pt), 0);
	assert_int_equal(uiommufd_dma_write(r->fn[0], 0, 0x10000, &val, 8), -EPERM);
	rig_cfg_set(r->f, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	assert_int_equal(uiommufd_dma_write(r->fn[0], 0, 0x10000, &val, 8), 0);
	assert_int_equal(*(uint64_t *)buf, 5);
	assert_int_equal(uiommufd_dma_write(r->fn[0], 0, 0x20000, &val, 8), -EFAULT);
	assert_int_equal(rig_detach(r->f), 0);
	assert_int_equal(uiommufd_dma_write(r->fn[0], 0, 0x10000, &val, 8), -EFAULT);
	munmap(buf, 4096);
}

static void group__two_members__share(void **state)
{
	struct rig *r = rig_new(&(struct rig_opts){ .two = true, .group = { 7, 7 } });
	struct vfio_file *a = rig_open(r, 0), *b = rig_open(r, 1);
	uint32_t ia, ib, pa, pb, j, k;

	(void)state;
	assert_int_equal(rig_bind(r, a, 0, &ia), 0);
	assert_refused(rig_bind(r, b, 1, &ib), EPERM);
	assert_int_equal(rig_bind(r, b, 0, &ib), 0);
	assert_int_not_equal(ia, ib);
	pa = j = rig_ioas(r, 0);
	k = rig_ioas(r, 0);
	assert_int_equal(rig_attach(a, &pa), 0);
	pb = k;
	assert_refused(rig_attach(b, &pb), EINVAL);
	pb = j;
	assert_int_equal(rig_attach(b, &pb), 0);
	assert_int_equal(pa, pb);
	vfio_file_release(a);
	assert_int_equal(rig_destroy(r, 0, ia), -ENOENT);
	assert_int_equal(rig_destroy(r, 0, ib), -EBUSY);
	assert_int_equal(rig_destroy(r, 0, j), -EBUSY);
	vfio_file_release(b);
	assert_int_equal(rig_destroy(r, 0, j), 0);
	rig_free(r);
}

static void attach__msi_window_mapped__eaddrinuse(void **state)
{
	struct rig *r = *state;
	uint32_t ioas = rig_ioas(r, 0), pt = ioas;
	void *buf = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_int_equal(rig_map(r, 0, ioas, buf, 4096, 0xfee00000), 0);
	assert_refused(rig_attach(r->f, &pt), EADDRINUSE);
	assert_false(r->pci[0]->attached);
	munmap(buf, 4096);
}

static void bind__each_fault__nothing_left(void **state)
{
	struct rig *r = rig_new(NULL);
	struct vfio_file *f = rig_open(r, 0);
	unsigned fds = rig_open_fds();

	(void)state;
	SWEEP(
		rig_bind(r, f, 0, NULL),
		{
			assert_null(r->pci[0]->owner);
			assert_false(iommufd_ctx_has_group(r->ctx[0], r->fn[0]->idev.group));
			iommufd_ctx_check(r->ctx[0]);
		},
		{
			vfio_file_release(f);
			f = rig_open(r, 0);
		});
	assert_int_equal(rig_open_fds(), fds);
	vfio_file_release(f);
	rig_free(r);
}

static void attach__each_fault__nothing_left(void **state)
{
	struct rig *r = *state;
	uint32_t ioas = rig_ioas(r, 0);
	uint32_t pt;

	SWEEP((pt = ioas, rig_attach(r->f, &pt)),
	      {
		      assert_false(r->pci[0]->attached);
		      assert_null(r->fn[0]->idev.group->domain);
		      iommufd_ctx_check(r->ctx[0]);
	      },
	      { rig_detach(r->f); });
	assert_int_equal(rig_destroy(r, 0, ioas), 0);
}

static void create__each_fault__nothing_left(void **state)
{
	struct rig *r = rig_new(NULL);
	unsigned fds = rig_open_fds();
	static const struct vfio_host_ops none;

	(void)state;
	vfio_pci_destroy(r->pci[0]);
	SWEEP(
		vfio_pci_create(r->fn[0], &none, NULL, &r->pci[0]),
		{ assert_null(r->fn[0]->vfio_ops); },
		{
			vfio_pci_destroy(r->pci[0]);
			r->pci[0] = NULL;
		});
	assert_int_equal(rig_open_fds(), fds - 1);
	rig_free(r);
}

static void open__each_fault__not_counted(void **state)
{
	struct rig *r = *state;
	struct vfio_file *f;

	SWEEP(
		vfio_file_open(r->pci[0], &f), { assert_int_equal(r->pci[0]->files, 1); },
		{ vfio_file_release(f); });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ioctl__unbound__einval),
		cmocka_unit_test(bind__argsz_and_flags__checked_in_order),
		cmocka_unit_test(bind__bad_iommufd__ebadf_or_ebadfd),
		RIG_TEST(bind__bound_already__einval),
		cmocka_unit_test(bind__readonly_output__undone),
		RIG_TEST(bind__function__reset_and_quiet),
		RIG_TEST(close__bound__devid_gone),
		RIG_TEST(close__context_first__dma_goes_on),
		RIG_TEST(close__model_running__stopped_when_it_returns),
		RIG_TEST(attach__arguments__checked),
		RIG_TEST(attach__ioas__auto_hwpt_lives_until_detach),
		RIG_TEST(attach__second__replaces),
		RIG_TEST(attach__readonly_struct__detached_again),
		RIG_TEST(detach__arguments__checked),
		RIG_TEST(dma__by_state__blocked_unless_attached_and_master),
		cmocka_unit_test(group__two_members__share),
		RIG_TEST(attach__msi_window_mapped__eaddrinuse),
		cmocka_unit_test(bind__each_fault__nothing_left),
		RIG_TEST(attach__each_fault__nothing_left),
		RIG_TEST(open__each_fault__not_counted),
		cmocka_unit_test(create__each_fault__nothing_left),
	};

	rig_main_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
