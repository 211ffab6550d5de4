// SPDX-License-Identifier: MIT
/*
 * Which state is the channel in?
 *
 * Invariants
 *   I1  ARMED: last, done and dmacount are 0, so CHANSTS reads exactly 4.
 *   I2  ACTIVE with done == dmacount is seen only while run() is busy or has been kicked.
 *   I3  pending holds a bit only while run() is busy or has been kicked for it.
 *   I4  DMA runs only while the state is ACTIVE, or after a RESET until that reads back 0
 *       (a status write of an error: in any state, until IOAT_PEND_ERROR is gone).
 *   I5  irq_latched implies IOAT_CTRL_INT_DISABLE.
 *   I6  CHANERR gets at most one bit per halt, before CHANSTS says HALTED.
 *
 * Transitions
 *   any                           -> HALTED     channel_reset_all, RESET (channel_command)
 *   HALTED, SUSPENDED, IDLE, ARMED -> ARMED     channel_arm
 *   ARMED, IDLE                   -> ACTIVE     channel_count, when there is work
 *   ACTIVE                        -> IDLE       channel_complete, when there is none left
 *   ACTIVE, IDLE, ARMED           -> SUSPENDED  SUSPEND: channel_command; when run() is busy,
 *                                               channel_settle_suspend after the descriptor
 *   SUSPENDED                     -> ACTIVE, IDLE  RESUME (channel_command)
 *   ACTIVE, SUSPENDED             -> HALTED     ABORT: channel_command; when run() is busy,
 *                                               channel_settle after the chunk under way
 *   any                           -> HALTED     channel_halt
 *
 * RESET while run() transfers. The registers take the reset state in the store itself, so that a
 * CHAINADDR that follows arms the fresh channel; nothing waits for the transfer, because the store
 * may be a client's page fault and hold the lock. run() sees IOAT_CANCEL at its next chunk, comes
 * back to the lock with a generation that is gone and drops its outcome. Until then CHANCMD reads
 * RESET: when it reads 0 there is no access, status write or interrupt of the old work to come.
 */
#include "devices/ioat/ioat.h"

static void start(struct ioat *io)
{
	if (io->done == io->dmacount)
		return;
	io->state = IOAT_ACTIVE;
	uiommufd_device_kick(io->dev);
}

/* What RESET and power-on have in common. */
static void forget(struct ioat *io)
{
	io->gen++;
	io->state = IOAT_HALTED;
	io->chanctrl = 0;
	io->in_use = false;
	io->chainaddr = io->chancmp = io->cdar = 0;
	io->dmacount = io->done = 0;
	io->last = io->next = 0;
	io->first = false;
	io->pending = 0;
	io->irq_latched = io->irq_due = false;
}

void channel_reset_all(struct ioat *io)
{
	forget(io);
	io->busy = false;
	io->chanerr = io->chanerrmsk = io->dcactrl = 0;
	io->genctrl = io->intrctrl = io->prefetch_limit = 0;
	io->intrdelay = 0;
	io->attnstatus = 0;
	channel_line(io);
	atomic_store(&io->attention, 0);
}

void channel_arm(struct ioat *io, uint64_t addr)
{
	if (io->state == IOAT_ACTIVE)
		return;
	io->chainaddr = addr;
	io->state = IOAT_ARMED;
	io->dmacount = io->done = 0;
	io->last = 0;
	io->next = addr;
	io->first = true;
	io->pending &= (uint8_t)~IOAT_CMD_SUSPEND;
}

/* The event is the store: the same value again asks for work when the counters differ. */
void channel_count(struct ioat *io, uint16_t count)
{
	io->dmacount = count;
	if (io->state == IOAT_ARMED || io->state == IOAT_IDLE)
		start(io);
}

static void cancel(struct ioat *io)
{
	atomic_fetch_or(&io->attention, IOAT_CANCEL);
}

static void reset(struct ioat *io)
{
	forget(io);
	if (!io->busy)
		return;
	io->pending = IOAT_CMD_RESET;
	cancel(io);
}

static void suspend(struct ioat *io)
{
	if (io->state == IOAT_HALTED || io->state == IOAT_SUSPENDED)
		return;
	/* Also behind an interrupt under way: who sees SUSPENDED has been sent it. */
	if (io->busy)
		io->pending |= IOAT_CMD_SUSPEND;
	else
		io->state = IOAT_SUSPENDED;
}

static void resume(struct ioat *io)
{
	io->pending &= (uint8_t)~IOAT_CMD_SUSPEND;
	if (io->state != IOAT_SUSPENDED)
		return;
	io->state = IOAT_IDLE;
	start(io);
}

static void abort_work(struct ioat *io)
{
	if (io->state != IOAT_ACTIVE && io->state != IOAT_SUSPENDED)
		return;
	if (io->busy && io->state == IOAT_ACTIVE) {
		io->pending |= IOAT_CMD_ABORT;
		cancel(io);
	} else {
		channel_halt(io, 0);
	}
}

bool channel_wants_status(const struct ioat *io)
{
	return (io->chanctrl & IOAT_CTRL_ERR_COMPL) || (io->report_halt && io->chancmp);
}

/* An error without a descriptor. A status write, if one is wanted, is run()'s: it is DMA. */
static void command_error(struct ioat *io)
{
	io->chanerr |= IOAT_ERR_CMD;
	uiommufd_device_cfg_or(io->dev, IOAT_CFG_CHANERR, IOAT_ERR_CMD);
	if (io->state == IOAT_HALTED)
		return;
	if (!io->busy && !channel_wants_status(io)) {
		channel_halt(io, IOAT_ERR_CMD);
		return;
	}
	io->pending |= IOAT_PEND_ERROR;
	cancel(io);
	uiommufd_device_kick(io->dev);
}

void channel_command(struct ioat *io, uint8_t cmd)
{
	cmd &= IOAT_CMD_ALL;
	if (cmd & (cmd - 1)) {
		command_error(io);
		return;
	}
	switch (cmd) {
	case IOAT_CMD_RESET:
		reset(io);
		break;
	case IOAT_CMD_SUSPEND:
		suspend(io);
		break;
	case IOAT_CMD_RESUME:
		resume(io);
		break;
	case IOAT_CMD_ABORT:
		abort_work(io);
		break;
	default: /* start and append are commands of version 1 */
		break;
	}
}

/* The channel has a reason to interrupt. */
static void irq_cause(struct ioat *io)
{
	if (io->chanctrl & IOAT_CTRL_INT_DISABLE) {
		io->irq_latched = true;
		return;
	}
	io->chanctrl |= IOAT_CTRL_INT_DISABLE;
	io->irq_due = true;
	/* uiommufd_device_irq() must be called without the lock, so by run(). */
	if (!io->busy)
		uiommufd_device_kick(io->dev);
}

void channel_control(struct ioat *io, uint16_t val, uint16_t mask)
{
	uint16_t stored = (uint16_t)(mask & IOAT_CTRL_STORED);

	io->chanctrl = (uint16_t)((io->chanctrl & ~stored) | (val & stored));
	if ((mask & IOAT_CTRL_IN_USE) && !(val & IOAT_CTRL_IN_USE))
		io->in_use = false;
	if (!(val & mask & IOAT_CTRL_INT_DISABLE))
		return;
	io->chanctrl &= (uint16_t)~IOAT_CTRL_INT_DISABLE;
	if (io->irq_latched) {
		io->irq_latched = false;
		irq_cause(io);
	}
}

void channel_line(struct ioat *io)
{
	bool level = io->attnstatus && (io->intrctrl & IOAT_INTR_MASTER) &&
		     !uiommufd_device_msix_on(io->dev);

	if (level == io->line)
		return;
	io->line = level;
	uiommufd_device_intx(io->dev, level);
}

bool channel_take_irq(struct ioat *io)
{
	bool msix = uiommufd_device_msix_on(io->dev);

	io->irq_due = false;
	if (!msix || !(io->intrctrl & IOAT_INTR_MSIX)) {
		io->attnstatus |= 1u;
		channel_line(io);
	}
	return msix;
}

void channel_halt(struct ioat *io, uint32_t err)
{
	io->state = IOAT_HALTED;
	io->pending = 0;
	if (err && (io->chanctrl & IOAT_CTRL_ERR_INT) && !(io->chanerrmsk & err))
		irq_cause(io);
}

void channel_settle(struct ioat *io)
{
	atomic_fetch_and(&io->attention, ~IOAT_CANCEL);
	io->pending &= (uint8_t)~IOAT_CMD_RESET;
	if (io->pending & IOAT_PEND_ERROR)
		return; /* halts as well, and says why */
	if (io->pending & IOAT_CMD_ABORT)
		channel_halt(io, 0);
}

void channel_settle_suspend(struct ioat *io)
{
	if (!(io->pending & IOAT_CMD_SUSPEND))
		return;
	io->pending &= (uint8_t)~IOAT_CMD_SUSPEND;
	io->state = IOAT_SUSPENDED;
}

void channel_complete(struct ioat *io, uint64_t addr, uint64_t next, bool irq)
{
	io->done++;
	io->last = addr;
	io->next = next;
	io->first = false;
	if (io->done == io->dmacount)
		io->state = IOAT_IDLE;
	if (irq)
		irq_cause(io);
}
