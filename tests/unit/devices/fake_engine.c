// SPDX-License-Identifier: MIT
/* What does a model see of the engine, in a test? */
#include "tests/unit/devices/fake_engine.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static __thread char reason[256];

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fake engine: %s\n", what);
	abort();
}

void uiommufd_device_lock(struct uiommufd_device *f)
{
	must(atomic_load(&f->owner) != pthread_self(), "the lock is taken twice");
	pthread_mutex_lock(&f->lock);
	atomic_store(&f->owner, pthread_self());
}

void uiommufd_device_unlock(struct uiommufd_device *f)
{
	must(atomic_load(&f->owner) == pthread_self(), "unlock without the lock");
	atomic_store(&f->owner, (pthread_t)0);
	pthread_mutex_unlock(&f->lock);
}

static void unlocked(struct uiommufd_device *f)
{
	must(atomic_load(&f->owner) != pthread_self(), "DMA or interrupt with the lock held");
}

/* run() on the thread: takes a kick, runs, as often as there are kicks and nobody holds. */
static void *thread_main(void *arg)
{
	struct uiommufd_device *f = arg;

	pthread_mutex_lock(&f->thread_lock);
	for (;;) {
		while (!f->quit && (!f->kicked || f->held))
			pthread_cond_wait(&f->thread_cond, &f->thread_lock);
		if (f->quit)
			break;
		f->kicked = false;
		f->running = true;
		pthread_mutex_unlock(&f->thread_lock);
		f->ops->run(f->state);
		pthread_mutex_lock(&f->thread_lock);
		f->running = false;
		pthread_cond_broadcast(&f->thread_cond);
	}
	pthread_mutex_unlock(&f->thread_lock);
	return NULL;
}

void uiommufd_device_kick(struct uiommufd_device *f)
{
	pthread_mutex_lock(&f->thread_lock);
	f->kicked = true;
	f->kicks++;
	if (f->mode == FAKE_THREAD && !f->started)
		f->started = !pthread_create(&f->thread, NULL, thread_main, f);
	pthread_cond_broadcast(&f->thread_cond);
	pthread_mutex_unlock(&f->thread_lock);
}

bool fake_run(struct uiommufd_device *f)
{
	bool ran = false;

	while (f->kicked && !f->running && !f->held) {
		f->kicked = false;
		f->running = true;
		f->ops->run(f->state);
		f->running = false;
		ran = true;
	}
	return ran;
}

static void inline_run(struct uiommufd_device *f)
{
	if (f->mode == FAKE_INLINE)
		fake_run(f);
}

uint64_t fake_load(struct uiommufd_device *f, uint64_t off, unsigned size)
{
	uint64_t val;

	uiommufd_device_lock(f);
	val = f->ops->bar_read(f->state, 0, off, size);
	uiommufd_device_unlock(f);
	inline_run(f);
	return size == 8 ? val : val & ((1ull << (8 * size)) - 1);
}

void fake_store(struct uiommufd_device *f, uint64_t off, unsigned size, uint64_t val)
{
	uiommufd_device_lock(f);
	f->ops->bar_write(f->state, 0, off, size, val);
	uiommufd_device_unlock(f);
	inline_run(f);
}

void fake_flr(struct uiommufd_device *f)
{
	pthread_mutex_lock(&f->thread_lock);
	f->held = true;
	pthread_mutex_unlock(&f->thread_lock);
	atomic_store(&f->stopped, true);
	uiommufd_device_lock(f);
	f->ops->stop(f->state);
	uiommufd_device_unlock(f);
	pthread_mutex_lock(&f->thread_lock);
	while (f->running && f->mode == FAKE_THREAD)
		pthread_cond_wait(&f->thread_cond, &f->thread_lock);
	f->kicked = false;
	pthread_mutex_unlock(&f->thread_lock);
	uiommufd_device_lock(f);
	for (size_t i = 0; i < f->desc.n_cfg_regs; i++)
		f->cfg[f->desc.cfg_regs[i].offset / 4] = f->desc.cfg_regs[i].reset;
	f->ops->reset(f->state, UIOMMUFD_RESET_FUNCTION);
	atomic_store(&f->stopped, false);
	uiommufd_device_unlock(f);
	pthread_mutex_lock(&f->thread_lock);
	f->held = false;
	pthread_cond_broadcast(&f->thread_cond);
	pthread_mutex_unlock(&f->thread_lock);
}

struct uiommufd_device *fake_open(const struct uiommufd_device_ops *ops, const char *const argv[],
				  enum fake_mode mode, int *rc)
{
	static const char *const none[] = { NULL };
	struct uiommufd_device *f = calloc(1, sizeof(*f));
	int res;

	must(f != NULL, "no memory");
	f->ops = ops;
	f->desc = *ops->desc;
	f->mode = mode;
	atomic_store(&f->msix, true);
	pthread_mutex_init(&f->lock, NULL);
	pthread_mutex_init(&f->thread_lock, NULL);
	pthread_mutex_init(&f->map_lock, NULL);
	pthread_cond_init(&f->thread_cond, NULL);
	reason[0] = 0;
	/* create() takes char pointers, as main() does. */
	res = ops->create(f, &f->desc, (char *const *)(uintptr_t)(argv ? argv : none), &f->state);
	if (rc)
		*rc = res;
	if (res) {
		free(f);
		return NULL;
	}
	uiommufd_device_lock(f);
	ops->reset(f->state, UIOMMUFD_RESET_POWER_ON);
	uiommufd_device_unlock(f);
	return f;
}

void fake_close(struct uiommufd_device *f)
{
	fake_flr(f);
	pthread_mutex_lock(&f->thread_lock);
	f->quit = true;
	pthread_cond_broadcast(&f->thread_cond);
	pthread_mutex_unlock(&f->thread_lock);
	if (f->started)
		pthread_join(f->thread, NULL);
	f->ops->destroy(f->state);
	free(f);
}

const char *fake_reason(void)
{
	return reason;
}

int uiommufd_device_reason(int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	return -err;
}

void fake_map(struct uiommufd_device *f, uint64_t iova, void *host, uint64_t len, unsigned prot)
{
	pthread_mutex_lock(&f->map_lock);
	must(f->n_maps < FAKE_MAPS, "too many mappings");
	f->maps[f->n_maps++] = (struct fake_map){ iova, len, host, prot };
	pthread_mutex_unlock(&f->map_lock);
}

void fake_unmap(struct uiommufd_device *f, uint64_t iova)
{
	pthread_mutex_lock(&f->map_lock);
	for (unsigned i = 0; i < f->n_maps; i++)
		if (f->maps[i].iova == iova)
			f->maps[i--] = f->maps[--f->n_maps];
	pthread_mutex_unlock(&f->map_lock);
}

/* Host address of @iova and the bytes that follow there; NULL: a fault. */
static char *translate(struct uiommufd_device *f, uint64_t iova, unsigned prot, uint64_t *len)
{
	for (unsigned i = 0; i < f->n_maps; i++) {
		const struct fake_map *m = &f->maps[i];
		uint64_t in = iova - m->iova;

		if (in >= m->len || (m->prot & prot) != prot)
			continue;
		if (*len > m->len - in)
			*len = m->len - in;
		return m->host + in;
	}
	atomic_fetch_add(&f->faults, 1);
	return NULL;
}

/* What comes before a request: the hook, and the reasons to refuse it as a whole. */
static int begin(struct uiommufd_device *f, const struct fake_event *ev)
{
	unlocked(f);
	if (f->hook)
		f->hook(f, ev);
	atomic_fetch_add(&f->dma_ops, 1);
	if (f->fail_at && !--f->fail_at)
		return f->fail_rc;
	if (atomic_load(&f->stopped))
		return -ECANCELED;
	return atomic_load(&f->no_master) ? -EPERM : 0;
}

static int done(struct uiommufd_device *f, struct fake_event *ev, int rc)
{
	ev->rc = rc;
	if (f->mode != FAKE_THREAD && f->n_log < FAKE_LOG)
		f->log[f->n_log++] = *ev;
	return rc;
}

static void no_pasid(uint32_t pasid)
{
	must(pasid == UIOMMUFD_NO_PASID, "a PASID");
}

int uiommufd_dma_read(struct uiommufd_device *f, uint32_t pasid, uint64_t iova, void *buf,
		      size_t len)
{
	struct fake_event ev = { .what = FAKE_EV_READ, .iova = iova, .len = len };
	char *to = buf;
	int rc = begin(f, &ev);

	no_pasid(pasid);
	pthread_mutex_lock(&f->map_lock);
	while (!rc && len) {
		uint64_t n = len;
		const char *p = translate(f, iova, FAKE_READ, &n);

		if (!p) {
			rc = -EFAULT;
			break;
		}
		memcpy(to, p, n);
		to += n;
		iova += n;
		len -= n;
	}
	pthread_mutex_unlock(&f->map_lock);
	return done(f, &ev, rc);
}

int uiommufd_dma_write(struct uiommufd_device *f, uint32_t pasid, uint64_t iova, const void *buf,
		       size_t len)
{
	(void)iova;
	(void)buf;
	(void)len;
	no_pasid(pasid);
	unlocked(f);
	must(false, "not used by the models tested");
	return -EINVAL;
}

int uiommufd_dma_copy(struct uiommufd_device *f, uint32_t pasid, uint64_t dst, uint64_t src,
		      uint64_t len, struct uiommufd_dma_fault *fault)
{
	struct fake_event ev = { FAKE_EV_COPY, dst, len, src, 0 };
	int rc = begin(f, &ev);

	no_pasid(pasid);
	if (rc && fault)
		*fault = (struct uiommufd_dma_fault){ .side = f->fail_side };
	pthread_mutex_lock(&f->map_lock);
	for (uint64_t at = 0, n; !rc && at < len; at += n) {
		const char *from;
		char *to;

		n = len - at;
		from = translate(f, src + at, FAKE_READ, &n);
		to = from ? translate(f, dst + at, FAKE_WRITE, &n) : NULL;
		if (to) {
			memmove(to, from, n);
			continue;
		}
		rc = -EFAULT;
		if (fault)
			*fault = (struct uiommufd_dma_fault){
				.iova = (from ? dst : src) + at,
				.side = from ? UIOMMUFD_DMA_DST : UIOMMUFD_DMA_SRC,
				.done = at,
			};
		n = 0;
	}
	pthread_mutex_unlock(&f->map_lock);
	return done(f, &ev, rc);
}

int uiommufd_dma_fill(struct uiommufd_device *f, uint32_t pasid, uint64_t dst, uint64_t pattern,
		      uint64_t len, struct uiommufd_dma_fault *fault)
{
	struct fake_event ev = { FAKE_EV_FILL, dst, len, pattern, 0 };
	int rc = begin(f, &ev);

	no_pasid(pasid);
	must(!fault, "not used by the models tested");
	pthread_mutex_lock(&f->map_lock);
	for (uint64_t at = 0, n; !rc && at < len; at += n) {
		char *to;

		n = len - at;
		to = translate(f, dst + at, FAKE_WRITE, &n);
		if (!to) {
			rc = -EFAULT;
			break;
		}
		for (uint64_t i = 0; i < n; i++)
			to[i] = (char)(pattern >> ((at + i) % 8 * 8));
	}
	pthread_mutex_unlock(&f->map_lock);
	return done(f, &ev, rc);
}

int uiommufd_dma_store(struct uiommufd_device *f, uint32_t pasid, uint64_t iova, uint64_t val,
		       unsigned size)
{
	struct fake_event ev = { FAKE_EV_STORE, iova, size, val, 0 };
	uint64_t n = size;
	char *to;
	int rc = begin(f, &ev);

	no_pasid(pasid);
	must(size == 8 && iova % 8 == 0, "not one aligned store of 8 bytes");
	pthread_mutex_lock(&f->map_lock);
	if (!rc) {
		to = translate(f, iova, FAKE_WRITE, &n);
		if (to)
			atomic_store_explicit((_Atomic uint64_t *)(void *)to, val,
					      memory_order_release);
		else
			rc = -EFAULT;
	}
	pthread_mutex_unlock(&f->map_lock);
	return done(f, &ev, rc);
}

int uiommufd_dma_load(struct uiommufd_device *f, uint32_t pasid, uint64_t iova, uint64_t *val,
		      unsigned size)
{
	(void)iova;
	(void)val;
	(void)size;
	no_pasid(pasid);
	unlocked(f);
	must(false, "not used by the models tested");
	return -EINVAL;
}

void uiommufd_device_irq(struct uiommufd_device *f, unsigned vector)
{
	struct fake_event ev = { .what = FAKE_EV_IRQ };

	unlocked(f);
	must(vector < f->desc.msix_vectors, "no such vector");
	must(atomic_load(&f->msix), "MSI-X is off");
	if (f->hook)
		f->hook(f, &ev);
	atomic_fetch_add(&f->irqs, 1);
	done(f, &ev, 0);
}

void uiommufd_device_intx(struct uiommufd_device *f, bool level)
{
	must(atomic_load(&f->owner) == pthread_self(), "the line moves without the lock");
	if (level && !f->line)
		f->line_rises++;
	f->line = level;
}

bool uiommufd_device_msix_on(struct uiommufd_device *f)
{
	return atomic_load(&f->msix);
}

static const struct uiommufd_cfg_reg *cfg_reg(struct uiommufd_device *f, unsigned off)
{
	for (size_t i = 0; i < f->desc.n_cfg_regs; i++)
		if (f->desc.cfg_regs[i].offset == off)
			return &f->desc.cfg_regs[i];
	must(false, "no such config register");
	return NULL;
}

void uiommufd_device_cfg_or(struct uiommufd_device *f, unsigned off, uint32_t bits)
{
	struct fake_event ev = { .what = FAKE_EV_CFG, .iova = off, .val = bits };

	atomic_fetch_or(&f->cfg[cfg_reg(f, off)->offset / 4], bits);
	done(f, &ev, 0);
}

uint32_t fake_cfg_load(struct uiommufd_device *f, unsigned off)
{
	return f->cfg[cfg_reg(f, off)->offset / 4];
}

void fake_cfg_store(struct uiommufd_device *f, unsigned off, uint32_t val)
{
	const struct uiommufd_cfg_reg *r = cfg_reg(f, off);
	_Atomic uint32_t *reg = &f->cfg[off / 4];

	atomic_fetch_and(reg, ~(r->rw | (val & r->rw1c)));
	atomic_fetch_or(reg, val & r->rw);
}

void *uiommufd_device_bar(struct uiommufd_device *f, unsigned bar)
{
	(void)f;
	(void)bar;
	return NULL;
}

unsigned fake_count(const struct uiommufd_device *f, enum fake_what what)
{
	unsigned n = 0;

	for (unsigned i = 0; i < f->n_log; i++)
		n += f->log[i].what == what;
	return n;
}

void fake_log_clear(struct uiommufd_device *f)
{
	f->n_log = 0;
}
