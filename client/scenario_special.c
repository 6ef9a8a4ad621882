/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenario text: the lines that are no plain operation: let, use, expect, end, endbatch, touch. */
#include "scenario_parse.h"

#include <string.h>

bool scn_line_let(struct scn_compiler *c)
{
	const struct scn_word *w = &c->word[1];
	struct scn_let *let = &c->let[c->lets];
	uint64_t value;

	if (c->words != 2 || !w->value.at || w->compare != SCN_EQ)
		return scn_error(c, NULL, "let takes one NAME=VALUE");
	if (!scn_name_ok(c, &w->key) || !scn_number(c, &w->value, &value))
		return false;
	for (size_t i = 0; i < c->lets; i++)
		if (scn_span_is(&w->key, c->let[i].name))
			return c->let[i].fixed ||
			       scn_error(c, &w->key, "%s has a value already", c->let[i].name);
	if (c->lets == SCN_LETS_MAX)
		return scn_error(c, NULL, "more than %d let lines", SCN_LETS_MAX);
	memcpy(let->name, w->key.at, w->key.length);
	let->name[w->key.length] = 0;
	let->value = value;
	let->fixed = false;
	c->lets++;
	return true;
}

bool scn_line_use(struct scn_compiler *c)
{
	uint32_t index;

	if (c->words != 2)
		return scn_error(c, NULL, "use takes the name of a context");
	index = scn_find(&c->contexts, &c->word[1].all);
	if (index == UINT32_MAX)
		return scn_error(c, &c->word[1].all, "no line before makes this context");
	c->context = index;
	return true;
}

static bool end_group(struct scn_compiler *c, unsigned op, const char *begin)
{
	if (c->words > 1)
		return scn_error(c, &c->word[1].all, "nothing may follow here");
	if (c->group == UINT32_MAX || c->records[c->group].op != op)
		return scn_error(c, NULL, "there is no %s to end", begin);
	return true;
}

bool scn_line_end(struct scn_compiler *c)
{
	if (!end_group(c, SCN_PAR, "par"))
		return false;
	c->group = UINT32_MAX;
	c->last = UINT32_MAX;
	c->par_seen = true;
	return true;
}

bool scn_line_endbatch(struct scn_compiler *c)
{
	uint64_t items = 0;

	if (!end_group(c, SCN_BATCH, "batch"))
		return false;
	if (!c->records[c->group].body.group.records)
		return scn_error(c, NULL, "the batch is empty");
	for (uint32_t i = c->group + 1; i < c->record_count; i++)
		items += c->records[i].body.map.count;
	if (items > SCN_MAX_COUNT || c->record_count - c->group > SCN_MAX_BATCH)
		return scn_error(c, NULL, "the batch has more than %u lines or %u operations",
				 SCN_MAX_BATCH, SCN_MAX_COUNT);
	c->last = c->group;
	c->group = UINT32_MAX;
	return true;
}

static const struct scn_fact_info *find_fact(struct scn_compiler *c, const struct scn_word *w)
{
	const char *near;
	size_t n = 0;

	for (; scn_fact_table[n].name; n++)
		if (scn_span_is(&w->key, scn_fact_table[n].name))
			return &scn_fact_table[n];
	near = scn_nearest(&w->key, scn_fact_table, n, sizeof(scn_fact_table[0]));
	scn_error(c, &w->key, near ? "no fact '%.*s'; did you mean '%s'?" : "no fact '%.*s'%s",
		  (int)w->key.length, w->key.at, near ? near : "");
	return NULL;
}

/* Inside par: only what every vCPU sees, whoever comes first. */
static bool free_of_order(struct scn_compiler *c, const struct scn_word *w,
			  const struct scn_fact_info *f, const struct scn_expect_body *e)
{
	bool below = e->compare == SCN_LT || e->compare == SCN_LE;

	if (f->scope != SCN_SCOPE_REPLY)
		return scn_error(c, &w->all, "%s is for after par: others are at work here",
				 f->name);
	if (f->fact == SCN_FACT_exits && !below)
		return scn_error(c, &w->all,
				 "how many exits an access takes depends on the order: use <=");
	if (f->fact != SCN_FACT_exits && f->fact != SCN_FACT_outcome && f->fact != SCN_FACT_pa &&
	    f->fact != SCN_FACT_data && f->fact != SCN_FACT_prot)
		return scn_error(c, &w->all, "%s depends on the order in which vCPUs run", f->name);
	return true;
}

/* After par: sums that vary with the order may be bounded, or compared with other sums. */
static bool varies(uint16_t fact)
{
	return fact == SCN_FACT_faults || fact == SCN_FACT_already_mapped ||
	       fact == SCN_FACT_raced || fact == SCN_FACT_max_exits;
}

static bool order_ok(struct scn_compiler *c, const struct scn_word *w,
		     const struct scn_fact_info *f, const struct scn_expect_body *e)
{
	bool exact = e->compare == SCN_EQ || e->compare == SCN_NE;

	if (c->group != UINT32_MAX)
		return free_of_order(c, w, f, e);
	if (f->scope == SCN_SCOPE_REPLY && c->last == UINT32_MAX)
		return scn_error(c, &w->all, "%s is of one operation, and none stands before",
				 f->name);
	if (f->scope == SCN_SCOPE_STAGE && c->par_seen && varies(f->fact) && exact && !e->terms)
		return scn_error(c, &w->all,
				 "%s depends on the order in which vCPUs ran: use <= or a sum of "
				 "facts",
				 f->name);
	return true;
}

static bool compare_ok(struct scn_compiler *c, const struct scn_word *w,
		       const struct scn_fact_info *f)
{
	return f->kind == SCN_KIND_NUMBER || f->kind == SCN_KIND_LEVEL || w->compare <= SCN_NE ||
	       scn_error(c, &w->all, "%s is no number: only = and != make sense", f->name);
}

static bool one_expectation(struct scn_compiler *c, const struct scn_word *w, uint16_t context)
{
	const struct scn_fact_info *f = w->value.at ? find_fact(c, w) : NULL;
	struct scn_expect_body e = {.compare = w->compare};
	struct scn_record *r;

	if (!w->value.at)
		return scn_error(c, &w->all, "an expectation is FACT=VALUE");
	if (!f || !compare_ok(c, w, f) || !scn_expected(c, w, f, &e) || !order_ok(c, w, f, &e))
		return false;
	if (f->scope == SCN_SCOPE_STATE && context == SCN_NONE)
		return scn_error(c, &w->all, "a context line must come first");
	r = scn_new_record(c, SCN_EXPECT);
	if (!r)
		return false;
	e.fact = f->fact;
	r->body.expect = e;
	r->object = context;
	r->column = (uint16_t)(w->all.at - c->line + 1);
	if (c->last != UINT32_MAX && (f->fact == SCN_FACT_outcome || f->fact == SCN_FACT_errors))
		c->records[c->last].flags |= SCN_F_OUTCOME;
	return true;
}

bool scn_line_expect(struct scn_compiler *c)
{
	uint16_t context = (uint16_t)c->context;
	bool any = false;

	if (c->group != UINT32_MAX && c->records[c->group].op == SCN_BATCH)
		return scn_error(c, NULL, "expect belongs after endbatch");
	if (c->group != UINT32_MAX && c->last == UINT32_MAX)
		return scn_error(c, NULL, "expect needs an operation before it");
	if (c->last != UINT32_MAX && c->records[c->last].object < c->contexts.count)
		context = c->records[c->last].object;
	for (size_t i = 1; i < c->words; i++) {
		const struct scn_word *w = &c->word[i];
		uint64_t index;

		if (scn_span_is(&w->key, "context") && w->value.at) {
			if (!scn_value(c, w, SCN_T_CONTEXT, &index))
				return false;
			context = (uint16_t)index;
			continue;
		}
		if (!one_expectation(c, w, context))
			return false;
		any = true;
	}
	return any || scn_error(c, NULL, "expect needs FACT=VALUE");
}

/* What touch is given: a sweep by every vCPU at once, odd and even ones in their own way. */
struct touch {
	uint64_t ipa, size, step, vcpus, length;
	uint64_t even, odd;
	unsigned given;
};

static const char *const touch_keys[] = {"ipa", "size", "step", "vcpus", "even", "odd", "length"};
#define TOUCH_KEYS     (sizeof(touch_keys) / sizeof(touch_keys[0]))
#define TOUCH_REQUIRED 0x0fu

static bool touch_word(struct scn_compiler *c, const struct scn_word *w, struct touch *t)
{
	uint64_t *const field[] = {&t->ipa,  &t->size, &t->step,  &t->vcpus,
				   &t->even, &t->odd,  &t->length};
	const char *near;
	size_t i = 0;

	while (i < TOUCH_KEYS && !scn_span_is(&w->key, touch_keys[i]))
		i++;
	if (i == TOUCH_KEYS) {
		near = scn_nearest(&w->key, touch_keys, TOUCH_KEYS, sizeof(touch_keys[0]));
		return scn_error(c, &w->key,
				 near ? "touch has no key '%.*s'; did you mean '%s'?"
				      : "touch has no key '%.*s'%s",
				 (int)w->key.length, w->key.at, near ? near : "");
	}
	if (!w->value.at || w->compare != SCN_EQ)
		return scn_error(c, &w->all, "%s needs a value", touch_keys[i]);
	if (t->given >> i & 1)
		return scn_error(c, &w->key, "%s is given twice", touch_keys[i]);
	t->given |= 1u << i;
	return scn_value(c, w, i == 4 || i == 5 ? SCN_T_ACCESS : SCN_T_NUMBER, field[i]);
}

static bool touch_sweep(struct scn_compiler *c, const struct touch *t, uint64_t kind,
			unsigned select)
{
	struct scn_record *r = scn_new_record(c, SCN_ACCESS);

	if (!r)
		return false;
	r->object = (uint16_t)c->context;
	r->body.access = (struct scn_access_body){.ipa = t->ipa,
						  .size = t->size,
						  .step = t->step,
						  .data = UINT64_C(0x0123456789abcdef),
						  .kind = (uint8_t)kind,
						  .select = (uint8_t)select,
						  .length = (uint8_t)t->length};
	return true;
}

static bool touch_check(struct scn_compiler *c, const struct touch *t)
{
	if (c->group != UINT32_MAX)
		return scn_error(c, NULL, "touch is a par of its own and may not stand inside one");
	if (c->context == SCN_NONE)
		return scn_error(c, NULL, "a context line must come first");
	for (unsigned i = 0; i < 4; i++)
		if (!(t->given >> i & 1))
			return scn_error(c, NULL, "touch needs %s=", touch_keys[i]);
	if (!t->vcpus || t->vcpus > SCN_MAX_LANES)
		return scn_error(c, NULL, "vcpus is 1 to %u", SCN_MAX_LANES);
	if (!t->step || !t->size || t->length > 8)
		return scn_error(c, NULL, "size and step are at least 1, length at most 8");
	return true;
}

bool scn_line_touch(struct scn_compiler *c)
{
	struct touch t = {.even = 1, .odd = 1, .length = 8};
	struct scn_record *r;
	uint32_t par;

	for (size_t i = 1; i < c->words; i++)
		if (!touch_word(c, &c->word[i], &t))
			return false;
	if (!touch_check(c, &t))
		return false;
	par = c->record_count;
	r = scn_new_record(c, SCN_PAR);
	if (!r)
		return false;
	r->body.group.lanes = (uint32_t)t.vcpus;
	c->group = par;
	if (!touch_sweep(c, &t, t.even, SCN_EVEN) || !touch_sweep(c, &t, t.odd, SCN_ODD))
		return false;
	c->group = UINT32_MAX;
	c->last = UINT32_MAX;
	c->par_seen = true;
	return true;
}
