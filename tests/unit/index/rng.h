/* SPDX-License-Identifier: MIT */
/* Random numbers for tests that compare with a model: which seed, and how to repeat a run? */
#ifndef TESTS_UNIT_INDEX_RNG_H
#define TESTS_UNIT_INDEX_RNG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static uint64_t rng_state;

/* splitmix64 */
static inline uint64_t rng(void)
{
	uint64_t z = rng_state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* 0..n-1 */
static inline uint64_t rng_below(uint64_t n)
{
	return rng() % n;
}

/* A new seed, or that of TEST_SEED; printed, so that a failure can be repeated. */
static inline void rng_start(const char *what)
{
	const char *s = getenv("TEST_SEED");

	rng_state = s ? strtoull(s, NULL, 0) : (uint64_t)time(NULL) * 1000003;
	printf("[   seed   ] %s: TEST_SEED=%llu\n", what, (unsigned long long)rng_state);
}

#endif
