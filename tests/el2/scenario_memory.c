/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenarios at EL2: what was written to the memory of machines, of which the board has none. */
#include "scenario.h"

#define WORDS (1u << 17)

/* A machine's memory: words that were written, by machine and address. */
struct word {
	const struct sc_machine *machine;
	uint64_t address, value;
};
static struct word words[WORDS];
static bool written;

void sc_forget_memory(void)
{
	if (written)
		memset(words, 0, sizeof(words));
	written = false;
}

/* The entry of the word, or the free one that it would take. */
static struct word *word_at(const struct sc_machine *m, uint64_t address)
{
	uint64_t at = (address >> 3) * UINT64_C(0x9e3779b97f4a7c15) >> 40;

	for (uint32_t i = 0; i < WORDS; i++) {
		struct word *w = &words[(at + i) % WORDS];

		if (!w->machine || (w->machine == m && w->address == address))
			return w;
	}
	sc_bail("too many words were written", WORDS);
}

void sc_write_byte(const struct sc_machine *m, uint64_t pa, uint64_t byte)
{
	struct word *w = word_at(m, pa & ~UINT64_C(7));
	unsigned shift = pa % 8 * 8;

	if (!w->machine && !byte)
		return;
	written = true;
	w->machine = m;
	w->address = pa & ~UINT64_C(7);
	w->value = (w->value & ~(UINT64_C(0xff) << shift)) | byte << shift;
}

void sc_wipe(const struct sc_machine *m, uint64_t pa, uint64_t size)
{
	for (uint64_t at = pa; written && at < pa + size; at += 8)
		word_at(m, at)->value = 0;
}

uint64_t sc_read_byte(const struct sc_machine *m, uint64_t pa)
{
	return word_at(m, pa & ~UINT64_C(7))->value >> pa % 8 * 8 & 0xff;
}
