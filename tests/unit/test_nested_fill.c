/* SPDX-License-Identifier: BSD-2-Clause */
/* Faults of a shadow: what is filled, who takes the fault, what is left when it fails. */
#include "guest_fixture.h"

#include "../../lib/nested/internal.h"
#include "../../lib/walk/inline.h"

#define GIB (UINT64_C(1) << 30)

static struct guest g;
static struct pt_nested_result r;

static enum pt_outcome fault(uint64_t ipa, enum pt_access access)
{
	return guest_fault_as(&g, guest_access(ipa, access), &r);
}

static void close_all(void)
{
	guest_end(&g, &g.shadow, 1000);
	guest_close(&g);
}

static pt_pte *slot_of(const struct pt_ctx *ctx, uint64_t ipa)
{
	struct pt__at at;

	PT__BY_GRANULE(&ctx->geo, pt__descend(ctx, ipa, PT_LEVEL_LAST, 12, &at),
		       pt__descend(ctx, ipa, PT_LEVEL_LAST, 14, &at),
		       pt__descend(ctx, ipa, PT_LEVEL_LAST, 16, &at));
	return at.slot;
}

/* Where the canonical memory of an address stands. */
static uint64_t pa_of(uint64_t canonical)
{
	return GUEST_SLOT_PA + canonical;
}

/* The largest size of a granule that is at most so many bits. */
static unsigned fit(unsigned granule, unsigned bits)
{
	unsigned most = granule;

	for (unsigned s = granule; s <= bits; s += granule - 3)
		most = s;
	return most;
}

/*
 * Each pair of granules, a guest's leaf of each size, canonical memory in pages and in blocks: the
 * byte is where both say, the leaf has the smaller size, and the software bits the guest's level.
 */
static void leaves_are_composed(void **state)
{
	static const unsigned shift[3] = {12, 14, 16};
	unsigned cases = 0;

	(void)state;
	for (unsigned host = 0; host < 3; host++)
		for (unsigned guest = 0; guest < 3; guest++)
			for (unsigned backing = 0; backing < 2; backing++)
				for (int level = 1; level <= 3; level++) {
					const uint64_t nested = 3 * GIB, out = 7 * GIB,
						       at = 0x12345678;
					unsigned hs = backing ? 30 : 12, mine, bits, want;
					uint64_t offset;
					struct hw_result walk;
					pt_pte e;

					guest_open_bare(&g, &shapes[host], shift[guest], false);
					hs = hs < shift[host] ? shift[host] : fit(shift[host], hs);
					if (!pt_level_has_leaf(&g.geo, level)) {
						guest_close(&g);
						continue;
					}
					guest_slot(&g, 0, GUEST_SLOT_BYTES, 0, hs);
					ASSERT_OUTCOME(PT_OK, guest_shadow(&g, &g.shadow));
					offset =
						at &
						((UINT64_C(1) << guest_level_shift(&g, level)) - 1);
					guest_map(&g, nested, out, level, GUEST_RWX);
					ASSERT_OUTCOME(PT_MAPPED,
						       fault(nested + offset, PT_ACCESS_WRITE));
					assert_int_equal(PT_NESTED_NOBODY, r.who);
					assert_int_equal(out + offset, r.canonical.v);
					assert_int_equal(pa_of(out + offset), r.pa.v);
					mine = shift[guest < host ? guest : host];
					bits = (unsigned)guest_level_shift(&g, level);
					want = fit(mine, bits < hs ? bits : hs);
					walk = guest_walk(&g, nested + offset, HW_WRITE);
					assert_int_equal(HW_NO_FAULT, walk.fault);
					assert_int_equal(pa_of(out + offset), walk.pa);
					assert_int_equal(UINT64_C(1) << want, walk.span);
					assert_int_equal(r.level, walk.level);
					assert_false(walk.exec_el1); /* nobody has fetched yet */
					e = *slot_of(&g.shadow.ctx, nested + offset);
					assert_int_equal(level, pt__guest_level(e));
					assert_int_equal(1,
							 atomic_load(&g.shadow.leaves[level + 1]));
					ASSERT_OUTCOME(PT_ALREADY_MAPPED,
						       fault(nested + offset, PT_ACCESS_READ));
					cases++;
					close_all();
				}
	assert_int_equal(42, cases);
}

#define HELD 4

/* What a test keeps of the pool, so that it knows what comes next. */
struct hoard {
	struct pt_pages pages;
	struct pt_page half[HELD], quarter;
};

/* Two halves of pages are free, and quarters; then come pages that nobody has had, from an even one
 * on. */
static void hoard(struct hoard *h)
{
	struct pt_pool *pool = &g.c.tables.world.pool;

	for (unsigned i = 0; i < HELD; i++)
		ASSERT_OUTCOME(PT_OK, pt_pool_get_root(&g.c.agent, 2048, &h->half[i]));
	for (unsigned i = 0; i < HELD; i += 2)
		pt_pool_put_root(&g.c.agent, 2048, h->half[i]);
	ASSERT_OUTCOME(PT_OK, pt_pool_get_root(&g.c.agent, 1024, &h->quarter));
	h->pages = (struct pt_pages){0, 0};
	do {
		ASSERT_OUTCOME(PT_OK, pt_pool_take(&g.c.agent, 12, 1, &h->pages));
	} while (h->pages.head != pool->untouched - 1 || h->pages.head % 2 == 0);
}

static void give_up(struct hoard *h)
{
	for (unsigned i = 1; i < HELD; i += 2)
		pt_pool_put_root(&g.c.agent, 2048, h->half[i]);
	pt_pool_put_root(&g.c.agent, 1024, h->quarter);
	pt_pool_give(&g.c.agent, 12, &h->pages);
}

/* A leaf that is the only one of a shadow for its links, and of all for its heads, both so far from
 * the first that they have trees, in which the same entry leads on. That of heads is made first, on
 * behalf of a leaf that has no tree of links and goes. So of both pages, side by side, its own is
 * had first when both have gone: by links. */
static void last_leaf(uint64_t nested, uint64_t out, struct hoard *h)
{
	const uint64_t first = nested ^ UINT64_C(1) << 28, page = core_size(&g.c, 3);

	ASSERT_OUTCOME(PT_MAPPED, core_map(&g.c, out + 3 * page, page, out, PT_PROT_RW, 0));
	guest_map(&g, first, out ^ UINT64_C(1) << 29, 3, GUEST_RWX);
	ASSERT_OUTCOME(PT_MAPPED, fault(first, PT_ACCESS_READ));
	core_unmap(&g.c, out ^ UINT64_C(1) << 29, page);
	guest_map(&g, nested + page, out + 2 * page, 3, GUEST_RWX); /* for the tables */
	ASSERT_OUTCOME(PT_MAPPED, fault(nested + page, PT_ACCESS_READ));
	core_unmap(&g.c, out + 2 * page, page);
	assert_int_equal(0, atomic_load(&g.nested.store.bytes));
	guest_map(&g, first, out + page, 3, GUEST_RWX);
	guest_map(&g, nested, out, 3, GUEST_RWX);
	hoard(h);
	ASSERT_OUTCOME(PT_MAPPED, fault(first, PT_ACCESS_READ));
	ASSERT_OUTCOME(PT_MAPPED, fault(nested, PT_ACCESS_READ));
	core_unmap(&g.c, out + page, page);
}

/* The only leaf of a shadow makes room for one that grants more, and its pieces of links and heads
 * go with it, and the pages that led there: what the fill had found of them before is none of
 * theirs any more. */
static void the_last_leaf_makes_room(void **state)
{
	const uint64_t nested = 0xb000000, out = 7 * GIB;

	(void)state;
	for (unsigned i = 0; i < SHAPES; i++) {
		struct pt_shadow_link link;
		struct hoard h;

		guest_open_bare(&g, &shapes[i], 12, false);
		guest_slot(&g, 0, GUEST_SLOT_BYTES, 0, shapes[i].args.granule_shift);
		ASSERT_OUTCOME(PT_OK, guest_shadow(&g, &g.shadow));
		last_leaf(nested, out, &h);
		ASSERT_OUTCOME(PT_RELAXED, fault(nested, PT_ACCESS_EXEC));
		ASSERT_OUTCOME(PT_OK, pt_shadow_link(&g.shadow, pt_ipa(nested), &link));
		assert_int_equal(out, link.canonical.v);
		core_unmap(&g.c, out, core_size(&g.c, 3));
		ASSERT_OUTCOME(PT_NOT_MAPPED, pt_shadow_link(&g.shadow, pt_ipa(nested), &link));
		assert_int_equal(0, atomic_load(&g.nested.store.bytes));
		core_unmap(&g.c, out, 4 * core_size(&g.c, 3));
		give_up(&h);
		close_all();
	}
}

/* The same without trees, near the first leaf; with stage 2 off, too. */
static void the_only_leaf_makes_room(void **state)
{
	const uint64_t nested = 0xb000000, out = 7 * GIB;

	(void)state;
	for (unsigned i = 0; i < SHAPES; i++)
		for (unsigned on = 0; on < 2; on++) {
			uint64_t at = on ? nested : out;
			struct pt_shadow_link link;

			guest_open_bare(&g, &shapes[i], 12, false);
			g.key.enabled = on;
			guest_slot(&g, 0, GUEST_SLOT_BYTES, 0, shapes[i].args.granule_shift);
			ASSERT_OUTCOME(PT_OK, guest_shadow(&g, &g.shadow));
			guest_map(&g, nested, out, 3, GUEST_RWX);
			ASSERT_OUTCOME(PT_MAPPED, fault(at, PT_ACCESS_READ));
			ASSERT_OUTCOME(PT_RELAXED, fault(at, PT_ACCESS_EXEC));
			ASSERT_OUTCOME(PT_OK, pt_shadow_link(&g.shadow, pt_ipa(at), &link));
			assert_int_equal(out, link.canonical.v);
			core_unmap(&g.c, out, core_size(&g.c, 3));
			ASSERT_OUTCOME(PT_NOT_MAPPED, pt_shadow_link(&g.shadow, pt_ipa(at), &link));
			assert_int_equal(0, atomic_load(&g.nested.store.bytes));
			close_all();
		}
}

/* The guest's tables say what the fault is; the level is theirs, whatever the shadow has. */
static void the_guest_takes_its_own_faults(void **state)
{
	(void)state;
	guest_open(&g, &shapes[0], 12, false);
	guest_map(&g, 0, 0, 2, GUEST_LEAF | GUEST_AF | GUEST_R | GUEST_XN);
	guest_map(&g, GIB, 0, 3, GUEST_LEAF | GUEST_R);
	ASSERT_OUTCOME(PT_DENIED, fault(2 * GIB, PT_ACCESS_READ));
	assert_int_equal(PT_NESTED_GUEST, r.who);
	assert_int_equal(1, r.fault.level);
	assert_int_equal(0x05, r.fault.fsc); /* translation, level 1 */
	/* A translation fault of the shadow, and one of permission by the guest's tables. */
	ASSERT_OUTCOME(PT_DENIED, fault(0x1000, PT_ACCESS_WRITE));
	assert_int_equal(PT_NESTED_GUEST, r.who);
	assert_int_equal(0x0e, r.fault.fsc); /* permission, level 2 */
	ASSERT_OUTCOME(PT_DENIED, fault(0x1000, PT_ACCESS_EXEC));
	assert_int_equal(0x0e, r.fault.fsc);
	ASSERT_OUTCOME(PT_DENIED, fault(GIB, PT_ACCESS_READ));
	assert_int_equal(0x0b, r.fault.fsc); /* access flag, level 3 */
	ASSERT_OUTCOME(PT_DENIED, fault(UINT64_C(1) << GUEST_BITS, PT_ACCESS_READ));
	assert_int_equal(0x04, r.fault.fsc);
	assert_int_equal(0, pt_nested_fills(&g.nested));
	assert_int_equal(0, atomic_load(&g.c.ctx.table_pages)); /* nobody asked the host */
	ASSERT_OUTCOME(PT_MAPPED, fault(0x1000, PT_ACCESS_READ));
	ASSERT_OUTCOME(PT_DENIED, fault(0x1000, PT_ACCESS_WRITE));
	assert_int_equal(PT_NESTED_GUEST, r.who);
	close_all();
}

/* What the canonical context refuses is the host's exit, at the canonical address. */
static void the_host_takes_what_is_not_the_guests(void **state)
{
	(void)state;
	guest_open_bare(&g, &shapes[0], 12, false);
	guest_slot(&g, 0, GIB, 0, 12);
	guest_slot(&g, GIB, GIB, PT_SLOT_READ_ONLY, 12);
	guest_slot(&g, 2 * GIB, GIB, PT_SLOT_NO_EXEC, 12);
	ASSERT_OUTCOME(PT_OK, guest_shadow(&g, &g.shadow));
	guest_map(&g, 0, 3 * GIB, 1, GUEST_RWX);
	guest_map(&g, GIB, GIB, 1, GUEST_RWX);
	guest_map(&g, 2 * GIB, 2 * GIB, 1, GUEST_RWX);
	ASSERT_OUTCOME(PT_NO_SLOT, fault(0x5123, PT_ACCESS_READ));
	assert_int_equal(PT_NESTED_HOST, r.who);
	assert_int_equal(3 * GIB + 0x5123, r.canonical.v);
	ASSERT_OUTCOME(PT_READ_ONLY, fault(GIB, PT_ACCESS_WRITE));
	assert_int_equal(PT_NESTED_HOST, r.who);
	ASSERT_OUTCOME(PT_DENIED, fault(2 * GIB, PT_ACCESS_EXEC));
	assert_int_equal(PT_NESTED_HOST, r.who);
	ASSERT_OUTCOME(PT_MAPPED, fault(GIB, PT_ACCESS_READ));
	assert_int_equal(PT_PROT_R, r.prot & PT_PROT_RIGHTS);
	ASSERT_OUTCOME(PT_READ_ONLY, fault(GIB, PT_ACCESS_WRITE));
	ASSERT_OUTCOME(PT_MAPPED, fault(2 * GIB, PT_ACCESS_READ));
	ASSERT_OUTCOME(PT_DENIED, fault(2 * GIB, PT_ACCESS_EXEC));
	close_all();
}

static void rights_are_added_when_they_are_needed(void **state)
{
	uint64_t *e;

	(void)state;
	guest_open(&g, &shapes[0], 12, true);
	guest_map(&g, 0, 0, 3, GUEST_RWX);
	ASSERT_OUTCOME(PT_MAPPED, fault(0, PT_ACCESS_READ));
	assert_int_equal(PT_PROT_RW, r.prot & PT_PROT_RIGHTS);
	ASSERT_OUTCOME(PT_RELAXED, fault(0, PT_ACCESS_EXEC));
	assert_int_equal(PT_PROT_RWX, r.prot & PT_PROT_RIGHTS);
	assert_true(guest_walk(&g, 0, HW_EXEC).exec_el1);
	/* The guest has less now, and no TLBI: either answer is legal, and the leaf stays. */
	e = guest_entry(&g, 0, 3);
	*e &= ~GUEST_W;
	ASSERT_OUTCOME(PT_ALREADY_MAPPED, fault(0, PT_ACCESS_READ));
	ASSERT_OUTCOME(PT_DENIED, fault(0, PT_ACCESS_WRITE));
	/* It has other memory: the leaf goes, flushed, and comes again. */
	*e = (*e & ~UINT64_C(0xfffff000)) | 0x7000;
	ASSERT_OUTCOME(PT_MAPPED, fault(0, PT_ACCESS_READ));
	assert_int_equal(pa_of(0x7000), r.pa.v);
	assert_int_equal(1, atomic_load(&g.shadow.leaves[4]));
	close_all();
}

/* A leaf that is larger than what it comes from has become gives way to the smaller one. */
static void a_block_gives_way_to_pages(void **state)
{
	(void)state;
	guest_open(&g, &shapes[0], 12, true);
	guest_map(&g, 0, 0, 2, GUEST_RWX);
	ASSERT_OUTCOME(PT_MAPPED, fault(0x3000, PT_ACCESS_READ));
	assert_int_equal(2, r.level);
	*guest_entry(&g, 0, 2) = 0;
	guest_map(&g, 0x3000, 0x3000, 3, GUEST_RWX);
	ASSERT_OUTCOME(PT_MAPPED, fault(0x3000, PT_ACCESS_READ));
	assert_int_equal(3, r.level);
	ASSERT_OUTCOME(PT_DENIED, fault(0x4000, PT_ACCESS_READ));
	/* And the other way round: a table of the shadow's stays, and leaves are of its size. */
	*guest_entry(&g, 0, 2) = GUEST_RWX;
	ASSERT_OUTCOME(PT_MAPPED, fault(0x4000, PT_ACCESS_READ));
	assert_int_equal(3, r.level);
	assert_int_equal(2, pt__guest_level(*slot_of(&g.shadow.ctx, 0x4000)));
	close_all();
}

static uint32_t listed(unsigned class, uint64_t canonical)
{
	struct pt__found found[PT_SHADOW_LINKS];
	uint64_t head;
	uint32_t n;

	pt_section_begin(&g.c.agent);
	n = pt__links_collect(&g.nested, class, canonical, found, &head);
	pt_section_end(&g.c.agent);
	return n;
}

/* A block's list is one of blocks, whatever pages of the same memory there are already. */
static void a_block_is_listed_beside_pages(void **state)
{
	(void)state;
	guest_open(&g, &shapes[0], 12, false);
	guest_map(&g, GIB, 0x3000, 3, GUEST_RWX);
	guest_map(&g, 0, 0, 2, GUEST_RWX);
	ASSERT_OUTCOME(PT_MAPPED, fault(GIB, PT_ACCESS_READ));
	assert_int_equal(3, r.level);
	ASSERT_OUTCOME(PT_MAPPED, fault(0x3000, PT_ACCESS_READ));
	assert_int_equal(2, r.level);
	assert_int_equal(1, listed(0, 0x3000));
	assert_int_equal(0, listed(0, 0));
	assert_int_equal(1, listed(1, 0));
	close_all();
}

static void access_flags_are_set_in_both(void **state)
{
	struct pt_nested_fault in = guest_access(0, PT_ACCESS_READ);
	pt_pte *mine, *host;

	(void)state;
	guest_open(&g, &shapes[0], 12, true);
	guest_map(&g, 0, 0x9000, 3, GUEST_RWX);
	ASSERT_OUTCOME(PT_MAPPED, fault(0, PT_ACCESS_READ));
	mine = slot_of(&g.shadow.ctx, 0);
	host = slot_of(&g.c.ctx, 0x9000);
	core_poke(mine, *mine & ~PT_PTE_AF);
	core_poke(host, *host & ~PT_PTE_AF);
	in.type = PT_FAULT_ACCESS_FLAG;
	ASSERT_OUTCOME(PT_MADE_YOUNG, guest_fault_as(&g, in, &r));
	assert_true(*mine & *host & PT_PTE_AF);
	close_all();
}

/* Hardware keeps the dirty state of the canonical context, and of the guest: a write makes both
 * dirty, a read none. */
static void a_write_makes_both_dirty(void **state)
{
	pt_pte *host;

	(void)state;
	guest_open_bare(&g, &shapes[0], 12, true);
	guest_slot(&g, 0, GIB, 0, 12);
	g.c.ctx.vtcr_flags = PT_VTCR_HA | PT_VTCR_HD;
	g.c.ctx.plain = false;
	core_note_options(&g.c.ctx);
	guest_registers(&g, 12, 5, PT_VTCR_HA | PT_VTCR_HD);
	ASSERT_OUTCOME(PT_OK, guest_shadow(&g, &g.shadow));
	assert_int_equal(PT_VTCR_HA, g.shadow.ctx.vtcr_flags);
	guest_map(&g, 0, 0x9000, 3, GUEST_LEAF | GUEST_R | GUEST_DBM);
	ASSERT_OUTCOME(PT_MAPPED, fault(0, PT_ACCESS_READ));
	assert_int_equal(PT_PROT_R, r.prot & PT_PROT_RIGHTS);
	assert_true(*guest_entry(&g, 0, 3) & GUEST_AF);
	assert_false(*guest_entry(&g, 0, 3) & GUEST_W);
	host = slot_of(&g.c.ctx, 0x9000);
	assert_int_equal(PT_PTE_DBM, *host & (PT_PTE_DBM | PT_PTE_S2AP_W));
	ASSERT_OUTCOME(PT_RELAXED, fault(0, PT_ACCESS_WRITE));
	assert_int_equal(PT_PROT_RW, r.prot & PT_PROT_RIGHTS);
	assert_true(*guest_entry(&g, 0, 3) & GUEST_W);
	assert_int_equal(PT_PTE_DBM | PT_PTE_S2AP_W, *host & (PT_PTE_DBM | PT_PTE_S2AP_W));
	close_all();
}

/* With stage 2 off all IPAs are canonical ones. */
static void stage_2_off_is_the_canonical_context(void **state)
{
	(void)state;
	guest_open_bare(&g, &shapes[0], 12, false);
	guest_slot(&g, 0, GIB, 0, 21);
	g.key.enabled = false;
	ASSERT_OUTCOME(PT_OK, guest_shadow(&g, &g.shadow));
	ASSERT_OUTCOME(PT_MAPPED, fault(0x1234567, PT_ACCESS_WRITE));
	assert_int_equal(2, r.level);
	assert_int_equal(0x1234567, r.canonical.v);
	assert_int_equal(pa_of(0x1234567), r.pa.v);
	assert_int_equal(2, pt__guest_level(*slot_of(&g.shadow.ctx, 0x1234567)));
	ASSERT_OUTCOME(PT_NO_SLOT, fault(GIB, PT_ACCESS_READ));
	assert_int_equal(PT_NESTED_HOST, r.who);
	ASSERT_OUTCOME(PT_OUT_OF_RANGE, fault(UINT64_C(1) << 40, PT_ACCESS_READ));
	assert_int_equal(PT_NESTED_HOST, r.who);
	close_all();
}

/* Where EL1 and EL0 execute apart, each as both origins say. */
static void execution_is_told_apart(void **state)
{
	struct pt_nested_fault in = guest_access(0, PT_ACCESS_EXEC);

	(void)state;
	guest_open_bare(&g, &shapes[0], 12, false);
	guest_slot(&g, 0, GIB, 0, 12);
	g.c.ctx.attrs |= PT_ATTR_XNX;
	core_note_options(&g.c.ctx);
	g.regs.attrs = PT_ATTR_XNX;
	ASSERT_OUTCOME(PT_OK, guest_shadow(&g, &g.shadow));
	guest_map(&g, 0, 0, 3, GUEST_RWX | UINT64_C(1) << 53); /* EL0 alone */
	ASSERT_OUTCOME(PT_DENIED, guest_fault_as(&g, in, &r));
	assert_int_equal(PT_NESTED_GUEST, r.who);
	in.el0 = true;
	ASSERT_OUTCOME(PT_MAPPED, guest_fault_as(&g, in, &r));
	assert_int_equal(PT_PROT_RW | PT_PROT_UX, r.prot & PT_PROT_RIGHTS);
	close_all();
}

static void what_others_hold_is_waited_for(void **state)
{
	const pt_pte mark[] = {PT__CLAIM, PT__DEAD, PT__BREAK, PT_PTE_LOCKED};
	struct pt_claim claim;
	pt_pte *mine, leaf;

	(void)state;
	guest_open(&g, &shapes[0], 12, false);
	guest_map(&g, 0, 0x9000, 3, GUEST_RWX);
	ASSERT_OUTCOME(PT_OK, pt_claim_acquire(&claim, &g.c.ctx, 0x9000, 0x9fff, PT_CLAIM_EXCLUSIVE,
					       false, NULL));
	ASSERT_OUTCOME(PT_PARKED, fault(0, PT_ACCESS_READ));
	assert_ptr_equal(&g.c.ctx, r.parked);
	assert_int_equal(0x9000, r.canonical.v);
	pt_claim_release(&claim);
	ASSERT_OUTCOME(PT_MAPPED, fault(0, PT_ACCESS_READ));
	mine = slot_of(&g.shadow.ctx, 0);
	leaf = *mine;
	for (unsigned i = 0; i < 4; i++) {
		core_poke(mine, mark[i]);
		ASSERT_OUTCOME(PT_RACED, fault(0, PT_ACCESS_READ));
		assert_int_equal(mark[i], *mine);
	}
	core_poke(mine, leaf);
	close_all();
}

/* Each page that a fill asks for is refused in turn, of tables and of links: nothing has changed,
 * but for what the canonical context has for itself. */
static void a_fill_without_memory_changes_nothing(void **state)
{
	static const uint64_t scopes[] = {4711, GUEST_SCOPE};
	unsigned pages[2];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		guest_open(&g, &shapes[0], 12, false);
		guest_map(&g, 0, 0, 3, GUEST_RWX);
		ASSERT_OUTCOME(PT_MAPPED, fault(0, PT_ACCESS_READ));
		guest_end(&g, &g.shadow, 1000); /* the canonical leaf is there now */
		memset(&g.shadow, 0, sizeof(g.shadow));
		ASSERT_OUTCOME(PT_OK, guest_shadow(&g, &g.shadow));
		g.shadow.ctx.scope = 4711;
		for (pages[i] = 0;; pages[i]++) {
			struct pt_host_failpoint how = {
				.scope = scopes[i], .nth = pages[i] + 1, .times = 1};
			uint64_t used, hits, failures;
			enum pt_outcome outcome;

			while (pt_reclaim(&g.c.agent))
				continue;
			used = atomic_load(&g.c.tables.world.pool.used_bytes);
			pt_host_failpoint_arm(PT_FP_POOL_RESERVE, &how);
			outcome = fault(0, PT_ACCESS_READ);
			pt_host_failpoint_counts(PT_FP_POOL_RESERVE, &hits, &failures);
			pt_host_failpoint_disarm(PT_FP_POOL_RESERVE);
			if (!failures) {
				ASSERT_OUTCOME(PT_MAPPED, outcome);
				break;
			}
			ASSERT_OUTCOME(PT_NO_MEMORY, outcome);
			while (pt_reclaim(&g.c.agent))
				continue;
			assert_int_equal(used, atomic_load(&g.c.tables.world.pool.used_bytes));
			assert_int_equal(0, atomic_load(&g.shadow.ctx.table_pages));
			assert_int_equal(0, atomic_load(&g.nested.store.bytes));
			assert_int_equal(0, *slot_of(&g.shadow.ctx, 0));
		}
		close_all();
	}
	assert_int_equal(2, pages[0]); /* tables of 4K pages below concatenated ones */
	assert_true(pages[1] >= 2);    /* a link and a head */
}

static void quotas_are_kept(void **state)
{
	(void)state;
	guest_open(&g, &shapes[0], 12, false);
	guest_map(&g, 0, 0, 3, GUEST_RWX);
	atomic_store(&g.shadow.ctx.quota_pages, 1);
	ASSERT_OUTCOME(PT_QUOTA, fault(0, PT_ACCESS_READ));
	assert_int_equal(0, atomic_load(&g.shadow.ctx.table_pages));
	assert_int_equal(0, *slot_of(&g.shadow.ctx, 0));
	atomic_store(&g.shadow.ctx.quota_pages, 2);
	ASSERT_OUTCOME(PT_MAPPED, fault(0, PT_ACCESS_READ));
	close_all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaves_are_composed),
		cmocka_unit_test(the_last_leaf_makes_room),
		cmocka_unit_test(the_only_leaf_makes_room),
		cmocka_unit_test(the_guest_takes_its_own_faults),
		cmocka_unit_test(the_host_takes_what_is_not_the_guests),
		cmocka_unit_test(rights_are_added_when_they_are_needed),
		cmocka_unit_test(a_block_gives_way_to_pages),
		cmocka_unit_test(a_block_is_listed_beside_pages),
		cmocka_unit_test(access_flags_are_set_in_both),
		cmocka_unit_test(a_write_makes_both_dirty),
		cmocka_unit_test(stage_2_off_is_the_canonical_context),
		cmocka_unit_test(execution_is_told_apart),
		cmocka_unit_test(what_others_hold_is_waited_for),
		cmocka_unit_test(a_fill_without_memory_changes_nothing),
		cmocka_unit_test(quotas_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
