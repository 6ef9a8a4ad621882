/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Compiled scenarios at EL2: a list of files as `ptctl compile` writes them, one behind the other
 * on multiples of 8 bytes, stands in memory at REPLAY. Each is run by the client's own runner
 * against lib, judged by its expectations, brought to rest, and its descriptors go to the file
 * DUMP: for each scenario the number of contexts that live, then the contexts (scenario_dump.c).
 */
#include "scenario.h"
#include "stage2.h"

#include <pt/el2/console.h>
#include <pt/lending.h>

#define TABLE_BYTES (UINT64_C(64) << 20)
#define UNITS	    (TABLE_BYTES >> PT_POOL_UNIT_SHIFT)
#define FILE_MAX    (UINT64_C(1) << 24)

__attribute__((section(".region.tables"),
	       aligned(1 << 21))) static unsigned char tables[TABLE_BYTES];
static struct pt_pool_unit units[UNITS];
static struct sc_world world;

void sc_bail(const char *why, uint64_t value)
{
	printf("Bail out! %s: 0x%lx\n", why, (unsigned long)value);
	abort();
}

/* Operations end by themselves: there is one agent, and nobody holds a claim. */
#define RUN_TO_END(name, type, step)                                                               \
	enum pt_outcome name(struct sc_world *w, type *op)                                         \
	{                                                                                          \
		enum pt_outcome o;                                                                 \
                                                                                                   \
		do {                                                                               \
			pt_section_begin(&w->agent);                                               \
			o = step(op, &w->agent, STEP_VISITS);                                      \
			pt_section_end(&w->agent);                                                 \
		} while (o == PT_MORE);                                                            \
		if (o == PT_PARKED)                                                                \
			sc_bail("an operation waits for nobody", 0);                               \
		while (pt_reclaim(&w->agent))                                                      \
			continue;                                                                  \
		return o;                                                                          \
	}
RUN_TO_END(sc_run_txn, struct pt_txn, pt_txn_step)
RUN_TO_END(sc_run_upkeep, struct pt_upkeep, pt_upkeep_step)
RUN_TO_END(sc_run_lend, struct pt_lend, pt_lend_step)
RUN_TO_END(sc_run_transfer, struct pt_transfer, pt_transfer_step)
RUN_TO_END(sc_run_dirty, struct pt_dirty, pt_dirty_step)
RUN_TO_END(sc_run_shadow_end, struct pt_shadow_end, pt_shadow_end_step)
RUN_TO_END(sc_run_tlbi, struct pt_guest_tlbi_op, pt_guest_tlbi_step)

void sc_fail(struct scn_reply *reply, const struct pt_error *error)
{
	const struct pt_outcome_info *info = pt_outcome_info(error->code);

	scn_set_fact(reply, SCN_FACT_outcome, error->code);
	scn_set_fact(reply, SCN_FACT_errors, 1);
	scn_set_fact(reply, SCN_FACT_error_index, error->index);
	scn_set_fact(reply, SCN_FACT_error_ipa, error->ipa.v);
	scn_set_fact(reply, SCN_FACT_level, (uint64_t)(int64_t)error->level);
	snprintf(reply->text, sizeof(reply->text), "%s: IPA 0x%lx", info ? info->name : "?",
		 (unsigned long)error->ipa.v);
}

void sc_take_effects(struct scn_reply *reply, const struct pt_effects *e, struct scn_sums *sums)
{
	scn_set_fact(reply, SCN_FACT_leaves_written, e->leaves_written);
	scn_set_fact(reply, SCN_FACT_leaves_removed, e->leaves_removed);
	scn_set_fact(reply, SCN_FACT_already, e->already);
	scn_set_fact(reply, SCN_FACT_holes, e->holes);
	scn_set_fact(reply, SCN_FACT_blocks_split, e->blocks_split);
	scn_set_fact(reply, SCN_FACT_tables_added, e->tables_added);
	scn_set_fact(reply, SCN_FACT_tables_freed, e->tables_freed);
	scn_set_fact(reply, SCN_FACT_tlbis, e->tlbis);
	scn_set_fact(reply, SCN_FACT_annotated, e->annotated);
	if (!sums)
		return;
	scn_count(sums, SCN_FACT_written, e->leaves_written);
	scn_count(sums, SCN_FACT_removed, e->leaves_removed);
}

void sc_changed(struct sc_context *c, const struct pt_effects *e)
{
	if (e->leaves_written || e->leaves_removed || e->blocks_split || e->tables_added ||
	    e->tables_freed || e->annotated)
		atomic_fetch_add(&c->pt.generation, 1);
}

/* One vCPU's part of an operation that comes in numbers. */
struct lane {
	const struct scenario *scenario;
	struct sc_world *w;
	uint32_t index; /* vCPU; 0 outside par */
	bool par;
	struct scn_reply reply, *failure;
	struct scn_sums *sums;
	struct scn_mismatch *mismatch;
};

/* It is a cache: nobody changes it by hand. */
static void refuse_shadow(struct scn_reply *reply)
{
	sc_fail(reply, &(struct pt_error){.code = PT_WRONG_STATE, .level = PT_TTL_UNKNOWN});
}

static void run_one(struct lane *l, uint32_t record, uint64_t ipa, uint64_t pa)
{
	const struct scn_record *r = &l->scenario->records[record];
	struct scn_reply one = {.mismatch = {.record = UINT32_MAX}};
	uint32_t vcpu = l->par		      ? l->index
			: r->op == SCN_ACCESS ? r->body.access.vcpu
					      : r->body.fault.vcpu;
	bool failed;

	scn_count(l->sums, SCN_FACT_calls, 1);
	if (!l->w->context[r->object].live)
		sc_fail(&one, &(struct pt_error){.code = PT_NOT_FOUND, .level = PT_TTL_UNKNOWN});
	else if (r->op == SCN_ACCESS)
		sc_access(l->w, r, ipa, vcpu, &one, l->sums);
	else if (r->op == SCN_FAULT)
		sc_fault(l->w, r, vcpu, &one, l->sums);
	else if (r->op == SCN_TRANSLATE)
		sc_translate(l->w, r, &one);
	else if (l->w->context[r->object].canonical)
		refuse_shadow(&one);
	else
		sc_range(l->w, r, ipa, pa, &one, l->sums);
	failed = scn_is_failure((unsigned)one.fact[SCN_FACT_outcome]);
	if (failed)
		scn_count(l->sums, SCN_FACT_failed, 1);
	if (failed && l->failure && !(r->flags & SCN_F_OUTCOME) &&
	    !scn_is_failure((unsigned)l->failure->fact[SCN_FACT_outcome]))
		*l->failure = one;
	if (l->par)
		scn_check_inner(l->scenario, record, &one, l->mismatch);
	scn_merge_reply(&l->reply, &one);
}

static void run_record(struct lane *l, uint32_t record)
{
	const struct scn_record *r = &l->scenario->records[record];
	const struct scn_access_body *a = &r->body.access;
	const struct scn_map_body *m = &r->body.map;
	uint64_t at = 0, off;

	memset(&l->reply, 0, sizeof(l->reply));
	l->reply.mismatch.record = UINT32_MAX;
	if (r->op == SCN_ACCESS) {
		do
			run_one(l, record, a->ipa + l->index * a->lane_step + at, 0);
		while (!__builtin_add_overflow(at, a->step, &at) && at < a->size);
	} else if (r->op == SCN_FAULT || r->op == SCN_TRANSLATE) {
		run_one(l, record, r->body.fault.ipa, 0);
	} else {
		for (uint64_t i = 0; i < m->count; i++) {
			off = i * m->stride + l->index * m->lane_step;
			run_one(l, record, m->ipa + off, m->pa + (r->op == SCN_MAP ? off : 0));
		}
	}
}

/* One vCPU after the other: what may be expected of a par does not depend on who comes first. */
static void run_par(struct lane *l, uint32_t record, struct scn_reply *reply)
{
	const struct scn_record *r = &l->scenario->records[record];

	l->par = true;
	l->failure = reply;
	for (l->index = 0; l->index < r->body.group.lanes; l->index++)
		for (uint32_t i = 1; i <= r->body.group.records; i++)
			if (scn_takes_part(&r[i], l->index))
				run_record(l, record + i);
	reply->mismatch = *l->mismatch;
}

#define SMALLEST 12

/* While table pages are to run out nobody gets one: all of them are taken away, and put back. */
static void drain(struct sc_world *w, struct pt_pages *taken)
{
	struct pt_page page;

	pt_pool_flush_magazines(&w->agent);
	while (pt_pool_get(&w->agent, SMALLEST, &page) == PT_OK)
		pt_pages_push(&w->pt.pool, taken, page);
}

static bool changes_shadow(const struct sc_world *w, const struct scn_record *r)
{
	const struct sc_context *c = &w->context[r->object % SCN_MAX_CONTEXTS];

	return r->object < SCN_MAX_CONTEXTS && r->op != SCN_MACHINE &&
	       r->op != SCN_DELETE_MACHINE && r->op != SCN_CONTEXT && c->live && c->canonical;
}

static void operate(struct sc_world *w, const struct scenario *s, uint32_t record,
		    struct scn_reply *reply, struct scn_sums *sums)
{
	const struct scn_record *r = &s->records[record];
	struct scn_mismatch mismatch = {.record = UINT32_MAX};
	struct lane lane = {.scenario = s, .w = w, .sums = sums, .mismatch = &mismatch};

	if (r->op == SCN_PAR) {
		run_par(&lane, record, reply);
		return;
	}
	if (scn_is_series(r->op) || r->op == SCN_ACCESS || r->op == SCN_FAULT ||
	    r->op == SCN_TRANSLATE) {
		run_record(&lane, record);
		*reply = lane.reply;
		return;
	}
	scn_count(sums, SCN_FACT_calls, 1);
	if (r->op == SCN_OWN)
		sc_own(w, r, reply);
	else if (r->op >= SCN_TABLES && r->op <= SCN_GUEST_AT)
		sc_nested(w, r, reply);
	else if (changes_shadow(w, r))
		refuse_shadow(reply);
	else if (r->op != SCN_BATCH)
		sc_object(w, s, r, reply);
	else if (w->context[r->object].live)
		sc_batch(w, r, reply, sums);
	else
		sc_fail(reply, &(struct pt_error){.code = PT_NOT_FOUND, .level = PT_TTL_UNKNOWN});
	if (scn_is_failure((unsigned)reply->fact[SCN_FACT_outcome]))
		scn_count(sums, SCN_FACT_failed, 1);
}

static bool run(void *self, const struct scenario *s, uint32_t record, struct scn_reply *reply,
		struct scn_sums *sums)
{
	struct sc_world *w = self;
	bool starve = w->no_pages && s->records[record].op != SCN_DISARM;
	struct pt_pages taken = {0};

	if (starve)
		drain(w, &taken);
	operate(w, s, record, reply, sums);
	if (starve)
		pt_pool_give(&w->agent, SMALLEST, &taken);
	if (starve && w->no_pages != UINT32_MAX && reply->fact[SCN_FACT_outcome] == PT_NO_MEMORY)
		w->no_pages--;
	return true;
}

static void set_state(struct scn_state *state, enum scn_fact fact, uint64_t value)
{
	state->fact[fact - SCN_STATE_FIRST] = value;
}

static bool get_state(void *self, const struct scenario *s, uint32_t context,
		      struct scn_state *state)
{
	struct sc_world *w = self;
	struct sc_context *c = &w->context[context];
	uint64_t granule, all = 0;
	struct pt_digest d;

	(void)s;
	if (!c->live) {
		snprintf(state->text, sizeof(state->text), "the context does not live");
		return false;
	}
	granule = UINT64_C(1) << c->pt.geo.granule_shift;
	pt_section_begin(&w->agent);
	pt_digest_begin(&d, &c->pt);
	while (pt_digest_step(&d, STEP_VISITS) == PT_MORE)
		continue;
	pt_section_end(&w->agent);
	memcpy(state->digest, d.state, sizeof(state->digest));
	for (unsigned i = 0; i < PT_LEVELS; i++) {
		set_state(state, (enum scn_fact)(SCN_FACT_leaves_minus1 + i), d.leaves[i]);
		all += d.leaves[i];
	}
	set_state(state, SCN_FACT_leaves, all);
	set_state(state, SCN_FACT_tables,
		  d.tables + (c->pt.geo.start_bytes + granule - 1) / granule);
	set_state(state, SCN_FACT_table_pages, atomic_load(&c->pt.table_pages));
	set_state(state, SCN_FACT_generation, atomic_load(&c->pt.generation));
	sc_nested_state(c, state);
	return true;
}

/* One pool for all scenarios, which have to leave it as it was. */
static void open_world(void)
{
	world.port = (struct pt_port){
		.table_va = tables, .table_pa = (uintptr_t)tables, .table_bytes = TABLE_BYTES};
	pt_world_init(&world.pt);
	pt_pool_init(&world.pt.pool, &world.port, units, UNITS);
	if (pt_agent_join(&world.pt, &world.agent) != PT_OK)
		sc_bail("no agent", 0);
}

/* What lives goes to the file, and then away. */
static uint32_t close_scenario(int64_t file)
{
	uint64_t live = 0;

	for (uint32_t i = 0; i < SCN_MAX_CONTEXTS; i++)
		live += world.context[i].live;
	if (!pt_el2_file_write(file, &live, sizeof(live)))
		sc_bail("the file of descriptors cannot be written", 0);
	for (uint32_t i = 0; i < SCN_MAX_CONTEXTS; i++) {
		if (!world.context[i].live)
			continue;
		if (!world.context[i].canonical)
			sc_settle(&world, &world.context[i]);
		sc_dump(file, &world, i);
	}
	for (uint32_t i = SCN_MAX_MACHINES; i--;)
		if (world.machine[i].live)
			sc_delete_machine(&world, &world.machine[i]);
	while (pt_reclaim(&world.agent))
		continue;
	pt_pool_flush_magazines(&world.agent);
	if (atomic_load(&world.pt.pool.used_bytes))
		sc_bail("table pages are lost", atomic_load(&world.pt.pool.used_bytes));
	memset(world.machine, 0, sizeof(world.machine));
	memset(world.log, 0, sizeof(world.log));
	world.no_pages = 0;
	sc_forget_memory();
	return (uint32_t)live;
}

/* Returns whether all that it expects was so. */
static bool run_scenario(const unsigned char *bytes, uint64_t length, unsigned number, int64_t file)
{
	static struct scn_result result;
	const struct scn_target target = {&world, run, get_state};
	struct scenario scenario;
	uint32_t contexts;
	char why[160];

	if (!scenario_load(&scenario, bytes, length, why)) {
		printf("# a scenario %s\n", why);
		sc_bail("not a compiled scenario", number);
	}
	scenario_run(&scenario, &target, &result, stderr);
	contexts = close_scenario(file);
	printf("%sok %u - %s: %u expectations, %u contexts\n",
	       result.verdict == SCN_PASSED ? "" : "not ", number,
	       scenario_string(&scenario, scenario.header.source), result.checks, contexts);
	return result.verdict == SCN_PASSED;
}

int main(void)
{
	const char *given = getenv("REPLAY");
	const unsigned char *at =
		(const unsigned char *)(uintptr_t)(given ? strtoull(given, NULL, 0) : 0);
	unsigned number = 0, failed = 0;
	struct scn_header header;
	int64_t file;

	if (!at)
		sc_bail("no REPLAY=address", 0);
	given = getenv("DUMP");
	file = given ? pt_el2_file_create(given, strlen(given)) : -1;
	if (file < 0)
		sc_bail("no DUMP=file that can be written", (uint64_t)file);
	open_world();
	for (;; at += (header.total_bytes + 7) & ~UINT64_C(7)) {
		memcpy(&header, at, sizeof(header));
		if (header.magic != SCN_MAGIC)
			break;
		if (header.total_bytes > FILE_MAX)
			sc_bail("a scenario is too long", header.total_bytes);
		failed += !run_scenario(at, header.total_bytes, ++number, file);
	}
	printf("1..%u\n# compared with the CPU: %lu\n", number, (unsigned long)world.compared);
	if (!s2_say_checked())
		sc_bail("the checker had no room for something", 0);
	return failed || !number;
}
