/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Transitions of ownership, one page each in random order among 100 000 extents, beside a map and
 * an unmap of the same pages in a context of the same shape without owners; of 1 GiB at once; and
 * the wiping of memory beside memset.
 *
 * A hundred thousand extents of a page each are eight pages apart from each other, and the pages
 * that change hands lie between them: each transition is one inside of an extent of seven pages.
 */
#include "core.h"

#include <pt/transfer.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PHASE	   __attribute__((noinline))
#define SHIFT	   12
#define PAGE	   (UINT64_C(1) << SHIFT)
#define TABLE_SPAN (PAGE * PAGE / sizeof(pt_pte)) /* what a table of pages spans */
#define APART	   8				  /* pages from one extent to the next */
#define EXTENTS	   100000u
#define GUEST	   1u /* the protected one */
#define ROUNDS	   5u
#define NEAR	   32u /* pages that the nearest cache has room for */
#define NEAR_TURNS 8u
#define SCATTERED  25u /* ranges of a page each in one request */
#define WIPE_BYTES (UINT64_C(256) << 20)

/* "more": beyond map and unmap of the same, best against best. */
enum {
	PLAIN_PAGE,
	DONATE_PAGE,
	DONATE_PAGE_BARE,
	DONATE_PAGE_BITS,
	DONATE_PAGE_ALONE,
	DONATE_PAGE_NEAR,
	DONATE_PAGE_MORE,
	DONATE_SCATTERED,
	BALLOON_PAGE,
	BALLOON_SCATTERED,
	SHARE_PAGE,
	PIN_PAGE,
	PLAIN_1G,
	DONATE_1G,
	DONATE_1G_MORE,
	BALLOON_1G,
	ROWS_HERE
};
static const char *const names[ROWS_HERE] = {
	"own_plain_page",	 "own_donate_page",	  "own_donate_page_bare",
	"own_donate_page_bits",	 "own_donate_page_alone", "own_donate_page_near",
	"own_donate_page_more",	 "own_donate_scattered",  "own_balloon_page",
	"own_balloon_scattered", "own_share_page",	  "own_pin_page",
	"own_plain_1g",		 "own_donate_1g",	  "own_donate_1g_more",
	"own_balloon_1g"};

/* A machine with owners, and a context of another shape of life beside it. */
struct transfers {
	struct bench b; /* its context is the host's */
	struct pt_ctx guest_ctx[2], plain;
	struct pt_store store;
	struct pt_machine_owners owners;
	struct pt_guest guest[2];
	struct pt_region region;
	uint32_t *order;       /* of the extents */
	uint32_t first, times; /* of these a round takes so many from there on */
	uint64_t extents;
	struct pt_transfer t;
	struct bench_floor *floor;
	double best[ROWS_HERE];
};

static void keep(struct transfers *s, unsigned row, double ns)
{
	if (!(s->best[row] > 0) || ns < s->best[row])
		s->best[row] = ns;
}

static void no_wipe(void *arg, uint64_t pa, uint64_t size)
{
	(void)arg, (void)pa, (void)size;
}

static void open_ctx(struct transfers *s, struct pt_ctx *ctx)
{
	struct bench *b = &s->b;

	check_eq("pt_ctx_init",
		 pt_ctx_init(ctx, &b->agent, &b->machine, &b->ctx.geo, PT_ATTR_FWB, 0, UINT64_MAX),
		 PT_OK);
	check_eq("pt_vmid_get", pt_vmid_get(ctx, &b->agent), PT_OK);
}

static void open_guest(struct transfers *s, uint32_t i)
{
	uint32_t handle;

	open_ctx(s, &s->guest_ctx[i]);
	check_eq("reserve", pt_guest_reserve(&s->owners, &handle), PT_OK);
	check_eq("create", pt_guest_create(&s->owners, handle, &s->guest_ctx[i], i == GUEST),
		 PT_OK);
}

static void open_all(struct transfers *s, uint64_t bytes)
{
	struct bench *b = &s->b;

	bench_open(b, &(struct bench_args){.granule_shift = SHIFT,
					   .size = PAGE,
					   .table_bytes = ((bytes >> 26) + 5) << 21});
	pt_ctx_set_policy(&b->ctx, PT_CTX_IDENTITY, NULL, NULL);
	pt_store_init(&s->store, &b->machine, UINT64_MAX, 0);
	memset(s->guest, 0, sizeof(s->guest));
	check_eq("owners", pt_machine_owners_init(&s->owners, &s->store, &b->ctx, SHIFT), PT_OK);
	s->region = (struct pt_region){BASE_PA, bytes};
	s->owners.region = &s->region;
	s->owners.regions = 1;
	s->owners.guest = s->guest;
	s->owners.guests = 2;
	s->owners.wipe = no_wipe;
	section_begin(b);
	open_guest(s, 0);
	open_guest(s, GUEST);
	open_ctx(s, &s->plain);
	pt_section_end(&b->agent);
}

static void close_ctx(struct transfers *s, struct pt_ctx *ctx)
{
	struct bench *b = &s->b;
	struct pt_txn txn;
	enum pt_outcome o = pt_ctx_destroy_begin(&txn, ctx, NULL);

	check_eq("teardown begins", o, PT_OK);
	do {
		section_begin(b);
		o = pt_txn_step(&txn, &b->agent, STEP_BUDGET);
		pt_section_end(&b->agent);
	} while (o == PT_MORE);
	check_eq("teardown", o, PT_OK);
}

static void close_all(struct transfers *s)
{
	struct bench *b = &s->b;

	close_ctx(s, &s->guest_ctx[0]);
	close_ctx(s, &s->guest_ctx[GUEST]);
	close_ctx(s, &s->plain);
	section_begin(b);
	while (pt_extents_close(&s->owners.extents, &b->agent, 1000) == PT_MORE)
		continue;
	while (pt_frames_close(&s->owners.frames, &b->agent, 1000) == PT_MORE)
		continue;
	pt_section_end(&b->agent);
	while (pt_reclaim(&b->agent))
		continue;
	check_eq("pages of the ledger left", pt_store_pages(&s->store), 0);
	bench_close(b);
}

static inline __attribute__((always_inline)) void run_transfer(struct transfers *s,
							       const struct pt_transfer_args *args)
{
	enum pt_outcome o = pt_transfer_init(&s->t, args);

	check_eq("transition: its arguments", o, PT_OK);
	while ((o = pt_transfer_step(&s->t, &s->b.agent, STEP_BUDGET)) == PT_MORE)
		continue;
	check_eq("transition", o, PT_OK);
}

/* One transition in the section that is open, as the daemon runs those of a batch. */
static inline __attribute__((always_inline)) void transfer(struct transfers *s, uint32_t kind,
							   uint64_t off, uint64_t size)
{
	bool by_guest = kind == PT_BALLOON, both = kind == PT_DONATE_GUEST;
	struct pt_transfer_args args = {.owners = &s->owners,
					.kind = kind,
					.guest = both || by_guest ? GUEST : 0,
					.pa = by_guest ? 0 : BASE_PA + off,
					.ipa = {both || by_guest ? BASE + off : 0},
					.size = size,
					.id = kind};

	run_transfer(s, &args);
}

/* Where the i-th transition of one page takes place: in the middle between two extents. */
static uint64_t spot(const struct transfers *s, uint64_t i)
{
	return (s->order[(s->first + i) % s->extents] * (uint64_t)APART + APART / 2) * PAGE;
}

static inline __attribute__((always_inline)) double time_transfers(struct transfers *s,
								   uint32_t kind)
{
	double t = now_ns();

	section_begin(&s->b);
	for (uint64_t i = 0; i < s->times; i++) {
		transfer(s, kind, spot(s, i), PAGE);
		section_turn(&s->b, i);
	}
	pt_section_end(&s->b.agent);
	return (now_ns() - t) / s->times;
}

/* By names, for who counts instructions by them. */
static PHASE double time_donate_page(struct transfers *s)
{
	return time_transfers(s, PT_DONATE_GUEST);
}

static PHASE double time_balloon_page(struct transfers *s)
{
	return time_transfers(s, PT_BALLOON);
}

static PHASE double time_share_page(struct transfers *s)
{
	return time_transfers(s, PT_SHARE_HYP);
}

static PHASE double time_pin_page(struct transfers *s)
{
	return time_transfers(s, PT_PIN);
}

/* The same, many in a request; its pages lie as far from each other as those of single ones. */
static inline __attribute__((always_inline)) double time_scattered(struct transfers *s,
								   uint32_t kind)
{
	struct pt_transfer_range range[SCATTERED];
	struct pt_transfer_args args = {.owners = &s->owners,
					.kind = kind,
					.range = range,
					.ranges = SCATTERED,
					.id = kind};
	uint64_t i = 0;
	double t = now_ns();

	section_begin(&s->b);
	while (i < s->times) {
		for (unsigned k = 0; k < SCATTERED; k++, i++)
			range[k] = (struct pt_transfer_range){
				.guest = GUEST,
				.pa = kind == PT_BALLOON ? 0 : BASE_PA + spot(s, i),
				.ipa = {BASE + spot(s, i)},
				.size = PAGE};
		run_transfer(s, &args);
		section_turn(&s->b, i);
	}
	pt_section_end(&s->b.agent);
	return (now_ns() - t) / (double)i;
}

static PHASE double time_donate_scattered(struct transfers *s)
{
	return time_scattered(s, PT_DONATE_GUEST);
}

static PHASE double time_balloon_scattered(struct transfers *s)
{
	return time_scattered(s, PT_BALLOON);
}

static PHASE double time_plain_page(struct transfers *s, enum pt_item_kind kind)
{
	struct pt_effects effects = {0};
	double t = now_ns();

	section_begin(&s->b);
	for (uint64_t i = 0; i < s->times; i++) {
		struct pt_item item = {
			.ctx = &s->plain, .ipa = {BASE + spot(s, i)}, .size = PAGE, .kind = kind};

		if (kind == PT_ITEM_MAP) {
			item.pa = pt_pa(BASE_PA + spot(s, i));
			item.prot = PT_PROT_RWX;
		}
		pt_point(&s->b.agent, &item, &effects, NULL);
		section_turn(&s->b, i);
	}
	pt_section_end(&s->b.agent);
	t = (now_ns() - t) / s->times;
	check_eq("pages that came and went", effects.leaves_written + effects.leaves_removed,
		 s->times);
	return t;
}

/* A page in each table: so that no row makes tables. */
static void make_tables(struct transfers *s, struct pt_ctx *ctx, uint64_t ipa, uint64_t pa)
{
	struct pt_effects effects = {0};

	section_begin(&s->b);
	for (uint64_t off = 0; off < s->region.size; off += TABLE_SPAN) {
		struct pt_item item = {.ctx = ctx,
				       .ipa = {ipa + off},
				       .pa = {pa + off},
				       .size = PAGE,
				       .prot = PT_PROT_RWX,
				       .kind = PT_ITEM_MAP};

		pt_point(&s->b.agent, &item, &effects, NULL);
	}
	pt_section_end(&s->b.agent);
	check_eq("tables made", effects.leaves_written, s->region.size / TABLE_SPAN);
}

/* The extents' own pages are donated: so the guest, too, has a page in each table, and the frames
 * have records. */
static void make_extents(struct transfers *s)
{
	for (uint64_t i = 0; i < s->extents; i++) {
		section_begin(&s->b);
		transfer(s, PT_DONATE_GUEST, i * APART * PAGE, PAGE);
		pt_section_end(&s->b.agent);
	}
}

/* The pages of another round each: no cache knows them. */
static PHASE double time_floor_page(struct transfers *s)
{
	const uint64_t first = s->extents / 2;
	double t = now_ns();

	for (uint64_t i = 0; i < s->times; i++) {
		uint64_t off = spot(s, first + i);

		bench_floor_part_sorted(s->floor, &s->b.ctx, BASE_PA + off, &s->guest_ctx[GUEST],
					BASE + off, &s->b.port, off / PAGE);
	}
	t = (now_ns() - t) / s->times;
	for (uint64_t i = 0; i < s->times; i++)
		bench_floor_join_sorted(s->floor, spot(s, first + i) / PAGE);
	return t;
}

/* chained: a page begins when the one before is through, and its lines are on their way no earlier,
 * as it is with whatever is longer than a CPU looks ahead. */
static inline __attribute__((always_inline)) double time_bits(struct transfers *s, uint64_t first,
							      bool chained)
{
	pt_pte was = 0; /* never has bit 63 */
	double t = now_ns();

	for (uint64_t i = 0; i < s->times; i++) {
		uint64_t off = spot(s, first + i + (chained ? was >> 63 : 0));

		was = bench_floor_part_bits(s->floor, &s->b.ctx, BASE_PA + off,
					    &s->guest_ctx[GUEST], BASE + off, &s->b.port,
					    off / PAGE);
	}
	t = (now_ns() - t) / s->times;
	for (uint64_t i = 0; i < s->times; i++)
		bench_floor_join_bits(s->floor, spot(s, first + i) / PAGE);
	return t;
}

static PHASE double time_bits_page(struct transfers *s)
{
	return time_bits(s, s->extents / 4, false);
}

static PHASE double time_bits_alone(struct transfers *s)
{
	return time_bits(s, s->extents / 4 * 3, true);
}

/* The same few pages again and again: what is left when nothing comes from memory. */
static PHASE void round_near(struct transfers *s)
{
	uint32_t times = s->times;

	s->times = NEAR;
	for (unsigned i = 0; i < NEAR_TURNS; i++) {
		keep(s, DONATE_PAGE_NEAR, time_transfers(s, PT_DONATE_GUEST));
		time_transfers(s, PT_BALLOON);
	}
	s->times = times;
}

static void round_page(struct transfers *s)
{
	double map = time_plain_page(s, PT_ITEM_MAP);

	keep(s, PLAIN_PAGE, map + time_plain_page(s, PT_ITEM_UNMAP));
	keep(s, DONATE_PAGE_BARE, time_floor_page(s));
	keep(s, DONATE_PAGE_BITS, time_bits_page(s));
	keep(s, DONATE_PAGE_ALONE, time_bits_alone(s));
	keep(s, DONATE_PAGE, time_donate_page(s));
	keep(s, BALLOON_PAGE, time_balloon_page(s));
	keep(s, DONATE_SCATTERED, time_donate_scattered(s));
	keep(s, BALLOON_SCATTERED, time_balloon_scattered(s));
	keep(s, SHARE_PAGE, time_share_page(s));
	keep(s, PIN_PAGE, time_pin_page(s));
	time_transfers(s, PT_UNPIN);
	time_transfers(s, PT_UNSHARE_HYP);
	round_near(s);
}

static void pages(struct transfers *s, uint64_t extents, uint32_t times, unsigned rounds)
{
	s->extents = extents;
	s->times = times;
	s->order = shuffled(extents);
	s->floor = bench_floor_open(extents, APART);
	open_all(s, (extents * APART * PAGE + TABLE_SPAN - 1) & -TABLE_SPAN);
	make_extents(s);
	make_tables(s, &s->b.ctx, BASE_PA + PAGE, BASE_PA + PAGE);
	make_tables(s, &s->plain, BASE + PAGE, BASE_PA + PAGE);
	for (unsigned i = 0; i < rounds; i++, s->first += times)
		round_page(s);
	close_all(s);
	bench_floor_close(s->floor);
	free(s->order);
}

static struct pt_effects run_plain(struct transfers *s, struct pt_ctx *ctx, uint64_t ipa,
				   enum pt_item_kind kind)
{
	struct pt_item item = {.ctx = ctx, .ipa = {ipa}, .size = s->region.size, .kind = kind};

	if (kind == PT_ITEM_MAP) {
		item.pa = pt_pa(BASE_PA);
		item.prot = PT_PROT_RWX;
		item.flags = PT_MAP_FORCE_PAGES;
	}
	return run_range(&s->b, &item);
}

static inline __attribute__((always_inline)) double time_range(struct transfers *s, uint32_t kind)
{
	double t = now_ns();
	enum pt_outcome o;
	struct pt_transfer_args args = {.owners = &s->owners,
					.kind = kind,
					.guest = GUEST,
					.pa = kind == PT_BALLOON ? 0 : BASE_PA,
					.ipa = {BASE},
					.size = s->region.size,
					.id = kind};

	check_eq("transition: its arguments", pt_transfer_init(&s->t, &args), PT_OK);
	do {
		section_begin(&s->b);
		o = pt_transfer_step(&s->t, &s->b.agent, STEP_BUDGET);
		pt_section_end(&s->b.agent);
	} while (o == PT_MORE);
	check_eq("transition", o, PT_OK);
	while (pt_reclaim(&s->b.agent))
		continue;
	return now_ns() - t;
}

static PHASE double time_donate_range(struct transfers *s)
{
	return time_range(s, PT_DONATE_GUEST);
}

static PHASE double time_balloon_range(struct transfers *s)
{
	return time_range(s, PT_BALLOON);
}

/* Pages of the host's go to a guest that puts them in pages, and come back. */
static void round_range(struct transfers *s)
{
	double per = 1.0 / (double)(s->region.size / PAGE), t = now_ns();

	run_plain(s, &s->plain, BASE, PT_ITEM_MAP);
	run_plain(s, &s->plain, BASE, PT_ITEM_UNMAP);
	keep(s, PLAIN_1G, (now_ns() - t) * per);
	run_plain(s, &s->b.ctx, BASE_PA, PT_ITEM_MAP);
	keep(s, DONATE_1G, time_donate_range(s) * per);
	keep(s, BALLOON_1G, time_balloon_range(s) * per);
}

static bool in_pages(void *arg, struct pt_ipa ipa, uint64_t size, uint32_t prot)
{
	(void)arg, (void)ipa, (void)size, (void)prot;
	return true;
}

static void ranges(struct transfers *s, uint64_t size, unsigned rounds)
{
	open_all(s, size);
	s->guest_ctx[GUEST].force_pages = in_pages;
	for (unsigned i = 0; i < rounds; i++)
		round_range(s);
	close_all(s);
}

static void least(double *best, double ns)
{
	if (!(*best > 0) || ns < *best)
		*best = ns;
}

/* Written memory, in pieces of what one call wipes; memset over as much that was written alike. */
static void wiping(double *wiped, double *set)
{
	const double per = 1.0 / (double)(WIPE_BYTES / PAGE);
	unsigned char *peer = malloc(WIPE_BYTES);
	struct pt_host_ram ram;
	static unsigned char page[PAGE];

	check(peer, "memory for the bench", 0, 1);
	memset(page, 1, PAGE);
	check_eq("memory to wipe", pt_host_ram_create(&ram, WIPE_BYTES), PT_OK);
	for (unsigned i = 0; i < ROUNDS; i++) {
		double t;

		for (uint64_t pa = 0; pa < WIPE_BYTES; pa += PAGE)
			memcpy(peer + pa, page, PAGE);
		t = now_ns();
		memset(peer, 0, WIPE_BYTES);
		__asm__ volatile("" ::"r"(peer) : "memory");
		least(set, (now_ns() - t) * per);
		for (uint64_t pa = 0; pa < WIPE_BYTES; pa += PAGE)
			pt_host_ram_write(&ram, pa, page, PAGE);
		t = now_ns();
		for (uint64_t pa = 0; pa < WIPE_BYTES; pa += PT_WIPE_BYTES)
			pt_host_ram_wipe(&ram, pa, PT_WIPE_BYTES);
		least(wiped, (now_ns() - t) * per);
		pt_host_ram_read(&ram, WIPE_BYTES - PAGE, page, PAGE);
		check_eq("what was wiped", page[PAGE - 1], 0);
		memset(page, 1, PAGE);
	}
	pt_host_ram_destroy(&ram);
	free(peer);
}

void bench_transfers(bool quiet)
{
	struct transfers *s = calloc(1, sizeof(*s));
	double wiped = 0, set = 0;

	check(s, "memory for the bench", 0, 1);
	if (quiet) {
		pages(s, 1000, 500, 1);
		ranges(s, GIB / 64, 1);
		free(s);
		return;
	}
	/* Rounds of a few ms, of pages that no cache knows from the one before. */
	pages(s, EXTENTS, 2000, 10 * ROUNDS);
	ranges(s, GIB, ROUNDS);
	wiping(&wiped, &set);
	s->best[DONATE_PAGE_MORE] = s->best[DONATE_PAGE] - s->best[PLAIN_PAGE];
	s->best[DONATE_1G_MORE] = s->best[DONATE_1G] - s->best[PLAIN_1G];
	for (unsigned row = 0; row < ROWS_HERE; row++)
		printf("%s %.2f\n", names[row], s->best[row]);
	printf("own_wipe %.2f\nown_wipe_memset %.2f\n", wiped, set);
	free(s);
}
