/* SPDX-License-Identifier: BSD-2-Clause */
/* Sockets under the load generator: unix, TCP, TLS. */
#include "wire_socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int connect_unix(struct wire *wire, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close(fd); /* EAGAIN: its queue of connections is full */
		return -1;
	}
	wire->connecting = false;
	return fd;
}

static int connect_tcp(struct wire *wire, const char *text)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
	const char *colon = strrchr(text, ':');
	char host[128];
	int fd, one = 1;

	if (!colon || snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text) < 0 ||
	    getaddrinfo(host, colon + 1, &hints, &found))
		return -1;
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		wire->connecting = connect(fd, found->ai_addr, found->ai_addrlen) < 0;
		if (wire->connecting && errno != EINPROGRESS) {
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(found);
	return fd;
}

bool wire_open(struct wire *wire, const struct endpoint *endpoint, const char *path)
{
	*wire = (struct wire){.path = path,
			      .authority = "localhost",
			      .next_id = 1,
			      .window = 65535,
			      .initial = 65535,
			      .streams = 100};
	if (!strncmp(endpoint->name, "unix:", 5))
		wire->fd = connect_unix(wire, endpoint->name + 5);
	else if (!strncmp(endpoint->name, "tcp:", 4))
		wire->fd = connect_tcp(wire, endpoint->name + 4);
	else
		wire->fd = -1;
	if (wire->fd < 0)
		return false;
	wire->in = malloc(WIRE_IN_BYTES);
	if (!wire->in || nghttp2_hd_inflate_new(&wire->inflater))
		abort();
	if (endpoint->tls) {
		wire->ssl = SSL_new(endpoint->tls);
		if (!wire->ssl || !SSL_set_fd(wire->ssl, wire->fd))
			abort();
		SSL_set_tlsext_host_name(wire->ssl, endpoint->server_name);
		SSL_set_connect_state(wire->ssl);
		wire->shaking = true;
	}
	return true;
}

void wire_close(struct wire *wire)
{
	if (wire->fd < 0)
		return;
	SSL_free(wire->ssl);
	nghttp2_hd_inflate_del(wire->inflater);
	free(wire->in);
	free(wire->out);
	close(wire->fd);
	*wire = (struct wire){.fd = -1, .user = wire->user, .over = true};
}

/* What SSL could not do now. */
static ssize_t ssl_result(struct wire *wire, int result)
{
	int why = SSL_get_error(wire->ssl, result);

	ERR_clear_error();
	if (why == SSL_ERROR_WANT_WRITE)
		wire->wants_write = true;
	else if (why != SSL_ERROR_WANT_READ)
		wire->over = true;
	return 0;
}

bool wire_ready(struct wire *wire)
{
	struct pollfd poll_fd = {.fd = wire->fd, .events = POLLOUT};
	socklen_t length = sizeof(int);
	int error = 0, result;

	if (wire->connecting) {
		if (poll(&poll_fd, 1, 0) != 1)
			return false;
		getsockopt(wire->fd, SOL_SOCKET, SO_ERROR, &error, &length);
		wire->connecting = false;
		wire->over = error != 0;
	}
	if (wire->over || !wire->shaking)
		return !wire->over;
	wire->wants_write = false;
	result = SSL_do_handshake(wire->ssl);
	if (result != 1) {
		ssl_result(wire, result);
		return false;
	}
	wire->shaking = false;
	return true;
}

ssize_t socket_read(struct wire *wire, void *bytes, size_t room)
{
	ssize_t n;

	if (wire->ssl) {
		int got = SSL_read(wire->ssl, bytes, (int)room);

		return got > 0 ? got : ssl_result(wire, got);
	}
	n = read(wire->fd, bytes, room);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		wire->over = true;
	return n > 0 ? n : 0;
}

ssize_t socket_write(struct wire *wire, const void *bytes, size_t length)
{
	ssize_t n;

	wire->wants_write = false;
	if (wire->ssl) {
		int put = SSL_write(wire->ssl, bytes, length > (1u << 30) ? 1 << 30 : (int)length);

		return put > 0 ? put : ssl_result(wire, put);
	}
	n = send(wire->fd, bytes, length, MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		wire->over = true;
	wire->wants_write = n < (ssize_t)length && !wire->over;
	return n > 0 ? n : 0;
}

SSL_CTX *socket_tls(const char *ca, const char *cert, const char *key, const char **error)
{
	static const unsigned char h2[] = "\2h2";
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	*error = "the certificates cannot be read";
	if (!context)
		return NULL;
	SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
	SSL_CTX_set_mode(context,
			 SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_alpn_protos(context, h2, sizeof(h2) - 1);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	if (SSL_CTX_load_verify_locations(context, ca, NULL) == 1 &&
	    (!cert || (SSL_CTX_use_certificate_chain_file(context, cert) == 1 &&
		       SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1)))
		return context;
	SSL_CTX_free(context);
	return NULL;
}
