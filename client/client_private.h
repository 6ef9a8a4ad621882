/* SPDX-License-Identifier: BSD-2-Clause */
/* The inside of the blocking layer, shared by its files. */
#ifndef PTD_CLIENT_PRIVATE_H
#define PTD_CLIENT_PRIVATE_H

#include "core.h"
#include "socket.h"

#define INPUT_BATCH (128u << 10)

struct ptd_client {
	struct ptd_core *core;
	int fd; /* -1: none */
	bool connecting;
	bool gone;	 /* no connection, and none to come; the core has ended all calls */
	bool delivering; /* inside a callback: no new round */
	uint64_t wake_ns;
	struct ptd_status complaint; /* of a call that could not be started; state OK: none */
	struct call_list ready;	     /* ended, for ptd_next() */
	struct ptd_call *held;	     /* what the last reply points into */
	struct endpoint endpoint;
	struct socket_address addresses[SOCKET_ADDRESSES];
	unsigned address, address_count;
	uint8_t input[INPUT_BATCH];
};

/* --- client_connection.c --------------------------------------------------------------------- */

/* Does what the core wants done about the connection. */
void client_settle(struct ptd_client *client);
/* Writes what the core has, as far as the socket takes it. */
void client_flush(struct ptd_client *client);
/* Reads what is there, a few batches at most. True: something came. */
bool client_take_input(struct ptd_client *client);
/* Waits for the socket until `timeout_ms` or until the core wants to be asked, and serves it. */
void client_wait_socket(struct ptd_client *client, int timeout_ms);
void client_drop_socket(struct ptd_client *client);
/* Milliseconds until then, at most timeout_ms (-1: no limit). */
int client_wait_ms(uint64_t until_ns, uint64_t now_ns, int timeout_ms);

/* --- client.c -------------------------------------------------------------------------------- */

/* Hands over what has ended. Returns how many. Callbacks may start calls, also ones that end now.
 */
int client_deliver(struct ptd_client *client);
/* What the last reply points into is not needed any more. */
void client_release(struct ptd_client *client);
/* One round without releasing what the last reply points into. */
int client_pump(struct ptd_client *client, int timeout_ms);

#endif
