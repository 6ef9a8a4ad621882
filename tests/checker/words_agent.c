/* SPDX-License-Identifier: BSD-2-Clause */
/* Agents, operations, claims, contexts and their VMIDs, locks, dirty logs. */
#include "words.h"

#include <string.h>

static const char *do_as(const struct call *c)
{
	c->w->thread = (uint32_t)(c->word[1][0] - 'a') + 1;
	if (c->w->thread >= 8)
		return words_bad;
	world_agent_event(c->w, PT_EVENT_AGENT_JOIN);
	return NULL;
}

/* Again, without joining again. */
static const char *do_back(const struct call *c)
{
	c->w->thread = (uint32_t)(c->word[1][0] - 'a') + 1;
	return c->w->thread < 8 ? NULL : words_bad;
}

static const char *do_use(const struct call *c)
{
	world_make(c->w, PT_EVENT_MACHINE_USE, c->w->thread, AT_MACHINE, 0, 0);
	return NULL;
}

static const char *do_in(const struct call *c)
{
	world_agent_event(c->w, PT_EVENT_SECTION_BEGUN);
	c->w->inside[c->w->thread] = true;
	return NULL;
}

static const char *do_out(const struct call *c)
{
	world_agent_event(c->w, PT_EVENT_SECTION_END);
	c->w->inside[c->w->thread] = false;
	return NULL;
}

/* context [root=P] [vmid=N] [bbm=N] [hd] [granule=4K|16K] [ctx=N] [bytes=N] */
static const char *do_context(const struct call *c)
{
	struct world *w = c->w;
	uint64_t root = value_option(c->word, c->words, "root", 0);
	uint64_t granule = value_option(c->word, c->words, "granule", 4096);
	struct pt_geometry_args a = {.granule_shift = granule == 4096 ? 12 : 14,
				     .ipa_bits = 39,
				     .pa_bits = 40,
				     .start_level_given = true,
				     .start_level = granule == 4096 ? 1 : 2};
	struct pt_event_ctx facts = {.machine = AT_MACHINE,
				     .mmu = AT_MMU,
				     .root = PA_MEMORY + (root << a.granule_shift),
				     .root_va = AT_MEMORY + (root << a.granule_shift),
				     .bbm = (uint8_t)value_option(c->word, c->words, "bbm", 0)};

	if (granule != 4096)
		a.ipa_bits = 36;
	facts.number = value_option(c->word, c->words, "ctx", 0);
	facts.el2 = value_flag(c->word, c->words, "el2");
	if (value_flag(c->word, c->words, "hd"))
		facts.vtcr_flags = PT_VTCR_HA | PT_VTCR_HD;
	if (pt_geometry_init(&facts.geo, &a) != PT_OK)
		return "no such geometry";
	w->geo = facts.geo;
	w->page_shift = a.granule_shift;
	w->ctx = AT_CTX + value_option(c->word, c->words, "ctx", 0);
	world_event(w,
		    (struct pt_event){.kind = PT_EVENT_CTX_INIT, .ctx = w->ctx, .facts = &facts});
	return NULL;
}

/* What follows is of another context. */
static const char *do_of(const struct call *c)
{
	uint64_t number;

	if (!value_number(c->word[1], &number))
		return words_bad;
	c->w->ctx = AT_CTX + number;
	return NULL;
}

/* repeat: CPUs that need each invalidation twice. The program's first line. */
static const char *do_config(const struct call *c)
{
	struct pt_check_config config = {.quirks = PT_CHECK_REPEAT_TLBI};

	if (!value_flag(c->word, c->words, "repeat"))
		return words_bad;
	c->w->check = pt_check_init(c->w->arena, c->w->bytes, &config);
	return NULL;
}

static const char *do_op(const struct call *c)
{
	static const char *const names[PT_OP_KINDS] = {"",	   "point", "fault", "txn",
						       "teardown", "age",   "split", "collapse",
						       "sweep",	   "dirty"};
	struct world *w = c->w;

	for (unsigned i = 1; i < PT_OP_KINDS; i++)
		if (!strcmp(c->word[1], names[i]))
			w->kind[w->thread] = (uint8_t)i;
	w->op[w->thread] = value_name(c->words > 2 ? c->word[2] : c->word[1]);
	world_make(w, PT_EVENT_OP_BEGIN, w->kind[w->thread], w->op[w->thread],
		   w->inside[w->thread] ? AT_AGENT + w->thread : 0, 0);
	return NULL;
}

static const char *do_end(const struct call *c)
{
	struct world *w = c->w;
	enum pt_outcome outcome = c->words > 1 && !strcmp(c->word[1], "more") ? PT_MORE : PT_OK;

	world_make(w, PT_EVENT_OP_END, w->kind[w->thread], w->op[w->thread], outcome, 0);
	w->op[w->thread] = 0;
	return NULL;
}

static const char *do_commit(const struct call *c)
{
	world_make(c->w, PT_EVENT_OP_COMMIT, 0, c->w->op[c->w->thread], 0, 0);
	return NULL;
}

/* KIND NAME LO HI [shared] [at-once] */
static const char *claim(const struct call *c, enum pt_event_kind kind)
{
	uint64_t lo = 0, hi = 0;

	if (c->words < 2 ||
	    (c->words > 2 && kind != PT_EVENT_CLAIM_ASK && !value_number(c->word[2], &lo)) ||
	    (c->words > 3 && !value_number(c->word[3], &hi)))
		return words_bad;
	world_make(c->w, kind,
		   value_flag(c->word, c->words, "shared") |
			   (uint32_t)value_flag(c->word, c->words, "at-once") << 1,
		   value_name(c->word[1]), lo, hi);
	return NULL;
}

static const char *do_ask(const struct call *c)
{
	return claim(c, PT_EVENT_CLAIM_ASK);
}

static const char *do_publish(const struct call *c)
{
	return claim(c, PT_EVENT_CLAIM);
}

static const char *do_drained(const struct call *c)
{
	return claim(c, PT_EVENT_CLAIM_DRAINED);
}

static const char *do_shrink(const struct call *c)
{
	return claim(c, PT_EVENT_CLAIM_SHRINK);
}

static const char *do_release(const struct call *c)
{
	return claim(c, PT_EVENT_CLAIM_RELEASE);
}

/* All three at once. */
static const char *do_claim(const struct call *c)
{
	const char *wrong = do_ask(c);

	if (!wrong)
		wrong = do_publish(c);
	return wrong ? wrong : do_drained(c);
}

static const char *do_lock(const struct call *c)
{
	static const char *const names[] = {"",	     "session", "registry", "context",
					    "owner", "claim",	"pool",	    "leaf"};

	for (unsigned i = 1; i < PT_LOCK_CLASSES; i++)
		if (!strcmp(c->word[1], names[i])) {
			world_make(c->w, PT_EVENT_LOCK_CLASS, i, value_name(c->word[2]), 0, 0);
			world_make(c->w, PT_EVENT_LOCK, 0, value_name(c->word[2]), 0, 0);
			world_make(c->w, PT_EVENT_LOCKED, 0, value_name(c->word[2]), 0, 0);
			return NULL;
		}
	return words_bad;
}

static const char *do_unlock(const struct call *c)
{
	world_make(c->w, PT_EVENT_UNLOCK, 0, value_name(c->word[1]), 0, 0);
	return NULL;
}

/* A line that is an event and no more; a context goes unseen, too. */
static const char *do_note(const struct call *c)
{
	static const struct {
		const char *name;
		enum pt_event_kind kind;
		uint64_t at;
	} row[] = {
		{"wake", PT_EVENT_WAKE, 0},
		{"wait", PT_EVENT_WAIT, 0},
		{"transport", PT_EVENT_TRANSPORT, 0},
		{"dying", PT_EVENT_CTX_DYING, 0},
		{"gone", PT_EVENT_CTX_GONE, 0},
		{"rollover", PT_EVENT_VMID_ROLLOVER, AT_MACHINE},
		{"deactivate", PT_EVENT_CTX_DEACTIVATE, AT_MMU},
	};
	bool unseen = c->words > 1 && !strcmp(c->word[1], "unseen");

	if (c->words > 1 && !unseen)
		return words_bad;

	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		if (!strcmp(c->word[0], row[i].name))
			world_make(c->w, row[i].kind, unseen, row[i].at, 0, 0);
	return NULL;
}

static const char *do_vmid(const struct call *c)
{
	uint64_t number;

	if (!value_number(c->word[1], &number))
		return words_bad;
	if (c->words > 2 && strcmp(c->word[2], "kept"))
		return words_bad;
	world_make(c->w, c->words > 2 ? PT_EVENT_VMID_KEPT : PT_EVENT_VMID, 0, AT_MACHINE, number,
		   0);
	return NULL;
}

static const char *do_activate(const struct call *c)
{
	world_make(c->w, PT_EVENT_CTX_ACTIVATE, 0, AT_MMU,
		   PA_MEMORY + (value_option(c->word, c->words, "root", 0) << c->w->page_shift),
		   value_option(c->word, c->words, "vmid", 1));
	return NULL;
}

static const char *do_used(const struct call *c)
{
	world_event(c->w, (struct pt_event){.kind = PT_EVENT_POOL_USED,
					    .ctx = AT_WORLD,
					    .lo = value_option(c->word, c->words, "bytes", 0)});
	return NULL;
}

/* log start|mark|clear|stop LO HI */
static const char *do_log(const struct call *c)
{
	static const char *const names[] = {"start", "mark", "clear", "stop"};
	uint64_t lo = 0, hi = 0;

	if (c->words > 3 && (!value_number(c->word[2], &lo) || !value_number(c->word[3], &hi)))
		return words_bad;
	for (unsigned i = 0; i < 4; i++)
		if (!strcmp(c->word[1], names[i]))
			world_make(c->w, PT_EVENT_DIRTY_START + i, 0, value_name("log"), lo, hi);
	return NULL;
}

const struct word words_of_agents[] = {
	{"as", do_as, 2},
	{"back", do_back, 2},
	{"use", do_use, 1},
	{"in", do_in, 1},
	{"out", do_out, 1},
	{"context", do_context, 1},
	{"config", do_config, 2},
	{"op", do_op, 2},
	{"end", do_end, 1},
	{"commit", do_commit, 1},
	{"ask", do_ask, 2},
	{"publish", do_publish, 4},
	{"drained", do_drained, 2},
	{"shrink", do_shrink, 3},
	{"release", do_release, 2},
	{"claim", do_claim, 4},
	{"lock", do_lock, 3},
	{"unlock", do_unlock, 2},
	{"wake", do_note, 1},
	{"wait", do_note, 1},
	{"transport", do_note, 1},
	{"dying", do_note, 1},
	{"gone", do_note, 1},
	{"rollover", do_note, 1},
	{"deactivate", do_note, 1},
	{"vmid", do_vmid, 2},
	{"activate", do_activate, 1},
	{"of", do_of, 2},
	{"used", do_used, 2},
	{"log", do_log, 2},
	{NULL, NULL, 0},
};
