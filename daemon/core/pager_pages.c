/* SPDX-License-Identifier: BSD-2-Clause */
/* Pages of a pager: which are there, and which have no content. */
#include "pager_parts.h"

/* ---- bits ---- */

/* Those of [first, last] in word number `at`. */
static uint64_t mask_of(uint64_t at, uint64_t first, uint64_t last)
{
	uint64_t mask = UINT64_MAX;

	if (at == first / 64)
		mask &= UINT64_MAX << first % 64;
	if (at == last / 64)
		mask &= UINT64_MAX >> (63 - last % 64);
	return mask;
}

static uint64_t count_of(uint64_t bits)
{
	uint64_t n = 0;

	for (; bits; bits &= bits - 1)
		n++;
	return n;
}

static bool all_there(const struct pager *p, uint64_t first, uint64_t last)
{
	for (uint64_t at = first / 64; at <= last / 64; at++)
		if (~atomic_load_explicit(&p->present[at], memory_order_acquire) &
		    mask_of(at, first, last))
			return false;
	return true;
}

uint64_t pager_set_there(struct pager *p, uint64_t first, uint64_t last)
{
	uint64_t n = 0;

	for (uint64_t at = first / 64; at <= last / 64; at++) {
		uint64_t mask = mask_of(at, first, last);
		uint64_t old =
			atomic_fetch_or_explicit(&p->present[at], mask, memory_order_release);

		n += count_of(mask & ~old);
		p->failed_pages -= count_of(mask & p->failed[at]);
		p->failed[at] &= ~mask;
	}
	atomic_fetch_sub_explicit(&p->absent, n, memory_order_release);
	return n;
}

uint64_t pager_set_failed(struct pager *p, uint64_t first, uint64_t last)
{
	uint64_t n = 0;

	for (uint64_t at = first / 64; at <= last / 64; at++) {
		uint64_t mask = mask_of(at, first, last) & ~p->failed[at] &
				~atomic_load_explicit(&p->present[at], memory_order_relaxed);

		n += count_of(mask);
		p->failed[at] |= mask;
	}
	p->failed_pages += n;
	return n;
}

/* ---- ranges ---- */

/* A step looks at no more words than this; a block that large is made when all is there. */
#define MOST_WORDS 4096u

static bool is_there(const struct pager *p, uint64_t ipa, uint64_t last)
{
	uint64_t end = p->ipa + (p->size - 1);
	uint64_t lo = ipa > p->ipa ? ipa : p->ipa, hi = last < end ? last : end;

	if (!atomic_load_explicit(&p->absent, memory_order_acquire))
		return true;
	lo = (lo - p->ipa) >> p->shift;
	hi = (hi - p->ipa) >> p->shift;
	return hi / 64 - lo / 64 < MOST_WORDS && all_there(p, lo, hi);
}

bool pagers_present(void *context, struct pt_ipa ipa, uint64_t size)
{
	for (const struct pager *p = pager_first(context); p; p = pager_after(p))
		if (pager_meets(p, ipa.v, size) && !is_there(p, ipa.v, ipa.v + (size - 1)))
			return false;
	return true;
}

const struct pager *pagers_meet(struct context *c, uint64_t ipa, uint64_t size,
				const struct pager *but)
{
	const struct pager *p = pager_first(c);

	while (p && (p == but || !pager_meets(p, ipa, size)))
		p = pager_after(p);
	return p;
}
