// SPDX-License-Identifier: MIT
/*
 * Does a device see what Linux would show it, however the program changes its memory?
 *
 *   test_random [--seed N] [--steps N] [--cuts]
 *
 * An obvious model: every page is an object with one byte; an address names an object, and mapping
 * for DMA takes hold of the objects that are there at that moment. What the program does with its
 * addresses afterwards changes which objects they name, never what the device holds.
 * --cuts also takes pages out of the file (ftruncate, holes).
 */
#include "client.h"

#include <fcntl.h>
#include <sys/wait.h>

#define VA_PAGES   48
#define FILE_PAGES 24
#define MAPS       12
#define AT         5 /* the byte of a page that counts */

struct object {
	uint8_t byte;
};

struct mapping {
	uint64_t iova;
	unsigned n; /* 0: free */
	struct object *obj[VA_PAGES];
};

static struct {
	struct client c;
	uint8_t *base;
	struct object *va[VA_PAGES]; /* NULL: nothing is mapped there */
	int off[VA_PAGES];           /* page of the file, -1: private */
	struct object *file[FILE_PAGES];
	int fd;
	struct mapping maps[MAPS];
	uint64_t rng;
	unsigned step;
} w;

static unsigned below(unsigned n)
{
	w.rng = w.rng * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(w.rng >> 33) % n;
}

static struct object *fresh(void)
{
	struct object *o = calloc(1, sizeof(*o)); /* never freed: a test of seconds */

	if (!o)
		abort();
	return o;
}

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "step %u: %s: %s\n", w.step, what, strerror(errno));
	exit(1);
}

static uint8_t *page(unsigned i)
{
	return w.base + i * PAGE;
}

static bool all_mapped(unsigned a, unsigned n)
{
	for (unsigned i = a; i < a + n; i++)
		if (!w.va[i])
			return false;
	return true;
}

static void set_private(unsigned a, unsigned n, bool there)
{
	for (unsigned i = a; i < a + n; i++) {
		w.va[i] = there ? fresh() : NULL;
		w.off[i] = -1;
	}
}

/* ---- what the program does; @a and @n: pages ---- */

static void do_anonymous(unsigned a, unsigned n)
{
	need(mmap(page(a), n * PAGE, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED,
	     "mmap");
	set_private(a, n, true);
}

static void do_shared(unsigned a, unsigned n)
{
	unsigned o = below(FILE_PAGES);

	if (o + n > FILE_PAGES)
		n = FILE_PAGES - o;
	need(mmap(page(a), n * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, w.fd,
		  (off_t)(o * PAGE)) != MAP_FAILED,
	     "mmap of the file");
	for (unsigned i = 0; i < n; i++) {
		w.va[a + i] = w.file[o + i];
		w.off[a + i] = (int)(o + i);
	}
}

static void do_munmap(unsigned a, unsigned n)
{
	need(!munmap(page(a), n * PAGE), "munmap");
	set_private(a, n, false);
}

static void do_mremap(unsigned a, unsigned n)
{
	unsigned b = below(VA_PAGES);

	if (b + n > VA_PAGES || (b < a + n && a < b + n) || !all_mapped(a, n))
		return;
	for (unsigned i = 1; i < n; i++) /* the kernel moves parts of one mapping only */
		if (w.off[a + i] != (w.off[a] < 0 ? -1 : w.off[a] + (int)i))
			return;
	if (mremap(page(a), n * PAGE, n * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, page(b)) ==
	    MAP_FAILED) {
		need(errno == EFAULT, "mremap"); /* two mappings that look like one */
		return;
	}
	for (unsigned i = 0; i < n; i++) {
		w.va[b + i] = w.va[a + i];
		w.off[b + i] = w.off[a + i];
	}
	set_private(a, n, false);
}

static void do_dontneed(unsigned a, unsigned n)
{
	if (!all_mapped(a, n))
		return;
	need(!madvise(page(a), n * PAGE, MADV_DONTNEED), "madvise");
	for (unsigned i = a; i < a + n; i++)
		if (w.off[i] < 0)
			w.va[i] = fresh();
}

static void do_write(unsigned a, unsigned n)
{
	(void)n;
	if (w.va[a])
		page(a)[AT] = w.va[a]->byte = (uint8_t)below(256);
}

/* A child writes everywhere and ends; nothing of it may show. */
static void do_fork(unsigned a, unsigned n)
{
	pid_t pid;

	(void)n;
	if (a % 8)
		return;
	pid = fork();
	need(pid >= 0, "fork");
	if (!pid) {
		for (unsigned i = 0; i < VA_PAGES; i++)
			if (w.va[i] && w.off[i] < 0)
				page(i)[AT] = 0xcc;
		_exit(0);
	}
	need(waitpid(pid, NULL, 0) == pid, "waitpid");
}

/* The engine must not care where other memory comes and goes. */
static void do_elsewhere(unsigned a, unsigned n)
{
	void *p = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)a;
	need(p != MAP_FAILED, "mmap elsewhere");
	memset(p, 0xee, n * PAGE);
	munmap(p, n * PAGE);
}

static void do_cut(unsigned a, unsigned n)
{
	unsigned first = a % FILE_PAGES, last = first;

	if (n & 1) {
		need(!ftruncate(w.fd, (off_t)(first * PAGE)) &&
			     !ftruncate(w.fd, (off_t)(FILE_PAGES * PAGE)),
		     "ftruncate");
		last = FILE_PAGES - 1;
	} else {
		need(!fallocate(w.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				(off_t)(first * PAGE), (off_t)PAGE),
		     "fallocate");
	}
	for (unsigned i = first; i <= last; i++)
		w.file[i] = fresh();
	for (unsigned i = 0; i < VA_PAGES; i++)
		if (w.off[i] >= 0)
			w.va[i] = w.file[w.off[i]];
}

/* ---- what the device does ---- */

static void do_map(unsigned a, unsigned n)
{
	struct mapping *m = &w.maps[below(MAPS)];

	if (m->n || !all_mapped(a, n))
		return;
	errno = -try_map(&w.c, page(a), n * PAGE, RW, &m->iova);
	need(!errno, "IOMMU_IOAS_MAP");
	m->n = n;
	memcpy(m->obj, &w.va[a], n * sizeof(m->obj[0]));
}

static void do_unmap(unsigned a, unsigned n)
{
	struct mapping *m = &w.maps[a % MAPS];

	if (n > 2 || !m->n)
		return;
	errno = -try_unmap(&w.c, m->iova, m->n * PAGE);
	need(!errno, "IOMMU_IOAS_UNMAP");
	m->n = 0;
}

static void do_dma_read(unsigned a, unsigned n)
{
	struct mapping *m = &w.maps[a % MAPS];
	unsigned i;
	int got;

	if (!m->n)
		return;
	i = n % m->n;
	got = dma_byte(&w.c, m->iova + i * PAGE + AT);
	if (got == m->obj[i]->byte)
		return;
	fprintf(stderr, "step %u: the device reads %d in page %u of %u, not %u\n", w.step, got, i,
		m->n, m->obj[i]->byte);
	exit(1);
}

static void do_dma_write(unsigned a, unsigned n)
{
	struct mapping *m = &w.maps[a % MAPS];
	uint8_t byte = (uint8_t)below(256);

	if (!m->n)
		return;
	m->obj[n % m->n]->byte = byte;
	errno = EFAULT;
	need(!dma_put(&w.c, m->iova + n % m->n * PAGE + AT, byte), "DMA write");
}

static void check_program(unsigned i)
{
	if (!w.va[i] || page(i)[AT] == w.va[i]->byte)
		return;
	fprintf(stderr, "step %u: the program reads %u in page %u, not %u\n", w.step, page(i)[AT],
		i, w.va[i]->byte);
	exit(1);
}

static void run(unsigned steps, bool cuts)
{
	static void (*const op[])(unsigned a, unsigned n) = {
		do_anonymous, do_shared,    do_munmap,   do_mremap,   do_dontneed,
		do_write,     do_write,     do_fork,     do_map,      do_map,
		do_unmap,     do_dma_read,  do_dma_read, do_dma_read, do_dma_write,
		do_dma_write, do_elsewhere, do_cut, /* last */
	};
	unsigned n_ops = sizeof(op) / sizeof(op[0]) - !cuts;

	for (w.step = 0; w.step < steps; w.step++) {
		unsigned a = below(VA_PAGES), n = 1 + below(below(4) ? 4 : 20);

		if (a + n > VA_PAGES)
			n = VA_PAGES - a;
		op[below(n_ops)](a, n);
		check_program(below(VA_PAGES));
	}
}

int main(int argc, char **argv)
{
	unsigned long seed = 1, steps = 20000;
	bool cuts = false;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--cuts"))
			cuts = true;
		else if (!strcmp(argv[i], "--seed") && i + 1 < argc)
			seed = strtoul(argv[++i], NULL, 0);
		else if (!strcmp(argv[i], "--steps") && i + 1 < argc)
			steps = strtoul(argv[++i], NULL, 0);
		else
			return 1;
	}
	w.rng = seed;
	errno = -client_try_open(&w.c);
	need(!errno, "opening");
	w.base = mmap(NULL, VA_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	need(w.base != MAP_FAILED, "mmap");
	set_private(0, VA_PAGES, true);
	w.fd = memfd_create("file", MFD_CLOEXEC);
	need(w.fd >= 0 && !ftruncate(w.fd, (off_t)(FILE_PAGES * PAGE)), "memfd");
	for (unsigned i = 0; i < FILE_PAGES; i++)
		w.file[i] = fresh();
	run((unsigned)steps, cuts);
	printf("# seed %lu, %lu steps\n", seed, steps);
	return 0;
}
