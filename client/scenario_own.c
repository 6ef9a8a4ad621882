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

enum place { FROM, TO, PA, IPA, SIZE, MACHINE, ALSO, TOTAL, PROT };
#define GIVEN(place) (given >> (place)&1)

/* Where the memory is said: by frame, and by the address of the guest that is a party. */
enum { NEEDS_PA = 1, NEEDS_IPA = 2, BY_EITHER = NEEDS_PA | NEEDS_IPA, BY_GUEST = 4, MOVES = 8 };
enum { NEEDS_FROM = 16, NEEDS_TO = 32 };

const struct scn_key scn_own_keys[] = {
	[FROM] = KEY("from", SCN_T_PARTY, from, "host, hyp, other or a guest; host"),
	[TO] = KEY("to", SCN_T_PARTY, to, "the same; host"),
	[PA] = KEY("pa", SCN_T_NUMBER, pa, "of the first frame"),
	[IPA] = KEY("ipa", SCN_T_NUMBER, ipa, "where the guest has it, or is to have it"),
	[SIZE] = KEY("size", SCN_T_NUMBER, size, "bytes; 4K"),
	[MACHINE] = KEY("machine", SCN_T_MACHINE, machine, "the latest one"),
	[ALSO] = KEY("also", SCN_T_PARTY, also, "lend: a second borrower"),
	[TOTAL] = KEY("total", SCN_T_NUMBER, total, "lend: bytes with all further pieces; size"),
	[PROT] = KEY("prot", SCN_T_PROT, prot, "rights of a share with a guest"),
	KEY("type", SCN_T_MEMORY, prot, "normal, nc or device; normal"),
	KEY("id", SCN_T_NUMBER, lending, "which of the scenario's lendings: 0 to 15; 0"),
	FLAG("zero", SCN_OWN_ZERO, "it reads as zero afterwards"),
	FLAG("validate", SCN_OWN_VALIDATE, "report, change nothing"),
	{0}};

/* Numbers are TransferKind's. */
static const struct action {
	const char *name;
	uint8_t kind;
	uint16_t from, to; /* where the line does not say it */
	bool ranges;	   /* it has a size */
	uint8_t flags, needs;
} actions[] = {
	{"share", 1, SCN_PARTY_HOST, SCN_PARTY_HOST, true, 0, BY_EITHER | MOVES},
	{"unshare", 2, SCN_PARTY_HOST, SCN_PARTY_HOST, true, 0, BY_EITHER | BY_GUEST | MOVES},
	{"donate", 3, SCN_PARTY_HOST, SCN_PARTY_HOST, true, 0, BY_EITHER | MOVES},
	{"lend", 4, SCN_PARTY_HOST, SCN_PARTY_HOST, true, 0, BY_EITHER | NEEDS_TO},
	{"piece", 4, SCN_PARTY_HOST, SCN_PARTY_HOST, true, SCN_OWN_PIECE, BY_EITHER},
	{"retrieve", 5, SCN_PARTY_HOST, SCN_PARTY_HOST, false, 0, NEEDS_IPA | NEEDS_TO},
	{"relinquish", 6, SCN_PARTY_HOST, SCN_PARTY_HOST, false, 0, NEEDS_FROM},
	{"take-back", 7, SCN_PARTY_HOST, SCN_PARTY_HOST, false, 0, 0},
	{"reclaim", 8, SCN_PARTY_GUEST, SCN_PARTY_HOST, true, 0, NEEDS_PA},
	{"pin", 9, SCN_PARTY_HOST, SCN_PARTY_HYP, true, 0, NEEDS_PA},
	{"unpin", 10, SCN_PARTY_HOST, SCN_PARTY_HYP, true, 0, NEEDS_PA},
	{"show", SCN_OWN_SHOW, SCN_PARTY_HOST, SCN_PARTY_HOST, false, 0, NEEDS_PA},
	{0}};

static const struct action *find(struct scn_compiler *c)
{
	const struct scn_span *s = &c->word[1].all;
	const struct action *a = actions;

	while (a->name && !scn_span_is(s, a->name))
		a++;
	if (a->name)
		return a;
	scn_error(
		c, s,
		"'%.*s' is not one of: share, unshare, donate, lend, piece, retrieve, relinquish, "
		"take-back, reclaim, pin, unpin, show",
		(int)s->length, s->at);
	return NULL;
}

const char *scn_own_name(unsigned kind, unsigned flags)
{
	const struct action *a = actions;

	while (a->name && (a->kind != kind || a->flags != (flags & SCN_OWN_PIECE)))
		a++;
	return a->name;
}

static bool is_guest(uint16_t party)
{
	return party < SCN_MAX_CONTEXTS || party == SCN_PARTY_GUEST;
}

/* Zero is an address like any other, and hardly what was meant; nor are both parties the same. */
static bool has_operands(struct scn_compiler *c, const struct action *a,
			 const struct scn_own_body *b, uint64_t given)
{
	bool lend = a->kind == 4, from = is_guest(b->from), to = is_guest(b->to) && !lend;
	bool frames = a->needs & NEEDS_PA && (a->kind == 8 || !from) &&
		      !(a->needs & BY_GUEST && (from || to));

	if (a->needs & MOVES && !GIVEN(FROM) && !GIVEN(TO))
		return scn_error(c, NULL, "own %s needs from= or to=: both are the host", a->name);
	if ((a->needs & NEEDS_FROM && !GIVEN(FROM)) || (a->needs & NEEDS_TO && !GIVEN(TO)))
		return scn_error(c, NULL, "own %s needs %s= (which guest)", a->name,
				 a->needs & NEEDS_TO ? "to" : "from");
	if (a->kind == 1 && to && !GIVEN(PROT))
		return scn_error(c, NULL, "own share needs prot= (what the guest may do)");
	if (frames && !GIVEN(PA))
		return scn_error(c, NULL, "own %s needs pa= (which frames)", a->name);
	if (a->needs & NEEDS_IPA && (from || to) && !GIVEN(IPA))
		return scn_error(c, NULL,
				 "own %s needs ipa= (where the guest has them, or gets them)",
				 a->name);
	return true;
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
	if (b->lending >= SCN_MAX_LENDINGS)
		return scn_error(c, NULL, "id is at most %u", SCN_MAX_LENDINGS - 1);
	b->kind = a->kind;
	b->flags |= a->flags;
	if (!GIVEN(MACHINE))
		b->machine = (uint16_t)(c->machines.count - 1);
	if (!GIVEN(FROM))
		b->from = a->from;
	if (!GIVEN(TO))
		b->to = a->to;
	if (!GIVEN(ALSO))
		b->also = SCN_NONE;
	if (!GIVEN(SIZE) && a->ranges)
		b->size = 4096;
	return has_operands(c, a, b, given);
}
