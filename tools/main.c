// SPDX-License-Identifier: MIT
/* The command: finds the verb and hands over. */
#include <stdio.h>
#include <string.h>

#include "tools/cmd.h"

static const struct verb {
	const char *name, *summary;
	int (*run)(int argc, char **argv);
} verbs[] = {
	{ "run", "run a program with a working /dev/iommu and VFIO devices", cmd_run },
	{ "list", "show the device models, the IOMMU kinds and their options", cmd_list },
	{ "pgtable", "write, walk, dump and check IO page-table images", cmd_pgtable },
};

static void usage(FILE *to)
{
	fprintf(to,
		"uiommufd " UIOMMUFD_VERSION ": Linux's iommufd and VFIO devices in user space\n\n"
		"usage: uiommufd VERB [OPTION]... [ARG]...\n\n");
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		fprintf(to, "  %-9s %s\n", verbs[i].name, verbs[i].summary);
	fprintf(to,
		"\nTry this first:\n"
		"  uiommufd run -- ls -l /dev/vfio/devices /sys/bus/pci/devices\n"
		"Each verb has --help and a manual page: man uiommufd-run, or in the source tree\n"
		"man -l build/docs/man/uiommufd-run.1\n");
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		usage(stderr);
		return 125;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		usage(stdout);
		return 0;
	}
	if (!strcmp(argv[1], "--version")) {
		printf("uiommufd %s\n", UIOMMUFD_VERSION);
		return 0;
	}
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(argv[1], verbs[i].name))
			return verbs[i].run(argc - 1, argv + 1);
	fprintf(stderr, "uiommufd: there is no verb '%s' (try: uiommufd --help)\n", argv[1]);
	return 125;
}
