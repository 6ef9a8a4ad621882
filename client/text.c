/* SPDX-License-Identifier: BSD-2-Clause */
/* Small conversions between text and values. */
#include "text.h"
#include "number.h"

#include <inttypes.h>
#include <pt/types.h>
#include <stdio.h>
#include <string.h>

static bool right_of(char c, uint32_t *right)
{
	switch (c) {
	case 'r': *right = PT_PROT_R; return true;
	case 'w': *right = PT_PROT_W; return true;
	case 'p': *right = PT_PROT_PX; return true;
	case 'u': *right = PT_PROT_UX; return true;
	case 'x': *right = PT_PROT_X; return true;
	case '-': *right = 0; return true;
	default: return false;
	}
}

static bool type_of(const char *text, uint32_t *type)
{
	static const char *const names[] = {":normal", ":nc", ":device"};

	*type = PT_MEM_NORMAL;
	if (!*text)
		return true;
	for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		*type = i;
		if (!strcmp(text, names[i]))
			return true;
	}
	return false;
}

bool prot_parse(const char *text, uint32_t *prot)
{
	uint32_t rights = 0, right, type;

	if (!*text || *text == ':')
		return false;
	while (*text && *text != ':') {
		if (!right_of(*text++, &right) || (rights & right))
			return false;
		rights |= right;
	}
	if (!type_of(text, &type))
		return false;
	*prot = PT_PROT(rights, type);
	return true;
}

char *prot_text(char to[TEXT_MAX], uint32_t prot)
{
	static const char *const types[PT_MEM_TYPES] = {"", ":nc", ":device"};
	uint32_t type = (uint32_t)pt_prot_memtype(prot);

	snprintf(to, TEXT_MAX, "%c%c%c%c", prot & PT_PROT_R ? 'r' : '-',
		 prot & PT_PROT_W ? 'w' : '-', prot & PT_PROT_PX ? 'p' : '-',
		 prot & PT_PROT_UX ? 'u' : '-');
	if (type < PT_MEM_TYPES)
		strcat(to, types[type]);
	else
		snprintf(to + 4, TEXT_MAX - 4, ":%u", (unsigned)type);
	return to;
}

bool hex_parse(const char *text, uint8_t *bytes, size_t *length)
{
	*length = 0;
	while (*text) {
		if (*text == '_' || *text == ' ') {
			text++;
			continue;
		}
		if (hex_digit(text[0]) < 0 || hex_digit(text[1]) < 0)
			return false;
		bytes[(*length)++] = (uint8_t)(hex_digit(text[0]) << 4 | hex_digit(text[1]));
		text += 2;
	}
	return true;
}

char *address_text(char to[TEXT_MAX], uint64_t address, unsigned bits)
{
	snprintf(to, TEXT_MAX, "0x%0*" PRIx64, (int)((bits + 3) / 4), address);
	return to;
}

#define WORD_MAX 32

static unsigned least(unsigned a, unsigned b, unsigned c)
{
	unsigned ab = a < b ? a : b;

	return ab < c ? ab : c;
}

unsigned edit_distance(const char *a, const char *b)
{
	unsigned rows[3][WORD_MAX + 1];
	size_t n = strlen(a), m = strlen(b);

	if (n > WORD_MAX || m > WORD_MAX)
		return 99;
	for (unsigned j = 0; j <= m; j++)
		rows[0][j] = j;
	for (unsigned i = 1; i <= n; i++) {
		unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3];
		const unsigned *above2 = rows[(i + 1) % 3];

		row[0] = i;
		for (unsigned j = 1; j <= m; j++) {
			row[j] = least(above[j] + 1, row[j - 1] + 1,
				       above[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    above2[j - 2] + 1 < row[j])
				row[j] = above2[j - 2] + 1;
		}
	}
	return rows[n % 3][m];
}
