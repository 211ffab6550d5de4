// SPDX-License-Identifier: MIT
/* What does the IOMMU in front of a device say of itself? */
#include <errno.h>

#include "base/bits.h"
#include "base/why.h"
#include "iommufd/device.h"
#include "iommufd/ioctl.h"

/* Everything that the answer says but the bytes themselves. */
static void fill_answer(const struct iommu_device *dev, const struct iommu_hw_info_data *data,
			struct iommu_hw_info *cmd)
{
	const struct iommu_kind *kind = dev->iommu->kind;

	cmd->data_len = data->len;
	cmd->out_data_type = data->type;
	cmd->out_max_pasid_log2 = kind->max_pasids ? (uint8_t)highest_bit(kind->max_pasids) : 0;
	cmd->out_capabilities = 0;
	if (kind->dirty)
		cmd->out_capabilities |= IOMMU_HW_CAP_DIRTY_TRACKING;
	if (!kind->ats)
		cmd->out_capabilities |= IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED;
}

static int query(const struct iommu_device *dev, uint32_t wanted, struct iommu_hw_info_data *data)
{
	*data = (struct iommu_hw_info_data){ .type = IOMMU_HW_INFO_TYPE_NONE };
	if (!dev->iommu->kind->hw_info)
		return 0; /* says nothing, whatever is asked */
	dev->iommu->kind->hw_info(dev, data);
	if (wanted != IOMMU_HW_INFO_TYPE_DEFAULT && wanted != data->type)
		return refuse(EOPNOTSUPP, "%s has hardware info of type %u, not %u", dev->name,
			      data->type, wanted);
	return 0;
}

int ioctl_get_hw_info(struct ucmd *u)
{
	struct iommu_hw_info *cmd = u->cmd;
	uint32_t wanted = IOMMU_HW_INFO_TYPE_DEFAULT;
	struct iommu_hw_info_data data;
	struct iommu_device *dev;
	struct object *o;
	size_t n;
	int rc;

	if (cmd->flags & ~(uint32_t)IOMMU_HW_INFO_FLAG_INPUT_TYPE)
		return refuse(EOPNOTSUPP, "GET_HW_INFO: flags 0x%x", cmd->flags);
	if (cmd->__reserved[0] || cmd->__reserved[1] || cmd->__reserved[2])
		return refuse(EOPNOTSUPP, "GET_HW_INFO: a reserved byte is not 0");
	if (cmd->flags & IOMMU_HW_INFO_FLAG_INPUT_TYPE)
		wanted = cmd->in_data_type;
	rc = object_get(u->ctx, cmd->dev_id, OBJECT_DEVICE, &o);
	if (rc)
		return rc;
	dev = container_of(o, struct iommufd_device, obj)->dev;
	rc = query(dev, wanted, &data);
	if (rc)
		goto out;
	n = min_u64(cmd->data_len, data.len);
	if (n)
		rc = client_write(u->ctx, cmd->data_uptr, data.data, n, "GET_HW_INFO data");
	if (!rc && cmd->data_len > n)
		rc = client_zero(u->ctx, cmd->data_uptr + n, cmd->data_len - n, "GET_HW_INFO data");
	if (!rc)
		fill_answer(dev, &data, cmd);
out:
	object_put(o);
	return rc;
}
