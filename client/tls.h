/* SPDX-License-Identifier: BSD-2-Clause */
/* TLS as a filter without I/O: ciphertext on one side, clear bytes on the other. */
#ifndef PTD_CLIENT_TLS_H
#define PTD_CLIENT_TLS_H

#include <ptd.h>

struct tls_credentials; /* read once, used by each connection */
struct tls;		/* one connection */

/* NULL: *status names the file and why. Reads files; nothing else here does. */
struct tls_credentials *tls_load(const struct ptd_options *options, struct ptd_status *status);
void tls_credentials_free(struct tls_credentials *credentials);

/* A client's side that begins its handshake; the daemon's certificate has to bear `host`. NULL: no
 * memory. */
struct tls *tls_create(const struct tls_credentials *credentials, const char *host);
void tls_free(struct tls *tls);

/* Ciphertext that came. False: no memory. */
bool tls_input(struct tls *tls, const uint8_t *bytes, size_t length);
/* Clear bytes out of it. 0: none now. Goes on with the handshake first. */
size_t tls_read(struct tls *tls, uint8_t *bytes, size_t room);
/* Clear bytes to be sent; takes all. Only when ready. False: the connection is of no use. */
bool tls_write(struct tls *tls, const uint8_t *bytes, size_t length);
/* Ciphertext to be written; stays until tls_wrote() took it. */
size_t tls_output(struct tls *tls, const uint8_t **bytes);
void tls_wrote(struct tls *tls, size_t length);
size_t tls_pending(const struct tls *tls);

/* The handshake is over, and the peer is who it has to be. */
bool tls_ready(const struct tls *tls);
/* Why this connection is of no use any more; NULL: it is. */
const char *tls_error(const struct tls *tls);

#endif
