/* SPDX-License-Identifier: MIT */
/*
 * A PCI function: a device model, its place on the bus and behind the IOMMU, its thread.
 *
 * struct uiommufd_device of the public header is struct function. The vfio layer owns config
 * space, BAR mappings and interrupt wiring and is reached through function_vfio_ops.
 */
#ifndef IOMMU_FUNCTION_H
#define IOMMU_FUNCTION_H

#include <uiommufd/device.h>

#include "iommu/device.h"
#include "iommu/machine.h"

/* What the model asks of the file side; filled by the vfio layer. */
struct function_vfio_ops {
	void (*irq)(void *arg, unsigned vector);
	void (*intx)(void *arg, bool level);
	bool (*msix_on)(void *arg);
	void (*cfg_or)(void *arg, unsigned off, uint32_t bits);
	void *(*bar_mem)(void *arg, unsigned bar);
};

struct uiommufd_device {
	struct list in_machine;
	struct machine *machine;
	struct iommu_device idev;
	unsigned index;				    /* vfio<index> */
	const struct uiommufd_device_ops *ops;
	struct uiommufd_device_desc desc;	    /* after create() */
	unsigned bar_mode[UIOMMUFD_BARS];	    /* chosen */
	void *state;				    /* the model's */
	struct mtx lock;			    /* LOCK_MODEL: serialises the callbacks */
	_Atomic bool bus_master;
	const struct function_vfio_ops *vfio_ops;   /* NULL until the vfio layer is there */
	void *vfio;				    /* struct vfio_pci */
	struct function_thread *thread;		    /* NULL until the first kick */
};

/* Options of one device on the command line, parsed: model keys stay in argv. */
struct function_spec {
	const struct uiommufd_device_ops *ops;
	char name[32];	/* PCI address "0000:01:00.0" */
	int group;	/* < 0: one of its own */
	unsigned bar_mode[UIOMMUFD_BARS]; /* 0: default */
	char **argv;	/* model options, NULL-terminated */
};

int function_create(struct machine *m, const struct function_spec *spec,
		    struct uiommufd_device **out);
void function_destroy(struct uiommufd_device *f);

/* Register access for the file side: takes the device lock, splits nothing. */
uint64_t function_bar_read(struct uiommufd_device *f, unsigned bar, uint64_t off, unsigned size);
void function_bar_write(struct uiommufd_device *f, unsigned bar, uint64_t off, unsigned size,
			uint64_t val);

/*
 * Stops the model (its run() returns, DMA ends, sections drain), resets it, lets DMA go on.
 * No callback of an older request comes after it returns.
 */
void function_reset(struct uiommufd_device *f, enum uiommufd_reset kind);

#endif
