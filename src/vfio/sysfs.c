// SPDX-License-Identifier: MIT
/*
 * The sysfs picture: what a client finds below /sys and /dev about the functions of a machine.
 *
 * It is a picture: plain files, directories and links, made once. Attributes that act when they
 * are written (reset, bind) are there and do nothing. Source: docs/abi/sysfs.md.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "abi/iommufd.h"
#include "abi/pci.h"
#include "base/bits.h"
#include "base/pool.h"
#include "base/why.h"
#include "vfio/pci.h"
#include "vfio/tree.h"

#define DRIVER "/sys/bus/pci/drivers/vfio-pci"

/* IORESOURCE_ flags as the resource file has them. */
#define RES_MEM       0x200u
#define RES_PREFETCH  0x2000u
#define RES_SIZEALIGN 0x40000u
#define RES_MEM_64    0x100000u

/* How an IOMMU shows itself, by the beginning of its kind's name. */
struct iommu_look {
	const char *kind, *name, *group; /* "dmar0" and its folder of attributes */
};

static const struct iommu_look looks[] = {
	{ "vtd", "dmar0", "intel-iommu" },
	{ "amd", "ivhd0", "amd-iommu" },
	{ "smmuv3", "smmu3.0x0000000009050000", NULL },
	{ "riscv", "riscv-iommu@10010000", NULL },
	{ "", "iommu0", NULL },
};

static const struct iommu_look *look_of(const struct iommu_kind *kind)
{
	for (size_t i = 0;; i++)
		if (!strncmp(kind->name, looks[i].kind, strlen(looks[i].kind)))
			return &looks[i];
}

/* A function and the names that many of its files contain. */
struct face {
	const struct sysfs_function *fn;
	char dev[96];    /* "/sys/devices/pci0000:01/0000:01:00.0" */
	char node[128];  /* dev/vfio-dev/vfio0 */
	char iommu[128]; /* "/sys/devices/virtual/iommu/dmar0" */
	char modalias[80];
};

static int face_make(const struct sysfs_function *fn, struct face *out)
{
	const struct uiommufd_device_desc *d = fn->desc;
	unsigned seg, bus, slot, func;
	char end;

	if (sscanf(fn->name, "%x:%x:%x.%x%c", &seg, &bus, &slot, &func, &end) != 4)
		return refuse(EINVAL, "\"%.31s\" is no PCI address", fn->name);
	out->fn = fn;
	snprintf(out->dev, sizeof(out->dev), "/sys/devices/pci%04x:%02x/%s", seg, bus, fn->name);
	snprintf(out->node, sizeof(out->node), "%s/vfio-dev/vfio%u", out->dev, fn->index);
	snprintf(out->iommu, sizeof(out->iommu), "/sys/devices/virtual/iommu/%s",
		 look_of(fn->kind)->name);
	snprintf(out->modalias, sizeof(out->modalias),
		 "pci:v%08Xd%08Xsv%08Xsd%08Xbc%02Xsc%02Xi%02X", d->vendor, d->device,
		 d->subsystem_vendor, d->subsystem_device, d->class_code >> 16 & 0xff,
		 d->class_code >> 8 & 0xff, d->class_code & 0xff);
	return 0;
}

static void write_power(struct tree *t)
{
	char dir[TREE_PATH];

	memcpy(dir, t->dir, sizeof(dir));
	tree_dir(t, "%s/power", dir);
	tree_text(t, "control", "auto\n");
	tree_text(t, "runtime_status", "suspended\n");
	memcpy(t->dir, dir, sizeof(dir));
}

static void write_identity(struct tree *t, const struct face *f)
{
	const struct uiommufd_device_desc *d = f->fn->desc;

	tree_text(t, "vendor", "0x%04x\n", d->vendor);
	tree_text(t, "device", "0x%04x\n", d->device);
	tree_text(t, "subsystem_vendor", "0x%04x\n", d->subsystem_vendor);
	tree_text(t, "subsystem_device", "0x%04x\n", d->subsystem_device);
	tree_text(t, "class", "0x%06x\n", d->class_code);
	tree_text(t, "revision", "0x%02x\n", d->revision);
	tree_text(t, "modalias", "%s\n", f->modalias);
	tree_text(t, "uevent",
		  "DRIVER=vfio-pci\nPCI_CLASS=%X\nPCI_ID=%04X:%04X\nPCI_SUBSYS_ID=%04X:%04X\n"
		  "PCI_SLOT_NAME=%s\nMODALIAS=%s\n",
		  d->class_code, d->vendor, d->device, d->subsystem_vendor, d->subsystem_device,
		  f->fn->name, f->modalias);
}

static void write_state(struct tree *t, const struct face *f)
{
	const struct uiommufd_device_desc *d = f->fn->desc;

	tree_text(t, "irq", "%u\n", d->interrupt_pin ? 11 : 0);
	tree_text(t, "numa_node", "-1\n");
	tree_text(t, "enable", "0\n");
	tree_text(t, "local_cpus", "1\n");
	tree_text(t, "local_cpulist", "0\n");
	tree_text(t, "driver_override", "(null)\n");
	tree_text(t, "dma_mask_bits", "64\n");
	tree_text(t, "consistent_dma_mask_bits", "64\n");
	tree_text(t, "msi_bus", "1\n");
	tree_text(t, "broken_parity_status", "0\n");
	tree_text(t, "power_state", "D0\n");
	if (d->pm_cap)
		tree_text(t, "d3cold_allowed", "1\n");
	if (d->exp_cap) {
		tree_text(t, "current_link_speed", "8.0 GT/s PCIe\n");
		tree_text(t, "current_link_width", "4\n");
		tree_text(t, "max_link_speed", "8.0 GT/s PCIe\n");
		tree_text(t, "max_link_width", "4\n");
	}
	tree_text(t, "reset_method", d->flr ? "flr bus\n" : "bus\n");
	tree_text(t, "reset", "%s", "");
	tree_text(t, "remove", "%s", "");
	tree_text(t, "rescan", "%s", "");
}

static void write_resources(struct tree *t, const struct face *f)
{
	const struct uiommufd_device_desc *d = f->fn->desc;
	char text[7 * 57 + 1], name[16];
	size_t n = 0;

	for (unsigned i = 0; i < 7; i++) {
		const struct uiommufd_bar *b = i < UIOMMUFD_BARS ? &d->bar[i] : NULL;
		uint64_t start = 0, last = 0, flags = 0;

		if (b && b->size) {
			start = cfg_bar_address(d, f->fn->index, i);
			last = start + (b->size - 1);
			flags = RES_MEM | RES_SIZEALIGN;
			flags |= b->is64 ? RES_MEM_64 | PCI_BASE_ADDRESS_MEM_TYPE_64 : 0u;
			flags |= b->prefetchable ? RES_PREFETCH | PCI_BASE_ADDRESS_MEM_PREFETCH
						 : 0u;
			snprintf(name, sizeof(name), "resource%u", i);
			tree_bytes(t, name, NULL, b->size);
		}
		n += (size_t)snprintf(text + n, sizeof(text) - n, "0x%016llx 0x%016llx 0x%016llx\n",
				      (unsigned long long)start, (unsigned long long)last,
				      (unsigned long long)flags);
	}
	tree_text(t, "resource", "%s", text);
}

static void write_config(struct tree *t, const struct face *f)
{
	struct cfg_image *img;

	if (t->rc)
		return;
	img = mem_alloc(sizeof(*img));
	t->rc = img ? cfg_image_build(f->fn->desc, f->fn->index, img)
		    : refuse(ENOMEM, "no memory for config space");
	if (!t->rc)
		tree_bytes(t, "config", img->val, img->size);
	mem_free(img);
}

static void write_device(struct tree *t, const struct face *f)
{
	tree_dir(t, "%s", f->dev);
	write_identity(t, f);
	write_state(t, f);
	write_resources(t, f);
	write_config(t, f);
	write_power(t);
	tree_link(t, "subsystem", "/sys/bus/pci");
	tree_link(t, "driver", DRIVER);
	tree_link(t, "iommu_group", "/sys/kernel/iommu_groups/%d", f->fn->group);
	tree_link(t, "iommu", "%s", f->iommu);
	tree_dir(t, "/sys/bus/pci/devices");
	tree_link(t, f->fn->name, "%s", f->dev);
	tree_dir(t, DRIVER);
	tree_link(t, f->fn->name, "%s", f->dev);
}

static void write_node(struct tree *t, const struct face *f)
{
	const struct sysfs_function *fn = f->fn;
	char name[24];

	snprintf(name, sizeof(name), "vfio%u", fn->index);
	tree_dir(t, "%s", f->node);
	tree_text(t, "dev", "%u:%u\n", fn->major, fn->minor);
	tree_text(t, "uevent", "MAJOR=%u\nMINOR=%u\nDEVNAME=vfio/devices/%s\n", fn->major,
		  fn->minor, name);
	tree_link(t, "subsystem", "/sys/class/vfio-dev");
	tree_link(t, "device", "%s", f->dev);
	write_power(t);
	tree_dir(t, "/sys/class/vfio-dev");
	tree_link(t, name, "%s", f->node);
	tree_dir(t, "/dev/vfio/devices");
	tree_bytes(t, name, "", 0);
	tree_dir(t, "/dev/char");
	snprintf(name, sizeof(name), "%u:%u", fn->major, fn->minor);
	tree_link(t, name, "/dev/vfio/devices/vfio%u", fn->index);
}

static const char *resv_name(enum iommu_resv_type type)
{
	switch (type) {
	case IOMMU_RESV_DIRECT:
		return "direct";
	case IOMMU_RESV_DIRECT_RELAXABLE:
		return "direct-relaxable";
	case IOMMU_RESV_RESERVED:
		return "reserved";
	default: /* one word for both kinds of interrupt window */
		return "msi";
	}
}

static void write_group(struct tree *t, const struct face *f)
{
	const struct iommu_kind *k = f->fn->kind;
	char text[1024], name[16];
	size_t n = 0;

	text[0] = 0;
	for (size_t i = 0; i < k->n_resv && n + 64 < sizeof(text); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "0x%016llx 0x%016llx %s\n",
				      (unsigned long long)k->resv[i].start,
				      (unsigned long long)k->resv[i].last,
				      resv_name(k->resv[i].type));
	tree_dir(t, "/sys/kernel/iommu_groups/%d", f->fn->group);
	tree_text(t, "reserved_regions", "%s", text);
	tree_text(t, "type", "DMA\n");
	tree_text(t, "name", "%s", "");
	tree_dir(t, "/sys/kernel/iommu_groups/%d/devices", f->fn->group);
	tree_link(t, f->fn->name, "%s", f->dev);

	snprintf(name, sizeof(name), "%d", f->fn->group);
	tree_dir(t, "/sys/devices/virtual/vfio/%s", name);
	tree_text(t, "dev", "%u:%s\n", f->fn->major + 1, name);
	tree_text(t, "uevent", "MAJOR=%u\nMINOR=%s\nDEVNAME=vfio/%s\n", f->fn->major + 1, name,
		  name);
	tree_link(t, "subsystem", "/sys/class/vfio");
	write_power(t);
	tree_dir(t, "/sys/class/vfio");
	tree_link(t, name, "/sys/devices/virtual/vfio/%s", name);
}

static void write_vtd(struct tree *t, const struct sysfs_function *fn)
{
	const struct iommu_kind *k = fn->kind;
	struct iommu_hw_info_data data = { 0 };
	struct iommu_hw_info_vtd vtd;

	if (k->hw_info) {
		struct iommu iommu = { .kind = k };
		struct iommu_device any = { .iommu = &iommu };

		if (fn->iommu)
			iommu = *fn->iommu;

		k->hw_info(&any, &data);
	}
	if (data.type != IOMMU_HW_INFO_TYPE_INTEL_VTD || data.len < sizeof(vtd))
		return;
	memcpy(&vtd, data.data, sizeof(vtd));
	tree_text(t, "cap", "%llx\n", (unsigned long long)vtd.cap_reg);
	tree_text(t, "ecap", "%llx\n", (unsigned long long)vtd.ecap_reg);
	tree_text(t, "version", "1:0\n");
	tree_text(t, "address", "fed90000\n");
	tree_text(t, "domains_supported", "65536\n");
	tree_text(t, "domains_used", "1\n");
}

static void write_iommu(struct tree *t, const struct face *f)
{
	const struct iommu_look *look = look_of(f->fn->kind);

	if (look->group) {
		tree_dir(t, "%s/%s", f->iommu, look->group);
		write_vtd(t, f->fn);
	}
	tree_dir(t, "%s/devices", f->iommu);
	tree_link(t, f->fn->name, "%s", f->dev);
	tree_dir(t, "%s", f->iommu);
	tree_text(t, "uevent", "%s", "");
	tree_link(t, "subsystem", "/sys/class/iommu");
	write_power(t);
	tree_dir(t, "/sys/class/iommu");
	tree_link(t, look->name, "%s", f->iommu);
}

static void write_modules(struct tree *t)
{
	tree_dir(t, "/sys/module/vfio/parameters");
	tree_text(t, "enable_unsafe_noiommu_mode", "N\n");
	tree_dir(t, "/sys/module/vfio_pci/parameters");
	tree_text(t, "disable_idle_d3", "N\n");
	tree_text(t, "disable_vga", "N\n");
	tree_text(t, "nointxmask", "N\n");
	tree_text(t, "enable_sriov", "N\n");
	tree_text(t, "disable_denylist", "N\n");
	tree_dir(t, "/sys/module/vfio_pci/drivers");
	tree_link(t, "pci:vfio-pci", DRIVER);
	tree_dir(t, "/sys/module/vfio_pci_core/parameters");
	tree_dir(t, "/sys/module/iommufd/parameters");
	tree_text(t, "allow_unsafe_interrupts", "N\n");
}

/* What is there with no function too. */
static void write_common(struct tree *t)
{
	static const char *const acting[] = { "bind", "unbind", "new_id", "remove_id", "uevent" };

	tree_dir(t, DRIVER);
	for (size_t i = 0; i < ARRAY_LEN(acting); i++)
		tree_bytes(t, acting[i], "", 0);
	tree_link(t, "module", "/sys/module/vfio_pci");
	tree_dir(t, "/sys/bus/pci/devices");
	tree_dir(t, "/sys/bus/pci");
	tree_bytes(t, "rescan", "", 0);
	tree_bytes(t, "drivers_probe", "", 0);
	tree_text(t, "drivers_autoprobe", "1\n");
	write_modules(t);
	tree_dir(t, "/sys/kernel/iommu_groups");
	tree_dir(t, "/sys/class/vfio-dev");
	tree_dir(t, "/dev/vfio/devices");
	tree_dir(t, "/dev");
	tree_bytes(t, "iommu", "", 0);
}

int sysfs_write(const char *root, const struct sysfs_function *fn, size_t n)
{
	struct tree t = { .root = root };

	write_common(&t);
	for (size_t i = 0; i < n && !t.rc; i++) {
		struct face f;

		t.rc = face_make(&fn[i], &f);
		if (t.rc)
			break;
		write_device(&t, &f);
		write_node(&t, &f);
		write_group(&t, &f);
		write_iommu(&t, &f);
	}
	return t.rc ? why_add(t.rc, "the sysfs picture below %s", root) : 0;
}
