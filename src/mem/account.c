// SPDX-License-Identifier: MIT
/* Locked-memory accounting: how much is charged, and whether more may be. */
#include "mem/account.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/bits.h"
#include "base/fault.h"
#include "base/sys.h"
#include "base/why.h"

static _Atomic bool unprivileged;
static _Atomic uint64_t pinned;    /* pages, all modes */
static _Atomic uint64_t locked[3]; /* pages, by mode; ACCOUNT_NONE's stays 0 */

void account_set_privileged(bool privileged)
{
	atomic_store_explicit(&unprivileged, !privileged, memory_order_relaxed);
}

bool account_capable(int cap)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (!atomic_load_explicit(&unprivileged, memory_order_relaxed))
		return true;
	if (cap < 0 || cap >= 64)
		return false;
	if (sys_call(SYS_capget, (long)&head, (long)data, 0, 0, 0, 0))
		return false;
	return data[cap / 32].effective & (1u << (cap % 32));
}

static uint64_t limit_pages(void)
{
	struct rlimit64 lim;

	if (sys_call(SYS_prlimit64, 0, RLIMIT_MEMLOCK, 0, (long)&lim, 0, 0))
		return 0;
	return lim.rlim_cur >> PAGE_LG2;
}

int account_charge(enum account_mode mode, uint64_t npages)
{
	if (fault_point())
		return refuse(ENOMEM, "no memory to account %llu pages",
			      (unsigned long long)npages);
	if (mode != ACCOUNT_NONE) {
		uint64_t limit = limit_pages();
		uint64_t now = atomic_load_explicit(&locked[mode], memory_order_relaxed);

		do {
			if (npages > limit || now > limit - npages)
				return refuse(
					ENOMEM,
					"%llu locked pages and %llu more exceed RLIMIT_MEMLOCK's %llu",
					(unsigned long long)now, (unsigned long long)npages,
					(unsigned long long)limit);
		} while (!atomic_compare_exchange_weak(&locked[mode], &now, now + npages));
	}
	atomic_fetch_add_explicit(&pinned, npages, memory_order_relaxed);
	return 0;
}

void account_uncharge(enum account_mode mode, uint64_t npages)
{
	if (mode != ACCOUNT_NONE) {
		uint64_t was =
			atomic_fetch_sub_explicit(&locked[mode], npages, memory_order_relaxed);

		(void)BUG_ON(was < npages);
	}
	atomic_fetch_sub_explicit(&pinned, npages, memory_order_relaxed);
}

uint64_t account_pinned(void)
{
	return atomic_load_explicit(&pinned, memory_order_relaxed);
}

uint64_t account_locked(enum account_mode mode)
{
	return atomic_load_explicit(&locked[mode], memory_order_relaxed);
}
