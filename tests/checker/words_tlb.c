/* SPDX-License-Identifier: BSD-2-Clause */
/* Fences and invalidations. */
#include "words.h"

#include <string.h>

static const char *do_fence(const struct call *c)
{
	world_make(c->w, PT_EVENT_FENCE_STORE, 0, 0, 0, 0);
	return NULL;
}

/* KIND ipa|range|vmid|all|local|el2|stage1 [LO SIZE] [level=N] [last] [vmid=N] */
static const char *tlbi(const struct call *c, enum pt_event_kind kind)
{
	static const char *const names[] = {"ipa",   "range", "vmid",  "all",
					    "local", "el2",   "stage1"};
	struct pt_tlbi t = {.kind = PT_TLBI_VMID};

	for (unsigned i = 0; c->words > 1 && i < 7; i++)
		if (!strcmp(c->word[1], names[i]))
			t.kind = (enum pt_tlbi_kind)i;
	if (c->words > 3 && t.kind != PT_TLBI_VMID && t.kind != PT_TLBI_ALL &&
	    t.kind != PT_TLBI_STAGE1 &&
	    (!value_number(c->word[2], &t.ipa.v) || !value_number(c->word[3], &t.size)))
		return words_bad;
	t.vmid = (uint16_t)value_option(c->word, c->words, "vmid", 1);
	t.level = (int8_t)value_option(c->word, c->words, "level", PT_TTL_UNKNOWN);
	t.last_level = value_flag(c->word, c->words, "last");
	world_event(c->w, (struct pt_event){.kind = (uint8_t)kind, .at = AT_MMU, .tlbi = &t});
	return NULL;
}

/* With its DSBs. */
static const char *do_tlbi(const struct call *c)
{
	const char *wrong = tlbi(c, PT_EVENT_TLBI);

	return wrong ? wrong : tlbi(c, PT_EVENT_TLBI_DONE);
}

static const char *do_tlbi_begin(const struct call *c)
{
	return tlbi(c, PT_EVENT_TLBI);
}

static const char *do_tlbi_done(const struct call *c)
{
	return tlbi(c, PT_EVENT_TLBI_DONE);
}

static const char *do_s2(const struct call *c)
{
	return tlbi(c, PT_EVENT_TLBI_S2);
}

static const char *do_s1(const struct call *c)
{
	return tlbi(c, PT_EVENT_TLBI_S1);
}

static const char *do_s12(const struct call *c)
{
	return tlbi(c, PT_EVENT_TLBI_S12);
}

static const char *do_none(const struct call *c)
{
	world_make(c->w, PT_EVENT_TLBI_NONE, 0, AT_MMU, 0, 0);
	return NULL;
}

/* range|address VALUE [vmid=N]: with a VMID as a port shows it, which says what it is part of. */
static const char *do_operand(const struct call *c)
{
	struct pt_tlbi t = {.vmid = (uint16_t)value_option(c->word, c->words, "vmid", 0)};
	uint64_t value;

	if (c->words < 3 || !value_number(c->word[2], &value))
		return words_bad;
	world_event(c->w, (struct pt_event){.kind = PT_EVENT_TLBI_OPERAND,
					    .arg = !strcmp(c->word[1], "range"),
					    .at = AT_MMU,
					    .lo = value,
					    .tlbi = t.vmid ? &t : NULL});
	return NULL;
}

static const char *do_dsb(const struct call *c)
{
	static const char *const names[] = {"ish", "ishst", "nsh", "nshst"};

	for (unsigned i = 0; i < 4; i++)
		if (!strcmp(c->word[1], names[i]))
			world_make(c->w, PT_EVENT_DSB, i, 0, 0, 0);
	return NULL;
}

const struct word words_of_tlbs[] = {
	{"fence", do_fence, 1},
	{"tlbi", do_tlbi, 2},
	{"tlbi-begin", do_tlbi_begin, 2},
	{"tlbi-done", do_tlbi_done, 2},
	{"operand", do_operand, 3},
	{"none", do_none, 1},
	{"s2", do_s2, 2},
	{"s1", do_s1, 1},
	{"s12", do_s12, 1},
	{"dsb", do_dsb, 2},
	{NULL, NULL, 0},
};
