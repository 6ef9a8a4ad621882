/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Plays the programs of tests/checker: every event but a bad program's last keeps all rules;
 * that one makes exactly the report that follows it.
 */
#include "world.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_BYTES (8u << 20)

static struct world world;
static void *arena;
static uint64_t judged[PT_RULES];
static bool good[PT_RULES], bad[PT_RULES];
static unsigned tests, failures;

/* The program that is being played. */
static struct {
	char name[64], why[600];
	bool open, failed, reported;
	unsigned line;
} now;

static void fail(const char *why, const char *line)
{
	if (!now.failed)
		snprintf(now.why, sizeof(now.why), "line %u: %s%s%s", now.line, why,
			 line ? ": " : "", line ? line : "");
	now.failed = true;
}

static int rule_of(const char *name)
{
	for (unsigned i = 0; i < PT_RULES; i++)
		if (strlen(pt_rule_name(i)) == strcspn(name, "_ ") &&
		    !strncasecmp(pt_rule_name(i), name, strcspn(name, "_ ")))
			return (int)i;
	return -1;
}

static void finish(void)
{
	int rule;

	if (!now.open)
		return;
	now.open = false;
	if (world.broken && !now.reported)
		fail("a rule was broken", world.finding.text);
	if (!strncmp(now.name, "bad_", 4) && !now.reported)
		fail("no report", NULL);
	rule = rule_of(strchr(now.name, '_') ? strchr(now.name, '_') + 1 : "");
	if (rule < 0)
		fail("the name says no rule", NULL);
	else
		*(now.name[0] == 'g' ? &good[rule] : &bad[rule]) = true;
	for (unsigned i = 0; i < PT_RULES; i++)
		judged[i] += pt_check_judged(world.check, (enum pt_rule)i);
	printf("%sok %u - %s\n", now.failed ? "not " : "", ++tests, now.name);
	if (now.failed)
		printf("# %s\n", now.why);
	failures += now.failed;
}

static void begin(const char *name)
{
	const char *only = getenv("PTD_ONLY");

	finish();
	memset(&now, 0, sizeof(now));
	snprintf(now.name, sizeof(now.name), "%.*s", (int)strcspn(name, " "), name);
	now.open = !only || !strcmp(only, now.name);
	world_open(&world, arena, ARENA_BYTES);
}

/* `report W3 text`: of the event before, and of this rule. */
static void report(const char *words)
{
	char found[300];

	now.reported = true;
	if (!world.broken) {
		fail("nothing was reported, but expected", words);
		return;
	}
	snprintf(found, sizeof(found), "%s %s", pt_rule_name(world.finding.rule),
		 world.finding.text);
	if (strcmp(found, words) != 0)
		fail(found, words);
}

static void play_line(char *line)
{
	char copy[200];
	const char *wrong;

	line[strcspn(line, "\n")] = 0;
	now.line++;
	if (!strncmp(line, "program ", 8)) {
		unsigned at = now.line;

		begin(line + 8);
		now.line = at;
		return;
	}
	line += strspn(line, " \t");
	if (now.open && !strncmp(line, "report ", 7)) {
		report(line + 7);
		return;
	}
	if (!now.open || !*line || *line == '#')
		return;
	snprintf(copy, sizeof(copy), "%s", line);
	if (world.broken)
		fail("a rule was broken before this line", world.finding.text);
	wrong = world_line(&world, line);
	if (wrong)
		fail(wrong, copy);
}

static void play(const char *path)
{
	FILE *file = fopen(path, "r");
	char line[200];

	now.line = 0;
	while (file && fgets(line, sizeof(line), file))
		play_line(line);
	if (file)
		fclose(file);
	finish();
}

/* Each rule has a good and a bad program, and is judged. */
static void cover(void)
{
	bool all = true;

	for (unsigned i = 0; i < PT_RULES; i++) {
		printf("# %-2s %6llu judged%s%s\n", pt_rule_name(i), (unsigned long long)judged[i],
		       good[i] ? "" : ", no good program", bad[i] ? "" : ", no bad program");
		all &= judged[i] && good[i] && bad[i];
	}
	printf("%sok %u - each rule has a good and a bad program and is judged\n",
	       all ? "" : "not ", ++tests);
	failures += !all;
}

int main(int argc, char **argv)
{
	glob_t files;

	arena = malloc(ARENA_BYTES);
	if (!arena || glob(argc > 1 ? argv[1] : "tests/checker/*.txt", 0, NULL, &files))
		return 2;
	for (size_t i = 0; i < files.gl_pathc; i++)
		play(files.gl_pathv[i]);
	globfree(&files);
	if (argc < 2 && !getenv("PTD_ONLY"))
		cover();
	printf("1..%u\n", tests);
	free(arena);
	return failures != 0;
}
