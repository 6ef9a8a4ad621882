/* SPDX-License-Identifier: BSD-2-Clause */
/* Draws the next step from the seed, with an eye on the model: near the edges of what there is. */
#include "play.h"

static uint64_t granule(const struct context *c)
{
	return UINT64_C(1) << c->model.granule;
}

static uint64_t block(const struct context *c)
{
	return UINT64_C(1) << model_shift(&c->model, 2);
}

static uint64_t top_of(const struct context *c)
{
	return UINT64_C(1) << c->model.ipa_bits;
}

/* The output that goes with an address, if nobody wants another. */
static uint64_t home(const struct context *c, uint64_t ipa)
{
	if (ipa >= c->high.ipa)
		return c->high.pa + (ipa - c->high.ipa);
	return c->low.pa + (ipa - c->low.ipa);
}

/* An address around an edge of something that is mapped. */
static uint64_t near_edge(struct play *p, const struct context *c)
{
	const struct space *space = &c->model.space;
	const struct span *span;
	uint64_t at;

	if (!space->count)
		return c->low.ipa;
	span = &space->span[below(p, space->count)];
	at = below(p, 2) ? span->lo : span->hi + 1 - granule(c);
	if (below(p, 4) == 0)
		at += granule(c);
	if (below(p, 4) == 0)
		at -= granule(c);
	return at < top_of(c) ? at : span->lo;
}

static uint64_t draw_ipa(struct play *p, const struct context *c)
{
	const struct window *w = below(p, 8) ? &c->low : &c->high;
	uint64_t at;

	switch (below(p, 6)) {
	case 0:
	case 1: return near_edge(p, c);
	case 2: return c->hot[below(p, HOT)];
	default: break;
	}
	at = below(p, w->bytes >> c->model.granule) << c->model.granule;
	if (below(p, 3) == 0)
		at &= ~(block(c) - 1);
	else if (below(p, 2)) /* few pages, so that they are met again */
		at = (at & ~(block(c) - 1)) + below(p, 6) * granule(c);
	return w->ipa + at;
}

static uint64_t draw_size(struct play *p, const struct context *c, uint64_t ipa)
{
	uint64_t size, last;

	switch (below(p, 24)) {
	case 0: size = block(c) * (1 + below(p, 3)); break;
	case 1:
	case 2: size = block(c); break;
	case 3: size = (1 + below(p, 2 * block(c) >> c->model.granule)) * granule(c); break;
	case 4: /* to where the model changes */
		space_get(&c->model.space, ipa, &last);
		size = last == UINT64_MAX || last - ipa > 4 * block(c) ? block(c) : last - ipa + 1;
		break;
	case 5: size = block(c) - (ipa & (block(c) - 1)); break;
	case 6:
	case 7:
	case 8:
	case 9:
	case 10:
	case 11:
	case 12: size = granule(c); break;
	case 13: size = (1 + below(p, 200)) * granule(c); break;
	default: size = (1 + below(p, 20)) * granule(c); break;
	}
	return size <= top_of(c) - ipa ? size : top_of(c) - ipa;
}

static uint32_t draw_prot(struct play *p, bool rights_only)
{
	static const uint32_t prots[] = {
		PT_PROT_R,
		PT_PROT_RW,
		PT_PROT_RW,
		PT_PROT_RWX,
		PT_PROT_R | PT_PROT_X,
		PT_PROT_W,
		PT_PROT_RWX,
		PT_PROT_R | PT_PROT_PX,
		PT_PROT_RW | PT_PROT_UX,
		PT_PROT(PT_PROT_RW, PT_MEM_DEVICE),
		PT_PROT(PT_PROT_R, PT_MEM_NC),
	};

	return prots[below(p, sizeof(prots) / sizeof(prots[0]) - (rights_only ? 2 : 0))];
}

static void draw_map(struct play *p, const struct context *c, struct step_item *i)
{
	uint64_t bias[] = {0,	       0,	 0,	   0,
			   granule(c), block(c), block(c), UINT64_C(1) << (c->model.pa_bits - 2)};

	i->prot = draw_prot(p, false);
	if (below(p, 3) == 0)
		i->prot |= (uint32_t)(below(p, 16) & c->model.sw) << PT_PROT_SW_SHIFT;
	i->pa = home(c, i->ipa) + bias[below(p, c->model.identity && below(p, 12) ? 4 : 8)];
	i->flags = (below(p, 3) ? 0 : PT_MAP_REPLACE) | (below(p, 5) ? 0 : PT_MAP_FORCE_PAGES) |
		   (c->model.grouped && below(p, 2) ? PT_MAP_CONTIGUOUS : 0);
	if (below(p, 7) == 0) { /* what may become a block later */
		i->ipa &= ~(block(c) - 1);
		i->size = block(c);
		if (below(p, 2)) {
			i->size = (1 + below(p, 6)) * granule(c);
			i->ipa += below(p, 6) * granule(c);
		}
		i->pa = home(c, i->ipa);
		i->flags |= PT_MAP_REPLACE | PT_MAP_FORCE_PAGES;
		i->prot = PT_PROT_RW | (i->prot & PT_PROT_SW);
	}
	if (i->size > 4 * block(c)) { /* not page by page */
		i->pa = home(c, i->ipa) + (below(p, 2) || c->model.identity ? 0 : block(c));
		i->flags &= ~PT_MAP_FORCE_PAGES;
	}
	if (below(p, 200) == 0) /* the end of the PA space */
		i->pa = (UINT64_C(1) << c->model.pa_bits) - i->size;
}

/* A level 1 block with its neighbours' home, and the whole space. */
static void draw_large(struct play *p, const struct context *c, struct step_item *i)
{
	uint64_t first = UINT64_C(1) << model_shift(&c->model, 1);

	if (i->kind != PT_ITEM_MAP && below(p, 2)) {
		i->ipa = 0;
		i->size = top_of(c);
	} else if (first < top_of(c) && c->model.top <= 1) {
		i->ipa = below(p, 2) * first;
		i->size = first;
	}
}

/* Something that is to be refused. */
static void spoil(struct play *p, const struct context *c, struct step_item *i)
{
	switch (below(p, 12)) {
	case 0: i->kind = (uint32_t)below(p, 2) * 200; break;
	case 1: i->flags |= UINT32_C(1) << (4 + below(p, 28)); break;
	case 2: i->prot |= UINT32_C(1) << (16 + below(p, 16)); break;
	case 3: i->prot = 0; break;
	case 4: i->prot |= 3 << 8; break;
	case 5: i->size = 0; break;
	case 6: i->size = UINT64_MAX - i->ipa - granule(c) + 2; break;
	case 7: i->size += granule(c) / 2; break;
	case 8: i->ipa += 8; break;
	case 9:
		i->ipa = top_of(c) - granule(c) * below(p, 2);
		i->size = 2 * granule(c);
		break;
	case 10: i->pa = (UINT64_C(1) << c->model.pa_bits) - granule(c) * below(p, 2); break;
	default: i->pa += granule(c) >> 1; break;
	}
}

static void draw_item(struct play *p, const struct context *c, struct step_item *i)
{
	static const uint8_t kinds[] = {
		PT_ITEM_MAP,   PT_ITEM_MAP,	   PT_ITEM_MAP,	     PT_ITEM_MAP,
		PT_ITEM_MAP,   PT_ITEM_MAP,	   PT_ITEM_UNMAP,    PT_ITEM_UNMAP,
		PT_ITEM_UNMAP, PT_ITEM_PROTECT,	   PT_ITEM_PROTECT,  PT_ITEM_WRITE_PROTECT,
		PT_ITEM_RELAX, PT_ITEM_MAKE_YOUNG, PT_ITEM_ANNOTATE, PT_ITEM_FLUSH,
	};

	*i = (struct step_item){.kind = kinds[below(p, sizeof(kinds))]};
	i->ipa = draw_ipa(p, c);
	i->size = draw_size(p, c, i->ipa);
	if (i->kind == PT_ITEM_ANNOTATE) {
		i->pa = (2 + below(p, 14)) << 60 | below(p, 3) << 1;
		if (below(p, 2)) {
			i->ipa &= ~(block(c) - 1);
			i->size = block(c);
		}
	} else if (below(p, 60) == 0) {
		draw_large(p, c, i);
	}
	if (i->kind == PT_ITEM_MAP)
		draw_map(p, c, i);
	else if (i->kind == PT_ITEM_PROTECT || i->kind == PT_ITEM_RELAX)
		i->prot = draw_prot(p, true);
	if (below(p, 100) == 0)
		spoil(p, c, i);
}

static uint32_t draw_budget(struct play *p)
{
	static const uint32_t budgets[] = {1, 7, 100, 1000, 100000};

	return budgets[below(p, 5)];
}

static void draw_request(struct play *p, const struct context *c, struct step *step, bool alone)
{
	uint64_t from = 0;

	step->verb = alone ? V_run : V_begin;
	step->arg = draw_budget(p);
	step->count = below(p, 5) ? 1 : 1 + (uint32_t)below(p, STEP_ITEMS);
	for (unsigned i = 0; i < step->count; i++) {
		struct step_item *item = &step->item[i];

		draw_item(p, c, item);
		/* Mostly in order. */
		for (unsigned tries = 0; item->ipa < from && tries < 8 && below(p, 30); tries++)
			draw_item(p, c, item);
		from = item->ipa + item->size;
	}
	if (step->count == 1 && below(p, 4))
		step->flags |= STEP_POINT;
	if (!(step->flags & STEP_POINT) && below(p, 8) == 0)
		step->flags |= STEP_VALIDATE;
	if (below(p, 12) == 0)
		step->flags |= below(p, 4) ? STEP_GENERATION : STEP_STALE;
	if (below(p, 4) == 0)
		step->flags |= STEP_COUNT_LEAVES;
}

/* A block where leaves are, if a few tries find one. */
static uint64_t mapped_block(struct play *p, const struct context *c)
{
	uint64_t at = 0, last;

	for (unsigned tries = 0; tries < 8; tries++) {
		at = below(p, 2) ? c->hot[below(p, HOT)] : near_edge(p, c);
		if (space_get(&c->model.space, at, &last).what == LEAF)
			break;
	}
	return at & ~(block(c) - 1);
}

static void draw_upkeep(struct play *p, const struct context *c, struct step *step)
{
	/* Those that seldom find something to do come more often. */
	static const uint8_t kind[] = {PT_UPKEEP_AGE,	PT_UPKEEP_AGE,	    PT_UPKEEP_SPLIT,
				       PT_UPKEEP_SPLIT, PT_UPKEEP_COLLAPSE, PT_UPKEEP_COLLAPSE,
				       PT_UPKEEP_SWEEP};
	struct step_item *i = &step->item[0];

	step->verb = V_upkeep;
	step->flags = below(p, 3) ? STEP_ALONE : 0;
	i->kind = kind[below(p, sizeof(kind))];
	i->ipa = draw_ipa(p, c);
	i->size = draw_size(p, c, i->ipa);
	switch (below(p, i->kind == PT_UPKEEP_COLLAPSE ? 2 : 3)) {
	case 0:
		i->ipa = c->low.ipa;
		i->size = c->low.bytes;
		break;
	case 1: /* one block, where something is */
		i->ipa = mapped_block(p, c);
		i->size = block(c);
		break;
	default: break;
	}
	i->pa = draw_budget(p);
	if (i->kind == PT_UPKEEP_COLLAPSE && i->pa < UINT64_C(1) << (c->model.granule - 3))
		i->pa = UINT64_C(1)
			<< (c->model.granule - 3); /* what it keeps is read at each step */
	i->flags = (uint32_t)below(p, 2);
	if (i->kind == PT_UPKEEP_AGE)
		i->prot = (uint32_t)below(p, 2);
	if (i->kind == PT_UPKEEP_SPLIT) {
		i->prot = below(p, 3) ? 4 : (uint32_t)below(p, 5);
		step->arg = below(p, 3) ? 0 : 1 + below(p, 3);
	}
	if (c->model.quota != UINT64_MAX && below(p, 3) == 0) /* few tables are left */
		*i = (struct step_item){.kind = PT_UPKEEP_SPLIT,
					.prot = 4,
					.pa = i->pa,
					.ipa = c->hot[below(p, HOT)] & ~(block(c) - 1),
					.size = block(c)};
	if (below(p, 60) == 0)
		i->ipa += 8;
	if (below(p, 200) == 0)
		i->kind = 5;
}

/* Logs lie in the windows, so that they are read before the play ends. */
static void draw_log(struct play *p, const struct context *c, struct step_item *i)
{
	const struct window *w = below(p, 8) ? &c->low : &c->high;

	i->kind = PT_DIRTY_START;
	i->ipa = below(p, 2) ? w->ipa + below(p, 2) * block(c) : c->hot[below(p, HOT)];
	i->size = below(p, 2) ? (1 + below(p, 100)) * granule(c) : draw_size(p, c, i->ipa);
	i->flags = (uint32_t)below(p, 4) & (uint32_t)below(p, 4); /* eager, initially set */
	if (below(p, 24) == 0) {
		i->ipa = w->ipa;
		i->size = w->bytes;
		i->flags &= 2;
	} else if (c->model.quota != UINT64_MAX) { /* blocks are split, and few tables are left */
		i->ipa = c->low.ipa;
		i->size = c->low.bytes;
		i->flags = 1;
	}
}

static void draw_look(struct play *p, const struct context *c, const struct log *log,
		      struct step_item *i)
{
	bool busy = log->state == LOG_STOPPING || atomic_load(&log->pt.busy);
	unsigned looks = c->model.quota != UINT64_MAX ? 4 : 7; /* where the next START may fail */

	i->kind = below(p, busy ? 2 : looks) ? PT_DIRTY_GET : PT_DIRTY_STOP;
	i->prot = below(p, busy ? 2 : 4) != 0; /* clear */
	i->ipa = log->ipa;
	i->size = log->last - log->ipa + 1;
	if (below(p, 2) == 0)
		return;
	i->ipa += below(p, i->size >> c->model.granule) << c->model.granule;
	i->size = draw_size(p, c, i->ipa);
	if (i->size > log->last - i->ipa + 1 && below(p, 5))
		i->size = log->last - i->ipa + 1;
}

/* Logs lie in the windows, or around what is accessed. */
static void draw_dirty(struct play *p, const struct context *c, struct step *step)
{
	static const uint8_t told[] = {0, 1, 1, 1, 1, 1, 2, 2, 3};
	const struct log *log;

	step->verb = V_dirty;
	step->vcpu = (uint32_t)below(p, LOGS);
	step->flags = below(p, 2) ? STEP_ALONE : 0;
	step->arg = told[below(p, sizeof(told))];
	log = &c->log[step->vcpu];
	if (log->state == LOG_FREE)
		draw_log(p, c, &step->item[0]);
	else
		draw_look(p, c, log, &step->item[0]);
	if (below(p, log->state == LOG_FREE ? 20 : 50) == 0)
		step->item[0].size -= 8;
	step->item[0].pa = draw_budget(p);
}

static void draw_slot(struct play *p, const struct context *c, struct step *step)
{
	struct step_item *i = &step->item[0];
	const struct window *w = below(p, 6) ? &c->low : &c->high;

	step->verb = V_slot;
	step->arg = below(p, MODEL_SLOTS);
	step->count = below(p, 4) != 0;
	i->ipa = w->ipa + (below(p, w->bytes >> c->model.granule) << c->model.granule);
	if (below(p, 2))
		i->ipa &= ~(block(c) - 1);
	i->size =
		below(p, 2) ? block(c) : (1 + below(p, block(c) >> c->model.granule)) * granule(c);
	if (i->size > top_of(c) - i->ipa)
		i->size = top_of(c) - i->ipa;
	i->pa = home(c, i->ipa) + (c->model.identity || below(p, 5) ? 0
				   : below(p, 2)		    ? granule(c)
								    : block(c));
	i->flags = below(p, 3) ? 0 : (uint32_t)below(p, PT_SLOT_FLAGS + 1);
	i->prot = c->model.granule + (uint32_t)below(p, 3) * (c->model.granule - 3);
}

static void note(struct play *p, struct context *c, uint64_t ipa)
{
	if (below(p, 8) == 0)
		c->hot[below(p, HOT)] = ipa & ~(granule(c) - 1);
}

static void draw_touch(struct play *p, struct context *c, struct step *step)
{
	struct step_item *i = &step->item[0];

	step->verb = below(p, 6) ? V_access : V_fault;
	step->vcpu = (uint32_t)below(p, VCPUS);
	step->arg = draw(p);
	i->ipa = (below(p, 4) ? c->hot[below(p, HOT)] : draw_ipa(p, c)) + 8 * below(p, 4);
	i->kind = 1 + (uint32_t)below(p, step->verb == V_access ? 4 : 3);
	if (below(p, 4) == 0)
		step->flags |= STEP_EL0;
	if (step->verb == V_access && i->kind != PT_ACCESS_WRITE && below(p, 8) == 0)
		step->flags |= STEP_S1PTW;
	note(p, c, i->ipa);
	if (step->verb == V_fault && below(p, 100) == 0)
		i->ipa = top_of(c) + below(p, 2) * (UINT64_MAX - top_of(c));
}

/* A session with a transaction under way, or whoever comes. */
static uint32_t draw_busy(struct play *p)
{
	uint32_t first = (uint32_t)below(p, p->sessions);

	for (uint32_t i = first; i < first + p->sessions; i++)
		if (p->session[i % p->sessions].doing == RANGE ||
		    p->session[i % p->sessions].doing == UPKEEP ||
		    p->session[i % p->sessions].doing == DIRTY)
			return i % p->sessions;
	return first;
}

static void draw_trouble(struct play *p, const struct context *c, struct step *step)
{
	switch (below(p, 16)) {
	case 0:
	case 1: step->verb = V_hold; break;
	case 2:
	case 3:
	case 4:
	case 12:
		step->verb = V_abort;
		step->who = draw_busy(p);
		break;
	case 5:
	case 6:
	case 7:
	case 13:
	case 14:
		step->verb = V_arm;
		step->arg = 1 + below(p, 3);
		break;
	case 8:
	case 9:
	case 15:
		step->verb = V_quota;
		step->arg = below(p, 3) == 0 ? UINT64_MAX
					     : atomic_load(&c->pt.table_pages) + below(p, 3);
		break;
	default: draw_slot(p, c, step); break;
	}
}

void draw_step(struct play *p, struct step *step)
{
	uint64_t what = below(p, 100);
	struct context *c;

	*step = (struct step){.who = (uint32_t)below(p, p->sessions), .ctx = below(p, 4) == 0};
	c = &p->ctx[step->ctx];
	if (p->at < 8) {
		draw_slot(p, c, step);
	} else if (what < 11) {
		draw_trouble(p, c, step);
	} else if (p->session[step->who].doing != IDLE) {
		step->verb = V_step;
		step->arg = draw_budget(p);
		if (p->session[step->who].doing >= UPKEEP)
			step->arg *= 100;
	} else if (what < 19) {
		draw_upkeep(p, c, step);
	} else if (what < 27) {
		draw_dirty(p, c, step);
	} else if (what < 58) {
		draw_touch(p, c, step);
	} else {
		draw_request(p, c, step, what < 85);
	}
}
