/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The runner: operations in order, stages with their time, expectations against what happened.
 *
 * A failed expectation does not end a run: the rest is still of interest. An operation that fails
 * though nobody expected it does, since what follows builds on it.
 */
#include "scenario_run.h"

#include <inttypes.h>
#include <pt/outcome.h>
#include <string.h>

struct runner {
	const struct scenario *scenario;
	const struct scn_target *target;
	struct scn_result *result;
	FILE *errors;
	struct scn_reply reply; /* of the operation before */
	struct scn_sums sums;
	struct scn_state state; /* of `state_of`, while nothing has changed it */
	uint32_t state_of;
	uint64_t digest[SCN_MAX_DIGESTS][2];
};

void scn_count_exit(struct scn_sums *sums, unsigned outcome)
{
	scn_count(sums, SCN_FACT_faults, 1);
	switch (outcome) {
	case PT_MAPPED: scn_count(sums, SCN_FACT_installed, 1); break;
	case PT_ALREADY_MAPPED: scn_count(sums, SCN_FACT_already_mapped, 1); break;
	case PT_RACED: scn_count(sums, SCN_FACT_raced, 1); break;
	case PT_RELAXED: scn_count(sums, SCN_FACT_relaxed, 1); break;
	case PT_MADE_YOUNG: scn_count(sums, SCN_FACT_made_young, 1); break;
	default: scn_count(sums, SCN_FACT_refused, 1); break;
	}
}

void scn_add_sums(struct scn_sums *a, const struct scn_sums *b)
{
	const unsigned most = SCN_FACT_max_exits - SCN_STAGE_FIRST;
	uint64_t largest = a->fact[most] > b->fact[most] ? a->fact[most] : b->fact[most];

	for (unsigned i = 0; i < SCN_SCOPE_FACTS; i++)
		a->fact[i] += b->fact[i];
	a->fact[most] = largest;
}

bool scn_is_failure(unsigned outcome)
{
	return outcome == PT_NO_SLOT || outcome == PT_READ_ONLY || outcome == PT_DENIED ||
	       outcome == PT_ABSENT || outcome == PT_PAGE_FAILED || outcome >= PT_NO_MEMORY;
}

static bool holds(const struct scn_expect_body *e, uint64_t got, uint64_t wanted)
{
	bool less = scn_fact_info(e->fact)->kind == SCN_KIND_LEVEL ? (int64_t)got < (int64_t)wanted
								   : got < wanted;

	switch (e->compare) {
	case SCN_EQ: return got == wanted;
	case SCN_NE: return got != wanted;
	case SCN_LT: return less;
	case SCN_LE: return less || got == wanted;
	case SCN_GT: return !less && got != wanted;
	default: return !less;
	}
}

bool scn_check_reply(const struct scn_record *expect, const struct scn_reply *reply,
		     struct scn_mismatch *mismatch)
{
	const struct scn_expect_body *e = &expect->body.expect;
	uint64_t wanted = e->constant;

	for (unsigned i = 0; i < e->terms; i++)
		wanted += reply->fact[e->term[i]];
	mismatch->got = reply->fact[e->fact];
	mismatch->wanted = wanted;
	return holds(e, mismatch->got, wanted);
}

void scn_check_inner(const struct scenario *scenario, uint32_t record,
		     const struct scn_reply *reply, struct scn_mismatch *first)
{
	const struct scn_record *r = scenario->records;
	struct scn_mismatch m;

	for (uint32_t i = record + 1; i < scenario->header.records; i++) {
		if (r[i].op != SCN_EXPECT || !(r[i].flags & SCN_F_PAR))
			break;
		m.record = i;
		if (!scn_check_reply(&r[i], reply, &m) && first->record == UINT32_MAX)
			*first = m;
	}
}

void scn_merge_reply(struct scn_reply *all, const struct scn_reply *one)
{
	static const uint16_t added[] = {SCN_FACT_leaves_written,
					 SCN_FACT_leaves_removed,
					 SCN_FACT_already,
					 SCN_FACT_holes,
					 SCN_FACT_blocks_split,
					 SCN_FACT_tables_added,
					 SCN_FACT_tables_freed,
					 SCN_FACT_tlbis,
					 SCN_FACT_annotated,
					 SCN_FACT_young,
					 SCN_FACT_old,
					 SCN_FACT_blocks_made};
	uint64_t sum[sizeof(added) / sizeof(added[0])];
	uint64_t exits = all->fact[SCN_FACT_exits];

	for (unsigned i = 0; i < sizeof(added) / sizeof(added[0]); i++)
		sum[i] = all->fact[added[i]] + one->fact[added[i]];
	if (!scn_is_failure((unsigned)all->fact[SCN_FACT_outcome]))
		*all = *one;
	for (unsigned i = 0; i < sizeof(added) / sizeof(added[0]); i++)
		all->fact[added[i]] = sum[i];
	if (exits > all->fact[SCN_FACT_exits])
		all->fact[SCN_FACT_exits] = exits;
}

bool scn_takes_part(const struct scn_record *r, uint32_t lane)
{
	if (r->op == SCN_EXPECT)
		return false;
	if (r->op != SCN_ACCESS)
		return true;
	switch (r->body.access.select) {
	case SCN_EVEN: return lane % 2 == 0;
	case SCN_ODD: return lane % 2 == 1;
	case SCN_ONE: return lane == r->body.access.vcpu;
	default: return true;
	}
}

/* A value as a line of a scenario would write it. */
static void print_value(const struct scenario *s, const struct scn_fact_info *f, uint64_t value,
			FILE *to)
{
	static const char *const fault[] = {"none",	   "address-size", "translation",
					    "access-flag", "permission",   "external"};
	const struct pt_outcome_info *info = pt_outcome_info((unsigned)value);

	if (f->kind == SCN_KIND_OUTCOME && info)
		fputs(info->name, to);
	else if (f->kind == SCN_KIND_FAULT && value < 6)
		fputs(fault[value], to);
	else if (f->kind == SCN_KIND_OWNER)
		fputs(scn_party_name(s, value), to);
	else if (f->kind == SCN_KIND_STATE)
		fputs(scn_state_name(value), to);
	else if (f->kind == SCN_KIND_TAKER)
		fputs(scn_taker_name(value), to);
	else if (f->kind == SCN_KIND_LEVEL)
		fprintf(to, "%" PRId64, (int64_t)value);
	else if (f->kind == SCN_KIND_PROT)
		fprintf(to, "%s%s%s%s", value & 1 ? "r" : "-", value & 2 ? "w" : "-",
			value & 4 ? "p" : "-", value & 8 ? "u" : "-");
	else if (value >> 32 || f->fact == SCN_FACT_pa || f->fact == SCN_FACT_data ||
		 f->fact == SCN_FACT_canonical)
		fprintf(to, "0x%" PRIx64, value);
	else
		fprintf(to, "%" PRIu64, value);
}

static void place(struct runner *r, const struct scn_record *at)
{
	fprintf(r->errors, "%s:%u:%u: ", scenario_string(r->scenario, r->scenario->header.source),
		at->line, at->column);
}

static void mismatch(struct runner *r, const struct scn_mismatch *m)
{
	const struct scn_record *at = &r->scenario->records[m->record];
	const struct scn_expect_body *e = &at->body.expect;
	const struct scn_fact_info *f = scn_fact_info(e->fact);

	r->result->mismatches++;
	r->result->verdict = SCN_FAILED;
	place(r, at);
	fprintf(r->errors, "expected %s%s", f->name, scn_compare_name(e->compare));
	for (unsigned i = 0; i < e->terms; i++)
		fprintf(r->errors, "%s%s", i ? "+" : "", scn_fact_info(e->term[i])->name);
	if (e->terms)
		fputs(" = ", r->errors);
	print_value(r->scenario, f, m->wanted, r->errors);
	fputs(", got ", r->errors);
	print_value(r->scenario, f, m->got, r->errors);
	fputc('\n', r->errors);
}

static bool lost(struct runner *r, const struct scn_record *at, const char *text)
{
	r->result->verdict = SCN_LOST;
	place(r, at);
	fprintf(r->errors, "%s\n", text[0] ? text : "the connection is lost");
	return false;
}

static bool get_state(struct runner *r, const struct scn_record *at)
{
	if (r->state_of == at->object)
		return true;
	r->state = (struct scn_state){0};
	if (!r->target->state(r->target->self, r->scenario, at->object, &r->state))
		return lost(r, at, r->state.text);
	r->state_of = at->object;
	return true;
}

static uint64_t value_of(const struct runner *r, unsigned fact)
{
	switch (scn_fact_info(fact)->scope) {
	case SCN_SCOPE_STATE: return r->state.fact[fact - SCN_STATE_FIRST];
	case SCN_SCOPE_STAGE: return r->sums.fact[fact - SCN_STAGE_FIRST];
	default: return r->reply.fact[fact];
	}
}

static bool speaks_of_state(const struct scn_expect_body *e)
{
	bool state = scn_fact_info(e->fact)->scope == SCN_SCOPE_STATE;

	for (unsigned i = 0; i < e->terms; i++)
		state |= scn_fact_info(e->term[i])->scope == SCN_SCOPE_STATE;
	return state;
}

/* Digests are 128 bits: equal or not is all that can be said. */
static void check_digest(struct runner *r, uint32_t record)
{
	const struct scn_record *at = &r->scenario->records[record];
	const struct scn_expect_body *e = &at->body.expect;
	const uint64_t *kept = r->digest[e->constant];
	bool same = kept[0] == r->state.digest[0] && kept[1] == r->state.digest[1];

	if (same == (e->compare == SCN_EQ))
		return;
	r->result->mismatches++;
	r->result->verdict = SCN_FAILED;
	place(r, at);
	fprintf(r->errors,
		"expected %s digest, got %016" PRIx64 "%016" PRIx64 ", kept %016" PRIx64
		"%016" PRIx64 "\n",
		e->compare == SCN_EQ ? "the same" : "another", r->state.digest[1],
		r->state.digest[0], kept[1], kept[0]);
}

static bool expect(struct runner *r, uint32_t record)
{
	const struct scn_record *at = &r->scenario->records[record];
	const struct scn_expect_body *e = &at->body.expect;
	struct scn_mismatch m = {.record = record, .wanted = e->constant};

	r->result->checks++;
	if (speaks_of_state(e) && !get_state(r, at))
		return false;
	if (e->fact == SCN_FACT_digest) {
		check_digest(r, record);
		return true;
	}
	for (unsigned i = 0; i < e->terms; i++)
		m.wanted += value_of(r, e->term[i]);
	m.got = value_of(r, e->fact);
	if (!holds(e, m.got, m.wanted))
		mismatch(r, &m);
	return true;
}

static bool keep_digest(struct runner *r, const struct scn_record *at)
{
	if (!get_state(r, at))
		return false;
	memcpy(r->digest[at->body.digest.slot], r->state.digest, sizeof(r->state.digest));
	return true;
}

static void end_stage(struct runner *r)
{
	struct scn_stage *s = &r->result->stage[r->result->stages];

	s->calls = scn_sum(&r->sums, SCN_FACT_calls);
	s->accesses = scn_sum(&r->sums, SCN_FACT_accesses);
	s->faults = scn_sum(&r->sums, SCN_FACT_faults);
	if (s->calls)
		r->result->stages++;
	r->sums = (struct scn_sums){0};
}

static void begin_stage(struct runner *r, const char *name)
{
	r->result->stage[r->result->stages] = (struct scn_stage){.name = name};
}

/* Expectations inside par were checked reply by reply. */
static void count_inner_checks(struct runner *r, uint32_t record)
{
	uint32_t end = record + scenario_extent(&r->scenario->records[record]);

	for (uint32_t i = record + 1; i < end; i++)
		r->result->checks += r->scenario->records[i].op == SCN_EXPECT;
	if (r->reply.mismatch.record != UINT32_MAX)
		mismatch(r, &r->reply.mismatch);
}

static bool operate(struct runner *r, uint32_t record)
{
	const struct scn_record *at = &r->scenario->records[record];
	unsigned outcome;

	r->reply = (struct scn_reply){.mismatch = {.record = UINT32_MAX}};
	r->state_of = UINT32_MAX;
	if (!r->target->run(r->target->self, r->scenario, record, &r->reply, &r->sums))
		return lost(r, at, r->reply.text);
	r->result->stage[r->result->stages].ns += r->reply.ns;
	count_inner_checks(r, record);
	outcome = (unsigned)r->reply.fact[SCN_FACT_outcome];
	if (at->flags & SCN_F_OUTCOME || !scn_is_failure(outcome))
		return true;
	r->result->verdict = SCN_FAILED;
	place(r, at);
	fprintf(r->errors, "%s failed: %s\n", scn_op_name(at->op), r->reply.text);
	return false;
}

static bool step(struct runner *r, uint32_t record)
{
	const struct scn_record *at = &r->scenario->records[record];

	switch (at->op) {
	case SCN_STAGE:
		end_stage(r);
		begin_stage(r, scenario_string(r->scenario, at->name));
		return true;
	case SCN_EXPECT: return expect(r, record);
	case SCN_DIGEST: return keep_digest(r, at);
	default: return operate(r, record);
	}
}

void scenario_run(const struct scenario *scenario, const struct scn_target *target,
		  struct scn_result *result, FILE *errors)
{
	struct runner r = {.scenario = scenario,
			   .target = target,
			   .result = result,
			   .errors = errors,
			   .state_of = UINT32_MAX};
	uint32_t i = 0;

	result->stages = 0;
	result->checks = 0;
	result->mismatches = 0;
	result->verdict = SCN_PASSED;
	begin_stage(&r, "setup");
	while (i < scenario->header.records && step(&r, i))
		i += scenario_extent(&scenario->records[i]);
	end_stage(&r);
}
