// SPDX-License-Identifier: MIT
/* MMIO emulation: the saved registers of a signal context. Source: Intel SDM vol. 1, 3.4 and 13.4.
 */
#include "front/lib/mmio.h"

#include <string.h>

/* Where the XSAVE image keeps the upper halves of YMM0-15, and its header. */
#define XSAVE_HEADER 512
#define XSAVE_YMM_HI 576
#define XFEATURE_YMM 4u

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
	if (reg >= ZYDIS_REGISTER_XMM0 && reg <= ZYDIS_REGISTER_XMM15)
		return reg - ZYDIS_REGISTER_XMM0;
	if (reg >= ZYDIS_REGISTER_YMM0 && reg <= ZYDIS_REGISTER_YMM15)
		return reg - ZYDIS_REGISTER_YMM0;
	return -1;
}

static unsigned char *xsave(const ucontext_t *uc)
{
	return (unsigned char *)uc->uc_mcontext.fpregs;
}

bool mmio_get_vec(const ucontext_t *uc, ZydisRegister reg, void *buf, unsigned n)
{
	int i = vec_index(reg);
	uint64_t features;

	if (i < 0 || !uc->uc_mcontext.fpregs || n > 32)
		return false;
	memcpy(buf, &uc->uc_mcontext.fpregs->_xmm[i], n < 16 ? n : 16);
	if (n <= 16)
		return true;
	memcpy(&features, xsave(uc) + XSAVE_HEADER, sizeof(features));
	if (features & XFEATURE_YMM)
		memcpy((char *)buf + 16, xsave(uc) + XSAVE_YMM_HI + 16 * i, n - 16);
	else
		memset((char *)buf + 16, 0, n - 16);
	return true;
}

bool mmio_set_vec(ucontext_t *uc, ZydisRegister reg, const void *buf, unsigned n, bool vex)
{
	unsigned char full[32] = { 0 };
	int i = vec_index(reg);
	uint64_t features;

	if (i < 0 || !uc->uc_mcontext.fpregs || n > 32)
		return false;
	memcpy(full, buf, n);
	memcpy(&uc->uc_mcontext.fpregs->_xmm[i], full, 16);
	if (!vex)
		return true;
	memcpy(&features, xsave(uc) + XSAVE_HEADER, sizeof(features));
	if (!(features & XFEATURE_YMM)) {
		if (n <= 16)
			return true; /* the upper halves are zero already */
		memset(xsave(uc) + XSAVE_YMM_HI, 0, 256);
		features |= XFEATURE_YMM;
		memcpy(xsave(uc) + XSAVE_HEADER, &features, sizeof(features));
	}
	memcpy(xsave(uc) + XSAVE_YMM_HI + 16 * i, full + 16, 16);
	return true;
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
