// SPDX-License-Identifier: MIT
/* Accesses: attaching, moving, pinning, being told. */
#include "access_kit.h"

#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct ioas *ioas_of(struct kit *k, uint32_t id)
{
	struct ioas *ioas = NULL;

	expect_rc(ioas_get(k->ctx, id, &ioas), 0);
	object_put(&ioas->obj);
	return ioas;
}

static void create__ops_that_pin_without_unmap__einval(void **state)
{
	static const struct iommufd_access_ops bad = { true, NULL };
	struct iommufd_access *a = NULL;
	struct kit *k = *state;
	uint32_t id = 7, next = kit_next_id(k);

	expect_rc(iommufd_access_create(k->ctx, &bad, NULL, &a, &id), -EINVAL);
	assert_null(a);
	assert_int_equal(id, 7);
	assert_int_equal(kit_next_id(k), next);
}

static void destroy_ioctl__an_access__ebusy(void **state)
{
	struct kit *k = *state;
	struct holder h;
	uint32_t next = kit_next_id(k);

	holder_make(k, &h, &pin_ops, 0);
	assert_int_equal(h.id, next);
	expect_rc(kit_destroy(k, h.id), -EBUSY);
	iommufd_access_destroy(h.a);
	expect_rc(kit_destroy(k, h.id), -ENOENT);
	assert_int_equal(kit_next_id(k), next);
	assert_int_equal(h.calls, 0); /* it was not attached */
}

/* */
static void attach__bad_id_or_twice__enoent_einval(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k), ioas2 = kit_ioas(k);
	struct holder h;

	holder_make(k, &h, &pin_ops, 0);
	expect_rc(iommufd_access_attach(h.a, 999), -ENOENT);
	expect_rc(iommufd_access_attach(h.a, h.id), -ENOENT); /* no ioas */
	expect_rc(iommufd_access_attach(h.a, ioas), 0);
	expect_rc(iommufd_access_attach(h.a, ioas), -EINVAL);
	expect_rc(iommufd_access_attach(h.a, ioas2), -EINVAL);
	expect_rc(iommufd_access_attach(h.a, 999), -EINVAL);
	expect_rc(kit_destroy(k, ioas), -EBUSY);
	expect_rc(kit_destroy(k, ioas2), 0);
	iommufd_access_detach(h.a);
	assert_int_equal(h.calls, 1);
	assert_true(h.iova == 0 && h.length == MAX);
	expect_rc(kit_destroy(k, ioas), 0);
	iommufd_access_detach(h.a); /* nothing happens */
	assert_int_equal(h.calls, 1);
	iommufd_access_destroy(h.a);
	assert_int_equal(h.calls, 1);
}

/* */
static void replace__unattached_or_same__enoent_or_nothing(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	struct holder h;

	holder_make(k, &h, &pin_ops, 0);
	expect_rc(iommufd_access_replace(h.a, ioas), -ENOENT);
	expect_rc(iommufd_access_attach(h.a, ioas), 0);
	expect_rc(iommufd_access_replace(h.a, 999), -ENOENT);
	expect_rc(iommufd_access_replace(h.a, ioas), 0);
	assert_int_equal(h.calls, 0);
	assert_int_equal(object_users(&ioas_of(k, ioas)->obj), 2);
	iommufd_access_destroy(h.a);
	assert_int_equal(h.calls, 1);
	expect_rc(kit_destroy(k, ioas), 0);
}

static uint32_t busy_ioas;
static struct kit *busy_kit;

static void see_old_busy(struct holder *h)
{
	h->rc = kit_destroy(busy_kit, busy_ioas);
}

/* */
static void replace__another__one_callback_then_old_is_free(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k), ioas2 = kit_ioas(k);
	char *p = kit_buf(k, 4 * P, P);
	struct holder h;

	expect_rc(kit_map_at(k, ioas, 0x10000, p, 4 * P), 0);
	expect_rc(kit_map_at(k, ioas2, 0x10000, p, 4 * P), 0);
	holder_make(k, &h, &pin_ops, ioas);
	expect_rc(holder_pin(&h, 0x10000, 2 * P, PIN_RD), 0);
	kit_check(k, 2);
	busy_kit = k;
	busy_ioas = ioas;
	h.also = see_old_busy;
	expect_rc(iommufd_access_replace(h.a, ioas2), 0);
	h.also = NULL;
	assert_int_equal(h.rc, -EBUSY);
	assert_int_equal(h.calls, 1);
	assert_true(h.iova == 0 && h.length == MAX);
	kit_check(k, 0);
	expect_rc(kit_destroy(k, ioas), 0);
	expect_rc(holder_pin(&h, 0x10000, P, PIN_RD), 0);
	iommufd_access_destroy(h.a);
	kit_check(k, 0);
}

/* The list id of the old IOAS is the one it was given there. */
static void replace__list_ids_differ__the_right_one_leaves(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k), ioas2 = kit_ioas(k);
	struct holder h[3], g;

	for (unsigned i = 0; i < 3; i++) {
		holder_make(k, &h[i], &copy_ops, ioas);
		assert_int_equal(h[i].a->list_id, i);
	}
	holder_make(k, &g, &copy_ops, ioas2);
	expect_rc(iommufd_access_replace(h[1].a, ioas2), 0);
	assert_int_equal(h[1].a->list_id, 1);
	assert_int_equal(ioas_of(k, ioas)->iopt.accesses.count, 2);
	expect_rc(iommufd_access_replace(h[2].a, ioas2), 0); /* from 2 to 2 */
	assert_int_equal(h[2].a->list_id, 2);
	expect_rc(iommufd_access_replace(g.a, ioas), 0); /* lowest free: 1 */
	assert_int_equal(g.a->list_id, 1);
	kit_check(k, 0);
	expect_rc(iommufd_access_replace(h[0].a, ioas2), 0);
	assert_int_equal(h[0].a->list_id, 0);
	kit_check(k, 0);
	for (unsigned i = 0; i < 3; i++)
		iommufd_access_destroy(h[i].a);
	iommufd_access_destroy(g.a);
	expect_rc(kit_destroy(k, ioas), 0);
	expect_rc(kit_destroy(k, ioas2), 0);
}

/* */
static void replace__unaligned_mappings_there__eaddrinuse_stays(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k), ioas2 = kit_ioas(k);
	char *p = kit_buf(k, 4 * P, P);
	struct holder h;

	expect_rc(kit_map_at(k, ioas, 0x10000, p, 2 * P), 0);
	expect_rc(kit_map_at(k, ioas2, 0x10800, p, P), 0);
	holder_make(k, &h, &pin_ops, ioas);
	expect_rc(holder_pin(&h, 0x10000, P, PIN_WR), 0);
	expect_rc(iommufd_access_replace(h.a, ioas2), -EADDRINUSE);
	assert_int_equal(h.calls, 0);
	assert_int_equal(ioas_alignment(k, ioas2), 1);
	assert_int_equal(object_users(&ioas_of(k, ioas2)->obj), 1);
	expect_rc(holder_pin(&h, 0x11000, P, PIN_WR), 0);
	kit_check(k, 2);
	iommufd_access_destroy(h.a);
	kit_check(k, 0);
}

/* */
static void attach__alignment__page_only_while_one_pins(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	char *p = kit_buf(k, 4 * P, P);
	uint64_t at = 0x800;
	struct holder c, h, h2;

	holder_make(k, &c, &copy_ops, ioas);
	assert_int_equal(ioas_alignment(k, ioas), 1);
	holder_make(k, &h, &pin_ops, ioas);
	assert_int_equal(ioas_alignment(k, ioas), P);
	expect_rc(kit_map(k, ioas, FIXED | RW, p, P, &at), -EINVAL);
	holder_make(k, &h2, &pin_ops, ioas);
	iommufd_access_detach(h.a);
	assert_int_equal(ioas_alignment(k, ioas), P);
	iommufd_access_destroy(h2.a);
	assert_int_equal(ioas_alignment(k, ioas), 1);
	expect_rc(kit_map(k, ioas, FIXED | RW, p, P, &at), 0);
	kit_check(k, 0);
	iommufd_access_destroy(h.a);
	iommufd_access_destroy(c.a);
}

/* */
static void attach__unaligned_mapping__eaddrinuse(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	char *p = kit_buf(k, 4 * P, P);
	struct holder h, c;

	expect_rc(kit_map_at(k, ioas, 0x10000, p + 2048, P), 0);
	holder_make(k, &h, &pin_ops, 0);
	expect_rc(iommufd_access_attach(h.a, ioas), -EADDRINUSE);
	assert_int_equal(ioas_of(k, ioas)->iopt.accesses.count, 0);
	assert_int_equal(ioas_alignment(k, ioas), 1);
	holder_make(k, &c, &copy_ops, ioas);
	assert_int_equal(c.a->list_id, 0);
	iommufd_access_destroy(c.a);
	iommufd_access_destroy(h.a);
	expect_rc(kit_destroy(k, ioas), 0);
}

/* */
static void pin__bad_ranges__in_order(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	char *p = kit_buf(k, 8 * P, P);
	struct holder h, c;

	holder_make(k, &h, &pin_ops, 0);
	holder_make(k, &c, &copy_ops, ioas);
	expect_rc(holder_pin(&h, 0x10000, 0, PIN_RD), -EINVAL);
	expect_rc(holder_pin(&h, MAX, 2, PIN_RD), -EOVERFLOW);
	expect_rc(holder_pin(&h, 0x10000, P, PIN_RD), -ENOENT);
	expect_rc(iommufd_access_attach(h.a, ioas), 0);
	expect_rc(kit_map_at(k, ioas, 0x10000, p, 2 * P), 0);
	expect_rc(kit_map_at(k, ioas, 0x13000, p, 2 * P), 0);
	expect_rc(kit_map_at(k, ioas, 0x15000, p + 2 * P, 2 * P), 0);
	expect_rc(holder_pin(&h, 0x10000, 0, PIN_RD), -EINVAL);
	expect_rc(holder_pin(&h, MAX, 1, PIN_RD), -ENOENT);
	expect_rc(holder_pin(&h, 0x10000, 3 * P, PIN_RD), -ENOENT);
	expect_rc(holder_pin(&h, 0x12000, P, PIN_RD), -ENOENT);
	expect_rc(holder_pin(&h, 0x11000, 3 * P, PIN_RD), -ENOENT); /* a hole in the middle */
	expect_rc(holder_pin(&h, 0x14000, 4 * P, PIN_RD), -ENOENT); /* past the end */
	expect_rc(holder_pin(&c, 0x10000, P, PIN_RD), -EINVAL);     /* not made to pin */
	kit_check(k, 0);
	expect_rc(holder_pin(&h, 0x14000, 2 * P, PIN_RD), 0); /* across two areas */
	kit_check(k, 2);
	iommufd_access_destroy(h.a);
	iommufd_access_destroy(c.a);
	kit_check(k, 0);
}

/* */
static void pin__protection__eperm(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	char *p = kit_buf(k, 4 * P, P), c = 0;
	uint64_t ro = 0x10000, wo = 0x20000;
	struct holder h;

	expect_rc(kit_map(k, ioas, FIXED | RD, p, P, &ro), 0);
	expect_rc(kit_map(k, ioas, FIXED | WR, p + P, P, &wo), 0);
	holder_make(k, &h, &pin_ops, ioas);
	expect_rc(holder_pin(&h, ro, P, PIN_WR), -EPERM);
	expect_rc(holder_pin(&h, wo, P, PIN_RD), -EPERM);
	expect_rc(iommufd_access_rw(h.a, ro, &c, 1, PIN_WR), -EPERM);
	expect_rc(iommufd_access_rw(h.a, wo, &c, 1, PIN_RD), -EPERM);
	kit_check(k, 0);
	expect_rc(holder_pin(&h, ro, P, PIN_RD), 0);
	expect_rc(holder_pin(&h, wo, P, PIN_WR), 0);
	kit_check(k, 2);
	iommufd_access_destroy(h.a);
}

/* */
static void pin__within_a_page__start_einval_end_fine(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	char *p = kit_buf(k, 4 * P, P);
	struct holder h;

	expect_rc(kit_map_at(k, ioas, 0x10000, p, 2 * P), 0);
	expect_rc(kit_map_at(k, ioas, 0x12000, p + 2 * P, 2 * P), 0);
	holder_make(k, &h, &pin_ops, ioas);
	expect_rc(holder_pin(&h, 0x10800, P, PIN_RD), -EINVAL);
	expect_rc(holder_pin(&h, 0x10001, 1, PIN_RD), -EINVAL);
	kit_check(k, 0);
	expect_rc(holder_pin(&h, 0x10000, 1, PIN_RD), 0);
	assert_int_equal(h.pa[0], (uintptr_t)p);
	kit_check(k, 1);
	expect_rc(holder_pin(&h, 0x11000, P + 100, PIN_RD), 0);
	assert_int_equal(h.pa[0], (uintptr_t)p + P);
	assert_int_equal(h.pa[1], (uintptr_t)p + 2 * P);
	kit_check(k, 3);
	holder_unpin(&h, 0x11000, P + 100);
	kit_check(k, 1);
	iommufd_access_destroy(h.a);
	kit_check(k, 0);
}

/* */
static void pin__area_that_ends_inside_a_page__einval(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k), src = kit_ioas(k);
	char *p = kit_buf(k, 4 * P, P);
	struct holder h;

	expect_rc(kit_map_at(k, src, 0x10000, p, 2048), 0);
	expect_rc(kit_map_at(k, src, 0x10800, p + P, 2048), 0);
	holder_make(k, &h, &pin_ops, ioas);
	expect_rc(kit_copy(k, ioas, 0x40000, src, 0x10000, P), 0);
	expect_rc(holder_pin(&h, 0x40000, P, PIN_RD), -EINVAL);
	kit_check(k, 0);
	expect_rc(holder_pin(&h, 0x40000, 2048, PIN_RD), 0);
	kit_check(k, 1);
	iommufd_access_destroy(h.a);
	kit_check(k, 0);
}

/* */
static void pin__same_range_twice__one_charge(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	char *p = kit_buf(k, 4 * P, P);
	struct holder h, g;

	expect_rc(kit_map_at(k, ioas, 0x10000, p, 4 * P), 0);
	holder_make(k, &h, &pin_ops, ioas);
	holder_make(k, &g, &pin_ops, ioas);
	expect_rc(holder_pin(&h, 0x10000, 2 * P, PIN_RD), 0);
	kit_check(k, 2);
	expect_rc(holder_pin(&h, 0x10000, 2 * P, PIN_WR), 0);
	expect_rc(holder_pin(&g, 0x10000, 2 * P, PIN_WR), 0);
	assert_int_equal(g.pa[1], (uintptr_t)p + P);
	kit_check(k, 2);
	assert_int_equal(physmap_pins(k->m->pm, (uintptr_t)p), 1);
	holder_unpin(&h, 0x10000, 2 * P);
	holder_unpin(&h, 0x10000, 2 * P);
	kit_check(k, 2);
	holder_unpin(&g, 0x10000, 2 * P);
	kit_check(k, 0);
	assert_int_equal(physmap_pins(k->m->pm, (uintptr_t)p), 0);
	iommufd_access_destroy(h.a);
	iommufd_access_destroy(g.a);
}

/* */
static void pin__overlapping_ranges__the_union_once(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	char *p = kit_buf(k, 8 * P, P);
	struct holder h;

	expect_rc(kit_map_at(k, ioas, 0x10000, p, 8 * P), 0);
	holder_make(k, &h, &pin_ops, ioas);
	expect_rc(holder_pin(&h, 0x10000, 4 * P, PIN_RD), 0);
	expect_rc(holder_pin(&h, 0x12000, 4 * P, PIN_RD), 0);
	kit_check(k, 6);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(h.pa[i], (uintptr_t)p + (2 + i) * P);
	expect_rc(holder_pin(&h, 0x11000, P, PIN_RD), 0);
	kit_check(k, 6);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(physmap_pins(k->m->pm, (uintptr_t)p + i * P), 1);
	holder_unpin(&h, 0x10000, 4 * P);
	kit_check(k, 5); /* 1, and 2..5 */
	assert_int_equal(physmap_pins(k->m->pm, (uintptr_t)p), 0);
	assert_int_equal(physmap_pins(k->m->pm, (uintptr_t)p + P), 1);
	holder_unpin(&h, 0x12000, 4 * P);
	kit_check(k, 1);
	iommufd_access_destroy(h.a);
	kit_check(k, 0);
}

/* */
static void pin__then_a_domain__one_unpin_at_the_end(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	char *p = kit_buf(k, 4 * P, P);
	struct kit_dev *d = kit_device(k, -1);
	unsigned char c = 0;
	struct holder h;

	kit_bind(k, d);
	expect_rc(kit_map_at(k, ioas, 0x10000, p, 4 * P), 0);
	holder_make(k, &h, &pin_ops, ioas);
	expect_rc(holder_pin(&h, 0x11000, 2 * P, PIN_WR), 0);
	kit_check(k, 2);
	kit_attach(d, ioas);
	kit_check(k, 4);
	expect_rc(kit_dma_read(d, 0x12000, &c), 0);
	assert_int_equal(c, 3);
	holder_unpin(&h, 0x11000, 2 * P);
	kit_check(k, 4);
	assert_int_equal(physmap_pins(k->m->pm, (uintptr_t)p + P), 1);
	expect_rc(holder_pin(&h, 0x11000, P, PIN_WR), 0); /* from the domain */
	kit_check(k, 4);
	kit_detach(d);
	kit_check(k, 1);
	holder_unpin(&h, 0x11000, P);
	kit_check(k, 0);
	iommufd_access_destroy(h.a);
}

/* */
static void pin__fails_half_way__earlier_areas_unpinned(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	char *p = kit_buf(k, 8 * P, P);
	struct holder h;

	expect_rc(kit_map_at(k, ioas, 0x10000, p, 2 * P), 0);
	expect_rc(kit_map_at(k, ioas, 0x12000, p + 2 * P, 4 * P), 0);
	assert_int_equal(munmap(p + 4 * P, P), 0);
	holder_make(k, &h, &pin_ops, ioas);
	expect_rc(holder_pin(&h, 0x10000, 6 * P, PIN_WR), -EFAULT);
	kit_check(k, 0);
	assert_int_equal(physmap_pins(k->m->pm, (uintptr_t)p), 0);
	expect_rc(kit_unmap(k, ioas, 0x10000, 2 * P, NULL), 0);
	assert_int_equal(h.calls, 0); /* nothing was left of it */
	iommufd_access_destroy(h.a);
}

static int in_callback(struct holder *h)
{
	uint64_t pa[4];

	return iommufd_access_pin_pages(h->a, 0x10000, P, pa, PIN_RD);
}

static void try_pin(struct holder *h)
{
	h->rc = in_callback(h);
}

/* */
static void replace__pin_in_callback__enoent_unpin_works(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k), ioas2 = kit_ioas(k);
	char *p = kit_buf(k, 4 * P, P);
	struct holder h;

	expect_rc(kit_map_at(k, ioas, 0x10000, p, P), 0);
	expect_rc(kit_map_at(k, ioas2, 0x10000, p, P), 0);
	holder_make(k, &h, &pin_ops, ioas);
	expect_rc(holder_pin(&h, 0x10000, P, PIN_RD), 0);
	h.also = try_pin;
	expect_rc(iommufd_access_replace(h.a, ioas2), 0);
	assert_int_equal(h.rc, -ENOENT);
	assert_int_equal(h.npins, 0);
	kit_check(k, 0);
	expect_rc(kit_destroy(k, ioas), 0);
	h.also = NULL;
	expect_rc(holder_pin(&h, 0x10000, P, PIN_RD), 0);
	iommufd_access_destroy(h.a);
}

/* A-024, as far as one process can see it: the memory is gone. */
static void pin__memory_gone__efault_unless_pinned(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	char *p = kit_buf(k, 4 * P, P);
	struct holder h, g;

	expect_rc(kit_map_at(k, ioas, 0x10000, p, 4 * P), 0);
	holder_make(k, &h, &pin_ops, ioas);
	holder_make(k, &g, &pin_ops, ioas);
	expect_rc(holder_pin(&h, 0x10000, 2 * P, PIN_RD), 0);
	expect_rc(vma_unmapping((uintptr_t)p, 4 * P), 0);
	assert_int_equal(munmap(p, 4 * P), 0);
	expect_rc(holder_pin(&g, 0x12000, P, PIN_RD), -EFAULT);
	expect_rc(holder_pin(&g, 0x10000, 3 * P, PIN_RD), -EFAULT);
	expect_rc(holder_pin(&g, 0x10000, 2 * P, PIN_RD), 0); /* the same range */
	expect_rc(holder_pin(&g, 0x11000, P, PIN_RD), 0);     /* within it */
	kit_check(k, 2);
	iommufd_access_destroy(h.a);
	kit_check(k, 2);
	iommufd_access_destroy(g.a);
	kit_check(k, 0);
}

static void unpin__never_pinned__no_effect(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	char *p = kit_buf(k, 4 * P, P);
	struct holder h;

	expect_rc(kit_map_at(k, ioas, 0x10000, p, 4 * P), 0);
	holder_make(k, &h, &pin_ops, 0);
	iommufd_access_unpin_pages(h.a, 0x10000, P);
	expect_rc(iommufd_access_attach(h.a, ioas), 0);
	iommufd_access_unpin_pages(h.a, 0x10000, P);
	iommufd_access_unpin_pages(h.a, 0x10000, 0);
	iommufd_access_unpin_pages(h.a, MAX, P);
	expect_rc(holder_pin(&h, 0x10000, 2 * P, PIN_RD), 0);
	iommufd_access_unpin_pages(h.a, 0x10000, P); /* not that range */
	kit_check(k, 2);
	iommufd_access_destroy(h.a);
	kit_check(k, 0);
}

/* C-014 */
static void copy__of_pinned_memory__no_new_pin_or_charge(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k), dst = kit_ioas(k);
	struct kit_dev *d = kit_device(k, -1);
	char *p = kit_buf(k, 4 * P, P);
	unsigned char c = 0;
	struct holder h;

	kit_bind(k, d);
	kit_attach(d, dst);
	expect_rc(kit_map_at(k, ioas, 0x10000, p, 4 * P), 0);
	holder_make(k, &h, &pin_ops, ioas);
	expect_rc(holder_pin(&h, 0x10000, 4 * P, PIN_RD), 0);
	kit_check(k, 4);
	expect_rc(vma_unmapping((uintptr_t)p, 4 * P), 0);
	assert_int_equal(munmap(p, 4 * P), 0); /* what is pinned needs no source any more */
	expect_rc(kit_copy(k, dst, 0x40000, ioas, 0x10000, 4 * P), 0);
	kit_check(k, 4);
	assert_int_equal(physmap_pins(k->m->pm, h.pa[0]), 1);
	expect_rc(kit_dma_read(d, 0x42000, &c), 0);
	assert_int_equal(c, 3);
	expect_rc(kit_unmap(k, ioas, 0x10000, 4 * P, NULL), 0);
	assert_int_equal(h.npins, 0);
	kit_check(k, 4);
	expect_rc(kit_dma_read(d, 0x43000, &c), 0);
	assert_int_equal(c, 4);
	kit_detach(d);
	kit_check(k, 0);
	iommufd_access_destroy(h.a);
}

/* A pin through one copy is seen by the other: one pages object, one pin. */
static void pin__two_areas_of_one_pages_object__one_pin(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k), dst = kit_ioas(k);
	char *p = kit_buf(k, 4 * P, P);
	struct holder h, g;

	expect_rc(kit_map_at(k, ioas, 0x10000, p, 4 * P), 0);
	expect_rc(kit_copy(k, dst, 0x40000, ioas, 0x11000, 2 * P), 0);
	holder_make(k, &h, &pin_ops, ioas);
	holder_make(k, &g, &pin_ops, dst);
	expect_rc(holder_pin(&h, 0x11000, 2 * P, PIN_RD), 0);
	expect_rc(holder_pin(&g, 0x40000, 2 * P, PIN_WR), 0);
	kit_check(k, 2);
	expect_rc(kit_unmap(k, ioas, 0x10000, 4 * P, NULL), 0);
	assert_int_equal(h.calls, 1);
	assert_int_equal(g.calls, 0);
	kit_check(k, 2);
	expect_rc(holder_pin(&g, 0x41000, P, PIN_WR), 0);
	expect_rc(kit_unmap(k, dst, 0x40000, 2 * P, NULL), 0);
	kit_check(k, 0);
	iommufd_access_destroy(h.a);
	iommufd_access_destroy(g.a);
}

static void attach__every_list_id_taken__ebusy(void **state)
{
	static const struct iommufd_access_ops ops = { false, NULL };
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k), id;
	struct iommufd_access **a = mem_zalloc(ACCESS_LIST_IDS * sizeof(struct iommufd_access *));
	struct holder h;

	assert_non_null(a);
	for (uint32_t i = 0; i < ACCESS_LIST_IDS; i++) {
		if (iommufd_access_create(k->ctx, &ops, NULL, &a[i], &id) ||
		    iommufd_access_attach(a[i], ioas) || a[i]->list_id != i)
			fail();
	}
	holder_make(k, &h, &copy_ops, 0);
	expect_rc(iommufd_access_attach(h.a, ioas), -EBUSY);
	assert_null(h.a->ioas);
	iommufd_access_destroy(a[4711]);
	a[4711] = NULL;
	expect_rc(iommufd_access_attach(h.a, ioas), 0);
	assert_int_equal(h.a->list_id, 4711);
	for (uint32_t i = 0; i < ACCESS_LIST_IDS; i++)
		if (a[i])
			iommufd_access_destroy(a[i]);
	iommufd_access_destroy(h.a);
	assert_int_equal(ioas_of(k, ioas)->iopt.accesses.count, 0);
	mem_free(a);
}

/* The context closes with its last access, not with its file. */
static void close__an_access_is_left__works_until_it_goes(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	char *p = kit_buf(k, 4 * P, P), c = 0;
	struct holder h;

	expect_rc(kit_map_at(k, ioas, 0x10000, p, 4 * P), 0);
	holder_make(k, &h, &pin_ops, ioas);
	expect_rc(holder_pin(&h, 0x10000, P, PIN_RD), 0);
	iommufd_ctx_put(k->ctx);
	k->ctx = NULL;
	expect_rc(holder_pin(&h, 0x11000, P, PIN_RD), 0);
	expect_rc(iommufd_access_rw(h.a, 0x12000, &c, 1, PIN_RD), 0);
	assert_int_equal(c, 3);
	assert_int_equal(account_pinned() - k->pinned, 2);
	iommufd_access_destroy(h.a);
	assert_int_equal(h.npins, 0);
	assert_int_equal(account_pinned(), k->pinned);
	physmap_check(k->m->pm);
}

/* Takes CAP_IPC_LOCK from this thread, or gives it back. */
static void set_ipc_lock(bool on)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	assert_int_equal(syscall(SYS_capget, &head, data), 0);
	data[0].effective &= ~(1u << CAP_IPC_LOCK);
	if (on)
		data[0].effective |= data[0].permitted & (1u << CAP_IPC_LOCK);
	assert_int_equal(syscall(SYS_capset, &head, data), 0);
}

static void pin__over_the_limit__enomem_and_undone(void **state)
{
	struct kit *k = *state;
	uint32_t ioas = kit_ioas(k);
	char *p = kit_buf(k, 16 * P, P);
	struct rlimit old, lim;
	struct holder h;

	assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &old), 0);
	lim = (struct rlimit){ 6 * P, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &lim), 0);
	account_set_privileged(false);
	set_ipc_lock(false);
	holder_make(k, &h, &pin_ops, ioas);
	expect_rc(kit_map_at(k, ioas, 0x10000, p, 16 * P), 0);
	expect_rc(holder_pin(&h, 0x10000, 7 * P, PIN_RD), -ENOMEM);
	kit_check(k, 0);
	assert_int_equal(account_locked(ACCOUNT_USER), 0);
	expect_rc(holder_pin(&h, 0x10000, 4 * P, PIN_RD), 0);
	expect_rc(holder_pin(&h, 0x12000, 4 * P, PIN_RD), 0); /* two more pages */
	assert_int_equal(account_locked(ACCOUNT_USER), 6);
	expect_rc(holder_pin(&h, 0x15000, 2 * P, PIN_RD), -ENOMEM);
	expect_rc(holder_pin(&h, 0x11000, 5 * P, PIN_RD), 0); /* none */
	kit_check(k, 6);
	/* Copying transiently is not charged. */
	expect_rc(iommufd_access_rw(h.a, 0x18000, h.pa, sizeof(h.pa), IOMMUFD_ACCESS_SLOW), 0);
	iommufd_access_destroy(h.a);
	assert_int_equal(account_locked(ACCOUNT_USER), 0);
	set_ipc_lock(true);
	account_set_privileged(true);
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &old), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(create__ops_that_pin_without_unmap__einval),
		KIT_TEST(destroy_ioctl__an_access__ebusy),
		KIT_TEST(attach__bad_id_or_twice__enoent_einval),
		KIT_TEST(replace__unattached_or_same__enoent_or_nothing),
		KIT_TEST(replace__another__one_callback_then_old_is_free),
		KIT_TEST(replace__list_ids_differ__the_right_one_leaves),
		KIT_TEST(replace__unaligned_mappings_there__eaddrinuse_stays),
		KIT_TEST(attach__alignment__page_only_while_one_pins),
		KIT_TEST(attach__unaligned_mapping__eaddrinuse),
		KIT_TEST(pin__bad_ranges__in_order),
		KIT_TEST(pin__protection__eperm),
		KIT_TEST(pin__within_a_page__start_einval_end_fine),
		KIT_TEST(pin__area_that_ends_inside_a_page__einval),
		KIT_TEST(pin__same_range_twice__one_charge),
		KIT_TEST(pin__overlapping_ranges__the_union_once),
		KIT_TEST(pin__then_a_domain__one_unpin_at_the_end),
		KIT_TEST(pin__fails_half_way__earlier_areas_unpinned),
		KIT_TEST(replace__pin_in_callback__enoent_unpin_works),
		KIT_TEST(pin__memory_gone__efault_unless_pinned),
		KIT_TEST(unpin__never_pinned__no_effect),
		KIT_TEST(copy__of_pinned_memory__no_new_pin_or_charge),
		KIT_TEST(pin__two_areas_of_one_pages_object__one_pin),
		KIT_TEST(attach__every_list_id_taken__ebusy),
		KIT_TEST(close__an_access_is_left__works_until_it_goes),
		KIT_TEST(pin__over_the_limit__enomem_and_undone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
