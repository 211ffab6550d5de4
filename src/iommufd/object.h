/* SPDX-License-Identifier: MIT */
/*
 * Objects: what an id of a context stands for, and how long it lives.
 *
 * An id has a slot that never moves; the slot's one state word holds both counts, so that a lookup
 * is one compare-and-swap and a release one subtraction. Source: docs/abi/dispatch.md "Ids",
 * docs/abi/destroy.md.
 */
#ifndef IOMMUFD_OBJECT_H
#define IOMMUFD_OBJECT_H

#include <stdatomic.h>

#include "base/compiler.h"
#include "base/lock.h"
#include "index/idmap.h"

struct iommufd_ctx;

enum object_type {
	OBJECT_ANY = 0, /* lookups only */
	OBJECT_DEVICE = 1,
	OBJECT_HWPT_PAGING,
	OBJECT_HWPT_NESTED,
	OBJECT_IOAS,
	OBJECT_ACCESS,
	OBJECT_FAULT,
	OBJECT_VIOMMU,
	OBJECT_VDEVICE,
	OBJECT_VEVENTQ,
	OBJECT_HW_QUEUE,
	OBJECT_SELFTEST,
	OBJECT_TYPES
};

struct object_slot {
	_Atomic uint64_t state; /* OBJECT_USERS | OBJECT_WAIT | type | flags */
	struct object *obj;     /* valid while users is not 0 */
};

#define OBJECT_USERS      0xffffffull /* something still depends on it */
#define OBJECT_WAIT_SHIFT 24
#define OBJECT_WAIT       (0xffffffull << OBJECT_WAIT_SHIFT) /* somebody is inside right now */
#define OBJECT_TYPE_SHIFT 48
#define OBJECT_TYPE       (0xffull << OBJECT_TYPE_SHIFT)
#define OBJECT_PUBLISHED  (1ull << 56)
#define OBJECT_DYING      (1ull << 57) /* its driver is destroying it: no new lookup */
#define OBJECT_BOTH       (1ull | 1ull << OBJECT_WAIT_SHIFT)

/* First member of every object. Immutable from object_reserve() on. */
struct object {
	struct iommufd_ctx *ctx;
	struct object_slot *slot;
	uint32_t id;
	enum object_type type;
};

struct object_table {
	struct idmap ids;              /* of struct object_slot */
	_Atomic uint32_t destroy_wake; /* futex: some wait count has reached 0 */
	struct mtx lock;               /* LOCK_OBJECTS: which ids are taken */
};

/* What ends an object of some type: frees it. Called without locks; nobody finds its id any more.
 */
typedef void (*object_destroy_fn)(struct object *obj);

void object_table_init(struct object_table *t);
/* Destroys what is left, in passes of ascending id: first what nothing depends on. */
void object_table_finish(struct iommufd_ctx *ctx);

/**
 * object_reserve() - take the lowest free id for an object that is being made
 * @obj: its memory; filled
 *
 * The id reads as absent until object_publish(). Both counts begin at 1.
 *
 * Return: 0; -ENOMEM, -EBUSY no id is free
 */
int object_reserve(struct iommufd_ctx *ctx, enum object_type type, struct object *obj);
void object_publish(struct object *obj); /* cannot fail; afterwards anybody may destroy it */
void object_abort(struct object *obj);   /* the id is free again, @obj the caller's */

void object_abort_destroy(struct object *obj); /* the same, and ends it as its type does */

/* Absent, being made, or of another type than @type (OBJECT_ANY: any): -ENOENT with the reason. */
int object_get(struct iommufd_ctx *ctx, uint32_t id, enum object_type type, struct object **out);
void object_put(struct object *obj);

/* A dependency for longer than a call. The caller knows @obj is in the table; -EBUSY: going. */
int object_ref(struct object *obj);
void object_unref(struct object *obj);

/* IOMMU_DESTROY: -ENOENT; -EBUSY something depends on it. */
int object_destroy(struct iommufd_ctx *ctx, uint32_t id);

/*
 * Drops a dependency; when it was the last one takes the object out of the table and returns
 * true: the caller then ends it. False: somebody else is using it at this moment, it stays.
 */
bool object_unref_last(struct object *obj);

/*
 * For the driver that holds one dependency on its own object: waits until nobody is inside, then
 * takes it out of the table. -EBUSY: something else depends on it, it stays as it was.
 */
int object_remove(struct object *obj);

/*
 * The same in two steps, for an object that is on lists still: from object_retire() on nobody
 * finds it, nobody is inside, and object_hold() fails; object_free_id() ends it.
 */
int object_retire(struct object *obj);
void object_free_id(struct object *obj);

/*
 * As a lookup, for whoever reached @obj through a list that keeps it in memory and its slot its
 * own. False: it is being made or destroyed.
 */
bool object_hold(struct object *obj);

/* Dependencies now, base included (tests and checks). */
uint32_t object_users(const struct object *obj);

/* The lowest id above @after of a published object of @type, 0: none. */
uint32_t object_next(struct object_table *t, enum object_type type, uint32_t after);

const char *object_type_name(enum object_type type);

#endif
