// SPDX-License-Identifier: MIT
/* What happens to calls that do not pass libc, which the preload cannot see? */
#include "client.h"

#include <fcntl.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/syscall.h>

static void raw_ioctl__on_iommufd__enotty(void **state)
{
	struct client *c = *state;
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };

	assert_int_equal(syscall(SYS_ioctl, c->iommu, IOMMU_IOAS_ALLOC, &alloc), -1);
	assert_int_equal(errno, ENOTTY);
	assert_int_equal(syscall(SYS_ioctl, c->dev, VFIO_DEVICE_RESET), -1);
	assert_int_equal(errno, ENOTTY);
}

static void raw_open__of_node__is_the_hosts(void **state)
{
	int ours, raw;

	(void)state;
	ours = open("/dev/iommu", O_RDWR);
	assert_true(ours >= 0);
	raw = (int)syscall(SYS_openat, AT_FDCWD, "/dev/iommu", O_RDWR);
	if (raw >= 0) { /* a host with iommufd: it is that one, ours does not know it */
		close(raw);
		assert_int_not_equal(raw, ours);
	} else {
		assert_true(errno == ENOENT || errno == EACCES || errno == EPERM ||
			    errno == ENODEV);
	}
	close(ours);
}

static void raw_pread__of_device__reads_the_placeholder(void **state)
{
	struct client *c = *state;
	struct vfio_region_info cfg = { .argsz = sizeof(cfg),
					.index = VFIO_PCI_CONFIG_REGION_INDEX };
	uint16_t seen = 0xffff, raw = 0xffff;

	assert_int_equal(ioctl(c->dev, VFIO_DEVICE_GET_REGION_INFO, &cfg), 0);
	assert_int_equal(pread(c->dev, &seen, 2, (off_t)cfg.offset), 2);
	assert_int_equal(seen, 0x8086);
	assert_int_equal(syscall(SYS_pread64, c->dev, &raw, 2, cfg.offset), 2);
	assert_int_equal(raw, 0);
}

static void raw_munmap__of_mapped_memory__faults_until_unmapped(void **state)
{
	struct client *c = *state;
	char *p = pages(4 * PAGE);
	uint64_t iova;

	memset(p, 'a', 4 * PAGE);
	iova = map(c, p, 4 * PAGE);
	assert_int_equal(dma_byte(c, iova), 'a');
	assert_int_equal(syscall(SYS_munmap, p, PAGE), 0);
	listen_begin();
	assert_int_equal(dma_byte(c, iova), -1);
	assert_int_equal(dma_put(c, iova, 'x'), ERR_WRITE);
	assert_says(listen_end(), "memory behind the mapping is gone");
	assert_int_equal(dma_byte(c, iova + PAGE), 'a'); /* its neighbour and the device are well */
	unmap(c, iova, 4 * PAGE);
	munmap(p, 4 * PAGE);
}

static void raw_mmap__over_mapped_memory__device_sees_the_new(void **state)
{
	struct client *c = *state;
	char *p = pages(PAGE);
	uint64_t iova;

	*p = 'o';
	iova = map(c, p, PAGE);
	assert_ptr_equal(syscall(SYS_mmap, p, PAGE, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 p);
	*p = 'n';
	assert_int_equal(dma_byte(c, iova), 'n');
	unmap(c, iova, PAGE);
	munmap(p, PAGE);
}

/* The number is taken for the file it named until a hooked call says otherwise. */
static void raw_close__number_used_again__only_our_commands_are_misled(void **state)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	int fd = open("/dev/iommu", O_RDWR), other, n = -1;
	char byte;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(syscall(SYS_close, fd), 0);
	other = open("/proc/self/exe", O_RDONLY);
	assert_int_equal(other, fd);
	assert_int_equal(read(other, &byte, 1), 1);
	assert_int_equal(byte, 0x7f);
	assert_int_equal(ioctl(other, 0x541b /* FIONREAD */, &n), 0);
	assert_true(n > 1);
	assert_int_equal(ioctl(other, IOMMU_IOAS_ALLOC, &alloc), 0); /* Linux: ENOTTY */
	assert_int_equal(close(other), 0);
	assert_int_equal(ioctl(other, IOMMU_IOAS_ALLOC, &alloc), -1);
	assert_int_equal(errno, EBADF);
}

static int break_handler(void *arg)
{
	struct {
		void (*fn)(int);
		unsigned long flags, restorer, mask;
	} dfl = { 0 };
	struct client c;

	(void)arg;
	if (client_try_open(&c) || syscall(SYS_rt_sigaction, SIGSEGV, &dfl, NULL, 8))
		return 1;
	return c.regs[0] == 0xff;
}

static void raw_sigaction__of_sigsegv__access_to_bar_kills(void **state)
{
	(void)state;
	assert_int_equal(in_child(break_handler, NULL), 1000 + SIGSEGV);
}

static int use_handler(void *arg)
{
	struct client c;

	(void)arg;
	if (client_try_open(&c) || signal(SIGSEGV, SIG_DFL) == SIG_ERR)
		return 1;
	return c.regs[0] == 0xff;
}

static void signal__of_sigsegv__access_to_bar_works(void **state)
{
	(void)state;
	assert_int_equal(in_child(use_handler, NULL), 0);
}

#if defined(__x86_64__)
/* fld: an x87 load, which no driver uses on registers and the decoder's table lacks. */
static int odd_instruction(void *arg)
{
	struct client c;

	(void)arg;
	if (client_try_open(&c))
		return 1;
	__asm__ volatile("fldl (%0)\n\tfstp %%st(0)" : : "r"(c.regs) : "memory");
	return 0;
}

static void bar_access__by_an_odd_instruction__kills_with_reason(void **state)
{
	(void)state;
	listen_begin();
	assert_int_equal(in_child(odd_instruction, NULL), 1000 + SIGSEGV);
	assert_says(listen_end(), "an access to a mapped BAR");
}
#endif

/* ---- io_uring: the kernel itself opens and reads ---- */

struct ring {
	int fd;
	void *sq, *cq;
	struct io_uring_sqe *sqe;
	struct io_uring_params p;
};

static bool ring_open(struct ring *r)
{
	*r = (struct ring){ .fd = -1 };
	r->fd = (int)syscall(SYS_io_uring_setup, 4, &r->p);
	if (r->fd < 0)
		return false;
	r->sq = mmap(NULL, r->p.sq_off.array + 4 * sizeof(uint32_t), PROT_READ | PROT_WRITE,
		     MAP_SHARED, r->fd, IORING_OFF_SQ_RING);
	r->cq = mmap(NULL, r->p.cq_off.cqes + 8 * sizeof(struct io_uring_cqe),
		     PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, IORING_OFF_CQ_RING);
	r->sqe = mmap(NULL, 4 * sizeof(*r->sqe), PROT_READ | PROT_WRITE, MAP_SHARED, r->fd,
		      IORING_OFF_SQES);
	return r->sq != MAP_FAILED && r->cq != MAP_FAILED && r->sqe != MAP_FAILED;
}

static uint32_t *word(void *base, uint32_t off)
{
	return (uint32_t *)(void *)((char *)base + off);
}

static int ring_do(struct ring *r, const struct io_uring_sqe *sqe)
{
	uint32_t *tail = word(r->sq, r->p.sq_off.tail), *head = word(r->cq, r->p.cq_off.head);
	uint32_t mask = *word(r->sq, r->p.sq_off.ring_mask), i = *tail & mask;
	struct io_uring_cqe *cqes = (void *)((char *)r->cq + r->p.cq_off.cqes);
	int res;

	r->sqe[i] = *sqe;
	word(r->sq, r->p.sq_off.array)[i] = i;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	assert_int_equal(syscall(SYS_io_uring_enter, r->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0),
			 1);
	res = cqes[*head & *word(r->cq, r->p.cq_off.ring_mask)].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return res;
}

static void io_uring__open_and_read__not_ours(void **state)
{
	struct client *c = *state;
	struct vfio_region_info cfg = { .argsz = sizeof(cfg),
					.index = VFIO_PCI_CONFIG_REGION_INDEX };
	uint16_t id = 0xffff;
	struct io_uring_sqe get = { .opcode = IORING_OP_READ, .fd = c->dev, .len = 2 };
	struct io_uring_sqe open_it = { .opcode = IORING_OP_OPENAT,
					.fd = AT_FDCWD,
					.addr = (uintptr_t)NODE,
					.open_flags = O_RDWR };
	struct ring r;

	if (!ring_open(&r)) {
		print_message("# io_uring cannot be had here: %s\n", strerror(errno));
		skip();
	}
	assert_int_equal(ioctl(c->dev, VFIO_DEVICE_GET_REGION_INFO, &cfg), 0);
	get.off = cfg.offset;
	get.addr = (uintptr_t)&id;
	assert_int_equal(ring_do(&r, &get), 2);
	assert_int_equal(id, 0); /* the placeholder's bytes, not config space */
	if (syscall(SYS_faccessat, AT_FDCWD, NODE, F_OK))
		assert_int_equal(ring_do(&r, &open_it), -ENOENT);
	close(r.fd);
}

/* The kernel is told a path by a call that is not libc's, or that is not hooked. */
static void raw_inotify__of_our_paths__looks_at_the_hosts(void **state)
{
	int fd = inotify_init1(IN_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	if (!syscall(SYS_faccessat, AT_FDCWD, NODE, F_OK)) {
		print_message("# the host has " NODE " too\n");
		skip();
	}
	assert_int_equal(access(NODE, F_OK), 0);
	assert_int_equal(syscall(SYS_inotify_add_watch, fd, NODE, IN_ALL_EVENTS), -1);
	assert_int_equal(errno, ENOENT);
	close(fd);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(raw_ioctl__on_iommufd__enotty),
		CASE(raw_open__of_node__is_the_hosts),
		CASE(raw_pread__of_device__reads_the_placeholder),
		CASE(raw_munmap__of_mapped_memory__faults_until_unmapped),
		CASE(raw_mmap__over_mapped_memory__device_sees_the_new),
		CASE(raw_close__number_used_again__only_our_commands_are_misled),
		cmocka_unit_test(raw_sigaction__of_sigsegv__access_to_bar_kills),
		cmocka_unit_test(signal__of_sigsegv__access_to_bar_works),
#if defined(__x86_64__)
		cmocka_unit_test(bar_access__by_an_odd_instruction__kills_with_reason),
#endif
		CASE(io_uring__open_and_read__not_ours),
		CASE(raw_inotify__of_our_paths__looks_at_the_hosts),
	};

	return cmocka_run_group_tests_name("unseen", tests, NULL, NULL);
}
