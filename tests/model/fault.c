/* SPDX-License-Identifier: BSD-2-Clause */
/* Next state for faults and slots. */
#include "model.h"

#include <string.h>

uint8_t model_needs(enum pt_access access, bool el0)
{
	if (access == PT_ACCESS_WRITE)
		return PT_PROT_W;
	if (access == PT_ACCESS_EXEC)
		return el0 ? PT_PROT_UX : PT_PROT_PX;
	return PT_PROT_R;
}

const struct model_slot *model_slot_at(const struct model *m, uint64_t ipa)
{
	for (unsigned i = 0; i < m->slots; i++)
		if (ipa >= m->slot[i].ipa && ipa - m->slot[i].ipa < m->slot[i].size)
			return &m->slot[i];
	return NULL;
}

void model_change_slot(struct model *m, uint32_t id, const struct model_slot *more)
{
	unsigned n = 0, at = 0;

	for (unsigned i = 0; i < m->slots; i++)
		if (m->slot[i].id != id)
			m->slot[n++] = m->slot[i];
	m->slots = n;
	if (!more)
		return;
	while (at < n && m->slot[at].ipa < more->ipa)
		at++;
	memmove(&m->slot[at + 1], &m->slot[at], (n - at) * sizeof(*more));
	m->slot[at] = *more;
	m->slots++;
}

/* What the slots say, whatever is mapped. */
static enum pt_outcome refusal(const struct model_slot *slot, enum pt_access access)
{
	if (!slot)
		return PT_NO_SLOT;
	if (access == PT_ACCESS_WRITE && slot->flags & PT_SLOT_READ_ONLY)
		return PT_READ_ONLY;
	if (access == PT_ACCESS_EXEC && slot->flags & PT_SLOT_NO_EXEC)
		return PT_DENIED;
	return PT_OK;
}

/* Does hardware itself note a write to a clean leaf? */
static bool hw_dirty(const struct model *m)
{
	return m->ha && m->hd;
}

bool model_logged(const struct model *m, uint64_t ipa, uint64_t lo, uint64_t hi)
{
	const struct model_slot *slot = model_slot_at(m, ipa);

	for (unsigned i = 0; i < m->logs; i++)
		if (m->logged[i].lo <= hi && m->logged[i].hi >= lo)
			return true;
	return slot && slot->flags & PT_SLOT_LOG_DIRTY;
}

/* A write in a log makes one page writable. A slot gives rights to what lies in it, so that a block
 * that reaches out of it is split. */
void model_relaxed(const struct model *m, uint64_t ipa, enum pt_access access, uint64_t *lo,
		   uint64_t *hi)
{
	const struct model_slot *slot = model_slot_at(m, ipa);
	uint64_t last;
	struct cell c = space_get(&m->space, ipa, &last);
	bool write = access == PT_ACCESS_WRITE;

	for (int level = m->top; level <= 3; level++) {
		uint64_t mask = (UINT64_C(1) << model_shift(m, level)) - 1;

		if ((ipa & ~mask) < *lo || (ipa | mask) > *hi)
			continue;
		*lo = ipa & ~mask;
		*hi = ipa | mask;
		if (write && model_logged(m, ipa, *lo, *hi))
			continue;
		if ((write && c.dbm) || (*lo >= slot->ipa && *hi - slot->ipa < slot->size))
			return;
	}
}

/* A fetch wants execute for the level that makes it; of nobody knows which, for both. A clean leaf
 * is not written without a fault, unless the hardware notes it. */
static bool lacks(const struct model *m, const struct cell *c, enum pt_access access, uint32_t exec)
{
	if (access == PT_ACCESS_EXEC)
		return ~c->rights & (PT_PROT_R | (exec ? exec : PT_PROT_X));
	if (access == PT_ACCESS_WRITE && c->dbm && !c->dirty && !hw_dirty(m))
		return true;
	return !(c->rights & model_needs(access, false));
}

enum pt_outcome model_fault(const struct model *m, uint64_t ipa, enum pt_access access,
			    uint32_t exec)
{
	const struct model_slot *slot = model_slot_at(m, ipa);
	enum pt_outcome no = refusal(slot, access);
	uint64_t last;
	struct cell c = space_get(&m->space, ipa, &last);

	if (ipa >> m->ipa_bits)
		return PT_OUT_OF_RANGE;
	if (c.what == NOTE)
		return PT_WRONG_OWNER;
	if (c.what == HOLE)
		return no == PT_OK ? PT_MAPPED : no;
	if (lacks(m, &c, access, exec)) {
		if (access == PT_ACCESS_WRITE && c.dbm)
			return PT_RELAXED; /* it has the right, and is to be made dirty */
		if (no != PT_OK)
			return no;
		return c.at == slot->pa + (ipa - slot->ipa) && !c.memtype ? PT_RELAXED : PT_DENIED;
	}
	return c.young ? PT_ALREADY_MAPPED : PT_MADE_YOUNG;
}

static bool block_may_stand(const struct model_slot *slot, uint64_t lo, uint64_t size,
			    const struct reach *busy, unsigned count)
{
	if ((slot->ipa - slot->pa) & (size - 1) || lo < slot->ipa ||
	    lo + size > slot->ipa + slot->size)
		return false;
	for (unsigned i = 0; i < count; i++)
		if (busy[i].lo <= lo + (size - 1) && busy[i].hi >= lo)
			return false;
	return true;
}

bool model_forces(const struct model *m, uint64_t ipa)
{
	return m->forces && ipa >> model_shift(m, 2) & 1;
}

int model_install_level(const struct model *m, uint64_t ipa, int level, const struct reach *busy,
			unsigned count)
{
	const struct model_slot *slot = model_slot_at(m, ipa);

	for (level = level < m->top ? m->top : level; level < 3; level++) {
		uint64_t size = UINT64_C(1) << model_shift(m, level), lo = ipa & ~(size - 1);

		if (!model_logged(m, ipa, lo, lo + (size - 1)) && !model_forces(m, lo) &&
		    model_shift(m, level) <= slot->backing &&
		    block_may_stand(slot, lo, size, busy, count))
			break;
	}
	return level;
}

/* The rights of the slot, on top of what is there. */
static void add_rights(const struct model *m, const struct model_slot *slot, enum pt_access access,
		       bool logged, struct cell *c)
{
	c->rights |= PT_PROT_R;
	if (!(slot->flags & PT_SLOT_READ_ONLY) && hw_dirty(m)) {
		c->dirty |= !c->dbm && c->rights & PT_PROT_W;
		c->dbm = true;
		c->rights |= PT_PROT_W;
	} else if (!(slot->flags & PT_SLOT_READ_ONLY) && (access == PT_ACCESS_WRITE || !logged)) {
		c->dbm = c->dirty = false;
		c->rights |= PT_PROT_W;
	}
	if (access == PT_ACCESS_EXEC)
		c->rights |= PT_PROT_X;
}

void model_fault_apply(struct model *m, uint64_t ipa, enum pt_access access,
		       enum pt_outcome outcome, uint64_t lo, uint64_t hi)
{
	const struct model_slot *slot = model_slot_at(m, ipa);
	uint64_t last;
	struct cell c;

	if (outcome == PT_RELAXED)
		model_relaxed(m, ipa, access, &lo, &hi);
	c = space_get(&m->space, lo, &last);
	if (outcome == PT_MAPPED)
		c = (struct cell){.what = LEAF, .at = slot->pa + (lo - slot->ipa)};
	if (outcome == PT_RELAXED && access == PT_ACCESS_WRITE && c.dbm)
		c.dbm = c.dirty = false;
	else if (outcome == PT_MAPPED || outcome == PT_RELAXED)
		add_rights(m, slot, access, model_logged(m, ipa, lo, hi), &c);
	if (outcome != PT_ALREADY_MAPPED) {
		c.young = true;
		space_put(&m->space, lo, hi, c);
	}
}
