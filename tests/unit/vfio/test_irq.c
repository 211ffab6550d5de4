// SPDX-License-Identifier: MIT
/* Interrupts: IRQ info, SET_IRQS, what a model's signal reaches. */
#include "rig.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define NONE    VFIO_IRQ_SET_DATA_NONE
#define BOOL    VFIO_IRQ_SET_DATA_BOOL
#define EVENTFD VFIO_IRQ_SET_DATA_EVENTFD
#define TRIGGER VFIO_IRQ_SET_ACTION_TRIGGER
#define MASK    VFIO_IRQ_SET_ACTION_MASK
#define UNMASK  VFIO_IRQ_SET_ACTION_UNMASK
#define INTX    VFIO_PCI_INTX_IRQ_INDEX
#define MSI     VFIO_PCI_MSI_IRQ_INDEX
#define MSIX    VFIO_PCI_MSIX_IRQ_INDEX
#define ERR     VFIO_PCI_ERR_IRQ_INDEX
#define REQ     VFIO_PCI_REQ_IRQ_INDEX

static int type_of(struct rig *r)
{
	return r->pci[0]->irqs.type;
}

static void irq_info__each_index__counts_and_flags(void **state)
{
	static const uint32_t want[5][2] = {
		{ 1, 1 | 2 | 4 }, { 0, 1 | 8 }, { PROBE_VECS, 1 }, { 1, 1 | 8 }, { 1, 1 | 8 },
	};
	struct rig *r = *state;
	struct vfio_irq_info i = { .argsz = 15 };

	assert_refused(IO(r->f, VFIO_DEVICE_GET_IRQ_INFO, NULL), EFAULT);
	assert_refused(IO(r->f, VFIO_DEVICE_GET_IRQ_INFO, &i), EINVAL);
	i.argsz = 16;
	i.index = 5;
	assert_refused(IO(r->f, VFIO_DEVICE_GET_IRQ_INFO, &i), EINVAL);
	for (i.index = 0; i.index < 5; i.index++) {
		assert_int_equal(IO(r->f, VFIO_DEVICE_GET_IRQ_INFO, &i), 0);
		assert_int_equal(i.count, want[i.index][0]);
		assert_int_equal(i.flags, want[i.index][1]);
		assert_int_equal(i.argsz, 16);
	}
	vfio_pci_fix_msix(r->pci[0], true);
	i.index = MSIX;
	assert_int_equal(IO(r->f, VFIO_DEVICE_GET_IRQ_INFO, &i), 0);
	assert_int_equal(i.flags, 1 | 8);
}

static void set_irqs__header__checked(void **state)
{
	struct rig *r = *state;
	struct vfio_irq_set s = { .argsz = 19, .flags = NONE | TRIGGER, .index = MSIX };

	assert_refused(IO(r->f, VFIO_DEVICE_SET_IRQS, NULL), EFAULT);
	assert_refused(IO(r->f, VFIO_DEVICE_SET_IRQS, &s), EINVAL);
	assert_refused(rig_set_irqs(r->f, NONE | TRIGGER | 64, MSIX, 0, 1, NULL), EINVAL);
	assert_refused(rig_set_irqs(r->f, NONE | BOOL | TRIGGER, MSIX, 0, 0, NULL), EINVAL);
	assert_refused(rig_set_irqs(r->f, TRIGGER, MSIX, 0, 1, NULL), EINVAL);
	assert_refused(rig_set_irqs(r->f, NONE | TRIGGER, 5, 0, 1, NULL), EINVAL);
	assert_refused(rig_set_irqs(r->f, NONE | TRIGGER, MSIX, 1, 0xffffffff, NULL), EINVAL);
	assert_refused(rig_set_irqs(r->f, NONE | TRIGGER, MSIX, 0xffffffff, 1, NULL), EINVAL);
	assert_refused(rig_set_irqs(r->f, NONE | TRIGGER, MSIX, PROBE_VECS, 0, NULL), EINVAL);
	assert_refused(rig_set_irqs(r->f, NONE | TRIGGER, MSIX, 1, PROBE_VECS, NULL), EINVAL);
	/* No vector at all: not even the disable is taken. */
	assert_refused(rig_set_irqs(r->f, NONE | TRIGGER, MSI, 0, 0, NULL), EINVAL);
	s = (struct vfio_irq_set){ .argsz = 27, .flags = EVENTFD | TRIGGER, .index = MSIX };
	s.count = 2;
	assert_refused(IO(r->f, VFIO_DEVICE_SET_IRQS, &s), EINVAL);
	assert_int_equal(type_of(r), IRQ_TYPE_NONE);
}

static void set_irqs__data_unreadable__efault(void **state)
{
	struct rig *r = *state;
	struct vfio_irq_set s = {
		.argsz = 24, .flags = EVENTFD | TRIGGER, .index = MSIX, .count = 1
	};
	char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *at = p + 4096 - sizeof(s);

	memcpy(at, &s, sizeof(s));
	assert_int_equal(mprotect(p + 4096, 4096, PROT_NONE), 0);
	assert_refused(IO(r->f, VFIO_DEVICE_SET_IRQS, at), EFAULT);
	assert_int_equal(type_of(r), IRQ_TYPE_NONE);
	munmap(p, 8192);
}

static void set_irqs__no_such_action__enotty(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < 5; i++) {
		if (i == MSI)
			continue;
		assert_refused(rig_set_irqs(r->f, NONE, i, 0, 1, NULL), ENOTTY);
		assert_refused(rig_set_irqs(r->f, NONE | TRIGGER | MASK, i, 0, 1, NULL), ENOTTY);
	}
	assert_refused(rig_set_irqs(r->f, NONE | MASK, MSIX, 0, 1, NULL), ENOTTY);
	assert_refused(rig_set_irqs(r->f, NONE | UNMASK, MSIX, 0, 1, NULL), ENOTTY);
	assert_refused(rig_set_irqs(r->f, NONE | MASK, ERR, 0, 1, NULL), ENOTTY);
	assert_refused(rig_set_irqs(r->f, NONE | UNMASK, REQ, 0, 1, NULL), ENOTTY);
}

static void intx__inactive__einval(void **state)
{
	struct rig *r = *state;
	int e = rig_eventfd(0);

	assert_refused(rig_set_irqs(r->f, NONE | TRIGGER, INTX, 0, 0, NULL), EINVAL);
	assert_refused(rig_set_irqs(r->f, NONE | TRIGGER, INTX, 0, 1, NULL), EINVAL);
	assert_refused(rig_set_irqs(r->f, NONE | MASK, INTX, 0, 1, NULL), EINVAL);
	assert_refused(rig_set_irqs(r->f, NONE | UNMASK, INTX, 0, 1, NULL), EINVAL);
	assert_refused(rig_set_irqs(r->f, EVENTFD | MASK, INTX, 0, 1, &e), EINVAL);
	assert_refused(rig_set_irqs(r->f, EVENTFD | UNMASK, INTX, 0, 1, &e), EINVAL);
	assert_refused(rig_set_irqs(r->f, EVENTFD | TRIGGER, INTX, 0, 0, NULL), EINVAL);
	assert_refused(rig_set_irqs(r->f, EVENTFD | TRIGGER, INTX, 1, 1, &e), EINVAL);
	assert_int_equal(type_of(r), IRQ_TYPE_NONE);
	close(e);
}

static void intx__line_up__automasked_until_unmask(void **state)
{
	struct rig *r = *state;
	int e = rig_eventfd(0);

	assert_int_equal(rig_set_irqs(r->f, EVENTFD | TRIGGER, INTX, 0, 1, &e), 0);
	assert_int_equal(type_of(r), INTX);
	uiommufd_device_intx(r->fn[0], true);
	assert_int_equal(rig_take(e), 1);
	uiommufd_device_intx(r->fn[0], false);
	uiommufd_device_intx(r->fn[0], true);
	assert_int_equal(rig_take(e), 0);
	assert_int_equal(rig_cfg(r->f, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT, 8);
	/* Still up: again at once. */
	assert_int_equal(rig_set_irqs(r->f, NONE | UNMASK, INTX, 0, 1, NULL), 0);
	assert_int_equal(rig_take(e), 1);
	uiommufd_device_intx(r->fn[0], false);
	assert_int_equal(rig_set_irqs(r->f, NONE | UNMASK, INTX, 0, 1, NULL), 0);
	assert_int_equal(rig_take(e), 0);
	assert_int_equal(rig_cfg(r->f, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT, 0);
	uiommufd_device_intx(r->fn[0], true);
	assert_int_equal(rig_take(e), 1);
	close(e);
}

static void intx__masked__pending_until_unmask(void **state)
{
	struct rig *r = *state;
	int e = rig_eventfd(0);
	uint8_t no = 0, yes = 1;

	assert_int_equal(rig_set_irqs(r->f, EVENTFD | TRIGGER, INTX, 0, 1, &e), 0);
	assert_int_equal(rig_set_irqs(r->f, BOOL | MASK, INTX, 0, 1, &no), 0);
	uiommufd_device_irq(r->fn[0], 0);
	assert_int_equal(rig_take(e), 1);
	assert_int_equal(rig_set_irqs(r->f, BOOL | UNMASK, INTX, 0, 1, &yes), 0);
	assert_int_equal(rig_set_irqs(r->f, BOOL | MASK, INTX, 0, 1, &yes), 0);
	uiommufd_device_irq(r->fn[0], 0);
	uiommufd_device_irq(r->fn[0], 0);
	uiommufd_device_irq(r->fn[0], 3); /* there is no vector 3 */
	assert_int_equal(rig_take(e), 0);
	assert_int_equal(rig_set_irqs(r->f, BOOL | UNMASK, INTX, 0, 1, &no), 0);
	assert_int_equal(rig_take(e), 0);
	assert_int_equal(rig_set_irqs(r->f, NONE | UNMASK, INTX, 0, 1, NULL), 0);
	assert_int_equal(rig_take(e), 1);
	/* A one-shot is over once it is signalled. */
	assert_int_equal(rig_set_irqs(r->f, NONE | UNMASK, INTX, 0, 1, NULL), 0);
	assert_int_equal(rig_take(e), 0);
	close(e);
}

static void intx__loopback__works_masked_but_not_disabled(void **state)
{
	struct rig *r = *state;
	int e = rig_eventfd(0);
	uint8_t no = 0;

	assert_int_equal(rig_set_irqs(r->f, EVENTFD | TRIGGER, INTX, 0, 1, &e), 0);
	assert_int_equal(rig_set_irqs(r->f, NONE | MASK, INTX, 0, 1, NULL), 0);
	assert_int_equal(rig_set_irqs(r->f, NONE | TRIGGER, INTX, 0, 1, NULL), 0);
	assert_int_equal(rig_take(e), 1);
	assert_int_equal(rig_set_irqs(r->f, NONE | UNMASK, INTX, 0, 1, NULL), 0);
	assert_int_equal(rig_set_irqs(r->f, NONE | TRIGGER, INTX, 0, 1, NULL), 0);
	assert_int_equal(rig_set_irqs(r->f, NONE | TRIGGER, INTX, 0, 1, NULL), 0);
	assert_int_equal(rig_take(e), 2);
	assert_int_equal(rig_set_irqs(r->f, BOOL | TRIGGER, INTX, 0, 1, &no), 0);
	assert_int_equal(rig_take(e), 0);
	rig_cfg_set(r->f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
	assert_int_equal(rig_set_irqs(r->f, NONE | TRIGGER, INTX, 0, 1, NULL), 0);
	assert_int_equal(rig_take(e), 0);
	close(e);
}

static void intx__command_disable__masks(void **state)
{
	struct rig *r = *state;
	int e = rig_eventfd(0);

	assert_int_equal(rig_set_irqs(r->f, EVENTFD | TRIGGER, INTX, 0, 1, &e), 0);
	rig_cfg_set(r->f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
	assert_int_equal(rig_cfg(r->f, PCI_COMMAND, 2),
			 PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
	uiommufd_device_intx(r->fn[0], true);
	assert_int_equal(rig_take(e), 0);
	rig_cfg_set(r->f, PCI_COMMAND + 1, 1, 0);
	assert_int_equal(rig_take(e), 1);
	close(e);
}

static void intx__no_trigger__active_and_swappable(void **state)
{
	struct rig *r = *state;
	int e = rig_eventfd(0), f = rig_eventfd(0), none = -1;

	assert_int_equal(rig_set_irqs(r->f, EVENTFD | TRIGGER, INTX, 0, 1, &none), 0);
	assert_int_equal(type_of(r), INTX);
	uiommufd_device_intx(r->fn[0], true);
	assert_int_equal(rig_set_irqs(r->f, EVENTFD | TRIGGER, INTX, 0, 1, &e), 0);
	assert_int_equal(rig_take(e), 1);
	assert_int_equal(rig_set_irqs(r->f, EVENTFD | TRIGGER, INTX, 0, 1, &f), 0);
	assert_int_equal(rig_take(f), 0); /* masked by the signal before the swap */
	assert_int_equal(rig_set_irqs(r->f, NONE | UNMASK, INTX, 0, 1, NULL), 0);
	assert_int_equal(rig_take(f), 1);
	assert_int_equal(rig_take(e), 0);
	assert_refused(rig_set_irqs(r->f, EVENTFD | MASK, INTX, 0, 1, &e), ENOTTY);
	assert_refused(rig_set_irqs(r->f, EVENTFD | TRIGGER, MSIX, 0, 1, &e), EINVAL);
	assert_int_equal(rig_set_irqs(r->f, NONE | TRIGGER, INTX, 0, 0, NULL), 0);
	assert_int_equal(type_of(r), IRQ_TYPE_NONE);
	close(e);
	close(f);
}

static void intx__resample_eventfd__unmasks(void **state)
{
	struct rig *r = *state;
	int e = rig_eventfd(0), s = rig_eventfd(0), s2 = rig_eventfd(3), none = -1, closed = 1023;
	uint64_t one = 1;

	assert_int_equal(rig_set_irqs(r->f, EVENTFD | TRIGGER, INTX, 0, 1, &e), 0);
	uiommufd_device_intx(r->fn[0], true);
	assert_int_equal(rig_take(e), 1);
	assert_int_equal(rig_set_irqs(r->f, EVENTFD | UNMASK, INTX, 0, 1, &s), 0);
	assert_int_equal(rig_take(e), 0);
	assert_refused(rig_set_irqs(r->f, EVENTFD | UNMASK, INTX, 0, 1, &s2), EBUSY);
	assert_refused(rig_set_irqs(r->f, EVENTFD | UNMASK, INTX, 0, 1, &closed), EBADF);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(write(s, &one, 8), 8);
		assert_int_equal(rig_wait(e), 1);
		assert_int_equal(rig_take(s), 0);
	}
	assert_int_equal(rig_set_irqs(r->f, EVENTFD | UNMASK, INTX, 0, 1, &none), 0);
	assert_int_equal(write(s, &one, 8), 8);
	usleep(3000);
	assert_int_equal(rig_take(e), 0);
	/* Signalled before it is registered: acts at once. */
	assert_int_equal(rig_set_irqs(r->f, EVENTFD | UNMASK, INTX, 0, 1, &s2), 0);
	assert_int_equal(rig_take(e), 1);
	assert_int_equal(rig_take(s2), 0);
	assert_int_equal(rig_set_irqs(r->f, NONE | TRIGGER, INTX, 0, 0, NULL), 0);
	assert_false(event_set(&r->pci[0]->irqs.resample));
	close(e);
	close(s);
	close(s2);
}

static void intx__no_pin__absent(void **state)
{
	struct rig *r = rig_new(&(struct rig_opts){ .options = { { "nopin" } } });
	int e = rig_eventfd(0);

	(void)state;
	r->f = rig_open(r, 0);
	assert_int_equal(rig_bind(r, r->f, 0, NULL), 0);
	assert_refused(rig_set_irqs(r->f, EVENTFD | TRIGGER, INTX, 0, 1, &e), EINVAL);
	assert_refused(rig_set_irqs(r->f, NONE | TRIGGER, INTX, 0, 0, NULL), EINVAL);
	assert_int_equal(rig_cfg(r->f, PCI_INTERRUPT_PIN, 1), 0);
	close(e);
	rig_free(r);
}

static void msix__inactive__only_enable(void **state)
{
	struct rig *r = *state;

	assert_refused(rig_set_irqs(r->f, NONE | TRIGGER, MSIX, 0, 0, NULL), EINVAL);
	assert_refused(rig_set_irqs(r->f, NONE | TRIGGER, MSIX, 0, 1, NULL), EINVAL);
	assert_refused(rig_set_irqs(r->f, BOOL | TRIGGER, MSIX, 0, 1, "\1"), EINVAL);
	assert_refused(rig_set_irqs(r->f, EVENTFD | TRIGGER, MSIX, 0, 0, NULL), ERANGE);
	assert_int_equal(type_of(r), IRQ_TYPE_NONE);
	assert_false(uiommufd_device_msix_on(r->fn[0]));
}

static void msix__array_with_holes__signals_the_others(void **state)
{
	struct rig *r = *state;
	int fd[4] = { rig_eventfd(0), -1, rig_eventfd(0), -1 }, late = rig_eventfd(0);

	assert_int_equal(rig_set_irqs(r->f, EVENTFD | TRIGGER, MSIX, 0, 3, fd), 0);
	assert_true(uiommufd_device_msix_on(r->fn[0]));
	assert_int_equal(rig_cfg(r->f, PROBE_MSIX + PCI_MSIX_FLAGS, 2),
			 PCI_MSIX_FLAGS_ENABLE | (PROBE_VECS - 1));
	for (unsigned v = 0; v < 6; v++)
		uiommufd_device_irq(r->fn[0], v);
	assert_int_equal(rig_take(fd[0]), 1);
	assert_int_equal(rig_take(fd[2]), 1);
	/* Dynamic: beyond what was enabled. */
	assert_int_equal(rig_set_irqs(r->f, EVENTFD | TRIGGER, MSIX, 3, 1, &late), 0);
	uiommufd_device_irq(r->fn[0], 3);
	assert_int_equal(rig_take(late), 1);
	/* Nothing asked for, nothing done. */
	assert_int_equal(rig_set_irqs(r->f, EVENTFD | TRIGGER, MSIX, 0, 0, NULL), 0);
	/* Loopback: each set vector in range once. */
	assert_int_equal(rig_set_irqs(r->f, NONE | TRIGGER, MSIX, 0, 4, NULL), 0);
	assert_int_equal(rig_take(fd[0]), 1);
	assert_int_equal(rig_take(fd[2]), 1);
	assert_int_equal(rig_take(late), 1);
	assert_int_equal(rig_set_irqs(r->f, BOOL | TRIGGER, MSIX, 0, 4, "\0\1\1\0"), 0);
	assert_int_equal(rig_take(fd[0]), 0);
	assert_int_equal(rig_take(fd[2]), 1);
	assert_int_equal(rig_take(late), 0);
	assert_refused(rig_set_irqs(r->f, EVENTFD | TRIGGER, INTX, 0, 1, &late), EINVAL);
	assert_int_equal(rig_set_irqs(r->f, NONE | TRIGGER, MSIX, 0, 0, NULL), 0);
	assert_false(uiommufd_device_msix_on(r->fn[0]));
	assert_int_equal(rig_cfg(r->f, PROBE_MSIX + PCI_MSIX_FLAGS, 2), PROBE_VECS - 1);
	uiommufd_device_irq(r->fn[0], 0);
	assert_int_equal(rig_take(fd[0]), 0);
	close(fd[0]);
	close(fd[2]);
	close(late);
}

static void msix__bad_fd__off_up_to_the_failing(void **state)
{
	struct rig *r = *state;
	int p = open("/dev/null", O_RDONLY);
	int fd[4] = { rig_eventfd(0), rig_eventfd(0), rig_eventfd(0), rig_eventfd(0) };
	int bad[2] = { rig_eventfd(0), 1023 }, wrong[2] = { bad[0], p };

	assert_refused(rig_set_irqs(r->f, EVENTFD | TRIGGER, MSIX, 0, 2, bad), EBADF);
	assert_int_equal(type_of(r), IRQ_TYPE_NONE);
	assert_refused(rig_set_irqs(r->f, EVENTFD | TRIGGER, MSIX, 0, 2, wrong), EINVAL);
	assert_int_equal(type_of(r), IRQ_TYPE_NONE);
	assert_int_equal(rig_set_irqs(r->f, EVENTFD | TRIGGER, MSIX, 0, 4, fd), 0);
	assert_refused(rig_set_irqs(r->f, EVENTFD | TRIGGER, MSIX, 1, 2, bad), EBADF);
	assert_int_equal(type_of(r), MSIX);
	for (unsigned v = 0; v < 4; v++)
		uiommufd_device_irq(r->fn[0], v);
	assert_int_equal(rig_take(fd[0]), 1);
	assert_int_equal(rig_take(fd[1]), 0);
	assert_int_equal(rig_take(fd[2]), 0);
	assert_int_equal(rig_take(fd[3]), 1);
	assert_int_equal(rig_take(bad[0]), 0);
	for (int i = 0; i < 4; i++)
		close(fd[i]);
	close(bad[0]);
	close(p);
}

static void msix__fixed__beyond_the_first_einval(void **state)
{
	struct rig *r = *state;
	int fd[4] = { rig_eventfd(0), -1, -1, -1 };

	vfio_pci_fix_msix(r->pci[0], true);
	assert_int_equal(rig_set_irqs(r->f, EVENTFD | TRIGGER, MSIX, 0, 2, fd), 0);
	assert_refused(rig_set_irqs(r->f, EVENTFD | TRIGGER, MSIX, 2, 1, fd), EINVAL);
	assert_int_equal(rig_set_irqs(r->f, EVENTFD | TRIGGER, MSIX, 1, 1, fd), 0);
	uiommufd_device_irq(r->fn[0], 0);
	uiommufd_device_irq(r->fn[0], 1);
	assert_int_equal(rig_take(fd[0]), 2);
	close(fd[0]);
}

static void err_req__each_form__as_the_table_says(void **state)
{
	struct rig *r = *state;
	int none = -1, bad = -2, closed = 1023;

	for (uint32_t index = ERR; index <= REQ; index++) {
		int e = rig_eventfd(0), f = rig_eventfd(0);

		assert_refused(rig_set_irqs(r->f, NONE | TRIGGER, index, 0, 1, NULL), EINVAL);
		assert_refused(rig_set_irqs(r->f, NONE | TRIGGER, index, 0, 0, NULL), EINVAL);
		assert_int_equal(rig_set_irqs(r->f, BOOL | TRIGGER, index, 0, 1, "\1"), 0);
		assert_refused(rig_set_irqs(r->f, EVENTFD | TRIGGER, index, 0, 1, &bad), EINVAL);
		assert_refused(rig_set_irqs(r->f, EVENTFD | TRIGGER, index, 0, 1, &closed), EBADF);
		assert_refused(rig_set_irqs(r->f, EVENTFD | TRIGGER, index, 0, 0, NULL), EINVAL);
		assert_refused(rig_set_irqs(r->f, BOOL | TRIGGER, index, 0, 0, NULL), EINVAL);
		assert_refused(rig_set_irqs(r->f, EVENTFD | TRIGGER, index, 1, 1, &e), EINVAL);
		assert_int_equal(rig_set_irqs(r->f, EVENTFD | TRIGGER, index, 0, 1, &e), 0);
		assert_int_equal(rig_set_irqs(r->f, NONE | TRIGGER, index, 0, 1, NULL), 0);
		assert_int_equal(rig_set_irqs(r->f, BOOL | TRIGGER, index, 0, 1, "\1"), 0);
		assert_int_equal(rig_set_irqs(r->f, BOOL | TRIGGER, index, 0, 1, "\0"), 0);
		assert_int_equal(rig_take(e), 2);
		assert_int_equal(rig_set_irqs(r->f, EVENTFD | TRIGGER, index, 0, 1, &f), 0);
		assert_true(index == ERR ? vfio_pci_error(r->pci[0]) : vfio_pci_request(r->pci[0]));
		assert_int_equal(rig_take(e), 0);
		assert_int_equal(rig_take(f), 1);
		assert_int_equal(rig_set_irqs(r->f, EVENTFD | TRIGGER, index, 0, 1, &none), 0);
		assert_false(index == ERR ? vfio_pci_error(r->pci[0])
					  : vfio_pci_request(r->pci[0]));
		assert_int_equal(rig_set_irqs(r->f, EVENTFD | TRIGGER, index, 0, 1, &f), 0);
		assert_int_equal(rig_set_irqs(r->f, NONE | TRIGGER, index, 0, 0, NULL), 0);
		assert_refused(rig_set_irqs(r->f, NONE | TRIGGER, index, 0, 1, NULL), EINVAL);
		close(e);
		close(f);
	}
}

static void reset__wired__wiring_kept(void **state)
{
	struct rig *r = *state;
	int e = rig_eventfd(0), q = rig_eventfd(0);

	assert_int_equal(rig_set_irqs(r->f, EVENTFD | TRIGGER, MSIX, 0, 1, &e), 0);
	assert_int_equal(rig_set_irqs(r->f, EVENTFD | TRIGGER, REQ, 0, 1, &q), 0);
	assert_int_equal(IO(r->f, VFIO_DEVICE_RESET, NULL), 0);
	assert_int_equal(type_of(r), MSIX);
	uiommufd_device_irq(r->fn[0], 0);
	assert_int_equal(rig_take(e), 1);
	assert_true(vfio_pci_request(r->pci[0]));
	close(e);
	close(q);
}

static void close__wired__every_reference_dropped(void **state)
{
	struct rig *r = *state;
	int e = rig_eventfd(0), none = -1;
	unsigned fds = rig_open_fds();
	int all[4] = { e, e, e, e };

	assert_int_equal(rig_set_irqs(r->f, EVENTFD | TRIGGER, MSIX, 0, 4, all), 0);
	assert_int_equal(rig_set_irqs(r->f, EVENTFD | TRIGGER, ERR, 0, 1, &e), 0);
	assert_int_equal(rig_set_irqs(r->f, EVENTFD | TRIGGER, REQ, 0, 1, &e), 0);
	assert_int_equal(rig_open_fds(), fds + 6);
	/* The client's own number can go at once. */
	vfio_file_release(r->f);
	assert_int_equal(rig_open_fds(), fds);
	r->f = rig_open(r, 0);
	assert_int_equal(rig_bind(r, r->f, 0, NULL), 0);
	assert_int_equal(rig_set_irqs(r->f, EVENTFD | TRIGGER, INTX, 0, 1, &none), 0);
	assert_int_equal(rig_set_irqs(r->f, EVENTFD | UNMASK, INTX, 0, 1, &e), 0);
	vfio_file_release(r->f);
	r->f = NULL;
	assert_int_equal(rig_open_fds(), fds);
	close(e);
}

static void signal__client_closed_its_fd__still_delivered(void **state)
{
	struct rig *r = *state;
	int e = rig_eventfd(0), keep = fcntl(e, F_DUPFD_CLOEXEC, 0);

	assert_int_equal(rig_set_irqs(r->f, EVENTFD | TRIGGER, MSIX, 0, 1, &e), 0);
	close(e);
	uiommufd_device_irq(r->fn[0], 0);
	assert_int_equal(rig_take(keep), 1);
	close(keep);
}

/* A full counter must not block the device, whether the client's eventfd blocks or not. */
static void signal__counter_full__returns(void **state)
{
	struct rig *r = *state;
	int e = rig_eventfd(0);
	uint64_t full = UINT64_MAX - 1;

	for (int blocking = 0; blocking < 2; blocking++) {
		if (blocking)
			assert_int_equal(fcntl(e, F_SETFL, 0), 0);
		assert_int_equal(rig_set_irqs(r->f, EVENTFD | TRIGGER, MSIX, 0, 1, &e), 0);
		assert_int_equal(write(e, &full, 8), 8);
		uiommufd_device_irq(r->fn[0], 0);
		assert_true(rig_take(e) >= full);
	}
	close(e);
}

/* In a child without /proc, where nothing says what a descriptor is: exit status, 0 is good. */
static int judge_without_proc(int e)
{
	int t = timerfd_create(CLOCK_MONOTONIC, 0), p[2];
	struct event ev = EVENT_NONE;
	char c;

	if (pipe2(p, O_NONBLOCK) || t < 0)
		return 10;
	if (event_get(e, &ev) || !event_set(&ev))
		return 11;
	event_signal(&ev);
	if (rig_take(e) != 1)
		return 12;
	if (event_get(p[1], &ev) != -EINVAL || read(p[0], &c, 1) != -1)
		return 13;
	if (event_get(t, &ev) != -EINVAL || event_get(1023, &ev) != -EBADF)
		return 14;
	return 0;
}

static void event_get__no_proc__told_by_behaviour(void **state)
{
	int e = rig_eventfd(0), status;
	pid_t child = fork();

	(void)state;
	if (!child) {
		if (chroot("/sys") || !access("/proc", F_OK))
			_exit(77);
		_exit(judge_without_proc(e));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		print_message("needs the right to chroot\n");
		close(e);
		skip();
	}
	assert_int_equal(status, 0);
	close(e);
}

static void set_irqs__each_fault__state_whole(void **state)
{
	struct rig *r = *state;
	int e = rig_eventfd(0), all[4] = { e, e, e, e }, none = -1;
	unsigned fds = rig_open_fds();

	SWEEP(
		rig_set_irqs(r->f, EVENTFD | TRIGGER, MSIX, 0, 4, all),
		{ assert_int_equal(type_of(r), IRQ_TYPE_NONE); },
		{ rig_set_irqs(r->f, NONE | TRIGGER, MSIX, 0, 0, NULL); });
	SWEEP(
		rig_set_irqs(r->f, EVENTFD | TRIGGER, INTX, 0, 1, &e),
		{ assert_int_equal(type_of(r), IRQ_TYPE_NONE); },
		{ rig_set_irqs(r->f, NONE | TRIGGER, INTX, 0, 0, NULL); });
	SWEEP(
		rig_set_irqs(r->f, EVENTFD | TRIGGER, REQ, 0, 1, &e),
		{ assert_false(event_set(&r->pci[0]->irqs.req)); },
		{ rig_set_irqs(r->f, NONE | TRIGGER, REQ, 0, 0, NULL); });
	assert_int_equal(rig_open_fds(), fds);
	assert_int_equal(rig_set_irqs(r->f, EVENTFD | TRIGGER, INTX, 0, 1, &none), 0);
	SWEEP(
		rig_set_irqs(r->f, EVENTFD | UNMASK, INTX, 0, 1, &e),
		{ assert_false(event_set(&r->pci[0]->irqs.resample)); },
		{ rig_set_irqs(r->f, EVENTFD | UNMASK, INTX, 0, 1, &none); });
	assert_int_equal(rig_open_fds(), fds + 2); /* the watcher's */
	close(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(irq_info__each_index__counts_and_flags),
		RIG_TEST(set_irqs__header__checked),
		RIG_TEST(set_irqs__data_unreadable__efault),
		RIG_TEST(set_irqs__no_such_action__enotty),
		RIG_TEST(intx__inactive__einval),
		RIG_TEST(intx__line_up__automasked_until_unmask),
		RIG_TEST(intx__masked__pending_until_unmask),
		RIG_TEST(intx__loopback__works_masked_but_not_disabled),
		RIG_TEST(intx__command_disable__masks),
		RIG_TEST(intx__no_trigger__active_and_swappable),
		RIG_TEST(intx__resample_eventfd__unmasks),
		cmocka_unit_test(intx__no_pin__absent),
		RIG_TEST(msix__inactive__only_enable),
		RIG_TEST(msix__array_with_holes__signals_the_others),
		RIG_TEST(msix__bad_fd__off_up_to_the_failing),
		RIG_TEST(msix__fixed__beyond_the_first_einval),
		RIG_TEST(err_req__each_form__as_the_table_says),
		RIG_TEST(reset__wired__wiring_kept),
		RIG_TEST(close__wired__every_reference_dropped),
		RIG_TEST(signal__client_closed_its_fd__still_delivered),
		RIG_TEST(signal__counter_full__returns),
		RIG_TEST(event_get__no_proc__told_by_behaviour),
		RIG_TEST(set_irqs__each_fault__state_whole),
	};

	rig_main_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
