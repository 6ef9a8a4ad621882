/* SPDX-License-Identifier: BSD-2-Clause */
/* The unfinished handshakes of a loop: which there are, how long they may take, and which gives way
 * when there are too many. */
#include "tls_state.h"

#include <stdlib.h>

/* --- memory and places ----------------------------------------------------------------------- */

struct tls_loop *tls_loop_of(const struct handshake *handshake)
{
	return handshake->tls->link->loop->tls;
}

void tls_give_slot_back(struct handshake *handshake)
{
	if (handshake->slot)
		tls_loop_of(handshake)->slots--;
	handshake->slot = false;
}

static void unqueue(struct handshake *handshake)
{
	struct tls_loop *tls = tls_loop_of(handshake);

	if (handshake->state != HANDSHAKE_QUEUED)
		return;
	if (handshake->slot)
		TAILQ_REMOVE(&tls->ready, handshake, queued);
	else
		TAILQ_REMOVE(&tls->fresh, handshake, queued);
	handshake->state = HANDSHAKE_OVER;
}

/* Out of `pending`, where every unfinished handshake is until its link closes. */
void tls_unlist(struct handshake *handshake)
{
	struct tls_loop *tls = tls_loop_of(handshake);

	if (!handshake->deadline_ms)
		return;
	handshake->deadline_ms = 0;
	TAILQ_REMOVE(&tls->pending, handshake, pending);
	tls->pendings--;
}

void tls_free_handshake(struct handshake *handshake)
{
	free(handshake->input);
	free(handshake->output.data);
	free(handshake);
}

void tls_destroy(struct tls *tls)
{
	if (tls->handshake)
		tls_free_handshake(tls->handshake);
	SSL_free(tls->ssl);
	free(tls);
}

/* --- who gives way --------------------------------------------------------------------------- */

void tls_refuse(struct link *link, const char *reason)
{
	tls_log_refusal(link->loop->tls, link, reason);
	link_abort(link);
}

bool tls_evict(struct loop *loop)
{
	struct tls_loop *tls = loop->tls;
	struct handshake *h = tls ? TAILQ_FIRST(&tls->pending) : NULL;

	while (h && h->state == HANDSHAKE_WORKING)
		h = TAILQ_NEXT(h, pending);
	if (!h)
		return false;
	if (h->state == HANDSHAKE_OVER)
		link_abort(h->tls->link);
	else
		tls_refuse(h->tls->link, "too many unfinished handshakes");
	return true;
}

static void on_sweep(uv_timer_t *timer)
{
	struct tls_loop *tls = timer->data;
	uint64_t now_ms = uv_now(&tls->loop->uv);
	struct handshake *h, *next;

	for (h = TAILQ_FIRST(&tls->pending); h; h = next) {
		next = TAILQ_NEXT(h, pending);
		if ((h->state == HANDSHAKE_SILENT || h->state == HANDSHAKE_READING) &&
		    now_ms >= h->deadline_ms)
			tls_refuse(h->tls->link, "no end of it in time");
		else if (h->state == HANDSHAKE_OVER && now_ms >= h->deadline_ms + TLS_PATIENCE_MS)
			link_abort(h->tls->link); /* does not even take the alert */
	}
	tls_log_suppressed(tls);
	if (!tls->pendings && !tls->suppressed)
		uv_timer_stop(&tls->timer);
	tls_pump(tls);
}

/* --- a link ---------------------------------------------------------------------------------- */

bool tls_begin(struct link *link)
{
	struct tls_loop *loop = link->loop->tls;
	struct tls *tls = calloc(1, sizeof(*tls));
	struct handshake *handshake = calloc(1, sizeof(*handshake));

	if (!tls || !handshake) {
		free(tls);
		free(handshake);
		return false;
	}
	if (loop->pendings >= TLS_PENDING)
		tls_evict(link->loop);
	link->tls = tls;
	tls->link = link;
	tls->handshake = handshake;
	tls->out = &handshake->output;
	handshake->tls = tls;
	handshake->begun_ms = uv_now(&loop->loop->uv);
	handshake->deadline_ms = handshake->begun_ms + TLS_HANDSHAKE_MS;
	TAILQ_INSERT_TAIL(&loop->pending, handshake, pending);
	loop->pendings++;
	if (!uv_is_active((uv_handle_t *)&loop->timer))
		uv_timer_start(&loop->timer, on_sweep, TLS_SWEEP_MS, TLS_SWEEP_MS);
	return true;
}

bool tls_in_handshake(const struct link *link)
{
	return link->tls && link->tls->handshake;
}

void tls_leave(struct link *link)
{
	struct handshake *handshake = link->tls->handshake;

	if (!handshake)
		return;
	unqueue(handshake);
	tls_unlist(handshake);
	if (handshake->state != HANDSHAKE_WORKING)
		tls_give_slot_back(handshake);
}

bool tls_closed(struct link *link)
{
	struct handshake *handshake = link->tls->handshake;

	if (handshake && handshake->state == HANDSHAKE_WORKING) {
		handshake->gone = true;
		return false;
	}
	tls_destroy(link->tls);
	return true;
}

/* --- the loop -------------------------------------------------------------------------------- */

bool tls_open(struct loop *loop, struct ssl_ctx_st *context)
{
	struct tls_loop *tls = calloc(1, sizeof(*tls));

	if (!tls)
		return false;
	tls->loop = loop;
	tls->context = context;
	TAILQ_INIT(&tls->pending);
	TAILQ_INIT(&tls->fresh);
	TAILQ_INIT(&tls->ready);
	uv_timer_init(&loop->uv, &tls->timer);
	tls->timer.data = tls;
	loop->tls = tls;
	return true;
}

void tls_free(struct loop *loop)
{
	if (loop->tls)
		free(loop->tls->out.data);
	free(loop->tls);
	loop->tls = NULL;
}

void tls_drain(struct loop *loop)
{
	struct handshake *h, *next;

	if (!loop->tls)
		return;
	for (h = TAILQ_FIRST(&loop->tls->pending); h; h = next) {
		next = TAILQ_NEXT(h, pending);
		link_abort(h->tls->link);
	}
}
