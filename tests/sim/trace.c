/* SPDX-License-Identifier: BSD-2-Clause */
/* Lists of events as text: a line an event, for people and for --replay. */
#include "play.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[EV_KINDS] = {
	[EV_TURN] = "turn",	[EV_UP] = "up",	      [EV_DOWN] = "down",
	[EV_SENT] = "sent",	[EV_OLD] = "old",     [EV_SHARD] = "shard",
	[EV_TIME] = "time",	[EV_CUT] = "cut",     [EV_RESTART] = "restart",
	[EV_CANCEL] = "cancel", [EV_DRAIN] = "drain", [EV_CRASH] = "crash",
	[EV_QUIET] = "quiet",	[EV_RCU] = "rcu"};

static const char *const plants[PLANT_KINDS] = {"none", "forget-ids", "lose-wake"};

static const struct op *next_op(const struct sim *sim, const struct client *client)
{
	for (uint32_t i = 0; i < client->ops; i++)
		if (client->op[i].state == OP_READY && client->op[i].retry_ns <= sim->now_ns)
			return &client->op[i];
	return NULL;
}

static void tell_client(FILE *out, const struct sim *sim, const struct ev *ev)
{
	const struct client *client = &sim->client[ev->who % SIM_CLIENTS];
	const struct op *op = next_op(sim, client);

	switch (ev->kind) {
	case EV_TURN:
		if (!client->link)
			fprintf(out, "; connects to daemon %u", client->daemon);
		if (op)
			fprintf(out, "; asks again: op %u %s", op->number, op_name(op->kind));
		else if (client->ops < client->limit)
			fprintf(out, "; begins op %u", client->ops);
		break;
	case EV_UP:
		fprintf(out, "; of %zu bytes", client->link ? client->link->up.length : 0);
		break;
	case EV_DOWN:
		fprintf(out, "; of %zu bytes", client->link ? client->link->down.length : 0);
		break;
	case EV_CUT:
		fprintf(out, "; %s",
			ev->arg == CUT_DAEMON_LATE   ? "the daemon learns of it late"
			: ev->arg == CUT_CLIENT_LATE ? "the client learns of it late"
						     : "at both ends");
		break;
	case EV_QUIET: fputs("; all goes well", out); break;
	case EV_RESTART: fprintf(out, "; %s its request ids", ev->arg ? "keeps" : "forgets"); break;
	default: break;
	}
}

static void print_event(FILE *out, const struct ev *ev)
{
	fprintf(out, "%-8s %3u %3u %6" PRIu32, names[ev->kind], ev->who, ev->arg, ev->n);
}

void trace_tell(FILE *out, const struct sim *sim, const struct ev *ev)
{
	print_event(out, ev);
	tell_client(out, sim, ev);
	fputc('\n', out);
}

/* Operations that are asked, by client; those who ask all are not named. */
void trace_scripts(FILE *out, const struct scripts *scripts, uint32_t ops)
{
	for (uint32_t i = 0; i < SIM_CLIENTS; i++) {
		const uint64_t *left_out = scripts->left_out[i];
		bool any = false;

		for (uint32_t w = 0; w < SIM_OPS / 64; w++)
			any |= left_out[w] != 0;
		if (!any)
			continue;
		fprintf(out, "only %u:", i);
		for (uint32_t k = 0; k < ops; k++)
			if (!(left_out[k / 64] >> k % 64 & 1))
				fprintf(out, " %u", k);
		fputc('\n', out);
	}
}

bool trace_save(const char *path, const struct verdict *v)
{
	FILE *out = fopen(path, "w");

	if (!out)
		return false;
	fprintf(out, "seed %" PRIu64 "\nplant %s\n# %s\n", v->seed, plants[v->plant], v->failure);
	trace_scripts(out, &v->scripts, SIM_OPS);
	fputs("# event who arg bytes or microseconds\n", out);
	for (size_t i = 0; i < v->recorded; i++) {
		print_event(out, &v->record[i]);
		fputc('\n', out);
	}
	return fclose(out) == 0;
}

static bool read_only(const char *line, struct scripts *scripts)
{
	unsigned client, k;
	int used;

	if (sscanf(line, "only %u:%n", &client, &used) != 1 || client >= SIM_CLIENTS)
		return false;
	memset(scripts->left_out[client], 0xff, sizeof(scripts->left_out[client]));
	for (line += used; sscanf(line, " %u%n", &k, &used) == 1; line += used)
		if (k < SIM_OPS)
			scripts->left_out[client][k / 64] &= ~(UINT64_C(1) << k % 64);
	return true;
}

static bool read_event(const char *line, struct ev *ev)
{
	char name[16];
	unsigned who, arg, n;

	if (sscanf(line, "%15s %u %u %u", name, &who, &arg, &n) != 4)
		return false;
	for (uint8_t i = 0; i < EV_KINDS; i++) {
		if (strcmp(name, names[i]) != 0)
			continue;
		*ev = (struct ev){i, (uint8_t)who, (uint16_t)arg, n};
		return true;
	}
	return false;
}

enum plant trace_plant(const char *name)
{
	for (int i = 0; i < PLANT_KINDS; i++)
		if (!strcmp(name, plants[i]))
			return (enum plant)i;
	return PLANT_KINDS;
}

bool trace_load(const char *path, struct verdict *v)
{
	FILE *in = fopen(path, "r");
	char line[1024], name[32];
	bool good = in != NULL;

	memset(v, 0, offsetof(struct verdict, record));
	while (good && fgets(line, sizeof(line), in)) {
		if (line[0] == '#' || sscanf(line, "seed %" SCNu64, &v->seed) == 1 ||
		    read_only(line, &v->scripts))
			continue;
		if (sscanf(line, "plant %31s", name) == 1)
			v->plant = trace_plant(name);
		else
			good = v->recorded < SIM_EVENTS &&
			       read_event(line, &v->record[v->recorded++]);
	}
	if (in)
		fclose(in);
	return good && v->plant < PLANT_KINDS;
}
