/* SPDX-License-Identifier: BSD-2-Clause */
/* Owners of a machine's memory in lines of letters. */
#include "own_view.h"

#include "number.h"

#include <inttypes.h>
#include <stdlib.h>

#define WIDTH 64
#define LINES 16

static void legend(const struct own_view *v, FILE *to)
{
	char size[24];

	for (size_t i = 0; i < v->classes; i++) {
		const struct own_class *c = &v->class[i];

		fprintf(to, "  %c  %s, %s: %s\n", c->letter, v->party[c->party].name,
			own_state_name(c->state), number_size(c->bytes, size));
	}
}

static bool any_mixed(const struct own_grid *g)
{
	bool mixed = false;

	for (size_t i = 0; i < g->count; i++)
		mixed |= g->cell[i].mixed;
	return mixed;
}

void own_strip(const struct own_view *v, FILE *to)
{
	struct own_grid g = own_grid_make(v, WIDTH, LINES);
	int digits = snprintf(NULL, 0, "%" PRIx64, v->bytes);
	char size[24], cell[24];

	fprintf(to, "%s: %s, a letter is %s\n", v->machine, number_size(v->bytes, size),
		number_size(g.cell_size, cell));
	for (size_t i = 0; i < g.count; i++) {
		if (!(i % g.width))
			fprintf(to, "0x%0*" PRIx64 "  ", digits, i * g.cell_size);
		fputc(v->class[g.cell[i].class].letter, to);
		if (!((i + 1) % g.width) || i + 1 == g.count)
			fputc('\n', to);
	}
	legend(v, to);
	if (any_mixed(&g))
		fputs("  some letters stand for the most of several\n", to);
	free(g.cell);
}
