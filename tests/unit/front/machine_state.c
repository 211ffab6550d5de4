// SPDX-License-Identifier: MIT
/* One instruction, with every register under control. */
#include "machine_state.h"

#include <stddef.h>

_Static_assert(offsetof(struct machine_state, flags) == 128, "the code below says 128");
_Static_assert(offsetof(struct machine_state, vec) == 136, "the code below says 136");

/* What the code below keeps while no register is its own. */
static struct {
	uint64_t sp, state, code, rax;
} keep __asm__("state_keep") __attribute__((used));
/* 0: SSE, 1: AVX, 2: AVX-512. */
static int level __asm__("state_level") __attribute__((used));

void state_enter(const void *code, struct machine_state *s);
extern const char state_back[];
void *const state_return = (void *)(uintptr_t)state_back;

bool state_has_avx(void)
{
	return __builtin_cpu_supports("avx2");
}

bool state_has_avx512(void)
{
	return __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
}

void state_run(const void *code, struct machine_state *s)
{
	level = state_has_avx512() ? 2 : state_has_avx() ? 1 : 0;
	state_enter(code, s);
}

/* clang-format off */
__asm__(
".text\n"
".macro each_vec16 insn, prefix, store\n"
".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
".if \\store\n"
"	\\insn %\\prefix\\n, 136+64*\\n(%rax)\n"
".else\n"
"	\\insn 136+64*\\n(%rax), %\\prefix\\n\n"
".endif\n"
".endr\n"
".endm\n"
".macro each_vec32 store\n"
".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
".if \\store\n"
"	vmovdqu64 %zmm\\n, 136+64*\\n(%rax)\n"
".else\n"
"	vmovdqu64 136+64*\\n(%rax), %zmm\\n\n"
".endif\n"
".endr\n"
".endm\n"
".macro vectors store\n"
"	cmpl $1, state_level(%rip)\n"
"	jb 1f\n"
"	je 2f\n"
"	each_vec32 \\store\n"
"	jmp 3f\n"
"1:	each_vec16 movdqu, xmm, \\store\n"
"	jmp 3f\n"
"2:	each_vec16 vmovdqu, ymm, \\store\n"
"3:\n"
".endm\n"
".globl state_enter\n"
".type state_enter, @function\n"
"state_enter:\n"
"	push %rbx\n	push %rbp\n	push %r12\n	push %r13\n	push %r14\n	push %r15\n"
"	mov %rsp, state_keep(%rip)\n"
"	mov %rsi, state_keep+8(%rip)\n"
"	mov %rdi, state_keep+16(%rip)\n"
"	mov %rsi, %rax\n"
"	vectors 0\n"
"	mov 8(%rax), %rcx\n	mov 16(%rax), %rdx\n	mov 24(%rax), %rbx\n"
"	mov 40(%rax), %rbp\n	mov 48(%rax), %rsi\n	mov 56(%rax), %rdi\n"
"	mov 64(%rax), %r8\n	mov 72(%rax), %r9\n	mov 80(%rax), %r10\n	mov 88(%rax), %r11\n"
"	mov 96(%rax), %r12\n	mov 104(%rax), %r13\n	mov 112(%rax), %r14\n	mov 120(%rax), %r15\n"
"	pushq 128(%rax)\n"
"	mov (%rax), %rax\n"
"	popfq\n"
"	jmp *state_keep+16(%rip)\n"
".globl state_back\n"
"state_back:\n"
"	mov %rax, state_keep+24(%rip)\n"
"	mov state_keep+8(%rip), %rax\n"
"	mov %rcx, 8(%rax)\n	mov %rdx, 16(%rax)\n	mov %rbx, 24(%rax)\n"
"	mov %rbp, 40(%rax)\n	mov %rsi, 48(%rax)\n	mov %rdi, 56(%rax)\n"
"	mov %r8, 64(%rax)\n	mov %r9, 72(%rax)\n	mov %r10, 80(%rax)\n	mov %r11, 88(%rax)\n"
"	mov %r12, 96(%rax)\n	mov %r13, 104(%rax)\n	mov %r14, 112(%rax)\n	mov %r15, 120(%rax)\n"
"	pushfq\n"
"	popq 128(%rax)\n"
"	cld\n"
"	mov state_keep+24(%rip), %rcx\n"
"	mov %rcx, (%rax)\n"
"	vectors 1\n"
"	mov state_keep(%rip), %rsp\n"
"	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n	pop %rbp\n	pop %rbx\n"
"	ret\n"
".size state_enter, . - state_enter\n");
/* clang-format on */
