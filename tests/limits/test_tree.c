// SPDX-License-Identifier: MIT
/* What is the picture of /sys and /dev: what shows, and what does writing to it do? */
#include "client.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define FUNCTION "/sys/bus/pci/devices/0000:01:00.0"
#define DRIVER   "/sys/bus/pci/drivers/vfio-pci"

static bool host_has(const char *path)
{
	return !syscall(SYS_faccessat, AT_FDCWD, path, F_OK);
}

static bool lists(const char *dir, const char *name)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	bool found = false;

	if (!d)
		return false;
	while ((e = readdir(d)))
		found |= !strcmp(e->d_name, name);
	closedir(d);
	return found;
}

static void readdir__of_a_replaced_folder__ours(void **state)
{
	(void)state;
	assert_true(lists("/dev/vfio/devices", "vfio0"));
	assert_true(lists("/sys/bus/pci/devices", "0000:01:00.0"));
	assert_true(lists("/sys/kernel/iommu_groups", "0"));
	assert_true(lists("/sys/class/vfio-dev", "vfio0"));
}

/* Only whole folders are replaced; an entry of ours in one of the host's is not listed there. */
static void readdir__of_the_folder_above__the_hosts(void **state)
{
	static const char *const above[][2] = { { "/dev", "iommu" },
						{ "/dev", "vfio" },
						{ "/sys/class", "vfio-dev" },
						{ "/sys/kernel", "iommu_groups" } };

	(void)state;
	for (size_t i = 0; i < sizeof(above) / sizeof(above[0]); i++) {
		char path[80];
		struct stat st;

		snprintf(path, sizeof(path), "%s/%s", above[i][0], above[i][1]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(lists(above[i][0], above[i][1]), host_has(path));
	}
}

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	int rc;

	if (fd < 0)
		return -errno;
	rc = write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -errno;
	close(fd);
	return rc;
}

static uint16_t command_register(struct client *c)
{
	uint16_t v = 0;

	assert_int_equal(pread(c->dev, &v, 2, ((off_t)VFIO_PCI_CONFIG_REGION_INDEX << 40) + 4), 2);
	return v;
}

static void write__of_reset_or_unbind__no_effect(void **state)
{
	struct client *c = *state;
	uint16_t before = command_register(c);

	assert_int_equal(before & 6, 6);
	assert_int_equal(write_text(FUNCTION "/reset", "1"), 0);
	assert_int_equal(command_register(c), before);
	assert_int_equal(write_text(DRIVER "/unbind", "0000:01:00.0"), 0);
	assert_int_equal(access(DRIVER "/0000:01:00.0", F_OK), 0);
	assert_int_equal(write_text(FUNCTION "/driver_override", "none"), 0);
	assert_int_equal(dma_put(c, c->ring_iova + 2 * PAGE, 'x'), 0);
	write_text(FUNCTION "/driver_override", "(null)\n");
}

/* The attribute holds config space as it was when the machine was made. */
static void read__of_config_attribute__as_at_the_start(void **state)
{
	struct client *c = *state;
	uint16_t id = 0, command = 0xffff;
	int fd = open(FUNCTION "/config", O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &id, 2, 0), 2);
	assert_int_equal(id, 0x8086);
	assert_int_equal(pread(fd, &command, 2, 4), 2);
	assert_int_equal(command_register(c) & 4, 4);
	assert_int_equal(command & 4, 0);
	close(fd);
}

/* A BAR mapped through sysfs is a file of zeros. */
static void mmap__of_resource_attribute__not_the_bar(void **state)
{
	struct client *c = *state;
	int fd = open(FUNCTION "/resource0", O_RDWR);
	volatile uint8_t *p;

	assert_true(fd >= 0);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	assert_int_not_equal(c->regs[0], 0); /* how many channels there are */
	assert_int_equal(p[0], 0);
	munmap((void *)(uintptr_t)p, PAGE);
	close(fd);
}

/* The nodes are the caller's and stay as they are. */
static void chmod__of_node__no_effect(void **state)
{
	struct stat before, after;

	(void)state;
	assert_int_equal(stat(NODE, &before), 0);
	assert_int_equal(chmod(NODE, 0666), 0);
	assert_int_equal(chown(NODE, getuid(), getgid()), 0);
	assert_int_equal(rename(NODE, NODE "-away"), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(unlink(NODE), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(stat(NODE, &after), 0);
	assert_int_equal(after.st_mode, before.st_mode);
}

static void open__of_group_nodes__enoent(void **state)
{
	(void)state;
	assert_int_equal(open("/dev/vfio/vfio", O_RDWR), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(open("/dev/vfio/0", O_RDWR), -1);
	assert_int_equal(errno, ENOENT);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(readdir__of_a_replaced_folder__ours),
		cmocka_unit_test(readdir__of_the_folder_above__the_hosts),
		CASE(write__of_reset_or_unbind__no_effect),
		CASE(read__of_config_attribute__as_at_the_start),
		CASE(mmap__of_resource_attribute__not_the_bar),
		cmocka_unit_test(chmod__of_node__no_effect),
		cmocka_unit_test(open__of_group_nodes__enoent),
	};

	return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
