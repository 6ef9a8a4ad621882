/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The search: every run of a case with at most so many preemptions and delayed stores.
 *
 * A run is played from the first state by a list of decisions; what the list does not say takes the
 * first option. Depth first, the last decision that has another option left is changed and the case
 * is played again; where runs are long, from the last snapshot before that decision. Three kinds of
 * decision:
 *
 *   switch   before an event on a shared location: go on, or let another agent go on (a preemption;
 *            free when the agent cannot go on itself, has ended or waits)
 *   hold     at a store to a shared location: visible at once, or held back (a delay)
 *   drain    where an agent passes a location for which another holds a store: still held, or
 *            visible from now on
 *
 * What keeps it small, without losing a run that matters:
 *
 *   Shared locations. A switch makes a difference only before an event that another agent's events
 *   can conflict with (shared.c). When a run finds a new one, the search begins again with it.
 *
 *   Sleep. Who was preempted does not go on before another has done something on which its next
 *   step may depend (sleep.c): it could have made that step first, for no more preemptions. So it
 *   sleeps only where that was an option that cost nothing: who waits for its turn otherwise does
 *   not.
 *
 *   States. A decision that is reached in a state (memory, buffers, what every agent has read, what
 *   the runtime checker knows is owed and met, who runs, who sleeps) from which the search has gone
 *   on before, with as many preemptions and delays left and nobody else asleep, is not gone on from
 *   again. States are compared by 64 bits. Where there is but one way on, only some are looked up.
 *
 * Where all runs within the bound are good, that is all. Else the bound rises one by one, so that
 * the first failure has as few preemptions as any, as it does where the time may run out.
 */
#include "iv.h"
#include "world.h"

#include <port/host/trace.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DECISIONS    8192
#define OPTIONS	     (IV_FIBRES + 1)
#define EVENTS_LIMIT 200000
#define REFERENCES   128
#define SPAN	     64 /* events from one snapshot to the next */
#define SPARSE	     4	/* of points with one way on, one in so many is looked up */

enum kind { SWITCH, HOLD, DRAIN };
static const char kind_letter[] = ">hd";

struct decision {
	uint32_t event;
	uint8_t kind, count, at;
	uint8_t option[OPTIONS];
	uint8_t preempts[OPTIONS], delays[OPTIONS];
};

enum state { READY, ON_LOCK, ON_FLAG, ON_WRITE, ENDED };

/* Of an agent. */
struct progress {
	enum state state;
	const volatile void *at; /* what it waits for */
	unsigned page;		 /* from which it has just read what nobody changes; 0: none */
	unsigned points;	 /* that it has come to */
};

/* How a run is driven. */
enum mode { SEARCH, ORDER, REPLAY };

static struct {
	enum mode mode;
	const struct iv_case *c;
	unsigned self, agents;
	struct progress fibre[IV_FIBRES];
	uint64_t event;
	unsigned points;

	struct decision path[DECISIONS];
	unsigned depth, cursor;
	unsigned preemptions, delays; /* left in this run */
	bool playing, grown, pruned, failed, ended;
	unsigned resumed; /* who slept: in so many decisions it is audited */
	jmp_buf over;
	struct iv_verdict verdict;
	char text[256];

	const uint8_t *order;	  /* ORDER: who does the next operation */
	struct decision told[64]; /* REPLAY */
	unsigned tells;
	bool tracing;

	const struct iv_limits *limits; /* SEARCH */
	struct iv_result *result;
	struct iv_verdict reference[REFERENCES];
	unsigned references;
} x = {.self = IV_NOBODY};

/* A copy, for snapshots, of what a run changes there. */
static struct {
	struct progress fibre[IV_FIBRES];
	uint64_t event;
	unsigned self, points, resumed;
} halfway IV_RUN;

const struct iv_case *iv_case_now;

unsigned iv_self(void)
{
	return x.self;
}

bool iv_is_shared(const volatile void *at)
{
	return iv_shared_word(at) || (x.limits && x.limits->naive);
}

static bool sleeps(void)
{
	return x.mode == SEARCH && !x.limits->naive;
}

/* Who sleeps counts for the search alone. */
static unsigned sleepers(void)
{
	return sleeps() && !x.limits->audit ? iv_asleep() : 0;
}

static bool enabled(unsigned f)
{
	switch (x.fibre[f].state) {
	case READY: return true;
	case ON_LOCK:
		return !*(const volatile uint8_t *)x.fibre[f].at ||
		       iv_memory_pending(x.fibre[f].at);
	case ON_FLAG: return *(const volatile uint32_t *)x.fibre[f].at;
	case ON_WRITE: return iv_memory_woken(f);
	case ENDED: break;
	}
	return false;
}

static uint64_t state_key(const struct decision *d)
{
	uint64_t key = iv_mix(iv_memory_hash(), iv_tlb_hash()) + iv_world_hash();

	key = iv_mix(key, iv_watch_hash());
	for (unsigned f = 0; f < x.agents; f++)
		key = iv_mix(key, x.fibre[f].state * 2u + enabled(f));
	return iv_mix(key, x.self * 64 + d->kind * 16 + (d->kind == DRAIN ? d->option[1] : 0));
}

/* ---- decisions ---- */

static _Noreturn void stop(void)
{
	x.self = IV_NOBODY;
	_longjmp(x.over, 1);
}

static _Noreturn void prune(void)
{
	x.pruned = true;
	stop();
}

void iv_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(x.text, sizeof(x.text), format, args);
	va_end(args);
	if (!x.playing) {
		fprintf(stderr, "interleave: %s\n", x.text);
		abort();
	}
	x.failed = true;
	if (x.tracing)
		printf("# %6llu  agent %u: FAILS: %s\n", (unsigned long long)x.event, x.self,
		       x.text);
	stop();
}

static unsigned told(const struct decision *d)
{
	for (unsigned i = 0; i < x.tells; i++)
		if (x.told[i].event == d->event && x.told[i].kind == d->kind)
			for (unsigned k = 0; k < d->count; k++)
				if (d->option[k] == x.told[i].option[0])
					return k;
	return 0;
}

static void pay(const struct decision *d)
{
	x.preemptions -= d->preempts[d->at];
	x.delays -= d->delays[d->at];
}

static bool affordable(const struct decision *d, unsigned k)
{
	return d->preempts[k] <= x.preemptions && d->delays[k] <= x.delays;
}

/* Which those are is a function of the state, so that two runs that meet notice. */
static bool is_looked_up(const struct decision *d)
{
	if (x.limits->naive)
		return false;
	return d->count > 1 || x.limits->audit || x.fibre[x.self].points % SPARSE == 0;
}

/* The decision that the run has come to, which is in the path. A run that comes far from where the
 * last snapshot was taken goes home for another; one that is resumed goes on here. */
static unsigned take(void)
{
	const struct iv_mark *last = iv_snapshot_last();
	const struct decision *d;

	if (x.self != IV_NOBODY && !x.limits->whole && x.event >= (last ? last->event : 0) + SPAN)
		iv_fibre_switch(x.self, IV_NOBODY);
	d = &x.path[x.cursor++];
	pay(d);
	return d->option[d->at];
}

/* Who slept has gone on and comes to a second decision; the run in which its step came before has
 * no decision at the first. */
static void audit(void)
{
	if (enabled(x.self) && !--x.resumed && !x.grown)
		iv_fail("who slept comes to a state that has not been seen");
}

static unsigned choose(struct decision *d)
{
	d->event = (uint32_t)x.event;
	if (x.mode == REPLAY)
		return d->option[told(d)];
	if (x.mode == ORDER)
		return d->option[0];
	if (x.cursor < x.depth && d->count == 1)
		return d->option[0];
	if (x.cursor < x.depth) {
		const struct decision *p = &x.path[x.cursor];

		if (p->event != d->event || p->kind != d->kind || p->count != d->count) {
			fprintf(stderr, "interleave: a run did not repeat itself\n");
			abort();
		}
		return take();
	}
	if (is_looked_up(d) && iv_states_seen(state_key(d), sleepers(), x.preemptions, x.delays))
		prune();
	if (x.resumed && d->kind == SWITCH)
		audit();
	if (d->count == 1)
		return d->option[0];
	if (x.depth == DECISIONS)
		iv_fail("more decisions than the search has room for");
	x.path[x.depth++] = *d;
	return take();
}

static void add_option(struct decision *d, unsigned option, bool preempts, bool delays)
{
	d->option[d->count] = (uint8_t)option;
	d->preempts[d->count] = preempts;
	d->delays[d->count++] = delays;
}

bool iv_choose_hold(void)
{
	struct decision d = {.kind = HOLD};

	if (x.mode == ORDER || (x.mode == SEARCH && !x.delays))
		return false;
	add_option(&d, 0, false, false);
	add_option(&d, 1, false, true);
	return choose(&d);
}

bool iv_choose_drain(unsigned whose)
{
	struct decision d = {.kind = DRAIN};

	add_option(&d, 0, false, false);
	add_option(&d, whose + 1, false, false);
	return choose(&d);
}

static void go_to(unsigned f)
{
	unsigned from = x.self;

	if (f == from)
		return;
	if (x.tracing)
		printf("# %6llu  ---- agent %u goes on\n", (unsigned long long)x.event, f);
	x.self = f;
	iv_fibre_switch(from, f);
}

/* Nobody can go on as things are: what is held back comes out; else the run has ended, or is stuck.
 */
static void nobody(void)
{
	bool over = true;

	for (unsigned f = 0; f < x.agents; f++)
		over &= x.fibre[f].state == ENDED;
	if (over) {
		iv_memory_settle(IV_NOBODY);
		x.ended = true;
		stop();
	}
	if (!iv_memory_settle(IV_NOBODY))
		iv_fail("nobody can go on");
}

/* The next operation of a run in a given order. */
static void next_in_order(void)
{
	if (!*x.order)
		iv_fail("the order of operations has ended early");
	go_to((unsigned)*x.order++ - 1);
}

/* Who can go on, the agent that runs first. */
static void add_agents(struct decision *d, bool can)
{
	bool slept = false;

	d->count = 0;
	if (can)
		add_option(d, x.self, false, false);
	for (unsigned f = 0; f < x.agents; f++) {
		if (f == x.self || !enabled(f))
			continue;
		if (sleepers() >> f & 1)
			slept = true;
		else
			add_option(d, f, can, false);
	}
	if (slept && !d->count)
		prune(); /* all others have ended or wait */
}

/* From the agent that runs, which could go on or not. */
static void switch_to(unsigned f, bool can)
{
	if (f == x.self)
		return;
	if (can && sleeps())
		iv_sleep(x.self);
	x.resumed = x.mode == SEARCH && x.limits->audit && iv_asleep() >> f & 1 ? 2 : 0;
	iv_wake(f);
	go_to(f);
}

/* Somebody goes on: the agent that runs, if it can and nobody is preferred to it. */
static void schedule(void)
{
	struct decision d = {.kind = SWITCH};
	bool can;

	for (;;) {
		can = x.self < x.agents && enabled(x.self);
		add_agents(&d, can);
		if (d.count)
			break;
		nobody();
	}
	if (x.mode == ORDER) {
		if (x.fibre[x.self].state == ENDED)
			next_in_order();
		else if (!can)
			iv_fail("an operation waits though it is alone");
		return;
	}
	if (can && x.mode == SEARCH && !x.preemptions)
		d.count = 1;
	switch_to(choose(&d), can);
}

/* Is another agent to have the chance to go on before this event? */
static bool is_point(enum iv_event kind, const volatile void *at)
{
	unsigned last = x.fibre[x.self].page, page = iv_shared_page(kind, at);

	x.fibre[x.self].page = 0;
	if (kind == IV_EVENT_ZERO || iv_is_shared(at))
		return true;
	x.fibre[x.self].page = page;
	return page && page != last;
}

void iv_event(enum iv_event kind, const volatile void *at, unsigned bytes)
{
	if (x.self == IV_NOBODY)
		return;
	if (++x.event > EVENTS_LIMIT)
		iv_fail("no end in sight after %u events", EVENTS_LIMIT);
	x.grown |= iv_shared_note(kind, at, bytes) && !(x.limits && x.limits->naive);
	if (!is_point(kind, at))
		return;
	x.points++;
	x.fibre[x.self].points++;
	iv_observe(x.self, kind, 0); /* one event further, whether or not it tells anything */
	iv_sleep_before(x.self, kind, at);
	schedule();
	iv_wake_after(kind, at);
}

/* What comes between two reads of a page makes the second a point of its own. */
void iv_between(void)
{
	if (x.self != IV_NOBODY)
		x.fibre[x.self].page = 0;
}

static void wait_for(enum state state, const volatile void *at)
{
	x.fibre[x.self].state = state;
	x.fibre[x.self].at = at;
	schedule();
	x.fibre[x.self].state = READY;
}

void iv_wait_lock(const volatile void *at)
{
	wait_for(ON_LOCK, at);
}

void iv_wait_flag(const volatile uint32_t *at)
{
	iv_wake_all();
	while (!*at)
		wait_for(ON_FLAG, at);
	iv_observe(x.self, 1, 1);
}

void iv_wait_write(void)
{
	iv_wake_all();
	if (!iv_memory_woken(x.self))
		wait_for(ON_WRITE, NULL);
}

/* Between two operations of one agent: in a run by order, others may have theirs. */
void iv_turn(void)
{
	if (x.mode == ORDER)
		next_in_order();
}

static void body(unsigned id)
{
	iv_run_script(id);
	x.fibre[id].state = ENDED;
	schedule();
}

void iv_trace(enum iv_event kind, const volatile void *at, uint64_t value, const char *note)
{
	static const char *const verb[] = {"load", "store",  "init", "cas",  "rmw",
					   "lock", "unlock", "zero", "tlbi", "fence"};
	char name[64] = "";

	if (!x.tracing || x.self == IV_NOBODY)
		return;
	if (at)
		iv_world_name(at, name, sizeof(name));
	printf("# %6llu  agent %u: %-6s %-28s %#18llx %s\n", (unsigned long long)x.event, x.self,
	       verb[kind], name, (unsigned long long)value, note);
}

void iv_trace_event(const struct pt_event *event)
{
	struct host_event e;

	if (!x.tracing || x.self == IV_NOBODY)
		return;
	printf("# %6llu  agent %u: ", (unsigned long long)x.event, x.self);
	host_event_copy(&e, event);
	host_event_print(stdout, &e);
}

/* ---- one run ---- */

/* Home again: an agent has come for a snapshot. */
static void take_snapshots(void)
{
	for (;;) {
		memcpy(halfway.fibre, x.fibre, sizeof(x.fibre));
		halfway.event = x.event;
		halfway.self = x.self;
		halfway.points = x.points;
		halfway.resumed = x.resumed;
		iv_snapshot_take(&(struct iv_mark){x.cursor, x.event});
		iv_fibre_switch(IV_NOBODY, x.self);
	}
}

static void first_agent(void)
{
	struct decision d = {.kind = SWITCH};

	if (x.mode == ORDER)
		next_in_order();
	for (unsigned f = 0; f < x.agents; f++)
		add_option(&d, f, false, false);
	go_to(choose(&d));
	take_snapshots();
}

/* The path is the same up to the decision at which the last snapshot was taken. */
static void resume(void)
{
	iv_snapshot_restore();
	memcpy(x.fibre, halfway.fibre, sizeof(x.fibre));
	x.event = halfway.event;
	x.points = halfway.points;
	x.resumed = halfway.resumed;
	x.cursor = iv_snapshot_last()->depth;
	for (unsigned i = 0; i < x.cursor; i++)
		pay(&x.path[i]);
	x.self = halfway.self;
	iv_fibre_switch(IV_NOBODY, x.self);
	take_snapshots();
}

/* Runs `what` until it returns or stop() is called: in a frame of its own, with nothing in
 * registers that a jump would lose. */
static __attribute__((noinline)) void until_stopped(void (*what)(void))
{
	x.playing = true;
	if (!_setjmp(x.over))
		what();
	x.playing = false;
}

static void look_at_end(void)
{
	iv_tlb_end();
	x.verdict = iv_world_end(x.c);
	iv_watch_end();
}

/* From the first state. */
static void begin(void)
{
	x.cursor = 0;
	x.event = 0;
	x.points = 0;
	memset(x.fibre, 0, sizeof(x.fibre));
	iv_world_reset();
	iv_watch_reset();
	iv_memory_reset();
	iv_tlb_reset();
	iv_sleep_reset();
	x.resumed = 0;
	for (unsigned f = 0; f < x.agents; f++)
		iv_fibre_restart(f);
	until_stopped(first_agent);
}

/* Plays the case once; true: to the end and without a failure, with x.verdict. */
static bool play(enum mode mode)
{
	x.mode = mode;
	x.grown = x.pruned = x.failed = x.ended = false;
	if (mode == SEARCH && iv_snapshot_last())
		until_stopped(resume);
	else
		begin();
	if (x.ended)
		until_stopped(look_at_end);
	if (x.event > x.result->longest)
		x.result->longest = x.event;
	if (x.points > x.result->points)
		x.result->points = x.points;
	return x.ended && !x.failed;
}

/* Is what a run came to what some order of the operations comes to? */
static void compare(void)
{
	const struct iv_verdict *v = &x.verdict;

	if (x.limits && x.limits->observe) {
		x.limits->observe(v->exact);
		return;
	}
	for (unsigned i = 0; i < x.references; i++)
		if (v->exact == x.reference[i].exact ||
		    (x.c->blocks_differ && v->equivalent == x.reference[i].equivalent))
			return;
	x.failed = true;
	snprintf(x.text, sizeof(x.text), "what came out comes from no order of the operations: ");
	iv_world_story(x.c, x.text + strlen(x.text), sizeof(x.text) - strlen(x.text));
}

/* ---- all orders of the operations, one after the other ---- */

/* False: the operations fail in this order already. */
static bool add_reference(const uint8_t *order)
{
	x.order = order;
	if (!play(ORDER)) {
		x.result->failed = true;
		snprintf(x.result->schedule, sizeof(x.result->schedule), "-");
		snprintf(x.result->text, sizeof(x.result->text), "one after the other: %.200s",
			 x.text);
		return false;
	}
	for (unsigned i = 0; i < x.references; i++)
		if (x.reference[i].exact == x.verdict.exact)
			return true;
	if (x.references == REFERENCES)
		abort();
	x.reference[x.references++] = x.verdict;
	return true;
}

static bool all_orders(uint8_t *order, unsigned done, unsigned *next)
{
	bool any = false, good = true;

	for (unsigned f = 0; f < x.agents && good; f++) {
		if (next[f] == IV_OPS || !x.c->script[f][next[f]].kind)
			continue;
		any = true;
		next[f]++;
		order[done] = (uint8_t)(f + 1);
		good = all_orders(order, done + 1, next);
		next[f]--;
	}
	if (any)
		return good;
	order[done] = 0;
	return add_reference(order);
}

/* ---- the search ---- */

/* So that how far it comes does not depend on what else the machine does. */
static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* To the last decision with an option left that the rest of the budget pays for. */
static bool backtrack(const struct iv_limits *limits, unsigned bound)
{
	while (x.depth) {
		struct decision *d = &x.path[x.depth - 1];

		x.preemptions = bound;
		x.delays = limits->delays;
		for (unsigned i = 0; i + 1 < x.depth; i++)
			pay(&x.path[i]);
		while (++d->at < d->count)
			if (affordable(d, d->at)) {
				iv_snapshots_drop(x.depth - 1);
				return true;
			}
		x.depth--;
	}
	return false;
}

/* False: failed. */
static bool search_bound(const struct iv_limits *limits, unsigned bound, double until)
{
	x.limits = limits;
	x.depth = 0;
	iv_snapshots_drop_all();
	iv_states_clear();
	do {
		x.preemptions = bound;
		x.delays = limits->delays;
		x.result->schedules++;
		if (play(SEARCH)) {
			x.result->completed++;
			compare();
		}
		if (x.failed)
			return false;
		if (x.grown) {
			x.depth = 0;
			iv_snapshots_drop_all();
			iv_states_clear();
			x.result->restarts++;
			x.preemptions = bound;
			continue;
		}
		if (limits->seconds > 0 && !(x.result->schedules & 255) && now() > until) {
			x.result->exhausted = false;
			return true;
		}
		if (!backtrack(limits, bound))
			return true;
	} while (true);
}

/* The decisions of the failed run that are not the first option. */
static void tell_path(void)
{
	x.tells = 0;
	for (unsigned i = 0; i < x.depth && x.tells < 64; i++) {
		const struct decision *d = &x.path[i];

		if (!d->at)
			continue;
		x.told[x.tells] = *d;
		x.told[x.tells++].option[0] = d->option[d->at];
	}
}

static bool fails_again(void)
{
	if (play(REPLAY))
		compare();
	return x.failed;
}

/* Leaves decisions out while the run still fails. */
static void shrink(void)
{
	for (unsigned i = 0; i < x.tells;) {
		struct decision out = x.told[i];

		memmove(&x.told[i], &x.told[i + 1], (x.tells - i - 1) * sizeof(x.told[0]));
		x.tells--;
		if (fails_again()) {
			i = 0;
			continue;
		}
		memmove(&x.told[i + 1], &x.told[i], (x.tells - i) * sizeof(x.told[0]));
		x.told[i++] = out;
		x.tells++;
	}
}

static void write_schedule(char *text, size_t room)
{
	size_t used = 0;

	text[0] = 0;
	if (!x.tells)
		snprintf(text, room, "-");
	for (unsigned i = 0; i < x.tells && used < room; i++)
		used += (size_t)snprintf(text + used, room - used, "%s%u%c%u", i ? "," : "",
					 x.told[i].event, kind_letter[x.told[i].kind],
					 x.told[i].option[0]);
}

/* False: it fails without an interleaving. */
static bool open_case(const struct iv_case *c, struct iv_result *result)
{
	static bool made;
	unsigned next[IV_FIBRES] = {0};
	uint8_t order[IV_FIBRES * IV_OPS + 1];

	if (!made)
		iv_fibres_make(body);
	made = true;
	*result = (struct iv_result){.exhausted = true};
	iv_case_now = x.c = c;
	x.limits = NULL;
	x.result = result;
	x.agents = 0;
	while (x.agents < IV_FIBRES && c->script[x.agents][0].kind)
		x.agents++;
	iv_shared_forget();
	iv_world_build(c);
	x.references = 0;
	return all_orders(order, 0, next);
}

void iv_explore(const struct iv_case *c, const struct iv_limits *limits, struct iv_result *result)
{
	double until = now() + limits->seconds;
	struct iv_limits fewer = *limits;
	unsigned bound = 0;
	bool good;

	if (!open_case(c, result))
		return;
	if (limits->seconds <= 0 && search_bound(limits, limits->preemptions, until)) {
		result->bounds = limits->preemptions + 1;
		result->states = iv_states_count();
		return;
	}
	do {
		good = search_bound(limits, bound, until);
		if (good && result->exhausted)
			result->bounds = bound + 1;
	} while (good && result->exhausted && ++bound <= limits->preemptions);
	result->states = iv_states_count();
	if (good)
		return;
	/* With fewer late stores, if that fails, too; with all of them it does. */
	fewer.delays = 0;
	while (search_bound(&fewer, bound, until) && fewer.delays < limits->delays)
		fewer.delays++;
	result->failed = true;
	tell_path();
	if (fails_again())
		shrink();
	fails_again();
	snprintf(result->text, sizeof(result->text), "%s", x.text);
	write_schedule(result->schedule, sizeof(result->schedule));
}

bool iv_replay(const struct iv_case *c, const char *schedule, struct iv_result *result)
{
	const char *p = schedule;

	if (!open_case(c, result))
		return true;
	x.tells = 0;
	while (x.tells < 64 && *p >= '0' && *p <= '9') {
		struct decision *d = &x.told[x.tells++];
		char *end;

		d->event = (uint32_t)strtoul(p, &end, 10);
		d->kind = (uint8_t)(*end == 'h' ? HOLD : *end == 'd' ? DRAIN : SWITCH);
		d->option[0] = (uint8_t)strtoul(*end ? end + 1 : end, &end, 10);
		p = *end == ',' ? end + 1 : end;
	}
	x.tracing = true;
	result->failed = fails_again();
	x.tracing = false;
	snprintf(result->text, sizeof(result->text), "%s", x.text);
	return result->failed;
}
