/* SPDX-License-Identifier: BSD-2-Clause */
/* The scenario runner against a target that is a table: stages, expectations, verdicts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scenario_run.h"

#include <pt/outcome.h>
#include <stdlib.h>
#include <string.h>

#define HEAD "machine m memory=1G\ncontext g ipa=40\n"

static struct fake {
	unsigned outcome; /* of everything but machine and context */
	unsigned runs, states, lose_at;
	unsigned exits[4];
	struct scn_state state;
} fake;

static struct scn_result result;
static char *errors;
static size_t errors_size;

static bool fake_run(void *self, const struct scenario *s, uint32_t record, struct scn_reply *reply,
		     struct scn_sums *sums)
{
	struct fake *f = self;

	if (++f->runs == f->lose_at)
		return false;
	reply->ns = 1000;
	if (s->records[record].op <= SCN_CONTEXT)
		return true;
	scn_count(sums, SCN_FACT_calls, 2);
	for (unsigned i = 0; i < 4 && f->exits[i]; i++)
		scn_count_exit(sums, f->exits[i]);
	scn_set_fact(reply, SCN_FACT_outcome, f->outcome);
	scn_set_fact(reply, SCN_FACT_level, (uint64_t)-1);
	scn_set_fact(reply, SCN_FACT_prot, 3);
	scn_set_fact(reply, SCN_FACT_owner, 0);
	scn_set_fact(reply, SCN_FACT_state, 2);
	scn_set_fact(reply, SCN_FACT_borrowers, 2);
	scn_set_fact(reply, SCN_FACT_pa, 0x40000000);
	scn_set_fact(reply, SCN_FACT_taker, 2);
	scn_set_fact(reply, SCN_FACT_canonical, 0x1000);
	snprintf(reply->text, sizeof(reply->text), "what went wrong");
	return true;
}

static bool fake_state(void *self, const struct scenario *s, uint32_t context,
		       struct scn_state *state)
{
	struct fake *f = self;

	(void)s, (void)context;
	f->states++;
	*state = f->state;
	return !state->text[0];
}

static const char *run(const char *text, enum scn_verdict verdict)
{
	const struct scn_target target = {&fake, fake_run, fake_state};
	struct scenario scenario;
	FILE *to;

	free(errors);
	errors = NULL;
	to = open_memstream(&errors, &errors_size);
	if (!scenario_compile(&scenario, "t.ptd", text, strlen(text), NULL, 0, stderr))
		fail();
	scenario_run(&scenario, &target, &result, to);
	fclose(to);
	scenario_free(&scenario);
	if (result.verdict != verdict)
		fail_msg("verdict %d, errors:\n%s", result.verdict, errors);
	return errors;
}

static void said(const char *expected)
{
	if (strcmp(errors, expected))
		fail_msg("expected:\n%sgot:\n%s", expected, errors);
}

static int reset(void **state)
{
	(void)state;
	fake = (struct fake){.outcome = PT_MAPPED};
	return 0;
}

static void facts_that_hold_pass(void **state)
{
	(void)state;
	fake.state.fact[SCN_FACT_leaves3 - SCN_STATE_FIRST] = 9;
	run(HEAD "unmap ipa=0 size=4K\nexpect outcome=MAPPED level=-1 level<0 prot=rw pa=1G\n"
		 "expect leaves3=9 leaves3>=9 leaves3<10 leaves3!=8 leaves3>8 leaves3<=9\n",
	    SCN_PASSED);
	said("");
	assert_int_equal(result.checks, 11);
	assert_int_equal(fake.states, 1); /* nothing happened between: asked once */
}

static void facts_that_do_not_are_named_with_their_place(void **state)
{
	(void)state;
	run(HEAD "unmap ipa=0 size=4K\nexpect outcome=OVERLAP level=2  prot=rx pa=0\n"
		 "expect leaves3=5 taker=host\nexpect taker=guest-hypervisor canonical=pa\n",
	    SCN_FAILED);
	said("t.ptd:4:8: expected outcome=OVERLAP, got MAPPED\n"
	     "t.ptd:4:24: expected level=2, got -1\n"
	     "t.ptd:4:33: expected prot=r-pu, got rw--\n"
	     "t.ptd:4:41: expected pa=0x0, got 0x40000000\n"
	     "t.ptd:5:8: expected leaves3=5, got 0\n"
	     "t.ptd:5:18: expected taker=host, got guest-hypervisor\n"
	     "t.ptd:6:31: expected canonical=pa = 0x40000000, got 0x1000\n");
	assert_int_equal(result.mismatches, 7);
}

static void a_failure_that_nobody_expects_ends_the_run(void **state)
{
	(void)state;
	fake.outcome = PT_NO_MEMORY;
	run(HEAD "unmap ipa=0 size=4K\nunmap ipa=0 size=4K\n", SCN_FAILED);
	said("t.ptd:3:1: unmap failed: what went wrong\n");
	assert_int_equal(fake.runs, 3);
	run(HEAD "unmap ipa=0 size=4K\nexpect outcome=NO_MEMORY\nunmap ipa=0 size=4K\n",
	    SCN_FAILED);
	said("t.ptd:5:1: unmap failed: what went wrong\n");
}

static void owners_are_named_as_the_file_names_them(void **state)
{
	(void)state;
	run(HEAD "own show pa=0\nexpect owner=g state=shared borrowers=2\n"
		 "expect owner=hyp state=owned borrowers<2\n",
	    SCN_FAILED);
	said("t.ptd:5:8: expected owner=hyp, got g\n"
	     "t.ptd:5:18: expected state=owned, got shared\n"
	     "t.ptd:5:30: expected borrowers<2, got 2\n");
}

static void sums_of_exits_are_compared_with_sums(void **state)
{
	(void)state;
	fake.exits[0] = PT_MAPPED;
	fake.exits[1] = PT_ALREADY_MAPPED;
	fake.exits[2] = PT_RACED;
	fake.exits[3] = PT_NO_SLOT;
	run(HEAD "unmap ipa=0 size=4K\n"
		 "expect faults=installed+already_mapped+raced+refused faults=1+raced+2 refused=1\n"
		 "expect faults=installed+already_mapped\n",
	    SCN_FAILED);
	said("t.ptd:5:8: expected faults=installed+already_mapped = 2, got 4\n");
}

static void stages_have_their_own_sums_and_times(void **state)
{
	(void)state;
	fake.exits[0] = PT_MAPPED;
	run(HEAD "stage one\nunmap ipa=0 size=4K\nunmap ipa=0 size=4K\nexpect calls=4 installed=2\n"
		 "stage two\nunmap ipa=0 size=4K\nexpect calls=2\n",
	    SCN_PASSED);
	assert_int_equal(result.stages, 2);
	assert_int_equal(result.stage[0].calls, 4);
	assert_int_equal(result.stage[0].ns, 2000);
	assert_int_equal(result.stage[0].faults, 2);
	assert_int_equal(result.stage[1].ns, 1000);
}

static void digests_say_same_or_another(void **state)
{
	(void)state;
	fake.state.digest[0] = 7;
	fake.state.digest[1] = 1;
	run(HEAD "digest a\nunmap ipa=0 size=4K\nexpect digest=a\nexpect digest!=a\n", SCN_FAILED);
	said("t.ptd:6:8: expected another digest, got 00000000000000010000000000000007, kept "
	     "00000000000000010000000000000007\n");
}

static void a_state_that_cannot_be_read_says_why(void **state)
{
	(void)state;
	snprintf(fake.state.text, sizeof(fake.state.text), "the context's state: MORE: busy");
	run(HEAD "expect leaves=1\n", SCN_LOST);
	said("t.ptd:3:8: the context's state: MORE: busy\n");
}

static void a_lost_target_is_another_verdict(void **state)
{
	(void)state;
	fake.lose_at = 3;
	run(HEAD "unmap ipa=0 size=4K\n", SCN_LOST);
	said("t.ptd:3:1: the connection is lost\n");
}

static void the_largest_stays_the_largest(void **state)
{
	struct scn_sums a = {0}, b = {0};

	(void)state;
	scn_count(&a, SCN_FACT_max_exits, 2);
	scn_count(&b, SCN_FACT_max_exits, 1);
	scn_count(&b, SCN_FACT_faults, 3);
	scn_add_sums(&a, &b);
	assert_int_equal(scn_sum(&a, SCN_FACT_max_exits), 2);
	assert_int_equal(scn_sum(&a, SCN_FACT_faults), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(facts_that_hold_pass, reset),
		cmocka_unit_test_setup(facts_that_do_not_are_named_with_their_place, reset),
		cmocka_unit_test_setup(a_failure_that_nobody_expects_ends_the_run, reset),
		cmocka_unit_test_setup(owners_are_named_as_the_file_names_them, reset),
		cmocka_unit_test_setup(sums_of_exits_are_compared_with_sums, reset),
		cmocka_unit_test_setup(stages_have_their_own_sums_and_times, reset),
		cmocka_unit_test_setup(digests_say_same_or_another, reset),
		cmocka_unit_test_setup(a_lost_target_is_another_verdict, reset),
		cmocka_unit_test_setup(a_state_that_cannot_be_read_says_why, reset),
		cmocka_unit_test_setup(the_largest_stays_the_largest, reset),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	free(errors);
	return failed;
}
