// SPDX-License-Identifier: MIT
/* What do commands that are not there answer, and what does KVM say to our files? */
#include "client.h"

#include <fcntl.h>
#include <linux/kvm.h>

static void ioctl__command_not_there__enotty(void **state)
{
	static const struct {
		unsigned long cmd;
		const char *name;
	} later[] = {
		{ IOMMU_IOAS_ALLOW_IOVAS, "IOMMU_IOAS_ALLOW_IOVAS" },
		{ IOMMU_IOAS_COPY, "IOMMU_IOAS_COPY" },
		{ IOMMU_OPTION, "IOMMU_OPTION" },
		{ IOMMU_VFIO_IOAS, "IOMMU_VFIO_IOAS" },
		{ IOMMU_HWPT_ALLOC, "IOMMU_HWPT_ALLOC" },
		{ IOMMU_HWPT_SET_DIRTY_TRACKING, "IOMMU_HWPT_SET_DIRTY_TRACKING" },
		{ IOMMU_HWPT_GET_DIRTY_BITMAP, "IOMMU_HWPT_GET_DIRTY_BITMAP" },
		{ IOMMU_HWPT_INVALIDATE, "IOMMU_HWPT_INVALIDATE" },
		{ IOMMU_FAULT_QUEUE_ALLOC, "IOMMU_FAULT_QUEUE_ALLOC" },
		{ IOMMU_IOAS_MAP_FILE, "IOMMU_IOAS_MAP_FILE" },
		{ IOMMU_VIOMMU_ALLOC, "IOMMU_VIOMMU_ALLOC" },
		{ IOMMU_VDEVICE_ALLOC, "IOMMU_VDEVICE_ALLOC" },
		{ IOMMU_IOAS_CHANGE_PROCESS, "IOMMU_IOAS_CHANGE_PROCESS" },
		{ IOMMU_VEVENTQ_ALLOC, "IOMMU_VEVENTQ_ALLOC" },
		{ IOMMU_HW_QUEUE_ALLOC, "IOMMU_HW_QUEUE_ALLOC" },
	};
	struct client *c = *state;

	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++) {
		uint32_t arg[64] = { sizeof(arg[0]) }; /* too small for any that is there */

		assert_int_equal(ioctl(c->iommu, later[i].cmd, arg), -1);
		if (errno == ENOTTY)
			print_message("# not there: %s\n", later[i].name);
		else
			assert_int_equal(errno, EINVAL);
	}
}

/* Probing says which features there are; all others are ENOTTY. */
static void device_feature__probe__enotty_or_there(void **state)
{
	struct client *c = *state;
	unsigned there = 0;

	for (uint32_t i = 0; i < 32; i++) {
		struct vfio_device_feature f = { .argsz = sizeof(f),
						 .flags = i | VFIO_DEVICE_FEATURE_PROBE };

		if (!ioctl(c->dev, VFIO_DEVICE_FEATURE, &f))
			there |= 1u << i;
		else if (i != VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2) /* EINVAL, as on Linux */
			assert_int_equal(errno, ENOTTY);
	}
	assert_true(there & 1u << VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY);
	print_message("# features, as bits: 0x%x\n", there);
}

/* KVM is told by the preload that all is well, and never hears of the file. */
static void kvm__vfio_file__accepted_but_not_known_to_kvm(void **state)
{
	struct client *c = *state;
	int32_t fd = c->dev, other = 0;
	struct kvm_create_device dev = { .type = KVM_DEV_TYPE_VFIO };
	struct kvm_device_attr attr = { .group = 1, .attr = 1, .addr = (uintptr_t)&fd };
	int kvm = open("/dev/kvm", O_RDWR), vm = -1;

	if (kvm >= 0)
		vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0 || ioctl(vm, KVM_CREATE_DEVICE, &dev)) {
		print_message("# no KVM that takes VFIO files: %s\n", strerror(errno));
		skip();
	}
	assert_int_equal(ioctl((int)dev.fd, KVM_SET_DEVICE_ATTR, &attr), 0);
	attr.addr = (uintptr_t)&other; /* not ours: KVM answers itself */
	assert_int_equal(ioctl((int)dev.fd, KVM_SET_DEVICE_ATTR, &attr), -1);
	close((int)dev.fd);
	close(vm);
	close(kvm);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(ioctl__command_not_there__enotty),
		CASE(device_feature__probe__enotty_or_there),
		CASE(kvm__vfio_file__accepted_but_not_known_to_kvm),
	};

	return cmocka_run_group_tests_name("absent", tests, NULL, NULL);
}
