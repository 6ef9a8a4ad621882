/* SPDX-License-Identifier: BSD-2-Clause */
/* ptctl access, fault and translate: what a vCPU does, and what the tables say. */
#include "commands.h"
#include "scenario_run.h"

#include "ptd/v1/fault.pb-c.h"

#include <pt/outcome.h>
#include <string.h>

/* A fault that stays one, an exit to the VMM in KVM's terms, is exit code 7. */
static int exit_code(uint32_t outcome)
{
	return scn_is_failure(outcome) ? EXIT_FAULT : EXIT_DONE;
}

static int show(struct ptctl *ctl, ProtobufCMessage *message, uint32_t outcome)
{
	output_message(&ctl->out, message, &ctl->command->view);
	protobuf_c_message_free_unpacked(message, NULL);
	return exit_code(outcome);
}

/* One handler for the four verbs of access: the verb is the kind. */
int cmd_access(struct ptctl *ctl)
{
	static const char *const verbs[] = {"read", "write", "exec", "at"};
	Ptd__V1__AccessRequest request = PTD__V1__ACCESS_REQUEST__INIT;
	ProtobufCMessage *message;
	int result;

	for (unsigned i = 0; i < 4; i++)
		if (!strcmp(ctl->command->verb, verbs[i]))
			request.access = (Ptd__V1__AccessKind)(i + 1);
	if (request.access == PTD__V1__ACCESS_KIND__ACCESS_KIND_READ)
		request.length = 8;
	else if (request.access == PTD__V1__ACCESS_KIND__ACCESS_KIND_EXEC)
		request.length = 4; /* one A64 instruction */
	result = ptctl_fill(ctl, &request.base);
	if (result)
		return result;
	result = ptctl_call(ctl, "/ptd.v1.FaultService/Access", &request.base,
			    &ptd__v1__access_response__descriptor, &message);
	return result ? result : show(ctl, message, ((Ptd__V1__AccessResponse *)message)->outcome);
}

int cmd_fault(struct ptctl *ctl)
{
	Ptd__V1__HandleFaultRequest request = PTD__V1__HANDLE_FAULT_REQUEST__INIT;
	bool raw = ptctl_given(ctl, "esr");
	ProtobufCMessage *message;
	int result;

	if (raw == ptctl_given(ctl, "ipa"))
		return ptctl_usage(ctl, "a fault is given by --esr, --far and --hpfar, or by --ipa "
					"and --access");
	if (!raw && (ptctl_given(ctl, "far") || ptctl_given(ctl, "hpfar")))
		return ptctl_usage(ctl, "--far and --hpfar belong to --esr");
	if (raw && ptctl_given(ctl, "access"))
		return ptctl_usage(ctl, "--access belongs to --ipa");
	if (raw && (!ptctl_given(ctl, "far") || !ptctl_given(ctl, "hpfar")))
		return ptctl_usage(ctl, "--far and --hpfar are needed with --esr\n  hint: 0 where "
					"hardware leaves one unknown");
	if (!raw)
		request.access = PTD__V1__ACCESS_KIND__ACCESS_KIND_READ;
	result = ptctl_fill(ctl, &request.base);
	if (result)
		return result;
	result = ptctl_call(ctl, "/ptd.v1.FaultService/HandleFault", &request.base,
			    &ptd__v1__handle_fault_response__descriptor, &message);
	return result ? result
		      : show(ctl, message, ((Ptd__V1__HandleFaultResponse *)message)->outcome);
}

#define EXPLAIN_COLUMNS                                                                            \
	"result.outcome result.pa result.level result.prot result.span result.par vtcr vttbr "     \
	"exit.fault exit.level exit.esr exit.far exit.hpfar exit.outcome slot_found slot_id"

#define NESTED_COLUMNS                                                                             \
	" nested.taker nested.fault nested.level nested.esr nested.far nested.hpfar "              \
	"nested.canonical_ipa"

/* One more walk of an explanation. */
static void part(struct ptctl *ctl, const ProtobufCMessage *message, const struct view *view,
		 const char *title)
{
	fprintf(ctl->out.file, "\n%s\n", title);
	output_message(&ctl->out, message, view);
}

static int explain(struct ptctl *ctl)
{
	/* The steps are the rows; JSON has everything, a table the result below. */
	static const struct view steps = {.rows = "steps"};
	static const struct view guest = {.rows = "guest_steps"};
	static const struct view canonical = {.rows = "canonical_steps"};
	static const struct view rest = {.columns = EXPLAIN_COLUMNS};
	static const struct view nested = {.columns = EXPLAIN_COLUMNS NESTED_COLUMNS};
	Ptd__V1__ExplainRequest request = PTD__V1__EXPLAIN_REQUEST__INIT;
	Ptd__V1__ExplainResponse *response;
	ProtobufCMessage *message;
	uint32_t outcome;
	int result;

	request.access = PTD__V1__ACCESS_KIND__ACCESS_KIND_READ;
	result = ptctl_fill(ctl, &request.base);
	if (result)
		return result;
	result = ptctl_call(ctl, "/ptd.v1.FaultService/Explain", &request.base,
			    &ptd__v1__explain_response__descriptor, &message);
	if (result)
		return result;
	response = (Ptd__V1__ExplainResponse *)message;
	outcome = response->result ? response->result->outcome : (uint32_t)PT_OK;
	output_message(&ctl->out, message, &steps);
	if (ctl->out.format == FORMAT_TABLE && !ctl->out.quiet) {
		if (response->n_guest_steps)
			part(ctl, message, &guest, "the guest hypervisor's tables:");
		if (response->n_canonical_steps)
			part(ctl, message, &canonical, "the canonical context's:");
		fputc('\n', ctl->out.file);
		output_message(&ctl->out, message, response->nested ? &nested : &rest);
	}
	protobuf_c_message_free_unpacked(message, NULL);
	return exit_code(outcome);
}

int cmd_translate(struct ptctl *ctl)
{
	Ptd__V1__TranslateRequest request = PTD__V1__TRANSLATE_REQUEST__INIT;
	ProtobufCMessage *message;
	int result;

	if (ptctl_given(ctl, "explain"))
		return explain(ctl);
	request.access = PTD__V1__ACCESS_KIND__ACCESS_KIND_READ;
	result = ptctl_fill(ctl, &request.base);
	if (result)
		return result;
	result = ptctl_call(ctl, "/ptd.v1.FaultService/Translate", &request.base,
			    &ptd__v1__translate_response__descriptor, &message);
	return result ? result
		      : show(ctl, message, ((Ptd__V1__TranslateResponse *)message)->outcome);
}
