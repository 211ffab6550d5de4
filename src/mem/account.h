/* SPDX-License-Identifier: MIT */
/*
 * Locked-memory accounting: who is charged for pinned pages, and against which limit.
 *
 * Per process (mm) and per user counters with Linux's arithmetic. A charge belongs to the mode
 * and owner recorded when the memory was mapped. Source: docs/abi/ioas_map.md "Accounting".
 */
#ifndef MEM_ACCOUNT_H
#define MEM_ACCOUNT_H

#include "base/compiler.h"

enum account_mode { ACCOUNT_NONE, ACCOUNT_USER, ACCOUNT_MM };

/* Whether the client counts as privileged whoever runs it (--privilege root), process-wide. */
void account_set_privileged(bool privileged);
bool account_capable(int cap); /* CAP_IPC_LOCK, CAP_SYS_RESOURCE, ... of the caller */

/* Charges @npages to the calling process; -ENOMEM over RLIMIT_MEMLOCK, nothing charged. */
int account_charge(enum account_mode mode, uint64_t npages);
void account_uncharge(enum account_mode mode, uint64_t npages);

uint64_t account_pinned(void); /* VmPin, pages */
uint64_t account_locked(enum account_mode mode);

#endif
