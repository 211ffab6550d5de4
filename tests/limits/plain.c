// SPDX-License-Identifier: MIT
/* Can this program open /dev/iommu and make an IO address space? Says so, exit status 0 or 1. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

int main(void)
{
	struct {
		unsigned size, flags, id;
	} alloc = { .size = sizeof(alloc) };
	int fd = open("/dev/iommu", O_RDWR);

	if (fd < 0 || ioctl(fd, _IO(';', 0x81), &alloc)) {
		printf("no: %s\n", strerror(errno));
		return 1;
	}
	printf("yes: address space %u\n", alloc.id);
	return 0;
}
