/* SPDX-License-Identifier: BSD-2-Clause */
/* Address translation instructions of a guest hypervisor, for its guests. */
#include "internal.h"

/* The nest's memory, and what of it could not be read. */
struct reader {
	struct pt_guest_memory memory;
	struct pt_ipa missing;
	bool missed;
};

static enum pt_outcome load(void *arg, struct pt_ipa ipa, uint64_t *word)
{
	struct reader *reader = arg;
	enum pt_outcome outcome = reader->memory.load(reader->memory.arg, ipa, word);

	if (outcome != PT_OK) {
		reader->missing = ipa;
		reader->missed = true;
	}
	return outcome;
}

static enum pt_outcome swap(void *arg, struct pt_ipa ipa, uint64_t *word, uint64_t to)
{
	const struct reader *reader = arg;

	return reader->memory.swap(reader->memory.arg, ipa, word, to);
}

static enum pt_outcome once(struct pt_hv *hv, struct pt_agent *agent,
			    const struct pt_hv_nest_at *at, struct reader *reader,
			    struct pt_guest_at_result *result)
{
	const struct pt_guest_memory memory = {.load = load, .swap = swap, .arg = reader};
	struct pt_guest_at_regs regs = at->regs;
	struct pt_guest_regs stage2;
	struct pt_guest_s2 s2;
	enum pt_outcome outcome;

	stage2 = pt__hv_nest_regs(hv, &at->el2);
	regs.pa_bits = stage2.pa_bits;
	outcome = pt_guest_s2_decode(&s2, &stage2);
	if (outcome != PT_OK)
		return outcome;
	pt__hv_begin(hv, agent);
	outcome = pt_guest_at(&memory, &s2, &regs, at->op, at->va, result);
	pt_section_end(agent);
	return outcome;
}

enum pt_outcome pt_hv_nest_at(struct pt_hv *hv, struct pt_agent *agent,
			      const struct pt_hv_nest_at *at, struct pt_guest_at_result *result)
{
	struct pt_hv_ctx *c = hv->running[agent->id];
	struct reader reader = {.memory = pt__hv_nest_memory(c->nest)};
	enum pt_outcome outcome = once(hv, agent, at, &reader, result);

	if (outcome == PT_DENIED && reader.missed &&
	    pt__hv_nest_touch(hv, agent, &c->ctx, reader.missing, PT_ACCESS_READ))
		return PT_RACED;
	return outcome;
}
