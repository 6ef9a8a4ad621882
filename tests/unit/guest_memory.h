/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest memory that costs nothing: each word is a function of its address and of a seed until it is
 * written, so that a walk meets new tables wherever it goes.
 */
#ifndef TESTS_UNIT_GUEST_MEMORY_H
#define TESTS_UNIT_GUEST_MEMORY_H

#include <pt/guest_walk.h>

#include <stdlib.h>

struct guest_word {
	uint64_t ipa, value;
};

struct guest_memory {
	struct guest_word word[64]; /* written, or put there */
	unsigned words, loads, swaps;
	/* The word at an address that nobody wrote; false: a hole. NULL: all is holes. */
	bool (*untouched)(const struct guest_memory *m, uint64_t ipa, uint64_t *value);
	const void *arg;
	bool big_endian;	/* words stand in memory the other way round */
	enum pt_outcome refuse; /* of swaps, unless PT_OK */
	uint64_t race;		/* XORed into the word at the next swap, as another agent would */
};

static inline struct guest_word *guest_find(struct guest_memory *m, uint64_t ipa)
{
	for (unsigned i = 0; i < m->words; i++)
		if (m->word[i].ipa == ipa)
			return &m->word[i];
	return NULL;
}

/* Values are descriptors, in the host's byte order. */
static inline void guest_put(struct guest_memory *m, uint64_t ipa, uint64_t value)
{
	struct guest_word *w = guest_find(m, ipa);

	if (!w) {
		if (m->words == sizeof(m->word) / sizeof(m->word[0]))
			abort();
		w = &m->word[m->words++];
	}
	*w = (struct guest_word){ipa, value};
}

static inline bool guest_get(struct guest_memory *m, uint64_t ipa, uint64_t *value)
{
	const struct guest_word *w = guest_find(m, ipa);

	if (!w)
		return m->untouched && m->untouched(m, ipa, value);
	*value = w->value;
	return true;
}

static inline uint64_t guest_order(const struct guest_memory *m, uint64_t word)
{
	return m->big_endian ? __builtin_bswap64(word) : word;
}

static inline enum pt_outcome guest_load(void *arg, struct pt_ipa ipa, uint64_t *word)
{
	struct guest_memory *m = arg;
	uint64_t value;

	m->loads++;
	if (!guest_get(m, ipa.v, &value))
		return PT_NO_SLOT;
	*word = guest_order(m, value);
	return PT_OK;
}

static inline enum pt_outcome guest_swap(void *arg, struct pt_ipa ipa, uint64_t *word, uint64_t to)
{
	struct guest_memory *m = arg;
	uint64_t value;

	m->swaps++;
	if (m->refuse != PT_OK)
		return m->refuse;
	if (!guest_get(m, ipa.v, &value))
		return PT_NO_SLOT;
	if (m->race)
		guest_put(m, ipa.v, value ^= m->race);
	m->race = 0;
	if (guest_order(m, value) != *word) {
		*word = guest_order(m, value);
		return PT_RACED;
	}
	guest_put(m, ipa.v, guest_order(m, to));
	return PT_OK;
}

static inline struct pt_guest_memory guest_functions(struct guest_memory *m)
{
	return (struct pt_guest_memory){.load = guest_load, .swap = guest_swap, .arg = m};
}

/* Tables of any format: mostly tables and leaves, and one hole in 32. */
struct random_tables {
	uint64_t seed;
	unsigned oasize;
	bool ds, lpa;
};

static inline uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static inline uint64_t draw(uint64_t *state)
{
	*state += UINT64_C(0x9e3779b97f4a7c15);
	return mix(*state);
}

/* An output address in the format of the tables, below the output size but once in sixteen. */
static inline uint64_t random_oa(const struct random_tables *t, uint64_t *state)
{
	uint64_t r = draw(state), oa = draw(state);

	if (r & 15)
		oa &= (UINT64_C(1) << t->oasize) - 1;
	if (t->ds)
		return (oa & ((UINT64_C(1) << 50) - 1) & ~UINT64_C(0xfff)) | (oa >> 50 & 3) << 8;
	oa &= (UINT64_C(1) << 52) - 1;
	if (t->lpa)
		return (oa & ((UINT64_C(1) << 48) - 1) & ~UINT64_C(0xffff)) | oa >> 48 << 12;
	return (oa & ((UINT64_C(1) << 48) - 1) & ~UINT64_C(0xfff)) | (r >> 8 & 3) << 8;
}

static inline bool random_word(const struct guest_memory *m, uint64_t ipa, uint64_t *value)
{
	const struct random_tables *t = m->arg;
	uint64_t state = mix(t->seed ^ ipa), r = draw(&state);
	uint64_t attrs = draw(&state) & (UINT64_C(0xfff) << 51 | 0xfc);

	*value = attrs | random_oa(t, &state) | (r & 3 ? UINT64_C(1) << 10 : 0);
	r >>= 2;
	if (r & 3)
		*value |= 3 << 6; /* read and write */
	r >>= 2;
	*value |= r & 15 ? (r & 15) < 12 ? 3 : 1 : r >> 4 & 3;
	return r >> 8 & 31;
}

#endif
