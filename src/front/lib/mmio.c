// SPDX-License-Identifier: MIT
/*
 * MMIO emulation: one faulting instruction of the program, performed on a device model.
 *
 * The instruction at the program counter is decoded; its memory operand must lie in the BAR
 * mapping. Loads, stores, read-modify-write arithmetic, string operations and vector moves of up
 * to 64 bytes are done; the model sees naturally aligned accesses of 1 to 8 bytes in ascending
 * order. Runs in the thread and signal frame of the fault, which is synchronous: the program was
 * at its own instruction, so no lock of ours is held.
 */
#include "front/lib/mmio.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/why.h"
#include "front/lib/edge.h"
#include "mem/guard.h"

#define INSN_MAX 15

struct access {
	ucontext_t *uc;
	struct vfio_pci *dev;
	uintptr_t base;
	size_t len;
	uint64_t off;
	int prot;
	ZydisDecodedInstruction in;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT]; /* visible ones first */
};

/* As on x86, what can be written or executed can be read. */
static bool may(const struct access *a, bool write)
{
	return write ? (a->prot & 2) != 0 : a->prot != 0; /* PROT_WRITE */
}

/* Moves @n bytes between @buf and the BAR at address @va. -EFAULT outside, -EIO decode off. */
static int transfer(struct access *a, uintptr_t va, void *buf, size_t n, bool write)
{
	uint64_t off;

	if (va < a->base || va - a->base >= a->len || n > a->len - (va - a->base))
		return -EFAULT;
	if (!may(a, write))
		return -EFAULT;
	off = a->off + (va - a->base);
	while (n) {
		unsigned size = 8;
		uint64_t val = 0;

		while (size > n || (off & (size - 1)))
			size /= 2;
		if (write)
			memcpy(&val, buf, size);
		if (!vfio_pci_mmio(a->dev, off, size, write, &val))
			return -EIO;
		if (!write)
			memcpy(buf, &val, size);
		buf = (char *)buf + size;
		off += size;
		n -= size;
	}
	return 0;
}

static bool effective(const struct access *a, const ZydisDecodedOperandMem *m, uintptr_t *va)
{
	uint64_t addr = m->disp.has_displacement ? (uint64_t)m->disp.value : 0;

	/* A thread-local BAR pointer is loaded first; FS and GS bases themselves are no BAR. */
	if (m->segment == ZYDIS_REGISTER_FS || m->segment == ZYDIS_REGISTER_GS)
		return false;
	if (m->base == ZYDIS_REGISTER_RIP)
		addr += mmio_get_reg(a->uc, ZYDIS_REGISTER_RIP) + a->in.length;
	else if (m->base != ZYDIS_REGISTER_NONE)
		addr += mmio_get_reg(a->uc, m->base);
	if (m->index != ZYDIS_REGISTER_NONE)
		addr += mmio_get_reg(a->uc, m->index) * m->scale;
	if (a->in.address_width == 32)
		addr = (uint32_t)addr;
	*va = (uintptr_t)addr;
	return true;
}

/* The value of a register or immediate operand. */
static uint64_t source(const struct access *a, const ZydisDecodedOperand *op)
{
	if (op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
		return op->imm.is_signed ? (uint64_t)op->imm.value.s : op->imm.value.u;
	return mmio_get_reg(a->uc, op->reg.value);
}

static uint64_t sign_extend(uint64_t v, unsigned size)
{
	unsigned shift = 64 - size * 8;

	return (uint64_t)((int64_t)(v << shift) >> shift);
}

static int load(struct access *a, uintptr_t va, unsigned size, uint64_t *val)
{
	*val = 0;
	return transfer(a, va, val, size, false);
}

static int store(struct access *a, uintptr_t va, unsigned size, uint64_t val)
{
	return transfer(a, va, &val, size, true);
}

/* mov and its extending kin, with the memory operand at index @mi. */
static int do_move(struct access *a, int mi, uintptr_t va, unsigned size)
{
	uint64_t v;
	int rc;

	if (mi == 0)
		return store(a, va, size, source(a, &a->op[1]));
	rc = load(a, va, size, &v);
	if (rc)
		return rc;
	if (a->in.mnemonic == ZYDIS_MNEMONIC_MOVSX || a->in.mnemonic == ZYDIS_MNEMONIC_MOVSXD)
		v = sign_extend(v, size);
	mmio_set_reg(a->uc, a->op[0].reg.value, v);
	return 0;
}

/* Arithmetic with the memory operand on either side; @keep: the result is thrown away. */
static int do_alu(struct access *a, enum mmio_alu op, bool keep, int mi, uintptr_t va,
		  unsigned size)
{
	uint64_t mem, other = source(a, &a->op[!mi]), r;
	int rc = load(a, va, size, &mem);

	if (rc)
		return rc;
	r = mi == 0 ? mmio_alu(a->uc, op, mem, other, size) : mmio_alu(a->uc, op, other, mem, size);
	if (keep)
		return 0;
	if (mi == 0)
		return store(a, va, size, r);
	mmio_set_reg(a->uc, a->op[0].reg.value, r);
	return 0;
}

/* inc and dec leave CF alone; not touches no flag. */
static int do_unary(struct access *a, uintptr_t va, unsigned size)
{
	greg_t *fl = &a->uc->uc_mcontext.gregs[REG_EFL], cf = *fl & 1;
	uint64_t v;
	int rc = load(a, va, size, &v);

	if (rc)
		return rc;
	switch (a->in.mnemonic) {
	case ZYDIS_MNEMONIC_NOT:
		return store(a, va, size, ~v);
	case ZYDIS_MNEMONIC_NEG:
		return store(a, va, size, mmio_alu(a->uc, ALU_SUB, 0, v, size));
	case ZYDIS_MNEMONIC_INC:
		v = mmio_alu(a->uc, ALU_ADD, v, 1, size);
		break;
	default:
		v = mmio_alu(a->uc, ALU_SUB, v, 1, size);
	}
	*fl = (*fl & ~(greg_t)1) | cf;
	return store(a, va, size, v);
}

static int do_exchange(struct access *a, int mi, uintptr_t va, unsigned size)
{
	ZydisRegister reg = a->op[!mi].reg.value;
	uint64_t v, mine = mmio_get_reg(a->uc, reg);
	int rc = load(a, va, size, &v);

	if (!rc)
		rc = store(a, va, size, mine);
	if (!rc)
		mmio_set_reg(a->uc, reg, v);
	return rc;
}

static const ZydisRegister accumulator[9] = { [1] = ZYDIS_REGISTER_AL,
					      [2] = ZYDIS_REGISTER_AX,
					      [4] = ZYDIS_REGISTER_EAX,
					      [8] = ZYDIS_REGISTER_RAX };

/* xadd and cmpxchg; with lock they are no more atomic than a device makes them. */
static int do_atomic(struct access *a, uintptr_t va, unsigned size)
{
	ZydisRegister reg = a->op[1].reg.value, acc = accumulator[size];
	uint64_t v, mine = mmio_get_reg(a->uc, reg), mask = UINT64_MAX >> (64 - size * 8), r;
	int rc = load(a, va, size, &v);

	if (rc)
		return rc;
	if (a->in.mnemonic == ZYDIS_MNEMONIC_XADD) {
		r = mmio_alu(a->uc, ALU_ADD, v, mine, size);
		rc = store(a, va, size, r);
		if (!rc)
			mmio_set_reg(a->uc, reg, v);
		return rc;
	}
	r = mmio_alu(a->uc, ALU_SUB, mmio_get_reg(a->uc, acc), v, size) & mask;
	if (!r)
		return store(a, va, size, mine);
	mmio_set_reg(a->uc, acc, v);
	return 0;
}

static int do_shift(struct access *a, uintptr_t va, unsigned size)
{
	uint64_t v;
	int rc = load(a, va, size, &v);

	if (rc)
		return rc;
	return store(a, va, size,
		     mmio_shift(a->uc, a->in.mnemonic, v, source(a, &a->op[1]) & 0xff, size));
}

/* imul with two or three operands, bit scans and counts. */
static int do_pair(struct access *a, uintptr_t va, unsigned size)
{
	ZydisRegister reg = a->op[0].reg.value;
	uint64_t v, with = mmio_get_reg(a->uc, reg);
	int rc;

	if (a->in.operand_count_visible < 2)
		return -EFAULT;
	rc = load(a, va, size, &v);
	if (rc)
		return rc;
	if (a->in.operand_count_visible == 3)
		with = source(a, &a->op[2]);
	with = mmio_pair(a->uc, a->in.mnemonic, with, v, size);
	/* A scan of nothing leaves all of the register alone. */
	if (v || (a->in.mnemonic != ZYDIS_MNEMONIC_BSF && a->in.mnemonic != ZYDIS_MNEMONIC_BSR))
		mmio_set_reg(a->uc, reg, with);
	return 0;
}

/* A conditional move loads in any case. */
static int do_condition(struct access *a, uintptr_t va, unsigned size)
{
	bool holds = mmio_condition(a->uc, a->in.opcode);
	ZydisRegister reg = a->op[0].reg.value;
	uint64_t v;
	int rc;

	if (a->in.meta.category == ZYDIS_CATEGORY_SETCC)
		return store(a, va, 1, holds);
	rc = load(a, va, size, &v);
	if (!rc)
		mmio_set_reg(a->uc, reg, holds ? v : mmio_get_reg(a->uc, reg));
	return rc;
}

/* An address or count register of a string operation: 32 bits of it with the prefix. */
static uint64_t string_reg(const struct access *a, int reg)
{
	uint64_t v = (uint64_t)a->uc->uc_mcontext.gregs[reg];

	return a->in.address_width == 32 ? (uint32_t)v : v;
}

static void string_add(struct access *a, int reg, int64_t step)
{
	uint64_t v = string_reg(a, reg) + (uint64_t)step;

	a->uc->uc_mcontext.gregs[reg] = (greg_t)(a->in.address_width == 32 ? (uint32_t)v : v);
}

/* One element, between the BAR or ordinary memory and either of them or the accumulator. */
static int string_step(struct access *a, unsigned size, bool reads, bool writes)
{
	uintptr_t from = string_reg(a, REG_RSI), to = string_reg(a, REG_RDI);
	uint64_t v = mmio_get_reg(a->uc, ZYDIS_REGISTER_RAX);
	int rc = 0;

	if (reads)
		rc = from - a->base < a->len ? transfer(a, from, &v, size, false)
					     : guard_copy(&v, (void *)from, size);
	if (!rc && writes)
		rc = to - a->base < a->len ? transfer(a, to, &v, size, true)
					   : guard_copy((void *)to, &v, size);
	if (!rc && !writes)
		mmio_set_reg(a->uc, accumulator[size], v);
	return rc;
}

/* movs, stos, lods, with or without rep; registers are right after each element. */
static int do_string(struct access *a, unsigned size, bool reads, bool writes)
{
	bool rep = a->in.attributes &
		   (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE);
	int64_t step = a->uc->uc_mcontext.gregs[REG_EFL] & 0x400 ? -(int64_t)size : (int64_t)size;

	while (!rep || string_reg(a, REG_RCX)) {
		int rc = string_step(a, size, reads, writes);

		if (rc)
			return rc;
		if (reads)
			string_add(a, REG_RSI, step);
		if (writes)
			string_add(a, REG_RDI, step);
		if (!rep)
			break;
		string_add(a, REG_RCX, -1);
	}
	return 0;
}

static int do_vector(struct access *a, int mi, uintptr_t va, unsigned size)
{
	bool wide = a->in.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY;
	ZydisRegister reg = a->op[mi ? 0 : a->in.operand_count_visible - 1].reg.value;
	unsigned char buf[64] = { 0 };
	int rc;

	if (size > sizeof(buf) || a->in.avx.mask.mode > ZYDIS_MASK_MODE_DISABLED)
		return -EFAULT;
	if (mi == 0) {
		if (!mmio_get_vec(a->uc, reg, buf, size))
			return -EFAULT;
		return transfer(a, va, buf, size, true);
	}
	if (!mmio_has_vec(a->uc, reg))
		return -EFAULT;
	rc = transfer(a, va, buf, size, false);
	/* movd, movq and movss of memory clear the rest of the 16 bytes. */
	if (!rc)
		mmio_set_vec(a->uc, reg, buf, size < 16 ? 16 : size, wide);
	return rc;
}

static bool is_vector_move(const struct access *a)
{
	switch (a->in.mnemonic) {
	case ZYDIS_MNEMONIC_MOVSS:
	case ZYDIS_MNEMONIC_MOVSD:
	case ZYDIS_MNEMONIC_MOVD:
	case ZYDIS_MNEMONIC_MOVQ:
	case ZYDIS_MNEMONIC_MOVAPS:
	case ZYDIS_MNEMONIC_MOVUPS:
	case ZYDIS_MNEMONIC_MOVAPD:
	case ZYDIS_MNEMONIC_MOVUPD:
	case ZYDIS_MNEMONIC_MOVDQA:
	case ZYDIS_MNEMONIC_MOVDQU:
	case ZYDIS_MNEMONIC_LDDQU:
	case ZYDIS_MNEMONIC_MOVNTPS:
	case ZYDIS_MNEMONIC_MOVNTPD:
	case ZYDIS_MNEMONIC_MOVNTDQ:
	case ZYDIS_MNEMONIC_MOVNTDQA:
	case ZYDIS_MNEMONIC_VMOVSS:
	case ZYDIS_MNEMONIC_VMOVSD:
	case ZYDIS_MNEMONIC_VMOVD:
	case ZYDIS_MNEMONIC_VMOVQ:
	case ZYDIS_MNEMONIC_VMOVAPS:
	case ZYDIS_MNEMONIC_VMOVUPS:
	case ZYDIS_MNEMONIC_VMOVAPD:
	case ZYDIS_MNEMONIC_VMOVUPD:
	case ZYDIS_MNEMONIC_VMOVDQA:
	case ZYDIS_MNEMONIC_VMOVDQA32:
	case ZYDIS_MNEMONIC_VMOVDQA64:
	case ZYDIS_MNEMONIC_VMOVDQU:
	case ZYDIS_MNEMONIC_VMOVDQU8:
	case ZYDIS_MNEMONIC_VMOVDQU16:
	case ZYDIS_MNEMONIC_VMOVDQU32:
	case ZYDIS_MNEMONIC_VMOVDQU64:
	case ZYDIS_MNEMONIC_VLDDQU:
	case ZYDIS_MNEMONIC_VMOVNTPS:
	case ZYDIS_MNEMONIC_VMOVNTPD:
	case ZYDIS_MNEMONIC_VMOVNTDQ:
	case ZYDIS_MNEMONIC_VMOVNTDQA:
		return true;
	default:
		return false;
	}
}

static int dispatch(struct access *a, int mi, uintptr_t va, unsigned size)
{
	if (a->in.meta.category == ZYDIS_CATEGORY_SETCC ||
	    a->in.meta.category == ZYDIS_CATEGORY_CMOV)
		return do_condition(a, va, size);
	switch (a->in.mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
	case ZYDIS_MNEMONIC_MOVZX:
	case ZYDIS_MNEMONIC_MOVSX:
	case ZYDIS_MNEMONIC_MOVSXD:
	case ZYDIS_MNEMONIC_MOVNTI:
		return do_move(a, mi, va, size);
	case ZYDIS_MNEMONIC_ADD:
		return do_alu(a, ALU_ADD, false, mi, va, size);
	case ZYDIS_MNEMONIC_ADC:
		return do_alu(a, ALU_ADC, false, mi, va, size);
	case ZYDIS_MNEMONIC_SUB:
		return do_alu(a, ALU_SUB, false, mi, va, size);
	case ZYDIS_MNEMONIC_SBB:
		return do_alu(a, ALU_SBB, false, mi, va, size);
	case ZYDIS_MNEMONIC_CMP:
		return do_alu(a, ALU_SUB, true, mi, va, size);
	case ZYDIS_MNEMONIC_AND:
		return do_alu(a, ALU_AND, false, mi, va, size);
	case ZYDIS_MNEMONIC_TEST:
		return do_alu(a, ALU_AND, true, mi, va, size);
	case ZYDIS_MNEMONIC_OR:
		return do_alu(a, ALU_OR, false, mi, va, size);
	case ZYDIS_MNEMONIC_XOR:
		return do_alu(a, ALU_XOR, false, mi, va, size);
	case ZYDIS_MNEMONIC_INC:
	case ZYDIS_MNEMONIC_DEC:
	case ZYDIS_MNEMONIC_NOT:
	case ZYDIS_MNEMONIC_NEG:
		return do_unary(a, va, size);
	case ZYDIS_MNEMONIC_XCHG:
		return do_exchange(a, mi, va, size);
	case ZYDIS_MNEMONIC_XADD:
	case ZYDIS_MNEMONIC_CMPXCHG:
		return do_atomic(a, va, size);
	case ZYDIS_MNEMONIC_SHL:
	case ZYDIS_MNEMONIC_SHR:
	case ZYDIS_MNEMONIC_SAR:
		return do_shift(a, va, size);
	case ZYDIS_MNEMONIC_IMUL:
	case ZYDIS_MNEMONIC_BSF:
	case ZYDIS_MNEMONIC_BSR:
	case ZYDIS_MNEMONIC_TZCNT:
	case ZYDIS_MNEMONIC_LZCNT:
	case ZYDIS_MNEMONIC_POPCNT:
		return do_pair(a, va, size);
	default:
		return is_vector_move(a) ? do_vector(a, mi, va, size) : -EFAULT;
	}
}

static bool decode(struct access *a)
{
	unsigned char code[INSN_MAX];
	uintptr_t pc = (uintptr_t)a->uc->uc_mcontext.gregs[REG_RIP];
	size_t n = INSN_MAX, to_page_end = PAGE_SIZE - (pc & PAGE_MASK);
	ZydisDecoder d;

	if (guard_copy(code, (void *)pc, n)) {
		n = to_page_end < n ? to_page_end : n;
		if (guard_copy(code, (void *)pc, n))
			return false;
	}
	return ZYAN_SUCCESS(
		       ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)) &&
	       ZYAN_SUCCESS(ZydisDecoderDecodeFull(&d, code, n, &a->in, a->op));
}

/* Which operand is the memory; -1: none. Every visible operand has been decoded. */
static int memory_operand(const struct access *a)
{
	for (int i = 0; i < a->in.operand_count_visible; i++)
		if (a->op[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
			return i;
	return -1;
}

static int string_operation(struct access *a)
{
	unsigned size = a->in.operand_width / 8u;

	switch (a->in.mnemonic) {
	case ZYDIS_MNEMONIC_MOVSB:
	case ZYDIS_MNEMONIC_MOVSW:
	case ZYDIS_MNEMONIC_MOVSD:
	case ZYDIS_MNEMONIC_MOVSQ:
		return do_string(a, size, true, true);
	case ZYDIS_MNEMONIC_STOSB:
	case ZYDIS_MNEMONIC_STOSW:
	case ZYDIS_MNEMONIC_STOSD:
	case ZYDIS_MNEMONIC_STOSQ:
		return do_string(a, size, false, true);
	case ZYDIS_MNEMONIC_LODSB:
	case ZYDIS_MNEMONIC_LODSW:
	case ZYDIS_MNEMONIC_LODSD:
	case ZYDIS_MNEMONIC_LODSQ:
		return do_string(a, size, true, false);
	default:
		return -EFAULT;
	}
}

static int operate(struct access *a)
{
	int mi = memory_operand(a);
	uintptr_t va = 0;

	if (a->in.meta.category == ZYDIS_CATEGORY_STRINGOP)
		return string_operation(a);
	if (mi < 0 || !effective(a, &a->op[mi].mem, &va))
		return -EFAULT;
	if (mi > 1 && !is_vector_move(a))
		return -EFAULT;
	/* Before anything is read: a read-modify-write is done whole or not at all. */
	if ((a->op[mi].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) && !may(a, true))
		return -EFAULT;
	return dispatch(a, mi, va, a->op[mi].size / 8u);
}

int mmio_emulate(void *ucontext, struct vfio_pci *dev, uintptr_t base, size_t len, uint64_t off,
		 uintptr_t fault_addr, int prot)
{
	struct access a = {
		.uc = ucontext, .dev = dev, .base = base, .len = len, .off = off, .prot = prot
	};
	int rc;

	if (!decode(&a))
		return refuse(EFAULT, "the instruction that touched %#lx cannot be decoded",
			      (unsigned long)fault_addr);
	rc = operate(&a);
	if (!rc)
		a.uc->uc_mcontext.gregs[REG_RIP] += a.in.length;
	else if (rc == -EIO)
		refuse(EIO, "memory decode is off (command register)");
	else
		refuse(EFAULT,
		       "'%s' of %#lx is no access that the region's protection allows and "
		       "that can be performed on a device",
		       ZydisMnemonicGetString(a.in.mnemonic), (unsigned long)fault_addr);
	return rc;
}
