/* SPDX-License-Identifier: MIT */
/*
 * A machine: IOMMUs, groups, functions, physical map and fault log that belong together. A
 * program can hold several. Contexts and files of the layers to the right hang off it.
 */
#ifndef IOMMU_MACHINE_H
#define IOMMU_MACHINE_H

#include "iommu/device.h"
#include "iommu/fault.h"
#include "mem/mm.h"
#include "mem/physmap.h"

struct machine {
	struct physmap *pm; /* immutable after machine_create() */
	struct mm *self;    /* the calling process's memory */
	struct iommu iommu;
	bool unsafe_interrupts; /* allow_unsafe_interrupts */
	struct iommu_fault_log faults;

	struct mtx lock;       /* LOCK_MACHINE: the lists */
	struct list functions; /* uiommufd_device.in_machine, in order of index */
	struct list groups;    /* iommu_group.in_machine */
	unsigned n_functions;  /* made so far: the next one's index */
};

struct machine_opts {
	const struct iommu_kind *kind;
	const char *iommu; /* instead: "KIND[,KEY=VALUE]..."; only looked at by the call */
	struct physmap_opts phys;
};

/* -EINVAL no kind, or not such a one; -ENOMEM, or what the memory layer says. Also sets up what the
 * process has once.
 */
int machine_create(const struct machine_opts *opts, struct machine **out);
/* Functions are destroyed by it; no context or file is left. NULL is fine. */
void machine_destroy(struct machine *m);
/* Asserts the invariants of all that belongs to it. */
void machine_check(struct machine *m);
/* The group @id, made when absent; @id < 0: a new one with the lowest free number. -ENOMEM. */
int machine_group(struct machine *m, int id, struct iommu_group **out);

#endif
