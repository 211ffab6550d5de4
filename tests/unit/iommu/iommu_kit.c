// SPDX-License-Identifier: MIT
/* What do the tests of this layer share? */
#include "iommu_kit.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>

#include "mem/guard.h"

static char owner;
static struct sigaction saved_segv, saved_bus;

void guard_save(void)
{
	assert_int_equal(guard_init(), 0);
	sigaction(SIGSEGV, NULL, &saved_segv);
	sigaction(SIGBUS, NULL, &saved_bus);
}

void guard_restore(void)
{
	sigaction(SIGSEGV, &saved_segv, NULL);
	sigaction(SIGBUS, &saved_bus, NULL);
}

int kit_setup_as(void **state, const char *iommu, uint32_t flags)
{
	const struct machine_opts opts = { .iommu = iommu };
	struct kit *k = mem_zalloc(sizeof(*k));

	assert_non_null(k);
	assert_int_equal(machine_create(&opts, &k->m), 0);
	assert_int_equal(machine_group(k->m, -1, &k->g), 0);
	iommu_device_init(&k->dev, k->g, "0000:05:00.0", 0, 5 << 8);
	assert_int_equal(iommu_group_claim(k->g, &owner), 0);
	assert_int_equal(iommu_domain_create(&k->m->iommu, flags, &k->dom), 0);
	assert_int_equal(iommu_group_attach(k->g, k->dom), 0);
	*state = k;
	return 0;
}

int kit_setup(void **state)
{
	return kit_setup_as(state, "vtd", 0);
}

int kit_teardown(void **state)
{
	struct kit *k = *state;

	machine_check(k->m);
	assert_int_equal(pt_check(&k->dom->pt), 0);
	iommu_group_detach(k->g);
	iommu_group_release(k->g, &owner);
	iommu_device_finish(&k->dev);
	iommu_domain_destroy(k->dom);
	for (unsigned i = 0; i < k->nruns; i++)
		physmap_unpin(k->m->pm, &k->runs[i], true);
	machine_destroy(k->m);
	for (unsigned i = 0; i < k->nbufs; i++)
		munmap(k->bufs[i].p, k->bufs[i].len);
	mem_free(k);
	return 0;
}

char *kit_buf(struct kit *k, size_t len, size_t align)
{
	char *p =
		mmap(NULL, len + align, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t at = 0;

	assert_ptr_not_equal(p, MAP_FAILED);
	assert_true(k->nbufs < KIT_RUNS);
	k->bufs[k->nbufs].p = p;
	k->bufs[k->nbufs++].len = len + align;
	assert_true(align_up((uintptr_t)p, align, &at));
	p = (char *)(uintptr_t)at;
	for (size_t i = 0; i < len; i++)
		p[i] = (char)(i * 7 + i / 4096);
	return p;
}

void kit_map_in(struct kit *k, struct iommu_domain *dom, uint64_t iova, void *p, size_t len,
		unsigned prot, bool small)
{
	struct pt_gather g;

	pt_gather_init(&g);
	while (len) {
		struct phys_run *run = &k->runs[k->nruns];
		unsigned n;
		long pages;

		assert_true(k->nruns < KIT_RUNS);
		pages = mm_pin(k->m->self, (uintptr_t)p, len >> PAGE_LG2, MM_PIN_WRITE, run, 1, &n);
		assert_true(pages > 0 && n == 1);
		k->nruns++;
		assert_int_equal(iommu_domain_map(dom, iova, run->pa, run->npages << PAGE_LG2, prot,
						  small, &g),
				 0);
		iova += run->npages << PAGE_LG2;
		p = (char *)p + (run->npages << PAGE_LG2);
		len -= run->npages << PAGE_LG2;
	}
	iommu_domain_sync(dom, &g);
}

void kit_map(struct kit *k, uint64_t iova, void *p, size_t len, unsigned prot)
{
	kit_map_in(k, k->dom, iova, p, len, prot, false);
}

void kit_unmap(struct kit *k, struct iommu_domain *dom, uint64_t iova, size_t len)
{
	struct pt_gather g;

	(void)k;
	pt_gather_init(&g);
	iommu_domain_unmap(dom, iova, len, &g);
	iommu_domain_sync(dom, &g);
}

struct iommu_domain *kit_domain(struct kit *k)
{
	struct iommu_domain *dom;

	assert_int_equal(iommu_domain_create(&k->m->iommu, 0, &dom), 0);
	return dom;
}

void kit_last_fault(struct kit *k, struct iommu_fault *f)
{
	assert_true(iommu_fault_get(&k->m->faults, k->m->faults.count, f));
}

static int toy_create(struct uiommufd_device *dev, struct uiommufd_device_desc *desc,
		      char *const argv[], void **state)
{
	struct toy *t;

	(void)desc;
	if (argv[0])
		return uiommufd_device_reason(EINVAL, "the toy has no option \"%s\"", argv[0]);
	t = mem_zalloc(sizeof(*t));
	if (!t)
		return uiommufd_device_reason(ENOMEM, "no memory for a toy");
	t->dev = dev;
	*state = t;
	return 0;
}

static void toy_destroy(void *state)
{
	mem_free(state);
}

static void toy_reset(void *state, enum uiommufd_reset kind)
{
	struct toy *t = state;

	(void)kind;
	memset(t->reg, 0, sizeof(t->reg));
	t->resets++;
	t->stopping = false;
}

static uint64_t toy_read(void *state, unsigned bar, uint64_t off, unsigned size)
{
	struct toy *t = state;

	(void)bar;
	(void)size;
	return off < sizeof(t->reg) ? t->reg[off / 8] >> (off % 8 * 8) : 0;
}

static void toy_write(void *state, unsigned bar, uint64_t off, unsigned size, uint64_t val)
{
	struct toy *t = state;

	(void)bar;
	if (off >= sizeof(t->reg) || size != 8)
		return;
	t->reg[off / 8] = val;
	if (!off)
		uiommufd_device_kick(t->dev);
}

static void toy_run(void *state)
{
	struct toy *t = state;
	uint64_t iova, times;

	if (++t->in_run > 1)
		t->overlapped = true;
	t->runs++;
	uiommufd_device_lock(t->dev);
	iova = t->reg[1];
	times = t->reg[2];
	uiommufd_device_unlock(t->dev);
	for (uint64_t i = 0; i < times && !t->stopping; i++) {
		uint64_t n = ++t->writes;

		t->last_rc = uiommufd_dma_write(t->dev, UIOMMUFD_NO_PASID, iova, &n, sizeof(n));
		if (t->last_rc)
			break;
	}
	t->in_run--;
}

static void toy_stop(void *state)
{
	struct toy *t = state;

	t->stops++;
	t->stopping = true;
}

static const struct uiommufd_device_desc toy_desc = {
	.size = sizeof(toy_desc),
	.name = "toy",
	.summary = "writes a count",
	.vendor = 0x1234,
	.device = 0x5678,
	.class_code = 0xff0000,
	.bar[0] = { .size = 4096,
		    .is64 = true,
		    .modes = UIOMMUFD_BAR_TRAP | UIOMMUFD_BAR_POLL,
		    .default_mode = UIOMMUFD_BAR_TRAP },
};

const struct uiommufd_device_ops toy_ops = {
	.size = sizeof(toy_ops),
	.desc = &toy_desc,
	.create = toy_create,
	.destroy = toy_destroy,
	.reset = toy_reset,
	.bar_read = toy_read,
	.bar_write = toy_write,
	.run = toy_run,
	.stop = toy_stop,
};

struct uiommufd_device *kit_toy(struct kit *k)
{
	const struct function_spec spec = { .ops = &toy_ops, .group = -1 };
	struct uiommufd_device *f;

	assert_int_equal(function_create(k->m, &spec, &f), 0);
	function_set_bus_master(f, true);
	assert_int_equal(iommu_group_claim(f->idev.group, &owner), 0);
	assert_int_equal(iommu_group_attach(f->idev.group, k->dom), 0);
	return f;
}

void kit_toy_release(struct kit *k, struct uiommufd_device *f)
{
	(void)k;
	function_reset(f, UIOMMUFD_RESET_FUNCTION);
	assert_false(((struct toy *)f->state)->overlapped);
	iommu_group_detach(f->idev.group);
	iommu_group_release(f->idev.group, &owner);
}
