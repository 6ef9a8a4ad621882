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

/* An instruction fetch on behalf of either level wants execute for both. */
static bool lacks(const struct cell *c, enum pt_access access)
{
	if (access == PT_ACCESS_EXEC)
		return (c->rights & (PT_PROT_R | PT_PROT_X)) != (PT_PROT_R | PT_PROT_X);
	return !(c->rights & model_needs(access, false));
}

enum pt_outcome model_fault(const struct model *m, uint64_t ipa, enum pt_access access)
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
	if (lacks(&c, access)) {
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

int model_install_level(const struct model *m, uint64_t ipa, int level, const struct reach *busy,
			unsigned count)
{
	const struct model_slot *slot = model_slot_at(m, ipa);

	for (level = level < m->top ? m->top : level; level < 3; level++) {
		uint64_t size = UINT64_C(1) << model_shift(m, level);

		if (!(slot->flags & PT_SLOT_LOG_DIRTY) && model_shift(m, level) <= slot->backing &&
		    block_may_stand(slot, ipa & ~(size - 1), size, busy, count))
			break;
	}
	return level;
}

static uint8_t rights_of(const struct model_slot *slot, enum pt_access access)
{
	uint8_t rights = PT_PROT_R;

	if (access == PT_ACCESS_WRITE || !(slot->flags & (PT_SLOT_READ_ONLY | PT_SLOT_LOG_DIRTY)))
		rights |= PT_PROT_W;
	return access == PT_ACCESS_EXEC ? rights | PT_PROT_X : rights;
}

void model_fault_apply(struct model *m, uint64_t ipa, enum pt_access access,
		       enum pt_outcome outcome, uint64_t lo, uint64_t hi)
{
	const struct model_slot *slot = model_slot_at(m, ipa);
	uint64_t last;
	struct cell c = space_get(&m->space, lo, &last);

	if (outcome == PT_MAPPED)
		c = (struct cell){.what = LEAF, .at = slot->pa + (lo - slot->ipa)};
	if (outcome == PT_MAPPED || outcome == PT_RELAXED)
		c.rights |= rights_of(slot, access);
	if (outcome != PT_ALREADY_MAPPED) {
		c.young = true;
		space_put(&m->space, lo, hi, c);
	}
}
