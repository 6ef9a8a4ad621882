/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which events are points where another agent may go on: those at which an agent's can conflict
 * with another's. What the agents do at each location is collected over all runs of a case; a run
 * that finds something new makes the search begin again.
 *
 * A word is shared when two agents touched it and one wrote there. To make zero what is zero
 * writes nothing. So a page's words that nobody ever changes are not shared, though an agent zeroes
 * the page as it gives it back; but who reads one after that has failed (A1), whichever it is. Of
 * reads of such words that follow each other with nothing between, the first stands for all: what
 * fails a later one fails the first, if the others go on before that one instead.
 */
#include "iv.h"
#include "world.h"

#include <string.h>

/* ---- words, a byte for each four of memory ---- */

#define SHADOW(bytes) (((bytes) + 3) / 4)
static uint8_t shadow_world[SHADOW(sizeof(iv_w))], shadow_tables[SHADOW(sizeof(iv_tables))];

#define SHADOW_AGENTS  0x07
#define SHADOW_WRITTEN 0x08
#define SHADOW_SHARED  0x10

/* ---- pages, an agent a bit ---- */

static struct {
	uint8_t reads, gives_back, shared;
} pages[IV_PAGES];

static unsigned page_of(const volatile void *at)
{
	return (unsigned)(((uintptr_t)at - (uintptr_t)iv_tables) >> PT_POOL_UNIT_SHIFT);
}

void iv_shared_forget(void)
{
	memset(shadow_world, 0, sizeof(shadow_world));
	memset(shadow_tables, 0, sizeof(shadow_tables));
	memset(pages, 0, sizeof(pages));
}

static uint8_t *shadow_of(const volatile void *at)
{
	if (iv_in_tables(at))
		return &shadow_tables[((uintptr_t)at - (uintptr_t)iv_tables) / 4];
	if (iv_in_world(at))
		return &shadow_world[((uintptr_t)at - (uintptr_t)&iv_w) / 4];
	return NULL;
}

bool iv_shared_word(const volatile void *at)
{
	const uint8_t *s = shadow_of(at);

	return !at || (s && *s & SHADOW_SHARED);
}

static bool several(unsigned agents)
{
	return agents & (agents - 1);
}

static bool note_word(const volatile void *at, bool writes)
{
	uint8_t *s = shadow_of(at);

	if (!s || *s & SHADOW_SHARED)
		return false;
	*s |= (uint8_t)(1u << iv_self() | (writes ? SHADOW_WRITTEN : 0));
	if (!(*s & SHADOW_WRITTEN) || !several(*s & SHADOW_AGENTS))
		return false;
	*s |= SHADOW_SHARED;
	return true;
}

static bool writes(enum iv_event kind, const volatile void *at)
{
	if (kind == IV_EVENT_ZERO)
		return *(const volatile uint64_t *)at || iv_memory_pending(at);
	return kind != IV_EVENT_LOAD;
}

static bool note_page(enum iv_event kind, unsigned page, bool whole)
{
	uint8_t self = (uint8_t)(1u << iv_self()), before = pages[page].shared;

	if (kind == IV_EVENT_LOAD)
		pages[page].reads |= self;
	if (kind == IV_EVENT_ZERO && whole)
		pages[page].gives_back |= self;
	for (unsigned f = 0; f < IV_FIBRES; f++)
		if (pages[page].reads >> f & 1 && pages[page].gives_back & ~(1u << f))
			pages[page].shared |= (uint8_t)(1u << f);
	return pages[page].shared != before;
}

bool iv_shared_note(enum iv_event kind, const volatile void *at, unsigned bytes)
{
	bool new = false;

	for (unsigned i = 0; at && i < bytes; i += 8) {
		const volatile char *word = (const volatile char *)at + i;

		new |= note_word(word, writes(kind, word));
	}
	if (at && iv_in_tables(at))
		new |= note_page(kind, page_of(at), bytes >> PT_POOL_UNIT_SHIFT);
	return new;
}

unsigned iv_shared_page(enum iv_event kind, const volatile void *at)
{
	if (kind != IV_EVENT_LOAD || !at || !iv_in_tables(at))
		return 0;
	return pages[page_of(at)].shared >> iv_self() & 1 ? page_of(at) + 1 : 0;
}
