/* SPDX-License-Identifier: BSD-2-Clause */
/* Rows of decoded fields, and the fault status codes that two registers share. */
#include "arch/rows.h"

void pt__row(struct pt__rows *r, struct pt_field field)
{
	if (r->n < PT_DECODE_MAX)
		r->row[r->n++] = field;
}

static const char *text_of(const struct pt__field_def *def, uint64_t value)
{
	if (!def->texts_count)
		return "";
	return value < def->texts_count ? def->texts[value] : "reserved";
}

void pt__row_field(struct pt__rows *r, const struct pt__field_def *def, uint64_t v)
{
	uint64_t value = pt__field(v, def->hi, def->lo);

	pt__row(r, (struct pt_field){.name = def->name,
				     .hi = def->hi,
				     .lo = def->lo,
				     .value = value,
				     .text = text_of(def, value)});
}

void pt__row_fields(struct pt__rows *r, const struct pt__field_def *defs, unsigned count,
		    uint64_t v)
{
	for (unsigned i = 0; i < count; i++)
		pt__row_field(r, &defs[i], v);
}

void pt__row_address(struct pt__rows *r, const char *name, unsigned hi, unsigned lo,
		     uint64_t address)
{
	pt__row(r, (struct pt_field){.name = name,
				     .hi = (uint8_t)hi,
				     .lo = (uint8_t)lo,
				     .address = true,
				     .value = address,
				     .text = ""});
}

void pt__row_derived(struct pt__rows *r, const char *name, uint64_t value, bool address,
		     const char *text)
{
	pt__row(r, (struct pt_field){.name = name,
				     .hi = PT_FIELD_DERIVED,
				     .lo = PT_FIELD_DERIVED,
				     .address = address,
				     .value = value,
				     .text = text});
}

/* Arm ARM, ESR_EL2, ISS of a data abort: DFSC. */
static const struct {
	uint8_t code;
	const char *text;
} statuses[] = {
	{0x00, "address size fault, level 0 or base register"},
	{0x01, "address size fault, level 1"},
	{0x02, "address size fault, level 2"},
	{0x03, "address size fault, level 3"},
	{0x04, "translation fault, level 0"},
	{0x05, "translation fault, level 1"},
	{0x06, "translation fault, level 2"},
	{0x07, "translation fault, level 3"},
	{0x08, "access flag fault, level 0"},
	{0x09, "access flag fault, level 1"},
	{0x0a, "access flag fault, level 2"},
	{0x0b, "access flag fault, level 3"},
	{0x0c, "permission fault, level 0"},
	{0x0d, "permission fault, level 1"},
	{0x0e, "permission fault, level 2"},
	{0x0f, "permission fault, level 3"},
	{0x10, "synchronous external abort, not on a walk"},
	{0x11, "synchronous tag check fault"},
	{0x13, "synchronous external abort on a walk, level -1"},
	{0x14, "synchronous external abort on a walk, level 0"},
	{0x15, "synchronous external abort on a walk, level 1"},
	{0x16, "synchronous external abort on a walk, level 2"},
	{0x17, "synchronous external abort on a walk, level 3"},
	{0x18, "parity or ECC error, not on a walk"},
	{0x1b, "parity or ECC error on a walk, level -1"},
	{0x1c, "parity or ECC error on a walk, level 0"},
	{0x1d, "parity or ECC error on a walk, level 1"},
	{0x1e, "parity or ECC error on a walk, level 2"},
	{0x1f, "parity or ECC error on a walk, level 3"},
	{0x21, "alignment fault"},
	{0x23, "granule protection fault on a walk, level -1"},
	{0x24, "granule protection fault on a walk, level 0"},
	{0x25, "granule protection fault on a walk, level 1"},
	{0x26, "granule protection fault on a walk, level 2"},
	{0x27, "granule protection fault on a walk, level 3"},
	{0x28, "granule protection fault, not on a walk"},
	{0x29, "address size fault, level -1"},
	{0x2b, "translation fault, level -1"},
	{0x30, "TLB conflict abort"},
	{0x31, "unsupported atomic hardware update fault"},
	{0x34, "implementation defined fault (lockdown)"},
	{0x35, "implementation defined fault (unsupported exclusive or atomic access)"},
};

const char *pt__fault_status_text(unsigned fsc)
{
	for (unsigned i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
		if (statuses[i].code == fsc)
			return statuses[i].text;
	return "reserved";
}
