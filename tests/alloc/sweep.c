/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Allocation failure: a script of calls is run once and its allocations are counted; then it is run
 * again for each of them, which fails, and for some of them with all that come after. A call then
 * has its proper status or its connection ends; a call that failed has changed nothing; the retry
 * works; the script ends with the same digests; and no block is left. Until something fails a run
 * is the one that was counted, and nobody asks for its state.
 *
 * ALLOC_STRIDE: only every n-th allocation. ALLOC_AT: only this one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "script.h"

#include "shard_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS 64

static const struct script *script;
/* What the run without failures has seen. */
static uint64_t before[STEPS + 1];
static uint64_t points, layer[HOOK_LAYERS];

static const char *text_of(enum end end)
{
	static const char *const text[] = {"ok", "failed", "lost", "never ended"};

	return text[end];
}

static void broken(const struct wire *w, unsigned step, const char *what)
{
	fail_msg("allocation %llu%s (called from %p), step %u %s: %s; grpc-status %d \"%s\"",
		 (unsigned long long)hook.fail_at, hook.all_after ? " and all after" : "",
		 hook.where, step, script->calls[step].path, what, w->grpc, w->text);
}

/* Digest of the first context, and what the lists tell of all objects. */
static uint64_t state_of(struct wire *w, unsigned step)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (const struct scripted *call = script->state; call->path; call++) {
		enum end end = wire_call(w, call, false);

		if (end != END_OK && end != END_FAILED)
			broken(w, step, "the state cannot be told");
		for (size_t i = 0; end == END_OK && i < w->response.length; i++)
			h = (h ^ w->response.data[i]) * UINT64_C(0x100000001b3);
		h = h * 31 + end;
	}
	return h;
}

/* RESOURCE_EXHAUSTED, and in a session's stream what stands for it. */
static bool says_no_memory(const struct wire *w)
{
	return w->grpc == PT_GRPC_RESOURCE_EXHAUSTED;
}

/* The call met the failure: nothing has changed, and it works now. */
static void again(struct wire *w, unsigned step, enum end end)
{
	if (end == END_NEVER)
		broken(w, step, "neither answered nor ended");
	if (w->broken)
		broken(w, step, "what came is not HTTP/2");
	if (end == END_FAILED && !says_no_memory(w))
		broken(w, step, "another status than RESOURCE_EXHAUSTED");
	if (end == END_FAILED && !script->calls[step].changes && state_of(w, step) != before[step])
		broken(w, step, "failed, and changed something");
	end = wire_call(w, &script->calls[step], false);
	if (end != END_OK && !(script->calls[step].twice && end == END_FAILED))
		broken(w, step, text_of(end));
}

static void play_script(struct wire *w, bool record)
{
	if (record)
		before[0] = state_of(w, 0);
	for (unsigned i = 0; script->calls[i].path; i++) {
		uint64_t failed = hook.failed;
		enum end end = wire_call(w, &script->calls[i], true);
		bool met = hook.failed != failed;

		hook.all_after = hook.all_after && !met;
		if (end != END_OK && !met)
			broken(w, i, text_of(end));
		else if (end != END_OK)
			again(w, i, end);
		if (script->calls[i].changes && wire_call(w, script->repair, false) != END_OK)
			broken(w, i, "it cannot be repaired");
		if (record)
			before[i + 1] = state_of(w, i);
		else if (hook.failed && state_of(w, i) != before[i + 1])
			broken(w, i, "the state is not that of the run without failures");
	}
}

static void play(uint64_t fail_at, bool all_after, bool record)
{
	struct wire w;
	int64_t live = hook.live;

	hook = (struct hook){.fail_at = fail_at, .all_after = all_after, .live = live};
	if (!wire_open(&w, true)) {
		if (!hook.failed || hook.live != live)
			fail_msg("allocation %llu at start-up: %lld blocks are left",
				 (unsigned long long)fail_at, (long long)(hook.live - live));
		hook.all_after = false;
		assert_true(wire_open(&w, false));
	}
	play_script(&w, record);
	wire_close(&w);
	if (hook.live != live)
		fail_msg("allocation %llu (called from %p): %lld blocks are left",
			 (unsigned long long)fail_at, hook.where, (long long)(hook.live - live));
}

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

static void a_run_without_failures_works_and_is_counted(void **state)
{
	const struct script *const *given = *state;

	script = *given;
	play(0, false, true);
	play(0, false, false);
	points = hook.count;
	memcpy(layer, hook.by_layer, sizeof(layer));
	print_message(
		"%s: %llu allocations: %llu of libc, %llu of the slab, %llu of arenas and "
		"protobuf-c, %llu of nghttp2, %llu mappings\n",
		script->name, (unsigned long long)points, (unsigned long long)layer[HOOK_LIBC],
		(unsigned long long)layer[HOOK_SLAB], (unsigned long long)layer[HOOK_ARENA],
		(unsigned long long)layer[HOOK_NGHTTP2], (unsigned long long)layer[HOOK_PAGES]);
	for (unsigned i = 0; i < HOOK_LAYERS; i++)
		assert_true(layer[i]);
	play(0, false, false);
	assert_int_equal(hook.count, points); /* it repeats */
}

static void each_allocation_may_fail(void **unused)
{
	uint64_t stride = number("ALLOC_STRIDE", 1), only = number("ALLOC_AT", 0), runs = 0;

	(void)unused;
	for (uint64_t k = only ? only : 1; k <= (only ? only : points); k += stride, runs++)
		play(k, false, false);
	assert_true(runs);
	print_message("%llu runs\n", (unsigned long long)runs);
}

static void each_and_all_after_it_may_fail(void **unused)
{
	uint64_t stride = number("ALLOC_STRIDE", 1) * 7, only = number("ALLOC_AT", 0), runs = 0;

	(void)unused;
	for (uint64_t k = only ? only : 1; k <= (only ? only : points); k += stride, runs++)
		play(k, true, false);
	assert_true(runs);
	print_message("%llu runs\n", (unsigned long long)runs);
}

int main(void)
{
	static const struct script *mappings = &script_mappings, *owners = &script_owners;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(a_run_without_failures_works_and_is_counted, &mappings),
		cmocka_unit_test(each_allocation_may_fail),
		cmocka_unit_test(each_and_all_after_it_may_fail),
		cmocka_unit_test_prestate(a_run_without_failures_works_and_is_counted, &owners),
		cmocka_unit_test(each_allocation_may_fail),
		cmocka_unit_test(each_and_all_after_it_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
