/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory types of a shadow's leaves, as the CPU has them (AT), beside what each stage of
 * translation does to what the one before it says: a guest hypervisor's tables with HCR_EL2.FWB and
 * without, over canonical pages of each type. */
#include "nested.h"

/* Least is strictest; the first four as MemAttr has them. */
enum type { NGNRNE, NGNRE, NGRE, GRE, NC, WB };
#define NC_ATTR	     5
#define WB_ATTR	     0xf
#define WB_ATTR_FWB  6
#define S1_ATTR_FWB  7
#define GUESTS_TYPES 5u
#define CANONICAL    3u /* enum pt_memtype */

static unsigned stricter(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Arm ARM D8.6.5 and D8.6.6: what a stage 2 makes of `type`. */
static unsigned stage_2(unsigned type, unsigned memattr, bool fwb)
{
	if (fwb && memattr == WB_ATTR_FWB)
		return WB;
	if (memattr == (fwb ? S1_ATTR_FWB : WB_ATTR))
		return type;
	return stricter(type, memattr == NC_ATTR ? NC : memattr);
}

/* PAR_EL1.ATTR, and no fault. */
static unsigned type_of(uint64_t par)
{
	unsigned attr = (unsigned)(par >> 56);

	assert_int_equal(par & 1, 0);
	if (attr >> 4)
		assert_true(attr == 0xff || attr == 0x44);
	return attr == 0xff ? WB : attr == 0x44 ? NC : attr >> 2;
}

struct page {
	unsigned number, host, guest; /* the last two: MemAttr */
	bool forced;		      /* the guest's tables are read with FWB */
};

static struct page page_of(unsigned i, bool fwb)
{
	static const uint8_t guest[2][GUESTS_TYPES] = {
		{WB_ATTR, NC_ATTR, NGNRNE, NGNRE, GRE},
		{WB_ATTR_FWB, S1_ATTR_FWB, NC_ATTR, NGNRNE, GRE}};
	static const uint8_t host[CANONICAL] = {WB_ATTR, NC_ATTR, NGNRE};
	struct page p = {.number = i + fwb * GUESTS_TYPES * CANONICAL,
			 .forced = fwb && host_has_fwb()};

	p.host = host[i / GUESTS_TYPES];
	if (host_has_fwb() && p.host == WB_ATTR)
		p.host = WB_ATTR_FWB;
	p.guest = guest[p.forced][i % GUESTS_TYPES];
	return p;
}

static unsigned both(const struct page *p, unsigned stage_1)
{
	return stage_2(stage_2(stage_1, p->guest, p->forced), p->host, host_has_fwb());
}

static void map(unsigned i, const struct page *p)
{
	uint64_t at = OUTSIDE + p->number * PAGE, frame = FRAMES + nest.frame[p->number] * PAGE;

	EXPECT(PT_UNMAPPED, CALL(UNMAP, nest.context, at, PAGE));
	EXPECT(PT_MAPPED, CALL(MAP, nest.context, at, PAGE, frame, PT_PROT(RW, i / GUESTS_TYPES)));
	nest_guest_maps_as(p->number, p->number, S2_R | S2_W, p->guest);
}

/* Of a Normal stage 1 it is what both stages make of it. One of Device stays Device (of which kind
 * QEMU takes from stage 2 alone), but that canonical memory is write-back by FWB, whatever anybody
 * says. */
static void judge(const struct page *p)
{
	uint64_t party = LOOK_SHADOW | (uint64_t)nest.slot << 16 | (nest.context & 0xff), value;
	struct answer a;

	assert_true(nest_loads(NDATA + p->number * PAGE, &value));
	assert_int_equal(value, *host_memory(FRAMES + nest.frame[p->number] * PAGE));
	a = IMAGE_3(CALL_TYPE, party, NDATA + p->number * PAGE, 0);
	assert_int_equal(type_of(a.x[0]), both(p, WB));
	if (p->host == WB_ATTR_FWB)
		assert_int_equal(type_of((uint64_t)a.code), WB);
	else
		assert_in_range(type_of((uint64_t)a.code), NGNRNE, GRE);
	nest.compared += 2;
}

/* A guest hypervisor that turns FWB has another shadow, of the same VMID; where the CPU has no FWB
 * the bit says nothing. */
static void pages_have_their_types(bool fwb)
{
	bool another = fwb && host_has_fwb();
	uint64_t before;

	nest_orders()->hcr = HCR_VM | (fwb ? HCR_FWB : 0);
	nest.slot = another;
	for (unsigned i = 0; i < GUESTS_TYPES * CANONICAL; i++) {
		struct page p = page_of(i, fwb);

		map(i, &p);
	}
	before = nest_aborts();
	for (unsigned i = 0; i < GUESTS_TYPES * CANONICAL; i++) {
		struct page p = page_of(i, fwb);

		judge(&p);
	}
	/* And its code. */
	assert_int_equal(nest_aborts() - before, GUESTS_TYPES * CANONICAL + (another || !fwb));
}

static void nested_leaves_have_the_type_of_both(void **state)
{
	(void)state;
	nest_open();
	pages_have_their_types(false);
	pages_have_their_types(true);
	nest_tlbi(VMALLS12E1IS, 0, 2 * GUESTS_TYPES * CANONICAL + 1 + host_has_fwb());
	nest_close();
}

const struct CMUnitTest host_types_tests[] = {
	cmocka_unit_test(nested_leaves_have_the_type_of_both),
};
const size_t host_types_count = sizeof(host_types_tests) / sizeof(host_types_tests[0]);
