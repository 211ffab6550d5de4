/* SPDX-License-Identifier: MIT */
/* Runs one instruction with every register set beforehand and recorded afterwards. */
#ifndef TESTS_FRONT_MACHINE_STATE_H
#define TESTS_FRONT_MACHINE_STATE_H

#include <stdbool.h>
#include <stdint.h>

/* In the order in which instructions number them. */
enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

struct machine_state {
	uint64_t gpr[16];    /* RSP is not set and not recorded */
	uint64_t flags;      /* CF PF AF ZF SF DF OF */
	uint8_t vec[32][64]; /* as much as the processor has */
};

#define STATE_FLAGS 0xcd5ul

/* @code ends with a jump to *state_return. */
void state_run(const void *code, struct machine_state *s);
extern void *const state_return;
bool state_has_avx(void), state_has_avx512(void);

#endif
