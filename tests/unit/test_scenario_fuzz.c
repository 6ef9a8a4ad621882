/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Damaged scenarios, by a seed (PTD_SEED): text that is nearly right, and compiled tables whose
 * checksum is right but whose records are not. Nothing may crash, and what loads must run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scenario_run.h"

#include <stdlib.h>
#include <string.h>

static const char seedling[] =
	"let a=2M\nmachine m memory=4G vcpus=8 pa=48\ncontext g granule=4K ipa=40 quota=9 fwb\n"
	"slot id=1 ipa=1G size=$a pa=0 backing=2M no-exec\nstage one\ndigest d\n"
	"map ipa=2G size=$a*2+4K pa=0 prot=rwx type=nc count=3 stride=4M replace\n"
	"expect outcome=MAPPED leaves3>=1 digest!=d leaves_written=$a/4K\n"
	"batch mode=atomic\nunmap ipa=0 size=4K\nprotect ipa=8K size=4K prot=r\nendbatch\n"
	"expect applied=2 errors=0\n"
	"par 3\nread ipa=1G size=1M step=4K on=even lane-step=1M\nexpect exits<=2\nend\n"
	"expect faults=installed+already_mapped+raced\n"
	"touch ipa=1G size=1M step=64K vcpus=4 even=write\nfault esr=1 far=2 hpfar=3\n"
	"failpoint pool.reserve nth=1 scoped ttl=5\ndisarm\ntranslate ipa=0 access=exec\n"
	"delete slot=1\ndelete context=g\ndelete machine=m\n";

static uint64_t seed;

/* splitmix64 */
static uint64_t draw(void)
{
	uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static bool run(void *self, const struct scenario *s, uint32_t record, struct scn_reply *reply,
		struct scn_sums *sums)
{
	const struct scn_record *r = &s->records[record];
	uint64_t *objects = self; /* as many as a real target keeps */

	for (uint32_t i = 0; i < scenario_extent(r); i++) {
		if (r[i].op == SCN_MACHINE || r[i].op == SCN_DELETE_MACHINE)
			objects[r[i].object]++;
		else if (r[i].object != SCN_NONE)
			objects[SCN_MAX_MACHINES + r[i].object]++;
		if (r[i].op == SCN_FAILPOINT && r[i].body.failpoint.scoped)
			assert_true(r[i].object < s->header.contexts);
		assert_true(strlen(scenario_string(s, r[i].name)) < s->header.string_bytes);
	}
	scn_count(sums, SCN_FACT_calls, 1);
	for (unsigned i = 0; i < SCN_SCOPE_FACTS; i++)
		reply->fact[i] = i == SCN_FACT_outcome ? draw() % 13 : draw();
	return true;
}

static bool state(void *self, const struct scenario *s, uint32_t context, struct scn_state *st)
{
	uint64_t *objects = self;

	assert_true(context < s->header.contexts);
	objects[SCN_MAX_MACHINES + context]++;
	st->digest[0] = draw() & 1;
	return true;
}

static void run_it(const struct scenario *s, FILE *nowhere)
{
	uint64_t objects[SCN_MAX_MACHINES + SCN_MAX_CONTEXTS] = {0};
	const struct scn_target target = {objects, run, state};
	struct scn_result *result = calloc(1, sizeof(*result));

	scenario_run(s, &target, result, nowhere);
	assert_true(result->stages <= s->header.stages);
	free(result);
}

static void damaged_text_compiles_or_is_refused(void **unused)
{
	static const char letters[] = "\n =<>!#$,.-+*/0179KMGabcdeipxrw\t\xff";
	FILE *nowhere = fopen("/dev/null", "w");
	char text[sizeof(seedling)];
	unsigned compiled = 0;

	(void)unused;
	for (unsigned i = 0; i < 4000; i++) {
		struct scenario s;
		unsigned changes = 1 + (unsigned)(draw() % 3);

		memcpy(text, seedling, sizeof(text));
		while (changes--)
			text[draw() % (sizeof(text) - 1)] = letters[draw() % (sizeof(letters) - 1)];
		if (!scenario_compile(&s, "t", text, sizeof(text) - 1, NULL, 0, nowhere))
			continue;
		run_it(&s, nowhere);
		scenario_free(&s);
		compiled++;
	}
	assert_in_range(compiled, 20, 3900);
	fclose(nowhere);
}

static size_t save(const struct scenario *s, unsigned char *bytes, size_t room)
{
	FILE *to = fmemopen(bytes, room, "w");
	long length;

	assert_true(scenario_save(s, to));
	length = ftell(to);
	fclose(to);
	return (size_t)length;
}

static void damaged_tables_are_refused_or_run(void **unused)
{
	static unsigned char bytes[16384];
	FILE *nowhere = fopen("/dev/null", "w");
	struct scenario good, s;
	unsigned loaded = 0;
	char why[160];

	(void)unused;
	assert_true(scenario_compile(&good, "t", seedling, sizeof(seedling) - 1, NULL, 0, stderr));
	for (unsigned i = 0; i < 8000; i++) {
		uint32_t at = (uint32_t)(draw() % good.header.records);
		struct scn_record kept = good.records[at];
		unsigned char *r = (unsigned char *)&good.records[at];
		size_t length;

		r[draw() % (draw() % 2 ? sizeof(kept) : 16)] ^= (unsigned char)(1 + draw() % 255);
		length = save(&good, bytes, sizeof(bytes));
		good.records[at] = kept;
		if (!scenario_load(&s, bytes, length, why))
			continue;
		run_it(&s, nowhere);
		scenario_free(&s);
		loaded++;
	}
	assert_in_range(loaded, 1000, 7900);
	scenario_free(&good);
	fclose(nowhere);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(damaged_text_compiles_or_is_refused),
		cmocka_unit_test(damaged_tables_are_refused_or_run),
	};
	const char *given = getenv("PTD_SEED");

	seed = given ? strtoull(given, NULL, 0) : (uint64_t)(uintptr_t)&given ^ 1;
	printf("# PTD_SEED=%llu\n", (unsigned long long)seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
