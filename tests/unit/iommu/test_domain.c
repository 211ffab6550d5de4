// SPDX-License-Identifier: MIT
/* Do domains map, unmap and remember? */
#include <errno.h>

#include "iommu_kit.h"

static void domain_create__unknown_flags__eopnotsupp(void **state)
{
	struct kit *k = *state;
	struct iommu_domain *dom = NULL;

	for (unsigned flags = 4; flags; flags <<= 1) {
		why_clear();
		assert_int_equal(iommu_domain_create(&k->m->iommu, flags, &dom), -EOPNOTSUPP);
		assert_int_equal(iommu_domain_create(&k->m->iommu, flags | 3, &dom), -EOPNOTSUPP);
		assert_string_not_equal(why_last(), "");
	}
	assert_null(dom);
}

static void domain_create__each_fault__nothing_left(void **state)
{
	struct kit *k = *state;
	struct iommu_domain *dom;

	for (unsigned flags = 0; flags < 4; flags++)
		fault_sweep(iommu_domain_create(&k->m->iommu, flags, &dom),
			    iommu_domain_destroy(dom));
}

static void domain_create__two__tags_differ(void **state)
{
	struct kit *k = *state;
	struct iommu_domain *dom = kit_domain(k);

	assert_int_not_equal(dom->tag, k->dom->tag);
	assert_int_not_equal(dom->tag, 0);
	iommu_domain_destroy(dom);
	iommu_domain_destroy(NULL);
}

static void iova_to_pa__mapped__rest_of_entry(void **state)
{
	struct kit *k = *state;
	struct pt_gather g;
	uint64_t pa, len;

	pt_gather_init(&g);
	assert_int_equal(iommu_domain_map(k->dom, 4 * MIB, 8 * MIB, 2 * MIB + PAGE_SIZE, IOMMU_READ,
					  false, &g),
			 0);
	assert_int_equal(iommu_domain_iova_to_pa(k->dom, 4 * MIB + 0x1234, &pa, &len), 0);
	assert_int_equal(pa, 8 * MIB + 0x1234);
	assert_int_equal(len, 2 * MIB - 0x1234);
	assert_int_equal(iommu_domain_iova_to_pa(k->dom, 6 * MIB + 5, &pa, &len), 0);
	assert_int_equal(pa, 10 * MIB + 5);
	assert_int_equal(len, PAGE_SIZE - 5);
	assert_int_equal(iommu_domain_iova_to_pa(k->dom, 6 * MIB + PAGE_SIZE, &pa, &len), -ENOENT);
	kit_unmap(k, k->dom, 4 * MIB, 2 * MIB + PAGE_SIZE);
	assert_int_equal(iommu_domain_iova_to_pa(k->dom, 4 * MIB, &pa, &len), -ENOENT);
}

static void domain_map__small_pages__only_granules(void **state)
{
	static const struct {
		uint64_t iova, pa, len;
	} cases[] = {
		{ 0, 0x40000000, 2 * MIB },
		{ 2 * MIB, 0x40000000, 4 * MIB },
		{ 2 * MIB - PAGE_SIZE, 0x40000000 - PAGE_SIZE, 4 * MIB + 2 * PAGE_SIZE },
		{ PAGE_SIZE, 0x40000000, 3 * MIB },
		{ GIB, GIB, 4 * MIB },
	};
	struct kit *k = *state;
	struct pt_gather g;
	uint64_t pa, len;

	pt_gather_init(&g);
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t iova = cases[i].iova;

		assert_int_equal(iommu_domain_map(k->dom, iova, cases[i].pa, cases[i].len,
						  IOMMU_READ | IOMMU_WRITE, true, &g),
				 0);
		for (uint64_t o = 0; o < cases[i].len; o += PAGE_SIZE) {
			assert_int_equal(iommu_domain_iova_to_pa(k->dom, iova + o, &pa, &len), 0);
			assert_int_equal(len, PAGE_SIZE);
			assert_int_equal(pa, cases[i].pa + o);
		}
		assert_int_equal(iommu_domain_iova_to_pa(k->dom, iova + cases[i].len, &pa, &len),
				 -ENOENT);
		kit_unmap(k, k->dom, iova, cases[i].len);
		assert_int_equal(pt_check(&k->dom->pt), 0);
	}
}

static void domain_map__each_fault__nothing_mapped(void **state)
{
	struct kit *k = *state;

	for (int small = 0; small < 2; small++) {
		struct iommu_domain *dom = kit_domain(k);
		struct pt_gather g;
		uint64_t pa, len;
		bool fired = true;

		pt_gather_init(&g);
		for (unsigned n = 1; fired; n++) {
			int rc;

			fault_arm(n, false);
			rc = iommu_domain_map(dom, GIB - 2 * MIB, 2 * GIB - 2 * MIB, 6 * MIB,
					      IOMMU_READ, small, &g);
			fault_disarm(&fired);
			assert_int_equal(rc, fired ? -ENOMEM : 0);
			for (uint64_t o = 0; fired && o < 6 * MIB; o += PAGE_SIZE)
				assert_int_equal(
					iommu_domain_iova_to_pa(dom, GIB - 2 * MIB + o, &pa, &len),
					-ENOENT);
			assert_int_equal(pt_check(&dom->pt), 0);
		}
		iommu_domain_sync(dom, &g);
		kit_unmap(k, dom, GIB - 2 * MIB, 6 * MIB);
		iommu_domain_destroy(dom);
	}
}

static void domain_map__something_there__eexist_nothing_changed(void **state)
{
	struct kit *k = *state;
	struct pt_gather g;
	uint64_t pa, len;

	pt_gather_init(&g);
	assert_int_equal(
		iommu_domain_map(k->dom, 3 * MIB, 0x1000, PAGE_SIZE, IOMMU_READ, false, &g), 0);
	for (int small = 0; small < 2; small++)
		assert_int_equal(iommu_domain_map(k->dom, 0, GIB, 4 * MIB, IOMMU_READ, small, &g),
				 -EEXIST);
	assert_int_equal(iommu_domain_iova_to_pa(k->dom, 0, &pa, &len), -ENOENT);
	assert_int_equal(iommu_domain_iova_to_pa(k->dom, 2 * MIB, &pa, &len), -ENOENT);
	assert_int_equal(iommu_domain_iova_to_pa(k->dom, 3 * MIB, &pa, &len), 0);
	iommu_domain_sync(k->dom, &g);
	kit_unmap(k, k->dom, 3 * MIB, PAGE_SIZE);
}

static void domain_sync__always__generation_moves_on(void **state)
{
	struct kit *k = *state;
	uint64_t gen = k->dom->gen;
	struct pt_gather g;

	pt_gather_init(&g);
	iommu_domain_sync(k->dom, &g);
	assert_int_equal(k->dom->gen, gen + 1);
}

static void domain_sync__whole_tables_unmapped__freed(void **state)
{
	struct kit *k = *state;
	uint64_t before = k->dom->pt.ntables;
	struct pt_gather g;

	pt_gather_init(&g);
	assert_int_equal(iommu_domain_map(k->dom, 0, 0x1000, 2 * MIB, IOMMU_READ, false, &g), 0);
	assert_true(k->dom->pt.ntables > before);
	iommu_domain_unmap(k->dom, 0, 2 * MIB, &g);
	assert_true(g.ntables > 0);
	iommu_domain_sync(k->dom, &g);
	assert_int_equal(g.tables, 0);
	assert_true(k->dom->pt.ntables <= before + 2); /* those that span more may stay */
	assert_int_equal(pt_check(&k->dom->pt), 0);
}

static void domain_history__unmapped__newest_first(void **state)
{
	struct kit *k = *state;
	uint64_t start, last, ago;
	struct pt_gather g;

	pt_gather_init(&g);
	assert_false(domain_history(k->dom, 0, &start, &last, &ago));
	for (unsigned i = 0; i < 3; i++) {
		uint64_t len = PAGE_SIZE << i;

		assert_int_equal(iommu_domain_map(k->dom, 0, GIB, len, IOMMU_READ, false, &g), 0);
		kit_unmap(k, k->dom, 0, len);
	}
	assert_true(domain_history(k->dom, 0xfff, &start, &last, &ago));
	assert_int_equal(start, 0);
	assert_int_equal(last, 4 * PAGE_SIZE - 1);
	assert_int_equal(ago, 0);
	assert_false(domain_history(k->dom, 4 * PAGE_SIZE, &start, &last, &ago));
	for (unsigned i = 0; i < 2 * DOMAIN_HISTORY; i++) {
		uint64_t iova = MIB + i * PAGE_SIZE;

		assert_int_equal(
			iommu_domain_map(k->dom, iova, GIB, PAGE_SIZE, IOMMU_READ, false, &g), 0);
		kit_unmap(k, k->dom, iova, PAGE_SIZE);
		assert_true(domain_history(k->dom, iova, &start, &last, &ago));
		assert_int_equal(start, iova);
		assert_int_equal(last, iova + PAGE_SIZE - 1);
		assert_int_equal(ago, 0);
		if (i) {
			assert_true(domain_history(k->dom, iova - 1, &start, &last, &ago));
			assert_int_equal(ago, 1);
		}
	}
	assert_false(domain_history(k->dom, 0, &start, &last, &ago));
}

#define T(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(domain_create__unknown_flags__eopnotsupp),
		T(domain_create__each_fault__nothing_left),
		T(domain_create__two__tags_differ),
		T(iova_to_pa__mapped__rest_of_entry),
		T(domain_map__small_pages__only_granules),
		T(domain_map__each_fault__nothing_mapped),
		T(domain_map__something_there__eexist_nothing_changed),
		T(domain_sync__always__generation_moves_on),
		T(domain_sync__whole_tables_unmapped__freed),
		T(domain_history__unmapped__newest_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
