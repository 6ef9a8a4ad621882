/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's stage-2 walk: a matrix of faults written by hand, and random tables beside the
 * architectural walker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <pt/host/hwwalk.h>

#include "guest_memory.h"

#define BIT(n)	 (UINT64_C(1) << (n))
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define VTCR_HA	   BIT(21)
#define VTCR_HD	   BIT(22)
#define VTCR_DS	   BIT(32)
#define VTCR_SL2   BIT(33)
#define SCTLR_EE   BIT(25)
#define HCR_FWB	   BIT(46)
#define DESC_AF	   BIT(10)
#define DESC_R	   BIT(6)
#define DESC_W	   BIT(7)
#define DESC_DBM   BIT(51)
#define DESC_GROUP BIT(52)
#define YOUNG_RW   (DESC_AF | DESC_R | DESC_W | 0xf << 2)

/* Every VTCR_EL2 below was put together by hand from the register's page. */
struct format {
	const char *what;
	uint64_t vtcr;
	unsigned pa_bits, granule;
	int start, first_block;
};

static const struct format formats[] = {
	{"4K, 40 bits from level 1", 0x80023558, 40, 12, 1, 1},
	{"4K, 48 bits from level 0", 0x80053590, 48, 12, 0, 1},
	{"4K with DS, 52 bits from level -1", 0x38006350c, 52, 12, -1, 0},
	{"16K, 40 bits from level 2", 0x8002b558, 40, 14, 2, 2},
	{"16K with DS, 52 bits from level 0", 0x18006b5cc, 52, 14, 0, 1},
	{"64K, 40 bits from level 2", 0x80027558, 40, 16, 2, 2},
	{"64K, 52 bits from level 1", 0x800e758c, 52, 16, 1, 1},
};

struct rig {
	struct guest_memory m;
	struct pt_guest_memory memory;
	struct pt_guest_s2 s2;
	struct pt_guest_leaf leaf;
	struct pt_guest_fault fault;
};

static uint64_t table_of(int level)
{
	return UINT64_C(0x80000000) + (uint64_t)(level + 1) * 0x100000;
}

/* Tables down to `level`, where `entry` stands at index 0; NULL: a hole. */
static void build(struct rig *rig, const struct format *f, uint64_t vtcr, int level,
		  const uint64_t *entry, bool big_endian)
{
	struct pt_guest_regs regs = {.vtcr = vtcr,
				     .vttbr = table_of(f->start) | 1, /* CnP */
				     .sctlr = big_endian ? SCTLR_EE : 0,
				     .pa_bits = f->pa_bits,
				     .attrs = PT_ATTR_XNX};

	*rig = (struct rig){.m.big_endian = big_endian};
	rig->memory = guest_functions(&rig->m);
	assert_int_equal(pt_guest_s2_decode(&rig->s2, &regs), PT_OK);
	assert_false(rig->s2.broken);
	for (int l = f->start; l < level; l++)
		guest_put(&rig->m, table_of(l), table_of(l + 1) | 3);
	if (entry)
		guest_put(&rig->m, table_of(level), *entry);
}

static enum pt_outcome walk(struct rig *rig, uint64_t ipa, enum pt_access access)
{
	return pt_guest_walk(&rig->memory, &rig->s2, pt_ipa(ipa), access, false, &rig->leaf,
			     &rig->fault);
}

static void expect_fault(struct rig *rig, enum pt_access access, unsigned class, int level)
{
	/* Arm ARM, ESR_EL2.DFSC: level -1 has codes of its own. */
	unsigned fsc = level >= 0      ? class | (unsigned)level
		       : class == 0    ? 0x29
		       : class == 0x14 ? 0x13
				       : 0x2b;

	if (class == 0x31)
		fsc = class;
	assert_int_equal(walk(rig, 0, access), PT_DENIED);
	if (rig->fault.fsc != fsc)
		print_error("class %#x, level %d\n", class, level);
	assert_int_equal(rig->fault.fsc, fsc);
	assert_int_equal(rig->fault.level, level);
	assert_int_equal(rig->fault.table.v, table_of(level));
	assert_in_range(rig->m.loads, 1, 5);
}

enum entry_kind { TABLE, LEAF, NEITHER };

/* What each fault takes. */
static const struct fault_case {
	const char *what;
	enum entry_kind kind;
	uint64_t bits; /* of the entry, beside its type */
	uint64_t vtcr; /* added */
	bool small;    /* with PS of 40 bits */
	bool hole;
	enum pt_outcome refuse;
	enum pt_access access;
	unsigned class;
} fault_cases[] = {
	{"an invalid entry", NEITHER, 0, 0, 0, 0, 0, PT_ACCESS_READ, 0x04},
	{"an invalid entry, all bits set", NEITHER, ~UINT64_C(3), 0, 0, 0, 0, PT_ACCESS_READ, 0x04},
	{"a reserved invalid entry", NEITHER, ~UINT64_C(1), 0, 0, 0, 0, PT_ACCESS_READ, 0x04},
	{"a hole", TABLE, 0, 0, 0, true, 0, PT_ACCESS_READ, 0x14},
	{"a table beyond the output size", TABLE, BIT(40), 0, true, 0, 0, PT_ACCESS_READ, 0x00},
	{"a leaf beyond it", LEAF, YOUNG_RW | BIT(47), 0, true, 0, 0, PT_ACCESS_READ, 0x00},
	{"which comes before the flag", LEAF, BIT(47), 0, true, 0, 0, PT_ACCESS_READ, 0x00},
	{"an old leaf", LEAF, YOUNG_RW & ~DESC_AF, 0, 0, 0, 0, PT_ACCESS_WRITE, 0x08},
	{"HD without HA", LEAF, YOUNG_RW & ~DESC_AF, VTCR_HD, 0, 0, 0, PT_ACCESS_READ, 0x08},
	{"which comes before rights", LEAF, 0, 0, 0, 0, 0, PT_ACCESS_READ, 0x08},
	{"no read", LEAF, DESC_AF | DESC_W, 0, 0, 0, 0, PT_ACCESS_READ, 0x0c},
	{"no read by AT", LEAF, DESC_AF | DESC_W, 0, 0, 0, 0, PT_ACCESS_AT, 0x0c},
	{"no write", LEAF, DESC_AF | DESC_R, 0, 0, 0, 0, PT_ACCESS_WRITE, 0x0c},
	{"old, and no write, with HA", LEAF, DESC_R, VTCR_HA, 0, 0, 0, PT_ACCESS_WRITE, 0x0c},
	{"DBM without HD", LEAF, DESC_AF | DESC_R | DESC_DBM, VTCR_HA, 0, 0, 0, PT_ACCESS_WRITE,
	 0x0c},
	{"no execution", LEAF, YOUNG_RW | BIT(54), 0, 0, 0, 0, PT_ACCESS_EXEC, 0x0c},
	{"an old leaf in read-only memory", LEAF, YOUNG_RW & ~DESC_AF, VTCR_HA, 0, 0, PT_READ_ONLY,
	 PT_ACCESS_READ, 0x31},
	{"memory that goes before the update", LEAF, YOUNG_RW & ~DESC_AF, VTCR_HA, 0, 0, PT_NO_SLOT,
	 PT_ACCESS_READ, 0x14},
};

static uint64_t entry_of(const struct fault_case *c, int level)
{
	if (c->kind == LEAF)
		return c->bits | (level == 3 ? 3 : 1);
	return c->kind == TABLE ? c->bits | 3 : c->bits;
}

static bool applies(const struct format *f, const struct fault_case *c, int level)
{
	if (c->kind == TABLE)
		return level < 3 || c->hole;
	if (c->kind == LEAF && level < f->first_block)
		return false;
	/* The bit that is out of range must not be below the output address of this leaf. */
	return !c->small || c->kind != LEAF ||
	       f->granule + (f->granule - 3) * (unsigned)(3 - level) < 47;
}

static void each_fault_has_its_class_and_level(void **state)
{
	unsigned n = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(formats) * COUNT(fault_cases); i++) {
		const struct format *f = &formats[i / COUNT(fault_cases)];
		const struct fault_case *c = &fault_cases[i % COUNT(fault_cases)];
		uint64_t vtcr = f->vtcr | c->vtcr;

		if (c->small)
			vtcr = (vtcr & ~(UINT64_C(7) << 16)) | UINT64_C(2) << 16;
		for (int level = f->start; level <= 3; level++) {
			uint64_t entry = entry_of(c, level);

			if (!applies(f, c, level))
				continue;
			for (int big = 0; big <= 1; big++) {
				struct rig rig;

				build(&rig, f, vtcr, level, c->hole ? NULL : &entry, big);
				rig.m.refuse = c->refuse;
				expect_fault(&rig, c->access, c->class, level);
				assert_int_equal(rig.m.swaps, c->refuse != PT_OK);
				n++;
			}
		}
	}
	print_message("%u faults\n", n);
	assert_in_range(n, 700, 900);
}

/* A block where the format has none, and a block's type at level 3. */
static void reserved_types_are_translation_faults(void **state)
{
	const uint64_t block = YOUNG_RW | 1;

	(void)state;
	for (size_t i = 0; i < COUNT(formats); i++)
		for (int level = formats[i].start; level <= 3; level++) {
			struct rig rig;

			build(&rig, &formats[i], formats[i].vtcr, level, &block, false);
			if (level == 3 || level < formats[i].first_block)
				expect_fault(&rig, PT_ACCESS_READ, 0x04, level);
			else
				assert_int_equal(walk(&rig, 0, PT_ACCESS_READ), PT_OK);
		}
}

static unsigned group_of(const struct format *f, int level)
{
	static const unsigned bits[3][4] = {{0, 4, 4, 4}, {0, 0, 5, 7}, {0, 0, 5, 5}};

	return level < 0 ? 0 : bits[(f->granule - 12) / 2][level];
}

/* Each leaf that a format has: the byte, the sizes, what the descriptor says. */
static void leaves_say_where_and_what(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(formats); i++)
		for (int level = formats[i].first_block; level <= 3; level++) {
			const struct format *f = &formats[i];
			unsigned shift = f->granule + (f->granule - 3) * (unsigned)(3 - level);
			uint64_t out = shift < 39 ? BIT(39) : 0;
			uint64_t entry = out | DESC_AF | DESC_R | DESC_GROUP | 0x5 << 2 |
					 UINT64_C(3) << 53 | (level == 3 ? 3 : 1);
			struct rig rig;

			if (!(f->vtcr & VTCR_DS))
				entry |= 2 << 8;
			build(&rig, f, f->vtcr, level, &entry, i & 1);
			assert_int_equal(walk(&rig, 0xabc, PT_ACCESS_READ), PT_OK);
			assert_int_equal(rig.leaf.out.v, out | 0xabc);
			assert_int_equal(rig.leaf.entry, entry);
			assert_int_equal(rig.leaf.level, level);
			assert_int_equal(rig.leaf.shift, shift);
			assert_int_equal(rig.leaf.group_shift, shift + group_of(f, level));
			assert_int_equal(rig.leaf.memattr, 5);
			assert_int_equal(rig.leaf.sh, f->vtcr & VTCR_DS ? 3 : 2);
			assert_int_equal(rig.leaf.prot, PT_PROT(PT_PROT_R | PT_PROT_PX, PT_MEM_NC));
			assert_false(rig.leaf.dirtied);
		}
}

/* XN[1:0] by who executes: with FEAT_XNX, and without, where bit 53 is RES0. */
static void execution_is_told_apart_by_level(void **state)
{
	static const struct {
		bool xnx, el0, allowed[4];
	} rows[] = {
		{true, false, {true, false, false, true}},
		{true, true, {true, true, false, false}},
		{false, false, {true, true, false, false}},
		{false, true, {true, true, false, false}},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		for (uint64_t xn = 0; xn < 4; xn++) {
			uint64_t entry = YOUNG_RW | xn << 53 | 3;
			struct rig rig;

			build(&rig, &formats[0], formats[0].vtcr, 3, &entry, false);
			rig.s2.attrs = rows[i].xnx ? PT_ATTR_XNX : 0;
			assert_int_equal(pt_guest_walk(&rig.memory, &rig.s2, pt_ipa(0),
						       PT_ACCESS_EXEC, rows[i].el0, &rig.leaf,
						       &rig.fault),
					 rows[i].allowed[xn] ? PT_OK : PT_DENIED);
		}
}

/* What an allowed access makes of a leaf. */
static const struct {
	uint64_t vtcr, entry;
	enum pt_access access;
	uint64_t becomes;
} updates[] = {
	{VTCR_HA, DESC_R | 3, PT_ACCESS_READ, DESC_R | DESC_AF | 3},
	{VTCR_HA, DESC_R | 3, PT_ACCESS_EXEC, DESC_R | DESC_AF | 3},
	{VTCR_HA, DESC_R | 3, PT_ACCESS_AT, DESC_R | 3},
	{VTCR_HA | VTCR_HD, DESC_R | DESC_DBM | 3, PT_ACCESS_READ, DESC_R | DESC_DBM | DESC_AF | 3},
	{VTCR_HA | VTCR_HD, DESC_R | DESC_DBM | 3, PT_ACCESS_WRITE,
	 DESC_R | DESC_W | DESC_DBM | DESC_AF | 3},
	{VTCR_HA | VTCR_HD, DESC_AF | DESC_DBM | 3, PT_ACCESS_WRITE,
	 DESC_W | DESC_DBM | DESC_AF | 3},
	{VTCR_HA | VTCR_HD, DESC_AF | DESC_W | DESC_DBM | 3, PT_ACCESS_WRITE,
	 DESC_AF | DESC_W | DESC_DBM | 3},
	{VTCR_HA | VTCR_HD, DESC_W | 3, PT_ACCESS_WRITE, DESC_W | DESC_AF | 3},
};

static void flags_are_set_by_compare_and_swap(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * COUNT(updates); i++) {
		uint64_t entry = updates[i / 2].entry, becomes = updates[i / 2].becomes;
		uint64_t vtcr = formats[0].vtcr | updates[i / 2].vtcr;
		struct rig rig;

		build(&rig, &formats[0], vtcr, 3, &entry, i & 1);
		assert_int_equal(walk(&rig, 0, updates[i / 2].access), PT_OK);
		assert_int_equal(guest_find(&rig.m, table_of(3))->value, becomes);
		assert_int_equal(rig.leaf.entry, becomes);
		assert_int_equal(rig.leaf.dirtied, becomes != entry);
		assert_int_equal(rig.m.swaps, becomes != entry);
		assert_int_equal(rig.leaf.prot & PT_PROT_W, becomes & DESC_W ? PT_PROT_W : 0);
	}
}

static void a_descriptor_that_changes_is_not_written(void **state)
{
	const uint64_t entry = DESC_R | 3;
	struct rig rig;

	(void)state;
	build(&rig, &formats[0], formats[0].vtcr | VTCR_HA, 3, &entry, true);
	rig.m.race = BIT(55);
	assert_int_equal(walk(&rig, 0, PT_ACCESS_READ), PT_RACED);
	assert_int_equal(guest_find(&rig.m, table_of(3))->value, entry | BIT(55));
	assert_int_equal(walk(&rig, 0, PT_ACCESS_READ), PT_OK);
	assert_int_equal(rig.leaf.entry, entry | BIT(55) | DESC_AF);
}

/* A table of which each entry says the table itself: its last look finds a page. */
static void a_table_in_itself_ends_at_the_last_level(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(formats); i++) {
		const struct format *f = &formats[i];
		uint64_t entry = table_of(f->start) | DESC_AF | DESC_R | 3;
		struct rig rig;

		if (f->vtcr & VTCR_DS) /* bits 9:8 are an address here */
			entry &= ~UINT64_C(0x300);
		build(&rig, f, f->vtcr, f->start, &entry, false);
		assert_int_equal(walk(&rig, 8, PT_ACCESS_READ), PT_OK);
		assert_int_equal(rig.m.loads, 4 - f->start);
		assert_int_equal(rig.leaf.level, 3);
		assert_int_equal(rig.leaf.out.v, table_of(f->start) | 8);
	}
}

static struct pt_guest_regs plain_regs(uint64_t vtcr)
{
	return (struct pt_guest_regs){.vtcr = vtcr, .pa_bits = 48};
}

static void registers_are_refused_or_decoded(void **state)
{
	struct pt_guest_s2 s2 = {.vmid = 77};
	struct pt_guest_regs regs;

	(void)state;
	for (unsigned bit = 36; bit <= 38; bit++) { /* S2PIE, S2POE, D128 */
		regs = plain_regs(0x80023558 | BIT(bit));
		assert_int_equal(pt_guest_s2_decode(&s2, &regs), PT_UNSUPPORTED);
	}
	for (unsigned t0sz = 0; t0sz < 64; t0sz++) { /* from 16 to 31 bits */
		regs = plain_regs(0x80023540 | t0sz);
		assert_int_equal(pt_guest_s2_decode(&s2, &regs),
				 t0sz >= 33 && t0sz <= 48 ? PT_UNSUPPORTED : PT_OK);
		if (t0sz < 33 || t0sz > 48) /* level 1 of 4K takes 31 to 43 bits */
			assert_int_equal(s2.broken, t0sz < 21 || t0sz > 48);
	}
	s2.vmid = 77;
	regs = plain_regs(0x80023558);
	regs.pa_bits = 39;
	assert_int_equal(pt_guest_s2_decode(&s2, &regs), PT_INVALID);
	assert_int_equal(s2.vmid, 77);
	regs = (struct pt_guest_regs){.vtcr = 0x80023558 | VTCR_HD,
				      .vttbr = UINT64_C(0xabcd000080002001),
				      .hcr = HCR_FWB,
				      .pa_bits = 48,
				      .attrs = PT_ATTR_XNX};
	assert_int_equal(pt_guest_s2_decode(&s2, &regs), PT_OK);
	assert_int_equal(s2.vmid, 0xcd); /* VS is 0: eight bits */
	assert_int_equal(s2.base.v, 0x80002000);
	assert_int_equal(s2.flags, 0);
	assert_int_equal(s2.attrs, PT_ATTR_XNX);
	assert_int_equal(s2.pa_bits, 40);
	assert_int_equal(s2.geo.ipa_bits, 40);
	assert_int_equal(s2.sh0, 3);
	assert_false(s2.big_endian);
	regs.vtcr |= VTCR_HA | BIT(19);
	regs.attrs = PT_ATTR_FWB;
	regs.sctlr = SCTLR_EE;
	assert_int_equal(pt_guest_s2_decode(&s2, &regs), PT_OK);
	assert_int_equal(s2.vmid, 0xabcd);
	assert_int_equal(s2.flags, PT_VTCR_HA | PT_VTCR_HD);
	assert_int_equal(s2.attrs, PT_ATTR_FWB);
	assert_true(s2.big_endian);
	regs.vttbr = BIT(40);
	assert_int_equal(pt_guest_s2_decode(&s2, &regs), PT_OK);
	assert_true(s2.base_out);
}

/* The IPA may be wider than what PS lets out; reserved encodings are what the header says. */
static void choices_are_those_of_the_header(void **state)
{
	struct pt_guest_s2 s2;
	struct pt_guest_regs regs = plain_regs(0x80003590); /* 48 bits in, PS says 32 */

	(void)state;
	assert_int_equal(pt_guest_s2_decode(&s2, &regs), PT_OK);
	assert_false(s2.broken);
	assert_int_equal(s2.pa_bits, 32);
	regs = plain_regs(0x8002f558); /* TG0 0b11 */
	assert_int_equal(pt_guest_s2_decode(&s2, &regs), PT_OK);
	assert_false(s2.broken);
	assert_int_equal(s2.geo.granule_shift, 16);
	regs = plain_regs(0x80077558 | VTCR_DS | VTCR_SL2); /* 64K, PS 0b111 */
	assert_int_equal(pt_guest_s2_decode(&s2, &regs), PT_OK);
	assert_false(s2.broken);
	assert_false(s2.geo.ds);
	assert_int_equal(s2.pa_bits, 48);
}

/* --- beside the architectural walker --- */

static bool bus_read(void *arg, uint64_t pa, uint64_t *descriptor)
{
	return guest_get(arg, pa, descriptor);
}

static bool bus_cas(void *arg, uint64_t pa, uint64_t old, uint64_t want)
{
	uint64_t value;

	if (!guest_get(arg, pa, &value) || value != old)
		return false;
	guest_put(arg, pa, want);
	return true;
}

/* One walk, by both. */
struct trial {
	struct pt_guest_regs regs;
	uint64_t vtcr; /* for the other walker: what this one makes of reserved encodings */
	uint64_t ipa;
	enum pt_access access;
	bool el0;
	unsigned granule, ps_bits;
	struct random_tables tables;
};

static unsigned seen[HW_EXTERNAL + 1][6]; /* by fault and level + 1 */

static struct guest_memory memory_of(const struct trial *t, bool big_endian)
{
	return (struct guest_memory){
		.untouched = random_word, .arg = &t->tables, .big_endian = big_endian};
}

static void judge(const struct trial *t, struct guest_memory *m, struct hw_result *r, bool update)
{
	struct hw_regs regs = {.vtcr = t->vtcr,
			       .vttbr = t->regs.vttbr,
			       .fwb = true,
			       .xnx = t->regs.attrs & PT_ATTR_XNX};
	struct hw_bus bus = {bus_read, update ? bus_cas : NULL, m};

	hw_walk(&regs, &bus, t->ipa, (enum hw_access)t->access, t->el0, r);
}

static uint8_t fsc_of(const struct hw_result *r)
{
	struct hw_syndrome s;

	hw_syndrome(r, 0, HW_READ, false, 0, &s);
	return (uint8_t)(s.esr & 0x3f);
}

static void same_leaf(const struct pt_guest_leaf *leaf, const struct hw_result *r)
{
	uint32_t x = (r->exec_el1 ? PT_PROT_PX : 0) | (r->exec_el0 ? PT_PROT_UX : 0);
	uint32_t rw = (r->read ? PT_PROT_R : 0) | (r->descriptor & DESC_W ? PT_PROT_W : 0);

	assert_int_equal(leaf->out.v, r->pa);
	assert_int_equal(leaf->entry, r->descriptor);
	assert_int_equal(BIT(leaf->group_shift), r->span);
	assert_int_equal(leaf->level, r->level);
	assert_int_equal(leaf->memattr, r->memattr);
	assert_int_equal(leaf->prot & PT_PROT_RIGHTS, rw | x);
}

static void same_fault(const struct pt_guest_fault *fault, const struct hw_result *r)
{
	unsigned last = r->fault == HW_EXTERNAL ? r->steps : r->steps - 1;

	assert_int_equal(fault->fsc, fsc_of(r));
	assert_int_equal(fault->level, r->level);
	if (r->steps || r->fault == HW_EXTERNAL)
		assert_int_equal(fault->table.v, r->step[last].entry);
}

/* Field by field: what stands between them is anything. */
static void equal_leaves(const struct pt_guest_leaf *a, const struct pt_guest_leaf *b)
{
	assert_int_equal(a->out.v, b->out.v);
	assert_int_equal(a->entry, b->entry);
	assert_int_equal(a->prot, b->prot);
	assert_int_equal(a->memattr, b->memattr);
	assert_int_equal(a->sh, b->sh);
	assert_int_equal(a->level, b->level);
	assert_int_equal(a->shift, b->shift);
	assert_int_equal(a->group_shift, b->group_shift);
	assert_int_equal(a->dirtied, b->dirtied);
}

static void explained(const struct trial *t, const struct pt_guest_s2 *s2,
		      const struct hw_result *r, enum pt_outcome outcome,
		      const struct pt_guest_leaf *leaf, const struct pt_guest_fault *fault)
{
	struct guest_memory m = memory_of(t, s2->big_endian);
	struct pt_guest_memory memory = guest_functions(&m);
	struct pt_guest_step step[PT_LEVELS];
	struct pt_guest_leaf leaf2 = {0};
	struct pt_guest_fault fault2 = {0};
	enum pt_outcome outcome2;

	assert_int_equal(pt_guest_explain(&memory, s2, pt_ipa(t->ipa), t->access, t->el0, step,
					  &outcome2, &leaf2, &fault2),
			 r->steps);
	assert_int_equal(m.swaps, 0);
	assert_int_equal(outcome2, outcome);
	equal_leaves(leaf, &leaf2);
	assert_int_equal(fault2.fsc, fault->fsc);
	assert_int_equal(fault2.level, fault->level);
	assert_int_equal(fault2.table.v, fault->table.v);
	for (unsigned i = 0; i < r->steps; i++) {
		assert_int_equal(step[i].at.v, r->step[i].entry);
		assert_int_equal(step[i].entry, r->step[i].descriptor);
		assert_int_equal(step[i].level, r->step[i].level);
	}
}

static void compare(const struct trial *t)
{
	struct guest_memory hw = memory_of(t, false), m = memory_of(t, t->regs.sctlr & SCTLR_EE);
	struct pt_guest_memory memory = guest_functions(&m);
	struct pt_guest_leaf leaf = {0};
	struct pt_guest_fault fault = {0};
	struct pt_guest_s2 s2;
	struct hw_result r;
	enum pt_outcome outcome;

	assert_int_equal(pt_guest_s2_decode(&s2, &t->regs), PT_OK);
	judge(t, &hw, &r, true);
	outcome = pt_guest_walk(&memory, &s2, pt_ipa(t->ipa), t->access, t->el0, &leaf, &fault);
	assert_int_equal(outcome, r.fault == HW_NO_FAULT ? PT_OK : PT_DENIED);
	if (r.fault == HW_NO_FAULT || r.fault == HW_PERMISSION)
		same_leaf(&leaf, &r);
	if (r.fault != HW_NO_FAULT)
		same_fault(&fault, &r);
	assert_in_range(m.loads, 0, PT_LEVELS);
	assert_in_range(m.swaps, 0, 1);
	assert_int_equal(m.words, hw.words);
	assert_memory_equal(m.word, hw.word, m.words * sizeof(m.word[0]));
	assert_int_equal(leaf.dirtied, m.words);
	explained(t, &s2, &r, outcome, &leaf, &fault);
	seen[r.fault][r.level + 1]++;
}

/* With PS below the CPU's PA size: the first address on the way that PS refuses decides. */
static void narrow(const struct trial *t, struct hw_result *r)
{
	unsigned shift = t->granule + (t->granule - 3) * (unsigned)(3 - r->level);
	unsigned tables = r->steps + (r->fault == HW_EXTERNAL);
	bool leaf =
		r->fault == HW_NO_FAULT || r->fault == HW_ACCESS_FLAG || r->fault == HW_PERMISSION;

	for (unsigned i = 0; i < tables; i++)
		if (r->step[i].table >> t->ps_bits) {
			r->fault = HW_ADDRESS_SIZE;
			r->level = i ? r->step[i - 1].level : 0;
			return;
		}
	if (leaf && r->pa >> shift << shift >> t->ps_bits)
		r->fault = HW_ADDRESS_SIZE;
}

static void compare_narrow(const struct trial *t)
{
	struct guest_memory hw = memory_of(t, false), m = memory_of(t, t->regs.sctlr & SCTLR_EE);
	struct pt_guest_memory memory = guest_functions(&m);
	struct pt_guest_leaf leaf;
	struct pt_guest_fault fault;
	struct pt_guest_s2 s2;
	struct hw_result r;
	enum pt_outcome outcome;

	assert_int_equal(pt_guest_s2_decode(&s2, &t->regs), PT_OK);
	judge(t, &hw, &r, false);
	narrow(t, &r);
	outcome = pt_guest_walk(&memory, &s2, pt_ipa(t->ipa), t->access, t->el0, &leaf, &fault);
	assert_int_equal(outcome, r.fault == HW_NO_FAULT ? PT_OK : PT_DENIED);
	if (r.fault == HW_NO_FAULT) {
		assert_int_equal(leaf.out.v, r.pa);
	} else {
		assert_int_equal(fault.fsc, fsc_of(&r));
		assert_int_equal(fault.level, r.level);
	}
	seen[r.fault][r.level + 1]++;
}

static const unsigned ps_sizes[8] = {32, 36, 40, 42, 44, 48, 52, 52};
static const unsigned granules[4] = {12, 16, 14, 16};

/* A trial with this VTCR_EL2; what its fields do not say is drawn. */
static struct trial trial_of(uint64_t vtcr, uint64_t *state)
{
	uint64_t r = draw(state);
	unsigned tg0 = vtcr >> 14 & 3, iasize = 64 - (vtcr & 63);
	unsigned pa_bits = ps_sizes[vtcr >> 16 & 7];
	bool ds = granules[tg0] != 16 && vtcr & VTCR_DS;
	struct trial t = {
		.regs = {.vtcr = vtcr | (r & 3) << 21,
			 .vttbr = draw(state),
			 .sctlr = r & 4 ? SCTLR_EE : 0,
			 .attrs = r & 8 ? PT_ATTR_XNX : 0,
			 .pa_bits = pa_bits},
		.ipa = draw(state),
		.access = 1 + (r >> 4 & 3),
		.el0 = r & 64,
		.granule = granules[tg0],
		.ps_bits = pa_bits,
		.tables = {.seed = draw(state),
			   .oasize = ds || granules[tg0] == 16 || pa_bits < 48 ? pa_bits : 48,
			   .ds = ds,
			   .lpa = granules[tg0] == 16 && pa_bits == 52},
	};

	if (r >> 8 & 15) /* else one that is too large */
		t.ipa &= (iasize == 64 ? 0 : BIT(iasize)) - 1;
	if (r >> 12 & 15) { /* else a base that may be out of range */
		uint64_t mask = BIT(t.tables.oasize < 48 ? t.tables.oasize : 48) - 1;

		t.regs.vttbr &= mask | UINT64_C(0xff) << 48;
	}
	t.vtcr = tg0 == 3 ? (t.regs.vtcr & ~BIT(15)) : t.regs.vtcr;
	return t;
}

static uint64_t first_seed(void)
{
	const char *text = getenv("PTD_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : 20260607;

	print_message("PTD_SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

/* VTCR_EL2 number `i` of all combinations of TG0, DS, SL2, SL0, PS and T0SZ. */
#define COMBINATIONS (4u * 2 * 2 * 4 * 8 * 64)
static uint64_t combination(unsigned i)
{
	return BIT(31) | (i & 63) | (uint64_t)(i >> 6 & 3) << 6 | (uint64_t)(i >> 8 & 7) << 16 |
	       (uint64_t)(i >> 11 & 3) << 14 | (uint64_t)(i >> 13 & 3) << 32;
}

static bool too_small(uint64_t vtcr)
{
	return (vtcr & 63) > 32 && (vtcr & 63) <= 48;
}

static void every_geometry_walks_as_the_other_walker_does(void **state)
{
	uint64_t random = first_seed();
	unsigned n = 0, legal = 0;

	(void)state;
	for (unsigned i = 0; i < COMBINATIONS; i++) {
		uint64_t vtcr = combination(i);
		struct pt_guest_s2 s2;
		struct trial t;

		if (too_small(vtcr))
			continue;
		t = trial_of(vtcr, &random);
		assert_int_equal(pt_guest_s2_decode(&s2, &t.regs), PT_OK);
		legal += !s2.broken;
		for (unsigned k = s2.broken ? 1 : 60; k; k--, n++) {
			compare(&t);
			t = trial_of(vtcr, &random);
		}
	}
	print_message("%u walks compared, %u of %u VTCR_EL2 are legal\n", n, legal, COMBINATIONS);
	assert_in_range(n, 100000, 400000);
}

/* The same VTCR_EL2 with a PS below the CPU's size; addresses of its size, or of one bit more. */
static struct trial narrow_trial(uint64_t vtcr, unsigned small, uint64_t *state)
{
	struct trial t = trial_of(vtcr & ~(VTCR_HA | VTCR_HD), state);

	t.regs.vttbr &= ~UINT64_C(0x3f);
	t.vtcr &= ~(VTCR_HA | VTCR_HD);
	t.regs.vtcr &= ~(UINT64_C(7) << 16 | VTCR_HA | VTCR_HD);
	t.regs.vtcr |= (uint64_t)small << 16;
	t.ps_bits = ps_sizes[small];
	t.tables.oasize = t.ps_bits + (draw(state) & 1);
	t.regs.vttbr &= (BIT(t.tables.oasize < 48 ? t.tables.oasize : 48) - 1) | BIT(48);
	return t;
}

static void every_output_size_bounds_every_address(void **state)
{
	uint64_t random = first_seed() + 1;
	unsigned n = 0;

	(void)state;
	for (unsigned i = 0; i < COMBINATIONS; i++) {
		uint64_t vtcr = combination(i);
		unsigned ps = vtcr >> 16 & 7;
		struct trial t = trial_of(vtcr, &random);
		struct pt_guest_s2 s2;

		if (too_small(vtcr) || ps == 7 || pt_guest_s2_decode(&s2, &t.regs) != PT_OK ||
		    s2.broken)
			continue;
		for (unsigned small = 0; small < ps; small++)
			for (unsigned k = 0; k < 10; k++, n++) {
				t = narrow_trial(vtcr, small, &random);
				compare_narrow(&t);
			}
	}
	print_message("%u walks compared with PS below the CPU's size\n", n);
	assert_in_range(n, 20000, 200000);
}

/* What both tests above met, so that none of it can go missing unseen. */
static void every_fault_came_up_at_every_level(void **state)
{
	static const struct {
		enum hw_fault fault;
		const char *name;
		int first;
	} rows[] = {{HW_NO_FAULT, "no fault", 0},	 {HW_ADDRESS_SIZE, "address size", -1},
		    {HW_TRANSLATION, "translation", -1}, {HW_ACCESS_FLAG, "access flag", 0},
		    {HW_PERMISSION, "permission", 0},	 {HW_EXTERNAL, "external", -1}};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const unsigned *row = seen[rows[i].fault];

		print_message("%-12s by level -1 to 3: %6u %6u %6u %6u %6u\n", rows[i].name, row[0],
			      row[1], row[2], row[3], row[4]);
		for (int level = rows[i].first; level <= 3; level++)
			assert_in_range(row[level + 1], 1, 1000000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_fault_has_its_class_and_level),
		cmocka_unit_test(reserved_types_are_translation_faults),
		cmocka_unit_test(leaves_say_where_and_what),
		cmocka_unit_test(execution_is_told_apart_by_level),
		cmocka_unit_test(flags_are_set_by_compare_and_swap),
		cmocka_unit_test(a_descriptor_that_changes_is_not_written),
		cmocka_unit_test(a_table_in_itself_ends_at_the_last_level),
		cmocka_unit_test(registers_are_refused_or_decoded),
		cmocka_unit_test(choices_are_those_of_the_header),
		cmocka_unit_test(every_geometry_walks_as_the_other_walker_does),
		cmocka_unit_test(every_output_size_bounds_every_address),
		cmocka_unit_test(every_fault_came_up_at_every_level),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
