/* SPDX-License-Identifier: BSD-2-Clause */
/* The states that the search has gone on from, by 64 bits of hash, and with how much left. */
#include "iv.h"

#include <stdlib.h>
#include <string.h>

/* For each number of delays left, 1 + the preemptions left with which the search has gone on. */
struct seen {
	uint64_t key;
	uint8_t left[4];
};

static struct {
	struct seen *slot;
	uint64_t mask, count;
} seen;

void iv_states_clear(void)
{
	if (!seen.slot) {
		seen.mask = (1u << 16) - 1;
		seen.slot = calloc(seen.mask + 1, sizeof(*seen.slot));
	}
	memset(seen.slot, 0, (seen.mask + 1) * sizeof(*seen.slot));
	seen.count = 0;
}

static struct seen *seen_find(uint64_t key)
{
	uint64_t i = key & seen.mask;

	while (seen.slot[i].key && seen.slot[i].key != key)
		i = (i + 1) & seen.mask;
	return &seen.slot[i];
}

static void seen_grow(void)
{
	struct seen *old = seen.slot;
	uint64_t size = seen.mask + 1;

	seen.mask = size * 2 - 1;
	seen.slot = calloc(size * 2, sizeof(*seen.slot));
	for (uint64_t i = 0; i < size; i++)
		if (old[i].key)
			*seen_find(old[i].key) = old[i];
	free(old);
}

static uint64_t key_with(uint64_t key, unsigned sleepers)
{
	return (sleepers ? iv_mix(key, sleepers) : key) | 1;
}

bool iv_states_seen(uint64_t state, unsigned sleepers, unsigned preemptions, unsigned delays)
{
	uint64_t key = key_with(state, sleepers);
	struct seen *s;

	for (unsigned z = 0; z <= sleepers; z++) {
		s = z & ~sleepers ? NULL : seen_find(key_with(state, z));
		for (unsigned d = delays; s && s->key && d < 4; d++)
			if (s->left[d] > preemptions)
				return true;
	}
	s = seen_find(key);
	if (!s->key)
		seen.count++;
	s->key = key;
	s->left[delays] = (uint8_t)(preemptions + 1);
	if (seen.count > seen.mask / 2)
		seen_grow();
	return false;
}

uint64_t iv_states_count(void)
{
	return seen.count;
}
