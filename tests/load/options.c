/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line of the load generator. */
#include "options.h"

#include "wire_socket.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
	"Usage: load --endpoint unix:PATH|tcp:HOST:PORT [OPTION...]\n"
	"  --ca FILE --cert FILE --key FILE  TLS, with a certificate to show\n"
	"  --server-name NAME     expected in the server's certificate (localhost)\n"
	"  --method PATH          (/ptd.v1.MappingService/Apply)\n"
	"  --body BODY            apply:CONTEXT:PAGES[:SIZE], a file with a framed message, or empty\n"
	"  --connections N --streams N\n"
	"  --calls N | --seconds S [--warmup S]\n"
	"  --rate R               arrivals a second; without it callers wait for answers\n"
	"  --poisson              irregular arrivals\n"
	"  --rude                 does not wait as long as a push-back says\n"
	"  --session KIND:CONTEXT apply or translate: messages on one stream, --streams in flight\n"
	"  --beside PATH --beside-body BODY --beside-streams N\n"
	"                         the same connections also have calls of another method\n"
	"  --bad KIND             a client that misbehaves; --bad list names the kinds\n"
	"  --every S              a line each S seconds\n"
	"  --name TEXT            of the lines\n";

enum {
	CA = 256,
	CERT,
	KEY,
	SERVER,
	METHOD,
	BODY,
	CALLS,
	SECONDS,
	WARMUP,
	RATE,
	POISSON,
	RUDE,
	SESSION,
	BAD,
	EVERY,
	NAME,
	BESIDE,
	BESIDE_BODY,
	BESIDE_STREAMS
};

static const struct option long_options[] = {
	{"endpoint", 1, NULL, 'e'},
	{"ca", 1, NULL, CA},
	{"cert", 1, NULL, CERT},
	{"key", 1, NULL, KEY},
	{"server-name", 1, NULL, SERVER},
	{"method", 1, NULL, METHOD},
	{"body", 1, NULL, BODY},
	{"connections", 1, NULL, 'c'},
	{"streams", 1, NULL, 'm'},
	{"calls", 1, NULL, CALLS},
	{"seconds", 1, NULL, SECONDS},
	{"warmup", 1, NULL, WARMUP},
	{"rate", 1, NULL, RATE},
	{"poisson", 0, NULL, POISSON},
	{"rude", 0, NULL, RUDE},
	{"session", 1, NULL, SESSION},
	{"bad", 1, NULL, BAD},
	{"every", 1, NULL, EVERY},
	{"name", 1, NULL, NAME},
	{"help", 0, NULL, 'h'},
	{"beside", 1, NULL, BESIDE},
	{"beside-body", 1, NULL, BESIDE_BODY},
	{"beside-streams", 1, NULL, BESIDE_STREAMS},
	{NULL, 0, NULL, 0},
};

struct files {
	const char *ca, *cert, *key;
};

static void take_option(struct options *o, struct files *files, int option, const char *value)
{
	switch (option) {
	case 'e': o->endpoint.name = value; break;
	case CA: files->ca = value; break;
	case CERT: files->cert = value; break;
	case KEY: files->key = value; break;
	case SERVER: o->endpoint.server_name = value; break;
	case METHOD: o->method = value; break;
	case BODY: o->body = value; break;
	case 'c': o->connections = (uint32_t)strtoul(value, NULL, 0); break;
	case 'm': o->streams = (uint32_t)strtoul(value, NULL, 0); break;
	case CALLS: o->calls = strtoull(value, NULL, 0); break;
	case SECONDS: o->seconds = strtod(value, NULL); break;
	case WARMUP: o->warmup = strtod(value, NULL); break;
	case RATE: o->rate = strtod(value, NULL); break;
	case POISSON: o->poisson = true; break;
	case RUDE: o->rude = true; break;
	case SESSION: o->session = value; break;
	case BAD: o->bad = value; break;
	case EVERY: o->every = strtod(value, NULL); break;
	case NAME: o->name = value; break;
	case BESIDE: o->beside = value; break;
	case BESIDE_BODY: o->beside_body = value; break;
	case BESIDE_STREAMS: o->beside_streams = (uint32_t)strtoul(value, NULL, 0); break;
	default: fputs(help, option == 'h' ? stdout : stderr); exit(option == 'h' ? 0 : 2);
	}
}

bool options_parse(struct load *load, int argc, char **argv, const char **error)
{
	struct options *o = &load->options;
	struct files files = {NULL, NULL, NULL};
	int option;

	*o = (struct options){.name = "load",
			      .method = "/ptd.v1.MappingService/Apply",
			      .body = "empty",
			      .beside_body = "empty",
			      .connections = 1,
			      .streams = 1,
			      .seconds = 1};
	o->endpoint.server_name = "localhost";
	while ((option = getopt_long(argc, argv, "e:c:m:h", long_options, NULL)) != -1)
		take_option(o, &files, option, optarg);
	*error = "--endpoint is missing, or a number is 0";
	if (!o->endpoint.name || optind != argc || !o->connections || !o->streams)
		return false;
	*error = "there is no such kind of bad client";
	if (o->bad && !(load->client = bad_client(o->bad)))
		return false;
	if (o->session) {
		load->client = &session_client;
		o->method = "/ptd.v1.MappingService/Session";
	}
	if (files.ca) {
		o->endpoint.tls = socket_tls(files.ca, files.cert, files.key, error);
		if (!o->endpoint.tls)
			return false;
	}
	return body_make(&load->body, o->body, error) &&
	       body_make(&load->beside, o->beside_body, error);
}
