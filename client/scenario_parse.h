/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside the scenario compiler: lines and words, values, the table of operations. */
#ifndef CLIENT_SCENARIO_PARSE_H
#define CLIENT_SCENARIO_PARSE_H

#include "scenario.h"

#define SCN_NAME_MAX   63
#define SCN_WORDS_MAX  48
#define SCN_LETS_MAX   64
#define SCN_ERRORS_MAX 10

/* A piece of the current line. */
struct scn_span {
	const char *at;
	size_t length;
};

/* "key=value", "key<=value", or a bare word (value.at is NULL). */
struct scn_word {
	struct scn_span all, key, value;
	uint8_t compare; /* enum scn_compare */
};

struct scn_let {
	char name[SCN_NAME_MAX + 1];
	uint64_t value;
	bool fixed; /* given from outside */
};

struct scn_names {
	char (*name)[SCN_NAME_MAX + 1];
	uint32_t count, limit;
};

struct scn_compiler {
	const char *file;
	FILE *errors;
	unsigned error_count;

	const char *line; /* the current one, without its end */
	size_t line_length;
	uint32_t line_number;
	struct scn_word word[SCN_WORDS_MAX];
	size_t words;

	struct scn_record *records;
	uint32_t record_count, record_room;
	char *strings;
	uint32_t string_bytes, string_room;

	struct scn_let let[SCN_LETS_MAX];
	size_t lets;
	struct scn_names machines, contexts, digests, tables;
	uint16_t machine_of[SCN_MAX_CONTEXTS];
	/* Of a context that is a shadow: the record that entered it first, plus one; else 0. */
	uint32_t entered[SCN_MAX_CONTEXTS];
	struct scn_tables_regs {
		uint64_t vttbr, vtcr;
	} tables_regs[SCN_MAX_TABLES];
	uint32_t stages;
	uint32_t context; /* the default one; SCN_NONE */
	uint32_t group;	  /* record of the open par or batch; UINT32_MAX */
	uint32_t group_line;
	struct scn_span group_text;
	uint32_t last; /* the operation that expect speaks of; UINT32_MAX */
	bool par_seen; /* in this stage */
};

/* Is par open? */
static inline bool scn_in_par(const struct scn_compiler *c)
{
	return c->group != UINT32_MAX && c->records[c->group].op == SCN_PAR;
}

/* What a key's value is, and so how it is read. */
enum scn_type {
	SCN_T_NUMBER, /* an expression */
	SCN_T_LEVEL,  /* -1 to 3: stored + 2 */
	SCN_T_GRANULE,
	SCN_T_PROT,
	SCN_T_MEMORY,
	SCN_T_ACCESS,
	SCN_T_MODE,
	SCN_T_ACTION,
	SCN_T_KIND,
	SCN_T_LANES, /* all, even, odd or a number */
	SCN_T_FLAG,  /* no value: sets `bit` */
	SCN_T_CONTEXT,
	SCN_T_MACHINE,
	SCN_T_PARTY, /* host, hyp, other or a context */
	SCN_T_TABLES,
	SCN_T_MAPS, /* the number of the word */
};

struct scn_key {
	const char *name; /* NULL ends a table */
	uint8_t type;	  /* enum scn_type */
	bool required;
	uint8_t offset, width; /* of the field in struct scn_record */
	uint32_t bit;
	const char *help;
};

/* What the first bare word of an operation is. */
enum scn_first {
	SCN_FIRST_NONE,
	SCN_FIRST_NAME,
	SCN_FIRST_MACHINE,
	SCN_FIRST_CONTEXT,
	SCN_FIRST_DIGEST,
	SCN_FIRST_NUMBER
};

#define SCN_W_CONTEXT 0x1u /* works on a context: context=NAME, or the default one */
#define SCN_W_PAR     0x2u /* may stand inside par */
#define SCN_W_BATCH   0x4u /* may stand inside batch */

struct scn_verb {
	const char *name;
	uint16_t op; /* 0: the finisher decides */
	uint8_t first;
	uint8_t where;
	const struct scn_key *keys;
	/* Defaults, and checks over several keys; NULL: none. `given` has a bit a key, by its
	 * place. */
	bool (*finish)(struct scn_compiler *c, struct scn_record *r, uint64_t given);
	const char *help;
};

/* Of own: what its first word says, and what then has to stand there. */
bool scn_finish_own(struct scn_compiler *c, struct scn_record *r, uint64_t given);
extern const struct scn_key scn_own_keys[];

/* Of guest hypervisors: tables, enter, exit, tlbi, guest-at. */
bool scn_finish_tables(struct scn_compiler *c, struct scn_record *r, uint64_t given);
bool scn_finish_enter(struct scn_compiler *c, struct scn_record *r, uint64_t given);
bool scn_finish_exit(struct scn_compiler *c, struct scn_record *r, uint64_t given);
bool scn_finish_tlbi(struct scn_compiler *c, struct scn_record *r, uint64_t given);
bool scn_finish_guest_at(struct scn_compiler *c, struct scn_record *r, uint64_t given);
extern const struct scn_key scn_tables_keys[], scn_enter_keys[], scn_exit_keys[], scn_tlbi_keys[],
	scn_guest_at_keys[];
/* The context that a shadow is of; another context itself. */
uint16_t scn_canonical(const struct scn_compiler *c, uint16_t context);

/* Ends at a NULL name. Used by docs and the tests, too. */
extern const struct scn_verb scn_verb_table[];
/* Which of `keys` is `name`: is its bit in `given`? */
bool scn_key_given(const struct scn_key *keys, const char *name, uint64_t given);
const struct scn_verb *scn_verb(const struct scn_span *name);

/* Counts and prints an error at `at` (NULL: the line's first word). Returns false. */
bool scn_error(struct scn_compiler *c, const struct scn_span *at, const char *text, ...)
	__attribute__((format(printf, 3, 4)));

/* Splits the current line into words; false after an error. No words: an empty line. */
bool scn_split(struct scn_compiler *c);

static inline bool scn_span_is(const struct scn_span *s, const char *text)
{
	return __builtin_strlen(text) == s->length && !__builtin_memcmp(text, s->at, s->length);
}

/*
 * The nearest of `count` names by edit distance, or NULL when none is near. Names are pointers,
 * `stride` bytes apart: the first members of a table's rows.
 */
const char *scn_nearest(const struct scn_span *word, const void *first, size_t count,
			size_t stride);

/* Values. Each returns false after scn_error(). */
bool scn_value(struct scn_compiler *c, const struct scn_word *w, enum scn_type type,
	       uint64_t *value);
bool scn_number(struct scn_compiler *c, const struct scn_span *s, uint64_t *value);
/* The right side of an expect word of `fact`. */
bool scn_expected(struct scn_compiler *c, const struct scn_word *w,
		  const struct scn_fact_info *fact, struct scn_expect_body *e);
bool scn_prot(const struct scn_span *s, uint64_t *prot);
bool scn_name_ok(struct scn_compiler *c, const struct scn_span *s);
/* Index of a name: found, or added; UINT32_MAX: not there, or no room. */
uint32_t scn_find(const struct scn_names *names, const struct scn_span *s);
uint32_t scn_add_name(struct scn_names *names, const struct scn_span *s);

/* A new zeroed record of the current line, in the current group; NULL after an error. */
struct scn_record *scn_new_record(struct scn_compiler *c, unsigned op);
/* Offset of a copy of `s`; 0 is the empty string. */
uint32_t scn_string(struct scn_compiler *c, const struct scn_span *s);

/* Lines that are no plain operation: let, use, expect, end, endbatch, touch. */
typedef bool scn_special(struct scn_compiler *c);
scn_special scn_line_let, scn_line_use, scn_line_expect, scn_line_end, scn_line_endbatch,
	scn_line_touch, scn_line_tables;
/* A plain operation of `verb`; *record is the new one. */
bool scn_line_verb(struct scn_compiler *c, const struct scn_verb *verb, struct scn_record **record);

#endif
