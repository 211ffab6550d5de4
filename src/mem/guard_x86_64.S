/* SPDX-License-Identifier: MIT */
/*
 * Guarded accesses: the instructions that may fault.
 *
 * Every routine is a leaf that pushes nothing and keeps no state outside caller-saved registers,
 * so the signal handler can leave it from any instruction: it sets RIP to one of the two fix-ups
 * at the end, which return to the caller (guard.c has the table). Small sizes use overlapping
 * loads and then overlapping stores, so a copy of 1, 2, 4 or 8 bytes is one access. From 512
 * bytes on, "rep movsb" is as fast as wide loops on every processor with ERMS.
 */
#if defined(__x86_64__)

	.section .text.uiommufd_guard, "ax", @progbits

	.macro FUNC name
	.balign 16
	.globl \name
	.hidden \name
	.type \name, @function
\name:
	.cfi_startproc
	.endm

	.macro END name
	.cfi_endproc
	.size \name, . - \name
	.endm

	.macro LABEL name
	.globl \name
	.hidden \name
\name:
	.endm

LABEL guard_asm_start

/* int guard_asm_copy(void *dst, const void *src, size_t n) */
FUNC guard_asm_copy
	cmpq $8, %rdx
	jb .Lcopy_0_7
	cmpq $16, %rdx
	jbe .Lcopy_8_16
	cmpq $32, %rdx
	jbe .Lcopy_17_32
	cmpq $64, %rdx
	jbe .Lcopy_33_64
	cmpq $512, %rdx
	jae .Lcopy_rep
	/* 65..511: 64 bytes at a time, then the last 64, which may overlap what is done. */
	movdqu -64(%rsi,%rdx), %xmm4
	movdqu -48(%rsi,%rdx), %xmm5
	movdqu -32(%rsi,%rdx), %xmm6
	movdqu -16(%rsi,%rdx), %xmm7
	leaq -64(%rdi,%rdx), %rcx
1:
	movdqu (%rsi), %xmm0
	movdqu 16(%rsi), %xmm1
	movdqu 32(%rsi), %xmm2
	movdqu 48(%rsi), %xmm3
	movdqu %xmm0, (%rdi)
	movdqu %xmm1, 16(%rdi)
	movdqu %xmm2, 32(%rdi)
	movdqu %xmm3, 48(%rdi)
	addq $64, %rsi
	addq $64, %rdi
	cmpq %rcx, %rdi
	jb 1b
	movdqu %xmm4, (%rcx)
	movdqu %xmm5, 16(%rcx)
	movdqu %xmm6, 32(%rcx)
	movdqu %xmm7, 48(%rcx)
	xorl %eax, %eax
	ret
.Lcopy_rep:
	movq %rdx, %rcx
	rep movsb
	xorl %eax, %eax
	ret
.Lcopy_33_64:
	movdqu (%rsi), %xmm0
	movdqu 16(%rsi), %xmm1
	movdqu -32(%rsi,%rdx), %xmm2
	movdqu -16(%rsi,%rdx), %xmm3
	movdqu %xmm0, (%rdi)
	movdqu %xmm1, 16(%rdi)
	movdqu %xmm2, -32(%rdi,%rdx)
	movdqu %xmm3, -16(%rdi,%rdx)
	xorl %eax, %eax
	ret
.Lcopy_17_32:
	movdqu (%rsi), %xmm0
	movdqu -16(%rsi,%rdx), %xmm1
	movdqu %xmm0, (%rdi)
	movdqu %xmm1, -16(%rdi,%rdx)
	xorl %eax, %eax
	ret
.Lcopy_8_16:
	movq (%rsi), %rax
	movq -8(%rsi,%rdx), %rcx
	movq %rax, (%rdi)
	cmpq $8, %rdx
	je 2f
	movq %rcx, -8(%rdi,%rdx)
2:
	xorl %eax, %eax
	ret
.Lcopy_0_7:
	cmpl $4, %edx
	jae .Lcopy_4_7
	cmpl $2, %edx
	jae .Lcopy_2_3
	testl %edx, %edx
	jz 3f
	movzbl (%rsi), %eax
	movb %al, (%rdi)
3:
	xorl %eax, %eax
	ret
.Lcopy_2_3:
	movzwl (%rsi), %eax
	movzbl -1(%rsi,%rdx), %ecx
	movw %ax, (%rdi)
	cmpl $2, %edx
	je 3b
	movb %cl, 2(%rdi)
	xorl %eax, %eax
	ret
.Lcopy_4_7:
	movl (%rsi), %eax
	movl -4(%rsi,%rdx), %ecx
	movl %eax, (%rdi)
	cmpl $4, %edx
	je 3b
	movl %ecx, -4(%rdi,%rdx)
	xorl %eax, %eax
	ret
END guard_asm_copy

/* int guard_asm_fill(void *dst, uint64_t pattern, size_t n) */
FUNC guard_asm_fill
	movq %rsi, %xmm0
	punpcklqdq %xmm0, %xmm0
1:
	cmpq $16, %rdx
	jb 2f
	movdqu %xmm0, (%rdi)
	addq $16, %rdi
	subq $16, %rdx
	jmp 1b
2:
	cmpq $8, %rdx
	jb 3f
	movq %rsi, (%rdi)
	addq $8, %rdi
	subq $8, %rdx
3:
	testq %rdx, %rdx
	jz 4f
	movb %sil, (%rdi)
	shrq $8, %rsi
	incq %rdi
	decq %rdx
	jmp 3b
4:
	xorl %eax, %eax
	ret
END guard_asm_fill

/* int guard_asm_store(void *dst, uint64_t val, unsigned size) */
FUNC guard_asm_store
	xorl %eax, %eax
	cmpl $4, %edx
	je 1f
	ja 2f
	cmpl $1, %edx
	je 3f
	movw %si, (%rdi)
	ret
1:
	movl %esi, (%rdi)
	ret
2:
	movq %rsi, (%rdi)
	ret
3:
	movb %sil, (%rdi)
	ret
END guard_asm_store

/* int guard_asm_load(const void *src, uint64_t *val, unsigned size); *val is ours */
FUNC guard_asm_load
	cmpl $4, %edx
	je 1f
	ja 2f
	cmpl $1, %edx
	je 3f
	movzwl (%rdi), %ecx
	jmp 4f
1:
	movl (%rdi), %ecx
	jmp 4f
2:
	movq (%rdi), %rcx
	jmp 4f
3:
	movzbl (%rdi), %ecx
4:
	movq %rcx, (%rsi)
	xorl %eax, %eax
	ret
END guard_asm_load

/* int guard_asm_cmpxchg64(void *dst, uint64_t *old, uint64_t val); *old is ours */
FUNC guard_asm_cmpxchg64
	movq (%rsi), %rax
	lock cmpxchgq %rdx, (%rdi)
	movq %rax, (%rsi)
	xorl %eax, %eax
	ret
END guard_asm_cmpxchg64

LABEL guard_asm_end

/* These two answer how many pages were left: 0, or counted from the one that faulted. */
LABEL guard_touch_start

/* size_t guard_asm_touch_read(const void *va, size_t npages); npages > 0 */
FUNC guard_asm_touch_read
1:
	movzbl (%rdi), %eax
	addq $4096, %rdi
	decq %rsi
	jnz 1b
	movq %rsi, %rax
	ret
END guard_asm_touch_read

/* The same for writing: a locked OR of 0 is a write that changes nothing, whoever else writes. */
FUNC guard_asm_touch_write
1:
	lock orb $0, (%rdi)
	addq $4096, %rdi
	decq %rsi
	jnz 1b
	movq %rsi, %rax
	ret
END guard_asm_touch_write

LABEL guard_touch_end

FUNC guard_fix_efault
	movl $-14, %eax
	ret
END guard_fix_efault

FUNC guard_fix_touch
	movq %rsi, %rax
	ret
END guard_fix_touch

/*
 * The kernel returns from our handler through this. Unwinders know it by these exact bytes.
 */
	.balign 16
	nop
LABEL guard_sigreturn
	movq $15, %rax
	syscall

#endif
	.section .note.GNU-stack, "", @progbits
