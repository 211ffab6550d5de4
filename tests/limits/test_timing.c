// SPDX-License-Identifier: MIT
/* What does DMA do that meets an unmap, a detach or a close on its way? */
#include "client.h"

#define LEN    (1 * MIB)
#define ROUNDS 60

/* Different moments of the transfer: some rounds end with data, some with a fault. */
static void linger(unsigned round)
{
	if (round % 3)
		usleep(round % 3 == 1 ? round : 4 * round);
}

static void unmap__under_dma__nothing_after_it_returned(void **state)
{
	struct client *c = *state;
	unsigned done = 0, faults = 0;
	char *p = pages(LEN);

	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t iova = map(c, p, LEN);
		uint32_t err;

		dma_fill_start(c, iova, 'd', LEN);
		linger(round);
		unmap(c, iova, LEN);
		memset(p, 'c', LEN); /* ours again */
		err = dma_wait(c);
		assert_true(!err || err == ERR_WRITE);
		err ? faults++ : done++;
		for (size_t i = 0; i < LEN; i += 64)
			if (p[i] != 'c')
				fail_msg("round %u: byte %zu is '%c'", round, i, p[i]);
	}
	print_message("# %u transfers ended with a fault, %u were done before\n", faults, done);
	munmap(p, LEN);
}

static void munmap__under_dma__goes_on_in_hidden_memory(void **state)
{
	struct client *c = *state;

	for (unsigned round = 0; round < ROUNDS / 2; round++) {
		char *p = pages(LEN), last;
		uint64_t iova = map(c, p, LEN);

		dma_fill_start(c, iova, 'd', LEN);
		linger(round);
		assert_int_equal(munmap(p, LEN), 0);
		assert_int_equal(dma_wait(c), 0);
		assert_int_equal(dma_read(c, iova + LEN - 1, &last, 1), 0);
		assert_int_equal(last, 'd');
		unmap(c, iova, LEN);
	}
}

/* A transfer that ends in a fault has moved what comes before, as hardware has. */
static void dma__end_not_mapped__start_is_written(void **state)
{
	struct client *c = *state;
	char *p = pages(64 * PAGE);
	uint64_t iova = map(c, p, 64 * PAGE);

	unmap(c, iova, 64 * PAGE);
	iova = map(c, p, 32 * PAGE);
	dma_fill_start(c, iova, 'd', 64 * PAGE);
	assert_int_equal(dma_wait(c), ERR_WRITE);
	assert_int_equal(p[0], 'd');
	assert_int_equal(p[32 * PAGE - 1], 'd');
	assert_int_equal(p[32 * PAGE], 0);
	unmap(c, iova, 32 * PAGE);
	munmap(p, 64 * PAGE);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(unmap__under_dma__nothing_after_it_returned),
		CASE(munmap__under_dma__goes_on_in_hidden_memory),
		CASE(dma__end_not_mapped__start_is_written),
	};

	return cmocka_run_group_tests_name("timing", tests, NULL, NULL);
}
