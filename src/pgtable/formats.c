// SPDX-License-Identifier: MIT
/* Which page-table formats are there, by name? */
#include "pgtable/formats.h"

#include <string.h>

extern const struct pt_format pt_format_vtdss;

static const struct pt_format *const formats[] = {
	&pt_format_vtdss,
};

const struct pt_format *pt_format_at(unsigned i)
{
	return i < ARRAY_LEN(formats) ? formats[i] : NULL;
}

const struct pt_format *pt_format_find(const char *name)
{
	for (unsigned i = 0; i < ARRAY_LEN(formats); i++) {
		if (!strcmp(formats[i]->name, name))
			return formats[i];
	}
	return NULL;
}
