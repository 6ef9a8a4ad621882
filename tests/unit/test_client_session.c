/* SPDX-License-Identifier: BSD-2-Clause */
/* Sessions over connections that are cut: every message takes effect once and is answered in order.
 */
#include "client_peer.h"
#include "session.h"

#include "ptd/v1/mapping.pb-c.h"

#include <ptd_session.h>
#include <stdio.h>

#define MESSAGES 24
#define WINDOW	 8u
#define EPOCH	 77
#define GONE	 91

struct daemon {
	bool exists;
	uint8_t id[16];
	uint64_t epoch, last_seq;
	unsigned effects[MESSAGES], opens;
	uint32_t ended_stream;	/* nothing that comes on it counts */
	uint64_t gone_seq;	/* whose answer is not kept */
	const char *end_status; /* instead of opening: ends the stream with this */
	const char *end_pushback;
	bool silent; /* executes, and says nothing */
};

static struct daemon *daemon_of(const struct world *world)
{
	return world->daemon;
}

static void end_stream(struct peer *peer, uint32_t stream, bool begun, const char *status,
		       const char *pushback)
{
	struct daemon *daemon = daemon_of(peer->world);
	uint8_t block[128] = {0x88}; /* :status 200, if it has not been sent */
	size_t length = begun ? 0 : 1;

	daemon->ended_stream = stream;
	length += header(block + length, "grpc-status", status);

	if (pushback)
		length += header(block + length, "grpc-retry-pushback-ms", pushback);
	frame(peer, HEADERS, 0x5, stream, block, length);
}

static void respond(struct peer *peer, uint32_t stream, const Ptd__V1__SessionResponse *response)
{
	uint8_t bytes[256] = {0};
	size_t length = ptd__v1__session_response__pack(response, bytes + 5);

	bytes[4] = (uint8_t)length;
	frame(peer, DATA, 0, stream, bytes, length + 5);
}

static void open_session(struct peer *peer, uint32_t stream, const Ptd__V1__SessionOpen *open)
{
	Ptd__V1__SessionResponse response = PTD__V1__SESSION_RESPONSE__INIT;
	Ptd__V1__SessionOpened opened = PTD__V1__SESSION_OPENED__INIT;
	struct daemon *daemon = daemon_of(peer->world);
	uint8_t status_200 = 0x88;

	daemon->opens++;
	if (daemon->end_status) {
		end_stream(peer, stream, false, daemon->end_status, daemon->end_pushback);
		daemon->end_status = NULL;
		return;
	}
	assert_int_equal(open->session_id.len, 16);
	if (!daemon->exists || memcmp(daemon->id, open->session_id.data, 16)) {
		daemon->exists = true;
		daemon->last_seq = 0;
		memcpy(daemon->id, open->session_id.data, 16);
	}
	opened.session_id = open->session_id;
	opened.last_seq = daemon->last_seq;
	opened.epoch = daemon->epoch;
	opened.window = WINDOW;
	response.what_case = PTD__V1__SESSION_RESPONSE__WHAT_OPENED;
	response.opened = &opened;
	frame(peer, HEADERS, 0x4, stream, &status_200, 1);
	respond(peer, stream, &response);
}

/* What is done is what the address says: message number << 12. */
static void execute(struct daemon *daemon, const Ptd__V1__SessionRequest *request)
{
	assert_true(request->seq <= daemon->last_seq + 1);
	if (request->seq <= daemon->last_seq) {
		/* So old an answer is kept. */
		assert_true(request->seq + WINDOW > daemon->last_seq);
		return;
	}
	daemon->last_seq = request->seq;
	if (request->what_case == PTD__V1__SESSION_REQUEST__WHAT_APPLY)
		daemon->effects[request->apply->ops->ipa[0] >> 12]++;
}

static void take_message(struct peer *peer, uint32_t stream, const Ptd__V1__SessionRequest *request)
{
	Ptd__V1__SessionResponse response = PTD__V1__SESSION_RESPONSE__INIT;
	Ptd__V1__ApplyResponse apply = PTD__V1__APPLY_RESPONSE__INIT;
	Ptd__V1__AccessResults results = PTD__V1__ACCESS_RESULTS__INIT;
	Ptd__V1__SessionError error = PTD__V1__SESSION_ERROR__INIT;
	struct daemon *daemon = daemon_of(peer->world);

	if (request->what_case == PTD__V1__SESSION_REQUEST__WHAT_OPEN) {
		open_session(peer, stream, request->open);
		return;
	}
	execute(daemon, request);
	if (daemon->silent)
		return;
	response.seq = request->seq;
	apply.applied = 1;
	apply.generation = request->seq;
	if (request->seq == daemon->gone_seq) {
		error.code = GONE;
		response.what_case = PTD__V1__SESSION_RESPONSE__WHAT_ERROR;
		response.error = &error;
	} else if (request->what_case == PTD__V1__SESSION_REQUEST__WHAT_APPLY) {
		response.what_case = PTD__V1__SESSION_RESPONSE__WHAT_APPLY;
		response.apply = &apply;
	} else {
		response.what_case = PTD__V1__SESSION_RESPONSE__WHAT_RESULTS;
		response.results = &results;
	}
	respond(peer, stream, &response);
}

static void take_body(struct peer *peer, uint32_t stream, struct body *body, bool end)
{
	(void)end;
	while (body->length >= 5 && body->length >= 5u + body->bytes[4]) {
		size_t length = 5u + body->bytes[4];
		Ptd__V1__SessionRequest *request =
			ptd__v1__session_request__unpack(NULL, length - 5, body->bytes + 5);

		assert_non_null(request);
		if (daemon_of(peer->world)->ended_stream != stream)
			take_message(peer, stream, request);
		ptd__v1__session_request__free_unpacked(request, NULL);
		body->length -= length;
		memmove(body->bytes, body->bytes + length, body->length);
	}
}

/* --- the user -------------------------------------------------------------------------------- */

struct user {
	struct ptd_session *session;
	unsigned answers, ok, failed, unknown;
	bool close_at_first;
	struct ptd_status last;
};

static void on_answer(void *arg, const struct ptd_answer *answer)
{
	struct user *user = arg;

	/* In the order in which they were given. */
	assert_int_equal((uintptr_t)answer->tag, user->answers);
	user->answers++;
	user->ok += answer->status->state == PTD_STATE_OK;
	user->failed += answer->status->state == PTD_STATE_FAILED;
	user->unknown += answer->status->state == PTD_STATE_UNKNOWN;
	user->last = *answer->status;
	if (answer->status->state == PTD_STATE_OK)
		assert_int_equal(answer->applied, 1);
	if (user->close_at_first) {
		ptd_session_close(user->session);
		user->session = NULL;
		user->close_at_first = false;
	}
}

static bool give(struct user *user, unsigned number)
{
	const struct ptd_op op = {.kind = PTD_OP_MAP,
				  .prot = PTD_PROT_R,
				  .ipa = {(uint64_t)number << 12},
				  .size = 4096};

	return ptd_session_apply(user->session, &op, 1, PTD_MODE_ATOMIC, (void *)(uintptr_t)number);
}

static struct world *begin(struct user *user, uint32_t reconnects, size_t cut_up, size_t cut_down)
{
	struct world *world = make_world(sizeof(struct daemon), reconnects, cut_up, cut_down);

	*user = (struct user){0};
	daemon_of(world)->epoch = EPOCH;
	user->session = ptd_session_open(world->core, 5, on_answer, user);
	assert_non_null(user->session);
	return world;
}

static void finish(struct world *world, struct user *user)
{
	ptd_session_close(user->session);
	settle(world);
	assert_int_equal(ptd_core_outstanding(world->core), 0);
	close_world(world);
}

/* A session of MESSAGES messages; returns the world as it is then. */
static struct world *whole_session(struct user *user, size_t cut_up, size_t cut_down)
{
	struct world *world = begin(user, 3, cut_up, cut_down);

	for (unsigned i = 0; i < MESSAGES; i++)
		assert_true(give(user, i));
	while (ptd_session_unanswered(user->session)) {
		settle(world);
		if (!ptd_session_unanswered(user->session))
			break;
		assert_true(world->wake > world->now && world->wake != UINT64_MAX);
		world->now = world->wake;
	}
	return world;
}

static void a_session_that_is_cut_at_any_byte_has_each_effect_once(void **state)
{
	struct user user;
	struct world *world = whole_session(&user, SIZE_MAX, SIZE_MAX);
	size_t up = world->up, down = world->down;
	unsigned cuts = 0;

	(void)state;
	assert_int_equal(user.ok, MESSAGES);
	finish(world, &user);
	for (size_t at = 1; at < up + down; at++) {
		world = at < up ? whole_session(&user, at, SIZE_MAX)
				: whole_session(&user, SIZE_MAX, at - up + 1);
		assert_int_equal(user.ok, MESSAGES);
		for (unsigned i = 0; i < MESSAGES; i++)
			assert_int_equal(daemon_of(world)->effects[i], 1);
		cuts += world->connections == 2;
		finish(world, &user);
	}
	assert_true(cuts + 4 > up + down);
}

static void without_reconnect_what_left_is_unknown_and_the_rest_has_failed(void **state)
{
	struct user user;
	struct world *world = begin(&user, 0, SIZE_MAX, SIZE_MAX);

	(void)state;
	for (unsigned i = 0; i < MESSAGES; i++)
		give(&user, i);
	settle(world);
	assert_int_equal(user.ok, MESSAGES);
	daemon_of(world)->silent = true;
	user.answers = 0;
	for (unsigned i = 0; i < MESSAGES; i++)
		give(&user, i);
	settle(world);
	cut(world);
	settle(world);
	/* A window of them had left. */
	assert_int_equal(user.unknown, WINDOW);
	assert_int_equal(user.failed, MESSAGES - WINDOW);
	assert_int_equal(ptd_session_status(user.session)->where, PTD_WHERE_LOST);
	assert_false(give(&user, 0));
	finish(world, &user);
}

/* What the daemon did has been lost with the session: nobody knows. */
static void lost_session(bool exists, uint64_t epoch)
{
	struct user user;
	struct world *world = begin(&user, 3, SIZE_MAX, SIZE_MAX);

	settle(world);
	daemon_of(world)->silent = true;
	give(&user, 0);
	settle(world);
	assert_int_equal(daemon_of(world)->effects[0], 1);
	daemon_of(world)->silent = false;
	daemon_of(world)->exists = exists;
	daemon_of(world)->epoch = epoch;
	cut(world);
	give(&user, 1);
	run(world);
	assert_int_equal(daemon_of(world)->effects[0], 1);
	assert_int_equal(daemon_of(world)->effects[1], 0);
	assert_int_equal(user.unknown, 1);
	assert_int_equal(user.failed, 1);
	finish(world, &user);
}

static void a_session_that_the_daemon_forgot_is_not_begun_anew(void **state)
{
	(void)state;
	lost_session(false, EPOCH);
}

static void nor_one_of_another_run_of_the_daemon(void **state)
{
	(void)state;
	lost_session(true, EPOCH + 1);
}

static void who_takes_the_session_over_has_it(void **state)
{
	struct user user;
	struct world *world = begin(&user, 3, SIZE_MAX, SIZE_MAX);

	(void)state;
	settle(world);
	daemon_of(world)->silent = true;
	give(&user, 0);
	settle(world);
	end_stream(world->peer, 1, true, "10", NULL);
	run(world);
	assert_int_equal(user.unknown, 1);
	assert_int_equal(daemon_of(world)->opens, 1);
	assert_int_equal(ptd_session_status(user.session)->grpc, 10);
	finish(world, &user);
}

static void a_busy_daemon_is_asked_again_when_it_says(void **state)
{
	struct user user;
	struct world *world = make_world(sizeof(struct daemon), 3, SIZE_MAX, SIZE_MAX);

	(void)state;
	user = (struct user){0};
	daemon_of(world)->epoch = EPOCH;
	daemon_of(world)->end_status = "8";
	daemon_of(world)->end_pushback = "250";
	user.session = ptd_session_open(world->core, 5, on_answer, &user);
	give(&user, 0);
	settle(world);
	assert_int_equal(daemon_of(world)->opens, 1);
	assert_int_equal(world->wake, 250 * MS);
	world->now = world->wake;
	settle(world);
	assert_int_equal(daemon_of(world)->opens, 2);
	assert_int_equal(user.ok, 1);
	finish(world, &user);
}

static void an_answer_that_is_not_kept_leaves_its_message_unknown_and_no_other(void **state)
{
	struct user user;
	struct world *world = begin(&user, 3, SIZE_MAX, SIZE_MAX);

	(void)state;
	daemon_of(world)->gone_seq = 3; /* the second of the user's */
	for (unsigned i = 0; i < 3; i++)
		give(&user, i);
	settle(world);
	assert_int_equal(user.ok, 2);
	assert_int_equal(user.unknown, 1);
	finish(world, &user);
}

static void closing_from_a_callback_answers_the_rest(void **state)
{
	struct user user;
	struct world *world = begin(&user, 3, SIZE_MAX, SIZE_MAX);

	(void)state;
	user.close_at_first = true;
	for (unsigned i = 0; i < MESSAGES; i++)
		give(&user, i);
	settle(world);
	assert_int_equal(user.answers, MESSAGES);
	assert_int_equal(user.ok, 1);
	/* One window had left, and one more when the first was answered. */
	assert_int_equal(user.unknown + user.failed, MESSAGES - 1);
	assert_int_equal(user.unknown, WINDOW - 1);
	finish(world, &user);
}

/* Where a session is none of a shadow, or a column is too short, they are not there. */
static void answers_of_a_shadow_say_who_takes_a_fault(void **state)
{
	uint32_t outcome[2] = {0, 7}, taker[2] = {PTD_TAKER_NOBODY, PTD_TAKER_HOST};
	uint64_t zero[2] = {0}, canonical[2] = {0x1000, 0x2000};
	Ptd__V1__AccessResults r = PTD__V1__ACCESS_RESULTS__INIT;
	struct ptd_answer answer = {0};

	(void)state;
	r.outcome = outcome;
	r.pa = r.esr = r.hpfar = zero;
	r.n_outcome = r.n_pa = r.n_esr = r.n_hpfar = 2;
	session_read_results(&answer, &r);
	assert_int_equal(answer.count, 2);
	assert_null(answer.taker);
	assert_null(answer.canonical_ipa);
	r.taker = taker;
	r.canonical_ipa = canonical;
	r.n_taker = 2;
	r.n_canonical_ipa = 1;
	session_read_results(&answer, &r);
	assert_null(answer.taker);
	r.n_canonical_ipa = 2;
	session_read_results(&answer, &r);
	assert_int_equal(answer.taker[1], PTD_TAKER_HOST);
	assert_int_equal(answer.canonical_ipa[1], 0x2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session_that_is_cut_at_any_byte_has_each_effect_once),
		cmocka_unit_test(without_reconnect_what_left_is_unknown_and_the_rest_has_failed),
		cmocka_unit_test(a_session_that_the_daemon_forgot_is_not_begun_anew),
		cmocka_unit_test(nor_one_of_another_run_of_the_daemon),
		cmocka_unit_test(who_takes_the_session_over_has_it),
		cmocka_unit_test(a_busy_daemon_is_asked_again_when_it_says),
		cmocka_unit_test(
			an_answer_that_is_not_kept_leaves_its_message_unknown_and_no_other),
		cmocka_unit_test(answers_of_a_shadow_say_who_takes_a_fault),
		cmocka_unit_test(closing_from_a_callback_answers_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
