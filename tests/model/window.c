/* SPDX-License-Identifier: BSD-2-Clause */
/* The contexts of a play: their formats, and where their addresses are drawn from. */
#include "play.h"

struct shape {
	struct pt_geometry_args args;
};

/* All descriptor formats; start tables alone and concatenated; start levels -1 to 2. */
static const struct shape shapes[] = {
	{{.granule_shift = 12, .ipa_bits = 40, .pa_bits = 44}},
	{{.granule_shift = 14, .ipa_bits = 40, .pa_bits = 44}},
	{{.granule_shift = 16, .ipa_bits = 42, .pa_bits = 44}},
	{{.granule_shift = 12, .ipa_bits = 52, .pa_bits = 52, .ds = true}},
	{{.granule_shift = 14, .ipa_bits = 48, .pa_bits = 52, .ds = true}},
	{{.granule_shift = 16, .ipa_bits = 48, .pa_bits = 52}},
	{{.granule_shift = 12, .ipa_bits = 44, .pa_bits = 44, .start_level_given = true}},
	{{.granule_shift = 12,
	  .ipa_bits = 52,
	  .pa_bits = 52,
	  .ds = true,
	  .start_level_given = true,
	  .start_level = -1}},
};
const unsigned shape_count = sizeof(shapes) / sizeof(shapes[0]);

#define PA_WRAP (UINT64_C(8) << 30)

/* A low window across the end of a level 1 entry, so that upper tables come and go, and the last
 * blocks of the space. */
static void make_windows(struct context *c)
{
	uint64_t block = UINT64_C(1) << model_shift(&c->model, 2);
	uint64_t top = UINT64_C(1) << c->model.ipa_bits;
	uint64_t first = UINT64_C(1) << model_shift(&c->model, 1);

	c->low = (struct window){.ipa = first < top ? first - block : 0, .bytes = 3 * block};
	c->high = (struct window){.ipa = top - 2 * block, .bytes = 2 * block};
	c->low.pa = c->low.ipa % PA_WRAP;
	c->high.pa = c->high.ipa % PA_WRAP + 2 * PA_WRAP;
	if (c->model.identity) {
		c->low.pa = c->low.ipa;
		c->high.pa = c->high.ipa;
	}
	for (unsigned i = 0; i < HOT; i++)
		c->hot[i] = c->low.ipa;
}

static void open_model(struct play *p, struct context *c, const struct pt_geometry_args *a,
		       unsigned attrs)
{
	struct model *m = &c->model;
	struct reader *r = &c->reader;

	r->memory = p->port.table_va;
	r->memory_pa = p->port.table_pa;
	r->memory_bytes = p->port.table_bytes;
	r->fwb = attrs & PT_ATTR_FWB;
	r->xnx = attrs & PT_ATTR_XNX;
	if (!reader_open(r, pt_ctx_vtcr(&c->pt), pt_ctx_vttbr(&c->pt)))
		fail(p, "set-up: the registers of a context are not legal");
	if (r->granule != a->granule_shift || r->ipa_bits != a->ipa_bits ||
	    r->pa_bits != a->pa_bits)
		fail(p, "set-up: the registers say another format");
	*m = (struct model){.granule = a->granule_shift,
			    .ipa_bits = a->ipa_bits,
			    .pa_bits = a->pa_bits,
			    .start = r->start,
			    .top = r->top,
			    .fwb = r->fwb,
			    .xnx = r->xnx,
			    .ha = r->ha,
			    .hd = r->hd,
			    .bbm = PT_ATTR_BBM_OF(attrs),
			    .generation = 1,
			    .quota = UINT64_MAX};
}

static bool force_pages(void *arg, struct pt_ipa ipa, uint64_t size, uint32_t prot)
{
	(void)size, (void)prot;
	return model_forces(arg, ipa.v);
}

/* Software bits of its caller, of others and of nobody; now and then the two policies. */
static void set_policy(struct play *p, struct context *c)
{
	struct model *m = &c->model;

	m->sw = (uint8_t)below(p, 16);
	m->identity = below(p, 8) == 0;
	m->grouped = below(p, 3) == 0;
	m->forces = below(p, 4) == 0;
	if (pt_ctx_sw_own(&c->pt, (uint32_t)m->sw << PT_PROT_SW_SHIFT, PT_SW_CALLER) != PT_OK ||
	    (~m->sw & 3 &&
	     pt_ctx_sw_own(&c->pt, (~m->sw & 3u) << PT_PROT_SW_SHIFT, PT_SW_OWNERSHIP) != PT_OK) ||
	    (m->sw && pt_ctx_sw_own(&c->pt, (uint32_t)m->sw << PT_PROT_SW_SHIFT,
				    PT_SW_GUEST_LEVEL) != PT_WRONG_STATE))
		fail(p, "policy: the owners of software bits");
	if (pt_ctx_set_policy(&c->pt, m->identity ? PT_CTX_IDENTITY : 0,
			      m->forces ? force_pages : NULL, m) != PT_OK)
		fail(p, "policy: refused");
}

void context_open(struct play *p, unsigned index, unsigned shape)
{
	struct context *c = &p->ctx[index];
	struct session *s = &p->session[0];
	struct pt_geometry_args a = shapes[shape % shape_count].args;
	struct pt_geometry geo;
	static const unsigned updates[] = {0, 0, PT_VTCR_HA, PT_VTCR_HA | PT_VTCR_HD};
	unsigned attrs = (unsigned)below(p, 4) | PT_ATTR_BBM(below(p, 3));

	if (index == 0) {
		p->port = p->tables.port;
		pt_host_port_init(&p->port, &p->tables, a.pa_bits);
		pt_machine_init(&p->machine, &p->tables.world, &p->port, &p->mmu, a.pa_bits);
	} else {
		/* All contexts of a machine have its PA size. */
		for (; a.pa_bits != p->machine.pa_bits; shape++)
			a = shapes[(shape + 1) % shape_count].args;
	}
	if (pt_geometry_init(&geo, &a) != PT_OK)
		fail(p, "set-up: a shape is refused");
	session_begin(s);
	if (pt_ctx_init(&c->pt, &s->agent, &p->machine, &geo, attrs, updates[below(p, 4)],
			UINT64_MAX) != PT_OK)
		fail(p, "set-up: no context");
	session_end(s);
	open_model(p, c, &a, attrs);
	set_policy(p, c);
	make_windows(c);
}
