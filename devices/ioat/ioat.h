/* SPDX-License-Identifier: MIT */
/*
 * What do the rooms of the I/OAT model share?
 *
 *   ioat.c     description, options, life                    the engine's callbacks
 *   regs.c     which bits of which store reach which register
 *   channel.c  the channel's state machine                   under the device's lock
 *   engine.c   descriptors, on the device's thread           mostly without it
 *
 * Threads. Everything below "Under the lock" is guarded by uiommufd_device_lock(). bar_read and
 * bar_write come with it held; run() takes it to begin, at the end of the work asked for, for
 * interrupts, errors and whenever it is wanted, and drops it for DMA. From one descriptor to the
 * next it goes without, so that clients and a busy engine do not queue for one lock: the atomic
 * members are what run() reads and writes then.
 *
 * Source: the public register descriptions of the Xeon E5 v2 and Skylake-SP CBDMA functions.
 */
#ifndef DEVICES_IOAT_IOAT_H
#define DEVICES_IOAT_IOAT_H

#include <stdatomic.h>

#include <uiommufd/device.h>

#define IOAT_BAR_SIZE  0x4000u
#define IOAT_CHAN_BASE 0x80u
#define IOAT_REGS_END  0x100u /* beyond: nothing, the MSI-X table and PBA */

/* CHANSTS, bits 2:0. */
enum ioat_state {
	IOAT_ACTIVE = 0,
	IOAT_IDLE = 1,
	IOAT_SUSPENDED = 2,
	IOAT_HALTED = 3,
	IOAT_ARMED = 4,
};

/* CHANCMD. */
#define IOAT_CMD_SUSPEND 0x04u
#define IOAT_CMD_ABORT   0x08u
#define IOAT_CMD_RESUME  0x10u
#define IOAT_CMD_RESET   0x20u
#define IOAT_CMD_ALL     0x3fu

/* CHANCTRL; bit 8 is kept apart (in_use). */
#define IOAT_CTRL_INT_DISABLE 0x0001u
#define IOAT_CTRL_ERR_COMPL   0x0004u
#define IOAT_CTRL_ERR_INT     0x0010u
#define IOAT_CTRL_IN_USE      0x0100u
#define IOAT_CTRL_STORED      0xf23cu /* what a store sets and clears as it says */

/* INTRCTRL. */
#define IOAT_INTR_MASTER 0x01u
#define IOAT_INTR_STATUS 0x02u
#define IOAT_INTR_LINE   0x04u
#define IOAT_INTR_MSIX   0x08u

/* CHANERR, and CHANERR_INT in config space. */
#define IOAT_ERR_NEXT       (1u << 2)
#define IOAT_ERR_ALIGN      (1u << 3)
#define IOAT_ERR_CHAIN_ADDR (1u << 4)
#define IOAT_ERR_CMD        (1u << 5)
#define IOAT_ERR_READ       (1u << 8)
#define IOAT_ERR_WRITE      (1u << 9)
#define IOAT_ERR_CONTROL    (1u << 10)
#define IOAT_ERR_LENGTH     (1u << 11)
#define IOAT_ERR_COMPLETION (1u << 12)
#define IOAT_ERR_SOFT       (1u << 15) /* never set; read-only */
#define IOAT_CFG_CHANERR    0x180u

#define IOAT_DMACAP         0x41u /* page break, block fill */

/* ioat.pending: commands taken and not yet carried out, as CHANCMD bits, and one of ours. */
#define IOAT_PEND_ERROR 0x80u /* a command error is to be reported */

/* ioat.attention: what run() is to do before it goes on; all but STOP end with that. */
#define IOAT_CANCEL 1u /* drop the descriptor: RESET, ABORT, command error */
#define IOAT_ATTEND 2u /* come to the lock after the descriptor: SUSPEND, an interrupt */
#define IOAT_STOP   4u /* return: stop() or -ECANCELED; until the reset that follows */

/* ioat.progress: address of the descriptor that completed last since CHAINADDR was written, or 0.
 */
#define IOAT_OWNED   1ull /* run() is executing the chain; RESET takes that away from it */
#define IOAT_ADDR(p) ((p) & ~0x3full)

/* Where in the chain the channel is. */
struct ioat_cursor {
	uint64_t next; /* descriptor to fetch when there is work */
	uint16_t done; /* descriptors completed, modulo 2^16 */
	bool first;    /* `next` comes from CHAINADDR and not from a descriptor */
};

struct ioat {
	/* Immutable. */
	struct uiommufd_device *dev;
	uint8_t version;
	uint8_t xfercap_lg2;
	bool report_halt; /* a halt is written to CHANCMP whenever that is set */

	/* Written under the lock, read by run() without. */
	_Atomic unsigned attention; /* set under the lock */
	_Atomic uint16_t dmacount;
	_Atomic uint64_t chancmp;
	/* Written by run() without the lock as well. */
	_Atomic uint64_t progress; /* by compare-and-swap, and only while IOAT_OWNED is set */
	_Atomic uint64_t cdar;

	/* Under the lock: general registers. */
	uint8_t genctrl, intrctrl, prefetch_limit;
	uint16_t intrdelay;
	uint32_t attnstatus;
	bool line; /* INTx as last driven */

	/* The channel's registers. */
	uint16_t chanctrl; /* IOAT_CTRL_STORED and IOAT_CTRL_INT_DISABLE */
	bool in_use;       /* CHANCTRL bit 8, latched by a read */
	uint64_t chainaddr;
	uint32_t chanerr, chanerrmsk, dcactrl;

	/* The channel behind them: see channel.c. */
	enum ioat_state state;
	struct ioat_cursor cursor; /* run() has a newer one while IOAT_OWNED is set */
	uint8_t pending;
	bool busy;        /* run() is under way */
	bool irq_latched; /* a cause came while interrupts were disabled */
	bool irq_due;     /* run() is to raise one */
};

/* channel.c; the lock is held. */
void channel_reset_all(struct ioat *io); /* power-on, FLR: run() is not under way */
void channel_arm(struct ioat *io, uint64_t addr);
void channel_count(struct ioat *io, uint16_t count);
void channel_command(struct ioat *io, uint8_t cmd);
void channel_control(struct ioat *io, uint16_t val, uint16_t mask);
void channel_line(struct ioat *io); /* INTx follows INTRCTRL and ATTNSTATUS */
/* For run(). */
void channel_settle(struct ioat *io);         /* commands that end a transfer */
void channel_settle_suspend(struct ioat *io); /* the one that lets it finish */
bool channel_has_work(struct ioat *io);
uint64_t channel_last(struct ioat *io);
void channel_own(struct ioat *io);
bool channel_disown(struct ioat *io); /* false: a RESET, or a new CHAINADDR, came between */
void channel_complete(struct ioat *io, uint64_t addr, uint64_t next, bool irq);
void channel_halt(struct ioat *io, uint32_t err);
bool channel_wants_status(const struct ioat *io); /* a halt is written to CHANCMP */
bool channel_take_irq(struct ioat *io);           /* an interrupt was due; true: it goes by MSI-X */

/* regs.c; the lock is held. */
uint64_t ioat_bar_read(void *state, unsigned bar, uint64_t off, unsigned size);
void ioat_bar_write(void *state, unsigned bar, uint64_t off, unsigned size, uint64_t val);

/* engine.c; the lock is not held. */
void ioat_run(void *state);

#endif
