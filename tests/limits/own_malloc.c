// SPDX-License-Identifier: MIT
/* A malloc() of the program's own, that aborts when it is given a block of another's. */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *memalign(size_t align, size_t n);

/* Blocks are never used twice: what is tested is who frees what. */
static char arena[16 << 20] __attribute__((aligned(4096)));
static size_t used;

struct head {
	size_t len, magic;
};

#define MAGIC 0x6f776e206d616c6cul

void *memalign(size_t align, size_t n)
{
	size_t at, next;
	struct head *h;

	if (align < 16)
		align = 16;
	at = __atomic_load_n(&used, __ATOMIC_RELAXED);
	do {
		next = (at + sizeof(*h) + align - 1) / align * align + n;
		if (next > sizeof(arena)) {
			errno = ENOMEM;
			return NULL;
		}
	} while (!__atomic_compare_exchange_n(&used, &at, next, 0, __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
	h = (struct head *)(void *)(arena + next - n) - 1;
	h->len = n;
	h->magic = MAGIC;
	return h + 1;
}

void *malloc(size_t n)
{
	return memalign(16, n);
}

void free(void *p)
{
	struct head *h = p;

	if (!p)
		return;
	if ((char *)p < arena || (char *)p >= arena + sizeof(arena) || h[-1].magic != MAGIC)
		abort();
	h[-1].magic = 0;
}

void *calloc(size_t n, size_t size)
{
	return malloc(n * size); /* fresh memory is zero */
}

void *realloc(void *p, size_t n)
{
	void *q = malloc(n);

	if (q && p) {
		size_t old = ((struct head *)p)[-1].len;

		memcpy(q, p, old < n ? old : n);
		free(p);
	}
	return q;
}

int posix_memalign(void **out, size_t align, size_t n)
{
	*out = memalign(align, n);
	return *out ? 0 : ENOMEM;
}

void *aligned_alloc(size_t align, size_t n)
{
	return memalign(align, n);
}
