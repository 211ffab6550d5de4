/* SPDX-License-Identifier: MIT */
/* How the ABI headers pin their layouts: size, offset and width checks for C and C++. */
#ifndef ABI_LAYOUT_H
#define ABI_LAYOUT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/* The whole struct, padding included. */
#define ABI_SIZE(tag, size) \
	static_assert(sizeof(struct tag) == (size), "struct " #tag " has not its ABI size")

/* One field: its offset and its width in bytes. */
#define ABI_FIELD(tag, field, off, width)                                  \
	static_assert(offsetof(struct tag, field) == (off) &&              \
			      sizeof(((struct tag *)0)->field) == (width), \
		      "struct " #tag "." #field " is not where the ABI has it")

/* A flexible array: its offset only. */
#define ABI_TAIL(tag, field, off)                           \
	static_assert(offsetof(struct tag, field) == (off), \
		      "struct " #tag "." #field " is not where the ABI has it")

#endif
