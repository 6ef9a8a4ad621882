/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenario text: own, transitions of ownership. */
#include "scenario_parse.h"

#define OFFSET(field) (uint8_t) offsetof(struct scn_record, body.own.field)
#define WIDTH(field)  (uint8_t)sizeof(((struct scn_record *)0)->body.own.field)
#define KEY(name, type, field, help)                                                               \
	{                                                                                          \
		name, type, false, OFFSET(field), WIDTH(field), 0, help                            \
	}
#define FLAG(name, bit, help)                                                                      \
	{                                                                                          \
		name, SCN_T_FLAG, false, OFFSET(flags), WIDTH(flags), bit, help                    \
	}

enum place { FROM, TO, PA, IPA, SIZE, MACHINE };
#define GIVEN(place) (given >> (place)&1)

const struct scn_key scn_own_keys[] = {
	[FROM] = KEY("from", SCN_T_PARTY, from, "host, hyp, other or a guest; host"),
	[TO] = KEY("to", SCN_T_PARTY, to, "the same; host"),
	[PA] = KEY("pa", SCN_T_NUMBER, pa, "of the first frame"),
	[IPA] = KEY("ipa", SCN_T_NUMBER, ipa, "where the guest has it, or is to have it"),
	[SIZE] = KEY("size", SCN_T_NUMBER, size, "bytes; 4K"),
	[MACHINE] = KEY("machine", SCN_T_MACHINE, machine, "the latest one"),
	KEY("prot", SCN_T_PROT, prot, "rights of a share with a guest"),
	KEY("type", SCN_T_MEMORY, prot, "normal, nc or device; normal"),
	FLAG("zero", SCN_OWN_ZERO, "it reads as zero afterwards"),
	FLAG("validate", SCN_OWN_VALIDATE, "report, change nothing"),
	{0}};

/* Numbers are TransferKind's. */
static const struct action {
	const char *name;
	uint8_t kind;
	uint16_t from, to; /* where the line does not say it */
} actions[] = {{"share", 1, SCN_PARTY_HOST, SCN_PARTY_HOST},
	       {"unshare", 2, SCN_PARTY_HOST, SCN_PARTY_HOST},
	       {"donate", 3, SCN_PARTY_HOST, SCN_PARTY_HOST},
	       {"reclaim", 8, SCN_PARTY_GUEST, SCN_PARTY_HOST},
	       {"pin", 9, SCN_PARTY_HOST, SCN_PARTY_HYP},
	       {"unpin", 10, SCN_PARTY_HOST, SCN_PARTY_HYP},
	       {"show", SCN_OWN_SHOW, SCN_PARTY_HOST, SCN_PARTY_HOST},
	       {0}};

static const struct action *find(struct scn_compiler *c)
{
	const struct scn_span *s = &c->word[1].all;
	const struct action *a = actions;

	while (a->name && !scn_span_is(s, a->name))
		a++;
	if (a->name)
		return a;
	scn_error(c, s, "'%.*s' is not one of: share, unshare, donate, reclaim, pin, unpin, show",
		  (int)s->length, s->at);
	return NULL;
}

const char *scn_own_name(unsigned kind)
{
	const struct action *a = actions;

	while (a->name && a->kind != kind)
		a++;
	return a->name;
}

bool scn_finish_own(struct scn_compiler *c, struct scn_record *r, uint64_t given)
{
	struct scn_own_body *b = &r->body.own;
	const struct action *a = find(c);

	if (!a)
		return false;
	if (!c->machines.count)
		return scn_error(c, NULL, "a machine line must come first");
	if (a->kind == SCN_OWN_SHOW && given & ~(UINT64_C(1) << PA | UINT64_C(1) << MACHINE))
		return scn_error(c, NULL, "own show takes pa= and machine=");
	b->kind = a->kind;
	if (!GIVEN(MACHINE))
		b->machine = (uint16_t)(c->machines.count - 1);
	if (!GIVEN(FROM))
		b->from = a->from;
	if (!GIVEN(TO))
		b->to = a->to;
	if (!GIVEN(SIZE) && a->kind != SCN_OWN_SHOW)
		b->size = 4096;
	return true;
}
