// SPDX-License-Identifier: MIT
/*
 * MMIO emulation: arithmetic of which the flags are best asked of the processor. The operand has
 * been loaded, so the same instruction runs on registers, with the program's flags before and
 * after. (What compilers other than gcc make of volatile accesses: shl $3, (%rdi).)
 */
#include "front/lib/mmio.h"

#define STATUS_FLAGS 0x8d5ull /* OF SF ZF AF PF CF */
#define QUIET_FLAGS  0x202ull /* what a program has besides: IF and the bit that is always set */

/* Below the red zone, where a signal frame or a leaf function may keep things. */
#define RUN(text, val, with, fl)                                                 \
	__asm__ volatile("lea -128(%%rsp), %%rsp\n\tpush %[f]\n\tpopfq\n\t" text \
			 "\n\tpushfq\n\tpop %[f]\n\tlea 128(%%rsp), %%rsp"       \
			 : [f] "+r"(fl), [a] "+r"(val)                           \
			 : "c"(with)                                             \
			 : "cc", "memory")

static uint64_t flags_before(const ucontext_t *uc)
{
	return ((uint64_t)uc->uc_mcontext.gregs[REG_EFL] & STATUS_FLAGS) | QUIET_FLAGS;
}

static void flags_after(ucontext_t *uc, uint64_t fl)
{
	greg_t *to = &uc->uc_mcontext.gregs[REG_EFL];

	*to = (greg_t)(((uint64_t)*to & ~STATUS_FLAGS) | (fl & STATUS_FLAGS));
}

#define RUN_SHIFT(name)                                         \
	do {                                                    \
		if (size == 1)                                  \
			RUN(name " %%cl, %b[a]", v, count, fl); \
		else if (size == 2)                             \
			RUN(name " %%cl, %w[a]", v, count, fl); \
		else if (size == 4)                             \
			RUN(name " %%cl, %k[a]", v, count, fl); \
		else                                            \
			RUN(name " %%cl, %q[a]", v, count, fl); \
	} while (0)

uint64_t mmio_shift(ucontext_t *uc, ZydisMnemonic what, uint64_t v, uint64_t count, unsigned size)
{
	uint64_t fl = flags_before(uc);

	if (what == ZYDIS_MNEMONIC_SHL)
		RUN_SHIFT("shl");
	else if (what == ZYDIS_MNEMONIC_SHR)
		RUN_SHIFT("shr");
	else
		RUN_SHIFT("sar");
	flags_after(uc, fl);
	return v;
}

#define RUN_PAIR(name)                                         \
	do {                                                   \
		if (size == 2)                                 \
			RUN(name " %%cx, %w[a]", v, src, fl);  \
		else if (size == 4)                            \
			RUN(name " %%ecx, %k[a]", v, src, fl); \
		else                                           \
			RUN(name " %%rcx, %q[a]", v, src, fl); \
	} while (0)

uint64_t mmio_pair(ucontext_t *uc, ZydisMnemonic what, uint64_t v, uint64_t src, unsigned size)
{
	uint64_t fl = flags_before(uc);

	switch (what) {
	case ZYDIS_MNEMONIC_IMUL:
		RUN_PAIR("imul");
		break;
	case ZYDIS_MNEMONIC_BSF:
		RUN_PAIR("bsf");
		break;
	case ZYDIS_MNEMONIC_BSR:
		RUN_PAIR("bsr");
		break;
	case ZYDIS_MNEMONIC_TZCNT:
		RUN_PAIR("tzcnt");
		break;
	case ZYDIS_MNEMONIC_LZCNT:
		RUN_PAIR("lzcnt");
		break;
	default:
		RUN_PAIR("popcnt");
	}
	flags_after(uc, fl);
	return v;
}

/* The four low bits of the opcodes of Jcc, SETcc and CMOVcc. */
bool mmio_condition(const ucontext_t *uc, unsigned code)
{
	uint64_t fl = (uint64_t)uc->uc_mcontext.gregs[REG_EFL];
	bool cf = fl & 0x1, pf = fl & 0x4, zf = fl & 0x40, sf = fl & 0x80, of = fl & 0x800;
	bool is;

	switch (code >> 1 & 7) {
	case 0:
		is = of;
		break;
	case 1:
		is = cf;
		break;
	case 2:
		is = zf;
		break;
	case 3:
		is = cf || zf;
		break;
	case 4:
		is = sf;
		break;
	case 5:
		is = pf;
		break;
	case 6:
		is = sf != of;
		break;
	default:
		is = zf || sf != of;
	}
	return is != (code & 1);
}
