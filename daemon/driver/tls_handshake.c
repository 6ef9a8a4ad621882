/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Handshakes. Their arithmetic, about a millisecond each, is done by libuv's workers at low
 * priority, and in short turns while links are being served, so that these do not wait for it; the
 * loop only moves bytes. What an unfinished handshake may cost is bounded: its time, its memory by
 * slots, all of them by number.
 */
#include "tls_state.h"
#include "tls_turns.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define WORKER_NICE 5

/* --- in a worker ----------------------------------------------------------------------------- */

/* On Linux the number holds for the calling thread alone. A sandbox may forbid it: then without. */
static void lower_priority(void)
{
	static _Thread_local bool done;

	if (!done)
		setpriority(PRIO_PROCESS, 0, WORKER_NICE);
	done = true;
}

static bool is_complete(const struct handshake *handshake)
{
	const unsigned char *protocol;
	unsigned length;

	SSL_get0_alpn_selected(handshake->tls->ssl, &protocol, &length);
	return length == 2 && handshake->principal.name[0];
}

static enum handshake_result step(struct handshake *handshake, SSL_CTX *context)
{
	struct tls *tls = handshake->tls;
	int result;

	if (!tls->ssl && !tls_attach(tls, context))
		return HANDSHAKE_FAILED;
	tls->in = handshake->input;
	tls->in_length = handshake->input_length;
	result = SSL_do_handshake(tls->ssl);
	if (result > 0)
		return is_complete(handshake) ? HANDSHAKE_DONE : HANDSHAKE_FAILED;
	if (SSL_get_error(tls->ssl, result) == SSL_ERROR_WANT_READ)
		return HANDSHAKE_MORE;
	return HANDSHAKE_FAILED;
}

static void work(uv_work_t *request)
{
	struct handshake *handshake = request->data;

	lower_priority();
	if (handshake->polite)
		turns_begin();
	ERR_clear_error();
	handshake->result = step(handshake, handshake->tls->link->loop->tls->context);
	if (handshake->result == HANDSHAKE_FAILED)
		handshake->reason = tls_reason(handshake);
	ERR_clear_error();
	if (handshake->polite)
		turns_end();
}

/* --- queues ---------------------------------------------------------------------------------- */

static void enqueue(struct handshake *handshake)
{
	struct tls_loop *tls = tls_loop_of(handshake);

	handshake->state = HANDSHAKE_QUEUED;
	handshake->queued_ms = uv_now(&tls->loop->uv);
	if (handshake->slot)
		TAILQ_INSERT_TAIL(&tls->ready, handshake, queued);
	else
		TAILQ_INSERT_TAIL(&tls->fresh, handshake, queued);
	tls_pump(tls);
}

/* --- back on the loop ------------------------------------------------------------------------ */

/* An alert has been sent or queued: the link lingers so that a reset does not overtake it. */
static void refuse_politely(struct link *link, struct handshake *handshake)
{
	handshake->state = HANDSHAKE_OVER;
	tls_give_slot_back(handshake);
	link->tls->broken = true;
	tls_log_refusal(link->loop->tls, link, handshake->reason);
	if (tls_send(link, &handshake->output, false) >= 0)
		link_close(link, true);
}

/* The connection counts and the core hears of it from here on. */
static void establish(struct link *link, struct handshake *handshake)
{
	struct tls *tls = link->tls;

	tls_unlist(handshake);
	tls_give_slot_back(handshake);
	tls->handshake = NULL;
	tls->out = &link->loop->tls->out;
	if (tls_send(link, &handshake->output, false) >= 0 && link_admit(link)) {
		link_accept(link, &handshake->principal);
		if (tls->in_length && !link->closing)
			tls_bytes(link, tls->in, tls->in_length);
	} else {
		link_abort(link);
	}
	tls_free_handshake(handshake);
}

static void go_on(struct link *link, struct handshake *handshake)
{
	switch (handshake->result) {
	case HANDSHAKE_DONE: establish(link, handshake); break;
	case HANDSHAKE_FAILED: refuse_politely(link, handshake); break;
	case HANDSHAKE_MORE:
		handshake->state = HANDSHAKE_READING;
		handshake->deadline_ms +=
			uv_now(&link->loop->uv) - handshake->queued_ms; /* was our time */
		if (tls_send(link, &handshake->output, false) >= 0)
			link_resume(link);
		break;
	}
}

static void on_work_done(uv_work_t *request, int status)
{
	struct handshake *handshake = request->data;
	struct link *link = handshake->tls->link;
	struct tls_loop *tls = link->loop->tls;

	(void)status;
	tls->jobs--;
	handshake->state = HANDSHAKE_OVER;
	if (handshake->gone) {
		tls_give_slot_back(handshake);
		tls_destroy(link->tls);
		free(link);
	} else if (uv_is_closing(&link->handle)) {
		tls_give_slot_back(handshake); /* tls_closed() comes */
	} else {
		go_on(link, handshake);
	}
	tls_pump(tls);
}

/* A handshake that its peer has let stall for a while, to make room for one that waits. */
static struct handshake *stalled(struct tls_loop *tls)
{
	uint64_t now_ms = uv_now(&tls->loop->uv);
	struct handshake *h;

	for (h = TAILQ_FIRST(&tls->pending); h; h = TAILQ_NEXT(h, pending))
		if (h->state == HANDSHAKE_READING && now_ms - h->begun_ms >= TLS_PATIENCE_MS)
			return h;
	return NULL;
}

static struct handshake *next_job(struct tls_loop *tls)
{
	struct handshake *next = TAILQ_FIRST(&tls->ready), *slow;

	if (next) {
		TAILQ_REMOVE(&tls->ready, next, queued);
		return next;
	}
	next = TAILQ_FIRST(&tls->fresh);
	if (next && tls->slots == TLS_SLOTS && (slow = stalled(tls)))
		tls_refuse(slow->tls->link, "stalled while others wait");
	if (!next || tls->slots == TLS_SLOTS)
		return NULL;
	TAILQ_REMOVE(&tls->fresh, next, queued);
	next->slot = true;
	tls->slots++;
	return next;
}

void tls_pump(struct tls_loop *tls)
{
	struct handshake *next;

	while (tls->jobs < TLS_JOBS && (next = next_job(tls))) {
		next->work.data = next;
		next->polite = fair_is_busy(tls->loop);
		next->state = HANDSHAKE_WORKING;
		tls->jobs++;
		if (!uv_queue_work(&tls->loop->uv, &next->work, work, on_work_done))
			continue;
		tls->jobs--;
		next->state = HANDSHAKE_OVER;
		tls_refuse(next->tls->link, "no worker");
	}
}

/* --- from the link --------------------------------------------------------------------------- */

void tls_handshake_bytes(struct link *link, const uint8_t *data, size_t length)
{
	struct handshake *handshake = link->tls->handshake;

	if (handshake->state == HANDSHAKE_SILENT && data[0] != SSL3_RT_HANDSHAKE) {
		tls_refuse(link, "not TLS");
		return;
	}
	if (!handshake->input)
		handshake->input = malloc(TLS_HELLO_BYTES);
	if (!handshake->input || length > TLS_HELLO_BYTES) {
		tls_refuse(link, "no memory");
		return;
	}
	memcpy(handshake->input, data, length);
	handshake->input_length = length;
	link_pause(link);
	enqueue(handshake);
}
