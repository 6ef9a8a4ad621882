/* SPDX-License-Identifier: BSD-2-Clause */
/* Events as text, one a line: what a finding prints, and what is read back to play it again. */
#include "trace.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_name[PT_EVENT_KINDS] = {
	"none",		"init",		 "store",	  "release",	    "cas",
	"hardware",	"load",		 "private",	  "fence-store",    "fence-full",
	"relax",	"lock-class",	 "lock",	  "locked",	    "unlock",
	"tlbi",		"tlbi-operand",	 "tlbi-done",	  "tlbi-dropped",   "dcache",
	"icache",	"tlbi-none",	 "dsb",		  "tlbi-s2",	    "tlbi-s1",
	"tlbi-s12",	"memory",	 "memory-gone",	  "page-get",	    "page-put",
	"page-book",	"zero",		 "charge",	  "refund",	    "pool-used",
	"agent-join",	"agent-leave",	 "section-begin", "section-begun",  "section-end",
	"machine-init", "machine-use",	 "claim-ask",	  "claim",	    "claim-drained",
	"claim-shrink", "claim-release", "claim-cancel",  "op-begin",	    "op-commit",
	"op-end",	"wake",		 "wait",	  "transport",	    "ctx-init",
	"ctx-dying",	"ctx-gone",	 "ctx-activate",  "ctx-deactivate", "shadow",
	"shadow-key",	"fill",		 "fill-leaf",	  "guest-tlbi",	    "guest-tlbi-done",
	"vmid",		"vmid-rollover", "vmid-kept",	  "dirty-start",    "dirty-mark",
	"dirty-clear",	"dirty-stop",	 "owners",	  "guest",	    "wiped",
	"owner",	"poke",		 "ctx-options",
};

static const char *const op_name[PT_OP_KINDS] = {
	"none", "point", "fault",    "transaction", "teardown",
	"age",	"split", "collapse", "sweep",	    "dirty log",
};

/* A field of struct host_event; sizes as they stand there. */
struct field {
	const char *name;
	size_t at, size;
	bool sign;
};

#define FIELD(name, member)                                                                        \
	{                                                                                          \
		name, offsetof(struct host_event, member),                                         \
			sizeof(((struct host_event *)0)->member), false                            \
	}
#define SIGNED(name, member)                                                                       \
	{                                                                                          \
		name, offsetof(struct host_event, member),                                         \
			sizeof(((struct host_event *)0)->member), true                             \
	}

static const struct field common[] = {
	FIELD("thread", event.thread), FIELD("agent", event.agent), FIELD("op", event.op),
	FIELD("at", event.at),	       FIELD("ctx", event.ctx),	    FIELD("lo", event.lo),
	FIELD("hi", event.hi),	       FIELD("arg", event.arg),
};

static const struct field of_tlbi[] = {
	FIELD("kind", tlbi.kind),	FIELD("vmid", tlbi.vmid), SIGNED("level", tlbi.level),
	FIELD("last", tlbi.last_level), FIELD("vcpu", tlbi.vcpu), FIELD("ipa", tlbi.ipa.v),
	FIELD("size", tlbi.size),
};

static const struct field of_ctx[] = {
	FIELD("granule", facts.geo.granule_shift),
	FIELD("stride", facts.geo.stride),
	FIELD("ipabits", facts.geo.ipa_bits),
	FIELD("pabits", facts.geo.pa_bits),
	SIGNED("start", facts.geo.start_level),
	SIGNED("minblock", facts.geo.min_block_level),
	FIELD("ds", facts.geo.ds),
	FIELD("lpa", facts.geo.lpa),
	FIELD("entries", facts.geo.start_entries),
	FIELD("bytes", facts.geo.start_bytes),
	FIELD("machine", facts.machine),
	FIELD("mmu", facts.mmu),
	FIELD("root", facts.root),
	FIELD("rootva", facts.root_va),
	FIELD("attrs", facts.attrs),
	FIELD("vtcr", facts.vtcr_flags),
	FIELD("bbm", facts.bbm),
	FIELD("number", facts.number),
	FIELD("el2", facts.el2),
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

void host_event_copy(struct host_event *to, const struct pt_event *event)
{
	to->event = *event;
	if (event->tlbi)
		to->tlbi = *event->tlbi;
	if (event->facts)
		to->facts = *event->facts;
}

static uint64_t get(const struct host_event *e, const struct field *f)
{
	const char *from = (const char *)e + f->at;
	uint64_t value = 0;

	memcpy(&value, from, f->size); /* little endian, as the host is */
	return f->sign ? (uint64_t)(int64_t)(int8_t)value : value;
}

static void print_fields(FILE *file, const struct host_event *e, const struct field *f, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t value = get(e, &f[i]);

		if (f[i].sign)
			fprintf(file, " %s=%lld", f[i].name, (long long)value);
		else if (value)
			fprintf(file, " %s=%#llx", f[i].name, (unsigned long long)value);
	}
}

void host_event_print(FILE *file, const struct host_event *e)
{
	fputs(kind_name[e->event.kind < PT_EVENT_KINDS ? e->event.kind : 0], file);
	print_fields(file, e, common, COUNT(common));
	if (e->event.tlbi)
		print_fields(file, e, of_tlbi, COUNT(of_tlbi));
	if (e->event.facts)
		print_fields(file, e, of_ctx, COUNT(of_ctx));
	fputc('\n', file);
}

static bool set(struct host_event *e, const struct field *f, size_t n, const char *name,
		size_t length, uint64_t value)
{
	for (size_t i = 0; i < n; i++) {
		if (strlen(f[i].name) != length || memcmp(f[i].name, name, length) != 0)
			continue;
		memcpy((char *)e + f[i].at, &value, f[i].size);
		return true;
	}
	return false;
}

static bool parse_kind(const char **line, struct host_event *e)
{
	size_t length;

	*line += strspn(*line, "0123456789 ");
	length = strcspn(*line, " \n");
	for (unsigned i = 1; i < PT_EVENT_KINDS; i++) {
		if (strlen(kind_name[i]) != length || memcmp(kind_name[i], *line, length) != 0)
			continue;
		e->event.kind = (uint8_t)i;
		*line += length;
		return true;
	}
	return false;
}

bool host_event_parse(const char *line, struct host_event *e)
{
	memset(e, 0, sizeof(*e));
	if (!parse_kind(&line, e))
		return false;
	while (*(line += strspn(line, " \n"))) {
		size_t length = strcspn(line, "=");
		char *end;
		uint64_t value;

		if (line[length] != '=')
			return false;
		value = strtoull(line + length + 1, &end, 0);
		if (set(e, of_tlbi, COUNT(of_tlbi), line, length, value))
			e->event.tlbi = &e->tlbi;
		else if (set(e, of_ctx, COUNT(of_ctx), line, length, value))
			e->event.facts = &e->facts;
		else if (!set(e, common, COUNT(common), line, length, value))
			return false;
		if (*end && *end != ' ' && *end != '\n')
			return false;
		line = end;
	}
	return true;
}

void host_finding_print(FILE *file, const struct pt_finding *finding)
{
	fprintf(file, "rule %s: %s (%s)\nevent %llu", pt_rule_name(finding->rule), finding->text,
		pt_rule_text(finding->rule), (unsigned long long)finding->serial);
	if (finding->op_kind < PT_OP_KINDS && finding->op_kind)
		fprintf(file, ", operation %s %#llx since event %llu", op_name[finding->op_kind],
			(unsigned long long)finding->op, (unsigned long long)finding->op_from);
	fputc('\n', file);
}
