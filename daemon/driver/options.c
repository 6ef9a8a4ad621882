/* SPDX-License-Identifier: BSD-2-Clause */
/* Command line by getopt_long, file by libinih; one table of keys serves both. */
#include "options.h"

#include "tls.h"

#include <errno.h>
#include <getopt.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum key {
	KEY_LISTEN = 256,
	KEY_LOOPS,
	KEY_MAX_CONNECTIONS,
	KEY_TABLE_MEMORY,
	KEY_ALLOW_CLEAR_TCP,
	KEY_ALLOW_FAILPOINTS,
	KEY_NO_REFLECTION,
	KEY_CHECKED,
	KEY_TLS_CERTIFICATE,
	KEY_TLS_KEY,
	KEY_TLS_CA,
	KEY_CONNECTIONS_PER_PRINCIPAL,
	KEY_KEEPALIVE_TIME,
	KEY_KEEPALIVE_TIMEOUT,
	KEY_KEEPALIVE_PERMIT,
	KEY_MAX_CONNECTION_IDLE,
	KEY_MAX_CONNECTION_AGE,
	KEY_MAX_CONNECTION_AGE_GRACE,
	KEY_DRAIN_GRACE,
	KEY_CONFIG,
	KEY_CHECK_CONFIG,
	KEY_VERSION,
	KEY_HELP,
};

static const struct option table[] = {
	{"listen", required_argument, NULL, KEY_LISTEN},
	{"loops", required_argument, NULL, KEY_LOOPS},
	{"max-connections", required_argument, NULL, KEY_MAX_CONNECTIONS},
	{"table-memory", required_argument, NULL, KEY_TABLE_MEMORY},
	{"allow-clear-tcp", no_argument, NULL, KEY_ALLOW_CLEAR_TCP},
	{"allow-failpoints", no_argument, NULL, KEY_ALLOW_FAILPOINTS},
	{"no-reflection", no_argument, NULL, KEY_NO_REFLECTION},
	{"checked", no_argument, NULL, KEY_CHECKED},
	{"tls-certificate", required_argument, NULL, KEY_TLS_CERTIFICATE},
	{"tls-key", required_argument, NULL, KEY_TLS_KEY},
	{"tls-ca", required_argument, NULL, KEY_TLS_CA},
	{"max-connections-per-principal", required_argument, NULL, KEY_CONNECTIONS_PER_PRINCIPAL},
	{"keepalive-time", required_argument, NULL, KEY_KEEPALIVE_TIME},
	{"keepalive-timeout", required_argument, NULL, KEY_KEEPALIVE_TIMEOUT},
	{"keepalive-permit", required_argument, NULL, KEY_KEEPALIVE_PERMIT},
	{"max-connection-idle", required_argument, NULL, KEY_MAX_CONNECTION_IDLE},
	{"max-connection-age", required_argument, NULL, KEY_MAX_CONNECTION_AGE},
	{"max-connection-age-grace", required_argument, NULL, KEY_MAX_CONNECTION_AGE_GRACE},
	{"drain-grace", required_argument, NULL, KEY_DRAIN_GRACE},
	{"config", required_argument, NULL, KEY_CONFIG},
	{"check-config", no_argument, NULL, KEY_CHECK_CONFIG},
	{"version", no_argument, NULL, KEY_VERSION},
	{"help", no_argument, NULL, KEY_HELP},
	{NULL, 0, NULL, 0},
};

static const char help[] =
	"usage: ptd [OPTION]...\n"
	"The page-table daemon: stage-2 page tables as a gRPC service.\n"
	"\n"
	"  --listen ENDPOINT     unix:PATH, tls:HOST:PORT or tcp:HOST:PORT; repeatable. Default:\n"
	"                        ptd.sock under $XDG_RUNTIME_DIR, or /run/ptd\n"
	"  --tls-certificate FILE, --tls-key FILE\n"
	"                        PEM files of this daemon, for tls endpoints\n"
	"  --tls-ca FILE         PEM file of the authorities whose client certificates are taken\n"
	"  --allow-clear-tcp     allow tcp endpoints, without encryption, on loopback only\n"
	"  --loops N             threads that serve; default: cores, at most 4\n"
	"  --max-connections N   default 1024\n"
	"  --max-connections-per-principal N\n"
	"                        default 768\n"
	"  --keepalive-time T, --keepalive-timeout T\n"
	"                        PING after so much silence, close when no answer comes; default\n"
	"                        10s and 5s. Times are seconds, or 500ms, 10s, 5m, 2h; 0: off\n"
	"  --keepalive-permit T  how often a client may PING; default 10s\n"
	"  --max-connection-idle T, --max-connection-age T, --max-connection-age-grace T\n"
	"                        default off, off and 30s\n"
	"  --drain-grace T       how long a drain waits for calls; default 30s\n"
	"  --table-memory SIZE   for page tables of all contexts, such as 512M or 8G\n"
	"  --allow-failpoints    offer FailpointService\n"
	"  --no-reflection       do not offer server reflection\n"
	"  --checked             run ptd-checked, which checks the architecture's rules as it goes\n"
	"  --config FILE         read options from FILE first: one `key = value` a line\n"
	"  --check-config        say whether the options are sound, and exit\n"
	"  --version, --help     say so, and exit\n";

static bool parse_number(const char *text, uint64_t most, uint64_t *value)
{
	static const char units[] = "KMGT";
	const char *unit;
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 0);
	if (errno || end == text || *text == '-')
		return false;
	unit = *end ? strchr(units, *end) : NULL;
	if (unit) {
		unsigned shift = 10 * (unsigned)(unit - units + 1);

		if (*value > UINT64_MAX >> shift)
			return false;
		*value <<= shift;
		end++;
	}
	return !*end && *value && *value <= most;
}

static bool set_number(const char *name, const char *text, uint64_t most, uint64_t *value)
{
	if (parse_number(text, most, value))
		return true;
	fprintf(stderr, "ptd: %s: '%s' is not a number from 1 to %llu\n", name, text,
		(unsigned long long)most);
	return false;
}

static const struct {
	const char *name;
	uint64_t ns;
} time_unit[] = {
	{"ms", UINT64_C(1000000)},    {"s", UINT64_C(1000000000)},    {"", UINT64_C(1000000000)},
	{"m", UINT64_C(60000000000)}, {"h", UINT64_C(3600000000000)},
};

static bool set_time(const char *name, const char *text, uint64_t *ns)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 10);

	for (size_t i = 0; i < sizeof(time_unit) / sizeof(time_unit[0]); i++)
		if (end != text && *text != '-' && value <= 1000000 &&
		    !strcmp(end, time_unit[i].name)) {
			*ns = value * time_unit[i].ns;
			return true;
		}
	fprintf(stderr, "ptd: %s: '%s' is not a time such as 500ms, 10s, 5m or 0\n", name, text);
	return false;
}

static bool set_path(const char *name, const char *text, char path[OPTIONS_PATH])
{
	if (*text && strlen(text) < OPTIONS_PATH) {
		strcpy(path, text);
		return true;
	}
	fprintf(stderr, "ptd: %s: no path, or too long\n", name);
	return false;
}

/* `text` is NULL for a flag on the command line. */
static bool set_flag(const char *name, const char *text, bool *flag)
{
	static const char *const words[] = {"no", "yes", "false", "true", "0", "1"};

	*flag = true;
	for (size_t i = 0; text && i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(text, words[i])) {
			*flag = i & 1;
			return true;
		}
	if (text)
		fprintf(stderr, "ptd: %s: '%s' is neither yes nor no\n", name, text);
	return !text;
}

/* unix:PATH, or a host and a port from 0 (any) to 65535; listener.c looks names up. */
static bool is_endpoint(const char *text)
{
	const char *colon = strrchr(text, ':');
	size_t digits = strspn(colon ? colon + 1 : "", "0123456789");

	if (!strncmp(text, "unix:", 5))
		return text[5];
	return (!strncmp(text, "tcp:", 4) || !strncmp(text, "tls:", 4)) && colon > text + 4 &&
	       digits && digits < 6 && !colon[1 + digits] && strtoul(colon + 1, NULL, 10) < 65536;
}

static bool add_listen(struct options *options, const char *text)
{
	size_t length = strlen(text);

	if (options->listens == OPTIONS_LISTEN || length >= OPTIONS_ENDPOINT) {
		fprintf(stderr, "ptd: listen: too many endpoints, or too long: '%s'\n", text);
		return false;
	}
	if (!is_endpoint(text)) {
		fprintf(stderr,
			"ptd: listen: '%s' is neither unix:PATH nor tls:HOST:PORT nor "
			"tcp:HOST:PORT\n",
			text);
		return false;
	}
	memcpy(options->listen[options->listens++], text, length + 1);
	return true;
}

static bool set_file_or_time(struct options *options, int key, const char *text)
{
	struct wire_config *wire = &options->wire;

	switch (key) {
	case KEY_TLS_CERTIFICATE:
		return set_path("tls-certificate", text, options->tls_certificate);
	case KEY_TLS_KEY: return set_path("tls-key", text, options->tls_key);
	case KEY_TLS_CA: return set_path("tls-ca", text, options->tls_ca);
	case KEY_KEEPALIVE_TIME: return set_time("keepalive-time", text, &wire->keepalive_ns);
	case KEY_KEEPALIVE_TIMEOUT:
		return set_time("keepalive-timeout", text, &wire->keepalive_timeout_ns);
	case KEY_KEEPALIVE_PERMIT: return set_time("keepalive-permit", text, &wire->permit_ping_ns);
	case KEY_MAX_CONNECTION_IDLE: return set_time("max-connection-idle", text, &wire->idle_ns);
	case KEY_MAX_CONNECTION_AGE: return set_time("max-connection-age", text, &wire->age_ns);
	case KEY_MAX_CONNECTION_AGE_GRACE:
		return set_time("max-connection-age-grace", text, &wire->age_grace_ns);
	case KEY_DRAIN_GRACE: return set_time("drain-grace", text, &wire->drain_grace_ns);
	default: return false;
	}
}

/* Sets one key; `text` is NULL for a flag on the command line. */
static bool set(struct options *options, int key, const char *text)
{
	uint64_t value = 0;
	bool ok = true;

	switch (key) {
	case KEY_LISTEN: return add_listen(options, text);
	case KEY_LOOPS:
		ok = set_number("loops", text, OPTIONS_LOOPS, &value);
		options->loops = (uint32_t)value;
		break;
	case KEY_MAX_CONNECTIONS:
		ok = set_number("max-connections", text, 1000000, &value);
		options->max_connections = (uint32_t)value;
		break;
	case KEY_TABLE_MEMORY:
		ok = set_number("table-memory", text, UINT64_C(1) << 44, &options->table_bytes);
		break;
	case KEY_ALLOW_CLEAR_TCP:
		return set_flag("allow-clear-tcp", text, &options->allow_clear_tcp);
	case KEY_ALLOW_FAILPOINTS:
		return set_flag("allow-failpoints", text, &options->allow_failpoints);
	case KEY_NO_REFLECTION: return set_flag("no-reflection", text, &options->no_reflection);
	case KEY_CHECKED: return set_flag("checked", text, &options->checked);
	case KEY_CONNECTIONS_PER_PRINCIPAL:
		ok = set_number("max-connections-per-principal", text, 1000000, &value);
		options->wire.principal_connections = (uint32_t)value;
		break;
	default: return set_file_or_time(options, key, text);
	}
	return ok;
}

/* libinih: 0 stops with an error. */
static int from_file(void *user, const char *section, const char *name, const char *value)
{
	struct options *options = user;

	for (const struct option *o = table; o->name && !*section; o++)
		if (o->val < KEY_CONFIG && !strcmp(o->name, name))
			return set(options, o->val, value);
	fprintf(stderr, "ptd: config: unknown key '%s'%s%s\n", name, *section ? " in section " : "",
		section);
	return 0;
}

static bool read_file(struct options *options, const char *path)
{
	int line = ini_parse(path, from_file, options);

	if (line < 0)
		fprintf(stderr, "ptd: cannot read %s\n", path);
	else if (line > 0)
		fprintf(stderr, "ptd: %s: line %d\n", path, line);
	return line == 0;
}

/* Endpoints of the command line stand instead of those of the file. */
static int read_arguments(struct options *options, int argc, char **argv, bool *check)
{
	bool listened = false;
	int key;

	optind = 1;
	while ((key = getopt_long(argc, argv, "", table, NULL)) != -1) {
		switch (key) {
		case KEY_CONFIG: break;
		case KEY_CHECK_CONFIG: *check = true; break;
		case KEY_HELP: fputs(help, stdout); return 0;
		case KEY_VERSION: puts("ptd " PTD_VERSION); return 0;
		case '?': return 2;
		default:
			if (key == KEY_LISTEN && !listened)
				options->listens = 0;
			listened = listened || key == KEY_LISTEN;
			if (!set(options, key, optarg))
				return 2;
			break;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "ptd: unexpected argument '%s'\n", argv[optind]);
		return 2;
	}
	return -1;
}

static int read_config(struct options *options, int argc, char **argv)
{
	int key;

	opterr = 0;
	while ((key = getopt_long(argc, argv, "", table, NULL)) != -1)
		if (key == KEY_CONFIG && !read_file(options, optarg))
			return 2;
	opterr = 1;
	return -1;
}

static void set_defaults(struct options *options)
{
	const char *dir = getenv("XDG_RUNTIME_DIR");
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (!options->loops)
		options->loops = cores < 1 ? 1 : cores > 4 ? 4 : (uint32_t)cores;
	if (!options->listens) {
		snprintf(options->listen[0], OPTIONS_ENDPOINT, "unix:%s/ptd.sock",
			 dir && *dir == '/' && strlen(dir) < 100 ? dir : "/run/ptd");
		options->listens = 1;
		options->default_listen = true;
	}
}

static bool is_loopback(const char *endpoint)
{
	return !strncmp(endpoint, "tcp:127.", 8) || !strncmp(endpoint, "tcp:localhost:", 14) ||
	       !strncmp(endpoint, "tcp:[::1]:", 10);
}

static bool is_sound(const struct options *options)
{
	int files = !!options->tls_certificate[0] + !!options->tls_key[0] + !!options->tls_ca[0];

	if (files && files < 3) {
		fprintf(stderr, "ptd: --tls-certificate, --tls-key and --tls-ca go together\n");
		return false;
	}
	for (uint32_t i = 0; i < options->listens; i++) {
		const char *endpoint = options->listen[i];

		if (!strncmp(endpoint, "tls:", 4) && !files) {
			fprintf(stderr,
				"ptd: %s: TLS needs --tls-certificate, --tls-key and --tls-ca\n",
				endpoint);
			return false;
		}
		if (strncmp(endpoint, "tcp:", 4) != 0)
			continue;
		if (!options->allow_clear_tcp || !is_loopback(endpoint)) {
			fprintf(stderr,
				"ptd: %s: clear TCP is served on loopback only, and only with "
				"--allow-clear-tcp\n",
				endpoint);
			return false;
		}
	}
	return true;
}

int options_read(struct options *options, int argc, char **argv)
{
	bool check = false;
	int result;

	*options = (struct options){.wire = WIRE_CONFIG_DEFAULT};
	result = read_config(options, argc, argv);
	if (result < 0)
		result = read_arguments(options, argc, argv, &check);
	if (result >= 0)
		return result;
	set_defaults(options);
	if (!is_sound(options))
		return 2;
	if (check)
		return tls_files_sound(options) ? 0 : 1;
	return -1;
}
