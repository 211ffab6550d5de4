// SPDX-License-Identifier: MIT
/* Function reset, bus reset, IOEVENTFD. */
#include "rig.h"

#include <fcntl.h>
#include <unistd.h>

static const struct rig_opts one_bus = {
	.two = true,
	.addr = { "0000:03:00.0", "0000:03:00.1" },
	.options = { { "noflr" }, { "noflr" } },
};

static void reset__function__model_reset_memory_kept_on(void **state)
{
	struct rig *r = *state;
	struct probe *p = rig_probe(r, 0);
	unsigned resets = p->resets;

	rig_cfg_set(r->f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	rig_bar_set(r->f, 0, 0x40, 8, 1);
	uiommufd_device_cfg_or(r->fn[0], 0x148, 7);
	uiommufd_device_intx(r->fn[0], true);
	assert_int_equal(IO(r->f, VFIO_DEVICE_RESET, NULL), 0);
	assert_int_equal(p->resets, resets + 1);
	assert_int_equal(rig_bar(r->f, 0, 0x40, 8), 0);
	assert_int_equal(rig_cfg(r->f, 0x148, 4), 0);
	assert_int_equal(rig_cfg(r->f, PCI_STATUS, 2), PCI_STATUS_CAP_LIST);
	assert_int_equal(rig_cfg(r->f, PCI_COMMAND, 2), PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_true(r->fn[0]->bus_master);
}

static void reset__no_method__einval(void **state)
{
	struct rig *r = rig_new(&one_bus);
	struct vfio_device_info i = { .argsz = 16 };
	unsigned resets;

	(void)state;
	r->f = rig_open(r, 0);
	assert_int_equal(rig_bind(r, r->f, 0, NULL), 0);
	resets = rig_probe(r, 0)->resets;
	assert_int_equal(IO(r->f, VFIO_DEVICE_GET_INFO, &i), 0);
	assert_int_equal(i.flags, VFIO_DEVICE_FLAGS_PCI);
	assert_refused(IO(r->f, VFIO_DEVICE_RESET, NULL), EINVAL);
	assert_int_equal(rig_probe(r, 0)->resets, resets);
	/* Nor does its bit do anything. */
	rig_cfg_set(r->f, PROBE_EXP + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
	assert_int_equal(rig_probe(r, 0)->resets, resets);
	rig_free(r);
}

static void reset__alone_on_its_bus__through_the_bus(void **state)
{
	struct rig *r = rig_new(&(struct rig_opts){ .options = { { "noflr" } } });
	unsigned resets;

	(void)state;
	r->f = rig_open(r, 0);
	assert_int_equal(rig_bind(r, r->f, 0, NULL), 0);
	resets = rig_probe(r, 0)->resets;
	assert_int_equal(IO(r->f, VFIO_DEVICE_RESET, NULL), 0);
	assert_int_equal(rig_probe(r, 0)->resets, resets + 1);
	rig_free(r);
}

static void hot_reset_info__alone__own_id(void **state)
{
	struct rig *r = *state;
	union {
		struct vfio_pci_hot_reset_info h;
		uint32_t room[16];
	} u = { .h = { .argsz = 11 } };
	struct vfio_pci_dependent_device *d = u.h.devices;

	assert_refused(IO(r->f, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, NULL), EFAULT);
	assert_refused(IO(r->f, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &u), EINVAL);
	u.h.argsz = 12;
	assert_refused(IO(r->f, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &u), ENOSPC);
	assert_int_equal(u.h.count, 1);
	assert_int_equal(d[0].devid, 0);
	u.h.argsz = 20;
	assert_int_equal(IO(r->f, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &u), 0);
	assert_int_equal(u.h.count, 1);
	assert_int_equal(u.h.flags, 3);
	assert_int_equal(d[0].devid, r->devid);
	assert_int_equal(d[0].segment, 0);
	assert_int_equal(d[0].bus, 1);
	assert_int_equal(d[0].devfn, 0);
}

static void info_of(struct rig *r, uint32_t flags, uint32_t id0, uint32_t id1)
{
	union {
		struct vfio_pci_hot_reset_info h;
		uint32_t room[16];
	} u = { .h = { .argsz = sizeof(u) } };

	assert_int_equal(IO(r->f, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &u), 0);
	assert_int_equal(u.h.count, 2);
	assert_int_equal(u.h.flags, flags);
	assert_int_equal(u.h.devices[0].devid, id0);
	assert_int_equal(u.h.devices[1].devid, id1);
	assert_int_equal(u.h.devices[1].bus, 3);
	assert_int_equal(u.h.devices[1].devfn, 1);
}

static void hot_reset__shared_bus__needs_both(void **state)
{
	struct rig *r = rig_new(&one_bus);
	struct vfio_pci_hot_reset h = { .argsz = 12 };
	struct vfio_file *g = rig_open(r, 1);
	unsigned a, b;
	uint32_t id;

	(void)state;
	r->f = rig_open(r, 0);
	assert_int_equal(rig_bind(r, r->f, 0, &r->devid), 0);
	info_of(r, 1, r->devid, 0xffffffff);
	a = rig_probe(r, 0)->resets;
	assert_refused(IO(r->f, VFIO_DEVICE_PCI_HOT_RESET, &h), EINVAL);
	assert_int_equal(rig_probe(r, 0)->resets, a);
	/* Bound, but to another context. */
	assert_int_equal(rig_bind(r, g, 1, &id), 0);
	info_of(r, 1, r->devid, 0xffffffff);
	assert_refused(IO(r->f, VFIO_DEVICE_PCI_HOT_RESET, &h), EINVAL);
	vfio_file_release(g);
	g = rig_open(r, 1);
	assert_int_equal(rig_bind(r, g, 0, &id), 0);
	info_of(r, 3, r->devid, id);
	a = rig_probe(r, 0)->resets;
	b = rig_probe(r, 1)->resets;
	assert_int_equal(IO(r->f, VFIO_DEVICE_PCI_HOT_RESET, &h), 0);
	assert_int_equal(rig_probe(r, 0)->resets, a + 1);
	assert_int_equal(rig_probe(r, 1)->resets, b + 1);
	vfio_file_release(g);
	rig_free(r);
}

static void hot_reset_info__group_mate_unbound__owned(void **state)
{
	struct rig_opts o = one_bus;
	struct rig *r;
	struct vfio_pci_hot_reset h = { .argsz = 12 };

	(void)state;
	o.group[0] = o.group[1] = 5;
	r = rig_new(&o);
	r->f = rig_open(r, 0);
	assert_int_equal(rig_bind(r, r->f, 0, &r->devid), 0);
	info_of(r, 3, r->devid, 0);
	assert_int_equal(IO(r->f, VFIO_DEVICE_PCI_HOT_RESET, &h), 0);
	rig_free(r);
}

static void hot_reset__arguments__checked(void **state)
{
	struct rig *r = *state;
	struct vfio_pci_hot_reset h = { .argsz = 11 };

	assert_refused(IO(r->f, VFIO_DEVICE_PCI_HOT_RESET, NULL), EFAULT);
	assert_refused(IO(r->f, VFIO_DEVICE_PCI_HOT_RESET, &h), EINVAL);
	h.argsz = 12;
	h.flags = 1;
	assert_refused(IO(r->f, VFIO_DEVICE_PCI_HOT_RESET, &h), EINVAL);
	h.flags = 0;
	h.count = 1;
	assert_refused(IO(r->f, VFIO_DEVICE_PCI_HOT_RESET, &h), EINVAL);
	h.count = 0;
	assert_int_equal(IO(r->f, VFIO_DEVICE_PCI_HOT_RESET, &h), 0);
}

/* ---- IOEVENTFD ---- */

static long ioeventfd(struct vfio_file *f, uint32_t flags, uint64_t off, uint64_t data, int fd)
{
	struct vfio_device_ioeventfd a = {
		.argsz = sizeof(a), .flags = flags, .offset = off, .data = data, .fd = fd
	};

	return IO(f, VFIO_DEVICE_IOEVENTFD, &a);
}

static void ioeventfd__arguments__checked(void **state)
{
	struct rig *r = *state;
	struct vfio_device_ioeventfd a = { .argsz = 27 };
	int e = rig_eventfd(0), d = r->ctx_fd[0];

	assert_refused(IO(r->f, VFIO_DEVICE_IOEVENTFD, NULL), EFAULT);
	assert_refused(IO(r->f, VFIO_DEVICE_IOEVENTFD, &a), EINVAL);
	assert_refused(ioeventfd(r->f, 0, 0x40, 0, e), EINVAL);
	assert_refused(ioeventfd(r->f, 3, 0x40, 0, e), EINVAL);
	assert_refused(ioeventfd(r->f, 16, 0x40, 0, e), EINVAL);
	assert_refused(ioeventfd(r->f, 4, 0x40, 0, -2), EINVAL);
	assert_refused(ioeventfd(r->f, 4, 6ull << 40, 0, e), EINVAL);
	assert_refused(ioeventfd(r->f, 4, 7ull << 40, 0, e), EINVAL);
	assert_refused(ioeventfd(r->f, 4, 1ull << 40, 0, e), EINVAL);
	assert_refused(ioeventfd(r->f, 4, PROBE_BAR0 - 3, 0, e), EINVAL);
	assert_refused(ioeventfd(r->f, 8, PROBE_TABLE - 4, 0, e), EINVAL);
	assert_refused(ioeventfd(r->f, 1, PROBE_TABLE + PROBE_VECS * 16 - 1, 0, e), EINVAL);
	assert_refused(ioeventfd(r->f, 4, 0x40, 0, 1023), EBADF);
	assert_refused(ioeventfd(r->f, 4, 0x40, 0, d), EINVAL);
	assert_refused(ioeventfd(r->f, 4, 0x40, 0, -1), ENODEV);
	assert_int_equal(r->pci[0]->n_ioevents, 0);
	assert_int_equal(ioeventfd(r->f, 4, 0x40, 0, e), 0);
	assert_refused(ioeventfd(r->f, 4, 0x40, 0, e), EEXIST);
	assert_int_equal(ioeventfd(r->f, 4, 0x40, 1, e), 0);
	assert_int_equal(ioeventfd(r->f, 8, 0x40, 0, e), 0);
	assert_int_equal(r->pci[0]->n_ioevents, 3);
	assert_int_equal(ioeventfd(r->f, 4, 0x40, 0, -1), 0);
	assert_refused(ioeventfd(r->f, 4, 0x40, 0, -1), ENODEV);
	assert_int_equal(r->pci[0]->n_ioevents, 2);
	close(e);
}

static bool wait_writes(struct probe *p, unsigned n)
{
	for (int i = 0; i < 1000 && p->log_n < n; i++)
		usleep(1000);
	return p->log_n == n;
}

static void ioeventfd__signalled__writes(void **state)
{
	struct rig *r = *state;
	struct probe *p = rig_probe(r, 0);
	int e = rig_eventfd(0), odd = rig_eventfd(0);
	uint64_t one = 1;

	p->log_n = 0;
	assert_int_equal(ioeventfd(r->f, 4, 0x40, 0x1122334455667788, e), 0);
	assert_int_equal(write(e, &one, 8), 8);
	assert_true(wait_writes(p, 1));
	assert_int_equal(p->log[0].off, 0x40);
	assert_int_equal(p->log[0].size, 4);
	assert_int_equal(p->log[0].val, 0x55667788);
	assert_int_equal(rig_take(e), 0);
	/* Not aligned: as a write through the file. */
	assert_int_equal(ioeventfd(r->f, 4, 0x43, 0x44332211, odd), 0);
	assert_int_equal(write(odd, &one, 8), 8);
	assert_true(wait_writes(p, 4));
	assert_int_equal(p->log[1].val, 0x11);
	assert_int_equal(p->log[2].val, 0x3322);
	/* Memory decode off: consumed, nothing written. */
	rig_cfg_set(r->f, PCI_COMMAND, 2, 0);
	assert_int_equal(write(e, &one, 8), 8);
	usleep(5000);
	assert_int_equal(p->log_n, 4);
	assert_int_equal(rig_take(e), 0);
	rig_cfg_set(r->f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	/* Removed: the signal stays. */
	assert_int_equal(ioeventfd(r->f, 4, 0x40, 0x1122334455667788, -1), 0);
	assert_int_equal(write(e, &one, 8), 8);
	usleep(5000);
	assert_int_equal(p->log_n, 4);
	assert_int_equal(rig_take(e), 1);
	close(e);
	close(odd);
}

static void ioeventfd__1001st__enospc(void **state)
{
	struct rig *r = *state;
	int e = rig_eventfd(0);
	unsigned fds = rig_open_fds(), n;

	for (n = 0; n < 1000; n++)
		if (ioeventfd(r->f, 4, 0x40, n, e)) /* descriptors may run out first */
			break;
	if (n == 1000)
		assert_refused(ioeventfd(r->f, 4, 0x40, 1000, e), ENOSPC);
	else
		print_message("only %u descriptors\n", n);
	assert_int_equal(r->pci[0]->n_ioevents, n);
	vfio_file_release(r->f);
	r->f = NULL;
	assert_int_equal(rig_open_fds(), fds);
	close(e);
}

static void ioeventfd__each_fault__nothing_left(void **state)
{
	struct rig *r = *state;
	int e = rig_eventfd(0);

	SWEEP(
		ioeventfd(r->f, 4, 0x40, 0, e), { assert_int_equal(r->pci[0]->n_ioevents, 0); },
		{ assert_int_equal(ioeventfd(r->f, 4, 0x40, 0, -1), 0); });
	close(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(reset__function__model_reset_memory_kept_on),
		cmocka_unit_test(reset__no_method__einval),
		cmocka_unit_test(reset__alone_on_its_bus__through_the_bus),
		RIG_TEST(hot_reset_info__alone__own_id),
		cmocka_unit_test(hot_reset__shared_bus__needs_both),
		cmocka_unit_test(hot_reset_info__group_mate_unbound__owned),
		RIG_TEST(hot_reset__arguments__checked),
		RIG_TEST(ioeventfd__arguments__checked),
		RIG_TEST(ioeventfd__signalled__writes),
		RIG_TEST(ioeventfd__1001st__enospc),
		RIG_TEST(ioeventfd__each_fault__nothing_left),
	};

	rig_main_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
