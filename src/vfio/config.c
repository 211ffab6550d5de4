// SPDX-License-Identifier: MIT
/*
 * Live config space: what a client's reads and writes of it do.
 *
 * Every byte has a value and two masks (config_image.c). A few registers act: COMMAND, the power
 * state, the two function-reset bits, and dwords that belong to the model. Two bits are computed
 * when read: the INTx status and the MSI-X enable bit, which follows SET_IRQS and nothing else.
 */
#include <errno.h>
#include <string.h>

#include "abi/vfio.h"
#include "base/bits.h"
#include "base/why.h"
#include "vfio/pci.h"

void cfg_init(struct vfio_pci *dev)
{
	mtx_init(&dev->cfg.lock, LOCK_VFIO_CFG);
	memcpy(dev->cfg.val, dev->cfg.image.val, sizeof(dev->cfg.val));
	atomic_store(&dev->mem_rw, true);
	atomic_store(&dev->mem_map, true);
}

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] | at[1] << 8);
}

static bool in_d0(const struct vfio_cfg *cfg)
{
	return !cfg->image.pm || !(cfg->val[cfg->image.pm + PCI_PM_CTRL] & PCI_PM_CTRL_STATE_MASK);
}

static void tell_mappings(struct vfio_pci *dev, bool on)
{
	if (atomic_exchange(&dev->mem_map, on) == on || !dev->host->bar_access)
		return;
	for (unsigned i = 0; i < UIOMMUFD_BARS; i++)
		if (bar_mappable(dev, i))
			dev->host->bar_access(dev->host_arg, dev, i, on);
}

void cfg_apply_locked(struct vfio_pci *dev, bool tell)
{
	struct uiommufd_device *fn = dev->fn;
	bool d0, mem, master;
	uint16_t command;

	lock_assert_held(&dev->lock);
	mtx_lock(&dev->cfg.lock);
	command = get16(dev->cfg.val + PCI_COMMAND);
	d0 = in_d0(&dev->cfg);
	mtx_unlock(&dev->cfg.lock);
	mem = d0 && (command & PCI_COMMAND_MEMORY);
	master = d0 && (command & PCI_COMMAND_MASTER);
	tell |= atomic_exchange(&dev->mem_rw, mem) != mem;
	if (atomic_load(&fn->bus_master) != master) {
		function_set_bus_master(fn, master);
		tell = true;
	}
	if (tell && fn->ops->command_written) {
		uiommufd_device_lock(fn);
		fn->ops->command_written(fn->state, master, mem);
		uiommufd_device_unlock(fn);
	}
	intx_disable(dev, command & PCI_COMMAND_INTX_DISABLE);
	tell_mappings(dev, mem && !dev->low_power);
}

void cfg_open_locked(struct vfio_pci *dev)
{
	mtx_lock(&dev->cfg.lock);
	memcpy(dev->cfg.val, dev->cfg.image.val, sizeof(dev->cfg.val));
	mtx_unlock(&dev->cfg.lock);
	cfg_apply_locked(dev, true);
}

void cfg_reset_locked(struct vfio_pci *dev)
{
	const struct uiommufd_device_desc *d = &dev->fn->desc;
	struct vfio_cfg *cfg = &dev->cfg;

	mtx_lock(&cfg->lock);
	for (size_t i = 0; i < d->n_cfg_regs; i++)
		memcpy(cfg->val + d->cfg_regs[i].offset, cfg->image.val + d->cfg_regs[i].offset, 4);
	memcpy(cfg->val + PCI_STATUS, cfg->image.val + PCI_STATUS, 2);
	if (cfg->image.pm)
		memcpy(cfg->val + cfg->image.pm + PCI_PM_CTRL,
		       cfg->image.val + cfg->image.pm + PCI_PM_CTRL, 2);
	mtx_unlock(&cfg->lock);
	cfg_apply_locked(dev, true);
}

void cfg_quiet_locked(struct vfio_pci *dev)
{
	mtx_lock(&dev->cfg.lock);
	dev->cfg.val[PCI_COMMAND] &= (uint8_t)~PCI_COMMAND_MASTER;
	mtx_unlock(&dev->cfg.lock);
	cfg_apply_locked(dev, false);
}

static const struct uiommufd_cfg_reg *model_reg(const struct vfio_pci *dev, uint64_t pos)
{
	const struct uiommufd_device_desc *d = &dev->fn->desc;

	for (size_t i = 0; i < d->n_cfg_regs; i++)
		if (pos - d->cfg_regs[i].offset < 4)
			return &d->cfg_regs[i];
	return NULL;
}

void cfg_or(struct vfio_pci *dev, unsigned off, uint32_t bits)
{
	struct vfio_cfg *cfg = &dev->cfg;

	if (!model_reg(dev, off))
		return;
	off &= ~3u;
	mtx_lock(&cfg->lock);
	for (unsigned i = 0; i < 4; i++)
		cfg->val[off + i] |= (uint8_t)(bits >> (8 * i));
	mtx_unlock(&cfg->lock);
}

static int check_range(struct vfio_pci *dev, uint64_t pos, size_t n)
{
	unsigned size = dev->cfg.image.size;

	if (pos >= size || n > size - pos)
		return refuse(EFAULT, "%zu bytes at %#llx are not within config space of %u bytes",
			      n, (unsigned long long)pos, size);
	return 0;
}

static void snapshot(struct vfio_pci *dev, uint64_t pos, uint8_t *buf, size_t n)
{
	uint64_t msix = dev->cfg.image.msix ? dev->cfg.image.msix + PCI_MSIX_FLAGS + 1u
					    : UINT64_MAX;

	mtx_lock(&dev->cfg.lock);
	memcpy(buf, dev->cfg.val + pos, n);
	mtx_unlock(&dev->cfg.lock);
	if (PCI_STATUS - pos < n && atomic_load(&dev->irqs.level))
		buf[PCI_STATUS - pos] |= PCI_STATUS_INTERRUPT;
	if (msix - pos < n && irq_msix_on(dev))
		buf[msix - pos] |= PCI_MSIX_FLAGS_ENABLE >> 8;
}

ssize_t cfg_read(struct vfio_pci *dev, uintptr_t buf, size_t n, uint64_t pos)
{
	uint8_t chunk[256];
	size_t done = 0;
	int rc = check_range(dev, pos, n);

	if (rc)
		return rc;
	while (done < n) {
		size_t len = n - done < sizeof(chunk) ? n - done : sizeof(chunk);

		snapshot(dev, pos + done, chunk, len);
		rc = arg_out(buf + done, chunk, len);
		if (rc)
			return done ? (ssize_t)done : rc;
		done += len;
	}
	return (ssize_t)done;
}

/* States that the function does not have (D1, D2) are discarded, as the power management spec has.
 */
static uint8_t power_written(uint8_t old, uint8_t val)
{
	unsigned state = val & PCI_PM_CTRL_STATE_MASK;

	return state == 1 || state == 2 ? old : val;
}

static void write_byte(struct vfio_cfg *cfg, uint64_t pos, uint8_t val)
{
	uint8_t wr = cfg->image.wr[pos];
	uint8_t out = (uint8_t)((cfg->val[pos] & ~wr) | (val & wr));

	out &= (uint8_t) ~(val & cfg->image.w1c[pos]);
	if (cfg->image.pm && pos == cfg->image.pm + (uint64_t)PCI_PM_CTRL)
		out = power_written(cfg->val[pos], out);
	cfg->val[pos] = out;
}

static uint32_t dword(const struct vfio_cfg *cfg, unsigned off)
{
	return (uint32_t)get16(cfg->val + off) | (uint32_t)get16(cfg->val + off + 2) << 16;
}

/* Holds @pos..@pos+size-1 the byte @off of a capability at @cap, and its bit in @val? */
static bool asks_reset(uint64_t pos, unsigned size, uint64_t val, unsigned cap, unsigned off,
		       unsigned bit)
{
	return cap && cap + off - pos < size && (val >> (8 * (cap + off - pos)) & bit);
}

static bool is_control(const struct vfio_pci *dev, uint64_t pos, unsigned size)
{
	const struct cfg_image *img = &dev->cfg.image;

	return ranges_meet(pos, pos + size - 1, PCI_COMMAND, PCI_COMMAND + 1) ||
	       (img->pm &&
		ranges_meet(pos, pos + size - 1, img->pm + PCI_PM_CTRL, img->pm + PCI_PM_CTRL + 1));
}

static void write_unit(struct vfio_pci *dev, uint64_t pos, unsigned size, uint64_t val)
{
	const struct cfg_image *img = &dev->cfg.image;
	bool reset = asks_reset(pos, size, val, img->exp, PCI_EXP_DEVCTL + 1,
				dev->fn->desc.flr ? PCI_EXP_DEVCTL_BCR_FLR >> 8 : 0) ||
		     asks_reset(pos, size, val, img->af, PCI_AF_CTRL, PCI_AF_CTRL_FLR);
	bool control = is_control(dev, pos, size);
	const struct uiommufd_cfg_reg *reg = model_reg(dev, pos);
	uint32_t before = 0, after = 0;

	if (control || reset)
		mtx_lock(&dev->lock);
	uiommufd_device_lock(dev->fn);
	mtx_lock(&dev->cfg.lock);
	if (reg)
		before = dword(&dev->cfg, reg->offset);
	for (unsigned i = 0; i < size; i++)
		write_byte(&dev->cfg, pos + i, (uint8_t)(val >> (8 * i)));
	if (reg)
		after = dword(&dev->cfg, reg->offset);
	mtx_unlock(&dev->cfg.lock);
	if (before != after && dev->fn->ops->config_written)
		dev->fn->ops->config_written(dev->fn->state, reg->offset, after);
	uiommufd_device_unlock(dev->fn);
	if (control)
		cfg_apply_locked(dev, false);
	if (reset)
		dev_reset_locked(dev);
	if (control || reset)
		mtx_unlock(&dev->lock);
}

ssize_t cfg_write(struct vfio_pci *dev, uintptr_t buf, size_t n, uint64_t pos)
{
	size_t done = 0;
	int rc = check_range(dev, pos, n);

	if (rc)
		return rc;
	while (done < n) {
		unsigned size = 4;
		uint64_t val = 0;

		while (size > n - done || ((pos + done) & (size - 1)))
			size >>= 1;
		rc = arg_in(&val, buf + done, size);
		if (rc)
			return done ? (ssize_t)done : rc;
		write_unit(dev, pos + done, size, val);
		done += size;
	}
	return (ssize_t)done;
}
