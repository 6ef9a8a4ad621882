/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenario text: what a guest hypervisor does: tables, enter, exit, tlbi, guest-at. */
#include "scenario_parse.h"

#include "include/ptd.h"
#include "instructions.h"

#include <stdlib.h>
#include <string.h>

#define MAPS_MAX 64

#define OFFSET(field) (uint8_t) offsetof(struct scn_record, body.field)
#define WIDTH(field)  (uint8_t)sizeof(((struct scn_record *)0)->body.field)
#define KEY(name, type, required, field, help)                                                     \
	{                                                                                          \
		name, type, required, OFFSET(field), WIDTH(field), 0, help                         \
	}
/* The registers, as a set of tables has them or by hand. */
#define REGISTER_KEYS(of)                                                                          \
	KEY("tables", SCN_T_TABLES, false, words[7], "whose registers; the latest"),               \
		KEY("vttbr", SCN_T_NUMBER, false, of.vttbr, "instead of tables: VTTBR_EL2"),       \
		KEY("vtcr", SCN_T_NUMBER, false, of.vtcr, "and VTCR_EL2"),                         \
		KEY("vcpu", SCN_T_NUMBER, false, of.vcpu, "whose registers they are; 0")
#define HCR_KEY(of) KEY("hcr", SCN_T_NUMBER, false, of.hcr, "HCR_EL2; 1: stage 2 is on")

const struct scn_key scn_tables_keys[] = {
	KEY("base", SCN_T_NUMBER, true, tables.base, "where they stand, as it sees its memory"),
	KEY("maps", SCN_T_MAPS, true, tables.reserved, "NESTED:SIZE:CANONICAL:RIGHTS, with commas"),
	KEY("granule", SCN_T_GRANULE, false, tables.granule_shift, "4K, 16K or 64K; 4K"),
	KEY("ipa", SCN_T_NUMBER, false, tables.ipa_bits, "bits of the nested IPA space; 40"),
	KEY("vmid", SCN_T_NUMBER, false, tables.vmid, "of VTTBR_EL2; 0"),
	KEY("vcpu", SCN_T_NUMBER, false, tables.vcpu, "who writes them; 0"),
	{0}};
const struct scn_key scn_enter_keys[] = {REGISTER_KEYS(enter), HCR_KEY(enter), {0}};
const struct scn_key scn_exit_keys[] = {
	KEY("vcpu", SCN_T_NUMBER, false, instruction.vcpu, "who; 0"), {0}};
const struct scn_key scn_tlbi_keys[] = {
	REGISTER_KEYS(instruction),
	KEY("ipa", SCN_T_NUMBER, false, words[6], "nested, of ipas2e1 and its like"),
	KEY("operand", SCN_T_NUMBER, false, instruction.operand,
	    "the register, with TTL or a range"),
	{"nxs", SCN_T_FLAG, false, OFFSET(instruction.sys), WIDTH(instruction.sys), INSTRUCTION_NXS,
	 "the nXS form"},
	{0}};
const struct scn_key scn_guest_at_keys[] = {
	REGISTER_KEYS(instruction),
	HCR_KEY(instruction),
	KEY("address", SCN_T_NUMBER, true, instruction.operand, "of its guest"),
	{0}};

uint16_t scn_canonical(const struct scn_compiler *c, uint16_t context)
{
	if (context == SCN_NONE || !c->entered[context])
		return context;
	return (uint16_t)c->records[c->entered[context] - 1].body.enter.canonical;
}

/* What an operation of the guest hypervisor works on: its own context, also where a shadow is
 * named. */
static bool take_canonical(struct scn_compiler *c, struct scn_record *r)
{
	if (r->object == SCN_NONE)
		return scn_error(c, NULL, "a context line must come first");
	r->object = scn_canonical(c, r->object);
	return true;
}

static bool take_registers(struct scn_compiler *c, const struct scn_key *keys, struct scn_record *r,
			   uint64_t given, struct scn_tables_regs *to)
{
	bool raw = scn_key_given(keys, "vttbr", given), set = scn_key_given(keys, "tables", given);
	uint64_t index = set ? r->body.words[7] : (uint64_t)c->tables.count - 1;

	r->body.words[7] = 0;
	if (raw != scn_key_given(keys, "vtcr", given) || (raw && set))
		return scn_error(c, NULL, "tables=, or vttbr= and vtcr=");
	if (!raw && !c->tables.count)
		return scn_error(c, NULL, "a tables line must come first, or vttbr= and vtcr=");
	if (!raw)
		*to = c->tables_regs[index];
	return true;
}

/* ---- tables ---- */

bool scn_finish_tables(struct scn_compiler *c, struct scn_record *r, uint64_t given)
{
	struct scn_tables_body *b = &r->body.tables;

	if (scn_find(&c->tables, &c->word[1].all) != UINT32_MAX)
		return scn_error(c, &c->word[1].all, "there are such tables already");
	if (!scn_key_given(scn_tables_keys, "granule", given))
		b->granule_shift = 12;
	if (!scn_key_given(scn_tables_keys, "ipa", given))
		b->ipa_bits = 40;
	return take_canonical(c, r);
}

/* Up to the next `stop` of *s, which moves behind it. */
static struct scn_span cut(struct scn_span *s, char stop)
{
	const char *at = s->length ? memchr(s->at, stop, s->length) : NULL;
	struct scn_span part = {s->at, at ? (size_t)(at - s->at) : s->length};
	size_t gone = part.length + (at != NULL);

	*s = (struct scn_span){s->at + gone, s->length - gone};
	return part;
}

static bool read_map(struct scn_compiler *c, struct scn_span one, struct ptd_guest_map *map)
{
	struct scn_span rest = one, ipa = cut(&rest, ':'), size = cut(&rest, ':');
	struct scn_span out = cut(&rest, ':');
	uint64_t prot;

	*map = (struct ptd_guest_map){0};
	if (!ipa.length || !size.length || !out.length || !scn_prot(&rest, &prot))
		return scn_error(c, &one, "a map is NESTED:SIZE:CANONICAL:RIGHTS");
	map->prot = (uint32_t)prot;
	return scn_number(c, &ipa, &map->ipa.v) && scn_number(c, &size, &map->size) &&
	       scn_number(c, &out, &map->out.v);
}

static bool read_maps(struct scn_compiler *c, struct scn_span list, struct ptd_guest_map *map,
		      struct scn_span *text, size_t *count)
{
	bool more;

	do {
		if (*count == MAPS_MAX)
			return scn_error(c, &list, "more than %d maps", MAPS_MAX);
		more = list.length && memchr(list.at, ',', list.length);
		text[*count] = cut(&list, ',');
		if (!read_map(c, text[*count], &map[*count]))
			return false;
		++*count;
	} while (more);
	return true;
}

/* Builds them once, to know the registers and what is wrong. */
static bool build(struct scn_compiler *c, struct ptd_guest_tables *t, const struct scn_span *text)
{
	void *memory = malloc(SCN_TABLES_BYTES);
	enum ptd_guest_result result =
		memory ? ptd_guest_tables_build(t, memory, SCN_TABLES_BYTES) : PTD_GUEST_NO_ROOM;
	const struct scn_span *at = t->at_fault < t->count ? &text[t->at_fault] : NULL;

	free(memory);
	switch (result) {
	case PTD_GUEST_OK: return true;
	case PTD_GUEST_NO_ROOM:
		return scn_error(c, NULL, "the tables are larger than %uM, or reach beyond 2^48",
				 SCN_TABLES_BYTES >> 20);
	case PTD_GUEST_OVERLAP: return scn_error(c, at, "it overlaps an earlier one");
	default:
		return scn_error(
			c, at,
			at ? "misaligned, empty or outside, or rights that no leaf has"
			   : "ipa= is 32 to 48, base= a multiple of the granule and of the "
			     "start tables' size");
	}
}

static bool add_maps(struct scn_compiler *c, uint32_t tables, const struct ptd_guest_map *map,
		     size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct scn_record *r = scn_new_record(c, SCN_TABLE_MAP);

		if (!r)
			return false;
		r->object = c->records[tables].object;
		r->body.table_map = (struct scn_table_map_body){map[i].ipa.v, map[i].size,
								map[i].out.v, map[i].prot};
		c->records[tables].body.tables.records++;
	}
	return true;
}

bool scn_line_tables(struct scn_compiler *c)
{
	struct ptd_guest_map map[MAPS_MAX];
	struct scn_span text[MAPS_MAX];
	struct ptd_guest_tables t = {.maps = map};
	uint32_t at = c->record_count, index;
	struct scn_tables_body *b;
	struct scn_record *r;

	if (!scn_line_verb(c, scn_verb(&c->word[0].all), &r))
		return false;
	b = &r->body.tables;
	t.granule_shift = b->granule_shift;
	t.ipa_bits = b->ipa_bits;
	t.base.v = b->base;
	t.vmid = b->vmid;
	if (!read_maps(c, c->word[b->reserved].value, map, text, &t.count) || !build(c, &t, text))
		return false;
	b->reserved = 0;
	index = scn_add_name(&c->tables, &c->word[1].all);
	if (index == UINT32_MAX)
		return scn_error(c, NULL, "more than %u sets of tables", SCN_MAX_TABLES);
	c->tables_regs[index] = (struct scn_tables_regs){t.vttbr, t.vtcr};
	c->last = at;
	return add_maps(c, at, map, t.count);
}

/* ---- enter, exit ---- */

static bool same_shadow(const struct scn_enter_body *a, const struct scn_enter_body *b)
{
	return a->canonical == b->canonical && a->vttbr == b->vttbr && a->vtcr == b->vtcr &&
	       a->hcr == b->hcr;
}

/* A name stands for one shadow, and a shadow has one name. */
static bool name_shadow(struct scn_compiler *c, struct scn_record *r, uint32_t index)
{
	const struct scn_span *name = &c->word[1].all;

	for (uint32_t i = 0; i < c->contexts.count; i++) {
		bool same = c->entered[i] &&
			    same_shadow(&c->records[c->entered[i] - 1].body.enter, &r->body.enter);

		if (i == index && !same)
			return scn_error(c, name, "this name is not that of these registers");
		if (i != index && same)
			return scn_error(c, name, "the shadow of these registers is called '%s'",
					 c->contexts.name[i]);
	}
	if (index == UINT32_MAX)
		index = scn_add_name(&c->contexts, name);
	if (index == UINT32_MAX)
		return scn_error(c, name, "more than %u contexts", c->contexts.limit);
	if (!c->entered[index])
		c->entered[index] = (uint32_t)(r - c->records) + 1;
	r->object = (uint16_t)index;
	c->machine_of[index] = c->machine_of[r->body.enter.canonical];
	c->context = index;
	return true;
}

bool scn_finish_enter(struct scn_compiler *c, struct scn_record *r, uint64_t given)
{
	struct scn_enter_body *b = &r->body.enter;
	struct scn_tables_regs regs = {b->vttbr, b->vtcr};

	if (!take_canonical(c, r) || !take_registers(c, scn_enter_keys, r, given, &regs))
		return false;
	b->vttbr = regs.vttbr;
	b->vtcr = regs.vtcr;
	b->canonical = r->object;
	if (!scn_key_given(scn_enter_keys, "hcr", given))
		b->hcr = 1;
	return name_shadow(c, r, scn_find(&c->contexts, &c->word[1].all));
}

bool scn_finish_exit(struct scn_compiler *c, struct scn_record *r, uint64_t given)
{
	(void)given;
	if (!take_canonical(c, r))
		return false;
	c->context = r->object;
	return true;
}

/* ---- instructions ---- */

static const struct instruction *find_instruction(struct scn_compiler *c,
						  const struct instruction *of)
{
	const struct scn_span *s = &c->word[1].all;
	const char *near;
	size_t n = 0;

	for (; of[n].name; n++)
		if (scn_span_is(s, of[n].name))
			return &of[n];
	near = scn_nearest(s, of, n, sizeof(of[0]));
	scn_error(c, s,
		  near ? "no instruction '%.*s'; did you mean '%s'?" : "no instruction '%.*s'%s",
		  (int)s->length, s->at, near ? near : "");
	return NULL;
}

static bool finish_instruction(struct scn_compiler *c, struct scn_record *r,
			       const struct scn_key *keys, uint64_t given,
			       const struct instruction *i)
{
	struct scn_instruction_body *b = &r->body.instruction;
	struct scn_tables_regs regs = {b->vttbr, b->vtcr};

	if (!i || !take_canonical(c, r) || !take_registers(c, keys, r, given, &regs))
		return false;
	b->vttbr = regs.vttbr;
	b->vtcr = regs.vtcr;
	b->sys |= i->sys;
	return true;
}

bool scn_finish_tlbi(struct scn_compiler *c, struct scn_record *r, uint64_t given)
{
	const struct instruction *i = find_instruction(c, tlbi_instructions);
	bool ipa = scn_key_given(scn_tlbi_keys, "ipa", given);
	uint64_t address = r->body.words[6];

	r->body.words[6] = 0;
	if (i && ipa && (!i->address || scn_key_given(scn_tlbi_keys, "operand", given)))
		return scn_error(c, NULL, "ipa= makes the operand of ipas2e1 and its like alone");
	if (i && !ipa && !scn_key_given(scn_tlbi_keys, "operand", given) && instruction_takes(i))
		return scn_error(c, NULL, "tlbi %s needs %soperand=", i->name,
				 i->address ? "ipa= or " : "");
	if (ipa)
		r->body.instruction.operand = address >> 12;
	return finish_instruction(c, r, scn_tlbi_keys, given, i);
}

bool scn_finish_guest_at(struct scn_compiler *c, struct scn_record *r, uint64_t given)
{
	if (!scn_key_given(scn_guest_at_keys, "hcr", given))
		r->body.instruction.hcr = 1;
	return finish_instruction(c, r, scn_guest_at_keys, given,
				  find_instruction(c, at_instructions));
}
