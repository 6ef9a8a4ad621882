/* SPDX-License-Identifier: BSD-2-Clause */
/* What a pager's stream brings: checked, written where the slot has the page, and then present. */
#include "pager_supply.h"

#include <pt/dirty.h>
#include <pt/fault.h>
#include <pt/host/vcpu.h>

#define CONTENT(name) PTD__V1__PAGE_CONTENT__PAGE_CONTENT_##name

static enum pt_outcome refuse(Ptd__V1__PageSupplied *to, enum pt_outcome code, const char *text)
{
	to->outcome = code;
	to->text = (char *)(uintptr_t)text;
	return code;
}

static enum pt_outcome check(const struct pager *p, const Ptd__V1__PageSupply *q,
			     Ptd__V1__PageSupplied *to)
{
	uint64_t mask = (UINT64_C(1) << p->shift) - 1;
	bool data = q->content == CONTENT(DATA);

	if (q->content < CONTENT(DATA) || q->content > CONTENT(FAILED))
		return refuse(to, PT_INVALID, "content: none of PageContent");
	if ((q->ipa | q->size) & mask)
		return refuse(to, PT_MISALIGNED, "ipa, size: not multiples of page_bytes");
	if (!q->size)
		return refuse(to, PT_INVALID, "size: there are no pages");
	if (q->size > LIMIT_ACCESS_BYTES)
		return refuse(to, PT_TOO_LARGE, "size: above max_access_bytes");
	if (q->ipa - p->ipa >= p->size || q->size > p->size - (q->ipa - p->ipa))
		return refuse(to, PT_OUT_OF_RANGE, "ipa: not all of it is in the pager's range");
	if (q->data.len != (data ? q->size : 0))
		return refuse(to, PT_INVALID, "data: as many bytes as size with DATA, else none");
	return PT_OK;
}

/* The content of one page that is absent, so that nothing maps it. */
static void write_page(struct context *c, const Ptd__V1__PageSupply *q, uint64_t offset,
		       uint64_t pa, uint64_t size)
{
	struct pt_host_ram *ram = &c->machine->ram;

	if (q->content == CONTENT(DATA))
		pt_host_ram_write(ram, pa, q->data.data + offset, size);
	else if (q->content == CONTENT(ZERO))
		pt_host_ram_wipe(ram, pa, size);
	else
		return;
	pt_dirty_mark(&c->pt, pt_ipa(q->ipa + offset), size);
}

static void write_absent(struct context *c, const struct pager *p, const Ptd__V1__PageSupply *q,
			 const struct pt_slot *slot)
{
	uint64_t page = UINT64_C(1) << p->shift;

	for (uint64_t at = 0; at < q->size; at += page)
		if (!pager_has(p, (q->ipa + at - p->ipa) >> p->shift))
			write_page(c, q, at, slot->pa + (q->ipa + at - slot->ipa), page);
}

/* A page that has content cannot fail any more; among those that are absent only some did before.
 */
static uint64_t there_before(const struct pager *p, uint64_t first, uint64_t count)
{
	uint64_t n = 0;

	for (uint64_t i = first; i < first + count; i++)
		n += pager_has(p, i);
	return n;
}

/* The page lacks content; a mapping that does not grant the handler's access may be there even so.
 */
static enum pt_outcome not_mapped(struct context *c, uint64_t ipa)
{
	struct hw_result walk = {0};

	if (pt_host_translate(&c->pt, pt_ipa(ipa), PT_ACCESS_READ, false, &walk) != PT_OK)
		return PT_MORE;
	return walk.fault == HW_TRANSLATION ? PT_OK : PT_WRONG_STATE;
}

/*
 * May a page that is absent be written, in a machine with owners? The host's own may, unless it is
 * about to be another's. The fault handler knows both, and changes nothing where the content lacks;
 * a transition that is published after it has looked waits for this section.
 */
static enum pt_outcome may_write(struct call *call, struct context *c, uint64_t ipa)
{
	const struct pt_fault fault = {
		.ipa = pt_ipa(ipa), .access = PT_ACCESS_READ, .level = PT_LEVEL_LAST};
	struct pt_fault_result result;

	switch (pt_fault_handle(call_agent(call), &c->pt, &fault, &result)) {
	case PT_ABSENT: return not_mapped(c, ipa);
	case PT_PARKED:
	case PT_RACED: return PT_MORE;
	case PT_WRONG_OWNER: return PT_WRONG_OWNER;
	default: return PT_WRONG_STATE;
	}
}

/* One page of a supply. What is mapped has its content by that, which a right that an access lacks
 * would else be waiting for: the page is there from now on. */
static enum pt_outcome check_page(struct call *call, struct context *c, struct pager *p,
				  uint64_t ipa)
{
	uint64_t page = (ipa - p->ipa) >> p->shift;
	enum pt_outcome o = pager_has(p, page) ? PT_OK : may_write(call, c, ipa);

	if (o == PT_WRONG_STATE)
		pager_supplied(&call->domain->pagers, p, page, 1, false);
	return o;
}

static enum pt_outcome check_owners(struct call *call, struct context *c, struct pager *p,
				    const Ptd__V1__PageSupply *q, Ptd__V1__PageSupplied *to)
{
	enum pt_outcome o = PT_OK;

	if (!c->machine->owners || q->content == CONTENT(FAILED))
		return PT_OK;
	for (uint64_t at = 0; at < q->size && o == PT_OK; at += UINT64_C(1) << p->shift)
		o = check_page(call, c, p, q->ipa + at);
	if (o == PT_WRONG_OWNER)
		return refuse(to, o, "ipa: there is a page that is not the host's");
	if (o == PT_WRONG_STATE)
		return refuse(to, o, "ipa: there is a page that was mapped meanwhile");
	return o;
}

enum pt_outcome pager_supply(struct call *call, struct context *c, struct pager *p,
			     const Ptd__V1__PageSupply *q, Ptd__V1__PageSupplied *to)
{
	const struct pt_slot *slot = pt_slot_find(pt_ctx_slots(&c->pt), p->ipa);
	uint64_t first = (q->ipa - p->ipa) >> p->shift, count = q->size >> p->shift;
	enum pt_outcome o;

	if (!slot || !(slot->flags & PT_SLOT_PAGED) || p->size > slot->size - (p->ipa - slot->ipa))
		return PT_NOT_FOUND;
	to->ipa = q->ipa;
	to->size = q->size;
	o = check(p, q, to);
	if (o == PT_OK)
		o = check_owners(call, c, p, q, to);
	if (o == PT_MORE)
		return o;
	if (o == PT_WRONG_OWNER || o == PT_WRONG_STATE)
		pager_refused(&call->domain->pagers, p, first, count);
	if (o == PT_OK) {
		to->pages_before = there_before(p, first, count);
		write_absent(c, p, q, slot);
		to->pages = pager_supplied(&call->domain->pagers, p, first, count,
					   q->content == CONTENT(FAILED));
	}
	to->absent_pages = atomic_load_explicit(&p->absent, memory_order_relaxed);
	return PT_OK;
}
