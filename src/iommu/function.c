// SPDX-License-Identifier: MIT
/* What is a function, from the options that ask for it to the end of it? */
#include "iommu/function.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "base/pool.h"
#include "base/why.h"
#include "mem/fence.h"

static bool name_taken(struct machine *m, const char *name)
{
	bool taken = false;

	mtx_lock(&m->lock);
	list_for_each(l, &m->functions)
		taken |=
			!strcmp(list_entry(l, struct uiommufd_device, in_machine)->idev.name, name);
	mtx_unlock(&m->lock);
	return taken;
}

struct pci_addr {
	uint32_t segment;
	uint16_t rid;
	char name[32];
};

/* Up to @digits hexadecimal digits and then @end. Not sscanf(): it takes signs, blanks and 0x. */
static bool parse_hex(const char **p, unsigned digits, char end, unsigned *out)
{
	unsigned v = 0, n = 0;

	for (; n < digits; n++, (*p)++) {
		char c = **p;

		if (c >= '0' && c <= '9')
			v = v << 4 | (unsigned)(c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			v = v << 4 | (unsigned)((c | 0x20) - 'a' + 10);
		else
			break;
	}
	if (!n || **p != end)
		return false;
	*out = v;
	(*p)++;
	return true;
}

/* "0000:01:00.0", as sysfs spells it; an empty @text: the next free bus. */
static int parse_addr(struct machine *m, const char *text, struct pci_addr *out)
{
	unsigned seg, bus, dev, fn;
	const char *p = text;

	if (!text[0]) {
		for (bus = 1; bus < 256; bus++) {
			*out = (struct pci_addr){ .rid = (uint16_t)(bus << 8) };
			snprintf(out->name, sizeof(out->name), "0000:%02x:00.0", bus);
			if (!name_taken(m, out->name))
				return 0;
		}
		return refuse(EEXIST, "all 255 buses have a device");
	}
	if (!parse_hex(&p, 8, ':', &seg) || !parse_hex(&p, 2, ':', &bus) ||
	    !parse_hex(&p, 2, '.', &dev) || !parse_hex(&p, 1, 0, &fn) || dev > 31 || fn > 7)
		return refuse(EINVAL, "\"%.20s\" is no PCI address like 0000:01:00.0", text);
	out->segment = seg;
	out->rid = (uint16_t)(bus << 8 | dev << 3 | fn);
	snprintf(out->name, sizeof(out->name), "%04x:%02x:%02x.%x", seg, bus, dev, fn);
	if (name_taken(m, out->name))
		return refuse(EEXIST, "there is a device at %s already", out->name);
	return 0;
}

static int check_ops(const struct uiommufd_device_ops *ops)
{
	if (!ops || ops->size < sizeof(*ops))
		return refuse(EINVAL, "the table of callbacks has %zu bytes, %zu are needed",
			      ops ? ops->size : 0, sizeof(*ops));
	if (!ops->desc || ops->desc->size < sizeof(*ops->desc))
		return refuse(EINVAL, "the description has %zu bytes, %zu are needed",
			      ops->desc ? ops->desc->size : 0, sizeof(*ops->desc));
	if (!ops->create || !ops->destroy || !ops->reset || !ops->bar_read || !ops->bar_write)
		return refuse(EINVAL, "create, destroy, reset, bar_read, bar_write must be there");
	if (ops->run && !ops->stop)
		return refuse(EINVAL, "a model with run needs stop");
	return 0;
}

static int choose_modes(struct uiommufd_device *f, const unsigned *asked)
{
	for (unsigned i = 0; i < UIOMMUFD_BARS; i++) {
		const struct uiommufd_bar *b = &f->desc.bar[i];

		if (!b->size) {
			if (asked[i])
				return refuse(EINVAL, "%s has no BAR %u to give a mode",
					      f->desc.name, i);
			continue;
		}
		f->bar_mode[i] = asked[i] ? asked[i] : b->default_mode;
		if (!is_pow2(f->bar_mode[i]) || !(f->bar_mode[i] & b->modes))
			return refuse(EINVAL, "%s BAR %u: mode 0x%x is not one of its modes 0x%x",
				      f->desc.name, i, f->bar_mode[i], b->modes);
	}
	return 0;
}

/* Has the model build itself, and looks at what came out. */
static int build_model(struct uiommufd_device *f, const struct function_spec *spec)
{
	static char *none[] = { NULL };
	int rc;

	f->ops = spec->ops;
	memcpy(&f->desc, f->ops->desc, sizeof(f->desc));
	f->desc.size = sizeof(f->desc);
	why_clear();
	rc = f->ops->create(f, &f->desc, spec->argv ? spec->argv : none, &f->state);
	if (rc) {
		if (rc > 0)
			rc = -EINVAL;
		if (!why_last()[0])
			refuse(-rc, "the model %s refused", f->desc.name ? f->desc.name : "");
		return rc;
	}
	rc = function_desc_check(&f->desc);
	if (!rc)
		rc = choose_modes(f, spec->bar_mode);
	if (rc)
		f->ops->destroy(f->state);
	return rc;
}

/* A group that somebody owns already gets no new device: it would not be attached. */
static int join_group(struct machine *m, int id, struct iommu_group **out)
{
	struct iommu_group *g;
	bool owned;
	int rc = machine_group(m, id, &g);

	if (rc)
		return rc;
	mtx_lock(&g->lock);
	owned = g->owner != NULL;
	mtx_unlock(&g->lock);
	if (owned)
		return refuse(EBUSY, "group %d is in use: its devices are fixed", g->id);
	*out = g;
	return 0;
}

int function_create(struct machine *m, const struct function_spec *spec,
		    struct uiommufd_device **out)
{
	struct uiommufd_device *f;
	struct iommu_group *g = NULL;
	struct pci_addr addr;
	int rc;

	rc = check_ops(spec->ops);
	if (!rc)
		rc = parse_addr(m, spec->name, &addr);
	if (!rc)
		rc = join_group(m, spec->group, &g);
	if (rc)
		return rc;
	f = mem_zalloc(sizeof(*f));
	if (!f)
		return refuse(ENOMEM, "no memory for %s", addr.name);
	f->machine = m;
	mtx_init(&f->lock, LOCK_MODEL);
	list_init(&f->in_machine);
	rc = function_thread_create(f, &f->thread);
	if (rc)
		goto err_free;
	iommu_device_init(&f->idev, g, addr.name, addr.segment, addr.rid);
	f->idev.dma_gate = &f->bus_master;
	rc = build_model(f, spec);
	if (rc)
		goto err_device;
	mtx_lock(&f->lock);
	f->ops->reset(f->state, UIOMMUFD_RESET_POWER_ON);
	mtx_unlock(&f->lock);
	mtx_lock(&m->lock);
	f->index = m->n_functions++;
	list_add_tail(&m->functions, &f->in_machine);
	mtx_unlock(&m->lock);
	*out = f;
	return 0;

err_device:
	function_thread_destroy(f->thread);
	iommu_device_finish(&f->idev);
	mem_free(f);
	return rc;
err_free:
	mem_free(f);
	return rc;
}

/* Held: run() has returned and no DMA is under way when this returns. */
static void stop_model(struct uiommufd_device *f)
{
	(void)(LOCK_CHECK && BUG_ON(lock_rank_holds(LOCK_MODEL)));
	function_thread_hold(f->thread);
	iommu_device_stop_dma(&f->idev);
	if (f->ops->stop) {
		mtx_lock(&f->lock);
		f->ops->stop(f->state);
		mtx_unlock(&f->lock);
	}
	function_thread_wait(f->thread);
}

void function_destroy(struct uiommufd_device *f)
{
	if (!f)
		return;
	stop_model(f);
	function_thread_destroy(f->thread);
	mtx_lock(&f->machine->lock);
	list_del(&f->in_machine);
	mtx_unlock(&f->machine->lock);
	f->ops->destroy(f->state);
	iommu_device_finish(&f->idev);
	mem_free(f);
}

void function_reset(struct uiommufd_device *f, enum uiommufd_reset kind)
{
	stop_model(f);
	mtx_lock(&f->lock);
	/* Before reset(): what register writes kicked up to now it wipes out, what it kicks stays.
	 */
	function_thread_forget(f->thread);
	f->ops->reset(f->state, kind);
	iommu_device_allow_dma(&f->idev);
	mtx_unlock(&f->lock);
	function_thread_release(f->thread);
}

void function_set_bus_master(struct uiommufd_device *f, bool on)
{
	atomic_store(&f->bus_master, on);
	if (!on)
		fence_wait_all();
}

static bool bar_access_ok(const struct uiommufd_device *f, unsigned bar, uint64_t off,
			  unsigned size)
{
	return bar < UIOMMUFD_BARS && is_pow2(size) && size <= 8 && !(off & (size - 1)) &&
	       off < f->desc.bar[bar].size && size <= f->desc.bar[bar].size - off;
}

uint64_t function_bar_read(struct uiommufd_device *f, unsigned bar, uint64_t off, unsigned size)
{
	uint64_t val;

	if (!bar_access_ok(f, bar, off, size))
		return 0;
	mtx_lock(&f->lock);
	val = f->ops->bar_read(f->state, bar, off, size);
	mtx_unlock(&f->lock);
	return size == 8 ? val : val & ((1ull << (8 * size)) - 1);
}

void function_bar_write(struct uiommufd_device *f, unsigned bar, uint64_t off, unsigned size,
			uint64_t val)
{
	if (!bar_access_ok(f, bar, off, size))
		return;
	mtx_lock(&f->lock);
	f->ops->bar_write(f->state, bar, off, size, val);
	mtx_unlock(&f->lock);
}
