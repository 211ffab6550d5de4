// SPDX-License-Identifier: MIT
/* MMIO emulation: the saved registers of a signal context. Source: Intel SDM vol. 1, 3.4 and 13.4.
 */
#include "front/lib/mmio.h"

#include <cpuid.h>
#include <stdatomic.h>
#include <string.h>

/*
 * The signal frame holds an XSAVE image in standard format. The 512 legacy bytes have XMM0-15 and
 * in their last 48 what the kernel says about the rest; then comes the header.
 */
#define XSAVE_HEADER   512
#define XSAVE_SOFTWARE 464
#define XSAVE_MAGIC    0x46505853u /* FP_XSTATE_MAGIC1 of <asm/sigcontext.h> */

enum xsave_part {
	PART_YMM_HIGH = 2, /* bytes 16-31 of registers 0-15, 16 each */
	PART_ZMM_HIGH = 6, /* bytes 32-63 of registers 0-15, 32 each */
	PART_ZMM_MORE = 7, /* registers 16-31, 64 each */
};

static greg_t *gpr(const ucontext_t *uc, ZydisRegister reg)
{
	static const int slot[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
				      REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
				      REG_R12, REG_R13, REG_R14, REG_R15 };
	ZydisRegister full = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);

	if (full < ZYDIS_REGISTER_RAX || full > ZYDIS_REGISTER_R15)
		return NULL;
	return (greg_t *)&uc->uc_mcontext.gregs[slot[full - ZYDIS_REGISTER_RAX]];
}

static bool is_high_byte(ZydisRegister reg)
{
	return reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH;
}

uint64_t mmio_get_reg(const ucontext_t *uc, ZydisRegister reg)
{
	greg_t *r;

	if (reg == ZYDIS_REGISTER_RIP)
		return (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
	r = gpr(uc, reg);
	if (!r)
		return 0;
	if (is_high_byte(reg))
		return (uint64_t)*r >> 8 & 0xff;
	switch (ZydisRegisterGetWidth(ZYDIS_MACHINE_MODE_LONG_64, reg)) {
	case 8:
		return (uint8_t)*r;
	case 16:
		return (uint16_t)*r;
	case 32:
		return (uint32_t)*r;
	default:
		return (uint64_t)*r;
	}
}

void mmio_set_reg(ucontext_t *uc, ZydisRegister reg, uint64_t val)
{
	greg_t *r = gpr(uc, reg);
	uint64_t old;

	if (!r)
		return;
	old = (uint64_t)*r;
	if (is_high_byte(reg)) {
		*r = (greg_t)((old & ~0xff00ull) | (val & 0xff) << 8);
		return;
	}
	switch (ZydisRegisterGetWidth(ZYDIS_MACHINE_MODE_LONG_64, reg)) {
	case 8:
		*r = (greg_t)((old & ~0xffull) | (val & 0xff));
		break;
	case 16:
		*r = (greg_t)((old & ~0xffffull) | (val & 0xffff));
		break;
	case 32:
		*r = (greg_t)(val & 0xffffffff);
		break;
	default:
		*r = (greg_t)val;
	}
}

/* Index of a vector register, or -1. */
static int vec_index(ZydisRegister reg)
{
	if (reg >= ZYDIS_REGISTER_XMM0 && reg <= ZYDIS_REGISTER_XMM31)
		return reg - ZYDIS_REGISTER_XMM0;
	if (reg >= ZYDIS_REGISTER_YMM0 && reg <= ZYDIS_REGISTER_YMM31)
		return reg - ZYDIS_REGISTER_YMM0;
	if (reg >= ZYDIS_REGISTER_ZMM0 && reg <= ZYDIS_REGISTER_ZMM31)
		return reg - ZYDIS_REGISTER_ZMM0;
	return -1;
}

static unsigned char *xsave(const ucontext_t *uc)
{
	return (unsigned char *)uc->uc_mcontext.fpregs;
}

/* Which parts the image has room for. */
static uint64_t parts_saved(const ucontext_t *uc)
{
	uint32_t magic;
	uint64_t parts;

	memcpy(&magic, xsave(uc) + XSAVE_SOFTWARE, sizeof(magic));
	memcpy(&parts, xsave(uc) + XSAVE_SOFTWARE + 8, sizeof(parts));
	return magic == XSAVE_MAGIC ? parts : 0;
}

/* Place and size of a part, from the processor; kept, because under a hypervisor asking is slow. */
static uint32_t part_place(enum xsave_part part, uint32_t *size)
{
	static _Atomic uint64_t known[8]; /* size << 32 | place */
	uint64_t v = atomic_load_explicit(&known[part], memory_order_relaxed);
	uint32_t a = 0, b = 0, c = 0, d = 0;

	if (!v) {
		__cpuid_count(0xd, (unsigned)part, a, b, c, d);
		v = (uint64_t)a << 32 | b;
		atomic_store_explicit(&known[part], v, memory_order_relaxed);
	}
	*size = (uint32_t)(v >> 32);
	return (uint32_t)v;
}

/*
 * A part of the image. One that the header leaves out stands for zeros: NULL, or (@make) filled
 * with them and entered.
 */
static unsigned char *part_of(const ucontext_t *uc, enum xsave_part part, bool make)
{
	uint32_t size, place;
	uint64_t present;

	if (!(parts_saved(uc) >> part & 1))
		return NULL;
	place = part_place(part, &size);
	memcpy(&present, xsave(uc) + XSAVE_HEADER, sizeof(present));
	if (!(present >> part & 1)) {
		if (!make)
			return NULL;
		memset(xsave(uc) + place, 0, size);
		present |= 1ull << part;
		memcpy(xsave(uc) + XSAVE_HEADER, &present, sizeof(present));
	}
	return xsave(uc) + place;
}

bool mmio_has_vec(const ucontext_t *uc, ZydisRegister reg)
{
	int i = vec_index(reg);

	return i >= 0 && uc->uc_mcontext.fpregs &&
	       (i < 16 || (parts_saved(uc) >> PART_ZMM_MORE & 1));
}

static void read_part(const ucontext_t *uc, enum xsave_part part, int i, unsigned each, void *to)
{
	const unsigned char *p = part_of(uc, part, false);

	if (p)
		memcpy(to, p + (unsigned)i * each, each);
}

/* Zeros that are not there need no place. */
static void write_part(ucontext_t *uc, enum xsave_part part, int i, unsigned each, const void *from)
{
	static const unsigned char zeros[64];
	unsigned char *p = part_of(uc, part, memcmp(from, zeros, each) != 0);

	if (p)
		memcpy(p + (unsigned)i * each, from, each);
}

bool mmio_get_vec(const ucontext_t *uc, ZydisRegister reg, void *buf, unsigned n)
{
	unsigned char full[64] = { 0 };
	int i = vec_index(reg);

	if (!mmio_has_vec(uc, reg) || n > sizeof(full))
		return false;
	if (i < 16) {
		memcpy(full, &uc->uc_mcontext.fpregs->_xmm[i], 16);
		read_part(uc, PART_YMM_HIGH, i, 16, full + 16);
		read_part(uc, PART_ZMM_HIGH, i, 32, full + 32);
	} else {
		read_part(uc, PART_ZMM_MORE, i - 16, 64, full);
	}
	memcpy(buf, full, n);
	return true;
}

void mmio_set_vec(ucontext_t *uc, ZydisRegister reg, const void *buf, unsigned n, bool wide)
{
	unsigned char full[64] = { 0 };
	int i = vec_index(reg);

	if (!mmio_has_vec(uc, reg) || n > sizeof(full))
		return;
	memcpy(full, buf, n);
	if (i >= 16) {
		write_part(uc, PART_ZMM_MORE, i - 16, 64, full);
		return;
	}
	memcpy(&uc->uc_mcontext.fpregs->_xmm[i], full, 16);
	if (wide) {
		write_part(uc, PART_YMM_HIGH, i, 16, full + 16);
		write_part(uc, PART_ZMM_HIGH, i, 32, full + 32);
	}
}

#define FLAG_CF 0x001ull
#define FLAG_PF 0x004ull
#define FLAG_AF 0x010ull
#define FLAG_ZF 0x040ull
#define FLAG_SF 0x080ull
#define FLAG_OF 0x800ull

uint64_t mmio_alu(ucontext_t *uc, enum mmio_alu op, uint64_t a, uint64_t b, unsigned size)
{
	greg_t *fl = &uc->uc_mcontext.gregs[REG_EFL];
	uint64_t mask = size == 8 ? UINT64_MAX : (1ull << size * 8) - 1,
		 sign = 1ull << (size * 8 - 1);
	uint64_t carry = (uint64_t)*fl & FLAG_CF, r, out = 0;

	a &= mask;
	b &= mask;
	switch (op) {
	case ALU_ADC:
	case ALU_ADD:
		carry = op == ALU_ADC ? carry : 0;
		r = (a + b + carry) & mask;
		out |= (r < a || (carry && r == a)) ? FLAG_CF : 0;
		out |= (a ^ r) & (b ^ r) & sign ? FLAG_OF : 0;
		out |= (a ^ b ^ r) & FLAG_AF;
		break;
	case ALU_SBB:
	case ALU_SUB:
		carry = op == ALU_SBB ? carry : 0;
		r = (a - b - carry) & mask;
		out |= (a < b || (carry && a == b)) ? FLAG_CF : 0;
		out |= (a ^ b) & (a ^ r) & sign ? FLAG_OF : 0;
		out |= (a ^ b ^ r) & FLAG_AF;
		break;
	case ALU_AND:
		r = a & b;
		break;
	case ALU_OR:
		r = a | b;
		break;
	default:
		r = a ^ b;
	}
	out |= r ? 0 : FLAG_ZF;
	out |= r & sign ? FLAG_SF : 0;
	out |= __builtin_parity((unsigned)(r & 0xff)) ? 0 : FLAG_PF;
	*fl = (greg_t)(((uint64_t)*fl &
			~(FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)) |
		       out);
	return r;
}
