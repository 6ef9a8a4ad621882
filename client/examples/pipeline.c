/* SPDX-License-Identifier: BSD-2-Clause */
/* Translates 10000 addresses, 256 of them under way at once. */
#include <ptd.h>

#include <stdio.h>
#include <stdlib.h>

#define CALLS  10000
#define WINDOW 256

struct tally {
	unsigned ok, other;
};

/* TranslateRequest { fixed64 context = 1; fixed64 ipa = 2; AccessKind access = 3; }, as any
 * protobuf library packs it. */
static size_t pack(uint8_t *to, uint64_t context, uint64_t ipa)
{
	to[0] = 0x09;
	to[9] = 0x11;
	for (int i = 0; i < 8; i++) {
		to[1 + i] = (uint8_t)(context >> 8 * i);
		to[10 + i] = (uint8_t)(ipa >> 8 * i);
	}
	to[18] = 0x18;
	to[19] = PTD_ACCESS_READ;
	return 20;
}

static void on_end(void *arg, const struct ptd_reply *reply)
{
	struct tally *tally = arg;

	/* reply->data is a TranslateResponse. */
	if (reply->status->state == PTD_STATE_OK)
		tally->ok++;
	else
		tally->other++;
}

int main(int argc, char **argv)
{
	/* With `reconnects` a busy daemon's wish to be asked later is granted, too. */
	const struct ptd_options options = {.size = sizeof(options), .reconnects = 3};
	struct tally tally = {0};
	struct ptd_status status;
	struct ptd_client *client;
	uint64_t context;

	if (argc != 3)
		return 2;
	client = ptd_open(argv[1], &options, &status);
	if (!client || ptd_find_context(client, argv[2], &context, &status)) {
		fprintf(stderr, "%s\n", status.message);
		ptd_close(client);
		return 1;
	}
	for (uint64_t i = 0; i < CALLS; i++) {
		uint8_t request[20];
		size_t length = pack(request, context, 0x40000000 + (i << 12));

		if (!ptd_start(client, "/ptd.v1.FaultService/Translate", request, length, 0, on_end,
			       &tally))
			break;
		/* Back-pressure: waits for half of them, which is kinder than one by one. */
		if (ptd_outstanding(client) >= WINDOW)
			ptd_wait(client, WINDOW / 2);
	}
	ptd_wait(client, 0);
	printf("%u answers, %u without\n", tally.ok, tally.other);
	ptd_close(client);
	return tally.ok == CALLS ? 0 : 1;
}
