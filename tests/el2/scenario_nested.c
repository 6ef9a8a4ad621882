/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenarios at EL2: guest hypervisors. Their memory is that of the machine, as their context's
 * leaves and slots have it; the CPU walks the shadows. */
#include "scenario.h"

#include "../../client/instructions.h"

#include <pt/guest_at.h>
#include <pt/host/hwwalk.h>
#include <ptd.h>

#define HCR_VM UINT64_C(1)

struct sc_nest {
	struct pt_nested pt;
	_Atomic(struct pt_shadow *) arrays[]; /* pt's buckets, then its shadows by number */
};

/* ---- its memory ---- */

/* In a section. */
static bool find(struct sc_context *c, uint64_t ipa, uint64_t *pa, bool *write)
{
	const struct pt_slot *slot = pt_slot_find(pt_ctx_slots(&c->pt), ipa);
	int level;
	pt_pte e;

	*write = slot && !(slot->flags & PT_SLOT_READ_ONLY);
	if (ipa >> c->pt.geo.ipa_bits)
		return false;
	if (pt_get_leaf(&c->pt, pt_ipa(ipa), &e, &level) == PT_OK && pt_pte_valid(e)) {
		*pa = pt_pte_to_oa(&c->pt.geo, e).v +
		      (ipa & (pt_level_size(&c->pt.geo, level) - 1));
		*write |= (e & PT_PTE_S2AP_W) != 0;
		return e & PT_PTE_S2AP_R && *pa + 8 <= c->machine->memory_bytes;
	}
	if (slot)
		*pa = slot->pa + (ipa - slot->ipa);
	return slot;
}

static uint64_t word_at(const struct sc_machine *m, uint64_t pa)
{
	uint64_t word = 0;

	for (unsigned i = 0; i < 8; i++)
		word |= sc_read_byte(m, pa + i) << 8 * i;
	return word;
}

static enum pt_outcome load(void *arg, struct pt_ipa ipa, uint64_t *word)
{
	struct sc_context *c = arg;
	uint64_t pa;
	bool write;

	if (!find(c, ipa.v, &pa, &write))
		return PT_NO_SLOT;
	*word = word_at(c->machine, pa);
	return PT_OK;
}

static enum pt_outcome swap(void *arg, struct pt_ipa ipa, uint64_t *word, uint64_t to)
{
	struct sc_context *c = arg;
	uint64_t pa, had = *word;
	bool write;

	if (!find(c, ipa.v, &pa, &write))
		return PT_NO_SLOT;
	if (!write)
		return PT_READ_ONLY;
	*word = word_at(c->machine, pa);
	if (*word != had)
		return PT_RACED;
	for (unsigned i = 0; i < 8; i++)
		sc_write_byte(c->machine, pa + i, to >> 8 * i & 0xff);
	pt_dirty_mark(&c->pt, ipa, sizeof(to));
	return PT_OK;
}

/* ---- the life of shadows ---- */

enum pt_outcome sc_nest_make(struct sc_world *w, struct sc_context *c, uint32_t shadows)
{
	const struct pt_guest_memory memory = {.load = load, .swap = swap, .arg = c};
	uint32_t buckets = 1;
	struct sc_nest *n;
	enum pt_outcome o;

	(void)w;
	while (buckets < shadows)
		buckets *= 2;
	n = calloc(1, sizeof(*n) + ((size_t)buckets + shadows) * sizeof(n->arrays[0]));
	if (!n)
		return PT_NO_MEMORY;
	o = pt_nested_init(&n->pt, &c->pt, &memory, n->arrays, buckets, n->arrays + buckets,
			   shadows, UINT64_MAX, 0);
	if (o == PT_OK)
		c->nest = n;
	else
		free(n);
	return o;
}

static struct sc_context *of_shadow(struct pt_shadow *s)
{
	return (struct sc_context *)(void *)((unsigned char *)s -
					     offsetof(struct sc_context, shadow));
}

void sc_shadow_end(struct sc_world *w, struct sc_context *c)
{
	static struct pt_shadow_end end;

	if (w->loaded == c)
		sc_unload(w);
	for (; c->vcpus; c->vcpus &= c->vcpus - 1)
		pt_shadow_unuse(&c->shadow);
	if (pt_shadow_end_begin(&end, &c->shadow, NULL) != PT_OK ||
	    sc_run_shadow_end(w, &end) != PT_OK)
		sc_bail("a shadow does not go", 0);
	c->live = false;
}

void sc_nest_end(struct sc_world *w, struct sc_context *c)
{
	for (uint32_t i = 0; c->nest && i < SCN_MAX_CONTEXTS; i++)
		if (w->context[i].live && w->context[i].canonical == c)
			sc_shadow_end(w, &w->context[i]);
}

void sc_nest_close(struct sc_world *w, struct sc_context *c)
{
	enum pt_outcome o = PT_MORE;

	while (c->nest && o == PT_MORE) {
		pt_section_begin(&w->agent);
		o = pt_nested_close(&c->nest->pt, &w->agent, STEP_VISITS);
		pt_section_end(&w->agent);
	}
	free(c->nest);
	c->nest = NULL;
}

/* As a machine of this size says it, in ID_AA64MMFR0_EL1.PARange. */
static struct pt_guest_regs regs_of(const struct sc_context *c, uint64_t vttbr, uint64_t vtcr,
				    uint64_t hcr)
{
	static const unsigned size[] = {32, 36, 40, 42, 44, 48, 52};
	unsigned i = 0;

	while (size[i] < c->pt.geo.ipa_bits)
		i++;
	return (struct pt_guest_regs){.vttbr = vttbr,
				      .vtcr = vtcr,
				      .hcr = hcr,
				      .pa_bits = size[i],
				      .attrs = c->pt.attrs & (PT_ATTR_FWB | PT_ATTR_XNX)};
}

/* In a section, but for one that has to go first. */
static enum pt_outcome make(struct sc_world *w, struct sc_context *c, struct sc_context *canonical,
			    const struct pt_shadow_key *key, const struct pt_guest_regs *regs)
{
	struct pt_nested *n = &canonical->nest->pt;
	struct pt_shadow *oldest;
	enum pt_outcome o;

	memset(c, 0, sizeof(*c));
	o = pt_shadow_init(&c->shadow, n, &w->agent, key, regs,
			   atomic_load(&canonical->pt.quota_pages));
	oldest = o == PT_QUOTA ? pt_shadow_oldest(n) : NULL;
	if (oldest) {
		pt_section_end(&w->agent);
		sc_shadow_end(w, of_shadow(oldest));
		pt_section_begin(&w->agent);
		return make(w, c, canonical, key, regs);
	}
	c->canonical = canonical;
	c->machine = canonical->machine;
	c->live = o == PT_OK;
	return o;
}

/* What a vCPU of the machine runs, of this context or, with NULL, of any. */
static void leave(struct sc_world *w, const struct sc_machine *m, const struct sc_context *of,
		  uint32_t vcpu)
{
	for (uint32_t i = 0; i < SCN_MAX_CONTEXTS; i++) {
		struct sc_context *c = &w->context[i];

		if (!c->live || !c->canonical || c->machine != m || (of && c->canonical != of) ||
		    !(c->vcpus >> vcpu & 1))
			continue;
		c->vcpus &= ~(UINT64_C(1) << vcpu);
		pt_shadow_unuse(&c->shadow);
	}
}

static enum pt_outcome enter(struct sc_world *w, const struct scn_record *r,
			     struct sc_context *canonical, struct scn_reply *reply)
{
	const struct scn_enter_body *b = &r->body.enter;
	const struct pt_guest_regs regs = regs_of(canonical, b->vttbr, b->vtcr, b->hcr);
	const struct pt_shadow_key key = pt_shadow_key_of(&regs);
	struct sc_context *c = &w->context[r->object];
	struct pt_shadow *s = &c->shadow;
	enum pt_outcome o;

	pt_section_begin(&w->agent);
	o = pt_shadow_find(&canonical->nest->pt, &key, &s);
	if (o == PT_OK && of_shadow(s) != c)
		sc_bail("one shadow has two names", r->line);
	scn_set_fact(reply, SCN_FACT_created, o == PT_NOT_FOUND);
	if (o == PT_NOT_FOUND)
		o = make(w, c, canonical, &key, &regs);
	if (o == PT_OK)
		o = pt_shadow_use(&c->shadow);
	if (o == PT_OK) {
		leave(w, c->machine, NULL, b->vcpu);
		c->vcpus |= UINT64_C(1) << b->vcpu;
	}
	pt_section_end(&w->agent);
	return o;
}

/* ---- what it does ---- */

static enum pt_outcome write_tables(struct sc_world *w, const struct scn_record *r,
				    struct sc_context *c)
{
	struct ptd_guest_tables t;
	uint8_t *memory = scn_tables_build(r, &t);
	struct scn_sums sums = {0};
	enum pt_outcome o = memory ? PT_OK : PT_INVALID;

	for (size_t at = 0; o == PT_OK && at < t.bytes; at += 8) {
		struct scn_access_body b = {.kind = PT_ACCESS_WRITE, .length = 8};
		struct scn_reply one = {0};

		memcpy(&b.data, memory + at, sizeof(b.data));
		sc_access_at(w, c, &b, t.base.v + at, r->body.tables.vcpu, &one, &sums);
		o = (enum pt_outcome)one.fact[SCN_FACT_outcome];
	}
	free(memory);
	return o;
}

static enum pt_outcome invalidate(struct sc_world *w, const struct scn_instruction_body *b,
				  struct sc_context *c, struct scn_reply *reply)
{
	struct pt_guest_tlbi_op op;
	struct pt_guest_tlbi tlbi;
	enum pt_outcome o = pt_guest_tlbi_decode(b->sys, b->operand, b->vtcr, &tlbi);
	uint64_t vmid = b->vttbr >> 48;

	if (o != PT_OK)
		return o;
	if (!(pt_geometry_vtcr_flags(b->vtcr) & PT_VTCR_VS))
		vmid &= 0xff;
	pt_guest_tlbi_begin(&op, &c->nest->pt, (uint16_t)vmid, &tlbi);
	o = sc_run_tlbi(w, &op);
	scn_set_fact(reply, SCN_FACT_leaves_removed, op.removed);
	return o;
}

/* The order of the instructions is that of enum pt_guest_at_op. */
static enum pt_outcome translate(struct sc_world *w, const struct scn_instruction_body *b,
				 struct sc_context *c, struct scn_reply *reply)
{
	const struct pt_guest_regs regs = regs_of(c, b->vttbr, b->vtcr, b->hcr);
	const struct pt_guest_at_regs at = {.hcr = b->hcr, .pa_bits = regs.pa_bits};
	struct pt_guest_at_result result = {0};
	struct pt_guest_s2 s2;
	enum pt_outcome o;
	unsigned op = 0;

	while (op < PT_AT_OPS && at_instructions[op].sys != b->sys)
		op++;
	o = op < PT_AT_OPS ? pt_guest_s2_decode(&s2, &regs) : PT_UNSUPPORTED;
	if (o != PT_OK)
		return o;
	pt_section_begin(&w->agent);
	pt_machine_use(&c->machine->pt, &w->agent);
	o = pt_guest_at(&c->nest->pt.memory, b->hcr & HCR_VM ? &s2 : NULL, &at,
			(enum pt_guest_at_op)op, b->operand, &result);
	pt_section_end(&w->agent);
	scn_set_fact(reply, SCN_FACT_par, result.par);
	return o;
}

static enum pt_outcome operate(struct sc_world *w, const struct scn_record *r, struct sc_context *c,
			       struct scn_reply *reply)
{
	uint32_t vcpu = r->op == SCN_TABLES  ? r->body.tables.vcpu
			: r->op == SCN_ENTER ? r->body.enter.vcpu
					     : r->body.instruction.vcpu;

	if (!c->live)
		return PT_NOT_FOUND;
	if (r->op == SCN_TABLES)
		return write_tables(w, r, c);
	if (!c->nest)
		return PT_WRONG_STATE;
	if (vcpu >= c->machine->vcpus || vcpu >= 64)
		return PT_INVALID;
	switch (r->op) {
	case SCN_ENTER: return enter(w, r, c, reply);
	case SCN_EXIT: leave(w, c->machine, c, vcpu); return PT_OK;
	case SCN_TLBI: return invalidate(w, &r->body.instruction, c, reply);
	default: return translate(w, &r->body.instruction, c, reply);
	}
}

/* A refused AT is data of the reply, as an access is. */
void sc_nested(struct sc_world *w, const struct scn_record *r, struct scn_reply *reply)
{
	uint32_t index = r->op == SCN_ENTER ? r->body.enter.canonical : r->object;
	enum pt_outcome o = operate(w, r, &w->context[index], reply);

	if (o == PT_OK || (r->op == SCN_GUEST_AT && o == PT_DENIED))
		scn_set_fact(reply, SCN_FACT_outcome, o);
	else
		sc_fail(reply, &(struct pt_error){.code = o, .level = PT_TTL_UNKNOWN});
}

/* ---- faults ---- */

static void tell_taker(const struct pt_nested_result *r, struct scn_reply *reply)
{
	struct hw_abort abort = {0};

	scn_set_fact(reply, SCN_FACT_taker, 1 + (uint64_t)r->who);
	scn_set_fact(reply, SCN_FACT_canonical, r->who == PT_NESTED_GUEST ? 0 : r->canonical.v);
	if (r->who != PT_NESTED_GUEST)
		return;
	hw_decode_abort(UINT64_C(0x24) << 26 | r->fault.fsc, &abort);
	scn_set_fact(reply, SCN_FACT_fault, abort.fault);
	scn_set_fact(reply, SCN_FACT_level, (uint64_t)(int64_t)r->fault.level);
}

static enum pt_outcome once(struct sc_world *w, struct sc_context *c,
			    const struct pt_nested_fault *fault, struct pt_nested_result *r)
{
	enum pt_outcome o;

	pt_section_begin(&w->agent);
	o = pt_nested_fault(&w->agent, &c->shadow, fault, r);
	pt_section_end(&w->agent);
	if (r->host.todo.kind == PT_TODO_COLLAPSE)
		sc_fold_later(c->canonical, r->host.todo.ipa.v, r->host.todo.size);
	return o;
}

enum pt_outcome sc_nested_fault(struct sc_world *w, struct sc_context *c,
				const struct pt_fault *fault, struct pt_fault_result *result,
				struct scn_reply *reply)
{
	const struct pt_nested_fault in = {.ipa = fault->ipa,
					   .vcpu = fault->vcpu,
					   .access = fault->access,
					   .type = fault->type,
					   .level = fault->level,
					   .el0 = fault->exec == PT_PROT_UX,
					   .s1ptw = fault->s1ptw};
	struct pt_nested_result r;
	bool relaxed = false;
	uint32_t tables = 0;
	enum pt_outcome o;

	do {
		o = once(w, c, &in, &r);
		tables += r.tables_added;
		if (o == PT_DENIED && r.who == PT_NESTED_HOST && !relaxed &&
		    r.host.todo.kind == PT_TODO_RELAX) {
			sc_relax_group(w, c->canonical, &r.host.todo);
			relaxed = true;
			o = PT_RACED;
		}
	} while (o == PT_RACED);
	*result = (struct pt_fault_result){.level = r.level, .prot = r.prot, .pa = r.pa};
	if (r.who != PT_NESTED_NOBODY)
		result->level = r.who == PT_NESTED_HOST ? r.host.level : r.fault.level;
	result->tables_added = tables;
	tell_taker(&r, reply);
	return o;
}

void sc_nested_state(const struct sc_context *c, struct scn_state *state)
{
	const struct sc_nest *n = c->canonical ? c->canonical->nest : c->nest;
	const struct pt_nested *nested = n ? &n->pt : NULL;

	if (!nested)
		return;
	state->fact[SCN_FACT_shadows - SCN_STATE_FIRST] = atomic_load(&nested->live);
	state->fact[SCN_FACT_fills - SCN_STATE_FIRST] = pt_nested_fills(nested);
	state->fact[SCN_FACT_killed - SCN_STATE_FIRST] = atomic_load(&nested->counts.killed);
	state->fact[SCN_FACT_invalidated - SCN_STATE_FIRST] =
		atomic_load(&nested->counts.invalidated);
	state->fact[SCN_FACT_recycled - SCN_STATE_FIRST] = atomic_load(&nested->counts.recycled);
}
