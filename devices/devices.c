// SPDX-License-Identifier: MIT
/* The device models that come with the engine: one line each. */
#include "devices/devices.h"

const struct uiommufd_device_ops *const device_models[] = {
	&ioat_model,
	NULL,
};
