// SPDX-License-Identifier: MIT
/* Device info, region info, BAR accesses, mappings, features. */
#include "rig.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static struct rig *with_mode(unsigned mode)
{
	struct rig *r = rig_new(&(struct rig_opts){ .bar0_mode = mode });

	r->f = rig_open(r, 0);
	assert_int_equal(rig_bind(r, r->f, 0, &r->devid), 0);
	return r;
}

static void get_info__by_argsz__writes_that_much(void **state)
{
	struct rig *r = *state;
	struct vfio_device_info i;

	memset(&i, 0xaa, sizeof(i));
	i.argsz = 15;
	assert_refused(IO(r->f, VFIO_DEVICE_GET_INFO, NULL), EFAULT);
	assert_refused(IO(r->f, VFIO_DEVICE_GET_INFO, &i), EINVAL);
	i.argsz = 16;
	assert_int_equal(IO(r->f, VFIO_DEVICE_GET_INFO, &i), 0);
	assert_int_equal(i.argsz, 16);
	assert_int_equal(i.flags, VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET);
	assert_int_equal(i.num_regions, 9);
	assert_int_equal(i.num_irqs, 5);
	assert_int_equal(i.cap_offset, 0xaaaaaaaa);
	i.argsz = 20;
	assert_int_equal(IO(r->f, VFIO_DEVICE_GET_INFO, &i), 0);
	assert_int_equal(i.cap_offset, 0);
	assert_int_equal(i.pad, 0xaaaaaaaa);
	i.argsz = 24;
	assert_int_equal(IO(r->f, VFIO_DEVICE_GET_INFO, &i), 0);
	assert_int_equal(i.argsz, 24);
	assert_int_equal(i.cap_offset, 0);
	i.argsz = 100;
	assert_int_equal(IO(r->f, VFIO_DEVICE_GET_INFO, &i), 0);
	assert_int_equal(i.argsz, 100);
}

static void region_info__each_index__size_flags_offset(void **state)
{
	static const struct {
		uint64_t size;
		uint32_t flags;
	} want[8] = { { PROBE_BAR0, 3 }, { 0, 0 }, { 256, 3 }, { 0, 0 },
		      { 0, 0 },          { 0, 0 }, { 0, 0 },   { 4096, 3 } };
	struct rig *r = *state;
	struct vfio_region_info i = { .argsz = 31 };

	assert_refused(IO(r->f, VFIO_DEVICE_GET_REGION_INFO, NULL), EFAULT);
	assert_refused(IO(r->f, VFIO_DEVICE_GET_REGION_INFO, &i), EINVAL);
	for (uint32_t n = 0; n < 8; n++) {
		i = (struct vfio_region_info){ .argsz = 64, .index = n, .cap_offset = 77 };
		assert_int_equal(IO(r->f, VFIO_DEVICE_GET_REGION_INFO, &i), 0);
		assert_int_equal(i.size, want[n].size);
		assert_int_equal(i.flags, want[n].flags);
		assert_int_equal(i.offset, (uint64_t)n << 40);
		assert_int_equal(i.argsz, 64);
		assert_int_equal(i.cap_offset, 77);
	}
	for (i.index = 8; i.index < 12; i.index++)
		assert_refused(IO(r->f, VFIO_DEVICE_GET_REGION_INFO, &i), EINVAL);
}

static void region_info__mappable_msix_bar__has_the_capability(void **state)
{
	struct rig *r = with_mode(UIOMMUFD_BAR_FAULT);
	struct {
		struct vfio_region_info i;
		struct vfio_info_cap_header cap;
		uint64_t guard;
	} u;

	(void)state;
	for (uint32_t argsz = 32; argsz < 48; argsz++) {
		memset(&u, 0xaa, sizeof(u));
		u.i.argsz = argsz;
		u.i.index = 0;
		assert_int_equal(IO(r->f, VFIO_DEVICE_GET_REGION_INFO, &u), 0);
		assert_int_equal(u.i.flags, 15);
		assert_int_equal(u.guard, 0xaaaaaaaaaaaaaaaa);
		if (argsz < 40) {
			assert_int_equal(u.i.argsz, 40);
			assert_int_equal(u.i.cap_offset, 0);
			assert_int_equal(u.cap.next, 0xaaaaaaaa);
		} else {
			assert_int_equal(u.i.argsz, argsz);
			assert_int_equal(u.i.cap_offset, 32);
			assert_int_equal(u.cap.id, VFIO_REGION_INFO_CAP_MSIX_MAPPABLE);
			assert_int_equal(u.cap.version, 1);
			assert_int_equal(u.cap.next, 0);
		}
	}
	rig_free(r);
}

static void bar__any_range__split_naturally(void **state)
{
	struct rig *r = *state;
	struct probe *p = rig_probe(r, 0);
	uint8_t in[64], out[64];

	for (unsigned i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(i + 1);
	for (unsigned off = 0x40; off < 0x50; off++)
		for (unsigned n = 1; n < 40; n++) {
			memset(out, 0, sizeof(out));
			assert_int_equal(vfio_file_pwrite(r->f, (uintptr_t)in, n, off), n);
			assert_int_equal(vfio_file_pread(r->f, (uintptr_t)out, n, off), n);
			assert_memory_equal(in, out, n);
		}
	p->log_n = 0;
	assert_int_equal(vfio_file_pwrite(r->f, (uintptr_t)in, 15, 0x41), 15);
	assert_int_equal(p->log_n, 4);
	assert_int_equal(p->log[0].size, 1);
	assert_int_equal(p->log[1].size, 2);
	assert_int_equal(p->log[1].val, 0x0302);
	assert_int_equal(p->log[2].size, 4);
	assert_int_equal(p->log[3].size, 8);
	assert_int_equal(p->log[3].off, 0x48);
}

static void bar__past_the_end__truncated(void **state)
{
	struct rig *r = *state;
	char b[32] = { 0 };

	assert_int_equal(vfio_file_pread(r->f, (uintptr_t)b, 32, PROBE_BAR0 - 8), 8);
	assert_int_equal(vfio_file_pwrite(r->f, (uintptr_t)b, 32, PROBE_BAR0 - 3), 3);
	assert_refused(vfio_file_pread(r->f, (uintptr_t)b, 1, PROBE_BAR0), EINVAL);
	assert_refused(vfio_file_pwrite(r->f, (uintptr_t)b, 1, PROBE_BAR0), EINVAL);
	assert_int_equal(vfio_file_pread(r->f, (uintptr_t)b, 0, PROBE_BAR0), 0);
	assert_refused(vfio_file_pread(r->f, (uintptr_t)b, 1, 1ull << 40), EINVAL);
	assert_refused(vfio_file_pread(r->f, (uintptr_t)b, 1, 6ull << 40), EINVAL);
	assert_refused(vfio_file_pwrite(r->f, (uintptr_t)b, 1, 6ull << 40), EINVAL);
	assert_refused(vfio_file_pread(r->f, (uintptr_t)b, 1, 8ull << 40), EINVAL);
	assert_refused(vfio_file_pread(r->f, (uintptr_t)b, 1, 9ull << 40), EINVAL);
	assert_refused(vfio_file_pread(r->f, (uintptr_t)b, 1, 1ull << 63), EINVAL);
}

static void bar__bad_buffer__bytes_done_or_efault(void **state)
{
	struct rig *r = *state;
	char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_int_equal(mprotect(p + 4096, 4096, PROT_NONE), 0);
	assert_refused(vfio_file_pread(r->f, (uintptr_t)p + 4096, 8, 0x40), EFAULT);
	assert_refused(vfio_file_pwrite(r->f, (uintptr_t)p + 4096, 8, 0x40), EFAULT);
	assert_int_equal(vfio_file_pread(r->f, (uintptr_t)p + 4096 - 16, 32, 0x40), 16);
	assert_int_equal(vfio_file_pwrite(r->f, (uintptr_t)p + 4096 - 16, 32, 0x40), 16);
	munmap(p, 8192);
}

static void bar__msix_table__ones_and_swallowed(void **state)
{
	struct rig *r = *state;
	struct probe *p = rig_probe(r, 0);
	uint8_t b[128], zero[128] = { 0 };
	unsigned table = PROBE_VECS * 16;

	p->log_n = 0;
	assert_int_equal(vfio_file_pwrite(r->f, (uintptr_t)zero, table, PROBE_TABLE), table);
	assert_int_equal(p->log_n, 0);
	assert_int_equal(rig_bar(r->f, 0, PROBE_TABLE, 8), UINT64_MAX);
	assert_int_equal(rig_bar(r->f, 0, PROBE_TABLE + 12, 4), 0xffffffff);
	assert_int_equal(rig_bar(r->f, 0, PROBE_TABLE + table - 1, 1), 0xff);
	memset(b, 0x55, sizeof(b));
	assert_int_equal(vfio_file_pread(r->f, (uintptr_t)b, 128, PROBE_TABLE - 8), 128);
	for (unsigned i = 0; i < 128; i++)
		assert_int_equal(b[i], i >= 8 && i < 8 + table ? 0xff : 0);
	/* Readable, and nothing is pending. */
	assert_int_equal(rig_bar(r->f, 0, PROBE_PBA, 8), 0);
	rig_bar_set(r->f, 0, PROBE_PBA, 8, 5);
	assert_int_equal(p->log_n, 0);
}

static void mmap__trap_bar__einval(void **state)
{
	struct rig *r = *state;
	enum vfio_map_how how = (enum vfio_map_how)77;

	assert_refused(vfio_file_mmap(r->f, 4096, PROT_READ, MAP_SHARED, 0, &how), EINVAL);
	assert_refused(vfio_file_mmap(r->f, 4096, PROT_READ, MAP_SHARED, 2ull << 40, &how), EINVAL);
	assert_int_equal(how, 77);
}

static void mmap__fault_bar__checked(void **state)
{
	struct rig *r = with_mode(UIOMMUFD_BAR_FAULT);
	enum vfio_map_how how;
	int rw = PROT_READ | PROT_WRITE;

	(void)state;
	assert_int_equal(vfio_file_mmap(r->f, PROBE_BAR0, rw, MAP_SHARED, 0, &how), 0);
	assert_int_equal(how, VFIO_MAP_FAULT);
	assert_int_equal(vfio_file_mmap(r->f, 4096, PROT_WRITE, MAP_SHARED, 0x3000, &how), 0);
	assert_int_equal(vfio_file_mmap(r->f, 100, rw, MAP_SHARED, 0x3000, &how), 0);
	assert_refused(vfio_file_mmap(r->f, 4096, rw, MAP_PRIVATE, 0, &how), EINVAL);
	assert_refused(vfio_file_mmap(r->f, 0, rw, MAP_SHARED, 0, &how), EINVAL);
	assert_refused(vfio_file_mmap(r->f, PROBE_BAR0 + 1, rw, MAP_SHARED, 0, &how), EINVAL);
	assert_refused(vfio_file_mmap(r->f, 8192, rw, MAP_SHARED, 0x3000, &how), EINVAL);
	assert_refused(vfio_file_mmap(r->f, SIZE_MAX - 100, rw, MAP_SHARED, 0x3000, &how), EINVAL);
	for (unsigned i = 1; i < 12; i++)
		assert_refused(vfio_file_mmap(r->f, 4096, rw, MAP_SHARED, (uint64_t)i << 40, &how),
			       EINVAL);
	/* Also with memory decode off. */
	rig_cfg_set(r->f, PCI_COMMAND, 2, 0);
	assert_int_equal(vfio_file_mmap(r->f, 4096, rw, MAP_SHARED, 0, &how), 0);
	rig_free(r);
}

static void mmio__fault_bar__performed_on_the_model(void **state)
{
	struct rig *r = with_mode(UIOMMUFD_BAR_FAULT);
	struct probe *p = rig_probe(r, 0);
	uint64_t v = 0x1122334455667788;

	(void)state;
	p->log_n = 0;
	for (unsigned size = 1; size <= 8; size *= 2)
		assert_true(vfio_pci_mmio(r->pci[0], 0x80, size, true, &v));
	assert_int_equal(p->log_n, 4);
	assert_int_equal(p->log[1].val, 0x7788);
	v = 0;
	assert_true(vfio_pci_mmio(r->pci[0], 0x84, 4, false, &v));
	assert_int_equal(v, 0x11223344);
	assert_true(vfio_pci_mmio(r->pci[0], PROBE_TABLE, 4, false, &v));
	assert_int_equal(v, 0xffffffff);
	assert_false(vfio_pci_mmio(r->pci[0], PROBE_BAR0, 4, false, &v));
	assert_false(vfio_pci_mmio(r->pci[0], 7ull << 40, 4, false, &v));
	rig_free(r);
}

static uint64_t *map_shared(struct rig *r)
{
	enum vfio_map_how how;
	uint64_t *p;

	assert_int_equal(
		vfio_file_mmap(r->f, PROBE_BAR0, PROT_READ | PROT_WRITE, MAP_SHARED, 0, &how), 0);
	assert_int_equal(how, VFIO_MAP_MEMORY);
	p = mmap(NULL, PROBE_BAR0, PROT_READ | PROT_WRITE, MAP_SHARED, vfio_pci_memfd(r->pci[0]),
		 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static void poll_bar__stores__seen_by_the_model(void **state)
{
	struct rig *r = with_mode(UIOMMUFD_BAR_POLL);
	uint64_t *p = map_shared(r);

	(void)state;
	for (uint64_t i = 1; i <= 5; i++) {
		__atomic_store_n(&p[REG_KICK / 8], i * 10, __ATOMIC_RELEASE);
		for (int n = 0; n < 10000 && p[REG_RC / 8] != i * 10 + 1; n++)
			usleep(100);
		assert_int_equal(__atomic_load_n(&p[REG_RC / 8], __ATOMIC_ACQUIRE), i * 10 + 1);
		assert_int_equal(rig_bar(r->f, 0, REG_RC, 8), i * 10 + 1);
		usleep(5000);
	}
	/* Through the file it is told before the write returns. */
	rig_bar_set(r->f, 0, REG_KICK, 8, 1000);
	assert_int_equal(p[REG_RC / 8], 1001);
	assert_int_equal(IO(r->f, VFIO_DEVICE_RESET, NULL), 0);
	assert_int_equal(p[REG_KICK / 8], 0);
	/* The next client does not see what this one left. */
	p[0x800 / 8] = p[0x1800 / 8] = 42;
	vfio_file_release(r->f);
	r->f = rig_open(r, 0);
	assert_int_equal(rig_bind(r, r->f, 0, NULL), 0);
	assert_int_equal(rig_bar(r->f, 0, 0x800, 8), 0);
	assert_int_equal(rig_bar(r->f, 0, 0x1800, 8), 0);
	munmap(p, PROBE_BAR0);
	rig_free(r);
}

static double cpu_of_process(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void poll_bar__idle__below_one_percent(void **state)
{
	struct rig *r = with_mode(UIOMMUFD_BAR_POLL);
	uint64_t *p = map_shared(r);
	double used;

	(void)state;
	usleep(20000);
	used = cpu_of_process();
	usleep(500000);
	used = cpu_of_process() - used;
	print_message("idle poll-mode function: %.3f %% of a CPU\n", used / 0.5 * 100);
	if (!BUILT_WITH_ASAN && !BUILT_WITH_TSAN && !LOCK_CHECK)
		assert_true(used < 0.005);
	assert_true(used < 0.025);
	munmap(p, PROBE_BAR0);
	rig_free(r);
}

static void poll_bar__each_fault__no_watcher_left(void **state)
{
	struct rig *r = with_mode(UIOMMUFD_BAR_POLL);
	unsigned fds = rig_open_fds();
	enum vfio_map_how how;

	(void)state;
	SWEEP(
		vfio_file_mmap(r->f, 4096, PROT_READ, MAP_SHARED, 0, &how),
		{ assert_int_equal(r->pci[0]->watch.nmem, 0); },
		{
			vfio_file_release(r->f);
			assert_int_equal(rig_open_fds(), fds);
			r->f = rig_open(r, 0);
			assert_int_equal(rig_bind(r, r->f, 0, NULL), 0);
		});
	rig_free(r);
}

/* ---- DEVICE_FEATURE ---- */

static long feature(struct vfio_file *f, uint32_t flags, uint32_t argsz, int32_t fd)
{
	struct {
		uint32_t argsz, flags;
		int32_t fd;
		uint32_t reserved;
	} a = { argsz, flags, fd, 0xffffffff };

	return IO(f, VFIO_DEVICE_FEATURE, &a);
}

#define GET   VFIO_DEVICE_FEATURE_GET
#define SET   VFIO_DEVICE_FEATURE_SET
#define PROBE VFIO_DEVICE_FEATURE_PROBE
#define ENTRY VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY
#define WAKE  VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP
#define EXIT  VFIO_DEVICE_FEATURE_LOW_POWER_EXIT

static void feature__header__checked(void **state)
{
	struct rig *r = *state;

	assert_refused(IO(r->f, VFIO_DEVICE_FEATURE, NULL), EFAULT);
	assert_refused(feature(r->f, SET | ENTRY, 7, 0), EINVAL);
	assert_refused(feature(r->f, SET | ENTRY | 1 << 19, 16, 0), EINVAL);
	assert_refused(feature(r->f, GET | SET | ENTRY, 16, 0), EINVAL);
	assert_refused(feature(r->f, GET | SET | 999, 16, 0), EINVAL);
	assert_refused(feature(r->f, GET | ENTRY, 16, 0), EINVAL);
	assert_refused(feature(r->f, GET | SET | PROBE | ENTRY, 16, 0), EINVAL);
	assert_refused(feature(r->f, ENTRY, 16, 0), EINVAL);
	assert_refused(feature(r->f, SET | WAKE, 15, 0), EINVAL);
	assert_int_equal(feature(r->f, SET | PROBE | ENTRY, 8, 0), 0);
	assert_int_equal(feature(r->f, PROBE | WAKE, 8, 0), 0);
	assert_int_equal(feature(r->f, PROBE | EXIT, 8, 0), 0);
	assert_false(r->pci[0]->low_power);
}

static void feature__absent__enotty(void **state)
{
	static const uint32_t absent[] = { 0, 1, 2, 6, 7, 8, 9, 10, 11, 13, 14, 0xffff };
	struct rig *r = *state;

	for (size_t i = 0; i < ARRAY_LEN(absent); i++) {
		assert_refused(feature(r->f, GET | absent[i], 16, 0), ENOTTY);
		assert_refused(feature(r->f, SET | absent[i], 16, 0), ENOTTY);
		assert_refused(feature(r->f, PROBE | GET | SET | absent[i], 16, 0), ENOTTY);
	}
	assert_refused(feature(r->f, SET | VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2, 16, 0), EINVAL);
	assert_refused(feature(r->f, PROBE | SET | VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2, 16, 0),
		       EINVAL);
}

static void low_power__entered__mappings_fault_calls_work(void **state)
{
	struct rig *r = with_mode(UIOMMUFD_BAR_FAULT);
	uint64_t v;

	(void)state;
	assert_int_equal(feature(r->f, SET | EXIT, 8, 0), 0);
	assert_int_equal(feature(r->f, SET | ENTRY, 8, 0), 0);
	assert_refused(feature(r->f, SET | ENTRY, 8, 0), EINVAL);
	assert_int_equal(r->access.calls, 1);
	assert_false(r->access.on);
	assert_false(vfio_pci_mmio(r->pci[0], 0x40, 4, false, &v));
	rig_bar_set(r->f, 0, 0x40, 4, 9);
	assert_int_equal(rig_bar(r->f, 0, 0x40, 4), 9);
	assert_int_equal(rig_cfg(r->f, 0, 2), 0x1234);
	assert_false(vfio_pci_mmio(r->pci[0], 0x40, 4, false, &v));
	assert_int_equal(IO(r->f, VFIO_DEVICE_RESET, NULL), 0);
	assert_true(r->pci[0]->low_power);
	assert_int_equal(feature(r->f, SET | EXIT, 8, 0), 0);
	assert_true(r->access.on);
	assert_true(vfio_pci_mmio(r->pci[0], 0x40, 4, false, &v));
	/* Close ends it. */
	assert_int_equal(feature(r->f, SET | ENTRY, 8, 0), 0);
	vfio_file_release(r->f);
	r->f = NULL;
	assert_true(r->access.on);
	rig_free(r);
}

static void low_power__wakeup__signalled_once_by_the_first_call(void **state)
{
	struct rig *r = *state;
	int e = rig_eventfd(0);
	unsigned fds = rig_open_fds();

	assert_refused(feature(r->f, SET | WAKE, 16, -1), EINVAL);
	assert_refused(feature(r->f, SET | WAKE, 16, 1023), EBADF);
	assert_refused(feature(r->f, SET | WAKE, 16, r->ctx_fd[0]), EINVAL);
	assert_int_equal(feature(r->f, SET | WAKE, 16, e), 0);
	assert_int_equal(rig_take(e), 0);
	assert_true(r->pci[0]->low_power);
	rig_cfg(r->f, 0, 2);
	assert_int_equal(rig_take(e), 1);
	assert_false(r->pci[0]->low_power);
	rig_cfg(r->f, 0, 2);
	assert_int_equal(rig_take(e), 0);
	assert_int_equal(feature(r->f, SET | WAKE, 16, e), 0);
	assert_int_equal(feature(r->f, SET | EXIT, 8, 0), 0);
	assert_int_equal(rig_take(e), 1);
	/* Already in low power without one: its descriptor is judged first. */
	assert_int_equal(feature(r->f, SET | ENTRY, 8, 0), 0);
	assert_refused(feature(r->f, SET | WAKE, 16, 1023), EBADF);
	assert_refused(feature(r->f, SET | WAKE, 16, e), EINVAL);
	assert_int_equal(rig_open_fds(), fds);
	assert_int_equal(feature(r->f, SET | EXIT, 8, 0), 0);
	SWEEP(
		feature(r->f, SET | WAKE, 16, e), { assert_false(r->pci[0]->low_power); },
		{ assert_int_equal(feature(r->f, SET | EXIT, 8, 0), 0); });
	assert_int_equal(rig_open_fds(), fds);
	close(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(get_info__by_argsz__writes_that_much),
		RIG_TEST(region_info__each_index__size_flags_offset),
		cmocka_unit_test(region_info__mappable_msix_bar__has_the_capability),
		RIG_TEST(bar__any_range__split_naturally),
		RIG_TEST(bar__past_the_end__truncated),
		RIG_TEST(bar__bad_buffer__bytes_done_or_efault),
		RIG_TEST(bar__msix_table__ones_and_swallowed),
		RIG_TEST(mmap__trap_bar__einval),
		cmocka_unit_test(mmap__fault_bar__checked),
		cmocka_unit_test(mmio__fault_bar__performed_on_the_model),
		cmocka_unit_test(poll_bar__stores__seen_by_the_model),
		cmocka_unit_test(poll_bar__idle__below_one_percent),
		cmocka_unit_test(poll_bar__each_fault__no_watcher_left),
		RIG_TEST(feature__header__checked),
		RIG_TEST(feature__absent__enotty),
		cmocka_unit_test(low_power__entered__mappings_fault_calls_work),
		RIG_TEST(low_power__wakeup__signalled_once_by_the_first_call),
	};

	rig_main_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
