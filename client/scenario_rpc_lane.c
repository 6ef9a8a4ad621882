/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scenarios over RPC: pipelines. A lane is a connection with up to SCN_WINDOW calls under way.
 *
 * Lines of a lane follow each other: the next begins when the last call of the one before has its
 * answer. Calls of one sweep overlap.
 */
#include "scenario_rpc.h"

#include <pt/outcome.h>
#include <string.h>
#include <time.h>

uint64_t scn_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void scn_lane_init(struct scn_lane *lane, struct scn_rpc *rpc, const struct scenario *scenario,
		   struct ptd_client *client)
{
	memset(lane, 0, sizeof(*lane));
	lane->rpc = rpc;
	lane->scenario = scenario;
	lane->client = client;
	lane->mismatch.record = UINT32_MAX;
	for (unsigned i = 0; i < SCN_WINDOW; i++) {
		lane->pending[i].lane = lane;
		lane->pending[i].next_free = lane->free;
		lane->free = &lane->pending[i];
	}
}

static void *arena_alloc(void *data, size_t size)
{
	struct scn_lane *lane = data;
	void *at = lane->arena + lane->arena_used;

	size = (size + 15) & ~(size_t)15;
	if (size > sizeof(lane->arena) - lane->arena_used)
		return NULL;
	lane->arena_used += size;
	return at;
}

static void arena_free(void *data, void *pointer)
{
	(void)data, (void)pointer;
}

static void describe(struct scn_lane *lane, const struct scn_pending *p, struct scn_reply *one)
{
	const struct pt_outcome_info *info = pt_outcome_info((unsigned)one->fact[SCN_FACT_outcome]);
	char text[240];

	if (!one->text[0] && info)
		snprintf(one->text, sizeof(one->text), "%s: %s", info->name, info->text);
	snprintf(text, sizeof(text), "%.200s (IPA 0x%llx", one->text, (unsigned long long)p->ipa);
	if (lane->par)
		snprintf(one->text, sizeof(one->text), "%s, line %u, vCPU %u)", text,
			 lane->scenario->records[p->record].line, lane->index);
	else
		snprintf(one->text, sizeof(one->text), "%s)", text);
}

static void done(void *arg, const struct ptd_reply *answer)
{
	struct scn_pending *p = arg;
	struct scn_lane *lane = p->lane;
	const struct scn_record *r = &lane->scenario->records[p->record];
	ProtobufCAllocator arena = {arena_alloc, arena_free, lane};
	struct scn_reply one = {.mismatch = {.record = UINT32_MAX}};
	bool failed;

	lane->arena_used = 0;
	scn_count(&lane->sums, SCN_FACT_calls, 1);
	if (answer->status->state != PTD_STATE_OK) {
		scn_fail_reply(&one, answer->status);
		lane->lost |= answer->status->where != PTD_WHERE_DAEMON &&
			      answer->status->where != PTD_WHERE_DEADLINE;
	} else if (!scn_unpack(r, answer, &arena, &one, &lane->sums)) {
		scn_set_fact(&one, SCN_FACT_outcome, PT_INTERNAL);
		snprintf(one.text, sizeof(one.text), "the daemon's answer cannot be read");
	}
	failed = scn_is_failure((unsigned)one.fact[SCN_FACT_outcome]);
	if (failed) {
		scn_count(&lane->sums, SCN_FACT_failed, 1);
		describe(lane, p, &one);
	}
	if (failed && !lane->failed && !(r->flags & SCN_F_OUTCOME)) {
		lane->failed = true;
		lane->failure = one;
	}
	if (lane->par)
		scn_check_inner(lane->scenario, p->record, &one, &lane->mismatch);
	scn_merge_reply(&lane->reply, &one);
	p->next_free = lane->free;
	lane->free = p;
}

static bool start(struct scn_lane *lane, uint32_t record, uint64_t ipa, uint64_t i)
{
	const struct scn_record *r = &lane->scenario->records[record];
	uint8_t bytes[SCN_REQUEST_MAX];
	struct scn_pending *p;
	const char *method;
	size_t length;

	if (lane->lost || !ptd_wait(lane->client, SCN_WINDOW - 1) || !lane->free) {
		lane->lost = true;
		return false;
	}
	length = scn_pack(lane, r, ipa, i, bytes, &method);
	p = lane->free;
	lane->free = p->next_free;
	p->record = record;
	p->ipa = ipa;
	if (ptd_start(lane->client, method, bytes, length, 0, done, p))
		return true;
	p->next_free = lane->free;
	lane->free = p;
	lane->lost = true;
	return false;
}

static void sweep(struct scn_lane *lane, uint32_t record)
{
	const struct scn_access_body *b = &lane->scenario->records[record].body.access;
	uint64_t base = b->ipa + lane->index * b->lane_step;
	uint64_t at = 0, i = 0;

	do {
		if (!start(lane, record, base + at, i++))
			return;
	} while (!__builtin_add_overflow(at, b->step, &at) && at < b->size);
}

static void series(struct scn_lane *lane, uint32_t record)
{
	const struct scn_map_body *b = &lane->scenario->records[record].body.map;

	for (uint64_t i = 0; i < b->count; i++)
		if (!start(lane, record, b->ipa + lane->index * b->lane_step + i * b->stride, i))
			return;
}

void scn_lane_run(struct scn_lane *lane, uint32_t record)
{
	const struct scn_record *r = &lane->scenario->records[record];

	memset(&lane->reply, 0, sizeof(lane->reply));
	lane->reply.mismatch.record = UINT32_MAX;
	if (r->op == SCN_ACCESS)
		sweep(lane, record);
	else if (r->op == SCN_FAULT || r->op == SCN_TRANSLATE)
		start(lane, record, r->body.fault.ipa, 0);
	else
		series(lane, record);
	if (!ptd_wait(lane->client, 0))
		lane->lost = true;
}
