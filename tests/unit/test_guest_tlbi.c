/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of a guest hypervisor's TLBIs: each instruction, with each granule of the guest's, each
 * level of its leaves, each granule of the host's, and TTL right, wrong and left out. What had to
 * go is gone, what could stay stayed, said by a list of what the guest mapped.
 */
#include "core.h"
#include "guest_memory.h"
#include "guest_tlbi.h"

#define VMID	6u
#define OTHERS	7u
#define KEYS	4u
#define TABLES	UINT64_C(0x10000000) /* of guests, in their memory */
#define OUT	(UINT64_C(1) << 44)
#define LEAVES	8u
#define TOUCHES 3u
#define VS	(UINT64_C(1) << 19)

/* Host and guest: 48 bits of IPA are more than enough for four of the largest leaves. */
static const struct shape hosts[] = {
	{"4K", {.granule_shift = 12, .ipa_bits = 48, .pa_bits = 48}},
	{"16K", {.granule_shift = 14, .ipa_bits = 48, .pa_bits = 48}},
	{"64K", {.granule_shift = 16, .ipa_bits = 48, .pa_bits = 48}},
	{"4K LPA2", {.granule_shift = 12, .ipa_bits = 48, .pa_bits = 52, .ds = true}},
};

static const struct shape guests[] = {
	{"4K", {.granule_shift = 12, .ipa_bits = 40, .pa_bits = 48}},
	{"16K", {.granule_shift = 14, .ipa_bits = 40, .pa_bits = 48}},
	{"64K", {.granule_shift = 16, .ipa_bits = 42, .pa_bits = 48}},
	{"4K LPA2", {.granule_shift = 12, .ipa_bits = 48, .pa_bits = 52, .ds = true}},
	{"16K LPA2", {.granule_shift = 14, .ipa_bits = 48, .pa_bits = 52, .ds = true}},
	{"64K LPA", {.granule_shift = 16, .ipa_bits = 48, .pa_bits = 52}},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* A page of a guest leaf that was accessed, and the shadow's leaf that came of it. */
struct touch {
	uint64_t ipa, base;
	bool gone;
};

struct leaf {
	uint64_t ipa, size;
	int level;
	struct touch touch[TOUCHES];
	unsigned touches;
};

/* What one key finds: a guest's tables, its shadow, and what was mapped. */
struct key {
	struct pt_geometry geo;
	struct pt_shadow shadow;
	uint64_t root, out;
	uint16_t vmid;
	bool enabled;
	struct leaf leaf[LEAVES];
	unsigned leaves;
};

static struct rig {
	struct core c;
	struct pt_nested nested;
	_Atomic(struct pt_shadow *) bucket[4], number[8];
	struct guest_memory memory;
	uint64_t tables; /* the next of a guest's */
	struct key key[KEYS];
} rig;

static struct {
	unsigned cases, removed, stayed;
} counts;

/* ---- the guests' tables ---- */

static uint64_t shift_of(const struct pt_geometry *g, int level)
{
	return g->granule_shift + (g->granule_shift - 3u) * (unsigned)(3 - level);
}

static uint64_t new_table(void)
{
	uint64_t at = rig.tables;

	rig.tables += UINT64_C(1) << 20; /* aligned enough for concatenated start tables */
	return at;
}

static uint64_t slot_of(const struct key *k, uint64_t table, uint64_t ipa, int level)
{
	uint64_t index = ipa >> shift_of(&k->geo, level);

	if (level != k->geo.start_level)
		index &= (UINT64_C(1) << (k->geo.granule_shift - 3)) - 1;
	return table + 8 * index;
}

static void guest_map(struct key *k, uint64_t ipa, int level, uint64_t out)
{
	uint64_t table = k->root, entry;

	for (int at = k->geo.start_level; at < level; at++) {
		uint64_t slot = slot_of(k, table, ipa, at);

		if (!guest_find(&rig.memory, slot))
			guest_put(&rig.memory, slot, new_table() | 3);
		table = guest_find(&rig.memory, slot)->value & ~UINT64_C(3);
	}
	entry = out | 0x4fc | (level == 3 ? 3 : 1); /* AF, read and write, write-back */
	guest_put(&rig.memory, slot_of(k, table, ipa, level), entry);
}

/* Words that nobody wrote are 0. */
static bool zero(const struct guest_memory *m, uint64_t ipa, uint64_t *value)
{
	(void)m, (void)ipa;
	*value = 0;
	return true;
}

/* ---- what is mapped and accessed ---- */

/* A host page or, where the leaf has room for it, a block. */
static void host_map(uint64_t canonical, bool block)
{
	uint64_t size = core_size(&rig.c, block ? 2 : 3), at = canonical & ~(size - 1);
	enum pt_outcome outcome = core_map(&rig.c, at, size, at, PT_PROT_RWX, 0);

	assert_true(outcome == PT_MAPPED || outcome == PT_ALREADY_MAPPED);
}

static void access(struct key *k, struct touch *t)
{
	struct pt_nested_fault fault = {.ipa = {t->ipa}, .access = PT_ACCESS_READ, .level = 3};
	struct pt_nested_result result;
	enum pt_outcome outcome;

	pt_section_begin(&rig.c.agent);
	outcome = pt_nested_fault(&rig.c.agent, &k->shadow, &fault, &result);
	pt_section_end(&rig.c.agent);
	if (outcome != PT_ALREADY_MAPPED)
		ASSERT_OUTCOME(PT_MAPPED, outcome);
	t->base = t->ipa & ~(pt_level_size(&k->shadow.ctx.geo, result.level) - 1);
	t->gone = false;
}

static void add_leaf(struct key *k, uint64_t ipa, int level)
{
	struct leaf *l = &k->leaf[k->leaves++];
	uint64_t size = UINT64_C(1) << shift_of(&k->geo, level), block = core_size(&rig.c, 2);
	uint64_t page = core_size(&rig.c, 3);

	*l = (struct leaf){.ipa = ipa, .size = size, .level = level, .touches = 1};
	l->touch[0].ipa = ipa;
	if (size >= 4 * page) {
		l->touch[1].ipa = ipa + size / 2;
		l->touch[2].ipa = ipa + size - 1;
		l->touches = 3;
	}
	if (k->enabled)
		guest_map(k, ipa, level, k->out + ipa);
	for (unsigned i = 0; i < l->touches; i++) {
		host_map(k->out + l->touch[i].ipa, i == 1 && size >= 4 * block);
		access(k, &l->touch[i]);
	}
}

/* Two leaves of each level side by side, and behind them those of the next in the span of a third.
 */
static void add_leaves(struct key *k)
{
	uint64_t base = 0;

	for (int level = k->geo.min_block_level; level <= 3; level++) {
		uint64_t size = UINT64_C(1) << shift_of(&k->geo, level);

		add_leaf(k, base + size, level);
		add_leaf(k, base + 2 * size, level);
		base += 3 * size;
	}
}

static void add_key(unsigned n, const struct shape *shape, uint16_t vmid, bool enabled)
{
	struct key *k = &rig.key[n];
	struct pt_guest_regs regs = {.pa_bits = shape->args.pa_bits};
	struct pt_shadow_key key = {.enabled = enabled};

	*k = (struct key){.vmid = vmid, .enabled = enabled, .out = enabled ? (n + 1) * OUT : 0};
	ASSERT_OUTCOME(PT_OK, pt_geometry_init(&k->geo, &shape->args));
	k->root = new_table();
	key.vtcr = regs.vtcr = pt_geometry_vtcr(&k->geo, PT_VTCR_VS);
	key.vttbr = regs.vttbr = pt_geometry_vttbr(&k->geo, pt_pa(k->root), vmid);
	pt_section_begin(&rig.c.agent);
	ASSERT_OUTCOME(PT_OK, pt_shadow_init(&k->shadow, &rig.nested, &rig.c.agent, &key, &regs,
					     UINT64_MAX));
	ASSERT_OUTCOME(PT_OK, pt_vmid_get(&k->shadow.ctx, &rig.c.agent));
	pt_section_end(&rig.c.agent);
	add_leaves(k);
}

/* Of the VMID: the guest in question, one of another granule, and what stage 2 off gives; and one
 * of another VMID. */
static void open_rig(const struct shape *host, unsigned guest)
{
	struct pt_guest_memory memory;

	memset(&rig, 0, sizeof(rig));
	core_open(&rig.c, host);
	rig.memory.untouched = zero;
	rig.tables = TABLES;
	memory = guest_functions(&rig.memory);
	ASSERT_OUTCOME(PT_OK, pt_nested_init(&rig.nested, &rig.c.ctx, &memory, rig.bucket,
					     COUNT(rig.bucket), rig.number, COUNT(rig.number),
					     UINT64_MAX, 0));
	add_key(0, &guests[guest], VMID, true);
	add_key(1, &guests[(guest + 1) % 3], VMID, true);
	add_key(2, &guests[guest], VMID, false);
	add_key(3, &guests[guest], OTHERS, true);
}

static void close_rig(void)
{
	for (unsigned n = 0; n < KEYS; n++) {
		struct pt_shadow_end end;
		enum pt_outcome outcome;

		ASSERT_OUTCOME(PT_OK, pt_shadow_end_begin(&end, &rig.key[n].shadow, NULL));
		do {
			pt_section_begin(&rig.c.agent);
			outcome = pt_shadow_end_step(&end, &rig.c.agent, 1000);
			pt_section_end(&rig.c.agent);
		} while (outcome == PT_MORE);
		ASSERT_OUTCOME(PT_OK, outcome);
	}
	pt_section_begin(&rig.c.agent);
	ASSERT_OUTCOME(PT_OK, pt_nested_close(&rig.nested, &rig.c.agent, 1000000));
	pt_section_end(&rig.c.agent);
	core_close(&rig.c);
}

/* ---- what had to go ---- */

/* One instruction: what the test put into it. */
struct word {
	const struct instruction *row;
	bool nxs;
	unsigned granule; /* of TTL or TG, log2; 0: none */
	int level;	  /* of TTL; -1: none */
	uint64_t ipa, size;
	uint64_t operand;
};

static bool has_leaf(unsigned granule, bool ds, int level)
{
	if (granule == 12)
		return level >= (ds ? 0 : 1);
	return granule == 14 ? level >= (ds ? 1 : 2) : level >= 1;
}

/* Is the leaf of a guest named? A hint at a level that has no leaf is none. */
static bool must_go(const struct word *w, const struct key *k, const struct leaf *l)
{
	bool hint = w->level >= 0 && has_leaf(w->granule, rig.key[0].geo.ds, w->level);
	bool range = w->row->scope == PT_GUEST_TLBI_RANGE;
	uint64_t last = range ? w->ipa + w->size - 1 : w->ipa;

	if (w->row->scope == PT_GUEST_TLBI_ALL)
		return true;
	if (w->row->scope == PT_GUEST_TLBI_STAGE1 || k->vmid != VMID)
		return false;
	if (w->row->scope == PT_GUEST_TLBI_VMID)
		return true;
	if (!k->enabled || ((range || hint) && w->granule != k->geo.granule_shift))
		return false;
	return (!hint || w->level == l->level) && l->ipa <= last && w->ipa < l->ipa + l->size;
}

static bool present(struct key *k, uint64_t ipa)
{
	struct hw_regs regs = {.vtcr = pt_ctx_vtcr(&k->shadow.ctx),
			       .vttbr = pt_ctx_vttbr(&k->shadow.ctx),
			       .fwb = true};
	struct hw_bus bus = {.read = core_bus_read, .arg = &rig.c.port};
	struct hw_result result;

	hw_walk(&regs, &bus, ipa, HW_READ, false, &result);
	return result.fault == HW_NO_FAULT;
}

/* Has a page been judged before that lies in the same leaf of the shadow? */
static bool counted(const struct key *k, const struct touch *t)
{
	for (unsigned i = 0; i < k->leaves; i++)
		for (unsigned n = 0; n < k->leaf[i].touches; n++) {
			if (&k->leaf[i].touch[n] == t)
				return false;
			if (k->leaf[i].touch[n].base == t->base)
				return true;
		}
	return false;
}

static void complain(const struct word *w, const struct leaf *l)
{
	print_error("%s%s granule %u level %d ipa %#llx: leaf %#llx level %d\n", w->row->name,
		    w->nxs ? "NXS" : "", w->granule, w->level, (unsigned long long)w->ipa,
		    (unsigned long long)l->ipa, l->level);
}

/* Compares one guest's pages with the list. Returns how many leaves of the shadow went. */
static unsigned judge(const struct word *w, struct key *k)
{
	unsigned leaves = 0;

	for (unsigned i = 0; i < k->leaves; i++) {
		struct leaf *l = &k->leaf[i];
		bool go = must_go(w, k, l);

		for (unsigned n = 0; n < l->touches; n++) {
			struct touch *t = &l->touch[n];

			t->gone = !present(k, t->ipa);
			if (t->gone != go)
				complain(w, l);
			assert_int_equal(go, t->gone);
			leaves += go && !counted(k, t);
			go ? counts.removed++ : counts.stayed++;
		}
	}
	return leaves;
}

static void restore(void)
{
	for (unsigned n = 0; n < KEYS; n++)
		for (unsigned i = 0; i < rig.key[n].leaves; i++)
			for (unsigned t = 0; t < rig.key[n].leaf[i].touches; t++)
				if (rig.key[n].leaf[i].touch[t].gone)
					access(&rig.key[n], &rig.key[n].leaf[i].touch[t]);
}

static void carry_out(struct word *w, const struct pt_guest_tlbi *tlbi)
{
	static const uint32_t budgets[] = {100000, 1, 7};
	uint64_t before = atomic_load(&rig.nested.counts.invalidated);
	struct pt_guest_tlbi_op op;
	enum pt_outcome outcome;
	unsigned leaves = 0;

	pt_guest_tlbi_begin(&op, &rig.nested, VMID, tlbi);
	do {
		pt_section_begin(&rig.c.agent);
		outcome = pt_guest_tlbi_step(&op, &rig.c.agent,
					     tlbi->scope == PT_GUEST_TLBI_IPA && w->level == 3
						     ? budgets[counts.cases % COUNT(budgets)]
						     : 100000);
		pt_section_end(&rig.c.agent);
	} while (outcome == PT_MORE);
	ASSERT_OUTCOME(PT_OK, outcome);
	for (unsigned n = 0; n < KEYS; n++)
		leaves += judge(w, &rig.key[n]);
	assert_int_equal(leaves, op.removed);
	assert_int_equal(before + leaves, atomic_load(&rig.nested.counts.invalidated));
	assert_int_equal(w->row->scope == PT_GUEST_TLBI_ALL ? 4 : 3, op.shadows);
	counts.cases++;
	restore();
}

static void run(struct word *w)
{
	struct pt_guest_tlbi tlbi;
	uint32_t sys = sys_of(1, w->row->op1, w->nxs ? 9 : 8, w->row->crm, w->row->op2);

	ASSERT_OUTCOME(PT_OK,
		       pt_guest_tlbi_decode(sys, w->operand,
					    pt_geometry_vtcr(&rig.key[0].geo, PT_VTCR_VS), &tlbi));
	carry_out(w, &tlbi);
}

/* ---- words ---- */

/* IPA[51:12] in 39:0; TTL in 47:44: granule and level. */
static void address(struct word w, unsigned granule, int level, uint64_t ipa)
{
	w.granule = level < 0 ? 0 : granule;
	w.level = level;
	w.ipa = ipa;
	w.operand = ipa >> 12;
	if (level >= 0)
		w.operand |= ((uint64_t)(granule / 2 - 5) << 2 | (uint64_t)level) << 44;
	run(&w);
}

/* BaseADDR in 36:0, TTL in 38:37, NUM in 43:39, SCALE in 45:44, TG in 47:46. */
static void range(struct word w, unsigned granule, int level, uint64_t ipa, unsigned num,
		  unsigned scale)
{
	unsigned unit = rig.key[0].geo.ds ? 16 : granule;

	w.granule = granule;
	w.level = level > 0 ? level : -1;
	w.ipa = ipa >> unit << unit;
	w.size = (uint64_t)(num + 1) << (5 * scale + 1) << granule;
	w.operand = ipa >> unit | (uint64_t)num << 39 | (uint64_t)scale << 44 |
		    (uint64_t)(granule / 2 - 5) << 46;
	if (level > 0)
		w.operand |= (uint64_t)level << 37;
	run(&w);
}

static unsigned other_granule(void)
{
	return rig.key[0].geo.granule_shift == 12 ? 14 : 12;
}

/* No hint, each level's, and one of another granule. */
static void each_hint(const struct word *w, const struct leaf *l, uint64_t ipa)
{
	unsigned granule = rig.key[0].geo.granule_shift;
	bool by_range = w->row->scope == PT_GUEST_TLBI_RANGE;

	for (int level = -1; level <= 3; level++)
		by_range ? range(*w, granule, level, ipa, 0, 0) : address(*w, granule, level, ipa);
	by_range ? range(*w, other_granule(), l->level, ipa, 0, 0)
		 : address(*w, other_granule(), l->level, ipa);
}

/* Ranges that reach from a leaf into its neighbour, and over everything. */
static void long_ranges(const struct word *w, const struct leaf *l)
{
	unsigned granule = rig.key[0].geo.granule_shift;

	for (unsigned scale = 0; scale <= 3; scale++)
		for (unsigned hint = 0; hint < 2; hint++) {
			int level = hint ? l->level : -1;

			range(*w, granule, level, l->ipa + l->size / 2, 31, scale);
			range(*w, granule, level, l->ipa - 1, 0, scale);
		}
}

/* One form of each scope is tried with all that can be said; the others with each hint. */
static void each_operand(const struct word *w, bool all)
{
	const struct key *k = &rig.key[0];

	for (unsigned i = 0; i < k->leaves; i += all ? 1 : k->leaves - 1) {
		const struct leaf *l = &k->leaf[i];

		each_hint(w, l, l->ipa);
		if (!all)
			continue;
		each_hint(w, l, l->ipa + l->size - 1);
		each_hint(w, l, l->ipa + l->size / 4);
		if (w->row->scope == PT_GUEST_TLBI_RANGE)
			long_ranges(w, l);
	}
	if (all) /* where there is no leaf, and where the space has ended */
		each_hint(w, &k->leaf[0], 0);
	if (all)
		each_hint(w, &k->leaf[0], (UINT64_C(1) << 48) - 4096);
}

static void each_instruction(void)
{
	for (size_t i = 0; i < GUEST_TLBIS; i++)
		for (unsigned nxs = 0; nxs < 2; nxs++) {
			struct word w = {.row = &guest_tlbis[i], .nxs = nxs, .level = -1};

			if (w.row->scope == PT_GUEST_TLBI_IPA ||
			    w.row->scope == PT_GUEST_TLBI_RANGE)
				each_operand(&w, w.row->domain == IS && !w.row->leaf_only && !nxs);
			else
				run(&w);
		}
}

static void what_had_to_go_is_gone_and_what_could_stay_stayed(void **state)
{
	(void)state;
	for (size_t h = 0; h < COUNT(hosts); h++)
		for (unsigned g = 0; g < COUNT(guests); g++) {
			open_rig(&hosts[h], g);
			each_instruction();
			close_rig();
		}
	print_message("%u instructions carried out; of pages, %u had to go, %u could stay\n",
		      counts.cases, counts.removed, counts.stayed);
	assert_true(counts.cases > 12000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_had_to_go_is_gone_and_what_could_stay_stayed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
