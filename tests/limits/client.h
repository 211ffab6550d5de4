/* SPDX-License-Identifier: MIT */
/*
 * A plain client for the tests of what cannot be kept: open, ioctl, mmap, and one copy engine.
 *
 * It includes Linux's numbers and nothing of the engine; the engine comes by `uiommufd run`.
 */
#ifndef LIMITS_CLIENT_H
#define LIMITS_CLIENT_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "abi/iommufd.h"
#include "abi/vfio.h"

#define PAGE 4096ul
#define MIB  (1ul << 20)
#define NODE "/dev/vfio/devices/vfio0"
#define RW   (IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE)

/* What the engine's channel error register says of a copy whose source or destination failed. */
#define ERR_READ  0x100u
#define ERR_WRITE 0x200u
#define ERR_TIME  0x80000000u /* ours: it did not end */

struct client {
	int iommu, dev;
	uint32_t ioas;
	size_t bar_len;
	volatile uint8_t *regs;
	void *ring; /* one descriptor; a bounce buffer from PAGE on */
	uint64_t ring_iova;
};

#define BOUNCE_MAX (1 * MIB)

/* Opens, binds, attaches, starts. On failure -errno; what was opened stays in the descriptors. */
int client_try_open(struct client *c);
/* The same; a failure fails the test. */
void client_open(struct client *c);
void client_close(struct client *c);

/* 0 or -errno of one call. */
int client_bind(struct client *c);
int try_map(struct client *c, void *va, size_t len, unsigned flags, uint64_t *iova);
int try_unmap(struct client *c, uint64_t iova, size_t len);
uint64_t map(struct client *c, void *va, size_t len);
void unmap(struct client *c, uint64_t iova, size_t len);

/* The device copies; 0 or the channel error (ERR_*). */
uint32_t dma_copy(struct client *c, uint64_t dst, uint64_t src, size_t len);
/* The same in two steps, filling @len <= 1 MiB with @byte. */
void dma_fill_start(struct client *c, uint64_t dst, uint8_t byte, size_t len);
uint32_t dma_wait(struct client *c);
/* The device reads @len <= BOUNCE_MAX bytes at @iova into @buf, or writes them from there. */
uint32_t dma_read(struct client *c, uint64_t iova, void *buf, size_t len);
uint32_t dma_write(struct client *c, uint64_t iova, const void *buf, size_t len);
/* The byte that the device reads at @iova, -1 when it faults. */
int dma_byte(struct client *c, uint64_t iova);
/* 0, or the channel error when the device writes one byte there. */
uint32_t dma_put(struct client *c, uint64_t iova, uint8_t byte);

/* Private memory. */
void *pages(size_t len);

/* Standard error between the two, cut to what fits; the reasons that --explain tells are there. */
void listen_begin(void);
const char *listen_end(void);

/* Runs @fn in a child; its exit status, or 1000 + the signal that ended it. */
int in_child(int (*fn)(void *arg), void *arg);

/* Every case gets an open client, closed when it ends. */
int case_open(void **state);
int case_close(void **state);
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, case_open, case_close)

#define assert_says(text, part)                                 \
	do {                                                    \
		if (!strstr(text, part))                        \
			fail_msg("no '%s' in: %s", part, text); \
	} while (0)

#endif
