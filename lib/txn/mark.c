/* SPDX-License-Identifier: BSD-2-Clause */
/* Dirty logs: setting bits. In a section; the logs of a context live until its end. */
#include "internal.h"

/*
 * A set bit is not written again: pages that many agents write share its cache line. A word as a
 * whole is stored: who clears bits of it has a claim on all of its pages, or does so before or
 * after.
 */
static void set(_Atomic uint64_t *word, uint64_t bits)
{
	if ((atomic_load_explicit(word, memory_order_relaxed) & bits) == bits)
		return;
	if (bits == UINT64_MAX)
		atomic_store_explicit(word, bits, memory_order_relaxed);
	else
		atomic_fetch_or_explicit(word, bits, memory_order_relaxed);
}

/* Relaxed: who clears bits has waited for the sections of all who set them. */
static void set_range(struct pt_dirty_log *log, uint64_t lo, uint64_t hi)
{
	uint64_t first, last;

	lo = lo > log->ipa ? lo : log->ipa;
	hi = hi < log->last ? hi : log->last;
	first = (lo - log->ipa) >> log->shift;
	last = (hi - log->ipa) >> log->shift;
	pt_port_note(PT_EVENT_DIRTY_MARK, 0, log, log->ctx, lo, hi);
	for (uint64_t word = first / 64; word <= last / 64; word++) {
		uint64_t bits = UINT64_MAX;

		if (word == first / 64)
			bits &= UINT64_MAX << first % 64;
		if (word == last / 64)
			bits &= UINT64_MAX >> (63 - last % 64);
		set(&log->bits[word], bits);
	}
}

void pt__mark(const struct pt_ctx *ctx, uint64_t lo, uint64_t hi, const struct pt_dirty_log *except)
{
	struct pt_dirty_log *log = pt__logs(ctx);

	for (; log; log = atomic_load_explicit(&log->next, memory_order_acquire))
		if (log != except && lo <= log->last && log->ipa <= hi)
			set_range(log, lo, hi);
}

unsigned pt__count_logs(struct pt_dirty_log *first, uint64_t lo, uint64_t hi)
{
	struct pt_dirty_log *log = first;
	unsigned count = 0;

	for (; log; log = atomic_load_explicit(&log->next, memory_order_acquire))
		count += lo <= log->last && log->ipa <= hi;
	return count;
}

bool pt__meets_log(struct pt_dirty_log *first, uint64_t lo, uint64_t hi)
{
	struct pt_dirty_log *log = first;

	for (; log; log = atomic_load_explicit(&log->next, memory_order_acquire))
		if (lo <= log->last && log->ipa <= hi)
			return true;
	return false;
}
