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

static bool is_of(const struct ptctl *ctl, const char *noun)
{
	return ctl->command && !strcmp(ctl->command->noun, noun);
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
		fprintf(stderr, "%s%s %s", comma, is_of(ctl, "own") ? "address" : "ipa",
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

static bool is_option(const struct ptctl *ctl, const struct param *param)
{
	for (const struct param *at = ctl->command->options; at && at->name; at++)
		if (at == param)
			return true;
	return false;
}

/* The daemon names the field of the request that is wrong ("ops[0].ipa: ..."): said as the user
 * knows it. Returns the rest. */
static const char *print_subject(const struct ptctl *ctl, const char *message)
{
	size_t n = strcspn(message, ": "), at = n;
	const struct param *param;
	char field[32];

	while (at && message[at - 1] != '.')
		at--;
	if (message[n] != ':' || n - at >= sizeof(field) || !ctl->command)
		return message;
	snprintf(field, sizeof(field), "%.*s", (int)(n - at), message + at);
	param = ptctl_param_of(ctl, field);
	if (!strcmp(field, "prot") && strstr(message, "has software bits"))
		param = ptctl_param_of(ctl, "software");
	if (!param)
		return message;
	fprintf(stderr, "%s%s", is_option(ctl, param) ? "--" : "", param->name);
	return message + n;
}

/* Where memory changes hands the page is looked at, not the context. NULL: no other hint. */
static const char *hint_of_owners(uint32_t code)
{
	switch (code) {
	case PT_WRONG_OWNER:
	case PT_WRONG_STATE:
	case PT_NOT_MAPPED:
	case PT_BUSY: return "ptctl own show says whose each page is, own lendings what is lent";
	case PT_QUOTA: return "raise it with ptctl context quota, or give pages with own top-up";
	default: return NULL;
	}
}

/* What was left out where the object was made; it cannot be had later. */
static const char *hint_of_making(const char *message)
{
	if (strstr(message, "made without owners"))
		return "ptctl machine create --owners makes one that has them";
	if (strstr(message, "made without options.nested"))
		return "ptctl context create --nested makes one that has them";
	if (strstr(message, "link_pages"))
		return "ptctl context create --link-pages makes one that may have more";
	if (strstr(message, "max_shadows"))
		return "ptctl nested exit lets one go; context create --max-shadows: how many";
	return NULL;
}

/* What is said only of this command's objects. */
static const char *hint_of_noun(const struct ptctl *ctl, uint32_t code)
{
	if (is_of(ctl, "own"))
		return hint_of_owners(code);
	if (is_of(ctl, "pager") && code == PT_ALREADY_EXISTS)
		return "ptctl pager list says who has which range";
	if (is_of(ctl, "pager") && code == PT_OUT_OF_RANGE)
		return "ptctl slot list says which ranges are backed";
	return NULL;
}

/* What to do, in words of this program where the table of outcomes has those of the protocol. */
static void print_hint(const struct ptctl *ctl, uint32_t code, const char *message,
		       const char *hint)
{
	static const struct {
		enum pt_outcome code;
		const char *hint;
	} own[] = {
		{PT_QUOTA, "raise it with ptctl context quota, or map larger, aligned ranges"},
		{PT_OVERLAP, "unmap it first, or map with --replace"},
		{PT_NOT_FOUND,
		 "ptctl machine list, context list, slot list and dirty list say what is there"},
		{PT_NOT_MAPPED, "map the address, or back it with ptctl slot set"},
		{PT_WRONG_STATE, "look at it with ptctl context show or machine show"},
		{PT_UNSUPPORTED, "ptctl server info lists what is offered"},
		{PT_TOO_LARGE, "ptctl server info states the limits"},
		{PT_NOT_EMPTY, "delete its contexts first, or use --force"},
	};
	bool made = code == PT_WRONG_STATE || code == PT_QUOTA;
	const char *making = made ? hint_of_making(message) : NULL;
	const char *special = making ? making : hint_of_noun(ctl, code);

	if (special)
		hint = special;
	for (size_t i = 0; !special && i < sizeof(own) / sizeof(own[0]); i++)
		if (own[i].code == code)
			hint = own[i].hint;
	if (code == PT_INVALID && ctl->command)
		fprintf(stderr, "  hint: ptctl %s%s%s --help says what is accepted\n",
			ctl->command->noun, ctl->command->verb ? " " : "",
			ctl->command->verb ? ctl->command->verb : "");
	else if (*hint)
		fprintf(stderr, "  hint: %s\n", hint);
}

int ptctl_failed(struct ptctl *ctl, const struct ptd_status *status)
{
	const struct pt_outcome_info *info = status->code ? pt_outcome_info(status->code) : NULL;
	const char *message = status->message[0] ? status->message : info ? info->text : "failed";
	const char *hint = status->hint[0] ? status->hint : info ? info->hint : "";
	char below[TEXT_MAX], above[TEXT_MAX];

	fflush(stdout);
	if (status->code)
		fprintf(stderr, "error[PTD-E%04u]: ", status->code);
	else
		fprintf(stderr, "error[%s]: ", grpc_name(status->grpc));
	fprintf(stderr, "%s\n", print_subject(ctl, message));
	if (status->state == PTD_STATE_UNKNOWN)
		fputs("  outcome unknown: it may have been done\n", stderr);
	if (status->where == PTD_WHERE_DAEMON)
		print_where(ctl, status);
	if (status->nearest_below || status->nearest_above)
		fprintf(stderr, "  nearest: %s or %s\n",
			address_text(below, status->nearest_below, 0),
			address_text(above, status->nearest_above, 0));
	print_hint(ctl, status->code, message, hint);
	if (info)
		fprintf(stderr, "  see: ptctl explain PTD-E%04u\n", status->code);
	return ptctl_exit_code(status);
}
