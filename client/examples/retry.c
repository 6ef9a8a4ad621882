/* SPDX-License-Identifier: BSD-2-Clause */
/* Maps a page once, whatever happens to the connection: a request id, and a client that reconnects.
 */
#include <ptd.h>

#include <stdio.h>
#include <string.h>

static size_t put_fixed64(uint8_t *to, unsigned field, uint64_t value)
{
	to[0] = (uint8_t)(field << 3 | 1);
	for (int i = 0; i < 8; i++)
		to[1 + i] = (uint8_t)(value >> 8 * i);
	return 9;
}

/* MapRequest, as any protobuf library packs it. The id stays the same when the request is sent
 * again, so the daemon knows that it is the same request. */
static size_t pack(uint8_t *to, uint64_t context, struct ptd_ipa ipa, struct ptd_pa pa)
{
	size_t at = put_fixed64(to, 1, context);

	at += put_fixed64(to + at, 2, ipa.v);
	at += put_fixed64(to + at, 3, 4096);
	at += put_fixed64(to + at, 4, pa.v);
	to[at++] = 5 << 3; /* prot */
	to[at++] = PTD_PROT_R;
	to[at++] = 7 << 3 | 2; /* request_id */
	to[at++] = 16;
	return ptd_draw_request_id(to + at) ? at + 16 : 0;
}

static const char *name_of(enum ptd_state state)
{
	switch (state) {
	case PTD_STATE_OK: return "done";
	case PTD_STATE_FAILED: return "not done";
	case PTD_STATE_UNKNOWN:
	default: return "perhaps done";
	}
}

int main(int argc, char **argv)
{
	const struct ptd_options options = {
		.size = sizeof(options), .timeout_ms = 20000, .reconnects = 10, .backoff_ms = 20};
	struct ptd_request request = {.size = sizeof(request),
				      .flags = PTD_CALL_REPLAY,
				      .method = "/ptd.v1.MappingService/Map"};
	struct ptd_status status;
	struct ptd_client *client;
	struct ptd_reply reply;
	uint64_t context;
	uint8_t bytes[80];
	enum ptd_state state;

	if (argc != 3)
		return 2;
	client = ptd_open(argv[1], &options, &status);
	if (!client || ptd_find_context(client, argv[2], &context, &status)) {
		fprintf(stderr, "%s\n", status.message);
		ptd_close(client);
		return 3;
	}
	request.data = bytes;
	request.length = pack(bytes, context, (struct ptd_ipa){0x50000000}, (struct ptd_pa){0});
	state = ptd_unary_request(client, &request, &reply);
	printf("%s, sent %u time(s)\n", name_of(state), (unsigned)reply.attempts);
	if (state != PTD_STATE_OK)
		fprintf(stderr, "%s\n", reply.status->message);
	ptd_close(client);
	return state == PTD_STATE_OK ? 0 : state == PTD_STATE_FAILED ? 1 : 4;
}
