/* SPDX-License-Identifier: BSD-2-Clause */
/* Whole runs: drawn, from a list, in a process of their own, made short, as text. */
#ifndef SIM_PLAY_H
#define SIM_PLAY_H

#include "sim.h"

/* schedule.c: events drawn by the seed, or those of `list`, then the end. Records into `record`
 * (SIM_EVENTS of them) when it is not NULL. */
struct play {
	uint64_t seed;
	const struct ev *list; /* NULL: draw */
	size_t listed;
	struct ev *record;
	size_t *recorded;	       /* how many */
	const struct scripts *scripts; /* NULL: all */
	enum plant plant;
	FILE *tell; /* NULL, or where each event's effect is told */
};
void sim_play(struct sim *sim, struct play *play);

/* A failing or a whole play, in memory that is shared with children. */
struct verdict {
	uint64_t seed, digest;
	bool done;
	enum plant plant;
	struct scripts scripts;
	struct stats stats;
	char failure[240];
	size_t recorded;
	struct ev record[SIM_EVENTS];
};

/* trace.c */
void trace_tell(FILE *out, const struct sim *sim, const struct ev *ev);
void trace_scripts(FILE *out, const struct scripts *scripts, uint32_t ops);
enum plant trace_plant(const char *name); /* PLANT_KINDS: none of them */
/* Seed, plant, scripts and events. */
bool trace_save(const char *path, const struct verdict *verdict);
bool trace_load(const char *path, struct verdict *verdict);

/* tries.c */
struct verdict *verdict_new(void);
/* Plays `count` seeds from `seed` on, each twice, in a process of its own: a crash and a hang are
 * verdicts, too. */
void try_seeds(uint64_t seed, uint64_t count, enum plant plant, struct verdict *verdict);
/* Plays the list in *verdict likewise. */
void try_list(struct verdict *verdict, FILE *tell);
/* shrink.c */
/* Makes the failing list in *verdict short; returns how many plays it took, `most` at most. */
uint32_t shrink(struct verdict *verdict, uint32_t most);

#endif
