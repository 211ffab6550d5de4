/* SPDX-License-Identifier: MIT */
/* One row per item of an ABI header, as two translation units that cannot share a header see it. */
#ifndef TESTS_ABI_TABLE_H
#define TESTS_ABI_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct abi_item {
	const char *name;
	const char *text; /* a string constant, else NULL */
	uint64_t value;   /* of a constant its low 32 bits; size of a struct; offset of a field */
	uint64_t width;   /* alignment of a struct; size of a field, 0 for a flexible array */
	const char *kind; /* "constant", "struct", "field" ... */
};

struct abi_table {
	const char *header;
	const struct abi_item *items; /* ends with a NULL name */
};

enum { ABI_IOMMUFD, ABI_VFIO, ABI_PCI, ABI_NHEADERS };

/* Everything our headers declare; from abi_ours.c. */
extern const struct abi_table abi_ours[ABI_NHEADERS];
/* What the Linux headers declare of it; from abi_linux.c. */
extern const struct abi_table abi_linux[ABI_NHEADERS];
/* What only the Linux headers declare: NULL-terminated names. */
extern const char *const *const abi_unknown[ABI_NHEADERS];
/* The version the Linux headers carry, as (major << 16) + (minor << 8) + patch. */
extern const unsigned abi_linux_version;

/* Low 32 bits: Linux writes some unsigned words as (1 << 31) or -1. */
#define LIST_CONST(n)  { #n, NULL, (uint32_t)(n), 4, "constant" },
#define LIST_STRING(n) { #n, n, 0, 0, "string" },
#define LIST_STRUCT(t) { "struct " #t, NULL, sizeof(struct t), _Alignof(struct t), "struct" },
#define LIST_FIELD(t, f) \
	{ #t "." #f, NULL, offsetof(struct t, f), sizeof(((struct t *)NULL)->f), "field" },
#define LIST_TAIL(t, f) { #t "." #f, NULL, offsetof(struct t, f), 0, "array" },
#define LIST_UNKNOWN(n) n,

#endif
