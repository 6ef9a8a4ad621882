/* SPDX-License-Identifier: BSD-2-Clause */
/* Transfers of ownership reach exactly the shadows' leaves of the pages that a context loses,
 * whether the host or a guest has the shadows, at once and in steps. */
#include <pt/nested.h>

#include "transfer_fixture.h"

#define UNITS	16u
#define PA	UINT64_C(0x40000000)
#define IPA	UINT64_C(0x8000000)
#define SHADOWS 3u
#define GUEST	1u /* a protected one */

/* Shadows of one context, with stage 2 off: what they map is what the context says. */
struct side {
	struct pt_nested nested;
	_Atomic(struct pt_shadow *) bucket[4], number[SHADOWS];
	struct pt_shadow shadow[SHADOWS];
	uint64_t base; /* IPA of its first page */
};

static struct transfer_rig rig;
static struct side host, guest;
static uint32_t budget;

static enum pt_outcome no_memory(void *arg, struct pt_ipa ipa, uint64_t *word)
{
	(void)arg, (void)ipa, (void)word;
	return PT_NO_SLOT;
}

static enum pt_outcome no_swap(void *arg, struct pt_ipa ipa, uint64_t *word, uint64_t to)
{
	(void)to;
	return no_memory(arg, ipa, word);
}

static void open_side(struct side *s, struct pt_ctx *ctx, uint64_t base)
{
	const struct pt_guest_memory memory = {no_memory, no_swap, NULL};
	const struct pt_guest_regs regs = {.pa_bits = 44};

	memset(s, 0, sizeof(*s));
	s->base = base;
	ASSERT_OUTCOME(PT_OK, pt_nested_init(&s->nested, ctx, &memory, s->bucket, 4, s->number,
					     SHADOWS, UINT64_MAX, 0));
	pt_section_begin(&rig.c.agent);
	for (uint64_t i = 0; i < SHADOWS; i++) {
		const struct pt_shadow_key key = {.vttbr = (i + 1) << 48};

		ASSERT_OUTCOME(PT_OK, pt_shadow_init(&s->shadow[i], &s->nested, &rig.c.agent, &key,
						     &regs, UINT64_MAX));
		ASSERT_OUTCOME(PT_OK, pt_vmid_get(&s->shadow[i].ctx, &rig.c.agent));
	}
	pt_section_end(&rig.c.agent);
}

static void close_side(struct side *s)
{
	enum pt_outcome outcome;

	for (unsigned i = 0; i < SHADOWS; i++) {
		struct pt_shadow_end end;

		ASSERT_OUTCOME(PT_OK, pt_shadow_end_begin(&end, &s->shadow[i], NULL));
		do {
			pt_section_begin(&rig.c.agent);
			outcome = pt_shadow_end_step(&end, &rig.c.agent, 1000);
			pt_section_end(&rig.c.agent);
		} while (outcome == PT_MORE);
		ASSERT_OUTCOME(PT_OK, outcome);
	}
	do {
		pt_section_begin(&rig.c.agent);
		outcome = pt_nested_close(&s->nested, &rig.c.agent, 1000);
		pt_section_end(&rig.c.agent);
	} while (outcome == PT_MORE);
	ASSERT_OUTCOME(PT_OK, outcome);
}

static enum pt_outcome fill(struct side *s, unsigned shadow, uint64_t page,
			    struct pt_nested_result *r)
{
	const struct pt_nested_fault fault = {.ipa = {s->base + (page << rig.shift)},
					      .access = PT_ACCESS_READ};
	enum pt_outcome outcome;

	pt_section_begin(&rig.c.agent);
	outcome = pt_nested_fault(&rig.c.agent, &s->shadow[shadow], &fault, r);
	pt_section_end(&rig.c.agent);
	return outcome;
}

/* All shadows have a leaf of it. */
static void fill_all(struct side *s, uint64_t page)
{
	struct pt_nested_result r;

	for (unsigned i = 0; i < SHADOWS; i++)
		ASSERT_OUTCOME(PT_MAPPED, fill(s, i, page, &r));
}

static bool has(struct side *s, unsigned shadow, uint64_t page)
{
	pt_pte e = rig_entry(&s->shadow[shadow].ctx, s->base + (page << rig.shift));

	assert_true(!e || pt_pte_valid(e));
	return e;
}

/* Of the pages 0 to 15 the shadows have those whose bits are set. */
static void assert_has(struct side *s, uint32_t pages)
{
	for (unsigned i = 0; i < SHADOWS; i++)
		for (uint64_t page = 0; page < UNITS; page++)
			assert_int_equal(pages >> page & 1, has(s, i, page));
}

static void transfer(uint32_t kind, uint64_t frame, uint64_t gfn)
{
	const struct rig_op op = {kind, GUEST, frame, gfn, 1, PT_PROT_RW, false};

	ASSERT_OUTCOME(PT_OK, rig_run(&rig, &op, budget, 0));
	ASSERT_OUTCOME(PT_OK, rig_model(&rig.model, &op));
	rig_same(&rig);
	rig_same_guests(&rig);
}

/* The host has lost the page: who asks for it again is told whose fault that is. */
static void is_lost(struct side *s, uint64_t page)
{
	struct pt_nested_result r;

	assert_true(pt_is_error(fill(s, 0, page, &r)) || r.who == PT_NESTED_HOST);
	assert_int_equal(PT_NESTED_HOST, r.who);
	assert_false(has(s, 0, page));
}

/* The host's memory is there by its address. */
static void open_slot(void)
{
	static union {
		struct pt_slots head;
		unsigned char room[sizeof(struct pt_slots) + sizeof(struct pt_slot)];
	} slots;

	slots.head.count = 1;
	slots.head.slot[0] = (struct pt_slot){.ipa = PA,
					      .size = UNITS << rig.shift,
					      .pa = PA,
					      .backing_shift = (uint8_t)rig.shift};
	pt_ctx_set_slots(&rig.c.ctx, &slots.head);
}

static void open_all(unsigned shape, uint32_t steps)
{
	budget = steps;
	rig_open(&rig, &shapes[shape], &shapes[shape], UNITS, PA, IPA);
	open_slot();
	open_side(&host, &rig.c.ctx, PA);
	open_side(&guest, &rig.ctx[GUEST], IPA);
}

static void close_all(void)
{
	close_side(&host);
	close_side(&guest);
	rig_close(&rig);
}

static const uint32_t budgets[] = {1, 8, 100000};

static void each(void (*test)(void))
{
	for (unsigned shape = 0; shape < 3; shape++)
		for (unsigned i = 0; i < sizeof(budgets) / sizeof(budgets[0]); i++) {
			open_all(shape, budgets[i]);
			test();
			close_all();
		}
}

/* What the host gives away goes from its shadows, and nothing beside it; what it shares stays. */
static void host_gives(void)
{
	for (uint64_t page = 0; page < 4; page++)
		fill_all(&host, page);
	assert_has(&host, 0xf);
	transfer(PT_DONATE_GUEST, 1, 1);
	assert_has(&host, 0xd);
	is_lost(&host, 1);
	transfer(PT_DONATE_HYP, 2, 0);
	assert_has(&host, 0x9);
	is_lost(&host, 2);
	transfer(PT_SHARE_HYP, 3, 0);
	transfer(PT_UNSHARE_HYP, 3, 0);
	assert_has(&host, 0x9);
	assert_int_equal(2 * SHADOWS, atomic_load(&host.nested.counts.killed));
	assert_int_equal(0, atomic_load(&host.nested.counts.over));
}

static void what_the_host_gives_goes_from_its_shadows(void **state)
{
	(void)state;
	each(host_gives);
}

/* And what comes back can be had again. */
static void host_gets_back(void)
{
	fill_all(&host, 0);
	transfer(PT_DONATE_GUEST, 1, 1);
	transfer(PT_DONATE_GUEST, 2, 2);
	transfer(PT_DONATE_HYP, 3, 0);
	transfer(PT_BALLOON, 0, 1);
	transfer(PT_FORCE_RECLAIM, 2, 0);
	transfer(PT_RETURN_HYP, 3, 0);
	for (uint64_t page = 1; page < 4; page++)
		fill_all(&host, page);
	assert_has(&host, 0xf);
	assert_int_equal(0, atomic_load(&host.nested.counts.killed));
}

static void what_comes_back_is_filled_again(void **state)
{
	(void)state;
	each(host_gets_back);
}

/* A guest that is a hypervisor: what it returns, or what is taken by force, goes from its shadows;
 * what it shares with the host stays. */
static void guest_loses(void)
{
	for (uint64_t page = 0; page < 4; page++) {
		transfer(PT_DONATE_GUEST, page, page);
		fill_all(&guest, page);
	}
	transfer(PT_SHARE_BACK, 0, 3);
	transfer(PT_UNSHARE_BACK, 0, 3);
	assert_has(&guest, 0xf);
	transfer(PT_BALLOON, 0, 0);
	assert_has(&guest, 0xe);
	is_lost(&guest, 0);
	transfer(PT_FORCE_RECLAIM, 2, 0);
	assert_has(&guest, 0xa);
	is_lost(&guest, 2);
	assert_int_equal(2 * SHADOWS, atomic_load(&guest.nested.counts.killed));
	transfer(PT_DONATE_GUEST, 5, 0);
	fill_all(&guest, 0);
	assert_has(&guest, 0xb);
}

static void what_a_guest_loses_goes_from_its_shadows(void **state)
{
	(void)state;
	each(guest_loses);
}

/* One that is given up before its commit point takes nothing. */
static void given_up(void)
{
	const struct rig_op op = {PT_DONATE_GUEST, GUEST, 0, 0, 4, 0, false};
	enum pt_outcome outcome;

	for (uint64_t page = 0; page < 4; page++)
		fill_all(&host, page);
	outcome = rig_run(&rig, &op, 1, 1);
	ASSERT_OUTCOME(PT_CANCELLED, outcome);
	rig_same(&rig);
	assert_has(&host, 0xf);
	assert_int_equal(0, atomic_load(&host.nested.counts.killed));
}

static void a_transfer_that_is_given_up_takes_nothing(void **state)
{
	(void)state;
	each(given_up);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_host_gives_goes_from_its_shadows),
		cmocka_unit_test(what_comes_back_is_filled_again),
		cmocka_unit_test(what_a_guest_loses_goes_from_its_shadows),
		cmocka_unit_test(a_transfer_that_is_given_up_takes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
