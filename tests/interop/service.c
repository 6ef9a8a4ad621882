/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * grpc.testing.TestService, as gRPC's document on interoperability tests describes it, but for
 * compression: messages are identity-coded, and who insists on more is refused.
 */
#include "domain_limits.h"
#include "server.h"
#include "stream.h"

#include <grpc/testing/empty.pb-c.h>
#include <grpc/testing/messages.pb-c.h>

#include <stdlib.h>

typedef Grpc__Testing__SimpleRequest SimpleRequest;
typedef Grpc__Testing__StreamingInputCallRequest InputRequest;
typedef Grpc__Testing__StreamingOutputCallRequest OutputRequest;

#define INITIAL	 "x-grpc-test-echo-initial"
#define TRAILING "x-grpc-test-echo-trailing-bin"

/* A streaming call. Not in the call's arena: that of a client stream goes with each message. */
struct flow {
	struct timer timer; /* until the next response may leave */
	struct call *call;
	uint64_t last_ns; /* the response before left then */
	size_t next;	  /* of the message's response parameters */
	int64_t received; /* bytes of payload */
};

/* What every payload is made of; nobody writes to it. */
static uint8_t zeros[LIMIT_SEND_BYTES];

static void echo_metadata(struct call *call)
{
	call->initial = call_metadata(call, INITIAL);
	call->trailing = call_metadata(call, TRAILING);
}

/* Puts `size` zeros into `payload`. False: the call has failed. */
static bool make_payload(struct call *call, Grpc__Testing__Payload *payload, int32_t size)
{
	if (size >= 0 && (size_t)size <= sizeof(zeros)) {
		payload->body = (ProtobufCBinaryData){(size_t)size, zeros};
		return true;
	}
	if (size < 0)
		call_fail(call, PT_INVALID, "a size below 0");
	else
		call_fail(call, PT_TOO_LARGE, NULL);
	return false;
}

/* True: the client asked for this status, and gets it. */
static bool echo_status(struct call *call, const Grpc__Testing__EchoStatus *status)
{
	if (!status || !status->code)
		return false;
	call_fail(call, PT_INJECTED, "%s", status->message);
	call->status.grpc = (uint32_t)status->code;
	return true;
}

static bool wants_compressed(struct call *call, const Grpc__Testing__BoolValue *compressed)
{
	if (!compressed || !compressed->value)
		return false;
	call_fail(call, PT_INVALID, "the message is not compressed");
	return true;
}

static enum call_result empty_call(struct call *call)
{
	Grpc__Testing__Empty *empty = call_alloc(call, sizeof(*empty));

	if (!empty)
		return call_fail(call, PT_TOO_LARGE, NULL);
	grpc__testing__empty__init(empty);
	call->response = &empty->base;
	return CALL_DONE;
}

static enum call_result unary_call(struct call *call)
{
	const SimpleRequest *request = (const SimpleRequest *)(const void *)call->request;
	struct {
		Grpc__Testing__SimpleResponse response;
		Grpc__Testing__Payload payload;
	} *made = call_alloc(call, sizeof(*made));

	echo_metadata(call);
	if (!made)
		return call_fail(call, PT_TOO_LARGE, NULL);
	if (wants_compressed(call, request->expect_compressed) ||
	    echo_status(call, request->response_status))
		return CALL_DONE;
	grpc__testing__simple_response__init(&made->response);
	grpc__testing__payload__init(&made->payload);
	if (!make_payload(call, &made->payload, request->response_size))
		return CALL_DONE;
	made->response.payload = &made->payload;
	if (request->fill_username)
		made->response.username = (char *)(uintptr_t)call->principal->name;
	call->response = &made->response.base;
	return CALL_DONE;
}

static void on_interval(struct timer *timer, uint64_t now_ns)
{
	struct flow *flow = container_of_(timer, struct flow, timer);

	(void)now_ns;
	call_wake(flow->call);
}

static struct flow *flow_of(struct call *call)
{
	struct flow *flow = call->state;

	if (!flow)
		flow = calloc(1, sizeof(*flow));
	if (!flow || call->state)
		return flow;
	flow->timer.fire = on_interval;
	flow->call = call;
	flow->last_ns = call->now_ns;
	call->state = flow;
	echo_metadata(call);
	return flow;
}

static enum call_result end_flow(struct call *call)
{
	struct flow *flow = call->state;

	if (flow)
		timer_stop(&stream_of(call)->conn->shard->timers, &flow->timer);
	free(flow);
	call->state = NULL;
	return CALL_DONE;
}

/* The next response: CALL_DONE: sent; CALL_PARKED: its time has not come, or the peer is slow; else
 * the call has failed. */
static enum call_result respond(struct call *call, struct flow *flow,
				const Grpc__Testing__ResponseParameters *wanted)
{
	Grpc__Testing__StreamingOutputCallResponse response =
		GRPC__TESTING__STREAMING_OUTPUT_CALL_RESPONSE__INIT;
	Grpc__Testing__Payload payload = GRPC__TESTING__PAYLOAD__INIT;
	uint64_t interval_ns = wanted->interval_us > 0 ? (uint64_t)wanted->interval_us * 1000 : 0;

	if (call->now_ns - flow->last_ns < interval_ns) {
		if (timer_arm(&stream_of(call)->conn->shard->timers, &flow->timer,
			      flow->last_ns + interval_ns))
			return CALL_PARKED;
		call_fail(call, PT_NO_MEMORY, NULL);
		return CALL_STREAM;
	}
	if (!make_payload(call, &payload, wanted->size))
		return CALL_STREAM;
	response.payload = &payload;
	if (!call_send(call, &response.base))
		return CALL_PARKED;
	flow->last_ns = call->now_ns;
	return CALL_DONE;
}

/* All responses that the message asks for. CALL_DONE: they are sent, or the call has failed. */
static enum call_result respond_all(struct call *call, struct flow *flow,
				    const OutputRequest *request)
{
	while (flow->next < request->n_response_parameters) {
		enum call_result result =
			respond(call, flow, request->response_parameters[flow->next]);

		if (result == CALL_PARKED)
			return CALL_PARKED;
		if (result != CALL_DONE)
			return CALL_DONE;
		flow->next++;
	}
	flow->next = 0;
	echo_status(call, request->response_status);
	return CALL_DONE;
}

static enum call_result streaming_output_call(struct call *call)
{
	const OutputRequest *request = (const OutputRequest *)(const void *)call->request;
	struct flow *flow = flow_of(call);

	if (!flow)
		return call_fail(call, PT_NO_MEMORY, NULL);
	if (respond_all(call, flow, request) == CALL_PARKED)
		return CALL_PARKED;
	return end_flow(call);
}

static enum call_result full_duplex_call(struct call *call)
{
	const OutputRequest *request = (const OutputRequest *)(const void *)call->request;
	struct flow *flow = flow_of(call);

	if (!flow)
		return call_fail(call, PT_NO_MEMORY, NULL);
	if (!request)
		return end_flow(call);
	if (respond_all(call, flow, request) == CALL_PARKED)
		return CALL_PARKED;
	return call->status.code == PT_OK ? CALL_STREAM : end_flow(call);
}

static enum call_result answer_received(struct call *call, const struct flow *flow)
{
	Grpc__Testing__StreamingInputCallResponse response =
		GRPC__TESTING__STREAMING_INPUT_CALL_RESPONSE__INIT;

	response.aggregated_payload_size = (int32_t)flow->received;
	if (!call_send(call, &response.base))
		call_fail(call, PT_NO_MEMORY, NULL);
	return end_flow(call);
}

static enum call_result streaming_input_call(struct call *call)
{
	const InputRequest *request = (const InputRequest *)(const void *)call->request;
	struct flow *flow = flow_of(call);

	if (!flow)
		return call_fail(call, PT_NO_MEMORY, NULL);
	if (!request)
		return answer_received(call, flow);
	if (wants_compressed(call, request->expect_compressed))
		return end_flow(call);
	if (request->payload)
		flow->received += (int64_t)request->payload->body.len;
	return CALL_STREAM;
}

#define TEST_SERVICE "/grpc.testing.TestService/"

const struct method more_methods[] = {
	{.path = TEST_SERVICE "EmptyCall",
	 .request = &grpc__testing__empty__descriptor,
	 .run = empty_call},
	{.path = TEST_SERVICE "UnaryCall",
	 .request = &grpc__testing__simple_request__descriptor,
	 .run = unary_call,
	 .keeps_metadata = true},
	{.path = TEST_SERVICE "StreamingInputCall",
	 .request = &grpc__testing__streaming_input_call_request__descriptor,
	 .run = streaming_input_call,
	 .abandon = end_flow,
	 .client_streaming = true},
	{.path = TEST_SERVICE "StreamingOutputCall",
	 .request = &grpc__testing__streaming_output_call_request__descriptor,
	 .run = streaming_output_call,
	 .abandon = end_flow,
	 .keeps_metadata = true,
	 .server_streaming = true},
	{.path = TEST_SERVICE "FullDuplexCall",
	 .request = &grpc__testing__streaming_output_call_request__descriptor,
	 .run = full_duplex_call,
	 .abandon = end_flow,
	 .keeps_metadata = true,
	 .client_streaming = true,
	 .server_streaming = true},
	{.path = NULL},
};
