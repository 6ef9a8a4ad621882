/* SPDX-License-Identifier: BSD-2-Clause */
/* The libuv layer: a core, served from a loop. */
#include "status.h"
#include "uv_private.h"

#include <stdlib.h>

void uv_let_go(struct ptd_uv *uv)
{
	if (--uv->handles || !uv->closing)
		return;
	if (uv->closed)
		uv->closed(uv->arg);
	free(uv);
}

static void on_handle_closed(uv_handle_t *handle)
{
	uv_let_go(handle->data);
}

/* Not from inside the core. */
static void close_now(struct ptd_uv *uv)
{
	struct ptd_core *core = uv->core;

	uv_link_drop(uv);
	uv->core = NULL;
	ptd_core_destroy(core);
	uv_close((uv_handle_t *)&uv->timer, on_handle_closed);
	uv_close((uv_handle_t *)&uv->prepare, on_handle_closed);
}

/* Returns what the core wants no more of. */
static void obey(struct ptd_uv *uv, uint64_t *wake_ns)
{
	for (;;) {
		switch (ptd_core_step(uv->core, uv_hrtime(), wake_ns)) {
		case PTD_CORE_CONNECT: uv_link_open(uv); break;
		case PTD_CORE_CLOSE: uv_link_lost(uv, "closed by the daemon"); break;
		case PTD_CORE_GONE: uv_link_drop(uv); return;
		case PTD_CORE_NOTHING:
		default: return;
		}
	}
}

static void on_timer(uv_timer_t *timer)
{
	uv_service(timer->data);
}

static void set_timer(struct ptd_uv *uv, uint64_t wake_ns)
{
	uint64_t now = uv_hrtime();

	if (wake_ns == UINT64_MAX)
		uv_timer_stop(&uv->timer);
	else
		uv_timer_start(&uv->timer, on_timer,
			       wake_ns > now ? (wake_ns - now + 999999) / 1000000 : 0, 0);
}

void uv_service(struct ptd_uv *uv)
{
	uint64_t wake_ns = UINT64_MAX;
	int delivered;

	if (uv->busy || !uv->core)
		return;
	do {
		obey(uv, &wake_ns);
		uv_link_flush(uv);
		obey(uv, &wake_ns);
		uv->busy = true;
		delivered = ptd_core_deliver(uv->core);
		uv->busy = false;
		if (uv->closing) {
			close_now(uv);
			return;
		}
	} while (delivered);
	set_timer(uv, wake_ns);
}

static void on_prepare(uv_prepare_t *prepare)
{
	uv_service(prepare->data);
}

/* The prepare handle alone does not keep a loop alive. */
static void start_handles(struct ptd_uv *uv, uv_loop_t *loop)
{
	uv_timer_init(loop, &uv->timer);
	uv_prepare_init(loop, &uv->prepare);
	uv->timer.data = uv->prepare.data = uv;
	uv->handles = 2;
	uv_prepare_start(&uv->prepare, on_prepare);
	uv_unref((uv_handle_t *)&uv->prepare);
}

struct ptd_uv *ptd_uv_open(uv_loop_t *loop, const char *endpoint, const struct ptd_options *given,
			   struct ptd_status *status)
{
	struct ptd_options options = options_of(given);
	struct ptd_uv *uv = calloc(1, sizeof(*uv));
	struct ptd_status unused;

	status = status ? status : &unused;
	if (!uv) {
		status_local(status, PTD_STATE_FAILED, PTD_WHERE_ARGUMENT, 8, "no memory");
		return NULL;
	}
	if (!options.seed)
		uv_random(NULL, NULL, &options.seed, sizeof(options.seed), 0, NULL);
	if (endpoint_parse(&uv->endpoint, endpoint, status))
		uv->core = ptd_core_create(&options, uv->endpoint.tls ? uv->endpoint.host : NULL,
					   status);
	if (!uv->core) {
		free(uv);
		return NULL;
	}
	start_handles(uv, loop);
	/* From the loop: what fails at once must not be over before a call can be started. */
	ptd_core_wish_connection(uv->core);
	uv_timer_start(&uv->timer, on_timer, 0, 0);
	return uv;
}

void ptd_uv_close(struct ptd_uv *uv, ptd_uv_closed_fn *closed, void *arg)
{
	if (uv->closing)
		return;
	uv->closing = true;
	uv->closed = closed;
	uv->arg = arg;
	if (!uv->busy)
		close_now(uv);
}

struct ptd_call *ptd_uv_start(struct ptd_uv *uv, const struct ptd_request *request,
			      struct ptd_status *status)
{
	struct ptd_status unused;

	if (!uv->closing)
		return ptd_core_start(uv->core, request, uv_hrtime(), status);
	status_local(status ? status : &unused, PTD_STATE_FAILED, PTD_WHERE_CONNECT, 14,
		     "the client is being closed");
	return NULL;
}

bool ptd_uv_send(struct ptd_uv *uv, struct ptd_call *call, const void *data, size_t length)
{
	return !uv->closing && ptd_core_send(uv->core, call, data, length);
}

void ptd_uv_half_close(struct ptd_uv *uv, struct ptd_call *call)
{
	if (!uv->closing)
		ptd_core_half_close(uv->core, call);
}

size_t ptd_uv_queued(const struct ptd_uv *uv, const struct ptd_call *call)
{
	return uv->closing ? 0 : ptd_core_queued(uv->core, call);
}

void ptd_uv_cancel(struct ptd_uv *uv, struct ptd_call *call)
{
	if (!uv->closing)
		ptd_core_cancel(uv->core, call);
}

struct ptd_core *ptd_uv_core(struct ptd_uv *uv)
{
	return uv->core;
}

size_t ptd_uv_outstanding(const struct ptd_uv *uv)
{
	return uv->core ? ptd_core_outstanding(uv->core) : 0;
}

const struct ptd_status *ptd_uv_connection(const struct ptd_uv *uv)
{
	return uv->core ? ptd_core_connection(uv->core) : &status_ok;
}
