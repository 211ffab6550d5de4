/* SPDX-License-Identifier: MIT */
/*
 * Which machine puts our tables in front of an IOMMU that other people wrote?
 *
 * A QEMU q35 with its emulated VT-d unit and one "edu" device behind it. The CPU is parked; the
 * test is the only software. Guest memory is a memfd that both sides map, so the test sees what DMA
 * did.
 *
 * Low memory: [0, RIG_RAM) is RAM. The harness keeps its own structures below RIG_TABLES; table
 * images go to [RIG_TABLES, RIG_DATA); what leaves may point at begins at RIG_DATA.
 */
#ifndef ORACLE_RIG_H
#define ORACLE_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qtest.h"

#define RIG_TABLES 0x1000000ULL
#define RIG_DATA   0x40000000ULL
#define RIG_RAM    0xaf000000ULL /* the most that q35 keeps in one piece below 4 GiB */
#define RIG_SLOTS  255 /* 16-byte slots in the edu device (QEMU 7.2 refuses the last of its 256) */
#define RIG_SLOT   16
#define RIG_MAXMEM 8

/* A piece of guest memory outside low RAM, so that leaves can have high output addresses. */
struct rig_mem {
	uint64_t start, len; /* bytes, multiples of 2 MiB */
};

struct rig_fault {
	bool valid, read;
	unsigned int reason; /* VT-d fault reason code */
	unsigned int source; /* requester id */
	uint64_t page;       /* IOVA of the 4 KiB page */
};

struct rig {
	struct qtest q;
	struct {
		uint64_t start, len;
		uint8_t *host;
		int fd;
	} mem[RIG_MAXMEM + 1];
	unsigned int nmem;
	int bios_fd;
	uint64_t context_lo, context_hi; /* of the tables under judgement */
};

/**
 * rig_start() - start a machine whose IOMMU is @aw_bits wide (39 or 48)
 * @extra:  memory beyond low RAM, each piece disjoint and below 2^@aw_bits
 *
 * Return: 0; -errno, nothing left running
 */
int rig_start(struct rig *r, const char *qemu, unsigned int aw_bits, const struct rig_mem *extra,
	      unsigned int nextra);
void rig_stop(struct rig *r);

/** rig_host() - where the test sees guest bytes [pa, pa+len); NULL when they are not all in one
 * memory */
uint8_t *rig_host(struct rig *r, uint64_t pa, uint64_t len);

/** rig_attach() - put the table at @root (@levels 3 or 4) under the device and flush every cache */
int rig_attach(struct rig *r, uint64_t root, unsigned int levels);

/** rig_flush_later() - drop cached translations before the next access; sent together with it */
void rig_flush_later(struct rig *r);

/** rig_load_buffer() - set all RIG_SLOTS * RIG_SLOT bytes of the device's buffer, untranslated */
int rig_load_buffer(struct rig *r, const uint8_t *bytes);
/** rig_save_buffer() - read them back, untranslated */
int rig_save_buffer(struct rig *r, uint8_t *bytes);

/**
 * rig_dma() - one translated DMA between @iova and slot @slot
 * @write: device to memory
 * @fault: the fault record the IOMMU left, cleared afterwards
 *
 * Return: 0 (also when it faulted); -errno when QEMU stopped answering
 */
int rig_dma(struct rig *r, uint64_t iova, unsigned int slot, unsigned int len, bool write,
	    struct rig_fault *fault);

#define RIG_SOURCE 0x20u /* requester id of 00:04.0 */

#endif
