/* SPDX-License-Identifier: BSD-2-Clause */
/* The wire's pure parts: timeouts, percent and base64, UTF-8, deframer, pre-scan, arena, slab,
 * timers, mailbox. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arena.h"
#include "codec.h"
#include "frame.h"
#include "mailbox.h"
#include "scan.h"
#include "timer.h"

#include <grpc/health/v1/health.pb-c.h>
#include <grpc/reflection/v1/reflection.pb-c.h>
#include <ptd/v1/mapping.pb-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t seed(void)
{
	const char *text = getenv("PTD_SEED");
	uint64_t value = text ? strtoull(text, NULL, 0) : 20260101;

	print_message("PTD_SEED=%llu\n", (unsigned long long)value);
	return value;
}

static uint64_t draw(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void timeouts_parse_or_are_refused(void **unused)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} good[] = {
		{"0n", 0},
		{"1n", 1},
		{"5u", 5000},
		{"7m", 7000000},
		{"1S", 1000000000},
		{"2M", UINT64_C(120000000000)},
		{"00000003S", UINT64_C(3000000000)},
		{"99999999H", UINT64_MAX},
	};
	static const char *const bad[] = {"",	 "1",	"S",  "100000000S", "1X",   "-1S",
					  " 1S", "1 S", "1s", "+1S",	    "1.0S", "1SS"};
	uint64_t ns;

	(void)unused;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(
			timeout_parse((const uint8_t *)good[i].text, strlen(good[i].text), &ns));
		assert_int_equal(ns, good[i].ns);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ns = 77;
		assert_false(timeout_parse((const uint8_t *)bad[i], strlen(bad[i]), &ns));
		assert_int_equal(ns, 77);
	}
}

static void percent_encoding_escapes_and_never_cuts_an_escape(void **unused)
{
	char out[32];

	(void)unused;
	assert_int_equal(percent_encode(out, sizeof(out), "a%b\n\xc3\xa9~"), 15);
	assert_memory_equal(out, "a%25b%0A%C3%A9~", 15);
	assert_int_equal(percent_encode(out, 4, "ab%"), 2);
	assert_int_equal(percent_encode(out, 5, "ab%"), 5);
}

static void base64_is_unpadded(void **unused)
{
	static const char *const plain[] = {"", "f", "fo", "foo", "foob", "fooba", "foobar"};
	static const char *const coded[] = {"",	      "Zg",	 "Zm8",	    "Zm9v",
					    "Zm9vYg", "Zm9vYmE", "Zm9vYmFy"};
	char out[16];

	(void)unused;
	for (size_t i = 0; i < 7; i++) {
		size_t n = base64_encode(out, (const uint8_t *)plain[i], strlen(plain[i]));

		assert_int_equal(n, strlen(coded[i]));
		assert_int_equal(n, base64_length(strlen(plain[i])));
		assert_memory_equal(out, coded[i], n);
	}
}

static void utf8_refuses_overlong_surrogate_and_cut_forms(void **unused)
{
	static const char *const good[] = {
		"", "plain", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9d\x84\x9e", "\xf4\x8f\xbf\xbf"};
	static const char *const bad[] = {
		"\x80",		"\xc0\x80",	    "\xc1\xbf", "\xe0\x80\x80",
		"\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf5",	"\xc3",
		"\xe2\x82",	"\xf4\x90\x80\x80"};

	(void)unused;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(utf8_valid((const uint8_t *)good[i], strlen(good[i])));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(utf8_valid((const uint8_t *)bad[i], strlen(bad[i])));
}

/* Feeds `wire` in pieces drawn from the seed; returns the number of messages. */
static unsigned deframe(const uint8_t *wire, size_t length, uint64_t *state, uint32_t *sizes)
{
	struct frame frame = {0};
	static uint8_t body[4096];
	size_t room = 0;
	unsigned n = 0;

	while (length) {
		size_t piece = 1 + draw(state) % 40, left;
		const uint8_t *at = wire;
		enum frame_event event;

		piece = piece > length ? length : piece;
		left = piece;
		do {
			event = frame_feed(&frame, room, &at, &left);
			if (event == FRAME_BEGIN)
				room = 0;
			if (event == FRAME_ROOM) {
				frame.body = body;
				room = room ? room * 2 : 16;
			}
			if (event == FRAME_MESSAGE) {
				for (uint32_t i = 0; i < frame.length; i++)
					assert_int_equal(body[i], (uint8_t)(frame.length + i));
				sizes[n++] = frame.length;
				frame_next(&frame);
			}
		} while (event != FRAME_MORE || left);
		wire += piece;
		length -= piece;
	}
	assert_true(frame_idle(&frame));
	return n;
}

static void messages_survive_any_cut(void **unused)
{
	static const uint32_t lengths[] = {0, 1, 5, 0, 300, 4, 77, 0, 0, 1024, 2};
	uint8_t wire[4096];
	uint64_t state = seed();
	size_t n = 0;

	(void)unused;
	for (size_t i = 0; i < 11; i++) {
		wire[n] = 0;
		wire[n + 1] = wire[n + 2] = 0;
		wire[n + 3] = (uint8_t)(lengths[i] >> 8);
		wire[n + 4] = (uint8_t)lengths[i];
		n += FRAME_PREFIX;
		for (uint32_t k = 0; k < lengths[i]; k++)
			wire[n++] = (uint8_t)(lengths[i] + k);
	}
	for (int round = 0; round < 300; round++) {
		uint32_t sizes[16];

		assert_int_equal(deframe(wire, n, &state, sizes), 11);
		assert_memory_equal(sizes, lengths, sizeof(lengths));
	}
}

#define SCAN(type, text) wire_scan(&type##__descriptor, (const uint8_t *)(text), sizeof(text) - 1)

static void the_scan_refuses_what_protobuf_c_would_take(void **unused)
{
	(void)unused;
	assert_int_equal(SCAN(grpc__health__v1__health_check_request, "\x0a\x02hi"), SCAN_OK);
	assert_int_equal(SCAN(grpc__health__v1__health_check_request, "\x0a\x02h\0"), SCAN_NUL);
	assert_int_equal(SCAN(grpc__health__v1__health_check_request, "\x0a\x01\xff"),
			 SCAN_MALFORMED);
	assert_int_equal(SCAN(grpc__health__v1__health_check_request, "\x0a\x05hi"),
			 SCAN_MALFORMED);
	assert_int_equal(SCAN(grpc__health__v1__health_check_request, "\x0b\x0c"), SCAN_MALFORMED);
	assert_int_equal(SCAN(grpc__health__v1__health_check_request, "\x02\x00"), SCAN_MALFORMED);
	assert_int_equal(
		SCAN(ptd__v1__map_request, "\x48\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"),
		SCAN_MALFORMED);
	assert_int_equal(SCAN(ptd__v1__apply_request, "\x1a\x03\x0a\x09x"), SCAN_MALFORMED);
	assert_int_equal(SCAN(ptd__v1__map_request, "\x3a\x02\xff\x00"), SCAN_OK); /* bytes field */
}

static void the_scan_counts_submessages_and_unknown_fields(void **unused)
{
	static uint8_t wire[3 * (SCAN_MAX_SUBMESSAGES + 1)];

	(void)unused;
	for (size_t i = 0; i <= SCAN_MAX_SUBMESSAGES; i++)
		memcpy(wire + 2 * i, "\x22\x00", 2);
	assert_int_equal(
		wire_scan(&ptd__v1__apply_response__descriptor, wire, 2 * SCAN_MAX_SUBMESSAGES),
		SCAN_OK);
	assert_int_equal(wire_scan(&ptd__v1__apply_response__descriptor, wire,
				   2 * (SCAN_MAX_SUBMESSAGES + 1)),
			 SCAN_TOO_MANY);
	for (size_t i = 0; i <= SCAN_MAX_UNKNOWN; i++)
		memcpy(wire + 3 * i, "\xf8\x07\x00", 3);
	assert_int_equal(wire_scan(&ptd__v1__map_request__descriptor, wire, 3 * SCAN_MAX_UNKNOWN),
			 SCAN_OK);
	assert_int_equal(
		wire_scan(&ptd__v1__map_request__descriptor, wire, 3 * (SCAN_MAX_UNKNOWN + 1)),
		SCAN_TOO_MANY);
}

static void an_arena_keeps_its_cap_and_gives_all_back(void **unused)
{
	_Alignas(16) uint8_t first[256];
	struct arena arena;
	struct slab slab;
	size_t had = 0;

	(void)unused;
	slab_init(&slab);
	arena_init(&arena, &slab, first, sizeof(first));
	arena.cap = 100000;
	while (arena_alloc(&arena, 1000))
		had += 1008;
	assert_in_range(had, 98000, 100000);
	assert_true(arena.overflow);
	assert_non_null(arena_alloc(&arena, 16));
	assert_null(arena_alloc(&arena, SIZE_MAX));
	assert_null(arena_alloc(&arena, SIZE_MAX - 15));
	arena_fini(&arena);
	assert_int_equal(slab.used, 0);
	slab_fini(&slab);
}

static void a_slab_reuses_blocks_of_a_class(void **unused)
{
	struct slab slab;
	void *big, *block;

	(void)unused;
	slab_init(&slab);
	block = slab_alloc(&slab, 100);
	memset(block, 7, 100);
	block = slab_resize(&slab, block, 5000);
	for (int i = 0; i < 100; i++)
		assert_int_equal(((uint8_t *)block)[i], 7);
	big = slab_alloc(&slab, 1 << 20);
	assert_int_equal((uintptr_t)big % 16, 0);
	assert_null(slab_alloc(&slab, SIZE_MAX));
	slab_free(&slab, big);
	slab_free(&slab, block);
	slab_free(&slab, NULL);
	assert_int_equal(slab.used, 0);
	slab_fini(&slab);
}

#define TIMERS 200

static void timers_fire_in_order_of_time_then_of_arming(void **unused)
{
	static struct timer timer[TIMERS];
	struct timers timers = {0};
	uint64_t state = seed(), last_at = 0, last_order = 0;
	struct timer *due;
	unsigned n = 0;

	(void)unused;
	for (unsigned i = 0; i < TIMERS; i++)
		assert_true(timer_arm(&timers, &timer[i], 1 + draw(&state) % 50));
	for (unsigned i = 0; i < TIMERS; i += 3)
		timer_stop(&timers, &timer[i]);
	for (unsigned i = 0; i < TIMERS; i += 5)
		assert_true(timer_arm(&timers, &timer[i], 1 + draw(&state) % 50));
	assert_null(timers_due(&timers, 0));
	while ((due = timers_due(&timers, 50))) {
		assert_true(due->at_ns > last_at ||
			    (due->at_ns == last_at && due->order > last_order));
		last_at = due->at_ns;
		last_order = due->order;
		n++;
	}
	assert_int_equal(n, TIMERS - 67 + 14); /* every 15th was stopped and armed again */
	assert_int_equal(timers_next(&timers), UINT64_MAX);
	timers_fini(&timers);
}

static void mail_is_read_in_the_order_it_came(void **unused)
{
	struct mailbox box = {NULL};
	struct mail mail[3], *at;

	(void)unused;
	assert_null(mailbox_take(&box));
	assert_true(mailbox_put(&box, &mail[0]));
	assert_false(mailbox_put(&box, &mail[1]));
	assert_false(mailbox_put(&box, &mail[2]));
	at = mailbox_take(&box);
	for (int i = 0; i < 3; i++, at = at->next)
		assert_ptr_equal(at, &mail[i]);
	assert_null(at);
	assert_true(mailbox_put(&box, &mail[1]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timeouts_parse_or_are_refused),
		cmocka_unit_test(percent_encoding_escapes_and_never_cuts_an_escape),
		cmocka_unit_test(base64_is_unpadded),
		cmocka_unit_test(utf8_refuses_overlong_surrogate_and_cut_forms),
		cmocka_unit_test(messages_survive_any_cut),
		cmocka_unit_test(the_scan_refuses_what_protobuf_c_would_take),
		cmocka_unit_test(the_scan_counts_submessages_and_unknown_fields),
		cmocka_unit_test(an_arena_keeps_its_cap_and_gives_all_back),
		cmocka_unit_test(a_slab_reuses_blocks_of_a_class),
		cmocka_unit_test(timers_fire_in_order_of_time_then_of_arming),
		cmocka_unit_test(mail_is_read_in_the_order_it_came),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
