// SPDX-License-Identifier: MIT
/* Shared memory: one page is one frame, however it is reached and whatever the client unmaps. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "mem_kit.h"

static struct pinned a, b, c;

static int memfd(size_t npages)
{
	int fd = memfd_create("shared", 0);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)(npages << PAGE_LG2)), 0);
	return fd;
}

/* The mapping calls of a client under a preload. */
static char *map_shared(int fd, size_t npages, size_t first, int prot)
{
	int flags = MAP_SHARED | (fd < 0 ? MAP_ANONYMOUS : 0);
	char *p = mmap(NULL, npages << PAGE_LG2, prot, flags, fd, (off_t)(first << PAGE_LG2));

	assert_ptr_not_equal(p, MAP_FAILED);
	if (vma_tracking())
		vma_mapped((uintptr_t)p, npages << PAGE_LG2, prot, flags, fd, first << PAGE_LG2);
	return p;
}

static int pin_fd(struct mm_file *f, uint64_t page, uint64_t npages, struct pinned *out)
{
	long got = mm_file_pin(f, page << PAGE_LG2, npages, MM_PIN_WRITE, out->runs, RUNS_MAX,
			       &out->n);

	if (got < 0)
		return (int)got;
	assert_int_equal(got, npages);
	return 0;
}

static void mm_pin__two_mappings_of_a_memfd__same_frames(void **state)
{
	int fd = memfd(64);
	struct mm_file *f;
	struct kit k;
	char *p, *q;

	(void)state;
	kit_begin(&k);
	p = map_shared(fd, 64, 0, PROT_READ | PROT_WRITE);
	q = map_shared(fd, 40, 8, PROT_READ);
	assert_int_equal(kit_pin(&k, p, 64, MM_PIN_WRITE, &a), 0);
	assert_int_equal(kit_pin(&k, q, 40, 0, &b), 0);
	assert_int_equal(a.n, 1);
	assert_int_equal(b.n, 1);
	assert_true(kit_pa(&a, 0) >= PHYS_IDENTITY_END);
	assert_true(!(kit_pa(&a, 0) & (GIB - 1)));
	assert_true(kit_pa(&b, 0) == kit_pa(&a, 8));
	/* And by descriptor. */
	assert_int_equal(mm_file_open(k.pm, fd, &f), 0);
	assert_int_equal(pin_fd(f, 10, 3, &c), 0);
	assert_true(kit_pa(&c, 0) == kit_pa(&a, 10));
	assert_int_equal(physmap_pins(k.pm, kit_pa(&a, 10)), 3);
	assert_int_equal(physmap_pins(k.pm, kit_pa(&a, 0)), 1);
	physmap_check(k.pm);
	kit_unpin(&k, &c);
	mm_file_close(f);
	kit_unpin(&k, &a);
	assert_int_equal(physmap_pins(k.pm, kit_pa(&b, 0)), 1);
	kit_unpin(&k, &b);
	/* A read-only pin of a writable mapping is not writable for the client's sake only. */
	assert_int_equal(kit_pin(&k, q, 1, MM_PIN_WRITE, &b), -EFAULT);
	assert_int_equal(kit_pin(&k, q, 40, MM_PIN_WRITE, &b), -EFAULT);
	kit_unmap(p, 64);
	kit_unmap(q, 40);
	close(fd);
	kit_end(&k);
}

static void mm_pin__shared__dma_is_seen_and_munmap_does_not_matter(void **state)
{
	static const size_t sizes[] = { 1, 31, 33, 900 };
	struct kit k;

	(void)state;
	kit_begin(&k);
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		size_t n = sizes[i];
		int fd = memfd(n);
		char *p = map_shared(fd, n, 0, PROT_READ | PROT_WRITE), buf[6];

		memset(p, 3, n << PAGE_LG2);
		assert_int_equal(kit_pin(&k, p, n, MM_PIN_WRITE, &a), 0);
		assert_int_equal(kit_dma_write(&k, kit_pa(&a, n - 1), "bytes", 6), 0);
		assert_string_equal(p + ((n - 1) << PAGE_LG2), "bytes");
		kit_unmap(p, n);
		assert_int_equal(pwrite(fd, "again", 6, 0), 6);
		assert_int_equal(kit_dma_read(&k, kit_pa(&a, 0), buf, 6), 0);
		assert_string_equal(buf, "again");
		close(fd);
		assert_int_equal(kit_dma_write(&k, kit_pa(&a, 0), "alone", 6), 0);
		kit_unpin(&k, &a);
		assert_int_equal(kit_dma_read(&k, kit_pa(&a, 0), buf, 6), -EFAULT);
	}
	kit_end(&k);
}

static void mm_pin__shared_anonymous__one_object_per_mapping(void **state)
{
	char *p = map_shared(-1, 40, 0, PROT_READ | PROT_WRITE);
	char *q = map_shared(-1, 40, 0, PROT_READ | PROT_WRITE), buf[3];
	struct kit k;

	(void)state;
	kit_begin(&k);
	assert_int_equal(kit_pin(&k, p, 40, MM_PIN_WRITE, &a), 0);
	assert_int_equal(kit_pin(&k, q, 5, MM_PIN_WRITE, &b), 0);
	assert_true(kit_pa(&a, 0) >= PHYS_IDENTITY_END && kit_pa(&b, 0) >= PHYS_IDENTITY_END);
	assert_true(kit_pa(&a, 0) != kit_pa(&b, 0));
	memcpy(p, "pp", 3);
	kit_unmap(p, 40);
	assert_int_equal(kit_dma_read(&k, kit_pa(&a, 0), buf, 3), 0);
	assert_string_equal(buf, "pp");
	kit_unpin(&k, &a);
	kit_unpin(&k, &b);
	kit_unmap(q, 40);
	kit_end(&k);
}

static void mm_pin__private_then_shared_then_private__each_its_frames(void **state)
{
	int fd = memfd(30);
	char *p = kit_map(90);
	struct kit k;

	(void)state;
	kit_begin(&k);
	kit_unmap(p + 30 * PAGE_SIZE, 30);
	assert_ptr_equal(mmap(p + 30 * PAGE_SIZE, 30 * PAGE_SIZE, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_FIXED, fd, 0),
			 p + 30 * PAGE_SIZE);
	if (vma_tracking())
		vma_mapped((uintptr_t)p + 30 * PAGE_SIZE, 30 * PAGE_SIZE, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_FIXED, fd, 0);
	assert_int_equal(kit_pin(&k, p, 90, MM_PIN_WRITE, &a), 0);
	assert_int_equal(a.n, 3);
	assert_int_equal(kit_pages(&a), 90);
	assert_true(kit_pa(&a, 89) == (uintptr_t)p + 89 * PAGE_SIZE);
	assert_true(kit_pa(&a, 30) >= PHYS_IDENTITY_END);
	/* A cut in the middle leaves two pieces of the file. */
	kit_unmap(p + 40 * PAGE_SIZE, 5);
	assert_int_equal(kit_pin(&k, p + 35 * PAGE_SIZE, 10, 0, &b), -EFAULT);
	assert_int_equal(kit_pin(&k, p + 45 * PAGE_SIZE, 45, MM_PIN_WRITE, &b), 0);
	assert_true(kit_pa(&b, 0) == kit_pa(&a, 45));
	kit_unpin(&k, &a);
	kit_unpin(&k, &b);
	kit_unmap(p, 90);
	close(fd);
	kit_end(&k);
}

static void mm_pin__file_truncated_later__dma_faults(void **state)
{
	int fd = memfd(8);
	char *p = map_shared(fd, 8, 0, PROT_READ | PROT_WRITE), byte;
	struct kit k;

	(void)state;
	kit_begin(&k);
	assert_int_equal(kit_pin(&k, p, 8, MM_PIN_WRITE, &a), 0);
	assert_int_equal(ftruncate(fd, 4 * PAGE_SIZE), 0);
	assert_int_equal(kit_dma_read(&k, kit_pa(&a, 3), &byte, 1), 0);
	assert_int_equal(kit_dma_read(&k, kit_pa(&a, 4), &byte, 1), -EFAULT);
	assert_int_equal(kit_pin(&k, p, 8, 0, &b), -EFAULT);
	kit_unpin(&k, &a);
	kit_unmap(p, 8);
	close(fd);
	kit_end(&k);
}

static void mm_file_shrinking__pinned_pages__device_keeps_the_bytes(void **state)
{
	int fd = memfd(20);
	char *p = map_shared(fd, 20, 0, PROT_READ | PROT_WRITE), buf[6];
	struct physmap_stats st;
	struct mm_file *f;
	struct kit k;

	(void)state;
	kit_begin(&k);
	assert_int_equal(mm_file_shrinking(fd, 0, UINT64_MAX), 0); /* nothing is pinned */
	assert_int_equal(mm_file_shrinking(-1, 0, UINT64_MAX), 0);
	assert_int_equal(mm_file_open(k.pm, fd, &f), 0);
	for (int i = 0; i < 20; i++)
		memset(p + i * (int)PAGE_SIZE, i + 1, PAGE_SIZE);
	assert_int_equal(kit_pin(&k, p, 20, MM_PIN_WRITE, &a), 0);
	assert_int_equal(mm_file_shrinking(fd, 5 * PAGE_SIZE - 100, UINT64_MAX), 0);
	assert_int_equal(ftruncate(fd, 5 * PAGE_SIZE - 100), 0);
	physmap_check(k.pm);
	physmap_stats(k.pm, &st);
	assert_int_equal(st.moved_pages, 15);
	assert_int_equal(st.file_pages, 20);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(kit_dma_read(&k, kit_pa(&a, (unsigned)i), buf, 1), 0);
		assert_int_equal(buf[0], i + 1);
	}
	assert_int_equal(kit_dma_write(&k, kit_pa(&a, 19), "alive", 6), 0);
	/* The file grows again: other pages, other frames. */
	assert_int_equal(ftruncate(fd, 20 * PAGE_SIZE), 0);
	assert_int_equal(kit_pin(&k, p, 20, MM_PIN_WRITE, &b), 0);
	assert_true(kit_pa(&b, 19) != kit_pa(&a, 19));
	assert_int_equal(kit_dma_read(&k, kit_pa(&b, 19), buf, 6), 0);
	assert_int_equal(buf[0], 0);
	assert_int_equal(pin_fd(f, 19, 1, &c), 0);
	assert_true(kit_pa(&c, 0) == kit_pa(&b, 19));
	kit_unpin(&k, &c);
	kit_unpin(&k, &b);
	assert_int_equal(kit_dma_read(&k, kit_pa(&a, 19), buf, 6), 0);
	assert_string_equal(buf, "alive");
	physmap_check(k.pm);
	kit_unpin(&k, &a);
	mm_file_close(f);
	kit_unmap(p, 20);
	close(fd);
	kit_end(&k);
}

static void mm_file_shrinking__hole_in_the_middle__only_that(void **state)
{
	int fd = memfd(16);
	char *p = map_shared(fd, 16, 0, PROT_READ | PROT_WRITE), byte;
	struct physmap_stats st;
	struct kit k;

	(void)state;
	kit_begin(&k);
	memset(p, 9, 16 * PAGE_SIZE);
	assert_int_equal(kit_pin(&k, p, 3, 0, &a), 0);
	assert_int_equal(kit_pin(&k, p + 5 * PAGE_SIZE, 6, 0, &b), 0);
	assert_int_equal(mm_file_shrinking(fd, 2 * PAGE_SIZE, 5 * PAGE_SIZE), 0);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * PAGE_SIZE,
				   5 * PAGE_SIZE),
			 0);
	physmap_check(k.pm);
	physmap_stats(k.pm, &st);
	assert_int_equal(st.moved_pages, 3); /* 2, 5 and 6 */
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(kit_dma_read(&k, kit_pa(&b, i), &byte, 1), 0);
		assert_int_equal(byte, 9);
	}
	p[7 * PAGE_SIZE] = 4; /* still the same page */
	assert_int_equal(kit_dma_read(&k, kit_pa(&b, 2), &byte, 1), 0);
	assert_int_equal(byte, 4);
	kit_unpin(&k, &b);
	kit_unpin(&k, &a);
	kit_unmap(p, 16);
	close(fd);
	kit_end(&k);
}

static void mm_file_pin__beyond_the_file_or_not_memory__einval(void **state)
{
	int fd = memfd(4), pipes[2], null = open("/dev/null", O_RDWR), path;
	struct mm_file *f;
	struct kit k;

	(void)state;
	kit_begin(&k);
	assert_int_equal(ftruncate(fd, 4 * PAGE_SIZE - 1), 0);
	assert_int_equal(mm_file_open(k.pm, fd, &f), 0);
	assert_int_equal(pin_fd(f, 0, 4, &a), -EINVAL); /* the last page is partial */
	assert_int_equal(pin_fd(f, 3, 1, &a), -EINVAL);
	assert_int_equal(pin_fd(f, 1ull << 40, 1, &a), -EINVAL);
	assert_int_equal(pin_fd(f, 1, UINT64_MAX >> 1, &a), -EINVAL);
	assert_int_equal(pin_fd(f, 0, 3, &a), 0);
	kit_unpin(&k, &a);
	/* Size counts when it is pinned. */
	assert_int_equal(ftruncate(fd, 9 * PAGE_SIZE), 0);
	assert_int_equal(pin_fd(f, 0, 9, &a), 0);
	assert_int_equal(a.n, 1);
	mm_file_close(f);
	close(fd);
	assert_int_equal(kit_dma_write(&k, kit_pa(&a, 8), "still", 5), 0);
	kit_unpin(&k, &a);

	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(mm_file_open(k.pm, pipes[0], &f), 0);
	assert_int_equal(pin_fd(f, 0, 1, &a), -EINVAL);
	mm_file_close(f);
	assert_int_equal(mm_file_open(k.pm, null, &f), 0);
	assert_int_equal(pin_fd(f, 0, 1, &a), -EINVAL);
	mm_file_close(f);
	path = open("/tmp", O_PATH);
	assert_int_equal(mm_file_open(k.pm, path, &f), -EBADF);
	assert_int_equal(mm_file_open(k.pm, 12345, &f), -EBADF);
	assert_int_equal(mm_file_open(k.pm, -1, &f), -EBADF);
	mm_file_close(NULL);
	close(path);
	close(null);
	close(pipes[0]);
	close(pipes[1]);
	kit_end(&k);
}

static void mm_pin__file_of_several_gib__offsets_keep_alignment(void **state)
{
	int fd = memfd(5 * GIB >> PAGE_LG2);
	size_t first = (GIB >> PAGE_LG2) - 3;
	char *p = map_shared(fd, (3 * GIB >> PAGE_LG2) + 10, first, PROT_READ | PROT_WRITE);
	struct kit k;

	(void)state;
	kit_begin(&k);
	assert_int_equal(kit_pin(&k, p, 6, MM_PIN_WRITE, &a), 0);
	assert_int_equal(a.n, 1); /* over the edge of a GiB */
	assert_int_equal(kit_pa(&a, 3) & (GIB - 1), 0);
	assert_int_equal(kit_pin(&k, p + 3 * GIB, 4, MM_PIN_WRITE, &b), 0);
	assert_true(kit_pa(&b, 0) == kit_pa(&a, 0) + 3 * GIB);
	kit_unpin(&k, &a);
	kit_unpin(&k, &b);
	kit_unmap(p, (3 * GIB >> PAGE_LG2) + 10);
	close(fd);
	kit_end(&k);
}

static void mm_pin__read_only_then_writable__becomes_writable(void **state)
{
	char path[] = "/dev/shm/uiommufd-test-XXXXXX";
	int rw = mkstemp(path), ro = open(path, O_RDONLY);
	struct kit k;
	char *p, *q;

	(void)state;
	if (rw < 0) {
		print_message("# no file can be made in /dev/shm\n");
		skip();
	}
	unlink(path);
	assert_int_equal(ftruncate(rw, 4 * PAGE_SIZE), 0);
	kit_begin(&k);
	p = map_shared(ro, 4, 0, PROT_READ);
	q = map_shared(rw, 4, 0, PROT_READ | PROT_WRITE);
	assert_int_equal(kit_pin(&k, p, 4, 0, &a), 0);
	assert_int_equal(kit_dma_write(&k, kit_pa(&a, 1), "no", 2), -EFAULT);
	assert_int_equal(kit_pin(&k, q, 2, MM_PIN_WRITE, &b), 0);
	assert_true(kit_pa(&a, 0) == kit_pa(&b, 0));
	assert_int_equal(kit_dma_write(&k, kit_pa(&a, 1), "yes", 4), 0);
	assert_string_equal(p + PAGE_SIZE, "yes");
	assert_int_equal(kit_dma_write(&k, kit_pa(&a, 2), "no", 2), -EFAULT);
	kit_unpin(&k, &a);
	kit_unpin(&k, &b);
	kit_unmap(p, 4);
	kit_unmap(q, 4);
	close(rw);
	close(ro);
	kit_end(&k);
}

static void vma_mapped_device__pin__efault(void **state)
{
	int fd = memfd(4);
	char *p = map_shared(fd, 4, 0, PROT_READ | PROT_WRITE);
	struct kit k;

	(void)state;
	kit_begin(&k);
	vma_mapped_device((uintptr_t)p + PAGE_SIZE, PAGE_SIZE);
	assert_int_equal(kit_pin(&k, p + PAGE_SIZE, 1, 0, &a), -EFAULT);
	assert_int_equal(kit_pin(&k, p, 4, 0, &a), -EFAULT);
	assert_int_equal(kit_pin(&k, p, 1, 0, &a), 0);
	kit_unpin(&k, &a);
	kit_unmap(p, 4);
	close(fd);
	kit_end(&k);
}

static void mm_pin__private_over_former_shared__private(void **state)
{
	int fd = memfd(4);
	char *p = map_shared(fd, 4, 0, PROT_READ | PROT_WRITE), *q;
	struct kit k;

	(void)state;
	kit_begin(&k);
	assert_int_equal(vma_unmapping((uintptr_t)p, 4 * PAGE_SIZE), 0);
	q = mmap(p, 4 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		 -1, 0);
	assert_ptr_equal(p, q);
	if (vma_tracking())
		vma_mapped((uintptr_t)p, 4 * PAGE_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	assert_int_equal(kit_pin(&k, p, 4, MM_PIN_WRITE, &a), 0);
	assert_true(kit_pa(&a, 0) == (uintptr_t)p);
	kit_unpin(&k, &a);
	kit_unmap(p, 4);
	close(fd);
	kit_end(&k);
}

static void mm_pin__hugetlb_memfd__one_frame_by_mapping_and_descriptor(void **state)
{
	int fd = memfd_create("huge", MFD_HUGETLB);
	size_t n = 2 * MIB >> PAGE_LG2;
	char *p = MAP_FAILED;
	struct mm_file *f;
	struct kit k;

	(void)state;
	if (fd >= 0 && !ftruncate(fd, 2 * MIB))
		p = mmap(NULL, 2 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		print_message("# no huge pages are set aside (/proc/sys/vm/nr_hugepages)\n");
		if (fd >= 0)
			close(fd);
		skip();
	}
	if (vma_tracking())
		vma_mapped((uintptr_t)p, 2 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	kit_begin(&k);
	assert_int_equal(mm_file_open(k.pm, fd, &f), 0);
	assert_int_equal(pin_fd(f, 1, 4, &a), 0);
	assert_int_equal(kit_pin(&k, p + 3 * PAGE_SIZE, 100, MM_PIN_WRITE, &b), 0);
	assert_true(kit_pa(&b, 0) == kit_pa(&a, 2));
	kit_unpin(&k, &a);
	mm_file_close(f);
	kit_unpin(&k, &b);
	/* Without a handle on the file; as root there is one behind the mapping. */
	assert_int_equal(kit_pin(&k, p, n, MM_PIN_WRITE, &a), 0);
	assert_int_equal(kit_dma_write(&k, kit_pa(&a, n - 1), "huge", 5), 0);
	assert_string_equal(p + 2 * MIB - PAGE_SIZE, "huge");
	kit_unmap(p, n);
	close(fd);
	assert_int_equal(kit_dma_write(&k, kit_pa(&a, 0), "huge", 5), 0);
	kit_unpin(&k, &a);
	kit_end(&k);
}

struct sweep {
	struct kit k;
	char *p;
	size_t n;
	int fd;
};

static int sweep_pin(void *arg)
{
	struct sweep *s = arg;

	return kit_pin(&s->k, s->p, s->n, MM_PIN_WRITE, &a);
}

static int sweep_fd(void *arg)
{
	struct sweep *s = arg;
	struct mm_file *f;
	int rc = mm_file_open(s->k.pm, s->fd, &f);

	if (rc)
		return rc;
	rc = pin_fd(f, 0, s->n, &a);
	mm_file_close(f);
	return rc;
}

static void sweep_check(void *arg, int rc)
{
	struct sweep *s = arg;
	struct physmap_stats st;

	physmap_check(s->k.pm);
	physmap_stats(s->k.pm, &st);
	if (rc) {
		assert_true(rc == -ENOMEM || rc == -EMFILE);
		assert_int_equal(st.file_pages, 0);
		return;
	}
	assert_int_equal(st.file_pages, s->n);
	kit_unpin(&s->k, &a);
}

static int sweep_shrink(void *arg)
{
	return mm_file_shrinking(((struct sweep *)arg)->fd, 0, UINT64_MAX);
}

/* All pages but the one in the middle. */
static void pin_halves(struct sweep *s)
{
	size_t half = s->n / 2;

	assert_int_equal(kit_pin(&s->k, s->p, half, 0, &b), 0);
	assert_int_equal(kit_pin(&s->k, s->p + ((half + 1) << PAGE_LG2), s->n - half - 1, 0, &a),
			 0);
}

static void sweep_shrink_check(void *arg, int rc)
{
	struct sweep *s = arg;
	struct physmap_stats st;
	char byte = 0;

	physmap_check(s->k.pm);
	physmap_stats(s->k.pm, &st);
	assert_int_equal(st.file_pages, s->n - 1);
	assert_int_equal(st.moved_pages, rc ? 0 : s->n - 1);
	s->p[0] = 1;
	assert_int_equal(kit_dma_write(&s->k, kit_pa(&b, 0), "#", 1), 0);
	assert_int_equal(s->p[0], rc ? '#' : 1);
	assert_int_equal(kit_dma_read(&s->k, kit_pa(&b, 0), &byte, 1), 0);
	assert_int_equal(byte, '#');
	if (rc) {
		assert_int_equal(rc, -ENOMEM);
		return;
	}
	kit_unpin(&s->k, &a);
	kit_unpin(&s->k, &b);
	pin_halves(s);
}

static void mm_file_shrinking__every_fault_point__all_or_nothing(void **state)
{
	struct sweep s = { .n = 40, .fd = memfd(40) };

	(void)state;
	s.p = map_shared(s.fd, s.n, 0, PROT_READ | PROT_WRITE);
	kit_begin(&s.k);
	pin_halves(&s);
	kit_sweep(sweep_shrink, sweep_shrink_check, &s);
	kit_unpin(&s.k, &a);
	kit_unpin(&s.k, &b);
	kit_end(&s.k);
	kit_unmap(s.p, s.n);
	close(s.fd);
}

static void mm_pin__shared_every_fault_point__nothing_pinned(void **state)
{
	static const size_t sizes[] = { 2, 600 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		struct sweep s = { .n = sizes[i], .fd = memfd(sizes[i]) };

		s.p = map_shared(s.fd, s.n, 0, PROT_READ | PROT_WRITE);
		kit_begin(&s.k);
		kit_sweep(sweep_pin, sweep_check, &s);
		kit_sweep(sweep_fd, sweep_check, &s);
		kit_end(&s.k);
		kit_unmap(s.p, s.n);
		close(s.fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mm_pin__two_mappings_of_a_memfd__same_frames),
		cmocka_unit_test(mm_pin__shared__dma_is_seen_and_munmap_does_not_matter),
		cmocka_unit_test(mm_pin__shared_anonymous__one_object_per_mapping),
		cmocka_unit_test(mm_pin__private_then_shared_then_private__each_its_frames),
		cmocka_unit_test(mm_pin__file_truncated_later__dma_faults),
		cmocka_unit_test(mm_file_shrinking__pinned_pages__device_keeps_the_bytes),
		cmocka_unit_test(mm_file_shrinking__hole_in_the_middle__only_that),
		cmocka_unit_test(mm_file_pin__beyond_the_file_or_not_memory__einval),
		cmocka_unit_test(mm_pin__file_of_several_gib__offsets_keep_alignment),
		cmocka_unit_test(mm_pin__read_only_then_writable__becomes_writable),
		cmocka_unit_test(vma_mapped_device__pin__efault),
		cmocka_unit_test(mm_pin__private_over_former_shared__private),
		cmocka_unit_test(mm_pin__hugetlb_memfd__one_frame_by_mapping_and_descriptor),
		cmocka_unit_test(mm_file_shrinking__every_fault_point__all_or_nothing),
		cmocka_unit_test(mm_pin__shared_every_fault_point__nothing_pinned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) || vma_tracking_start() ||
	       cmocka_run_group_tests(tests, NULL, NULL);
}
