// SPDX-License-Identifier: MIT
/* What do the tests of device files share? */
#include "rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mem/guard.h"

/* ---- the model ---- */

static const struct uiommufd_cfg_reg probe_regs[] = {
	/* PASID capability first in the extended chain: hidden, a placeholder stays. */
	{ .offset = 0x100, .reset = PCI_EXT_CAP_HEADER(PCI_EXT_CAP_ID_PASID, 1, 0x110) },
	{ .offset = 0x110, .reset = PCI_EXT_CAP_HEADER(PCI_EXT_CAP_ID_DSN, 1, 0x120) },
	{ .offset = 0x120, .reset = PCI_EXT_CAP_HEADER(PCI_EXT_CAP_ID_PMUX, 1, 0x130) },
	{ .offset = 0x130, .reset = PCI_EXT_CAP_HEADER(PCI_EXT_CAP_ID_DVSEC, 1, 0) },
	{ .offset = 0x148, .rw1c = 0xffffffff },
	{ .offset = 0x14c, .reset = 0x12345678, .rw = 0xffff00ff },
};
static const uint8_t vendor_data[] = { 8, 0x11, 0x22, 0x33, 0x44, 0x55 };
static const uint8_t hidden_data[] = { 0, 0 };
static const struct uiommufd_pci_cap probe_caps[] = {
	{ .id = PCI_CAP_ID_VNDR, .offset = 0x60, .len = 8, .data = vendor_data },
	{ .id = PCI_CAP_ID_SSVID, .offset = 0x6c, .len = 4, .data = hidden_data },
};

static const struct uiommufd_device_desc probe_desc = {
	.size = sizeof(probe_desc),
	.name = "probe",
	.summary = "a test model",
	.vendor = 0x1234,
	.device = 0x5678,
	.subsystem_vendor = 0x9abc,
	.subsystem_device = 0xdef0,
	.class_code = 0x088000,
	.revision = 3,
	.interrupt_pin = 1,
	.bar = { [0] = { .size = PROBE_BAR0,
			 .is64 = true,
			 .modes = UIOMMUFD_BAR_TRAP | UIOMMUFD_BAR_POLL | UIOMMUFD_BAR_FAULT,
			 .default_mode = UIOMMUFD_BAR_TRAP },
		 [2] = { .size = 256,
			 .modes = UIOMMUFD_BAR_TRAP,
			 .default_mode = UIOMMUFD_BAR_TRAP } },
	.msix_vectors = PROBE_VECS,
	.msix_bar = 0,
	.msix_table = PROBE_TABLE,
	.msix_pba = PROBE_PBA,
	.msix_cap = PROBE_MSIX,
	.exp_cap = PROBE_EXP,
	.pm_cap = PROBE_PM,
	.flr = true,
	.cfg_regs = probe_regs,
	.n_cfg_regs = ARRAY_LEN(probe_regs),
	.caps = probe_caps,
	.n_caps = ARRAY_LEN(probe_caps),
};

static int probe_create(struct uiommufd_device *dev, struct uiommufd_device_desc *d,
			char *const argv[], void **state)
{
	struct probe *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	for (; *argv; argv++) {
		if (!strcmp(*argv, "noflr"))
			d->flr = false;
		else if (!strcmp(*argv, "nopin"))
			d->interrupt_pin = 0;
		else if (!strcmp(*argv, "nomsix"))
			d->msix_vectors = 0, d->msix_cap = 0;
		else if (!strcmp(*argv, "nopm"))
			d->pm_cap = 0;
		else if (!strcmp(*argv, "noexp"))
			d->exp_cap = 0, d->flr = false, d->n_cfg_regs = 0;
	}
	p->dev = dev;
	*state = p;
	return 0;
}

static void probe_destroy(void *state)
{
	free(state);
}

static void probe_reset(void *state, enum uiommufd_reset kind)
{
	struct probe *p = state;
	void *shared = uiommufd_device_bar(p->dev, 0);

	(void)kind;
	memset(p->reg, 0, sizeof(p->reg));
	p->resets++;
	p->doorbell = 0;
	p->stopping = false;
	if (shared)
		memset(shared, 0, PROBE_REGS);
}

static uint64_t probe_read(void *state, unsigned bar, uint64_t off, unsigned size)
{
	struct probe *p = state;
	uint64_t val = 0;

	p->last_off = off;
	p->last_size = size;
	if (bar == 0 && off < PROBE_REGS)
		memcpy(&val, p->reg + off, size);
	return val;
}

static void probe_write(void *state, unsigned bar, uint64_t off, unsigned size, uint64_t val)
{
	struct probe *p = state;

	if (bar)
		return;
	if (p->log_n < ARRAY_LEN(p->log)) {
		p->log[p->log_n].off = off;
		p->log[p->log_n].size = size;
		p->log[p->log_n].val = val;
		p->log_n++;
	}
	if (off < PROBE_REGS)
		memcpy(p->reg + off, &val, size);
	if (off == REG_KICK)
		uiommufd_device_kick(p->dev);
}

static void probe_config_written(void *state, unsigned off, uint32_t val)
{
	struct probe *p = state;

	p->config_writes++;
	p->last_cfg_off = off;
	p->last_cfg_val = val;
}

static void probe_command_written(void *state, bool master, bool memory)
{
	struct probe *p = state;

	p->commands++;
	p->master = master;
	p->memory = memory;
}

static void probe_run(void *state)
{
	struct probe *p = state;
	uint64_t iova, loop, val = 0x1122334455667788u;
	int64_t rc;

	p->in_run = 1;
	p->runs++;
	uiommufd_device_lock(p->dev);
	memcpy(&iova, p->reg + REG_IOVA, 8);
	memcpy(&loop, p->reg + REG_LOOP, 8);
	uiommufd_device_unlock(p->dev);
	do {
		rc = uiommufd_dma_write(p->dev, UIOMMUFD_NO_PASID, iova, &val, sizeof(val));
		p->writes++;
	} while (loop && !p->stopping && !rc);
	uiommufd_device_lock(p->dev);
	rc = rc ? rc : 1;
	memcpy(p->reg + REG_RC, &rc, 8);
	uiommufd_device_unlock(p->dev);
	uiommufd_device_irq(p->dev, 0);
	p->in_run = 0;
}

static void probe_stop(void *state)
{
	((struct probe *)state)->stopping = true;
}

static void probe_changed(void *state, unsigned bar)
{
	struct probe *p = state;
	uint64_t *shared = uiommufd_device_bar(p->dev, bar);

	p->changed++;
	p->doorbell = __atomic_load_n(&shared[REG_KICK / 8], __ATOMIC_ACQUIRE);
	__atomic_store_n(&shared[REG_RC / 8], p->doorbell + 1, __ATOMIC_RELEASE);
}

const struct uiommufd_device_ops probe_ops = {
	.size = sizeof(probe_ops),
	.desc = &probe_desc,
	.create = probe_create,
	.destroy = probe_destroy,
	.reset = probe_reset,
	.bar_read = probe_read,
	.bar_write = probe_write,
	.config_written = probe_config_written,
	.command_written = probe_command_written,
	.run = probe_run,
	.stop = probe_stop,
	.bar_changed = probe_changed,
};

/* ---- the host ---- */

static int host_ctx(void *arg, int fd, struct iommufd_ctx **out)
{
	struct rig *r = arg;

	for (unsigned i = 0; i < 2; i++)
		if (fd == r->ctx_fd[i]) {
			iommufd_ctx_get(r->ctx[i]);
			*out = r->ctx[i];
			return 0;
		}
	if (fcntl(fd, F_GETFD) < 0)
		return refuse(EBADF, "descriptor %d is not open", fd);
	return refuse(EBADFD, "descriptor %d is no iommufd", fd);
}

static void host_access(void *arg, struct vfio_pci *dev, unsigned bar, bool on)
{
	struct rig *r = arg;

	(void)dev;
	r->access.calls++;
	r->access.bar = bar;
	r->access.on = on;
}

static const struct vfio_host_ops host_ops = { .ctx_from_fd = host_ctx, .bar_access = host_access };

/* ---- the rig ---- */

static struct sigaction saved_segv, saved_bus;

void rig_main_init(void)
{
	assert_int_equal(guard_init(), 0);
	sigaction(SIGSEGV, NULL, &saved_segv);
	sigaction(SIGBUS, NULL, &saved_bus);
}

/* cmocka puts its own handlers in front of each test, after its set-up. */
void rig_signals(void)
{
	sigaction(SIGSEGV, &saved_segv, NULL);
	sigaction(SIGBUS, &saved_bus, NULL);
}

static void add_function(struct rig *r, const struct rig_opts *o, unsigned i)
{
	struct function_spec spec = { .ops = &probe_ops, .group = -1 };

	if (o->group[i])
		spec.group = o->group[i];
	if (o->addr[i])
		snprintf(spec.name, sizeof(spec.name), "%s", o->addr[i]);
	spec.bar_mode[0] = o->bar0_mode;
	spec.argv = (char **)(uintptr_t)o->options[i];
	assert_int_equal(function_create(r->m, &spec, &r->fn[i]), 0);
	assert_int_equal(vfio_pci_create(r->fn[i], &host_ops, r, &r->pci[i]), 0);
}

struct rig *rig_new(const struct rig_opts *o)
{
	static const struct rig_opts none;
	const struct machine_opts opts = { .kind = iommu_kind_find("vtd") };
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	rig_signals();
	o = o ? o : &none;
	assert_int_equal(machine_create(&opts, &r->m), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(iommufd_ctx_create(r->m, &r->ctx[i]), 0);
		r->ctx_fd[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		assert_true(r->ctx_fd[i] >= 0);
	}
	for (unsigned i = 0; i < (o->two ? 2u : 1u); i++)
		add_function(r, o, i);
	return r;
}

void rig_free(struct rig *r)
{
	if (r->f)
		vfio_file_release(r->f);
	for (unsigned i = 0; i < 2; i++) {
		if (r->ctx[i]) {
			iommufd_ctx_check(r->ctx[i]);
			iommufd_ctx_put(r->ctx[i]);
		}
		close(r->ctx_fd[i]);
	}
	for (unsigned i = 0; i < 2; i++) {
		vfio_pci_destroy(r->pci[i]);
		function_destroy(r->fn[i]);
	}
	machine_destroy(r->m);
	free(r);
}

struct probe *rig_probe(struct rig *r, unsigned i)
{
	return r->fn[i]->state;
}

struct vfio_file *rig_open(struct rig *r, unsigned i)
{
	struct vfio_file *f;

	assert_int_equal(vfio_file_open(r->pci[i], &f), 0);
	return f;
}

long rig_bind(struct rig *r, struct vfio_file *f, unsigned ctx, uint32_t *id)
{
	struct vfio_device_bind_iommufd b = { .argsz = sizeof(b), .iommufd = r->ctx_fd[ctx] };
	long rc = IO(f, VFIO_DEVICE_BIND_IOMMUFD, &b);

	if (!rc && id)
		*id = b.out_devid;
	return rc;
}

uint32_t rig_ioas(struct rig *r, unsigned ctx)
{
	struct iommu_ioas_alloc a = { .size = sizeof(a) };

	assert_int_equal(iommufd_ctx_ioctl(r->ctx[ctx], IOMMU_IOAS_ALLOC, (uintptr_t)&a), 0);
	return a.out_ioas_id;
}

long rig_destroy(struct rig *r, unsigned ctx, uint32_t id)
{
	struct iommu_destroy d = { .size = sizeof(d), .id = id };

	return iommufd_ctx_ioctl(r->ctx[ctx], IOMMU_DESTROY, (uintptr_t)&d);
}

long rig_attach(struct vfio_file *f, uint32_t *pt)
{
	struct vfio_device_attach_iommufd_pt a = { .argsz = 12, .pt_id = *pt };
	long rc = IO(f, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &a);

	if (!rc)
		*pt = a.pt_id;
	return rc;
}

long rig_detach(struct vfio_file *f)
{
	struct vfio_device_detach_iommufd_pt d = { .argsz = 8 };

	return IO(f, VFIO_DEVICE_DETACH_IOMMUFD_PT, &d);
}

long rig_map(struct rig *r, unsigned ctx, uint32_t ioas, void *p, size_t len, uint64_t iova)
{
	struct iommu_ioas_map m = {
		.size = sizeof(m),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_WRITEABLE |
			 IOMMU_IOAS_MAP_READABLE,
		.ioas_id = ioas,
		.user_va = (uintptr_t)p,
		.length = len,
		.iova = iova,
	};

	return iommufd_ctx_ioctl(r->ctx[ctx], IOMMU_IOAS_MAP, (uintptr_t)&m);
}

long rig_set_irqs(struct vfio_file *f, uint32_t flags, uint32_t index, uint32_t start,
		  uint32_t count, const void *data)
{
	union {
		struct vfio_irq_set s;
		uint8_t room[20 + 4 * 64];
	} u = { .s = { .flags = flags, .index = index, .start = start, .count = count } };
	size_t size = flags & VFIO_IRQ_SET_DATA_EVENTFD ? 4
		      : flags & VFIO_IRQ_SET_DATA_BOOL  ? 1
							: 0;

	if (count > 64)
		size = 0;
	u.s.argsz = (uint32_t)(20 + size * count);
	if (data)
		memcpy(u.s.data, data, size * count);
	return IO(f, VFIO_DEVICE_SET_IRQS, &u);
}

int rig_eventfd(unsigned initial)
{
	int fd = eventfd(initial, EFD_NONBLOCK | EFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

uint64_t rig_take(int fd)
{
	uint64_t n = 0;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

uint64_t rig_wait(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	poll(&p, 1, 1000);
	return rig_take(fd);
}

uint32_t rig_cfg(struct vfio_file *f, unsigned off, unsigned size)
{
	uint32_t val = 0;

	assert_int_equal(vfio_file_pread(f, (uintptr_t)&val, size, (7ull << 40) + off), size);
	return val;
}

void rig_cfg_set(struct vfio_file *f, unsigned off, unsigned size, uint32_t val)
{
	assert_int_equal(vfio_file_pwrite(f, (uintptr_t)&val, size, (7ull << 40) + off), size);
}

uint64_t rig_bar(struct vfio_file *f, unsigned bar, uint64_t off, unsigned size)
{
	uint64_t val = 0;

	assert_int_equal(vfio_file_pread(f, (uintptr_t)&val, size, ((uint64_t)bar << 40) + off),
			 size);
	return val;
}

void rig_bar_set(struct vfio_file *f, unsigned bar, uint64_t off, unsigned size, uint64_t val)
{
	assert_int_equal(vfio_file_pwrite(f, (uintptr_t)&val, size, ((uint64_t)bar << 40) + off),
			 size);
}

unsigned rig_open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

void *rig_readonly(const void *src, size_t n)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	memcpy(p, src, n);
	assert_int_equal(mprotect(p, 4096, PROT_READ), 0);
	return p;
}

int rig_setup(void **state)
{
	struct rig *r = rig_new(NULL);

	r->f = rig_open(r, 0);
	assert_int_equal(rig_bind(r, r->f, 0, &r->devid), 0);
	*state = r;
	return 0;
}

int rig_teardown(void **state)
{
	rig_free(*state);
	return 0;
}
