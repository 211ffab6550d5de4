// SPDX-License-Identifier: MIT
/*
 * Which bits of which access reach which register?
 *
 * An access may cover a part of a register, one, or several: clients use halves of CHAINADDR and
 * CHANCMP, and nothing forbids a 64-bit load of eight bytes of small registers. Each register is
 * asked with a mask of its bits that the access covers, lowest address first. Side effects hang
 * on the bits they are defined for: loading byte 0 of CHANCTRL does not latch bit 8.
 *
 * What no register claims reads 0 and ignores stores.
 */
#include "devices/ioat/ioat.h"

enum reg_id {
	REG_CHANCNT,
	REG_XFERCAP,
	REG_GENCTRL,
	REG_INTRCTRL,
	REG_ATTNSTATUS,
	REG_CBVER,
	REG_INTRDELAY,
	REG_DMACAP,
	REG_PREFETCH_LIMIT,
	REG_CHANCTRL,
	REG_DMA_COMP,
	REG_CHANCMD,
	REG_DMACOUNT,
	REG_CHANSTS,
	REG_CHAINADDR,
	REG_CHANCMP,
	REG_CDAR,
	REG_CHANERR,
	REG_CHANERRMSK,
	REG_DCACTRL,
};

/* PERPORTOFFSET, CS_STATUS and DCAOFFSET read 0 and are not listed. */
static const struct reg {
	uint8_t off, width;
	uint8_t id;
} regs[] = {
	{ 0x00, 1, REG_CHANCNT },    { 0x01, 1, REG_XFERCAP },    { 0x02, 1, REG_GENCTRL },
	{ 0x03, 1, REG_INTRCTRL },   { 0x04, 4, REG_ATTNSTATUS }, { 0x08, 1, REG_CBVER },
	{ 0x0c, 2, REG_INTRDELAY },  { 0x10, 4, REG_DMACAP },     { 0x4c, 1, REG_PREFETCH_LIMIT },
	{ 0x80, 2, REG_CHANCTRL },   { 0x82, 2, REG_DMA_COMP },   { 0x84, 1, REG_CHANCMD },
	{ 0x86, 2, REG_DMACOUNT },   { 0x88, 8, REG_CHANSTS },    { 0x90, 8, REG_CHAINADDR },
	{ 0x98, 8, REG_CHANCMP },    { 0xa0, 8, REG_CDAR },       { 0xa8, 4, REG_CHANERR },
	{ 0xac, 4, REG_CHANERRMSK }, { 0xb0, 4, REG_DCACTRL },
};

#define INTRDELAY_STORED 0x3fffu /* bit 15, coalescing supported, stays 0 */
#define GENCTRL_STORED   0x01u
#define DMA_COMP         0x0006u /* compatible with versions 2 and 3 */

static uint64_t width_mask(unsigned bytes)
{
	return bytes >= 8 ? ~0ull : (1ull << (8 * bytes)) - 1;
}

/* Bits of an access at @off as bits of the register at @reg, and back. */
static uint64_t to_reg(uint64_t bits, uint64_t off, unsigned reg)
{
	return reg >= off ? bits >> (8 * (reg - off)) : bits << (8 * (off - reg));
}

static uint64_t from_reg(uint64_t bits, uint64_t off, unsigned reg)
{
	return reg >= off ? bits << (8 * (reg - off)) : bits >> (8 * (off - reg));
}

static uint64_t read_intrctrl(struct ioat *io, uint64_t mask)
{
	uint8_t val = io->intrctrl;

	if (io->attnstatus) {
		val |= IOAT_INTR_STATUS;
		if (val & IOAT_INTR_MASTER)
			val |= IOAT_INTR_LINE;
	}
	/* Legacy handshake: the handler's load takes the interrupt, its store re-enables. */
	if ((mask & IOAT_INTR_MASTER) && !(val & IOAT_INTR_MSIX)) {
		io->intrctrl &= (uint8_t)~IOAT_INTR_MASTER;
		channel_line(io);
	}
	return val;
}

static uint64_t read_attnstatus(struct ioat *io, uint64_t mask)
{
	uint32_t val = io->attnstatus;

	io->attnstatus &= ~(uint32_t)mask;
	channel_line(io);
	return val;
}

static uint64_t read_chanctrl(struct ioat *io, uint64_t mask)
{
	uint64_t val = io->chanctrl | (io->in_use ? IOAT_CTRL_IN_USE : 0);

	if (mask & IOAT_CTRL_IN_USE)
		io->in_use = true;
	return val;
}

static uint64_t read_chansts(struct ioat *io)
{
	return channel_last(io) | io->state;
}

static uint64_t reg_read(struct ioat *io, enum reg_id id, uint64_t mask)
{
	switch (id) {
	case REG_CHANCNT:
		return 1;
	case REG_XFERCAP:
		return io->xfercap_lg2;
	case REG_GENCTRL:
		return io->genctrl;
	case REG_INTRCTRL:
		return read_intrctrl(io, mask);
	case REG_ATTNSTATUS:
		return read_attnstatus(io, mask);
	case REG_CBVER:
		return io->version;
	case REG_INTRDELAY:
		return io->intrdelay;
	case REG_DMACAP:
		return IOAT_DMACAP;
	case REG_PREFETCH_LIMIT:
		return io->prefetch_limit;
	case REG_CHANCTRL:
		return read_chanctrl(io, mask);
	case REG_DMA_COMP:
		return DMA_COMP;
	case REG_CHANCMD:
		return io->pending & IOAT_CMD_ALL;
	case REG_DMACOUNT:
		return atomic_load(&io->dmacount);
	case REG_CHANSTS:
		return read_chansts(io);
	case REG_CHAINADDR:
		return io->chainaddr;
	case REG_CHANCMP:
		return atomic_load(&io->chancmp);
	case REG_CDAR:
		return atomic_load(&io->cdar);
	case REG_CHANERR:
		return io->chanerr;
	case REG_CHANERRMSK:
		return io->chanerrmsk;
	case REG_DCACTRL:
		return io->dcactrl;
	}
	return 0;
}

static uint64_t merge(uint64_t old, uint64_t val, uint64_t mask)
{
	return (old & ~mask) | (val & mask);
}

static void write_intrctrl(struct ioat *io, uint64_t val, uint64_t mask)
{
	io->intrctrl =
		(uint8_t)merge(io->intrctrl, val, mask & (IOAT_INTR_MASTER | IOAT_INTR_MSIX));
	channel_line(io);
}

static void reg_write(struct ioat *io, enum reg_id id, uint64_t val, uint64_t mask)
{
	switch (id) {
	case REG_GENCTRL:
		io->genctrl = (uint8_t)merge(io->genctrl, val, mask & GENCTRL_STORED);
		break;
	case REG_INTRCTRL:
		write_intrctrl(io, val, mask);
		break;
	case REG_INTRDELAY:
		io->intrdelay = (uint16_t)merge(io->intrdelay, val, mask & INTRDELAY_STORED);
		break;
	case REG_PREFETCH_LIMIT:
		io->prefetch_limit = (uint8_t)merge(io->prefetch_limit, val, mask);
		break;
	case REG_CHANCTRL:
		channel_control(io, (uint16_t)val, (uint16_t)mask);
		break;
	case REG_CHANCMD:
		channel_command(io, (uint8_t)val);
		break;
	case REG_DMACOUNT:
		channel_count(io, (uint16_t)merge(atomic_load(&io->dmacount), val, mask));
		break;
	case REG_CHAINADDR:
		channel_arm(io, merge(io->chainaddr, val, mask));
		break;
	case REG_CHANCMP:
		atomic_store(&io->chancmp, merge(atomic_load(&io->chancmp), val, mask));
		break;
	case REG_CHANERR:
		io->chanerr &= ~(uint32_t)(val & mask & ~(uint64_t)IOAT_ERR_SOFT);
		break;
	case REG_CHANERRMSK:
		io->chanerrmsk = (uint32_t)merge(io->chanerrmsk, val, mask);
		break;
	case REG_DCACTRL:
		io->dcactrl = (uint32_t)merge(io->dcactrl, val, mask);
		break;
	default: /* read-only */
		break;
	}
}

uint64_t ioat_bar_read(void *state, unsigned bar, uint64_t off, unsigned size)
{
	struct ioat *io = state;
	uint64_t val = 0;

	if (bar || off >= IOAT_REGS_END)
		return 0;
	for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++) {
		const struct reg *r = &regs[i];
		uint64_t mask;

		if (r->off >= off + size || off >= (uint64_t)r->off + r->width)
			continue;
		mask = to_reg(width_mask(size), off, r->off) & width_mask(r->width);
		val |= from_reg(reg_read(io, r->id, mask) & mask, off, r->off);
	}
	return val;
}

void ioat_bar_write(void *state, unsigned bar, uint64_t off, unsigned size, uint64_t val)
{
	struct ioat *io = state;

	if (bar || off >= IOAT_REGS_END)
		return;
	val &= width_mask(size);
	for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++) {
		const struct reg *r = &regs[i];

		if (r->off >= off + size || off >= (uint64_t)r->off + r->width)
			continue;
		reg_write(io, r->id, to_reg(val, off, r->off),
			  to_reg(width_mask(size), off, r->off) & width_mask(r->width));
	}
}
