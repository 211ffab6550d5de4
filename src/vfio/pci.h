/* SPDX-License-Identifier: MIT */
/*
 * What the rooms of the vfio layer share about one PCI function: its file side.
 *
 * Locks, outermost first. dev->lock (LOCK_CDEV) serialises everything a client changes on purpose:
 * binding, attachment, SET_IRQS, reset, power, the control registers of config space. Inside it
 * come the model's lock, cfg.lock (config bytes) and irqs.lock (what a signal reads). The device
 * thread and the watcher take only the last three, so that waiting for them under dev->lock is
 * safe. mmap(2) checks and fault-mode accesses take no dev->lock either.
 */
#ifndef VFIO_PCI_H
#define VFIO_PCI_H

#include "abi/pci.h"
#include "base/list.h"
#include "base/lock.h"
#include "vfio/event.h"
#include "vfio/vfio.h"
#include "vfio/watch.h"

#define REGION_SHIFT 40u
#define REGION_MASK  ((1ull << REGION_SHIFT) - 1)

/* Config space as it is after power-on, and which bits a client can change. */
struct cfg_image {
	unsigned size;             /* 256, or 4096 with a PCI Express capability */
	uint8_t pm, exp, msix, af; /* offsets; 0: absent */
	uint8_t val[PCI_CFG_SPACE_EXP_SIZE];
	uint8_t wr[PCI_CFG_SPACE_EXP_SIZE];  /* plain writable bits */
	uint8_t w1c[PCI_CFG_SPACE_EXP_SIZE]; /* bits cleared by writing 1 */
};

/*
 * Lays out config space for @d; @index (vfio<index>) decides where the BARs are.
 * -EINVAL: function_desc_check() refuses it, or it brings a capability that is the engine's.
 */
int cfg_image_build(const struct uiommufd_device_desc *d, unsigned index, struct cfg_image *out);
/* The address a BAR is given; 0 when absent. One truth for config space and sysfs. */
uint64_t cfg_bar_address(const struct uiommufd_device_desc *d, unsigned index, unsigned bar);

struct vfio_cfg {
	struct cfg_image image; /* immutable */
	struct mtx lock;        /* LOCK_VFIO_CFG */
	uint8_t val[PCI_CFG_SPACE_EXP_SIZE];
};

#define IRQ_TYPE_NONE (-1)

struct vfio_irqs {
	_Atomic int
		type; /* VFIO_PCI_INTX/MSIX_IRQ_INDEX or IRQ_TYPE_NONE; written under both locks */
	_Atomic bool level; /* the model drives the line */
	bool msix_fixed; /* vectors beyond those enabled first are refused; immutable when bound */

	struct mtx lock; /* LOCK_VFIO_IRQ: guards what follows */
	bool pulse;      /* a one-shot INTx waits for the unmask */
	bool masked;     /* by the client, or automatically by the last signal */
	bool disabled;   /* COMMAND.INTX_DISABLE */
	struct event intx, err, req;
	struct event *vec; /* MSI-X, one per table entry; NULL when off */
	unsigned nvec;     /* enabled first */

	/* Under dev->lock. */
	struct event resample;
	struct watch_src resample_src;
};

struct vfio_pci {
	struct uiommufd_device *fn;
	const struct vfio_host_ops *host;
	void *host_arg;
	int memfd;
	void *bar_mem[UIOMMUFD_BARS]; /* poll mode: our mapping of the memfd */

	struct vfio_cfg cfg;
	struct vfio_irqs irqs;
	struct watch watch;
	_Atomic bool mem_rw;   /* BARs answer pread and pwrite: memory decode on, in D0 */
	_Atomic bool mem_map;  /* and mappings do: not in low power */
	_Atomic bool wakeable; /* low power with a wake-up eventfd: the next call ends it */
	/* For other functions' hot reset: whose context, and the id there. */
	struct iommufd_ctx *_Atomic bound_ctx;
	_Atomic uint32_t bound_id;

	struct mtx lock; /* LOCK_CDEV: guards what follows */
	unsigned files;
	struct vfio_file *owner; /* the bound file, or NULL */
	struct iommufd_ctx *ctx;
	struct iommufd_device *idev;
	bool attached;
	bool low_power;
	struct event wakeup;
	struct list ioevents;
	unsigned n_ioevents;
};

struct vfio_file {
	struct vfio_pci *dev;
	_Atomic bool bound;
};

/* Copies of ioctl arguments: 0 or -EFAULT. */
int arg_in(void *dst, uintptr_t from, size_t n);
int arg_out(uintptr_t to, const void *src, size_t n);
/* The first @min bytes, which begin with argsz: -EFAULT, or -EINVAL when argsz < @min. */
int arg_min(void *dst, uintptr_t arg, size_t min, const char *what);

/* config.c. "_locked" is dev->lock. */
void cfg_init(struct vfio_pci *dev);
void cfg_open_locked(struct vfio_pci *dev);  /* the state a client finds after BIND */
void cfg_reset_locked(struct vfio_pci *dev); /* what a function reset leaves */
void cfg_quiet_locked(struct vfio_pci *dev); /* bus master off */
/* Makes memory decode, bus mastering and INTx follow the registers; @tell: the model in any case.
 */
void cfg_apply_locked(struct vfio_pci *dev, bool tell);
ssize_t cfg_read(struct vfio_pci *dev, uintptr_t buf, size_t n, uint64_t pos);
ssize_t cfg_write(struct vfio_pci *dev, uintptr_t buf, size_t n, uint64_t pos);
void cfg_or(struct vfio_pci *dev, unsigned off, uint32_t bits);

/* bar.c: one aligned access of 1, 2, 4 or 8 bytes; the MSI-X table and PBA are not the model's. */
uint64_t bar_load(struct vfio_pci *dev, unsigned bar, uint64_t off, unsigned size);
void bar_store(struct vfio_pci *dev, unsigned bar, uint64_t off, unsigned size, uint64_t val);
/* Does [off, off + len) of @bar meet the MSI-X table? */
bool bar_meets_table(const struct vfio_pci *dev, unsigned bar, uint64_t off, uint64_t len);
ssize_t bar_read(struct vfio_pci *dev, unsigned bar, uintptr_t buf, size_t n, uint64_t pos);
ssize_t bar_write(struct vfio_pci *dev, unsigned bar, uintptr_t buf, size_t n, uint64_t pos);
bool bar_mappable(const struct vfio_pci *dev, unsigned bar);
int bar_init(struct vfio_pci *dev);
void bar_finish(struct vfio_pci *dev);
void bar_wipe(struct vfio_pci *dev); /* poll-mode memory reads 0 */
/* Looks at a poll-mode BAR until the watcher stops; 0 for other modes. -ENOMEM, -EAGAIN. */
int bar_watch(struct vfio_pci *dev, unsigned bar);

/* info.c, region.c */
long dev_get_info(struct vfio_pci *dev, uintptr_t arg);
long dev_get_region_info(struct vfio_pci *dev, uintptr_t arg);

/* irq.c, intx.c */
void irq_init(struct vfio_pci *dev);
void irq_drop_locked(struct vfio_pci *dev); /* every eventfd goes; also from destroy */
long irq_get_info(struct vfio_pci *dev, uintptr_t arg);
long irq_set(struct vfio_pci *dev, uintptr_t arg);
unsigned irq_count(const struct vfio_pci *dev, unsigned index);
void irq_raise(struct vfio_pci *dev, unsigned vector);
bool irq_msix_on(struct vfio_pci *dev);
void intx_level(struct vfio_pci *dev, bool level);
void intx_raise(struct vfio_pci *dev); /* one-shot */
void intx_disable(struct vfio_pci *dev, bool disabled);
void intx_reset(struct vfio_pci *dev);
void intx_drop_locked(struct vfio_pci *dev);

/* SET_IRQS, checked and copied. */
struct irq_req {
	uint32_t type;   /* one VFIO_IRQ_SET_DATA_ bit */
	uint32_t action; /* VFIO_IRQ_SET_ACTION_ bits */
	uint32_t index, start, count;
	const void *data; /* bool or int32_t per vector; NULL with DATA_NONE or no vector */
};
/* What a request without descriptors says of vector @i: act on it? */
static inline bool irq_req_on(const struct irq_req *r, uint32_t i)
{
	return !r->data || ((const uint8_t *)r->data)[i];
}
long intx_set_locked(struct vfio_pci *dev, const struct irq_req *r);

/* feature.c */
long dev_feature(struct vfio_pci *dev, uintptr_t arg);
void dev_wake(struct vfio_pci *dev);             /* a call reached the function */
void low_power_end_locked(struct vfio_pci *dev); /* without a signal */

/* reset.c */
bool dev_can_reset(struct vfio_pci *dev);
long dev_reset(struct vfio_pci *dev);
void dev_reset_locked(struct vfio_pci *dev);
long dev_hot_reset_info(struct vfio_pci *dev, uintptr_t arg);
long dev_hot_reset(struct vfio_pci *dev, uintptr_t arg);

/* ioeventfd.c */
long dev_ioeventfd(struct vfio_pci *dev, uintptr_t arg);
void ioevents_drop_locked(struct vfio_pci *dev);

#endif
