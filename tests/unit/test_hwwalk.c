/* SPDX-License-Identifier: BSD-2-Clause */
/* The architectural walker: hand-built tables for each granule and start level, faults, updates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pt/desc.h>
#include <pt/host/hwwalk.h>

#define BIT(n) (UINT64_C(1) << (n))

/* Memory that holds nothing but the descriptors put there; the rest is a hole in the bus. */
struct memory {
	struct {
		uint64_t pa, value;
	} word[16];
	unsigned n, reads, updates;
	uint64_t race; /* XORed into the word at the first update, as another agent would */
};

static bool bus_read(void *arg, uint64_t pa, uint64_t *descriptor)
{
	struct memory *m = arg;

	m->reads++;
	for (unsigned i = 0; i < m->n; i++)
		if (m->word[i].pa == pa) {
			*descriptor = m->word[i].value;
			return true;
		}
	return false;
}

static bool bus_cas(void *arg, uint64_t pa, uint64_t old, uint64_t want)
{
	struct memory *m = arg;

	for (unsigned i = 0; i < m->n; i++)
		if (m->word[i].pa == pa) {
			m->word[i].value ^= m->race;
			m->race = 0;
			if (m->word[i].value != old)
				return false;
			m->word[i].value = want;
			m->updates++;
			return true;
		}
	return false;
}

static void put(struct memory *m, uint64_t pa, uint64_t value)
{
	assert_in_range(m->n, 0, 15);
	m->word[m->n].pa = pa;
	m->word[m->n++].value = value;
}

static struct hw_result walk(const struct hw_regs *regs, struct memory *m, uint64_t ipa,
			     enum hw_access access)
{
	struct hw_bus bus = {.read = bus_read, .cas = bus_cas, .arg = m};
	struct hw_result r;

	hw_walk(regs, &bus, ipa, access, false, &r);
	return r;
}

struct word {
	uint64_t pa, value;
};

/* Every value below was computed by hand from the register pages and descriptor figures. */
static const struct {
	const char *what;
	uint64_t vtcr, vttbr, ipa;
	uint64_t pa, span;
	int level;
	unsigned words;
	struct word word[5];
} literal[] = {
	{"4K, 40 bits: index 513 lies in the second of two concatenated level 1 tables",
	 0x80023558,
	 0x0001000080002000,
	 0x8040201abc,
	 0x123456abc,
	 0x1000,
	 3,
	 3,
	 {{0x80003008, 0x90000003}, {0x90000008, 0x91000003}, {0x91000008, 0x1234567ff}}},
	{"4K, 40 bits, 1G block",
	 0x80023558,
	 0x80002000,
	 0x8040201abc,
	 0x4c0201abc,
	 0x40000000,
	 1,
	 1,
	 {{0x80003008, 0x4c00007fd}}},
	{"4K, 48 bits from level 0, 2M block",
	 0x80053590,
	 0x80000000,
	 0x8080604321,
	 0xff0004321,
	 0x200000,
	 2,
	 3,
	 {{0x80000008, 0x80001003}, {0x80001010, 0x80002003}, {0x80002018, 0xff00007fd}}},
	{"4K with DS, 52 bits from level -1: OA[51:50] in bits 9:8, base[51:48] in bits 5:2",
	 0x38006350c,
	 0x80000004,
	 0xf000000001234,
	 0xb000123456234,
	 0x1000,
	 3,
	 5,
	 {{0x1000080000078, 0x80001103},
	  {0x4000080001000, 0x80002003},
	  {0x80002000, 0x80003003},
	  {0x80003000, 0x80004003},
	  {0x80004008, 0x30001234566ff}}},
	{"16K, 40 bits from level 2 with sixteen tables, 32M block",
	 0x8002b558,
	 0x80040000,
	 0xff12345678,
	 0x402345678,
	 0x2000000,
	 2,
	 1,
	 {{0x8007fc48, 0x4020007fd}}},
	{"16K, 40 bits, page",
	 0x8002b558,
	 0x80040000,
	 0x4005678,
	 0x123455678,
	 0x4000,
	 3,
	 2,
	 {{0x80040010, 0x90000003}, {0x90000008, 0x1234547ff}}},
	{"64K, 40 bits, page",
	 0x80027558,
	 0x80004000,
	 0x8020011234,
	 0x123451234,
	 0x10000,
	 3,
	 2,
	 {{0x80006008, 0x90000003}, {0x90000008, 0x1234507ff}}},
	{"64K, 40 bits, 512M block",
	 0x80027558,
	 0x80004000,
	 0x8021234567,
	 0x601234567,
	 0x20000000,
	 2,
	 1,
	 {{0x80006008, 0x6000007fd}}},
	{"64K, 52 bits from level 1, 4T block: OA[51:48] in bits 15:12",
	 0x800e758c,
	 0x80002008,
	 0x8012345678901,
	 0xc012345678901,
	 0x40000000000,
	 1,
	 1,
	 {{0x2000080003000, 0xc7fd}}},
	{"contiguous bit: only the span grows",
	 0x80023558,
	 0x80002000,
	 0x1abc,
	 0x123451abc,
	 0x10000,
	 3,
	 3,
	 {{0x80002000, 0x90000003}, {0x90000000, 0x91000003}, {0x91000008, 0x100001234517ff}}},
};

static void literal_trees_translate_as_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(literal) / sizeof(literal[0]); i++) {
		struct hw_regs regs = {.vtcr = literal[i].vtcr, .vttbr = literal[i].vttbr};
		struct memory m = {0};
		struct hw_result r;

		for (unsigned w = 0; w < literal[i].words; w++)
			put(&m, literal[i].word[w].pa, literal[i].word[w].value);
		r = walk(&regs, &m, literal[i].ipa, HW_READ);
		if (r.fault != HW_NO_FAULT || r.pa != literal[i].pa)
			print_error("%s\n", literal[i].what);
		assert_int_equal(r.fault, HW_NO_FAULT);
		assert_int_equal(r.pa, literal[i].pa);
		assert_int_equal(r.span, literal[i].span);
		assert_int_equal(r.level, literal[i].level);
		assert_int_equal(r.steps, literal[i].words);
		assert_int_equal(m.reads, literal[i].words);
		assert_int_equal(r.step[0].entry, literal[i].word[0].pa);
		assert_int_equal(r.descriptor, literal[i].word[literal[i].words - 1].value);
	}
}

static uint64_t seed_from_environment(void)
{
	const char *env = getenv("PTD_SEED");
	uint64_t seed = env ? strtoull(env, NULL, 0) : 42;

	print_message("PTD_SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

static uint64_t next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* Lays the path to a leaf at `level` with lib's encoders, and walks it with the other half. */
static void check_path(const struct pt_geometry *g, int level, uint64_t *rng)
{
	uint64_t top = (UINT64_C(1) << g->pa_bits) - 1, room = ~(UINT64_C(0x1fffff));
	uint64_t ipa = next_random(rng) & ((UINT64_C(1) << g->ipa_bits) - 1);
	uint64_t base = next_random(rng) & top & room;
	uint64_t pa = next_random(rng) & top & ~(pt_level_size(g, level) - 1);
	struct hw_regs regs = {.vtcr = pt_geometry_vtcr(g, 0),
			       .vttbr = pt_geometry_vttbr(g, pt_pa(base), 7)};
	struct memory m = {0};
	struct hw_result r;

	for (int l = g->start_level; l <= level; l++) {
		uint64_t next = next_random(rng) & top & ~(uint64_t)0xffff;
		pt_pte attrs = pt_leaf_attrs(g, PT_PROT_RWX, 0);
		uint64_t at = base + 8 * (uint64_t)pt_level_index(g, pt_ipa(ipa), l);

		put(&m, at,
		    l == level ? pt_leaf(g, pt_pa(pa), attrs, l) : pt_table_desc(g, pt_pa(next)));
		base = next;
	}
	r = walk(&regs, &m, ipa, HW_WRITE);
	assert_int_equal(r.fault, HW_NO_FAULT);
	assert_int_equal(r.level, level);
	assert_int_equal(r.span, pt_level_size(g, level));
	assert_int_equal(r.pa, pa | (ipa & (pt_level_size(g, level) - 1)));
	assert_true(r.read && r.write && r.exec_el0 && r.exec_el1);
}

static void check_blocks(const struct pt_geometry *g, uint64_t *rng)
{
	struct hw_regs regs = {.vtcr = pt_geometry_vtcr(g, 0)};

	for (int l = g->start_level; l <= 3; l++) {
		struct memory m = {0};
		struct hw_result r;

		if (pt_level_has_leaf(g, l)) {
			check_path(g, l, rng);
			continue;
		}
		/* A block where the geometry allows none must fault at its level. */
		for (int up = g->start_level; up < l; up++)
			put(&m, up == g->start_level ? 0 : (uint64_t)(up + 2) << 20,
			    (uint64_t)(up + 3) << 20 | 3);
		put(&m, l == g->start_level ? 0 : (uint64_t)(l + 2) << 20, 0x4fd);
		r = walk(&regs, &m, 0, HW_READ);
		assert_int_equal(r.fault, HW_TRANSLATION);
		assert_int_equal(r.level, l);
	}
}

/* Two implementations that share no line agree on every legal geometry. */
static void lib_encodes_what_hardware_decodes_in_every_geometry(void **state)
{
	static const unsigned pa_sizes[] = {32, 36, 40, 42, 44, 48, 52};
	struct pt_geometry_args a = {.start_level_given = true};
	uint64_t rng = seed_from_environment() | 1;
	struct pt_geometry g;
	unsigned legal = 0;

	(void)state;
	for (a.granule_shift = 12; a.granule_shift <= 16; a.granule_shift += 2)
		for (a.ipa_bits = 32; a.ipa_bits <= 52; a.ipa_bits++)
			for (unsigned i = 0; i < 7 * 2 * 5; i++) {
				a.pa_bits = pa_sizes[i % 7];
				a.ds = i / 7 % 2;
				a.start_level = (int)(i / 14) - 1;
				if (pt_geometry_init(&g, &a) != PT_OK)
					continue;
				legal++;
				check_blocks(&g, &rng);
			}
	assert_true(legal > 400);
}

/* ... and on what is no geometry: the walker faults at level 0 on what lib refuses. */
static void configurations_that_lib_refuses_fault_at_level_0(void **state)
{
	unsigned refused = 0;

	(void)state;
	for (uint64_t i = 0; i < UINT64_C(1) << 15; i++) {
		uint64_t vtcr = (i & 0xff) | (i >> 8 & 0x1f) << 14 | (i >> 13) << 32;
		struct hw_regs regs = {.vtcr = vtcr};
		struct memory m = {0};
		struct pt_geometry g;
		struct hw_result r;

		/* RES0 fields and reserved sizes: hardware ignores them, lib does not take them. */
		if ((vtcr >> 14 & 3) == 1 && vtcr >> 32)
			continue;
		if (vtcr >> 33 && (!(vtcr & BIT(32)) || (vtcr >> 14 & 3)))
			continue;
		if ((vtcr >> 16 & 7) >= 6 && !(vtcr & BIT(32)))
			continue;
		if ((vtcr >> 16 & 7) == 7 || 64 - (vtcr & 63) < 32)
			continue;
		r = walk(&regs, &m, 0, HW_READ);
		if (pt_geometry_from_vtcr(&g, vtcr) == PT_OK) {
			assert_int_equal(r.fault, HW_EXTERNAL); /* it got as far as memory */
			assert_int_equal(r.level, g.start_level);
		} else {
			refused++;
			assert_int_equal(r.fault, HW_TRANSLATION);
			assert_int_equal(r.level, 0);
		}
	}
	assert_true(refused > 1000);
}

#define V40 0x80023558 /* 4K, 40-bit IPA and PA, level 1 */

static void faults_have_the_class_and_level_of_the_manual(void **state)
{
	static const struct {
		const char *what;
		uint64_t vtcr, vttbr, ipa;
		enum hw_access access;
		enum hw_fault fault;
		int level;
		unsigned words;
		struct word word[3];
	} rows[] = {
		{"IPA beyond T0SZ", V40, 0x80002000, BIT(40), HW_READ, HW_TRANSLATION, 0, 0, {{0}}},
		{"base beyond PS", V40, BIT(40), 0, HW_READ, HW_ADDRESS_SIZE, 0, 0, {{0}}},
		{"bus hole at level 1", V40, 0x80002000, 0, HW_READ, HW_EXTERNAL, 1, 0, {{0}}},
		{"invalid at level 1", V40, 0, 0, HW_READ, HW_TRANSLATION, 1, 1, {{0, 0}}},
		{"invalid with type 2", V40, 0, 0, HW_READ, HW_TRANSLATION, 1, 1, {{0, 2}}},
		{"table beyond PS", V40, 0, 0, HW_READ, HW_ADDRESS_SIZE, 1, 1, {{0, BIT(40) | 3}}},
		{"hole below level 1", V40, 0, 0, HW_READ, HW_EXTERNAL, 2, 1, {{0, 0x90000003}}},
		{"invalid at level 2",
		 V40,
		 0,
		 0,
		 HW_READ,
		 HW_TRANSLATION,
		 2,
		 2,
		 {{0, 0x90000003}, {0x90000000, 0}}},
		{"invalid at level 3",
		 V40,
		 0,
		 0,
		 HW_READ,
		 HW_TRANSLATION,
		 3,
		 3,
		 {{0, 0x90000003}, {0x90000000, 0x91000003}, {0x91000000, 0}}},
		{"block encoding at level 3",
		 V40,
		 0,
		 0,
		 HW_READ,
		 HW_TRANSLATION,
		 3,
		 3,
		 {{0, 0x90000003}, {0x90000000, 0x91000003}, {0x91000000, 0x7fd}}},
		{"leaf beyond PS",
		 V40,
		 0,
		 0,
		 HW_READ,
		 HW_ADDRESS_SIZE,
		 1,
		 1,
		 {{0, BIT(40) | 0x7fd}}},
		{"AF clear", V40, 0, 0, HW_READ, HW_ACCESS_FLAG, 1, 1, {{0, 0x3fd}}},
		{"AF clear wins over permission",
		 V40,
		 0,
		 0,
		 HW_WRITE,
		 HW_ACCESS_FLAG,
		 1,
		 1,
		 {{0, 0x37d}}},
		{"address size wins over AF",
		 V40,
		 0,
		 0,
		 HW_READ,
		 HW_ADDRESS_SIZE,
		 1,
		 1,
		 {{0, BIT(40) | 0x3fd}}},
		{"write to read-only", V40, 0, 0, HW_WRITE, HW_PERMISSION, 1, 1, {{0, 0x77d}}},
		{"read of write-only", V40, 0, 0, HW_READ, HW_PERMISSION, 1, 1, {{0, 0x7bd}}},
		{"AT is a read", V40, 0, 0, HW_AT, HW_PERMISSION, 1, 1, {{0, 0x7bd}}},
		{"fetch from XN", V40, 0, 0, HW_EXEC, HW_PERMISSION, 1, 1, {{0, BIT(54) | 0x7fd}}},
		{"DBM without HD grants nothing",
		 V40,
		 0,
		 0,
		 HW_WRITE,
		 HW_PERMISSION,
		 1,
		 1,
		 {{0, BIT(51) | 0x77d}}},
		{"4K level 0 block without DS",
		 0x80053590,
		 0,
		 0,
		 HW_READ,
		 HW_TRANSLATION,
		 0,
		 1,
		 {{0, 0x7fd}}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct hw_regs regs = {.vtcr = rows[i].vtcr, .vttbr = rows[i].vttbr};
		struct memory m = {0};
		struct hw_result r;

		for (unsigned w = 0; w < rows[i].words; w++)
			put(&m, rows[i].word[w].pa, rows[i].word[w].value);
		r = walk(&regs, &m, rows[i].ipa, rows[i].access);
		if (r.fault != rows[i].fault || r.level != rows[i].level)
			print_error("%s\n", rows[i].what);
		assert_int_equal(r.fault, rows[i].fault);
		assert_int_equal(r.level, rows[i].level);
		assert_int_equal(m.updates, 0);
	}
}

static void execute_rights_follow_xn_and_xnx(void **state)
{
	static const struct {
		unsigned xn;
		bool xnx, el1, el0;
	} rows[] = {
		{0, true, true, true},	  {1, true, false, true},   {2, true, false, false},
		{3, true, true, false},	  {0, false, true, true},   {1, false, true, true},
		{2, false, false, false}, {3, false, false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (int el0 = 0; el0 < 2; el0++) {
			struct hw_regs regs = {.vtcr = V40, .xnx = rows[i].xnx};
			struct memory m = {.n = 1,
					   .word = {{0, (uint64_t)rows[i].xn << 53 | 0x7fd}}};
			struct hw_bus bus = {.read = bus_read, .arg = &m};
			struct hw_result r;

			hw_walk(&regs, &bus, 0, HW_EXEC, el0, &r);
			assert_int_equal(r.exec_el1, rows[i].el1);
			assert_int_equal(r.exec_el0, rows[i].el0);
			assert_int_equal(r.fault == HW_NO_FAULT, el0 ? rows[i].el0 : rows[i].el1);
		}
}

#define V40_HA (V40 | BIT(21))
#define V40_HD (V40 | BIT(21) | BIT(22))

static void hardware_updates_af_and_dirty_state(void **state)
{
	static const struct {
		const char *what;
		uint64_t vtcr, before, after;
		enum hw_access access;
		enum hw_fault fault;
		bool af_set;
	} rows[] = {
		{"HA sets AF", V40_HA, 0x3fd, 0x7fd, HW_READ, HW_NO_FAULT, true},
		{"AF set already", V40_HA, 0x7fd, 0x7fd, HW_READ, HW_NO_FAULT, false},
		{"AT leaves AF", V40_HA, 0x3fd, 0x3fd, HW_AT, HW_NO_FAULT, false},
		{"a denied access leaves AF", V40_HA, 0x37d, 0x37d, HW_WRITE, HW_PERMISSION, false},
		{"HA without HD: DBM is nothing", V40_HA, BIT(51) | 0x77d, BIT(51) | 0x77d,
		 HW_WRITE, HW_PERMISSION, false},
		{"HD without HA is nothing", V40 | BIT(22), BIT(51) | 0x77d, BIT(51) | 0x77d,
		 HW_WRITE, HW_PERMISSION, false},
		{"a write makes dirty", V40_HD, BIT(51) | 0x77d, BIT(51) | 0x7fd, HW_WRITE,
		 HW_NO_FAULT, false},
		{"a write sets AF and dirty", V40_HD, BIT(51) | 0x37d, BIT(51) | 0x7fd, HW_WRITE,
		 HW_NO_FAULT, true},
		{"a read does not make dirty", V40_HD, BIT(51) | 0x37d, BIT(51) | 0x77d, HW_READ,
		 HW_NO_FAULT, true},
		{"no DBM, no write", V40_HD, 0x77d, 0x77d, HW_WRITE, HW_PERMISSION, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct hw_regs regs = {.vtcr = rows[i].vtcr};
		struct memory m = {.n = 1, .word = {{0, rows[i].before}}};
		struct hw_result r = walk(&regs, &m, 0x123, rows[i].access);

		if (r.fault != rows[i].fault || m.word[0].value != rows[i].after)
			print_error("%s\n", rows[i].what);
		assert_int_equal(r.fault, rows[i].fault);
		assert_int_equal(m.word[0].value, rows[i].after);
		assert_int_equal(r.descriptor, rows[i].after);
		assert_int_equal(r.af_set, rows[i].af_set);
		assert_int_equal(m.updates, rows[i].before != rows[i].after);
	}
}

/* The entry changes between read and update: the walk starts over and sees what stands there now.
 */
static void a_lost_update_walks_again(void **state)
{
	struct hw_regs regs = {.vtcr = V40_HA};
	struct memory m = {.n = 1, .word = {{0, 0x3fd}}, .race = 1};
	struct hw_result r = walk(&regs, &m, 0, HW_READ);

	(void)state;
	assert_int_equal(r.fault, HW_TRANSLATION);
	assert_int_equal(m.word[0].value, 0x3fc);
	m = (struct memory){.n = 1, .word = {{0, 0x3fd}}, .race = BIT(31)};
	r = walk(&regs, &m, 0, HW_READ);
	assert_int_equal(r.fault, HW_NO_FAULT);
	assert_int_equal(r.pa, BIT(31));
	assert_int_equal(m.reads, 2);
}

/* Without a way to write, the walk reads on as if the update had been made: Translate. */
static void a_bus_without_cas_is_never_written(void **state)
{
	struct memory m = {.n = 1, .word = {{0, 0x3fd}}};
	struct hw_bus bus = {.read = bus_read, .arg = &m};
	struct hw_regs regs = {.vtcr = V40_HA};
	struct hw_result r;

	(void)state;
	hw_walk(&regs, &bus, 0, HW_WRITE, false, &r);
	assert_int_equal(r.fault, HW_NO_FAULT);
	assert_false(r.af_set);
	assert_int_equal(m.word[0].value, 0x3fd);
}

static void syndromes_have_the_manuals_bits(void **state)
{
	static const struct {
		enum hw_fault fault;
		int8_t level;
		enum hw_access access;
		bool s1ptw;
		unsigned size;
		uint64_t esr;
		bool hpfar_known;
	} rows[] = {
		/* EC 0x24 << 26 = 0x90000000, IL 0x02000000, ISV 0x01000000 */
		{HW_TRANSLATION, 0, HW_READ, false, 0, 0x92000004, true},
		{HW_TRANSLATION, 3, HW_READ, false, 1, 0x93000007, true},
		{HW_TRANSLATION, 3, HW_WRITE, false, 2, 0x93400047, true},
		{HW_TRANSLATION, 2, HW_WRITE, false, 4, 0x93800046, true},
		{HW_TRANSLATION, 1, HW_READ, false, 8, 0x93c08005, true},
		{HW_TRANSLATION, 1, HW_READ, false, 16, 0x92000005, true},
		{HW_TRANSLATION, -1, HW_READ, false, 0, 0x9200002b, true},
		{HW_TRANSLATION, 2, HW_READ, true, 8, 0x92000086, true},
		{HW_TRANSLATION, 3, HW_EXEC, false, 4, 0x82000007, true},
		{HW_TRANSLATION, 3, HW_EXEC, true, 0, 0x82000087, true},
		{HW_TRANSLATION, 3, HW_AT, false, 0, 0x92000147, true},
		{HW_PERMISSION, 3, HW_WRITE, false, 8, 0x93c0804f, false},
		{HW_PERMISSION, 0, HW_WRITE, false, 0, 0x9200004c, false},
		{HW_PERMISSION, 2, HW_WRITE, true, 0, 0x920000ce, true},
		{HW_ACCESS_FLAG, 3, HW_READ, false, 0, 0x9200000b, true},
		{HW_ADDRESS_SIZE, 0, HW_READ, false, 0, 0x92000000, true},
		{HW_ADDRESS_SIZE, -1, HW_READ, false, 0, 0x92000029, true},
		{HW_EXTERNAL, 2, HW_READ, false, 8, 0x92000016, false},
		{HW_EXTERNAL, -1, HW_READ, false, 0, 0x92000013, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct hw_result r = {.fault = rows[i].fault, .level = rows[i].level};
		struct hw_syndrome s;
		struct hw_abort abort;

		hw_syndrome(&r, 0xf123456789abc, rows[i].access, rows[i].s1ptw, rows[i].size, &s);
		assert_int_equal(s.esr, rows[i].esr);
		assert_int_equal(s.far, 0xf123456789abc);
		assert_int_equal(s.hpfar_known, rows[i].hpfar_known);
		assert_int_equal(s.hpfar, rows[i].hpfar_known ? 0xf1234567890 : 0);
		assert_true(hw_decode_abort(s.esr, &abort));
		assert_int_equal(abort.fault, rows[i].fault);
		assert_int_equal(abort.level, rows[i].level);
		assert_int_equal(abort.access, rows[i].access);
		assert_int_equal(abort.s1ptw, rows[i].s1ptw);
	}
}

static void other_exceptions_are_no_stage_2_aborts(void **state)
{
	static const uint64_t rows[] = {
		0,	    /* unknown reason */
		0x5a000000, /* HVC */
		0x96000007, /* data abort from EL2 itself */
		0x86000007, /* instruction abort from EL2 itself */
		0x92000021, /* alignment */
		0x92000010, /* external abort, not on a walk */
		0x92000030, /* TLB conflict */
		0x92000012, /* level -2: reserved */
		0x9200003f,
	};
	struct hw_abort abort = {.level = 77};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_false(hw_decode_abort(rows[i], &abort));
		assert_int_equal(abort.level, 77);
	}
}

static void no_fault_has_no_syndrome(void **state)
{
	struct hw_result r = {0};
	struct hw_syndrome s;

	(void)state;
	hw_syndrome(&r, 0x1000, HW_READ, false, 8, &s);
	assert_int_equal(s.esr | s.far | s.hpfar, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(literal_trees_translate_as_written),
		cmocka_unit_test(lib_encodes_what_hardware_decodes_in_every_geometry),
		cmocka_unit_test(configurations_that_lib_refuses_fault_at_level_0),
		cmocka_unit_test(faults_have_the_class_and_level_of_the_manual),
		cmocka_unit_test(execute_rights_follow_xn_and_xnx),
		cmocka_unit_test(hardware_updates_af_and_dirty_state),
		cmocka_unit_test(a_lost_update_walks_again),
		cmocka_unit_test(a_bus_without_cas_is_never_written),
		cmocka_unit_test(syndromes_have_the_manuals_bits),
		cmocka_unit_test(other_exceptions_are_no_stage_2_aborts),
		cmocka_unit_test(no_fault_has_no_syndrome),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
