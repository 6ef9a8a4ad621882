/* SPDX-License-Identifier: BSD-2-Clause */
/* ptctl compile and ptctl run. */
#include "commands.h"
#include "number.h"
#include "scenario_rpc.h"
#include "scenario_transcript.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SETS_MAX 32

/* A file's bytes, or NULL and errno. "-" is standard input. */
static char *read_all(const char *name, size_t *length)
{
	FILE *from = strcmp(name, "-") ? fopen(name, "rb") : stdin;
	size_t room = 65536, n = 0;
	char *bytes = from ? malloc(room) : NULL;

	while (bytes) {
		char *more;

		n += fread(bytes + n, 1, room - n, from);
		if (n < room)
			break;
		more = realloc(bytes, room *= 2);
		if (!more)
			free(bytes);
		bytes = more;
	}
	if (bytes && ferror(from)) {
		free(bytes);
		bytes = NULL;
	}
	if (from && from != stdin)
		fclose(from);
	*length = n;
	return bytes;
}

/* "size=64M,step=4K" into sets; names are cut out of `text`. */
static int parse_sets(const struct ptctl *ctl, char *text, struct scn_set *sets, size_t *count)
{
	char *rest = text;

	*count = 0;
	for (char *one; (one = strsep(&rest, ",")) != NULL; (*count)++) {
		char *value = strchr(one, '=');
		const char *why = "is not NAME=VALUE";

		if (*count == SETS_MAX)
			return ptctl_usage(ctl, "--set has more than %d values", SETS_MAX);
		if (value && value != one) {
			*value++ = 0;
			sets[*count].name = one;
			why = number_parse(value, strlen(value), &sets[*count].value);
		}
		if (why)
			return ptctl_usage(ctl, "--set: '%s' %s", value ? value : one, why);
	}
	return EXIT_DONE;
}

/* Compiled or text: into *scenario. */
static int take(struct ptctl *ctl, const char *name, struct scenario *scenario)
{
	const char *set = ptctl_text(ctl, "set");
	struct scn_set sets[SETS_MAX];
	char why[160], *copy = NULL, *bytes;
	size_t length, count = 0;
	int result = EXIT_DONE;

	bytes = read_all(name, &length);
	if (!bytes) {
		fprintf(stderr, "error: %s: %s\n", name, strerror(errno));
		return EXIT_USAGE;
	}
	if (set) {
		copy = strdup(set);
		result = copy ? parse_sets(ctl, copy, sets, &count) : EXIT_USAGE;
	}
	if (!result && scenario_is_compiled(bytes, length)) {
		if (set)
			result = ptctl_usage(ctl, "--set works on text, and %s is compiled", name);
		else if (!scenario_load(scenario, bytes, length, why)) {
			fprintf(stderr, "error: %s %s\n", name, why);
			result = EXIT_USAGE;
		}
	} else if (!result && !scenario_compile(scenario, strcmp(name, "-") ? name : "<stdin>",
						bytes, length, sets, count, stderr)) {
		result = EXIT_USAGE;
	}
	free(copy);
	free(bytes);
	return result;
}

int cmd_compile(struct ptctl *ctl)
{
	const char *name = ctl->out.format == FORMAT_OTHER ? ctl->out.name : NULL;
	struct scenario scenario = {0};
	FILE *to;
	int result = take(ctl, ptctl_text(ctl, "file"), &scenario);

	if (!result && !name)
		result = ptctl_usage(ctl, "compile needs -o FILE");
	if (result) {
		scenario_free(&scenario);
		return result;
	}
	to = fopen(name, "wb");
	if (!to || !scenario_save(&scenario, to)) {
		fprintf(stderr, "error: %s: %s\n", name, strerror(errno));
		result = EXIT_USAGE;
	}
	if (to && fclose(to) && !result) {
		fprintf(stderr, "error: %s: %s\n", name, strerror(errno));
		result = EXIT_USAGE;
	}
	if (!result && !ctl->out.quiet)
		fprintf(stderr, "%s: %u operations, %llu bytes\n", name, scenario.header.records,
			(unsigned long long)scenario.header.total_bytes);
	scenario_free(&scenario);
	return result;
}

static void report(struct ptctl *ctl, const struct scn_result *result)
{
	static const struct column columns[] = {
		{"stage", CELL_TEXT},	{"count", CELL_NUMBER},	   {"rate", CELL_NUMBER},
		{"seconds", CELL_REAL}, {"accesses", CELL_NUMBER}, {"faults", CELL_NUMBER},
	};
	struct rows *rows = rows_new(columns, sizeof(columns) / sizeof(columns[0]));

	for (uint32_t i = 0; i < result->stages; i++) {
		const struct scn_stage *s = &result->stage[i];
		double seconds = (double)s->ns / 1e9;

		rows_add(rows);
		rows_text(rows, 0, s->name);
		rows_number(rows, 1, s->calls);
		rows_number(rows, 2, s->ns ? (uint64_t)((double)s->calls / seconds) : 0);
		rows_real(rows, 3, seconds);
		rows_number(rows, 4, s->accesses);
		rows_number(rows, 5, s->faults);
	}
	output_rows(&ctl->out, "stages", rows, false);
	rows_free(rows);
	fflush(ctl->out.file); /* before the verdict, which goes to stderr */
}

static int run(struct ptctl *ctl, const struct scenario *scenario)
{
	struct scn_result *result = ptctl_alloc(sizeof(*result));
	struct scn_rpc *rpc = ptctl_alloc(sizeof(*rpc));
	struct ptd_status status;
	struct scn_transcript transcript = {.to = ctl->out.file};
	struct scn_target target;
	bool full = ptctl_given(ctl, "transcript");
	int code;

	if (!scn_rpc_open(rpc, ctl->endpoint, &ctl->connection, &status)) {
		code = ptctl_failed(ctl, &status);
	} else {
		transcript.target = scn_rpc_target(rpc);
		target = full ? scn_transcript_target(&transcript) : transcript.target;
		scenario_run(scenario, &target, result, stderr);
		scn_rpc_close(rpc, ptctl_given(ctl, "keep"));
		if (!full)
			report(ctl, result);
		code = result->verdict == SCN_PASSED ? EXIT_DONE
		       : result->verdict == SCN_LOST ? EXIT_CONNECT
						     : EXIT_REFUSED;
		if (!ctl->out.quiet)
			fprintf(stderr, "%s: %u expectations, %u failed%s\n",
				code ? "FAILED" : "passed", result->checks, result->mismatches,
				code && !result->mismatches ? "; an operation failed" : "");
	}
	free(rpc);
	free(result);
	return code;
}

int cmd_run(struct ptctl *ctl)
{
	struct scenario scenario = {0};
	int code = take(ctl, ptctl_text(ctl, "file"), &scenario);

	if (!code && ptctl_given(ctl, "check"))
		fprintf(stderr, "%s: %u operations\n", ptctl_text(ctl, "file"),
			scenario.header.records);
	else if (!code)
		code = run(ctl, &scenario);
	scenario_free(&scenario);
	return code;
}
