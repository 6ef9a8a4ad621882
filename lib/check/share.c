/* SPDX-License-Identifier: BSD-2-Clause */
/* What has to be true when a transfer ends: O1 of the frames that it touched, O4. */
#include "state.h"

/* Between host and hyp: docs/ownership.md, "Words". */
static bool is_sound(uint64_t record)
{
	unsigned host = pt__ck_host_state(record), hyp = pt__ck_hyp_state(record);
	bool pins = record >> 16 & 0xffff, shares = record >> 32;

	if (host > CK_LENT || host == CK_LENT_BORROWED)
		return false;
	if ((record >> 8 & 0xff) > (hyp == CK_OWNED)) /* a guest's table memory is hyp's */
		return false;
	switch (hyp) {
	case CK_NOPAGE: return !pins && (!shares || host == CK_SHARED_OWNED);
	case CK_SHARED_BORROWED: return host == CK_SHARED_OWNED && !shares;
	default: return hyp == CK_OWNED && host == CK_NOPAGE && !pins && !shares;
	}
}

/* Does the annotation, in an entry for host addresses from `base` on, name who has the frame? */
static bool is_named(const struct ck_frame *f, pt_pte note, uint64_t base, uint64_t pa)
{
	uint64_t said = note >> 4 & ((UINT64_C(1) << 56) - 1), gfn = said >> 16;
	unsigned kind = note >> 1 & 7;

	if (pt__ck_hyp_state(f->record) == CK_OWNED)
		return kind == 1 && !said;
	return kind == 2 &&
	       (!f->owned || ((said & 0xffff) == f->handle &&
			      gfn + ((pa - base) >> CK_FRAME_SHIFT) == f->ipa >> CK_FRAME_SHIFT));
}

/* NULL, or in what the host's entry, the record and the guests' leaves disagree. */
static const char *disagreement(const struct ck_machine *m, const struct ck_frame *f, pt_pte e,
				uint64_t base, uint64_t pa)
{
	unsigned host = pt__ck_host_state(f->record), note = pt__ck_note(e);

	if (!is_sound(f->record))
		return "a record that no frame has";
	if (f->borrowed != f->record >> 32)
		return "a frame has other borrowers than its record counts";
	if (pt__ck_is_guests(f->record) && !f->owned && !(host == CK_NOPAGE && m->lent))
		return "a frame that is a guest's and that no guest has";
	if (f->owned && f->shared != (host == CK_SHARED_BORROWED))
		return "a guest's entry does not say whether the host reaches its frame";
	if ((host == CK_NOPAGE) != (note == CK_NOTE_DONATION) ||
	    (host == CK_LENT) != (note == CK_NOTE_LENT))
		return "the host's entry does not say what the record says";
	if (host == CK_NOPAGE && !is_named(f, e, base, pa))
		return "the host's annotation names another owner";
	return NULL;
}

static const char *judge_range(struct pt_check *c, const struct ck_touched *t)
{
	static const struct ck_frame hosts;

	for (uint64_t pa = t->lo, mask, end; pa <= t->hi; pa = end + 1) {
		pt_pte e = pt__ck_look_up(c, t->machine->host, pa, &mask);

		end = (pa | mask) < t->hi ? pa | mask : t->hi;
		for (uint64_t at = pa; at <= end; at += UINT64_C(1) << CK_FRAME_SHIFT) {
			const struct ck_frame *f = pt__ck_frame_known(c, t->machine, at);
			const char *wrong =
				disagreement(t->machine, f ? f : &hosts, e, pa & ~mask, at);

			if (wrong)
				return wrong;
		}
	}
	return NULL;
}

void pt__ck_owner_settled(struct pt_check *c, struct ck_op *op)
{
	for (const struct ck_touched *t = op->touched; t; t = t->next) {
		const char *wrong = t->machine->host ? judge_range(c, t) : NULL;

		pt__ck_judge(c, PT_RULE_O1, !wrong, wrong);
	}
	pt__ck_drop_touched(c, op);
}

void pt__ck_owner_end(struct pt_check *c, struct ck_op *op)
{
	pt__ck_owner_settled(c, op);
	if (op->owners && op->kind == PT_OP_TXN)
		pt__ck_judge(c, PT_RULE_O4, op->committed || !op->changed,
			     "an entry or a record is not what it was before a transfer that did "
			     "not come about");
}
