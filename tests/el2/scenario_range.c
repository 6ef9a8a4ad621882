/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenarios at EL2: operations on ranges, one by one and in batches. */
#include "scenario.h"

/* ptd.v1.BatchMode */
#define BATCH_ATOMIC 1
#define BATCH_STOP   2

static struct pt_txn txn;

/* Where the granule would have let it begin. */
static void name_neighbours(struct scn_reply *reply, const struct pt_item *item)
{
	uint64_t unit = UINT64_C(1) << item->ctx->geo.granule_shift;
	uint64_t wrong = item->ipa.v % unit  ? item->ipa.v
			 : item->size % unit ? item->size
					     : item->pa.v;

	scn_set_fact(reply, SCN_FACT_nearest_below, wrong - wrong % unit);
	scn_set_fact(reply, SCN_FACT_nearest_above, wrong - wrong % unit + unit);
}

static enum pt_outcome check(const struct pt_item *item, struct scn_reply *reply,
			     struct pt_error *error)
{
	enum pt_outcome o = pt_item_check(item);

	if (o == PT_OK)
		return o;
	*error = (struct pt_error){.code = o, .ipa = item->ipa, .level = PT_TTL_UNKNOWN};
	if (o == PT_MISALIGNED)
		name_neighbours(reply, item);
	return o;
}

static enum pt_outcome run_txn(struct sc_world *w, struct pt_item *items, uint32_t count,
			       bool validate, struct pt_effects *effects, struct pt_error *error)
{
	enum pt_outcome o = pt_txn_init(&txn, items, count, 0, validate, NULL);

	*error = (struct pt_error){.code = o, .level = PT_TTL_UNKNOWN};
	if (o != PT_OK)
		return o;
	txn.quiet = true;
	o = sc_run_txn(w, &txn);
	pt_effects_add(effects, &txn.effects);
	*error = txn.error;
	return o;
}

/* As a point operation, if it is one and nothing more is asked for. A checked item. */
static enum pt_outcome run_item(struct sc_world *w, struct pt_item *item, bool point, bool validate,
				struct pt_effects *effects, struct pt_error *error)
{
	enum pt_outcome o = PT_MORE;

	if (point && !validate) {
		pt_section_begin(&w->agent);
		pt_machine_use(item->ctx->machine, &w->agent);
		o = pt_point(&w->agent, item, effects, error);
		pt_section_end(&w->agent);
	}
	if (o != PT_MORE)
		return pt_is_error(o) ? o : PT_OK;
	return run_txn(w, item, 1, validate, effects, error);
}

static struct pt_item item_of(struct sc_world *w, const struct scn_record *r, uint64_t ipa,
			      uint64_t pa)
{
	const struct scn_map_body *b = &r->body.map;
	bool map = r->op == SCN_MAP, has_pa = map || r->op == SCN_ANNOTATE;
	bool has_prot = map || r->op == SCN_PROTECT || r->op == SCN_RELAX;

	return (struct pt_item){.ctx = &w->context[r->object].pt,
				.ipa = pt_ipa(ipa),
				.size = b->size,
				.pa = pt_pa(has_pa ? pa : 0),
				.prot = has_prot ? b->prot : 0,
				.flags = map ? b->flags & ~SCN_MAP_VALIDATE : 0,
				.kind = scn_item_kind(r->op)};
}

static void change(struct sc_world *w, const struct scn_record *r, uint64_t ipa, uint64_t pa,
		   struct scn_reply *reply, struct scn_sums *sums)
{
	bool point = r->op <= SCN_PROTECT || r->op == SCN_WRPROTECT;
	bool validate = (r->body.map.flags & SCN_MAP_VALIDATE) != 0;
	struct sc_context *c = &w->context[r->object];
	struct pt_item item = item_of(w, r, ipa, pa);
	struct pt_effects effects = {0};
	struct pt_error error = {.level = PT_TTL_UNKNOWN};
	enum pt_outcome o = check(&item, reply, &error);

	if (o == PT_OK)
		o = run_item(w, &item, point, validate, &effects, &error);
	if (o != PT_OK) {
		sc_fail(reply, &error);
		return;
	}
	scn_set_fact(reply, SCN_FACT_outcome, item.outcome);
	sc_take_effects(reply, &effects, sums);
	if (!validate)
		sc_changed(c, &effects);
}

/* AGE, SPLIT and COLLAPSE: no explicit change, and so none that counts. */
static void keep_up(struct sc_world *w, const struct scn_record *r, uint64_t ipa,
		    struct scn_reply *reply, struct scn_sums *sums)
{
	static struct pt_upkeep u;
	const struct scn_map_body *b = &r->body.map;
	struct pt_upkeep_args args = {.ctx = &w->context[r->object].pt,
				      .kind = r->op - SCN_AGE + PT_UPKEEP_AGE,
				      .ipa = pt_ipa(ipa),
				      .size = b->size};
	enum pt_outcome o;

	if (r->op == SCN_AGE)
		args.clear = (b->flags & SCN_AGE_CLEAR) != 0;
	if (r->op == SCN_SPLIT) {
		args.level = (int8_t)(b->prot ? (int)b->prot - 2 : PT_LEVEL_LAST);
		args.page_budget = b->pa;
	}
	o = pt_upkeep_init(&u, &args, NULL);
	if (o == PT_OK)
		o = sc_run_upkeep(w, &u);
	if (o != PT_OK) {
		sc_fail(reply,
			&(struct pt_error){.code = o, .ipa = args.ipa, .level = PT_TTL_UNKNOWN});
		return;
	}
	scn_set_fact(reply, SCN_FACT_next_ipa, u.next);
	if (r->op == SCN_AGE) {
		scn_set_fact(reply, SCN_FACT_young, u.young);
		scn_set_fact(reply, SCN_FACT_old, u.old);
		return;
	}
	sc_take_effects(reply, &u.effects, sums);
	if (r->op == SCN_COLLAPSE)
		scn_set_fact(reply, SCN_FACT_blocks_made, u.blocks_made);
}

void sc_range(struct sc_world *w, const struct scn_record *r, uint64_t ipa, uint64_t pa,
	      struct scn_reply *reply, struct scn_sums *sums)
{
	if (scn_item_kind(r->op))
		change(w, r, ipa, pa, reply, sums);
	else
		keep_up(w, r, ipa, reply, sums);
}

/* A batch under way. */
struct batch {
	struct pt_item *item;
	uint32_t *index; /* of item[k] in the scenario */
	uint32_t count, applied, errors;
	struct pt_effects effects;
	struct pt_error first; /* of the errors */
};

/* ATOMIC wants its items in order of address. */
static void insert(struct batch *b, struct pt_item item, bool sorted)
{
	uint32_t at = b->count++;

	for (; sorted && at && b->item[at - 1].ipa.v > item.ipa.v; at--) {
		b->item[at] = b->item[at - 1];
		b->index[at] = b->index[at - 1];
	}
	b->item[at] = item;
	b->index[at] = b->count - 1;
}

static void fill(struct sc_world *w, struct batch *b, const struct scn_record *r, bool sorted)
{
	for (uint32_t i = 1; i <= r->body.group.records; i++) {
		const struct scn_map_body *m = &r[i].body.map;

		for (uint32_t k = 0; k < m->count; k++)
			insert(b,
			       item_of(w, &r[i], m->ipa + k * m->stride,
				       m->pa + (r[i].op == SCN_MAP ? k * m->stride : 0)),
			       sorted);
	}
}

static void note_error(struct batch *b, const struct pt_error *error, uint32_t at)
{
	if (b->errors++)
		return;
	b->first = *error;
	b->first.index = b->index[at];
}

static void run_atomic(struct sc_world *w, struct batch *b, bool validate, struct scn_reply *reply)
{
	struct pt_error error;

	for (uint32_t i = 0; i < b->count; i++)
		if (check(&b->item[i], reply, &error) != PT_OK) {
			note_error(b, &error, i);
			return;
		}
	if (run_txn(w, b->item, b->count, validate, &b->effects, &error) == PT_OK)
		b->applied = b->count;
	else
		note_error(b, &error, error.index);
}

static void run_singly(struct sc_world *w, struct batch *b, bool validate, bool stop,
		       struct scn_reply *reply)
{
	for (uint32_t i = 0; i < b->count && !(stop && b->errors); i++) {
		struct pt_error error = {.level = PT_TTL_UNKNOWN};
		enum pt_outcome o = check(&b->item[i], reply, &error);

		if (o == PT_OK)
			o = run_item(w, &b->item[i], true, validate, &b->effects, &error);
		error.ipa = b->item[i].ipa;
		if (o == PT_OK)
			b->applied++;
		else
			note_error(b, &error, i);
	}
}

/* An atomic batch that fails is a call that fails; of others the errors are data. */
static void tell_batch(const struct batch *b, bool atomic, struct scn_reply *reply,
		       struct scn_sums *sums)
{
	if (b->errors && atomic) {
		sc_fail(reply, &b->first);
		return;
	}
	sc_take_effects(reply, &b->effects, sums);
	scn_set_fact(reply, SCN_FACT_applied, b->applied);
	scn_set_fact(reply, SCN_FACT_errors, b->errors);
	if (!b->errors)
		return;
	scn_set_fact(reply, SCN_FACT_outcome, b->first.code);
	scn_set_fact(reply, SCN_FACT_error_index, b->first.index);
	scn_set_fact(reply, SCN_FACT_error_ipa, b->first.ipa.v);
}

void sc_batch(struct sc_world *w, const struct scn_record *r, struct scn_reply *reply,
	      struct scn_sums *sums)
{
	bool validate = (r->body.group.flags & SCN_MAP_VALIDATE) != 0;
	bool atomic = r->body.group.mode == BATCH_ATOMIC;
	struct batch b = {0};
	uint32_t n = 0;

	for (uint32_t i = 1; i <= r->body.group.records; i++)
		n += r[i].body.map.count;
	b.item = malloc(n * sizeof(b.item[0]));
	b.index = malloc(n * sizeof(b.index[0]));
	if (!b.item || !b.index)
		sc_bail("no memory for a batch", n);
	fill(w, &b, r, atomic);
	if (atomic)
		run_atomic(w, &b, validate, reply);
	else
		run_singly(w, &b, validate, r->body.group.mode == BATCH_STOP, reply);
	tell_batch(&b, atomic, reply, sums);
	if (!validate)
		sc_changed(&w->context[r->object], &b.effects);
}
