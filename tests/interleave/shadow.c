/* SPDX-License-Identifier: BSD-2-Clause */
/* Shadows of the context that is explored: a guest hypervisor with a few descriptors, faults of its
 * guests, its TLBIs, and a shadow's end; and what has to be true of them at rest. */
#include "shadow.h"

#include <stdatomic.h>

#include "world.h"

#define START  UINT64_C(0x80000000) /* canonical IPA of its start tables */
#define TABLE  (START + 0x10000)    /* and of its one table of level 3 */
#define LEAF   (UINT64_C(0x3) | UINT64_C(0xf) << 2 | UINT64_C(3) << 8 | UINT64_C(1) << 10)
#define RIGHTS (UINT64_C(3) << 6)
#define BLOCK  (LEAF & ~UINT64_C(2)) /* to 0 */
#define PLENTY 100000
#define LEAVES 1	   /* phase of pt_shadow_end_step() */
#define VMID   UINT64_C(7) /* of the first shadow; the next has the next */
#define OA     UINT64_C(0x0000fffffffff000)

static enum pt_outcome load(void *arg, struct pt_ipa ipa, uint64_t *word)
{
	(void)arg;
	*word = 0;
	if (ipa.v == START)
		*word = iv_w.guest_block ? BLOCK | RIGHTS : TABLE | 3;
	else if (ipa.v - TABLE < sizeof(iv_w.guest))
		*word = iv_load(&iv_w.guest[(ipa.v - TABLE) / 8], 8, memory_order_acquire);
	return PT_OK;
}

static enum pt_outcome swap(void *arg, struct pt_ipa ipa, uint64_t *word, uint64_t to)
{
	(void)arg;
	if (ipa.v - TABLE >= sizeof(iv_w.guest))
		return PT_NO_SLOT;
	return iv_cas(&iv_w.guest[(ipa.v - TABLE) / 8], 8, word, to, memory_order_seq_cst)
		       ? PT_OK
		       : PT_RACED;
}

static const struct pt_guest_memory memory = {load, swap, NULL};

static struct pt_agent *self(void)
{
	return &iv_w.agent[iv_self()];
}

static struct pt_shadow_key key(unsigned n)
{
	return (struct pt_shadow_key){.vttbr = START | (VMID + n) << 48,
				      .vtcr = pt_geometry_vtcr(&iv_w.ctx.geo, 0),
				      .enabled = true};
}

static void open_one(unsigned n)
{
	const struct pt_shadow_key k = key(n);
	const struct pt_guest_regs regs = {.vttbr = k.vttbr, .vtcr = k.vtcr, .pa_bits = IV_PA_BITS};
	struct pt_shadow *s = &iv_w.shadow[n];

	pt_section_begin(self());
	if (pt_shadow_init(s, &iv_w.nested, self(), &k, &regs, UINT64_MAX) != PT_OK ||
	    pt_vmid_get(&s->ctx, self()) != PT_OK)
		__builtin_abort();
	pt_section_end(self());
}

void iv_shadow_open(void)
{
	for (uint64_t i = 0; i < 2; i++)
		iv_w.guest[i] = LEAF | RIGHTS | i << 12;
	if (pt_nested_init(&iv_w.nested, &iv_w.ctx, &memory, iv_w.shadow_bucket, 1,
			   iv_w.shadow_number, IV_SHADOWS, UINT64_MAX, 0) != PT_OK)
		__builtin_abort();
	open_one(0);
}

void iv_shadow_open_block(void)
{
	iv_w.guest_block = true;
	iv_shadow_open();
}

void iv_shadow_open_other(void)
{
	open_one(1);
}

void iv_shadow_apart(void)
{
	iv_w.guest[1] = LEAF | RIGHTS | PT_SZ_2M;
}

void iv_shadow_crossed(void)
{
	iv_w.guest[0] = LEAF | RIGHTS | 0x1000;
	iv_w.guest[1] = LEAF | RIGHTS;
	iv_w.guest[2] = LEAF | RIGHTS | PT_SZ_2M;
}

void iv_shadow_far(void)
{
	iv_w.nested.heads[0].near_end = 0; /* what is far apart has nothing near, but a tree */
	iv_w.guest[1] = LEAF | RIGHTS | IV_SHADOW_FAR;
}

void iv_shadow_halves(void)
{
	iv_w.guest[1] = LEAF | RIGHTS | PT_SZ_2M / 2;
}

void iv_shadow_no_quota(void)
{
	iv_w.shadow[1].ctx.quota_pages = iv_w.shadow[1].ctx.table_pages;
}

/* ---- operations: what they return is told ---- */

/* Which of them it was depends on what else has just been done, and so does the address: a guest
 * that changes its tables does so before its TLBI. */
static bool resolved(enum pt_outcome o)
{
	return o == PT_MAPPED || o == PT_ALREADY_MAPPED || o == PT_RELAXED || o == PT_MADE_YOUNG;
}

static uint64_t fault(unsigned n, uint64_t ipa, enum pt_access access)
{
	const struct pt_nested_fault in = {
		.ipa = {ipa}, .vcpu = iv_self(), .access = (uint8_t)access};
	const struct pt_shadow_key k = key(n);

	for (;;) {
		struct pt_nested_result r = {.who = PT_NESTED_NOBODY};
		struct pt_shadow *shadow;
		enum pt_outcome o;

		iv_attempt();
		pt_section_begin(self());
		o = pt_shadow_find(&iv_w.nested, &k, &shadow);
		if (o == PT_OK)
			o = pt_nested_fault(self(), shadow, &in, &r);
		pt_section_end(self());
		if (o != PT_RACED && o != PT_PARKED)
			return resolved(o) ? 0 : (uint64_t)o | (uint64_t)r.who << 8;
		iv_wait_write();
	}
}

uint64_t iv_shadow_read(void)
{
	return fault(0, 0, PT_ACCESS_READ);
}

uint64_t iv_shadow_write(void)
{
	return fault(0, 0, PT_ACCESS_WRITE);
}

uint64_t iv_shadow_read_next(void)
{
	return fault(0, 0x1000, PT_ACCESS_READ);
}

uint64_t iv_shadow_read_third(void)
{
	return fault(0, 0x2000, PT_ACCESS_READ);
}

uint64_t iv_shadow_read_other(void)
{
	return fault(1, 0, PT_ACCESS_READ);
}

static void await(struct pt_grace *grace)
{
	if (!pt_grace_done(grace, &iv_w.machine))
		iv_wait_write();
}

uint64_t iv_shadow_read_next_other(void)
{
	return fault(1, 0x1000, PT_ACCESS_READ);
}

/* Sections that it waits for; or a table that another has set aside. */
static void await_tlbi(struct pt_guest_tlbi_op *op)
{
	if (op->grace.mask)
		await(&op->grace);
	else
		iv_wait_write();
}

static void tlbi(enum pt_guest_tlbi_scope scope)
{
	const struct pt_guest_tlbi t = {.scope = scope, .size = 0x1000};
	struct pt_guest_tlbi_op op;
	enum pt_outcome o = PT_MORE;

	iv_shadow_tlb_asked(0);
	pt_guest_tlbi_begin(&op, &iv_w.nested, VMID, &t);
	while (o == PT_MORE) {
		iv_attempt();
		pt_section_begin(self());
		o = pt_guest_tlbi_step(&op, self(), PLENTY);
		pt_section_end(self());
		if (o == PT_MORE)
			await_tlbi(&op);
	}
}

/* The guest maps its first page elsewhere, and says so. */
uint64_t iv_shadow_remap(void)
{
	iv_store(&iv_w.guest[0], 8, LEAF | RIGHTS | 0x1000, memory_order_seq_cst);
	tlbi(PT_GUEST_TLBI_IPA);
	return 0;
}

/* It takes the right to write away. */
uint64_t iv_shadow_protect(void)
{
	iv_store(&iv_w.guest[0], 8, LEAF | UINT64_C(1) << 6, memory_order_seq_cst);
	tlbi(PT_GUEST_TLBI_RANGE);
	return 0;
}

uint64_t iv_shadow_end(void)
{
	struct pt_shadow_end end = {.at = 0};
	enum pt_outcome o;

	pt_section_begin(self());
	o = pt_shadow_end_begin(&end, &iv_w.shadow[0], NULL);
	pt_section_end(self());
	if (o != PT_OK)
		return o;
	do {
		uint8_t phase = end.phase;

		iv_attempt();
		pt_section_begin(self());
		o = pt_shadow_end_step(&end, self(), PLENTY);
		pt_section_end(self());
		if (o == PT_MORE && end.waits)
			await(&end.grace);
		else if (o == PT_MORE &&
			 (end.txn.phase == PT_TXN_DRAIN || end.txn.phase == PT_TXN_RETIRE))
			await(&end.txn.grace);
		else if (o == PT_MORE && phase == LEAVES && end.phase == LEAVES)
			iv_wait_write(); /* for a table that another has set aside */
	} while (o == PT_MORE);
	return o;
}

/* ---- at rest ---- */

static void check(bool good, const char *what)
{
	if (!good)
		iv_fail("at rest: %s", what);
}

static const uint64_t *page_at(uint64_t offset)
{
	return (const uint64_t *)(const void *)(iv_tables + offset);
}

void iv_shadow_zeroed(const uint64_t *words, uint64_t bytes)
{
	for (unsigned i = 0; bytes == 4 << IV_HEAD_BITS && i < bytes / 8; i++)
		if (words[i])
			iv_fail("heads go, and one says something");
}

static void reach_words(uint64_t link, unsigned bits, bool *reached, uint64_t *bytes)
{
	for (unsigned half = 0; half < 2; half++)
		if (iv_half(link, half)) {
			reached[iv_half(link, half) >> 12] = true;
			*bytes += UINT64_C(4) << bits;
		}
}

static void reach_sparse(uint64_t link, unsigned level, unsigned bits, bool *reached,
			 uint64_t *bytes)
{
	const uint64_t offset = link & IV_LINK_OFF;
	const uint64_t *page = page_at(offset);

	reached[offset >> 12] = true;
	*bytes += 4096;
	for (unsigned i = 0; i < 512; i++)
		if (page[i] && level > 1)
			reach_sparse(page[i], level - 1, bits, reached, bytes);
		else if (page[i])
			reach_words(page[i], bits, reached, bytes);
}

static void reach_tree(const struct pt_sparse *tree, unsigned bits, bool *reached, uint64_t *bytes)
{
	for (uint64_t i = 0; i < tree->near_end >> bits; i++)
		reach_words(tree->near[i], bits, reached, bytes);
	if (tree->root)
		reach_sparse(tree->root, ((tree->root & 0xfff) - bits) / 9, bits, reached, bytes);
}

uint64_t iv_shadow_guest(uint64_t ipa)
{
	if (iv_w.guest_block)
		return (BLOCK | RIGHTS) + ipa;
	return ipa < IV_SHADOW_END ? iv_w.guest[ipa >> 12] : 0;
}

/* A page of a shadow's leaf is what the guest's descriptor and the canonical leaf say together. */
static void check_page(uint64_t ipa, uint64_t pa, uint64_t e)
{
	uint64_t guest = iv_shadow_guest(ipa);
	struct iv_leaf host = iv_world_leaf(guest & OA);

	check(guest & 1 && host.level, "a shadow's leaf of what is not mapped");
	check(pa == host.pa + ((guest & OA) - host.base), "a shadow's leaf of other memory");
	check(!(e & RIGHTS & ~(guest & host.attrs)), "a shadow's leaf with a right too many");
}

static void check_leaf(uint64_t ipa, uint64_t e, int level)
{
	check((int)(e >> 55 & 3) == (iv_w.guest_block ? 2 : 3),
	      "a shadow's leaf of another level of the guest's");
	check_page(ipa, e & OA, e);
	if (level < 3)
		check_page(ipa + 0x1000, (e & OA) + 0x1000, e);
}

static void survey(uint64_t pa, int level, uint64_t ipa, unsigned entries, bool *reached,
		   uint64_t *tables)
{
	const uint64_t *table = page_at(pa - IV_TABLE_PA);
	unsigned shift = 12 + 9 * (unsigned)(3 - level);

	for (unsigned i = 0; i < entries; i++) {
		uint64_t e = table[i], at = ipa + ((uint64_t)i << shift);

		if (!e)
			continue;
		check(e & 1, "an entry of a shadow is claimed or broken");
		if (level < 3 && (e & 3) == 3) {
			reached[((e & OA) - IV_TABLE_PA) >> 12] = true;
			++*tables;
			survey(e & OA, level + 1, at, 512, reached, tables);
			continue;
		}
		check_leaf(at, e, level);
	}
}

/* Its pages. */
static uint64_t survey_shadow(const struct pt_shadow *s, bool *reached)
{
	uint64_t tables = 0, root_pages = (s->ctx.geo.start_bytes + 4095) >> 12;
	bool live = s->state == PT_SHADOW_LIVE;

	check(live == (iv_w.shadow_number[s - iv_w.shadow] != NULL),
	      "a shadow is found by one way and not by the other");
	if (live) {
		for (uint64_t i = 0; i < root_pages; i++)
			reached[((s->ctx.root.v - IV_TABLE_PA) >> 12) + i] = true;
		survey(s->ctx.root.v, s->ctx.geo.start_level, 0, s->ctx.geo.start_entries, reached,
		       &tables);
	}
	check(s->ctx.table_pages == tables, "a shadow is charged for other than its tables");
	return tables + (live ? root_pages : 0);
}

uint64_t iv_shadow_entry(const struct pt_shadow *s, uint64_t ipa, int *level)
{
	const uint64_t *table = page_at(s->ctx.root.v - IV_TABLE_PA);
	int at = s->ctx.geo.start_level;
	uint64_t e = table[ipa >> (12 + 9 * (3 - at))];

	for (; at < 3 && (e & 3) == 3; at++)
		e = page_at((e & OA) - IV_TABLE_PA)[ipa >> (12 + 9 * (2 - at)) & 511];
	*level = at;
	return e;
}

uint64_t iv_shadow_rest(bool *reached, uint64_t *bytes)
{
	uint64_t kept = 0, all = 0;
	unsigned live = 0;

	for (unsigned i = 0; i < PT_SHADOW_CLASSES; i++) {
		reach_tree(&iv_w.nested.heads[i], IV_HEAD_BITS, reached, &kept);
		for (unsigned n = 0; n < IV_SHADOWS; n++)
			reach_tree(&iv_w.shadow[n].directory[i], IV_LINK_BITS, reached, &kept);
	}
	for (unsigned n = 0; n < IV_SHADOWS; n++) {
		all += survey_shadow(&iv_w.shadow[n], reached);
		live += iv_w.shadow[n].state == PT_SHADOW_LIVE;
	}
	check(kept == iv_w.nested.store.bytes, "links are charged that are not there");
	check(live || !kept, "links of a shadow that has ended");
	check(live == iv_w.nested.live && !live == !iv_w.shadow_bucket[0],
	      "a shadow is found by one way and not by the other");
	iv_shadow_links_rest();
	*bytes = all * 4096 + kept;
	return live;
}
