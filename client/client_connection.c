/* SPDX-License-Identifier: BSD-2-Clause */
/* The blocking layer's connection: moves bytes between a core and one socket after another. */
#include "client_private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Reads before answering: bounds the time between two rounds of callbacks. */
#define READS_PER_ROUND 4

void client_drop_socket(struct ptd_client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
	client->connecting = false;
}

static void lose(struct ptd_client *client, const char *why)
{
	client_drop_socket(client);
	ptd_core_lost(client->core, socket_now_ns(), why);
}

/* Tries the addresses that are left of this round. */
static void try_addresses(struct ptd_client *client)
{
	const char *why = "no address";

	while (client->fd < 0 && client->address < client->address_count) {
		client->fd = socket_begin(&client->addresses[client->address++]);
		if (client->fd < 0)
			why = strerror(errno);
	}
	client->connecting = client->fd >= 0;
	if (client->fd < 0)
		lose(client, why);
}

/* A new round looks the name up again. */
static void begin_connection(struct ptd_client *client)
{
	const char *why;
	bool wrong;

	if (client->address >= client->address_count) {
		client->address = 0;
		client->address_count =
			socket_resolve(&client->endpoint, client->addresses, &why, &wrong);
		if (!client->address_count) {
			lose(client, why);
			return;
		}
	}
	try_addresses(client);
}

static void finish_connection(struct ptd_client *client)
{
	int error = socket_finish(client->fd);

	client->connecting = false;
	if (!error) {
		client->address = client->address_count;
		ptd_core_connected(client->core, socket_now_ns());
	} else if (client->address < client->address_count) {
		client_drop_socket(client);
		try_addresses(client);
	} else {
		lose(client, strerror(error));
	}
}

void client_settle(struct ptd_client *client)
{
	for (;;) {
		switch (ptd_core_step(client->core, socket_now_ns(), &client->wake_ns)) {
		case PTD_CORE_CONNECT: begin_connection(client); break;
		case PTD_CORE_CLOSE: lose(client, "closed by the daemon"); break;
		case PTD_CORE_GONE:
			client_drop_socket(client);
			client->gone = true;
			return;
		case PTD_CORE_NOTHING:
		default: return;
		}
	}
}

/* --- bytes ----------------------------------------------------------------------------------- */

static const char *why_lost(void)
{
	return errno ? strerror(errno) : "closed by the daemon";
}

/* Nothing can be written any more; answers may have come before that. */
static void lose_after_input(struct ptd_client *client)
{
	const char *why = why_lost();

	while (client_take_input(client))
		;
	if (client->fd >= 0)
		lose(client, why);
}

void client_flush(struct ptd_client *client)
{
	const uint8_t *bytes;
	size_t length;

	while (client->fd >= 0 && !client->connecting &&
	       (length = ptd_core_output(client->core, &bytes))) {
		long moved = socket_write(client->fd, bytes, length);

		if (moved < 0)
			lose_after_input(client);
		if (moved <= 0)
			break;
		ptd_core_wrote(client->core, (size_t)moved);
	}
	client_settle(client);
}

bool client_take_input(struct ptd_client *client)
{
	bool any = false;

	for (int i = 0; i < READS_PER_ROUND && client->fd >= 0; i++) {
		long length = socket_read(client->fd, client->input, INPUT_BATCH);
		if (length < 0)
			lose(client, why_lost());
		if (length <= 0)
			break;
		any = true;
		/* Callbacks of streams run in here; they must not start another round. */
		client->delivering = true;
		ptd_core_input(client->core, client->input, (size_t)length, socket_now_ns());
		client->delivering = false;
		if ((size_t)length < INPUT_BATCH)
			break;
	}
	return any;
}

int client_wait_ms(uint64_t until_ns, uint64_t now_ns, int timeout_ms)
{
	uint64_t left_ms;

	if (until_ns == CORE_NEVER)
		return timeout_ms;
	left_ms = until_ns > now_ns ? (until_ns - now_ns + 999999) / 1000000 : 0;
	return timeout_ms >= 0 && (uint64_t)timeout_ms < left_ms ? timeout_ms
	       : left_ms > INT32_MAX				 ? INT32_MAX
								 : (int)left_ms;
}

void client_wait_socket(struct ptd_client *client, int timeout_ms)
{
	bool output = client->connecting || ptd_core_wants_write(client->core);

	if (!socket_wait(client->fd, output,
			 client_wait_ms(client->wake_ns, socket_now_ns(), timeout_ms)))
		return;
	if (client->connecting)
		finish_connection(client);
	else
		client_take_input(client);
}
