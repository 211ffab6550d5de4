// SPDX-License-Identifier: MIT
/* Does the description of a function make sense as a PCI device? */
#include <errno.h>

#include "base/bits.h"
#include "base/why.h"
#include "iommu/function.h"

#define BAR_MODES (UIOMMUFD_BAR_TRAP | UIOMMUFD_BAR_POLL | UIOMMUFD_BAR_FAULT)
#define CFG_STD   0x40u   /* end of the standard header */
#define CFG_CAPS  0x100u  /* end of what capabilities may use */
#define CFG_SIZE  0x1000u /* with a PCI Express capability */

/* Bytes of the capabilities that the engine lays out: PCI 3.0, PCI Express 2.0, PCI PM 1.2. */
#define PM_LEN   8u
#define EXP_LEN  0x3cu
#define MSIX_LEN 12u

static int check_bar(const struct uiommufd_device_desc *d, unsigned i)
{
	const struct uiommufd_bar *b = &d->bar[i];

	if (!b->size)
		return 0;
	if (!is_pow2(b->size) || b->size < 16)
		return refuse(EINVAL, "BAR %u has 0x%llx bytes: a power of two from 16 on", i,
			      (unsigned long long)b->size);
	if (!b->is64 && b->size > 2 * GIB)
		return refuse(EINVAL, "BAR %u has 0x%llx bytes: more than 2 GiB needs 64 bits", i,
			      (unsigned long long)b->size);
	if (b->is64 && (i + 1 == UIOMMUFD_BARS || d->bar[i + 1].size))
		return refuse(EINVAL, "BAR %u has 64 bits: slot %u must be there and empty", i,
			      i + 1);
	if (!b->modes || (b->modes & ~BAR_MODES))
		return refuse(EINVAL, "BAR %u allows modes 0x%x of 0x%x", i, b->modes, BAR_MODES);
	if (!is_pow2(b->default_mode) || !(b->default_mode & b->modes))
		return refuse(EINVAL, "BAR %u: default mode 0x%x is not one of its modes 0x%x", i,
			      b->default_mode, b->modes);
	if ((b->modes & ~UIOMMUFD_BAR_TRAP) && b->size < PAGE_SIZE)
		return refuse(EINVAL, "BAR %u has 0x%llx bytes: less than a page is not mappable",
			      i, (unsigned long long)b->size);
	return 0;
}

static int check_msix(const struct uiommufd_device_desc *d)
{
	uint64_t table = d->msix_table, pba = d->msix_pba, size;
	uint64_t table_len = 16ull * d->msix_vectors;
	uint64_t pba_len = (d->msix_vectors + 63ull) / 64 * 8;

	if (!d->msix_vectors)
		return d->msix_cap ? refuse(EINVAL, "an MSI-X capability without vectors") : 0;
	if (!d->msix_cap)
		return refuse(EINVAL, "%u MSI-X vectors without a capability", d->msix_vectors);
	if (d->msix_vectors > 2048)
		return refuse(EINVAL, "%u MSI-X vectors: at most 2048", d->msix_vectors);
	if (d->msix_bar >= UIOMMUFD_BARS || !d->bar[d->msix_bar].size)
		return refuse(EINVAL, "MSI-X is in BAR %u, which is absent", d->msix_bar);
	size = d->bar[d->msix_bar].size;
	if (table % 8 || pba % 8)
		return refuse(EINVAL, "MSI-X table at 0x%llx, PBA at 0x%llx: multiples of 8",
			      (unsigned long long)table, (unsigned long long)pba);
	if (table + table_len > size || pba + pba_len > size)
		return refuse(EINVAL,
			      "MSI-X table 0x%llx+0x%llx or PBA 0x%llx+0x%llx is beyond the BAR's "
			      "0x%llx bytes",
			      (unsigned long long)table, (unsigned long long)table_len,
			      (unsigned long long)pba, (unsigned long long)pba_len,
			      (unsigned long long)size);
	if (ranges_meet(table, table + table_len - 1, pba, pba + pba_len - 1))
		return refuse(EINVAL, "MSI-X table at 0x%llx and PBA at 0x%llx overlap",
			      (unsigned long long)table, (unsigned long long)pba);
	return 0;
}

/* Which dwords of config space are taken, bit n: offset 4 * n. */
struct cfg_map {
	uint64_t taken[CFG_SIZE / 4 / 64];
};

static bool take(struct cfg_map *m, unsigned off, unsigned len)
{
	for (unsigned i = off / 4; i < (off + len + 3) / 4; i++) {
		if (m->taken[i / 64] >> (i % 64) & 1)
			return false;
		m->taken[i / 64] |= 1ull << (i % 64);
	}
	return true;
}

static int check_cap(struct cfg_map *m, const char *what, unsigned off, unsigned len)
{
	if (!off)
		return 0;
	if (off % 4 || off < CFG_STD || off + len > CFG_CAPS)
		return refuse(EINVAL, "%s capability at 0x%x+0x%x: multiples of 4 in 0x40-0xff",
			      what, off, len);
	if (!take(m, off, len))
		return refuse(EINVAL, "%s capability at 0x%x+0x%x overlaps another", what, off,
			      len);
	return 0;
}

static int check_caps(struct cfg_map *m, const struct uiommufd_device_desc *d)
{
	int rc = check_cap(m, "MSI-X", d->msix_cap, MSIX_LEN);

	if (!rc)
		rc = check_cap(m, "PCI Express", d->exp_cap, EXP_LEN);
	if (!rc)
		rc = check_cap(m, "power management", d->pm_cap, PM_LEN);
	if (!rc && d->flr && !d->exp_cap)
		rc = refuse(EINVAL, "function level reset without a PCI Express capability");
	if (!rc && d->n_caps && !d->caps)
		rc = refuse(EINVAL, "%zu capabilities at no address", d->n_caps);
	for (size_t i = 0; !rc && i < d->n_caps; i++) {
		const struct uiommufd_pci_cap *c = &d->caps[i];

		if (!c->offset || c->len < 2 || (c->len > 2 && !c->data))
			rc = refuse(EINVAL, "capability 0x%x at 0x%x has %u bytes, data %p", c->id,
				    c->offset, c->len, (const void *)c->data);
		else
			rc = check_cap(m, "a model's", c->offset, c->len);
	}
	return rc;
}

static int check_cfg_regs(struct cfg_map *m, const struct uiommufd_device_desc *d)
{
	unsigned size = d->exp_cap ? CFG_SIZE : CFG_CAPS;

	if (d->n_cfg_regs && !d->cfg_regs)
		return refuse(EINVAL, "%zu config registers at no address", d->n_cfg_regs);
	for (size_t i = 0; i < d->n_cfg_regs; i++) {
		const struct uiommufd_cfg_reg *r = &d->cfg_regs[i];

		if (r->offset % 4 || r->offset < CFG_STD || r->offset >= size)
			return refuse(EINVAL,
				      "config register at 0x%x: a multiple of 4 in 0x40-0x%x",
				      r->offset, size - 1);
		if (r->rw & r->rw1c)
			return refuse(EINVAL,
				      "config register 0x%x: bits 0x%x are both rw and rw1c",
				      r->offset, r->rw & r->rw1c);
		if (!take(m, r->offset, 4))
			return refuse(EINVAL, "config register 0x%x is taken already", r->offset);
	}
	return 0;
}

int function_desc_check(const struct uiommufd_device_desc *d)
{
	struct cfg_map m = { 0 };
	int rc = 0;

	if (!d->name || !d->name[0])
		return refuse(EINVAL, "a model without a name");
	if (d->vendor == 0xffff || !d->vendor)
		return refuse(EINVAL, "vendor id 0x%x stands for no device", d->vendor);
	if (d->class_code >> 24)
		return refuse(EINVAL, "class code 0x%x has more than 24 bits", d->class_code);
	if (d->interrupt_pin > 4)
		return refuse(EINVAL, "interrupt pin %u: 0 to 4", d->interrupt_pin);
	for (unsigned i = 0; !rc && i < UIOMMUFD_BARS; i++)
		rc = check_bar(d, i);
	if (!rc)
		rc = check_msix(d);
	if (!rc)
		rc = check_caps(&m, d);
	if (!rc)
		rc = check_cfg_regs(&m, d);
	return rc;
}
