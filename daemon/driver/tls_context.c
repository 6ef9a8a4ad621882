/* SPDX-License-Identifier: BSD-2-Clause */
/* What every handshake obeys: TLS 1.3 alone, h2 by ALPN, a client certificate that names one
 * principal, and nothing of earlier connections. */
#include "tls_identity.h"
#include "tls_state.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const uint8_t session_context[] = "ptd";

/* --- callbacks of a handshake ---------------------------------------------------------------- */

static int refuse(SSL *ssl, const char *reason)
{
	struct tls *tls = SSL_get_app_data(ssl);

	if (tls->handshake && !tls->handshake->reason)
		tls->handshake->reason = reason;
	return 0;
}

/* OpenSSL calls on_alpn() only if the extension is there. */
static int on_hello(SSL *ssl, int *alert, void *unused)
{
	const unsigned char *data;
	size_t length;

	(void)unused;
	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation,
				      &data, &length))
		return SSL_CLIENT_HELLO_SUCCESS;
	refuse(ssl, "no ALPN");
	*alert = SSL_AD_NO_APPLICATION_PROTOCOL;
	return SSL_CLIENT_HELLO_ERROR;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *length,
		   const unsigned char *in, unsigned in_length, void *unused)
{
	(void)unused;
	for (unsigned at = 0; at < in_length; at += in[at] + 1u)
		if (in[at] == 2 && in_length - at > 2 && !memcmp(in + at + 1, "h2", 2)) {
			*out = in + at + 1;
			*length = 2;
			return SSL_TLSEXT_ERR_OK;
		}
	refuse(ssl, "ALPN without h2");
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* The chain as OpenSSL has it, then the name: a certificate without a principal is no use. */
static int on_certificate(X509_STORE_CTX *store, void *unused)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls *tls = SSL_get_app_data(ssl);
	X509 *leaf = X509_STORE_CTX_get0_cert(store);
	const char *reason;

	(void)unused;
	if (!tls->handshake || X509_verify_cert(store) <= 0)
		return 0;
	reason = X509_check_ca(leaf) == 1
			 ? "an authority's own certificate"
			 : tls_identity_certificate(leaf, &tls->handshake->principal);
	if (!reason)
		return 1;
	X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
	return refuse(ssl, reason);
}

/* OpenSSL 3.0 answers any number of KeyUpdates, each at the price of new keys. */
static void on_message(int sent, int version, int type, const void *data, size_t length, SSL *ssl,
		       void *arg)
{
	struct tls *tls = arg;
	uint64_t now_ms;

	(void)version;
	(void)ssl;
	if (sent || type != SSL3_RT_HANDSHAKE || !length ||
	    *(const uint8_t *)data != SSL3_MT_KEY_UPDATE || tls->handshake)
		return;
	now_ms = uv_now(&tls->link->loop->uv);
	if (now_ms - tls->updates_since_ms >= TLS_KEY_UPDATE_MS) {
		tls->updates_since_ms = now_ms;
		tls->updates = 0;
	}
	if (++tls->updates > TLS_KEY_UPDATES)
		tls->broken = true;
}

const char *tls_reason(const struct handshake *handshake)
{
	const SSL *ssl = handshake->tls->ssl;
	long verified = ssl ? SSL_get_verify_result(ssl) : X509_V_OK;
	const char *text;

	if (handshake->reason)
		return handshake->reason;
	if (verified != X509_V_OK)
		return X509_verify_cert_error_string(verified);
	text = ERR_reason_error_string(ERR_peek_last_error());
	return text ? text : "no memory";
}

/* --- the context ----------------------------------------------------------------------------- */

static int no_passphrase(char *buffer, int size, int writing, void *unused)
{
	(void)buffer;
	(void)size;
	(void)writing;
	(void)unused;
	return -1;
}

static bool say(const char *path, const char *what)
{
	unsigned long error = ERR_peek_error();
	const char *why = ERR_GET_LIB(error) == ERR_LIB_SYS ? strerror(ERR_GET_REASON(error))
							    : ERR_reason_error_string(error);

	fprintf(stderr, "ptd: %s: %s%s%s\n", path, what, why ? ": " : "", why ? why : "");
	ERR_clear_error();
	return false;
}

static void warn_of(const char *path)
{
	struct stat key;

	if (!stat(path, &key) && key.st_mode & S_IROTH)
		fprintf(stderr, "ptd: %s: warning: anyone can read this key\n", path);
}

/* OpenSSL looks over an authority's extensions when it first meets it: now, not in two workers. */
static bool look_over(const X509_STORE *authorities)
{
	const STACK_OF(X509_OBJECT) *list = X509_STORE_get0_objects(authorities);
	bool sound = true;

	for (int i = 0; i < sk_X509_OBJECT_num(list); i++) {
		X509 *authority = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(list, i));

		if (authority)
			sound = X509_check_purpose(authority, -1, 0) == 1 &&
				X509_get0_pubkey(authority) && sound;
	}
	ERR_clear_error();
	return sound;
}

static bool load(SSL_CTX *context, const struct options *options)
{

	SSL_CTX_set_default_passwd_cb(context, no_passphrase);
	if (SSL_CTX_use_certificate_chain_file(context, options->tls_certificate) <= 0)
		return say(options->tls_certificate, "cannot use this certificate");
	if (SSL_CTX_use_PrivateKey_file(context, options->tls_key, SSL_FILETYPE_PEM) <= 0)
		return say(options->tls_key, "cannot use this key with the certificate");
	if (SSL_CTX_check_private_key(context) <= 0)
		return say(options->tls_key, "this key does not match the certificate");
	if (SSL_CTX_load_verify_file(context, options->tls_ca) <= 0)
		return say(options->tls_ca, "cannot use these authorities");
	if (!look_over(SSL_CTX_get_cert_store(context)))
		return say(options->tls_ca, "cannot use these authorities");
	return true;
}

/* Groups without the finite-field ones, of which one exchange costs milliseconds. */
static bool restrict_to(SSL_CTX *context)
{
	SSL_CTX_set_security_level(context, 2);
	return SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) &&
	       SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) &&
	       SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
						 "TLS_CHACHA20_POLY1305_SHA256") &&
	       SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384") &&
	       SSL_CTX_set_num_tickets(context, 0) && SSL_CTX_set_max_early_data(context, 0) &&
	       SSL_CTX_set_purpose(context, X509_PURPOSE_SSL_CLIENT) &&
	       SSL_CTX_set_session_id_context(context, session_context,
					      sizeof(session_context) - 1);
}

/* The chain is what its file holds: else each handshake would look for one, and verify it. */
static void set_up(SSL_CTX *context)
{
	SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
					     SSL_OP_NO_COMPRESSION |
					     SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
					  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					  SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_verify_depth(context, TLS_VERIFY_DEPTH);
	SSL_CTX_set_cert_verify_callback(context, on_certificate, NULL);
	SSL_CTX_set_client_hello_cb(context, on_hello, NULL);
	SSL_CTX_set_alpn_select_cb(context, on_alpn, NULL);
	SSL_CTX_set_msg_callback(context, on_message);
}

struct ssl_ctx_st *tls_context_create(const struct options *options, bool warn)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	if (!context || !restrict_to(context)) {
		say("TLS", "cannot be set up");
		SSL_CTX_free(context);
		return NULL;
	}
	set_up(context);
	if (!load(context, options)) {
		SSL_CTX_free(context);
		return NULL;
	}
	if (warn)
		warn_of(options->tls_key);
	return context;
}

void tls_context_destroy(struct ssl_ctx_st *context)
{
	SSL_CTX_free(context);
}

bool tls_files_sound(const struct options *options)
{
	SSL_CTX *context;

	if (!options->tls_certificate[0])
		return true;
	context = tls_context_create(options, true);
	SSL_CTX_free(context);
	return context;
}
