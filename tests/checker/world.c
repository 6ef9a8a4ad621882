/* SPDX-License-Identifier: BSD-2-Clause */
/* The lines of a program, and the events that they make: README.md. */
#include "words.h"

#include <stdio.h>
#include <string.h>

const char *const words_bad = "the words do not fit";

void world_event(struct world *w, struct pt_event e)
{
	struct pt_finding finding;

	e.thread = w->thread;
	if (w->inside[w->thread])
		e.agent = AT_AGENT + w->thread;
	if (!e.op)
		e.op = w->op[w->thread];
	if (!pt_check_event(w->check, &e, &finding) && !w->broken) {
		w->broken = true;
		w->finding = finding;
	}
}

void world_make(struct world *w, enum pt_event_kind kind, uint32_t arg, uint64_t at, uint64_t lo,
		uint64_t hi)
{
	world_event(w, (struct pt_event){.kind = (uint8_t)kind,
					 .arg = arg,
					 .at = at,
					 .ctx = w->ctx,
					 .lo = lo,
					 .hi = hi});
}

/* Events of agents name the world where others name a context. */
void world_agent_event(struct world *w, enum pt_event_kind kind)
{
	world_event(w, (struct pt_event){.kind = (uint8_t)kind,
					 .arg = w->thread,
					 .at = AT_AGENT + w->thread,
					 .ctx = AT_WORLD});
}

void world_open(struct world *w, void *arena, size_t bytes)
{
	struct pt_check_config config = {0};

	memset(w, 0, sizeof(*w));
	w->arena = arena;
	w->bytes = bytes;
	w->check = pt_check_init(arena, bytes, &config);
	w->thread = 1;
	w->ctx = AT_CTX;
	w->page_shift = 12;
}

static const char *const agent_a[] = {"as a", "in", "use", "get P0"};
/* What most programs begin with; with 16K the tree has a level less. */
static const char *const prelude[] = {
	"vmid 1",
	"op point prelude",
	"charge",
	"get P1",
	"charge",
	"get P2",
	"init P1[0] table(P2)",
	"cas P0[0] table(P1)",
	"end",
};
static const char *const prelude_el2[] = {
	"get P1", "get P2", "init P1[0] table(P2)", "rel P0[0] table(P1)", "activate vmid=0",
};
static const char *const prelude_16k[] = {
	"vmid 1", "op point prelude", "charge", "get P1", "cas P0[0] table(P1)", "end",
};

static const char *run_words(struct world *w, char **word, unsigned words)
{
	static const struct word *const all[] = {words_of_agents, words_of_tables, words_of_tlbs,
						 words_of_owners, words_of_shadows};
	struct call call = {w, word, words};

	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		for (const struct word *at = all[i]; at->name; at++)
			if (!strcmp(word[0], at->name))
				return words < at->words ? "too few words" : at->run(&call);
	return "no such line";
}

const char *world_lines(struct world *w, const char *const *lines, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char line[64];
		const char *wrong;

		snprintf(line, sizeof(line), "%s", lines[i]);
		wrong = world_line(w, line);
		if (wrong)
			return wrong;
	}
	return NULL;
}

const char *world_second(struct world *w)
{
	static const char *const made[] = {"get P3", "context root=3 ctx=1", "vmid 2"};

	return world_lines(w, made, sizeof(made) / sizeof(made[0]));
}

const char *world_second_tables(struct world *w)
{
	static const char *const tables[] = {
		"op point prelude",
		"charge",
		"get P4",
		"charge",
		"get P5",
		"init P4[0] table(P5)",
		"cas P3[0] table(P4)",
		"end",
	};

	return world_lines(w, tables, sizeof(tables) / sizeof(tables[0]));
}

/* World, machine, agent a in a section, start tables P0; and unless `bare`, P1 below P0[0] and P2
 * below P1[0], at level 3, for IPAs below 2M (16K: P1 alone, for 32M). Options go to the context.
 */
static const char *tree(struct world *w, char **word, unsigned words)
{
	const char *wrong;

	w->page_shift = value_option(word, words, "granule", 4096) == 4096 ? 12 : 14;
	world_event(w, (struct pt_event){.kind = PT_EVENT_MEMORY,
					 .at = AT_MEMORY,
					 .ctx = AT_WORLD,
					 .lo = (uint64_t)PAGES << w->page_shift});
	world_make(w, PT_EVENT_MACHINE_INIT, 0, AT_MACHINE, AT_MMU, 0);
	wrong = world_lines(w, agent_a, sizeof(agent_a) / sizeof(agent_a[0]));
	word[0] = (char *)"context";
	if (!wrong)
		wrong = run_words(w, word, words);
	if (wrong)
		return wrong;
	if (value_flag(word, words, "bare"))
		return NULL;
	if (value_flag(word, words, "el2"))
		return world_lines(w, prelude_el2, sizeof(prelude_el2) / sizeof(prelude_el2[0]));
	return w->page_shift == 12
		       ? world_lines(w, prelude, sizeof(prelude) / sizeof(prelude[0]))
		       : world_lines(w, prelude_16k, sizeof(prelude_16k) / sizeof(prelude_16k[0]));
}

const char *world_line(struct world *w, char *line)
{
	char *word[MAX_WORDS], *rest = NULL;
	unsigned words = 0;

	for (char *at = strtok_r(line, " \t\n", &rest); at && words < MAX_WORDS;
	     at = strtok_r(NULL, " \t\n", &rest)) {
		if (*at == '#')
			break;
		word[words++] = at;
	}
	if (!words)
		return NULL;
	if (!strcmp(word[0], "tree"))
		return tree(w, word, words);
	return run_words(w, word, words);
}
