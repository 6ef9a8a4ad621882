/* SPDX-License-Identifier: BSD-2-Clause */
/* The invalidation ledger: what is owed to the TLBs, and its discharge in range TLBIs. */
#include "internal.h"

/*
 * Counted when TLBs could know the context: a number that rolled over has been flushed with all
 * others. By address: a copy made of single fields stalls on its way through the store buffer.
 */
PT__INLINE uint32_t issue(const struct pt_ctx *ctx, struct pt_tlbi *tlbi)
{
	if (!pt__vmid_flush(ctx, &tlbi->vmid)) {
		pt_port_note(PT_EVENT_TLBI_NONE, 0, ctx->machine->mmu, ctx, 0, 0);
		return 0;
	}
	if (pt_port_failpoint(PT_FP_TLBI_DROP, ctx->scope))
		pt_port_note(PT_EVENT_TLBI_DROPPED, 0, ctx->machine->mmu, ctx, 0, 0);
	else if (tlbi->vmid)
		pt_port_tlbi(ctx->machine->mmu, &ctx->geo, tlbi);
	else
		pt_port_note(PT_EVENT_TLBI_NONE, 0, ctx->machine->mmu, ctx, 0, 0);
	return 1;
}

uint32_t pt__tlbi_leaf_now(const struct pt_ctx *ctx, uint64_t ipa, int level)
{
	uint64_t size = pt_level_size(&ctx->geo, level);

	return issue(ctx, &(struct pt_tlbi){.kind = PT_TLBI_IPA,
					    .level = (int8_t)level,
					    .last_level = true,
					    .ipa = pt_ipa(ipa & ~(size - 1)),
					    .size = size});
}

void pt__tlbi_local_now(const struct pt_ctx *ctx, uint32_t vcpu, uint64_t ipa, int level)
{
	uint64_t size = pt_level_size(&ctx->geo, level);

	issue(ctx, &(struct pt_tlbi){.kind = PT_TLBI_LOCAL,
				     .level = (int8_t)level,
				     .last_level = true,
				     .vcpu = vcpu,
				     .ipa = pt_ipa(ipa & ~(size - 1)),
				     .size = size});
}

void pt__tlbi_stage1_now(const struct pt_ctx *ctx)
{
	issue(ctx, &(struct pt_tlbi){.kind = PT_TLBI_STAGE1, .level = PT_TTL_UNKNOWN});
}

void pt_ledger_init(struct pt_ledger *ledger, struct pt_ctx *ctx)
{
	ledger->ctx = ctx;
	ledger->count = 0;
	ledger->whole = false;
	ledger->tables = false;
}

void pt_ledger_add(struct pt_ledger *ledger, uint64_t lo, uint64_t hi, int level, bool table)
{
	unsigned last = ledger->count - 1;

	if (table) {
		ledger->tables = true;
		level = PT_TTL_UNKNOWN;
	}
	if (ledger->whole)
		return;
	if (ledger->count && lo == ledger->range[last].hi + 1) {
		ledger->range[last].hi = hi;
		if (ledger->range[last].level != level)
			ledger->range[last].level = PT_TTL_UNKNOWN;
		return;
	}
	/* Of what is owed already, a part: a block is made clean and then split, and what was split
	 * live is split on. */
	if (ledger->count && lo >= ledger->range[last].lo && hi <= ledger->range[last].hi) {
		if (ledger->range[last].level != level)
			ledger->range[last].level = PT_TTL_UNKNOWN;
		return;
	}
	if (ledger->count == PT_LEDGER_RANGES) {
		/* Ranges come in ascending order: the last one takes the gap in, unless it would go
		 * backwards; then the VMID as a whole. */
		if (lo < ledger->range[last].lo)
			ledger->whole = true;
		ledger->range[last].level = PT_TTL_UNKNOWN;
		if (hi > ledger->range[last].hi)
			ledger->range[last].hi = hi;
		return;
	}
	ledger->range[ledger->count].lo = lo;
	ledger->range[ledger->count].hi = hi;
	ledger->range[ledger->count].level = (int8_t)level;
	ledger->count++;
}

static uint32_t issue_range(const struct pt_ledger *ledger, unsigned i)
{
	const struct pt_ctx *ctx = ledger->ctx;
	int level = ledger->range[i].level;
	uint64_t size = ledger->range[i].hi - ledger->range[i].lo + 1;
	bool one = level != PT_TTL_UNKNOWN && size == pt_level_size(&ctx->geo, level);

	return issue(ctx, &(struct pt_tlbi){.kind = one ? PT_TLBI_IPA : PT_TLBI_RANGE,
					    .level = (int8_t)level,
					    .last_level = !ledger->tables,
					    .ipa = pt_ipa(ledger->range[i].lo),
					    .size = size});
}

uint32_t pt_ledger_discharge(struct pt_ledger *ledger)
{
	uint32_t count = 0;

	if (ledger->whole)
		count = issue(ledger->ctx,
			      &(struct pt_tlbi){.kind = PT_TLBI_VMID, .level = PT_TTL_UNKNOWN});
	for (unsigned i = 0; !ledger->whole && i < ledger->count; i++)
		count += issue_range(ledger, i);
	pt_ledger_init(ledger, ledger->ctx);
	return count;
}
