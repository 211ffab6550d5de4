// SPDX-License-Identifier: MIT
/*
 * Which command is it, and how does its struct get in and out?
 *
 * The order of the steps is part of the ABI: a bad pointer is met before an unknown command, a
 * struct that is too short before its surplus, the surplus before its contents.
 * Source: docs/abi/dispatch.md.
 */
#include "iommufd/ioctl.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/fault.h"
#include "base/why.h"
#include "mem/mm.h"

int client_read(struct iommufd_ctx *ctx, void *buf, uintptr_t from, size_t len, const char *what)
{
	if (unlikely(fault_point() || mm_copy_from(ctx->machine->self, buf, from, len)))
		return refuse(EFAULT, "%s: cannot read %zu bytes at 0x%lx", what, len,
			      (unsigned long)from);
	return 0;
}

int client_write(struct iommufd_ctx *ctx, uintptr_t to, const void *buf, size_t len,
		 const char *what)
{
	if (unlikely(fault_point() || mm_copy_to(ctx->machine->self, to, buf, len)))
		return refuse(EFAULT, "%s: cannot write %zu bytes at 0x%lx", what, len,
			      (unsigned long)to);
	return 0;
}

int client_zero(struct iommufd_ctx *ctx, uintptr_t to, size_t len, const char *what)
{
	static const char zeros[4096];

	for (size_t n; len; to += n, len -= n) {
		n = min_u64(len, sizeof(zeros));
		if (client_write(ctx, to, zeros, n, what))
			return -EFAULT;
	}
	return 0;
}

/* What is written back to the client. */
enum copy_out {
	OUT_NONE,
	OUT_SUCCESS,
	OUT_SUCCESS_OR_EMSGSIZE,
};

/* One command. A slot without a handler is a number that has no meaning (yet). */
struct command {
	const char *name;
	uint32_t cmd;
	uint16_t min, full; /* sizes of the struct, bytes */
	enum copy_out out;
	int (*fn)(struct ucmd *u);
};

union any_cmd {
	struct iommu_destroy destroy;
	struct iommu_ioas_alloc alloc;
	struct iommu_ioas_iova_ranges ranges;
	struct iommu_ioas_map map;
	struct iommu_ioas_unmap unmap;
	struct iommu_hw_info info;
	struct iommu_ioas_allow_iovas allow;
	struct iommu_ioas_change_process change_process;
	struct iommu_hwpt_alloc hwpt_alloc;
	struct iommu_hwpt_set_dirty_tracking set_dirty;
	struct iommu_hwpt_get_dirty_bitmap get_dirty;
	struct iommu_ioas_copy copy;
	struct iommu_ioas_map_file map_file;
	struct iommu_option option;
	struct iommu_vfio_ioas vfio_ioas;
};

#define FIRST_NR 0x80u
#define LAST_NR  0x95u

#define COMMAND(number, str, last_of_min, out_rule, handler)                                \
	[number - ABI_IOMMU_CMD(FIRST_NR)] = {                                              \
		#number,                                                                    \
		number,                                                                     \
		offsetof(struct str, last_of_min) + sizeof(((struct str *)0)->last_of_min), \
		sizeof(struct str),                                                         \
		out_rule,                                                                   \
		handler,                                                                    \
	}

static const struct command commands[LAST_NR - FIRST_NR + 1] = {
	COMMAND(IOMMU_DESTROY, iommu_destroy, id, OUT_NONE, ioctl_destroy),
	COMMAND(IOMMU_IOAS_ALLOC, iommu_ioas_alloc, out_ioas_id, OUT_SUCCESS, ioctl_ioas_alloc),
	COMMAND(IOMMU_IOAS_ALLOW_IOVAS, iommu_ioas_allow_iovas, allowed_iovas, OUT_NONE,
		ioctl_ioas_allow_iovas),
	COMMAND(IOMMU_IOAS_COPY, iommu_ioas_copy, src_iova, OUT_SUCCESS, ioctl_ioas_copy),
	COMMAND(IOMMU_IOAS_IOVA_RANGES, iommu_ioas_iova_ranges, out_iova_alignment,
		OUT_SUCCESS_OR_EMSGSIZE, ioctl_ioas_iova_ranges),
	COMMAND(IOMMU_IOAS_MAP, iommu_ioas_map, iova, OUT_SUCCESS, ioctl_ioas_map),
	COMMAND(IOMMU_IOAS_UNMAP, iommu_ioas_unmap, length, OUT_SUCCESS, ioctl_ioas_unmap),
	COMMAND(IOMMU_IOAS_MAP_FILE, iommu_ioas_map_file, iova, OUT_SUCCESS, ioctl_ioas_map_file),
	COMMAND(IOMMU_IOAS_CHANGE_PROCESS, iommu_ioas_change_process, __reserved, OUT_NONE,
		ioctl_ioas_change_process),
	/* These two write back what they changed, and when, by themselves. */
	COMMAND(IOMMU_OPTION, iommu_option, val64, OUT_NONE, ioctl_option),
	COMMAND(IOMMU_VFIO_IOAS, iommu_vfio_ioas, __reserved, OUT_NONE, ioctl_vfio_ioas),
	COMMAND(IOMMU_HWPT_ALLOC, iommu_hwpt_alloc, __reserved, OUT_SUCCESS, ioctl_hwpt_alloc),
	COMMAND(IOMMU_HWPT_SET_DIRTY_TRACKING, iommu_hwpt_set_dirty_tracking, __reserved, OUT_NONE,
		ioctl_hwpt_set_dirty_tracking),
	COMMAND(IOMMU_HWPT_GET_DIRTY_BITMAP, iommu_hwpt_get_dirty_bitmap, data, OUT_NONE,
		ioctl_hwpt_get_dirty_bitmap),
	COMMAND(IOMMU_GET_HW_INFO, iommu_hw_info, __reserved, OUT_SUCCESS, ioctl_get_hw_info),
};

/* Every byte behind the struct that we know must be 0; the first that is not decides. */
static int check_surplus(struct ucmd *u, const struct command *c)
{
	uint64_t at = c->full;
	char buf[256];

	while (at < u->user_size) {
		size_t n = min_u64(u->user_size - at, sizeof(buf));

		/* Never read on from a page that is there into one that may not be. */
		n = min_u64(n, PAGE_SIZE - ((u->arg + at) & PAGE_MASK));
		if (client_read(u->ctx, buf, u->arg + at, n, c->name))
			return -EFAULT;
		for (size_t i = 0; i < n; i++)
			if (buf[i])
				return refuse(E2BIG,
					      "%s: byte %llu of %u is not 0, but only %u are known",
					      c->name, (unsigned long long)at + i, u->user_size,
					      c->full);
		at += n;
	}
	return 0;
}

static int copy_in(struct ucmd *u, const struct command *c)
{
	size_t n = min_u64(u->user_size, c->full);

	if (unlikely(u->user_size < c->min))
		return refuse(EINVAL, "%s: size %u is less than %u", c->name, u->user_size, c->min);
	if (unlikely(u->user_size > c->full)) {
		int rc = check_surplus(u, c);

		if (rc)
			return rc;
	}
	if (unlikely(n < c->full))
		memset((char *)u->cmd + n, 0, c->full - n);
	return client_read(u->ctx, u->cmd, u->arg, n, c->name);
}

static int copy_out(struct ucmd *u, const struct command *c, int rc)
{
	if (c->out == OUT_NONE || (rc && (c->out != OUT_SUCCESS_OR_EMSGSIZE || rc != -EMSGSIZE)))
		return rc;
	if (unlikely(client_write(u->ctx, u->arg, u->cmd, min_u64(u->user_size, c->full), c->name)))
		return -EFAULT;
	return rc;
}

/* An object made by the handler becomes visible only now, when nothing can fail any more. */
static void settle_object(struct ucmd *u, int rc)
{
	struct iommufd_ctx *ctx = u->ctx;

	if (rc) {
		object_abort_destroy(u->new_obj);
		return;
	}
	rwl_rdlock(&ctx->ioas_lock);
	object_publish(u->new_obj);
	rwl_rdunlock(&ctx->ioas_lock);
}

long iommufd_ctx_ioctl(struct iommufd_ctx *ctx, unsigned long request, uintptr_t arg)
{
	uint32_t cmd = (uint32_t)request; /* as a kernel's ioctl: 32 bits */
	struct ucmd u = { .ctx = ctx, .arg = arg };
	const struct command *c;
	union any_cmd buf;
	int rc;

	if (unlikely((cmd & 0xff) < FIRST_NR || (cmd & 0xff) > LAST_NR))
		return refuse(ENOTTY, "0x%x is not a command of an iommufd", cmd);
	rc = client_read(ctx, &u.user_size, arg, sizeof(u.user_size), "size of the struct");
	if (unlikely(rc))
		return rc;
	c = &commands[(cmd & 0xff) - FIRST_NR];
	if (unlikely(c->cmd != cmd))
		return refuse(ENOTTY, "0x%x is not a command of an iommufd", cmd);
	u.cmd = &buf;
	rc = copy_in(&u, c);
	if (unlikely(rc))
		return rc;
	rc = copy_out(&u, c, c->fn(&u));
	if (unlikely(u.new_obj != NULL))
		settle_object(&u, rc);
	return rc;
}

int ioctl_destroy(struct ucmd *u)
{
	const struct iommu_destroy *cmd = u->cmd;

	return object_destroy(u->ctx, cmd->id);
}
