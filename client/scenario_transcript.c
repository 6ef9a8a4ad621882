/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenarios: an operation and its outcome as a line. */
#include "scenario_transcript.h"

#include <inttypes.h>
#include <pt/outcome.h>

static void own(const struct scenario *s, const struct scn_own_body *b, FILE *to)
{
	fprintf(to, "own %s", scn_own_name(b->kind, b->flags));
	if (b->kind >= 4 && b->kind <= 7) /* of lending */
		fprintf(to, " %u by %s", b->lending,
			scn_party_name(s, b->kind % 2 ? b->to : b->from));
	else if (b->kind != SCN_OWN_SHOW)
		fprintf(to, " %s to %s", scn_party_name(s, b->from), scn_party_name(s, b->to));
	if (b->pa || b->kind == SCN_OWN_SHOW || (b->size && !b->ipa))
		fprintf(to, " pa 0x%" PRIx64, b->pa);
	if (b->ipa)
		fprintf(to, " ipa 0x%" PRIx64, b->ipa);
}

static void operation(const struct scenario *s, const struct scn_record *r, FILE *to)
{
	static const char *const access[] = {"access", "read", "write", "exec", "at"};

	if (r->op == SCN_OWN) {
		own(s, &r->body.own, to);
		return;
	}
	fputs(r->op == SCN_ACCESS ? access[r->body.access.kind] : scn_op_name(r->op), to);
	if (r->op == SCN_MACHINE || r->op == SCN_CONTEXT || r->op == SCN_ENTER)
		fprintf(to, " %s", scenario_string(s, r->name));
	else if (r->object < s->header.contexts)
		fprintf(to, " %s", scn_party_name(s, r->object));
	if (r->op == SCN_ACCESS)
		fprintf(to, " ipa 0x%" PRIx64, r->body.access.ipa);
}

/* Names of states are PageState's. */
static void facts(const struct scenario *s, const struct scn_record *r,
		  const struct scn_reply *reply, FILE *to)
{
	uint64_t outcome = reply->fact[SCN_FACT_outcome];

	if (r->op == SCN_OWN && r->body.own.kind == SCN_OWN_SHOW && !scn_is_failure(outcome))
		fprintf(to, "%s, %s, borrowers %" PRIu64,
			scn_party_name(s, reply->fact[SCN_FACT_owner]),
			scn_state_name(reply->fact[SCN_FACT_state]),
			reply->fact[SCN_FACT_borrowers]);
	else
		fputs(pt_outcome_info((unsigned)outcome)->name, to);
}

/* Stages that began since the operation before. */
static void stages(struct scn_transcript *t, const struct scenario *s, uint32_t record)
{
	for (; t->next < record; t->next++)
		if (s->records[t->next].op == SCN_STAGE)
			fprintf(t->to, "stage %s\n", scenario_string(s, s->records[t->next].name));
	t->next = record + 1;
}

static bool run(void *self, const struct scenario *s, uint32_t record, struct scn_reply *reply,
		struct scn_sums *sums)
{
	struct scn_transcript *t = self;
	const struct scn_record *r = &s->records[record];
	bool ok;

	stages(t, s, record);
	ok = t->target.run(t->target.self, s, record, reply, sums);
	fprintf(t->to, "%5u  ", r->line);
	operation(s, r, t->to);
	fputs(": ", t->to);
	facts(s, r, reply, t->to);
	fputc('\n', t->to);
	return ok;
}

static bool state(void *self, const struct scenario *s, uint32_t context, struct scn_state *to)
{
	struct scn_transcript *t = self;

	return t->target.state(t->target.self, s, context, to);
}

struct scn_target scn_transcript_target(struct scn_transcript *transcript)
{
	return (struct scn_target){transcript, run, state};
}
