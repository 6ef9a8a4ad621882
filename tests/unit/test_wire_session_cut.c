/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A session of 100 messages whose connection is cut at every byte, in both directions: the client
 * opens it again on the other loop, repeats what it has no answer for, and each message has taken
 * effect once.
 */
#include "session_wire.h"

#define MESSAGES 100
#define AT_ONCE	 24 /* messages that the client leaves unanswered */
#define IPA	 UINT64_C(0x40000000)
#define PA	 UINT64_C(0x100000)
#define LARGE	 (UINT64_C(128) << 20) /* takes several steps */

/* The sanitizers' builds are slow: they see some of the cuts. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STRIDE 9
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define STRIDE 9
#endif
#endif
#ifndef STRIDE
#define STRIDE 1
#endif

static const uint8_t id[16] = "a session's name";

/* What a run leaves behind. */
struct record {
	struct bytes answer[MESSAGES + 1];
	uint64_t digest[2], generation, written, removed, faults;
	size_t up, down; /* bytes, of a run without a cut */
};

static struct wire wire;

/* Each message has an answer that would be another one if it were executed twice, or too late. */
static void put_script(struct link *l, uint64_t seq)
{
	uint64_t page = IPA + seq * 4096, other = SLOT_IPA + seq * 4096;

	if (seq == 48 || seq == 72) {
		put_range(l, seq, seq == 48 ? OP_MAP : OP_UNMAP, IPA + 16 * LARGE, 0, LARGE);
		return;
	}
	switch (seq % 8) {
	case 1: put_page(l, seq, OP_UNMAP, page - 4096, 0); break;
	case 3: put_accesses(l, seq, ASKS(ACCESS), other, 2); break;
	case 5: put_accesses(l, seq, ASKS(HANDLE_FAULT), other, 1); break;
	case 6: put_accesses(l, seq, ASKS(TRANSLATE), page - 2 * 4096, 2); break;
	default: put_page(l, seq, OP_MAP, page, PA + seq * 4096); break;
	}
}

/* The answers that have come. Returns how many messages have one now. */
static uint64_t take_answers(struct link *l, struct record *record, uint64_t answered, bool *open)
{
	Response *r;

	while ((r = get_response(l))) {
		size_t n = protobuf_c_message_get_packed_size(&r->base);
		uint8_t packed[512];

		assert_true(n <= sizeof(packed));
		protobuf_c_message_pack(&r->base, packed);
		if (r->what_case == ANSWERS(OPENED)) {
			assert_false(*open);
			assert_in_range(r->opened->last_seq, answered, answered + AT_ONCE);
			assert_memory_equal(r->opened->session_id.data, id, 16);
			*open = true;
		} else {
			assert_int_equal(r->seq, ++answered);
			assert_int_not_equal(r->what_case, ANSWERS(ERROR));
			bytes_put(&record->answer[answered], packed, n);
		}
		drop_message(r);
	}
	return answered;
}

/* One connection's worth of the session. Returns how many messages have an answer now. */
static uint64_t attempt(struct link *l, struct record *record, uint64_t context, uint64_t answered)
{
	uint64_t sent = answered;
	bool open = false;

	begin_stream(l, SESSION_PATH);
	put_open(l, context, id);
	while (!l->told && answered < MESSAGES) {
		if (!turn(l->wire) && !l->told)
			fail_msg(
				"nothing moves after %zu bytes up, %zu down, %llu answers; status %d %s",
				l->up, l->down, (unsigned long long)answered, l->status, l->text);
		answered = take_answers(l, record, answered, &open);
		while (open && sent < MESSAGES && sent < answered + AT_ONCE)
			put_script(l, ++sent);
	}
	return answered;
}

static void count_work(struct record *record, int sign)
{
	for (uint32_t i = 0; i < SHARDS; i++) {
		const struct loop_counters *c = wire.shard[i]->counters;

		record->written += (uint64_t)sign * c->leaves_written;
		record->removed += (uint64_t)sign * c->leaves_removed;
		record->faults += (uint64_t)sign * c->faults;
	}
}

static void look(struct link *l, struct record *record, uint64_t context)
{
	Ptd__V1__GetDigestRequest digest = PTD__V1__GET_DIGEST_REQUEST__INIT;
	Ptd__V1__GetContextRequest get = PTD__V1__GET_CONTEXT_REQUEST__INIT;
	Ptd__V1__GetDigestResponse *d;
	Ptd__V1__GetContextResponse *c;

	digest.context = get.handle = context;
	d = unary(l, "/ptd.v1.ContextService/GetDigest", &digest,
		  &ptd__v1__get_digest_response__descriptor);
	c = unary(l, "/ptd.v1.ContextService/GetContext", &get,
		  &ptd__v1__get_context_response__descriptor);
	record->digest[0] = d->digest_low;
	record->digest[1] = d->digest_high;
	record->generation = c->context->generation;
	drop_message(d);
	drop_message(c);
}

/* A whole session whose first connection ends after so many bytes. */
static void play(struct link *control, struct record *record, size_t up, size_t down)
{
	uint64_t context = make_context(control), answered = 0;
	struct link *l = connect_to(&wire, 0, up, down);

	l->linger = (up + down) % 6;
	count_work(record, -1);
	answered = attempt(l, record, context, 0);
	record->up = l->up;
	record->down = l->down;
	free_link(l);
	if (answered < MESSAGES) {
		l = connect_to(&wire, 1, NEVER, NEVER);
		answered = attempt(l, record, context, answered);
		free_link(l);
	}
	assert_int_equal(answered, MESSAGES);
	settle(&wire);
	count_work(record, 1);
	look(control, record, context);
	delete_context(control, context);
	wire.now_ns += 61 * SECOND; /* the session's name is free again */
}

static void compare(const struct record *a, const struct record *b)
{
	for (uint32_t i = 1; i <= MESSAGES; i++) {
		if (a->answer[i].length != b->answer[i].length ||
		    memcmp(a->answer[i].at, b->answer[i].at, a->answer[i].length))
			fail_msg("another answer to message %u", i);
	}
	assert_memory_equal(a->digest, b->digest, sizeof(a->digest));
	assert_int_equal(a->generation, b->generation);
	assert_int_equal(a->written, b->written);
	assert_int_equal(a->removed, b->removed);
	assert_int_equal(a->faults, b->faults);
}

static void clear(struct record *record)
{
	for (uint32_t i = 1; i <= MESSAGES; i++)
		free(record->answer[i].at);
	memset(record, 0, sizeof(*record));
}

static void each_message_of_a_cut_session_takes_effect_once(void **state)
{
	static struct record whole, cut;
	struct link *control;

	(void)state;
	wire_init(&wire);
	control = connect_to(&wire, 0, NEVER, NEVER);
	wire.machine = make_machine(control);
	play(control, &whole, NEVER, NEVER);
	assert_true(whole.written > 30000 && whole.removed > 30000);
	print_message("%zu bytes to the daemon and %zu from it\n", whole.up, whole.down);
	for (size_t at = 0; at < whole.up + whole.down; at += STRIDE) {
		play(control, &cut, at < whole.up ? at : NEVER,
		     at < whole.up ? NEVER : at - whole.up);
		compare(&whole, &cut);
		clear(&cut);
	}
	clear(&whole);
	wire_fini(&wire);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_message_of_a_cut_session_takes_effect_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
