// SPDX-License-Identifier: MIT
/* IOMMU_GET_HW_INFO. */
#include "conform.h"

static void arguments__in_order(void)
{
	struct iommu_hw_info c = { .size = sizeof(c), .flags = 2, .dev_id = 9 };
	int fd = ctx_open();

	CHECK(ctx_ioctl(fd, IOMMU_GET_HW_INFO, &c), -EOPNOTSUPP);
	c.flags = 0;
	for (int i = 0; i < 3; i++) {
		c.__reserved[i] = 1;
		CHECK(ctx_ioctl(fd, IOMMU_GET_HW_INFO, &c), -EOPNOTSUPP);
		c.__reserved[i] = 0;
	}
	CHECK(ctx_ioctl(fd, IOMMU_GET_HW_INFO, &c), -ENOENT);
	c.size = 32;
	CHECK(ctx_ioctl(fd, IOMMU_GET_HW_INFO, &c), -ENOENT);
	c.size = 31;
	CHECK(ctx_ioctl(fd, IOMMU_GET_HW_INFO, &c), -EINVAL);
	c.size = sizeof(c);
	c.dev_id = ioas_alloc(fd); /* not a device */
	CHECK(ctx_ioctl(fd, IOMMU_GET_HW_INFO, &c), -ENOENT);
}

static void buffer__any_length(void)
{
	unsigned char all[4096], part[16];
	struct iommu_hw_info c = { .size = sizeof(c) };
	int fd = ctx_open();
	uint32_t len;

	device_bind(fd, &c.dev_id);
	c.in_data_type = 0x12345; /* means nothing without the flag */
	REQUIRE(ctx_ioctl(fd, IOMMU_GET_HW_INFO, &c), 0);
	len = c.data_len;
	REQUIRE(len <= sizeof(all), true);
	CHECK((len != 0) == (c.out_data_type != IOMMU_HW_INFO_TYPE_NONE), true);

	memset(all, 0xee, sizeof(all));
	c.data_len = sizeof(all);
	c.data_uptr = (uintptr_t)all;
	CHECK(ctx_ioctl(fd, IOMMU_GET_HW_INFO, &c), 0);
	CHECK(c.data_len, len);
	for (size_t i = len; i < sizeof(all); i++)
		if (!CHECK(all[i], 0))
			break;
	memset(part, 0xee, sizeof(part));
	c.data_len = 8;
	c.data_uptr = (uintptr_t)part;
	CHECK(ctx_ioctl(fd, IOMMU_GET_HW_INFO, &c), 0);
	CHECK(c.data_len, len);
	CHECK(memcmp(part, all, 8), 0);
	CHECK(part[8], 0xee);
	c.data_len = 8;
	c.data_uptr = 8;
	CHECK(ctx_ioctl(fd, IOMMU_GET_HW_INFO, &c), -EFAULT);
}

static void type__own_or_foreign(void)
{
	struct iommu_hw_info c = { .size = sizeof(c) };
	int fd = ctx_open();
	uint32_t own;

	device_bind(fd, &c.dev_id);
	REQUIRE(ctx_ioctl(fd, IOMMU_GET_HW_INFO, &c), 0);
	own = c.out_data_type;
	if (own == IOMMU_HW_INFO_TYPE_NONE)
		conform_skip("the IOMMU says nothing of itself");
	c.flags = IOMMU_HW_INFO_FLAG_INPUT_TYPE;
	c.data_len = 0;
	c.in_data_type = own;
	CHECK(ctx_ioctl(fd, IOMMU_GET_HW_INFO, &c), 0);
	CHECK(c.out_data_type, own);
	c.in_data_type = IOMMU_HW_INFO_TYPE_DEFAULT;
	c.data_len = 0;
	CHECK(ctx_ioctl(fd, IOMMU_GET_HW_INFO, &c), 0);
	CHECK(c.out_data_type, own);
	c.in_data_type = 0xfffffff0;
	CHECK(ctx_ioctl(fd, IOMMU_GET_HW_INFO, &c), -EOPNOTSUPP);
}

static void short_struct__capabilities_untouched(void)
{
	struct iommu_hw_info c = { .size = 32, .out_capabilities = 0xabcdef0123456789 };
	int fd = ctx_open();

	device_bind(fd, &c.dev_id);
	CHECK(ctx_ioctl(fd, IOMMU_GET_HW_INFO, &c), 0);
	CHECK(c.out_capabilities == 0xabcdef0123456789, true);
}

CONFORM({
	CASE(arguments__in_order),
	CASE(buffer__any_length),
	CASE(type__own_or_foreign),
	CASE(short_struct__capabilities_untouched),
});
