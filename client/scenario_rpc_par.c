/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenarios over RPC: par. Each vCPU has a lane and a thread, and all begin at one barrier. */
#include "scenario_rpc.h"

#include <pthread.h>
#include <stdlib.h>

/* A par at work. */
struct par {
	struct scn_rpc *rpc;
	const struct scenario *scenario;
	uint32_t record, lanes;
	pthread_barrier_t start;
	struct worker {
		struct par *par;
		struct scn_lane *lane;
		pthread_t thread;
		struct ptd_status status;
	} worker[SCN_MAX_LANES];
};

static void *work(void *arg)
{
	struct worker *w = arg;
	const struct scn_record *r = w->par->scenario->records;
	uint32_t first = w->par->record + 1, n = r[w->par->record].body.group.records;

	pthread_barrier_wait(&w->par->start);
	for (uint32_t i = first; i < first + n && !w->lane->lost; i++)
		if (scn_takes_part(&r[i], w->lane->index))
			scn_lane_run(w->lane, i);
	return NULL;
}

static bool open_worker(struct par *par, uint32_t i)
{
	struct worker *w = &par->worker[i];
	struct ptd_client *client = ptd_open(par->rpc->endpoint, &par->rpc->connection, &w->status);

	w->par = par;
	w->lane = malloc(sizeof(*w->lane));
	if (!client || !w->lane) {
		ptd_close(client);
		free(w->lane);
		w->lane = NULL;
		return false;
	}
	scn_lane_init(w->lane, par->rpc, par->scenario, client);
	w->lane->par = true;
	w->lane->index = i;
	return true;
}

static void close_worker(struct worker *w)
{
	if (!w->lane)
		return;
	ptd_close(w->lane->client);
	free(w->lane);
}

static bool gather(struct par *par, struct scn_reply *reply, struct scn_sums *sums)
{
	for (uint32_t i = 0; i < par->lanes; i++) {
		const struct scn_lane *lane = par->worker[i].lane;
		uint64_t ns = reply->ns;

		scn_add_sums(sums, &lane->sums);
		if (lane->lost) {
			snprintf(reply->text, sizeof(reply->text), "vCPU %u: %s", i,
				 ptd_connection(lane->client)->message);
			return false;
		}
		if (lane->failed && !scn_is_failure((unsigned)reply->fact[SCN_FACT_outcome])) {
			*reply = lane->failure;
			reply->mismatch.record = UINT32_MAX;
			reply->ns = ns;
		}
	}
	for (uint32_t i = 0; i < par->lanes; i++)
		if (par->worker[i].lane->mismatch.record != UINT32_MAX) {
			reply->mismatch = par->worker[i].lane->mismatch;
			break;
		}
	return true;
}

static uint64_t run_workers(struct par *par)
{
	uint32_t started = 0;
	uint64_t t;

	pthread_barrier_init(&par->start, NULL, par->lanes + 1);
	while (started < par->lanes &&
	       !pthread_create(&par->worker[started].thread, NULL, work, &par->worker[started]))
		started++;
	if (started < par->lanes)
		abort(); /* the others wait for a thread that the system refuses */
	t = scn_now_ns();
	pthread_barrier_wait(&par->start);
	for (uint32_t i = 0; i < par->lanes; i++)
		pthread_join(par->worker[i].thread, NULL);
	t = scn_now_ns() - t;
	pthread_barrier_destroy(&par->start);
	return t;
}

bool scn_rpc_par(struct scn_rpc *rpc, const struct scenario *scenario, uint32_t record,
		 struct scn_reply *reply, struct scn_sums *sums)
{
	struct par *par = calloc(1, sizeof(*par));
	uint32_t opened = 0;
	bool ok = false;

	if (!par)
		return false;
	par->rpc = rpc;
	par->scenario = scenario;
	par->record = record;
	par->lanes = scenario->records[record].body.group.lanes;
	while (opened < par->lanes && open_worker(par, opened))
		opened++;
	if (opened == par->lanes) {
		reply->ns = run_workers(par);
		ok = gather(par, reply, sums);
	} else {
		snprintf(reply->text, sizeof(reply->text), "vCPU %u: %s", opened,
			 par->worker[opened].status.message);
	}
	for (uint32_t i = 0; i < opened; i++)
		close_worker(&par->worker[i]);
	free(par);
	return ok;
}
