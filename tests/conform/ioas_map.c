// SPDX-License-Identifier: MIT
/* IOMMU_IOAS_MAP: arguments, placement, and what a device makes of it. */
#include "conform.h"

static void arguments__in_order(void)
{
	static const struct {
		uint32_t flags;
		uint64_t va, len, iova;
		int want;
	} cases[] = {
		{ 8 | RW, PG, PG, 0, -EOPNOTSUPP },     { FIXED, PG, PG, 0, -EINVAL },
		{ RW, PG, PG, MAX, -EOVERFLOW },        { RW, PG, MAX, 0, -EOVERFLOW },
		{ FIXED, PG, PG, MAX, -EOVERFLOW },     { RW, PG, 0, 0, -EINVAL },
		{ RW, MAX - 1, PG, 0, -EOVERFLOW },     { RW, MAX - PG + 1, PG, 0, -EOVERFLOW },
		{ FIXED | RW, 0, MAX - 1, 0, -EINVAL }, { FIXED | RW, PG, PG, MAX - 1, -EOVERFLOW },
		{ RW, 0, 1ull << 63, 0, -EOVERFLOW },
	};
	struct iommu_ioas_map c = { .size = sizeof(c), .flags = RW, .__reserved = 1 };
	int fd = ctx_open();
	uint32_t ioas = ioas_alloc(fd);
	uint64_t iova = 0;

	CHECK(map(fd, ioas + 1, RW, NULL, 0, &iova), -ENOENT);
	CHECK(ctx_ioctl(fd, IOMMU_IOAS_MAP, &c), -EOPNOTSUPP);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		iova = cases[i].iova;
		CHECK(map(fd, ioas, cases[i].flags, (void *)(uintptr_t)cases[i].va, cases[i].len,
			  &iova),
		      cases[i].want);
	}
	CHECK(unmap(fd, ioas, 0, MAX, &iova), 0);
	CHECK(iova, 0);
}

static void fixed__edges(void)
{
	int fd = ctx_open();
	uint32_t ioas = ioas_alloc(fd);
	char *m = memory(PG);

	CHECK(map_at(fd, ioas, 0, m, PG), 0);
	CHECK(map_at(fd, ioas, MAX - PG + 1, m, PG), 0);
	CHECK(map_at(fd, ioas, 0x10001, m + 1, 1), 0); /* nothing asks for an alignment */
	CHECK(map_at(fd, ioas, 0x10001, m, 1), -EEXIST);
	CHECK(map_at(fd, ioas, 0x10002, m, PG), 0);
}

static void fixed__overlap__eexist(void)
{
	int fd = ctx_open();
	uint32_t ioas = ioas_alloc(fd);
	char *m = memory(4 * PG);

	REQUIRE(map_at(fd, ioas, 0x10000, m, 2 * PG), 0);
	CHECK(map_at(fd, ioas, 0xf001, m, PG), -EEXIST);
	CHECK(map_at(fd, ioas, 0x11fff, m, 1), -EEXIST);
	CHECK(map_at(fd, ioas, 0xf000, m, 4 * PG), -EEXIST);
	CHECK(map_at(fd, ioas, 0xf000, m, PG), 0);
	CHECK(map_at(fd, ioas, 0x12000, m, PG), 0);
}

static void automatic__worked_values(void)
{
	char *m = memory(4 * MIB2);
	const struct {
		const char *va;
		uint64_t len, want;
	} cases[] = {
		{ m, PG, PG },
		{ m, 5 * PG, 0x8000 },
		{ m + PG, MIB2, PG },
		{ m, MIB2, MIB2 },
		{ m + 2048, PG, 0x1800 },
		{ m, 1, PG },
		{ NULL, 3 * PG, 4 * PG },
		{ m, 2 * MIB2 + PG, MIB2 },
	};
	int fd = ctx_open();

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t iova = 5;

		CHECK(map(fd, ioas_alloc(fd), RW, cases[i].va, cases[i].len, &iova), 0);
		CHECK(iova, cases[i].want);
	}
}

static void automatic__lowest_gap_first(void)
{
	int fd = ctx_open();
	uint32_t ioas = ioas_alloc(fd);
	char *m = memory(PG);
	uint64_t iova;

	for (uint64_t i = 1; i < 10; i++) {
		CHECK(map(fd, ioas, RW, m, PG, &iova), 0);
		CHECK(iova, i * PG);
	}
	CHECK(unmap(fd, ioas, 3 * PG, PG, NULL), 0);
	CHECK(map(fd, ioas, RW, m, PG, &iova), 0);
	CHECK(iova, 3 * PG);
}

static void no_device__memory_is_not_looked_at(void)
{
	int fd = ctx_open();
	uint32_t ioas = ioas_alloc(fd);

	CHECK(map_at(fd, ioas, 0x10000, (void *)PG, PG), 0);
	CHECK(map_at(fd, ioas, 0x100000000, (void *)0x7f0000000000, 1ull << 40), 0);
}

/* A context with a device attached; some IOVA that it can use. */
static int attached(int *fd, uint32_t *ioas, uint64_t *iova)
{
	struct iommu_iova_range r[64];
	uint32_t id, hwpt;
	int dev, n;

	*fd = ctx_open();
	*ioas = hwpt = ioas_alloc(*fd);
	dev = device_bind(*fd, &id);
	REQUIRE(device_attach(dev, &hwpt), 0);
	n = ranges(*fd, *ioas, r, 64, NULL);
	REQUIRE(n > 0, true);
	*iova = (r[n - 1].start + MIB2 - 1) & ~(MIB2 - 1);
	return dev;
}

static void device__bad_memory__efault(void)
{
	char *m = memory(8 * PG);
	uint32_t ioas;
	uint64_t at;
	int fd;

	attached(&fd, &ioas, &at);
	CHECK(map_at(fd, ioas, at, (void *)PG, PG), -EFAULT);
	CHECK(map_at(fd, ioas, at, m, PG), 0);
	REQUIRE(munmap(m + 6 * PG, PG), 0);
	CHECK(map_at(fd, ioas, at + 0x100000, m + 4 * PG, 4 * PG), -EFAULT);
	CHECK(map_at(fd, ioas, at + 0x100000, m + 4 * PG, 2 * PG), 0);
	REQUIRE(mprotect(m + 2 * PG, PG, PROT_READ), 0);
	CHECK(map_at(fd, ioas, at + 0x200000, m + 2 * PG, PG), -EFAULT);
	at += 0x200000;
	CHECK(map(fd, ioas, FIXED | RD, m + 2 * PG, PG, &at), 0);
}

static void device__alignment_and_reserved__einval(void)
{
	char *m = memory(4 * PG);
	struct iommu_iova_range r[64];
	uint64_t at, align;
	uint32_t ioas;
	int fd, n;

	attached(&fd, &ioas, &at);
	n = ranges(fd, ioas, r, 64, &align);
	if (align > 1) {
		CHECK(map_at(fd, ioas, at + 1, m, PG), -EINVAL);
		CHECK(map_at(fd, ioas, at, m, PG + 1), -EINVAL);
		CHECK(map_at(fd, ioas, at, m + align / 2, PG), -EINVAL);
	}
	for (int i = 1; i < n; i++)
		CHECK(map_at(fd, ioas, r[i].start - PG, m, PG), -EINVAL);
	if (r[n - 1].last != MAX) {
		CHECK(map_at(fd, ioas, r[n - 1].last + 1, m, PG), -EINVAL);
		CHECK(map_at(fd, ioas, r[n - 1].last + 1 - PG, m, 2 * PG), -EINVAL);
		CHECK(map_at(fd, ioas, r[n - 1].last + 1 - PG, m, PG), 0);
	}
}

static void device__joins_later__pins_then(void)
{
	char *m = memory(4 * PG);
	struct iommu_iova_range r[64];
	int fd, dev, n;
	uint32_t ioas, hwpt, id;
	uint64_t at;

	dev = attached(&fd, &ioas, &at);
	REQUIRE(device_detach(dev), 0);
	(void)id;
	CHECK(map_at(fd, ioas, at, m, 4 * PG), 0);
	CHECK(map_at(fd, ioas, at + MIB2, (void *)PG, PG), 0);
	hwpt = ioas;
	CHECK(device_attach(dev, &hwpt), -EFAULT);
	CHECK(hwpt, ioas);
	n = ranges(fd, ioas, r, 64, NULL);
	CHECK(n, 1); /* it is detached still */
	CHECK(unmap(fd, ioas, at + MIB2, PG, NULL), 0);
	CHECK(device_attach(dev, &hwpt), 0);
	CHECK(unmap(fd, ioas, at, 4 * PG, NULL), 0);
}

CONFORM({
	CASE(arguments__in_order),
	CASE(fixed__edges),
	CASE(fixed__overlap__eexist),
	CASE(automatic__worked_values),
	CASE(automatic__lowest_gap_first),
	CASE(no_device__memory_is_not_looked_at),
	CASE(device__bad_memory__efault),
	CASE(device__alignment_and_reserved__einval),
	CASE(device__joins_later__pins_then),
});
