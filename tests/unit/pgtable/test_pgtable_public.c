// SPDX-License-Identifier: MIT
/* Can a program that has only <uiommufd/pgtable.h> use the tables? */
#include <uiommufd/pgtable.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RW (UIOMMUFD_PGTABLE_READ | UIOMMUFD_PGTABLE_WRITE)

struct memory {
	char *mem;
	size_t used, out, limit;
	uint64_t inv_first, inv_last, inv_tables;
	unsigned inv_calls;
	size_t out_at_inv;
};

static void *memory_alloc(void *arg, size_t size, uint64_t *address)
{
	struct memory *m = arg;

	if (m->used + size > m->limit)
		return NULL;
	*address = 0x800000000000 + m->used;
	m->used += size;
	m->out++;
	return m->mem + (m->used - size);
}

static void memory_free(void *arg, void *p, uint64_t address, size_t size)
{
	struct memory *m = arg;

	assert_ptr_equal(p, m->mem + (address - 0x800000000000));
	for (size_t i = 0; i < size; i++)
		assert_int_equal(((char *)p)[i], 0);
	m->out--;
}

static void *memory_ptr(void *arg, uint64_t address)
{
	return ((struct memory *)arg)->mem + (address - 0x800000000000);
}

static void memory_invalidate(void *arg, uint64_t first, uint64_t last, uint64_t tables)
{
	struct memory *m = arg;

	m->inv_first = first;
	m->inv_last = last;
	m->inv_tables = tables;
	m->inv_calls++;
	m->out_at_inv = m->out;
}

static void memory_init(struct memory *m)
{
	*m = (struct memory){ .limit = 64 * 4096 };
	m->mem = aligned_alloc(4096, m->limit);
	assert_non_null(m->mem);
	memset(m->mem, 0, m->limit);
}

static struct uiommufd_pgtable_options options(struct memory *m)
{
	return (struct uiommufd_pgtable_options){ .size = sizeof(struct uiommufd_pgtable_options),
						  .format = "vtd",
						  .alloc = memory_alloc,
						  .free = memory_free,
						  .to_pointer = memory_ptr,
						  .invalidate = memory_invalidate,
						  .arg = m };
}

static int sum_pages(void *arg, const struct uiommufd_pgtable_page *page)
{
	*(uint64_t *)arg += 1ull << page->page_size_lg2;
	return 0;
}

static void uiommufd_pgtable__a_life__works(void **state)
{
	struct uiommufd_pgtable_translation tr;
	struct uiommufd_pgtable_options o;
	struct uiommufd_pgtable *t;
	struct memory m;
	uint64_t bytes = 0;

	(void)state;
	memory_init(&m);
	o = options(&m);
	assert_int_equal(uiommufd_pgtable_create(&o, &t), 0);
	assert_int_equal(uiommufd_pgtable_root(t), 0x800000000000);
	assert_int_equal(uiommufd_pgtable_levels(t), 4);
	assert_int_equal(uiommufd_pgtable_page_sizes(t), 0x40201000);
	assert_int_equal(uiommufd_pgtable_map(t, 0x1ff000, 0x5ff000, 0x201000, RW), 0);
	assert_int_equal(m.inv_calls, 0);
	assert_int_equal(uiommufd_pgtable_map(t, 0x200000, 0, 0x1000, RW), -EEXIST);
	assert_int_equal(uiommufd_pgtable_walk(t, 0x3fffff, &tr), 0);
	assert_int_equal(tr.output, 0x7fffff);
	assert_int_equal(tr.prot, RW);
	assert_int_equal(tr.page_size_lg2, 21);
	assert_int_equal(tr.level, 1);
	assert_int_equal(tr.entry, 0x600083);
	assert_int_equal(uiommufd_pgtable_walk(t, 0x400000, &tr), -ENOENT);
	assert_int_equal(uiommufd_pgtable_walk(t, 1ull << 48, &tr), -ERANGE);
	assert_int_equal(uiommufd_pgtable_for_each(t, 0, UINT64_MAX, sum_pages, &bytes), 0);
	assert_int_equal(bytes, 0x201000);
	assert_int_equal(uiommufd_pgtable_check(t, NULL, NULL), 0);
	assert_int_equal(m.out, 4);
	assert_int_equal(uiommufd_pgtable_unmap(t, 0, 0x400000), 0x201000);
	/* told first, freed after */
	assert_int_equal(m.inv_calls, 1);
	assert_int_equal(m.inv_first, 0);
	assert_int_equal(m.inv_last, 0x3fffff);
	assert_int_equal(m.inv_tables, 1);
	assert_int_equal(m.out_at_inv, 4);
	assert_int_equal(m.out, 3);
	uiommufd_pgtable_destroy(t);
	assert_int_equal(m.out, 0);
	free(m.mem);
}

static void uiommufd_pgtable_create__bad_options__refused(void **state)
{
	struct uiommufd_pgtable *t = NULL;
	struct {
		struct uiommufd_pgtable_options o;
		char more[8];
	} big = { 0 };
	struct uiommufd_pgtable_options o;
	struct memory m;

	(void)state;
	memory_init(&m);
	o = options(&m);
	o.size = sizeof(o) - 8;
	assert_int_equal(uiommufd_pgtable_create(&o, &t), -EINVAL);
	o = options(&m);
	o.to_pointer = NULL;
	assert_int_equal(uiommufd_pgtable_create(&o, &t), -EINVAL);
	o = options(&m);
	o.features = 1u << 31;
	assert_int_equal(uiommufd_pgtable_create(&o, &t), -EINVAL);
	o = options(&m);
	o.format = "unknown";
	assert_int_equal(uiommufd_pgtable_create(&o, &t), -ENOENT);
	o = options(&m);
	m.limit = 0;
	assert_int_equal(uiommufd_pgtable_create(&o, &t), -ENOMEM);
	assert_null(t);
	m.limit = 64 * 4096;
	big.o = options(&m);
	big.o.size = sizeof(big);
	big.more[3] = 1; /* something a later version may know */
	assert_int_equal(uiommufd_pgtable_create(&big.o, &t), -EINVAL);
	big.more[3] = 0;
	assert_int_equal(uiommufd_pgtable_create(&big.o, &t), 0);
	uiommufd_pgtable_destroy(t);
	uiommufd_pgtable_destroy(NULL);
	assert_int_equal(m.out, 0);
	free(m.mem);
}

static void uiommufd_pgtable_format__all__named(void **state)
{
	(void)state;
	assert_string_equal(uiommufd_pgtable_format(0), "vtd");
	assert_null(uiommufd_pgtable_format(1000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uiommufd_pgtable__a_life__works),
		cmocka_unit_test(uiommufd_pgtable_create__bad_options__refused),
		cmocka_unit_test(uiommufd_pgtable_format__all__named),
	};

	return cmocka_run_group_tests_name("pgtable_public", tests, NULL, NULL);
}
