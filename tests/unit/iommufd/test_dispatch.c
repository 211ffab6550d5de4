// SPDX-License-Identifier: MIT
/* Numbers, sizes and copies of a command: does each refusal come in its turn? */
#include "kit.h"

#include <sys/mman.h>

#define NO_POINTER ((void *)8)

static const struct {
	unsigned long cmd;
	uint32_t min, full;
} sizes[] = {
	{ IOMMU_DESTROY, 8, 8 },
	{ IOMMU_IOAS_ALLOC, 12, 12 },
	{ IOMMU_IOAS_IOVA_RANGES, 32, 32 },
	{ IOMMU_IOAS_MAP, 40, 40 },
	{ IOMMU_IOAS_UNMAP, 24, 24 },
	{ IOMMU_GET_HW_INFO, 32, 40 },
};

static void number__outside_table__enotty(void **state)
{
	static const unsigned long cmds[] = { 0x3b7f, 0x3b96, 0x3bff, 0x3b00, 0x3b64, 0x3b9f, 0 };

	for (size_t i = 0; i < ARRAY_LEN(cmds); i++) {
		expect_rc(kit_ioctl(*state, cmds[i], NULL), -ENOTTY);
		expect_rc(kit_ioctl(*state, cmds[i], NO_POINTER), -ENOTTY);
	}
}

static void number__near_miss__pointer_is_met_first(void **state)
{
	static const unsigned long cmds[] = { 0x3a80, 0x00083b80, 0x40003b80, 0xc0283b85, 0x80 };
	uint32_t buf[16] = { 40 };

	for (size_t i = 0; i < ARRAY_LEN(cmds); i++) {
		expect_rc(kit_ioctl(*state, cmds[i], NULL), -EFAULT);
		expect_rc(kit_ioctl(*state, cmds[i], buf), -ENOTTY);
	}
}

static void number__upper_half_of_the_word__ignored(void **state)
{
	struct iommu_ioas_alloc c = { .size = sizeof(c) };

	/* A kernel's ioctl command has 32 bits. */
	expect_rc(kit_ioctl(*state, 0xdead00000000ul | IOMMU_IOAS_ALLOC, &c), 0);
	assert_int_equal(c.out_ioas_id, 1);
}

static void pointer__null__efault(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		expect_rc(kit_ioctl(*state, sizes[i].cmd, NULL), -EFAULT);
		expect_rc(kit_ioctl(*state, sizes[i].cmd, (void *)-8), -EFAULT);
	}
}

static void size__below_minimum__einval(void **state)
{
	uint32_t buf[16] = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		buf[0] = sizes[i].min - 1;
		expect_rc(kit_ioctl(*state, sizes[i].cmd, buf), -EINVAL);
		buf[0] = 0;
		expect_rc(kit_ioctl(*state, sizes[i].cmd, buf), -EINVAL);
	}
}

static void size__surplus__must_be_zero(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		unsigned char a[64] = { 0 }, b[64] = { 0 };
		uint32_t full = sizes[i].full, more = full + 1;
		int rc;

		memcpy(a, &full, 4);
		rc = kit_ioctl(*state, sizes[i].cmd, a);
		memcpy(b, &more, 4);
		b[full] = 1;
		expect_rc(kit_ioctl(*state, sizes[i].cmd, b), -E2BIG);
		b[full] = 0;
		b[4] = 0x80; /* bad flags of most */
		b[full] = 1;
		expect_rc(kit_ioctl(*state, sizes[i].cmd, b), -E2BIG);
		b[4] = 0;
		b[full] = 0;
		expect_rc(kit_ioctl(*state, sizes[i].cmd, b), rc);
	}
}

static char *two_pages(bool second)
{
	char *p = mmap(NULL, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);

	assert_ptr_not_equal(p, MAP_FAILED);
	if (!second)
		assert_int_equal(mprotect(p + PAGE_SIZE, PAGE_SIZE, PROT_NONE), 0);
	return p;
}

static void size__surplus_runs_off_a_page__efault_or_e2big(void **state)
{
	char *p = two_pages(false);
	struct iommu_destroy *c = (void *)(p + PAGE_SIZE - 1024);

	c->size = 0xffffffff;
	expect_rc(kit_ioctl(*state, IOMMU_DESTROY, c), -EFAULT);
	/* The first wrong byte decides. */
	p[PAGE_SIZE - 1] = 1;
	expect_rc(kit_ioctl(*state, IOMMU_DESTROY, c), -E2BIG);
	munmap(p, 2 * PAGE_SIZE);
}

static void size__struct_runs_off_a_page__efault(void **state)
{
	char *p = two_pages(false);
	struct iommu_ioas_map *c = (void *)(p + PAGE_SIZE - 8);

	c->size = sizeof(*c);
	expect_rc(kit_ioctl(*state, IOMMU_IOAS_MAP, c), -EFAULT);
	/* Exactly at the end of the page all is well. */
	c = (void *)(p + PAGE_SIZE - sizeof(*c));
	*c = (struct iommu_ioas_map){ .size = sizeof(*c), .flags = RW, .ioas_id = 77 };
	expect_rc(kit_ioctl(*state, IOMMU_IOAS_MAP, c), -ENOENT);
	munmap(p, 2 * PAGE_SIZE);
}

static void size__many_zero_pages__accepted(void **state)
{
	struct iommu_ioas_alloc *c = (void *)two_pages(true);

	c->size = 2 * PAGE_SIZE;
	expect_rc(kit_ioctl(*state, IOMMU_IOAS_ALLOC, c), 0);
	assert_int_equal(c->out_ioas_id, 1);
	assert_int_equal(c->size, 2 * PAGE_SIZE);
	munmap(c, 2 * PAGE_SIZE);
}

static void copy_out__ioas_alloc_read_only__object_goes(void **state)
{
	struct kit *k = *state;
	struct iommu_ioas_alloc *c = (void *)two_pages(true);
	uint32_t id = kit_next_id(k);

	c->size = sizeof(*c);
	assert_int_equal(mprotect(c, PAGE_SIZE, PROT_READ), 0);
	expect_rc(kit_ioctl(k, IOMMU_IOAS_ALLOC, c), -EFAULT);
	expect_rc(kit_destroy(k, id), -ENOENT);
	assert_int_equal(kit_next_id(k), id);
	munmap(c, 2 * PAGE_SIZE);
}

static void copy_out__map_read_only__mapping_stays(void **state)
{
	struct kit *k = *state;
	struct iommu_ioas_map *c = (void *)two_pages(true);
	struct iommu_ioas_unmap *un = (void *)c;
	uint32_t ioas = kit_ioas(k);

	*c = (struct iommu_ioas_map){ .size = sizeof(*c),
				      .flags = FIXED | RW,
				      .ioas_id = ioas,
				      .user_va = PAGE_SIZE,
				      .length = PAGE_SIZE,
				      .iova = PAGE_SIZE };
	assert_int_equal(mprotect(c, PAGE_SIZE, PROT_READ), 0);
	expect_rc(kit_ioctl(k, IOMMU_IOAS_MAP, c), -EFAULT);
	assert_int_equal(kit_areas(k, ioas), 1);
	expect_rc(kit_ioctl(k, IOMMU_IOAS_MAP, c), -EEXIST);
	/* Nor is an unmap undone. */
	assert_int_equal(mprotect(c, PAGE_SIZE, PROT_READ | PROT_WRITE), 0);
	*un = (struct iommu_ioas_unmap){
		.size = sizeof(*un), .ioas_id = ioas, .iova = PAGE_SIZE, .length = PAGE_SIZE
	};
	assert_int_equal(mprotect(c, PAGE_SIZE, PROT_READ), 0);
	expect_rc(kit_ioctl(k, IOMMU_IOAS_UNMAP, un), -EFAULT);
	assert_int_equal(kit_areas(k, ioas), 0);
	munmap(c, 2 * PAGE_SIZE);
}

static void copy_out__destroy_read_only__needs_none(void **state)
{
	struct kit *k = *state;
	struct iommu_destroy *c = (void *)two_pages(true);

	c->size = sizeof(*c);
	c->id = kit_ioas(k);
	assert_int_equal(mprotect(c, PAGE_SIZE, PROT_READ), 0);
	expect_rc(kit_ioctl(k, IOMMU_DESTROY, c), 0);
	munmap(c, 2 * PAGE_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(number__outside_table__enotty),
		KIT_TEST(number__near_miss__pointer_is_met_first),
		KIT_TEST(number__upper_half_of_the_word__ignored),
		KIT_TEST(pointer__null__efault),
		KIT_TEST(size__below_minimum__einval),
		KIT_TEST(size__surplus__must_be_zero),
		KIT_TEST(size__surplus_runs_off_a_page__efault_or_e2big),
		KIT_TEST(size__struct_runs_off_a_page__efault),
		KIT_TEST(size__many_zero_pages__accepted),
		KIT_TEST(copy_out__ioas_alloc_read_only__object_goes),
		KIT_TEST(copy_out__map_read_only__mapping_stays),
		KIT_TEST(copy_out__destroy_read_only__needs_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
