// SPDX-License-Identifier: MIT
/* uiommufd list: which device models and IOMMU kinds there are, and what can be set on them. */
#include "tools/cmd.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "devices/devices.h"
#include "front/lib/edge.h"

static const char *mode_names(unsigned modes, char *buf, size_t len)
{
	snprintf(buf, len, "%s%s%s", modes & UIOMMUFD_BAR_TRAP ? "trap|" : "",
		 modes & UIOMMUFD_BAR_POLL ? "poll|" : "",
		 modes & UIOMMUFD_BAR_FAULT ? "fault|" : "");
	if (buf[0])
		buf[strlen(buf) - 1] = 0;
	return buf;
}

static void print_model(const struct uiommufd_device_ops *ops)
{
	const struct uiommufd_device_desc *d = ops->desc;
	char modes[32], def[32];

	printf("  %-8s %04x:%04x  %s\n", d->name, d->vendor, d->device, d->summary);
	for (unsigned b = 0; b < UIOMMUFD_BARS; b++)
		if (d->bar[b].size)
			printf("             bar%u=%s (%llu KiB, default %s)\n", b,
			       mode_names(d->bar[b].modes, modes, sizeof(modes)),
			       (unsigned long long)(d->bar[b].size >> 10),
			       mode_names(d->bar[b].default_mode, def, sizeof(def)));
	for (const struct uiommufd_option *o = ops->options; o && o->key; o++)
		printf("             %s=%s  %s\n", o->key, o->value_hint, o->help);
}

static json_t *options_json(const struct uiommufd_option *o)
{
	json_t *opts = json_array();

	for (; o && o->key; o++)
		json_array_append_new(opts, json_pack("{s:s,s:s,s:s}", "key", o->key, "value",
						      o->value_hint, "help", o->help));
	return opts;
}

static json_t *model_json(const struct uiommufd_device_ops *ops)
{
	const struct uiommufd_device_desc *d = ops->desc;
	json_t *bars = json_array(), *opts = options_json(ops->options);
	char modes[32], def[32];

	for (unsigned b = 0; b < UIOMMUFD_BARS; b++)
		if (d->bar[b].size)
			json_array_append_new(
				bars,
				json_pack("{s:i,s:I,s:s,s:s}", "bar", (int)b, "size",
					  (json_int_t)d->bar[b].size, "modes",
					  mode_names(d->bar[b].modes, modes, sizeof(modes)),
					  "default",
					  mode_names(d->bar[b].default_mode, def, sizeof(def))));
	return json_pack("{s:s,s:s,s:i,s:i,s:o,s:o}", "name", d->name, "summary", d->summary,
			 "vendor", (int)d->vendor, "device", (int)d->device, "bars", bars,
			 "options", opts);
}

static int list_json(void)
{
	json_t *devices = json_array(), *kinds = json_array(), *all;
	int rc;

	for (size_t i = 0; device_models[i]; i++)
		json_array_append_new(devices, model_json(device_models[i]));
	for (size_t i = 0; iommu_kinds[i]; i++)
		json_array_append_new(kinds,
				      json_pack("{s:s,s:s,s:o}", "name", iommu_kinds[i]->name,
						"summary", iommu_kinds[i]->summary, "options",
						options_json(iommu_kinds[i]->options)));
	all = json_pack("{s:o,s:o}", "devices", devices, "iommus", kinds);
	rc = all ? json_dumpf(all, stdout, JSON_INDENT(2)) : -1;
	putchar('\n');
	json_decref(all);
	return rc ? 125 : 0;
}

static void usage(FILE *to)
{
	fprintf(to, "usage: uiommufd list [--json]\n\n"
		    "Shows what `uiommufd run --device` and `--iommu` take.\n"
		    "  --json  the same as one JSON object {\"devices\", \"iommus\"}\n\n"
		    "Exit status: 0; 125 when the arguments are wrong.\n");
}

int cmd_list(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--json"))
		return list_json();
	if (argc > 1) {
		bool help = !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h");

		usage(help ? stdout : stderr);
		return help ? 0 : 125;
	}
	printf("devices (--device MODEL[,key=value]...):\n");
	for (size_t i = 0; device_models[i]; i++)
		print_model(device_models[i]);
	printf("  every model: addr=0000:01:00.0  PCI address (default: bus 1, 2, ... in order)\n"
	       "               group=N            IOMMU group (default: one of its own)\n\n"
	       "IOMMUs (--iommu KIND):\n");
	for (size_t i = 0; iommu_kinds[i]; i++) {
		const struct uiommufd_option *o = iommu_kinds[i]->options;

		printf("  %-8s %s\n", iommu_kinds[i]->name, iommu_kinds[i]->summary);
		for (; o && o->key; o++)
			printf("             %s=%s  %s\n", o->key, o->value_hint, o->help);
	}
	return 0;
}
