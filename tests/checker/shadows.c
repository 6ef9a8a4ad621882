/* SPDX-License-Identifier: BSD-2-Clause */
/* Shadows over the checker: they are filled, invalidated by their guest, and end. */
#include "beside.h"

#include "../unit/guest_fixture.h"

#define PAGE UINT64_C(4096)

static struct guest g;

static void invalidate(enum pt_guest_tlbi_scope scope, uint64_t ipa)
{
	const struct pt_guest_tlbi tlbi = {.scope = scope, .level = PT_TTL_UNKNOWN, .ipa = {ipa}};
	struct pt_guest_tlbi_op op;
	enum pt_outcome outcome;

	pt_guest_tlbi_begin(&op, &g.nested, 5, &tlbi);
	do {
		pt_section_begin(&g.c.agent);
		outcome = pt_guest_tlbi_step(&op, &g.c.agent, 20);
		pt_section_end(&g.c.agent);
	} while (outcome == PT_MORE);
	ASSERT_OUTCOME(PT_OK, outcome);
}

static void fill(uint64_t pages)
{
	for (uint64_t i = 0; i < pages; i++)
		guest_fault(&g, i * PAGE, i & 1 ? PT_ACCESS_WRITE : PT_ACCESS_READ);
}

/* Twice under one key. */
void a_guest_fills_and_invalidates(void **state)
{
	(void)state;
	guest_open_bare(&g, &shapes[0], 12, true);
	guest_slot(&g, 0, GUEST_SLOT_BYTES, 0, 12);
	guest_map(&g, 0, 0, 2, GUEST_RWX);
	guest_map(&g, 512 * PAGE, 512 * PAGE, 3, GUEST_LEAF | GUEST_AF | GUEST_R | GUEST_XN);
	for (unsigned round = 0; round < 2; round++) {
		ASSERT_OUTCOME(PT_OK, guest_shadow(&g, &g.shadow));
		fill(100);
		ASSERT_OUTCOME(PT_MAPPED, guest_fault(&g, 512 * PAGE, PT_ACCESS_READ));
		invalidate(PT_GUEST_TLBI_IPA, 7 * PAGE);
		fill(70);
		invalidate(PT_GUEST_TLBI_STAGE1, 0);
		invalidate(PT_GUEST_TLBI_VMID, 0);
		fill(50);
		ASSERT_OUTCOME(PT_UNMAPPED, core_unmap(&g.c, 90 * PAGE, 10 * PAGE));
		guest_end(&g, &g.shadow, 20);
		memset(&g.shadow, 0, sizeof(g.shadow));
	}
	guest_close(&g);
}
