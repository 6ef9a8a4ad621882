/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where effects are seen: each handler is called through a wrapper, and the linker puts these
 * functions in the place of lib's (--wrap). The simulation being sequential, the order of these
 * calls is the order of effects.
 */
#include "sim.h"

#include "domain_types.h"
#include "stream.h"

#include <stdlib.h>
#include <string.h>

#define METHODS	     128
#define TRANSACTIONS 256

/* Transactions that have committed and still write. */
struct busy {
	const struct pt_txn *txn;
	uint64_t context;
	uint32_t items;
	struct item item[SIM_ITEMS];
	enum pt_outcome expected[SIM_ITEMS];
	bool loose[SIM_ITEMS];
};

struct deferred {
	struct deferred *next;
	struct pt_rcu_head *head;
	void (*free_fn)(struct pt_rcu_head *);
};

static struct method methods[METHODS];
static struct busy busy[TRANSACTIONS];
static struct deferred *deferred;

/* ---- handlers ---- */

static const struct method *original(const struct call *call)
{
	const char *path = ((const struct stream *)(const void *)call)->route->method.path;
	size_t i = 0;

	while (domain_methods[i].path != path)
		i++;
	return &domain_methods[i];
}

static enum call_result through(struct call *call, call_handler *handler)
{
	struct exec *exec = oracle_call(call);
	enum call_result result;

	if (exec)
		oracle_begin(sim_running, exec, call);
	result = handler(call);
	if (exec)
		oracle_pause(sim_running, exec, result);
	if (exec && result == CALL_DONE)
		oracle_end(sim_running, exec, call);
	return result;
}

static enum call_result run(struct call *call)
{
	return through(call, original(call)->run);
}

static enum call_result abandon(struct call *call)
{
	const struct exec *exec = oracle_call(call);

	sim_running->stats.undone += exec && exec->in_message;
	return through(call, original(call)->abandon);
}

static enum call_result look(struct call *call)
{
	return through(call, original(call)->look);
}

const struct method *hooks_methods(void)
{
	for (size_t i = 0; domain_methods[i].path; i++) {
		if (i == METHODS - 1)
			abort();
		methods[i] = domain_methods[i];
		methods[i].run = run;
		if (methods[i].abandon)
			methods[i].abandon = abandon;
		if (methods[i].look)
			methods[i].look = look;
	}
	return methods;
}

/* ---- lib ---- */

static struct item item_of(const struct pt_item *item)
{
	return (struct item){.ipa = item->ipa.v,
			     .size = item->size,
			     .pa = item->pa.v,
			     .kind = item->kind,
			     .prot = item->prot,
			     .flags = item->flags};
}

enum pt_outcome __real_pt_point(struct pt_agent *agent, struct pt_item *item,
				struct pt_effects *effects, struct pt_error *err);
enum pt_outcome __wrap_pt_point(struct pt_agent *agent, struct pt_item *item,
				struct pt_effects *effects, struct pt_error *err);
enum pt_outcome __wrap_pt_point(struct pt_agent *agent, struct pt_item *item,
				struct pt_effects *effects, struct pt_error *err)
{
	enum pt_outcome o = __real_pt_point(agent, item, effects, err);
	struct item plain = item_of(item);

	if (!pt_is_control(o) && o != PT_RACED)
		oracle_item(sim_running, &plain, item->ctx, o);
	return o;
}

uint32_t __real_pt_points(struct pt_agent *agent, struct pt_item *item, uint32_t count,
			  struct pt_effects *effects);
uint32_t __wrap_pt_points(struct pt_agent *agent, struct pt_item *item, uint32_t count,
			  struct pt_effects *effects);
uint32_t __wrap_pt_points(struct pt_agent *agent, struct pt_item *item, uint32_t count,
			  struct pt_effects *effects)
{
	uint32_t done = __real_pt_points(agent, item, count, effects);

	for (uint32_t i = 0; i < done; i++) {
		struct item plain = item_of(&item[i]);

		oracle_item(sim_running, &plain, item[i].ctx, (enum pt_outcome)item[i].outcome);
	}
	return done;
}

static struct busy *busy_of(const struct pt_txn *txn)
{
	for (uint32_t i = 0; i < TRANSACTIONS; i++)
		if (busy[i].txn == txn)
			return &busy[i];
	return NULL;
}

/* The commit point: this is when the items take effect. */
static void commit(const struct pt_txn *txn)
{
	struct busy *b = busy_of(NULL);

	if (!b || txn->count > SIM_ITEMS)
		abort();
	*b = (struct busy){.txn = txn, .context = txn->item[0].ctx->scope, .items = txn->count};
	if (paged_has(txn->item[0].ipa.v)) {
		oracle_slot(sim_running, txn->item[0].ctx, txn->generation);
		return;
	}
	for (uint32_t i = 0; i < txn->count; i++) {
		b->item[i] = item_of(&txn->item[i]);
		b->expected[i] =
			oracle_commit(sim_running, &b->item[i], txn->item[0].ctx, &b->loose[i]);
	}
}

static void ended(const struct pt_txn *txn, enum pt_outcome o)
{
	struct busy *b = busy_of(txn);

	if (paged_has(txn->item[0].ipa.v)) {
		oracle_slot_done(sim_running, txn->item[0].ctx);
		if (b)
			b->txn = NULL;
		return;
	}
	if (o != PT_OK) {
		struct item plain = item_of(&txn->item[txn->error.index % txn->count]);

		oracle_refused(sim_running, &plain, txn->item[0].ctx, o);
		return;
	}
	for (uint32_t i = 0; i < txn->count; i++) {
		struct item plain = item_of(&txn->item[i]);

		oracle_done(sim_running, &plain, txn->item[0].ctx,
			    (enum pt_outcome)txn->item[i].outcome, b ? b->expected[i] : PT_INTERNAL,
			    b && b->loose[i], txn->validate_only);
	}
	if (b)
		b->txn = NULL;
}

enum pt_outcome __real_pt_txn_step(struct pt_txn *txn, struct pt_agent *agent, uint32_t budget);
enum pt_outcome __wrap_pt_txn_step(struct pt_txn *txn, struct pt_agent *agent, uint32_t budget);
enum pt_outcome __wrap_pt_txn_step(struct pt_txn *txn, struct pt_agent *agent, uint32_t budget)
{
	bool was = pt_txn_committed(txn);
	enum pt_outcome o;

	if (txn->teardown) {
		oracle_dying(sim_running, txn->whole.ctx, false);
		o = __real_pt_txn_step(txn, agent, budget);
		if (o == PT_OK)
			oracle_dying(sim_running, txn->whole.ctx, true);
		return o;
	}
	o = __real_pt_txn_step(txn, agent, budget);
	if (!was && pt_txn_committed(txn))
		commit(txn);
	if (!pt_is_control(o))
		ended(txn, o);
	return o;
}

bool hooks_busy(uint64_t context, uint64_t ipa)
{
	for (uint32_t i = 0; i < TRANSACTIONS; i++)
		for (uint32_t k = 0; busy[i].txn && k < busy[i].items; k++)
			if (busy[i].context == context && ipa >= busy[i].item[k].ipa &&
			    ipa - busy[i].item[k].ipa < busy[i].item[k].size)
				return true;
	return false;
}

/* ---- the registry ---- */

void __real_context_retire(struct context *context);
void __wrap_context_retire(struct context *context);
void __wrap_context_retire(struct context *context)
{
	oracle_retire(sim_running, context->handle);
	__real_context_retire(context);
}

void __real_machine_retire(struct machine *machine);
void __wrap_machine_retire(struct machine *machine);
void __wrap_machine_retire(struct machine *machine)
{
	oracle_retire(sim_running, machine->handle);
	__real_machine_retire(machine);
}

/* ---- grace periods: an event of the simulation instead of liburcu's thread ---- */

void __wrap_pt_rcu_call(struct pt_rcu_head *head, void (*free_fn)(struct pt_rcu_head *));
void __wrap_pt_rcu_call(struct pt_rcu_head *head, void (*free_fn)(struct pt_rcu_head *))
{
	struct deferred *d = malloc(sizeof(*d));

	if (!d)
		abort();
	*d = (struct deferred){deferred, head, free_fn};
	deferred = d;
}

void hooks_rcu(void)
{
	while (deferred) {
		struct deferred *d = deferred;

		deferred = d->next;
		d->free_fn(d->head);
		free(d);
	}
}

void __wrap_pt_rcu_barrier(void);
void __wrap_pt_rcu_barrier(void)
{
	hooks_rcu();
}

void hooks_reset(void)
{
	memset(busy, 0, sizeof(busy));
	hooks_rcu();
}

/* ---- failpoints, to be counted ---- */

struct reply_failure __real_domain_reply_fate(struct call *call);
struct reply_failure __wrap_domain_reply_fate(struct call *call);
struct reply_failure __wrap_domain_reply_fate(struct call *call)
{
	struct reply_failure failure = __real_domain_reply_fate(call);

	if (failure.fate != REPLY_SEND)
		sim_running->stats.fault[FAULT_REPLY_DROP + failure.fate - REPLY_DROP]++;
	return failure;
}
