/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Host port: what a vCPU does when it touches memory: look up, walk, fault, handle, retry, move
 * bytes.
 *
 * All of it runs in the caller's section. A translation, from the TLB or from a walk, is used
 * before the section ends and forgotten then, so that whoever waits for sections after an
 * invalidation has waited for every use.
 */
#include "tlb.h"

#include <assert.h>

#define FILL_TRIES  4
#define BREAK_TRIES 1000 /* an entry is LOCKED for one TLBI, unless its writer lost its CPU */

/* One pt_host_access() in progress. */
struct run {
	struct pt_agent *agent;
	struct pt_ctx *ctx;
	struct pt_port_mmu *mmu;
	struct pt_host_vcpu *vcpu;
	struct pt_host_access *a;
	enum hw_access kind; /* what rights the access needs; a stage-1 table walk reads */
};

static bool table_offset(const struct pt_port *port, uint64_t pa, uint64_t *off)
{
	*off = pa - port->table_pa;
	return pa >= port->table_pa && *off < port->table_bytes && pa % sizeof(pt_pte) == 0;
}

static bool bus_read(void *arg, uint64_t pa, uint64_t *descriptor)
{
	const struct pt_port *port = arg;
	uint64_t off;

	if (!table_offset(port, pa, &off))
		return false;
	*descriptor = pt_pte_load(pt_port_table(port, pt_pa(pa)));
	return true;
}

static bool bus_cas(void *arg, uint64_t pa, uint64_t old, uint64_t want)
{
	const struct pt_port *port = arg;
	pt_pte seen = old;
	uint64_t off;

	return table_offset(port, pa, &off) &&
	       pt_pte_hw_cas(pt_port_table(port, pt_pa(pa)), &seen, want);
}

static void walk(struct pt_ctx *ctx, uint64_t ipa, enum hw_access kind, bool el0, bool update,
		 struct hw_result *r)
{
	struct hw_regs regs = {
		.vtcr = pt_ctx_vtcr(ctx),
		.vttbr = pt_ctx_vttbr(ctx),
		.fwb = ctx->attrs & PT_ATTR_FWB,
		.xnx = ctx->attrs & PT_ATTR_XNX,
	};
	struct hw_bus bus = {
		.read = bus_read, .cas = update ? bus_cas : NULL, .arg = ctx->machine->port};

	hw_walk(&regs, &bus, ipa, kind, el0, r);
}

/* An entry between break and make is no hole: what it maps is the same before and after, or is
 * being replaced by another operation. */
static bool under_break(const struct hw_result *r)
{
	return r->fault == HW_TRANSLATION && pt_pte_locked(r->descriptor);
}

enum pt_outcome pt_host_translate(struct pt_ctx *ctx, struct pt_ipa ipa, enum pt_access access,
				  bool el0, struct hw_result *result)
{
	for (unsigned i = 0; i < BREAK_TRIES; i++) {
		walk(ctx, ipa.v, (enum hw_access)access, el0, false, result);
		if (!under_break(result))
			return PT_OK;
		pt_port_relax();
	}
	return PT_RACED;
}

static_assert((int)HW_READ == PT_ACCESS_READ && (int)HW_WRITE == PT_ACCESS_WRITE &&
		      (int)HW_EXEC == PT_ACCESS_EXEC && (int)HW_AT == PT_ACCESS_AT,
	      "one numbering of accesses");

/* The entry that a walk without fault leaves behind. */
static struct tlb_pair pair_of(const struct pt_ctx *ctx, uint16_t vmid, uint64_t ipa,
			       const struct hw_result *r)
{
	const struct pt_geometry *g = &ctx->geo;
	/* A contiguous group is one entry (Arm ARM D8.7.1: it may be, so here it is). */
	unsigned shift = (unsigned)__builtin_ctzll(r->span), code = tlb_code_of(shift);
	uint64_t rights = (r->read ? PT_PROT_R : 0) | (r->write ? PT_PROT_W : 0) |
			  (r->exec_el1 ? PT_PROT_PX : 0) | (r->exec_el0 ? PT_PROT_UX : 0);
	uint64_t memtype = pt_prot_memtype(pt_leaf_prot(g, r->descriptor, ctx->attrs));
	struct tlb_pair pair = {.tag = tlb_tag(ipa, vmid, code)};

	if (r->level < PT_LEVEL_LAST && r->descriptor & PT_PTE_NT)
		rights |= TLB_DATA_NT;
	/* Writable but clean (DBM): the first write has to walk, to make the leaf dirty. */
	if (r->write && !(r->descriptor & PT_PTE_S2AP_W))
		rights |= TLB_DATA_CLEAN;
	pair.data =
		(r->pa >> shift << shift) | (uint64_t)(r->level + 1) << 7 | memtype << 5 | rights;
	return pair;
}

static bool grants(uint64_t data, enum hw_access kind, bool el0)
{
	switch (kind) {
	case HW_WRITE: return data & PT_PROT_W;
	case HW_EXEC: return data & (el0 ? PT_PROT_UX : PT_PROT_PX);
	default: return data & PT_PROT_R;
	}
}

/* An IPA beyond the space never reaches the TLB, whose tags have no room for it (B9). */
static bool look_up(struct run *run, struct tlb_pair *pair)
{
	uint64_t ipa = run->a->ipa.v;
	uint16_t vmid = pt_ctx_vmid(run->ctx);
	bool hit = false;

	if (ipa >> run->ctx->geo.ipa_bits || !vmid)
		return false;
	if (run->vcpu->adversary)
		hit = adversary_lookup(run->vcpu->adversary, ipa, vmid, pair);
	else
		hit = tlb_lookup(run->mmu, run->vcpu, ipa, vmid, pair);
	return hit && !(run->kind == HW_WRITE && pair->data & TLB_DATA_CLEAN);
}

static bool fill(struct run *run, const struct tlb_pair *pair, uint64_t generation)
{
	if (run->vcpu->adversary)
		return adversary_fill(run->mmu, run->vcpu->adversary, pair, generation);
	return tlb_fill(run->mmu, run->vcpu, pair, generation);
}

/*
 * Walks and fills. False: a fault, in *r. When invalidations keep coming, the last walk is used
 * without being kept: this section may use what it read (B19), the next access walks again.
 */
static bool walk_and_fill(struct run *run, struct tlb_pair *pair, struct hw_result *r)
{
	const struct pt_host_access *a = run->a;

	for (int i = 0; i < FILL_TRIES; i++) {
		uint64_t generation = atomic_load(&run->mmu->generation);
		uint16_t vmid = pt_ctx_vmid(run->ctx);

		walk(run->ctx, a->ipa.v, run->kind, a->el0, true, r);
		if (r->fault != HW_NO_FAULT)
			return false;
		*pair = pair_of(run->ctx, vmid, a->ipa.v, r);
		/* An AT instruction does not set AF, and a TLB keeps no entry without it; nor one
		 * of a number that has just rolled over. */
		if (!vmid || !(r->descriptor & PT_PTE_AF) || fill(run, pair, generation))
			return true;
	}
	return true;
}

/* Adversary only: is this answer still what the tables say? */
static void judge(struct run *run, const struct tlb_pair *pair)
{
	struct hw_result r;

	walk(run->ctx, run->a->ipa.v, HW_AT, false, false, &r);
	if ((r.fault != HW_NO_FAULT && r.fault != HW_PERMISSION) ||
	    (pair_of(run->ctx, 0, run->a->ipa.v, &r).data ^ pair->data) & ~TLB_DATA_NT)
		adversary_note_stale(run->vcpu->adversary);
}

/* Adversary only: a CPU may walk for any address at any time. */
static void prefetch(struct run *run)
{
	const struct pt_geometry *g = &run->ctx->geo;
	uint64_t generation = atomic_load(&run->mmu->generation), near;
	uint16_t vmid = pt_ctx_vmid(run->ctx);
	struct tlb_pair pair;
	struct hw_result r;

	if (!vmid ||
	    !adversary_prefetch(run->vcpu->adversary, run->a->ipa.v, g->granule_shift, &near) ||
	    near >> g->ipa_bits)
		return;
	walk(run->ctx, near, HW_AT, false, false, &r);
	if (r.fault != HW_NO_FAULT || !(r.descriptor & PT_PTE_AF))
		return;
	pair = pair_of(run->ctx, vmid, near, &r);
	fill(run, &pair, generation);
}

static void record_exit(struct pt_host_access *a, const struct hw_result *r, enum pt_outcome o)
{
	struct pt_host_exit *x = &a->exit[a->exits++];
	struct hw_syndrome s;

	hw_syndrome(r, a->ipa.v, (enum hw_access)a->access, a->s1ptw, a->length, &s);
	*x = (struct pt_host_exit){
		.outcome = o,
		.fault = (uint8_t)r->fault,
		.level = r->level,
		.hpfar_known = s.hpfar_known,
		.esr = s.esr,
		.far = s.far,
		.hpfar = s.hpfar,
	};
}

/* Adversary only: entries of two sizes. What EL2 does on DFSC 0x30: VMALLS12E1, and back to the
 * instruction. */
static void meet_conflict(struct run *run)
{
	const struct hw_result r = {.fault = HW_TLB_CONFLICT};
	uint16_t vmid = pt_ctx_vmid(run->ctx);

	if (run->a->ipa.v >> run->ctx->geo.ipa_bits || !vmid ||
	    run->a->exits == PT_HOST_MAX_EXITS ||
	    !adversary_conflict(run->vcpu->adversary, run->a->ipa.v, vmid, run->ctx->bbm))
		return;
	record_exit(run->a, &r, PT_OK);
	pt_port_tlbi(
		run->mmu, &run->ctx->geo,
		&(struct pt_tlbi){.kind = PT_TLBI_VMID, .vmid = vmid, .level = PT_TTL_UNKNOWN});
}

/* A translation that grants the access, from the TLB or from the tables; or the fault. */
static bool translate(struct run *run, struct tlb_pair *pair, struct hw_result *r)
{
	if (run->vcpu->adversary)
		meet_conflict(run);
	run->a->tlb_hit = look_up(run, pair);
	if (!run->a->tlb_hit)
		return walk_and_fill(run, pair, r);
	if (run->vcpu->adversary)
		judge(run, pair);
	if (grants(pair->data, run->kind, run->a->el0))
		return true;
	/* The fault comes from the entry: hardware does not look at the tables again. */
	*r = (struct hw_result){.fault = HW_PERMISSION,
				.level = (int8_t)((pair->data >> 7 & 7) - 1)};
	return false;
}

/* What a fault means when nobody is to handle it, or nobody can. */
static enum pt_outcome verdict(const struct hw_result *r)
{
	switch (r->fault) {
	case HW_PERMISSION: return PT_DENIED;
	case HW_ADDRESS_SIZE: return PT_OUT_OF_RANGE;
	case HW_EXTERNAL: return PT_INTERNAL; /* a table outside table memory */
	default: return PT_NOT_MAPPED;
	}
}

static enum pt_outcome handle(struct run *run, const struct hw_result *r)
{
	static const uint8_t types[] = {
		[HW_TRANSLATION] = PT_FAULT_TRANSLATION,
		[HW_ACCESS_FLAG] = PT_FAULT_ACCESS_FLAG,
		[HW_PERMISSION] = PT_FAULT_PERMISSION,
	};
	struct pt_host_access *a = run->a;
	struct pt_fault fault = {
		.ipa = a->ipa,
		.vcpu = a->vcpu,
		.access = run->kind == HW_AT ? PT_ACCESS_READ : (uint8_t)run->kind,
		.level = r->level,
		.s1ptw = a->s1ptw,
		.exec = a->el0 ? PT_PROT_UX : PT_PROT_PX,
	};
	struct pt_fault_result done = {0};
	enum pt_outcome o;

	if (r->fault == HW_ADDRESS_SIZE || r->fault == HW_EXTERNAL)
		return verdict(r);
	fault.type = types[r->fault];
	o = pt_fault_handle(run->agent, run->ctx, &fault, &done);
	a->tables_added += done.tables_added;
	if (done.todo.kind)
		a->todo = done.todo;
	return o;
}

/* May the access be tried again after this outcome? */
static bool resolved(enum pt_outcome o)
{
	return o == PT_MAPPED || o == PT_ALREADY_MAPPED || o == PT_RELAXED || o == PT_MADE_YOUNG ||
	       o == PT_RACED;
}

static enum pt_outcome move_bytes(struct run *run, struct pt_host_ram *ram)
{
	struct pt_host_access *a = run->a;

	switch (a->access) {
	case PT_ACCESS_WRITE: return pt_host_ram_write(ram, a->pa.v, a->data, a->length);
	case PT_ACCESS_AT: return PT_OK;
	default: return pt_host_ram_read(ram, a->pa.v, a->data, a->length);
	}
}

static enum pt_outcome finish(struct run *run, struct pt_host_ram *ram, const struct tlb_pair *pair)
{
	uint64_t mask = (UINT64_C(1) << tlb_shift[tlb_tag_code(pair->tag)]) - 1;
	struct pt_host_access *a = run->a;

	a->pa = pt_pa((pair->data & TLB_DATA_PA) | (a->ipa.v & mask));
	a->level = (int8_t)((pair->data >> 7 & 7) - 1);
	a->prot = PT_PROT(pair->data & TLB_DATA_RIGHTS, pair->data >> 5 & 3);
	return move_bytes(run, ram);
}

static enum pt_outcome run_access(struct run *run, struct pt_host_ram *ram)
{
	struct pt_host_access *a = run->a;
	struct tlb_pair pair;
	struct hw_result r;
	enum pt_outcome o;

	while (!translate(run, &pair, &r)) {
		if (!a->handle_faults && under_break(&r))
			return PT_MORE;
		if (!a->handle_faults) {
			if (a->exits < PT_HOST_MAX_EXITS)
				record_exit(a, &r, verdict(&r));
			return verdict(&r);
		}
		o = handle(run, &r);
		/* The vCPU waits at the same instruction: it has not exited yet. */
		if (o == PT_PARKED)
			return o;
		if (a->exits < PT_HOST_MAX_EXITS)
			record_exit(a, &r, o);
		if (!resolved(o))
			return o;
		if (a->exits == PT_HOST_MAX_EXITS)
			return PT_MORE;
	}
	return finish(run, ram, &pair);
}

static bool is_legal(const struct run *run)
{
	const struct pt_host_access *a = run->a;
	uint64_t granule = UINT64_C(1) << run->ctx->geo.granule_shift;

	if (!run->mmu || a->vcpu >= run->mmu->vcpus || a->access < PT_ACCESS_READ ||
	    a->access > PT_ACCESS_AT)
		return false;
	if (!a->length)
		return true;
	return (a->data || a->access == PT_ACCESS_AT) &&
	       (a->ipa.v & (granule - 1)) + a->length <= granule;
}

/* A parked access goes on where it was; any other starts with a clean record. */
static void begin(struct run *run)
{
	struct pt_host_access *a = run->a;

	run->kind = (enum hw_access)a->access;
	if (a->s1ptw && run->kind == HW_EXEC)
		run->kind = HW_READ;
	if (a->outcome == PT_PARKED)
		return;
	a->pa = pt_pa(0);
	a->level = 0;
	a->prot = 0;
	a->exits = 0;
	a->tables_added = 0;
}

/* VTTBR_EL2 is written, or not in use any more. */
static void note(const struct run *run, enum pt_event_kind kind)
{
	pt_port_note(kind, run->a->vcpu, run->mmu, run->ctx, run->ctx->root.v,
		     pt_ctx_vmid(run->ctx));
}

enum pt_outcome pt_host_access(struct pt_agent *agent, struct pt_ctx *ctx, struct pt_host_ram *ram,
			       struct pt_host_access *access)
{
	struct run run = {.agent = agent, .ctx = ctx, .mmu = ctx->machine->mmu, .a = access};
	enum pt_outcome outcome;

	if (!is_legal(&run))
		return PT_INVALID;
	run.vcpu = &run.mmu->vcpu[access->vcpu];
	if (atomic_exchange_explicit(&run.vcpu->busy, 1, memory_order_acquire))
		return PT_MORE;
	pt_machine_use(ctx->machine, agent);
	outcome = pt_vmid_get(ctx, agent);
	if (outcome == PT_OK) {
		note(&run, PT_EVENT_CTX_ACTIVATE);
		begin(&run);
		outcome = run_access(&run, ram);
		access->outcome = outcome;
		if (run.vcpu->adversary)
			prefetch(&run);
		note(&run, PT_EVENT_CTX_DEACTIVATE);
	}
	atomic_store_explicit(&run.vcpu->busy, 0, memory_order_release);
	return outcome;
}
