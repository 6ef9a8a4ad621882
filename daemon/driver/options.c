/* SPDX-License-Identifier: BSD-2-Clause */
/* Command line by getopt_long, file by libinih; one table of keys serves both. */
#include "options.h"

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
	"  --listen ENDPOINT     unix:PATH or tcp:HOST:PORT; repeatable. Default: ptd.sock under\n"
	"                        $XDG_RUNTIME_DIR, or /run/ptd\n"
	"  --allow-clear-tcp     allow tcp endpoints, without encryption, on loopback only\n"
	"  --loops N             threads that serve; default: cores, at most 4\n"
	"  --max-connections N   default 1024\n"
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

static bool add_listen(struct options *options, const char *text)
{
	size_t length = strlen(text);

	if (options->listens == OPTIONS_LISTEN || length >= OPTIONS_ENDPOINT) {
		fprintf(stderr, "ptd: listen: too many endpoints, or too long: '%s'\n", text);
		return false;
	}
	if ((strncmp(text, "unix:", 5) != 0 && strncmp(text, "tcp:", 4) != 0) || length < 6) {
		fprintf(stderr, "ptd: listen: '%s' is neither unix:PATH nor tcp:HOST:PORT\n", text);
		return false;
	}
	memcpy(options->listen[options->listens++], text, length + 1);
	return true;
}

/* Sets one key; `text` is NULL for a flag on the command line. */
static bool set(struct options *options, int key, const char *text)
{
	bool on = !text || !strcmp(text, "yes") || !strcmp(text, "true") || !strcmp(text, "1");
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
	case KEY_ALLOW_CLEAR_TCP: options->allow_clear_tcp = on; break;
	case KEY_ALLOW_FAILPOINTS: options->allow_failpoints = on; break;
	case KEY_NO_REFLECTION: options->no_reflection = on; break;
	case KEY_CHECKED: options->checked = on; break;
	default: ok = false; break;
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
	}
}

static bool is_loopback(const char *endpoint)
{
	return !strncmp(endpoint, "tcp:127.", 8) || !strncmp(endpoint, "tcp:localhost:", 14) ||
	       !strncmp(endpoint, "tcp:[::1]:", 10);
}

static bool is_sound(const struct options *options)
{
	for (uint32_t i = 0; i < options->listens; i++) {
		const char *endpoint = options->listen[i];

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

	memset(options, 0, sizeof(*options));
	result = read_config(options, argc, argv);
	if (result < 0)
		result = read_arguments(options, argc, argv, &check);
	if (result >= 0)
		return result;
	set_defaults(options);
	if (!is_sound(options))
		return 2;
	return check ? 0 : -1;
}
