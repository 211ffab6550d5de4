// SPDX-License-Identifier: MIT
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/why.h"
#include "front/lib/edge.h"

/* Parses and resolves @text; the reason of a refusal must contain @words. */
static void refused(const char *text, int err, const char *words)
{
	struct config c;
	int rc;

	config_init(&c);
	why_clear();
	rc = config_parse(&c, text);
	if (!rc)
		rc = config_resolve(&c);
	assert_int_equal(rc, -err);
	if (!strstr(why_last(), words))
		fail_msg("'%s' was refused with '%s', which does not say '%s'", text, why_last(),
			 words);
	config_finish(&c);
}

static void accepted(struct config *c, const char *text)
{
	config_init(c);
	assert_int_equal(config_parse(c, text), 0);
	assert_int_equal(config_resolve(c), 0);
}

static void config__wrong__einval_in_words(void **state)
{
	static const struct {
		const char *text, *words;
	} bad[] = {
		{ "frob=1", "'frob' is not a setting" },
		{ "iommu=nope", "no IOMMU kind 'nope'" },
		{ "device=frob", "no device model 'frob'" },
		{ "device=", "no device model ''" },
		{ "device=ioat,frob=1", "device ioat has no option 'frob'" },
		{ "device=ioat,addr=1:2", "'1:2' is not a PCI address" },
		{ "device=ioat,addr=0000:01:20.0", "is not a PCI address" },
		{ "device=ioat,addr=0000:01:00.8", "is not a PCI address" },
		{ "device=ioat,addr=0000:01:00.0x", "is not a PCI address" },
		{ "device=ioat,addr=0000:100:00.0", "is not a PCI address" },
		{ "device=ioat,addr", "has no option 'addr'" },
		{ "device=ioat,group=", "a group is ''" },
		{ "device=ioat,group=-1", "a group is '-1'" },
		{ "device=ioat,group=65536", "from 0 to 65535" },
		{ "device=ioat,group=1x", "a group is '1x'" },
		{ "device=ioat,bar0=map", "a BAR's mode is 'map'" },
		{ "device=ioat,bar0=poll", "bar0 of ioat cannot work in that mode" },
		{ "device=ioat,bar1=trap", "bar1 of ioat cannot work in that mode" },
		{ "device=ioat,bar9=trap", "has no option 'bar9" },
		{ "privilege=admin", "privilege is 'admin'" },
		{ "device=ioat;device=ioat,addr=0000:01:00.0", "two devices have the address" },
		{ "iommu=0123456789012345678901234567890123456789012345678901234567890123456789",
		  "has 70 characters, at most 63 fit" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refused(bad[i].text, EINVAL, bad[i].words);
}

static void config__too_much__einval_in_words(void **state)
{
	char text[4096] = "", *at = text;

	(void)state;
	for (int i = 0; i < 65; i++)
		at += sprintf(at, "device=ioat;");
	refused(text, EINVAL, "more than 64 devices");
	memset(text, 'x', 700);
	text[700] = 0;
	refused(text, EINVAL, "700 characters is too long");
	at = text + sprintf(text, "device=ioat,");
	memset(at, 'x', 300);
	at[300] = 0;
	refused(text, EINVAL, "at most 255 fit");
}

static void config__nothing__one_ioat_behind_vtd(void **state)
{
	struct device_choice d;
	struct config c;

	(void)state;
	accepted(&c, "");
	assert_string_equal(c.iommu, "vtd");
	assert_int_equal(c.n_devices, 1);
	assert_int_equal(config_device(&c, 0, &d), 0);
	assert_string_equal(d.spec.name, "0000:01:00.0");
	assert_int_equal(d.spec.group, -1);
	assert_null(d.spec.argv[0]);
	assert_false(c.user_privilege || c.explain || c.picture);
	config_finish(&c);
}

static void config__lines_or_semicolons__the_same(void **state)
{
	struct device_choice d;
	struct config c;

	(void)state;
	accepted(&c,
		 "# a comment\n  iommu=vtd  \n\n\tdevice=ioat,addr=000a:ff:1f.7,group=9,bar0=trap\n"
		 "device=ioat;privilege=user;explain;picture=1;;");
	assert_int_equal(c.n_devices, 2);
	assert_true(c.user_privilege && c.explain && c.picture);
	assert_int_equal(config_device(&c, 0, &d), 0);
	assert_string_equal(d.spec.name, "000a:ff:1f.7");
	assert_int_equal(d.spec.group, 9);
	assert_int_equal(d.spec.bar_mode[0], UIOMMUFD_BAR_TRAP);
	assert_int_equal(config_device(&c, 1, &d), 0);
	assert_string_equal(d.spec.name, "0000:02:00.0");
	config_finish(&c);
	accepted(&c, "explain=0;privilege=root");
	assert_false(c.user_privilege || c.explain);
	config_finish(&c);
}

static void config__printed__reads_back(void **state)
{
	char one[2048], two[2048];
	struct config c, again;
	int n;

	(void)state;
	accepted(&c,
		 "device=ioat,group=3;device=ioat,bar0=trap;privilege=user;root=/run/x;explain");
	n = config_print(&c, one, sizeof(one));
	assert_int_equal(n, strlen(one));
	assert_int_equal(config_print(&c, two, 10), n); /* bytes needed */
	assert_int_equal(strlen(two), 9);
	accepted(&again, one);
	config_print(&again, two, sizeof(two));
	assert_string_equal(one, two);
	config_finish(&c);
	config_finish(&again);
}

static void config__no_memory__enomem(void **state)
{
	struct config c;
	bool fired;

	(void)state;
	for (unsigned n = 1;; n++) {
		int rc;

		config_init(&c);
		fault_arm(n, false);
		rc = config_parse(&c, "device=ioat;device=ioat");
		if (!rc)
			rc = config_resolve(&c);
		fault_disarm(&fired);
		config_finish(&c);
		if (!fired)
			break;
		assert_int_equal(rc, -ENOMEM);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(config__wrong__einval_in_words),
		cmocka_unit_test(config__too_much__einval_in_words),
		cmocka_unit_test(config__nothing__one_ioat_behind_vtd),
		cmocka_unit_test(config__lines_or_semicolons__the_same),
		cmocka_unit_test(config__printed__reads_back),
		cmocka_unit_test(config__no_memory__enomem),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
