/* SPDX-License-Identifier: BSD-2-Clause */
/* The oracle of composition: what a change of the host's leaves alone. */
#include "world.h"

void round_out(struct play *p, bool log, uint64_t *lo, uint64_t *hi)
{
	struct hw_result first = walk_context(p, &p->g.c.ctx, *lo, NULL);
	struct hw_result last = walk_context(p, &p->g.c.ctx, *hi, NULL);

	if (has_leaf(&first) && (log || first.descriptor >> 52 & 1))
		*lo &= ~(first.span - 1);
	if (has_leaf(&last) && (log || last.descriptor >> 52 & 1))
		*hi |= last.span - 1;
}

void compare_stays(struct play *p, const struct seen *was, uint64_t lo, uint64_t hi, bool only_w)
{
	struct seen now[MIRRORS * PROBES];

	see_all(p, now);
	for (unsigned i = 0; i < MIRRORS * PROBES; i++) {
		const struct seen *s = &was[i];
		bool concerned;
		uint64_t at;

		if (!s->there)
			continue;
		at = canonical_of(p, s->pa);
		concerned = at <= hi && lo <= at + (s->span - 1) && (!only_w || s->write);
		/* A page's leaf loses W in place; of a larger one a part may be concerned. */
		if (concerned && !(only_w && s->span <= p->host_page))
			continue;
		note(p, NESTED_KEPT);
		if (!now[i].there || now[i].pa != s->pa || (!concerned && now[i].write != s->write))
			wrong(p, "a leaf that stays when the host makes this change is gone",
			      i / PROBES, s->ipa);
	}
}
