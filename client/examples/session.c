/* SPDX-License-Identifier: BSD-2-Clause */
/* Maps pages through a session, one message each; a cut connection costs nothing but time. */
#include <ptd_core.h>
#include <ptd_session.h>

#include <stdio.h>
#include <stdlib.h>

#define WINDOW 1000

struct tally {
	unsigned done, failed, unknown;
};

static void on_answer(void *arg, const struct ptd_answer *answer)
{
	struct tally *tally = arg;

	switch (answer->status->state) {
	case PTD_STATE_OK: tally->done += answer->applied; break;
	case PTD_STATE_FAILED: tally->failed++; break;
	default: tally->unknown++; break;
	}
}

static int run(struct ptd_client *client, uint64_t context, unsigned pages)
{
	struct tally tally = {0};
	struct ptd_session *session =
		ptd_session_open(ptd_client_core(client), context, on_answer, &tally);

	for (unsigned i = 0; session && i < pages; i++) {
		const struct ptd_op op = {.kind = PTD_OP_MAP,
					  .prot = PTD_PROT_R | PTD_PROT_W,
					  .ipa = {0x40000000 + ((uint64_t)i << 12)},
					  .size = 4096,
					  .pa = {(uint64_t)i << 12}};

		if (!ptd_session_apply(session, &op, 1, PTD_MODE_ATOMIC, NULL))
			break;
		while (ptd_session_unanswered(session) > WINDOW && ptd_pump(client, -1) >= 0)
			;
	}
	while (session && ptd_session_unanswered(session) && ptd_pump(client, -1) >= 0)
		;
	if (session && ptd_session_status(session)->state != PTD_STATE_OK)
		fprintf(stderr, "%s\n", ptd_session_status(session)->message);
	ptd_session_close(session);
	printf("%u done, %u failed, %u unknown\n", tally.done, tally.failed, tally.unknown);
	return tally.done == pages ? 0 : 1;
}

int main(int argc, char **argv)
{
	const struct ptd_options options = {
		.size = sizeof(options), .reconnects = 10, .backoff_ms = 10};
	struct ptd_status status;
	struct ptd_client *client;
	uint64_t context;
	int code = 1;

	if (argc != 4)
		return 2;
	client = ptd_open(argv[1], &options, &status);
	if (!client || ptd_find_context(client, argv[2], &context, &status))
		fprintf(stderr, "%s\n", status.message);
	else
		code = run(client, context, (unsigned)atoi(argv[3]));
	ptd_close(client);
	return code;
}
