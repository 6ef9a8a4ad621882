/* SPDX-License-Identifier: BSD-2-Clause */
/* Dirty logs: a context's list of them, and the words of one. */
#include "dirty.h"

#include "base/bits.h"

void pt__log_init(struct pt_dirty_log *log, const struct pt_dirty_args *args)
{
	unsigned shift = args->ctx->geo.granule_shift;
	uint64_t words = pt_dirty_bytes(shift, args->size) / (2 * sizeof(uint64_t));

	*log = (struct pt_dirty_log){
		.ctx = args->ctx,
		.ipa = args->ipa.v,
		.last = args->ipa.v + args->size - 1,
		.shift = shift,
		.eager = args->eager_split,
		.initially_set = args->initially_set,
		.bits = args->memory,
		.sent = (uint64_t *)args->memory + words,
		.sent_lo = 1,
		.generation = 1,
	};
}

/* Readers go along the list in their sections: a log leaves it first and is reused after a grace
 * period. */
void pt__log_attach(struct pt_dirty_log *log)
{
	struct pt_ctx *ctx = log->ctx;

	pt_port_lock(&ctx->machine->lock);
	atomic_store_explicit(&log->next, pt__logs(ctx), memory_order_relaxed);
	atomic_store_explicit(&ctx->dirty, log, memory_order_release);
	pt_port_unlock(&ctx->machine->lock);
	pt_port_note(PT_EVENT_DIRTY_START, 0, log, ctx, log->ipa, log->last);
}

void pt__log_detach(struct pt_dirty_log *log)
{
	struct pt_machine *machine = log->ctx->machine;
	_Atomic(struct pt_dirty_log *) *link = &log->ctx->dirty;
	struct pt_dirty_log *at;

	pt_port_lock(&machine->lock);
	while ((at = atomic_load_explicit(link, memory_order_relaxed)) && at != log)
		link = &at->next;
	if (at)
		atomic_store_explicit(link, atomic_load_explicit(&log->next, memory_order_relaxed),
				      memory_order_release);
	pt_port_unlock(&machine->lock);
	pt_port_note(PT_EVENT_DIRTY_STOP, 0, log, log->ctx, log->ipa, log->last);
}

static uint64_t page_of(const struct pt_dirty_log *log, uint64_t ipa)
{
	return (ipa - log->ipa) >> log->shift;
}

/* The bits of word `word` that lie in the pages [first, last]. */
static uint64_t mask_of(uint64_t word, uint64_t first, uint64_t last)
{
	uint64_t mask = UINT64_MAX;

	if (word == first / 64)
		mask &= UINT64_MAX << first % 64;
	if (word == last / 64)
		mask &= UINT64_MAX >> (63 - last % 64);
	return mask;
}

static uint64_t load(const struct pt_dirty_log *log, uint64_t word)
{
	return atomic_load_explicit(&log->bits[word], memory_order_relaxed);
}

uint64_t pt__log_find(const struct pt_dirty_log *log, uint64_t ipa, uint64_t last, int64_t *left)
{
	uint64_t first = page_of(log, ipa), end = page_of(log, last), word = first / 64;

	for (; word <= end / 64 && *left > 0; word++, --*left) {
		uint64_t bits = load(log, word) & mask_of(word, first, end);

		if (bits)
			return log->ipa +
			       ((word * 64 + (unsigned)__builtin_ctzll(bits)) << log->shift);
	}
	return word > end / 64 ? last + 1 : log->ipa + (word * 64 << log->shift);
}

void pt__log_fill(struct pt_dirty_log *log, uint64_t lo, uint64_t hi)
{
	uint64_t first = page_of(log, lo), last = page_of(log, hi);

	pt_port_note(PT_EVENT_DIRTY_MARK, 0, log, log->ctx, lo, hi);
	for (uint64_t word = first / 64; word <= last / 64; word++)
		atomic_fetch_or_explicit(&log->bits[word], mask_of(word, first, last),
					 memory_order_relaxed);
}

bool pt__log_settle(struct pt_dirty_log *log, bool acknowledged, int64_t *left)
{
	for (; log->sent_lo <= log->sent_last && *left > 0; log->sent_lo++, --*left) {
		uint64_t *sent = &log->sent[log->sent_lo];

		if (*sent && !acknowledged)
			atomic_fetch_or_explicit(&log->bits[log->sent_lo], *sent,
						 memory_order_relaxed);
		*sent = 0;
	}
	if (log->sent_lo <= log->sent_last)
		return false;
	log->sent_lo = 1;
	log->sent_last = 0;
	return true;
}

/* Bits of `word` into the caller's bitmap, whose first bit is page `first`. */
static void tell(uint8_t *bitmap, uint64_t first, uint64_t word, uint64_t bits)
{
	if (word * 64 >= first && !((word * 64 - first) % 8)) {
		uint8_t *at = bitmap + (word * 64 - first) / 8;

		for (; bits; bits >>= 8)
			*at++ |= (uint8_t)bits;
		return;
	}
	for (; bits; bits &= bits - 1) {
		uint64_t bit = word * 64 + (unsigned)__builtin_ctzll(bits) - first;

		bitmap[bit / 8] |= (uint8_t)(1u << bit % 8);
	}
}

static void note_sent(struct pt_dirty_log *log, uint64_t word, uint64_t bits)
{
	if (log->sent_lo > log->sent_last)
		log->sent_lo = word;
	log->sent_last = word;
	log->sent[word] |= bits;
}

/* A word as a whole is no other agent's: the claim covers its pages. */
static void take(_Atomic uint64_t *word, uint64_t bits)
{
	if (bits == UINT64_MAX)
		atomic_store_explicit(word, 0, memory_order_relaxed);
	else
		atomic_fetch_and_explicit(word, ~bits, memory_order_relaxed);
}

void pt__log_collect(struct pt_dirty *op, uint64_t lo, uint64_t hi)
{
	struct pt_dirty_log *log = op->args.log;
	uint64_t first = page_of(log, lo), last = page_of(log, hi);

	if (op->args.clear)
		pt_port_note(PT_EVENT_DIRTY_CLEAR, 0, log, log->ctx, lo, hi);
	for (uint64_t word = first / 64; word <= last / 64; word++) {
		uint64_t bits = load(log, word) & mask_of(word, first, last);

		if (!bits)
			continue;
		if (op->args.clear) {
			take(&log->bits[word], bits);
			note_sent(log, word, bits);
		}
		tell(op->args.bitmap, page_of(log, op->args.ipa.v), word, bits);
		op->dirty += pt__count_bits(bits);
	}
}

uint64_t pt__log_count(const struct pt_dirty_log *log, uint64_t lo, uint64_t hi)
{
	uint64_t first = page_of(log, lo), last = page_of(log, hi), count = 0;

	for (uint64_t word = first / 64; word <= last / 64; word++)
		count += pt__count_bits(load(log, word) & mask_of(word, first, last));
	return count;
}

void pt_dirty_mark(struct pt_ctx *ctx, struct pt_ipa ipa, uint64_t size)
{
	pt__dirtied(ctx, ipa.v, ipa.v + size - 1);
}
