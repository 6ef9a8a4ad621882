/* SPDX-License-Identifier: BSD-2-Clause */
/* Who a client certificate says its holder is: pure functions over bytes, no sockets. */
#ifndef PTD_TLS_IDENTITY_H
#define PTD_TLS_IDENTITY_H

#include "call.h"

#include <stddef.h>
#include <stdint.h>

/* A name's bytes as ASN.1 carries them: with a length, without an end. */
struct tls_name {
	const uint8_t *data;
	size_t length;
};

/* Each fills `principal` (never an admin) and returns NULL, or says why not, in static text. */

/* "spiffe://trust-domain/path", by the rules of SPIFFE IDs; the principal is the URI itself. */
const char *tls_identity_uri(struct tls_name uri, struct principal *principal);
/* A common name of 1 to 64 printable ASCII characters; the principal is "cn:NAME". */
const char *tls_identity_cn(struct tls_name name, struct principal *principal);

struct x509_st;
/* Exactly one URI in subjectAltName decides; only without any, exactly one common name does. */
const char *tls_identity_certificate(const struct x509_st *certificate,
				     struct principal *principal);
/* The same from the DER form, of which nothing may be left over. */
const char *tls_identity_der(const uint8_t *der, size_t length, struct principal *principal);

#endif
