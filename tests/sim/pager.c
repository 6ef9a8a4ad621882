/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Clients that are pagers: an operation opens a range, supplies what is asked for and what is not,
 * at once, late or never, now and then something that is refused, and leaves or is cut off; opened
 * again after each loss until it has served for as long as it wanted to.
 */
#include "sim.h"

#include "ptd/v1/pager.pb-c.h"

#include <stdlib.h>
#include <string.h>

#define CONTENT(name) PTD__V1__PAGE_CONTENT__PAGE_CONTENT_##name

typedef Ptd__V1__ServePagesRequest Request;
typedef Ptd__V1__ServePagesResponse Response;

/* A pager over all its streams. */
struct pager_op {
	struct pipe out;
	uint32_t first, pages, window; /* what it opens; window 0: as many as may be */
	uint32_t messages;	       /* that it is still to send */
	bool pushes;		       /* also what nobody has asked for */
	bool resets;		       /* it leaves without a word */
	uint64_t life_us;
	uint64_t random, leave_ns; /* leave_ns 0: it was not opened yet */
	/* Of the stream. */
	bool opened, left;
	uint32_t room; /* of the window */
	uint64_t seq, due_ns;
	uint32_t sent, answered;
	bool told[PAGED_PAGES], given[PAGED_PAGES]; /* asked for; supplied, maybe before that */
};

static void wrong(struct sim *sim, const struct op *op, const char *what, uint64_t number)
{
	sim_fail(sim, "pager", "client %u op %u ServePages: %s (%llu)", op->client, op->number,
		 what, (unsigned long long)number);
}

void pager_set_up(struct op *op, uint64_t *random)
{
	static const uint32_t life_us[] = {300, 3000, 3000, 100000, 100000, 5000000};
	struct pager_op *s = calloc(1, sizeof(*s));
	uint64_t range = sim_draw(random, 5);

	if (!s)
		abort();
	op->pager = s;
	s->first = range % 2 ? PAGED_PAGES / 2 : 0;
	s->pages = range == 4 ? PAGED_PAGES : PAGED_PAGES / 2;
	s->window = (uint32_t)sim_draw(random, 4);
	s->messages = 1 + (uint32_t)sim_draw(random, 24);
	s->pushes = sim_draw(random, 3) == 0;
	s->resets = sim_draw(random, 3) == 0;
	s->life_us = life_us[sim_draw(random, 6)];
	s->random = *random;
}

void pager_fini(struct op *op)
{
	if (op->pager)
		pipe_free(&op->pager->out);
	free(op->pager);
}

static uint64_t granule(const struct sim *sim)
{
	return UINT64_C(1) << sim->swarm.granule_shift;
}

void pager_begin(const struct sim *sim, struct op *op)
{
	Request request = PTD__V1__SERVE_PAGES_REQUEST__INIT;
	Ptd__V1__PagerOpen open = PTD__V1__PAGER_OPEN__INIT;
	struct pager_op *s = op->pager;

	open.context = op->handle;
	open.ipa = PAGED_IPA + s->first * granule(sim);
	open.size = s->pages * granule(sim);
	open.window = s->window;
	request.what_case = PTD__V1__SERVE_PAGES_REQUEST__WHAT_OPEN;
	request.open = &open;
	s->out.length = 0;
	s->opened = s->left = false;
	s->seq = s->sent = s->answered = 0;
	memset(s->told, 0, sizeof(s->told));
	memset(s->given, 0, sizeof(s->given));
	message_put(&s->out, &request.base);
}

ssize_t pager_give(struct op *op, uint8_t *out, size_t room, uint32_t *flags)
{
	struct pager_op *s = op->pager;
	size_t n = s->out.length < room ? s->out.length : room;

	memcpy(out, s->out.data, n);
	pipe_drop(&s->out, n);
	if (s->left && !s->out.length)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	else if (!n)
		return NGHTTP2_ERR_DEFERRED;
	return (ssize_t)n;
}

/* ---- what it hears ---- */

/* The time of its next message: at once, soon, or beyond what others wait. */
static void think(const struct sim *sim, struct pager_op *s)
{
	static const uint32_t us[] = {0, 0, 0, 0, 20, 2000, 2000, 4000000};

	s->due_ns = sim->now_ns + us[sim_draw(&s->random, 8)] * UINT64_C(1000);
}

static void on_opened(struct sim *sim, struct op *op, const Ptd__V1__PagerOpened *opened)
{
	struct pager_op *s = op->pager;

	if (s->opened || opened->page_bytes != granule(sim) || opened->absent_pages > s->pages)
		wrong(sim, op, "opened twice, or as another range", opened->absent_pages);
	if (!opened->resumed && opened->absent_pages != s->pages)
		wrong(sim, op, "a new range has pages", opened->absent_pages);
	s->opened = true;
	s->room = opened->window;
	if (!s->leave_ns)
		s->leave_ns = sim->now_ns + s->life_us * 1000;
	think(sim, s);
}

static bool lacks(const struct pager_op *s, uint32_t page)
{
	return s->told[page] && !s->given[page];
}

static void on_wanted(struct sim *sim, struct op *op, const Ptd__V1__PageWanted *wanted)
{
	struct pager_op *s = op->pager;
	uint64_t page = (wanted->ipa - PAGED_IPA) / granule(sim);
	uint32_t lacking = 0;

	if (!s->opened || wanted->seq != ++s->seq || wanted->ipa % granule(sim) ||
	    page < s->first || page >= s->first + s->pages || s->told[page]) {
		wrong(sim, op, "a page asked for twice, or out of turn, or of another range",
		      wanted->seq);
		return;
	}
	s->told[page] = true;
	for (uint32_t i = 0; i < PAGED_PAGES; i++)
		lacking += lacks(s, i);
	if (lacking > s->room)
		wrong(sim, op, "more pages asked for than the window has room for", lacking);
	sim->stats.paged[PAGED_ASKED]++;
}

static void on_message(struct sim *sim, struct op *op, const Response *r)
{
	struct pager_op *s = op->pager;

	switch (r->what_case) {
	case PTD__V1__SERVE_PAGES_RESPONSE__WHAT_OPENED: on_opened(sim, op, r->opened); break;
	case PTD__V1__SERVE_PAGES_RESPONSE__WHAT_WANTED: on_wanted(sim, op, r->wanted); break;
	case PTD__V1__SERVE_PAGES_RESPONSE__WHAT_SUPPLIED:
		if (++s->answered > s->sent)
			wrong(sim, op, "more answers than supplies", s->answered);
		break;
	default: wrong(sim, op, "an answer to nothing", r->what_case); break;
	}
	sim->stats.messages++;
}

void pager_receive(struct sim *sim, struct op *op)
{
	struct pipe *in = &op->received;
	size_t n;

	while ((n = message_length(in)) != SIZE_MAX && !sim_failed(sim)) {
		Response *r = ptd__v1__serve_pages_response__unpack(NULL, n, in->data + 5);

		if (r)
			on_message(sim, op, r);
		else
			wrong(sim, op, "a malformed answer", n);
		ptd__v1__serve_pages_response__free_unpacked(r, NULL);
		pipe_drop(in, 5 + n);
	}
}

bool pager_is_over(const struct op *op)
{
	return !(op->status < 0 || op->status == 1 || op->status == 4 || op->status == 14 ||
		 (op->status == 8 && op->pushback_ms)) ||
	       pager_has_left(op);
}

bool pager_lasts(const struct op *op)
{
	return op->kind == OP_SERVE && op->pager->opened && !op->pager->left;
}

bool pager_has_left(const struct op *op)
{
	return op->pager->left || !op->pager->messages;
}

/* ---- what it says ---- */

static uint32_t draw_pages(struct pager_op *s, uint32_t *first)
{
	uint64_t *random = &s->random, at = sim_draw(random, PAGED_PAGES);
	uint32_t most;

	*first = s->first;
	if (sim_percent(random, 6))
		return s->pages;
	*first = s->first + (uint32_t)sim_draw(random, s->pages);
	for (uint32_t i = 0; i < PAGED_PAGES && sim_percent(random, 95); i++) {
		uint32_t page = (uint32_t)(at + i) % PAGED_PAGES;

		if (!lacks(s, page))
			continue;
		*first = page;
		break;
	}
	most = s->first + s->pages - *first;
	return sim_draw(random, 2) ? 1 : 1 + (uint32_t)sim_draw(random, most < 4 ? most : 4);
}

/* Something that is to be refused. */
static void spoil(const struct sim *sim, struct pager_op *s, Ptd__V1__PageSupply *supply)
{
	switch (sim_draw(&s->random, 5)) {
	case 0: supply->ipa += 8; break;
	case 1: supply->size = 0; break;
	case 2: supply->content = 9; break;
	case 3: supply->ipa = PAGED_IPA + (s->first + s->pages) * granule(sim); break;
	default: supply->data.len = supply->data.len ? supply->data.len - 1 : 1; break;
	}
}

static void say(struct sim *sim, struct op *op, uint8_t *data)
{
	static const uint8_t contents[] = {CONTENT(DATA), CONTENT(DATA),   CONTENT(DATA),
					   CONTENT(ZERO), CONTENT(AS_IS),  CONTENT(AS_IS),
					   CONTENT(ZERO), CONTENT(FAILED), CONTENT(FAILED)};
	Request request = PTD__V1__SERVE_PAGES_REQUEST__INIT;
	Ptd__V1__PageSupply supply = PTD__V1__PAGE_SUPPLY__INIT;
	struct pager_op *s = op->pager;
	uint32_t first, n = draw_pages(s, &first);

	supply.content = contents[sim_draw(&s->random, sizeof(contents))];
	supply.ipa = PAGED_IPA + first * granule(sim);
	if (supply.content == CONTENT(DATA)) {
		uint64_t word = sim_draw(&s->random, UINT64_MAX);

		n = 1;
		for (uint64_t at = 0; at < granule(sim); at += sizeof(word))
			memcpy(data + at, &word, sizeof(word));
		supply.data = (ProtobufCBinaryData){granule(sim), data};
	}
	supply.size = n * granule(sim);
	if (sim_percent(&s->random, 6)) {
		supply.data.data = data;
		spoil(sim, s, &supply);
	} else {
		memset(&s->given[first], true, n * sizeof(s->given[0]));
	}
	request.what_case = PTD__V1__SERVE_PAGES_REQUEST__WHAT_SUPPLY;
	request.supply = &supply;
	message_put(&s->out, &request.base);
	s->sent++;
	s->messages--;
}

static bool is_asked(const struct pager_op *s)
{
	for (uint32_t i = 0; i < PAGED_PAGES; i++)
		if (lacks(s, i))
			return true;
	return false;
}

static bool serves(const struct op *op)
{
	return op->kind == OP_SERVE && op->state == OP_SENT && op->pager->opened &&
	       !op->pager->left;
}

/* When it says something next; UINT64_MAX: when it is asked. */
static uint64_t due_ns(const struct op *op)
{
	const struct pager_op *s = op->pager;

	if (!serves(op))
		return UINT64_MAX;
	if (!s->messages)
		return 0;
	return (s->pushes || is_asked(s)) && s->due_ns < s->leave_ns ? s->due_ns : s->leave_ns;
}

static void leave(const struct sim *sim, struct client *client, struct op *op)
{
	op->pager->left = true;
	op->sent_ns = sim->now_ns; /* its end is an answer that is waited for */
	if (op->pager->resets)
		nghttp2_submit_rst_stream(client->link->session, 0, op->stream, NGHTTP2_CANCEL);
}

static void turn(struct sim *sim, struct client *client, struct op *op)
{
	struct pager_op *s = op->pager;
	uint8_t *data = calloc(1, granule(sim));

	if (!data)
		abort();
	if (!s->messages || s->leave_ns <= sim->now_ns)
		leave(sim, client, op);
	else
		say(sim, op, data);
	think(sim, s);
	free(data);
	nghttp2_session_resume_data(client->link->session, op->stream);
}

/* When all is to end nobody thinks any more. */
static bool is_due(const struct sim *sim, const struct op *op)
{
	uint64_t due = due_ns(op);

	return due <= sim->now_ns ||
	       (sim->settling && due < UINT64_MAX && (is_asked(op->pager) || op->pager->pushes));
}

void pager_turn(struct sim *sim, struct client *client)
{
	for (uint32_t i = 0; client->link && i < client->ops; i++)
		if (is_due(sim, &client->op[i]))
			turn(sim, client, &client->op[i]);
}

bool pager_has_work(const struct sim *sim, const struct client *client)
{
	for (uint32_t i = 0; i < client->ops; i++)
		if (is_due(sim, &client->op[i]))
			return true;
	return false;
}

uint64_t pager_next_ns(const struct client *client)
{
	uint64_t next = UINT64_MAX;

	for (uint32_t i = 0; i < client->ops; i++)
		if (due_ns(&client->op[i]) < next)
			next = due_ns(&client->op[i]);
	return next;
}
