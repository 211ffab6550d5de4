// SPDX-License-Identifier: MIT
/*
 * Does `pgtable image|walk|dump|lint` say and write what its help promises?
 *
 * The command is argv[1] (words separated by spaces).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char *tool;
static char dir[] = "/tmp/pgtable-cmd-XXXXXX";
static char text[65536];

/* Runs the tool with @args in the scratch folder; its output, errors included, is in text. */
static int run(const char *args)
{
	char cmd[4096];
	FILE *p;
	size_t n;
	int status;

	snprintf(cmd, sizeof(cmd), "cd %s && %s %s 2>&1", dir, tool, args);
	p = popen(cmd, "r");
	assert_non_null(p);
	n = fread(text, 1, sizeof(text) - 1, p);
	text[n] = 0;
	status = pclose(p);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void script(const char *lines)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "%s/s", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(lines, f);
	fclose(f);
}

static void poke(unsigned index, uint64_t value)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "%s/o", dir);
	f = fopen(path, "r+");
	assert_non_null(f);
	fseek(f, (long)index * 8, SEEK_SET);
	fwrite(&value, 8, 1, f);
	fclose(f);
}

static bool says(const char *what)
{
	return strstr(text, what) != NULL;
}

#define MAKE "image --format vtd --levels 4 --base 0x1000000 --script s --out o"
#define LOOK " --format vtd --levels 4 --base 0x1000000 --image o"

static void image__published_vector__json_and_bytes(void **state)
{
	uint64_t words[6 * 512], found = 0;
	char path[64];
	FILE *f;

	(void)state;
	script("# the published vector\n"
	       "map 0x12345000 0xabcde000 4096 rw\n"
	       "\n"
	       "map 0x40000000 0x80000000 0x200000 rs # forced snoop\n"
	       "map 0x8000000000 0x40000000 0x40000000 rw\n");
	assert_int_equal(run(MAKE), 0);
	assert_string_equal(text, "{\"format\":\"vtd\",\"levels\":4,\"granule\":4096,"
				  "\"root\":16777216,\"base\":16777216,\"bytes\":24576}\n");
	snprintf(path, sizeof(path), "%s/o", dir);
	f = fopen(path, "rb");
	assert_non_null(f);
	assert_int_equal(fread(words, 1, sizeof(words), f), sizeof(words));
	assert_int_equal(fgetc(f), EOF);
	fclose(f);
	for (size_t i = 0; i < 6 * 512; i++)
		found += words[i] != 0;
	assert_int_equal(found, 8);
	assert_int_equal(words[3 * 512 + 325], 0xabcde003);
	assert_int_equal(words[4 * 512], 0x80000881);
	assert_int_equal(words[5 * 512], 0x40000083);
}

static void walk__mapped_and_not__says_so(void **state)
{
	(void)state;
	script("map 0x12345000 0xabcde000 0x1000 r\n");
	assert_int_equal(run(MAKE), 0);
	assert_int_equal(run("walk" LOOK " 0x12345678"), 0);
	assert_true(says("level 3") && says("level 0  [325]"));
	assert_true(says("-> 0xabcde678  r, page of 4K"));
	assert_int_equal(run("walk" LOOK " 0x12345678 0x1000"), 1);
	assert_true(says("nothing is mapped there"));
	assert_int_equal(run("walk" LOOK " 0x1000000000000"), 1);
	assert_true(says("more bits"));
}

static void dump__runs__drawn_as_one_line(void **state)
{
	(void)state;
	script("map 0x1000 0x5000 0x8000 rw\nmap 0x9000 0x5000 0x1000 r\nunmap 0x3000 0x1000\n");
	assert_int_equal(run(MAKE), 0);
	assert_int_equal(run("dump" LOOK), 0);
	assert_true(says("[1..2]") && says("2 x 4K rw"));
	assert_true(says("[4..8]") && says("0x4000..0x8fff -> 0x8000  5 x 4K rw"));
	assert_true(says("[9]") && says("1 x 4K r\n"));
	assert_true(says("4 tables in 16384 bytes; 0x8000 bytes mapped, 8 x 4K"));
}

static void lint__damage__found(void **state)
{
	(void)state;
	script("map 0 0x5000 0x1000 rw\n");
	assert_int_equal(run(MAKE), 0);
	assert_int_equal(run("lint" LOOK), 0);
	assert_string_equal(text, "");
	poke(3 * 512 + 1, 1ull << 62 | 0x5003);
	assert_int_equal(run("lint" LOOK), 1);
	assert_true(says("table 0x1003000[1]") && says("reserved bits"));
	poke(3 * 512 + 1, 0);
	poke(7, 0x99000003);
	assert_int_equal(run("lint" LOOK), 1);
	assert_true(says("points outside"));
	poke(7, 0x1001003);
	assert_int_equal(run("lint" LOOK), 1);
	assert_true(says("twice"));
	poke(7, 0);
	poke(0, 0);
	assert_int_equal(run("lint" LOOK), 1);
	assert_true(says("table 0x1003000 has entries, but no pointer leads to it"));
}

static void image__refused_line__status_1_and_why(void **state)
{
	(void)state;
	script("map 0 0 0x1000 rw\nmap 0 0 0x1000 rw\n");
	assert_int_equal(run(MAKE), 1);
	assert_true(says("s:2: map 0 0 0x1000 rw: iova 0x0..0xfff meets something already mapped"));
	script("unmap 0x1000 0x1000\n");
	assert_int_equal(run(MAKE), 1);
	script("map 0x1000\n");
	assert_int_equal(run(MAKE), 2);
	assert_true(says("s:1:"));
}

static void any_verb__wrong_usage__status_2(void **state)
{
	(void)state;
	assert_int_equal(run(""), 2);
	assert_int_equal(run("paint"), 2);
	assert_int_equal(run("image --format vtd"), 2);
	assert_int_equal(run("image --format vtd --base 0x1001 --script s --out o"), 2);
	assert_int_equal(run("image --format none --base 0 --script s --out o"), 2);
	assert_int_equal(run("image --format vtd --levels 9 --base 0 --script s --out o"), 2);
	assert_int_equal(run("image --format vtd --granule 64k --base 0 --script s --out o"), 2);
	assert_int_equal(run("image --format vtd --page-shift 16 --base 0 --script s --out o"), 2);
	assert_int_equal(run("image --format vtd --page-shift x --base 0 --script s --out o"), 2);
	assert_int_equal(run("image --format vtd --base 0 --script missing --out o"), 2);
	assert_int_equal(run("dump --format vtd --base 0 --image missing"), 2);
	assert_int_equal(run("walk" LOOK), 2);
	assert_int_equal(run("walk" LOOK " zzz"), 2);
	assert_int_equal(run("walk --colour"), 2);
}

static void any_verb__help__teaches(void **state)
{
	static const char *const verbs[] = { "image", "walk", "dump", "lint" };
	char args[32];

	(void)state;
	assert_int_equal(run("--help"), 0);
	assert_true(says("vtd"));
	for (size_t i = 0; i < 4; i++) {
		snprintf(args, sizeof(args), "%s --help", verbs[i]);
		assert_int_equal(run(args), 0);
		assert_true(says("Usage:") && says("Exit status") && says("--format"));
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(image__published_vector__json_and_bytes),
		cmocka_unit_test(walk__mapped_and_not__says_so),
		cmocka_unit_test(dump__runs__drawn_as_one_line),
		cmocka_unit_test(lint__damage__found),
		cmocka_unit_test(image__refused_line__status_1_and_why),
		cmocka_unit_test(any_verb__wrong_usage__status_2),
		cmocka_unit_test(any_verb__help__teaches),
	};
	char cmd[64];
	int rc;

	if (argc < 2 || !mkdtemp(dir)) {
		fprintf(stderr, "usage: %s COMMAND\n", argv[0]);
		return 77;
	}
	tool = argv[1];
	rc = cmocka_run_group_tests_name("pgtable_cmd", tests, NULL, NULL);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd) ? 1 : rc;
}
