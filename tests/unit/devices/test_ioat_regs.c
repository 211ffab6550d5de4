// SPDX-License-Identifier: MIT
/* Does every I/OAT register answer as described, at every width, and is the function described? */
#include "tests/unit/devices/ioat_rig.h"

static void desc__default__is_skx_cbdma(void **state)
{
	struct rig *r = *state;
	const struct uiommufd_device_desc *d = &r->dev->desc;

	assert_string_equal(d->name, "ioat");
	assert_int_equal(d->vendor, 0x8086);
	assert_int_equal(d->device, 0x2021);
	assert_int_equal(d->class_code, 0x088000);
	assert_int_equal(d->bar[0].size, 0x4000);
	assert_true(d->bar[0].is64);
	assert_false(d->bar[0].prefetchable);
	assert_int_equal(d->bar[0].modes, UIOMMUFD_BAR_TRAP | UIOMMUFD_BAR_FAULT);
	assert_int_equal(d->bar[0].default_mode, UIOMMUFD_BAR_FAULT);
	assert_int_equal(d->msix_vectors, 1);
	assert_int_equal(d->msix_bar, 0);
	assert_int_equal(d->msix_table, 0x2000);
	assert_int_equal(d->msix_pba, 0x3000);
	assert_int_equal(d->msix_cap, 0x80);
	assert_int_equal(d->exp_cap, 0x90);
	assert_int_equal(d->pm_cap, 0xe0);
	assert_true(d->flr);
	assert_int_equal(d->interrupt_pin, 1);
}

static void cfg_regs__after_reset__are_0_and_hold_what_they_should(void **state)
{
	static const uint16_t all[] = { 0x148, 0x14c, 0x150, 0x154, 0x180, 0x184, 0x188, 0x18c };
	static const uint16_t rw[] = { 0x14c, 0x150, 0x184, 0x188 };
	static const uint16_t no[] = { 0x148, 0x154, 0x180, 0x18c };
	struct rig *r = *state;

	for (size_t i = 0; i < 8; i++)
		assert_int_equal(fake_cfg_load(r->dev, all[i]), 0);
	for (size_t i = 0; i < 4; i++) {
		fake_cfg_store(r->dev, rw[i], 0xa5a5a5a5);
		assert_int_equal(fake_cfg_load(r->dev, rw[i]), 0xa5a5a5a5);
		fake_cfg_store(r->dev, no[i], 0xa5a5a5a5);
		assert_int_equal(fake_cfg_load(r->dev, no[i]), 0);
	}
}

static void constants__written__stay(void **state)
{
	static const struct {
		unsigned off, size;
		uint64_t val;
	} c[] = {
		{ R_CHANCNT, 1, 1 },   { R_XFERCAP, 1, 20 },  { R_CBVER, 1, 0x33 },
		{ 0x0a, 2, 0 },        { R_DMACAP, 4, 0x41 }, { R_DCAOFFSET, 2, 0 },
		{ R_CS_STATUS, 2, 0 }, { R_DMA_COMP, 2, 6 },  { R_CDAR, 8, 0 },
		{ R_CHANSTS, 8, 3 },
	};
	struct rig *r = *state;

	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		assert_int_equal(fake_load(r->dev, c[i].off, c[i].size), c[i].val);
		fake_store(r->dev, c[i].off, c[i].size, ~0ull);
		assert_int_equal(fake_load(r->dev, c[i].off, c[i].size), c[i].val);
	}
}

static void reset_values__after_power_on__are_as_documented(void **state)
{
	struct rig *r = *state;

	assert_int_equal(sts(r), ST_HALTED);
	assert_int_equal(fake_load(r->dev, R_CHANCTRL, 2), 0);
	assert_int_equal(fake_load(r->dev, R_CHANCMD, 1), 0);
	assert_int_equal(fake_load(r->dev, R_DMACOUNT, 2), 0);
	assert_int_equal(fake_load(r->dev, R_CHAINADDR, 8), 0);
	assert_int_equal(fake_load(r->dev, R_CHANCMP, 8), 0);
	assert_int_equal(fake_load(r->dev, R_CHANERR, 4), 0);
	assert_int_equal(fake_load(r->dev, R_CHANERRMSK, 4), 0);
	assert_int_equal(fake_load(r->dev, R_INTRCTRL, 1), 0);
	assert_int_equal(fake_load(r->dev, R_ATTNSTATUS, 4), 0);
	assert_int_equal(fake_load(r->dev, R_INTRDELAY, 2), 0);
}

/* Each storing register: what sticks of all ones, at the natural width and piecewise. */
static void stored__any_width__same_bits(void **state)
{
	static const struct {
		unsigned off, size;
		uint64_t sticks;
	} c[] = {
		{ R_GENCTRL, 1, 0x01 },
		{ R_INTRDELAY, 2, 0x3fff },
		{ 0x4c, 1, 0xff },
		{ R_CHANCTRL, 2, 0xf23c },
		{ R_CHANCMP, 8, ~0ull },
		{ R_CHAINADDR, 8, ~0ull },
		{ R_CHANERRMSK, 4, 0xffffffff },
		{ R_DCACTRL, 4, 0xffffffff },
		{ R_INTRCTRL, 1, 0x09 },
	};
	struct rig *r = *state;

	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++)
		for (unsigned w = 1; w <= c[i].size; w *= 2) {
			uint64_t got = 0;

			for (unsigned b = 0; b < c[i].size; b += w)
				fake_store(r->dev, c[i].off + b, w, ~0ull);
			fake_load(r->dev, R_CHANCTRL, 2); /* bit 8 is latched from here on */
			for (unsigned b = 0; b < c[i].size; b += w)
				got |= fake_load(r->dev, c[i].off + b, w) << (8 * b);
			if (c[i].off == R_CHANCTRL)
				got &= ~0x100ull;
			assert_int_equal(got, c[i].sticks);
			for (unsigned b = 0; b < c[i].size; b += w)
				fake_store(r->dev, c[i].off + b, w, 0);
			assert_int_equal(fake_load(r->dev, c[i].off, c[i].size), 0);
		}
}

static void load__wider_than_registers__shows_all_of_them(void **state)
{
	struct rig *r = *state;

	assert_int_equal(fake_load(r->dev, 0x00, 8), 0x1401);
	assert_int_equal(fake_load(r->dev, 0x08, 4), 0x33);
	assert_int_equal(fake_load(r->dev, 0x80, 8), 0x60000);
	fake_store(r->dev, R_DMACOUNT, 2, 0x1234);
	assert_int_equal(fake_load(r->dev, 0x80, 8), 0x1234000000060100);
	assert_int_equal(fake_load(r->dev, 0x84, 4), 0x12340000);
	assert_int_equal(fake_load(r->dev, 0x87, 1), 0x12);
}

static void elsewhere__any__reads_0_and_ignores_stores(void **state)
{
	static const unsigned off[] = { 0x0a,  0x18,  0x40,  0xb4,   0xbc,   0xf8,   0x100,
					0x13c, 0x144, 0x180, 0x1ff8, 0x2000, 0x3000, 0x3ff8 };
	struct rig *r = *state;

	for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++)
		for (unsigned w = 1; w <= 8 && off[i] % w == 0; w *= 2) {
			fake_store(r->dev, off[i], w, ~0ull);
			assert_int_equal(fake_load(r->dev, off[i], w), 0);
		}
	assert_int_equal(r->dev->ops->bar_read(r->dev->state, 1, R_CHANSTS, 8), 0);
	assert_int_equal(sts(r), ST_HALTED);
}

static void chanctrl_in_use__read__latches_until_0_is_written(void **state)
{
	struct rig *r = *state;

	assert_int_equal(fake_load(r->dev, R_CHANCTRL, 1), 0); /* not byte 1: latches nothing */
	assert_int_equal(fake_load(r->dev, R_CHANCTRL, 2), 0);
	assert_int_equal(fake_load(r->dev, R_CHANCTRL, 2), 0x100);
	fake_store(r->dev, R_CHANCTRL, 2, 0x11c);
	assert_int_equal(fake_load(r->dev, R_CHANCTRL, 2), 0x11c);
	fake_store(r->dev, R_CHANCTRL, 1, 0); /* bit 8 is not in it */
	assert_int_equal(fake_load(r->dev, R_CHANCTRL, 2), 0x100);
	fake_store(r->dev, R_CHANCTRL, 2, 0);
	assert_int_equal(fake_load(r->dev, R_CHANCTRL, 2), 0);
	assert_int_equal(fake_load(r->dev, R_CHANCTRL + 1, 1), 1);
}

static void option__known__is_taken(void **state)
{
	const char *const argv[] = { "version=0x34", "id=0b00", "xfercap=12", "report-halt=1",
				     NULL };
	struct uiommufd_device *f = fake_open(&ioat_model, argv, FAKE_MANUAL, NULL);

	(void)state;
	assert_non_null(f);
	assert_int_equal(f->desc.device, 0x0b00);
	assert_int_equal(fake_load(f, R_CBVER, 1), 0x34);
	assert_int_equal(fake_load(f, R_XFERCAP, 1), 12);
	fake_close(f);
}

static void option__bad__einval_with_a_reason(void **state)
{
	static const char *const bad[] = { "version=0x35",  "version=0x31",
					   "id=2020",       "id=3000",
					   "xfercap=11",    "xfercap=21",
					   "xfercap=",      "xfercap=14x",
					   "xfercap=-1",    "report-halt=2",
					   "ring=1",        "xfercap",
					   "version= 0x33", "" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *const argv[] = { bad[i], NULL };
		int rc = 0;

		assert_null(fake_open(&ioat_model, argv, FAKE_MANUAL, &rc));
		assert_int_equal(rc, -EINVAL);
		assert_non_null(strstr(fake_reason(), bad[i]));
	}
}

static void options__described__each_is_accepted(void **state)
{
	const struct uiommufd_option *o = ioat_model.options;
	unsigned n = 0;

	(void)state;
	for (; o->key; o++, n++) {
		assert_non_null(o->value_hint);
		assert_non_null(o->help);
	}
	assert_int_equal(n, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_rig(desc__default__is_skx_cbdma),
		in_rig(cfg_regs__after_reset__are_0_and_hold_what_they_should),
		in_rig(constants__written__stay),
		in_rig(reset_values__after_power_on__are_as_documented),
		in_manual_rig(stored__any_width__same_bits),
		in_rig(load__wider_than_registers__shows_all_of_them),
		in_rig(elsewhere__any__reads_0_and_ignores_stores),
		in_rig(chanctrl_in_use__read__latches_until_0_is_written),
		cmocka_unit_test(option__known__is_taken),
		cmocka_unit_test(option__bad__einval_with_a_reason),
		cmocka_unit_test(options__described__each_is_accepted),
	};

	return cmocka_run_group_tests_name("ioat_regs", tests, NULL, NULL);
}
