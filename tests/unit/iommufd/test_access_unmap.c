// SPDX-License-Identifier: MIT
/* UNMAP under accesses: who is told, how often, and what if nobody lets go. */
#include "access_kit.h"

#include <sys/mman.h>
#include <unistd.h>

/* U-013 */
static void unmap__pinned__dropped_in_the_callback(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	char *p = kit_buf(k, 8 * P, P);
	uint64_t bytes = 0;
	struct holder h;

	expect_rc(kit_map_at(k, ioas, 0x10000, p, 4 * P), 0);
	expect_rc(kit_map_at(k, ioas, 0x14000, p + 4 * P, 4 * P), 0);
	holder_make(k, &h, &pin_ops, ioas);
	expect_rc(holder_pin(&h, 0x11000, 2 * P, PIN_WR), 0);
	expect_rc(kit_unmap(k, ioas, 0x10000, 4 * P, &bytes), 0);
	assert_int_equal(bytes, 4 * P);
	assert_int_equal(h.calls, 1);
	assert_true(h.iova == 0x10000 && h.length == 4 * P); /* the bounds of the area */
	assert_int_equal(h.npins, 0);
	kit_check(k, 0);
	expect_rc(kit_unmap(k, ioas, 0x14000, 4 * P, NULL), 0); /* not pinned: nobody is asked */
	assert_int_equal(h.calls, 1);
	iommufd_access_destroy(h.a);
}

static void unmap__pin_across_areas__all_of_it_dropped(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	char *p = kit_buf(k, 8 * P, P);
	uint64_t bytes = 0;
	struct holder h;

	expect_rc(kit_map_at(k, ioas, 0x10000, p, 2 * P), 0);
	expect_rc(kit_map_at(k, ioas, 0x12000, p + 2 * P, 2 * P), 0);
	holder_make(k, &h, &pin_ops, ioas);
	expect_rc(holder_pin(&h, 0x10000, 4 * P, PIN_RD), 0);
	expect_rc(holder_pin(&h, 0x13000, P, PIN_RD), 0);
	expect_rc(kit_unmap(k, ioas, 0x10000, 2 * P, NULL), 0);
	assert_int_equal(h.calls, 1);
	assert_int_equal(h.npins, 1);
	kit_check(k, 1);
	expect_rc(kit_unmap(k, ioas, 0, MAX, &bytes), 0);
	assert_int_equal(bytes, 2 * P);
	assert_int_equal(h.calls, 2);
	kit_check(k, 0);
	iommufd_access_destroy(h.a);
}

/* U-014, U-015 */
static void unmap__never_dropped__edeadlock_stays_mapped(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	char *p = kit_buf(k, 8 * P, P), c = 0;
	struct kit_dev *d = kit_device(k, -1);
	uint64_t pa[4], bytes = 0;
	unsigned char b = 0;
	struct holder h;

	kit_bind(k, d);
	kit_attach(d, ioas);
	expect_rc(kit_map_at(k, ioas, 0x8000, p + 4 * P, P), 0);
	expect_rc(kit_map_at(k, ioas, 0x10000, p, 4 * P), 0);
	holder_make(k, &h, &pin_ops, ioas);
	h.stubborn = true;
	expect_rc(holder_pin(&h, 0x10000, P, PIN_RD), 0);
	expect_rc(kit_unmap(k, ioas, 0x8000, 0x10000, &bytes), -EDEADLOCK);
	assert_int_equal(h.calls, 101);
	assert_int_equal(kit_areas(k, ioas), 1); /* the one below is gone */
	expect_rc(kit_dma_read(d, 0x8000, &b), -EFAULT);
	expect_rc(kit_dma_read(d, 0x11000, &b), 0);
	assert_int_equal(b, 2);
	kit_check(k, 4);
	expect_rc(iommufd_access_pin_pages(h.a, 0x10000, P, pa, PIN_RD), -EINVAL);
	expect_rc(iommufd_access_pin_pages(h.a, 0x12000, P, pa, PIN_RD), -EINVAL);
	expect_rc(iommufd_access_rw(h.a, 0x10000, &c, 1, PIN_RD), -EINVAL);
	expect_rc(kit_unmap(k, ioas, 0x10000, 4 * P, &bytes), -EDEADLOCK);
	assert_int_equal(h.calls, 202);
	holder_unpin(&h, 0x10000, P);
	expect_rc(iommufd_access_pin_pages(h.a, 0x10000, P, pa, PIN_RD), -EINVAL); /* lasting */
	expect_rc(kit_unmap(k, ioas, 0x10000, 4 * P, &bytes), 0);
	assert_int_equal(bytes, 4 * P);
	assert_int_equal(h.calls, 202);
	kit_check(k, 0);
	expect_rc(kit_map_at(k, ioas, 0x10000, p, 4 * P), 0); /* a new area is not refused */
	expect_rc(holder_pin(&h, 0x10000, P, PIN_RD), 0);
	h.stubborn = false;
	iommufd_access_destroy(h.a);
}

/* Rounds are counted per area: each may take many. */
static void let_go_late(struct holder *h)
{
	h->stubborn = h->calls % 90 != 0;
}

static void unmap__dropped_after_many_rounds_each__works(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	char *p = kit_buf(k, 8 * P, P);
	uint64_t bytes = 0;
	struct holder h;

	holder_make(k, &h, &pin_ops, ioas);
	h.also = let_go_late;
	for (unsigned i = 0; i < 3; i++) {
		expect_rc(kit_map_at(k, ioas, 0x10000 + i * 2 * P, p, P), 0);
		expect_rc(holder_pin(&h, 0x10000 + i * 2 * P, P, PIN_RD), 0);
	}
	expect_rc(kit_unmap(k, ioas, 0, MAX, &bytes), 0);
	assert_int_equal(bytes, 3 * P);
	assert_int_equal(h.calls, 270);
	kit_check(k, 0);
	h.also = NULL;
	h.stubborn = false;
	iommufd_access_destroy(h.a);
}

static void unmap__part_of_a_pinned_area__enoent_nobody_asked(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	char *p = kit_buf(k, 8 * P, P);
	struct holder h;

	expect_rc(kit_map_at(k, ioas, 0x10000, p, 4 * P), 0);
	holder_make(k, &h, &pin_ops, ioas);
	expect_rc(holder_pin(&h, 0x10000, P, PIN_RD), 0);
	expect_rc(kit_unmap(k, ioas, 0x10000, 2 * P, NULL), -ENOENT);
	assert_int_equal(h.calls, 0);
	expect_rc(holder_pin(&h, 0x11000, P, PIN_RD), 0); /* not refused */
	iommufd_access_destroy(h.a);
}

/* */
static void unmap__several_accesses__each_is_told_in_order(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k), other = kit_ioas(k);
	char *p = kit_buf(k, 8 * P, P);
	struct holder h[4], stranger;

	expect_rc(kit_map_at(k, ioas, 0x10000, p, 4 * P), 0);
	for (unsigned i = 0; i < 4; i++)
		holder_make(k, &h[i], i == 1 ? &copy_ops : &pin_ops, ioas);
	holder_make(k, &stranger, &pin_ops, other);
	expect_rc(holder_pin(&h[2], 0x10000, P, PIN_RD), 0);
	expect_rc(kit_unmap(k, ioas, 0, MAX, NULL), 0);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(h[i].calls, 1);
		assert_true(h[i].iova == 0x10000 && h[i].length == 4 * P);
	}
	assert_int_equal(stranger.calls, 0);
	for (unsigned i = 0; i < 4; i++)
		iommufd_access_destroy(h[i].a);
	iommufd_access_destroy(stranger.a);
	kit_check(k, 0);
}

/* An internal access is not told, and forbids UNMAP. */
static void unmap__locked_by_an_internal_access__ebusy(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	char *p = kit_buf(k, 8 * P, P);
	struct iommufd_access *in = NULL;
	struct ioas *obj;
	struct holder h;
	uint64_t pa;
	uint32_t id;

	expect_rc(kit_map_at(k, ioas, 0x10000, p, 4 * P), 0);
	holder_make(k, &h, &pin_ops, ioas);
	expect_rc(holder_pin(&h, 0x11000, P, PIN_RD), 0);
	id = kit_next_id(k);
	expect_rc(ioas_get(k->ctx, ioas, &obj), 0);
	expect_rc(access_create_internal(obj, &in), 0);
	object_put(&obj->obj);
	assert_int_equal(in->obj.id, id);
	expect_rc(kit_destroy(k, id), -EBUSY);
	expect_rc(iommufd_access_pin_pages(in, 0x10000, P, &pa, PIN_WR), 0);
	expect_rc(kit_unmap(k, ioas, 0x10000, 4 * P, NULL), -EBUSY);
	expect_rc(kit_unmap(k, ioas, 0x10000, 2 * P, NULL), -EBUSY);
	assert_int_equal(h.calls, 0);
	kit_check(k, 2);
	iommufd_access_unpin_pages(in, 0x10000, P);
	expect_rc(kit_unmap(k, ioas, 0x10000, 4 * P, NULL), 0);
	assert_int_equal(h.calls, 1);
	iommufd_access_destroy(in);
	iommufd_access_destroy(h.a);
	kit_check(k, 0);
	expect_rc(kit_map_at(k, ioas, 0x10800, p, P), 0);
	expect_rc(ioas_get(k->ctx, ioas, &obj), 0);
	expect_rc(access_create_internal(obj, &in), -EADDRINUSE);
	object_put(&obj->obj);
	assert_int_equal(kit_next_id(k), h.id);
}

static void fill_pattern(char *buf, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf[i] = (char)(i * 7 + i / 251);
}

static void rw_across(struct kit *k, struct holder *h, char *p, unsigned flags)
{
	static char in[4 * P], out[4 * P];
	static const struct {
		uint64_t off, len;
	} r[] = { { 0, 1 },        { 4095, 1 }, { 4095, 2 },      { 100, 4 * P - 100 },
		  { 0, 4 * P },    { 2047, 2 }, { 2 * P - 1, 2 }, { P + 5, 2 * P },
		  { 4 * P - 1, 1 } };

	for (unsigned i = 0; i < ARRAY_LEN(r); i++) {
		fill_pattern(in, sizeof(in));
		memset(p, 0x55, 4 * P);
		expect_rc(iommufd_access_rw(h->a, 0x10000 + r[i].off, in, r[i].len, flags | PIN_WR),
			  0);
		for (uint64_t b = 0; b < 4 * P; b++)
			assert_int_equal(p[b], b >= r[i].off && b < r[i].off + r[i].len
						       ? in[b - r[i].off]
						       : 0x55);
		memset(out, 0, sizeof(out));
		expect_rc(iommufd_access_rw(h->a, 0x10000 + r[i].off, out, r[i].len, flags), 0);
		assert_memory_equal(out, in, r[i].len);
		kit_check(k, 0);
	}
}

/* */
static void rw__any_bytes_across_pages_and_areas__exact(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	char *p = kit_buf(k, 8 * P, P);
	struct holder h;

	expect_rc(kit_map_at(k, ioas, 0x10000, p, P + 100), 0);
	expect_rc(kit_map_at(k, ioas, 0x11064, p + P + 100, P), 0);
	expect_rc(kit_map_at(k, ioas, 0x12064, p + 2 * P + 100, 2 * P - 100), 0);
	holder_make(k, &h, &copy_ops, ioas);
	rw_across(k, &h, p, 0);
	for (k->ctx->batch_max = 1; k->ctx->batch_max <= 64; k->ctx->batch_max *= 64)
		rw_across(k, &h, p, IOMMUFD_ACCESS_SLOW);
	k->ctx->batch_max = 64;
	expect_rc(iommufd_access_rw(h.a, 0x10000, p, 0, 0), -EINVAL);
	expect_rc(iommufd_access_rw(h.a, MAX, p, 2, 0), -EOVERFLOW);
	expect_rc(iommufd_access_rw(h.a, 0x9000, p, 2, 0), -ENOENT);
	iommufd_access_detach(h.a);
	expect_rc(iommufd_access_rw(h.a, 0x10000, p, 2, 0), -ENOENT);
	iommufd_access_destroy(h.a);
}

/* */
static void rw__partly_mapped__enoent_leading_part_copied(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	char *p = kit_buf(k, 4 * P, P), buf[16];
	struct holder h;

	expect_rc(kit_map_at(k, ioas, 0x10000, p, P), 0);
	holder_make(k, &h, &pin_ops, ioas);
	memset(buf, 0, sizeof(buf));
	expect_rc(iommufd_access_rw(h.a, 0x10ff8, buf, 16, PIN_RD), -ENOENT);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(buf[i], i < 8 ? 1 : 0);
	memset(buf, 9, sizeof(buf));
	expect_rc(iommufd_access_rw(h.a, 0x10ff8, buf, 16, PIN_WR), -ENOENT);
	assert_int_equal(p[P - 1], 9);
	assert_int_equal(p[P], 2);
	iommufd_access_destroy(h.a);
}

/* Slowly, and with a pin, a domain, or nothing there: the same bytes, and pins as before. */
static void rw__pages_in_other_tiers__read_there(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	struct kit_dev *d = kit_device(k, -1);
	char *p = kit_buf(k, 8 * P, P), buf[3 * P];
	struct holder h;

	expect_rc(kit_map_at(k, ioas, 0x10000, p, 6 * P), 0);
	holder_make(k, &h, &pin_ops, ioas);
	expect_rc(holder_pin(&h, 0x12000, P, PIN_RD), 0);
	expect_rc(iommufd_access_rw(h.a, 0x11800, buf, 2 * P, IOMMUFD_ACCESS_SLOW), 0);
	assert_memory_equal(buf, p + P + 0x800, 2 * P);
	kit_check(k, 1);
	kit_bind(k, d);
	kit_attach(d, ioas);
	memset(buf, 0x77, sizeof(buf));
	expect_rc(iommufd_access_rw(h.a, 0x10001, buf, sizeof(buf), IOMMUFD_ACCESS_SLOW | PIN_WR),
		  0);
	assert_memory_equal(buf, p + 1, sizeof(buf));
	kit_check(k, 6);
	kit_detach(d);
	kit_check(k, 1);
	iommufd_access_destroy(h.a);
}

/* A file has no address here: copies go through the tiers. */
static void rw__memory_of_a_file__by_the_tiers(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	int fd = memfd_create("access", 0);
	struct iommu_ioas_map_file c = { .size = sizeof(c),
					 .flags = FIXED | RW,
					 .ioas_id = ioas,
					 .fd = fd,
					 .start = P,
					 .length = 4 * P,
					 .iova = 0x10000 };
	struct holder h;
	char *p;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 5 * P), 0);
	expect_rc(kit_ioctl(k, IOMMU_IOAS_MAP_FILE, &c), 0);
	p = mmap(NULL, 5 * P, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	holder_make(k, &h, &pin_ops, ioas);
	rw_across(k, &h, p + P, 0);
	for (unsigned i = 0; i < 4; i++)
		p[(1 + i) * P] = (char)(40 + i);
	expect_rc(holder_pin(&h, 0x11000, 2 * P, PIN_WR), 0);
	kit_check(k, 2);
	assert_int_equal(physmap_pins(k->m->pm, h.pa[1]), 1);
	expect_rc(iommufd_access_rw(h.a, 0x12000, &h.rc, 1, 0), 0);
	assert_int_equal(*(char *)&h.rc, 42);
	munmap(p, 5 * P);
	close(fd);
	expect_rc(iommufd_access_rw(h.a, 0x13000, &h.rc, 1, 0), 0);
	assert_int_equal(*(char *)&h.rc, 43);
	kit_check(k, 2);
	expect_rc(kit_unmap(k, ioas, 0, MAX, NULL), 0);
	kit_check(k, 0);
	iommufd_access_destroy(h.a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(unmap__pinned__dropped_in_the_callback),
		KIT_TEST(unmap__pin_across_areas__all_of_it_dropped),
		KIT_TEST(unmap__never_dropped__edeadlock_stays_mapped),
		KIT_TEST(unmap__dropped_after_many_rounds_each__works),
		KIT_TEST(unmap__part_of_a_pinned_area__enoent_nobody_asked),
		KIT_TEST(unmap__several_accesses__each_is_told_in_order),
		KIT_TEST(unmap__locked_by_an_internal_access__ebusy),
		KIT_TEST(rw__any_bytes_across_pages_and_areas__exact),
		KIT_TEST(rw__partly_mapped__enoent_leading_part_copied),
		KIT_TEST(rw__pages_in_other_tiers__read_there),
		KIT_TEST(rw__memory_of_a_file__by_the_tiers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
