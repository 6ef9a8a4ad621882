/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenarios: the facts that an expect line can speak of. */
#include "scenario.h"

const struct scn_fact_info scn_fact_table[] = {
#define SCN_X(name, number, scope, kind) {#name, number, SCN_SCOPE_##scope, SCN_KIND_##kind},
	SCN_FACTS(SCN_X)
#undef SCN_X
		{0}};

const struct scn_fact_info *scn_fact_info(unsigned fact)
{
	for (const struct scn_fact_info *f = scn_fact_table; f->name; f++)
		if (f->fact == fact)
			return f;
	return NULL;
}

const char *scn_compare_name(unsigned compare)
{
	static const char *const name[] = {"=", "!=", "<", "<=", ">", ">="};

	return compare < sizeof(name) / sizeof(name[0]) ? name[compare] : NULL;
}

const char *scn_op_name(unsigned op)
{
	static const char *const name[SCN_OPS] = {[SCN_MACHINE] = "machine",
						  [SCN_CONTEXT] = "context",
						  [SCN_SLOT] = "slot",
						  [SCN_DELETE_SLOT] = "delete slot",
						  [SCN_QUOTA] = "quota",
						  [SCN_MAP] = "map",
						  [SCN_UNMAP] = "unmap",
						  [SCN_PROTECT] = "protect",
						  [SCN_BATCH] = "batch",
						  [SCN_ACCESS] = "access",
						  [SCN_FAULT] = "fault",
						  [SCN_TRANSLATE] = "translate",
						  [SCN_DIGEST] = "digest",
						  [SCN_STAGE] = "stage",
						  [SCN_EXPECT] = "expect",
						  [SCN_FAILPOINT] = "failpoint",
						  [SCN_DISARM] = "disarm",
						  [SCN_PAR] = "par",
						  [SCN_DELETE_MACHINE] = "delete machine",
						  [SCN_DELETE_CONTEXT] = "delete context",
						  [SCN_WRPROTECT] = "wrprotect",
						  [SCN_RELAX] = "relax",
						  [SCN_ANNOTATE] = "annotate",
						  [SCN_YOUNG] = "young",
						  [SCN_FLUSH] = "flush",
						  [SCN_AGE] = "age",
						  [SCN_SPLIT] = "split",
						  [SCN_COLLAPSE] = "collapse",
						  [SCN_LOG_START] = "log-start",
						  [SCN_LOG_GET] = "log-get",
						  [SCN_LOG_STOP] = "log-stop",
						  [SCN_OWN] = "own",
						  [SCN_TABLES] = "tables",
						  [SCN_TABLE_MAP] = "map of tables",
						  [SCN_ENTER] = "enter",
						  [SCN_EXIT] = "exit",
						  [SCN_TLBI] = "tlbi",
						  [SCN_GUEST_AT] = "guest-at"};

	return op < SCN_OPS ? name[op] : NULL;
}

const char *scn_state_name(uint64_t state)
{
	static const char *const name[] = {"unknown", "owned",	  "shared", "borrowed",
					   "lent",    "poisoned", "none"};

	return name[state < sizeof(name) / sizeof(name[0]) ? state : 0];
}

const char *scn_taker_name(uint64_t taker)
{
	static const char *const name[] = {"none", "nobody", "guest-hypervisor", "host"};

	return name[taker < sizeof(name) / sizeof(name[0]) ? taker : 0];
}

const char *scn_party_name(const struct scenario *s, uint64_t party)
{
	switch (party) {
	case SCN_PARTY_HOST: return "host";
	case SCN_PARTY_HYP: return "hyp";
	case SCN_PARTY_GUEST: return "guest";
	case SCN_PARTY_OTHER: return "other";
	default: break;
	}
	for (uint32_t i = 0; i < s->header.records; i++)
		if ((s->records[i].op == SCN_CONTEXT || s->records[i].op == SCN_ENTER) &&
		    s->records[i].object == party)
			return scenario_string(s, s->records[i].name);
	return "unknown";
}
