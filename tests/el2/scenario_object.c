/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenarios at EL2: machines, contexts, slots, logs, and an empty pool. */
#include "scenario.h"

static enum pt_outcome make_machine(struct sc_world *w, const struct scn_record *r)
{
	const struct scn_machine_body *b = &r->body.machine;
	struct sc_machine *m = &w->machine[r->object];

	/* Both worlds choose nothing: tests/el2/worlds refuses such a file before. */
	if (!b->pa_bits || (b->vmid_bits != 8 && b->vmid_bits != 16))
		return PT_INVALID;
	*m = (struct sc_machine){.memory_bytes = b->memory_bytes,
				 .vcpus = b->vcpus,
				 .vmid_bits = b->vmid_bits,
				 .live = true};
	pt_machine_init(&m->pt, &w->pt, &w->port, NULL, b->pa_bits);
	return b->flags & SCN_MACHINE_OWNERS ? sc_own_machine(m) : PT_OK;
}

static enum pt_outcome geometry(const struct sc_machine *m, const struct scn_context_body *b,
				struct pt_geometry *g, unsigned *vtcr_flags)
{
	struct pt_geometry_args a = {.granule_shift = b->granule_shift,
				     .ipa_bits = b->ipa_bits,
				     .pa_bits = b->pa_bits ? b->pa_bits : m->pt.pa_bits,
				     .ds = (b->flags & SCN_CTX_DS) != 0,
				     .start_level_given = true,
				     .start_level = (int)b->start_plus_2 - 2};
	enum pt_outcome o;

	*vtcr_flags = m->vmid_bits == 16 ? PT_VTCR_VS : 0;
	if (!b->vtcr && (!b->start_plus_2 || a.pa_bits != m->pt.pa_bits))
		return PT_INVALID;
	o = b->vtcr ? pt_geometry_from_vtcr(g, b->vtcr) : pt_geometry_init(g, &a);
	if (b->vtcr)
		*vtcr_flags = pt_geometry_vtcr_flags(b->vtcr);
	if (o == PT_OK &&
	    (g->pa_bits != m->pt.pa_bits || (*vtcr_flags & PT_VTCR_VS && m->vmid_bits == 8)))
		o = PT_INVALID;
	return o;
}

static void destroy(struct sc_world *w, struct sc_context *c, struct pt_effects *effects)
{
	static struct pt_txn txn;

	if (pt_ctx_destroy_begin(&txn, &c->pt, NULL) != PT_OK || sc_run_txn(w, &txn) != PT_OK)
		sc_bail("a context does not go", 0);
	*effects = txn.effects;
}

static enum pt_outcome make_context(struct sc_world *w, const struct scn_record *r)
{
	const struct scn_context_body *b = &r->body.context;
	struct sc_context *c = &w->context[r->object];
	struct sc_machine *m = &w->machine[b->machine];
	unsigned vtcr_flags, attrs = (b->flags & SCN_CTX_FWB ? PT_ATTR_FWB : 0) |
				     (b->flags & SCN_CTX_XNX ? PT_ATTR_XNX : 0) |
				     PT_ATTR_BBM(b->bbm);
	struct pt_effects effects;
	struct pt_geometry g;
	enum pt_outcome o = m->live && b->bbm <= 2 && b->software <= 15
				    ? geometry(m, b, &g, &vtcr_flags)
				    : PT_INVALID;

	if (o != PT_OK)
		return o;
	vtcr_flags |=
		(b->flags & SCN_CTX_HA ? PT_VTCR_HA : 0) | (b->flags & SCN_CTX_HD ? PT_VTCR_HD : 0);
	if (vtcr_flags & PT_VTCR_HD && !(vtcr_flags & PT_VTCR_HA))
		return PT_INVALID;
	memset(c, 0, sizeof(*c));
	c->machine = m;
	pt_section_begin(&w->agent);
	pt_machine_use(&m->pt, &w->agent);
	o = pt_ctx_init(&c->pt, &w->agent, &m->pt, &g, attrs, vtcr_flags,
			b->quota_pages ? b->quota_pages : UINT64_MAX);
	pt_section_end(&w->agent);
	if (o != PT_OK)
		return o;
	pt_ctx_set_policy(&c->pt, b->flags & SCN_CTX_IDENTITY ? PT_CTX_IDENTITY : 0, NULL, NULL);
	pt_ctx_sw_own(&c->pt, b->software << PT_PROT_SW_SHIFT, PT_SW_CALLER);
	o = b->flags & SCN_CTX_NESTED ? sc_nest_make(w, c, b->shadows) : PT_OK;
	if (o == PT_OK)
		o = sc_own_join(c, b);
	if (o != PT_OK)
		destroy(w, c, &effects);
	c->live = o == PT_OK;
	return o;
}

static void forget(struct sc_world *w, struct sc_context *c, struct pt_effects *effects)
{
	if (w->loaded == c)
		sc_unload(w);
	if (c->canonical) {
		sc_shadow_end(w, c);
		return;
	}
	sc_nest_end(w, c);
	destroy(w, c, effects);
	sc_nest_close(w, c);
	c->live = false;
	for (uint32_t i = 0; i < SCN_MAX_LOGS; i++)
		w->log[i].live &= w->log[i].context != c;
}

void sc_destroy(struct sc_world *w, struct sc_context *c, struct pt_effects *effects)
{
	if (c->machine->owners)
		sc_own_leave(w, c);
	forget(w, c, effects);
}

/* A host goes after its guests: it came before them. Nobody gets anything back. */
void sc_delete_machine(struct sc_world *w, struct sc_machine *m)
{
	struct pt_effects effects;

	for (uint32_t i = SCN_MAX_CONTEXTS; i--;)
		if (w->context[i].live && w->context[i].machine == m)
			forget(w, &w->context[i], &effects);
	sc_own_close(w, m);
	m->live = false;
}

/* Slots sorted by IPA, without that of `id`, and with `slot` unless it is NULL. */
static struct pt_slots *copy_slots(const struct pt_slots *had, uint32_t id,
				   const struct pt_slot *slot)
{
	uint32_t n = had ? had->count : 0, to = 0;
	struct pt_slots *made = malloc(sizeof(*made) + (n + 1) * sizeof(made->slot[0]));

	if (!made)
		sc_bail("no memory for slots", n);
	for (uint32_t i = 0; i < n; i++) {
		if (slot && slot->ipa < had->slot[i].ipa) {
			made->slot[to++] = *slot;
			slot = NULL;
		}
		if (had->slot[i].id != id)
			made->slot[to++] = had->slot[i];
	}
	if (slot)
		made->slot[to++] = *slot;
	made->count = to;
	return made;
}

static enum pt_outcome check_slot(const struct sc_context *c, const struct scn_slot_body *b,
				  const struct pt_slots *had)
{
	uint64_t granule = UINT64_C(1) << c->pt.geo.granule_shift;
	uint64_t backing = b->backing ? b->backing : granule;
	enum pt_outcome o = pt_geometry_check_range(&c->pt.geo, pt_ipa(b->ipa), b->size);

	if (o == PT_OK)
		o = pt_geometry_check_output(&c->pt.geo, pt_pa(b->pa), b->size);
	if (o != PT_OK)
		return o;
	if (b->pa + b->size > c->machine->memory_bytes)
		return PT_OUT_OF_RANGE;
	if (b->flags & ~PT_SLOT_FLAGS || backing & (backing - 1) || backing < granule ||
	    (c->pt.policy & PT_CTX_IDENTITY && b->ipa != b->pa))
		return PT_INVALID;
	for (uint32_t i = 0; had && i < had->count; i++)
		if (had->slot[i].id != b->id && (had->slot[i].ipa - b->ipa < b->size ||
						 b->ipa - had->slot[i].ipa < had->slot[i].size))
			return PT_SLOT_OVERLAP;
	return PT_OK;
}

static const struct pt_slot *find_slot(const struct pt_slots *slots, uint32_t id)
{
	for (uint32_t i = 0; slots && i < slots->count; i++)
		if (slots->slot[i].id == id)
			return &slots->slot[i];
	return NULL;
}

/* Unmaps what `old` mapped; the commit point publishes the slots without it. */
static enum pt_outcome replace_slots(struct sc_world *w, struct sc_context *c,
				     const struct pt_slot *old, const struct pt_slots *made,
				     struct pt_effects *effects)
{
	static struct pt_txn txn;
	struct pt_item item = {
		.ctx = &c->pt, .ipa = pt_ipa(old->ipa), .size = old->size, .kind = PT_ITEM_UNMAP};
	enum pt_outcome o = pt_txn_init(&txn, &item, 1, 0, false, NULL);

	txn.publish = made;
	if (o == PT_OK)
		o = sc_run_txn(w, &txn);
	*effects = txn.effects;
	return o;
}

/* Whether it logs is how faults behave from now on: what is mapped stays. */
static enum pt_outcome set_slot(struct sc_world *w, struct sc_context *c,
				const struct scn_slot_body *b, struct pt_effects *effects)
{
	const struct pt_slots *had = pt_ctx_slots(&c->pt);
	const struct pt_slot *old = find_slot(had, b->id);
	struct pt_slot slot = {.ipa = b->ipa,
			       .size = b->size,
			       .pa = b->pa,
			       .id = b->id,
			       .flags = b->flags,
			       .backing_shift = b->backing ? (uint8_t)__builtin_ctzll(b->backing)
							   : c->pt.geo.granule_shift};
	enum pt_outcome o = check_slot(c, b, had);
	bool same;

	if (o != PT_OK)
		return o;
	same = old && old->ipa == slot.ipa && old->size == slot.size && old->pa == slot.pa &&
	       old->backing_shift == slot.backing_shift;
	if (same && old->flags == slot.flags)
		return PT_OK;
	if (old && !(same && !((old->flags ^ slot.flags) & ~PT_SLOT_LOG_DIRTY)))
		return replace_slots(w, c, old, copy_slots(had, b->id, &slot), effects);
	if (old && old->flags & PT_SLOT_LOG_DIRTY)
		sc_fold_later(c, old->ipa, old->size);
	pt_ctx_set_slots(&c->pt, copy_slots(had, b->id, &slot));
	atomic_fetch_add(&c->pt.generation, 1);
	return PT_OK;
}

static enum pt_outcome delete_slot(struct sc_world *w, struct sc_context *c, uint32_t id,
				   struct pt_effects *effects)
{
	const struct pt_slots *had = pt_ctx_slots(&c->pt);
	const struct pt_slot *old = find_slot(had, id);

	return old ? replace_slots(w, c, old, copy_slots(had, id, NULL), effects) : PT_NOT_FOUND;
}

static enum pt_outcome start_log(struct sc_world *w, struct sc_context *c,
				 const struct scn_log_body *b, struct pt_effects *effects)
{
	static struct pt_dirty op;
	struct sc_log *log = &w->log[b->index];
	struct pt_dirty_args args = {.kind = PT_DIRTY_START,
				     .log = &log->pt,
				     .ctx = &c->pt,
				     .ipa = pt_ipa(b->ipa),
				     .size = b->size,
				     .eager_split = (b->flags & SCN_LOG_EAGER) != 0,
				     .initially_set = (b->flags & SCN_LOG_ALL) != 0};
	enum pt_outcome o = pt_geometry_check_range(&c->pt.geo, args.ipa, args.size);

	if (o != PT_OK)
		return o;
	args.memory = calloc(1, pt_dirty_bytes(c->pt.geo.granule_shift, b->size));
	if (!args.memory)
		return PT_NO_MEMORY;
	*log = (struct sc_log){.context = c, .memory = args.memory};
	o = pt_dirty_init(&op, &args, NULL);
	if (o == PT_OK)
		o = sc_run_dirty(w, &op);
	log->live = o == PT_OK;
	log->generation = op.generation;
	*effects = op.effects;
	return o;
}

/* GET or STOP. */
static enum pt_outcome ask_log(struct sc_world *w, const struct scn_record *r,
			       struct scn_reply *reply)
{
	static struct pt_dirty op;
	const struct scn_log_body *b = &r->body.log;
	struct sc_log *log = &w->log[b->index];
	bool get = r->op == SCN_LOG_GET;
	struct pt_dirty_args args = {.kind = get ? PT_DIRTY_GET : PT_DIRTY_STOP, .log = &log->pt};
	enum pt_outcome o;

	if (!log->live)
		return PT_NOT_FOUND;
	if (get) {
		args.ipa = pt_ipa(b->size ? b->ipa : log->pt.ipa);
		args.size = b->size ? b->size : log->pt.last - log->pt.ipa + 1;
		args.clear = (b->flags & SCN_LOG_CLEAR) != 0;
		args.generation = log->generation;
		args.bitmap = calloc(1, (args.size >> log->pt.shift) / 8 + 1);
	}
	o = pt_dirty_init(&op, &args, NULL);
	if (o == PT_OK)
		o = sc_run_dirty(w, &op);
	if (o != PT_OK)
		return o;
	scn_set_fact(reply, SCN_FACT_dirty, op.dirty);
	if (get) {
		log->generation = op.generation;
		scn_set_fact(reply, SCN_FACT_next_ipa, op.next);
	} else {
		log->live = false;
		sc_fold_later(log->context, log->pt.ipa, log->pt.last - log->pt.ipa + 1);
	}
	return PT_OK;
}

/* Nobody can arm a failpoint of this port's; that table pages run out can be had. */
static enum pt_outcome arm(struct sc_world *w, const struct scn_failpoint_body *b, const char *name)
{
	if (strcmp(name, "pool.reserve") || b->nth != 1 || b->probability_ppm || b->action > 1)
		return PT_UNSUPPORTED;
	w->no_pages = b->times ? b->times : UINT32_MAX;
	return PT_OK;
}

static enum pt_outcome operate(struct sc_world *w, const struct scenario *s,
			       const struct scn_record *r, struct pt_effects *effects,
			       struct scn_reply *reply)
{
	struct sc_context *c = &w->context[r->object % SCN_MAX_CONTEXTS];

	switch (r->op) {
	case SCN_MACHINE: return make_machine(w, r);
	case SCN_CONTEXT: return make_context(w, r);
	case SCN_DELETE_MACHINE: sc_delete_machine(w, &w->machine[r->object]); return PT_OK;
	case SCN_FAILPOINT: return arm(w, &r->body.failpoint, scenario_string(s, r->name));
	case SCN_DISARM: w->no_pages = 0; return PT_OK;
	default: break;
	}
	if (!c->live)
		return PT_NOT_FOUND;
	switch (r->op) {
	case SCN_SLOT: return set_slot(w, c, &r->body.slot, effects);
	case SCN_DELETE_SLOT: return delete_slot(w, c, r->body.slot.id, effects);
	case SCN_DELETE_CONTEXT: sc_destroy(w, c, effects); return PT_OK;
	case SCN_LOG_START: return start_log(w, c, &r->body.log, effects);
	case SCN_LOG_GET:
	case SCN_LOG_STOP: return ask_log(w, r, reply);
	case SCN_QUOTA:
		atomic_store(&c->pt.quota_pages,
			     r->body.quota.pages ? r->body.quota.pages : UINT64_MAX);
		return PT_OK;
	default: return PT_UNSUPPORTED;
	}
}

void sc_object(struct sc_world *w, const struct scenario *s, const struct scn_record *r,
	       struct scn_reply *reply)
{
	struct pt_effects effects = {0};
	enum pt_outcome o = operate(w, s, r, &effects, reply);

	if (o != PT_OK)
		sc_fail(reply, &(struct pt_error){.code = o, .level = PT_TTL_UNKNOWN});
	else
		sc_take_effects(reply, &effects, NULL);
}

/* When there is no room for more ranges the first becomes one with the new one. */
void sc_fold_later(struct sc_context *c, uint64_t ipa, uint64_t size)
{
	struct sc_fold *first = &c->fold[0];
	uint64_t end = ipa + size, first_end = first->ipa + first->size;

	for (uint32_t i = 0; i < c->folds; i++)
		if (c->fold[i].ipa <= ipa && end <= c->fold[i].ipa + c->fold[i].size)
			return;
	if (c->folds < SC_FOLDS) {
		c->fold[c->folds++] = (struct sc_fold){ipa, size};
		return;
	}
	first->ipa = ipa < first->ipa ? ipa : first->ipa;
	first->size = (end > first_end ? end : first_end) - first->ipa;
}

static void keep_up(struct sc_world *w, struct sc_context *c, uint32_t kind, uint64_t ipa,
		    uint64_t size)
{
	static struct pt_upkeep upkeep;
	struct pt_upkeep_args args = {
		.ctx = &c->pt, .kind = kind, .ipa = pt_ipa(ipa), .size = size};

	if (pt_upkeep_init(&upkeep, &args, NULL) != PT_OK || sc_run_upkeep(w, &upkeep) != PT_OK)
		sc_bail("upkeep is refused", kind);
}

void sc_settle(struct sc_world *w, struct sc_context *c)
{
	for (uint32_t i = 0; i < c->folds; i++)
		keep_up(w, c, PT_UPKEEP_COLLAPSE, c->fold[i].ipa, c->fold[i].size);
	keep_up(w, c, PT_UPKEEP_SWEEP, 0, UINT64_C(1) << c->pt.geo.ipa_bits);
}
