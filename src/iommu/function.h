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
	unsigned index; /* vfio<index> */
	const struct uiommufd_device_ops *ops;
	struct uiommufd_device_desc desc;         /* after create() */
	unsigned bar_mode[UIOMMUFD_BARS];         /* chosen */
	void *state;                              /* the model's */
	struct mtx lock;                          /* LOCK_MODEL: serialises the callbacks */
	_Atomic bool bus_master;                  /* set by function_set_bus_master() */
	const struct function_vfio_ops *vfio_ops; /* NULL until the vfio layer is there */
	void *vfio;                               /* struct vfio_pci */
	struct function_thread *thread;           /* starts at the first kick */
};

/* Options of one device on the command line, parsed: model keys stay in argv. */
struct function_spec {
	const struct uiommufd_device_ops *ops;
	char name[32];                    /* PCI address "0000:01:00.0" */
	int group;                        /* < 0: one of its own */
	unsigned bar_mode[UIOMMUFD_BARS]; /* 0: default */
	char **argv;                      /* model options, NULL-terminated */
};

/**
 * function_create() - build a function, put it behind the machine's IOMMU and reset it
 * @spec: an empty name stands for the next free "0000:NN:00.0"
 *
 * Return: 0; -EINVAL the description or the spec makes no sense (the reason says what); -EEXIST
 *         the address is taken; -EBUSY the group has an owner; -ENOMEM; whatever the model's
 *         create() returns. Nothing is left behind but, possibly, an empty group.
 */
int function_create(struct machine *m, const struct function_spec *spec,
		    struct uiommufd_device **out);
/* Stops it for good. No file is open, its group is with the host. NULL is fine. */
void function_destroy(struct uiommufd_device *f);

/* Why a description is no PCI function: 0, or -EINVAL with the reason. */
int function_desc_check(const struct uiommufd_device_desc *desc);

/*
 * Register access for the file side: takes the device lock, splits nothing. What lies outside the
 * BAR, or is not naturally aligned 1, 2, 4 or 8 bytes, reads as 0 and is not written.
 */
uint64_t function_bar_read(struct uiommufd_device *f, unsigned bar, uint64_t off, unsigned size);
void function_bar_write(struct uiommufd_device *f, unsigned bar, uint64_t off, unsigned size,
			uint64_t val);

/* Bus mastering on or off (command register). Off: no DMA of it runs when this returns. */
void function_set_bus_master(struct uiommufd_device *f, bool on);

/*
 * Stops the model (its run() returns, DMA ends, sections drain), resets it, lets DMA go on.
 * No callback of an older request comes after it returns. Not with the device's lock held, not
 * from run(). Resets at the same time are done one after the other.
 */
void function_reset(struct uiommufd_device *f, enum uiommufd_reset kind);

/* Once per process and idempotent. -ENOMEM. */
int function_setup(void);

/*
 * The thread that runs a model (function_thread.c). It starts at the first kick and, in a fork
 * child, anew: threads do not survive fork().
 *
 * hold: no run() begins until release, wait: none is under way; one holder at a time, others
 * sleep. forget drops the kicks that came so far. destroy: held and waited for. NULL is fine.
 */
int function_thread_create(struct uiommufd_device *f, struct function_thread **out);
void function_thread_destroy(struct function_thread *t);
void function_thread_kick(struct function_thread *t);
void function_thread_hold(struct function_thread *t);
void function_thread_wait(struct function_thread *t);
void function_thread_forget(struct function_thread *t);
void function_thread_release(struct function_thread *t);

#endif
