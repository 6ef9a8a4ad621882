/* SPDX-License-Identifier: BSD-2-Clause */
/* Refusals that several handlers share. */
#include "domain_fail.h"

#include <stdio.h>

enum call_result fail_arena(struct call *call)
{
	return call_fail(call, PT_TOO_LARGE, "the call needs more memory than one call may take");
}

enum call_result fail_aligned(struct call *call, const char *field, uint64_t value, uint64_t unit)
{
	call_fail(call, PT_MISALIGNED, "%s: 0x%llx is not a multiple of 0x%llx", field,
		  (unsigned long long)value, (unsigned long long)unit);
	call->status.nearest_below = value - value % unit;
	call->status.nearest_above = call->status.nearest_below + unit;
	return CALL_DONE;
}

enum call_result fail_denied(struct call *call, const char *text)
{
	call_fail(call, PT_DENIED, "%s", text);
	call->status.grpc = PT_GRPC_PERMISSION_DENIED;
	return CALL_DONE;
}

enum call_result fail_abandoned(struct call *call)
{
	bool late = call->deadline_ns != UINT64_MAX && call->now_ns >= call->deadline_ns;

	return call_fail(call, late ? PT_DEADLINE : PT_CANCELLED, NULL);
}

enum call_result fail_error(struct call *call, const struct pt_error *error)
{
	call_fail(call, error->code,
		  error->code == PT_GENERATION_MISMATCH
			  ? "expected_generation: the context is at another one"
			  : NULL);
	call->status.index = error->index;
	call->status.ipa = error->ipa.v;
	call->status.level = error->level;
	return CALL_DONE;
}

static bool breaks_identity(const struct pt_item *item)
{
	return item->ctx->policy & PT_CTX_IDENTITY && item->ipa.v != item->pa.v;
}

static bool foreign_software_bits(const struct pt_item *item)
{
	return item->prot & PT_PROT_SW & ~pt_ctx_sw_of(item->ctx, PT_SW_CALLER);
}

static void name_rights(struct call *call, const struct pt_item *item, const char *p)
{
	uint32_t prot = item->prot;
	const char *why = NULL;

	if (item->kind != PT_ITEM_MAP && prot & ~PT_PROT_RIGHTS)
		why = "has more than rights; memory type and software bits come with a map alone";
	else if (prot & ~(PT_PROT_RWX | PT_PROT_MEM_MASK | PT_PROT_SW) ||
		 pt_prot_memtype(prot) >= PT_MEM_TYPES)
		why = "has unknown bits";
	else if (!(prot & PT_PROT_RWX))
		why = "grants nothing; unmap takes all rights away";
	else
		why = "executes from device or non-cacheable memory";
	call_fail(call, PT_INVALID, "%sprot: 0x%x %s", p, prot, why);
}

/* Which argument is at fault, in the order in which pt_item_check() looks. */
static void name_invalid(struct call *call, const struct pt_item *item, const char *p)
{
	if (item->kind < PT_ITEM_MAP || item->kind > PT_ITEM_FLUSH)
		call_fail(call, PT_INVALID, "%skind: %u is not a kind of operation", p, item->kind);
	else if (item->kind != PT_ITEM_MAP && item->flags)
		call_fail(call, PT_INVALID, "%sflags: 0x%x; only a map has flags", p, item->flags);
	else if (item->flags & ~PT_MAP_FLAGS)
		call_fail(call, PT_INVALID, "%sflags: 0x%x has unknown bits", p, item->flags);
	else if (!item->size)
		call_fail(call, PT_INVALID, "%ssize: the range is empty", p);
	else if (item->ipa.v + item->size - 1 < item->ipa.v)
		call_fail(call, PT_INVALID, "%ssize: ipa + size wraps", p);
	else if (item->kind == PT_ITEM_MAP && item->pa.v + item->size - 1 < item->pa.v)
		call_fail(call, PT_INVALID, "%spa: pa + size wraps", p);
	else if (item->kind == PT_ITEM_ANNOTATE)
		call_fail(
			call, PT_INVALID,
			"%spa: 0x%llx is no annotation: a type from 2 to 15 in 63:60, bit 0 clear",
			p, (unsigned long long)item->pa.v);
	else if (item->kind == PT_ITEM_MAP && breaks_identity(item))
		call_fail(call, PT_INVALID, "%spa: 0x%llx; the context maps only IPA = PA", p,
			  (unsigned long long)item->pa.v);
	else if (item->kind == PT_ITEM_MAP && foreign_software_bits(item))
		call_fail(
			call, PT_INVALID,
			"%sprot: 0x%x has software bits that the context does not give to mappings",
			p, item->prot);
	else
		name_rights(call, item, p);
}

static void name_misaligned(struct call *call, const struct pt_item *item, const char *p)
{
	uint64_t unit = UINT64_C(1) << item->ctx->geo.granule_shift;
	char field[48];

	if (item->ipa.v % unit) {
		snprintf(field, sizeof(field), "%sipa", p);
		fail_aligned(call, field, item->ipa.v, unit);
	} else if (item->size % unit) {
		snprintf(field, sizeof(field), "%ssize", p);
		fail_aligned(call, field, item->size, unit);
	} else {
		snprintf(field, sizeof(field), "%spa", p);
		fail_aligned(call, field, item->pa.v, unit);
	}
}

static void name_out_of_range(struct call *call, const struct pt_item *item, const char *p)
{
	const struct pt_geometry *g = &item->ctx->geo;

	if ((item->ipa.v + item->size - 1) >> g->ipa_bits)
		call_fail(call, PT_OUT_OF_RANGE, "%sipa: the range leaves the %u-bit IPA space", p,
			  g->ipa_bits);
	else
		call_fail(call, PT_OUT_OF_RANGE, "%spa: the range leaves the %u-bit PA space", p,
			  g->pa_bits);
}

enum call_result fail_item(struct call *call, const struct pt_item *item, enum pt_outcome code,
			   const char *prefix, uint32_t index)
{
	switch (code) {
	case PT_INVALID: name_invalid(call, item, prefix); break;
	case PT_MISALIGNED: name_misaligned(call, item, prefix); break;
	case PT_OUT_OF_RANGE: name_out_of_range(call, item, prefix); break;
	case PT_UNSUPPORTED:
		call_fail(call, code, "%sprot: 0x%x needs the context's option xnx", prefix,
			  item->prot);
		break;
	default: call_fail(call, code, NULL);
	}
	call->status.index = index;
	call->status.ipa = item->ipa.v;
	return CALL_DONE;
}

bool request_id_ok(struct call *call, const ProtobufCBinaryData *id)
{
	if (id->len == 0 || id->len == 16)
		return true;
	call_fail(call, PT_INVALID, "request_id: %zu bytes; it must have 16, or none", id->len);
	return false;
}
