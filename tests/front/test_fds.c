// SPDX-License-Identifier: MIT
/* The life of descriptors under the preload: dup, close, fork, exec, passing on. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static const char *self; /* our own binary */

/* The device is free: a fresh context can bind it. What it held is released on the way. */
static void device_is_free(bool want)
{
	int ctx = open_iommu(), dev = open_device(), rc = 0;

	/* Descriptors elsewhere are noticed by a thread that looks again and again. */
	for (int i = 0; i < 200; i++) {
		rc = try_bind(dev, ctx);
		if (!rc == want)
			break;
		usleep(10000);
	}
	assert_int_equal(rc, want ? 0 : -EINVAL);
	close(dev);
	close(ctx);
}

static int bound_device(int *ctx)
{
	int dev = open_device();

	*ctx = open_iommu();
	assert_int_equal(try_bind(dev, *ctx), 0);
	return dev;
}

static void dup__every_form__one_file(void **state)
{
	int ctx, dev = bound_device(&ctx), n[5];
	uint16_t v;

	(void)state;
	n[0] = dup(dev);
	n[1] = fcntl(dev, F_DUPFD, 50);
	n[2] = fcntl(dev, F_DUPFD_CLOEXEC, 60);
	n[3] = dup2(dev, 70);
	n[4] = dup3(dev, 71, O_CLOEXEC);
	assert_true(n[1] >= 50 && n[2] >= 60 && n[3] == 70 && n[4] == 71);
	close(dev);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(pread(n[i], &v, 2, CONFIG), 2);
		assert_int_equal(v, 0x8086);
		device_is_free(false);
		close(n[i]);
	}
	device_is_free(true);
	close(ctx);
}

static void dup2__over_our_number__the_file_dies(void **state)
{
	int ctx, dev = bound_device(&ctx), null = open("/dev/null", O_RDWR);
	struct stat st;

	(void)state;
	assert_int_equal(dup2(dev, dev), dev);
	assert_int_equal(dup2(null, dev), dev);
	assert_int_equal(fstat(dev, &st), 0);
	assert_int_equal(st.st_rdev, 0x103); /* /dev/null */
	device_is_free(true);
	assert_int_equal(ioctl(dev, IOMMU_IOAS_ALLOC, NULL), -1);
	assert_int_equal(errno, ENOTTY);
	close(dev);
	close(null);
	close(ctx);
}

static void close__then_another_file_there__not_ours(void **state)
{
	int fd = open_iommu(), other;
	char c = 'x';

	(void)state;
	close(fd);
	other = open("/dev/null", O_RDWR);
	assert_int_equal(other, fd);
	assert_int_equal(write(other, &c, 1), 1);
	assert_int_equal(ioctl(other, IOMMU_IOAS_ALLOC, NULL), -1);
	assert_int_equal(errno, ENOTTY);
	close(other);
	assert_int_equal(close(fd), -1);
	assert_int_equal(errno, EBADF);
}

static void close__context_first__device_keeps_it(void **state)
{
	int ctx, dev = bound_device(&ctx);
	uint16_t v;

	(void)state;
	close(ctx);
	assert_int_equal(pread(dev, &v, 2, CONFIG), 2);
	device_is_free(false);
	close(dev);
	device_is_free(true);
}

static void close__mapped_bar__keeps_the_file(void **state)
{
	int ctx, dev = bound_device(&ctx);
	volatile uint8_t *bar;

	(void)state;
	bar = mmap(NULL, BAR_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, dev, BAR0);
	assert_ptr_not_equal(bar, MAP_FAILED);
	close(dev);
	close(ctx);
	assert_int_equal(bar[0], 1); /* CHANCNT */
	device_is_free(false);
	munmap((void *)(uintptr_t)bar, BAR_LEN / 2);
	assert_int_equal(bar[BAR_LEN / 2], bar[BAR_LEN / 2]);
	device_is_free(false);
	munmap((void *)(uintptr_t)(bar + BAR_LEN / 2), BAR_LEN / 2);
	device_is_free(true);
}

static void close_range__everything__engine_lives(void **state)
{
	int ctx, dev = bound_device(&ctx), keep = open("/dev/null", O_RDWR);
	size_t before;

	(void)state;
	close(keep);
	before = count_fds();
	(void)before;
	for (int fd = keep; fd < 65536; fd++) /* as daemons do */
		close(fd);
	assert_int_equal(close_range((unsigned)keep, 65535, 0), 0);
	assert_int_equal(close_range((unsigned)keep, ~0u, 0), 0);
	assert_int_equal(pread(dev, &keep, 2, CONFIG), 2);
	alloc_ioas(ctx);
	assert_int_equal(close_range((unsigned)dev, (unsigned)dev, 0), 0);
	device_is_free(true);
	assert_int_equal(close_range((unsigned)ctx, (unsigned)ctx, CLOSE_RANGE_CLOEXEC), 0);
	assert_int_equal(fcntl(ctx, F_GETFD), FD_CLOEXEC);
	alloc_ioas(ctx);
	close(ctx);
}

static void closefrom__then_open__works(void **state)
{
	int fd = open_iommu(), base;

	(void)state;
	base = fd;
	closefrom(base);
	assert_int_equal(close(base), -1);
	assert_int_equal(errno, EBADF);
	fd = open_iommu();
	assert_int_equal(fd, base);
	alloc_ioas(fd);
	close(fd);
	device_is_free(true);
}

struct inherited {
	int ctx, dev;
	volatile uint8_t *bar;
};

static void child_uses_parents(void *arg)
{
	struct inherited *h = arg;
	uint32_t id;
	uint16_t v;
	struct stat st;
	int own, dev;

	if (try_alloc_ioas(h->ctx, &id) != -ENODEV)
		_exit(1);
	if (pread(h->dev, &v, 2, CONFIG) != -1 || errno != ENODEV)
		_exit(2);
	if (mmap(NULL, PAGE, PROT_READ, MAP_SHARED, h->dev, BAR0) != MAP_FAILED || errno != ENODEV)
		_exit(3);
	/* The parent has it bound: opening is fine, binding is not. */
	own = open("/dev/iommu", O_RDWR);
	dev = open(NODE, O_RDWR);
	if (own < 0 || dev < 0 || try_alloc_ioas(own, &id))
		_exit(4);
	if (try_bind(dev, own) != -EINVAL)
		_exit(5);
	if (try_alloc_ioas(h->ctx, &id) != -ENODEV)
		_exit(6);
	close(h->ctx);
	close(h->dev);
	/* The numbers are free for others now. */
	if (open("/dev/null", O_RDWR) != (h->ctx < h->dev ? h->ctx : h->dev))
		_exit(7);
	if (fstat(h->ctx < h->dev ? h->ctx : h->dev, &st) || st.st_rdev != 0x103)
		_exit(8);
	if (isatty(h->ctx < h->dev ? h->ctx : h->dev) || errno != ENOTTY)
		_exit(9);
}

static void fork__child_uses_parents_files__enodev(void **state)
{
	struct inherited h = { 0 };
	uint16_t v;

	(void)state;
	h.dev = bound_device(&h.ctx);
	assert_int_equal(in_child(child_uses_parents, &h), 0);
	assert_int_equal(pread(h.dev, &v, 2, CONFIG), 2);
	alloc_ioas(h.ctx);
	close(h.dev);
	close(h.ctx);
	device_is_free(true);
}

static void child_binds(void *arg)
{
	int own = open("/dev/iommu", O_RDWR), dev = open(NODE, O_RDWR);
	volatile uint8_t *bar;

	(void)arg;
	if (own < 0 || dev < 0 || try_bind(dev, own))
		_exit(1);
	bar = mmap(NULL, BAR_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, dev, BAR0);
	if (bar == MAP_FAILED || bar[0] != 1)
		_exit(2);
}

static void fork__nothing_open__child_has_its_own(void **state)
{
	(void)state;
	device_is_free(true); /* the machine of the parent is there */
	assert_int_equal(in_child(child_binds, NULL), 0);
	device_is_free(true); /* and free again when the child is gone */
}

static void fork__child_holds_the_file__parent_closes_it(void **state)
{
	int ctx, dev = bound_device(&ctx), pipes[2], status;
	pid_t pid;
	char c;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	if (!pid) {
		close(pipes[1]);
		_exit(read(pipes[0], &c, 1) != 0);
	}
	close(pipes[0]);
	close(dev);
	close(ctx);
	device_is_free(false); /* as on Linux: the description lives in the child */
	close(pipes[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	device_is_free(true);
}

static void vfork__child_closes_and_execs__parent_unharmed(void **state)
{
	int ctx, dev = bound_device(&ctx), status;
	uint16_t v;
	pid_t pid;

	(void)state;
	pid = vfork();
	if (!pid) {
		close(dev);
		close_range(3, ~0u, 0);
		execl("/bin/true", "true", (char *)NULL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(pread(dev, &v, 2, CONFIG), 2);
	alloc_ioas(ctx);
	device_is_free(false);
	close(dev);
	close(ctx);
	device_is_free(true);
}

/* Started anew as another program; argv[1] says what to do. */
static int second_life(char **argv)
{
	struct inherited h = { .ctx = atoi(argv[2]) };
	uint32_t id = 0;
	int ctx, dev;

	if (!strcmp(argv[1], "bind")) {
		ctx = open("/dev/iommu", O_RDWR);
		dev = open(NODE, O_RDWR);
		return ctx < 0 || dev < 0 || try_bind(dev, ctx) != -atoi(argv[2]);
	}
	if (!strcmp(argv[1], "bind-wrong")) {
		dev = open(NODE, O_RDWR);
		return dev < 0 || try_bind(dev, 0) != -EBADFD || try_bind(dev, 999) != -EBADF;
	}
	/* inherited: a file of another process */
	if (try_alloc_ioas(h.ctx, &id) == 0)
		return 1;
	return errno != ENODEV;
}

static int spawn(const char *what, int number)
{
	char text[16];
	char *argv[] = { (char *)(uintptr_t)self, (char *)(uintptr_t)what, text, NULL };
	int status;
	pid_t pid;

	snprintf(text, sizeof(text), "%d", number);
	assert_int_equal(posix_spawn(&pid, self, NULL, NULL, argv, environ), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void spawn__program__own_machine_same_bus(void **state)
{
	int ctx, dev;

	(void)state;
	assert_int_equal(spawn("bind", 0), 0);
	dev = bound_device(&ctx);
	assert_int_equal(spawn("bind", EINVAL), 0); /* one owner at a time in the whole run */
	assert_int_equal(spawn("bind-wrong", 0), 0);
	assert_int_equal(try_bind(dev, ctx), -EINVAL); /* and it stays the owner */
	assert_int_equal(spawn("bind", EINVAL), 0);
	assert_int_equal(fcntl(ctx, F_SETFD, 0), 0);
	assert_int_equal(spawn("inherited", ctx), 0);
	close(dev);
	close(ctx);
	assert_int_equal(spawn("bind", 0), 0);
}

static int pass(int fd)
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(int))];
	} ctl;
	char c = 0;
	struct iovec iov = { &c, 1 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &ctl, .msg_controllen = sizeof(ctl)
	};
	int s[2], got;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	memset(&ctl, 0, sizeof(ctl));
	ctl.h.cmsg_level = SOL_SOCKET;
	ctl.h.cmsg_type = SCM_RIGHTS;
	ctl.h.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&ctl.h), &fd, sizeof(int));
	assert_int_equal(sendmsg(s[0], &m, 0), 1);
	close(fd); /* in flight: nobody has a number of it */
	device_is_free(false);
	m.msg_controllen = sizeof(ctl);
	assert_int_equal(recvmsg(s[1], &m, 0), 1);
	memcpy(&got, CMSG_DATA(&ctl.h), sizeof(int));
	close(s[0]);
	close(s[1]);
	return got;
}

static void scm_rights__received__still_ours(void **state)
{
	int ctx, dev = bound_device(&ctx);
	struct stat st;
	uint16_t v;

	(void)state;
	dev = pass(dev);
	assert_int_equal(fstat(dev, &st), 0);
	assert_true(S_ISCHR(st.st_mode));
	assert_int_equal(pread(dev, &v, 2, CONFIG), 2);
	assert_int_equal(v, 0x8086);
	assert_int_equal(try_bind(dev, ctx), -EINVAL);
	close(dev);
	close(ctx);
	device_is_free(true);
}

static void unseen_dup__raw_system_call__recognised(void **state)
{
	int ctx = open_iommu(), n = (int)syscall(SYS_dup, ctx);

	(void)state;
	alloc_ioas(n);
	close(ctx);
	alloc_ioas(n);
	close(n);
}

static void other_calls__on_our_number__as_a_character_device(void **state)
{
	int ctx, dev = bound_device(&ctx);
	struct iovec iov[2];
	uint16_t a = 0, b = 0;
	char buf[8], *volatile wild = (char *)8;

	(void)state;
	assert_int_equal(isatty(ctx), 0);
	assert_int_equal(errno, ENOTTY);
	assert_int_equal(read(ctx, buf, 8), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(write(ctx, buf, 8), -1);
	assert_int_equal(errno, EINVAL);
	iov[0] = (struct iovec){ &a, 2 };
	iov[1] = (struct iovec){ &b, 2 };
	assert_int_equal(preadv(dev, iov, 2, CONFIG), 4);
	assert_int_equal(a, 0x8086);
	assert_int_equal(lseek(dev, CONFIG, SEEK_SET), CONFIG);
	b = 0;
	assert_int_equal(read(dev, &a, 2), 2);
	assert_int_equal(read(dev, &b, 2), 2);
	assert_int_equal(a, 0x8086);
	assert_int_not_equal(b, 0);
	assert_int_equal(pread(dev, wild, 2, CONFIG), -1);
	assert_int_equal(errno, EFAULT);
	assert_ptr_equal(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, ctx, 0), MAP_FAILED);
	assert_int_equal(errno, ENODEV);
	/* Numbers that a client keeps as int arrive with their sign extended. */
	assert_int_equal(ioctl(dev, (unsigned long)(long)(int)VFIO_DEVICE_RESET, 0), 0);
	close(dev);
	close(ctx);
}

static void *use_device(void *arg)
{
	for (int i = 0; i < 200; i++) {
		int ctx = open("/dev/iommu", O_RDWR | O_CLOEXEC), n = dup(ctx);
		uint32_t id;

		close(ctx);
		if (try_alloc_ioas(n, &id))
			*(int *)arg = 1;
		close(n);
	}
	return NULL;
}

static void threads__open_and_close__no_mix_up(void **state)
{
	pthread_t t[4];
	int bad[4] = { 0 };

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, use_device, &bad[i]), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], NULL);
		assert_int_equal(bad[i], 0);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dup__every_form__one_file),
		cmocka_unit_test(dup2__over_our_number__the_file_dies),
		cmocka_unit_test(close__then_another_file_there__not_ours),
		cmocka_unit_test(close__context_first__device_keeps_it),
		cmocka_unit_test(close__mapped_bar__keeps_the_file),
		cmocka_unit_test(close_range__everything__engine_lives),
		cmocka_unit_test(closefrom__then_open__works),
		cmocka_unit_test(fork__child_uses_parents_files__enodev),
		cmocka_unit_test(fork__nothing_open__child_has_its_own),
		cmocka_unit_test(fork__child_holds_the_file__parent_closes_it),
		cmocka_unit_test(vfork__child_closes_and_execs__parent_unharmed),
		cmocka_unit_test(spawn__program__own_machine_same_bus),
		cmocka_unit_test(scm_rights__received__still_ours),
		cmocka_unit_test(unseen_dup__raw_system_call__recognised),
		cmocka_unit_test(other_calls__on_our_number__as_a_character_device),
		cmocka_unit_test(threads__open_and_close__no_mix_up),
	};

	self = argv[0];
	if (argc > 1)
		return second_life(argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
