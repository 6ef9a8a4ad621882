/* SPDX-License-Identifier: BSD-2-Clause */
/* Certificate names to principals. Lengths are those of ASN.1, so a NUL never ends a name early. */
#include "tls_identity.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

#define SCHEME	     "spiffe://"
#define SCHEME_BYTES (sizeof(SCHEME) - 1)
#define CN_MOST	     64u /* ub-common-name of RFC 5280 */
#define CN_PREFIX    "cn:"

static bool is_lower(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_domain_char(uint8_t c)
{
	return is_lower(c) || c == '.' || c == '-' || c == '_';
}

static bool is_path_char(uint8_t c)
{
	return is_domain_char(c) || (c >= 'A' && c <= 'Z');
}

/* From behind the scheme up to the slash; the length of it, 0 if it is not one. */
static size_t domain_length(struct tls_name name)
{
	size_t n = 0;

	while (n < name.length && is_domain_char(name.data[n]))
		n++;
	return n < name.length && name.data[n] == '/' ? n : 0;
}

static bool is_segment(const uint8_t *data, size_t length)
{
	if (length == 0 || (length <= 2 && data[0] == '.' && data[length - 1] == '.'))
		return false;
	for (size_t i = 0; i < length; i++)
		if (!is_path_char(data[i]))
			return false;
	return true;
}

/* "/a/b": each segment has something, and is neither "." nor "..". */
static bool is_path(const uint8_t *data, size_t length)
{
	size_t start = 1;

	for (size_t i = 1; i <= length; i++) {
		if (i < length && data[i] != '/')
			continue;
		if (!is_segment(data + start, i - start))
			return false;
		start = i + 1;
	}
	return length > 1;
}

static void set(struct principal *principal, const char *prefix, struct tls_name name)
{
	size_t n = strlen(prefix);

	memset(principal, 0, sizeof(*principal));
	memcpy(principal->name, prefix, n);
	memcpy(principal->name + n, name.data, name.length);
}

const char *tls_identity_uri(struct tls_name uri, struct principal *principal)
{
	struct tls_name rest;
	size_t domain;

	if (uri.length > PRINCIPAL_MAX - 1)
		return "URI name too long";
	if (uri.length < SCHEME_BYTES || memcmp(uri.data, SCHEME, SCHEME_BYTES) != 0)
		return "URI name is no SPIFFE ID";
	rest = (struct tls_name){uri.data + SCHEME_BYTES, uri.length - SCHEME_BYTES};
	domain = domain_length(rest);
	if (!domain)
		return "SPIFFE ID with a bad trust domain";
	if (!is_path(rest.data + domain, rest.length - domain))
		return "SPIFFE ID with a bad path";
	set(principal, "", uri);
	return NULL;
}

const char *tls_identity_cn(struct tls_name name, struct principal *principal)
{
	if (!name.length || name.length > CN_MOST)
		return "common name empty or too long";
	for (size_t i = 0; i < name.length; i++)
		if (name.data[i] < 0x20 || name.data[i] > 0x7e)
			return "common name is not printable ASCII";
	set(principal, CN_PREFIX, name);
	return NULL;
}

static struct tls_name name_of(const ASN1_STRING *string)
{
	return (struct tls_name){ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string)};
}

static const char *from_subject(const X509 *certificate, struct principal *principal)
{
	const X509_NAME *subject = X509_get_subject_name(certificate);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

	if (at < 0)
		return "neither a URI name nor a common name";
	if (X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
		return "more than one common name";
	return tls_identity_cn(name_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at))),
			       principal);
}

/* The one URI of `names`. NULL: none; `*error` when there are more. */
static const ASN1_STRING *only_uri(const GENERAL_NAMES *names, const char **error)
{
	const ASN1_STRING *uri = NULL;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type != GEN_URI)
			continue;
		if (uri)
			*error = "more than one URI name";
		uri = name->d.uniformResourceIdentifier;
	}
	return uri;
}

const char *tls_identity_certificate(const struct x509_st *certificate, struct principal *principal)
{
	int critical;
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, &critical, NULL);
	const char *error = NULL;
	const ASN1_STRING *uri;

	if (!names && critical != -1) /* there, but broken or more than once */
		return "bad subjectAltName";
	uri = names ? only_uri(names, &error) : NULL;
	if (!error)
		error = uri ? tls_identity_uri(name_of(uri), principal)
			    : from_subject(certificate, principal);
	GENERAL_NAMES_free(names);
	return error;
}

const char *tls_identity_der(const uint8_t *der, size_t length, struct principal *principal)
{
	const uint8_t *at = der;
	X509 *certificate = length <= LONG_MAX ? d2i_X509(NULL, &at, (long)length) : NULL;
	const char *error = "not a certificate";

	if (certificate && at == der + length)
		error = tls_identity_certificate(certificate, principal);
	X509_free(certificate);
	ERR_clear_error();
	return error;
}
