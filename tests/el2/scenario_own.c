/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenarios at EL2: machines with owners. What a transition does is lib's to say; who it was left
 * with is judged by what each party's accesses then find (scenario_access.c). */
#include "scenario.h"

#include <pt/lending.h>

#define GUESTS 8

struct sc_owners {
	struct pt_machine_owners pt;
	struct pt_store store;
	struct pt_region memory;
	struct pt_guest guest[GUESTS];
	struct pt_lending lendings[PT_LENDINGS];
	uint64_t lending[SCN_MAX_LENDINGS]; /* handles, by the file's numbers */
};

static void wipe(void *arg, uint64_t pa, uint64_t size)
{
	sc_wipe(arg, pa, size);
}

enum pt_outcome sc_own_machine(struct sc_machine *m)
{
	m->owners = calloc(1, sizeof(*m->owners));
	if (!m->owners)
		return PT_NO_MEMORY;
	pt_store_init(&m->owners->store, &m->pt, UINT64_MAX, 0);
	m->owners->memory = (struct pt_region){.size = m->memory_bytes};
	return PT_OK;
}

static enum pt_outcome join_host(struct sc_context *c)
{
	struct sc_owners *o = c->machine->owners;
	enum pt_outcome outcome =
		o->pt.host ? PT_ALREADY_EXISTS
			   : pt_machine_owners_init(&o->pt, &o->store, &c->pt, PT_OWNER_SHIFT);

	if (outcome != PT_OK)
		return outcome;
	o->pt.region = &o->memory;
	o->pt.regions = 1;
	o->pt.guest = o->guest;
	o->pt.guests = GUESTS;
	o->pt.lending = o->lendings;
	o->pt.lendings = PT_LENDINGS;
	o->pt.wipe = wipe;
	o->pt.arg = c->machine;
	return PT_OK;
}

enum pt_outcome sc_own_join(struct sc_context *c, const struct scn_context_body *b)
{
	struct sc_owners *o = c->machine->owners;
	enum pt_outcome outcome;

	if (!o)
		return PT_OK;
	if (b->kind == 2)
		return join_host(c);
	if (!o->pt.host)
		return PT_WRONG_STATE;
	outcome = pt_guest_reserve(&o->pt, &c->guest);
	return outcome == PT_OK
		       ? pt_guest_create(&o->pt, c->guest, &c->pt, b->flags & SCN_CTX_PROTECTED)
		       : outcome;
}

static enum pt_outcome run(struct sc_world *w, const struct pt_transfer_args *args,
			   struct pt_transfer *t)
{
	enum pt_outcome o = pt_transfer_init(t, args);

	return o == PT_OK ? sc_run_transfer(w, t) : o;
}

static enum pt_outcome run_lend(struct sc_world *w, const struct pt_lend_args *args,
				struct pt_lend *lend)
{
	enum pt_outcome o = pt_lend_init(lend, args);

	return o == PT_OK ? sc_run_lend(w, lend) : o;
}

/* Its number is free again, and what it had is the host's. */
void sc_own_leave(struct sc_world *w, struct sc_context *c)
{
	static struct pt_transfer t;
	static struct pt_lend lend;
	struct sc_owners *o = c->machine->owners;
	struct pt_transfer_args args = {.owners = &o->pt,
					.kind = PT_RECLAIM_DYING,
					.guest = c->guest,
					.size = UINT64_C(1) << c->pt.geo.ipa_bits};
	struct pt_lend_args leave = {.owners = &o->pt, .kind = PT_LEND_LEAVE, .who = c->guest};
	struct pt_guest_final final;
	enum pt_outcome outcome;

	if (o->pt.host == &c->pt)
		return;
	pt_guest_teardown(&o->pt, c->guest);
	if (run_lend(w, &leave, &lend) != PT_OK)
		sc_bail("a guest keeps lendings", lend.error.code);
	if (run(w, &args, &t) != PT_OK)
		sc_bail("a guest keeps its pages", t.error.ipa.v);
	pt_guest_finalize_init(&final, &o->pt, c->guest);
	do {
		pt_section_begin(&w->agent);
		outcome = pt_guest_finalize_step(&final, &w->agent, STEP_VISITS);
		pt_section_end(&w->agent);
	} while (outcome == PT_MORE);
	if (outcome != PT_OK)
		sc_bail("a guest does not go", final.at);
}

/* No context is left. */
void sc_own_close(struct sc_world *w, struct sc_machine *m)
{
	struct sc_owners *o = m->owners;
	bool more = o && o->pt.host;

	while (more) {
		pt_section_begin(&w->agent);
		more = pt_frames_close(&o->pt.frames, &w->agent, STEP_VISITS) == PT_MORE ||
		       pt_extents_close(&o->pt.extents, &w->agent, STEP_VISITS) == PT_MORE;
		pt_section_end(&w->agent);
	}
	free(o);
	m->owners = NULL;
}

static uint8_t kind_of(uint16_t party)
{
	return party < SCN_MAX_CONTEXTS ? SCN_PARTY_GUEST & 0xff : party & 0xff;
}

#define HOST  (SCN_PARTY_HOST & 0xff)
#define HYP   (SCN_PARTY_HYP & 0xff)
#define GUEST (SCN_PARTY_GUEST & 0xff)
#define OTHER (SCN_PARTY_OTHER & 0xff)

/* Kinds of the file, by their parties, and lib's. */
static const struct {
	uint8_t kind, from, to, of_lib;
} transitions[] = {
	{1, HOST, HYP, PT_SHARE_HYP},	    {1, HOST, OTHER, PT_SHARE_THIRD},
	{1, HOST, GUEST, PT_SHARE_GUEST},   {1, GUEST, HOST, PT_SHARE_BACK},
	{2, HOST, HYP, PT_UNSHARE_HYP},	    {2, HOST, OTHER, PT_UNSHARE_THIRD},
	{2, HOST, GUEST, PT_UNSHARE_GUEST}, {2, GUEST, HOST, PT_UNSHARE_BACK},
	{3, HOST, HYP, PT_DONATE_HYP},	    {3, HYP, HOST, PT_RETURN_HYP},
	{3, HOST, GUEST, PT_DONATE_GUEST},  {3, GUEST, HOST, PT_BALLOON},
	{8, GUEST, HOST, PT_FORCE_RECLAIM}, {9, HOST, HYP, PT_PIN},
	{10, HOST, HYP, PT_UNPIN},
};

static uint32_t transition(const struct scn_own_body *b)
{
	for (unsigned i = 0; i < sizeof(transitions) / sizeof(transitions[0]); i++)
		if (transitions[i].kind == b->kind && transitions[i].from == kind_of(b->from) &&
		    transitions[i].to == kind_of(b->to))
			return transitions[i].of_lib;
	return 0;
}

/* The number of a guest. */
static enum pt_outcome guest_of(struct sc_world *w, uint16_t party, const struct sc_machine *m,
				uint32_t *guest)
{
	const struct sc_context *c = &w->context[party % SCN_MAX_CONTEXTS];

	*guest = 0;
	if (party >= SCN_MAX_CONTEXTS)
		return PT_OK;
	if (!c->live)
		return PT_NOT_FOUND;
	*guest = c->guest;
	return c->machine == m && &c->pt != m->owners->pt.host ? PT_OK : PT_INVALID;
}

static void transfer(struct sc_world *w, struct sc_machine *m, const struct scn_own_body *b,
		     struct scn_reply *reply)
{
	static struct pt_transfer t;
	struct pt_transfer_args args = {.owners = &m->owners->pt,
					.kind = transition(b),
					.pa = b->pa,
					.ipa = pt_ipa(b->ipa),
					.size = b->size,
					.prot = b->prot,
					.wipe = b->flags & SCN_OWN_ZERO,
					.validate_only = (b->flags & SCN_OWN_VALIDATE) != 0};
	uint16_t party = b->from < SCN_MAX_CONTEXTS ? b->from : b->to;
	struct pt_error error = {.code = guest_of(w, party, m, &args.guest),
				 .level = PT_TTL_UNKNOWN};

	if (error.code == PT_OK && run(w, &args, &t) != PT_OK)
		error = t.error;
	if (error.code == PT_OK)
		sc_take_effects(reply, &t.effects, NULL);
	else
		sc_fail(reply, &error);
}

/* Numbers of the parties of a lending, PT_NO_GUEST: the host. */
static enum pt_outcome lend_party(struct sc_world *w, uint16_t party, const struct sc_machine *m,
				  uint32_t *guest)
{
	enum pt_outcome o = guest_of(w, party, m, guest);

	if (party >= SCN_MAX_CONTEXTS)
		*guest = PT_NO_GUEST;
	return o;
}

static enum pt_outcome open_list(struct sc_world *w, struct sc_machine *m,
				 const struct scn_own_body *b, uint32_t who)
{
	struct pt_lend_list list = {.lender = who,
				    .borrowers = b->also == SCN_NONE ? 1 : 2,
				    .size = b->total ? b->total : b->size,
				    .wipe = b->flags & SCN_OWN_ZERO};
	enum pt_outcome o = lend_party(w, b->to, m, &list.borrower[0]);

	if (o == PT_OK && list.borrowers == 2)
		o = lend_party(w, b->also, m, &list.borrower[1]);
	return o == PT_OK ? pt_lend_open(&m->owners->pt, &list, &m->owners->lending[b->lending])
			  : o;
}

/* A list that does not come through with its first piece is gone, as a daemon has it. */
static void lend(struct sc_world *w, struct sc_machine *m, const struct scn_own_body *b,
		 struct scn_reply *reply)
{
	static const uint8_t kinds[] = {[4] = PT_LEND_PIECE,
					[5] = PT_LEND_RETRIEVE,
					[6] = PT_LEND_RELINQUISH,
					[7] = PT_LEND_RECLAIM};
	static struct pt_lend call;
	bool gives = b->kind == 4 || b->kind == 6,
	     begins = b->kind == 4 && !(b->flags & SCN_OWN_PIECE);
	struct pt_lend_args args = {.owners = &m->owners->pt,
				    .kind = kinds[b->kind],
				    .at = b->pa + b->ipa, /* one of them is 0 */
				    .size = b->size};
	enum pt_outcome o = lend_party(w, gives ? b->from : b->to, m, &args.who);

	if (o == PT_OK && begins)
		o = open_list(w, m, b, args.who);
	args.handle = m->owners->lending[b->lending];
	call.error = (struct pt_error){.code = o, .level = PT_TTL_UNKNOWN};
	if (o == PT_OK && run_lend(w, &args, &call) == PT_OK) {
		sc_take_effects(reply, &call.effects, NULL);
		return;
	}
	if (o == PT_OK && begins)
		pt_lend_expire(&m->owners->pt, args.handle);
	sc_fail(reply, &call.error);
}

static uint64_t party_of(struct sc_world *w, const struct sc_machine *m, const struct pt_owner *o)
{
	if (o->kind != PT_OWNER_GUEST)
		return o->kind == PT_OWNER_HOST ? SCN_PARTY_HOST : SCN_PARTY_HYP;
	for (uint32_t i = 0; i < SCN_MAX_CONTEXTS; i++)
		if (w->context[i].live && &w->context[i].pt == m->owners->guest[o->handle].ctx)
			return i;
	return SCN_PARTY_GUEST;
}

static void show(struct sc_world *w, struct sc_machine *m, uint64_t pa, struct scn_reply *reply)
{
	/* As files count them: PageState. */
	static const uint8_t state[PT_PAGE_STATES] = {
		[PT_PAGE_OWNED] = 1, [PT_PAGE_SHARED_OWNED] = 2, [PT_PAGE_LENT] = 4};
	struct pt_lending l = {0};
	struct pt_frame_record r;
	struct pt_extent e;
	uint32_t lent_to = 0;

	if (pa % 4096 || pa >= m->memory_bytes) {
		sc_fail(reply,
			&(struct pt_error){.code = pa % 4096 ? PT_MISALIGNED : PT_OUT_OF_RANGE,
					   .level = PT_TTL_UNKNOWN});
		return;
	}
	pt_section_begin(&w->agent);
	pt_extents_find(&m->owners->pt.extents, pa >> PT_OWNER_SHIFT, &e);
	r = pt_frames_get(&m->owners->pt.frames, pa);
	if (e.state == PT_PAGE_LENT)
		pt_lending_get(&m->owners->pt, e.meta, &l);
	pt_section_end(&w->agent);
	for (uint32_t i = 0; i < l.borrowers; i++)
		lent_to += l.borrower[i].has;
	scn_set_fact(reply, SCN_FACT_owner, party_of(w, m, &e.owner));
	scn_set_fact(reply, SCN_FACT_state, state[e.state]);
	scn_set_fact(reply, SCN_FACT_borrowers,
		     e.state == PT_PAGE_LENT ? lent_to
					     : r.shares + (r.hyp == PT_PAGE_SHARED_BORROWED) +
						       (r.host == PT_PAGE_SHARED_BORROWED));
}

void sc_own(struct sc_world *w, const struct scn_record *r, struct scn_reply *reply)
{
	struct sc_machine *m = &w->machine[r->body.own.machine];

	if (!m->live || !m->owners || !m->owners->pt.host)
		sc_fail(reply, &(struct pt_error){.code = m->live ? PT_WRONG_STATE : PT_NOT_FOUND,
						  .level = PT_TTL_UNKNOWN});
	else if (r->body.own.kind == SCN_OWN_SHOW)
		show(w, m, r->body.own.pa, reply);
	else if (r->body.own.kind >= 4 && r->body.own.kind <= 7)
		lend(w, m, &r->body.own, reply);
	else
		transfer(w, m, &r->body.own, reply);
}
