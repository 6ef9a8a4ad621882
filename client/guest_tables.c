/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest hypervisor's stage-2 tables, as it would write them into its memory (Arm ARM D8.3):
 * descriptors of the 48-bit format, the largest blocks that fit, start tables side by side.
 */
#include "ptd.h"

#include <string.h>

#define VALID	   UINT64_C(1)
#define TABLE	   UINT64_C(2) /* or a page, at the last level */
#define ACCESS	   (UINT64_C(1) << 10)
#define LAST_LEVEL 3
#define CONCAT	   4 /* log2 of the start tables that may stand side by side */

struct builder {
	const struct ptd_guest_tables *t;
	uint64_t *word;
	uint64_t words, used; /* words that there are, and that tables have taken */
	unsigned stride;
	int start;
	bool full; /* a table was refused: there are too few */
};

static unsigned shift_of(const struct builder *b, int level)
{
	return b->t->granule_shift + b->stride * (unsigned)(LAST_LEVEL - level);
}

/* The fewest levels that 16 start tables leave. */
static int start_level(const struct builder *b)
{
	unsigned bits = b->t->ipa_bits - b->t->granule_shift - CONCAT;

	return LAST_LEVEL + 1 - (int)((bits + b->stride - 1) / b->stride);
}

static uint64_t start_words(const struct builder *b)
{
	return UINT64_C(1) << (b->t->ipa_bits - shift_of(b, b->start));
}

/* TG0 is bits 15:14, SL0 bits 7:6; both number their choices in an order of their own. */
static uint64_t vtcr_of(const struct builder *b)
{
	uint64_t tg0 = b->t->granule_shift == 12 ? 0 : b->t->granule_shift == 14 ? 2 : 1;
	uint64_t sl0 = (uint64_t)(b->t->granule_shift == 12 ? 2 - b->start : 3 - b->start);

	return UINT64_C(1) << 31 | UINT64_C(1) << 19 /* VS */ |
	       UINT64_C(5) << 16 /* PS: 48 bits */ | tg0 << 14 | UINT64_C(3) << 12 /* SH0 */ |
	       UINT64_C(1) << 10 | UINT64_C(1) << 8 | sl0 << 6 | (64 - b->t->ipa_bits);
}

static uint64_t leaf_attributes(uint32_t prot)
{
	uint64_t memory = prot & PTD_PROT_DEVICE ? 0x1 : prot & PTD_PROT_NC ? 0x5 : 0xf;
	uint64_t share = memory == 0xf ? 3 : 2;

	return VALID | memory << 2 | (prot & PTD_PROT_R ? UINT64_C(1) << 6 : 0) |
	       (prot & PTD_PROT_W ? UINT64_C(1) << 7 : 0) | share << 8 | ACCESS |
	       (prot & PTD_PROT_PX ? 0 : UINT64_C(2) << 53);
}

/* The word where a table begins that nobody has; without room, as if there were. */
static uint64_t take_table(struct builder *b)
{
	uint64_t size = UINT64_C(1) << b->stride, at = b->used;

	b->used += size;
	if (b->used > b->words)
		b->full = true;
	else
		memset(b->word + at, 0, size * sizeof(*b->word));
	return at;
}

/* The entry of `ipa` at `level`, under tables that are made on the way; NULL: `full`, or a leaf of
 * an earlier map stands above it. */
static uint64_t *entry_of(struct builder *b, uint64_t ipa, int level)
{
	uint64_t table = 0, index = ipa >> shift_of(b, b->start);

	for (int at = b->start;; at++) {
		uint64_t *entry = b->word + table + index;

		if (at == level)
			return entry;
		if (!(*entry & VALID)) {
			table = take_table(b);
			if (b->full)
				return NULL;
			*entry = (b->t->base.v + table * sizeof(*b->word)) | VALID | TABLE;
		} else if (*entry & TABLE) {
			table = (*entry & UINT64_C(0x0000fffffffff000)) - b->t->base.v;
			table /= sizeof(*b->word);
		} else {
			return NULL;
		}
		index = ipa >> shift_of(b, at + 1) & ((UINT64_C(1) << b->stride) - 1);
	}
}

/* Blocks stand at levels 1 and 2 with 4 KiB granules, else at level 2. */
static int level_for(const struct builder *b, const struct ptd_guest_map *map, uint64_t done)
{
	int level = b->t->granule_shift == 12 ? 1 : 2;

	for (; level < LAST_LEVEL; level++) {
		uint64_t size = UINT64_C(1) << shift_of(b, level);

		if (level >= b->start && map->size - done >= size &&
		    !(((map->ipa.v + done) | (map->out.v + done)) % size))
			break;
	}
	return level;
}

static enum ptd_guest_result put_map(struct builder *b, const struct ptd_guest_map *map)
{
	for (uint64_t done = 0; done < map->size;) {
		int level = level_for(b, map, done);
		uint64_t *entry = entry_of(b, map->ipa.v + done, level);

		if (b->full)
			return PTD_GUEST_NO_ROOM;
		if (!entry || *entry & VALID)
			return PTD_GUEST_OVERLAP;
		*entry = (map->out.v + done) | leaf_attributes(map->prot) |
			 (level == LAST_LEVEL ? TABLE : 0);
		done += UINT64_C(1) << shift_of(b, level);
	}
	return PTD_GUEST_OK;
}

static bool prot_is_legal(uint32_t prot)
{
	const uint32_t x = PTD_PROT_PX | PTD_PROT_UX, types = PTD_PROT_NC | PTD_PROT_DEVICE;

	return !(prot & ~(PTD_PROT_R | PTD_PROT_W | x | types)) &&
	       prot & (PTD_PROT_R | PTD_PROT_W | x) && (prot & types) != types &&
	       (!(prot & x) || ((prot & x) == x && !(prot & types)));
}

static bool map_is_legal(const struct ptd_guest_tables *t, const struct ptd_guest_map *map)
{
	uint64_t space = UINT64_C(1) << t->ipa_bits, outs = UINT64_C(1) << 48;
	uint64_t mask = (UINT64_C(1) << t->granule_shift) - 1;

	return map->size && !((map->ipa.v | map->out.v | map->size) & mask) && map->ipa.v < space &&
	       map->size <= space - map->ipa.v && map->out.v < outs &&
	       map->size <= outs - map->out.v && prot_is_legal(map->prot);
}

static bool is_legal(const struct ptd_guest_tables *t)
{
	return (t->granule_shift == 12 || t->granule_shift == 14 || t->granule_shift == 16) &&
	       t->ipa_bits >= 32 && t->ipa_bits <= 48 && t->maps;
}

enum ptd_guest_result ptd_guest_tables_build(struct ptd_guest_tables *t, void *memory, size_t bytes)
{
	struct builder b = {.t = t, .word = memory};
	uint64_t granule, start, room;

	t->at_fault = t->count;
	if (!is_legal(t))
		return PTD_GUEST_INVALID;
	granule = UINT64_C(1) << t->granule_shift;
	b.stride = t->granule_shift - 3;
	b.start = start_level(&b);
	start = start_words(&b) * sizeof(uint64_t);
	/* Further tables stand behind the start tables, at granules. */
	b.used = (start + granule - 1) / granule * granule / sizeof(uint64_t);
	if (t->base.v >> 48 || t->base.v % granule || t->base.v % start)
		return PTD_GUEST_INVALID;
	room = (UINT64_C(1) << 48) - t->base.v; /* descriptors say no more */
	b.words = (bytes < room ? bytes : room) / sizeof(uint64_t);
	if (b.used > b.words)
		return PTD_GUEST_NO_ROOM;
	memset(memory, 0, b.used * sizeof(uint64_t));
	for (size_t i = 0; i < t->count; i++) {
		enum ptd_guest_result result =
			map_is_legal(t, &t->maps[i]) ? put_map(&b, &t->maps[i]) : PTD_GUEST_INVALID;

		if (result != PTD_GUEST_OK) {
			t->at_fault = i;
			return result;
		}
	}
	t->bytes = b.used * sizeof(uint64_t);
	t->vtcr = vtcr_of(&b);
	t->vttbr = (uint64_t)t->vmid << 48 | t->base.v;
	return PTD_GUEST_OK;
}
