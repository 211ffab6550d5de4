// SPDX-License-Identifier: MIT
/*
 * The layout of config space: what a function's registers hold after power-on and which bits a
 * client can change, from the model's description.
 *
 * The same image is the `config` file of the sysfs picture, so the two cannot disagree.
 * Source: docs/abi/vfio_config_space.md.
 */
#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/why.h"
#include "vfio/pci.h"

/* Where the firmware of our machine would put BARs: a window per function, cosmetic. */
#define WIN32_BASE       0xc0000000ull
#define WIN32_STRIDE     (16 * MIB)
#define WIN64_BASE       0x380000000000ull
#define WIN64_STRIDE     (64 * GIB)

#define EXP_DEVCTL_RESET 0x2810u /* relaxed ordering, no snoop, 512-byte reads */
#define EXP_DEVCTL_WR                                                                             \
	(PCI_EXP_DEVCTL_CERE | PCI_EXP_DEVCTL_NFERE | PCI_EXP_DEVCTL_FERE | PCI_EXP_DEVCTL_URRE | \
	 PCI_EXP_DEVCTL_RELAX_EN | PCI_EXP_DEVCTL_PAYLOAD | PCI_EXP_DEVCTL_EXT_TAG |              \
	 PCI_EXP_DEVCTL_NOSNOOP_EN | PCI_EXP_DEVCTL_READRQ)
#define EXP_DEVCAP (1u /* 256-byte payload */ | PCI_EXP_DEVCAP_EXT_TAG | PCI_EXP_DEVCAP_RBER)
#define EXP_LINK   0x43u /* four lanes at 8 GT/s */

#define COMMAND_WR                                                                       \
	(PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | \
	 PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE)

/* Where the capabilities are that the chain shows. */
struct heads {
	uint8_t off[PCI_CFG_SPACE_SIZE / 4];
	unsigned n;
};

static void put(uint8_t *at, uint64_t val, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		at[i] = (uint8_t)(val >> (8 * i));
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
	       (uint32_t)at[3] << 24;
}

uint64_t cfg_bar_address(const struct uiommufd_device_desc *d, unsigned index, unsigned bar)
{
	uint64_t at32 = WIN32_BASE + index * WIN32_STRIDE, at64 = WIN64_BASE + index * WIN64_STRIDE;
	uint64_t at = 0;

	for (unsigned i = 0; i <= bar; i++) {
		uint64_t size = d->bar[i].size, *next = d->bar[i].is64 ? &at64 : &at32;

		at = 0;
		if (!size)
			continue;
		at = (*next + (size - 1)) & ~(size - 1);
		*next = at + size;
	}
	return at;
}

static void lay_bars(struct cfg_image *img, const struct uiommufd_device_desc *d, unsigned index)
{
	for (unsigned i = 0; i < UIOMMUFD_BARS; i++) {
		const struct uiommufd_bar *b = &d->bar[i];
		unsigned len = b->is64 ? 8 : 4;

		if (!b->size)
			continue;
		put(img->val + PCI_BASE_ADDRESS(i),
		    cfg_bar_address(d, index, i) | (b->is64 ? PCI_BASE_ADDRESS_MEM_TYPE_64 : 0u) |
			    (b->prefetchable ? PCI_BASE_ADDRESS_MEM_PREFETCH : 0u),
		    len);
		put(img->wr + PCI_BASE_ADDRESS(i), ~(b->size - 1), len);
	}
}

static void lay_header(struct cfg_image *img, const struct uiommufd_device_desc *d)
{
	put(img->val + PCI_VENDOR_ID, d->vendor, 2);
	put(img->val + PCI_DEVICE_ID, d->device, 2);
	put(img->val + PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	put(img->wr + PCI_COMMAND, COMMAND_WR, 2);
	put(img->w1c + PCI_STATUS, PCI_STATUS_RW1C, 2);
	put(img->val + PCI_CLASS_REVISION, (uint64_t)d->class_code << 8 | d->revision, 4);
	img->val[PCI_CACHE_LINE_SIZE] = 64 / 4;
	img->wr[PCI_CACHE_LINE_SIZE] = 0xff;
	put(img->val + PCI_SUBSYSTEM_VENDOR_ID, d->subsystem_vendor, 2);
	put(img->val + PCI_SUBSYSTEM_ID, d->subsystem_device, 2);
	img->val[PCI_INTERRUPT_LINE] = d->interrupt_pin ? 11 : 0;
	img->wr[PCI_INTERRUPT_LINE] = 0xff;
	img->val[PCI_INTERRUPT_PIN] = d->interrupt_pin;
}

static uint8_t *lay_head(struct cfg_image *img, struct heads *h, unsigned off, uint8_t id)
{
	h->off[h->n++] = (uint8_t)off;
	img->val[off + PCI_CAP_LIST_ID] = id;
	return img->val + off;
}

static void lay_pm(struct cfg_image *img, struct heads *h, unsigned off)
{
	uint8_t *at = lay_head(img, h, off, PCI_CAP_ID_PM);

	img->pm = (uint8_t)off;
	put(at + PCI_PM_PMC, 3, 2); /* version 3; D0 and D3hot, no PME */
	put(at + PCI_PM_CTRL, PCI_PM_CTRL_NO_SOFT_RESET, 2);
	put(img->wr + off + PCI_PM_CTRL, PCI_PM_CTRL_STATE_MASK, 2);
}

static void lay_exp(struct cfg_image *img, struct heads *h, unsigned off, bool flr)
{
	uint8_t *at = lay_head(img, h, off, PCI_CAP_ID_EXP);

	img->exp = (uint8_t)off;
	put(at + PCI_EXP_FLAGS, 2, 2); /* version 2, endpoint */
	put(at + PCI_EXP_DEVCAP, EXP_DEVCAP | (flr ? PCI_EXP_DEVCAP_FLR : 0u), 4);
	put(at + PCI_EXP_DEVCTL, EXP_DEVCTL_RESET, 2);
	put(img->wr + off + PCI_EXP_DEVCTL, EXP_DEVCTL_WR, 2);
	put(at + PCI_EXP_LNKCAP, EXP_LINK, 4);
	put(at + PCI_EXP_LNKSTA, EXP_LINK, 2);
	put(at + PCI_EXP_DEVCAP2, PCI_EXP_DEVCAP2_COMP_TMOUT_DIS, 4);
	put(img->wr + off + PCI_EXP_DEVCTL2,
	    PCI_EXP_DEVCTL2_COMP_TIMEOUT | PCI_EXP_DEVCTL2_COMP_TMOUT_DIS, 2);
	put(at + PCI_EXP_LNKCAP2, 0xe, 4); /* 2.5, 5 and 8 GT/s */
	put(at + PCI_EXP_LNKCTL2, 3, 2);
}

static void lay_msix(struct cfg_image *img, struct heads *h, const struct uiommufd_device_desc *d)
{
	uint8_t *at = lay_head(img, h, d->msix_cap, PCI_CAP_ID_MSIX);

	img->msix = d->msix_cap;
	put(at + PCI_MSIX_FLAGS, d->msix_vectors - 1u, 2);
	put(at + PCI_MSIX_TABLE, d->msix_table | d->msix_bar, 4);
	put(at + PCI_MSIX_PBA, d->msix_pba | d->msix_bar, 4);
}

/* Capabilities that make sense to a client; the rest stays out of the chain. */
static bool cap_shown(uint8_t id)
{
	switch (id) {
	case PCI_CAP_ID_AGP:
	case PCI_CAP_ID_VPD:
	case PCI_CAP_ID_PCIX:
	case PCI_CAP_ID_HT:
	case PCI_CAP_ID_VNDR:
	case PCI_CAP_ID_SATA:
	case PCI_CAP_ID_AF:
		return true;
	default:
		return false;
	}
}

static int lay_cap(struct cfg_image *img, struct heads *h, const struct uiommufd_pci_cap *c)
{
	if (c->id == PCI_CAP_ID_PM || c->id == PCI_CAP_ID_EXP || c->id == PCI_CAP_ID_MSIX ||
	    c->id == PCI_CAP_ID_MSI)
		return refuse(EINVAL, "capability id %#x at %#x is the engine's to lay out", c->id,
			      c->offset);
	img->val[c->offset] = c->id;
	if (c->len > 2)
		memcpy(img->val + c->offset + 2, c->data, c->len - 2u);
	if (!cap_shown(c->id))
		return 0;
	h->off[h->n++] = c->offset;
	if (c->id == PCI_CAP_ID_AF && c->len >= PCI_CAP_AF_SIZEOF &&
	    (c->data[PCI_AF_CAP - 2] & PCI_AF_CAP_FLR))
		img->af = c->offset;
	return 0;
}

/* Ascending, as firmware lays them out. */
static void link_caps(struct cfg_image *img, const struct heads *h)
{
	unsigned last = PCI_CAPABILITY_LIST - PCI_CAP_LIST_NEXT;

	for (unsigned off = PCI_STD_HEADER_SIZEOF; off < PCI_CFG_SPACE_SIZE; off += 4) {
		if (!memchr(h->off, (int)off, h->n))
			continue;
		img->val[last + PCI_CAP_LIST_NEXT] = (uint8_t)off;
		last = off;
	}
	if (h->n)
		put(img->val + PCI_STATUS, PCI_STATUS_CAP_LIST, 2);
}

static bool ext_hidden(unsigned id)
{
	switch (id) {
	case PCI_EXT_CAP_ID_RCLD:
	case PCI_EXT_CAP_ID_RCILC:
	case PCI_EXT_CAP_ID_RCEC:
	case PCI_EXT_CAP_ID_RCRB:
	case PCI_EXT_CAP_ID_CAC:
	case PCI_EXT_CAP_ID_MRIOV:
	case PCI_EXT_CAP_ID_AMD_XXX:
	case PCI_EXT_CAP_ID_SECPCI:
	case PCI_EXT_CAP_ID_PMUX:
	case PCI_EXT_CAP_ID_PASID:
		return true;
	default:
		return false;
	}
}

/* The first one cannot be unlinked, since nothing points to it: it becomes a nameless header. */
static void hide_ext_caps(struct cfg_image *img)
{
	unsigned prev = 0, off = PCI_EXT_CAP_START;

	for (unsigned steps = 0; steps < 960 && off + 4 <= img->size; steps++) {
		uint32_t head = get32(img->val + off);
		unsigned next = PCI_EXT_CAP_NEXT(head);

		if (head && ext_hidden(PCI_EXT_CAP_ID(head))) {
			uint32_t kept = prev ? get32(img->val + prev) & 0xfffffu : 0;

			put(img->val + (prev ? prev : off), kept | (uint32_t)next << 20, 4);
			prev = prev ? prev : off;
		} else {
			prev = off;
		}
		if (next < PCI_EXT_CAP_START)
			return;
		off = next;
	}
}

static void lay_regs(struct cfg_image *img, const struct uiommufd_device_desc *d)
{
	for (size_t i = 0; i < d->n_cfg_regs; i++) {
		const struct uiommufd_cfg_reg *r = &d->cfg_regs[i];

		put(img->val + r->offset, r->reset, 4);
		put(img->wr + r->offset, r->rw, 4);
		put(img->w1c + r->offset, r->rw1c, 4);
	}
}

int cfg_image_build(const struct uiommufd_device_desc *d, unsigned index, struct cfg_image *out)
{
	struct heads h = { .n = 0 };
	int rc = function_desc_check(d);

	if (rc)
		return rc;
	memset(out, 0, sizeof(*out));
	out->size = d->exp_cap ? PCI_CFG_SPACE_EXP_SIZE : PCI_CFG_SPACE_SIZE;
	lay_header(out, d);
	lay_bars(out, d, index);
	if (d->pm_cap)
		lay_pm(out, &h, d->pm_cap);
	if (d->exp_cap)
		lay_exp(out, &h, d->exp_cap, d->flr);
	if (d->msix_cap)
		lay_msix(out, &h, d);
	for (size_t i = 0; i < d->n_caps; i++) {
		rc = lay_cap(out, &h, &d->caps[i]);
		if (rc)
			return rc;
	}
	lay_regs(out, d);
	link_caps(out, &h);
	hide_ext_caps(out);
	return 0;
}
