/* SPDX-License-Identifier: MIT */
/* The device models that come with the engine. */
#ifndef DEVICES_DEVICES_H
#define DEVICES_DEVICES_H

#include <uiommufd/device.h>

extern const struct uiommufd_device_ops *const device_models[]; /* ends with NULL */

extern const struct uiommufd_device_ops ioat_model;

#endif
