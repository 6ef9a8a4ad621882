/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages of a session: packed from C structs, and read back into them. */
#include "session.h"
#include "status.h"
#include "typed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CODE_REPLY_GONE 91

const struct ptd_status session_closed = {.state = PTD_STATE_UNKNOWN,
					  .where = PTD_WHERE_CANCEL,
					  .grpc = 1,
					  .level = PTD_LEVEL_UNKNOWN,
					  .retry_after_ms = PTD_RETRY_UNSAID,
					  .message = "the session was closed"};
const struct ptd_status session_ended = {.state = PTD_STATE_UNKNOWN,
					 .where = PTD_WHERE_DAEMON,
					 .grpc = 13,
					 .level = PTD_LEVEL_UNKNOWN,
					 .retry_after_ms = PTD_RETRY_UNSAID,
					 .message = "the daemon ended the session"};

size_t session_pack_open(const struct ptd_session *session, uint8_t *to)
{
	Ptd__V1__SessionRequest request = PTD__V1__SESSION_REQUEST__INIT;
	Ptd__V1__SessionOpen open = PTD__V1__SESSION_OPEN__INIT;

	open.context = session->context;
	open.session_id.len = sizeof(session->id);
	open.session_id.data = (uint8_t *)(uintptr_t)session->id;
	request.what_case = PTD__V1__SESSION_REQUEST__WHAT_OPEN;
	request.open = &open;
	return ptd__v1__session_request__pack(&request, to);
}

/* Numbers the message and takes it over as bytes: they must be the same each time they are sent. */
static bool give(struct ptd_session *session, Ptd__V1__SessionRequest *request, void *tag)
{
	struct message *message;
	size_t length;

	request->seq = session->given + 1;
	length = ptd__v1__session_request__get_packed_size(request);
	message = malloc(sizeof(*message) + length);
	if (!message)
		return false;
	*message = (struct message){.tag = tag, .seq = request->seq, .length = length};
	ptd__v1__session_request__pack(request, message->bytes);
	return session_queue(session, message);
}

/* Columns of `count` items in one piece of memory: three of 64 bits, three of 32. */
static bool make_columns(Ptd__V1__Ops *to, const struct ptd_op *ops, size_t count)
{
	uint64_t *wide = count <= SIZE_MAX / 64 ? malloc(count * 36 + 8) : NULL;
	uint32_t *narrow = (uint32_t *)(wide + 3 * count);

	if (!wide)
		return false;
	to->n_ipa = to->n_size = to->n_pa = to->n_kind = to->n_prot = to->n_flags = count;
	to->ipa = wide;
	to->size = wide + count;
	to->pa = wide + 2 * count;
	to->kind = narrow;
	to->prot = narrow + count;
	to->flags = narrow + 2 * count;
	for (size_t i = 0; i < count; i++) {
		to->ipa[i] = ops[i].ipa.v;
		to->size[i] = ops[i].size;
		to->pa[i] = ops[i].pa.v;
		to->kind[i] = ops[i].kind;
		to->prot[i] = ops[i].prot;
		to->flags[i] = ops[i].flags;
	}
	return true;
}

bool ptd_session_apply(struct ptd_session *session, const struct ptd_op *ops, size_t count,
		       uint32_t mode, void *tag)
{
	Ptd__V1__SessionRequest request = PTD__V1__SESSION_REQUEST__INIT;
	Ptd__V1__ApplyRequest apply = PTD__V1__APPLY_REQUEST__INIT;
	Ptd__V1__Ops columns = PTD__V1__OPS__INIT;
	bool given;

	if (!make_columns(&columns, ops, count))
		return false;
	apply.mode = (Ptd__V1__BatchMode)mode;
	apply.ops = &columns;
	request.what_case = PTD__V1__SESSION_REQUEST__WHAT_APPLY;
	request.apply = &apply;
	given = give(session, &request, tag);
	free(columns.ipa);
	return given;
}

static bool give_accesses(struct ptd_session *session, const struct ptd_ipa *ipas, size_t count,
			  uint32_t *vcpu, uint32_t access, void *tag)
{
	Ptd__V1__SessionRequest request = PTD__V1__SESSION_REQUEST__INIT;
	Ptd__V1__Accesses accesses = PTD__V1__ACCESSES__INIT;
	uint64_t *column = count <= SIZE_MAX / 16 ? malloc(count * 8 + 8) : NULL;
	bool given;

	if (!column)
		return false;
	for (size_t i = 0; i < count; i++)
		column[i] = ipas[i].v;
	accesses.n_ipa = count;
	accesses.ipa = column;
	accesses.n_access = 1;
	accesses.access = &access;
	accesses.n_vcpu = vcpu ? 1 : 0;
	accesses.vcpu = vcpu;
	request.what_case = vcpu ? PTD__V1__SESSION_REQUEST__WHAT_ACCESS
				 : PTD__V1__SESSION_REQUEST__WHAT_TRANSLATE;
	request.access = &accesses; /* the same place as `translate` */
	given = give(session, &request, tag);
	free(column);
	return given;
}

bool ptd_session_access(struct ptd_session *session, const struct ptd_ipa *ipas, size_t count,
			uint32_t vcpu, uint32_t access, void *tag)
{
	return give_accesses(session, ipas, count, &vcpu, access, tag);
}

bool ptd_session_translate(struct ptd_session *session, const struct ptd_ipa *ipas, size_t count,
			   uint32_t access, void *tag)
{
	return give_accesses(session, ipas, count, NULL, access, tag);
}

void session_read_apply(struct ptd_answer *answer, const Ptd__V1__ApplyResponse *response)
{
	answer->applied = response->applied;
	answer->errors = response->errors_total;
	effects_read(&answer->effects, response->effects, response->generation, 0);
}

void session_read_results(struct ptd_answer *answer, const Ptd__V1__AccessResults *results)
{
	size_t n = results->n_outcome;

	/* Columns of one length; a daemon that breaks this is not believed. */
	if (results->n_pa != n || results->n_esr != n || results->n_hpfar != n)
		return;
	answer->count = n;
	answer->outcome = results->outcome;
	answer->pa = results->pa;
	answer->esr = results->esr;
	answer->hpfar = results->hpfar;
	if (results->n_taker != n || results->n_canonical_ipa != n)
		return; /* of a context that is no shadow */
	answer->taker = results->taker;
	answer->canonical_ipa = results->canonical_ipa;
}

void session_read_error(struct ptd_status *status, const Ptd__V1__SessionError *error)
{
	status_local(status, PTD_STATE_FAILED, PTD_WHERE_DAEMON, 9, "%s", error->text);
	/* It was done once; only the answer is not there any more. */
	if (error->code == CODE_REPLY_GONE)
		status->state = PTD_STATE_UNKNOWN;
	status->code = error->code;
	status->index = error->index;
	status->ipa = error->ipa;
}
