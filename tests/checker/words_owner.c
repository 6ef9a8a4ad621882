/* SPDX-License-Identifier: BSD-2-Clause */
/* Owners of frames. */
#include "words.h"

#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define GUEST	 7

static const char *do_owners(const struct call *c)
{
	static const char *const host[] = {"tree"};
	const char *wrong = world_lines(c->w, host, COUNT(host));

	world_make(c->w, PT_EVENT_OWNERS, 0, AT_MACHINE, 0, 0);
	if (!wrong)
		wrong = world_second(c->w);
	if (!wrong)
		wrong = world_second_tables(c->w);
	world_make(c->w, PT_EVENT_GUEST, GUEST, AT_MACHINE, 0, 0);
	c->w->ctx = AT_CTX;
	return wrong;
}

/* LO HI LO HI: the host's first. */
static const char *do_both(const struct call *c)
{
	char text[6][80];
	const char *lines[] = {"of 0",	text[0], "of 1",  text[1],
			       text[2], text[3], text[4], text[5]};

	snprintf(text[0], sizeof(text[0]), "ask h");
	snprintf(text[1], sizeof(text[1]), "ask g at-once");
	snprintf(text[2], sizeof(text[2]), "publish h %s %s", c->word[1], c->word[2]);
	snprintf(text[3], sizeof(text[3]), "publish g %s %s", c->word[3], c->word[4]);
	snprintf(text[4], sizeof(text[4]), "drained h");
	snprintf(text[5], sizeof(text[5]), "drained g");
	return world_lines(c->w, lines, COUNT(lines));
}

static const char *do_free(const struct call *c)
{
	static const char *const lines[] = {"release h", "release g"};

	return world_lines(c->w, lines, COUNT(lines));
}

static const char *do_donated(const struct call *c)
{
	static const char *const lines[] = {
		"of 0",
		"op txn",
		"both 0 0xfff 0x10000 0x10fff",
		"commit",
		"store P2[0] donation(7,0x10000)",
		"record 0 4K nopage",
		"store P5[16] page(0x0,rwx)",
		"free",
		"end",
		"of 0",
	};

	return world_lines(c->w, lines, COUNT(lines));
}

/* PA SIZE STATE [hyp=N] [shares=N] [pins=N]: what becomes of frames. */
static const char *do_record(const struct call *c)
{
	static const char *const names[] = {"owned", "shared", "borrowed", "", "nopage", "lent"};
	uint64_t pa, size, record = 0;

	if (!value_number(c->word[1], &pa) || !value_number(c->word[2], &size))
		return words_bad;
	for (unsigned i = 0; i < COUNT(names); i++)
		if (!strcmp(c->word[3], names[i]))
			record = i;
	record |= (value_option(c->word, c->words, "hyp", 4) ^ 4) << 4;
	record |= value_option(c->word, c->words, "pins", 0) << 16;
	record |= value_option(c->word, c->words, "shares", 0) << 32;
	world_make(c->w, PT_EVENT_OWNER, (uint32_t)(size >> 12), AT_MACHINE, pa, record);
	return NULL;
}

static const char *do_wiped(const struct call *c)
{
	uint64_t pa, size;

	if (!value_number(c->word[1], &pa) || !value_number(c->word[2], &size))
		return words_bad;
	world_make(c->w, PT_EVENT_WIPED, 0, AT_MACHINE, pa, pa + size - 1);
	return NULL;
}

const struct word words_of_owners[] = {
	{"owners", do_owners, 1}, {"both", do_both, 5},
	{"free", do_free, 1},	  {"donated", do_donated, 1},
	{"record", do_record, 4}, {"wiped", do_wiped, 3},
	{NULL, NULL, 0},
};
