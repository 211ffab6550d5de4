// SPDX-License-Identifier: MIT
/* Do the kinds say what they are? */
#include <errno.h>

#include "abi/iommufd.h"
#include "iommu_kit.h"

static uint64_t bits(uint64_t v, unsigned high, unsigned low)
{
	return v >> low & ((2ull << (high - low)) - 1);
}

static void kind_find__every_name__itself(void **state)
{
	(void)state;
	for (unsigned i = 0; iommu_kinds[i]; i++)
		assert_ptr_equal(iommu_kind_find(iommu_kinds[i]->name), iommu_kinds[i]);
	assert_non_null(iommu_kind_find("vtd"));
	assert_null(iommu_kind_find("vt"));
	assert_null(iommu_kind_find(""));
}

/* What the registers promise is what a domain does. */
static void vtd_hw_info__registers__consistent(void **state)
{
	struct kit *k = *state;
	struct iommu_hw_info_data d;
	struct iommu_hw_info_vtd v;

	k->m->iommu.kind->hw_info(&k->dev, &d);
	assert_int_equal(d.type, IOMMU_HW_INFO_TYPE_INTEL_VTD);
	assert_int_equal(d.len, 24);
	memcpy(&v, d.data, sizeof(v));
	assert_int_equal(v.flags, IOMMU_HW_INFO_VTD_ERRATA_772415_SPR17);
	assert_int_equal(v.__reserved, 0);
	assert_int_equal(bits(v.cap_reg, 12, 8), 1 << (pt_levels(&k->dom->pt) - 2)); /* SAGAW */
	assert_int_equal((1ull << (bits(v.cap_reg, 21, 16) + 1)) - 1, k->dom->aperture_last);
	assert_int_equal(bits(v.cap_reg, 37, 34), 3); /* SSLPS */
	assert_int_equal(k->dom->pgsizes, 4 * KIB | 2 * MIB | GIB);
	assert_int_equal(bits(v.cap_reg, 7, 7), 0);  /* CM */
	assert_int_equal(bits(v.cap_reg, 4, 4), 0);  /* RWBF */
	assert_int_equal(bits(v.ecap_reg, 0, 0), 1); /* C */
	assert_int_equal(bits(v.ecap_reg, 1, 1), 1); /* QI, for IR */
	assert_int_equal(bits(v.ecap_reg, 3, 3), k->dev.irq_isolated);
	assert_int_equal(bits(v.ecap_reg, 2, 2), k->m->iommu.kind->ats);
	assert_int_equal(bits(v.ecap_reg, 7, 7), k->dom->enforces_coherency);
	assert_int_equal(bits(v.ecap_reg, 26, 26), 0); /* NEST, which needs FSTS */
	assert_int_equal(bits(v.ecap_reg, 47, 47), 0); /* FSTS */
	assert_int_equal(bits(v.ecap_reg, 40, 40), k->m->iommu.kind->max_pasids != 0);
	assert_int_equal(bits(v.ecap_reg, 43, 43), 1); /* SMTS, for: */
	assert_int_equal(bits(v.ecap_reg, 45, 45), k->m->iommu.kind->dirty);
	assert_int_equal(bits(v.ecap_reg, 46, 46), 1); /* SSTS, which SSADS needs */
	assert_int_equal(bits(v.ecap_reg, 48, 48), 1); /* SMPWC, likewise */
}

static int setup_3(void **state)
{
	return kit_setup_as(state, "vtd,levels=3", 0);
}

static int setup_5(void **state)
{
	return kit_setup_as(state, "vtd,levels=5", 0);
}

/* The highest page of the aperture translates; what is above faults. */
static void vtd_levels__last_page__dma(void **state)
{
	struct kit *k = *state;
	uint64_t last = k->dom->aperture_last, v = 0;
	char *p = kit_buf(k, PAGE_SIZE, PAGE_SIZE);

	assert_int_equal(last, (1ull << (12 + 9 * k->m->iommu.levels)) - 1);
	assert_int_equal(pt_levels(&k->dom->pt), k->m->iommu.levels);
	kit_map(k, last - PAGE_MASK, p, PAGE_SIZE, IOMMU_READ | IOMMU_WRITE);
	for (unsigned i = 0; i < 2; i++) { /* a miss and a hit */
		assert_int_equal(iommu_dma_store(&k->dev, 0, last - 7, 0x1234567890 + i, 8), 0);
		assert_int_equal(iommu_dma_load(&k->dev, 0, last - 7, &v, 8), 0);
		assert_int_equal(v, 0x1234567890 + i);
	}
	assert_memory_equal(p + PAGE_SIZE - 8, &v, 8);
	expect_fault(k, iommu_dma_load(&k->dev, 0, last + 1, &v, 8), last + 1, IOMMU_FAULT_ADDRESS);
	kit_unmap(k, k->dom, last - PAGE_MASK, PAGE_SIZE);
	expect_fault(k, iommu_dma_load(&k->dev, 0, last - 7, &v, 8), last - 7,
		     IOMMU_FAULT_NOT_MAPPED);
}

static void iommu_configure__words__kind_and_levels(void **state)
{
	static const struct {
		const char *text;
		unsigned levels;
	} good[] = {
		{ "vtd", 0 },          { "vtd,levels=3", 3 },          { "vtd,levels=4", 4 },
		{ "vtd,levels=5", 5 }, { "vtd,levels=5,levels=3", 3 },
	};
	static const char *const bad[] = {
		"",
		",levels=3",
		"vt",
		"vtdd",
		"vtd,",
		"vtd,levels",
		"vtd,levels=",
		"vtd,levels=2",
		"vtd,levels=6",
		"vtd,levels=33",
		"vtd,level=3",
		"vtd,levels=3,",
		"vtd,levels=3,x=1",
		"vtd,=3",
		"vtd,levels=333333333333333333333333333333333333333333333333333333333333333333333",
	};
	struct machine *m = NULL;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(good); i++) {
		struct iommu iommu = { .levels = 9 };

		assert_int_equal(iommu_configure(&iommu, good[i].text), 0);
		assert_ptr_equal(iommu.kind, iommu_kind_find("vtd"));
		assert_int_equal(iommu.levels, good[i].levels);
	}
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		const struct machine_opts opts = { .iommu = bad[i] };
		struct iommu iommu = { 0 };

		why_clear();
		assert_int_equal(iommu_configure(&iommu, bad[i]), -EINVAL);
		assert_string_not_equal(why_last(), "");
		assert_int_equal(machine_create(&opts, &m), -EINVAL);
		assert_null(m);
	}
}

/* What the table of options says is what configure() takes. */
static void kind_options__every_kind__told(void **state)
{
	(void)state;
	for (unsigned i = 0; iommu_kinds[i]; i++) {
		const struct uiommufd_option *o = iommu_kinds[i]->options;

		assert_true(!o || iommu_kinds[i]->configure);
		for (; o && o->key; o++) {
			assert_true(o->value_hint && o->value_hint[0]);
			assert_true(o->help && o->help[0]);
		}
	}
}

static void vtd_domain__leaf__has_snp(void **state)
{
	struct kit *k = *state;
	struct pt_walk_result r;
	char *p = kit_buf(k, PAGE_SIZE, PAGE_SIZE);

	kit_map(k, 0x1000, p, PAGE_SIZE, IOMMU_READ);
	assert_int_equal(pt_walk(&k->dom->pt, 0x1000, &r), 0);
	assert_int_equal(r.entry & 0xfff, 1 | 1 << 11);
}

static void device_resv__kind_and_own__in_order(void **state)
{
	static const struct iommu_resv own[] = { { 0x1000, 0x1fff, IOMMU_RESV_RESERVED } };
	struct kit *k = *state;
	struct iommu_resv r;

	k->dev.resv = own;
	k->dev.n_resv = 1;
	assert_true(iommu_device_resv(&k->dev, 0, &r));
	assert_int_equal(r.start, 0xfee00000);
	assert_int_equal(r.last, 0xfeefffff);
	assert_int_equal(r.type, IOMMU_RESV_MSI);
	assert_true(iommu_device_resv(&k->dev, 1, &r));
	assert_int_equal(r.start, 0x1000);
	assert_false(iommu_device_resv(&k->dev, 2, &r));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kind_find__every_name__itself),
		cmocka_unit_test_setup_teardown(vtd_hw_info__registers__consistent, kit_setup,
						kit_teardown),
		cmocka_unit_test_setup_teardown(vtd_hw_info__registers__consistent, setup_3,
						kit_teardown),
		cmocka_unit_test_setup_teardown(vtd_hw_info__registers__consistent, setup_5,
						kit_teardown),
		cmocka_unit_test_setup_teardown(vtd_levels__last_page__dma, setup_3, kit_teardown),
		cmocka_unit_test_setup_teardown(vtd_levels__last_page__dma, setup_5, kit_teardown),
		cmocka_unit_test(iommu_configure__words__kind_and_levels),
		cmocka_unit_test(kind_options__every_kind__told),
		cmocka_unit_test_setup_teardown(vtd_domain__leaf__has_snp, kit_setup, kit_teardown),
		cmocka_unit_test_setup_teardown(device_resv__kind_and_own__in_order, kit_setup,
						kit_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
