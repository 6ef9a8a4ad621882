/* SPDX-License-Identifier: BSD-2-Clause */
/* What the machine's memory holds: the last eight bytes written at each address. */
#include "play.h"

#include <stdlib.h>

struct content {
	size_t count, room; /* a power of two */
	struct pair {
		uint64_t pa, value; /* value 0: free, and what memory holds that nobody wrote */
	} * pair;
};

struct content *content_new(void)
{
	struct content *c = calloc(1, sizeof(*c));

	c->room = 1024;
	c->pair = calloc(c->room, sizeof(*c->pair));
	return c;
}

void content_free(struct content *c)
{
	free(c->pair);
	free(c);
}

static struct pair *find(const struct content *c, uint64_t pa)
{
	size_t i = (pa >> 3) * UINT64_C(0x9e3779b97f4a7c15) >> 20;

	for (i &= c->room - 1; c->pair[i].value && c->pair[i].pa != pa; i = (i + 1) & (c->room - 1))
		continue;
	return &c->pair[i];
}

uint64_t content_get(const struct content *c, uint64_t pa)
{
	return find(c, pa)->value;
}

static void grow(struct content *c)
{
	struct content more = {.room = 2 * c->room,
			       .pair = calloc(2 * c->room, sizeof(*more.pair))};

	for (size_t i = 0; i < c->room; i++)
		if (c->pair[i].value)
			*find(&more, c->pair[i].pa) = c->pair[i];
	free(c->pair);
	c->pair = more.pair;
	c->room = more.room;
}

void content_set(struct content *c, uint64_t pa, uint64_t value)
{
	struct pair *pair = find(c, pa);

	c->count += !pair->value;
	*pair = (struct pair){pa, value};
	if (c->count * 2 > c->room)
		grow(c);
}
