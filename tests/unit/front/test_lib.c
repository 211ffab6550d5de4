// SPDX-License-Identifier: MIT
/* The library: a machine in this process, and when its files die. */
#include <uiommufd/uiommufd.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "abi/iommufd.h"
#include "abi/vfio.h"
#include "base/fault.h"

#define NODE   "/dev/vfio/devices/vfio0"
#define BAR0   (0ull << 40)
#define CONFIG ((off_t)(7ull << 40))

static struct uiommufd_machine *make(const char *config)
{
	struct uiommufd_machine_options o = { .size = sizeof(o), .config = config };
	struct uiommufd_machine *m = NULL;

	assert_int_equal(uiommufd_machine_create(&o, &m), 0);
	assert_non_null(m);
	return m;
}

static int open_ctx(struct uiommufd_machine *m)
{
	int fd = uiommufd_open(m, "/dev/iommu", O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static long bind_to(struct uiommufd_machine *m, int dev, int ctx)
{
	struct vfio_device_bind_iommufd b = { .argsz = sizeof(b), .iommufd = ctx };

	return uiommufd_ioctl(m, dev, VFIO_DEVICE_BIND_IOMMUFD, &b);
}

static int open_bound(struct uiommufd_machine *m, int *ctx)
{
	int dev = uiommufd_open(m, NODE, O_RDWR | O_CLOEXEC);

	assert_true(dev >= 0);
	*ctx = open_ctx(m);
	assert_int_equal(bind_to(m, dev, *ctx), 0);
	return dev;
}

/* Waits until the machine has no file left, and destroys it. */
static void finish(struct uiommufd_machine *m)
{
	int rc;

	for (int i = 0; (rc = uiommufd_machine_destroy(m)) == -EBUSY && i < 400; i++)
		usleep(5000);
	assert_int_equal(rc, 0);
}

static void machine_create__bad_options__einval_with_reason(void **state)
{
	struct uiommufd_machine_options o = { .size = sizeof(o), .config = "iommu=nope" };
	struct uiommufd_machine *m = (void *)1;

	(void)state;
	assert_int_equal(uiommufd_machine_create(&o, &m), -EINVAL);
	assert_ptr_equal(m, (void *)1);
	assert_non_null(strstr(uiommufd_last_reason(), "no IOMMU kind 'nope'"));
	o.size = 3;
	assert_int_equal(uiommufd_machine_create(&o, &m), -EINVAL);
	assert_non_null(strstr(uiommufd_last_reason(), "options.size is 3"));
	assert_int_equal(uiommufd_machine_create(NULL, &m), 0);
	assert_int_equal(uiommufd_machine_destroy(m), 0);
	assert_int_equal(uiommufd_machine_destroy(NULL), 0);
	assert_string_equal(uiommufd_version(), "0.1.0");
}

static void open__no_such_path__enoent(void **state)
{
	static const char *const none[] = { "/dev/null",
					    "",
					    "/dev/iommu2",
					    "/dev/vfio/devices/vfio",
					    "/dev/vfio/devices/vfio1",
					    "/dev/vfio/devices/vfio0x",
					    "/dev/vfio/devices/vfio99999999999999" };
	struct uiommufd_machine *m = make(NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		assert_int_equal(uiommufd_open(m, none[i], O_RDWR), -ENOENT);
		assert_string_not_equal(uiommufd_last_reason(), "");
	}
	finish(m);
}

static void calls__foreign_descriptor__ebadf(void **state)
{
	struct uiommufd_machine *m = make(NULL), *other = make(NULL);
	int fd = open_ctx(m), null = open("/dev/null", O_RDWR);
	char buf[4];
	void *p;

	(void)state;
	errno = 55;
	assert_int_equal(uiommufd_ioctl(m, null, IOMMU_IOAS_ALLOC, buf), -EBADF);
	assert_int_equal(uiommufd_ioctl(other, fd, IOMMU_IOAS_ALLOC, buf), -EBADF);
	assert_int_equal(uiommufd_pread(m, -1, buf, 4, 0), -EBADF);
	assert_int_equal(uiommufd_pwrite(m, 60000, buf, 4, 0), -EBADF);
	assert_int_equal(uiommufd_mmap(m, null, NULL, 4096, PROT_READ, MAP_SHARED, 0, &p), -EBADF);
	assert_int_equal(uiommufd_close(other, fd), -EBADF);
	assert_int_equal(uiommufd_pread(m, fd, buf, 4, 0), -EINVAL);
	assert_int_equal(errno, 55);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(uiommufd_machine_destroy(m), -EBUSY);
	assert_int_equal(uiommufd_close(m, fd), 0);
	close(null);
	finish(m);
	finish(other);
}

static void close__dup_by_the_kernel__file_lives(void **state)
{
	struct uiommufd_machine *m = make(NULL);
	struct iommu_ioas_alloc a = { .size = sizeof(a) };
	int fd = open_ctx(m), copy = dup(fd);

	(void)state;
	assert_int_equal(uiommufd_close(m, fd), 0);
	assert_int_equal(uiommufd_ioctl(m, fd, IOMMU_IOAS_ALLOC, &a), -EBADF);
	assert_int_equal(uiommufd_ioctl(m, copy, IOMMU_IOAS_ALLOC, &a), 0);
	assert_int_equal(uiommufd_machine_destroy(m), -EBUSY);
	assert_int_equal(uiommufd_close(m, copy), 0);
	assert_int_equal(uiommufd_machine_destroy(m), 0); /* at once */
}

static void close__other_process_has_it__orphan_until_then(void **state)
{
	struct uiommufd_machine *m = make(NULL);
	int ctx, dev = open_bound(m, &ctx), pipes[2], status, again;
	char c;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	if (!pid) {
		close(pipes[1]);
		_exit(read(pipes[0], &c, 1) != 0);
	}
	uiommufd_close(m, dev);
	uiommufd_close(m, ctx);
	ctx = open_ctx(m);
	again = uiommufd_open(m, NODE, O_RDWR);
	assert_int_equal(bind_to(m, again, ctx), -EINVAL);
	close(pipes[0]);
	close(pipes[1]);
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	assert_int_equal(bind_to(m, again, ctx), 0); /* looks at the orphans itself */
	uiommufd_close(m, again);
	uiommufd_close(m, ctx);
	finish(m);
}

static void use_in_child(struct uiommufd_machine *m, int ctx, int dev)
{
	struct iommu_ioas_alloc a = { .size = sizeof(a) };
	char buf[4];

	if (uiommufd_ioctl(m, ctx, IOMMU_IOAS_ALLOC, &a) != -ENODEV)
		_exit(1);
	if (!strstr(uiommufd_last_reason(), "forked child"))
		_exit(2);
	if (uiommufd_pread(m, dev, buf, 4, CONFIG) != -ENODEV)
		_exit(3);
	_exit(0);
}

static void fork__child_uses_file__enodev_with_reason(void **state)
{
	struct uiommufd_machine *m = make(NULL);
	int ctx, dev = open_bound(m, &ctx), status;
	char buf[4];
	pid_t pid = fork();

	(void)state;
	if (!pid)
		use_in_child(m, ctx, dev);
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	assert_int_equal(uiommufd_pread(m, dev, buf, 4, CONFIG), 4);
	uiommufd_close(m, dev);
	uiommufd_close(m, ctx);
	finish(m);
}

static void scm_rights__only_holder__file_lives(void **state)
{
	struct uiommufd_machine *m = make(NULL);
	struct iommu_ioas_alloc a = { .size = sizeof(a) };
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(int))];
	} ctl = { .h = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	char c = 0;
	struct iovec iov = { &c, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &ctl, .msg_controllen = sizeof(ctl)
	};
	int s[2], fd = open_ctx(m);

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	ctl.h.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&ctl.h), &fd, sizeof(int));
	assert_int_equal(sendmsg(s[0], &msg, 0), 1);
	uiommufd_close(m, fd);
	assert_int_equal(uiommufd_machine_destroy(m), -EBUSY);
	assert_int_equal(recvmsg(s[1], &msg, 0), 1);
	memcpy(&fd, CMSG_DATA(&ctl.h), sizeof(int));
	assert_int_equal(uiommufd_ioctl(m, fd, IOMMU_IOAS_ALLOC, &a), 0);
	uiommufd_close(m, fd);
	assert_int_equal(uiommufd_machine_destroy(m), 0);
	close(s[0]);
	close(s[1]);
}

static void mmap__trapped_bar__keeps_the_file(void **state)
{
	struct uiommufd_machine *m = make(NULL);
	int ctx, dev = open_bound(m, &ctx);
	void *p = NULL;

	(void)state;
	assert_int_equal(uiommufd_mmap(m, dev, NULL, 16384, PROT_READ, MAP_PRIVATE, BAR0, &p),
			 -EINVAL);
	assert_null(p);
	assert_int_equal(uiommufd_mmap(m, dev, NULL, 16384, PROT_READ, MAP_SHARED, BAR0, &p), 0);
	uiommufd_close(m, dev);
	uiommufd_close(m, ctx);
	assert_int_equal(uiommufd_machine_destroy(m), -EBUSY);
	assert_int_equal(uiommufd_munmap(m, (char *)p + 4096, 4096), 0);
	assert_int_equal(uiommufd_machine_destroy(m), -EBUSY);
	assert_int_equal(uiommufd_munmap(m, p, 16384), 0);
	assert_int_equal(uiommufd_machine_destroy(m), 0);
}

/* Every step on the way may fail; afterwards nothing is left, and it works. */
static void open__each_step_fails__nothing_left(void **state)
{
	struct uiommufd_machine *m = make(NULL);
	bool fired = true;

	(void)state;
	for (unsigned n = 1; fired; n++) {
		int ctx, dev, rc = 0;

		fault_arm(n, false);
		ctx = uiommufd_open(m, "/dev/iommu", O_RDWR);
		dev = ctx < 0 ? ctx : uiommufd_open(m, NODE, O_RDWR);
		if (dev >= 0)
			rc = (int)bind_to(m, dev, ctx);
		fault_disarm(&fired);
		assert_true(ctx >= 0 || ctx == -ENOMEM || ctx == -EMFILE);
		if (dev >= 0 && !rc)
			assert_int_equal(uiommufd_close(m, dev), 0);
		else if (dev >= 0)
			uiommufd_close(m, dev);
		if (ctx >= 0)
			assert_int_equal(uiommufd_close(m, ctx), 0);
	}
	assert_int_equal(uiommufd_machine_destroy(m), 0);
}

static void machine_create__each_step_fails__nothing_left(void **state)
{
	bool fired = true;

	(void)state;
	for (unsigned n = 1; fired; n++) {
		struct uiommufd_machine *m = NULL;
		int rc;

		fault_arm(n, false);
		rc = uiommufd_machine_create(NULL, &m);
		fault_disarm(&fired);
		if (rc)
			assert_null(m);
		else
			finish(m);
	}
}

static void *open_and_close(void *arg)
{
	struct uiommufd_machine *m = arg;

	for (int i = 0; i < 200; i++) {
		struct iommu_ioas_alloc a = { .size = sizeof(a) };
		int fd = uiommufd_open(m, "/dev/iommu", O_RDWR), copy = dup(fd);

		if (fd < 0 || uiommufd_ioctl(m, copy, IOMMU_IOAS_ALLOC, &a) ||
		    uiommufd_close(m, fd) || uiommufd_close(m, copy))
			return arg;
	}
	return NULL;
}

static void threads__open_and_close__nothing_left(void **state)
{
	struct uiommufd_machine *m = make(NULL);
	pthread_t t[4];
	void *bad;

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, open_and_close, m), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], &bad);
		assert_null(bad);
	}
	finish(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(machine_create__bad_options__einval_with_reason),
		cmocka_unit_test(open__no_such_path__enoent),
		cmocka_unit_test(calls__foreign_descriptor__ebadf),
		cmocka_unit_test(close__dup_by_the_kernel__file_lives),
		cmocka_unit_test(close__other_process_has_it__orphan_until_then),
		cmocka_unit_test(fork__child_uses_file__enodev_with_reason),
		cmocka_unit_test(scm_rights__only_holder__file_lives),
		cmocka_unit_test(mmap__trapped_bar__keeps_the_file),
		cmocka_unit_test(open__each_step_fails__nothing_left),
		cmocka_unit_test(machine_create__each_step_fails__nothing_left),
		cmocka_unit_test(threads__open_and_close__nothing_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
