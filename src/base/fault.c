// SPDX-License-Identifier: MIT
/* Fault points: which call fails next in this thread. */
#include "base/fault.h"

_Atomic uint32_t fault_armed;

static _Thread_local struct {
	bool armed, persistent, fired;
	unsigned nth, passed;
	const char *where;
} fault;

bool fault_hit(const char *where)
{
	if (!fault.armed)
		return false;
	fault.passed++;
	if (fault.passed == fault.nth || (fault.persistent && fault.passed > fault.nth)) {
		fault.fired = true;
		fault.where = where;
		return true;
	}
	return false;
}

void fault_arm(unsigned nth, bool persistent)
{
	if (!fault.armed)
		atomic_fetch_add(&fault_armed, 1);
	fault.armed = true;
	fault.persistent = persistent;
	fault.fired = false;
	fault.nth = nth;
	fault.passed = 0;
	fault.where = NULL;
}

unsigned fault_disarm(bool *fired)
{
	if (fault.armed)
		atomic_fetch_sub(&fault_armed, 1);
	fault.armed = false;
	if (fired)
		*fired = fault.fired;
	return fault.passed;
}

const char *fault_last(void)
{
	return fault.where;
}
