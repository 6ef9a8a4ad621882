/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenario text: values. Numbers with + - * / and $names, rights, enumerations, facts. */
#include "scenario_parse.h"

#include "number.h"

#include <pt/outcome.h>
#include <string.h>

struct choice {
	const char *name;
	uint64_t value;
};

static const struct choice accesses[] = {{"read", 1}, {"write", 2}, {"exec", 3}, {"at", 4}, {0}};
static const struct choice memory_types[] = {
	{"normal", 0}, {"nc", 1 << 8}, {"device", 2 << 8}, {0}};
static const struct choice modes[] = {{"atomic", 1}, {"stop", 2}, {"best", 3}, {0}};
static const struct choice actions[] = {{"error", 1}, {"drop", 2}, {"delay", 3}, {0}};
static const struct choice kinds[] = {{"guest", 1}, {"host", 2}, {0}};
static const struct choice granules[] = {{"4K", 12}, {"16K", 14}, {"64K", 16}, {0}};
static const struct choice levels[] = {{"-1", 1}, {"0", 2}, {"1", 3}, {"2", 4}, {"3", 5}, {0}};
static const struct choice faults[] = {{"none", 0},
				       {"address-size", 1},
				       {"translation", 2},
				       {"access-flag", 3},
				       {"permission", 4},
				       {"external", 5},
				       {0}};

static const struct choice takers[] = {
	{"none", 0}, {"nobody", 1}, {"guest-hypervisor", 2}, {"host", 3}, {0}};
static const struct choice states[] = {{"owned", 1}, {"shared", 2}, {"lent", 4}, {0}};
static const struct choice parties[] = {
	{"host", SCN_PARTY_HOST}, {"hyp", SCN_PARTY_HYP}, {"other", SCN_PARTY_OTHER}, {0}};

static const struct choice *choices_of(enum scn_type type)
{
	switch (type) {
	case SCN_T_LEVEL: return levels;
	case SCN_T_GRANULE: return granules;
	case SCN_T_MEMORY: return memory_types;
	case SCN_T_ACCESS: return accesses;
	case SCN_T_MODE: return modes;
	case SCN_T_ACTION: return actions;
	case SCN_T_KIND: return kinds;
	default: return NULL;
	}
}

static bool choose(struct scn_compiler *c, const struct scn_span *s, const struct choice *of,
		   uint64_t *value)
{
	char list[160] = "";

	for (; of->name; of++) {
		if (scn_span_is(s, of->name)) {
			*value = of->value;
			return true;
		}
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s",
			 list[0] ? ", " : "", of->name);
	}
	return scn_error(c, s, "'%.*s' is not one of: %s", (int)s->length, s->at, list);
}

static bool let_value(struct scn_compiler *c, const struct scn_span *s, uint64_t *value)
{
	for (size_t i = 0; i < c->lets; i++)
		if (s->length > 1 && !strncmp(c->let[i].name, s->at + 1, s->length - 1) &&
		    !c->let[i].name[s->length - 1]) {
			*value = c->let[i].value;
			return true;
		}
	return scn_error(c, s, "no let line or --set gives %.*s a value", (int)s->length, s->at);
}

static bool operand(struct scn_compiler *c, const struct scn_span *s, uint64_t *value)
{
	const char *why;

	if (s->length && s->at[0] == '$')
		return let_value(c, s, value);
	if (!s->length)
		return scn_error(c, &(struct scn_span){s->at, 1}, "a number belongs here");
	why = number_parse(s->at, s->length, value);
	return !why || scn_error(c, s, "'%.*s' %s", (int)s->length, s->at, why);
}

/* Up to the next of `stops`, not looking at the first character's being a sign. */
static struct scn_span piece(const char *at, const char *end, const char *stops)
{
	struct scn_span s = {at, 0};

	while (at + s.length < end && !strchr(stops, at[s.length]))
		s.length++;
	return s;
}

static bool apply(struct scn_compiler *c, const struct scn_span *s, char operation, uint64_t right,
		  uint64_t *left)
{
	bool bad = false;

	switch (operation) {
	case '*': bad = __builtin_mul_overflow(*left, right, left); break;
	case '+': bad = __builtin_add_overflow(*left, right, left); break;
	case '-': bad = __builtin_sub_overflow(*left, right, left); break;
	default:
		if (!right || *left % right)
			return scn_error(c, s, "the division leaves a rest");
		*left /= right;
	}
	return !bad || scn_error(c, s, "the result does not fit 64 bits");
}

static bool product(struct scn_compiler *c, const struct scn_span *s, uint64_t *value)
{
	const char *at = s->at, *end = s->at + s->length;
	struct scn_span p = piece(at, end, "*/");

	if (!operand(c, &p, value))
		return false;
	while ((at = p.at + p.length) < end) {
		uint64_t right;

		p = piece(at + 1, end, "*/");
		if (!operand(c, &p, &right) || !apply(c, s, *at, right, value))
			return false;
	}
	return true;
}

bool scn_number(struct scn_compiler *c, const struct scn_span *s, uint64_t *value)
{
	const char *at = s->at, *end = s->at + s->length;
	struct scn_span p = piece(at, end, "+-");

	if (!product(c, &p, value))
		return false;
	while ((at = p.at + p.length) < end) {
		uint64_t right;

		p = piece(at + 1, end, "+-");
		if (!product(c, &p, &right) || !apply(c, s, *at, right, value))
			return false;
	}
	return true;
}

bool scn_prot(const struct scn_span *s, uint64_t *prot)
{
	uint64_t bits = 0;

	for (size_t i = 0; i < s->length; i++) {
		uint64_t bit = 0;

		switch (s->at[i]) {
		case 'r': bit = 1; break;
		case 'w': bit = 2; break;
		case 'x': bit = 4 | 8; break;
		case 'p': bit = 4; break;
		case 'u': bit = 8; break;
		case '-': break;
		default: return false;
		}
		if (bits & bit)
			return false;
		bits |= bit;
	}
	*prot = bits;
	return s->length != 0;
}

bool scn_name_ok(struct scn_compiler *c, const struct scn_span *s)
{
	if (!s->length || s->length > SCN_NAME_MAX)
		return scn_error(c, s, "a name has 1 to %d characters", SCN_NAME_MAX);
	for (size_t i = 0; i < s->length; i++) {
		char ch = s->at[i];

		if (!(ch >= 'a' && ch <= 'z') && !(ch >= 'A' && ch <= 'Z') &&
		    !(ch >= '0' && ch <= '9') && !strchr("-_.", ch))
			return scn_error(c, &(struct scn_span){s->at + i, 1},
					 "a name has letters, digits, '-', '_' and '.'");
	}
	return true;
}

uint32_t scn_find(const struct scn_names *names, const struct scn_span *s)
{
	for (uint32_t i = 0; i < names->count; i++)
		if (scn_span_is(s, names->name[i]))
			return i;
	return UINT32_MAX;
}

uint32_t scn_add_name(struct scn_names *names, const struct scn_span *s)
{
	if (names->count == names->limit)
		return UINT32_MAX;
	memcpy(names->name[names->count], s->at, s->length);
	names->name[names->count][s->length] = 0;
	return names->count++;
}

static bool reference(struct scn_compiler *c, const struct scn_span *s,
		      const struct scn_names *names, const char *what, uint64_t *value)
{
	uint32_t index = scn_find(names, s);

	if (index == UINT32_MAX)
		return scn_error(c, s, "no line before makes a %s '%.*s'", what, (int)s->length,
				 s->at);
	*value = index;
	return true;
}

static bool lanes(struct scn_compiler *c, const struct scn_span *s, uint64_t *value)
{
	static const char *const word[] = {"all", "even", "odd"};

	for (unsigned i = 0; i < 3; i++)
		if (scn_span_is(s, word[i])) {
			*value = i;
			return true;
		}
	if (!scn_number(c, s, value))
		return false;
	if (*value >= SCN_MAX_LANES)
		return scn_error(c, s, "a vCPU of par is 0 to %u", SCN_MAX_LANES - 1);
	*value = *value << 8 | SCN_ONE;
	return true;
}

static bool party(struct scn_compiler *c, const struct scn_span *s, uint64_t *value)
{
	for (const struct choice *p = parties; p->name; p++)
		if (scn_span_is(s, p->name)) {
			*value = p->value;
			return true;
		}
	return reference(c, s, &c->contexts, "context", value);
}

bool scn_value(struct scn_compiler *c, const struct scn_word *w, enum scn_type type,
	       uint64_t *value)
{
	const struct scn_span *s = &w->value;

	switch (type) {
	case SCN_T_NUMBER: return scn_number(c, s, value);
	case SCN_T_PROT:
		return scn_prot(s, value) ||
		       scn_error(c, &w->all,
				 "rights are letters of r w x (both), p (EL1), u (EL0)");
	case SCN_T_LANES: return lanes(c, s, value);
	case SCN_T_CONTEXT: return reference(c, s, &c->contexts, "context", value);
	case SCN_T_MACHINE: return reference(c, s, &c->machines, "machine", value);
	case SCN_T_PARTY: return party(c, s, value);
	case SCN_T_MAPS: *value = (uint64_t)(w - c->word); return true;
	case SCN_T_TABLES: return reference(c, s, &c->tables, "table set", value);
	case SCN_T_FLAG: *value = 1; return true;
	default: return choose(c, s, choices_of(type), value);
	}
}

static bool outcome_value(struct scn_compiler *c, const struct scn_span *s, uint64_t *value)
{
	for (unsigned code = 0; code < 128; code++) {
		const struct pt_outcome_info *info = pt_outcome_info(code);

		if (info && info->class != PT_CLASS_CONTROL && scn_span_is(s, info->name)) {
			*value = code;
			return true;
		}
	}
	return scn_error(c, s, "'%.*s' is no outcome; docs/errors.md lists them", (int)s->length,
			 s->at);
}

static const struct scn_fact_info *fact_of(const struct scn_span *s)
{
	for (const struct scn_fact_info *f = scn_fact_table; f->name; f++)
		if (scn_span_is(s, f->name))
			return f;
	return NULL;
}

static bool add_term(struct scn_compiler *c, const struct scn_span *p,
		     const struct scn_fact_info *fact, struct scn_expect_body *e)
{
	if (fact->kind != SCN_KIND_NUMBER)
		return scn_error(c, p, "%s is not a number", fact->name);
	if (e->terms == SCN_MAX_TERMS)
		return scn_error(c, p, "more than %u facts in a sum", SCN_MAX_TERMS);
	e->term[e->terms++] = fact->fact;
	return true;
}

/* A sum of facts and numbers; '-' stands only before numbers. */
static bool sum(struct scn_compiler *c, const struct scn_span *s, struct scn_expect_body *e)
{
	const char *at = s->at, *end = s->at + s->length;
	struct scn_span p = piece(at, end, "+-");
	char operation = '+';

	for (;;) {
		const struct scn_fact_info *fact = fact_of(&p);
		uint64_t value;

		if (fact && operation == '-')
			return scn_error(c, &p, "a fact cannot be subtracted");
		if (fact && !add_term(c, &p, fact, e))
			return false;
		if (!fact && !product(c, &p, &value))
			return false;
		if (!fact)
			e->constant += operation == '+' ? value : 0 - value;
		at = p.at + p.length;
		if (at >= end)
			return true;
		operation = *at;
		p = piece(at + 1, end, "+-");
	}
}

bool scn_expected(struct scn_compiler *c, const struct scn_word *w,
		  const struct scn_fact_info *fact, struct scn_expect_body *e)
{
	uint64_t level;

	switch (fact->kind) {
	case SCN_KIND_OUTCOME: return outcome_value(c, &w->value, &e->constant);
	case SCN_KIND_FAULT: return choose(c, &w->value, faults, &e->constant);
	case SCN_KIND_OWNER: return party(c, &w->value, &e->constant);
	case SCN_KIND_STATE: return choose(c, &w->value, states, &e->constant);
	case SCN_KIND_TAKER: return choose(c, &w->value, takers, &e->constant);
	case SCN_KIND_DIGEST: return reference(c, &w->value, &c->digests, "digest", &e->constant);
	case SCN_KIND_PROT:
		return scn_prot(&w->value, &e->constant) ||
		       scn_error(c, &w->value, "rights are letters of r w x p u");
	case SCN_KIND_LEVEL:
		if (!choose(c, &w->value, levels, &level))
			return false;
		e->constant = level - 2;
		return true;
	default: return sum(c, &w->value, e);
	}
}
