/* SPDX-License-Identifier: BSD-2-Clause */
/* OpenSSL over memory BIOs: TLS 1.3 only, ALPN h2, the daemon's name checked, nothing resumed. */
#include "tls.h"
#include "status.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OUTPUT_ROOM (32u << 10)

struct tls_credentials {
	SSL_CTX *context;
};

struct tls {
	SSL *ssl;
	BIO *in, *out; /* the SSL's */
	bool ready, failed;
	size_t start, end;
	uint8_t output[OUTPUT_ROOM];
	char error[200];
};

static const char *reason(void)
{
	const char *text = ERR_reason_error_string(ERR_peek_last_error());

	return text ? text : "no reason given";
}

/* The oldest entry is the cause; that of a file that cannot be opened is the system's. */
static bool complain(struct ptd_status *status, const char *what, const char *file)
{
	unsigned long error = ERR_peek_error();
	const char *why = ERR_SYSTEM_ERROR(error) ? strerror(ERR_GET_REASON(error)) : reason();

	status_local(status, PTD_STATE_FAILED, PTD_WHERE_ARGUMENT, 3, "%s %.100s: %s", what, file,
		     why);
	ERR_clear_error();
	return false;
}

/* A key that needs a passphrase is refused; nobody is asked. */
static int no_passphrase(char *text, int room, int writing, void *arg)
{
	(void)text;
	(void)room;
	(void)writing;
	(void)arg;
	return 0;
}

static bool load_own(SSL_CTX *context, const struct ptd_options *options, struct ptd_status *status)
{
	const char *certificate = options->tls_certificate, *key = options->tls_key;

	if (!certificate && !key)
		return true;
	if (!certificate || !key) {
		status_local(status, PTD_STATE_FAILED, PTD_WHERE_ARGUMENT, 3,
			     "a TLS certificate and its key go together");
		return false;
	}
	if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1)
		return complain(status, "certificate", certificate);
	if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
		return complain(status, "key", key);
	return SSL_CTX_check_private_key(context) == 1 || complain(status, "key", key);
}

static bool load(SSL_CTX *context, const struct ptd_options *options, struct ptd_status *status)
{
	static const unsigned char h2[] = {2, 'h', '2'};

	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_default_passwd_cb(context, no_passphrase);
	if (SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_alpn_protos(context, h2, sizeof(h2)))
		return complain(status, "TLS", "1.3");
	if (options->tls_ca && SSL_CTX_load_verify_file(context, options->tls_ca) != 1)
		return complain(status, "CA", options->tls_ca);
	if (!options->tls_ca && SSL_CTX_set_default_verify_paths(context) != 1)
		return complain(status, "CA", "of the system");
	return load_own(context, options, status);
}

struct tls_credentials *tls_load(const struct ptd_options *options, struct ptd_status *status)
{
	struct tls_credentials *made = calloc(1, sizeof(*made));

	ERR_clear_error();
	if (made)
		made->context = SSL_CTX_new(TLS_client_method());
	if (!made || !made->context)
		status_local(status, PTD_STATE_FAILED, PTD_WHERE_ARGUMENT, 8, "no memory");
	else if (load(made->context, options, status))
		return made;
	tls_credentials_free(made);
	return NULL;
}

void tls_credentials_free(struct tls_credentials *credentials)
{
	if (credentials)
		SSL_CTX_free(credentials->context);
	free(credentials);
}

/* An address is looked for among the IP names of the certificate, any other among its DNS names;
 * the subject's common name counts for nothing. */
static bool expect(SSL *ssl, const char *host)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
				       X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	if (X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1)
		return true;
	return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

struct tls *tls_create(const struct tls_credentials *credentials, const char *host)
{
	struct tls *tls = calloc(1, sizeof(*tls));

	if (!tls)
		return NULL;
	tls->ssl = SSL_new(credentials->context);
	tls->in = BIO_new(BIO_s_mem());
	tls->out = BIO_new(BIO_s_mem());
	if (!tls->ssl || !tls->in || !tls->out || !expect(tls->ssl, host)) {
		BIO_free(tls->in);
		BIO_free(tls->out);
		SSL_free(tls->ssl);
		free(tls);
		ERR_clear_error();
		return NULL;
	}
	SSL_set_bio(tls->ssl, tls->in, tls->out);
	SSL_set_connect_state(tls->ssl);
	tls_read(tls, NULL, 0); /* the first flight */
	return tls;
}

void tls_free(struct tls *tls)
{
	if (tls)
		SSL_free(tls->ssl);
	free(tls);
}

static void fail(struct tls *tls, const char *text)
{
	long verdict = SSL_get_verify_result(tls->ssl);

	tls->failed = true;
	if (text)
		snprintf(tls->error, sizeof(tls->error), "TLS: %s", text);
	else if (verdict != X509_V_OK)
		snprintf(tls->error, sizeof(tls->error), "TLS: the daemon's certificate: %s",
			 X509_verify_cert_error_string(verdict));
	else
		snprintf(tls->error, sizeof(tls->error), "TLS: %s", reason());
	ERR_clear_error();
}

/* What a call into OpenSSL that moved nothing means: more is needed, or it is over. */
static void judge(struct tls *tls, int result)
{
	switch (SSL_get_error(tls->ssl, result)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE: break;
	case SSL_ERROR_ZERO_RETURN: fail(tls, "closed by the daemon"); break;
	default: fail(tls, NULL); break;
	}
}

static void shake_hands(struct tls *tls)
{
	const unsigned char *protocol;
	unsigned length;
	int result = SSL_do_handshake(tls->ssl);

	if (result != 1) {
		judge(tls, result);
		return;
	}
	SSL_get0_alpn_selected(tls->ssl, &protocol, &length);
	if (length != 2 || memcmp(protocol, "h2", 2))
		fail(tls, "the daemon does not speak HTTP/2");
	else
		tls->ready = true;
}

bool tls_input(struct tls *tls, const uint8_t *bytes, size_t length)
{
	size_t taken;

	return !length || BIO_write_ex(tls->in, bytes, length, &taken);
}

size_t tls_read(struct tls *tls, uint8_t *bytes, size_t room)
{
	size_t got = 0;
	int result;

	ERR_clear_error();
	if (!tls->ready && !tls->failed)
		shake_hands(tls);
	if (!tls->ready || tls->failed || !room)
		return 0;
	result = SSL_read_ex(tls->ssl, bytes, room, &got);
	if (result == 1)
		return got;
	judge(tls, result);
	return 0;
}

bool tls_write(struct tls *tls, const uint8_t *bytes, size_t length)
{
	size_t taken;
	int result;

	ERR_clear_error();
	if (tls->failed)
		return false;
	/* A memory BIO takes everything. */
	result = SSL_write_ex(tls->ssl, bytes, length, &taken);
	if (result != 1)
		fail(tls, NULL);
	return result == 1;
}

size_t tls_output(struct tls *tls, const uint8_t **bytes)
{
	size_t got = 0;

	if (tls->start == tls->end) {
		tls->start = tls->end = 0;
		if (BIO_ctrl_pending(tls->out) &&
		    BIO_read_ex(tls->out, tls->output, sizeof(tls->output), &got))
			tls->end = got;
	}
	*bytes = tls->output + tls->start;
	return tls->end - tls->start;
}

void tls_wrote(struct tls *tls, size_t length)
{
	tls->start += length;
}

size_t tls_pending(const struct tls *tls)
{
	return tls->end - tls->start + BIO_ctrl_pending(tls->out);
}

bool tls_ready(const struct tls *tls)
{
	return tls->ready;
}

const char *tls_error(const struct tls *tls)
{
	return tls->failed ? tls->error : NULL;
}
