// SPDX-License-Identifier: MIT
/*
 * Random calls against a model that knows nothing of trees, tiers or batches: flat lists of areas
 * and pins, and for each page of each pages object whether anybody holds it.
 *
 * After each call: the same answer, the same addresses, as many pages pinned as are held.
 */
#include "access_kit.h"

#include <sys/mman.h>
#include <unistd.h>

#define IOASES   2u
#define HOLDERS  3u
#define AREAS    48u
#define OBJECTS  (IOASES * AREAS)
#define OBJ_MAX  40u /* pages */
#define MEMORY   64u
#define SPAN     120u /* pages of IOVA in use */
#define STEPS    15000u
#define NOWHERE  IOASES
#define PIN_MOST 24u

struct model_area {
	uint64_t iova, pages; /* in pages */
	unsigned obj;         /* pages object */
	uint64_t idx, first;  /* page 0 of the area: in the object; in the memory */
	uint32_t flags;
};

struct model {
	struct kit *k;
	uint32_t ioas[IOASES];
	struct model_area area[IOASES][AREAS];
	unsigned n[IOASES];
	struct kit_dev *dev;
	unsigned dev_at;
	struct holder h[HOLDERS]; /* with their pins, which the callbacks drop */
	unsigned at[HOLDERS];
	char *mem;
	uint64_t pa[MEMORY];
	unsigned copies;
};

static uint64_t seed;

static uint64_t rnd(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

/* Half of it scattered in output memory; pinned throughout, so that its addresses are known. */
static void make_memory(struct model *m, struct holder *base)
{
	int fd = memfd_create("model", 0);
	uint32_t ioas = kit_ioas(m->k);

	m->mem = kit_buf(m->k, MEMORY * P, P);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, MEMORY * P), 0);
	for (uint64_t i = 0; i < MEMORY / 2; i++) {
		assert_ptr_not_equal(mmap(m->mem + i * P, P, PROT_READ | PROT_WRITE,
					  MAP_SHARED | MAP_FIXED, fd, (off_t)((i ^ 1) * P)),
				     MAP_FAILED);
		memset(m->mem + i * P, (int)(1 + i % 250), P);
	}
	close(fd);
	expect_rc(kit_map_at(m->k, ioas, P, m->mem, MEMORY * P), 0);
	holder_make(m->k, base, &pin_ops, ioas);
	expect_rc(iommufd_access_pin_pages(base->a, P, MEMORY * P, m->pa, PIN_WR), 0);
	base->pin[0].iova = P;
	base->pin[0].length = MEMORY * P;
	base->npins = 1;
}

static const struct model_area *find(const struct model *m, unsigned io, uint64_t page)
{
	for (unsigned i = 0; i < m->n[io]; i++) {
		const struct model_area *a = &m->area[io][i];

		if (page >= a->iova && page < a->iova + a->pages)
			return a;
	}
	return NULL;
}

static bool obj_used(const struct model *m, unsigned obj)
{
	for (unsigned io = 0; io < IOASES; io++)
		for (unsigned i = 0; i < m->n[io]; i++)
			if (m->area[io][i].obj == obj)
				return true;
	return false;
}

static void step_map(struct model *m)
{
	unsigned io = (unsigned)rnd(IOASES);
	struct model_area a = { .iova = 1 + rnd(SPAN),
				.pages = 1 + rnd(rnd(4) ? 6 : OBJ_MAX),
				.flags = rnd(3)   ? RW
					 : rnd(2) ? RD
						  : WR };
	uint64_t iova = a.iova * P;
	int want = 0;

	if (m->n[io] == AREAS)
		return;
	a.first = rnd(MEMORY - a.pages + 1);
	while (obj_used(m, a.obj))
		a.obj++;
	for (uint64_t i = 0; i < a.pages; i++)
		if (find(m, io, a.iova + i))
			want = -EEXIST;
	assert_int_equal(kit_map(m->k, m->ioas[io], FIXED | a.flags, m->mem + a.first * P,
				 a.pages * P, &iova),
			 want);
	if (!want)
		m->area[io][m->n[io]++] = a;
}

/* A slice of one area to the other IOAS. */
static void step_copy(struct model *m)
{
	unsigned io = (unsigned)rnd(IOASES), to = !io;
	struct model_area a;
	uint64_t skip;
	int want = 0;

	if (!m->n[io] || m->n[to] == AREAS)
		return;
	a = m->area[io][rnd(m->n[io])];
	skip = rnd(a.pages);
	a.iova += skip;
	a.idx += skip;
	a.first += skip;
	a.pages = 1 + rnd(a.pages - skip);
	if (!(a.flags & WR))
		return; /* its pages are not writable */
	a.flags = RW;
	skip = a.iova;
	a.iova = 1 + rnd(SPAN);
	for (uint64_t i = 0; i < a.pages; i++)
		if (find(m, to, a.iova + i))
			want = -EEXIST;
	assert_int_equal(
		kit_copy(m->k, m->ioas[to], a.iova * P, m->ioas[io], skip * P, a.pages * P), want);
	if (want)
		return;
	m->area[to][m->n[to]++] = a;
	m->copies++;
}

static void step_unmap(struct model *m)
{
	unsigned io = (unsigned)rnd(IOASES);
	uint64_t start = rnd(SPAN), len = 1 + rnd(rnd(2) ? 8 : 60), bytes = 0, want = 0;
	uint64_t stop = UINT64_MAX; /* lowest area that sticks out */
	int rc;

	if (rnd(2) && m->n[io]) {
		const struct model_area *a = &m->area[io][rnd(m->n[io])];

		start = a->iova;
		len = a->pages;
	}
	for (unsigned i = 0; i < m->n[io]; i++) {
		const struct model_area *a = &m->area[io][i];
		bool meets = a->iova < start + len && a->iova + a->pages > start;
		bool inside = a->iova >= start && a->iova + a->pages <= start + len;

		if (meets && !inside)
			stop = min_u64(stop, a->iova);
	}
	rc = kit_unmap(m->k, m->ioas[io], start * P, len * P, &bytes);
	for (unsigned i = 0; i < m->n[io];) {
		struct model_area *a = &m->area[io][i];

		if (a->iova >= start && a->iova + a->pages <= start + len && a->iova < stop) {
			want += a->pages * P;
			*a = m->area[io][--m->n[io]];
		} else {
			i++;
		}
	}
	assert_int_equal(rc, stop != UINT64_MAX || !want ? -ENOENT : 0);
	if (!rc)
		assert_int_equal(bytes, want);
}

/* What a pin of [page, page + n) answers. */
static int expect_pin(const struct model *m, unsigned io, uint64_t page, uint64_t n, bool write)
{
	if (io == NOWHERE)
		return -ENOENT;
	for (uint64_t i = 0; i < n; i++) {
		const struct model_area *a = find(m, io, page + i);

		if (!a)
			return -ENOENT;
		if (!(a->flags & (write ? WR : RD)))
			return -EPERM;
	}
	return 0;
}

static void step_pin(struct model *m)
{
	unsigned who = (unsigned)rnd(HOLDERS), io = m->at[who];
	uint64_t page = 1 + rnd(SPAN), n = 1 + rnd(rnd(3) ? 4 : PIN_MOST);
	bool write = rnd(2);
	struct holder *h = &m->h[who];

	if (h->npins == HOLD_PINS)
		return;
	if (io != NOWHERE && rnd(4) && m->n[io]) {
		const struct model_area *a = &m->area[io][rnd(m->n[io])];

		page = a->iova;
		n = min_u64(a->pages, PIN_MOST);
	} else if (h->npins && rnd(2)) {
		page = h->pin[0].iova / P;
		n = (h->pin[0].length + P - 1) / P;
	}
	expect_rc(holder_pin(h, page * P, n * P - rnd(2), write ? PIN_WR : PIN_RD),
		  expect_pin(m, io, page, n, write));
	if (expect_pin(m, io, page, n, write))
		return;
	for (uint64_t i = 0; i < n; i++) {
		const struct model_area *a = find(m, io, page + i);

		assert_int_equal(h->pa[i], m->pa[a->first + page + i - a->iova]);
	}
}

static void step_unpin(struct model *m)
{
	struct holder *h = &m->h[rnd(HOLDERS)];
	unsigned i;

	if (!h->npins)
		return;
	i = (unsigned)rnd(h->npins);
	holder_unpin(h, h->pin[i].iova, h->pin[i].length);
}

static void step_rw(struct model *m)
{
	unsigned who = (unsigned)rnd(HOLDERS);
	uint64_t page = 1 + rnd(SPAN), n = 1 + rnd(3);
	unsigned flags = rnd(2) ? IOMMUFD_ACCESS_SLOW : 0;
	char buf[3 * P];
	int want = expect_pin(m, m->at[who], page, n, false);

	expect_rc(iommufd_access_rw(m->h[who].a, page * P, buf, n * P, flags), want);
	for (uint64_t i = 0; !want && i < n; i++) {
		const struct model_area *a = find(m, m->at[who], page + i);

		assert_memory_equal(buf + i * P, m->mem + (a->first + page + i - a->iova) * P, P);
	}
}

static void step_move(struct model *m)
{
	unsigned who = (unsigned)rnd(HOLDERS), to = (unsigned)rnd(IOASES + 1);
	struct holder *h = &m->h[who];

	if (to == NOWHERE) {
		iommufd_access_detach(h->a);
	} else if (m->at[who] == NOWHERE) {
		expect_rc(iommufd_access_replace(h->a, m->ioas[to]), -ENOENT);
		expect_rc(iommufd_access_attach(h->a, m->ioas[to]), 0);
	} else {
		expect_rc(iommufd_access_attach(h->a, m->ioas[to]), -EINVAL);
		expect_rc(iommufd_access_replace(h->a, m->ioas[to]), 0);
	}
	if (to != m->at[who])
		assert_int_equal(h->npins, 0);
	m->at[who] = to;
}

static void step_device(struct model *m)
{
	unsigned to = (unsigned)rnd(IOASES + 1);

	kit_detach(m->dev);
	if (to != NOWHERE)
		kit_attach(m->dev, m->ioas[to]);
	m->dev_at = to;
}

static void expect_pins(struct model *m)
{
	static bool held[OBJECTS][OBJ_MAX];
	uint64_t pages = MEMORY;

	memset(held, 0, sizeof(held));
	for (unsigned i = 0; m->dev_at != NOWHERE && i < m->n[m->dev_at]; i++) {
		const struct model_area *a = &m->area[m->dev_at][i];

		for (uint64_t p = 0; p < a->pages; p++)
			held[a->obj][a->idx + p] = true;
	}
	for (unsigned w = 0; w < HOLDERS; w++) {
		for (unsigned i = 0; i < m->h[w].npins; i++) {
			uint64_t at = m->h[w].pin[i].iova / P;
			uint64_t end = at + (m->h[w].pin[i].length + P - 1) / P;

			for (; at < end; at++) {
				const struct model_area *a = find(m, m->at[w], at);

				assert_non_null(a);
				held[a->obj][a->idx + at - a->iova] = true;
			}
		}
	}
	for (unsigned o = 0; o < OBJECTS; o++)
		for (unsigned p = 0; p < OBJ_MAX; p++)
			pages += held[o][p];
	assert_int_equal(account_pinned() - m->k->pinned, pages);
}

static void expect_dma(struct model *m)
{
	for (unsigned i = 0; i < 4; i++) {
		uint64_t page = rnd(SPAN + 8);
		const struct model_area *a = m->dev_at == NOWHERE ? NULL : find(m, m->dev_at, page);
		unsigned char c = 0;

		expect_rc(kit_dma_read(m->dev, page * P + rnd(P), &c),
			  a && (a->flags & RD) ? 0 : -EFAULT);
		if (a && (a->flags & RD))
			assert_int_equal(c, 1 + (a->first + page - a->iova) % 250);
	}
}

static void step(struct model *m)
{
	unsigned what = (unsigned)rnd(40);

	if (what < 1)
		step_device(m);
	else if (what < 2)
		step_move(m);
	else if (what < 11)
		step_map(m);
	else if (what < 14)
		step_copy(m);
	else if (what < 21)
		step_unmap(m);
	else if (what < 29)
		step_pin(m);
	else if (what < 36)
		step_unpin(m);
	else
		step_rw(m);
}

static void run_model(struct kit *k, unsigned batch_max)
{
	struct model *m = mem_zalloc(sizeof(*m));
	struct holder base;

	assert_non_null(m);
	m->k = k;
	k->ctx->batch_max = batch_max;
	seed = 88172645463325252ull + batch_max;
	make_memory(m, &base);
	m->dev = kit_device(k, -1);
	kit_bind(k, m->dev);
	m->dev_at = NOWHERE;
	for (unsigned io = 0; io < IOASES; io++)
		m->ioas[io] = kit_ioas(k);
	for (unsigned w = 0; w < HOLDERS; w++) {
		m->at[w] = w % IOASES;
		holder_make(k, &m->h[w], &pin_ops, m->ioas[m->at[w]]);
	}
	for (unsigned i = 0; i < STEPS; i++) {
		step(m);
		expect_dma(m);
		expect_pins(m);
		if (i % 200 == 0)
			iommufd_ctx_check(k->ctx);
	}
	iommufd_ctx_check(k->ctx);
	assert_true(m->copies > 100);
	for (unsigned w = 0; w < HOLDERS; w++)
		iommufd_access_destroy(m->h[w].a);
	iommufd_access_destroy(base.a);
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
