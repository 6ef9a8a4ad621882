/* SPDX-License-Identifier: BSD-2-Clause */
/* The transitions as rows: docs/ownership.md, "Transitions", in the order and words of that table.
 */
#include "transition.h"

#define RESERVED  (1u << PT_GUEST_RESERVED)
#define LIVE	  (1u << PT_GUEST_LIVE)
#define DYING	  (1u << PT_GUEST_DYING)
#define UNCHANGED PT_PAGE_STATES

/* The host's alone. */
#define ALONE                                                                                      \
	.owner = PT_OWNER_HOST, .host = PT__IS(OWNED), .hyp = PT__IS(NOPAGE), .log_is_busy = true
#define WITH_HYP                                                                                   \
	.owner = PT_OWNER_HOST, .host = PT__IS(SHARED_OWNED), .hyp = PT__IS(SHARED_BORROWED)
/* A guest's, of which the host has this. */
#define GUESTS(state) .owner = PT_OWNER_GUEST, .host = PT__IS(state), .hyp = PT__IS(NOPAGE)
/* A guest's that becomes the host's alone. */
#define TO_HOST                                                                                    \
	.host_to = PT_PAGE_OWNED, .hyp_to = PT_PAGE_NOPAGE, .host_entry = PT__ENTRY_EMPTY,         \
	.guest_gives = true
#define NO_GUEST .by = PT__BY_FRAME, .page = PT__PAGE_NONE, .guest_entry = PT__ENTRY_NONE
/* One share less. */
#define UNSHARE                                                                                    \
	.by = PT__BY_GUEST, .owner = PT_OWNER_HOST, .host = PT__IS(SHARED_OWNED),                  \
	.hyp = PT__IS(NOPAGE), .shares = PT__COUNT_SOME, .page = PT__PAGE_BORROWED,                \
	.host_to = PT_PAGE_SHARED_OWNED, .hyp_to = PT_PAGE_NOPAGE, .shares_by = -1,                \
	.host_entry = PT__ENTRY_STAYS, .guest_entry = PT__ENTRY_EMPTY, .guest_gives = true

/* clang-format off */
const struct pt__row pt__rows[PT_TRANSFERS] = {
	[PT_SHARE_HYP] = {NO_GUEST, ALONE,
		.host_to = PT_PAGE_SHARED_OWNED, .hyp_to = PT_PAGE_SHARED_BORROWED, .host_entry = PT__ENTRY_STAYS},
	[PT_UNSHARE_HYP] = {NO_GUEST, WITH_HYP, .pins = PT__COUNT_FREE,
		.host_to = PT_PAGE_OWNED, .hyp_to = PT_PAGE_NOPAGE, .host_entry = PT__ENTRY_STAYS},
	[PT_PIN] = {NO_GUEST, WITH_HYP, .pins = PT__COUNT_ROOM,
		.host_to = UNCHANGED, .hyp_to = UNCHANGED, .pins_by = 1, .host_entry = PT__ENTRY_STAYS},
	[PT_UNPIN] = {NO_GUEST, WITH_HYP, .pins = PT__COUNT_SOME,
		.host_to = UNCHANGED, .hyp_to = UNCHANGED, .pins_by = -1, .host_entry = PT__ENTRY_STAYS},
	[PT_DONATE_HYP] = {NO_GUEST, ALONE, .wipe = PT__WIPE_ASKED,
		.host_to = PT_PAGE_NOPAGE, .hyp_to = PT_PAGE_OWNED, .host_entry = PT__ENTRY_NOTED},
	[PT_RETURN_HYP] = {NO_GUEST, .owner = PT_OWNER_HYP, .host = PT__IS(NOPAGE), .hyp = PT__IS(OWNED),
		.wipe = PT__WIPE_ALWAYS, .books_before = true,
		.host_to = PT_PAGE_OWNED, .hyp_to = PT_PAGE_NOPAGE, .host_entry = PT__ENTRY_EMPTY},
	[PT_SHARE_THIRD] = {NO_GUEST, ALONE,
		.host_to = PT_PAGE_SHARED_OWNED, .hyp_to = PT_PAGE_NOPAGE, .host_entry = PT__ENTRY_STAYS},
	[PT_UNSHARE_THIRD] = {NO_GUEST, .owner = PT_OWNER_HOST, .host = PT__IS(SHARED_OWNED), .hyp = PT__IS(NOPAGE),
		.shares = PT__COUNT_NONE,
		.host_to = PT_PAGE_OWNED, .hyp_to = PT_PAGE_NOPAGE, .host_entry = PT__ENTRY_STAYS},
	[PT_SHARE_GUEST] = {.by = PT__BY_BOTH, .guests = PT__PLAIN_GUEST, .life = LIVE,
		.owner = PT_OWNER_HOST, .host = PT__IS(OWNED) | PT__IS(SHARED_OWNED), .hyp = PT__IS(NOPAGE),
		.shares = PT__COUNT_ROOM, .log_is_busy = true, .page = PT__PAGE_VACANT,
		.host_to = PT_PAGE_SHARED_OWNED, .hyp_to = PT_PAGE_NOPAGE, .page_to = PT_PAGE_SHARED_BORROWED, .shares_by = 1,
		.host_entry = PT__ENTRY_STAYS, .guest_entry = PT__ENTRY_MAPPED},
	[PT_UNSHARE_GUEST] = {UNSHARE, .life = LIVE},
	[PT_DONATE_GUEST] = {.by = PT__BY_BOTH, .guests = PT__PROTECTED_GUEST, .life = LIVE, ALONE,
		.page = PT__PAGE_VACANT, .wipe = PT__WIPE_ASKED,
		.host_to = PT_PAGE_NOPAGE, .hyp_to = PT_PAGE_NOPAGE, .page_to = PT_PAGE_OWNED,
		.host_entry = PT__ENTRY_NOTED, .guest_entry = PT__ENTRY_MAPPED},
	[PT_SHARE_BACK] = {.by = PT__BY_GUEST, .life = LIVE, GUESTS(NOPAGE), .page = PT__PAGE_OWNED,
		.host_to = PT_PAGE_SHARED_BORROWED, .hyp_to = PT_PAGE_NOPAGE, .page_to = PT_PAGE_SHARED_OWNED,
		.host_entry = PT__ENTRY_MAPPED, .guest_entry = PT__ENTRY_MARKED, .guest_gives = true},
	[PT_UNSHARE_BACK] = {.by = PT__BY_GUEST, .life = LIVE, GUESTS(SHARED_BORROWED), .page = PT__PAGE_SHARED,
		.host_to = PT_PAGE_NOPAGE, .hyp_to = PT_PAGE_NOPAGE, .page_to = PT_PAGE_OWNED,
		.host_entry = PT__ENTRY_NOTED, .guest_entry = PT__ENTRY_MARKED},
	[PT_BALLOON] = {.by = PT__BY_GUEST, .life = LIVE, GUESTS(NOPAGE), .page = PT__PAGE_OWNED,
		.wipe = PT__WIPE_ALWAYS, .guest_entry = PT__ENTRY_EMPTY, TO_HOST},
	[PT_FORCE_RECLAIM] = {.by = PT__BY_OWNER, .life = LIVE | DYING, GUESTS(NOPAGE), .page = PT__PAGE_FORCED,
		.wipe = PT__WIPE_ALWAYS, .guest_entry = PT__ENTRY_NOTED, TO_HOST},
	/* Looked for page by page: pt__dying_row(). */
	[PT_RECLAIM_DYING] = {.by = PT__BY_GUEST, .life = DYING},
	[PT_TOP_UP] = {NO_GUEST, ALONE, .life = RESERVED | LIVE, .account = true, .wipe = PT__WIPE_ALWAYS,
		.host_to = PT_PAGE_NOPAGE, .hyp_to = PT_PAGE_OWNED, .table_to = true, .host_entry = PT__ENTRY_NOTED},
	[PT_RECLAIM_TABLES] = {.by = PT__BY_TABLES, .page = PT__PAGE_NONE, .guest_entry = PT__ENTRY_NONE,
		.life = RESERVED | DYING, .account = true, .owner = PT_OWNER_HYP, .table = true,
		.host = PT__IS(NOPAGE), .hyp = PT__IS(OWNED), .wipe = PT__WIPE_ALWAYS, .books_before = true,
		.host_to = PT_PAGE_OWNED, .hyp_to = PT_PAGE_NOPAGE, .host_entry = PT__ENTRY_EMPTY},
};

static const struct pt__row dying_owned = {
	.by = PT__BY_GUEST, .life = DYING, GUESTS(NOPAGE), .page = PT__PAGE_OWNED,
	.wipe = PT__WIPE_ALWAYS, .guest_entry = PT__ENTRY_EMPTY, TO_HOST};
static const struct pt__row dying_shared = {
	.by = PT__BY_GUEST, .life = DYING, GUESTS(SHARED_BORROWED), .page = PT__PAGE_SHARED,
	.guest_entry = PT__ENTRY_EMPTY, TO_HOST};
static const struct pt__row dying_borrowed = {UNSHARE, .life = DYING};
static const struct pt__row dying_poisoned = {
	.by = PT__BY_GUEST, .life = DYING, .page = PT__PAGE_POISONED,
	.host_entry = PT__ENTRY_NONE, .guest_entry = PT__ENTRY_EMPTY, .guest_gives = true};
/* clang-format on */

/* Lending, by who lends. What borrowers do leaves records and index alone. */
#define LENT_BY_HOST  .owner = PT_OWNER_HOST, .host = PT__IS(LENT), .hyp = PT__IS(NOPAGE)
#define LENT_BY_GUEST GUESTS(NOPAGE)
#define RETRIEVE                                                                                   \
	.by = PT__BY_BOTH, .life = LIVE, .page = PT__PAGE_VACANT, .host_to = UNCHANGED,            \
	.hyp_to = UNCHANGED, .page_to = PT_PAGE_LENT_BORROWED, .host_entry = PT__ENTRY_STAYS,      \
	.guest_entry = PT__ENTRY_MAPPED, .known = true
#define RELINQUISH                                                                                 \
	.by = PT__BY_BOTH, .life = LIVE | DYING, .page = PT__PAGE_LENT_BORROWED,                   \
	.wipe = PT__WIPE_ASKED, .host_to = UNCHANGED, .hyp_to = UNCHANGED,                         \
	.host_entry = PT__ENTRY_STAYS, .guest_entry = PT__ENTRY_EMPTY, .guest_gives = true,        \
	.known = true

/* clang-format off */
static const struct pt__row lend_rows[][2] = {
	[PT_LEND - PT_TRANSFERS] = {
		{.by = PT__BY_GUEST, .life = LIVE, GUESTS(NOPAGE), .page = PT__PAGE_OWNED,
		 .host_to = UNCHANGED, .hyp_to = UNCHANGED, .page_to = PT_PAGE_LENT,
		 .host_entry = PT__ENTRY_STAYS, .guest_entry = PT__ENTRY_NOTED, .guest_gives = true, .relabels = true},
		{NO_GUEST, ALONE,
		 .host_to = PT_PAGE_LENT, .hyp_to = PT_PAGE_NOPAGE, .host_entry = PT__ENTRY_NOTED}},
	[PT_RETRIEVE - PT_TRANSFERS] = {{RETRIEVE, LENT_BY_GUEST}, {RETRIEVE, LENT_BY_HOST}},
	[PT_RELINQUISH - PT_TRANSFERS] = {{RELINQUISH, LENT_BY_GUEST}, {RELINQUISH, LENT_BY_HOST}},
	[PT_TAKE_BACK - PT_TRANSFERS] = {
		{.by = PT__BY_BOTH, .life = LIVE | DYING, LENT_BY_GUEST, .page = PT__PAGE_LENT,
		 .host_to = UNCHANGED, .hyp_to = UNCHANGED, .page_to = PT_PAGE_OWNED,
		 .host_entry = PT__ENTRY_STAYS, .guest_entry = PT__ENTRY_MAPPED, .relabels = true, .known = true},
		{NO_GUEST, LENT_BY_HOST, .books_before = true,
		 .host_to = PT_PAGE_OWNED, .hyp_to = PT_PAGE_NOPAGE, .host_entry = PT__ENTRY_EMPTY, .known = true}},
};
/* clang-format on */

const struct pt__row *pt__lend_row(enum pt_transfer_kind kind, bool by_host)
{
	return &lend_rows[kind - PT_TRANSFERS][by_host];
}

const struct pt__row *pt__dying_row(enum pt_page_state state)
{
	switch (state) {
	case PT_PAGE_OWNED: return &dying_owned;
	case PT_PAGE_SHARED_OWNED: return &dying_shared;
	case PT_PAGE_SHARED_BORROWED: return &dying_borrowed;
	case PT_PAGE_POISONED: return &dying_poisoned;
	default: return NULL;
	}
}
