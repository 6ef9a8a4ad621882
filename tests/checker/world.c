/* SPDX-License-Identifier: BSD-2-Clause */
/* The lines of a program, and the events that they make: README.md. */
#include "world.h"

#include <stdio.h>
#include <string.h>

void world_event(struct world *w, struct pt_event e)
{
	struct pt_finding finding;

	e.thread = w->thread;
	if (w->inside[w->thread])
		e.agent = AT_AGENT + w->thread;
	if (!e.op)
		e.op = w->op[w->thread];
	if (!pt_check_event(w->check, &e, &finding) && !w->broken) {
		w->broken = true;
		w->finding = finding;
	}
}

static void make(struct world *w, enum pt_event_kind kind, uint32_t arg, uint64_t at, uint64_t lo,
		 uint64_t hi)
{
	world_event(w, (struct pt_event){.kind = (uint8_t)kind,
					 .arg = arg,
					 .at = at,
					 .ctx = w->ctx,
					 .lo = lo,
					 .hi = hi});
}

/* Events of agents name the world where others name a context. */
static void agent_event(struct world *w, enum pt_event_kind kind)
{
	world_event(w, (struct pt_event){.kind = (uint8_t)kind,
					 .arg = w->thread,
					 .at = AT_AGENT + w->thread,
					 .ctx = AT_WORLD});
}

void world_open(struct world *w, void *arena, size_t bytes)
{
	struct pt_check_config config = {0};

	memset(w, 0, sizeof(*w));
	w->arena = arena;
	w->bytes = bytes;
	w->check = pt_check_init(arena, bytes, &config);
	w->thread = 1;
	w->ctx = AT_CTX;
	w->page_shift = 12;
}

static uint64_t page_at(const struct world *w, unsigned page)
{
	return AT_MEMORY + ((uint64_t)page << w->page_shift);
}

struct call {
	struct world *w;
	char **word;
	unsigned words;
};

static const char *bad = "the words do not fit";

static const char *do_as(const struct call *c)
{
	c->w->thread = (uint32_t)(c->word[1][0] - 'a') + 1;
	if (c->w->thread >= 8)
		return bad;
	agent_event(c->w, PT_EVENT_AGENT_JOIN);
	return NULL;
}

/* Again, without joining again. */
static const char *do_back(const struct call *c)
{
	c->w->thread = (uint32_t)(c->word[1][0] - 'a') + 1;
	return c->w->thread < 8 ? NULL : bad;
}

static const char *do_use(const struct call *c)
{
	make(c->w, PT_EVENT_MACHINE_USE, c->w->thread, AT_MACHINE, 0, 0);
	return NULL;
}

static const char *do_in(const struct call *c)
{
	agent_event(c->w, PT_EVENT_SECTION_BEGUN);
	c->w->inside[c->w->thread] = true;
	return NULL;
}

static const char *do_out(const struct call *c)
{
	agent_event(c->w, PT_EVENT_SECTION_END);
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

/* repeat: CPUs that need each invalidation twice. The program's first line. */
static const char *do_config(const struct call *c)
{
	struct pt_check_config config = {.quirks = PT_CHECK_REPEAT_TLBI};

	if (!value_flag(c->word, c->words, "repeat"))
		return bad;
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
	make(w, PT_EVENT_OP_BEGIN, w->kind[w->thread], w->op[w->thread],
	     w->inside[w->thread] ? AT_AGENT + w->thread : 0, 0);
	return NULL;
}

static const char *do_end(const struct call *c)
{
	struct world *w = c->w;
	enum pt_outcome outcome = c->words > 1 && !strcmp(c->word[1], "more") ? PT_MORE : PT_OK;

	make(w, PT_EVENT_OP_END, w->kind[w->thread], w->op[w->thread], outcome, 0);
	w->op[w->thread] = 0;
	return NULL;
}

static const char *do_commit(const struct call *c)
{
	make(c->w, PT_EVENT_OP_COMMIT, 0, c->w->op[c->w->thread], 0, 0);
	return NULL;
}

/* KIND NAME LO HI [shared] */
static const char *claim(const struct call *c, enum pt_event_kind kind)
{
	uint64_t lo = 0, hi = 0;

	if (c->words < 2 || (c->words > 2 && !value_number(c->word[2], &lo)) ||
	    (c->words > 3 && !value_number(c->word[3], &hi)))
		return bad;
	make(c->w, kind, value_flag(c->word, c->words, "shared"), value_name(c->word[1]), lo, hi);
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

/* KIND P [dirty] [size=N] */
static const char *page(const struct call *c, enum pt_event_kind kind)
{
	unsigned page, index;

	if (!value_slot(c->word[1], &page, &index))
		return bad;
	make(c->w, kind, !value_flag(c->word, c->words, "dirty"), page_at(c->w, page),
	     value_option(c->word, c->words, "size", UINT64_C(1) << c->w->page_shift), 0);
	if (kind != PT_EVENT_PAGE_PUT)
		memset(c->w->value[page], 0, sizeof(c->w->value[page]));
	return NULL;
}

static const char *do_get(const struct call *c)
{
	return page(c, PT_EVENT_PAGE_GET);
}

static const char *do_put(const struct call *c)
{
	return page(c, PT_EVENT_PAGE_PUT);
}

static const char *do_zero(const struct call *c)
{
	return page(c, PT_EVENT_ZERO);
}

static const char *do_charge(const struct call *c)
{
	uint64_t n = value_option(c->word, c->words, "pages", 1);

	make(c->w, PT_EVENT_CHARGE, 0, 0, n, value_option(c->word, c->words, "quota", 1000));
	return NULL;
}

static const char *do_refund(const struct call *c)
{
	make(c->w, PT_EVENT_REFUND, 0, 0, value_option(c->word, c->words, "pages", 1), 0);
	return NULL;
}

/* KIND SLOT DESCRIPTOR */
static const char *write_slot(const struct call *c, enum pt_event_kind kind)
{
	unsigned page, index;
	pt_pte entry, *value;

	if (c->words < 3 || !value_slot(c->word[1], &page, &index) ||
	    !value_descriptor(c->w, c->word[2], &entry))
		return bad;
	value = &c->w->value[page][index];
	make(c->w, kind, 0, page_at(c->w, page) + index * 8, *value, entry);
	*value = entry;
	return NULL;
}

static const char *do_init(const struct call *c)
{
	return write_slot(c, PT_EVENT_INIT);
}

static const char *do_store(const struct call *c)
{
	return write_slot(c, PT_EVENT_STORE);
}

static const char *do_rel(const struct call *c)
{
	return write_slot(c, PT_EVENT_STORE_RELEASE);
}

static const char *do_cas(const struct call *c)
{
	return write_slot(c, PT_EVENT_CAS);
}

static const char *do_hardware(const struct call *c)
{
	return write_slot(c, PT_EVENT_HW_CAS);
}

static const char *load(const struct call *c, enum pt_event_kind kind)
{
	unsigned page, index;

	if (!value_slot(c->word[1], &page, &index))
		return bad;
	make(c->w, kind, 0, page_at(c->w, page) + index * 8, 0, 0);
	return NULL;
}

static const char *do_load(const struct call *c)
{
	return load(c, PT_EVENT_LOAD);
}

static const char *do_private(const struct call *c)
{
	return load(c, PT_EVENT_PRIVATE);
}

static const char *do_fence(const struct call *c)
{
	make(c->w, PT_EVENT_FENCE_STORE, 0, 0, 0, 0);
	return NULL;
}

/* KIND ipa|range|vmid|all|local [LO SIZE] [level=N] [last] [vmid=N] */
static const char *tlbi(const struct call *c, enum pt_event_kind kind)
{
	static const char *const names[] = {"ipa", "range", "vmid", "all", "local"};
	struct pt_tlbi t = {.kind = PT_TLBI_VMID};

	for (unsigned i = 0; c->words > 1 && i < 5; i++)
		if (!strcmp(c->word[1], names[i]))
			t.kind = (enum pt_tlbi_kind)i;
	if (c->words > 3 && t.kind != PT_TLBI_VMID && t.kind != PT_TLBI_ALL &&
	    (!value_number(c->word[2], &t.ipa.v) || !value_number(c->word[3], &t.size)))
		return bad;
	t.vmid = (uint16_t)value_option(c->word, c->words, "vmid", 1);
	t.level = (int8_t)value_option(c->word, c->words, "level", PT_TTL_UNKNOWN);
	t.last_level = value_flag(c->word, c->words, "last");
	world_event(c->w, (struct pt_event){.kind = (uint8_t)kind, .at = AT_MMU, .tlbi = &t});
	return NULL;
}

/* With its DSBs. */
static const char *do_tlbi(const struct call *c)
{
	const char *wrong = tlbi(c, PT_EVENT_TLBI);

	return wrong ? wrong : tlbi(c, PT_EVENT_TLBI_DONE);
}

static const char *do_tlbi_begin(const struct call *c)
{
	return tlbi(c, PT_EVENT_TLBI);
}

static const char *do_tlbi_done(const struct call *c)
{
	return tlbi(c, PT_EVENT_TLBI_DONE);
}

static const char *do_s2(const struct call *c)
{
	return tlbi(c, PT_EVENT_TLBI_S2);
}

static const char *do_s1(const struct call *c)
{
	return tlbi(c, PT_EVENT_TLBI_S1);
}

static const char *do_s12(const struct call *c)
{
	return tlbi(c, PT_EVENT_TLBI_S12);
}

static const char *do_none(const struct call *c)
{
	make(c->w, PT_EVENT_TLBI_NONE, 0, AT_MMU, 0, 0);
	return NULL;
}

/* range|address VALUE */
static const char *do_operand(const struct call *c)
{
	uint64_t value;

	if (c->words < 3 || !value_number(c->word[2], &value))
		return bad;
	make(c->w, PT_EVENT_TLBI_OPERAND, !strcmp(c->word[1], "range"), AT_MMU, value, 0);
	return NULL;
}

static const char *do_dsb(const struct call *c)
{
	static const char *const names[] = {"ish", "ishst", "nsh"};

	for (unsigned i = 0; i < 3; i++)
		if (!strcmp(c->word[1], names[i]))
			make(c->w, PT_EVENT_DSB, i, 0, 0, 0);
	return NULL;
}

static const char *do_lock(const struct call *c)
{
	static const char *const names[] = {"",	     "session", "registry", "context",
					    "owner", "claim",	"pool",	    "leaf"};

	for (unsigned i = 1; i < PT_LOCK_CLASSES; i++)
		if (!strcmp(c->word[1], names[i])) {
			make(c->w, PT_EVENT_LOCK_CLASS, i, value_name(c->word[2]), 0, 0);
			make(c->w, PT_EVENT_LOCK, 0, value_name(c->word[2]), 0, 0);
			make(c->w, PT_EVENT_LOCKED, 0, value_name(c->word[2]), 0, 0);
			return NULL;
		}
	return bad;
}

static const char *do_unlock(const struct call *c)
{
	make(c->w, PT_EVENT_UNLOCK, 0, value_name(c->word[1]), 0, 0);
	return NULL;
}

/* A line that is an event and no more. */
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

	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		if (!strcmp(c->word[0], row[i].name))
			make(c->w, row[i].kind, 0, row[i].at, 0, 0);
	return NULL;
}

static const char *do_vmid(const struct call *c)
{
	uint64_t number;

	if (!value_number(c->word[1], &number))
		return bad;
	make(c->w, PT_EVENT_VMID, 0, AT_MACHINE, number, 0);
	return NULL;
}

static const char *do_activate(const struct call *c)
{
	make(c->w, PT_EVENT_CTX_ACTIVATE, 0, AT_MMU,
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
		return bad;
	for (unsigned i = 0; i < 4; i++)
		if (!strcmp(c->word[1], names[i]))
			make(c->w, PT_EVENT_DIRTY_START + i, 0, value_name("log"), lo, hi);
	return NULL;
}

static const struct {
	const char *name;
	const char *(*run)(const struct call *);
	unsigned words;
} command[] = {
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
	{"get", do_get, 2},
	{"put", do_put, 2},
	{"zero", do_zero, 2},
	{"charge", do_charge, 1},
	{"refund", do_refund, 1},
	{"init", do_init, 3},
	{"store", do_store, 3},
	{"rel", do_rel, 3},
	{"cas", do_cas, 3},
	{"hardware", do_hardware, 3},
	{"load", do_load, 2},
	{"private", do_private, 2},
	{"fence", do_fence, 1},
	{"tlbi", do_tlbi, 2},
	{"tlbi-begin", do_tlbi_begin, 2},
	{"tlbi-done", do_tlbi_done, 2},
	{"operand", do_operand, 3},
	{"none", do_none, 1},
	{"s2", do_s2, 2},
	{"s1", do_s1, 1},
	{"s12", do_s12, 1},
	{"dsb", do_dsb, 2},
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
	{"used", do_used, 2},
	{"log", do_log, 2},
};

/* What most programs begin with; with 16K the tree has a level less. */
static const char *const prelude[] = {
	"vmid 1",
	"op point prelude",
	"charge",
	"get P1",
	"charge",
	"get P2",
	"init P1[0] table(P2)",
	"cas P0[0] table(P1)",
	"end",
};
static const char *const prelude_16k[] = {
	"vmid 1", "op point prelude", "charge", "get P1", "cas P0[0] table(P1)", "end",
};

static const char *run_words(struct world *w, char **word, unsigned words)
{
	struct call call = {w, word, words};

	for (unsigned i = 0; i < sizeof(command) / sizeof(command[0]); i++)
		if (!strcmp(word[0], command[i].name))
			return words < command[i].words ? "too few words" : command[i].run(&call);
	return "no such line";
}

static const char *run_all(struct world *w, const char *const *lines, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char line[64];
		const char *wrong;

		snprintf(line, sizeof(line), "%s", lines[i]);
		wrong = world_line(w, line);
		if (wrong)
			return wrong;
	}
	return NULL;
}

/* World, machine, agent a in a section, start tables P0; and unless `bare`, P1 below P0[0] and P2
 * below P1[0], at level 3, for IPAs below 2M (16K: P1 alone, for 32M). Options go to the context.
 */
static const char *tree(struct world *w, char **word, unsigned words)
{
	struct call call = {w, word, words};
	char *as[] = {(char *)"as", (char *)"a"}, *root[] = {(char *)"get", (char *)"P0"};

	w->page_shift = value_option(word, words, "granule", 4096) == 4096 ? 12 : 14;
	world_event(w, (struct pt_event){.kind = PT_EVENT_MEMORY,
					 .at = AT_MEMORY,
					 .ctx = AT_WORLD,
					 .lo = (uint64_t)PAGES << w->page_shift});
	make(w, PT_EVENT_MACHINE_INIT, 0, AT_MACHINE, AT_MMU, 0);
	do_as(&(struct call){w, as, 2});
	do_in(&call);
	do_use(&call);
	do_get(&(struct call){w, root, 2});
	do_context(&call);
	if (value_flag(word, words, "bare"))
		return NULL;
	return w->page_shift == 12
		       ? run_all(w, prelude, sizeof(prelude) / sizeof(prelude[0]))
		       : run_all(w, prelude_16k, sizeof(prelude_16k) / sizeof(prelude_16k[0]));
}

const char *world_line(struct world *w, char *line)
{
	char *word[MAX_WORDS], *rest = NULL;
	unsigned words = 0;

	for (char *at = strtok_r(line, " \t\n", &rest); at && words < MAX_WORDS;
	     at = strtok_r(NULL, " \t\n", &rest)) {
		if (*at == '#')
			break;
		word[words++] = at;
	}
	if (!words)
		return NULL;
	if (!strcmp(word[0], "tree"))
		return tree(w, word, words);
	return run_words(w, word, words);
}
