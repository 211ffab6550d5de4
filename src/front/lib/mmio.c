// SPDX-License-Identifier: MIT
/*
 * MMIO emulation: one faulting instruction of the program, performed on a device model.
 *
 * The instruction at the program counter is decoded; its memory operand must lie in the BAR
 * mapping. Loads, stores, read-modify-write arithmetic, string operations and vector moves of up
 * to 32 bytes are done; the model sees naturally aligned accesses of 1 to 8 bytes in ascending
 * order. Runs in the thread and signal frame of the fault, which is synchronous: the program was
 * at its own instruction, so no lock of ours is held.
 */
#include "front/lib/mmio.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
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
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
};

/* Moves @n bytes between @buf and the BAR at address @va. -EFAULT outside, -EIO decode off. */
static int transfer(struct access *a, uintptr_t va, void *buf, size_t n, bool write)
{
	uint64_t off;

	if (va < a->base || va - a->base >= a->len || n > a->len - (va - a->base))
		return -EFAULT;
	if (!(a->prot & (write ? 2 : 1))) /* PROT_WRITE, PROT_READ */
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

/* movs, stos, lods, with or without rep: one element a step, registers kept right throughout. */
static int do_string(struct access *a, unsigned size)
{
	greg_t *g = a->uc->uc_mcontext.gregs;
	bool rep = a->in.attributes &
		   (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE);
	int64_t step = g[REG_EFL] & 0x400 ? -(int64_t)size : (int64_t)size;
	bool reads =
		a->in.mnemonic != ZYDIS_MNEMONIC_STOSB && a->in.mnemonic != ZYDIS_MNEMONIC_STOSW &&
		a->in.mnemonic != ZYDIS_MNEMONIC_STOSD && a->in.mnemonic != ZYDIS_MNEMONIC_STOSQ;
	bool writes =
		a->in.mnemonic != ZYDIS_MNEMONIC_LODSB && a->in.mnemonic != ZYDIS_MNEMONIC_LODSW &&
		a->in.mnemonic != ZYDIS_MNEMONIC_LODSD && a->in.mnemonic != ZYDIS_MNEMONIC_LODSQ;

	while (!rep || g[REG_RCX]) {
		uintptr_t from = (uintptr_t)g[REG_RSI], to = (uintptr_t)g[REG_RDI];
		uint64_t v = (uint64_t)g[REG_RAX];
		int rc = 0;

		if (reads)
			rc = from - a->base < a->len ? transfer(a, from, &v, size, false)
						     : guard_copy(&v, (void *)from, size);
		if (!rc && writes)
			rc = to - a->base < a->len ? transfer(a, to, &v, size, true)
						   : guard_copy((void *)to, &v, size);
		if (rc)
			return rc;
		if (!writes)
			mmio_set_reg(a->uc,
				     size == 1   ? ZYDIS_REGISTER_AL
				     : size == 2 ? ZYDIS_REGISTER_AX
				     : size == 4 ? ZYDIS_REGISTER_EAX
						 : ZYDIS_REGISTER_RAX,
				     v);
		if (reads)
			g[REG_RSI] += step;
		if (writes)
			g[REG_RDI] += step;
		if (!rep)
			break;
		g[REG_RCX]--;
	}
	return 0;
}

static int do_vector(struct access *a, int mi, uintptr_t va, unsigned size)
{
	bool vex = a->in.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY;
	unsigned char buf[32] = { 0 };
	ZydisRegister reg = a->op[!mi].reg.value;
	int rc;

	if (size > sizeof(buf) || a->op[!mi].type != ZYDIS_OPERAND_TYPE_REGISTER)
		return -EFAULT;
	if (mi == 0) {
		if (!mmio_get_vec(a->uc, reg, buf, size))
			return -EFAULT;
		return transfer(a, va, buf, size, true);
	}
	rc = transfer(a, va, buf, size, false);
	if (rc)
		return rc;
	/* movd, movq and movss of memory clear the rest of the 16 bytes. */
	return mmio_set_vec(a->uc, reg, buf, size < 16 ? 16 : size, vex) ? 0 : -EFAULT;
}

static int dispatch(struct access *a, int mi, uintptr_t va, unsigned size)
{
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
	case ZYDIS_MNEMONIC_MOVSB:
	case ZYDIS_MNEMONIC_MOVSW:
	case ZYDIS_MNEMONIC_MOVSQ:
	case ZYDIS_MNEMONIC_STOSB:
	case ZYDIS_MNEMONIC_STOSW:
	case ZYDIS_MNEMONIC_STOSD:
	case ZYDIS_MNEMONIC_STOSQ:
	case ZYDIS_MNEMONIC_LODSB:
	case ZYDIS_MNEMONIC_LODSW:
	case ZYDIS_MNEMONIC_LODSD:
	case ZYDIS_MNEMONIC_LODSQ:
		return do_string(a, size);
	case ZYDIS_MNEMONIC_MOVSD: /* the string operation and the scalar move share the name */
		if (a->in.meta.category == ZYDIS_CATEGORY_STRINGOP)
			return do_string(a, size);
		return do_vector(a, mi, va, size);
	case ZYDIS_MNEMONIC_MOVSS:
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
	case ZYDIS_MNEMONIC_VMOVSS:
	case ZYDIS_MNEMONIC_VMOVSD:
	case ZYDIS_MNEMONIC_VMOVD:
	case ZYDIS_MNEMONIC_VMOVQ:
	case ZYDIS_MNEMONIC_VMOVAPS:
	case ZYDIS_MNEMONIC_VMOVUPS:
	case ZYDIS_MNEMONIC_VMOVAPD:
	case ZYDIS_MNEMONIC_VMOVUPD:
	case ZYDIS_MNEMONIC_VMOVDQA:
	case ZYDIS_MNEMONIC_VMOVDQU:
	case ZYDIS_MNEMONIC_VMOVNTPS:
	case ZYDIS_MNEMONIC_VMOVNTPD:
	case ZYDIS_MNEMONIC_VMOVNTDQ:
		return do_vector(a, mi, va, size);
	default:
		return -EFAULT;
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

int mmio_emulate(void *ucontext, struct vfio_pci *dev, uintptr_t base, size_t len, uint64_t off,
		 uintptr_t fault_addr, int prot)
{
	struct access a = {
		.uc = ucontext, .dev = dev, .base = base, .len = len, .off = off, .prot = prot
	};
	uintptr_t va = 0;
	int mi = -1, rc;

	(void)fault_addr;
	if (!decode(&a))
		return -EFAULT;
	for (int i = 0; i < a.in.operand_count_visible && mi < 0; i++)
		if (a.op[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
			mi = i;
	if (a.in.meta.category == ZYDIS_CATEGORY_STRINGOP) {
		rc = do_string(&a, a.in.operand_width / 8u);
	} else {
		if (mi < 0 || mi > 1 || !effective(&a, &a.op[mi].mem, &va))
			return -EFAULT;
		rc = dispatch(&a, mi, va, a.op[mi].size / 8u);
	}
	if (!rc)
		a.uc->uc_mcontext.gregs[REG_RIP] += a.in.length;
	return rc;
}
