// SPDX-License-Identifier: MIT
/*
 * Random calls against a model that knows nothing of trees, tiers or batches: per IOAS a flat list
 * of areas, per device the IOAS it is attached to.
 *
 * After each call: the same answer, the same pins and charges, every device reads at random IOVA
 * what the model says stands there, or faults.
 */
#include "kit.h"

#include <sys/mman.h>
#include <unistd.h>

#define P       PAGE_SIZE
#define IOASES  2u
#define DEVICES 3u
#define AREAS   64u
#define MEMORY  96u  /* pages */
#define SPAN    200u /* pages of IOVA in use */
#define STEPS   20000u
#define NOWHERE IOASES

struct model_area {
	uint64_t iova, pages, first; /* in pages; index of the memory */
	uint32_t flags;
};

struct model {
	struct kit *k;
	struct {
		uint32_t id;
		struct model_area area[AREAS];
		unsigned n;
	} io[IOASES];
	struct kit_dev *dev[DEVICES];
	unsigned at[DEVICES]; /* IOAS, or NOWHERE */
	char *mem;
};

static uint64_t seed;

static uint64_t rnd(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

/* Half of it scattered in output memory, half consecutive; page i holds bytes 1 + i % 250. */
static char *make_memory(struct kit *k)
{
	int fd = memfd_create("model", 0);
	char *p = kit_buf(k, MEMORY * P, P);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, MEMORY * P), 0);
	for (uint64_t i = 0; i < MEMORY / 2; i++) {
		uint64_t at = i ^ 1; /* neighbours change places */

		assert_ptr_not_equal(mmap(p + i * P, P, PROT_READ | PROT_WRITE,
					  MAP_SHARED | MAP_FIXED, fd, (off_t)(at * P)),
				     MAP_FAILED);
		memset(p + i * P, (int)(1 + i % 250), P);
	}
	close(fd);
	return p;
}

static bool any_device(const struct model *m, unsigned io)
{
	for (unsigned d = 0; d < DEVICES; d++)
		if (m->at[d] == io)
			return true;
	return false;
}

static const struct model_area *find(const struct model *m, unsigned io, uint64_t page)
{
	for (unsigned i = 0; i < m->io[io].n; i++) {
		const struct model_area *a = &m->io[io].area[i];

		if (page >= a->iova && page < a->iova + a->pages)
			return a;
	}
	return NULL;
}

static void step_map(struct model *m)
{
	unsigned io = (unsigned)rnd(IOASES);
	struct model_area a = { .iova = 1 + rnd(SPAN), .pages = 1 + rnd(rnd(4) ? 6 : 40) };
	uint64_t iova;
	int want = 0, rc;

	if (m->io[io].n == AREAS)
		return;
	a.first = rnd(MEMORY - a.pages + 1);
	a.flags = rnd(3) ? RW : rnd(2) ? RD : WR;
	for (uint64_t i = 0; i < a.pages; i++)
		if (find(m, io, a.iova + i))
			want = -EEXIST;
	iova = a.iova * P;
	rc = kit_map(m->k, m->io[io].id, FIXED | a.flags, m->mem + a.first * P, a.pages * P, &iova);
	assert_int_equal(rc, want);
	if (!rc)
		m->io[io].area[m->io[io].n++] = a;
}

static void step_unmap(struct model *m)
{
	unsigned io = (unsigned)rnd(IOASES);
	uint64_t start = rnd(SPAN), len = 1 + rnd(rnd(2) ? 8 : 60), bytes = 0, want = 0;
	uint64_t stop = UINT64_MAX; /* lowest area that sticks out */
	int rc;

	if (rnd(2) && m->io[io].n) {
		const struct model_area *a = &m->io[io].area[rnd(m->io[io].n)];

		start = a->iova;
		len = a->pages;
	}
	for (unsigned i = 0; i < m->io[io].n; i++) {
		const struct model_area *a = &m->io[io].area[i];
		bool meets = a->iova < start + len && a->iova + a->pages > start;
		bool inside = a->iova >= start && a->iova + a->pages <= start + len;

		if (meets && !inside)
			stop = min_u64(stop, a->iova);
	}
	rc = kit_unmap(m->k, m->io[io].id, start * P, len * P, &bytes);
	for (unsigned i = 0; i < m->io[io].n;) {
		struct model_area *a = &m->io[io].area[i];

		if (a->iova >= start && a->iova + a->pages <= start + len && a->iova < stop) {
			want += a->pages * P;
			*a = m->io[io].area[--m->io[io].n];
		} else {
			i++;
		}
	}
	if (stop != UINT64_MAX || !want) {
		assert_int_equal(rc, -ENOENT);
	} else {
		assert_int_equal(rc, 0);
		assert_int_equal(bytes, want);
	}
}

static void step_device(struct model *m)
{
	unsigned d = (unsigned)rnd(DEVICES), to = (unsigned)rnd(IOASES + 1);
	uint32_t id;

	if (to == NOWHERE) {
		kit_detach(m->dev[d]);
	} else if (m->at[d] == NOWHERE) {
		kit_attach(m->dev[d], m->io[to].id);
	} else {
		id = m->io[to].id;
		expect_rc(iommufd_device_attach(m->dev[d]->idev, &id), -EBUSY);
		expect_rc(iommufd_device_replace(m->dev[d]->idev, &id), 0);
	}
	m->at[d] = to;
}

static void expect_dma(struct model *m)
{
	for (unsigned i = 0; i < 12; i++) {
		unsigned d = (unsigned)rnd(DEVICES);
		uint64_t page = rnd(SPAN + 8), iova = page * P + rnd(P);
		const struct model_area *a = m->at[d] == NOWHERE ? NULL : find(m, m->at[d], page);
		unsigned char c = 0, stamp = 0;

		if (a)
			stamp = (unsigned char)(1 + (a->first + page - a->iova) % 250);
		expect_rc(kit_dma_read(m->dev[d], iova, &c), a && (a->flags & RD) ? 0 : -EFAULT);
		if (a && (a->flags & RD))
			assert_int_equal(c, stamp);
		if (a)
			expect_rc(kit_dma_write(m->dev[d], iova, stamp),
				  a->flags & WR ? 0 : -EFAULT);
	}
}

static void expect_pins(struct model *m)
{
	uint64_t pages = 0;

	for (unsigned io = 0; io < IOASES; io++) {
		assert_int_equal(kit_areas(m->k, m->io[io].id), m->io[io].n);
		for (unsigned i = 0; any_device(m, io) && i < m->io[io].n; i++)
			pages += m->io[io].area[i].pages;
	}
	assert_int_equal(account_pinned() - m->k->pinned, pages);
}

static void run_model(struct kit *k, unsigned batch_max)
{
	struct model *m = mem_zalloc(sizeof(*m));

	assert_non_null(m);
	m->k = k;
	k->ctx->batch_max = batch_max;
	seed = 88172645463325252ull + batch_max;
	m->mem = make_memory(k);
	for (unsigned io = 0; io < IOASES; io++)
		m->io[io].id = kit_ioas(k);
	for (unsigned d = 0; d < DEVICES; d++) {
		m->dev[d] = d == 2 ? kit_device2(k) : kit_device(k, -1);
		kit_bind(k, m->dev[d]);
		m->at[d] = NOWHERE;
	}
	for (unsigned i = 0; i < STEPS; i++) {
		unsigned what = (unsigned)rnd(20);

		if (what == 0)
			step_device(m);
		else if (what < 11)
			step_map(m);
		else
			step_unmap(m);
		expect_dma(m);
		expect_pins(m);
		if (i % 200 == 0)
			iommufd_ctx_check(k->ctx);
	}
	iommufd_ctx_check(k->ctx);
	physmap_check(k->m->pm);
	mem_free(m);
}

static void random_calls__usual_batches__as_the_model(void **state)
{
	run_model(*state, 64);
}

static void random_calls__batches_of_one_run__as_the_model(void **state)
{
	run_model(*state, 1);
}

static void random_calls__batches_of_three_runs__as_the_model(void **state)
{
	run_model(*state, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(random_calls__usual_batches__as_the_model),
		KIT_TEST(random_calls__batches_of_one_run__as_the_model),
		KIT_TEST(random_calls__batches_of_three_runs__as_the_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
