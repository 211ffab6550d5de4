// SPDX-License-Identifier: MIT
/*
 * Every step that can fail, failed: does each call undo what it did, and work the next time?
 *
 * A call is replayed failing its 1st, 2nd, ... fault point, once and from there on, until it
 * passes. After each failure the state is that of before: ids, areas, ranges, pins, charges.
 */
#include "kit.h"

#include <sys/mman.h>
#include <unistd.h>

#define P         PAGE_SIZE
#define STEPS_MAX 500u

struct world {
	struct kit *k;
	struct kit_dev *d, *d2;
	uint32_t ioas, ioas2;
	char *p;
	uint64_t iova;
};

struct picture {
	uint64_t pinned, frames;
	uint32_t next_id;
	unsigned areas, areas2, ranges;
	struct iommu_iova_range r[8];
	struct iommu_domain *dom, *dom2;
};

static void take_picture(struct world *w, struct picture *pic)
{
	struct physmap_stats st;

	memset(pic, 0, sizeof(*pic));
	iommufd_ctx_check(w->k->ctx);
	physmap_check(w->k->m->pm);
	physmap_stats(w->k->m->pm, &st);
	pic->pinned = account_pinned();
	pic->frames = st.pinned_pages;
	pic->next_id = kit_next_id(w->k);
	pic->areas = kit_areas(w->k, w->ioas);
	pic->areas2 = kit_areas(w->k, w->ioas2);
	pic->ranges = kit_ranges(w->k, w->ioas, pic->r, 8, NULL);
	pic->dom = w->d ? w->d->dev.group->domain : NULL;
	pic->dom2 = w->d2 ? w->d2->dev.group->domain : NULL;
}

typedef int (*step_fn)(struct world *w);

/* @undo takes a call that passed back; returns how many failures there were. */
static unsigned sweep(struct world *w, step_fn call, step_fn undo)
{
	struct picture before, after;
	unsigned failures = 0;

	take_picture(w, &before);
	for (int persistent = 0; persistent < 2; persistent++) {
		bool fired = true;

		for (unsigned n = 1; fired; n++) {
			int rc;

			assert_true(n < STEPS_MAX);
			fault_arm(n, persistent);
			rc = call(w);
			fault_disarm(&fired);
			if (!rc) {
				expect_rc(undo(w), 0);
			} else {
				if (!fired)
					print_message("%d without a fault: %s\n", rc, why_last());
				assert_true(fired);
				assert_true(rc == -ENOMEM || rc == -EFAULT);
				assert_string_not_equal(why_last(), "");
				failures++;
			}
			take_picture(w, &after);
			if (memcmp(&before, &after, sizeof(before)))
				print_message("after %s, step %u\n", fault_last(), n);
			assert_memory_equal(&before, &after, sizeof(before));
		}
	}
	assert_true(failures > 0);
	return failures;
}

static struct world *world(void **state, bool attach1, bool attach2)
{
	static struct world w;

	w = (struct world){ .k = *state };
	w.d = kit_device(w.k, -1);
	w.d2 = kit_device2(w.k);
	w.ioas = kit_ioas(w.k);
	w.ioas2 = kit_ioas(w.k);
	kit_bind(w.k, w.d);
	kit_bind(w.k, w.d2);
	if (attach1)
		kit_attach(w.d, w.ioas);
	if (attach2)
		kit_attach(w.d2, w.ioas);
	w.p = kit_buf(w.k, 4 * MIB, 2 * MIB);
	return &w;
}

/* Every other page of a file, so that no two pages are consecutive. */
static void scatter(struct world *w, size_t npages)
{
	int fd = memfd_create("scattered", 0);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)(2 * npages * P)), 0);
	for (size_t i = 0; i < npages; i++)
		assert_ptr_not_equal(mmap(w->p + i * P, P, PROT_READ | PROT_WRITE,
					  MAP_SHARED | MAP_FIXED, fd, (off_t)(2 * i * P)),
				     MAP_FAILED);
	close(fd);
}

static int do_allow(struct world *w)
{
	static const struct iommu_iova_range r[] = { { 0x1000, 0x1fff }, { 0x4000, 0x4fff } };
	struct iommu_ioas_allow_iovas c = { .size = sizeof(c),
					    .ioas_id = w->ioas,
					    .num_iovas = ARRAY_LEN(r),
					    .allowed_iovas = (uintptr_t)r };

	return kit_ioctl(w->k, IOMMU_IOAS_ALLOW_IOVAS, &c);
}

static int undo_allow(struct world *w)
{
	struct iommu_ioas_allow_iovas c = { .size = sizeof(c), .ioas_id = w->ioas };

	return kit_ioctl(w->k, IOMMU_IOAS_ALLOW_IOVAS, &c);
}

static void allow__fails_anywhere__undone(void **state)
{
	sweep(world(state, true, false), do_allow, undo_allow);
}

static int do_alloc(struct world *w)
{
	struct iommu_ioas_alloc c = { .size = sizeof(c) };
	int rc = kit_ioctl(w->k, IOMMU_IOAS_ALLOC, &c);

	w->iova = c.out_ioas_id;
	return rc;
}

static int undo_alloc(struct world *w)
{
	return kit_destroy(w->k, (uint32_t)w->iova);
}

static void alloc__fails_anywhere__undone(void **state)
{
	sweep(world(state, false, false), do_alloc, undo_alloc);
}

static int map_len(struct world *w, uint64_t len, uint32_t flags)
{
	struct iommu_ioas_map c = { .size = sizeof(c),
				    .flags = flags,
				    .ioas_id = w->ioas,
				    .user_va = (uintptr_t)w->p,
				    .length = len,
				    .iova = 0x40000000 };
	int rc = kit_ioctl(w->k, IOMMU_IOAS_MAP, &c);

	/* A copy-out that fails does not undo the map; that is the ABI. */
	if (rc == -EFAULT && kit_areas(w->k, w->ioas)) {
		uint64_t n = 0;
		unsigned passed;
		bool fired;

		passed = fault_disarm(&fired);
		(void)passed;
		expect_rc(kit_unmap(w->k, w->ioas, 0, MAX, &n), 0);
		fault_arm(1, false); /* the sweep disarms it */
		(void)fault_hit("copy-out");
	}
	w->iova = c.iova;
	return rc;
}

static int do_map_page(struct world *w)
{
	return map_len(w, P, FIXED | RW);
}

static int do_map_auto(struct world *w)
{
	return map_len(w, 5 * P, RW);
}

static int do_map_large(struct world *w)
{
	return map_len(w, 4 * MIB, RW);
}

static int do_map_many(struct world *w)
{
	return map_len(w, 20 * P, RW);
}

static int undo_map(struct world *w)
{
	return kit_unmap(w->k, w->ioas, 0, MAX, NULL);
}

static void map__no_domain__undone(void **state)
{
	sweep(world(state, false, false), do_map_page, undo_map);
}

static void map__one_domain__undone(void **state)
{
	struct world *w = world(state, true, false);

	sweep(w, do_map_page, undo_map);
	sweep(w, do_map_auto, undo_map);
	sweep(w, do_map_large, undo_map);
}

static void map__two_domains__undone(void **state)
{
	struct world *w = world(state, true, true);

	sweep(w, do_map_page, undo_map);
	sweep(w, do_map_large, undo_map);
}

static void map__many_batches__undone(void **state)
{
	struct world *w = world(state, true, true);

	scatter(w, 20);
	for (unsigned max = 1; max <= 64; max *= 8) {
		w->k->ctx->batch_max = max;
		sweep(w, do_map_many, undo_map);
	}
}

static int do_unmap(struct world *w)
{
	struct iommu_ioas_unmap c = {
		.size = sizeof(c), .ioas_id = w->ioas, .iova = 0x1000000, .length = 0x100000
	};
	int rc = kit_ioctl(w->k, IOMMU_IOAS_UNMAP, &c);

	/* It cannot fail but for its own struct; once done it is not undone. */
	if (rc == -EFAULT && kit_areas(w->k, w->ioas) == 0) {
		bool fired;

		fault_disarm(&fired);
		expect_rc(kit_map_at(w->k, w->ioas, 0x1000000, w->p, 3 * P), 0);
		fault_arm(1, false);
		(void)fault_hit("copy-out");
	}
	return rc;
}

static int undo_unmap(struct world *w)
{
	return kit_map_at(w->k, w->ioas, 0x1000000, w->p, 3 * P);
}

static void unmap__needs_no_memory__only_its_struct(void **state)
{
	struct world *w = world(state, true, true);

	expect_rc(kit_map_at(w->k, w->ioas, 0x1000000, w->p, 3 * P), 0);
	sweep(w, do_unmap, undo_unmap);
}

static int do_bind(struct world *w)
{
	return iommufd_device_bind(w->k->ctx, &w->k->d[2].dev, &w->k->d[2].idev, &w->k->d[2].id);
}

static int undo_bind(struct world *w)
{
	kit_unbind(&w->k->d[2]);
	return 0;
}

static void bind__fails_anywhere__undone(void **state)
{
	struct world *w = world(state, false, false);

	kit_device(w->k, -1);
	sweep(w, do_bind, undo_bind);
}

static int do_attach(struct world *w)
{
	uint32_t id = w->ioas;

	return iommufd_device_attach(w->d->idev, &id);
}

static int undo_attach(struct world *w)
{
	iommufd_device_detach(w->d->idev);
	return 0;
}

static void fill_ioas(struct world *w, uint32_t ioas)
{
	expect_rc(kit_map_at(w->k, ioas, 0x200000, w->p, 2 * MIB + P), 0);
	expect_rc(kit_map_at(w->k, ioas, 0x1000, w->p + P, P), 0);
	expect_rc(kit_map_at(w->k, ioas, 0x40000000, w->p, 3 * P), 0);
}

static void attach__first_domain__undone(void **state)
{
	struct world *w = world(state, false, false);

	fill_ioas(w, w->ioas);
	sweep(w, do_attach, undo_attach);
	scatter(w, 60);
	w->k->ctx->batch_max = 8;
	sweep(w, do_attach, undo_attach);
}

static void attach__second_domain__undone(void **state)
{
	struct world *w = world(state, false, true);

	fill_ioas(w, w->ioas);
	sweep(w, do_attach, undo_attach);
}

static int do_replace(struct world *w)
{
	uint32_t id = w->ioas2;

	return iommufd_device_replace(w->d->idev, &id);
}

static int undo_replace(struct world *w)
{
	uint32_t id = w->ioas;
	int rc = iommufd_device_replace(w->d->idev, &id);

	return rc;
}

/* The domain of a device that was replaced to and fro is another one of the same content. */
static void replace__fails_anywhere__undone(void **state)
{
	struct world *w = world(state, true, false);
	struct kit_dev *d = w->d;

	fill_ioas(w, w->ioas);
	fill_ioas(w, w->ioas2);
	for (int persistent = 0; persistent < 2; persistent++) {
		bool fired = true;

		for (unsigned n = 1; fired; n++) {
			struct picture before, after;
			unsigned char c = 0;
			int rc;

			take_picture(w, &before);
			fault_arm(n, persistent);
			rc = do_replace(w);
			fault_disarm(&fired);
			if (rc) {
				assert_true(fired);
				assert_int_equal(rc, -ENOMEM);
				take_picture(w, &after);
				assert_memory_equal(&before, &after, sizeof(before));
			} else {
				expect_rc(undo_replace(w), 0);
				take_picture(w, &after);
				assert_int_equal(after.pinned, before.pinned);
				assert_int_equal(after.next_id, before.next_id);
				assert_int_equal(after.ranges, before.ranges);
			}
			expect_rc(kit_dma_read(d, 0x1000, &c), 0);
			assert_int_equal(c, 2);
		}
	}
}

static int undo_copy(struct world *w)
{
	return kit_unmap(w->k, w->ioas, 0x1000000, 8 * P, NULL);
}

/* A copy-out that fails does not undo what was mapped; that is the ABI. */
static int unless_done(struct world *w, int rc)
{
	if (rc == -EFAULT && kit_areas(w->k, w->ioas)) {
		fault_disarm(NULL);
		expect_rc(undo_copy(w), 0);
		fault_arm(1, false); /* the sweep disarms it */
		(void)fault_hit("copy-out");
	}
	return rc;
}

static int do_copy(struct world *w)
{
	struct iommu_ioas_copy c = { .size = sizeof(c),
				     .flags = FIXED | RW,
				     .dst_ioas_id = w->ioas,
				     .src_ioas_id = w->ioas2,
				     .length = 8 * P,
				     .dst_iova = 0x1000000,
				     .src_iova = 0x10000 };

	return unless_done(w, kit_ioctl(w->k, IOMMU_IOAS_COPY, &c));
}

/* Three source areas into two domains; in small batches, so that later ones fail too. */
static void copy__fails_anywhere__undone(void **state)
{
	struct world *w = world(state, true, true);

	w->k->ctx->batch_max = 2;
	scatter(w, 8);
	expect_rc(kit_map_at(w->k, w->ioas2, 0x10000, w->p, 3 * P), 0);
	expect_rc(kit_map_at(w->k, w->ioas2, 0x13000, w->p + 3 * P, 4 * P), 0);
	expect_rc(kit_map_at(w->k, w->ioas2, 0x17000, w->p + 7 * P, P), 0);
	sweep(w, do_copy, undo_copy);
}

static int file;

static int do_map_file(struct world *w)
{
	struct iommu_ioas_map_file c = { .size = sizeof(c),
					 .flags = FIXED | RW,
					 .ioas_id = w->ioas,
					 .fd = file,
					 .length = 8 * P,
					 .iova = 0x1000000 };
	int rc = kit_ioctl(w->k, IOMMU_IOAS_MAP_FILE, &c);

	return unless_done(w, rc == -EMFILE ? -ENOMEM : rc);
}

static void map_file__fails_anywhere__undone(void **state)
{
	struct world *w = world(state, true, true);

	file = memfd_create("mapped", 0);
	assert_int_equal(ftruncate(file, 8 * P), 0);
	sweep(w, do_map_file, undo_copy);
	close(file);
}

static int do_hwpt_alloc(struct world *w)
{
	struct iommu_hwpt_alloc c = { .size = sizeof(c),
				      .flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
				      .dev_id = w->d->id,
				      .pt_id = w->ioas };
	int rc = kit_ioctl(w->k, IOMMU_HWPT_ALLOC, &c);

	w->iova = c.out_hwpt_id;
	return rc;
}

static void hwpt_alloc__fails_anywhere__undone(void **state)
{
	struct world *w = world(state, false, true);

	w->k->ctx->batch_max = 2;
	scatter(w, 8);
	expect_rc(kit_map_at(w->k, w->ioas, 0x10000, w->p, 5 * P), 0);
	expect_rc(kit_map_at(w->k, w->ioas, 0x20000, w->p + 5 * P, 3 * P), 0);
	sweep(w, do_hwpt_alloc, undo_alloc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(alloc__fails_anywhere__undone),
		KIT_TEST(allow__fails_anywhere__undone),
		KIT_TEST(copy__fails_anywhere__undone),
		KIT_TEST(map_file__fails_anywhere__undone),
		KIT_TEST(hwpt_alloc__fails_anywhere__undone),
		KIT_TEST(map__no_domain__undone),
		KIT_TEST(map__one_domain__undone),
		KIT_TEST(map__two_domains__undone),
		KIT_TEST(map__many_batches__undone),
		KIT_TEST(unmap__needs_no_memory__only_its_struct),
		KIT_TEST(bind__fails_anywhere__undone),
		KIT_TEST(attach__first_domain__undone),
		KIT_TEST(attach__second_domain__undone),
		KIT_TEST(replace__fails_anywhere__undone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
