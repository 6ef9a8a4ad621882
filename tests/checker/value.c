/* SPDX-License-Identifier: BSD-2-Clause */
/* The words of a program: numbers, names, slots and descriptors. */
#include "world.h"

#include <pt/hyp_desc.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool value_number(const char *word, uint64_t *value)
{
	char *end;

	*value = strtoull(word, &end, 0);
	if (end == word)
		return false;
	if (*end == 'K')
		*value <<= 10, end++;
	else if (*end == 'M')
		*value <<= 20, end++;
	else if (*end == 'G')
		*value <<= 30, end++;
	return !*end;
}

uint64_t value_name(const char *word)
{
	uint64_t hash = 5381;

	for (; *word; word++)
		hash = hash * 33 + (unsigned char)*word;
	return AT_NAMES + (hash & 0xffffff) * 64;
}

/* P3 or P3[5]. */
bool value_slot(const char *word, unsigned *page, unsigned *index)
{
	int used = 0;

	*index = 0;
	if (sscanf(word, "P%u%n", page, &used) != 1 || *page >= PAGES)
		return false;
	if (!word[used] || word[used] == ')')
		return true;
	return sscanf(word + used, "[%u]%n", index, &used) == 1;
}

static pt_pte rights(const char *letters)
{
	pt_pte e = PT_PTE_AF | PT_PTE_SH | PT_PTE_MEMATTR | UINT64_C(2) << 53;

	for (; *letters && *letters != ')'; letters++)
		switch (*letters) {
		case 'r': e |= PT_PTE_S2AP_R; break;
		case 'w': e |= PT_PTE_S2AP_W; break;
		case 'x': e &= ~PT_PTE_XN; break;
		case 'd': e |= PT_PTE_DBM; break;
		case 'c': e |= PT_PTE_CONTIGUOUS; break;
		case 'n': e |= PT_PTE_NT; break;
		case 'o': e &= ~PT_PTE_AF; break;	 /* old */
		case 'v': e &= ~PT_PTE_MEMATTR; break;	 /* device */
		case 's': e |= UINT64_C(1) << 55; break; /* shared by its owner */
		case 'b': e |= UINT64_C(2) << 55; break; /* borrowed */
		default: return 0;
		}
	return e;
}

/* Of EL2's own map. */
static pt_pte own_rights(const char *letters)
{
	pt_pte e = PT_PTE_AF | PT_HYP_SH_INNER | PT_HYP_AP1 | PT_HYP_AP_RO | PT_HYP_XN;

	for (; *letters && *letters != ')'; letters++)
		switch (*letters) {
		case 'w': e &= ~PT_HYP_AP_RO; break;
		case 'x': e &= ~PT_HYP_XN; break;
		case 'v': e |= UINT64_C(2) << 2; break; /* device */
		case 's': e |= UINT64_C(1) << 55; break;
		default: break;
		}
	return e;
}

/* page(PA,letters), block(PA,letters), own(PA,letters), table(P3), donation(GUEST,IPA), locked, or
 * a number. */
bool value_descriptor(const struct world *w, const char *word, pt_pte *value)
{
	char letters[16] = "";
	unsigned long long pa;
	unsigned page, index;

	if (!strcmp(word, "locked")) {
		*value = PT_PTE_LOCKED;
		return true;
	}
	if (!strncmp(word, "table(", 6) && value_slot(word + 6, &page, &index)) {
		*value = (PA_MEMORY + ((uint64_t)page << w->page_shift)) | 3;
		return true;
	}
	if (sscanf(word, "page(%lli,%15[a-z]", (long long *)&pa, letters) >= 1) {
		*value = pa | rights(letters) | 3;
		return true;
	}
	if (sscanf(word, "own(%lli,%15[a-z]", (long long *)&pa, letters) >= 1) {
		*value = pa | own_rights(letters) | 3;
		return true;
	}
	if (sscanf(word, "block(%lli,%15[a-z]", (long long *)&pa, letters) >= 1) {
		*value = pa | rights(letters) | 1;
		return true;
	}
	if (sscanf(word, "donation(%u,%lli", &index, (long long *)&pa) == 2) {
		*value = UINT64_C(2) << 60 | (uint64_t)index << 4 | pa >> 12 << 20 | 2 << 1;
		return true;
	}
	return value_number(word, value);
}

uint64_t value_option(char **word, unsigned words, const char *name, uint64_t otherwise)
{
	size_t length = strlen(name);
	uint64_t value = otherwise;

	for (unsigned i = 1; i < words; i++)
		if (!strncmp(word[i], name, length) && word[i][length] == '=')
			value_number(word[i] + length + 1, &value);
	return value;
}

bool value_flag(char **word, unsigned words, const char *name)
{
	for (unsigned i = 1; i < words; i++)
		if (!strcmp(word[i], name))
			return true;
	return false;
}
