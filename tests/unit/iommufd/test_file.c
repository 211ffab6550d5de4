// SPDX-License-Identifier: MIT
/* IOAS_MAP_FILE: what is looked at when, and whose the pages are. */
#include "kit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define P PAGE_SIZE

static int map_file(struct kit *k, uint32_t ioas, uint32_t flags, int fd, uint64_t start,
		    uint64_t len, uint64_t *iova)
{
	struct iommu_ioas_map_file c = {
		.size = sizeof(c),
		.flags = flags,
		.ioas_id = ioas,
		.fd = fd,
		.start = start,
		.length = len,
		.iova = *iova,
	};
	int rc = kit_ioctl(k, IOMMU_IOAS_MAP_FILE, &c);

	*iova = c.iova;
	if (rc)
		assert_string_not_equal(why_last(), "");
	return rc;
}

static int map_file_at(struct kit *k, uint32_t ioas, uint64_t iova, int fd, uint64_t start,
		       uint64_t len)
{
	return map_file(k, ioas, FIXED | RW, fd, start, len, &iova);
}

static int memfd(uint64_t len)
{
	int fd = memfd_create("test", 0);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)len), 0);
	return fd;
}

static int disk_file(void)
{
	char name[] = "/var/tmp/iommufd-test-XXXXXX";
	int fd = mkstemp(name);

	assert_true(fd >= 0);
	unlink(name);
	assert_int_equal(ftruncate(fd, 0x10000), 0);
	return fd;
}

static void file__arguments__in_order(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	int fd = memfd(P), path = open("/", O_PATH);
	uint64_t at = 0;

	expect_rc(map_file(k, 9, 8, -1, 0, MAX, &at), -EOPNOTSUPP);
	expect_rc(map_file(k, 9, FIXED, -1, 0, MAX, &at), -EOVERFLOW);
	expect_rc(map_file(k, 9, FIXED, -1, 0, 0, &at), -EINVAL);
	expect_rc(map_file(k, 9, RW, -1, 0, 0, &at), -ENOENT);
	expect_rc(map_file(k, ioas, RW, -1, 0, 0, &at), -EINVAL);
	expect_rc(map_file(k, ioas, RW, -1, MAX - 5, P, &at), -EOVERFLOW);
	expect_rc(map_file(k, ioas, RW, -1, 0, P, &at), -EBADF);
	expect_rc(map_file(k, ioas, RW, path, 0, P, &at), -EBADF);
	expect_rc(map_file_at(k, ioas, MAX - 5, fd, 0, P), -EOVERFLOW);
	assert_int_equal(at, 0);
	assert_int_equal(kit_areas(k, ioas), 0);
	/* The last byte of all is one of a file. */
	expect_rc(map_file_at(k, ioas, 0x1000, fd, MAX - P + 1, P), 0);
	close(fd);
	close(path);
	kit_check(k, 0);
}

static void file__no_domain__anything_open(void **state)
{
	struct kit *k = *state;
	struct kit_dev *d = kit_device(k, -1);
	uint32_t ioas = kit_ioas(k), pt = ioas;
	int fd = disk_file(), p[2];
	uint64_t at = 0;

	assert_int_equal(pipe(p), 0);
	expect_rc(map_file(k, ioas, RW, fd, 0, 3 * P, &at), 0);
	assert_int_equal(at, 0x4000);
	expect_rc(map_file_at(k, ioas, 0x10000, p[0], 0, P), 0);
	close(p[0]);
	close(p[1]);
	kit_check(k, 0);
	kit_bind(k, d);
	expect_rc(iommufd_device_attach(d->idev, &pt), -EINVAL);
	expect_rc(kit_unmap(k, ioas, 0, MAX, NULL), 0);
	kit_attach(d, ioas);
	expect_rc(map_file_at(k, ioas, 0x10000, fd, 0, P), -EINVAL);
	assert_int_equal(kit_areas(k, ioas), 0);
	close(fd);
	kit_check(k, 0);
}

static void file__memfd__pinned_and_read(void **state)
{
	struct kit *k = *state;
	struct kit_dev *d = kit_device(k, -1);
	uint32_t ioas = kit_ioas(k);
	int fd = memfd(16 * P + 100);
	unsigned char b = 7, *view;

	kit_bind(k, d);
	kit_attach(d, ioas);
	expect_rc(map_file_at(k, ioas, 0x100000, fd, 0, 17 * P), -EINVAL);     /* past the end */
	expect_rc(map_file_at(k, ioas, 0x100000, fd, 15 * P, 2 * P), -EINVAL); /* half a page */
	expect_rc(map_file_at(k, ioas, 0x100000, fd, 0x800, P), -EINVAL);      /* alignment */
	kit_check(k, 0);
	assert_int_equal(pwrite(fd, "x", 1, 5 * P), 1);
	expect_rc(map_file_at(k, ioas, 0x100000, fd, 4 * P, 8 * P), 0);
	kit_check(k, 8);
	view = mmap(NULL, 16 * P, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(view, MAP_FAILED);
	close(fd);
	expect_rc(kit_dma_read(d, 0x101000, &b), 0);
	assert_int_equal(b, 'x');
	expect_rc(kit_dma_write(d, 0x107000, 55), 0); /* a hole until now */
	assert_int_equal(view[11 * P], 55);
	/* A mapping of the same file is the same frames. */
	expect_rc(kit_map_at(k, ioas, 0x200000, view + 4 * P, P), 0);
	expect_rc(kit_dma_write(d, 0x200000, 66), 0);
	expect_rc(kit_dma_read(d, 0x100000, &b), 0);
	assert_int_equal(b, 66);
	expect_rc(kit_unmap(k, ioas, 0, MAX, NULL), 0);
	munmap(view, 16 * P);
	kit_check(k, 0);
}

static void file__copied__shared(void **state)
{
	struct kit *k = *state;
	struct kit_dev *d = kit_device(k, -1);
	uint32_t s = kit_ioas(k), ioas = kit_ioas(k);
	struct iommu_ioas_copy c = { .size = sizeof(c),
				     .flags = RW,
				     .dst_ioas_id = ioas,
				     .src_ioas_id = s,
				     .length = 2 * P,
				     .src_iova = 0x10000 + 0x6000 };
	int fd = memfd(16 * P);
	unsigned char b;

	assert_int_equal(pwrite(fd, "y", 1, 7 * P), 1);
	kit_bind(k, d);
	kit_attach(d, ioas);
	expect_rc(map_file_at(k, s, 0x10000, fd, 0, 16 * P), 0);
	close(fd);
	kit_check(k, 0);
	expect_rc(kit_ioctl(k, IOMMU_IOAS_COPY, &c), 0);
	assert_int_equal(c.dst_iova, 0x2000); /* placed by the offset in the file */
	kit_check(k, 2);
	expect_rc(kit_destroy(k, s), 0);
	expect_rc(kit_dma_read(d, 0x3000, &b), 0);
	assert_int_equal(b, 'y');
	expect_rc(kit_unmap(k, ioas, 0, MAX, NULL), 0);
	kit_check(k, 0);
}

static void change_process__files_only(void **state)
{
	struct iommu_ioas_change_process c = { .size = sizeof(c), .__reserved = 1 };
	struct kit *k = *state;
	uint32_t ioas;
	int fd = memfd(P);

	expect_rc(kit_ioctl(k, IOMMU_IOAS_CHANGE_PROCESS, &c), -EOPNOTSUPP);
	c.__reserved = 0;
	expect_rc(kit_ioctl(k, IOMMU_IOAS_CHANGE_PROCESS, &c), 0);
	kit_ioas(k);
	ioas = kit_ioas(k);
	expect_rc(map_file_at(k, ioas, 0x10000, fd, 0, P), 0);
	expect_rc(kit_ioctl(k, IOMMU_IOAS_CHANGE_PROCESS, &c), 0);
	expect_rc(kit_map_at(k, ioas, 0x20000, NULL, P), 0);
	expect_rc(kit_ioctl(k, IOMMU_IOAS_CHANGE_PROCESS, &c), -EINVAL);
	expect_rc(kit_unmap(k, ioas, 0x20000, P, NULL), 0);
	expect_rc(kit_ioctl(k, IOMMU_IOAS_CHANGE_PROCESS, &c), 0);
	close(fd);
	kit_check(k, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(file__arguments__in_order),    KIT_TEST(file__no_domain__anything_open),
		KIT_TEST(file__memfd__pinned_and_read), KIT_TEST(file__copied__shared),
		KIT_TEST(change_process__files_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
