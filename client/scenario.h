/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenarios in memory: compiled from text (docs/scenarios.md), or loaded from a compiled file. */
#ifndef CLIENT_SCENARIO_H
#define CLIENT_SCENARIO_H

#include "scenario_format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct scenario {
	struct scn_header header;
	struct scn_record *records; /* owned */
	char *strings;		    /* owned */
};

/* A value given from outside: it wins over the let line of the same name. */
struct scn_set {
	const char *name;
	uint64_t value;
};

/*
 * Compiles `length` bytes of text. `name` is what messages call the file. False: each error is on
 * `errors` as "file:line:col: message", the line and a caret; at most 10 of them. *scenario is
 * then empty.
 */
bool scenario_compile(struct scenario *scenario, const char *name, const char *text, size_t length,
		      const struct scn_set *sets, size_t set_count, FILE *errors);

/* Is this the beginning of a compiled file? */
bool scenario_is_compiled(const void *bytes, size_t length);

/*
 * Loads a compiled file and checks everything in it: after this every index, string and group is
 * in range. False: `why` (160 bytes) says what is wrong; *scenario is then empty.
 */
bool scenario_load(struct scenario *scenario, const void *bytes, size_t length, char why[160]);

/* False: errno says why. */
bool scenario_save(const struct scenario *scenario, FILE *to);

void scenario_free(struct scenario *scenario);

/* FNV-1a, 64 bits, continued from `hash`. */
#define SCN_HASH_START UINT64_C(0xcbf29ce484222325)
uint64_t scenario_hash(uint64_t hash, const void *bytes, size_t length);

/* Of a loaded scenario: the string at `offset`. */
static inline const char *scenario_string(const struct scenario *scenario, uint32_t offset)
{
	return scenario->strings + offset;
}

/* How many records `r` and its group take: 1, or 1 + body.group.records. */
static inline uint32_t scenario_extent(const struct scn_record *r)
{
	return r->op == SCN_BATCH || r->op == SCN_PAR || r->op == SCN_TABLES
		       ? 1 + r->body.group.records
		       : 1;
}

/* OpKind of an operation that may be an item of a batch; 0: it is none. */
static inline uint32_t scn_item_kind(unsigned op)
{
	if (op >= SCN_MAP && op <= SCN_PROTECT)
		return op - SCN_MAP + 1;
	return op >= SCN_WRPROTECT && op <= SCN_FLUSH ? op - SCN_WRPROTECT + 4 : 0;
}

/* Does it have body.map, and so come in numbers? */
static inline bool scn_is_series(unsigned op)
{
	return scn_item_kind(op) || (op >= SCN_AGE && op <= SCN_COLLAPSE);
}

enum scn_scope { SCN_SCOPE_REPLY, SCN_SCOPE_STATE, SCN_SCOPE_STAGE };
enum scn_kind {
	SCN_KIND_NUMBER,
	SCN_KIND_LEVEL,
	SCN_KIND_OUTCOME,
	SCN_KIND_PROT,
	SCN_KIND_FAULT,
	SCN_KIND_DIGEST,
	SCN_KIND_OWNER,
	SCN_KIND_STATE,
	SCN_KIND_TAKER,
};

struct scn_fact_info {
	const char *name;
	uint16_t fact;
	uint8_t scope; /* enum scn_scope */
	uint8_t kind;  /* enum scn_kind */
};

/* Ends at a NULL name. */
extern const struct scn_fact_info scn_fact_table[];
/* NULL: no such fact. */
const struct scn_fact_info *scn_fact_info(unsigned fact);

/* What SCN_TABLES and the maps behind it say, in memory that is to be freed; *tables has no maps.
 * NULL: no memory, or no such tables. */
struct ptd_guest_tables;
void *scn_tables_build(const struct scn_record *record, struct ptd_guest_tables *tables);

/* Names of scn_compare: "=", "!=" ... */
const char *scn_compare_name(unsigned compare);
/* PageState's: "owned". */
const char *scn_state_name(uint64_t state);
/* FaultTaker's: "guest-hypervisor". */
const char *scn_taker_name(uint64_t taker);
/* As in scn_own_body: "host", or a context's name. */
const char *scn_party_name(const struct scenario *scenario, uint64_t party);
/* Of scn_own_body: "share"; ptctl's alone. */
const char *scn_own_name(unsigned kind, unsigned flags);
/* "map"; NULL for a number that is no operation. */
const char *scn_op_name(unsigned op);

#endif
