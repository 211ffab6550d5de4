/* SPDX-License-Identifier: MIT */
/* Parts of the MMIO emulation: the saved registers of a signal, as an instruction names them. */
#ifndef FRONT_MMIO_H
#define FRONT_MMIO_H

#include <Zydis/Zydis.h>
#include <ucontext.h>

#include "base/compiler.h"

/* A general register of any width; 0 for one that the context does not hold. */
uint64_t mmio_get_reg(const ucontext_t *uc, ZydisRegister reg);
/* Writes as the processor does: 32 bits clear the upper half, 8 and 16 leave the rest. */
void mmio_set_reg(ucontext_t *uc, ZydisRegister reg, uint64_t val);
/* The context holds this vector register. */
bool mmio_has_vec(const ucontext_t *uc, ZydisRegister reg);
/* A vector register's low @n bytes (4 to 64). False: the context does not hold it. */
bool mmio_get_vec(const ucontext_t *uc, ZydisRegister reg, void *buf, unsigned n);
/* @wide: zeroes the register above @n bytes, as VEX and EVEX instructions do. */
void mmio_set_vec(ucontext_t *uc, ZydisRegister reg, const void *buf, unsigned n, bool wide);

enum mmio_alu { ALU_ADD, ALU_ADC, ALU_SUB, ALU_SBB, ALU_AND, ALU_OR, ALU_XOR };

/* @a op @b in @size bytes; sets the context's flags as the instruction does. */
uint64_t mmio_alu(ucontext_t *uc, enum mmio_alu op, uint64_t a, uint64_t b, unsigned size);

/* mmio_math.c: shl, shr or sar; imul, bsf, bsr, tzcnt, lzcnt or popcnt of @src into @v. */
uint64_t mmio_shift(ucontext_t *uc, ZydisMnemonic what, uint64_t v, uint64_t count, unsigned size);
uint64_t mmio_pair(ucontext_t *uc, ZydisMnemonic what, uint64_t v, uint64_t src, unsigned size);
/* Condition @code (the low four bits of Jcc's opcode) holds. */
bool mmio_condition(const ucontext_t *uc, unsigned code);

#endif
