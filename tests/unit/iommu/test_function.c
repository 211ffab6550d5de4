// SPDX-License-Identifier: MIT
/* Are functions built, run, reset and refused as they should be? */
#include <errno.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "iommu_kit.h"

#define RW (IOMMU_READ | IOMMU_WRITE)

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

static void wait_until(bool (*is)(struct toy *t), struct toy *t)
{
	for (int i = 0; i < 5000 && !is(t); i++)
		nap();
	assert_true(is(t));
}

static bool idle(struct toy *t)
{
	return t->runs && !t->in_run;
}

static bool writing(struct toy *t)
{
	return t->writes > 0;
}

static void desc_check__each_mistake__einval(void **state)
{
	static const struct uiommufd_cfg_reg reg_high = { .offset = 0x148, .rw1c = 1 };
	static const struct uiommufd_cfg_reg reg_odd = { .offset = 0x42 };
	static const struct uiommufd_cfg_reg reg_both = { .offset = 0x48, .rw = 3, .rw1c = 1 };
	static const struct uiommufd_cfg_reg reg_std = { .offset = 0x10 };
	static const struct uiommufd_pci_cap cap_vendor = { .id = 9, .offset = 0x40, .len = 2 };
	static const struct uiommufd_pci_cap cap_nodata = { .id = 9, .offset = 0x40, .len = 8 };
	const struct uiommufd_device_desc good = *toy_ops.desc;
	struct uiommufd_device_desc d;

	(void)state;
	assert_int_equal(function_desc_check(&good), 0);
#define BAD(...)                                                \
	do {                                                    \
		d = good;                                       \
		__VA_ARGS__;                                    \
		why_clear();                                    \
		if (function_desc_check(&d) != -EINVAL)         \
			fail_msg("accepted: %s", #__VA_ARGS__); \
		assert_string_not_equal(why_last(), "");        \
	} while (0)
#define GOOD(...)                                                     \
	do {                                                          \
		d = good;                                             \
		__VA_ARGS__;                                          \
		if (function_desc_check(&d))                          \
			fail_msg("%s: %s", #__VA_ARGS__, why_last()); \
	} while (0)
	BAD(d.name = NULL);
	BAD(d.vendor = 0xffff);
	BAD(d.class_code = 1 << 24);
	BAD(d.interrupt_pin = 5);
	BAD(d.bar[0].size = 4097);
	BAD(d.bar[0].size = 8);
	BAD(d.bar[0].size = 2048); /* poll-mode, less than a page */
	GOOD(d.bar[0].size = 2048; d.bar[0].modes = d.bar[0].default_mode);
	BAD(d.bar[1] = d.bar[0]); /* the upper half of BAR 0 */
	BAD(d.bar[5] = d.bar[0]); /* no slot for its upper half */
	BAD(d.bar[0].is64 = false; d.bar[0].size = 4 * GIB);
	GOOD(d.bar[0].size = 4 * GIB);
	BAD(d.bar[0].modes = 0);
	BAD(d.bar[0].modes |= 8);
	BAD(d.bar[0].default_mode = UIOMMUFD_BAR_FAULT);
	BAD(d.bar[0].default_mode = d.bar[0].modes);
	BAD(d.msix_vectors = 1);
	BAD(d.msix_cap = 0x40);
	GOOD(d.msix_vectors = 1; d.msix_cap = 0x40; d.msix_pba = 0x10);
	BAD(d.msix_vectors = 1; d.msix_cap = 0x40; d.msix_pba = 0x8);
	BAD(d.msix_vectors = 1; d.msix_cap = 0x40; d.msix_pba = 0x14);
	BAD(d.msix_vectors = 1; d.msix_cap = 0x40; d.msix_pba = 4096);
	BAD(d.msix_vectors = 257; d.msix_cap = 0x40; d.msix_pba = 0);
	BAD(d.msix_vectors = 1; d.msix_cap = 0x40; d.msix_pba = 0x10; d.msix_bar = 2);
	BAD(d.msix_vectors = 1; d.msix_cap = 0x40; d.msix_pba = 0x10; d.msix_bar = 6);
	BAD(d.exp_cap = 0x42);
	BAD(d.exp_cap = 0x30);
	BAD(d.exp_cap = 0xd0);
	BAD(d.exp_cap = 0x80; d.pm_cap = 0x80);
	BAD(d.exp_cap = 0x80; d.pm_cap = 0xb8);
	GOOD(d.exp_cap = 0x80; d.pm_cap = 0xbc);
	BAD(d.flr = true);
	GOOD(d.flr = true; d.exp_cap = 0x40);
	BAD(d.cfg_regs = &reg_high; d.n_cfg_regs = 1);
	GOOD(d.cfg_regs = &reg_high; d.n_cfg_regs = 1; d.exp_cap = 0x40);
	BAD(d.cfg_regs = &reg_odd; d.n_cfg_regs = 1);
	BAD(d.cfg_regs = &reg_both; d.n_cfg_regs = 1);
	BAD(d.cfg_regs = &reg_std; d.n_cfg_regs = 1);
	BAD(d.n_cfg_regs = 1);
	GOOD(d.caps = &cap_vendor; d.n_caps = 1);
	BAD(d.caps = &cap_nodata; d.n_caps = 1);
	BAD(d.caps = &cap_vendor; d.n_caps = 1; d.pm_cap = 0x40);
	BAD(d.n_caps = 1);
}

static void function_create__addresses__parsed_or_refused(void **state)
{
	static const char *const bad[] = { "1:0.0",         "0000:01:00.8",  "0000:01:20.0",
					   "0000:100:00.0", "0000:01:00.0x", "hello" };
	struct kit *k = *state;
	struct function_spec spec = { .ops = &toy_ops, .group = -1 };
	struct uiommufd_device *f, *f2;

	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		strcpy(spec.name, bad[i]);
		assert_int_equal(function_create(k->m, &spec, &f), -EINVAL);
	}
	strcpy(spec.name, "0001:2a:1f.7");
	assert_int_equal(function_create(k->m, &spec, &f), 0);
	assert_int_equal(f->idev.segment, 1);
	assert_int_equal(f->idev.rid, 0x2aff);
	assert_string_equal(f->idev.name, "0001:2a:1f.7");
	assert_int_equal(f->index, 0);
	assert_int_equal(function_create(k->m, &spec, &f2), -EEXIST);
	spec.name[0] = 0;
	assert_int_equal(function_create(k->m, &spec, &f), 0);
	assert_string_equal(f->idev.name, "0000:01:00.0");
	assert_int_equal(function_create(k->m, &spec, &f2), 0);
	assert_string_equal(f2->idev.name, "0000:02:00.0");
	assert_int_equal(f2->index, 2);
	assert_ptr_not_equal(f->idev.group, f2->idev.group);
	spec.group = k->g->id; /* owned by the kit */
	assert_int_equal(function_create(k->m, &spec, &f), -EBUSY);
	assert_ptr_equal(k->m->functions.prev, &f2->in_machine);
	function_destroy(f);
	function_destroy(NULL);
}

static void function_create__options_and_modes__refused_with_reason(void **state)
{
	char opt[] = "colour=red", *argv[] = { opt, NULL };
	struct kit *k = *state;
	struct function_spec spec = { .ops = &toy_ops, .group = 3, .argv = argv };
	struct uiommufd_device_ops ops = toy_ops;
	struct uiommufd_device *f;

	assert_int_equal(function_create(k->m, &spec, &f), -EINVAL);
	assert_string_equal(why_last(), "the toy has no option \"colour=red\"");
	spec.argv = NULL;
	spec.bar_mode[0] = UIOMMUFD_BAR_FAULT;
	assert_int_equal(function_create(k->m, &spec, &f), -EINVAL);
	spec.bar_mode[0] = 0;
	spec.bar_mode[2] = UIOMMUFD_BAR_TRAP;
	assert_int_equal(function_create(k->m, &spec, &f), -EINVAL);
	spec.bar_mode[2] = 0;
	ops.size--;
	spec.ops = &ops;
	assert_int_equal(function_create(k->m, &spec, &f), -EINVAL);
	ops = toy_ops;
	ops.stop = NULL;
	assert_int_equal(function_create(k->m, &spec, &f), -EINVAL);
	spec.ops = &toy_ops;
	spec.bar_mode[0] = UIOMMUFD_BAR_POLL;
	assert_int_equal(function_create(k->m, &spec, &f), 0);
	assert_int_equal(f->bar_mode[0], UIOMMUFD_BAR_POLL);
	assert_int_equal(f->idev.group->id, 3);
	assert_int_equal(f->index, 0);
}

static void function_create__each_fault__nothing_left(void **state)
{
	struct kit *k = *state;
	const struct function_spec spec = { .ops = &toy_ops, .group = -1 };
	struct uiommufd_device *f;

	fault_sweep(function_create(k->m, &spec, &f), function_destroy(f));
	assert_true(list_empty(&k->m->functions));
}

static void function_bar__access__inside_and_aligned_only(void **state)
{
	struct kit *k = *state;
	struct uiommufd_device *f = kit_toy(k);

	function_bar_write(f, 0, 0x18, 8, 0x1122334455667788ull);
	assert_int_equal(function_bar_read(f, 0, 0x18, 8), 0x1122334455667788ull);
	assert_int_equal(function_bar_read(f, 0, 0x1c, 4), 0x11223344);
	assert_int_equal(function_bar_read(f, 0, 0x18, 2), 0x7788);
	assert_int_equal(function_bar_read(f, 0, 0x19, 1), 0x77);
	assert_int_equal(function_bar_read(f, 0, 0x19, 2), 0);
	assert_int_equal(function_bar_read(f, 0, 0x18, 3), 0);
	assert_int_equal(function_bar_read(f, 0, 4096, 8), 0);
	assert_int_equal(function_bar_read(f, 0, UINT64_MAX - 7, 8), 0);
	assert_int_equal(function_bar_read(f, 1, 0, 8), 0);
	assert_int_equal(function_bar_read(f, 6, 0, 8), 0);
	kit_toy_release(k, f);
}

static void device_kick__work__run_on_its_thread(void **state)
{
	struct kit *k = *state;
	uint64_t *p = (uint64_t *)(void *)kit_buf(k, PAGE_SIZE, PAGE_SIZE);
	struct uiommufd_device *f = kit_toy(k);
	struct toy *t = f->state;

	kit_map(k, 0x4000, p, PAGE_SIZE, RW);
	function_bar_write(f, 0, 8, 8, 0x4000);
	for (unsigned i = 1; i <= 50; i++) {
		function_bar_write(f, 0, 16, 8, 3);
		t->runs = 0;
		function_bar_write(f, 0, 0, 8, 1);
		wait_until(idle, t);
		assert_int_equal(t->last_rc, 0);
		assert_int_equal(p[0], 3 * i);
		if (i % 10 == 0)
			nap(); /* lets it fall asleep */
	}
	kit_toy_release(k, f);
}

static void function_reset__running__stops_and_forgets(void **state)
{
	struct kit *k = *state;
	uint64_t *p = (uint64_t *)(void *)kit_buf(k, PAGE_SIZE, PAGE_SIZE);
	struct uiommufd_device *f = kit_toy(k);
	struct toy *t = f->state;

	kit_map(k, 0x4000, p, PAGE_SIZE, RW);
	for (unsigned i = 0; i < 20; i++) {
		unsigned resets = t->resets;

		t->writes = 0;
		function_bar_write(f, 0, 8, 8, 0x4000);
		function_bar_write(f, 0, 16, 8, UINT64_MAX);
		function_bar_write(f, 0, 0, 8, 1);
		wait_until(writing, t);
		function_reset(f, UIOMMUFD_RESET_FUNCTION);
		assert_int_equal(t->in_run, 0);
		assert_int_equal(t->resets, resets + 1);
		assert_int_equal(function_bar_read(f, 0, 8, 8), 0);
		p[0] = 0;
		if (i % 8 == 0)
			nap();
		assert_int_equal(p[0], 0);
		assert_int_equal(t->in_run, 0);
	}
	kit_toy_release(k, f);
}

static void function_bus_master__off__eperm(void **state)
{
	struct kit *k = *state;
	char *p = kit_buf(k, PAGE_SIZE, PAGE_SIZE), b[8] = { 0 };
	struct uiommufd_device *f = kit_toy(k);

	kit_map(k, 0, p, PAGE_SIZE, RW);
	assert_int_equal(uiommufd_dma_write(f, 0, 0, b, 8), 0);
	function_set_bus_master(f, false);
	assert_int_equal(uiommufd_dma_write(f, 0, 0, b, 8), -EPERM);
	assert_int_equal(uiommufd_dma_read(f, 0, 0, b, 8), -EPERM);
	function_set_bus_master(f, true);
	assert_int_equal(uiommufd_dma_read(f, 0, 0, b, 8), 0);
	kit_toy_release(k, f);
}

static void uiommufd_dma__fault__where_it_stopped(void **state)
{
	struct kit *k = *state;
	char *p = kit_buf(k, 2 * PAGE_SIZE, PAGE_SIZE);
	struct uiommufd_device *f = kit_toy(k);
	struct uiommufd_dma_fault fault;
	uint64_t v = 0;

	kit_map(k, 0, p, 2 * PAGE_SIZE, RW);
	assert_int_equal(uiommufd_dma_copy(f, 0, 0, PAGE_SIZE, 64, NULL), 0);
	assert_int_equal(uiommufd_dma_copy(f, 0, 0x100, PAGE_SIZE + 8, PAGE_SIZE, &fault), -EFAULT);
	assert_int_equal(fault.iova, 2 * PAGE_SIZE);
	assert_int_equal(fault.side, UIOMMUFD_DMA_SRC);
	assert_int_equal(fault.done, PAGE_SIZE - 8);
	assert_int_equal(uiommufd_dma_fill(f, 0, PAGE_SIZE, 0, 2 * PAGE_SIZE, &fault), -EFAULT);
	assert_int_equal(fault.iova, 2 * PAGE_SIZE);
	assert_int_equal(fault.side, UIOMMUFD_DMA_DST);
	assert_int_equal(fault.done, PAGE_SIZE);
	assert_int_equal(uiommufd_dma_fill(f, 0, 0, 0x42, 16, NULL), 0);
	assert_int_equal(uiommufd_dma_load(f, 0, 8, &v, 8), 0);
	assert_int_equal(v, 0x42);
	assert_int_equal(uiommufd_dma_store(f, 0, 8, 7, 8), 0);
	assert_int_equal(p[8], 7);
	kit_toy_release(k, f);
}

struct wires {
	unsigned irqs, vector, or_off;
	uint32_t or_bits;
	bool level;
};

static void wire_irq(void *arg, unsigned vector)
{
	struct wires *w = arg;

	w->irqs++;
	w->vector = vector;
}

static void wire_intx(void *arg, bool level)
{
	((struct wires *)arg)->level = level;
}

static bool wire_msix_on(void *arg)
{
	(void)arg;
	return true;
}

static void wire_cfg_or(void *arg, unsigned off, uint32_t bits)
{
	struct wires *w = arg;

	w->or_off = off;
	w->or_bits = bits;
}

static void *wire_bar(void *arg, unsigned bar)
{
	return (char *)arg + bar;
}

static void device_calls__file_side__forwarded_when_there(void **state)
{
	static const struct function_vfio_ops ops = { wire_irq, wire_intx, wire_msix_on,
						      wire_cfg_or, wire_bar };
	struct kit *k = *state;
	struct uiommufd_device *f = kit_toy(k);
	struct wires w = { 0 };

	uiommufd_device_irq(f, 3); /* nobody there yet: nothing happens */
	uiommufd_device_intx(f, true);
	uiommufd_device_cfg_or(f, 0x40, 1);
	assert_false(uiommufd_device_msix_on(f));
	assert_null(uiommufd_device_bar(f, 0));
	f->vfio = &w;
	f->vfio_ops = &ops;
	uiommufd_device_irq(f, 3);
	uiommufd_device_intx(f, true);
	uiommufd_device_cfg_or(f, 0x40, 8);
	assert_int_equal(w.irqs, 1);
	assert_int_equal(w.vector, 3);
	assert_true(w.level);
	assert_int_equal(w.or_off, 0x40);
	assert_int_equal(w.or_bits, 8);
	assert_true(uiommufd_device_msix_on(f));
	assert_ptr_equal(uiommufd_device_bar(f, 2), (char *)&w + 2);
	f->vfio_ops = NULL;
	kit_toy_release(k, f);
}

static void function_thread__no_thread_to_be_had__next_kick(void **state)
{
	struct kit *k = *state;
	char *p = kit_buf(k, PAGE_SIZE, PAGE_SIZE);
	struct uiommufd_device *f = kit_toy(k);
	struct toy *t = f->state;

	kit_map(k, 0x4000, p, PAGE_SIZE, RW);
	fault_arm(1, true);
	uiommufd_device_kick(f);
	fault_disarm(NULL);
	nap();
	assert_int_equal(t->runs, 0);
	uiommufd_device_kick(f);
	wait_until(idle, t);
	kit_toy_release(k, f);
}

static void function_thread__forked_child__its_own(void **state)
{
	struct kit *k = *state;
	uint64_t *p = (uint64_t *)(void *)kit_buf(k, PAGE_SIZE, PAGE_SIZE);
	struct uiommufd_device *f = kit_toy(k);
	struct toy *t = f->state;
	int status;
	pid_t pid;

	kit_map(k, 0x4000, p, PAGE_SIZE, RW);
	function_bar_write(f, 0, 0, 8, 1);
	wait_until(idle, t);
	pid = fork();
	if (!pid) {
		t->runs = 0;
		function_bar_write(f, 0, 0, 8, 1);
		for (int i = 0; i < 2000 && !idle(t); i++)
			nap();
		_exit(t->runs && !t->in_run ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	kit_toy_release(k, f);
}

#define T(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(desc_check__each_mistake__einval),
		T(function_create__addresses__parsed_or_refused),
		T(function_create__options_and_modes__refused_with_reason),
		T(function_create__each_fault__nothing_left),
		T(function_bar__access__inside_and_aligned_only),
		T(device_kick__work__run_on_its_thread),
		T(function_reset__running__stops_and_forgets),
		T(function_bus_master__off__eperm),
		T(uiommufd_dma__fault__where_it_stopped),
		T(device_calls__file_side__forwarded_when_there),
		T(function_thread__no_thread_to_be_had__next_kick),
		T(function_thread__forked_child__its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
