// SPDX-License-Identifier: MIT
/*
 * What does an id stand for, and when may it go?
 *
 * Invariants of a slot's state word
 *  O1  it is 0 while the id is free
 *  O2  PUBLISHED is set only while users >= 1; a lookup succeeds only with PUBLISHED, without
 *      DYING, and with both counts above 0, and raises both in one step
 *  O3  wait holders are lookups in progress (and a vDEVICE on its DEVICE); users counts the base,
 *      those, and long-lived dependencies
 *  O4  obj is written before PUBLISHED is set (release) and read after a lookup (acquire)
 *
 * States and transitions
 *  free -object_reserve-> reserved -object_publish-> live
 *  reserved -object_abort-> free
 *  live -object_destroy, object_unref_last, object_remove-> free, when only the base (and the
 *  caller's own dependency) is left
 *
 * Which calls exclude which: the id map is under the table's lock; state words need none. A
 * lookup and a removal race on one word, so exactly one of them wins.
 */
#include "iommufd/object.h"

#include <errno.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/why.h"
#include "iommufd/ctx.h"
#include "iommufd/device.h"
#include "iommufd/hwpt.h"
#include "iommufd/ioas.h"

#define WAIT_ONE (1ull << OBJECT_WAIT_SHIFT)

/* How each type ends; its name for reasons. */
static const struct {
	const char *name;
	object_destroy_fn destroy;
} types[OBJECT_TYPES] = {
	[OBJECT_ANY] = { "object", NULL },
	[OBJECT_DEVICE] = { "device", device_destroy },
	[OBJECT_HWPT_PAGING] = { "hwpt", hwpt_destroy },
	[OBJECT_HWPT_NESTED] = { "nested hwpt", NULL },
	[OBJECT_IOAS] = { "ioas", ioas_destroy },
	[OBJECT_ACCESS] = { "access", NULL },
	[OBJECT_FAULT] = { "fault queue", NULL },
	[OBJECT_VIOMMU] = { "viommu", NULL },
	[OBJECT_VDEVICE] = { "vdevice", NULL },
	[OBJECT_VEVENTQ] = { "veventq", NULL },
	[OBJECT_HW_QUEUE] = { "hw queue", NULL },
	[OBJECT_SELFTEST] = { "selftest object", NULL },
};

const char *object_type_name(enum object_type type)
{
	return (unsigned)type < OBJECT_TYPES ? types[type].name : "unknown object";
}

static uint64_t state_users(uint64_t s)
{
	return s & OBJECT_USERS;
}

static uint64_t state_wait(uint64_t s)
{
	return (s & OBJECT_WAIT) >> OBJECT_WAIT_SHIFT;
}

static enum object_type state_type(uint64_t s)
{
	return (enum object_type)((s & OBJECT_TYPE) >> OBJECT_TYPE_SHIFT);
}

void object_table_init(struct object_table *t)
{
	idmap_init(&t->ids, sizeof(struct object_slot), IDMAP_MAX);
	atomic_init(&t->destroy_wake, 0);
	mtx_init(&t->lock, LOCK_OBJECTS);
}

int object_reserve(struct iommufd_ctx *ctx, enum object_type type, struct object *obj)
{
	struct object_table *t = &ctx->objects;
	struct object_slot *slot;
	uint32_t id;
	int rc;

	mtx_lock(&t->lock);
	rc = fault_point() ? -ENOMEM : idmap_alloc(&t->ids, &id);
	mtx_unlock(&t->lock);
	if (rc)
		return refuse(-rc,
			      rc == -EBUSY ? "every object id is taken"
					   : "no memory for the id of a new %s",
			      types[type].name);
	slot = idmap_slot(&t->ids, id);
	*obj = (struct object){ .ctx = ctx, .slot = slot, .id = id, .type = type };
	slot->obj = obj;
	atomic_store_explicit(&slot->state, OBJECT_BOTH | (uint64_t)type << OBJECT_TYPE_SHIFT,
			      memory_order_relaxed); /* O4: nobody looks until PUBLISHED */
	return 0;
}

void object_publish(struct object *obj)
{
	/* Pairs with the acquire of a lookup. */
	atomic_fetch_or_explicit(&obj->slot->state, OBJECT_PUBLISHED, memory_order_release);
}

/* The id goes back to the free ones; its counts are 0. */
static void free_id(struct iommufd_ctx *ctx, struct object_slot *slot, uint32_t id)
{
	atomic_store_explicit(&slot->state, 0, memory_order_relaxed); /* O1 */
	mtx_lock(&ctx->objects.lock);
	idmap_free(&ctx->objects.ids, id);
	mtx_unlock(&ctx->objects.lock);
}

void object_abort(struct object *obj)
{
	(void)BUG_ON(atomic_load_explicit(&obj->slot->state, memory_order_relaxed) &
		     OBJECT_PUBLISHED);
	free_id(obj->ctx, obj->slot, obj->id);
}

void object_abort_destroy(struct object *obj)
{
	object_abort(obj);
	types[obj->type].destroy(obj);
}

int object_get(struct iommufd_ctx *ctx, uint32_t id, enum object_type type, struct object **out)
{
	struct object_slot *slot = idmap_slot(&ctx->objects.ids, id);
	uint64_t s;

	if (unlikely(!slot))
		return refuse(ENOENT, "there is no object %u", id);
	s = atomic_load_explicit(&slot->state, memory_order_relaxed);
	do {
		if (unlikely((s & (OBJECT_PUBLISHED | OBJECT_DYING)) != OBJECT_PUBLISHED ||
			     !state_users(s) || !state_wait(s)))
			return refuse(ENOENT, "there is no object %u", id);
		if (unlikely(type != OBJECT_ANY && state_type(s) != type))
			return refuse(ENOENT, "object %u is a %s, not a %s", id,
				      object_type_name(state_type(s)), types[type].name);
	} while (unlikely(!atomic_compare_exchange_weak_explicit(
		&slot->state, &s, s + OBJECT_BOTH, memory_order_acquire, memory_order_relaxed)));
	*out = slot->obj;
	return 0;
}

/* Whoever waits for a wait count to reach 0 looks again. */
static void wake_destroyers(struct object_table *t)
{
	atomic_fetch_add(&t->destroy_wake, 1);
	futex_wake(&t->destroy_wake, INT32_MAX);
}

void object_put(struct object *obj)
{
	struct object_table *t = &obj->ctx->objects;
	uint64_t s;

	/* Release: what we did inside happens before the destroyer frees it. */
	s = atomic_fetch_sub_explicit(&obj->slot->state, OBJECT_BOTH, memory_order_release);
	if (unlikely(state_wait(s) == 1))
		wake_destroyers(t);
}

/* The base wait count is dropped already. */
static void wait_until_left(struct object_table *t, struct object_slot *slot)
{
	for (;;) {
		uint32_t seen = atomic_load(&t->destroy_wake);

		if (!state_wait(atomic_load(&slot->state)))
			return;
		futex_wait(&t->destroy_wake, seen);
	}
}

int object_ref(struct object *obj)
{
	uint64_t s = atomic_load_explicit(&obj->slot->state, memory_order_relaxed);

	do {
		/* The distance to the greatest count is for lookups in progress. */
		if (!state_users(s) || state_users(s) > OBJECT_USERS - 0x10000)
			return refuse(EBUSY, "%s %u cannot take another dependency (%llu now)",
				      types[obj->type].name, obj->id,
				      (unsigned long long)state_users(s));
	} while (!atomic_compare_exchange_weak_explicit(
		&obj->slot->state, &s, s + 1, memory_order_relaxed, memory_order_relaxed));
	return 0;
}

void object_unref(struct object *obj)
{
	uint64_t s = atomic_fetch_sub_explicit(&obj->slot->state, 1, memory_order_release);

	(void)BUG_ON(state_users(s) < 2); /* the base is not ours to drop */
}

/*
 * users from exactly @expect to 0 and out of sight; false with the state seen in *@seen. The base
 * wait count goes with it.
 */
static bool take_out(struct object_slot *slot, uint64_t expect, uint64_t *seen)
{
	uint64_t s = atomic_load_explicit(&slot->state, memory_order_relaxed);

	do {
		*seen = s;
		if (!(s & OBJECT_PUBLISHED) || state_users(s) != expect)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		&slot->state, &s, (s & ~(OBJECT_USERS | OBJECT_PUBLISHED)) - WAIT_ONE,
		memory_order_acq_rel, memory_order_relaxed));
	return true;
}

int object_destroy(struct iommufd_ctx *ctx, uint32_t id)
{
	struct object_slot *slot = idmap_slot(&ctx->objects.ids, id);
	uint64_t seen = 0;
	struct object *obj;

	if (!slot || !take_out(slot, 1, &seen)) {
		if (!(seen & OBJECT_PUBLISHED))
			return refuse(ENOENT, "there is no object %u", id);
		return refuse(EBUSY, "%s %u is in use: %llu users",
			      object_type_name(state_type(seen)), id,
			      (unsigned long long)state_users(seen) - 1);
	}
	obj = slot->obj;
	wait_until_left(&ctx->objects, slot);
	/* The id goes last: whoever finds the object in a list still may look at its slot. */
	types[obj->type].destroy(obj);
	free_id(ctx, slot, id);
	return 0;
}

bool object_unref_last(struct object *obj)
{
	uint64_t seen;

	while (!take_out(obj->slot, 2, &seen)) {
		if (state_users(seen) == 2)
			continue; /* not published: cannot be */
		if (atomic_compare_exchange_weak_explicit(&obj->slot->state, &seen, seen - 1,
							  memory_order_release,
							  memory_order_relaxed))
			return false;
	}
	wait_until_left(&obj->ctx->objects, obj->slot);
	free_id(obj->ctx, obj->slot, obj->id);
	return true;
}

bool object_hold(struct object *obj)
{
	uint64_t s = atomic_load_explicit(&obj->slot->state, memory_order_relaxed);

	do {
		if (unlikely((s & (OBJECT_PUBLISHED | OBJECT_DYING)) != OBJECT_PUBLISHED ||
			     !state_users(s) || !state_wait(s)))
			return false;
	} while (unlikely(!atomic_compare_exchange_weak_explicit(
		&obj->slot->state, &s, s + OBJECT_BOTH, memory_order_acquire,
		memory_order_relaxed)));
	return true;
}

int object_retire(struct object *obj)
{
	uint64_t s, seen;

	/* No new lookup, so that a busy client cannot keep us here for ever. */
	atomic_fetch_or(&obj->slot->state, OBJECT_DYING);
	s = atomic_fetch_sub(&obj->slot->state, WAIT_ONE);
	if (state_wait(s) != 1)
		wait_until_left(&obj->ctx->objects, obj->slot);
	atomic_fetch_add(&obj->slot->state, WAIT_ONE);
	if (!take_out(obj->slot, 2, &seen)) {
		atomic_fetch_and(&obj->slot->state, ~OBJECT_DYING);
		return refuse(EBUSY, "%s %u is in use: %llu users", types[obj->type].name, obj->id,
			      (unsigned long long)state_users(seen) - 2);
	}
	return 0;
}

void object_free_id(struct object *obj)
{
	free_id(obj->ctx, obj->slot, obj->id);
}

int object_remove(struct object *obj)
{
	int rc = object_retire(obj);

	if (!rc)
		object_free_id(obj);
	return rc;
}

uint32_t object_users(const struct object *obj)
{
	return (uint32_t)state_users(atomic_load_explicit(&obj->slot->state, memory_order_relaxed));
}

uint32_t object_next(struct object_table *t, enum object_type type, uint32_t after)
{
	uint32_t id;

	mtx_lock(&t->lock);
	for (id = idmap_next(&t->ids, after); id; id = idmap_next(&t->ids, id)) {
		struct object_slot *slot = idmap_slot(&t->ids, id);
		uint64_t s = atomic_load_explicit(&slot->state, memory_order_relaxed);

		if ((s & OBJECT_PUBLISHED) && (type == OBJECT_ANY || state_type(s) == type))
			break;
	}
	mtx_unlock(&t->lock);
	return id;
}

void object_table_finish(struct iommufd_ctx *ctx)
{
	struct object_table *t = &ctx->objects;
	bool left = true, progress = true;

	while (left && progress) {
		left = progress = false;
		for (uint32_t id = object_next(t, OBJECT_ANY, 0); id;
		     id = object_next(t, OBJECT_ANY, id)) {
			left = true;
			if (!object_destroy(ctx, id))
				progress = true;
		}
	}
	if (BUG_ON(left))
		log_line(LOG_ERROR, "objects of a closed context depend on each other");
	idmap_finish(&t->ids);
}
