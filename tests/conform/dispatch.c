// SPDX-License-Identifier: MIT
/* Numbers, sizes and copies, the same for every command of an iommufd. */
#include "conform.h"

/* Commands whose shortest struct is refused for no other reason than its size. */
static const struct {
	unsigned long cmd;
	uint32_t min, full;
} table[] = {
	{ IOMMU_DESTROY, 8, 8 },
	{ IOMMU_IOAS_ALLOC, 12, 12 },
	{ IOMMU_IOAS_IOVA_RANGES, 32, 32 },
	{ IOMMU_IOAS_MAP, 40, 40 },
	{ IOMMU_IOAS_UNMAP, 24, 24 },
	{ IOMMU_GET_HW_INFO, 32, 40 },
};

static void number__below_and_above_the_table__enotty(void)
{
	uint32_t word[16] = { sizeof(word) };
	int fd = ctx_open();

	CHECK(ctx_ioctl(fd, 0x3b7f, word), -ENOTTY);
	CHECK(ctx_ioctl(fd, 0x3b7f, NULL), -ENOTTY);
	CHECK(ctx_ioctl(fd, 0x3bff, NULL), -ENOTTY);
}

static void number__near_miss__pointer_first(void)
{
	uint32_t word[16] = { 8 };
	int fd = ctx_open();

	CHECK(ctx_ioctl(fd, 0x3a80, word), -ENOTTY);
	CHECK(ctx_ioctl(fd, 0x3a80, NULL), -EFAULT);
	CHECK(ctx_ioctl(fd, 0x00083b80, word), -ENOTTY);
	CHECK(ctx_ioctl(fd, 0x00083b80, NULL), -EFAULT);
}

static void pointer__null__efault(void)
{
	int fd = ctx_open();

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		CHECK(ctx_ioctl(fd, table[i].cmd, NULL), -EFAULT);
}

static void size__too_small__einval(void)
{
	uint32_t word[16] = { 0 };
	int fd = ctx_open();

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		word[0] = 0;
		CHECK(ctx_ioctl(fd, table[i].cmd, word), -EINVAL);
		word[0] = table[i].min - 1;
		CHECK(ctx_ioctl(fd, table[i].cmd, word), -EINVAL);
	}
}

static void size__surplus__zero_or_e2big(void)
{
	int fd = ctx_open();

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		unsigned char b[64] = { 0 };
		uint32_t size = table[i].full;
		int rc;

		memcpy(b, &size, sizeof(size));
		rc = ctx_ioctl(fd, table[i].cmd, b);
		memset(b, 0, sizeof(b));
		size++;
		memcpy(b, &size, sizeof(size));
		b[table[i].full] = 1;
		CHECK(ctx_ioctl(fd, table[i].cmd, b), -E2BIG);
		b[4] = 0xff; /* worse things come later */
		b[5] = 0xff;
		CHECK(ctx_ioctl(fd, table[i].cmd, b), -E2BIG);
		memset(b + 4, 0, sizeof(b) - 4);
		CHECK(ctx_ioctl(fd, table[i].cmd, b), rc);
	}
}

static void size__past_readable_memory__efault(void)
{
	char *p = edge_page();
	struct iommu_destroy *c = (void *)(p + 1024);
	int fd = ctx_open();

	c->size = 0xffffffff;
	CHECK(ctx_ioctl(fd, IOMMU_DESTROY, c), -EFAULT);
	p[PG - 1] = 1;
	CHECK(ctx_ioctl(fd, IOMMU_DESTROY, c), -E2BIG);
}

static void struct_read_only__alloc_leaves_nothing(void)
{
	struct iommu_ioas_alloc *c = (void *)edge_page();
	int fd = ctx_open();
	uint32_t id = ioas_alloc(fd);

	CHECK(destroy(fd, id), 0);
	c->size = sizeof(*c);
	REQUIRE(mprotect(c, PG, PROT_READ), 0);
	CHECK(ctx_ioctl(fd, IOMMU_IOAS_ALLOC, c), -EFAULT);
	CHECK(destroy(fd, id), -ENOENT);
	CHECK(ioas_alloc(fd), id);
}

static void struct_read_only__map_stays(void)
{
	struct iommu_ioas_map *c = (void *)edge_page();
	char *m = memory(PG);
	int fd = ctx_open();

	*c = (struct iommu_ioas_map){ .size = sizeof(*c),
				      .flags = FIXED | RW,
				      .ioas_id = ioas_alloc(fd),
				      .user_va = (uintptr_t)m,
				      .length = PG,
				      .iova = PG };
	REQUIRE(mprotect(c, PG, PROT_READ), 0);
	CHECK(ctx_ioctl(fd, IOMMU_IOAS_MAP, c), -EFAULT);
	CHECK(ctx_ioctl(fd, IOMMU_IOAS_MAP, c), -EEXIST);
}

CONFORM({
	CASE(number__below_and_above_the_table__enotty),
	CASE(number__near_miss__pointer_first),
	CASE(pointer__null__efault),
	CASE(size__too_small__einval),
	CASE(size__surplus__zero_or_e2big),
	CASE(size__past_readable_memory__efault),
	CASE(struct_read_only__alloc_leaves_nothing),
	CASE(struct_read_only__map_stays),
});
