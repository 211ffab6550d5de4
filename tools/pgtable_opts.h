/* SPDX-License-Identifier: MIT */
/* The options that the verbs of `uiommufd pgtable` have in common. */
#ifndef TOOLS_PGTABLE_OPTS_H
#define TOOLS_PGTABLE_OPTS_H

#include <stdbool.h>
#include <stdint.h>

#include "pgtable_image.h"

enum { EXIT_NO = 1, EXIT_USAGE = 2 };

struct opts {
	const char *format, *script, *out, *image;
	uint64_t base, root, levels, granule;
	bool has_base, has_root, help;
};

/* 0, or the exit status: the complaint is printed. With o->help set nothing else counts. */
int opts_parse(struct opts *o, int argc, char **argv);

/* A number as C has it, in all of @s. */
bool opts_number(const char *s, uint64_t *n);

/* Prints a complaint (and @value in quotes, unless NULL); returns EXIT_USAGE. */
int opts_usage(const char *what, const char *value);

/* Prints @text, the common options (@look: those for an existing image too) and @end; returns 0. */
int opts_help(const char *text, const char *end, bool look);

struct pt_config opts_config(const struct opts *o, struct image *im);

#endif
