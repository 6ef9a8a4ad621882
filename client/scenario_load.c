/* SPDX-License-Identifier: BSD-2-Clause */
/* Compiled scenarios: load, and check everything that a runner relies on. */
#include "scenario.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

uint64_t scenario_hash(uint64_t hash, const void *bytes, size_t length)
{
	const unsigned char *at = bytes;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
	return hash;
}

static uint64_t checksum(const struct scn_header *header, const void *rest, size_t length)
{
	struct scn_header h = *header;

	h.checksum = 0;
	return scenario_hash(scenario_hash(SCN_HASH_START, &h, sizeof(h)), rest, length);
}

bool scenario_is_compiled(const void *bytes, size_t length)
{
	const uint64_t magic = SCN_MAGIC;

	return length >= sizeof(magic) && !memcmp(bytes, &magic, sizeof(magic));
}

void scenario_free(struct scenario *scenario)
{
	free(scenario->records);
	free(scenario->strings);
	*scenario = (struct scenario){0};
}

static const char *check_header(const struct scn_header *h, size_t length, char why[160])
{
	uint64_t total =
		sizeof(*h) + (uint64_t)h->records * sizeof(struct scn_record) + h->string_bytes;

	if (h->magic != SCN_MAGIC)
		return "is no compiled scenario: the magic number is missing";
	if (h->version != SCN_VERSION) {
		snprintf(why, 160, "has format version %u; this program reads version %u",
			 h->version, SCN_VERSION);
		return why;
	}
	if (h->header_bytes != sizeof(*h) || h->record_bytes != sizeof(struct scn_record))
		return "has records of another size";
	if (h->records > SCN_MAX_RECORDS || h->string_bytes > SCN_MAX_STRINGS ||
	    h->machines > SCN_MAX_MACHINES || h->contexts > SCN_MAX_CONTEXTS ||
	    h->digests > SCN_MAX_DIGESTS || h->stages > SCN_MAX_STAGES)
		return "has a count above its limit";
	if (h->total_bytes != total)
		return "contradicts itself: its parts are not as long as its total";
	if (length != total) {
		snprintf(why, 160, "%s: %zu bytes, where its header says %" PRIu64,
			 length < total ? "is truncated" : "has bytes behind its end", length,
			 total);
		return why;
	}
	return NULL;
}

static const char *check_expect(const struct scn_header *h, const struct scn_record *r)
{
	const struct scn_expect_body *e = &r->body.expect;

	if (e->compare > SCN_GE || e->terms > SCN_MAX_TERMS)
		return "has an unknown comparison";
	for (unsigned i = 0; i <= e->terms; i++) {
		const struct scn_fact_info *f = scn_fact_info(i ? e->term[i - 1] : e->fact);

		if (!f)
			return "has an unknown fact";
		if (f->scope == SCN_SCOPE_STATE && r->object >= h->contexts)
			return "names no context";
		if (f->scope != SCN_SCOPE_REPLY && r->flags & SCN_F_PAR)
			return "has a fact that may not stand inside par";
	}
	return e->fact != SCN_FACT_digest || e->constant < h->digests ? NULL : "names no digest";
}

static bool is_party(const struct scn_header *h, uint16_t who)
{
	return who < h->contexts || (who >= SCN_PARTY_HOST && who <= SCN_PARTY_OTHER);
}

static const char *check_own(const struct scn_header *h, const struct scn_own_body *b)
{
	if (b->machine >= h->machines)
		return "names no machine";
	if (!b->kind || (b->kind > SCN_OWN_KINDS && b->kind != SCN_OWN_SHOW))
		return "is an unknown transition";
	if (b->lending >= SCN_MAX_LENDINGS)
		return "names no lending";
	return is_party(h, b->from) && is_party(h, b->to) &&
			       (b->also == SCN_NONE || is_party(h, b->also))
		       ? NULL
		       : "names no party";
}

static const char *check_enter(const struct scn_header *h, const struct scn_record *r)
{
	return r->body.enter.canonical < h->contexts && r->body.enter.canonical != r->object
		       ? NULL
		       : "names no context to run in";
}

/* What each operation's record must keep to; NULL: fine. */
static const char *check_body(const struct scn_header *h, const struct scn_record *r)
{
	const union scn_body *b = &r->body;

	if (scn_is_series(r->op)) {
		if (!b->map.count)
			return "does nothing";
		return b->map.count <= SCN_MAX_COUNT ? NULL : "counts too far";
	}
	switch (r->op) {
	case SCN_LOG_START:
	case SCN_LOG_GET:
	case SCN_LOG_STOP: return b->log.index < SCN_MAX_LOGS ? NULL : "names no log";
	case SCN_OWN: return check_own(h, &b->own);
	case SCN_ENTER: return check_enter(h, r);
	case SCN_CONTEXT: return b->context.machine < h->machines ? NULL : "names no machine";
	case SCN_FAILPOINT:
		return !b->failpoint.scoped || r->object < h->contexts ? NULL : "names no context";
	case SCN_ACCESS:
		if (!b->access.kind || b->access.kind > 4 || b->access.select > SCN_ONE)
			return "has an unknown kind of access";
		if (b->access.size && !b->access.step)
			return "sweeps without a step";
		return b->access.length <= 8 ? NULL : "is longer than 8 bytes";
	case SCN_DIGEST: return b->digest.slot < h->digests ? NULL : "names no digest";
	case SCN_EXPECT: return check_expect(h, r);
	default: return NULL;
	}
}

static bool has_context(unsigned op)
{
	return op != SCN_MACHINE && op != SCN_DELETE_MACHINE && op != SCN_STAGE &&
	       op != SCN_DISARM && op != SCN_PAR && op != SCN_OWN && op != SCN_FAILPOINT &&
	       op != SCN_EXPECT;
}

static const char *check_record(const struct scn_header *h, const struct scn_record *r)
{
	if (!scn_op_name(r->op))
		return "is an unknown operation";
	if (r->flags & ~SCN_F_FLAGS)
		return "has unknown flags";
	if (r->name >= h->string_bytes)
		return "has a name outside the strings";
	if ((r->op == SCN_MACHINE || r->op == SCN_DELETE_MACHINE) && r->object >= h->machines)
		return "names no machine";
	if (r->object >= h->contexts && (has_context(r->op) || r->object != SCN_NONE) &&
	    r->op != SCN_MACHINE && r->op != SCN_DELETE_MACHINE)
		return "names no context";
	return check_body(h, r);
}

/* Maps come after their tables, and there alone. */
static const char *check_tables(const struct scn_header *h, const struct scn_record *r, uint32_t i)
{
	uint32_t n = r[i].body.tables.records;

	if (n >= h->records - i)
		return "ends behind the last record";
	for (uint32_t k = i + 1; k <= i + n; k++)
		if (r[k].op != SCN_TABLE_MAP)
			return "holds an operation that may not stand there";
	return NULL;
}

static bool in_par(unsigned op)
{
	return scn_is_series(op) || op == SCN_ACCESS || op == SCN_FAULT || op == SCN_TRANSLATE ||
	       op == SCN_EXPECT;
}

/* A group ends inside the file, holds only what it may, and its members are marked so. */
static const char *check_group(const struct scn_header *h, const struct scn_record *r, uint32_t i)
{
	uint32_t n = r[i].body.group.records;
	bool par = r[i].op == SCN_PAR;
	uint64_t items = 0;

	if (n >= h->records - i)
		return "ends behind the last record";
	if (par && (!r[i].body.group.lanes || r[i].body.group.lanes > SCN_MAX_LANES))
		return "has no vCPUs, or too many";
	if (!par && (!n || n > SCN_MAX_BATCH || !r[i].body.group.mode || r[i].body.group.mode > 3))
		return "has no items, too many, or no mode";
	for (uint32_t k = i + 1; k <= i + n; k++) {
		if (par ? !in_par(r[k].op) || !(r[k].flags & SCN_F_PAR)
			: !scn_item_kind(r[k].op) || r[k].object != r[i].object)
			return "holds an operation that may not stand there";
		items += par ? 0 : r[k].body.map.count;
	}
	if (items > SCN_MAX_COUNT)
		return "has too many items";
	return NULL;
}

static bool check_records(const struct scenario *s, char why[160])
{
	uint32_t stages = 1;

	for (uint32_t i = 0; i < s->header.records; i += scenario_extent(&s->records[i])) {
		const struct scn_record *r = &s->records[i];
		const char *wrong = NULL;
		uint32_t k = i;

		stages += r->op == SCN_STAGE;
		if (r->op == SCN_BATCH || r->op == SCN_PAR)
			wrong = check_group(&s->header, s->records, i);
		if (r->op == SCN_TABLES)
			wrong = check_tables(&s->header, s->records, i);
		if (r->op == SCN_TABLE_MAP)
			wrong = "stands without its tables";
		while (!wrong && k < i + scenario_extent(r)) {
			wrong = check_record(&s->header, &s->records[k]);
			k += !wrong;
		}
		if (wrong) {
			snprintf(why, 160, "record %u (line %u) %s", k, s->records[k].line, wrong);
			return false;
		}
	}
	if (stages != s->header.stages)
		snprintf(why, 160, "has %u stages, where its header says %u", stages,
			 s->header.stages);
	return stages == s->header.stages;
}

static bool copy_in(struct scenario *s, const unsigned char *bytes)
{
	size_t records = s->header.records * sizeof(struct scn_record);

	s->records = malloc(records + !records);
	s->strings = malloc(s->header.string_bytes);
	if (!s->records || !s->strings)
		return false;
	memcpy(s->records, bytes + sizeof(s->header), records);
	memcpy(s->strings, bytes + sizeof(s->header) + records, s->header.string_bytes);
	return true;
}

static bool refuse(struct scenario *s, char why[160], const char *text)
{
	if (text != why)
		snprintf(why, 160, "%s", text);
	scenario_free(s);
	return false;
}

bool scenario_load(struct scenario *scenario, const void *bytes, size_t length, char why[160])
{
	struct scenario s = {0};
	const char *wrong;

	*scenario = s;
	if (length < sizeof(s.header))
		return refuse(&s, why,
			      scenario_is_compiled(bytes, length)
				      ? "is truncated: shorter than a header"
				      : "is no compiled scenario: the magic number is missing");
	memcpy(&s.header, bytes, sizeof(s.header));
	wrong = check_header(&s.header, length, why);
	if (wrong)
		return refuse(&s, why, wrong);
	if (checksum(&s.header, (const char *)bytes + sizeof(s.header),
		     length - sizeof(s.header)) != s.header.checksum)
		return refuse(&s, why, "is damaged: the checksum does not match");
	if (!s.header.string_bytes || ((const char *)bytes)[length - 1])
		return refuse(&s, why, "has strings without an end");
	if (s.header.source >= s.header.string_bytes)
		return refuse(&s, why, "has a name outside the strings");
	if (!copy_in(&s, bytes))
		return refuse(&s, why, "does not fit into memory");
	if (!check_records(&s, why))
		return refuse(&s, why, why);
	*scenario = s;
	return true;
}
