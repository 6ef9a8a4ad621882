/* SPDX-License-Identifier: BSD-2-Clause */
/* Two clients share nothing: threads with a client each, typed calls and a session. */
#include <ptd_core.h>
#include <ptd_session.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS 4
#define CALLS	150

struct worker {
	pthread_t thread;
	const char *endpoint;
	unsigned number, answers;
	const char *wrong; /* NULL: all went well */
};

static void on_answer(void *arg, const struct ptd_answer *answer)
{
	struct worker *worker = arg;

	worker->answers += answer->status->state == PTD_STATE_OK;
}

static const char *use_session(struct worker *worker, struct ptd_client *client, uint64_t context)
{
	struct ptd_session *session =
		ptd_session_open(ptd_client_core(client), context, on_answer, worker);
	const struct ptd_ipa ipa = {(uint64_t)(worker->number + 1) << 30};

	if (!session)
		return "no session";
	for (unsigned i = 0; i < CALLS; i++)
		if (!ptd_session_translate(session, &ipa, 1, PTD_ACCESS_READ, NULL))
			return "a message was not taken";
	while (ptd_session_unanswered(session) && ptd_pump(client, -1) >= 0)
		;
	ptd_session_close(session);
	return worker->answers == CALLS ? NULL : "answers are missing";
}

static const char *use_client(struct worker *worker, struct ptd_client *client)
{
	const struct ptd_ipa ipa = {(uint64_t)(worker->number + 1) << 30};
	uint64_t context;

	if (ptd_find_context(client, "m0/g0", &context, NULL))
		return "no context";
	for (unsigned i = 0; i < CALLS; i++)
		if (ptd_map(client, context, ipa, 4096, (struct ptd_pa){0}, PTD_PROT_R, 0, NULL,
			    NULL) ||
		    ptd_unmap(client, context, ipa, 4096, NULL, NULL))
			return "a call failed";
	return use_session(worker, client, context);
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	const struct ptd_options options = {.size = sizeof(options),
					    .timeout_ms = 60000,
					    .reconnects = 5,
					    .tls_ca = getenv("PTD_TLS_CA"),
					    .tls_certificate = getenv("PTD_TLS_CERTIFICATE"),
					    .tls_key = getenv("PTD_TLS_KEY")};
	struct ptd_client *client = ptd_open(worker->endpoint, &options, NULL);

	worker->wrong = client ? use_client(worker, client) : "no connection";
	ptd_close(client);
	return NULL;
}

int main(int argc, char **argv)
{
	struct worker workers[THREADS] = {0};
	int code = 0;

	if (argc != 2)
		return 2;
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i].endpoint = argv[1];
		workers[i].number = i;
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			return 3;
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		if (workers[i].wrong) {
			fprintf(stderr, "thread %u: %s\n", i, workers[i].wrong);
			code = 1;
		}
	}
	puts(code ? "failed" : "done");
	return code;
}
