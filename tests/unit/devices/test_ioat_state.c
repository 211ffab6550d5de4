// SPDX-License-Identifier: MIT
/* Is the I/OAT channel in the state it should be in, after each command and store in each? */
#include "tests/unit/devices/ioat_rig.h"

/* Brings the channel into @state with descriptor @n-1 as the last completed (IDLE, SUSPENDED). */
static void enter(struct rig *r, unsigned state)
{
	cmd(r, CMD_RESET);
	for (unsigned i = 0; i < 4; i++)
		rig_desc(r, i, CTL_NULL, 0, 0, 0);
	if (state == ST_HALTED)
		return;
	rig_arm(r, 0);
	if (state == ST_ARMED)
		return;
	kick(r, 2);
	fake_run(r->dev);
	assert_int_equal(sts(r), at(1) | ST_IDLE);
	if (state == ST_SUSPENDED)
		cmd(r, CMD_SUSPEND);
	if (state == ST_ACTIVE)
		kick(r, 3); /* manual mode: nothing is fetched until fake_run() */
	assert_int_equal(sts(r), at(1) | state);
}

static const unsigned states[] = { ST_ACTIVE, ST_IDLE, ST_SUSPENDED, ST_HALTED, ST_ARMED };

static void flr__any_state__all_at_reset(void **state)
{
	struct rig *r = *state;

	for (size_t i = 0; i < 5; i++) {
		enter(r, states[i]);
		fake_store(r->dev, R_INTRCTRL, 1, 9);
		fake_store(r->dev, R_CHANERRMSK, 4, 5);
		fake_store(r->dev, R_CHANCMD, 1, 0x24); /* an error */
		fake_run(r->dev);
		assert_int_equal(err(r), 0x20);
		fake_flr(r->dev);
		assert_int_equal(sts(r), ST_HALTED);
		assert_int_equal(fake_load(r->dev, R_DMACOUNT, 2), 0);
		assert_int_equal(err(r), 0);
		assert_int_equal(fake_load(r->dev, R_CHAINADDR, 8), 0);
		assert_int_equal(fake_load(r->dev, R_CHANCMP, 8), 0);
		assert_int_equal(fake_load(r->dev, R_CHANERRMSK, 4), 0);
		assert_int_equal(fake_load(r->dev, R_INTRCTRL, 1), 0);
		assert_int_equal(fake_cfg_load(r->dev, 0x180), 0);
		assert_false(fake_run(r->dev));
	}
}

static void reset__any_state__halted_at_once(void **state)
{
	struct rig *r = *state;

	for (size_t i = 0; i < 5; i++) {
		enter(r, states[i]);
		fake_store(r->dev, R_CHANCTRL, 2, 0x1c);
		fake_log_clear(r->dev);
		cmd(r, CMD_RESET);
		assert_int_equal(fake_load(r->dev, R_CHANCMD, 1), 0);
		assert_int_equal(sts(r), ST_HALTED);
		assert_int_equal(fake_load(r->dev, R_DMACOUNT, 2), 0);
		assert_int_equal(fake_load(r->dev, R_CHANCTRL, 2), 0);
		assert_int_equal(fake_load(r->dev, R_CHANCMP, 8), 0);
		fake_run(r->dev);
		assert_int_equal(r->dev->n_log, 0); /* no DMA, no interrupt */
		assert_int_equal(sts(r), ST_HALTED);
	}
}

static void reset__error_set__chanerr_stays(void **state)
{
	struct rig *r = *state;

	cmd(r, 0x30);
	assert_int_equal(err(r), 0x20);
	cmd(r, CMD_RESET);
	assert_int_equal(err(r), 0x20);
}

static void chainaddr__not_active__armed_and_counters_0(void **state)
{
	struct rig *r = *state;

	for (size_t i = 1; i < 5; i++) {
		enter(r, states[i]);
		fake_store(r->dev, R_CHAINADDR, 8, at(0));
		assert_int_equal(sts(r), 4); /* all 64 bits */
		assert_int_equal(fake_load(r->dev, R_DMACOUNT, 2), 0);
		kick(r, 1);
		fake_run(r->dev);
		assert_int_equal(sts(r), at(0) | ST_IDLE);
	}
}

static void chainaddr__active__ignored(void **state)
{
	struct rig *r = *state;

	enter(r, ST_ACTIVE);
	fake_store(r->dev, R_CHAINADDR, 8, at(8));
	assert_int_equal(sts(r), at(1) | ST_ACTIVE);
	assert_int_equal(fake_load(r->dev, R_CHAINADDR, 8), at(0));
	fake_run(r->dev);
	assert_int_equal(sts(r), at(2) | ST_IDLE);
}

static void chainaddr__one_half__arms(void **state)
{
	struct rig *r = *state;

	for (size_t i = 1; i < 5; i++)
		for (unsigned half = 0; half < 8; half += 4) {
			enter(r, states[i]);
			fake_store(r->dev, R_CHAINADDR + half, 4, half ? 0 : at(0));
			assert_int_equal(sts(r), 4);
			assert_int_equal(fake_load(r->dev, R_DMACOUNT, 2), 0);
		}
	fake_store(r->dev, R_CHAINADDR, 4, at(0));
	fake_store(r->dev, R_CHAINADDR + 4, 4, 0);
	kick(r, 1);
	fake_run(r->dev);
	assert_int_equal(sts(r), at(0) | ST_IDLE);
}

static void dmacount__equal__stays(void **state)
{
	struct rig *r = *state;

	enter(r, ST_ARMED);
	kick(r, 0);
	assert_int_equal(sts(r), 4);
	enter(r, ST_IDLE);
	kick(r, 2);
	assert_int_equal(sts(r), at(1) | ST_IDLE);
	assert_false(fake_run(r->dev));
}

static void dmacount__halted__is_stored_only(void **state)
{
	struct rig *r = *state;

	enter(r, ST_HALTED);
	kick(r, 7);
	assert_int_equal(fake_load(r->dev, R_DMACOUNT, 2), 7);
	assert_int_equal(sts(r), ST_HALTED);
	assert_false(fake_run(r->dev));
}

static void dmacount__work__active_at_once(void **state)
{
	struct rig *r = *state;

	enter(r, ST_ARMED);
	kick(r, 1);
	assert_int_equal(sts(r), ST_ACTIVE);
	fake_run(r->dev);
	assert_int_equal(sts(r), at(0) | ST_IDLE);
	kick(r, 2);
	assert_int_equal(sts(r), at(0) | ST_ACTIVE);
	assert_int_equal(r->dev->kicks, 2);
	kick(r, 3); /* one wake does both */
	assert_int_equal(r->dev->kicks, 2);
	fake_run(r->dev);
	assert_int_equal(sts(r), at(2) | ST_IDLE);
}

static void dmacount__taken_back_before_it_began__idle(void **state)
{
	struct rig *r = *state;

	enter(r, ST_IDLE);
	fake_log_clear(r->dev);
	kick(r, 4);
	kick(r, 2);
	fake_run(r->dev);
	assert_int_equal(sts(r), at(1) | ST_IDLE);
	assert_int_equal(r->dev->n_log, 0);
}

/* More work while the last descriptor is under way: its word may say IDLE, CHANSTS must not. */
static void count_in_copy(struct uiommufd_device *f, const struct fake_event *ev)
{
	struct rig *r = f->hook_arg;

	if (ev->what == FAKE_EV_COPY && ev->iova == DST)
		kick(r, 3);
	if (ev->what == FAKE_EV_COPY && ev->iova == DST + 64)
		assert_int_equal(sts(r), at(0) | ST_ACTIVE);
}

static void dmacount__raised_in_the_last_copy__stays_active(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < 3; i++)
		rig_desc(r, i, 0, DST + 64 * i, SRC, 64);
	r->dev->hook = count_in_copy;
	r->dev->hook_arg = r;
	rig_arm(r, 0);
	kick(r, 1);
	fake_run(r->dev);
	assert_int_equal(sts(r), at(2) | ST_IDLE);
	assert_int_equal(r->dev->kicks, 1);
	assert_int_equal(fake_count(r->dev, FAKE_EV_READ), 3);
}

static void dmacount__byte_stores__are_events(void **state)
{
	struct rig *r = *state;

	enter(r, ST_ARMED);
	fake_store(r->dev, R_DMACOUNT, 1, 2);
	assert_int_equal(sts(r), ST_ACTIVE);
	fake_run(r->dev);
	assert_int_equal(sts(r), at(1) | ST_IDLE);
}

static void suspend__halted_or_suspended__nothing(void **state)
{
	struct rig *r = *state;

	enter(r, ST_HALTED);
	cmd(r, CMD_SUSPEND);
	assert_int_equal(sts(r), ST_HALTED);
	assert_int_equal(err(r), 0);
	enter(r, ST_SUSPENDED);
	cmd(r, CMD_SUSPEND);
	assert_int_equal(sts(r), at(1) | ST_SUSPENDED);
	assert_int_equal(err(r), 0);
}

static void suspend__idle_or_armed__suspended_at_once(void **state)
{
	struct rig *r = *state;

	enter(r, ST_IDLE);
	cmd(r, CMD_SUSPEND);
	assert_int_equal(sts(r), at(1) | ST_SUSPENDED);
	enter(r, ST_ARMED);
	cmd(r, CMD_SUSPEND);
	assert_int_equal(sts(r), ST_SUSPENDED);
	cmd(r, CMD_RESUME);
	assert_int_equal(sts(r), ST_IDLE);
	kick(r, 1);
	fake_run(r->dev);
	assert_int_equal(sts(r), at(0) | ST_IDLE);
}

/* Does what hook_arg says when the copy of descriptor 1 begins. */
struct during {
	struct rig *r;
	unsigned cmd;
	uint64_t sts, chancmd; /* seen right after */
	unsigned calls;
};

static void in_copy(struct uiommufd_device *f, const struct fake_event *ev)
{
	struct during *d = f->hook_arg;

	if (ev->what != FAKE_EV_COPY || ev->iova != DST + 0x1000)
		return;
	if (!d->calls++)
		fake_store(f, R_CHANCMD, 1, d->cmd);
	d->sts = fake_load(f, R_CHANSTS, 8);
	d->chancmd = fake_load(f, R_CHANCMD, 1);
}

static void run_during(struct rig *r, struct during *d)
{
	for (unsigned i = 0; i < 4; i++)
		rig_desc(r, i, CTL_COMP, DST + 0x1000 * i, SRC + 0x1000 * i, 0x1000);
	r->dev->hook = in_copy;
	r->dev->hook_arg = d;
	rig_arm(r, 0);
	fake_log_clear(r->dev);
	kick(r, 4);
	fake_run(r->dev);
}

static void suspend__active__after_the_descriptor(void **state)
{
	struct rig *r = *state;
	struct during d = { .r = r, .cmd = CMD_SUSPEND };

	run_during(r, &d);
	assert_int_equal(d.sts, at(0) | ST_ACTIVE);
	assert_int_equal(sts(r), at(1) | ST_SUSPENDED);
	assert_int_equal(fake_load(r->dev, R_CHANCMD, 1), 0);
	assert_int_equal(fake_load(r->dev, R_DMACOUNT, 2), 4);
	assert_int_equal(fake_count(r->dev, FAKE_EV_READ), 2);
	assert_int_equal(fake_count(r->dev, FAKE_EV_STORE), 2); /* those of the descriptors */
	assert_int_equal(*r->comp, at(1) | ST_ACTIVE);
	r->dev->hook = NULL;
	kick(r, 4); /* waits for RESUME */
	assert_int_equal(sts(r), at(1) | ST_SUSPENDED);
	cmd(r, CMD_RESUME);
	fake_run(r->dev);
	assert_int_equal(sts(r), at(3) | ST_IDLE);
	assert_int_equal(fake_count(r->dev, FAKE_EV_READ), 4);
	assert_memory_equal(r->dst, r->src, 0x4000);
}

static void suspend__active_not_begun__at_once(void **state)
{
	struct rig *r = *state;

	enter(r, ST_ACTIVE);
	fake_log_clear(r->dev);
	cmd(r, CMD_SUSPEND);
	assert_int_equal(sts(r), at(1) | ST_SUSPENDED);
	fake_run(r->dev);
	assert_int_equal(r->dev->n_log, 0);
	cmd(r, CMD_RESUME);
	assert_int_equal(sts(r), at(1) | ST_ACTIVE);
	fake_run(r->dev);
	assert_int_equal(sts(r), at(2) | ST_IDLE);
}

static void suspend_resume(struct uiommufd_device *f, const struct fake_event *ev)
{
	struct during *d = f->hook_arg;

	if (ev->what != FAKE_EV_COPY || d->calls++)
		return;
	cmd(d->r, CMD_SUSPEND);
	d->chancmd = fake_load(f, R_CHANCMD, 1);
	cmd(d->r, CMD_RESUME);
	d->sts = fake_load(f, R_CHANSTS, 8);
}

static void resume__before_suspend_took_effect__goes_on(void **state)
{
	struct rig *r = *state;
	struct during d = { .r = r };

	for (unsigned i = 0; i < 2; i++)
		rig_desc(r, i, 0, DST, SRC, 64);
	r->dev->hook = suspend_resume;
	r->dev->hook_arg = &d;
	rig_arm(r, 0);
	kick(r, 2);
	fake_run(r->dev);
	assert_int_equal(d.chancmd, CMD_SUSPEND);
	assert_int_equal(d.sts, ST_ACTIVE);
	assert_int_equal(sts(r), at(1) | ST_IDLE);
}

static void resume__not_suspended__nothing(void **state)
{
	static const unsigned other[] = { ST_ACTIVE, ST_IDLE, ST_HALTED, ST_ARMED };
	struct rig *r = *state;

	for (size_t i = 0; i < 4; i++) {
		uint64_t before;

		enter(r, other[i]);
		before = sts(r);
		cmd(r, CMD_RESUME);
		assert_int_equal(sts(r), before);
	}
}

static void reset__in_a_copy__halted_at_once_and_nothing_after(void **state)
{
	struct rig *r = *state;
	struct during d = { .r = r, .cmd = CMD_RESET };

	fake_store(r->dev, R_CHANCTRL, 2, 0x1c);
	run_during(r, &d);
	assert_int_equal(d.sts, ST_HALTED);
	assert_int_equal(d.chancmd, CMD_RESET); /* DMA is still to end */
	assert_int_equal(fake_load(r->dev, R_CHANCMD, 1), 0);
	assert_int_equal(sts(r), ST_HALTED);
	assert_int_equal(fake_count(r->dev, FAKE_EV_READ), 2);
	assert_int_equal(fake_count(r->dev, FAKE_EV_STORE), 1);
	assert_int_equal(*r->comp, at(0));
	assert_int_equal(err(r), 0);
}

static void abort__in_a_copy__halted_after_the_chunk(void **state)
{
	struct rig *r = *state;
	struct during d = { .r = r, .cmd = CMD_ABORT };

	run_during(r, &d);
	assert_int_equal(d.sts, at(0) | ST_ACTIVE); /* until DMA has ended */
	assert_int_equal(sts(r), at(0) | ST_HALTED);
	assert_int_equal(err(r), 0);
	assert_int_equal(fake_load(r->dev, R_CHANCMD, 1), 0);
	assert_int_equal(fake_count(r->dev, FAKE_EV_STORE), 1);
	assert_false(fake_run(r->dev));
}

static void abort__other_states__by_state(void **state)
{
	struct rig *r = *state;

	enter(r, ST_ACTIVE); /* not begun */
	cmd(r, CMD_ABORT);
	assert_int_equal(sts(r), at(1) | ST_HALTED);
	enter(r, ST_SUSPENDED);
	cmd(r, CMD_ABORT);
	assert_int_equal(sts(r), at(1) | ST_HALTED);
	enter(r, ST_IDLE);
	cmd(r, CMD_ABORT);
	assert_int_equal(sts(r), at(1) | ST_IDLE);
	enter(r, ST_ARMED);
	cmd(r, CMD_ABORT);
	assert_int_equal(sts(r), 4);
	assert_int_equal(err(r), 0);
}

static void abort__long_copy__at_most_a_chunk_more(void **state)
{
	struct rig *r = *state;
	struct during d = { .r = r, .cmd = CMD_ABORT };

	rig_desc(r, 0, 0, DST + 0x1000, SRC, 1u << 20);
	r->dev->hook = in_copy;
	r->dev->hook_arg = &d;
	rig_arm(r, 0);
	fake_log_clear(r->dev);
	kick(r, 1);
	fake_run(r->dev);
	assert_int_equal(sts(r), ST_HALTED);
	assert_int_equal(fake_count(r->dev, FAKE_EV_COPY), 1);
	assert_int_equal(r->dst[0x1000 + 0x10000], 0);
}

/* RESET and then, without a load, a whole new chain: all of it while an old copy is under way. */
static void restart_in_copy(struct uiommufd_device *f, const struct fake_event *ev)
{
	struct during *d = f->hook_arg;

	if (ev->what != FAKE_EV_COPY || d->calls++)
		return;
	cmd(d->r, CMD_RESET);
	fake_store(f, R_CHAINADDR, 8, at(8));
	d->sts = fake_load(f, R_CHANSTS, 8);
	fake_store(f, R_CHANCMP, 8, COMP + 8);
	fake_store(f, R_DMACOUNT, 2, 1);
	d->chancmd = fake_load(f, R_CHANCMD, 1);
}

static void reset__then_chainaddr_in_a_copy__new_chain_runs(void **state)
{
	struct rig *r = *state;
	struct during d = { .r = r };

	rig_desc(r, 0, CTL_COMP | CTL_INT, DST, SRC, 1u << 20);
	rig_desc(r, 8, CTL_COMP, DST + (1u << 20), SRC, 4096);
	rig_arm(r, 0);
	r->dev->hook = restart_in_copy;
	r->dev->hook_arg = &d;
	kick(r, 1);
	fake_run(r->dev);
	assert_int_equal(d.sts, 4);
	assert_int_equal(d.chancmd, CMD_RESET);
	assert_int_equal(r->comp[0], 0);
	assert_int_equal(r->comp[1], at(8) | ST_IDLE);
	assert_int_equal(sts(r), at(8) | ST_IDLE);
	assert_int_equal(fake_load(r->dev, R_CHANCMD, 1), 0);
	assert_int_equal(r->dev->irqs, 0);
	assert_memory_equal(r->dst + (1u << 20), r->src, 4096);
}

static void reset__then_chainaddr__armed(void **state)
{
	struct rig *r = *state;

	for (size_t i = 0; i < 5; i++) {
		enter(r, states[i]);
		cmd(r, CMD_RESET);
		fake_store(r->dev, R_CHAINADDR, 8, at(0));
		assert_int_equal(sts(r), 4);
	}
}

static void command__two_bits__error_5_and_halted(void **state)
{
	struct rig *r = *state;

	for (size_t i = 0; i < 5; i++)
		for (unsigned c = 1; c < 0x40; c++) {
			if (!(c & (c - 1)))
				continue;
			enter(r, states[i]);
			cmd(r, c);
			assert_int_equal(err(r), 0x20);
			assert_int_equal(fake_cfg_load(r->dev, 0x180), 0x20);
			assert_int_equal(sts(r) & 7, ST_HALTED);
			fake_run(r->dev);
			assert_int_equal(sts(r) & 7, ST_HALTED);
			recover(r);
			assert_int_equal(err(r), 0);
			assert_int_equal(fake_cfg_load(r->dev, 0x180), 0);
		}
}

static void command__two_bits_in_a_copy__halts_after_the_chunk(void **state)
{
	struct rig *r = *state;
	struct during d = { .r = r, .cmd = 0x0c };

	run_during(r, &d);
	assert_int_equal(d.sts, at(0) | ST_ACTIVE);
	assert_int_equal(sts(r), at(0) | ST_HALTED);
	assert_int_equal(err(r), 0x20);
	assert_int_equal(*r->comp, at(0));
}

static void command__two_bits_error_completion__status_before_chansts(void **state)
{
	struct rig *r = *state;

	enter(r, ST_IDLE);
	fake_store(r->dev, R_CHANCTRL, 2, 0x14);
	cmd(r, 0x0c);
	assert_int_equal(sts(r), at(1) | ST_IDLE);
	assert_int_equal(err(r), 0x20);
	fake_run(r->dev);
	assert_int_equal(*r->comp, at(1) | ST_HALTED);
	assert_int_equal(sts(r), at(1) | ST_HALTED);
	assert_int_equal(r->dev->irqs, 1);
}

static void command__of_version_1_or_none__nothing(void **state)
{
	static const unsigned c[] = { 0, 1, 2, 0x40, 0x80, 0xc0 };
	struct rig *r = *state;

	for (size_t i = 0; i < 5; i++)
		for (size_t k = 0; k < 6; k++) {
			uint64_t before;

			enter(r, states[i]);
			before = sts(r);
			cmd(r, c[k]);
			assert_int_equal(sts(r), before);
			assert_int_equal(err(r), 0);
			assert_int_equal(fake_load(r->dev, R_CHANCMD, 1), 0);
		}
}

static void flr__in_a_copy__ends_it(void **state)
{
	struct rig *r = *state;

	rig_desc(r, 0, CTL_COMP, DST, SRC, 1u << 20);
	rig_arm(r, 0x1c);
	atomic_store(&r->dev->stopped, true); /* the engine refuses DMA before it calls stop() */
	kick(r, 1);
	fake_run(r->dev);
	assert_int_equal(r->dev->n_log, 1);
	assert_int_equal(err(r), 0);
	fake_flr(r->dev);
	assert_int_equal(sts(r), ST_HALTED);
	fake_run(r->dev);
	rig_arm(r, 0);
	kick(r, 1);
	fake_run(r->dev);
	assert_int_equal(sts(r), at(0) | ST_IDLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_manual_rig(flr__any_state__all_at_reset),
		in_manual_rig(reset__any_state__halted_at_once),
		in_manual_rig(reset__error_set__chanerr_stays),
		in_manual_rig(chainaddr__not_active__armed_and_counters_0),
		in_manual_rig(chainaddr__active__ignored),
		in_manual_rig(chainaddr__one_half__arms),
		in_manual_rig(dmacount__equal__stays),
		in_manual_rig(dmacount__halted__is_stored_only),
		in_manual_rig(dmacount__work__active_at_once),
		in_manual_rig(dmacount__taken_back_before_it_began__idle),
		in_manual_rig(dmacount__raised_in_the_last_copy__stays_active),
		in_manual_rig(dmacount__byte_stores__are_events),
		in_manual_rig(suspend__halted_or_suspended__nothing),
		in_manual_rig(suspend__idle_or_armed__suspended_at_once),
		in_manual_rig(suspend__active__after_the_descriptor),
		in_manual_rig(suspend__active_not_begun__at_once),
		in_manual_rig(resume__before_suspend_took_effect__goes_on),
		in_manual_rig(resume__not_suspended__nothing),
		in_manual_rig(reset__in_a_copy__halted_at_once_and_nothing_after),
		in_manual_rig(abort__in_a_copy__halted_after_the_chunk),
		in_manual_rig(abort__other_states__by_state),
		in_manual_rig(abort__long_copy__at_most_a_chunk_more),
		in_manual_rig(reset__then_chainaddr_in_a_copy__new_chain_runs),
		in_manual_rig(reset__then_chainaddr__armed),
		in_manual_rig(command__two_bits__error_5_and_halted),
		in_manual_rig(command__two_bits_in_a_copy__halts_after_the_chunk),
		in_manual_rig(command__two_bits_error_completion__status_before_chansts),
		in_manual_rig(command__of_version_1_or_none__nothing),
		in_manual_rig(flr__in_a_copy__ends_it),
	};

	return cmocka_run_group_tests_name("ioat_state", tests, NULL, NULL);
}
