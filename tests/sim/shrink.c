/* SPDX-License-Identifier: BSD-2-Clause */
/* Delta debugging over a failing list of events, and over the operations that clients ask. */
#include "play.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define FEW 80 /* events: now pieces are tried at every place */

struct hunt {
	struct verdict *best, *probe;
	char check[32]; /* the kind of failure to keep to */
	uint32_t plays, most;
};

/* The probe is to be tried: it is the new best if it fails in the same way. */
static bool fails_alike(struct hunt *h)
{
	if (h->plays >= h->most)
		return false;
	h->plays++;
	try_list(h->probe, NULL);
	if (strncmp(h->probe->failure, h->check, strlen(h->check)) != 0)
		return false;
	memcpy(h->best, h->probe, offsetof(struct verdict, record));
	memcpy(h->best->record, h->probe->record, h->probe->recorded * sizeof(struct ev));
	return true;
}

/* The best without `n` events from `at` on. */
static void probe_without(struct hunt *h, size_t at, size_t n)
{
	const struct verdict *best = h->best;
	size_t rest = best->recorded - at - n;

	memcpy(h->probe, best, offsetof(struct verdict, record));
	memcpy(h->probe->record, best->record, at * sizeof(struct ev));
	memcpy(h->probe->record + at, best->record + at + n, rest * sizeof(struct ev));
	h->probe->recorded = at + rest;
}

/* One pass from the end: leaves out pieces of `piece` events. True: some could go. */
static bool pass(struct hunt *h, size_t piece)
{
	bool some = false;
	size_t end = h->best->recorded;

	while (end) {
		size_t n = piece < end ? piece : end;

		probe_without(h, end - n, n);
		some |= fails_alike(h);
		end -= n;
	}
	return some;
}

static void events(struct hunt *h)
{
	for (size_t piece = (h->best->recorded + 1) / 2; piece; piece /= 2)
		pass(h, piece);
}

/* Operations [at, at + n) of a client are not asked. */
static void without_ops(struct hunt *h, uint32_t client, uint32_t at, uint32_t n)
{
	struct scripts *scripts = &h->probe->scripts;

	probe_without(h, 0, 0);
	for (uint32_t k = at; k < at + n && k < SIM_OPS; k++)
		scripts->left_out[client][k / 64] |= UINT64_C(1) << k % 64;
	if (memcmp(scripts, &h->best->scripts, sizeof(*scripts)) != 0)
		fails_alike(h);
}

static void operations(struct hunt *h, uint32_t least)
{
	for (uint32_t piece = SIM_OPS; piece >= least; piece /= 2)
		for (uint32_t i = 0; i < SIM_CLIENTS; i++)
			for (uint32_t at = 0; at < SIM_OPS; at += piece)
				without_ops(h, i, at, piece);
}

static bool is_plain(const struct ev *ev)
{
	return ev->kind <= EV_SHARD || ev->kind == EV_QUIET || ev->kind == EV_RCU;
}

/* A piece without a fault as one event in which all goes well for its first client. */
static void probe_quiet(struct hunt *h, size_t at, size_t n, uint32_t moves)
{
	struct ev ev = {.kind = EV_QUIET, .who = h->best->record[at].who, .n = moves};

	probe_without(h, at, n - 1);
	h->probe->record[at] = ev;
	fails_alike(h);
}

static void quieten(struct hunt *h, size_t n)
{
	for (size_t at = 0; at + n <= h->best->recorded; at++) {
		const struct ev *first = &h->best->record[at];
		size_t plain = 0;

		while (plain < n && is_plain(&first[plain]))
			plain++;
		if (plain < n || first->kind == EV_SHARD || first->kind == EV_RCU)
			continue;
		for (uint32_t moves = 1; moves <= 2 * n && h->best->recorded >= at + n; moves++) {
			size_t before = h->best->recorded;

			probe_quiet(h, at, n, moves);
			if (h->best->recorded < before)
				break;
		}
	}
}

/* Few events: pieces of each length at each place, and an operation together with a piece. */
static void slide(struct hunt *h)
{
	for (size_t n = 8; n; n--)
		for (size_t at = 0; at + n <= h->best->recorded;) {
			probe_without(h, at, n);
			if (!fails_alike(h))
				at++;
		}
}

static bool is_asked(const struct verdict *v, uint32_t client, uint32_t op)
{
	return !(v->scripts.left_out[client][op / 64] >> op % 64 & 1);
}

static void slide_with_op(struct hunt *h, uint32_t client, uint32_t op)
{
	for (size_t n = 6; n > 1; n--)
		for (size_t at = 0; at + n <= h->best->recorded; at++) {
			if (!is_asked(h->best, client, op))
				return;
			probe_without(h, at, n);
			h->probe->scripts.left_out[client][op / 64] |= UINT64_C(1) << op % 64;
			fails_alike(h);
		}
}

static void slide_with_ops(struct hunt *h)
{
	for (uint32_t i = 0; i < SIM_CLIENTS; i++)
		for (uint32_t k = 0; k < SIM_OPS; k++)
			if (is_asked(h->best, i, k))
				slide_with_op(h, i, k);
}

/* Whole transfers read better. */
static void simplify(struct hunt *h)
{
	for (size_t i = 0; i < h->best->recorded; i++) {
		if (!h->best->record[i].n || h->best->record[i].kind == EV_TIME)
			continue;
		probe_without(h, 0, 0);
		h->probe->record[i].n = 0;
		fails_alike(h);
	}
}

uint32_t shrink(struct verdict *v, uint32_t most)
{
	struct hunt h = {.best = v, .probe = verdict_new(), .most = most};

	snprintf(h.check, sizeof(h.check), "%.*s", (int)strcspn(v->failure, ":") + 1, v->failure);
	operations(&h, 16); /* whole scripts first: then a play is short */
	events(&h);
	operations(&h, 1);
	simplify(&h);
	events(&h);
	while (pass(&h, 1) && h.plays < most)
		continue;
	if (h.best->recorded <= FEW) {
		slide(&h);
		for (size_t n = 12; n > 1; n /= 2)
			quieten(&h, n);
		slide(&h);
		slide_with_ops(&h);
		for (size_t n = 4; n > 1; n--)
			quieten(&h, n);
		slide(&h);
		operations(&h, 1);
	}
	munmap(h.probe, sizeof(*h.probe));
	return h.plays;
}
