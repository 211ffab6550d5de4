// SPDX-License-Identifier: MIT
/*
 * Which machine puts our tables in front of an IOMMU that other people wrote? (see rig.h)
 *
 * Source: Intel VT-d architecture, register descriptions and legacy mode structures; QEMU
 * docs/specs/edu.
 */
#include "rig.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The harness's own structures in low RAM. */
#define ROOT_TABLE    0x200000ULL
#define CONTEXT_TABLE 0x201000ULL
#define SCRATCH       0x202000ULL

#define VTD           0xfed90000ULL
#define VTD_CAP       0x08
#define VTD_GCMD      0x18
#define VTD_GSTS      0x1c
#define VTD_RTADDR    0x20
#define VTD_CCMD      0x28
#define VTD_FSTS      0x34
#define VTD_IOTLB     0xf8
#define VTD_FRCD      0x220
#define GCMD_SRTP     (1u << 30)
#define GCMD_TE       (1u << 31)
#define FRCD_F        (1ULL << 63)
#define CTX_TT_PASS   (2ULL << 2)
#define CTX_PRESENT   1ULL
#define CTX_DOMAIN    (1ULL << 8)

#define EDU           0xfe000000ULL
#define EDU_SRC       0x80
#define EDU_DST       0x88
#define EDU_COUNT     0x90
#define EDU_CMD       0x98
#define EDU_BUFFER    0x40000ULL
#define EDU_START     1u
#define EDU_TO_RAM    2u
#define EDU_ID        0x010000edu

#define DMA_POLLS     100000

static int memfd_sized(const char *name, uint64_t len)
{
	/* Not close-on-exec: QEMU opens it as /dev/fd/N. */
	int fd = memfd_create(name, 0);

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)len)) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

static int add_mem(struct rig *r, uint64_t start, uint64_t len)
{
	int fd = memfd_sized("oracle-ram", len);
	void *host;

	if (fd < 0)
		return fd;
	host = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (host == MAP_FAILED) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	r->mem[r->nmem].start = start;
	r->mem[r->nmem].len = len;
	r->mem[r->nmem].host = host;
	r->mem[r->nmem].fd = fd;
	r->nmem++;
	return 0;
}

/* 64 KiB of firmware whose only work is to halt: with an idle CPU virtual time jumps to the next
 * timer. */
static int park_firmware(void)
{
	static const uint8_t park[4] = { 0xfa, 0xf4, 0xeb, 0xfd }; /* cli; hlt; jmp back to hlt */
	int fd = memfd_sized("oracle-bios", 0x10000);

	if (fd < 0)
		return fd;
	if (pwrite(fd, park, sizeof(park), 0xfff0) != (ssize_t)sizeof(park)) {
		close(fd);
		return -EIO;
	}
	return fd;
}

struct args {
	char *v[64];
	unsigned int n;
};

static void arg(struct args *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void arg(struct args *a, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (a->n + 1 >= sizeof(a->v) / sizeof(a->v[0]) || vasprintf(&a->v[a->n], fmt, ap) < 0)
		abort();
	va_end(ap);
	a->v[++a->n] = NULL;
}

static void build_args(struct rig *r, struct args *a, const char *qemu, unsigned int aw_bits)
{
	unsigned int i;

	arg(a, "%s", qemu);
	arg(a, "-accel");
	arg(a, "tcg,thread=single");
	arg(a, "-icount");
	arg(a, "shift=0,sleep=off,align=off");
	arg(a, "-bios");
	arg(a, "/dev/fd/%d", r->bios_fd);
	arg(a, "-cpu");
	/* For an AMD CPU QEMU keeps memory out of the addresses below 1 TiB. */
	arg(a, "max,vendor=GenuineIntel,phys-bits=52");
	arg(a, "-machine");
	arg(a, "q35,memory-backend=m0,hpet=off,pit=off,sata=off,smbus=off,i8042=off,vmport=off");
	arg(a, "-m");
	arg(a, "%lluM,slots=%d,maxmem=256T", RIG_RAM >> 20, RIG_MAXMEM);
	for (i = 0; i < r->nmem; i++) {
		arg(a, "-object");
		arg(a, "memory-backend-file,id=m%u,mem-path=/dev/fd/%d,size=%llu,share=on", i,
		    r->mem[i].fd, (unsigned long long)r->mem[i].len);
		if (!i)
			continue;
		arg(a, "-device");
		arg(a, "pc-dimm,memdev=m%u,addr=0x%llx", i, (unsigned long long)r->mem[i].start);
	}
	for (i = 0; i < 5; i++) {
		static const char *const off[] = { "-serial", "-monitor", "-vga", "-display",
						   "-parallel" };

		arg(a, "%s", off[i]);
		arg(a, "none");
	}
	arg(a, "-nodefaults");
	/* Snoop control: without it the unit takes the force-snoop bit of a leaf for a reserved
	 * one. */
	arg(a, "-device");
	arg(a, "intel-iommu,intremap=off,aw-bits=%u,snoop-control=on", aw_bits);
	arg(a, "-device");
	arg(a, "edu,addr=04.0,dma_mask=0xffffffffffffffff");
	arg(a, "-qtest");
	arg(a, "stdio");
	arg(a, "-qtest-log");
	arg(a, "none");
}

static void pci_config(struct rig *r, unsigned int reg, uint32_t val)
{
	qtest_cmd(&r->q, "outl 0xcf8 0x%x", 0x80000000u | RIG_SOURCE << 8 | reg);
	qtest_cmd(&r->q, "outl 0xcfc 0x%x", val);
}

static int setup_hardware(struct rig *r, unsigned int aw_bits)
{
	uint64_t v[QTEST_BATCH], mgaw;
	uint64_t *root = (uint64_t *)rig_host(r, ROOT_TABLE, 16);
	int rc;

	pci_config(r, 0x10, (uint32_t)EDU);
	pci_config(r, 0x04, 6);
	rc = qtest_flush(&r->q, NULL);
	if (rc)
		return rc;
	qtest_cmd(&r->q, "readl 0x%llx", EDU);
	qtest_cmd(&r->q, "readq 0x%llx", VTD + VTD_CAP);
	rc = qtest_flush(&r->q, v);
	if (rc)
		return rc;
	mgaw = ((v[1] >> 16) & 0x3f) + 1;
	if (v[0] != EDU_ID || mgaw != aw_bits) {
		fprintf(stderr,
			"oracle: edu id 0x%llx, VT-d CAP 0x%llx: not the machine asked for\n",
			(unsigned long long)v[0], (unsigned long long)v[1]);
		return -ENODEV;
	}
	root[0] = CONTEXT_TABLE | 1;
	qtest_cmd(&r->q, "writeq 0x%llx 0x%llx", VTD + VTD_RTADDR, ROOT_TABLE);
	qtest_cmd(&r->q, "writel 0x%llx 0x%x", VTD + VTD_GCMD, GCMD_SRTP);
	qtest_cmd(&r->q, "writel 0x%llx 0x%x", VTD + VTD_GCMD, GCMD_TE);
	qtest_cmd(&r->q, "readl 0x%llx", VTD + VTD_GSTS);
	rc = qtest_flush(&r->q, v);
	if (!rc && (v[3] & (GCMD_SRTP | GCMD_TE)) != (GCMD_SRTP | GCMD_TE))
		return -ENODEV;
	return rc;
}

int rig_start(struct rig *r, const char *qemu, unsigned int aw_bits, const struct rig_mem *extra,
	      unsigned int nextra)
{
	struct args a = { .n = 0 };
	unsigned int i;
	int rc;

	memset(r, 0, sizeof(*r));
	r->bios_fd = park_firmware();
	if (r->bios_fd < 0)
		return r->bios_fd;
	rc = add_mem(r, 0, RIG_RAM);
	for (i = 0; !rc && i < nextra; i++)
		rc = nextra > RIG_MAXMEM ? -E2BIG : add_mem(r, extra[i].start, extra[i].len);
	if (!rc) {
		build_args(r, &a, qemu, aw_bits);
		rc = qtest_start(&r->q, a.v);
		while (a.n)
			free(a.v[--a.n]);
	}
	if (!rc)
		rc = setup_hardware(r, aw_bits);
	if (rc)
		rig_stop(r);
	return rc;
}

void rig_stop(struct rig *r)
{
	qtest_stop(&r->q);
	while (r->nmem) {
		r->nmem--;
		munmap(r->mem[r->nmem].host, r->mem[r->nmem].len);
		close(r->mem[r->nmem].fd);
	}
	close(r->bios_fd);
}

uint8_t *rig_host(struct rig *r, uint64_t pa, uint64_t len)
{
	unsigned int i;

	for (i = 0; i < r->nmem; i++) {
		uint64_t off = pa - r->mem[i].start;

		if (pa >= r->mem[i].start && off < r->mem[i].len && len <= r->mem[i].len - off)
			return r->mem[i].host + off;
	}
	return NULL;
}

void rig_flush_later(struct rig *r)
{
	qtest_cmd(&r->q, "writeq 0x%llx 0x%llx", VTD + VTD_IOTLB, 1ULL << 63 | 1ULL << 60);
}

/* Set the device's context entry; every cached context and translation is dropped after it. */
static void set_context(struct rig *r, uint64_t lo, uint64_t hi)
{
	uint64_t *entry = (uint64_t *)rig_host(r, CONTEXT_TABLE + RIG_SOURCE * 16, 16);

	entry[0] = lo;
	entry[1] = hi;
	qtest_cmd(&r->q, "writeq 0x%llx 0x%llx", VTD + VTD_CCMD, 1ULL << 63 | 1ULL << 61);
	rig_flush_later(r);
}

static void translate_again(struct rig *r)
{
	set_context(r, r->context_lo, r->context_hi);
}

int rig_attach(struct rig *r, uint64_t root, unsigned int levels)
{
	r->context_lo = root | CTX_PRESENT;
	r->context_hi = CTX_DOMAIN | (levels - 2);
	translate_again(r);
	return qtest_flush(&r->q, NULL);
}

/* Start a transfer and wait for its end; the last fault record comes with the same replies. */
static int transfer(struct rig *r, uint64_t src, uint64_t dst, uint64_t len, uint32_t cmd,
		    struct rig_fault *fault)
{
	unsigned int polls, first = r->q.pending + 4;
	uint64_t v[QTEST_BATCH];

	qtest_cmd(&r->q, "writeq 0x%llx 0x%llx", EDU + EDU_SRC, (unsigned long long)src);
	qtest_cmd(&r->q, "writeq 0x%llx 0x%llx", EDU + EDU_DST, (unsigned long long)dst);
	qtest_cmd(&r->q, "writeq 0x%llx 0x%llx", EDU + EDU_COUNT, (unsigned long long)len);
	qtest_cmd(&r->q, "writeq 0x%llx 0x%x", EDU + EDU_CMD, cmd | EDU_START);
	for (polls = 0; polls < DMA_POLLS; polls++, first = 0) {
		int rc;

		qtest_cmd(&r->q, "readq 0x%llx", EDU + EDU_CMD);
		qtest_cmd(&r->q, "readq 0x%llx", VTD + VTD_FRCD + 8);
		qtest_cmd(&r->q, "readq 0x%llx", VTD + VTD_FRCD);
		rc = qtest_flush(&r->q, v);
		if (rc)
			return rc;
		if (v[first] & EDU_START)
			continue;
		fault->valid = v[first + 1] & FRCD_F;
		fault->read = v[first + 1] >> 62 & 1;
		fault->reason = v[first + 1] >> 32 & 0xff;
		fault->source = v[first + 1] & 0xffff;
		fault->page = v[first + 2];
		return 0;
	}
	fprintf(stderr, "oracle: a transfer did not end\n");
	return -ETIMEDOUT;
}

static int bypass_transfer(struct rig *r, uint64_t src, uint64_t dst, uint32_t cmd)
{
	struct rig_fault fault;
	int rc;

	/* Even a pass-through entry must name an address width the unit has. */
	set_context(r, CTX_TT_PASS | CTX_PRESENT, r->context_hi);
	rc = transfer(r, src, dst, RIG_SLOTS * RIG_SLOT, cmd, &fault);
	if (!rc && fault.valid) {
		fprintf(stderr, "oracle: untranslated DMA faulted, reason %u\n", fault.reason);
		rc = -EIO;
	}
	translate_again(r);
	return rc ? rc : qtest_flush(&r->q, NULL);
}

int rig_load_buffer(struct rig *r, const uint8_t *bytes)
{
	memcpy(rig_host(r, SCRATCH, RIG_SLOTS * RIG_SLOT), bytes, RIG_SLOTS * RIG_SLOT);
	return bypass_transfer(r, SCRATCH, EDU_BUFFER, 0);
}

int rig_save_buffer(struct rig *r, uint8_t *bytes)
{
	int rc = bypass_transfer(r, EDU_BUFFER, SCRATCH, EDU_TO_RAM);

	if (!rc)
		memcpy(bytes, rig_host(r, SCRATCH, RIG_SLOTS * RIG_SLOT), RIG_SLOTS * RIG_SLOT);
	return rc;
}

int rig_dma(struct rig *r, uint64_t iova, unsigned int slot, unsigned int len, bool write,
	    struct rig_fault *fault)
{
	uint64_t buf = EDU_BUFFER + (uint64_t)slot * RIG_SLOT;
	int rc;

	rc = write ? transfer(r, buf, iova, len, EDU_TO_RAM, fault)
		   : transfer(r, iova, buf, len, 0, fault);
	if (rc || !fault->valid)
		return rc;
	qtest_cmd(&r->q, "writel 0x%llx 0x%x", VTD + VTD_FRCD + 12, 1u << 31);
	qtest_cmd(&r->q, "writel 0x%llx 0x7f", VTD + VTD_FSTS);
	return 0;
}
