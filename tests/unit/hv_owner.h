/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A machine with owners that is driven by hypercalls, beside the model of ownership: a host, hyp, a
 * plain guest and a protected one, and some pages of memory. For a table of one program; it says
 * where the memory is (HVO_PA, and what hv_edges.h asks for), and defines what stands below as "the
 * machine's".
 */
#ifndef TESTS_UNIT_HV_OWNER_H
#define TESTS_UNIT_HV_OWNER_H

#include <stdbool.h>
#include <stdint.h>

#include <pt/hvc.h>
#include <pt/types.h>

#include "../model/owner.h"
#include "hv_edges.h"

#define HVO_PAGES  24u
#define HVO_PAGE   UINT64_C(4096)
#define HVO_IPA	   UINT64_C(0x200000)
#define HVO_GUESTS 2u /* places 0 and 1; the first is plain */
#define HVO_PLAIN  0u
#define HVO_OWNING 1u
#define HVO_HOST   OWN_GUESTS /* parties as own_reaches() has them */
#define HVO_HYP	   (OWN_GUESTS + 1)

/* What a party can read and write of HVO_PAGES addresses, a bit each, and which frames it comes to:
 * the sum of (n + 1) * PA over what it reads. */
struct hvo_view {
	uint64_t read, write, frames;
};

/* The machine's. Of a call of the host, and of a guest that runs: the answer's x0, its x1 in
 * hvo.x1. */
static int64_t hvo_host_call(uint32_t function, const uint64_t arg[5]);
static int64_t hvo_guest_call(unsigned guest, uint32_t function, const uint64_t arg[5]);
/* Hardware's walk of the tables of host, hyp (at the addresses of the frames) or guest. */
static void hvo_look(unsigned party, struct hvo_view *view);
/* An access of the host: does it go through? With `write`, *value is left there; else it is what
 * was found. */
static bool hvo_access(uint64_t pa, bool write, uint64_t *value);
/* A store of a guest: does it go through? */
static bool hvo_guest_store(unsigned guest, uint64_t ipa, uint64_t value);
/* x1 of OWNER. */
static uint64_t hvo_owner(uint64_t pa);
/* A guest that can run, which has nothing from HVO_IPA on; and its end, after TEARDOWN. */
static uint64_t hvo_guest_begins(bool protected);
static void hvo_guest_ends(uint64_t handle);

static struct hvo {
	struct own model;
	uint64_t guest[HVO_GUESTS]; /* handles */
	uint64_t x1;
	uint64_t lendings; /* that the machine has had */
	uint64_t done, refused, by[PT_HVC_COUNT];
} hvo;

/* All is the host's, and holds zeroes. */
static inline void hvo_begin(void)
{
	unsigned g;

	own_open(&hvo.model, HVO_PAGES, HVO_PAGES);
	hvo.model.handles = hvo.lendings;
	for (unsigned i = 0; i < HVO_GUESTS; i++) {
		hvo.guest[i] = hvo_guest_begins(i == HVO_OWNING);
		assert_int_equal(hvo.guest[i] & 0xff, i);
		assert_int_equal(own_reserve(&hvo.model, &g), PT_OK);
		assert_int_equal(own_create(&hvo.model, g, i == HVO_OWNING), PT_OK);
	}
}

static inline void hvo_lend_nothing(void);

/* The guests go; what hyp has stays hyp's. */
static inline void hvo_end(void)
{
	hvo_lend_nothing();
	for (unsigned i = 0; i < HVO_GUESTS; i++) {
		const uint64_t all[5] = {hvo.guest[i], HVO_IPA, HVO_PAGES * HVO_PAGE};

		assert_int_equal(hvo_host_call(PT_HVC_TEARDOWN, all), PT_OK);
		assert_int_equal(hvo_host_call(PT_HVC_RECLAIM_DYING, all), PT_OK);
		hvo_guest_ends(hvo.guest[i]);
	}
	hvo.lendings = hvo.model.handles;
	own_close(&hvo.model);
}

/* A transition, in pages of HVO_PA and HVO_IPA. */
struct hvo_op {
	uint32_t function;
	unsigned guest;
	uint64_t frame, gfn, n;
	uint32_t prot;
	bool wipe;
};

static inline int64_t hvo_code(enum pt_outcome outcome)
{
	return pt_is_error(outcome) ? -(int64_t)outcome : (int64_t)outcome;
}

static inline uint64_t hvo_pa(uint64_t frame)
{
	return HVO_PA + frame * HVO_PAGE;
}

static inline uint64_t hvo_ipa(uint64_t gfn)
{
	return HVO_IPA + gfn * HVO_PAGE;
}

static inline bool hvo_is_guests(uint32_t function)
{
	return function >= PT_HVC_SHARE_BACK && function <= PT_HVC_BALLOON;
}

/* As it is asked of EL2. */
static inline int64_t hvo_ask(const struct hvo_op *op)
{
	uint64_t size = op->n * HVO_PAGE, g = hvo.guest[op->guest], a = hvo_ipa(op->gfn);

	if (hvo_is_guests(op->function))
		return hvo_guest_call(op->guest, op->function, (const uint64_t[5]){a, size});
	switch (op->function) {
	case PT_HVC_SHARE_GUEST:
	case PT_HVC_DONATE_GUEST:
		return hvo_host_call(op->function,
				     (const uint64_t[5]){g, a, size, hvo_pa(op->frame),
							 op->function == PT_HVC_SHARE_GUEST
								 ? op->prot
								 : op->wipe});
	case PT_HVC_UNSHARE_GUEST:
	case PT_HVC_RECLAIM_DYING:
		return hvo_host_call(op->function, (const uint64_t[5]){g, a, size});
	default:
		return hvo_host_call(op->function,
				     (const uint64_t[5]){hvo_pa(op->frame), size, op->wipe});
	}
}

static inline enum pt_outcome hvo_model(struct own *o, const struct hvo_op *op)
{
	uint64_t f = op->frame, n = op->n, a = op->gfn;
	unsigned g = op->guest;

	switch (op->function) {
	case PT_HVC_SHARE_HYP: return own_share_hyp(o, f, n);
	case PT_HVC_UNSHARE_HYP: return own_unshare_hyp(o, f, n);
	case PT_HVC_PIN: return own_pin(o, f, n);
	case PT_HVC_UNPIN: return own_unpin(o, f, n);
	case PT_HVC_DONATE_HYP: return own_donate_hyp(o, f, n, op->wipe);
	case PT_HVC_RETURN_HYP: return own_return_hyp(o, f, n);
	case PT_HVC_SHARE_THIRD: return own_share_third(o, f, n);
	case PT_HVC_UNSHARE_THIRD: return own_unshare_third(o, f, n);
	case PT_HVC_SHARE_GUEST: return own_share_guest(o, f, g, a, n, (uint8_t)op->prot);
	case PT_HVC_UNSHARE_GUEST: return own_unshare_guest(o, g, a, n);
	case PT_HVC_DONATE_GUEST: return own_donate_guest(o, f, g, a, n, op->wipe);
	case PT_HVC_SHARE_BACK: return own_share_back(o, g, a, n);
	case PT_HVC_UNSHARE_BACK: return own_unshare_back(o, g, a, n);
	case PT_HVC_BALLOON: return own_balloon(o, g, a, n);
	case PT_HVC_FORCE_RECLAIM: return own_force_reclaim(o, f, n);
	default: return own_reclaim_dying(o, g, a, n);
	}
}

/* What the model says that a party can reach. */
static inline void hvo_expected(unsigned party, struct hvo_view *v)
{
	*v = (struct hvo_view){0};
	for (uint64_t i = 0; i < HVO_PAGES; i++) {
		const struct own_cell *c =
			party < OWN_GUESTS ? &hvo.model.guest[party].map[i] : NULL;
		bool reaches =
			c ? c->state <= OWN_LENT_BORROWED : own_reaches(&hvo.model, party, i);

		if (!reaches)
			continue;
		v->read |= UINT64_C(1) << i;
		v->write |= (uint64_t)(!c || c->prot & PT_PROT_W) << i;
		v->frames += (i + 1) * hvo_pa(c ? c->frame : i);
	}
}

static inline void hvo_same_view(unsigned party)
{
	struct hvo_view is, wanted;

	hvo_expected(party, &wanted);
	hvo_look(party, &is);
	if (is.read != wanted.read || is.write != wanted.write)
		print_error("party %u: read %lx not %lx, write %lx not %lx\n", party,
			    (unsigned long)is.read, (unsigned long)wanted.read,
			    (unsigned long)is.write, (unsigned long)wanted.write);
	assert_int_equal(is.read, wanted.read);
	assert_int_equal(is.write, wanted.write);
	assert_int_equal(is.frames, wanted.frames);
}

/* What is not the host's it has no entry for, touched or not. */
static inline void hvo_host_has_no_more(void)
{
	struct hvo_view is, wanted;

	hvo_expected(HVO_HOST, &wanted);
	hvo_look(HVO_HOST, &is);
	assert_int_equal(is.read & ~wanted.read, 0);
}

/* Accesses of the host: what it reaches holds what the model says. */
static inline void hvo_host_touches(void)
{
	for (uint64_t i = 0; i < HVO_PAGES; i++) {
		bool reaches = own_reaches(&hvo.model, HVO_HOST, i);
		uint64_t found = 0;

		if (hvo_access(hvo_pa(i), false, &found) != reaches)
			fail_msg("the host %s frame %u", reaches ? "has lost" : "reaches",
				 (unsigned)i);
		if (reaches)
			assert_int_equal(found, hvo.model.frame[i].content);
	}
}

/* What EL2 says of each frame. */
static inline void hvo_same_records(void)
{
	for (uint64_t i = 0; i < HVO_PAGES; i++) {
		const struct own_frame *f = &hvo.model.frame[i];
		uint64_t wanted = f->owner | (uint64_t)f->host << 4 | (uint64_t)f->hyp << 8 |
				  (uint64_t)f->pins << 16 | (uint64_t)f->shares << 32;

		assert_int_equal(hvo_owner(hvo_pa(i)), wanted);
	}
}

/* Every party, by accesses and by the tables. */
static inline void hvo_same(void)
{
	hvo_host_has_no_more();
	hvo_host_touches();
	hvo_same_view(HVO_HOST);
	hvo_same_view(HVO_HYP);
	for (unsigned g = 0; g < HVO_GUESTS; g++)
		hvo_same_view(g);
}

/* In both: the model says what has to be answered. */
static inline int64_t hvo_do(const struct hvo_op *op)
{
	int64_t wanted = hvo_code(hvo_model(&hvo.model, op)), code = hvo_ask(op);

	if (code != wanted)
		print_error("function %u guest %u frame %u gfn %u n %u: %ld, not %ld\n",
			    op->function, op->guest, (unsigned)op->frame, (unsigned)op->gfn,
			    (unsigned)op->n, (long)code, (long)wanted);
	assert_int_equal(code, wanted);
	hvo.done += code == PT_OK;
	hvo.refused += code != PT_OK;
	hvo.by[op->function] += code == PT_OK;
	return code;
}

#define HVO(name, ...) (&(struct hvo_op){.function = PT_HVC_##name, .n = 1, .prot = 3, __VA_ARGS__})

/* Each transition that there is, of this frame and at these addresses, that is refused here: the
 * same refusal, and nothing changes. How many. */
static inline unsigned hvo_refusals(uint64_t frame, uint64_t gfn)
{
	unsigned n = 0;

	for (uint32_t f = PT_HVC_SHARE_HYP; f < PT_HVC_RECLAIM_DYING; f++)
		for (unsigned g = 0; g < HVO_GUESTS; g++) {
			struct hvo_op op = {.function = f,
					    .guest = g,
					    .frame = frame,
					    .gfn = gfn,
					    .n = 1,
					    .prot = 3};
			struct own copy;
			enum pt_outcome outcome;

			own_copy(&copy, &hvo.model);
			outcome = hvo_model(&copy, &op);
			own_close(&copy);
			if (outcome == PT_OK)
				continue;
			hvo_do(&op);
			n++;
		}
	return n;
}

static inline void hvo_step(const struct hvo_op *op, unsigned *refused)
{
	assert_int_equal(hvo_do(op), PT_OK);
	hvo_same();
	*refused += hvo_refusals(0, 0) + hvo_refusals(0, 1);
	hvo_same();
}

/*
 * KVM's pkvm_ownership_selftest: the sequence that takes a frame through all states, and in each of
 * them what is refused. A plain guest stands in for shares, a protected one for what is owned. From
 * the machine's beginning to its end.
 */
static inline void hvo_selftest(void)
{
	unsigned n = 0; /* refusals */

	hvo_begin();
	hvo_same();
	hvo_step(HVO(DONATE_HYP), &n);
	hvo_step(HVO(RETURN_HYP), &n); /* "donate host" */
	hvo_step(HVO(SHARE_HYP), &n);
	hvo_step(HVO(PIN), &n);
	hvo_step(HVO(PIN), &n);
	hvo_step(HVO(UNPIN), &n);
	hvo_step(HVO(UNPIN), &n);
	hvo_step(HVO(UNSHARE_HYP), &n);
	hvo_step(HVO(SHARE_THIRD), &n);
	hvo_step(HVO(UNSHARE_THIRD), &n);
	hvo_step(HVO(SHARE_GUEST, .guest = HVO_PLAIN, .gfn = 0), &n);
	hvo_step(HVO(SHARE_GUEST, .guest = HVO_PLAIN, .gfn = 1), &n);
	hvo_step(HVO(UNSHARE_GUEST, .guest = HVO_PLAIN, .gfn = 0), &n);
	hvo_step(HVO(UNSHARE_GUEST, .guest = HVO_PLAIN, .gfn = 1), &n);
	hvo_step(HVO(DONATE_GUEST, .guest = HVO_OWNING, .gfn = 0), &n);
	hvo_step(HVO(SHARE_BACK, .guest = HVO_OWNING, .gfn = 0), &n);
	hvo_step(HVO(UNSHARE_BACK, .guest = HVO_OWNING, .gfn = 0), &n);
	hvo_step(HVO(FORCE_RECLAIM), &n);
	hvo_step(HVO(DONATE_GUEST, .guest = HVO_OWNING, .gfn = 1), &n);
	hvo_step(HVO(BALLOON, .guest = HVO_OWNING, .gfn = 1), &n);
	hvo_step(HVO(DONATE_HYP), &n);
	hvo_step(HVO(RETURN_HYP), &n);
	print_message("%u refusals\n", n);
	assert_true(n > 22 * 40);
	hvo_same_records();
	hvo_end();
}

static inline void hvo_answers(const struct hv_edge *row, int64_t code)
{
	if (code != row->code)
		print_error("function %u (%lx %lx %lx)\n", row->function,
			    (unsigned long)row->arg[0], (unsigned long)row->arg[1],
			    (unsigned long)row->arg[2]);
	assert_int_equal(code, row->code);
}

/* Every argument at its edges, of the host and of each guest: nothing changes. */
static inline void hvo_edges(void)
{
	uint64_t arg[5];

	for (unsigned i = 0; i < HV_OWNER_EDGES; i++) {
		const struct hv_edge *row = &hv_owner_edges[i];

		for (unsigned n = 0; n < 5; n++)
			arg[n] = hv_edge_arg(row->arg[n], hvo.guest[HVO_PLAIN]);
		hvo_answers(row, hvo_host_call(row->function, arg));
	}
	for (unsigned i = 0; i < HV_GUEST_EDGES * HVO_GUESTS; i++) {
		const struct hv_edge *row = &hv_guest_edges[i / HVO_GUESTS];

		for (unsigned n = 0; n < 5; n++)
			arg[n] = hv_edge_arg(row->arg[n], hvo.guest[i % HVO_GUESTS]);
		hvo_answers(row, hvo_guest_call(i % HVO_GUESTS, row->function, arg));
	}
	hvo_same();
	hvo_same_records();
}

/* A call about a lending; who: HVO_HOST, or a guest. `at`, `n`: pages. */
struct hvo_lend {
	uint32_t function;
	unsigned who;
	uint64_t lending, at, n;
	uint8_t borrower[2];
	uint32_t borrowers;
	bool wipe;
};

static inline int64_t hvo_ask_lend(const struct hvo_lend *op)
{
	uint64_t at = op->who == HVO_HOST ? hvo_pa(op->at) : hvo_ipa(op->at);
	uint64_t arg[5] = {op->lending};

	switch (op->function) {
	case PT_HVC_LEND:
		arg[0] = op->n * HVO_PAGE | op->wipe;
		for (uint32_t i = 0; i < op->borrowers; i++)
			arg[1 + i] = hvo.guest[op->borrower[i]];
		break;
	case PT_HVC_LEND_PIECE:
		arg[1] = at;
		arg[2] = op->n * HVO_PAGE;
		break;
	case PT_HVC_RETRIEVE: arg[1] = at; break;
	default: break;
	}
	return op->who == HVO_HOST ? hvo_host_call(op->function, arg)
				   : hvo_guest_call(op->who, op->function, arg);
}

static inline enum pt_outcome hvo_model_lend(struct own *o, const struct hvo_lend *op,
					     uint64_t *handle)
{
	switch (op->function) {
	case PT_HVC_LEND:
		return own_lend(o, op->who, op->borrower, op->borrowers, op->n, op->wipe, handle);
	case PT_HVC_LEND_PIECE: return own_lend_piece(o, op->who, op->lending, op->at, op->n);
	case PT_HVC_LEND_DROP: return own_lend_expire(o, op->lending);
	case PT_HVC_RETRIEVE: return own_retrieve(o, op->who, op->lending, op->at);
	case PT_HVC_RELINQUISH: return own_relinquish(o, op->who, op->lending);
	default: return own_lend_reclaim(o, op->who, op->lending);
	}
}

/* In both, as hvo_do(); LEND: the handle is the model's, too. */
static inline int64_t hvo_lend(const struct hvo_lend *op)
{
	uint64_t handle = 0;
	int64_t wanted = hvo_code(hvo_model_lend(&hvo.model, op, &handle)), code = hvo_ask_lend(op);

	if (code != wanted)
		print_error("function %u who %u lending %u at %u n %u: %ld, not %ld\n",
			    op->function, op->who, (unsigned)op->lending, (unsigned)op->at,
			    (unsigned)op->n, (long)code, (long)wanted);
	assert_int_equal(code, wanted);
	if (op->function == PT_HVC_LEND && code == PT_OK)
		assert_int_equal(hvo.x1, handle);
	hvo.done += code == PT_OK;
	hvo.refused += code != PT_OK;
	hvo.by[op->function] += code == PT_OK;
	return code;
}

#define HVO_LEND(name, ...) hvo_lend(&(struct hvo_lend){.function = PT_HVC_##name, __VA_ARGS__})

/* Lists that are open are dropped, and nobody has what is lent. */
static inline void hvo_lend_nothing(void)
{
	for (unsigned i = 0; i < OWN_LENDINGS; i++) {
		const struct own_lending *l = &hvo.model.lending[i];
		uint64_t handle = l->handle;
		unsigned lender = l->lender;

		if (!handle)
			continue;
		if (HVO_LEND(LEND_DROP, .who = HVO_HOST, .lending = handle) == PT_OK)
			continue;
		for (unsigned g = 0; g < HVO_GUESTS; g++)
			HVO_LEND(RELINQUISH, .who = g, .lending = handle);
		assert_int_equal(HVO_LEND(TAKE_BACK, .who = lender, .lending = handle), PT_OK);
	}
}

static inline void hvo_lend_ok(const struct hvo_lend *op)
{
	assert_int_equal(hvo_lend(op), PT_OK);
	hvo_same();
}

#define HVO_LEND_OK(name, ...)                                                                     \
	hvo_lend_ok(&(struct hvo_lend){.function = PT_HVC_##name, __VA_ARGS__})

/* The host lends to both guests, drops a list; a guest lends to the other. */
static inline void hvo_lendings(void)
{
	uint64_t handle;

	HVO_LEND_OK(LEND, .who = HVO_HOST, .n = 2, .borrowers = 2,
		    .borrower = {HVO_OWNING, HVO_PLAIN}, .wipe = true);
	handle = hvo.model.handles;
	HVO_LEND(RETRIEVE, .who = HVO_PLAIN, .lending = handle);
	HVO_LEND_OK(LEND_PIECE, .who = HVO_HOST, .lending = handle, .at = 5, .n = 1);
	HVO_LEND_OK(LEND_PIECE, .who = HVO_HOST, .lending = handle, .at = 2, .n = 1);
	hvo_refusals(2, 2);
	HVO_LEND_OK(RETRIEVE, .who = HVO_PLAIN, .lending = handle, .at = 2);
	HVO_LEND_OK(RETRIEVE, .who = HVO_OWNING, .lending = handle, .at = 9);
	assert_true(hvo_guest_store(HVO_PLAIN, hvo_ipa(2), 4711));
	assert_true(hvo_guest_store(HVO_OWNING, hvo_ipa(10), 4712));
	hvo_refusals(2, 2);
	HVO_LEND(TAKE_BACK, .who = HVO_HOST, .lending = handle);
	HVO_LEND_OK(RELINQUISH, .who = HVO_PLAIN, .lending = handle);
	HVO_LEND(RELINQUISH, .who = HVO_PLAIN, .lending = handle);
	HVO_LEND_OK(RELINQUISH, .who = HVO_OWNING, .lending = handle);
	HVO_LEND(TAKE_BACK, .who = HVO_OWNING, .lending = handle);
	HVO_LEND_OK(TAKE_BACK, .who = HVO_HOST, .lending = handle);
	HVO_LEND(TAKE_BACK, .who = HVO_HOST, .lending = handle);

	HVO_LEND_OK(LEND, .who = HVO_HOST, .n = 2, .borrowers = 1, .borrower = {HVO_PLAIN});
	handle = hvo.model.handles;
	HVO_LEND_OK(LEND_PIECE, .who = HVO_HOST, .lending = handle, .at = 5, .n = 1);
	HVO_LEND_OK(LEND_DROP, .who = HVO_HOST, .lending = handle);

	hvo_do(HVO(DONATE_GUEST, .guest = HVO_OWNING, .frame = 7, .gfn = 7));
	HVO_LEND_OK(LEND, .who = HVO_OWNING, .n = 1, .borrowers = 1, .borrower = {HVO_PLAIN});
	handle = hvo.model.handles;
	HVO_LEND(LEND_PIECE, .who = HVO_HOST, .lending = handle, .at = 7, .n = 1);
	HVO_LEND_OK(LEND_PIECE, .who = HVO_OWNING, .lending = handle, .at = 7, .n = 1);
	HVO_LEND_OK(RETRIEVE, .who = HVO_PLAIN, .lending = handle, .at = 3);
	assert_true(!hvo_guest_store(HVO_OWNING, hvo_ipa(7), 1));
	hvo_refusals(7, 7);
	HVO_LEND_OK(RELINQUISH, .who = HVO_PLAIN, .lending = handle);
	HVO_LEND_OK(TAKE_BACK, .who = HVO_OWNING, .lending = handle);
	hvo_do(HVO(BALLOON, .guest = HVO_OWNING, .gfn = 7));
	hvo_same();
}

static inline uint64_t hvo_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Would its first page pass? A guess. */
static inline bool hvo_would_pass(const struct hvo_op *op, uint64_t i)
{
	const struct own_frame *f = &hvo.model.frame[(op->frame + i) % HVO_PAGES];
	const struct own_cell *c = &hvo.model.guest[op->guest].map[(op->gfn + i) % HVO_PAGES];

	switch (op->function) {
	case PT_HVC_UNSHARE_HYP:
	case PT_HVC_PIN: return f->hyp == OWN_SHARED_BORROWED;
	case PT_HVC_UNPIN: return f->pins;
	case PT_HVC_RETURN_HYP: return f->owner == OWN_HYP;
	case PT_HVC_UNSHARE_THIRD: return f->third;
	case PT_HVC_UNSHARE_GUEST: return c->state == OWN_SHARED_BORROWED;
	case PT_HVC_SHARE_BACK:
	case PT_HVC_BALLOON: return c->state == OWN_OWNED;
	case PT_HVC_UNSHARE_BACK: return c->state == OWN_SHARED_OWNED;
	case PT_HVC_FORCE_RECLAIM: return f->owner == OWN_GUEST && f->host == OWN_NOPAGE;
	case PT_HVC_SHARE_GUEST:
	case PT_HVC_DONATE_GUEST:
		return f->owner == OWN_HOST && !f->host && c->state == OWN_NOPAGE &&
		       (op->guest == HVO_PLAIN) == (op->function == PT_HVC_SHARE_GUEST);
	default: return f->owner == OWN_HOST && !f->host;
	}
}

static inline void hvo_draw(struct hvo_op *op, uint64_t *seed)
{
	static const uint32_t prots[] = {PT_PROT_R, PT_PROT_RW, PT_PROT_RWX};
	uint64_t first, room, passes = 0;

	*op = (struct hvo_op){.function = PT_HVC_SHARE_HYP +
					  (uint32_t)(hvo_random(seed) %
						     (PT_HVC_RECLAIM_DYING - PT_HVC_SHARE_HYP)),
			      .prot = prots[hvo_random(seed) % 3]};
	if (op->function == PT_HVC_DONATE_HYP || op->function == PT_HVC_DONATE_GUEST)
		op->wipe = hvo_random(seed) % 2;
	for (unsigned i = 0; i < 60; i++) {
		op->guest = (unsigned)(hvo_random(seed) % HVO_GUESTS);
		op->frame = hvo_random(seed) % HVO_PAGES;
		op->gfn = hvo_random(seed) % HVO_PAGES;
		if (hvo_would_pass(op, 0))
			break;
	}
	first = op->frame > op->gfn ? op->frame : op->gfn;
	room = HVO_PAGES - first;
	op->n = 1 + hvo_random(seed) % 6;
	if (op->n > room)
		op->n = room;
	if (hvo_random(seed) % 4)
		while (passes < op->n && hvo_would_pass(op, passes))
			passes++;
	if (passes)
		op->n = passes;
}

/* What may well be next with this lending. */
static inline void hvo_lend_further(struct hvo_lend *op, const struct own_lending *l, uint64_t draw)
{
	uint32_t b = draw % l->borrowers;

	if (l->borrower[b].guest >= HVO_GUESTS) /* it is gone */
		return;
	op->who = l->borrower[b].guest;
	op->function = l->borrower[b].has ? PT_HVC_RELINQUISH : PT_HVC_RETRIEVE;
	if (l->open || draw >> 4 & 1) {
		op->who = l->lender;
		op->function = l->open ? PT_HVC_LEND_PIECE : PT_HVC_TAKE_BACK;
		op->n = l->pages;
	}
	if (l->open && !(draw >> 8 & 7)) {
		op->who = HVO_HOST;
		op->function = PT_HVC_LEND_DROP;
	}
}

static inline void hvo_draw_lend(struct hvo_lend *op, uint64_t *seed)
{
	static const uint32_t functions[] = {PT_HVC_LEND,      PT_HVC_LEND_PIECE, PT_HVC_LEND_PIECE,
					     PT_HVC_RETRIEVE,  PT_HVC_RETRIEVE,	  PT_HVC_RELINQUISH,
					     PT_HVC_TAKE_BACK, PT_HVC_LEND_DROP};
	const struct own_lending *l = &hvo.model.lending[hvo_random(seed) % OWN_LENDINGS];
	uint64_t draw = hvo_random(seed);

	for (unsigned i = 0; i < 8 && !l->handle; i++)
		l = &hvo.model.lending[hvo_random(seed) % OWN_LENDINGS];
	*op = (struct hvo_lend){.function = functions[draw % 8],
				.lending = l->handle,
				.at = draw >> 8 & 15,
				.n = 1 + (draw >> 16 & 1),
				.borrowers = 1 + (draw >> 20) % 2,
				.wipe = draw >> 24 & 1};
	op->borrower[0] = draw >> 28 & 1;
	op->borrower[1] = draw >> 29 & 1;
	op->who = draw >> 32 & 3 ? HVO_HOST : HVO_OWNING;
	if (op->function == PT_HVC_RETRIEVE || op->function == PT_HVC_RELINQUISH)
		op->who = draw >> 32 & 1;
	else if (op->function == PT_HVC_LEND_DROP)
		op->who = HVO_HOST;
	else if (op->function != PT_HVC_LEND && draw >> 36 & 7)
		op->who = l->lender;
	if (op->function == PT_HVC_LEND_PIECE && draw >> 40 & 7)
		op->n = l->pages;
	if (l->handle && draw >> 44 & 3)
		hvo_lend_further(op, l, draw >> 48);
	/* Room for what it retrieves; a lender's pages that are its own. */
	for (unsigned i = 0; op->function == PT_HVC_RETRIEVE && i < 60; i++) {
		const struct own_cell *c = &hvo.model.guest[op->who].map[op->at];

		if (c[0].state == OWN_NOPAGE && c[1].state == OWN_NOPAGE)
			break;
		op->at = hvo_random(seed) % (HVO_PAGES - 1);
	}
	for (unsigned i = 0; op->function == PT_HVC_LEND_PIECE && i < 60; i++) {
		const struct own_frame *f = &hvo.model.frame[op->at];
		const struct own_cell *c = &hvo.model.guest[HVO_OWNING].map[op->at];

		if (op->who == HVO_HOST ? f->owner == OWN_HOST && !f->host : c->state == OWN_OWNED)
			break;
		op->at = hvo_random(seed) % (HVO_PAGES - 1);
	}
}

/* The host writes to a frame, or is kept from it; a guest likewise. */
static inline void hvo_write_somewhere(uint64_t *seed)
{
	uint64_t f = hvo_random(seed) % HVO_PAGES, value = hvo_random(seed) | 1;
	unsigned g = (unsigned)(hvo_random(seed) % HVO_GUESTS);
	const struct own_cell *c = &hvo.model.guest[g].map[f];
	bool may = own_reaches(&hvo.model, HVO_HOST, f);

	assert_int_equal(hvo_access(hvo_pa(f), true, &value), may);
	if (may)
		hvo.model.frame[f].content = value;
	if (hvo_random(seed) % 8)
		return;
	value = hvo_random(seed) | 1;
	may = c->state <= OWN_LENT_BORROWED && c->prot & PT_PROT_W;
	assert_int_equal(hvo_guest_store(g, hvo_ipa(f), value), may);
	if (may)
		hvo.model.frame[c->frame].content = value;
}

/* The protected guest ends with what it has; another is in its place. */
static inline void hvo_renew(void)
{
	uint64_t *g = &hvo.guest[HVO_OWNING];
	unsigned again;

	/* What others have of it would keep it; what it has itself goes with it. */
	for (unsigned i = 0; i < OWN_LENDINGS; i++)
		if (hvo.model.lending[i].handle)
			HVO_LEND(RELINQUISH, .who = HVO_PLAIN,
				 .lending = hvo.model.lending[i].handle);
	assert_int_equal(hvo_host_call(PT_HVC_FINALIZE, (const uint64_t[5]){*g}), -PT_WRONG_STATE);
	assert_int_equal(hvo_host_call(PT_HVC_TEARDOWN, (const uint64_t[5]){*g}), PT_OK);
	assert_int_equal(own_teardown(&hvo.model, HVO_OWNING), PT_OK);
	hvo_do(HVO(DONATE_GUEST, .guest = HVO_OWNING));
	hvo_do(&(struct hvo_op){
		.function = PT_HVC_RECLAIM_DYING, .guest = HVO_OWNING, .n = HVO_PAGES});
	hvo_guest_ends(*g);
	assert_int_equal(own_finalize(&hvo.model, HVO_OWNING), PT_OK);
	*g = hvo_guest_begins(true);
	assert_int_equal(own_reserve(&hvo.model, &again), PT_OK);
	assert_int_equal(again, HVO_OWNING);
	assert_int_equal(own_create(&hvo.model, again, true), PT_OK);
}

static inline void hvo_play(uint64_t seed, unsigned rounds)
{
	print_message("PTD_SEED=%lu\n", (unsigned long)seed);
	seed = seed * 2 + 1;
	hvo.done = hvo.refused = 0;
	for (uint32_t i = 0; i < PT_HVC_COUNT; i++)
		hvo.by[i] = 0;
	for (unsigned i = 0; i < rounds; i++) {
		struct hvo_lend lend;
		struct hvo_op op;

		if (hvo_random(&seed) % 3) {
			hvo_draw(&op, &seed);
			hvo_do(&op);
		} else {
			hvo_draw_lend(&lend, &seed);
			hvo_lend(&lend);
		}
		hvo_write_somewhere(&seed);
		if (i % 2)
			hvo_same();
		else
			hvo_host_has_no_more();
		if (i % 16 == 0)
			hvo_same_records();
		if (hvo_random(&seed) % 256 == 0)
			hvo_renew();
	}
	assert_true(!own_unsound(&hvo.model));
	for (uint32_t i = PT_HVC_SHARE_HYP; i < PT_HVC_RECLAIM_DYING; i++)
		if (rounds > 900 && !hvo.by[i])
			fail_msg("function %u never succeeded", i);
	print_message("%lu transitions, %lu refused\n", (unsigned long)hvo.done,
		      (unsigned long)hvo.refused);
}

#endif
