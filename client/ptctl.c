/* SPDX-License-Identifier: BSD-2-Clause */
/* ptctl: the command line of ptd. */
#include "commands.h"
#include "parse.h"

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SYSTEM_ENDPOINT	   "unix:/run/ptd/ptd.sock"
#define DEFAULT_TIMEOUT_MS 30000

/* Nothing here needs tidying up: the daemon drops what a vanished client had under way. */
static void on_interrupt(int number)
{
	(void)number;
	_exit(EXIT_INTERRUPTED);
}

static void catch_interrupt(void)
{
	struct sigaction action = {.sa_handler = on_interrupt};

	sigaction(SIGINT, &action, NULL);
}

static const char *from_environment(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

/* Where ptd listens by default: a user's own daemon goes before the system's. */
static const char *default_endpoint(char *room, size_t length)
{
	const char *given = from_environment("PTD_ENDPOINT");
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	if (given)
		return given;
	if (!runtime || *runtime != '/' ||
	    snprintf(room, length, "unix:%s/ptd.sock", runtime) >= (int)length ||
	    access(room + strlen("unix:"), F_OK))
		return SYSTEM_ENDPOINT;
	return room;
}

/* A full disk behind stdout must not look like success. */
static int finish_output(int result)
{
	if (!fflush(stdout) && !ferror(stdout))
		return result;
	fprintf(stderr, "error: the output cannot be written: %s\n", strerror(errno));
	return result ? result : EXIT_REFUSED;
}

int main(int argc, char **argv)
{
	char room[128];
	struct ptctl ctl = {
		.out = {.file = stdout, .format = FORMAT_TABLE, .name = "table", .legend = true},
		.endpoint = default_endpoint(room, sizeof(room)),
		.connection = {.size = sizeof(struct ptd_options),
			       .timeout_ms = DEFAULT_TIMEOUT_MS,
			       .tls_ca = from_environment("PTD_TLS_CA"),
			       .tls_certificate = from_environment("PTD_TLS_CERTIFICATE"),
			       .tls_key = from_environment("PTD_TLS_KEY")},
	};
	int result;

	setlocale(LC_CTYPE, "");
	catch_interrupt();
	result = parse_line(&ctl, argc, argv);
	if (result == PARSE_RUN)
		result = ctl.command->run(&ctl);
	ptd_close(ctl.client);
	parse_free(&ctl);
	return finish_output(result);
}
