/* SPDX-License-Identifier: BSD-2-Clause */
/* The blocking layer's calls: starting, feeding and asking. */
#include "client_private.h"
#include "status.h"

const char *ptd_version(void)
{
	return PTD_VERSION;
}

bool ptd_draw_request_id(uint8_t id[16])
{
	return socket_random(id, 16);
}

bool client_reconnects(const struct ptd_client *client)
{
	return core_reconnects(core_of(client->core));
}

struct ptd_call *ptd_start_request(struct ptd_client *client, const struct ptd_request *request)
{
	struct ptd_call *call =
		core_start_request(client->core, request, socket_now_ns(), &client->complaint);

	if (call)
		client->complaint.state = PTD_STATE_OK;
	return call;
}

struct ptd_call *ptd_start(struct ptd_client *client, const char *method, const void *request,
			   size_t length, uint32_t timeout_ms, ptd_reply_fn *done, void *arg)
{
	return ptd_start_request(client, &(struct ptd_request){.size = sizeof(struct ptd_request),
							       .method = method,
							       .data = request,
							       .length = length,
							       .timeout_ms = timeout_ms,
							       .done = done,
							       .arg = arg});
}

struct ptd_call *ptd_start_stream(struct ptd_client *client, const char *method,
				  const void *request, size_t length, uint32_t timeout_ms,
				  ptd_message_fn *message, ptd_reply_fn *done, void *arg)
{
	return ptd_start_request(client, &(struct ptd_request){.size = sizeof(struct ptd_request),
							       .method = method,
							       .data = request,
							       .length = length,
							       .timeout_ms = timeout_ms,
							       .message = message,
							       .done = done,
							       .arg = arg});
}

struct ptd_call *ptd_start_bidi(struct ptd_client *client, const char *method, uint32_t timeout_ms,
				ptd_message_fn *message, ptd_reply_fn *done, void *arg)
{
	return ptd_start_request(client, &(struct ptd_request){.size = sizeof(struct ptd_request),
							       .flags = PTD_CALL_OPEN,
							       .method = method,
							       .timeout_ms = timeout_ms,
							       .message = message,
							       .done = done,
							       .arg = arg});
}

bool ptd_send(struct ptd_client *client, struct ptd_call *call, const void *data, size_t length)
{
	return ptd_core_send(client->core, call, data, length);
}

void ptd_half_close(struct ptd_client *client, struct ptd_call *call)
{
	ptd_core_half_close(client->core, call);
}

size_t ptd_queued(const struct ptd_client *client, const struct ptd_call *call)
{
	return ptd_core_queued(client->core, call);
}

void ptd_cancel(struct ptd_client *client, struct ptd_call *call)
{
	ptd_core_cancel(client->core, call);
	client_deliver(client);
}

enum ptd_state ptd_unary_request(struct ptd_client *client, const struct ptd_request *request,
				 struct ptd_reply *reply)
{
	struct ptd_call *call = NULL;

	*reply = (struct ptd_reply){.status = ptd_connection(client)};
	if (client->delivering)
		return PTD_STATE_FAILED;
	client_release(client);
	call = ptd_start_request(client, request);
	if (!call) {
		reply->status = ptd_connection(client);
		return PTD_STATE_FAILED;
	}
	call->solo = true;
	while (!call->over)
		client_pump(client, -1);
	client->held = call;
	core_fill_reply(reply, call);
	return (enum ptd_state)call->end->state;
}

enum ptd_state ptd_unary(struct ptd_client *client, const char *method, const void *request,
			 size_t length, uint32_t timeout_ms, struct ptd_reply *reply)
{
	return ptd_unary_request(client,
				 &(struct ptd_request){.size = sizeof(struct ptd_request),
						       .method = method,
						       .data = request,
						       .length = length,
						       .timeout_ms = timeout_ms},
				 reply);
}

size_t ptd_outstanding(const struct ptd_client *client)
{
	return ptd_core_outstanding(client->core);
}

const struct ptd_status *ptd_connection(const struct ptd_client *client)
{
	const struct ptd_status *connection = ptd_core_connection(client->core);

	return client->complaint.state != PTD_STATE_OK && !client->gone ? &client->complaint
									: connection;
}

struct ptd_core *ptd_client_core(struct ptd_client *client)
{
	return client->core;
}

int ptd_fd(const struct ptd_client *client)
{
	return client->fd;
}

bool ptd_wants_write(const struct ptd_client *client)
{
	return client->fd >= 0 && (client->connecting || ptd_core_wants_write(client->core));
}

int ptd_wait_ms(struct ptd_client *client)
{
	if (client->delivering || client->gone)
		return client->gone ? -1 : 0;
	client_settle(client);
	return client_wait_ms(client->wake_ns, socket_now_ns(), -1);
}
