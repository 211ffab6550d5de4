// SPDX-License-Identifier: MIT
/* What do forked children and exec'd programs have of their parent's files and memory? */
#include "client.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

static int use_inherited(void *arg)
{
	struct client *c = arg;
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	char byte;

	if (ioctl(c->iommu, IOMMU_IOAS_ALLOC, &alloc) != -1 || errno != ENODEV)
		return 1;
	if (ioctl(c->dev, VFIO_DEVICE_RESET) != -1 || errno != ENODEV)
		return 2;
	if (pread(c->dev, &byte, 1, 0) != -1 || errno != ENODEV)
		return 3;
	if (mmap(NULL, PAGE, PROT_READ, MAP_SHARED, c->dev, 0) != MAP_FAILED || errno != ENODEV)
		return 4;
	return 0;
}

static void fork__child_uses_inherited_files__enodev(void **state)
{
	listen_begin();
	assert_int_equal(in_child(use_inherited, *state), 0);
	assert_says(listen_end(), "a forked child cannot use its parent's files, open them anew");
}

static int touch_bar(void *arg)
{
	return ((struct client *)arg)->regs[0] == 0xff;
}

static void fork__child_touches_inherited_bar__killed(void **state)
{
	assert_int_equal(in_child(touch_bar, *state), 1000 + SIGSEGV);
}

static int open_own(void *arg)
{
	struct client c;
	char page;
	int rc = client_try_open(&c);

	(void)arg;
	if (rc)
		return -rc;
	if (dma_put(&c, c.ring_iova + 2 * PAGE, 'c') || dma_read(&c, c.ring_iova, &page, 1))
		return 200;
	client_close(&c);
	return 0;
}

static void fork__child_opens_its_own__works_while_the_device_is_free(void **state)
{
	struct client *c = *state;

	listen_begin();
	assert_int_equal(in_child(open_own, NULL), EINVAL);
	assert_says(listen_end(), "another process of this run has 0000:01:00.0 bound");
	client_close(c);
	assert_int_equal(in_child(open_own, NULL), 0);
	client_open(c);
}

static void fork__living_child__does_not_keep_the_device(void **state)
{
	struct client *c = *state;
	int pipes[2], status;
	char byte;
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		client_close(c);
		close(pipes[1]);
		_exit(read(pipes[0], &byte, 1) != 0);
	}
	close(pipes[0]);
	usleep(50000);
	client_close(c);
	client_open(c);
	close(pipes[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(dma_put(c, c->ring_iova + 2 * PAGE, 'p'), 0);
}

static int exit_properly(void *arg)
{
	(void)arg;
	exit(0);
}

static void fork__child_exits__parents_dma_unaffected(void **state)
{
	struct client *c = *state;
	char *p = pages(PAGE);
	uint64_t iova;

	iova = map(c, p, PAGE);
	assert_int_equal(in_child(exit_properly, NULL), 0);
	assert_int_equal(dma_put(c, iova, 'x'), 0);
	assert_int_equal(*p, 'x');
	unmap(c, iova, PAGE);
	munmap(p, PAGE);
}

/* Memory that was mapped before the fork stays the parent's, whoever writes first. */
static void fork__copy_on_write__device_stays_with_the_parent(void **state)
{
	struct client *c = *state;
	char *p = pages(2 * PAGE), go[2], seen[2];
	int to[2], from[2], status;
	uint64_t iova;
	pid_t pid;

	p[0] = p[PAGE] = 'o';
	iova = map(c, p, 2 * PAGE);
	assert_int_equal(dma_byte(c, iova), 'o');
	assert_int_equal(pipe(to), 0);
	assert_int_equal(pipe(from), 0);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		p[PAGE] = 'c'; /* the child writes one page first, the parent the other */
		if (write(from[1], p, 1) != 1 || read(to[0], go, 1) != 1)
			_exit(1);
		seen[0] = p[0];
		seen[1] = p[PAGE];
		_exit(write(from[1], seen, 2) != 2);
	}
	assert_int_equal(read(from[0], go, 1), 1);
	p[0] = 'p';
	assert_int_equal(dma_byte(c, iova), 'p');
	assert_int_equal(dma_byte(c, iova + PAGE), 'o');
	assert_int_equal(dma_put(c, iova, 'd'), 0);
	assert_int_equal(dma_put(c, iova + PAGE, 'd'), 0);
	assert_int_equal(p[0], 'd');
	assert_int_equal(p[PAGE], 'd');
	assert_int_equal(write(to[1], "x", 1), 1);
	assert_int_equal(read(from[0], seen, 2), 2);
	assert_int_equal(seen[0], 'o');
	assert_int_equal(seen[1], 'c');
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	for (int i = 0; i < 2; i++) {
		close(to[i]);
		close(from[i]);
	}
	unmap(c, iova, 2 * PAGE);
	munmap(p, 2 * PAGE);
}

/* ---- threads ---- */

static unsigned threads(void)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	unsigned n = 0;

	while (d && (e = readdir(d)))
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

static int first_dma(void *arg)
{
	struct client c;

	(void)arg;
	if (client_try_open(&c))
		return 1;
	if (threads() != 1)
		return 2;
	if (dma_put(&c, c.ring_iova + 2 * PAGE, 'x'))
		return 3;
	if (threads() != 2)
		return 4;
	/* What the kernel wants a process with one thread for. */
	if (!unshare(CLONE_NEWUSER) || errno != EINVAL)
		return 5;
	return 0;
}

static void dma__first__one_more_thread(void **state)
{
	struct client *c = *state;

	client_close(c);
	assert_int_equal(in_child(first_dma, NULL), 0);
	client_open(c);
}

/* ---- exec ---- */

static int spawn_self(const char *mode, int a, int b)
{
	char first[16], second[16];
	char *argv[] = { (char *)(uintptr_t) "test_process", (char *)(uintptr_t)mode, first, second,
			 NULL };
	int status;
	pid_t pid;

	snprintf(first, sizeof(first), "%d", a);
	snprintf(second, sizeof(second), "%d", b);
	assert_int_equal(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* The exec'd program: descriptors of its parent are memory files without a meaning here. */
static int exec_inherited(int iommu, int dev)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	uint16_t id = 0xffff;

	if (ioctl(iommu, IOMMU_IOAS_ALLOC, &alloc) != -1 || errno != ENODEV)
		return 1;
	if (pread(dev, &id, 2, (off_t)VFIO_PCI_CONFIG_REGION_INDEX << 40) != 2 || id != 0)
		return 2;
	if (open("/dev/iommu", O_RDWR) < 0) /* now with a machine of its own */
		return 3;
	if (ioctl(iommu, IOMMU_IOAS_ALLOC, &alloc) != -1 || errno != ENODEV)
		return 4;
	return 0;
}

static void exec__inherited_files__enodev(void **state)
{
	struct client *c = *state;
	int iommu = dup(c->iommu), dev = dup(c->dev); /* without close-on-exec */

	assert_int_equal(spawn_self("inherited", iommu, dev), 0);
	close(iommu);
	close(dev);
	assert_int_equal(dma_put(c, c->ring_iova + 2 * PAGE, 'p'), 0);
}

static void exec__opens_its_own__works_while_the_device_is_free(void **state)
{
	struct client *c = *state;

	assert_int_equal(spawn_self("own", 0, 0), EINVAL);
	client_close(c);
	assert_int_equal(spawn_self("own", 0, 0), 0);
	client_open(c);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		CASE(fork__child_uses_inherited_files__enodev),
		CASE(fork__child_touches_inherited_bar__killed),
		CASE(fork__child_opens_its_own__works_while_the_device_is_free),
		CASE(fork__living_child__does_not_keep_the_device),
		CASE(fork__child_exits__parents_dma_unaffected),
		CASE(fork__copy_on_write__device_stays_with_the_parent),
		CASE(dma__first__one_more_thread),
		CASE(exec__inherited_files__enodev),
		CASE(exec__opens_its_own__works_while_the_device_is_free),
	};

	if (argc == 4 && !strcmp(argv[1], "inherited"))
		return exec_inherited(atoi(argv[2]), atoi(argv[3]));
	if (argc == 4 && !strcmp(argv[1], "own"))
		return open_own(NULL);
	return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
