/* SPDX-License-Identifier: MIT */
/*
 * A stand-in for the engine: the functions of <uiommufd/device.h> over a list of mappings.
 *
 * It lets a model's test see and interrupt each step. Modes of the device's thread:
 *   FAKE_INLINE  run() is called in fake_store() after the lock is dropped: steps in order
 *   FAKE_MANUAL  run() is called by fake_run() only
 *   FAKE_THREAD  a thread, as in the engine
 * Before each DMA request and interrupt the hook is called, without the lock: it may access
 * registers, so that a test can put a store between any two steps of a model.
 *
 * It also checks the rules of the header: DMA or an interrupt with the lock held aborts.
 */
#ifndef TESTS_FAKE_ENGINE_H
#define TESTS_FAKE_ENGINE_H

#include <pthread.h>
#include <stdatomic.h>

#include <uiommufd/device.h>

#define FAKE_MAPS  64
#define FAKE_LOG   4096

#define FAKE_READ  1u
#define FAKE_WRITE 2u
#define FAKE_RW    3u

enum fake_mode { FAKE_INLINE, FAKE_MANUAL, FAKE_THREAD };

enum fake_what {
	FAKE_EV_READ,
	FAKE_EV_COPY,
	FAKE_EV_FILL,
	FAKE_EV_STORE,
	FAKE_EV_IRQ,
	FAKE_EV_CFG
};

struct fake_event {
	enum fake_what what;
	uint64_t iova; /* where it writes; READ: where it reads */
	uint64_t len;
	uint64_t val; /* STORE: the word, CFG: the bits, COPY: the source */
	int rc;
};

struct fake_map {
	uint64_t iova, len;
	char *host;
	unsigned prot;
};

/* The engine's side of the model; `fake` in tests. */
struct uiommufd_device {
	const struct uiommufd_device_ops *ops;
	struct uiommufd_device_desc desc;
	void *state;
	enum fake_mode mode;

	pthread_mutex_t lock;
	_Atomic(pthread_t) owner; /* of lock */

	pthread_mutex_t thread_lock;
	pthread_cond_t thread_cond;
	pthread_t thread;
	bool started, kicked, running, quit, held;
	unsigned kicks;

	pthread_mutex_t map_lock; /* an unmap waits for DMA under way, as the fence does */
	struct fake_map maps[FAKE_MAPS];
	unsigned n_maps;
	_Atomic bool stopped, no_master;
	_Atomic unsigned faults;
	_Atomic unsigned dma_ops; /* requests so far */
	unsigned fail_at;         /* the n-th request from now fails; 0: none */
	int fail_rc;
	enum uiommufd_dma_side fail_side;

	_Atomic bool msix;
	_Atomic unsigned irqs;
	bool line;
	unsigned line_rises;
	_Atomic uint32_t cfg[1024];
	char reason[256];

	void (*hook)(struct uiommufd_device *f, const struct fake_event *ev);
	void *hook_arg;
	unsigned n_log; /* not in FAKE_THREAD */
	struct fake_event log[FAKE_LOG];
};

/* NULL and *@rc when create() refuses; the text is in fake_reason(). */
struct uiommufd_device *fake_open(const struct uiommufd_device_ops *ops, const char *const argv[],
				  enum fake_mode mode, int *rc);
void fake_close(struct uiommufd_device *f);
const char *fake_reason(void);

void fake_map(struct uiommufd_device *f, uint64_t iova, void *host, uint64_t len, unsigned prot);
void fake_unmap(struct uiommufd_device *f, uint64_t iova);

uint64_t fake_load(struct uiommufd_device *f, uint64_t off, unsigned size);
void fake_store(struct uiommufd_device *f, uint64_t off, unsigned size, uint64_t val);
uint32_t fake_cfg_load(struct uiommufd_device *f, unsigned off);
void fake_cfg_store(struct uiommufd_device *f, unsigned off, uint32_t val);

/* FAKE_MANUAL: run() if it was kicked; true if it was. */
bool fake_run(struct uiommufd_device *f);
/* A function reset as the engine does it: stop, wait, reset. */
void fake_flr(struct uiommufd_device *f);
/* Events of one kind since the log was cleared. */
unsigned fake_count(const struct uiommufd_device *f, enum fake_what what);
void fake_log_clear(struct uiommufd_device *f);

#endif
