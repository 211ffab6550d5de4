// SPDX-License-Identifier: MIT
/* What is the I/OAT function to the engine: its description, options and life? */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/devices.h"
#include "devices/ioat/ioat.h"

#define DEVICE_SKX 0x2021u
#define DEVICE_ICX 0x0b00u
#define CHANERRS   0x0007ffffu /* defined CHANERR bits */

/* Error registers beyond the capabilities. CHANERR_INT is the only one that the model sets. */
static const struct uiommufd_cfg_reg cfg_regs[] = {
	{ .offset = 0x148, .rw1c = UINT32_MAX }, /* DMAUNCERRSTS */
	{ .offset = 0x14c, .rw = UINT32_MAX },   /* its mask */
	{ .offset = 0x150, .rw = UINT32_MAX },   /* its severity */
	{ .offset = 0x154 },                     /* its pointer */
	{ .offset = IOAT_CFG_CHANERR, .rw1c = CHANERRS },
	{ .offset = 0x184, .rw = UINT32_MAX }, /* CHANERRMSK_INT */
	{ .offset = 0x188, .rw = UINT32_MAX }, /* CHANERRSEV_INT */
	{ .offset = 0x18c },                   /* CHANERRPTR */
};

static const struct uiommufd_device_desc ioat_desc = {
	.size = sizeof(ioat_desc),
	.name = "ioat",
	.summary = "Intel I/OAT DMA engine (CBDMA 3.3, one channel)",
	.vendor = 0x8086,
	.device = DEVICE_SKX,
	.subsystem_vendor = 0x8086,
	.class_code = 0x088000,
	.interrupt_pin = 1,
	.bar[0] = {
		.size = IOAT_BAR_SIZE,
		.is64 = true,
		/*
		 * Not poll: an equal value stored again to DMACOUNT is an event, and clients load
		 * CHANSTS right after that store. The registers share one page.
		 */
		.modes = UIOMMUFD_BAR_TRAP | UIOMMUFD_BAR_FAULT,
		.default_mode = UIOMMUFD_BAR_FAULT,
	},
	.msix_vectors = 1,
	.msix_bar = 0,
	.msix_table = 0x2000,
	.msix_pba = 0x3000,
	.msix_cap = 0x80,
	.exp_cap = 0x90, /* also gives config space its 4096 bytes */
	.pm_cap = 0xe0,
	.flr = true,
	.cfg_regs = cfg_regs,
	.n_cfg_regs = sizeof(cfg_regs) / sizeof(cfg_regs[0]),
};

static const struct uiommufd_option options[] = {
	{ "version", "0x32|0x33|0x34",
	  "value of the version register; from 0x34 on DPDK runs its error tests (default 0x33)" },
	{ "id", "2021|0b00", "device id: Skylake-SP or Ice Lake-SP (default 2021)" },
	{ "xfercap", "12..20", "log2 of the bytes one descriptor may move (default 20)" },
	{ "report-halt", "0|1",
	  "1: write the status of a halt whenever CHANCMP is set, not only if CHANCTRL bit 2 asks "
	  "for it (default 0)" },
	{ NULL, NULL, NULL },
};

/* The number after "=", in the base its prefix says or @base. */
static int parse(const char *arg, int base, unsigned long min, unsigned long max,
		 unsigned long *out)
{
	const char *text = strchr(arg, '=') + 1;
	char *end;
	unsigned long val;

	if (text[0] < '0' || text[0] > '9')
		return uiommufd_device_reason(EINVAL, "ioat: \"%s\" has no number", arg);
	val = strtoul(text, &end, base);
	if (*end || val < min || val > max)
		return uiommufd_device_reason(EINVAL, "ioat: \"%s\" is not in 0x%lx-0x%lx", arg,
					      min, max);
	*out = val;
	return 0;
}

static bool is_key(const char *arg, const char *key)
{
	size_t n = strlen(key);

	return !strncmp(arg, key, n) && arg[n] == '=';
}

static int take_option(struct ioat *io, struct uiommufd_device_desc *desc, const char *arg)
{
	unsigned long val = 0;
	int rc;

	if (is_key(arg, "version")) {
		rc = parse(arg, 0, 0x32, 0x34, &val);
		io->version = (uint8_t)val;
	} else if (is_key(arg, "id")) {
		rc = parse(arg, 16, DEVICE_ICX, DEVICE_SKX, &val);
		if (!rc && val != DEVICE_SKX && val != DEVICE_ICX)
			rc = uiommufd_device_reason(EINVAL, "ioat: \"%s\": 2021 or 0b00", arg);
		desc->device = (uint16_t)val;
	} else if (is_key(arg, "xfercap")) {
		rc = parse(arg, 0, 12, 20, &val);
		io->xfercap_lg2 = (uint8_t)val;
	} else if (is_key(arg, "report-halt")) {
		rc = parse(arg, 0, 0, 1, &val);
		io->report_halt = val;
	} else {
		rc = uiommufd_device_reason(EINVAL,
					    "ioat: no option \"%s\": version, id, xfercap, "
					    "report-halt",
					    arg);
	}
	return rc;
}

static int ioat_create(struct uiommufd_device *dev, struct uiommufd_device_desc *desc,
		       char *const argv[], void **state)
{
	struct ioat *io = calloc(1, sizeof(*io));
	int rc = 0;

	if (!io)
		return uiommufd_device_reason(ENOMEM, "ioat: no memory for its registers");
	io->dev = dev;
	io->version = 0x33;
	io->xfercap_lg2 = 20;
	for (; !rc && *argv; argv++)
		rc = take_option(io, desc, *argv);
	if (rc) {
		free(io);
		return rc;
	}
	*state = io;
	return 0;
}

static void ioat_destroy(void *state)
{
	free(state);
}

static void ioat_reset(void *state, enum uiommufd_reset kind)
{
	(void)kind; /* nothing survives a function reset either */
	channel_reset_all(state);
}

static void ioat_stop(void *state)
{
	struct ioat *io = state;

	atomic_fetch_or(&io->attention, IOAT_STOP);
}

const struct uiommufd_device_ops ioat_model = {
	.size = sizeof(ioat_model),
	.desc = &ioat_desc,
	.options = options,
	.create = ioat_create,
	.destroy = ioat_destroy,
	.reset = ioat_reset,
	.bar_read = ioat_bar_read,
	.bar_write = ioat_bar_write,
	.run = ioat_run,
	.stop = ioat_stop,
};
