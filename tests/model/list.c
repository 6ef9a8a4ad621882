/* SPDX-License-Identifier: BSD-2-Clause */
/* Lists of steps as text, of whatever play. */
#ifndef HUNT_PLAY
#define HUNT_PLAY "play.h"
#endif
#include HUNT_PLAY

#include <inttypes.h>
#include <stdio.h>

bool script_save(const char *path, const struct verdict *v)
{
	FILE *f = fopen(path, "w");
	char line[STEP_TEXT];

	if (!f)
		return false;
	fprintf(f, "# %s\nseed %" PRIu64 "\n", v->failure, v->seed);
	for (uint32_t i = 0; i < v->steps; i++) {
		script_line(line, sizeof(line), &v->step[i]);
		fprintf(f, "%s\n", line);
	}
	return fclose(f) == 0;
}

bool script_load(const char *path, struct verdict *v)
{
	FILE *f = fopen(path, "r");
	bool good = f;
	char line[STEP_TEXT];

	v->seed = 0;
	v->steps = 0;
	while (good && fgets(line, sizeof(line), f)) {
		if (line[0] == '#' || line[0] == '\n' ||
		    sscanf(line, "seed %" SCNu64, &v->seed) == 1)
			continue;
		good = v->steps < STEPS_MOST && script_parse(line, &v->step[v->steps++]);
	}
	if (f)
		fclose(f);
	return good && v->steps;
}
