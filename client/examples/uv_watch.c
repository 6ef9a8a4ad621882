/* SPDX-License-Identifier: BSD-2-Clause */
/* Watches contexts come and go on a libuv loop, until so many events have come. */
#include <ptd_uv.h>

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

struct watch {
	struct ptd_uv *uv;
	unsigned left;
	int code;
};

/* WatchContextsResponse { uint64 seq = 1; WatchKind kind = 2; Context context = 3; }: the kind is
 * the first field but seq, which is never so long that its tag is elsewhere. */
static unsigned kind_of(const uint8_t *data, size_t length)
{
	size_t at = 0;

	while (at + 1 < length && data[at] != 0x10)
		at += data[at] == 0x08 && data[at + 1] < 0x80 ? 2 : 1;
	return at + 1 < length ? data[at + 1] : 0;
}

static bool on_event(void *arg, const uint8_t *data, size_t length)
{
	static const char *const names[] = {"?",       "existing", "created", "changed",
					    "deleted", "synced",   "overflow"};
	struct watch *watch = arg;
	unsigned kind = kind_of(data, length);

	printf("%s\n", names[kind < 7 ? kind : 0]);
	fflush(stdout);
	return --watch->left > 0; /* false cancels the stream */
}

static void on_end(void *arg, const struct ptd_reply *reply)
{
	struct watch *watch = arg;

	if (reply->status->where != PTD_WHERE_CANCEL) {
		fprintf(stderr, "%s\n", reply->status->message);
		watch->code = 1;
	}
	ptd_uv_close(watch->uv, NULL, NULL);
}

int main(int argc, char **argv)
{
	struct watch watch = {.left = argc == 3 ? (unsigned)atoi(argv[2]) : 0};
	const struct ptd_request request = {.size = sizeof(request),
					    .method = "/ptd.v1.ContextService/WatchContexts",
					    .message = on_event,
					    .done = on_end,
					    .arg = &watch};
	/* Used for tls:HOST:PORT only. */
	const struct ptd_options options = {.size = sizeof(options),
					    .tls_ca = getenv("PTD_TLS_CA"),
					    .tls_certificate = getenv("PTD_TLS_CERTIFICATE"),
					    .tls_key = getenv("PTD_TLS_KEY")};
	struct ptd_status status;

	if (!watch.left) {
		fprintf(stderr, "usage: %s ENDPOINT EVENTS\n", argv[0]);
		return 2;
	}
	watch.uv = ptd_uv_open(uv_default_loop(), argv[1], &options, &status);
	if (!watch.uv || !ptd_uv_start(watch.uv, &request, &status)) {
		fprintf(stderr, "%s\n", status.message);
		return 1;
	}
	uv_run(uv_default_loop(), UV_RUN_DEFAULT);
	uv_loop_close(uv_default_loop());
	return watch.code;
}
