/* SPDX-License-Identifier: BSD-2-Clause */
/* What ptctl says when something fails, and with which exit code it ends. */
#include "commands.h"
#include "text.h"

#include <pt/outcome.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void *ptctl_alloc(size_t bytes)
{
	void *memory = bytes == SIZE_MAX ? NULL : malloc(bytes ? bytes : 1);

	if (!memory) {
		fputs("error: no memory, or the output cannot be written\n", stderr);
		exit(EXIT_REFUSED);
	}
	return memory;
}

int ptctl_usage(const struct ptctl *ctl, const char *text, ...)
{
	va_list args;

	fputs("error: ", stderr);
	va_start(args, text);
	vfprintf(stderr, text, args);
	va_end(args);
	fputs("\n  see: ptctl ", stderr);
	if (ctl->command)
		fprintf(stderr, "%s%s%s ", ctl->command->noun, ctl->command->verb ? " " : "",
			ctl->command->verb ? ctl->command->verb : "");
	fputs("--help\n", stderr);
	return EXIT_USAGE;
}

int ptctl_exit_code(const struct ptd_status *status)
{
	if (status->state == PTD_STATE_OK)
		return EXIT_DONE;
	if (status->where == PTD_WHERE_CONNECT)
		return EXIT_CONNECT;
	if (status->where == PTD_WHERE_ARGUMENT && status->grpc == PT_GRPC_INVALID_ARGUMENT)
		return EXIT_USAGE;
	if (status->state == PTD_STATE_UNKNOWN || status->grpc == PT_GRPC_DEADLINE_EXCEEDED)
		return EXIT_UNKNOWN;
	switch (status->grpc) {
	case PT_GRPC_PERMISSION_DENIED:
	case PT_GRPC_UNAUTHENTICATED: return EXIT_UNAUTHORISED;
	case PT_GRPC_NOT_FOUND:
	case PT_GRPC_FAILED_PRECONDITION:
	case PT_GRPC_ABORTED: return EXIT_PRECONDITION;
	default: return EXIT_REFUSED;
	}
}

static const char *grpc_name(int grpc)
{
	static const char *const names[] = {"OK",
					    "CANCELLED",
					    "UNKNOWN",
					    "INVALID_ARGUMENT",
					    "DEADLINE_EXCEEDED",
					    "NOT_FOUND",
					    "ALREADY_EXISTS",
					    "PERMISSION_DENIED",
					    "RESOURCE_EXHAUSTED",
					    "FAILED_PRECONDITION",
					    "ABORTED",
					    "OUT_OF_RANGE",
					    "UNIMPLEMENTED",
					    "INTERNAL",
					    "UNAVAILABLE",
					    "DATA_LOSS",
					    "UNAUTHENTICATED"};

	return grpc >= 0 && grpc <= 16 ? names[grpc] : "UNKNOWN";
}

/* "  context m0/g0, level 2, ipa 0x80200000, item 3": what is known of it. */
static void print_where(const struct ptctl *ctl, const struct ptd_status *status)
{
	bool walked = status->level != PTD_LEVEL_UNKNOWN;
	const char *comma = "  ";
	char text[TEXT_MAX];

	if (ctl->about) {
		fprintf(stderr, "%s%s %s", comma, strchr(ctl->about, '/') ? "context" : "object",
			ctl->about);
		comma = ", ";
	}
	if (walked) {
		fprintf(stderr, "%slevel %d", comma, (int)status->level);
		comma = ", ";
	}
	if (status->ipa || walked) {
		fprintf(stderr, "%sipa %s", comma,
			address_text(text, status->ipa, ctl->out.ipa_bits));
		comma = ", ";
	}
	if (status->index) {
		fprintf(stderr, "%sitem %u", comma, status->index);
		comma = ", ";
	}
	if (comma[0] == ',')
		fputc('\n', stderr);
}

int ptctl_failed(struct ptctl *ctl, const struct ptd_status *status)
{
	const struct pt_outcome_info *info = status->code ? pt_outcome_info(status->code) : NULL;
	const char *message = status->message[0] ? status->message : info ? info->text : "failed";
	const char *hint = status->hint[0] ? status->hint : info ? info->hint : "";
	char below[TEXT_MAX], above[TEXT_MAX];

	fflush(stdout);
	if (status->code)
		fprintf(stderr, "error[PTD-E%04u]: %s\n", status->code, message);
	else
		fprintf(stderr, "error[%s]: %s\n", grpc_name(status->grpc), message);
	if (status->state == PTD_STATE_UNKNOWN)
		fputs("  outcome unknown: it may have been done\n", stderr);
	if (status->where == PTD_WHERE_DAEMON)
		print_where(ctl, status);
	if (status->nearest_below || status->nearest_above)
		fprintf(stderr, "  nearest: %s or %s\n",
			address_text(below, status->nearest_below, 0),
			address_text(above, status->nearest_above, 0));
	if (*hint)
		fprintf(stderr, "  hint: %s\n", hint);
	if (info)
		fprintf(stderr, "  see: ptctl explain PTD-E%04u\n", status->code);
	return ptctl_exit_code(status);
}
