/* SPDX-License-Identifier: BSD-2-Clause */
/* ptctl's command table, and what its handlers work with. */
#ifndef PTCTL_COMMANDS_H
#define PTCTL_COMMANDS_H

#include "output.h"
#include "ptd/v1/context.pb-c.h"

#include <protobuf-c/protobuf-c.h>
#include <ptd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit codes, documented in ptctl(1). */
enum exit_code {
	EXIT_DONE = 0,
	EXIT_REFUSED = 1,      /* by the daemon */
	EXIT_USAGE = 2,	       /* the command line is wrong; nothing was sent */
	EXIT_CONNECT = 3,      /* no connection */
	EXIT_UNKNOWN = 4,      /* deadline or lost connection: it may have been done */
	EXIT_UNAUTHORISED = 5, /* PERMISSION_DENIED, UNAUTHENTICATED */
	EXIT_PRECONDITION = 6, /* NOT_FOUND, FAILED_PRECONDITION, ABORTED */
	EXIT_FAULT = 7,	       /* the translation or access faults */
	EXIT_MISMATCH = 8,     /* an expectation or a check failed */
	EXIT_INTERRUPTED = 130,
};

enum value_type {
	VALUE_FLAG,	/* an option without a value: number is 1 */
	VALUE_TEXT,	/* text as it stands */
	VALUE_NUMBER,	/* 4096, 0x1000, 0x8000_0000, 4K, 1GiB */
	VALUE_ADDRESS,	/* the same */
	VALUE_SIZE,	/* the same, in bytes */
	VALUE_PROT,	/* rw, r-x, rwpu:nc: number is the wire's prot */
	VALUE_HEX,	/* pairs of hexadecimal digits, or @FILE: bytes and length */
	VALUE_CHOICE,	/* one of `choices`: number is its place + 1 */
	VALUE_MACHINE,	/* "m0" or a handle */
	VALUE_CONTEXT,	/* "m0/g0" or a handle */
	VALUE_CODE,	/* PTD-E0068, 68 or OVERLAP */
	VALUE_DURATION, /* 500ms, 10s, 2min: number is milliseconds */
	VALUE_TYPES
};

struct param {
	const char *name; /* of an argument: shown as NAME; of an option: --name */
	enum value_type type;
	bool optional;	     /* arguments only */
	const char *choices; /* VALUE_CHOICE: "read|write" */
	uint64_t limit;	     /* largest number; 0: any */
	const char *help;
};

struct value {
	const struct param *param;
	bool given;
	const char *text;
	uint64_t number;
	uint8_t *bytes;
	size_t length;
};

struct ptctl;
typedef int command_handler(struct ptctl *ctl); /* returns an exit code */

#define COMMAND_LOCAL 0x1u /* needs no daemon */

struct command {
	const char *noun;
	const char *verb; /* NULL: the noun is all */
	const char *help;
	const char *example;
	const struct param *args;    /* end at a NULL name; NULL: none */
	const struct param *options; /* the same */
	command_handler *run;
	struct view view;
	const char *formats; /* besides table|json|tsv: "kernel|tree"; "*": any; NULL: none */
	unsigned flags;
};

extern const struct command command_table[]; /* ends at a NULL noun */

#define PTCTL_VALUES_MAX 32

/* One run of ptctl. */
struct ptctl {
	const struct command *command;
	struct value values[PTCTL_VALUES_MAX]; /* arguments, then options, in table order */
	size_t value_count;
	struct output out;
	const char *endpoint;
	struct ptd_options connection; /* how to connect */
	struct ptd_client *client;     /* after ptctl_connect() */
	bool wants_help;
	const char *about; /* "m0/g0": what errors are about; may be NULL */
};

/* The value of an argument or option of this command; one that it does not have is a defect. */
const struct value *ptctl_value(const struct ptctl *ctl, const char *name);
/* The same; NULL if the command has none of this name. */
const struct value *ptctl_find(const struct ptctl *ctl, const char *name);
bool ptctl_given(const struct ptctl *ctl, const char *name);
uint64_t ptctl_number(const struct ptctl *ctl, const char *name);  /* 0 if not given */
const char *ptctl_text(const struct ptctl *ctl, const char *name); /* NULL if not given */

/* Each returns an exit code and has printed the error unless that is EXIT_DONE. */
int ptctl_connect(struct ptctl *ctl);
/* One call; *response is of type `type`, to be freed with protobuf_c_message_free_unpacked(). */
int ptctl_call(struct ptctl *ctl, const char *method, const ProtobufCMessage *request,
	       const ProtobufCMessageDescriptor *type, ProtobufCMessage **response);
/* The same, then prints the response by the command's view and frees it. */
int ptctl_show(struct ptctl *ctl, const char *method, const ProtobufCMessage *request,
	       const ProtobufCMessageDescriptor *type);
/* GetContext by name, or by handle where name is NULL. *got has a context, and is to be freed with
 * ptd__v1__get_context_response__free_unpacked(). */
int ptctl_get_context(struct ptctl *ctl, const char *name, uint64_t handle,
		      Ptd__V1__GetContextResponse **got);
/* A handle from the value `name` (VALUE_MACHINE or VALUE_CONTEXT), asking the daemon for names.
 * Contexts also set out.ipa_bits when their name was looked up. */
int ptctl_handle(struct ptctl *ctl, const char *name, uint64_t *handle);
/* The machine of this name. */
int ptctl_find_machine(struct ptctl *ctl, const char *name, uint64_t *handle);
/* The parameter that fills this field of a request; NULL: the command has none. */
const struct param *ptctl_param_of(const struct ptctl *ctl, const char *field);
/* Each value that was given goes to the field of that name; others, and what is no scalar, are left
 * as they are. Names become handles, and a request id that is not 16 bytes is refused. */
int ptctl_fill(struct ptctl *ctl, ProtobufCMessage *message);
/* ptctl_fill(), then ptctl_show(). */
int ptctl_ask(struct ptctl *ctl, const char *method, ProtobufCMessage *request,
	      const ProtobufCMessageDescriptor *type);

/* Prints a failed call as error[PTD-E....] with context, nearest values and hint. */
int ptctl_failed(struct ptctl *ctl, const struct ptd_status *status);
/* Prints "error: ..." and how to get help. Returns EXIT_USAGE. */
int ptctl_usage(const struct ptctl *ctl, const char *text, ...)
	__attribute__((format(printf, 2, 3)));
/* The exit code of a call that ended so. */
int ptctl_exit_code(const struct ptd_status *status);

/* Memory or exit. */
void *ptctl_alloc(size_t bytes);

command_handler cmd_server_info, cmd_server_stats, cmd_server_drain, cmd_health;
command_handler cmd_machine_create, cmd_machine_list, cmd_machine_show, cmd_machine_delete,
	cmd_machine_read, cmd_machine_write;
command_handler cmd_context_create, cmd_context_list, cmd_context_show, cmd_context_delete,
	cmd_context_teardown, cmd_context_finalize, cmd_context_quota, cmd_context_digest,
	cmd_context_watch;
command_handler cmd_slot_set, cmd_slot_delete, cmd_slot_list;
command_handler cmd_map, cmd_unmap, cmd_protect, cmd_wrprotect;
command_handler cmd_relax, cmd_annotate, cmd_young, cmd_flush;
command_handler cmd_age, cmd_split, cmd_collapse;
command_handler cmd_dirty_start, cmd_dirty_get, cmd_dirty_stop, cmd_dirty_list;
command_handler cmd_access, cmd_fault, cmd_translate;
command_handler cmd_own_show, cmd_own_map, cmd_own_transfer, cmd_own_lendings, cmd_own_watch;
command_handler cmd_nested_build, cmd_nested_enter, cmd_nested_exit, cmd_nested_list,
	cmd_nested_tlbi, cmd_nested_at;
command_handler cmd_pager_serve, cmd_pager_list;
command_handler cmd_failpoint_arm, cmd_failpoint_disarm, cmd_failpoint_list;
command_handler cmd_completion, cmd_explain, cmd_tls_init;
/* Scenarios, dumps and decoding. */
command_handler cmd_dump, cmd_decode, cmd_compile, cmd_run;

#endif
