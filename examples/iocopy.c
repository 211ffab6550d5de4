// SPDX-License-Identifier: MIT
/*
 * iocopy: copies a file with an Intel I/OAT DMA engine, through iommufd and VFIO.
 *
 * A plain client of Linux: it opens /dev/iommu and the device found through sysfs, maps a source
 * (the file itself, mmapped) and a destination into an IO address space, lets the device copy
 * between their IOVAs, waits for its interrupt, unmaps, and writes the copy. On a machine with
 * the hardware, the device bound to vfio-pci, it runs as it is.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "uapi.h"

#define PCI_DEVICES   "/sys/bus/pci/devices"
#define IOAT_VENDOR   0x8086
#define IOAT_DEVICE   0x2021
#define MIB           (1ul << 20)
#define MAX_JOBS      65535u /* the device counts descriptors in 16 bits */
#define WAIT_MS       60000
#define EXIT_DMA_FAIL 3

/* Registers of channel 0, from the start of BAR 0. */
enum {
	REG_XFERCAP = 0x01,
	REG_INTRCTRL = 0x03,
	CH_CTRL = 0x80,
	CH_CMD = 0x84,
	CH_COUNT = 0x86,
	CH_STATUS = 0x88,
	CH_CHAIN = 0x90,
	CH_COMPLETION = 0x98,
	CH_ERROR = 0xa8,
};

#define CMD_RESET        0x20
#define CTRL_ERROR_FLAGS 0x1c /* completion, abort and interrupt on error */
#define CTRL_REARM       0x01
#define STATUS_MASK      7u
#define STATUS_HALTED    3u
#define DESC_INTERRUPT   1u
#define DESC_COMPLETION  8u

struct descriptor {
	uint32_t size, control;
	uint64_t src, dst, next, unused[4];
};

struct copier {
	int iommu, device, event;
	uint32_t ioas;
	volatile uint8_t *regs;
	struct descriptor
		*ring; /* mapped for the device at ring_iova; the completion word follows */
	uint64_t ring_iova, completion_iova;
	size_t ring_bytes;
	volatile uint64_t *completion;
	size_t max_transfer;
};

static void die(const char *fmt, ...)
{
	int err = errno;
	va_list ap;

	fprintf(stderr, "iocopy: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, err ? ": %s\n" : "\n", strerror(err));
	exit(1);
}

static unsigned long read_number(const char *device, const char *attribute)
{
	char path[512], text[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/%s", device, attribute);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (!fgets(text, sizeof(text), f))
		text[0] = 0;
	fclose(f);
	return strtoul(text, NULL, 16);
}

/* The node of a function that VFIO drives: PCI_DEVICES/<address>/vfio-dev/vfioN. */
static int find_node(const char *address, char *node, size_t len)
{
	char path[512];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/vfio-dev", address);
	d = opendir(path);
	if (!d)
		return 0;
	while ((e = readdir(d)) && strncmp(e->d_name, "vfio", 4))
		;
	if (e)
		snprintf(node, len, "/dev/vfio/devices/%s", e->d_name);
	closedir(d);
	return e != NULL;
}

static void find_device(char *address, size_t alen, char *node, size_t nlen)
{
	struct dirent *e;
	DIR *d = opendir(PCI_DEVICES);
	int found = 0;

	if (!d)
		die(PCI_DEVICES);
	while (!found && (e = readdir(d))) {
		if (e->d_name[0] == '.' || read_number(e->d_name, "vendor") != IOAT_VENDOR ||
		    read_number(e->d_name, "device") != IOAT_DEVICE)
			continue;
		found = find_node(e->d_name, node, nlen);
		snprintf(address, alen, "%s", e->d_name);
	}
	closedir(d);
	if (!found) {
		errno = 0;
		die("no I/OAT function (%04x:%04x) is bound to vfio-pci", IOAT_VENDOR, IOAT_DEVICE);
	}
}

static void open_device(struct copier *c, const char *node)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach) };

	c->iommu = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	if (c->iommu < 0)
		die("/dev/iommu");
	c->device = open(node, O_RDWR | O_CLOEXEC);
	if (c->device < 0)
		die("%s", node);
	bind.iommufd = c->iommu;
	if (ioctl(c->device, VFIO_DEVICE_BIND_IOMMUFD, &bind))
		die("binding %s", node);
	if (ioctl(c->iommu, IOMMU_IOAS_ALLOC, &alloc))
		die("allocating an IO address space");
	c->ioas = alloc.out_ioas_id;
	attach.pt_id = c->ioas;
	if (ioctl(c->device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach))
		die("attaching %s", node);
}

static uint64_t map(struct copier *c, const void *va, size_t len, unsigned flags, const char *what)
{
	struct iommu_ioas_map m = {
		.size = sizeof(m),
		.flags = flags,
		.ioas_id = c->ioas,
		.user_va = (uintptr_t)va,
		.length = len,
	};

	if (ioctl(c->iommu, IOMMU_IOAS_MAP, &m))
		die("mapping the %s (%zu bytes)", what, len);
	return m.iova;
}

static void unmap(struct copier *c, uint64_t iova, size_t len, const char *what)
{
	struct iommu_ioas_unmap u = {
		.size = sizeof(u), .ioas_id = c->ioas, .iova = iova, .length = len
	};

	if (ioctl(c->iommu, IOMMU_IOAS_UNMAP, &u))
		die("unmapping the %s", what);
	if (u.length != len) {
		errno = 0;
		die("unmapping the %s: %llu bytes of %zu were mapped", what,
		    (unsigned long long)u.length, len);
	}
}

static struct vfio_region_info region(struct copier *c, unsigned index)
{
	struct vfio_region_info r = { .argsz = sizeof(r), .index = index };

	if (ioctl(c->device, VFIO_DEVICE_GET_REGION_INFO, &r))
		die("asking for region %u", index);
	return r;
}

static void write16(struct copier *c, unsigned reg, uint16_t v)
{
	*(volatile uint16_t *)(c->regs + reg) = v;
}

static void write64(struct copier *c, unsigned reg, uint64_t v)
{
	*(volatile uint64_t *)(c->regs + reg) = v;
}

static uint64_t read64(struct copier *c, unsigned reg)
{
	return *(volatile uint64_t *)(c->regs + reg);
}

static uint32_t read32(struct copier *c, unsigned reg)
{
	return *(volatile uint32_t *)(c->regs + reg);
}

static void reset_channel(struct copier *c)
{
	*(volatile uint32_t *)(c->regs + CH_ERROR) = read32(c, CH_ERROR);
	c->regs[CH_CMD] = CMD_RESET;
	for (int i = 0; c->regs[CH_CMD] & CMD_RESET; i++) {
		if (i == 1000) {
			errno = ETIMEDOUT;
			die("resetting the channel");
		}
		usleep(100);
	}
}

static void set_up_interrupt(struct copier *c)
{
	union {
		struct vfio_irq_set set;
		char room[sizeof(struct vfio_irq_set) + sizeof(int32_t)];
	} u = { .set = {
			.argsz = sizeof(u.room),
			.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			.index = VFIO_PCI_MSIX_IRQ_INDEX,
			.count = 1,
		} };

	c->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->event < 0)
		die("eventfd");
	memcpy(u.set.data, &c->event, sizeof(c->event));
	if (ioctl(c->device, VFIO_DEVICE_SET_IRQS, &u.set))
		die("wiring the MSI-X interrupt");
	c->regs[REG_INTRCTRL] = 0x09; /* MSI-X, master enable */
}

/* Bus mastering on, BAR 0 mapped, channel reset, interrupt wired. */
static void start_device(struct copier *c)
{
	struct vfio_region_info cfg = region(c, VFIO_PCI_CONFIG_REGION_INDEX);
	struct vfio_region_info bar = region(c, VFIO_PCI_BAR0_REGION_INDEX);
	uint16_t command;
	void *p;

	if (pread(c->device, &command, 2, (off_t)cfg.offset + 4) != 2)
		die("reading the command register");
	command |= 0x0006; /* memory, bus master */
	if (pwrite(c->device, &command, 2, (off_t)cfg.offset + 4) != 2)
		die("writing the command register");
	p = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, c->device, (off_t)bar.offset);
	if (p == MAP_FAILED)
		die("mapping BAR 0");
	c->regs = p;
	c->max_transfer = 1ul << (c->regs[REG_XFERCAP] & 0x1f);
	reset_channel(c);
	set_up_interrupt(c);
}

/* IO pages are mapped whole. */
static size_t whole_pages(size_t len)
{
	return (len + 4095) & ~4095ul;
}

/* One descriptor per max_transfer bytes; the last reports and interrupts. */
static unsigned build_ring(struct copier *c, uint64_t src, uint64_t dst, size_t len, int bug)
{
	unsigned n = 0;

	for (size_t at = 0; at < len; n++) {
		size_t chunk = len - at < c->max_transfer ? len - at : c->max_transfer;
		struct descriptor *d = &c->ring[n];

		d->size = (uint32_t)chunk;
		d->control = 0;
		d->src = src + at;
		d->dst = dst + at;
		d->next = c->ring_iova + (n + 1) * sizeof(*d);
		at += chunk;
	}
	if (bug) { /* a full transfer that starts in the last page of the destination */
		c->ring[n - 1].size = (uint32_t)c->max_transfer;
		c->ring[n - 1].src = src;
		c->ring[n - 1].dst = dst + whole_pages(len) - 4096;
	}
	c->ring[n - 1].control = DESC_INTERRUPT | DESC_COMPLETION;
	return n;
}

/* Starts the chain and sleeps until its interrupt; the status word the device wrote. */
static uint64_t run_chain(struct copier *c, unsigned n)
{
	struct pollfd p = { .fd = c->event, .events = POLLIN };
	uint64_t count;

	*c->completion = 0;
	write64(c, CH_CHAIN, c->ring_iova);
	write64(c, CH_COMPLETION, c->completion_iova);
	write16(c, CH_CTRL, CTRL_ERROR_FLAGS | CTRL_REARM);
	write16(c, CH_COUNT, (uint16_t)n);
	if (poll(&p, 1, WAIT_MS) != 1) {
		errno = ETIMEDOUT;
		die("waiting for the interrupt (channel status 0x%llx)",
		    (unsigned long long)read64(c, CH_STATUS));
	}
	if (read(c->event, &count, sizeof(count)) != sizeof(count))
		die("reading the interrupt's eventfd");
	return *c->completion;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void *anonymous(size_t len)
{
	/* Room to align to 2 MiB, so that the IOMMU can use its larger pages. */
	char *p = mmap(NULL, len + 2 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);

	if (p == MAP_FAILED)
		die("allocating %zu bytes", len);
	return (void *)(((uintptr_t)p + 2 * MIB - 1) & ~(2 * MIB - 1));
}

static void write_copy(const char *path, const char *p, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0)
		die("%s", path);
	for (size_t at = 0; at < len;) {
		ssize_t n = write(fd, p + at, len - at);

		if (n <= 0)
			die("writing %s", path);
		at += (size_t)n;
	}
	if (close(fd))
		die("closing %s", path);
}

static const void *map_file(const char *path, size_t *len)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *p;

	if (fd < 0 || fstat(fd, &st))
		die("%s", path);
	*len = (size_t)st.st_size;
	if (!*len) {
		errno = 0;
		die("%s is empty: nothing to copy", path);
	}
	p = mmap(NULL, *len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		die("mapping %s", path);
	close(fd);
	return p;
}

static int copy(struct copier *c, const char *from, const char *to, int bug)
{
	size_t len, jobs;
	const void *src = map_file(from, &len);
	char *dst = anonymous(len);
	uint64_t src_iova, dst_iova, status;
	double t0, t1, t2;
	unsigned n;

	jobs = (len + c->max_transfer - 1) / c->max_transfer;
	if (jobs > MAX_JOBS) {
		errno = EFBIG;
		die("%s needs %zu descriptors", from, jobs);
	}
	c->ring_bytes = ((jobs + 2) * sizeof(struct descriptor) + 4095) & ~4095ul;
	c->ring = anonymous(c->ring_bytes);
	c->completion = (void *)&c->ring[jobs + 1];
	memset(dst, 0, len);
	t0 = now();
	src_iova = map(c, src, whole_pages(len), IOMMU_IOAS_MAP_READABLE, "source");
	dst_iova = map(c, dst, whole_pages(len), IOMMU_IOAS_MAP_WRITEABLE | IOMMU_IOAS_MAP_READABLE,
		       "destination");
	c->ring_iova = map(c, c->ring, c->ring_bytes,
			   IOMMU_IOAS_MAP_WRITEABLE | IOMMU_IOAS_MAP_READABLE, "descriptors");
	c->completion_iova = c->ring_iova + (jobs + 1) * sizeof(struct descriptor);
	n = build_ring(c, src_iova, dst_iova, len, bug);
	t1 = now();
	status = run_chain(c, n);
	t2 = now();
	if ((status & STATUS_MASK) == STATUS_HALTED) {
		fprintf(stderr,
			"iocopy: the device stopped: CHANERR 0x%x, last good descriptor at IOVA 0x%llx "
			"(descriptor %lld of %u)\n",
			read32(c, CH_ERROR), (unsigned long long)(status & ~63ull),
			status & ~63ull ? (long long)((status & ~63ull) - c->ring_iova) / 64 + 1
					: 0,
			n);
		return EXIT_DMA_FAIL;
	}
	unmap(c, src_iova, whole_pages(len), "source");
	unmap(c, dst_iova, whole_pages(len), "destination");
	unmap(c, c->ring_iova, c->ring_bytes, "descriptors");
	write_copy(to, dst, len);
	printf("iocopy: %zu bytes by DMA, %u descriptors, mapped in %.3f ms, copied in %.1f ms: "
	       "%.2f GB/s\n",
	       len, n, (t1 - t0) * 1e3, (t2 - t1) * 1e3, (double)len / (t2 - t1) * 1e-9);
	return 0;
}

int main(int argc, char **argv)
{
	char address[256], node[512];
	struct copier c = { 0 };
	int bug = argc > 1 && !strcmp(argv[1], "--bug");
	int help = argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"));

	if (argc - bug != 3 || help) {
		fprintf(help ? stdout : stderr,
			"usage: iocopy [--bug] SOURCE COPY\n\n"
			"Copies the file SOURCE with the first I/OAT engine that VFIO drives.\n"
			"  --bug  let the last descriptor run past the destination's mapping\n\n"
			"Exit status: 0; 1 set-up failed; 3 the device reported an error.\n");
		return !help;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	find_device(address, sizeof(address), node, sizeof(node));
	printf("iocopy: %s is %s\n", address, node);
	open_device(&c, node);
	start_device(&c);
	return copy(&c, argv[1 + bug], argv[2 + bug], bug);
}
