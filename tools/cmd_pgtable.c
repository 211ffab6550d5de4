// SPDX-License-Identifier: MIT
/* `uiommufd pgtable`: make page tables in a file, and look at such a file. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/why.h"
#include "cmd.h"
#include "pgtable/pt.h"
#include "pgtable_image.h"
#include "pgtable_opts.h"

typedef unsigned long long ull;

static const char help_top[] =
	"Usage: uiommufd pgtable VERB [OPTION]...\n"
	"\n"
	"Real IO page tables, as bytes in a file: what an IOMMU would find in memory.\n"
	"\n"
	"  image   run a script of map and unmap lines, write the table memory to a file\n"
	"  walk    translate addresses through such a file, level by level\n"
	"  dump    draw what is in it\n"
	"  lint    examine every entry of it\n"
	"\n"
	"Every verb has --help. Formats:\n";

static const char help_image[] =
	"Usage: uiommufd pgtable image --format NAME [--levels N] --base PA --script FILE --out FILE\n"
	"\n"
	"Performs the script and writes the raw table memory, which begins with the root table at\n"
	"physical address PA; further tables follow in the order in which they were needed. Prints\n"
	"one line of JSON: format, levels, granule, root, base, bytes (numbers are decimal).\n"
	"\n"
	"Script lines (FILE may be - for the standard input; # begins a comment):\n"
	"  map IOVA OA LEN r|w|rw   translate LEN bytes at IOVA to output address OA, with the\n"
	"                           largest pages that the alignments allow\n"
	"  unmap IOVA LEN           remove what was mapped\n"
	"An s behind the permission (rws) sets the force-snoop bit where the format has one.\n";

static const char help_image_end[] =
	"  --script FILE    the script\n"
	"  --out FILE       where the table memory goes\n"
	"\n"
	"Example:\n"
	"  printf 'map 0x12345000 0xabcde000 0x1000 rw\\n' |\n"
	"    uiommufd pgtable image --format vtd --base 0x1000000 --script - --out t.img\n"
	"  uiommufd pgtable dump --format vtd --base 0x1000000 --image t.img\n"
	"\n"
	"Exit status: 0 done; 1 a line was refused (stderr says which and why); 2 wrong usage, or a\n"
	"file could not be read or written.\n";

static const char help_walk[] =
	"Usage: uiommufd pgtable walk --format NAME [--levels N] --base PA [--root PA]\n"
	"                             --image FILE IOVA...\n"
	"\n"
	"Does what the IOMMU does with each IOVA: prints the entry of every level, then the output\n"
	"address with size and permissions, or why there is none.\n";

static const char help_walk_end[] =
	"\n"
	"Exit status: 0 every IOVA is translated; 1 at least one is not; 2 wrong usage, or the file\n"
	"could not be read.\n";

static const char help_dump[] =
	"Usage: uiommufd pgtable dump --format NAME [--levels N] --base PA [--root PA] --image FILE\n"
	"\n"
	"Draws the tree: one line per pointer with the range it covers, one line per run of leaves\n"
	"that continue each other, then totals. Indices are in brackets, entries are as stored.\n";

static const char help_dump_end[] =
	"\n"
	"Exit status: 0; 2 wrong usage, or the file could not be read.\n";

static const char help_lint[] =
	"Usage: uiommufd pgtable lint --format NAME [--levels N] --base PA [--root PA] --image FILE\n"
	"\n"
	"Examines every table: reserved bits, entries that are neither empty nor present, pointers\n"
	"that lead out of the file, tables reached twice, and tables with entries that are never\n"
	"reached. Prints a line for each problem.\n";

static const char help_lint_end[] =
	"\n"
	"Exit status: 0 nothing found; 1 problems; 2 wrong usage, or the file could not be read.\n";

/* ---- image ---- */

static int script_run(struct pt *t, const char *path)
{
	FILE *f = strcmp(path, "-") ? fopen(path, "r") : stdin;
	int rc;

	if (!f) {
		fprintf(stderr, "uiommufd pgtable: %s: %s\n", path, strerror(errno));
		return EXIT_USAGE;
	}
	rc = image_script(t, f, path);
	if (f != stdin)
		fclose(f);
	return rc;
}

static int verb_image(int argc, char **argv)
{
	struct pt_config c;
	struct image im;
	struct opts o;
	struct pt t;
	int rc = opts_parse(&o, argc, argv);

	if (o.help)
		return opts_help(help_image, help_image_end, false);
	if (rc)
		return rc;
	if (!o.script || !o.out)
		return opts_usage("--script and --out are needed", NULL);
	if (image_create(&im, o.base))
		return opts_usage("no memory for tables", NULL);
	c = opts_config(&o, &im);
	if (pt_init(&t, &c)) {
		image_finish(&im);
		return opts_usage(why_last(), NULL);
	}
	rc = script_run(&t, o.script);
	if (!rc) {
		int err = image_save(&im, o.out);

		if (err) {
			fprintf(stderr, "uiommufd pgtable: %s: %s\n", o.out, strerror(-err));
			rc = EXIT_USAGE;
		}
	}
	if (!rc)
		printf("{\"format\":\"%s\",\"levels\":%u,\"granule\":%u,\"root\":%llu,"
		       "\"base\":%llu,\"bytes\":%zu}\n",
		       o.format, pt_levels(&t), 1u << pt_granule_lg2(&t), (ull)pt_root(&t),
		       (ull)o.base, im.bytes);
	image_finish(&im); /* the tables go with it */
	return rc;
}

/* ---- looking at an image ---- */

/* Loads the file and sits a table on it. Nothing to undo when it fails. */
static int look(const struct opts *o, struct image *im, struct pt *t)
{
	struct pt_config c;
	int rc;

	if (!o->image)
		return opts_usage("--image is needed", NULL);
	rc = image_load(im, o->base, o->image);
	if (rc) {
		fprintf(stderr, "uiommufd pgtable: %s: %s\n", o->image, strerror(-rc));
		image_finish(im);
		return EXIT_USAGE;
	}
	c = opts_config(o, im);
	c.borrow = true;
	if (pt_init(t, &c)) {
		image_finish(im);
		return opts_usage(why_last(), NULL);
	}
	return 0;
}

static const char *rights(unsigned prot)
{
	static const char *const names[] = { "no access", "r", "w", "rw" };

	return names[prot & (PT_READ | PT_WRITE)];
}

static const char *size_name(unsigned lg2, char buf[16])
{
	static const char unit[] = "BKMGTPE";

	snprintf(buf, 16, "%u%c", 1u << lg2 % 10, unit[lg2 / 10]);
	return buf;
}

/* ---- walk ---- */

static int walk_node(void *arg, const struct pt_node *n)
{
	(void)arg;
	printf("  level %u  [%u] of table 0x%llx = 0x%016llx%s%s\n", n->level, n->index,
	       (ull)n->table, (ull)n->entry, n->problem ? ": " : "", n->problem ? n->problem : "");
	return 0;
}

static int walk_one(const struct pt *t, uint64_t iova)
{
	struct pt_walk_result r;
	char buf[16];
	int rc = pt_walk(t, iova, &r);

	printf("0x%llx\n", (ull)iova);
	if (rc != -ERANGE)
		pt_visit(t, iova, iova, walk_node, NULL);
	if (!rc)
		printf("  -> 0x%llx  %s, page of %s\n", (ull)r.pa, rights(r.prot),
		       size_name(r.size_lg2, buf));
	else
		printf("  -> fault at level %u: %s\n", r.level, pt_why_text(r.why));
	return rc;
}

static int verb_walk(int argc, char **argv)
{
	struct image im;
	struct opts o;
	struct pt t;
	int rc = opts_parse(&o, argc, argv), first;

	if (o.help)
		return opts_help(help_walk, help_walk_end, true);
	if (rc)
		return rc;
	first = optind;
	if (first == argc)
		return opts_usage("which IOVA?", NULL);
	rc = look(&o, &im, &t);
	if (rc)
		return rc;
	for (int i = first; i < argc; i++) {
		uint64_t iova;

		if (!opts_number(argv[i], &iova)) {
			rc = opts_usage("not an address:", argv[i]);
			break;
		}
		if (walk_one(&t, iova))
			rc = EXIT_NO;
	}
	image_finish(&im);
	return rc;
}

/* ---- dump ---- */

struct drawing {
	unsigned top;
	struct pt_node run; /* leaves that continue each other: the first */
	uint64_t n;         /* and how many, 0: none */
	uint64_t next_iova, next_addr;
	uint32_t next_index;
};

static void draw_run(struct drawing *d)
{
	const struct pt_node *n = &d->run;
	char buf[16], index[32];

	if (!d->n)
		return;
	if (d->n == 1)
		snprintf(index, sizeof(index), "[%u]", n->index);
	else
		snprintf(index, sizeof(index), "[%u..%u]", n->index, d->next_index - 1);
	printf("%*s%-10s 0x%016llx  0x%llx..0x%llx -> 0x%llx  %llu x %s %s%s\n",
	       (int)(3 * (d->top - n->level)), "", index, (ull)n->entry, (ull)n->iova,
	       (ull)(d->next_iova - 1), (ull)n->addr, (ull)d->n, size_name(n->size_lg2, buf),
	       rights(n->prot), n->prot & PT_SNOOP ? " snoop" : "");
	d->n = 0;
}

static bool continues(const struct drawing *d, const struct pt_node *n)
{
	return d->n && d->run.table == n->table && d->run.size_lg2 == n->size_lg2 &&
	       d->run.prot == n->prot && d->next_index == n->index && d->next_iova == n->iova &&
	       d->next_addr == n->addr;
}

static int draw_node(void *arg, const struct pt_node *n)
{
	struct drawing *d = arg;

	if (n->kind != PT_NODE_LEAF || !continues(d, n))
		draw_run(d);
	if (n->kind == PT_NODE_LEAF) {
		uint64_t size = 1ull << n->size_lg2, item = n->last - n->iova + 1;

		if (!d->n++)
			d->run = *n;
		d->next_index = n->index + (item < size ? (uint32_t)(size / item) : 1);
		d->next_iova = n->last + 1;
		d->next_addr = n->addr + size;
		return 0;
	}
	printf("%*s[%u]%*s 0x%016llx  0x%llx..0x%llx %s", (int)(3 * (d->top - n->level)), "",
	       n->index,
	       n->index < 10    ? 7
	       : n->index < 100 ? 6
				: 5,
	       "", (ull)n->entry, (ull)n->iova, (ull)n->last,
	       n->kind == PT_NODE_TABLE ? "-> table" : "!!");
	if (n->kind == PT_NODE_TABLE)
		printf(" 0x%llx\n", (ull)n->addr);
	else
		printf(" %s\n", n->problem ? n->problem : "not present, yet not zero");
	return 0;
}

static void draw_totals(const struct pt *t)
{
	struct pt_stats s;
	char buf[16];
	uint64_t tables = 0;

	pt_stats_get(t, &s);
	for (unsigned i = 0; i < PT_MAX_LEVELS; i++)
		tables += s.tables[i];
	printf("%llu tables in %llu bytes; 0x%llx bytes mapped", (ull)tables, (ull)s.table_bytes,
	       (ull)s.bytes);
	for (unsigned i = 0; i < ARRAY_LEN(s.leaves); i++) {
		if (s.leaves[i])
			printf(", %llu x %s", (ull)s.leaves[i], size_name(i, buf));
	}
	putchar('\n');
}

static int verb_dump(int argc, char **argv)
{
	struct drawing d = { 0 };
	struct image im;
	struct opts o;
	struct pt t;
	int rc = opts_parse(&o, argc, argv);

	if (o.help)
		return opts_help(help_dump, help_dump_end, true);
	if (!rc)
		rc = look(&o, &im, &t);
	if (rc)
		return rc;
	d.top = pt_levels(&t) - 1;
	printf("%s, %u levels, root table 0x%llx\n", t.format->title, pt_levels(&t),
	       (ull)pt_root(&t));
	pt_visit(&t, 0, UINT64_MAX, draw_node, &d);
	draw_run(&d);
	draw_totals(&t);
	image_finish(&im);
	return 0;
}

/* ---- lint ---- */

struct reach {
	const struct image *im;
	char *page; /* one per 4 KiB of the image: 1 when it belongs to a table that is reached */
};

static int reach_node(void *arg, const struct pt_node *n)
{
	struct reach *r = arg;
	size_t i = (size_t)(n->addr - r->im->base) / 4096;

	if (n->kind != PT_NODE_TABLE)
		return 0;
	if (r->page[i])
		return PT_VISIT_SKIP;
	r->page[i] = 1;
	return 0;
}

static void print_problem(void *arg, const char *problem)
{
	(void)arg;
	puts(problem);
}

static bool page_zero(const char *p)
{
	static const char zero[4096];

	return !memcmp(p, zero, sizeof(zero));
}

/* Tables with entries that no pointer leads to. Returns how many, -1 without memory. */
static long lint_unreached(const struct pt *t, const struct image *im)
{
	struct reach r = { .im = im, .page = calloc(im->bytes / 4096 + 1, 1) };
	size_t root = (size_t)(pt_root(t) - im->base);
	long n = 0;

	if (!r.page)
		return -1;
	memset(r.page + root / 4096, 1, (t->root_bytes + 4095) / 4096);
	pt_visit(t, 0, UINT64_MAX, reach_node, &r);
	for (size_t i = 0; i < im->bytes / 4096; i++) {
		if (r.page[i] || page_zero(im->mem + i * 4096))
			continue;
		printf("table 0x%llx has entries, but no pointer leads to it\n",
		       (ull)(im->base + i * 4096));
		n++;
	}
	free(r.page);
	return n;
}

static int verb_lint(int argc, char **argv)
{
	struct image im;
	struct opts o;
	struct pt t;
	long n, lost;
	int rc = opts_parse(&o, argc, argv);

	if (o.help)
		return opts_help(help_lint, help_lint_end, true);
	if (!rc)
		rc = look(&o, &im, &t);
	if (rc)
		return rc;
	n = pt_lint(&t, print_problem, NULL);
	lost = n < 0 ? n : lint_unreached(&t, &im);
	image_finish(&im);
	if (lost < 0)
		return opts_usage("out of memory", NULL);
	return n + lost ? EXIT_NO : 0;
}

/* ---- verbs ---- */

static int help_verbs(void)
{
	const struct pt_format *f;

	fputs(help_top, stdout);
	for (unsigned i = 0; (f = pt_format_at(i)); i++)
		printf("  %-8s %s, %u to %u levels\n", f->name, f->title, f->min_levels,
		       f->max_levels);
	return 0;
}

int cmd_pgtable(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} verbs[] = {
		{ "image", verb_image },
		{ "walk", verb_walk },
		{ "dump", verb_dump },
		{ "lint", verb_lint },
	};

	if (argc < 2)
		return opts_usage("which verb: image, walk, dump or lint?", NULL);
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return help_verbs();
	for (unsigned i = 0; i < ARRAY_LEN(verbs); i++) {
		if (!strcmp(argv[1], verbs[i].name))
			return verbs[i].run(argc - 1, argv + 1);
	}
	return opts_usage("no such verb:", argv[1]);
}
