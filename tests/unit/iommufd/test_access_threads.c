// SPDX-License-Identifier: MIT
/*
 * Accesses from many threads: pins, copies, unmap, replace, destroy and devices at once.
 *
 * Each answer must be one that some order explains, a pinned page is the one that was mapped, and
 * at the end nothing is pinned.
 */
#include "kit.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "iommufd/access.h"

#define P     PAGE_SIZE
#define PAGES 8u

#define MUST(cond)                                                                              \
	do {                                                                                    \
		if (!(cond)) {                                                                  \
			print_error("%s:%d: %s (%s)\n", __func__, __LINE__, #cond, why_last()); \
			abort();                                                                \
		}                                                                               \
	} while (0)

struct world {
	struct kit *k;
	uint32_t ioas[2];
	char *p;
	_Atomic bool stop;
};

/* One consumer: pins of single pages, dropped by their owner or by a callback, once. */
struct user {
	struct world *w;
	struct iommufd_access *a;
	struct mtx lock; /* its own; held while it pins or unpins, as drivers do */
	bool pinned[PAGES];
	unsigned pins, told;
};

static void drop_page(struct user *u, unsigned page)
{
	if (!u->pinned[page])
		return;
	iommufd_access_unpin_pages(u->a, page * P, P);
	u->pinned[page] = false;
}

static void user_unmap(void *data, uint64_t iova, uint64_t length)
{
	struct user *u = data;

	mtx_lock(&u->lock);
	u->told++;
	for (unsigned i = 0; i < PAGES; i++)
		if (ranges_meet(iova, iova + (length - 1), i * P, i * P + P - 1))
			drop_page(u, i);
	mtx_unlock(&u->lock);
}

static const struct iommufd_access_ops user_ops = { true, user_unmap };

static void pin_page(struct user *u, unsigned page)
{
	uint64_t pa = 0;
	int rc;

	mtx_lock(&u->lock);
	if (!u->pinned[page]) {
		rc = iommufd_access_pin_pages(u->a, page * P, P, &pa, IOMMUFD_ACCESS_WRITE);
		MUST(!rc || rc == -ENOENT || rc == -EINVAL);
		if (!rc) {
			MUST(pa == (uintptr_t)u->w->p + page * P);
			u->pinned[page] = true;
			u->pins++;
		}
	} else {
		drop_page(u, page);
	}
	mtx_unlock(&u->lock);
}

static void *pins(void *arg)
{
	struct user *u = arg;

	for (unsigned i = 0; !atomic_load(&u->w->stop); i++)
		pin_page(u, i * 5 % PAGES);
	return NULL;
}

static void *copies(void *arg)
{
	struct user *u = arg;

	for (unsigned i = 0; !atomic_load(&u->w->stop); i++) {
		char buf[64];
		uint64_t page = i % PAGES;
		int rc = iommufd_access_rw(u->a, page * P + 8, buf, sizeof(buf),
					   i & 1 ? IOMMUFD_ACCESS_SLOW : 0);

		MUST(!rc || rc == -ENOENT || rc == -EINVAL);
		MUST(rc || buf[0] == (char)(1 + page));
	}
	return NULL;
}

static void *replaces(void *arg)
{
	struct user *u = arg;

	for (unsigned i = 0; !atomic_load(&u->w->stop); i++) {
		MUST(!iommufd_access_replace(u->a, u->w->ioas[i & 1]));
		if (i % 16 == 0) {
			iommufd_access_detach(u->a);
			MUST(!iommufd_access_attach(u->a, u->w->ioas[0]));
		}
	}
	return NULL;
}

static void *maps(void *arg)
{
	struct world *w = arg;

	for (unsigned i = 0; !atomic_load(&w->stop); i++) {
		unsigned page = i % PAGES;
		struct iommu_ioas_map m = { .size = sizeof(m),
					    .flags = FIXED | RW,
					    .ioas_id = w->ioas[i / PAGES % 2],
					    .user_va = (uintptr_t)w->p + page * P,
					    .length = P,
					    .iova = page * P };
		int rc = kit_ioctl(w->k, IOMMU_IOAS_MAP, &m);

		MUST(!rc || rc == -EEXIST);
	}
	return NULL;
}

/* Areas of both over one pages object. */
static void *ioas_copies(void *arg)
{
	struct world *w = arg;

	for (unsigned i = 0; !atomic_load(&w->stop); i++) {
		struct iommu_ioas_copy c = { .size = sizeof(c),
					     .flags = FIXED | RW,
					     .dst_ioas_id = w->ioas[i & 1],
					     .src_ioas_id = w->ioas[!(i & 1)],
					     .length = P,
					     .dst_iova = i / 2 % PAGES * P,
					     .src_iova = i / 2 % PAGES * P };
		int rc = kit_ioctl(w->k, IOMMU_IOAS_COPY, &c);

		MUST(!rc || rc == -EEXIST || rc == -ENOENT);
	}
	return NULL;
}

static void *unmaps(void *arg)
{
	struct world *w = arg;

	for (unsigned i = 0; !atomic_load(&w->stop); i++) {
		struct iommu_ioas_unmap m = { .size = sizeof(m),
					      .ioas_id = w->ioas[i & 1],
					      .iova = i % 7 ? i % PAGES * P : 0,
					      .length = i % 7 ? P : MAX };
		int rc = kit_ioctl(w->k, IOMMU_IOAS_UNMAP, &m);

		MUST(!rc || rc == -ENOENT || rc == -EBUSY);
	}
	return NULL;
}

/* Consumers that come, pin, and go without unpinning: destroying tells them. */
static void *comes_and_goes(void *arg)
{
	struct world *w = arg;

	for (unsigned i = 0; !atomic_load(&w->stop); i++) {
		struct user u = { .w = w };
		uint32_t id;

		mtx_init(&u.lock, LOCK_NONE);
		MUST(!iommufd_access_create(w->k->ctx, &user_ops, &u, &u.a, &id));
		MUST(!iommufd_access_attach(u.a, w->ioas[i & 1]));
		for (unsigned n = 0; n < PAGES; n++)
			pin_page(&u, n);
		MUST(kit_destroy(w->k, id) == -EBUSY);
		iommufd_access_destroy(u.a);
		for (unsigned n = 0; n < PAGES; n++)
			MUST(!u.pinned[n]);
	}
	return NULL;
}

static void *attaches(void *arg)
{
	struct world *w = arg;

	for (unsigned i = 0; !atomic_load(&w->stop); i++) {
		uint32_t id = w->ioas[i & 1];

		MUST(!iommufd_device_attach(w->k->d[0].idev, &id));
		iommufd_device_detach(w->k->d[0].idev);
	}
	return NULL;
}

static void user_make(struct world *w, struct user *u)
{
	uint32_t id;

	memset(u, 0, sizeof(*u));
	u->w = w;
	mtx_init(&u->lock, LOCK_NONE);
	expect_rc(iommufd_access_create(w->k->ctx, &user_ops, u, &u->a, &id), 0);
	expect_rc(iommufd_access_attach(u->a, w->ioas[0]), 0);
}

struct job {
	void *(*fn)(void *arg);
	void *arg;
};

static void run(struct world *w, const struct job *jobs, unsigned n)
{
	struct timespec ts = { .tv_nsec = 500000000 };
	pthread_t t[8];

	assert_true(n <= 8);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(pthread_create(&t[i], NULL, jobs[i].fn, jobs[i].arg), 0);
	nanosleep(&ts, NULL);
	atomic_store(&w->stop, true);
	for (unsigned i = 0; i < n; i++)
		pthread_join(t[i], NULL);
}

/* An unpin of what is not pinned is a warning: here it would be a bug. */
static void see_line(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	if (level > LOG_WARN)
		return;
	print_error("%s\n", line);
	abort();
}

static void begin(void **state, struct world *w)
{
	log_set_sink(see_line, NULL);
	*w = (struct world){ .k = *state };
	w->ioas[0] = kit_ioas(w->k);
	w->ioas[1] = kit_ioas(w->k);
	w->p = kit_buf(w->k, PAGES * P, P);
}

static void pins__under_unmap_and_replace__nothing_left(void **state)
{
	struct world w;
	struct user u[3];

	begin(state, &w);
	for (unsigned i = 0; i < 3; i++)
		user_make(&w, &u[i]);
	run(&w,
	    (struct job[]){ { pins, &u[0] },
			    { pins, &u[1] },
			    { replaces, &u[1] },
			    { copies, &u[2] },
			    { replaces, &u[2] },
			    { ioas_copies, &w },
			    { maps, &w },
			    { unmaps, &w } },
	    8);
	assert_true(u[0].pins > 0 && u[0].told > 0);
	for (unsigned i = 0; i < 3; i++)
		iommufd_access_destroy(u[i].a);
	kit_check(w.k, 0);
}

static void pins__while_devices_and_consumers_come_and_go__nothing_left(void **state)
{
	struct world w;
	struct user u;

	begin(state, &w);
	kit_bind(w.k, kit_device(w.k, -1));
	user_make(&w, &u);
	run(&w,
	    (struct job[]){ { pins, &u },
			    { copies, &u },
			    { comes_and_goes, &w },
			    { comes_and_goes, &w },
			    { attaches, &w },
			    { ioas_copies, &w },
			    { maps, &w },
			    { unmaps, &w } },
	    8);
	assert_true(u.pins > 0);
	iommufd_access_destroy(u.a);
	kit_check(w.k, 0);
}

struct slow {
	struct iommufd_access *a;
	_Atomic int inside, leave, destroyed;
	struct kit *k;
	uint32_t ioas;
};

static void slow_unmap(void *data, uint64_t iova, uint64_t length)
{
	struct slow *s = data;

	if (length == MAX)
		return;
	atomic_store(&s->inside, 1);
	while (!atomic_load(&s->leave))
		cpu_relax();
	MUST(!atomic_load(&s->destroyed));
	iommufd_access_unpin_pages(s->a, iova, P);
}

static void *slow_unmapper(void *arg)
{
	struct slow *s = arg;
	struct iommu_ioas_unmap m = {
		.size = sizeof(m), .ioas_id = s->ioas, .iova = 0x10000, .length = P
	};

	MUST(!kit_ioctl(s->k, IOMMU_IOAS_UNMAP, &m));
	return NULL;
}

static void *slow_destroyer(void *arg)
{
	struct slow *s = arg;

	iommufd_access_destroy(s->a);
	atomic_store(&s->destroyed, 1);
	return NULL;
}

/* */
static void destroy__callback_running__waits_for_it(void **state)
{
	static const struct iommufd_access_ops ops = { true, slow_unmap };
	struct timespec ts = { .tv_nsec = 50000000 };
	struct slow s = { .k = *state };
	pthread_t t, t2;
	uint64_t pa;
	uint32_t id;
	char *p = kit_buf(s.k, P, P);

	s.ioas = kit_ioas(s.k);
	expect_rc(kit_map_at(s.k, s.ioas, 0x10000, p, P), 0);
	expect_rc(iommufd_access_create(s.k->ctx, &ops, &s, &s.a, &id), 0);
	expect_rc(iommufd_access_attach(s.a, s.ioas), 0);
	expect_rc(iommufd_access_pin_pages(s.a, 0x10000, P, &pa, 0), 0);
	pthread_create(&t, NULL, slow_unmapper, &s);
	while (!atomic_load(&s.inside))
		cpu_relax();
	pthread_create(&t2, NULL, slow_destroyer, &s);
	nanosleep(&ts, NULL);
	assert_int_equal(atomic_load(&s.destroyed), 0);
	atomic_store(&s.leave, 1);
	pthread_join(t, NULL);
	pthread_join(t2, NULL);
	assert_int_equal(atomic_load(&s.destroyed), 1);
	kit_check(s.k, 0);
	expect_rc(kit_destroy(s.k, s.ioas), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(pins__under_unmap_and_replace__nothing_left),
		KIT_TEST(pins__while_devices_and_consumers_come_and_go__nothing_left),
		KIT_TEST(destroy__callback_running__waits_for_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
