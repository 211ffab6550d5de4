/* SPDX-License-Identifier: MIT */
/*
 * <uiommufd/device.h>: write a device model.
 *
 * A model is a table of callbacks and a description of one PCI function. It sees registers and
 * does DMA; config space, BAR mapping, interrupts, reset plumbing and the IOMMU are the engine's.
 * The header is all a model needs, ours or a third party's.
 *
 * Threads. The engine serialises all callbacks of one device except run(): bar_read, bar_write,
 * config_written, reset and stop are called with the device's lock held, possibly in a client's
 * thread (even from its page fault). run() is called on the device's own thread, without that
 * lock, after uiommufd_device_kick(); use uiommufd_device_lock() around shared state, and never
 * call the uiommufd_dma_* functions or uiommufd_device_irq() with it held. stop() asks run() to
 * return soon; DMA fails with -ECANCELED from then until the reset that follows.
 */
#ifndef UIOMMUFD_DEVICE_H
#define UIOMMUFD_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct uiommufd_device; /* the engine's side of one function */

#define UIOMMUFD_BARS 6

enum uiommufd_bar_mode {
	UIOMMUFD_BAR_TRAP = 1,  /* not mappable: read and written through the file */
	UIOMMUFD_BAR_POLL = 2,  /* shared memory, watched: the model sees the latest value only */
	UIOMMUFD_BAR_FAULT = 4, /* mappable, each access faults and is performed on the model */
};

struct uiommufd_bar {
	uint64_t size; /* power of two, at least 4096 for mappable ones; 0: absent */
	bool is64;     /* takes the next slot too, which must be absent */
	bool prefetchable;
	unsigned modes;        /* allowed uiommufd_bar_mode bits */
	unsigned default_mode; /* one of them */
};

struct uiommufd_pci_cap {
	uint8_t id;          /* standard capability, the engine lays out PM, EXP and MSI-X itself */
	uint8_t offset;      /* in config space */
	uint8_t len;         /* bytes incl. the two header bytes */
	const uint8_t *data; /* len - 2 bytes after the header */
};

/* A dword of config space beyond the standard registers that belongs to the model. */
struct uiommufd_cfg_reg {
	uint16_t offset; /* multiple of 4 */
	uint32_t reset;  /* value after reset */
	uint32_t rw;     /* plain writable bits */
	uint32_t rw1c;   /* bits cleared by writing 1 */
};

struct uiommufd_device_desc {
	size_t size; /* sizeof(struct uiommufd_device_desc) */
	const char *name, *summary;
	uint16_t vendor, device, subsystem_vendor, subsystem_device;
	uint32_t class_code; /* 24 bits: base << 16 | sub << 8 | interface */
	uint8_t revision;
	uint8_t interrupt_pin; /* 1: INTA; 0: none */
	struct uiommufd_bar bar[UIOMMUFD_BARS];
	uint16_t msix_vectors; /* 0: no MSI-X */
	uint8_t msix_bar;
	uint32_t msix_table, msix_pba;     /* offsets in that BAR, multiples of 8 */
	uint8_t msix_cap, exp_cap, pm_cap; /* config offsets; 0: capability absent */
	bool flr;                          /* function level reset through the PCIe capability */
	const struct uiommufd_cfg_reg *cfg_regs;
	size_t n_cfg_regs;
	const struct uiommufd_pci_cap *caps;
	size_t n_caps;
};

/* One "key=value" option of a model, for --help and `uiommufd list`. */
struct uiommufd_option {
	const char *key, *value_hint, *help;
};

enum uiommufd_reset {
	UIOMMUFD_RESET_POWER_ON,
	UIOMMUFD_RESET_FUNCTION, /* FLR, VFIO_DEVICE_RESET, open and close of the device file */
};

struct uiommufd_device_ops {
	size_t size; /* sizeof(struct uiommufd_device_ops) */
	const struct uiommufd_device_desc *desc;
	const struct uiommufd_option *options; /* ends with a NULL key; may be NULL */

	/*
	 * Builds a device. @desc is a copy that create may adjust (ids, sizes) to its options:
	 * @argv holds "key=value" strings for the model (engine's own keys removed), NULL at its
	 * end. Returns 0 and *state, or -errno after uiommufd_device_reason().
	 */
	int (*create)(struct uiommufd_device *dev, struct uiommufd_device_desc *desc,
		      char *const argv[], void **state);
	void (*destroy)(void *state);
	void (*reset)(void *state, enum uiommufd_reset kind);

	/* @size is 1, 2, 4 or 8 and @off a multiple of it. Reads of nothing give 0. */
	uint64_t (*bar_read)(void *state, unsigned bar, uint64_t off, unsigned size);
	void (*bar_write)(void *state, unsigned bar, uint64_t off, unsigned size, uint64_t val);

	/* A model register in config space (desc->cfg_regs) changed; may be NULL. */
	void (*config_written)(void *state, unsigned off, uint32_t val);

	/* Bus-master enable or memory decode changed; may be NULL. */
	void (*command_written)(void *state, bool bus_master, bool memory);

	/* Work for the device's thread; returns when there is none. May be NULL. */
	void (*run)(void *state);
	/* Asks run() to return as soon as it can. May be NULL when run is. */
	void (*stop)(void *state);

	/* Poll-mode BARs: a watched cell changed from what the engine saw last. May be NULL. */
	void (*bar_changed)(void *state, unsigned bar);
};

/* The device's lock: see Threads above. */
void uiommufd_device_lock(struct uiommufd_device *dev);
void uiommufd_device_unlock(struct uiommufd_device *dev);

/* Has run() called soon on the device's thread (started at the first kick). Any thread. */
void uiommufd_device_kick(struct uiommufd_device *dev);

/*
 * DMA. @pasid: UIOMMUFD_NO_PASID for requests without one. Addresses are IOVAs of any alignment;
 * a transfer may cross any number of pages and is done in order, at most 64 KiB between checks.
 *
 * Return: 0; -EFAULT translation fault (recorded with the reason; the bytes before it were moved);
 * -EPERM bus mastering is off; -ECANCELED the device is stopping; -ENOMEM no memory for the first
 * DMA of a thread.
 */
#define UIOMMUFD_NO_PASID 0u

int uiommufd_dma_read(struct uiommufd_device *dev, uint32_t pasid, uint64_t iova, void *buf,
		      size_t len);
int uiommufd_dma_write(struct uiommufd_device *dev, uint32_t pasid, uint64_t iova, const void *buf,
		       size_t len);

enum uiommufd_dma_side { UIOMMUFD_DMA_SRC, UIOMMUFD_DMA_DST };

/* Where a transfer stopped. */
struct uiommufd_dma_fault {
	uint64_t iova;
	enum uiommufd_dma_side side;
	uint64_t done; /* bytes moved before */
};

/* IOVA to IOVA, without a bounce buffer; @fault may be NULL. */
int uiommufd_dma_copy(struct uiommufd_device *dev, uint32_t pasid, uint64_t dst, uint64_t src,
		      uint64_t len, struct uiommufd_dma_fault *fault);
/* Repeats the 8 bytes of @pattern from the first byte of @dst. */
int uiommufd_dma_fill(struct uiommufd_device *dev, uint32_t pasid, uint64_t dst, uint64_t pattern,
		      uint64_t len, struct uiommufd_dma_fault *fault);
/* One single-copy-atomic aligned store/load of 4 or 8 bytes; the store has release order. */
int uiommufd_dma_store(struct uiommufd_device *dev, uint32_t pasid, uint64_t iova, uint64_t val,
		       unsigned size);
int uiommufd_dma_load(struct uiommufd_device *dev, uint32_t pasid, uint64_t iova, uint64_t *val,
		      unsigned size);

/* Signals MSI-X vector @vector (or INTx when @vector is 0 and MSI-X is off). Any thread. */
void uiommufd_device_irq(struct uiommufd_device *dev, unsigned vector);
/* Drives the INTx line. */
void uiommufd_device_intx(struct uiommufd_device *dev, bool level);
/* True when MSI-X is enabled by the client. */
bool uiommufd_device_msix_on(struct uiommufd_device *dev);

/* ORs @bits into a model register of config space (desc->cfg_regs), as hardware would. */
void uiommufd_device_cfg_or(struct uiommufd_device *dev, unsigned off, uint32_t bits);

/* Memory of a poll-mode BAR. */
void *uiommufd_device_bar(struct uiommufd_device *dev, unsigned bar);

/* Stores why create() refuses; returns -@err. */
int uiommufd_device_reason(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#ifdef __cplusplus
}
#endif
#endif
