// SPDX-License-Identifier: MIT
/* MAP and UNMAP with devices: what is pinned, what does a device see, what is undone? */
#include "kit.h"

#include <linux/capability.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define P PAGE_SIZE

struct setup {
	struct kit *k;
	struct kit_dev *d;
	uint32_t ioas;
};

static struct setup attached(void **state)
{
	struct setup s = { .k = *state };

	s.d = kit_device(s.k, -1);
	s.ioas = kit_ioas(s.k);
	kit_bind(s.k, s.d);
	kit_attach(s.d, s.ioas);
	return s;
}

/*
 * Memory whose output pages are not consecutive: pages of one file, mapped backwards. Page i holds
 * bytes 1 + i % 250.
 */
static char *scattered(struct kit *k, size_t npages)
{
	int fd = memfd_create("scattered", 0);
	char *p = kit_buf(k, npages * P, P);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)(npages * P)), 0);
	for (size_t i = 0; i < npages; i++) {
		assert_ptr_equal(mmap(p + i * P, P, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
				      fd, (off_t)((npages - 1 - i) * P)),
				 p + i * P);
		memset(p + i * P, (int)(1 + i % 250), P);
	}
	close(fd);
	return p;
}

static void expect_pages(struct kit_dev *d, uint64_t iova, size_t npages, size_t first)
{
	for (size_t i = 0; i < npages; i++) {
		unsigned char c = 0;

		expect_rc(kit_dma_read(d, iova + i * P + (i * 37) % P, &c), 0);
		assert_int_equal(c, 1 + (first + i) % 250);
	}
}

static void expect_no_pages(struct kit_dev *d, uint64_t iova, size_t npages)
{
	unsigned char c;

	for (size_t i = 0; i < npages; i++)
		expect_rc(kit_dma_read(d, iova + i * P, &c), -EFAULT);
}

static void map__one_page__dma_then_fault(void **state)
{
	struct setup s = attached(state);
	char *p = kit_buf(s.k, P, P);
	unsigned char c;
	uint64_t n;

	expect_rc(kit_map_at(s.k, s.ioas, 0x10000, p, P), 0);
	kit_check(s.k, 1);
	expect_pages(s.d, 0x10000, 1, 0);
	expect_rc(kit_dma_write(s.d, 0x10007, 0xa5), 0);
	assert_int_equal((unsigned char)p[7], 0xa5);
	expect_rc(kit_dma_read(s.d, 0xffff, &c), -EFAULT);
	expect_rc(kit_dma_read(s.d, 0x11000, &c), -EFAULT);
	expect_rc(kit_unmap(s.k, s.ioas, 0x10000, P, &n), 0);
	expect_rc(kit_dma_write(s.d, 0x10007, 0x11), -EFAULT);
	assert_int_equal((unsigned char)p[7], 0xa5);
	kit_check(s.k, 0);
}

static void map__permissions__enforced_by_the_table(void **state)
{
	struct setup s = attached(state);
	char *p = kit_buf(s.k, P, P);
	uint64_t ro = 0x10000, wo = 0x20000;
	unsigned char c;

	expect_rc(kit_map(s.k, s.ioas, FIXED | RD, p, P, &ro), 0);
	expect_rc(kit_map(s.k, s.ioas, FIXED | WR, p, P, &wo), 0);
	expect_rc(kit_dma_read(s.d, ro, &c), 0);
	expect_rc(kit_dma_write(s.d, ro, 9), -EFAULT);
	expect_rc(kit_dma_write(s.d, wo, 9), 0);
	expect_rc(kit_dma_read(s.d, wo, &c), -EFAULT);
	assert_int_equal(p[0], 9);
	kit_check(s.k, 2); /* two maps of one page are two charges */
}

static void map__large__large_pages_form(void **state)
{
	struct setup s = attached(state);
	char *p = kit_buf(s.k, 8 * MIB, 2 * MIB);
	unsigned char *buf = malloc(8 * MIB);
	uint64_t iova = 0, n;

	assert_non_null(buf);
	expect_rc(kit_map(s.k, s.ioas, RW, p, 8 * MIB, &iova), 0);
	assert_int_equal(iova, 2 * MIB);
	kit_check(s.k, 2048);
	expect_rc(iommu_dma_read(&s.d->dev, 0, iova, buf, 8 * MIB, NULL), 0);
	assert_memory_equal(buf, p, 8 * MIB);
	expect_rc(kit_unmap(s.k, s.ioas, iova, 8 * MIB, &n), 0);
	assert_int_equal(n, 8 * MIB);
	expect_no_pages(s.d, iova, 4);
	kit_check(s.k, 0);
	free(buf);
}

static void map__scattered_pages__any_batch_size(void **state)
{
	static const unsigned sizes[] = { 1, 2, 3, 64 };
	struct setup s = attached(state);
	char *p = scattered(s.k, 200);
	uint64_t n;

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		s.k->ctx->batch_max = sizes[i];
		expect_rc(kit_map_at(s.k, s.ioas, 0x100000, p, 200 * P), 0);
		expect_pages(s.d, 0x100000, 200, 0);
		kit_check(s.k, 200);
		expect_rc(kit_unmap(s.k, s.ioas, 0x100000, 200 * P, &n), 0);
		kit_check(s.k, 0);
		expect_no_pages(s.d, 0x100000, 200);
	}
}

static void map__bad_memory__efault_and_nothing_left(void **state)
{
	struct setup s = attached(state);
	char *p = kit_buf(s.k, 200 * P, P), *q = scattered(s.k, 200);
	uint64_t ro = 0x10000;

	expect_rc(kit_map_at(s.k, s.ioas, 0x10000, (void *)P, P), -EFAULT);
	kit_check(s.k, 0);
	expect_rc(kit_map_at(s.k, s.ioas, 0x10000, p, P), 0); /* the IOVA is free again */
	kit_check(s.k, 1);
	/* The second half is not there: small, large, and in many runs. */
	assert_int_equal(munmap(p + 100 * P, 100 * P), 0);
	assert_int_equal(munmap(q + 100 * P, 100 * P), 0);
	expect_rc(kit_map_at(s.k, s.ioas, 0x100000, p + 99 * P, 2 * P), -EFAULT);
	expect_rc(kit_map_at(s.k, s.ioas, 0x100000, p, 200 * P), -EFAULT);
	for (unsigned max = 1; max <= 64; max *= 4) {
		s.k->ctx->batch_max = max;
		expect_rc(kit_map_at(s.k, s.ioas, 0x100000, q, 200 * P), -EFAULT);
		kit_check(s.k, 1);
	}
	expect_no_pages(s.d, 0x100000, 200);
	assert_int_equal(kit_areas(s.k, s.ioas), 1);

	/* Permissions of the mapping count. */
	assert_int_equal(mprotect(p + P, P, PROT_READ), 0);
	expect_rc(kit_map_at(s.k, s.ioas, 0x20000, p + P, P), -EFAULT);
	ro = 0x20000;
	expect_rc(kit_map(s.k, s.ioas, FIXED | RD, p + P, P, &ro), 0);
	expect_pages(s.d, 0x20000, 1, 1);
	kit_check(s.k, 2);
}

static void map__aligned_to_the_page_table__or_einval(void **state)
{
	struct setup s = attached(state);
	char *p = kit_buf(s.k, 2 * P, P);
	uint64_t iova = 0, n;

	expect_rc(kit_map_at(s.k, s.ioas, 0x10001, p, P), -EINVAL);
	expect_rc(kit_map_at(s.k, s.ioas, 0x10000, p, P + 1), -EINVAL);
	expect_rc(kit_map_at(s.k, s.ioas, 0x10000, p, 2048), -EINVAL);
	expect_rc(kit_map_at(s.k, s.ioas, 0x10000, p + 512, P), -EINVAL);
	expect_rc(kit_map(s.k, s.ioas, RW, p + 512, P, &iova), -EINVAL);
	expect_rc(kit_map_at(s.k, s.ioas, 1ull << 48, p, P), -EINVAL);
	expect_rc(kit_map_at(s.k, s.ioas, (1ull << 48) - P, p, 2 * P), -EINVAL);
	expect_rc(kit_map_at(s.k, s.ioas, 0xfee00000, p, P), -EINVAL);
	assert_int_equal(kit_areas(s.k, s.ioas), 0);
	expect_rc(kit_map_at(s.k, s.ioas, (1ull << 48) - P, p, P), 0);
	expect_pages(s.d, (1ull << 48) - P, 1, 0);
	/* What is reserved is met before what is mapped. */
	expect_rc(kit_map_at(s.k, s.ioas, (1ull << 48) - P, p, 2 * P), -EINVAL);
	expect_rc(kit_map_at(s.k, s.ioas, (1ull << 48) - P, p, P), -EEXIST);
	/* and that before the offset within the page */
	expect_rc(kit_map_at(s.k, s.ioas, (1ull << 48) - P, p + 512, P), -EEXIST);
	/* Odd bounds may unmap. */
	expect_rc(kit_unmap(s.k, s.ioas, (1ull << 48) - P - 5, P + 77, &n), 0);
	assert_int_equal(n, P);
	kit_check(s.k, 0);
}

static void domains__two__filled_from_each_other(void **state)
{
	struct setup s = attached(state);
	struct kit_dev *c = kit_device2(s.k);
	char *p = scattered(s.k, 150), *q = kit_buf(s.k, 4 * MIB, 2 * MIB);
	uint64_t n;

	expect_rc(kit_map_at(s.k, s.ioas, 0x100000, p, 150 * P), 0);
	expect_rc(kit_map_at(s.k, s.ioas, 0x400000, q, 4 * MIB), 0);
	kit_check(s.k, 150 + 1024);
	kit_bind(s.k, c);
	kit_attach(c, s.ioas);
	kit_check(s.k, 150 + 1024); /* pinned once, whoever uses it */
	expect_pages(c, 0x100000, 150, 0);
	expect_pages(c, 0x400000, 1024, 0);

	/* A map goes into both, an unmap out of both. */
	expect_rc(kit_map_at(s.k, s.ioas, 0x80000, p, 10 * P), 0);
	expect_pages(c, 0x80000, 10, 0);
	expect_pages(s.d, 0x80000, 10, 0);
	expect_rc(kit_unmap(s.k, s.ioas, 0x80000, 10 * P, &n), 0);
	expect_no_pages(c, 0x80000, 10);
	expect_no_pages(s.d, 0x80000, 10);

	/* The first one leaves: the second goes on, and holds the pages. */
	kit_detach(s.d);
	kit_check(s.k, 150 + 1024);
	expect_pages(c, 0x100000, 150, 0);
	kit_attach(s.d, s.ioas);
	expect_pages(s.d, 0x100000, 150, 0);
	expect_pages(s.d, 0x400000, 1024, 0);
	kit_detach(c);
	kit_check(s.k, 150 + 1024);
	kit_detach(s.d);
	kit_check(s.k, 0);
	kit_attach(c, s.ioas);
	kit_check(s.k, 150 + 1024);
	expect_pages(c, 0x400000, 1024, 0);
	expect_rc(kit_unmap(s.k, s.ioas, 0, MAX, &n), 0);
	kit_check(s.k, 0);
}

static void domains__narrower_one__aperture_stands_against_areas(void **state)
{
	struct setup s = attached(state);
	struct kit_dev *c = kit_device2(s.k);
	char *p = kit_buf(s.k, P, P);
	uint32_t id = s.ioas;

	expect_rc(kit_map_at(s.k, s.ioas, 1ull << 39, p, P), 0);
	kit_bind(s.k, c);
	expect_rc(iommufd_device_attach(c->idev, &id), -EADDRINUSE);
	kit_check(s.k, 1);
	expect_pages(s.d, 1ull << 39, 1, 0);
	assert_null(c->dev.group->domain);
}

static void detach__all__unpins_and_attach_pins_again(void **state)
{
	struct setup s = attached(state);
	char *p = kit_buf(s.k, 40 * P, P);

	for (uint64_t i = 0; i < 40; i++)
		expect_rc(kit_map_at(s.k, s.ioas, i * 2 * P, p + i * P, P), 0);
	kit_check(s.k, 40);
	kit_detach(s.d);
	kit_check(s.k, 0);
	p[0] = 77;
	kit_attach(s.d, s.ioas);
	kit_check(s.k, 40);
	expect_pages(s.d, 2 * P, 1, 1);
	assert_int_equal(kit_areas(s.k, s.ioas), 40);
}

static void destroy__ioas__takes_the_mappings(void **state)
{
	struct setup s = attached(state);
	char *p = kit_buf(s.k, 3 * P, P);

	expect_rc(kit_map_at(s.k, s.ioas, 0, p, 3 * P), 0);
	kit_detach(s.d);
	expect_rc(kit_destroy(s.k, s.ioas), 0);
	kit_check(s.k, 0);
}

static void unmap__memory_gone__works(void **state)
{
	struct setup s = attached(state);
	char *p = mmap(NULL, P, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t n;

	assert_ptr_not_equal(p, MAP_FAILED);
	expect_rc(kit_map_at(s.k, s.ioas, 0x10000, p, P), 0);
	expect_rc(kit_unmap(s.k, s.ioas, 0x10000, P, &n), 0);
	munmap(p, P);
	kit_check(s.k, 0);
}

static void fault__near_a_mapping__says_so(void **state)
{
	struct setup s = attached(state);
	char *p = kit_buf(s.k, P, P);
	struct iommu_fault f;
	unsigned char c;
	uint64_t n, seq;

	expect_rc(kit_map_at(s.k, s.ioas, 0x10000, p, P), 0);
	expect_rc(kit_map_at(s.k, s.ioas, 0x30000, p, P), 0);
	expect_rc(kit_dma_read(s.d, 0x20000, &c), -EFAULT);
	mtx_lock(&s.k->m->faults.lock);
	seq = s.k->m->faults.count;
	mtx_unlock(&s.k->m->faults.lock);
	assert_true(iommu_fault_get(&s.k->m->faults, seq, &f));
	assert_non_null(strstr(f.text, "0x10000-0x10fff"));
	assert_non_null(strstr(f.text, "0x30000-0x30fff"));
	expect_rc(kit_unmap(s.k, s.ioas, 0x30000, P, &n), 0);
	expect_rc(kit_dma_read(s.d, 0x30000, &c), -EFAULT);
	assert_true(iommu_fault_get(&s.k->m->faults, seq + 1, &f));
	assert_non_null(strstr(f.text, "unmapped"));
}

struct seen {
	unsigned n;
	struct iommufd_area_info a[4];
	uint64_t bytes;
};

static void see_area(void *arg, const struct iommufd_area_info *a)
{
	struct seen *s = arg;

	s->a[s->n++ % 4] = *a;
}

static void see_leaf(void *arg, uint64_t iova, uint64_t pa, uint64_t len, unsigned prot)
{
	struct seen *s = arg;

	(void)iova;
	(void)pa;
	assert_int_equal(prot & (PT_READ | PT_WRITE), PT_READ | PT_WRITE);
	s->n++;
	s->bytes += len;
}

static void picture__areas_and_leaves__match(void **state)
{
	struct setup s = attached(state);
	char *p = kit_buf(s.k, 4 * MIB, 2 * MIB);
	struct seen areas = { 0 }, leaves = { 0 };

	expect_rc(kit_map_at(s.k, s.ioas, 0x200000, p, 2 * MIB + P), 0);
	expect_rc(kit_map_at(s.k, s.ioas, 0x1000, p + P, P), 0);
	expect_rc(iommufd_for_each_area(s.k->ctx, s.ioas, see_area, &areas), 0);
	assert_int_equal(areas.n, 2);
	assert_int_equal(areas.a[0].start, 0x1000);
	assert_int_equal(areas.a[0].va, (uintptr_t)p + P);
	assert_int_equal(areas.a[1].last, 0x200000 + 2 * MIB + P - 1);
	expect_rc(iommufd_for_each_leaf(s.k->ctx, s.ioas, see_leaf, &leaves), 0);
	assert_int_equal(leaves.n, 3); /* one of 2 MiB, two of 4 KiB */
	assert_int_equal(leaves.bytes, 2 * MIB + 2 * P);
	expect_rc(iommufd_for_each_area(s.k->ctx, 99, see_area, &areas), -ENOENT);
	expect_rc(iommufd_for_each_leaf(s.k->ctx, s.d->id, see_leaf, &areas), -ENOENT);
}

/* ---- accounting ----------------------------------------------------------------------------- */

/* Takes CAP_IPC_LOCK from this thread, or gives it back. */
static void set_ipc_lock(bool on)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	assert_int_equal(syscall(SYS_capget, &head, data), 0);
	data[0].effective &= ~(1u << CAP_IPC_LOCK);
	if (on)
		data[0].effective |= data[0].permitted & (1u << CAP_IPC_LOCK);
	assert_int_equal(syscall(SYS_capset, &head, data), 0);
}

static void account__over_the_limit__enomem_and_all_undone(void **state)
{
	struct rlimit old, lim;
	struct setup s;
	char *p;

	assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &old), 0);
	s = attached(state);
	p = scattered(s.k, 100);
	lim = (struct rlimit){ 80 * P, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &lim), 0);
	account_set_privileged(false);
	set_ipc_lock(false);
	s.k->ctx->batch_max = 7;

	expect_rc(kit_map_at(s.k, s.ioas, 0x100000, p, 81 * P), -ENOMEM);
	kit_check(s.k, 0);
	assert_int_equal(account_locked(ACCOUNT_USER), 0);
	expect_no_pages(s.d, 0x100000, 81);
	expect_rc(kit_map_at(s.k, s.ioas, 0x100000, p, 80 * P), 0);
	assert_int_equal(account_locked(ACCOUNT_USER), 80);
	expect_rc(kit_map_at(s.k, s.ioas, 0x200000, p, P), -ENOMEM);
	kit_check(s.k, 80);
	kit_detach(s.d);
	assert_int_equal(account_locked(ACCOUNT_USER), 0);

	/* Without a domain nothing is charged, and a domain that would exceed it cannot join. */
	expect_rc(kit_map_at(s.k, s.ioas, 0x200000, p, P), 0);
	{
		uint32_t id = s.ioas;

		expect_rc(iommufd_device_attach(s.d->idev, &id), -ENOMEM);
	}
	kit_check(s.k, 0);
	assert_int_equal(account_locked(ACCOUNT_USER), 0);

	/* The mode belongs to the mapping: a privileged one is not limited. */
	account_set_privileged(true);
	expect_rc(kit_map_at(s.k, s.ioas, 0x300000, p, 100 * P), 0);
	{
		uint64_t n;

		expect_rc(kit_unmap(s.k, s.ioas, 0x200000, P, &n), 0);
	}
	kit_attach(s.d, s.ioas);
	assert_int_equal(account_locked(ACCOUNT_USER), 80);
	kit_check(s.k, 180);
	set_ipc_lock(true);
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &old), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(map__one_page__dma_then_fault),
		KIT_TEST(map__permissions__enforced_by_the_table),
		KIT_TEST(map__large__large_pages_form),
		KIT_TEST(map__scattered_pages__any_batch_size),
		KIT_TEST(map__bad_memory__efault_and_nothing_left),
		KIT_TEST(map__aligned_to_the_page_table__or_einval),
		KIT_TEST(domains__two__filled_from_each_other),
		KIT_TEST(domains__narrower_one__aperture_stands_against_areas),
		KIT_TEST(detach__all__unpins_and_attach_pins_again),
		KIT_TEST(destroy__ioas__takes_the_mappings),
		KIT_TEST(unmap__memory_gone__works),
		KIT_TEST(fault__near_a_mapping__says_so),
		KIT_TEST(picture__areas_and_leaves__match),
		KIT_TEST(account__over_the_limit__enomem_and_all_undone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
