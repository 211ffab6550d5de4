// SPDX-License-Identifier: MIT
/*
 * Do our ABI headers agree with Linux's, item by item?
 *
 * Names, numbers, sizes, offsets and widths, as far as the Linux headers at hand have them; the
 * count of what was left out is printed. Configure with -Dlinux_headers=DIR for newer ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "abi_table.h"

static const struct abi_item *find(const struct abi_item *items, const char *name)
{
	for (; items->name; items++)
		if (!strcmp(items->name, name))
			return items;
	return NULL;
}

static size_t count(const struct abi_item *items)
{
	size_t n = 0;

	while (items[n].name)
		n++;
	return n;
}

static bool same(const struct abi_item *a, const struct abi_item *b)
{
	if (!a->text != !b->text || (a->text && strcmp(a->text, b->text)))
		return false;
	return a->value == b->value && a->width == b->width;
}

static void compare(unsigned header)
{
	const struct abi_table *ours = &abi_ours[header], *lin = &abi_linux[header];
	size_t total = count(ours->items), compared = count(lin->items), bad = 0;
	const char *const *name;

	for (const struct abi_item *l = lin->items; l->name; l++) {
		const struct abi_item *o = find(ours->items, l->name);

		assert_non_null(o);
		if (same(o, l))
			continue;
		print_error("%s %s: ours %llu:%llu %s, Linux's %llu:%llu %s\n", l->kind, l->name,
			    (unsigned long long)o->value, (unsigned long long)o->width,
			    o->text ? o->text : "", (unsigned long long)l->value,
			    (unsigned long long)l->width, l->text ? l->text : "");
		bad++;
	}
	print_message("%s: %zu items compared with %s of Linux %u.%u.%u, %zu not in it\n",
		      ours->header, compared, lin->header, abi_linux_version >> 16,
		      abi_linux_version >> 8 & 0xff, abi_linux_version & 0xff, total - compared);
	for (name = abi_unknown[header]; *name; name++)
		print_message("  only in %s: %s\n", lin->header, *name);
	assert_int_equal(bad, 0);
	assert_true(total > 0);
	if (!compared)
		skip();
}

static void abi_iommufd__linux_header__equal(void **state)
{
	(void)state;
	compare(ABI_IOMMUFD);
}

static void abi_vfio__linux_header__equal(void **state)
{
	(void)state;
	compare(ABI_VFIO);
}

static void abi_pci__linux_header__equal(void **state)
{
	(void)state;
	compare(ABI_PCI);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(abi_iommufd__linux_header__equal),
		cmocka_unit_test(abi_vfio__linux_header__equal),
		cmocka_unit_test(abi_pci__linux_header__equal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
