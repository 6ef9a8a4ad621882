/* SPDX-License-Identifier: BSD-2-Clause */
/* ptctl tls init: a throw-away authority, a certificate for the daemon, and some for clients. */
#include "commands.h"
#include "fields.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECTORY      "ptd-tls"
#define HOSTS	       "localhost,127.0.0.1,::1"
#define CLIENTS	       "trial"
#define TRUST_DOMAIN   "ptd.local"
#define DAYS	       30
#define SECONDS_OF_DAY 86400L
#define CLOCK_SKEW     300L /* clocks of others may be behind */
#define NAME_MOST      63

enum { COLUMN_FILE, COLUMN_KIND, COLUMN_NAME, COLUMN_COUNT };

static const struct column columns[COLUMN_COUNT] = {
	{"file", CELL_TEXT}, {"kind", CELL_TEXT}, {"name", CELL_TEXT}};

/* One certificate with its key, as it will be on disk. */
struct identity {
	const char *file; /* without ".crt" and ".key" */
	char *name;	  /* what it certifies, for the eye */
	X509 *certificate;
	EVP_PKEY *key;
};

struct job {
	struct ptctl *ctl;
	const char *directory;
	long days;
	struct identity *identity; /* [0] the authority, [1] the daemon, then clients */
	size_t count;
	struct rows *rows;
};

static int fail(const struct job *job, const char *what, const char *file, const char *why)
{
	(void)job;
	fprintf(stderr, "error: %s%s%s: %s\n", what, *file ? " " : "", file, why);
	return EXIT_PRECONDITION;
}

static int fail_crypto(const struct job *job)
{
	const char *why = ERR_reason_error_string(ERR_peek_last_error());

	return fail(job, "cannot make a certificate", "", why ? why : "no memory");
}

/* --- names ----------------------------------------------------------------------------------- */

static bool all_of(const char *text, const char *more)
{
	for (; *text; text++)
		if (!((*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
		      (*text >= '0' && *text <= '9') || strchr(more, *text)))
			return false;
	return true;
}

static bool is_address(const char *host)
{
	unsigned char address[16];

	return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

/* The names end up in extension values and file names: nothing that is special in either. */
static bool is_host(const char *host)
{
	return is_address(host) || (*host && strlen(host) <= NAME_MOST && all_of(host, ".-"));
}

static bool is_client(const char *name)
{
	return *name && *name != '.' && *name != '-' && strlen(name) <= NAME_MOST &&
	       all_of(name, "._-") && strcmp(name, "ca") != 0 && strcmp(name, "server") != 0;
}

/* "DNS:a,IP:b" of "a,b"; NULL: said what is wrong. */
static char *host_names(struct ptctl *ctl, const char *list)
{
	char *copy = text_new("%s", list), *result = text_new("%s", ""), *rest = copy, *host;

	while (result && (host = strsep(&rest, ","))) {
		char *longer = is_host(host) ? text_new("%s%s%s:%s", result, *result ? "," : "",
							is_address(host) ? "IP" : "DNS", host)
					     : NULL;

		if (!longer)
			ptctl_usage(ctl, "--name: '%s' is neither a host name nor an address",
				    host);
		free(result);
		result = longer;
	}
	free(copy);
	return result;
}

/* --- certificates ---------------------------------------------------------------------------- */

static bool extend(X509 *certificate, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;
	bool ok;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	ok = extension && X509_add_ext(certificate, extension, -1);
	X509_EXTENSION_free(extension);
	return ok;
}

static bool set_serial(X509 *certificate)
{
	unsigned char bytes[16];
	BIGNUM *number;
	bool ok;

	if (RAND_bytes(bytes, sizeof(bytes)) <= 0)
		return false;
	bytes[0] &= 0x7f; /* RFC 5280: positive */
	number = BN_bin2bn(bytes, sizeof(bytes), NULL);
	ok = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
	BN_free(number);
	return ok;
}

static bool set_subject(X509 *certificate, const char *name)
{
	X509_NAME *subject = X509_get_subject_name(certificate);

	return X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name,
					  -1, -1, 0) > 0;
}

/* Everything but the extensions and the signature. */
static bool begin(struct identity *identity, X509 *issuer, const char *subject, long days)
{
	X509 *certificate = identity->certificate = X509_new();

	identity->key = EVP_EC_gen("P-256");
	if (!certificate || !identity->key || !X509_set_version(certificate, X509_VERSION_3) ||
	    !set_serial(certificate) || !set_subject(certificate, subject))
		return false;
	return X509_gmtime_adj(X509_getm_notBefore(certificate), -CLOCK_SKEW) &&
	       X509_gmtime_adj(X509_getm_notAfter(certificate), days * SECONDS_OF_DAY) &&
	       X509_set_pubkey(certificate, identity->key) &&
	       X509_set_issuer_name(certificate,
				    X509_get_subject_name(issuer ? issuer : certificate));
}

static bool make_authority(struct identity *authority, long days)
{
	X509 *certificate;

	if (!begin(authority, NULL, "ptd trial authority", days))
		return false;
	certificate = authority->certificate;
	return extend(certificate, certificate, NID_basic_constraints,
		      "critical,CA:TRUE,pathlen:0") &&
	       extend(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign") &&
	       extend(certificate, certificate, NID_subject_key_identifier, "hash") &&
	       X509_sign(certificate, authority->key, EVP_sha256()) > 0;
}

static bool make_leaf(struct identity *leaf, const struct identity *authority, const char *subject,
		      const char *usage, const char *names, long days)
{
	X509 *certificate;

	if (!begin(leaf, authority->certificate, subject, days))
		return false;
	certificate = leaf->certificate;
	return extend(certificate, authority->certificate, NID_basic_constraints,
		      "critical,CA:FALSE") &&
	       extend(certificate, authority->certificate, NID_key_usage,
		      "critical,digitalSignature") &&
	       extend(certificate, authority->certificate, NID_ext_key_usage, usage) &&
	       extend(certificate, authority->certificate, NID_subject_alt_name, names) &&
	       extend(certificate, authority->certificate, NID_authority_key_identifier, "keyid") &&
	       X509_sign(certificate, authority->key, EVP_sha256()) > 0;
}

static bool make_client(struct identity *client, const struct identity *authority, long days)
{
	char *names = text_new("URI:%s", client->name);
	bool ok = make_leaf(client, authority, client->file, "clientAuth", names, days);

	free(names);
	return ok;
}

/* --- files ----------------------------------------------------------------------------------- */

static char *path_of(const struct job *job, const struct identity *identity, const char *suffix)
{
	return text_new("%s/%s.%s", job->directory, identity->file, suffix);
}

static int check_absent(const struct job *job)
{
	static const char *const suffix[] = {"crt", "key"};
	int result = EXIT_DONE;

	for (size_t i = 0; i < 2 * job->count && !result; i++) {
		char *path = path_of(job, &job->identity[i / 2], suffix[i % 2]);

		if (!access(path, F_OK))
			result = fail(job, "will not replace", path,
				      "it is there already; --force does");
		free(path);
	}
	return result;
}

static int write_file(struct job *job, const struct identity *identity, bool key)
{
	char *path = path_of(job, identity, key ? "key" : "crt");
	bool ok = false;
	FILE *file;
	int fd, result = EXIT_DONE;

	if (ptctl_given(job->ctl, "force"))
		unlink(path); /* so that no old mode or link stays */
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, key ? 0600 : 0644);
	file = fd < 0 ? NULL : fdopen(fd, "w");
	if (file && key)
		ok = PEM_write_PKCS8PrivateKey(file, identity->key, NULL, NULL, 0, NULL, NULL);
	else if (file)
		ok = PEM_write_X509(file, identity->certificate);
	if ((file && fclose(file)) || !ok)
		result = fail(job, "cannot write", path, strerror(errno));
	rows_add(job->rows);
	rows_text(job->rows, COLUMN_FILE, path);
	rows_text(job->rows, COLUMN_KIND, key ? "key" : "certificate");
	rows_text(job->rows, COLUMN_NAME, identity->name);
	free(path);
	return result;
}

static int write_files(struct job *job)
{
	int result = EXIT_DONE;

	if (mkdir(job->directory, 0700) < 0 && errno != EEXIST)
		return fail(job, "cannot make", job->directory, strerror(errno));
	if (!ptctl_given(job->ctl, "force"))
		result = check_absent(job);
	for (size_t i = 0; i < 2 * job->count && !result; i++)
		result = write_file(job, &job->identity[i / 2], i % 2);
	return result;
}

/* --- the command ----------------------------------------------------------------------------- */

static int make_all(struct job *job, const char *hosts)
{
	struct identity *id = job->identity;
	bool ok;

	ok = make_authority(&id[0], job->days) &&
	     make_leaf(&id[1], &id[0], "ptd", "serverAuth", hosts, job->days);
	for (size_t i = 2; i < job->count && ok; i++)
		ok = make_client(&id[i], &id[0], job->days);
	return ok ? EXIT_DONE : fail_crypto(job);
}

static void say_how(const struct job *job)
{
	const char *dir = job->directory, *client = job->identity[2].file;

	if (job->ctl->out.quiet)
		return;
	fflush(job->ctl->out.file); /* the table first */
	fprintf(stderr,
		"try it:\n"
		"  ptd --listen tls:localhost:7443 --tls-certificate %s/server.crt "
		"--tls-key %s/server.key --tls-ca %s/ca.crt\n"
		"  ptctl --endpoint tls:localhost:7443 --tls-ca %s/ca.crt "
		"--tls-certificate %s/%s.crt --tls-key %s/%s.key server info\n",
		dir, dir, dir, dir, dir, client, dir, client);
}

/* A name given twice would be written twice. */
static bool is_taken(const struct job *job, const char *name)
{
	for (size_t i = 0; i < job->count; i++)
		if (!strcmp(job->identity[i].file, name))
			return true;
	return false;
}

/* The clients of "a,b", behind the authority and the daemon. */
static int name_all(struct job *job, char *clients, const char *hosts)
{
	char *name;

	job->identity[0] = (struct identity){.file = "ca", .name = text_new("authority")};
	job->identity[1] = (struct identity){.file = "server", .name = text_new("%s", hosts)};
	job->count = 2;
	while ((name = strsep(&clients, ","))) {
		if (!is_client(name) || is_taken(job, name))
			return ptctl_usage(job->ctl,
					   "--client: '%s' is taken, or not of letters, "
					   "digits, '.', '_' and '-'",
					   name);
		job->identity[job->count++] = (struct identity){
			.file = name, .name = text_new("spiffe://" TRUST_DOMAIN "/%s", name)};
	}
	return EXIT_DONE;
}

static size_t words_of(const char *list)
{
	size_t n = 1;

	for (; *list; list++)
		n += *list == ',';
	return n;
}

static void free_job(struct job *job)
{
	for (size_t i = 0; i < job->count; i++) {
		free(job->identity[i].name);
		X509_free(job->identity[i].certificate);
		EVP_PKEY_free(job->identity[i].key);
	}
	free(job->identity);
	rows_free(job->rows);
}

int cmd_tls_init(struct ptctl *ctl)
{
	const char *list = ptctl_given(ctl, "client") ? ptctl_text(ctl, "client") : CLIENTS;
	struct job job = {.ctl = ctl,
			  .directory = ptctl_given(ctl, "dir") ? ptctl_text(ctl, "dir") : DIRECTORY,
			  .days = ptctl_given(ctl, "days") ? (long)ptctl_number(ctl, "days") : DAYS,
			  .identity = ptctl_alloc((2 + words_of(list)) * sizeof(struct identity)),
			  .rows = rows_new(columns, COLUMN_COUNT)};
	char *clients = text_new("%s", list);
	char *hosts = host_names(ctl, ptctl_given(ctl, "name") ? ptctl_text(ctl, "name") : HOSTS);
	int result = hosts ? name_all(&job, clients, hosts) : EXIT_USAGE;

	if (!result && job.days < 1)
		result = ptctl_usage(ctl, "--days: at least 1");

	if (!result)
		result = make_all(&job, hosts);
	if (!result)
		result = write_files(&job);
	if (!result) {
		output_rows(&ctl->out, "files", job.rows, false);
		say_how(&job);
	}
	free_job(&job);
	free(clients);
	free(hosts);
	return result;
}
