/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Plays a trace that a checked program saved (PTD_TRACE=FILE) into lib/check once more: says what
 * the program's checker said. Exit status 0: all rules hold, 1: a finding, 2: no trace.
 */
#include "trace.h"

#include <stdlib.h>

#define ARENA_BYTES (UINT64_C(256) << 20)

static int play(FILE *file, struct pt_check *check)
{
	struct pt_finding finding;
	struct host_event e;
	char line[1024];
	uint64_t number = 0;

	while (fgets(line, sizeof(line), file)) {
		number++;
		if (!host_event_parse(line, &e)) {
			fprintf(stderr, "line %llu is no event\n", (unsigned long long)number);
			return 2;
		}
		if (!pt_check_event(check, &e.event, &finding)) {
			host_finding_print(stdout, &finding);
			return 1;
		}
	}
	printf("%llu events keep all rules\n", (unsigned long long)number);
	return number ? 0 : 2;
}

int main(int argc, char **argv)
{
	static const struct pt_check_config config;
	FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
	void *arena = malloc(ARENA_BYTES);
	int status = 2;

	if (file && arena)
		status = play(file, pt_check_init(arena, ARENA_BYTES, &config));
	else
		fputs("usage: replay TRACE\n", stderr);
	if (file)
		fclose(file);
	free(arena);
	return status;
}
