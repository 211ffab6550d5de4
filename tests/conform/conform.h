/* SPDX-License-Identifier: MIT */
/*
 * What does a conformance program need? A list of cases, checks that say what they saw, and the
 * calls as functions that return a value or -errno.
 *
 * These are plain clients: open, close, ioctl and mmap, and the ABI's own numbers. The same binary
 * runs on a real /dev/iommu and under `uiommufd run`. Each case opens what it needs; a check that
 * fails is printed and counted, and REQUIRE ends the case. Output is TAP; exit status 0, 1, or 77
 * when there is no /dev/iommu.
 */
#ifndef TESTS_CONFORM_H
#define TESTS_CONFORM_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "abi/iommufd.h"
#include "abi/vfio.h"

#define PG           4096ull
#define MIB2         0x200000ull
#define MAX          UINT64_MAX
#define FIXED        IOMMU_IOAS_MAP_FIXED_IOVA
#define RD           IOMMU_IOAS_MAP_READABLE
#define WR           IOMMU_IOAS_MAP_WRITEABLE
#define RW           (RD | WR)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

struct conform_case {
	const char *name;
	void (*fn)(void);
};

/* Of the program. */
extern const struct conform_case conform_cases[];
extern const size_t conform_ncases;

#define CONFORM(...)                                             \
	const struct conform_case conform_cases[] = __VA_ARGS__; \
	const size_t conform_ncases = ARRAY_LEN(conform_cases)
#define CASE(f)       \
	{             \
#f, f \
	}

bool conform_check(const char *file, int line, const char *expr, long long got, long long want);
void conform_skip(const char *why) __attribute__((noreturn));
void conform_end(void) __attribute__((noreturn)); /* of this case */

#define CHECK(expr, want) \
	conform_check(__FILE__, __LINE__, #expr, (long long)(expr), (long long)(want))
#define REQUIRE(expr, want)             \
	do {                            \
		if (!CHECK(expr, want)) \
			conform_end();  \
	} while (0)

/* A new context, closed when the case ends. */
int ctx_open(void);
/* 0 or more, or -errno. */
int ctx_ioctl(int fd, unsigned long cmd, void *arg);

uint32_t ioas_alloc(int fd);
int destroy(int fd, uint32_t id);
int map(int fd, uint32_t ioas, uint32_t flags, const void *va, uint64_t len, uint64_t *iova);
int map_at(int fd, uint32_t ioas, uint64_t iova, const void *va, uint64_t len);
int unmap(int fd, uint32_t ioas, uint64_t iova, uint64_t len, uint64_t *bytes);
/* Number of ranges, or -errno. */
int ranges(int fd, uint32_t ioas, struct iommu_iova_range *r, uint32_t n, uint64_t *align);

/* Private anonymous memory, 2 MiB aligned, written once; stays to the end of the program. */
char *memory(size_t len);
/* A page followed by one that is not there. */
char *edge_page(void);

/*
 * A VFIO device file, bound to @ctx; skips the case when the machine has none. Closed at its end.
 * *@id: the device's object.
 */
int device_bind(int ctx, uint32_t *id);
/* *@pt_id in and out; 0 or -errno. */
int device_attach(int dev, uint32_t *pt_id);
int device_detach(int dev);

#endif
