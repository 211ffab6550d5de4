// SPDX-License-Identifier: MIT
/*
 * Which state is the channel in?
 *
 * Invariants
 *   I1  ARMED: progress, cursor.done and dmacount are 0, so CHANSTS reads exactly 4.
 *   I2  ACTIVE with cursor.done == dmacount is seen only while run() is busy or has been kicked.
 *   I3  pending holds a bit only while run() is busy or has been kicked for it.
 *   I4  DMA runs only while the state is ACTIVE, or after a RESET until that reads back 0
 *       (a status write of an error: in any state, while IOAT_PEND_ERROR is pending).
 *   I5  irq_latched implies IOAT_CTRL_INT_DISABLE.
 *   I6  CHANERR gets at most one bit per halt, before CHANSTS says HALTED.
 *   I7  IOAT_OWNED is set by run() under the lock and implies busy. While it is set nobody else
 *       changes the cursor; whoever starts the channel anew clears it.
 *
 * Transitions
 *   any                           -> HALTED     channel_reset_all, RESET (channel_command)
 *   HALTED, SUSPENDED, IDLE, ARMED -> ARMED     channel_arm
 *   ARMED, IDLE                   -> ACTIVE     channel_count, when there is work
 *   ACTIVE                        -> IDLE       channel_complete, channel_has_work: none left
 *   ACTIVE, IDLE, ARMED           -> SUSPENDED  SUSPEND: channel_command; when run() is busy,
 *                                               channel_settle_suspend after the descriptor
 *   SUSPENDED                     -> ACTIVE, IDLE  RESUME (channel_command)
 *   ACTIVE, SUSPENDED             -> HALTED     ABORT: channel_command; when run() is busy,
 *                                               channel_settle after the chunk under way
 *   any                           -> HALTED     channel_halt
 *
 * RESET while run() transfers. The registers take the reset state in the store itself, so that a
 * CHAINADDR that follows arms the fresh channel; nothing waits for the transfer, because the store
 * may be a client's page fault and holds the lock. run() sees IOAT_CANCEL at its next chunk, finds
 * that it does not own the chain any more and drops its outcome. Until then CHANCMD reads RESET:
 * when it reads 0 there is no access, status write or interrupt of the old work to come.
 */
#include "devices/ioat/ioat.h"

static void start(struct ioat *io)
{
	if (io->cursor.done == atomic_load(&io->dmacount))
		return;
	io->state = IOAT_ACTIVE;
	uiommufd_device_kick(io->dev);
}

/* The chain begins at @addr. Takes it from run(), if that is executing an older one. */
static void restart(struct ioat *io, uint64_t addr)
{
	atomic_store(&io->progress, 0);
	atomic_store(&io->dmacount, 0);
	io->chainaddr = addr;
	io->cursor = (struct ioat_cursor){ .next = addr, .first = true };
}

/* What RESET and power-on have in common. */
static void forget(struct ioat *io)
{
	io->state = IOAT_HALTED;
	restart(io, 0);
	io->chanctrl = 0;
	io->in_use = false;
	atomic_store(&io->chancmp, 0);
	atomic_store(&io->cdar, 0);
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
	restart(io, addr);
	io->state = IOAT_ARMED;
	io->pending &= IOAT_CMD_RESET;
}

/* The event is the store: the same value again asks for work when the counters differ. */
void channel_count(struct ioat *io, uint16_t count)
{
	/* Release: with the count, run() sees the descriptors that the client wrote before. */
	atomic_store(&io->dmacount, count);
	if (io->state == IOAT_ARMED || io->state == IOAT_IDLE)
		start(io);
}

static void attend(struct ioat *io, unsigned why)
{
	atomic_fetch_or(&io->attention, why);
}

static void reset(struct ioat *io)
{
	forget(io);
	if (!io->busy)
		return;
	io->pending = IOAT_CMD_RESET;
	attend(io, IOAT_CANCEL);
}

static void suspend(struct ioat *io)
{
	if (io->state == IOAT_HALTED || io->state == IOAT_SUSPENDED)
		return;
	if (!io->busy) {
		io->state = IOAT_SUSPENDED;
		return;
	}
	/* Also behind an interrupt under way: who sees SUSPENDED has been sent it. */
	io->pending |= IOAT_CMD_SUSPEND;
	attend(io, IOAT_ATTEND);
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
		attend(io, IOAT_CANCEL);
	} else {
		channel_halt(io, 0);
	}
}

bool channel_wants_status(const struct ioat *io)
{
	return (io->chanctrl & IOAT_CTRL_ERR_COMPL) ||
	       (io->report_halt && atomic_load(&io->chancmp));
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
	attend(io, IOAT_CANCEL);
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
	if (io->busy)
		attend(io, IOAT_ATTEND);
	else
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
	atomic_fetch_and(&io->attention, ~(IOAT_CANCEL | IOAT_ATTEND));
	if (io->pending & IOAT_CMD_RESET) {
		io->pending &= (uint8_t)~IOAT_CMD_RESET;
		atomic_store(&io->cdar, 0); /* may have been stored meanwhile */
	}
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

bool channel_has_work(struct ioat *io)
{
	/* The client may have taken back what it asked for. */
	if (io->state == IOAT_ACTIVE && io->cursor.done == atomic_load(&io->dmacount))
		io->state = IOAT_IDLE;
	return io->state == IOAT_ACTIVE;
}

uint64_t channel_last(struct ioat *io)
{
	return IOAT_ADDR(atomic_load(&io->progress));
}

void channel_own(struct ioat *io)
{
	atomic_fetch_or(&io->progress, IOAT_OWNED);
}

bool channel_disown(struct ioat *io)
{
	return atomic_fetch_and(&io->progress, ~IOAT_OWNED) & IOAT_OWNED;
}

void channel_complete(struct ioat *io, uint64_t addr, uint64_t next, bool irq)
{
	atomic_store(&io->progress, addr);
	io->cursor.done++;
	io->cursor.next = next;
	io->cursor.first = false;
	if (io->cursor.done == atomic_load(&io->dmacount))
		io->state = IOAT_IDLE;
	if (irq)
		irq_cause(io);
}
