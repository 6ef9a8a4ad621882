/* SPDX-License-Identifier: BSD-2-Clause */
/* Shadows. */
#include "words.h"

#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void note_shadow(struct world *w)
{
	world_make(w, PT_EVENT_SHADOW, 0, AT_CTX, 0, 0);
}

/* key on|fwb|off [key=N] */
static const char *do_key(const struct call *c)
{
	unsigned on = !strcmp(c->word[1], "on") ? 1 : !strcmp(c->word[1], "fwb") ? 3 : 0;

	world_make(c->w, PT_EVENT_SHADOW_KEY, on, 0, value_option(c->word, c->words, "key", 5), 9);
	return NULL;
}

/* Context 0 is the canonical one, context 1 a shadow of it, with tables for its first 2M. */
static const char *do_nested(const struct call *c)
{
	static const char *const canonical[] = {"tree"};
	static const char *const key[] = {"key on"};
	const char *wrong = world_lines(c->w, canonical, COUNT(canonical));

	if (!wrong)
		wrong = world_second(c->w);
	note_shadow(c->w);
	if (!wrong)
		wrong = world_lines(c->w, key, COUNT(key));
	return wrong ? wrong : world_second_tables(c->w);
}

/* The context at hand is another shadow of context 0. */
static const char *do_shadow(const struct call *c)
{
	note_shadow(c->w);
	return NULL;
}

static const char *do_fill(const struct call *c)
{
	world_make(c->w, PT_EVENT_FILL, 0, 0, 0, 0);
	return NULL;
}

/* from NESTED CANONICAL LETTERS [level=N] [shift=N]: what the next leaf is made from. */
static const char *do_from(const struct call *c)
{
	uint64_t lo, canonical, level = value_option(c->word, c->words, "level", 3);
	uint64_t shift = value_option(c->word, c->words, "shift", 12);
	uint32_t guest = (uint32_t)(level << 8 | shift << 16);

	if (!value_number(c->word[1], &lo) || !value_number(c->word[2], &canonical))
		return words_bad;
	for (const char *letter = c->word[3]; *letter; letter++)
		guest |= *letter == 'r' ? PT_PROT_R : *letter == 'w' ? PT_PROT_W : PT_PROT_X;
	world_make(c->w, PT_EVENT_FILL_LEAF, guest, 0, lo, canonical);
	return NULL;
}

/* guest-tlbi NAME LO HI [level=N] [all]: carried out by the operation of that name. */
static const char *do_guest_tlbi(const struct call *c)
{
	uint32_t arg = (uint32_t)value_option(c->word, c->words, "level", 7);
	uint64_t lo, hi;

	if (!value_number(c->word[2], &lo) || !value_number(c->word[3], &hi))
		return words_bad;
	arg |= value_flag(c->word, c->words, "all") ? 8 : 0;
	world_make(c->w, PT_EVENT_GUEST_TLBI, arg, value_name(c->word[1]), lo, hi);
	return NULL;
}

static const char *do_guest_done(const struct call *c)
{
	world_make(c->w, PT_EVENT_GUEST_TLBI_DONE, 0, value_name(c->word[1]), 0, 0);
	return NULL;
}

/* A canonical page of two, and a leaf of the shadow made from the first. */
static const char *do_filled(const struct call *c)
{
	static const char *const lines[] = {
		"nested",
		"of 0",
		"op point map",
		"cas P2[0] page(0x1000,rw)",
		"cas P2[1] page(0x2000,r)",
		"end",
		"of 1",
		"fill",
		"op fault fill",
		"from 0 0 rw",
		"cas P5[0] page(0x1000,rwsb)",
		"end",
	};

	return world_lines(c->w, lines, COUNT(lines));
}

const struct word words_of_shadows[] = {
	{"nested", do_nested, 1},
	{"filled", do_filled, 1},
	{"shadow", do_shadow, 1},
	{"key", do_key, 2},
	{"fill", do_fill, 1},
	{"from", do_from, 4},
	{"guest-tlbi", do_guest_tlbi, 4},
	{"guest-done", do_guest_done, 2},
	{NULL, NULL, 0},
};
