/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of EL2's own map share; private to lib/hyp. */
#ifndef PT_HYP_INTERNAL_H
#define PT_HYP_INTERNAL_H

#include <pt/hyp_space.h>
#include <pt/platform.h>

/* Where a walk ended. */
struct pt__hyp_at {
	pt_pte *slot, entry;
	int level;
};

/* From the root to the entry for `va` that is no table, or of level `stop`. */
void pt__hyp_descend(const struct pt_hyp *hyp, uint64_t va, int stop, struct pt__hyp_at *at);
pt_pte *pt__hyp_table(const struct pt_hyp *hyp, pt_pte entry);

enum pt_outcome pt__hyp_args_check(const struct pt_hyp_args *args);

/* pt_hyp_call_private() by whoever is alone. */
enum pt_outcome pt__hyp_private(struct pt_hyp_space *space, struct pt_agent *agent, struct pt_pa pa,
				uint64_t size, uint32_t prot, uint64_t *va);

/* `count` tables for one operation, or none: on *pages, or still in the early allocator, from which
 * taking them cannot fail then. PT_OK or PT_NO_MEMORY. */
enum pt_outcome pt__hyp_reserve(struct pt_hyp *hyp, struct pt_agent *agent, uint32_t count,
				struct pt_pages *pages);
/* One of them, zeroed. */
struct pt_pa pt__hyp_page(struct pt_hyp *hyp, struct pt_agent *agent, struct pt_pages *pages);

/* For the checker: EL2 begins, or ends, to run on the map. */
static inline void pt__hyp_note_use(const struct pt_hyp *hyp, enum pt_event_kind kind)
{
	pt_port_note(kind, 0, hyp->mmu, hyp, hyp->root.v, 0);
}

static inline uint64_t pt__hyp_mask(const struct pt_hyp *hyp, int level)
{
	return pt_level_size(&hyp->geo, level) - 1;
}

/* The first address behind the entry of `level` around `va`, or behind `last`. */
static inline uint64_t pt__hyp_past(const struct pt_hyp *hyp, uint64_t va, int level, uint64_t last)
{
	uint64_t end = va | pt__hyp_mask(hyp, level);

	return (end < last ? end : last) + 1;
}

#endif
