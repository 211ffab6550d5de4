// SPDX-License-Identifier: MIT
/* What does the I/OAT model tell its client, and in which order: completions, interrupts, errors?
 */
#include "tests/unit/devices/ioat_rig.h"

static void completion__asked_or_not__word_only_if_asked(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < 4; i++)
		rig_desc(r, i, i % 2 ? CTL_COMP : 0, DST, SRC, 64);
	rig_arm(r, 8);
	kick(r, 1);
	assert_int_equal(*r->comp, 0);
	kick(r, 3); /* 1 and 2: when 1 completes there is more to do */
	assert_int_equal(*r->comp, at(1) | ST_ACTIVE);
	kick(r, 4);
	assert_int_equal(*r->comp, at(3) | ST_IDLE);
	assert_int_equal(fake_count(r->dev, FAKE_EV_STORE), 2);
}

static void completion__no_chancmp_and_not_asked__no_write(void **state)
{
	struct rig *r = *state;

	rig_desc(r, 0, 0, DST, SRC, 64);
	fake_store(r->dev, R_CHAINADDR, 8, at(0));
	fake_store(r->dev, R_CHANCTRL, 2, 9);
	kick(r, 1);
	assert_int_equal(sts(r), at(0) | ST_IDLE);
	assert_int_equal(fake_count(r->dev, FAKE_EV_STORE), 0);
	assert_int_equal(r->dev->faults, 0);
}

static void completion__chancmp_in_halves__used(void **state)
{
	struct rig *r = *state;

	rig_desc(r, 0, CTL_COMP, DST, SRC, 64);
	fake_store(r->dev, R_CHAINADDR, 8, at(0));
	fake_store(r->dev, R_CHANCMP, 4, (uint32_t)COMP + 16);
	fake_store(r->dev, R_CHANCMP + 4, 4, 0);
	kick(r, 1);
	assert_int_equal(r->comp[2], at(0) | ST_IDLE);
}

/* Looks at everything at each step of one descriptor. */
struct steps {
	struct rig *r;
	uint64_t sts_at_store, sts_at_irq, comp_at_irq;
	unsigned char data_at_store;
};

static void look(struct uiommufd_device *f, const struct fake_event *ev)
{
	struct steps *s = f->hook_arg;

	if (ev->what == FAKE_EV_STORE) {
		s->sts_at_store = fake_load(f, R_CHANSTS, 8);
		s->data_at_store = s->r->dst[63];
	} else if (ev->what == FAKE_EV_IRQ) {
		s->sts_at_irq = fake_load(f, R_CHANSTS, 8);
		s->comp_at_irq = *s->r->comp;
	}
}

static void order__descriptor__data_word_chansts_interrupt(void **state)
{
	struct rig *r = *state;
	struct steps s = { .r = r };

	r->dev->hook = look;
	r->dev->hook_arg = &s;
	rig_desc(r, 0, CTL_COMP | CTL_INT, DST, SRC, 64);
	rig_arm(r, 0x1d);
	kick(r, 1);
	assert_int_equal(s.data_at_store, r->src[63]);
	assert_int_equal(s.sts_at_store, ST_ACTIVE);
	assert_int_equal(s.comp_at_irq, at(0) | ST_IDLE);
	assert_int_equal(s.sts_at_irq, at(0) | ST_IDLE);
}

static void order__error__bits_word_chansts_interrupt(void **state)
{
	struct rig *r = *state;
	struct steps s = { .r = r };

	r->dev->hook = look;
	r->dev->hook_arg = &s;
	rig_desc(r, 0, 0, DST, SRC, 64);
	rig_desc(r, 1, 0, DST, 0xbad000, 64);
	rig_arm(r, 0x1d);
	kick(r, 2);
	assert_int_equal(s.sts_at_store, at(0) | ST_ACTIVE);
	assert_int_equal(s.comp_at_irq, at(0) | ST_HALTED);
	assert_int_equal(s.sts_at_irq, at(0) | ST_HALTED);
	assert_int_equal(r->dev->log[4].what, FAKE_EV_CFG);
	assert_int_equal(r->dev->log[5].what, FAKE_EV_STORE);
	assert_int_equal(r->dev->log[6].what, FAKE_EV_IRQ);
}

static void interrupt__any_intrctrl__arrives_by_msix(void **state)
{
	static const unsigned ctrl[] = { 0x08, 0x09, 0x00, 0x01 };
	struct rig *r = *state;

	rig_desc(r, 0, CTL_INT | CTL_NULL, 0, 0, 0);
	for (unsigned i = 0; i < 4; i++) {
		fake_store(r->dev, R_INTRCTRL, 1, ctrl[i]);
		rig_arm(r, 1);
		kick(r, 1);
		assert_int_equal(r->dev->irqs, i + 1);
		assert_false(r->dev->line);
	}
}

static void interrupt__disabled__one_is_latched_and_raised_at_rearm(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < 5; i++)
		rig_desc(r, i, CTL_INT, DST, SRC, 64);
	rig_arm(r, 0);
	kick(r, 1);
	assert_int_equal(r->dev->irqs, 1);
	assert_int_equal(fake_load(r->dev, R_CHANCTRL, 1), 1);
	kick(r, 4); /* three more causes */
	assert_int_equal(r->dev->irqs, 1);
	fake_store(r->dev, R_CHANCTRL, 2, 0); /* not a re-arm */
	assert_int_equal(r->dev->irqs, 1);
	fake_store(r->dev, R_CHANCTRL, 2, 1);
	assert_int_equal(r->dev->irqs, 2);
	assert_int_equal(fake_load(r->dev, R_CHANCTRL, 1), 1); /* disabled by the one just raised */
	fake_store(r->dev, R_CHANCTRL, 1, 1);
	assert_int_equal(r->dev->irqs, 2);
	assert_int_equal(fake_load(r->dev, R_CHANCTRL, 1), 0);
	kick(r, 5);
	assert_int_equal(r->dev->irqs, 3);
}

static void interrupt__latched_then_reset__is_forgotten(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < 2; i++)
		rig_desc(r, i, CTL_INT, DST, SRC, 64);
	rig_arm(r, 0);
	kick(r, 2);
	assert_int_equal(r->dev->irqs, 1);
	cmd(r, CMD_RESET);
	fake_store(r->dev, R_CHANCTRL, 2, 1);
	assert_int_equal(r->dev->irqs, 1);
}

static void interrupt__plain_copies__none(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < 64; i++)
		rig_desc(r, i, CTL_COMP, DST, SRC, 64);
	rig_arm(r, 0x1d);
	kick(r, 64);
	assert_int_equal(r->dev->irqs, 0);
}

static void interrupt__error__only_if_enabled_and_not_masked(void **state)
{
	static const struct {
		uint16_t ctrl;
		uint32_t mask;
		unsigned irqs;
	} c[] = { { 0x09, 0, 0 }, { 0x0d, 0, 0 },     { 0x19, 0, 1 },
		  { 0x1d, 0, 1 }, { 0x1d, 0x100, 0 }, { 0x1d, ~0x100u, 1 } };
	struct rig *r = *state;

	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		atomic_store(&r->dev->irqs, 0);
		rig_desc(r, 0, CTL_INT, DST, 0xbad000, 64);
		fake_store(r->dev, R_CHANERRMSK, 4, c[i].mask);
		rig_arm(r, c[i].ctrl);
		kick(r, 1);
		assert_int_equal(err(r), 0x100);
		assert_int_equal(r->dev->irqs, c[i].irqs);
		recover(r);
	}
}

/* The interrupt of a descriptor has been sent when SUSPENDED can be seen. */
static void suspend_in_irq(struct uiommufd_device *f, const struct fake_event *ev)
{
	struct steps *s = f->hook_arg;

	if (ev->what != FAKE_EV_IRQ)
		return;
	s->sts_at_irq = fake_load(f, R_CHANSTS, 8);
	fake_store(f, R_CHANCMD, 1, CMD_SUSPEND);
	s->sts_at_store = fake_load(f, R_CHANSTS, 8);
}

static void suspend__interrupt_under_way__after_it(void **state)
{
	struct rig *r = *state;
	struct steps s = { .r = r };

	r->dev->hook = suspend_in_irq;
	r->dev->hook_arg = &s;
	rig_desc(r, 0, CTL_INT, DST, SRC, 64);
	rig_arm(r, 9);
	kick(r, 1);
	assert_int_equal(s.sts_at_irq, at(0) | ST_IDLE);
	assert_int_equal(s.sts_at_store, at(0) | ST_IDLE);
	assert_int_equal(sts(r), at(0) | ST_SUSPENDED);
	assert_int_equal(r->dev->irqs, 1);
}

static void intx__master_enable__level_until_attnstatus_is_read(void **state)
{
	struct rig *r = *state;

	atomic_store(&r->dev->msix, false);
	rig_desc(r, 0, CTL_INT, DST, SRC, 64)->next = at(0);
	fake_store(r->dev, R_INTRCTRL, 1, 1);
	rig_arm(r, 0);
	kick(r, 1);
	assert_true(r->dev->line);
	assert_int_equal(r->dev->irqs, 0);

	/* The handler. */
	assert_int_equal(fake_load(r->dev, R_INTRCTRL, 1), 7);
	assert_false(r->dev->line);
	assert_int_equal(fake_load(r->dev, R_INTRCTRL, 1), 2);
	assert_int_equal(fake_load(r->dev, R_ATTNSTATUS, 4), 1);
	assert_int_equal(fake_load(r->dev, R_ATTNSTATUS, 4), 0);
	fake_store(r->dev, R_INTRCTRL, 1, 7);
	assert_false(r->dev->line);
	assert_int_equal(fake_load(r->dev, R_INTRCTRL, 1), 1);
	fake_store(r->dev, R_INTRCTRL, 1, 1);
	fake_store(r->dev, R_CHANCTRL, 2, 1);
	kick(r, 2);
	assert_true(r->dev->line);
	assert_int_equal(fake_load(r->dev, R_ATTNSTATUS, 4), 1);
	assert_false(r->dev->line);
	assert_int_equal(r->dev->line_rises, 2);
}

static void intx__master_disabled__waits_for_it(void **state)
{
	struct rig *r = *state;

	atomic_store(&r->dev->msix, false);
	rig_desc(r, 0, CTL_INT, DST, SRC, 64);
	rig_arm(r, 0);
	kick(r, 1);
	assert_false(r->dev->line);
	assert_int_equal(fake_load(r->dev, R_INTRCTRL, 1), 2);
	fake_store(r->dev, R_INTRCTRL, 1, 1);
	assert_true(r->dev->line);
	fake_flr(r->dev);
	assert_false(r->dev->line);
	assert_int_equal(fake_load(r->dev, R_ATTNSTATUS, 4), 0);
}

/* One bad descriptor after a good one, and alone. */
struct bad {
	struct desc d;
	uint32_t err;
};

static void error__each_kind__one_bit_and_previous_address(void **state)
{
	static const struct bad bad[] = {
		{ { .size = 64, .src = 0xbad000, .dst = DST }, 0x100 },
		{ { .size = 64, .src = SRC, .dst = 0xbad000 }, 0x200 },
		{ { .size = 64, .src = 0xbad000, .dst = 0xbad000 }, 0x100 },
		{ { .size = 64, .src = SRC, .dst = SRC }, 0x200 }, /* read-only */
		{ { .size = 64, .src = 7, .dst = 0xbad000, .ctl = CTL_FILL }, 0x200 },
		{ { .size = 64, .src = ~0ull, .dst = DST }, 0x100 },
		{ { .size = 64, .src = SRC, .dst = ~0ull - 62 }, 0x200 },
		{ { .size = 0, .src = SRC, .dst = DST }, 0x800 },
		{ { .size = (1u << 20) + 1, .src = SRC, .dst = DST }, 0x800 },
		{ { .size = UINT32_MAX, .src = SRC, .dst = DST }, 0x800 },
		{ { .size = 0, .dst = DST, .ctl = CTL_FILL }, 0x800 },
		{ { .size = 64, .src = SRC, .dst = DST, .ctl = 0x87u << 24 }, 0x400 },
		{ { .size = 64, .src = SRC, .dst = DST, .ctl = 0x88u << 24 }, 0x400 },
		{ { .size = 64, .src = SRC, .dst = DST, .ctl = 0x02u << 24 }, 0x400 },
		{ { .size = 0, .ctl = 0xffu << 24 | CTL_NULL }, 0x400 },
	};
	struct rig *r = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		for (unsigned first = 0; first < 2; first++) {
			unsigned n = first ? 0 : 1;

			*r->comp = 0;
			fake_log_clear(r->dev);
			rig_desc(r, 0, CTL_COMP, DST, SRC, 64);
			r->ring[n] = bad[i].d;
			r->ring[n].ctl |= CTL_COMP | CTL_INT;
			r->ring[n].next = at(n + 1);
			rig_desc(r, n + 1, CTL_COMP, DST, SRC, 64);
			rig_arm(r, 0x1d);
			kick(r, 3);
			assert_int_equal(err(r), bad[i].err);
			assert_int_equal(fake_cfg_load(r->dev, 0x180), bad[i].err);
			assert_int_equal(sts(r), (first ? 0 : at(0)) | ST_HALTED);
			assert_int_equal(*r->comp, (first ? 0 : at(0)) | ST_HALTED);
			assert_int_equal(fake_count(r->dev, FAKE_EV_STORE), n + 1);
			assert_int_equal(fake_count(r->dev, FAKE_EV_READ), n + 1);
			recover(r);
		}
}

static void error__no_error_completion__no_status_write(void **state)
{
	struct rig *r = *state;

	rig_desc(r, 0, CTL_COMP, DST, 0xbad000, 64);
	rig_arm(r, 8);
	kick(r, 1);
	assert_int_equal(sts(r), ST_HALTED);
	assert_int_equal(fake_count(r->dev, FAKE_EV_STORE), 0);
}

static void error__report_halt__status_write_when_chancmp_is_set(void **state)
{
	const char *const argv[] = { "report-halt=1", NULL };
	struct rig *r = rig_new(FAKE_INLINE, argv);

	(void)state;
	rig_desc(r, 0, CTL_COMP, DST, 0xbad000, 64);
	fake_store(r->dev, R_CHAINADDR, 8, at(0));
	kick(r, 1);
	assert_int_equal(sts(r), ST_HALTED);
	assert_int_equal(fake_count(r->dev, FAKE_EV_STORE), 0);
	recover(r);
	rig_arm(r, 8);
	kick(r, 1);
	assert_int_equal(*r->comp, ST_HALTED);
	rig_free(r);
}

static void error__chain__bit_by_position(void **state)
{
	struct rig *r = *state;
	static const struct {
		uint64_t chain, next;
		uint32_t err;
	} c[] = {
		{ 0xbad000, 0, 0x10 },    { RING + 8, 0, 0x10 },     { RING + 32, 0, 0x10 },
		{ RING, 0xbad000, 0x04 }, { RING, RING + 96, 0x08 }, { RING, RING + 65, 0x08 },
	};

	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		rig_desc(r, 0, 0, DST, SRC, 64)->next = c[i].next;
		fake_store(r->dev, R_CHAINADDR, 8, c[i].chain);
		assert_int_equal(sts(r), 4);
		kick(r, 1);
		if (c[i].next) {
			assert_int_equal(sts(r), at(0) | ST_IDLE); /* not needed yet */
			kick(r, 2);
		}
		assert_int_equal(err(r), c[i].err);
		assert_int_equal(sts(r), (c[i].next ? at(0) : 0) | ST_HALTED);
		recover(r);
	}
}

static void error__completion_address__bit_12_and_no_second_write(void **state)
{
	static const uint64_t cmp[] = { COMP + 4, COMP + 1, 0xbad000, SRC };
	struct rig *r = *state;

	for (size_t i = 0; i < 4; i++) {
		rig_desc(r, 0, CTL_COMP | CTL_INT, DST, SRC, 64);
		atomic_store(&r->dev->irqs, 0);
		fake_log_clear(r->dev);
		rig_arm(r, 0x1d);
		fake_store(r->dev, R_CHANCMP, 8, cmp[i]);
		kick(r, 1);
		assert_int_equal(err(r), 0x1000);
		assert_int_equal(sts(r), ST_HALTED);
		assert_int_equal(fake_count(r->dev, FAKE_EV_STORE), i < 2 ? 0 : 1);
		assert_int_equal(r->dev->irqs, 1); /* the error's */
		recover(r);
	}
	/* A status write that fails adds nothing. */
	rig_desc(r, 0, 0, DST, 0xbad000, 64);
	rig_arm(r, 0x1d);
	fake_store(r->dev, R_CHANCMP, 8, 0xbad000);
	kick(r, 1);
	assert_int_equal(err(r), 0x100);
	assert_int_equal(sts(r), ST_HALTED);
}

static void chanerr__written__clears_what_is_1(void **state)
{
	struct rig *r = *state;

	rig_desc(r, 0, 0, DST, 0xbad000, 64);
	rig_arm(r, 0);
	kick(r, 1);
	cmd(r, 0x0c);
	assert_int_equal(err(r), 0x120);
	fake_store(r->dev, R_CHANERR, 4, 0x20);
	assert_int_equal(err(r), 0x100);
	assert_int_equal(fake_cfg_load(r->dev, 0x180), 0x120);
	fake_cfg_store(r->dev, 0x180, 0x100);
	assert_int_equal(fake_cfg_load(r->dev, 0x180), 0x20);
	assert_int_equal(err(r), 0x100);
	fake_store(r->dev, R_CHANERR, 1, 0xff);
	assert_int_equal(err(r), 0x100);
	fake_store(r->dev, R_CHANERR + 1, 1, 1);
	assert_int_equal(err(r), 0);
}

static void error__cleared__halted_until_the_whole_sequence(void **state)
{
	struct rig *r = *state;

	rig_desc(r, 0, CTL_COMP, DST, 0xbad000, 64);
	rig_arm(r, 0x1d);
	kick(r, 1);
	fake_store(r->dev, R_CHANERR, 4, err(r));
	assert_int_equal(err(r), 0);
	assert_int_equal(sts(r), ST_HALTED);
	kick(r, 2);
	assert_int_equal(sts(r), ST_HALTED);
	recover(r);
	fake_log_clear(r->dev);
	r->ring[0].src = SRC;
	rig_arm(r, 0x1d);
	assert_int_equal(fake_count(r->dev, FAKE_EV_READ), 0);
	kick(r, 1);
	assert_int_equal(sts(r), at(0) | ST_IDLE);
	assert_memory_equal(r->dst, r->src, 64);
	assert_int_equal(err(r), 0);
}

/* Every request of a chain is refused once; whichever it is, one bit, HALTED, and all is well. */
static void error__any_request_fails__one_bit(void **state)
{
	static const int rcs[] = { -EFAULT, -EPERM, -ENOMEM };
	struct rig *r = *state;

	for (size_t k = 0; k < 3; k++)
		for (unsigned n = 1;; n++) {
			uint32_t e;

			for (unsigned i = 0; i < 3; i++)
				rig_desc(r, i, CTL_COMP | (i == 1 ? CTL_FILL : 0), DST, SRC, 70000);
			r->dev->fail_at = n;
			r->dev->fail_rc = rcs[k];
			r->dev->fail_side = n % 2 ? UIOMMUFD_DMA_SRC : UIOMMUFD_DMA_DST;
			rig_arm(r, 0x0d);
			kick(r, 3);
			e = err(r);
			if (r->dev->fail_at) {
				r->dev->fail_at = 0;
				assert_int_equal(e, 0);
				assert_int_equal(sts(r), at(2) | ST_IDLE);
				break;
			}
			assert_true(e && !(e & (e - 1)));
			assert_int_equal(e & ~0x1314u, 0);
			assert_int_equal(sts(r) & 7, ST_HALTED);
			if (e != 0x1000)
				assert_int_equal(*r->comp, sts(r));
			recover(r);
		}
}

static void bus_master__off__faults_and_moves_nothing(void **state)
{
	struct rig *r = *state;

	rig_desc(r, 0, CTL_COMP, DST, SRC, 64);
	atomic_store(&r->dev->no_master, true);
	rig_arm(r, 0x0d);
	kick(r, 1);
	assert_int_equal(sts(r), ST_HALTED);
	assert_int_equal(err(r), 0x10);
	assert_int_equal(r->dst[0], 0);
	assert_int_equal(*r->comp, 0);
	atomic_store(&r->dev->no_master, false);
	recover(r);
	rig_arm(r, 0x0d);
	kick(r, 1);
	assert_int_equal(sts(r), at(0) | ST_IDLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_rig(completion__asked_or_not__word_only_if_asked),
		in_rig(completion__no_chancmp_and_not_asked__no_write),
		in_rig(completion__chancmp_in_halves__used),
		in_rig(order__descriptor__data_word_chansts_interrupt),
		in_rig(order__error__bits_word_chansts_interrupt),
		in_rig(interrupt__any_intrctrl__arrives_by_msix),
		in_rig(interrupt__disabled__one_is_latched_and_raised_at_rearm),
		in_rig(interrupt__latched_then_reset__is_forgotten),
		in_rig(interrupt__plain_copies__none),
		in_rig(interrupt__error__only_if_enabled_and_not_masked),
		in_rig(suspend__interrupt_under_way__after_it),
		in_rig(intx__master_enable__level_until_attnstatus_is_read),
		in_rig(intx__master_disabled__waits_for_it),
		in_rig(error__each_kind__one_bit_and_previous_address),
		in_rig(error__no_error_completion__no_status_write),
		cmocka_unit_test(error__report_halt__status_write_when_chancmp_is_set),
		in_rig(error__chain__bit_by_position),
		in_rig(error__completion_address__bit_12_and_no_second_write),
		in_rig(chanerr__written__clears_what_is_1),
		in_rig(error__cleared__halted_until_the_whole_sequence),
		in_rig(error__any_request_fails__one_bit),
		in_rig(bus_master__off__faults_and_moves_nothing),
	};

	return cmocka_run_group_tests_name("ioat_events", tests, NULL, NULL);
}
