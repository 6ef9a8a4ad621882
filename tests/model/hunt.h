/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the programs of plays share, whatever their steps are: hunt.c, list.c and tap.c are compiled
 * once with each play.h, which HUNT_PLAY names.
 */
#ifndef MODEL_HUNT_H
#define MODEL_HUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct step;
struct verdict;

/* ---- a play's script.c: a step as text; room enough for any is STEP_TEXT ---- */
#define STEP_TEXT 1024
void script_line(char *to, size_t room, const struct step *step);
bool script_parse(const char *line, struct step *step);

/* ---- list.c: a list as text: `seed N`, then one step a line; `#` begins a comment ---- */
bool script_save(const char *path, const struct verdict *v);
/* False: it cannot be read, says something else than steps, or has none or too many. */
bool script_load(const char *path, struct verdict *v);

/* ---- hunt.c ---- */
struct verdict *verdict_new(void);
/* Plays seeds in a process of its own, up to the first that fails: then v->failure, v->seed and the
 * list. */
void try_seeds(uint64_t seed, uint64_t count, struct verdict *v);
/* Plays the list. */
void try_list(struct verdict *v);
/* Leaves out of the list what it does not need to fail in the same way; returns the plays made. */
uint32_t shrink(struct verdict *v, uint32_t most);

/* ---- tap.c: what a program is asked for, and its answer as TAP ---- */
struct asked {
	const char *name;	     /* of the program: of what it saves, too */
	uint64_t seed, count, least; /* `count` of seeds, or of what the program counts */
	bool replay, as_is;	     /* as_is: what fails is not shrunk */
};

#define CELLS_MOST 20 /* answers that a row of the matrix can have, and one that ends them */

/* What the environment sets. */
uint64_t setting(const char *name, uint64_t otherwise);
/* The options; `count` is the name of the one that sets it. False: there is another. */
bool ask(struct asked *a, struct verdict *v, const char *count, int argc, char **argv);
void result(bool good, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Plays the lists, and nothing else; returns what the program exits with. */
int run_lists(struct verdict *v, int lists, char **path);
/* The plan, with `more` results to come; every list of `folder` if that is not NULL; and so many
 * seeds from the first on, which alone are counted. False: a seed failed, and is reported. */
bool run_plays(struct verdict *v, const struct asked *a, const char *folder, uint64_t seeds,
	       unsigned more);
/* Prints a row of the matrix; returns how many of its reachable cells have less than `least`. */
unsigned print_row(const char *name, const uint64_t *cell, const uint8_t *reachable,
		   uint64_t least);
/* Processor time of the plays, since others may use the machine. */
double played_seconds(void);
/* What the program exits with. */
int tap_end(void);

#endif
