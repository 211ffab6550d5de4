// SPDX-License-Identifier: MIT
/* What do the tests of this layer share? */
#include "kit.h"

#include <stdio.h>
#include <sys/mman.h>

#include "base/log.h"
#include "iommu/kinds.h"
#include "mem/guard.h"

static int narrow_domain_init(struct iommu_domain *dom, uint32_t flags)
{
	int rc = iommu_kind_find("vtd")->domain_init(dom, flags);

	dom->aperture_last = (1ull << 39) - 1;
	dom->pgsizes = PAGE_SIZE;
	dom->pt.pgsizes = PAGE_SIZE;
	return rc;
}

/* Without asserts a broken invariant is a logged line. */
static _Atomic unsigned bugs;

static void see_line(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	if (level != LOG_ERROR)
		return;
	print_error("%s\n", line);
	atomic_fetch_add(&bugs, 1);
}

int kit_setup(void **state)
{
	const struct machine_opts opts = { .kind = iommu_kind_find("vtd") };
	struct kit *k = mem_zalloc(sizeof(*k));

	assert_non_null(k);
	log_set_sink(see_line, NULL);
	memcpy(&k->test, state, sizeof(k->test));
	expect_rc(machine_create(&opts, &k->m), 0);
	k->kind2 = *opts.kind;
	k->kind2.name = "narrow";
	k->kind2.domain_init = narrow_domain_init;
	k->kind2.hw_info = NULL;
	k->iommu2 = k->m->iommu;
	k->iommu2.kind = &k->kind2;
	k->pinned = account_pinned();
	expect_rc(iommufd_ctx_create(k->m, &k->ctx), 0);
	*state = k;
	return 0;
}

void kit_run(void **state)
{
	struct kit *k = *state;

	expect_rc(guard_init(), 0);
	k->test(state);
}

int kit_teardown(void **state)
{
	struct kit *k = *state;

	if (k->ctx)
		iommufd_ctx_check(k->ctx);
	for (unsigned i = 0; i < k->ndevs; i++) {
		kit_detach(&k->d[i]);
		kit_unbind(&k->d[i]);
	}
	if (k->ctx)
		iommufd_ctx_put(k->ctx);
	assert_int_equal(account_pinned(), k->pinned);
	physmap_check(k->m->pm);
	for (unsigned i = 0; i < k->ndevs; i++)
		iommu_device_finish(&k->d[i].dev);
	for (unsigned i = 0; i < k->ngroups2; i++)
		iommu_group_destroy(k->groups2[i]);
	machine_destroy(k->m);
	for (unsigned i = 0; i < k->nbufs; i++)
		munmap(k->bufs[i].p, k->bufs[i].len);
	mem_free(k);
	assert_int_equal(atomic_load(&bugs), 0);
	return 0;
}

static struct kit_dev *add_device(struct kit *k, struct iommu_group *g)
{
	struct kit_dev *d = &k->d[k->ndevs++];
	char name[32];

	assert_true(k->ndevs <= KIT_DEVICES);
	snprintf(name, sizeof(name), "0000:%02x:00.0", k->ndevs);
	iommu_device_init(&d->dev, g, name, 0, (uint16_t)(k->ndevs << 8));
	return d;
}

struct kit_dev *kit_device(struct kit *k, int group)
{
	struct iommu_group *g;

	expect_rc(machine_group(k->m, group, &g), 0);
	return add_device(k, g);
}

struct kit_dev *kit_device2(struct kit *k)
{
	struct iommu_group **g = &k->groups2[k->ngroups2++];

	expect_rc(iommu_group_create(&k->iommu2, 100 + (int)k->ngroups2, g), 0);
	return add_device(k, *g);
}

void kit_bind(struct kit *k, struct kit_dev *d)
{
	expect_rc(iommufd_device_bind(k->ctx, &d->dev, &d->idev, &d->id), 0);
}

uint32_t kit_attach(struct kit_dev *d, uint32_t pt_id)
{
	expect_rc(iommufd_device_attach(d->idev, &pt_id), 0);
	d->attached = true;
	return pt_id;
}

void kit_detach(struct kit_dev *d)
{
	if (d->idev)
		iommufd_device_detach(d->idev);
	d->attached = false;
}

void kit_unbind(struct kit_dev *d)
{
	if (d->idev)
		iommufd_device_unbind(d->idev);
	d->idev = NULL;
}

char *kit_buf(struct kit *k, size_t len, size_t align)
{
	uint64_t at = 0;
	char *p;

	p = mmap(NULL, len + align, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	assert_true(k->nbufs < KIT_BUFS);
	k->bufs[k->nbufs].p = p;
	k->bufs[k->nbufs++].len = len + align;
	assert_true(align_up((uintptr_t)p, align, &at));
	p = (char *)(uintptr_t)at;
	for (size_t i = 0; i < len && len <= 64 * MIB; i += PAGE_SIZE)
		memset(p + i, (int)(1 + i / PAGE_SIZE % 250), min_u64(PAGE_SIZE, len - i));
	return p;
}

void kit_check(struct kit *k, uint64_t pages)
{
	iommufd_ctx_check(k->ctx);
	physmap_check(k->m->pm);
	assert_int_equal(atomic_load(&bugs), 0);
	assert_int_equal(account_pinned() - k->pinned, pages);
}

int kit_ioctl(struct kit *k, unsigned long cmd, void *arg)
{
	return (int)iommufd_ctx_ioctl(k->ctx, cmd, (uintptr_t)arg);
}

uint32_t kit_ioas(struct kit *k)
{
	struct iommu_ioas_alloc c = { .size = sizeof(c) };

	expect_rc(kit_ioctl(k, IOMMU_IOAS_ALLOC, &c), 0);
	return c.out_ioas_id;
}

int kit_destroy(struct kit *k, uint32_t id)
{
	struct iommu_destroy c = { .size = sizeof(c), .id = id };

	return kit_ioctl(k, IOMMU_DESTROY, &c);
}

int kit_map(struct kit *k, uint32_t ioas, uint32_t flags, const void *va, uint64_t len,
	    uint64_t *iova)
{
	struct iommu_ioas_map c = {
		.size = sizeof(c),
		.flags = flags,
		.ioas_id = ioas,
		.user_va = (uintptr_t)va,
		.length = len,
		.iova = *iova,
	};
	int rc = kit_ioctl(k, IOMMU_IOAS_MAP, &c);

	if (!rc)
		*iova = c.iova;
	else
		assert_string_not_equal(why_last(), "");
	return rc;
}

int kit_map_at(struct kit *k, uint32_t ioas, uint64_t iova, const void *va, uint64_t len)
{
	uint64_t at = iova;
	int rc = kit_map(k, ioas, FIXED | RW, va, len, &at);

	assert_int_equal(at, iova);
	return rc;
}

int kit_unmap(struct kit *k, uint32_t ioas, uint64_t iova, uint64_t len, uint64_t *bytes)
{
	struct iommu_ioas_unmap c = {
		.size = sizeof(c), .ioas_id = ioas, .iova = iova, .length = len
	};
	int rc = kit_ioctl(k, IOMMU_IOAS_UNMAP, &c);

	if (!rc && bytes)
		*bytes = c.length;
	if (rc)
		assert_int_equal(c.length, len); /* not written back */
	return rc;
}

static void count(void *arg, const struct iommufd_area_info *a)
{
	(void)a;
	++*(unsigned *)arg;
}

unsigned kit_areas(struct kit *k, uint32_t ioas)
{
	unsigned n = 0;

	expect_rc(iommufd_for_each_area(k->ctx, ioas, count, &n), 0);
	return n;
}

unsigned kit_ranges(struct kit *k, uint32_t ioas, struct iommu_iova_range *out, unsigned max,
		    uint64_t *align)
{
	struct iommu_ioas_iova_ranges c = { .size = sizeof(c),
					    .ioas_id = ioas,
					    .num_iovas = max,
					    .allowed_iovas = (uintptr_t)out };

	expect_rc(kit_ioctl(k, IOMMU_IOAS_IOVA_RANGES, &c), 0);
	if (align)
		*align = c.out_iova_alignment;
	return c.num_iovas;
}

uint32_t kit_next_id(struct kit *k)
{
	uint32_t id = kit_ioas(k);

	expect_rc(kit_destroy(k, id), 0);
	return id;
}

int kit_dma_read(struct kit_dev *d, uint64_t iova, unsigned char *byte)
{
	return iommu_dma_read(&d->dev, 0, iova, byte, 1, NULL);
}

int kit_dma_write(struct kit_dev *d, uint64_t iova, unsigned char byte)
{
	return iommu_dma_write(&d->dev, 0, iova, &byte, 1, NULL);
}
