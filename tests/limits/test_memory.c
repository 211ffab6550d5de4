// SPDX-License-Identifier: MIT
/* What does a device see of mapped memory whose owner changes it afterwards? */
#include "client.h"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/shm.h>

/* ---- what Linux does too ---- */

static void munmap__of_mapped_memory__device_keeps_it(void **state)
{
	struct client *c = *state;
	char *p = pages(4 * PAGE), *again;
	uint64_t iova;

	memset(p, 'a', 4 * PAGE);
	iova = map(c, p, 4 * PAGE);
	assert_int_equal(munmap(p + PAGE, PAGE), 0);
	assert_int_equal(dma_byte(c, iova + PAGE), 'a');
	again = mmap(p + PAGE, PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	assert_ptr_equal(again, p + PAGE);
	assert_int_equal(dma_put(c, iova + PAGE, 'x'), 0);
	assert_int_equal(*again, 0);
	assert_int_equal(dma_byte(c, iova + PAGE), 'x');
	unmap(c, iova, 4 * PAGE);
	munmap(p, 4 * PAGE);
}

static void madvise__dontneed__device_keeps_the_old(void **state)
{
	struct client *c = *state;
	char *p = pages(PAGE);
	uint64_t iova;

	*p = 'd';
	iova = map(c, p, PAGE);
	assert_int_equal(madvise(p, PAGE, MADV_DONTNEED), 0);
	assert_int_equal(*p, 0);
	assert_int_equal(dma_byte(c, iova), 'd');
	assert_int_equal(dma_put(c, iova, 'x'), 0);
	assert_int_equal(*p, 0);
	unmap(c, iova, PAGE);
	munmap(p, PAGE);
}

static void free__of_large_block__device_keeps_it(void **state)
{
	struct client *c = *state;
	char *block, *p;
	uint64_t iova;

	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	block = malloc(1 * MIB);
	assert_non_null(block);
	memset(block, 'm', 1 * MIB);
	p = (char *)(((uintptr_t)block + PAGE) & ~(PAGE - 1));
	iova = map(c, p, 16 * PAGE);
	free(block);
	assert_int_equal(dma_byte(c, iova), 'm');
	unmap(c, iova, 16 * PAGE);
}

static void realloc__of_large_block__device_keeps_the_old(void **state)
{
	struct client *c = *state;
	char *block, *p, *bigger;
	uint64_t iova;

	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	block = malloc(1 * MIB);
	assert_non_null(block);
	memset(block, 'm', 1 * MIB);
	p = (char *)(((uintptr_t)block + PAGE) & ~(PAGE - 1));
	iova = map(c, p, 16 * PAGE);
	bigger = realloc(block, 32 * MIB);
	assert_non_null(bigger);
	assert_int_equal(bigger[2 * PAGE], 'm');
	assert_int_equal(dma_put(c, iova, 'x'), 0);
	assert_int_equal(dma_byte(c, iova), 'x');
	unmap(c, iova, 16 * PAGE);
	free(bigger);
}

static void mremap__of_mapped_memory__device_follows(void **state)
{
	struct client *c = *state;
	char *p = pages(8 * PAGE), *target = pages(16 * PAGE), *q;
	uint64_t iova;

	memset(p, 'r', 8 * PAGE);
	iova = map(c, p, 8 * PAGE);
	q = mremap(p, 8 * PAGE, 16 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target);
	assert_ptr_equal(q, target);
	assert_int_equal(dma_put(c, iova, 'x'), 0);
	assert_int_equal(q[0], 'x');
	assert_ptr_equal(mremap(q, 16 * PAGE, 4 * PAGE, 0), q);
	assert_int_equal(dma_byte(c, iova + 6 * PAGE), 'r'); /* cut off, and kept for the device */
	unmap(c, iova, 8 * PAGE);
	munmap(q, 4 * PAGE);
}

static char *shared_file(int *fd, size_t len)
{
	char *p;

	*fd = memfd_create("file", MFD_CLOEXEC);
	assert_true(*fd >= 0);
	assert_int_equal(ftruncate(*fd, (off_t)len), 0);
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	memset(p, 's', len);
	return p;
}

static void ftruncate__of_mapped_file__device_keeps_it(void **state)
{
	struct client *c = *state;
	uint64_t iova;
	int fd;
	char *p = shared_file(&fd, 16 * PAGE);

	iova = map(c, p, 16 * PAGE);
	assert_int_equal(ftruncate(fd, 4 * PAGE), 0);
	assert_int_equal(ftruncate(fd, 16 * PAGE), 0);
	assert_int_equal(p[8 * PAGE], 0);
	assert_int_equal(dma_byte(c, iova + 8 * PAGE), 's');
	assert_int_equal(dma_put(c, iova + 8 * PAGE, 'x'), 0);
	assert_int_equal(p[8 * PAGE], 0);
	assert_int_equal(dma_put(c, iova, 'x'), 0);
	assert_int_equal(*p, 'x');
	unmap(c, iova, 16 * PAGE);
	munmap(p, 16 * PAGE);
	close(fd);
}

static void fallocate__hole_in_mapped_file__device_keeps_it(void **state)
{
	struct client *c = *state;
	uint64_t iova;
	int fd;
	char *p = shared_file(&fd, 4 * PAGE);

	iova = map(c, p, 4 * PAGE);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, PAGE), 0);
	assert_int_equal(p[PAGE], 0);
	assert_int_equal(dma_byte(c, iova + PAGE), 's');
	unmap(c, iova, 4 * PAGE);
	munmap(p, 4 * PAGE);
	close(fd);
}

/* What the kernel refuses leaves the memory one. */
static void ftruncate__of_sealed_file__still_shared(void **state)
{
	struct client *c = *state;
	int fd = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint64_t iova;
	char *p;

	assert_int_equal(ftruncate(fd, PAGE), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	iova = map(c, p, PAGE);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(dma_put(c, iova, 'x'), 0);
	assert_int_equal(*p, 'x');
	unmap(c, iova, PAGE);
	munmap(p, PAGE);
	close(fd);
}

static void shmdt__memory_there_again__device_sees_the_new(void **state)
{
	struct client *c = *state;
	int id = shmget(IPC_PRIVATE, 4 * MIB, 0600 | IPC_CREAT);
	char *shm = shmat(id, NULL, 0), *block, *p;
	uint64_t old, new;

	shmctl(id, IPC_RMID, NULL);
	assert_ptr_not_equal(shm, (void *)-1);
	memset(shm, 's', 4 * MIB);
	old = map(c, shm, 4 * MIB);
	assert_int_equal(shmdt(shm), 0);
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	block = malloc(4 * MIB - 2 * PAGE); /* most likely where that was */
	assert_non_null(block);
	memset(block, 'm', 4 * MIB - 2 * PAGE);
	p = (char *)(((uintptr_t)block + PAGE) & ~(PAGE - 1));
	new = map(c, p, 16 * PAGE);
	assert_int_equal(dma_byte(c, new), 'm');
	assert_int_equal(dma_byte(c, old), 's');
	unmap(c, new, 16 * PAGE);
	unmap(c, old, 4 * MIB);
	free(block);
}

/* ---- what differs ---- */

static struct client *shared;

/* glibc gives the end of the heap back with its own brk(), which nobody else sees. */
static void free__at_end_of_heap__faults(void **state)
{
	struct client *c = *state;
	char *block, *p;
	uint64_t iova;

	mallopt(M_MMAP_THRESHOLD, 64 << 20);
	mallopt(M_TRIM_THRESHOLD, 64 << 10);
	block = malloc(4 * MIB);
	assert_non_null(block);
	memset(block, 'b', 4 * MIB);
	p = (char *)(((uintptr_t)block + 2 * MIB) & ~(PAGE - 1));
	iova = map(c, p, 16 * PAGE);
	free(block);
	malloc_trim(0);
	if ((char *)sbrk(0) > p) {
		print_message("# the heap's end did not move down\n");
		unmap(c, iova, 16 * PAGE);
		skip();
	}
	listen_begin();
	assert_int_equal(dma_byte(c, iova), -1);
	assert_int_equal(dma_put(c, iova, 'x'), ERR_WRITE);
	assert_says(listen_end(), "memory behind the mapping is gone");
	unmap(c, iova, 16 * PAGE);
}

/* The program's protection is none of the device's business: it goes on with the rights it was
 * given. */
static void mprotect__of_mapped_memory__device_goes_on(void **state)
{
	struct client *c = *state;
	char *p = pages(PAGE);
	uint64_t iova;

	*p = 'p';
	iova = map(c, p, PAGE);
	assert_int_equal(mprotect(p, PAGE, PROT_READ), 0);
	assert_int_equal(dma_byte(c, iova), 'p');
	assert_int_equal(dma_put(c, iova, 'x'), 0);
	assert_int_equal(*p, 'x');
	assert_int_equal(mprotect(p, PAGE, PROT_NONE), 0);
	assert_int_equal(dma_byte(c, iova), 'x');
	assert_int_equal(dma_put(c, iova, 'y'), 0);
	assert_int_equal(mprotect(p, PAGE, PROT_READ | PROT_WRITE), 0);
	assert_int_equal(*p, 'y');
	unmap(c, iova, PAGE);
	munmap(p, PAGE);
}

static void *give_stack_page(void *arg)
{
	char room[4 * PAGE], *p = (char *)(((uintptr_t)room + PAGE) & ~(PAGE - 1));

	memset(room, 't', sizeof(room));
	*(uint64_t *)arg = map(shared, p, PAGE);
	return NULL;
}

/* Stacks of threads go by glibc's own munmap too. */
static void pthread_exit__of_a_large_stack__faults(void **state)
{
	uint64_t iova;
	pthread_attr_t attr;
	pthread_t t;

	shared = *state;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * MIB); /* more than glibc keeps for the next thread */
	assert_int_equal(pthread_create(&t, &attr, give_stack_page, &iova), 0);
	assert_int_equal(pthread_join(t, NULL), 0);
	pthread_attr_destroy(&attr);
	assert_int_equal(dma_byte(shared, iova), -1);
	assert_int_equal(dma_put(shared, iova, 'x'), ERR_WRITE);
	unmap(shared, iova, PAGE);
}

struct cut {
	int fd;
	size_t len;
};

static int cut_file(void *arg)
{
	struct cut *cut = arg;

	return ftruncate(cut->fd, (off_t)cut->len) != 0;
}

static int punch_file(void *arg)
{
	struct cut *cut = arg;

	return fallocate(cut->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)cut->len) !=
	       0;
}

/* Another process shortens the file: nothing tells the engine. */
static void ftruncate__by_another_process__faults_then_new_page(void **state)
{
	struct client *c = *state;
	struct cut cut = { .len = 4 * PAGE };
	char *p = shared_file(&cut.fd, 16 * PAGE);
	uint64_t iova;

	iova = map(c, p, 16 * PAGE);
	assert_int_equal(in_child(cut_file, &cut), 0);
	listen_begin();
	assert_int_equal(dma_byte(c, iova + 8 * PAGE), -1);
	assert_int_equal(dma_put(c, iova + 8 * PAGE, 'x'), ERR_WRITE);
	assert_says(listen_end(), "memory behind the mapping is gone");
	assert_int_equal(dma_byte(c, iova), 's');
	cut.len = 16 * PAGE;
	assert_int_equal(in_child(cut_file, &cut), 0);
	assert_int_equal(dma_byte(c, iova + 8 * PAGE), 0);
	assert_int_equal(dma_put(c, iova + 8 * PAGE, 'x'), 0);
	assert_int_equal(p[8 * PAGE], 'x');
	unmap(c, iova, 16 * PAGE);
	munmap(p, 16 * PAGE);
	close(cut.fd);
}

static void fallocate__hole_by_another_process__zeros(void **state)
{
	struct client *c = *state;
	struct cut cut = { .len = PAGE };
	char *p = shared_file(&cut.fd, 4 * PAGE);
	uint64_t iova;

	iova = map(c, p, 4 * PAGE);
	assert_int_equal(dma_byte(c, iova), 's');
	assert_int_equal(in_child(punch_file, &cut), 0);
	assert_int_equal(dma_byte(c, iova), 0);
	assert_int_equal(dma_put(c, iova, 'x'), 0);
	assert_int_equal(*p, 'x');
	unmap(c, iova, 4 * PAGE);
	munmap(p, 4 * PAGE);
	close(cut.fd);
}

static void ftruncate__under_private_mapping__faults(void **state)
{
	struct client *c = *state;
	char *p, name[] = "/tmp/uiommufd-limits-XXXXXX";
	struct cut cut = { .len = 0 };
	uint64_t iova;

	cut.fd = mkstemp(name);
	assert_true(cut.fd >= 0);
	unlink(name);
	assert_int_equal(ftruncate(cut.fd, 8 * PAGE), 0);
	p = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, cut.fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	iova = map(c, p, 8 * PAGE);
	assert_int_equal(dma_byte(c, iova + 4 * PAGE), 0);
	assert_int_equal(in_child(cut_file, &cut), 0);
	assert_int_equal(dma_byte(c, iova + 4 * PAGE), -1);
	assert_int_equal(dma_put(c, iova + 4 * PAGE, 'x'), ERR_WRITE);
	unmap(c, iova, 8 * PAGE);
	munmap(p, 8 * PAGE);
	close(cut.fd);
}

/* Private pages that nobody has written are the file's; Linux makes a copy when they are mapped. */
static void write__to_file_under_private_mapping__device_sees_it(void **state)
{
	struct client *c = *state;
	char *p, name[] = "/tmp/uiommufd-limits-XXXXXX";
	uint64_t iova;
	int fd = mkstemp(name);

	assert_true(fd >= 0);
	unlink(name);
	assert_int_equal(pwrite(fd, "old", 3, 0), 3);
	p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	assert_int_equal(try_map(c, p, PAGE, IOMMU_IOAS_MAP_READABLE, &iova), 0);
	assert_int_equal(pwrite(fd, "new", 3, 0), 3);
	assert_int_equal(dma_byte(c, iova), 'n'); /* Linux: 'o' */
	unmap(c, iova, PAGE);
	munmap(p, PAGE);
	close(fd);
}

static void map__of_bar__efault(void **state)
{
	struct client *c = *state;
	uint64_t iova;

	listen_begin();
	assert_int_equal(try_map(c, (void *)(uintptr_t)c->regs, PAGE, RW, &iova), -EFAULT);
	assert_says(listen_end(), "is device memory");
}

/* The kernel cannot reach registers that a signal handler answers. */
static void write__from_bar__efault(void **state)
{
	struct client *c = *state;
	int p[2];

	assert_int_equal(pipe(p), 0);
	assert_int_equal(write(p[1], (void *)(uintptr_t)c->regs, 4), -1);
	assert_int_equal(errno, EFAULT);
	close(p[0]);
	close(p[1]);
}

static void map__of_huge_pages__as_any_memory(void **state)
{
	struct client *c = *state;
	uint64_t iova;
	char *p = mmap(NULL, 2 * MIB, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	if (p == MAP_FAILED) {
		print_message("# no huge pages are set aside (/proc/sys/vm/nr_hugepages)\n");
		skip();
	}
	memset(p, 'h', 2 * MIB);
	iova = map(c, p, 2 * MIB);
	assert_int_equal(dma_byte(c, iova + MIB), 'h');
	assert_int_equal(munmap(p, 2 * MIB), 0);
	assert_int_equal(dma_byte(c, iova + MIB), 'h');
	unmap(c, iova, 2 * MIB);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(munmap__of_mapped_memory__device_keeps_it),
		CASE(madvise__dontneed__device_keeps_the_old),
		CASE(free__of_large_block__device_keeps_it),
		CASE(realloc__of_large_block__device_keeps_the_old),
		CASE(ftruncate__of_mapped_file__device_keeps_it),
		CASE(fallocate__hole_in_mapped_file__device_keeps_it),
		CASE(ftruncate__of_sealed_file__still_shared),
		CASE(shmdt__memory_there_again__device_sees_the_new),
		CASE(free__at_end_of_heap__faults),
		CASE(mremap__of_mapped_memory__device_follows),
		CASE(pthread_exit__of_a_large_stack__faults),
		CASE(mprotect__of_mapped_memory__device_goes_on),
		CASE(ftruncate__by_another_process__faults_then_new_page),
		CASE(fallocate__hole_by_another_process__zeros),
		CASE(ftruncate__under_private_mapping__faults),
		CASE(write__to_file_under_private_mapping__device_sees_it),
		CASE(map__of_bar__efault),
		CASE(write__from_bar__efault),
		CASE(map__of_huge_pages__as_any_memory),
	};

	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
