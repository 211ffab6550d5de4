// SPDX-License-Identifier: MIT
/*
 * How is a descriptor executed?
 *
 *   fetch the 64 bytes, only now that DMACOUNT asks for them (the tail of a ring may be unmapped)
 *   -> data -> completion word, one 8-byte store -> CHANSTS -> interrupt.
 * The order is that of the hardware and what clients rely on: each step is visible before the
 * next begins. One descriptor at a time, so the fence bit needs nothing. Descriptors are never
 * written, nor kept: the next run of the same one fetches it again.
 *
 * run() takes the chain (IOAT_OWNED) under the lock and executes descriptors without it, moving
 * ioat.progress on by compare-and-swap, which fails when a RESET took the chain away. What needs
 * more than that (the last descriptor, an interrupt, an error, a command) it does under the lock.
 *
 * Invariants
 *   E1  The lock is never held during DMA or uiommufd_device_irq().
 *   E2  Between two looks at ioat.attention at most CHUNK bytes move, or one descriptor is done.
 *   E3  What comes back without IOAT_OWNED changes no register but CDAR.
 *   E4  An outcome is exactly one of: complete, one CHANERR bit, cancelled. Cancelled is decided
 *       before the completion word, so that word and CHANSTS never disagree on what completed.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "devices/ioat/ioat.h"

#define CHUNK          0x10000u
#define BREAK_SIZE     0x1000u    /* page-break bits: pages of 4 KiB */
#define CANCELLED      (1u << 31) /* no CHANERR bit: stopped, aborted or reset */

#define CTL_INT        0x001u
#define CTL_COMPLETION 0x008u
#define CTL_NULL       0x020u
#define CTL_SRC_BREAK  0x040u
#define CTL_DST_BREAK  0x080u
#define OP_COPY        0x00u
#define OP_FILL        0x01u

/* 64 bytes, little endian, as in memory. */
struct ioat_desc {
	uint32_t size;
	uint32_t ctl;
	uint64_t src; /* fill: the pattern */
	uint64_t dst;
	uint64_t next;
	uint64_t src2, dst2; /* where the transfer goes on with a page-break bit */
	uint64_t sw[2];      /* software's */
};

/* A descriptor to execute. */
struct job {
	uint64_t addr;
	bool first; /* the one of CHAINADDR */
	bool final; /* the last that DMACOUNT asked for */
	struct ioat_desc d;
};

/* One direction of a transfer: where the next byte is, and how many follow it there. */
struct side {
	uint64_t at, left;
	uint64_t then; /* where it goes on when left is 0 */
};

static unsigned wanted(struct ioat *io)
{
	return atomic_load_explicit(&io->attention, memory_order_relaxed);
}

static bool interrupted(struct ioat *io)
{
	return wanted(io) & (IOAT_CANCEL | IOAT_STOP);
}

/*
 * What a refused access is to the client; the engine has recorded the reason. When it begins to
 * stop the device, DMA may fail before stop() comes: run() must not try again meanwhile.
 */
static uint32_t failure(struct ioat *io, int rc, uint32_t err)
{
	if (!rc)
		return 0;
	if (rc != -ECANCELED)
		return err;
	atomic_fetch_or(&io->attention, IOAT_STOP);
	return CANCELLED;
}

static struct side side_init(uint64_t at, uint64_t then, bool broken)
{
	struct side s = { .at = at, .left = UINT64_MAX, .then = then };

	if (broken)
		s.left = BREAK_SIZE - (at & (BREAK_SIZE - 1));
	return s;
}

static void side_advance(struct side *s, uint64_t n)
{
	s->at += n;
	s->left -= n;
	if (!s->left) {
		s->at = s->then;
		s->left = UINT64_MAX;
	}
}

static uint64_t min3(uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t m = a < b ? a : b;

	return m < c ? m : c;
}

static uint32_t copy(struct ioat *io, const struct ioat_desc *d)
{
	struct side src = side_init(d->src, d->src2, d->ctl & CTL_SRC_BREAK);
	struct side dst = side_init(d->dst, d->dst2, d->ctl & CTL_DST_BREAK);
	struct uiommufd_dma_fault fault = { .side = UIOMMUFD_DMA_SRC };
	uint64_t left = d->size;

	while (left) {
		uint64_t n = min3(src.left, dst.left, left < CHUNK ? left : CHUNK);
		int rc;

		if (interrupted(io))
			return CANCELLED;
		rc = uiommufd_dma_copy(io->dev, UIOMMUFD_NO_PASID, dst.at, src.at, n, &fault);
		if (rc)
			return failure(io, rc,
				       fault.side == UIOMMUFD_DMA_DST ? IOAT_ERR_WRITE
								      : IOAT_ERR_READ);
		side_advance(&src, n);
		side_advance(&dst, n);
		left -= n;
	}
	return 0;
}

/* The pattern as it continues after @n bytes. */
static uint64_t rotate(uint64_t pattern, uint64_t n)
{
	unsigned bits = (unsigned)(n % 8) * 8;

	return bits ? pattern >> bits | pattern << (64 - bits) : pattern;
}

static uint32_t fill(struct ioat *io, const struct ioat_desc *d)
{
	struct side dst = side_init(d->dst, d->dst2, d->ctl & CTL_DST_BREAK);
	uint64_t pattern = d->src, left = d->size;

	while (left) {
		uint64_t n = min3(dst.left, left, CHUNK);
		int rc;

		if (interrupted(io))
			return CANCELLED;
		rc = uiommufd_dma_fill(io->dev, UIOMMUFD_NO_PASID, dst.at, pattern, n, NULL);
		if (rc)
			return failure(io, rc, IOAT_ERR_WRITE);
		pattern = rotate(pattern, n);
		side_advance(&dst, n);
		left -= n;
	}
	return 0;
}

/* With a page-break bit a side has two pages: the rest of its first, and one more. */
static bool side_holds(const struct side *s, uint32_t size)
{
	return s->left == UINT64_MAX || size <= s->left + BREAK_SIZE;
}

/* 0, or the CHANERR bit of what is wrong with the descriptor itself. */
static uint32_t check(const struct ioat *io, const struct ioat_desc *d)
{
	struct side src = side_init(d->src, 0, d->ctl & CTL_SRC_BREAK);
	struct side dst = side_init(d->dst, 0, d->ctl & CTL_DST_BREAK);
	uint32_t op = d->ctl >> 24;

	if (op != OP_COPY && op != OP_FILL)
		return IOAT_ERR_CONTROL;
	if (d->ctl & CTL_NULL)
		return 0;
	if (!d->size || d->size > 1u << io->xfercap_lg2)
		return IOAT_ERR_LENGTH;
	if ((op == OP_COPY && !side_holds(&src, d->size)) || !side_holds(&dst, d->size))
		return IOAT_ERR_LENGTH;
	return 0;
}

static uint32_t fetch(struct ioat *io, struct job *job)
{
	struct ioat_desc *d = &job->d;
	int rc;

	if (job->addr % sizeof(*d))
		return job->first ? IOAT_ERR_CHAIN_ADDR : IOAT_ERR_ALIGN;
	rc = uiommufd_dma_read(io->dev, UIOMMUFD_NO_PASID, job->addr, d, sizeof(*d));
	if (rc)
		return failure(io, rc, job->first ? IOAT_ERR_CHAIN_ADDR : IOAT_ERR_NEXT);
	d->size = le32toh(d->size);
	d->ctl = le32toh(d->ctl);
	d->src = le64toh(d->src);
	d->dst = le64toh(d->dst);
	d->next = le64toh(d->next);
	d->src2 = le64toh(d->src2);
	d->dst2 = le64toh(d->dst2);
	return 0;
}

/* Data after which the completion word says so. The state in it is that of CHANSTS to come. */
static uint32_t write_completion(struct ioat *io, const struct job *job)
{
	uint64_t word = job->addr | (job->final ? IOAT_IDLE : IOAT_ACTIVE);
	uint64_t cmp = atomic_load_explicit(&io->chancmp, memory_order_relaxed);

	if (interrupted(io))
		return CANCELLED;
	if (cmp % 8)
		return IOAT_ERR_COMPLETION;
	return failure(io, uiommufd_dma_store(io->dev, UIOMMUFD_NO_PASID, cmp, word, 8),
		       IOAT_ERR_COMPLETION);
}

static uint32_t execute(struct ioat *io, struct job *job)
{
	const struct ioat_desc *d = &job->d;
	uint32_t err = fetch(io, job);

	if (!err)
		err = check(io, d);
	if (!err && !(d->ctl & CTL_NULL))
		err = d->ctl >> 24 == OP_FILL ? fill(io, d) : copy(io, d);
	if (!err && (d->ctl & CTL_COMPLETION))
		err = write_completion(io, job);
	return err;
}

/*
 * Halts with one CHANERR bit: error registers, status write, CHANSTS, interrupt. Called with the
 * lock, drops it meanwhile. A status write that fails adds no second bit.
 */
static void fail(struct ioat *io, uint32_t err)
{
	uint64_t cmp = atomic_load(&io->chancmp), word = channel_last(io) | IOAT_HALTED;
	bool status = channel_wants_status(io) && err != IOAT_ERR_COMPLETION && !(cmp % 8);

	io->chanerr |= err;
	channel_own(io);
	uiommufd_device_unlock(io->dev);
	uiommufd_device_cfg_or(io->dev, IOAT_CFG_CHANERR, err);
	if (status)
		(void)uiommufd_dma_store(io->dev, UIOMMUFD_NO_PASID, cmp, word, 8);
	uiommufd_device_lock(io->dev);
	if (channel_disown(io))
		channel_halt(io, err);
}

/* The descriptor at @c, which DMACOUNT, now @count, asks for. */
static void pick(struct ioat *io, const struct ioat_cursor *c, uint16_t count, struct job *job)
{
	atomic_store_explicit(&io->cdar, c->next, memory_order_relaxed);
	job->addr = c->next;
	job->first = c->first;
	job->final = (uint16_t)(c->done + 1) == count;
}

/*
 * True: the descriptor is complete in CHANSTS, and the next one, which *@count asks for, may begin
 * without the lock.
 */
static bool pass(struct ioat *io, const struct job *job, struct ioat_cursor *c, uint64_t *progress,
		 uint16_t *count)
{
	uint64_t moved = job->addr | IOAT_OWNED;

	/* Acquire: with the count, the descriptors that the client wrote before it. */
	*count = atomic_load_explicit(&io->dmacount, memory_order_acquire);
	if ((uint16_t)(c->done + 1) == *count || (job->d.ctl & CTL_INT) || wanted(io))
		return false;
	/* Release: the data before CHANSTS. */
	if (!atomic_compare_exchange_strong_explicit(&io->progress, progress, moved,
						     memory_order_release, memory_order_relaxed))
		return false;
	*progress = moved;
	c->next = job->d.next;
	c->first = false;
	c->done++;
	return true;
}

/*
 * Executes the chain up to something that needs the lock: one descriptor at least. Called with
 * the lock, drops it meanwhile; the state is ACTIVE and there is work.
 */
static void run_chain(struct ioat *io)
{
	struct ioat_cursor c = io->cursor;
	uint16_t count = atomic_load(&io->dmacount);
	uint64_t progress;
	struct job job;
	uint32_t err;

	channel_own(io);
	progress = atomic_load(&io->progress);
	uiommufd_device_unlock(io->dev);
	do {
		pick(io, &c, count, &job);
		err = execute(io, &job);
	} while (!err && pass(io, &job, &c, &progress, &count));
	uiommufd_device_lock(io->dev);
	if (!channel_disown(io)) /* E3 */
		return;
	io->cursor = c;
	if (!err)
		channel_complete(io, job.addr, job.d.next, job.d.ctl & CTL_INT);
	else if (err != CANCELLED)
		fail(io, err);
}

static void raise_irq(struct ioat *io)
{
	if (!channel_take_irq(io))
		return;
	uiommufd_device_unlock(io->dev);
	uiommufd_device_irq(io->dev, 0);
	uiommufd_device_lock(io->dev);
}

void ioat_run(void *state)
{
	struct ioat *io = state;

	uiommufd_device_lock(io->dev);
	io->busy = true;
	while (!(wanted(io) & IOAT_STOP)) {
		channel_settle(io);
		if (io->pending & IOAT_PEND_ERROR) {
			fail(io, IOAT_ERR_CMD); /* clears it */
		} else if (io->irq_due) {
			raise_irq(io);
		} else {
			channel_settle_suspend(io);
			if (!channel_has_work(io))
				break;
			run_chain(io);
		}
	}
	io->busy = false;
	uiommufd_device_unlock(io->dev);
}
