// SPDX-License-Identifier: MIT
/* Is what a device writes told of, once, and nothing else? */
#include <errno.h>
#include <stdlib.h>

#include "abi/iommufd.h"
#include "iommu/iotlb.h"
#include "iommu_kit.h"
#include "mem/fence.h"

#define RW   (IOMMU_READ | IOMMU_WRITE)
#define NP   0u /* no PASID */
#define BASE 0x100000ull
#define N    96u

static int setup_tracking(void **state)
{
	int rc = kit_setup_as(state, "vtd", IOMMU_HWPT_ALLOC_DIRTY_TRACKING);
	struct kit *k = *state;

	return rc ? rc : iommu_domain_set_dirty_tracking(k->dom, true);
}

static int setup_capable(void **state)
{
	return kit_setup_as(state, "vtd", IOMMU_HWPT_ALLOC_DIRTY_TRACKING);
}

static int setup_nest_parent(void **state)
{
	return kit_setup_as(state, "vtd", IOMMU_HWPT_ALLOC_NEST_PARENT);
}

/* One bool for each page of [BASE, BASE + N pages). */
struct report {
	bool page[N];
	unsigned calls;
	uint64_t last;
};

static void record(void *arg, uint64_t first, uint64_t last)
{
	struct report *r = arg;

	assert_true(!r->calls || first > r->last + 1);
	assert_true(first >= BASE && last < BASE + N * PAGE_SIZE && last > first);
	r->calls++;
	r->last = last;
	for (uint64_t i = (first - BASE) >> PAGE_LG2; i <= (last - BASE) >> PAGE_LG2; i++)
		r->page[i] = true;
}

static struct report dirty_read(struct kit *k, unsigned flags)
{
	struct report r = { .calls = 0 };

	assert_int_equal(iommu_domain_read_dirty(k->dom, BASE, N * PAGE_SIZE, flags, record, &r),
			 0);
	return r;
}

/* The report has pages [first, first + n) and no other; 0: none. */
static void expect_pages(const struct report *r, unsigned first, unsigned n)
{
	for (unsigned i = 0; i < N; i++)
		if (r->page[i] != (i >= first && i < first + n))
			fail_msg("page %u is%s told of", i, r->page[i] ? "" : " not");
	assert_int_equal(r->calls, n != 0);
}

#define expect_read(k, flags, first, n)                  \
	do {                                             \
		struct report r_ = dirty_read(k, flags); \
		expect_pages(&r_, first, n);             \
	} while (0)

static char *map_pages(struct kit *k, unsigned prot)
{
	char *p = kit_buf(k, N * PAGE_SIZE, PAGE_SIZE);

	kit_map_in(k, k->dom, BASE, p, N * PAGE_SIZE, prot, true);
	return p;
}

static uint64_t entry_at(struct kit *k, uint64_t iova)
{
	struct pt_walk_result r;

	assert_int_equal(pt_walk(&k->dom->pt, iova, &r), 0);
	return r.entry;
}

static void dma__each_kind_of_write__its_pages(void **state)
{
	struct kit *k = *state;
	static char buf[10 * 4096];
	uint64_t v;

	map_pages(k, RW);
	assert_int_equal(iommu_dma_write(&k->dev, NP, BASE + 5, buf, 1, NULL), 0);
	expect_read(k, 0, 0, 1);
	assert_int_equal(
		iommu_dma_write(&k->dev, NP, BASE + 2 * PAGE_SIZE - 1, buf, PAGE_SIZE + 2, NULL),
		0);
	expect_read(k, 0, 1, 3);
	assert_int_equal(
		iommu_dma_write(&k->dev, NP, BASE + 20 * PAGE_SIZE, buf, sizeof(buf), NULL), 0);
	expect_read(k, 0, 20, 10);
	assert_int_equal(iommu_dma_store(&k->dev, NP, BASE + 7 * PAGE_SIZE - 8, 1, 8), 0);
	expect_read(k, 0, 6, 1);
	assert_int_equal(iommu_dma_fill(&k->dev, NP, BASE + 30 * PAGE_SIZE - 4, 1, 8, NULL), 0);
	expect_read(k, 0, 29, 2);
	assert_int_equal(iommu_dma_copy(&k->dev, NP, BASE + 40 * PAGE_SIZE, BASE + 60 * PAGE_SIZE,
					20 * PAGE_SIZE, NULL),
			 0);
	expect_read(k, 0, 40, 20);
	assert_int_equal(iommu_dma_read(&k->dev, NP, BASE, buf, sizeof(buf), NULL), 0);
	assert_int_equal(iommu_dma_load(&k->dev, NP, BASE + 90 * PAGE_SIZE, &v, 8), 0);
	expect_read(k, 0, 0, 0);
	assert_int_equal(entry_at(k, BASE + 90 * PAGE_SIZE) & 0x300, 0x100); /* accessed */
	assert_int_equal(entry_at(k, BASE + 91 * PAGE_SIZE) & 0x300, 0);
}

/* What the IOTLB holds from a read must not let the first write pass. */
static void dma__read_then_write__dirty(void **state)
{
	struct kit *k = *state;
	static char buf[4 * 4096];
	uint64_t v;

	map_pages(k, RW);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < N; i++)
			assert_int_equal(iommu_dma_load(&k->dev, NP, BASE + i * PAGE_SIZE, &v, 8),
					 0);
		expect_read(k, 0, 0, 0);
		assert_int_equal(iommu_dma_store(&k->dev, NP, BASE + 3 * PAGE_SIZE, v, 8), 0);
		expect_read(k, 0, 3, 1);
		assert_int_equal(
			iommu_dma_write(&k->dev, NP, BASE + 8 * PAGE_SIZE, buf, sizeof(buf), NULL),
			0);
		expect_read(k, 0, 8, 4);
		assert_int_equal(iommu_dma_copy(&k->dev, NP, BASE + 70 * PAGE_SIZE + 1,
						BASE + 20 * PAGE_SIZE, PAGE_SIZE, NULL),
				 0);
		expect_read(k, 0, 70, 2);
	}
}

/* The IOTLB remembers that the bit is set: without invalidation a cleared one stays clear. */
static void dma__bit_cleared_behind_its_back__set_after_sync_only(void **state)
{
	struct kit *k = *state;
	uint64_t gen;

	map_pages(k, RW);
	assert_int_equal(iommu_dma_store(&k->dev, NP, BASE, 1, 8), 0);
	gen = k->dom->gen;
	expect_read(k, IOMMU_DIRTY_NO_SYNC, 0, 1);
	assert_int_equal(k->dom->gen, gen);
	assert_int_equal(iommu_dma_store(&k->dev, NP, BASE, 2, 8), 0);
	expect_read(k, 0, 0, 0); /* as hardware may */
	kit_unmap(k, k->dom, BASE + (N - 1) * PAGE_SIZE, PAGE_SIZE);
	assert_int_equal(iommu_dma_store(&k->dev, NP, BASE, 3, 8), 0);
	expect_read(k, IOMMU_DIRTY_NO_CLEAR, 0, 1);
	gen = k->dom->gen;
	expect_read(k, 0, 0, 1);
	assert_int_equal(k->dom->gen, gen + 1);
	assert_int_equal(iommu_dma_store(&k->dev, NP, BASE, 4, 8), 0);
	expect_read(k, 0, 0, 1);
}

static void read_dirty__nothing_cleared__no_invalidation(void **state)
{
	struct kit *k = *state;
	uint64_t gen = k->dom->gen;

	expect_read(k, 0, 0, 0);
	map_pages(k, RW);
	gen = k->dom->gen;
	expect_read(k, 0, 0, 0);
	assert_int_equal(iommu_dma_store(&k->dev, NP, BASE, 1, 8), 0);
	expect_read(k, IOMMU_DIRTY_NO_CLEAR, 0, 1);
	expect_read(k, IOMMU_DIRTY_NO_CLEAR, 0, 1);
	assert_int_equal(k->dom->gen, gen);
}

/* A write that does not go through leaves no mark. */
static void dma__refused_writes__nothing_told(void **state)
{
	struct kit *k = *state;
	char *p = kit_buf(k, N * PAGE_SIZE, PAGE_SIZE);
	static char buf[2 * 4096];

	kit_map(k, BASE, p, 4 * PAGE_SIZE, IOMMU_READ);
	kit_map(k, BASE + 8 * PAGE_SIZE, p, PAGE_SIZE, RW);
	for (unsigned i = 0; i < 2; i++) {
		expect_fault(k, iommu_dma_store(&k->dev, NP, BASE, 1, 8), BASE,
			     IOMMU_FAULT_PERMISSION);
		expect_fault(k, iommu_dma_store(&k->dev, NP, BASE + 5 * PAGE_SIZE, 1, 8),
			     BASE + 5 * PAGE_SIZE, IOMMU_FAULT_NOT_MAPPED);
		assert_int_equal(iommu_dma_read(&k->dev, NP, BASE, buf, 64, NULL), 0);
	}
	expect_read(k, 0, 0, 0);
	/* the page before the hole was written */
	expect_fault(k,
		     iommu_dma_write(&k->dev, NP, BASE + 8 * PAGE_SIZE + 1, buf, PAGE_SIZE, NULL),
		     BASE + 9 * PAGE_SIZE, IOMMU_FAULT_NOT_MAPPED);
	expect_read(k, 0, 8, 1);
	iommu_group_detach(k->g);
	expect_fault(k, iommu_dma_store(&k->dev, NP, BASE + 8 * PAGE_SIZE, 1, 8),
		     BASE + 8 * PAGE_SIZE, IOMMU_FAULT_BLOCKED);
	expect_read(k, 0, 0, 0);
	assert_int_equal(iommu_group_attach(k->g, k->dom), 0);
}

static void read_dirty__large_page__as_a_whole_and_clipped(void **state)
{
	struct kit *k = *state;
	char *p = kit_buf(k, 2 * MIB, 2 * MIB);
	struct report r = { .calls = 0 };

	/* all of [0, 2M): the window of the report lies in it */
	kit_map(k, 0, p, 2 * MIB, RW);
	assert_int_equal(iommu_dma_store(&k->dev, NP, 0x1ff000, 1, 8), 0);
	expect_read(k, 0, 0, N);
	expect_read(k, 0, 0, N); /* somebody may want the rest */
	assert_int_equal(
		iommu_domain_read_dirty(k->dom, BASE, PAGE_SIZE, IOMMU_DIRTY_NO_CLEAR, record, &r),
		0);
	expect_pages(&r, 0, 1);
	assert_int_equal(entry_at(k, 0) & 0x200, 0x200);
}

static uint64_t bytes;

static void count(void *arg, uint64_t first, uint64_t last)
{
	(void)arg;
	bytes += last - first + 1;
}

static void read_dirty__whole_large_page__clean_then(void **state)
{
	struct kit *k = *state;
	char *p = kit_buf(k, 4 * MIB, 2 * MIB);

	kit_map(k, 6 * MIB, p, 4 * MIB, RW);
	for (unsigned i = 0; i < 3; i++) {
		/* the chunk of the first page is in the IOTLB, and its neighbour is not */
		assert_int_equal(iommu_dma_store(&k->dev, NP, 6 * MIB + i * PAGE_SIZE, 1, 8), 0);
		bytes = 0;
		assert_int_equal(iommu_domain_read_dirty(k->dom, 0, GIB, 0, count, NULL), 0);
		assert_int_equal(bytes, 2 * MIB);
		bytes = 0;
		assert_int_equal(iommu_domain_read_dirty(k->dom, 0, GIB, 0, count, NULL), 0);
		assert_int_equal(bytes, 0);
	}
}

static void set_tracking__off_and_on__bits_stay_and_come(void **state)
{
	struct kit *k = *state;
	uint64_t gen = k->dom->gen;

	map_pages(k, RW);
	assert_int_equal(iommu_dma_store(&k->dev, NP, BASE, 1, 8), 0);
	assert_int_equal(entry_at(k, BASE) & 0x300, 0); /* not on yet */
	assert_false(k->dom->tracking);
	expect_read(k, 0, 0, 0);
	gen = k->dom->gen;
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(iommu_domain_set_dirty_tracking(k->dom, true), 0);
		assert_true(k->dom->tracking);
		assert_true(k->dom->gen > gen);
	}
	/* the IOTLB knew the page as writable */
	assert_int_equal(iommu_dma_store(&k->dev, NP, BASE, 2, 8), 0);
	assert_int_equal(iommu_dma_store(&k->dev, NP, BASE + PAGE_SIZE, 2, 8), 0);
	expect_read(k, IOMMU_DIRTY_NO_CLEAR, 0, 2);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(iommu_domain_set_dirty_tracking(k->dom, false), 0);
	assert_false(k->dom->tracking);
	assert_int_equal(iommu_dma_store(&k->dev, NP, BASE + 5 * PAGE_SIZE, 3, 8), 0);
	expect_read(k, 0, 0, 2); /* of before; nothing new */
	expect_read(k, 0, 0, 0);
}

static void domain__made_without_the_flag__eopnotsupp(void **state)
{
	struct kit *k = *state;
	struct report r = { .calls = 0 };
	uint64_t gen;

	map_pages(k, RW);
	gen = k->dom->gen;
	assert_false(k->dom->dirty);
	for (unsigned on = 0; on < 2; on++) {
		why_clear();
		assert_int_equal(iommu_domain_set_dirty_tracking(k->dom, on), -EOPNOTSUPP);
		assert_string_not_equal(why_last(), "");
		assert_false(k->dom->tracking);
	}
	why_clear();
	assert_int_equal(iommu_domain_read_dirty(k->dom, BASE, PAGE_SIZE, 0, record, &r),
			 -EOPNOTSUPP);
	assert_string_not_equal(why_last(), "");
	assert_int_equal(r.calls, 0);
	assert_int_equal(k->dom->gen, gen);
	assert_int_equal(iommu_dma_store(&k->dev, NP, BASE, 1, 8), 0);
	assert_int_equal(entry_at(k, BASE) & 0x300, 0);
}

/* Without memory for the IOTLB each access walks, and marks. */
static void dma__no_memory_for_the_iotlb__dirty(void **state)
{
	struct kit *k = *state;
	struct fence_slot *slot = fence_slot();

	map_pages(k, RW);
	for (unsigned i = 0; i < 2; i++) {
		if (slot->cache)
			iotlb_free(slot->cache);
		slot->cache = NULL;
		fault_arm(1, true);
		assert_int_equal(iommu_dma_store(&k->dev, NP, BASE + 2 * PAGE_SIZE, 1, 8), 0);
		fault_disarm(NULL);
		expect_read(k, 0, 2, 1);
	}
}

/* Tracking and reading need no memory: they pass no fault point. */
static void dirty__no_memory__no_difference(void **state)
{
	struct kit *k = *state;

	map_pages(k, RW);
	assert_int_equal(iommu_dma_store(&k->dev, NP, BASE, 1, 8), 0);
	fault_arm(1, true);
	assert_int_equal(iommu_domain_set_dirty_tracking(k->dom, true), 0);
	assert_int_equal(iommu_dma_store(&k->dev, NP, BASE, 1, 8), 0);
	expect_read(k, 0, 0, 1);
	assert_int_equal(fault_disarm(NULL), 0);
}

/* Erratum 772415: what nested tables stand on has no read-only leaf. */
static void nest_parent__read_only__einval(void **state)
{
	struct kit *k = *state;
	struct pt_gather g;
	uint64_t pa, len;

	pt_gather_init(&g);
	assert_false(k->dom->dirty);
	why_clear();
	assert_int_equal(iommu_domain_map(k->dom, BASE, GIB, PAGE_SIZE, IOMMU_READ, false, &g),
			 -EINVAL);
	assert_string_not_equal(why_last(), "");
	assert_int_equal(iommu_domain_iova_to_pa(k->dom, BASE, &pa, &len), -ENOENT);
	assert_int_equal(iommu_domain_map(k->dom, BASE, GIB, PAGE_SIZE, RW, false, &g), 0);
	kit_unmap(k, k->dom, BASE, PAGE_SIZE);
}

#define TRACKED(f) cmocka_unit_test_setup_teardown(f, setup_tracking, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TRACKED(dma__each_kind_of_write__its_pages),
		TRACKED(dma__read_then_write__dirty),
		TRACKED(dma__bit_cleared_behind_its_back__set_after_sync_only),
		TRACKED(read_dirty__nothing_cleared__no_invalidation),
		TRACKED(dma__refused_writes__nothing_told),
		TRACKED(read_dirty__large_page__as_a_whole_and_clipped),
		TRACKED(read_dirty__whole_large_page__clean_then),
		TRACKED(dma__no_memory_for_the_iotlb__dirty),
		TRACKED(dirty__no_memory__no_difference),
		cmocka_unit_test_setup_teardown(set_tracking__off_and_on__bits_stay_and_come,
						setup_capable, kit_teardown),
		cmocka_unit_test_setup_teardown(domain__made_without_the_flag__eopnotsupp,
						kit_setup, kit_teardown),
		cmocka_unit_test_setup_teardown(nest_parent__read_only__einval, setup_nest_parent,
						kit_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
