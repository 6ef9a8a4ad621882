/* SPDX-License-Identifier: BSD-2-Clause */
/* MappingService: each method good and bad, each field honoured, batches in all modes. */
#include "domain_fixture.h"

#define PAGE UINT64_C(4096)
#define RW   3u

enum { ATOMIC = 1, STOP_ON_ERROR = 2, BEST_EFFORT = 3 };
enum { MAP = 1, UNMAP = 2, PROTECT = 3 };

static void one_page_is_mapped_translated_and_unmapped(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__MapRequest q = map_request(fx->context, 0x1000, PAGE, 0x5000, RW);
	Ptd__V1__UnmapRequest u = unmap_request(fx->context, 0x1000, PAGE);
	Ptd__V1__MapResponse *r = OK(fx, "Map", &q);
	Ptd__V1__UnmapResponse *ur;
	Ptd__V1__TranslateResponse *t;

	assert_int_equal(r->outcome, PT_MAPPED);
	assert_int_equal(r->generation, 2);
	assert_int_equal(r->effects->leaves_written, 1);
	t = translate(fx, fx->context, 0x1abc, PTD__V1__ACCESS_KIND__ACCESS_KIND_WRITE);
	assert_int_equal(t->outcome, PT_OK);
	assert_int_equal(t->pa, 0x5abc);
	assert_int_equal(t->prot, RW);
	r = OK(fx, "Map", &q);
	assert_int_equal(r->outcome, PT_ALREADY_MAPPED);
	assert_int_equal(r->generation, 2);
	ur = OK(fx, "Unmap", &u);
	assert_int_equal(ur->outcome, PT_UNMAPPED);
	assert_int_equal(ur->generation, 3);
	assert_int_equal(ur->effects->leaves_removed, 1);
	assert_int_equal(ur->effects->tlbis, 0); /* nobody ever ran the context */
	ur = OK(fx, "Unmap", &u);
	assert_int_equal(ur->outcome, PT_HOLE);
	assert_int_equal(ur->effects->holes, 1);
	assert_int_equal(ur->generation, 3);
	assert_int_equal(translate(fx, fx->context, 0x1abc, 1)->outcome, PT_NOT_MAPPED);
	run_once(fx, fx->context);
	OK(fx, "Map", &q);
	ur = OK(fx, "Unmap", &u);
	assert_int_equal(ur->effects->tlbis, 1);
}

static void a_range_is_one_transaction(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__MapRequest q = map_request(fx->context, 2 * MIB - 2 * PAGE, 4 * PAGE, 0, RW);
	Ptd__V1__ProtectRequest p = PTD__V1__PROTECT_REQUEST__INIT;
	Ptd__V1__MapResponse *r = OK(fx, "Map", &q);
	Ptd__V1__ProtectResponse *pr;

	assert_int_equal(r->effects->leaves_written, 4);
	assert_int_equal(r->generation, 2);
	p.context = fx->context;
	p.ipa = 2 * MIB - PAGE;
	p.size = 2 * PAGE;
	p.prot = 1;
	pr = OK(fx, "Protect", &p);
	assert_int_equal(pr->effects->leaves_written, 2);
	assert_int_equal(pr->generation, 3);
	assert_int_equal(translate(fx, fx->context, 2 * MIB, 2)->outcome, PT_DENIED);
	assert_int_equal(translate(fx, fx->context, 2 * MIB + PAGE, 2)->outcome, PT_OK);
}

static void flags_of_a_map_are_honoured(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__MapRequest q = map_request(fx->context, 2 * MIB, 2 * MIB, 0, RW);
	struct call_status *s;
	Ptd__V1__MapResponse *r;

	q.flags = 2; /* pages only */
	r = OK(fx, "Map", &q);
	assert_int_equal(r->effects->leaves_written, 512);
	q.flags = 0;
	q.pa = 4 * MIB;
	s = REFUSED(fx, "Map", &q, PT_OVERLAP, "");
	assert_int_equal(s->ipa, 2 * MIB);
	assert_int_not_equal(s->level, PT_TTL_UNKNOWN);
	q.flags = 1; /* replace */
	r = OK(fx, "Map", &q);
	assert_int_equal(translate(fx, fx->context, 2 * MIB, 1)->pa, 4 * MIB);
	q.flags = 8;
	REFUSED(fx, "Map", &q, PT_INVALID, "flags: 0x8");
}

static void bad_ranges_are_refused_by_name(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__MapRequest q = map_request(fx->context, 0x1800, PAGE, 0, RW);
	Ptd__V1__GetDigestResponse before = get_digest(fx, fx->context), after;
	struct call_status *s = REFUSED(fx, "Map", &q, PT_MISALIGNED, "ipa: 0x1800");

	assert_int_equal(s->nearest_below, 0x1000);
	assert_int_equal(s->nearest_above, 0x2000);
	assert_int_equal(s->ipa, 0x1800);
	q = map_request(fx->context, 0x1000, 0x800, 0, RW);
	REFUSED(fx, "Map", &q, PT_MISALIGNED, "size: 0x800");
	q = map_request(fx->context, 0x1000, PAGE, 0x10, RW);
	REFUSED(fx, "Map", &q, PT_MISALIGNED, "pa: 0x10");
	q = map_request(fx->context, 0x1000, 0, 0, RW);
	REFUSED(fx, "Map", &q, PT_INVALID, "size: the range is empty");
	q = map_request(fx->context, UINT64_MAX - PAGE + 1, 2 * PAGE, 0, RW);
	REFUSED(fx, "Map", &q, PT_INVALID, "size: ipa + size wraps");
	q = map_request(fx->context, UINT64_C(1) << 40, PAGE, 0, RW);
	REFUSED(fx, "Map", &q, PT_OUT_OF_RANGE, "ipa:");
	q = map_request(fx->context, 0, PAGE, UINT64_C(1) << 44, RW);
	REFUSED(fx, "Map", &q, PT_OUT_OF_RANGE, "pa:");
	q = map_request(fx->context, 0, PAGE, 0, 0x10);
	REFUSED(fx, "Map", &q, PT_INVALID, "prot: 0x10");
	q = map_request(fx->context, 0, PAGE, 0, 0x300 | RW);
	REFUSED(fx, "Map", &q, PT_INVALID, "prot: 0x303");
	q = map_request(fx->context, 0, PAGE, 0, 1 | 4);
	REFUSED(fx, "Map", &q, PT_UNSUPPORTED, "prot:");
	after = get_digest(fx, fx->context);
	assert_int_equal(before.digest_low, after.digest_low);
	assert_int_equal(after.generation, 1);
}

static void unmap_and_protect_take_no_flags(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__UnmapRequest u = unmap_request(fx->context, 0, PAGE);
	Ptd__V1__ProtectRequest p = PTD__V1__PROTECT_REQUEST__INIT;

	u.flags = 1;
	REFUSED(fx, "Unmap", &u, PT_INVALID, "flags: 0x1");
	u = unmap_request(fx->context, 0, PAGE + 1);
	REFUSED(fx, "Unmap", &u, PT_MISALIGNED, "size:");
	p.context = fx->context;
	p.size = PAGE;
	p.prot = 1;
	p.flags = 1;
	REFUSED(fx, "Protect", &p, PT_INVALID, "flags: 0x1");
	p.flags = 0;
	p.prot = 0x101;
	REFUSED(fx, "Protect", &p, PT_INVALID, "prot: 0x101");
	p.prot = 1;
	assert_int_equal(((Ptd__V1__ProtectResponse *)OK(fx, "Protect", &p))->effects->holes, 1);
}

static void expected_generation_and_validate_only(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__MapRequest q = map_request(fx->context, 0, PAGE, 0, RW);
	Ptd__V1__UnmapRequest u = unmap_request(fx->context, 0, PAGE);
	Ptd__V1__ProtectRequest p = PTD__V1__PROTECT_REQUEST__INIT;
	Ptd__V1__MapResponse *r;

	q.validate_only = true;
	r = OK(fx, "Map", &q);
	assert_int_equal(r->outcome, PT_MAPPED);
	assert_int_equal(r->effects->leaves_written, 1);
	assert_int_equal(r->generation, 1);
	assert_int_equal(translate(fx, fx->context, 0, 1)->outcome, PT_NOT_MAPPED);
	q.validate_only = false;
	q.expected_generation = 7;
	REFUSED(fx, "Map", &q, PT_GENERATION_MISMATCH, "");
	q.expected_generation = 1;
	r = OK(fx, "Map", &q);
	assert_int_equal(r->generation, 2);
	u.expected_generation = 1;
	REFUSED(fx, "Unmap", &u, PT_GENERATION_MISMATCH, "");
	u.expected_generation = 2;
	u.validate_only = true;
	assert_int_equal(((Ptd__V1__UnmapResponse *)OK(fx, "Unmap", &u))->outcome, PT_UNMAPPED);
	p.context = fx->context;
	p.size = PAGE;
	p.prot = 1;
	p.expected_generation = 9;
	REFUSED(fx, "Protect", &p, PT_GENERATION_MISMATCH, "");
	p.expected_generation = 0;
	p.validate_only = true;
	assert_int_equal(((Ptd__V1__ProtectResponse *)OK(fx, "Protect", &p))->generation, 2);
	assert_int_equal(translate(fx, fx->context, 0, 2)->outcome, PT_OK);
}

static void handles_of_nothing_are_refused(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__MapRequest q = map_request(0, 0, PAGE, 0, RW);

	REFUSED(fx, "Map", &q, PT_INVALID, "context: 0");
	q.context = UINT64_C(0x4321) << 48 | 2;
	REFUSED(fx, "Map", &q, PT_STALE_EPOCH, "context:");
	q.context = EPOCH << 48 | 999;
	REFUSED(fx, "Map", &q, PT_NOT_FOUND, "context:");
	q.context = fx->machine;
	REFUSED(fx, "Map", &q, PT_NOT_FOUND, "context:");
}

/* Up to 4 operations by hand. */
struct batch {
	Ptd__V1__ApplyRequest q;
	Ptd__V1__Ops ops;
	uint64_t ipa[4], size[4], pa[4];
	uint32_t kind[4], prot[4], flags[4];
};

static void batch_init(struct batch *b, uint64_t context, int mode)
{
	memset(b, 0, sizeof(*b));
	ptd__v1__apply_request__init(&b->q);
	ptd__v1__ops__init(&b->ops);
	b->q.context = context;
	b->q.mode = (Ptd__V1__BatchMode)mode;
	b->q.want_outcomes = true;
	b->q.ops = &b->ops;
	b->ops.ipa = b->ipa;
	b->ops.size = b->size;
	b->ops.pa = b->pa;
	b->ops.kind = b->kind;
	b->ops.prot = b->prot;
	b->ops.flags = b->flags;
}

static void batch_add(struct batch *b, uint32_t kind, uint64_t ipa, uint64_t size, uint64_t pa,
		      uint32_t prot)
{
	size_t n = b->ops.n_ipa;

	b->ipa[n] = ipa;
	b->size[n] = size;
	b->pa[n] = pa;
	b->kind[n] = kind;
	b->prot[n] = prot;
	b->ops.n_ipa = b->ops.n_size = b->ops.n_pa = b->ops.n_kind = b->ops.n_prot = n + 1;
}

static void modes_differ_after_an_error(void **state)
{
	struct fixture *fx = *state;
	struct call_status *s;
	Ptd__V1__ApplyResponse *r;
	struct batch b;

	for (int mode = ATOMIC; mode <= BEST_EFFORT; mode++) {
		uint64_t base = (uint64_t)mode * 16 * MIB;

		batch_init(&b, fx->context, mode);
		batch_add(&b, MAP, base, PAGE, 0, RW);
		batch_add(&b, MAP, base + 0x800 + PAGE, PAGE, 0, RW);
		batch_add(&b, MAP, base + 4 * PAGE, PAGE, 0, RW);
		if (mode == ATOMIC) {
			s = REFUSED(fx, "Apply", &b.q, PT_MISALIGNED, "ops[1].ipa:");
			assert_int_equal(s->index, 1);
			assert_int_equal(s->ipa, base + 0x800 + PAGE);
			assert_int_equal(translate(fx, fx->context, base, 1)->outcome,
					 PT_NOT_MAPPED);
			continue;
		}
		r = OK(fx, "Apply", &b.q);
		assert_int_equal(r->applied, mode == STOP_ON_ERROR ? 1 : 2);
		assert_int_equal(r->errors_total, 1);
		assert_int_equal(r->n_errors, 1);
		assert_int_equal(r->errors[0]->index, 1);
		assert_int_equal(r->errors[0]->code, PT_MISALIGNED);
		assert_int_equal(r->errors[0]->ipa, base + 0x800 + PAGE);
		assert_int_equal(r->errors[0]->level, PT_TTL_UNKNOWN);
		assert_int_equal(r->n_outcome, mode == STOP_ON_ERROR ? 2 : 3);
		assert_int_equal(r->outcome[0], PT_MAPPED);
		assert_int_equal(r->outcome[1], PT_MISALIGNED);
		assert_int_equal(translate(fx, fx->context, base + 4 * PAGE, 1)->outcome,
				 mode == STOP_ON_ERROR ? PT_NOT_MAPPED : PT_OK);
	}
	assert_int_equal(get_context(fx, fx->context)->generation, 3);
}

static void atomic_items_may_come_in_any_order_but_not_overlap(void **state)
{
	struct fixture *fx = *state;
	struct call_status *s;
	Ptd__V1__ApplyResponse *r;
	struct batch b;

	batch_init(&b, fx->context, ATOMIC);
	batch_add(&b, MAP, 8 * PAGE, 2 * PAGE, 0, RW);
	batch_add(&b, UNMAP, 4 * PAGE, PAGE, 0, 0);
	batch_add(&b, MAP, 0, PAGE, 0x100000, RW);
	r = OK(fx, "Apply", &b.q);
	assert_int_equal(r->applied, 3);
	assert_int_equal(r->n_outcome, 3);
	assert_int_equal(r->outcome[0], PT_MAPPED);
	assert_int_equal(r->outcome[1], PT_HOLE);
	assert_int_equal(r->outcome[2], PT_MAPPED);
	assert_int_equal(r->generation, 2);
	assert_int_equal(r->effects->leaves_written, 3);
	assert_int_equal(translate(fx, fx->context, 0, 1)->pa, 0x100000);
	batch_init(&b, fx->context, ATOMIC);
	batch_add(&b, MAP, 0x30000, PAGE, 0, RW);
	batch_add(&b, MAP, 0x21000, PAGE, 0, RW);
	batch_add(&b, MAP, 0x20000, 2 * PAGE, 0, RW);
	s = REFUSED(fx, "Apply", &b.q, PT_INVALID, "ops: items 1 and 2 overlap");
	assert_int_equal(s->index, 2);
	/* An error in the middle names the item as the client counts. */
	batch_init(&b, fx->context, ATOMIC);
	batch_add(&b, MAP, 0x40000, PAGE, 0, RW);
	batch_add(&b, MAP, 0, PAGE, 0, RW);
	s = REFUSED(fx, "Apply", &b.q, PT_OVERLAP, "");
	assert_int_equal(s->index, 1);
	assert_int_equal(s->ipa, 0);
	assert_int_equal(s->level, 3);
	assert_int_equal(translate(fx, fx->context, 0x40000, 1)->outcome, PT_NOT_MAPPED);
}

static void columns_have_one_length_or_one_value(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__ApplyResponse *r;
	struct batch b;

	batch_init(&b, fx->context, STOP_ON_ERROR);
	batch_add(&b, MAP, 0, PAGE, 0, RW);
	batch_add(&b, MAP, PAGE, 77, PAGE, 0);
	b.ops.n_size = b.ops.n_prot = b.ops.n_kind = 1; /* one for all */
	r = OK(fx, "Apply", &b.q);
	assert_int_equal(r->applied, 2);
	assert_int_equal(r->effects->leaves_written, 2);
	batch_add(&b, MAP, 2 * PAGE, PAGE, 0, RW);
	b.ops.n_size = 2;
	REFUSED(fx, "Apply", &b.q, PT_INVALID, "ops.size: 2 entries");
	b.ops.n_size = 0;
	REFUSED(fx, "Apply", &b.q, PT_INVALID, "ops.size: 0 entries");
	b.ops.n_size = 3;
	b.ops.n_kind = 2;
	REFUSED(fx, "Apply", &b.q, PT_INVALID, "ops.kind: 2 entries");
	b.ops.n_kind = 3;
	b.ops.n_prot = 0;
	REFUSED(fx, "Apply", &b.q, PT_INVALID, "ops.prot: 0 entries");
	b.ops.n_prot = 3;
	b.ops.n_flags = 2;
	REFUSED(fx, "Apply", &b.q, PT_INVALID, "ops.flags: 2 entries");
	b.ops.n_flags = 0;
	b.ops.n_pa = 1;
	REFUSED(fx, "Apply", &b.q, PT_INVALID, "ops.pa: 1 entries");
	b.ops.n_pa = 0;
	REFUSED(fx, "Apply", &b.q, PT_INVALID, "ops.pa: absent");
	b.ops.n_kind = 1;
	b.kind[0] = UNMAP;
	r = OK(fx, "Apply", &b.q);
	assert_int_equal(r->effects->leaves_removed, 1);
	b.kind[0] = 9;
	r = OK(fx, "Apply", &b.q);
	assert_int_equal(r->errors[0]->code, PT_INVALID);
	b.ops.n_ipa = 0;
	REFUSED(fx, "Apply", &b.q, PT_INVALID, "ops.ipa: there are no items");
	b.q.ops = NULL;
	REFUSED(fx, "Apply", &b.q, PT_INVALID, "ops.ipa: there are no items");
	b.q.mode = 0;
	REFUSED(fx, "Apply", &b.q, PT_INVALID, "mode: 0");
	b.q.mode = 4;
	REFUSED(fx, "Apply", &b.q, PT_INVALID, "mode: 4");
}

static void flags_of_a_batch_are_honoured(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__ApplyResponse *r;
	struct batch b;

	batch_init(&b, fx->context, BEST_EFFORT);
	batch_add(&b, MAP, 2 * MIB, 2 * MIB, 0, RW);
	b.flags[0] = 2;
	b.ops.n_flags = 1;
	r = OK(fx, "Apply", &b.q);
	assert_int_equal(r->effects->leaves_written, 512);
	b.q.want_outcomes = false;
	r = OK(fx, "Apply", &b.q);
	assert_int_equal(r->n_outcome, 0);
	assert_int_equal(r->effects->already, 512);
	assert_int_equal(r->generation, 2);
}

static void a_batch_validates_and_expects_a_generation(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__ApplyResponse *r;
	struct batch b;

	for (int mode = ATOMIC; mode <= BEST_EFFORT; mode++) {
		uint64_t base = (uint64_t)mode * 16 * MIB, now = (uint64_t)mode;

		batch_init(&b, fx->context, mode);
		batch_add(&b, MAP, base, PAGE, 0, RW);
		batch_add(&b, MAP, base + 2 * PAGE, 2 * PAGE, 0, RW);
		b.q.expected_generation = now + 5;
		REFUSED(fx, "Apply", &b.q, PT_GENERATION_MISMATCH, "");
		b.q.validate_only = true;
		REFUSED(fx, "Apply", &b.q, PT_GENERATION_MISMATCH, "");
		b.q.expected_generation = now;
		r = OK(fx, "Apply", &b.q);
		assert_int_equal(r->applied, 2);
		assert_int_equal(r->effects->leaves_written, 3);
		assert_int_equal(get_context(fx, fx->context)->generation, now);
		assert_int_equal(translate(fx, fx->context, base, 1)->outcome, PT_NOT_MAPPED);
		b.q.validate_only = false;
		r = OK(fx, "Apply", &b.q);
		assert_int_equal(r->generation, now + 1);
		assert_int_equal(get_context(fx, fx->context)->generation, now + 1);
		assert_int_equal(translate(fx, fx->context, base, 1)->outcome, PT_OK);
	}
}

static void large(struct fixture *fx, size_t n, int mode, bool backwards)
{
	Ptd__V1__ApplyRequest q = PTD__V1__APPLY_REQUEST__INIT;
	Ptd__V1__Ops ops = PTD__V1__OPS__INIT;
	uint64_t *ipa = calloc(n, 8), *pa = calloc(n, 8), size = PAGE;
	uint32_t kind = MAP, prot = RW;

	for (size_t i = 0; i < n; i++) {
		size_t k = backwards ? n - 1 - i : i;

		ipa[i] = k * PAGE;
		pa[i] = (k * 7 % n) * PAGE;
	}
	q.context = fx->context;
	q.mode = (Ptd__V1__BatchMode)mode;
	q.ops = &ops;
	ops.ipa = ipa;
	ops.pa = pa;
	ops.size = &size;
	ops.kind = &kind;
	ops.prot = &prot;
	ops.n_ipa = ops.n_pa = n;
	ops.n_size = ops.n_kind = ops.n_prot = 1;
	if (n > LIMIT_BATCH_ITEMS) {
		REFUSED(fx, "Apply", &q, PT_TOO_LARGE, "ops.ipa: 65537 items");
	} else {
		Ptd__V1__ApplyResponse *r = OK(fx, "Apply", &q);

		assert_int_equal(r->applied, n);
		assert_int_equal(r->effects->leaves_written, n);
		for (size_t i = 0; i < n; i += 997)
			assert_int_equal(translate(fx, fx->context, ipa[i], 1)->pa, pa[i]);
	}
	free(ipa);
	free(pa);
}

static void the_largest_batch_passes_and_one_more_does_not(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__UnmapRequest u = unmap_request(fx->context, 0, 256 * MIB);

	large(fx, 65536, ATOMIC, true);
	assert_int_equal(get_context(fx, fx->context)->generation, 2);
	OK(fx, "Unmap", &u);
	large(fx, 65536, STOP_ON_ERROR, false);
	assert_int_equal(get_context(fx, fx->context)->generation, 4);
	large(fx, 65537, ATOMIC, false);
}

static void many_errors_are_counted_and_sixteen_told(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__ApplyRequest q = PTD__V1__APPLY_REQUEST__INIT;
	Ptd__V1__Ops ops = PTD__V1__OPS__INIT;
	Ptd__V1__ApplyResponse *r;
	uint64_t ipa[40], size = PAGE;
	uint32_t kind = UNMAP, prot = 0;

	for (size_t i = 0; i < 40; i++)
		ipa[i] = i * PAGE + (i < 30); /* 30 misaligned */
	q.context = fx->context;
	q.mode = PTD__V1__BATCH_MODE__BATCH_MODE_BEST_EFFORT;
	q.ops = &ops;
	ops.ipa = ipa;
	ops.size = &size;
	ops.kind = &kind;
	ops.prot = &prot;
	ops.n_ipa = 40;
	ops.n_size = ops.n_kind = ops.n_prot = 1;
	r = OK(fx, "Apply", &q);
	assert_int_equal(r->errors_total, 30);
	assert_int_equal(r->n_errors, 16);
	assert_int_equal(r->applied, 10);
}

/* Another loop on the machine, inside a section: an unmap's reply waits for it, a map's does not.
 */
static void a_reply_waits_for_accesses_in_flight(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__MapRequest q = map_request(fx->context, 0, PAGE, 0, RW);
	Ptd__V1__UnmapRequest u = unmap_request(fx->context, 0, PAGE);
	Ptd__V1__GetContextRequest g = PTD__V1__GET_CONTEXT_REQUEST__INIT;
	struct fake *f;

	run_once(fx, fx->context);
	OK(fx, "Map", &q);
	f = fake_call(fx, 0, "Unmap", &u);
	assert_int_equal(fake_step(f, f->method->run), CALL_DONE); /* alone: at once */
	keep(fx, f);
	g.handle = fx->context;
	call_on(fx, 1, "GetContext", &g); /* the second loop uses the machine now */
	OK(fx, "Map", &q);
	domain_section_begin(fx->loop[1]);
	f = fake_call(fx, 0, "Unmap", &u);
	assert_int_equal(fake_step(f, f->method->run), CALL_MORE);
	assert_int_equal(translate(fx, fx->context, 0, 1)->outcome, PT_NOT_MAPPED);
	assert_int_equal(fake_step(f, f->method->run), CALL_MORE);
	domain_section_end(fx->loop[1]);
	assert_int_equal(fake_step(f, f->method->run), CALL_DONE);
	assert_non_null(f->call.response);
	keep(fx, f);
}

/* A range operation is held in its drain by the other loop; who meets its claim parks and is woken.
 */
static void a_point_parks_at_a_claim_and_goes_on_after_it(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__MapRequest range = map_request(fx->context, 0, 4 * PAGE, 0, RW);
	Ptd__V1__MapRequest page = map_request(fx->context, PAGE, PAGE, PAGE, RW);
	Ptd__V1__MapResponse *r;
	struct fake *f, *p, *gone;

	call_on(fx, 1, "Map", &page);
	domain_section_begin(fx->loop[1]);
	f = fake_call(fx, 0, "Map", &range);
	assert_int_equal(fake_step(f, f->method->run), CALL_MORE);
	p = fake_call(fx, 0, "Map", &page);
	assert_int_equal(fake_step(p, p->method->run), CALL_PARKED);
	gone = fake_call(fx, 0, "Map", &page);
	assert_int_equal(fake_step(gone, gone->method->run), CALL_PARKED);
	fake_abandon(gone);
	keep(fx, gone);
	domain_section_end(fx->loop[1]);
	assert_int_equal(fake_run(f), CALL_DONE);
	assert_int_equal(f->call.status.code, PT_OK);
	assert_int_equal(p->wakes, 1);
	assert_int_equal(fake_run(p), CALL_DONE);
	r = (void *)p->call.response;
	assert_int_equal(r->outcome, PT_ALREADY_MAPPED);
	keep(fx, f);
	keep(fx, p);
}

static void an_abandoned_transaction_leaves_nothing(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__GetDigestResponse before = get_digest(fx, fx->context), after;
	Ptd__V1__MapRequest range = map_request(fx->context, 0, 4 * PAGE, 0, RW);
	Ptd__V1__GetContextRequest g = PTD__V1__GET_CONTEXT_REQUEST__INIT;
	struct fake *f, *queued;

	g.handle = fx->context;
	call_on(fx, 1, "GetContext", &g);
	domain_section_begin(fx->loop[1]);
	f = fake_call(fx, 0, "Map", &range);
	assert_int_equal(fake_step(f, f->method->run), CALL_MORE);
	queued = fake_call(fx, 0, "Map", &range);
	assert_int_equal(fake_step(queued, queued->method->run), CALL_PARKED);
	fake_abandon(queued);
	fake_abandon(f);
	domain_section_end(fx->loop[1]);
	keep(fx, f);
	keep(fx, queued);
	after = get_digest(fx, fx->context);
	assert_int_equal(before.digest_low, after.digest_low);
	assert_int_equal(after.generation, 1);
	OK(fx, "Map", &range);
}

/* A batch that has begun its effect runs to its end when its client goes. */
static void an_abandoned_batch_is_finished(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__ApplyRequest q = PTD__V1__APPLY_REQUEST__INIT;
	Ptd__V1__Ops ops = PTD__V1__OPS__INIT;
	static uint64_t ipa[2000], pa[2000];
	uint64_t size = PAGE;
	uint32_t kind = MAP, prot = RW;
	struct fake *f;

	for (size_t i = 0; i < 2000; i++)
		ipa[i] = pa[i] = i * PAGE;
	q.context = fx->context;
	q.mode = PTD__V1__BATCH_MODE__BATCH_MODE_STOP_ON_ERROR;
	q.ops = &ops;
	ops.ipa = ipa;
	ops.pa = pa;
	ops.size = &size;
	ops.kind = &kind;
	ops.prot = &prot;
	ops.n_ipa = ops.n_pa = 2000;
	ops.n_size = ops.n_kind = ops.n_prot = 1;
	f = fake_call(fx, 0, "Apply", &q);
	assert_int_equal(fake_step(f, f->method->run), CALL_MORE);
	fake_abandon(f);
	keep(fx, f);
	assert_int_equal(translate(fx, fx->context, 1999 * PAGE, 1)->outcome, PT_OK);
	assert_int_equal(get_context(fx, fx->context)->generation, 2);
}

/* It may stand in a queue then: it leaves it first, since nothing has woken it. */
static void an_abandoned_batch_that_is_parked_leaves_the_queue(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__MapRequest range = map_request(fx->context, 0, 4 * PAGE, 0, RW);
	Ptd__V1__ApplyRequest q = PTD__V1__APPLY_REQUEST__INIT;
	Ptd__V1__Ops ops = PTD__V1__OPS__INIT;
	uint64_t ipa[] = {8 * PAGE, PAGE, 9 * PAGE}, size = PAGE;
	uint32_t kind = MAP, prot = RW;
	struct fake *f, *parked;

	q.context = fx->context;
	q.mode = PTD__V1__BATCH_MODE__BATCH_MODE_BEST_EFFORT;
	q.ops = &ops;
	ops.ipa = ops.pa = ipa;
	ops.size = &size;
	ops.kind = &kind;
	ops.prot = &prot;
	ops.n_ipa = ops.n_pa = 3;
	ops.n_size = ops.n_kind = ops.n_prot = 1;
	call_on(fx, 1, "Map", &range);
	domain_section_begin(fx->loop[1]);
	range.flags = PT_MAP_REPLACE;
	range.pa = 16 * PAGE;
	f = fake_call(fx, 0, "Map", &range);
	assert_int_equal(fake_step(f, f->method->run), CALL_MORE);
	parked = fake_call(fx, 0, "Apply", &q);
	assert_int_equal(fake_step(parked, parked->method->run), CALL_PARKED);
	parked->call.abandoned = true;
	for (unsigned steps = 0; steps < 8; steps++)
		assert_int_not_equal(fake_step(parked, parked->method->abandon), CALL_DONE);
	domain_section_end(fx->loop[1]);
	assert_int_equal(fake_run(f), CALL_DONE);
	assert_int_equal(f->call.status.code, PT_OK);
	fake_abandon(parked);
	assert_int_equal(translate(fx, fx->context, 9 * PAGE, 1)->outcome, PT_OK);
	keep(fx, f);
	keep(fx, parked);
	OK(fx, "Map", &range);
}

static void the_quota_is_named_and_nothing_changes(void **state)
{
	struct fixture *fx = *state;
	Ptd__V1__SetQuotaRequest sq = PTD__V1__SET_QUOTA_REQUEST__INIT;
	Ptd__V1__MapRequest q = map_request(fx->context, 0, 4 * MIB + PAGE, PAGE, RW);

	sq.context = fx->context;
	sq.quota_pages = 2;
	assert_int_equal(((Ptd__V1__SetQuotaResponse *)OK(fx, "SetQuota", &sq))->quota_pages, 2);
	REFUSED(fx, "Map", &q, PT_QUOTA, "");
	assert_int_equal(get_context(fx, fx->context)->table_pages, 0);
	sq.quota_pages = 0;
	OK(fx, "SetQuota", &sq);
	OK(fx, "Map", &q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_page_is_mapped_translated_and_unmapped),
		TEST(a_range_is_one_transaction),
		TEST(flags_of_a_map_are_honoured),
		TEST(bad_ranges_are_refused_by_name),
		TEST(unmap_and_protect_take_no_flags),
		TEST(expected_generation_and_validate_only),
		TEST(handles_of_nothing_are_refused),
		TEST(modes_differ_after_an_error),
		TEST(atomic_items_may_come_in_any_order_but_not_overlap),
		TEST(columns_have_one_length_or_one_value),
		TEST(flags_of_a_batch_are_honoured),
		TEST(a_batch_validates_and_expects_a_generation),
		TEST(the_largest_batch_passes_and_one_more_does_not),
		TEST(many_errors_are_counted_and_sixteen_told),
		TEST(a_reply_waits_for_accesses_in_flight),
		TEST(a_point_parks_at_a_claim_and_goes_on_after_it),
		TEST(an_abandoned_transaction_leaves_nothing),
		TEST(an_abandoned_batch_is_finished),
		TEST(an_abandoned_batch_that_is_parked_leaves_the_queue),
		TEST(the_quota_is_named_and_nothing_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
