// SPDX-License-Identifier: MIT
/*
 * DEVICE_FEATURE: how a feature is looked up and probed, and low power.
 *
 * In low power a mapped BAR faults. A call on the file wakes the function for its own duration and
 * changes nothing, unless the client gave a wake-up eventfd: then the first call signals it and
 * ends the state. Source: docs/abi/vfio_device_feature.md.
 */
#include <errno.h>

#include "abi/vfio.h"
#include "base/why.h"
#include "vfio/pci.h"

#define OPS (VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET)

struct feature {
	uint32_t index, ops;
	size_t len; /* of its data */
	long (*run)(struct vfio_pci *dev, uintptr_t data);
};

/* Also ends a state with a wake-up: whoever asked for it is told once. */
void low_power_end_locked(struct vfio_pci *dev)
{
	if (!dev->low_power)
		return;
	dev->low_power = false;
	atomic_store(&dev->wakeable, false);
	event_put(&dev->wakeup);
	cfg_apply_locked(dev, false);
}

void dev_wake(struct vfio_pci *dev)
{
	if (likely(!atomic_load_explicit(&dev->wakeable, memory_order_relaxed)))
		return;
	mtx_lock(&dev->lock);
	if (atomic_load(&dev->wakeable)) {
		event_signal(&dev->wakeup);
		low_power_end_locked(dev);
	}
	mtx_unlock(&dev->lock);
}

/* Takes: @wakeup, also on failure. */
static long enter(struct vfio_pci *dev, struct event *wakeup)
{
	int rc = 0;

	mtx_lock(&dev->lock);
	if (dev->low_power) {
		rc = refuse(EINVAL, "the function is in low power already");
	} else {
		dev->low_power = true;
		dev->wakeup = *wakeup;
		*wakeup = EVENT_NONE;
		cfg_apply_locked(dev, false);
		atomic_store(&dev->wakeable, event_set(&dev->wakeup));
	}
	mtx_unlock(&dev->lock);
	event_put(wakeup);
	return rc;
}

static long low_power_entry(struct vfio_pci *dev, uintptr_t data)
{
	struct event none = EVENT_NONE;

	(void)data;
	return enter(dev, &none);
}

static long low_power_entry_wakeup(struct vfio_pci *dev, uintptr_t data)
{
	struct vfio_device_low_power_entry_with_wakeup req;
	struct event e;
	int rc = arg_in(&req, data, sizeof(req));

	if (rc)
		return rc;
	if (req.wakeup_eventfd < 0)
		return refuse(EINVAL, "wake-up eventfd %d is negative", req.wakeup_eventfd);
	rc = event_get(req.wakeup_eventfd, &e);
	return rc ? rc : enter(dev, &e);
}

static long low_power_exit(struct vfio_pci *dev, uintptr_t data)
{
	(void)data;
	mtx_lock(&dev->lock);
	low_power_end_locked(dev);
	mtx_unlock(&dev->lock);
	return 0;
}

static const struct feature features[] = {
	{ VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, VFIO_DEVICE_FEATURE_SET, 0, low_power_entry },
	{ VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP, VFIO_DEVICE_FEATURE_SET,
	  sizeof(struct vfio_device_low_power_entry_with_wakeup), low_power_entry_wakeup },
	{ VFIO_DEVICE_FEATURE_LOW_POWER_EXIT, VFIO_DEVICE_FEATURE_SET, 0, low_power_exit },
};

static const struct feature *find(uint32_t index)
{
	for (size_t i = 0; i < ARRAY_LEN(features); i++)
		if (features[i].index == index)
			return &features[i];
	return NULL;
}

static int check(const struct feature *ft, const struct vfio_device_feature *head)
{
	if (head->flags & OPS & ~ft->ops)
		return refuse(EINVAL, "feature %u has no such operation, flags %#x", ft->index,
			      head->flags);
	if (head->flags & VFIO_DEVICE_FEATURE_PROBE)
		return 0;
	if (!(head->flags & OPS))
		return refuse(EINVAL, "flags %#x ask for nothing", head->flags);
	if (head->argsz < sizeof(*head) + ft->len)
		return refuse(EINVAL, "argsz %u does not hold the %zu bytes of feature %u",
			      head->argsz, ft->len, ft->index);
	return 0;
}

long dev_feature(struct vfio_pci *dev, uintptr_t arg)
{
	struct vfio_device_feature head;
	const struct feature *ft;
	uint32_t index;
	int rc = arg_min(&head, arg, sizeof(head), "vfio_device_feature");

	if (rc)
		return rc;
	if (head.flags & ~(uint32_t)(VFIO_DEVICE_FEATURE_MASK | OPS | VFIO_DEVICE_FEATURE_PROBE))
		return refuse(EINVAL, "flags %#x has unknown bits", head.flags);
	if ((head.flags & OPS) == OPS && !(head.flags & VFIO_DEVICE_FEATURE_PROBE))
		return refuse(EINVAL, "flags %#x asks for GET and SET at once", head.flags);
	index = head.flags & VFIO_DEVICE_FEATURE_MASK;
	/* Linux asks for PRE_COPY before it asks whether there is migration at all. */
	if (index == VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2)
		return refuse(EINVAL, "the device has no pre-copy migration");
	ft = find(index);
	if (!ft)
		return refuse(ENOTTY, "the device has no feature %u", index);
	rc = check(ft, &head);
	if (rc || (head.flags & VFIO_DEVICE_FEATURE_PROBE))
		return rc;
	return ft->run(dev, arg + sizeof(head));
}
