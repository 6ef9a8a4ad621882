/* SPDX-License-Identifier: BSD-2-Clause */
/* The audit: a machine in which every state occurs agrees with itself; each single lie is found. */
#include "owner_fixture.h"

#include <pt/owner_audit.h>

#define GUEST_A 5u
#define GUEST_B 6u
#define LENDING 99u

#define DONATED	 0x100000u /* frames: A's at its gfn 0x10, */
#define BACK	 0x101000u /* A's at 0x11, shared with the host, */
#define LENT	 0x102000u /* the host's, lent to B (at 0x20), */
#define A_LENT	 0x103000u /* A's at 0x13, lent to B (at 0x21), */
#define SHARED	 0x104000u /* the host's, shared with A (at 0x30) and twice with B (0x30, 0x31), */
#define HYPS	 0x105000u
#define WITH_HYP 0x106000u
#define THIRD	 0x107000u
#define BLOCK	 0x400000u /* shared with B as a block (at 0x400) */
#define OTHERS	 0x600000u /* the host's, and nobody else's */

struct house {
	struct ledger l;
	struct pt_ctx host, a, b;
	struct pt_owner_guest guest[2];
	struct pt_frames frames;
	struct pt_extents extents;
};

static void open_ctx(struct house *h, struct pt_ctx *ctx)
{
	struct pt_geometry geo;

	ASSERT_OUTCOME(PT_OK, pt_geometry_init(&geo, &shapes[0].args));
	pt_section_begin(&h->l.c.agent);
	ASSERT_OUTCOME(PT_OK, pt_ctx_init(ctx, &h->l.c.agent, &h->l.c.machine, &geo, PT_ATTR_FWB, 0,
					  UINT64_MAX));
	ASSERT_OUTCOME(PT_OK, pt_ctx_sw_own(ctx, PT_OWNER_SW, PT_SW_CALLER));
	pt_section_end(&h->l.c.agent);
}

static void close_ctx(struct house *h, struct pt_ctx *ctx)
{
	struct pt_txn txn;

	ASSERT_OUTCOME(PT_OK, pt_ctx_destroy_begin(&txn, ctx, NULL));
	ASSERT_OUTCOME(PT_OK, core_run(&txn, &h->l.c.agent, 1000));
}

static void run(struct house *h, struct pt_ctx *ctx, enum pt_item_kind kind, uint64_t ipa,
		uint64_t size, uint64_t pa, uint32_t prot)
{
	struct pt_item item = core_item(&h->l.c, kind, ipa, size, pa, prot,
					kind == PT_ITEM_MAP ? PT_MAP_REPLACE : 0);

	item.ctx = ctx;
	assert_false(pt_is_error(core_range(&h->l.c, item, NULL)));
}

static void leaf(struct house *h, struct pt_ctx *ctx, uint64_t gfn, uint64_t pa,
		 enum pt_page_state state)
{
	run(h, ctx, PT_ITEM_MAP, gfn << 12, PT_SZ_4K, pa, PT_PROT_RWX | pt_page_state_prot(state));
}

static void note(struct house *h, struct pt_ctx *ctx, uint64_t ipa, struct pt_note n)
{
	pt_pte entry;

	ASSERT_OUTCOME(PT_OK, pt_note_encode(&n, &entry));
	run(h, ctx, PT_ITEM_ANNOTATE, ipa, PT_SZ_4K, entry, 0);
}

static void empty(struct house *h, struct pt_ctx *ctx, uint64_t ipa)
{
	run(h, ctx, PT_ITEM_UNMAP, ipa, PT_SZ_4K, 0, 0);
}

static void donated(struct house *h, uint64_t pa, uint16_t handle, uint64_t gfn)
{
	note(h, &h->host, pa,
	     (struct pt_note){.type = PT_NOTE_DONATION, .owner = {PT_OWNER_GUEST, handle, gfn}});
}

static void record(struct house *h, uint64_t pa, uint64_t size, struct pt_frame_record r)
{
	pt_section_begin(&h->l.c.agent);
	ASSERT_OUTCOME(PT_OK, pt_frames_reserve(&h->frames, &h->l.c.agent, pa, size));
	pt_frames_set(&h->frames, pa, size, r);
	pt_frames_release(&h->frames, &h->l.c.agent, pa, size);
	pt_section_end(&h->l.c.agent);
}

static void extent(struct house *h, uint64_t pa, uint64_t size, struct pt_owner owner,
		   enum pt_page_state state)
{
	extent_set(&h->l, &h->extents,
		   (struct pt_extent){.start = pa >> 12,
				      .end = (pa + size) >> 12,
				      .owner = owner,
				      .state = (uint8_t)state});
}

static const struct pt_frame_record gone = {PT_PAGE_NOPAGE, PT_PAGE_NOPAGE, 0, 0, false};
static const struct pt_owner the_host = {PT_OWNER_HOST, 0, 0};

static void guests_pages(struct house *h)
{
	donated(h, DONATED, GUEST_A, 0x10);
	leaf(h, &h->a, 0x10, DONATED, PT_PAGE_OWNED);
	record(h, DONATED, PT_SZ_4K, gone);
	extent(h, DONATED, PT_SZ_4K, (struct pt_owner){PT_OWNER_GUEST, GUEST_A, 0x10},
	       PT_PAGE_OWNED);

	leaf(h, &h->a, 0x11, BACK, PT_PAGE_SHARED_OWNED);
	record(h, BACK, PT_SZ_4K,
	       (struct pt_frame_record){.host = PT_PAGE_SHARED_BORROWED, .hyp = PT_PAGE_NOPAGE});
	extent(h, BACK, PT_SZ_4K, (struct pt_owner){PT_OWNER_GUEST, GUEST_A, 0x11},
	       PT_PAGE_SHARED_OWNED);

	donated(h, A_LENT, GUEST_A, 0x13);
	note(h, &h->a, 0x13000, (struct pt_note){.type = PT_NOTE_LENT, .lending = LENDING});
	leaf(h, &h->b, 0x21, A_LENT, PT_PAGE_LENT_BORROWED);
	record(h, A_LENT, PT_SZ_4K, gone);
	extent(h, A_LENT, PT_SZ_4K, (struct pt_owner){PT_OWNER_GUEST, GUEST_A, 0x13}, PT_PAGE_LENT);
	note(h, &h->a, 0x50000, (struct pt_note){.type = PT_NOTE_POISONED});
}

static void hosts_pages(struct house *h)
{
	struct pt_frame_record shared = {PT_PAGE_SHARED_OWNED, PT_PAGE_NOPAGE, 0, 3, false};

	note(h, &h->host, LENT, (struct pt_note){.type = PT_NOTE_LENT, .lending = LENDING + 1});
	leaf(h, &h->b, 0x20, LENT, PT_PAGE_LENT_BORROWED);
	record(h, LENT, PT_SZ_4K,
	       (struct pt_frame_record){.host = PT_PAGE_LENT, .hyp = PT_PAGE_NOPAGE});
	extent(h, LENT, PT_SZ_4K, the_host, PT_PAGE_LENT);

	leaf(h, &h->a, 0x30, SHARED, PT_PAGE_SHARED_BORROWED);
	leaf(h, &h->b, 0x30, SHARED, PT_PAGE_SHARED_BORROWED);
	leaf(h, &h->b, 0x31, SHARED, PT_PAGE_SHARED_BORROWED);
	record(h, SHARED, PT_SZ_4K, shared);
	extent(h, SHARED, PT_SZ_4K, the_host, PT_PAGE_SHARED_OWNED);

	note(h, &h->host, HYPS,
	     (struct pt_note){.type = PT_NOTE_DONATION, .owner = {.kind = PT_OWNER_HYP}});
	record(h, HYPS, PT_SZ_4K,
	       (struct pt_frame_record){PT_PAGE_NOPAGE, PT_PAGE_OWNED, 0, 0, false});
	extent(h, HYPS, PT_SZ_4K, (struct pt_owner){.kind = PT_OWNER_HYP}, PT_PAGE_OWNED);

	record(h, WITH_HYP, PT_SZ_4K,
	       (struct pt_frame_record){PT_PAGE_SHARED_OWNED, PT_PAGE_SHARED_BORROWED, 2, 0,
					false});
	record(h, THIRD, PT_SZ_4K,
	       (struct pt_frame_record){PT_PAGE_SHARED_OWNED, PT_PAGE_NOPAGE, 0, 0, false});
	extent(h, WITH_HYP, 2 * PT_SZ_4K, the_host, PT_PAGE_SHARED_OWNED);

	run(h, &h->b, PT_ITEM_MAP, 0x400000, PT_SZ_2M, BLOCK,
	    PT_PROT_RW | pt_page_state_prot(PT_PAGE_SHARED_BORROWED));
	shared.shares = 1;
	record(h, BLOCK, PT_SZ_2M, shared);
	extent(h, BLOCK, PT_SZ_2M, the_host, PT_PAGE_SHARED_OWNED);
}

static void house_open(struct house *h)
{
	ledger_open(&h->l, UINT64_C(16) << 20);
	open_ctx(h, &h->host);
	open_ctx(h, &h->a);
	open_ctx(h, &h->b);
	h->guest[0] = (struct pt_owner_guest){&h->a, GUEST_A, 0};
	h->guest[1] = (struct pt_owner_guest){&h->b, GUEST_B, 0};
	ASSERT_OUTCOME(PT_OK, pt_frames_init(&h->frames, &h->l.store, 12, 40));
	pt_extents_init(&h->extents, &h->l.store, UINT64_C(1) << 28);
	/* What the host has touched: a block, and pages. */
	run(h, &h->host, PT_ITEM_MAP, 0, UINT64_C(16) << 20, 0, PT_PROT_RWX);
	guests_pages(h);
	hosts_pages(h);
}

static void house_close(struct house *h)
{
	close_ctx(h, &h->host);
	close_ctx(h, &h->a);
	close_ctx(h, &h->b);
	pt_section_begin(&h->l.c.agent);
	while (pt_frames_close(&h->frames, &h->l.c.agent, 1) == PT_MORE ||
	       pt_extents_close(&h->extents, &h->l.c.agent, 1) == PT_MORE)
		continue;
	pt_section_end(&h->l.c.agent);
	ledger_close(&h->l);
}

static struct pt_owner_audit audit(struct house *h, uint32_t budget, bool extents)
{
	struct pt_owner_audit a;
	enum pt_outcome outcome;

	pt_owner_audit_begin(&a, &h->host, h->guest, 2, &h->frames, extents ? &h->extents : NULL);
	do {
		pt_section_begin(&h->l.c.agent);
		outcome = pt_owner_audit_step(&a, budget);
		pt_section_end(&h->l.c.agent);
	} while (outcome == PT_MORE);
	assert_int_equal(a.found.kind ? PT_WRONG_STATE : PT_OK, outcome);
	return a;
}

static void every_state_agrees(void **state)
{
	struct pt_owner_audit a, b;
	struct house h = {0};

	(void)state;
	house_open(&h);
	a = audit(&h, 1000, true);
	assert_int_equal(PT_AUDIT_NONE, a.found.kind);
	/* The block's frames, as records, as pages of a leaf, and in an extent. */
	assert_true(a.looked > 3 * 512);
	b = audit(&h, 1, true);
	assert_int_equal(PT_AUDIT_NONE, b.found.kind);
	assert_int_equal(a.looked, b.looked);
	b = audit(&h, 7, false);
	assert_int_equal(PT_AUDIT_NONE, b.found.kind);
	assert_true(b.looked < a.looked);
	house_close(&h);
}

/* One lie each. */
static void lie(struct house *h, unsigned which)
{
	switch (which) {
	case 0: note(h, &h->host, DONATED, (struct pt_note){.type = PT_NOTE_POISONED}); break;
	case 1: donated(h, DONATED, GUEST_A, 0x12); break;
	case 2: donated(h, DONATED, GUEST_B, 0x10); break;
	case 3: donated(h, DONATED, 7, 0x10); break;
	case 4: donated(h, OTHERS, GUEST_A, 0x10); break;
	case 5: empty(h, &h->host, DONATED); break;
	case 6: leaf(h, &h->host, LENT >> 12, LENT, PT_PAGE_OWNED); break;
	case 7: leaf(h, &h->host, HYPS >> 12, HYPS, PT_PAGE_OWNED); break;
	case 8: record(h, DONATED, PT_SZ_4K, pt_frame_record(0)); break;
	case 9: record(h, HYPS, PT_SZ_4K, gone); break;
	case 10:
		record(h, OTHERS, PT_SZ_4K,
		       (struct pt_frame_record){PT_PAGE_OWNED, PT_PAGE_NOPAGE, 1, 0, false});
		break;
	case 11: leaf(h, &h->a, 0x10, OTHERS, PT_PAGE_OWNED); break;
	case 12: leaf(h, &h->b, 0x77, DONATED, PT_PAGE_OWNED); break;
	case 13: leaf(h, &h->a, 0x11, BACK, PT_PAGE_OWNED); break;
	case 14: leaf(h, &h->b, 0x77, OTHERS, PT_PAGE_SHARED_BORROWED); break;
	case 15: leaf(h, &h->b, 0x77, SHARED, PT_PAGE_SHARED_BORROWED); break;
	case 16: empty(h, &h->b, 0x31000); break;
	case 17: leaf(h, &h->b, 0x31, BLOCK, PT_PAGE_SHARED_BORROWED); break;
	case 18: leaf(h, &h->b, 0x77, DONATED, PT_PAGE_LENT_BORROWED); break;
	case 19:
		note(h, &h->b, 0x77000, (struct pt_note){.type = PT_NOTE_LENT, .lending = 1});
		break;
	case 20:
		note(h, &h->a, 0x77000,
		     (struct pt_note){.type = PT_NOTE_DONATION, .owner = {.kind = PT_OWNER_HYP}});
		break;
	case 21: extent(h, OTHERS, PT_SZ_4K, the_host, PT_PAGE_LENT); break;
	case 22: extent(h, SHARED, PT_SZ_4K, the_host, PT_PAGE_OWNED); break;
	case 23:
		extent(h, DONATED, PT_SZ_4K, (struct pt_owner){PT_OWNER_GUEST, GUEST_A, 0x11},
		       PT_PAGE_OWNED);
		break;
	default:
		run(h, &h->a, PT_ITEM_MAP, 0x77000, PT_SZ_4K, UINT64_C(1) << 41,
		    PT_PROT_R | pt_page_state_prot(PT_PAGE_SHARED_BORROWED));
		break;
	}
}

static void each_lie_is_found(void **state)
{
	static const struct {
		enum pt_audit_kind kind;
		uint64_t pa;
		uint16_t handle; /* 0: not in a guest */
		uint64_t ipa;
	} want[] = {
		{PT_AUDIT_ENTRY, DONATED, 0, 0},
		{PT_AUDIT_GUEST, DONATED, 0, 0},
		{PT_AUDIT_GUEST, DONATED, 0, 0},
		{PT_AUDIT_GUEST, DONATED, 0, 0},
		{PT_AUDIT_HOST, OTHERS, 0, 0},
		{PT_AUDIT_HOST, DONATED, 0, 0},
		{PT_AUDIT_HOST, LENT, 0, 0},
		{PT_AUDIT_HOST, HYPS, 0, 0},
		{PT_AUDIT_HOST, DONATED, 0, 0},
		{PT_AUDIT_HOST, HYPS, 0, 0},
		{PT_AUDIT_RECORD, OTHERS, 0, 0},
		{PT_AUDIT_GUEST, DONATED, 0, 0},
		{PT_AUDIT_LEAF, DONATED, GUEST_B, 0x77000},
		{PT_AUDIT_LEAF, BACK, GUEST_A, 0x11000},
		{PT_AUDIT_LEAF, OTHERS, GUEST_B, 0x77000},
		{PT_AUDIT_SHARES, 0, 0, 0},
		{PT_AUDIT_SHARES, 0, 0, 0},
		{PT_AUDIT_SHARES, 0, 0, 0}, /* the same count, of other frames */
		{PT_AUDIT_LEAF, DONATED, GUEST_B, 0x77000},
		{PT_AUDIT_LENT, 0, 0, 0},
		{PT_AUDIT_ENTRY, 0, GUEST_A, 0x77000},
		{PT_AUDIT_EXTENT, OTHERS, 0, 0},
		{PT_AUDIT_EXTENT, SHARED, 0, 0},
		{PT_AUDIT_EXTENT, DONATED, 0, 0},
		{PT_AUDIT_LEAF, UINT64_C(1) << 41, GUEST_A, 0x77000},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		struct house h = {0};
		struct pt_audit_found found;

		house_open(&h);
		lie(&h, i);
		found = audit(&h, 3, true).found;
		print_message("%u: kind %u at %#llx\n", i, found.kind,
			      (unsigned long long)found.pa);
		assert_int_equal(want[i].kind, found.kind);
		assert_int_equal(want[i].pa, found.pa);
		assert_int_equal(want[i].handle != 0, found.in_guest);
		if (found.in_guest) {
			assert_int_equal(want[i].handle, found.handle);
			assert_int_equal(want[i].ipa, found.ipa);
		}
		house_close(&h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_state_agrees),
		cmocka_unit_test(each_lie_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
