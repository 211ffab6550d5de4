// SPDX-License-Identifier: MIT
/* What happens when the process runs out of descriptors, addresses or mappings? */
#include "client.h"

#include <fcntl.h>
#include <sys/resource.h>

static int open_with_limit(int resource, rlim_t limit)
{
	struct rlimit rl = { limit, RLIM_INFINITY };
	struct client c;

	if (getrlimit(resource, &rl))
		return 250;
	rl.rlim_cur = limit;
	if (setrlimit(resource, &rl))
		return 251;
	return -client_try_open(&c);
}

static int few_descriptors(void *arg)
{
	if (close_range(3, ~0u, 0)) /* ours are not closed by this */
		return 252;
	return open_with_limit(RLIMIT_NOFILE, *(rlim_t *)arg);
}

#define NEEDED_MAX 16

static void nofile__too_low__emfile_with_reason(void **state)
{
	rlim_t limit;
	int rc = EMFILE;

	(void)state;
	for (limit = 3; limit <= 3 + NEEDED_MAX && rc == EMFILE; limit++) {
		listen_begin();
		rc = in_child(few_descriptors, &limit);
		if (rc)
			assert_says(listen_end(), "EMFILE: ");
		else
			listen_end();
	}
	assert_int_equal(rc, 0);
	print_message("# one context and one device take %d descriptors, 2 of them the program's\n",
		      (int)limit - 1 - 3);
}

static long status_kib(const char *key)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	long v = -1;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			v = atol(line + strlen(key));
	fclose(f);
	return v;
}

static int few_addresses(void *arg)
{
	return open_with_limit(RLIMIT_AS, *(rlim_t *)arg);
}

static void as__too_low__enomem_with_reason(void **state)
{
	rlim_t base = (rlim_t)status_kib("VmSize:") << 10, limit;

	(void)state;
	limit = base + 8 * MIB;
	listen_begin();
	assert_int_equal(in_child(few_addresses, &limit), ENOMEM);
	assert_says(listen_end(), "ENOMEM: ");
	limit = base + 512 * MIB;
	assert_int_equal(in_child(few_addresses, &limit), 0);
}

static int size_of_machine(void *arg)
{
	long before = status_kib("VmSize:"), rss = status_kib("VmRSS:");
	struct client c;

	(void)arg;
	if (client_try_open(&c))
		return 1;
	print_message("# the first open takes %ld GiB of addresses and %ld KiB of memory\n",
		      (status_kib("VmSize:") - before) >> 20, status_kib("VmRSS:") - rss);
	return 0;
}

static void open__first__takes_addresses_not_memory(void **state)
{
	(void)state;
	assert_int_equal(in_child(size_of_machine, NULL), 0);
}

/* ---- max_map_count ---- */

#define MAPS_MAX 300000

/* As many mappings as the kernel allows; returns the first of them. */
static char *use_up_mappings(size_t *n)
{
	char *p = mmap(NULL, MAPS_MAX * 2 * PAGE, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	for (*n = 0; *n < MAPS_MAX; ++*n)
		if (mprotect(p + *n * 2 * PAGE, PAGE, PROT_READ))
			return p;
	return p;
}

static void munmap__no_mapping_left__enomem_and_both_keep_their_bytes(void **state)
{
	struct client *c = *state;
	char *p = pages(9 * PAGE), *filler;
	uint64_t iova;
	size_t n;
	int rc, err;

	memset(p, 'k', 9 * PAGE);
	iova = map(c, p, 9 * PAGE);
	assert_int_equal(dma_byte(c, iova), 'k');
	filler = use_up_mappings(&n);
	if (n == MAPS_MAX) {
		munmap(filler, MAPS_MAX * 2 * PAGE);
		unmap(c, iova, 9 * PAGE);
		print_message("# vm.max_map_count is above %d\n", 2 * MAPS_MAX);
		skip();
	}
	rc = munmap(p + 4 * PAGE, PAGE); /* would split a mapping, and needs a hidden one */
	err = errno;
	munmap(filler, MAPS_MAX * 2 * PAGE);
	assert_int_equal(rc, -1);
	assert_int_equal(err, ENOMEM);
	assert_int_equal(p[4 * PAGE], 'k');
	assert_int_equal(dma_byte(c, iova + 4 * PAGE), 'k');
	assert_int_equal(dma_put(c, iova + 4 * PAGE, 'x'), 0);
	assert_int_equal(dma_byte(c, iova + 4 * PAGE), 'x');
	assert_int_equal(munmap(p + 4 * PAGE, PAGE), 0);
	assert_int_equal(dma_byte(c, iova + 4 * PAGE), 'x');
	unmap(c, iova, 9 * PAGE);
	munmap(p, 9 * PAGE);
}

/* Each page given up while the device has it is kept somewhere: a mapping more, at worst. */
static long mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	long n = 0;
	int ch;

	assert_non_null(f);
	while ((ch = getc(f)) != EOF)
		n += ch == '\n';
	fclose(f);
	return n;
}

static void munmap__of_every_second_page__at_most_three_mappings_each(void **state)
{
	struct client *c = *state;
	enum { N = 200 };
	char *p = pages(2 * N * PAGE);
	uint64_t iova;
	long before;

	memset(p, 'h', 2 * N * PAGE);
	iova = map(c, p, 2 * N * PAGE);
	assert_int_equal(dma_byte(c, iova), 'h');
	before = mappings();
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(munmap(p + 2 * i * PAGE, PAGE), 0);
	assert_in_range(mappings() - before, N - 2, 3 * N + 4);
	for (unsigned i = 0; i < 2 * N; i += 37)
		assert_int_equal(dma_byte(c, iova + i * PAGE), 'h');
	unmap(c, iova, 2 * N * PAGE);
	munmap(p, 2 * N * PAGE);
	assert_in_range(mappings(), 0, before + 8);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(nofile__too_low__emfile_with_reason),
		cmocka_unit_test(as__too_low__enomem_with_reason),
		cmocka_unit_test(open__first__takes_addresses_not_memory),
		CASE(munmap__no_mapping_left__enomem_and_both_keep_their_bytes),
		CASE(munmap__of_every_second_page__at_most_three_mappings_each),
	};

	return cmocka_run_group_tests_name("resources", tests, NULL, NULL);
}
