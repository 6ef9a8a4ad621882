/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target: the walk of a guest's stage 2, and AT instructions through both stages. Registers,
 * the descriptors that a walk meets (each taken from the input when it is first loaded), and what
 * another agent does to them meanwhile come from the input.
 */
#include <pt/guest_at.h>

#include "fuzz.h"

#define WALKS	 4
/* Of an AT instruction: each fetch of stage 1 is walked for, and so is the output. */
#define AT_LOADS (PT_LEVELS * (PT_LEVELS + 1) + PT_LEVELS)

struct word {
	uint64_t ipa, value;
	bool hole;
};

struct world {
	struct source *in;
	const struct pt_guest_s2 *s2;
	struct word word[WALKS * AT_LOADS];
	unsigned words, loads, swaps;
	bool changing; /* another agent changes what was loaded */
	bool raced;
	bool at;		/* an AT instruction: tables of two stages */
	uint64_t lowest, bytes; /* where the next load has to be */
};

static uint64_t host_order(const struct world *w, uint64_t value)
{
	return w->s2->big_endian ? __builtin_bswap64(value) : value;
}

static struct word *find(struct world *w, uint64_t ipa)
{
	struct word *word = w->word;

	while (word < w->word + w->words && word->ipa != ipa)
		word++;
	if (word == w->word + w->words) {
		uint8_t kind = take(w->in);

		CHECK(w->words < sizeof(w->word) / sizeof(w->word[0]));
		*word = (struct word){ipa, take_number(w->in, 8), (kind & 15) == 15};
		/* Mostly tables and leaves, so that walks go far. */
		if (kind & 16)
			word->value = host_order(w, host_order(w, word->value) | 3 | 1 << 10);
		w->words++;
	}
	return word;
}

/* The address bits of a table descriptor, which the next load may not leave. */
static uint64_t next_table(const struct world *w, uint64_t e)
{
	const struct pt_geometry *g = &w->s2->geo;
	uint64_t low =
		e & ((UINT64_C(1) << (g->ds ? 50 : 48)) - 1) & -(UINT64_C(1) << g->granule_shift);

	if (g->ds)
		return low | (e >> 8 & 3) << 50;
	return g->lpa ? low | (e >> 12 & 15) << 48 : low;
}

static enum pt_outcome load(void *arg, struct pt_ipa ipa, uint64_t *value)
{
	struct world *w = arg;
	struct word *word = find(w, ipa.v);

	CHECK(ipa.v % 8 == 0 && ipa.v >> 52 == 0);
	CHECK(++w->loads <= (w->at ? AT_LOADS : PT_LEVELS));
	if (!w->at) {
		CHECK(ipa.v >> w->s2->pa_bits == 0);
		CHECK(ipa.v >= w->lowest && ipa.v - w->lowest < w->bytes);
	}
	if (word->hole)
		return PT_NO_SLOT;
	*value = word->value;
	w->lowest = next_table(w, host_order(w, *value));
	w->bytes = UINT64_C(1) << w->s2->geo.granule_shift;
	if (w->changing && take(w->in) & 1)
		word->value ^= UINT64_C(1) << (take(w->in) & 63);
	return PT_OK;
}

static enum pt_outcome swap(void *arg, struct pt_ipa ipa, uint64_t *value, uint64_t to)
{
	static const enum pt_outcome refusals[4] = {PT_OK, PT_OK, PT_READ_ONLY, PT_NO_SLOT};
	struct world *w = arg;
	struct word *word = find(w, ipa.v);
	enum pt_outcome refusal = w->changing ? refusals[take(w->in) & 3] : PT_OK;

	CHECK(++w->swaps == 1);
	CHECK(!word->hole);
	/* Access flag and dirty state, and nothing else. */
	CHECK(((*value ^ to) & ~host_order(w, 1 << 10 | 1 << 7)) == 0);
	if (refusal != PT_OK)
		return refusal;
	w->raced = word->value != *value;
	*value = word->value;
	if (w->raced)
		return PT_RACED;
	word->value = to;
	return PT_OK;
}

static void begin(struct world *w)
{
	w->loads = 0;
	w->swaps = 0;
	w->raced = false;
	w->lowest = w->s2->base.v;
	w->bytes = w->s2->geo.start_bytes;
}

static bool known_status(const struct pt_guest_fault *f)
{
	switch (f->fsc) {
	case 0x13: /* external abort, address size, translation at level -1 */
	case 0x29:
	case 0x2b: return f->level == -1;
	case 0x31: return f->level >= 0 && f->level <= 3;
	default:
		return f->level == (f->fsc & 3) && ((f->fsc & ~3) == 0x14 || (f->fsc & ~3) <= 0x0c);
	}
}

static void check_leaf(const struct world *w, const struct pt_guest_leaf *leaf)
{
	unsigned bits = leaf->shift > w->s2->pa_bits ? leaf->shift : w->s2->pa_bits;

	CHECK(leaf->out.v >> bits == 0);
	CHECK(leaf->level >= w->s2->geo.start_level && leaf->level <= 3);
	CHECK(leaf->shift >= w->s2->geo.granule_shift && leaf->group_shift >= leaf->shift);
	CHECK((leaf->prot & ~(PT_PROT_RWX | PT_PROT_MEM_MASK | PT_PROT_SW)) == 0);
	CHECK(leaf->memattr < 16 && leaf->sh < 4);
}

/* Field by field: what stands between them is anything. */
static bool same_leaf(const struct pt_guest_leaf *a, const struct pt_guest_leaf *b)
{
	return a->out.v == b->out.v && a->entry == b->entry && a->prot == b->prot &&
	       a->memattr == b->memattr && a->sh == b->sh && a->level == b->level &&
	       a->shift == b->shift && a->group_shift == b->group_shift && a->dirtied == b->dirtied;
}

static bool same_fault(const struct pt_guest_fault *a, const struct pt_guest_fault *b)
{
	return a->fsc == b->fsc && a->level == b->level && a->table.v == b->table.v;
}

/* One access: explained, made with nobody else there, and made again while others change things. */
static void access_once(struct world *w, const struct pt_guest_memory *memory)
{
	struct pt_ipa ipa = pt_ipa(take_number(w->in, 7));
	uint8_t how = take(w->in);
	enum pt_access access = (enum pt_access)(1 + (how & 3));
	bool el0 = how & 4;
	struct pt_guest_leaf leaf[2] = {0};
	struct pt_guest_fault fault[2] = {0};
	struct pt_guest_step step[PT_LEVELS];
	enum pt_outcome outcome[2];

	w->changing = false;
	begin(w);
	CHECK(pt_guest_explain(memory, w->s2, ipa, access, el0, step, &outcome[0], &leaf[0],
			       &fault[0]) <= PT_LEVELS);
	CHECK(w->swaps == 0);
	begin(w);
	outcome[1] = pt_guest_walk(memory, w->s2, ipa, access, el0, &leaf[1], &fault[1]);
	CHECK(outcome[0] == outcome[1] && outcome[0] != PT_RACED);
	CHECK(same_leaf(&leaf[0], &leaf[1]));
	CHECK(same_fault(&fault[0], &fault[1]));
	CHECK(leaf[1].dirtied == (w->swaps == 1));
	w->changing = true;
	begin(w);
	outcome[0] = pt_guest_walk(memory, w->s2, ipa, access, el0, &leaf[0], &fault[0]);
	CHECK((outcome[0] == PT_RACED) == w->raced);
	for (int i = 0; i < 2; i++)
		if (outcome[i] == PT_OK)
			check_leaf(w, &leaf[i]);
		else
			CHECK(outcome[i] == PT_RACED || known_status(&fault[i]));
}

static void check_par(const struct pt_guest_at_regs *regs, uint64_t par)
{
	const uint64_t stage2 = 1 << 9, walk = 1 << 8;
	struct pt_guest_fault f = {.fsc = (uint8_t)(par >> 1 & 0x3f)};

	CHECK(par >> 11 & 1);
	if (!(par & 1)) {
		CHECK(!(par & 0x67e) && !(par >> 52 & 15) && (par >> 7 & 3) != 1);
		return;
	}
	f.level = f.fsc == 0x29 || f.fsc == 0x2b ? -1 : f.fsc & 3;
	/* An external abort is no result. */
	CHECK(known_status(&f) && (f.fsc & ~3) != 0x14 && f.fsc != 0x31);
	CHECK(par >> 12 == 0 && !(par & 0x480));
	CHECK(!(par & walk) || par & stage2);
	CHECK(!(par & stage2) || regs->hcr & (1 | 1 << 12));
}

/* An AT instruction, made twice with nobody else there, and once more. */
static void at_once(struct world *w, const struct pt_guest_memory *memory)
{
	uint8_t sctlr = take(w->in), hcr = take(w->in);
	struct pt_guest_at_regs regs = {
		.sctlr = (sctlr & 5) | (uint64_t)(sctlr >> 3 & 1) << 25 |
			 (uint64_t)(sctlr >> 4 & 1) << 57,
		.tcr = take_number(w->in, 8),
		.ttbr = {take_number(w->in, 7), take_number(w->in, 7)},
		.mair = take_number(w->in, 8),
		.hcr = (hcr & 5) | (uint64_t)(hcr >> 3 & 1) << 12 | (uint64_t)(hcr >> 4 & 1) << 32,
		.pan = hcr & 0x40,
		.pa_bits = w->s2->broken ? 48 : w->s2->geo.pa_bits,
	};
	enum pt_guest_at_op op = (enum pt_guest_at_op)(take(w->in) % PT_AT_OPS);
	uint64_t va = take_number(w->in, 8);
	struct pt_guest_at_result result[3] = {0};
	enum pt_outcome outcome[3];

	w->at = true;
	for (int i = 0; i < 3; i++) {
		w->changing = i == 2;
		w->loads = 0;
		outcome[i] = pt_guest_at(memory, w->s2, &regs, op, va, &result[i]);
		CHECK(outcome[i] == PT_OK || outcome[i] == PT_DENIED);
		if (outcome[i] == PT_OK)
			check_par(&regs, result[i].par);
		else
			CHECK(result[i].esr >> 27 == 0x24 >> 1 && result[i].far == va);
	}
	CHECK(outcome[0] == outcome[1] && !memcmp(&result[0], &result[1], sizeof(result[0])));
	CHECK(w->swaps == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	static const uint8_t sizes[8] = {32, 36, 40, 42, 44, 48, 52, 52};
	struct source in = source_of(data, length);
	struct pt_guest_regs regs = {.vtcr = take_number(&in, 6), .vttbr = take_number(&in, 8)};
	uint8_t has = take(&in);
	struct pt_guest_s2 s2;
	struct world w = {.in = &in, .s2 = &s2};
	struct pt_guest_memory memory = {.load = load, .swap = swap, .arg = &w};
	enum pt_outcome outcome;

	regs.pa_bits = sizes[has & 7];
	regs.attrs = has >> 3 & (PT_ATTR_FWB | PT_ATTR_XNX);
	regs.sctlr = (uint64_t)(has >> 5 & 1) << 25;
	regs.hcr = (uint64_t)(has >> 6 & 1) << 46;
	outcome = pt_guest_s2_decode(&s2, &regs);
	CHECK(outcome == PT_OK || outcome == PT_UNSUPPORTED);
	if (outcome != PT_OK)
		return 0;
	for (int i = 0; i < WALKS && more(&in); i++)
		if (has & 0x80)
			at_once(&w, &memory);
		else
			access_once(&w, &memory);
	return 0;
}
