/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of certificates to principals: what is taken, and what is refused with which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tls_identity.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#define LONGEST (PRINCIPAL_MAX - 1)

static struct tls_name name_of(const char *text)
{
	return (struct tls_name){(const uint8_t *)text, strlen(text)};
}

static void takes_uri(const char *uri)
{
	struct principal who;

	memset(&who, 0xff, sizeof(who));
	assert_null(tls_identity_uri(name_of(uri), &who));
	assert_string_equal(who.name, uri);
	assert_false(who.admin);
}

static void refuses_uri(const char *uri, const char *why)
{
	struct principal who = {.name = ""};

	assert_string_equal(tls_identity_uri(name_of(uri), &who), why);
	assert_string_equal(who.name, "");
}

static void spiffe_ids_are_taken(void **state)
{
	(void)state;
	takes_uri("spiffe://ptd.local/trial");
	takes_uri("spiffe://a/b");
	takes_uri("spiffe://a-b_c.0/Host/vmm-1/a..b/.../x_");
}

static void others_are_refused(void **state)
{
	static const char domain[] = "SPIFFE ID with a bad trust domain";
	static const char path[] = "SPIFFE ID with a bad path";
	static const char scheme[] = "URI name is no SPIFFE ID";

	(void)state;
	refuses_uri("", scheme);
	refuses_uri("spiffe:/", scheme);
	refuses_uri("https://ptd.local/trial", scheme);
	refuses_uri("SPIFFE://ptd.local/trial", scheme);
	refuses_uri("spiffe://", domain);
	refuses_uri("spiffe:///trial", domain);
	refuses_uri("spiffe://ptd.local", domain);
	refuses_uri("spiffe://PTD.local/trial", domain);
	refuses_uri("spiffe://user@ptd.local/trial", domain);
	refuses_uri("spiffe://ptd.local:443/trial", domain);
	refuses_uri("spiffe://ptd.local?/trial", domain);
	refuses_uri("spiffe://ptd.local/", path);
	refuses_uri("spiffe://ptd.local//trial", path);
	refuses_uri("spiffe://ptd.local/trial/", path);
	refuses_uri("spiffe://ptd.local/a//b", path);
	refuses_uri("spiffe://ptd.local/.", path);
	refuses_uri("spiffe://ptd.local/a/..", path);
	refuses_uri("spiffe://ptd.local/../a", path);
	refuses_uri("spiffe://ptd.local/a%20b", path);
	refuses_uri("spiffe://ptd.local/a?b", path);
	refuses_uri("spiffe://ptd.local/a#b", path);
	refuses_uri("spiffe://ptd.local/a b", path);
	refuses_uri("spiffe://ptd.local/tri\xc3\xa4l", path);
}

static void a_nul_never_ends_a_name(void **state)
{
	static const uint8_t uri[] = "spiffe://ptd.local/trial\0.evil";
	static const uint8_t cn[] = "trial\0.evil";
	struct principal who;

	(void)state;
	assert_string_equal(tls_identity_uri((struct tls_name){uri, sizeof(uri) - 1}, &who),
			    "SPIFFE ID with a bad path");
	assert_string_equal(tls_identity_uri((struct tls_name){uri, 25}, &who),
			    "SPIFFE ID with a bad path");
	assert_null(tls_identity_uri((struct tls_name){uri, 24}, &who));
	assert_string_equal(tls_identity_cn((struct tls_name){cn, sizeof(cn) - 1}, &who),
			    "common name is not printable ASCII");
}

static void a_name_fits_the_principal(void **state)
{
	char uri[LONGEST + 2] = "spiffe://a/";

	(void)state;
	memset(uri + strlen(uri), 'x', sizeof(uri) - 1 - strlen(uri));
	refuses_uri(uri, "URI name too long");
	uri[LONGEST] = 0;
	takes_uri(uri);
}

static void common_names(void **state)
{
	char longest[66];
	struct principal who;

	(void)state;
	assert_null(tls_identity_cn(name_of("vmm host 1 (rack ~7)"), &who));
	assert_string_equal(who.name, "cn:vmm host 1 (rack ~7)");
	assert_false(who.admin);
	memset(longest, 'x', sizeof(longest));
	assert_null(tls_identity_cn((struct tls_name){(uint8_t *)longest, 64}, &who));
	assert_int_equal(strlen(who.name), 3 + 64);
	assert_string_equal(tls_identity_cn((struct tls_name){(uint8_t *)longest, 65}, &who),
			    "common name empty or too long");
	assert_string_equal(tls_identity_cn(name_of(""), &who), "common name empty or too long");
	assert_string_equal(tls_identity_cn(name_of("a\nb"), &who),
			    "common name is not printable ASCII");
	assert_string_equal(tls_identity_cn(name_of("\xc3\xa4"), &who),
			    "common name is not printable ASCII");
}

/* --- whole certificates ---------------------------------------------------------------------- */

/* An extension value from raw bytes, as often as it is called. */
static void add_names(X509 *certificate, const void *der, size_t length)
{
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	X509_EXTENSION *extension;

	assert_true(ASN1_OCTET_STRING_set(value, der, (int)length));
	extension = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, value);
	assert_true(X509_add_ext(certificate, extension, -1));
	X509_EXTENSION_free(extension);
	ASN1_OCTET_STRING_free(value);
}

static X509 *make(const char *cn, const char *other_cn)
{
	X509 *certificate = X509_new();
	X509_NAME *subject = X509_get_subject_name(certificate);
	const char *names[] = {cn, other_cn};

	for (size_t i = 0; i < 2; i++)
		if (names[i])
			assert_true(X509_NAME_add_entry_by_txt(
				subject, "CN", MBSTRING_ASC, (const uint8_t *)names[i], -1, -1, 0));
	return certificate;
}

/* Signs, takes the DER form, and frees the certificate. */
static size_t finish(X509 *certificate, uint8_t **der)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	int length;

	assert_true(X509_set_version(certificate, X509_VERSION_3));
	assert_true(ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1));
	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(certificate), 0));
	assert_non_null(X509_gmtime_adj(X509_getm_notAfter(certificate), 60));
	assert_true(X509_set_pubkey(certificate, key));
	assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
	*der = NULL;
	length = i2d_X509(certificate, der);
	assert_true(length > 0);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return (size_t)length;
}

static void expect(X509 *certificate, const char *principal, const char *why)
{
	uint8_t *der;
	size_t length = finish(certificate, &der);
	struct principal who = {.name = ""};
	const char *error = tls_identity_der(der, length, &who);

	if (why)
		assert_string_equal(error ? error : who.name, why);
	else
		assert_null(error);
	assert_string_equal(who.name, principal);
	OPENSSL_free(der);
}

#define DER(text) text, sizeof(text) - 1
/* GeneralNames: uniformResourceIdentifier is [6], dNSName [2]. */
#define URI_A	  "\x86\x0cspiffe://a/b"
#define DNS_X	  "\x82\x01x"

static X509 *with(const char *cn, const void *names, size_t length)
{
	X509 *certificate = make(cn, NULL);

	add_names(certificate, names, length);
	return certificate;
}

static void certificates_name_their_holder(void **state)
{
	X509 *twice = with("c", DER("\x30\x0e" URI_A));

	(void)state;
	expect(with("c", DER("\x30\x0e" URI_A)), "spiffe://a/b", NULL);
	expect(with("c", DER("\x30\x11" DNS_X URI_A)), "spiffe://a/b", NULL);
	expect(with("c", DER("\x30\x1c" URI_A URI_A)), "", "more than one URI name");
	expect(with("c", DER("\x30\x10\x86\x0espiffe://a/b\0x")), "", "SPIFFE ID with a bad path");
	expect(with("c", DER("\x30\x09\x86\x07http://")), "", "URI name is no SPIFFE ID");
	expect(with("c", DER("\x30\x0f" URI_A)), "", "bad subjectAltName");
	expect(with("c", DER("\x04\x00")), "", "bad subjectAltName");
	add_names(twice, DER("\x30\x0e" URI_A));
	expect(twice, "", "bad subjectAltName");
	expect(with("c", DER("\x30\x03" DNS_X)), "cn:c", NULL);
	expect(make("c", NULL), "cn:c", NULL);
	expect(make("c", "d"), "", "more than one common name");
	expect(make(NULL, NULL), "", "neither a URI name nor a common name");
}

static void only_a_whole_certificate_counts(void **state)
{
	uint8_t *der, longer[4096];
	size_t length = finish(make("c", NULL), &der);
	struct principal who;

	(void)state;
	for (size_t n = 0; n < length; n++)
		assert_string_equal(tls_identity_der(der, n, &who), "not a certificate");
	memcpy(longer, der, length);
	longer[length] = 0;
	assert_string_equal(tls_identity_der(longer, length + 1, &who), "not a certificate");
	assert_null(tls_identity_der(longer, length, &who));
	OPENSSL_free(der);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spiffe_ids_are_taken),
		cmocka_unit_test(others_are_refused),
		cmocka_unit_test(a_nul_never_ends_a_name),
		cmocka_unit_test(a_name_fits_the_principal),
		cmocka_unit_test(common_names),
		cmocka_unit_test(certificates_name_their_holder),
		cmocka_unit_test(only_a_whole_certificate_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
