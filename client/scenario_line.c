/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenario text: a plain operation, by the table of verbs: its name, its keys, its record. */
#include "scenario_parse.h"

#include <string.h>

static bool where_ok(struct scn_compiler *c, const struct scn_verb *v)
{
	bool par = scn_in_par(c);

	if (c->group == UINT32_MAX || v->where & (par ? SCN_W_PAR : SCN_W_BATCH))
		return true;
	return scn_error(c, NULL, "%s may not stand inside %s (line %u)", v->name,
			 par ? "par" : "batch", c->group_line);
}

static bool new_name(struct scn_compiler *c, const struct scn_span *s, struct scn_names *names,
		     const char *what, struct scn_record *r)
{
	uint32_t index;

	if (!scn_name_ok(c, s))
		return false;
	if (scn_find(names, s) != UINT32_MAX)
		return scn_error(c, s, "there is a %s '%.*s' already", what, (int)s->length, s->at);
	index = scn_add_name(names, s);
	if (index == UINT32_MAX)
		return scn_error(c, s, "more than %u %ss", names->limit, what);
	r->object = (uint16_t)index;
	r->name = scn_string(c, s);
	return true;
}

static bool keep_digest(struct scn_compiler *c, const struct scn_span *s, struct scn_record *r)
{
	uint32_t index = scn_find(&c->digests, s);

	if (!scn_name_ok(c, s))
		return false;
	if (index == UINT32_MAX)
		index = scn_add_name(&c->digests, s);
	if (index == UINT32_MAX)
		return scn_error(c, s, "more than %u digests", c->digests.limit);
	r->body.digest.slot = index;
	r->name = scn_string(c, s);
	return true;
}

static bool lane_count(struct scn_compiler *c, const struct scn_span *s, struct scn_record *r)
{
	uint64_t lanes;

	if (!scn_number(c, s, &lanes))
		return false;
	r->body.group.lanes = lanes > UINT32_MAX ? UINT32_MAX : (uint32_t)lanes;
	return true;
}

/* The word after the operation that is no key=value. */
static bool first_word(struct scn_compiler *c, const struct scn_verb *v, struct scn_record *r)
{
	const struct scn_span *s = &c->word[1].all;

	if (c->words < 2 || c->word[1].value.at)
		return scn_error(c, NULL, "%s needs a %s", v->name,
				 v->first == SCN_FIRST_NUMBER ? "number" : "name");
	switch (v->first) {
	case SCN_FIRST_MACHINE: return new_name(c, s, &c->machines, "machine", r);
	case SCN_FIRST_CONTEXT:
		if (!new_name(c, s, &c->contexts, "context", r))
			return false;
		c->context = r->object;
		return true;
	case SCN_FIRST_DIGEST: return keep_digest(c, s, r);
	case SCN_FIRST_NUMBER: return lane_count(c, s, r);
	default: r->name = scn_string(c, s); return scn_name_ok(c, s);
	}
}

static bool unknown_key(struct scn_compiler *c, const struct scn_verb *v, const struct scn_word *w)
{
	const char *near;
	size_t n = 0;

	while (v->keys[n].name)
		n++;
	near = scn_nearest(&w->key, v->keys, n, sizeof(v->keys[0]));
	if (near)
		return scn_error(c, &w->key, "%s has no key '%.*s'; did you mean '%s'?", v->name,
				 (int)w->key.length, w->key.at, near);
	return scn_error(c, &w->key, "%s has no key '%.*s'", v->name, (int)w->key.length,
			 w->key.at);
}

static bool store(struct scn_compiler *c, const struct scn_word *w, const struct scn_key *k,
		  struct scn_record *r)
{
	unsigned char *field = (unsigned char *)r + k->offset;
	uint64_t value, most = k->width == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * k->width) - 1;
	uint64_t old = 0;

	if (!scn_value(c, w, k->type, &value))
		return false;
	if (value > most)
		return scn_error(c, &w->value, "%s is at most %llu", k->name,
				 (unsigned long long)most);
	memcpy(&old, field, k->width);
	if (k->type == SCN_T_FLAG)
		value = old | k->bit;
	else if (k->type == SCN_T_PROT || k->type == SCN_T_MEMORY)
		value |= old; /* rights and memory type share a field */
	memcpy(field, &value, k->width);
	return true;
}

static bool one_key(struct scn_compiler *c, const struct scn_verb *v, const struct scn_word *w,
		    struct scn_record *r, uint64_t *given)
{
	unsigned i = 0;

	while (v->keys[i].name && !scn_span_is(&w->key, v->keys[i].name))
		i++;
	if (!v->keys[i].name)
		return unknown_key(c, v, w);
	if (*given >> i & 1)
		return scn_error(c, &w->key, "%s is given twice", v->keys[i].name);
	if (v->keys[i].type == SCN_T_FLAG && w->value.at)
		return scn_error(c, &w->value, "%s takes no value", v->keys[i].name);
	if (v->keys[i].type != SCN_T_FLAG && (!w->value.at || w->compare != SCN_EQ))
		return scn_error(c, &w->all, "%s needs a value: %s=...", v->keys[i].name,
				 v->keys[i].name);
	*given |= UINT64_C(1) << i;
	return store(c, w, &v->keys[i], r);
}

static bool keys(struct scn_compiler *c, const struct scn_verb *v, struct scn_record *r,
		 uint64_t *given)
{
	for (size_t i = v->first ? 2 : 1; i < c->words; i++) {
		const struct scn_word *w = &c->word[i];
		uint64_t context;

		if (v->where & SCN_W_CONTEXT && scn_span_is(&w->key, "context")) {
			if (!w->value.at || !scn_value(c, w, SCN_T_CONTEXT, &context))
				return w->value.at ? false
						   : scn_error(c, &w->all, "context needs a name");
			r->object = (uint16_t)context;
		} else if (!one_key(c, v, w, r, given)) {
			return false;
		}
	}
	for (unsigned i = 0; v->keys[i].name; i++)
		if (v->keys[i].required && !(*given >> i & 1))
			return scn_error(c, NULL, "%s needs %s= (%s)", v->name, v->keys[i].name,
					 v->keys[i].help);
	return true;
}

static bool context_ok(struct scn_compiler *c, const struct scn_verb *v, struct scn_record *r)
{
	if (!(v->where & SCN_W_CONTEXT) || r->op == SCN_DELETE_MACHINE)
		return true;
	if (r->object == SCN_NONE)
		return scn_error(c, NULL, "a context line must come first");
	if (r->flags & SCN_F_BATCH && r->object != c->records[c->group].object)
		return scn_error(c, NULL, "the lines of a batch work on the batch's context");
	return true;
}

bool scn_line_verb(struct scn_compiler *c, const struct scn_verb *v, struct scn_record **record)
{
	struct scn_record *r;
	uint64_t given = 0;

	if (!where_ok(c, v))
		return false;
	r = scn_new_record(c, v->op);
	if (!r)
		return false;
	if (v->where & SCN_W_CONTEXT)
		r->object =
			r->flags & SCN_F_BATCH ? c->records[c->group].object : (uint16_t)c->context;
	*record = r;
	return (!v->first || first_word(c, v, r)) && keys(c, v, r, &given) &&
	       (!v->finish || v->finish(c, r, given)) && context_ok(c, v, r);
}
