/* SPDX-License-Identifier: BSD-2-Clause */
/* Each pair of granules, of a guest hypervisor's tables and the host's, and each pair of leaf sizes
 * that both have here: what the CPU walks in the shadow is the composition, in leaves of the size
 * that both allow, which go as a whole with either's. */
#include "nested.h"

#define KIB64	     UINT64_C(0x10000)
#define TABLES	     UINT64_C(0x200000) /* IPA of the guest hypervisor's tables */
#define TABLES_PA    (MEM + 2 * BLOCK)
#define TABLES_BYTES (8 * KIB64)

/* Nested, canonical and of the host: as large a block as any starts here, but for the host, where
 * it is one of 32 MiB. What is touched begins at FROM in each, in what there is for guests. */
#define NESTED		    UINT64_C(0x80000000)
#define CANONICAL	    UINT64_C(0x40000000)
#define WINDOW		    UINT64_C(0x5a000000)
#define FROM		    (FRAMES - WINDOW)
#define BYTES		    BLOCK
/* PS 40 bits; TG0 and SL0: 4K from level 1, 64K from level 2, and 16K from level 2 by many tables
 * for a context, whose PAs have no more bits, and from level 1 for the guest's. */
#define VTCR(bits, granule) (UINT64_C(0x80020000) | (64 - (bits)) | (granule))
#define HOST_VTCR(shift)    VTCR(40, (shift) == 12 ? 0x40 : (shift) == 14 ? 0x8040 : 0x4040)
#define GUEST_VTCR(shift)   VTCR(39, (shift) == 12 ? 0x40 : (shift) == 14 ? 0x8080 : 0x4040)

/* Two 64K pages of each 256 KiB, three 4K pages in each: one more in the first's 16K, and one in
 * another. */
#define PLACES 48
_Static_assert(PLACES / 6 * 4 * KIB64 == BYTES, "all of it");

static struct {
	unsigned guest, host; /* granules */
	unsigned level;	      /* of the guest's leaves */
	uint64_t guest_leaf, host_leaf, leaf;
} pair;

static uint64_t place(unsigned i)
{
	static const uint64_t in[] = {0, 0x3000, 0x9000};

	return FROM + i / 6 * 4 * KIB64 + i / 3 % 2 * KIB64 + in[i % 3];
}

/* Where pages can be, they change places, by 64K or twice as much, so that none is where it was. */
static uint64_t guests(uint64_t at)
{
	return pair.level == 3 ? at ^ KIB64 : at;
}

static uint64_t hosts(uint64_t at)
{
	return pair.host_leaf <= KIB64 ? at ^ 2 * KIB64 : at;
}

static uint64_t span(unsigned shift, unsigned level)
{
	return UINT64_C(1) << (shift + (3 - level) * (shift - 3));
}

/* The largest that tables of the smaller granule have. */
static uint64_t leaf_of_both(void)
{
	unsigned shift = pair.guest < pair.host ? pair.guest : pair.host;
	uint64_t least = pair.guest_leaf < pair.host_leaf ? pair.guest_leaf : pair.host_leaf;

	for (unsigned level = shift == 12 ? 1 : 2; level < 3; level++)
		if (span(shift, level) <= least)
			return span(shift, level);
	return span(shift, 3);
}

/* Of the places' leaves, each once, that lie in [from, from + bytes) in `of` it. */
static uint64_t leaves(uint64_t from, uint64_t bytes)
{
	uint64_t n = 0, last = UINT64_MAX;

	for (unsigned i = 0; i < PLACES; i++) {
		uint64_t leaf = place(i) / pair.leaf;

		if (place(i) - from < bytes && leaf != last)
			n++;
		last = leaf;
	}
	return n;
}

/* ---- its tables, and the host's ---- */

static void host_map(uint64_t ipa, uint64_t size, uint64_t pa, uint64_t prot)
{
	EXPECT(PT_MAPPED, host_finish(CALL(MAP, nest.context, ipa, size, pa, prot)));
}

static void host_maps(void)
{
	uint64_t pages = RW | (uint64_t)PT_MAP_FORCE_PAGES << 32;

	if (pair.host_leaf > BYTES)
		host_map(CANONICAL, pair.host_leaf, WINDOW, RW);
	else if (pair.host_leaf == BYTES)
		host_map(CANONICAL + FROM, BYTES, FRAMES, RW);
	else
		for (uint64_t at = FROM; at < FROM + BYTES; at += KIB64)
			host_map(CANONICAL + at, KIB64, WINDOW + hosts(at), pages);
}

static void guest_maps(uint64_t at, uint64_t rights)
{
	at &= ~(pair.guest_leaf - 1);
	nest_does(HYP_SET, NESTED + at, pair.level,
		  LEAF(CANONICAL + guests(at), rights, pair.level));
}

static void give_memory(void)
{
	uint64_t code = MEM + KIB64;

	memset(host_memory(MEM), 0, KIB64);
	memset(host_memory(TABLES_PA), 0, TABLES_BYTES);
	memcpy(host_memory(code + CODE), guest_code, PAGE);
	memcpy(host_memory(code + HYP_CODE),
	       (const void *)(uintptr_t)(nest.virtual ? guest_virtual : guest_hyp), PAGE);
	memcpy(host_memory(code + HYP_CODE + PAGE), (const void *)(uintptr_t)guest_virtual_enter,
	       PAGE);
	host_map(0, HYP_CODE + KIB64, code, RX);
	host_map(HYP_DATA, KIB64, MEM, RW);
	host_map(TABLES, TABLES_BYTES, TABLES_PA, RW);
}

static void begin_tables(void)
{
	volatile struct hyp_orders *o = nest_orders();
	uint64_t page = CODE & ~(span(pair.guest, 3) - 1);

	o->vtcr = GUEST_VTCR(pair.guest);
	o->shift = pair.guest;
	o->start = pair.guest == 16 ? 2 : 1;
	o->root = TABLES;
	o->next = TABLES + span(pair.guest, 3);
	o->vttbr = UINT64_C(7) << 48 | TABLES;
	nest_does(HYP_SET, page, 3, LEAF(page, S2_R, 3));
	for (unsigned i = 0; i < PLACES; i++)
		guest_maps(place(i), S2_R | S2_W);
}

static void open_pair(void)
{
	struct answer a;

	nest_begin();
	a = CALL(CREATE, HOST_VTCR(pair.host), UINT64_MAX, UINT64_MAX);
	EXPECT(PT_OK, a);
	nest.context = a.x[0];
	pair.leaf = leaf_of_both();
	give_memory();
	nest.v = nest_begin_vcpu(0);
	host_maps();
	begin_tables();
	for (uint64_t at = FRAMES; at < FRAMES + BYTES; at += PAGE)
		*host_memory(at) = ~at;
}

/* ---- what there is ---- */

static uint64_t frame(uint64_t at)
{
	return WINDOW + hosts(guests(at));
}

static void loads_all(void)
{
	uint64_t value;

	for (unsigned i = 0; i < PLACES; i++) {
		assert_true(nest_loads(NESTED + place(i), &value));
		assert_int_equal(value, ~frame(place(i)));
	}
}

static bool touched(uint64_t at)
{
	for (unsigned i = 0; i < PLACES; i++)
		if (place(i) / pair.leaf == at / pair.leaf)
			return true;
	return false;
}

/* Of each page of 4K that was in a leaf, but for leaves of which [gone, gone + bytes) has some. */
static void judge(uint64_t gone, uint64_t bytes)
{
	for (uint64_t from = FROM; from < FROM + BYTES; from += 64 * PAGE) {
		struct answer a = nest_look(NESTED + from, 64);
		uint64_t mask = 0, sum = 0;

		for (uint64_t i = 0; i < 64; i++) {
			uint64_t at = from + i * PAGE, leaf = at & ~(pair.leaf - 1);

			if (!touched(at) || (gone < leaf + pair.leaf && leaf < gone + bytes))
				continue;
			mask |= UINT64_C(1) << i;
			sum += (i + 1) * frame(at);
		}
		assert_int_equal((uint64_t)a.code, mask);
		assert_int_equal(a.x[0], mask);
		assert_int_equal(a.x[1], sum);
	}
}

/* Where the canonical page that is `host` granule large and holds `at` is, for its guest. */
static void host_unmaps(uint64_t at)
{
	uint64_t size = span(pair.host, 3), page = guests(at) & ~(size - 1);

	EXPECT(PT_UNMAPPED, host_finish(CALL(UNMAP, nest.context, CANONICAL + page, size)));
	judge(guests(page), size);
	nest_order(HYP_RUN, nest_code_at(guest_load), NESTED + at, 0);
	nest_is_hosts(CANONICAL + guests(at), PT_NO_SLOT);
	host_map(CANONICAL + page, size, WINDOW + hosts(page), RW);
	assert_int_equal(nest_go(), PT_EL2_VCPU_EXIT);
	assert_int_equal(nest_orders()->value, ~frame(at));
}

/* What the guest's tables refuse has their level, whatever the host's granule is; a TLBI takes what
 * was made of a leaf, and no more. */
static void guest_refuses(uint64_t at)
{
	uint64_t hole = NESTED + at + (pair.level == 3 ? 2 * KIB64 : pair.guest_leaf), value;

	guest_maps(at, S2_R);
	nest_tlbi(IPAS2E1IS, NESTED + at, leaves(at & ~(pair.guest_leaf - 1), pair.guest_leaf));
	assert_false(nest_stores(NESTED + at, 1));
	nest_is_abort(NESTED + at, FSC_PERMISSION(pair.level));
	assert_true(nest_loads(NESTED + at, &value));
	assert_int_equal(value, ~frame(at));
	assert_false(nest_loads(hole, &value));
	nest_is_abort(hole, FSC_TRANSLATION(pair.level));
	guest_maps(at, S2_R | S2_W);
	nest_tlbi(IPAS2E1IS, NESTED + at, 1);
}

static void composes(void)
{
	uint64_t before;

	open_pair();
	before = nest_aborts();
	loads_all();
	assert_int_equal(nest_aborts() - before, leaves(0, UINT64_MAX) + 1); /* and its code */
	judge(0, 0);
	guest_refuses(place(0));
	loads_all();
	host_unmaps(place(PLACES - 1));
	nest_close();
}

/* ID_AA64MMFR0_EL1.TGran4, TGran64, TGran16. */
static bool has(unsigned shift)
{
	uint64_t mmfr0;

	__asm__("mrs %0, id_aa64mmfr0_el1" : "=r"(mmfr0));
	if (shift == 14)
		return mmfr0 >> 20 & 0xf;
	return (mmfr0 >> (shift == 12 ? 28 : 24) & 0xf) != 0xf;
}

/* Leaves of the host's: pages, and 2 MiB or 32 MiB; 512 MiB it has not. */
static void guests_leaves(unsigned host_level)
{
	pair.host_leaf = span(pair.host, host_level);
	for (pair.level = pair.guest == 12 ? 1 : 2; pair.level <= 3; pair.level++) {
		pair.guest_leaf = span(pair.guest, pair.level);
		composes();
	}
}

static void all_of_host(unsigned host)
{
	if (!has(host))
		skip();
	pair.host = host;
	for (pair.guest = 12; pair.guest <= 16; pair.guest += 2) {
		/* Of the guest's tables the shadow has none but its own. */
		if (!has(pair.guest < host ? pair.guest : host))
			continue;
		guests_leaves(3);
		if (host < 16)
			guests_leaves(2);
	}
}

static void nested_granules_compose_over_4k(void **state)
{
	(void)state;
	all_of_host(12);
}

static void nested_granules_compose_over_16k(void **state)
{
	(void)state;
	all_of_host(14);
}

static void nested_granules_compose_over_64k(void **state)
{
	(void)state;
	all_of_host(16);
}

const struct CMUnitTest host_granules_tests[] = {
	cmocka_unit_test(nested_granules_compose_over_4k),
	cmocka_unit_test(nested_granules_compose_over_16k),
	cmocka_unit_test(nested_granules_compose_over_64k),
};
const size_t host_granules_count = sizeof(host_granules_tests) / sizeof(host_granules_tests[0]);
