// SPDX-License-Identifier: MIT
/* What do the options of `uiommufd pgtable` mean? */
#include "pgtable_opts.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"

static const char help_common[] =
	"\n"
	"The table:\n"
	"  --format NAME    see `uiommufd pgtable --help`\n"
	"  --levels N       levels of tables; default: the format's usual number\n"
	"  --granule SIZE   4k, 16k or 64k, where the format has a choice\n"
	"  --page-shift N   the same for formats with one page size of 2^N bytes\n"
	"  --base PA        physical address of the first byte of the file (hexadecimal with 0x)\n";

static const char help_look[] =
	"  --root PA        address of the root table; default: the base\n"
	"  --image FILE     the table memory, as `pgtable image` writes it\n";

enum {
	O_FORMAT = 1,
	O_LEVELS,
	O_GRANULE,
	O_SHIFT,
	O_BASE,
	O_ROOT,
	O_SCRIPT,
	O_OUT,
	O_IMAGE,
	O_HELP
};

static const struct option long_options[] = {
	{ "format", required_argument, NULL, O_FORMAT },
	{ "levels", required_argument, NULL, O_LEVELS },
	{ "granule", required_argument, NULL, O_GRANULE },
	{ "page-shift", required_argument, NULL, O_SHIFT },
	{ "base", required_argument, NULL, O_BASE },
	{ "root", required_argument, NULL, O_ROOT },
	{ "script", required_argument, NULL, O_SCRIPT },
	{ "out", required_argument, NULL, O_OUT },
	{ "image", required_argument, NULL, O_IMAGE },
	{ "help", no_argument, NULL, O_HELP },
	{ NULL, 0, NULL, 0 },
};

bool opts_number(const char *s, uint64_t *n)
{
	char *end;

	errno = 0;
	*n = strtoull(s, &end, 0);
	return !errno && end != s && *s != '-' && !*end;
}

static bool granule(const char *s, uint64_t *lg2)
{
	static const struct {
		const char *name;
		unsigned lg2;
	} sizes[] = { { "4k", 12 }, { "16k", 14 }, { "64k", 16 } };

	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		if (!strcmp(s, sizes[i].name)) {
			*lg2 = sizes[i].lg2;
			return true;
		}
	}
	return false;
}

int opts_usage(const char *what, const char *value)
{
	fprintf(stderr, "uiommufd pgtable: %s%s%s%s; try --help\n", what, value ? " \"" : "",
		value ? value : "", value ? "\"" : "");
	return EXIT_USAGE;
}

static int parse_option(struct opts *o, int opt)
{
	switch (opt) {
	case O_FORMAT:
		o->format = optarg;
		return 0;
	case O_LEVELS:
		return opts_number(optarg, &o->levels) && o->levels && o->levels < 100
			       ? 0
			       : opts_usage("not a number of levels:", optarg);
	case O_GRANULE:
		return granule(optarg, &o->granule) ? 0 : opts_usage("not a granule:", optarg);
	case O_SHIFT:
		return opts_number(optarg, &o->granule) && o->granule && o->granule < 64
			       ? 0
			       : opts_usage("not a page shift:", optarg);
	case O_BASE:
		o->has_base = true;
		return opts_number(optarg, &o->base) && !(o->base & 4095)
			       ? 0
			       : opts_usage("not an address of a 4 KiB page:", optarg);
	case O_ROOT:
		o->has_root = true;
		return opts_number(optarg, &o->root) ? 0 : opts_usage("not an address:", optarg);
	case O_SCRIPT:
		o->script = optarg;
		return 0;
	case O_OUT:
		o->out = optarg;
		return 0;
	case O_IMAGE:
		o->image = optarg;
		return 0;
	case O_HELP:
		o->help = true;
		return 0;
	}
	return EXIT_USAGE; /* getopt has said what is wrong */
}

int opts_parse(struct opts *o, int argc, char **argv)
{
	int opt, rc = 0;

	*o = (struct opts){ 0 };
	optind = 0;
	while (!rc && !o->help && (opt = getopt_long(argc, argv, "h", long_options, NULL)) != -1)
		rc = parse_option(o, opt == 'h' ? O_HELP : opt);
	if (rc || o->help)
		return rc;
	if (!o->format)
		return opts_usage("--format is needed", NULL);
	if (!o->has_base)
		return opts_usage("--base is needed", NULL);
	if (!o->has_root)
		o->root = o->base;
	return 0;
}

int opts_help(const char *text, const char *end, bool look)
{
	fputs(text, stdout);
	fputs(help_common, stdout);
	if (look)
		fputs(help_look, stdout);
	fputs(end, stdout);
	return 0;
}

struct pt_config opts_config(const struct opts *o, struct image *im)
{
	return (struct pt_config){ .format = o->format,
				   .levels = (unsigned)o->levels,
				   .granule_lg2 = (unsigned)o->granule,
				   .root = o->root,
				   .ops = &image_ops,
				   .ops_arg = im };
}
