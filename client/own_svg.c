/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owners of a machine's memory as one SVG file.
 *
 * Cells go row by row, with the address of each row's first cell at its left. A class is told by
 * colour, by its hatching, and by its letter on the first cell of each run in a row: any two of
 * them may be lost. State: owned is hatched with lines, shared with dashes, lent with dots; the
 * owner gives the lines' angle and distance, and hyp has a grid.
 */
#include "own_view.h"

#include "number.h"

#include <inttypes.h>
#include <stdlib.h>

#define WIDTH  64
#define LINES  64
#define CELL   12
#define LEFT   132
#define TOP    46
#define LEGEND 22 /* height of a line */

/* Light enough that black lines show on them; told apart in grey by their hatching. */
static const char *const colours[] = {"#ffd9a8", "#b9e3c6", "#c9d4f5", "#f3c6de",
				      "#e9e7a0", "#b5e5ea", "#dcc7ee", "#d9cfc1"};

static const char *colour(const struct own_party *p)
{
	switch (p->kind) {
	case PTD__V1__OWNER_KIND__OWNER_KIND_HOST: return "#ffffff";
	case PTD__V1__OWNER_KIND__OWNER_KIND_HYP: return "#9a9a9a";
	default: return colours[p->number % (sizeof(colours) / sizeof(colours[0]))];
	}
}

/* Text from outside, as XML. */
static void escaped(const char *text, FILE *to)
{
	for (; *text; text++) {
		if (*text == '<' || *text == '>' || *text == '&' || *text == '"')
			fprintf(to, "&#%d;", *text);
		else
			fputc(*text, to);
	}
}

static const char *dashes(Ptd__V1__PageState state)
{
	switch (state) {
	case PTD__V1__PAGE_STATE__PAGE_STATE_SHARED_OWNED: return " stroke-dasharray=\"3 2\"";
	case PTD__V1__PAGE_STATE__PAGE_STATE_LENT: return " stroke-dasharray=\"0.9 2.1\"";
	default: return "";
	}
}

/* The host's own stays plain: it is what all begins as. */
static void pattern(const struct own_view *v, unsigned class, FILE *to)
{
	const struct own_class *c = &v->class[class];
	const struct own_party *p = &v->party[c->party];
	bool host = p->kind == PTD__V1__OWNER_KIND__OWNER_KIND_HOST;
	bool guest = p->kind == PTD__V1__OWNER_KIND__OWNER_KIND_GUEST;
	bool plain = host && c->state == PTD__V1__PAGE_STATE__PAGE_STATE_OWNED;
	unsigned angle = host ? 90 : guest ? 45 * (p->number % 4) : 0;
	unsigned distance = guest ? 4 + p->number / 4 % 3 * 2 : 3;

	fprintf(to,
		"<pattern id=\"c%u\" width=\"6\" height=\"%u\" patternUnits=\"userSpaceOnUse\" "
		"patternTransform=\"rotate(%u)\"><rect width=\"6\" height=\"%u\" fill=\"%s\"/>",
		class, distance, angle, distance, colour(p));
	if (!plain)
		fprintf(to, "<path d=\"M0 1.5h6%s\" stroke=\"#000\" stroke-width=\"0.9\"%s/>",
			host || guest ? "" : "M1.5 0v3M4.5 0v3", dashes(c->state));
	fputs("</pattern>\n", to);
}

/* Cells of one class that follow each other in a row. */
static size_t run_of(const struct own_grid *g, size_t from)
{
	size_t end = from + 1;

	while (end < g->count && end % g->width && g->cell[end].class == g->cell[from].class)
		end++;
	return end - from;
}

static unsigned x_of(const struct own_grid *g, size_t i)
{
	return LEFT + (unsigned)(i % g->width) * CELL;
}

static unsigned y_of(const struct own_grid *g, size_t i)
{
	return TOP + (unsigned)(i / g->width) * CELL;
}

static void cells(const struct own_view *v, const struct own_grid *g, FILE *to)
{
	size_t n;

	for (size_t i = 0; i < g->count; i += n) {
		unsigned class = g->cell[i].class, x = x_of(g, i), y = y_of(g, i);

		n = run_of(g, i);
		fprintf(to,
			"<rect x=\"%u\" y=\"%u\" width=\"%zu\" height=\"%d\" fill=\"url(#c%u)\"/>\n",
			x, y, n * CELL, CELL, class);
		if (v->class[class].letter >= 'A')
			fprintf(to, "<text class=\"l\" x=\"%u\" y=\"%u\">%c</text>\n", x + 2,
				y + CELL - 3, v->class[class].letter);
	}
	for (size_t i = 0; i < g->count; i++)
		if (g->cell[i].mixed)
			fprintf(to, "<circle cx=\"%u\" cy=\"%u\" r=\"1.8\"/>\n",
				x_of(g, i) + CELL - 3, y_of(g, i) + 3);
}

static void addresses(const struct own_grid *g, FILE *to)
{
	for (size_t i = 0; i < g->count; i += g->width)
		fprintf(to, "<text class=\"a\" x=\"%d\" y=\"%u\">0x%" PRIx64 "</text>\n", LEFT - 6,
			y_of(g, i) + CELL - 3, i * g->cell_size);
}

static unsigned bottom(const struct own_grid *g)
{
	return TOP + (unsigned)((g->count + g->width - 1) / g->width) * CELL;
}

static void sample(unsigned y, const char *fill, FILE *to)
{
	fprintf(to, "<rect x=\"%d\" y=\"%u\" width=\"36\" height=\"14\" %s/>", LEFT, y - 11, fill);
}

static void legend(const struct own_view *v, const struct own_grid *g, FILE *to)
{
	unsigned y = bottom(g) + LEGEND;
	char size[24], fill[48];

	for (unsigned i = 0; i < v->classes; i++, y += LEGEND) {
		const struct own_class *c = &v->class[i];

		snprintf(fill, sizeof(fill), "fill=\"url(#c%u)\" stroke=\"#000\"", i);
		sample(y, fill, to);
		fprintf(to, "<text x=\"%d\" y=\"%u\">", LEFT + 46, y);
		if (c->letter >= 'A' && c->letter != '~')
			fprintf(to, "%c  ", c->letter);
		escaped(v->party[c->party].name, to);
		fprintf(to, ", %s: %s</text>\n", own_state_name(c->state),
			number_size(c->bytes, size));
	}
	fprintf(to, "<circle cx=\"%d\" cy=\"%u\" r=\"1.8\"/><text x=\"%d\" y=\"%u\">", LEFT + 18,
		y - 4, LEFT + 46, y);
	fputs("a cell of several: what most of it is</text>\n", to);
}

static void style(FILE *to)
{
	fputs("<style>text{font:13px sans-serif}.a{font:10px monospace;text-anchor:end}"
	      ".l{font:bold 10px monospace;paint-order:stroke;stroke:#fff;stroke-width:3.5px}"
	      ".t{font:bold 15px sans-serif}</style>\n",
	      to);
}

void own_svg(const struct own_view *v, FILE *to)
{
	struct own_grid g = own_grid_make(v, WIDTH, LINES);
	unsigned width = LEFT + WIDTH * CELL + 16;
	unsigned height = bottom(&g) + LEGEND * (unsigned)(v->classes + 2);
	char size[24], cell[24];

	fprintf(to,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" viewBox=\"0 0 %u "
		"%u\">\n",
		width, height, width, height);
	style(to);
	fputs("<defs>\n", to);
	for (unsigned i = 0; i < v->classes; i++)
		pattern(v, i, to);
	fprintf(to, "</defs>\n<rect width=\"%u\" height=\"%u\" fill=\"#fff\"/>\n", width, height);
	fprintf(to, "<text class=\"t\" x=\"%d\" y=\"26\">Owners of ", LEFT);
	escaped(v->machine, to);
	fprintf(to, ": %s, a cell is %s</text>\n", number_size(v->bytes, size),
		number_size(g.cell_size, cell));
	cells(v, &g, to);
	fprintf(to,
		"<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%u\" fill=\"none\" stroke=\"#000\"/>\n",
		LEFT, TOP, WIDTH * CELL, bottom(&g) - TOP);
	addresses(&g, to);
	legend(v, &g, to);
	fputs("</svg>\n", to);
	free(g.cell);
}
