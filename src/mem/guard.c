// SPDX-License-Identifier: MIT
/* Guarded access: which instruction may fault, and what the access answers then. */
#include "mem/guard.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "base/bits.h"
#include "base/sys.h"
#include "base/why.h"
#include "mem/sigchain.h"

#if defined(__x86_64__)

int guard_asm_copy(void *dst, const void *src, size_t n);
int guard_asm_fill(void *dst, uint64_t pattern, size_t n);
int guard_asm_store(void *dst, uint64_t val, unsigned size);
int guard_asm_load(const void *src, uint64_t *val, unsigned size);
int guard_asm_cmpxchg64(void *dst, uint64_t *old, uint64_t val);
size_t guard_asm_touch_read(const void *va, size_t npages);
size_t guard_asm_touch_write(const void *va, size_t npages);

extern const char guard_asm_start[], guard_asm_end[], guard_touch_start[], guard_touch_end[];
extern const char guard_fix_efault[], guard_fix_touch[];

static const struct {
	const char *start, *end, *fixup;
} fixups[] = {
	{ guard_asm_start, guard_asm_end, guard_fix_efault },
	{ guard_touch_start, guard_touch_end, guard_fix_touch },
};

uintptr_t guard_fixup(uintptr_t pc)
{
	for (unsigned i = 0; i < ARRAY_LEN(fixups); i++)
		if (pc >= (uintptr_t)fixups[i].start && pc < (uintptr_t)fixups[i].end)
			return (uintptr_t)fixups[i].fixup;
	return 0;
}

int guard_copy(void *dst, const void *src, size_t n)
{
	return guard_asm_copy(dst, src, n);
}

int guard_fill(void *dst, uint64_t pattern, size_t n)
{
	return guard_asm_fill(dst, pattern, n);
}

size_t guard_touch_count(const void *va, size_t npages, bool write)
{
	if (!npages)
		return 0;
	return npages -
	       (write ? guard_asm_touch_write(va, npages) : guard_asm_touch_read(va, npages));
}

int guard_store(void *dst, uint64_t val, unsigned size)
{
	if (BUG_ON(size > 8 || !is_pow2(size)))
		return refuse(EINVAL, "guarded store of %u bytes", size);
	return guard_asm_store(dst, val, size);
}

int guard_load(const void *src, uint64_t *val, unsigned size)
{
	if (BUG_ON(size > 8 || !is_pow2(size)))
		return refuse(EINVAL, "guarded load of %u bytes", size);
	return guard_asm_load(src, val, size);
}

int guard_cmpxchg64(void *dst, uint64_t *old, uint64_t val)
{
	return guard_asm_cmpxchg64(dst, old, val);
}

#else /* Any other processor: the kernel copies, and answers EFAULT for either side. */

uintptr_t guard_fixup(uintptr_t pc)
{
	(void)pc;
	return 0;
}

int guard_copy(void *dst, const void *src, size_t n)
{
	long pid = sys_call(SYS_getpid, 0, 0, 0, 0, 0, 0);

	while (n) {
		struct iovec to = { dst, n }, from = { (void *)(uintptr_t)src, n };
		long r = sys_call(SYS_process_vm_readv, pid, (long)&to, 1, (long)&from, 1, 0);

		if (r <= 0)
			return -EFAULT;
		dst = (char *)dst + r;
		src = (const char *)src + r;
		n -= (size_t)r;
	}
	return 0;
}

int guard_fill(void *dst, uint64_t pattern, size_t n)
{
	uint64_t buf[64];

	for (unsigned i = 0; i < ARRAY_LEN(buf); i++)
		buf[i] = pattern;
	while (n) {
		size_t part = n < sizeof(buf) ? n : sizeof(buf);

		if (guard_copy(dst, buf, part))
			return -EFAULT;
		dst = (char *)dst + part;
		n -= part;
	}
	return 0;
}

/* A write touch may lose a concurrent writer's byte here; only the x86-64 routine is exact. */
size_t guard_touch_count(const void *va, size_t npages, bool write)
{
	for (size_t i = 0; i < npages; i++) {
		char *p = (char *)(uintptr_t)va + i * PAGE_SIZE;
		char c;

		if (guard_copy(&c, p, 1) || (write && guard_copy(p, &c, 1)))
			return i;
	}
	return npages;
}

int guard_store(void *dst, uint64_t val, unsigned size)
{
	atomic_thread_fence(memory_order_release);
	return guard_copy(dst, &val, size); /* little endian */
}

int guard_load(const void *src, uint64_t *val, unsigned size)
{
	uint64_t v = 0;
	int rc = guard_copy(&v, src, size);

	if (!rc)
		*val = v;
	atomic_thread_fence(memory_order_acquire);
	return rc;
}

int guard_cmpxchg64(void *dst, uint64_t *old, uint64_t val)
{
	if (guard_touch(dst, 1, true))
		return -EFAULT;
	atomic_compare_exchange_strong((_Atomic uint64_t *)dst, old, val);
	return 0;
}

#endif

int guard_touch(const void *va, size_t npages, bool write)
{
	return guard_touch_count(va, npages, write) == npages ? 0 : -EFAULT;
}

int guard_init(void)
{
	return sigchain_init();
}
