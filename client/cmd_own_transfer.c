/* SPDX-License-Identifier: BSD-2-Clause */
/* ptctl own share, unshare, donate, reclaim, pin, unpin, lend, retrieve, relinquish: one transition
 * of ownership. */
#include "commands.h"
#include "fields.h"
#include "number.h"

#include "ptd/v1/context.pb-c.h"
#include "ptd/v1/ownership.pb-c.h"

#include <stdlib.h>
#include <string.h>

#define HOST  PTD__V1__OWNER_KIND__OWNER_KIND_HOST
#define HYP   PTD__V1__OWNER_KIND__OWNER_KIND_HYP
#define GUEST PTD__V1__OWNER_KIND__OWNER_KIND_GUEST

#define SHARE	      PTD__V1__TRANSFER_KIND__TRANSFER_KIND_SHARE
#define UNSHARE	      PTD__V1__TRANSFER_KIND__TRANSFER_KIND_UNSHARE
#define LEND	      PTD__V1__TRANSFER_KIND__TRANSFER_KIND_LEND
#define FORCE_RECLAIM PTD__V1__TRANSFER_KIND__TRANSFER_KIND_FORCE_RECLAIM

#define MOST_ITEMS     32 /* max_transfer_items */
#define MOST_BORROWERS 4  /* max_lend_borrowers */

/* What a verb means, the parties of those that do not name them, and the guest's option where there
 * has to be one. */
static const struct verb {
	const char *verb;
	Ptd__V1__TransferKind kind;
	Ptd__V1__OwnerKind from, to;
	const char *guest;
} verbs[] = {
	{"share", SHARE, HOST, HOST, NULL},
	{"unshare", UNSHARE, HOST, HOST, NULL},
	{"donate", PTD__V1__TRANSFER_KIND__TRANSFER_KIND_DONATE, HOST, HOST, NULL},
	{"reclaim", FORCE_RECLAIM, GUEST, HOST, NULL},
	{"reclaim-dying", PTD__V1__TRANSFER_KIND__TRANSFER_KIND_RECLAIM, HOST, HOST, "from"},
	{"top-up", PTD__V1__TRANSFER_KIND__TRANSFER_KIND_TOP_UP, HOST, HOST, "to"},
	{"pin", PTD__V1__TRANSFER_KIND__TRANSFER_KIND_PIN, HOST, HYP, NULL},
	{"unpin", PTD__V1__TRANSFER_KIND__TRANSFER_KIND_UNPIN, HOST, HYP, NULL},
	{"lend", LEND, HOST, 0, "to"},
	{"retrieve", PTD__V1__TRANSFER_KIND__TRANSFER_KIND_RETRIEVE, 0, 0, "to"},
	{"relinquish", PTD__V1__TRANSFER_KIND__TRANSFER_KIND_RELINQUISH, 0, 0, "from"},
};

static const struct verb *verb_of(const struct ptctl *ctl)
{
	const struct verb *v = verbs;

	while (strcmp(v->verb, ctl->command->verb))
		v++;
	return v;
}

/* A guest by the name of its context, with or without its machine's. */
static int find_guest(struct ptctl *ctl, const char *name, uint64_t *handle)
{
	const char *machine = ptctl_text(ctl, "machine");
	char *full = strchr(name, '/') ? text_new("%s", name) : text_new("%s/%s", machine, name);
	Ptd__V1__GetContextResponse *got;
	int result = ptctl_get_context(ctl, full, 0, &got);

	free(full);
	if (result)
		return result;
	*handle = got->context->handle;
	ptd__v1__get_context_response__free_unpacked(got, NULL);
	return EXIT_DONE;
}

static int party_named(struct ptctl *ctl, const char *name, Ptd__V1__Party *to)
{
	if (!strcmp(name, "host")) {
		to->kind = HOST;
	} else if (!strcmp(name, "hyp")) {
		to->kind = HYP;
	} else if (!strcmp(name, "other")) {
		to->kind = PTD__V1__OWNER_KIND__OWNER_KIND_OTHER;
	} else {
		to->kind = GUEST;
		return find_guest(ctl, name, &to->context);
	}
	return EXIT_DONE;
}

static int party(struct ptctl *ctl, const char *option, Ptd__V1__Party *to)
{
	const struct value *value = ptctl_find(ctl, option);

	return value && value->given ? party_named(ctl, value->text, to) : EXIT_DONE;
}

/* Who is lent to: names with commas between, which are cut up. */
struct borrowers {
	Ptd__V1__Party party[MOST_BORROWERS], *list[MOST_BORROWERS];
};

static int read_borrowers(struct ptctl *ctl, char *names, struct borrowers *b,
			  Ptd__V1__TransferItem *item)
{
	int result = EXIT_DONE;

	for (char *one; !result && (one = strsep(&names, ",")) != NULL; item->n_borrowers++) {
		if (item->n_borrowers == MOST_BORROWERS)
			return ptctl_usage(ctl, "--to: more than %d borrowers", MOST_BORROWERS);
		b->party[item->n_borrowers] = (Ptd__V1__Party)PTD__V1__PARTY__INIT;
		b->list[item->n_borrowers] = &b->party[item->n_borrowers];
		result = party_named(ctl, one, b->list[item->n_borrowers]);
	}
	item->borrowers = b->list;
	return result;
}

static int borrowers(struct ptctl *ctl, struct borrowers *b, Ptd__V1__TransferItem *item)
{
	char *names = ptctl_given(ctl, "to") ? text_new("%s", ptctl_text(ctl, "to")) : NULL;
	int result = read_borrowers(ctl, names, b, item);

	free(names);
	return result;
}

/* Which addresses say where the memory of each range is. */
struct needs {
	bool pa, ipa;
};

/* One number up to the next ':' of *text; none is 0, unless it is needed. False: it is none. */
static bool next_number(char **text, uint64_t *value, bool needed)
{
	char *one = strsep(text, ":");

	*value = 0;
	return one && (*one ? !number_parse(one, strlen(one), value) : !needed);
}

/* "PA:SIZE" or "PA:IPA:SIZE". */
static bool read_range(char *text, struct needs needs, Ptd__V1__TransferItem *item)
{
	const char *colon = strchr(text, ':');
	bool has_ipa = colon && strchr(colon + 1, ':');

	if (needs.ipa && !has_ipa)
		return false;
	return next_number(&text, &item->pa, needs.pa) &&
	       (!has_ipa || next_number(&text, &item->ipa, needs.ipa)) &&
	       next_number(&text, &item->size, true) && !text;
}

/* items[0] and what --more says, which is cut up. */
static int more_items(struct ptctl *ctl, char *text, struct needs needs,
		      Ptd__V1__TransferItem *item, Ptd__V1__TransferRequest *request)
{
	Ptd__V1__TransferItem piece = PTD__V1__TRANSFER_ITEM__INIT; /* of a list: its range alone */

	piece.kind = LEND;
	for (char *one; (one = strsep(&text, ",")) != NULL;) {
		Ptd__V1__TransferItem *next = &item[request->n_items];

		if (request->n_items == MOST_ITEMS)
			return ptctl_usage(ctl, "--more: more than %d ranges", MOST_ITEMS - 1);
		*next = item[0];
		next->pa = next->ipa = 0;
		if (next->kind == LEND)
			*next = piece;
		if (!read_range(one, needs, next))
			return ptctl_usage(ctl,
					   "--more: a range is PA:SIZE or PA:IPA:SIZE; here %s",
					   needs.pa && needs.ipa ? "PA and IPA are needed"
					   : needs.ipa		 ? "IPA is needed"
								 : "PA is needed");
		request->items[request->n_items++] = next;
	}
	return EXIT_DONE;
}

static int transfer(struct ptctl *ctl, Ptd__V1__TransferRequest *request, struct needs needs,
		    Ptd__V1__TransferItem *item)
{
	const struct value *given = ptctl_find(ctl, "more");
	char *more = given && given->given ? text_new("%s", given->text) : NULL;
	int result = more_items(ctl, more, needs, item, request);

	free(more);
	if (result)
		return result;
	return ptctl_show(ctl, "/ptd.v1.OwnershipService/Transfer", &request->base,
			  &ptd__v1__transfer_response__descriptor);
}

/* Memory that was lent comes back, to the host or to --to. */
static int reclaim_lending(struct ptctl *ctl, Ptd__V1__TransferItem *item, Ptd__V1__Party *from)
{
	if (item->size)
		return ptctl_usage(ctl, "reclaim: PA and SIZE, or --lend-handle");
	item->kind = PTD__V1__TRANSFER_KIND__TRANSFER_KIND_RECLAIM;
	from->kind = 0;
	return EXIT_DONE;
}

static struct needs needs_of(const struct ptctl *ctl, const struct verb *verb,
			     const Ptd__V1__Party *from, const Ptd__V1__Party *to)
{
	bool guest = from->kind == GUEST || to->kind == GUEST;

	if (verb->kind == FORCE_RECLAIM)
		return (struct needs){.pa = true};
	return (struct needs){.pa = from->kind != GUEST && !(verb->kind == UNSHARE && guest),
			      .ipa = guest && ptctl_find(ctl, "ipa")};
}

/* Zero is an address like any other, and hardly what was meant. */
static int need_addresses(struct ptctl *ctl, const struct verb *verb, struct needs needs)
{
	const struct value *pa = ptctl_find(ctl, "pa");

	if (verb->kind == FORCE_RECLAIM)
		return EXIT_DONE; /* words of the command line */
	if (needs.pa && pa && !pa->given)
		return ptctl_usage(ctl, "--pa is needed: which frames");
	if (needs.ipa && !ptctl_given(ctl, "ipa"))
		return ptctl_usage(ctl, "--ipa is needed: where the guest has them, or gets them");
	return EXIT_DONE;
}

/* Who is not named is the host, which some verbs cannot mean. A further piece of a lending is for
 * whom its first one named. */
static int need_parties(struct ptctl *ctl, const struct verb *verb, const Ptd__V1__Party *to)
{
	bool both = !verb->guest && ptctl_find(ctl, "from");
	bool piece = verb->kind == LEND && ptctl_given(ctl, "lend-handle");

	if (verb->guest && !piece && !ptctl_given(ctl, verb->guest))
		return ptctl_usage(ctl, "--%s is needed: which guest", verb->guest);
	if (both && !ptctl_given(ctl, "from") && !ptctl_given(ctl, "to"))
		return ptctl_usage(ctl, "--from or --to is needed: both are the host");
	if (verb->kind == SHARE && to->kind == GUEST && !ptctl_given(ctl, "prot"))
		return ptctl_usage(ctl, "--prot is needed: what the guest may do");
	return EXIT_DONE;
}

int cmd_own_transfer(struct ptctl *ctl)
{
	const struct verb *verb = verb_of(ctl);
	Ptd__V1__TransferRequest request = PTD__V1__TRANSFER_REQUEST__INIT;
	Ptd__V1__TransferItem item[MOST_ITEMS] = {PTD__V1__TRANSFER_ITEM__INIT};
	Ptd__V1__TransferItem *items[MOST_ITEMS] = {item};
	Ptd__V1__Party from = PTD__V1__PARTY__INIT, to = PTD__V1__PARTY__INIT;
	struct borrowers list;
	struct needs needs;
	int result;

	from.kind = verb->from;
	to.kind = verb->to;
	request.items = items;
	request.n_items = 1;
	result = ptctl_fill(ctl, &request.base);
	if (!result)
		result = ptctl_fill(ctl, &item[0].base);
	if (!result)
		result = party(ctl, "from", &from);
	if (!result)
		result = verb->kind == LEND ? borrowers(ctl, &list, item) : party(ctl, "to", &to);
	needs = needs_of(ctl, verb, &from, &to);
	if (!result)
		result = need_addresses(ctl, verb, needs);
	if (!result)
		result = need_parties(ctl, verb, &to);
	item[0].kind = verb->kind;
	if (!result && item[0].lend_handle && verb->kind == FORCE_RECLAIM)
		result = reclaim_lending(ctl, item, &from);
	else if (!result && verb->kind == FORCE_RECLAIM && !ptctl_given(ctl, "size"))
		result = ptctl_usage(ctl, "reclaim: PA and SIZE, or --lend-handle");
	item[0].from = from.kind ? &from : NULL;
	item[0].to = to.kind ? &to : NULL;
	return result ? result : transfer(ctl, &request, needs, item);
}
