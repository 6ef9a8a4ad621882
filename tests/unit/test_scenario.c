/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenario text to records: every operation, every refusal with its place, files and their damage.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scenario.h"

#include <stdlib.h>
#include <string.h>

#define HEAD "machine m memory=1G vcpus=4\ncontext g ipa=40\n"

static struct scenario scenario;
static char *errors;
static size_t errors_size;

static bool compile_with(const char *text, const struct scn_set *sets, size_t count)
{
	FILE *to;
	bool ok;

	free(errors);
	errors = NULL;
	scenario_free(&scenario);
	to = open_memstream(&errors, &errors_size);
	ok = scenario_compile(&scenario, "t.ptd", text, strlen(text), sets, count, to);
	fclose(to);
	return ok;
}

static const struct scn_record *compile(const char *text)
{
	if (!compile_with(text, NULL, 0))
		fail_msg("does not compile:\n%s", errors);
	return scenario.records;
}

static void refused(const char *text, const char *message)
{
	assert_false(compile_with(text, NULL, 0));
	if (!strstr(errors, message))
		fail_msg("expected: %s\ngot:\n%s", message, errors);
}

static void a_machine_and_a_context_become_records(void **state)
{
	const struct scn_record *r =
		compile("machine m0 memory=4G vcpus=8 pa=48 vmid=8\n"
			"context g0 granule=16K ipa=0x30 pa=44 ds start=1 fwb xnx ha hd identity "
			"protected nested quota=7\n");

	(void)state;
	assert_int_equal(scenario.header.records, 2);
	assert_int_equal(r[0].op, SCN_MACHINE);
	assert_string_equal(scenario_string(&scenario, r[0].name), "m0");
	assert_int_equal(r[0].body.machine.memory_bytes, UINT64_C(4) << 30);
	assert_int_equal(r[0].body.machine.vcpus, 8);
	assert_int_equal(r[0].body.machine.pa_bits, 48);
	assert_int_equal(r[0].body.machine.vmid_bits, 8);
	assert_int_equal(r[1].op, SCN_CONTEXT);
	assert_int_equal(r[1].body.context.granule_shift, 14);
	assert_int_equal(r[1].body.context.ipa_bits, 48);
	assert_int_equal(r[1].body.context.pa_bits, 44);
	assert_int_equal(r[1].body.context.start_plus_2, 3);
	assert_int_equal(r[1].body.context.flags, SCN_CTX_FLAGS);
	assert_int_equal(r[1].body.context.shadows, 64);
	assert_int_equal(r[1].body.context.quota_pages, 7);
	assert_int_equal(r[1].line, 2);
}

static void a_register_value_stands_for_the_geometry(void **state)
{
	const struct scn_record *r = compile("machine m memory=1G\ncontext g vtcr=0x8002_3558\n");

	(void)state;
	assert_int_equal(r[1].body.context.vtcr, 0x80023558);
	assert_int_equal(r[1].body.context.granule_shift, 0);
	refused("machine m memory=1G\ncontext g vtcr=1 ipa=40\n", "vtcr= stands for");
	refused("machine m memory=1G\ncontext g fwb\n", "context needs ipa= or vtcr=");
}

static void slots_and_ranges_keep_their_numbers(void **state)
{
	const struct scn_record *r = compile(
		HEAD
		"slot id=3 ipa=1G size=2M pa=64K backing=2M read-only log-dirty no-exec\n"
		"map ipa=0x4000_0000 size=4K pa=8K prot=rwp type=device replace pages count=5 stride=16K\n"
		"unmap ipa=1G size=4K validate\n"
		"protect ipa=1G size=4K prot=-\n");

	(void)state;
	assert_int_equal(r[2].body.slot.id, 3);
	assert_int_equal(r[2].body.slot.backing, 1 << 21);
	assert_int_equal(r[2].body.slot.flags, 7);
	assert_int_equal(r[3].body.map.prot, 0x207);
	assert_int_equal(r[3].body.map.flags, 3);
	assert_int_equal(r[3].body.map.count, 5);
	assert_int_equal(r[3].body.map.stride, 16384);
	assert_int_equal(r[4].op, SCN_UNMAP);
	assert_int_equal(r[4].body.map.flags, SCN_MAP_VALIDATE);
	assert_int_equal(r[4].body.map.count, 1);
	assert_int_equal(r[5].body.map.prot, 0);
}

static void accesses_know_their_kind_and_length(void **state)
{
	const struct scn_record *r =
		compile(HEAD "read ipa=0 vcpu=3\nwrite ipa=8 data=0x55 length=1\n"
			     "exec ipa=0 el0\nat ipa=0\n"
			     "access kind=write ipa=0 size=1M step=4K s1ptw\n");

	(void)state;
	for (unsigned i = 2; i < 6; i++)
		assert_int_equal(r[i].body.access.kind, i - 1);
	assert_int_equal(r[2].body.access.vcpu, 3);
	assert_int_equal(r[2].body.access.length, 8);
	assert_int_equal(r[3].body.access.data, 0x55);
	assert_int_equal(r[3].body.access.length, 1);
	assert_int_equal(r[4].body.access.length, 4);
	assert_int_equal(r[4].body.access.flags, SCN_ACCESS_EL0);
	assert_int_equal(r[5].body.access.length, 0);
	assert_int_equal(r[6].body.access.kind, 2);
	assert_int_equal(r[6].body.access.step, 4096);
	assert_int_equal(r[6].body.access.flags, SCN_ACCESS_S1PTW);
}

static void faults_failpoints_and_the_rest(void **state)
{
	const struct scn_record *r = compile(
		HEAD
		"fault ipa=1G access=write vcpu=1\nfault esr=0x9200_0047 far=0x10 hpfar=0x400\n"
		"translate ipa=1G\nquota pages=3\n"
		"failpoint pool.reserve nth=2 times=1 scoped ttl=1000\n"
		"failpoint rpc.reply action=delay ppm=5 seed=9 delay=3\ndisarm\n"
		"delete slot=2\ndelete context=g\ndelete machine=m\n");

	(void)state;
	assert_int_equal(r[2].body.fault.kind, 2);
	assert_int_equal(r[3].body.fault.esr, 0x92000047);
	assert_int_equal(r[4].body.fault.kind, 1);
	assert_int_equal(r[5].body.quota.pages, 3);
	assert_string_equal(scenario_string(&scenario, r[6].name), "pool.reserve");
	assert_int_equal(r[6].body.failpoint.action, 1);
	assert_int_equal(r[6].object, 0);
	assert_int_equal(r[7].body.failpoint.action, 3);
	assert_int_equal(r[7].object, SCN_NONE);
	assert_int_equal(r[8].op, SCN_DISARM);
	assert_int_equal(r[9].op, SCN_DELETE_SLOT);
	assert_int_equal(r[9].body.slot.id, 2);
	assert_int_equal(r[10].op, SCN_DELETE_CONTEXT);
	assert_int_equal(r[11].op, SCN_DELETE_MACHINE);
}

#define OWNED "machine m memory=1G owners\ncontext h kind=host ipa=40\ncontext g ipa=40 protected\n"

static void transitions_of_ownership_know_their_parties(void **state)
{
	const struct scn_record *r =
		compile(OWNED "own share pa=2M to=hyp\n"
			      "own donate pa=4K size=64K to=g ipa=1G zero validate\n"
			      "own share from=g ipa=1G prot=r type=device\n"
			      "own reclaim pa=4K\nown pin pa=2M machine=m\nown show pa=2M\n"
			      "expect owner=g owner!=host state=shared borrowers=1\n");

	(void)state;
	assert_int_equal(r[0].body.machine.flags, SCN_MACHINE_OWNERS);
	assert_int_equal(r[2].body.context.flags, SCN_CTX_PROTECTED);
	assert_int_equal(r[3].op, SCN_OWN);
	assert_int_equal(r[3].object, SCN_NONE);
	assert_int_equal(r[3].body.own.kind, 1);
	assert_int_equal(r[3].body.own.from, SCN_PARTY_HOST);
	assert_int_equal(r[3].body.own.to, SCN_PARTY_HYP);
	assert_int_equal(r[3].body.own.pa, 2 << 20);
	assert_int_equal(r[3].body.own.size, 4096);
	assert_int_equal(r[4].body.own.to, 1);
	assert_int_equal(r[4].body.own.ipa, 1 << 30);
	assert_int_equal(r[4].body.own.size, 65536);
	assert_int_equal(r[4].body.own.flags, SCN_OWN_ZERO | SCN_OWN_VALIDATE);
	assert_int_equal(r[5].body.own.from, 1);
	assert_int_equal(r[5].body.own.to, SCN_PARTY_HOST);
	assert_int_equal(r[5].body.own.prot, 0x201);
	assert_int_equal(r[6].body.own.kind, 8);
	assert_int_equal(r[6].body.own.from, SCN_PARTY_GUEST);
	assert_int_equal(r[7].body.own.to, SCN_PARTY_HYP);
	assert_int_equal(r[8].body.own.kind, SCN_OWN_SHOW);
	assert_int_equal(r[9].body.expect.constant, 1);
	assert_int_equal(r[10].body.expect.constant, SCN_PARTY_HOST);
	assert_int_equal(r[11].body.expect.constant, 2);
	r = compile(OWNED "own lend id=3 pa=2M size=8K total=16K to=g also=h zero\n"
			  "own piece id=3 pa=8M\nown retrieve to=g ipa=1G\nown take-back id=15\n");
	assert_int_equal(r[3].body.own.kind, 4);
	assert_int_equal(r[3].body.own.lending, 3);
	assert_int_equal(r[3].body.own.total, 16384);
	assert_int_equal(r[3].body.own.also, 0);
	assert_int_equal(r[4].body.own.flags, SCN_OWN_PIECE);
	assert_int_equal(r[4].body.own.also, SCN_NONE);
	assert_int_equal(r[5].body.own.size, 0);
	assert_int_equal(r[6].body.own.lending, 15);
	refused(OWNED "own take-back id=16\n", "id is at most 15");
	refused("own share pa=2M to=hyp\n", "a machine line must come first");
	refused(OWNED "own give pa=2M\n", "'give' is not one of: share, unshare, donate");
	refused(OWNED "own share pa=2M to=nobody\n", "no line before makes a context 'nobody'");
	refused(OWNED "own show pa=2M size=4K\n", "own show takes pa= and machine=");
	refused(OWNED "own show pa=2M\nexpect owner>host\n", "owner is no number");
	refused(OWNED "own show pa=2M\nexpect state=mine\n", "is not one of: owned, shared, lent");
}

#define NESTED	     "machine m memory=1G vcpus=2\ncontext h ipa=40 nested shadows=3\n"
#define TABLES	     "tables t base=2M vmid=5 maps=0:64K:4M:rw,2M:2M:8M:rwx\n"
#define TABLES_VTTBR (UINT64_C(5) << 48 | 0x200000)
#define TABLES_VTCR  UINT64_C(0x800d3558)

static void a_guest_hypervisor_has_tables_shadows_and_instructions(void **state)
{
	const struct scn_record *r =
		compile(NESTED TABLES "enter s\nread ipa=0\nexit vcpu=1\n"
				      "tlbi ipas2e1is ipa=0x5000 nxs\n"
				      "guest-at s12e0w address=0x1000 vttbr=1 vtcr=2 hcr=3\n"
				      "enter s\nenter off context=s hcr=0 vcpu=1\n"
				      "tlbi alle1 context=s operand=7\n");

	(void)state;
	assert_int_equal(r[1].body.context.flags, SCN_CTX_NESTED);
	assert_int_equal(r[1].body.context.shadows, 3);
	assert_int_equal(r[2].op, SCN_TABLES);
	assert_int_equal(r[2].body.tables.records, 2);
	assert_int_equal(r[2].body.tables.base, 2 << 20);
	assert_int_equal(r[2].body.tables.vmid, 5);
	assert_int_equal(r[2].body.tables.granule_shift, 12);
	assert_int_equal(r[2].body.tables.ipa_bits, 40);
	assert_int_equal(r[2].body.tables.reserved, 0);
	assert_int_equal(r[4].op, SCN_TABLE_MAP);
	assert_int_equal(r[4].body.table_map.ipa, 2 << 20);
	assert_int_equal(r[4].body.table_map.size, 2 << 20);
	assert_int_equal(r[4].body.table_map.out, 8 << 20);
	assert_int_equal(r[4].body.table_map.prot, 15);
	r += 5; /* enter: a context of its own, on which the read works */
	assert_int_equal(r[0].op, SCN_ENTER);
	assert_int_equal(r[0].object, 1);
	assert_int_equal(r[0].body.enter.canonical, 0);
	assert_int_equal(r[0].body.enter.vttbr, TABLES_VTTBR);
	assert_int_equal(r[0].body.enter.vtcr, TABLES_VTCR);
	assert_int_equal(r[0].body.enter.hcr, 1);
	assert_int_equal(r[1].object, 1);
	assert_int_equal(r[2].object, 0); /* exit: back to its own */
	assert_int_equal(r[2].body.instruction.vcpu, 1);
	assert_int_equal(r[3].body.instruction.sys,
			 1u << 20 | 1 << 17 | 4 << 14 | 9 << 10); /* Arm ARM C5.5.23 */
	assert_int_equal(r[3].body.instruction.operand, 5);
	assert_int_equal(r[3].body.instruction.vttbr, TABLES_VTTBR);
	assert_int_equal(r[4].body.instruction.sys,
			 1u << 20 | 7 << 17 | 4 << 14 | 7 << 10 | 8 << 1);
	assert_int_equal(r[4].body.instruction.operand, 0x1000);
	assert_int_equal(r[4].body.instruction.vttbr, 1);
	assert_int_equal(r[4].body.instruction.vtcr, 2);
	assert_int_equal(r[4].body.instruction.hcr, 3);
	assert_int_equal(r[5].object, 1); /* the same name and registers: the same shadow */
	assert_int_equal(r[6].object, 2);
	assert_int_equal(r[6].body.enter.canonical, 0);
	assert_int_equal(r[7].object, 0);
	assert_int_equal(scenario.header.contexts, 3);
}

static void what_a_guest_hypervisor_cannot_do_is_refused(void **state)
{
	(void)state;
	refused("machine m memory=1G\ncontext h ipa=40 shadows=3\n", "shadows= goes with nested");
	refused("machine m memory=1G\n" TABLES, "a context line must come first");
	refused(NESTED "enter s\n", "a tables line must come first");
	refused(NESTED "enter s vttbr=1\n", "tables=, or vttbr= and vtcr=");
	refused(NESTED TABLES "enter s tables=t vttbr=1 vtcr=2\n", "tables=, or vttbr= and vtcr=");
	refused(NESTED TABLES "enter s tables=u\n", "no line before makes a table set 'u'");
	refused(NESTED TABLES TABLES, "there are such tables already");
	refused(NESTED TABLES "enter s\nenter s hcr=0\n", "not that of these registers");
	refused(NESTED TABLES "enter h\n", "not that of these registers");
	refused(NESTED TABLES "enter s\nenter u context=h\n", "is called 's'");
	refused(NESTED "tables t base=2M maps=0:4K:4M\n", "a map is NESTED:SIZE:CANONICAL:RIGHTS");
	refused(NESTED "tables t base=2M maps=\n", "a map is NESTED:SIZE:CANONICAL:RIGHTS");
	refused(NESTED "tables t base=2M maps=0:4K:4M:rw,\n", "a map is NESTED:SIZE:CANON");
	refused(NESTED "tables t base=2M maps=0:4K:4M:rw,0:4K:8M:r\n",
		"t.ptd:3:34: it overlaps an earlier one");
	refused(NESTED "tables t base=2M maps=0:4K:4M+1:rw\n", "misaligned");
	refused(NESTED "tables t base=2M+4K maps=0:4K:4M:rw\n", "multiple of the granule");
	refused(NESTED "tables t base=2M maps=0:4K:$x:rw\n", "no let line or --set gives $x");
	refused(NESTED TABLES "tlbi ipas2e1x ipa=0\n", "did you mean 'ipas2e1'?");
	refused(NESTED TABLES "tlbi alle1 ipa=0\n", "ipa= makes the operand of ipas2e1");
	refused(NESTED TABLES "guest-at s12\n", "guest-at needs address=");
	refused(NESTED TABLES "read ipa=0\nexpect taker=me\n",
		"not one of: none, nobody, guest-hypervisor, host");
	refused(NESTED "par 2\nexit\nend\n", "exit may not stand inside par");
}

static void a_batch_counts_its_items_and_an_expectation_allows_failure(void **state)
{
	const struct scn_record *r = compile(
		HEAD "batch mode=atomic\n map ipa=0 size=4K pa=0 prot=r\n unmap ipa=4K size=4K\n"
		     "endbatch\nexpect outcome=OVERLAP error_index=1\n"
		     "batch mode=best validate\nunmap ipa=0 size=4K\nendbatch\n");

	(void)state;
	assert_int_equal(r[2].op, SCN_BATCH);
	assert_int_equal(r[2].body.group.records, 2);
	assert_int_equal(r[2].flags, SCN_F_OUTCOME);
	assert_int_equal(r[3].flags, SCN_F_BATCH);
	assert_int_equal(r[5].op, SCN_EXPECT);
	assert_int_equal(r[5].body.expect.constant, 68);
	assert_int_equal(r[6].body.expect.fact, SCN_FACT_error_index);
	assert_int_equal(r[7].body.group.mode, 3);
	assert_int_equal(r[7].flags, 0);
	refused(HEAD "batch mode=stop\nread ipa=0\n", "t.ptd:4:1: read may not stand inside batch");
	refused(HEAD "batch mode=stop\nendbatch\n", "the batch is empty");
	refused(HEAD "  batch mode=stop\nunmap ipa=0 size=4K\n\n",
		"t.ptd:3:3: batch has no endbatch");
}

static void touch_is_a_par_of_two_sweeps(void **state)
{
	const struct scn_record *r =
		compile(HEAD "touch ipa=1G size=1G step=2M vcpus=8 even=write odd=read\n");

	(void)state;
	assert_int_equal(r[2].op, SCN_PAR);
	assert_int_equal(r[2].body.group.lanes, 8);
	assert_int_equal(r[2].body.group.records, 2);
	assert_int_equal(r[3].body.access.kind, 2);
	assert_int_equal(r[3].body.access.select, SCN_EVEN);
	assert_int_equal(r[4].body.access.kind, 1);
	assert_int_equal(r[4].body.access.select, SCN_ODD);
	assert_int_equal(r[4].flags, SCN_F_PAR);
	refused(HEAD "touch ipa=0 size=1M step=4K\n", "touch needs vcpus=");
	refused(HEAD "touch ipa=0 size=1M step=4K vcpu=1\n", "did you mean 'vcpus'?");
}

static void par_takes_lanes_and_only_facts_free_of_order(void **state)
{
	const struct scn_record *r = compile(
		HEAD "par 4\nread ipa=0 lane-step=4K on=2\nexpect outcome=OK exits<=2\nend\n"
		     "expect faults=installed+already_mapped+raced installed<=4\n");

	(void)state;
	assert_int_equal(r[2].body.group.records, 3);
	assert_int_equal(r[3].body.access.select, SCN_ONE);
	assert_int_equal(r[3].body.access.vcpu, 2);
	assert_int_equal(r[3].body.access.lane_step, 4096);
	assert_int_equal(r[3].flags, SCN_F_PAR | SCN_F_OUTCOME);
	assert_int_equal(r[5].body.expect.compare, SCN_LE);
	assert_int_equal(r[6].body.expect.terms, 3);
	assert_int_equal(r[6].body.expect.term[2], SCN_FACT_raced);
	refused(HEAD "par 4\nread ipa=0\nexpect exits=1\nend\n", "depends on the order: use <=");
	refused(HEAD "par 4\nread ipa=0\nexpect leaves3=1\nend\n", "is for after par");
	refused(HEAD "par 4\nread ipa=0\nexpect level=3\nend\n", "depends on the order");
	refused(HEAD "par 4\nread ipa=0\nend\nexpect raced=0\n",
		"t.ptd:6:8: raced depends on the order");
	refused(HEAD "par 4\nread ipa=0\nend\nexpect outcome=OK\n", "is of one operation");
	refused(HEAD "par 65\n", "t.ptd:3:5: par takes 1 to 64 vCPUs");
	refused(HEAD "par 4\nstage x\nend\n", "stage may not stand inside par (line 3)");
	refused(HEAD "par 4\nread ipa=0 vcpu=1\nend\n", "use on=, not vcpu=");
	refused(HEAD "end\n", "there is no par to end");
}

static void values_are_sums_of_products(void **state)
{
	const struct scn_set set = {"size", 1 << 20};
	const struct scn_record *r;

	(void)state;
	r = compile("let size=2M\n" HEAD "expect leaves3=$size/4K+2*3-1 tables=1\n");
	assert_int_equal(r[2].body.expect.constant, 512 + 5);
	assert_int_equal(r[2].body.expect.fact, SCN_FACT_leaves3);
	assert_true(compile_with("let size=2M\n" HEAD "expect leaves3=$size/4K\n", &set, 1));
	assert_int_equal(scenario.records[2].body.expect.constant, 256);
	refused(HEAD "expect leaves3=4K/3\n", "the division leaves a rest");
	refused(HEAD "expect leaves3=$size\n", "t.ptd:3:16: no let line or --set gives $size");
	refused("let a=1\nlet a=2\n", "a has a value already");
	refused("let a=16P*16P\n", "does not fit 64 bits");
	refused("let a=1-2\n", "does not fit 64 bits");
	refused(HEAD "expect leaves3=installed-raced\n", "a fact cannot be subtracted");
	refused(HEAD "expect leaves3=outcome\n", "outcome is not a number");
}

static void digests_are_kept_and_compared(void **state)
{
	const struct scn_record *r = compile(HEAD "digest before\nexpect digest=before\n"
						  "digest after\nexpect digest!=before\n");

	(void)state;
	assert_int_equal(scenario.header.digests, 2);
	assert_int_equal(r[3].body.expect.constant, 0);
	assert_int_equal(r[5].body.expect.compare, SCN_NE);
	refused(HEAD "expect digest=never\n", "no line before makes a digest 'never'");
	refused(HEAD "digest d\nexpect digest<d\n", "only = and != make sense");
}

static void several_contexts_are_chosen_by_name(void **state)
{
	const struct scn_record *r = compile(
		HEAD "context h ipa=32\nunmap ipa=0 size=4K\nunmap context=g ipa=0 size=4K\n"
		     "use g\nunmap ipa=0 size=4K\nexpect context=h leaves=0\n");

	(void)state;
	assert_int_equal(r[3].object, 1);
	assert_int_equal(r[4].object, 0);
	assert_int_equal(r[5].object, 0);
	assert_int_equal(r[6].object, 1);
	refused("machine m memory=1G\nunmap ipa=0 size=4K\n", "a context line must come first");
	refused("context g ipa=40\n", "a machine line must come first");
	refused(HEAD "context g ipa=40\n", "there is a context 'g' already");
	refused(HEAD "use k\n", "no line before makes this context");
}

static void errors_show_place_line_and_caret(void **state)
{
	(void)state;
	refused(HEAD "\tmap ipa=0 sise=4K pa=0 prot=rw # note\n",
		"t.ptd:3:12: map has no key 'sise'; did you mean 'size'?\n"
		"  \tmap ipa=0 sise=4K pa=0 prot=rw # note\n"
		"  \t          ^~~~\n");
	refused("machin m memory=1G\n",
		"t.ptd:1:1: unknown operation 'machin'; did you mean 'machine'?");
	refused(HEAD "expect leafs=3\n", "no fact 'leafs'; did you mean 'leaves'?");
	refused(HEAD "map ipa=2m size=4K pa=0 prot=rw\n", "t.ptd:3:9: '2m' has a lower-case unit");
	refused(HEAD "map ipa=0 ipa=0 size=4K pa=0 prot=rw\n", "t.ptd:3:11: ipa is given twice");
	refused(HEAD "map ipa=0 size=4K pa=0 prot=rz\n", "rights are letters");
	refused(HEAD "map ipa=0 size=4K prot=rw\n", "map needs pa= (memory behind it)");
	refused(HEAD "map ipa= size=4K pa=0 prot=rw\n", "t.ptd:3:9: a number belongs here");
	refused(HEAD "map ipa=0 size=4K pa=0 prot=rw pages=1\n", "pages takes no value");
	refused("machine m memory=1G vcpus=5G\n", "vcpus is at most 4294967295");
	refused("machine m memory=1G\ncontext g granule=8K ipa=40\n",
		"'8K' is not one of: 4K, 16K, 64K");
	refused(HEAD "unmap ipa=0 size=4K\nexpect outcome=OVERLAPS\n", "is no outcome");
	refused("machine \xc3\xa4 memory=1G\n", "only ASCII");
	refused("machine a/b memory=1G\n", "t.ptd:1:10: a name has letters");
	refused(HEAD "slot ipa=0 size=1M pa=0 backing=3M\n", "backing must be a power of two");
}

static void ten_errors_are_enough(void **state)
{
	char text[16 * 4 + 1] = "";
	unsigned lines = 0;

	(void)state;
	for (unsigned i = 0; i < 16; i++)
		strcat(text, "zz\n");
	assert_false(compile_with(text, NULL, 0));
	for (const char *at = errors; (at = strchr(at, '\n')); at++)
		lines++;
	assert_int_equal(lines, 10 * 3);
}

/* A file in memory, to be damaged. */
static size_t saved(const char *text, unsigned char *bytes, size_t room)
{
	FILE *to = fmemopen(bytes, room, "w");
	long length;

	compile(text);
	assert_true(scenario_save(&scenario, to));
	length = ftell(to);
	fclose(to);
	return (size_t)length;
}

#define SOME                                                                                       \
	HEAD "stage s\npar 2\nread ipa=0\nend\nbatch mode=stop\nunmap ipa=0 size=4K\nendbatch\n"   \
	     "expect applied=1\n"

static void a_saved_file_loads_as_it_was(void **state)
{
	unsigned char bytes[4096];
	size_t length = saved(SOME, bytes, sizeof(bytes));
	struct scenario again;
	char why[160];

	(void)state;
	assert_true(scenario_is_compiled(bytes, length));
	assert_true(scenario_load(&again, bytes, length, why));
	assert_int_equal(again.header.records, scenario.header.records);
	assert_memory_equal(again.records, scenario.records,
			    again.header.records * sizeof(*again.records));
	assert_string_equal(scenario_string(&again, again.header.source), "t.ptd");
	scenario_free(&again);
}

static void a_damaged_file_is_refused(void **state)
{
	unsigned char bytes[4096], copy[4096];
	size_t length = saved(SOME, bytes, sizeof(bytes));
	struct scenario again;
	char why[160];

	(void)state;
	for (size_t cut = 0; cut < length; cut++)
		assert_false(scenario_load(&again, bytes, cut, why));
	assert_true(strstr(why, "is truncated"));
	for (size_t i = 0; i < length; i++) {
		memcpy(copy, bytes, length);
		copy[i] ^= 0x10;
		assert_false(scenario_load(&again, copy, length, why));
	}
	bytes[length] = 0;
	assert_false(scenario_load(&again, bytes, length + 1, why));
	assert_non_null(strstr(why, "bytes behind its end"));
	bytes[8] = 2;
	assert_false(scenario_load(&again, bytes, length, why));
	assert_string_equal(why, "has format version 2; this program reads version 1");
	assert_false(scenario_load(&again, "text, not a table", 17, why));
	assert_non_null(strstr(why, "magic"));
}

/* The checksum is right, what it covers is not: the loader looks at every index itself. */
static void reload(const struct scenario *s, const char *message)
{
	unsigned char bytes[4096];
	FILE *to = fmemopen(bytes, sizeof(bytes), "w");
	struct scenario again;
	char why[160] = "";
	long length;

	assert_true(scenario_save(s, to));
	length = ftell(to);
	fclose(to);
	assert_false(scenario_load(&again, bytes, (size_t)length, why));
	if (!strstr(why, message))
		fail_msg("expected %s, got %s", message, why);
}

static void a_forged_file_is_refused(void **state)
{
	struct scn_record *r;

	(void)state;
	(void)compile(SOME);
	r = scenario.records;
#define FORGE(place, value, message)                                                               \
	do {                                                                                       \
		__typeof__(place) kept = place;                                                    \
		place = value;                                                                     \
		reload(&scenario, message);                                                        \
		place = kept;                                                                      \
	} while (0)
	FORGE(r[1].op, 99, "record 1 (line 2) is an unknown operation");
	FORGE(r[1].op, 0, "is an unknown operation");
	FORGE(r[1].object, 1, "names no context");
	FORGE(r[0].object, 1, "names no machine");
	FORGE(r[1].body.context.machine, 1, "names no machine");
	FORGE(r[1].name, 5000, "has a name outside the strings");
	FORGE(r[1].flags, 0x80, "has unknown flags");
	FORGE(r[3].body.group.records, 70, "ends behind the last record");
	FORGE(r[3].body.group.records, 0xffffffff, "ends behind the last record");
	FORGE(r[3].body.group.lanes, 0, "has no vCPUs");
	FORGE(r[4].body.access.kind, 9, "unknown kind of access");
	FORGE(r[4].op, SCN_STAGE, "may not stand there");
	FORGE(r[6].op, SCN_PAR, "may not stand there");
	FORGE(r[6].body.map.count, 0, "does nothing");
	FORGE(r[7].body.expect.fact, 999, "unknown fact");
	FORGE(r[7].body.expect.terms, 9, "unknown comparison");
	FORGE(r[7].body.expect.fact, SCN_FACT_digest, "names no digest");
	FORGE(scenario.header.stages, 1, "has 2 stages, where its header says 1");
	FORGE(scenario.header.machines, 65, "above its limit");
	FORGE(scenario.header.source, 5000, "outside the strings");
	(void)compile(OWNED "own share pa=2M to=hyp\n");
	r = scenario.records;
	FORGE(r[3].body.own.machine, 1, "names no machine");
	FORGE(r[3].body.own.kind, 0, "is an unknown transition");
	FORGE(r[3].body.own.kind, SCN_OWN_KINDS + 1, "is an unknown transition");
	FORGE(r[3].body.own.from, 2, "names no party");
	FORGE(r[3].body.own.also, 2, "names no party");
	FORGE(r[3].body.own.lending, SCN_MAX_LENDINGS, "names no lending");
	FORGE(r[3].body.own.to, SCN_PARTY_OTHER + 1, "names no party");
	FORGE(r[3].object, 2, "names no context");
	(void)compile(NESTED TABLES "enter s\n");
	r = scenario.records;
	FORGE(r[2].body.tables.records, 9, "ends behind the last record");
	FORGE(r[2].body.tables.records, 3, "holds an operation that may not stand there");
	FORGE(r[2].body.tables.records, 1, "stands without its tables");
	FORGE(r[2].object, 2, "names no context");
	FORGE(r[5].body.enter.canonical, 2, "names no context to run in");
	FORGE(r[5].body.enter.canonical, 1, "names no context to run in");
}

static void empty_text_is_an_empty_scenario(void **state)
{
	(void)state;
	(void)compile("# nothing\n\n   \t\r\n");
	assert_int_equal(scenario.header.records, 0);
	assert_int_equal(scenario.header.stages, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_machine_and_a_context_become_records),
		cmocka_unit_test(a_register_value_stands_for_the_geometry),
		cmocka_unit_test(slots_and_ranges_keep_their_numbers),
		cmocka_unit_test(accesses_know_their_kind_and_length),
		cmocka_unit_test(faults_failpoints_and_the_rest),
		cmocka_unit_test(transitions_of_ownership_know_their_parties),
		cmocka_unit_test(a_guest_hypervisor_has_tables_shadows_and_instructions),
		cmocka_unit_test(what_a_guest_hypervisor_cannot_do_is_refused),
		cmocka_unit_test(a_batch_counts_its_items_and_an_expectation_allows_failure),
		cmocka_unit_test(touch_is_a_par_of_two_sweeps),
		cmocka_unit_test(par_takes_lanes_and_only_facts_free_of_order),
		cmocka_unit_test(values_are_sums_of_products),
		cmocka_unit_test(digests_are_kept_and_compared),
		cmocka_unit_test(several_contexts_are_chosen_by_name),
		cmocka_unit_test(errors_show_place_line_and_caret),
		cmocka_unit_test(ten_errors_are_enough),
		cmocka_unit_test(a_saved_file_loads_as_it_was),
		cmocka_unit_test(a_damaged_file_is_refused),
		cmocka_unit_test(a_forged_file_is_refused),
		cmocka_unit_test(empty_text_is_an_empty_scenario),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	free(errors);
	scenario_free(&scenario);
	return failed;
}
