// SPDX-License-Identifier: MIT
/*
 * MMIO emulation against the processor: each instruction is run on ordinary memory and on a
 * trapped mapping at the same address, from the same registers; both must end the same.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/sys.h"
#include "base/why.h"
#include "front/lib/edge.h"
#include "machine_state.h"
#include "mem/guard.h"
#include "mem/sigchain.h"

#define BAR_LEN  8192u
#define BAR_OFF  ((1ull << 40) + 4096) /* some offset inside a region */
#define MAX_SEEN 256

/* Below 4 GiB: code page, then the mapping; what follows is not mapped. */
static struct {
	uint8_t *code, *bar;
	uint8_t model[BAR_LEN];
	int prot;
	bool decode_off;
	int rc; /* of the last emulation */
	unsigned n_seen;
	struct seen {
		uint64_t off;
		unsigned size;
		bool write;
	} seen[MAX_SEEN];
} t;

/* Stands for the device. */
bool vfio_pci_mmio(struct vfio_pci *dev, uint64_t off, unsigned size, bool write, uint64_t *val)
{
	assert_ptr_equal(dev, (void *)&t);
	assert_true(off >= BAR_OFF && off - BAR_OFF + size <= BAR_LEN);
	assert_true(size == 1 || size == 2 || size == 4 || size == 8);
	assert_int_equal(off % size, 0);
	if (t.decode_off)
		return false;
	if (t.n_seen < MAX_SEEN)
		t.seen[t.n_seen++] = (struct seen){ off - BAR_OFF, size, write };
	if (write) {
		assert_true(size == 8 || *val >> size * 8 == 0);
		memcpy(t.model + (off - BAR_OFF), val, size);
	} else {
		*val = 0;
		memcpy(val, t.model + (off - BAR_OFF), size);
	}
	return true;
}

static bool on_fault(siginfo_t *si, ucontext_t *uc)
{
	uintptr_t addr = (uintptr_t)si->si_addr;

	if (addr - (uintptr_t)t.bar > BAR_LEN + 64)
		return false;
	t.rc = mmio_emulate(uc, (void *)&t, (uintptr_t)t.bar, BAR_LEN, BAR_OFF, addr, t.prot);
	if (t.rc) /* registers must be as they were: go on behind the instruction */
		uc->uc_mcontext.gregs[REG_RIP] = (greg_t)state_return;
	return true;
}

static void trap(bool on)
{
	assert_int_equal(mprotect(t.bar, BAR_LEN, on ? PROT_NONE : PROT_READ | PROT_WRITE), 0);
}

static int set_up(void **state)
{
	(void)state;
	if (guard_init() || sigchain_add_region_handler(on_fault))
		return 1;
	t.code = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (t.code == MAP_FAILED)
		return 1;
	t.bar = t.code + 8192;
	return mprotect(t.code, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
}

/* cmocka takes the signals for itself for each test; an action of ours takes them back. */
static void take_signals(void **state)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };

	(void)state;
	assert_int_equal(sigchain_action(SIGSEGV, &dfl, NULL), 0);
	assert_int_equal(sigchain_action(SIGBUS, &dfl, NULL), 0);
}

static uint64_t rng_state = 0x9e3779b97f4a7c15;

static uint64_t rnd(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state * 0x2545f4914f6cdd1dull;
}

static uint64_t interesting(void)
{
	static const uint64_t edge[] = { 0,          1,         0x7f,       0x80,       0xff,
					 0x7fff,     0x8000,    0xffff,     0x7fffffff, 0x80000000,
					 0xffffffff, INT64_MAX, 1ull << 63, UINT64_MAX };

	return rnd() & 1 ? rnd() : edge[rnd() % ARRAY_LEN(edge)];
}

/* What an instruction needs, and from where its operand is addressed. */
enum {
	NEEDS_AVX = 1,
	NEEDS_AVX512 = 2,
	STRING = 4,   /* rsi, rdi and rcx are set up for a string operation */
	ALIGNED16 = 8 /* the operand lies on a multiple of 64 */
};

#define LIST                                                               \
	X(mov_load8, "movb (%rdi), %al", 0)                                \
	X(mov_load16, "movw (%rdi), %cx", 0)                               \
	X(mov_load32, "movl (%rdi), %edx", 0)                              \
	X(mov_load64, "movq (%rdi), %rbx", 0)                              \
	X(mov_load8_high, "movb (%rdi), %ah", 0)                           \
	X(mov_load8_high_b, "movb (%rdi), %bh", 0)                         \
	X(mov_load8_rex, "movb (%rdi), %sil", 0)                           \
	X(mov_load8_r15, "movb (%rdi), %r15b", 0)                          \
	X(mov_load32_r9, "movl (%rdi), %r9d", 0)                           \
	X(mov_load64_over_base, "movq (%rdi), %rdi", 0)                    \
	X(mov_store8, "movb %al, (%rdi)", 0)                               \
	X(mov_store8_high, "movb %ch, (%rdi)", 0)                          \
	X(mov_store8_dil, "movb %dil, (%rdi)", 0)                          \
	X(mov_store16, "movw %r10w, (%rdi)", 0)                            \
	X(mov_store32, "movl %r12d, (%rdi)", 0)                            \
	X(mov_store64, "movq %rbp, (%rdi)", 0)                             \
	X(mov_imm8, "movb $0x81, (%rdi)", 0)                               \
	X(mov_imm16, "movw $0x8123, (%rdi)", 0)                            \
	X(mov_imm32, "movl $0x81234567, (%rdi)", 0)                        \
	X(mov_imm64, "movq $-0x12345678, (%rdi)", 0)                       \
	X(movabs_like, "movl $7, 0x10(%rdi)", 0)                           \
	X(movnti32, "movnti %eax, (%rdi)", 0)                              \
	X(movnti64, "movnti %rax, (%rdi)", 0)                              \
	X(movzx8_16, "movzbw (%rdi), %ax", 0)                              \
	X(movzx8_32, "movzbl (%rdi), %eax", 0)                             \
	X(movzx8_64, "movzbq (%rdi), %r8", 0)                              \
	X(movzx16_32, "movzwl (%rdi), %eax", 0)                            \
	X(movzx16_64, "movzwq (%rdi), %rax", 0)                            \
	X(movsx8_16, "movsbw (%rdi), %ax", 0)                              \
	X(movsx8_32, "movsbl (%rdi), %eax", 0)                             \
	X(movsx8_64, "movsbq (%rdi), %rax", 0)                             \
	X(movsx16_32, "movswl (%rdi), %eax", 0)                            \
	X(movsx16_64, "movswq (%rdi), %rax", 0)                            \
	X(movsxd, "movslq (%rdi), %rax", 0)                                \
	X(disp8, "movl 0x7c(%rdi), %eax", 0)                               \
	X(disp_negative, "movl -0x40(%rdi), %eax", 0)                      \
	X(disp32, "movl %eax, 0x300(%rdi)", 0)                             \
	X(index, "movl 4(%rdi,%r13,8), %eax", 0)                           \
	X(index_store, "movw %ax, (%rdi,%r13,2)", 0)                       \
	X(index_only, "movl -64(,%rdi,1), %eax", 0)                        \
	X(addr32, "movl 8(%edi), %eax", 0)                                 \
	X(addr32_index, "movl %eax, 8(%edi,%r13d,4)", 0)                   \
	X(test8_imm, "testb $0x80, (%rdi)", 0)                             \
	X(test16, "testw %ax, (%rdi)", 0)                                  \
	X(test32_imm, "testl $0x80000001, (%rdi)", 0)                      \
	X(test64, "testq %rax, (%rdi)", 0)                                 \
	X(test64_imm, "testq $-2, (%rdi)", 0)                              \
	X(cmp8_mem, "cmpb (%rdi), %ah", 0)                                 \
	X(cmp8_imm, "cmpb $0x7f, (%rdi)", 0)                               \
	X(cmp16_imm, "cmpw $0x8000, (%rdi)", 0)                            \
	X(cmp32_reg, "cmpl %eax, (%rdi)", 0)                               \
	X(cmp32_mem, "cmpl (%rdi), %eax", 0)                               \
	X(cmp64_imm8, "cmpq $-1, (%rdi)", 0)                               \
	X(cmp64, "cmpq %rax, (%rdi)", 0)                                   \
	X(and8, "andb %al, (%rdi)", 0)                                     \
	X(and16_mem, "andw (%rdi), %ax", 0)                                \
	X(and32_mem, "andl (%rdi), %eax", 0)                               \
	X(and32_imm8, "andl $-16, (%rdi)", 0)                              \
	X(and64, "andq %rax, (%rdi)", 0)                                   \
	X(or8_imm, "orb $0x40, (%rdi)", 0)                                 \
	X(or32, "orl %eax, (%rdi)", 0)                                     \
	X(or32_lock, "lock orl %eax, (%rdi)", 0)                           \
	X(or64_mem, "orq (%rdi), %rax", 0)                                 \
	X(xor8_high, "xorb %bh, (%rdi)", 0)                                \
	X(xor32_mem, "xorl (%rdi), %eax", 0)                               \
	X(xor64_imm, "xorq $0x12345678, (%rdi)", 0)                        \
	X(add8, "addb %al, (%rdi)", 0)                                     \
	X(add16_mem, "addw (%rdi), %ax", 0)                                \
	X(add32_imm, "addl $0x7fffffff, (%rdi)", 0)                        \
	X(add64, "addq %rax, (%rdi)", 0)                                   \
	X(adc8, "adcb %al, (%rdi)", 0)                                     \
	X(adc32_mem, "adcl (%rdi), %eax", 0)                               \
	X(adc64_imm, "adcq $-1, (%rdi)", 0)                                \
	X(sub8, "subb %al, (%rdi)", 0)                                     \
	X(sub16_imm, "subw $0x7fff, (%rdi)", 0)                            \
	X(sub32_mem, "subl (%rdi), %eax", 0)                               \
	X(sub64, "subq %rax, (%rdi)", 0)                                   \
	X(sbb8_mem, "sbbb (%rdi), %al", 0)                                 \
	X(sbb32, "sbbl %eax, (%rdi)", 0)                                   \
	X(sbb64, "sbbq %rax, (%rdi)", 0)                                   \
	X(inc8, "incb (%rdi)", 0)                                          \
	X(inc16, "incw (%rdi)", 0)                                         \
	X(inc32, "incl (%rdi)", 0)                                         \
	X(inc64, "incq (%rdi)", 0)                                         \
	X(dec8, "decb (%rdi)", 0)                                          \
	X(dec32, "decl (%rdi)", 0)                                         \
	X(dec64_lock, "lock decq (%rdi)", 0)                               \
	X(not8, "notb (%rdi)", 0)                                          \
	X(not32, "notl (%rdi)", 0)                                         \
	X(not64, "notq (%rdi)", 0)                                         \
	X(neg8, "negb (%rdi)", 0)                                          \
	X(neg32, "negl (%rdi)", 0)                                         \
	X(neg64, "negq (%rdi)", 0)                                         \
	X(xchg8, "xchgb %ah, (%rdi)", 0)                                   \
	X(xchg16, "xchgw %ax, (%rdi)", 0)                                  \
	X(xchg32, "xchgl (%rdi), %eax", 0)                                 \
	X(xchg64, "xchgq %rax, (%rdi)", 0)                                 \
	X(sete_, "sete (%rdi)", 0)                                         \
	X(setne_, "setne (%rdi)", 0)                                       \
	X(setb_, "setb (%rdi)", 0)                                         \
	X(seta_, "seta (%rdi)", 0)                                         \
	X(setl_, "setl (%rdi)", 0)                                         \
	X(setg_, "setg (%rdi)", 0)                                         \
	X(sets_, "sets (%rdi)", 0)                                         \
	X(setnp_, "setnp (%rdi)", 0)                                       \
	X(seto_, "seto (%rdi)", 0)                                         \
	X(cmove32_, "cmovel (%rdi), %eax", 0)                              \
	X(cmovl64_, "cmovlq (%rdi), %rax", 0)                              \
	X(cmova16_, "cmovaw (%rdi), %ax", 0)                               \
	X(shl8_, "shlb $3, (%rdi)", 0)                                     \
	X(shl32_, "shll $7, (%rdi)", 0)                                    \
	X(shl32_1_, "shll (%rdi)", 0)                                      \
	X(shl64_cl_, "shlq %cl, (%rdi)", 0)                                \
	X(shr16_, "shrw $1, (%rdi)", 0)                                    \
	X(shr32_cl_, "shrl %cl, (%rdi)", 0)                                \
	X(sar64_, "sarq $5, (%rdi)", 0)                                    \
	X(sar8_cl_, "sarb %cl, (%rdi)", 0)                                 \
	X(imul16_, "imulw (%rdi), %ax", 0)                                 \
	X(imul32_, "imull (%rdi), %eax", 0)                                \
	X(imul64_, "imulq (%rdi), %rax", 0)                                \
	X(imul32_imm_, "imull $-77, (%rdi), %eax", 0)                      \
	X(imul64_imm_, "imulq $123456, (%rdi), %r9", 0)                    \
	X(bsf32_, "bsfl (%rdi), %ecx", 0)                                  \
	X(bsr64_, "bsrq (%rdi), %rcx", 0)                                  \
	X(popcnt32_, "popcntl (%rdi), %eax", 0)                            \
	X(xadd8_, "xaddb %ah, (%rdi)", 0)                                  \
	X(xadd32_, "lock xaddl %eax, (%rdi)", 0)                           \
	X(xadd64_, "xaddq %rdx, (%rdi)", 0)                                \
	X(cmpxchg8_, "lock cmpxchgb %dl, (%rdi)", 0)                       \
	X(cmpxchg32_, "lock cmpxchgl %edx, (%rdi)", 0)                     \
	X(cmpxchg64_, "lock cmpxchgq %rdx, (%rdi)", 0)                     \
	X(movsb_, "movsb", STRING)                                         \
	X(movsw_, "movsw", STRING)                                         \
	X(movsl_, "movsl", STRING)                                         \
	X(movsq_, "movsq", STRING)                                         \
	X(rep_movsb, "rep movsb", STRING)                                  \
	X(rep_movsw, "rep movsw", STRING)                                  \
	X(rep_movsl, "rep movsl", STRING)                                  \
	X(rep_movsq, "rep movsq", STRING)                                  \
	X(rep_movsl_addr32, "addr32 rep movsl", STRING)                    \
	X(stosb_, "stosb", STRING)                                         \
	X(rep_stosb, "rep stosb", STRING)                                  \
	X(rep_stosw, "rep stosw", STRING)                                  \
	X(rep_stosl, "rep stosl", STRING)                                  \
	X(rep_stosq, "rep stosq", STRING)                                  \
	X(lodsb_, "lodsb", STRING)                                         \
	X(lodsw_, "lodsw", STRING)                                         \
	X(lodsl_, "lodsl", STRING)                                         \
	X(rep_lodsq, "rep lodsq", STRING)                                  \
	X(movd_load, "movd (%rdi), %xmm3", 0)                              \
	X(movd_store, "movd %xmm3, (%rdi)", 0)                             \
	X(movq_load, "movq (%rdi), %xmm3", 0)                              \
	X(movq_store, "movq %xmm3, (%rdi)", 0)                             \
	X(movss_load, "movss (%rdi), %xmm9", 0)                            \
	X(movss_store, "movss %xmm9, (%rdi)", 0)                           \
	X(movsd_load, "movsd (%rdi), %xmm9", 0)                            \
	X(movsd_store, "movsd %xmm9, (%rdi)", 0)                           \
	X(movups_load, "movups (%rdi), %xmm15", 0)                         \
	X(movups_store, "movups %xmm15, (%rdi)", 0)                        \
	X(movdqu_load, "movdqu (%rdi), %xmm0", 0)                          \
	X(movdqu_store, "movdqu %xmm0, (%rdi)", 0)                         \
	X(lddqu_, "lddqu (%rdi), %xmm0", 0)                                \
	X(movaps_load, "movaps (%rdi), %xmm1", ALIGNED16)                  \
	X(movdqa_store, "movdqa %xmm1, (%rdi)", ALIGNED16)                 \
	X(movntdq_, "movntdq %xmm1, (%rdi)", ALIGNED16)                    \
	X(movntdqa_, "movntdqa (%rdi), %xmm1", ALIGNED16)                  \
	X(vmovd_load, "vmovd (%rdi), %xmm3", NEEDS_AVX)                    \
	X(vmovq_load, "vmovq (%rdi), %xmm3", NEEDS_AVX)                    \
	X(vmovss_load, "vmovss (%rdi), %xmm3", NEEDS_AVX)                  \
	X(vmovsd_store, "vmovsd %xmm3, (%rdi)", NEEDS_AVX)                 \
	X(vmovdqu_load16, "vmovdqu (%rdi), %xmm12", NEEDS_AVX)             \
	X(vmovdqu_store16, "vmovdqu %xmm12, (%rdi)", NEEDS_AVX)            \
	X(vmovdqu_load32, "vmovdqu (%rdi), %ymm12", NEEDS_AVX)             \
	X(vmovdqu_store32, "vmovdqu %ymm12, (%rdi)", NEEDS_AVX)            \
	X(vmovups_load32, "vmovups (%rdi), %ymm5", NEEDS_AVX)              \
	X(vmovdqa_store32, "vmovdqa %ymm5, (%rdi)", NEEDS_AVX | ALIGNED16) \
	X(vmovntdq32, "vmovntdq %ymm5, (%rdi)", NEEDS_AVX | ALIGNED16)     \
	X(evex_load16, "vmovdqu64 (%rdi), %xmm17", NEEDS_AVX512)           \
	X(evex_load32, "vmovdqu64 (%rdi), %ymm16", NEEDS_AVX512)           \
	X(evex_load32_low, "vmovdqu32 0x20(%rdi), %ymm5", NEEDS_AVX512)    \
	X(evex_store32, "vmovdqu64 %ymm31, (%rdi)", NEEDS_AVX512)          \
	X(evex_store8, "vmovdqu8 %ymm18, (%rdi)", NEEDS_AVX512)            \
	X(evex_load64, "vmovdqu64 (%rdi), %zmm20", NEEDS_AVX512)           \
	X(evex_load64_low, "vmovups (%rdi), %zmm2", NEEDS_AVX512)          \
	X(evex_store64, "vmovdqu64 %zmm20, 0x40(%rdi)", NEEDS_AVX512)      \
	X(evex_store64_low, "vmovdqu64 %zmm2, (%rdi)", NEEDS_AVX512)       \
	X(evex_movss, "vmovss (%rdi), %xmm21", NEEDS_AVX512)               \
	X(evex_aligned, "vmovdqa64 %zmm21, (%rdi)", NEEDS_AVX512 | ALIGNED16)

#define X(id, text, needs)                                                                    \
	__asm__(".text\n.balign 16\ninsn_" #id ":\n\t" text "\n\tjmp *state_return(%rip)\n"); \
	extern const char insn_##id[];
LIST
#undef X

	static const struct insn {
	const char *name;
	const char *code;
	unsigned needs;
} insns[] = {
#define X(id, text, needs) { text, insn_##id, needs },
	LIST
#undef X
};

static bool available(const struct insn *in)
{
	return !((in->needs & NEEDS_AVX) && !state_has_avx()) &&
	       !((in->needs & NEEDS_AVX512) && !state_has_avx512());
}

static void random_state(struct machine_state *s, const struct insn *in)
{
	uint64_t at = 1024 + (in->needs & ALIGNED16 ? (rnd() % 64) * 64 : rnd() % 4096);

	for (unsigned i = 0; i < 16; i++)
		s->gpr[i] = interesting();
	for (size_t i = 0; i < sizeof(s->vec) / 8; i++) {
		uint64_t v = rnd();

		memcpy((uint8_t *)s->vec + i * 8, &v, 8);
	}
	s->gpr[RDI] = (uintptr_t)t.bar + at;
	s->gpr[R13] = (uint64_t)((int64_t)(rnd() % 64) - 32);
	s->flags = (rnd() & STATE_FLAGS & ~0x400ul) | 2;
	if (!(in->needs & STRING))
		return;
	/* Either end may lie in ordinary memory: the free half of the code page. */
	s->gpr[RCX] = rnd() % 24;
	s->gpr[RSI] = rnd() & 1 ? (uintptr_t)t.code + 2048 + rnd() % 1024
				: (uintptr_t)t.bar + 1024 + rnd() % 4096;
	if (s->gpr[RSI] >= (uintptr_t)t.bar && (rnd() & 1))
		s->gpr[RDI] = (uintptr_t)t.code + 2048 + rnd() % 1024;
	if (strstr(in->name, "lods"))
		s->gpr[RSI] = (uintptr_t)t.bar + 1024 + rnd() % 4096;
	if (strstr(in->name, "stos"))
		s->gpr[RDI] = (uintptr_t)t.bar + 1024 + rnd() % 4096;
	if (rnd() & 1)
		s->flags |= 0x400;
}

static void fill(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i += 8) {
		uint64_t v = interesting();

		memcpy(p + i, &v, 8);
	}
}

static bool same_state(const struct machine_state *a, const struct machine_state *b)
{
	for (unsigned i = 0; i < 16; i++)
		if (i != RSP && a->gpr[i] != b->gpr[i])
			return false;
	return !((a->flags ^ b->flags) & STATE_FLAGS) && !memcmp(a->vec, b->vec, sizeof(a->vec));
}

static void explain_difference(const struct insn *in, const struct machine_state *was,
			       const struct machine_state *cpu, const struct machine_state *us)
{
	print_error("%s: emulation answered %d\n", in->name, t.rc);
	for (unsigned i = 0; i < 16; i++)
		if (i != RSP && cpu->gpr[i] != us->gpr[i])
			print_error("  register %u: before %#lx, processor %#lx, emulated %#lx\n",
				    i, was->gpr[i], cpu->gpr[i], us->gpr[i]);
	if ((cpu->flags ^ us->flags) & STATE_FLAGS)
		print_error("  flags: before %#lx, processor %#lx, emulated %#lx\n", was->flags,
			    cpu->flags & STATE_FLAGS, us->flags & STATE_FLAGS);
	for (unsigned i = 0; i < 32; i++)
		for (unsigned k = 0; k < 64; k++)
			if (cpu->vec[i][k] != us->vec[i][k]) {
				print_error("  vector %u byte %u: processor %#x, emulated %#x\n", i,
					    k, cpu->vec[i][k], us->vec[i][k]);
				break;
			}
}

static void compare(const struct insn *in)
{
	static struct machine_state was, cpu, us;
	static uint8_t before[BAR_LEN], other[4096], after[BAR_LEN], other_after[4096];

	fill(before, sizeof(before));
	fill(other, sizeof(other));
	random_state(&was, in);

	trap(false);
	memcpy(t.bar, before, BAR_LEN);
	memcpy(t.code, other, sizeof(other));
	cpu = was;
	state_run(in->code, &cpu);
	memcpy(after, t.bar, BAR_LEN);
	memcpy(other_after, t.code, sizeof(other));

	trap(true);
	memcpy(t.model, before, BAR_LEN);
	memcpy(t.code, other, sizeof(other));
	us = was;
	t.rc = 0;
	state_run(in->code, &us);
	if (t.rc || !same_state(&cpu, &us)) {
		explain_difference(in, &was, &cpu, &us);
		fail_msg("%s differs from the processor", in->name);
	}
	assert_true(t.n_seen || (in->needs & STRING)); /* it did trap */
	if (memcmp(after, t.model, BAR_LEN))
		fail_msg("%s leaves other bytes in the BAR", in->name);
	if (memcmp(other_after, t.code, sizeof(other)))
		fail_msg("%s leaves other bytes in memory", in->name);
}

static void mmio__every_form__as_the_processor(void **state)
{
	take_signals(state);
	t.prot = PROT_READ | PROT_WRITE;
	for (size_t i = 0; i < ARRAY_LEN(insns); i++)
		for (unsigned round = 0; available(&insns[i]) && round < 60; round++) {
			t.n_seen = 0;
			compare(&insns[i]);
		}
}

/* Writes @n bytes of code that end in a jump to state_return so that they end at @end. */
static uint8_t *put_code(uint8_t *at, const uint8_t *code, size_t n)
{
	uint64_t back = (uintptr_t)state_return;

	memcpy(at, code, n);
	memcpy(at + n, "\xff\x25\0\0\0\0", 6); /* jmp *(%rip) */
	memcpy(at + n + 6, &back, 8);
	return at;
}

static struct machine_state run_at(const uint8_t *code)
{
	struct machine_state s = { .flags = 2 };

	s.gpr[RDI] = (uintptr_t)t.bar;
	t.rc = 1;
	t.n_seen = 0;
	trap(true);
	state_run(code, &s);
	return s;
}

static void mmio__rip_relative__right_address(void **state)
{
	uint8_t code[] = { 0x8b, 0x05, 0, 0, 0, 0 };        /* mov d(%rip), %eax */
	uint8_t store[] = { 0xc6, 0x05, 0, 0, 0, 0, 0x5a }; /* movb $0x5a, d(%rip) */
	int32_t d = (int32_t)(t.bar + 0x120 - (t.code + sizeof(code)));
	struct machine_state s;

	take_signals(state);
	t.prot = PROT_READ | PROT_WRITE;
	memcpy(code + 2, &d, 4);
	memcpy(t.model + 0x120, "\x78\x56\x34\x12", 4);
	s = run_at(put_code(t.code, code, sizeof(code)));
	assert_int_equal(t.rc, 0);
	assert_int_equal(s.gpr[RAX], 0x12345678);
	d = (int32_t)(t.bar + 0x131 - (t.code + sizeof(store)));
	memcpy(store + 2, &d, 4);
	run_at(put_code(t.code, store, sizeof(store)));
	assert_int_equal(t.rc, 0);
	assert_int_equal(t.model[0x131], 0x5a);
}

static void mmio__instruction_ends_at_unmapped_page__decoded(void **state)
{
	static const uint8_t code[] = { 0x8b, 0x47, 0x08, 0x0f, 0x0b }; /* mov 8(%rdi),%eax; ud2 */
	struct machine_state s = { .flags = 2 };
	uint8_t *at = t.code + 4096 - 3;

	take_signals(state);
	t.prot = PROT_READ | PROT_WRITE;
	memcpy(at, code, 3);
	memcpy(t.model + 8, "\x01\x02\x03\x04", 4);
	s.gpr[RDI] = (uintptr_t)t.bar;
	/* The next instruction would be in the unmapped page: leave from the handler instead. */
	trap(true);
	t.decode_off = true;
	t.rc = 1;
	state_run(at, &s);
	t.decode_off = false;
	assert_int_equal(t.rc, -EIO); /* it came as far as the device */
}

static void mmio__instruction_across_two_pages__decoded(void **state)
{
	static const uint8_t code[] = { 0x48, 0xc7, 0x87, 0x10, 0, 0, 0, 0x44, 0x33, 0x22, 0x11 };
	uint8_t *at = t.code + 4096 - 5;

	take_signals(state);
	t.prot = PROT_READ | PROT_WRITE;
	assert_int_equal(mprotect(t.code, 8192, PROT_READ | PROT_WRITE | PROT_EXEC), 0);
	run_at(put_code(at, code, sizeof(code)));
	assert_int_equal(t.rc, 0);
	assert_memory_equal(t.model + 0x10, "\x44\x33\x22\x11\0\0\0\0", 8);
	assert_int_equal(mprotect(t.code + 4096, 4096, PROT_NONE), 0);
}

static void mmio__past_the_end__efault_and_nothing_done(void **state)
{
	static const uint8_t code[] = {
		0x48, 0x89, 0x87, 0xfc, 0x1f, 0, 0
	}; /* mov %rax,0x1ffc(%rdi) */
	uint8_t before[BAR_LEN];

	take_signals(state);
	t.prot = PROT_READ | PROT_WRITE;
	memcpy(before, t.model, BAR_LEN);
	run_at(put_code(t.code, code, sizeof(code)));
	assert_int_equal(t.rc, -EFAULT);
	assert_memory_equal(before, t.model, BAR_LEN);
	assert_int_equal(t.n_seen, 0);
}

static void mmio__unaligned__natural_pieces_ascending(void **state)
{
	static const uint8_t code[] = { 0x48, 0x8b, 0x47, 0x03 }; /* mov 3(%rdi), %rax */

	take_signals(state);
	t.prot = PROT_READ | PROT_WRITE;
	run_at(put_code(t.code, code, sizeof(code)));
	assert_int_equal(t.rc, 0);
	assert_int_equal(t.n_seen, 4);
	assert_true(t.seen[0].off == 3 && t.seen[0].size == 1);
	assert_true(t.seen[1].off == 4 && t.seen[1].size == 4);
	assert_true(t.seen[2].off == 8 && t.seen[2].size == 2);
	assert_true(t.seen[3].off == 10 && t.seen[3].size == 1);
}

static void mmio__protection__decides(void **state)
{
	static const uint8_t load[] = { 0x8b, 0x07 }, store[] = { 0x89, 0x07 },
			     both[] = { 0x09, 0x07 }; /* or %eax, (%rdi) */

	take_signals(state);
	t.prot = PROT_READ;
	run_at(put_code(t.code, load, 2));
	assert_int_equal(t.rc, 0);
	run_at(put_code(t.code, store, 2));
	assert_int_equal(t.rc, -EFAULT);
	run_at(put_code(t.code, both, 2));
	assert_int_equal(t.rc, -EFAULT);
	assert_int_equal(t.n_seen, 0);
	t.prot = PROT_WRITE; /* as on x86 hardware, what can be written can be read */
	run_at(put_code(t.code, store, 2));
	assert_int_equal(t.rc, 0);
	run_at(put_code(t.code, load, 2));
	assert_int_equal(t.rc, 0);
	t.prot = PROT_NONE;
	run_at(put_code(t.code, load, 2));
	assert_int_equal(t.rc, -EFAULT);
}

static void mmio__decode_off__eio_and_registers_kept(void **state)
{
	static const uint8_t code[] = { 0x01, 0x07 }; /* add %eax, (%rdi) */
	struct machine_state s;

	take_signals(state);
	t.prot = PROT_READ | PROT_WRITE;
	t.decode_off = true;
	s = run_at(put_code(t.code, code, sizeof(code)));
	t.decode_off = false;
	assert_int_equal(t.rc, -EIO);
	assert_int_equal(s.flags & STATE_FLAGS, 0);
	assert_int_equal(s.gpr[RAX], 0);
}

static void mmio__not_a_move__efault_with_reason(void **state)
{
	static const uint8_t fadd[] = { 0xd8, 0x07 }, mul[] = { 0xf7, 0x27 },
			     mmx[] = { 0x0f, 0x6f, 0x07 };

	take_signals(state);
	t.prot = PROT_READ | PROT_WRITE;
	why_clear();
	run_at(put_code(t.code, fadd, 2));
	assert_int_equal(t.rc, -EFAULT);
	assert_non_null(strstr(why_last(), "fadd"));
	run_at(put_code(t.code, mul, 2));
	assert_int_equal(t.rc, -EFAULT);
	run_at(put_code(t.code, mmx, 3));
	assert_int_equal(t.rc, -EFAULT);
	assert_int_equal(t.n_seen, 0);
}

static void mmio__rep_runs_out_of_mapping__stops_there(void **state)
{
	static const uint8_t code[] = { 0xf3, 0xab }; /* rep stosl */
	struct machine_state s = { .flags = 2 };

	take_signals(state);
	t.prot = PROT_READ | PROT_WRITE;
	s.gpr[RDI] = (uintptr_t)t.bar + BAR_LEN - 8;
	s.gpr[RCX] = 5;
	s.gpr[RAX] = 0x11223344;
	trap(true);
	state_run(put_code(t.code, code, 2), &s);
	assert_int_equal(t.rc, -EFAULT);
	assert_int_equal(s.gpr[RCX], 3); /* as the processor would leave them at the fault */
	assert_int_equal(s.gpr[RDI], (uintptr_t)t.bar + BAR_LEN);
	assert_memory_equal(t.model + BAR_LEN - 8, "\x44\x33\x22\x11\x44\x33\x22\x11", 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mmio__every_form__as_the_processor),
		cmocka_unit_test(mmio__rip_relative__right_address),
		cmocka_unit_test(mmio__instruction_ends_at_unmapped_page__decoded),
		cmocka_unit_test(mmio__instruction_across_two_pages__decoded),
		cmocka_unit_test(mmio__past_the_end__efault_and_nothing_done),
		cmocka_unit_test(mmio__unaligned__natural_pieces_ascending),
		cmocka_unit_test(mmio__protection__decides),
		cmocka_unit_test(mmio__decode_off__eio_and_registers_kept),
		cmocka_unit_test(mmio__not_a_move__efault_with_reason),
		cmocka_unit_test(mmio__rep_runs_out_of_mapping__stops_there),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
