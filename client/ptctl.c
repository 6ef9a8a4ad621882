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

#define DEFAULT_ENDPOINT   "unix:/run/ptd/ptd.sock"
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
	const char *endpoint = getenv("PTD_ENDPOINT");
	struct ptctl ctl = {
		.out = {.file = stdout, .format = FORMAT_TABLE, .name = "table", .legend = true},
		.endpoint = endpoint && *endpoint ? endpoint : DEFAULT_ENDPOINT,
		.timeout_ms = DEFAULT_TIMEOUT_MS,
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
