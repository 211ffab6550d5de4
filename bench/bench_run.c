// SPDX-License-Identifier: MIT
/*
 * What does it cost to start a program?
 *
 *	bench_run [--json] UIOMMUFD
 *
 * Median wall time of `UIOMMUFD run -- true`, and of `true` alone.
 */
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#define ROUNDS   51
#define LIMIT_MS 30.0

extern char **environ;

static double once(char *const argv[])
{
	struct timespec a, b;
	int status;
	pid_t pid;

	clock_gettime(CLOCK_MONOTONIC, &a);
	if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) ||
	    waitpid(pid, &status, 0) != pid || status) {
		fprintf(stderr, "bench_run: %s failed\n", argv[0]);
		exit(1);
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	return (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) * 1e-6;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(char *const argv[])
{
	double v[ROUNDS];

	for (int i = 0; i < ROUNDS; i++)
		v[i] = once(argv);
	qsort(v, ROUNDS, sizeof(v[0]), by_value);
	return v[ROUNDS / 2];
}

int main(int argc, char **argv)
{
	int json = argc > 1 && !strcmp(argv[1], "--json");
	char verb[] = "run", end[] = "--", program[] = "true";
	char *run[] = { argv[1 + json], verb, end, program, NULL }, *bare[] = { program, NULL };
	double with, without;

	if (argc != 2 + json) {
		fprintf(stderr, "usage: bench_run [--json] UIOMMUFD\n");
		return 2;
	}
	with = median(run);
	without = median(bare);
	printf(json ? "{\"bench\":\"uiommufd run -- true\",\"median\":%.3f,\"unit\":\"ms\",\"limit\":%.1f,"
		      "\"ratio\":%.3f,\"bare\":%.3f}\n"
		    : "uiommufd run -- true  %.2f ms  limit %.0f  ratio %.2f  (true alone: %.2f ms)\n",
	       with, LIMIT_MS, with / LIMIT_MS, without);
	return 0;
}
