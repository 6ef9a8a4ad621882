/* SPDX-License-Identifier: BSD-2-Clause */
/* ptd: options, domain, loops, and the end. Exit codes: 0 well ended, 1 run time, 2 usage. */
#include "dispatch.h"
#include "domain_limits.h"
#include "server.h"
#include "systemd.h"
#include "tls.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#define STACK_BYTES (512u << 10)

#ifdef PT_CHECKED
#define CHECKED true
#else
#define CHECKED false
#endif

/* Goes on as ptd-checked, which lies beside this program. */
static int run_checked(char **argv)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - sizeof("-checked"));

	if (n <= 0) {
		perror("ptd: /proc/self/exe");
		return 1;
	}
	path[n] = 0;
	memcpy(path + n, "-checked", sizeof("-checked"));
	execv(path, argv);
	perror(path);
	return 1;
}

static void prepare_process(void)
{
	struct rlimit files;

	signal(SIGPIPE, SIG_IGN); /* a peer that vanished is an error of its write */
	mallopt(M_ARENA_MAX, 2);  /* shards keep what they free; arenas would only add memory */
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

static uint64_t draw_epoch(void)
{
	uint64_t epoch = 0;

	while (!epoch)
		if (getrandom(&epoch, sizeof(epoch), 0) < 0)
			return 0;
	return epoch;
}

static bool make_domain(struct server *server)
{
	struct routes_config routes = {.domain_methods = domain_methods,
				       .more_methods = more_methods,
				       .reflection = !server->options.no_reflection};
	struct domain_config config = {
		.epoch = draw_epoch(),
		.table_bytes = server->options.table_bytes,
		.loops = server->loops,
		.allow_failpoints = server->options.allow_failpoints,
		.checked = CHECKED,
		.version = PTD_VERSION,
		.max_connections = server->options.max_connections,
		.wire = server->options.wire,
	};
	const char *error;

	server->routes = routes_create(&routes, &error);
	if (!server->routes) {
		fprintf(stderr, "ptd: %s\n", error);
		return false;
	}
	config.services = routes_services(server->routes);
	server->domain = domain_create(&config);
	if (!server->domain)
		fprintf(stderr, "ptd: cannot create the domain: no memory\n");
	return server->domain;
}

static bool has_tls(const struct options *options)
{
	bool has = options->tls_certificate[0] && options->tls_key[0] && options->tls_ca[0];

	if (!has)
		fprintf(stderr,
			"ptd: a socket named ptd-tls needs --tls-certificate, --tls-key and "
			"--tls-ca\n");
	return has;
}

/* What systemd handed over stands instead of the default endpoint, and beside the ones asked for.
 */
static bool adopt_listeners(struct server *server)
{
	struct handed list[OPTIONS_LISTEN];
	int n = systemd_sockets(list);

	if (n > 0 && server->options.default_listen)
		server->options.listens = 0;
	if (n > 0 && (uint32_t)n + server->options.listens > OPTIONS_LISTEN) {
		fprintf(stderr, "ptd: more than %d sockets in all\n", OPTIONS_LISTEN);
		return false;
	}
	for (int i = 0; i < n; i++)
		if ((list[i].tls && !has_tls(&server->options)) ||
		    !listener_adopt(&server->listener[server->listeners++], list[i].fd, list[i].tls,
				    server->loops))
			return false;
	return n >= 0;
}

static bool open_listeners(struct server *server)
{
	if (!adopt_listeners(server))
		return false;
	for (uint32_t i = 0; i < server->options.listens; i++) {
		if (!listener_open(&server->listener[server->listeners], server->options.listen[i],
				   server->loops))
			return false;
		server->listeners++;
	}
	return true;
}

static void close_listeners(struct server *server)
{
	for (uint32_t i = 0; i < server->listeners; i++)
		listener_close(&server->listener[i]);
}

/* One context a loop: shared ones would bounce their reference counts. */
static bool make_tls(struct server *server)
{
	bool wanted = false;

	for (uint32_t i = 0; i < server->listeners; i++)
		wanted = wanted || server->listener[i].tls;
	for (uint32_t i = 0; wanted && i < server->loops; i++)
		if (!(server->tls[i] = tls_context_create(&server->options, i == 0)))
			return false;
	return true;
}

static void free_tls(struct server *server)
{
	for (uint32_t i = 0; i < server->loops; i++)
		tls_context_destroy(server->tls[i]);
}

static void run_thread(void *loop)
{
	loop_run(loop);
}

/* Loop 0 runs here. False: a loop could not be made. */
static bool run_loops(struct server *server)
{
	uv_thread_options_t options = {.flags = UV_THREAD_HAS_STACK_SIZE,
				       .stack_size = STACK_BYTES};
	uv_thread_t thread[OPTIONS_LOOPS];

	for (uint32_t i = 0; i < server->loops; i++)
		if (!(server->loop[i] = loop_create(server, i)))
			return false;
	uv_barrier_init(&server->start, server->loops);
	for (uint32_t i = 1; i < server->loops; i++)
		if (uv_thread_create_ex(&thread[i], &options, run_thread, server->loop[i])) {
			perror("ptd: thread");
			_exit(1); /* the threads that are there wait for this one */
		}
	loop_run(server->loop[0]);
	for (uint32_t i = 1; i < server->loops; i++)
		uv_thread_join(&thread[i]);
	for (uint32_t i = 0; i < server->loops; i++)
		loop_destroy(server->loop[i]);
	uv_barrier_destroy(&server->start);
	return !atomic_load(&server->failed);
}

int main(int argc, char **argv)
{
	static struct server server;
	int result = options_read(&server.options, argc, argv);
	bool ok;

	if (result >= 0)
		return result;
	if (server.options.checked && !CHECKED)
		return run_checked(argv);
	prepare_process();
	server.loops = server.options.loops;
	if (!server.options.max_connections)
		server.options.max_connections = DEFAULT_MAX_CONNECTIONS;
	ok = make_domain(&server) && open_listeners(&server) && make_tls(&server) &&
	     run_loops(&server);
	close_listeners(&server);
	free_tls(&server);
	if (server.domain)
		domain_destroy(server.domain);
	routes_destroy(server.routes);
	return ok ? 0 : 1;
}
