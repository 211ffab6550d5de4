// SPDX-License-Identifier: MIT
/* Does the fault log keep what happened, in words that help? */
#include <errno.h>
#include <stdio.h>

#include "iommu_kit.h"

#define RW (IOMMU_READ | IOMMU_WRITE)

static void fault_log__more_than_fit__newest_kept(void **state)
{
	static struct iommu_fault_log log;
	struct iommu_fault f = { .reason = IOMMU_FAULT_ADDRESS };

	(void)state;
	iommu_fault_log_init(&log);
	assert_false(iommu_fault_get(&log, 0, &f));
	assert_false(iommu_fault_get(&log, 1, &f));
	for (unsigned i = 1; i <= FAULT_LOG_SIZE + 10; i++) {
		f.iova = i;
		iommu_fault_record(&log, &f);
		assert_int_equal(f.seq, i);
	}
	assert_false(iommu_fault_get(&log, 10, &f));
	assert_false(iommu_fault_get(&log, FAULT_LOG_SIZE + 11, &f));
	for (unsigned i = 11; i <= FAULT_LOG_SIZE + 10; i++) {
		assert_true(iommu_fault_get(&log, i, &f));
		assert_int_equal(f.seq, i);
		assert_int_equal(f.iova, i);
	}
	iommu_fault_record(NULL, &f);
}

static void count_sink(void *arg, const struct iommu_fault *f)
{
	assert_int_equal(f->reason, IOMMU_FAULT_NOT_MAPPED);
	assert_false(lock_rank_holds(LOCK_FAULT_LOG));
	assert_false(lock_rank_holds(LOCK_IOMMU_GROUP));
	(*(unsigned *)arg)++;
}

static void fault_sink__fault__told_without_locks(void **state)
{
	struct kit *k = *state;
	unsigned told = 0;
	char b[8];

	k->m->faults.sink = count_sink;
	k->m->faults.sink_arg = &told;
	assert_int_equal(iommu_dma_read(&k->dev, 0, 0x5000, b, 8, NULL), -EFAULT);
	assert_int_equal(told, 1);
}

static void describe(void *owner, uint64_t iova, char *buf, size_t len)
{
	assert_string_equal(owner, "owner");
	snprintf(buf, len, "0x8000-0x8fff, 0x%llx below", (unsigned long long)(0x8000 - iova));
}

static void assert_text(struct kit *k, const char *want)
{
	struct iommu_fault f;

	kit_last_fault(k, &f);
	assert_string_equal(f.text, want);
	assert_int_equal(strncmp(why_last(), want, WHY_MAX - 1), 0);
}

static void fault_text__each_reason__in_words(void **state)
{
	static const struct iommu_domain_ops ops = { .describe = describe };
	struct kit *k = *state;
	char *p = kit_buf(k, 2 * PAGE_SIZE, PAGE_SIZE), b[64];

	kit_map(k, 0x1000, p, PAGE_SIZE, IOMMU_READ);
	assert_int_equal(iommu_dma_write(&k->dev, 0, 0x1fc0, b, 64, NULL), -EFAULT);
	assert_text(k, "0000:05:00.0: DMA write of 0x40 bytes at IOVA 0x1fc0: the mapping does not "
		       "allow it (read-only)");
	assert_int_equal(iommu_dma_read(&k->dev, 0, 0x1fc4, b, 64, NULL), -EFAULT);
	assert_text(k, "0000:05:00.0: DMA read of 0x4 bytes at IOVA 0x2000: no mapping");
	kit_map(k, 0x2000, p + PAGE_SIZE, PAGE_SIZE, IOMMU_READ);
	kit_unmap(k, k->dom, 0x2000, PAGE_SIZE);
	k->dom->ops = &ops;
	k->dom->owner = (void *)(uintptr_t) "owner";
	assert_int_equal(iommu_dma_read(&k->dev, 0, 0x2010, b, 8, NULL), -EFAULT);
	assert_text(k, "0000:05:00.0: DMA read of 0x8 bytes at IOVA 0x2010: no mapping; "
		       "0x8000-0x8fff, 0x5ff0 below; 0x2000-0x2fff was unmapped there, 1 "
		       "unmap ago");
	k->dom->ops = NULL;
	assert_int_equal(iommu_dma_read(&k->dev, 0, 1ull << 48, b, 8, NULL), -EFAULT);
	assert_text(k, "0000:05:00.0: DMA read of 0x8 bytes at IOVA 0x1000000000000: beyond the "
		       "address width; the domain has 0x0-0xffffffffffff");
	assert_int_equal(iommu_dma_write(&k->dev, 0, 0xfee00000, b, 4, NULL), -EFAULT);
	assert_text(k, "0000:05:00.0: DMA write of 0x4 bytes at IOVA 0xfee00000: not a valid "
		       "interrupt request");
	assert_int_equal(iommu_dma_read(&k->dev, 0x12, 0, b, 8, NULL), -EFAULT);
	assert_text(k, "0000:05:00.0 PASID 18: DMA read of 0x8 bytes at IOVA 0x0: the PASID is not "
		       "set up");
	iommu_group_detach(k->g);
	assert_int_equal(iommu_dma_read(&k->dev, 0, 0, b, 8, NULL), -EFAULT);
	assert_text(k,
		    "0000:05:00.0: DMA read of 0x8 bytes at IOVA 0x0: the device is not attached "
		    "to an IO address space");
}

/* A 2M leaf whose address has low bits set: reserved. */
static void fault__scribbled_entry__reserved(void **state)
{
	struct kit *k = *state;
	struct pt_walk_result r;
	struct pt_gather g;
	uint64_t entry;
	char b[8];

	pt_gather_init(&g);
	assert_int_equal(iommu_domain_map(k->dom, 0, 2 * MIB, 2 * MIB, RW, false, &g), 0);
	assert_int_equal(pt_walk(&k->dom->pt, 0, &r), 0);
	entry = r.entry;
	atomic_store(r.item, entry | 1 << 13);
	expect_fault(k, iommu_dma_read(&k->dev, 0, 0x40, b, 8, NULL), 0x40, IOMMU_FAULT_RESERVED);
	assert_non_null(strstr(why_last(), "level 1 entry 0x"));
	atomic_store(r.item, entry);
}

static void fault_reason_text__every__words(void **state)
{
	(void)state;
	for (unsigned r = 0; r <= IOMMU_FAULT_PASID; r++)
		assert_string_not_equal(iommu_fault_reason_text(r), "unknown reason");
	assert_string_equal(iommu_fault_reason_text(99), "unknown reason");
}

#define T(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fault_log__more_than_fit__newest_kept),
		T(fault_sink__fault__told_without_locks),
		T(fault_text__each_reason__in_words),
		T(fault__scribbled_entry__reserved),
		cmocka_unit_test(fault_reason_text__every__words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
