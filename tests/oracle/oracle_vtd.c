// SPDX-License-Identifier: MIT
/*
 * Does QEMU's emulated VT-d unit translate through our second-stage tables as we meant it to?
 *
 * First the harness is tried on a published vector and on damaged copies of it (a judge that never
 * says no is worth nothing), then random layouts are made by the tool and judged. With --image, a
 * table made elsewhere is judged instead.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "image.h"
#include "judge.h"
#include "layout.h"
#include "rig.h"

#define EXIT_SKIP          77
#define ACCESSES_PER_TABLE 800
#define MAPS_PER_TABLE     40

struct options {
	const char *qemu, *tool, *image, *expect;
	unsigned long accesses;
	uint64_t seed, root, base, rebase;
	unsigned int levels;
	bool have_root, have_base, have_rebase;
};

struct run {
	struct options opt;
	struct rng rng;
	struct tally total;
	unsigned int cases, failed;
	char dir[64], script[96], out[96];
};

static void report(struct run *run, bool good, const char *name)
{
	run->cases++;
	run->failed += !good;
	printf("%sok %u - %s\n", good ? "" : "not ", run->cases, name);
	fflush(stdout);
}

/* Copy the image to its base and let the device translate through it. */
static int put_image(struct rig *r, struct image *img)
{
	uint8_t *host = rig_host(r, img->base, img->bytes);

	if (!host || img->base < RIG_TABLES) {
		fprintf(stderr,
			"oracle: no room for %zu bytes of tables at 0x%" PRIx64
			", try --rebase 0x%llx\n",
			img->bytes, img->base, RIG_TABLES);
		return -ERANGE;
	}
	memcpy(host, img->words, img->bytes);
	return rig_attach(r, img->root, img->levels);
}

static void drop_image(struct rig *r, struct image *img)
{
	memset(rig_host(r, img->base, img->bytes), 0, img->bytes);
	image_finish(img);
}

static void add_tally(struct tally *to, const struct tally *t)
{
	to->mapped += t->mapped;
	to->holes += t->holes;
	to->unseen += t->unseen;
	to->mismatches += t->mismatches;
}

/* ---- the harness itself ---- */

static void golden_layout(struct layout *l, unsigned int levels)
{
	layout_init(l, levels);
	layout_map(l, 0x12345000, 0x12345fff, 0xabcde000, PERM_R | PERM_W);
	layout_map(l, 0x40000000, 0x401fffff, 0x80000000, PERM_R);
	if (levels == 4)
		layout_map(l, 0x8000000000, 0x803fffffff, 0x40000000, PERM_R | PERM_W);
}

static int judge_golden(struct run *run, struct rig *r, struct image *img, unsigned int levels,
			struct tally *t)
{
	struct layout l;
	int rc = put_image(r, img);

	golden_layout(&l, levels);
	if (!rc)
		rc = judge(r, &l, &run->rng, 120, t);
	layout_finish(&l);
	return rc;
}

/* Moved to where table memory of a live machine lies, and back to another place that the rig can
 * hold. */
static int golden_moved(struct run *run, struct rig *r)
{
	struct tally t = { 0 };
	struct image img;
	int rc = image_golden(&img);

	if (!rc)
		rc = image_rebase(&img, 0x9000deadb000);
	if (!rc && (img.root != 0x9000deadb000 || img.words[0] != 0x9000deadc003))
		t.mismatches++;
	if (!rc)
		rc = image_rebase(&img, RIG_TABLES + 0x7000);
	if (!rc)
		rc = judge_golden(run, r, &img, 4, &t);
	add_tally(&run->total, &t);
	report(run, !rc && !t.mismatches, "golden_vector__rebased__same_answers");
	drop_image(r, &img);
	return rc;
}

static int golden_broken(struct run *run, struct rig *r)
{
	static const struct {
		const char *name;
		uint64_t entry, flip;
	} damage[] = {
		{ "broken_leaf__no_read__noticed", 0x1003000 + 325 * 8, 1 },
		{ "broken_leaf__no_write__noticed", 0x1003000 + 325 * 8, 2 },
		{ "broken_leaf__wrong_page__noticed", 0x1003000 + 325 * 8, 0x1000 },
		{ "broken_leaf__neighbour_mapped__noticed", 0x1003000 + 326 * 8, 0xabcde003 },
		{ "broken_leaf__write_allowed__noticed", 0x1004000, 2 },
		{ "broken_leaf__large_without_ps__noticed", 0x1005000, 0x80 },
		{ "broken_leaf__reserved_bit__noticed", 0x1005000, 0x1000 },
		{ "broken_pointer__no_write__noticed", 0x1000000, 2 },
		{ "broken_pointer__wrong_table__noticed", 0x1000008, 0x1000 },
	};
	size_t i;
	int rc = 0;

	for (i = 0; !rc && i < sizeof(damage) / sizeof(damage[0]); i++) {
		struct tally t = { .quiet = true };
		struct image img;

		rc = image_golden(&img);
		if (rc)
			break;
		*image_word(&img, damage[i].entry) ^= damage[i].flip;
		rc = judge_golden(run, r, &img, 4, &t);
		report(run, !rc && t.mismatches, damage[i].name);
		drop_image(r, &img);
	}
	return rc;
}

static int try_harness(struct run *run, struct rig *r)
{
	struct tally t = { 0 }, three = { 0 };
	struct image img;
	int rc = image_golden(&img);

	if (!rc)
		rc = judge_golden(run, r, &img, 4, &t);
	report(run, !rc && !t.mismatches, "golden_vector__four_levels__agrees");
	if (!rc) {
		/* its first third-level table is the root of a three-level one */
		img.root = 0x1001000;
		img.levels = 3;
		rc = judge_golden(run, r, &img, 3, &three);
		report(run, !rc && !three.mismatches, "golden_vector__three_levels__agrees");
	}
	drop_image(r, &img);
	add_tally(&run->total, &t);
	add_tally(&run->total, &three);
	if (!rc)
		rc = golden_moved(run, r);
	if (!rc)
		rc = golden_broken(run, r);
	return rc;
}

/* ---- random layouts ---- */

static int judge_random(struct run *run, struct rig *r, unsigned int levels, unsigned long n,
			const struct rig_mem *oas, unsigned int noas)
{
	uint64_t base = RIG_TABLES + (rng_below(&run->rng, 0x10000) << 12);
	uint64_t high = rng_below(&run->rng, 2) ? 9ULL << 44 : 0;
	struct tally t = { 0 };
	struct image img = { .words = NULL };
	struct layout l;
	char name[96];
	FILE *script = fopen(run->script, "w");
	int rc;

	if (!script)
		return -errno;
	layout_init(&l, levels);
	layout_random(&l, &run->rng, script, MAPS_PER_TABLE, oas, noas);
	rc = fclose(script) ? -EIO : 0;
	/* Half of them are made for where a live machine keeps its tables, and moved. */
	if (!rc)
		rc = image_from_tool(&img, run->opt.tool, levels, base + high, run->script,
				     run->out);
	if (!rc && high)
		rc = image_rebase(&img, base);
	if (!rc)
		rc = put_image(r, &img);
	if (!rc)
		rc = judge(r, &l, &run->rng, n, &t);
	snprintf(name, sizeof(name), "random_layout__%u_levels_%zu_ranges__agrees", levels, l.n);
	report(run, !rc && !t.mismatches, name);
	if (rc || t.mismatches)
		printf("# script kept: %s\n", run->script);
	else
		drop_image(r, &img);
	add_tally(&run->total, &t);
	layout_finish(&l);
	return rc ? rc : t.mismatches ? -EBADMSG : 0;
}

/* A machine of one width: tables of each depth it offers, in turn. */
static int judge_width(struct run *run, unsigned int aw_bits, unsigned long accesses, bool harness)
{
	const struct rig_mem oas[] = {
		{ .start = RIG_DATA, .len = RIG_RAM - RIG_DATA },
		{ .start = 1ULL << (aw_bits - 1), .len = 4ULL << 30 },
	};
	unsigned long done, n;
	unsigned int turn = 0;
	struct rig r;
	int rc = rig_start(&r, run->opt.qemu, aw_bits, &oas[1], 1);

	if (rc) {
		printf("# cannot start %s with a %u-bit VT-d: %s\n", run->opt.qemu, aw_bits,
		       strerror(-rc));
		report(run, false, "start_qemu");
		return rc;
	}
	if (harness)
		rc = try_harness(run, &r);
	for (done = 0; !rc && run->opt.tool && done < accesses; done += n, turn++) {
		n = accesses - done < ACCESSES_PER_TABLE ? accesses - done : ACCESSES_PER_TABLE;
		rc = judge_random(run, &r, aw_bits == 48 && turn % 3 != 2 ? 4 : 3, n, oas, 2);
	}
	rig_stop(&r);
	return rc;
}

static int judge_tool(struct run *run)
{
	unsigned long wide = run->opt.accesses / 3 * 2;
	int rc;

	rc = judge_width(run, 48, wide, true);
	if (!rc)
		rc = judge_width(run, 39, run->opt.accesses - wide, false);
	if (!run->opt.tool)
		printf("# no --tool: only the harness was tried\n");
	return rc;
}

/* ---- a table made elsewhere ---- */

static int by_oa(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return x->oa < y->oa ? -1 : x->oa > y->oa;
}

/* Memory under the output addresses: one piece per cluster, as far as the rig can hold them. */
static unsigned int cover(const struct layout *l, struct rig_mem *mem)
{
	const uint64_t two_mib = 0x1fffff, gap = 1ULL << 30, most = 64ULL << 30;
	struct range *r = calloc(l->n + 1, sizeof(*r));
	unsigned int n = 0;
	size_t i;

	if (!r)
		return 0;
	if (l->n)
		memcpy(r, l->r, l->n * sizeof(*r));
	qsort(r, l->n, sizeof(*r), by_oa);
	for (i = 0; i < l->n; i++) {
		uint64_t start = r[i].oa & ~two_mib;
		uint64_t end = (r[i].oa + (r[i].last - r[i].start) + 1 + two_mib) & ~two_mib;

		if (start < 8ULL << 30 || end > 1ULL << 48 || end - start > most)
			continue;
		if (n && start < mem[n - 1].start + mem[n - 1].len + gap &&
		    end - mem[n - 1].start <= most) {
			if (end > mem[n - 1].start + mem[n - 1].len)
				mem[n - 1].len = end - mem[n - 1].start;
		} else if (n < RIG_MAXMEM && (!n || start >= mem[n - 1].start + mem[n - 1].len)) {
			mem[n].start = start;
			mem[n++].len = end - start;
		}
	}
	free(r);
	return n;
}

static int judge_image(struct run *run)
{
	const struct options *o = &run->opt;
	struct image img = { .base = o->base, .root = o->root, .levels = o->levels };
	struct rig_mem mem[RIG_MAXMEM];
	struct layout l;
	struct rig r;
	FILE *f = fopen(o->expect, "r");
	int rc;

	layout_init(&l, o->levels);
	if (!f) {
		fprintf(stderr, "oracle: %s: %s\n", o->expect, strerror(errno));
		return -ENOENT;
	}
	rc = layout_parse(&l, f);
	fclose(f);
	if (!rc)
		rc = image_load(&img, o->image);
	if (!rc && o->have_rebase)
		rc = image_rebase(&img, o->rebase);
	if (!rc)
		rc = rig_start(&r, o->qemu, 48, mem, cover(&l, mem));
	if (!rc) {
		rc = put_image(&r, &img);
		if (!rc)
			rc = judge(&r, &l, &run->rng, o->accesses, &run->total);
		rig_stop(&r);
	}
	if (run->total.unseen)
		printf("# %lu accesses left out: their output addresses are not memory here\n",
		       run->total.unseen);
	report(run, !rc && !run->total.mismatches && (run->total.mapped || !l.n), "image__agrees");
	image_finish(&img);
	layout_finish(&l);
	return rc;
}

/* ---- command line ---- */

static void usage(void)
{
	puts("oracle_vtd - let QEMU's emulated VT-d judge second-stage page tables, without a guest\n"
	     "\n"
	     "  oracle_vtd [--tool CMD]                         random layouts, made by CMD\n"
	     "  oracle_vtd --image FILE --root PA --base PA --levels N --expect FILE [--rebase PA]\n"
	     "\n"
	     "  --tool CMD      command that makes images; called with\n"
	     "                  --format vtd --levels N --base PA --script FILE --out FILE\n"
	     "                  without it only the harness itself is tried\n"
	     "  --image FILE    raw table memory that begins at --base\n"
	     "  --root PA       physical address of its root table\n"
	     "  --levels N      3 or 4\n"
	     "  --expect FILE   lines 'IOVA OA LEN r|w|rw'; everything else must fault\n"
	     "  --rebase PA     move the tables there first (0x1000000 is good); leaves stay\n"
	     "  --accesses N    how many DMA accesses to make (default 9600)\n"
	     "  --seed S        repeat an earlier run\n"
	     "  --qemu PROG     default qemu-system-x86_64\n"
	     "\n"
	     "Exit status: 0 every access did as expected, 1 not so, 77 QEMU is not installed.");
}

static int parse_options(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "tool", 1, NULL, 't' },   { "image", 1, NULL, 'i' },
		{ "root", 1, NULL, 'r' },   { "base", 1, NULL, 'b' },
		{ "levels", 1, NULL, 'l' }, { "expect", 1, NULL, 'e' },
		{ "rebase", 1, NULL, 'R' }, { "accesses", 1, NULL, 'n' },
		{ "seed", 1, NULL, 's' },   { "qemu", 1, NULL, 'q' },
		{ "help", 0, NULL, 'h' },   { NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		uint64_t num = optarg ? strtoull(optarg, NULL, 0) : 0;

		switch (c) {
		case 't':
			o->tool = optarg;
			break;
		case 'i':
			o->image = optarg;
			break;
		case 'r':
			o->root = num;
			o->have_root = true;
			break;
		case 'b':
			o->base = num;
			o->have_base = true;
			break;
		case 'l':
			o->levels = (unsigned int)num;
			break;
		case 'e':
			o->expect = optarg;
			break;
		case 'R':
			o->rebase = num;
			o->have_rebase = true;
			break;
		case 'n':
			o->accesses = num;
			break;
		case 's':
			o->seed = num;
			break;
		case 'q':
			o->qemu = optarg;
			break;
		case 'h':
			usage();
			exit(0);
		default:
			return -EINVAL;
		}
	}
	if (optind != argc || (o->levels != 3 && o->levels != 4))
		return -EINVAL;
	if (o->image && (!o->have_root || !o->have_base || !o->expect))
		return -EINVAL;
	return 0;
}

static bool have_program(const char *name)
{
	char cmd[512];

	snprintf(cmd, sizeof(cmd), "command -v '%s' >/dev/null 2>&1", name);
	return system(cmd) == 0;
}

static bool make_dir(struct run *run)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(run->dir, sizeof(run->dir), "%.40s/oracle-vtd-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(run->dir))
		return false;
	snprintf(run->script, sizeof(run->script), "%s/script", run->dir);
	snprintf(run->out, sizeof(run->out), "%s/image", run->dir);
	return true;
}

int main(int argc, char **argv)
{
	struct run run = { .opt = { .qemu = "qemu-system-x86_64", .levels = 4, .accesses = 9600 } };
	int rc;

	run.opt.seed = (uint64_t)time(NULL) << 20 | (uint64_t)getpid();
	if (parse_options(&run.opt, argc, argv)) {
		fprintf(stderr, "oracle_vtd: wrong usage; --help explains\n");
		return 1;
	}
	if (!have_program(run.opt.qemu)) {
		printf("1..0 # SKIP %s is not installed\n", run.opt.qemu);
		return EXIT_SKIP;
	}
	if (!make_dir(&run)) {
		perror("oracle_vtd: temporary folder");
		return 1;
	}
	run.rng.state = run.opt.seed;
	printf("# seed 0x%" PRIx64 "\n", run.opt.seed);
	fflush(stdout);
	rc = run.opt.image ? judge_image(&run) : judge_tool(&run);
	if (rc && rc != -EBADMSG)
		printf("# stopped: %s\n", strerror(-rc));
	if (!run.failed) {
		unlink(run.script);
		unlink(run.out);
	}
	rmdir(run.dir); /* fails where a script was kept */
	printf("1..%u\n", run.cases);
	printf("checked %lu accesses: %lu mapped, %lu holes, %lu mismatches\n",
	       run.total.mapped + run.total.holes, run.total.mapped, run.total.holes,
	       run.total.mismatches);
	return rc || run.failed ? 1 : 0;
}
