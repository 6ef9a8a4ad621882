/* SPDX-License-Identifier: BSD-2-Clause */
/* The oracle of composition: shadows are found, made, used by vCPUs, and recycled. */
#include "world.h"

static bool is_there(struct play *p, unsigned i)
{
	struct pt_shadow *found = NULL;
	enum pt_outcome outcome;

	pt_section_begin(&p->g.c.agent);
	outcome = pt_shadow_find(&p->g.nested, &p->m[i].key, &found);
	pt_section_end(&p->g.c.agent);
	if ((outcome == PT_OK) != p->m[i].live || (p->m[i].live && found != &p->m[i].shadow))
		wrong(p, "a shadow is found that is not there, or not found", i, 0);
	return outcome == PT_OK;
}

/* Which one would go: no vCPU runs it, and it was used longest ago. */
static struct mirror *oldest(struct play *p)
{
	struct mirror *oldest = NULL;

	for (unsigned i = 0; i < MIRRORS; i++) {
		struct mirror *m = &p->m[i];

		if (m->live && !m->users && (!oldest || m->used < oldest->used))
			oldest = m;
	}
	return oldest;
}

void close_mirror(struct play *p, unsigned i, uint32_t budget)
{
	guest_end(&p->g, &p->m[i].shadow, budget);
	p->m[i].live = false;
}

static enum pt_outcome make(struct play *p, struct mirror *m)
{
	enum pt_outcome outcome;

	memset(&m->shadow, 0, sizeof(m->shadow));
	pt_section_begin(&p->g.c.agent);
	outcome = pt_shadow_init(&m->shadow, &p->g.nested, &p->g.c.agent, &m->key, &m->regs,
				 UINT64_MAX);
	pt_section_end(&p->g.c.agent);
	return outcome;
}

/* The one that was used longest ago makes room. False: vCPUs run all of them. */
static bool recycle(struct play *p)
{
	struct mirror *old = oldest(p);
	struct pt_shadow_end end;
	struct pt_shadow *s;

	pt_section_begin(&p->g.c.agent);
	s = pt_shadow_oldest(&p->g.nested);
	pt_section_end(&p->g.c.agent);
	if (s != (old ? &old->shadow : NULL))
		wrong(p, "another shadow would be recycled", 0, 0);
	for (unsigned i = 0; i < MIRRORS; i++)
		if (p->m[i].users && pt_shadow_end_begin(&end, &p->m[i].shadow, NULL) != PT_BUSY)
			wrong(p, "a shadow that is used is ended", i, 0);
	note(p, old ? NESTED_RECYCLE : NESTED_ALL_USED);
	if (!old)
		return false;
	if (p->going.kind ==
	    GUESTS_TLBI) /* the end waits for it, and has no step of its own here */
		finish_beside(p);
	close_mirror(p, (unsigned)(old - p->m), (uint32_t)(1 + draw(p, 2000)));
	return true;
}

bool open_mirror(struct play *p, unsigned i)
{
	struct mirror *m = &p->m[i];
	enum pt_outcome outcome;

	if (p->going.kind == SHADOWS_END && p->going.mirror == i)
		finish_beside(p);
	if (is_there(p, i))
		return true;
	outcome = make(p, m);
	if (outcome == PT_QUOTA) {
		if (!recycle(p))
			return false;
		outcome = make(p, m);
	}
	assert_int_equal(PT_OK, outcome);
	m->live = true;
	m->used = ++p->now;
	for (unsigned n = 0; n < p->probes; n++)
		m->probe[n].count = 0;
	say_all(p, m);
	return true;
}

/* A vCPU runs it from now on, or no more. */
void do_use(struct play *p)
{
	struct mirror *m = &p->m[draw(p, MIRRORS)];

	if (!m->live)
		return;
	note(p, NESTED_USE);
	pt_section_begin(&p->g.c.agent);
	if (m->users) {
		pt_shadow_unuse(&m->shadow);
		m->users--;
	} else {
		assert_int_equal(PT_OK, pt_shadow_use(&m->shadow));
		m->users++;
		m->used = ++p->now;
	}
	pt_section_end(&p->g.c.agent);
}

/* One that is not there comes, for which another goes; or one goes beside others. */
void do_recycle(struct play *p)
{
	unsigned i = (unsigned)draw(p, MIRRORS);
	struct mirror *old = oldest(p);

	if (p->going.kind == NOTHING && old && draw(p, 2)) {
		begin_end(p, (unsigned)(old - p->m));
		return;
	}
	for (unsigned n = 0; n < MIRRORS && p->m[i].live; n++)
		i = (i + 1) % MIRRORS;
	open_mirror(p, i);
}
