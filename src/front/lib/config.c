// SPDX-License-Identifier: MIT
/* Config: what machine to build, from words a person typed. */
#include "front/lib/edge.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "base/why.h"
#include "devices/devices.h"

void config_init(struct config *c)
{
	memset(c, 0, sizeof(*c));
}

void config_finish(struct config *c)
{
	for (unsigned i = 0; i < c->n_devices; i++)
		mem_free(c->device[i]);
	memset(c, 0, sizeof(*c));
}

static int copy_string(char *dst, size_t size, const char *key, const char *val)
{
	size_t n = strlen(val);

	if (n >= size)
		return refuse(EINVAL, "the value of %s has %zu characters, at most %zu fit", key, n,
			      size - 1);
	memcpy(dst, val, n + 1);
	return 0;
}

static int add_device(struct config *c, const char *val)
{
	size_t n = strlen(val) + 1;
	char *copy;

	if (c->n_devices == CONFIG_DEVICES_MAX)
		return refuse(EINVAL, "more than %u devices", CONFIG_DEVICES_MAX);
	copy = mem_alloc(n);
	if (!copy)
		return refuse(ENOMEM, "no memory for the config");
	memcpy(copy, val, n);
	c->device[c->n_devices++] = copy;
	return 0;
}

int config_set(struct config *c, const char *key, const char *val)
{
	if (!strcmp(key, "iommu"))
		return copy_string(c->iommu, sizeof(c->iommu), key, val);
	if (!strcmp(key, "device"))
		return add_device(c, val);
	if (!strcmp(key, "root"))
		return copy_string(c->root, sizeof(c->root), key, val);
	if (!strcmp(key, "privilege")) {
		if (strcmp(val, "root") && strcmp(val, "user"))
			return refuse(EINVAL, "privilege is '%s': it can be root or user", val);
		c->user_privilege = !strcmp(val, "user");
		return 0;
	}
	if (!strcmp(key, "explain")) {
		c->explain = strcmp(val, "0") != 0;
		return 0;
	}
	if (!strcmp(key, "picture")) {
		c->picture = strcmp(val, "0") != 0;
		return 0;
	}
	return refuse(
		EINVAL,
		"'%s' is not a setting (there are iommu, device, privilege, explain, picture, root)",
		key);
}

int config_parse(struct config *c, const char *text)
{
	char item[600];

	while (*text) {
		size_t n = strcspn(text, ";\n");
		char *eq, *end;
		int rc;

		if (n >= sizeof(item))
			return refuse(EINVAL, "a setting of %zu characters is too long", n);
		memcpy(item, text, n);
		item[n] = 0;
		text += n + (text[n] != 0);
		for (end = item + n; end > item && isspace((unsigned char)end[-1]);)
			*--end = 0;
		eq = item + strspn(item, " \t");
		if (!*eq || *eq == '#')
			continue;
		memmove(item, eq, strlen(eq) + 1);
		eq = strchr(item, '=');
		if (eq)
			*eq = 0;
		rc = config_set(c, item, eq ? eq + 1 : "1");
		if (rc)
			return rc;
	}
	return 0;
}

int config_print(const struct config *c, char *buf, size_t len)
{
	int n = snprintf(buf, len, "iommu=%s\nprivilege=%s\nexplain=%d\npicture=%d\nroot=%s\n",
			 c->iommu, c->user_privilege ? "user" : "root", c->explain, c->picture,
			 c->root);

	for (unsigned i = 0; i < c->n_devices; i++) {
		size_t at = (size_t)n < len ? (size_t)n : len;

		n += snprintf(buf + at, len - at, "device=%s\n", c->device[i]);
	}
	return n;
}

static const struct uiommufd_device_ops *find_model(const char *name)
{
	for (size_t i = 0; device_models[i]; i++)
		if (!strcmp(device_models[i]->desc->name, name))
			return device_models[i];
	return NULL;
}

static int parse_bar_mode(const char *val, unsigned *mode)
{
	if (!strcmp(val, "trap"))
		*mode = UIOMMUFD_BAR_TRAP;
	else if (!strcmp(val, "poll"))
		*mode = UIOMMUFD_BAR_POLL;
	else if (!strcmp(val, "fault"))
		*mode = UIOMMUFD_BAR_FAULT;
	else
		return refuse(EINVAL, "a BAR's mode is '%s': it can be trap, poll or fault", val);
	return 0;
}

/* A full PCI address of which slot and function are in range: "0000:01:00.0". */
static bool parse_address(const char *val, char *out, size_t len)
{
	unsigned seg, bus, slot, fn;
	char tail;

	if (sscanf(val, "%4x:%2x:%2x.%1x%c", &seg, &bus, &slot, &fn, &tail) != 4 || slot > 31 ||
	    fn > 7)
		return false;
	snprintf(out, len, "%04x:%02x:%02x.%x", seg, bus, slot, fn);
	return true;
}

static int parse_group(const char *val, int *out)
{
	char *end;
	long v = strtol(val, &end, 10);

	if (end == val || *end || v < 0 || v > 65535)
		return refuse(EINVAL, "a group is '%s': it must be a number from 0 to 65535", val);
	*out = (int)v;
	return 0;
}

static int take_option(struct device_choice *d, char *opt, unsigned *n_argv)
{
	const struct uiommufd_option *known = d->spec.ops->options;
	char *eq = strchr(opt, '=');
	size_t klen = eq ? (size_t)(eq - opt) : strlen(opt);

	if (eq && klen == 4 && !memcmp(opt, "addr", 4)) {
		if (!parse_address(eq + 1, d->spec.name, sizeof(d->spec.name)))
			return refuse(EINVAL, "'%s' is not a PCI address like 0000:01:00.0",
				      eq + 1);
		return 0;
	}
	if (eq && klen == 5 && !memcmp(opt, "group", 5))
		return parse_group(eq + 1, &d->spec.group);
	if (eq && klen == 4 && !memcmp(opt, "bar", 3) && opt[3] >= '0' && opt[3] <= '5')
		return parse_bar_mode(eq + 1, &d->spec.bar_mode[opt[3] - '0']);
	for (; known && known->key; known++)
		if (strlen(known->key) == klen && !memcmp(known->key, opt, klen)) {
			if (*n_argv == 15)
				return refuse(EINVAL, "too many options for one device");
			d->argv_store[(*n_argv)++] = opt;
			return 0;
		}
	return refuse(EINVAL, "device %s has no option '%.*s' (try: uiommufd list)",
		      d->spec.ops->desc->name, (int)klen, opt);
}

int config_device(const struct config *c, unsigned i, struct device_choice *out)
{
	unsigned n_argv = 0;
	char *opt, *next;
	int rc = copy_string(out->text, sizeof(out->text), "device", c->device[i]);

	if (rc)
		return rc;
	memset(&out->spec, 0, sizeof(out->spec));
	next = strchr(out->text, ',');
	if (next)
		*next++ = 0;
	out->spec.ops = find_model(out->text);
	if (!out->spec.ops)
		return refuse(EINVAL, "there is no device model '%s' (try: uiommufd list)",
			      out->text);
	out->desc = *out->spec.ops->desc;
	out->spec.group = -1;
	out->spec.argv = out->argv_store;
	snprintf(out->spec.name, sizeof(out->spec.name), "0000:%02x:00.0", (i + 1) & 0xff);
	while ((opt = next)) {
		next = strchr(opt, ',');
		if (next)
			*next++ = 0;
		rc = take_option(out, opt, &n_argv);
		if (rc)
			return rc;
	}
	out->argv_store[n_argv] = NULL;
	for (unsigned b = 0; b < UIOMMUFD_BARS; b++)
		if (out->spec.bar_mode[b] & ~out->desc.bar[b].modes)
			return refuse(EINVAL, "bar%u of %s cannot work in that mode", b,
				      out->desc.name);
	return 0;
}

int config_resolve(struct config *c)
{
	char names[CONFIG_DEVICES_MAX][sizeof(((struct function_spec *)0)->name)];
	struct iommu iommu = { 0 };
	struct device_choice d;
	int rc;

	if (!c->iommu[0])
		memcpy(c->iommu, "vtd", 4);
	rc = iommu_configure(&iommu, c->iommu);
	if (rc)
		return why_add(rc, "try: uiommufd list");
	if (!c->n_devices && (rc = add_device(c, "ioat")))
		return rc;
	for (unsigned i = 0; i < c->n_devices; i++) {
		rc = config_device(c, i, &d);
		if (rc)
			return rc;
		memcpy(names[i], d.spec.name, sizeof(names[i]));
		for (unsigned k = 0; k < i; k++)
			if (!strcmp(names[k], names[i]))
				return refuse(EINVAL, "two devices have the address %s", names[i]);
	}
	return 0;
}
