/* SPDX-License-Identifier: BSD-2-Clause */
/* From ranges to parties, classes and cells. */
#include "own_view.h"

#include "commands.h"
#include "fields.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SMALLEST_CELL UINT64_C(4096)

const char *own_state_name(Ptd__V1__PageState state)
{
	switch (state) {
	case PTD__V1__PAGE_STATE__PAGE_STATE_OWNED: return "owned";
	case PTD__V1__PAGE_STATE__PAGE_STATE_SHARED_OWNED: return "shared";
	case PTD__V1__PAGE_STATE__PAGE_STATE_LENT: return "lent";
	default: return "unknown";
	}
}

/* Room for one more item, zeroed; counts double, so an array of n has room for the next power of
 * two. */
static void *more(void *array, size_t count, size_t size)
{
	char *larger = array;

	if (!(count & (count - 1))) {
		larger = ptctl_alloc((count ? 2 * count : 1) * size);
		if (count)
			memcpy(larger, array, count * size);
		free(array);
	}
	memset(larger + count * size, 0, size);
	return larger;
}

static char *name_of(const Ptd__V1__Party *p, own_name_fn *name, void *arg)
{
	char *text;

	switch (p->kind) {
	case PTD__V1__OWNER_KIND__OWNER_KIND_HOST: return text_new("host");
	case PTD__V1__OWNER_KIND__OWNER_KIND_HYP: return text_new("hyp");
	case PTD__V1__OWNER_KIND__OWNER_KIND_GUEST: break;
	default: return text_new("unknown");
	}
	text = name(arg, p->context);
	return text ? text : text_new("guest 0x%" PRIx64, p->context);
}

static unsigned party_of(struct own_view *v, const Ptd__V1__Party *p, own_name_fn *name, void *arg)
{
	bool guest = p->kind == PTD__V1__OWNER_KIND__OWNER_KIND_GUEST;
	unsigned guests = 0;

	for (unsigned i = 0; i < v->parties; i++) {
		const struct own_party *q = &v->party[i];

		guests += q->kind == PTD__V1__OWNER_KIND__OWNER_KIND_GUEST;
		if (q->kind == p->kind && (!guest || q->context == p->context))
			return i;
	}
	v->party = more(v->party, v->parties, sizeof(*v->party));
	v->party[v->parties] = (struct own_party){.kind = p->kind,
						  .context = p->context,
						  .name = name_of(p, name, arg),
						  .number = guests};
	return (unsigned)v->parties++;
}

/* Guests have the letters, capital where nobody else may reach it. */
static char letter_of(const struct own_party *p, Ptd__V1__PageState state)
{
	bool owned = state == PTD__V1__PAGE_STATE__PAGE_STATE_OWNED;

	if (p->kind == PTD__V1__OWNER_KIND__OWNER_KIND_HYP)
		return '#';
	if (state == PTD__V1__PAGE_STATE__PAGE_STATE_LENT)
		return p->kind == PTD__V1__OWNER_KIND__OWNER_KIND_HOST ? '-' : '~';
	if (p->kind == PTD__V1__OWNER_KIND__OWNER_KIND_HOST)
		return owned ? '.' : ':';
	return (char)((owned ? 'A' : 'a') + p->number % 26);
}

static unsigned class_of(struct own_view *v, unsigned party, Ptd__V1__PageState state)
{
	for (unsigned i = 0; i < v->classes; i++)
		if (v->class[i].party == party && v->class[i].state == state)
			return i;
	v->class = more(v->class, v->classes, sizeof(*v->class));
	v->class[v->classes] = (struct own_class){
		.party = party, .state = state, .letter = letter_of(&v->party[party], state)};
	return (unsigned)v->classes++;
}

void own_view_add(struct own_view *v, const Ptd__V1__OwnedRange *r, own_name_fn *name, void *arg)
{
	static const Ptd__V1__Party nobody = PTD__V1__PARTY__INIT;
	unsigned party = party_of(v, r->owner ? r->owner : &nobody, name, arg);
	unsigned class = class_of(v, party, r->state);

	v->range = more(v->range, v->ranges, sizeof(*v->range));
	v->range[v->ranges++] = (struct own_range){.pa = r->pa, .size = r->size, .class = class};
	v->class[class].bytes += r->size;
	v->bytes = r->pa + r->size;
}

void own_view_free(struct own_view *v)
{
	for (size_t i = 0; i < v->parties; i++)
		free(v->party[i].name);
	free(v->party);
	free(v->class);
	free(v->range);
}

/* What most of [from, end) is; *at: the first range that reaches into it, and then into the next.
 */
static struct own_cell cell_at(const struct own_view *v, uint64_t from, uint64_t end, size_t *at,
			       uint64_t *part)
{
	struct own_cell c = {0};
	unsigned classes = 0;

	memset(part, 0, v->classes * sizeof(*part));
	for (size_t i = *at; i < v->ranges && v->range[i].pa < end; i++) {
		const struct own_range *r = &v->range[i];
		uint64_t lo = r->pa > from ? r->pa : from;
		uint64_t hi = r->pa + r->size < end ? r->pa + r->size : end;

		*at = i;
		if (lo >= hi)
			continue;
		classes += !part[r->class];
		part[r->class] += hi - lo;
		if (part[r->class] > part[c.class])
			c.class = r->class;
	}
	c.mixed = classes > 1;
	return c;
}

struct own_grid own_grid_make(const struct own_view *v, unsigned width, unsigned lines)
{
	struct own_grid g = {.cell_size = SMALLEST_CELL, .width = width};
	uint64_t *part = ptctl_alloc((v->classes + 1) * sizeof(*part));
	size_t at = 0;

	while (v->bytes / g.cell_size > (uint64_t)width * lines)
		g.cell_size *= 2;
	g.count = (size_t)((v->bytes + g.cell_size - 1) / g.cell_size);
	g.cell = ptctl_alloc((g.count + 1) * sizeof(*g.cell));
	for (size_t i = 0; i < g.count; i++)
		g.cell[i] = cell_at(v, i * g.cell_size, (i + 1) * g.cell_size, &at, part);
	free(part);
	return g;
}
