/* SPDX-License-Identifier: BSD-2-Clause */
/* A canonical context with shadows: made, filled by faults, and taken down. */
#include "nest.h"

#include <stdlib.h>

static enum pt_outcome no_load(void *arg, struct pt_ipa ipa, uint64_t *word)
{
	(void)arg, (void)ipa, (void)word;
	return PT_NO_SLOT;
}

static enum pt_outcome no_swap(void *arg, struct pt_ipa ipa, uint64_t *word, uint64_t to)
{
	(void)arg, (void)ipa, (void)word, (void)to;
	return PT_NO_SLOT;
}

struct nest *nest_open(uint32_t shadows, bool nested, uint64_t size)
{
	struct nest *n = calloc(1, sizeof(*n));
	const struct pt_guest_memory memory = {.load = no_load, .swap = no_swap};

	check(n, "memory for the bench", 0, 1);
	bench_open(&n->b, &(struct bench_args){.granule_shift = 12,
					       .size = size,
					       .table_bytes = (UINT64_C(32) << 20) + 2 * size});
	if (nested)
		check_eq("pt_nested_init",
			 pt_nested_init(&n->nested, &n->b.ctx, &memory, n->bucket, 64, n->number,
					SHADOWS, UINT64_MAX, 0),
			 PT_OK);
	section_begin(&n->b);
	for (n->shadows = 0; n->shadows < shadows; n->shadows++) {
		const struct pt_shadow_key key = {.vttbr = (uint64_t)(n->shadows + 1) << 48};
		const struct pt_guest_regs regs = {.vttbr = key.vttbr, .pa_bits = 48};

		check_eq("pt_shadow_init",
			 pt_shadow_init(&n->shadow[n->shadows], &n->nested, &n->b.agent, &key,
					&regs, UINT64_MAX),
			 PT_OK);
		check_eq("pt_vmid_get", pt_vmid_get(&n->shadow[n->shadows].ctx, &n->b.agent),
			 PT_OK);
	}
	pt_section_end(&n->b.agent);
	map(&n->b, BASE, size, BASE_PA, PT_MAP_FORCE_PAGES);
	return n;
}

void nest_fill(struct nest *n, uint32_t shadow, uint64_t page, uint64_t pages, uint64_t step)
{
	section_begin(&n->b);
	for (uint64_t i = page; i < page + pages; i += step) {
		const struct pt_nested_fault fault = {.ipa = {BASE + i * n->b.page},
						      .access = PT_ACCESS_READ};
		struct pt_nested_result r;

		check_eq("pt_nested_fault",
			 pt_nested_fault(&n->b.agent, &n->shadow[shadow], &fault, &r), PT_MAPPED);
		section_turn(&n->b, i);
	}
	pt_section_end(&n->b.agent);
}

void nest_close(struct nest *n)
{
	enum pt_outcome outcome;

	for (uint32_t i = 0; i < n->shadows; i++) {
		struct pt_shadow_end end;

		check_eq("pt_shadow_end_begin", pt_shadow_end_begin(&end, &n->shadow[i], NULL),
			 PT_OK);
		do {
			section_begin(&n->b);
			outcome = pt_shadow_end_step(&end, &n->b.agent, STEP_BUDGET);
			pt_section_end(&n->b.agent);
		} while (outcome == PT_MORE);
		check_eq("pt_shadow_end_step", outcome, PT_OK);
	}
	bench_close(&n->b);
	free(n);
}
