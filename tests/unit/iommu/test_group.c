// SPDX-License-Identifier: MIT
/* Who may have a group, and where does its DMA go? */
#include <errno.h>

#include "iommu_kit.h"

static char me, other;

struct two {
	struct kit *k;
	struct iommu_group *g;
	struct iommu_device a, b;
};

static int two_setup(void **state)
{
	struct two *t = mem_zalloc(sizeof(*t));

	assert_non_null(t);
	kit_setup((void **)&t->k);
	assert_int_equal(machine_group(t->k->m, 7, &t->g), 0);
	iommu_device_init(&t->a, t->g, "0000:07:00.0", 0, 7 << 8);
	iommu_device_init(&t->b, t->g, "0000:07:00.1", 0, 7 << 8 | 1);
	*state = t;
	return 0;
}

static int two_teardown(void **state)
{
	struct two *t = *state;
	void *k = t->k;

	iommu_device_finish(&t->a);
	iommu_device_finish(&t->b);
	kit_teardown(&k);
	mem_free(t);
	return 0;
}

static void group_claim__other_owner__eperm(void **state)
{
	struct two *t = *state;

	assert_int_equal(iommu_group_claim(t->g, &me), 0);
	assert_int_equal(iommu_group_claim(t->g, &other), -EPERM);
	assert_int_equal(iommu_group_claim(t->g, &me), 0);
	assert_int_equal(t->g->owner_count, 2);
	iommu_group_release(t->g, &me);
	assert_int_equal(iommu_group_claim(t->g, &other), -EPERM);
	iommu_group_release(t->g, &me);
	assert_null(t->g->owner);
	assert_int_equal(iommu_group_claim(t->g, &other), 0);
	iommu_group_release(t->g, &other);
}

static void group_claim__direct_region__einval(void **state)
{
	static const struct iommu_resv direct[] = { { 0x1000, 0x1fff, IOMMU_RESV_DIRECT } };
	static const struct iommu_resv relaxable[] = { { 0x1000, 0x1fff,
							 IOMMU_RESV_DIRECT_RELAXABLE } };
	struct two *t = *state;

	t->b.resv = direct;
	t->b.n_resv = 1;
	assert_int_equal(iommu_group_claim(t->g, &me), -EINVAL);
	assert_null(t->g->owner);
	assert_int_equal(t->g->owner_count, 0);
	t->b.resv = relaxable;
	assert_int_equal(iommu_group_claim(t->g, &me), 0);
	iommu_group_release(t->g, &me);
}

static void group_attach__two_devices__move_together(void **state)
{
	struct two *t = *state;
	struct iommu_domain *d1 = kit_domain(t->k), *d2 = kit_domain(t->k);

	assert_int_equal(iommu_group_claim(t->g, &me), 0);
	assert_int_equal(iommu_group_attach(t->g, d1), 0);
	assert_int_equal(t->a.rid_xlat.tag, d1->tag);
	assert_int_equal(t->b.rid_xlat.tag, d1->tag);
	assert_int_equal(d1->attached, 1);
	assert_int_equal(iommu_group_attach(t->g, d1), 0); /* again: nothing */
	assert_int_equal(d1->attached, 1);
	assert_int_equal(iommu_group_attach(t->g, d2), 0);
	assert_int_equal(t->a.rid_xlat.tag, d2->tag);
	assert_ptr_equal(t->b.rid_xlat.domain, d2);
	assert_int_equal(d1->attached, 0);
	assert_int_equal(d2->attached, 1);
	iommu_group_detach(t->g);
	assert_int_equal(t->a.rid_xlat.tag, 0);
	assert_int_equal(t->b.rid_xlat.tag, 0);
	assert_null(t->a.rid_xlat.domain);
	assert_int_equal(d2->attached, 0);
	iommu_group_detach(t->g);
	iommu_group_release(t->g, &me);
	iommu_domain_destroy(d1);
	iommu_domain_destroy(d2);
}

static void group_attach__host_or_other_kind__einval(void **state)
{
	struct two *t = *state;
	struct iommu_kind kind = *t->k->m->iommu.kind;
	struct iommu iommu = t->k->m->iommu;
	struct iommu_domain *dom;

	assert_int_equal(iommu_group_attach(t->g, t->k->dom), -EINVAL);
	assert_null(t->g->domain);
	iommu.kind = &kind;
	assert_int_equal(iommu_domain_create(&iommu, 0, &dom), 0);
	assert_int_equal(iommu_group_claim(t->g, &me), 0);
	assert_int_equal(iommu_group_attach(t->g, dom), -EINVAL);
	assert_null(t->g->domain);
	assert_int_equal(t->a.rid_xlat.tag, 0);
	assert_int_equal(dom->attached, 0);
	iommu_group_release(t->g, &me);
	iommu_domain_destroy(dom);
}

static void group_attach__each_fault__old_stays(void **state)
{
	struct two *t = *state;
	struct iommu_domain *dom = kit_domain(t->k);
	bool fired = true;

	assert_int_equal(iommu_group_claim(t->g, &me), 0);
	assert_int_equal(iommu_group_attach(t->g, t->k->dom), 0);
	for (unsigned n = 1; fired; n++) {
		int rc;

		fault_arm(n, false);
		rc = iommu_group_attach(t->g, dom);
		fault_disarm(&fired);
		assert_int_equal(rc, fired ? -ENOMEM : 0);
		assert_ptr_equal(t->g->domain, fired ? t->k->dom : dom);
		assert_int_equal(t->a.rid_xlat.tag, t->g->domain->tag);
		assert_int_equal(dom->attached, !fired);
	}
	iommu_group_detach(t->g);
	iommu_group_release(t->g, &me);
	iommu_domain_destroy(dom);
}

static void machine_group__ids__found_or_lowest_free(void **state)
{
	struct two *t = *state;
	struct iommu_group *g, *g2;

	assert_int_equal(machine_group(t->k->m, 7, &g), 0);
	assert_ptr_equal(g, t->g);
	assert_int_equal(t->k->g->id, 0);
	assert_int_equal(machine_group(t->k->m, -1, &g), 0);
	assert_int_equal(g->id, 1);
	assert_int_equal(machine_group(t->k->m, 2, &g2), 0);
	assert_int_equal(machine_group(t->k->m, -1, &g), 0);
	assert_int_equal(g->id, 3);
}

static void machine_create__each_fault__nothing_left(void **state)
{
	const struct machine_opts opts = { .kind = iommu_kind_find("vtd") };
	const struct machine_opts none = { 0 };
	struct machine *m = NULL;

	(void)state;
	assert_int_equal(machine_create(&none, &m), -EINVAL);
	fault_sweep(machine_create(&opts, &m), machine_destroy(m));
	machine_destroy(NULL);
}

#define T(f) cmocka_unit_test_setup_teardown(f, two_setup, two_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(group_claim__other_owner__eperm),
		T(group_claim__direct_region__einval),
		T(group_attach__two_devices__move_together),
		T(group_attach__host_or_other_kind__einval),
		T(group_attach__each_fault__old_stays),
		T(machine_group__ids__found_or_lowest_free),
		cmocka_unit_test(machine_create__each_fault__nothing_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
