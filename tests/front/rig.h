/* SPDX-License-Identifier: MIT */
/*
 * A plain client for the end-to-end tests: it sees /dev and /sys as any program does, and knows
 * nothing of us. Each test program runs under `uiommufd run`.
 */
#ifndef TESTS_FRONT_RIG_H
#define TESTS_FRONT_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

#include "abi/iommufd.h"
#include "abi/vfio.h"

#define NODE        "/dev/vfio/devices/vfio0"
#define PCI_NAME    "0000:01:00.0"
#define PCI_DIR     "/sys/bus/pci/devices/" PCI_NAME
#define PAGE        4096ul
#define BAR0        (0ull << 40)
#define CONFIG      (7ull << 40)
#define BAR_LEN     16384u
#define STATUS_MASK 7u

/* A context, a bound and attached device, its BAR 0 mapped and its channel reset. */
struct rig {
	int iommu, dev, event;
	uint32_t ioas, dev_id;
	volatile uint8_t *bar;
	struct rig_desc *ring; /* mapped at ring_iova; the completion word is its last */
	uint64_t ring_iova;
	unsigned slots;
};

void rig_open(struct rig *r);
void rig_close(struct rig *r);

/* Parts of it; each asserts that it works. */
int open_iommu(void);
int open_device(void);
int try_bind(int dev, int iommu); /* 0 or -errno */
uint32_t alloc_ioas(int iommu);
int try_alloc_ioas(int iommu, uint32_t *id);
uint64_t map_dma(struct rig *r, void *va, size_t len);
int unmap_dma(struct rig *r, uint64_t iova, size_t len);
void set_command(int dev, uint16_t bits);
uint16_t get_command(int dev);

/* Starts a copy of @len bytes in steps of at most @step; returns while it runs. */
void copy_start(struct rig *r, uint64_t dst, uint64_t src, size_t len, size_t step);
/* Waits for its end; the status bits (1: all done, 3: stopped by an error). */
unsigned copy_wait(struct rig *r);

/* Runs @fn in a forked child and returns its wait status; an exit status of 0 is success. */
int in_child(void (*fn)(void *arg), void *arg);
/* How many descriptors this process has open that are ours to see. */
size_t count_fds(void);

#endif
