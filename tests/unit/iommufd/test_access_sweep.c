// SPDX-License-Identifier: MIT
/*
 * Every step of an access's calls that can fail, failed: is what it did undone, and does it work
 * the next time?
 */
#include "access_kit.h"

#include <sys/mman.h>
#include <unistd.h>

#define STEPS_MAX 500u
#define AT        0x40000000ull

struct world {
	struct kit *k;
	struct kit_dev *d;
	struct holder h;
	uint32_t ioas, ioas2;
	uint64_t len;
	char *p;
};

struct picture {
	uint64_t pinned, frames, align, align2;
	uint32_t next_id, users, users2, list, list2;
	unsigned pins, calls;
	const struct ioas *at, *unpin_at;
};

static struct ioas *ioas_of(struct kit *k, uint32_t id)
{
	struct ioas *ioas = NULL;

	expect_rc(ioas_get(k->ctx, id, &ioas), 0);
	object_put(&ioas->obj);
	return ioas;
}

static void take_picture(struct world *w, struct picture *pic)
{
	struct physmap_stats st;

	memset(pic, 0, sizeof(*pic));
	iommufd_ctx_check(w->k->ctx);
	physmap_check(w->k->m->pm);
	physmap_stats(w->k->m->pm, &st);
	pic->pinned = account_pinned();
	pic->frames = st.pinned_pages;
	pic->next_id = kit_next_id(w->k);
	pic->align = ioas_alignment(w->k, w->ioas);
	pic->align2 = ioas_alignment(w->k, w->ioas2);
	pic->users = object_users(&ioas_of(w->k, w->ioas)->obj);
	pic->users2 = object_users(&ioas_of(w->k, w->ioas2)->obj);
	pic->list = ioas_of(w->k, w->ioas)->iopt.accesses.count;
	pic->list2 = ioas_of(w->k, w->ioas2)->iopt.accesses.count;
	pic->pins = w->h.npins;
	pic->calls = w->h.calls;
	if (w->h.a) {
		pic->at = w->h.a->ioas;
		pic->unpin_at = w->h.a->ioas_unpin;
	}
}

typedef int (*step_fn)(struct world *w);

static void sweep(struct world *w, step_fn call, step_fn undo)
{
	struct picture before, after;
	unsigned failures = 0;

	take_picture(w, &before);
	for (int persistent = 0; persistent < 2; persistent++) {
		bool fired = true;

		for (unsigned n = 1; fired; n++) {
			int rc;

			assert_true(n < STEPS_MAX);
			fault_arm(n, persistent);
			rc = call(w);
			fault_disarm(&fired);
			if (!rc) {
				expect_rc(undo(w), 0);
			} else {
				assert_true(fired);
				assert_true(rc == -ENOMEM || rc == -EFAULT);
				assert_string_not_equal(why_last(), "");
				failures++;
			}
			take_picture(w, &after);
			if (memcmp(&before, &after, sizeof(before)))
				print_message("after %s, step %u\n", fault_last(), n);
			assert_memory_equal(&before, &after, sizeof(before));
		}
	}
	assert_true(failures > 0);
}

static struct world *world(void **state, bool attach)
{
	static struct world w;

	w = (struct world){ .k = *state };
	w.d = kit_device(w.k, -1);
	w.ioas = kit_ioas(w.k);
	w.ioas2 = kit_ioas(w.k);
	kit_bind(w.k, w.d);
	w.p = kit_buf(w.k, 4 * MIB, 2 * MIB);
	if (attach)
		holder_make(w.k, &w.h, &pin_ops, w.ioas);
	return &w;
}

static void finish(struct world *w)
{
	if (w->h.a)
		iommufd_access_destroy(w->h.a);
	kit_check(w->k, 0);
}

/* No two pages of the first @npages are consecutive. */
static void scatter(struct world *w, size_t npages)
{
	int fd = memfd_create("scattered", 0);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)(2 * npages * P)), 0);
	for (size_t i = 0; i < npages; i++)
		assert_ptr_not_equal(mmap(w->p + i * P, P, PROT_READ | PROT_WRITE,
					  MAP_SHARED | MAP_FIXED, fd, (off_t)(2 * i * P)),
				     MAP_FAILED);
	close(fd);
}

static int do_create(struct world *w)
{
	return iommufd_access_create(w->k->ctx, &pin_ops, &w->h, &w->h.a, &w->h.id);
}

static int undo_create(struct world *w)
{
	iommufd_access_destroy(w->h.a);
	w->h.a = NULL;
	return 0;
}

static void create__fails_anywhere__undone(void **state)
{
	struct world *w = world(state, false);

	sweep(w, do_create, undo_create);
	finish(w);
}

static int do_attach(struct world *w)
{
	return iommufd_access_attach(w->h.a, w->ioas);
}

static int undo_attach(struct world *w)
{
	iommufd_access_detach(w->h.a);
	w->h.calls = 0;
	return 0;
}

static void attach__fails_anywhere__undone(void **state)
{
	struct world *w = world(state, false);

	holder_make(w->k, &w->h, &pin_ops, 0);
	sweep(w, do_attach, undo_attach);
	finish(w);
}

static int do_replace(struct world *w)
{
	return iommufd_access_replace(w->h.a, w->ioas2);
}

static int undo_replace(struct world *w)
{
	int rc = iommufd_access_replace(w->h.a, w->ioas);

	w->h.calls = 0;
	if (!rc)
		rc = holder_pin(&w->h, AT, 2 * P, PIN_WR);
	return rc;
}

static void replace__fails_anywhere__keeps_its_pins(void **state)
{
	struct world *w = world(state, true);

	expect_rc(kit_map_at(w->k, w->ioas, AT, w->p, 4 * P), 0);
	expect_rc(holder_pin(&w->h, AT, 2 * P, PIN_WR), 0);
	sweep(w, do_replace, undo_replace);
	kit_check(w->k, 2);
	finish(w);
}

static int do_pin(struct world *w)
{
	return holder_pin(&w->h, AT, w->len, PIN_WR);
}

static int undo_pin(struct world *w)
{
	holder_unpin(&w->h, AT, w->len);
	return 0;
}

static void pin_in_every_way(struct world *w)
{
	for (unsigned max = 1; max <= 64; max *= 8) {
		w->k->ctx->batch_max = max;
		sweep(w, do_pin, undo_pin);
	}
}

static void pin__fails_anywhere__undone(void **state)
{
	struct world *w = world(state, true);

	w->len = 20 * P;
	expect_rc(kit_map_at(w->k, w->ioas, AT, w->p, 30 * P), 0);
	pin_in_every_way(w);
	scatter(w, 30);
	pin_in_every_way(w);
	finish(w);
}

static void pin__several_areas_and_tiers__undone(void **state)
{
	struct world *w = world(state, true);

	scatter(w, 10);
	w->len = 24 * P;
	expect_rc(kit_map_at(w->k, w->ioas, AT, w->p, 8 * P), 0);
	expect_rc(kit_map_at(w->k, w->ioas, AT + 8 * P, w->p + 8 * P, 8 * P), 0);
	expect_rc(kit_map_at(w->k, w->ioas, AT + 16 * P, w->p + 16 * P, 10 * P), 0);
	expect_rc(holder_pin(&w->h, AT + 2 * P, 3 * P, PIN_WR), 0);
	expect_rc(holder_pin(&w->h, AT + 4 * P, 6 * P, PIN_WR), 0);
	pin_in_every_way(w);
	kit_check(w->k, 8);
	kit_attach(w->d, w->ioas);
	sweep(w, do_pin, undo_pin); /* all of it is pinned: only the store needs memory */
	kit_check(w->k, 26);
	kit_detach(w->d);
	finish(w);
}

static int do_attach_device(struct world *w)
{
	uint32_t id = w->ioas;

	return iommufd_device_attach(w->d->idev, &id);
}

static int undo_attach_device(struct world *w)
{
	iommufd_device_detach(w->d->idev);
	return 0;
}

/* Pages of the first tier go into a domain; what a failure takes out again stays pinned. */
static void attach_device__over_pins__undone(void **state)
{
	struct world *w = world(state, true);

	scatter(w, 10);
	expect_rc(kit_map_at(w->k, w->ioas, AT, w->p, 20 * P), 0);
	expect_rc(holder_pin(&w->h, AT + 3 * P, 5 * P, PIN_WR), 0);
	expect_rc(holder_pin(&w->h, AT + 15 * P, P, PIN_WR), 0);
	for (unsigned max = 1; max <= 64; max *= 8) {
		w->k->ctx->batch_max = max;
		sweep(w, do_attach_device, undo_attach_device);
	}
	kit_check(w->k, 6);
	finish(w);
}

static int do_rw(struct world *w)
{
	static char buf[20 * P];

	return iommufd_access_rw(w->h.a, AT + 100, buf, sizeof(buf), IOMMUFD_ACCESS_SLOW);
}

static int do_rw_plain(struct world *w)
{
	static char buf[20 * P];

	return iommufd_access_rw(w->h.a, AT + 100, buf, sizeof(buf), PIN_WR);
}

static int undo_nothing(struct world *w)
{
	(void)w;
	return 0;
}

static void rw__fails_anywhere__nothing_stays_pinned(void **state)
{
	struct world *w = world(state, true);

	scatter(w, 30);
	expect_rc(kit_map_at(w->k, w->ioas, AT, w->p, 30 * P), 0);
	w->k->ctx->batch_max = 3;
	sweep(w, do_rw, undo_nothing);
	sweep(w, do_rw_plain, undo_nothing);
	finish(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(create__fails_anywhere__undone),
		KIT_TEST(attach__fails_anywhere__undone),
		KIT_TEST(replace__fails_anywhere__keeps_its_pins),
		KIT_TEST(pin__fails_anywhere__undone),
		KIT_TEST(pin__several_areas_and_tiers__undone),
		KIT_TEST(attach_device__over_pins__undone),
		KIT_TEST(rw__fails_anywhere__nothing_stays_pinned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
