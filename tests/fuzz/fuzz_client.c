/* SPDX-License-Identifier: BSD-2-Clause */
/* Fuzz target: what a daemon may send to libptd's core. Each call that was started ends exactly
 * once, whatever comes. */
#include "fuzz.h"

#include "core.h"

#define CALLS 6

static bool message(void *arg, const uint8_t *data, size_t length)
{
	uint8_t *copy = malloc(length + 1);

	(void)arg;
	CHECK(copy);
	if (length)
		memcpy(copy, data, length);
	free(copy);
	return true;
}

static unsigned collect(struct core *core)
{
	struct ptd_call *call;
	unsigned n = 0;

	while ((call = core_ended(core))) {
		struct ptd_reply reply;

		core_fill_reply(&reply, call);
		CHECK(reply.status &&
		      (reply.status->state == PTD_STATE_OK || reply.status->message[0] ||
		       reply.status->where || reply.status->grpc));
		core_recycle(core, call);
		n++;
	}
	return n;
}

static void write_out(struct core *core)
{
	const uint8_t *bytes;
	size_t n;

	while ((n = core_output(core, &bytes)))
		core_wrote(core, n);
}

static void put(uint8_t *out, size_t *n, uint8_t type, uint8_t flags, uint32_t id,
		const uint8_t *data, size_t length)
{
	uint8_t head[9] = {(uint8_t)(length >> 16),
			   (uint8_t)(length >> 8),
			   (uint8_t)length,
			   type,
			   flags,
			   0,
			   0,
			   (uint8_t)(id >> 8),
			   (uint8_t)id};

	memcpy(out + *n, head, 9);
	if (length)
		memcpy(out + *n + 9, data, length);
	*n += 9 + length;
}

/* One frame of the daemon: a header block that fits, a message, or anything. */
static size_t frame(struct source *in, uint8_t *out)
{
	static const uint8_t begins[] = "\x88\x0f\x10\x10"
					"application/grpc";
	static const uint8_t status[] = "\x00\x0bgrpc-status\x01";
	uint8_t how = take(in), block[300];
	uint32_t id = 1 + 2 * (how >> 4 & 7u);
	size_t n = 0, length;
	const uint8_t *bytes;

	switch (how & 7) {
	case 0: put(out, &n, 1, 4, id, begins, sizeof(begins) - 1); break;
	case 1:
		memcpy(block, status, sizeof(status) - 1);
		block[sizeof(status) - 1] = (uint8_t)('0' + take(in) % 10);
		put(out, &n, 1, 5, id, block, sizeof(status));
		break;
	case 2:
		bytes = take_bytes(in, take(in) & 63, &length);
		memset(block, 0, 5);
		block[4] = (uint8_t)(length + (how & 8 ? 7 : 0)); /* perhaps cut */
		memcpy(block + 5, bytes, length);
		put(out, &n, 0, 0, id, block, length + 5);
		break;
	case 3: put(out, &n, 4, 0, 0, NULL, 0); break;
	case 4:
		bytes = take_bytes(in, 4, &length);
		put(out, &n, 3, 0, id, bytes, length);
		break;
	case 5:
		bytes = take_bytes(in, 8 + (take(in) & 7), &length);
		put(out, &n, 7, 0, 0, bytes, length);
		break;
	default: {
		uint8_t type = take(in), flags = take(in);

		bytes = take_bytes(in, take(in) & 127, &length);
		put(out, &n, type, flags, how & 8 ? 0 : id, bytes, length);
	}
	}
	return n;
}

static void feed(struct core *core, const uint8_t *bytes, size_t length, uint64_t now)
{
	uint8_t *copy = malloc(length + !length);

	CHECK(copy);
	if (length)
		memcpy(copy, bytes, length);
	core_input(core, copy, length, now);
	free(copy);
}

static unsigned start(struct core *core, unsigned i, uint64_t now)
{
	struct core_request request = {.method = "/ptd.v1.MappingService/Map",
				       .data = "request",
				       .length = 7,
				       .timeout_ms = i == 2 ? 5 : 0,
				       .message = i & 1 ? message : NULL};
	struct ptd_status why;

	return core_start(core, &request, now, &why) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	struct source in = source_of(data, length);
	uint8_t mode = take(&in);
	struct core_config config = {.max_receive_bytes = 64,
				     .reconnects = mode & 1 ? 2 : 0,
				     .retries = mode & 2 ? 2 : 0,
				     .backoff_ms = 1,
				     .backoff_max_ms = 10,
				     .greeting_first = mode & 4,
				     .scheme = "http",
				     .authority = "localhost"};
	struct core *core = core_create(&config);
	unsigned started = 0, ended = 0;
	uint64_t now = 1000000;

	CHECK(core && core_connected(core, now));
	for (unsigned i = 0; i < CALLS; i++)
		started += start(core, i, now);
	while (more(&in)) {
		static uint8_t out[512];
		uint8_t op = take(&in);
		size_t n;
		const uint8_t *bytes;
		uint64_t at;

		now += 100000;
		write_out(core);
		if (core_over(core)) {
			core_lost(core, now, "over");
		} else if (op < 0xe0) {
			n = frame(&in, out);
			feed(core, out, n, now);
		} else if (op < 0xf0) {
			bytes = take_bytes(&in, op & 15, &n);
			feed(core, bytes, n, now);
		} else if (op < 0xf8) {
			core_lost(core, now, "cut");
		} else {
			now += 20000000;
			core_expire(core, now);
		}
		if (core_wants_connection(core, &at) && at <= now)
			CHECK(core_connected(core, now));
		ended += collect(core);
	}
	core_abandon(core, "the end");
	ended += collect(core);
	CHECK(ended == started && !core_outstanding(core));
	core_destroy(core);
	return 0;
}
