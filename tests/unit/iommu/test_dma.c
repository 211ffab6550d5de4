// SPDX-License-Identifier: MIT
/* Does a device's access reach the right bytes, and only those? */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "iommu_kit.h"
#include "iommu/iotlb.h"
#include "mem/fence.h"

#define RW (IOMMU_READ | IOMMU_WRITE)
#define NP 0u /* no PASID */

static void dma_read__across_pages__bytes(void **state)
{
	struct kit *k = *state;
	size_t len = 40 * PAGE_SIZE;
	char *p = kit_buf(k, len, PAGE_SIZE), *out = malloc(len);

	kit_map(k, 0x10000, p, len, IOMMU_READ);
	for (unsigned off = 0; off < 3; off++) {
		memset(out, 0, len);
		assert_int_equal(iommu_dma_read(&k->dev, NP, 0x10000 + off, out, len - off, NULL),
				 0);
		assert_memory_equal(out, p + off, len - off);
	}
	assert_int_equal(iommu_dma_read(&k->dev, NP, 0, out, 0, NULL), 0);
	assert_int_equal(k->m->faults.count, 0);
	free(out);
}

/* Neighbouring IOVA, memory elsewhere: nothing may be taken for contiguous that is not. */
static void dma_write__scattered_pages__bytes(void **state)
{
	struct kit *k = *state;
	char *p = kit_buf(k, 64 * PAGE_SIZE, PAGE_SIZE);
	static char data[32 * 4096];

	for (unsigned i = 0; i < 32; i++) /* every second page, backwards */
		kit_map(k, 0x100000 + i * PAGE_SIZE, p + (62 - 2 * i) * PAGE_SIZE, PAGE_SIZE, RW);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 13 + i / 997);
	assert_int_equal(iommu_dma_write(&k->dev, NP, 0x100000, data, sizeof(data), NULL), 0);
	for (unsigned i = 0; i < 32; i++)
		assert_memory_equal(p + (62 - 2 * i) * PAGE_SIZE, data + i * PAGE_SIZE, PAGE_SIZE);
	for (unsigned i = 0; i < 32; i++) /* the pages between are as they were */
		assert_int_equal(p[(2 * i + 1) * PAGE_SIZE + 5],
				 (char)(5 * 7 + 2 * i + 1 + (2 * i + 1) * 4096 * 7));
}

static void dma_copy__any_alignment__bytes(void **state)
{
	struct kit *k = *state;
	char *src = kit_buf(k, 48 * PAGE_SIZE, PAGE_SIZE),
	     *dst = kit_buf(k, 48 * PAGE_SIZE, PAGE_SIZE);
	uint64_t s = 0x200000, d = 0x40000000;

	kit_map(k, s, src, 48 * PAGE_SIZE, IOMMU_READ);
	kit_map(k, d, dst, 48 * PAGE_SIZE, IOMMU_WRITE);
	for (unsigned i = 0; i < 20; i++) {
		uint64_t so = i * 411, d_o = i * 977, len = 150000 - i * 5001;

		memset(dst, 0, 48 * PAGE_SIZE);
		assert_int_equal(iommu_dma_copy(&k->dev, NP, d + d_o, s + so, len, NULL), 0);
		assert_memory_equal(dst + d_o, src + so, len);
		assert_int_equal(dst[d_o + len], 0);
		assert_true(!d_o || dst[d_o - 1] == 0);
	}
}

static void dma_fill__unaligned__pattern_from_first_byte(void **state)
{
	struct kit *k = *state;
	char *p = kit_buf(k, 40 * PAGE_SIZE, PAGE_SIZE);
	uint64_t pattern = 0x8877665544332211ull;

	for (unsigned i = 0; i < 40; i++) /* so that each page is a step of its own */
		kit_map(k, 0x5000 + i * PAGE_SIZE, p + (39 - i) * PAGE_SIZE, PAGE_SIZE,
			IOMMU_WRITE);
	for (uint64_t off = 0; off < 12; off++) {
		uint64_t len = 20 * PAGE_SIZE - 11 + off;

		memset(p, 0, 40 * PAGE_SIZE);
		assert_int_equal(iommu_dma_fill(&k->dev, NP, 0x5000 + off, pattern, len, NULL), 0);
		for (uint64_t i = 0; i < 40 * PAGE_SIZE; i++) {
			char c = p[(39 - i / PAGE_SIZE) * PAGE_SIZE + i % PAGE_SIZE];
			char want = (char)(i < off || i >= off + len
						   ? 0
						   : (pattern >> ((i - off) % 8 * 8)));

			if (c != want)
				fail_msg("offset %u byte %u: 0x%x not 0x%x", (unsigned)off,
					 (unsigned)i, c & 0xff, want & 0xff);
		}
	}
}

static void dma_store_load__sizes__aligned_only(void **state)
{
	struct kit *k = *state;
	char *p = kit_buf(k, PAGE_SIZE, PAGE_SIZE);
	uint64_t v;

	kit_map(k, 0x3000, p, PAGE_SIZE, RW);
	for (unsigned size = 1; size <= 8; size *= 2) {
		uint64_t val = 0xa1b2c3d4e5f60718ull,
			 mask = size == 8 ? ~0ull : (1ull << 8 * size) - 1;

		memset(p, 0x55, 64);
		assert_int_equal(iommu_dma_store(&k->dev, NP, 0x3010, val, size), 0);
		assert_memory_equal(p + 0x10, &val, size);
		assert_int_equal(p[0x10 + size], 0x55);
		v = 0;
		assert_int_equal(iommu_dma_load(&k->dev, NP, 0x3010, &v, size), 0);
		assert_int_equal(v & mask, val & mask);
		if (size > 1) {
			assert_int_equal(iommu_dma_store(&k->dev, NP, 0x3011, val, size), -EINVAL);
			assert_int_equal(iommu_dma_load(&k->dev, NP, 0x3011, &v, size), -EINVAL);
		}
	}
	assert_int_equal(iommu_dma_store(&k->dev, NP, 0x3000, 0, 0), -EINVAL);
	assert_int_equal(iommu_dma_store(&k->dev, NP, 0x3000, 0, 3), -EINVAL);
	assert_int_equal(iommu_dma_store(&k->dev, NP, 0x3000, 0, 16), -EINVAL);
	expect_fault(k, iommu_dma_load(&k->dev, NP, 0x4000, &v, 8), 0x4000, IOMMU_FAULT_NOT_MAPPED);
}

static void dma__permission__on_miss_and_hit(void **state)
{
	struct kit *k = *state;
	char *p = kit_buf(k, 2 * PAGE_SIZE, PAGE_SIZE), b[8] = { 0 };

	kit_map(k, 0x1000, p, PAGE_SIZE, IOMMU_READ);
	kit_map(k, 0x2000, p + PAGE_SIZE, PAGE_SIZE, IOMMU_WRITE);
	for (int i = 0; i < 2; i++) {
		expect_fault(k, iommu_dma_write(&k->dev, NP, 0x1008, b, 8, NULL), 0x1008,
			     IOMMU_FAULT_PERMISSION);
		assert_int_equal(iommu_dma_read(&k->dev, NP, 0x1008, b, 8, NULL), 0);
		expect_fault(k, iommu_dma_read(&k->dev, NP, 0x2008, b, 8, NULL), 0x2008,
			     IOMMU_FAULT_PERMISSION);
		assert_int_equal(iommu_dma_write(&k->dev, NP, 0x2008, b, 8, NULL), 0);
	}
	expect_fault(k, iommu_dma_copy(&k->dev, NP, 0x1000, 0x1800, 8, NULL), 0x1000,
		     IOMMU_FAULT_PERMISSION);
	expect_fault(k, iommu_dma_fill(&k->dev, NP, 0x1ffc, 0, 8, NULL), 0x1ffc,
		     IOMMU_FAULT_PERMISSION);
}

static void dma__hole__prefix_moved(void **state)
{
	struct kit *k = *state;
	size_t len = 32 * PAGE_SIZE;
	char *p = kit_buf(k, len, PAGE_SIZE), *q = kit_buf(k, len, PAGE_SIZE), *b = calloc(2, len);
	struct iommu_dma_stop stop;
	struct iommu_fault f;

	kit_map(k, 0, p, len, RW);
	kit_map(k, MIB, q, len, RW);
	memset(b, 0x77, len);
	expect_fault(k, iommu_dma_write(&k->dev, NP, 100, b, len, &stop), len,
		     IOMMU_FAULT_NOT_MAPPED);
	kit_last_fault(k, &f);
	assert_int_equal(f.len, 100);
	assert_true(f.write);
	assert_int_equal(stop.iova, len);
	assert_int_equal(stop.done, len - 100);
	assert_true(stop.at_dst);
	assert_int_equal(p[99], (char)(99 * 7));
	assert_memory_equal(p + 100, b, len - 100);
	/* source ends first */
	expect_fault(k, iommu_dma_copy(&k->dev, NP, MIB, PAGE_SIZE, len, &stop), len,
		     IOMMU_FAULT_NOT_MAPPED);
	assert_false(stop.at_dst);
	assert_int_equal(stop.done, len - PAGE_SIZE);
	assert_memory_equal(q, p + PAGE_SIZE, len - PAGE_SIZE);
	/* destination ends first */
	expect_fault(k, iommu_dma_copy(&k->dev, NP, MIB + 7, 0, len, &stop), MIB + len,
		     IOMMU_FAULT_NOT_MAPPED);
	assert_true(stop.at_dst);
	assert_int_equal(stop.done, len - 7);
	assert_int_equal(stop.iova, MIB + len);
	free(b);
}

static void dma__beyond_width__address(void **state)
{
	struct kit *k = *state;
	char *p = kit_buf(k, PAGE_SIZE, PAGE_SIZE), b[16];
	uint64_t end = 1ull << 48;

	kit_map(k, end - PAGE_SIZE, p, PAGE_SIZE, RW);
	assert_int_equal(iommu_dma_read(&k->dev, NP, end - 16, b, 16, NULL), 0);
	expect_fault(k, iommu_dma_read(&k->dev, NP, end - 8, b, 16, NULL), end,
		     IOMMU_FAULT_ADDRESS);
	expect_fault(k, iommu_dma_read(&k->dev, NP, 1ull << 63, b, 16, NULL), 1ull << 63,
		     IOMMU_FAULT_ADDRESS);
	expect_fault(k, iommu_dma_write(&k->dev, NP, -8ull, b, 16, NULL), -8ull,
		     IOMMU_FAULT_ADDRESS);
	expect_fault(k, iommu_dma_copy(&k->dev, NP, -8ull, end - 16, 16, NULL), -8ull,
		     IOMMU_FAULT_ADDRESS);
	expect_fault(k, iommu_dma_write(&k->dev, NP, -16ull, b, 16, NULL), -16ull,
		     IOMMU_FAULT_ADDRESS);
}

static void dma__interrupt_window__never_translated(void **state)
{
	struct kit *k = *state;
	/* Memory that lies in its GiB where the page before the window lies in one. */
	uint64_t at = (1ull << 45) + 0x3edff000;
	char *p = mmap((void *)(uintptr_t)at, 3 * PAGE_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	struct phys_run run;
	struct pt_gather g;
	char b[16] = { 1, 2, 3 };
	unsigned n;

	if (p != (void *)(uintptr_t)at) {
		print_message("# something else is at %#llx\n", (unsigned long long)at);
		skip();
	}
	memset(p, 0, 3 * PAGE_SIZE);
	assert_int_equal(mm_pin(k->m->self, at, 3, MM_PIN_WRITE, &run, 1, &n), 3);
	k->runs[k->nruns++] = run;
	if (run.pa != at) {
		print_message("# the memory did not get its own address\n");
		skip();
	}
	pt_gather_init(&g);
	/* One leaf of 1 GiB over all of it, as no iommufd would make it. */
	assert_int_equal(iommu_domain_map(k->dom, 3 * GIB, 1ull << 45, GIB, RW, false, &g), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(iommu_dma_write(&k->dev, NP, 0xfedff010, b, 16, NULL), 0);
		assert_memory_equal(p + 16, b, 16);
		expect_fault(k, iommu_dma_write(&k->dev, NP, 0xfee00000, b, 4, NULL), 0xfee00000,
			     IOMMU_FAULT_BAD_IRQ);
		expect_fault(k, iommu_dma_write(&k->dev, NP, 0xfedffff8, b, 16, NULL), 0xfee00000,
			     IOMMU_FAULT_BAD_IRQ);
		expect_fault(k, iommu_dma_store(&k->dev, NP, 0xfeefffff, 1, 1), 0xfeefffff,
			     IOMMU_FAULT_BAD_IRQ);
		expect_fault(k, iommu_dma_read(&k->dev, NP, 0xfee01000, b, 4, NULL), 0xfee01000,
			     IOMMU_FAULT_NOT_MAPPED);
	}
	assert_int_equal(p[PAGE_SIZE], 0);
	munmap(p, 3 * PAGE_SIZE);
}

static void dma__not_attached__blocked(void **state)
{
	struct kit *k = *state;
	char *p = kit_buf(k, PAGE_SIZE, PAGE_SIZE), b[8];
	struct iommu_dma_stop stop;

	kit_map(k, 0, p, PAGE_SIZE, RW);
	assert_int_equal(iommu_dma_read(&k->dev, NP, 0, b, 8, NULL), 0);
	iommu_group_detach(k->g);
	expect_fault(k, iommu_dma_read(&k->dev, NP, 0, b, 8, &stop), 0, IOMMU_FAULT_BLOCKED);
	assert_int_equal(stop.done, 0);
	assert_int_equal(iommu_group_attach(k->g, k->dom), 0);
	assert_int_equal(iommu_dma_read(&k->dev, NP, 0, b, 8, NULL), 0);
}

static void dma__stopped_gated_pasid__their_errno(void **state)
{
	struct kit *k = *state;
	char *p = kit_buf(k, PAGE_SIZE, PAGE_SIZE), b[8] = { 0 };
	_Atomic bool gate = false;
	uint64_t count;

	kit_map(k, 0, p, PAGE_SIZE, RW);
	expect_fault(k, iommu_dma_read(&k->dev, 9, 0x10, b, 8, NULL), 0x10, IOMMU_FAULT_PASID);
	count = k->m->faults.count;
	iommu_device_stop_dma(&k->dev);
	assert_int_equal(iommu_dma_read(&k->dev, NP, 0, b, 8, NULL), -ECANCELED);
	assert_int_equal(iommu_dma_copy(&k->dev, NP, 0, 8, 8, NULL), -ECANCELED);
	assert_int_equal(iommu_dma_read(&k->dev, 9, 0, b, 8, NULL), -ECANCELED);
	iommu_device_allow_dma(&k->dev);
	k->dev.dma_gate = &gate;
	assert_int_equal(iommu_dma_write(&k->dev, NP, 0, b, 8, NULL), -EPERM);
	iommu_group_detach(k->g);
	assert_int_equal(iommu_dma_write(&k->dev, NP, 0, b, 8, NULL), -EPERM);
	assert_int_equal(iommu_group_attach(k->g, k->dom), 0);
	gate = true;
	assert_int_equal(iommu_dma_write(&k->dev, NP, 0, b, 8, NULL), 0);
	assert_int_equal(k->m->faults.count, count); /* none of these is a fault */
}

static void dma__truncated_under_pin__gone_at_the_page(void **state)
{
	struct kit *k = *state;
	char *p = kit_buf(k, 8 * PAGE_SIZE, PAGE_SIZE), b[8 * 4096] = { 0 };
	struct iommu_dma_stop stop;

	guard_restore();
	kit_map(k, 0, p, 8 * PAGE_SIZE, RW);
	assert_int_equal(munmap(p + 5 * PAGE_SIZE, PAGE_SIZE), 0);
	expect_fault(k, iommu_dma_write(&k->dev, NP, 16, b, 7 * PAGE_SIZE, &stop), 5 * PAGE_SIZE,
		     IOMMU_FAULT_GONE);
	assert_int_equal(stop.done, 5 * PAGE_SIZE - 16);
	assert_int_equal(p[16], 0);
	expect_fault(k, iommu_dma_read(&k->dev, NP, 0, b, 8 * PAGE_SIZE, &stop), 5 * PAGE_SIZE,
		     IOMMU_FAULT_GONE);
	expect_fault(k, iommu_dma_copy(&k->dev, NP, 4 * PAGE_SIZE + 8, 0, 3 * PAGE_SIZE, &stop),
		     5 * PAGE_SIZE, IOMMU_FAULT_GONE);
	assert_true(stop.at_dst);
	expect_fault(k, iommu_dma_copy(&k->dev, NP, 0, 4 * PAGE_SIZE + 8, 3 * PAGE_SIZE, &stop),
		     5 * PAGE_SIZE, IOMMU_FAULT_GONE);
	assert_false(stop.at_dst);
	assert_int_equal(stop.done, PAGE_SIZE - 8);
	expect_fault(k, iommu_dma_store(&k->dev, NP, 5 * PAGE_SIZE, 0, 8), 5 * PAGE_SIZE,
		     IOMMU_FAULT_GONE);
	assert_ptr_equal(mmap(p + 5 * PAGE_SIZE, PAGE_SIZE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 p + 5 * PAGE_SIZE);
	assert_int_equal(iommu_dma_write(&k->dev, NP, 16, b, 7 * PAGE_SIZE, NULL), 0);
}

/* The client may protect a page that is mapped for DMA: the device keeps its rights. */
static void dma__protected_page__goes_on(void **state)
{
	struct kit *k = *state;
	char *p = kit_buf(k, 4 * PAGE_SIZE, PAGE_SIZE), b[3 * 4096], want[3 * 4096];
	uint64_t v;

	guard_restore();
	kit_map(k, 0, p, 4 * PAGE_SIZE, RW);
	memset(p, 1, 4 * PAGE_SIZE);
	assert_int_equal(mprotect(p + PAGE_SIZE, PAGE_SIZE, PROT_NONE), 0);
	memset(b, 2, sizeof(b));
	assert_int_equal(iommu_dma_write(&k->dev, NP, 100, b, sizeof(b), NULL), 0);
	memset(b, 0, sizeof(b));
	assert_int_equal(iommu_dma_read(&k->dev, NP, 100, b, sizeof(b), NULL), 0);
	memset(want, 2, sizeof(want));
	assert_memory_equal(b, want, sizeof(b));
	assert_int_equal(iommu_dma_fill(&k->dev, NP, PAGE_SIZE + 3, 0x0807060504030201, 100, NULL),
			 0);
	assert_int_equal(iommu_dma_store(&k->dev, NP, PAGE_SIZE + 256, 0x1122334455667788, 8), 0);
	assert_int_equal(iommu_dma_load(&k->dev, NP, PAGE_SIZE + 256, &v, 8), 0);
	assert_true(v == 0x1122334455667788);
	/* Out of the page and into it. */
	assert_int_equal(iommu_dma_copy(&k->dev, NP, 2 * PAGE_SIZE, PAGE_SIZE + 3, 8, NULL), 0);
	assert_int_equal(iommu_dma_copy(&k->dev, NP, PAGE_SIZE + 1000, 3 * PAGE_SIZE, 2000, NULL),
			 0);
	assert_int_equal(mprotect(p + PAGE_SIZE, PAGE_SIZE, PROT_READ | PROT_WRITE), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(p[PAGE_SIZE + 3 + i], i % 8 + 1);
	assert_memory_equal(p + 2 * PAGE_SIZE, p + PAGE_SIZE + 3, 8);
	assert_memory_equal(p + PAGE_SIZE + 1000, p + 3 * PAGE_SIZE, 2000);
}

static void dma__output_without_frame__gone(void **state)
{
	struct kit *k = *state;
	struct pt_gather g;
	char b[8];

	guard_restore();
	pt_gather_init(&g);
	assert_int_equal(iommu_domain_map(k->dom, 0, 0x123000, PAGE_SIZE, RW, false, &g), 0);
	expect_fault(k, iommu_dma_read(&k->dev, NP, 8, b, 8, NULL), 8, IOMMU_FAULT_GONE);
}

static void iotlb__unmap_and_remap__never_stale(void **state)
{
	struct kit *k = *state;
	char *a = kit_buf(k, 4 * MIB, 2 * MIB), *b = a + 2 * MIB;
	uint64_t v;

	for (unsigned i = 0; i < 6; i++) {
		char *p = i & 1 ? b : a;
		size_t len = i < 2 ? PAGE_SIZE : 2 * MIB; /* both parts of the IOTLB */

		memset(a, 'a', 2 * MIB);
		memset(b, 'b', 2 * MIB);
		kit_map(k, 2 * MIB, p, len, IOMMU_READ);
		for (int j = 0; j < 3; j++) {
			v = 0;
			assert_int_equal(iommu_dma_load(&k->dev, NP, 2 * MIB + 8, &v, 1), 0);
			assert_int_equal(v & 0xff, i & 1 ? 'b' : 'a');
		}
		kit_unmap(k, k->dom, 2 * MIB, len);
		expect_fault(k, iommu_dma_load(&k->dev, NP, 2 * MIB + 8, &v, 1), 2 * MIB + 8,
			     IOMMU_FAULT_NOT_MAPPED);
	}
}

/* It caches as hardware may: without the sync the old entry may be used, and here is. */
static void iotlb__unmap_without_sync__still_there(void **state)
{
	struct kit *k = *state;
	char *a = kit_buf(k, PAGE_SIZE, PAGE_SIZE);
	struct pt_gather g;
	uint64_t v;

	pt_gather_init(&g);
	kit_map(k, 0, a, PAGE_SIZE, IOMMU_READ);
	assert_int_equal(iommu_dma_load(&k->dev, NP, 0, &v, 8), 0);
	iommu_domain_unmap(k->dom, 0, PAGE_SIZE, &g);
	assert_int_equal(iommu_dma_load(&k->dev, NP, 0, &v, 8), 0);
	iommu_domain_sync(k->dom, &g);
	expect_fault(k, iommu_dma_load(&k->dev, NP, 0, &v, 8), 0, IOMMU_FAULT_NOT_MAPPED);
}

static void iotlb__other_domain__own_entries(void **state)
{
	struct kit *k = *state;
	char *a = kit_buf(k, 2 * PAGE_SIZE, PAGE_SIZE);
	struct iommu_domain *dom = kit_domain(k);
	uint64_t v;

	a[0] = 'a';
	a[PAGE_SIZE] = 'b';
	kit_map(k, 0, a, PAGE_SIZE, IOMMU_READ);
	kit_map_in(k, dom, 0, a + PAGE_SIZE, PAGE_SIZE, IOMMU_READ, false);
	for (int i = 0; i < 4; i++) {
		v = 0;
		assert_int_equal(iommu_dma_load(&k->dev, NP, 0, &v, 1), 0);
		assert_int_equal(v & 0xff, i & 1 ? 'b' : 'a');
		assert_int_equal(iommu_group_attach(k->g, i & 1 ? k->dom : dom), 0);
	}
	iommu_group_detach(k->g);
	iommu_domain_destroy(dom);
}

#define PAGES 96u

/* Random maps, unmaps and transfers against an array of what each page should be. */
static void dma__random__as_the_model(void **state)
{
	struct kit *k = *state;
	char *mem = kit_buf(k, 2 * PAGES * PAGE_SIZE, PAGE_SIZE);
	static char model[2 * PAGES * 4096], data[PAGES * 4096];
	struct {
		int page; /* in mem, -1: not mapped */
		unsigned prot;
	} map[PAGES];
	uint64_t base = GIB - 40 * PAGE_SIZE; /* across a table of each level */
	struct phys_run run;
	struct pt_gather g;
	unsigned n;

	srandom(1);
	pt_gather_init(&g);
	assert_int_equal(mm_pin(k->m->self, (uintptr_t)mem, 2 * PAGES, MM_PIN_WRITE, &run, 1, &n),
			 2 * PAGES);
	k->runs[k->nruns++] = run;
	for (unsigned i = 0; i < PAGES; i++)
		map[i].page = -1;
	memcpy(model, mem, sizeof(model));
	for (unsigned round = 0; round < 4000; round++) {
		unsigned first = (unsigned)random() % PAGES, count = 1 + (unsigned)random() % 12;
		unsigned op = (unsigned)random() % 3, prot = 1 + (unsigned)random() % 3;

		if (first + count > PAGES)
			count = PAGES - first;
		if (!op) { /* map what is free, or unmap what is not */
			unsigned to = (unsigned)random() % (2 * PAGES - count);

			for (unsigned i = first; i < first + count; i++) {
				uint64_t iova = base + i * PAGE_SIZE;

				if (map[i].page >= 0) {
					iommu_domain_unmap(k->dom, iova, PAGE_SIZE, &g);
					map[i].page = -1;
					continue;
				}
				map[i].page = (int)(to + i - first);
				map[i].prot = prot;
				assert_int_equal(iommu_domain_map(k->dom, iova,
								  run.pa + map[i].page * PAGE_SIZE,
								  PAGE_SIZE, prot, round & 1, &g),
						 0);
			}
			iommu_domain_sync(k->dom, &g);
			continue;
		}
		uint64_t off = (uint64_t)random() % PAGE_SIZE, len = count * PAGE_SIZE - off,
			 done = 0;
		unsigned need = op == 1 ? IOMMU_READ : IOMMU_WRITE;
		struct iommu_dma_stop stop = { .done = len };
		int rc;

		for (uint64_t i = 0; i < len; i++)
			data[i] = (char)random();
		if (op == 1)
			rc = iommu_dma_read(&k->dev, NP, base + first * PAGE_SIZE + off, data, len,
					    &stop);
		else
			rc = iommu_dma_write(&k->dev, NP, base + first * PAGE_SIZE + off, data, len,
					     &stop);
		while (done < len) {
			uint64_t at = off + done, step = PAGE_SIZE - at % PAGE_SIZE;
			unsigned i = first + (unsigned)(at / PAGE_SIZE);
			char *there;

			if (map[i].page < 0 || (map[i].prot & need) != need)
				break;
			there = model + map[i].page * PAGE_SIZE + at % PAGE_SIZE;
			if (op == 1)
				assert_memory_equal(data + done, there, step);
			else
				memcpy(there, data + done, step);
			done += step;
		}
		assert_int_equal(stop.done, done);
		assert_int_equal(rc, done < len ? -EFAULT : 0);
		if (round % 16 == 0)
			assert_memory_equal(mem, model, sizeof(model));
	}
	assert_memory_equal(mem, model, sizeof(model));
}

/* Without memory for the IOTLB DMA is slower, not wrong. */
static void dma__each_fault__served_or_enomem(void **state)
{
	struct kit *k = *state;
	char *p = kit_buf(k, PAGE_SIZE, PAGE_SIZE);
	bool fired = true;
	uint64_t v;

	kit_map(k, 0, p, PAGE_SIZE, IOMMU_READ);
	for (unsigned n = 1; fired; n++) {
		struct fence_slot *s = fence_self_slot;
		int rc;

		if (s && s->cache) {
			iotlb_free(s->cache);
			s->cache = NULL;
		}
		v = 0;
		fault_arm(n, true);
		rc = iommu_dma_load(&k->dev, NP, 8, &v, 1);
		fault_disarm(&fired);
		assert_true(!rc || (fired && rc == -ENOMEM));
		if (!rc)
			assert_int_equal(v & 0xff, p[8]);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(dma_read__across_pages__bytes),
		T(dma_write__scattered_pages__bytes),
		T(dma_copy__any_alignment__bytes),
		T(dma_fill__unaligned__pattern_from_first_byte),
		T(dma_store_load__sizes__aligned_only),
		T(dma__permission__on_miss_and_hit),
		T(dma__hole__prefix_moved),
		T(dma__beyond_width__address),
		T(dma__interrupt_window__never_translated),
		T(dma__not_attached__blocked),
		T(dma__stopped_gated_pasid__their_errno),
		T(dma__truncated_under_pin__gone_at_the_page),
		T(dma__protected_page__goes_on),
		T(dma__output_without_frame__gone),
		T(iotlb__unmap_and_remap__never_stale),
		T(iotlb__unmap_without_sync__still_there),
		T(iotlb__other_domain__own_entries),
		T(dma__random__as_the_model),
		T(dma__each_fault__served_or_enomem),
	};

	guard_save();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
