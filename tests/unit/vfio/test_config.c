// SPDX-License-Identifier: MIT
/* Config space: layout, masks, and the registers that act. */
#include "rig.h"

#include <stdlib.h>
#include <unistd.h>

#define CONFIG (7ull << 40)

static void ids__written__unchanged(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_cfg(r->f, PCI_VENDOR_ID, 4), 0x56781234);
	rig_cfg_set(r->f, PCI_VENDOR_ID, 4, 0xffffffff);
	assert_int_equal(rig_cfg(r->f, PCI_VENDOR_ID, 4), 0x56781234);
	rig_cfg_set(r->f, PCI_CLASS_REVISION, 4, 0);
	assert_int_equal(rig_cfg(r->f, PCI_CLASS_REVISION, 4), 0x08800003);
	assert_int_equal(rig_cfg(r->f, PCI_SUBSYSTEM_VENDOR_ID, 4), 0xdef09abc);
	assert_int_equal(rig_cfg(r->f, PCI_HEADER_TYPE, 1), 0);
	rig_cfg_set(r->f, PCI_CAPABILITY_LIST, 1, 0);
	assert_int_equal(rig_cfg(r->f, PCI_CAPABILITY_LIST, 1), 0x60);
	assert_int_equal(rig_cfg(r->f, PCI_STATUS, 2), PCI_STATUS_CAP_LIST);
	assert_int_equal(rig_cfg(r->f, PCI_INTERRUPT_PIN, 1), 1);
	rig_cfg_set(r->f, PCI_INTERRUPT_LINE, 2, 0x0722);
	assert_int_equal(rig_cfg(r->f, PCI_INTERRUPT_LINE, 2), 0x0122);
	assert_int_equal(rig_cfg(r->f, PCI_ROM_ADDRESS, 4), 0);
	rig_cfg_set(r->f, PCI_ROM_ADDRESS, 4, 0xffffffff);
	assert_int_equal(rig_cfg(r->f, PCI_ROM_ADDRESS, 4), 0);
}

static void command__after_bind__decode_on_master_off(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_cfg(r->f, PCI_COMMAND, 2), PCI_COMMAND_MEMORY);
	rig_cfg_set(r->f, PCI_COMMAND, 2, 0xffff);
	assert_int_equal(rig_cfg(r->f, PCI_COMMAND, 2),
			 PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
				 PCI_COMMAND_PARITY | PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE);
	assert_true(rig_probe(r, 0)->master);
	rig_cfg_set(r->f, PCI_COMMAND, 1, PCI_COMMAND_MEMORY);
	assert_false(rig_probe(r, 0)->master);
	assert_true(rig_probe(r, 0)->memory);
}

static void bar__all_ones__reads_size_and_type(void **state)
{
	struct rig *r = *state;
	uint32_t lo = rig_cfg(r->f, 0x10, 4), hi = rig_cfg(r->f, 0x14, 4);

	assert_int_equal(lo & 0xf, 4);
	assert_int_not_equal(hi, 0);
	rig_cfg_set(r->f, 0x10, 4, 0xffffffff);
	rig_cfg_set(r->f, 0x14, 4, 0xffffffff);
	assert_int_equal(rig_cfg(r->f, 0x10, 4), ~(PROBE_BAR0 - 1) | 4);
	assert_int_equal(rig_cfg(r->f, 0x14, 4), 0xffffffff);
	rig_cfg_set(r->f, 0x10, 4, 0xabcd1234);
	assert_int_equal(rig_cfg(r->f, 0x10, 4), 0xabcd0004);
	rig_cfg_set(r->f, 0x14, 4, hi);
	rig_cfg_set(r->f, 0x18, 4, 0xffffffff);
	assert_int_equal(rig_cfg(r->f, 0x18, 4), 0xffffff00);
	rig_cfg_set(r->f, 0x1c, 4, 0xffffffff);
	assert_int_equal(rig_cfg(r->f, 0x1c, 4), 0);
	/* The client's values outlive a reset; the BAR answers wherever it is put. */
	assert_int_equal(IO(r->f, VFIO_DEVICE_RESET, NULL), 0);
	assert_int_equal(rig_cfg(r->f, 0x10, 4), 0xabcd0004);
	rig_bar_set(r->f, 0, 0x40, 4, 3);
	assert_int_equal(rig_bar(r->f, 0, 0x40, 4), 3);
}

static void access__any_width_and_alignment__right_bytes(void **state)
{
	struct rig *r = *state;
	uint8_t all[4096], part[16];

	assert_int_equal(vfio_file_pread(r->f, (uintptr_t)all, 4096, CONFIG), 4096);
	for (unsigned off = 0; off < 64; off++)
		for (unsigned n = 1; n <= 16; n++) {
			assert_int_equal(vfio_file_pread(r->f, (uintptr_t)part, n, CONFIG + off),
					 n);
			assert_memory_equal(part, all + off, n);
		}
	/* A write across registers, unaligned: byte 3 of one, both of the next. */
	memcpy(part, "\x11\x22\x33", 3);
	assert_int_equal(vfio_file_pwrite(r->f, (uintptr_t)part, 3, CONFIG + 0x14f), 3);
	assert_int_equal(rig_cfg(r->f, 0x14c, 4), 0x11345678);
	assert_int_equal(rig_cfg(r->f, 0x150, 4), 0);
}

static void access__beyond_the_end__efault(void **state)
{
	struct rig *r = *state;
	char b[16] = { 0 };

	assert_refused(vfio_file_pread(r->f, (uintptr_t)b, 4, CONFIG + 4096), EFAULT);
	assert_refused(vfio_file_pread(r->f, (uintptr_t)b, 4, CONFIG + 4094), EFAULT);
	assert_refused(vfio_file_pwrite(r->f, (uintptr_t)b, 4, CONFIG + 4094), EFAULT);
	assert_refused(vfio_file_pread(r->f, (uintptr_t)b, 4, CONFIG + 0x8000000000), EFAULT);
	assert_int_equal(vfio_file_pread(r->f, (uintptr_t)b, 0, CONFIG + 4096), 0);
	assert_refused(vfio_file_pread(r->f, 16, 4, CONFIG), EFAULT);
	assert_refused(vfio_file_pwrite(r->f, 16, 4, CONFIG), EFAULT);
}

static void caps__chain__ordered_and_filtered(void **state)
{
	static const uint8_t want[][2] = {
		{ 0x60, PCI_CAP_ID_VNDR },
		{ PROBE_MSIX, PCI_CAP_ID_MSIX },
		{ PROBE_EXP, PCI_CAP_ID_EXP },
		{ PROBE_PM, PCI_CAP_ID_PM },
	};
	struct rig *r = *state;
	unsigned at = rig_cfg(r->f, PCI_CAPABILITY_LIST, 1), i;

	for (i = 0; at; i++, at = rig_cfg(r->f, at + 1, 1)) {
		assert_true(i < ARRAY_LEN(want));
		assert_int_equal(at, want[i][0]);
		assert_int_equal(rig_cfg(r->f, at, 1), want[i][1]);
	}
	assert_int_equal(i, ARRAY_LEN(want));
	assert_int_equal(rig_cfg(r->f, 0x64, 4), 0x55443322);
	rig_cfg_set(r->f, 0x64, 4, 0);
	assert_int_equal(rig_cfg(r->f, 0x64, 4), 0x55443322);
}

static void ext_caps__hidden__unlinked_first_a_placeholder(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_cfg(r->f, 0x100, 4), PCI_EXT_CAP_HEADER(0, 0, 0x110));
	assert_int_equal(rig_cfg(r->f, 0x110, 4), PCI_EXT_CAP_HEADER(PCI_EXT_CAP_ID_DSN, 1, 0x130));
	assert_int_equal(rig_cfg(r->f, 0x130, 4), PCI_EXT_CAP_HEADER(PCI_EXT_CAP_ID_DVSEC, 1, 0));
	assert_int_equal(IO(r->f, VFIO_DEVICE_RESET, NULL), 0);
	assert_int_equal(rig_cfg(r->f, 0x100, 4), PCI_EXT_CAP_HEADER(0, 0, 0x110));
}

static void msix_cap__written__dropped(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_cfg(r->f, PROBE_MSIX + PCI_MSIX_FLAGS, 2), PROBE_VECS - 1);
	rig_cfg_set(r->f, PROBE_MSIX + PCI_MSIX_FLAGS, 2, 0xffff);
	assert_int_equal(rig_cfg(r->f, PROBE_MSIX + PCI_MSIX_FLAGS, 2), PROBE_VECS - 1);
	assert_int_equal(rig_cfg(r->f, PROBE_MSIX + PCI_MSIX_TABLE, 4), PROBE_TABLE);
	assert_int_equal(rig_cfg(r->f, PROBE_MSIX + PCI_MSIX_PBA, 4), PROBE_PBA);
	assert_false(uiommufd_device_msix_on(r->fn[0]));
}

static void exp_cap__flr_bit__resets_and_reads_zero(void **state)
{
	struct rig *r = *state;
	struct probe *p = rig_probe(r, 0);
	unsigned resets = p->resets;
	unsigned ctl = PROBE_EXP + PCI_EXP_DEVCTL;

	assert_true(rig_cfg(r->f, PROBE_EXP + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR);
	assert_int_equal(rig_cfg(r->f, PROBE_EXP + PCI_EXP_FLAGS, 2), 2);
	rig_cfg_set(r->f, ctl, 2, 0x5010 | PCI_EXP_DEVCTL_PHANTOM | PCI_EXP_DEVCTL_AUX_PME);
	assert_int_equal(rig_cfg(r->f, ctl, 2), 0x5010);
	assert_int_equal(p->resets, resets);
	rig_bar_set(r->f, 0, 0x40, 4, 3);
	rig_cfg_set(r->f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	rig_cfg_set(r->f, 0x14c, 4, 0);
	rig_cfg_set(r->f, ctl, 2, 0x5010 | PCI_EXP_DEVCTL_BCR_FLR);
	assert_int_equal(p->resets, resets + 1);
	assert_int_equal(rig_cfg(r->f, ctl, 2), 0x5010);
	assert_int_equal(rig_bar(r->f, 0, 0x40, 4), 0);
	assert_int_equal(rig_cfg(r->f, 0x14c, 4), 0x12345678);
	/* What the host restores after a reset. */
	assert_int_equal(rig_cfg(r->f, PCI_COMMAND, 2), PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_true(p->master && r->fn[0]->bus_master);
	/* Its byte alone, and inside a wider access. */
	rig_cfg_set(r->f, ctl + 1, 1, 0x80);
	rig_cfg_set(r->f, ctl, 4, PCI_EXP_DEVCTL_BCR_FLR);
	assert_int_equal(p->resets, resets + 3);
}

static void pm__d3_and_back__bars_away_and_back(void **state)
{
	struct rig *r = *state;
	struct probe *p = rig_probe(r, 0);
	unsigned ctl = PROBE_PM + PCI_PM_CTRL, resets = p->resets;
	char b[4];

	rig_cfg_set(r->f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	rig_bar_set(r->f, 0, 0x40, 4, 3);
	rig_cfg_set(r->f, ctl, 2, 0xff03);
	assert_int_equal(rig_cfg(r->f, ctl, 2), PCI_PM_CTRL_NO_SOFT_RESET | 3);
	assert_refused(vfio_file_pread(r->f, (uintptr_t)b, 4, 0x40), EIO);
	assert_refused(vfio_file_pwrite(r->f, (uintptr_t)b, 4, 0x40), EIO);
	assert_false(r->fn[0]->bus_master);
	assert_false(p->memory);
	rig_cfg_set(r->f, ctl, 2, 1); /* D1: there is none */
	assert_int_equal(rig_cfg(r->f, ctl, 2) & 3, 3);
	rig_cfg_set(r->f, ctl, 2, 0);
	assert_int_equal(rig_bar(r->f, 0, 0x40, 4), 3);
	assert_true(r->fn[0]->bus_master);
	assert_int_equal(p->resets, resets);
	rig_cfg_set(r->f, ctl, 2, 3);
	assert_int_equal(IO(r->f, VFIO_DEVICE_RESET, NULL), 0);
	assert_int_equal(rig_cfg(r->f, ctl, 2) & 3, 0);
	assert_int_equal(rig_bar(r->f, 0, 0x40, 4), 0);
}

static void memory_decode__off_and_on__bars_follow(void **state)
{
	struct rig *r = rig_new(&(struct rig_opts){ .bar0_mode = UIOMMUFD_BAR_FAULT });
	uint64_t val = 0;
	char b[4];

	(void)state;
	r->f = rig_open(r, 0);
	assert_int_equal(rig_bind(r, r->f, 0, NULL), 0);
	assert_int_equal(r->access.calls, 0);
	rig_bar_set(r->f, 0, 0x40, 4, 3);
	rig_cfg_set(r->f, PCI_COMMAND, 2, 0);
	assert_int_equal(r->access.calls, 1);
	assert_false(r->access.on);
	assert_false(vfio_pci_mem_on(r->pci[0]));
	assert_refused(vfio_file_pread(r->f, (uintptr_t)b, 4, 0x40), EIO);
	assert_refused(vfio_file_pread(r->f, (uintptr_t)b, 4, PROBE_BAR0), EINVAL);
	assert_false(vfio_pci_mmio(r->pci[0], 0x40, 4, false, &val));
	rig_cfg_set(r->f, PCI_COMMAND, 1, PCI_COMMAND_MEMORY);
	assert_int_equal(r->access.calls, 2);
	assert_true(r->access.on);
	assert_int_equal(r->access.bar, 0);
	assert_true(vfio_pci_mem_on(r->pci[0]));
	assert_true(vfio_pci_mmio(r->pci[0], 0x40, 4, false, &val));
	assert_int_equal(val, 3);
	/* Closed with decode off: the next client finds it on. */
	rig_cfg_set(r->f, PCI_COMMAND, 2, 0);
	vfio_file_release(r->f);
	assert_true(r->access.on);
	r->f = rig_open(r, 0);
	assert_int_equal(rig_bind(r, r->f, 0, NULL), 0);
	assert_int_equal(rig_bar(r->f, 0, 0x40, 4), 0);
	rig_free(r);
}

static void model_reg__rw_and_rw1c__told_on_change(void **state)
{
	struct rig *r = *state;
	struct probe *p = rig_probe(r, 0);

	uiommufd_device_cfg_or(r->fn[0], 0x148, 0xf0f0);
	uiommufd_device_cfg_or(r->fn[0], PCI_VENDOR_ID, 0xffff); /* not the model's */
	assert_int_equal(rig_cfg(r->f, PCI_VENDOR_ID, 4), 0x56781234);
	assert_int_equal(rig_cfg(r->f, 0x148, 4), 0xf0f0);
	assert_int_equal(p->config_writes, 0);
	rig_cfg_set(r->f, 0x148, 4, 0x0f0f);
	assert_int_equal(p->config_writes, 0);
	rig_cfg_set(r->f, 0x149, 1, 0x80);
	assert_int_equal(rig_cfg(r->f, 0x148, 4), 0x70f0);
	assert_int_equal(p->config_writes, 1);
	assert_int_equal(p->last_cfg_off, 0x148);
	assert_int_equal(p->last_cfg_val, 0x70f0);
	rig_cfg_set(r->f, 0x14c, 4, 0xffffffff);
	assert_int_equal(rig_cfg(r->f, 0x14c, 4), 0xffff56ff);
	assert_int_equal(p->last_cfg_val, 0xffff56ff);
}

static void size__no_express_capability__256(void **state)
{
	struct rig *r = rig_new(&(struct rig_opts){ .options = { { "noexp", "nopm", "nomsix" } } });
	char b[4];

	(void)state;
	r->f = rig_open(r, 0);
	assert_int_equal(rig_bind(r, r->f, 0, NULL), 0);
	assert_refused(vfio_file_pread(r->f, (uintptr_t)b, 4, CONFIG + 256), EFAULT);
	assert_int_equal(rig_cfg(r->f, 252, 4), 0);
	assert_int_equal(rig_cfg(r->f, PCI_CAPABILITY_LIST, 1), 0x60);
	assert_int_equal(rig_cfg(r->f, 0x61, 1), 0);
	rig_free(r);
}

static void gaps__written__zero(void **state)
{
	struct rig *r = *state;

	for (unsigned off = 0x180; off < 0x200; off += 4) {
		rig_cfg_set(r->f, off, 4, 0xffffffff);
		assert_int_equal(rig_cfg(r->f, off, 4), 0);
	}
}

/* Whatever is written, what is read obeys the masks and nothing else happens. */
static void write__random__masks_hold(void **state)
{
	struct rig *r = *state;
	const struct cfg_image *img = &r->pci[0]->cfg.image;
	uint8_t all[4096];
	unsigned seed = 1;

	for (int i = 0; i < 3000; i++) {
		unsigned off = (unsigned)rand_r(&seed) % 0x160, size = 1u << rand_r(&seed) % 3;

		rig_cfg_set(r->f, off, size, (uint32_t)rand_r(&seed) * 2654435761u);
	}
	assert_int_equal(vfio_file_pread(r->f, (uintptr_t)all, 4096, CONFIG), 4096);
	for (unsigned i = 0; i < 4096; i++)
		assert_int_equal(all[i] & ~img->wr[i] & ~img->w1c[i],
				 img->val[i] & ~img->wr[i] & ~img->w1c[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(ids__written__unchanged),
		RIG_TEST(command__after_bind__decode_on_master_off),
		RIG_TEST(bar__all_ones__reads_size_and_type),
		RIG_TEST(access__any_width_and_alignment__right_bytes),
		RIG_TEST(access__beyond_the_end__efault),
		RIG_TEST(caps__chain__ordered_and_filtered),
		RIG_TEST(ext_caps__hidden__unlinked_first_a_placeholder),
		RIG_TEST(msix_cap__written__dropped),
		RIG_TEST(exp_cap__flr_bit__resets_and_reads_zero),
		RIG_TEST(pm__d3_and_back__bars_away_and_back),
		cmocka_unit_test(memory_decode__off_and_on__bars_follow),
		RIG_TEST(model_reg__rw_and_rw1c__told_on_change),
		cmocka_unit_test(size__no_express_capability__256),
		RIG_TEST(gaps__written__zero),
		RIG_TEST(write__random__masks_hold),
	};

	rig_main_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
