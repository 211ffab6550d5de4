// SPDX-License-Identifier: MIT
/* Ids and lifetimes: does an object go when it may, and only then? */
#include "kit.h"

#include <pthread.h>
#include <stdlib.h>

#include "iommufd/hwpt.h"
#include "iommufd/ioas.h"
#include "iommufd/object.h"

static void destroy__never_issued__enoent(void **state)
{
	static const uint32_t ids[] = { 0, 1, 63, 64, 1000, 0x7fffffff, 0x80000000, 0xffffffff };

	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		expect_rc(kit_destroy(*state, ids[i]), -ENOENT);
}

static void alloc__fresh_context__lowest_free_first(void **state)
{
	struct kit *k = *state;

	assert_int_equal(kit_ioas(k), 1);
	assert_int_equal(kit_ioas(k), 2);
	assert_int_equal(kit_ioas(k), 3);
	expect_rc(kit_destroy(k, 2), 0);
	assert_int_equal(kit_ioas(k), 2);
	assert_int_equal(kit_ioas(k), 4);
	expect_rc(kit_destroy(k, 1), 0);
	expect_rc(kit_destroy(k, 3), 0);
	assert_int_equal(kit_ioas(k), 1);
	assert_int_equal(kit_ioas(k), 3);
	assert_int_equal(iommufd_next_ioas(k->ctx, 0), 1);
	assert_int_equal(iommufd_next_ioas(k->ctx, 3), 4);
	assert_int_equal(iommufd_next_ioas(k->ctx, 4), 0);
}

static void alloc__many__ids_stay_dense(void **state)
{
	struct kit *k = *state;

	for (uint32_t i = 1; i <= 300; i++)
		assert_int_equal(kit_ioas(k), i);
	for (uint32_t i = 1; i <= 300; i += 2)
		expect_rc(kit_destroy(k, i), 0);
	for (uint32_t i = 1; i <= 300; i += 2)
		assert_int_equal(kit_ioas(k), i);
	assert_int_equal(kit_ioas(k), 301);
	iommufd_ctx_check(k->ctx);
}

static void destroy__twice__enoent(void **state)
{
	struct kit *k = *state;
	uint32_t id = kit_ioas(k);

	expect_rc(kit_destroy(k, id), 0);
	expect_rc(kit_destroy(k, id), -ENOENT);
}

static void destroy__ioas_with_areas__goes(void **state)
{
	struct kit *k = *state;
	uint32_t id = kit_ioas(k);

	for (uint64_t i = 0; i < 100; i++)
		expect_rc(kit_map_at(k, id, i * PAGE_SIZE, NULL, PAGE_SIZE), 0);
	expect_rc(kit_destroy(k, id), 0);
	kit_check(k, 0);
}

static void destroy__in_use__ebusy(void **state)
{
	struct kit *k = *state;
	struct kit_dev *d = kit_device(k, -1);
	uint32_t ioas = kit_ioas(k), hwpt;

	kit_bind(k, d);
	expect_rc(kit_destroy(k, d->id), -EBUSY);
	hwpt = kit_attach(d, ioas);
	assert_int_not_equal(hwpt, ioas);
	expect_rc(kit_destroy(k, ioas), -EBUSY);
	expect_rc(kit_destroy(k, hwpt), -EBUSY);
	expect_rc(kit_destroy(k, d->id), -EBUSY);
	kit_check(k, 0);

	/* The automatic HWPT goes with its last device, the IOAS is free again. */
	kit_detach(d);
	expect_rc(kit_destroy(k, hwpt), -ENOENT);
	expect_rc(kit_destroy(k, d->id), -EBUSY);
	expect_rc(kit_destroy(k, ioas), 0);
	kit_unbind(d);
	expect_rc(kit_destroy(k, d->id), -ENOENT);
	assert_int_equal(kit_next_id(k), 1);
}

static void lookup__wrong_type__enoent(void **state)
{
	struct kit *k = *state;
	struct kit_dev *d = kit_device(k, -1);
	uint32_t ioas = kit_ioas(k), hwpt, wrong[3], out;
	struct iommu_hw_info info = { .size = sizeof(info) };
	uint64_t iova = 0;

	kit_bind(k, d);
	hwpt = kit_attach(d, ioas);
	wrong[0] = hwpt;
	wrong[1] = d->id;
	wrong[2] = 0;
	for (size_t i = 0; i < 3; i++) {
		struct iommu_ioas_iova_ranges r = { .size = sizeof(r), .ioas_id = wrong[i] };

		expect_rc(kit_map(k, wrong[i], RW, NULL, PAGE_SIZE, &iova), -ENOENT);
		expect_rc(kit_unmap(k, wrong[i], 0, MAX, NULL), -ENOENT);
		expect_rc(kit_ioctl(k, IOMMU_IOAS_IOVA_RANGES, &r), -ENOENT);
	}
	wrong[0] = ioas;
	wrong[1] = hwpt;
	for (size_t i = 0; i < 3; i++) {
		info.dev_id = wrong[i];
		expect_rc(kit_ioctl(k, IOMMU_GET_HW_INFO, &info), -ENOENT);
	}
	kit_detach(d);
	out = d->id;
	expect_rc(iommufd_device_attach(d->idev, &out), -EINVAL);
	out = 99;
	expect_rc(iommufd_device_attach(d->idev, &out), -ENOENT);
	assert_int_equal(out, 99);
}

static void reserve__until_published__absent(void **state)
{
	struct kit *k = *state;
	struct object o, *got;

	expect_rc(object_reserve(k->ctx, OBJECT_IOAS, &o), 0);
	assert_int_equal(o.id, 1);
	expect_rc(object_get(k->ctx, 1, OBJECT_ANY, &got), -ENOENT);
	expect_rc(kit_destroy(k, 1), -ENOENT);
	assert_int_equal(iommufd_next_ioas(k->ctx, 0), 0);
	assert_int_equal(kit_next_id(k), 2);
	object_abort(&o);
	assert_int_equal(kit_next_id(k), 1);
}

static void get__counts__as_documented(void **state)
{
	struct kit *k = *state;
	uint32_t id = kit_ioas(k);
	struct object *o, *p;

	expect_rc(object_get(k->ctx, id, OBJECT_IOAS, &o), 0);
	assert_int_equal(object_users(o), 2);
	expect_rc(object_get(k->ctx, id, OBJECT_ANY, &p), 0);
	assert_ptr_equal(o, p);
	assert_int_equal(object_users(o), 3);
	expect_rc(kit_destroy(k, id), -EBUSY);
	object_put(o);
	expect_rc(object_ref(o), 0);
	object_put(p);
	assert_int_equal(object_users(o), 2);
	expect_rc(kit_destroy(k, id), -EBUSY);
	object_unref(o);
	expect_rc(kit_destroy(k, id), 0);
}

static void close__everything_left__goes_leaves_first(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	char *p = kit_buf(k, 4 * PAGE_SIZE, PAGE_SIZE);

	expect_rc(kit_map_at(k, ioas, 0, p, 4 * PAGE_SIZE), 0);
	kit_ioas(k);
	iommufd_ctx_put(k->ctx);
	k->ctx = NULL;
}

static void close__device_bound__waits_for_unbind(void **state)
{
	struct kit *k = *state;
	struct kit_dev *d = kit_device(k, -1);
	uint32_t ioas = kit_ioas(k);
	char *p = kit_buf(k, PAGE_SIZE, PAGE_SIZE);
	unsigned char c;

	kit_bind(k, d);
	kit_attach(d, ioas);
	expect_rc(kit_map_at(k, ioas, 0x10000, p, PAGE_SIZE), 0);
	iommufd_ctx_put(k->ctx); /* the file is closed; the device holds the context */
	expect_rc(kit_dma_read(d, 0x10000, &c), 0);
	assert_int_equal(c, 1);
	kit_detach(d);
	kit_unbind(d);
	k->ctx = NULL;
	assert_int_equal(account_pinned(), k->pinned);
}

/* ---- threads -------------------------------------------------------------------------------- */

#define ROUNDS 3000

struct racer {
	struct kit *k;
	_Atomic uint32_t *id;
	_Atomic bool *stop;
	unsigned destroyed, busy;
};

static void *lookups(void *arg)
{
	struct racer *r = arg;

	while (!atomic_load(r->stop)) {
		struct object *o;

		if (object_get(r->k->ctx, atomic_load(r->id), OBJECT_IOAS, &o))
			continue;
		if (object_users(o) < 2)
			abort();
		object_put(o);
	}
	return NULL;
}

static void *destroys(void *arg)
{
	struct racer *r = arg;

	while (!atomic_load(r->stop)) {
		int rc = kit_destroy(r->k, atomic_load(r->id));

		r->destroyed += !rc;
		r->busy += rc == -EBUSY;
		if (rc && rc != -EBUSY && rc != -ENOENT)
			abort();
	}
	return NULL;
}

/* Each object made is destroyed exactly once, by whichever of two threads. */
static void destroy__races_with_lookups__once_each(void **state)
{
	struct kit *k = *state;
	_Atomic uint32_t id = 1;
	_Atomic bool stop = false;
	struct racer r[3] = { { k, &id, &stop }, { k, &id, &stop }, { k, &id, &stop } };
	pthread_t t[3];
	unsigned made = 0, left = 0;

	pthread_create(&t[0], NULL, lookups, &r[0]);
	pthread_create(&t[1], NULL, destroys, &r[1]);
	pthread_create(&t[2], NULL, destroys, &r[2]);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct iommu_ioas_alloc c = { .size = sizeof(c) };

		if (kit_ioctl(k, IOMMU_IOAS_ALLOC, &c))
			abort();
		made++;
		atomic_store(&id, c.out_ioas_id);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	for (uint32_t i = 0; (i = iommufd_next_ioas(k->ctx, i));)
		left++;
	assert_int_equal(made, r[1].destroyed + r[2].destroyed + left);
	kit_check(k, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(destroy__never_issued__enoent),
		KIT_TEST(alloc__fresh_context__lowest_free_first),
		KIT_TEST(alloc__many__ids_stay_dense),
		KIT_TEST(destroy__twice__enoent),
		KIT_TEST(destroy__ioas_with_areas__goes),
		KIT_TEST(destroy__in_use__ebusy),
		KIT_TEST(lookup__wrong_type__enoent),
		KIT_TEST(reserve__until_published__absent),
		KIT_TEST(get__counts__as_documented),
		KIT_TEST(close__everything_left__goes_leaves_first),
		KIT_TEST(close__device_bound__waits_for_unbind),
		KIT_TEST(destroy__races_with_lookups__once_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
