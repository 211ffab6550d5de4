// SPDX-License-Identifier: MIT
/* How does a plain client drive the copy engine? */
#include "client.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

/* Registers of channel 0 of an I/OAT engine, from the start of BAR 0. */
enum {
	CH_CMD = 0x84,
	CH_COUNT = 0x86,
	CH_STATUS = 0x88,
	CH_CHAIN = 0x90,
	CH_ERROR = 0xa8,
};

#define CMD_RESET    0x20
#define OP_FILL      0x01000000u
#define STATUS_MASK  7u
#define STATUS_IDLE  1u
#define STATUS_HALT  3u
#define WAIT_SECONDS 20
#define RING_LEN     (PAGE + BOUNCE_MAX)

struct descriptor {
	uint32_t size, control;
	uint64_t src, dst, next, unused[4];
};

static int call(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) ? -errno : 0;
}

int client_bind(struct client *c)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = c->iommu };

	return call(c->dev, VFIO_DEVICE_BIND_IOMMUFD, &bind);
}

static int attach(struct client *c)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct vfio_device_attach_iommufd_pt at = {
		.argsz = offsetof(struct vfio_device_attach_iommufd_pt, pasid)
	};
	int rc = call(c->iommu, IOMMU_IOAS_ALLOC, &alloc);

	if (rc)
		return rc;
	at.pt_id = c->ioas = alloc.out_ioas_id;
	return call(c->dev, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &at);
}

static void reset_channel(struct client *c)
{
	*(volatile uint32_t *)(c->regs + CH_ERROR) = *(volatile uint32_t *)(c->regs + CH_ERROR);
	c->regs[CH_CMD] = CMD_RESET;
	while (c->regs[CH_CMD] & CMD_RESET)
		usleep(100);
}

static int start(struct client *c)
{
	struct vfio_region_info cfg = { .argsz = sizeof(cfg),
					.index = VFIO_PCI_CONFIG_REGION_INDEX };
	struct vfio_region_info bar = { .argsz = sizeof(bar), .index = VFIO_PCI_BAR0_REGION_INDEX };
	uint16_t command;
	void *p;
	int rc = call(c->dev, VFIO_DEVICE_GET_REGION_INFO, &cfg);

	if (!rc)
		rc = call(c->dev, VFIO_DEVICE_GET_REGION_INFO, &bar);
	if (rc)
		return rc;
	if (pread(c->dev, &command, 2, (off_t)cfg.offset + 4) != 2)
		return -errno;
	command |= 0x0006; /* memory, bus master */
	if (pwrite(c->dev, &command, 2, (off_t)cfg.offset + 4) != 2)
		return -errno;
	p = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, c->dev, (off_t)bar.offset);
	if (p == MAP_FAILED)
		return -errno;
	c->regs = p;
	c->bar_len = bar.size;
	reset_channel(c);
	return 0;
}

int client_try_open(struct client *c)
{
	int rc;

	*c = (struct client){ .iommu = -1, .dev = -1 };
	c->iommu = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	if (c->iommu < 0)
		return -errno;
	c->dev = open(NODE, O_RDWR | O_CLOEXEC);
	if (c->dev < 0)
		return -errno;
	rc = client_bind(c);
	if (!rc)
		rc = attach(c);
	if (!rc)
		rc = start(c);
	if (rc)
		return rc;
	c->ring = mmap(NULL, RING_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (c->ring == MAP_FAILED)
		return -errno;
	return try_map(c, c->ring, RING_LEN, RW, &c->ring_iova);
}

void client_open(struct client *c)
{
	int rc = client_try_open(c);

	if (rc)
		fail_msg("the client cannot be set up: %s", strerror(-rc));
}

void client_close(struct client *c)
{
	if (c->ring) {
		try_unmap(c, c->ring_iova, RING_LEN);
		munmap(c->ring, RING_LEN);
	}
	if (c->regs)
		munmap((void *)(uintptr_t)c->regs, c->bar_len);
	if (c->dev >= 0)
		close(c->dev);
	if (c->iommu >= 0)
		close(c->iommu);
	*c = (struct client){ .iommu = -1, .dev = -1 };
}

int try_map(struct client *c, void *va, size_t len, unsigned flags, uint64_t *iova)
{
	struct iommu_ioas_map m = {
		.size = sizeof(m),
		.flags = flags,
		.ioas_id = c->ioas,
		.user_va = (uintptr_t)va,
		.length = len,
	};
	int rc = call(c->iommu, IOMMU_IOAS_MAP, &m);

	*iova = m.iova;
	return rc;
}

int try_unmap(struct client *c, uint64_t iova, size_t len)
{
	struct iommu_ioas_unmap u = {
		.size = sizeof(u), .ioas_id = c->ioas, .iova = iova, .length = len
	};

	return call(c->iommu, IOMMU_IOAS_UNMAP, &u);
}

uint64_t map(struct client *c, void *va, size_t len)
{
	uint64_t iova;
	int rc = try_map(c, va, len, RW, &iova);

	if (rc)
		fail_msg("mapping %zu bytes at %p: %s", len, va, strerror(-rc));
	return iova;
}

void unmap(struct client *c, uint64_t iova, size_t len)
{
	assert_int_equal(try_unmap(c, iova, len), 0);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void start_one(struct client *c, struct descriptor d)
{
	*(struct descriptor *)c->ring = d;
	*(volatile uint64_t *)(c->regs + CH_CHAIN) = c->ring_iova;
	*(volatile uint16_t *)(c->regs + CH_COUNT) = 1;
}

void dma_fill_start(struct client *c, uint64_t dst, uint8_t byte, size_t len)
{
	start_one(c, (struct descriptor){ .size = (uint32_t)len,
					  .control = OP_FILL,
					  .src = byte * 0x0101010101010101ull,
					  .dst = dst });
}

uint32_t dma_wait(struct client *c)
{
	double end = now() + WAIT_SECONDS;
	uint32_t status, err;

	do {
		status = *(volatile uint32_t *)(c->regs + CH_STATUS) & STATUS_MASK;
	} while (status != STATUS_IDLE && status != STATUS_HALT && now() < end);
	err = *(volatile uint32_t *)(c->regs + CH_ERROR);
	if (status != STATUS_IDLE && status != STATUS_HALT)
		err = ERR_TIME;
	reset_channel(c);
	return err;
}

uint32_t dma_copy(struct client *c, uint64_t dst, uint64_t src, size_t len)
{
	start_one(c, (struct descriptor){ .size = (uint32_t)len, .src = src, .dst = dst });
	return dma_wait(c);
}

uint32_t dma_read(struct client *c, uint64_t iova, void *buf, size_t len)
{
	uint32_t err = dma_copy(c, c->ring_iova + PAGE, iova, len);

	memcpy(buf, (char *)c->ring + PAGE, len);
	return err;
}

uint32_t dma_write(struct client *c, uint64_t iova, const void *buf, size_t len)
{
	memcpy((char *)c->ring + PAGE, buf, len);
	return dma_copy(c, iova, c->ring_iova + PAGE, len);
}

int dma_byte(struct client *c, uint64_t iova)
{
	uint8_t b;

	return dma_read(c, iova, &b, 1) ? -1 : b;
}

uint32_t dma_put(struct client *c, uint64_t iova, uint8_t byte)
{
	return dma_write(c, iova, &byte, 1);
}

void *pages(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static int ear = -1, real_stderr = -1;
static char heard[8192];

void listen_begin(void)
{
	ear = memfd_create("stderr", MFD_CLOEXEC);
	assert_true(ear >= 0);
	real_stderr = fcntl(2, F_DUPFD_CLOEXEC, 100);
	assert_true(real_stderr >= 0);
	assert_int_equal(dup2(ear, 2), 2);
}

const char *listen_end(void)
{
	ssize_t n = pread(ear, heard, sizeof(heard) - 1, 0);

	heard[n > 0 ? n : 0] = 0;
	dup2(real_stderr, 2);
	close(real_stderr);
	close(ear);
	return heard;
}

int in_child(int (*fn)(void *arg), void *arg)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		alarm(20);
		signal(SIGSEGV,
		       SIG_DFL); /* cmocka's handler would go on with the next case, here */
		_exit(fn(arg));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

int case_open(void **state)
{
	static struct client c;

	client_open(&c);
	*state = &c;
	return 0;
}

int case_close(void **state)
{
	client_close(*state);
	return 0;
}
