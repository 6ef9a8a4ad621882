/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scenarios at EL2: what a vCPU does. The CPU walks: AT S12E1R or W under the context's VTTBR_EL2
 * and VTCR_EL2 says whether the access goes through, and sets access flag and dirty state where it
 * is to; a fault goes to pt_fault_handle(), and then it is tried again. PAR_EL1 knows no execute
 * rights and no fetch: these are those of hw_walk(), with which each answer of the CPU is compared.
 */
#include "scenario.h"
#include "stage2.h"

#include <pt/el2/feature.h>
#include <pt/el2/sysreg.h>
#include <pt/host/hwwalk.h>

#define MAX_EXITS 8 /* an access that faults so often does not end */

#define PAR_F	  UINT64_C(1)
#define PAR_PA	  UINT64_C(0x000ffffffffff001)
#define PAR_FAULT UINT64_C(0x27f) /* S, FST, F */

static void write_vttbr(uint64_t vttbr, uint64_t vtcr, uint64_t hcr)
{
	pt_el2_write_hcr_el2(hcr);
	pt_el2_write_vtcr_el2(vtcr);
	pt_el2_write_vttbr_el2(vttbr);
	pt_el2_isb();
}

void sc_unload(struct sc_world *w)
{
	write_vttbr(0, 0, PT_HCR_RW);
	w->loaded = NULL;
}

/* In a section. The context may have a new number since it was loaded. */
static void load(struct sc_world *w, struct sc_context *c)
{
	uint16_t before = pt_ctx_vmid(&c->pt);

	pt_machine_use(&c->machine->pt, &w->agent);
	if (pt_vmid_get(&c->pt, &w->agent) != PT_OK)
		sc_bail("there is no VMID", 0);
	if (w->loaded == c && before == pt_ctx_vmid(&c->pt))
		return;
	write_vttbr(pt_ctx_vttbr(&c->pt), pt_ctx_vtcr(&c->pt),
		    PT_HCR_RW | PT_HCR_DC | PT_HCR_VM |
			    (c->pt.attrs & PT_ATTR_FWB ? PT_HCR_FWB : 0));
	w->loaded = c;
}

static bool bus_read(void *arg, uint64_t pa, uint64_t *descriptor)
{
	const struct pt_port *port = arg;

	if (pa - port->table_pa >= port->table_bytes)
		return false;
	*descriptor = pt_pte_load(pt_port_table(port, pt_pa(pa)));
	return true;
}

static bool bus_cas(void *arg, uint64_t pa, uint64_t old, uint64_t want)
{
	const struct pt_port *port = arg;
	pt_pte seen = old;

	return pt_pte_hw_cas(pt_port_table(port, pt_pa(pa)), &seen, want);
}

static void walk(struct sc_world *w, struct sc_context *c, uint64_t ipa, enum hw_access kind,
		 bool el0, bool update, struct hw_result *r)
{
	struct hw_regs regs = {.vtcr = pt_ctx_vtcr(&c->pt),
			       .vttbr = pt_ctx_vttbr(&c->pt),
			       .fwb = c->pt.attrs & PT_ATTR_FWB,
			       .xnx = (c->pt.attrs & PT_ATTR_XNX) != 0};
	struct hw_bus bus = {.read = bus_read, .cas = update ? bus_cas : NULL, .arg = &w->port};

	hw_walk(&regs, &bus, ipa, kind, el0, r);
}

static unsigned long qemu(void)
{
	static unsigned long version;

	if (!version)
		version = s2_qemu();
	return version;
}

/* QEMU before 8 does not begin at level 0 with 16K (docs/el2.md). */
static bool cpu_has(const struct sc_context *c)
{
	return c->pt.geo.granule_shift != 14 || c->pt.geo.start_level > 0 || qemu() >= 8;
}

/* AT S12E1W heeds no DBM in QEMU 11, a write does (docs/el2.md). */
static bool cpu_says_clean(const struct hw_result *r, bool write)
{
	return write && r->fault == HW_NO_FAULT && !(r->descriptor & PT_PTE_S2AP_W) && qemu() >= 11;
}

/* What the CPU set in the entry that this walk met before; a checker is told of it by us alone. */
static void note_update(struct sc_world *w, const struct hw_result *r)
{
	const volatile pt_pte *entry;
	pt_pte now;

	if (r->fault != HW_NO_FAULT)
		return;
	entry = pt_port_table(&w->port, pt_pa(r->step[r->steps - 1].entry));
	now = *entry;
	if (now != r->descriptor)
		pt_port_note(PT_EVENT_HW_CAS, 0, (const void *)entry, NULL, r->descriptor, now);
}

/* PAR_EL1 of the CPU, which has to be what the walker says in *r. In a section. */
static uint64_t ask_cpu(struct sc_world *w, struct sc_context *c, uint64_t ipa, bool write,
			struct hw_result *r)
{
	struct hw_syndrome syndrome;
	uint64_t par, seen, wanted;

	load(w, c);
	walk(w, c, ipa, write ? HW_WRITE : HW_READ, false, false, r);
	if (write)
		__asm__ volatile("at s12e1w, %0\n\tisb" ::"r"(ipa) : "memory");
	else
		__asm__ volatile("at s12e1r, %0\n\tisb" ::"r"(ipa) : "memory");
	par = pt_el2_read_par_el1();
	note_update(w, r);
	if (!cpu_has(c))
		return par;
	w->compared++;
	hw_syndrome(r, ipa, write ? HW_WRITE : HW_READ, false, 0, &syndrome);
	seen = par & (par & PAR_F ? PAR_FAULT : PAR_PA);
	wanted = r->fault == HW_NO_FAULT ? r->pa & PAR_PA & ~PAR_F
					 : 0x201 | (syndrome.esr & 0x3f) << 1;
	if (cpu_says_clean(r, write))
		wanted = 0x201 | (UINT64_C(0xc) | (unsigned)r->level) << 1;
	if (seen != wanted) {
		printf("# AT of 0x%lx: PAR_EL1 0x%lx, the walker has 0x%lx\n", (unsigned long)ipa,
		       (unsigned long)par, (unsigned long)wanted);
		sc_bail("the CPU and the walker differ", par);
	}
	return par;
}

/* The access as the hardware makes it, or its fault: a fetch has rights of its own, and what
 * VTCR_EL2.HA and HD keep is set by now, or by this walk. In a section. */
static void try(struct sc_world *w, struct sc_context *c, uint64_t ipa, enum hw_access kind,
		bool el0, struct hw_result *r)
{
	ask_cpu(w, c, ipa, kind == HW_WRITE, r);
	if (kind == HW_EXEC || kind == HW_AT || c->pt.vtcr_flags & PT_VTCR_HA)
		walk(w, c, ipa, kind, el0, true, r);
}

static uint8_t fault_type(enum hw_fault fault)
{
	return fault == HW_PERMISSION	 ? PT_FAULT_PERMISSION
	       : fault == HW_ACCESS_FLAG ? PT_FAULT_ACCESS_FLAG
					 : PT_FAULT_TRANSLATION;
}

/* A contiguous group that lacks the right as a whole gets it, and the fault is over. */
enum pt_outcome sc_relax_group(struct sc_world *w, struct sc_context *c,
			       const struct pt_fault_todo *todo)
{
	static struct pt_txn txn;
	struct pt_item item = {.ctx = &c->pt,
			       .ipa = todo->ipa,
			       .size = todo->size,
			       .prot = todo->prot,
			       .kind = PT_ITEM_RELAX};
	enum pt_outcome o = pt_txn_init(&txn, &item, 1, 0, false, NULL);

	txn.quiet = true;
	if (o == PT_OK)
		o = sc_run_txn(w, &txn);
	return o == PT_OK ? (enum pt_outcome)item.outcome : o;
}

static enum pt_outcome handle(struct sc_world *w, struct sc_context *c,
			      const struct pt_fault *fault, struct pt_fault_result *result,
			      struct scn_reply *reply)
{
	enum pt_outcome o, group;

	if (c->canonical)
		return sc_nested_fault(w, c, fault, result, reply);
	pt_section_begin(&w->agent);
	pt_machine_use(&c->machine->pt, &w->agent);
	o = pt_fault_handle(&w->agent, &c->pt, fault, result);
	pt_section_end(&w->agent);
	if (result->todo.kind == PT_TODO_COLLAPSE)
		sc_fold_later(c, result->todo.ipa.v, result->todo.size);
	if (o != PT_DENIED || result->todo.kind != PT_TODO_RELAX)
		return o;
	group = sc_relax_group(w, c, &result->todo);
	return group == PT_RELAXED || group == PT_ALREADY_MAPPED ? group : o;
}

/* A fault is data of the reply, also where it is the host's, at an address beyond its context; an
 * error is what kept it from being handled. */
static bool is_answer(enum pt_outcome o, const struct scn_reply *reply)
{
	return !pt_is_error(o) || o == PT_NOT_MAPPED || o == PT_WRONG_OWNER ||
	       (o == PT_OUT_OF_RANGE && reply->fact[SCN_FACT_taker] > 1);
}

static void fail_access(struct scn_reply *reply, enum pt_outcome o, uint64_t ipa, int level)
{
	sc_fail(reply, &(struct pt_error){.code = o, .ipa = pt_ipa(ipa), .level = (int8_t)level});
}

static uint64_t rights(const struct hw_result *r)
{
	return (r->read ? PT_PROT_R : 0u) | (r->write ? PT_PROT_W : 0u) |
	       (r->exec_el1 ? PT_PROT_PX : 0u) | (r->exec_el0 ? PT_PROT_UX : 0u);
}

/* Bytes to or from the machine's memory, and the facts of an access that went through. */
static enum pt_outcome move(const struct sc_machine *m, const struct scn_access_body *b,
			    const struct hw_result *r, struct scn_reply *reply)
{
	uint64_t data = 0;

	if (b->length && r->pa + b->length > m->memory_bytes)
		return PT_OUT_OF_RANGE;
	for (unsigned i = 0; i < b->length; i++)
		if (b->kind == PT_ACCESS_WRITE)
			sc_write_byte(m, r->pa + i, b->data >> 8 * i & 0xff);
		else
			data |= sc_read_byte(m, r->pa + i) << 8 * i;
	scn_set_fact(reply, SCN_FACT_data, data);
	scn_set_fact(reply, SCN_FACT_pa, r->pa);
	scn_set_fact(reply, SCN_FACT_level, (uint64_t)(int64_t)r->level);
	scn_set_fact(reply, SCN_FACT_prot, rights(r));
	return PT_OK;
}

static bool resolved(enum pt_outcome o)
{
	return o == PT_MAPPED || o == PT_ALREADY_MAPPED || o == PT_RELAXED || o == PT_MADE_YOUNG ||
	       o == PT_RACED;
}

/* One exit: its fault is handled, or *o says why not. */
static void take_exit(struct sc_world *w, struct sc_context *c, struct pt_fault *fault,
		      struct scn_reply *reply, struct scn_sums *sums, enum pt_outcome *o)
{
	struct pt_fault_result result = {0};

	*o = handle(w, c, fault, &result, reply);
	reply->fact[SCN_FACT_exits]++;
	reply->fact[SCN_FACT_tables_added] += result.tables_added;
	if (is_answer(*o, reply))
		scn_count_exit(sums, *o);
}

/* Until it goes through, or an exit is not resolved. */
static enum pt_outcome run(struct sc_world *w, struct sc_context *c,
			   const struct scn_access_body *b, struct pt_fault *fault,
			   struct scn_reply *reply, struct scn_sums *sums, struct hw_result *hw)
{
	enum hw_access kind =
		fault->s1ptw && b->kind == PT_ACCESS_EXEC ? HW_READ : (enum hw_access)b->kind;
	enum pt_outcome o;

	for (unsigned i = 0; i < MAX_EXITS; i++) {
		pt_section_begin(&w->agent);
		try(w, c, fault->ipa.v, kind, b->flags & SCN_ACCESS_EL0, hw);
		pt_section_end(&w->agent);
		if (hw->fault == HW_NO_FAULT)
			return move(c->machine, b, hw, reply);
		fault->access = kind == HW_AT ? PT_ACCESS_READ : (uint8_t)kind;
		fault->type = fault_type(hw->fault);
		fault->level = hw->level;
		scn_set_fact(reply, SCN_FACT_fault, hw->fault);
		take_exit(w, c, fault, reply, sums, &o);
		if (!resolved(o))
			return o;
	}
	return PT_INTERNAL;
}

void sc_access(struct sc_world *w, const struct scn_record *r, uint64_t ipa, uint32_t vcpu,
	       struct scn_reply *reply, struct scn_sums *sums)
{
	sc_access_at(w, &w->context[r->object], &r->body.access, ipa, vcpu, reply, sums);
}

/* Whose right a fetch needs. */
static uint8_t exec_of(uint32_t flags)
{
	return flags & SCN_ACCESS_EL0 ? PT_PROT_UX : PT_PROT_PX;
}

void sc_access_at(struct sc_world *w, struct sc_context *c, const struct scn_access_body *b,
		  uint64_t ipa, uint32_t vcpu, struct scn_reply *reply, struct scn_sums *sums)
{
	uint64_t *most = &sums->fact[SCN_FACT_max_exits - SCN_STAGE_FIRST];
	struct pt_fault fault = {.ipa = pt_ipa(ipa),
				 .vcpu = vcpu,
				 .s1ptw = b->flags & SCN_ACCESS_S1PTW,
				 .exec = exec_of(b->flags)};
	uint64_t granule = UINT64_C(1) << c->pt.geo.granule_shift;
	struct hw_result hw = {0};
	enum pt_outcome o;

	if (vcpu >= c->machine->vcpus || (ipa & (granule - 1)) + b->length > granule) {
		fail_access(reply, PT_INVALID, ipa, PT_TTL_UNKNOWN);
		return;
	}
	o = run(w, c, b, &fault, reply, sums, &hw);
	if (!is_answer(o, reply)) {
		int level = reply->fact[SCN_FACT_exits] ? hw.level : PT_TTL_UNKNOWN;

		memset(reply->fact, 0, sizeof(reply->fact));
		fail_access(reply, o, ipa, level);
		return;
	}
	scn_set_fact(reply, SCN_FACT_outcome, o);
	scn_count(sums, SCN_FACT_accesses, 1);
	if (reply->fact[SCN_FACT_exits] > *most)
		*most = reply->fact[SCN_FACT_exits];
}

/* From ESR, FAR and HPFAR_EL2; the last is UNKNOWN on a permission fault outside a stage-1 walk,
 * and stage 1 is off. */
static bool raw_fault(const struct scn_fault_body *b, struct pt_fault *fault)
{
	struct hw_abort abort;

	if (!hw_decode_abort(b->esr, &abort) || abort.fault == HW_ADDRESS_SIZE ||
	    abort.fault == HW_EXTERNAL || abort.fault == HW_TLB_CONFLICT)
		return false;
	fault->type = fault_type(abort.fault);
	fault->level = abort.level;
	fault->access = (uint8_t)abort.access;
	fault->s1ptw = abort.s1ptw;
	if (abort.fault == HW_PERMISSION && !abort.s1ptw)
		fault->ipa = pt_ipa(b->far);
	else
		fault->ipa = pt_ipa((b->hpfar & UINT64_C(0x0000fffffffffff0)) << 8 |
				    (abort.s1ptw ? 0 : b->far & 0xfff));
	return true;
}

/* The fault that a walk would raise now; a translation fault if it raises none. */
static bool plain_fault(struct sc_world *w, struct sc_context *c, const struct scn_fault_body *b,
			struct pt_fault *fault)
{
	struct hw_result r;

	if (b->kind < PT_ACCESS_READ || b->kind > PT_ACCESS_EXEC)
		return false;
	pt_section_begin(&w->agent);
	walk(w, c, b->ipa, (enum hw_access)b->kind, b->flags & SCN_ACCESS_EL0, false, &r);
	pt_section_end(&w->agent);
	fault->ipa = pt_ipa(b->ipa);
	fault->access = (uint8_t)b->kind;
	fault->type = fault_type(r.fault);
	fault->level = r.level;
	return true;
}

void sc_fault(struct sc_world *w, const struct scn_record *r, uint32_t vcpu,
	      struct scn_reply *reply, struct scn_sums *sums)
{
	struct sc_context *c = &w->context[r->object];
	const struct scn_fault_body *b = &r->body.fault;
	struct pt_fault_result result = {.level = PT_TTL_UNKNOWN};
	struct pt_fault fault = {.vcpu = vcpu, .exec = exec_of(b->flags)};
	enum pt_outcome o = PT_INVALID;

	if (vcpu < c->machine->vcpus &&
	    (b->esr ? raw_fault(b, &fault) : plain_fault(w, c, b, &fault)))
		o = handle(w, c, &fault, &result, reply);
	if (!is_answer(o, reply)) {
		fail_access(reply, o, fault.ipa.v, result.level);
		return;
	}
	scn_set_fact(reply, SCN_FACT_outcome, o);
	scn_set_fact(reply, SCN_FACT_pa, result.pa.v);
	scn_set_fact(reply, SCN_FACT_level, (uint64_t)(int64_t)result.level);
	scn_set_fact(reply, SCN_FACT_prot, result.prot & PT_PROT_RIGHTS);
	scn_set_fact(reply, SCN_FACT_tables_added, result.tables_added);
	scn_count_exit(sums, o);
}

/* Bytes that the answer holds for: the leaf's, or those of the entry that ended the walk. */
static uint64_t span_of(const struct pt_geometry *g, const struct hw_result *r)
{
	if (r->fault == HW_NO_FAULT || r->span)
		return r->span;
	return r->level >= g->start_level && r->level <= PT_LEVEL_LAST ? pt_level_size(g, r->level)
								       : 0;
}

void sc_translate(struct sc_world *w, const struct scn_record *r, struct scn_reply *reply)
{
	struct sc_context *c = &w->context[r->object];
	const struct scn_fault_body *b = &r->body.fault;
	struct hw_result hw, asked;
	uint64_t par = 0;

	if (b->vcpu >= c->machine->vcpus || b->ipa >> c->pt.geo.ipa_bits) {
		fail_access(reply, b->ipa >> c->pt.geo.ipa_bits ? PT_OUT_OF_RANGE : PT_INVALID,
			    b->ipa, PT_TTL_UNKNOWN);
		return;
	}
	pt_section_begin(&w->agent);
	walk(w, c, b->ipa, (enum hw_access)b->kind, b->flags & SCN_ACCESS_EL0, false, &hw);
	/* Nothing is to change: an AT instruction may set what hardware keeps. */
	if (!(c->pt.vtcr_flags & PT_VTCR_HA))
		par = ask_cpu(w, c, b->ipa, b->kind == PT_ACCESS_WRITE, &asked);
	pt_section_end(&w->agent);
	scn_set_fact(reply, SCN_FACT_outcome,
		     hw.fault == HW_NO_FAULT	 ? PT_OK
		     : hw.fault == HW_PERMISSION ? PT_DENIED
						 : PT_NOT_MAPPED);
	scn_set_fact(reply, SCN_FACT_fault, hw.fault);
	scn_set_fact(reply, SCN_FACT_level, (uint64_t)(int64_t)hw.level);
	scn_set_fact(reply, SCN_FACT_span, span_of(&c->pt.geo, &hw));
	scn_set_fact(reply, SCN_FACT_par, par);
	if (hw.fault == HW_NO_FAULT)
		scn_set_fact(reply, SCN_FACT_pa, hw.pa);
	if (hw.fault == HW_NO_FAULT || hw.fault == HW_PERMISSION || hw.fault == HW_ACCESS_FLAG)
		scn_set_fact(reply, SCN_FACT_prot,
			     pt_leaf_prot(&c->pt.geo, hw.descriptor, c->pt.attrs) & PT_PROT_RIGHTS);
}
